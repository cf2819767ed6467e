# SPDX-License-Identifier: MIT
"""`Model.evaluate` and `LanguageModel.evaluate`: against plain numpy and scikit-learn."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import pydarts
from pydarts.models.language_model import derived_network
from pydarts.models.scores import ClassificationScores, TextScores
from pydarts.tasks.text import LanguageModelling
from pydarts.training.run import fit
from pydarts.training.run_options import RunOptions

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
    assert repr(TextScores(1e6, 3, 0)).startswith("perplexity 1.01e+304 (loss")


@pytest.fixture
def unbounded(language_model: pydarts.LanguageModel) -> pydarts.LanguageModel:
    """A model whose hidden state grows fivefold a token, and which no training changes."""
    cell = pydarts.RecurrentGenotype([("identity", 0)] * 8, list(range(1, 9)))
    vocabulary, config = language_model.vocabulary, replace(language_model.config, lr=1e-45)
    network, size = derived_network(cell, len(vocabulary), config, threads=1), config.hidden_size
    weights = {name: np.zeros_like(value) for name, value in network.state_dict().items()}
    weights["encoder.weight"] += np.linspace(0.5, 1.0, len(vocabulary))[:, np.newaxis]
    # With c = 0, s_0 is 0.5 h + 0.5 tanh(1 ...), and s_i is 0.5 s_0 + 0.5 (20 s_0).
    weights["rnns.0._W0"][:size, size:] = np.eye(size)
    for node in range(8):
        weights[f"rnns.0._Ws.{node}"][:, size:] = 20 * np.eye(size)
    network.load_state_dict(weights)
    return pydarts.LanguageModel(network, vocabulary, config)


@pytest.mark.parametrize("tokens", [560, 1000], ids=["in the only segment", "in one of two"])
def test_of_a_text_on_which_the_state_overflows(
    unbounded: pydarts.LanguageModel, tokens: int
) -> None:
    few = unbounded.evaluate(TEXT[:200])  # twenty in a column
    assert math.isfinite(few.loss)
    scores = unbounded.evaluate(TEXT[:tokens])
    assert scores.loss == math.inf
    assert scores.perplexity == few.perplexity < math.inf
    assert repr(scores).startswith("perplexity 1.01e+304 (loss inf nats")
    assert scores.to_dict()["loss"] is None
    json.dumps(scores.to_dict(), allow_nan=False)


def test_no_sample_where_the_state_overflows(unbounded: pydarts.LanguageModel) -> None:
    with pytest.raises(ArithmeticError, match="the hidden state overflows"):
        unbounded.sample("the cat", 200)
    with pytest.raises(ArithmeticError, match="the hidden state overflows"):
        unbounded.sample(TEXT)


def test_a_training_whose_validation_overflows_has_diverged(
    unbounded: pydarts.LanguageModel,
) -> None:
    tokens, _ = unbounded.vocabulary.encode(TEXT)
    # Each column of the training has eight tokens, after which nothing has overflowed.
    corpus = pydarts.Corpus("cats", unbounded.vocabulary, tokens[:36], tokens, tokens)
    run = RunOptions(progress=False)
    with pytest.raises(pydarts.Diverged, match="the validation loss is not finite") as caught:
        fit(LanguageModelling(corpus, threads=1), unbounded, run)
    assert caught.value.result is unbounded
    assert unbounded.history == []
    assert np.isfinite(unbounded.network.flat_weights).all()
