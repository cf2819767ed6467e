# SPDX-License-Identifier: MIT
"""C text: constant arrays, comments, and the functions in ``kernels``, under a prefix."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pydarts.common.checks import show
from pydarts.common.errors import ArgumentError, ArgumentTypeError

_KERNELS = Path(__file__).parent / "kernels"
_COLUMNS = 110
#: What a file begins with.
LICENCE = ("SPDX-License-Identifier: MIT", "")
_BYTES = {"float": 4, "int8_t": 1, "int32_t": 4, "short": 2, "int": 4}


def checked_name(name: object) -> str:
    """Return a prefix of functions; an error if C would not take it."""
    if not isinstance(name, str):
        raise ArgumentTypeError("name", f"(={show(name)}) must be a str")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,47}", name):
        problem = "must begin with a letter, and go on with up to 47 letters, digits and _"
        raise ArgumentError("name", f"(={show(name)}) {problem}")
    return name


class Constants:
    """Constant arrays as they are added, with the bytes that they take."""

    def __init__(self, prefix: str):
        self.prefix, self.bytes = prefix, 0
        self.lines: list[str] = []

    def array(self, kind: str, name: str, values: NDArray[Any]) -> str:
        """Add an array; return its name."""
        full = f"{self.prefix}_{name}"
        if not np.isfinite(values).all():
            raise ArgumentError("model", f"has NaN or infinite numbers in {full}")
        flat = values.reshape(-1)
        self.bytes += _BYTES[kind] * flat.size
        numbers = map(number, flat.tolist()) if kind == "float" else map(str, flat.tolist())
        self.lines.append(f"static const {kind} {full}[{flat.size}] = {{")
        self.lines += [f"  {line}" for line in wrapped(numbers)]
        self.lines.append("};")
        return full

    def add(self, size: int, line: str) -> None:
        """Add a definition of so many bytes."""
        self.bytes += size
        self.lines.append(line)


def number(value: float) -> str:
    """A float32 in C, to the bit."""
    text = f"{np.float32(value):.9g}"
    return text + ("f" if "." in text or "e" in text else ".0f")


def wrapped(items: Iterable[str]) -> list[str]:
    """Items with a comma after each, in lines."""
    lines, line = [], ""
    for item in items:
        if line and len(line) + len(item) + 2 > _COLUMNS:
            lines.append(line)
            line = ""
        line += (" " if line else "") + item + ","
    return [*lines, line] if line else lines


def kernels(names: Iterable[str], prefix: str) -> list[str]:
    """The functions of these files, each once."""
    found = []
    for name in dict.fromkeys(names):
        text = (_KERNELS / f"{name}.c").read_text(encoding="utf-8")
        _, _, body = text.partition("\n")  # the licence is stated once
        found.append(re.sub(r"\bNAME(?=_)", prefix, body).rstrip("\n"))
    return found


def comment(lines: Iterable[str]) -> str:
    """A comment that nothing in the text can end, in ASCII."""
    text: list[str] = []
    for line in lines:
        plain = re.sub(r"[^ -~]", "?", line)
        for mark in ("*/", "/*", "??"):  # the last begins a trigraph
            plain = plain.replace(mark, f"{mark[0]} {mark[1]}")
        text += textwrap.wrap(plain, _COLUMNS) or [""]
    return "/* " + "\n".join(f" * {line}".rstrip() for line in text)[3:] + "\n */"


def costs(macs: int, constants: int, arena: int) -> list[str]:
    """What a caller needs to know of a file's functions."""
    return [
        f"{macs:,} multiply-adds; {constants:,} bytes of constants in flash, and the code;",
        f"{arena:,} bytes of static memory, and less than 2,048 of the stack.",
        "Not re-entrant: all calls share the static memory.",
    ]


def declarations(functions: Iterable[str]) -> str:
    """Prototypes, for C and for C++."""
    return "\n".join(
        [
            "#ifdef __cplusplus",
            'extern "C" {',
            "#endif",
            *functions,
            "#ifdef __cplusplus",
            "}",
            "#endif",
        ]
    )


def function(head: str, lines: Iterable[str]) -> str:
    """A function, its lines indented."""
    return "\n".join([head, "{", *(f"  {line}" for line in lines), "}"])
