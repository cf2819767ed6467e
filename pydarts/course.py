# SPDX-License-Identifier: MIT
"""The course of a search, whatever it searches on: position, history, callbacks, checkpoints,
budgets, and all the ways in which it can end.
"""

from __future__ import annotations

import logging
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pydarts import _core
from pydarts.bilevel import BilevelStep, StepInfo
from pydarts.checkpoint import (
    CheckpointError,
    State,
    difference,
    read_checkpoint,
    remove_leftovers,
    write_checkpoint,
)
from pydarts.diagnostics import dominant_eigenvalue, entropies, skips
from pydarts.engine import Alphas
from pydarts.result import History, Result

if TYPE_CHECKING:
    from pydarts.callbacks import Callback

Item = TypeVar("Item", covariant=True)

log = logging.getLogger("pydarts")


class Diverged(ArithmeticError):
    """A loss or gradient stopped being finite; ``result`` holds what there is."""

    def __init__(self, message: str, result: Any):
        super().__init__(message)
        self.result = result


class Stopped(Exception):
    """Leaves the loops of a search that was told to stop."""


class Source(Protocol[Item]):
    """What gives batches and can be taken up in the middle of an epoch."""

    def epoch(self) -> Iterator[Item]:
        """What is left of the present epoch."""
        ...

    def state(self) -> State: ...

    def restore(self, state: State) -> None: ...


@dataclass(frozen=True)
class Control:
    """How a search is watched, kept and bounded. `pydarts.search` tells what each means."""

    progress: bool = True
    callbacks: Sequence[Callback] = ()
    eigenvalue: bool = False
    checkpoint: str | os.PathLike[str] | None = None
    checkpoint_seconds: float = 60.0
    resume: str = "auto"
    time_budget: float | str | None = None
    memory_budget: int | str | None = None
    started: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        if self.resume not in ("auto", "never"):
            raise ValueError(f"`resume` (={self.resume!r}) must be 'auto' or 'never'")
        if not 0 <= self.checkpoint_seconds < math.inf:
            raise ValueError(
                f"`checkpoint_seconds` (={self.checkpoint_seconds}) must be at least 0"
            )
        for name, units in (("time_budget", _SECONDS), ("memory_budget", _BYTES)):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _quantity(name, value, units))

    @property
    def file(self) -> Path | None:
        """The checkpoint."""
        return None if self.checkpoint is None else Path(self.checkpoint) / "checkpoint.safetensors"

    @property
    def seconds_left(self) -> float | None:
        """What is left of the time budget."""
        if self.time_budget is None:
            return None
        return float(self.time_budget) - (time.perf_counter() - self.started)


_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
_BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def _quantity(name: str, value: object, units: Mapping[str, int]) -> float:
    number, factor = value, 1
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([0-9.]+)\s*([A-Za-z]+)\s*", value)
        known = {unit.lower(): factor for unit, factor in units.items()}
        if not match or match[1].count(".") > 1 or match[2].lower() not in known:
            some = ", ".join(units)
            raise ValueError(f"`{name}` (={value!r}) must be a number with one of the units {some}")
        number, factor = float(match[1].strip(".") or 0), known[match[2].lower()]
    if isinstance(number, bool) or not isinstance(number, (int, float, np.integer, np.floating)):
        raise TypeError(f"`{name}` (={value!r}) must be a number, or a text with a unit")
    if not 0 < number < math.inf:
        raise ValueError(f"`{name}` (={value!r}) must be more than 0")
    return float(number) * factor


