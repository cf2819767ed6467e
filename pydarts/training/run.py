# SPDX-License-Identifier: MIT
"""The search and the training, for any task.

The bilevel problem of a search: minimise over α ``L_valid(w*(α), α)`` subject to ``w*(α) = argmin_w
L_train(w, α)``. In every step the method changes α and then w.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from pydarts.common.errors import ArgumentError
from pydarts.costs.budget import Budget
from pydarts.engine.sgd import SGD
from pydarts.methods.finalists import Finalists
from pydarts.methods.method import Method, supernet_options
from pydarts.methods.named import Selector, own_options
from pydarts.methods.perturbation import Perturbation
from pydarts.methods.tuning import search_step
from pydarts.methods.weighting import largest_sum
from pydarts.spaces.genotype import BaseGenotype
from pydarts.spaces.space import Space
from pydarts.training.budget import check_budgets, check_memory
from pydarts.training.finals import choose_finalist, leave_time
from pydarts.training.limited import LimitedMethod, check_limitable
from pydarts.training.loop import TrainingLoop
from pydarts.training.result import SearchResult
from pydarts.training.run_options import SEARCH_CHECKPOINT, TRAIN_CHECKPOINT, RunOptions
from pydarts.training.search_loop import SearchLoop
from pydarts.training.task import Task
from pydarts.training.weights import WeightTracker


def run_search(
    task: Task,
    method: Method,
    config: Any,
    run: RunOptions,
    selector: Selector | None = None,
    budget: Budget | None = None,
) -> SearchResult[Any]:
    """Search a cell for a task by a method, and by a selector if it is not the method that chooses
    the cell; within a budget, if there is one.
    """
    if budget is not None:
        check_limitable(method, selector)
    rounds = selector if isinstance(selector, Perturbation) else None
    if rounds is not None:
        rounds.check(task.counts_correct)
    run = run.on_rank(task.ranks)
    needed = supernet_options(method, task.kind)
    config = task.complete(config)
    rng = np.random.default_rng(config.seed)
    data = task.search_data(config, rng)
    task.ranks.on_first(lambda: run.claim_checkpoint(SEARCH_CHECKPOINT))
    check_budgets(task, method, config, data, run, selector, budget)
    supernet = task.supernet(config, **needed)
    limited = None if budget is None else LimitedMethod(method, budget, data.steps)
    chosen_by: Method = method if limited is None else limited
    step = search_step(chosen_by, rounds, supernet, task.step_options(config))
    genotype = method.select(supernet.alphas, task.space)
    result = SearchResult(config, supernet, supernet.alphas, genotype)
    result.describe_method(method, selector)
    result.data_notes = list(data.notes)
    identity = {
        "genotype": None,
        "method": method.name,
        "options of the method": own_options(method, config),
        "selector": None if rounds is None else repr(rounds),
        "space": _space(task.space),
        "limits": None if budget is None else budget.identity(),
    }
    parts = {"valid": data.valid}
    own = chosen_by, rounds, budget is not None
    epochs_run = run
    if isinstance(selector, Finalists):
        epochs_run = leave_time(task, data, config, selector, genotype, run)
    loop = SearchLoop(*own, task, data, result, supernet, step, parts, rng, epochs_run, identity)
    with supernet.shared_by(task.ranks), loop:  # Ctrl-C, budgets and callbacks leave it early
        valid_batches = data.valid_batches()
        for epoch in loop.epochs():  # and the rounds of the selector between the last ones
            at = loop.scheduled(epoch)
            step.start_epoch(at, config.epochs)
            for batch in loop.steps(data.batches):
                info = step(**data.inputs(batch, next(valid_batches), at))
                loop.on_step_end(batch, info)
            loop.on_epoch_end(data.metrics(loop, supernet, at))
    if isinstance(selector, Finalists) and not result.interrupted:
        largest = partial(largest_sum, space=task.space) if limited is None else limited.largest_sum
        choose_finalist(task, data, chosen_by, selector, result, run, run_training, largest)
        if budget is not None:
            result.limits = step.describe(result.genotype)
    return result


def run_training(task: Task, genotype: BaseGenotype, config: Any, run: RunOptions) -> Any:
    """Train the network of a genotype for a task, and return the model."""
    for callback in run.callbacks:
        if callback.search_only:
            raise ArgumentError("callbacks", f"holds {callback!r}, which is for searches")
    run = run.on_rank(task.ranks)
    config = task.complete(config)
    task.check_train(config)
    needs = partial(task.train_bytes, genotype)
    check_memory(run, config, "training", needs, task)
    task.ranks.on_first(lambda: run.claim_checkpoint(TRAIN_CHECKPOINT))
    return fit(task, task.model(genotype, config), run, genotype)


def fit(task: Task, model: Any, run: RunOptions, genotype: BaseGenotype | None = None) -> Any:
    """Train a model that was built, and return it."""
    config, network = model.config, model.network
    rng = np.random.default_rng(config.seed)
    data = task.train_data(config, rng)
    step = SGD(network, **task.sgd_options(config))
    averaging = task.averaging(config)
    tracker = WeightTracker(network, config.restore_best_weights, **averaging)
    parts, identity = {"tracker": tracker}, dict[str, Any](genotype="", space=None)
    if genotype is not None:
        identity = {"genotype": str(genotype), "space": _space(genotype.space)}
    loop = TrainingLoop(task, data, model, network, step, parts, rng, run, identity, tracker.finish)
    with network.shared_by(task.ranks), loop:
        for epoch in loop.epochs():
            for batch in loop.steps(data.batches):
                info = step(**data.inputs(batch, network, epoch, step.steps))
                tracker.on_step_end()
                loop.on_step_end(batch, info)
            validation = tracker.validate(data.validate, model.history)
            loop.on_epoch_end({**data.metrics(loop, epoch), **validation})
    return model


def _space(space: Space) -> str | dict[str, Any] | None:
    """What a checkpoint holds of a space; None: the usual one, which earlier ones do not name."""
    return None if space.is_usual else space.reference
