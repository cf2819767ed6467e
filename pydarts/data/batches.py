# SPDX-License-Identifier: MIT
"""Batches of indices in random order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Batches:
    """Full batches of a random order, epoch after epoch; what is left of one waits for another."""

    def __init__(self, count: int, size: int, rng: np.random.Generator):
        self._count, self._size, self._rng = count, size, rng
        self._order, self._at = np.arange(count), 0

    def epoch(self) -> Iterator[NDArray[np.int64]]:
        """What is left of the present epoch."""
        if self._at == 0:
            self._order = self._rng.permutation(self._count)
        while self._at + self._size <= self._count:
            self._at += self._size
            yield self._order[self._at - self._size : self._at]
        self._at = 0

    def endless(self) -> Iterator[NDArray[np.int64]]:
        """Epoch after epoch."""
        while True:
            yield from self.epoch()

    def state(self) -> dict[str, Any]:
        return {"order": self._order, "at": self._at}

    def restore(self, state: dict[str, Any]) -> None:
        self._order, self._at = state["order"], state["at"]


def require_batch(count: int, batch_size: int, what: str) -> None:
    """Raise ValueError if `count` images do not fill one batch."""
    if count < batch_size:
        raise ValueError(f"`batch_size` (={batch_size}) is larger than {what}: {count} images")
