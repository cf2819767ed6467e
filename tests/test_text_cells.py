# SPDX-License-Identifier: MIT
"""`benchmarks.text_cells`: its units and its table."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

from benchmarks import text_cells
from benchmarks.text_cells import RATES, TextPlan, best, main, table
from benchmarks.units import Results


@pytest.fixture
def plan(tmp_path: Path) -> TextPlan:
    """Two searches and three random cells over a text of some 4,000 characters."""
    path = tmp_path / "text.txt"
    path.write_text("the cat sat on the mat and the dog ran off " * 90)
    return TextPlan(str(path), ("darts",), searches=2, random_cells=3, seconds=5.0)


def test_units_come_as_what_they_need_is_done(plan: TextPlan, tmp_path: Path) -> None:
    results = Results(tmp_path / "results.jsonl")
    units = list(plan.units(results))
    assert [(unit.method, unit.config.seed) for unit in units[:2]] == [("darts", 0), ("darts", 1)]
    before = {unit.key for unit in units}
    assert len(before) == len(units)
    cell = str(text_cells.RecurrentGenotype.random(9))
    results.add(units[1], {"genotype": cell, "seconds": 1.0})
    new = [unit for unit in plan.units(results) if unit.key not in before]
    assert [(unit.model, unit.config.seed) for unit in new] == [(cell, 1)] * len(RATES)
    assert [unit.config.lr for unit in new] == list(RATES)


def test_table_by_hand(plan: TextPlan, tmp_path: Path) -> None:
    results = Results(tmp_path / "results.jsonl")
    for seed in range(2):
        cell = str(text_cells.RecurrentGenotype.random(100 + seed))
        results.add(plan.search("darts", seed), {"genotype": cell, "seconds": 1.0})
    losses = {"found by `darts`": (2.0, 2.5), "random cells": (3.0, 4.0, 5.0)}
    for name, seed, model in plan.models(results):
        for unit in plan.trainings(model, seed) if name in losses else ():
            # The validation text chooses the rate of 5, whose test loss is not the lowest.
            worse = {20.0: None if seed else math.nan, 5.0: 0.0, 2.0: 0.5}[unit.config.lr]
            test = losses[name][seed] - (0.1 if unit.config.lr == 2 else 0)
            valid = None if worse is None else 1 + worse
            found = {"valid_loss": valid, "test_loss": test, "weights": 1000, "epochs": 4}
            results.add(unit, found)
            if name == "random cells" and seed == 0 and unit.config.lr != RATES[-1]:
                assert best(plan, results, model, seed) is None
    rows = table(plan, Results(results.path)).splitlines()[2:]
    assert len(rows) == 2
    cells = {row.split("|")[1].strip(): row for row in rows}
    # Both found ones below all random ones: of the 10 ways to call two of five found, that and the
    # two largest are as extreme.
    mean = (math.exp(2.0) + math.exp(2.5)) / 2
    assert f"{mean:.3f} (7.389–12.182; 2) | 0.20 | 0.20 |" in cells["found by `darts`"]
    assert "| 1,000 | 5, 5, 5 | 4 |" in cells["random cells"]


def test_a_training_that_diverges_has_a_result(plan: TextPlan) -> None:
    unit = plan.trainings(str(text_cells.RECURRENT_DARTS_V2), 0)[0]
    wild = dataclasses.replace(unit.config, lr=1e30, max_grad_norm=1e30, hidden_size=8)
    found = dataclasses.replace(unit, config=wild).run()
    assert found["valid_loss"] is None
    assert found["epochs"] == 0
    assert found["test_loss"] == pytest.approx(700)  # of the first step's weights


@pytest.mark.slow
@pytest.mark.usefixtures("checkout_in_processes")
def test_command(plan: TextPlan, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "results.jsonl")
    options = ["--searches", "0", "--random", "1", "--seconds", "0.05", "--hidden-size", "8"]
    main(["--data", plan.data, "--out", out, *options])
    assert "| random cells | " in capsys.readouterr().out
    cell = str(text_cells.RecurrentGenotype.random(0))
    quick = dataclasses.replace(plan, seconds=0.05, hidden_size=8)
    entry = best(quick, Results(Path(out)), cell, 0)
    assert entry is not None
    assert entry["config"]["hidden_size"] == 8
    assert math.isfinite(entry["test_loss"])
