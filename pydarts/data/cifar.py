# SPDX-License-Identifier: MIT
"""Reader of CIFAR-10's binary batches (www.cs.toronto.edu/~kriz/cifar.html)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pydarts.data.untrusted import Parts, naming

_RECORD = 1 + 3 * 32 * 32  # label, then the red, the green and the blue plane


def cifar_batches(folder: Path) -> list[Path]:
    """Return the files with training images that a folder holds."""
    paths = [folder / f"data_batch_{number}.bin" for number in range(1, 6)]
    return [path for path in paths if path.is_file()]


def read_cifar_folder(folder: Path) -> Parts:
    """Read a folder of CIFAR-10's binary batches, of which there may be fewer than all.

    Labels are names where ``batches.meta.txt`` gives them.

    Raises
    ------
    ValueError
        If a file is damaged; names it.
    """
    names = _read_class_names(folder / "batches.meta.txt")

    def read(paths: list[Path]) -> tuple[NDArray[Any], NDArray[Any]]:
        records = np.concatenate([_read_batch(path) for path in paths])
        labels = records[:, 0]
        return records[:, 1:].reshape(-1, 3, 32, 32), labels if names is None else names[labels]

    test_batch = folder / "test_batch.bin"
    test = read([test_batch]) if test_batch.is_file() else (None, None)
    return *read(cifar_batches(folder)), *test


def _read_batch(path: Path) -> NDArray[np.uint8]:
    with path.open("rb") as raw, naming(path):
        size = os.fstat(raw.fileno()).st_size
        if size == 0 or size % _RECORD:
            raise ValueError(f"{size:,} bytes are not whole records of {_RECORD:,} bytes")
        records = np.fromfile(raw, np.uint8).reshape(-1, _RECORD)
        wrong = np.flatnonzero(records[:, 0] > 9)
        if wrong.size:
            raise ValueError(
                f"record {wrong[0]} has the label {records[wrong[0], 0]}, but CIFAR-10's are 0..9"
            )
        return records


def _read_class_names(path: Path) -> NDArray[np.str_] | None:
    if not path.is_file():
        return None
    with path.open("rb") as raw, naming(path):
        names = raw.read(4096).decode().split()
        if len(names) != 10 or len(set(names)) != 10:
            raise ValueError(f"must name 10 different classes, but holds {names}")
        return np.array(names)
