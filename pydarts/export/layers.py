# SPDX-License-Identifier: MIT
"""The layers of a derived network as data, of which each exporter makes its own.

Channels, strides and names are defined here once; the engine has its own definition of them.
"""

from __future__ import annotations

from typing import NamedTuple

from pydarts.spaces.darts import Genotype


class Conv(NamedTuple):
    """A convolution without bias that pads to the size of its input, over its stride."""

    inputs: int
    outputs: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: int = 1
    groups: int = 1

    @property
    def padding(self) -> tuple[int, int]:
        """Zeros on either side of the two axes."""
        return self.dilation * (self.kernel[0] // 2), self.dilation * (self.kernel[1] // 2)


class Norm(NamedTuple):
    """Batch normalisation with affine parameters."""

    channels: int


class Relu(NamedTuple):
    """max(x, 0)."""


Stage = Conv | Norm | Relu


class Chain(NamedTuple):
    """A sequence of stages, named by their numbers, below ``op`` where `named`."""

    stages: tuple[Stage, ...]
    named: bool = True

    def names(self, layer: str) -> list[str]:
        """The names of the stages' weights in a layer of that name."""
        return [f"{layer}.{'op.' if self.named else ''}{k}" for k in range(len(self.stages))]


class Pool(NamedTuple):
    """3x3 pooling that leaves its padding out."""

    kind: str  # "max" or "avg"
    stride: int


class FactorizedReduce(NamedTuple):
    """ReLU; ``conv_1`` on it, ``conv_2`` on it shifted by a pixel, both of stride 2; ``bn``."""

    inputs: int
    outputs: int

    @property
    def convs(self) -> tuple[Conv, Conv]:
        """The convolutions to either half of the channels."""
        half = self.outputs // 2
        return (
            Conv(self.inputs, half, stride=(2, 2)),
            Conv(self.inputs, self.outputs - half, stride=(2, 2)),
        )


class Identity(NamedTuple):
    """x."""


Layer = Chain | Pool | FactorizedReduce | Identity


class Cell(NamedTuple):
    """Nodes are sums of two edges, (layer, state it reads), whose outputs are concatenated."""

    preprocess: tuple[Layer, Layer]
    edges: tuple[tuple[Layer, int], ...]
    concat: tuple[int, ...]
    channels: int  # of the output


def stem(in_channels: int, channels: int) -> Chain:
    """Return the layer whose output the first two cells read."""
    return Chain((Conv(in_channels, 3 * channels, (3, 3)), Norm(3 * channels)), named=False)


def cells(genotype: Genotype, channels: int, count: int) -> list[Cell]:
    """Return the cells of a network, of which those at a third and two thirds are reductions.

    Parameters
    ----------
    genotype : Genotype
    channels : int
        Channels of the nodes of the first cells; a reduction doubles them.
    count : int
        Number of cells.

    Returns
    -------
    list of Cell
    """
    found: list[Cell] = []
    before_last = last = 3 * channels
    halved = False
    for i in range(count):
        reduction = i in (count // 3, 2 * count // 3)
        channels *= 2 if reduction else 1
        entries = genotype.reduce if reduction else genotype.normal
        concat = genotype.reduce_concat if reduction else genotype.normal_concat
        first = (
            FactorizedReduce(before_last, channels) if halved else _project(before_last, channels)
        )
        edges = tuple(
            (operation(name, channels, 2 if reduction and state < 2 else 1), state)
            for name, state in entries
        )
        cell = Cell((first, _project(last, channels)), edges, concat, channels * len(concat))
        found.append(cell)
        before_last, last, halved = last, cell.channels, reduction
    return found


def operation(name: str, channels: int, stride: int) -> Layer:
    """Return the layer of an edge.

    Parameters
    ----------
    name : str
        Name of the operation, such as ``"sep_conv_3x3"``.
    channels : int
        Channels of its input and output.
    stride : int
        1 or 2.

    Returns
    -------
    Layer
    """
    c, s = channels, stride
    if name == "skip_connect":
        return Identity() if s == 1 else FactorizedReduce(c, c)
    if name == "conv_7x1_1x7":
        wide, high = Conv(c, c, (1, 7), (1, s)), Conv(c, c, (7, 1), (s, 1))
        return Chain((Relu(), wide, high, Norm(c)), named=False)
    kind, _, size = name.rpartition("_")
    k = int(size[0])
    if kind == "sep_conv":
        return Chain((*_depthwise(c, k, s, 1), *_depthwise(c, k, 1, 1)))
    if kind == "dil_conv":
        return Chain(_depthwise(c, k, s, 2))
    return Pool(kind.removesuffix("_pool"), s)


def _project(inputs: int, outputs: int) -> Chain:
    return Chain((Relu(), Conv(inputs, outputs), Norm(outputs)))


def _depthwise(channels: int, size: int, stride: int, dilation: int) -> tuple[Stage, ...]:
    each = Conv(channels, channels, (size, size), (stride, stride), dilation, groups=channels)
    return Relu(), each, Conv(channels, channels), Norm(channels)
