# SPDX-License-Identifier: MIT
"""The course of a run, whatever it learns from: position, history, callbacks, checkpoints, budgets,
and all the ways in which it can end.
"""

from __future__ import annotations

import logging
import math
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pydarts import _core
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.engine.network import Alphas, EngineNetwork
from pydarts.methods.bilevel import BilevelStep, StepInfo
from pydarts.methods.diagnostics import dominant_eigenvalue, entropies, skips
from pydarts.training.callbacks import Callback
from pydarts.training.checkpoint import (
    CheckpointError,
    State,
    difference,
    fingerprint,
    read_checkpoint,
    remove_leftovers,
    write_checkpoint,
)
from pydarts.training.result import History, Result

CHECKPOINT, TRAIN_CHECKPOINT = "checkpoint.safetensors", "train_checkpoint.safetensors"

Self = TypeVar("Self", bound="Course")
Item = TypeVar("Item")
Item_co = TypeVar("Item_co", covariant=True)

log = logging.getLogger("pydarts")


class Diverged(ArithmeticError):
    """A loss or gradient stopped being finite; ``result`` holds what there is."""

    def __init__(self, message: str, result: Any):
        super().__init__(message)
        self.result = result


class Stopped(Exception):
    """Leaves the loops of a search that a callback stopped."""


class Resumable(Protocol):
    """What has a state that a checkpoint can hold."""

    def state(self) -> State: ...

    def restore(self, state: State) -> None: ...


class Source(Protocol[Item_co]):
    """What gives batches."""

    def epoch(self) -> Iterator[Item_co]:
        """What is left of the present epoch."""
        ...


@dataclass(frozen=True)
class Control:
    """How a run is watched, kept and bounded. `pydarts.search` tells what each option means."""

    progress: bool = True
    callbacks: Sequence[Callback] = ()
    eigenvalue: bool = False
    checkpoint: str | os.PathLike[str] | None = None
    checkpoint_seconds: float = 60.0
    resume: str = "auto"
    time_budget: float | str | None = None
    memory_budget: int | str | None = None
    name: str = CHECKPOINT
    started: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        if not isinstance(self.callbacks, (list, tuple)) or not all(
            isinstance(callback, Callback) for callback in self.callbacks
        ):
            raise ArgumentTypeError(
                "callbacks", f"(={self.callbacks!r}) must be a list of pydarts.Callback"
            )
        if self.resume not in ("auto", "never"):
            raise ArgumentError("resume", f"(={self.resume!r}) must be 'auto' or 'never'")
        if not 0 <= self.checkpoint_seconds < math.inf:
            raise ArgumentError(
                "checkpoint_seconds", f"(={self.checkpoint_seconds}) must be at least 0"
            )
        for name, units in (("time_budget", _SECONDS), ("memory_budget", _BYTES)):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _quantity(name, value, units))

    @property
    def file(self) -> Path | None:
        """The checkpoint."""
        return None if self.checkpoint is None else Path(self.checkpoint) / self.name

    @property
    def goes_on(self) -> bool:
        """Whether there is a checkpoint to begin from."""
        return self.resume == "auto" and self.file is not None and self.file.exists()

    @property
    def seconds_left(self) -> float | None:
        """What is left of the time budget."""
        if self.time_budget is None:
            return None
        return float(self.time_budget) - (time.perf_counter() - self.started)


def training_control(
    progress: bool,
    checkpoint: str | os.PathLike[str] | None,
    checkpoint_seconds: float,
    resume: str,
) -> Control:
    """What of it a training has."""
    return Control(
        progress,
        checkpoint=checkpoint,
        checkpoint_seconds=checkpoint_seconds,
        resume=resume,
        name=TRAIN_CHECKPOINT,
    )


