# SPDX-License-Identifier: MIT
"""The sizes of a network to be, and where its operations then stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydarts.common.checks import choice, integer
from pydarts.common.errors import ArgumentError
from pydarts.costs.native import native
from pydarts.engine.convolutional import Network
from pydarts.spaces.space import Space

Size = tuple[int, int]


@dataclass(frozen=True)
class NetworkShape:
    """All sizes that the costs of a derived network depend on, but its cells.

    Attributes
    ----------
    image_size : tuple of (int, int)
        Height and width; of signals the height is 1.
    channels, cells, classes, in_channels : int
        `classes` are the outputs, whatever the network learns.
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
        for name, least in (("channels", 1), ("cells", 1), ("classes", 1), ("in_channels", 1)):
            integer(name, getattr(self, name), least)
        choice("stem", self.stem, ("cifar", "imagenet"))

    @property
    def sizes(self) -> tuple[int, int, int, int, int, int, str]:
        """The shape as the engine takes it."""
        height, width = self.image_size
        fields = self.channels, self.cells, self.classes, self.in_channels, self.stem
        return height, width, *fields

    def network(self, genotype: Any, threads: int = 1) -> Network:
        """Build the network of a genotype, without an auxiliary head."""
        return Network(
            genotype,
            self.channels,
            self.cells,
            max(2, self.classes),  # of a single output the time is the same
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


def as_size(space: Space, image_size: int | Sequence[int]) -> Size:
    """Return height and width of images, of which a single number gives both; of signals their
    length.
    """
    if isinstance(image_size, int):
        return (1, image_size) if space.dimensions == 1 else (image_size, image_size)
    if not isinstance(image_size, (tuple, list)) or len(image_size) != 2:
        raise ArgumentError("image_size", f"(={image_size!r}) must be a number or (height, width)")
    return image_size[0], image_size[1]


def places(space: Space, shape: NetworkShape) -> dict[str, list[list[list[Place]]]]:
    """Return where the operations of each kind of cell stand in a network.

    Returns
    -------
    dict of list
        By kind of cell, edge and column of α the places of that operation in all cells of the kind;
        of ``none`` and noise there are none.
    """
    entries = iter(native(space).places(shape.sizes))
    return {
        cell.name: [
            [[Place(*place) for place in next(entries)] for _ in range(cell.columns)]
            for _ in cell.candidates
        ]
        for cell in space.cells
    }
