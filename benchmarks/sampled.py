# SPDX-License-Identifier: MIT
"""``python -m benchmarks.sampled``: what a search step that samples one operation an edge costs.

Full: a step of first order, `BilevelStep`. Sampled: one operation of each edge, drawn uniformly, is
active with the mixing weight 1; the gradient with respect to the mixing weights on the validation
batch, then a step of the weights on the training batch. Both in turn, once for each sample.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import mean, median

import numpy as np

import pydarts
from benchmarks.build_images import (
    LR,
    MAX_GRAD_NORM,
    MOMENTUM,
    WEIGHT_DECAY,
    seeded_images,
)
from benchmarks.cases import ImageCase, select
from pydarts.engine.sgd import SGD


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sampled", description=__doc__)
    parser.add_argument("--case", default="first_order_small", help="one of first order")
    parser.add_argument("--samples", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", default="store", choices=["store", "recompute"])
    args = parser.parse_args()
    (case,) = select([args.case])
    assert isinstance(case, ImageCase)
    shape = (case.batch, case.in_channels, *case.shape)
    train, valid = seeded_images(shape, 3), seeded_images(shape, 4)
    rng = np.random.default_rng(0)

    def supernet() -> pydarts.Supernet:
        return pydarts.Supernet(
            **case.network, threads=args.threads, memory=args.memory, space=case.space
        )

    net = supernet()
    full = pydarts.bilevel.BilevelStep(supernet(), order=1)
    sgd = SGD(net, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY, max_grad_norm=MAX_GRAD_NORM)

    def sampled() -> None:
        active = {}
        for cell in net.space.cells:
            exists = cell.exists(len(net.alphas[cell.name]))
            draws = np.where(exists, rng.random(exists.shape), -1.0)
            active[cell.name] = draws == draws.max(axis=1, keepdims=True)
        mixing = {name: np.ones(a.shape) for name, a in active.items()}
        net.loss_and_grads(*valid, wrt="mixing", mixing=mixing, active=active)
        sgd(*train, LR, mixing=mixing, active=active)

    def step() -> None:
        full(train=train, valid=valid, lr=LR)

    for call in (step, sampled):  # plans, and brings everything into memory
        call()
    times = [(_seconds(step), _seconds(sampled)) for _ in range(args.samples)]
    whole, part = (list(t) for t in zip(*times, strict=True))
    print("| step | full, ms | sampled, ms: mean (range) | mean share | largest |")
    print("|---|--:|--:|--:|--:|")
    print(
        f"| {case.name}, {args.samples} samples | {1e3 * median(whole):.1f} "
        f"| {1e3 * mean(part):.1f} ({1e3 * min(part):.1f}–{1e3 * max(part):.1f}) "
        f"| {mean(part) / mean(whole):.1%} | {max(part) / median(whole):.1%} |"
    )


if __name__ == "__main__":
    main()
