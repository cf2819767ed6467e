# SPDX-License-Identifier: MIT
"""DARTS-: an auxiliary skip on every edge, which fades out over the search.

Source: Chu, Wang, Zhang, Lu, Wei, Yan, *DARTS-: Robustly Stepping out of Performance Collapse
Without Indicators*, ICLR 2021, https://arxiv.org/abs/2009.01027.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydarts.common.checks import number
from pydarts.common.errors import ArgumentError
from pydarts.methods.mixture import MixtureMethod, MixtureStep


@dataclass(frozen=True, kw_only=True)
class DartsMinus(MixtureMethod):
    """An edge is ``b x + sum_o p_o o(x)`` with ``b = first (1 - t / T)``; b has no gradient.

    What a skip connection does for the training of the network, the auxiliary one does in its
    place, so that its share of p tells its worth as an operation. At stride 2 the auxiliary skip is
    a factorized reduce with weights of its own.

    Attributes
    ----------
    first : float
        b in the first epoch; 1 as published.
    """

    first: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        number("first", self.first)

    @property
    def name(self) -> str:
        return "darts-minus"

    @property
    def supernet_options(self) -> Mapping[str, Any]:
        return {"auxiliary_skip": True}

    def start_epoch(self, supernet: Any, epoch: int, epochs: int) -> None:
        supernet.skip_weight = self.first * (1 - epoch / epochs)

    def step(self, supernet: Any, **weight_options: Any) -> MixtureStep:
        if not getattr(supernet, "auxiliary_skip", False):
            raise ArgumentError("supernet", f"has no auxiliary skip, which {self.name!r} needs")
        supernet.skip_weight = self.first
        return super().step(supernet, **weight_options)
