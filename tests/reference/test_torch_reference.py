# SPDX-License-Identifier: MIT
"""The oracle itself: known weight counts, names, and mathematics that can be had another way."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from seeded import Size, seeded_alphas, seeded_batch, seeded_state
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from benchmarks import reference
from benchmarks.reference.derived import TwoWindowPool
from benchmarks.reference.operations import FactorizedReduce

SIZE = Size(channels=2, cells=3, batch=4, height=6, width=6, in_channels=2)
CLASSES = 3
# Every operation once, at stride 1 and 2; state 5 is left out of one cell's output.
GENOTYPE = SimpleNamespace(
    normal=[
        ("sep_conv_3x3", 0),
        ("sep_conv_5x5", 1),
        ("dil_conv_3x3", 0),
        ("skip_connect", 2),
        ("dil_conv_5x5", 3),
        ("sep_conv_7x7", 1),
        ("conv_7x1_1x7", 0),
        ("max_pool_3x3", 4),
    ],
    normal_concat=[2, 3, 4],
    reduce=[
        ("conv_7x1_1x7", 0),
        ("skip_connect", 1),
        ("avg_pool_3x3", 1),
        ("sep_conv_7x7", 0),
        ("dil_conv_5x5", 0),
        ("max_pool_3x3", 1),
        ("avg_pool_3x3", 2),
        ("sep_conv_3x3", 3),
    ],
    reduce_concat=[2, 3, 4, 5],
)


def supernet(size: Size = SIZE) -> reference.Supernet:
    """Return a float64 search network in a seeded state."""
    net = reference.Supernet(**size.network(CLASSES)).double()
    reference.load_state(net, seeded_state(reference.state(net), seed=1))
    reference.set_alphas(net, seeded_alphas(seed=2))
    return net


def batch(seed: int) -> tuple[Tensor, Tensor]:
    """Return a seeded batch as tensors."""
    x, y = seeded_batch(SIZE, CLASSES, seed)
    return torch.tensor(x), torch.tensor(y)


def num_weights(net: nn.Module) -> int:
    """Count the entries of all parameters."""
    return sum(p.numel() for p in net.parameters())


def sep3(*inputs: int) -> list[tuple[str, int]]:
    """Return sep_conv_3x3 edges from the given states."""
    return [("sep_conv_3x3", i) for i in inputs]


def test_weight_counts() -> None:
    skip0, skip2, pool = ("skip_connect", 0), ("skip_connect", 2), ("max_pool_3x3", 0)
    v1 = [*sep3(1, 0), skip0, *sep3(1), skip0, *sep3(1, 0), skip2]
    v2 = [*sep3(0, 1, 0, 1, 1), skip0, skip0, ("dil_conv_3x3", 2)]
    # Without weights, like the published reduction cells.
    reduce = [pool, pool, skip2, pool, pool, skip2, skip2, pool]
    concat = [2, 3, 4, 5]
    assert num_weights(reference.Supernet(16, 8, 10, 3)) == 1_930_618
    for normal, count in ((v1, 3_169_414), (v2, 3_349_342)):
        genotype = SimpleNamespace(
            normal=normal, normal_concat=concat, reduce=reduce, reduce_concat=concat
        )
        assert num_weights(reference.Network(genotype, 36, 20, 10, 3)) == count


def test_names() -> None:
    net = reference.Supernet(4, 6, 10, 3)
    names = net.state_dict().keys()
    for name in (
        "stem.0.weight",
        "stem.1.bias",
        "cells.2.preprocess0.op.1.weight",
        "cells.3.preprocess0.conv_2.weight",
        "cells.3.preprocess0.bn.running_mean",
        "cells.0.preprocess1.op.2.running_var",
        "cells.0._ops.13._ops.1.1.running_mean",
        "cells.2._ops.0._ops.3.bn.running_mean",
        "cells.0._ops.0._ops.5.op.7.running_var",
        "cells.0._ops.0._ops.7.op.2.weight",
        "classifier.bias",
    ):
        assert name in names
    assert not [n for n in names if "num_batches" in n or "alphas" in n]
    assert net.stem[0].weight.shape == (12, 3, 3, 3)
    assert len(list(net.parameters())) == len([n for n in names if "running" not in n])


@pytest.mark.parametrize("shape", [(4, 4), (5, 4), (3, 7), (1, 2), (1, 1)])
def test_factorized_reduce_reads_the_odd_pixels_and_zero_beyond_the_edge(
    shape: tuple[int, int],
) -> None:
    height, width = shape
    op = FactorizedReduce(2, 3, affine=False).double().eval()
    x = torch.randn(2, 2, *shape, dtype=torch.float64)
    out = op(x) * (1.0 + 1e-5) ** 0.5  # eval-mode BN in its initial state divides by this
    assert op.conv_1.out_channels == 1
    assert op.conv_2.out_channels == 2
    for i in range((height + 1) // 2):
        for j in range((width + 1) // 2):
            inside = 2 * i + 1 < height and 2 * j + 1 < width
            odd = x[:, :, 2 * i + 1, 2 * j + 1] if inside else torch.zeros(2, 2).double()
            expected = [
                pixel.relu() @ conv.weight[:, :, 0, 0].T
                for conv, pixel in ((op.conv_1, x[:, :, 2 * i, 2 * j]), (op.conv_2, odd))
            ]
            torch.testing.assert_close(out[:, :, i, j], torch.cat(expected, dim=1))


def test_auxiliary_pool_is_the_originals_at_8x8() -> None:
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(TwoWindowPool()(x), F.avg_pool2d(x, 5, stride=3))
    for shape in ((1, 1), (2, 3), (7, 12)):
        assert TwoWindowPool()(x.new_ones(1, 1, *shape)).eq(1.0).sum() == 4


def smooth(net: nn.Module) -> None:
    """Put functions without kinks in the place of ReLU and maximum."""
    for module in list(net.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, name, nn.Softplus())
            elif isinstance(child, nn.MaxPool2d):
                setattr(module, name, nn.AvgPool2d(3, child.stride, 1))


def test_second_order_gradient_of_a_smooth_network_is_that_of_automatic_differentiation() -> None:
    net = supernet()
    smooth(net)
    train, valid = batch(3), batch(4)
    eta, momentum, decay = 0.1, 0.9, 3e-3
    w = {name: p.detach() for name, p in net.named_parameters()}
    buffer = {name: 0.1 * torch.randn_like(p) for name, p in w.items()}
    actual = reference.arch_gradient(
        net, train, valid, 2, eta, momentum, buffer, decay, epsilon=1e-4
    )

    alphas = tuple(net.alphas.values())
    with reference.frozen_statistics(net):
        loss = F.cross_entropy(net(train[0]), train[1])
        grads = torch.autograd.grad(loss, tuple(net.parameters()), create_graph=True)
        unrolled = {
            name: w[name] - eta * (momentum * buffer[name] + g + decay * w[name])
            for name, g in zip(w, grads, strict=True)
        }
        loss = F.cross_entropy(functional_call(net, unrolled, (valid[0],)), valid[1])
        expected = torch.autograd.grad(loss, alphas)
    first = reference.arch_gradient(net, train, valid, 1)
    for a, e, f in zip(actual.values(), expected, first.values(), strict=True):
        assert (a - e).norm() < 1e-6 * e.norm()
        assert (f - e).norm() > 1e-2 * e.norm()  # or the test would say nothing


@pytest.mark.parametrize("order", [1, 2])
def test_only_the_weight_step_changes_weights_and_statistics(order: int) -> None:
    net = supernet()
    before = reference.state(net)
    reference.arch_gradient(net, batch(3), batch(4), order, eta=0.1)
    for name, array in reference.state(net).items():
        assert (array == before[name]).all(), name
    x, y = batch(3)
    reference.SearchStep(net, order)((x, y), batch(4), lr=0.1)
    once = supernet()
    with torch.no_grad():
        expected = 0.9 * once.stem[1].running_mean + 0.1 * once.stem[0](x).mean(dim=(0, 2, 3))
    torch.testing.assert_close(net.stem[1].running_mean, expected)


def test_alphas_follow_the_network_to_another_dtype() -> None:
    net = reference.Supernet(**SIZE.network(CLASSES))
    assert net.alphas_normal.dtype == torch.float32
    assert net.double().alphas_normal.dtype == torch.float64
    assert net.alphas_normal.requires_grad
    assert net.alphas_normal.is_leaf


def test_channels_last_computes_the_same() -> None:
    x, y = batch(3)
    net = supernet()
    derived = reference.Network(GENOTYPE, **SIZE.network(CLASSES), auxiliary=True).double()
    for loss in (lambda x: F.cross_entropy(net(x), y), lambda x: derived.loss(x, y)):
        expected = loss(x)
        net.to(memory_format=torch.channels_last)
        derived.to(memory_format=torch.channels_last)
        actual = loss(x.to(memory_format=torch.channels_last))
        actual.backward()
        torch.testing.assert_close(actual, expected, rtol=1e-12, atol=0.0)


def test_drop_path_masks() -> None:
    net = reference.Network(GENOTYPE, **SIZE.network(CLASSES)).double()
    x, _ = batch(3)
    # Two reductions of eight operands, and one normal cell, of which one is an identity.
    assert net.num_droppable == 7 + 8 + 8
    ones = torch.ones(net.num_droppable, len(x))
    plain, auxiliary = net(x)
    assert auxiliary is None
    torch.testing.assert_close(net(x, ones)[0], plain)
    masks = ones.clone()
    masks[:8] = 0.0  # cell 0 is normal: this drops it but for its identity, and one operand more
    assert not torch.allclose(net(x, masks)[0], plain)
    with pytest.raises(RuntimeError):
        net(x, ones[1:])
