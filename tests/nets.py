# SPDX-License-Identifier: MIT
"""Small networks and batches for tests of the engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from plain import Array

import pydarts

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


def run_python(
    code: str, timeout: float = 60, **environment: str | None
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
