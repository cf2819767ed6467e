# SPDX-License-Identifier: MIT
"""The likeliest cell whose cost lies between two bounds."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pydarts.costs.expectation import allowed
from pydarts.costs.table import CostTable
from pydarts.spaces.darts import Genotype
from pydarts.spaces.space import Space

_BINS = 4000  # into which what is left of a limit is cut

#: Rows and columns of α.
Entries = tuple[tuple[int, int], ...]


class _Group(NamedTuple):
    """What is chosen together: the edges and operations of a node, or of one edge if all stay."""

    cell: str
    options: list[Entries]
    values: NDArray[np.float64]
    costs: NDArray[np.float64]


def least_cost(space: Space, table: CostTable) -> float:
    """Return the cost of the cheapest cells."""
    zeros = {name: np.zeros_like(a) for name, a in table.tables.items()}
    return table.fixed + sum(float(g.costs.min()) for g in _groups(space, zeros, table))


def largest_cost(space: Space, table: CostTable) -> float:
    """Return the cost of the costliest cells."""
    zeros = {name: np.zeros_like(a) for name, a in table.tables.items()}
    return table.fixed + sum(float(g.costs.max()) for g in _groups(space, zeros, table))


def choose_cell(
    values: Mapping[str, Any],
    space: Space,
    table: CostTable,
    least: float = 0.0,
    most: float = np.inf,
) -> Genotype | None:
    """Return the cells of the largest sum of values whose cost lies between two bounds.

    Found by dynamic programming over the costs, node by node. Costs are rounded up to a four
    thousandth of what `most` leaves for operations, so that it is never exceeded.

    Parameters
    ----------
    values : mapping of str to ndarray
        By kind of cell, (edges, columns of α), such as the logarithms of the mixing weights: then
        the cells without bounds are those that α stands for.
    space : Space
    table : CostTable
    least, most : float

    Returns
    -------
    Genotype or None
        None: there are no such cells.
    """
    groups = _groups(space, values, table)
    if most == np.inf:
        most = largest_cost(space, table)
    left = most - table.fixed
    if left < 0:
        return None
    lowest = sum(min(0.0, float(group.costs.min())) for group in groups)  # of a fitted table
    step = (left - lowest) / _BINS or 1.0
    best = np.full(_BINS + 1, -np.inf)
    best[0] = 0.0
    picks = []
    for group in groups:
        shift = group.costs - min(0.0, float(group.costs.min()))
        moved = np.ceil(shift / step - 1e-9).astype(np.int64)
        after = np.full_like(best, -np.inf)
        pick = np.zeros(_BINS + 1, np.int32)
        for k, (down, value) in enumerate(zip(moved.tolist(), group.values.tolist(), strict=True)):
            if down > _BINS:
                continue
            candidate = best[: _BINS + 1 - down] + value
            better = candidate > after[down:]
            after[down:][better] = candidate[better]
            pick[down:][better] = k
        best = after
        picks.append((pick, moved))
    # What was rounded up may lie below by as much as each group was.
    first = int(max(0.0, np.ceil((least - table.fixed - lowest) / step)))
    if first > _BINS or best[first:].max() == -np.inf:
        return None
    at = first + int(best[first:].argmax())
    chosen: dict[str, list[tuple[int, int]]] = {cell.name: [] for cell in space.cells}
    for group, (pick, moved) in zip(reversed(groups), reversed(picks), strict=True):
        k = int(pick[at])
        at -= int(moved[k])
        chosen[group.cell] += group.options[k]
    return _genotype(space, chosen, values)


def _genotype(
    space: Space, chosen: Mapping[str, list[tuple[int, int]]], values: Mapping[str, Any]
) -> Genotype:
    fields: dict[str, Any] = {}
    for cell in space.cells:
        edges = cell.edges_of()
        entries = []
        for node in range(cell.inputs, cell.inputs + cell.nodes):
            own = [(row, k) for row, k in chosen[cell.name] if edges[row][1] == node]
            own.sort()
            if cell.kept_edges is not None:  # the strongest first, as they are derived
                own.sort(key=lambda entry, cell=cell: -values[cell.name][entry])  # type: ignore[misc]
            entries += [(cell.candidates[row][k].name, edges[row][0]) for row, k in own]
        fields[cell.name] = entries
        if cell.output_field is not None:
            fields[cell.output_field] = range(cell.inputs, cell.inputs + cell.nodes)
    return Genotype(space=space, **fields)


def _groups(space: Space, values: Mapping[str, Any], table: CostTable) -> list[_Group]:
    found = []
    for cell in space.cells:
        may, v, c = allowed(cell), np.asarray(values[cell.name]), table.tables[cell.name]
        at = 0
        for node in range(cell.inputs, cell.inputs + cell.nodes):
            rows = range(at, at + node)
            at += node
            kept = cell.kept(node)
            sets = [tuple(chosen) for chosen in combinations(rows, kept)]
            for members in [sets] if kept < node else [[(row,)] for row in rows]:
                options: list[Entries] = []
                for own in members:
                    columns = [np.flatnonzero(may[row]).tolist() for row in own]
                    options += [tuple(zip(own, ks, strict=True)) for ks in product(*columns)]
                index = np.array(options)
                own_values = v[index[..., 0], index[..., 1]].sum(axis=1)
                own_costs = c[index[..., 0], index[..., 1]].sum(axis=1)
                found.append(_Group(cell.name, options, own_values, own_costs))
    return found
