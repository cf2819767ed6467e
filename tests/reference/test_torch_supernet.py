# SPDX-License-Identifier: MIT
"""The search network of pydarts against the PyTorch reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from seeded import Array, Size, assert_close, seeded_alphas, seeded_batch, seeded_state

import pydarts
from benchmarks import reference

CLASSES = 5
# No batch of one: without affine BN the mean of such a batch is zero in every channel, and the
# logits are the classifier's bias whatever the weights.
SIZES = [
    Size(channels=4, cells=3, batch=4, height=8, width=8, in_channels=3),
    Size(channels=3, cells=4, batch=3, height=7, width=9, in_channels=1),
    Size(channels=2, cells=5, batch=5, height=13, width=10, in_channels=2),
    Size(channels=1, cells=3, batch=6, height=6, width=7, in_channels=1),
    Size(channels=5, cells=2, batch=3, height=5, width=6, in_channels=3),
    Size(channels=2, cells=1, batch=2, height=9, width=4, in_channels=1),
    Size(channels=8, cells=6, batch=2, height=12, width=12, in_channels=3),
]


def pair(size: Size, dtype: str = "float64") -> tuple[pydarts.Supernet, reference.Supernet]:
    """Return both networks in one seeded state; the reference is always in float64."""
    ours = pydarts.Supernet(**size.network(CLASSES), dtype=dtype, seed=0)
    theirs = reference.Supernet(**size.network(CLASSES)).double()
    state, alphas = seeded_state(reference.state(theirs), seed=3), seeded_alphas(seed=4)
    reference.load_state(theirs, state)
    reference.set_alphas(theirs, alphas)
    ours.load_state_dict({name: a.astype(dtype) for name, a in state.items()})
    ours.set_alphas({name: a.astype(dtype) for name, a in alphas.items()})
    return ours, theirs


def reference_logits(net: reference.Supernet, x: Array, training: bool) -> Array:
    """Return logits by batch or by running statistics."""
    with torch.no_grad(), reference.frozen_statistics(net.train(training)):
        logits: Array = net(torch.tensor(x)).numpy()
    return logits


def test_names_and_shapes() -> None:
    ours, theirs = pair(SIZES[1])
    shapes = {name: a.shape for name, a in ours.state_dict().items()}
    assert shapes == {name: a.shape for name, a in reference.state(theirs).items()}
    assert ours.num_weights == sum(p.numel() for p in theirs.parameters())
    assert pydarts.Supernet(channels=16, cells=8, classes=10, in_channels=3).num_weights == 1930618


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("training", [True, False], ids=["batch", "running"])
def test_logits(size: Size, training: bool) -> None:
    ours, theirs = pair(size)
    x, _ = seeded_batch(size, CLASSES, seed=5)
    expected = reference_logits(theirs, x, training)
    assert_close({"": ours.logits(x, training=training)}, {"": expected}, tol=1e-9)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_loss_and_gradients(size: Size) -> None:
    ours, theirs = pair(size)
    before = ours.state_dict()
    x, y = seeded_batch(size, CLASSES, seed=5)
    loss, grads = ours.loss_and_grads(x, y)
    expected_loss, expected = reference.loss_and_grads(theirs, x, y)
    assert loss == pytest.approx(expected_loss, rel=1e-9)
    assert_close(grads["weights"], expected["weights"], tol=1e-9)
    assert_close(grads["alphas"], expected["alphas"], tol=1e-9)
    for name, array in ours.state_dict().items():
        assert np.array_equal(array, before[name]), name


@pytest.mark.parametrize("size", [s for s in SIZES if s.channels > 1], ids=str)
def test_loss_and_gradients_in_float32(size: Size) -> None:
    ours, theirs = pair(size, "float32")
    x, y = seeded_batch(size, CLASSES, seed=5)
    loss, grads = ours.loss_and_grads(x.astype(np.float32), y)
    expected_loss, expected = reference.loss_and_grads(theirs, x, y)
    assert loss == pytest.approx(expected_loss, rel=1e-4)
    assert_close(grads["weights"], expected["weights"], tol=1e-4, floor=1e-3)
    assert_close(grads["alphas"], expected["alphas"], tol=1e-4, floor=1e-3)


@pytest.mark.parametrize("wrt", ["weights", "alphas"])
def test_one_kind_of_gradient_is_the_same_alone(wrt: str) -> None:
    ours, theirs = pair(SIZES[0])
    x, y = seeded_batch(SIZES[0], CLASSES, seed=5)
    _, grads = ours.loss_and_grads(x, y, wrt=(wrt,))
    _, expected = reference.loss_and_grads(theirs, x, y)
    assert_close(grads[wrt], expected[wrt], tol=1e-9)
