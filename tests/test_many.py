# SPDX-License-Identifier: MIT
"""Searches side by side: the same results in any executor, and what happens when jobs fail."""

from __future__ import annotations

import logging
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import Images, halves, untimed

import pydarts
from pydarts import SearchesFailed, SearchResult, search_many, search_many_text
from pydarts.spaces import RECURRENT
from pydarts.training.checkpoint import read_checkpoint

SMALL: dict[str, Any] = {"channels": 1, "cells": 2, "batch_size": 4, "epochs": 2, "progress": False}
# No two columns of it are alike: batch normalisation could not bear that.
TEXT = " ".join(np.random.default_rng(0).choice(["the", "cat", "sat", "on", "a", "mat"], 900))
# With the usual rate gradients by four sequences of four units may overflow in float32.
WORDS: dict[str, Any] = {"hidden_size": 4, "batch_size": 4, "bptt": 8, "epochs": 2, "lr": 1.0}
posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


def images(count: int = 32) -> Images:
    return halves(count, labels=("left", "right"))


def alone(seed: int, **options: Any) -> SearchResult:
    return pydarts.search(*images(), seed=seed, threads=1, **{**SMALL, **options})


def same(a: SearchResult, b: SearchResult) -> None:
    """Assert that two results are the same in every bit but the seconds."""
    assert a.config == b.config
    for name, history in a.alpha_history.items():
        np.testing.assert_array_equal(history, b.alpha_history[name])
        np.testing.assert_array_equal(a.alphas[name], b.alphas[name])
    assert untimed(a.history) == untimed(b.history)


