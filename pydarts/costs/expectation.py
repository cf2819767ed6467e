# SPDX-License-Identifier: MIT
"""The expected cost of a cell, with its gradient.

A cell is drawn with a probability proportional to the product of the weights of the operations that
it keeps, each to the power ``1 / temperature``. The cell of the largest product, which is the one
that α stands for, is drawn alone as the temperature falls to 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pydarts.costs.table import CostTable, Table
from pydarts.spaces.cell import Cell
from pydarts.spaces.space import Space

Array = NDArray[np.float64]


def allowed(cell: Cell) -> NDArray[np.bool_]:
    """Which entries of α stand for an operation that a discrete cell may hold."""
    found = np.zeros((len(cell.candidates), cell.columns), np.bool_)
    for row, operations in zip(found, cell.candidates, strict=True):
        for k, op in enumerate(operations):
            row[k] = cell.keeps_none or not op.is_none
    return found


def expected_cost(
    log_weights: Mapping[str, Any], space: Space, table: CostTable, temperature: float = 1.0
) -> tuple[float, Table]:
    """Return the expected cost, and its gradient with respect to the logarithms of the weights.

    With ``q_eo`` the softmax of ``log w_eo / temperature`` over the operations of an edge that a
    cell may hold, ``t_eo`` the table, and ``s_e`` the probability that an edge is kept, it is
    ``fixed + sum_e s_e sum_o q_eo t_eo``. A node keeps a set of its edges with a probability that
    is proportional to the product of ``sum_o w_eo ** (1 / temperature)``.

    Parameters
    ----------
    log_weights : mapping of str to ndarray
        By kind of cell, (edges, columns of α); of what a cell may not hold any value.
    space : Space
    table : CostTable
    temperature : float

    Returns
    -------
    float
    dict of ndarray
        In float64, in the shapes of `log_weights`.
    """
    total, gradients = table.fixed, {}
    for cell in space.cells:
        weights = np.asarray(log_weights[cell.name], np.float64) / temperature
        value, gradient = _of_cell(cell, weights, table.tables[cell.name])
        total += value
        gradients[cell.name] = gradient / temperature
    return float(total), gradients


def _of_cell(cell: Cell, logits: Array, costs: Array) -> tuple[float, Array]:
    masked = np.where(allowed(cell), logits, -np.inf)
    top = masked.max(axis=1, keepdims=True)
    odds = np.exp(masked - top)
    sums = odds.sum(axis=1, keepdims=True)
    q = odds / sums
    of_edges = (top + np.log(sums))[:, 0]  # the logarithm of an edge's weight
    means = (q * costs).sum(axis=1)
    total, gradient = 0.0, np.zeros_like(q)
    at = 0
    for node in range(cell.inputs, cell.inputs + cell.nodes):
        rows = slice(at, at + node)
        at += node
        sets = _sets(node, cell.kept(node))
        scores = sets @ of_edges[rows]
        odds_of_sets = np.exp(scores - scores.max())
        p = odds_of_sets / odds_of_sets.sum()
        cost_of_sets = sets @ means[rows]
        value = float(p @ cost_of_sets)
        kept = p @ sets
        d_edges = (p * (cost_of_sets - value)) @ sets
        within = kept[:, np.newaxis] * (costs[rows] - means[rows, np.newaxis])
        gradient[rows] = q[rows] * (d_edges[:, np.newaxis] + within)
        total += value
    return total, gradient


@lru_cache(maxsize=64)
def _sets(edges: int, kept: int) -> Array:
    """All sets of so many edges: rows of zeros and ones."""
    chosen = list(combinations(range(edges), kept))
    found = np.zeros((len(chosen), edges))
    for row, members in zip(found, chosen, strict=True):
        row[list(members)] = 1.0
    return found
