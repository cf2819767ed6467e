# SPDX-License-Identifier: MIT
"""Places in one static arena for blocks of memory that are used at different times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

_ALIGNMENT = 16  # bytes, of a vector of any small processor


class Block(NamedTuple):
    """Bytes that are in use from one time to another, both included."""

    size: int
    start: int
    end: int


class Layout(NamedTuple):
    """Where blocks begin, and the bytes that the arena takes."""

    offsets: tuple[int, ...]
    size: int


def plan(blocks: Sequence[Block]) -> Layout:
    """Return places such that no two blocks share a byte at one time.

    The largest goes first to the lowest place that is free for all its life; the same in the order
    of time; the smaller arena of the two is taken.

    Parameters
    ----------
    blocks : sequence of Block

    Returns
    -------
    Layout
    """
    indices = range(len(blocks))
    orders = (
        sorted(indices, key=lambda i: (-blocks[i].size, blocks[i].start)),
        sorted(indices, key=lambda i: (blocks[i].start, -blocks[i].size)),
    )
    return min((_placed(blocks, order) for order in orders), key=lambda layout: layout.size)


def _placed(blocks: Sequence[Block], order: Sequence[int]) -> Layout:
    offsets = [0] * len(blocks)
    placed: list[int] = []
    end = 0
    for i in order:
        block = blocks[i]
        rivals = sorted(
            (offsets[k], offsets[k] + blocks[k].size)
            for k in placed
            if blocks[k].start <= block.end and block.start <= blocks[k].end
        )
        at = 0
        for taken, free in rivals:
            if at + block.size <= taken:
                break
            at = max(at, -(-free // _ALIGNMENT) * _ALIGNMENT)
        offsets[i] = at
        placed.append(i)
        end = max(end, at + block.size)
    return Layout(tuple(offsets), end)
