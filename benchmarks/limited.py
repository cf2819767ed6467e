# SPDX-License-Identifier: MIT
"""``python -m benchmarks.limited``: cells of searches under a limit on latency, and random ones.

The random cells are drawn uniformly; those whose measured latency lies within a tenth below the
limit stand beside the searched ones. All are trained alike on images of Fashion-MNIST, and the
p-values are of the exact test over cells, corrected by Holm's method for the number of methods.
What was done is kept in a file, and the same command goes on with it. Searches and latencies want a
quiet machine, which ``--no-training`` is for; trainings do not.

    python -m benchmarks.limited --out limited.json --no-training
    python -m benchmarks.limited --out limited.json --jobs 2
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import re
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

import pydarts
from pydarts.api.limits import as_limits
from pydarts.common.files import write_json
from pydarts.costs.budget import LOWEST
from pydarts.costs.measured import measure_genotypes
from pydarts.data import load_data
from pydarts.evaluation.statistics import holm, relabelling

FIRST_SEED = 5000  # of the random cells
MOST_DRAWN = 20000  # until there are enough of them
TARGET = pydarts.TrainConfig.make("quick")
RANDOM = "random"
_REPEATS = 100


class Run:
    """What was done of a comparison, in a file.

    Parameters
    ----------
    path : Path
    options : dict
        All that decides the result.
    """

    def __init__(self, path: Path, options: dict[str, Any]):
        self.path = path
        self.data: dict[str, Any] = {"options": options, "profile": None, "cells": []}
        if path.exists():
            self.data = json.loads(path.read_text(encoding="utf-8"))
            if self.data["options"] != options:
                raise SystemExit(f"{path} is of other options: {self.data['options']}")

    @property
    def cells(self) -> list[dict[str, Any]]:
        """The cells: kind (method or `RANDOM`), seed, genotype, latency, once trained accuracy."""
        found: list[dict[str, Any]] = self.data["cells"]
        return found

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The cells of a kind."""
        return [cell for cell in self.cells if cell["kind"] == kind]

    def keep(self, cell: dict[str, Any] | None = None) -> None:
        """Add a cell, and write the file."""
        if cell is not None:
            self.cells.append(cell)
            print(f"{cell['kind']} {cell['seed']}: {1e3 * cell['latency']:.4f} ms", flush=True)
        write_json(self.path, self.data)


def find_cells(run: Run, methods: list[str], X: Any, y: Any, end: float) -> None:
    """Search under the limit, and draw random cells, until there are enough or the time is over."""
    options = run.data["options"]
    limit = options["limit"]
    if run.data["profile"] is None:
        sizes = X.shape[1], TARGET.channels, TARGET.cells
        run.data["profile"] = pydarts.profile("darts", *sizes, in_channels=1).to_dict()
        run.keep()
    profile = pydarts.Profile.from_dict(run.data["profile"])
    known = {(cell["kind"], cell["seed"]) for cell in run.cells}
    for seed, method in itertools.product(range(options["searches"]), methods):
        if (method, seed) in known:
            continue
        if time.monotonic() > end:
            return
        found = pydarts.search(
            *(X, y),
            method=method,
            max_latency=limit,
            profile=profile,
            target=TARGET,
            seed=seed,
            order=1,
            epochs=options["search_epochs"],
            alpha_lr=options["alpha_lr"],
            max_images=options["search_images"],
            progress=False,
        )
        latency = found.limits["latency"]
        told = {
            "predicted": latency["predicted"],
            "latency": latency["measured"],
            "repeated_epochs": found.repeated_epochs,
            "as_alpha": found.space.derive(found.alphas) == found.genotype,
        }
        run.keep({"kind": method, "seed": seed, "genotype": str(found.genotype), **told})
    drawn = [cell["seed"] for cell in run.of(RANDOM)]
    for seed in range(max(drawn, default=FIRST_SEED - 1) + 1, FIRST_SEED + MOST_DRAWN):
        if len(run.of(RANDOM)) >= options["random"] or time.monotonic() > end:
            return
        genotype = pydarts.Genotype.random(seed)
        predicted = profile.predict(genotype)
        if not 0.85 * limit <= predicted <= 1.1 * limit:
            continue
        seconds = measure_genotypes([genotype], profile.shape, 1, 1, _REPEATS)[0].median
        if LOWEST * limit <= seconds <= limit:
            told = {"predicted": predicted, "latency": seconds}
            run.keep({"kind": RANDOM, "seed": seed, "genotype": str(genotype), **told})


def trained(cell: dict[str, Any], options: dict[str, Any], threads: int | None) -> float:
    """Train a cell, and return its accuracy on the test images."""
    data, images = load_data("fashion-mnist"), options["train_images"]
    model = pydarts.train(
        pydarts.Genotype.parse(cell["genotype"]),
        *(data.X_train[:images], data.y_train[:images]),
        config=TARGET,
        epochs=options["train_epochs"],
        seed=0,
        threads=threads,
        progress=False,
    )
    assert data.X_test is not None
    assert data.y_test is not None
    return float(model.score(np.asarray(data.X_test), data.y_test))


