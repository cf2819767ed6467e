# SPDX-License-Identifier: MIT
"""Images from arrays of any layout, in the shape and the types that the engine takes."""

from __future__ import annotations

import math
from collections.abc import Sized
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pydarts.common.checks import choice
from pydarts.common.errors import ArgumentError, ArgumentTypeError

Images = NDArray[np.float32] | NDArray[np.uint8]

MIN_SIZE = 4
"""Minimum height and width. The engine takes any size, but two reductions quarter it: of fewer than
4x4 pixels nothing would be left."""


def as_images(X: ArrayLike, *, image_layout: str | None = None, dimensions: int = 2) -> Images:
    """Bring images or signals into the shape (N, C, H, W), contiguous, as uint8 or float32.

    Values are never rescaled: see `Normalization`.

    Parameters
    ----------
    X : array-like
        (N, H, W), (N, H, W, C) or (N, C, H, W). Booleans, and integers that all lie in 0..255,
        become uint8; all else becomes float32.
    image_layout : {"NCHW", "NHWC"}, optional
        Where the channels are. Needed only if the shape is ambiguous, that is, unless exactly one
        of the second and the last axis has 1 to 4 entries.
    dimensions : {2, 1}
        1: `X` holds signals (N, L) or (N, C, L), or (N, C, 1, L) as they are returned. They are
        images of height 1; int16, as sounds are stored in, becomes float32 whatever the values.

    Returns
    -------
    ndarray of uint8 or float32, shape (N, C, H, W)
        May share memory with `X`. H is 1 for signals.

    Raises
    ------
    ValueError
        If `X` is empty, not numeric, of another number of axes, of an ambiguous shape, smaller than
        4x4 pixels (signals: shorter than 4 samples), or holds a value that is NaN, infinite or
        beyond the range of float32.
    """
    choice("image_layout", image_layout, ("NCHW", "NHWC", None))
    choice("dimensions", dimensions, (2, 1))
    try:
        array = np.asarray(X)
    except ValueError as error:  # numpy's own message speaks of "inhomogeneous" sequences
        raise ArgumentError("X", "is not one array: all images must have the same shape") from error
    if array.dtype.kind not in "buif":
        problem = f"has dtype {array.dtype}: pixels must be integers, floats or booleans"
        raise ArgumentTypeError("X", problem)
    if dimensions == 1:
        return _signals(array, image_layout)
    if array.ndim not in (3, 4):
        problem = f"has shape {array.shape}: images must be (N, H, W), (N, H, W, C) or (N, C, H, W)"
        raise ArgumentError("X", problem + _shape_hint(array.shape))
    if array.size == 0:
        raise ArgumentError("X", f"is empty: its shape is {array.shape}")
    planes = _channels_second(array, image_layout)
    height, width = planes.shape[2:]
    if min(height, width) < MIN_SIZE:
        raise ArgumentError(
            "X",
            f"has shape {array.shape}, read as {height}x{width} pixels: two reductions need at"
            f" least {MIN_SIZE}x{MIN_SIZE} (a single image needs a leading axis, X[np.newaxis];"
            " `image_layout` says where the channels are)",
        )
    return _stored(array, planes)


def check_consistent(X: Sized, y: Sized) -> None:
    """Raise ArgumentError unless there is one label for each image."""
    if len(X) != len(y):
        raise ArgumentError("X", f"holds {len(X)} images but `y` holds {len(y)} labels")


def _shape_hint(shape: tuple[int, ...]) -> str:
    if len(shape) != 2:
        return ""
    side = math.isqrt(shape[1])
    if side < 2 or side**2 != shape[1]:
        return "; signals (N, L) need a one-dimensional space"
    return f"; flattened square images: X.reshape(-1, {side}, {side})"


def _signals(array: NDArray[Any], layout: str | None) -> Images:
    if layout == "NHWC":
        problem = "(='NHWC') is for images: of signals the channels come first, (N, C, L)"
        raise ArgumentError("image_layout", problem)
    if array.ndim not in (2, 3, 4) or (array.ndim == 4 and array.shape[2] != 1):
        problem = f"has shape {array.shape}: signals must be (N, L), (N, C, L) or (N, C, 1, L)"
        raise ArgumentError("X", problem)
    if array.size == 0:
        raise ArgumentError("X", f"is empty: its shape is {array.shape}")
    count, length = len(array), array.shape[-1]
    if length < MIN_SIZE:
        raise ArgumentError(
            "X",
            f"has shape {array.shape}, read as signals of {length} samples: two reductions need at"
            f" least {MIN_SIZE} (the samples are the last axis)",
        )
    if array.dtype == np.int16:
        array = array.astype(np.float32)
    return _stored(array, array.reshape(count, -1, 1, length))


def _stored(array: NDArray[Any], planes: NDArray[Any]) -> Images:
    """The planes of an array, in the type that holds its values."""
    if _fits_uint8(array):
        return np.ascontiguousarray(planes, np.uint8)
    return np.ascontiguousarray(planes, np.float32)


def _channels_second(array: NDArray[Any], layout: str | None) -> NDArray[Any]:
    if array.ndim == 3:
        return array[:, np.newaxis]
    if layout is None:
        second, last = (1 <= array.shape[axis] <= 4 for axis in (1, 3))
        if second == last:
            raise ArgumentError(
                "X",
                f"has shape {array.shape}, which does not say where the channels are:"
                ' pass `image_layout`="NCHW" or "NHWC"',
            )
        layout = "NCHW" if second else "NHWC"
    return array if layout == "NCHW" else array.transpose(0, 3, 1, 2)


def _fits_uint8(array: NDArray[Any]) -> bool:
    """Whether the pixels go into uint8 rather than float32; ArgumentError if into neither."""
    if array.dtype.kind == "b" or array.dtype == np.uint8:
        return True
    with np.errstate(invalid="ignore"):
        low, high = array.min(), array.max()  # NaN passes through both
    if array.dtype.kind in "iu":
        return bool(low >= 0 and high <= 255)
    limit = np.finfo(np.float32).max
    if not (low >= -limit and high <= limit):
        bad = ~(np.abs(array) <= limit)
        first = tuple(int(i) for i in np.unravel_index(bad.argmax(), bad.shape))
        raise ArgumentError(
            "X",
            f"holds {np.count_nonzero(bad)} pixel(s) that are NaN, infinite or beyond float32,"
            f" the first at index {first} (={array[first]})",
        )
    return False
