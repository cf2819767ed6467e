# SPDX-License-Identifier: MIT
"""From a user's arrays to what the engine takes: images, normalisation, labels and a split."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sized
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from pydarts.common.errors import ArgumentError

Images = NDArray[np.float32] | NDArray[np.uint8]

MIN_SIZE = 4
"""Least height and width. The engine takes any, but two reductions quarter them: of less than 4x4
pixels nothing would be left to look at."""


def as_images(X: ArrayLike, *, image_layout: str | None = None) -> Images:
    """Bring images into the shape (N, C, H, W), contiguous, as uint8 or float32.

    Parameters
    ----------
    X : array-like
        (N, H, W), (N, H, W, C) or (N, C, H, W). Booleans, and integers that all lie in 0..255,
        become uint8; all else becomes float32. Values are never rescaled: see `Normalization`.
    image_layout : {"NCHW", "NHWC"}, optional
        Where the channels are. Needed only if the shape does not tell, that is, unless exactly one
        of the second and the last axis has 1 to 4 entries.

    Returns
    -------
    ndarray of uint8 or float32, shape (N, C, H, W)
        May share memory with `X`.

    Raises
    ------
    ValueError
        If `X` is empty, not numeric, of another number of axes, of an ambiguous shape, smaller than
        4x4 pixels, or holds a value that is NaN, infinite or beyond the range of float32.
    """
    if image_layout not in (None, "NCHW", "NHWC"):
        raise ArgumentError("image_layout", f'(={image_layout!r}) must be "NCHW", "NHWC" or None')
    try:
        array = np.asarray(X)
    except ValueError as error:  # numpy's own message speaks of "inhomogeneous" sequences
        raise ArgumentError("X", "is not one array: all images must have the same shape") from error
    if array.dtype.kind not in "buif":
        raise ArgumentError(
            "X", f"has dtype {array.dtype}: pixels must be integers, floats or booleans"
        )
    if array.ndim not in (3, 4):
        raise ArgumentError(
            "X",
            f"has shape {array.shape}: images must be (N, H, W), (N, H, W, C) or (N, C, H, W)"
            + _shape_hint(array.shape),
        )
    if array.size == 0:
        raise ArgumentError("X", f"is empty: its shape is {array.shape}")
    planes = _channels_second(array, image_layout)
    height, width = planes.shape[2:]
    if min(height, width) < MIN_SIZE:
        raise ArgumentError(
            "X",
            f"has shape {array.shape}, read as {height}x{width} pixels: two reductions need at"
            f" least {MIN_SIZE}x{MIN_SIZE} (a single image needs a leading axis, X[np.newaxis];"
            " `image_layout` tells where the channels are)",
        )
    if _fits_uint8(array):
        return np.ascontiguousarray(planes, np.uint8)
    return np.ascontiguousarray(planes, np.float32)


def _shape_hint(shape: tuple[int, ...]) -> str:
    side = math.isqrt(shape[1]) if len(shape) == 2 else 0
    return (
        f"; flattened square images: X.reshape(-1, {side}, {side})"
        if side > 1 and side**2 == shape[1]
        else ""
    )


def _channels_second(array: NDArray[Any], layout: str | None) -> NDArray[Any]:
    if array.ndim == 3:
        return array[:, np.newaxis]
    if layout is None:
        second, last = (1 <= array.shape[axis] <= 4 for axis in (1, 3))
        if second == last:
            raise ArgumentError(
                "X",
                f"has shape {array.shape}, which does not tell where the channels are:"
                ' pass `image_layout`="NCHW" or "NHWC"',
            )
        layout = "NCHW" if second else "NHWC"
    return array if layout == "NCHW" else array.transpose(0, 3, 1, 2)


def _fits_uint8(array: NDArray[Any]) -> bool:
    """Whether the pixels go into uint8 rather than float32; ValueError if into neither."""
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


@dataclass(frozen=True)
class Normalization:
    """x̂ = (x − mean) / std, for each channel.

    Attributes
    ----------
    mean, std : tuple of float
        One entry a channel, in the units of the pixels.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.mean) == len(self.std):
            raise ArgumentError(
                "mean", f"(={self.mean}) and `std` (={self.std}) need one entry a channel"
            )
        if not all(map(math.isfinite, self.mean)):
            raise ArgumentError("mean", f"(={self.mean}) must be finite")
        if not all(0 < s < math.inf for s in self.std):
            raise ArgumentError("std", f"(={self.std}) must be positive and finite")

    @classmethod
    def fit(cls, images: NDArray[Any]) -> Normalization:
        """Mean and (biased) standard deviation of images (N, C, H, W), summed in float64.

        A constant channel gets std 1. Its computed std is exactly 0: the mean of equal float32
        numbers is exact in float64.
        """
        mean = images.mean(axis=(0, 2, 3), dtype=np.float64)
        square = np.zeros_like(mean)
        for start in range(0, len(images), 256):  # bounds the float64 copy
            centred = images[start : start + 256] - mean[:, np.newaxis, np.newaxis]
            square += np.einsum("nchw,nchw->c", centred, centred)
        std = np.sqrt(square / (images.size / images.shape[1]))
        std = np.where(std > np.finfo(np.float32).tiny, std, 1.0)
        return cls(tuple(mean.tolist()), tuple(std.tolist()))

    def apply(self, images: NDArray[Any], dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """Normalise images (N, C, H, W) into a new contiguous array of float32, or of float64.

        Raises
        ------
        ValueError
            If the images have another number of channels than those of `fit`.
        """
        if images.ndim != 4 or images.shape[1] != len(self.mean):
            raise ValueError(
                f"images of shape {images.shape} do not have the {len(self.mean)} channel(s) that"
                " the normalisation was fitted on"
            )
        mean, std = (np.asarray(v, dtype)[:, np.newaxis, np.newaxis] for v in (self.mean, self.std))
        out = images.astype(dtype, order="C")
        out -= mean
        out /= std
        return out

    def to_dict(self) -> dict[str, list[float]]:
        """A dictionary that JSON can hold."""
        return {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Iterable[float]]) -> Normalization:
        """The inverse of `to_dict`; a ValueError if `values` is not such a dictionary."""
        try:
            mean, std = tuple(map(float, values["mean"])), tuple(map(float, values["std"]))
        except (KeyError, TypeError) as error:
            raise ArgumentError(
                "values", f"(={values!r}) must hold lists `mean` and `std`"
            ) from error
        return cls(mean, std)


