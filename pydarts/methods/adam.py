# SPDX-License-Identifier: MIT
"""Adam on the architecture parameters, which are few.

Source: Kingma, Ba, *Adam: A Method for Stochastic Optimization*, https://arxiv.org/abs/1412.6980.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pydarts.common.checks import number
from pydarts.common.errors import ArgumentError
from pydarts.engine.network import Array

_EPSILON = 1e-8


class Adam:
    """Adam with weight decay that is added to the gradient, in float64.

    Parameters
    ----------
    size : int
        Number of parameters.
    lr : float
    betas : tuple of (float, float)
    weight_decay : float
    """

    def __init__(self, size: int, lr: float, betas: tuple[float, float], weight_decay: float):
        if not all(0 <= beta < 1 for beta in betas):
            raise ArgumentError("alpha_betas", f"(={betas!r}) must lie in [0, 1)")
        self._lr, self._betas = number("alpha_lr", lr), betas
        self._weight_decay = number("alpha_weight_decay", weight_decay)
        self._first, self._second, self._steps = np.zeros(size), np.zeros(size), 0

    def step(self, parameters: Array, gradient: Array) -> None:
        """Change the parameters in place."""
        self._steps += 1
        g = gradient + self._weight_decay * parameters.astype(np.float64)
        for moment, beta, value in zip(
            (self._first, self._second), self._betas, (g, g * g), strict=True
        ):
            moment *= beta
            moment += (1 - beta) * value
        first, second = (
            moment / (1 - beta**self._steps)
            for moment, beta in zip((self._first, self._second), self._betas, strict=True)
        )
        parameters[:] = parameters - self._lr * first / (np.sqrt(second) + _EPSILON)

    def state(self) -> dict[str, Any]:
        """Return everything that steps change."""
        return {"first": self._first, "second": self._second, "adam_steps": self._steps}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned."""
        self._first[:], self._second[:] = state["first"], state["second"]
        self._steps = state["adam_steps"]
