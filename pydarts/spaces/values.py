# SPDX-License-Identifier: MIT
"""What the values of a space have in common: how their fields are set, checked and read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydarts.common.checks import show
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.spaces.operation import Operation

MAX_OPERATIONS: Final = 16


def set_field(value: object, name: str, to: object) -> None:
    object.__setattr__(value, name, to)


def checked_operations(name: str, value: object, minimum: int = 1) -> tuple[Operation, ...]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise ArgumentTypeError(name, f"(={show(value)}) must be a sequence of operations")
    found = tuple(value)
    for op in found:
        if not isinstance(op, Operation):
            raise ArgumentTypeError(name, f"hold {show(op)}, which is no Operation")
    if not minimum <= len(found) <= MAX_OPERATIONS:
        raise ArgumentError(name, f"are {len(found)}; {minimum} to {MAX_OPERATIONS} are possible")
    names = [op.name for op in found]
    for op_name in names:
        if names.count(op_name) > 1:
            raise ArgumentError(name, f"hold {op_name!r} twice")
    return found


def members_of(
    argument: str, value: object, known: Iterable[str], needed: Iterable[str] = ()
) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ArgumentTypeError(argument, f"(={show(value)}) must be an object")
    names = list(known)
    for name in value:
        if name not in names:
            problem = f"has the unknown member {show(name)}; known are {', '.join(names)}"
            raise ArgumentError(argument, problem)
    for name in needed:
        if name not in value:
            raise ArgumentError(argument, f"(={show(dict(value))}) has no member {name!r}")
    return dict(value)


def read_operations(
    name: str, value: object, known: Mapping[str, Operation]
) -> tuple[Operation, ...]:
    if not isinstance(value, list):
        raise ArgumentError(name, f"(={show(value)}) must be a list")
    found = []
    for item in value:
        if isinstance(item, str):
            if item not in known:
                problem = f"name {item!r}, which is no ready one: {', '.join(known)}"
                raise ArgumentError(name, problem)
            found.append(known[item])
        else:
            found.append(Operation.from_dict(item))
    return tuple(found)
