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
        self._norms: list[float] = []  # of the gradients with respect to α in the epoch's steps
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

    def measure_epoch(self) -> dict[str, Any]:
        alphas = self.network.alphas
        genotype = self._method.select(alphas, self.space)
        return {
            **{
                f"alpha_entropy_{name}": value
                for name, value in entropies(alphas, self.space).items()
            },
            "alpha_gradient_norm": float(np.mean(self._norms)),
            "eigenvalue": self._eigenvalue() if self._wants_eigenvalue else None,
            "skips": self.space.count_skips(genotype),
            **super().measure_epoch(),
            "genotype": str(genotype),
        }

    def lines(self, entry: Mapping[str, Any]) -> list[str]:
        cell = self._method.select(self.network.alphas, self.space)
        return [*super().lines(entry), *(f"  {line}" for line in cell.describe())]

    def note_epoch(self) -> None:
        self._norms = []
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
            "chosen": self._chosen,
            "alpha_history": self.alpha_history,
        }

    def restore(self, state: State) -> None:
        super().restore(state)
        self._norms, self._chosen = state["norms"], state["chosen"]
        self._result.alpha_history = state["alpha_history"]

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
