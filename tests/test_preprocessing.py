# SPDX-License-Identifier: MIT
"""What is made of sounds, and that a model does the same again."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pydarts
from pydarts import DARTS_V2, Genotype, Model, Preprocessing
from pydarts.data import log_mel
from pydarts.spaces import DARTS_1D
from pydarts.tasks.images import ImageClassification
from pydarts.training.run import run_training
from pydarts.training.run_options import RunOptions

RNG = np.random.default_rng(0)
LOG_MEL = Preprocessing("log_mel", rate=8000, length=1000, n_mels=8)
TINY: dict[str, Any] = {"channels": 2, "cells": 1, "batch_size": 8, "epochs": 1}
QUIET: dict[str, Any] = {"threads": 1, "progress": False}


def tones(count: int = 48, length: int = 1100) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Low and high tones as int16, and of which of six instruments they are."""
    y = np.arange(count) % 2
    pitch = np.where(y, 2000, 400) * RNG.uniform(0.9, 1.1, count)
    X = np.sin(2 * np.pi * pitch[:, np.newaxis] * np.arange(length) / 8000)
    return (X * 9000 + RNG.normal(0, 50, X.shape)).astype(np.int16), y, np.arange(count) // 8


def test_nothing_is_done_by_default() -> None:
    X = [[1, 2], [3, 4]]
    assert Preprocessing().apply(X) is X


def test_log_mel_with_its_parameters() -> None:
    X = tones()[0]
    expected = log_mel(X[:, :1000], 8000, n_mels=8)
    np.testing.assert_array_equal(LOG_MEL.apply(X), expected)
    np.testing.assert_array_equal(LOG_MEL.apply(X / 32768), expected)
    other = {"window": 0.03, "hop": 0.02, "f_min": 100.0, "f_max": 3000.0, "floor": 1e-3}
    found = Preprocessing("log_mel", rate=16000, n_mels=12, **other).apply(X)
    np.testing.assert_array_equal(found, log_mel(X, 16000, n_mels=12, **other))


def test_lengths() -> None:
    X = RNG.normal(size=(2, 3, 10))
    cut = Preprocessing(length=8)
    np.testing.assert_array_equal(cut.apply(X), X[:, :, :8])
    np.testing.assert_array_equal(cut.apply(X[:, 0]), X[:, 0, :8])
    longer = Preprocessing(length=12).apply(X)
    np.testing.assert_array_equal(longer, np.pad(X, ((0, 0), (0, 0), (0, 2))))


def test_int16_with_a_rate_is_sound() -> None:
    X = np.array([[2**14, -(2**15)]], np.int16)
    assert Preprocessing(rate=8000).apply(X).tolist() == [[0.5, -1]]
    assert Preprocessing(length=2).apply(X).tolist() == X.tolist()


