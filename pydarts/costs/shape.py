# SPDX-License-Identifier: MIT
"""The sizes of a network to be, and where its cells then stand."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydarts.common.checks import choice, integer
from pydarts.common.errors import ArgumentError
from pydarts.engine.convolutional import Network
from pydarts.spaces import layers
from pydarts.spaces.darts import Genotype
from pydarts.spaces.operation import Operation, none
from pydarts.spaces.space import Space
from pydarts.spaces.stack import RESIDUAL_BLOCK

Size = tuple[int, int]


@dataclass(frozen=True)
class NetworkShape:
    """All sizes that the costs of a derived network depend on, but its cells.

    Attributes
    ----------
    image_size : tuple of (int, int)
        Height and width; of signals the height is 1.
    channels, cells, classes, in_channels : int
    stem : {"cifar", "imagenet"}
    """

    image_size: Size
    channels: int
    cells: int
    classes: int = 10
    in_channels: int = 3
    stem: str = "cifar"

    def __post_init__(self) -> None:
        sides = self.image_size
        if not isinstance(sides, (tuple, list)) or len(sides) != 2:
            raise ArgumentError("image_size", f"(={sides!r}) must be (height, width)")
        size = tuple(integer("image_size", side, 1) for side in sides)
        object.__setattr__(self, "image_size", size)
        for name, least in (("channels", 1), ("cells", 1), ("classes", 2), ("in_channels", 1)):
            integer(name, getattr(self, name), least)
        choice("stem", self.stem, ("cifar", "imagenet"))

    def network(self, genotype: Any, threads: int = 1) -> Network:
        """Build the network of a genotype, without an auxiliary head."""
        return Network(
            genotype,
            self.channels,
            self.cells,
            self.classes,
            self.in_channels,
            threads=threads,
            stem=self.stem,
        )


class Place(NamedTuple):
    """What of an operation decides its cost: the same operation at the same place costs the same.

    Attributes
    ----------
    operation : str
    inputs, channels : int
        Channels of its input and output.
    size : tuple of (int, int)
        Of its input.
    stride : int
    """

    operation: str
    inputs: int
    channels: int
    size: Size
    stride: int


class _Layer(NamedTuple):
    """A cell of a network: its kind, channels, stride, and channels and size of its inputs."""

    kind: str
    channels: int
    stride: int
    widths: tuple[int, ...]
    size: Size


def as_size(space: Space, image_size: int | Sequence[int]) -> Size:
    """Return height and width of images, of which a single number gives both; of signals their
    length.
    """
    if isinstance(image_size, int):
        return (1, image_size) if space.dimensions == 1 else (image_size, image_size)
    if not isinstance(image_size, (tuple, list)) or len(image_size) != 2:
        raise ArgumentError("image_size", f"(={image_size!r}) must be a number or (height, width)")
    return image_size[0], image_size[1]


def halved(size: Size, space: Space, stride: int = 2) -> Size:
    """The size behind a stride: what is left of a side is rounded up."""
    height, width = size
    return (height if space.dimensions == 1 else -(-height // stride), -(-width // stride))


def placed_layers(space: Space, shape: NetworkShape) -> list[_Layer]:
    """The cells of a network in their order; residual blocks are no cells, and left out."""
    assert space.stack is not None
    size, channels = shape.image_size, shape.channels
    width = space.stack.stem * channels
    if shape.stem == "imagenet":
        width = channels
        for _ in range(3):
            size = halved(size, space)
    before, found = (width, width), []
    for kind, stride, factor in layers.stacked_layers(space.stack, shape.cells):
        channels *= factor
        output = channels
        if kind != RESIDUAL_BLOCK:
            cell = space.cell(kind)
            widths = (channels,) * cell.inputs if cell.preprocessed else before[-cell.inputs :]
            found.append(_Layer(kind, channels, stride, widths, size))
            output *= cell.nodes if cell.output == "concatenation" else 1
        if stride == 2:
            size = halved(size, space)
        before = (before[-1], output)
    return found


def places(space: Space, shape: NetworkShape) -> dict[str, list[list[list[Place]]]]:
    """Return where the operations of each kind of cell stand in a network.

    Returns
    -------
    dict of list
        By kind of cell, edge and column of α the places of that operation in all cells of the kind;
        of ``none`` there are none.
    """
    found: dict[str, list[list[list[Place]]]] = {}
    for cell in space.cells:
        of_kind = [each for each in placed_layers(space, shape) if each.kind == cell.name]
        found[cell.name] = [
            [
                [] if _is_free(op) else [_place(op, layer, source, space) for layer in of_kind]
                for op in row
            ]
            for (source, _), row in zip(cell.edges_of(), cell.candidates, strict=True)
        ]
    return found


def _is_free(op: Operation) -> bool:
    return op.is_none or op.is_noise  # noise is zero in a trained network


def _place(op: Operation, layer: _Layer, source: int, space: Space) -> Place:
    if source < len(layer.widths):
        return Place(op.name, layer.widths[source], layer.channels, layer.size, layer.stride)
    size = halved(layer.size, space, layer.stride)
    return Place(op.name, layer.channels, layer.channels, size, 1)


def without_operations(space: Space) -> Genotype:
    """Return cells whose edges all carry ``none``: a network of them has the fixed parts alone."""
    if any(op.name == "none" and not op.is_none for op in space.operations):
        raise ArgumentError("space", "has an operation 'none' that is not none")

    def extended(row: tuple[Operation, ...]) -> tuple[Operation, ...]:
        return row if any(op.is_none for op in row) else (*row, Operation("none", [none]))

    cells = [
        dataclasses.replace(cell, keeps_none=True, edges=tuple(map(extended, cell.edges)))
        for cell in space.cells
    ]
    empty = space.replace(
        name="without-operations", operations=extended(space.operations), cells=cells
    )
    fields: dict[str, Any] = {}
    for cell in empty.cells:
        nodes = range(cell.inputs, cell.inputs + cell.nodes)
        fields[cell.name] = [("none", j) for node in nodes for j in range(cell.kept(node))]
        if cell.output_field is not None:
            fields[cell.output_field] = nodes
    return Genotype(space=empty, **fields)
