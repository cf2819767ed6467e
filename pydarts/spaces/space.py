# SPDX-License-Identifier: MIT
"""A search space as a value: its kinds of cells, what their edges may carry, what is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydarts.common.checks import show
from pydarts.common.errors import ArgumentTypeError

if TYPE_CHECKING:
    from pydarts.spaces.genotype import BaseGenotype


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
class CellSpace:
    """What one kind of cell of a space can be.

    Attributes
    ----------
    name : str
        As α and genotypes name it.
    title : str
        As people read it.
    output_field : str
        The genotype's field that lists the nodes of the output.
    operations : tuple of str
        The candidate operations, in the order of α's columns.
    extra_operations : tuple of str
        Operations that a genotype may hold and the search does not try.
    input_names : tuple of str
        The cell's input states; what follows an underscore is a subscript.
    merged_inputs : tuple of str
        What the only input state is made of, where it is not an input as it comes.
    nodes : int
        Intermediate nodes of the searched cell.
    kept_edges : int
        Incoming edges that a node of the discrete cell keeps.
    output : str
        What the output is of the nodes: ``"concatenation"`` or ``"mean"``.
    output_name : str
    """

    name: str
    title: str
    output_field: str
    operations: tuple[str, ...]
    extra_operations: tuple[str, ...]
    input_names: tuple[str, ...]
    merged_inputs: tuple[str, ...]
    nodes: int
    kept_edges: int
    output: str
    output_name: str

    @property
    def inputs(self) -> int:
        """Number of input states."""
        return len(self.input_names)

    @property
    def known_operations(self) -> tuple[str, ...]:
        """What an edge of a genotype may carry."""
        return tuple(op for op in self.operations if op != "none") + self.extra_operations

    def edges(self, nodes: int | None = None) -> tuple[tuple[int, int], ...]:
        """(input, node) of every edge of a cell of so many nodes, by default the searched one's."""
        return edges(self.nodes if nodes is None else nodes, self.inputs)

    def state_names(self, nodes: int | None = None) -> list[str]:
        """The names of the states of a cell: inputs, then nodes."""
        count = self.nodes if nodes is None else nodes
        if self.merged_inputs:
            return [str(state) for state in range(self.inputs + count)]
        return [*self.input_names, *map(str, range(count))]


@dataclass(frozen=True)
class Space:
    """What can be searched.

    Attributes
    ----------
    name : str
    kind : str
        Of its genotypes, as their JSON names it.
    cells : tuple of CellSpace
        The kinds of cells, in the order in which α and genotypes hold them.
    skip_operation : str
        The operation that passes its input on.
    skip_cell : str
        The cell in which such operations are counted, as a sign of collapse.
    genotype : type
        The class of its genotypes.
    """

    name: str
    kind: str
    cells: tuple[CellSpace, ...]
    skip_operation: str
    skip_cell: str
    genotype: type[BaseGenotype] = field(repr=False, compare=False)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of its genotypes: of each cell the edges, then the nodes of the output."""
        return tuple(name for cell in self.cells for name in (cell.name, cell.output_field))

    def cell(self, name: str) -> CellSpace:
        """The kind of cell of that name."""
        return next(cell for cell in self.cells if cell.name == name)

    def require(self, argument: str, genotype: object) -> None:
        """Raise ArgumentTypeError unless it is a genotype of this space."""
        if not isinstance(genotype, self.genotype):
            name = self.genotype.__name__
            raise ArgumentTypeError(
                argument, f"(={show(genotype)}) must be a {name}; see {name}.parse"
            )

    def derive(self, alphas: Mapping[str, Any]) -> BaseGenotype:
        """The genotype that architecture parameters stand for."""
        return self.genotype.derive(alphas)

    def count_skips(self, genotype: BaseGenotype) -> int:
        """How many edges of `skip_cell` carry `skip_operation`."""
        return sum(op == self.skip_operation for op, _ in getattr(genotype, self.skip_cell))
