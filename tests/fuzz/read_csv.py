# SPDX-License-Identifier: MIT
"""CSV files that name images."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from pydarts.data.pictures import read_picture_table


def read(folder: Path, data: bytes) -> None:
    Image.new("L", (4, 5)).save(folder / "a.png")
    (folder / "data.csv").write_bytes(data)
    read_picture_table(folder / "data.csv")
