# SPDX-License-Identifier: MIT
"""Genotypes: the discrete cells that a search finds; what all kinds of them share.

Source: Liu, Simonyan, Yang, *DARTS: Differentiable Architecture Search*, ICLR 2019,
https://arxiv.org/abs/1806.09055, section 2.4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from pydarts.common import extensions
from pydarts.spaces.cell_checks import Entry, check_concat, check_entries
from pydarts.spaces.derivation import check_alphas, derive_cell
from pydarts.spaces.genotype_text import dump_json, genotype_text, load_json, parse_call
from pydarts.spaces.space import Space

Self = TypeVar("Self", bound="BaseGenotype")


class BaseGenotype:
    """What all kinds of genotypes share: their checks, derivation and text forms."""

    space: ClassVar[Space]

    def __repr__(self) -> str:
        return genotype_text(self.space, self)

    def _repr_svg_(self) -> str | None:
        svg: str | None = extensions.call("genotype.svg", self)
        return svg

    @classmethod
    def parse(cls: type[Self], text: str) -> Self:
        """Read a genotype in the literature's form, ``Genotype(normal=[('op', 0), …], …)``.

        Parameters
        ----------
        text : str
            The call, named ``Genotype`` for either kind of cell or ``RecurrentGenotype``, with
            keyword or positional arguments, on one or several lines. Text before and after it
            (``DARTS = ``, a log line's time stamp) is skipped; the nodes of the output may be a
            list, a tuple or ``range(2, 6)``. Nothing in it is executed.

        Returns
        -------
        Genotype or RecurrentGenotype
            The class that it is called on.

        Raises
        ------
        ValueError
            If the text holds no genotype, more than one, one that is malformed, or one of the
            other kind of cell; or if it is longer than 65,536 characters.
        """
        return cls(**parse_call(text, cls.space, _spaces()))

    def to_json(self) -> str:
        """Return the genotype as JSON text, which `from_json` reads.

        Returns
        -------
        str
            An object with the members ``format``, ``version``, ``kind`` and one for each field.
        """
        return dump_json(self.space, self)

    @classmethod
    def from_json(cls: type[Self], text: str) -> Self:
        """Read what `to_json` wrote.

        Parameters
        ----------
        text : str
            JSON text of at most 65,536 characters.

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
        return cls(**load_json(text, cls.space, _spaces()))

    @classmethod
    def random(cls: type[Self], seed: int, *, nodes: int) -> Self:
        """Return a genotype drawn at random."""
        raise NotImplementedError

    @classmethod
    def derive(
        cls: type[Self], alphas: Mapping[str, Any], *, concat: Sequence[int] | None = None
    ) -> Self:
        """Return the genotype that architecture parameters stand for."""
        check_alphas(alphas, [cell.name for cell in cls.space.cells])
        fields: dict[str, Any] = {}
        for cell in cls.space.cells:
            entries = derive_cell(
                f"alphas[{cell.name!r}]",
                alphas[cell.name],
                cell.operations,
                cell.inputs,
                cell.kept_edges,
            )
            nodes = range(cell.inputs, cell.inputs + len(entries) // cell.kept_edges)
            fields[cell.name] = entries
            fields[cell.output_field] = (
                nodes if concat is None else check_concat("concat", concat, nodes)
            )
        return cls(**fields)

    def describe(self) -> list[str]:
        """Each cell on one line, ``normal sep3(1) sep3(0) | skip(0) ...``: operation and input of
        every edge, node by node.
        """
        lines = []
        for cell in self.space.cells:
            parts = [f"{_short(op)}({source})" for op, source in getattr(self, cell.name)]
            step = cell.kept_edges
            nodes = [" ".join(parts[i : i + step]) for i in range(0, len(parts), step)]
            lines.append(f"{cell.name} {(' | ' if step > 1 else ' ').join(nodes)}")
        return lines

    def nodes(self, cell: str) -> int:
        """Number of intermediate nodes of a cell."""
        return len(getattr(self, cell)) // self.space.cell(cell).kept_edges

    def kept(self, cell: str) -> list[tuple[str, int, int]]:
        """The operation, source and node of each edge of a cell, in the genotype's order."""
        space = self.space.cell(cell)
        entries: tuple[Entry, ...] = getattr(self, cell)
        return [
            (op, source, space.inputs + k // space.kept_edges)
            for k, (op, source) in enumerate(entries)
        ]

    def _set(self, **fields: Any) -> None:
        """Check the fields and store them as tuples."""
        for cell in self.space.cells:
            entries = check_entries(
                cell.name,
                fields[cell.name],
                cell.known_operations,
                cell.inputs,
                cell.kept_edges,
            )
            nodes = range(cell.inputs, cell.inputs + len(entries) // cell.kept_edges)
            concat = check_concat(cell.output_field, fields[cell.output_field], nodes)
            object.__setattr__(self, cell.name, entries)
            object.__setattr__(self, cell.output_field, concat)


_SHORT = {"max_pool_3x3": "max", "avg_pool_3x3": "avg", "skip_connect": "skip"}


def _short(operation: str) -> str:
    kind, _, size = operation.replace("_conv", "").partition("_")
    return _SHORT.get(operation, kind + size[:1])


def _spaces() -> list[Space]:
    """All spaces that have a class of genotypes."""
    return [kind.space for kind in BaseGenotype.__subclasses__()]
