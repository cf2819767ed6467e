# SPDX-License-Identifier: MIT
"""`Model.evaluate` and `LanguageModel.evaluate`: against plain numpy and scikit-learn."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import numpy as np
import pytest

import pydarts
from pydarts.models.scores import ClassificationScores, TextScores

NAMES = np.array(["no", "yes", "perhaps"])
TEXT = "the cat sat on the mat and the dog sat on the log\n" * 20


def pictures(count: int, seed: int) -> tuple[Any, Any]:
    """Return noise with a bright stripe whose place is the class, hard to see, and labels."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, count)
    X = rng.integers(0, 100, (count, 6, 6), dtype=np.uint8)
    for image, label in zip(X, y, strict=True):
        image[:, 2 * label : 2 * label + 2] += 30
    return X, NAMES[y]


@pytest.fixture(scope="module")
def model() -> Any:
    options = {"channels": 1, "cells": 2, "epochs": 3, "batch_size": 8, "progress": False}
    return pydarts.train(pydarts.DARTS_V2, *pictures(60, 0), threads=1, **options)


@pytest.fixture(scope="module")
def language_model() -> Any:
    options = {"hidden_size": 4, "batch_size": 4, "bptt": 8, "epochs": 1, "progress": False}
    return pydarts.train_text(pydarts.RECURRENT_DARTS_V2, TEXT, threads=1, **options)


def test_scores_of_images(model: Any) -> None:
    X, y = pictures(150, 1)
    scores, predicted = model.evaluate(X, y), model.predict(X)
    assert scores.classes == model.classes == ("no", "perhaps", "yes")
    assert 0.4 < scores.accuracy < 1  # some of all kinds
    assert scores.accuracy == (predicted == y).mean() == model.score(X, y)
    assert scores.count == 150
    for row, label in enumerate(scores.classes):
        for column, other in enumerate(scores.classes):
            assert scores.confusion[row, column] == ((y == label) & (predicted == other)).sum()
        hits = ((y == label) & (predicted == label)).sum()
        assert scores.precision[row] == hits / (predicted == label).sum()
        assert scores.recall[row] == hits / (y == label).sum()
    assert scores.confusion.trace() < 150
    assert not np.array_equal(scores.confusion, scores.confusion.T)
    again = model.evaluate(X, iter(y.tolist()))
    assert np.array_equal(again.confusion, scores.confusion)


def test_scores_agree_with_scikit_learn(model: Any) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    X, y = pictures(150, 1)
    scores, predicted = model.evaluate(X, y), model.predict(X)
    labels = list(scores.classes)
    expected = metrics.confusion_matrix(y, predicted, labels=labels)
    assert np.array_equal(scores.confusion, expected)
    precision, recall, _, _ = metrics.precision_recall_fscore_support(y, predicted, labels=labels)
    np.testing.assert_array_equal(scores.precision, precision)
    np.testing.assert_array_equal(scores.recall, recall)


def test_classes_that_are_missing() -> None:
    # Nothing is of the class "b" or predicted as "c".
    scores = ClassificationScores(("a", "b", "c"), np.array([[3, 1, 0], [0, 0, 0], [2, 0, 0]]))
    assert scores.accuracy == 0.5
    np.testing.assert_array_equal(scores.precision, [3 / 5, 0, np.nan])
    np.testing.assert_array_equal(scores.recall, [3 / 4, np.nan, 0])
    d = json.loads(json.dumps(scores.to_dict(), allow_nan=False))
    assert d == {
        "images": 6,
        "accuracy": 0.5,
        "balanced_accuracy": 0.375,
        "classes": [
            {"label": "a", "precision": 0.6, "recall": 0.75},
            {"label": "b", "precision": 0.0, "recall": None},
            {"label": "c", "precision": None, "recall": 0.0},
        ],
        "confusion": [[3, 1, 0], [0, 0, 0], [2, 0, 0]],
    }
    rows = {line.split()[0]: line.split()[1:] for line in repr(scores).splitlines() if line}
    assert "accuracy 50.00% of 6 images\nbalanced accuracy 37.50%\n" in repr(scores)
    assert rows["c"] == ["2", "0", "0"]  # of the matrix, which comes last
    lines = [line.split() for line in repr(scores).splitlines()]
    assert ["a", "60.00%", "75.00%", "4"] in lines
    assert ["b", "0.00%", "-", "0"] in lines
    assert ["c", "-", "0.00%", "2"] in lines


def test_a_matrix_that_is_too_wide_is_left_out() -> None:
    many = tuple(f"a class with a long name {i}" for i in range(30))
    text = repr(ClassificationScores(many, np.eye(30, dtype=np.int64)))
    assert "confusion matrix" not in text
    assert max(map(len, text.splitlines())) < 80
    assert len(text.splitlines()) == 33


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: (X, y[:-1]), "30 images.*29 labels"),
        (lambda X, y: (X, ["maybe", *y[1:]]), "unknown label 'maybe'"),
        (lambda X, y: (X[:0], y[:0]), "`X` is empty"),
        (lambda X, y: (np.stack([X] * 3, axis=1), y), "channel"),
    ],
)
def test_what_cannot_be_evaluated(model: Any, change: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model.evaluate(*change(*pictures(30, 2)))


def test_scores_of_a_text(language_model: Any) -> None:
    text = "the dog sat on the cat\n" * 33  # more than one segment
    scores = language_model.evaluate(text)
    assert (scores.tokens, scores.unknown) == (len(text), 0)
    assert scores.perplexity == math.exp(scores.loss) == language_model.perplexity(text)
    tokens, _ = language_model.vocabulary.encode(text)
    assert language_model.evaluate(tokens) == scores
    # All but the first tokens of ten columns are predicted, each from all before it.
    columns = tokens[: len(tokens) // 10 * 10].reshape(10, -1).T
    losses, hidden = [], None
    for now, following in itertools.pairwise(columns):
        shares, hidden = language_model.network.next_probabilities(now, hidden=hidden)
        losses += list(-np.log(shares[np.arange(10), following]))
    assert scores.loss == pytest.approx(np.mean(losses), rel=1e-5)


def test_what_a_vocabulary_lacks_is_counted(language_model: Any) -> None:
    text = "the zebra sat on the cat\n"
    lacking = sum(letter not in TEXT for letter in text)
    assert lacking > 1
    assert language_model.evaluate(text).unknown == lacking
    for text in ("", "a"):
        with pytest.raises(pydarts.ArgumentError, match="to predict one takes two") as error:
            language_model.evaluate(text)
        assert error.value.argument == "text"


def test_the_form_of_text_scores() -> None:
    scores = TextScores(1.5, 1234, 7)
    assert scores.to_dict() == {
        "tokens": 1234,
        "unknown": 7,
        "loss": 1.5,
        "perplexity": math.exp(1.5),
    }
    expected = "perplexity 4.482 (loss 1.5000 nats a token) of 1,234 tokens, 7 of them unknown"
    assert repr(scores) == expected
    assert TextScores(1e6, 3, 0).perplexity < math.inf
