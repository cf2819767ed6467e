# SPDX-License-Identifier: MIT
"""Folders of images; the decoders are Pillow's."""

from __future__ import annotations

from pathlib import Path

from pydarts.data.pictures import read_picture_folder


def read(folder: Path, data: bytes) -> None:
    (folder / "a").mkdir()
    (folder / "a" / "0.png").write_bytes(data)
    read_picture_folder(folder, image_size=8)
