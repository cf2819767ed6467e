# SPDX-License-Identifier: MIT
"""Columns of tokens, and the segments in which they are read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pydarts.common.checks import integer, number, show, token_array
from pydarts.common.errors import ArgumentError, ArgumentTypeError

Segment = tuple[NDArray[np.int32], NDArray[np.int32]]
"""Tokens (t, B), and those that follow them."""


def batchify(tokens: ArrayLike, batch_size: int, *, bptt: int = 1) -> NDArray[np.int32]:
    """Cut a stream of tokens into columns that are read side by side.

    Parameters
    ----------
    tokens : array-like of int, shape (N,)
        The stream.
    batch_size : int
        B, the number of columns.
    bptt : int
        Minimum number of predictions in each column.

    Returns
    -------
    ndarray of int32, shape (T, B)
        Column b holds tokens b·T to (b+1)·T − 1, with T = N // B; what remains is dropped.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong type or out of bounds, or a column would have fewer than
        `bptt` + 1 tokens, which are `bptt` predictions.
    """
    stream = token_array("tokens", tokens, 1)
    batch_size, bptt = integer("batch_size", batch_size, 1), integer("bptt", bptt, 1)
    rows = stream.size // batch_size
    if rows <= bptt:
        raise ArgumentError(
            "tokens",
            f"are {stream.size:,}, too few for `batch_size` (={batch_size}) columns of `bptt`"
            f" (={bptt}) + 1: that takes {batch_size * (bptt + 1):,}",
        )
    return np.ascontiguousarray(stream[: rows * batch_size].reshape(batch_size, rows).T)


def segments(
    columns: ArrayLike,
    bptt: int,
    rng: np.random.Generator | None = None,
    short_probability: float = 0.05,
    *,
    start: int = 0,
) -> Iterator[Segment]:
    """Go once through columns of tokens, in segments for truncated backpropagation through time.

    Parameters
    ----------
    columns : array-like of int, shape (T, B)
        As from `batchify`.
    bptt : int
        Steps of a segment.
    rng : numpy.random.Generator, optional
        If given, as in training, each segment has ``bptt // 2`` steps with the probability
        `short_probability`, so that segments do not end at the same places in every epoch; one
        number is drawn for each segment. If not, as in evaluation, all have `bptt`.
    short_probability : float
        See `rng`; between 0 and 1.
    start : int
        The row to begin with, to go on where a segment ended.

    Yields
    ------
    x, y : ndarray of int32, shape (t, B)
        Tokens, and those that follow them: y[k] is x[k+1]. Both are views of `columns`. The last
        segment is shorter if need be. In training no segment has a single step (unless `bptt` is
        1), as temporal activation regularisation (TAR) compares two; a single last step is dropped.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong type or out of bounds, at the call.

    Notes
    -----
    The gradient of a short segment is a mean over fewer steps and is taken more often, so the
    learning rate of its step is to be scaled by ``len(x) / bptt``. That is up to the caller, who
    has the learning rate.

    References
    ----------
    Merity, Keskar, Socher, *Regularizing and Optimizing LSTM Language Models*,
    https://arxiv.org/abs/1708.02182
    """
    table = token_array("columns", columns, 2)
    bptt, start = integer("bptt", bptt, 1), integer("start", start, 0)
    if rng is not None and not isinstance(rng, np.random.Generator):
        raise ArgumentTypeError("rng", f"(={show(rng)}) must be a numpy.random.Generator or None")
    probability = number("short_probability", short_probability)
    if probability > 1:
        raise ArgumentError("short_probability", f"(={probability}) must be at most 1")
    minimum = 1 if rng is None else min(2, bptt)
    if len(table) <= minimum:
        problem = f"has {len(table)} rows; segments need at least {minimum + 1}"
        raise ArgumentError("columns", problem)
    return _segments(table, bptt, rng, probability, minimum, start)


def _segments(
    columns: NDArray[np.int32],
    bptt: int,
    rng: np.random.Generator | None,
    short_probability: float,
    minimum: int,
    at: int,
) -> Iterator[Segment]:
    last = len(columns) - 1
    while last - at >= minimum:
        short = rng is not None and rng.random() < short_probability
        stop = min(at + (max(minimum, bptt // 2) if short else bptt), last)
        yield columns[at:stop], columns[at + 1 : stop + 1]
        at = stop


class Segments:
    """`segments` for training, epoch after epoch. An epoch can be resumed within it.

    Parameters
    ----------
    columns : ndarray of int32, shape (T, B)
        As from `batchify`.
    bptt : int
        Steps of a segment.
    rng : numpy.random.Generator
        Decides which segments are short.
    """

    def __init__(self, columns: NDArray[np.int32], bptt: int, rng: np.random.Generator):
        self._columns, self._bptt, self._rng, self._at = columns, bptt, rng, 0

    def epoch(self) -> Iterator[Segment]:
        """Yield the segments that are left of the present epoch."""
        for x, y in segments(self._columns, self._bptt, self._rng, start=self._at):
            self._at += len(x)
            yield x, y
        self._at = 0

    def endless(self) -> Iterator[tuple[bool, Segment]]:
        """Yield segments, epoch after epoch, and with each whether it is the first of an epoch."""
        while True:
            for segment in self.epoch():
                yield self._at == len(segment[0]), segment

    def state(self) -> dict[str, Any]:
        """Return how much of the present epoch is done."""
        return {"at": self._at}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self._at = state["at"]
