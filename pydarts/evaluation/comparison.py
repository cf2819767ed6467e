# SPDX-License-Identifier: MIT
"""How found cells do beside random ones, and whether the numbers can tell them apart.

Two exact tests answer two questions. The one over seeds: is the difference from *these* random
cells more than the luck of training? Its unit is a seed, with the difference of the means of found
and of random cells: a random cell that is good is good with every seed, so that cells times seeds
would count the same thing several times. The one over cells: would a cell that is itself random
stand out as much among the others? Its unit is a cell, with its mean over the seeds.
"""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pydarts import _core
from pydarts.common.errors import ArgumentError
from pydarts.models.files import described
from pydarts.spaces.darts import Genotype
from pydarts.spaces.recurrent import RecurrentGenotype
from pydarts.training.checkpoint import replace_file

_FORMAT, _VERSION = "pydarts-comparison", 1

COMPARISON: Final = "compare.json"
"""What it is called in the folder of a search."""

LEVEL: Final = 0.05
"""The p-value up to which a difference counts as more than chance."""

MOST: Final = 2**20
"""Arrangements that an exact test goes through."""


class _Measure(NamedTuple):
    better: str
    sign: int  # of a difference that is good
    cell: type[Genotype] | type[RecurrentGenotype]
    scale: float  # for people
    form: str
    percent: str
    unit: str  # of a difference


_MEASURES: Final[Mapping[str, _Measure]] = {
    "accuracy": _Measure("higher", 1, Genotype, 100.0, ".2f", " %", " points"),
    "perplexity": _Measure("lower", -1, RecurrentGenotype, 1.0, ".3f", "", ""),
}


def _measure(name: str) -> _Measure:
    if name not in _MEASURES:
        raise ArgumentError("measure", f"(={name!r}) must be one of {', '.join(_MEASURES)}")
    return _MEASURES[name]


@dataclass
class Contender:
    """A cell that is compared.

    Attributes
    ----------
    name : str
    kind : ``"found"``, ``"random"``, or ``"published"``: shown, but in no test.
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
    genotype: Genotype | RecurrentGenotype
    num_weights: int | None = None
    scores: dict[int, float] = field(default_factory=dict)
    diverged: list[int] = field(default_factory=list)


@dataclass(eq=False)
class Comparison:
    """What `compare` found.

    Attributes
    ----------
    measure : ``"accuracy"`` or ``"perplexity"`` on what nothing was learned from.
    seeds : tuple of int
        With each, all cells get the same batches and augmentation.
    cells : list of Contender
    config : dict
        Options of all trainings.
    data : str
        A fingerprint of all that was learned from and tested on.
    """

    measure: str
    seeds: tuple[int, ...]
    cells: list[Contender]
    config: dict[str, Any]
    data: str

    def __post_init__(self) -> None:
        _measure(self.measure)

    @property
    def better(self) -> str:
        """``"higher"`` or ``"lower"``."""
        return _MEASURES[self.measure].better

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
        if _MEASURES[self.measure].sign * self.mean_difference <= 0:
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
        measure = _MEASURES[self.measure]
        side = "ahead" if measure.sign * difference > 0 else "behind"
        place = (
            f"{side} by {self._number(abs(difference))}{measure.unit}" if difference else "level"
        )
        text = f"{claim[0].upper()}{claim[1:]}: {place} on average, p = {p:.2g} over {seeds} seed"
        text += "s" if seeds > 1 else ""
        least = 2.0 ** (1 - seeds)
        if least > LEVEL:
            text += f" (so few cannot give less than {least:.2g}; 6 can)"
        itself = "themselves random ones" if many else "itself a random one"
        return f"{text}. Were {they} {itself}, {they} would stand out as much in {q:.0%} of cases."

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "state": "interrupted" if self.interrupted else "finished",
            "measure": self.measure,
            "better": self.better,
            "seeds": list(self.seeds),
            "cells": [
                {
                    "name": cell.name,
                    "kind": cell.kind,
                    "genotype": str(cell.genotype),
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

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a JSON file, in the place of one before, which stays whole if that fails."""
        text = json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"
        replace_file(Path(path), text.encode())

    def shown(self, value: float) -> str:
        """A score as people read it."""
        return self._number(value) + _MEASURES[self.measure].percent

    def __repr__(self) -> str:
        head = f"{self.measure}{_MEASURES[self.measure].percent}, {self.better} is better"
        lines = [f"{head:29}{'weights':>12} seeds{_row(['mean', 'spread', 'least', 'most'])}"]
        for cell in self.cells:
            weights = "-" if cell.num_weights is None else f"{cell.num_weights:,}"
            scores = [cell.scores[seed] for seed in self.seeds if seed in cell.scores]
            row = _row([] if not scores else self._summary(scores))
            lines.append(f"{cell.name[:29]:29}{weights:>12} {len(scores):5}{row}")
            if cell.diverged:
                lines.append(f"  diverged with seed {', '.join(map(str, cell.diverged))}")
        return "\n".join([*lines, "", self.verdict])

    def _summary(self, scores: Sequence[float]) -> list[str]:
        spread = self._number(float(np.std(scores, ddof=1))) if len(scores) > 1 else "-"
        mean, least, most = map(self._number, (float(np.mean(scores)), min(scores), max(scores)))
        return [mean, spread, least, most]

    def _number(self, value: float) -> str:
        measure = _MEASURES[self.measure]
        number = measure.scale * value
        return format(number, measure.form) if number < 1e4 else f"{number:.1e}"

    def _scores(self, kind: str) -> NDArray[np.float64]:
        rows = [cell.scores for cell in self.cells if cell.kind == kind]
        return np.array([[row[seed] for seed in self.complete] for row in rows], np.float64)


