# SPDX-License-Identifier: MIT
"""A derived network for images of one size as steps over buffers: what is written in C.

Batch normalisations are folded into convolutions, or are depthwise ones of a single tap. The edges
of a node add to one buffer, and the nodes that a cell concatenates are slices of one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pydarts.spaces import layers
from pydarts.spaces.layers import Size

_EPSILON = 1e-5  # of batch normalisation


class Buffer(NamedTuple):
    """Planes of values, channel by channel."""

    channels: int
    height: int
    width: int

    @property
    def plane(self) -> int:
        """Values of a channel."""
        return self.height * self.width

    @property
    def values(self) -> int:
        """Values of all channels."""
        return self.channels * self.plane


class Tensor(NamedTuple):
    """Consecutive channels of a buffer."""

    buffer: int
    first: int
    channels: int


@dataclass(frozen=True)
class Step:
    """Reads a tensor and writes, or adds to, another one."""

    reads: Tensor
    writes: Tensor
    accumulate: bool = field(default=False, kw_only=True)
    relu: bool = field(default=False, kw_only=True)  # of what is written, the sum if it adds


@dataclass(frozen=True)
class Conv(Step):
    """A convolution over all channels, or of each by itself if there is one input a weight."""

    weight: NDArray[Any]  # (outputs, inputs, rows, columns)
    bias: NDArray[Any]
    stride: Size = (1, 1)
    dilation: int = 1
    padding: Size = (0, 0)  # on top and left; negative where the first pixels are left out
    depthwise: bool = False
    relu_in: bool = field(default=False, kw_only=True)  # of what is read

    @property
    def kernel(self) -> Size:
        """Rows and columns of the window."""
        rows, columns = self.weight.shape[2:]
        return rows, columns

    @property
    def pointwise(self) -> bool:
        """Whether it is a product at each pixel."""
        plain = self.kernel == self.stride == (1, 1) and self.padding == (0, 0)
        return plain and not self.depthwise


@dataclass(frozen=True)
class Pool(Step):
    """Maximum or average of what of a window lies inside."""

    kind: str  # "max" or "avg"
    kernel: Size
    stride: Size
    padding: Size


@dataclass(frozen=True)
class Copy(Step):
    """The values as they are."""


@dataclass(frozen=True)
class Zero(Step):
    """Zeros, whatever is read."""


@dataclass(frozen=True)
class Program:
    """Steps from the first buffer, a normalised image, to the last one, the logits."""

    buffers: tuple[Buffer, ...]
    steps: tuple[Step, ...]

    @property
    def macs(self) -> int:
        """Multiply-adds of the convolutions and of the classifier; padding counts."""
        return sum(
            step.weight[0].size * step.writes.channels * self.buffers[step.writes.buffer].plane
            for step in self.steps
            if isinstance(step, Conv)
        )


def program(
    network: layers.Network, state: Mapping[str, NDArray[Any]], in_channels: int, size: Size
) -> Program:
    """Return a network's steps for images of one size.

    Parameters
    ----------
    network : layers.Network
    state : mapping of str to ndarray
        Its weights, as `state_dict` gives them.
    in_channels : int
    size : tuple of (int, int)
        Height and width of the images.

    Returns
    -------
    Program
    """
    build = _Builder(state)
    before = [build.new(in_channels, size)]
    for chain in network.stems:
        before.append(build.chain(chain, before[-1]))
    before = before[-2:] if len(network.stems) > 1 else [before[-1]] * 2
    for cell in network.cells:
        before = [before[-1], build.cell(cell, before)]
    last = build.chain(network.tail, before[-1])
    window = build.size(last)
    features = build.new(last.channels, (1, 1))
    build.steps.append(Pool(last, features, "avg", window, (1, 1), (0, 0)))
    weight, bias = state["classifier.weight"], state["classifier.bias"]
    logits = build.new(len(weight), (1, 1))
    build.steps.append(Conv(features, logits, weight[:, :, np.newaxis, np.newaxis], bias))
    return Program(tuple(build.buffers), tuple(_with_early_relu(build.steps, build.buffers)))


class _Part(NamedTuple):
    """A layer with what is folded into it."""

    layer: layers.Layer
    weight: NDArray[Any] | None = None
    bias: NDArray[Any] | None = None
    relu_in: bool = False
    relu: bool = False


class _Builder:
    def __init__(self, state: Mapping[str, NDArray[Any]]):
        self.state = state
        self.buffers: list[Buffer] = []
        self.steps: list[Step] = []

    def new(self, channels: int, size: Size) -> Tensor:
        self.buffers.append(Buffer(channels, *size))
        return Tensor(len(self.buffers) - 1, 0, channels)

    def size(self, x: Tensor) -> Size:
        buffer = self.buffers[x.buffer]
        return buffer.height, buffer.width

    def cell(self, cell: layers.Cell, before: Sequence[Tensor]) -> Tensor:
        taken = before[-len(cell.inputs) :]
        states = [self.chain(chain, x) for chain, x in zip(cell.inputs, taken, strict=True)]
        first = len(states)
        output: Tensor | None = None
        for i, node in enumerate(cell.nodes):
            size = _size_after(node[0].chain, self.size(states[node[0].source]))
            channels = _channels_after(node[0].chain, states[node[0].source].channels)
            if len(cell.outputs) > 1 and first + i in cell.outputs:
                if output is None:
                    output = self.new(channels * len(cell.outputs), size)
                at = cell.outputs.index(first + i) * channels
                total = Tensor(output.buffer, at, channels)
            else:
                total = self.new(channels, size)
            for k, edge in enumerate(node):
                self.chain(edge.chain, states[edge.source], total, accumulate=k > 0)
            states.append(total)
        if output is None:
            assert len(cell.outputs) == 1
            return states[cell.outputs[0]]
        return output

    def chain(
        self,
        chain: layers.Chain,
        x: Tensor,
        target: Tensor | None = None,
        accumulate: bool = False,
    ) -> Tensor:
        """Append the steps of a chain; what it gives goes to the target, if there is one."""
        parts = self._folded(chain)
        for i, part in enumerate(parts):
            # What is added to others cannot be cut off at zero together with them.
            last = i == len(parts) - 1 and not (accumulate and part.relu)
            if last and target is not None:
                x = self._part(part, x, target, accumulate)
                target = None
            else:
                size = _size_after((part.layer,), self.size(x))
                to = self.new(_channels_after((part.layer,), x.channels), size)
                x = self._part(part, x, to, False)
        if target is not None:
            self.steps.append(Copy(x, target, accumulate=accumulate))
            return target
        return x

    def _folded(self, chain: layers.Chain) -> list[_Part]:
        parts: list[_Part] = []
        waiting = False  # a ReLU, for the convolution that follows
        for i, layer in enumerate(chain):
            if isinstance(layer, layers.Relu):
                following = chain[i + 1] if i + 1 < len(chain) else None
                if parts:
                    parts[-1] = parts[-1]._replace(relu=True)
                elif isinstance(
                    following, layers.Conv | layers.FactorizedReduce | layers.Norm | layers.Relu
                ):
                    waiting = True
                else:
                    parts.append(_Part(layer, relu=True))
                continue
            if isinstance(layer, layers.Norm):
                scale, shift = self._affine(layer.name)
                last = parts[-1] if parts else None
                if last is not None and last.weight is not None and not last.relu:
                    assert last.bias is not None
                    weight = last.weight * scale[:, np.newaxis, np.newaxis, np.newaxis]
                    parts[-1] = last._replace(weight=weight, bias=last.bias * scale + shift)
                else:
                    weight = scale.reshape(-1, 1, 1, 1)
                    parts.append(_Part(layer, weight, shift, relu_in=waiting))
            elif isinstance(layer, layers.Conv):
                weight = self._weight(layer)
                parts.append(_Part(layer, weight, np.zeros(layer.outputs), relu_in=waiting))
            elif isinstance(layer, layers.FactorizedReduce):
                weight = np.concatenate([self._weight(layer.first), self._weight(layer.second)])
                parts.append(_Part(layer, weight, np.zeros(len(weight)), relu_in=waiting))
            else:
                parts.append(_Part(layer))
            waiting = False
        return parts

    def _weight(self, conv: layers.Conv) -> NDArray[np.float64]:
        return self.state[f"{conv.name}.weight"].astype(np.float64)

    def _affine(self, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        weight, bias, mean, var = (
            self.state[f"{name}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = weight / np.sqrt(var + _EPSILON)
        return scale, bias - mean * scale

    def _part(self, part: _Part, x: Tensor, to: Tensor, accumulate: bool) -> Tensor:
        layer, relu = part.layer, part.relu
        if part.weight is not None and part.bias is not None:
            weight, bias = part.weight.astype(np.float32), part.bias.astype(np.float32)
            flags: Any = {"accumulate": accumulate, "relu": relu, "relu_in": part.relu_in}
            if isinstance(layer, layers.FactorizedReduce):
                half, stride = layer.first.outputs, layer.first.stride
                one, two = (
                    Tensor(to.buffer, to.first, half),
                    Tensor(to.buffer, to.first + half, to.channels - half),
                )
                shift = 1 - stride[0], 1 - stride[1]
                self.steps += [
                    Conv(x, one, weight[:half], bias[:half], stride, **flags),
                    Conv(x, two, weight[half:], bias[half:], stride, 1, shift, **flags),
                ]
            elif isinstance(layer, layers.Norm):
                self.steps.append(Conv(x, to, weight, bias, depthwise=True, **flags))
            else:
                assert isinstance(layer, layers.Conv)
                shape = layer.stride, layer.dilation, layer.padding, layer.groups > 1
                self.steps.append(Conv(x, to, weight, bias, *shape, **flags))
        elif isinstance(layer, layers.Pool):
            window = layer.kind, layer.kernel, layer.stride, layer.padding
            self.steps.append(Pool(x, to, *window, accumulate=accumulate, relu=relu))
        elif isinstance(layer, layers.Relu):
            self.steps.append(Copy(x, to, accumulate=accumulate, relu=relu))
        else:
            assert isinstance(layer, layers.Zero)
            self.steps.append(Zero(x, to, accumulate=accumulate))
        return to


def _size_after(chain: layers.Chain, size: Size) -> Size:
    for layer in chain:
        if isinstance(layer, layers.Conv | layers.Pool):
            reach = layer.dilation if isinstance(layer, layers.Conv) else 1
            height, width = (
                (n + 2 * p - reach * (k - 1) - 1) // s + 1
                for n, p, k, s in zip(size, layer.padding, layer.kernel, layer.stride, strict=True)
            )
            size = height, width
        elif isinstance(layer, layers.FactorizedReduce | layers.Zero):
            down, right = layer.stride if isinstance(layer, layers.Zero) else layer.first.stride
            size = (size[0] - 1) // down + 1, (size[1] - 1) // right + 1
    return size


def _channels_after(chain: layers.Chain, channels: int) -> int:
    for layer in chain:
        if isinstance(layer, layers.Conv | layers.Zero):
            channels = layer.outputs
        elif isinstance(layer, layers.FactorizedReduce):
            channels = layer.first.outputs + layer.second.outputs
    return channels


def _with_early_relu(steps: list[Step], buffers: list[Buffer]) -> list[Step]:
    """Where all that read a buffer take max(x, 0) of it, let it be written so, once."""
    steps = list(steps)
    for index in range(len(buffers)):
        readers = [i for i, step in enumerate(steps) if step.reads.buffer == index]
        if not readers or not all(getattr(steps[i], "relu_in", False) for i in readers):
            continue
        writers: list[int | None] = [None] * buffers[index].channels
        for i, step in enumerate(steps):
            if step.writes.buffer == index:
                first, count = step.writes.first, step.writes.channels
                writers[first : first + count] = [i] * count
        if None in writers:  # the image, which no step writes
            continue
        for i in readers:
            steps[i] = replace(steps[i], relu_in=False)  # type: ignore[call-arg]
        for last in set(writers):
            assert last is not None
            steps[last] = replace(steps[last], relu=True)
    return steps
