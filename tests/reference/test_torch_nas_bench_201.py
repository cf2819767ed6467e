# SPDX-License-Identifier: MIT
"""NAS-Bench-201 of pydarts against the PyTorch reference."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from seeded import Array, Size, assert_close, seeded_batch, seeded_state, uniform
from test_torch_bilevel import UNROLLED_STEP, numpy, tensors

import pydarts
from benchmarks import reference
from benchmarks.reference.nas_bench_201 import EDGES, cell_text
from pydarts.spaces import NAS_BENCH_201

CLASSES = 5
Entries = list[tuple[str, int]]

# ``cells`` is N, the cells of a stage. Residual blocks want sides that halve twice.
SIZES = [
    Size(channels=4, cells=1, batch=4, height=8, width=8, in_channels=3),
    Size(channels=3, cells=2, batch=3, height=8, width=12, in_channels=1),
    Size(channels=9, cells=1, batch=5, height=16, width=4, in_channels=2),
]


def cell(*operations: str) -> Entries:
    """Return the entries of a cell."""
    return [(name, j) for name, (_, j) in zip(operations, EDGES, strict=True)]


STRONGEST = cell(*["nor_conv_3x3"] * 6)
CELLS = {
    "strongest": STRONGEST,
    "skip_0_to_3": cell(*["nor_conv_3x3"] * 3, "skip_connect", *["nor_conv_3x3"] * 2),
    "skips": cell(*["skip_connect"] * 6),
    "every_operation": cell(
        "nor_conv_1x1", "avg_pool_3x3", "nor_conv_3x3", "none", "skip_connect", "avg_pool_3x3"
    ),
    "a_node_of_nothing": cell("none", "none", "none", "nor_conv_3x3", "nor_conv_1x1", "none"),
    "an_output_of_nothing": cell(*["nor_conv_3x3"] * 3, "none", "none", "none"),
}
every_cell = pytest.mark.parametrize("name", CELLS)
every_size = pytest.mark.parametrize("size", SIZES, ids=str)


def pair(
    size: Size, conv_bias: bool = True, dtype: str = "float64"
) -> tuple[pydarts.Supernet, reference.NasBench201Supernet]:
    """Return both search networks in one seeded state; the reference is always in float64."""
    without = NAS_BENCH_201.replace(name="without-bias", conv_bias=False)
    space = NAS_BENCH_201 if conv_bias else without
    ours = pydarts.Supernet(**size.network(CLASSES), dtype=dtype, seed=0, space=space)
    theirs = reference.NasBench201Supernet(**size.network(CLASSES), conv_bias=conv_bias).double()
    state = seeded_state(reference.state(theirs), seed=3)
    alphas = {"normal": uniform(np.random.default_rng(4), -1.0, 1.0, (6, 5))}
    reference.load_state(theirs, state)
    reference.set_alphas(theirs, alphas)
    ours.load_state_dict({name: a.astype(dtype) for name, a in state.items()})
    ours.set_alphas({name: a.astype(dtype) for name, a in alphas.items()})
    return ours, theirs


def derived_pair(
    name: str, size: Size, dtype: str = "float64"
) -> tuple[pydarts.Network, reference.NasBench201Network]:
    """Return both networks of a cell in one seeded state."""
    genotype = pydarts.Genotype(space=NAS_BENCH_201, normal=CELLS[name])
    ours = pydarts.Network(genotype, **size.network(CLASSES), dtype=dtype, seed=0)
    theirs = reference.NasBench201Network(CELLS[name], **size.network(CLASSES)).double()
    state = seeded_state(reference.state(theirs), seed=3)
    reference.load_state(theirs, state)
    ours.load_state_dict({key: a.astype(dtype) for key, a in state.items()})
    return ours, theirs


def reference_logits(net: torch.nn.Module, x: Array, training: bool) -> Array:
    """Return logits by batch or by running statistics."""
    with torch.no_grad(), reference.frozen_statistics(net.train(training)):
        logits: Array = net(torch.tensor(x)).numpy()
    return logits


# Facts, of the reference and of ours


def test_weight_counts_of_the_benchmark() -> None:
    # The benchmark's own figures, in millions: from 0.073306 to 1.531546 for CIFAR-10, from
    # 0.079156 to 1.537396 for CIFAR-100.
    nothing = cell(*["none"] * 6)
    one_by_one = cell("nor_conv_3x3", "nor_conv_1x1", *["nor_conv_3x3"] * 3, "none")
    for entries, classes, count in (
        (nothing, 10, 73_306),
        (STRONGEST, 10, 1_531_546),
        (one_by_one, 10, 1_073_466),
        (nothing, 100, 79_156),
        (STRONGEST, 100, 1_537_396),
    ):
        size = {"channels": 16, "cells": 5, "classes": classes, "in_channels": 3}
        theirs = reference.NasBench201Network(entries, **size)
        assert sum(p.numel() for p in theirs.parameters()) == count
        genotype = pydarts.Genotype(space=NAS_BENCH_201, normal=entries)
        assert pydarts.Network(genotype, **size).num_weights == count


def test_layers_and_cells() -> None:
    assert len(reference.NasBench201Supernet(2, 5, 10, 3).cells) == 17
    texts = set()
    for operations in product(reference.NAS_BENCH_201_OPERATIONS, repeat=6):
        texts.add(cell_text(cell(*operations)))
    assert len(texts) == 15_625
    assert cell_text(CELLS["skip_0_to_3"]) == (
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|"
        "+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    )


@every_cell
def test_text_of_a_cell(name: str) -> None:
    genotype = pydarts.Genotype(space=NAS_BENCH_201, normal=CELLS[name])
    assert str(genotype) == cell_text(CELLS[name])
    assert pydarts.Genotype.parse(cell_text(CELLS[name]), space=NAS_BENCH_201) == genotype


# The search network


@pytest.mark.parametrize("conv_bias", [True, False], ids=["", "without bias"])
def test_names_and_shapes(conv_bias: bool) -> None:
    ours, theirs = pair(SIZES[1], conv_bias)
    shapes = {name: a.shape for name, a in ours.state_dict().items()}
    assert shapes == {name: a.shape for name, a in reference.state(theirs).items()}
    assert ours.num_weights == sum(p.numel() for p in theirs.parameters())
    assert ours.alphas["normal"].shape == (6, 5)


@pytest.mark.parametrize("conv_bias", [True, False], ids=["", "without bias"])
def test_states_pass_both_ways(conv_bias: bool) -> None:
    ours, theirs = pair(SIZES[0], conv_bias)
    assert_close(ours.state_dict(), reference.state(theirs), tol=0.0)
    # The official checkpoints also hold how many batches each BN has seen.
    official = seeded_state(reference.state(theirs), seed=8)
    counts = {n.replace("running_mean", "num_batches_tracked") for n in official if "_mean" in n}
    ours.load_state_dict({**official, **dict.fromkeys(counts, np.array(7))})
    reference.load_state(theirs, ours.state_dict())
    assert_close(reference.state(theirs), official, tol=0.0)
    x, _ = seeded_batch(SIZES[0], CLASSES, seed=5)
    for training in (True, False):
        expected = reference_logits(theirs, x, training)
        assert_close({"": ours.logits(x, training=training)}, {"": expected}, tol=1e-9)


@every_size
@pytest.mark.parametrize("conv_bias", [True, False], ids=["", "without bias"])
@pytest.mark.parametrize("training", [True, False], ids=["batch", "running"])
def test_logits(size: Size, conv_bias: bool, training: bool) -> None:
    ours, theirs = pair(size, conv_bias)
    x, _ = seeded_batch(size, CLASSES, seed=5)
    expected = reference_logits(theirs, x, training)
    assert_close({"": ours.logits(x, training=training)}, {"": expected}, tol=1e-9)


@every_size
@pytest.mark.parametrize("conv_bias", [True, False], ids=["", "without bias"])
def test_loss_and_gradients(size: Size, conv_bias: bool) -> None:
    ours, theirs = pair(size, conv_bias)
    before = ours.state_dict()
    x, y = seeded_batch(size, CLASSES, seed=5)
    loss, grads = ours.loss_and_grads(x, y)
    expected_loss, expected = reference.loss_and_grads(theirs, x, y)
    assert loss == pytest.approx(expected_loss, rel=1e-9)
    assert_close(grads["weights"], expected["weights"], tol=1e-9)
    assert_close(grads["alphas"], expected["alphas"], tol=1e-9)
    for name, array in ours.state_dict().items():
        assert np.array_equal(array, before[name]), name


@every_size
def test_loss_and_gradients_in_float32(size: Size) -> None:
    ours, theirs = pair(size, dtype="float32")
    x, y = seeded_batch(size, CLASSES, seed=5)
    loss, grads = ours.loss_and_grads(x.astype(np.float32), y)
    expected_loss, expected = reference.loss_and_grads(theirs, x, y)
    assert loss == pytest.approx(expected_loss, rel=1e-4)
    assert_close(grads["weights"], expected["weights"], tol=1e-4, floor=1e-3)
    assert_close(grads["alphas"], expected["alphas"], tol=1e-4, floor=1e-3)


@every_size
@pytest.mark.parametrize(("order", "tol"), [(1, 1e-9), (2, 1e-6)])
def test_arch_gradient(size: Size, order: int, tol: float) -> None:
    ours, theirs = pair(size)
    before = ours.state_dict()
    train, valid = seeded_batch(size, CLASSES, 5), seeded_batch(size, CLASSES, 6)
    weights = {name: p.detach().numpy() for name, p in theirs.named_parameters()}
    buffer = seeded_state(weights, seed=7)
    actual = pydarts.bilevel.arch_gradient(
        ours, train=train, valid=valid, order=order, momentum_buffer=buffer, **UNROLLED_STEP
    )
    expected = reference.arch_gradient(
        theirs,
        tensors(train),
        tensors(valid),
        order=order,
        momentum_buffer={name: torch.tensor(b) for name, b in buffer.items()},
        **UNROLLED_STEP,
    )
    assert_close(actual, numpy(expected), tol)
    for name, array in ours.state_dict().items():
        assert np.array_equal(array, before[name]), name


@pytest.mark.parametrize("order", [1, 2])
def test_one_step(order: int) -> None:
    ours, theirs = pair(SIZES[0])
    train, valid = (seeded_batch(SIZES[0], CLASSES, seed) for seed in (5, 6))
    info = pydarts.bilevel.BilevelStep(ours, order=order)(train=train, valid=valid, lr=0.025)
    expected = reference.SearchStep(theirs, order)(tensors(train), tensors(valid), lr=0.025)
    assert info.train_loss == pytest.approx(expected.train_loss, rel=1e-9)
    assert info.valid_loss == pytest.approx(expected.valid_loss, rel=1e-9)
    # Adam's first step is the sign of the gradient, whose smallest entries are not so exact.
    assert_close(ours.alphas, numpy(theirs.alphas), tol=1e-8)
    # All of the state: the running statistics are those after the step.
    assert_close(ours.state_dict(), reference.state(theirs), tol=1e-9)


@pytest.mark.parametrize("shape", [(6, 8), (8, 6), (9, 8), (8, 7), (10, 8)])
def test_sides_that_do_not_halve_twice_are_refused(shape: tuple[int, int]) -> None:
    # 6 becomes 3, of which the pool of the second residual block makes 1 and its convolution 2;
    # PyTorch adds the one row to both, unasked.
    ours, _ = pair(SIZES[0])
    with pytest.raises(ValueError, match="cells"):
        ours.logits(np.zeros((4, 3, *shape)))


# The network of a cell


@every_cell
def test_names_and_shapes_of_a_cell(name: str) -> None:
    ours, theirs = derived_pair(name, SIZES[1])
    shapes = {key: a.shape for key, a in ours.state_dict().items()}
    assert shapes == {key: a.shape for key, a in reference.state(theirs).items()}
    reference.load_state(theirs, ours.state_dict())


@every_cell
@every_size
@pytest.mark.parametrize("training", [True, False], ids=["batch", "running"])
def test_logits_of_a_cell(name: str, size: Size, training: bool) -> None:
    ours, theirs = derived_pair(name, size)
    x, _ = seeded_batch(size, CLASSES, seed=5)
    expected = reference_logits(theirs, x, training)
    assert_close({"": ours.logits(x, training=training)}, {"": expected}, tol=1e-9)


@every_cell
@every_size
def test_loss_and_gradients_of_a_cell(name: str, size: Size) -> None:
    ours, theirs = derived_pair(name, size)
    x, y = seeded_batch(size, CLASSES, seed=5)
    loss, grads = ours.loss_and_grads(x, y)
    expected_loss, expected = reference.loss_and_grads(theirs, x, y)
    assert loss == pytest.approx(expected_loss, rel=1e-9)
    assert_close(grads["weights"], expected["weights"], tol=1e-9)


def test_invalid_entries() -> None:
    swapped: Any = [STRONGEST[0], STRONGEST[2], STRONGEST[1], *STRONGEST[3:]]
    for entries in (STRONGEST[:5], swapped, [("sep_conv_3x3", 0), *STRONGEST[1:]]):
        with pytest.raises(ValueError, match="normal"):
            pydarts.Genotype(space=NAS_BENCH_201, normal=entries)
