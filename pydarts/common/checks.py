# SPDX-License-Identifier: MIT
"""Checks of arguments that many functions share. What fails names the argument and its value."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pydarts.common.errors import ArgumentError, ArgumentTypeError

T = TypeVar("T")

_INTEGERS_BELOW = 2**31


def show(value: object) -> str:
    """Repr for an error message: of bounded length, and never failing."""
    try:
        text = repr(value[:80] if isinstance(value, (str, bytes, tuple, list)) else value)
    except Exception:  # a foreign object's repr must not replace our message
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else text[:77] + "..."


def integer(name: str, value: object, minimum: int, below: int = _INTEGERS_BELOW) -> int:
    """Return ``value`` if it is an integer in [minimum, below)."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise ArgumentTypeError(name, f"(={show(value)}) must be an integer")
    if not minimum <= value < below:
        usual = below == _INTEGERS_BELOW and value < below  # goes without saying
        limit = "" if usual else f" and less than {below}"
        raise ArgumentError(name, f"(={value}) must be at least {minimum}{limit}")
    return int(value)


def integers(name: str, values: object, minimum: int) -> list[int]:
    """Return the integers of a sequence, none of which may be below ``minimum``."""
    if not isinstance(values, Iterable):
        raise ArgumentTypeError(name, f"(={show(values)}) must be several integers")
    return [integer(name, value, minimum) for value in values]


def boolean(name: str, value: object) -> bool:
    """Return ``value`` if it is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise ArgumentTypeError(name, f"(={show(value)}) must be True or False")
    return bool(value)


def number(
    name: str,
    value: object,
    minimum: float = 0.0,
    below: float = math.inf,
    *,
    positive: bool = False,
) -> float:
    """Return ``value`` if it is a number in [minimum, below), or in (0, below) if ``positive``."""
    kinds = (int, float, np.integer, np.floating)
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise ArgumentTypeError(name, f"(={show(value)}) must be a number")
    if not ((value > 0 if positive else value >= minimum) and value < below):
        bounds = "more than 0" if positive else f"at least {minimum:g}"
        usual = below >= sys.float_info.max and not value >= below
        limit = "" if usual else f" and less than {below:g}"
        raise ArgumentError(name, f"(={value}) must be {bounds}{limit}")
    return float(value)


def choice(name: str, value: T, choices: Collection[T]) -> T:
    """Return ``value`` if it is one of ``choices``."""
    if value not in choices:
        allowed = " or ".join(map(repr, choices))
        raise ArgumentError(name, f"(={show(value)}) must be {allowed}")
    return value


def no_class(name: str, value: object) -> None:
    """Raise ArgumentTypeError for a class where one of its objects is meant."""
    if isinstance(value, type):
        hint = f"give an object of it, such as {value.__name__}()"
        raise ArgumentTypeError(name, f"(={show(value)}) is a class: {hint}")


def file_path(name: str, value: object) -> Path:
    """Return ``value`` as a path if it is one, or the text of one."""
    if not isinstance(value, (str, os.PathLike)):
        raise ArgumentTypeError(name, f"(={show(value)}) must be a path")
    return Path(value)


def token_array(name: str, values: ArrayLike, axes: int, size: int = 2**31) -> NDArray[np.int32]:
    """Return token numbers below ``size`` as a contiguous array."""
    try:
        array = np.asarray(values)
    except ValueError:  # numpy's own message speaks of "inhomogeneous" sequences
        raise ArgumentError(name, f"(={show(values)}) is not an array") from None
    if array.ndim != axes:
        raise ArgumentError(name, f"has shape {array.shape}, but must have {axes} axes")
    if array.size == 0:
        return np.zeros(array.shape, np.int32)
    if array.dtype.kind not in "iu":
        raise ArgumentTypeError(name, f"has dtype {array.dtype}: token numbers must be integers")
    if array.min() < 0 or array.max() >= size:
        index = np.argwhere((array < 0) | (array >= size))[0].tolist()
        where = ", ".join(map(str, index))
        raise ArgumentError(
            f"{name}[{where}]", f"(={array[tuple(index)]}) must be at least 0 and below {size}"
        )
    return np.ascontiguousarray(array, np.int32)
