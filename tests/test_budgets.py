# SPDX-License-Identifier: MIT
"""What a search will cost, and budgets that it keeps or refuses."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import pydarts
from pydarts import Estimate, RunOptions
from pydarts.bilevel import BilevelStep
from pydarts.training import budget
from pydarts.training.budget import duration, size

# No two columns of it are alike: batch normalisation could not bear that.
TEXT = " ".join(np.random.default_rng(0).choice(["the", "cat", "sat", "on", "a", "mat"], 900))
OUT_OF_TIME = "the deadline has passed"
SMALL: dict[str, Any] = {"channels": 1, "cells": 2, "batch_size": 4, "epochs": 3, "threads": 1}
TINY_TEXT: dict[str, Any] = {
    "hidden_size": 8,
    "batch_size": 4,
    "bptt": 8,
    "epochs": 3,
    "threads": 1,
}


def images(count: int = 32, side: int = 8, channels: int = 1) -> tuple[Any, Any]:
    """Return noise, and labels that have nothing to do with it."""
    rng = np.random.default_rng(0)
    shape = (count, channels, side, side)
    return rng.integers(0, 255, shape, dtype=np.uint8), np.arange(count) % 2


def search(**options: Any) -> pydarts.SearchResult:
    return pydarts.search(*images(), **{**SMALL, "progress": False, **options})


# Estimates


def test_estimate() -> None:
    before = np.random.get_state()[1].tobytes()  # type: ignore[union-attr]
    found = pydarts.estimate(*images(), **SMALL)
    assert np.random.get_state()[1].tobytes() == before  # type: ignore[union-attr]
    assert (found.epochs, found.steps) == (3, 12)
    net = pydarts.Supernet(1, 2, 2, 1, threads=1)
    assert found.bytes == net.memory_plan(4, 8)["total"] + 32 * 64 * 4
    assert found.seconds > 0
    assert re.fullmatch(r"12 steps in 3 epochs: about .* s and .* [kM]B", str(found))


def test_an_estimate_sums_steps_and_validations(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = itertools.count(1)
    seconds = {1: 3.0, 2: 1.0, 3: 2.0, 4: 0.25}  # of steps, and of a part of the validation

    def timed(call: Any) -> float:
        call()
        return seconds[next(calls)]

    monkeypatch.setattr("pydarts.training.budget._timed", timed)
    monkeypatch.setattr("pydarts.training.budget._TIMED_SECONDS", 10.0)
    stopped = SimpleNamespace(perf_counter=lambda: 0.0)  # for what is measured before
    monkeypatch.setattr("pydarts.api.searching.time", stopped)
    # The median of the steps, 4 of them in an epoch; a part of four images, of 16.
    assert pydarts.estimate(*images(), **SMALL).seconds == 3 * (4 * 2.0 + 4 * 0.25)


def test_estimate_of_text() -> None:
    found = pydarts.estimate_text(TEXT, **TINY_TEXT)
    steps = []

    class Count(pydarts.Callback):
        def on_step_end(self, loop: Any, info: Any) -> None:
            steps.append(1)

    options = {**TINY_TEXT, "progress": False, "callbacks": [Count()]}
    result = pydarts.search_text(TEXT, **options)
    assert found.steps == pytest.approx(len(steps), rel=0.05)
    assert found.bytes > result.supernet.memory_plan(4, 8)["total"]
    assert found.seconds > 0


def test_an_estimate_takes_what_a_search_does() -> None:
    with pytest.raises(TypeError, match=r"`epoch`: did you mean `epochs`"):
        pydarts.estimate(*images(), epoch=3)
    with pytest.raises(ValueError, match=r"`X` holds 32 images but `y` holds 31"):
        pydarts.estimate(images()[0], images()[1][:-1])
    with pytest.raises(ValueError, match=r"`memory_budget` \(=1 kB\) is too small"):
        pydarts.estimate(*images(), memory_budget=1000, **SMALL)


def test_words() -> None:
    assert str(Estimate(50, 19500, 93784.0, 1_932_000_000)) == (
        "19,500 steps in 50 epochs: about 1 d 2 h and 1.93 GB"
    )
    assert [duration(s) for s in (0, 0.0001, 0.014, 0.05, 0.996)] == [
        *("0 s", "0.0001 s", "0.014 s", "0.05 s", "1 s")
    ]
    assert [duration(s) for s in (1.04, 99.9, 100, 3599, 3600, 90061)] == [
        *("1.0 s", "99.9 s", "1 min 40 s", "59 min 59 s", "1 h 0 min", "1 d 1 h")
    ]
    assert [size(b) for b in (0, 999, 1234, 999_999, 5.6e7, 2e12)] == [
        *("0 B", "999 B", "1.23 kB", "1 MB", "56 MB", "2e+03 GB")
    ]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("10min", 600), ("1.5 h", 5400), ("90s", 90), ("2D", 172800), (7, 7), (0.5, 0.5)),
        (timedelta(minutes=1.5), 90),
    ],
)
def test_times(text: Any, seconds: float) -> None:
    assert RunOptions(time_budget=text).time_budget == seconds


@pytest.mark.parametrize(
    ("text", "count"),
    [("2GB", 2e9), ("500 mb", 5e8), ("1KiB", 1024), ("0.5GiB", 2**29), (7, 7), (np.int64(9), 9)],
)
def test_sizes(text: Any, count: float) -> None:
    assert RunOptions(memory_budget=text).memory_budget == count


@pytest.mark.parametrize(
    "value", ["", "min", "10", "1.2.3s", "10 s x", ".h", "-1s", timedelta(seconds=-1)]
)
def test_no_times(value: Any) -> None:
    with pytest.raises(ValueError, match="`time_budget`"):
        RunOptions(time_budget=value)


def test_what_would_be_a_time_is_told() -> None:
    for value in ("90", "1h30m", "90 sec"):
        with pytest.raises(ValueError, match=rf"'{value}'.* such as 90, .* such as '1.5h'"):
            RunOptions(time_budget=value)


def test_no_numbers() -> None:
    for value in (True, [1], None.__class__):
        with pytest.raises(TypeError, match="`memory_budget`"):
            RunOptions(memory_budget=value)  # type: ignore[arg-type]


# Memory


def test_what_fits_is_told_and_does() -> None:
    needed = pydarts.estimate(*images(side=16), **SMALL).bytes
    options = {**SMALL, "progress": False}
    pydarts.search(*images(side=16), memory_budget=needed, **options)
    with pytest.raises(ValueError, match="`memory_budget`") as caught:
        pydarts.search(*images(side=16), memory_budget=needed - 1, **options)
    assert f"the search needs {size(needed)}, and with memory='recompute' " in str(caught.value)
    options["memory"] = "recompute"
    pydarts.search(*images(side=16), memory_budget=needed - 1, **options)
    less = pydarts.estimate(*images(side=16), **{**SMALL, "memory": "recompute"}).bytes
    with pytest.raises(ValueError, match=r"and with batch_size=2, memory='recompute' "):
        pydarts.search(*images(side=16), memory_budget=less - 1, **options)
    with pytest.raises(ValueError, match=r"and even with batch_size=2, memory='recompute' "):
        pydarts.search(*images(side=16), memory_budget=1000, **options)
    with pytest.raises(ValueError, match=r"and even with batch_size=1 "):
        pydarts.search_text(TEXT, memory_budget="1kB", progress=False, **TINY_TEXT)
    alone = {**TINY_TEXT, "batch_size": 1}
    with pytest.raises(ValueError, match=r"the search needs [\d.]+ kB$"):
        pydarts.search_text(TEXT, memory_budget="1kB", progress=False, **alone)


# Time


def test_the_search_stops_in_time() -> None:
    # Others may work here, too: what it takes is of its own thread's processor time.
    started, worked = time.perf_counter(), time.process_time()
    result = search(epochs=100_000, time_budget=0.5)
    assert time.perf_counter() - started > 0.45
    assert time.process_time() - worked < 1.5
    assert result.stopped == "the time budget of 0.5 s is spent"
    assert not result.interrupted


def test_a_search_whose_time_is_over_goes_on(tmp_path: Any, spend: Callable[[float], None]) -> None:
    class SpendsAfter(pydarts.Callback):
        def __init__(self, epochs: int):
            self.epochs = epochs

        def on_epoch_end(self, loop: Any, entry: Any) -> None:
            if loop.epoch == self.epochs:
                spend(3600)

    given: dict[str, Any] = {"epochs": 100_000, "checkpoint": tmp_path}
    first = search(**given, time_budget="1h", callbacks=[SpendsAfter(3)])
    assert first.stopped == "the time budget of 3600 s is spent"
    assert not first.interrupted
    assert len(first.history) == 3
    assert isinstance(first.genotype, pydarts.Genotype)
    assert first.seconds > 0
    again = search(**given, time_budget="2h", callbacks=[SpendsAfter(5)])  # an hour is spent
    assert len(again.history) == 5
    assert again.history[:3] == first.history
    assert first.seconds < again.seconds


def test_the_same_for_text(spend: Callable[[float], None]) -> None:
    class Spends(pydarts.Callback):
        def on_epoch_end(self, loop: Any, entry: Any) -> None:
            if loop.epoch == 3:
                spend(3600)

    options = {**TINY_TEXT, "epochs": 100_000, "lr": 0.1, "progress": False}
    result = pydarts.search_text(TEXT, time_budget="1h", callbacks=[Spends()], **options)
    assert len(result.history) == 3
    assert result.stopped == "the time budget of 3600 s is spent"


def test_a_step_longer_than_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    # A thread takes ten seconds for a step of the paper's network; the budget was not seen to be
    # short.
    monkeypatch.setattr("pydarts.training.run.check_budgets", lambda *_: None)
    options: dict[str, Any] = {"preset": "paper", "batch_size": 128, "threads": 1}
    worked = time.process_time()
    result = pydarts.search(*images(256, 32, 3), time_budget=0.5, progress=False, **options)
    assert time.process_time() - worked < 1.5
    assert result.stopped == "the time budget of 0.5 s is spent"
    fresh = pydarts.Supernet(16, 8, 2, 3)
    for name, value in fresh.state().items():  # the step left no trace
        np.testing.assert_array_equal(value, result.supernet.state()[name])


def test_impossible_times_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"preset": "paper", "threads": 1, "progress": False}
    worked = time.process_time()
    with pytest.raises(ValueError, match=r"`time_budget` \(=0\.3 s\) is too short: not even a few"):
        pydarts.search(*images(256, 32, 3), time_budget=0.3, **options)
    assert time.process_time() - worked < 1.3
    clock = itertools.count()  # of a slow machine, where everything takes a second
    monkeypatch.setattr(
        "pydarts.training.budget.time", SimpleNamespace(perf_counter=lambda: float(next(clock)))
    )
    with pytest.raises(ValueError, match=r"is too short for one epoch, .* would fit; all 3 epochs"):
        pydarts.search(*images(1_000), **{**SMALL, "time_budget": 20.0, "progress": False})


def test_a_budget_that_ends_while_the_selection_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What would do is told, not that a deadline has passed."""
    measured = budget._Trial.epoch_seconds

    def epoch_seconds(trial: Any) -> float:
        found: float = measured(trial)
        trial.network.set_deadline(0.0)  # as if so much time had gone
        return found

    monkeypatch.setattr(budget._Trial, "epoch_seconds", epoch_seconds)
    sizes: dict[str, Any] = {"channels": 16, "cells": 3, "batch_size": 32, "epochs": 500}
    with pytest.raises(ValueError, match="and for the selection by perturbation after them"):
        pydarts.search(
            *images(64, 16), **sizes, selector="perturbation", time_budget=5, progress=False
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_deadline_leaves_a_network_as_it_was(dtype: str) -> None:
    net = pydarts.Supernet(4, 3, 2, 1, dtype=dtype, threads=1)
    step = BilevelStep(net)
    X, y = images(8, 8)
    long = images(256, 32)  # what is over is seen fifty milliseconds later
    before = {name: np.array(value) for name, value in step.state().items()}
    net.set_deadline(0.0)
    for _ in range(2):
        with pytest.raises(Exception, match=OUT_OF_TIME):
            step(train=long, valid=long, lr=0.1)
    for name, value in step.state().items():
        np.testing.assert_array_equal(value, before[name])
    net.set_deadline(None)
    assert step(train=(X, y), valid=(X, y), lr=0.1).train_loss > 0
    net.set_deadline(1e30)
    assert step(train=(X, y), valid=(X, y), lr=0.1).train_loss > 0


def test_the_deadline_of_a_search_ends_with_it() -> None:
    class Late(pydarts.Callback):
        def on_epoch_end(self, loop: Any, entry: Any) -> None:
            if loop.epoch == loop.config.epochs:
                loop.network.set_deadline(0.0)

    result = search(time_budget=60, callbacks=[Late()])
    assert result.stopped is None
    assert np.isfinite(result.supernet.logits(np.zeros((8, 1, 8, 8)))).all()
    X = np.zeros((512, 1, 64, 64))
    result.supernet.set_deadline(0.0)
    with pytest.raises(Exception, match=OUT_OF_TIME):
        result.supernet.logits(X)
