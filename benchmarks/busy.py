# SPDX-License-Identifier: MIT
"""``python -m benchmarks.busy``: how long a step takes beside other processes that compute.

The fair share: ``threads`` threads and ``busy`` processes of one thread each, that all want a core,
get the cores in equal parts. A thread that waits for one without a core makes it worse than that.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.cases import select
from benchmarks.measure import Process


def fair_share(cores: int, threads: int, busy: int) -> float:
    """Return by what a step slows down if every thread that computes has its part of the cores."""
    alone = min(1.0, cores / threads)
    return alone / min(1.0, cores / (threads + busy))


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Keep ``count`` processes busy, wherever the system puts them."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        time.sleep(0.3)  # until they are
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.busy", description=__doc__)
    parser.add_argument("--case", default="first_order_small")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--busy", type=int, default=1, help="processes beside the step")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a turn")
    args = parser.parse_args()
    (case,) = select([args.case])
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    print(f"{case.name}, {cores} cores, {args.busy} busy beside the step\n")
    print("| threads | alone, ms | beside, ms | slower by | fair share | over it |")
    print("|--:|--:|--:|--:|--:|--:|")
    with TemporaryDirectory() as folder:
        for threads in args.threads:
            alone, beside = [], []
            with Process("pydarts", case, threads, Path(folder)) as process:
                process.read()
                for _ in range(args.rounds):
                    alone.append(process.run(args.seconds)["seconds"])
                    with busy_processes(args.busy):
                        beside.append(process.run(args.seconds)["seconds"])
            slower = median(b / a for a, b in zip(alone, beside, strict=True))
            fair = fair_share(cores, threads, args.busy)
            print(
                f"| {threads} | {1e3 * median(alone):.1f} | {1e3 * median(beside):.1f} "
                f"| {slower:.2f}× | {fair:.2f}× | {slower / fair:.2f}× |"
            )


if __name__ == "__main__":
    main()
