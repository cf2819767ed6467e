# SPDX-License-Identifier: MIT
"""Readers that are fuzzed take their seeds, and what fuzzing found is an error as it should be."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import save

import pydarts
from pydarts.data.pictures import read_picture_table
from pydarts.training import checkpoint

FUZZ = Path(__file__).parent / "fuzz"


def _driver() -> Any:
    spec = importlib.util.spec_from_file_location("fuzz_driver", FUZZ / "driver.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DRIVER = _driver()
READERS = sorted(path.stem for path in FUZZ.glob("read_*.py"))


@pytest.mark.parametrize("name", READERS)
def test_readers_take_their_seeds(tmp_path: Path, name: str) -> None:
    reader = DRIVER.load(name)
    refused = [
        seed.name
        for seed in DRIVER.seeds(name)
        if not DRIVER.accepts(reader, tmp_path, seed.read_bytes())
    ]
    assert not refused
    assert not DRIVER.accepts(reader, tmp_path, b"")


# What was found.


def _changed(name: str, seed: str, **members: object) -> bytes:
    """A seed in JSON, some of whose members have other values."""
    whole = (FUZZ / "seeds" / name / seed).read_bytes()
    return whole[:1] + json.dumps(json.loads(whole[1:]) | members).encode()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("read_result", _changed("read_result", "result", limits=[1])),
        ("read_genotype", _changed("read_genotype", "space", base=[None])),
        ("read_json", _changed("read_json", "profile", space="s" * 300)),
        ("read_result", b"hepoch,train_loss\n1," + b"9" * 200_000),
        ("read_report", b"hepoch,train_loss\n1," + b"9" * 200_000),
        ("read_npy", b"X\x93NUMPY\1\0\x0a\0{'descr':  "),
        (
            "read_npy",
            b"y\x93NUMPY\1\0v\0" + b"{'descr': '<i8', 'fortran_order': Fals".ljust(118),
        ),
    ],
)
def test_what_was_not_a_value_error(tmp_path: Path, name: str, data: bytes) -> None:
    assert not DRIVER.accepts(DRIVER.load(name), tmp_path, data)


def test_a_genotype_of_another_kind() -> None:
    with pytest.raises(ValueError, match="must be a str"):
        pydarts.spaces.published.parse_genotype(0.5)  # type: ignore[arg-type]


def test_a_comparison_shows_what_it_read(tmp_path: Path) -> None:
    whole = json.loads((FUZZ / "seeds" / "read_json" / "comparison").read_bytes()[1:])
    first, *others = whole["cells"]
    reader = DRIVER.load("read_json")
    for member, good in ({"name": 5}, True), ({"num_weights": []}, False):
        data = _changed("read_json", "comparison", cells=[first | member, *others])
        assert DRIVER.accepts(reader, tmp_path, data) == good


def test_a_comparison_with_too_many_seeds_takes_no_memory(tmp_path: Path) -> None:
    whole = json.loads((FUZZ / "seeds" / "read_json" / "comparison").read_bytes()[1:])
    cells = [cell | {"scores": [0.5] * 40} for cell in whole["cells"]]
    reader = DRIVER.load("read_json")
    for changes in ({"seeds": list(range(40)), "cells": cells}, {"cells": whole["cells"][:1]}):
        data = _changed("read_json", "comparison", **changes)
        assert not DRIVER.accepts(reader, tmp_path, data)


@pytest.mark.parametrize("member", [{"accuracy": "x"}, {"macs": None}, {"kind": "other"}])
def test_a_curve_shows_what_it_read(tmp_path: Path, member: dict[str, object]) -> None:
    whole = json.loads((FUZZ / "seeds" / "read_json" / "trade_off").read_bytes()[1:])
    rows = [whole["rows"][0] | member]
    data = _changed("read_json", "trade_off", rows=rows)
    assert not DRIVER.accepts(DRIVER.load("read_json"), tmp_path, data)


def test_a_history_without_seconds(tmp_path: Path) -> None:
    reader = DRIVER.load("read_result")
    rows = (reader.WHOLE / "history.csv").read_text().splitlines()
    names = rows[0].replace("seconds", "other")
    assert DRIVER.accepts(reader, tmp_path, ("h" + "\n".join([names, *rows[1:]])).encode())
    assert pydarts.SearchResult.load(tmp_path).seconds == 0


@pytest.mark.parametrize(("column", "value"), [("valid_loss", "none"), ("valid_accuracy", "x")])
def test_a_history_without_numbers(tmp_path: Path, column: str, value: str) -> None:
    reader = DRIVER.load("read_result")
    rows = (reader.WHOLE / "history.csv").read_text().splitlines()
    place = rows[0].split(",").index(column)
    last = rows[-1].split(",")
    last[place] = value
    data = ("h" + "\n".join([*rows[:-1], ",".join(last)])).encode()
    assert not DRIVER.accepts(reader, tmp_path, data)
    with pytest.raises(ValueError, match=column):
        reader.read(tmp_path, data)


@pytest.mark.parametrize(
    "metadata", [{}, {"identity": "[]"}, {"state": '{"a": 1, "a/b": 2}'}, {"identity": "[1]"}]
)
def test_a_checkpoint_with_the_right_checksum(tmp_path: Path, metadata: dict[str, str]) -> None:
    content = {"format": "pydarts-checkpoint", "version": "2", "identity": "{}", "state": "{}"}
    content |= metadata
    digest = checkpoint._digest({}, content)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(save({}, {**content, "digest": digest}))
    with pytest.raises(pydarts.CheckpointError, match="is damaged"):
        checkpoint.read_checkpoint(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
def test_a_table_that_names_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "data.csv").write_text("path,label\npipe.png,a\n")
    with pytest.raises(ValueError, match="there is no such file"):
        read_picture_table(tmp_path / "data.csv")
