# SPDX-License-Identifier: MIT
"""Genotypes: the discrete cells that a search finds; what all kinds of them share.

Source: Liu, Simonyan, Yang, *DARTS: Differentiable Architecture Search*, ICLR 2019,
https://arxiv.org/abs/1806.09055, section 2.4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import FrozenInstanceError
from typing import Any, ClassVar, TypeVar

import numpy as np

from pydarts.common import extensions
from pydarts.common.checks import integer, show
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.spaces.cell import Cell
from pydarts.spaces.cell_checks import Entry, check_concat, check_entries
from pydarts.spaces.derivation import check_alphas, derive_cell
from pydarts.spaces.genotype_text import dump_json, genotype_text, load_json, parse_text
from pydarts.spaces.space import GENOTYPES, READY, Space

Self = TypeVar("Self", bound="BaseGenotype")


class BaseGenotype:
    """What all kinds of genotypes share: their fields, checks, derivation and text forms.

    A genotype is a value: it has the fields that its space names as attributes, and cannot be
    changed.
    """

    #: The kind of spaces whose genotypes these are.
    kind: ClassVar[str]
    #: The name of the space that is meant where none is given.
    usual_space: ClassVar[str]

    space: Space
    _fields: dict[str, tuple[Any, ...]]

    def __init_subclass__(cls) -> None:
        GENOTYPES[cls.kind] = cls

    def __init__(self, *values: Any, space: Space | None = None, **fields: Any):
        space = _space_of(type(self), space)
        given = dict(zip(space.fields, values, strict=False))
        if len(values) > len(space.fields) or given.keys() & fields.keys():
            names = ", ".join(space.fields)
            raise TypeError(f"a genotype of {space.name!r} has the fields {names}, each once")
        given |= fields
        wrong = [*(set(given) - set(space.fields)), *(set(space.fields) - set(given))]
        if wrong:
            names = ", ".join(space.fields)
            raise TypeError(
                f"a genotype of {space.name!r} has the fields {names}: see {wrong[0]!r}"
            )
        checked: dict[str, tuple[Any, ...]] = {}
        for cell in space.cells:
            entries = check_entries(cell, given[cell.name])
            checked[cell.name] = entries
            if cell.output_field is not None:
                nodes = range(cell.inputs, _last_node(cell, entries) + 1)
                concat = check_concat(cell.output_field, given[cell.output_field], nodes)
                checked[cell.output_field] = concat
        object.__setattr__(self, "space", space)
        object.__setattr__(self, "_fields", checked)

    def __getattr__(self, name: str) -> Any:
        fields = self.__dict__.get("_fields", {})
        if name in fields:
            return fields[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: object) -> None:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BaseGenotype):
            return NotImplemented
        return self.space == other.space and self._fields == other._fields

    def __hash__(self) -> int:
        return hash((self.space.name, tuple(self._fields.values())))

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.space.reference, self._fields)

    def __repr__(self) -> str:
        return genotype_text(self)

    def _repr_svg_(self) -> str | None:
        svg: str | None = extensions.call("genotype.svg", self)
        return svg

    @classmethod
    def parse(cls: type[Self], text: str, *, space: Space | None = None) -> Self:
        """Read a genotype in the literature's form, ``Genotype(normal=[('op', 0), …], …)``, or, of
        NAS-Bench-201, ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``.

        Parameters
        ----------
        text : str
            The call, named ``Genotype`` for either kind of cell or ``RecurrentGenotype``, with
            keyword or positional arguments, on one or several lines. Text before and after it
            (``DARTS = ``, a log line's time stamp) is skipped; the nodes of the output may be a
            list, a tuple or ``range(2, 6)``. Nothing in it is executed.
        space : Space, optional
            Of which it is; by default the one that the text names, else that of DARTS, or
            NAS-Bench-201 for its form.

        Returns
        -------
        Genotype or RecurrentGenotype
            The class that it is called on.

        Raises
        ------
        ValueError
            If the text holds no genotype, more than one, one that is malformed, or one of another
            space; or if it is longer than 262,144 characters.
        """
        found, fields = parse_text(text, cls.kind, cls.usual_space, space)
        return cls(space=found, **fields)

    def to_json(self) -> str:
        """Return the genotype as JSON text, which `from_json` reads.

        Returns
        -------
        str
            An object with the members ``format``, ``version``, ``kind``, ``space`` (the name of a
            ready space or a whole one; left out for that of DARTS) and one for each field.
        """
        return dump_json(self)

    @classmethod
    def from_json(cls: type[Self], text: str) -> Self:
        """Read what `to_json` wrote.

        Parameters
        ----------
        text : str
            JSON text of at most 262,144 characters.

        Returns
        -------
        Genotype or RecurrentGenotype
            The class that it is called on.

        Raises
        ------
        ValueError
            If the text is not JSON, not a genotype of this format, version and kind, or holds
            missing, unknown or repeated members or an invalid cell.
        """
        space, fields = load_json(text, cls.kind, cls.usual_space)
        return cls(space=space, **fields)

    @classmethod
    def random(
        cls: type[Self], seed: int, *, space: Space | None = None, nodes: int | None = None
    ) -> Self:
        """Return a genotype drawn at random: what a search has to be better than.

        For each node of every cell, as many distinct earlier states as it keeps, and, for each of
        them, one of the edge's operations (other than ``none``, where a cell may not hold it), all
        drawn uniformly. An output that concatenates takes all nodes. Such cells are the baseline
        of Li, Talwalkar, *Random Search and Reproducibility for Neural Architecture Search*,
        https://arxiv.org/abs/1902.07638.

        Parameters
        ----------
        seed : int
            The same seed gives the same genotype.
        space : Space, optional
            By default that of DARTS.
        nodes : int, optional
            Number of intermediate nodes; by default the space's.

        Returns
        -------
        Genotype

        Raises
        ------
        ValueError
            If `seed` is negative or above 2^63 - 1, or `nodes` less than 1.
        TypeError
            If either is not an integer.
        """
        rng = np.random.default_rng(integer("seed", seed, 0, 2**63))
        space = _space_of(cls, space)
        fields: dict[str, Any] = {}
        for cell in space.cells:
            count = cell.nodes if nodes is None else integer("nodes", nodes, 1)
            own = range(cell.inputs, cell.inputs + count)
            fields[cell.name] = _draw(cell, own, rng)
            if cell.output_field is not None:
                fields[cell.output_field] = own
        return cls(space=space, **fields)

    @classmethod
    def derive(
        cls: type[Self],
        alphas: Mapping[str, Any],
        *,
        space: Space | None = None,
        concat: Sequence[int] | None = None,
    ) -> Self:
        """Return the genotype that architecture parameters stand for.

        Each row of α is turned to weights by a softmax over all operations, ``none`` included.
        Each edge carries its operation of the largest weight, ``none`` excluded where a cell may
        not hold it (on ties the earlier operation); each node keeps the edges with the largest of
        those weights (on ties the earlier edge), strongest first, or all of them in their order.

        Parameters
        ----------
        alphas : mapping of str to array-like
            An array of shape (edges, operations) for each kind of cell, such as ``{"normal": a,
            "reduce": b}``: rows in the order of `edges`, columns in that of the operations. The
            number of nodes follows from the number of edges. Where edges have weights of their
            own (`pydarts.Supernet`), their parameters, such as ``"normal.edges"``: what is compared
            is then the weight of the operation times that of the edge.
        space : Space, optional
            By default that of DARTS.
        concat : sequence of int, optional
            The nodes that the output of every cell is made of; by default all of them.

        Returns
        -------
        Genotype or RecurrentGenotype

        Raises
        ------
        ValueError
            If a cell is missing, or an array's shape or type is wrong, or it holds a value that
            is not finite, or `concat` does not fit the cells.

        Notes
        -----
        Weights are compared by their logarithms, with sums rounded once. So weights that a plain
        softmax rounds to 1 or to 0 are still told apart, and edges whose α are permutations of
        each other tie exactly.

        References
        ----------
        Section 2.4 of https://arxiv.org/abs/1806.09055
        """
        space = _space_of(cls, space)
        check_alphas(alphas, space.cells)
        fields: dict[str, Any] = {}
        for cell in space.cells:
            name, beta = f"alphas[{cell.name!r}]", alphas.get(cell.edge_group)
            entries = derive_cell(name, alphas[cell.name], cell, beta)
            fields[cell.name] = entries
            if cell.output_field is not None:
                nodes = range(cell.inputs, _last_node(cell, entries) + 1)
                found = nodes if concat is None else check_concat("concat", concat, nodes)
                fields[cell.output_field] = found
            elif concat is not None:
                raise ArgumentError("concat", f"(={concat}): {cell.name!r} concatenates nothing")
        return cls(space=space, **fields)

    def describe(self) -> list[str]:
        """Each cell on one line, ``normal sep3(1) sep3(0) | skip(0) ...``: operation and input of
        every edge, node by node.
        """
        lines = []
        for cell in self.space.cells:
            nodes: dict[int, list[str]] = {}
            for op, source, node in self.kept(cell.name):
                nodes.setdefault(node, []).append(f"{_short(op)}({source})")
            several = max(map(len, nodes.values())) > 1
            joined = (" | " if several else " ").join(" ".join(parts) for parts in nodes.values())
            lines.append(f"{cell.name} {joined}")
        return lines

    def nodes(self, cell: str) -> int:
        """Number of intermediate nodes of a cell."""
        found = self.space.cell(cell)
        return _last_node(found, self._fields[cell]) - found.inputs + 1

    def outputs(self, cell: str) -> tuple[int, ...]:
        """The nodes that a cell's output is made of."""
        name = self.space.cell(cell).output_field
        if name is None:
            return (_last_node(self.space.cell(cell), self._fields[cell]),)
        found: tuple[int, ...] = self._fields[name]
        return found

    def kept(self, cell: str) -> list[tuple[str, int, int]]:
        """The operation, source and node of each edge of a cell, in the genotype's order."""
        entries = self._fields[cell]
        nodes = self.space.cell(cell).nodes_of_entries(len(entries))
        assert nodes is not None
        return [(op, source, node) for (op, source), node in zip(entries, nodes, strict=True)]


def require_kind(argument: str, value: object, kind: type[Self]) -> Self:
    """Return a genotype of that class, or raise ArgumentTypeError."""
    if not isinstance(value, kind):
        name = kind.__name__
        raise ArgumentTypeError(argument, f"(={show(value)}) must be a {name}; see {name}.parse")
    return value


def _space_of(kind: type[BaseGenotype], space: Space | None) -> Space:
    if space is None:
        return READY[kind.usual_space]
    if not isinstance(space, Space) or space.kind != kind.kind:
        raise ArgumentError("space", f"(={space!r}) must be a {kind.kind} Space")
    return space


def _rebuilt(kind: type[Self], reference: object, fields: dict[str, Any]) -> Self:
    return kind(space=Space.from_reference(reference, kind.kind), **fields)


def _last_node(cell: Cell, entries: Sequence[Entry]) -> int:
    nodes = cell.nodes_of_entries(len(entries))
    assert nodes
    return nodes[-1]


def _draw(cell: Cell, nodes: range, rng: np.random.Generator) -> list[Entry]:
    entries = []
    for node in nodes:
        count = cell.kept(node)
        keeps_all = cell.kept_edges is None
        for state in range(node) if keeps_all else sorted(rng.choice(node, count, replace=False)):
            known = cell.searched_operations(int(state), node)
            entries.append((known[rng.integers(len(known))], int(state)))
    return entries


_SHORT = {"max_pool_3x3": "max", "avg_pool_3x3": "avg", "skip_connect": "skip"}


def _short(operation: str) -> str:
    kind, _, size = operation.replace("_conv", "").partition("_")
    return _SHORT.get(operation, kind + size[:1])
