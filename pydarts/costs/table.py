# SPDX-License-Identifier: MIT
"""A cost that is a sum over the edges of a cell: what each operation of each edge adds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pydarts.costs.counts import count_network, count_operation
from pydarts.costs.shape import NetworkShape, Place, places, without_operations
from pydarts.spaces.cell import Cell
from pydarts.spaces.darts import Genotype
from pydarts.spaces.space import Space

_DRAWN = 100  # cells from which the table of the memory is fitted

Table = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class CostTable:
    """``fixed + sum of tables[cell][edge, operation]`` over the edges that a genotype keeps.

    Attributes
    ----------
    fixed : float
        Of stem, preprocessing and classifier.
    tables : dict of ndarray
        By kind of cell, (edges, columns of α), summed over all cells of the kind.
    """

    fixed: float
    tables: Table

    def predict(self, genotype: Any) -> float:
        """Return the cost of a genotype."""
        picked = (self.tables[cell][row, k] for cell, row, k in entries(genotype))
        return self.fixed + float(sum(picked))

    def scaled(self, factor: float) -> CostTable:
        """Return the table with all costs times a factor."""
        tables = {name: factor * table for name, table in self.tables.items()}
        return CostTable(factor * self.fixed, tables)


def entries(genotype: Any) -> Iterator[tuple[str, int, int]]:
    """Yield the kind of cell, edge and column of α of each operation of a genotype."""
    for cell in genotype.space.cells:
        edges = cell.edges_of()
        for op, source, node in genotype.kept(cell.name):
            row = edges.index((source, node))
            yield cell.name, row, column_of(cell, row, op)


def column_of(cell: Cell, row: int, operation: str) -> int:
    """The column of α of an operation of an edge."""
    return [op.name for op in cell.candidates[row]].index(operation)


def table_of(space: Space, shape: NetworkShape, cost: Callable[[str, Place], float]) -> Table:
    """Return the sums of a cost over the places of each operation: ``cost(cell, place)``."""
    found = {}
    for name, rows in places(space, shape).items():
        table = np.zeros((len(rows), max(map(len, rows))))
        for e, row in enumerate(rows):
            for k, where in enumerate(row):
                table[e, k] = sum(cost(name, place) for place in where)
        found[name] = table
    return found


def count_tables(space: Space, shape: NetworkShape) -> dict[str, CostTable]:
    """Return the tables of ``macs`` and ``weights``, which are exact."""
    operations = {op.name: op for cell in space.cells for row in cell.candidates for op in row}
    known: dict[Place, tuple[int, int, int]] = {}

    def cost(place: Place, k: int) -> float:
        if place not in known:
            known[place] = count_operation(operations[place.operation], place, space)
        return known[place][k]

    fixed = count_network(without_operations(space), shape)
    return {
        "macs": CostTable(fixed.macs, table_of(space, shape, lambda _, place: cost(place, 0))),
        "weights": CostTable(
            fixed.weights, table_of(space, shape, lambda _, place: cost(place, 1))
        ),
    }


def memory_table(space: Space, shape: NetworkShape) -> CostTable:
    """Return what the peak of memory is as a sum over edges, as far as it is one.

    It is a maximum and no sum: this is the least-squares fit of the exact ones of random cells, for
    the direction in which α is drawn. What a cell needs is counted.
    """
    drawn = [Genotype.random(seed, space=space) for seed in range(_DRAWN)]
    sizes = {cell.name: (len(cell.edges_of()), cell.columns) for cell in space.cells}
    starts, at = {}, 0
    for name, (rows, columns) in sizes.items():
        starts[name], at = at, at + rows * columns
    x = np.zeros((_DRAWN, at))
    for row, genotype in zip(x, drawn, strict=True):
        for name, e, k in entries(genotype):
            row[starts[name] + e * sizes[name][1] + k] += 1
    y = np.array([float(count_network(genotype, shape).memory) for genotype in drawn])
    mean, middle = y.mean(), x.mean(axis=0)
    centred = x - middle
    slope = np.linalg.solve(centred.T @ centred + np.eye(at), centred.T @ (y - mean))
    tables = {
        name: slope[starts[name] : starts[name] + rows * columns].reshape(rows, columns)
        for name, (rows, columns) in sizes.items()
    }
    return CostTable(float(mean - middle @ slope), tables)
