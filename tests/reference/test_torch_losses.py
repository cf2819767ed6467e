# SPDX-License-Identifier: MIT
"""The losses of several labels and of numbers, and weights of samples, against plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from seeded import Array, Size, assert_close, seeded_alphas, seeded_state, uniform
from test_torch_bilevel import UNROLLED_STEP, numpy
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

import pydarts
from benchmarks import reference
from benchmarks.reference import bilevel
from pydarts import Weighted

SIZE = Size(channels=3, cells=3, batch=5, height=9, width=8, in_channels=2)
DELTA = 0.7
OUTPUTS = 4


def _cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(logits, y, reduction="none")


def _sigmoid(logits: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, y, reduction="none").mean(dim=1)


def _mse(logits: Tensor, y: Tensor) -> Tensor:
    return F.mse_loss(logits, y, reduction="none").mean(dim=1)


def _huber(logits: Tensor, y: Tensor) -> Tensor:
    return F.huber_loss(logits, y, reduction="none", delta=DELTA).mean(dim=1)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross-entropy": _cross_entropy,
    "sigmoid": _sigmoid,
    "mse": _mse,
    "huber": _huber,
}
every_loss = pytest.mark.parametrize("loss", LOSSES)
weighted_or_not = pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])


def batch_for(loss: str, seed: int, weighted: bool) -> tuple[Array, Any]:
    """Return images with targets for a loss, and weights that differ, one of them 0."""
    rng = np.random.default_rng(seed)
    x = uniform(rng, -1.0, 1.0, (SIZE.batch, SIZE.in_channels, SIZE.height, SIZE.width))
    shape = (SIZE.batch, OUTPUTS)
    y: Array
    if loss == "cross-entropy":
        y = (OUTPUTS * rng.random(SIZE.batch)).astype(np.int64)
    elif loss == "sigmoid":
        y = np.floor(3 * rng.random(shape)) / 2  # 0, 1/2 and 1
    else:
        y = uniform(rng, -2.0, 2.0, shape)  # errors on both sides of the delta
    if not weighted:
        return x, y
    weights = uniform(rng, 0.1, 3.0, (SIZE.batch,))
    weights[1] = 0
    return x, Weighted(y, weights)


def mean_loss(loss: str, logits: Tensor, y: Any) -> Tensor:
    """Return the loss of a batch, by the definition."""
    targets, weights = y if isinstance(y, Weighted) else (y, np.ones(SIZE.batch))
    values, w = LOSSES[loss](logits, torch.tensor(targets)), torch.tensor(weights)
    return (w * values).sum() / w.sum()


def supernets(loss: str, dtype: str = "float64") -> tuple[pydarts.Supernet, reference.Supernet]:
    """Return both networks in one seeded state; the reference is always in float64."""
    ours = pydarts.Supernet(
        **SIZE.network(OUTPUTS), dtype=dtype, loss=loss, huber_delta=DELTA, threads=2
    )
    theirs = reference.Supernet(**SIZE.network(OUTPUTS)).double()
    state, alphas = seeded_state(reference.state(theirs), seed=3), seeded_alphas(seed=4)
    reference.load_state(theirs, state)
    reference.set_alphas(theirs, alphas)
    ours.load_state_dict(state)
    ours.set_alphas(alphas)
    return ours, theirs


def expected_of(
    net: reference.Supernet, loss: str, x: Array, y: Any
) -> tuple[float, dict[str, Array], dict[str, Array]]:
    """Return the reference's loss and its gradients with respect to weights and α."""
    parameters = dict(net.named_parameters())
    with reference.frozen_statistics(net.train()):
        value = mean_loss(loss, net(torch.tensor(x)), y)
    names = [*parameters, *net.alphas]
    inputs = [*parameters.values(), *net.alphas.values()]
    grads = torch.autograd.grad(value, inputs, allow_unused=True, materialize_grads=True)
    found = numpy(dict(zip(names, grads, strict=True)))
    alphas = {name: found.pop(name) for name in net.alphas}
    return float(value.detach()), found, alphas


