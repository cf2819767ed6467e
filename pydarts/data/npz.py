# SPDX-License-Identifier: MIT
"""Reader of untrusted npz files. Unlike np.load, it does not allocate before it reads."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pydarts.data.untrusted import DEFLATE_RATIO, naming, read_array

_HEADER = 16384  # bytes of an npy header that are read; numpy itself refuses more than 10,000


def read_npz(
    path: Path, required: Collection[str], optional: Collection[str] = ()
) -> dict[str, NDArray[Any]]:
    """Read arrays of an npz file.

    Parameters
    ----------
    path : Path
    required : collection of str
        Names of arrays that it must hold.
    optional : collection of str
        Names of arrays that are read where it holds them.

    Returns
    -------
    dict of ndarray

    Raises
    ------
    ValueError
        If the file is damaged or lacks an array; names the file.
    """
    with path.open("rb") as raw, naming(path), zipfile.ZipFile(raw) as archive:
        size = os.fstat(raw.fileno()).st_size
        members = {i.filename.removesuffix(".npy"): i for i in archive.infolist()}
        if not members.keys() >= set(required):
            names = " and ".join(map(repr, required))
            raise ValueError(f"needs arrays {names}, but holds {sorted(members)}")
        return {
            name: _read_member(archive, members[name], size)
            for name in (*required, *optional)
            if name in members
        }


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, size: int) -> NDArray[Any]:
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{info.filename} is compressed in a way that numpy does not use")
    with archive.open(info) as member:
        head = io.BytesIO(member.read(_HEADER))
    try:
        version = np.lib.format.read_magic(head)
        parse = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran, dtype = parse(head)
    except Exception as error:  # of nonsense, numpy raises TokenError, MemoryError and others
        raise ValueError(f"{info.filename} has no header that numpy could read") from error
    if dtype.kind not in "biufUS":
        raise ValueError(f"{info.filename} has dtype {dtype}, which is neither numbers nor strings")
    unpacked = min(info.compress_size, size)
    if info.compress_type == zipfile.ZIP_DEFLATED:
        unpacked *= DEFLATE_RATIO
    with archive.open(info) as member:
        member.read(head.tell())
        stored = shape[::-1] if fortran else shape
        limit = min(unpacked, info.file_size - head.tell())
        array = read_array(member, dtype, stored, limit, f"{info.filename} ")
    return array.T if fortran else array
