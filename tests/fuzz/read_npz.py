# SPDX-License-Identifier: MIT
"""Archives of arrays, as data and as the α of a result."""

from __future__ import annotations

import zipfile
from pathlib import Path

from pydarts.data.datasets import load


def prepare() -> None:
    """Checksums hide what lies behind them; an attacker writes the right ones."""
    zipfile.ZipExtFile._update_crc = lambda *_: None  # type: ignore[attr-defined]


def read(folder: Path, data: bytes) -> None:
    path = folder / "data.npz"
    path.write_bytes(data)
    load(str(path))
