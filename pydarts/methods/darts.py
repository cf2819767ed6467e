# SPDX-License-Identifier: MIT
"""The method of 2018: bilevel steps of first or second order, the strongest operations chosen.

Source: Liu, Simonyan, Yang, *DARTS: Differentiable Architecture Search*, ICLR 2019,
https://arxiv.org/abs/1806.09055, sections 2.3 and 2.4.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from pydarts.engine.network import Alphas
from pydarts.methods.bilevel import BilevelStep
from pydarts.methods.mixture import MixtureMethod
from pydarts.spaces.genotype import BaseGenotype
from pydarts.spaces.space import Space


@dataclass(frozen=True)
class Darts:
    """Differentiable architecture search as published.

    Attributes
    ----------
    order : {1, 2}
    epsilon : float
    hvp : {"central", "forward"}
    reuse_gradient : bool
    alpha_lr : float
    alpha_betas : tuple of (float, float)
    alpha_weight_decay : float
        As in `pydarts.bilevel.BilevelStep`.
    """

    order: int
    epsilon: float
    hvp: str
    reuse_gradient: bool
    alpha_lr: float
    alpha_betas: tuple[float, float]
    alpha_weight_decay: float

    @property
    def name(self) -> str:
        return "darts"

    @classmethod
    def from_config(cls, config: Any) -> Darts:
        """Return the method that a search's configuration describes."""
        return cls(**{each.name: getattr(config, each.name) for each in fields(cls)})

    def step(self, supernet: Any, **weight_options: Any) -> BilevelStep:
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        return BilevelStep(supernet, **own, **weight_options)

    def first_order(self) -> FirstOrder:
        """The method of first order with these options of α."""
        return FirstOrder(
            alpha_lr=self.alpha_lr,
            alpha_betas=self.alpha_betas,
            alpha_weight_decay=self.alpha_weight_decay,
        )

    def select(self, alphas: Alphas, space: Space) -> BaseGenotype:
        return space.derive(alphas)


class FirstOrder(MixtureMethod):
    """DARTS of first order, as a method that makes its own mixing weights: its softmax."""

    @property
    def name(self) -> str:
        return "darts"