def _row(columns: Sequence[str]) -> str:
    return "".join(f"{column:>8}" for column in columns)


def read_comparison(path: Path) -> tuple[Comparison, dict[str, Any]]:
    """What `Comparison.save` wrote, and the identity in it.

    Raises
    ------
    ValueError
        If the file is damaged or something else; names it.
    """
    with described(path, _FORMAT, _VERSION) as d:
        identity = dict(d["identity"])
        seeds = tuple(int(seed) for seed in d["seeds"])
        kind = _measure(d["measure"]).cell
        cells = []
        for entry in d["cells"]:
            scores = zip(seeds, entry["scores"], strict=True)
            cells.append(
                Contender(
                    entry["name"],
                    entry["kind"],
                    kind.parse(entry["genotype"]),
                    entry["num_weights"],
                    {seed: float(score) for seed, score in scores if score is not None},
                    [int(seed) for seed in entry["diverged"]],
                )
            )
        config, data = dict(identity["config"]), str(identity["data"])
        comparison = Comparison(d["measure"], seeds, cells, config, data)
    return comparison, identity


def sign_flip(differences: Iterable[float]) -> float:
    """Two-sided p-value of paired differences under the hypothesis that either sign is as likely:
    the share of the 2^n choices of signs whose sum is as far from zero. Exact.
    """
    given = np.asarray(differences, np.float64)
    sums = np.zeros(1)
    for difference in given:
        sums = np.concatenate([sums + difference, sums - difference])
    return _share(sums, given.sum(), np.abs(given).sum())


def relabelling(found: Iterable[float], others: Iterable[float]) -> float:
    """Two-sided p-value of a difference of means under the hypothesis that any of the values could
    have been the found ones: the share of the choices that set their means as far apart. Exact.
    """
    chosen, rest = list(found), list(others)
    size, values = len(chosen), [*chosen, *rest]
    total = math.fsum(values)

    def gap(sums: Any) -> Any:
        return sums / size - (total - sums) / len(rest)

    sums = np.array([sum(choice) for choice in itertools.combinations(values, size)])
    return _share(gap(sums), gap(sum(chosen)), math.fsum(map(abs, values)))


def _share(statistics: NDArray[np.float64], observed: float, scale: float) -> float:
    """Share of the statistics that are as far from zero, but for rounding."""
    return float((np.abs(statistics) >= abs(observed) - 1e-12 * scale).mean())
