# SPDX-License-Identifier: MIT
"""Small networks and batches for tests of the engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from plain import Array

import pydarts
from pydarts.methods.mixture import MixtureMethod
from pydarts.spaces import DARTS, Cell, Layer, Space, Stack, as_space

ROOT = str(Path(pydarts.__file__).parents[1])
Net = pydarts.Supernet | pydarts.Network


def supernet(dtype: str = "float64", threads: int = 1, seed: int = 0) -> pydarts.Supernet:
    """Return a small supernet with alphas far from equal."""
    net = pydarts.Supernet(3, 3, classes=3, in_channels=2, dtype=dtype, seed=seed, threads=threads)
    rng = np.random.default_rng(seed)
    net.set_alphas({name: rng.normal(size=(14, 8)) for name in ("normal", "reduce")})
    return net


def derived(dtype: str = "float64", threads: int = 1, auxiliary: bool = True) -> pydarts.Network:
    """Return a small derived network."""
    return pydarts.Network(
        pydarts.DARTS_V2, 3, 3, 3, in_channels=2, auxiliary=auxiliary, dtype=dtype, threads=threads
    )


def batch(samples: int = 6, seed: int = 0) -> tuple[Array, Array]:
    """Return noise with labels 0..2."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(samples, 2, 7, 9)), rng.integers(0, 3, samples)


def snapshot(net: Net) -> dict[str, bytes]:
    """Return everything that a network holds, to the bit."""
    return {name: a.tobytes() for name, a in {**net.state_dict(), **net.alphas}.items()}


def flat(grads: dict[str, dict[str, Array]]) -> dict[str, Array]:
    """Return the gradients by weight name and alpha group."""
    return {name: a for kind in grads.values() for name, a in kind.items()}


def require_same_bits(build: Callable[..., pydarts.Supernet], method: MixtureMethod) -> None:
    """Take a step and a pass in both memory modes, with 1 to 3 threads: all must be the same."""
    x, y = batch(samples=11)
    seen = []
    for memory in ("store", "recompute"):
        for threads in (1, 2, 3):
            net = build(dtype="float32", threads=threads, memory=memory)
            step = method.step(net)
            step.start_epoch(1, 3)
            step(train=(x, y), valid=(x, y), lr=0.1)
            loss, grads = net.loss_and_grads(x, y)
            seen.append((loss, snapshot(net), {n: g.tobytes() for n, g in flat(grads).items()}))
    for other in seen[1:]:
        assert other == seen[0]


class PressCtrlC(pydarts.Callback):
    """Send this process SIGINT amid what follows the first epoch, as Ctrl-C does."""

    def on_epoch_end(self, loop: Any, entry: Any) -> None:
        if loop.epoch == 1:
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()


def run_python(
    code: str, timeout: float = 300, **environment: str | None
) -> subprocess.CompletedProcess[str]:
    """Run code that may crash, hang or need another environment in a process of its own.

    A variable that is None is not set there.
    """
    changed = {**os.environ, **environment}
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {ROOT!r})\n{code}"],
        env={name: value for name, value in changed.items() if value is not None},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


#: Networks beside those of DARTS over small images: two more are made here.
OTHER_SPACES = ("nas-bench-201", "s4", "darts-1d", "large", "by-edge")


def by_edge() -> Space:
    """Return a space whose edges differ, with residual blocks and nodes that may be zero."""
    ops = DARTS.operations
    cell = Cell(
        "normal",
        nodes=2,
        inputs=1,
        output="last",
        kept_edges=None,
        keeps_none=True,
        edges=[ops[0:4], ops[4:5], ops[0:6]],
    )
    layers = [
        Layer("normal", repeat="cells"),
        Layer("residual_block", stride=2, channels=2),
        Layer("normal", stride=2),
    ]
    stack = Stack(layers, norm_relu=True)
    return DARTS.replace(name="by-edge", cells=[cell], stack=stack, extra_operations=[])


def trained(name: str, seed: int) -> tuple[pydarts.Model, NDArray[np.uint8]]:
    """Return a model of a random cell of one of `OTHER_SPACES`, and images (N, C, H, W) for it."""
    shapes = {"large": (20, 1, 64, 64), "darts-1d": (20, 3, 1, 50)}
    spaces = {"large": DARTS, "by-edge": by_edge()}
    space = spaces.get(name) or as_space(name)
    assert space.stack is not None
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 256, shapes.get(name, (20, 2, 16, 16)), np.uint8)
    model = pydarts.train(
        pydarts.Genotype.random(seed, space=space),
        X,
        np.arange(20) % 2,
        image_layout="NCHW",
        channels=4,
        cells=1 if space.stack.counts_stages else 3,
        epochs=1,
        batch_size=10,
        threads=1,
        progress=False,
    )
    assert (model.config.stem == "imagenet") == (name == "large")
    return model, X
