# SPDX-License-Identifier: MIT
"""How architecture parameters give the entries of a derived cell.

Source: section 2.4 of https://arxiv.org/abs/1806.09055
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pydarts.common.checks import show
from pydarts.common.errors import ArgumentError
from pydarts.spaces.cell import Cell
from pydarts.spaces.cell_checks import Entry


def check_alphas(alphas: object, cells: Sequence[Cell]) -> None:
    names = [cell.name for cell in cells]
    known = {*names, *(cell.edge_group for cell in cells)}
    if not isinstance(alphas, Mapping) or not set(names) <= set(alphas) <= known:
        found = list(alphas) if isinstance(alphas, Mapping) else type(alphas).__name__
        wanted = " and ".join(map(repr, names))
        arrays = "an array" if len(names) == 1 else "arrays"
        raise ArgumentError("alphas", f"(={show(found)}) must map {wanted} to {arrays}")


def derive_cell(name: str, alpha: object, cell: Cell, beta: object = None) -> list[Entry]:
    """Return the entries that one α matrix stands for; with the edges' parameters β, if they have
    any: edges are then compared by the largest mixing weight times that of the edge.
    """
    array = _checked(name, alpha, cell)
    nodes = _count_nodes(name, array.shape[0], cell)
    pairs = cell.edges_of(nodes)
    rows = array.astype(np.float64)
    best: list[tuple[float, str]] = []
    for edge, ((source, node), row) in enumerate(zip(pairs, rows, strict=True)):
        operations = cell.candidates[edge if cell.differs_by_edge else 0]
        values = row[: len(operations)].tolist()
        if not np.isfinite(values).all():
            column = int(np.argmin(np.isfinite(values)))
            raise ValueError(
                f"`{name}[{edge}, {column}]` (={values[column]}) must be finite "
                f"(edge {source}→{node}, {operations[column].name})"
            )
        columns = [k for k, op in enumerate(operations) if cell.keeps_none or not op.is_none]
        # max and sorted are stable, so ties fall to the earlier operation and edge.
        k = max(columns, key=values.__getitem__)
        top = values.index(max(values))
        rest = math.fsum(math.exp(a - values[top]) for i, a in enumerate(values) if i != top)
        best.append((values[k] - values[top] - math.log1p(rest), operations[k].name))
    of_edges = None if beta is None else _checked_edges(beta, cell, nodes)
    entries: list[Entry] = []
    for node in range(cell.inputs, cell.inputs + nodes):
        incoming = [(*best[e], j) for e, (j, i) in enumerate(pairs) if i == node]
        if of_edges is not None:  # the softmax over the edges differs by a constant of the node
            own = of_edges[node - cell.inputs]
            incoming = [(score + own[j], op, j) for score, op, j in incoming]
        if cell.kept_edges is not None:
            incoming.sort(key=lambda edge: -edge[0])
        entries += [(op, j) for _, op, j in incoming[: cell.kept(node)]]
    return entries


def _checked(name: str, alpha: object, cell: Cell) -> NDArray[np.number]:
    try:
        array: NDArray[np.number] = np.asarray(alpha)
    except (TypeError, ValueError):
        raise ArgumentError(name, f"(={show(alpha)}) must be an array of numbers") from None
    if array.dtype.kind not in "fiu":
        raise ArgumentError(name, f"must be an array of real numbers, not of {array.dtype}")
    if array.ndim != 2 or array.shape[1] != cell.columns:
        columns = f"a column for each of {', '.join(cell.operations)}"
        if cell.differs_by_edge:
            columns = "as many columns as an edge has operations at most"
        raise ArgumentError(
            name, f"has shape {array.shape}, but must be (edges, {cell.columns}), {columns}"
        )
    return array


def _checked_edges(beta: object, cell: Cell, nodes: int) -> NDArray[np.float64]:
    name, shape = f"alphas[{cell.edge_group!r}]", (nodes, cell.inputs + nodes - 1)
    array = np.asarray(beta)
    if array.dtype.kind not in "fiu" or array.shape != shape:
        problem = f"must hold real numbers of shape {shape}, not {array.dtype} of {array.shape}"
        raise ArgumentError(name, problem)
    if not np.isfinite(array).all():
        raise ArgumentError(name, "holds a value that is not finite")
    return array.astype(np.float64)


def _count_nodes(name: str, rows: int, cell: Cell) -> int:
    counts = [cell.inputs]  # edges of a cell of 1, 2, … nodes
    while counts[-1] < rows or len(counts) < 5:
        counts.append(counts[-1] + cell.inputs + len(counts))
    if rows not in counts:
        raise ArgumentError(
            name, f"has {rows} rows, but a cell has {', '.join(map(str, counts[:5]))}, … edges"
        )
    nodes = counts.index(rows) + 1
    if cell.differs_by_edge and nodes != cell.nodes:
        problem = f"has {rows} rows, but the cell {cell.name!r} {len(cell.edges_of())} edges"
        raise ArgumentError(name, problem)
    return nodes
