# SPDX-License-Identifier: MIT
"""`search_many`: the same results as one by one, whatever runs them and whatever fails."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pydarts import Callback, SearchesFailed, SearchResult, search, search_many

Array = NDArray[Any]
SMALL: dict[str, Any] = {"channels": 1, "cells": 3, "epochs": 2, "batch_size": 8}
SEEDS = (3, 0, 1)


def pictures(count: int = 48) -> tuple[Array, list[str]]:
    """Noise with a bright left half in class "a", a bright right half in class "b"."""
    X = np.random.default_rng(0).integers(0, 100, (count, 8, 8))
    X[::2, :, :4] += 150
    X[1::2, :, 4:] += 150
    return X.astype(np.uint8), ["a", "b"] * (count // 2)


def alone(seed: int, **options: Any) -> SearchResult:
    """What one search finds."""
    return search(*pictures(), seed=seed, progress=False, threads=1, **{**SMALL, **options})


def many(seeds: Any = SEEDS, **options: Any) -> list[SearchResult]:
    """What several find."""
    return search_many(seeds, *pictures(), progress=False, **{**SMALL, **options})


def same(a: SearchResult, b: SearchResult) -> bool:
    """Whether two results are equal but for times and supernets."""
    without = [
        [{k: v for k, v in entry.items() if k != "seconds"} for entry in result.history]
        for result in (a, b)
    ]
    return (
        a.config == b.config
        and without[0] == without[1]
        and all(np.array_equal(a.alphas[k], b.alphas[k]) for k in a.alphas)
        and all(np.array_equal(a.alpha_history[k], b.alpha_history[k]) for k in a.alpha_history)
    )


@pytest.fixture(scope="module")
def expected() -> dict[int, SearchResult]:
    """What each seed finds."""
    return {seed: alone(seed) for seed in SEEDS}


class DieOnce(Callback):
    """Writes down the epochs of seed 0, and kills the process in the second, but only once."""

    def __init__(self, log: Path):
        self.log = log

    def on_epoch(self, course: Any, entry: Any) -> None:
        if course.config.seed != 0:
            return
        before = self.log.read_text() if self.log.exists() else ""
        self.log.write_text(f"{before}{course.epoch} ")
        if course.epoch == 2 and before == "1 ":
            os.kill(os.getpid(), signal.SIGKILL)


def test_processes_give_the_results_of_searches_alone(expected: dict[int, SearchResult]) -> None:
    results = many()
    assert [result.config.seed for result in results] == list(SEEDS)
    for result in results:
        assert same(result, expected[result.config.seed])
        assert result.supernet is None
        assert result.genotype == expected[result.config.seed].genotype
    assert not same(results[0], results[1])


def test_any_executor_and_a_folder(
    expected: dict[int, SearchResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with ThreadPoolExecutor(2) as executor:
        results = many(executor=executor, folder="searches")
        assert executor.submit(int, "3").result() == 3  # it is still open
    for seed, result in zip(SEEDS, results, strict=True):
        assert same(result, expected[seed])
        loaded = SearchResult.load(tmp_path / "searches" / f"seed-{seed}")
        assert same(loaded, expected[seed])


def test_finished_searches_are_not_run_again(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        first = many(executor=executor, folder=tmp_path)
        again = many(executor=executor, folder=tmp_path)
    assert [r.history for r in first] == [r.history for r in again]  # with the same seconds


def test_a_failure_names_its_seed_and_keeps_the_others(expected: dict[int, SearchResult]) -> None:
    class Failing(Callback):
        def on_epoch(self, course: Any, entry: Any) -> None:
            if course.config.seed == 0:
                raise OSError("no such luck")

    with (
        ThreadPoolExecutor(2) as executor,
        pytest.raises(SearchesFailed, match=r"^seed 0: OSError: no such luck$") as caught,
    ):
        many(executor=executor, callbacks=[Failing()])
    assert caught.value.results.keys() == {1, 3}
    assert same(caught.value.results[3], expected[3])
    assert isinstance(caught.value.errors[0], OSError)


def test_errors_cross_processes() -> None:
    with pytest.raises(SearchesFailed) as caught:
        many((0,), lr=1e30)
    assert "seed 0: ArithmeticError: step " in str(caught.value)
    with pytest.raises(SearchesFailed, match="seed 0: ValueError: `channels` \\(=0\\) must be"):
        many((0,), channels=0)


def test_a_killed_worker(expected: dict[int, SearchResult], tmp_path: Path) -> None:
    log = tmp_path / "epochs"
    options = {"folder": tmp_path / "out", "callbacks": [DieOnce(log)]}
    with pytest.raises(SearchesFailed, match="seed 0: BrokenProcessPool: "):
        many(**options)
    for seed, result in zip(SEEDS, many(**options), strict=True):
        assert same(result, expected[seed])
    assert log.read_text() == "1 2 2 "  # the first epoch was not run again


def test_interrupted() -> None:
    begun = []

    class Press(Callback):
        def on_start(self, course: Any) -> None:
            begun.append(course.config.seed)
            time.sleep(0.5)  # until all are submitted
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)  # until the others are cancelled

    with ThreadPoolExecutor(1) as executor, pytest.raises(KeyboardInterrupt):
        many(executor=executor, callbacks=[Press()])
    assert begun == [SEEDS[0]]  # the others were cancelled


def test_processes_end_when_their_owner_is_interrupted(tmp_path: Path) -> None:
    def press() -> None:
        while not list(tmp_path.glob("*/checkpoint.safetensors")):
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        many(folder=tmp_path, epochs=400)
    assert not list(tmp_path.glob("*/genotype.json"))  # which a finished search has


@pytest.mark.parametrize(
    ("seeds", "options", "error", "message"),
    [
        ((), {}, ValueError, "`seeds` (=[]) must be different ones, and at least one"),
        ((1, 1), {}, ValueError, "`seeds` (=[1, 1]) must be different ones"),
        ((-1,), {}, ValueError, "`seeds` (=-1) must be at least 0"),
        ((0,), {"seed": 1}, TypeError, "`seed` (=1) is not taken: give `seeds`"),
        ((0,), {"checkpoint": "x"}, TypeError, "`checkpoint` (='x') is not taken: give `folder`"),
        ((0,), {"threads": 0}, ValueError, "`threads` (=0) must be at least 1"),
    ],
)
def test_bad_arguments(seeds: Any, options: Any, error: type[Exception], message: str) -> None:
    class Unused(Executor):
        def submit(self, *_: Any, **__: Any) -> Any:
            pytest.fail("work began")

    with pytest.raises(error) as caught:
        many(seeds, executor=Unused(), **options)
    assert message in str(caught.value)


def test_dask_survives_a_killed_worker(expected: dict[int, SearchResult], tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    log = tmp_path / "epochs"
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=str(tmp_path)
    )
    with cluster, distributed.Client(cluster) as client:
        results = many(
            executor=client.get_executor(),
            folder=tmp_path / "out",
            callbacks=[DieOnce(log)],
        )
    assert log.read_text() == "1 2 2 "
    for seed, result in zip(SEEDS, results, strict=True):
        assert same(result, expected[seed])
