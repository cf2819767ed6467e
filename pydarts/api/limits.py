# SPDX-License-Identifier: MIT
"""Limits of a search as its fronts take them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydarts.common.checks import show
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.costs.budget import COSTS, Budget, show_cost
from pydarts.costs.profile import Profile, kept_profile
from pydarts.engine.network import resolve_threads
from pydarts.methods.method import Method
from pydarts.methods.named import Selector
from pydarts.tasks.images import ImageClassification
from pydarts.training.config import TrainConfig
from pydarts.training.limited import check_limitable
from pydarts.training.run_options import BYTES, SEARCH_CHECKPOINT, RunOptions, quantity

_COUNTS: Final = {"k": 10**3, "M": 10**6, "G": 10**9}
_UNITS: Final[Mapping[str, Mapping[str, float]]] = {
    "latency": {"s": 1, "ms": 1e-3, "us": 1e-6},
    "macs": _COUNTS,
    "weights": _COUNTS,
    "memory": BYTES,
}
#: Why searches over text take no limits.
NOT_OVER_TEXT: Final = (
    "is for networks over images and signals: all recurrent cells of a `hidden_size` have the same"
    " weights and multiply-adds, so that `hidden_size` decides what they cost"
)

#: What a limit may be given as.
Limit = float | str | None


def as_limits(given: Mapping[str, Limit]) -> dict[str, float]:
    """Return limits as numbers: of latency in seconds, of memory in bytes.

    Parameters
    ----------
    given : mapping
        By ``"latency"`` and so on; None where there is no limit.

    Raises
    ------
    ValueError, TypeError
        For what is no positive number, or has another unit; names ``max_latency`` and so on.
    """
    numbers = {
        name: quantity(f"max_{name}", value, _UNITS[name])
        for name, value in given.items()
        if value is not None
    }
    # So that "190us" is 0.00019, and not the float beside it.
    told = {name for name in numbers if isinstance(given[name], str)}
    return {n: float(f"{value:.12g}") if n in told else value for n, value in numbers.items()}


def as_target(target: str | TrainConfig | None, preset: str) -> TrainConfig:
    """Return the configuration of the network that is to be trained: by default the preset's."""
    if target is None or isinstance(target, str):
        try:
            return TrainConfig.make(preset if target is None else target)
        except ArgumentError as error:
            raise ArgumentError("target", error.problem) from None
    if not isinstance(target, TrainConfig):
        problem = f"(={show(target)}) must be a TrainConfig or the name of a preset"
        raise ArgumentTypeError("target", problem)
    return target


class Limits(NamedTuple):
    """Limits of a search as its fronts take them: the arguments of `search` of these names."""

    max_latency: Limit = None
    max_macs: Limit = None
    max_weights: Limit = None
    max_memory: Limit = None
    target: str | TrainConfig | None = None
    profile: Profile | str | os.PathLike[str] | None = None
    latency_threads: int | None = 1

    def numbers(self) -> dict[str, float]:
        """Return the limits as `as_limits` does."""
        return as_limits({name: getattr(self, f"max_{name}") for name in COSTS})

    def check_used(self) -> None:
        """Raise ArgumentError where what is for limits is given without one."""
        if self.numbers():
            return
        threads = None if self.latency_threads == 1 else self.latency_threads
        given: dict[str, Any] = {"profile": self.profile, "latency_threads": threads}
        for name, value in given.items():
            if value is not None:
                problem = f"(={show(value)}) has no use without a limit, such as `max_latency`"
                raise ArgumentError(name, problem)

    def budget(
        self,
        task: ImageClassification,
        method: Method,
        selector: Selector | None,
        preset: str,
        run: RunOptions,
    ) -> Budget | None:
        """Return the budget of a search by a method and selector; None, if there are no limits."""
        limits, target = self.numbers(), as_target(self.target, preset)
        self.check_used()
        if not limits:
            return None
        check_limitable(method, selector)
        task.ranks.on_first(lambda: run.claim_checkpoint(SEARCH_CHECKPOINT))
        resumes = run.resumable_file(SEARCH_CHECKPOINT) is not None
        table = None if resumes and self.profile is None else self.measured(task, target)
        threads = resolve_threads(self.latency_threads, "latency_threads")
        return make_budget(task, limits, target, table, threads)

    def measured(
        self,
        task: ImageClassification,
        target: TrainConfig,
        folder: Path | None = None,
        resume: bool = True,
    ) -> Profile | None:
        """Return the profile that was given; or one that is kept in a folder, or measured now,
        where the latency is limited.
        """
        if self.profile is not None:
            found = self.profile
            return found if isinstance(found, Profile) else Profile.load(found)
        if "latency" not in self.numbers():
            return None
        threads = resolve_threads(self.latency_threads, "latency_threads")
        return kept_profile(task.space, task.network_shape(target), threads, folder, resume)


NO_LIMITS: Final = Limits()


def describe_limits(limits: Mapping[str, float]) -> str:
    """Limits as people say them."""
    if not limits:
        return "no limits"
    shown = ", ".join(f"{show_cost(name, limit)} ({name})" for name, limit in limits.items())
    return f"the limit{'s' if len(limits) > 1 else ''} of {shown}"


def make_budget(
    task: ImageClassification,
    limits: Mapping[str, float],
    target: TrainConfig,
    table: Profile | None,
    threads: int,
) -> Budget:
    """Return the budget of a search.

    Parameters
    ----------
    task : ImageClassification
    limits : mapping
        As `as_limits` returns them.
    target : TrainConfig
        Of the network that is to be trained.
    table : Profile or None
        Of a network of these sizes; where the latency is limited without it, what the search goes
        on from has one.
    threads : int
        Of the network whose latency is limited; those of a profile count.

    Raises
    ------
    ValueError
        If no cell meets the limits; says what the least is. If the profile is of other sizes.
    """
    shape, space = task.network_shape(target), task.space
    if table is None:
        budget = Budget(space, shape, limits, threads=threads)
        if "latency" not in limits:
            budget.check()
        return budget
    if table.shape != shape or table.space != space:
        problem = f"is of {table.space.name!r} and {table.shape}, the network that is to be"
        raise ArgumentError("profile", f"{problem} trained of {space.name!r} and {shape}")
    budget = Budget(space, shape, limits, table, batch=table.batch, threads=table.threads)
    budget.check()
    return budget


def refuse_limits(options: Mapping[str, Any]) -> None:
    """Raise ArgumentTypeError for limits among the options of a search over text: say why."""
    for name in Limits._fields:
        if name in options:
            raise ArgumentTypeError(name, f"(={show(options[name])}) {NOT_OVER_TEXT}")