@dataclass(frozen=True)
class Labels:
    """The classes of a problem: label ↔ code, where the code of a label is its place in `classes`.

    Attributes
    ----------
    classes : tuple of hashables
        Distinct labels, as Python objects. Labels that compare equal (1, 1.0, True) are one class.
    """

    classes: tuple[Hashable, ...]

    def __post_init__(self) -> None:
        if len(self._codes) != len(self.classes):
            raise ArgumentError("classes", f"(={self.classes}) must be distinct")

    @classmethod
    def fit(cls, y: Iterable[Any]) -> Labels:
        """The classes that occur in `y`: sorted, or in order of appearance if they do not sort.

        Raises
        ------
        ValueError
            If `y` is empty, not a sequence of labels, or holds an unhashable or NaN label, or one
            class only.
        """
        first: dict[Hashable, int] = {}
        for index, label in enumerate(_as_list(y)):
            try:
                first.setdefault(label, index)
            except TypeError as error:
                raise ArgumentError(
                    "y", f"holds {label!r} at index {index}: labels must be hashable"
                ) from error
        for label, index in first.items():
            if label != label:
                raise ArgumentError("y", f"holds {label!r} at index {index}: that is no label")
        if not first:
            raise ArgumentError("y", "is empty")
        if len(first) == 1:
            raise ArgumentError(
                "y", f"holds one class only ({next(iter(first))!r}): at least two are needed"
            )
        try:
            return cls(tuple(sorted(first)))  # type: ignore[type-var]
        except TypeError:
            return cls(tuple(first))

    @cached_property
    def _codes(self) -> dict[Hashable, int]:
        return {label: code for code, label in enumerate(self.classes)}

    @cached_property
    def _table(self) -> NDArray[Any]:
        kinds = {type(label) for label in self.classes}
        if len(kinds) == 1 and kinds <= {bool, int, float, str}:
            plain = np.array(self.classes)
            if plain.tolist() == list(self.classes):  # not so for strings that end in NUL
                return plain
        table = np.empty(len(self.classes), object)
        for code, label in enumerate(self.classes):  # one by one: numpy would unpack tuples
            table[code] = label
        return table

    def __len__(self) -> int:
        return len(self.classes)

    def encode(self, y: Iterable[Any]) -> NDArray[np.int64]:
        """Codes of the labels `y`; an unknown label is a ValueError that names it."""
        labels = _as_list(y)
        try:
            return np.fromiter((self._codes[label] for label in labels), np.int64, len(labels))
        except (KeyError, TypeError):  # TypeError: unhashable
            index = next(i for i, label in enumerate(labels) if not self._knows(label))
        raise ArgumentError(
            "y",
            f"holds the unknown label {labels[index]!r} at index {index}: the classes are "
            + _some(self.classes),
        )

    def _knows(self, label: Any) -> bool:
        try:
            return label in self._codes
        except TypeError:
            return False

    def decode(self, codes: ArrayLike) -> NDArray[Any]:
        """Labels of codes (any shape): an array of int, float, bool or str, else of objects."""
        labels: NDArray[Any] = self._table[np.asarray(codes, np.int64)]
        return labels

    def to_json(self) -> list[Any]:
        """The classes as a list that JSON can hold.

        Raises
        ------
        ValueError
            If a label is not a str, bool, int or finite float: JSON would not give it back.
        """
        for label in self.classes:
            if type(label) not in (str, bool, int, float) or (
                type(label) is float and not math.isfinite(label)
            ):
                raise ValueError(
                    f"the label {label!r} ({type(label).__name__}) cannot be saved:"
                    " only str, int, float and bool labels can"
                )
        return list(self.classes)

    @classmethod
    def from_json(cls, classes: Iterable[Any]) -> Labels:
        """The inverse of `to_json`."""
        labels = tuple(classes)
        for label in labels:
            if not isinstance(label, (str, int, float)):
                raise ArgumentError(
                    "classes", f"holds {label!r}: saved labels are str, int, float or bool"
                )
        return cls(labels)


