# SPDX-License-Identifier: MIT
"""``python -m benchmarks.products``: the recurrent engine against numpy's matrix products alone.

A second-order search step over text is mostly matrix products, for which pydarts has its own code.
Here numpy's BLAS does the products of a step, of the same shapes on the same number of threads and
nothing else: no gates, no normalisation, no softmax, no optimiser, and operands that are in cache.
It runs the kernel that it takes for the processor's best, whatever the environment says.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

import numpy as np
from numpy.typing import NDArray

from benchmarks.build_text import build_pydarts
from benchmarks.cases import CASES, TEXT_NODES, TextCase
from benchmarks.measure import ROOT, child_environment

#: Passes of a second-order step, by what they compute: all forward, all but none the gradient of
#: the states, three that of the weights.
FORWARD, STATES, WEIGHTS = 5, 5, 3


def shapes(case: TextCase) -> Iterator[tuple[int, int, int, int]]:
    """Yield rows, depth, columns and how often, of the forward products of one pass."""
    h, rows = case.hidden_size, case.steps * case.batch
    yield rows, h, 2 * h, 1  # of the words' embeddings, all steps at once
    for edges in (1, *range(1, TEXT_NODES + 1)):  # of the initial state, then of the nodes
        yield edges * case.batch, h, 2 * h, case.steps
    yield rows, h, case.vocab_size, 1


def operands(case: TextCase) -> list[tuple[NDArray[np.float32], NDArray[np.float32], int]]:
    """Return the factors of all products of a step, and how often each is taken."""
    rng = np.random.default_rng(0)

    def matrix(rows: int, columns: int) -> NDArray[np.float32]:
        return rng.standard_normal((rows, columns), dtype=np.float32)

    work = []
    for rows, depth, columns, times in shapes(case):
        a, b = matrix(rows, depth), matrix(depth, columns)
        work.append((a, b, FORWARD * times))
        work.append((matrix(rows, columns), b.T, STATES * times))
        # The gradient of a node's weights is one product over all steps.
        work.append((matrix(times * rows, depth).T, matrix(times * rows, columns), WEIGHTS))
    return work


def multiply(
    work: list[tuple[NDArray[np.float32], NDArray[np.float32], int]],
    outputs: list[NDArray[np.float32]],
) -> None:
    """Do all products of a step."""
    for (a, b, times), out in zip(work, outputs, strict=True):
        for _ in range(times):
            np.matmul(a, b, out=out)


def seconds(run: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def compare(threads: int, rounds: int) -> None:
    """Print a Markdown table."""
    print("| case | size | numpy's products, ms | pydarts' whole step, ms | products / step |")
    print("|---|---|--:|--:|--:|")
    for case in CASES:
        if not isinstance(case, TextCase) or case.kind != "text_second_order":
            continue
        step, _ = build_pydarts(case, threads)
        work = operands(case)
        outputs = [np.empty((len(a), b.shape[1]), np.float32) for a, b, _ in work]
        products = partial(multiply, work, outputs)
        products()
        step()
        pairs = [(seconds(products), seconds(step)) for _ in range(rounds)]
        theirs, ours = (median(column) for column in zip(*pairs, strict=True))
        ratio = median(a / b for a, b in pairs)
        print(f"| {case.name} | {case.size} | {theirs * 1e3:,.0f} | {ours * 1e3:,.0f} |", end="")
        print(f" {ratio:.2f} |", flush=True)


def main() -> int:
    """Compare in a process whose BLAS has not read this one's environment; return its status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.products", description=__doc__)
    parser.add_argument("--threads", type=int, default=2, help="of both (2)")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    code = f"from benchmarks.products import compare; compare({args.threads}, {args.rounds})"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=child_environment(args.threads)
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
