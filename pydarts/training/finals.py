# SPDX-License-Identifier: MIT
"""The short trainings that choose among the finalists of a search."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from pydarts.common.files import read_described, write_json
from pydarts.common.ranks import Ranks
from pydarts.engine.sgd import SGD
from pydarts.methods.finalists import Finalist, Finalists, best_of, draw_finalists
from pydarts.methods.method import Method
from pydarts.spaces.genotype import BaseGenotype
from pydarts.training.checkpoint import fingerprint
from pydarts.training.loop import Diverged
from pydarts.training.progress import log, log_line, progress_bar
from pydarts.training.run_options import FINALISTS_CHECKPOINT, RunOptions
from pydarts.training.task import SearchData, Task

FORMAT, VERSION = "pydarts-finalists", 1

_TIMED_STEPS: Final = 3

#: Trains the network of a genotype for a task, and returns the model.
Train = Callable[[Task, BaseGenotype, Any, RunOptions], Any]


def choose_finalist(
    task: Task,
    data: SearchData,
    method: Method,
    selector: Finalists,
    result: Any,
    run: RunOptions,
    train: Train,
) -> None:
    """Train the finalists of a search that is done, and give its result the best cell.

    Each score is kept in the folder of the checkpoint at once, so that a search that is taken up
    again trains what is left, to the same bits. Ctrl-C and the time budget end it after the last
    one that was trained whole; the result says so.
    """
    contest = data.contest()
    config = contest.contest_config(result.config, selector.epochs, selector.seed)
    cells = draw_finalists(selector, method, result.alphas, task.space)
    kept = _Scores(run, config, cells, data, task.ranks)
    bar = progress_bar("finalists", len(cells), run.progress, "training", len(kept.scores))
    start = time.perf_counter()
    try:
        for number in range(len(kept.scores), len(cells)):
            left = task.ranks.of_first(run.seconds_left)
            if left is not None and left <= 0:
                break
            quiet = RunOptions(progress=False, log_epochs=False, time_budget=left)
            try:
                model = train(contest, cells[number], config, quiet)
            except Diverged as error:  # its weights are those before the step
                model = error.result
            if model.interrupted or model.stopped is not None:
                result.interrupted = bool(model.interrupted)
                break
            with model.network.shared_by(task.ranks):
                score = contest.score(model)
            kept.add(score, time.perf_counter() - start)
            shown = f"{task.metric.name} {task.metric.show(kept.scores[-1])}"
            log_line(bar, f"finalist {number + 1}/{len(cells)}: {shown} on the validation data")
            bar.update()
    finally:
        bar.close()
    result.seconds += kept.earlier_seconds + time.perf_counter() - start
    result.finalists = [Finalist(*pair) for pair in zip(cells, kept.scores, strict=False)]
    if result.finalists:
        result.genotype = best_of(result.finalists, task.metric.sign)
    if result.interrupted:  # it can go on
        return
    if len(kept.scores) < len(cells):
        result.stopped = f"the time budget of {run.time_budget:g} s is spent"
    for note in result.notes():
        log.warning(note)


def finals_seconds(
    task: Task, data: SearchData, config: Any, selector: Finalists, genotype: BaseGenotype
) -> float:
    """Measure some steps of a training, and take all to be like them."""
    contest = data.contest()
    config = contest.contest_config(config, selector.epochs, selector.seed)
    network = contest.model(genotype, config).network
    network.use_ranks(contest.ranks)
    step = SGD(network, **contest.sgd_options(config))
    training = contest.train_data(config, np.random.default_rng(0))
    item = next(training.batches.epoch())
    seconds = []
    for _ in range(1 + _TIMED_STEPS):
        start = time.perf_counter()
        step(**{**training.inputs(item, network, 0, 0), "lr": 0.0})
        seconds.append(time.perf_counter() - start)
    _, units = training.size(item)
    steps = int(config.epochs) * training.units / units
    return float(np.median(seconds[1:])) * steps * selector.candidates


class _Scores:
    """The scores of the first finalists, in memory and in the folder of the checkpoint."""

    def __init__(
        self,
        run: RunOptions,
        config: Any,
        cells: Sequence[BaseGenotype],
        data: SearchData,
        ranks: Ranks,
    ):
        self.earlier_seconds = 0.0  # of the runs before, until their last score
        self._path: Path | None = None
        if run.checkpoint is not None:
            self._path = Path(run.checkpoint) / FINALISTS_CHECKPOINT
            self._what = {
                "config": config.to_dict(),
                "cells": [str(cell) for cell in cells],
                "data": fingerprint(*data.arrays),
            }
        self.scores = ranks.on_first(lambda: self._found(run, len(cells)))

    def _found(self, run: RunOptions, count: int) -> list[float]:
        """Those that an earlier run kept."""
        found = run.resumable_file(FINALISTS_CHECKPOINT)
        if found is None:
            return []
        with read_described(found, FORMAT, (VERSION,)) as kept:
            if all(kept[name] == value for name, value in self._what.items()):
                self.earlier_seconds = float(kept.get("seconds", 0.0))  # earlier versions kept none
                return [float(score) for score in kept["scores"][:count]]
        return []

    def add(self, score: float, seconds: float) -> None:
        """Keep a score, and the seconds of this run until now."""
        self.scores.append(score)
        if self._path is not None:
            content = {"format": FORMAT, "version": VERSION, **self._what, "scores": self.scores}
            write_json(self._path, {**content, "seconds": self.earlier_seconds + seconds})
