# SPDX-License-Identifier: MIT
"""Random changes of a batch of images or signals, and mixtures of its samples."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pydarts.common.checks import integer, number, show
from pydarts.common.errors import ArgumentError, ArgumentTypeError


@dataclass(frozen=True)
class Augmentation:
    """Random crop, shift, flip, quarter turns, cutout, masks, noise, in this order; each is off by
    default.

    DARTS uses ``Augmentation(crop_padding=4, flip=True, cutout=16)`` on CIFAR-10. A flip is wrong
    where left and right differ in meaning, as in digits.

    The images are normalised ones, so that the zeros of padding and cutout are the mean colour.
    The original pads with black before it normalises; its cutout is as here (DeVries and Taylor,
    https://arxiv.org/abs/1708.04552).

    Signals are images of height 1: they are shifted and cut along the width alone, and a flip
    reverses them in time, which is wrong for sounds and most sensors. The time of a spectrogram is
    its width; its frequencies are rows, or, where it is a signal, channels. Masks are those of
    SpecAugment (Park et al., https://arxiv.org/abs/1904.08779).

    Crops, shifts, cutouts and masks that may leave nothing of an image are refused where its size
    is known: DARTS's crop and cutout are an eighth and a half of its 32 pixels.

    Attributes
    ----------
    crop_padding : int
        Number of zeros put on each side before an H×W window is cut out at a random place.
    flip : bool
        Mirror each image with probability 1/2.
    cutout : int
        Side of a square of zeros, centred at a random pixel and clipped at the border.
    shift : int
        Move each image or signal along its width by up to so many places, to either side; zeros
        come in.
    rotate : bool
        Turn each image by 0, 1, 2 or 3 quarters, which must be square.
    time_mask, frequency_mask : int
        Zero a stretch of up to so many columns, or rows or channels, at a random place; the length
        is drawn evenly from 0 on.
    noise : float
        Standard deviation of normal noise, in those of the data. It takes 65,536 values of equal
        probability, up to 4.3 standard deviations.

    Raises
    ------
    ValueError, TypeError
        If an option is negative or of a wrong type; names it.
    """

    crop_padding: int = 0
    flip: bool = False
    cutout: int = 0
    shift: int = 0
    rotate: bool = False
    time_mask: int = 0
    frequency_mask: int = 0
    noise: float = 0.0

    def __post_init__(self) -> None:
        for name in ("crop_padding", "cutout", "shift", "time_mask", "frequency_mask"):
            integer(name, getattr(self, name), 0)
        for name in ("flip", "rotate"):
            if not isinstance(getattr(self, name), (bool, np.bool_)):
                raise ArgumentTypeError(
                    name, f"(={show(getattr(self, name))}) must be True or False"
                )
        number("noise", self.noise)

    @classmethod
    def of(cls, config: Any) -> Augmentation:
        """Return that of a configuration, whose fields have the same names."""
        return cls(**{each.name: getattr(config, each.name) for each in fields(cls)})

    def check(self, channels: int, height: int, width: int) -> None:
        """Raise ArgumentError where images of this size cannot be changed so, or where a single
        change may leave nothing of one.
        """
        if self.rotate and height != width:
            problem = f"(=True) needs square images, and these have {height}x{width} pixels"
            raise ArgumentError("rotate", problem)
        shorter, longer = width if height == 1 else min(height, width), max(height, width)
        what = f"signals of length {width}" if height == 1 else f"images of {height}x{width} pixels"
        for name, side, share in (
            ("crop_padding", shorter, 8),
            ("shift", width, 8),
            ("cutout", longer, 2),
            ("time_mask", width, 8),
            ("frequency_mask", channels if height == 1 else height, 8),
        ):
            value, usual = getattr(self, name), max(1, min(shorter, side) // share)
            if value >= side and value > 0:
                problem = f"(={value}) may leave nothing of {what}: it must be less than {side}"
                raise ArgumentError(
                    name, f"{problem}, and {usual} is usual" if side > 1 else problem
                )

    def __call__(self, images: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        """Augment images into a new array.

        Parameters
        ----------
        images : ndarray of float, shape (N, C, H, W)
        rng : numpy.random.Generator
            It alone decides what happens to each image.

        Returns
        -------
        ndarray of the same type and shape

        Raises
        ------
        ValueError, TypeError
            If the images are not of floating point, do not have four axes, or are too small.
        """
        if images.dtype.kind != "f":
            raise ArgumentTypeError("images", f"has dtype {images.dtype}, but must be floats")
        if images.ndim != 4:
            raise ArgumentError("images", f"has shape {images.shape}, but must have 4 axes")
        count, channels, height, width = images.shape
        self.check(channels, height, width)
        source = images
        if self.crop_padding:
            pad = self.crop_padding
            above = 0 if height == 1 else pad
            padded = np.pad(images, ((0, 0), (0, 0), (above, above), (pad, pad)))
            top, left = rng.integers(0, 2 * pad + 1, (2, count))
            if height == 1:
                top = np.zeros_like(top)
            windows = sliding_window_view(padded, (height, width), axis=(2, 3))
            images = windows[np.arange(count), :, top, left]  # a copy
        if self.shift:
            images = self._shifted(images, rng)
        elif images is source:
            images = images.copy()
        if self.flip:
            chosen = np.flatnonzero(rng.random(count) < 0.5)
            images[chosen] = images[chosen, :, :, ::-1]
        if self.rotate:
            turns = rng.integers(0, 4, count)
            for quarters in (1, 2, 3):
                chosen = np.flatnonzero(turns == quarters)
                images[chosen] = np.rot90(images[chosen], quarters, axes=(2, 3))
        if self.cutout:
            rows = self._covered(rng, count, height)[:, np.newaxis, :, np.newaxis]
            columns = self._covered(rng, count, width)[:, np.newaxis, np.newaxis, :]
            np.copyto(images, 0, where=rows & columns)
        masked = []
        if self.time_mask:
            masked.append(_stretches(images, 3, self.time_mask, rng))
        if self.frequency_mask:
            masked.append(_stretches(images, 1 if height == 1 else 2, self.frequency_mask, rng))
        if masked:  # in one pass over the images
            np.copyto(images, 0, where=masked[0] if len(masked) == 1 else masked[0] | masked[1])
        if self.noise:
            kind = images.dtype if images.dtype == np.float64 else np.dtype(np.float32)
            drawn = np.frombuffer(rng.bytes(2 * images.size), "<u2")
            table = (_normal_quantiles() * self.noise).astype(kind)
            images += table[drawn].reshape(images.shape)
        return images

    def _shifted(self, images: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        """Each image moved along its width, with zeros where it came from."""
        width = images.shape[3]
        moved = np.zeros_like(images)
        by = rng.integers(-self.shift, self.shift + 1, len(images))
        for out, image, step in zip(moved, images, by.tolist(), strict=True):
            kept = width - abs(step)
            if kept > 0:
                start, origin = max(step, 0), max(-step, 0)
                out[..., start : start + kept] = image[..., origin : origin + kept]
        return moved

    def _covered(self, rng: np.random.Generator, count: int, size: int) -> NDArray[np.bool_]:
        """For each image, which pixels of an axis its square covers: (count, size)."""
        start = rng.integers(0, size, (count, 1)) - self.cutout // 2
        offset = np.arange(size) - start
        covered: NDArray[np.bool_] = (offset >= 0) & (offset < self.cutout)
        return covered


def _stretches(
    images: NDArray[Any], axis: int, largest: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Where a stretch along an axis of each image lies, shorter than the axis; the other axes have
    length 1.
    """
    size, shape = images.shape[axis], [len(images), 1, 1, 1]
    lengths = rng.integers(0, largest + 1, len(images))
    starts = rng.integers(0, size - lengths + 1)
    offset = np.arange(size) - starts[:, np.newaxis]
    shape[axis] = size
    covered: NDArray[np.bool_] = (offset >= 0) & (offset < lengths[:, np.newaxis])
    return covered.reshape(shape)


@cache
def _normal_quantiles() -> NDArray[np.float64]:
    """Normal numbers of equal probability, one for each number of 16 bits: looking them up is
    several times as fast as drawing them, which counts beside the step of a small network.
    """
    inverse, half = NormalDist().inv_cdf, 1 << 15
    upper = np.array([inverse(0.5 + (i + 0.5) / (2 * half)) for i in range(half)])
    upper /= np.sqrt(np.mean(upper**2))  # of standard deviation 1, as what lies beyond is missing
    return np.concatenate([-upper[::-1], upper])


def mixup(
    images: NDArray[Any],
    targets: NDArray[Any],
    weights: NDArray[Any] | None,
    alpha: float,
    rng: np.random.Generator,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]:
    """Mix each sample of a batch with another one (Zhang et al., arXiv:1710.09412).

    With the share s, drawn once for the batch from Beta(alpha, alpha), and a random permutation p:
    ``x_n = s x_n + (1 - s) x_p(n)``, and targets likewise. Of weighted samples the weight is mixed
    so, and the targets by weight, so that the loss of the mixture is the mixture of both.

    Parameters
    ----------
    images : ndarray of float, shape (N, ...)
    targets : ndarray of float, shape (N, outputs)
    weights : ndarray of float, shape (N,), or None
    alpha : float
        More than 0: small values mix few samples evenly.
    rng : numpy.random.Generator

    Returns
    -------
    images, targets, weights
        New ones, as float as before.
    """
    share, order = rng.beta(alpha, alpha), rng.permutation(len(images))
    kind = images.dtype.type
    mixed = images * kind(share)
    mixed += images[order] * kind(1 - share)
    if weights is None:
        soft = share * targets + (1 - share) * targets[order]
        return mixed, soft.astype(np.float32), None
    own, other = share * weights, (1 - share) * weights[order]
    mass = own + other
    soft = (own[:, np.newaxis] * targets + other[:, np.newaxis] * targets[order]) / np.where(
        mass > 0, mass, 1
    )[:, np.newaxis]
    return mixed, soft.astype(np.float32), mass.astype(np.float32)
