# SPDX-License-Identifier: MIT
"""The loop of a search or a training, whatever it learns: position, history, callbacks,
checkpoints, budgets, and all the ways in which it can end.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Protocol, TypeVar

import numpy as np

from pydarts import _core
from pydarts.common.errors import ArgumentError
from pydarts.common.files import remove_leftovers
from pydarts.common.termination import Termination
from pydarts.training.checkpoint import (
    CheckpointError,
    State,
    difference,
    fingerprint,
    read_checkpoint,
    write_checkpoint,
)
from pydarts.training.history import History
from pydarts.training.progress import log, log_line, progress_bar
from pydarts.training.run_options import TRAIN_CHECKPOINT, RunOptions
from pydarts.training.task import BatchSource, RunData, Task

Self = TypeVar("Self", bound="TrainingLoop")
Item = TypeVar("Item")


class Diverged(ArithmeticError):
    """A loss or gradient stopped being finite; ``result`` holds what there is."""

    def __init__(self, message: str, result: Any):
        super().__init__(message)
        self.result = result


class Stopped(Exception):
    """Leaves the loops of a run that a callback stopped."""


class Resumable(Protocol):
    """What has a state that a checkpoint can hold."""

    def state(self) -> State: ...

    def restore(self, state: State) -> None: ...


class TrainingLoop:
    """Epochs of steps that can be watched, bounded, left and taken up again.

    Within ``with loop:`` a Python loop over `epochs` holds one over `steps`, which takes a step and
    calls `on_step_end`; after the steps comes `on_epoch_end`. Ctrl-C, SIGTERM where a `Termination`
    handles it, and the time budget leave the loops between two steps, or in a call of the engine,
    which then changes nothing. A snapshot is taken of the state after each step, and a checkpoint
    always holds a snapshot. It fits a run of the same configuration, genotype and data.

    Parameters
    ----------
    task : Task
    data : RunData
        Of this run.
    result : object
        What comes of the run: it has a configuration, and gets history and outcome.
    network : EngineNetwork
        What learns.
    step : SearchStep or SGD
    parts : mapping of str to Resumable
        What else changes in a step, beside step, batches and data.
    rng : numpy.random.Generator
        Draws the order of the data.
    run : RunOptions
    identity : mapping
        What must be the same in a run that goes on from a checkpoint, beside configuration and
        data.
    finish : callable, optional
        What is left to do when the state is saved, before the callbacks see the result.

    Attributes
    ----------
    config : Config
        Of the run.
    network : EngineNetwork
        As it is now.
    space : Space
        Of the genotypes.
    history : list of dict
        As in the result; until now.
    epoch, step : int
        How many epochs, and how many steps of the present epoch, are done.
    stopped : str or None
        Why it was stopped, if it was.
    """

    name = "train"
    checkpoint_name = TRAIN_CHECKPOINT

    def __init__(
        self,
        task: Task,
        data: RunData,
        result: Any,
        network: Any,
        step: Any,
        parts: Mapping[str, Resumable],
        rng: np.random.Generator,
        run: RunOptions,
        identity: Mapping[str, Any],
        finish: Callable[[], None] = lambda: None,
    ):
        self._task, self._data, self._result = task, data, result
        self._step, self._rng, self._run, self._finish = step, rng, run, finish
        self._parts: dict[str, Resumable] = {
            "step": step,
            "batches": data.batches,
            "data": data,
            **parts,
        }
        self._ranks = task.ranks
        self._path = None if run.checkpoint is None else Path(run.checkpoint) / self.checkpoint_name
        self._identity: dict[str, Any] = {"config": result.config.to_dict(), **identity}
        if run.checkpoint is not None:
            self._identity["data"] = fingerprint(*data.arrays)
            self._identity["outputs"] = task.outputs
        self.config, self.network, self.space = result.config, network, result.space
        self.epoch = 0
        self.stopped: str | None = None
        self._rows: list[list[float]] = []  # of the epoch's steps: loss, correct predictions, size
        self._units_done = 0
        self._earlier_seconds = 0.0
        self._interrupted = False  # by Ctrl-C or SIGTERM

    @property
    def history(self) -> History:
        history: History = self._result.history
        return history

    @property
    def num_epochs(self) -> int:
        """Epochs of the whole run."""
        return int(self.config.epochs)

    @property
    def of_first_rank(self) -> bool:
        """Whether this process is the only one of the run, or the first of several."""
        return self._ranks.first

    @property
    def step(self) -> int:
        return len(self._rows)

    @property
    def steps_done(self) -> int:
        """Steps of all epochs."""
        return int(self._step.steps)

    @property
    def seconds(self) -> float:
        """Time since the start, that of earlier runs included."""
        return self._earlier_seconds + time.perf_counter() - self._entered

    def stop(self, reason: str, *, epoch: int | None = None) -> None:
        """End the run after the hooks that run now.

        Parameters
        ----------
        reason : str
            For ``result.stopped``.
        epoch : int, optional
            In a search, the epoch whose α, and thus whose cell, the result is to have; 0: the
            initial one. By default the last.
        """
        if epoch is not None:
            raise ArgumentError("epoch", f"(={epoch}) is for searches")
        self.stopped = reason

    # What the run calls

    def __enter__(self: Self) -> Self:
        self._entered = self._written = time.perf_counter()
        self._saved: State | None = None
        self._resume(self._ranks.on_first(self._find_checkpoint))
        for callback in self._run.callbacks:
            callback.on_start(self)
        self._agree_on_end()
        self._take_snapshot()
        self._bar = progress_bar(
            self.name,
            self.num_epochs * self._data.units,
            self._run.progress,
            self._task.unit,
            self._units_done,
        )
        left = self._run.seconds_left
        self.network.set_deadline(None if left is None else max(left, 0.0))
        self._handlers: dict[int, Any] = {}  # that were there before
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                before = signal.getsignal(number)
                if before is signal.default_int_handler or isinstance(before, Termination):
                    self._handlers[number] = before
                    signal.signal(number, self._handle_signal)
        return self

    def epochs(self) -> Iterator[int]:
        """The epochs that are left, from 0."""
        while self.epoch < self.num_epochs and self.stopped is None:
            yield self.epoch

    def steps(self, batches: BatchSource[Item]) -> Iterator[Item]:
        """What is left of an epoch."""
        for item in batches.epoch():
            self.check_time()
            if time.perf_counter() - self._written >= self._run.checkpoint_seconds:
                self._save_checkpoint()
            yield item

    def check_time(self) -> None:
        """Leave the loops if Ctrl-C was pressed or the time budget is spent."""
        left = self._run.seconds_left
        if self._ranks.any(self._interrupted or (left is not None and left <= 0)):
            raise _core.OutOfTime

    def on_step_end(self, batch: Any, info: Any) -> None:
        """Note a step on a batch."""
        self._data.carry(info)
        size, units = self._data.size(batch)
        self._rows = [*self._rows, [info.train_loss, info.train_correct, size]]
        self._units_done += units
        self._bar.update(units)
        self.note_step(info)
        for callback in self._run.callbacks:
            callback.on_step_end(self, info)
        self._agree_on_end()
        self._take_snapshot()
        if self.stopped is not None:
            raise Stopped

    @property
    def train_loss(self) -> float:
        """Mean of the steps of this epoch."""
        losses, _, sizes = np.transpose(self._rows)
        return float(np.average(losses, weights=sizes))

    @property
    def train_accuracy(self) -> float:
        """Share of correct predictions in the steps of this epoch."""
        _, correct, sizes = np.transpose(self._rows)
        return float(correct.sum() / sizes.sum())

    def on_epoch_end(self, metrics: Mapping[str, Any]) -> None:
        """Complete the epoch's entry of the history, keep and show it."""
        self._data.end_epoch()
        entry = {"epoch": self.epoch + 1, **metrics, **self.measure_epoch()}
        self._result.history = [*self.history, entry]
        self.epoch, self._rows = self.epoch + 1, []
        self.note_epoch()
        for callback in self._run.callbacks:
            callback.on_epoch_end(self, entry)
        self._agree_on_end()
        self._take_snapshot()
        self._save_checkpoint()
        if self._run.log_epochs:
            log_line(self._bar, *self.lines(entry))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        ends = (Stopped, KeyboardInterrupt, _core.OutOfTime, _core.NonFinite)
        result = self._result
        try:
            self.network.set_deadline(None)
            if error is not None and not isinstance(error, ends):
                return False
            if self._ranks.several:
                if isinstance(error, KeyboardInterrupt):  # the other ranks know nothing of it
                    return False
                self._interrupted = self._ranks.any(self._interrupted)
            # One that comes through may have come anywhere: a hook raised it, or the second Ctrl-C.
            anywhere = isinstance(error, KeyboardInterrupt)
            result.seconds = self.seconds
            if not anywhere and self._saved is not self._snapshot:
                try:
                    self._save_checkpoint()
                except KeyboardInterrupt:  # the file before stays
                    anywhere = True
            result.interrupted = self._interrupted or anywhere
            result.stopped = self.stopped
            if isinstance(error, _core.OutOfTime) and not self._interrupted:
                result.stopped = f"the time budget of {self._run.time_budget:g} s is spent"
            self.complete_result()
            for callback in self._run.callbacks:
                callback.on_end(self, result)
            if isinstance(error, _core.NonFinite):
                raise Diverged(str(error), result) from None
        finally:
            self._bar.close()
            for number, before in self._handlers.items():
                signal.signal(number, before)
            self.network.set_deadline(None)  # of a Ctrl-C that came meanwhile
            if not self._ranks.several:  # which would have to agree
                result.interrupted |= self._interrupted
        return True

    # What a search adds

    def note_step(self, info: Any) -> None:
        """Keep what the epoch's entry will need of a step."""

    def measure_epoch(self) -> dict[str, Any]:
        """What the loop itself adds to an epoch's entry."""
        return {"seconds": self.seconds}

    def lines(self, entry: Mapping[str, Any]) -> list[str]:
        """The lines to show of an epoch."""
        return [self._task.epoch_line(entry, self.num_epochs)]

    def note_epoch(self) -> None:
        """Keep what the result needs of an epoch."""

    def complete_result(self) -> None:
        """Give the result what it needs, however the run ended, but for an error."""
        self._finish()

    # Its state

    def state(self) -> State:
        """All that changes but the parts, without copies. Lists are replaced, never changed."""
        return {
            "epoch": self.epoch,
            "rows": self._rows,
            "done": self._units_done,
            "seconds": self.seconds,
            "stopped": self.stopped,
            "history": self.history,
            "random": self._rng.bit_generator.state,
        }

    def restore(self, state: State) -> None:
        """Go on from what ``state`` gave."""
        self.epoch, self._rows, self._units_done = state["epoch"], state["rows"], state["done"]
        self._earlier_seconds, self.stopped = state["seconds"], state["stopped"]
        self._result.history = state["history"]
        self._rng.bit_generator.state = state["random"]

    def _take_snapshot(self) -> None:
        parts = {name: part.state() for name, part in self._parts.items()}
        self._snapshot = {"loop": self.state(), **parts}

    def _save_checkpoint(self) -> None:
        if self._path is None:
            return
        try:
            write_checkpoint(self._path, self._identity, self._snapshot)
            self._saved = self._snapshot
        except OSError as error:
            log_line(
                self._bar,
                f"the checkpoint could not be written ({error}): the work goes on, and the one"
                " before stays",
                level=logging.WARNING,
            )
        self._written = time.perf_counter()

    def _agree_on_end(self) -> None:
        """Of several ranks all end where the first one does: a callback may go by the time."""
        if self._run.callbacks:
            self.stopped = self._ranks.of_first(self.stopped)

    def _find_checkpoint(self) -> State | None:
        """The state to go on from, if there is a checkpoint, having seen that it is of this run."""
        if self._path is None:
            return None
        remove_leftovers(self._path)
        if not self._run.resumable_file(self._path.name):
            return None
        saved = read_checkpoint(self._path)
        config = saved.identity["config"]
        with suppress(TypeError, ValueError):  # of another task: the difference says so
            config = type(self.config).from_dict(config).to_dict()
        outputs = self._identity["outputs"]  # which checkpoints of earlier versions do not hold
        there = {"outputs": outputs, **saved.identity, "config": config}
        found = difference(there, self._identity)
        if found:
            raise CheckpointError(f"{self._path} is of another run ({found})")
        if saved.instruction_set != _core.instruction_set():
            log.warning(
                "what began with %s goes on with %s: its last bits may differ",
                saved.instruction_set,
                _core.instruction_set(),
            )
        return saved.state

    def _resume(self, state: State | None) -> None:
        if state is None:
            return
        self.restore(state["loop"])
        for name, part in self._parts.items():
            part.restore(state.get(name, {}))

    def _handle_signal(self, number: int, frame: FrameType | None) -> None:
        """End the step that runs, or wait for its snapshot; a second Ctrl-C does not."""
        self._interrupted = True
        self.network.set_deadline(0.0)
        before = self._handlers[number]
        if isinstance(before, Termination):
            before.asked = True
        else:
            signal.signal(number, before)
