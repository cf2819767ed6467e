# SPDX-License-Identifier: MIT
import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pydarts.data.normalization import Normalization

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
