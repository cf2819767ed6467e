# SPDX-License-Identifier: MIT
"""What a search will cost, and whether that is within its budgets."""

from __future__ import annotations

import dataclasses
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

from pydarts import _core
from pydarts.common.errors import ArgumentError
from pydarts.training.loop import Control

_TIMED_STEPS, _TIMED_SECONDS = 3, 1.0


@dataclass(frozen=True)
class Estimate:
    """What a search will cost.

    Attributes
    ----------
    epochs, steps : int
        Of the whole search.
    seconds : float
        That it will take, as some steps and a part of a validation did just now. What callbacks,
        the eigenvalue and checkpoints take is not in it.
    bytes : int
        Of its network (activations, weights, optimisers) and data; beside them a Python process
        takes some 100 MB.
    """

    epochs: int
    steps: int
    seconds: float
    bytes: int

    def __str__(self) -> str:
        return (
            f"{self.steps:,} steps in {self.epochs} epochs: about {duration(self.seconds)} and"
            f" {size(self.bytes)}"
        )


class Workload(ABC):
    """A search to be, with a network of its own to try it on."""

    config: Any
    net: Any
    steps: int  # of an epoch
    validations: float  # how many of `validate` an epoch takes
    amount: tuple[str, int]  # the option that bounds the data, and how much data there is

    @abstractmethod
    def take(self) -> None:
        """One step, of length zero: with any other a search that diverges could not be tried."""

    @abstractmethod
    def validate(self) -> None:
        """A part of the validation at an epoch's end."""

    @abstractmethod
    def bytes(self, config: Any) -> int:
        """What a search with such a configuration needs."""

    @abstractmethod
    def savings(self) -> Iterator[dict[str, Any]]:
        """Changes of the configuration that save memory, the mildest first."""

    def estimate(self) -> Estimate:
        """Measure."""
        epochs = self.config.epochs
        seconds = epochs * self.epoch_seconds()
        return Estimate(epochs, epochs * self.steps, seconds, self.bytes(self.config))

    def epoch_seconds(self) -> float:
        """Measure some steps and a validation, each after one that does not count."""
        self.take()
        step = [_timed(self.take)]
        while len(step) < _TIMED_STEPS and sum(step) < _TIMED_SECONDS:
            step.append(_timed(self.take))
        self.validate()
        return median(step) * self.steps + _timed(self.validate) * self.validations


def check_budgets(control: Control, workload: Workload) -> None:
    """Raise ValueError if a search cannot meet its budgets; say what would fit."""
    if control.memory_budget is not None:
        _check_memory(float(control.memory_budget), workload)
    if control.time_budget is not None and not control.goes_on:
        _check_time(control, workload)


def _check_memory(budget: float, workload: Workload) -> None:
    needed = workload.bytes(workload.config)
    if needed <= budget:
        return
    hint = ""
    for change in workload.savings():
        less = workload.bytes(dataclasses.replace(workload.config, **change))
        options = ", ".join(f"{name}={value!r}" for name, value in change.items())
        hint = f", and {'' if less <= budget else 'even '}with {options} {size(less)}"
        if less <= budget:
            break
    raise ArgumentError(
        "memory_budget", f"(={size(budget)}) is too small: the search needs {size(needed)}{hint}"
    )


def _check_time(control: Control, workload: Workload) -> None:
    workload.net._engine.set_deadline(control.seconds_left)
    budget = f"`time_budget` (={duration(float(control.time_budget or 0))}) is too short"
    try:
        epoch = workload.epoch_seconds()
    except _core.OutOfTime:
        raise ValueError(f"{budget}: not even a few steps fit") from None
    left = control.seconds_left or 0.0
    if left >= epoch:
        return
    taken = float(control.time_budget or 0) - left
    option, amount = workload.amount
    share = 0.9 * max(left, 0.0) / epoch
    fits = share * workload.steps >= 2
    hint = f"; about {option}={int(share * amount)} would fit" if fits else ""
    raise ValueError(
        f"{budget} for one epoch, which takes about {duration(epoch)} after {duration(taken)} of"
        f" preparation{hint}; all {workload.config.epochs} epochs take"
        f" {duration(epoch * workload.config.epochs)}"
    )


def _timed(call: Any) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def duration(seconds: float) -> str:
    """A time as people say it."""
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
