# SPDX-License-Identifier: MIT
"""The expected cost of a cell, with its gradient.

A cell is drawn with a probability proportional to the product of the weights of the operations that
it keeps, each to the power ``1 / temperature``. The cell of the largest product, which is the one
that α stands for, is drawn alone as the temperature falls to 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydarts import _core
from pydarts.costs.native import Table, joined, native, parted
from pydarts.costs.table import CostTable
from pydarts.spaces.space import Space


def expected_cost(
    log_weights: Mapping[str, Any], space: Space, table: CostTable, temperature: float = 1.0
) -> tuple[float, Table]:
    """Return the expected cost, and its gradient with respect to the logarithms of the weights.

    With ``q_eo`` the softmax of ``log w_eo / temperature`` over the operations of an edge that a
    cell may hold, ``t_eo`` the table, and ``s_e`` the probability that an edge is kept, it is
    ``fixed + sum_e s_e sum_o q_eo t_eo``. A node keeps a set of its edges with a probability that
    is proportional to the product of ``sum_o w_eo ** (1 / temperature)``. Where equal pools count
    once, each adds ``t_eo`` times the probability that it is kept and no earlier one of them is.

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
    logs = joined(space, log_weights)
    value, gradient = _core.expected_cost(native(space), logs, table.native(space), temperature)
    return value, parted(space, gradient)
