# SPDX-License-Identifier: MIT
"""One training of many: quiet, and with a result also where it diverges."""

from __future__ import annotations

from copy import copy
from typing import Any, NamedTuple

from pydarts.common.jobs import AnyExecutor
from pydarts.spaces.genotype import BaseGenotype
from pydarts.training.loop import Diverged
from pydarts.training.run import run_training
from pydarts.training.run_options import RunOptions
from pydarts.training.task import Task


class Trial(NamedTuple):
    """What is kept of a training: the score of its model, its weights, whether it diverged."""

    score: float
    num_weights: int
    diverged: bool


def try_cell(task: Task, genotype: BaseGenotype, config: Any) -> Trial:
    """Train and score: a job that may be done anywhere."""
    model, diverged = train_once(task, genotype, config)
    return Trial(task.score(model), model.num_weights, diverged)


def for_workers(task: Task, executor: AnyExecutor | None) -> Task:
    """Return the task as workers of an executor are given it: where it does not say how many
    threads its networks have, they have one.
    """
    if executor is None or task.threads is not None:
        return task
    found = copy(task)
    found.threads = 1
    return found


def train_once(task: Task, genotype: BaseGenotype, config: Any) -> tuple[Any, bool]:
    """Train, and return the model and whether its training diverged: then it is as it was before.

    Raises
    ------
    KeyboardInterrupt
        If the training was interrupted.
    """
    # Epochs are no news where there are many trainings.
    run = RunOptions(progress=False, log_epochs=False)
    try:
        model, diverged = run_training(task, genotype, config, run), False
    except Diverged as error:
        model, diverged = error.result, True
    if model.interrupted:
        raise KeyboardInterrupt
    return model, diverged
