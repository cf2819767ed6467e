# SPDX-License-Identifier: MIT
"""Splits by time and by strata, data to validate on, copies in both halves; mixup in steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pydarts
from pydarts import SearchConfig, TrainConfig
from pydarts.data.duplicates import count_shared
from pydarts.data.splits import split_time
from pydarts.tasks.images import ImageClassification

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (40, 6, 6), dtype=np.uint8)
Y = np.arange(40) % 2
TINY = {"channels": 2, "cells": 1, "epochs": 1, "batch_size": 4, "order": 1, "progress": False}
CONFIG = SearchConfig.make("quick", {"batch_size": 4})


def halves(task: ImageClassification, config: SearchConfig = CONFIG) -> list[set[int]]:
    """Of a search: which images are in either half."""
    data = task.search_data(config, np.random.default_rng(config.seed))
    return [places(task, part[0]) for part in (data._train, data._valid)]


def places(task: ImageClassification, normalized: np.ndarray) -> set[int]:
    """Of normalised images, which of the task's they are: the order of pixels stays."""

    def order(x: np.ndarray) -> bytes:
        return np.argsort(x, axis=None, kind="stable").tobytes()

    known = {order(x): index for index, x in enumerate(task.images)}
    return {known[order(x)] for x in normalized}


def test_the_later_part_of_time() -> None:
    assert [part.tolist() for part in split_time(5, 0.5)] == [[0, 1, 2], [3, 4]]
    assert [part.tolist() for part in split_time(5, 0.99)] == [[0, 1, 2, 3], [4]]
    assert [part.tolist() for part in split_time(5, 0.01)] == [[0], [1, 2, 3, 4]]
    with pytest.raises(ValueError, match="holds 1 image"):
        split_time(1, 0.5)
    train, valid = halves(ImageClassification(X, Y, split="time"))
    assert (train, valid) == (set(range(20)), set(range(20, 40)))
    small = SearchConfig.make("quick", {"batch_size": 4, "max_images": 20})
    train, valid = halves(ImageClassification(X, Y, split="time"), small)
    assert len(train) == len(valid) == 10
    assert max(train) < min(valid)


def test_what_is_held_out_is_later_too() -> None:
    task = ImageClassification(X, Y, split="time").hold_out(0.2, RNG)
    np.testing.assert_array_equal(task.images[:, 0], X[:32])
    assert task.test is not None
    np.testing.assert_array_equal(task.test[0][:, 0], X[32:])


def test_a_class_that_comes_too_late() -> None:
    with pytest.raises(ValueError, match=r"`split` \(='time'\) leaves nothing to learn from of 1"):
        pydarts.search(X, np.sort(Y), split="time", **TINY)


def test_strata_of_ones_own() -> None:
    device = ["a"] * 10 + ["b"] * 30
    train, valid = halves(ImageClassification(X, Y, stratify=device))
    assert len(train & set(range(10))) == len(valid & set(range(10))) == 5
    assert len(train) == len(valid) == 20


