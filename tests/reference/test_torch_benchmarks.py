# SPDX-License-Identifier: MIT
"""``python -m benchmarks`` from end to end at tiny sizes, every kind of case."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import contenders
from benchmarks.__main__ import main

# In the order of `benchmarks.cases.CASES`.
NAMES = [
    "second_order_tiny",
    "derived",
    "mixed_operation",
    "skip_connect",
    "nas_bench_201",
    "darts_1d",
    "darts_1d_mixed_operation",
    "text_second_order",
    "text_second_order_paper",
    "text_first_order",
    "text_derived",
]


def test_quick(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quick = ["--quick", "--rounds", "1", "--threads", "1", "--out", str(tmp_path)]
    assert main(["--case", *NAMES, *quick]) == 0
    output = capsys.readouterr().out
    assert "compared with PyTorch's before timing" in output
    results = json.loads((tmp_path / "results.json").read_text("utf-8"))["results"]
    assert [result["case"]["name"] for result in results] == NAMES
    for result in results:
        kind = result["case"]["kind"]
        expected = {n for n, c in contenders.CONTENDERS.items() if kind in c.cases}
        assert result["seconds"].keys() == expected
        assert f"| {result['case']['name']} |" in output
        for name, deviation in result["deviations"].items():
            assert deviation < 1e-2, name
        assert result["pydarts"]["pydarts"]["ratio"]["median"] > 0
