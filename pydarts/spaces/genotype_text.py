# SPDX-License-Identifier: MIT
"""Text forms of a genotype: the literature's ``Genotype(...)``, and JSON."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Collection, Sequence
from typing import Any, Final

from pydarts.common.checks import show
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.spaces.cell_checks import integer_field
from pydarts.spaces.space import Space

_FORMAT: Final = "pydarts-genotype"
_VERSION: Final = 1
_USUAL: Final = "Genotype"  # what the literature calls every kind
_MAX_TEXT: Final = 1 << 16  # a genotype is under 1 KiB; longer is a mistake or an attack
_MAX_DEPTH: Final = 16
_MAX_RANGE: Final = 4096

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


def genotype_text(space: Space, genotype: object) -> str:
    fields = ", ".join(f"{name}={list(getattr(genotype, name))}" for name in space.fields)
    return f"{space.genotype.__name__}({fields})"


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


def _space_of(
    call: str, keywords: set[str], positional: int, expected: Space, spaces: Sequence[Space]
) -> Space:
    """Find a call's space by its name, its keywords or the number of its values."""
    # The literature writes Genotype for every kind; what leaves it open is as expected.
    for space in spaces:
        if call == space.genotype.__name__ != _USUAL:
            return space
    for space in spaces:
        names = space.fields
        if keywords.intersection(names) or (not keywords and positional == len(names)):
            return space
    return expected


def parse_call(text: str, space: Space, spaces: Sequence[Space]) -> dict[str, Any]:
    """Read ``Genotype(...)`` into its fields; their values are not checked yet.

    Parameters
    ----------
    text : str
    space : Space
        That is expected.
    spaces : sequence of Space
        All that there are, for an error that says which one it is of.
    """
    classes = {_USUAL, *(each.genotype.__name__ for each in spaces)}
    source, names = _call_source(_check_text(text), classes), space.fields
    try:
        call = ast.parse(source, mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError("malformed genotype: it is not a single `Genotype(...)`")
        given = [(str(keyword.arg), keyword.value) for keyword in call.keywords]
        keywords = {name for name, _ in given}
        found = _space_of(call.func.id, keywords, len(call.args), space, spaces)
        if found != space:
            raise ArgumentError(
                "text",
                f"is a {found.kind} genotype where a {space.kind} one is expected: "
                f"{found.genotype.__name__}.parse reads it",
            )
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
    return _all_fields(fields, names)


def _all_fields(fields: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    missing = [name for name in names if name not in fields]
    if missing:
        raise ValueError(f"malformed genotype: field `{missing[0]}` is missing")
    return fields


def dump_json(space: Space, genotype: object) -> str:
    members: dict[str, object] = {"format": _FORMAT, "version": _VERSION, "kind": space.kind}
    members |= {name: getattr(genotype, name) for name in space.fields}
    # A line for each member: json's own indent would give every number one.
    lines = (f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in members.items())
    return "{\n" + ",\n".join(lines) + "\n}"


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is given twice")
    return members


def load_json(text: str, space: Space, spaces: Sequence[Space]) -> dict[str, Any]:
    """Read a genotype's JSON into its fields; their values are not checked yet."""
    text = _check_text(text)
    try:
        members = json.loads(text, object_pairs_hook=_unique_members)
    except ValueError as error:
        raise ValueError(f"malformed genotype JSON: {error}") from None
    except RecursionError:
        raise ValueError("malformed genotype JSON: it nests too deeply") from None
    if not isinstance(members, dict):
        raise ValueError(f"malformed genotype JSON: {show(members)} is not an object")
    for name, value in (("format", _FORMAT), ("version", _VERSION), ("kind", space.kind)):
        found = members.pop(name, None)
        # The types too, or true and 1.0 would pass as version 1.
        if type(found) is not type(value) or found != value:
            classes = {each.kind: each.genotype.__name__ for each in spaces}
            other = classes.get(found) if name == "kind" and isinstance(found, str) else None
            hint = f": {other}.from_json reads it" if other else ""
            raise ValueError(f"genotype JSON: `{name}` (={show(found)}) must be {value!r}{hint}")
    names = space.fields
    unknown = [name for name in members if name not in names]
    if unknown:
        raise ValueError(
            f"genotype JSON: unknown member {show(unknown[0])}; known are {', '.join(names)}"
        )
    return _all_fields(members, names)
