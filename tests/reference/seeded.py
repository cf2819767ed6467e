# SPDX-License-Identifier: MIT
"""Seeded inputs for pydarts and the reference alike, and the comparison; numpy only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import cos, pi
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Batch = tuple[Array, Array]


class Size(NamedTuple):
    """A network and a batch for it."""

    channels: int
    cells: int
    batch: int
    height: int
    width: int
    in_channels: int

    def network(self, classes: int) -> dict[str, Any]:
        """Return the arguments by which pydarts and the reference build the network."""
        return {
            "channels": self.channels,
            "cells": self.cells,
            "classes": classes,
            "in_channels": self.in_channels,
        }


def uniform(rng: np.random.Generator, low: float, high: float, shape: tuple[int, ...]) -> Array:
    """Draw by ``rng.random``, the method whose stream is least likely ever to change."""
    return low + (high - low) * rng.random(shape)


def seeded_state(like: Mapping[str, Array], seed: int) -> dict[str, Array]:
    """Return a float64 state with the names and shapes of ``like``, drawn in order of name."""
    rng = np.random.default_rng(seed)
    drawn = {}
    for name in sorted(like):
        shape = like[name].shape
        if len(shape) > 1:
            bound = 1.0 / np.sqrt(np.prod(shape[1:]))
            drawn[name] = uniform(rng, -bound, bound, shape)
        elif name.endswith(("running_var", ".weight")):
            drawn[name] = uniform(rng, 0.5, 1.5, shape)
        else:
            drawn[name] = uniform(rng, -0.5, 0.5, shape)
    return drawn


def seeded_alphas(seed: int) -> dict[str, Array]:
    """Return alphas far enough from zero for the candidates' weights to differ."""
    rng = np.random.default_rng(seed)
    return {name: uniform(rng, -1.0, 1.0, (14, 8)) for name in ("normal", "reduce")}


def seeded_batch(size: Size, classes: int, seed: int) -> Batch:
    """Return images of noise and their labels."""
    rng = np.random.default_rng(seed)
    x = uniform(rng, -1.0, 1.0, (size.batch, size.in_channels, size.height, size.width))
    return x, (classes * rng.random(size.batch)).astype(np.int64)


# A short search, at rates large enough for every term of a step to leave its mark.
SEARCH_SIZE = Size(channels=2, cells=3, batch=4, height=7, width=6, in_channels=1)
SEARCH_CLASSES = 4
SEARCH_STEPS = 20
SEARCH_OPTIONS: dict[str, Any] = {
    "order": 2,
    "momentum": 0.9,
    "weight_decay": 3e-3,
    "max_grad_norm": 4.5,
    "alpha_lr": 0.02,
    "alpha_betas": (0.5, 0.999),
    "alpha_weight_decay": 1e-2,
}


def search_steps() -> Iterator[tuple[Batch, Batch, float]]:
    """Yield training batch, validation batch and rate, from 0.1 by cosine to 0.01, of each step."""
    for step in range(SEARCH_STEPS):
        yield (
            seeded_batch(SEARCH_SIZE, SEARCH_CLASSES, 100 + step),
            seeded_batch(SEARCH_SIZE, SEARCH_CLASSES, 200 + step),
            0.01 + 0.09 * 0.5 * (1.0 + cos(pi * step / SEARCH_STEPS)),
        )


# One tensor of every kind whose gradient at the first step is part of the golden trace.
GOLDEN_GRADIENTS = (
    "stem.0.weight",
    "stem.1.bias",
    "cells.0.preprocess1.op.1.weight",
    "cells.0._ops.0._ops.4.op.1.weight",
    "cells.0._ops.4._ops.7.op.1.weight",
    "cells.1._ops.0._ops.3.conv_2.weight",
    "cells.1._ops.1._ops.5.op.6.weight",
    "cells.2.preprocess0.conv_1.weight",
    "cells.2._ops.13._ops.6.op.2.weight",
    "classifier.weight",
    "classifier.bias",
)


def summary(state: Mapping[str, Array]) -> tuple[Array, Array]:
    """Return the sorted names, and by name the sum and the sum of squares of each array."""
    names = sorted(state)
    return np.array(names), np.array([(state[n].sum(), (state[n] ** 2).sum()) for n in names])


def assert_close(
    actual: Mapping[str, Array], expected: Mapping[str, Array], tol: float, floor: float = 1e-5
) -> None:
    """Compare arrays by name, each relative to the largest entry of the expected one.

    What is zero but for rounding has no relative error: an array is held to at least ``floor``
    times the largest entry of all arrays.
    """
    assert actual.keys() == expected.keys(), sorted(actual.keys() ^ expected.keys())
    largest = {name: float(np.abs(e).max(initial=0.0)) for name, e in expected.items()}
    least = floor * max(largest.values())
    worst = 0.0, ""
    for name, e in expected.items():
        a = np.asarray(actual[name])
        assert a.shape == np.shape(e), name
        assert np.isfinite(a).all(), name
        error = float(np.abs(a.astype(np.float64) - e).max(initial=0.0))
        worst = max(worst, (error / max(largest[name], least, 1e-300), name))
    assert worst[0] <= tol, f"`{worst[1]}` differs by {worst[0]:.2e} of its largest entry"
