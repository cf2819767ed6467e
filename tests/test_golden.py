# SPDX-License-Identifier: MIT
"""A short search against a stored trace of the PyTorch reference; needs no PyTorch.

``tests/reference/make_golden.py`` wrote the trace.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from seeded import (
    GOLDEN_GRADIENTS,
    SEARCH_CLASSES,
    SEARCH_OPTIONS,
    SEARCH_SIZE,
    Array,
    assert_close,
    search_steps,
    seeded_alphas,
    seeded_state,
    summary,
)

import pydarts

TRACE = Path(__file__).parent / "data" / "golden_trajectory.npz"


@pytest.fixture(scope="module")
def golden() -> dict[str, Array]:
    """Return the stored trace."""
    with np.load(TRACE) as trace:
        return dict(trace)


@pytest.fixture
def net() -> pydarts.Supernet:
    """Return the network in the state the trace starts from."""
    net = pydarts.Supernet(**SEARCH_SIZE.network(SEARCH_CLASSES), dtype="float64")
    net.load_state_dict(seeded_state(net.state_dict(), seed=21))
    net.set_alphas(seeded_alphas(seed=22))
    return net


def test_gradients(net: pydarts.Supernet, golden: dict[str, Array]) -> None:
    train, valid, lr = next(search_steps())
    _, grads = net.loss_and_grads(*train)
    expected = {name: golden[f"gradient {name}"] for name in GOLDEN_GRADIENTS}
    assert_close({name: grads["weights"][name] for name in expected}, expected, tol=1e-9)
    for order, tol in ((1, 1e-9), (2, 1e-6)):
        actual = pydarts.bilevel.arch_gradient(net, train=train, valid=valid, order=order, eta=lr)
        expected = {name: golden[f"alpha gradient {order} {name}"] for name in actual}
        assert_close(actual, expected, tol)


def test_trajectory(net: pydarts.Supernet, golden: dict[str, Array]) -> None:
    step = pydarts.bilevel.BilevelStep(net, **SEARCH_OPTIONS)
    infos = [step(train=train, valid=valid, lr=lr) for train, valid, lr in search_steps()]
    for key in ("train_loss", "valid_loss"):
        losses = [getattr(info, key) for info in infos]
        np.testing.assert_allclose(losses, golden[key], rtol=1e-8, err_msg=key)
    for name, alpha in net.alphas.items():
        np.testing.assert_allclose(alpha, golden[f"alpha {name}"], rtol=0.0, atol=1e-8)
    names, sums = summary(net.state_dict())
    assert names.tolist() == golden["names"].tolist()
    np.testing.assert_allclose(sums, golden["summary"], rtol=1e-8, atol=1e-7)
