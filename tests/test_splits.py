# SPDX-License-Identifier: MIT

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydarts.data.labels import Labels
from pydarts.data.splits import hold_out, sample, split_half


@given(
    st.lists(st.integers(2, 9), min_size=2, max_size=6),
    st.floats(0.01, 0.99),
    st.integers(0, 2**32),
)
def test_split_is_stratified(counts, fraction, seed):
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.repeat(np.arange(len(counts)) * 2, counts))  # with gaps
    train, valid = split_half(codes, rng, fraction)
    np.testing.assert_array_equal(np.sort(np.r_[train, valid]), np.arange(len(codes)))
    for code, count in zip(np.arange(len(counts)) * 2, counts, strict=True):
        in_train = np.count_nonzero(codes[train] == code)
        assert 1 <= in_train <= count - 1
        assert abs(in_train - count * fraction) <= 1


def test_split_of_odd_classes_is_in_half_all_the_same():
    train, valid = split_half(np.repeat(np.arange(10), 5), np.random.default_rng(0))
    assert len(train) == len(valid) == 25


def test_split_is_random_and_repeatable():
    codes = np.tile([0, 1], 50)
    train = split_half(codes, np.random.default_rng(1))[0]
    assert np.array_equal(train, split_half(codes, np.random.default_rng(1))[0])
    assert not np.array_equal(train, split_half(codes, np.random.default_rng(2))[0])
    seen = [
        np.isin(np.arange(100), split_half(codes, np.random.default_rng(s))[0]) for s in range(50)
    ]
    assert np.mean(seen, axis=0).min() > 0.1  # no image is always on one side
    assert np.mean(seen, axis=0).max() < 0.9


def test_class_with_one_image_is_named():
    labels = Labels.fit(["cat", "dog", "cat"])
    with pytest.raises(ValueError, match="labels that the training half lacks: 'dog'"):
        split_half(labels.encode(["cat", "dog", "cat"]), np.random.default_rng(0), labels=labels)


@pytest.mark.parametrize("fraction", [0, 1, -0.5, float("nan")])
def test_impossible_fraction(fraction):
    with pytest.raises(ValueError, match=rf"`fraction` \(={fraction}\)"):
        split_half(np.array([0, 0, 1, 1]), np.random.default_rng(0), fraction)


def test_hold_out():
    y = [(i % 3, "x") for i in range(30)]
    images = np.arange(30)[:, None, None] * np.ones((1, 4, 4))
    X_train, y_train, X_test, y_test = hold_out(images, y, 0.2, seed=1)
    assert len(X_test) == 6
    for part, labels in ((X_train, y_train), (X_test, y_test)):
        assert [y[int(i)] for i in part[:, 0, 0]] == labels.tolist()
    assert sorted([*X_train[:, 0, 0], *X_test[:, 0, 0]]) == list(range(30))
    assert sorted(y_test.tolist()) == sorted(y[:3] * 2)
    again = hold_out(images, y, 0.2, seed=1)[2]
    np.testing.assert_array_equal(X_test, again)
    assert not np.array_equal(X_test, hold_out(images, y, 0.2, seed=2)[2])


def test_hold_out_of_unequal_lengths():
    with pytest.raises(ValueError, match=r"3 images .* 2 labels"):
        hold_out(np.zeros((3, 4, 4)), [0, 1])


@pytest.mark.parametrize("fraction", ["half", None, True])
def test_fraction_that_is_no_number(fraction):
    with pytest.raises(TypeError, match="`fraction`"):
        split_half(np.array([0, 0, 1, 1]), np.random.default_rng(0), fraction)


def test_sample_keeps_the_shares_of_the_classes():
    codes = np.repeat([0, 1, 2], [60, 30, 10])
    images = np.arange(100)
    chosen, kept = sample(images, codes, 20, np.random.default_rng(0))
    assert np.bincount(kept).tolist() == [12, 6, 2]
    np.testing.assert_array_equal(kept, codes[chosen])
    assert (np.diff(chosen) > 0).all()


@pytest.mark.parametrize("size", [None, 6, 7])
def test_sample_of_all_draws_nothing(size):
    rng, codes = np.random.default_rng(0), np.array([0, 0, 0, 1, 1, 1])
    assert sample(codes, codes, size, rng) == (codes, codes)
    assert rng.random() == np.random.default_rng(0).random()