class AtOnce(Executor):
    """Runs a job where it is submitted, on what crossing to another process leaves of it."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.folders: list[Path] = []

    def submit(self, call: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            there = pickle.loads(pickle.dumps((call, args, kwargs)))
            back = pickle.dumps(there[0](*there[1], **there[2]))
            self.sizes.append(len(back))
            self.folders += [value for value in args if isinstance(value, Path)]
            future.set_result(pickle.loads(back))
        except Exception as error:
            future.set_exception(pickle.loads(pickle.dumps(error)))
        return future


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        yield executor


def test_each_seed_finds_what_it_finds_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    executor, seeds = AtOnce(), [3, 1, 2]
    results = search_many(*images(), seeds=seeds, executor=executor, checkpoint=".", **SMALL)
    assert executor.folders == [tmp_path / f"seed-{seed}" for seed in seeds]  # not relative ones
    assert [result.config.seed for result in results] == seeds
    for seed, result in zip(seeds, results, strict=True):
        same(result, alone(seed))
        same(result, SearchResult.load(tmp_path / f"seed-{seed}"))
        assert result.supernet is None
    assert max(executor.sizes) < 20_000
    assert not np.array_equal(results[0].alphas["normal"], results[1].alphas["normal"])


def test_its_own_processes(capfd: Any) -> None:
    X, y = images()
    X = np.stack([X, X, X], axis=-1)  # channels last
    options = {**SMALL, "image_layout": "NHWC", "progress": True}
    (result,) = search_many(X, iter(y), seeds=[5], **options)
    same(result, pydarts.search(X, y, seed=5, **{**options, "progress": False}))
    assert re.search(r"seed 5: normal .*1/1", capfd.readouterr().err, re.DOTALL)


def test_a_class_that_weighs_nothing() -> None:
    X, y = images()
    y = np.resize(["left", "right", "left", "other"], len(y))
    weights = {"left": 1.0, "right": 2.0, "other": 0.0}
    options = {**SMALL, "batch_size": 4, "class_weight": weights}
    (found,) = search_many(X, y, seeds=[2], executor=AtOnce(), **options)
    same(found, pydarts.search(X, y, seed=2, threads=1, **options))


def test_threads_will_do() -> None:
    with ThreadPoolExecutor(2) as executor:
        results = search_many(*images(), seeds=range(3), executor=executor, **SMALL)
        assert executor.submit(int, "3").result() == 3  # it is still open
    for seed, result in enumerate(results):
        same(result, alone(seed))


def test_failures_name_their_seeds_and_keep_the_rest(tmp_path: Path) -> None:
    search_many(*images(), seeds=[1], executor=AtOnce(), checkpoint=tmp_path, **SMALL)
    other = {**SMALL, "channels": 2}
    with pytest.raises(SearchesFailed, match=r"^seed 1: .*`channels` was 1, is 2") as failed:
        search_many(*images(), seeds=[0, 1], executor=AtOnce(), checkpoint=tmp_path, **other)
    assert list(failed.value.errors) == [1]
    assert isinstance(failed.value.errors[1], ValueError)
    same(failed.value.results[0], alone(0, channels=2))


def test_divergence_crosses_processes(pool: Executor) -> None:
    with pytest.raises(SearchesFailed, match=r"^seed 0: ArithmeticError: .*step") as failed:
        search_many(*images(), seeds=[0], executor=pool, lr=1e30, max_grad_norm=1e30, **SMALL)
    assert failed.value.results == {}


class Stop(pydarts.Callback):
    def on_step_end(self, loop: Any, info: Any) -> None:
        if loop.steps_done == 5:
            raise KeyboardInterrupt


def test_only_what_is_left_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone(1, checkpoint=tmp_path / "seed-1", callbacks=[Stop()])
    taken = []
    step = pydarts.bilevel.BilevelStep.__call__

    def counted(*args: Any, **kwargs: Any) -> Any:
        taken.append(1)
        return step(*args, **kwargs)

    monkeypatch.setattr(pydarts.bilevel.BilevelStep, "__call__", counted)
    results = search_many(*images(), seeds=[0, 1], executor=AtOnce(), checkpoint=tmp_path, **SMALL)
    assert len(taken) == 8 + 4  # seed 1 goes on from the end of its first epoch
    again = search_many(*images(), seeds=[1, 0], executor=AtOnce(), checkpoint=tmp_path, **SMALL)
    assert len(taken) == 12
    for seed in (0, 1):
        same(results[seed], alone(seed))
        same(again[1 - seed], results[seed])


def test_an_interrupted_search_is_no_result(tmp_path: Path) -> None:
    options = {"executor": AtOnce(), "checkpoint": tmp_path, "callbacks": [Stop()], **SMALL}
    with pytest.raises(KeyboardInterrupt):
        search_many(*images(), seeds=[0, 1], **options)
    assert [path.name for path in tmp_path.glob("*/*")] == ["checkpoint.safetensors"]


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
        search_many(*images(), seeds=[0, 1], executor=executor, **SMALL)
    assert executor.futures[1].cancelled()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seeds": []}, "`seeds` (=[]) must be different ones"),
        ({"seeds": [1, 1]}, "`seeds` (=[1, 1]) must be different ones"),
        ({"seeds": [-1]}, "`seeds` (=-1) must be at least 0"),
        ({"seeds": 3}, "`seeds` (=3) must be several integers"),
        ({"seeds": [0.5]}, "`seeds` (=0.5) must be an integer"),
        ({"seed": 1}, "`seed` (=1) is not an option here: `seeds` is"),
        ({"folder": "a"}, "unknown option `folder`"),
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


# Text


def test_each_seed_finds_in_a_text_what_it_finds_alone(tmp_path: Path) -> None:
    options: dict[str, Any] = {"level": "word", "max_vocab": 7, "progress": False, **WORDS}
    executor, seeds = AtOnce(), [2, 0]
    results = search_many_text(TEXT, seeds=seeds, executor=executor, checkpoint=tmp_path, **options)
    assert [result.config.seed for result in results] == seeds
    for seed, result in zip(seeds, results, strict=True):
        same(result, pydarts.search_text(TEXT, seed=seed, threads=1, **options))
        same(result, SearchResult.load(tmp_path / f"seed-{seed}"))
        assert result.supernet is None
        assert result.space == RECURRENT
    first, second = (result.alphas["recurrent"] for result in results)
    assert not np.array_equal(first, second)
    again = search_many_text(TEXT, seeds=[0], executor=executor, checkpoint=tmp_path, **options)
    same(again[0], results[1])
    assert again[0].history == results[1].history  # with the same seconds: nothing was done


def test_a_corpus_crosses_processes(pool: Executor) -> None:
    corpus = pydarts.load_corpus(TEXT)
    (result,) = search_many_text(corpus, seeds=[3], executor=pool, progress=False, **WORDS)
    same(result, pydarts.search_text(corpus, seed=3, threads=1, progress=False, **WORDS))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seeds": [1, 1]}, "`seeds` (=[1, 1]) must be different ones"),
        ({"seed": 1}, "`seed` (=1) is not an option here: `seeds` is"),
        ({"channels": 3}, "unknown option `channels`"),
        ({"hidden_size": 0}, "`hidden_size` (=0) must be at least 1"),
        ({"data": ""}, "`data`"),
        ({"data": "no-such-folder/at-all"}, "no-such-folder"),
        ({"level": "letter"}, "`level` (='letter')"),
    ],
)
def test_bad_arguments_over_text_are_told_before_any_search(arguments: Any, message: str) -> None:
    given = {"data": TEXT, "seeds": [0], "executor": Executor(), "progress": False, **WORDS}
    with pytest.raises((ValueError, TypeError, FileNotFoundError), match=re.escape(message)):
        search_many_text(**{**given, **arguments})


# Workers that die


SCRIPT = """
import signal, sys, numpy, pydarts
signal.signal(signal.SIGINT, signal.default_int_handler)
X = numpy.arange(32 * 36, dtype=numpy.uint8).reshape(32, 6, 6)
options = dict(channels=1, cells=2, batch_size=4, epochs=1000000, progress=False)
pydarts.search_many(
    X, [0, 1] * 16, seeds=range(4), checkpoint=sys.argv[1], checkpoint_seconds=0.0, **options
)
"""


@posix
def test_ctrl_c_ends_its_own_processes(tmp_path: Path) -> None:
    where = Path(pydarts.__file__).parents[1]  # not the checkout, whose package has no engine
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    with subprocess.Popen(command, cwd=where, stderr=subprocess.PIPE, text=True) as process:
        end = time.monotonic() + 300
        while not list(tmp_path.glob("*/checkpoint.safetensors")) and time.monotonic() < end:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        try:
            # Its processes share the pipe, which ends with the last of them.
            _, errors = process.communicate(timeout=120)
        finally:
            process.kill()
    assert "\nKeyboardInterrupt\n" in errors
    assert "Exception in thread" not in errors
    assert list(tmp_path.glob("*/genotype.json")) == []
    read_checkpoint(next(tmp_path.glob("*/checkpoint.safetensors")))


class WaitForTheKill(pydarts.Callback):
    """Hold a search after its third epoch, until a process is killed."""

    def __init__(self, folder: Path):
        self.killed = folder / "killed"

    def on_epoch_end(self, loop: Any, entry: Any) -> None:
        end = time.monotonic() + 300
        while loop.epoch == 3 and not self.killed.exists() and time.monotonic() < end:
            time.sleep(0.01)


@contextmanager
def killed_amid(process: int, *searches: Path) -> Iterator[list[dict[str, Any]]]:
    """Kill a process when each of the searches has done an epoch, but not all; gives the epochs."""
    done: list[list[dict[str, Any]]] = []
    first: list[dict[str, Any]] = []

    def history(folder: Path) -> list[dict[str, Any]]:
        file = folder / "checkpoint.safetensors"
        return list(read_checkpoint(file).state["loop"]["history"]) if file.exists() else []

    def wait() -> None:
        end = time.monotonic() + 300
        while not (done and all(done)) and time.monotonic() < end:
            time.sleep(0.01)
            done[:] = map(history, searches)
        os.kill(process, signal.SIGKILL)
        (searches[0].parent / "killed").touch()

    thread = threading.Thread(target=wait)
    thread.start()
    yield first
    thread.join()
    assert 1 <= min(map(len, done)) <= max(map(len, done)) < LONG["epochs"]
    first += [entries[0] for entries in done]


LONG: dict[str, Any] = {**SMALL, "epochs": 6}
KEPT: dict[str, Any] = {**LONG, "checkpoint_seconds": 0.0}


@posix
@pytest.mark.usefixtures("checkout_in_processes")
def test_a_pool_that_breaks_names_the_seeds_and_is_taken_up(tmp_path: Path) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        process = executor.submit(os.getpid).result()
        with (
            killed_amid(process, tmp_path / "seed-0") as first,
            pytest.raises(SearchesFailed, match=r"^seed 0: BrokenProcessPool.*; seed 1: "),
        ):
            options = {**KEPT, "callbacks": [WaitForTheKill(tmp_path)]}
            search_many(*images(), seeds=[0, 1], executor=executor, checkpoint=tmp_path, **options)
    results = search_many(*images(), seeds=[0, 1], executor=AtOnce(), checkpoint=tmp_path, **LONG)
    for seed, result in enumerate(results):
        same(result, alone(seed, epochs=6))
    assert results[0].history[0] == first[0]  # with the same seconds


@pytest.mark.slow
@posix
@pytest.mark.usefixtures("checkout_in_processes")
def test_dask_runs_again_what_a_lost_worker_left(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with (
        distributed.LocalCluster(silence_logs=logging.CRITICAL, **options) as cluster,
        distributed.Client(cluster) as client,
    ):
        before = set(client.run(os.getpid).values())
        with (
            client.get_executor() as executor,
            killed_amid(min(before), tmp_path / "seed-0", tmp_path / "seed-1") as first,
        ):
            kept = {**KEPT, "callbacks": [WaitForTheKill(tmp_path)]}
            results = search_many(
                *images(), seeds=range(3), executor=executor, checkpoint=tmp_path, **kept
            )
        client.wait_for_workers(2)
        assert before - set(client.run(os.getpid).values()) == {min(before)}
    for seed, result in enumerate(results):
        same(result, alone(seed, epochs=6))
    assert [result.history[0] for result in results[:2]] == first  # with the same seconds
