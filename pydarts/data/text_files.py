# SPDX-License-Identifier: MIT
"""Training, validation and test text from a folder, a file or a string."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from pydarts.common.checks import show
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.data.vocabulary import valid_text

PARTS: Final = ("train", "valid", "test")

_LAYOUTS: Final = ("ptb.{}.txt", "wiki.{}.tokens", "wiki.{}.raw", "{}.txt")
_LONGEST_PATH: Final = 4096
_SHORT: Final = 1000  # characters without a space that are still taken for a mistyped path


def read_text(data: object) -> tuple[str, tuple[str, str, str]]:
    """Read a text in three parts.

    Parameters
    ----------
    data : str or path
        A folder, a file, or a text; see `load_corpus`.

    Returns
    -------
    name : str
        The path, or ``"text"``.
    parts : tuple of str
        Training, validation and test text.
    """
    if not isinstance(data, (str, os.PathLike)):
        kinds = 'a path, a string of text or "python-docs"'
        problem = f"(={show(data)}) must be {kinds}, not {type(data).__name__}"
        raise ArgumentTypeError("data", problem)
    path = text_path(data)
    if path is None:
        text = valid_text("data", data)
        if len(text) <= _SHORT and text.split() == [text]:
            raise FileNotFoundError(
                f"`data` (={show(text)}) is neither a file, nor a folder, nor a text: that would"
                " have white space in it"
            )
        if not text.strip():
            raise ArgumentError("data", "is empty")
        return "text", _split(show(text), _plain_line_ends(text))
    if path.is_dir():
        return str(path), _read_folder(path)
    if not path.exists():
        raise FileNotFoundError(f"`data`: there is no file or folder {path}")
    if not path.is_file():
        raise ValueError(f"`data`: {path} is neither a file nor a folder")
    return str(path), _split(str(path), _read_file(path))


def text_path(data: object) -> Path | None:
    """Return the path that ``data`` is, or the file or folder that the string names."""
    if isinstance(data, os.PathLike):
        return Path(data).expanduser()
    if not isinstance(data, str) or not 0 < len(data) <= _LONGEST_PATH or not data.isprintable():
        return None
    try:
        path = Path(data).expanduser()
        return path if path.exists() else None
    except (OSError, RuntimeError):  # a part that is too long, or ~ of nobody
        return None


def _read_folder(folder: Path) -> tuple[str, str, str]:
    started: list[str] = []
    for layout in _LAYOUTS:
        paths = [folder / layout.format(part) for part in PARTS]
        there = [path for path in paths if path.is_file()]
        if len(there) == len(paths):
            train, valid, test = map(_read_file, paths)
            return train, valid, test
        if there:
            lacking = ", ".join(path.name for path in paths if path not in there)
            started.append(f"{', '.join(path.name for path in there)} without {lacking}")
    names = [", ".join(layout.format(part) for part in PARTS) for layout in _LAYOUTS]
    raise FileNotFoundError(
        f"{folder} holds {'; '.join(started) or 'no corpus'}: looked for {', or '.join(names)}"
    )


def _read_file(path: Path) -> str:
    raw = path.read_bytes()
    try:
        text = raw.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8: byte 0x{raw[error.start]:02x} at offset {error.start}"
        ) from None
    if not text.strip():
        raise ValueError(f"{path} is empty")
    return _plain_line_ends(text)


def _plain_line_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _split(source: str, text: str) -> tuple[str, str, str]:
    """Parts of 80, 10 and 10 % of a text; errors name the source."""
    first, second = (_boundary(text, len(text) * tenths // 10) for tenths in (8, 9))
    parts = text[:first], text[first:second], text[second:]
    if not all(part.strip() for part in parts):
        raise ArgumentError(
            "data",
            f"(={source}) has {len(text):,} characters, too few for a part to learn"
            " from, one to validate on and one to test on",
        )
    return parts


def _boundary(text: str, at: int) -> int:
    """A place near ``at`` that follows a line end or else a space."""
    near = len(text) // 25  # two boundaries a tenth apart cannot meet
    for mark in "\n ":
        found = text.rfind(mark, max(at - near, 0), at) + 1, text.find(mark, at, at + near) + 1
        places = [place for place in found if place]
        if places:
            return min(places, key=lambda place: abs(place - at))
    return at
