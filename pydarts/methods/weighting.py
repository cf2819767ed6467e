# SPDX-License-Identifier: MIT
"""How α becomes mixing weights, for all that looks at a search from outside: entropies, reports."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pydarts.engine.network import Alphas
from pydarts.spaces.cell import Cell
from pydarts.spaces.cell_checks import Entry
from pydarts.spaces.genotype import BaseGenotype
from pydarts.spaces.space import Space

#: What a method's attribute `weighting` may be: a softmax over the operations of each edge, or the
#: sigmoid of each entry of α.
WEIGHTINGS: Final = ("softmax", "sigmoid")

#: From this share of the largest possible entropy on, a choice by magnitude is close to chance. In
#: an edge of eight operations at 0.9 the strongest has some 38 % and the others 9 % each: there
#: another seed, or some more steps, often lets another one win.
NEARLY_UNIFORM: Final = 0.9


def weighting_of(method: object) -> str:
    """Return how a method makes mixing weights of α; one of the user's own need not say it."""
    found = str(getattr(method, "weighting", "softmax"))
    if found not in WEIGHTINGS:
        raise ValueError(f"the `weighting` (={found!r}) of a method must be one of {WEIGHTINGS}")
    return found


def cell_weights(cell: Cell, alpha: NDArray[Any], weighting: str) -> NDArray[np.float64]:
    """Return the mixing weights of one kind of cell, (..., edges, columns)."""
    if weighting == "softmax":
        return cell.mixing_weights(alpha)
    exists = cell.exists(alpha.shape[-2])
    # tanh does not overflow where the exponential would.
    sigmoid = 0.5 * (1 + np.tanh(0.5 * alpha.astype(np.float64)))
    found: NDArray[np.float64] = np.where(exists, sigmoid, 0.0)
    return found


def mixing_weights(alphas: Mapping[str, Any], space: Space, weighting: str) -> Alphas:
    """Return the mixing weights of all kinds of cells, in float64."""
    return {
        cell.name: cell_weights(cell, np.asarray(alphas[cell.name]), weighting)
        for cell in space.cells
    }


def derive(alphas: Mapping[str, Any], space: Space, weighting: str) -> BaseGenotype:
    """Return the cell of the largest mixing weights.

    Of each edge the largest that the cell may have, of each node the edges where that is largest;
    on ties the earlier operation and edge.
    """
    # A sigmoid rises with α itself, which does not round to 1.
    return space.derive(alphas) if weighting == "softmax" else largest_sum(alphas, space)


def largest_sum(values: Mapping[str, Any], space: Space) -> BaseGenotype:
    """Return the cell whose operations have the largest sum of values, (edges, columns) by kind of
    cell; on ties the earlier operation and edge.
    """
    fields: dict[str, Any] = {}
    for cell in space.cells:
        fields[cell.name] = _strongest(cell, np.asarray(values[cell.name], np.float64))
        if cell.output_field is not None:
            fields[cell.output_field] = range(cell.inputs, cell.inputs + cell.nodes)
    return space.genotype(space=space, **fields)


def _strongest(cell: Cell, values: NDArray[np.float64]) -> list[Entry]:
    edges = cell.edges_of()
    entries: list[Entry] = []
    for node in range(cell.inputs, cell.inputs + cell.nodes):
        incoming: list[tuple[float, str, int]] = []
        for row, (source, to) in enumerate(edges):
            if to == node:
                kept = candidates(cell, row)
                best = max(kept, key=lambda k, row=row: float(values[row, k]))  # type: ignore[misc]
                incoming.append((float(values[row, best]), kept[best], source))
        if cell.kept_edges is not None:
            incoming.sort(key=lambda edge: -edge[0])
        entries += [(op, source) for _, op, source in incoming[: cell.kept(node)]]
    return entries


def candidates(cell: Cell, row: int) -> dict[int, str]:
    """The operations that an edge of a discrete cell may have, by column."""
    operations = enumerate(cell.candidates[row])
    return {k: op.name for k, op in operations if cell.keeps_none or not op.is_none}


def entropy_share(alphas: Mapping[str, Any], space: Space, weighting: str) -> float:
    """Return the mean entropy of the mixing weights, as a share of that of a uniform choice.

    Over all edges that have a choice; where the weights of an edge do not sum to 1, of their shares
    in the sum. 0 where there is no choice.
    """
    shares = []
    for cell in space.cells:
        weights = cell_weights(cell, np.asarray(alphas[cell.name]), weighting)
        for row, operations in zip(entropy(weights), cell.candidates, strict=True):
            if len(operations) > 1:
                shares.append(row / math.log(len(operations)))
    return float(np.mean(shares)) if shares else 0.0


def entropy(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the entropy, in nats, of the shares of mixing weights in the sum of their edge."""
    shares = weights / weights.sum(axis=-1, keepdims=True)
    found: NDArray[np.float64] = -(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(axis=-1)
    return found
