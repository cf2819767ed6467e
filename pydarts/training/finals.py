# SPDX-License-Identifier: MIT
"""The short trainings that choose among the finalists of a search."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from pydarts.common.files import read_described, remove_leftovers, write_json
from pydarts.common.ranks import Ranks
from pydarts.engine.network import Alphas
from pydarts.engine.sgd import SGD
from pydarts.methods.finalist_rounds import Rounds
from pydarts.methods.finalists import Finalist, Finalists, FirstRound, Round
from pydarts.methods.method import Method
from pydarts.spaces.genotype import BaseGenotype
from pydarts.training.checkpoint import fingerprint
from pydarts.training.loop import Diverged
from pydarts.training.progress import log, log_line, progress_bar
from pydarts.training.run_options import FINALISTS_CHECKPOINT, RunOptions
from pydarts.training.task import SearchData, Task

FORMAT, VERSION = "pydarts-finalists", 3

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
    largest: Callable[[Alphas], BaseGenotype],
) -> None:
    """Train the finalists of a search that is done, and give its result the best cell.

    ``largest`` returns the cell of the largest sum of values, of those that may be chosen. Each
    score is kept in the folder of the checkpoint at once, so that a search that is taken up again
    trains what is left, to the same bits. Ctrl-C and the time budget end it after the last one that
    was trained whole; the result says so, and has the cell that is chosen by what there is.
    """
    contest = data.contest()
    config = contest.contest_config(result.config, selector.epochs, selector.seed)
    first = FirstRound(selector, method, result.alphas, task.space, largest, task.ranks)
    rounds = Rounds(selector, first, config.epochs, task.metric.sign)
    kept = _Scores(run, config, rounds.planned, data, task.ranks)
    bar = progress_bar("finalists", rounds.total, run.progress, "training", len(kept))
    start = time.perf_counter()
    try:
        for number, epochs, cell in rounds.trainings():
            done = len(rounds.finalists)
            score = kept.find(done, cell)
            bar.total = max(rounds.total, done + 1)  # more only where cells are trained again
            if score is None:
                left = task.ranks.of_first(run.seconds_left)
                if left is not None and left <= 0:
                    break
                quiet = RunOptions(progress=False, log_epochs=False, time_budget=left)
                own = replace(config, epochs=epochs, seed=(config.seed + number) % 2**31)
                try:
                    model = train(contest, cell, own, quiet)
                except Diverged as error:  # its weights are those before the step
                    model = error.result
                if model.interrupted or model.stopped is not None:
                    result.interrupted = bool(model.interrupted)
                    break
                with model.network.shared_by(task.ranks):
                    score = contest.score(model)
                kept.add(cell, score, time.perf_counter() - start)
                shown = f"{task.metric.name} {task.metric.show(score)}"
                log_line(bar, f"{rounds.name_of(number, cell)}: {shown} on the validation data")
                bar.update()
            rounds.finalists.append(Finalist(cell, score, epochs))
    except KeyboardInterrupt:  # before or after a training, which sees to its own
        if task.ranks.several:  # the others know nothing of it
            raise
        result.interrupted = True
    finally:
        bar.close()
    result.seconds += kept.earlier_seconds + time.perf_counter() - start
    result.finalists = rounds.finalists
    if rounds.finalists:
        result.genotype = rounds.chosen
    if result.interrupted:  # it can go on
        return
    if not rounds.finished:
        result.stopped = f"the time budget of {run.time_budget:g} s is spent"
    for note in result.notes() if run.log_notes else ():
        log.warning(note)


def leave_time(
    task: Task,
    data: SearchData,
    config: Any,
    selector: Finalists,
    genotype: BaseGenotype,
    run: RunOptions,
) -> RunOptions:
    """Return the options of a search's epochs, which end early enough for the trainings of the
    finalists: by what these take, but no more than half of the time that is left.
    """
    left = task.ranks.of_first(run.seconds_left)
    if left is None or left <= 0:
        return run
    seconds = finals_seconds(task, data, config, selector, genotype)
    return replace(run, started=run.started - task.ranks.of_first(kept_for_finals(seconds, left)))


def kept_for_finals(seconds: float, left: float) -> float:
    """Return what of the time that is left is kept for trainings that take so many seconds."""
    return min(seconds, left / 2)


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
    epochs = selector.most_epochs(config.epochs, task.space)
    return float(np.median(seconds[1:])) * epochs * training.units / units


class _Scores:
    """The scores of the first trainings, in memory and in the folder of the checkpoint."""

    def __init__(
        self,
        run: RunOptions,
        config: Any,
        rounds: Sequence[Round],
        data: SearchData,
        ranks: Ranks,
    ):
        self.earlier_seconds = 0.0  # of the runs before, until their last score
        self._path: Path | None = None
        if run.checkpoint is not None:
            self._path = Path(run.checkpoint) / FINALISTS_CHECKPOINT
            remove_leftovers(self._path)
            self._what = {
                "config": config.to_dict(),
                "rounds": [list(each) for each in rounds],
                "data": fingerprint(*data.arrays),
            }
        self._kept = ranks.on_first(lambda: self._found(run))

    def __len__(self) -> int:
        return len(self._kept)

    def _found(self, run: RunOptions) -> list[list[Any]]:
        """Cells and scores that an earlier run kept."""
        found = run.resumable_file(FINALISTS_CHECKPOINT)
        if found is None:
            return []
        with read_described(found, FORMAT, range(1, VERSION + 1)) as kept:
            if any(kept.get(name) != value for name, value in self._what.items()):
                return []
            # Earlier versions drew other cells, and have scores alone.
            pairs = kept.get("trained", [])
            self.earlier_seconds = float(kept["seconds"]) if pairs else 0.0
            return [[str(cell), float(score)] for cell, score in pairs]
        return []

    def find(self, number: int, cell: BaseGenotype) -> float | None:
        """Return the score that this cell's training has; None: it has none.

        A score of another cell, and all behind it, are of another search.
        """
        if number < len(self._kept) and self._kept[number][0] != str(cell):
            del self._kept[number:]
        return self._kept[number][1] if number < len(self._kept) else None

    def add(self, cell: BaseGenotype, score: float, seconds: float) -> None:
        """Keep a score, and the seconds of this run until now."""
        self._kept.append([str(cell), score])
        if self._path is not None:
            content = {"format": FORMAT, "version": VERSION, **self._what, "trained": self._kept}
            write_json(self._path, {**content, "seconds": self.earlier_seconds + seconds})
