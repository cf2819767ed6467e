# SPDX-License-Identifier: MIT
"""``python -m benchmarks.one_dimension``: arithmetic a second on signals and images.

Forward and backward of mixed operations of 16 channels over a batch of 64: of signals of 784
samples with kernels of 3 and 5 samples, and of images of 28x28 pixels with 3x3 and 5x5 pixels.
Convolutions are counted, in the forward pass and for both gradients.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import pydarts
from pydarts.spaces import DARTS, DARTS_1D, Operation

CHANNELS, BATCH, PIXELS = 16, 64, 784
ROUNDS = 15


def flops(operations: list[Operation]) -> int:
    """Two for each multiplication with its addition, of three passes."""
    taps = sum(
        {"depthwise": kernel[0] * kernel[1], "pointwise": CHANNELS}.get(stage.kind, 0)
        for op in operations
        for stage in op.stages
        for kernel in [stage.kernel or (1, 1)]
    )
    return 3 * 2 * taps * CHANNELS * PIXELS * BATCH


def seconds(operations: list[Operation], dimensions: int) -> float:
    """The shortest of several turns."""
    size = (1, PIXELS) if dimensions == 1 else (28, 28)
    net = pydarts.MixedOperation(CHANNELS, 1, operations, dimensions=dimensions)
    rng = np.random.default_rng(0)
    x, d = rng.normal(size=(2, BATCH, CHANNELS, *size)).astype(np.float32)
    times = []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        net.backward(x, d)  # runs forward, too
        times.append(time.perf_counter() - start)
    return min(times[1:])


def main() -> None:
    """Print a Markdown table."""
    argparse.ArgumentParser(
        prog="python -m benchmarks.one_dimension", description=__doc__
    ).parse_args()
    signals, images = list(DARTS_1D.operations), list(DARTS.operations)
    rows = [([one], [two]) for one, two in zip(signals[4:], images[4:], strict=True)]
    print("| operation | signals, GFLOP/s | images, GFLOP/s | ratio |")
    print("|---|--:|--:|--:|")
    for one, two in [*rows, (signals, images)]:
        rates = [flops(ops) / seconds(ops, n) / 1e9 for ops, n in ((one, 1), (two, 2))]
        name = "all eight" if len(one) > 1 else f"{one[0].name}, {two[0].name}"
        print(f"| {name} | {rates[0]:.0f} | {rates[1]:.0f} | {rates[0] / rates[1]:.2f} |")


if __name__ == "__main__":
    main()