class Course:
    """A search that runs: what callbacks see of it, and what its loop tells it.

    Within ``with course:`` a loop over `epochs` holds one over `steps`, which takes a step and
    calls `took`; after the steps comes `end_epoch`. A checkpoint is always of the state between two
    steps.

    Attributes
    ----------
    config, supernet
        Of the search; the supernet as it is now.
    history, alpha_history
        As in the result; until now.
    epoch, step : int
        How many epochs, and how many steps of the present epoch, are done; ``steps_done`` counts
        those of all epochs.
    stopped : str or None
        Why it was stopped, if it was.
    hidden : tuple
        Over text, the states with which the next segments begin.
    """

    def __init__(
        self,
        result: Result,
        step: BilevelStep,
        rng: np.random.Generator,
        sources: Mapping[str, Source[Any]],
        control: Control,
        *,
        identity: Mapping[str, Any],
        total: int,
        unit: str,
        lines: Callable[[dict[str, Any], Any, Any], list[str]],
        alpha_gradient: Callable[[], Alphas],
    ):
        self._result, self._step, self._rng = result, step, rng
        self._sources, self._control = dict(sources), control
        self._identity, self._total, self._unit = identity, total, unit
        self._lines, self._alpha_gradient = lines, alpha_gradient
        self._wants_eigenvalue = control.eigenvalue or any(
            callback.needs_eigenvalue for callback in control.callbacks
        )
        self.config, self.supernet = result.config, result.supernet
        self.epoch = 0
        self.stopped: str | None = None
        self.hidden: tuple[Any, Any] = (None, None)
        self._chosen: int | None = None  # the epoch whose alphas count, if not the last
        self._rows: list[list[float]] = []  # of the epoch's steps
        self._done = 0  # units of the bar
        self._seconds = 0.0  # of earlier runs

    @property
    def history(self) -> History:
        return self._result.history

    @property
    def alpha_history(self) -> Alphas:
        return self._result.alpha_history

    @property
    def step(self) -> int:
        return len(self._rows)

    @property
    def steps_done(self) -> int:
        """Steps since the start, of all epochs."""
        return self._step.steps

    @property
    def seconds(self) -> float:
        """Since the start, that of earlier runs included."""
        return self._seconds + time.perf_counter() - self._entered

    def stop(self, reason: str, *, epoch: int | None = None) -> None:
        """End the search after the hooks that run now.

        Parameters
        ----------
        reason : for ``result.stopped``.
        epoch : whose alphas, and thus whose cell, the result is to have, from 0, the initial ones;
            None: the last.
        """
        if epoch is not None and not 0 <= epoch <= len(self.history):
            raise ValueError(f"`epoch` (={epoch}) must lie in 0..{len(self.history)}")
        self.stopped, self._chosen = reason, epoch

    # What the loop calls

    def __enter__(self) -> Course:
        self._entered = self._written = time.perf_counter()
        path = self._control.file
        if path is not None:
            remove_leftovers(path)
            if self._control.resume == "auto" and path.exists():
                self._go_on(path)
        for callback in self._control.callbacks:
            callback.on_start(self)
        self._mark()
        self._bar = progress_bar(
            "search", self._total, self._control.progress, self._unit, self._done
        )
        left = self._control.seconds_left
        self.supernet._engine.set_deadline(None if left is None else max(left, 0.0))
        return self

    def epochs(self) -> Iterator[int]:
        """The epochs that are left, from 0."""
        while self.epoch < self.config.epochs and self.stopped is None:
            yield self.epoch

    def steps(self, source: Source[Item]) -> Iterator[Item]:
        """What is left of an epoch."""
        for item in source.epoch():
            yield item
            left = self._control.seconds_left
            if left is not None and left <= 0:
                raise _core.OutOfTime
            if time.perf_counter() - self._written >= self._control.checkpoint_seconds:
                self._keep()

    def took(self, info: StepInfo, *, size: int, units: int = 1) -> None:
        """A step was taken, with this weight in the epoch's means."""
        row = [info.train_loss, info.train_correct, info.alpha_gradient_norm, size]
        self._rows = [*self._rows, row]  # not in place: what is marked stays
        self._done += units
        self.hidden = (info.hidden, info.valid_hidden)
        self._bar.update(units)
        for callback in self._control.callbacks:
            callback.on_step(self, info)
        self._mark()
        if self.stopped is not None:
            raise Stopped

    @property
    def train_loss(self) -> float:
        """Mean of the steps of this epoch."""
        losses, _, _, sizes = np.transpose(self._rows)
        return float(np.average(losses, weights=sizes))

    @property
    def train_accuracy(self) -> float:
        """Share of right answers in the steps of this epoch."""
        _, correct, _, sizes = np.transpose(self._rows)
        return float(correct.sum() / sizes.sum())

    def end_epoch(self, **entry: Any) -> None:
        """An epoch is over: complete its entry of the history, call the hooks, keep and show it."""
        alphas, genotype = self.supernet.alphas, self.supernet.genotype()
        full = {
            "epoch": self.epoch + 1,
            **entry,
            **{f"alpha_entropy_{name}": value for name, value in entropies(alphas).items()},
            "alpha_gradient_norm": float(np.mean([row[2] for row in self._rows])),
            "eigenvalue": self._eigenvalue() if self._wants_eigenvalue else None,
            "skips": skips(genotype),
            "seconds": self.seconds,
            "genotype": str(genotype),
        }
        self._result.history = [*self.history, full]
        self._result.alpha_history = {
            name: np.concatenate([self.alpha_history[name], a[np.newaxis]])
            for name, a in alphas.items()
        }
        self.epoch, self._rows, self.hidden = self.epoch + 1, [], (None, None)
        for callback in self._control.callbacks:
            callback.on_epoch(self, full)
        self._mark()
        self._keep()
        tell(self._bar, *self._lines(full, self.config, genotype))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self.supernet._engine.set_deadline(None)
        result = self._result
        ends = (Stopped, KeyboardInterrupt, _core.OutOfTime, _core.NonFinite)
        try:
            if error is not None and not isinstance(error, ends):
                return False
            result.interrupted = isinstance(error, KeyboardInterrupt)
            result.stopped = self.stopped
            if isinstance(error, _core.OutOfTime):
                result.stopped = f"the time budget of {self._control.time_budget:g} s was spent"
            result.alphas = self.supernet.alphas
            if self._chosen is not None:
                result.alphas = {name: a[self._chosen] for name, a in self.alpha_history.items()}
            # Between a step and its mark an interrupt leaves the file as it is.
            if self._step.steps == self._marked["step"]["steps"]:
                try:
                    self._keep()
                except KeyboardInterrupt:  # while it writes: the file before stays
                    result.interrupted = True
            for callback in self._control.callbacks:
                callback.on_end(self, result)
            if isinstance(error, _core.NonFinite):
                raise Diverged(str(error), result) from None
        finally:
            self._bar.close()
        return True

    # Its state

    def state(self) -> State:
        """All that changes, without copies: what a step changes in place are views."""
        course = {
            "epoch": self.epoch,
            "rows": self._rows,
            "done": self._done,
            "seconds": self.seconds,
            "stopped": self.stopped,
            "chosen": self._chosen,
            "hidden": self.hidden[0],
            "hidden_valid": self.hidden[1],
            "history": self.history,
            "alpha_history": self.alpha_history,
            "random": self._rng.bit_generator.state,
        }
        parts = {name: source.state() for name, source in self._sources.items()}
        return {"course": course, "step": self._step.state(), **parts}

    def restore(self, state: State) -> None:
        """Go on from what ``state`` gave."""
        course = state["course"]
        self.epoch, self._rows, self._done = course["epoch"], course["rows"], course["done"]
        self._seconds, self.stopped = course["seconds"], course["stopped"]
        self._chosen = course["chosen"]
        self.hidden = (course["hidden"], course["hidden_valid"])
        self._result.history = course["history"]
        self._result.alpha_history = course["alpha_history"]
        self._rng.bit_generator.state = course["random"]
        self._step.restore(state["step"])
        for name, source in self._sources.items():
            source.restore(state[name])

    def _mark(self) -> None:
        self._marked = self.state()

    def _keep(self) -> None:
        path = self._control.file
        if path is None:
            return
        try:
            write_checkpoint(path, self._identity, self._marked)
        except OSError as error:
            tell(
                self._bar,
                f"the checkpoint could not be written ({error}): the search goes on, and the one"
                " before stays",
                level=logging.WARNING,
            )
        self._written = time.perf_counter()

    def _go_on(self, path: Path) -> None:
        identity, state, instruction_set = read_checkpoint(path)
        found = difference(identity, self._identity)
        if found:
            raise CheckpointError(
                f"{path} is of another search ({found}): resume='never' replaces it"
            )
        self.restore(state)
        if instruction_set != _core.instruction_set():
            log.warning(
                "the search began with %s and goes on with %s: its last bits may differ",
                instruction_set,
                _core.instruction_set(),
            )

    def _eigenvalue(self) -> float:
        own = self.supernet.alphas

        def gradient(flat: NDArray[Any]) -> NDArray[Any]:
            self.supernet._engine.alphas[:] = flat
            parts = self._alpha_gradient()
            return np.concatenate([part.ravel() for part in parts.values()])

        flat = np.array(self.supernet._engine.alphas)
        try:
            return dominant_eigenvalue(gradient, flat)
        finally:
            self.supernet.set_alphas(own)


def progress_bar(
    name: str, steps: int, shown: bool, unit: str = "step", done: int = 0
) -> tqdm[Any]:
    """A bar on standard error, as wide as the terminal."""
    return tqdm(
        total=steps, desc=name, unit=unit, dynamic_ncols=True, disable=not shown, initial=done
    )


def tell(bar: tqdm[Any], line: str, *details: str, level: int = logging.INFO) -> None:
    """Show lines above the bar; without one, send the first to the logger ``pydarts``."""
    if bar.disable:
        log.log(level, line)
    else:
        bar.write("\n".join([line, *details]), file=bar.fp)
