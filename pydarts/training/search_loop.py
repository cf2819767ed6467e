# SPDX-License-Identifier: MIT
"""The loop of a search: beside the weights, α and the cell that it stands for."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from pydarts.common.errors import ArgumentError
from pydarts.engine.network import Alphas, Array
from pydarts.methods.decisions import describe_round
from pydarts.methods.diagnostics import dominant_eigenvalue, entropies
from pydarts.methods.method import Method
from pydarts.methods.mixture import Mixture
from pydarts.methods.perturbation import Perturbation, Selection
from pydarts.methods.weighting import mixing_weights, weighting_of
from pydarts.spaces.genotype import BaseGenotype
from pydarts.training.checkpoint import State
from pydarts.training.limited import phase_epochs
from pydarts.training.loop import TrainingLoop
from pydarts.training.progress import log_line
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
    selector : Perturbation or None
        What decides about the cell in the method's place, after further epochs.
    limited : bool
        Whether the cell must meet limits: then the step is a `LimitedStep`.
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

    def __init__(
        self, method: Method, selector: Perturbation | None, limited: bool, *arguments: Any
    ):
        super().__init__(*arguments)
        self._method, self._selector, self._limited = method, selector, limited
        self._weighting = weighting_of(method)
        self._wants_eigenvalue = self._run.eigenvalue or any(
            callback.needs_eigenvalue for callback in self._run.callbacks
        )
        if self._wants_eigenvalue and self._weighting != "softmax":
            problem = "(=True) is of the softmax of α, which does not mix the operations of"
            raise ArgumentError("eigenvalue", f"{problem} `method` (={method.name!r})")
        # Of the gradients in the epoch's steps: with respect to α, and to the weights.
        self._norms: list[float] = []
        self._weight_norms: list[float] = []
        self._chosen: int | None = None  # the epoch whose α counts, if not the last

    @property
    def alpha_history(self) -> Alphas:
        found: Alphas = self._result.alpha_history
        return found

    @property
    def num_epochs(self) -> int:
        tuning = 0 if self._selector is None else self._selector.tuning_epochs(self.space)
        return int(self.config.epochs) + tuning + self._repeated_epochs

    @property
    def _repeated_epochs(self) -> int:
        """Epochs of last phases that are repeated, because a measurement was above a limit."""
        repeats: int = self._step.repeats if self._limited else 0
        return repeats * phase_epochs(int(self.config.epochs))

    def scheduled(self, epoch: int) -> int:
        """The epoch whose place in the schedules an epoch has: that which it repeats, or itself."""
        epochs = int(self.config.epochs)
        if not self._limited or epoch < epochs:
            return epoch
        phase = phase_epochs(epochs)
        return epochs - phase + (epoch - epochs) % phase

    @property
    def mixture(self) -> Mixture | None:
        """The mixture that the supernet is validated at; None: the softmax of α."""
        if self._selector is not None and self._step.tuning:
            found: Mixture = self._step.mixture()
            return found if self.network.skips_inactive else Mixture(found.mixing)
        if self._weighting == "softmax":
            return None
        return Mixture(mixing_weights(self.network.alphas, self.space, self._weighting))

    def epochs(self) -> Iterator[int]:
        while self.stopped is None:
            if self._selector is not None:
                self._play_rounds(self._selector)
            if self.epoch >= self.num_epochs and not self._goes_on():
                return
            yield self.epoch

    def stop(self, reason: str, *, epoch: int | None = None) -> None:
        if epoch is not None and not 0 <= epoch <= len(self.history):
            raise ArgumentError("epoch", f"(={epoch}) must lie in 0..{len(self.history)}")
        self.stopped, self._chosen = reason, epoch

    def _agree_on_end(self) -> None:
        super()._agree_on_end()
        if self._run.callbacks:
            self._chosen = self._ranks.of_first(self._chosen)

    def note_step(self, info: Any) -> None:
        self._norms = [*self._norms, info.alpha_gradient_norm]
        self._weight_norms = [*self._weight_norms, info.gradient_norm]

    def measure_epoch(self) -> dict[str, Any]:
        alphas = self.network.alphas
        genotype = self._cell(alphas)
        return {
            **{
                f"alpha_entropy_{name}": value
                for name, value in entropies(alphas, self.space, self._weighting).items()
            },
            **self._gradient_norms(),
            "eigenvalue": self._eigenvalue() if self._can_probe else None,
            "skips": self.space.count_skips(genotype),
            **super().measure_epoch(),
            "genotype": str(genotype),
        }

    def lines(self, entry: Mapping[str, Any]) -> list[str]:
        cell = self._cell(self.network.alphas)
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
        self._result.alphas, self._result.genotype = alphas, self._cell(alphas, self._chosen)
        if self._limited:
            self._result.limits = self._step.describe(self._result.genotype)
            self._result.repeated_epochs = self._repeated_epochs
        if self._selector is not None:
            made = self._step.selection.decisions
            early = [d for d in made if self._chosen is None or d["epoch"] < self._chosen]
            self._result.selection = early
        # One that was interrupted can go on and decide yet, and finalists come afterwards.
        pending = self._result.interrupted or self._result.selector == "finalists"
        if self._run.log_notes and not pending:
            for note in self._result.notes():
                log_line(self._bar, note, level=logging.WARNING)

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

    def _cell(self, alphas: Alphas, epochs: int | None = None) -> BaseGenotype:
        """The cell of α and of the decisions, if there are any; of those of some first epochs."""
        cell = self._method.select(alphas, self.space)
        if self._selector is None:
            return cell
        found: BaseGenotype = self._step.selection.genotype(cell, epochs)
        return found

    def _goes_on(self) -> bool:
        """Whether the last phase is to be repeated, because the cell was measured above a limit."""
        if not self._limited:
            return False
        goes_on: bool = self._step.settle()
        self._result.repeated_epochs = self._repeated_epochs
        self._take_snapshot()
        if goes_on:
            text = "the cell was measured above its limit: the last phase is repeated"
            log_line(self._bar, text)
        return goes_on

    def _play_rounds(self, selector: Perturbation) -> None:
        """Play the rounds that are due at the start of this epoch, or after the last one."""
        selection: Selection = self._step.selection
        while selection.rounds_done < selector.rounds_due(self.space, self._epochs_tuned):
            self.check_time()
            made = self._step.decide(self._data, self.epoch, self.config.epochs)
            self._take_snapshot()
            if self._run.log_epochs:
                log_line(self._bar, describe_round(made, selector, self.space))
        self._data.tuning_share = selector.lr_share if self._step.tuning else None

    @property
    def _epochs_tuned(self) -> int:
        """Epochs since the end of the search itself; before that they are negative."""
        return self.epoch - int(self.config.epochs)

    @property
    def _can_probe(self) -> bool:
        """Whether the eigenvalue is wanted, and the supernet still mixed by the softmax of α."""
        return self._wants_eigenvalue and self.mixture is None

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
