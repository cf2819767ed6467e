# SPDX-License-Identifier: MIT
"""The loop of a search: beside the weights, α and the cell that it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pydarts.common.errors import ArgumentError
from pydarts.engine.network import Alphas, Array
from pydarts.methods.diagnostics import dominant_eigenvalue, entropies
from pydarts.methods.method import Method
from pydarts.training.checkpoint import State
from pydarts.training.loop import TrainingLoop
from pydarts.training.run_options import SEARCH_CHECKPOINT
from pydarts.training.task import SearchData

# Relative norms in the history, by the norms of which they are made.
_STATIONARITY = {
    "gradient_norm": "stationarity_weights",
    "alpha_gradient_norm": "stationarity_alphas",
}


class SearchLoop(TrainingLoop):
    """A search that runs, as callbacks see it.

    Parameters
    ----------
    method : Method
        Chooses the genotype that α stands for.
    *arguments
        As of `TrainingLoop`.

    Attributes
    ----------
    alpha_history : dict of ndarray
        As in the result; until now.
    """

    name = "search"
    checkpoint_name = SEARCH_CHECKPOINT
    _data: SearchData

    def __init__(self, method: Method, *arguments: Any):
        super().__init__(*arguments)
        self._method = method
        self._wants_eigenvalue = self._run.eigenvalue or any(
            callback.needs_eigenvalue for callback in self._run.callbacks
        )
        # Of the gradients in the epoch's steps: with respect to α, and to the weights.
        self._norms: list[float] = []
        self._weight_norms: list[float] = []
        self._chosen: int | None = None  # the epoch whose α counts, if not the last

    @property
    def alpha_history(self) -> Alphas:
        found: Alphas = self._result.alpha_history
        return found

    def stop(self, reason: str, *, epoch: int | None = None) -> None:
        if epoch is not None and not 0 <= epoch <= len(self.history):
            raise ArgumentError("epoch", f"(={epoch}) must lie in 0..{len(self.history)}")
        self.stopped, self._chosen = reason, epoch

    def note_step(self, info: Any) -> None:
        self._norms = [*self._norms, info.alpha_gradient_norm]
        self._weight_norms = [*self._weight_norms, info.gradient_norm]

    def measure_epoch(self) -> dict[str, Any]:
        alphas = self.network.alphas
        genotype = self._method.select(alphas, self.space)
        return {
            **{
                f"alpha_entropy_{name}": value
                for name, value in entropies(alphas, self.space).items()
            },
            **self._gradient_norms(),
            "eigenvalue": self._eigenvalue() if self._wants_eigenvalue else None,
            "skips": self.space.count_skips(genotype),
            **super().measure_epoch(),
            "genotype": str(genotype),
        }

    def lines(self, entry: Mapping[str, Any]) -> list[str]:
        cell = self._method.select(self.network.alphas, self.space)
        return [*super().lines(entry), *(f"  {line}" for line in cell.describe())]

    def note_epoch(self) -> None:
        self._norms, self._weight_norms = [], []
        self._result.alpha_history = {
            name: np.concatenate([self.alpha_history[name], a[np.newaxis]])
            for name, a in self.network.alphas.items()
        }

    def complete_result(self) -> None:
        alphas = self.network.alphas
        if self._chosen is not None:
            alphas = {name: a[self._chosen] for name, a in self.alpha_history.items()}
        self._result.alphas, self._result.genotype = alphas, self._method.select(alphas, self.space)

    def state(self) -> State:
        return {
            **super().state(),
            "norms": self._norms,
            "weight_norms": self._weight_norms,
            "chosen": self._chosen,
            "alpha_history": self.alpha_history,
        }

    def restore(self, state: State) -> None:
        super().restore(state)
        self._norms, self._chosen = state["norms"], state["chosen"]
        self._weight_norms = state.get("weight_norms", [])  # earlier versions kept none
        self._result.alpha_history = state["alpha_history"]

    def _gradient_norms(self) -> dict[str, float | None]:
        """Mean norms of the epoch's gradients, and how large they are beside the first epoch's.

        No value where there is none: the steps before a checkpoint of an earlier version, or of
        nothing that learns.
        """
        complete = len(self._weight_norms) == self.step
        entry: dict[str, float | None] = {
            "gradient_norm": float(np.mean(self._weight_norms)) if complete else None,
            "alpha_gradient_norm": float(np.mean(self._norms)),
        }
        first = self.history[0] if self.history else entry
        for norm, name in _STATIONARITY.items():
            value, start = entry[norm], first.get(norm)
            entry[name] = value / start if value is not None and start else None
        return entry

    def _eigenvalue(self) -> float:
        flat = self.network.flat_alphas
        own = np.array(flat)

        def gradient(at: Array) -> Array:
            flat[:] = at
            _, gradients = self._data.probe(self.network)
            return np.concatenate([part.ravel() for part in gradients["alphas"].values()])

        try:
            return dominant_eigenvalue(gradient, own)
        finally:
            flat[:] = own
