# SPDX-License-Identifier: MIT
"""The DARTS space behind the stem for large images, against the PyTorch reference."""

from __future__ import annotations

import numpy as np
import pytest
from seeded import Size, assert_close, seeded_alphas, seeded_batch, seeded_state
from test_torch_bilevel import UNROLLED_STEP, expected_gradient
from test_torch_derived import CLASSES, GENOTYPES
from test_torch_derived import reference_logits as derived_logits
from test_torch_supernet import reference_logits

import pydarts
from benchmarks import reference

SIZES = [
    Size(channels=4, cells=3, batch=4, height=64, width=64, in_channels=3),
    Size(channels=3, cells=5, batch=3, height=65, width=50, in_channels=1),
    Size(channels=2, cells=1, batch=6, height=23, width=38, in_channels=2),
]

every_size = pytest.mark.parametrize("size", SIZES, ids=str)
every_genotype = pytest.mark.parametrize("name", GENOTYPES)


def pair(size: Size, dtype: str = "float64") -> tuple[pydarts.Supernet, reference.Supernet]:
    """Return both search networks in one seeded state; the reference is always in float64."""
    ours = pydarts.Supernet(**size.network(CLASSES), dtype=dtype, seed=0, stem="imagenet")
    theirs = reference.Supernet(**size.network(CLASSES), stem="imagenet").double()
    state, alphas = seeded_state(reference.state(theirs), seed=3), seeded_alphas(seed=4)
    reference.load_state(theirs, state)
    reference.set_alphas(theirs, alphas)
    ours.load_state_dict({name: a.astype(dtype) for name, a in state.items()})
    ours.set_alphas({name: a.astype(dtype) for name, a in alphas.items()})
    return ours, theirs


def derived_pair(
    name: str, size: Size, auxiliary: bool = True
) -> tuple[pydarts.Network, reference.Network]:
    """Return both derived networks in one seeded state."""
    genotype = GENOTYPES[name]
    options = {**size.network(CLASSES), "auxiliary": auxiliary, "stem": "imagenet"}
    ours = pydarts.Network(genotype, **options, dtype="float64", seed=0)
    theirs = reference.Network(genotype, **options).double()
    state = seeded_state(reference.state(theirs), seed=3)
    reference.load_state(theirs, state)
    ours.load_state_dict(state)
    return ours, theirs


def test_weight_count_of_the_paper() -> None:
    # 4.7 million in its table 3.
    size = {"channels": 48, "cells": 14, "classes": 1000, "in_channels": 3}
    theirs = reference.Network(pydarts.DARTS_V2, **size, stem="imagenet")
    assert sum(p.numel() for p in theirs.parameters()) == 4_718_752
    assert pydarts.Network(pydarts.DARTS_V2, **size, stem="imagenet").num_weights == 4_718_752


def test_names() -> None:
    ours, theirs = pair(SIZES[1])
    names = ours.state_dict().keys()
    for name in (
        "stem0.0.weight",
        "stem0.1.running_mean",
        "stem0.3.weight",
        "stem0.4.bias",
        "stem1.1.weight",
        "stem1.2.weight",
        "cells.0.preprocess0.conv_1.weight",
        "cells.0.preprocess1.op.1.weight",
        "cells.1.preprocess0.op.1.weight",
    ):
        assert name in names
    shapes = {name: a.shape for name, a in ours.state_dict().items()}
    assert shapes == {name: a.shape for name, a in reference.state(theirs).items()}
    # Both first states have the channels of the first cell.
    assert shapes["stem0.0.weight"] == (1, 1, 3, 3)
    assert shapes["stem0.3.weight"] == (3, 1, 3, 3)
    assert shapes["stem1.1.weight"] == (3, 3, 3, 3)


@every_size
@pytest.mark.parametrize("training", [True, False], ids=["batch", "running"])
def test_logits(size: Size, training: bool) -> None:
    ours, theirs = pair(size)
    x, _ = seeded_batch(size, CLASSES, seed=5)
    expected = reference_logits(theirs, x, training)
    assert_close({"": ours.logits(x, training=training)}, {"": expected}, tol=1e-9)


@every_size
def test_loss_and_gradients(size: Size) -> None:
    ours, theirs = pair(size)
    x, y = seeded_batch(size, CLASSES, seed=5)
    loss, grads = ours.loss_and_grads(x, y)
    expected_loss, expected = reference.loss_and_grads(theirs, x, y)
    assert loss == pytest.approx(expected_loss, rel=1e-9)
    assert_close(grads["weights"], expected["weights"], tol=1e-9)
    assert_close(grads["alphas"], expected["alphas"], tol=1e-9)


@pytest.mark.parametrize(("order", "tol"), [(1, 1e-9), (2, 1e-6)])
def test_arch_gradient(order: int, tol: float) -> None:
    ours, theirs = pair(SIZES[2])
    train, valid = (seeded_batch(SIZES[2], CLASSES, seed) for seed in (5, 6))
    actual = pydarts.bilevel.arch_gradient(
        ours, train=train, valid=valid, order=order, **UNROLLED_STEP
    )
    expected = expected_gradient(theirs, train, valid, order=order, **UNROLLED_STEP)
    assert_close(actual, expected, tol)


@every_genotype
@every_size
@pytest.mark.parametrize("training", [True, False], ids=["batch", "running"])
def test_logits_of_a_derived_network(name: str, size: Size, training: bool) -> None:
    ours, theirs = derived_pair(name, size)
    x, _ = seeded_batch(size, CLASSES, seed=5)
    expected = derived_logits(theirs, x, training)
    assert_close({"": ours.logits(x, training=training)}, {"": expected}, tol=1e-9)


@every_genotype
@every_size
@pytest.mark.parametrize("auxiliary", [False, True], ids=["", "auxiliary"])
def test_loss_and_gradients_of_a_derived_network(name: str, size: Size, auxiliary: bool) -> None:
    ours, theirs = derived_pair(name, size, auxiliary)
    x, y = seeded_batch(size, CLASSES, seed=5)
    loss, grads = ours.loss_and_grads(x, y)
    expected_loss, expected = reference.loss_and_grads(theirs, x, y)
    assert loss == pytest.approx(expected_loss, rel=1e-9)
    assert_close(grads["weights"], expected["weights"], tol=1e-9)


def test_loss_and_gradients_in_float32() -> None:
    ours, theirs = pair(SIZES[0], "float32")
    x, y = seeded_batch(SIZES[0], CLASSES, seed=5)
    loss, grads = ours.loss_and_grads(x.astype(np.float32), y)
    expected_loss, expected = reference.loss_and_grads(theirs, x, y)
    assert loss == pytest.approx(expected_loss, rel=1e-4)
    assert_close(grads["weights"], expected["weights"], tol=1e-4, floor=1e-3)
    assert_close(grads["alphas"], expected["alphas"], tol=1e-4, floor=1e-3)


def test_unknown_stem() -> None:
    with pytest.raises(ValueError, match=r"`stem` \(='cinema'\)"):
        pydarts.Supernet(2, 1, classes=2, in_channels=1, stem="cinema")
