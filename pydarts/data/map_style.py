# SPDX-License-Identifier: MIT
"""Data sets that give their samples one by one, as those of PyTorch and Hugging Face do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pydarts.common.checks import show
from pydarts.common.errors import ArgumentTypeError
from pydarts.data.bad_items import check_on_bad, report_bad
from pydarts.data.lazy import CACHE_BYTES, CachedItems, LazyArray

_INPUTS: Final = ("image", "img", "pixel_values", "x", "signal", "audio")
_TARGETS: Final = ("label", "labels", "y", "target")


class Samples(NamedTuple):
    """What a data set holds: inputs, what is told of them, and notes on what was left out."""

    X: NDArray[Any] | LazyArray
    y: NDArray[Any]
    notes: list[str]


def is_map_style(value: object) -> bool:
    """Whether something has a length and items, and is neither an array nor text."""
    if isinstance(value, (str, bytes, Mapping, np.ndarray)) or hasattr(value, "__array__"):
        return False
    return hasattr(value, "__len__") and hasattr(value, "__getitem__")


def read_samples(source: Any, on_bad: str = "raise") -> Samples:
    """Read a data set once.

    Parameters
    ----------
    source : object
        With ``__len__`` and ``__getitem__``. An item is a pair (x, y), or a mapping with one of
        ``image``, ``img``, ``pixel_values``, ``x``, ``signal``, ``audio`` and one of ``label``,
        ``labels``, ``y``, ``target``. Inputs may be arrays, tensors or Pillow's images, all of one
        shape. Items must be the same whenever they are asked for: augmentation is the search's.
    on_bad : {"raise", "skip"}
        What is done where an item raises, or is none of these.

    Returns
    -------
    Samples
        Inputs are in memory if they take up to 256 MiB; else they are asked for again when needed,
        and as many are kept as 256 MiB hold.

    Raises
    ------
    ValueError
        If items cannot be read; names them all.
    """
    check_on_bad(on_bad)
    total, kept, targets = len(source), [], []
    if total == 0:
        raise ValueError(f"the data set {show(source)} is empty")
    shape, dtype, bad = None, None, {}
    held: list[NDArray[Any]] | None = []
    for index in range(total):
        try:
            x, y = _pair(source[index])
            if shape not in (None, x.shape):
                raise ValueError(f"has the shape {x.shape}, but the first has {shape}")
        except Exception as error:  # whatever a foreign data set raises
            bad[f"item {index}"] = f"{type(error).__name__}: {error}"
            continue
        shape = x.shape
        dtype = x.dtype if dtype is None else np.promote_types(dtype, x.dtype)
        kept.append(index)
        targets.append(y)
        if held is not None:
            held.append(x)
            if len(held) * x.nbytes > CACHE_BYTES:
                held = None
    notes = report_bad(bad, total, on_bad, "items", f"the data set {type(source).__name__}")
    assert shape is not None and dtype is not None
    if held is not None:
        return Samples(np.stack(held).astype(dtype, copy=False), _column(targets), notes)

    def read(index: int) -> NDArray[Any]:
        return _pair(source[kept[index]])[0].astype(dtype)

    return Samples(
        LazyArray(CachedItems(read), (len(kept), *shape), dtype), _column(targets), notes
    )


def _pair(item: Any) -> tuple[NDArray[Any], Any]:
    if isinstance(item, Mapping):
        x, y = (_entry(item, names) for names in (_INPUTS, _TARGETS))
    elif isinstance(item, (tuple, list)) and len(item) == 2:
        x, y = item
    else:
        problem = f"is {show(item)}, but must be a pair (x, y) or a mapping with image and label"
        raise ArgumentTypeError("item", problem)
    array = np.asarray(x)
    if array.dtype.kind not in "buif":
        raise ArgumentTypeError("item", f"holds {show(x)}, which is no array of numbers")
    plain = np.asarray(y) if hasattr(y, "__array__") else y
    if isinstance(plain, np.ndarray) and plain.ndim == 0:
        plain = plain.item()
    return array, plain


def _entry(item: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    found = [name for name in names if name in item]
    if len(found) != 1:
        which = " and ".join(found) if found else f"none of {', '.join(names)}"
        raise ValueError(f"has {which}, but must have one of them; it holds {list(item)}")
    return item[found[0]]


def _column(targets: list[Any]) -> NDArray[Any]:
    """Labels as an array of their own kind, or of objects; vectors as a matrix."""
    if all(isinstance(target, np.ndarray) for target in targets):
        return np.stack(targets)
    kinds = {type(target) for target in targets}
    if len(kinds) == 1 and kinds <= {bool, int, float, str}:
        return np.array(targets)
    column = np.empty(len(targets), object)
    for index, target in enumerate(targets):  # one by one: numpy would unpack tuples
        column[index] = target
    return column
