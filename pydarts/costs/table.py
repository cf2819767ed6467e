# SPDX-License-Identifier: MIT
"""A cost that is a sum over the edges of a cell: what each operation of each edge adds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pydarts import _core
from pydarts.costs.native import Table, joined, native, parted
from pydarts.costs.shape import NetworkShape
from pydarts.spaces.space import Space

#: What costs, in the order of the engine.
KINDS: Final = ("latency", "macs", "weights", "memory")


@dataclass(frozen=True, eq=False)
class CostTable:
    """``fixed + sum of tables[cell][edge, operation]`` over the edges that a genotype keeps.

    Attributes
    ----------
    fixed : float
        Of stem, preprocessing and classifier.
    tables : dict of ndarray
        By kind of cell, (edges, columns of α), summed over all cells of the kind.
    pools_once : bool
        Whether the same pool of the same state counts once, however many nodes it goes to, as in
        what a network takes: the engine computes one of them.
    """

    fixed: float
    tables: Table
    pools_once: bool = False

    def predict(self, genotype: Any) -> float:
        """Return the cost of a genotype."""
        return self.native(genotype.space).predict(genotype.to_json())

    def native(self, space: Space) -> _core.CostTable:
        """Return the engine's form of the table."""
        return _core.CostTable(self.fixed, joined(space, self.tables), self.pools_once)


def table_of(space: Space, table: _core.CostTable) -> CostTable:
    """Return a table of the engine by kind of cell."""
    return CostTable(table.fixed, parted(space, table.entries), table.pools_once)


def budget_table(space: Space, shape: NetworkShape, name: str) -> CostTable:
    """Return the table of ``macs`` or ``weights``, which are exact, or of ``memory``.

    The peak of memory is a maximum and no sum: its table is the least-squares fit of the exact ones
    of random cells, for the direction in which α is drawn. What a cell needs is counted.
    """
    return table_of(space, _core.Budget(native(space), shape.sizes).table(KINDS.index(name)))
