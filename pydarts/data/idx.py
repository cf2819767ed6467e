# SPDX-License-Identifier: MIT
"""Reader of IDX files, the format of MNIST (yann.lecun.com/exdb/mnist).

All is big-endian: two zero bytes, a byte for the type, one for the number of axes, the lengths of
the axes, the data.
"""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pydarts.data.untrusted import DEFLATE_RATIO, Parts, naming, read_array

_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def holds_idx(folder: Path) -> bool:
    """Whether a folder holds IDX files, if perhaps not all that it takes."""
    return any(folder.glob("*-ubyte*"))


def read_idx_folder(folder: Path) -> Parts:
    """Read a folder of IDX files, gzipped or not, that are named as MNIST's.

    Raises
    ------
    FileNotFoundError
        If there are no training images or no training labels.
    ValueError
        If a file is damaged; names it.
    """
    X, y = _read_part(folder, "train-images", 3), _read_part(folder, "train-labels", 1)
    if X is None or y is None:
        missing = "train-images-idx3-ubyte" if X is None else "train-labels-idx1-ubyte"
        raise FileNotFoundError(f"{folder} holds IDX files, but no {missing}[.gz]")
    return X, y, _read_part(folder, "t10k-images", 3), _read_part(folder, "t10k-labels", 1)


def _read_part(folder: Path, part: str, axes: int) -> NDArray[Any] | None:
    names = [f"{part}{dot}idx{axes}-ubyte{gz}" for gz in ("", ".gz") for dot in ("-", ".")]
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    return None if path is None else _read_idx(path)


def _read_idx(path: Path) -> NDArray[Any]:
    with path.open("rb") as raw, naming(path):
        size = os.fstat(raw.fileno()).st_size
        zipped = path.suffix == ".gz"
        stream: IO[bytes] = gzip.GzipFile(fileobj=raw) if zipped else raw  # type: ignore[assignment]
        magic = stream.read(4)
        if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES:
            raise ValueError(f"begins with {magic!r}, not as an IDX file does")
        axes = magic[3]
        shape = struct.unpack(f">{axes}I", stream.read(4 * axes))
        limit = size * DEFLATE_RATIO if zipped else size - 4 - 4 * axes
        return read_array(stream, np.dtype(_TYPES[magic[2]]), shape, limit)
