# SPDX-License-Identifier: MIT
"""`benchmarks.short_trainings`: its units, its correlation and its table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality_units import random_cell
from benchmarks.short_trainings import (
    PARTS,
    ShortPlan,
    known_accuracies,
    main,
    spearman,
    table,
)
from benchmarks.units import Results

CELLS = [random_cell("nas-bench-201", seed).to_json() for seed in range(6)]


def quality_file(path: Path) -> Path:
    """Six cells of digits, the first with two seeds, and what is not asked for."""
    where = {"kind": "training", "data": "digits", "space": "nas-bench-201"}
    units = [(where | {"genotype": cell}, 0.1 * n) for n, cell in enumerate([*CELLS, CELLS[0]])]
    units += [(where | {"genotype": CELLS[0], "space": "darts"}, 0.9)]
    units += [({"kind": "search", "data": "digits", "space": "nas-bench-201"}, 0.9)]
    lines = [json.dumps({"unit": unit, "score": score}) for unit, score in units]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_accuracies_are_means_over_the_seeds(tmp_path: Path) -> None:
    known = known_accuracies(quality_file(tmp_path / "q.jsonl"), "digits", "nas-bench-201")
    assert list(known) == CELLS
    np.testing.assert_allclose(list(known.values()), [0.3, 0.1, 0.2, 0.3, 0.4, 0.5])


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 1000], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        # 1 - 6 (1 + 1 + 0 + 0) / (4 · 15)
        ([1, 2, 3, 4], [2, 1, 3, 4], 0.8),
        # Ranks 1.5, 1.5, 3 beside 1, 2, 3.
        ([5, 5, 6], [1, 2, 3], np.sqrt(3) / 2),
    ],
)
def test_rank_correlation_by_hand(a: list[float], b: list[float], expected: float) -> None:
    assert spearman(a, b) == pytest.approx(expected)


def test_table_has_the_trainings_that_are_done(tmp_path: Path) -> None:
    known = known_accuracies(quality_file(tmp_path / "q.jsonl"), "digits", "nas-bench-201")
    plan = ShortPlan(PARTS["digits"], "nas-bench-201", ((4, 1, 3), (8, 1, 9)), known)
    results = Results(tmp_path / "short.jsonl")
    for n, unit in enumerate(plan.of((4, 1, 3))):
        assert (unit.config.channels, unit.config.cells, unit.epochs) == (4, 1, 3)
        results.add(unit, {"score": [0.6, 0.1, 0.2, 0.3, 0.4, 0.5][n], "seconds": 2.0 * n})
    results.add(plan.of((8, 1, 9))[0], {"score": 0.5, "seconds": 1.0})
    rows = table(plan, results).splitlines()[2:]
    # Ranks of the accuracies are 3.5, 1, 2, 3.5, 5, 6, of the scores 6, 1, 2, 3, 4, 5.
    # The best four have .3, .5, .4 and .3, of which the mean is .375, over .3 of all.
    assert rows == ["| 4×1, 3 | 0.75 | 5.0 | +7.50 |"]


@pytest.mark.slow
@pytest.mark.usefixtures("checkout_in_processes")
def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = quality_file(tmp_path / "q.jsonl"), tmp_path / "short.jsonl"
    command = [str(file), "--data", "digits", "--space", "nas-bench-201", "--out", str(out)]
    main([*command, "--trainings", "1x1x1"])
    shown = capsys.readouterr().out
    assert shown.startswith("6 cells of nas-bench-201, 30.00 %, standard deviation 14.14\n")
    assert "| 1×1, 1 | " in shown
    assert len(out.read_text().splitlines()) == len(CELLS)
    main([*command, "--trainings", "1x1x1"])
    assert capsys.readouterr().out == shown  # nothing is done again


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--trainings", "4x3"], r"`--trainings` (='4x3') must be channels x cells x epochs"),
        (["--data", "mnist"], "`--data` (='mnist') must be"),
        (["--space", "s2"], "fewer than two trained cells of s2"),
    ],
)
def test_what_there_is_none_of_is_refused(
    options: list[str], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = quality_file(tmp_path / "q.jsonl")
    with pytest.raises(SystemExit):
        main([str(file), *options])
    assert problem in capsys.readouterr().err
