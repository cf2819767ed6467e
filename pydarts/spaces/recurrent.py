# SPDX-License-Identifier: MIT
"""Genotypes of the recurrent space, and the published cells of DARTS.

Source: Liu, Simonyan, Yang, *DARTS: Differentiable Architecture Search*, ICLR 2019,
https://arxiv.org/abs/1806.09055, section 3.1.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from pydarts.common import extensions
from pydarts.common.checks import integer
from pydarts.spaces.cell_checks import Entry
from pydarts.spaces.genotype import BaseGenotype
from pydarts.spaces.ready import RECURRENT
from pydarts.spaces.space import Space

if TYPE_CHECKING:
    from pydarts.export.pytorch import RecurrentModel

Self = TypeVar("Self", bound="RecurrentGenotype")

#: The names of the candidate activations, in the order of α's columns.
RECURRENT_OPERATIONS: Final = RECURRENT.cells[0].operations


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

    kind = "recurrent"
    usual_space = "darts-recurrent"

    recurrent: tuple[Entry, ...]
    concat: tuple[int, ...]

    @classmethod
    def random(
        cls: type[Self], seed: int, *, space: Space | None = None, nodes: int | None = None
    ) -> Self:
        """Return a genotype drawn at random: what a search has to be better than.

        For each node an activation and an earlier state, both drawn uniformly. The output is the
        mean of all nodes.

        Parameters
        ----------
        seed : int
            The same seed gives the same genotype.
        space : Space, optional
            The recurrent one, which is the only one.
        nodes : int, optional
            Number of nodes; by default 8.

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
        count = RECURRENT.cells[0].nodes if nodes is None else integer("nodes", nodes, 1)
        own = range(1, 1 + count)
        activations = RECURRENT_OPERATIONS[1:]
        cell = [
            (activations[rng.integers(len(activations))], int(rng.integers(node))) for node in own
        ]
        return cls(cell, own, space=space)

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
