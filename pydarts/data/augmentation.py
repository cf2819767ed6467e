# SPDX-License-Identifier: MIT
"""Random crop, flip and cutout of a batch of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pydarts.common.checks import integer, show
from pydarts.common.errors import ArgumentError, ArgumentTypeError


@dataclass(frozen=True)
class Augmentation:
    """Random crop, then horizontal flip, then cutout; each is off by default.

    DARTS uses ``Augmentation(crop_padding=4, flip=True, cutout=16)`` on CIFAR-10. A flip is wrong
    where left and right differ in meaning, as in digits.

    The images are normalised ones, so that the zeros of padding and cutout are the mean colour.
    The original pads with black before it normalises; its cutout is as here (DeVries and Taylor,
    https://arxiv.org/abs/1708.04552).

    Signals are images of height 1: they are shifted and cut along the width alone, and a flip
    reverses them in time, which is wrong for sounds and most sensors.

    Attributes
    ----------
    crop_padding : int
        Number of zeros put on each side before an H×W window is cut out at a random place.
    flip : bool
        Mirror each image with probability 1/2.
    cutout : int
        Side of a square of zeros, centred at a random pixel and clipped at the border.

    Raises
    ------
    ValueError, TypeError
        If an option is negative or of a wrong type; names it.
    """

    crop_padding: int = 0
    flip: bool = False
    cutout: int = 0

    def __post_init__(self) -> None:
        for name in ("crop_padding", "cutout"):
            integer(name, getattr(self, name), 0)
        if not isinstance(self.flip, (bool, np.bool_)):
            raise ArgumentTypeError("flip", f"(={show(self.flip)}) must be True or False")

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
            If the images are not of floating point, or do not have four axes.
        """
        if images.dtype.kind != "f":
            raise ArgumentTypeError("images", f"has dtype {images.dtype}, but must be floats")
        if images.ndim != 4:
            raise ArgumentError("images", f"has shape {images.shape}, but must have 4 axes")
        count, _, height, width = images.shape
        if self.crop_padding:
            pad = self.crop_padding
            above = 0 if height == 1 else pad
            padded = np.pad(images, ((0, 0), (0, 0), (above, above), (pad, pad)))
            top, left = rng.integers(0, 2 * pad + 1, (2, count))
            if height == 1:
                top = np.zeros_like(top)
            windows = sliding_window_view(padded, (height, width), axis=(2, 3))
            images = windows[np.arange(count), :, top, left]  # a copy, as is the other branch
        else:
            images = images.copy()
        if self.flip:
            chosen = np.flatnonzero(rng.random(count) < 0.5)
            images[chosen] = images[chosen, :, :, ::-1]
        if self.cutout:
            rows = self._covered(rng, count, height)[:, np.newaxis, :, np.newaxis]
            columns = self._covered(rng, count, width)[:, np.newaxis, np.newaxis, :]
            np.copyto(images, 0, where=rows & columns)
        return images

    def _covered(self, rng: np.random.Generator, count: int, size: int) -> NDArray[np.bool_]:
        """For each image, which pixels of an axis its square covers: (count, size)."""
        start = rng.integers(0, size, (count, 1)) - self.cutout // 2
        offset = np.arange(size) - start
        covered: NDArray[np.bool_] = (offset >= 0) & (offset < self.cutout)
        return covered
