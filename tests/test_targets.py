# SPDX-License-Identifier: MIT
"""Several labels, numbers, and weights: targets, scores, searches, trainings, models and files."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

import pydarts
from pydarts import ArgumentError, Weighted
from pydarts.data.targets import LabelSets, Numbers
from pydarts.models.objectives import MultiLabel, Regression
from pydarts.models.scores import LabelScores, RegressionScores, average_precision
from pydarts.tasks.images import ImageClassification

Array = NDArray[Any]
CELL = pydarts.DARTS_V2
SMALL: dict[str, Any] = {
    "channels": 2,
    "cells": 2,
    "epochs": 2,
    "batch_size": 8,
    "progress": False,
    "threads": 1,
}
TRAIN: dict[str, Any] = {**SMALL, "auxiliary": False}
LOSSES = ("cross-entropy", "sigmoid", "mse", "huber")


def images(count: int = 40, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(count, 6, 6)).astype(np.float32)


def slope(weights: Array, index: int, loss: Any) -> float:
    """The central difference of a loss by one weight."""
    before, step = weights[index], 1e-5
    values = []
    for sign in (1, -1):
        weights[index] = before + sign * step
        values.append(loss())
    weights[index] = before
    return float((values[0] - values[1]) / (2 * step))


def label_sets(X: Array) -> Array:
    """Which halves of the images are bright."""
    means = [X[:, :3].mean((1, 2)), X[:, 3:].mean((1, 2)), X[:, :, :3].mean((1, 2))]
    return (np.stack(means, axis=1) > 0).astype(int)


def brightness(X: Array) -> Array:
    return np.asarray(100 + 7 * X.mean((1, 2)), np.float64)


# The engine


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_are_those_of_differences(loss: str, weighted: bool) -> None:
    net = pydarts.Supernet(2, 1, 3, 1, "float64", loss=loss, huber_delta=0.3, threads=1)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 1, 5, 5))
    y: Any = rng.random((4, 3))
    if weighted:
        y = Weighted(y, [0.5, 0.0, 2.0, 1.0])
    _, grads = net.loss_and_grads(x, y)
    flat = np.concatenate([g.ravel() for g in grads["weights"].values()])
    largest = np.argsort(-np.abs(flat))[:5]
    for index in (*largest, flat.size - 1):
        found = slope(net.flat_weights, index, lambda: net.loss(x, y)[0])
        assert flat[index] == pytest.approx(found, rel=1e-5, abs=1e-8)


def test_a_weight_of_none_is_that_of_one() -> None:
    x, y = images(6)[:, np.newaxis], np.arange(6) % 3
    net = pydarts.Supernet(2, 2, 3, 1, threads=1)
    plain, weighted = (net.loss_and_grads(x, y, sample_weight=w) for w in (None, np.ones(6)))
    assert plain[0] == weighted[0]
    for name, gradient in plain[1]["weights"].items():
        assert np.array_equal(gradient, weighted[1]["weights"][name])
    # Only their ratios count, and the loss is their mean.
    single = [net.loss(x, y, sample_weight=w)[0] for w in 3 * np.eye(6)]
    mixed = net.loss(x, y, sample_weight=[1, 2, 0, 0, 0, 1])[0]
    assert mixed == pytest.approx((single[0] + 2 * single[1] + single[5]) / 4, rel=1e-6)


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("loss", ["sigmoid", "huber"])
def test_same_bits_for_any_number_of_threads(loss: str, threads: int) -> None:
    x, y = images(7)[:, np.newaxis], Weighted(label_sets(images(7)).astype("f"), np.arange(7))
    found = []
    for count in (1, threads):
        net = pydarts.Supernet(2, 3, 3, 1, loss=loss, threads=count)
        step = pydarts.bilevel.BilevelStep(net)
        info = step(train=(x, y), valid=(x, y), lr=0.1)
        found.append((info, net.flat_weights.copy(), net.flat_alphas.copy()))
    assert found[0][0] == found[1][0]
    assert np.array_equal(found[0][1], found[1][1])
    assert np.array_equal(found[0][2], found[1][2])


def test_losses_do_not_overflow() -> None:
    net = pydarts.Network(CELL, 2, 2, 2, 1, loss="sigmoid", threads=1)
    x = images(2)[:, np.newaxis]
    state = net.state_dict()
    state["classifier.weight"][:] = 0
    for bias, y, expected in [(1e4, 1.0, 0.0), (1e4, 0.0, 1e4), (-1e4, 1.0, 1e4), (-1e4, 0.0, 0.0)]:
        state["classifier.bias"][:] = bias
        net.load_state_dict(state)
        loss, grads = net.loss_and_grads(x, np.full((2, 2), y), wrt="weights")
        assert loss == expected
        slope = grads["weights"]["classifier.bias"]
        assert slope == pytest.approx(np.full(2, ((bias > 0) - y) / 2))


@pytest.mark.parametrize(
    ("loss", "y", "message"),
    [
        ("sigmoid", [[0.5, 1.5]] * 2, "`y` holds 1.5; it must be in 0..1"),
        ("sigmoid", [[0.5, math.nan]] * 2, "`y` holds nan; it must be in 0..1"),
        ("mse", [[0.5, math.inf]] * 2, "`y` holds inf; it must be finite"),
        ("mse", [0, 1], r"`y` has the shape \(2,\), not \(2, 2\)"),
        ("huber", [["a", "b"]] * 2, "`y` must hold numbers"),
        ("cross-entropy", Weighted([0, 1], [1, -1]), "`sample_weight` holds -1"),
        ("cross-entropy", Weighted([0, 1], [0, 0]), "`sample_weight` holds nothing but 0"),
        ("cross-entropy", Weighted([0, 1], [1]), r"`sample_weight` has the shape \(1,\)"),
    ],
)
def test_unusable_targets_of_the_engine(loss: str, y: Any, message: str) -> None:
    net = pydarts.Network(CELL, 2, 2, 2, 1, loss=loss, threads=1)
    with pytest.raises(ValueError, match=message):
        net.loss(images(2)[:, np.newaxis], y)


def test_unusable_losses() -> None:
    with pytest.raises(ValueError, match=r"`loss` \(='hinge'\) must be"):
        pydarts.Network(CELL, 2, 2, loss="hinge")
    with pytest.raises(ValueError, match=r"`huber_delta` \(=0\) must be more than 0"):
        pydarts.Supernet(2, 2, loss="huber", huber_delta=0)
    with pytest.raises(ValueError, match=r"`classes` \(=1\) must be at least 2"):
        pydarts.Network(CELL, 2, 2, classes=1)
    assert (
        pydarts.Network(CELL, 2, 2, classes=1, loss="mse").logits(np.ones((2, 3, 8, 8))).size == 2
    )
    with pytest.raises(TypeError, match="for networks over images"):
        net = pydarts.RecurrentNetwork(pydarts.RECURRENT_DARTS_V1, 5, 4)
        net.loss_and_grads([[1]], Weighted([[1]], [1]))  # type: ignore[arg-type]


# Targets


def test_label_sets() -> None:
    sets = LabelSets.fit([[0, 1], [True, 0]])
    assert sets.classes == (0, 1)
    assert sets.encode(np.array([[1.0, 0.0]])).tolist() == [[1, 0]]
    assert LabelSets.from_json(sets.to_json()) == sets
    codes = np.array([[0, 1], [0, 1], [1, 1], [1, 0]], np.float32)
    strata = sets.strata(codes)
    assert strata[0] == strata[1] != strata[2] == strata[3]  # what occurs once is together


def test_smoothed_sets() -> None:
    objective = MultiLabel(LabelSets(("a", "b")))
    found = objective.smoothed(np.array([[0.0, 1.0], [1.0, 1.0]]), 0.2)
    np.testing.assert_allclose(found, [[0.1, 0.9], [0.9, 0.9]], rtol=1e-6)


def test_strata_of_numbers_are_their_quantiles() -> None:
    y = np.random.default_rng(0).lognormal(sigma=2, size=103)  # nearly all in a tenth of the range
    numbers = Numbers.fit(y)
    strata = numbers.strata(numbers.encode(y))
    counts = np.bincount(strata)
    assert len(counts) == 10
    assert set(counts) <= {10, 11}
    assert (np.diff(strata[np.argsort(y)]) >= 0).all()


def test_numbers_come_back() -> None:
    y = np.array([[1.0, 5.0], [3.0, 5.0], [8.0, 5.0]])
    numbers = Numbers.fit(y)
    codes = numbers.encode(y)
    assert codes.mean(axis=0) == pytest.approx([0, 0])
    assert codes.std(axis=0) == pytest.approx([1, 0])  # the second is constant
    assert numbers.decode(codes) == pytest.approx(y)
    weighted = Numbers.fit([1, 2, 100], np.array([1.0, 1.0, 0.0]))
    assert weighted.mean == (1.5,)
    assert weighted.decode([[0.0]]).shape == (1,)
    with pytest.raises(ValueError, match="too large for the scale"):
        Numbers.fit([0.0, 1e-9]).encode([1e308])


def test_names_of_data_frames() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"cat": [0, 1], "dog": [1, 1]})
    assert LabelSets.fit(frame).classes == ("cat", "dog")
    assert Numbers.fit(frame).names == ("cat", "dog")
    assert Numbers.fit(frame["cat"]).names == ("cat",)


UNUSABLE: list[tuple[str, Any, str]] = [
    ("multilabel", [0, 1], r"`y` has the shape \(2,\)"),
    ("multilabel", [[0, 2], [1, 1]], r"`y` holds 2 at \[0, 1\]: a label is 0 or 1"),
    ("multilabel", [[0, math.nan], [1, 1]], "`y` holds nan at"),
    ("multilabel", [[0, 1], [1]], "`y` .* must be a matrix"),
    ("multilabel", "ab", "`y` .* must be a matrix"),
    ("multilabel", [["a", "b"], ["c", "d"]], "a matrix"),
    ("multilabel", 3, "`y` .* must be a matrix"),
    ("regression", ["a", "b"], "`y` .*numbers"),
    ("regression", [1.0, math.inf], r"`y` holds inf at \[1\]"),
    ("regression", [1.0], "two are needed"),
    ("regression", [1e300, 0.0], "too large"),
    ("regression", [], "`y` has the shape"),
    ("regression", [None, 1], "`y`"),
    ("regression", np.zeros((2, 2, 2)), r"`y` has the shape \(2, 2, 2\)"),
]


@pytest.mark.parametrize(("task", "y", "message"), UNUSABLE)
def test_unusable_targets(task: str, y: Any, message: str) -> None:
    kind = LabelSets if task == "multilabel" else Numbers
    with pytest.raises(ValueError, match=message):
        kind.fit(y)


@given(
    y=hnp.arrays(
        st.sampled_from([np.float16, np.float32, np.float64, np.int8, np.uint64, bool, object]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    ),
    task=st.sampled_from(["multiclass", "multilabel", "regression"]),
)
def test_any_array_is_encoded_or_refused(y: Array, task: str) -> None:
    X = images(len(y) if y.ndim else 1)
    if len(X) == 0:
        return
    try:
        found = ImageClassification(X, y, objective=task)
    except ValueError as error:
        assert "`" in str(error)
        return
    assert len(found.codes) == len(X)
    assert np.isfinite(found.codes).all()
    if task != "multiclass":
        assert found.codes.shape == (len(X), found.objective.outputs)
        assert found.objective.targets.strata(found.codes).shape == (len(X),)


# Scores


def test_average_precision_by_hand() -> None:
    relevant = np.array([True, False, True, False])
    assert average_precision(relevant, np.array([4, 3, 2, 1])) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(relevant, np.zeros(4)) == 0.5  # all at one threshold
    assert math.isnan(average_precision(np.zeros(3, bool), np.arange(3)))


def test_scores_are_those_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    truth, logits = rng.random((50, 4)) < 0.3, np.round(rng.normal(size=(50, 4)), 1)
    scores = LabelScores.of(tuple("abcd"), truth, logits)
    expected = metrics.average_precision_score(truth, logits)
    assert scores.average_precision == pytest.approx(expected, rel=1e-12)
    assert scores.f1 == pytest.approx(metrics.f1_score(truth, logits > 0, average="macro"))
    assert scores.subset_accuracy == metrics.accuracy_score(truth, logits > 0)
    assert json.loads(json.dumps(scores.to_dict()))["classes"][3]["label"] == "d"
    assert "mean average precision" in repr(scores)
    y, found = rng.normal(size=(2, 50, 2))
    numbers = RegressionScores.of(("a", "b"), y, found)
    assert numbers.r2 == pytest.approx(metrics.r2_score(y, found), rel=1e-12)
    errors = metrics.mean_absolute_error(y, found, multioutput="raw_values")
    assert numbers.mean_absolute_errors == pytest.approx(errors)
    assert "R2" in repr(numbers)
    codes = rng.integers(0, 3, 60)
    X = images(60)
    model = pydarts.train(CELL, X, codes, **TRAIN)
    known = metrics.balanced_accuracy_score(codes, model.predict(X))
    assert model.evaluate(X, codes).balanced_accuracy == pytest.approx(known)  # type: ignore[union-attr]


# Tasks


@pytest.fixture(scope="module")
def several() -> pydarts.Model:
    X = images()
    return pydarts.train(
        CELL, X, label_sets(X), task="multilabel", X_valid=X, y_valid=label_sets(X), **TRAIN
    )


@pytest.fixture(scope="module")
def numbers() -> pydarts.Model:
    X = images()
    return pydarts.train(
        CELL, X, brightness(X), task="regression", loss="huber", huber_delta=0.5, **TRAIN
    )


def test_several_labels(several: pydarts.Model, tmp_path: Path) -> None:
    X = images(10, 1)
    assert isinstance(several.objective, MultiLabel)
    probabilities, predicted = several.predict_proba(X), several.predict(X)
    assert probabilities == pytest.approx(1 / (1 + np.exp(-several.logits(X).astype(float))))
    assert np.array_equal(predicted, probabilities > 0.5)
    assert predicted.dtype.kind == "i"
    entry = several.history[-1]
    assert {"train_subset_accuracy", "valid_average_precision", "valid_f1"} <= entry.keys()
    assert entry["valid_average_precision"] == pytest.approx(
        several.score(images(), label_sets(images()))
    )
    assert "3 labels" in repr(several)
    several.save(tmp_path)
    assert json.loads((tmp_path / "model.json").read_text())["version"] == 2
    again = pydarts.Model.load(tmp_path)
    assert np.array_equal(again.predict_proba(X), probabilities)
    with pytest.raises(AttributeError, match="classes"):
        again.labels  # noqa: B018


def test_numbers(numbers: pydarts.Model, tmp_path: Path) -> None:
    X = images(10, 1)
    assert isinstance(numbers.objective, Regression)
    predicted = numbers.predict(X)
    assert predicted.shape == (10,)
    assert 50 < predicted.mean() < 150  # scaled back
    scaled = (predicted - np.mean(brightness(images()))) / np.std(brightness(images()))
    assert scaled == pytest.approx(numbers.logits(X)[:, 0], rel=1e-5)
    with pytest.raises(TypeError, match="no probabilities"):
        numbers.predict_proba(X)
    assert numbers.score(X, brightness(X)) == numbers.evaluate(X, brightness(X)).r2  # type: ignore[union-attr]
    numbers.save(tmp_path)
    again = pydarts.Model.load(tmp_path)
    assert again.objective == numbers.objective
    assert np.array_equal(again.predict(X), predicted)
    description = json.loads((tmp_path / "model.json").read_text())
    for change in ({"scale": {"mean": [0.0], "std": [0.0]}}, {"loss": "l1"}, {"task": "ranking"}):
        (tmp_path / "model.json").write_text(json.dumps({**description, **change}))
        with pytest.raises(ValueError, match=r"model\.json"):
            pydarts.Model.load(tmp_path)


def test_several_numbers() -> None:
    X = images()
    y = np.stack([brightness(X), -X[:, 0, 0]], axis=1)
    model = pydarts.train(CELL, X, y, task="regression", **TRAIN)
    assert model.predict(X).shape == y.shape
    assert len(model.evaluate(X, y).r2s) == 2  # type: ignore[union-attr]


def test_it_learns() -> None:
    X = images(200)
    how = {**TRAIN, "channels": 4, "epochs": 15, "drop_path": 0.0}
    model = pydarts.train(CELL, X, brightness(X), task="regression", **how)
    assert model.score(images(100, 1), brightness(images(100, 1))) > 0.5
    model = pydarts.train(CELL, X, label_sets(X), task="multilabel", **how)
    assert model.score(images(100, 1), label_sets(images(100, 1))) > 0.8


@pytest.mark.parametrize(
    ("task", "targets", "names"),
    [
        ("multilabel", label_sets, {"valid_average_precision", "valid_f1"}),
        ("regression", brightness, {"valid_r2"}),
    ],
)
@pytest.mark.parametrize("order", [1, 2])
def test_search(task: str, targets: Any, names: set[str], order: int, tmp_path: Path) -> None:
    X = images()
    result = pydarts.search(X, targets(X), task=task, order=order, **SMALL)
    assert names <= result.history[-1].keys()
    assert "valid_accuracy" not in result.history[-1]
    shown = {"multilabel": "average precision", "regression": "R2"}[task]
    assert re.search(rf"validation: loss \d\S+, {shown} -?\d", repr(result))
    page = result._repr_html_()
    assert "R²" in page if task == "regression" else "average precision" in page
    # Interrupted, it goes on to the same bits.
    options = {**SMALL, "checkpoint": tmp_path, "task": task, "order": order}
    stop = pydarts.EarlyStopping(patience=1, min_delta=1e9)
    pydarts.search(X, targets(X), callbacks=[stop], **options)
    again = pydarts.search(X, targets(X), **options)
    for name, alpha in result.alphas.items():
        assert np.array_equal(alpha, again.alphas[name])


@pytest.mark.parametrize("method", ["gdas", "darts-minus", "fair-darts"])
def test_methods_take_other_tasks_and_weights(method: str) -> None:
    X = images()
    weights = np.random.default_rng(0).random(40)
    for task, y in (("regression", brightness(X)), ("multilabel", label_sets(X))):
        result = pydarts.search(X, y, task=task, sample_weight=weights, method=method, **SMALL)
        assert np.isfinite(result.history[-1]["valid_loss"])


def test_finalists_of_other_tasks(tmp_path: Path) -> None:
    X = images()
    selector = pydarts.Finalists(candidates=2, epochs=1, drawn=1, repeats=0)
    for task, y, metric in (
        ("regression", brightness(X), "R2"),
        ("multilabel", label_sets(X), "average precision"),
    ):
        result = pydarts.search(X, y, task=task, selector=selector, **{**SMALL, "epochs": 1})
        assert len(result.finalists) == 2
        result.report(tmp_path / f"{task}.html")
        page = (tmp_path / f"{task}.html").read_text(encoding="utf-8")
        assert f"the choice is by the {metric} on the validation data" in page


@pytest.mark.slow
def test_many_searches_find_what_one_does() -> None:
    X = images()
    weights = np.random.default_rng(0).integers(0, 3, 40)
    told = {"task": "multilabel", "sample_weight": weights, "split": "time"}
    options = {**SMALL, "epochs": 1}
    one = pydarts.search(X, label_sets(X), seed=3, **told, **options)
    (many,) = pydarts.search_many(X, label_sets(X), seeds=[3], **told, **options)
    for name, alpha in one.alphas.items():
        assert np.array_equal(alpha, many.alphas[name])


def test_cells_are_compared_by_the_metric_of_the_task() -> None:
    X = images()
    told = {"task": "regression", "loss": "huber", **TRAIN, "epochs": 1}
    told.pop("seed", None)
    found = pydarts.compare(CELL, X, brightness(X), seeds=[0], random_cells=1, **told)
    assert found.metric == "R2"
    drawn = pydarts.random_search(
        X, label_sets(X), k=2, **{**told, "task": "multilabel", "loss": None}
    )
    assert drawn.metric == "average precision"
    assert 0 <= drawn.best.score <= 1


def test_fit_by_a_plan() -> None:
    X = images()
    plan = pydarts.Plan(cell="DARTS_V2", channels=2, cells=2, epochs=1)
    how: dict[str, Any] = {"plan": plan, "progress": False, "threads": 1}
    model = pydarts.fit(X, brightness(X), task="regression", **how)
    assert model.config.label_smoothing == 0
    assert model.task == "regression"


def test_a_checkpoint_is_of_its_weights_and_loss(tmp_path: Path) -> None:
    X = images()
    options = {**TRAIN, "task": "regression", "checkpoint": tmp_path}
    pydarts.train(CELL, X, brightness(X), **options)
    for change in ({"loss": "huber"}, {"sample_weight": np.arange(1, 41)}):
        with pytest.raises(pydarts.CheckpointError, match="other data"):
            pydarts.train(CELL, X, brightness(X), **options, **change)


# Weights


def test_what_weighs_nothing_is_left_out() -> None:
    X, y = images(), np.arange(40) % 2
    weights = np.ones(40)
    weights[30:] = 0
    kept = pydarts.train(CELL, X[:30], y[:30], **TRAIN)
    weighted = pydarts.train(CELL, X, y, sample_weight=weights, **TRAIN)
    assert np.array_equal(kept.predict_proba(X), weighted.predict_proba(X))
    numbers = [
        pydarts.train(CELL, X[:30], brightness(X)[:30], task="regression", **TRAIN),
        pydarts.train(CELL, X, brightness(X), task="regression", sample_weight=weights, **TRAIN),
    ]
    assert np.array_equal(numbers[0].predict(X), numbers[1].predict(X))


def test_what_weighs_nothing_has_no_scale() -> None:
    """Such as the place of a number that is missing."""
    y, weights = np.array([10.0, 20, 30, 40, 1e20]), np.array([1.0, 1, 1, 1, 0])
    assert Numbers.fit(y, weights) == Numbers.fit(y[:4])


def test_validation_is_of_what_weighs_something() -> None:
    X, y = images(30), np.arange(30) % 3
    weights: Any = {0: 1.0, 1: 2.0, 2: 0.0}
    valid: dict[str, Any] = {"X_valid": X[np.argsort(y)], "y_valid": np.sort(y)}
    result = pydarts.search(X, y, class_weight=weights, **valid, **SMALL)
    kept = valid["y_valid"] < 2
    some = {name: values[kept] for name, values in valid.items()}
    without = pydarts.search(X, y, class_weight=weights, **some, **SMALL)
    assert result.history[-1]["valid_loss"] == without.history[-1]["valid_loss"]
    of_it = {name: values[~kept] for name, values in valid.items()}
    with pytest.raises(ArgumentError, match="leaves nothing of `X_valid`") as error:
        pydarts.search(X, y, class_weight=weights, **of_it, **SMALL)
    assert error.value.argument == "class_weight"


def test_r2_of_a_constant_output_is_none() -> None:
    """The mean of three 0.1 is another number."""
    truth = np.stack([np.full(3, 0.1), np.array([1.0, 2.0, 3.0])], axis=1)
    scores = RegressionScores.of(("constant", "other"), truth, truth + 0.01)
    assert math.isnan(scores.r2s[0])
    assert scores.r2 == scores.r2s[1] == pytest.approx(1 - 3e-4 / 2)


def test_balanced_weights() -> None:
    X, y = images(), np.array(["a"] * 30 + ["b"] * 10)
    task = ImageClassification(X, y, class_weight="balanced")
    assert task.weights is not None
    assert task.weights[:30].sum() == pytest.approx(task.weights[30:].sum())
    assert task.metric.name == "balanced accuracy"
    named = ImageClassification(X, y, class_weight={"b": 3.0})
    assert named.weights == pytest.approx(task.weights)
    result = pydarts.search(X, y, class_weight="balanced", **SMALL)
    assert {"valid_accuracy", "valid_balanced_accuracy"} <= result.history[-1].keys()


def test_balancing_finds_a_rare_class() -> None:
    rng = np.random.default_rng(0)
    X, y = images(240), (np.arange(240) % 12 == 0).astype(int)
    X[y == 1] += 0.35
    X_test, y_test = images(240, 1), rng.permutation(y)
    X_test[y_test == 1] += 0.35
    scores = np.empty((3, 2))  # one training alone decides little
    for seed, weight in np.ndindex(scores.shape):
        how = {**TRAIN, "channels": 4, "epochs": 8, "seed": seed}
        model = pydarts.train(CELL, X, y, class_weight=(None, "balanced")[weight], **how)
        found = model.evaluate(X_test, y_test)
        scores[seed, weight] = found.balanced_accuracy  # type: ignore[union-attr]
        assert "balanced accuracy" in repr(found)
    plain, balanced = scores.mean(axis=0)
    assert balanced > plain + 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "ranking"}, r"`task` \(='ranking'\) must be 'multiclass'"),
        ({"loss": "mse"}, "`loss` .* is for task='regression'"),
        ({"task": "regression", "loss": "l1"}, r"`loss` \(='l1'\) must be 'mse' or 'huber'"),
        ({"huber_delta": 2}, r"`huber_delta` \(=2\) is for `loss`='huber'"),
        ({"task": "regression", "huber_delta": 2}, r"`huber_delta` \(=2\) is for `loss`='huber'"),
        ({"task": "regression", "label_smoothing": 0.1}, "`label_smoothing` .* must be 0"),
        (
            {"task": "regression", "class_weight": "balanced"},
            r"`class_weight` \(='balanced'\) is for `task`='multiclass', .*'regression': `sample_w",
        ),
        ({"class_weight": "even"}, r"`class_weight` \(='even'\)"),
        ({"class_weight": {7: 1}}, "`class_weight` names the unknown label 7"),
        ({"class_weight": {0: -1}}, "`class_weight` gives 0 the weight -1"),
        ({"class_weight": {0: 0, 1: 0}}, "`class_weight` leaves no sample"),
        ({"sample_weight": [1, 2]}, r"`sample_weight` has the shape \(2,\)"),
        ({"sample_weight": [-1.0] * 40}, "`sample_weight` holds -1.0"),
        ({"sample_weight": [0.0] * 40}, "`sample_weight` holds nothing but 0"),
        ({"sample_weight": ["a"] * 40}, "`sample_weight`"),
    ],
)
def test_unusable_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pydarts.train(CELL, images(), np.arange(40) % 2, **TRAIN, **options)


def test_several_labels_have_no_weights_of_classes() -> None:
    Y = np.eye(3)[np.arange(40) % 3]
    with pytest.raises(ValueError, match=r"`class_weight` \(=\[.*not for 'multilabel'"):
        pydarts.train(CELL, images(), Y, task="multilabel", class_weight=[1, 2, 3], **TRAIN)  # type: ignore[arg-type]


# Exports


@pytest.mark.parametrize("task", ["several", "numbers"])
def test_onnx_and_pytorch(task: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    model: pydarts.Model = request.getfixturevalue(task)
    X = images(5, 2)[:, np.newaxis]
    regression = model.task == "regression"
    expected = model.predict(X)[:, np.newaxis] if regression else model.logits(X)
    model.to_onnx(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    assert session.get_outputs()[0].name == ("predictions" if regression else "logits")
    assert session.run(None, {"images": X})[0] == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert session.get_modelmeta().custom_metadata_map["task"] == model.task
    torch = pytest.importorskip("torch")
    found = model.to_torch()(torch.from_numpy(X)).detach().numpy()
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-4)
