# SPDX-License-Identifier: MIT
"""The statistics and tables of `benchmarks.quality`.

The unit of a test is a cell, with its mean over the seeds of its training: a cell that is trained
once more says more about that cell, not about the method. The p-value is of the exact test that
asks in how many of the ways to call so many cells found these would stand out as much; all p-values
of a stage are corrected together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import mean, stdev, variance
from typing import Any, Final

from benchmarks.quality_settings import Part, Stage
from benchmarks.quality_units import (
    Plan,
    constants,
    found_genotype,
    ordered,
    random_cell,
    strongest_operation,
)
from benchmarks.units import Results
from pydarts.evaluation.statistics import MAX_ARRANGEMENTS, holm, relabelling
from pydarts.spaces.genotype import BaseGenotype

WEAK: Final = ("none", "noise", "skip_connect")
"""Operations without weights or even information, which a search that collapses prefers."""


@dataclass
class Row:
    """A method on one dataset in one space, beside random cells.

    Attributes
    ----------
    method, data, space : str
    found, random : list of float
        The accuracy of each cell, once if several searches found it.
    constants : dict
        Accuracies by name.
    searches : list of dict
        What is kept of each search that is done.
    """

    method: str
    data: str
    space: str
    found: list[float]
    random: list[float]
    constants: dict[str, float]
    searches: list[dict[str, Any]] = field(default_factory=list)

    @property
    def difference(self) -> float | None:
        """Mean of the found cells less that of the random ones."""
        return mean(self.found) - mean(self.random) if self.found and self.random else None

    @property
    def p(self) -> float | None:
        """Two-sided, exact; None where a side has no cell."""
        if self.difference is None:
            return None
        count = len(self.found) + len(self.random)
        if math.comb(count, len(self.found)) > MAX_ARRANGEMENTS:
            raise ValueError(f"{count} cells are more than an exact test can go through")
        return relabelling(self.found, self.random)

    def edges(self, *operations: str) -> list[int]:
        """How many kept edges have one of these operations, for each search."""
        return [sum(s["operations"].get(op, 0) for op in operations) for s in self.searches]

    @property
    def kept(self) -> int:
        """How many edges a cell keeps, of all kinds."""
        return sum(self.searches[0]["operations"].values()) if self.searches else 0


def rows(plan: Plan, results: Results) -> list[Row]:
    """Return all comparisons of a plan, with what is done of them."""
    found = []
    for part, space in plan.rows:
        shared = [
            score
            for seed in plan.random_seeds
            if (score := _score(plan, results, part, space, random_cell(space, seed))) is not None
        ]
        constant = {
            name: score
            for name, cell in constants(space).items()
            if (score := _score(plan, results, part, space, cell)) is not None
        }
        for method in plan.methods:
            row = Row(method, part.data, space, [], shared, constant)
            scores: dict[BaseGenotype, float] = {}
            for seed in plan.seeds:
                search = plan.search(part, space, method, seed)
                cell = found_genotype(results, search)
                if cell is None:
                    continue
                row.searches.append(results.done[search.key])
                score = _score(plan, results, part, space, cell)
                if score is not None:
                    scores[ordered(cell)] = score
            row.found.extend(scores.values())
            found.append(row)
    return found


def _scores(
    plan: Plan, results: Results, part: Part, space: str, cell: BaseGenotype
) -> list[float]:
    units = plan.trainings(part, space, cell)
    return [results.done[unit.key]["score"] for unit in units if unit.key in results.done]


def _score(
    plan: Plan, results: Results, part: Part, space: str, cell: BaseGenotype
) -> float | None:
    """Return the mean over the seeds of a cell's training, once it was trained with all."""
    scores = _scores(plan, results, part, space, cell)
    return mean(scores) if len(scores) == plan.stage.train_seeds else None


def tables(plan: Plan, results: Results) -> str:
    """Return the tables of a stage in Markdown."""
    found = rows(plan, results)
    parts = [_heading(plan.stage, results), _comparison(found), *_spaces(found)]
    parts.append(_spread(plan, results))
    return "\n\n".join(part for part in parts if part)


