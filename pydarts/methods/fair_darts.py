# SPDX-License-Identifier: MIT
"""FairDARTS: operations that do not compete, each with a sigmoid of its own.

Source: Chu, Zhou, Zhang, Li, *Fair DARTS: Eliminating Unfair Advantages in Differentiable
Architecture Search*, ECCV 2020, https://arxiv.org/abs/1911.12126.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from pydarts.common.checks import number
from pydarts.engine.network import Alphas
from pydarts.methods.mixture import Mixture, MixtureMethod, Moment
from pydarts.methods.weighting import derive, mixing_weights
from pydarts.spaces.genotype import BaseGenotype
from pydarts.spaces.space import Space

#: Below this mixing weight the published rule leaves an operation out. Our cells always have all
#: their edges, so that it is told and not applied.
THRESHOLD: Final = 0.85


@dataclass(frozen=True, kw_only=True)
class FairDarts(MixtureMethod):
    """Minimise ``L_valid - decided mean((σ(α) - 1/2)²)`` with mixing weights ``σ(α)``.

    α starts at 0. The mean is over all operations of all kinds of cells. A cell is derived by σ:
    the strongest edges of a node, each with its strongest operation.

    Attributes
    ----------
    alpha_lr, alpha_betas
        As published; by name a method takes those of the search's configuration instead.
    decided : float
        Weight of the term that draws each mixing weight to 0 or 1.
    """

    alpha_lr: float = 3e-3
    alpha_betas: tuple[float, float] = (0.9, 0.999)
    decided: float = 10.0

    weighting: ClassVar[str] = "sigmoid"

    def __post_init__(self) -> None:
        super().__post_init__()
        number("decided", self.decided)

    @property
    def name(self) -> str:
        return "fair-darts"

    def start(self, alphas: Alphas) -> Alphas:
        return {name: np.zeros_like(a) for name, a in alphas.items()}

    def mixture(self, alphas: Alphas, moment: Moment) -> Mixture:
        return Mixture(mixing_weights(alphas, moment.space, self.weighting))

    def alpha_gradient(self, alphas: Alphas, d_mixing: Alphas, moment: Moment) -> Alphas:
        sigmoid = self.mixture(alphas, moment).mixing
        count = sum(int(cell.exists(len(alphas[cell.name])).sum()) for cell in moment.space.cells)
        return {
            name: (d_mixing[name] - self.decided * 2 * (s - 0.5) / count) * s * (1 - s)
            for name, s in sigmoid.items()
        }

    def select(self, alphas: Alphas, space: Space) -> BaseGenotype:
        return derive(alphas, space, self.weighting)