@pytest.mark.parametrize("value", [Preprocessing(), LOG_MEL, Preprocessing(rate=8000, length=9)])
def test_dictionaries(value: Preprocessing) -> None:
    saved = json.loads(json.dumps(value.to_dict()))
    assert Preprocessing.from_dict(saved) == value
    with pytest.raises(FrozenInstanceError):
        value.rate = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "mfcc"}, "`kind` .*'none' or 'log_mel'"),
        ({"kind": "log_mel"}, "`rate` .*is needed"),
        ({"kind": "log_mel", "rate": 0}, r"`rate` \(=0\)"),
        ({"kind": "log_mel", "rate": 8000.5}, "`rate` .*must be an integer"),
        ({"kind": "log_mel", "rate": 8000, "n_mels": 200}, "`n_mels` .*too many"),
        ({"kind": "log_mel", "rate": 8000, "window": "a"}, "`window`"),
        ({"kind": "log_mel", "rate": 8000, "f_max": 5000}, "`f_max`"),
        ({"kind": "log_mel", "rate": 8000, "floor": -1}, "`floor`"),
        ({"kind": "none", "n_mels": 20}, "`n_mels` .*is for `kind`='log_mel'"),
        ({"kind": "none", "length": 2**26}, "`length`"),
        ({"kind": "none", "window": 0.1}, "`window` .*is for `kind`='log_mel'"),
        ({"kind": "none", "other": 1}, "must be a preprocessing"),
        ({}, "must be a preprocessing"),
        (None, "must be a preprocessing"),
    ],
)
def test_unusable_values(values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessing.from_dict(values)


@pytest.mark.parametrize(
    ("preprocessing", "X", "message"),
    [
        (LOG_MEL, np.zeros((2, 1, 1000)), r"\(2, 1, 1000\), but signals must be \(N, L\)"),
        (LOG_MEL, np.zeros((2, 1000), np.int32), "dtype int32: sounds are float or int16"),
        (LOG_MEL, np.full((2, 1000), np.nan), "holds NaN"),
        (LOG_MEL, [[0.0], [0.0, 1.0]], "not one array"),
        (Preprocessing("log_mel", rate=8000), np.zeros((2, 9)), "a frame of `window`"),
        (Preprocessing(length=9), np.zeros((2, 1, 1, 9)), r"\(N, L\) or \(N, C, L\)"),
        (Preprocessing(rate=9), np.zeros((2, 9), np.uint8), "sounds are float or int16"),
    ],
)
def test_unusable_sounds(preprocessing: Preprocessing, X: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        preprocessing.apply(X)
    assert "`X`" in str(error.value)


def test_fronts_refuse_what_is_no_preprocessing() -> None:
    X, y, _ = tones()
    with pytest.raises(TypeError, match=r"`preprocessing` \(='log_mel'\)"):
        pydarts.search(X, y, preprocessing="log_mel", **TINY, **QUIET)  # type: ignore[arg-type]


def test_a_model_preprocesses_what_it_is_given(tmp_path: Path) -> None:
    X, y, _ = tones()
    model = pydarts.train(
        DARTS_V2, X, y, preprocessing=LOG_MEL, X_valid=X, y_valid=y, **TINY, **QUIET
    )
    assert model.image_size == (8, 11)
    images = LOG_MEL.apply(X)
    same = pydarts.train(DARTS_V2, images, y, **TINY, **QUIET)
    np.testing.assert_array_equal(model.logits(X), same.logits(images))
    assert model.history[0]["valid_accuracy"] == pytest.approx(model.score(X, y))
    model.save(tmp_path / "a")
    loaded = Model.load(tmp_path / "a")
    assert loaded.preprocessing == LOG_MEL
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    saved = json.loads((tmp_path / "a" / "model.json").read_text())
    assert saved["preprocessing"]["kind"] == "log_mel"
    for wrong in (None, {"kind": "log_mel"}, {**saved["preprocessing"], "n_mels": 1e9}):
        (tmp_path / "a" / "model.json").write_text(json.dumps({**saved, "preprocessing": wrong}))
        with pytest.raises(ValueError, match=r"model\.json cannot be read"):
            Model.load(tmp_path / "a")
    same.save(tmp_path / "b")
    assert "preprocessing" not in json.loads((tmp_path / "b" / "model.json").read_text())
    assert Model.load(tmp_path / "b").preprocessing == Preprocessing()


def test_a_model_of_signals(tmp_path: Path) -> None:
    X, y, _ = tones(24, 70_000)
    task = ImageClassification(
        X[:, ::1000],
        y,
        preprocessing=Preprocessing(rate=8000, length=64),
        space=DARTS_1D,
        threads=1,
    )
    config = pydarts.TrainConfig.make("quick", TINY)
    cell = Genotype.random(0, space=DARTS_1D)
    model = run_training(task, cell, config, RunOptions(progress=False))
    assert model.image_size == (1, 64)
    model.save(tmp_path)
    loaded = Model.load(tmp_path)
    assert loaded.logits(X[:, ::1000]).shape == (24, 2)
    np.testing.assert_array_equal(
        loaded.logits(X[:, ::1000]), model.logits(X[:, ::1000] / np.float32(32768))
    )
    saved = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**saved, "image_size": [1, 70_000]}))
    assert Model.load(tmp_path).image_size == (1, 70_000)  # of more than a second or two


class TestFronts:
    """Every front hands groups and preprocessing on: a single group cannot be split."""

    X, y, groups = tones()

    def test_search_and_estimate(self) -> None:
        options: dict[str, Any] = {**TINY, "threads": 1, "preprocessing": LOG_MEL}
        for front in (pydarts.search, pydarts.estimate):
            with pytest.raises(ValueError, match="`groups` holds a single group"):
                front(self.X, self.y, groups=[0] * 48, **options)
        found = pydarts.search(self.X, self.y, groups=self.groups, progress=False, **options)
        images = LOG_MEL.apply(self.X)
        options["preprocessing"] = None
        same = pydarts.search(images, self.y, groups=self.groups, progress=False, **options)
        other = pydarts.search(images, self.y, progress=False, **options)
        assert found.history[0]["valid_loss"] == same.history[0]["valid_loss"]
        assert found.history[0]["valid_loss"] != other.history[0]["valid_loss"]

    @pytest.mark.slow
    def test_search_many(self) -> None:
        options: dict[str, Any] = {**TINY, "progress": False, "preprocessing": LOG_MEL}
        options["groups"] = self.groups
        (many,) = pydarts.search_many(self.X, self.y, seeds=[3], **options)
        one = pydarts.search(self.X, self.y, seed=3, threads=1, **options)
        for name, alphas in one.alphas.items():
            np.testing.assert_array_equal(many.alphas[name], alphas)

    def test_compare_and_random_search(self) -> None:
        options: dict[str, Any] = {**TINY, **QUIET, "preprocessing": LOG_MEL}
        with pytest.raises(ValueError, match="`groups` holds a single group"):
            pydarts.compare(DARTS_V2, self.X, self.y, groups=[0] * 48, **options)
        with pytest.raises(ValueError, match="`groups` holds a single group"):
            pydarts.random_search(self.X, self.y, groups=[0] * 48, **options)
        found = pydarts.random_search(self.X, self.y, k=1, groups=self.groups, **options)
        assert len(found.candidates) == 1
        comparison = pydarts.compare(
            DARTS_V2, self.X, self.y, groups=self.groups, seeds=[0], random_cells=1, **options
        )
        assert all(len(cell.scores) == 1 for cell in comparison.cells)
