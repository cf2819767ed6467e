# SPDX-License-Identifier: MIT
"""`DartsClassifier`: scikit-learn's own checks and tools, rows as images, saving, copies."""

from __future__ import annotations

import copy
import importlib
import inspect
import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import pydarts
from pydarts.sklearn import DartsClassifier, DartsRegressor
from pydarts.spaces import DARTS_1D
from pydarts.training.config import SearchConfig, TrainConfig

Array = NDArray[Any]
SMALL: dict[str, Any] = {
    "threads": 1,
    "random_state": 0,
    "search_channels": 2,
    "search_cells": 2,
    "search_epochs": 1,
    "channels": 2,
    "cells": 2,
    "epochs": 2,
}


def small(**options: Any) -> DartsClassifier:
    """Return a classifier that is quick rather than good."""
    return DartsClassifier(**{**SMALL, **options})


def halves(shape: tuple[int, ...], count: int = 24, seed: int = 0) -> tuple[Array, Array]:
    """Return noise of that shape a sample whose first half is brighter in one class of two."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 2
    X = rng.normal(size=(count, int(np.prod(shape))))
    X[y == 1, : X.shape[1] // 2] += 2
    return X.reshape(count, *shape), np.array(["dark", "light"])[y]


#: A weight of two is not the same to the bit as a row that is there twice where batches are drawn
#: at random, and normalised by what is in them. That of none is that of a row left out.
EXPECTED_TO_FAIL = {
    f"check_sample_weight_equivalence_on_{kind}_data": "training draws batches at random"
    for kind in ("dense", "sparse")
}


# What is checked does not depend on the size.
CHECKED = DartsClassifier(threads=1, search_channels=2, search_cells=2, channels=4, cells=2)


@pytest.mark.slow
@parametrize_with_checks([CHECKED], expected_failed_checks=lambda _: EXPECTED_TO_FAIL)
def test_checks_of_scikit_learn(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@parametrize_with_checks(
    [DartsRegressor(threads=1, genotype=pydarts.DARTS_V2, channels=4, cells=2, epochs=30)],
    expected_failed_checks=lambda _: EXPECTED_TO_FAIL,
)
def test_checks_of_a_small_regressor(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [DartsRegressor(threads=1)], expected_failed_checks=lambda _: EXPECTED_TO_FAIL
)
def test_checks_of_the_default_regressor(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


def test_parameters_are_those_of_the_configurations() -> None:
    own = ["preset", "time_budget", "space", "method", "selector", "genotype", "image_shape"]
    own += ["image_layout", "preprocessing", "split", "stratify", "checkpoint"]
    own += ["random_state", "threads", "verbose"]
    for config, prefix in ((SearchConfig, "search_"), (TrainConfig, "")):
        # `random_state` is the seed.
        own += [prefix + each.name for each in config.options() if each.name != "seed"]
    for kind, more in (
        (DartsClassifier, ["class_weight"]),
        (DartsRegressor, ["loss", "huber_delta"]),
    ):
        assert sorted([*own, *more]) == sorted(inspect.signature(kind).parameters)


@pytest.fixture(scope="module")
def fitted() -> DartsClassifier:
    return small().fit(*halves((12,)))


def test_attributes(fitted: DartsClassifier) -> None:
    X, y = halves((12,))
    assert fitted.classes_.tolist() == ["dark", "light"]
    assert fitted.n_features_in_ == 12
    assert fitted.genotype_ == fitted.model_.genotype
    assert fitted.model_.network.num_weights < 10_000  # the options reach the training
    probabilities = fitted.predict_proba(X)
    assert probabilities.shape == (24, 2)
    assert (fitted.classes_[probabilities.argmax(axis=1)] == fitted.predict(X)).all()
    assert fitted.score(X, y) == (fitted.predict(X) == y).mean()


def test_random_state(fitted: DartsClassifier) -> None:
    X, y = halves((12,))
    expected = fitted.predict_proba(X)
    assert np.array_equal(clone(fitted).fit(X, y).predict_proba(X), expected)
    assert not np.array_equal(small(random_state=1).fit(X, y).predict_proba(X), expected)


@pytest.mark.parametrize("stage", ["search", "train"])
def test_either_stage_is_seeded(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = []

    def called(*args: Any, seed: int, **options: Any) -> Any:
        seeds.append(seed)
        return getattr(pydarts, stage)(*args, seed=seed, **options)

    monkeypatch.setattr(f"pydarts.sklearn.{stage}", called)
    for random_state in (0, 1, np.random.RandomState(0), None):
        small(random_state=random_state).fit(*halves((12,)))
    assert seeds[0] == seeds[2]
    assert len(set(seeds)) == 3


def test_options_reach_search_and_training(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = {}
    for name in ("search", "train"):

        def called(*args: Any, name: str = name, **options: Any) -> Any:
            calls[name] = options
            return getattr(pydarts, name)(*args, **options)

        monkeypatch.setattr(f"pydarts.sklearn.{name}", called)
    X, y = halves((6, 6))
    small(search_order=1, lr=0.07, preset="standard", verbose=False).fit(X, y)
    assert calls["search"]["order"] == 1
    assert calls["search"]["epochs"] == 1
    assert "order" not in calls["train"]
    assert calls["train"]["lr"] == 0.07
    for options in calls.values():
        assert options["preset"] == "standard"
        assert options["threads"] == 1
        assert options["progress"] is False
        assert not {"flip", "crop_padding"} & options.keys()  # of images: the preset's
    small(flip=True, search_epochs=None).fit(X.reshape(24, -1), y)
    assert calls["search"]["flip"] is False
    assert calls["search"]["epochs"] == 5
    assert calls["train"]["flip"] is True  # asked for
    assert calls["train"]["crop_padding"] == 0


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("epochs", 0, "must be at least 1"),
        ("lr", "high", "must be a number"),
        ("cutout", 4, "may leave nothing"),  # which only the search itself can tell
    ],
)
def test_options_of_the_search_are_named_as_they_were_given(
    option: str, value: Any, problem: str
) -> None:
    for name in (option, f"search_{option}"):
        with pytest.raises(ValueError, match=rf"^`{name}` \(={value!r}\) {problem}"):
            small(**{name: value}).fit(*halves((12,)))


def test_errors_of_the_data_of_a_search_keep_their_names() -> None:
    with pytest.raises(ValueError, match=r"^`split` "):
        small(split="even").fit(*halves((12,)))


@pytest.mark.parametrize("budget", [None, "1min"])
def test_a_genotype_is_one_as_in_train(budget: str | None) -> None:
    for value in ("DARTS_V2", 3):
        problem = rf"`genotype` \(={value!r}\) must be a Genotype; see Genotype\.parse"
        with pytest.raises(TypeError, match=problem):
            small(genotype=value, time_budget=budget).fit(*halves((12,)))


def test_given_genotype_is_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pydarts.sklearn.search", None)
    classifier = small(genotype=pydarts.DARTS_V2).fit(*halves((12,)))
    assert classifier.genotype_ == pydarts.DARTS_V2


@pytest.mark.parametrize(
    ("shape", "row"), [((6, 5), (1, 6, 5)), ((3, 6, 5), (3, 6, 5)), ((6, 5, 3), (3, 6, 5))]
)
def test_rows_of_pixels_are_images(shape: tuple[int, ...], row: tuple[int, ...]) -> None:
    X, y = halves(shape)
    images = small().fit(X, y)
    assert images.image_shape_ == row
    assert images.n_features_in_ == np.prod(row)
    rows = (np.moveaxis(X, -1, 1) if shape[-1] == 3 else X).reshape(24, -1)
    flat = small(image_shape=row).fit(rows, y)
    assert np.array_equal(flat.predict_proba(rows), images.predict_proba(X))
    # The other form will do as well, once it is known which image a row is.
    assert np.array_equal(flat.predict_proba(X), images.predict_proba(rows))


def test_images_of_another_shape_are_refused() -> None:
    X, y = halves((6, 4))
    classifier = small(genotype=pydarts.DARTS_V2).fit(X, y)
    with pytest.raises(ValueError, match=r"images \(1, 4, 6\), but those of `fit` are \(1, 6, 4\)"):
        classifier.predict(X.reshape(24, 4, 6))
    with pytest.raises(ValueError, match="expecting 24 features"):
        classifier.predict(X[:, :5])


@pytest.mark.parametrize(
    ("features", "shape", "expected"),
    [
        (12, None, (1, 4, 4)),
        (16, None, (1, 4, 4)),
        (17, None, (1, 5, 5)),
        (1, None, (1, 4, 4)),
        (6, (2, 3), (1, 2, 3)),
        (10, [2, 1, 5], (2, 1, 5)),
    ],
)
def test_rows_become_images(
    features: int, shape: Any, expected: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def called(genotype: Any, images: Array, *args: Any, **options: Any) -> Any:
        seen.append(images)
        return pydarts.train(genotype, images, *args, **options)

    monkeypatch.setattr("pydarts.sklearn.train", called)
    X, y = halves((features,))
    classifier = small(image_shape=shape, genotype=pydarts.DARTS_V2).fit(X, y)
    assert classifier.image_shape_ == expected
    (images,) = seen
    channels, height, width = expected
    assert images.shape[1:] == (channels, max(4, height), max(4, width))
    kept = images[:, :, :height, :width].reshape(24, -1)
    assert np.array_equal(kept[:, :features], X)
    assert np.count_nonzero(images) == np.count_nonzero(X)
    expected_here = classifier.model_.predict_proba(images)
    assert np.array_equal(classifier.predict_proba(X), expected_here)


@pytest.mark.parametrize("shape", [(3, 5), 12, (12,), (1, 1, 3, 4), "ab"])
def test_unusable_image_shape(shape: Any) -> None:
    with pytest.raises(ValueError, match=r"`image_shape` \(="):
        small(image_shape=shape).fit(*halves((12,)))


@pytest.mark.parametrize(("shape", "error"), [((-3, -4), ValueError), ((2.0, 6), TypeError)])
def test_sizes_that_are_none(shape: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"`image_shape` \(="):
        small(image_shape=shape).fit(*halves((12,)))


def test_tools_of_scikit_learn() -> None:
    X, y = load_digits(return_X_y=True)
    X, y = X[:120], y[:120] % 3
    pipeline = make_pipeline(StandardScaler(), small(image_shape=(8, 8), epochs=20))
    scores = cross_val_score(pipeline, X, y, cv=2, error_score="raise")
    assert scores.shape == (2,)
    grid = GridSearchCV(pipeline, {"dartsclassifier__lr": [1e-6, 0.1]}, cv=2, error_score="raise")
    grid.fit(X, y)
    assert grid.best_params_ == {"dartsclassifier__lr": 0.1}
    assert grid.predict(X).shape == y.shape


@pytest.mark.slow
def test_default_learns_digits() -> None:
    X, y = load_digits(return_X_y=True)
    classifier = DartsClassifier(
        image_shape=(8, 8), threads=1, random_state=0, search_epochs=2, epochs=16
    )
    assert classifier.fit(X[:600], y[:600]).score(X[1200:], y[1200:]) > 0.9


def test_saved_and_loaded(fitted: DartsClassifier, tmp_path: Path) -> None:
    X, _ = halves((12,))
    fitted.save(tmp_path / "a")
    loaded = DartsClassifier.load(tmp_path / "a")
    assert np.array_equal(loaded.predict_proba(X), fitted.predict_proba(X))
    assert np.array_equal(loaded.predict(X), fitted.predict(X))
    assert loaded.get_params() == fitted.get_params()
    for name in ("classes_", "genotype_", "image_shape_", "n_features_in_"):
        assert np.array_equal(getattr(loaded, name), getattr(fitted, name))
    assert pydarts.Model.load(tmp_path / "a").classes == ("dark", "light")
    with pytest.raises(FileExistsError):
        fitted.save(tmp_path / "a")
    fitted.save(tmp_path / "a", overwrite=True)


def test_the_file_of_a_space_is_not_wanted_any_more(tmp_path: Path) -> None:
    path = tmp_path / "space.json"
    path.write_text(DARTS_1D.replace(name="mine").to_json())
    X, y = halves((12,))
    classifier = small(space=str(path)).fit(X, y)
    classifier.save(tmp_path / "saved")
    path.unlink()
    found = classifier.predict(X)
    np.testing.assert_array_equal(DartsClassifier.load(tmp_path / "saved").predict(X), found)
    with pytest.raises(ValueError, match="`space`"):
        classifier.fit(X, y)


def test_sparse_targets_are_named() -> None:
    sparse: Any = SimpleNamespace(toarray=lambda: None, shape=(12, 3))
    with pytest.raises(TypeError, match=r"`y` is a sparse matrix, but must be dense: `y.toarray"):
        small().fit(halves((12,))[0], sparse)


def test_saved_parameters_of_every_kind(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    X, y = halves((12,))
    frame = pandas.DataFrame(X, columns=[f"pixel {i}" for i in range(12)])
    classifier = small(
        genotype=pydarts.DARTS_V1,
        image_shape=(3, 4),
        epochs=np.int64(1),
        lr=np.float32(0.5),
        search_alpha_betas=(0.5, 0.9),
    ).fit(frame, y)
    classifier.save(tmp_path)
    loaded = DartsClassifier.load(tmp_path)
    assert loaded.get_params() == classifier.get_params()
    assert np.array_equal(loaded.predict_proba(frame), classifier.predict_proba(frame))
    with pytest.raises(ValueError, match="feature names"):
        loaded.predict(frame.rename(columns={"pixel 3": "other"}))


def test_what_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(NotFittedError):
        small().save(tmp_path)
    classifier = small(random_state=np.random.RandomState(0), genotype=pydarts.DARTS_V2)
    classifier.fit(*halves((12,)))
    with pytest.raises(ValueError, match=r"`random_state` \(=RandomState"):
        classifier.save(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"format": "pydarts-model"},
        {"version": 3},
        {"image_shape": [1, 5, 5]},
        {"image_shape": 4},
        {"features": "12"},
        {"features": 17},
        {"parameters": {"genotype": None, "colour": 1}},
        {"parameters": {"genotype": "__import__('os')"}},
        {"parameters": None},
    ],
)
def test_damaged_description(
    fitted: DartsClassifier, tmp_path: Path, change: dict[str, Any]
) -> None:
    fitted.save(tmp_path)
    path = tmp_path / "classifier.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ValueError, match=r"classifier\.json (cannot be read|does not fit)"):
        DartsClassifier.load(tmp_path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"classifier\.json"):
        DartsClassifier.load(tmp_path)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
def test_copies(fitted: DartsClassifier, duplicate: Callable[[Any], Any]) -> None:
    X, _ = halves((12,))
    expected = fitted.predict_proba(X)
    other = duplicate(fitted)
    assert np.array_equal(other.predict_proba(X), expected)
    state = {k: np.zeros_like(v) for k, v in other.model_.network.state_dict().items()}
    other.model_.network.load_state_dict(state)
    assert np.array_equal(fitted.predict_proba(X), expected)  # nothing is shared


@pytest.mark.parametrize("stage", ["search", "train"])
def test_interrupt_leaves_no_model(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = SimpleNamespace(interrupted=True, genotype=pydarts.DARTS_V1)
    classifier = small(genotype=pydarts.DARTS_V2).fit(*halves((20,)))
    classifier.set_params(genotype=None)
    monkeypatch.setattr(f"pydarts.sklearn.{stage}", lambda *args, **options: stopped)
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(*halves((12,)))
    with pytest.raises(NotFittedError):
        classifier.predict(halves((12,))[0])
    if stage == "search":
        assert classifier.genotype_ == pydarts.DARTS_V1  # found so far


def test_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pydarts.sklearn")
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    with pytest.raises(ImportError, match=r"pip install 'pydarts-nas\[sklearn\]'"):
        importlib.import_module("pydarts.sklearn")


def regressor(**options: Any) -> DartsRegressor:
    """Return a regressor that is quick rather than good."""
    return DartsRegressor(**{**SMALL, **options})


def heights(count: int = 40) -> tuple[Array, Array]:
    """Return rows whose mean is told, in units of its own."""
    X = np.random.default_rng(0).normal(size=(count, 12))
    return X, 500 + 20 * X.mean(axis=1)


def test_regressor(tmp_path: Path) -> None:
    X, y = heights()
    model = regressor(epochs=20, genotype=pydarts.DARTS_V2, channels=4).fit(X, y)
    assert model.predict(X).shape == (40,)
    assert model.score(X, y) > 0.5
    assert not hasattr(model, "predict_proba")
    model.save(tmp_path)
    loaded = DartsRegressor.load(tmp_path)
    assert loaded.get_params() == model.get_params()
    assert np.array_equal(loaded.predict(X), model.predict(X))
    with pytest.raises(ValueError, match=r"holds a DartsRegressor: DartsRegressor\.load reads it"):
        DartsClassifier.load(tmp_path)
    (tmp_path / "regressor.json").rename(tmp_path / "classifier.json")
    text = (tmp_path / "classifier.json").read_text()
    (tmp_path / "classifier.json").write_text(text.replace("-regressor", "-classifier"))
    with pytest.raises((ValueError, TypeError)):
        DartsClassifier.load(tmp_path)
    both = regressor(loss="huber", huber_delta=0.5).fit(X, np.stack([y, -y], axis=1))
    assert both.predict(X).shape == (40, 2)
    assert both.model_.objective.loss == "huber"


def test_regressor_in_the_tools_of_scikit_learn() -> None:
    pandas = pytest.importorskip("pandas")
    X, y = heights()
    frame = pandas.DataFrame(X, columns=[f"band {i}" for i in range(12)])
    target = pandas.Series(y, name="fat")
    pipeline = make_pipeline(StandardScaler().set_output(transform="pandas"), regressor())
    assert cross_val_score(pipeline, frame, target, cv=2).shape == (2,)
    search = GridSearchCV(regressor(), {"channels": [2, 3]}, cv=2, error_score="raise")
    search.fit(frame, target)
    assert search.best_estimator_.feature_names_in_[3] == "band 3"
    found = pandas.Series(search.predict(frame), index=frame.index, name=target.name)
    assert found.shape == target.shape
    with pytest.raises(ValueError, match="feature names"):
        search.predict(frame.rename(columns={"band 3": "other"}))


def test_several_labels(tmp_path: Path) -> None:
    X, _ = halves((12,))
    y = (X[:, :3] > 0).astype(int)
    model = small().fit(X, y)
    assert model.classes_.tolist() == [0, 1, 2]
    probabilities = model.predict_proba(X)
    assert probabilities.shape == (24, 3)
    assert np.array_equal(model.predict(X), probabilities > 0.5)
    assert model.score(X, y) == (model.predict(X) == y).all(axis=1).mean()
    assert "valid_average_precision" not in model.model_.history[-1]  # nothing was held out
    model.save(tmp_path)
    assert np.array_equal(DartsClassifier.load(tmp_path).predict_proba(X), probabilities)
    pandas = pytest.importorskip("pandas")
    named = small(genotype=pydarts.DARTS_V2).fit(X, pandas.DataFrame(y, columns=list("abc")))
    assert named.predict(X).shape == (24, 3)


def test_weights_reach_search_and_training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = {}
    for name in ("search", "train"):

        def called(*args: Any, stage: str = name, **options: Any) -> Any:
            calls[stage] = options
            return getattr(pydarts, stage)(*args, **options)

        monkeypatch.setattr(f"pydarts.sklearn.{name}", called)
    X, y = halves((12,))
    weights, groups = np.arange(24), np.arange(24) // 2 % 6
    weighted = {"dark": 2.0, "light": 1.0}
    model = small(class_weight=weighted, checkpoint=tmp_path / "here")
    model.fit(X, y, weights, groups=np.repeat(np.arange(6), 4))
    assert groups.max() == 5
    for options in calls.values():
        assert np.array_equal(options["sample_weight"], weights)
        assert options["class_weight"] == weighted
        assert options["checkpoint"] == tmp_path / "here"
    assert calls["search"]["groups"].tolist() == np.repeat(np.arange(6), 4).tolist()
    assert len(list((tmp_path / "here").glob("*.safetensors"))) == 2
    model.save(tmp_path / "model")
    loaded = DartsClassifier.load(tmp_path / "model")
    assert loaded.class_weight == weighted
    assert np.array_equal(loaded.predict_proba(X), model.predict_proba(X))


def test_a_row_without_weight_is_left_out() -> None:
    X, y = halves((12,))
    weights = np.ones(24)
    weights[20:] = 0
    kept = small().fit(X[:20], y[:20])
    assert np.array_equal(kept.predict_proba(X), small().fit(X, y, weights).predict_proba(X))


def test_signals_and_sounds(tmp_path: Path) -> None:
    X, y = halves((12,))
    model = small(space="darts-1d").fit(X, y)
    assert model.image_shape_ == (1, 1, 12)
    assert model.genotype_.space.dimensions == 1
    model.save(tmp_path / "signals")
    assert np.array_equal(DartsClassifier.load(tmp_path / "signals").predict(X), model.predict(X))
    channels = small(space="darts-1d", image_shape=(2, 6)).fit(X, y)
    assert np.array_equal(channels.predict(X), channels.predict(X.reshape(24, 2, 6)))
    assert small(genotype=model.genotype_).fit(X, y).image_shape_ == (1, 1, 12)
    sounds = np.random.default_rng(0).normal(size=(24, 2000))
    sounds[y == "light"] *= np.sin(np.arange(2000))
    log_mel = pydarts.Preprocessing("log_mel", 8000, 2000)
    heard = small(preprocessing=log_mel, genotype=pydarts.DARTS_V2).fit(sounds, y)
    heard.save(tmp_path / "sounds")
    loaded = DartsClassifier.load(tmp_path / "sounds")
    assert loaded.preprocessing == log_mel
    assert np.array_equal(loaded.predict(sounds), heard.predict(sounds))
