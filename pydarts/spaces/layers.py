# SPDX-License-Identifier: MIT
"""The layers of a derived network as data: what exporters write, and what its costs are counted of.

The network is built from its space as the engine builds it; names are those of the parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from pydarts.common.errors import ArgumentError
from pydarts.spaces.darts import Genotype
from pydarts.spaces.operation import Operation, Stage
from pydarts.spaces.space import Space
from pydarts.spaces.stack import RESIDUAL_BLOCK, Stack

Size = tuple[int, int]


class Conv(NamedTuple):
    """A convolution without bias, its weight under `name`."""

    name: str
    inputs: int
    outputs: int
    kernel: Size = (1, 1)
    stride: Size = (1, 1)
    dilation: int = 1
    groups: int = 1

    @property
    def padding(self) -> Size:
        """Zeros on either side of the two axes: of even windows none."""
        height, width = (self.dilation * (k // 2) if k % 2 else 0 for k in self.kernel)
        return height, width


class Norm(NamedTuple):
    """Batch normalisation with affine parameters."""

    name: str
    channels: int


class Relu(NamedTuple):
    """max(x, 0)."""


class Pool(NamedTuple):
    """Pooling that leaves its padding out: of odd windows half of them, of even ones nothing."""

    kind: str  # "max" or "avg"
    kernel: Size
    stride: Size

    @property
    def padding(self) -> Size:
        """Of the two axes."""
        height, width = (k // 2 if k % 2 else 0 for k in self.kernel)
        return height, width


class FactorizedReduce(NamedTuple):
    """`first` on x, and `second` on x shifted by a pixel along the strided axes; concatenated."""

    first: Conv
    second: Conv


class Zero(NamedTuple):
    """Zeros, in place of a node that nothing reaches."""

    inputs: int
    outputs: int
    stride: Size


Layer = Conv | Norm | Relu | Pool | FactorizedReduce | Zero
Chain = tuple[Layer, ...]


class Edge(NamedTuple):
    """A chain from a state; `droppable` by drop path."""

    chain: Chain
    source: int
    droppable: bool


class Cell(NamedTuple):
    """Inputs through their chains are the first states; nodes sum edges; outputs are joined."""

    inputs: tuple[Chain, ...]
    nodes: tuple[tuple[Edge, ...], ...]
    outputs: tuple[int, ...]
    channels: int  # of the output


class Network(NamedTuple):
    """Stems, whose outputs the first cell takes; cells; what comes before the pooling."""

    stems: tuple[Chain, ...]
    cells: tuple[Cell, ...]
    tail: Chain
    auxiliary: int | None  # the cell behind which an auxiliary head may stand

    @property
    def channels(self) -> int:
        """Of the last cell, which the classifier reads."""
        return self.cells[-1].channels


class _State(NamedTuple):
    channels: int
    halvings: int


def network(
    genotype: Genotype, channels: int, cells: int, in_channels: int, stem: str = "cifar"
) -> Network:
    """Return the derived network of a genotype.

    Parameters
    ----------
    genotype : Genotype
    channels, cells, in_channels : int
    stem : {"cifar", "imagenet"}
        As of `pydarts.Network`.

    Returns
    -------
    Network
    """
    space, stack = genotype.space, genotype.space.stack
    assert stack is not None
    stems, before = _stems(space, stack, channels, in_channels, stem)
    found: list[Cell] = []
    auxiliary = None
    for i, (kind, stride, factor) in enumerate(stacked_layers(stack, cells)):
        channels *= factor
        if kind == RESIDUAL_BLOCK:
            cell = _residual_block(space, f"cells.{i}", before[-1].channels, channels, stride)
        else:
            cell = _cell(genotype, kind, f"cells.{i}", before, channels, stride)
        found.append(cell)
        halvings = before[-1].halvings + (stride == 2)
        before = (before[-1], _State(cell.channels, halvings))
        if stride == 2:
            auxiliary = i
    tail: Chain = ()
    if stack.norm_relu:
        tail = (Norm("lastact.0", before[-1].channels), Relu())
    return Network(stems, tuple(found), tail, auxiliary)


def stacked_layers(stack: Stack, cells: int) -> list[tuple[str, int, int]]:
    """Kind, stride and growth of channels of each layer."""
    found: list[tuple[str, int, int]] = []
    for layer in stack.layers:
        if layer.until is not None:
            count = int(Fraction(layer.until) * cells) - len(found)
        else:
            count = cells if layer.repeat == "cells" else int(layer.repeat or 1)
        if not stack.counts_stages:
            count = min(count, cells - len(found))
        found += [(layer.cell, layer.stride, layer.channels)] * count
    return found


def check_size(space: Space, cells: int, stem: str, size: Sequence[int]) -> None:
    """Raise ArgumentError of ``X`` where a residual block would halve an odd side: the pool of its
    shortcut and its convolutions would give images of different sizes.
    """
    assert space.stack is not None
    halvings = 0 if stem == "cifar" else 3
    for kind, stride, _ in stacked_layers(space.stack, cells):
        multiple = 2 ** (halvings + 1)
        sides = [-(-side // 2**halvings) for side in size[2 - space.dimensions :]]
        if kind == RESIDUAL_BLOCK and stride == 2 and any(side % 2 for side in sides):
            shape = "x".join(map(str, size))
            problem = f"is of {shape} pixels, which the residual blocks of {space.name!r} halve"
            hint = f"sides must be multiples of {multiple}, with a border if need be"
            raise ArgumentError("X", f"{problem}: {hint}")
        halvings += stride == 2


def _window(space: Space, side: int) -> Size:
    return (1, side) if space.dimensions == 1 else (side, side)


def _stems(
    space: Space, stack: Stack, channels: int, in_channels: int, stem: str
) -> tuple[tuple[Chain, ...], tuple[_State, ...]]:
    window, two = _window(space, 3), _window(space, 2)
    if stem == "cifar":
        width = stack.stem * channels
        chain = (Conv("stem.0", in_channels, width, window), Norm("stem.1", width))
        return (chain,), (_State(width, 0), _State(width, 0))
    half = channels // 2
    first = (
        Conv("stem0.0", in_channels, half, window, two),
        Norm("stem0.1", half),
        Relu(),
        Conv("stem0.3", half, channels, window, two),
        Norm("stem0.4", channels),
    )
    second = (
        Relu(),
        Conv("stem1.1", channels, channels, window, two),
        Norm("stem1.2", channels),
    )
    return (first, second), (_State(channels, 2), _State(channels, 3))


def _cell(
    genotype: Genotype,
    kind: str,
    name: str,
    before: tuple[_State, ...],
    channels: int,
    stride: int,
) -> Cell:
    space = genotype.space
    cell = space.cell(kind)
    states = before[-cell.inputs :]
    inputs: list[Chain] = []
    widths: list[int] = []
    for k, state in enumerate(states):
        at = f"{name}.preprocess{k if cell.inputs > 1 else ''}"
        if not cell.preprocessed:
            inputs.append(())
        elif state.halvings < states[-1].halvings:
            inputs.append(_factorized_reduce(at, state.channels, channels, _window(space, 2)))
        else:
            inputs.append(
                (
                    Relu(),
                    Conv(f"{at}.op.1", state.channels, channels),
                    Norm(f"{at}.op.2", channels),
                )
            )
        widths.append(channels if cell.preprocessed else state.channels)
    operations = {op.name: op for row in cell.candidates for op in row}
    operations |= {op.name: op for op in cell.extra_operations}
    member = "_ops" if space.parameter_names == "darts" else "layers"
    nodes: list[list[Edge]] = [[] for _ in range(genotype.nodes(kind))]
    for k, (op_name, source, node) in enumerate(genotype.kept(kind)):
        op = operations[op_name]
        if op.is_none or op.is_noise:  # noise is zero in a trained network
            continue
        steps = _window(space, stride if source < cell.inputs else 1)
        inner = widths[source] if source < cell.inputs else channels
        chain = operation_chain(op, f"{name}.{member}.{k}", inner, channels, steps)
        nodes[node - cell.inputs].append(Edge(chain, source, bool(chain)))
    for edges in nodes:
        if not edges:
            zero = Zero(widths[0], channels, _window(space, stride))
            edges.append(Edge((zero,), 0, False))
    outputs = genotype.outputs(kind)
    return Cell(tuple(inputs), tuple(map(tuple, nodes)), outputs, channels * len(outputs))


def operation_chain(op: Operation, name: str, inputs: int, outputs: int, stride: Size) -> Chain:
    """The layers of an operation on an edge, from so many channels to so many."""
    if op.is_identity:
        return _factorized_reduce(name, inputs, outputs, stride) if max(stride) > 1 else ()
    by_axis = [stage.strides for stage in op.stages]
    windows = [k for k, stage in enumerate(op.stages) if stage.kernel or stage.kind == "pointwise"]
    layers: list[Layer] = []
    prefix = f"{name}.{op.prefix}." if op.prefix else f"{name}."
    for k, stage in enumerate(op.stages):
        if any(by_axis):
            taken = (
                stride[0] if by_axis[k] == "height" else 1,
                stride[1] if by_axis[k] == "width" else 1,
            )
        else:
            taken = stride if windows and k == windows[0] else (1, 1)
        layer, inputs = _layer(stage, f"{prefix}{k}", inputs, outputs, taken)
        layers += layer
    return tuple(layers)


def _layer(
    stage: Stage, name: str, inputs: int, outputs: int, stride: Size
) -> tuple[list[Layer], int]:
    """The layer of a stage, if the derived network has it, and its channels."""
    kernel = stage.kernel or (1, 1)
    match stage.kind:
        case "relu":
            return [Relu()], inputs
        case "batch_norm":
            return [Norm(name, inputs)], inputs
        case "search_batch_norm":
            return [], inputs
        case "depthwise":
            return [Conv(name, inputs, inputs, kernel, stride, stage.dilation, inputs)], inputs
        case "max_pool" | "avg_pool":
            return [Pool(stage.kind.removesuffix("_pool"), kernel, stride)], inputs
        case _:
            return [Conv(name, inputs, outputs, kernel, stride, stage.dilation)], outputs


def _factorized_reduce(name: str, inputs: int, outputs: int, stride: Size) -> Chain:
    half = outputs // 2
    both = FactorizedReduce(
        Conv(f"{name}.conv_1", inputs, half, stride=stride),
        Conv(f"{name}.conv_2", inputs, outputs - half, stride=stride),
    )
    return Relu(), both, Norm(f"{name}.bn", outputs)


def _residual_block(space: Space, name: str, inputs: int, outputs: int, stride: int) -> Cell:
    steps, window = _window(space, stride), _window(space, 3)
    main = (
        Relu(),
        Conv(f"{name}.conv_a.op.1", inputs, outputs, window, steps),
        Norm(f"{name}.conv_a.op.2", outputs),
        Relu(),
        Conv(f"{name}.conv_b.op.1", outputs, outputs, window),
        Norm(f"{name}.conv_b.op.2", outputs),
    )
    shortcut: list[Layer] = []
    if stride > 1:
        shortcut.append(Pool("avg", steps, steps))
    if stride > 1 or inputs != outputs:
        shortcut.append(Conv(f"{name}.downsample.1", inputs, outputs))
    edges = (Edge(main, 0, False), Edge(tuple(shortcut), 0, False))
    return Cell(((),), (edges,), (1,), outputs)
