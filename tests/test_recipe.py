# SPDX-License-Identifier: MIT
"""The recipe of a training over images: drop path, label smoothing, warm-up, schedule, averaged
weights.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import halves, same_models

import pydarts
from pydarts.engine.sgd import SGD
from pydarts.tasks.images import ImageClassification

EPOCHS, STEPS, CLASSES = 3, 4, 2


def train(**options: Any) -> pydarts.Model:
    """Train on them, with images to validate on."""
    X_valid, y_valid = halves(10, by=50, seed=1)
    small = {"channels": 1, "cells": 2, "batch_size": 4, "epochs": EPOCHS, "crop_padding": 0}
    small |= {"X_valid": X_valid, "y_valid": y_valid, "threads": 1, "progress": False}
    return pydarts.train(pydarts.DARTS_V2, *halves(16, by=50), **{**small, **options})


class Steps(pydarts.Callback):
    """Keep the weights and running statistics after each step; stop after so many."""

    def __init__(self, stop: int | None = None) -> None:
        self.states: list[dict[str, Any]] = []
        self.stop = stop

    def on_step_end(self, loop: Any, info: Any) -> None:
        state = loop.network.state()
        self.states.append({name: state[name].copy() for name in ("weights", "running")})
        if len(self.states) == self.stop:
            loop.stop("enough")


# Drop path


def test_drop_path_of_each_epoch() -> None:
    # SPEC §4: the rate rises linearly; a mask for each path and sample, divided by what is kept.
    task = ImageClassification(*halves(64, by=50))
    values = {"epochs": 4, "batch_size": 64, "drop_path": 0.4, "channels": 2, "cells": 6}
    config = task.complete(pydarts.TrainConfig.make("quick", values))
    network = task.model(pydarts.DARTS_V2, config).network
    data = task.train_data(config, np.random.default_rng(0))
    item = np.arange(64)
    assert data.inputs(item, network, 0, 0)["drop_masks"] is None
    for epoch in (1, 2, 3):
        keep = 1 - 0.4 * epoch / 4
        masks = data.inputs(item, network, epoch, epoch)["drop_masks"]
        assert masks.shape == (network.num_droppable, 64)
        assert set(np.unique(masks)) == {np.float32(0), 1 / np.float32(keep)}
        deviation = np.sqrt(keep * (1 - keep) / masks.size)
        assert (masks > 0).mean() == pytest.approx(keep, abs=4 * deviation)
        for axis in (0, 1):  # neither of a path nor of a sample are all alike
            assert 0 < (masks > 0).mean(axis=axis).std() < 0.3
        other = data.inputs(item, network, epoch, epoch + 4)["drop_masks"]
        assert (other != masks).any()


# Label smoothing


@pytest.mark.parametrize("auxiliary", [False, True])
def test_the_loss_is_that_of_smoothed_labels(
    auxiliary: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, seen = SGD.__call__, []

    def watched(self: SGD, x: Any, y: Any, *args: Any, **more: Any) -> Any:
        logits = pickle.loads(pickle.dumps(self.network)).logits(x, training=True)
        info = step(self, x, y, *args, **more)
        seen.append((logits, y, info))
        return info

    monkeypatch.setattr(SGD, "__call__", watched)
    train(label_smoothing=0.3, auxiliary=auxiliary, auxiliary_weight=0.0, cells=3)
    assert len(seen) == EPOCHS * STEPS
    for logits, y, info in seen:
        label = y.argmax(axis=1)
        np.testing.assert_allclose(y, np.where(np.eye(CLASSES)[label] == 1, 0.85, 0.15), rtol=1e-6)
        logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        assert info.train_loss == pytest.approx(-(y * logs).sum(axis=1).mean(), rel=1e-5)
        assert info.train_correct == (logits.argmax(axis=1) == label).sum()


def test_validation_is_on_the_labels() -> None:
    model = train(label_smoothing=0.5)
    X, y = halves(10, by=50, seed=1)
    loss = -np.log(model.predict_proba(X)[np.arange(10), y]).mean()
    assert model.history[-1]["valid_loss"] == pytest.approx(loss, rel=1e-5)
    assert not same_models(model, train())


# The learning rate


def rates(monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[list[float], pydarts.Model]:
    """Return the learning rates of all steps, and the model."""
    step, seen = SGD.__call__, []

    def watched(self: SGD, x: Any, y: Any, lr: float, **more: Any) -> Any:
        seen.append(lr)
        return step(self, x, y, lr, **more)

    monkeypatch.setattr(SGD, "__call__", watched)
    return seen, train(lr=0.1, **options)


def fall(time: float, end: float) -> float:
    return 0.05 * (1 + math.cos(math.pi * time / end))


def test_the_rate_falls_by_the_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    found, model = rates(monkeypatch)
    assert found == [fall(step // STEPS, EPOCHS) for step in range(EPOCHS * STEPS)]
    assert [entry["lr"] for entry in model.history] == found[::STEPS]


def test_the_rate_falls_by_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    found, model = rates(monkeypatch, schedule="step")
    assert found == pytest.approx([fall(step, EPOCHS * STEPS) for step in range(EPOCHS * STEPS)])
    assert [entry["lr"] for entry in model.history] == found[::STEPS]


def test_it_rises_first(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = rates(monkeypatch, schedule="step", warmup=0.25)
    expected = [0.1 * (step + 1) / 3 for step in range(3)] + [fall(step, 9) for step in range(9)]
    assert found == pytest.approx(expected)


def test_the_rise_need_not_end_with_a_step_or_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = rates(monkeypatch, warmup=0.2)  # 2.4 steps; then of the epochs what is left
    expected = [0.1 / 2.4, 0.2 / 2.4, 0.1, 0.1]
    expected += [fall(epoch - 0.6, 2.4) for epoch in (1, 2) for _ in range(STEPS)]
    assert found == pytest.approx(expected)


# The average


def averages(states: list[dict[str, Any]], decay: float) -> Mapping[str, Any]:
    """Return the exponential moving averages, in float64."""
    found = {name: values.astype(np.float64) for name, values in states[0].items()}
    for n, state in enumerate(states[1:], 2):
        d = min(decay, (1 + n) / (10 + n))
        found = {name: d * old + (1 - d) * state[name] for name, old in found.items()}
    return found


@pytest.mark.parametrize("decay", [0.3, 0.999])
def test_the_model_is_the_average(decay: float) -> None:
    steps = Steps()
    model = train(weight_average=decay, lr=0.5, callbacks=[steps])
    expected, state = averages(steps.states, decay), model.network.state()
    for name in ("weights", "running"):
        np.testing.assert_allclose(state[name], expected[name], rtol=1e-4, atol=1e-6)
        assert np.abs(state[name] - steps.states[-1][name]).max() > 1e-3
    # It is what was validated, and what was learned from it is not.
    X, y = halves(10, by=50, seed=1)
    loss = -np.log(model.predict_proba(X)[np.arange(10), y]).mean()
    assert model.history[-1]["valid_loss"] == pytest.approx(loss, rel=1e-5)
    plain = Steps()
    train(lr=0.5, callbacks=[plain])
    for ours, theirs in zip(steps.states, plain.states, strict=True):
        np.testing.assert_array_equal(ours["weights"], theirs["weights"])


def test_the_average_of_the_best_epoch() -> None:
    steps = Steps()
    model = train(weight_average=0.5, lr=0.5, seed=1, restore_best_weights=True, callbacks=[steps])
    losses = [entry["valid_loss"] for entry in model.history]
    best = int(np.argmin(losses))
    assert best < EPOCHS - 1
    expected = averages(steps.states[: (best + 1) * STEPS], 0.5)
    for name in ("weights", "running"):
        np.testing.assert_allclose(
            model.network.state()[name], expected[name], rtol=1e-4, atol=1e-6
        )


def test_one_that_stopped_has_the_average_so_far(tmp_path: Path) -> None:
    first = Steps(stop=5)
    recipe: dict[str, Any] = {"label_smoothing": 0.1, "weight_average": 0.9}
    part = train(**recipe, checkpoint=tmp_path, callbacks=[first])
    assert part.stopped == "enough"
    expected = averages(first.states, 0.9)
    np.testing.assert_allclose(part.network.flat_weights, expected["weights"], rtol=1e-4, atol=1e-6)
    with pytest.raises(pydarts.CheckpointError, match="label_smoothing"):
        train(checkpoint=tmp_path)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("kill", [1, 5, 8])
def test_killed_it_goes_on_to_the_same_bits(kill: int, tmp_path: Path) -> None:
    recipe: dict[str, Any] = {"label_smoothing": 0.1, "weight_average": 0.9, "warmup": 0.2}
    recipe |= {"schedule": "step"}

    class Kill(Steps):
        def on_step_end(self, loop: Any, info: Any) -> None:
            super().on_step_end(loop, info)
            if len(self.states) == kill + 1:
                raise Killed

    kept: dict[str, Any] = {"checkpoint": tmp_path, "checkpoint_seconds": 0.0}
    with pytest.raises(Killed):
        train(**recipe, **kept, callbacks=[Kill()])
    rest = Steps()
    resumed = train(**recipe, **kept, callbacks=[rest])
    assert len(rest.states) == EPOCHS * STEPS - kill
    assert same_models(resumed, train(**recipe))


# Errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_smoothing": 1.0}, r"`label_smoothing` \(=1.0\)"),
        ({"weight_average": -0.1}, r"`weight_average` \(=-0.1\)"),
        ({"warmup": 1.0}, r"`warmup` \(=1.0\)"),
        ({"schedule": "batch"}, r"`schedule` \(='batch'\) must be .*epoch"),
    ],
)
def test_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(pydarts.ArgumentError, match=message):
        train(**options)
