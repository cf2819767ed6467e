# SPDX-License-Identifier: MIT
"""Signals and sounds on their way in: shapes, halves without a common group."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pydarts import SearchConfig
from pydarts.data.images import as_images
from pydarts.spaces import DARTS_1D
from pydarts.tasks.images import ImageClassification

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int16])
def test_shapes_of_signals(dtype: type) -> None:
    X = RNG.integers(0, 200, (3, 2, 11)).astype(dtype)
    expected = X.astype(np.uint8 if dtype == np.uint8 else np.float32)[:, :, np.newaxis]
    for given in (X, X[:, :, np.newaxis], np.asfortranarray(X)):
        images = as_images(given, dimensions=1)
        assert images.shape == (3, 2, 1, 11)
        assert images.dtype == expected.dtype
        assert images.flags.c_contiguous
        np.testing.assert_array_equal(images, expected)
    np.testing.assert_array_equal(as_images(X[:, 1], dimensions=1), expected[:, 1:])
    again = as_images(images, image_layout="NCHW", dimensions=1)
    np.testing.assert_array_equal(again, expected)
    many = np.zeros((2, 40, 100), np.float32)  # of 40 channels, as in a spectrogram
    assert as_images(many, dimensions=1).shape == (2, 40, 1, 100)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros(8), r"\(8,\): signals must be"),
        (np.zeros((2, 1, 2, 8)), r"\(2, 1, 2, 8\): signals must be"),
        (np.zeros((2, 1, 1, 1, 8)), "signals must be"),
        (np.zeros((0, 8)), "empty"),
        (np.zeros((2, 0, 8)), "empty"),
        (np.zeros((5, 100, 3)), r"\(5, 100, 3\), read as signals of 3 samples"),
        (np.full((2, 8), np.nan), "NaN"),
        (np.zeros((2, 8), complex), "complex"),
    ],
)
def test_unusable_signals(X: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        as_images(X, dimensions=1)
    assert "`X`" in str(error.value)


def test_options_of_images_and_signals() -> None:
    with pytest.raises(ValueError, match=r"`dimensions` .=3. must be 2 or 1"):
        as_images(np.zeros((2, 8)), dimensions=3)
    with pytest.raises(ValueError, match=r"`image_layout` .*\(N, C, L\)"):
        as_images(np.zeros((2, 8, 4)), image_layout="NHWC", dimensions=1)
    with pytest.raises(ValueError, match="one-dimensional space"):
        as_images(np.zeros((2, 8)))


def spoken(count: int = 60, people: int = 6) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Signals with classes 0 and 1, and of whom they are."""
    X = RNG.normal(size=(count, 32)).astype(np.float32)
    groups = [f"person {i // (count // people)}" for i in range(count)]
    return X, np.arange(count) % 2, groups


class TestTask:
    config = SearchConfig.make("quick", {"batch_size": 4, "channels": 2, "cells": 1})

    def groups_of(self, task: ImageClassification, images: np.ndarray) -> set[int]:
        """The groups of normalised images, told by what they hold."""
        assert task.groups is not None
        known = {x.tobytes(): g for x, g in zip(task.images, task.groups, strict=True)}
        return {int(known[x.tobytes()]) for x in images}

    def test_halves_of_a_search_share_no_group(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("pydarts.data.normalization.Normalization.apply", lambda _, x: x)
        task = ImageClassification(*spoken()[:2], space=DARTS_1D, groups=spoken()[2])
        for size in (None, 40):
            config = replace(self.config, max_images=size)
            data = task.search_data(config, np.random.default_rng(0))
            halves = [self.groups_of(task, pair[0]) for pair in (data._train, data._valid)]
            assert [len(half) for half in halves] == [3, 3]
            assert not halves[0] & halves[1]

    def test_parts_keep_their_groups(self) -> None:
        X, y, groups = spoken()
        task = ImageClassification(X, y, space=DARTS_1D, groups=groups)
        rng = np.random.default_rng(0)
        for part, held in ((task.hold_out(0.2, rng), 1), (task.split(0.5, rng), 3)):
            assert part.test is not None
            assert part.groups is not None
            inside = self.groups_of(task, part.images)
            outside = self.groups_of(task, part.test[0])
            assert set(part.groups.tolist()) == inside
            assert len(outside) == held
            assert not inside & outside
        few = ImageClassification(X, y, space=DARTS_1D, groups=np.arange(60) // 30).hold_out(
            0.5, rng
        )
        with pytest.raises(ValueError, match="`groups` holds a single group"):
            few.search_data(self.config, rng)

    def test_groups_are_part_of_what_a_checkpoint_is_of(self) -> None:
        X, y, groups = spoken()
        rng = np.random.default_rng(0)
        grouped = ImageClassification(X, y, space=DARTS_1D, groups=groups)
        plain = ImageClassification(X, y, space=DARTS_1D)
        assert len(grouped.search_data(self.config, rng).arrays) == 3
        assert len(plain.search_data(self.config, rng).arrays) == 2

    def test_what_is_tested_on_is_of_signals_too(self) -> None:
        X, y, _ = spoken()
        task = ImageClassification(X, y, space=DARTS_1D, test=(X[:5], y[:5]), valid=(X, y))
        assert task.test is not None
        assert task.test[0].shape == (5, 1, 1, 32)
        with pytest.raises(ValueError, match="`X_test` has shape"):
            ImageClassification(X, y, space=DARTS_1D, test=(X[:5, :3], y[:5]))

    def test_other_lengths_of_groups(self) -> None:
        X, y, groups = spoken()
        with pytest.raises(ValueError, match="`groups` holds 59 groups for 60 images"):
            ImageClassification(X, y, space=DARTS_1D, groups=groups[1:])
