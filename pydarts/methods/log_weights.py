# SPDX-License-Identifier: MIT
"""The logarithms of mixing weights by which cells are derived, and the way back through them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pydarts.engine.network import Alphas
from pydarts.methods.weighting import cell_weights
from pydarts.spaces.cell import Cell
from pydarts.spaces.space import Space


def log_weights(alphas: Mapping[str, Any], space: Space, weighting: str) -> Alphas:
    """Return the logarithm of the mixing weight of each operation, in float64.

    Where edges have weights of their own, of the operation's weight times that of the edge. A
    derived cell is the one whose operations have the largest sum.
    """
    found = {}
    for cell in space.cells:
        alpha = np.asarray(alphas[cell.name], np.float64)
        if weighting == "softmax":
            masked = np.where(cell.exists(len(alpha)), alpha, -np.inf)
            top = masked.max(axis=1, keepdims=True)
            logs = masked - top - np.log(np.exp(masked - top).sum(axis=1, keepdims=True))
        else:
            logs = -np.logaddexp(0.0, -alpha)
        if cell.edge_group in alphas:
            beta = np.asarray(alphas[cell.edge_group], np.float64)
            logs = logs + np.log(_of_edges(cell, cell.edge_weights(beta)))[:, np.newaxis]
        found[cell.name] = logs
    return found


def alpha_gradient(
    alphas: Mapping[str, Any], space: Space, weighting: str, gradient: Mapping[str, NDArray[Any]]
) -> Alphas:
    """Turn a gradient with respect to `log_weights` into one with respect to α."""
    found = {}
    for cell in space.cells:
        weights = cell_weights(cell, np.asarray(alphas[cell.name], np.float64), weighting)
        down = gradient[cell.name]
        if weighting == "softmax":
            found[cell.name] = down - weights * down.sum(axis=1, keepdims=True)
        else:
            found[cell.name] = np.where(cell.exists(len(down)), down * (1 - weights), 0.0)
        if cell.edge_group in alphas:
            q = cell.edge_weights(np.asarray(alphas[cell.edge_group], np.float64))
            of_edges = np.zeros_like(q)
            for row, (source, node) in enumerate(cell.edges_of()):
                of_edges[node - cell.inputs, source] = down[row].sum()
            found[cell.edge_group] = of_edges - q * of_edges.sum(axis=1, keepdims=True)
    return found


def _of_edges(cell: Cell, q: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weights of edges in the order of α's rows, from an array by node and input."""
    return np.array([q[node - cell.inputs, source] for source, node in cell.edges_of()])
