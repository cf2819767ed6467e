# SPDX-License-Identifier: MIT
"""Limits of a search as its fronts take them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from pydarts.common.checks import show
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.costs.budget import Budget
from pydarts.costs.profile import Profile, profile
from pydarts.engine.network import resolve_threads
from pydarts.tasks.images import ImageClassification
from pydarts.training.config import TrainConfig
from pydarts.training.run_options import BYTES, SEARCH_CHECKPOINT, RunOptions, quantity

_COUNTS: Final = {"k": 10**3, "M": 10**6, "G": 10**9}
_UNITS: Final[Mapping[str, Mapping[str, float]]] = {
    "latency": {"s": 1, "ms": 1e-3, "us": 1e-6},
    "macs": _COUNTS,
    "weights": _COUNTS,
    "memory": BYTES,
}
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


def make_budget(
    task: ImageClassification,
    limits: Mapping[str, float],
    target: TrainConfig,
    run: RunOptions,
    *,
    measured: Profile | str | os.PathLike[str] | None = None,
    threads: int | None = 1,
) -> Budget | None:
    """Return the budget of a search; None, if there are no limits.

    Where the latency is limited, and neither was measured before nor is in the checkpoint that the
    search goes on from, it is measured now.

    Parameters
    ----------
    task : ImageClassification
    limits : mapping
        As `as_limits` returns them.
    target : TrainConfig
        Of the network that is to be trained.
    run : RunOptions
    measured : Profile or path, optional
        Of a network of these sizes.
    threads : int, optional
        Of the network whose latency is limited; those of a profile count.

    Raises
    ------
    ValueError
        If no cell meets the limits; says what the least is. If the profile is of other sizes.
    """
    if not limits:
        return None
    shape, space = task.network_shape(target), task.space
    table = (
        measured if measured is None or isinstance(measured, Profile) else Profile.load(measured)
    )
    if table is not None:
        different = table.shape != shape or table.space != space
        if different:
            problem = f"is of {table.space.name!r} and {table.shape}, the network that is to be"
            raise ArgumentError("profile", f"{problem} trained of {space.name!r} and {shape}")
        return _checked(
            Budget(space, shape, limits, table, batch=table.batch, threads=table.threads)
        )
    threads = resolve_threads(threads)
    if "latency" in limits and not run.resumable_file(SEARCH_CHECKPOINT):
        table = profile(
            *(space, shape.image_size, shape.channels, shape.cells),
            classes=shape.classes,
            in_channels=shape.in_channels,
            stem=shape.stem,
            threads=threads,
        )
    budget = Budget(space, shape, limits, table, threads=threads)
    return budget if "latency" in limits and table is None else _checked(budget)


def _checked(budget: Budget) -> Budget:
    budget.check()
    return budget
