# SPDX-License-Identifier: MIT
"""Reader of npz files that does not trust them."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pydarts.data.untrusted import DEFLATE, naming, read_array

_NPY_HEADER = 16384
"""Bytes of an npy header that are looked at; numpy itself refuses more than 10,000."""


def read_npz(
    path: Path, needed: Collection[str], others: Collection[str] = ()
) -> dict[str, NDArray[Any]]:
    """The arrays of an npz that are needed, and those of the others that it has."""
    with path.open("rb") as raw, naming(path), zipfile.ZipFile(raw) as archive:
        size = os.fstat(raw.fileno()).st_size
        members = {i.filename.removesuffix(".npy"): i for i in archive.infolist()}
        arrays = {
            name: _read_member(archive, members[name], size)
            for name in (*needed, *others)
            if name in members
        }
        if not arrays.keys() >= set(needed):
            names = " and ".join(map(repr, needed))
            raise ValueError(f"needs arrays {names}, but holds {sorted(members)}")
        return arrays


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, size: int) -> NDArray[Any]:
    """One array of an npz. Not by np.load, which allocates before it reads."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{info.filename} is compressed in a way that numpy does not use")
    with archive.open(info) as member:
        head = io.BytesIO(member.read(_NPY_HEADER))
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
        raise ValueError(f"{info.filename} has dtype {dtype}, which is neither numbers nor text")
    packed = min(info.compress_size, size)
    unpacked = packed * DEFLATE if info.compress_type == zipfile.ZIP_DEFLATED else packed
    with archive.open(info) as member:
        member.read(head.tell())
        stored = shape[::-1] if fortran else shape
        at_most = min(unpacked, info.file_size - head.tell())
        array = read_array(member, dtype, stored, at_most, f"{info.filename} ")
    return array.T if fortran else array
