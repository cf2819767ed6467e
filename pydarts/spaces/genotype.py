# SPDX-License-Identifier: MIT
"""Genotypes: the discrete cells that a search finds, their text forms, and how α gives them.

Source: Liu, Simonyan, Yang, *DARTS: Differentiable Architecture Search*, ICLR 2019,
https://arxiv.org/abs/1806.09055, section 2.4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar, cast

import numpy as np

from pydarts.spaces.cell_checks import Entry, check_concat, check_entries
from pydarts.common.checks import integer
from pydarts.spaces.derivation import check_alphas, derive_cell, edges
from pydarts.spaces.genotype_text import dump_json, genotype_text, load_json, parse_call

if TYPE_CHECKING:
    from pydarts.export.pytorch import DerivedNetwork, RecurrentModel

__all__ = [
    "DARTS_V1",
    "DARTS_V2",
    "EXTRA_OPERATIONS",
    "OPERATIONS",
    "PUBLISHED",
    "PUBLISHED_RECURRENT",
    "RECURRENT_DARTS_V1",
    "RECURRENT_DARTS_V2",
    "RECURRENT_OPERATIONS",
    "Genotype",
    "RecurrentGenotype",
    "derive",
    "edges",
]

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
#: The candidate activations of the recurrent cell, in the order of α's columns.
RECURRENT_OPERATIONS: Final = ("none", "tanh", "relu", "sigmoid", "identity")

Self = TypeVar("Self", bound="_AnyGenotype")

_CELL_INPUTS: Final = 2
_CELL_EDGES: Final = 2  # entries of a node in the derived cell
_CELL_OPERATIONS: Final = tuple(op for op in OPERATIONS if op != "none") + EXTRA_OPERATIONS

_RECURRENT_INPUTS: Final = 1
_RECURRENT_EDGES: Final = 1
_ACTIVATIONS: Final = tuple(op for op in RECURRENT_OPERATIONS if op != "none")


class _AnyGenotype:
    """What both kinds of genotype share: their text forms and how a notebook shows them."""

    _kind: ClassVar[str]  # as JSON names it

    def __repr__(self) -> str:
        return genotype_text(self._kind, self)

    def _repr_svg_(self) -> str | None:
        from pydarts.drawing.cells import genotype_svg

        try:
            return genotype_svg(cast("Genotype | RecurrentGenotype", self))
        except ValueError:  # too large to draw: a notebook then shows the text
            return None

    @classmethod
    def parse(cls: type[Self], text: str) -> Self:
        """Read a genotype in the literature's form, ``Genotype(normal=[('op', 0), …], …)``.

        Parameters
        ----------
        text
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
        return cls(**parse_call(text, cls._kind))

    def to_json(self) -> str:
        """Return the genotype as JSON text, which `from_json` reads.

        Returns
        -------
        str
            An object with the members ``format``, ``version``, ``kind`` and one for each field.
        """
        return dump_json(self._kind, self)

    @classmethod
    def from_json(cls: type[Self], text: str) -> Self:
        """Read what `to_json` wrote.

        Parameters
        ----------
        text
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
        return cls(**load_json(text, cls._kind))


@dataclass(frozen=True, init=False, repr=False)
class Genotype(_AnyGenotype):
    """A pair of convolutional cells: normal, and reduction.

    States are numbered 0 and 1 (the outputs of the two previous cells) and then 2, 3, … (the
    intermediate nodes). Entries 2i and 2i+1 of `normal` or `reduce` are the two operations whose
    sum is node i+2, each an ``(operation, input state)`` pair. The cell's output concatenates the
    nodes of `normal_concat` or `reduce_concat` along channels, in that order.

    Parameters
    ----------
    normal, reduce
        Sequences of (operation, input) pairs; stored as tuples.
    normal_concat, reduce_concat
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

    _kind: ClassVar = "convolutional"

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
        for name, entries, concat in (
            ("normal", normal, normal_concat),
            ("reduce", reduce, reduce_concat),
        ):
            cell = check_entries(name, entries, _CELL_OPERATIONS, _CELL_INPUTS, _CELL_EDGES)
            nodes = range(_CELL_INPUTS, _CELL_INPUTS + len(cell) // _CELL_EDGES)
            object.__setattr__(self, name, cell)
            object.__setattr__(
                self, f"{name}_concat", check_concat(f"{name}_concat", concat, nodes)
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
        seed
            The same seed gives the same genotype.
        nodes
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
        own = range(_CELL_INPUTS, _CELL_INPUTS + integer("nodes", nodes, 1))
        operations = OPERATIONS[1:]
        cells = [
            [
                (operations[rng.integers(len(operations))], int(state))
                for node in own
                for state in sorted(rng.choice(node, _CELL_EDGES, replace=False))
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
        alphas
            ``{"normal": a, "reduce": b}``, arrays of shape (edges, 8): rows in the order of
            `edges`, columns in that of `OPERATIONS`. The number of nodes follows from the number
            of edges: 14 edges are 4 nodes.
        concat
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
        check_alphas(alphas, ("normal", "reduce"))
        fields: dict[str, Any] = {}
        for name in ("normal", "reduce"):
            entries = derive_cell(
                f"alphas[{name!r}]", alphas[name], OPERATIONS, _CELL_INPUTS, _CELL_EDGES
            )
            nodes = range(_CELL_INPUTS, _CELL_INPUTS + len(entries) // _CELL_EDGES)
            fields[name] = entries
            fields[f"{name}_concat"] = (
                nodes if concat is None else check_concat("concat", concat, nodes)
            )
        return cls(**fields)

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
        channels, cells, classes, in_channels, auxiliary
            See `pydarts.Network`.

        Returns
        -------
        pydarts.torch_modules.DerivedNetwork

        Raises
        ------
        ImportError
            If PyTorch is not installed.
        """
        from pydarts.export.pytorch import DerivedNetwork

        return DerivedNetwork(self, channels, cells, classes, in_channels, auxiliary)


def derive(alphas: Mapping[str, Any], *, concat: Sequence[int] | None = None) -> Genotype:
    """Return the genotype that architecture parameters stand for: `Genotype.derive`.

    Parameters
    ----------
    alphas
        ``{"normal": a, "reduce": b}``, arrays of shape (edges, 8).
    concat
        The nodes that the output of both cells concatenates; by default all of them.

    Returns
    -------
    Genotype

    Raises
    ------
    ValueError
        See `Genotype.derive`.
    """
    return Genotype.derive(alphas, concat=concat)


@dataclass(frozen=True, init=False, repr=False)
class RecurrentGenotype(_AnyGenotype):
    """A recurrent cell.

    State 0 is made of the cell's input x_t and its last output h_{t-1}; states 1, 2, … are the
    nodes. Entry i-1 of `recurrent` is the one operation whose result is node i, an ``(activation,
    input state)`` pair. The cell's output h_t is the mean of the nodes of `concat`, which is the
    literature's name, though nothing is concatenated.

    Parameters
    ----------
    recurrent
        Sequence of (activation, input) pairs; stored as a tuple. Activations are ``tanh``,
        ``relu``, ``sigmoid`` and ``identity``.
    concat
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

    _kind: ClassVar = "recurrent"

    recurrent: tuple[Entry, ...]
    concat: tuple[int, ...]

    # Written out, for it takes any sequence where the fields are tuples.
    def __init__(self, recurrent: Sequence[Sequence[str | int]], concat: Sequence[int]) -> None:
        cell = check_entries(
            "recurrent", recurrent, _ACTIVATIONS, _RECURRENT_INPUTS, _RECURRENT_EDGES
        )
        nodes = range(_RECURRENT_INPUTS, _RECURRENT_INPUTS + len(cell))
        object.__setattr__(self, "recurrent", cell)
        object.__setattr__(self, "concat", check_concat("concat", concat, nodes))

    @classmethod
    def random(cls, seed: int, *, nodes: int = 8) -> RecurrentGenotype:
        """Return a genotype drawn at random: what a search has to be better than.

        For each node an activation and an earlier state, both drawn uniformly. The output is the
        mean of all nodes.

        Parameters
        ----------
        seed
            The same seed gives the same genotype.
        nodes
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
        own = range(_RECURRENT_INPUTS, _RECURRENT_INPUTS + integer("nodes", nodes, 1))
        cell = [
            (_ACTIVATIONS[rng.integers(len(_ACTIVATIONS))], int(rng.integers(node))) for node in own
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
        alphas
            ``{"recurrent": a}``, an array of shape (edges, 5): rows in the order of
            ``edges(nodes, inputs=1)``, columns in that of `RECURRENT_OPERATIONS`. The number of
            nodes follows from the number of edges: 36 edges are 8 nodes.
        concat
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
        check_alphas(alphas, ("recurrent",))
        entries = derive_cell(
            "alphas['recurrent']",
            alphas["recurrent"],
            RECURRENT_OPERATIONS,
            _RECURRENT_INPUTS,
            _RECURRENT_EDGES,
        )
        nodes = range(_RECURRENT_INPUTS, _RECURRENT_INPUTS + len(entries))
        return cls(entries, nodes if concat is None else concat)

    def to_torch(
        self, *, vocab_size: int, hidden_size: int = 850, **dropouts: float
    ) -> RecurrentModel:
        """Return the language model around the cell as an untrained ``torch.nn.Module``.

        States pass both ways between it and a `pydarts.RecurrentNetwork` of the same sizes, by
        ``state_dict`` and ``load_state_dict``.

        Parameters
        ----------
        vocab_size, hidden_size
            See `pydarts.RecurrentNetwork`.
        **dropouts
            ``dropout``, ``dropout_hidden``, ``dropout_input`` and ``dropout_embedding``, as there,
            but 0 where not given; they apply in training mode.

        Returns
        -------
        pydarts.torch_modules.RecurrentModel

        Raises
        ------
        ImportError
            If PyTorch is not installed.
        """
        from pydarts.export.pytorch import RecurrentModel

        return RecurrentModel(self, vocab_size, hidden_size, **dropouts)


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

#: The published convolutional cells, by name.
PUBLISHED: Final[Mapping[str, Genotype]] = MappingProxyType(
    {"DARTS_V1": DARTS_V1, "DARTS_V2": DARTS_V2}
)

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

#: The published recurrent cells, by name.
PUBLISHED_RECURRENT: Final[Mapping[str, RecurrentGenotype]] = MappingProxyType(
    {"RECURRENT_DARTS_V1": RECURRENT_DARTS_V1, "RECURRENT_DARTS_V2": RECURRENT_DARTS_V2}
)
