# SPDX-License-Identifier: MIT
import json

import numpy as np
import pytest
from drawn_text import CHARACTERS
from hypothesis import given
from hypothesis import strategies as st

import pydarts
from pydarts.data.labels import Labels


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        ([3, 1, 3, 2], (1, 2, 3)),
        (np.array([3, 1, 2], np.uint8), (1, 2, 3)),
        (["b", "a", "b"], ("a", "b")),
        (["a\0", "a"], ("a", "a\0")),  # numpy strips the NUL
        (np.array(["b", "a"]), ("a", "b")),
        ([(2, "x"), (1, "y")], ((1, "y"), (2, "x"))),
        ([np.int8(2), 1.5, True], (True, 1.5, 2)),
        (["b", 2, b"c", "a", 2], ("b", 2, b"c", "a")),
        (np.array(["b", 2, "b"], object), ("b", 2)),
    ],
)
def test_classes_and_codes(y, classes):
    labels = Labels.fit(y)
    assert labels.classes == classes
    assert len(labels) == len(classes)
    codes = labels.encode(y)
    assert codes.dtype == np.int64
    assert [classes[code] for code in codes] == list(y)
    assert labels.decode(codes).tolist() == list(y)


def test_labels_become_python_objects():
    labels = Labels.fit([np.int64(2), np.int64(1)])
    assert repr(labels.classes) == "(1, 2)"
    assert labels.decode([1]).dtype == np.int64
    assert Labels.fit([np.str_("a"), "b"]).decode([0, 1]).dtype.kind == "U"


def test_labels_of_another_library():
    class Tensor:
        """As PyTorch's: iterating gives tensors, hashed by identity."""

        def __init__(self, values):
            self.values = values

        def __array__(self, dtype=None, copy=None):
            return np.array(self.values, dtype)

        def __iter__(self):
            return map(Tensor, self.values)

    assert Labels.fit(Tensor([1, 0, 1])).encode(Tensor([0, 1])).tolist() == [0, 1]


@given(
    st.lists(
        st.one_of(st.integers(), st.text(CHARACTERS), st.booleans(), st.tuples(st.integers())),
        max_size=20,
    )
)
def test_labels_round_trip(y):
    if len(set(y)) < 2:
        with pytest.raises(ValueError, match="`y`"):
            Labels.fit(y)
        return
    labels = Labels.fit(y)
    assert labels.decode(labels.encode(y)).tolist() == y


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([], "empty"),
        ("abc", "sequence"),
        (3, "sequence"),
        (["a", "a"], "one class only .'a'"),
        ([0.0, 1.0, float("nan")], "nan at index 2"),
        (["a", "b", None], "None at index 2: that is no label"),
        (np.array(["2024-01-01", "NaT"], "datetime64[D]"), "NaT.* at index 1"),
        ([0, [1]], r"\[1\] at index 1"),
        (np.eye(3), "argmax"),
        (np.zeros((3, 1)), "ravel"),
        (np.float64(3), "one axis|sequence"),
    ],
)
def test_unusable_labels(y, message):
    with pytest.raises(ValueError, match=message) as error:
        Labels.fit(y)
    assert "`y`" in str(error.value)


@pytest.mark.parametrize("unknown", ["bird", 1, None, ["cat"]])
def test_unknown_label_is_named(unknown):
    with pytest.raises(ValueError, match=r"index 1: the classes are 'cat', 'dog'") as error:
        Labels(("cat", "dog")).encode(["cat", unknown, "dog"])
    assert repr(unknown) in str(error.value)


def test_many_classes_are_not_all_printed():
    with pytest.raises(ValueError, match=r"9, … \(1000 in all\)"):
        Labels(tuple(range(1000))).encode([-1])


@pytest.mark.parametrize("classes", [(0, 1), ("a", "b"), (0.5, 2.0), (False, True), ("a", 1)])
def test_labels_survive_json(classes):
    again = Labels.from_json(json.loads(json.dumps(Labels(classes).to_json())))
    assert again == Labels(classes)
    assert list(map(type, again.classes)) == list(map(type, classes))


@pytest.mark.parametrize("label", [(1, 2), None, b"a", float("inf")])
def test_labels_that_json_cannot_hold(label):
    with pytest.raises(ValueError, match="cannot be saved") as error:
        Labels(("a", label)).to_json()
    assert repr(label) in str(error.value)


@pytest.mark.parametrize("classes", [["a", "a"], ["a", None], [["a"], "b"], [1, True]])
def test_malformed_saved_labels(classes):
    with pytest.raises(ValueError, match="`classes`"):
        Labels.from_json(classes)


@pytest.mark.parametrize("y", ["abc", 3, None, [0, [1]]])
def test_labels_of_a_wrong_type(y):
    with pytest.raises(TypeError, match="`y`"):
        Labels.fit(y)


@pytest.mark.parametrize("kind", [str, lambda each: (each,), np.datetime64])
def test_labels_that_cannot_be_saved_are_told_at_the_start(kind, tmp_path, caplog):
    X = np.random.default_rng(0).random((16, 8, 8), np.float32)
    labels = [kind(f"2024-01-0{index % 2 + 1}") for index in range(16)]
    options = {"channels": 1, "cells": 1, "epochs": 1, "batch_size": 8, "progress": False}
    for run in (
        lambda: pydarts.train(pydarts.DARTS_V2, X, labels, **options),
        lambda: pydarts.fit(X, labels, "1min", genotype=pydarts.DARTS_V2, **options),
    ):
        caplog.clear()
        model = run()
        told = [each for each in caplog.messages if "`Model.save` will fail" in each]
        assert len(told) == (kind is not str)
        if told:
            with pytest.raises(ValueError, match="cannot be saved") as error:
                model.save(tmp_path / "model")
            assert told == [f"`Model.save` will fail: {error.value}"]


def test_values_that_are_missing_in_pandas_are_no_labels() -> None:
    pandas = pytest.importorskip("pandas")
    with pytest.raises(ValueError, match="holds <NA> at index 1: that is no label"):
        Labels.fit(["a", pandas.NA, "b"])
