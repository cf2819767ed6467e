# SPDX-License-Identifier: MIT
"""``python -m benchmarks.ranks``: one search step on several MPI ranks.

Measured on this machine, in turn: one rank of two threads, one of one thread, two of one thread;
and what a step tells all ranks, in messages and bytes. From these a model is fitted,

    t(ranks) = serial + parallel / ranks + messages * latency + bytes / bandwidth,

where ``serial`` is what every rank does for itself, such as the optimisers: processor time of one
thread outside of messages, on one rank and on two, which other processes disturb little. What it
says of more ranks, over networks that nobody here has, is a *prediction*: "80 % from N" is the
batch from which on ranks have four fifths of their speed.

``--memory``: how much of its own memory (RssAnon of /proc/self/status) a rank has more after steps
than before there was a network.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import pydarts
from benchmarks.build_images import LR, seeded_images
from benchmarks.build_text import LR as TEXT_LR
from benchmarks.build_text import seeded_text
from benchmarks.cases import Case, ImageCase, TextCase, select
from benchmarks.contenders import memory
from pydarts.bilevel import BilevelStep
from pydarts.common.ranks import Ranks, launched_rank, launched_ranks

CASES = ("second_order_small", "second_order_paper", "second_order_tiny")
RANKS = (1, 2, 4, 8, 16, 32, 64)
#: Latency of a message in seconds, and bytes a second.
NETWORKS = {"10 µs, 12.5 GB/s": (10e-6, 12.5e9), "50 µs, 1.25 GB/s": (50e-6, 1.25e9)}


class Measured(NamedTuple):
    """A step on so many ranks: its seconds, processor time outside of messages, and what it tells
    all ranks.
    """

    seconds: float
    computing: float
    messages: float
    bytes: float
    activations: int
    memory: int


class Model(NamedTuple):
    """What a step takes: seconds that fall with the ranks, and seconds that do not; and what two
    ranks tell each other.
    """

    parallel: float
    serial: float
    messages: float
    bytes: float

    def told(self, ranks: int, latency: float, bandwidth: float) -> float:
        """Return the seconds of messages: a gather takes as many latencies as there are halvings,
        and each rank gets what all others tell, which grows with the ranks.
        """
        halvings = math.ceil(math.log2(ranks))
        return self.messages * latency * halvings + self.bytes / 2 * (ranks - 1) / bandwidth

    def seconds(self, ranks: int, latency: float, bandwidth: float, size: float = 1) -> float:
        """Return the seconds of a step, of a batch of ``size`` times that measured."""
        told = self.told(ranks, latency, bandwidth)
        return self.parallel * size / ranks + self.serial + told

    def size_for(self, efficiency: float, ranks: int, latency: float, bandwidth: float) -> float:
        """Return the size of a batch at which ranks have that share of their speed."""
        own = self.serial + self.told(ranks, latency, bandwidth)
        missing = efficiency * ranks * own - self.serial
        return max(0.0, missing / (self.parallel * (1 - efficiency)))


def fit(one: Measured, two: Measured) -> Model:
    """Return the model that gives what one rank computes, and each of two."""
    parallel = min(one.computing, max(0.0, 2 * (one.computing - two.computing)))
    return Model(parallel, one.computing - parallel, two.messages, two.bytes)


class _Watched(Ranks):
    """Ranks that know the processor time of their messages."""

    telling = 0.0

    def gather(self, mine: memoryview, everything: memoryview, counts: Sequence[int]) -> None:
        start = time.process_time()
        super().gather(mine, everything, counts)
        self.telling += time.process_time() - start


def _ranks() -> _Watched:
    if launched_ranks() == 1:
        return _Watched()
    from mpi4py import MPI

    return _Watched(MPI.COMM_WORLD)


def _built(case: Case, threads: int, ranks: Ranks) -> tuple[Callable[[], Any], Any, int]:
    """A search step of all ranks, its network, and the bytes of a rank's activations."""
    if isinstance(case, TextCase):
        network = pydarts.RecurrentSupernet(**case.network, threads=threads)
        network.use_ranks(ranks)
        (x, y, hidden), (x_valid, y_valid, hidden_valid) = (seeded_text(case, k) for k in (3, 4))
        given = {"train": (x, y), "valid": (x_valid, y_valid), "hidden": (hidden, hidden_valid)}
        text_step = BilevelStep(network, order=2 if case.kind == "text_second_order" else 1)
        once = partial(text_step, **given, lr=TEXT_LR)
        return once, network, network.memory_plan(case.batch, case.steps)["activations"]
    assert isinstance(case, ImageCase)
    supernet = pydarts.Supernet(**case.network, threads=threads, space=case.space)
    supernet.use_ranks(ranks)
    step = BilevelStep(supernet, order=2 if case.kind == "second_order" else 1)
    shape = (case.batch, case.in_channels, *case.shape)
    once = partial(step, train=seeded_images(shape, 3), valid=seeded_images(shape, 4), lr=LR)
    return once, supernet, supernet.memory_plan(case.batch, case.shape)["activations"]


def measure(case: Case, seconds: float, threads: int) -> dict[str, Any]:
    """Time search steps of this process's ranks, after one that does not count."""
    ranks = _ranks()
    before = memory("RssAnon")
    once, _network, activations = _built(case, threads, ranks)
    once()
    messages, sent, telling = ranks.messages, ranks.sent_bytes, ranks.telling
    began = time.process_time()
    times: list[float] = []
    while ranks.of_first(sum(times) < seconds):
        start = time.perf_counter()
        once()
        times.append(time.perf_counter() - start)
    count, busy = len(times), time.process_time() - began
    return {
        "seconds": float(np.median(times)),
        "computing": (busy - (ranks.telling - telling)) / count,
        "messages": (ranks.messages - messages) / count,
        "bytes": (ranks.sent_bytes - sent) / count,
        "activations": activations,
        "memory": memory("RssAnon") - before,
    }


