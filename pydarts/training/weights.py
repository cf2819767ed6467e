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

_AVERAGED = ("weights", "running")  # of a network's state; the second are of batch normalisation


class WeightTracker:
    """The weights of the epoch of the lowest validation loss, and averages of many steps' weights.

    With ``patience`` n, SGD becomes averaged SGD after the first epoch whose validation loss is
    above the lowest of all epochs but itself and the n before it: what is validated and kept is
    then the mean of the weights of all steps since (non-monotonically triggered, Merity et al.,
    arXiv:1708.02182, algorithm 1).

    With ``decay``, it is an exponential moving average from the first step on: after step n,
    ``average += (1 - d) (weights - average)`` with ``d = min(decay, (1 + n) / (10 + n))``, so that
    what was drawn at random is soon forgotten. The running statistics of batch normalisation, which
    must fit the weights, are averaged likewise.

    Parameters
    ----------
    network : EngineNetwork
    restore_best : bool
    patience : int or None
        None: SGD is never averaged so.
    decay : float
        0: nor so.
    """

    def __init__(
        self, network: Any, restore_best: bool, patience: int | None = None, decay: float = 0.0
    ):
        self._network, self._restore_best = network, restore_best
        self._patience, self._decay = patience, decay
        self._best: dict[str, NDArray[Any]] = {}  # weights and running statistics; empty: not yet
        self._best_loss = math.inf
        self._average: NDArray[Any] | None = None  # None: not yet
        self._averaged = 0  # steps
        self._average_running: NDArray[Any] | None = None
        if decay > 0:
            self._average = np.zeros_like(network.flat_weights)
            self._average_running = np.zeros_like(network.state()["running"])

    def finish(self) -> None:
        """Give the network what it had in the best epoch, if that is wanted and there is one, or
        the average if there is one.
        """
        self._network.restore({**self._network.state(), **(self._best or self._averages())})

    def on_step_end(self) -> None:
        """Take the weights into the average."""
        if self._average is None:
            return
        self._averaged += 1
        state, threads = self._network.state(), self._network.threads
        _core.blend32(self._average, state["weights"], self._share, threads)
        if self._average_running is not None:
            _core.blend32(self._average_running, state["running"], self._share, threads)

    def validate(
        self, validate: Callable[[Any], Metrics | None], history: Sequence[Mapping[str, Any]]
    ) -> Metrics:
        """Validate, with the average in place of the weights if there is one."""
        state = self._network.state()
        current = {name: state[name].copy() for name in _AVERAGED}
        try:
            self._network.restore({**state, **self._averages()})
            metrics = validate(self._network)
            if metrics is None:
                return {}
            if self._restore_best and metrics["valid_loss"] < self._best_loss:
                self._best = {name: state[name].copy() for name in _AVERAGED}
                self._best_loss = metrics["valid_loss"]
        finally:
            self._network.restore({**self._network.state(), **current})
        if self._patience is None:
            return metrics
        averaged = self._average is not None
        before = [entry["valid_loss"] for entry in history][: -self._patience]
        if not averaged and before and metrics["valid_loss"] > min(before):
            self._average = np.zeros_like(state["weights"])
        return {**metrics, "averaged": averaged}

    def state(self) -> State:
        return {
            **self._best,
            "loss": self._best_loss,
            "average": self._average,
            "average_running": self._average_running,
            "averaged": self._averaged,
        }

    def restore(self, state: State) -> None:
        best = {name: state.get(name) for name in _AVERAGED}
        self._best = {name: value for name, value in best.items() if value is not None}
        self._best_loss = state.get("loss", math.inf)
        self._average, self._averaged = state.get("average"), state.get("averaged", 0)
        self._average_running = state.get("average_running")

    @property
    def _share(self) -> float:
        """What the newest weights have of the average."""
        n = self._averaged
        if self._decay == 0:
            return 1 / n
        return 1.0 if n == 1 else 1 - min(self._decay, (1 + n) / (10 + n))

    def _averages(self) -> dict[str, NDArray[Any]]:
        """The averages, as the parts of a network's state that they are of."""
        if not self._averaged:
            return {}
        parts = zip(_AVERAGED, (self._average, self._average_running), strict=True)
        return {name: average for name, average in parts if average is not None}
