# SPDX-License-Identifier: MIT
"""Classes of a problem: labels of any hashable kind, and their codes."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sized
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pydarts.common.checks import show
from pydarts.common.errors import ArgumentError, ArgumentTypeError


@dataclass(frozen=True)
class Labels:
    """The classes of a problem. The code of a label is its place in `classes`.

    Attributes
    ----------
    classes : tuple of hashable
        Distinct labels, as Python objects. Labels that compare equal (1, 1.0, True) are one class.
    """

    classes: tuple[Hashable, ...]

    def __post_init__(self) -> None:
        if len(self._codes) != len(self.classes):
            raise ArgumentError("classes", f"(={show(self.classes)}) must be distinct")

    @classmethod
    def fit(cls, y: Iterable[Any]) -> Labels:
        """Collect the classes that occur, sorted, or in order of appearance if they do not sort.

        Parameters
        ----------
        y : iterable
            One label for each image.

        Returns
        -------
        Labels

        Raises
        ------
        ValueError
            If `y` is empty, not a sequence of labels, or holds an unhashable label, NaN or None, or
            one class only.
        """
        first: dict[Hashable, int] = {}
        for index, label in enumerate(_as_list(y)):
            try:
                first.setdefault(label, index)
            except TypeError as error:
                problem = f"holds {label!r} at index {index}: labels must be hashable"
                raise ArgumentTypeError("y", problem) from error
        for label, index in first.items():
            if label is None or not _equals_itself(label):
                raise ArgumentError("y", f"holds {label!r} at index {index}: that is no label")
        if not first:
            raise ArgumentError("y", "is empty")
        if len(first) == 1:
            problem = f"holds one class only ({next(iter(first))!r}): at least two are needed"
            raise ArgumentError("y", problem)
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
        """Return the codes of labels.

        Parameters
        ----------
        y : iterable
            One label for each image.

        Returns
        -------
        ndarray of int64, shape (N,)

        Raises
        ------
        ValueError
            If `y` is not a sequence of labels, or holds an unknown one; names it.
        """
        labels = _as_list(y)
        try:
            return np.fromiter((self._codes[label] for label in labels), np.int64, len(labels))
        except (KeyError, TypeError):  # TypeError: unhashable
            index = next(i for i, label in enumerate(labels) if not self._knows(label))
        unknown = f"holds the unknown label {labels[index]!r} at index {index}"
        raise ArgumentError("y", f"{unknown}: the classes are {format_labels(self.classes)}")

    def _knows(self, label: Any) -> bool:
        try:
            return label in self._codes
        except TypeError:
            return False

    def decode(self, codes: ArrayLike) -> NDArray[Any]:
        """Return the labels of codes.

        Parameters
        ----------
        codes : array-like of int
            Of any shape.

        Returns
        -------
        ndarray
            Of the same shape; of int, float, bool or str if all classes are, else of objects.
        """
        labels: NDArray[Any] = self._table[np.asarray(codes, np.int64)]
        return labels

    def strata(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Numbers by which a split keeps shares: the classes."""
        return codes

    def to_json(self) -> list[Any]:
        """Return the classes as a list that JSON can hold.

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
        """Invert `to_json`; a ValueError if `classes` is not such a list."""
        labels = tuple(classes)
        for label in labels:
            if not isinstance(label, (str, int, float)):
                problem = f"holds {show(label)}: saved labels are str, int, float or bool"
                raise ArgumentTypeError("classes", problem)
        return cls(labels)


def _equals_itself(label: Any) -> bool:
    """Unlike NaN, and values of pandas that are missing, whose comparison has no truth."""
    try:
        return bool(label == label)
    except TypeError:
        return False


def format_labels(labels: Iterable[Any], limit: int = 10) -> str:
    """Return labels for an error message: the first of them if there are many."""
    names = [repr(label) for label in labels]
    return ", ".join(names[:limit]) + (f", … ({len(names)} in all)" if len(names) > limit else "")


def as_sized(y: Any) -> Any:
    """Return labels, or a list of them where they have no length; an error if they are none."""
    single = isinstance(y, (str, bytes)) or getattr(y, "ndim", 1) == 0
    if single or not isinstance(y, Iterable):
        problem = f"(={show(y)}) must be a sequence with one label for each image"
        raise ArgumentTypeError("y", problem)
    if isinstance(y, Sized):
        return y
    return np.asarray(y) if hasattr(y, "__array__") else list(y)


def _as_list(y: Iterable[Any]) -> list[Any]:
    """Labels as Python objects: 3 for np.int64(3), "3" for np.str_("3"), and so on."""
    y = as_sized(y)
    if hasattr(y, "__array__"):  # a tensor of another library would yield tensors, all different
        y = np.asarray(y)
    if isinstance(y, np.ndarray) and y.ndim != 1:
        hint = ": use y.argmax(axis=1) for one-hot labels, y.ravel() for a column"
        problem = f"has shape {y.shape}, but must have one axis{hint if y.ndim == 2 else ''}"
        raise ArgumentError("y", problem)
    plain = (np.number, np.bool_, np.str_, np.bytes_)
    return [label.item() if isinstance(label, plain) else label for label in y]
