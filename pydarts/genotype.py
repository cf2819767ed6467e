# SPDX-License-Identifier: MIT
"""Genotypes: the discrete cells that a search finds, their text forms, and how α gives them.

Source: Liu, Simonyan, Yang, *DARTS: Differentiable Architecture Search*, ICLR 2019,
https://arxiv.org/abs/1806.09055, section 2.4.
"""

from __future__ import annotations

import ast
import difflib
import json
import math
import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from pydarts.torch_modules import DerivedNetwork, RecurrentModel

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

_CELL_INPUTS: Final = 2
_CELL_EDGES: Final = 2  # entries of a node in the derived cell
_CELL_OPERATIONS: Final = tuple(op for op in OPERATIONS if op != "none") + EXTRA_OPERATIONS

_RECURRENT_INPUTS: Final = 1
_RECURRENT_EDGES: Final = 1
_ACTIVATIONS: Final = tuple(op for op in RECURRENT_OPERATIONS if op != "none")

# Kinds of genotype, as JSON names them: fields, class.
_FIELDS: Final = {
    "convolutional": ("normal", "normal_concat", "reduce", "reduce_concat"),
    "recurrent": ("recurrent", "concat"),
}
_CLASSES: Final = {"convolutional": "Genotype", "recurrent": "RecurrentGenotype"}

_FORMAT: Final = "pydarts-genotype"
_VERSION: Final = 1
_MAX_TEXT: Final = 1 << 16  # a genotype is under 1 KiB; longer is a mistake or an attack
_MAX_DEPTH: Final = 16
_MAX_RANGE: Final = 4096

_CALL: Final = re.compile(r"(?<!\w)(?:Recurrent)?Genotype\s*\(")
# All that a genotype's text can hold. Operators are left out on purpose: a long chain of them
# makes a tree that is deep without a bracket.
_TOKEN: Final = re.compile(
    r"""
    '[^'\\\x00-\x1f\ud800-\udfff]*'
    | "[^"\\\x00-\x1f\ud800-\udfff]*"
    | \#[^\x00\r\n\ud800-\udfff]*
    | -?\d{1,9}(?!\w)
    | [A-Za-z_]\w*
    | [()\[\],=]
    | \s+
    """,
    re.ASCII | re.VERBOSE,
)

Entry = tuple[str, int]


