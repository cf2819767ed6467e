# SPDX-License-Identifier: MIT
"""``python -m benchmarks``: pydarts against plain PyTorch; see ``benchmarks/README.md``."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from .cases import CASES, SMALL, SWEEP, Case, select, sweep
from .contenders import CONTENDERS
from .measure import OURS, TORCH, Failed, Result, best, fma_peaks, measure
from .report import Report, environment, number

TURN, QUICK_TURN = 0.5, 0.02  # seconds


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is less than 1")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--case",
        nargs="+",
        metavar="NAME",
        help="what to measure, names or patterns such as 'second_order*'; all of: "
        + ", ".join(case.name for case in CASES),
    )
    parser.add_argument(
        "--sweep",
        action="store_true",
        help="measure how a second-order step grows with batch, channels, cells, image side and "
        "threads; ours alone unless --contender says more, and no cases but those of --case",
    )
    parser.add_argument(
        "--contender",
        nargs="+",
        metavar="NAME",
        choices=(*OURS, *TORCH),
        help=f"any of {', '.join((*OURS, *TORCH))}; without torch nothing is verified",
    )
    parser.add_argument("--threads", type=_positive, default=2, help="of each contender (2)")
    parser.add_argument("--rounds", type=_positive, help="turns of each contender (5; quick: 2)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that all works")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write results.md, results.json and plots there"
    )
    return parser


def _jobs(args: argparse.Namespace) -> Iterator[tuple[bool, Case, int, Sequence[str]]]:
    """Yield for each measurement: part of the sweep?, case, threads, contenders."""
    if args.case or not args.sweep:
        everyone = args.contender or (*OURS, *TORCH)
        for case in select(args.case or ["*"]):
            contenders = [name for name in everyone if case.kind in CONTENDERS[name].cases]
            if contenders:
                yield False, case.quick() if args.quick else case, args.threads, contenders
    if args.sweep:
        contenders = args.contender or [OURS[0]]
        for parameter in SWEEP:
            for case in sweep(parameter, args.quick):
                yield True, case, args.threads, contenders
        base = SMALL.quick() if args.quick else SMALL
        cores = os.cpu_count() or 1
        for threads in sorted({1, cores, *(2**n for n in range(cores.bit_length()))}):
            yield True, replace(base, name=f"threads_{threads}"), threads, contenders


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the tables, and return the exit status."""
    parser = _parser()
    args = parser.parse_args(arguments)
    try:
        jobs = list(_jobs(args))
    except ValueError as error:
        parser.error(str(error))
    if any(set(TORCH) & set(contenders) for *_, contenders in jobs) and not find_spec("torch"):
        parser.error("this compares with PyTorch: pip install torch, or --contender pydarts")
    plots = args.out is not None and find_spec("matplotlib") is not None
    if args.out and not plots:
        print("no plots: matplotlib is not installed", file=sys.stderr)

    rounds = args.rounds or (2 if args.quick else 5)
    turn = QUICK_TURN if args.quick else TURN
    given = sys.argv[1:] if arguments is None else arguments
    command = shlex.join(["python", "-m", "benchmarks", *given])
    report = Report(command, args.threads, rounds, environment())
    load = report.environment["load"]
    if load is not None and load > 0.5:
        print(
            f"load {load}: other work slows the contenders unequally",
            file=sys.stderr,
        )
    status = 0
    try:
        for in_sweep, case, threads, contenders in jobs:
            report.peaks[threads] = best(report.peaks.get(threads, {}), fma_peaks(threads))
            try:
                result, versions = measure(case, contenders, threads, rounds, turn)
            except Failed as error:
                print(f"{case.name} skipped: {error}", file=sys.stderr)
                status = 1
                continue
            report.versions |= versions
            (report.sweep if in_sweep else report.results).append(result)
            print(_progress(result), file=sys.stderr)
            if args.out:
                report.save(args.out)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    print(report.markdown(), end="")
    if args.out:
        report.save(args.out)
    if plots:
        report.plot(args.out)
    return status


def _progress(result: Result) -> str:
    medians = ((name, 1e3 * median(values)) for name, values in result.seconds.items())
    times = ", ".join(f"{name} {number(ms)} ms" for name, ms in medians)
    return f"{result.case.name}: {times}"


if __name__ == "__main__":
    sys.exit(main())
