# SPDX-License-Identifier: MIT
"""β-DARTS: a decay of the mixing weights, whose strength rises over the search.

Source: Ye, Li, Li, Chen, Fan, Ouyang, *β-DARTS: Beta-Decay Regularization for Differentiable
Architecture Search*, CVPR 2022, https://arxiv.org/abs/2203.01665.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydarts.common.checks import number
from pydarts.engine.network import Alphas
from pydarts.methods.mixture import MixtureMethod, Moment, softmax


@dataclass(frozen=True, kw_only=True)
class BetaDarts(MixtureMethod):
    """Minimise ``L_valid + λ(t) mean_e logsumexp(α_e)`` with ``λ(t) = decay t / T``.

    The mean is over the edges of all kinds of cells; its gradient is ``λ p_eo / E``.

    Attributes
    ----------
    decay : float
        λ at the end; 50 as published for NAS-Bench-201.
    """

    decay: float = 50.0

    def __post_init__(self) -> None:
        super().__post_init__()
        number("decay", self.decay)

    @property
    def name(self) -> str:
        return "beta-darts"

    def alpha_gradient(self, alphas: Alphas, d_mixing: Alphas, moment: Moment) -> Alphas:
        found = super().alpha_gradient(alphas, d_mixing, moment)
        assert found is not None
        p = softmax(alphas, moment.space)
        scale = self.decay * moment.progress / sum(map(len, alphas.values()))
        return {name: g + scale * p[name] for name, g in found.items()}
