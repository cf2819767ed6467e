# SPDX-License-Identifier: MIT
"""Architecture gradient and whole search steps of pydarts against the PyTorch reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from seeded import (
    SEARCH_CLASSES,
    SEARCH_OPTIONS,
    SEARCH_SIZE,
    Array,
    Batch,
    Size,
    assert_close,
    search_steps,
    seeded_alphas,
    seeded_batch,
    seeded_state,
)
from test_torch_supernet import CLASSES, SIZES, pair

import pydarts
from benchmarks import reference

UNROLLED_STEP: dict[str, Any] = {"eta": 0.1, "momentum": 0.9, "weight_decay": 3e-3}


def tensors(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images and labels as tensors."""
    return torch.tensor(batch[0]), torch.tensor(batch[1])


def numpy(tensors: dict[str, torch.Tensor]) -> dict[str, Array]:
    """Return tensors as arrays."""
    return {name: t.detach().numpy() for name, t in tensors.items()}


def expected_gradient(
    net: reference.Supernet, train: Batch, valid: Batch, **options: Any
) -> dict[str, Array]:
    """Return the reference's architecture gradient."""
    return numpy(reference.arch_gradient(net, tensors(train), tensors(valid), **options))


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("order", "tol"), [(1, 1e-9), (2, 1e-6)])
def test_arch_gradient(size: Size, order: int, tol: float) -> None:
    ours, theirs = pair(size)
    before = ours.state_dict()
    train, valid = seeded_batch(size, CLASSES, 5), seeded_batch(size, CLASSES, 6)
    actual = pydarts.bilevel.arch_gradient(
        ours, train=train, valid=valid, order=order, **UNROLLED_STEP
    )
    expected = expected_gradient(theirs, train, valid, order=order, **UNROLLED_STEP)
    assert_close(actual, expected, tol)
    for name, array in ours.state_dict().items():
        assert np.array_equal(array, before[name]), name


def test_arch_gradient_with_momentum() -> None:
    ours, theirs = pair(SIZES[0])
    train, valid = seeded_batch(SIZES[0], CLASSES, 5), seeded_batch(SIZES[0], CLASSES, 6)
    weights = {name: p.detach().numpy() for name, p in theirs.named_parameters()}
    buffer = seeded_state(weights, seed=7)
    actual = pydarts.bilevel.arch_gradient(
        ours, train=train, valid=valid, order=2, momentum_buffer=buffer, **UNROLLED_STEP
    )
    given = {name: torch.tensor(b) for name, b in buffer.items()}
    expected = expected_gradient(
        theirs, train, valid, order=2, momentum_buffer=given, **UNROLLED_STEP
    )
    assert_close(actual, expected, tol=1e-6)


@pytest.mark.parametrize("size", [s for s in SIZES if s.channels > 1], ids=str)
def test_arch_gradient_in_float32(size: Size) -> None:
    ours, theirs = pair(size, "float32")
    train, valid = seeded_batch(size, CLASSES, 5), seeded_batch(size, CLASSES, 6)
    single = [(x.astype(np.float32), y) for x, y in (train, valid)]
    for order in (1, 2):
        actual = pydarts.bilevel.arch_gradient(
            ours, train=single[0], valid=single[1], order=order, **UNROLLED_STEP
        )
        expected = expected_gradient(theirs, train, valid, order=order, **UNROLLED_STEP)
        if order == 1:
            assert_close(actual, expected, tol=1e-4, floor=1e-3)
        a, e = (
            np.concatenate([g["normal"].ravel(), g["reduce"].ravel()]).astype(np.float64)
            for g in (actual, expected)
        )
        assert a @ e >= 0.999 * np.linalg.norm(a) * np.linalg.norm(e)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("size", SIZES[:3], ids=str)
def test_one_step(size: Size, order: int) -> None:
    ours, theirs = pair(size)
    train, valid = seeded_batch(size, CLASSES, 5), seeded_batch(size, CLASSES, 6)
    info = pydarts.bilevel.BilevelStep(ours, order=order)(train=train, valid=valid, lr=0.025)
    expected = reference.SearchStep(theirs, order)(tensors(train), tensors(valid), lr=0.025)
    assert info.train_loss == pytest.approx(expected.train_loss, rel=1e-9)
    assert info.valid_loss == pytest.approx(expected.valid_loss, rel=1e-9)
    # Adam's first step is the sign of the gradient, whose smallest entries are not so exact.
    assert_close(ours.alphas, numpy(theirs.alphas), tol=1e-8)
    # All of the state: the running statistics are those after the step.
    assert_close(ours.state_dict(), reference.state(theirs), tol=1e-9)


def test_search_steps_with_shortcuts() -> None:
    size = SIZES[0]
    ours, theirs = pair(size)
    step = pydarts.bilevel.BilevelStep(ours, hvp="forward", reuse_gradient=True, alpha_lr=0.02)
    expected_step = reference.SearchStep(theirs, shortcuts=True, alpha_lr=0.02)
    for i in range(3):
        train, valid = (seeded_batch(size, CLASSES, seed) for seed in (5 + i, 15 + i))
        info = step(train=train, valid=valid, lr=0.025)
        expected = expected_step(tensors(train), tensors(valid), lr=0.025)
        assert info.train_loss == pytest.approx(expected.train_loss, rel=1e-9)
        assert info.valid_loss == pytest.approx(expected.valid_loss, rel=1e-9)
    assert_close(ours.alphas, numpy(theirs.alphas), tol=1e-7)
    weights = {n: p.detach().numpy() for n, p in theirs.named_parameters()}
    state = ours.state_dict()
    assert_close({n: state[n] for n in weights}, weights, tol=1e-8)


def test_trajectory() -> None:
    ours = pydarts.Supernet(**SEARCH_SIZE.network(SEARCH_CLASSES), dtype="float64")
    theirs = reference.Supernet(**SEARCH_SIZE.network(SEARCH_CLASSES)).double()
    state, alphas = seeded_state(reference.state(theirs), seed=11), seeded_alphas(seed=12)
    ours.load_state_dict(state)
    ours.set_alphas(alphas)
    reference.load_state(theirs, state)
    reference.set_alphas(theirs, alphas)
    step = pydarts.bilevel.BilevelStep(ours, **SEARCH_OPTIONS)
    expected_step = reference.SearchStep(theirs, **SEARCH_OPTIONS)
    clipped = []
    for train, valid, lr in search_steps():
        info = step(train=train, valid=valid, lr=lr)
        expected = expected_step(tensors(train), tensors(valid), lr)
        assert info.train_loss == pytest.approx(expected.train_loss, rel=1e-8)
        assert info.valid_loss == pytest.approx(expected.valid_loss, rel=1e-8)
        clipped.append(expected.grad_norm > SEARCH_OPTIONS["max_grad_norm"])
    assert True in clipped
    assert False in clipped
    assert max(np.abs(a - alphas[n]).max() for n, a in numpy(theirs.alphas).items()) > 0.1
    final, expected_final = ours.state_dict(), reference.state(theirs)
    for name, array in (*expected_final.items(), *numpy(theirs.alphas).items()):
        actual = final[name] if name in final else ours.alphas[name]
        np.testing.assert_allclose(actual, array, rtol=0.0, atol=1e-8, err_msg=name)
