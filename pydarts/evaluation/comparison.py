# SPDX-License-Identifier: MIT
"""How found cells do beside random ones, and whether the numbers can tell them apart.

Two exact tests answer two questions. The one over seeds: is the difference from *these* random
cells more than the luck of training? Its unit is a seed, with the difference of the means of found
and of random cells: a random cell that is good is good with every seed, so that cells times seeds
would count the same thing several times. The one over cells: would a cell that is itself random
stand out as much among the others? Its unit is a cell, with its mean over the seeds.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pydarts import _core
from pydarts.common.checks import choice, integer
from pydarts.common.files import check_free, read_described, write_json
from pydarts.evaluation.statistics import MAX_ARRANGEMENTS, relabelling, sign_flip
from pydarts.spaces.genotype import BaseGenotype
from pydarts.spaces.published import parse_genotype
from pydarts.spaces.space import READY
from pydarts.training.metrics import METRICS, Metric

# Perplexities of what diverged may be so large that their sums overflow: here they are no larger.
_LARGEST = 1e100
_FORMAT, _VERSION = "pydarts-comparison", 1

COMPARISON: Final = "compare.json"
"""What it is called in the folder of a search."""

LEVEL: Final = 0.05
"""The p-value up to which a difference counts as more than chance."""


@dataclass
class Contender:
    """A cell that is compared.

    Attributes
    ----------
    name : str
    kind : {"found", "random", "published"}
        A published cell is shown, but takes part in no test.
    genotype : Genotype or RecurrentGenotype
    num_weights : int or None
        Of its network, once one was trained.
    scores : dict
        By seed; those that were trained.
    diverged : list of int
        Seeds with which its training diverged; the score is that of the weights before.
    """

    name: str
    kind: str
    genotype: BaseGenotype
    num_weights: int | None = None
    scores: dict[int, float] = field(default_factory=dict)
    diverged: list[int] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The cell as a file has it: with its space, unless that is a ready one, which the form of
        the literature tells.
        """
        space = self.genotype.space
        return str(self.genotype) if READY.get(space.name) == space else self.genotype.to_json()