def edges(nodes: int = 4, inputs: int = _CELL_INPUTS) -> tuple[tuple[int, int], ...]:
    """Return the edges of a search cell as (input, node) pairs, in the order of α's rows.

    Parameters
    ----------
    nodes
        Number of intermediate nodes.
    inputs
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


@dataclass(frozen=True, init=False, repr=False)
class Genotype:
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
            cell = _check_entries(name, entries, _CELL_OPERATIONS, _CELL_INPUTS, _CELL_EDGES)
            nodes = range(_CELL_INPUTS, _CELL_INPUTS + len(cell) // _CELL_EDGES)
            object.__setattr__(self, name, cell)
            object.__setattr__(
                self, f"{name}_concat", _check_concat(f"{name}_concat", concat, nodes)
            )

    def __repr__(self) -> str:
        return _text("convolutional", self)

    def _repr_svg_(self) -> str | None:
        from .drawing import genotype_svg

        try:
            return genotype_svg(self)
        except ValueError:  # too large to draw: a notebook then shows the text
            return None

    @classmethod
    def parse(cls, text: str) -> Genotype:
        """Read a genotype in the literature's form, ``Genotype(normal=[('op', 0), …], …)``.

        Parameters
        ----------
        text
            The call with keyword or positional arguments, on one or several lines. Text before
            and after it (``DARTS = ``, a log line's time stamp) is skipped; the concatenated nodes
            may be a list, a tuple or ``range(2, 6)``. Nothing in it is executed.

        Returns
        -------
        Genotype

        Raises
        ------
        ValueError
            If the text holds no genotype, more than one, one that is malformed, or one of a
            recurrent cell; or if it is longer than 65,536 characters.
        """
        return cls(**_parse_call(text, "convolutional"))

    def to_json(self) -> str:
        """Return the genotype as JSON text, which `from_json` reads.

        Returns
        -------
        str
            An object with the members ``format``, ``version``, ``kind`` and one for each field.
        """
        return _dump_json("convolutional", self)

    @classmethod
    def from_json(cls, text: str) -> Genotype:
        """Read what `to_json` wrote.

        Parameters
        ----------
        text
            JSON text of at most 65,536 characters.

        Returns
        -------
        Genotype

        Raises
        ------
        ValueError
            If the text is not JSON, not a genotype of this format, version and kind, or holds
            missing, unknown or repeated members or an invalid cell.
        """
        return cls(**_load_json(text, "convolutional"))

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
            If `seed` is negative or `nodes` less than 1.
        """
        rng = np.random.default_rng(_at_least(0, "seed", seed))
        own = range(_CELL_INPUTS, _CELL_INPUTS + _at_least(1, "nodes", nodes))
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
        _check_alphas(alphas, ("normal", "reduce"))
        fields: dict[str, Any] = {}
        for name in ("normal", "reduce"):
            entries = _derive_cell(
                f"alphas[{name!r}]", alphas[name], OPERATIONS, _CELL_INPUTS, _CELL_EDGES
            )
            nodes = range(_CELL_INPUTS, _CELL_INPUTS + len(entries) // _CELL_EDGES)
            fields[name] = entries
            fields[f"{name}_concat"] = (
                nodes if concat is None else _check_concat("concat", concat, nodes)
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
        from .torch_modules import DerivedNetwork

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
class RecurrentGenotype:
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

    recurrent: tuple[Entry, ...]
    concat: tuple[int, ...]

    # Written out, for it takes any sequence where the fields are tuples.
    def __init__(self, recurrent: Sequence[Sequence[str | int]], concat: Sequence[int]) -> None:
        cell = _check_entries(
            "recurrent", recurrent, _ACTIVATIONS, _RECURRENT_INPUTS, _RECURRENT_EDGES
        )
        nodes = range(_RECURRENT_INPUTS, _RECURRENT_INPUTS + len(cell))
        object.__setattr__(self, "recurrent", cell)
        object.__setattr__(self, "concat", _check_concat("concat", concat, nodes))

    def __repr__(self) -> str:
        return _text("recurrent", self)

    def _repr_svg_(self) -> str | None:
        from .drawing import recurrent_svg

        try:
            return recurrent_svg(self)
        except ValueError:  # too large to draw: a notebook then shows the text
            return None

    @classmethod
    def parse(cls, text: str) -> RecurrentGenotype:
        """Read a genotype in the literature's form, ``Genotype(recurrent=[('op', 0), …], …)``.

        Parameters
        ----------
        text
            The call, named ``Genotype`` or ``RecurrentGenotype``, with keyword or positional
            arguments, on one or several lines. Text before and after it (``DARTS = ``, a log line's
            time stamp) is skipped; the nodes of `concat` may be a list, a tuple or ``range(1, 9)``.
            Nothing in it is executed.

        Returns
        -------
        RecurrentGenotype

        Raises
        ------
        ValueError
            If the text holds no genotype, more than one, one that is malformed, or one of
            convolutional cells; or if it is longer than 65,536 characters.
        """
        return cls(**_parse_call(text, "recurrent"))

    def to_json(self) -> str:
        """Return the genotype as JSON text, which `from_json` reads.

        Returns
        -------
        str
            An object with the members ``format``, ``version``, ``kind`` and one for each field.
        """
        return _dump_json("recurrent", self)

    @classmethod
    def from_json(cls, text: str) -> RecurrentGenotype:
        """Read what `to_json` wrote.

        Parameters
        ----------
        text
            JSON text of at most 65,536 characters.

        Returns
        -------
        RecurrentGenotype

        Raises
        ------
        ValueError
            If the text is not JSON, not a genotype of this format, version and kind, or holds
            missing, unknown or repeated members or an invalid cell.
        """
        return cls(**_load_json(text, "recurrent"))

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
            If `seed` is negative or `nodes` less than 1.
        """
        rng = np.random.default_rng(_at_least(0, "seed", seed))
        own = range(_RECURRENT_INPUTS, _RECURRENT_INPUTS + _at_least(1, "nodes", nodes))
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
        _check_alphas(alphas, ("recurrent",))
        entries = _derive_cell(
            "alphas['recurrent']",
            alphas["recurrent"],
            RECURRENT_OPERATIONS,
            _RECURRENT_INPUTS,
            _RECURRENT_EDGES,
        )
        nodes = range(_RECURRENT_INPUTS, _RECURRENT_INPUTS + len(entries))
        return cls(entries, nodes if concat is None else concat)

    def to_torch(self, *, vocab: int, hidden: int = 850, **dropouts: float) -> RecurrentModel:
        """Return the language model around the cell as an untrained ``torch.nn.Module``.

        States pass both ways between it and a `pydarts.RecurrentNetwork` of the same sizes, by
        ``state_dict`` and ``load_state_dict``.

        Parameters
        ----------
        vocab, hidden
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
        from .torch_modules import RecurrentModel

        return RecurrentModel(self, vocab, hidden, **dropouts)


# The functions from here on serve either kind of genotype: they know none of its operations.


def _show(value: object) -> str:
    """Repr for an error message: of bounded length, and never failing."""
    try:
        text = repr(value)
    except Exception:  # a foreign object's repr must not replace our message
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else text[:77] + "..."


def _items(name: str, value: object) -> list[Any]:
    if isinstance(value, (str, bytes, bytearray)) or not isinstance(value, (Sequence, np.ndarray)):
        raise ValueError(f"`{name}` (={_show(value)}) must be a sequence")
    if isinstance(value, np.ndarray) and value.ndim == 0:
        raise ValueError(f"`{name}` (={_show(value)}) must be a sequence")
    return list(value)


def _integer(name: str, value: object) -> int:
    if not isinstance(value, (bool, np.bool_)):
        try:
            return operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            pass
    raise ValueError(f"`{name}` (={_show(value)}) must be an integer")


def _at_least(least: int, name: str, value: object) -> int:
    number = _integer(name, value)
    if number < least:
        raise ValueError(f"`{name}` (={number}) must be at least {least}")
    return number


def _operation(name: str, value: object, known: Sequence[str]) -> str:
    if not isinstance(value, str):
        raise ValueError(f"`{name}` (={_show(value)}) must be the name of an operation")
    if value in known:
        return str(value)  # a plain string, whatever subclass it came as
    if value == "none":
        raise ValueError(f"`{name}` (='none') has no place in a derived cell")
    # The comparison is quadratic, and no name is near this length.
    close = difflib.get_close_matches(value, known, n=1) if len(value) <= 64 else []
    hint = f"did you mean {close[0]!r}?" if close else "known are " + ", ".join(known)
    raise ValueError(f"`{name}` (={_show(value)}) is an unknown operation; {hint}")


def _check_entries(
    name: str, value: object, known: Sequence[str], inputs: int, per_node: int
) -> tuple[Entry, ...]:
    entries = _items(name, value)
    if not entries:
        raise ValueError(f"`{name}` (={_show(value)}) must not be empty")
    if len(entries) % per_node:
        raise ValueError(
            f"`{name}` (={_show(value)}) must have {per_node} entries for each node, "
            f"but has {len(entries)}"
        )
    checked: list[Entry] = []
    for k, entry in enumerate(entries):
        at = f"{name}[{k}]"
        pair = _items(at, entry)
        if len(pair) != 2:
            raise ValueError(f"`{at}` (={_show(entry)}) must be an (operation, input) pair")
        op = _operation(f"{at}[0]", pair[0], known)
        source = _integer(f"{at}[1]", pair[1])
        node = inputs + k // per_node
        if not 0 <= source < node:
            raise ValueError(
                f"`{at}[1]` (={_show(source)}) must be an input before node {node}: 0 to {node - 1}"
            )
        checked.append((op, source))
    return tuple(checked)


def _check_concat(name: str, value: object, nodes: range) -> tuple[int, ...]:
    indices = _items(name, value)
    if not indices:
        raise ValueError(f"`{name}` (={_show(value)}) must not be empty")
    checked: list[int] = []
    seen: set[int] = set()
    for k, item in enumerate(indices):
        index = _integer(f"{name}[{k}]", item)
        if index not in nodes:
            raise ValueError(
                f"`{name}[{k}]` (={_show(index)}) must be one of the nodes "
                f"{nodes[0]} to {nodes[-1]}"
            )
        if index in seen:
            raise ValueError(f"`{name}` (={_show(value)}) has node {index} twice")
        seen.add(index)
        checked.append(index)
    return tuple(checked)


def _text(kind: str, genotype: object) -> str:
    fields = ", ".join(f"{name}={list(getattr(genotype, name))}" for name in _FIELDS[kind])
    return f"{_CLASSES[kind]}({fields})"


def _check_text(text: object) -> str:
    if not isinstance(text, str):
        raise TypeError(f"`text` must be a str, not {type(text).__name__}")
    if len(text) > _MAX_TEXT:
        raise ValueError(
            f"`text` has {len(text):,} characters; a genotype's may have {_MAX_TEXT:,}"
        )
    return text


def _call_source(text: str) -> str:
    """Cut the one call out of the text around it, having seen that all its tokens are harmless."""
    start = _CALL.search(text)
    if start is None:
        raise ValueError(f"`text` (={_show(text)}) holds no `Genotype(...)`")
    position, depth = start.end() - 1, 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise ValueError(
                f"malformed genotype: unexpected {_show(text[position : position + 20])} "
                f"at character {position}"
            )
        position = token.end()
        depth += (token[0] in ("(", "[")) - (token[0] in (")", "]"))
        if depth > _MAX_DEPTH:
            raise ValueError(f"malformed genotype: brackets nest deeper than {_MAX_DEPTH}")
        if depth == 0:
            break
    else:
        raise ValueError("malformed genotype: the text ends before its last bracket is closed")
    others = len(_CALL.findall(text, position))
    if others:
        raise ValueError(f"`text` holds {others + 1} genotypes where one is expected")
    return text[start.start() : position]


def _literal(name: str, node: ast.expr) -> object:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        if node.func.id in ("list", "tuple") and len(node.args) == 1:
            return _literal(name, node.args[0])
        if node.func.id == "range" and 1 <= len(node.args) <= 3:
            bounds = [_integer(name, _literal(name, arg)) for arg in node.args]
            if bounds[2:] == [0]:
                raise ValueError(f"`{name}` is a range with step 0")
            indices = range(*bounds)
            if len(indices) > _MAX_RANGE:
                raise ValueError(f"`{name}` (={indices}) is too long")
            return indices
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        raise ValueError(f"`{name}` must be made of lists, tuples, strings and integers") from None


def _kind_of(call: str, keywords: set[str], positional: int, expected: str) -> str:
    """Tell a call's kind of cell by its name, its keywords or the number of its values."""
    # The literature writes Genotype for either kind; what does not tell is as expected.
    if call == _CLASSES["recurrent"]:
        return "recurrent"
    for kind, names in _FIELDS.items():
        if keywords.intersection(names) or (not keywords and positional == len(names)):
            return kind
    return expected


def _parse_call(text: str, kind: str) -> dict[str, Any]:
    """Read ``Genotype(...)`` into its fields; their values are not checked yet."""
    source, names = _call_source(_check_text(text)), _FIELDS[kind]
    try:
        call = ast.parse(source, mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError("malformed genotype: it is not a single `Genotype(...)`")
        given = [(str(keyword.arg), keyword.value) for keyword in call.keywords]
        found = _kind_of(call.func.id, {name for name, _ in given}, len(call.args), kind)
        if found != kind:
            raise ValueError(
                f"`text` is a {found} genotype where a {kind} one is expected: "
                f"{_CLASSES[found]}.parse reads it"
            )
        if len(call.args) > len(names):
            raise ValueError(
                f"malformed genotype: {len(call.args)} values for the fields {', '.join(names)}"
            )
        fields: dict[str, Any] = {}
        for name, node in [*zip(names, call.args, strict=False), *given]:
            if name not in names:
                raise ValueError(
                    f"malformed genotype: unknown field {_show(name)}; known are {', '.join(names)}"
                )
            if name in fields:
                raise ValueError(f"malformed genotype: field `{name}` is given twice")
            fields[name] = _literal(name, node)
    except SyntaxError as error:
        raise ValueError(f"malformed genotype: {error.msg}") from None
    except (RecursionError, MemoryError):
        raise ValueError("malformed genotype: it nests too deeply") from None
    return _all_fields(fields, names)


def _all_fields(fields: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    missing = [name for name in names if name not in fields]
    if missing:
        raise ValueError(f"malformed genotype: field `{missing[0]}` is missing")
    return fields


def _dump_json(kind: str, genotype: object) -> str:
    members: dict[str, object] = {"format": _FORMAT, "version": _VERSION, "kind": kind}
    members |= {name: getattr(genotype, name) for name in _FIELDS[kind]}
    # A line for each member: json's own indent would give every number one.
    lines = (f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in members.items())
    return "{\n" + ",\n".join(lines) + "\n}"


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is given twice")
    return members


def _load_json(text: str, kind: str) -> dict[str, Any]:
    """Read a genotype's JSON into its fields; their values are not checked yet."""
    try:
        members = json.loads(_check_text(text), object_pairs_hook=_unique_members)
    except ValueError as error:
        raise ValueError(f"malformed genotype JSON: {error}") from None
    except RecursionError:
        raise ValueError("malformed genotype JSON: it nests too deeply") from None
    if not isinstance(members, dict):
        raise ValueError(f"malformed genotype JSON: {_show(members)} is not an object")
    for name, value in (("format", _FORMAT), ("version", _VERSION), ("kind", kind)):
        found = members.pop(name, None)
        # The types too, or true and 1.0 would pass as version 1.
        if type(found) is not type(value) or found != value:
            other = _CLASSES.get(found) if name == "kind" and isinstance(found, str) else None
            hint = f": {other}.from_json reads it" if other else ""
            raise ValueError(f"genotype JSON: `{name}` (={_show(found)}) must be {value!r}{hint}")
    names = _FIELDS[kind]
    unknown = [name for name in members if name not in names]
    if unknown:
        raise ValueError(
            f"genotype JSON: unknown member {_show(unknown[0])}; known are {', '.join(names)}"
        )
    return _all_fields(members, names)


def _check_alphas(alphas: object, names: Sequence[str]) -> None:
    if not isinstance(alphas, Mapping) or set(alphas) != set(names):
        found = list(alphas) if isinstance(alphas, Mapping) else type(alphas).__name__
        cells = " and ".join(map(repr, names))
        arrays = "an array" if len(names) == 1 else "arrays"
        raise ValueError(f"`alphas` (={_show(found)}) must map {cells} to {arrays}")


def _derive_cell(
    name: str, alpha: object, operations: Sequence[str], inputs: int, keep: int
) -> list[Entry]:
    """Return the entries that one α matrix stands for, `keep` for each node."""
    try:
        array = np.asarray(alpha)
    except (TypeError, ValueError):
        raise ValueError(f"`{name}` (={_show(alpha)}) must be an array of numbers") from None
    if array.dtype.kind not in "fiu":
        raise ValueError(f"`{name}` must be an array of real numbers, not of {array.dtype}")
    if array.ndim != 2 or array.shape[1] != len(operations):
        raise ValueError(
            f"`{name}` has shape {array.shape}, but must be (edges, {len(operations)}), "
            f"a column for each of {', '.join(operations)}"
        )
    counts = [inputs]  # edges of a cell of 1, 2, … nodes
    while counts[-1] < array.shape[0] or len(counts) < 5:
        counts.append(counts[-1] + inputs + len(counts))
    if array.shape[0] not in counts:
        raise ValueError(
            f"`{name}` has {array.shape[0]} rows, but a cell has "
            f"{', '.join(map(str, counts[:5]))}, … edges"
        )
    nodes = counts.index(array.shape[0]) + 1
    pairs = edges(nodes, inputs)
    rows = array.astype(np.float64)
    if not np.isfinite(rows).all():
        edge, column = np.argwhere(~np.isfinite(rows))[0].tolist()
        raise ValueError(
            f"`{name}[{edge}, {column}]` (={rows[edge, column]}) must be finite "
            f"(edge {pairs[edge][0]}→{pairs[edge][1]}, {operations[column]})"
        )
    columns = [k for k, op in enumerate(operations) if op != "none"]
    best: list[tuple[float, str]] = []
    for row in rows.tolist():
        # max and sorted are stable, so ties fall to the earlier operation and edge.
        k = max(columns, key=row.__getitem__)
        top = row.index(max(row))
        rest = math.fsum(math.exp(a - row[top]) for i, a in enumerate(row) if i != top)
        best.append((row[k] - row[top] - math.log1p(rest), operations[k]))
    entries: list[Entry] = []
    for node in range(inputs, inputs + nodes):
        incoming = [(*best[e], j) for e, (j, i) in enumerate(pairs) if i == node]
        incoming.sort(key=lambda edge: -edge[0])
        entries += [(op, j) for _, op, j in incoming[:keep]]
    return entries


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
