# SPDX-License-Identifier: MIT
"""PC-DARTS: operations on a part of the channels, and edges with weights of their own.

Source: Xu, Xie, Zhang, Chen, Qi, Tian, Xiong, *PC-DARTS: Partial Channel Connections for
Memory-Efficient Architecture Search*, ICLR 2020, https://arxiv.org/abs/1907.05737.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydarts.common.checks import integer
from pydarts.common.errors import ArgumentError
from pydarts.methods.mixture import MixtureMethod, MixtureStep


@dataclass(frozen=True, kw_only=True)
class PcDarts(MixtureMethod):
    """A node is ``sum_j q_j edge_j`` with ``q = softmax(β)`` over the edges into it, and an edge
    ``sum_o p_o o(x)`` on the first C/k channels and x on the others.

    β is learned as α is, and by the same Adam; both begin after a part of the epochs, in which the
    weights alone learn. A cell is derived by the largest ``p_o q_j``.

    Attributes
    ----------
    partial : int
        k.
    warm_up : float
        The part of the epochs; as published 15 of 50.
    """

    partial: int = 4
    warm_up: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        integer("partial", self.partial, 1)
        if not 0 <= self.warm_up < 1:
            raise ArgumentError("warm_up", f"(={self.warm_up}) must lie in [0, 1)")

    @property
    def name(self) -> str:
        return "pc-darts"

    @property
    def supernet_options(self) -> Mapping[str, Any]:
        return {"partial_channels": self.partial}

    def learns_in(self, epoch: int, epochs: int) -> bool:
        return epoch >= min(round(self.warm_up * epochs), epochs - 1)

    def step(self, supernet: Any, **weight_options: Any) -> MixtureStep:
        found = getattr(supernet, "partial_channels", 1)
        if found != self.partial:
            problem = f"has `partial_channels`={found}, not the {self.partial} of {self.name!r}"
            raise ArgumentError("supernet", problem)
        return super().step(supernet, **weight_options)
