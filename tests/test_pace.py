# SPDX-License-Identifier: MIT
"""A training of `fit` whose steps do not take what was measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import halves

import pydarts
from pydarts import Plan
from pydarts.api import fitting
from pydarts.training import pace
from pydarts.training.pace import begins_anew
from pydarts.training.plan import MARGIN, EpochSeconds, TrainingChoice


def chosen(epochs: int = 10, steps: float = 90.0, validation: float = 3.0) -> TrainingChoice:
    return TrainingChoice(8, 5, epochs, steps + validation, steps, True, "")


def anew(pace: float, elapsed: float, planned: TrainingChoice | None = None, **of: float) -> bool:
    """Whether a training for 100 s begins anew."""
    return begins_anew(planned or chosen(), pace, elapsed, 100 - elapsed, of.get("planning", 0.0))


def test_where_all_is_as_planned_it_goes_on() -> None:
    assert not any(anew(1.0, elapsed) for elapsed in (3.0, 50.0, 92.0))
    # As where the images of an epoch are given, which cannot fill the time; or where the data took
    # much of it before the first step.
    assert not anew(1.0, 5.0, chosen(epochs=1, steps=60.0))
    assert not anew(1.0, 5.0, chosen(steps=150.0))


def test_a_faster_machine() -> None:
    # At half of what was measured it needs 48 s, of which 1.25 times are 60.
    assert anew(0.5, 5.0)
    assert anew(0.5, 100 - 60.1 / (1 - MARGIN))
    assert not anew(0.5, 100 - 59.9 / (1 - MARGIN))
    assert not anew(0.5, 100 - 60.1 / (1 - MARGIN), planning=1.0)
    assert not anew(0.85, 3.0)  # 79.5 s
    # More time would not have given more epochs.
    assert not anew(0.5, 5.0, replace(chosen(), fills=False))


def test_a_slower_machine() -> None:
    # At 1.5 times what was measured it needs 138 s.
    assert anew(1.5, 5.0)
    assert anew(1.5, 5.0, replace(chosen(), fills=False))
    assert not anew(1.5, 16.0)  # too much is done
    assert not anew(1.12, 3.0)  # 103.8 s: little is cut
    # Nothing else is possible where not even an epoch fits.
    assert not anew(1.5, 5.0, chosen(epochs=1))
    assert anew(1.5, 5.0, chosen(epochs=3))
    assert not anew(1.5, 5.0, chosen(epochs=3), planning=30.0)


class Loop:
    """What a callback sees of one."""

    def __init__(self) -> None:
        self.step = 0
        self.stopped: str | None = None

    def stop(self, reason: str) -> None:
        self.stopped = reason


@pytest.mark.parametrize(
    ("seconds", "begins", "share"), [(0.1, None, ""), (0.04, 17, "40%"), (0.2, 14, "200%")]
)
def test_steps_are_timed_without_the_validation(
    seconds: float, begins: int | None, share: str
) -> None:
    # Planned are 900 steps of 0.1 s. Here epochs have four, so that some validation is among the
    # first, and a pace is known after ten that follow another and after 3 s.
    now, start = 0.0, 1000.0
    loop: Any = Loop()
    told: list[str] = []
    watch = pace.Pace(chosen(), 900, 1.0, lambda: 100 - now, told.append, clock=lambda: start + now)
    watch.on_start(loop)
    number = 0
    while number < 60 and loop.stopped is None:
        number += 1
        now += seconds + (0.5 if number % 4 == 1 else 0.0)
        loop.step = (number - 1) % 4 + 1
        watch.on_step_end(loop, None)
    assert (None if loop.stopped is None else number) == begins
    assert watch.reason == loop.stopped
    assert told == ([] if loop.stopped is None else [loop.stopped])
    if share:
        assert f"steps take {share} of the time that was measured before: after" in loop.stopped


def test_what_fast_steps_take_by_now_counts() -> None:
    # 40 steps as planned, then faster ones: half of the last 50 are so with the 65th.
    now = 0.0
    loop: Any = Loop()
    watch = pace.Pace(chosen(), 900, 1.0, lambda: 100 - now, lambda reason: None, lambda: now)
    watch.on_start(loop)
    while loop.step < 75 and loop.stopped is None:
        now += 0.1 if loop.step < 40 else 0.03
        loop.step += 1
        watch.on_step_end(loop, None)
    assert loop.step == 65


def test_a_slow_while_alone_does_not_begin_anew() -> None:
    # 80 steps faster than planned, but not by enough, and then slow ones.
    now = 0.0
    loop: Any = Loop()
    watch = pace.Pace(chosen(), 900, 1.0, lambda: 100 - now, lambda reason: None, lambda: now)
    watch.on_start(loop)
    while loop.step < 110:
        now += 0.085 if loop.step < 80 else 0.16
        loop.step += 1
        watch.on_step_end(loop, None)
    assert loop.stopped is None


class Seen(pydarts.Callback):
    """What it was told."""

    def __init__(self) -> None:
        self.starts, self.ends = 0, [""]

    def on_start(self, loop: Any) -> None:
        self.starts += 1

    def on_end(self, loop: Any, result: Any) -> None:
        self.ends.append(result.stopped)


def fit(**options: Any) -> pydarts.Model:
    small = {"channels": 1, "cells": 2, "batch_size": 8, "progress": False, "threads": 1}
    X, y = halves(64, side=8, labels=("left", "right"), seed=0)
    return pydarts.fit(X, y, **{**small, **options})


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What epochs are measured to take; a pace is known after ten steps."""
    seconds: list[float] = []
    monkeypatch.setattr(fitting, "training_epoch_seconds", lambda *_: EpochSeconds(seconds.pop(0)))
    monkeypatch.setattr(pace, "KNOWN", 0.0)
    return seconds


