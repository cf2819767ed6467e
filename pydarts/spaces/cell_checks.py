# SPDX-License-Identifier: MIT
"""Checks of a genotype's fields, for either kind of cell."""

from __future__ import annotations

import difflib
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from pydarts.common.checks import show
from pydarts.common.errors import ArgumentError
from pydarts.spaces.cell import Cell

Entry = tuple[str, int]


def _items(name: str, value: object) -> list[Any]:
    if isinstance(value, (str, bytes, bytearray)) or not isinstance(value, (Sequence, np.ndarray)):
        raise ArgumentError(name, f"(={show(value)}) must be a sequence")
    if isinstance(value, np.ndarray) and value.ndim == 0:
        raise ArgumentError(name, f"(={show(value)}) must be a sequence")
    return list(value)


def integer_field(name: str, value: object) -> int:
    if not isinstance(value, (bool, np.bool_)):
        try:
            return operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            pass
    raise ArgumentError(name, f"(={show(value)}) must be an integer")


def _operation(name: str, value: object, cell: Cell, source: int, node: int) -> str:
    if not isinstance(value, str):
        raise ArgumentError(name, f"(={show(value)}) must be the name of an operation")
    known = cell.known_operations(source, node)
    if value in known:
        return str(value)  # a plain string, whatever subclass it came as
    if value == "none":
        raise ArgumentError(name, "(='none') has no place in a derived cell")
    # The comparison is quadratic, and no name is near this length.
    close = difflib.get_close_matches(value, known, n=1) if len(value) <= 64 else []
    hint = f"did you mean {close[0]!r}?" if close else "known are " + ", ".join(known)
    raise ArgumentError(name, f"(={show(value)}) is an unknown operation; {hint}")


def check_entries(cell: Cell, value: object) -> tuple[Entry, ...]:
    """Return the (operation, input) pairs of a cell as tuples, or raise an error that names one."""
    name, entries = cell.name, _items(cell.name, value)
    if not entries:
        raise ArgumentError(name, f"(={show(value)}) must not be empty")
    nodes = cell.nodes_of_entries(len(entries))
    if nodes is None or (cell.differs_by_edge and nodes[-1] >= cell.inputs + cell.nodes):
        raise ArgumentError(name, f"(={show(value)}) {_wanted(cell)}, but has {len(entries)}")
    checked: list[Entry] = []
    for k, (entry, node) in enumerate(zip(entries, nodes, strict=True)):
        at = f"{name}[{k}]"
        pair = _items(at, entry)
        if len(pair) != 2:
            raise ArgumentError(at, f"(={show(entry)}) must be an (operation, input) pair")
        source = integer_field(f"{at}[1]", pair[1])
        if not 0 <= source < node:
            problem = f"(={show(source)}) must be an input before node {node}: 0 to {node - 1}"
            raise ArgumentError(f"{at}[1]", problem)
        op = _operation(f"{at}[0]", pair[0], cell, source, node)
        if cell.kept_edges is None and source != k - nodes.index(node):
            problem = f"(={show(source)}) must be {k - nodes.index(node)}: all edges are kept"
            raise ArgumentError(f"{at}[1]", f"{problem}, in their order")
        checked.append((op, source))
    return tuple(checked)


def _wanted(cell: Cell) -> str:
    if cell.differs_by_edge:
        return f"must have the entries of {cell.nodes} nodes"
    if cell.kept_edges is None:
        return "must have an entry for every edge"
    if cell.kept_edges <= cell.inputs:
        return f"must have {cell.kept_edges} entries for each node"
    return f"must have up to {cell.kept_edges} entries for each node, as many as it has inputs"


def check_concat(name: str, value: object, nodes: range) -> tuple[int, ...]:
    indices = _items(name, value)
    if not indices:
        raise ArgumentError(name, f"(={show(value)}) must not be empty")
    checked: list[int] = []
    seen: set[int] = set()
    for k, item in enumerate(indices):
        index = integer_field(f"{name}[{k}]", item)
        if index not in nodes:
            raise ValueError(
                f"`{name}[{k}]` (={show(index)}) must be one of the nodes {nodes[0]} to {nodes[-1]}"
            )
        if index in seen:
            raise ArgumentError(name, f"(={show(value)}) has node {index} twice")
        seen.add(index)
        checked.append(index)
    return tuple(checked)
