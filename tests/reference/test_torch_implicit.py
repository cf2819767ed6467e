# SPDX-License-Identifier: MIT
"""The implicit hypergradient against products with the Hessian by automatic differentiation.

A difference over a step of 1e-7 is the product but for some 1e-9 of rounding, 1e-16 over the step,
if no ReLU and no maximum changes its choice within the step: of some thousand activations of order
one none does. The inverse Hessian's sum hands that on, so that 1e-6 is allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from seeded import Array, assert_close, seeded_batch
from test_torch_recurrent import SMALL, VALID, before, our_supernet, segment, supernet
from test_torch_supernet import CLASSES, SIZES, pair
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from benchmarks import reference
from pydarts.bilevel import implicit_gradient

Loss = Callable[[], Tensor]
EPSILON, TOLERANCE = 1e-7, 1e-6


def by_torch(
    weights: list[Tensor],
    alphas: Mapping[str, Tensor],
    losses: tuple[Loss, Loss],
    terms: int,
    eta: float,
    shift: float,
) -> dict[str, Array]:
    """Return the hypergradient with products by double backward passes."""
    train, valid = losses
    outer = torch.autograd.grad(valid(), [*weights, *alphas.values()])
    v, direct = outer[: len(weights)], outer[len(weights) :]
    slope = torch.autograd.grad(train(), weights, create_graph=True)

    def along(u: list[Tensor], inputs: list[Tensor]) -> tuple[Tensor, ...]:
        dot = torch.stack([(g * each).sum() for g, each in zip(slope, u, strict=True)]).sum()
        return torch.autograd.grad(dot, inputs, retain_graph=True)

    term, q = list(v), [torch.zeros_like(each) for each in v]
    for _ in range(terms):
        q = [total + eta * each for total, each in zip(q, term, strict=True)]
        products = along(term, weights)
        term = [
            each - eta * (product + shift * each)
            for each, product in zip(term, products, strict=True)
        ]
    mixed = along(q, list(alphas.values()))
    return {
        name: (g - m).detach().numpy() for name, g, m in zip(alphas, direct, mixed, strict=True)
    }


@pytest.mark.parametrize("terms", [1, 4])
def test_images(terms: int) -> None:
    ours, theirs = pair(SIZES[0])
    batches = [seeded_batch(SIZES[0], CLASSES, seed) for seed in (5, 6)]

    def loss(x: Array, y: Array) -> Loss:
        parameters = dict(theirs.named_parameters())
        inputs = (torch.tensor(x),)
        return lambda: F.cross_entropy(functional_call(theirs, parameters, inputs), torch.tensor(y))

    with reference.frozen_statistics(theirs):
        train, valid = (loss(*each) for each in batches)
        expected = by_torch(
            list(theirs.parameters()), theirs.alphas, (train, valid), terms, 0.001, 0.3 + 3e-3
        )
    given: Any = dict(zip(("train", "valid"), batches, strict=True))
    options: Any = {"eta": 0.001, "damping": 0.3, "weight_decay": 3e-3}
    actual = implicit_gradient(ours, **given, terms=terms, epsilon=EPSILON, **options)
    assert_close(actual, expected, TOLERANCE)
    other = implicit_gradient(ours, **given, terms=terms + 1, epsilon=EPSILON, **options)
    with pytest.raises(AssertionError):
        assert_close(other, expected, 100 * TOLERANCE)


@pytest.mark.parametrize("terms", [1, 4])
def test_text(terms: int) -> None:
    ours, theirs = our_supernet(), supernet()
    states = before(SMALL, 7), before(VALID, 8)
    batches = segment(SMALL, 5), segment(VALID, 6)

    def loss(batch: tuple[Array, Array], state: Array) -> Loss:
        x, y, hidden = (torch.tensor(each) for each in (*batch, state))
        return lambda: theirs.losses(x, y, hidden)[1]

    with reference.frozen_statistics(theirs):
        train, valid = (loss(*each) for each in zip(batches, states, strict=True))
        expected = by_torch(
            list(theirs.parameters()), theirs.alphas, (train, valid), terms, 0.02, 0.3 + 3e-3
        )
    given: Any = dict(zip(("train", "valid"), batches, strict=True), hidden=states)
    options: Any = {"eta": 0.02, "damping": 0.3, "weight_decay": 3e-3}
    actual = implicit_gradient(ours, **given, terms=terms, epsilon=EPSILON, **options)
    assert_close(actual, expected, TOLERANCE)
    other = implicit_gradient(ours, **given, terms=terms + 1, epsilon=EPSILON, **options)
    with pytest.raises(AssertionError):
        assert_close(other, expected, 100 * TOLERANCE)
