# SPDX-License-Identifier: MIT
"""IDX files, gzipped or not: an odd first byte says that the labels are meant."""

from __future__ import annotations

from pathlib import Path

from pydarts.data.idx import read_idx_folder

IMAGES = bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4])
LABELS = bytes([0, 0, 8, 1, 0, 0, 0, 1, 7])


def read(folder: Path, data: bytes) -> None:
    choice, content = (data or b"\0")[0], data[1:]
    of_labels, zipped = choice & 1, choice & 2
    files = {"train-images-idx3-ubyte": IMAGES, "train-labels-idx1-ubyte": LABELS}
    changed = list(files)[of_labels]
    del files[changed]
    files[changed + (".gz" if zipped else "")] = content
    for name, each in files.items():
        (folder / name).write_bytes(each)
    read_idx_folder(folder)
