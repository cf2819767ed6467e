# SPDX-License-Identifier: MIT
"""The search and the training, for any task.

The bilevel problem of a search: minimise over α ``L_valid(w*(α), α)`` subject to ``w*(α) = argmin_w
L_train(w, α)``. In every step the method changes α and then w.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pydarts.common.errors import ArgumentError
from pydarts.engine.sgd import SGD
from pydarts.methods.method import Method
from pydarts.spaces.genotype import BaseGenotype
from pydarts.training.budget import check_budgets
from pydarts.training.loop import TrainingLoop
from pydarts.training.result import SearchResult
from pydarts.training.run_options import SEARCH_CHECKPOINT, TRAIN_CHECKPOINT, RunOptions
from pydarts.training.search_loop import SearchLoop
from pydarts.training.task import Task
from pydarts.training.weights import WeightTracker


def run_search(task: Task, method: Method, config: Any, run: RunOptions) -> SearchResult[Any]:
    """Search a cell for a task by a method."""
    rng = np.random.default_rng(config.seed)
    data = task.search_data(config, rng)
    check_budgets(task, method, config, data, run)
    supernet = task.supernet(config)
    step = method.step(supernet, **task.step_options(config))
    genotype = method.select(supernet.alphas, task.space)
    result = SearchResult(config, supernet, supernet.alphas, genotype)
    loop = SearchLoop(
        *("search", result, supernet, rng),
        {"step": step, "train": data.batches, "valid": data.valid, "data": data},
        run,
        checkpoint_name=SEARCH_CHECKPOINT,
        identity={"genotype": None, "method": method.name},
        data=data.arrays,
        units=data.units,
        unit=task.unit,
        lines=lambda entry: [
            task.epoch_line(entry, config.epochs),
            *(f"  {line}" for line in method.select(supernet.alphas, task.space).describe()),
        ],
        select=lambda alphas: method.select(alphas, task.space),
        probe=lambda: data.probe(supernet),
        eigenvalue=run.eigenvalue or any(each.needs_eigenvalue for each in run.callbacks),
    )
    with loop:  # Ctrl-C, budgets and callbacks leave it early
        valid_batches = data.valid_batches()
        for epoch in loop.epochs():
            for batch in loop.steps(data.batches):
                info = step(**data.inputs(batch, next(valid_batches), epoch))
                data.carry(info)
                weight, units = data.size(batch)
                loop.on_step_end(info, size=weight, units=units)
            data.end_epoch()
            loop.on_epoch_end(data.metrics(loop, supernet, epoch))
    return result


def run_training(task: Task, genotype: BaseGenotype, config: Any, run: RunOptions) -> Any:
    """Train the network of a genotype for a task, and return the model."""
    for callback in run.callbacks:
        if callback.search_only:
            raise ArgumentError("callbacks", f"holds {callback!r}, which is for searches")
    config = task.complete(config)
    rng = np.random.default_rng(config.seed)
    data = task.train_data(config, rng)
    model = task.model(genotype, config)
    return fit(task, model, data, rng, run, genotype=str(genotype))


def fit(
    task: Task, model: Any, data: Any, rng: np.random.Generator, run: RunOptions, genotype: str = ""
) -> Any:
    """Train a model that was built."""
    config, network = model.config, model.network
    step = SGD(network, **task.sgd_options(config))
    patience = getattr(config, "patience", None)  # of averaged SGD
    tracker = WeightTracker(network, config.restore_best_weights, patience)
    loop = TrainingLoop(
        *("train", model, network, rng),
        {"step": step, "batches": data.batches, "tracker": tracker, "data": data},
        run,
        checkpoint_name=TRAIN_CHECKPOINT,
        identity={"genotype": genotype},
        data=data.arrays,
        units=data.units,
        unit=task.unit,
        lines=lambda entry: [task.epoch_line(entry, config.epochs)],
    )
    with tracker, loop:
        for epoch in loop.epochs():
            for batch in loop.steps(data.batches):
                info = step(**data.inputs(batch, network, epoch, step.steps))
                data.carry(info)
                tracker.on_step_end()
                weight, units = data.size(batch)
                loop.on_step_end(info, size=weight, units=units)
            data.end_epoch()
            validation = tracker.validate(data.validate, model.history)
            loop.on_epoch_end({**data.metrics(loop, epoch), **validation})
    return model
