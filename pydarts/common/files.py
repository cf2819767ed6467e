# SPDX-License-Identifier: MIT
"""Files that are replaced as a whole, and JSON files that state their format and version."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydarts.common.checks import file_path, show
from pydarts.common.errors import ArgumentError


def replace_file(path: Path, content: bytes) -> None:
    """Put a file in the place of the one before, which stays whole if anything fails."""
    if not path.parent.is_dir():  # rather than an error that names a file nobody knows
        raise FileNotFoundError(f"{path} cannot be written: there is no folder {path.parent}")
    temporary = path.with_name(_temporary(path) + os.urandom(4).hex())
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # the new name is safe, too, once the folder is
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote."""
    for left in path.parent.glob(_temporary(path) + "*"):
        left.unlink(missing_ok=True)


def _temporary(path: Path) -> str:
    return f".{path.name}."


def writable_folder(name: str, value: object) -> Path:
    """Make the folder that an argument names, having seen that files can be written there.

    Raises
    ------
    ValueError, TypeError
        If it is no path, or they cannot; names the argument.
    """
    folder = file_path(name, value)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except FileExistsError:
        raise ArgumentError(name, f"(={show(value)}) is a file, but must be a folder") from None
    except OSError as error:
        problem = f"(={show(value)}) cannot be written to: {error.strerror}"
        raise ArgumentError(name, problem) from error
    return folder


def check_free(overwrite: bool, *paths: Path) -> None:
    """Raise FileExistsError if one of the files is there and ``overwrite`` is not set."""
    for path in paths:
        if not overwrite and path.exists():
            raise FileExistsError(f"{path} exists; `overwrite=True` replaces it")


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, in the place of one before."""
    replace_file(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())


MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What values of another kind than expected lead to."""


@contextmanager
def read_described(path: Path, kind: str, versions: Collection[int]) -> Iterator[dict[str, Any]]:
    """Read a JSON file that states its format and version; errors in reading it name the file."""
    try:
        d = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(d, dict) or d.get("format") != kind:
            raise ValueError(f"it is not the description of a {kind.replace('-', ' ')}")
        if d.get("version") not in versions or isinstance(d["version"], bool):
            expected = " or ".join(map(str, versions))
            raise ValueError(f"its version is {d.get('version')!r}, not {expected}")
        yield d
    except KeyError as error:
        raise ValueError(f"{path} cannot be read: {error} is missing") from error
    except MALFORMED as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
