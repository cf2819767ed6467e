# SPDX-License-Identifier: MIT

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydarts.common.errors import ArgumentError
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
    with pytest.raises(ArgumentError, match=r"`y` .* training half lacks: 'dog' \(each class"):
        split_half(labels.encode(["cat", "dog", "cat"]), np.random.default_rng(0), labels=labels)


def test_numbers_as_labels_are_known_for_what_they_are():
    numbers = [0.5, 1.5, 2.5, 2.5]
    labels = Labels.fit(numbers)
    with pytest.raises(ArgumentError, match=r"lacks: 0\.5, 1\.5: to .* `task`='regression'"):
        split_half(labels.encode(numbers), np.random.default_rng(0), labels=labels)


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


# Groups


def test_halves_without_groups_keep_their_bits():
    codes = np.random.default_rng(5).integers(0, 3, 20)
    train, _ = split_half(codes, np.random.default_rng(9), 0.4)
    assert train.tolist() == [2, 3, 9, 12, 13, 14, 17, 19]


@given(st.integers(3, 9), st.integers(2, 4), st.floats(0.2, 0.8), st.integers(0, 2**32))
def test_no_group_is_in_both_parts(count, classes, fraction, seed):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(count), rng.integers(classes, 20, count))
    # Every group has every class, so that a split exists.
    codes = np.concatenate([np.arange(n) % classes for n in np.bincount(groups)])
    train, valid = split_half(codes, np.random.default_rng(seed), fraction, groups=groups)
    assert not set(groups[train]) & set(groups[valid])
    np.testing.assert_array_equal(np.sort(np.r_[train, valid]), np.arange(len(codes)))
    assert (np.diff(train) > 0).all()
    assert set(codes[train]) == set(codes[valid]) == set(range(classes))
    again = split_half(codes, np.random.default_rng(seed), fraction, groups=groups)
    np.testing.assert_array_equal(train, again[0])


def off(codes, groups, inside, fraction):
    """How far a choice of groups is from the fraction, as the docstring of `split_half` says."""
    chosen = np.isin(groups, inside)
    total = (chosen.sum() - fraction * len(codes)) ** 2
    for code in np.unique(codes):
        of = codes == code
        total += ((chosen & of).sum() - fraction * of.sum()) ** 2
    return total


@pytest.mark.parametrize("seed", range(8))
def test_groups_are_chosen_near_the_best(seed):
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.repeat(np.arange(8), rng.integers(10, 40, 8)))
    codes = rng.integers(0, 3, len(groups))
    train, _ = split_half(codes, rng, 0.3, groups=groups)
    # All choices, one after the other.
    everything = [
        off(codes, groups, chosen, 0.3)
        for size in range(1, 8)
        for chosen in itertools.combinations(range(8), size)
    ]
    found = off(codes, groups, np.unique(groups[train]), 0.3)
    assert np.sum(np.array(everything) < found) <= 8  # of 254


def test_groups_of_one_size_are_drawn_by_the_seed():
    groups, codes = np.repeat(list("abcdef"), 20), np.tile(np.arange(10), 12)
    chosen = set()
    for seed in range(40):
        train, valid = split_half(codes, np.random.default_rng(seed), groups=groups)
        assert len(train) == len(valid) == 60
        assert np.bincount(codes[train]).tolist() == [6] * 10
        chosen.add("".join(np.unique(groups[train])))
    assert len(chosen) > 10  # of 20


def test_many_groups_are_split_quickly_and_well():
    rng = np.random.default_rng(0)
    groups, codes = rng.integers(0, 3000, 20_000), rng.integers(0, 10, 20_000)
    train, valid = split_half(codes, rng, 0.25, groups=groups)
    assert not set(groups[train]) & set(groups[valid])
    assert abs(len(train) - 5000) <= 10
    np.testing.assert_allclose(np.bincount(codes[train]) / np.bincount(codes), 0.25, atol=0.01)


def test_a_part_never_lacks_a_class_for_the_sake_of_its_size():
    # The nearest to a half would be the large group alone, which lacks a class.
    groups = np.repeat([0, 1, 2], [10, 5, 5])
    codes = np.r_[np.zeros(10, int), np.zeros(4, int), 1, np.zeros(4, int), 1]
    for seed in range(5):
        train, valid = split_half(codes, np.random.default_rng(seed), groups=groups)
        assert set(codes[train]) == set(codes[valid]) == {0, 1}


def test_values_of_groups_are_any_that_hash():
    codes = np.tile([0, 1], 6)
    for groups in (
        [("a", i // 4) for i in range(12)],
        [None if i < 4 else i // 4 for i in range(12)],
        np.repeat(["x", "y", "z"], 4),
        iter(np.repeat([1, 2, 3], 4)),
    ):
        train, _ = split_half(codes, np.random.default_rng(1), groups=groups)
        assert len(train) in (4, 8)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([1, 2, 3], "`groups` holds 3 groups for 6 images"),
        (["me"] * 6, r"`groups` holds a single group \('me'\)"),
        ([[1]] * 6, "`groups` holds .* at index 0: groups must be hashable"),
        ([1, 2, float("nan"), 3, 4, 5], "`groups` holds nan at index 2"),
        ("abcdef", "`groups` .* must be a sequence"),
        (7, "`groups` .* must be a sequence"),
        ([0, 0, 0, 0, 1, 1], "one group: 'dog' .*at least 2 groups"),
    ],
)
def test_unusable_groups(groups, message):
    labels = Labels.fit(["cat", "dog"])
    codes = np.array([0, 0, 1, 1, 0, 0])
    with pytest.raises(ValueError, match=message):
        split_half(codes, np.random.default_rng(0), labels=labels, groups=groups)


def test_classes_that_no_split_has_in_both_parts():
    # Each pair of the three groups shares a class: two of them are on one side.
    codes, groups = np.array([0, 0, 1, 1, 2, 2]), [0, 1, 1, 2, 2, 0]
    labels = Labels(("c0", "c1", "c2"))
    with pytest.raises(ValueError, match=r"`groups` leaves one part without images of 'c\d': no"):
        split_half(codes, np.random.default_rng(0), labels=labels, groups=groups)


def test_hold_out_of_groups():
    groups = np.repeat(["ann", "bob", "cyd", "dan", "eve"], 6)
    y = np.tile(["x", "y", "z"], 10)
    kept, y_kept, held, y_held = hold_out(np.arange(30), y, 0.2, groups=groups)
    assert len(held) == 6
    assert len(set(groups[held])) == 1
    assert not set(groups[held]) & set(groups[kept])
    assert y_held.tolist() == y[held].tolist()
    assert y_kept.tolist() == y[kept].tolist()


def test_a_sample_has_two_of_rare_classes():
    """A search has one of them in either half."""
    rng = np.random.default_rng(0)
    pairs = np.concatenate([np.repeat(np.arange(100), 2), np.full(1000, 100)])
    assert np.bincount(sample(pairs, pairs, 300, rng)[0]).tolist() == [2] * 100 + [250]
    codes = np.repeat([0, 1, 2], [3, 900, 97])
    chosen, _ = sample(codes, codes, 100, rng)
    assert np.bincount(chosen).tolist() == [2, 90, 10]
