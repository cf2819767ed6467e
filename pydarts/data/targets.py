# SPDX-License-Identifier: MIT
"""Targets that are not one class: several labels that do not exclude each other, and numbers."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pydarts.common.checks import show
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.data.splits import without_singles

_QUANTILES = 10
"""Parts of equally many samples, by their numbers, from each of which a split takes its share."""


@dataclass(frozen=True)
class LabelSets:
    """Labels of which a sample may have any number.

    Attributes
    ----------
    classes : tuple of hashable
        The labels, in the order of the columns.
    """

    classes: tuple[Hashable, ...]

    @classmethod
    def fit(cls, y: Any) -> LabelSets:
        """Take the labels' names: those of the columns of a data frame, else 0, 1, ...

        Raises
        ------
        ValueError, TypeError
            If `y` is no matrix (N, labels) of 0 and 1.
        """
        return cls(_names(y, _indicators(y).shape[1]))

    def __len__(self) -> int:
        return len(self.classes)

    def encode(self, y: Any) -> NDArray[np.float32]:
        """Return 0 and 1 as (N, labels) for what `fit` takes, with the same number of columns."""
        given = _indicators(y)
        _check_columns(given, len(self))
        return given.astype(np.float32)

    def decode(self, chosen: ArrayLike) -> NDArray[np.int64]:
        """Return the matrix (N, labels) of 0 and 1 of what was chosen."""
        return np.asarray(chosen).astype(np.int64)

    def strata(self, codes: NDArray[Any]) -> NDArray[np.int64]:
        """Numbers by which a split keeps shares: the set of labels; sets that occur once are one
        more.
        """
        _, sets = np.unique(codes, axis=0, return_inverse=True)
        return without_singles(sets.reshape(-1))

    def to_json(self) -> list[Any]:
        """Return the labels as JSON can hold them; a ValueError if one cannot be saved."""
        for label in self.classes:
            if type(label) not in (str, bool, int):
                raise ValueError(
                    f"the label {label!r} cannot be saved: only str and int labels can"
                )
        return list(self.classes)

    @classmethod
    def from_json(cls, classes: Iterable[Any]) -> LabelSets:
        """Invert `to_json`."""
        return cls(_from_json(classes))


@dataclass(frozen=True)
class Numbers:
    """Numbers to predict. The network learns ``(y - mean) / std``.

    Attributes
    ----------
    names : tuple of hashable
        Of the outputs.
    mean, std : tuple of float
        One entry for each output.
    single : bool
        Whether targets are (N,) rather than (N, outputs).
    """

    names: tuple[Hashable, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    single: bool

    def __post_init__(self) -> None:
        if not 0 < len(self.names) == len(self.mean) == len(self.std):
            problem = f"(={self.mean}) and `std` (={self.std}) need one entry for each output"
            raise ArgumentError("mean", problem)
        if not all(map(math.isfinite, self.mean)):
            raise ArgumentError("mean", f"(={self.mean}) must be finite")
        if not all(0 < s < math.inf for s in self.std):
            raise ArgumentError("std", f"(={self.std}) must be positive and finite")

    @classmethod
    def fit(cls, y: Any, weights: NDArray[Any] | None = None) -> Numbers:
        """Compute the (weighted) mean and standard deviation of each output; that of a constant one
        is 1.

        Parameters
        ----------
        y : array-like
            (N,) or (N, outputs).
        weights : ndarray, optional
            (N,) weights of the samples. What weighs nothing is left out.

        Raises
        ------
        ValueError, TypeError
            If `y` holds what is no finite number, or fewer than two samples.
        """
        values, single = _numbers(y)
        if len(values) < 2:
            raise ArgumentError("y", f"holds {len(values)} sample(s): at least two are needed")
        if weights is not None:
            values, weights = values[weights > 0], weights[weights > 0]
        with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is looked at
            mean = np.average(values, axis=0, weights=weights)
            std = np.sqrt(np.average((values - mean) ** 2, axis=0, weights=weights))
        # What is constant may leave the rounding of its mean.
        std = np.where(std > 1e-12 * np.abs(values).max(axis=0), std, 1.0)
        if not (np.isfinite(mean).all() and np.isfinite(std).all()):
            raise ArgumentError("y", "holds numbers that are too large to be averaged")
        return cls(_names(y, values.shape[1]), tuple(mean.tolist()), tuple(std.tolist()), single)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def classes(self) -> tuple[Hashable, ...]:
        """The names of the outputs."""
        return self.names

    def encode(self, y: Any) -> NDArray[np.float64]:
        """Return the scaled numbers (N, outputs)."""
        values, _ = _numbers(y)
        _check_columns(values, len(self))
        with np.errstate(over="ignore"):
            scaled: NDArray[np.float64] = (values - np.asarray(self.mean)) / np.asarray(self.std)
        if not np.isfinite(scaled).all():
            raise ArgumentError("y", "holds numbers too large for the scale that was learned")
        return scaled

    def decode(self, scaled: ArrayLike) -> NDArray[np.float64]:
        """Return numbers in the units of the targets: (N,) where those were."""
        values = self.unscaled(np.asarray(scaled, np.float64))
        return values[:, 0] if self.single else values

    def unscaled(self, scaled: NDArray[Any]) -> NDArray[np.float64]:
        """Return numbers (N, outputs) in the units of the targets."""
        values: NDArray[np.float64] = scaled * np.asarray(self.std) + np.asarray(self.mean)
        return values

    def strata(self, codes: NDArray[Any]) -> NDArray[np.int64]:
        """Numbers by which a split keeps shares: quantiles of the first output."""
        parts = max(1, min(_QUANTILES, len(codes) // 4))
        edges = np.quantile(codes[:, 0], np.linspace(0, 1, parts + 1)[1:-1])
        return without_singles(np.searchsorted(edges, codes[:, 0], side="right"))

    def to_json(self) -> list[Any]:
        """Return the names as JSON can hold them."""
        return [name if type(name) in (str, int) else str(name) for name in self.names]


def _names(y: Any, count: int) -> tuple[Hashable, ...]:
    columns = getattr(y, "columns", None)
    if columns is not None:
        return tuple(c.item() if isinstance(c, np.generic) else c for c in columns)
    name = getattr(y, "name", None)  # of a series
    return (name,) if count == 1 and isinstance(name, str) else tuple(range(count))


def _array(y: Any, what: str) -> NDArray[Any]:
    if isinstance(y, (str, bytes)) or not (isinstance(y, Iterable) or hasattr(y, "__array__")):
        raise ArgumentTypeError("y", f"(={show(y)}) must be {what}")
    try:
        values = np.asarray(y if hasattr(y, "__array__") or isinstance(y, Sequence) else list(y))
        if values.dtype.kind == "O":
            values = values.astype(np.float64)
    except (ValueError, TypeError, OverflowError):  # ragged, or of what is no number
        raise ArgumentTypeError("y", f"(={show(y)}) must be {what}") from None
    if values.dtype.kind not in "fiub":
        raise ArgumentTypeError("y", f"holds {values.dtype}: it must be {what}")
    return values


def _indicators(y: Any) -> NDArray[Any]:
    values = _array(y, "a matrix (N, labels) of 0 and 1")
    if values.ndim != 2 or values.size == 0:
        problem = f"has the shape {values.shape}: several labels are a matrix (N, labels)"
        raise ArgumentError("y", f"{problem} of 0 and 1")
    wrong = np.argwhere((values != 0) & (values != 1))
    if len(wrong):
        row, column = wrong[0].tolist()
        value = values[row, column]
        raise ArgumentError("y", f"holds {value} at [{row}, {column}]: a label is 0 or 1")
    return values


def _numbers(y: Any) -> tuple[NDArray[np.float64], bool]:
    values = _array(y, "numbers (N,) or (N, outputs)").astype(np.float64)
    if values.ndim not in (1, 2) or values.size == 0:
        problem = f"has the shape {values.shape}: numbers to predict are (N,) or (N, outputs)"
        raise ArgumentError("y", problem)
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        at = ", ".join(map(str, wrong[0].tolist()))
        raise ArgumentError("y", f"holds {values[tuple(wrong[0])]} at [{at}]: it must be finite")
    return values.reshape(len(values), -1), values.ndim == 1


def _check_columns(values: NDArray[Any], wanted: int) -> None:
    if values.shape[1] != wanted:
        problem = f"has {values.shape[1]} columns, but the model learned from {wanted}"
        raise ArgumentError("y", problem)


def _from_json(names: Iterable[Any]) -> tuple[Hashable, ...]:
    found = tuple(names)
    for name in found:
        if not isinstance(name, (str, int)):
            raise ArgumentTypeError("labels", f"holds {show(name)}: saved labels are str or int")
    return found
