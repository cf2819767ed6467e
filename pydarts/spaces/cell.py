# SPDX-License-Identifier: MIT
"""A kind of cell: its graph, and what its edges may carry."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pydarts.common.arrays import softmax
from pydarts.common.checks import choice, integer, show
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.spaces.operation import Operation, check_name
from pydarts.spaces.stack import RESIDUAL_BLOCK
from pydarts.spaces.values import checked_operations, members_of, read_operations, set_field

MAX_NODES: Final = 8


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
        if not isinstance(self.title, str):
            raise ArgumentTypeError("title", f"(={show(self.title)}) must be a str")
        set_field(self, "title", self.title or f"{self.name.capitalize()} cell")
        set_field(self, "merged_inputs", tuple(self.merged_inputs))
        set_field(
            self,
            "edges",
            tuple(checked_operations(f"edges[{k}]", e) for k, e in enumerate(self.edges)),
        )
        count = len(edges(self.nodes, self.inputs))
        if self.edges and len(self.edges) != count:
            problem = f"of the cell {self.name!r} has {len(self.edges)} entries; there are {count}"
            raise ArgumentError("edges", f"{problem} edges")

    def bound(self, operations: tuple[Operation, ...], extra: tuple[Operation, ...]) -> Cell:
        """The cell as one of a space with these operations."""
        cell = dataclasses.replace(self)
        count = len(edges(self.nodes, self.inputs))
        set_field(cell, "candidates", self.edges or (operations,) * count)
        set_field(cell, "extra_operations", extra)
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
        return any(row != self.candidates[0] for row in self.candidates)

    def exists(self, rows: int) -> NDArray[np.bool_]:
        """Which entries of α, (rows, columns), stand for an operation."""
        differs = self.differs_by_edge
        counts = [len(self.candidates[k if differs else 0]) for k in range(rows)]
        found: NDArray[np.bool_] = np.arange(self.columns) < np.array(counts)[:, np.newaxis]
        return found

    def mixing_weights(self, alpha: NDArray[Any]) -> NDArray[np.float64]:
        """The softmax of α, (..., edges, columns), over the operations of each edge."""
        return softmax(np.where(self.exists(alpha.shape[-2]), alpha, -np.inf))

    @property
    def edge_group(self) -> str:
        """What the parameters of the edges' own weights are called, where there are such."""
        return f"{self.name}.edges"

    def edge_weights(self, beta: NDArray[Any]) -> NDArray[np.float64]:
        """The softmax of these, (..., nodes, edges), over the edges into each node."""
        rows, columns = beta.shape[-2:]
        exists = np.arange(columns) < self.inputs + np.arange(rows)[:, np.newaxis]
        return softmax(np.where(exists, beta, -np.inf))

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


def read_cells(value: object, known: Mapping[str, Operation]) -> tuple[Cell, ...]:
    if not isinstance(value, list):
        raise ArgumentError("cells", f"(={show(value)}) must be a list")
    names = [each.name for each in dataclasses.fields(Cell) if each.init]
    names.remove("merged_inputs")  # of a ready space alone
    cells = []
    for item in value:
        members = members_of("cells", item, names, ("name",))
        rows = members.pop("edges", [])
        if not isinstance(rows, list):
            raise ArgumentError("edges", f"(={show(rows)}) must be a list of lists of operations")
        edges_of = tuple(read_operations("edges", row, known) for row in rows)
        if members.get("kept_edges") == "all":
            members["kept_edges"] = None
        for flag in ("preprocessed", "keeps_none"):
            if not isinstance(members.get(flag, False), bool):
                raise ArgumentError(flag, f"(={show(members[flag])}) must be true or false")
        cells.append(Cell(edges=edges_of, **members))
    return tuple(cells)
