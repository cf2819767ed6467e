# SPDX-License-Identifier: MIT
"""Files of text."""

from __future__ import annotations

from pathlib import Path

from pydarts.data.corpus import load_corpus


def read(folder: Path, data: bytes) -> None:
    path = folder / "text.txt"
    path.write_bytes(data[1:])
    load_corpus(path, level="word" if data[:1] == b"w" else "char")
