# SPDX-License-Identifier: MIT
"""Derived networks of pydarts against the PyTorch reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from seeded import Array, Size, assert_close, seeded_batch, seeded_state
from test_torch_reference import GENOTYPE

import pydarts
from benchmarks import reference

CLASSES = 5
GENOTYPES = {
    "DARTS_V1": pydarts.DARTS_V1,
    "DARTS_V2": pydarts.DARTS_V2,
    "all_operations": pydarts.Genotype(**vars(GENOTYPE)),
}
SIZES = [
    Size(channels=4, cells=6, batch=4, height=16, width=16, in_channels=3),
    Size(channels=3, cells=4, batch=3, height=11, width=14, in_channels=1),
    Size(channels=2, cells=3, batch=6, height=7, width=6, in_channels=2),
]

every_genotype = pytest.mark.parametrize("name", GENOTYPES)
every_size = pytest.mark.parametrize("size", SIZES, ids=str)
with_and_without_head = pytest.mark.parametrize("auxiliary", [False, True], ids=["", "auxiliary"])


def pair(
    name: str, size: Size, auxiliary: bool, dtype: str = "float64"
) -> tuple[pydarts.Network, reference.Network]:
    """Return both networks in one seeded state; the reference is always in float64."""
    genotype, options = GENOTYPES[name], {**size.network(CLASSES), "auxiliary": auxiliary}
    ours = pydarts.Network(genotype, **options, dtype=dtype, seed=0)
    theirs = reference.Network(genotype, **options).double()
    state = seeded_state(reference.state(theirs), seed=3)
    reference.load_state(theirs, state)
    ours.load_state_dict({key: a.astype(dtype) for key, a in state.items()})
    return ours, theirs


def reference_logits(net: reference.Network, x: Array, training: bool) -> Array:
    """Return logits by batch or by running statistics."""
    with torch.no_grad(), reference.frozen_statistics(net.train(training)):
        logits: Array = net(torch.tensor(x))[0].numpy()
    return logits


@pytest.mark.parametrize(("name", "count"), [("DARTS_V1", 3_169_414), ("DARTS_V2", 3_349_342)])
def test_weight_counts_of_the_paper(name: str, count: int) -> None:
    genotype = GENOTYPES[name]
    theirs = reference.Network(genotype, channels=36, cells=20, classes=10, in_channels=3)
    assert sum(p.numel() for p in theirs.parameters()) == count
    assert pydarts.Network(genotype).num_weights == count


@every_genotype
@with_and_without_head
def test_names_and_shapes(name: str, auxiliary: bool) -> None:
    ours, theirs = pair(name, SIZES[1], auxiliary)
    shapes = {key: a.shape for key, a in ours.state_dict().items()}
    assert shapes == {key: a.shape for key, a in reference.state(theirs).items()}
    assert ours.num_droppable == theirs.num_droppable


@every_genotype
@every_size
@pytest.mark.parametrize("training", [True, False], ids=["batch", "running"])
def test_logits(name: str, size: Size, training: bool) -> None:
    ours, theirs = pair(name, size, auxiliary=True)
    x, _ = seeded_batch(size, CLASSES, seed=5)
    expected = reference_logits(theirs, x, training)
    assert_close({"": ours.logits(x, training=training)}, {"": expected}, tol=1e-9)


@every_genotype
@every_size
@with_and_without_head
def test_loss_and_gradients(name: str, size: Size, auxiliary: bool) -> None:
    ours, theirs = pair(name, size, auxiliary)
    x, y = seeded_batch(size, CLASSES, seed=5)
    loss, grads = ours.loss_and_grads(x, y)
    expected_loss, expected = reference.loss_and_grads(theirs, x, y)
    assert loss == pytest.approx(expected_loss, rel=1e-9)
    assert_close(grads["weights"], expected["weights"], tol=1e-9)


@every_genotype
@with_and_without_head
def test_loss_and_gradients_in_float32(name: str, auxiliary: bool) -> None:
    # The head's last BN has one value an image: few of them are ill-conditioned.
    size = Size(channels=4, cells=6, batch=16, height=10, width=9, in_channels=3)
    ours, theirs = pair(name, size, auxiliary, "float32")
    x, y = seeded_batch(size, CLASSES, seed=5)
    loss, grads = ours.loss_and_grads(x.astype(np.float32), y)
    expected_loss, expected = reference.loss_and_grads(theirs, x, y)
    assert loss == pytest.approx(expected_loss, rel=1e-4)
    assert_close(grads["weights"], expected["weights"], tol=1e-4, floor=1e-3)


@every_genotype
@with_and_without_head
def test_drop_path(name: str, auxiliary: bool) -> None:
    ours, theirs = pair(name, SIZES[0], auxiliary)
    x, y = seeded_batch(SIZES[0], CLASSES, seed=5)
    keep = 0.7
    drawn = np.random.default_rng(6).random((theirs.num_droppable, len(x)))
    masks = np.where(drawn < keep, 1.0 / keep, 0.0)
    loss, grads = ours.loss_and_grads(x, y, drop_masks=masks)
    expected_loss, expected = reference.loss_and_grads(theirs, x, y, drop_masks=masks)
    assert loss == pytest.approx(expected_loss, rel=1e-9)
    assert loss != pytest.approx(ours.loss_and_grads(x, y)[0], rel=1e-3)
    assert_close(grads["weights"], expected["weights"], tol=1e-9)


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5, 9])
def test_auxiliary_head_on_maps_of_any_size(side: int) -> None:
    # The head reads maps of a quarter of the images' sides.
    size = Size(channels=2, cells=3, batch=12, height=4 * side, width=4 * side - 2, in_channels=1)
    ours, theirs = pair("DARTS_V2", size, auxiliary=True)
    x, y = seeded_batch(size, CLASSES, seed=5)
    loss, grads = ours.loss_and_grads(x, y)
    expected_loss, expected = reference.loss_and_grads(theirs, x, y)
    assert loss == pytest.approx(expected_loss, rel=1e-9)
    assert_close(grads["weights"], expected["weights"], tol=1e-9)
