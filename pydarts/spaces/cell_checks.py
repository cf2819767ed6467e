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


def _operation(name: str, value: object, known: Sequence[str]) -> str:
    if not isinstance(value, str):
        raise ArgumentError(name, f"(={show(value)}) must be the name of an operation")
    if value in known:
        return str(value)  # a plain string, whatever subclass it came as
    if value == "none":
        raise ArgumentError(name, "(='none') has no place in a derived cell")
    # The comparison is quadratic, and no name is near this length.
    close = difflib.get_close_matches(value, known, n=1) if len(value) <= 64 else []
    hint = f"did you mean {close[0]!r}?" if close else "known are " + ", ".join(known)
    raise ArgumentError(name, f"(={show(value)}) is an unknown operation; {hint}")


def check_entries(
    name: str, value: object, known: Sequence[str], inputs: int, per_node: int
) -> tuple[Entry, ...]:
    entries = _items(name, value)
    if not entries:
        raise ArgumentError(name, f"(={show(value)}) must not be empty")
    if len(entries) % per_node:
        raise ArgumentError(
            name,
            f"(={show(value)}) must have {per_node} entries for each node, but has {len(entries)}",
        )
    checked: list[Entry] = []
    for k, entry in enumerate(entries):
        at = f"{name}[{k}]"
        pair = _items(at, entry)
        if len(pair) != 2:
            raise ArgumentError(at, f"(={show(entry)}) must be an (operation, input) pair")
        op = _operation(f"{at}[0]", pair[0], known)
        source = integer_field(f"{at}[1]", pair[1])
        node = inputs + k // per_node
        if not 0 <= source < node:
            raise ValueError(
                f"`{at}[1]` (={show(source)}) must be an input before node {node}: 0 to {node - 1}"
            )
        checked.append((op, source))
    return tuple(checked)


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