def link(seconds: float = 1.0) -> tuple[float, float]:
    """Measure what a gather between two ranks takes of latency, and bytes a second."""
    ranks = _ranks()
    found = []
    for size in (64, 1 << 22):
        mine, all_of = memoryview(bytearray(size)), memoryview(bytearray(2 * size))
        times: list[float] = []
        while ranks.of_first(sum(times) < seconds / 2):
            start = time.perf_counter()
            ranks.gather(mine, all_of, (size, size))
            times.append(time.perf_counter() - start)
        found.append(float(np.median(times)))
    return found[0], (1 << 22) / max(found[1] - found[0], 1e-9)


def _launch(ranks: int, *arguments: str) -> Any:
    command = [sys.executable, "-m", "benchmarks.ranks", *arguments]
    if ranks > 1:
        command = ["mpiexec", "-n", str(ranks), *command]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def compare(case: Case, turns: int, seconds: float) -> dict[tuple[int, int], Measured]:
    """Measure (ranks, threads) in turn."""
    found: dict[tuple[int, int], list[Any]] = {(1, 2): [], (1, 1): [], (2, 1): []}
    for _ in range(turns):
        for (ranks, threads), times in found.items():
            times.append(
                _launch(ranks, "--case", case.name, "--worker", str(threads), str(seconds))
            )
    return {
        setting: Measured(
            float(np.median([one["seconds"] for one in ones])),
            float(np.median([one["computing"] for one in ones])),
            ones[0]["messages"],
            ones[0]["bytes"],
            ones[0]["activations"],
            ones[0]["memory"],
        )
        for setting, ones in found.items()
    }


def main() -> None:
    """Print Markdown tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ranks", description=__doc__)
    parser.add_argument("--case", nargs="+", default=list(CASES))
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--memory", action="store_true", help="of 1 to 4 ranks, and nothing else")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        threads, seconds = int(args.worker[0]), float(args.worker[1])
        if args.case == ["link"]:
            told: Any = link(seconds)
        else:
            (case,) = select(args.case)
            told = measure(case, seconds, threads)
        if launched_rank() == 0:
            print(json.dumps(told))
        return
    cases = select(args.case)
    if args.memory:
        _print_memory(cases)
        return
    latency, speed = _launch(2, "--case", "link", "--worker", "1", "2")
    print(f"A gather between two ranks here: {1e6 * latency:.1f} µs, {speed / 1e9:.2f} GB/s.\n")
    measured = {case: compare(case, args.turns, args.seconds) for case in cases}
    _print_measured(measured)
    images = {case: found for case, found in measured.items() if isinstance(case, ImageCase)}
    _print_predicted(images)  # of recurrent networks the batch is not what is divided


def _print_memory(cases: Sequence[Case]) -> None:
    print("| MB of a rank | 1 rank | 2 ranks | 3 ranks | 4 ranks |\n|---|" + "--:|" * 4)
    for case in cases:
        worker = "--case", case.name, "--worker", "1", "0.01"
        found = [_launch(ranks, *worker)["memory"] for ranks in (1, 2, 3, 4)]
        print(f"| {case.name} | {' | '.join(f'{size / 1e6:.0f}' for size in found)} |")


def _print_measured(measured: dict[Case, dict[tuple[int, int], Measured]]) -> None:
    columns = "1 rank of 2 threads, ms | 1 of 1 | 2 of 1 | 2 of 1 against 1 of 2"
    print(f"| measured | {columns} | messages | MB | activations of a rank |")
    print("|---|" + "--:|" * 7)
    for case, found in measured.items():
        threads, alone, two = found[1, 2], found[1, 1], found[2, 1]
        times = " | ".join(f"{1e3 * one.seconds:.1f}" for one in (threads, alone, two))
        share = threads.seconds / two.seconds
        told = f"{two.messages:.0f} | {two.bytes / 1e6:.1f}"
        memory = f"{two.activations / alone.activations:.0%}"
        print(f"| {case.name} | {times} | {share:.0%} | {told} | {memory} |")


def _print_predicted(measured: dict[ImageCase, dict[tuple[int, int], Measured]]) -> None:
    for name, (network_latency, bandwidth) in NETWORKS.items():
        print(f"\n| predicted, {name} | " + " | ".join(f"{n} ranks" for n in RANKS) + " |")
        print("|---|" + "--:|" * len(RANKS))
        for case, found in measured.items():
            model, link_here = fit(found[1, 1], found[2, 1]), (network_latency, bandwidth)
            alone = model.seconds(1, *link_here)
            cells = []
            for ranks in RANKS:
                seconds = model.seconds(ranks, *link_here)
                batch = max(4 * ranks, case.batch * model.size_for(0.8, ranks, *link_here))
                parts = [f"80 % from {math.ceil(batch)}"] if ranks > 1 else []
                if ranks <= max(1, case.batch // 4):  # else a rank has no image of this batch
                    parts = [f"{1e3 * seconds:.0f} ms", f"{alone / seconds:.1f}×", *parts]
                cells.append(", ".join(parts))
            print(f"| {case.name}, batch {case.batch} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