def _as_list(y: Iterable[Any]) -> list[Any]:
    """Labels as Python objects: 3 for np.int64(3), "3" for np.str_("3"), and so on."""
    if isinstance(y, (str, bytes)) or not isinstance(y, Iterable):
        raise ArgumentError("y", f"(={y!r}) must be a sequence with one label an image")
    if hasattr(y, "__array__"):  # a tensor of another library would yield tensors, all different
        y = np.asarray(y)
    if isinstance(y, np.ndarray) and y.ndim != 1:
        hint = (
            ": use y.argmax(axis=1) for one-hot labels, y.ravel() for a column"
            if y.ndim == 2
            else ""
        )
        raise ArgumentError("y", f"has shape {y.shape}, but must have one axis{hint}")
    plain = (np.number, np.bool_, np.str_, np.bytes_)
    return [label.item() if isinstance(label, plain) else label for label in y]


def _some(labels: Iterable[Any], limit: int = 10) -> str:
    names = [repr(label) for label in labels]
    return ", ".join(names[:limit]) + (f", … ({len(names)} in all)" if len(names) > limit else "")


def check_consistent(X: Sized, y: Sized) -> None:
    """Raise ValueError unless there is one label an image."""
    if len(X) != len(y):
        raise ArgumentError("X", f"holds {len(X)} images but `y` holds {len(y)} labels")


def split_half(
    codes: NDArray[np.int64],
    rng: np.random.Generator,
    fraction: float = 0.5,
    *,
    labels: Labels | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split images at random into a training and a validation part with the same mix of classes.

    Parameters
    ----------
    codes : ndarray of int64, shape (N,)
        As from `Labels.encode`.
    rng : numpy.random.Generator
    fraction : float
        Share of the training part, between 0 and 1. Each class gets its share to within one image,
        and at least one image in either part.
    labels : Labels, optional
        Names the classes in errors.

    Returns
    -------
    train, valid : ndarray of int64
        Disjoint, sorted indices, together all of 0..N-1.

    Raises
    ------
    ValueError
        If a class has a single image, so that one part would lack it.
    """
    if not 0 < fraction < 1:
        raise ArgumentError("fraction", f"(={fraction}) must lie between 0 and 1")
    values, counts = np.unique(codes, return_counts=True)
    if np.any(counts < 2):
        rare = values[counts < 2].tolist()
        raise ValueError(
            "labels that the training half lacks: "
            + _some(rare if labels is None else [labels.classes[code] for code in rare])
            + " (each class needs at least 2 images, one for either part)"
        )
    # Rounding the running total instead of each class keeps the parts' sizes at `fraction`.
    shares = np.diff(np.floor(np.cumsum(counts) * fraction + 0.5), prepend=0)
    shares = np.clip(shares, 1, counts - 1)
    shuffled = rng.permutation(len(codes))
    by_class = shuffled[np.argsort(codes[shuffled], kind="stable")]
    rank = np.arange(len(codes)) - np.repeat(np.cumsum(counts) - counts, counts)
    train = rank < np.repeat(shares, counts)
    return np.sort(by_class[train]), np.sort(by_class[~train])
