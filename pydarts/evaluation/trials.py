# SPDX-License-Identifier: MIT
"""One training of many: quiet, and with a result also where it diverges."""

from __future__ import annotations

from typing import Any

from pydarts.spaces.genotype import BaseGenotype
from pydarts.training.loop import Diverged
from pydarts.training.run import run_training
from pydarts.training.run_options import RunOptions
from pydarts.training.task import Task


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
