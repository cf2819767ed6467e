# SPDX-License-Identifier: MIT
"""What can look at a search or a training while it runs, and stop it."""

from __future__ import annotations

import importlib
import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from pydarts.common.checks import integer, number
from pydarts.common.errors import ArgumentError

if TYPE_CHECKING:
    from pydarts.training.loop import TrainingLoop


class Callback:
    """Hooks of a search or a training, for subclasses.

    ``loop`` has ``config``, ``network``, ``history``, ``epoch`` and ``step`` (how many are done)
    and ``stop(reason)``, which ends the run once the hooks have run; that of a search has
    ``alpha_history`` as well, and its ``network`` is the supernet.

    A run that goes on from a checkpoint begins with ``on_start``, and ``loop.history`` holds the
    epochs before: a callback that derives what it knows from there goes on as well. After a kill,
    steps and an epoch since the checkpoint may be seen a second time.
    """

    needs_eigenvalue = False
    """Whether the history of the search is to hold the dominant eigenvalue."""
    search_only = False
    """Whether it makes sense in a search alone: a training refuses it."""

    def on_start(self, loop: TrainingLoop) -> None:
        """Run before the first step."""

    def on_step_end(self, loop: TrainingLoop, info: Any) -> None:
        """Run after each step, with what it saw: `StepInfo`, in a training `SGDInfo`."""

    def on_epoch_end(self, loop: TrainingLoop, entry: dict[str, Any]) -> None:
        """Run after each epoch, with its entry of the history."""

    def on_end(self, loop: TrainingLoop, result: Any) -> None:
        """Run after the last step, however the run ended, but for an error."""


_LARGER = ("accuracy", "average_precision", "f1", "r2")


class EarlyStopping(Callback):
    """Stop when a number of the history has not improved for some epochs.

    Parameters
    ----------
    monitor : str
        Its key in the history. Larger is better if it ends in ``accuracy``, ``average_precision``,
        ``f1`` or ``r2``, else smaller.
    patience : int
        Epochs without an improvement after which to stop.
    min_delta : float
        What counts as an improvement.

    Raises
    ------
    ValueError
        After the first epoch, where the history has no such number.
    """

    def __init__(self, monitor: str = "valid_loss", patience: int = 5, min_delta: float = 0.0):
        self.monitor, self.min_delta = monitor, number("min_delta", min_delta)
        self.patience = integer("patience", patience, 1)

    def on_epoch_end(self, loop: TrainingLoop, entry: dict[str, Any]) -> None:
        # None: not measured, as the eigenvalue while a selector tunes the supernet.
        values = [v for each in loop.history if (v := each.get(self.monitor)) is not None]
        if not values or not isinstance(values[-1], (int, float)):
            numbers = ", ".join(k for k, v in entry.items() if isinstance(v, (int, float)))
            raise ArgumentError("monitor", f"(={self.monitor!r}) must be one of {numbers}")
        sign = -1.0 if self.monitor.endswith(_LARGER) else 1.0
        best, since = math.inf, 0
        for value in (sign * each for each in values):
            best, since = (value, 0) if value < best - self.min_delta else (best, since + 1)
        if since >= self.patience:
            loop.stop(f"{self.monitor} has not improved for {since} epochs")


class StopOnSkipCollapse(Callback):
    """Stop a search when the normal cell has more than ``limit`` skip connections, and return the
    last cell that had not; of recurrent cells, more than so many identities.

    A known way for differentiable search to fail; Liang et al., *DARTS+*, arXiv:1909.06035, stop it
    so. If the first epoch's cell has too many, the result has the initial α, whose cell is chance.

    Parameters
    ----------
    limit : int
        Skip connections that are allowed.
    """

    search_only = True

    def __init__(self, limit: int = 2):
        self.limit = integer("limit", limit, 0)

    def on_epoch_end(self, loop: TrainingLoop, entry: dict[str, Any]) -> None:
        if entry["skips"] > self.limit:
            loop.stop(
                f"the {loop.space.cells[0].name} cell has {entry['skips']} skips after epoch"
                f" {loop.epoch}, more than {self.limit}: the cell is that of the epoch before",
                epoch=loop.epoch - 1,
            )


