# SPDX-License-Identifier: MIT
"""Diagnostics of a search: entropy of the mixtures and curvature with respect to α."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pydarts.engine.network import Alphas, Array
from pydarts.methods.weighting import entropy, mixing_weights
from pydarts.spaces.space import Space


def entropies(alphas: Alphas, space: Space, weighting: str = "softmax") -> dict[str, float]:
    """Return the mean entropy of the mixtures of each kind of cell's edges.

    Parameters
    ----------
    alphas : dict of str to ndarray
        Architecture parameters (edges, operations) by kind of cell.
    space : Space
        Of which they are.
    weighting : {"softmax", "sigmoid"}, optional
        How mixing weights are made of them. Of sigmoids the shares in the sum of an edge count.

    Returns
    -------
    dict of str to float
        In nats: from 0 (one operation) to the logarithm of the number of operations (all alike).
    """
    if weighting == "softmax":
        return _softmax_entropies(alphas, space)
    weights = mixing_weights(alphas, space, weighting)
    return {name: float(entropy(found).mean()) for name, found in weights.items()}


def _softmax_entropies(alphas: Alphas, space: Space) -> dict[str, float]:
    """By logarithms, which are exact where weights round to 0."""
    found = {}
    for cell in space.cells:
        if cell.name not in alphas:
            continue
        group = alphas[cell.name]
        present = cell.exists(len(group))
        shifted = group.astype(np.float64) - group.max(
            axis=1, keepdims=True, where=present, initial=-np.inf
        )
        odds = np.where(present, shifted, 0.0)
        log_sum = np.log(np.where(present, np.exp(odds), 0.0).sum(axis=1))
        p = np.where(present, np.exp(odds - log_sum[:, np.newaxis]), 0.0)
        found[cell.name] = float((log_sum - (p * odds).sum(axis=1)).mean())
    return found


def dominant_eigenvalue(
    gradient: Callable[[Array], Array],
    alphas: Array,
    *,
    epsilon: float = 0.01,
    tolerance: float = 0.01,
    iterations: int = 30,
) -> float:
    """Return the eigenvalue of largest magnitude of the derivative of ``gradient`` at ``alphas``.

    By power iteration, ``v <- H v / ||H v||``, where ``H v`` is the central difference of the
    gradients at ``alphas ± epsilon v``; the value is the Rayleigh quotient ``v H v``. If two
    eigenvalues are as large with opposite signs, it lies between them.

    Parameters
    ----------
    gradient : callable
        Maps flat architecture parameters to the flat gradient of a loss with respect to them;
        must return the same for the same parameters.
    alphas : ndarray
        Flat architecture parameters.
    epsilon : float, optional
    tolerance : float, optional
        The iteration ends when the quotient changes by less than this share of it.
    iterations : int, optional
        Maximum number of iterations, each of two gradients.

    Returns
    -------
    float
    """
    v: NDArray[np.float64] = np.random.default_rng(0).normal(size=alphas.size)
    before = math.inf
    for _ in range(iterations):
        v /= np.linalg.norm(v)
        move = epsilon * v
        product = (gradient(alphas + move) - gradient(alphas - move)) / (2 * epsilon)
        value = float(v @ product)
        if abs(value - before) <= tolerance * abs(value) or not product.any():
            break
        before, v = value, product
    return value
