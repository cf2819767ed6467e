# SPDX-License-Identifier: MIT
"""Normalisation of images by the mean and standard deviation of each channel."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pydarts.common.checks import show
from pydarts.common.errors import ArgumentError
from pydarts.data.lazy import LazyArray, chunks


@dataclass(frozen=True)
class Normalization:
    """x̂ = (x − mean) / std, for each channel.

    Attributes
    ----------
    mean, std : tuple of float
        One entry for each channel, in the units of the pixels.

    Raises
    ------
    ValueError
        If `mean` and `std` differ in length, `mean` is not finite or `std` not positive and finite.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.mean) == len(self.std):
            problem = f"(={self.mean}) and `std` (={self.std}) need one entry for each channel"
            raise ArgumentError("mean", problem)
        if not all(map(math.isfinite, self.mean)):
            raise ArgumentError("mean", f"(={self.mean}) must be finite")
        if not all(0 < s < math.inf for s in self.std):
            raise ArgumentError("std", f"(={self.std}) must be positive and finite")

    @classmethod
    def fit(cls, images: NDArray[Any] | LazyArray) -> Normalization:
        """Compute mean and (biased) standard deviation of images, summed in float64.

        A constant channel gets the standard deviation 1. What is computed for it is exactly 0: the
        mean of equal float32 numbers is exact in float64.

        Parameters
        ----------
        images : ndarray or LazyArray, shape (N, C, H, W)
            What is read lazily is read twice. The result is the same to the bit.

        Returns
        -------
        Normalization
        """
        # Parts bound the float64 copy, and make it the same to the bit wherever the images are.
        sums = [part.sum(axis=(0, 2, 3), dtype=np.float64) for _, part in chunks(images)]
        mean = np.add.reduce(sums) / (images.size / images.shape[1])
        square = np.zeros_like(mean)
        for _, part in chunks(images):
            centred = part - mean[:, np.newaxis, np.newaxis]
            square += np.einsum("nchw,nchw->c", centred, centred)
        std = np.sqrt(square / (images.size / images.shape[1]))
        std = np.where(std > np.finfo(np.float32).tiny, std, 1.0)
        return cls(tuple(mean.tolist()), tuple(std.tolist()))

    def apply(self, images: Any, dtype: DTypeLike = np.float32) -> Any:
        """Normalise images into a new contiguous array; lazily, if they are read so.

        Parameters
        ----------
        images : ndarray or LazyArray, shape (N, C, H, W)
        dtype : dtype
            Of the result, float32 or float64.

        Returns
        -------
        ndarray or LazyArray, shape (N, C, H, W)

        Raises
        ------
        ValueError
            If the images have another number of channels than those of `fit`.
        """
        if images.ndim != 4 or images.shape[1] != len(self.mean):
            raise ArgumentError(
                "images",
                f"has shape {images.shape}, but the normalisation was fitted on"
                f" {len(self.mean)} channel(s)",
            )
        if isinstance(images, LazyArray):
            return images.map(lambda items: self.apply(items, dtype), images.shape[1:], dtype)
        mean, std = (np.asarray(v, dtype)[:, np.newaxis, np.newaxis] for v in (self.mean, self.std))
        out = images.astype(dtype, order="C")
        out -= mean
        out /= std
        return out

    def to_dict(self) -> dict[str, list[float]]:
        """Return a dictionary that JSON can hold."""
        return {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Iterable[float]]) -> Normalization:
        """Invert `to_dict`; a ValueError if `values` is not such a dictionary."""
        try:
            mean, std = tuple(map(float, values["mean"])), tuple(map(float, values["std"]))
        except (KeyError, TypeError, ValueError) as error:
            problem = f"(={show(values)}) must hold lists of numbers `mean` and `std`"
            raise ArgumentError("values", problem) from error
        return cls(mean, std)
