# SPDX-License-Identifier: MIT
"""``python -m benchmarks.together FILE ...``: what runs of `benchmarks.quality` show together.

Each pair of data and space in each file is a stratum, whose found cells are those of the searches
by one method, and whose others are the random ones; of trainings those of the seeds that all cells
have. Random cells that are cut off from their input have no part: which are, the cell says and not
its score. The statistic is the mean of the strata's differences, weighted by their inverse
variances. If a search is worth no more than a random draw, labels can be exchanged within each
stratum: the two-sided p-value is of many random exchanges.

    python -m benchmarks.together --method fixed --selector finalists nb.jsonl darts.jsonl
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from benchmarks.quality_units import constants, ordered, parse_method
from pydarts.spaces.genotype import BaseGenotype
from pydarts.spaces.published import parse_genotype

DRAWS = 200_000


@dataclass
class Stratum:
    """The scores of found and of random cells that were trained alike, each a mean over seeds."""

    name: str
    found: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)

    @property
    def difference(self) -> float:
        """Mean of the found cells less that of the others."""
        return mean(self.found) - mean(self.others)

    @property
    def precision(self) -> float:
        """One over the variance of the difference, if both are of one distribution."""
        both = np.array([*self.found, *self.others])
        return float(1 / (both.var(ddof=1) * (1 / len(self.found) + 1 / len(self.others))))

    def exchanged(self, draws: int, rng: np.random.Generator) -> Any:
        """Differences (draws,) of random labels."""
        both, size = np.array([*self.found, *self.others]), len(self.found)
        order = np.argsort(rng.random((draws, len(both))), axis=1)[:, :size]
        sums = both[order].sum(axis=1)
        return sums / size - (both.sum() - sums) / (len(both) - size)


def together(strata: Sequence[Stratum], draws: int = DRAWS, seed: int = 0) -> tuple[float, float]:
    """Return the weighted mean of the differences, and its p-value."""
    rng = np.random.default_rng(seed)
    precisions = np.array([each.precision for each in strata])
    weights = precisions / precisions.sum()
    observed = float(sum(w * each.difference for w, each in zip(weights, strata, strict=True)))
    sums = np.zeros(draws)
    for weight, each in zip(weights, strata, strict=True):
        sums += weight * each.exchanged(draws, rng)
    as_far = int((np.abs(sums) >= abs(observed) * (1 - 1e-12)).sum())
    return observed, (as_far + 1) / (draws + 1)


def strata_of(
    path: Path, method: str, selector: str | None, data: Sequence[str] | None = None
) -> list[Stratum]:
    """Return the strata of a file that have searches by this method and selector; of some data."""
    scores: dict[tuple[str, str], dict[str, dict[int, float]]] = {}
    mine: dict[tuple[str, str], set[str]] = {}
    any_found: dict[tuple[str, str], set[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        unit = entry["unit"]
        where = unit["data"], unit["space"]
        if data is not None and unit["data"] not in data:
            continue
        if unit["kind"] == "training":
            cells = scores.setdefault(where, {})
            seed = unit["config"].get("seed", 0)
            cells.setdefault(unit["genotype"], {})[seed] = 100 * entry["score"]
            continue
        cell = ordered(parse_genotype(entry["genotype"])).to_json()
        any_found.setdefault(where, set()).add(cell)
        name, options = parse_method(unit["method"])
        if (name, options.get("selector")) == (method, selector):
            mine.setdefault(where, set()).add(cell)
    found = []
    for where, own in mine.items():
        fixed = {ordered(cell).to_json() for cell in constants(where[1]).values()}
        values = scores.get(where, {})
        seeds = set.intersection(*(set(by_seed) for by_seed in values.values())) if values else ()
        trained = {cell: mean(v[s] for s in seeds) for cell, v in values.items() if seeds}
        stratum = Stratum(f"{path.name}: {where[0]}, {where[1]}")
        stratum.found = [score for cell, score in trained.items() if cell in own]
        known = any_found[where] | fixed
        stratum.others = [
            score
            for cell, score in trained.items()
            if cell not in known and reaches_output(parse_genotype(cell))
        ]
        if stratum.found and stratum.others:
            found.append(stratum)
    return found


def reaches_output(genotype: BaseGenotype) -> bool:
    """Whether the output of each kind of cell depends on an input of it."""
    for cell in genotype.space.cells:
        named = {op.name for row in cell.candidates for op in row if op.is_none or op.is_noise}
        reached = set(range(cell.inputs))
        for op, source, node in sorted(genotype.kept(cell.name), key=lambda edge: edge[2]):
            if source in reached and op not in named:
                reached.add(node)
        if not reached & set(genotype.outputs(cell.name)):
            return False
    return True


def report(strata: Iterable[Stratum]) -> str:
    """Return a line for each stratum, and what they show together."""
    found = list(strata)
    lines = [
        f"{each.name}: found {mean(each.found):.2f} (n = {len(each.found)}), random"
        f" {mean(each.others):.2f} (n = {len(each.others)}), {each.difference:+.2f}"
        for each in found
    ]
    difference, p = together(found)
    return "\n".join([*lines, f"together {difference:+.2f}, p = {p:.3g}"])


def main(argv: Sequence[str] | None = None) -> None:
    """Print what the files show together."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.together",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--method", required=True, metavar="NAME")
    parser.add_argument("--selector", metavar="NAME")
    parser.add_argument("--data", nargs="+", metavar="NAME", help="of these data alone")
    args = parser.parse_args(argv)
    chosen = args.method, args.selector, args.data
    strata = [stratum for path in args.files for stratum in strata_of(path, *chosen)]
    if not strata:
        parser.error("no file has such searches beside random cells")
    print(report(strata))


if __name__ == "__main__":
    main()
