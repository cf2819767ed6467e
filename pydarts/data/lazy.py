# SPDX-License-Identifier: MIT
"""Arrays that are larger than memory: their items are read when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

Indices = NDArray[np.int64]
Read = Callable[[Indices], NDArray[Any]]

HELD_BYTES: Final = 1 << 27
"""Normalised images up to which they are held in memory, although they could be read again."""
CACHE_BYTES: Final = 1 << 28
"""Decoded items that a source keeps at most."""
_CHUNK_ITEMS: Final = 256
_CHUNK_VALUES: Final = 1 << 22


class LazyArray:
    """An array (N, ...) whose items are read when they are asked for.

    Parameters
    ----------
    read : callable
        Takes indices, int64 of shape (n,), and returns those items, (n, ...).
    shape : sequence of int
    dtype : dtype
    """

    def __init__(self, read: Read, shape: Sequence[int], dtype: DTypeLike):
        self._read, self.shape, self.dtype = read, tuple(map(int, shape)), np.dtype(dtype)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, item: Any) -> NDArray[Any]:
        """Read items: of a slice, of indices, of a mask, or a single one."""
        if isinstance(item, (int, np.integer)):
            one: NDArray[Any] = self._read(self._indices([item]))[0]
            return one
        return self._read(self._indices(item))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype)

    def take(self, item: Any) -> LazyArray:
        """Return some of the items, without reading them."""
        chosen = self._indices(item)
        shape = len(chosen), *self.shape[1:]
        return LazyArray(lambda i: self._read(chosen[i]), shape, self.dtype)

    def map(
        self,
        function: Callable[[NDArray[Any]], NDArray[Any]],
        shape: Sequence[int],
        dtype: DTypeLike,
    ) -> LazyArray:
        """Return what a function makes of some items at a time, each of a shape."""
        return LazyArray(lambda i: function(self._read(i)), (len(self), *shape), dtype)

    def chunks(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield all items, some at a time, and the index of the first."""
        return chunks(self)

    def _indices(self, item: Any) -> Indices:
        if isinstance(item, slice):
            return np.arange(*item.indices(len(self)), dtype=np.int64)
        chosen = np.asarray(item)
        if chosen.dtype == bool:
            if chosen.shape != (len(self),):
                raise IndexError(f"a mask of shape {chosen.shape} is not for {len(self)} items")
            return np.flatnonzero(chosen)
        chosen = chosen.astype(np.int64)
        chosen = np.where(chosen < 0, chosen + len(self), chosen)
        if chosen.size and not 0 <= chosen.min() <= chosen.max() < len(self):
            raise IndexError(f"an index is beyond the {len(self)} items")
        return chosen


def mapped(array: np.memmap[Any, Any]) -> LazyArray:
    """Return a memory-mapped array as one that is read by items, so that nothing copies it."""
    plain = np.asarray(array)

    def read(indices: Indices) -> NDArray[Any]:
        if len(indices) and (np.diff(indices) == 1).all():
            return plain[indices[0] : indices[-1] + 1]
        return plain[indices]

    return LazyArray(read, array.shape, array.dtype)


def chunks(array: NDArray[Any] | LazyArray) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield all items, some at a time, and the index of the first: the same ones of an array in
    memory and of one that is read lazily.
    """
    each = max(1, array.size // max(1, len(array)))
    step = max(1, min(_CHUNK_ITEMS, _CHUNK_VALUES // each))
    for start in range(0, len(array), step):
        yield start, array[start : start + step]


def take(array: NDArray[Any] | LazyArray, item: Any) -> Any:
    """Return some items of an array: of one that is read lazily, without reading them."""
    return array.take(item) if isinstance(array, LazyArray) else array[item]


class CachedItems:
    """Reads single items, and keeps as many as a number of bytes hold.

    The first ones that were read are kept: where every epoch reads all in another order, that finds
    as large a share of them as fits, and keeping the last ones would find none.

    Parameters
    ----------
    read : callable
        Takes an index and returns the item.
    limit : int
        Bytes.
    """

    def __init__(self, read: Callable[[int], NDArray[Any]], limit: int = CACHE_BYTES):
        self._read, self._left = read, limit
        self._kept: dict[int, NDArray[Any]] = {}

    def __call__(self, indices: Indices) -> NDArray[Any]:
        return np.stack([self._one(index) for index in indices.tolist()])

    def _one(self, index: int) -> NDArray[Any]:
        found = self._kept.get(index)
        if found is None:
            found = self._read(index)
            if found.nbytes <= self._left:
                self._left -= found.nbytes
                self._kept[index] = found
        return found
