# SPDX-License-Identifier: MIT
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydarts.data.augmentation import Augmentation, mixup


def batch(count=4, channels=3, height=8, width=7, dtype=np.float32):
    """Images in which every pixel is different and none is zero."""
    size = count * channels * height * width
    return np.arange(1, size + 1, dtype=dtype).reshape(count, channels, height, width)


def crops(image, pad):
    """All that a random crop may make of an image."""
    _, height, width = image.shape
    padded = np.zeros((len(image), height + 2 * pad, width + 2 * pad), image.dtype)
    padded[:, pad : pad + height, pad : pad + width] = image
    for top in range(2 * pad + 1):
        for left in range(2 * pad + 1):
            yield padded[:, top : top + height, left : left + width]


def among(image, candidates):
    return any(np.array_equal(image, candidate) for candidate in candidates)


@given(
    st.integers(1, 3), st.integers(1, 3), st.integers(4, 6), st.integers(4, 6),
    st.integers(0, 2), st.booleans(), st.integers(0, 2**32),
)  # fmt: skip
def test_crop_and_flip_make_what_they_may(count, channels, height, width, pad, flip, seed):
    images = batch(count, channels, height, width)
    out = Augmentation(pad, flip)(images, np.random.default_rng(seed))
    assert out.dtype == images.dtype
    for image, result in zip(images, out, strict=True):
        allowed = list(crops(image, pad))
        assert among(result, allowed) or (flip and among(result[:, :, ::-1], allowed))


@given(st.integers(1, 7), st.integers(0, 2**32))
def test_cutout_is_one_clipped_square(side, seed):
    images = batch()
    out = Augmentation(cutout=side)(images, np.random.default_rng(seed))
    hole = out == 0
    np.testing.assert_array_equal(out, np.where(hole, 0, images))
    assert np.array_equal(hole.any(axis=1), hole.all(axis=1))  # the same in all channels
    for mask in hole[:, 0]:
        for axis, size in ((1, 8), (0, 7)):
            lines = np.flatnonzero(mask.any(axis=axis))
            first, last = lines[0], lines[-1]
            assert len(lines) == last - first + 1 <= side
            # Shorter than `side` only at a border; the centre is inside, so about half is left.
            assert len(lines) == side or first == 0 or last == size - 1
            assert len(lines) >= min(side // 2, size // 2) or len(lines) == size
        assert mask.sum() == mask.any(axis=1).sum() * mask.any(axis=0).sum()


def test_every_outcome_occurs():
    images = np.repeat(batch(1), 2000, axis=0)
    rng = np.random.default_rng(0)
    flipped = (Augmentation(flip=True)(images, rng)[:, 0, 0, 0] != images[0, 0, 0, 0]).mean()
    assert 0.45 < flipped < 0.55
    cropped = Augmentation(crop_padding=1)(images, rng)
    assert len(np.unique(cropped, axis=0)) == 9
    cut = Augmentation(cutout=2)(images, rng)
    assert len(np.unique(cut, axis=0)) == 8 * 7  # one a centre


def test_signals_are_shifted_and_cut_along_the_width_alone():
    images = np.repeat(batch(1, 2, 1, 9), 2000, axis=0)
    rng = np.random.default_rng(0)
    shifted = Augmentation(crop_padding=3)(images, rng)
    padded = np.pad(images[0], ((0, 0), (0, 0), (3, 3)))
    allowed = [padded[:, :, left : left + 9] for left in range(7)]
    assert len(np.unique(shifted, axis=0)) == 7
    assert all(among(found, allowed) for found in np.unique(shifted, axis=0))
    cut = Augmentation(cutout=4)(images, rng)
    assert len(np.unique(cut, axis=0)) == 9
    assert ((cut == 0).sum(axis=3) <= 4).all()
    assert (cut == 0).any(axis=3).all()
    turned = np.unique(Augmentation(flip=True)(images, rng), axis=0)
    assert len(turned) == 2
    assert all(among(found, [images[0], images[0, :, :, ::-1]]) for found in turned)


def test_images_keep_their_random_stream():
    out = Augmentation(2, True, 2)(batch(2, 1, 5, 5), np.random.default_rng(1))
    assert out[:, 0, 1].tolist() == [[0, 10, 9, 0, 0], [33, 0, 0, 0, 0]]
    assert out[:, 0, 3].tolist() == [[0, 20, 19, 18, 17], [43, 44, 45, 0, 0]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_off_is_a_copy(dtype):
    images = batch(dtype=dtype)
    out = Augmentation()(images, np.random.default_rng(0))
    assert out.dtype == dtype
    assert not np.shares_memory(out, images)
    np.testing.assert_array_equal(out, images)


def test_input_is_left_alone_and_runs_repeat():
    images, augment = batch(), Augmentation(2, True, 3)
    first = augment(images, np.random.default_rng(7))
    np.testing.assert_array_equal(images, batch())
    np.testing.assert_array_equal(first, augment(images, np.random.default_rng(7)))
    assert not np.array_equal(first, augment(images, np.random.default_rng(8)))
    assert first.flags.c_contiguous


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("crop_padding", -1), ("crop_padding", 1.5), ("crop_padding", True),
        ("cutout", -2), ("cutout", "16"), ("flip", 1), ("flip", "yes"),
    ],
)  # fmt: skip
def test_impossible_options(name, value):
    with pytest.raises(ValueError, match=rf"`{name}` \(={value!r}\)") as error:
        Augmentation(**{name: value})
    assert isinstance(error.value, TypeError) == (value not in (-1, -2))


