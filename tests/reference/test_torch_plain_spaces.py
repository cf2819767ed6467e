# SPDX-License-Identifier: MIT
"""The two oracles against each other: `plain_spaces` and plain PyTorch; no engine takes part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plain
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_spaces import PlainNetwork, cross_entropy, resolve
from seeded import Array, seeded_state, uniform
from test_torch_reference import GENOTYPE
from torch import nn
from torch.nn import functional as F

from benchmarks import reference

CLASSES, IN_CHANNELS = 3, 2
ENTRIES = [
    ("nor_conv_1x1", 0),
    ("none", 0),
    ("nor_conv_3x3", 1),
    ("skip_connect", 0),
    ("avg_pool_3x3", 1),
    ("nor_conv_3x3", 2),
]
NONE = [("none", 0), ("none", 0), ("none", 1), ("nor_conv_3x3", 0), ("none", 1), ("none", 2)]
BIASED: dict[str, Any] = {**resolve("nas-bench-201"), "conv_bias": False}
SIZES = {"channels": 2, "cells": 3, "classes": CLASSES, "in_channels": IN_CHANNELS}
STAGES = {**SIZES, "cells": 1}

# Name, network of PyTorch, plain network, height and width of the images.
CASES: dict[str, tuple[nn.Module, PlainNetwork, int, int]] = {
    "darts": (reference.Supernet(**SIZES), PlainNetwork(resolve("darts"), **SIZES), 7, 9),
    "darts-imagenet": (
        reference.Supernet(**SIZES, stem="imagenet"),
        PlainNetwork(resolve("darts"), **SIZES, stem="imagenet"),
        37,
        34,
    ),
    "darts-1d": (reference.Supernet1d(**SIZES), PlainNetwork(resolve("darts-1d"), **SIZES), 1, 21),
    "derived": (
        reference.Network(GENOTYPE, **SIZES),
        PlainNetwork(resolve("darts"), **SIZES, genotype=vars(GENOTYPE)),
        9,
        6,
    ),
    "derived-imagenet": (
        reference.Network(GENOTYPE, **SIZES, stem="imagenet"),
        PlainNetwork(resolve("darts"), **SIZES, stem="imagenet", genotype=vars(GENOTYPE)),
        33,
        40,
    ),
    "nas-bench-201": (
        reference.NasBench201Supernet(**STAGES),
        PlainNetwork(resolve("nas-bench-201"), **STAGES),
        8,
        12,
    ),
    "nas-bench-201-without-bias": (
        reference.NasBench201Supernet(**STAGES, conv_bias=False),
        PlainNetwork(BIASED, **STAGES),
        8,
        4,
    ),
    "nas-bench-201-cell": (
        reference.NasBench201Network(ENTRIES, **STAGES),
        PlainNetwork(resolve("nas-bench-201"), **STAGES, genotype={"normal": ENTRIES}),
        4,
        8,
    ),
    "nas-bench-201-cell-of-hardly-anything": (
        reference.NasBench201Network(NONE, **STAGES),
        PlainNetwork(resolve("nas-bench-201"), **STAGES, genotype={"normal": NONE}),
        8,
        8,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_networks(name: str) -> None:
    theirs, ours, height, width = CASES[name]
    net: Any = theirs.double()
    state = seeded_state(reference.state(net), seed=1)
    assert ours.shapes(height, width) == {n: a.shape for n, a in state.items()}
    reference.load_state(net, state)
    rng = np.random.default_rng(2)
    alphas: dict[str, Array] = {}
    if ours.genotype is None:
        alphas = {n: uniform(rng, -1.0, 1.0, tuple(a.shape)) for n, a in net.alphas.items()}
        reference.set_alphas(net, alphas)
    x = uniform(rng, -1.0, 1.0, (4, IN_CHANNELS, height, width))
    y = np.array([0, 2, 1, 2])

    with torch.no_grad():
        for training in (True, False):
            with reference.frozen_statistics(net.train(training)):
                out = net(torch.tensor(x))
            expected = (out[0] if isinstance(out, tuple) else out).numpy()
            actual = ours.logits(state, alphas, x, by_batch=training)
            np.testing.assert_allclose(actual, expected, rtol=1e-11, atol=1e-11)

    loss, grads = reference.loss_and_grads(net.train(), x, y)
    for kind, at in (("weights", state), ("alphas", alphas)):
        along = {n: rng.normal(size=g.shape) for n, g in grads[kind].items()}
        moved: Mapping[str, Array] = {n: at[n] + 1j * plain.STEP * d for n, d in along.items()}
        both = {"weights": state, "alphas": alphas, kind: {**at, **moved}}
        at_moved = cross_entropy(ours.logits(both["weights"], both["alphas"], x), y)
        derivative = sum((grads[kind][n] * d).sum() for n, d in along.items())
        norm = np.sqrt(sum((g**2).sum() for g in grads[kind].values()))
        assert at_moved.real == pytest.approx(loss, rel=1e-12)
        assert at_moved.imag / plain.STEP == pytest.approx(derivative, abs=1e-11 * (norm + 1e-3))


sides = st.tuples(st.integers(1, 7), st.integers(1, 7))


@given(
    kind=st.sampled_from(["depthwise", "conv", "max_pool", "avg_pool"]),
    size=sides,
    dilation=st.integers(1, 3),
    stride=st.sampled_from([1, 2]),
    shape=st.tuples(st.integers(1, 14), st.integers(1, 14)),
    dimensions=st.sampled_from([1, 2]),
)
@settings(deadline=None, max_examples=150, derandomize=True)
def test_windows(
    kind: str,
    size: tuple[int, int],
    dilation: int,
    stride: int,
    shape: tuple[int, int],
    dimensions: int,
) -> None:
    """One stage alone, within a cell that passes on what it gets."""
    if dimensions == 1:
        size, shape = (1, size[1]), (1, shape[1])
    convolution = kind in ("depthwise", "conv")
    dilation = dilation if convolution else 1
    stage: dict[str, Any] = {kind: [*size]}
    if convolution:
        stage["dilation"] = dilation
    cell = {"name": "one", "inputs": 1, "preprocessed": False, "nodes": 1, "output": "last"}
    space: dict[str, Any] = {
        "name": "drawn",
        "dimensions": dimensions,
        "operations": [{"name": "stage", "stages": [stage]}],
        "cells": [{**cell, "kept_edges": "all", "keeps_none": False}],
        "stack": {"stem": 1, "layers": [{"cell": "one", "stride": stride}]},
    }
    net = PlainNetwork(space, 3, 1, 2, 2)
    pads = [dilation * (k - 1) // 2 if k % 2 else 0 for k in size]
    strides = (1, stride) if dimensions == 1 else (stride, stride)
    fits = all(
        s + 2 * p >= dilation * (k - 1) + 1 for s, p, k in zip(shape, pads, size, strict=True)
    )
    assert (net.refusal(*shape) is None) == fits
    if not fits:
        return
    state = seeded_state(
        {n: np.empty(s) for n, s in net.shapes(*shape).items()}, seed=sum((*size, *shape))
    )
    t = {name: torch.tensor(a) for name, a in state.items()}
    x = np.random.default_rng(3).normal(size=(4, 2, *shape))
    stem = F.conv2d(torch.tensor(x), t["stem.0.weight"], padding=(int(dimensions == 2), 1))
    statistics = t["stem.1.running_mean"], t["stem.1.running_var"]
    h = F.batch_norm(stem, *statistics, t["stem.1.weight"], t["stem.1.bias"])
    if convolution:
        w = t["cells.0._ops.0._ops.0.op.0.weight"]
        h = F.conv2d(h, w, None, strides, tuple(pads), dilation, 3 if kind == "depthwise" else 1)
    elif kind == "max_pool":
        h = F.max_pool2d(h, size, strides, tuple(pads))
    else:
        h = F.avg_pool2d(h, size, strides, tuple(pads), count_include_pad=False)
    expected = h.mean(dim=(2, 3)) @ t["classifier.weight"].T + t["classifier.bias"]
    actual = net.logits(state, {"one": np.zeros((1, 1))}, x, by_batch=False)
    np.testing.assert_allclose(actual, expected.numpy(), rtol=1e-11, atol=1e-11)
