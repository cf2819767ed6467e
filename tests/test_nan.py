# SPDX-License-Identifier: MIT
"""A pixel that is NaN shows in the results, as in PyTorch: nothing takes it for a number."""

from __future__ import annotations

from typing import Any

import numpy as np
import plain
import pytest
from test_inference import EVERYTHING

import pydarts
from pydarts import _core
from pydarts.spaces.darts import Genotype

# Even: at stride 2 dilated convolutions see it as well, and it is the centre of a window.
PIXEL = 1, 0, 2, 2
WITH_OUTPUT = [name for name in plain.EVERY_OPERATION if name != "none"]
# What leaves every channel to itself.
BY_CHANNEL = ("max_pool_3x3", "avg_pool_3x3", "skip_connect")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", WITH_OUTPUT)
def test_an_operation_does_not_hide_it(name: str, stride: int, dtype: str) -> None:
    net = pydarts.MixedOperation(2, stride, (name,), dtype=dtype, seed=1)
    x = np.random.default_rng(2).normal(size=(3, 2, 7, 6)).astype(dtype)
    x[PIXEL] = np.nan
    output = net.forward(x)
    if name == "skip_connect" and stride == 1:
        expected = np.isnan(x)
    else:  # batch normalisation takes it to all samples
        expected = np.ones(output.shape, bool)
        if name in BY_CHANNEL and not (name == "skip_connect" and stride == 2):
            expected[:, 1] = False
    np.testing.assert_array_equal(np.isnan(output), expected)
    dx = net.backward(x, np.ones_like(output)).x
    assert np.isnan(dx[PIXEL]) == (expected.sum() > 1)


@pytest.mark.parametrize("row", range(5))
@pytest.mark.parametrize("column", range(6))
@pytest.mark.parametrize("stride", [1, 2])
def test_a_maximum_is_nan_wherever_it_stands(stride: int, row: int, column: int) -> None:
    net = pydarts.MixedOperation(1, stride, ("max_pool_3x3",), seed=1)
    x = np.zeros((1, 1, 5, 6), np.float32)
    x[0, 0, row, column] = np.nan
    assert np.isnan(net.forward(x)).all()


def cells_of(*operations: str) -> Genotype:
    """Return cells whose every node takes these two operations' outputs."""
    edges = [(name, which) for _ in range(4) for which, name in enumerate(operations)]
    return Genotype(edges, [2, 3, 4, 5], edges, [2, 3, 4, 5])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    "genotype",
    [
        cells_of("max_pool_3x3", "max_pool_3x3"),
        cells_of("max_pool_3x3", "skip_connect"),
        EVERYTHING,
    ],
    ids=["pools", "pools_and_skips", "everything"],
)
def test_evaluation_does_not_hide_it(genotype: Genotype, threads: int, dtype: str) -> None:
    options: dict[str, Any] = {"in_channels": 2, "dtype": dtype, "threads": threads}
    net = pydarts.Network(genotype, 3, 3, classes=4, **options)
    h, w = 6, 7
    x = np.random.default_rng(2).normal(size=(h * w + 1, 2, h, w))
    for i in range(h * w):  # each image but the last has another pixel that is NaN
        x[i, 1, i // w, i % w] = np.nan
    expected = np.repeat(np.arange(len(x)) < h * w, 4).reshape(-1, 4)
    np.testing.assert_array_equal(np.isnan(net.logits(x, training=False)), expected)
    alone = [np.isnan(net.logits(x[i : i + 1], training=False)).all() for i in (0, 9, h * w)]
    assert alone == [True, True, False]


@pytest.mark.parametrize("order", [1, 2])
def test_a_step_refuses_it(order: int) -> None:
    supernet = pydarts.Supernet(channels=2, cells=1, classes=3, in_channels=1)
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(4, 1, 6, 6)).astype(np.float32), np.arange(4) % 3
    spoilt = x.copy()
    spoilt[1, 0, 3, 3] = np.nan
    step = pydarts.bilevel.BilevelStep(supernet, order=order)
    weights = supernet.flat_weights.copy()
    with pytest.raises(_core.NonFinite, match="loss"):
        step(train=(spoilt, y), valid=(x, y), lr=0.1)
    with pytest.raises(_core.NonFinite, match="loss"):
        step(train=(x, y), valid=(spoilt, y), lr=0.1)
    np.testing.assert_array_equal(supernet.flat_weights, weights)
    assert np.isnan(supernet.loss_and_grads(spoilt, y)[0])
