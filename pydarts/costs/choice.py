# SPDX-License-Identifier: MIT
"""The likeliest cell whose cost lies between two bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pydarts import _core
from pydarts.costs.native import joined, native
from pydarts.costs.table import CostTable
from pydarts.spaces.darts import Genotype
from pydarts.spaces.space import Space


def least_cost(space: Space, table: CostTable) -> float:
    """Return the cost of the cheapest cells."""
    return _core.cost_range(native(space), table.native(space))[0]


def largest_cost(space: Space, table: CostTable) -> float:
    """Return the cost of the costliest cells; where equal pools count once, at least that."""
    return _core.cost_range(native(space), table.native(space))[1]


def choose_cell(
    values: Mapping[str, Any],
    space: Space,
    table: CostTable,
    least: float = 0.0,
    most: float = np.inf,
) -> Genotype | None:
    """Return the cells of the largest sum of values whose cost lies between two bounds.

    Found by dynamic programming over the costs, node by node. Costs are rounded up to a four
    thousandth of what `most` leaves for operations, so that neither bound is ever passed; of cells
    that are as close as that to a bound some may be missed. Where equal pools count once, costs are
    no sums over nodes, and a likelier cell with equal pools may be missed.

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
    of_engine = native(space), joined(space, values), table.native(space)
    return as_genotype(_core.choose_cell(*of_engine, least, most))


def as_genotype(text: str | None) -> Genotype | None:
    """Return the genotype that the engine wrote."""
    return None if text is None else Genotype.from_json(text)
