# SPDX-License-Identifier: MIT
"""The convolutional space of DARTS, its genotypes, and the published cells.

Source: Liu, Simonyan, Yang, *DARTS: Differentiable Architecture Search*, ICLR 2019,
https://arxiv.org/abs/1806.09055, section 2.4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from pydarts.common import extensions
from pydarts.common.checks import integer
from pydarts.spaces.cell_checks import Entry
from pydarts.spaces.genotype import BaseGenotype
from pydarts.spaces.space import CellSpace, Space

if TYPE_CHECKING:
    from pydarts.export.pytorch import DerivedNetwork

#: The candidate operations, in the order of α's columns.
OPERATIONS: Final = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
#: Operations that published cells use and the search does not try.
EXTRA_OPERATIONS: Final = ("sep_conv_7x7", "conv_7x1_1x7")


@dataclass(frozen=True, init=False, repr=False)
class Genotype(BaseGenotype):
    """A pair of convolutional cells: normal, and reduction.

    States are numbered 0 and 1 (the outputs of the two previous cells) and then 2, 3, … (the
    intermediate nodes). Entries 2i and 2i+1 of `normal` or `reduce` are the two operations whose
    sum is node i+2, each an ``(operation, input state)`` pair. The cell's output concatenates the
    nodes of `normal_concat` or `reduce_concat` along channels, in that order.

    Parameters
    ----------
    normal, reduce : sequence of (str, int)
        Sequences of (operation, input) pairs; stored as tuples.
    normal_concat, reduce_concat : sequence of int
        Sequences of node numbers; stored as tuples.

    Raises
    ------
    ValueError
        If a field is not a valid cell; the message names the field and the value.

    Notes
    -----
    Equality is of the text: the two entries of a node may be swapped without changing what the
    cell computes, but such genotypes compare unequal.

    References
    ----------
    Liu, Simonyan, Yang, *DARTS: Differentiable Architecture Search*,
    https://arxiv.org/abs/1806.09055
    """

    space: ClassVar[Space]

    normal: tuple[Entry, ...]
    normal_concat: tuple[int, ...]
    reduce: tuple[Entry, ...]
    reduce_concat: tuple[int, ...]

    # Written out, for it takes any sequence where the fields are tuples.
    def __init__(
        self,
        normal: Sequence[Sequence[str | int]],
        normal_concat: Sequence[int],
        reduce: Sequence[Sequence[str | int]],
        reduce_concat: Sequence[int],
    ) -> None:
        self._set(
            normal=normal, normal_concat=normal_concat, reduce=reduce, reduce_concat=reduce_concat
        )

    @classmethod
    def random(cls, seed: int, *, nodes: int = 4) -> Genotype:
        """Return a genotype drawn at random: what a search has to be better than.

        For each node of either cell, two distinct earlier states and, for each of them, one of
        the search's operations other than ``none``, all drawn uniformly. The output concatenates
        all nodes. Such cells are the baseline of Li, Talwalkar, *Random Search and Reproducibility
        for Neural Architecture Search*, https://arxiv.org/abs/1902.07638.

        Parameters
        ----------
        seed : int
            The same seed gives the same genotype.
        nodes : int
            Number of intermediate nodes.

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
        own = range(2, 2 + integer("nodes", nodes, 1))
        operations = OPERATIONS[1:]
        cells = [
            [
                (operations[rng.integers(len(operations))], int(state))
                for node in own
                for state in sorted(rng.choice(node, 2, replace=False))
            ]
            for _ in ("normal", "reduce")
        ]
        return cls(cells[0], own, cells[1], own)

    @classmethod
    def derive(cls, alphas: Mapping[str, Any], *, concat: Sequence[int] | None = None) -> Genotype:
        """Return the genotype that architecture parameters stand for.

        Each row of α is turned to weights by a softmax over all operations, ``none`` included.
        Each node keeps the two incoming edges with the largest weight of an operation other than
        ``none`` (on ties the earlier edge), strongest first, and each edge its operation of the
        largest weight, ``none`` excluded (on ties the earlier operation).

        Parameters
        ----------
        alphas : mapping of str to array-like
            ``{"normal": a, "reduce": b}``, arrays of shape (edges, 8): rows in the order of
            `edges`, columns in that of `OPERATIONS`. The number of nodes follows from the number
            of edges: 14 edges are 4 nodes.
        concat : sequence of int, optional
            The nodes that the output of both cells concatenates; by default all of them.

        Returns
        -------
        Genotype

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
        return super().derive(alphas, concat=concat)

    def to_torch(
        self,
        *,
        channels: int = 36,
        cells: int = 20,
        classes: int = 10,
        in_channels: int = 3,
        auxiliary: bool = False,
    ) -> DerivedNetwork:
        """Return the derived network as an untrained ``torch.nn.Module``.

        States pass both ways between it and a `pydarts.Network` of the same arguments, by
        ``state_dict`` and ``load_state_dict``.

        Parameters
        ----------
        channels, cells, classes, in_channels : int
        auxiliary : bool
            See `pydarts.Network`.

        Returns
        -------
        pydarts.export.pytorch.DerivedNetwork

        Raises
        ------
        ImportError
            If PyTorch is not installed.
        """
        network: DerivedNetwork = extensions.call(
            "Genotype.to_torch", self, channels, cells, classes, in_channels, auxiliary
        )
        return network


def _cell(name: str, title: str) -> CellSpace:
    return CellSpace(
        name=name,
        title=title,
        output_field=f"{name}_concat",
        operations=OPERATIONS,
        extra_operations=EXTRA_OPERATIONS,
        input_names=("c_k\u22122", "c_k\u22121"),
        merged_inputs=(),
        nodes=4,
        kept_edges=2,
        output="concatenation",
        output_name="c_k",
    )


#: The convolutional space: a normal and a reduction cell of four nodes and eight operations.
DARTS: Final = Space(
    name="darts",
    kind="convolutional",
    cells=(_cell("normal", "Normal cell"), _cell("reduce", "Reduction cell")),
    skip_operation="skip_connect",
    skip_cell="normal",
    genotype=Genotype,
)
Genotype.space = DARTS

#: Found by first-order DARTS on CIFAR-10 (the paper's code, ``DARTS_V1``).
DARTS_V1: Final = Genotype(
    normal=(
        ("sep_conv_3x3", 1),
        ("sep_conv_3x3", 0),
        ("skip_connect", 0),
        ("sep_conv_3x3", 1),
        ("skip_connect", 0),
        ("sep_conv_3x3", 1),
        ("sep_conv_3x3", 0),
        ("skip_connect", 2),
    ),
    normal_concat=(2, 3, 4, 5),
    reduce=(
        ("max_pool_3x3", 0),
        ("max_pool_3x3", 1),
        ("skip_connect", 2),
        ("max_pool_3x3", 0),
        ("max_pool_3x3", 0),
        ("skip_connect", 2),
        ("skip_connect", 2),
        ("avg_pool_3x3", 0),
    ),
    reduce_concat=(2, 3, 4, 5),
)

#: Found by second-order DARTS on CIFAR-10 (the paper's code, ``DARTS_V2``).
DARTS_V2: Final = Genotype(
    normal=(
        ("sep_conv_3x3", 0),
        ("sep_conv_3x3", 1),
        ("sep_conv_3x3", 0),
        ("sep_conv_3x3", 1),
        ("sep_conv_3x3", 1),
        ("skip_connect", 0),
        ("skip_connect", 0),
        ("dil_conv_3x3", 2),
    ),
    normal_concat=(2, 3, 4, 5),
    reduce=(
        ("max_pool_3x3", 0),
        ("max_pool_3x3", 1),
        ("skip_connect", 2),
        ("max_pool_3x3", 1),
        ("max_pool_3x3", 0),
        ("skip_connect", 2),
        ("skip_connect", 2),
        ("max_pool_3x3", 1),
    ),
    reduce_concat=(2, 3, 4, 5),
)
