# SPDX-License-Identifier: MIT
"""The simplest search: the best of a few random cells."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from pydarts.common.checks import boolean, integer
from pydarts.common.errors import ArgumentError
from pydarts.common.jobs import AnyExecutor, Jobs
from pydarts.evaluation.trials import for_workers, try_cell
from pydarts.spaces.genotype import BaseGenotype
from pydarts.training.metrics import METRICS, Metric
from pydarts.training.progress import log_line, progress_bar
from pydarts.training.task import Task


class Candidate(NamedTuple):
    """A random cell, its score on the data that was held out, and the size of its network."""

    genotype: BaseGenotype
    score: float
    num_weights: int


@dataclass(eq=False, repr=False)
class RandomSearchResult:
    """What a random search found.

    Attributes
    ----------
    config : TrainConfig or TextTrainConfig
        Of each training.
    metric : str
        Of the scores: the name of one of `METRICS`.
    candidates : list of Candidate
        In the order in which they were drawn.
    interrupted : bool
        Whether Ctrl-C ended it early.
    """

    config: Any
    metric: str
    candidates: list[Candidate] = field(default_factory=list)
    interrupted: bool = False

    @property
    def best(self) -> Candidate:
        """The one of the best score on the data held out; of equals the first."""
        sign = self._metric.sign
        return max(self.candidates, key=lambda candidate: sign * candidate.score)

    @property
    def genotype(self) -> BaseGenotype:
        """The best one's."""
        return self.best.genotype

    @property
    def _metric(self) -> Metric:
        return METRICS[self.metric]

    def __repr__(self) -> str:
        text = f"RandomSearchResult of {len(self.candidates)} cells"
        text += " (interrupted)" if self.interrupted else ""
        for i, candidate in enumerate(self.candidates):
            text += f"\n  cell {i}: {self.metric} {self._metric.show(candidate.score)}"
            text += f", {candidate.num_weights:,} weights"
            text += " (the best)" if candidate is self.best else ""
        return text


def run_random_search(
    task: Task,
    config: Any,
    k: int,
    train_fraction: float,
    progress: bool,
    executor: AnyExecutor | None = None,
) -> RandomSearchResult:
    """Train random cells alike on a part of the data; the rest of it chooses the best."""
    if not 0 < train_fraction < 1:
        raise ArgumentError("train_fraction", f"(={train_fraction!r}) must lie between 0 and 1")
    count = integer("k", k, 1)
    boolean("progress", progress)
    rng = np.random.default_rng(config.seed)
    task = task.split(train_fraction, rng)
    task.check_train(config)
    # `compare` takes the small seeds.
    draw, space = task.space.genotype.random, task.space
    cells = [draw(int(seed), space=space) for seed in rng.integers(2**32, 2**63, count)]
    config = task.complete(config)
    result = RandomSearchResult(config, task.metric.name)
    bar = progress_bar("random search", count, progress, "training")
    work, done = for_workers(task, executor), dict[int, Candidate]()
    try:
        with Jobs(executor) as jobs:
            for i, cell in enumerate(cells):
                jobs.submit(i, try_cell, work, cell, config)
            for i, future in jobs:
                found = future.result()
                done[i] = Candidate(cells[i], found.score, found.num_weights)
                result.candidates = [done[known] for known in sorted(done)]
                note = " (diverged)" if found.diverged else ""
                shown = f"{task.metric.name} {task.metric.show(found.score)}"
                log_line(bar, f"cell {i}: {shown} on the data held out{note}")
                bar.update()
    except KeyboardInterrupt:
        if not result.candidates:
            raise
        result.interrupted = True
    finally:
        bar.close()
    return result
