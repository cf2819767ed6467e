# SPDX-License-Identifier: MIT
"""What tells how a search goes: entropy of the mixtures, skips, curvature by the alphas."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pydarts.engine.network import Alphas, Array
from pydarts.spaces.darts import Genotype
from pydarts.spaces.recurrent import RecurrentGenotype


def entropies(alphas: Alphas) -> dict[str, float]:
    """Of each group, the mean over its edges of the entropy of their mixture, in nats: from 0, one
    operation, to the logarithm of their number, all alike.
    """
    found = {}
    for name, group in alphas.items():
        odds = group.astype(np.float64) - group.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(odds).sum(axis=1))
        p = np.exp(odds - log_sum[:, np.newaxis])
        found[name] = float((log_sum - (p * odds).sum(axis=1)).mean())
    return found


def skips(genotype: Genotype | RecurrentGenotype) -> int:
    """How many operations are skips: of the normal cell, or identities of a recurrent cell."""
    if isinstance(genotype, Genotype):
        return sum(name == "skip_connect" for name, _ in genotype.normal)
    return sum(name == "identity" for name, _ in genotype.recurrent)


def dominant_eigenvalue(
    gradient: Callable[[Array], Array],
    alphas: Array,
    *,
    epsilon: float = 0.01,
    tolerance: float = 0.01,
    iterations: int = 30,
) -> float:
    """The eigenvalue of largest magnitude of the derivative of ``gradient`` at ``alphas``.

    By power iteration, ``v <- H v / ||H v||``, where ``H v`` is the central difference of the
    gradients at ``alphas +- epsilon v``; the value is the Rayleigh quotient ``v H v``. Where two
    eigenvalues are as large with opposite signs, it lies between them.

    Parameters
    ----------
    gradient : of a loss by the alphas, flat; must give the same for the same alphas.
    alphas : flat.
    tolerance : it ends when the quotient changes by less than this share of it.
    iterations : and after so many at the latest; each takes two gradients.
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
