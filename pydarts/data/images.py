# SPDX-License-Identifier: MIT
"""Images from arrays of any layout, in the shape and the types that the engine takes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sized
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pydarts.common.checks import choice
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.data.lazy import LazyArray, mapped

Images = NDArray[np.float32] | NDArray[np.uint8]

MIN_SIZE = 4
"""Minimum height and width. The engine takes any size, but two reductions quarter it: of fewer than
4x4 pixels nothing would be left."""


def as_images(X: Any, *, image_layout: str | None = None, dimensions: int = 2) -> Any:
    """Bring images or signals into the shape (N, C, H, W), contiguous, as uint8 or float32.

    Values are never rescaled: see `Normalization`.

    Parameters
    ----------
    X : array-like
        (N, H, W), (N, H, W, C) or (N, C, H, W). Booleans, and integers that all lie in 0..255,
        become uint8; all else becomes float32. A `numpy.memmap` or `LazyArray` stays on the disk.
    image_layout : {"NCHW", "NHWC"}, optional
        Where the channels are. Needed only if the shape is ambiguous, that is, unless exactly one
        of the second and the last axis has 1 to 4 entries.
    dimensions : {2, 1}
        1: `X` holds signals (N, L) or (N, C, L), or (N, C, 1, L) as they are returned. They are
        images of height 1; int16, as sounds are stored in, becomes float32 whatever the values.

    Returns
    -------
    ndarray or LazyArray of uint8 or float32, shape (N, C, H, W)
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
    if isinstance(X, np.memmap) and X.ndim:
        X = mapped(X)
    if isinstance(X, LazyArray):
        # What its shape and type tell is told by an array of them that takes no memory.
        planes = _planes(np.broadcast_to(np.zeros((), X.dtype), X.shape), image_layout, dimensions)
        dtype = _stored_type(X.dtype, X.chunks(), dimensions)

        def convert(items: NDArray[Any]) -> NDArray[Any]:
            return np.ascontiguousarray(_planes(items, image_layout, dimensions), dtype)

        return X.map(convert, planes.shape[1:], dtype)
    try:
        array = np.asarray(X)
        if array.dtype == object and array.ndim == 1 and array.size:
            array = np.stack([np.asarray(item) for item in array])  # as data frames hold arrays
    except ValueError as error:  # numpy's own message speaks of "inhomogeneous" sequences
        raise ArgumentError("X", "is not one array: all images must have the same shape") from error
    planes = _planes(array, image_layout, dimensions)
    dtype = _stored_type(array.dtype, [(0, array)], dimensions)
    return np.ascontiguousarray(planes, dtype)


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


def _planes(array: NDArray[Any], layout: str | None, dimensions: int) -> NDArray[Any]:
    """The array as (N, C, H, W), a view; an error where its type or shape does not do."""
    if array.dtype.kind not in "buif":
        problem = f"has dtype {array.dtype}: pixels must be integers, floats or booleans"
        raise ArgumentTypeError("X", problem)
    if dimensions == 1:
        return _signals(array, layout)
    if array.ndim not in (3, 4):
        problem = f"has shape {array.shape}: images must be (N, H, W), (N, H, W, C) or (N, C, H, W)"
        raise ArgumentError("X", problem + _shape_hint(array.shape))
    if array.size == 0:
        raise ArgumentError("X", f"is empty: its shape is {array.shape}")
    planes = _channels_second(array, layout)
    height, width = planes.shape[2:]
    if min(height, width) < MIN_SIZE:
        raise ArgumentError(
            "X",
            f"has shape {array.shape}, read as {height}x{width} pixels: two reductions need at"
            f" least {MIN_SIZE}x{MIN_SIZE} (a single image needs a leading axis, X[np.newaxis];"
            " `image_layout` says where the channels are)",
        )
    return planes


def _signals(array: NDArray[Any], layout: str | None) -> NDArray[Any]:
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
    middle = array.shape[1] if array.ndim > 2 else 1
    return array.reshape(count, middle, 1, length)


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


def _stored_type(
    dtype: np.dtype[Any], chunks: Iterable[tuple[int, NDArray[Any]]], dimensions: int
) -> type[np.uint8] | type[np.float32]:
    """The type that holds the pixels, given as parts and where they begin; ArgumentError if
    neither does.
    """
    if dtype.kind == "b" or dtype == np.uint8:
        return np.uint8
    if dtype.kind in "iu":
        if dimensions == 1 and dtype == np.int16:
            return np.float32
        fits = all(bool(part.min() >= 0 and part.max() <= 255) for _, part in chunks)
        return np.uint8 if fits else np.float32
    limit = np.finfo(np.float32).max
    count, first = 0, ""
    for start, part in chunks:
        with np.errstate(invalid="ignore"):
            low, high = part.min(), part.max()  # NaN passes through both
        if low >= -limit and high <= limit:
            continue
        bad = ~(np.abs(part) <= limit)
        if not count:
            at = tuple(int(i) for i in np.unravel_index(bad.argmax(), bad.shape))
            first = f"{(start + at[0], *at[1:])} (={part[at]})"
        count += np.count_nonzero(bad)
    if count:
        problem = f"holds {count} pixel(s) that are NaN, infinite or beyond float32"
        raise ArgumentError("X", f"{problem}, the first at index {first}")
    return np.float32
