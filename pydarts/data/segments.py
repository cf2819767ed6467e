# SPDX-License-Identifier: MIT
"""Columns of tokens, and the segments in which training reads them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pydarts.common.checks import integer, show, token_array
from pydarts.common.errors import ArgumentError, ArgumentTypeError


def batchify(tokens: ArrayLike, batch: int, *, bptt: int = 1) -> NDArray[np.int32]:
    """Cut a stream of tokens into columns that are read side by side.

    Parameters
    ----------
    tokens
        The stream, shape (tokens,).
    batch
        B, the number of columns.
    bptt
        Steps that each column must at least have room for.

    Returns
    -------
    ndarray of int32, shape (T, B)
        Column b holds tokens b·T to (b+1)·T − 1, with T = tokens // B; what remains is dropped.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong type or out of bounds, or a column would have less than
        `bptt` + 1 tokens, which are `bptt` predictions.
    """
    stream = token_array("tokens", tokens, 1)
    batch, bptt = integer("batch", batch, 1), integer("bptt", bptt, 1)
    rows = stream.size // batch
    if rows <= bptt:
        raise ArgumentError(
            "tokens",
            f"are {stream.size:,}, too few for `batch` (={batch}) columns of `bptt`"
            f" (={bptt}) + 1: that takes {batch * (bptt + 1):,}",
        )
    return np.ascontiguousarray(stream[: rows * batch].reshape(batch, rows).T)


def segments(
    columns: ArrayLike,
    bptt: int,
    rng: np.random.Generator | None = None,
    short_probability: float = 0.05,
    *,
    start: int = 0,
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """Go once through columns of tokens, in segments for truncated backpropagation.

    Parameters
    ----------
    columns
        (T, B), from `batchify`.
    bptt
        Steps of a segment.
    rng
        If given, as in training, each segment has ``bptt // 2`` steps with the probability
        `short_probability`, so that segments do not end at the same places in every epoch; one
        number is drawn for each segment. If not, as in evaluation, all have `bptt`.
    short_probability
        See `rng`.
    start
        The row to begin with, to go on where a segment ended.

    Yields
    ------
    x, y : ndarray of int32, shape (t, B)
        Tokens, and those that follow them: y[k] is x[k+1]. Both are views of `columns`. The last
        segment is shorter if need be; in training no segment has a single step (unless `bptt` is
        1), as temporal activation regularisation compares two, and a last step that is left alone is dropped.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong type or out of bounds, at the call.

    Notes
    -----
    A short segment's gradient is a mean over fewer steps and is taken more often, so the learning
    rate of its step is to be scaled by ``len(x) / bptt``. That is up to the caller, who has the
    learning rate.

    References
    ----------
    Merity, Keskar, Socher, *Regularizing and Optimizing LSTM Language Models*,
    https://arxiv.org/abs/1708.02182
    """
    table = token_array("columns", columns, 2)
    bptt = integer("bptt", bptt, 1)
    if rng is not None and not isinstance(rng, np.random.Generator):
        raise ArgumentTypeError("rng", f"(={show(rng)}) must be a numpy.random.Generator or None")
    if isinstance(short_probability, bool) or not isinstance(
        short_probability, (int, float, np.integer, np.floating)
    ):
        raise ArgumentTypeError(
            "short_probability", f"(={show(short_probability)}) must be a number"
        )
    if not 0 <= short_probability <= 1:
        raise ArgumentError("short_probability", f"(={short_probability}) must lie in [0, 1]")
    least = 1 if rng is None else min(2, bptt)
    if len(table) <= least:
        raise ArgumentError("columns", f"has {len(table)} rows; segments need at least {least + 1}")
    start = integer("start", start, 0)
    return _segments(table, bptt, rng, float(short_probability), least, start)


def _segments(
    columns: NDArray[np.int32],
    bptt: int,
    rng: np.random.Generator | None,
    short_probability: float,
    least: int,
    at: int,
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    last = len(columns) - 1
    while last - at >= least:
        short = rng is not None and rng.random() < short_probability
        stop = min(at + (max(least, bptt // 2) if short else bptt), last)
        yield columns[at:stop], columns[at + 1 : stop + 1]
        at = stop


Segment = tuple[NDArray[np.int32], NDArray[np.int32]]


class Segments:
    """`segments` for training, epoch after epoch, that can be taken up in the middle of one."""

    def __init__(self, columns: NDArray[np.int32], bptt: int, rng: np.random.Generator):
        self._columns, self._bptt, self._rng, self._at = columns, bptt, rng, 0

    def epoch(self) -> Iterator[Segment]:
        """What is left of the present epoch."""
        for x, y in segments(self._columns, self._bptt, self._rng, start=self._at):
            self._at += len(x)
            yield x, y
        self._at = 0

    def endless(self) -> Iterator[tuple[bool, Segment]]:
        """Epoch after epoch; tells with each segment whether it is the first of one."""
        while True:
            for segment in self.epoch():
                yield self._at == len(segment[0]), segment

    def state(self) -> dict[str, Any]:
        return {"at": self._at}

    def restore(self, state: dict[str, Any]) -> None:
        self._at = state["at"]
