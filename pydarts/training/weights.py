# SPDX-License-Identifier: MIT
"""Which weights a training ends with: the last, the best epoch's, or an average of many steps'."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pydarts import _core
from pydarts.training.checkpoint import State
from pydarts.training.task import Metrics


class WeightTracker:
    """The weights of the epoch of the lowest validation loss, and the average for averaged SGD.

    With ``patience``, SGD becomes averaged SGD once the validation loss has not improved for so
    many epochs: what is validated is then the mean of the weights of all steps since
    (non-monotonically triggered, Merity et al., arXiv:1708.02182).

    Parameters
    ----------
    network : EngineNetwork
    restore_best : bool
    patience : int or None
        None: SGD is never averaged.
    """

    def __init__(self, network: Any, restore_best: bool, patience: int | None):
        self._network, self._restore_best, self._patience = network, restore_best, patience
        self._best: dict[str, NDArray[Any]] = {}  # weights and running statistics; empty: not yet
        self._best_loss = math.inf
        self._average: NDArray[Any] | None = None  # None: not yet
        self._averaged = 0  # steps

    def finish(self) -> None:
        """Give the network what it had in the best epoch, if that is wanted and there is one."""
        self._network.restore({**self._network.state(), **self._best})

    def on_step_end(self) -> None:
        """Take the weights into the average."""
        if self._average is not None:
            self._averaged += 1
            weights, share = self._network.flat_weights, 1 / self._averaged
            _core.blend32(self._average, weights, share, self._network.threads)

    def validate(
        self, validate: Callable[[Any], Metrics | None], history: Sequence[Mapping[str, Any]]
    ) -> Metrics:
        """Validate, with the average in place of the weights if there is one."""
        weights = self._network.flat_weights
        current = weights.copy()
        try:
            if self._average is not None:
                weights[:] = self._average
            metrics = validate(self._network)
            if metrics is None:
                return {}
            if self._restore_best and metrics["valid_loss"] < self._best_loss:
                running = self._network.state()["running"]
                self._best = {"weights": weights.copy(), "running": running.copy()}
                self._best_loss = metrics["valid_loss"]
        finally:
            weights[:] = current
        if self._patience is None:
            return metrics
        averaged = self._average is not None
        losses = [*(entry["valid_loss"] for entry in history), metrics["valid_loss"]]
        before = losses[: -self._patience]
        if not averaged and before and losses[-1] > min(before):
            self._average = np.zeros_like(weights)
        return {**metrics, "averaged": averaged}

    def state(self) -> State:
        return {
            **self._best,
            "loss": self._best_loss,
            "average": self._average,
            "averaged": self._averaged,
        }

    def restore(self, state: State) -> None:
        best = {name: state.get(name) for name in ("weights", "running")}
        self._best = {name: value for name, value in best.items() if value is not None}
        self._best_loss = state.get("loss", math.inf)
        self._average, self._averaged = state.get("average"), state.get("averaged", 0)
