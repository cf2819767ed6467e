# SPDX-License-Identifier: MIT
"""Batches of images in random order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pydarts.common.errors import ArgumentError


def require_batch(count: int, batch_size: int, what: str) -> None:
    """Raise ArgumentError if the images do not fill one batch.

    Parameters
    ----------
    count : int
        Number of images.
    batch_size : int
        Number of images that a batch takes.
    what : str
        What the images are, for the message.
    """
    if count < batch_size:
        problem = f"(={batch_size}) is larger than {what}: {count} images"
        raise ArgumentError("batch_size", problem)


class Batches:
    """Full batches of indices in random order, epoch after epoch.

    The images that remain of an epoch are left out of it; which these are is drawn each time. An
    epoch can be resumed within it.

    Parameters
    ----------
    count : int
        Number of images.
    size : int
        Number of images in a batch.
    rng : numpy.random.Generator
        Decides the order, at the start of each epoch.
    part : int, optional
        Number of images of an epoch; by default all.
    """

    def __init__(self, count: int, size: int, rng: np.random.Generator, part: int | None = None):
        self._count, self._size, self._rng = count, size, rng
        self._end = count if part is None else part
        self._order, self._at = np.arange(count), 0

    def epoch(self) -> Iterator[NDArray[np.int64]]:
        """Yield the batches that are left of the present epoch."""
        if self._at == 0:
            self._order = self._rng.permutation(self._count)
        while self._at + self._size <= self._end:
            self._at += self._size
            yield self._order[self._at - self._size : self._at]
        self._at = 0

    def endless(self) -> Iterator[NDArray[np.int64]]:
        """Yield batches, epoch after epoch."""
        while True:
            yield from self.epoch()

    def state(self) -> dict[str, Any]:
        """Return the order of the present epoch, and how much of it is done."""
        return {"order": self._order, "at": self._at}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self._order, self._at = state["order"], state["at"]
