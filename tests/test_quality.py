# SPDX-License-Identifier: MIT
"""`benchmarks.quality`: its units, how it goes on, its statistics and tables."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import pytest

import pydarts
from benchmarks.quality import arguments as read
from benchmarks.quality import main, plan_of, run
from benchmarks.quality_settings import (
    CONFIRMATION,
    SCREENING,
    Images,
    Part,
    Stage,
    images_of,
)
from benchmarks.quality_table import rows, tables
from benchmarks.quality_units import (
    CellUnit,
    Plan,
    constants,
    ordered,
    random_cell,
    search_unit,
    train_unit,
)
from benchmarks.units import Results
from benchmarks.workers import run_side_by_side
from pydarts.evaluation.statistics import holm
from pydarts.methods.perturbation import Perturbation
from pydarts.spaces import NAS_BENCH_201, S2

pytestmark = pytest.mark.usefixtures("checkout_in_processes")

TINY = Part(
    "digits",
    "validation",
    images=100,
    scored=40,
    search={"channels": 2, "epochs": 1},
    training={"channels": 2, "epochs": 1},
)
STAGE = Stage(
    "tiny",
    (TINY,),
    ("nas-bench-201",),
    searches=1,
    random_cells=1,
    train_seeds=1,
    first_seed=5,
)


def finished(unit: CellUnit, results: Results, **found: Any) -> None:
    """Put a result down as if the unit had been run."""
    results.add(unit, {"seconds": 1.0, "described": [], **found})


def test_holm_by_hand() -> None:
    # In order .005 × 4, .01 × 3, .03 × 2, .04 × 1; the last may not be less than the third.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([0.01, 0.01, 0.5]) == pytest.approx([0.03, 0.03, 0.5])
    assert holm([]) == []


@pytest.mark.slow
def test_a_run_goes_on_where_it_was_ended(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "results.jsonl"
    plan = Plan(STAGE, ("fixed", "gdas"), with_constants=False)
    results = Results(path)
    run(plan, results, jobs=1, minutes=0)  # no unit begins
    assert not path.exists()
    run(plan, results, jobs=2, minutes=math.inf)
    assert not results.failed
    searches = [entry for entry in results.done.values() if entry["unit"]["kind"] == "search"]
    assert [entry["unit"]["config"]["seed"] for entry in searches] == [5, 5]
    for entry in searches:
        assert sum(entry["operations"].values()) == 6
        assert 0 < entry["share_of_uniform"] <= 1.0
        assert entry["entropy"].keys() == {"normal"}
    assert len(plan.stage.spaces) == len(rows(plan, results)) // 2 == 1
    text = path.read_text()
    assert all(len(row.found) == len(row.random) == 1 for row in rows(plan, results))
    # The last result is lost, half written: it alone is done again, to the same bits.
    path.write_text(text[: text.rstrip().rindex("\n") + 30])
    again = Results(path)
    assert len(again.done) == len(results.done) - 1
    run(plan, again, jobs=1, minutes=math.inf)
    assert again.done.keys() == results.done.keys() == Results(path).done.keys()
    for key, entry in results.done.items():
        for name in ("genotype", "score"):
            assert again.done[key].get(name) == entry.get(name)
    size = path.stat().st_size
    run(plan, Results(path), jobs=1, minutes=math.inf)
    assert path.stat().st_size == size


@pytest.mark.slow
def test_a_unit_that_fails_stops_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = dataclasses.replace(TINY, search={**TINY.search, "max_images": 4})
    stage = dataclasses.replace(STAGE, parts=(bad,))
    results = Results(tmp_path / "results.jsonl")
    plan = Plan(stage, ("fixed",), with_constants=False)
    run(plan, results, jobs=1, minutes=math.inf)
    (error,) = results.failed.values()
    assert error.startswith(("ArgumentError: ", "ValueError: "))
    assert "failed: " in capsys.readouterr().err
    (entry,) = results.done.values()
    assert entry["unit"]["kind"] == "training"
    assert "1 units failed" in tables(plan, results)
    # What failed is tried again by a later run, of perhaps another version.
    assert not Results(results.path).failed
    assert results.path.read_text().count('"error"') == 1


class Deadly(NamedTuple):
    """A unit that ends its process, until so many processes are lost."""

    folder: Path
    times: int
    key: str = "deadly"

    def run(self) -> dict[str, Any]:
        lost = len(list(self.folder.iterdir()))
        if lost < self.times:
            (self.folder / str(lost)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return {"lost": lost}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("times", "gives"),
    [
        (1, {"lost": 1}),
        (9, {"error": "LostWorker: 3 processes were lost with it"}),
    ],
)
@pytest.mark.usefixtures("checkout_in_processes")
def test_a_lost_process_is_replaced(times: int, gives: dict[str, Any], tmp_path: Path) -> None:
    unit = Deadly(tmp_path, times)
    units: Iterator[Any] = iter([unit])
    ((done, found),) = run_side_by_side(lambda running: next(units, None), 2, math.inf)
    assert (done, found) == (unit, gives)
    assert len(list(tmp_path.iterdir())) == min(times, 3)


def test_an_executor_runs_units(tmp_path: Path) -> None:
    units: Iterator[Any] = iter([Deadly(tmp_path, 0, key) for key in "abc"])
    at_once: list[set[str]] = []

    def following(running: set[str]) -> Any:
        at_once.append(running)
        return next(units, None)

    class Watched(ThreadPoolExecutor):
        submitted = 0

        def submit(self, *arguments: Any, **options: Any) -> Any:
            self.submitted += 1
            return super().submit(*arguments, **options)

    with Watched(1) as executor:
        found = dict(run_side_by_side(following, 2, math.inf, executor))
    assert [unit.key for unit in found] == list("abc")
    assert all(gives == {"lost": 0} for gives in found.values())
    assert executor.submitted == 3
    assert max(map(len, at_once)) == 1  # besides the one that is asked for


def test_the_order_gives_whole_comparisons_early(tmp_path: Path) -> None:
    stage = dataclasses.replace(STAGE, spaces=("s2", "darts"), searches=2, random_cells=3)
    plan, results = Plan(stage, ("darts", "gdas")), Results(tmp_path / "results.jsonl")
    searches = [unit for unit in plan.units(results) if unit.method]
    assert [(unit.config.seed, unit.space, unit.method) for unit in searches] == [
        (seed, space, method)
        for seed in (5, 6)
        for space in ("s2", "darts")
        for method in ("darts", "gdas")
    ]
    kinds = ["search" if unit.method else "training" for unit in plan.units(results)]
    # Two random cells and the constants (in the space of DARTS three) with the first search.
    assert kinds == [
        *["search"] * 2,
        *["training"] * 3,
        *["search"] * 2,
        *["training"] * 5,
        *(["search"] * 2 + ["training"]) * 2,
    ]
    # A cell that was found is trained right after its search.
    cell = pydarts.Genotype.random(9, space=S2)
    finished(searches[0], results, genotype=cell.to_json())
    units = list(plan.units(results))
    assert units[0] == searches[0]
    assert units[1] == train_unit(TINY, "s2", cell, 5)


def test_units_of_the_same_cell_are_the_same() -> None:
    cell = pydarts.Genotype.random(3)
    swapped = pydarts.Genotype(
        normal=[cell.normal[i ^ 1] for i in range(8)],
        normal_concat=cell.normal_concat,
        reduce=cell.reduce,
        reduce_concat=cell.reduce_concat,
    )
    assert swapped != cell
    assert ordered(swapped) == ordered(cell)
    assert train_unit(TINY, "darts", swapped, 0).key == train_unit(TINY, "darts", cell, 0).key
    assert train_unit(TINY, "darts", cell, 1).key != train_unit(TINY, "darts", cell, 0).key
    other = dataclasses.replace(TINY, images=101)
    assert train_unit(other, "darts", cell, 0).key != train_unit(TINY, "darts", cell, 0).key
    longer = dataclasses.replace(TINY, training={**TINY.training, "epochs": 2})
    assert train_unit(longer, "darts", cell, 0).key != train_unit(TINY, "darts", cell, 0).key
    edges = ordered(random_cell("nas-bench-201", 0)).kept("normal")
    assert [(source, node) for _, source, node in edges] == [
        (0, 1),
        (0, 2),
        (1, 2),
        (0, 3),
        (1, 3),
        (2, 3),
    ]


def test_methods_with_options() -> None:
    plain = search_unit(TINY, "s2", "darts", 0)
    second = search_unit(TINY, "s2", "darts:order=2:alpha_lr=0.5", 0)
    assert (plain.config.order, second.config.order, second.config.alpha_lr) == (1, 2, 0.5)
    assert len({plain.key, second.key, search_unit(TINY, "s2", "gdas", 0).key}) == 3
    with pytest.raises(ValueError, match=r"`method` \(='dart'\)"):
        search_unit(TINY, "s2", "dart", 0)
    with pytest.raises(TypeError, match="alfa"):
        search_unit(TINY, "s2", "darts:alfa=1", 0)
    with pytest.raises(ValueError, match=r"`--methods` \(='fixed:selector.epochs=2'\)"):
        search_unit(TINY, "s2", "fixed:selector.epochs=2", 0)


def test_a_pair_selects_by_perturbation() -> None:
    nas = search_unit(TINY, "nas-bench-201", "fixed-pt:selector.epochs=0:channels=1", 0).run()
    assert nas["selector"] == {**dataclasses.asdict(Perturbation()), "epochs": 0}
    assert nas["share_of_uniform"] == pytest.approx(1.0, abs=1e-6)
    plain = search_unit(TINY, "nas-bench-201", "fixed:channels=1", 0).run()
    assert plain["selector"] is None
    assert nas["genotype"] != plain["genotype"]


def test_images_have_sides_that_the_space_can_halve() -> None:
    odd = dataclasses.replace(SCREENING.parts[1], data="spoken-digits")
    images = Images(*(np.full(shape, 2.0) for shape in ((3, 24, 37), (3,), (2, 24, 37), (2,))))
    with patch("benchmarks.quality_settings._images", return_value=images):
        assert images_of(odd, "darts").X is images.X
        padded = images_of(odd, "nas-bench-201")
    assert (padded.X.shape, padded.X_scored.shape) == ((3, 24, 40), (2, 24, 40))
    assert (padded.X == 2).all()


def test_other_options_of_the_selector_are_other_searches() -> None:
    method = "darts:selector=finalists"
    unit = search_unit(TINY, "darts", method, 0)
    assert unit.identity["selector"]["repeats"] == pydarts.Finalists().repeats
    other = search_unit(TINY, "darts", f"{method}:selector.repeats=1", 0)
    assert other.identity["selector"]["repeats"] == 1
    assert "selector" not in search_unit(TINY, "darts", "darts", 0).identity


def test_constants() -> None:
    assert constants("nas-bench-201").keys() == {"nor_conv_3x3", "nor_conv_3x3, skip 0→3"}
    operations = [op for op, _, _ in constants("nas-bench-201")["nor_conv_3x3"].kept("normal")]
    assert operations == ["nor_conv_3x3"] * 6
    skipped = constants("nas-bench-201")["nor_conv_3x3, skip 0→3"].kept("normal")
    assert [edge for edge in skipped if edge[0] != "nor_conv_3x3"] == [("skip_connect", 0, 3)]
    assert all(cell.space == NAS_BENCH_201 for cell in constants("nas-bench-201").values())
    assert constants("darts").keys() == {"sep_conv_5x5", "sep_conv_3x3", "DARTS_V2"}
    assert constants("darts")["DARTS_V2"] == pydarts.DARTS_V2
    assert constants("s4").keys() == {"sep_conv_3x3"}
    assert constants("s4")["sep_conv_3x3"].kept("reduce") == [
        ("sep_conv_3x3", source, node) for node in range(2, 6) for source in (0, 1)
    ]


@pytest.fixture
def compared(tmp_path: Path) -> tuple[Plan, Results]:
    """Two methods in S2, three cells each and two seeds of training, beside three random cells."""
    stage = dataclasses.replace(STAGE, spaces=("s2",), searches=3, random_cells=3, train_seeds=2)
    plan, results = Plan(stage, ("darts", "gdas")), Results(tmp_path / "results.jsonl")
    scores = {"darts": (0.95, 0.93, 0.94), "gdas": (0.90, 0.80, 0.88)}
    edges = {"darts": (14, 16, 13), "gdas": (1, 2, 3)}
    for method in plan.methods:
        for i, seed in enumerate(plan.seeds):
            cell = pydarts.Genotype.random(100 * (method == "gdas") + i, space=S2)
            strong = edges[method][i]
            finished(
                plan.search(TINY, "s2", method, seed),
                results,
                genotype=cell.to_json(),
                operations={"sep_conv_3x3": strong, "skip_connect": 16 - strong},
                share_of_uniform=0.2 + 0.1 * i,
            )
            for j, unit in enumerate(plan.trainings(TINY, "s2", cell)):
                finished(unit, results, score=scores[method][i] + (0.01, -0.01)[j])
    for seed, score in zip(plan.random_seeds, (0.81, 0.89, 0.91), strict=True):
        for unit in plan.trainings(TINY, "s2", random_cell("s2", seed)):
            finished(unit, results, score=score)
    return plan, results


def test_a_cell_that_several_searches_found_counts_once(compared: tuple[Plan, Results]) -> None:
    plan, results = compared
    first, second = (plan.search(TINY, "s2", "darts", seed) for seed in list(plan.seeds)[:2])
    found = results.done[first.key]
    shown = {name: found[name] for name in ("genotype", "operations", "share_of_uniform")}
    finished(second, results, **shown)
    row = rows(plan, Results(results.path))[0]
    assert row.found == pytest.approx([0.95, 0.94])
    assert len(row.searches) == 3
    assert row.p == pytest.approx(2 / 10)  # the two lowest of five are as far from the others


def test_table(compared: tuple[Plan, Results]) -> None:
    plan, results = compared
    first, second = rows(plan, Results(results.path))
    assert first.found == pytest.approx([0.95, 0.93, 0.94])
    assert second.random == pytest.approx([0.81, 0.89, 0.91])
    # All three above all others: of the 20 ways to call three of six found, two are as extreme.
    # Of the others' sums (found 2.58, all 5.19) as far from 2.595 are all but the two of 2.59, .80.
    assert first.p == pytest.approx(2 / 20)
    sums = [0.90, 0.80, 0.88, 0.81, 0.89, 0.91]
    assert second.p == pytest.approx(_share_by_hand(sums))
    lines = tables(plan, results).splitlines()
    header, _, darts, gdas = lines[2:6]
    columns = [text.strip() for text in header.strip("|").split(" | ")]
    found = dict(zip(columns, map(str.strip, darts.strip("|").split(" | ")), strict=True))
    assert found == {
        "method": "darts",
        "data": "digits",
        "space": "s2",
        "found": "94.00 (93.0–95.0), n = 3",
        "random": "87.00 (81.0–91.0), n = 3",
        "constants": "–",
        "difference": "+7.00",
        "p": "0.1",
        "p (Holm)": "0.2",
        "entropy, of uniform": "0.30",
        "strongest / skip / none of edges": "14.3 / 1.7 / 0.0 of 16",
    }
    assert gdas.startswith("| gdas | digits | s2 | 86.00 (80.0–90.0), n = 3 | 87.00")
    assert (
        "* darts, digits, s2: sep_conv_3x3 on at least 14 of 16 edges in 2 of 3 searches" in lines
    )
    # Random cells: 81, 89 and 91 have the standard deviation 5.29; both seeds gave the same.
    assert lines[-1] == "| digits | s2 | 3 | 5.29 | 0.00 |"


def _share_by_hand(values: list[float]) -> float:
    """Two-sided p of the first three of six: subsets whose mean is as far from the others'."""
    half, count = sum(values) / 2, 0
    seen = abs(sum(values[:3]) - half)
    for i in range(6):
        for j in range(i):
            for k in range(j):
                count += abs(values[i] + values[j] + values[k] - half) >= seen - 1e-12
    return count / 20


