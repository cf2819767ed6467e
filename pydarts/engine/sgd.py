# SPDX-License-Identifier: MIT
"""The step of a training, counted and with a state that a checkpoint can hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from numpy.typing import NDArray

from pydarts import _core
from pydarts.engine.network import EngineNetwork


class DescentInfo(NamedTuple):
    """What a step saw: mean loss, right answers; of recurrent networks also the state after it."""

    train_loss: float
    train_correct: int
    hidden: NDArray[Any] | None = None
    valid_hidden: None = None


class Descent:
    """Steps of a network's weights by SGD, with the engine's ``WeightStep``."""

    def __init__(self, network: EngineNetwork, engine_step: Any):
        self.network, self._engine, self.steps = network, engine_step, 0

    def __call__(self, *arguments: Any) -> DescentInfo:
        """Take one; an error leaves the weights as they were, and names the step."""
        try:
            loss, correct, *more = self._engine(self.network._engine, *arguments)
        except _core.NonFinite as error:
            raise _core.NonFinite(f"step {self.steps}: {error}") from None
        self.steps += 1
        return DescentInfo(loss, correct, more[-1] if more else None)

    def state(self) -> dict[str, Any]:
        """All that steps change: of the network, and views of the momentum."""
        return {**self.network.state(), "buffer": self._engine.buffer, "steps": self.steps}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state`` gave."""
        self.network.restore(state)
        self._engine.buffer[:] = state["buffer"]
        self.steps = state["steps"]
