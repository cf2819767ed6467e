# SPDX-License-Identifier: MIT
"""GAEA: mixing weights as parameters of their own, moved by exponentiated gradients.

Source: Li, Khodak, Balcan, Talwalkar, *Geometry-Aware Gradient Algorithms for Neural Architecture
Search*, ICLR 2021, https://arxiv.org/abs/2004.07802.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pydarts.common.checks import number
from pydarts.engine.network import Alphas
from pydarts.methods.adam import Adam
from pydarts.methods.mixture import MixtureMethod, Moment, softmax
from pydarts.spaces.space import Space


@dataclass(frozen=True, kw_only=True)
class Gaea(MixtureMethod):
    """``p <- p exp(-rate g)``, renormalised edge by edge; uniform at the start, at least `floor`.

    α is kept as ``log p``, whose softmax is p; there is neither Adam nor decay.

    Attributes
    ----------
    rate, floor : float
    """

    rate: float = 0.1
    floor: float = 1e-5

    def __post_init__(self) -> None:
        super().__post_init__()
        number("rate", self.rate, positive=True)
        number("floor", self.floor)

    @property
    def name(self) -> str:
        return "gaea"

    def start(self, alphas: Alphas) -> Alphas:
        return {name: np.zeros_like(a) for name, a in alphas.items()}

    def alpha_gradient(self, alphas: Alphas, d_mixing: Alphas, moment: Moment) -> Alphas:
        return d_mixing

    def update(self, alphas: Alphas, gradient: Alphas, adam: Adam, space: Space) -> Alphas:
        moved = {name: a - self.rate * gradient[name] for name, a in alphas.items()}
        found = {}
        for name, p in softmax(moved, space).items():
            exists = space.cell(name).exists(len(p))
            raised = np.where(exists, np.maximum(p, self.floor), 0.0)
            shares = raised / raised.sum(axis=1, keepdims=True)
            found[name] = np.log(np.where(exists, shares, 1.0))
        return found
