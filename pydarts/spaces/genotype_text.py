# SPDX-License-Identifier: MIT
"""Text forms of a genotype: the literature's ``Genotype(...)`` and ``|op~0|+…``, and JSON."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Final

from pydarts.common.checks import show
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.spaces.cell_checks import integer_field
from pydarts.spaces.space import GENOTYPES, READY, Space

if TYPE_CHECKING:
    from pydarts.spaces.genotype import BaseGenotype

_FORMAT: Final = "pydarts-genotype"
_VERSION: Final = 1
_USUAL: Final = "Genotype"  # what the literature calls every kind
_MAX_TEXT: Final = 1 << 18  # a genotype is under 1 KiB, its space under 128; longer is an attack
_MAX_DEPTH: Final = 16
_MAX_RANGE: Final = 4096

# One node or several: |op~0|+|op~0|op~1|
_EDGES: Final = re.compile(
    r"\|[\w.\-]{1,64}~\d{1,2}\|(?:[\w.\-]{1,64}~\d{1,2}\||\+\|[\w.\-]{1,64}~\d{1,2}\|)*",
    re.ASCII,
)
_CALL: Final = r"(?<!\w)(?:{})\s*\("
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


def genotype_text(genotype: BaseGenotype) -> str:
    """Return the form of the literature, which `parse_text` reads."""
    space = genotype.space
    if _writes_edges(space):
        nodes: dict[int, str] = {}
        for op, source, node in genotype.kept(space.cells[0].name):
            nodes[node] = nodes.get(node, "|") + f"{op}~{source}|"
        return "+".join(nodes.values())
    kind = type(genotype)
    fields = [f"{name}={list(getattr(genotype, name))}" for name in space.fields]
    if not space.is_usual:
        fields.append(f"space={space.name!r}")
    return f"{kind.__name__}({', '.join(fields)})"


def _writes_edges(space: Space) -> bool:
    """Whether cells are written edge by edge, as those of NAS-Bench-201."""
    cell = space.cells[0]
    return len(space.cells) == 1 and cell.output == "last" and cell.kept_edges is None


def _check_text(text: object) -> str:
    if not isinstance(text, str):
        raise ArgumentTypeError("text", f"must be a str, not {type(text).__name__}")
    if len(text) > _MAX_TEXT:
        raise ArgumentError(
            "text", f"has {len(text):,} characters; a genotype's may have {_MAX_TEXT:,}"
        )
    return text


def _call_source(text: str, names: Collection[str]) -> str:
    """Cut the one call out of the text around it, having seen that all its tokens are harmless."""
    pattern = re.compile(_CALL.format("|".join(names)))
    start = pattern.search(text)
    if start is None:
        raise ArgumentError("text", f"(={show(text)}) holds no `Genotype(...)`")
    position, depth = start.end() - 1, 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise ValueError(
                f"malformed genotype: unexpected {show(text[position : position + 20])} "
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
    others = len(pattern.findall(text, position))
    if others:
        raise ArgumentError("text", f"holds {others + 1} genotypes where one is expected")
    return text[start.start() : position]


def _literal(name: str, node: ast.expr) -> object:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        if node.func.id in ("list", "tuple") and len(node.args) == 1:
            return _literal(name, node.args[0])
        if node.func.id == "range" and 1 <= len(node.args) <= 3:
            bounds = [integer_field(name, _literal(name, arg)) for arg in node.args]
            if bounds[2:] == [0]:
                raise ArgumentError(name, "is a range with step 0")
            indices = range(*bounds)
            if len(indices) > _MAX_RANGE:
                raise ArgumentError(name, f"(={indices}) is too long")
            return indices
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        raise ArgumentError(name, "must be made of lists, tuples, strings and integers") from None


def _kind_of(call: str, keywords: set[str], positional: int, expected: Space) -> type[BaseGenotype]:
    """Find the class of a call by its name, its keywords or the number of its values."""
    # The literature writes Genotype for every kind; what leaves it open is as expected.
    for kind in GENOTYPES.values():
        if call == kind.__name__ != _USUAL:
            return kind
    others = [READY[kind.usual_space] for kind in GENOTYPES.values()]
    for space in (expected, *others):
        names = space.fields
        if keywords.intersection(names) or (not keywords and positional == len(names)):
            return space.genotype
    return expected.genotype


def parse_text(
    text: object, kind: str, usual: str, space: Space | None
) -> tuple[Space, dict[str, Any]]:
    """Read a genotype's text into its space and its fields; their values are not checked yet.

    Parameters
    ----------
    text : str
    kind : str
        Of the spaces that are expected.
    usual : str
        The name of the space that is meant where neither the text nor `space` tells.
    space : Space or None
        That is expected.
    """
    text = _check_text(text)
    written = _EDGES.search(text)
    calls = _CALL.format("|".join((_USUAL, *(each.__name__ for each in GENOTYPES.values()))))
    called = written is not None and re.search(calls, text[: written.start()])
    if written is not None and not called and kind == "convolutional":
        return _parse_edges(text, written, space or READY["nas-bench-201"])
    expected = space or READY[usual]
    source = _call_source(text, {_USUAL, *(each.__name__ for each in GENOTYPES.values())})
    try:
        call = ast.parse(source, mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError("malformed genotype: it is not a single `Genotype(...)`")
        given = [(str(keyword.arg), keyword.value) for keyword in call.keywords]
        named = [_literal("space", node) for name, node in given if name == "space"]
        given = [(name, node) for name, node in given if name != "space"]
        found = _kind_of(call.func.id, {name for name, _ in given}, len(call.args), expected)
        if found.kind != kind:
            raise ArgumentError(
                "text",
                f"is a {found.kind} genotype where a {kind} one is expected: "
                f"{found.__name__}.parse reads it",
            )
        if named:
            expected = _named_space(named, space)
        names = expected.fields
        if len(call.args) > len(names):
            raise ValueError(
                f"malformed genotype: {len(call.args)} values for the fields {', '.join(names)}"
            )
        fields: dict[str, Any] = {}
        for name, node in [*zip(names, call.args, strict=False), *given]:
            if name not in names:
                raise ValueError(
                    f"malformed genotype: unknown field {show(name)}; known are {', '.join(names)}"
                )
            if name in fields:
                raise ValueError(f"malformed genotype: field `{name}` is given twice")
            fields[name] = _literal(name, node)
    except SyntaxError as error:
        raise ValueError(f"malformed genotype: {error.msg}") from None
    except (RecursionError, MemoryError):
        raise ValueError("malformed genotype: it nests too deeply") from None
    return expected, _all_fields(fields, names)


def _named_space(named: list[object], space: Space | None) -> Space:
    """The space that a text names, which must be the one that is expected."""
    name = named[0]
    if len(named) > 1 or not isinstance(name, str):
        raise ValueError("malformed genotype: `space` must be one name")
    if space is not None:
        if space.name != name:
            raise ArgumentError("text", f"is of the space {show(name)}, not {space.name!r}")
        return space
    if name not in READY:
        problem = f"is of the space {show(name)}, which is no ready one: pass it as `space`"
        raise ArgumentError("text", problem)
    return READY[name]


def _parse_edges(text: str, written: re.Match[str], space: Space) -> tuple[Space, dict[str, Any]]:
    if _EDGES.search(text, written.end()):
        raise ArgumentError("text", "holds several genotypes where one is expected")
    if not _writes_edges(space):
        raise ArgumentError("text", f"is no genotype of the space {space.name!r}")
    entries = []
    for number, node in enumerate(written[0].split("+"), start=space.cells[0].inputs):
        terms = [term.split("~") for term in node.strip("|").split("|")]
        if [source for _, source in terms] != [str(source) for source in range(number)]:
            problem = f"malformed genotype: {show(node)} of node {number} must have the inputs"
            raise ValueError(f"{problem} {', '.join(map(str, range(number)))} in this order")
        entries += [(op, int(source)) for op, source in terms]
    return space, {space.cells[0].name: entries}


def _all_fields(fields: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    missing = [name for name in names if name not in fields]
    if missing:
        raise ValueError(f"malformed genotype: field `{missing[0]}` is missing")
    return fields


def dump_json(genotype: BaseGenotype) -> str:
    """Return a genotype as JSON; the usual space is left out."""
    space = genotype.space
    members: dict[str, object] = {"format": _FORMAT, "version": _VERSION, "kind": space.kind}
    if not space.is_usual:
        members["space"] = space.reference
    members |= {name: getattr(genotype, name) for name in space.fields}
    # A line for each member: json's own indent would give every number one.
    lines = (f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in members.items())
    return "{\n" + ",\n".join(lines) + "\n}"


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is given twice")
    return members


def load_json(text: object, kind: str, usual: str) -> tuple[Space, dict[str, Any]]:
    """Read a genotype's JSON into its space and its fields; their values are not checked yet."""
    text = _check_text(text)
    try:
        members = json.loads(text, object_pairs_hook=_unique_members)
    except ValueError as error:
        raise ValueError(f"malformed genotype JSON: {error}") from None
    except RecursionError:
        raise ValueError("malformed genotype JSON: it nests too deeply") from None
    if not isinstance(members, dict):
        raise ValueError(f"malformed genotype JSON: {show(members)} is not an object")
    for name, value in (("format", _FORMAT), ("version", _VERSION), ("kind", kind)):
        found = members.pop(name, None)
        # The types too, or true and 1.0 would pass as version 1.
        if type(found) is not type(value) or found != value:
            other = GENOTYPES.get(found) if name == "kind" and isinstance(found, str) else None
            hint = f": {other.__name__}.from_json reads it" if other else ""
            raise ValueError(f"genotype JSON: `{name}` (={show(found)}) must be {value!r}{hint}")
    space = _space_member(members.pop("space", usual), kind)
    names = space.fields
    unknown = [name for name in members if name not in names]
    if unknown:
        raise ValueError(
            f"genotype JSON: unknown member {show(unknown[0])}; known are {', '.join(names)}"
        )
    return space, _all_fields(members, names)


def _space_member(value: object, kind: str) -> Space:
    try:
        return Space.from_reference(value, kind)
    except ArgumentError as error:
        place = "" if error.argument == "space" else "`space`: "
        problem = f"{place}`{error.argument}` {error.problem}"
        raise ValueError(f"genotype JSON: {problem}") from None
