# SPDX-License-Identifier: MIT
"""SmoothDARTS by random smoothing: weights that bear perturbed mixing weights.

Source: Chen, Hsieh, *Stabilizing Differentiable Architecture Search via Perturbation-based
Regularization*, ICML 2020, https://arxiv.org/abs/2002.05283.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pydarts.common.checks import number
from pydarts.engine.network import Alphas
from pydarts.methods.mixture import Mixture, MixtureMethod, Moment, softmax


@dataclass(frozen=True, kw_only=True)
class SmoothDarts(MixtureMethod):
    """The weights learn at ``clip(p + U(-ε, ε), 0, 1)``, each edge divided by its sum.

    ``ε = first + (last - first) t / T``; α learns at the unperturbed softmax p. An edge of which
    nothing is left has its largest operation before clipping alone.

    Attributes
    ----------
    first, last : float
    """

    first: float = 0.03
    last: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        number("first", self.first)
        number("last", self.last)

    @property
    def name(self) -> str:
        return "smooth-darts"

    def weights_mixture(self, alphas: Alphas, moment: Moment) -> Mixture:
        epsilon = self.first + (self.last - self.first) * moment.progress
        found = {}
        for name, p in softmax(alphas, moment.space).items():
            moved = p + moment.rng.uniform(-epsilon, epsilon, p.shape)
            found[name] = _normalised(np.where(p > 0, moved, -np.inf))
        return Mixture(found)


def _normalised(moved: NDArray[Any]) -> NDArray[Any]:
    clipped = np.clip(moved, 0.0, 1.0)
    total = clipped.sum(axis=1, keepdims=True)
    alone = np.arange(moved.shape[1]) == moved.argmax(axis=1)[:, np.newaxis]
    shares = clipped / np.where(total > 0, total, 1.0)
    found: NDArray[Any] = np.where(total > 0, shares, alone)
    return found
