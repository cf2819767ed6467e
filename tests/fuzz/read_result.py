# SPDX-License-Identifier: MIT
"""The files of a search, one of which is not as it was."""

from __future__ import annotations

import zipfile
from pathlib import Path

from pydarts import SearchResult

WHOLE = Path(__file__).parents[1] / "data" / "version1" / "result"
FILES = {
    b"a": "alphas.npz",
    b"c": "config.json",
    b"g": "genotype.json",
    b"h": "history.csv",
    b"n": "alpha_history.npz",
    b"r": "result.json",
}


def prepare() -> None:
    """Checksums hide what lies behind them; an attacker writes the right ones."""
    zipfile.ZipExtFile._update_crc = lambda *_: None  # type: ignore[attr-defined]


def read(folder: Path, data: bytes) -> None:
    for path in WHOLE.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / FILES.get(data[:1], "result.json")).write_bytes(data[1:])
    repr(SearchResult.load(folder))
