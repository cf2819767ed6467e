# SPDX-License-Identifier: MIT
"""How architecture parameters give the entries of a derived cell.

Source: section 2.4 of https://arxiv.org/abs/1806.09055
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from pydarts.common.checks import show
from pydarts.common.errors import ArgumentError
from pydarts.spaces.cell_checks import Entry
from pydarts.spaces.space import edges


def check_alphas(alphas: object, names: Sequence[str]) -> None:
    if not isinstance(alphas, Mapping) or set(alphas) != set(names):
        found = list(alphas) if isinstance(alphas, Mapping) else type(alphas).__name__
        cells = " and ".join(map(repr, names))
        arrays = "an array" if len(names) == 1 else "arrays"
        raise ArgumentError("alphas", f"(={show(found)}) must map {cells} to {arrays}")


def derive_cell(
    name: str, alpha: object, operations: Sequence[str], inputs: int, keep: int
) -> list[Entry]:
    """Return the entries that one α matrix stands for, `keep` for each node."""
    try:
        array = np.asarray(alpha)
    except (TypeError, ValueError):
        raise ArgumentError(name, f"(={show(alpha)}) must be an array of numbers") from None
    if array.dtype.kind not in "fiu":
        raise ArgumentError(name, f"must be an array of real numbers, not of {array.dtype}")
    if array.ndim != 2 or array.shape[1] != len(operations):
        raise ArgumentError(
            name,
            f"has shape {array.shape}, but must be (edges, {len(operations)}), "
            f"a column for each of {', '.join(operations)}",
        )
    counts = [inputs]  # edges of a cell of 1, 2, … nodes
    while counts[-1] < array.shape[0] or len(counts) < 5:
        counts.append(counts[-1] + inputs + len(counts))
    if array.shape[0] not in counts:
        raise ArgumentError(
            name,
            f"has {array.shape[0]} rows, but a cell has {', '.join(map(str, counts[:5]))}, … edges",
        )
    nodes = counts.index(array.shape[0]) + 1
    pairs = edges(nodes, inputs)
    rows = array.astype(np.float64)
    if not np.isfinite(rows).all():
        edge, column = np.argwhere(~np.isfinite(rows))[0].tolist()
        raise ValueError(
            f"`{name}[{edge}, {column}]` (={rows[edge, column]}) must be finite "
            f"(edge {pairs[edge][0]}→{pairs[edge][1]}, {operations[column]})"
        )
    columns = [k for k, op in enumerate(operations) if op != "none"]
    best: list[tuple[float, str]] = []
    for row in rows.tolist():
        # max and sorted are stable, so ties fall to the earlier operation and edge.
        k = max(columns, key=row.__getitem__)
        top = row.index(max(row))
        rest = math.fsum(math.exp(a - row[top]) for i, a in enumerate(row) if i != top)
        best.append((row[k] - row[top] - math.log1p(rest), operations[k]))
    entries: list[Entry] = []
    for node in range(inputs, inputs + nodes):
        incoming = [(*best[e], j) for e, (j, i) in enumerate(pairs) if i == node]
        incoming.sort(key=lambda edge: -edge[0])
        entries += [(op, j) for _, op, j in incoming[:keep]]
    return entries
