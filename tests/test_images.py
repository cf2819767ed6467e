# SPDX-License-Identifier: MIT

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydarts.data.images import as_images, check_consistent


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


def test_inconsistent_lengths():
    check_consistent([1, 2], ["a", "b"])
    with pytest.raises(ValueError, match=r"`X` holds 2 images but `y` holds 3"):
        check_consistent([1, 2], ["a", "b", "c"])


@pytest.mark.parametrize("dtype", [object, complex, "U1"])
def test_images_of_a_wrong_type(dtype):
    with pytest.raises(TypeError, match="`X` has dtype"):
        as_images(np.zeros((2, 8, 8), dtype))
