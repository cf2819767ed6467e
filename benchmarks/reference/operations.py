# SPDX-License-Identifier: MIT
"""Candidate operations of the convolutional search space as plain PyTorch modules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import reduce
from operator import add

from torch import Tensor, cat, nn
from torch.nn import functional as F

# The order of the columns of alpha.
PRIMITIVES = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)


def total(terms: Iterable[Tensor]) -> Tensor:
    """Sum tensors; unlike the built-in `sum` it does not begin with a pass that adds 0."""
    return reduce(add, terms)


def batch_norm(channels: int, affine: bool) -> nn.BatchNorm2d:
    """Batch normalisation with PyTorch's defaults (eps 1e-5, momentum 0.1)."""
    bn = nn.BatchNorm2d(channels, affine=affine)
    bn.num_batches_tracked = None  # of no use at a fixed momentum: not part of the state
    return bn


@contextmanager
def frozen_statistics(net: nn.Module) -> Iterator[None]:
    """Normalise by batch statistics, as in training, but leave the running ones untouched."""
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    for bn in norms:
        bn.track_running_stats = False
    try:
        yield
    finally:
        for bn in norms:
            bn.track_running_stats = True


class Chain(nn.Module):
    """Stages applied in turn; they are numbered under the name ``op``."""

    def __init__(self, *stages: nn.Module) -> None:
        super().__init__()
        self.op = nn.Sequential(*stages)

    def forward(self, x: Tensor) -> Tensor:
        """Apply every stage to ``x`` (N, C, H, W)."""
        out: Tensor = self.op(x)
        return out


class FactorizedReduce(nn.Module):
    """Halve the map: two 1x1 stride-2 convolutions, the second on the map shifted by a pixel.

    An odd side gets one zero row or column at its end first, so that both halves have
    ceil(H/2) x ceil(W/2) pixels; even sides are left as they are. An axis that the convolutions
    do not stride, as the height of a signal, is neither shifted nor filled up.
    """

    def __init__(self, c_in: int, c_out: int, affine: bool) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.conv_1 = nn.Conv2d(c_in, c_out // 2, 1, stride=2, bias=False)
        self.conv_2 = nn.Conv2d(c_in, c_out - c_out // 2, 1, stride=2, bias=False)
        self.bn = batch_norm(c_out, affine)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, c_in, H, W) to (N, c_out, ceil(H/2), ceil(W/2))."""
        x = self.relu(x)
        stride_h, stride_w = self.conv_1.stride
        odd_h, odd_w = x.shape[2] % stride_h, x.shape[3] % stride_w
        even = F.pad(x, (0, odd_w, 0, odd_h)) if odd_h or odd_w else x
        shifted = even[:, :, stride_h - 1 :, stride_w - 1 :]
        out: Tensor = self.bn(cat([self.conv_1(x), self.conv_2(shifted)], dim=1))
        return out


def relu_conv_bn(c_in: int, c_out: int, affine: bool) -> Chain:
    """ReLU, 1x1 convolution, BN."""
    return Chain(nn.ReLU(), nn.Conv2d(c_in, c_out, 1, bias=False), batch_norm(c_out, affine))


def _depthwise(
    c: int, kernel: int, stride: int, affine: bool, dilation: int = 1
) -> tuple[nn.Module, ...]:
    """ReLU, depthwise k x k, pointwise, BN."""
    pad = dilation * (kernel // 2)
    return (
        nn.ReLU(),
        nn.Conv2d(c, c, kernel, stride, pad, dilation, groups=c, bias=False),
        nn.Conv2d(c, c, 1, bias=False),
        batch_norm(c, affine),
    )


def _sep_conv(c: int, kernel: int, stride: int, affine: bool) -> Chain:
    return Chain(*_depthwise(c, kernel, stride, affine), *_depthwise(c, kernel, 1, affine))


def _dil_conv(c: int, kernel: int, stride: int, affine: bool) -> Chain:
    return Chain(*_depthwise(c, kernel, stride, affine, dilation=2))


def _conv_7x1_1x7(c: int, stride: int, affine: bool) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(c, c, (1, 7), (1, stride), (0, 3), bias=False),
        nn.Conv2d(c, c, (7, 1), (stride, 1), (3, 0), bias=False),
        batch_norm(c, affine),
    )


# name -> (channels, stride, affine) -> module. "none" has no module: see `search.MixedOp`.
OPERATIONS: dict[str, Callable[[int, int, bool], nn.Module]] = {
    "max_pool_3x3": lambda c, s, affine: nn.MaxPool2d(3, s, 1),
    "avg_pool_3x3": lambda c, s, affine: nn.AvgPool2d(3, s, 1, count_include_pad=False),
    "skip_connect": lambda c, s, affine: (
        nn.Identity() if s == 1 else FactorizedReduce(c, c, affine)
    ),
    "sep_conv_3x3": lambda c, s, affine: _sep_conv(c, 3, s, affine),
    "sep_conv_5x5": lambda c, s, affine: _sep_conv(c, 5, s, affine),
    "sep_conv_7x7": lambda c, s, affine: _sep_conv(c, 7, s, affine),
    "dil_conv_3x3": lambda c, s, affine: _dil_conv(c, 3, s, affine),
    "dil_conv_5x5": lambda c, s, affine: _dil_conv(c, 5, s, affine),
    "conv_7x1_1x7": _conv_7x1_1x7,
}


def stem(in_channels: int, channels: int) -> nn.Sequential:
    """3x3 convolution and BN with affine parameters, in search and derived network alike."""
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, padding=1, bias=False), batch_norm(channels, True)
    )


def imagenet_stem(in_channels: int, channels: int) -> tuple[nn.Sequential, nn.Sequential]:
    """Return the two that halve large images thrice; their outputs are the first cell's inputs."""
    half = channels // 2
    stem0 = nn.Sequential(
        nn.Conv2d(in_channels, half, 3, stride=2, padding=1, bias=False),
        batch_norm(half, True),
        nn.ReLU(),
        nn.Conv2d(half, channels, 3, stride=2, padding=1, bias=False),
        batch_norm(channels, True),
    )
    stem1 = nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3, stride=2, padding=1, bias=False),
        batch_norm(channels, True),
    )
    return stem0, stem1


class StemmedNetwork(nn.Module):
    """What begins with one of the two stems, `stem` or `stem0` and `stem1`."""

    def _add_stem(self, kind: str, in_channels: int, channels: int) -> int:
        """Add it, and return the channels of both states that it gives."""
        if kind == "imagenet":
            self.stem0, self.stem1 = imagenet_stem(in_channels, channels)
            return channels
        if kind != "cifar":
            raise ValueError(f"`stem` (={kind!r}) must be 'cifar' or 'imagenet'")
        self.stem = stem(in_channels, 3 * channels)
        return 3 * channels

    def _first_states(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the inputs of the first cell."""
        if hasattr(self, "stem"):
            state: Tensor = self.stem(x)
            return state, state
        half: Tensor = self.stem0(x)
        return half, self.stem1(half)


def preprocess(c_in: int, c_out: int, halve: bool, affine: bool) -> nn.Module:
    """Bring an input of a cell to the cell's channels, and to its map size if that was halved."""
    return (FactorizedReduce if halve else relu_conv_bn)(c_in, c_out, affine)


def reductions(cells: int) -> list[bool]:
    """Tell for every cell whether it is a reduction."""
    return [i in (cells // 3, 2 * cells // 3) for i in range(cells)]
