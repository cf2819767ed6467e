# SPDX-License-Identifier: MIT
"""Found cells and random ones, trained alike."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

from pydarts.common.checks import boolean, choice, integer, integers, show
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.common.files import remove_leftovers, writable_folder
from pydarts.common.jobs import AnyExecutor, Jobs
from pydarts.evaluation.comparison import COMPARISON, Comparison, Contender, read_comparison
from pydarts.evaluation.statistics import MAX_ARRANGEMENTS
from pydarts.evaluation.trials import for_workers, try_cell
from pydarts.spaces.genotype import BaseGenotype
from pydarts.spaces.published import published as published_cells
from pydarts.spaces.space import GENOTYPES
from pydarts.training.checkpoint import difference, fingerprint
from pydarts.training.progress import log_line, progress_bar
from pydarts.training.task import Task


class OtherComparison(ArgumentError):
    """A file holds trainings that would be lost; ``reason`` says which."""

    def __init__(self, reason: str):
        super().__init__("checkpoint", f"{reason}: `resume`='never' replaces it")
        self.reason = reason

    def __str__(self) -> str:
        return self.problem


def run_comparison(
    task: Task,
    genotypes: Any,
    config: Any,
    *,
    seeds: Iterable[int],
    random_cells: int,
    published: bool,
    checkpoint: str | os.PathLike[str] | None,
    resume: str,
    progress: bool,
    executor: AnyExecutor | None = None,
) -> Comparison:
    """Train seed by seed, so that what is cut short leaves whole seeds; with an executor side by
    side.
    """
    choice("resume", resume, ("auto", "never"))
    boolean("progress", progress)
    cells = _contenders(task, genotypes, random_cells, published)
    task.check_train(config)
    config = task.complete(config)
    own_seeds, data = _checked(seeds), fingerprint(*task.arrays)
    comparison = Comparison(task.metric.name, own_seeds, cells, _without_seed(config), data)
    path = None if checkpoint is None else writable_folder("checkpoint", checkpoint) / COMPARISON
    if path is not None:
        remove_leftovers(path)
        if resume == "auto" and path.exists():
            _take_over(comparison, path, type(config))
        # Rather than to find out after a training that it cannot be written.
        comparison.save(path, overwrite=True)
    bar = progress_bar("compare", len(own_seeds) * len(cells), progress, "training")

    def show_start(key: tuple[int, int]) -> None:
        bar.set_description(f"seed {key[0]}, {cells[key[1]].name}")

    work = for_workers(task, executor)
    try:
        with Jobs(executor, show_start) as jobs:
            for seed, (place, cell) in product(own_seeds, enumerate(cells)):
                if seed in cell.scores:
                    bar.update()
                    continue
                trial = dataclasses.replace(config, seed=seed)
                jobs.submit((seed, place), try_cell, work, cell.genotype, trial)
            for (seed, place), future in jobs:
                cell, found = cells[place], future.result()
                cell.num_weights = found.num_weights
                # In the order of the seeds, whichever ended first.
                scores = {**cell.scores, seed: found.score}
                cell.scores = {known: scores[known] for known in own_seeds if known in scores}
                shown = comparison.show(found.score)
                if found.diverged:
                    late = {*cell.diverged, seed}
                    cell.diverged = [known for known in own_seeds if known in late]
                    shown += " (diverged)"
                if path is not None:
                    comparison.save(path, overwrite=True)
                log_line(bar, f"seed {seed}  {cell.name}: {comparison.metric} {shown}")
                bar.update()
    except KeyboardInterrupt:
        pass  # the result tells how far it came
    finally:
        bar.close()
    return comparison


def _contenders(task: Task, genotypes: Any, random_cells: int, published: bool) -> list[Contender]:
    if isinstance(genotypes, Mapping):
        found = {str(name): genotype for name, genotype in genotypes.items()}
    elif isinstance(genotypes, BaseGenotype):
        found = {"found": genotypes}
    else:
        found = {f"found {i}": genotype for i, genotype in enumerate(genotypes)}
    kind = GENOTYPES[task.kind]
    for name, genotype in found.items():
        if not isinstance(genotype, kind):
            raise ArgumentTypeError(
                "genotypes", f"holds {show(genotype)} as {name!r}: it must be a {kind.__name__}"
            )
    if not found:
        raise ArgumentError("genotypes", f"(={genotypes!r}) is empty")
    count = integer("random_cells", random_cells, 1)
    if math.comb(len(found) + count, len(found)) > MAX_ARRANGEMENTS:
        raise ArgumentError(
            "random_cells",
            f"(={count}) and {len(found)} found cells are more than an exact test can go through",
        )
    cells = [Contender(name, "found", genotype) for name, genotype in found.items()]
    space = cells[0].genotype.space
    counts = {each.name: cells[0].genotype.nodes(each.name) for each in space.cells}
    # Published cells may have more nodes than their space, then of every kind.
    usual = all(count == space.cell(name).nodes for name, count in counts.items())
    nodes = None if usual else counts[space.cells[0].name]
    cells += [
        Contender(f"random {i}", "random", kind.random(i, space=space, nodes=nodes))
        for i in range(count)
    ]
    if published:
        known = list(published_cells(space).items())
        if not known:
            raise ArgumentError("published", f"(=True): the space {space.name!r} has none")
        name, genotype = known[-1]
        cells.append(Contender(name, "published", genotype))
    if len({contender.name for contender in cells}) < len(cells):
        names = ", ".join(found)
        raise ArgumentError("genotypes", f"has names that other cells have: {names}")
    return cells


def _checked(seeds: Iterable[int]) -> tuple[int, ...]:
    own = tuple(integers("seeds", seeds, 0))
    maximum = int(math.log2(MAX_ARRANGEMENTS))
    if not 1 <= len(own) <= maximum or len(set(own)) < len(own):
        raise ArgumentError("seeds", f"(={own}) must be 1 to {maximum} different ones")
    return own


def _without_seed(config: Any) -> dict[str, Any]:
    return {name: value for name, value in config.to_dict().items() if name != "seed"}


def _take_over(comparison: Comparison, path: Path, config: Any) -> None:
    """Take the scores of an earlier comparison, which must be of the same trainings."""
    earlier, identity = read_comparison(path)
    try:
        identity["config"] = _without_seed(config.from_dict(identity["config"]))
    except (TypeError, ValueError) as error:
        raise OtherComparison(f"{path} is of another comparison ({error})") from error
    differs = difference(identity, comparison.identity)
    if differs:
        raise OtherComparison(f"{path} is of another comparison ({differs})")
    known = {cell.text: cell for cell in earlier.cells if cell.scores}
    for cell in comparison.cells:
        if cell.text in known:
            old = known[cell.text]
            cell.num_weights, cell.diverged = old.num_weights, list(old.diverged)
            cell.scores = dict(old.scores)
    lost = [f"seed {seed}" for seed in earlier.seeds if seed not in comparison.seeds]
    own = {cell.text for cell in comparison.cells}
    lost += [cell.name for text, cell in known.items() if text not in own]
    if lost:
        raise OtherComparison(
            f"{path} has trainings that this comparison has not ({', '.join(lost)})"
        )