@pytest.mark.parametrize(
    ("option", "size", "usual"),
    [
        ("crop_padding", (8, 7), 1), ("crop_padding", (64, 80), 8), ("crop_padding", (1, 9), 1),
        ("cutout", (8, 8), 4), ("cutout", (8, 7), 3), ("cutout", (1, 9), 4),
        ("shift", (8, 7), 1), ("shift", (1, 64), 8),
    ],
)  # fmt: skip
def test_something_of_an_image_is_always_left(option, size, usual):
    side = {"crop_padding": min, "cutout": max, "shift": lambda each: each[1]}[option]
    limit = side(size) if size[0] > 1 else size[1]
    images, rng = np.repeat(batch(1, 1, *size), 3000, axis=0), np.random.default_rng(0)
    assert Augmentation(**{option: limit - 1})(images, rng).any(axis=(1, 2, 3)).all()
    what = f"signals of length {size[1]}" if size[0] == 1 else f"{size[0]}x{size[1]} pixels"
    problem = rf"`{option}` \(={limit}\) .*{what}: .* less than {limit}, and {usual} is usual"
    with pytest.raises(ValueError, match=problem):
        Augmentation(**{option: limit})(images, rng)


@pytest.mark.parametrize(
    ("images", "error"),
    [(np.zeros((2, 3, 4, 4), np.uint8), TypeError), (np.zeros((3, 4, 4)), ValueError)],
)
def test_only_floating_batches(images, error):
    with pytest.raises(error, match="`images`"):
        Augmentation()(images, np.random.default_rng(0))


def test_speed():
    """A loop over the images takes ten times as long."""
    images, augment = batch(96, 3, 32, 32), Augmentation(4, True, 16)
    rng = np.random.default_rng(0)

    def quickest(batches):
        seconds = []
        for _ in range(20):
            start = time.perf_counter()
            for part in batches:
                augment(part, rng)
            seconds.append(time.perf_counter() - start)
        return min(seconds)

    assert quickest([images]) < quickest(np.split(images, len(images))) / 3


@given(st.integers(1, 6), st.sampled_from([1, 5]), st.integers(0, 2**32))
def test_shift_moves_along_the_width_alone(shift, height, seed):
    images = batch(6, 2, height, 7)
    out = Augmentation(shift=shift)(images, np.random.default_rng(seed))
    for image, result in zip(images, out, strict=True):
        padded = np.pad(image, ((0, 0), (0, 0), (shift, shift)))
        assert among(result, [padded[:, :, s : s + 7] for s in range(2 * shift + 1)])


def test_shifts_go_both_ways_and_by_all_steps():
    images = batch(300, 1, 1, 9)
    out = Augmentation(shift=2)(images, np.random.default_rng(0))
    pairs = zip(images[:, 0, 0], out[:, 0, 0], strict=True)
    steps = {int(4 - np.flatnonzero(result == image[4])[0]) for image, result in pairs}
    assert steps == {-2, -1, 0, 1, 2}


def test_quarter_turns_of_square_images():
    images = batch(200, 2, 5, 5)
    out = Augmentation(rotate=True)(images, np.random.default_rng(0))
    counts = np.zeros(4, int)
    for image, result in zip(images, out, strict=True):
        turned = [np.array_equal(result, np.rot90(image, k, axes=(1, 2))) for k in range(4)]
        assert sum(turned) == 1
        counts += turned
    assert counts.min() > 25
    with pytest.raises(ValueError, match=r"`rotate` .*square images.*8x7 pixels"):
        Augmentation(rotate=True)(batch(), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("option", "height", "axis"),
    [("time_mask", 8, 3), ("time_mask", 1, 3), ("frequency_mask", 8, 2), ("frequency_mask", 1, 1)],
)
def test_masks_are_stretches_of_an_axis(option, height, axis):
    images = batch(300, 6, height, 7)
    out = Augmentation(**{option: 3})(images, np.random.default_rng(0))
    hole = out == 0
    np.testing.assert_array_equal(out, np.where(hole, 0, images))
    lengths = []
    for mask in np.moveaxis(hole, axis, 1).reshape(300, images.shape[axis], -1):
        assert np.array_equal(mask.any(axis=1), mask.all(axis=1))
        lines = np.flatnonzero(mask.any(axis=1))
        lengths.append(len(lines))
        assert len(lines) == 0 or lines[-1] - lines[0] + 1 == len(lines)
    assert set(lengths) == {0, 1, 2, 3}
    assert hole.any(axis=(0, *(a for a in (1, 2, 3) if a != axis))).all()  # anywhere on the axis


