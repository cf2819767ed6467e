# SPDX-License-Identifier: MIT
"""How a run is watched, kept and bounded: what does not change its result."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from pydarts.common.checks import boolean, choice, file_path, number, show
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.common.files import writable_folder
from pydarts.common.ranks import Ranks
from pydarts.training.callbacks import Callback
from pydarts.training.config_base import Config, parameters

ConfigT = TypeVar("ConfigT", bound=Config)

SEARCH_CHECKPOINT, TRAIN_CHECKPOINT = "checkpoint.safetensors", "train_checkpoint.safetensors"
FINALISTS_CHECKPOINT = "finalists.json"

_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


@dataclass(frozen=True)
class RunOptions:
    """How a search or a training is watched, kept and bounded.

    Attributes
    ----------
    progress : bool
        Whether to show a progress bar, and a line an epoch, on standard error. Without it the
        lines go to the logger ``pydarts``.
    callbacks : sequence of Callback
        What looks at the run and may stop it.
    checkpoint : path or None
        Folder in which checkpoint.safetensors (of a training train_checkpoint.safetensors) holds
        all that is needed to go on: at the end of each epoch, every ``checkpoint_seconds`` seconds,
        and at the end. A folder that cannot be written to is refused before the run begins, unless
        there is a checkpoint to go on from. If later one cannot be written (a full disk), the one
        before stays, and the run goes on with a warning.
    checkpoint_seconds : float
    resume : {"auto", "never"}
        ``"auto"``: go on from a checkpoint if there is one, to the same bits as a run that was
        never interrupted (of a finished one the result is returned at once); ``"never"``: begin
        anew, and replace it.
    time_budget : float, str, timedelta or None
        Seconds, a string such as ``"10min"`` or ``"2h"``, or a timedelta: the run stops by then,
        and ``stopped`` says so. What earlier runs took does not count. A search that cannot finish
        an epoch by then is refused.
    memory_budget : int, str or None
        Bytes, or a string such as ``"2GB"``: a run that needs more, as `estimate` counts it, is
        refused.
    eigenvalue : bool
        Whether the history of a search holds the dominant eigenvalue of the Hessian of the
        validation loss with respect to α; it takes some thirty passes over a batch an epoch.
    """

    progress: bool = True
    callbacks: Sequence[Callback] = ()
    checkpoint: str | os.PathLike[str] | None = None
    checkpoint_seconds: float = 60.0
    resume: str = "auto"
    time_budget: float | str | timedelta | None = None
    memory_budget: int | str | None = None
    eigenvalue: bool = False
    # What the fronts set, not their users:
    log_epochs: bool = True
    log_notes: bool = True
    started: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        if not isinstance(self.callbacks, (list, tuple)) or not all(
            isinstance(callback, Callback) for callback in self.callbacks
        ):
            raise ArgumentTypeError(
                "callbacks", f"(={show(self.callbacks)}) must be a list of pydarts.Callback"
            )
        if self.checkpoint is not None:
            file_path("checkpoint", self.checkpoint)
        boolean("progress", self.progress)
        boolean("eigenvalue", self.eigenvalue)
        choice("resume", self.resume, ("auto", "never"))
        number("checkpoint_seconds", self.checkpoint_seconds)
        budgets: tuple[tuple[str, Mapping[str, float]], ...] = (
            ("time_budget", _SECONDS),
            ("memory_budget", BYTES),
        )
        for name, units in budgets:
            value = getattr(self, name)
            if name == "time_budget" and isinstance(value, timedelta):
                value = value.total_seconds()
            if value is not None:
                object.__setattr__(self, name, quantity(name, value, units))

    def resumable_file(self, name: str) -> Path | None:
        """The checkpoint of that name to begin from, if there is one."""
        if self.checkpoint is None or self.resume != "auto":
            return None
        path = Path(self.checkpoint) / name
        return path if path.exists() else None

    def claim_checkpoint(self, name: str) -> None:
        """Make the folder, unless there is a checkpoint of that name to begin from: rather than to
        find out at the end that it cannot be written.
        """
        if self.checkpoint is None:
            return
        with suppress(OSError):  # of a folder that cannot even be looked into
            if self.resumable_file(name):
                return
        writable_folder("checkpoint", self.checkpoint)

    def on_rank(self, ranks: Ranks) -> RunOptions:
        """The options of one of several ranks: the first one alone shows and writes."""
        return self if ranks.first else replace(self, progress=False, checkpoint=None)

    @property
    def budget_seconds(self) -> float | None:
        """The time budget as a number."""
        assert not isinstance(self.time_budget, timedelta)  # nor a text, since it was checked
        return None if self.time_budget is None else float(self.time_budget)

    @property
    def seconds_left(self) -> float | None:
        """What is left of the time budget."""
        if self.budget_seconds is None:
            return None
        return self.budget_seconds - (time.perf_counter() - self.started)


def split_options(
    kind: type[ConfigT],
    run_kind: type[Any],
    front: Callable[..., Any],
    preset: str,
    config: ConfigT | None,
    options: Mapping[str, Any],
) -> tuple[ConfigT, RunOptions]:
    """Make a configuration and run options of what a front was given.

    Parameters
    ----------
    kind : type
        Class of the configuration.
    run_kind : type
        The TypedDict of the options that are about the run; others are the configuration's.
    front : callable
        The function that was called, for the hint in an error.
    preset, config, options
        As the fronts take them.
    """
    run_names = run_kind.__annotations__
    run = {name: value for name, value in options.items() if name in run_names}
    fields = {name: value for name, value in options.items() if name not in run_names}
    others = [*run_names, *parameters(front)]
    return kind.make(preset, fields, config=config, others=others), RunOptions(**run)


def quantity(name: str, value: object, units: Mapping[str, float]) -> float:
    """Return a positive number, or a string of one with a unit, in the unit of factor 1."""
    factor: float = 1
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([0-9.]+)\s*([A-Za-z]+)\s*", value)
        known = {unit.lower(): factor for unit, factor in units.items()}
        if not match or match[1].count(".") > 1 or match[2].lower() not in known:
            some = ", ".join(units)
            example = f"'1.5{list(units)[len(units) // 2]}'"
            raise ArgumentError(
                name,
                f"(={value!r}) must be a number, such as 90, or a text of a number and one of the"
                f" units {some}, such as {example}",
            )
        value, factor = float(match[1].strip(".") or 0), known[match[2].lower()]
    return number(name, value, positive=True, below=math.inf) * factor
