# SPDX-License-Identifier: MIT
import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pydarts.data.images import as_images, check_consistent
from pydarts.data.labels import Labels
from pydarts.data.normalization import Normalization
from pydarts.data.splits import split_half


def test_layouts_agree():
    nchw = np.arange(2 * 3 * 5 * 6, dtype=np.uint8).reshape(2, 3, 5, 6)
    nhwc = np.moveaxis(nchw, 1, -1)
    for given_images in (nchw, nhwc, nhwc.tolist()):
        images = as_images(given_images)
        assert images.flags.c_contiguous
        np.testing.assert_array_equal(images, nchw)
    np.testing.assert_array_equal(as_images(nchw[:, 0]), nchw[:, :1])


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(4, 7), st.integers(4, 7)),
    st.booleans(),
)
def test_layout_is_recognised_or_asked_for(shape, channels_last):
    nchw = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    X, layout = (nchw.transpose(0, 2, 3, 1), "NHWC") if channels_last else (nchw, "NCHW")
    np.testing.assert_array_equal(as_images(X, image_layout=layout), nchw)
    if X.shape[1] <= 4 and X.shape[3] <= 4:
        with pytest.raises(ValueError, match=r"image_layout") as error:
            as_images(X)
        assert str(X.shape) in str(error.value)
    else:
        np.testing.assert_array_equal(as_images(X), nchw)


@pytest.mark.parametrize(
    ("given_dtype", "high", "expected"),
    [
        (bool, 1, np.uint8),
        (np.uint8, 255, np.uint8),
        (np.int64, 255, np.uint8),
        (np.int64, 256, np.float32),
        (np.uint16, 65535, np.float32),
        (np.float16, 1, np.float32),
        (">f4", 1, np.float32),
        (np.float64, 1, np.float32),
    ],
)
def test_dtypes(given_dtype, high, expected):
    X = np.zeros((1, 4, 4), given_dtype)
    X[0, 1, 2] = high
    images = as_images(X)
    assert images.dtype == expected
    assert images[0, 0, 1, 2] == high
    assert images.sum() == high


def test_negative_integers_are_kept():
    X = np.full((1, 4, 4), -1)
    assert as_images(X).dtype == np.float32
    assert as_images(X).max() == -1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39])
@pytest.mark.parametrize("channels_last", [False, True])
def test_bad_pixels_are_located(bad, channels_last):
    shape, where = ((3, 8, 9, 2), (1, 2, 3, 1)) if channels_last else ((3, 2, 8, 9), (1, 1, 2, 3))
    X = np.zeros(shape)
    X[where] = X[2, 0, 0, 0] = bad
    with pytest.raises(ValueError, match=r"`X` holds 2 pixel") as error:
        as_images(X)
    assert str(where) in str(error.value)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((0, 8, 8)), "empty"),
        (np.zeros((8, 8)), r"\(8, 8\)"),
        (np.zeros((5, 64)), r"reshape\(-1, 8, 8\)"),
        (np.zeros((2, 1, 3, 8)), "4x4"),
        (np.zeros((28, 28, 3)), "leading axis"),
        (np.zeros((2, 8, 8), object), "object"),
        (np.zeros((2, 8, 8), complex), "complex"),
        ([["a"]], "dtype"),
        ([np.zeros((8, 8)), np.zeros((9, 8))], "same shape"),
        (np.zeros((2, 3, 3, 3)), "image_layout"),
        (np.zeros((2, 5, 8, 8)), "image_layout"),
    ],
)
def test_unusable_images(X, message):
    with pytest.raises(ValueError, match=message) as error:
        as_images(X)
    assert "`X`" in str(error.value)


def test_unknown_layout():
    with pytest.raises(ValueError, match=r"`image_layout` \(='HWCN'\)"):
        as_images(np.zeros((2, 8, 8)), image_layout="HWCN")


pixels = hnp.array_shapes(min_dims=4, max_dims=4, max_side=5).flatmap(
    lambda shape: hnp.arrays(np.float32, shape, elements=st.floats(-1e4, 1e4, width=32))
)


@given(pixels)
def test_normalised_images_are_standard(images):
    out = Normalization.fit(images).apply(images, np.float64)
    assert np.all(np.isfinite(out))
    spread = images.astype(np.float64).std(axis=(0, 2, 3))
    clear = spread > 1e-5 * (1 + abs(images.astype(np.float64).mean(axis=(0, 2, 3))))
    np.testing.assert_allclose(out.mean(axis=(0, 2, 3))[clear], 0, atol=1e-6)
    np.testing.assert_allclose(out.std(axis=(0, 2, 3))[clear], 1, rtol=1e-6)
    constant = np.ptp(images, axis=(0, 2, 3)) == 0
    np.testing.assert_allclose(out[:, constant], 0, atol=1e-6)


def test_normalization_of_many_images():
    """More images than one block of the sum, and a mean that would drown a float32 sum."""
    images = np.random.default_rng(0).normal(1e3, 1, (600, 2, 4, 4)).astype(np.float32)
    norm = Normalization.fit(images)
    exact = images.astype(np.float64)
    np.testing.assert_allclose(norm.mean, exact.mean(axis=(0, 2, 3)), rtol=1e-13)
    np.testing.assert_allclose(norm.std, exact.std(axis=(0, 2, 3)), rtol=1e-12)


def test_constant_channel_stays_flat():
    """Were its mean off by rounding, the deviation from it would be magnified to 1."""
    images = np.full((600, 1, 7, 9), 0.3, np.float32)
    norm = Normalization.fit(images)
    assert norm.std == (1.0,)
    assert abs(norm.apply(images)).max() < 1e-6


def test_normalization_leaves_uint8_images_alone():
    images = np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4, 3).transpose(0, 3, 1, 2)
    before = images.copy()
    out = Normalization.fit(images).apply(images)
    assert out.dtype == np.float32
    assert out.flags.c_contiguous
    np.testing.assert_array_equal(images, before)


def test_normalization_survives_json():
    norm = Normalization((0.1, 1 / 3), (1.0, 2e-5))
    assert Normalization.from_dict(json.loads(json.dumps(norm.to_dict()))) == norm


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"mean": [0.0]},
        {"mean": 0.0, "std": 1.0},
        {"mean": [], "std": []},
        {"mean": [0.0], "std": [0.0]},
        {"mean": [0.0], "std": [float("nan")]},
        {"mean": [float("inf")], "std": [1.0]},
        {"mean": [0.0, 1.0], "std": [1.0]},
    ],
)
def test_malformed_normalization(values):
    with pytest.raises(ValueError, match=r"`(mean|std|values)`"):
        Normalization.from_dict(values)


def test_normalization_of_other_channels():
    with pytest.raises(ValueError, match=r"\(2, 3, 4, 4\).* 1 channel"):
        Normalization((0.0,), (1.0,)).apply(np.zeros((2, 3, 4, 4)))


def test_fit_does_not_copy_everything():
    images = np.zeros((4096, 1, 28, 28), np.uint8)
    tracemalloc.start()
    Normalization.fit(images)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * images.nbytes  # a float64 copy would be eight times as large


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
        (["b", 2, None, "a", 2], ("b", 2, None, "a")),
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
        st.one_of(st.integers(), st.text(), st.booleans(), st.tuples(st.integers())), max_size=20
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


def test_inconsistent_lengths():
    check_consistent([1, 2], ["a", "b"])
    with pytest.raises(ValueError, match=r"`X` holds 2 images but `y` holds 3"):
        check_consistent([1, 2], ["a", "b", "c"])


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