@pytest.mark.parametrize(
    ("option", "height", "side"),
    [("time_mask", 8, 7), ("frequency_mask", 8, 8), ("frequency_mask", 1, 3)],
)
def test_masks_that_may_leave_nothing_are_refused(option, height, side):
    images, rng = batch(50, 3, height, 7), np.random.default_rng(0)
    assert Augmentation(**{option: side - 1})(images, rng).any(axis=(1, 2, 3)).all()
    with pytest.raises(
        ValueError, match=rf"`{option}` \(={side}\) .*less than {side}, and 1 is usual"
    ):
        Augmentation(**{option: side})(images, rng)
    with pytest.raises(ValueError, match=r"`frequency_mask` \(=1\) .* it must be less than 1$"):
        Augmentation(frequency_mask=1)(batch(5, 1, 1, 7), rng)


@pytest.mark.parametrize("height", [1, 7])
def test_masks_are_those_of_a_plain_loop(height):
    images = np.random.default_rng(1).normal(size=(40, 5, height, 9)).astype(np.float32)
    expected, rng = images.copy(), np.random.default_rng(0)
    for axis, largest in ((3, 4), (1 if height == 1 else 2, 3)):
        size = images.shape[axis]
        lengths = rng.integers(0, min(largest, size) + 1, 40)
        for image, start, length in zip(
            expected, rng.integers(0, size - lengths + 1), lengths, strict=True
        ):
            np.moveaxis(image, axis - 1, 0)[start : start + length] = 0
    out = Augmentation(time_mask=4, frequency_mask=3)(images, np.random.default_rng(0))
    assert np.array_equal(out, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_noise_is_normal(dtype):
    images = np.zeros((64, 3, 40, 40), dtype)
    out = Augmentation(noise=2)(images, np.random.default_rng(0)).ravel() / 2
    assert out.dtype == dtype
    for limit, share in ((0, 0.5), (1, 0.1587), (-2, 0.9772), (3, 0.00135)):
        assert abs((out > limit).mean() - share) < 4 * (share * (1 - share) / out.size) ** 0.5
    assert abs(np.corrcoef(out[1:], out[:-1])[0, 1]) < 4 / out.size**0.5


def test_noise_has_its_standard_deviation():
    images = np.zeros((50, 3, 20, 20), np.float32)
    out = Augmentation(noise=0.3)(images, np.random.default_rng(0))
    assert out.dtype == np.float32
    assert not images.any()
    assert abs(out.std() - 0.3) < 0.005
    assert abs(out.mean()) < 0.01


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("shift", -1),
        ("time_mask", 1.5),
        ("frequency_mask", True),
        ("rotate", 1),
        ("noise", -0.1),
        ("noise", float("nan")),
    ],
)
def test_unusable_further_options(option, value):
    with pytest.raises(ValueError, match=f"`{option}`"):
        Augmentation(**{option: value})


class TestMixup:
    x = np.random.default_rng(0).normal(size=(6, 1, 2, 2)).astype(np.float32)
    y = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]

    def drawn(self, alpha=0.7):
        rng = np.random.default_rng(3)
        return rng.beta(alpha, alpha), rng.permutation(6)

    def test_it_is_the_equation(self):
        share, order = self.drawn()
        x, y, weights = mixup(self.x, self.y, None, 0.7, np.random.default_rng(3))
        assert weights is None
        assert x.dtype == y.dtype == np.float32
        np.testing.assert_allclose(x, share * self.x + (1 - share) * self.x[order], rtol=1e-5)
        np.testing.assert_allclose(y, share * self.y + (1 - share) * self.y[order], rtol=1e-6)
        np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-6)

    def test_weights_mix_what_they_weigh(self):
        w = np.array([1, 2, 0, 0, 5, 3], np.float32)
        share, order = self.drawn()
        _, y, mass = mixup(self.x, self.y, w, 0.7, np.random.default_rng(3))
        np.testing.assert_allclose(mass, share * w + (1 - share) * w[order], rtol=1e-6)
        both = share * w[:, None] * self.y + (1 - share) * (w[:, None] * self.y)[order]
        np.testing.assert_allclose(mass[:, None] * y, both, rtol=1e-5, atol=1e-7)
