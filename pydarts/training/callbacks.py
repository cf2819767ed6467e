# SPDX-License-Identifier: MIT
"""What can look at a search while it runs, and stop it."""

from __future__ import annotations

import importlib
import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from pydarts.common.checks import integer
from pydarts.common.errors import ArgumentError
from pydarts.spaces.darts import Genotype

if TYPE_CHECKING:
    from pydarts.methods.bilevel import StepInfo
    from pydarts.training.loop import SearchCourse
    from pydarts.training.result import Result


class Callback:
    """Hooks of a search, for subclasses.

    ``search`` has ``config``, ``supernet``, ``history``, ``alpha_history``, ``epoch`` and ``step``
    (how many are done), and ``stop(reason)``, which ends the search once the hooks have run.

    A search that goes on from a checkpoint begins with ``on_start``, and ``search.history`` holds
    the epochs before: a callback that derives what it knows from there goes on as well. After a
    kill, steps and an epoch since the checkpoint may be seen a second time.
    """

    needs_eigenvalue = False
    """Whether the history is to hold the dominant eigenvalue."""

    def on_start(self, search: SearchCourse) -> None:
        """Before the first step."""

    def on_step(self, search: SearchCourse, info: StepInfo) -> None:
        """After each step."""

    def on_epoch(self, search: SearchCourse, entry: dict[str, Any]) -> None:
        """After each epoch, with what the history holds of it."""

    def on_end(self, search: SearchCourse, result: Result) -> None:
        """After the last step, however the search ended, but for an error."""


class EarlyStopping(Callback):
    """Stop when a number of the history has not improved for some epochs.

    Parameters
    ----------
    monitor : its key. Larger is better if it ends in ``accuracy``, else smaller.
    patience : epochs without an improvement after which to stop.
    min_delta : what counts as one.
    """

    def __init__(self, monitor: str = "valid_loss", patience: int = 5, min_delta: float = 0.0):
        if not 0 <= min_delta < math.inf:
            raise ArgumentError("min_delta", f"(={min_delta!r}) must be at least 0")
        self.monitor, self.min_delta = monitor, min_delta
        self.patience = integer("patience", patience, 1)

    def on_epoch(self, search: SearchCourse, entry: dict[str, Any]) -> None:
        if not isinstance(entry.get(self.monitor), (int, float)):
            numbers = ", ".join(k for k, v in entry.items() if isinstance(v, (int, float)))
            raise ArgumentError("monitor", f"(={self.monitor!r}) must be one of {numbers}")
        sign = -1.0 if self.monitor.endswith("accuracy") else 1.0
        best, since = math.inf, 0
        for each in search.history:
            value = sign * each[self.monitor]
            best, since = (value, 0) if value < best - self.min_delta else (best, since + 1)
        if since >= self.patience:
            search.stop(f"{self.monitor} has not improved for {since} epochs")


class StopOnSkipCollapse(Callback):
    """Stop when the normal cell has more than ``limit`` skip connections, and return the last cell
    that had not; of recurrent cells, more than so many identities.

    A known way for differentiable search to fail; Liang et al., *DARTS+*, arXiv:1909.06035, stop it
    so. If the first epoch's cell has too many, the result has the initial alphas, whose cell is
    chance.
    """

    def __init__(self, limit: int = 2):
        self.limit = integer("limit", limit, 0)

    def on_epoch(self, search: SearchCourse, entry: dict[str, Any]) -> None:
        if entry["skips"] > self.limit:
            where = "normal" if isinstance(search.supernet.genotype(), Genotype) else "recurrent"
            search.stop(
                f"the {where} cell has {entry['skips']} skips after epoch {search.epoch}, more"
                f" than {self.limit}: the cell is that of the epoch before",
                epoch=search.epoch - 1,
            )


class EigenvalueStopping(Callback):
    """Stop before the validation loss becomes sharp in the alphas, as RobustDARTS does.

    With l(t) the dominant eigenvalue of the Hessian of the validation loss by the alphas after
    epoch t, and m(t) the mean of l(t - window + 1), ..., l(t): stop after epoch t if
    ``m(t) > factor * m(t - window)``, and return the cell of epoch t - window. It needs two windows
    of epochs. Zela et al., *Understanding and Robustifying Differentiable Architecture Search*,
    arXiv:1909.09656, section 4. The defaults are their code's, which however measures every second
    epoch, centres the windows and compares 8 epochs apart.

    Parameters
    ----------
    window : epochs of a mean, and how far apart the means are that are compared.
    factor : by which it may grow.
    from_epoch : before which the search is not stopped.
    """

    needs_eigenvalue = True

    def __init__(self, window: int = 5, factor: float = 1.3, from_epoch: int = 10):
        if not 1 <= factor < math.inf:
            raise ArgumentError("factor", f"(={factor!r}) must be at least 1")
        self.window, self.factor = integer("window", window, 1), factor
        self.from_epoch = integer("from_epoch", from_epoch, 1)

    def on_epoch(self, search: SearchCourse, entry: dict[str, Any]) -> None:
        values = [each["eigenvalue"] for each in search.history]
        before, now = values[-2 * self.window : -self.window], values[-self.window :]
        if search.epoch < self.from_epoch or len(before) < self.window or None in before + now:
            return
        if np.mean(now) > self.factor * np.mean(before) > 0:
            search.stop(
                f"the dominant eigenvalue rose from {np.mean(before):.3g} to {np.mean(now):.3g}"
                f" within {self.window} epochs: the cell is that of epoch"
                f" {search.epoch - self.window}",
                epoch=search.epoch - self.window,
            )


class TensorBoard(Callback):
    """Write the numbers of the history, and of each step, for TensorBoard.

    Parameters
    ----------
    log_dir : folder to write to. A search that goes on from a checkpoint goes on there, too: what
        was written after the checkpoint is superseded.

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

    def on_start(self, search: SearchCourse) -> None:
        done = search.steps_done
        self._file = self._open(
            self.log_dir,
            purge_step=done + 1 if done else None,
            filename_suffix=f".{done:09}",  # or a second file of the same second replaces the first
        )

    def on_step(self, search: SearchCourse, info: StepInfo) -> None:
        for name in ("train_loss", "valid_loss", "gradient_norm", "alpha_gradient_norm"):
            self._file.add_scalar(f"step/{name}", getattr(info, name), search.steps_done)

    def on_epoch(self, search: SearchCourse, entry: dict[str, Any]) -> None:
        for name, value in entry.items():
            if isinstance(value, (int, float)) and name != "epoch":
                self._file.add_scalar(f"epoch/{name}", value, search.steps_done)
        self._file.add_text("genotype", entry["genotype"], search.steps_done)
        self._file.flush()

    def on_end(self, search: SearchCourse, result: Result) -> None:
        self._file.close()
