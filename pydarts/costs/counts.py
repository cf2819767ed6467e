# SPDX-License-Identifier: MIT
"""What can be counted of a derived network: multiply-adds, weights, and the memory of inference."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pydarts.costs.shape import NetworkShape, Place, Size
from pydarts.spaces import layers
from pydarts.spaces.operation import Operation
from pydarts.spaces.space import Space

_FLOAT = 4  # bytes


@dataclass(frozen=True)
class Counts:
    """What can be counted of a derived network.

    Attributes
    ----------
    macs : int
        Multiply-adds of convolutions and the classifier for one image. Normalisations are part of
        the convolutions in inference; sums of edges and pooling are not counted.
    weights : int
        All that is trained, an auxiliary head left out.
    memory : int
        Bytes of the activations in inference, of one image in float32, at the moment that has the
        most of them: cell after cell, node after node, an edge after the other. What is normalised
        or passed through a ReLU stays in its place; an output of a cell is held until its last
        reader is done. Weights are not in it.
    """

    macs: int
    weights: int
    memory: int


def count_network(genotype: Any, shape: NetworkShape) -> Counts:
    """Count what the network of a genotype costs.

    Parameters
    ----------
    genotype : Genotype
    shape : NetworkShape

    Returns
    -------
    Counts
    """
    net = layers.network(genotype, shape.channels, shape.cells, shape.in_channels, shape.stem)
    count = _Count()
    x = count.image(shape.in_channels, shape.image_size)
    before = []
    for chain in net.stems:  # the second of two begins at the output of the first
        x = count.chain(chain, x)
        before.append(x)
    before = [before[0], before[-1]]
    for cell in net.cells:
        before = [before[-1], count.cell(cell, before)]
    last = count.chain(net.tail, before[-1])
    count.classifier(last, shape.classes)
    return Counts(count.macs, count.weights, count.peak() * _FLOAT)


def count_operation(op: Operation, place: Place, space: Space) -> tuple[int, int, int]:
    """Return the multiply-adds, weights and peak memory of an operation at a place, its input and
    output included.
    """
    steps = (1 if space.dimensions == 1 else place.stride, place.stride)
    count = _Count()
    chain = layers.operation_chain(op, "", place.inputs, place.channels, steps)
    count.chain(chain, count.image(place.inputs, place.size), keeps=False)
    return count.macs, count.weights, count.peak() * _FLOAT


class _State(NamedTuple):
    """What a layer reads: buffers side by side, of so many channels in all."""

    buffers: tuple[int, ...]
    channels: int
    size: Size


class _Count:
    """Walks through a network as inference does: what is multiplied, and held from when to when."""

    def __init__(self) -> None:
        self.macs = self.weights = self._now = 0
        self._buffers: list[list[int]] = []  # numbers, first and last moment

    def peak(self) -> int:
        """The most numbers that are held at once."""
        change = np.zeros(self._now + 2, np.int64)
        for numbers, first, last in self._buffers:
            change[first] += numbers
            change[last + 1] -= numbers
        return int(change.cumsum().max())

    def image(self, channels: int, size: Size) -> _State:
        return self._new(channels, size)

    def cell(self, cell: layers.Cell, before: list[_State]) -> _State:
        taken = before[-len(cell.inputs) :]
        states = [self.chain(chain, x) for chain, x in zip(cell.inputs, taken, strict=True)]
        for edges in cell.nodes:
            node: _State | None = None
            for chain, source, _ in edges:
                node = self.chain(chain, states[source], into=node, keeps=False)
            assert node is not None
            states.append(node)
        joined = [states[k] for k in cell.outputs]
        buffers = tuple(buffer for state in joined for buffer in state.buffers)
        return _State(buffers, sum(state.channels for state in joined), joined[0].size)

    def chain(
        self, chain: layers.Chain, x: _State, into: _State | None = None, keeps: bool = True
    ) -> _State:
        """Walk through layers; the last one adds to ``into``, if that is given.

        With ``keeps`` a chain that computes nothing leaves its input where it is.
        """
        last = max((k for k, layer in enumerate(chain) if not _is_in_place(layer)), default=-1)
        if last < 0 and not keeps:
            x = self._output(x, x.channels, x.size, into)
        for k, layer in enumerate(chain):
            target = into if k == last else None
            if isinstance(layer, layers.Norm):
                self.weights += 2 * layer.channels
            elif isinstance(layer, layers.Conv):
                x = self._output(x, layer.outputs, _strided(x.size, layer), target)
                self._convolve(layer, x.size)
            elif isinstance(layer, layers.FactorizedReduce):
                outputs = layer.first.outputs + layer.second.outputs
                x = self._output(x, outputs, _divided(x.size, layer.first.stride), target)
                self._convolve(layer.first, x.size)
                self._convolve(layer.second, x.size)
            elif isinstance(layer, layers.Pool):
                x = self._output(x, x.channels, _strided(x.size, layer), target)
            elif isinstance(layer, layers.Zero):
                x = self._output(x, layer.outputs, _divided(x.size, layer.stride), target)
        return x

    def classifier(self, x: _State, classes: int) -> None:
        self._read(x)
        self.macs += x.channels * classes
        self.weights += (x.channels + 1) * classes

    def _convolve(self, conv: layers.Conv, size: Size) -> None:
        weights = conv.outputs * conv.inputs // conv.groups * math.prod(conv.kernel)
        self.weights += weights
        self.macs += weights * math.prod(size)

    def _output(self, x: _State, channels: int, size: Size, into: _State | None) -> _State:
        self._now += 1
        self._read(x)
        if into is None:
            return self._new(channels, size)
        self._read(into)
        return into

    def _new(self, channels: int, size: Size) -> _State:
        self._buffers.append([channels * math.prod(size), self._now, self._now])
        return _State((len(self._buffers) - 1,), channels, size)

    def _read(self, x: _State) -> None:
        for buffer in x.buffers:
            self._buffers[buffer][2] = self._now


def _is_in_place(layer: layers.Layer) -> bool:
    return isinstance(layer, (layers.Relu, layers.Norm))


def _strided(size: Size, layer: layers.Conv | layers.Pool) -> Size:
    """The size behind a window: of an odd one padded by half of it, of an even one not at all."""
    dilation = layer.dilation if isinstance(layer, layers.Conv) else 1
    height, width = (
        (side + 2 * pad - dilation * (kernel - 1) - 1) // step + 1
        for side, pad, kernel, step in zip(
            size, layer.padding, layer.kernel, layer.stride, strict=True
        )
    )
    return height, width


def _divided(size: Size, stride: Size) -> Size:
    height, width = (-(-side // step) for side, step in zip(size, stride, strict=True))
    return height, width
