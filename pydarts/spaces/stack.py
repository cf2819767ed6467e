# SPDX-License-Identifier: MIT
"""How a network is built of cells: what follows what."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from pydarts.common.checks import boolean, integer, show
from pydarts.common.errors import ArgumentError
from pydarts.spaces.operation import check_name
from pydarts.spaces.values import members_of, set_field

RESIDUAL_BLOCK: Final = "residual_block"
MAX_LAYERS: Final = 64
MAX_FACTOR: Final = 64


@dataclass(frozen=True)
class Layer:
    """An entry of a stack: one or several cells, or a residual block.

    Parameters
    ----------
    cell : str
        Name of a kind of cell, or ``"residual_block"``: the basic block of residual networks, with
        a pooled and projected shortcut, as between the stages of NAS-Bench-201.
    until : str, optional
        A fraction such as ``"1/3"``: cells follow up to that part of the network's number of cells.
    repeat : int or "cells", optional
        How often it follows; ``"cells"`` is the network's ``cells``, which are then those of a
        stage and not of the network. Once, by default.
    stride : {1, 2}
        Of each of these cells.
    channels : int
        Factor by which each of them has more channels than the one before.
    """

    cell: str
    until: str | None = None
    repeat: int | str | None = None
    stride: int = 1
    channels: int = 1

    def __post_init__(self) -> None:
        check_name("cell", self.cell)
        if self.until is not None and self.repeat is not None:
            raise ArgumentError("until", f"(={self.until!r}) excludes `repeat` (={self.repeat!r})")
        if self.until is not None:
            text = self.until
            if not isinstance(text, str) or not re.fullmatch(r"[1-9]\d?/[1-9]\d?", text):
                raise ArgumentError("until", f"(={show(text)}) must be a fraction such as '1/3'")
            if Fraction(text) > 1:
                raise ArgumentError("until", f"(={text!r}) must not be more than 1")
        if self.repeat is not None and self.repeat != "cells":
            integer("repeat", self.repeat, 1, 1025)
        integer("stride", self.stride, 1, 3)
        integer("channels", self.channels, 1, MAX_FACTOR + 1)

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON holds of the layer: what differs from the defaults."""
        return {
            each.name: getattr(self, each.name)
            for each in dataclasses.fields(self)
            if each.name == "cell" or getattr(self, each.name) != each.default
        }


@dataclass(frozen=True)
class Stack:
    """How a network is built of cells.

    Parameters
    ----------
    layers : sequence of Layer
    stem : int
        Channels of the stem, in multiples of the network's ``channels``.
    norm_relu : bool
        Whether batch normalisation and ReLU come before the global pooling.
    """

    layers: tuple[Layer, ...]
    stem: int = 1
    norm_relu: bool = False

    def __post_init__(self) -> None:
        layers = tuple(self.layers)
        if not 1 <= len(layers) <= MAX_LAYERS or not all(isinstance(x, Layer) for x in layers):
            raise ArgumentError("layers", f"(={show(layers)}) must be 1 to {MAX_LAYERS} layers")
        by_fraction = [layer for layer in layers if layer.until is not None]
        by_stage = [layer for layer in layers if layer.repeat == "cells"]
        if by_fraction and by_stage:
            raise ArgumentError("layers", "mix `until` and `repeat`='cells', which count by two")
        if not by_fraction and not by_stage:
            problem = "name neither `until` nor `repeat`='cells': `cells` would mean nothing"
            raise ArgumentError("layers", problem)
        fractions = [Fraction(str(layer.until)) for layer in by_fraction]
        if fractions != sorted(fractions):
            raise ArgumentError("layers", "have fractions of `until` that fall")
        integer("stem", self.stem, 1, MAX_FACTOR + 1)
        boolean("norm_relu", self.norm_relu)
        set_field(self, "layers", layers)

    @property
    def counts_stages(self) -> bool:
        """Whether a network's ``cells`` are those of a stage, not of the whole network."""
        return any(layer.repeat == "cells" for layer in self.layers)

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON holds of the stack."""
        layers = [layer.to_dict() for layer in self.layers]
        return {"stem": self.stem, "layers": layers, "norm_relu": self.norm_relu}

    @classmethod
    def from_dict(cls, value: object) -> Stack:
        """Read what `to_dict` returned."""
        members = members_of("stack", value, ("stem", "layers", "norm_relu"))
        layers = members.pop("layers", None)
        if not isinstance(layers, list):
            raise ArgumentError("stack", f"(={show(value)}) has no list of layers")
        names = [each.name for each in dataclasses.fields(Layer)]
        try:
            return cls(
                tuple(Layer(**members_of("layers", layer, names, ("cell",))) for layer in layers),
                **members,
            )
        except ArgumentError as error:
            raise ArgumentError("stack", f": `{error.argument}` {error.problem}") from None
