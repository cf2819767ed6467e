# SPDX-License-Identifier: MIT
"""Searches side by side: the same results in any executor, and what happens when jobs fail."""

from __future__ import annotations

import os
import pickle
import re
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pydarts
from pydarts import SearchesFailed, SearchResult, search_many
from pydarts.checkpoint import read_checkpoint

SMALL: dict[str, Any] = {"channels": 1, "cells": 2, "batch_size": 4, "epochs": 2, "progress": False}


def images(count: int = 32) -> tuple[Any, Any]:
    """Return noise with a bright half, and which half it is."""
    X = np.random.default_rng(0).integers(0, 100, (count, 6, 6), dtype=np.uint8)
    X[::2, :, :3] += 150
    return X, np.resize(["left", "right"], count)


def alone(seed: int, **options: Any) -> SearchResult:
    return pydarts.search(*images(), seed=seed, **{**SMALL, **options})


def same(a: SearchResult, b: SearchResult) -> None:
    """Assert that two results are the same in every bit but the seconds."""
    assert a.config == b.config
    for name, history in a.alpha_history.items():
        np.testing.assert_array_equal(history, b.alpha_history[name])
        np.testing.assert_array_equal(a.alphas[name], b.alphas[name])
    first, second = ([{**entry, "seconds": 0} for entry in r.history] for r in (a, b))
    assert first == second


class AtOnce(Executor):
    """Runs a job where it is submitted, on what crossing to another process leaves of it."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def submit(self, call: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            there = pickle.loads(pickle.dumps((call, args, kwargs)))
            back = pickle.dumps(there[0](*there[1], **there[2]))
            self.sizes.append(len(back))
            future.set_result(pickle.loads(back))
        except Exception as error:
            future.set_exception(pickle.loads(pickle.dumps(error)))
        return future


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        yield executor


def test_each_seed_finds_what_it_finds_alone(tmp_path: Path) -> None:
    executor = AtOnce()
    results = search_many([3, 1], *images(), executor=executor, folder=tmp_path, **SMALL)
    assert [result.config.seed for result in results] == [3, 1]
    for seed, result in zip((3, 1), results, strict=True):
        same(result, alone(seed))
        same(result, SearchResult.load(tmp_path / f"seed-{seed}"))
        assert result.supernet is None
    assert max(executor.sizes) < 20_000
    assert not np.array_equal(results[0].alphas["normal"], results[1].alphas["normal"])


def test_its_own_processes(capfd: Any) -> None:
    X, y = images()
    X = np.stack([X, X, X], axis=-1)  # channels last
    options = {**SMALL, "image_layout": "NHWC", "progress": True}
    (result,) = search_many([5], X, iter(y), **options)
    same(result, pydarts.search(X, y, seed=5, **{**options, "progress": False}))
    assert re.search(r"seed 5: normal .*1/1", capfd.readouterr().err, re.DOTALL)


def test_threads_will_do() -> None:
    with ThreadPoolExecutor(2) as executor:
        results = search_many(range(3), *images(), executor=executor, **SMALL)
    for seed, result in enumerate(results):
        same(result, alone(seed))


def test_failures_name_their_seeds_and_keep_the_rest(tmp_path: Path) -> None:
    search_many([1], *images(), executor=AtOnce(), folder=tmp_path, **SMALL)
    other = {**SMALL, "channels": 2}
    with pytest.raises(SearchesFailed, match=r"^seed 1: .*`channels` was 1, is 2") as failed:
        search_many([0, 1], *images(), executor=AtOnce(), folder=tmp_path, **other)
    assert list(failed.value.errors) == [1]
    assert isinstance(failed.value.errors[1], ValueError)
    same(failed.value.results[0], alone(0, channels=2))


def test_divergence_crosses_processes(pool: Executor) -> None:
    with pytest.raises(SearchesFailed, match=r"^seed 0: ArithmeticError: .*step") as failed:
        search_many([0], *images(), executor=pool, lr=1e30, clip=1e30, **SMALL)
    assert failed.value.results == {}


def test_what_is_finished_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = search_many([0, 1], *images(), executor=AtOnce(), folder=tmp_path, **SMALL)

    def step(*_: object, **__: object) -> None:
        pytest.fail("work began")

    monkeypatch.setattr("pydarts.bilevel.BilevelStep.__call__", step)
    again = search_many([1, 0], *images(), executor=AtOnce(), folder=tmp_path, **SMALL)
    assert [entry["seconds"] for entry in again[1].history] == [
        entry["seconds"] for entry in first[0].history
    ]
    same(again[0], first[1])


def test_ctrl_c_begins_nothing_more() -> None:
    class Pressed(Executor):
        def __init__(self) -> None:
            self.futures: list[Future[Any]] = [Future(), Future()]
            self.submitted = iter(self.futures)

        def submit(self, call: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            return next(self.submitted)

    executor = Pressed()
    executor.futures[0].set_exception(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        search_many([0, 1], *images(), executor=executor, **SMALL)
    assert executor.futures[1].cancelled()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seeds": []}, "`seeds` (=[]) must be different ones"),
        ({"seeds": [1, 1]}, "`seeds` (=[1, 1]) must be different ones"),
        ({"seeds": [-1]}, "`seeds` (=-1) must be at least 0"),
        ({"seeds": [0.5]}, "`seeds` (=0.5) must be an integer"),
        ({"seed": 1}, "`seed` (=1) is not an option here: `seeds` is"),
        ({"checkpoint": "a"}, "`checkpoint` (='a') is not an option here: `folder` is"),
        ({"threads": 0}, "`threads` (=0) must be at least 1"),
        ({"epoch": 3}, "unknown option `epoch`: did you mean `epochs`?"),
        ({"preset": "fast"}, "`preset` (='fast') must be one of"),
        ({"X": np.zeros((4, 2))}, "`X` has shape (4, 2)"),
    ],
)
def test_bad_arguments_are_told_before_any_search(arguments: Any, message: str) -> None:
    X, y = images()
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        search_many(**{"seeds": [0], "X": X, "y": y, "executor": Executor(), **SMALL, **arguments})


def wait_for_steps(folder: Path, steps: int, process: int) -> None:
    """Wait until a search's checkpoint holds so many steps, and not yet all of them."""
    file = folder / "checkpoint.safetensors"
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if file.exists() and read_checkpoint(file)[1]["step"]["steps"] >= steps:
            os.kill(process, signal.SIGKILL)
            return
        time.sleep(0.005)
    pytest.fail("the search did not get so far")
