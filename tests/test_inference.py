# SPDX-License-Identifier: MIT
"""Derived networks in evaluation: folded normalisations, images one by one or in bands of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import pydarts
from pydarts.engine.sgd import SGD
from pydarts.spaces.darts import Genotype

Array = NDArray[Any]
EVERYTHING = Genotype(
    normal=[
        ("sep_conv_3x3", 0),
        ("conv_7x1_1x7", 1),
        ("skip_connect", 0),
        ("max_pool_3x3", 1),
        ("sep_conv_7x7", 2),
        ("skip_connect", 3),
        ("dil_conv_5x5", 2),
        ("avg_pool_3x3", 3),
    ],
    normal_concat=[3, 4, 5],
    reduce=[
        ("max_pool_3x3", 0),
        ("max_pool_3x3", 1),
        ("skip_connect", 1),
        ("avg_pool_3x3", 0),
        ("max_pool_3x3", 0),
        ("sep_conv_5x5", 1),
        ("dil_conv_3x3", 0),
        ("skip_connect", 2),
    ],
    reduce_concat=[2, 3, 4, 5],
)
#: Odd ones, a row longer than a chunk, planes of fewer rows than threads.
SIZES = [(9, 11), (3, 130), (4, 4), (28, 28)]


def network(dtype: str, threads: int = 1, **options: Any) -> pydarts.Network:
    """Return a network whose weights and statistics are all drawn."""
    sizes: dict[str, Any] = {"channels": 3, "cells": 4, "classes": 4, "in_channels": 2, **options}
    net = pydarts.Network(EVERYTHING, **sizes, dtype=dtype, threads=threads)
    rng = np.random.default_rng(0)
    state = net.state_dict()
    drawn = {
        n: rng.uniform(0.0 if "running" in n else -0.2, 0.2, a.shape) for n, a in state.items()
    }
    net.load_state_dict({n: a + drawn[n] for n, a in state.items()})
    return net


def images(samples: int, size: tuple[int, int]) -> Array:
    return np.random.default_rng(1).normal(size=(samples, 2, *size))


def settle(net: pydarts.Network, x: Array) -> None:
    """Let running statistics become those of the batch, as its own pass normalises by them."""
    step = SGD(net, momentum=0.0, weight_decay=0.0, max_grad_norm=5.0)
    labels = np.arange(len(x)) % 4
    for _ in range(320):  # 0.9 ** 320 is 2e-15
        step(x, labels, lr=0.0)
    state = net.state_dict()
    for name, values in state.items():
        if name.endswith("running_var"):  # unbiased; the pass takes the biased variance
            count = len(x) * plane_of(name, x.shape[2:])
            values *= (count - 1) / count
    net.load_state_dict(state)


def plane_of(norm: str, size: tuple[int, ...]) -> int:
    """Return the pixels that a normalisation sees, of four cells of which 1 and 2 reduce."""
    kind, cell, rest = norm.split(".", 2)
    halvings = 0 if kind == "stem" else min(int(cell), 2) - (rest[:3] == "pre" and cell in "12")
    for _ in range(halvings):
        size = tuple((side + 1) // 2 for side in size)
    return size[0] * size[1]


@pytest.mark.parametrize(
    "channels", [3, *(pytest.param(n, marks=pytest.mark.slow) for n in (8, 9))]
)
def test_folded_is_normalised(channels: int) -> None:
    net, x = network("float64", channels=channels), images(3, (9, 11))
    settle(net, x)
    expected = net.logits(x, training=True)  # which folds nothing
    np.testing.assert_allclose(net.logits(x, training=False), expected, rtol=1e-11, atol=1e-11)
    single = network("float32", channels=channels)
    single.load_state_dict(net.state_dict())
    error = np.abs(single.logits(x, training=False) - expected).max()
    assert error < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", SIZES)
def test_neither_threads_nor_batch_matter(dtype: str, size: tuple[int, int]) -> None:
    x = images(5, size)
    expected = network(dtype).logits(x, training=False)
    for threads in (1, 2, 3, 7):
        net = network(dtype, threads)
        for batch in (1, 2, 5):
            parts = [net.logits(x[i : i + batch], training=False) for i in range(0, 5, batch)]
            assert np.array_equal(np.concatenate(parts), expected), (threads, batch)


@pytest.mark.parametrize("what", ["weights", "running"])
def test_a_change_is_seen(what: str) -> None:
    net, x = network("float32"), images(2, (9, 11))
    before = net.logits(x, training=False)
    view = net.state()[what]
    for i in (0, view.size - 1):  # of the image's convolution and of the classifier
        view[i] += 0.5
        fresh = network("float32")
        fresh.restore(net.state())
        after = net.logits(x, training=False)
        assert np.array_equal(after, fresh.logits(x, training=False))
        assert not np.array_equal(after, before)
        before = after