@dataclass(eq=False)
class Comparison:
    """What `compare` found.

    Attributes
    ----------
    metric : str
        The name of one of `METRICS`, such as ``"accuracy"``: on data that nothing was learned from.
    seeds : tuple of int
        With each, all cells get the same batches and augmentation.
    cells : list of Contender
    config : dict
        Options of all trainings.
    data : str
        A fingerprint of all that was learned from and tested on.
    """

    metric: str
    seeds: tuple[int, ...]
    cells: list[Contender]
    config: dict[str, Any]
    data: str

    def __post_init__(self) -> None:
        choice("metric", self.metric, METRICS)

    @property
    def _metric(self) -> Metric:
        return METRICS[self.metric]

    @property
    def better(self) -> str:
        """``"higher"`` or ``"lower"``."""
        return self._metric.better

    @property
    def complete(self) -> list[int]:
        """The seeds with which all cells were trained."""
        return [seed for seed in self.seeds if all(seed in cell.scores for cell in self.cells)]

    @property
    def interrupted(self) -> bool:
        """Whether it ended early; the tests are over the seeds that are complete."""
        return len(self.complete) < len(self.seeds)

    @property
    def differences(self) -> NDArray[np.float64]:
        """Mean of the found cells less mean of the random ones, for each complete seed."""
        found, others = (self._scores(kind).mean(axis=0) for kind in ("found", "random"))
        differences: NDArray[np.float64] = found - others
        return differences

    @property
    def mean_difference(self) -> float | None:
        """Mean of `differences`; None while no seed is complete."""
        return float(self.differences.mean()) if self.complete else None

    @property
    def p_seeds(self) -> float | None:
        """Of the test over seeds; at least ``2 ** (1 - number of seeds)``."""
        return sign_flip(self.differences) if self.complete else None

    @property
    def p_cells(self) -> float | None:
        """Of the test over cells; with one found cell at least ``1 / (random cells + 1)``."""
        if not self.complete:
            return None
        return relabelling(self._scores("found").mean(axis=1), self._scores("random").mean(axis=1))

    @property
    def outcome(self) -> str:
        """``"better"``, ``"not better"``, ``"cannot tell"``; of the found cells, by `p_seeds`."""
        if self.mean_difference is None or self.p_seeds is None:
            return "cannot tell"
        if self._metric.sign * self.mean_difference <= 0:
            return "not better"
        return "better" if self.p_seeds <= LEVEL else "cannot tell"

    @property
    def verdict(self) -> str:
        """What the numbers say, in two sentences."""
        difference, p, q = self.mean_difference, self.p_seeds, self.p_cells
        if difference is None or p is None or q is None:
            return "The numbers cannot tell: there is no seed with which all cells were trained."
        many = len(self._scores("found")) > 1
        subject, they = ("the found cells are", "they") if many else ("the found cell is", "it")
        count, seeds = len(self._scores("random")), len(self.complete)
        others = f"these {count} random ones" if count > 1 else "this random one"
        claim = {
            "better": f"{subject} better than {others}",
            "not better": f"{subject} not better than {others}",
            "cannot tell": f"the numbers cannot tell whether {subject} better than {others}",
        }[self.outcome]
        metric = self._metric
        side = "ahead" if metric.sign * difference > 0 else "behind"
        place = f"{side} by {self._number(abs(difference))}{metric.unit}" if difference else "level"
        text = f"{claim[0].upper()}{claim[1:]}: {place} on average, p = {p:.2g} over {seeds} seed"
        text += "s" if seeds > 1 else ""
        minimum = 2.0 ** (1 - seeds)
        if minimum > LEVEL:
            text += f" (so few cannot give less than {minimum:.2g}; 6 can)"
        itself = "themselves random ones" if many else "itself a random one"
        return f"{text}. Were {they} {itself}, {they} would stand out as much in {q:.0%} of cases."

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, as JSON can hold it."""
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "state": "interrupted" if self.interrupted else "finished",
            "measure": self.metric,
            "better": self.better,
            "seeds": list(self.seeds),
            "cells": [
                {
                    "name": cell.name,
                    "kind": cell.kind,
                    "genotype": cell.text,
                    "num_weights": cell.num_weights,
                    "scores": [cell.scores.get(seed) for seed in self.seeds],
                    "diverged": cell.diverged,
                }
                for cell in self.cells
            ],
            "mean difference": self.mean_difference,
            "test": {
                "name": "exact sign-flip permutation test of the differences between found and"
                " random cells, paired by seed, two-sided",
                "p": self.p_seeds,
                "least p": 2.0 ** (1 - len(self.complete)) if self.complete else None,
            },
            "test over cells": {
                "name": "exact permutation test of which cells are called found, two-sided",
                "p": self.p_cells,
            },
            "outcome": self.outcome,
            "verdict": self.verdict,
            "identity": self.identity,
            "instruction_set": _core.instruction_set(),
        }

    @property
    def identity(self) -> dict[str, Any]:
        """What must be the same for scores to be comparable."""
        return {"config": self.config, "data": self.data, "pydarts": _core.__version__}

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write a JSON file; one that is replaced stays whole if that fails.

        Parameters
        ----------
        path : path
        overwrite : bool
            Whether to replace a file that exists.

        Raises
        ------
        FileExistsError
            If there is such a file already and ``overwrite`` is not set.
        """
        check_free(overwrite, Path(path))
        write_json(Path(path), self.to_dict())

    def show(self, value: float) -> str:
        """Return a score for people."""
        return self._metric.show(value)

    def __repr__(self) -> str:
        head = f"{self.metric}{self._metric.suffix}, {self.better} is better"
        lines = [f"{head:29}{'weights':>12} seeds{_row(['mean', 'std', 'min', 'max'])}"]
        for cell in self.cells:
            weights = "-" if cell.num_weights is None else f"{cell.num_weights:,}"
            scores = [cell.scores[seed] for seed in self.seeds if seed in cell.scores]
            row = _row([] if not scores else self._summary(scores))
            lines.append(f"{cell.name[:29]:29}{weights:>12} {len(scores):5}{row}")
            if cell.diverged:
                lines.append(f"  diverged with seed {', '.join(map(str, cell.diverged))}")
        return "\n".join([*lines, "", self.verdict])

    def _summary(self, scores: Sequence[float]) -> list[str]:
        bounded = np.clip(scores, -_LARGEST, _LARGEST)
        std = self._number(float(np.std(bounded, ddof=1))) if len(scores) > 1 else "-"
        numbers = (float(np.mean(bounded)), min(scores), max(scores))
        mean, lowest, highest = (self._number(value) for value in numbers)
        return [mean, std, lowest, highest]

    def _number(self, value: float) -> str:
        return self._metric.number(value)

    def _scores(self, kind: str) -> NDArray[np.float64]:
        rows = [cell.scores for cell in self.cells if cell.kind == kind]
        found = np.array([[row[seed] for seed in self.complete] for row in rows], np.float64)
        return np.clip(found, -_LARGEST, _LARGEST)


def _row(columns: Sequence[str]) -> str:
    return "".join(f"{column:>8}" for column in columns)


def read_comparison(path: Path) -> tuple[Comparison, dict[str, Any]]:
    """Read what `Comparison.save` wrote, and the identity in it.

    Raises
    ------
    ValueError
        If the file is damaged or something else; names it.
    """
    with read_described(path, _FORMAT, (_VERSION,)) as d:
        identity = dict(d["identity"])
        seeds = tuple(int(seed) for seed in d["seeds"])
        choice("measure", d["measure"], METRICS)
        cells = []
        for entry in d["cells"]:
            scores = zip(seeds, entry["scores"], strict=True)
            cells.append(
                Contender(
                    str(entry["name"]),
                    str(entry["kind"]),
                    parse_genotype(entry["genotype"]),
                    _optional_count(entry["num_weights"]),
                    {seed: float(score) for seed, score in scores if score is not None},
                    [int(seed) for seed in entry["diverged"]],
                )
            )
        _check_tests(len(seeds), [cell.kind for cell in cells])
        config, data = dict(identity["config"]), str(identity["data"])
        comparison = Comparison(d["measure"], seeds, cells, config, data)
    return comparison, identity


def _check_tests(seeds: int, kinds: Sequence[str]) -> None:
    """Raise a ValueError where exact tests would go through more arrangements than `compare` has,
    or there is nothing to be tested.
    """
    found, others = kinds.count("found"), kinds.count("random")
    if not found or not others:
        raise ValueError(f"it has {found} found cells and {others} random ones")
    if seeds > math.log2(MAX_ARRANGEMENTS) or math.comb(found + others, found) > MAX_ARRANGEMENTS:
        raise ValueError(f"it has {seeds} seeds, {found} found and {others} random cells: too many")


def _optional_count(value: object) -> int | None:
    return None if value is None else integer("num_weights", value, 0, 2**63)