_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
_BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def _quantity(name: str, value: object, units: Mapping[str, int]) -> float:
    number, factor = value, 1
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([0-9.]+)\s*([A-Za-z]+)\s*", value)
        known = {unit.lower(): factor for unit, factor in units.items()}
        if not match or match[1].count(".") > 1 or match[2].lower() not in known:
            some = ", ".join(units)
            raise ArgumentError(name, f"(={value!r}) must be a number with one of the units {some}")
        number, factor = float(match[1].strip(".") or 0), known[match[2].lower()]
    if isinstance(number, bool) or not isinstance(number, (int, float, np.integer, np.floating)):
        raise ArgumentTypeError(name, f"(={value!r}) must be a number, or a text with a unit")
    if not 0 < number < math.inf:
        raise ArgumentError(name, f"(={value!r}) must be more than 0")
    return float(number) * factor


class Course:
    """A run of epochs of steps that can be watched, bounded, left and taken up again.

    Within ``with course:`` a loop over `epochs` holds one over `steps`, which takes a step and
    calls `took`; after the steps comes `end_epoch`. Ctrl-C and the time budget leave the loops
    between two steps, or in a call of the engine, which then changes nothing. The state after the
    last step is marked, and a checkpoint is always of what is marked. It fits a run of the same
    configuration, ``cell`` and ``data``.

    Attributes
    ----------
    config
        Of the run.
    history
        As in the result; until now.
    epoch, step : int
        How many epochs, and how many steps of the present epoch, are done.
    stopped : str or None
        Why it was stopped, if it was.
    hidden : tuple
        Over text, the states with which the next segments begin.
    """

    def __init__(
        self,
        name: str,
        result: Any,
        network: EngineNetwork,
        rng: np.random.Generator,
        parts: Mapping[str, Resumable],
        control: Control,
        *,
        data: Iterable[NDArray[Any]],
        cell: str | None = None,
        total: int,
        lines: Callable[[dict[str, Any]], list[str]],
        unit: str = "step",
    ):
        self._name, self._result, self._network, self._rng = name, result, network, rng
        self._parts, self._control = dict(parts), control
        self._identity: dict[str, Any] = {"config": result.config.to_dict(), "genotype": cell}
        if control.checkpoint is not None:
            self._identity["data"] = fingerprint(*data)
        self._total, self._unit, self._lines = total, unit, lines
        self.config = result.config
        self.epoch = 0
        self.stopped: str | None = None
        self.hidden: tuple[Any, Any] = (None, None)
        self._rows: list[list[float]] = []  # of the epoch's steps: loss, right answers, size
        self._done = 0  # units of the bar
        self._seconds = 0.0  # of earlier runs
        self._pressed = False  # Ctrl-C

    @property
    def history(self) -> History:
        found: History = self._result.history
        return found

    @property
    def step(self) -> int:
        return len(self._rows)

    @property
    def seconds(self) -> float:
        """Since the start, that of earlier runs included."""
        return self._seconds + time.perf_counter() - self._entered

    # What the loop calls

    def __enter__(self: Self) -> Self:
        self._entered = self._written = time.perf_counter()
        self._kept: State | None = None
        path = self._control.file
        if path is not None:
            remove_leftovers(path)
            if self._control.goes_on:
                self._go_on(path)
        self.begin()
        self._mark()
        self._bar = progress_bar(
            self._name, self._total, self._control.progress, self._unit, self._done
        )
        left = self._control.seconds_left
        self._network._engine.set_deadline(None if left is None else max(left, 0.0))
        self._handler = None
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._handler = signal.signal(signal.SIGINT, self._press)
        return self

    def epochs(self) -> Iterator[int]:
        """The epochs that are left, from 0."""
        while self.epoch < self.config.epochs and self.stopped is None:
            yield self.epoch

    def steps(self, source: Source[Item]) -> Iterator[Item]:
        """What is left of an epoch."""
        for item in source.epoch():
            left = self._control.seconds_left
            if self._pressed or (left is not None and left <= 0):
                raise _core.OutOfTime
            if time.perf_counter() - self._written >= self._control.checkpoint_seconds:
                self._keep()
            yield item

    def took(self, info: Any, *, size: int, units: int = 1) -> None:
        """A step was taken, which has this weight in the epoch's means."""
        self._rows = [*self._rows, [info.train_loss, info.train_correct, size]]
        self.hidden = (info.hidden, info.valid_hidden)
        self._done += units
        self._bar.update(units)
        self.after_step(info)
        self._mark()
        if self.stopped is not None:
            raise Stopped

    @property
    def train_loss(self) -> float:
        """Mean of the steps of this epoch."""
        losses, _, sizes = np.transpose(self._rows)
        return float(np.average(losses, weights=sizes))

    @property
    def train_accuracy(self) -> float:
        """Share of right answers in the steps of this epoch."""
        _, correct, sizes = np.transpose(self._rows)
        return float(correct.sum() / sizes.sum())

    def end_epoch(self, **entry: Any) -> None:
        """An epoch is over: complete its entry of the history, keep and show it."""
        entry = {"epoch": self.epoch + 1, **self.complete(entry)}
        self._result.history = [*self.history, entry]
        self.epoch, self._rows, self.hidden = self.epoch + 1, [], (None, None)
        self.after_epoch(entry)
        self._mark()
        self._keep()
        tell(self._bar, *self._lines(entry))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        ends = (Stopped, KeyboardInterrupt, _core.OutOfTime, _core.NonFinite)
        try:
            self._network._engine.set_deadline(None)
            if error is not None and not isinstance(error, ends):
                return False
            # One that comes through may have come anywhere: a hook raised it, or the second Ctrl-C.
            anywhere = isinstance(error, KeyboardInterrupt)
            self._result.seconds = self.seconds
            if not anywhere and self._kept is not self._marked:
                try:
                    self._keep()
                except KeyboardInterrupt:  # the file before stays
                    anywhere = True
            self._result.interrupted = self._pressed or anywhere
            self.finish(out_of_time=isinstance(error, _core.OutOfTime) and not self._pressed)
            if isinstance(error, _core.NonFinite):
                raise Diverged(str(error), self._result) from None
        finally:
            self._bar.close()
            if self._handler is not None:
                signal.signal(signal.SIGINT, self._handler)
        return True

    # What a search adds

    def begin(self) -> None:
        """Before the first step."""

    def after_step(self, info: Any) -> None:
        """After each, before it is marked."""

    def complete(self, entry: dict[str, Any]) -> dict[str, Any]:
        """What the history holds of an epoch."""
        return {**entry, "seconds": self.seconds}

    def after_epoch(self, entry: dict[str, Any]) -> None:
        """After each, before it is marked."""

    def finish(self, *, out_of_time: bool) -> None:
        """However it ended, but for an error."""

    # Its state

    def state(self) -> State:
        """All that changes but the parts, without copies. Lists are replaced, never changed."""
        return {
            "epoch": self.epoch,
            "rows": self._rows,
            "done": self._done,
            "seconds": self.seconds,
            "stopped": self.stopped,
            "hidden_size": self.hidden_size[0],
            "hidden_valid": self.hidden[1],
            "history": self.history,
            "random": self._rng.bit_generator.state,
        }

    def restore(self, state: State) -> None:
        """Go on from what ``state`` gave."""
        self.epoch, self._rows, self._done = state["epoch"], state["rows"], state["done"]
        self._seconds, self.stopped = state["seconds"], state["stopped"]
        self.hidden = (state["hidden"], state["hidden_valid"])
        self._result.history = state["history"]
        self._rng.bit_generator.state = state["random"]

    def _mark(self) -> None:
        parts = {name: part.state() for name, part in self._parts.items()}
        self._marked = {"course": self.state(), **parts}

    def _keep(self) -> None:
        path = self._control.file
        if path is None:
            return
        try:
            write_checkpoint(path, self._identity, self._marked)
            self._kept = self._marked
        except OSError as error:
            tell(
                self._bar,
                f"the checkpoint could not be written ({error}): the work goes on, and the one"
                " before stays",
                level=logging.WARNING,
            )
        self._written = time.perf_counter()

    def _go_on(self, path: Path) -> None:
        identity, state, instruction_set = read_checkpoint(path)
        found = difference(identity, self._identity)
        if found:
            raise CheckpointError(f"{path} is of another run ({found}): to begin anew, remove it")
        self.restore(state["course"])
        for name, part in self._parts.items():
            part.restore(state[name])
        if instruction_set != _core.instruction_set():
            log.warning(
                "what began with %s goes on with %s: its last bits may differ",
                instruction_set,
                _core.instruction_set(),
            )

    def _press(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-C ends the step that runs, or waits until it is marked; a second one does not."""
        self._pressed = True
        self._network._engine.set_deadline(0.0)
        signal.signal(signal.SIGINT, signal.default_int_handler)


class SearchCourse(Course):
    """A search that runs, as callbacks see it.

    ``probe`` gives the validation loss and its gradients, always on the same batch.

    Attributes
    ----------
    supernet
        As it is now.
    alpha_history
        As in the result; until now.
    steps_done : int
        Steps of all epochs.
    """

    def __init__(
        self,
        result: Result,
        step: BilevelStep,
        rng: np.random.Generator,
        sources: Mapping[str, Resumable],
        control: Control,
        *,
        data: Iterable[NDArray[Any]],
        total: int,
        lines: Callable[[dict[str, Any]], list[str]],
        unit: str = "step",
        probe: Callable[[], tuple[float, dict[str, Alphas]]],
    ):
        parts = {"step": step, **sources}
        network = result.supernet
        super().__init__(
            *("search", result, network, rng, parts, control),
            data=data,
            total=total,
            lines=lines,
            unit=unit,
        )
        self.supernet, self._step, self._probe = network, step, probe
        self._callbacks = control.callbacks
        self._wants_eigenvalue = control.eigenvalue or any(
            callback.needs_eigenvalue for callback in self._callbacks
        )
        self._norms: list[float] = []  # of the gradients by the alphas in the epoch's steps
        self._chosen: int | None = None  # the epoch whose alphas count, if not the last

    @property
    def alpha_history(self) -> Alphas:
        found: Alphas = self._result.alpha_history
        return found

    @property
    def steps_done(self) -> int:
        return self._step.steps

    def stop(self, reason: str, *, epoch: int | None = None) -> None:
        """End the search after the hooks that run now.

        Parameters
        ----------
        reason : for ``result.stopped``.
        epoch : whose alphas, and thus whose cell, the result is to have, from 0, the initial ones;
            None: the last.
        """
        if epoch is not None and not 0 <= epoch <= len(self.history):
            raise ArgumentError("epoch", f"(={epoch}) must lie in 0..{len(self.history)}")
        self.stopped, self._chosen = reason, epoch

    def begin(self) -> None:
        for callback in self._callbacks:
            callback.on_start(self)

    def after_step(self, info: StepInfo) -> None:
        self._norms = [*self._norms, info.alpha_gradient_norm]
        for callback in self._callbacks:
            callback.on_step(self, info)

    def complete(self, entry: dict[str, Any]) -> dict[str, Any]:
        alphas, genotype = self.supernet.alphas, self.supernet.genotype()
        more = {
            **{f"alpha_entropy_{name}": value for name, value in entropies(alphas).items()},
            "alpha_gradient_norm": float(np.mean(self._norms)),
            "eigenvalue": self._eigenvalue() if self._wants_eigenvalue else None,
            "skips": skips(genotype),
        }
        return {**super().complete({**entry, **more}), "genotype": str(genotype)}

    def after_epoch(self, entry: dict[str, Any]) -> None:
        self._norms = []
        self._result.alpha_history = {
            name: np.concatenate([self.alpha_history[name], a[np.newaxis]])
            for name, a in self.supernet.alphas.items()
        }
        for callback in self._callbacks:
            callback.on_epoch(self, entry)

    def finish(self, *, out_of_time: bool) -> None:
        result = self._result
        result.stopped = self.stopped
        if out_of_time:
            result.stopped = f"the time budget of {self._control.time_budget:g} s is spent"
        result.alphas = self.supernet.alphas
        if self._chosen is not None:
            result.alphas = {name: a[self._chosen] for name, a in self.alpha_history.items()}
        for callback in self._callbacks:
            callback.on_end(self, result)

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
        flat = self.supernet._engine.alphas
        own = np.array(flat)

        def gradient(at: NDArray[Any]) -> NDArray[Any]:
            flat[:] = at
            _, gradients = self._probe()
            return np.concatenate([part.ravel() for part in gradients["alphas"].values()])

        try:
            return dominant_eigenvalue(gradient, own)
        finally:
            flat[:] = own


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