def test_without_strata_shares_are_left_to_chance() -> None:
    counts = set()
    for seed in range(8):
        config = SearchConfig.make("quick", {"batch_size": 4, "seed": seed})
        train, _ = halves(ImageClassification(X, Y, stratify=False), config)
        counts.add(sum(index % 2 for index in train))
    assert len(counts) > 2
    for given in (True, None):
        train, _ = halves(ImageClassification(X, Y, stratify=given))
        assert sum(index % 2 for index in train) == 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "later"}, r"`split` \(='later'\) must be 'random' or 'time'"),
        ({"split": "time", "groups": Y}, "`groups` have no use with `split`='time'"),
        ({"split": "time", "stratify": False}, "`stratify` has no use with `split`='time'"),
        ({"stratify": ["a"] * 39}, "`stratify` holds one class only"),
        ({"stratify": [0, 1] * 19}, "`stratify` holds 38 values for 40 images"),
        ({"stratify": [0, *[1] * 39]}, "`stratify` holds single values: 0"),
        ({"stratify": "yes"}, "`stratify`"),
        ({"stratify": 3}, "`stratify`"),
        ({"X_valid": X}, "`X_valid` and `y_valid` must come together"),
        ({"y_valid": Y}, "`X_valid` and `y_valid` must come together"),
        ({"X_valid": X, "y_valid": Y + 1}, "`y_valid` holds the unknown label 2"),
        ({"X_valid": X[:, :2], "y_valid": Y}, "`X_valid` has shape"),
        ({"X_valid": X, "y_valid": Y, "groups": Y}, "`groups` has no use with `X_valid`"),
        ({"X_valid": X, "y_valid": Y, "split": "time"}, "`split` has no use with `X_valid`"),
        ({"X_valid": X, "y_valid": Y, "stratify": True}, "`stratify` has no use with"),
        ({"X_valid": X[:3], "y_valid": Y[:3]}, "`batch_size`.*`X` or `X_valid`: 3 images"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        pydarts.search(X, Y, **TINY, **options)


def test_alphas_learn_on_what_is_given() -> None:
    other = RNG.integers(0, 256, (12, 6, 6), dtype=np.uint8)
    task = ImageClassification(X, Y, valid=(other, Y[:12]))
    data = task.search_data(CONFIG, np.random.default_rng(0))
    assert places(task, data._train[0]) == set(range(40))
    mean, std = X.mean(), X.std()
    np.testing.assert_allclose(data._valid[0][:, 0], (other - mean) / std, rtol=1e-4, atol=1e-5)
    result = pydarts.search(X, Y, X_valid=other, y_valid=Y[:12], **TINY)
    assert len(result.history) == 1
    with pytest.raises(TypeError, match="`y` is missing"):
        pydarts.search(X, **TINY)


def test_copies_in_both_halves_are_counted_and_told(tmp_path: Path) -> None:
    assert count_shared(X[:30], X[25:]) == 5
    assert count_shared(X[:20], X[20:]) == 0
    twice = np.concatenate([X, X])
    result = pydarts.search(twice, np.tile(Y, 2), split="time", **TINY)
    (note,) = result.data_notes
    assert note.startswith("40 of 40 images of the validation half are in the training half")
    assert note in result.notes()
    result.save(tmp_path)
    assert pydarts.SearchResult.load(tmp_path).data_notes == [note]
    assert pydarts.search(X, Y, **TINY).data_notes == []


def test_copies_to_validate_on_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    options = {name: value for name, value in TINY.items() if name != "order"}
    pydarts.train(pydarts.DARTS_V2, X, Y, X_valid=X[:7], y_valid=Y[:7], **options)
    assert "7 of 7 images of `X_valid` are in `X` as well" in caplog.text


OPTIONS = {"mixup": 0.5, "noise": 0.1, "shift": 1, "time_mask": 2, "rotate": True}


def test_changed_samples_resume_to_the_same_bits(tmp_path: Path) -> None:
    options = TINY | OPTIONS | {"epochs": 3, "frequency_mask": 2}
    whole = pydarts.search(X, Y, **options)
    plain = pydarts.search(X, Y, **TINY | {"epochs": 3})
    assert any((whole.alphas[name] != plain.alphas[name]).any() for name in whole.alphas)

    class Interrupt(pydarts.Callback):
        def on_step_end(self, loop: Any, info: Any) -> None:
            if loop.steps_done == 8:  # in the middle of the second epoch
                raise KeyboardInterrupt

    often = {"checkpoint": tmp_path, "checkpoint_seconds": 0.0}
    half = pydarts.search(X, Y, **options, **often, callbacks=[Interrupt()])
    assert half.interrupted
    again = pydarts.search(X, Y, **options, checkpoint=tmp_path)
    assert len(again.history) == 3
    for name, alphas in whole.alphas.items():
        np.testing.assert_array_equal(again.alphas[name], alphas)


@pytest.mark.parametrize("task", ["multiclass", "multilabel", "regression"])
@pytest.mark.parametrize("weighted", [False, True])
def test_mixup_of_every_task(task: str, weighted: bool) -> None:
    y: Any = {"multiclass": Y, "multilabel": np.eye(2, dtype=int)[Y], "regression": Y * 2.5}[task]
    weights = np.arange(40) + 1.0 if weighted else None
    objective = ImageClassification(X, y, objective=task, sample_weight=weights)
    values = {"batch_size": 10, "mixup": 1.0, "epochs": 1, "crop_padding": 0}
    config = TrainConfig.make("quick", values)
    data = objective.train_data(config, np.random.default_rng(0))
    item = np.arange(10)
    found = data.inputs(item, None, 0, 0)
    share, order = (rng := np.random.default_rng(0)).beta(1.0, 1.0), rng.permutation(10)
    plain = data._x[item]
    np.testing.assert_allclose(
        found["x"], share * plain + (1 - share) * plain[order], rtol=1e-4, atol=1e-5
    )
    targets = found["y"].targets if weighted else found["y"]
    assert targets.dtype == np.float32
    assert targets.shape == (10, objective.objective.outputs)
    assert isinstance(found["y"], pydarts.Weighted) == weighted


def test_turns_need_squares_before_anything_runs() -> None:
    for run in (pydarts.search, lambda *a, **k: pydarts.train(pydarts.DARTS_V2, *a, **k)):
        with pytest.raises(ValueError, match=r"`rotate` .*6x5 pixels"):
            run(X[:, :, :5], Y, rotate=True, progress=False, batch_size=4)