def train(run: Run, jobs: int, end: float) -> None:
    """Train what is not trained yet, so many side by side: the bits do not depend on it."""
    options, threads = run.data["options"], None if jobs == 1 else 1
    left = [cell for cell in run.cells if "accuracy" not in cell]
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        running: dict[Any, dict[str, Any]] = {}
        while running or left:
            while left and len(running) < jobs and time.monotonic() <= end:
                cell = left.pop(0)
                running[pool.submit(trained, cell, options, threads)] = cell
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                cell = running.pop(future)
                cell["accuracy"] = future.result()
                run.keep()
                print(f"{cell['kind']} {cell['seed']}: {cell['accuracy']:.2%}", flush=True)


def searches(run: Run, methods: list[str]) -> str:
    """Return a Markdown table with a line for each search."""
    limit = run.data["options"]["limit"]
    lines = [
        "| limit, µs | method | seed | predicted, µs | of the limit | measured, µs | of the limit |"
        " epochs repeated | choice |",
        "|--:|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    for cell in (cell for method in methods for cell in run.of(method)):
        times = [
            f"{1e6 * cell[name]:.1f} | {cell[name] / limit:.1%}"
            for name in ("predicted", "latency")
        ]
        choice = "as α stands for" if cell["as_alpha"] else "the limit decided"
        about = f"{1e6 * limit:.0f} | {cell['kind']} | {cell['seed']} | {' | '.join(times)}"
        lines.append(f"| {about} | {cell['repeated_epochs']} | {choice} |")
    return "\n".join(lines)


def table(run: Run, methods: list[str]) -> str:
    """Return a Markdown table with a line for the cells of each method, and for random ones."""
    lines = [
        "| cells | number | latency, ms | convolutions, pools, skips | accuracy | mean | difference"
        " | p | p (Holm) |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    kinds = [kind for kind in (*methods, RANDOM) if run.of(kind)]
    done = {k: [c["accuracy"] for c in run.of(k) if "accuracy" in c] for k in kinds}
    whole = [kind for kind in kinds if len(done[kind]) == len(run.of(kind))]
    tested = [kind for kind in whole if kind != RANDOM] if RANDOM in whole else []
    p = {kind: relabelling(done[kind], done[RANDOM]) for kind in tested}
    corrected = dict(zip(p, holm(p.values()), strict=True))
    for kind in whole:
        times = [1e3 * cell["latency"] for cell in run.of(kind)]
        span = f"{min(times):.3f}–{max(times):.3f}, mean {mean(times):.3f}"
        shown = f"{min(done[kind]):.2%}–{max(done[kind]):.2%} | {mean(done[kind]):.2%}"
        tests = "| | |"
        if kind in p:
            gap = 100 * (mean(done[kind]) - mean(done[RANDOM]))
            tests = f"{gap:+.2f} | {p[kind]:.3f} | {corrected[kind]:.3f} |"
        about = f"{kind} | {len(times)} | {span} | {_operations(run.of(kind))}"
        lines.append(f"| {about} | {shown} | {tests}")
    return "\n".join(lines)


def _operations(cells: list[dict[str, Any]]) -> str:
    """Return how many edges of a cell have a convolution, a pool, a skip connection, on average."""
    names = [op for cell in cells for op in re.findall(r"'(\w+)'", cell["genotype"])]
    return ", ".join(
        f"{sum(kind in name for name in names) / len(cells):.1f}"
        for kind in ("conv", "pool", "skip")
    )


def main() -> None:
    """Do what is missing in the file, and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.limited",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--limit", default="190us", help="on the latency (190us)")
    parser.add_argument("--methods", default="gdas,darts", help="(gdas,darts)")
    parser.add_argument("--searches", type=int, default=5, help="of each method (5)")
    parser.add_argument("--random", type=int, default=9, help="random cells (9)")
    parser.add_argument("--search-images", type=int, default=3000)
    parser.add_argument("--search-epochs", type=int, default=15)
    parser.add_argument("--alpha-lr", type=float, default=0.01)
    parser.add_argument("--train-images", type=int, default=10000)
    parser.add_argument("--train-epochs", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path("limited.json"), metavar="FILE")
    parser.add_argument("--no-training", action="store_true", help="search and measure alone")
    parser.add_argument("--jobs", type=int, default=1, help="trainings side by side (1)")
    parser.add_argument("--minutes", type=float, default=math.inf, help="then begin no more")
    args = parser.parse_args()
    end = time.monotonic() + 60 * args.minutes
    options = {
        **{name: getattr(args, name) for name in ("searches", "random", "alpha_lr")},
        "limit": as_limits({"latency": args.limit})["latency"],
        **{f"search_{name}": getattr(args, f"search_{name}") for name in ("images", "epochs")},
        **{f"train_{name}": getattr(args, f"train_{name}") for name in ("images", "epochs")},
    }
    run, methods = Run(args.out, options), args.methods.split(",")
    data = load_data("fashion-mnist")
    X, y = data.X_train, data.y_train
    find_cells(run, methods, X, y, end)
    if not args.no_training:
        train(run, args.jobs, end)
    print(searches(run, methods), table(run, methods), sep="\n\n")


if __name__ == "__main__":
    main()