def test_a_training_begins_anew(
    measured: list[float], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    measured += [200.0, 100.0]
    seen = Seen()
    with caplog.at_level("INFO", "pydarts"):
        model = fit(time_budget=1000.0, checkpoint=tmp_path, callbacks=[seen])
    assert model.plan is not None
    assert model.plan.epochs == len(model.history) == 9  # rather than five
    assert model.stopped is None
    assert measured == []
    assert seen.starts == 2
    assert seen.ends[1].endswith("the training begins anew")
    assert seen.ends[2] is None
    assert f"S{seen.ends[1][1:]}." in model.plan.why
    assert model.plan.given_up
    whys = [line for line in caplog.messages if line in model.plan.why]
    assert tuple(whys[-2:]) == model.plan.why[-2:]  # what is new, once
    assert whys.count(model.plan.why[0]) == 1
    assert model.plan == Plan.load(tmp_path / "plan.json")
    for again in (
        fit(plan=model.plan),
        fit(time_budget=1000.0, checkpoint=tmp_path),  # which is done
    ):
        assert again.plan == model.plan
        np.testing.assert_equal(again.network.state_dict(), model.network.state_dict())


def test_where_the_epochs_are_given_it_does_not(measured: list[float]) -> None:
    measured += [100.0]
    assert fit(time_budget=1000.0, epochs=3).plan.epochs == 3


def test_with_few_steps_an_epoch_all_are_timed(measured: list[float]) -> None:
    measured += [200.0, 100.0]
    model = fit(time_budget=4000.0, batch_size=64)
    assert len(model.history) == model.plan.epochs == 37  # rather than 18


def test_it_begins_anew_once(measured: list[float]) -> None:
    measured += [200.0, 200.0]
    model = fit(time_budget=1000.0)
    assert model.plan.epochs == 5
    assert sum("begins anew" in reason for reason in model.plan.why) == 1


def test_where_nothing_fits_any_more_the_first_plan_holds(measured: list[float]) -> None:
    measured += [200.0, 2000.0]
    model = fit(time_budget=1000.0)
    assert len(model.history) == model.plan.epochs == 5
    assert [reason[:11] for reason in model.plan.why] == [
        "The cell is",
        "Steps take ",
        "The network",
    ]


def test_what_another_callback_stops_does_not(measured: list[float]) -> None:
    class Stop(pydarts.Callback):
        def on_step_end(self, loop: Any, info: Any) -> None:
            if loop.steps_done == 10:  # when the pace is known
                loop.stop("enough")

    measured += [200.0]
    assert fit(time_budget=1000.0, callbacks=[Stop()]).stopped == "enough"


class Leave(pydarts.Callback):
    """Ends the training as it is stopped, by Ctrl-C or an error, once."""

    def __init__(self, error: bool):
        self.left, self.error = False, error

    def on_end(self, loop: Any, result: Any) -> None:
        if self.left:
            return
        self.left = True
        if self.error:
            raise RuntimeError("of a callback")
        result.interrupted = True


@pytest.mark.parametrize("error", [False, True])
def test_what_is_left_while_it_is_given_up_plans_anew(
    error: bool, measured: list[float], tmp_path: Path
) -> None:
    measured += [200.0]
    leave = Leave(error)
    options: dict[str, Any] = {"time_budget": 1000.0, "checkpoint": tmp_path}
    if error:
        with pytest.raises(RuntimeError, match="of a callback"):
            fit(callbacks=[leave], **options)
    else:
        assert fit(callbacks=[leave], **options).interrupted
    assert (Plan.load(tmp_path / "plan.json").epochs, leave.left) == (0, True)
    measured += [100.0]
    model = fit(callbacks=[leave], **options)
    assert len(model.history) == model.plan.epochs == 9
    assert sum("begins anew" in reason for reason in model.plan.why) == 1


def test_a_checkpoint_of_another_training_stays(measured: list[float], tmp_path: Path) -> None:
    measured += [200.0]
    X, y = halves(64, side=8, labels=("left", "right"), seed=0)
    small: dict[str, Any] = {"channels": 2, "cells": 2, "batch_size": 8, "threads": 1, "epochs": 1}
    pydarts.train(pydarts.DARTS_V1, X, y, checkpoint=tmp_path, progress=False, **small)
    kept = (tmp_path / "train_checkpoint.safetensors").read_bytes()
    with pytest.raises(pydarts.CheckpointError, match="is of another run"):
        fit(time_budget=1000.0, checkpoint=tmp_path)
    assert (tmp_path / "train_checkpoint.safetensors").read_bytes() == kept
