# SPDX-License-Identifier: MIT
"""``python -m benchmarks.quality``: do the cells of a search method do better than random ones?

Two stages. ``screening`` compares all methods on held-out training data, to choose some of them;
``confirmation`` tries these, and plain DARTS, with fresh seeds on test data. Each search and each
training is a unit that is run on one thread and kept in a file at once: the same command goes on
where it was ended. After a change in the library's methods, begin another file.

    python -m benchmarks.quality screening --jobs 2
    python -m benchmarks.quality screening --table
    python -m benchmarks.quality confirmation --methods darts,beta-darts --jobs 2
    python -m benchmarks.quality confirmation --methods gaea --first-seed 3000 --searches 12
    python -m benchmarks.quality --quick
    python -m benchmarks.quality --dask tcp://127.0.0.1:8786 --jobs 16
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.quality_settings import (
    DEFAULT,
    SCREENING,
    STAGES,
    available,
    default_methods,
    space_of,
)
from benchmarks.quality_table import tables
from benchmarks.quality_units import Plan
from benchmarks.units import Results, run_units
from pydarts.common.checks import choice
from pydarts.common.errors import ArgumentError
from pydarts.common.jobs import AnyExecutor
from pydarts.evaluation.statistics import MAX_ARRANGEMENTS


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stage", nargs="?", choices=tuple(STAGES), default="screening")
    parser.add_argument("--out", type=Path, default=Path("quality.jsonl"), metavar="FILE")
    parser.add_argument(
        "--methods",
        help="such as darts,darts:order=2,gaea:rate=0.2,fixed-pt:selector.epochs=2 (all)",
    )
    parser.add_argument("--data", help="such as digits,fashion-mnist (all)")
    parser.add_argument("--spaces", help="such as darts,s2 (the stage's)")
    parser.add_argument("--searches", type=int, help="of each method, data and space")
    parser.add_argument("--random", type=int, help="random cells of each data and space")
    parser.add_argument("--first-seed", type=int, help="of a repetition (the stage's)")
    parser.add_argument("--train-seeds", type=int, help="trainings of each cell")
    parser.add_argument("--jobs", type=int, default=1, help="units side by side (1)")
    parser.add_argument("--dask", metavar="ADDRESS", help="of a scheduler, whose workers run them")
    parser.add_argument("--minutes", type=float, default=math.inf, help="then begin no more units")
    parser.add_argument("--table", action="store_true", help="show what is done, and run nothing")
    parser.add_argument("--quick", action="store_true", help="one row, in about ten minutes")
    return parser.parse_args(argv)


def plan_of(args: argparse.Namespace) -> Plan:
    """Return what the command line asks for; ValueError for what there is none of."""
    stage, methods = STAGES[args.stage], default_methods()
    if args.quick:
        stage = dataclasses.replace(
            SCREENING, parts=SCREENING.parts[:1], spaces=("nas-bench-201",), random_cells=5
        )
        methods = (DEFAULT,)
    if args.methods:
        methods = tuple(args.methods.split(","))
    if args.data:
        parts = {part.data: part for part in STAGES[args.stage].parts}
        names = [choice("--data", name, tuple(parts)) for name in args.data.split(",")]
        stage = dataclasses.replace(stage, parts=tuple(parts[name] for name in names))
    if args.spaces:
        spaces = tuple(space_of(name).name for name in args.spaces.split(","))
        stage = dataclasses.replace(stage, spaces=spaces)
    numbers = {
        "searches": args.searches,
        "random_cells": args.random,
        "first_seed": args.first_seed,
        "train_seeds": args.train_seeds,
    }
    stage = dataclasses.replace(stage, **{k: v for k, v in numbers.items() if v is not None})
    cells = stage.searches + stage.random_cells
    if math.comb(cells, stage.searches) > MAX_ARRANGEMENTS:
        raise ArgumentError(
            "--random", f"(={stage.random_cells}): {cells} cells are too many to test"
        )
    found, missing = available(stage.parts)
    for text in missing:
        print(f"left out: {text}", file=sys.stderr)
    stage = dataclasses.replace(stage, parts=tuple(found))
    plan = Plan(stage, methods, with_constants=not args.quick)
    for part, space in plan.rows:
        for method in methods:
            plan.search(part, space, method, stage.first_seed)  # raises where there is none
    return plan


def run(
    plan: Plan,
    results: Results,
    jobs: int,
    minutes: float,
    executor: AnyExecutor | None = None,
) -> None:
    """Run what is not done yet, and print a line for each unit."""
    start = time.monotonic()
    for unit, found in run_units(plan.units, results, jobs, minutes, executor):
        if "error" in found:
            outcome = f"failed: {found['error']}"
        elif unit.method:
            outcome = f"{found['seconds']:.0f} s, {' / '.join(found['described'])}"
        else:
            outcome = f"{found['seconds']:.0f} s, accuracy {found['score']:.2%}"
        minute = (time.monotonic() - start) / 60
        print(f"{minute:6.1f} min  {unit.what}: {outcome}", file=sys.stderr, flush=True)


def _client(address: str) -> Any:
    try:
        distributed = importlib.import_module("distributed")
    except ImportError as error:
        raise SystemExit("--dask needs distributed: pip install 'pydarts-nas[dask]'") from error
    return distributed.Client(address)


def main(argv: Sequence[str] | None = None) -> None:
    """Run a stage, and print its tables."""
    args = arguments(argv)
    try:
        plan, results = plan_of(args), Results(args.out)
    except (TypeError, ValueError) as error:
        raise SystemExit(f"python -m benchmarks.quality: {error}") from error
    try:
        if not args.table:
            client = None if args.dask is None else _client(args.dask)
            run(plan, results, args.jobs, args.minutes, client)
    except KeyboardInterrupt:
        pass  # all that was done is in the file
    print(tables(plan, results))


if __name__ == "__main__":
    main()