def test_a_cell_counts_when_it_was_trained_with_all_seeds(compared: tuple[Plan, Results]) -> None:
    plan, results = compared
    lines = results.path.read_text().splitlines(keepends=True)
    last = json.loads(lines[-1])
    assert last["unit"]["kind"] == "training"
    results.path.write_text("".join(lines[:-1]))
    assert [len(row.random) for row in rows(plan, Results(results.path))] == [2, 2]
    nothing = tables(plan, Results(results.path.with_name("none.jsonl")))
    assert "| darts | digits | s2 | – | – | – | – | – | – | – | – |" in nothing


def test_the_stages_are_apart() -> None:
    # Fresh seeds, and nothing that screening saw is among the images that confirmation tests on.
    for stage in (SCREENING, CONFIRMATION):
        assert {part.part for part in stage.parts} == {
            "validation" if stage is SCREENING else "test"
        }
    most = SCREENING.first_seed + max(SCREENING.searches, SCREENING.random_cells)
    assert most <= CONFIRMATION.first_seed
    (screened,) = (part for part in SCREENING.parts if part.data == "digits")
    (confirmed,) = (part for part in CONFIRMATION.parts if part.data == "digits")
    own, others = (images_of(part, "darts") for part in (screened, confirmed))
    seen = {image.tobytes() for image in [*own.X, *own.X_scored]}
    assert len(own.X) + len(own.X_scored) == len(seen) == 1437
    assert not seen & {image.tobytes() for image in others.X_scored}
    assert not {image.tobytes() for image in own.X} & {image.tobytes() for image in own.X_scored}


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path / "results.jsonl")]
    main(["screening", "--table", "--data", "digits", "--spaces", "s2", "--methods", "gdas", *out])
    assert "| gdas | digits | s2 | – |" in capsys.readouterr().out
    quick = plan_of(read(["--quick", "--data", "digits"]))
    assert (len(quick.rows), len(quick.methods)) == (1, 1)
    assert (quick.stage.searches, quick.stage.random_cells) == (3, 5)
    (space,) = quick.stage.spaces
    (method,) = quick.methods
    unit = quick.search(quick.stage.parts[0], space, method, 7)
    usual = pydarts.SearchConfig.make("quick", {"seed": 7, "cells": unit.config.cells})
    assert dataclasses.replace(unit.config, preset="quick") == usual
    assert unit.method == method
    assert "selector=finalists" in method
    for option, value in (("--methods", "dart"), ("--data", "cats"), ("--spaces", "s9")):
        with pytest.raises(SystemExit, match=rf"\(='{value}'\)"):
            main(["--table", "--data", "digits", option, value, *out])
