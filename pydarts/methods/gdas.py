# SPDX-License-Identifier: MIT
"""GDAS: one operation an edge, drawn by the Gumbel softmax, so that a step costs a fraction.

Source: Dong, Yang, *Searching for a Robust Neural Architecture in Four GPU Hours*, CVPR 2019,
https://arxiv.org/abs/1910.04465.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pydarts.common.checks import number
from pydarts.engine.network import Alphas
from pydarts.methods.mixture import Mixture, MixtureMethod, Moment, softmax


@dataclass(frozen=True, kw_only=True)
class Gdas(MixtureMethod):
    """With ``G = -log Exp(1)`` and ``q = softmax((log p + G) / τ)`` an edge is ``onehot(argmax q)``
    forward, and its gradient that of q.

    Only the drawn operations are computed, and they alone have a gradient. The temperature τ falls
    linearly from `hottest` to `coldest`.

    Attributes
    ----------
    hottest, coldest : float
    """

    hottest: float = 10.0
    coldest: float = 0.1

    weights_first: ClassVar[bool] = True
    no_perturbation: ClassVar[str | None] = (
        "its weights learn with one operation an edge, and never in the mixture of all from which"
        " one would be removed"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        number("hottest", self.hottest, positive=True, below=math.inf)
        number("coldest", self.coldest, positive=True, below=math.inf)

    @property
    def name(self) -> str:
        return "gdas"

    def mixture(self, alphas: Alphas, moment: Moment) -> Mixture:
        drawn = {name: _largest(q) for name, q in self._gumbel(alphas, moment).items()}
        return Mixture({name: a.astype(np.float64) for name, a in drawn.items()}, drawn)

    def alpha_gradient(self, alphas: Alphas, d_mixing: Alphas, moment: Moment) -> Alphas:
        # Of the logarithm of p, which differs from α by a constant of each edge: the gradient of
        # a softmax sums to zero over an edge, so that the constant has no part in it.
        found = {}
        for name, q in self._gumbel(alphas, moment).items():
            d = d_mixing[name] * _largest(q)
            found[name] = q * (d - (q * d).sum(axis=1, keepdims=True)) / self._temperature(moment)
        return found

    def _gumbel(self, alphas: Alphas, moment: Moment) -> Alphas:
        found = {}
        for name, p in softmax(alphas, moment.space).items():
            noise = -np.log(moment.rng.exponential(size=p.shape))
            with np.errstate(divide="ignore"):
                logits = (np.log(p) + noise) / self._temperature(moment)
            odds = np.exp(logits - logits.max(axis=1, keepdims=True))
            found[name] = odds / odds.sum(axis=1, keepdims=True)
        return found

    def _temperature(self, moment: Moment) -> float:
        share = moment.epoch / max(1, moment.epochs - 1)
        return self.hottest + (self.coldest - self.hottest) * share


def _largest(q: NDArray[Any]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = np.arange(q.shape[1]) == q.argmax(axis=1)[:, np.newaxis]
    return found
