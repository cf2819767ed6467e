# SPDX-License-Identifier: MIT
"""What networks cost, stated plainly over the layers of `pydarts.spaces.layers`: what `cpp/costs`
is held against.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pydarts.costs.shape import NetworkShape
from pydarts.spaces import layers

Size = tuple[int, int]
#: Buffers side by side, with their channels in all and their size.
State = tuple[list[int], int, Size]


def entries(genotype: Any) -> Iterator[tuple[str, int, int]]:
    """Yield the kind of cell, edge and column of α of each operation of a genotype."""
    for cell in genotype.space.cells:
        edges = cell.edges_of()
        for name, source, node in genotype.kept(cell.name):
            row = edges.index((source, node))
            yield cell.name, row, [op.name for op in cell.candidates[row]].index(name)


def computed_entries(genotype: Any) -> list[tuple[str, int, int]]:
    """Return those entries of which no equal pool came before."""
    found, known = [], set()
    for cell, row, column in entries(genotype):
        kind = genotype.space.cell(cell)
        name, source = kind.candidates[row][column].name, kind.edges_of()[row][0]
        if "pool" in name and (cell, source, name) in known:
            continue
        known.add((cell, source, name))
        found.append((cell, row, column))
    return found


def cost(genotype: Any, fixed: float, tables: Mapping[str, Any], pools_once: bool = False) -> float:
    """Return what `CostTable.predict` does."""
    held = computed_entries(genotype) if pools_once else entries(genotype)
    return fixed + float(sum(tables[cell][row, column] for cell, row, column in held))


class Count:
    """Walks through a network as inference does: what is multiplied, and held from when to when."""

    def __init__(self, genotype: Any, shape: NetworkShape):
        net = layers.network(genotype, shape.channels, shape.cells, shape.in_channels, shape.stem)
        self.macs = self.weights = 0
        self.held: list[list[int]] = []  # numbers, first and last moment
        self.now = 0
        x = self._new(shape.in_channels, shape.image_size)
        before = [x := self._chain(chain, x) for chain in net.stems]
        before = [before[0], before[-1]]
        for cell in net.cells:
            before = [before[-1], self._cell(cell, before)]
        buffers, channels, _ = self._chain(net.tail, before[-1])
        for buffer in buffers:
            self.held[buffer][2] = self.now
        self.macs += channels * shape.classes
        self.weights += (channels + 1) * shape.classes
        moments = range(self.now + 1)
        self.memory = 4 * max(sum(n for n, a, b in self.held if a <= t <= b) for t in moments)

    def _cell(self, cell: layers.Cell, before: list[State]) -> State:
        taken = before[-len(cell.inputs) :]
        states = [self._chain(chain, x) for chain, x in zip(cell.inputs, taken, strict=True)]
        for edges in cell.nodes:
            node = None
            for chain, source, _ in edges:
                node = self._chain(chain, states[source], node, moves=True)
            assert node is not None
            states.append(node)
        joined = [states[k] for k in cell.outputs]
        buffers = [buffer for state in joined for buffer in state[0]]
        return buffers, sum(state[1] for state in joined), joined[0][2]

    def _chain(
        self, chain: layers.Chain, x: State, into: State | None = None, moves: bool = False
    ) -> State:
        """The last layer that gives something of its own adds to ``into``, if there is one."""
        giving = [k for k, a in enumerate(chain) if not isinstance(a, (layers.Relu, layers.Norm))]
        if moves and not giving:
            x = self._give(x, x[1], x[2], into)
        for k, layer in enumerate(chain):
            target = into if giving and k == giving[-1] else None
            if isinstance(layer, layers.Norm):
                self.weights += 2 * layer.channels
            elif isinstance(layer, layers.Conv):
                x = self._give(x, layer.outputs, behind(x[2], layer), target)
                self._multiply(layer, x[2])
            elif isinstance(layer, layers.FactorizedReduce):
                halves = layer.first, layer.second
                size = divided(x[2], layer.first.stride)
                x = self._give(x, sum(conv.outputs for conv in halves), size, target)
                for conv in halves:
                    self._multiply(conv, size)
            elif isinstance(layer, layers.Pool):
                x = self._give(x, x[1], behind(x[2], layer), target)
            elif isinstance(layer, layers.Zero):
                x = self._give(x, layer.outputs, divided(x[2], layer.stride), target)
        return x

    def _multiply(self, conv: layers.Conv, size: Size) -> None:
        weights = conv.outputs * conv.inputs // conv.groups * math.prod(conv.kernel)
        self.weights += weights
        self.macs += weights * math.prod(size)

    def _give(self, x: State, channels: int, size: Size, into: State | None) -> State:
        self.now += 1
        given = self._new(channels, size) if into is None else into
        for buffer in [*x[0], *given[0]]:
            self.held[buffer][2] = self.now
        return given

    def _new(self, channels: int, size: Size) -> State:
        self.held.append([channels * math.prod(size), self.now, self.now])
        return [len(self.held) - 1], channels, size


def behind(size: Size, layer: layers.Conv | layers.Pool) -> Size:
    """The size behind a window: of an odd one padded by half of it, of an even one not at all."""
    dilation = layer.dilation if isinstance(layer, layers.Conv) else 1
    windows = zip(size, layer.padding, layer.kernel, layer.stride, strict=True)
    height, width = (
        (side + 2 * pad - dilation * (kernel - 1) - 1) // step + 1
        for side, pad, kernel, step in windows
    )
    return height, width


def divided(size: Size, stride: Size) -> Size:
    """The size behind a stride: what is left of a side is rounded up."""
    height, width = (-(-side // step) for side, step in zip(size, stride, strict=True))
    return height, width
