# SPDX-License-Identifier: MIT
"""What a search will cost, and whether that is within its budgets."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from pydarts import _core
from pydarts.common.errors import ArgumentError
from pydarts.costs.budget import Budget
from pydarts.methods.finalists import Finalists
from pydarts.methods.method import Method, supernet_options
from pydarts.methods.mixture import Mixture
from pydarts.methods.named import Selector
from pydarts.methods.perturbation import Perturbation, num_evaluations
from pydarts.methods.tuning import search_step
from pydarts.training.finals import finals_seconds, kept_for_finals
from pydarts.training.limited import MAX_REPEATS, LimitedMethod, phase_epochs
from pydarts.training.run_options import SEARCH_CHECKPOINT, RunOptions
from pydarts.training.task import SearchData, Task

_TIMED_STEPS, _TIMED_SECONDS = 3, 1.0


@dataclass(frozen=True)
class Estimate:
    """What a search will cost.

    Attributes
    ----------
    epochs, steps : int
        Of the whole search, epochs of tuning included.
    seconds : float
        That it will take, as some steps and a part of a validation did just now. What callbacks,
        the eigenvalue, checkpoints and repeated epochs take is not in it.
    bytes : int
        Of its network (activations, weights, optimisers) and data; beside them a Python process
        takes some 100 MB.
    repeatable_epochs : int
        Further ones that there may be, where the cell is measured above a limit on the latency.
    """

    epochs: int
    steps: int
    seconds: float
    bytes: int
    repeatable_epochs: int = 0

    def __str__(self) -> str:
        text = f"{self.steps:,} steps in {self.epochs} epochs: about {duration(self.seconds)} and"
        text += f" {size(self.bytes)}"
        if self.repeatable_epochs:
            text += f"; up to {self.repeatable_epochs} epochs more, if the cell is above its limit"
        return text


def estimate_search(
    task: Task,
    method: Method,
    config: Any,
    data: SearchData,
    selector: Selector | None = None,
    limits: Budget | None = None,
) -> Estimate:
    """Measure some steps and a part of a validation on a throw-away network."""
    trial = _Trial(task, method, config, data, selector, limits)
    epochs = config.epochs + trial.tuning_epochs
    seconds = config.epochs * trial.epoch_seconds() + trial.selection_seconds()
    options = supernet_options(method, task.kind)
    more = 0
    if limits is not None and "latency" in limits.limits:
        more = MAX_REPEATS * phase_epochs(config.epochs)
    needs = task.search_bytes(config, **options)
    return Estimate(epochs, epochs * data.steps, seconds, needs, more)


def search_epoch_seconds(
    task: Task,
    method: Method,
    config: Any,
    data: SearchData,
    seconds: float,
    selector: Selector | None = None,
    limits: Budget | None = None,
) -> tuple[float, float]:
    """Measure what an epoch of a search takes, on a throw-away network, and what of the ``seconds``
    is kept for the selector: of finalists a share, of perturbation all that it takes. Infinity and
    nothing, if what is measured alone takes longer.
    """
    trial = _Trial(task, method, config, data, selector, limits)
    trial.network.set_deadline(max(seconds, 0.0))
    try:
        epoch = trial.epoch_seconds()
        if isinstance(selector, Perturbation):
            return epoch, trial.selection_seconds()
        return epoch, trial.kept_seconds(seconds)
    except _core.OutOfTime:
        return math.inf, 0.0


def check_budgets(
    task: Task,
    method: Method,
    config: Any,
    data: SearchData,
    run: RunOptions,
    selector: Selector | None = None,
    limits: Budget | None = None,
) -> None:
    """Raise ArgumentError if a search cannot meet its budgets; say what would fit."""
    needs = partial(task.search_bytes, **supernet_options(method, task.kind))
    check_memory(run, config, "search", needs, task)
    if run.budget_seconds is None:
        return
    if not task.ranks.on_first(lambda: run.resumable_file(SEARCH_CHECKPOINT)):
        trial = _Trial(task, method, config, data, selector, limits)
        _check_time(run.budget_seconds, run, trial)


class _Trial:
    """A search to be, with a network of its own to try it on."""

    def __init__(
        self,
        task: Task,
        method: Method,
        config: Any,
        data: SearchData,
        selector: Selector | None,
        limits: Budget | None = None,
    ):
        self.config, self.data, self.selector = config, data, selector
        self._task, self._limits = task, limits
        self._method = method if limits is None else LimitedMethod(method, limits, data.steps)
        self.network = task.supernet(config, **supernet_options(method, task.kind))
        self.ranks = task.ranks
        self.network.use_ranks(self.ranks)
        self._rounds = selector if isinstance(selector, Perturbation) else None
        options = task.step_options(config)
        self._step = search_step(self._method, self._rounds, self.network, options)

    @property
    def tuning_epochs(self) -> int:
        return 0 if self._rounds is None else self._rounds.tuning_epochs(self.network.space)

    def epoch_seconds(self) -> float:
        """Measure some steps and a validation, each after one that does not count."""
        inputs = self.data.trial_inputs()
        self._step(**inputs)
        steps = [self._timed(lambda: self._step(**inputs))]
        while len(steps) < _TIMED_STEPS and sum(steps) < _TIMED_SECONDS:
            steps.append(self._timed(lambda: self._step(**inputs)))
        self.data.validate_part(self.network)
        validation = self._timed(lambda: self.data.validate_part(self.network))
        seconds = float(np.median(steps)) * self.data.steps + validation * self.data.validations
        if self._limits is not None:  # within them the cell is sought for the entry and its lines
            alphas, space = self.network.alphas, self.network.space
            seconds += 2 * self._timed(lambda: self._method.select(alphas, space))
        return seconds

    def selection_seconds(self) -> float:
        """Measure what a selector does after the last epoch."""
        if isinstance(self.selector, Finalists):
            cell = self._method.select(self.network.alphas, self.network.space)
            given = self._task, self.data, self.config, self.selector, cell
            return self.ranks.of_first(finals_seconds(*given))
        return 0.0 if self._rounds is None else self._rounds_seconds(self._rounds)

    def kept_seconds(self, left: float) -> float:
        """What of so many seconds is kept for the finalists, if there are any."""
        if not isinstance(self.selector, Finalists):
            return 0.0
        return kept_for_finals(self.selection_seconds(), left)

    def _rounds_seconds(self, selector: Perturbation) -> float:
        """Measure the evaluations and the tuning of rounds: the mean of the first one's, where
        nothing is decided, and the last one's, where every edge is.
        """
        space, batches = self.network.space, selector.batches
        first, last = self._step.mixture(), self._step.decided_mixture()
        parts = num_evaluations(space) * self.data.num_batches(batches)
        steps, inputs = self.tuning_epochs * self.data.steps, self.data.trial_inputs()
        seconds = 0.0
        for mixture in (first, last):
            seconds += parts * self._timed(partial(self._evaluate_batch, mixture))
            seconds += steps * self._timed(partial(self._step.try_tuning, mixture, inputs))
        validation = self._timed(lambda: self.data.validate_part(self.network))
        return seconds / 2 + self.tuning_epochs * validation * self.data.validations

    def _timed(self, call: Callable[[], Any]) -> float:
        return self.ranks.of_first(_timed(call))

    def _evaluate_batch(self, mixture: Mixture) -> None:
        active = mixture.active if self.network.skips_inactive else None
        self.data.evaluate(self.network, mixture.mixing, active, 1)


def check_memory(
    run: RunOptions, config: Any, what: str, needs: Callable[[Any], int], task: Task
) -> None:
    """Raise ArgumentError if a run needs more than its memory budget; say what would fit."""
    if run.memory_budget is None or needs(config) <= (budget := float(run.memory_budget)):
        return
    hint = ""
    for change in task.savings(config):
        less = needs(dataclasses.replace(config, **change))
        options = ", ".join(f"{name}={value!r}" for name, value in change.items())
        hint = f", and {'' if less <= budget else 'even '}with {options} {size(less)}"
        if less <= budget:
            break
    problem = f"(={size(budget)}) is too small: the {what} needs {size(needs(config))}{hint}"
    raise ArgumentError("memory_budget", problem)


def _check_time(budget: float, run: RunOptions, trial: _Trial) -> None:
    trial.network.set_deadline(run.seconds_left)
    short = f"(={duration(budget)}) is too short"
    try:
        epoch = trial.epoch_seconds()
    except _core.OutOfTime:
        raise ArgumentError("time_budget", f"{short}: not even a few steps fit") from None
    trial.network.set_deadline(None)  # what else is measured is to tell how much would fit
    left = trial.ranks.of_first(run.seconds_left) or 0.0
    left -= trial.kept_seconds(left)
    if left >= epoch:
        _check_selection(short, run, trial, epoch)
        return
    option, amount = trial.data.amount
    share = 0.9 * max(left, 0.0) / epoch
    fits = share * trial.data.steps >= 2
    hint = f"; about {option}={int(share * amount)} would fit" if fits else ""
    has_finalists = isinstance(trial.selector, Finalists)
    others = "preparation and finalists" if has_finalists else "preparation"
    raise ArgumentError(
        "time_budget",
        f"{short} for one epoch, which takes about {duration(epoch)} beside"
        f" {duration(budget - left)} for {others}{hint}; all {trial.config.epochs} epochs take"
        f" {duration(epoch * trial.config.epochs)}",
    )


def _check_selection(short: str, run: RunOptions, trial: _Trial, epoch: float) -> None:
    """Selection by perturbation needs all of the epochs; finalists make do with what is left."""
    if not isinstance(trial.selector, Perturbation):
        return
    selection, epochs = trial.selection_seconds(), trial.config.epochs
    left = trial.ranks.of_first(run.seconds_left) or 0.0
    if left >= epochs * epoch + selection:
        return
    fits = int((0.9 * left - selection) / epoch)
    hint = f"; about epochs={fits} would fit" if fits >= 1 else ""
    raise ArgumentError(
        "time_budget",
        f"{short} for {epochs} epochs, of which each takes about {duration(epoch)}, and for the"
        f" selection by {trial.selector.name} after them, which takes about"
        f" {duration(selection)}{hint}",
    )


def _timed(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def duration(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 1:
        return f"{seconds:.2g} s"
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def size(count: float) -> str:
    """A number of bytes as people say it."""
    for unit in ("B", "kB", "MB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
