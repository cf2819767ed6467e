# SPDX-License-Identifier: MIT
"""How architecture parameters give the entries of a derived cell.

Source: section 2.4 of https://arxiv.org/abs/1806.09055
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from pydarts.spaces.cell_checks import Entry
from pydarts.common.checks import show


def edges(nodes: int = 4, inputs: int = 2) -> tuple[tuple[int, int], ...]:
    """Return the edges of a search cell as (input, node) pairs, in the order of α's rows.

    Parameters
    ----------
    nodes
        Number of intermediate nodes.
    inputs
        Number of input nodes: 2 in the convolutional cell.

    Returns
    -------
    tuple of (int, int)
        ``nodes * inputs + nodes * (nodes - 1) / 2`` pairs, node by node. States are numbered from
        the inputs on, so the first intermediate node is number ``inputs``.

    Examples
    --------
    >>> edges(2)
    ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
    """
    return tuple((j, i) for i in range(inputs, inputs + nodes) for j in range(i))


def check_alphas(alphas: object, names: Sequence[str]) -> None:
    if not isinstance(alphas, Mapping) or set(alphas) != set(names):
        found = list(alphas) if isinstance(alphas, Mapping) else type(alphas).__name__
        cells = " and ".join(map(repr, names))
        arrays = "an array" if len(names) == 1 else "arrays"
        raise ValueError(f"`alphas` (={show(found)}) must map {cells} to {arrays}")


def derive_cell(
    name: str, alpha: object, operations: Sequence[str], inputs: int, keep: int
) -> list[Entry]:
    """Return the entries that one α matrix stands for, `keep` for each node."""
    try:
        array = np.asarray(alpha)
    except (TypeError, ValueError):
        raise ValueError(f"`{name}` (={show(alpha)}) must be an array of numbers") from None
    if array.dtype.kind not in "fiu":
        raise ValueError(f"`{name}` must be an array of real numbers, not of {array.dtype}")
    if array.ndim != 2 or array.shape[1] != len(operations):
        raise ValueError(
            f"`{name}` has shape {array.shape}, but must be (edges, {len(operations)}), "
            f"a column for each of {', '.join(operations)}"
        )
    counts = [inputs]  # edges of a cell of 1, 2, … nodes
    while counts[-1] < array.shape[0] or len(counts) < 5:
        counts.append(counts[-1] + inputs + len(counts))
    if array.shape[0] not in counts:
        raise ValueError(
            f"`{name}` has {array.shape[0]} rows, but a cell has "
            f"{', '.join(map(str, counts[:5]))}, … edges"
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