class EigenvalueStopping(Callback):
    """Stop a search before the validation loss becomes sharp in α, as RobustDARTS does.

    With l(t) the dominant eigenvalue of the Hessian of the validation loss with respect to α after
    epoch t, and m(t) the mean of l(t - window + 1), ..., l(t): stop after epoch t if
    ``m(t) > factor * m(t - window)``, and return the cell of epoch t - window. It needs two windows
    of epochs. Zela et al., *Understanding and Robustifying Differentiable Architecture Search*,
    arXiv:1909.09656, section 4. The defaults are their code's, which however measures every second
    epoch, centres the windows and compares 8 epochs apart.

    Parameters
    ----------
    window : int
        Epochs of a mean, and how far apart the means are that are compared.
    factor : float
        By which the mean may grow.
    from_epoch : int
        Before which the search is not stopped.
    """

    needs_eigenvalue = search_only = True

    def __init__(self, window: int = 5, factor: float = 1.3, from_epoch: int = 10):
        self.window, self.factor = integer("window", window, 1), number("factor", factor, 1)
        self.from_epoch = integer("from_epoch", from_epoch, 1)

    def on_epoch_end(self, loop: TrainingLoop, entry: dict[str, Any]) -> None:
        values = [each["eigenvalue"] for each in loop.history]
        before, now = values[-2 * self.window : -self.window], values[-self.window :]
        if loop.epoch < self.from_epoch or len(before) < self.window or None in before + now:
            return
        if np.mean(now) > self.factor * np.mean(before) > 0:
            loop.stop(
                f"the dominant eigenvalue rose from {np.mean(before):.3g} to {np.mean(now):.3g}"
                f" within {self.window} epochs: the cell is that of epoch"
                f" {loop.epoch - self.window}",
                epoch=loop.epoch - self.window,
            )


class TensorBoard(Callback):
    """Write the numbers of the history, and of each step, for TensorBoard.

    Parameters
    ----------
    log_dir : path
        Folder to write to, by the first of several ranks alone. A run that goes on from a
        checkpoint goes on there, too: what was written after the checkpoint is superseded.

    Raises
    ------
    ImportError
        Without tensorboardX: ``pip install 'pydarts-nas[tensorboard]'``.
    """

    def __init__(self, log_dir: str | os.PathLike[str]):
        try:
            module = importlib.import_module("tensorboardX")
        except ImportError as error:
            raise ImportError(
                "`TensorBoard` needs tensorboardX: pip install 'pydarts-nas[tensorboard]'"
            ) from error
        self._open, self.log_dir = module.SummaryWriter, os.fspath(log_dir)
        self._file: Any = None

    def on_start(self, loop: TrainingLoop) -> None:
        if not loop.of_first_rank:
            return
        done = loop.steps_done
        self._file = self._open(
            self.log_dir,
            purge_step=done + 1 if done else None,
            filename_suffix=f".{done:09}",  # or a second file of the same second replaces the first
        )

    def on_step_end(self, loop: TrainingLoop, info: Any) -> None:
        if self._file is None:
            return
        for name in ("train_loss", "valid_loss", "gradient_norm", "alpha_gradient_norm"):
            value = getattr(info, name, None)
            if value is not None:
                self._file.add_scalar(f"step/{name}", value, loop.steps_done)

    def on_epoch_end(self, loop: TrainingLoop, entry: dict[str, Any]) -> None:
        if self._file is None:
            return
        for name, value in entry.items():
            if isinstance(value, (int, float)) and name != "epoch":
                self._file.add_scalar(f"epoch/{name}", value, loop.steps_done)
        if "genotype" in entry:
            self._file.add_text("genotype", entry["genotype"], loop.steps_done)
        self._file.flush()

    def on_end(self, loop: TrainingLoop, result: Any) -> None:
        if self._file is not None:
            self._file.close()
