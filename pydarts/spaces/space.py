# SPDX-License-Identifier: MIT
"""A search space as a value: its operations, its kinds of cells, and how cells are stacked."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from keyword import iskeyword
from typing import TYPE_CHECKING, Any, Final

from pydarts.common.checks import boolean, choice, integer, show
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.spaces.cell import Cell, read_cells
from pydarts.spaces.operation import ACTIVATIONS, Operation, check_name
from pydarts.spaces.stack import RESIDUAL_BLOCK, Stack
from pydarts.spaces.values import checked_operations, members_of, read_operations, set_field

if TYPE_CHECKING:
    from pydarts.spaces.genotype import BaseGenotype

FORMAT: Final = "pydarts-space"
VERSION: Final = 1
MAX_TEXT: Final = 1 << 17

#: The classes of genotypes, by the kind of space.
GENOTYPES: Final[dict[str, type[BaseGenotype]]] = {}
#: The ready spaces, by name; see `pydarts.spaces.ready`.
READY: Final[dict[str, Space]] = {}

_KINDS: Final = ("convolutional", "recurrent")
_PARAMETER_NAMES: Final = ("darts", "nas-bench-201")
#: What the JSON of a genotype holds beside its fields.
_MEMBERS: Final = ("format", "version", "kind", "space")


@dataclass(frozen=True)
class Space:
    """What can be searched: a value that can be compared, printed, and kept as JSON.

    Parameters
    ----------
    name : str
    operations : sequence of Operation
        The candidates of every edge that has none of its own, in the order of α's columns.
    cells : sequence of Cell
        The kinds of cells, in the order in which α and genotypes hold them.
    stack : Stack
        How a network is built of cells.
    dimensions : {1, 2}
        1 for signals: images of height 1, with kernels (1, k).
    extra_operations : sequence of Operation
        Operations that a genotype may hold and the search does not try.
    conv_bias : bool
        Whether in the supernet a convolution before batch normalisation has a bias.
    parameter_names : {"darts", "nas-bench-201"}
        Whose names the parameters have.
    kind : {"convolutional", "recurrent"}
        Of its genotypes, as their JSON names it.

    Raises
    ------
    ValueError
        If these make no space; names the argument.

    Examples
    --------
    >>> from pydarts.spaces import DARTS, Operation, batch_norm, pointwise, relu
    >>> conv_1x1 = Operation("conv_1x1", [relu, pointwise, batch_norm])
    >>> DARTS.replace(name="mine", operations=[*DARTS.operations, conv_1x1]).cells[0].columns
    9
    """

    name: str
    operations: tuple[Operation, ...]
    cells: tuple[Cell, ...]
    stack: Stack | None
    dimensions: int = 2
    extra_operations: tuple[Operation, ...] = ()
    conv_bias: bool = False
    parameter_names: str = "darts"
    kind: str = "convolutional"

    def __post_init__(self) -> None:
        check_name("name", self.name)
        integer("dimensions", self.dimensions, 1, 3)
        choice("kind", self.kind, _KINDS)
        choice("parameter_names", self.parameter_names, _PARAMETER_NAMES)
        operations = checked_operations("operations", self.operations)
        extra = checked_operations("extra_operations", self.extra_operations, minimum=0)
        set_field(self, "operations", operations)
        set_field(self, "extra_operations", extra)
        cells = tuple(self.cells)
        names = [cell.name for cell in cells]
        if not cells or len(set(names)) != len(names):
            raise ArgumentError("cells", f"(={show(names)}) must be different kinds, at least one")
        set_field(self, "cells", tuple(cell.bound(operations, extra) for cell in cells))
        boolean("conv_bias", self.conv_bias)
        self._check_fields()
        self._check_operations()
        if self.kind == "convolutional":
            self._check_stack(names)
        if self.name in READY and READY[self.name] != self:
            raise ArgumentError("name", f"(={self.name!r}) is that of a ready space, which differs")

    def _check_fields(self) -> None:
        """Genotypes have these as attributes, as words of their text and as members of JSON."""
        fields = self.fields
        for name in fields:
            known = hasattr(GENOTYPES.get(self.kind), name) or name in _MEMBERS
            if not name.isidentifier() or iskeyword(name) or known or fields.count(name) > 1:
                problem = f"have the name {name!r}, which a genotype cannot have as a field"
                raise ArgumentError("cells", problem)

    def _check_operations(self) -> None:
        known: dict[str, Operation] = {}
        for op in (op for cell in self.cells for row in cell.candidates for op in row):
            self._check_operation(op, known)
        for op in self.extra_operations:
            self._check_operation(op, known)
        for cell in self.cells:
            for (source, node), row in zip(cell.edges_of(), cell.candidates, strict=True):
                if not cell.keeps_none and all(op.is_none for op in row):
                    where = f"of the edge from {source} to {node} of {cell.name!r}"
                    raise ArgumentError("operations", f"{where} must hold more than none")

    def _check_operation(self, op: Operation, known: dict[str, Operation]) -> None:
        if known.setdefault(op.name, op) != op:
            raise ArgumentError("operations", f"hold two different ones of the name {op.name!r}")
        for stage in op.stages:
            problem = f"of which {op.name!r} has {stage}"
            if self.kind == "convolutional" and stage.kind in ACTIVATIONS:
                raise ArgumentError("operations", f"{problem}, a stage of recurrent cells")
            if self.dimensions == 1 and stage.kernel is not None and stage.kernel[0] != 1:
                raise ArgumentError("operations", f"{problem}, but signals have kernels (1, k)")

    def _check_stack(self, names: list[str]) -> None:
        if not isinstance(self.stack, Stack):
            raise ArgumentTypeError("stack", f"(={show(self.stack)}) must be a Stack")
        for layer in self.stack.layers:
            if layer.cell not in (*names, RESIDUAL_BLOCK):
                problem = f"has a layer of the cell {layer.cell!r}; there are {', '.join(names)}"
                raise ArgumentError("stack", problem)
        unused = [name for name in names if name not in {x.cell for x in self.stack.layers}]
        if unused:
            raise ArgumentError("stack", f"has no layer of the cell {unused[0]!r}")

    @property
    def genotype(self) -> type[BaseGenotype]:
        """The class of its genotypes."""
        return GENOTYPES[self.kind]

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of its genotypes: of each cell the edges, then the nodes of the output."""
        return tuple(name for cell in self.cells for name in (cell.name, cell.output_field) if name)

    @property
    def is_usual(self) -> bool:
        """Whether it is the space that is meant where none of its kind is named."""
        return self.name == self.genotype.usual_space

    @property
    def reference(self) -> str | dict[str, Any]:
        """Its name if it is a ready space, else all of it: what a genotype's JSON holds."""
        return self.name if READY.get(self.name) == self else self.to_dict()

    @classmethod
    def from_reference(cls, value: object, kind: str = "convolutional") -> Space:
        """Read `reference`; no string is ever the path of a file."""
        if not isinstance(value, str):
            return cls.from_dict(value)
        found = READY.get(value)
        if found is None or found.kind != kind:
            names = ", ".join(name for name, space in READY.items() if space.kind == kind)
            raise ArgumentError("space", f"(={show(value)}) is no ready one: {names}")
        return found

    def cell(self, name: str) -> Cell:
        """The kind of cell of that name; a ValueError if there is none."""
        kinds = {cell.name: cell for cell in self.cells}
        return kinds[choice("name", name, tuple(kinds))]

    def derive(self, alphas: Mapping[str, Any]) -> BaseGenotype:
        """The genotype that architecture parameters stand for."""
        return self.genotype.derive(alphas, space=self)

    def count_skips(self, genotype: BaseGenotype) -> int:
        """How many edges of the first cell pass their input on, which is a sign of collapse."""
        cell = self.cells[0]
        skips = {op.name for row in cell.candidates for op in row if op.is_identity}
        return sum(op in skips for op, _, _ in genotype.kept(cell.name))

    def replace(self, **changes: Any) -> Space:
        """Return the space with some of its arguments replaced: another name is needed, too."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON holds of the space."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "name": self.name,
            "dimensions": self.dimensions,
            "operations": [op.to_dict() for op in self.operations],
            "extra_operations": [op.to_dict() for op in self.extra_operations],
            "conv_bias": self.conv_bias,
            "parameter_names": self.parameter_names,
            "cells": [cell.to_dict() for cell in self.cells],
            "stack": self.stack.to_dict() if self.stack is not None else None,
        }

    def to_json(self) -> str:
        """Return the space as JSON text, which `from_json` and the C API read."""
        return json.dumps(self.to_dict(), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Space:
        """Read a space from JSON.

        Parameters
        ----------
        text : str
            An object as `to_json` writes it. Operations may be names of those of the ready spaces;
            with ``"base": "darts"`` members that are missing are those of that ready space.

        Raises
        ------
        ValueError
            If the text is not JSON, or describes no space; names the member.
        """
        if len(text) > MAX_TEXT:
            raise ArgumentError("text", f"has {len(text):,} characters; a space has {MAX_TEXT:,}")
        try:
            members = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ArgumentError("text", f"is no JSON: {error}") from None
        return cls.from_dict(members)

    @classmethod
    def from_dict(
        cls, value: object, known: Mapping[str, Operation] | None = None, *, header: bool = True
    ) -> Space:
        """Read what `to_dict` returned, or an entry of the ready spaces without its header.

        Parameters
        ----------
        value : object
        known : mapping, optional
            Operations that a list may name; by default those of the ready spaces.
        header : bool, optional
            Whether format and version must be there.
        """
        names = [each.name for each in dataclasses.fields(cls) if each.name != "kind"]
        members = members_of("space", value, ("format", "version", "base", *names), ("name",))
        found = (members.pop("format", None), members.pop("version", None))
        if header and found != (FORMAT, VERSION):
            raise ArgumentError("space", f"has format and version {show(found)}, not {FORMAT!r}, 1")
        base = members.pop("base", None)
        if base is not None:
            if not isinstance(base, str) or base not in READY:
                problem = f"has the base {show(base)}; ready spaces are {', '.join(READY)}"
                raise ArgumentError("space", problem)
            old = READY[base]
            missing = {name: getattr(old, name) for name in names if name not in members}
        else:
            absent = [name for name in ("operations", "cells", "stack") if name not in members]
            if absent:
                raise ArgumentError("space", f"has no member {absent[0]!r} and no base")
            missing = {}
        table = known_operations() if known is None else known
        for name in ("operations", "extra_operations"):
            if name in members:
                members[name] = read_operations(name, members[name], table)
        if "cells" in members:
            members["cells"] = read_cells(members["cells"], table)
        if "stack" in members:
            members["stack"] = Stack.from_dict(members["stack"])
        return cls(**missing, **members)


def known_operations() -> dict[str, Operation]:
    """All operations of the ready spaces that are the same in all of them, by name."""
    return dict(_KNOWN)


#: Operations that lists may name; filled with the ready spaces.
_KNOWN: dict[str, Operation] = {}


def add_known(operations: Iterable[Operation]) -> None:
    """Let lists of operations name these."""
    _KNOWN.update((op.name, op) for op in operations)
