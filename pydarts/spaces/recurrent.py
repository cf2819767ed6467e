# SPDX-License-Identifier: MIT
"""The recurrent space of DARTS, its genotypes, and the published cells.

Source: Liu, Simonyan, Yang, *DARTS: Differentiable Architecture Search*, ICLR 2019,
https://arxiv.org/abs/1806.09055, section 3.1.2.
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
    from pydarts.export.pytorch import RecurrentModel

#: The candidate activations, in the order of α's columns.
RECURRENT_OPERATIONS: Final = ("none", "tanh", "relu", "sigmoid", "identity")


@dataclass(frozen=True, init=False, repr=False)
class RecurrentGenotype(BaseGenotype):
    """A recurrent cell.

    State 0 is made of the cell's input x_t and its last output h_{t-1}; states 1, 2, … are the
    nodes. Entry i-1 of `recurrent` is the one operation whose result is node i, an ``(activation,
    input state)`` pair. The cell's output h_t is the mean of the nodes of `concat`, which is the
    literature's name, though nothing is concatenated.

    Parameters
    ----------
    recurrent : sequence of (str, int)
        Sequence of (activation, input) pairs; stored as a tuple. Activations are ``tanh``,
        ``relu``, ``sigmoid`` and ``identity``.
    concat : sequence of int
        Sequence of node numbers; stored as a tuple.

    Raises
    ------
    ValueError
        If a field is not a valid cell; the message names the field and the value.

    References
    ----------
    Liu, Simonyan, Yang, *DARTS: Differentiable Architecture Search*, section 3.1.2,
    https://arxiv.org/abs/1806.09055
    """

    space: ClassVar[Space]

    recurrent: tuple[Entry, ...]
    concat: tuple[int, ...]

    # Written out, for it takes any sequence where the fields are tuples.
    def __init__(self, recurrent: Sequence[Sequence[str | int]], concat: Sequence[int]) -> None:
        self._set(recurrent=recurrent, concat=concat)

    @classmethod
    def random(cls, seed: int, *, nodes: int = 8) -> RecurrentGenotype:
        """Return a genotype drawn at random: what a search has to be better than.

        For each node an activation and an earlier state, both drawn uniformly. The output is the
        mean of all nodes.

        Parameters
        ----------
        seed : int
            The same seed gives the same genotype.
        nodes : int
            Number of nodes.

        Returns
        -------
        RecurrentGenotype

        Raises
        ------
        ValueError
            If `seed` is negative or above 2^63 - 1, or `nodes` less than 1.
        TypeError
            If either is not an integer.
        """
        rng = np.random.default_rng(integer("seed", seed, 0, 2**63))
        own = range(1, 1 + integer("nodes", nodes, 1))
        activations = RECURRENT_OPERATIONS[1:]
        cell = [
            (activations[rng.integers(len(activations))], int(rng.integers(node))) for node in own
        ]
        return cls(cell, own)

    @classmethod
    def derive(
        cls, alphas: Mapping[str, Any], *, concat: Sequence[int] | None = None
    ) -> RecurrentGenotype:
        """Return the genotype that architecture parameters stand for.

        Each row of α is turned to weights by a softmax over all operations, ``none`` included.
        Each node keeps the incoming edge with the largest weight of an operation other than
        ``none`` (on ties the earlier edge), and that edge its operation of the largest weight,
        ``none`` excluded (on ties the earlier operation).

        Parameters
        ----------
        alphas : mapping of str to array-like
            ``{"recurrent": a}``, an array of shape (edges, 5): rows in the order of
            ``edges(nodes, inputs=1)``, columns in that of `RECURRENT_OPERATIONS`. The number of
            nodes follows from the number of edges: 36 edges are 8 nodes.
        concat : sequence of int, optional
            The nodes whose mean the cell returns; by default all of them.

        Returns
        -------
        RecurrentGenotype

        Raises
        ------
        ValueError
            If `alphas` has other members, or the array's shape or type is wrong, or it holds a
            value that is not finite, or `concat` does not fit the cell.

        Notes
        -----
        Weights are compared as in `Genotype.derive`.

        References
        ----------
        Section 2.4 of https://arxiv.org/abs/1806.09055
        """
        return super().derive(alphas, concat=concat)

    def to_torch(
        self, *, vocab_size: int, hidden_size: int = 850, **dropouts: float
    ) -> RecurrentModel:
        """Return the language model around the cell as an untrained ``torch.nn.Module``.

        States pass both ways between it and a `pydarts.RecurrentNetwork` of the same sizes, by
        ``state_dict`` and ``load_state_dict``.

        Parameters
        ----------
        vocab_size, hidden_size : int
            See `pydarts.RecurrentNetwork`.
        **dropouts : float
            ``dropout``, ``dropout_hidden``, ``dropout_input`` and ``dropout_embedding``, as there,
            but 0 where not given; they apply in training mode.

        Returns
        -------
        pydarts.export.pytorch.RecurrentModel

        Raises
        ------
        ImportError
            If PyTorch is not installed.
        """
        model: RecurrentModel = extensions.call(
            "RecurrentGenotype.to_torch", self, vocab_size, hidden_size, **dropouts
        )
        return model


#: The recurrent space: one cell of eight nodes, each of one activation of one earlier state.
RECURRENT: Final = Space(
    name="darts-recurrent",
    kind="recurrent",
    cells=(
        CellSpace(
            name="recurrent",
            title="Recurrent cell",
            output_field="concat",
            operations=RECURRENT_OPERATIONS,
            extra_operations=(),
            input_names=("0",),
            merged_inputs=("x_t", "h_t\u22121"),
            nodes=8,
            kept_edges=1,
            output="mean",
            output_name="h_t",
        ),
    ),
    skip_operation="identity",
    skip_cell="recurrent",
    genotype=RecurrentGenotype,
)
RecurrentGenotype.space = RECURRENT

#: Found by first-order DARTS on Penn Treebank (the paper's code, ``DARTS_V1``).
RECURRENT_DARTS_V1: Final = RecurrentGenotype(
    recurrent=(
        ("relu", 0),
        ("relu", 1),
        ("tanh", 2),
        ("relu", 3),
        ("relu", 4),
        ("identity", 1),
        ("relu", 5),
        ("relu", 1),
    ),
    concat=range(1, 9),
)

#: Found by second-order DARTS on Penn Treebank (the paper's code, ``DARTS_V2``).
RECURRENT_DARTS_V2: Final = RecurrentGenotype(
    recurrent=(
        ("sigmoid", 0),
        ("relu", 1),
        ("relu", 1),
        ("identity", 1),
        ("tanh", 2),
        ("sigmoid", 5),
        ("tanh", 3),
        ("relu", 5),
    ),
    concat=range(1, 9),
)
