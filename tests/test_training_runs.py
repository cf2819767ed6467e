# SPDX-License-Identifier: MIT
"""How trainings are watched, stopped, bounded and kept, over images and over text."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import Interrupt, halves, same_arrays, untimed

import pydarts
from pydarts import ArgumentError, EarlyStopping
from pydarts.tasks.images import ImageClassification

TEXT = "the cat sat on the mat and the dog sat on the log\n" * 10
Train = Callable[..., Any]


def train_images(**options: Any) -> Any:
    """Train on them: 4 steps an epoch."""
    X_valid, y_valid = halves(10, by=50, seed=1)
    small = {"channels": 1, "cells": 2, "batch_size": 4, "epochs": 4, "crop_padding": 0}
    small |= {"X_valid": X_valid, "y_valid": y_valid, "threads": 1, "progress": False}
    return pydarts.train(pydarts.DARTS_V2, *halves(16, by=50), **{**small, **options})


def train_text(**options: Any) -> Any:
    """Train on the text: some 12 steps an epoch."""
    small = {"hidden_size": 4, "batch_size": 4, "bptt": 8, "epochs": 4, "threads": 1}
    options = {**small, "progress": False, **options}
    return pydarts.train_text(pydarts.RECURRENT_DARTS_V2, TEXT, **options)


@pytest.fixture(params=[train_images, train_text], ids=["images", "text"])
def train(request: pytest.FixtureRequest) -> Train:
    found: Train = request.param
    return found


def state(network: Any) -> dict[str, Any]:
    """Return copies of weights and running statistics."""
    found: dict[str, Any] = network.state_dict()
    return found


class Record(pydarts.Callback):
    """Write down all hooks, keep the network of each epoch, and stop in one of the hooks."""

    def __init__(self, stop_at: str = "", **how: Any):
        self.calls: list[str] = []
        self.epochs: list[dict[str, Any]] = []
        self.at_end: dict[str, Any] = {}
        self.stop_at, self.how = stop_at, how

    def note(self, loop: Any, what: str) -> None:
        self.calls.append(what)
        if what == self.stop_at:
            loop.stop("seen enough", **self.how)

    def on_start(self, loop: Any) -> None:
        assert len(loop.history) == loop.epoch
        self.note(loop, "start")

    def on_step_end(self, loop: Any, info: Any) -> None:
        assert info.train_loss > 0
        self.note(loop, f"step {loop.epoch} {loop.step}")

    def on_epoch_end(self, loop: Any, entry: Any) -> None:
        assert entry is loop.history[-1]
        assert entry["valid_loss"] > 0
        self.epochs.append(state(loop.network))
        self.note(loop, f"epoch {loop.epoch}")

    def on_end(self, loop: Any, result: Any) -> None:
        assert result.network is loop.network
        assert result.history is loop.history
        self.at_end = state(loop.network)
        self.note(loop, f"end {result.stopped}")


# Callbacks


def test_hooks(train: Train) -> None:
    first, second = Record(), Record()
    model = train(epochs=2, callbacks=[first, second])
    assert first.calls == second.calls
    # Epochs over text differ in their segments.
    counts = [sum(call.startswith(f"step {epoch} ") for call in first.calls) for epoch in (0, 1)]
    assert min(counts) > 2
    steps = [[f"step {epoch} {step + 1}" for step in range(counts[epoch])] for epoch in (0, 1)]
    assert first.calls == ["start", *steps[0], "epoch 1", *steps[1], "epoch 2", "end None"]
    assert model.stopped is None
    assert not model.interrupted
    assert model.seconds >= model.history[-1]["seconds"]


def test_stop(train: Train) -> None:
    for stop_at, epochs in (("step 1 2", 1), ("epoch 2", 2)):
        record = Record(stop_at)
        model = train(callbacks=[record])
        assert record.calls[-2:] == [stop_at, "end seen enough"]
        assert model.stopped == "seen enough"
        assert not model.interrupted
        assert len(model.history) == epochs


def test_a_training_has_no_earlier_cell(train: Train) -> None:
    with pytest.raises(ArgumentError, match=r"`epoch` \(=1\) is for searches"):
        train(callbacks=[Record("epoch 2", epoch=1)])


@pytest.mark.parametrize("callback", [pydarts.StopOnSkipCollapse(), pydarts.EigenvalueStopping()])
def test_callbacks_of_searches_are_refused(train: Train, callback: Any) -> None:
    with pytest.raises(ArgumentError, match="is for searches") as error:
        train(callbacks=[callback])
    assert error.value.argument == "callbacks"
    assert type(callback).__name__ in str(error.value)


def test_early_stopping(train: Train) -> None:
    never = EarlyStopping(patience=2, min_delta=1e9)  # nothing is an improvement
    model = train(epochs=9, callbacks=[never])
    assert len(model.history) == 3
    assert model.stopped == "valid_loss has not improved for 2 epochs"
    assert train(epochs=2, callbacks=[never]).stopped is None


def test_early_stopping_needs_something_to_watch() -> None:
    with pytest.raises(ArgumentError, match=r"`monitor` \(='valid_loss'\) must be one of epoch, "):
        train_images(X_valid=None, y_valid=None, callbacks=[EarlyStopping()])
    one = EarlyStopping("train_loss", patience=1, min_delta=1e9)
    assert len(train_images(X_valid=None, y_valid=None, callbacks=[one]).history) == 2


def test_tensorboard(train: Train, tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    train(epochs=1, callbacks=[pydarts.TensorBoard(tmp_path)])
    (file,) = tmp_path.iterdir()
    content = file.read_bytes()
    for tag in (b"step/train_loss", b"epoch/train_loss", b"epoch/valid_loss"):
        assert tag in content


# The best epoch


def losses_as(values: list[float], train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the epochs of a training have these validation losses."""
    left = iter(values)
    if train is train_text:
        monkeypatch.setattr("pydarts.tasks.text.text_loss", lambda *_: next(left))
    else:
        monkeypatch.setattr(
            "pydarts.tasks.image_runs.image_metrics",
            lambda *_: {"loss": next(left), "accuracy": 0.5},
        )


