# SPDX-License-Identifier: MIT
"""``python -m benchmarks.short_trainings FILE``: what a short training says of a long one.

The cells that a file of `benchmarks.quality` has the accuracy of are trained for a short time, as
the finalists of a search are, with several sizes and numbers of epochs. For each of these:
Spearman's rank correlation with the accuracies of the file (of cells that were trained with several
seeds, with the mean), the processor's seconds of a training, and how far above the mean the four
cells of the best short scores are, in points.

    python -m benchmarks.quality screening --data fashion-mnist-14 --spaces darts --methods fixed
    python -m benchmarks.short_trainings quality.jsonl --space darts --trainings 4x3x3,4x3x9,8x5x9
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

import pydarts
from benchmarks.quality_settings import SCREENING, Part, images_of, space_of
from benchmarks.units import Results, run_units
from pydarts.common.checks import choice
from pydarts.common.errors import ArgumentError
from pydarts.methods.score_model import middle_ranks
from pydarts.spaces.published import parse_genotype
from pydarts.tasks.images import ImageClassification
from pydarts.training.run import run_training
from pydarts.training.run_options import RunOptions

PARTS = {part.data: part for part in SCREENING.parts}
BEST = 4


@dataclass(frozen=True)
class ShortTraining:
    """One cell, trained as a finalist of a search with this configuration.

    Attributes
    ----------
    part : Part
    space : str
    config : SearchConfig
        Whose channels, cells and seed the training has.
    genotype : str
        As JSON.
    epochs : int
    """

    part: Part
    space: str
    config: pydarts.SearchConfig
    genotype: str
    epochs: int

    @property
    def what(self) -> str:
        """For people."""
        return f"{self.training}, {self.space}"

    @property
    def training(self) -> str:
        """Channels, cells and epochs."""
        return f"{self.config.channels}x{self.config.cells}x{self.epochs}"

    @cached_property
    def identity(self) -> dict[str, Any]:
        """All that decides the result."""
        return {
            "kind": "short training",
            **self.part.identity,
            "space": self.space,
            "genotype": self.genotype,
            "training": self.training,
            "seed": self.config.seed,
        }

    @cached_property
    def key(self) -> str:
        """The identity as text."""
        return json.dumps(self.identity, sort_keys=True)

    def run(self) -> dict[str, Any]:
        """Train on one thread and score, as a search does."""
        images = images_of(self.part, self.space)
        task = ImageClassification(images.X, images.y, space=space_of(self.space), threads=1)
        config = task.complete(self.config)
        contest = task.search_data(config, np.random.default_rng(config.seed)).contest()
        own = contest.contest_config(config, self.epochs, config.seed)
        start = time.process_time()
        quiet = RunOptions(progress=False, log_epochs=False)
        model = run_training(contest, parse_genotype(self.genotype), own, quiet)
        return {"score": contest.score(model), "seconds": time.process_time() - start}


def known_accuracies(path: Path, data: str, space: str) -> dict[str, float]:
    """Return the mean accuracy of each cell of a file that was trained on these data, by JSON."""
    scores: dict[str, list[float]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        unit = entry["unit"]
        if (unit["kind"], unit["data"], unit["space"]) == ("training", data, space):
            scores.setdefault(unit["genotype"], []).append(entry["score"])
    return {cell: mean(values) for cell, values in scores.items()}


@dataclass(frozen=True)
class ShortPlan:
    """All cells with all trainings.

    Attributes
    ----------
    part : Part
    space : str
    trainings : tuple of (int, int, int)
        Channels, cells and epochs.
    known : mapping of str to float
        Accuracies of cells, by JSON.
    """

    part: Part
    space: str
    trainings: tuple[tuple[int, int, int], ...]
    known: dict[str, float]

    def of(self, training: tuple[int, int, int]) -> list[ShortTraining]:
        """Return the units of a training, in the order of the known cells."""
        channels, cells, epochs = training
        usual = pydarts.SearchConfig.make("quick", dict(self.part.search))
        # Where images are left out, finalists have more than the search.
        config = dataclasses.replace(usual, channels=channels, cells=cells, max_images=3000)
        return [ShortTraining(self.part, self.space, config, cell, epochs) for cell in self.known]

    def units(self, results: Results) -> Iterator[ShortTraining]:
        """Yield all units."""
        for training in self.trainings:
            yield from self.of(training)


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Return Spearman's rank correlation; of equals each has the mean of their ranks."""
    first, second = (middle_ranks(np.asarray(values, np.float64)) for values in (a, b))
    return float(np.corrcoef(first, second)[0, 1])


def table(plan: ShortPlan, results: Results) -> str:
    """Return the trainings of which all are done as a table in Markdown."""
    lines = [
        f"| channels × cells, epochs | rank correlation | s | best {BEST} above the mean |",
        "|---|--:|--:|--:|",
    ]
    accuracies = list(plan.known.values())
    for channels, cells, epochs in plan.trainings:
        units = plan.of((channels, cells, epochs))
        done = [results.done[unit.key] for unit in units if unit.key in results.done]
        if len(done) < len(units):
            continue
        scores = [entry["score"] for entry in done]
        best = np.argsort(scores)[-BEST:]
        lead = 100 * (mean(accuracies[i] for i in best) - mean(accuracies))
        seconds = mean(entry["seconds"] for entry in done)
        lines.append(
            f"| {channels}×{cells}, {epochs} | {spearman(scores, accuracies):.2f} | {seconds:.1f} |"
            f" {lead:+.2f} |"
        )
    return "\n".join(lines)


def _training(text: str) -> tuple[int, int, int]:
    try:
        channels, cells, epochs = map(int, text.split("x"))
    except ValueError:
        problem = f"(={text!r}) must be channels x cells x epochs, such as 4x3x9"
        raise ArgumentError("--trainings", problem) from None
    return channels, cells, epochs


def main(argv: Sequence[str] | None = None) -> None:
    """Train what is not done yet, and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.short_trainings",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="of benchmarks.quality screening")
    parser.add_argument("--data", default="fashion-mnist-14", help="(fashion-mnist-14)")
    parser.add_argument("--space", default="darts", help="(darts)")
    parser.add_argument(
        "--trainings", default="4x3x3,4x3x9,4x3x27", help="channels x cells x epochs (%(default)s)"
    )
    parser.add_argument("--out", type=Path, default=Path("short.jsonl"), metavar="FILE")
    parser.add_argument("--jobs", type=int, default=1, help="units side by side (1)")
    parser.add_argument("--minutes", type=float, default=math.inf, help="then begin no more units")
    args = parser.parse_args(argv)
    try:
        part = PARTS[choice("--data", args.data, tuple(PARTS))]
        trainings = tuple(_training(text) for text in args.trainings.split(","))
        known = known_accuracies(args.file, part.data, args.space)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    if len(known) < 2:
        parser.error(f"{args.file} has fewer than two trained cells of {args.space} on {part.data}")
    plan, results = ShortPlan(part, args.space, trainings, known), Results(args.out)
    for unit, found in run_units(plan.units, results, args.jobs, args.minutes):
        print(f"{unit.what}: {found.get('error') or found}", file=sys.stderr, flush=True)
    values = list(known.values())
    spread = 100 * float(np.std(values, ddof=1))
    print(
        f"{len(known)} cells of {args.space}, {100 * mean(values):.2f} %, standard deviation"
        f" {spread:.2f}\n\n{table(plan, results)}"
    )


if __name__ == "__main__":
    main()
