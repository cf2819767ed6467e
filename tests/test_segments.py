# SPDX-License-Identifier: MIT
"""Columns and segments."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydarts.data.segments import Segments, batchify, segments


@given(st.integers(1, 9), st.integers(1, 60))
def test_batchify(batch: int, count: int) -> None:
    tokens = np.arange(count)
    rows = count // batch
    if rows < 2:
        with pytest.raises(ValueError, match=f"`tokens` are {count}, too few for `batch_size`"):
            batchify(tokens, batch)
        return
    columns = batchify(tokens, batch)
    assert columns.shape == (rows, batch)
    assert columns.dtype == np.int32
    assert columns.flags.c_contiguous
    for t, b in itertools.product(range(rows), range(batch)):
        assert columns[t, b] == b * rows + t


def test_batchify_with_room_for_bptt() -> None:
    assert batchify(np.zeros(256 * 36, np.int32), 256, bptt=35).shape == (36, 256)
    message = (
        r"are 9,215, too few for `batch_size` \(=256\) columns of `bptt` \(=35\) \+ 1: .* 9,216"
    )
    with pytest.raises(ValueError, match=message):
        batchify(np.zeros(256 * 36 - 1, np.int32), 256, bptt=35)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1, 2, 3], 0), ValueError, r"`batch_size` \(=0\) must be at least 1"),
        (([1, 2, 3], 1.0), TypeError, r"`batch_size` \(=1.0\) must be an integer"),
        (([], 1), ValueError, "`tokens` are 0, too few"),
        (([[1, 2], [3, 4]], 1), ValueError, r"has shape \(2, 2\), but must have 1 axes"),
        (([1.0, 2.0], 1), TypeError, "has dtype float64"),
        (([1, 2**31], 1), ValueError, r"`tokens\[1\]` \(=2147483648\) must be"),
        (([1, -2], 1), ValueError, r"`tokens\[1\]` \(=-2\) must be"),
    ],
)
def test_batchify_refuses(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        batchify(*arguments)


@given(st.integers(2, 80), st.integers(1, 3), st.integers(1, 40))
def test_segments_of_evaluation(rows: int, batch: int, bptt: int) -> None:
    columns = np.arange(rows * batch, dtype=np.int32).reshape(rows, batch)
    pairs = list(segments(columns, bptt))
    np.testing.assert_array_equal(np.concatenate([x for x, _ in pairs]), columns[:-1])
    np.testing.assert_array_equal(np.concatenate([y for _, y in pairs]), columns[1:])
    assert [len(x) for x, _ in pairs[:-1]] == [bptt] * (len(pairs) - 1)
    assert 1 <= len(pairs[-1][0]) <= bptt
    for x, y in pairs:
        assert x.dtype == y.dtype == np.int32
        assert x.shape == y.shape
        assert x.flags.c_contiguous and y.flags.c_contiguous


@given(st.integers(3, 200), st.integers(1, 40), st.integers(0, 99), st.floats(0, 1))
def test_segments_of_training(rows: int, bptt: int, seed: int, probability: float) -> None:
    columns = np.arange(2 * rows, dtype=np.int32).reshape(rows, 2)
    pairs = list(segments(columns, bptt, np.random.default_rng(seed), probability))
    lengths = [len(x) for x, _ in pairs]
    assert sum(lengths) in (rows - 1, rows - 2)  # a lone last step is dropped
    np.testing.assert_array_equal(np.concatenate([x for x, _ in pairs]), columns[: sum(lengths)])
    for x, y in pairs:
        np.testing.assert_array_equal(y, x + 2)
    least = 1 if bptt == 1 else 2
    assert min(lengths) >= least
    draws = np.random.default_rng(seed).random(len(lengths)) < probability
    wanted = [max(least, bptt // 2) if short else bptt for short in draws]
    assert lengths[:-1] == wanted[:-1]
    assert lengths[-1] <= wanted[-1]


def test_segment_lengths_of_the_original() -> None:
    columns = np.zeros((100_000, 1), np.int32)
    lengths = [len(x) for x, _ in segments(columns, 35, np.random.default_rng(0))][:-1]
    assert set(lengths) == {35, 17}
    assert 0.04 < np.mean(np.array(lengths) == 17) < 0.06
    again = [len(x) for x, _ in segments(columns, 35, np.random.default_rng(0))][:-1]
    assert again == lengths


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"columns": [[1], [2], [3]], "bptt": 0}, ValueError, r"`bptt` \(=0\) must be at least 1"),
        ({"bptt": 2.5}, TypeError, r"`bptt` \(=2.5\) must be an integer"),
        ({"columns": [1, 2, 3]}, ValueError, r"`columns` has shape \(3,\), but must have 2 axes"),
        ({"columns": [[1]]}, ValueError, "`columns` has 1 rows; segments need at least 2"),
        ({"columns": [[1], [2]], "rng": np.random.default_rng()}, ValueError, "need at least 3"),
        ({"columns": [[1.5], [2]]}, TypeError, "has dtype float64"),
        ({"rng": 0}, TypeError, r"`rng` \(=0\) must be a numpy.random.Generator or None"),
        ({"short_probability": 1.5}, ValueError, r"`short_probability` \(=1.5\) must be at most 1"),
        ({"short_probability": float("nan")}, ValueError, r"`short_probability` \(=nan\)"),
        ({"short_probability": "0.05"}, TypeError, r"`short_probability` \(='0.05'\) must be a n"),
    ],
)
def test_segments_refuses_at_the_call(change: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        segments(**{"columns": [[1], [2], [3], [4]], "bptt": 2, **change})


@pytest.mark.parametrize("done", range(0, 40, 3))
def test_resumed_segments_are_those_of_one_run(done: int) -> None:
    columns = np.arange(200, dtype=np.int32).reshape(100, 2)
    whole = Segments(columns, 8, np.random.default_rng(4)).endless()
    expected = list(itertools.islice(whole, 45))
    rng = np.random.default_rng(4)
    first = Segments(columns, 8, rng)
    list(itertools.islice(first.endless(), done))
    assert set(first.state()) == {"at"}
    again = Segments(columns, 8, rng)
    again.restore(first.state())
    for found, wanted in zip(again.endless(), expected[done:], strict=False):
        assert found[0] == wanted[0]
        np.testing.assert_array_equal(found[1], wanted[1])


def test_segments_say_where_epochs_begin() -> None:
    columns = np.zeros((21, 1), np.int32)
    pairs = itertools.islice(Segments(columns, 10, np.random.default_rng(1)).endless(), 6)
    assert [first for first, _ in pairs] == [True, False] * 3
