# SPDX-License-Identifier: MIT
"""`benchmarks.together`: strata of several files, and what they show together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.quality_units import constants, ordered, random_cell
from benchmarks.together import Stratum, main, reaches_output, strata_of, together
from pydarts.evaluation.statistics import relabelling
from pydarts.spaces import NAS_BENCH_201
from pydarts.spaces.darts import Genotype

FOUND, OTHERS = [5.0, 6.5, 7.0, 4.0], [3.0, 4.5, 5.5, 2.0, 3.5, 1.0]


def test_one_stratum_has_the_p_value_of_the_exact_test() -> None:
    difference, p = together([Stratum("one", FOUND, OTHERS)], draws=100_000)
    assert difference == pytest.approx(np.mean(FOUND) - np.mean(OTHERS))
    assert p == pytest.approx(relabelling(FOUND, OTHERS), abs=3e-3)


def test_strata_count_by_their_precision() -> None:
    noisy = Stratum("noisy", [100.0, -100.0], [90.0, -110.0])
    sure = Stratum("sure", FOUND, OTHERS)
    difference, p = together([noisy, sure])
    assert difference == pytest.approx(sure.difference, abs=0.1)
    assert p == pytest.approx(together([sure])[1], abs=0.01)
    twice, p_twice = together([sure, sure])
    assert twice == pytest.approx(sure.difference)
    assert p_twice < p / 2


def test_without_a_difference_p_values_are_uniform() -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        strata = [Stratum("", list(rng.normal(size=5)), list(rng.normal(size=9))) for _ in "ab"]
        found.append(together(strata, draws=500)[1])
    assert 0.02 <= np.mean(np.array(found) < 0.1) <= 0.18


def test_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = [random_cell("darts", seed) for seed in range(5)]
    where = {"data": "digits", "space": "darts"}
    lines: list[dict[str, Any]] = []
    for number, cell in enumerate([*cells, constants("darts")["sep_conv_3x3"]]):
        for seed in range(2):
            unit: dict[str, Any] = {
                "kind": "training",
                **where,
                "genotype": ordered(cell).to_json(),
            }
            unit["config"] = {"seed": seed} if seed else {}
            lines.append({"unit": unit, "score": 0.5 + 0.1 * number + 0.02 * seed})
    for cell, method in zip(
        cells, ("gdas", "gdas:epochs=4:selector=finalists", "darts"), strict=False
    ):
        unit = {"kind": "search", **where, "method": method}
        lines.append({"unit": unit, "genotype": cell.to_json()})
    more = {**lines[0]["unit"], "config": {"seed": 7}}  # a training that the others have not
    lines.append({"unit": more, "score": 0.0})
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    (stratum,) = strata_of(path, "gdas", "finalists")
    # Neither the cells of other searches nor the constant are random ones.
    assert stratum.found == [pytest.approx(61)]
    assert sorted(stratum.others) == [pytest.approx(81), pytest.approx(91)]
    assert strata_of(path, "gaea", None) == []
    main(["--method", "gdas", "--selector", "finalists", str(path)])
    shown = capsys.readouterr().out
    assert "found 61.00 (n = 1), random 86.00 (n = 2), -25.00" in shown
    assert "together -25.00, p = " in shown
    main([str(path), "--method", "gdas", "--selector", "finalists", "--data", "digits"])
    assert capsys.readouterr().out == shown
    for none in (["--method", "gaea"], ["--method", "darts", "--data", "fashion-mnist"]):
        with pytest.raises(SystemExit):
            main([str(path), *none])
        assert "no file has such searches" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        (("none", "none", "nor_conv_3x3", "none", "nor_conv_3x3", "nor_conv_3x3"), False),
        (("none", "none", "none", "skip_connect", "none", "none"), True),
        (("avg_pool_3x3", "none", "none", "none", "nor_conv_1x1", "none"), True),
        (("avg_pool_3x3", "none", "none", "none", "none", "nor_conv_1x1"), False),
    ],
)
def test_a_cell_may_be_cut_off_from_its_input(edges: tuple[str, ...], expected: bool) -> None:
    sources = [0, 0, 1, 0, 1, 2]
    entries = list(zip(edges, sources, strict=True))
    assert reaches_output(Genotype(space=NAS_BENCH_201, normal=entries)) == expected


def test_random_cells_that_are_cut_off_do_not_count(tmp_path: Path) -> None:
    cut = Genotype(space=NAS_BENCH_201, normal=[("none", s) for s in (0, 0, 1, 0, 1, 2)])
    cells = [random_cell("nas-bench-201", seed) for seed in range(30)]
    whole = [cell for cell in cells if reaches_output(cell)][:4]
    where = {"data": "digits", "space": "nas-bench-201"}
    lines: list[dict[str, Any]] = [
        {
            "unit": {"kind": "training", **where, "genotype": ordered(c).to_json(), "config": {}},
            "score": score,
        }
        for c, score in zip([*whole, cut], (0.9, 0.8, 0.7, 0.6, 0.1), strict=True)
    ]
    search = {"kind": "search", **where, "method": "darts:selector=finalists"}
    lines.append({"unit": search, "genotype": whole[0].to_json()})
    path = tmp_path / "q.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    (stratum,) = strata_of(path, "darts", "finalists")
    assert stratum.found == pytest.approx([90])
    assert sorted(stratum.others) == pytest.approx([60, 70, 80])