def _heading(stage: Stage, results: Results) -> str:
    scored = sorted({part.part for part in stage.parts})
    seeds = f"{stage.train_seeds} seed" + "s" * (stage.train_seeds > 1)
    text = f"**{stage.name}**: accuracy on {' and '.join(scored)} data in per cent, mean (range)"
    text += f" over cells; {seeds} of training each"
    if results.failed:
        text += f"; {len(results.failed)} units failed"
    return text + "."


def _comparison(found: Sequence[Row]) -> str:
    header = (
        "method | data | space | found | random | constants | difference | p | p (Holm)"
        " | entropy, of uniform | strongest / skip / none of edges"
    )
    lines = [f"| {header} |", "|---|---|---|--:|--:|---|--:|--:|--:|--:|--:|"]
    tested = [row for row in found if row.p is not None]
    corrected = dict(
        zip(map(id, tested), holm(row.p for row in tested if row.p is not None), strict=True)
    )
    for row in found:
        strongest = strongest_operation(row.space)
        constant = "; ".join(f"{name} {100 * score:.1f}" for name, score in row.constants.items())
        entropy = [search["share_of_uniform"] for search in row.searches]
        edges = "–"
        if row.searches:
            counts = (row.edges(strongest), row.edges("skip_connect"), row.edges("none", "noise"))
            edges = " / ".join(f"{mean(each):.1f}" for each in counts) + f" of {row.kept}"
        cells = [
            row.method,
            row.data,
            row.space,
            _summary(row.found),
            _summary(row.random),
            constant or "–",
            "–" if row.difference is None else f"{100 * row.difference:+.2f}",
            _p(row.p),
            _p(corrected.get(id(row))),
            f"{mean(entropy):.2f}" if entropy else "–",
            edges,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _summary(scores: Sequence[float]) -> str:
    if not scores:
        return "–"
    least, most = 100 * min(scores), 100 * max(scores)
    return f"{100 * mean(scores):.2f} ({least:.1f}–{most:.1f}), n = {len(scores)}"


def _p(value: float | None) -> str:
    return "–" if value is None else f"{value:.2g}"


def _spaces(found: Iterable[Row]) -> list[str]:
    """Return what each method picked in spaces that make a method fail."""
    lines = []
    for row in found:
        if not row.searches:
            continue
        count, where = len(row.searches), f"{row.method}, {row.data}, {row.space}"
        if row.space in ("s2", "s4"):
            good = sum(each >= row.kept - 2 for each in row.edges("sep_conv_3x3"))
            text = f"sep_conv_3x3 on at least {row.kept - 2} of {row.kept} edges"
        elif row.space == "nas-bench-201":
            good = sum(each <= 2 for each in row.edges("none", "skip_connect"))
            text = f"at most two of {row.kept} edges none or skip_connect"
        else:
            continue
        lines.append(f"* {where}: {text} in {good} of {count} searches")
    return ["\n".join(lines)]


def _spread(plan: Plan, results: Results) -> str:
    """Return how much random cells differ, and how much the seeds of one cell's training."""
    lines = []
    for part, space in plan.rows:
        cells = [
            _scores(plan, results, part, space, random_cell(space, seed))
            for seed in plan.random_seeds
        ]
        several = [scores for scores in cells if len(scores) > 1]
        means = [mean(scores) for scores in cells if len(scores) == plan.stage.train_seeds]
        if len(means) < 2:
            continue
        within = "–"
        if several:
            within = f"{100 * math.sqrt(mean(map(variance, several))):.2f}"
        lines.append(
            f"| {part.data} | {space} | {len(means)} | {100 * stdev(means):.2f} | {within} |"
        )
    if not lines:
        return ""
    header = (
        "| data | space | random cells | standard deviation of their means"
        " | of the seeds of one cell |\n|---|---|--:|--:|--:|"
    )
    return "\n".join([header, *lines])
