# SPDX-License-Identifier: MIT
"""A layered layout of a graph with labelled edges, from left to right.

The layout is the classical one of Sugiyama, Tagawa, Toda (1981). States stand in columns by their
depth, and every label is an item of its own in the column before its edge's target; an edge that
crosses a column has a dummy item there too. Items of one column never overlap, and edges bend only
between columns, so no label can cover another, and no edge can run through a label or a state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple

_STATE: Final = 34.0  # height of a state, width of a node
_END: Final = 52.0  # width of an input and of the output
_LABEL: Final = 22.0  # height of a label
_CHARACTER: Final = 7.25  # width of one character of a label: 0.6 em of 12 px
_PORT: Final = 9.0  # distance of the edges at a state
_SWEEPS: Final = 24

Link = tuple[str | None, int, int]  # label, source, target


@dataclass
class Item:
    """What takes up room in a column: a state, a label, or a dummy of an edge passing through."""

    column: int
    width: float
    height: float
    kind: str  # "end", "node", "label" or "dummy"
    before: list[int] = field(default_factory=list)
    after: list[int] = field(default_factory=list)
    x: float = 0.0  # of the centre
    y: float = 0.0
    rank: int = 0


@dataclass
class Edge:
    """The items from one state to another, and the heights at which it leaves and enters them."""

    label: str | None
    path: list[int]
    start: float = 0.0
    stop: float = 0.0


class Layout(NamedTuple):
    """The items, of which the states are the first; the edges; the left and right of each column.

    The top left corner is the origin.
    """

    items: list[Item]
    edges: list[Edge]
    columns: list[tuple[float, float]]


def layered_layout(inputs: int, nodes: int, links: Sequence[Link]) -> Layout:
    """Place the states of a graph and the labels of its edges.

    Parameters
    ----------
    inputs, nodes : int
        Numbers of states: the first are inputs, then come the nodes, and the last is the output.
    links : sequence of (str or None, int, int)
        Label, source and target of each edge. Sources come before their targets.

    Returns
    -------
    Layout
    """
    output = inputs + nodes
    # States and labels stand in columns by turns, but an edge without a label needs no column.
    columns = [0] * (output + 1)
    for label, source, target in links:
        columns[target] = max(columns[target], columns[source] + (2 if label else 1))
    columns[output] = max(columns[:output]) + 1
    items = [
        Item(column, _STATE, _STATE, "node")
        if inputs <= state < output
        else Item(column, _END, _STATE, "end")
        for state, column in enumerate(columns)
    ]
    edges: list[Edge] = []
    for label, source, target in links:
        path = [source]
        for column in range(columns[source] + 1, columns[target]):
            path.append(len(items))
            if label and column == columns[target] - 1:
                items.append(Item(column, len(label) * _CHARACTER + 14, _LABEL, "label"))
            else:
                items.append(Item(column, 0.0, 0.0, "dummy"))
        path.append(target)
        for a, b in pairwise(path):
            items[a].after.append(b)
            items[b].before.append(a)
        edges.append(Edge(label, path))
    for state in items[: output + 1]:
        ports = max(len(state.before), len(state.after))
        state.height = max(_STATE, _PORT * ports + 8.0)
    order: list[list[int]] = [[] for _ in range(columns[output] + 1)]
    for index, item in enumerate(items):
        order[item.column].append(index)
    order = _reduce_crossings(items, order)
    _assign_heights(items, order)
    bounds = _assign_columns(items, order)
    _assign_ports(items, edges)
    return Layout(items, edges, bounds)


def _rank(items: list[Item], order: list[list[int]]) -> None:
    for column in order:
        for rank, index in enumerate(column):
            items[index].rank = rank


def _inversions(items: list[Item], above: list[int], below: list[int]) -> int:
    """Crossings of the edges of two items, when the first is above the second."""
    return sum(items[a].rank > items[b].rank for a in above for b in below)


def _crossings(items: list[Item], order: list[list[int]]) -> int:
    return sum(
        _inversions(items, items[a].after, items[b].after)
        for column in order
        for k, a in enumerate(column)
        for b in column[k + 1 :]
    )


def _reduce_crossings(items: list[Item], order: list[list[int]]) -> list[list[int]]:
    """Order each column so that few edges cross: barycentres, then swaps of neighbours."""
    _rank(items, order)
    best, fewest = [list(column) for column in order], _crossings(items, order)
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        for column in order[1:] if forward else order[-2:0:-1]:  # the inputs keep their order
            keys = {}
            for index in column:
                item = items[index]
                near = item.before if forward else item.after
                mean = sum(items[n].rank for n in near) / len(near) if near else item.rank
                keys[index] = (mean, item.rank)
            column.sort(key=keys.__getitem__)
            _rank(items, [column])
        count = _crossings(items, order)
        if count < fewest:
            best, fewest = [list(column) for column in order], count
    _rank(items, best)
    improved = True
    while improved:
        improved = False
        for column in best[1:]:
            for k in range(len(column) - 1):
                a, b = items[column[k]], items[column[k + 1]]
                now = _inversions(items, a.before, b.before) + _inversions(items, a.after, b.after)
                then = _inversions(items, b.before, a.before) + _inversions(items, b.after, a.after)
                if then < now:
                    column[k], column[k + 1] = column[k + 1], column[k]
                    a.rank, b.rank = b.rank, a.rank
                    improved = True
    return best


def _minimum_distance(a: Item, b: Item) -> float:
    """Of the centres of two neighbours in a column."""
    gap = 12.0 if "dummy" in (a.kind, b.kind) else 8.0 if "label" in (a.kind, b.kind) else 18.0
    return (a.height + b.height) / 2 + gap


def _isotonic_regression(wanted: list[float], weights: list[float]) -> list[float]:
    """Return the non-decreasing numbers nearest to `wanted` in weighted least squares."""
    blocks: list[list[float]] = []  # mean, weight, length
    for value, weight in zip(wanted, weights, strict=True):
        blocks.append([value, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, total, length = blocks.pop()
            last = blocks[-1]
            last[0] = (last[0] * last[1] + mean * total) / (last[1] + total)
            last[1] += total
            last[2] += length
    return [mean for mean, _, length in blocks for _ in range(int(length))]


def _assign_heights(items: list[Item], order: list[list[int]]) -> None:
    offsets: list[list[float]] = []
    for column in order:
        offset = [0.0]
        for a, b in pairwise(column):
            offset.append(offset[-1] + _minimum_distance(items[a], items[b]))
        offsets.append(offset)
        for index, y in zip(column, offset, strict=True):
            items[index].y = y - offset[-1] / 2
    # Edges pull their ends to one height, those that only pass through the most: long edges
    # become straight. Each column is solved exactly, with its neighbours held.
    for sweep in range(4 * _SWEEPS):
        for c in range(len(order)) if sweep % 2 else reversed(range(len(order))):
            wanted, weights = [], []
            for index, offset_ in zip(order[c], offsets[c], strict=True):
                item = items[index]
                total, mass = 0.0, 0.0
                for n in item.before + item.after:
                    pull = (1.0, 2.0, 16.0)[(item.kind == "dummy") + (items[n].kind == "dummy")]
                    total += pull * items[n].y
                    mass += pull
                wanted.append((total / mass if mass else item.y) - offset_)
                weights.append(mass or 1e-3)
            for index, base, offset_ in zip(
                order[c], _isotonic_regression(wanted, weights), offsets[c], strict=True
            ):
                items[index].y = base + offset_
    top = min(item.y - item.height / 2 for item in items)
    for item in items:
        item.y -= top


def _assign_columns(items: list[Item], order: list[list[int]]) -> list[tuple[float, float]]:
    """Set where items are from left to right; return the columns' left and right."""
    bounds: list[tuple[float, float]] = []
    x = 0.0
    for c, column in enumerate(order):
        width = max(items[index].width for index in column)
        if c:
            # Steep edges need room to bend in.
            steepest = max(
                (abs(items[i].y - items[n].y) for i in column for n in items[i].before), default=0.0
            )
            x += min(max(0.4 * steepest, 30.0), 90.0)
        for index in column:
            items[index].x = x + width / 2
        bounds.append((x, x + width))
        x += width
    return bounds


def _assign_ports(items: list[Item], edges: list[Edge]) -> None:
    """Set the heights at which edges leave and enter states, in the order of where they lead."""
    for end, neighbour, attribute in ((0, 1, "start"), (-1, -2, "stop")):
        groups: dict[int, list[Edge]] = {}
        for edge in edges:
            groups.setdefault(edge.path[end], []).append(edge)
        for state, group in groups.items():
            group.sort(key=lambda edge: items[edge.path[neighbour]].y)
            for k, edge in enumerate(group):
                y = items[state].y + _PORT * (k - (len(group) - 1) / 2)
                setattr(edge, attribute, y)
