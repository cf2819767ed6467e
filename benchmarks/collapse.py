# SPDX-License-Identifier: MIT
"""``python -m benchmarks.collapse``: how many operations without weights a long search keeps.

Fashion-MNIST at 14×14, searched far beyond the few epochs of a preset. After each epoch, how many
of the kept edges would have skip_connect, a pool or none. A search that ends with hardly anything
else has collapsed. Each search is a unit of `benchmarks.quality` on one thread, kept in a file.

    python -m benchmarks.collapse --jobs 2 --figure collapse.svg
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality_settings import SCREENING, space_of
from benchmarks.quality_units import CellUnit, search_unit
from benchmarks.units import Results, run_units

PART = SCREENING.parts[0]
METHODS = "darts,beta-darts,darts-minus,smooth-darts"


def unit_of(space: str, method: str, epochs: int, alpha_lr: float, seed: int) -> CellUnit:
    """Return a long search on all images of the part."""
    options = f"epochs={epochs}:max_images={PART.images}:alpha_lr={alpha_lr:g}"
    return search_unit(PART, space, f"{method}:{options}", seed)


def weightless(space: str) -> set[str]:
    """Return the operations of a space that have no convolution."""
    convolutions = {"depthwise", "pointwise", "conv"}
    return {
        op.name
        for op in space_of(space).operations
        if convolutions.isdisjoint(stage.kind for stage in op.stages)
    }


def kept(space: str, entry: Mapping[str, Any], names: set[str]) -> list[float]:
    """Return the share of the kept edges that have one of these operations, by epoch."""
    by_epoch = entry["operations_by_epoch"]
    return [sum(n for op, n in ops.items() if op in names) / sum(ops.values()) for ops in by_epoch]


def table(space: str, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return a Markdown table of what the searches end with, a line for each method."""
    lines = [
        "| method | searches | edges without weights | of these skip_connect | accuracy of the"
        " supernet |",
        "|---|--:|--:|--:|--:|",
    ]
    for method, entries in rows.items():
        cells = [
            method,
            str(len(entries)),
            _span(kept(space, entry, weightless(space))[-1] for entry in entries),
            _span(kept(space, entry, {"skip_connect"})[-1] for entry in entries),
            _span(entry["valid_accuracy"] for entry in entries),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _span(values: Iterable[float]) -> str:
    found = [100 * value for value in values]
    return f"{np.mean(found):.0f} % ({min(found):.0f}–{max(found):.0f})"


def draw(space: str, rows: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> None:
    """Draw the means over the seeds, and each search as a thin line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "pydarts", "font.size": 9})
    figure, both = pyplot.subplots(1, 2, figsize=(9.5, 3.8), sharey=True, layout="constrained")
    titles = {"no weights": weightless(space), "skip_connect": {"skip_connect"}}
    for axes, (title, names) in zip(both, titles.items(), strict=True):
        for colour, (method, entries) in enumerate(rows.items()):
            lines = np.array([kept(space, entry, names) for entry in entries])
            for line in lines:
                axes.plot(line, color=f"C{colour}", alpha=0.25, linewidth=0.8)
            axes.plot(lines.mean(axis=0), color=f"C{colour}", label=method)
        axes.set(xlabel="epochs of the search", title=f"kept edges with {title}", ylim=(0, 1))
        axes.yaxis.set_major_formatter(lambda y, _: f"{100 * y:.0f} %")
        axes.grid(alpha=0.3)
    both[0].legend(frameon=False)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main() -> None:
    """Run what is missing in the file, print the table, and draw if a file is given."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.collapse",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--space", default="darts", help="such as s2 (darts)")
    parser.add_argument("--methods", default=METHODS, help=f"({METHODS})")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--alpha-lr", type=float, default=3e-3)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("collapse.jsonl"), metavar="FILE")
    parser.add_argument("--jobs", type=int, default=1, help="searches side by side (1)")
    parser.add_argument("--minutes", type=float, default=math.inf, help="then begin no more")
    parser.add_argument("--figure", type=Path, help="file to draw to, such as figure.svg")
    args = parser.parse_args()
    results = Results(args.out)
    units = {
        method: [
            unit_of(args.space, method, args.epochs, args.alpha_lr, seed)
            for seed in range(args.seeds)
        ]
        for method in args.methods.split(",")
    }
    by_seed = [unit for same_seed in zip(*units.values(), strict=True) for unit in same_seed]
    for unit, found in run_units(lambda _: by_seed, results, args.jobs, args.minutes):
        print(f"{unit.what}: {found.get('error', found.get('operations'))}", flush=True)
    rows = {
        method: [results.done[unit.key] for unit in each if unit.key in results.done]
        for method, each in units.items()
    }
    rows = {method: entries for method, entries in rows.items() if entries}
    print(table(args.space, rows))
    if args.figure is not None:
        draw(args.space, rows, args.figure)


if __name__ == "__main__":
    main()
