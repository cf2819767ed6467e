# SPDX-License-Identifier: MIT
"""Genotypes of convolutional spaces, and the published cells of DARTS.

Source: Liu, Simonyan, Yang, *DARTS: Differentiable Architecture Search*, ICLR 2019,
https://arxiv.org/abs/1806.09055, section 2.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydarts.common import extensions
from pydarts.spaces.cell_checks import Entry
from pydarts.spaces.genotype import BaseGenotype
from pydarts.spaces.ready import DARTS

if TYPE_CHECKING:
    from pydarts.export.pytorch import DerivedNetwork

#: The names of the candidate operations, in the order of α's columns.
OPERATIONS: Final = DARTS.cells[0].operations
#: The names of operations that published cells use and the search does not try.
EXTRA_OPERATIONS: Final = tuple(op.name for op in DARTS.extra_operations)


class Genotype(BaseGenotype):
    """The cells of a convolutional space: of DARTS a pair, normal and reduction.

    States are numbered from a cell's inputs on: in the space of DARTS 0 and 1 are the outputs of
    the two previous cells, and 2, 3, … the intermediate nodes. Entries 2i and 2i+1 of `normal` or
    `reduce` are the two operations whose sum is node i+2, each an ``(operation, input state)``
    pair. The cell's output concatenates the nodes of `normal_concat` or `reduce_concat` along
    channels, in that order. Genotypes of other spaces have the fields that `space.fields` names,
    and as many entries for each node as its cells keep edges.

    Parameters
    ----------
    normal, reduce : sequence of (str, int)
        Sequences of (operation, input) pairs; stored as tuples.
    normal_concat, reduce_concat : sequence of int
        Sequences of node numbers; stored as tuples.
    space : Space, optional
        By default that of DARTS; of another one the fields are its own, by keyword.

    Raises
    ------
    ValueError
        If a field is not a valid cell; the message names the field and the value.
    TypeError
        If the fields are not those of the space.

    Notes
    -----
    Equality is of the text: the two entries of a node may be swapped without changing what the
    cell computes, but such genotypes compare unequal.

    References
    ----------
    Liu, Simonyan, Yang, *DARTS: Differentiable Architecture Search*,
    https://arxiv.org/abs/1806.09055
    """

    kind = "convolutional"
    usual_space = "darts"

    normal: tuple[Entry, ...]
    normal_concat: tuple[int, ...]
    reduce: tuple[Entry, ...]
    reduce_concat: tuple[int, ...]

    def to_torch(
        self,
        *,
        channels: int = 36,
        cells: int = 20,
        classes: int = 10,
        in_channels: int = 3,
        auxiliary: bool = False,
        stem: str = "cifar",
    ) -> DerivedNetwork:
        """Return the derived network as an untrained ``torch.nn.Module``.

        States pass both ways between it and a `pydarts.Network` of the same arguments, by
        ``state_dict`` and ``load_state_dict``.

        Parameters
        ----------
        channels, cells, classes, in_channels : int
        auxiliary : bool
        stem : {"cifar", "imagenet"}
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
            "Genotype.to_torch", self, channels, cells, classes, in_channels, auxiliary, stem
        )
        return network


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