@pytest.mark.parametrize("best", [1, 2, 4])
def test_the_weights_of_the_best_epoch(
    train: Train, best: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = [3.0 + abs(epoch - best) for epoch in range(1, 5)]
    record = Record()
    losses_as(values, train, monkeypatch)
    # Without averaging, the weights at the end of an epoch are those that were validated.
    more = {"patience": 9} if train is train_text else {}
    model = train(restore_best_weights=True, callbacks=[record], **more)
    assert [entry["valid_loss"] for entry in model.history] == values
    assert same_arrays(state(model.network), record.epochs[best - 1])
    assert same_arrays(record.at_end, record.epochs[best - 1])  # as the last hook sees it
    assert not same_arrays(record.epochs[0], record.epochs[1])


class Spoil(pydarts.Callback):
    """Forget in the last epoch all that was learned."""

    def on_step_end(self, loop: Any, info: Any) -> None:
        if loop.epoch == loop.config.epochs - 1:
            weights = loop.network.flat_weights
            weights[:] = np.random.default_rng(0).normal(scale=3, size=weights.size)


def test_the_model_of_the_best_epoch_has_its_loss(train: Train) -> None:
    # Of images the running statistics belong to it, too.
    model = train(restore_best_weights=True, epochs=3, callbacks=[Spoil()])
    losses = [entry["valid_loss"] for entry in model.history]
    assert min(losses) < 0.9 * losses[-1]
    if train is train_text:
        assert model.evaluate(pydarts.load_corpus(TEXT).valid).loss == min(losses)
    else:
        X, y = halves(10, by=50, seed=1)
        found = -np.log(model.predict_proba(X)[np.arange(10), y]).mean()
        assert found == pytest.approx(min(losses), rel=1e-6)


def test_without_it_the_weights_are_the_last(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    record = Record()
    losses_as([3.0, 4.0, 5.0, 6.0], train, monkeypatch)
    more = {"patience": 9} if train is train_text else {}
    model = train(restore_best_weights=False, callbacks=[record], **more)
    assert same_arrays(state(model.network), record.epochs[-1])


class CountSteps(pydarts.Callback):
    """How many steps each epoch took."""

    def __init__(self) -> None:
        self.taken: list[int] = []

    def on_step_end(self, loop: Any, info: Any) -> None:
        if loop.step == 1:
            self.taken.append(0)
        self.taken[-1] += 1


def test_epochs_of_some_of_the_images() -> None:
    count = CountSteps()
    model = train_images(epoch_images=11, epochs=3, schedule="step", callbacks=[count])
    assert count.taken == [2, 2, 2]  # batches of 4
    # The cosine falls over the steps that there are.
    data = ImageClassification(*halves(16, by=50)).train_data(
        model.config, np.random.default_rng(0)
    )
    batch = next(data.batches.epoch())
    rate = data.inputs(batch, model.network, epoch=2, step=5)["lr"]
    assert rate == pytest.approx(model.config.lr * (1 + np.cos(np.pi * 5 / 6)) / 2)


@pytest.mark.parametrize("wrong", [3, 17])
def test_epochs_of_more_or_fewer_images_than_there_are(wrong: int) -> None:
    with pytest.raises(ArgumentError, match=rf"\(={wrong}\) must be from 4, .* to 16") as error:
        train_images(epoch_images=wrong)
    assert error.value.argument == "epoch_images"


def test_best_of_nothing_is_refused() -> None:
    with pytest.raises(ArgumentError, match="needs data to validate on") as error:
        train_images(X_valid=None, y_valid=None, restore_best_weights=True)
    assert error.value.argument == "restore_best_weights"


# Budgets


def test_a_time_budget_stops_a_training(
    train: Train, tmp_path: Path, spend: Callable[[float], None]
) -> None:
    class Spends(pydarts.Callback):
        def on_epoch_end(self, loop: Any, entry: Any) -> None:
            if loop.epoch == done + 2:
                spend(3600)

    worked = time.process_time()  # of its one thread, for others may work here, too
    first = train(epochs=10**6, lr=0.01, time_budget=0.4, checkpoint=tmp_path)
    assert time.process_time() - worked < 1.4
    assert first.stopped == "the time budget of 0.4 s is spent"
    assert not first.interrupted
    done = len(first.history)
    assert done > 0
    given: dict[str, Any] = {"time_budget": "1h", "callbacks": [Spends()]}
    second = train(epochs=10**6, lr=0.01, checkpoint=tmp_path, **given)
    assert len(second.history) == done + 2
    assert second.history[:done] == first.history
    assert train(epochs=1, time_budget="9h").stopped is None


def test_a_memory_budget_that_does_not_do_is_refused(train: Train) -> None:
    with pytest.raises(ArgumentError, match=r"`memory_budget` \(=1 kB\) is too small: ") as error:
        train(memory_budget=1000)
    assert "the training needs " in str(error.value)
    assert "and even with batch_size=" in str(error.value)
    assert len(train(memory_budget="1GB", epochs=1).history) == 1


# Checkpoints


def test_a_checkpoint_goes_on_with_its_callbacks(train: Train, tmp_path: Path) -> None:
    stopping = EarlyStopping(patience=3, min_delta=1e9)
    options = {"epochs": 9, "restore_best_weights": True}
    whole = train(callbacks=[stopping], **options)
    assert len(whole.history) == 4
    keep = {"checkpoint": tmp_path, "checkpoint_seconds": 0, **options}
    for step in (3, 6, 10, 11):
        part = train(callbacks=[stopping, Interrupt(step)], **keep)
        assert part.interrupted
    result = train(callbacks=[stopping], **keep)
    assert (result.stopped, result.interrupted) == (whole.stopped, False)
    assert same_arrays(state(result.network), state(whole.network))
    assert untimed(result.history) == untimed(whole.history)
    # That it was stopped is kept, and so are the best weights.
    again = train(**keep)
    assert again.stopped == whole.stopped
    assert same_arrays(state(again.network), state(whole.network))


class Press(pydarts.Callback):
    """Press Ctrl-C in the first step after an epoch, which is kept."""

    def __init__(self, epoch: int):
        self.epoch = epoch

    def on_step_end(self, loop: Any, info: Any) -> None:
        if loop.epoch == self.epoch:
            signal.raise_signal(signal.SIGINT)


def test_the_last_weights_go_on_not_the_best(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The model of an interrupted training is that of its best epoch, its checkpoint is not.
    more = {"patience": 9} if train is train_text else {}
    options = {"restore_best_weights": True, "epochs": 3, **more}
    record = Record()
    losses_as([3.0, 4.0, 2.0], train, monkeypatch)
    whole = train(callbacks=[record], **options)
    losses_as([3.0, 4.0], train, monkeypatch)
    part = train(checkpoint=tmp_path, callbacks=[Press(2)], **options)
    assert part.interrupted
    assert same_arrays(state(part.network), record.epochs[0])
    losses_as([2.0], train, monkeypatch)
    later = Record()
    result = train(checkpoint=tmp_path, callbacks=[later], **options)
    assert later.calls[:2] == ["start", "step 2 2"]
    assert same_arrays(state(result.network), state(whole.network))
    assert same_arrays(state(result.network), record.epochs[2])
