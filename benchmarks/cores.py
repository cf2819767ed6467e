# SPDX-License-Identifier: MIT
"""``python -m benchmarks.cores``: what a search step offers to many cores.

A step's tasks are timed one by one on one thread. From these times a schedule is *simulated*: in
each loop a core that is free takes the next task, the loop ends with its last task, and what lies
between two loops runs on one core. Not simulated are cores that share memory bandwidth, caches and
clock, so real machines are slower; nor does it know of tasks that run faster in a cache of their
own.
"""

from __future__ import annotations

import argparse
import heapq
from collections.abc import Sequence
from functools import partial

import pydarts
from benchmarks.build_images import LR, seeded_images
from benchmarks.cases import ImageCase, select
from pydarts.bilevel import BilevelStep

#: Seconds before a loop, and those of its tasks.
Loop = tuple[float, list[float]]

CASES = ("second_order_small", "second_order_paper", "second_order_tiny")
SIZES = (8, 16, 32, 64)
CORES = (2, 8, 16, 32, 64)


def makespan(tasks: Sequence[float], cores: int) -> float:
    """Return when the last task ends if a free core takes the next one."""
    free = [0.0] * cores
    for task in tasks:
        heapq.heapreplace(free, free[0] + task)
    return max(free)


def simulate(loops: Sequence[Loop], cores: int, barrier: float) -> float:
    """Return how long a step takes on so many cores, with ``barrier`` seconds for each loop."""
    return sum(
        before + (makespan(tasks, cores) + barrier if tasks else 0.0) for before, tasks in loops
    )


def share_offering(loops: Sequence[Loop], tasks: int) -> float:
    """Return the share of the step's time that lies in loops of at least so many tasks."""
    total = sum(before + sum(durations) for before, durations in loops)
    offered = sum(sum(durations) for _, durations in loops if len(durations) >= tasks)
    return offered / total


def record(case: ImageCase) -> list[Loop]:
    """Time the tasks of a search step, the second one of a network."""
    supernet = pydarts.Supernet(**case.network, threads=2, space=case.space)
    step = BilevelStep(supernet, order=2 if case.kind == "second_order" else 1)
    shape = (case.batch, case.in_channels, *case.shape)
    once = partial(step, train=seeded_images(shape, 3), valid=seeded_images(shape, 4), lr=LR)
    once()
    loops: list[Loop] = supernet._engine.record_tasks(once)
    return loops


def main() -> None:
    """Print two Markdown tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cores", description=__doc__)
    parser.add_argument("--case", nargs="+", default=list(CASES))
    parser.add_argument("--barrier", type=float, default=5.0, help="microseconds for each loop")
    args = parser.parse_args()
    cases = [case for case in select(args.case) if isinstance(case, ImageCase)]
    recorded = {case: record(case) for case in cases}
    least = " | ".join(f"≥ {size}" for size in SIZES)
    print(f"| share of the time in loops of tasks: | loops | {least} | most | outside |")
    print("|---|--:|" + "--:|" * len(SIZES) + "--:|--:|")
    for case, loops in recorded.items():
        most = max(len(tasks) for _, tasks in loops)
        shares = " | ".join(f"{share_offering(loops, size):.1%}" for size in SIZES)
        outside = 1 - share_offering(loops, 1)
        print(f"| {case.name} | {len(loops) - 1} | {shares} | {most} | {outside:.2%} |")
    print("\n| simulated | one core, ms | " + " | ".join(f"{n} cores" for n in CORES) + " |")
    print("|---|--:|" + "--:|" * len(CORES))
    for case, loops in recorded.items():
        alone = simulate(loops, 1, 0.0)
        times = [simulate(loops, n, 1e-6 * args.barrier) for n in CORES]
        ratios = " | ".join(f"{alone / time:.1f}×" for time in times)
        print(f"| {case.name} | {1e3 * alone:.0f} | {ratios} |")


if __name__ == "__main__":
    main()
