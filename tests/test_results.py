# SPDX-License-Identifier: MIT
"""Results of searches that are saved, not overwritten, and loaded with how they ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pydarts
from pydarts import SearchResult

# No two columns of it are alike: batch normalisation could not bear that.
TEXT = " ".join(np.random.default_rng(0).choice(["the", "cat", "sat", "on", "a", "mat"], 150))
RUN: dict[str, Any] = {"batch_size": 4, "epochs": 2, "threads": 1, "progress": False}


def search_images(**options: Any) -> Any:
    X = np.random.default_rng(0).integers(0, 100, (16, 6, 6), dtype=np.uint8)
    return pydarts.search(X, np.arange(16) % 2, **{"channels": 1, "cells": 2, **RUN, **options})


def search_text(**options: Any) -> Any:
    return pydarts.search_text(TEXT, **{"hidden_size": 4, "bptt": 8, **RUN, **options})


@pytest.fixture(params=[search_images, search_text], ids=["images", "text"])
def search(request: pytest.FixtureRequest) -> Any:
    return request.param


class End(pydarts.Callback):
    """End a search after its first epoch: by a stop, or as Ctrl-C does."""

    def __init__(self, how: str):
        self.how = how

    def on_epoch_end(self, loop: Any, entry: Any) -> None:
        if self.how == "stopped":
            loop.stop("seen enough")
        elif self.how == "interrupted":
            raise KeyboardInterrupt


@pytest.mark.parametrize("how", ["finished", "stopped", "interrupted"])
def test_a_loaded_result_knows_how_it_ended(search: Any, how: str, tmp_path: Path) -> None:
    result = search(callbacks=[End(how)])
    assert result.interrupted == (how == "interrupted")
    assert result.stopped == ("seen enough" if how == "stopped" else None)
    result.save(tmp_path / "new")
    loaded = SearchResult.load(tmp_path / "new")
    assert loaded.supernet is None
    for name in ("config", "genotype", "history", "interrupted", "stopped", "seconds", "space"):
        assert getattr(loaded, name) == getattr(result, name), name
    assert loaded.seconds >= loaded.history[-1]["seconds"] > 0
    assert type(loaded.interrupted) is bool
    for name, alphas in result.alphas.items():
        np.testing.assert_array_equal(loaded.alphas[name], alphas)
        np.testing.assert_array_equal(loaded.alpha_history[name], result.alpha_history[name])
    head = repr(result).splitlines()[0]
    assert repr(loaded).splitlines()[0] == head
    assert ("(interrupted)" in head, "(stopped: seen enough)" in head) == (
        how == "interrupted",
        how == "stopped",
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_result_is_not_overwritten_unasked(search: Any, tmp_path: Path) -> None:
    first, second = search(), search(seed=1)
    first.save(str(tmp_path))
    before = contents(tmp_path)
    with pytest.raises(FileExistsError, match=r"result\.json exists; `overwrite=True` replaces it"):
        second.save(tmp_path)
    assert contents(tmp_path) == before
    second.save(tmp_path, overwrite=True)
    assert SearchResult.load(tmp_path).config.seed == 1
    assert contents(tmp_path).keys() == before.keys()


@pytest.mark.parametrize("there", ["result.json", "genotype.json"])
def test_nor_is_a_part_of_one(there: str, tmp_path: Path) -> None:
    # Version 1 wrote no result.json.
    (tmp_path / there).write_text("precious", encoding="utf-8")
    with pytest.raises(FileExistsError, match=there):
        search_images(epochs=1).save(tmp_path)
    assert contents(tmp_path) == {there: b"precious"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "it is not the description of a pydarts result"),
        ({"version": 1}, "its version is 1, not 2"),
        ({"version": True}, "its version is True, not 2"),
        ({"space": "darts-recurrent"}, "its space is 'darts-recurrent'"),
        ({"config": {"preset": "quick", "epochs": 0}}, "`epochs` (=0) must be at least 1"),
        ({"config": {"preset": "quick", "zzz": 0}}, "zzz"),
        ({"config": 3}, "a configuration must be an object"),
        ({"seconds": "x"}, "could not convert"),
        ({"stopped": ...}, "'stopped' is missing"),
    ],
)
def test_a_damaged_result_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    search_images(epochs=1).save(tmp_path)
    path = tmp_path / "result.json"
    d = {**json.loads(path.read_text(encoding="utf-8")), **change}
    path.write_text(json.dumps({k: v for k, v in d.items() if v is not ...}), encoding="utf-8")
    with pytest.raises(ValueError, match="cannot be read") as error:
        SearchResult.load(tmp_path)
    assert str(path) in str(error.value)
    assert message in str(error.value)


def test_a_missing_result_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"genotype\.json is missing"):
        SearchResult.load(tmp_path)
    search_images(epochs=1).save(tmp_path)
    (tmp_path / "result.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"result\.json is missing"):
        SearchResult.load(tmp_path)


def test_a_result_that_is_replaced_is_never_half_of_two(
    search: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = search()
    result.save(tmp_path)
    monkeypatch.setattr("pydarts.training.result.write_history", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        result.save(tmp_path, overwrite=True)
    with pytest.raises(FileNotFoundError):
        pydarts.SearchResult.load(tmp_path)
