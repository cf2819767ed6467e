# SPDX-License-Identifier: MIT
"""What the scores of some cells say of the others: a linear model of operations on edges.

Predictors of this kind guide a search from cell to cell, as in Liu et al., *Progressive Neural
Architecture Search*, ECCV 2018, https://arxiv.org/abs/1712.00559, and White, Neiswanger, Savani,
*BANANAS*, AAAI 2021, https://arxiv.org/abs/1910.11858; that a draw of the posterior decides what is
tried next is Thompson sampling (https://arxiv.org/abs/1707.02038).
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pydarts.engine.network import Alphas
from pydarts.spaces.genotype import BaseGenotype
from pydarts.spaces.space import Space

Array = NDArray[np.float64]

#: What of the variance of scores the model may explain, and what of this goes by the operation
#: alone, wherever it is: all pairs are weighed by how well they explain the scores.
_EXPLAINED: Final = (0.1, 0.3, 0.5, 0.7, 0.9)
_BY_OPERATION: Final = (0.25, 0.5, 0.75, 0.95)
#: Mean and standard deviation of what a nat of a mixing weight's logarithm is taken to be worth, in
#: standard deviations of scores, before any is known.
_OF_WEIGHTS: Final = 0.1
#: Logarithms of mixing weights below the largest of their edge by more than this count as this.
_LOWEST: Final = -10.0


class ScoreModel:
    """Bayesian linear regression of scores on the operations that a cell has on its edges.

    ``s(cell) = μ + Σ θ[edge, operation] + ε``, the sum over the edges that the cell keeps, where s
    are the normal scores of the ranks of all that was measured, so that neither their scale nor
    cells that fail altogether matter. ``θ[edge, operation]`` is the sum of a part of the operation,
    the same on all edges of all kinds of cells, of one of its own, and of ``c log m``, with the
    mixing weights m. All parts and ε are normal, c with mean and standard deviation .1; how large
    the others are is drawn by their evidence.

    Parameters
    ----------
    space : Space
    cells : sequence of BaseGenotype
        Some that were drawn at random: what they differ in is the scale of the prior.
    logs : mapping of str to ndarray
        Logarithms of mixing weights, by kind of cell: (edges, columns).
    """

    def __init__(self, space: Space, cells: Sequence[BaseGenotype], logs: Alphas):
        self._shapes = {cell.name: logs[cell.name].shape for cell in space.cells}
        self._column = {
            (cell.name, op.name, source, node): (row, column)
            for cell in space.cells
            for row, (source, node) in enumerate(cell.edges_of())
            for column, op in enumerate(cell.candidates[row])
        }
        shared, own, weights = _directions(space, logs)
        features = self._features(cells)
        features -= features.mean(axis=0)
        self._parts = [_scaled(part, features) for part in (shared, own)]
        self._weights = weights

    def draw(
        self, cells: Sequence[BaseGenotype], scores: Sequence[float], rng: np.random.Generator
    ) -> Alphas:
        """Draw θ from its posterior.

        Parameters
        ----------
        cells : sequence of BaseGenotype
            That were measured.
        scores : sequence of float
            Of these, higher is better.
        rng : numpy.random.Generator

        Returns
        -------
        mapping of str to ndarray
            By kind of cell, (edges, columns). The cell of the largest sum is the best by this draw.
        """
        features = self._features(cells)
        features -= features.mean(axis=0)
        y = normal_scores(scores) - features @ self._weights
        of_weights = np.outer(features @ self._weights, features @ self._weights)
        shared, own = ((features @ part) @ (features @ part).T for part in self._parts)
        pairs = [(h, s) for h in _EXPLAINED for s in _BY_OPERATION]
        kernels = [
            h * (s * shared + (1 - s) * own) + of_weights + (1 - h) * np.eye(len(y))
            for h, s in pairs
        ]
        evidence = np.array([_evidence(kernel, y) for kernel in kernels])
        likely = np.exp(evidence - evidence.max())
        chosen = int(rng.choice(len(pairs), p=likely / likely.sum()))
        h, s = pairs[chosen]
        parts = [np.sqrt(h * share) * p for share, p in zip((s, 1 - s), self._parts, strict=True)]
        basis = np.hstack([*parts, self._weights[:, np.newaxis]])
        # A draw of the prior, corrected by what it misses of the scores (Matheron's rule).
        prior = basis @ rng.standard_normal(basis.shape[1])
        noise = np.sqrt(1 - h) * rng.standard_normal(len(y))
        missed = np.linalg.solve(kernels[chosen], y - features @ prior - noise)
        theta = self._weights + prior + basis @ (basis.T @ (features.T @ missed))
        return self._by_cell(theta)

    def _features(self, cells: Sequence[BaseGenotype]) -> Array:
        """One row a cell, with 1 at each operation that it has."""
        rows = []
        for genotype in cells:
            found = {name: np.zeros(shape) for name, shape in self._shapes.items()}
            for name, row in found.items():
                for op, source, node in genotype.kept(name):
                    row[self._column[name, op, source, node]] = 1.0
            rows.append(np.concatenate([row.ravel() for row in found.values()]))
        return np.array(rows)

    def _by_cell(self, theta: Array) -> Alphas:
        found, start = {}, 0
        for name, shape in self._shapes.items():
            end = start + int(np.prod(shape))
            found[name] = theta[start:end].reshape(shape)
            start = end
        return found


def normal_scores(scores: Sequence[float]) -> Array:
    """Return the quantiles of a normal distribution that the ranks of scores stand for.

    ``Φ⁻¹((r - ½) / n)`` with the ranks r from 1, of equals their mean; what is no number is the
    worst.
    """
    values = np.asarray(scores, np.float64)
    ranks = middle_ranks(np.where(np.isnan(values), -np.inf, values))
    quantile = NormalDist().inv_cdf
    return np.array([quantile(float(q)) for q in ranks / len(values)])


def middle_ranks(values: Array) -> Array:
    """Return ``r - ½`` with the ranks r from 1, of equals their mean."""
    below = (values[:, np.newaxis] > values).sum(axis=1)
    equal = (values[:, np.newaxis] == values).sum(axis=1)
    return np.asarray(below + equal / 2)


def _directions(space: Space, logs: Alphas) -> tuple[Array, Array, Array]:
    """What θ may vary by: each operation, each entry, and the mixing weights."""
    names = sorted({op for cell in space.cells for op in cell.operations})
    entries = []
    weights = []
    for cell in space.cells:
        log = np.asarray(logs[cell.name], np.float64)
        exists = cell.exists(len(log))
        floored = np.maximum(log - log.max(axis=1, keepdims=True), _LOWEST)
        mean = np.where(exists, floored, 0.0).sum(axis=1) / exists.sum(axis=1)
        weights.append(np.where(exists, floored - mean[:, np.newaxis], 0.0).ravel())
        for operations in cell.candidates:
            padded = [op.name for op in operations] + [""] * (cell.columns - len(operations))
            entries += padded
    shared = np.array([[entry == name for name in names] for entry in entries], np.float64)
    return shared, np.eye(len(entries)), _OF_WEIGHTS * np.concatenate(weights)


def _scaled(part: Array, features: Array) -> Array:
    """The directions of a part, so that it gives cells a variance of 1."""
    variance = float(((features @ part) ** 2).sum(axis=1).mean())
    return part / np.sqrt(variance) if variance > 0 else 0 * part


def _evidence(kernel: Array, y: Array) -> float:
    """The logarithm of the density of y, but for a constant."""
    lower = np.linalg.cholesky(kernel)
    return float(-0.5 * (np.linalg.solve(lower, y) ** 2).sum() - np.log(np.diag(lower)).sum())