@every_loss
@weighted_or_not
@pytest.mark.parametrize(("dtype", "tol"), [("float64", 1e-9), ("float32", 2e-4)])
def test_loss_and_gradients(loss: str, weighted: bool, dtype: str, tol: float) -> None:
    ours, theirs = supernets(loss, dtype)
    x, y = batch_for(loss, 5, weighted)
    expected, d_weights, d_alphas = expected_of(theirs, loss, x, y)
    actual, grads = ours.loss_and_grads(x, y)
    assert actual == pytest.approx(expected, rel=tol)
    assert ours.loss(x, y)[0] == actual
    assert_close(grads["weights"], d_weights, tol)
    assert_close(grads["alphas"], d_alphas, tol)


@every_loss
@weighted_or_not
def test_mixing_gradient(loss: str, weighted: bool) -> None:
    ours, theirs = supernets(loss)
    x, y = batch_for(loss, 5, weighted)
    expected, _, d_alphas = expected_of(theirs, loss, x, y)
    mixing = {}
    for name, alpha in ours.alphas.items():
        odds = np.exp(alpha)
        mixing[name] = odds / odds.sum(axis=1, keepdims=True)
    found = ours.mixing_gradient(x, y, mixing)
    assert found.loss == pytest.approx(expected, rel=1e-9)
    by_softmax = {
        name: mixing[name] * (q - (mixing[name] * q).sum(axis=1, keepdims=True))
        for name, q in found.gradient.items()
    }
    assert_close(by_softmax, d_alphas, 1e-9)


@every_loss
@weighted_or_not
@pytest.mark.parametrize(("order", "tol"), [(1, 1e-9), (2, 1e-6)])
def test_arch_gradient(
    loss: str, weighted: bool, order: int, tol: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loss_of(net: Any, weights: Any, batch: Any) -> Tensor:
        x, y = batch
        return mean_loss(loss, functional_call(net, weights, (torch.tensor(x),)), y)

    monkeypatch.setattr(bilevel, "_loss", loss_of)
    ours, theirs = supernets(loss)
    train, valid = batch_for(loss, 5, weighted), batch_for(loss, 6, weighted)
    actual = pydarts.bilevel.arch_gradient(
        ours, train=train, valid=valid, order=order, **UNROLLED_STEP
    )
    expected = reference.arch_gradient(
        theirs.train(),
        train,  # type: ignore[arg-type]
        valid,  # type: ignore[arg-type]
        order=order,
        **UNROLLED_STEP,
    )
    assert_close(actual, numpy(expected), tol)


@every_loss
@weighted_or_not
def test_derived_network_with_auxiliary_head(loss: str, weighted: bool) -> None:
    options = {**SIZE.network(OUTPUTS), "auxiliary": True}
    ours = pydarts.Network(
        pydarts.DARTS_V2, **options, dtype="float64", loss=loss, huber_delta=DELTA
    )
    theirs = reference.Network(pydarts.DARTS_V2, **options).double()
    state = seeded_state(reference.state(theirs), seed=3)
    reference.load_state(theirs, state)
    ours.load_state_dict(state)
    x, y = batch_for(loss, 5, weighted)
    parameters = dict(theirs.named_parameters())
    with reference.frozen_statistics(theirs.train()):
        logits, auxiliary = theirs(torch.tensor(x))
    expected = mean_loss(loss, logits, y) + 0.4 * mean_loss(loss, auxiliary, y)
    grads = torch.autograd.grad(expected, list(parameters.values()))
    value, found = ours.loss_and_grads(x, y, wrt="weights")
    assert value == pytest.approx(float(expected.detach()), rel=1e-9)
    assert_close(found["weights"], numpy(dict(zip(parameters, grads, strict=True))), 1e-9)


@every_loss
def test_weights_take_part_in_a_whole_search_step(loss: str) -> None:
    """Here α stays, so that the step is that of the weights at the α of the reference."""
    ours, theirs = supernets(loss)
    step = pydarts.bilevel.BilevelStep(ours, order=1, alpha_lr=0.0, weight_decay=0.0, momentum=0.0)
    train, valid = batch_for(loss, 5, True), batch_for(loss, 6, True)
    before = ours.flat_weights.copy()
    _, d_weights, _ = expected_of(theirs, loss, *train)
    info = step(train=train, valid=valid, lr=1.0)
    moved = ours.split_weights(before - ours.flat_weights)
    norm = np.sqrt(sum((g**2).sum() for g in d_weights.values()))
    share = min(1.0, 5.0 / (norm + 1e-6))  # as PyTorch clips
    clipped = {name: g * share for name, g in d_weights.items()}
    assert info.gradient_norm == pytest.approx(norm, rel=1e-9)
    assert_close(moved, clipped, 1e-9)
