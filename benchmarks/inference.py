# SPDX-License-Identifier: MIT
"""``python -m benchmarks.inference``: a found network against its own ONNX file in ONNX Runtime.

Each contender lives in a process of its own, since the waiting threads of one would take the cores
of the other, and takes its turns while the other sleeps. Before anything is timed their logits must
agree.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pydarts
from pydarts.data.labels import Labels
from pydarts.data.normalization import Normalization
from pydarts.models.objectives import Classification
from pydarts.training.config import TrainConfig

Array = NDArray[np.float32]

CLASSES, SIDE = 10, 28
TOLERANCE = 1e-4  # of the largest logit


def found_model(channels: int, cells: int, threads: int) -> pydarts.Model:
    """Return a model of DARTS_V2's cells, with the weights and statistics of some seed."""
    network = pydarts.Network(
        pydarts.DARTS_V2, channels, cells, classes=CLASSES, in_channels=1, threads=threads
    )
    rng = np.random.default_rng(0)
    state = network.state_dict()
    for name, values in state.items():
        if "running" in name:
            values += rng.uniform(0, 0.5, values.shape).astype(values.dtype)
    network.load_state_dict(state)
    config = TrainConfig(channels=channels, cells=cells, stem="cifar")
    labels = Labels(tuple(range(CLASSES)))
    return pydarts.Model(
        network, Normalization((0.0,), (1.0,)), Classification(labels), (SIDE, SIDE), config
    )


def build_pydarts(path: Path, args: argparse.Namespace, threads: int) -> Callable[[Array], Any]:
    """Return what computes logits with pydarts."""
    network = found_model(args.channels, args.cells, threads).network
    return lambda x: network.logits(x, training=False)


def build_onnxruntime(path: Path, args: argparse.Namespace, threads: int) -> Callable[[Array], Any]:
    """Return what computes logits with ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"images": x})[0]


CONTENDERS = {"ONNX Runtime": build_onnxruntime, "pydarts": build_pydarts}


def serve(
    pipe: Connection, contender: str, path: Path, args: argparse.Namespace, threads: int
) -> None:
    """Answer a batch with its logits, and a time in seconds with that of one call."""
    call = CONTENDERS[contender](path, args, threads)
    batch = np.zeros((1, 1, SIDE, SIDE), np.float32)
    while (order := pipe.recv()) is not None:
        if not isinstance(order, float):
            batch = order
            pipe.send(call(batch))
            continue
        call(batch)  # caches and threads are awake again
        times: list[float] = []
        end = perf_counter() + order
        while not times or perf_counter() < end:
            start = perf_counter()
            call(batch)
            times.append(perf_counter() - start)
        pipe.send(median(times))


def ask(pipe: Connection, order: Any) -> Any:
    """Return the answer to an order."""
    pipe.send(order)
    return pipe.recv()


def measure(pipes: dict[str, Connection], batch: int, args: argparse.Namespace) -> str:
    """Return the cells of a batch size's row."""
    x = np.random.default_rng(1).normal(size=(batch, 1, SIDE, SIDE)).astype(np.float32)
    expected, actual = (ask(pipe, x) for pipe in pipes.values())
    error = np.abs(actual - expected).max() / np.abs(expected).max()
    if not error <= TOLERANCE:
        raise SystemExit(f"the logits differ by {error:.1e} of the largest")
    rounds = [[ask(pipe, args.seconds) for pipe in pipes.values()] for _ in range(args.rounds)]
    columns = [[1e3 * time for time in column] for column in zip(*rounds, strict=True)]
    ratios = [theirs / ours for theirs, ours in rounds]
    cells = [f"{median(c):.3g} ({min(c):.3g}–{max(c):.3g})" for c in columns]
    cells.append(f"{median(ratios):.2f}× ({min(ratios):.2f}–{max(ratios):.2f})")
    return " | ".join(cells)


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inference", description=__doc__)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--cells", type=int, default=5)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 64, 500])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3, help="of a turn")
    args = parser.parse_args()
    model = found_model(args.channels, args.cells, 1)
    print(f"{model.network.num_weights:,} weights, {SIDE}×{SIDE} pixels\n")
    print("| threads | batch | ONNX Runtime, ms | pydarts, ms | faster by |")
    print("|--:|--:|--:|--:|--:|", flush=True)
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        model.to_onnx(path)
        for threads in args.threads:
            os.environ["OMP_NUM_THREADS"] = str(threads)  # the processes inherit it
            pipes = {}
            for contender in CONTENDERS:
                pipes[contender], theirs = context.Pipe()
                arguments = (theirs, contender, path, args, threads)
                context.Process(target=serve, args=arguments, daemon=True).start()
            for batch in args.batches:
                print(f"| {threads} | {batch} | {measure(pipes, batch, args)} |", flush=True)
            for pipe in pipes.values():
                pipe.send(None)


if __name__ == "__main__":
    main()
