# SPDX-License-Identifier: MIT
"""A search space as a value: its operations, its kinds of cells, and how cells are stacked."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pydarts.common.arrays import softmax
from pydarts.common.checks import choice, integer, show
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.spaces.operation import ACTIVATIONS, Operation, check_name

if TYPE_CHECKING:
    from pydarts.spaces.genotype import BaseGenotype

MAX_NODES: Final = 8
MAX_OPERATIONS: Final = 16
MAX_LAYERS: Final = 64
MAX_FACTOR: Final = 64
RESIDUAL_BLOCK: Final = "residual_block"
FORMAT: Final = "pydarts-space"
VERSION: Final = 1
MAX_TEXT: Final = 1 << 17

#: The classes of genotypes, by the kind of space.
GENOTYPES: Final[dict[str, type[BaseGenotype]]] = {}
#: The ready spaces, by name; see `pydarts.spaces.ready`.
READY: Final[dict[str, Space]] = {}

_KINDS: Final = ("convolutional", "recurrent")
_PARAMETER_NAMES: Final = ("darts", "nas-bench-201")


def edges(nodes: int = 4, inputs: int = 2) -> tuple[tuple[int, int], ...]:
    """Return the edges of a search cell as (input, node) pairs, in the order of α's rows.

    Parameters
    ----------
    nodes : int
        Number of intermediate nodes.
    inputs : int
        Number of input nodes: 2 in the convolutional cell.

    Returns
    -------
    tuple of (int, int)
        ``nodes * inputs + nodes * (nodes - 1) / 2`` pairs, node by node. States are numbered from
        the inputs on, so the first intermediate node is number ``inputs``.

    Examples
    --------
    >>> edges(2)
    ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
    """
    return tuple((j, i) for i in range(inputs, inputs + nodes) for j in range(i))


@dataclass(frozen=True)
class Cell:
    """What one kind of cell of a space can be.

    Parameters
    ----------
    name : str
        As α and genotypes name it.
    nodes : int
        Intermediate nodes of the searched cell, 1 to 8; each sums edges from all earlier states.
    inputs : {1, 2}
        The outputs of how many layers before it reads.
    preprocessed : bool
        Whether a ReLU, 1×1 convolution and batch normalisation bring each input to the cell's
        channels.
    output : {"concatenation", "last", "mean"}
        What the output is of the nodes; the mean is that of recurrent cells.
    kept_edges : int or None
        Incoming edges that a node of the discrete cell keeps; None: all.
    keeps_none : bool
        Whether a discrete cell may hold ``none``.
    title : str
        As people read it; by default from the name.
    edges : sequence of sequences of Operation
        The candidates of each edge, in the order of `pydarts.spaces.edges`; by default the space's
        on all of them.
    merged_inputs : tuple of str
        What the only input state is made of, where it is not an input as it comes.

    Attributes
    ----------
    candidates : tuple of tuples of Operation
        The candidate operations edge by edge, once the cell is one of a space.
    """

    name: str
    nodes: int = 4
    inputs: int = 2
    preprocessed: bool = True
    output: str = "concatenation"
    kept_edges: int | None = 2
    keeps_none: bool = False
    title: str = ""
    edges: tuple[tuple[Operation, ...], ...] = ()
    merged_inputs: tuple[str, ...] = ()
    candidates: tuple[tuple[Operation, ...], ...] = field(
        default=(), init=False, repr=False, compare=False
    )
    extra_operations: tuple[Operation, ...] = field(
        default=(), init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if check_name("name", self.name) == RESIDUAL_BLOCK:
            raise ArgumentError("name", f"(={self.name!r}) is that of the block between stages")
        integer("nodes", self.nodes, 1, MAX_NODES + 1)
        integer("inputs", self.inputs, 1, 3)
        choice("output", self.output, ("concatenation", "last", "mean"))
        if self.kept_edges is not None:
            integer("kept_edges", self.kept_edges, 1, MAX_NODES + 2)
        _set(self, "title", self.title or f"{self.name.capitalize()} cell")
        _set(self, "merged_inputs", tuple(self.merged_inputs))
        _set(self, "edges", tuple(_operations(f"edges[{k}]", e) for k, e in enumerate(self.edges)))
        count = len(edges(self.nodes, self.inputs))
        if self.edges and len(self.edges) != count:
            problem = f"of the cell {self.name!r} has {len(self.edges)} entries; there are {count}"
            raise ArgumentError("edges", f"{problem} edges")

    def bound(self, operations: tuple[Operation, ...], extra: tuple[Operation, ...]) -> Cell:
        """The cell as one of a space with these operations."""
        cell = dataclasses.replace(self)
        count = len(edges(self.nodes, self.inputs))
        _set(cell, "candidates", self.edges or (operations,) * count)
        _set(cell, "extra_operations", extra)
        return cell

    @property
    def input_names(self) -> tuple[str, ...]:
        """The cell's input states; what follows an underscore is a subscript."""
        return ("0",) if self.merged_inputs else ("c_k\u22122", "c_k\u22121")[-self.inputs :]

    @property
    def output_name(self) -> str:
        """The cell's output likewise."""
        return "h_t" if self.merged_inputs else "c_k"

    @property
    def output_field(self) -> str | None:
        """The genotype's field that lists the nodes of the output; None: it is the last node."""
        names = {"concatenation": f"{self.name}_concat", "mean": "concat", "last": None}
        return names[self.output]

    @property
    def columns(self) -> int:
        """Columns of α: the most operations that an edge has."""
        return max(map(len, self.candidates))

    @property
    def operations(self) -> tuple[str, ...]:
        """The names of all candidates; in the order of α's columns where edges do not differ."""
        return tuple(dict.fromkeys(op.name for row in self.candidates for op in row))

    @property
    def differs_by_edge(self) -> bool:
        """Whether some edges have other candidates than others."""
        return len(set(self.candidates)) > 1

    def exists(self, rows: int) -> NDArray[np.bool_]:
        """Which entries of α, (rows, columns), stand for an operation."""
        counts = [len(self.candidates[k if self.differs_by_edge else 0]) for k in range(rows)]
        found: NDArray[np.bool_] = np.arange(self.columns) < np.array(counts)[:, np.newaxis]
        return found

    def mixing_weights(self, alpha: NDArray[Any]) -> NDArray[np.float64]:
        """The softmax of α, (..., edges, columns), over the operations of each edge."""
        return softmax(np.where(self.exists(alpha.shape[-2]), alpha, -np.inf))

    def searched_operations(self, source: int, node: int) -> tuple[str, ...]:
        """What an edge of a discrete cell may carry of its candidates."""
        every = self.edges_of()
        # A genotype may have more nodes than the searched cell where edges do not differ.
        at = every.index((source, node)) if self.differs_by_edge else 0
        return tuple(op.name for op in self.candidates[at] if self.keeps_none or not op.is_none)

    def known_operations(self, source: int, node: int) -> tuple[str, ...]:
        """What an edge of a genotype may carry: the candidates, and what is not searched."""
        extra = tuple(op.name for op in self.extra_operations)
        return self.searched_operations(source, node) + extra

    def edges_of(self, nodes: int | None = None) -> tuple[tuple[int, int], ...]:
        """(input, node) of every edge of a cell of so many nodes, by default the searched one's."""
        return edges(self.nodes if nodes is None else nodes, self.inputs)

    def kept(self, node: int) -> int:
        """How many edges the node of that number keeps, counted with the inputs."""
        return node if self.kept_edges is None else min(self.kept_edges, node)

    def nodes_of_entries(self, count: int) -> list[int] | None:
        """The node of each of so many entries of a genotype; None if they fill no cell."""
        nodes: list[int] = []
        node = self.inputs
        while len(nodes) < count:
            nodes += [node] * self.kept(node)
            node += 1
        return nodes if len(nodes) == count else None

    def state_names(self, nodes: int | None = None) -> list[str]:
        """The names of the states of a cell: inputs, then nodes."""
        count = self.nodes if nodes is None else nodes
        if self.merged_inputs:
            return [str(state) for state in range(self.inputs + count)]
        return [*self.input_names, *map(str, range(count))]

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON holds of the cell."""
        members: dict[str, Any] = {
            "name": self.name,
            "title": self.title,
            "inputs": self.inputs,
            "preprocessed": self.preprocessed,
            "nodes": self.nodes,
            "output": self.output,
            "kept_edges": "all" if self.kept_edges is None else self.kept_edges,
            "keeps_none": self.keeps_none,
        }
        if self.edges:
            members["edges"] = [[op.to_dict() for op in row] for row in self.edges]
        return members


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
        _set(self, "layers", layers)

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
        members = _members("stack", value, ("stem", "layers", "norm_relu"))
        layers = members.pop("layers", None)
        if not isinstance(layers, list):
            raise ArgumentError("stack", f"(={show(value)}) has no list of layers")
        names = [each.name for each in dataclasses.fields(Layer)]
        try:
            return cls(
                tuple(Layer(**_members("layers", layer, names, ("cell",))) for layer in layers),
                **members,
            )
        except ArgumentError as error:
            raise ArgumentError("stack", f": `{error.argument}` {error.problem}") from None


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
        operations = _operations("operations", self.operations)
        extra = _operations("extra_operations", self.extra_operations, minimum=0)
        _set(self, "operations", operations)
        _set(self, "extra_operations", extra)
        cells = tuple(self.cells)
        names = [cell.name for cell in cells]
        if not cells or len(set(names)) != len(names):
            raise ArgumentError("cells", f"(={show(names)}) must be different kinds, at least one")
        _set(self, "cells", tuple(cell.bound(operations, extra) for cell in cells))
        self._check_operations()
        if self.kind == "convolutional":
            self._check_stack(names)
        if self.name in READY and READY[self.name] != self:
            raise ArgumentError("name", f"(={self.name!r}) is that of a ready space, which differs")

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

    def cell(self, name: str) -> Cell:
        """The kind of cell of that name."""
        return next(cell for cell in self.cells if cell.name == name)

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
        members = _members("space", value, ("format", "version", "base", *names), ("name",))
        found = (members.pop("format", None), members.pop("version", None))
        if header and found != (FORMAT, VERSION):
            raise ArgumentError("space", f"has format and version {show(found)}, not {FORMAT!r}, 1")
        base = members.pop("base", None)
        if base is not None:
            if base not in READY:
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
                members[name] = _read_operations(name, members[name], table)
        if "cells" in members:
            members["cells"] = _read_cells(members["cells"], table)
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


def _set(value: object, name: str, to: object) -> None:
    object.__setattr__(value, name, to)


def _operations(name: str, value: object, minimum: int = 1) -> tuple[Operation, ...]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise ArgumentTypeError(name, f"(={show(value)}) must be a sequence of operations")
    found = tuple(value)
    for op in found:
        if not isinstance(op, Operation):
            raise ArgumentTypeError(name, f"hold {show(op)}, which is no Operation")
    if not minimum <= len(found) <= MAX_OPERATIONS:
        raise ArgumentError(name, f"are {len(found)}; {minimum} to {MAX_OPERATIONS} are possible")
    names = [op.name for op in found]
    for op_name in names:
        if names.count(op_name) > 1:
            raise ArgumentError(name, f"hold {op_name!r} twice")
    return found


def _members(
    argument: str, value: object, known: Iterable[str], needed: Iterable[str] = ()
) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ArgumentTypeError(argument, f"(={show(value)}) must be an object")
    names = list(known)
    for name in value:
        if name not in names:
            problem = f"has the unknown member {show(name)}; known are {', '.join(names)}"
            raise ArgumentError(argument, problem)
    for name in needed:
        if name not in value:
            raise ArgumentError(argument, f"(={show(dict(value))}) has no member {name!r}")
    return dict(value)


def _read_operations(
    name: str, value: object, known: Mapping[str, Operation]
) -> tuple[Operation, ...]:
    if not isinstance(value, list):
        raise ArgumentError(name, f"(={show(value)}) must be a list")
    found = []
    for item in value:
        if isinstance(item, str):
            if item not in known:
                problem = f"name {item!r}, which is no ready one: {', '.join(known)}"
                raise ArgumentError(name, problem)
            found.append(known[item])
        else:
            found.append(Operation.from_dict(item))
    return tuple(found)


def _read_cells(value: object, known: Mapping[str, Operation]) -> tuple[Cell, ...]:
    if not isinstance(value, list):
        raise ArgumentError("cells", f"(={show(value)}) must be a list")
    names = [each.name for each in dataclasses.fields(Cell) if each.init]
    cells = []
    for item in value:
        members = _members("cells", item, names, ("name",))
        rows = members.pop("edges", [])
        if not isinstance(rows, list):
            raise ArgumentError("edges", f"(={show(rows)}) must be a list of lists of operations")
        edges_of = tuple(_read_operations("edges", row, known) for row in rows)
        if members.get("kept_edges") == "all":
            members["kept_edges"] = None
        for flag in ("preprocessed", "keeps_none"):
            if not isinstance(members.get(flag, False), bool):
                raise ArgumentError(flag, f"(={show(members[flag])}) must be true or false")
        cells.append(Cell(edges=edges_of, **members))
    return tuple(cells)
