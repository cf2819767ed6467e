# SPDX-License-Identifier: MIT
"""Reading untrusted files: what a file claims is held against its size.

Memory is spent only on what is really there. Compressed data is read piece by piece, and no
further than claimed.
"""

from __future__ import annotations

import csv
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pydarts.common.files import MALFORMED

Parts = tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None, NDArray[Any] | None]
"""Images and labels to train on, then those to test on if there are any."""

DEFLATE_RATIO = 1032
"""Maximum number of bytes that a byte of deflated data can become (zlib.net/zlib_tech.html)."""
PIECE = 1 << 20
"""Bytes that are read at a time."""


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises on bad bytes into a ValueError that names the file."""
    try:
        yield
    except (*MALFORMED, EOFError, OSError, RuntimeError) as error:
        raise ValueError(f"{path}: {error}") from error
    except (csv.Error, struct.error, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def read_array(
    stream: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...], limit: int, what: str = ""
) -> NDArray[Any]:
    """Read an array that must be all that is left in a stream.

    Parameters
    ----------
    stream : file
        Open for reading bytes.
    dtype : dtype
        Of the stored values.
    shape : tuple of int
        That the file claims.
    limit : int
        Maximum size in bytes. More is refused at once; memory grows with what is really read.
    what : str
        Begins the error messages.

    Returns
    -------
    ndarray
        In native byte order.

    Raises
    ------
    ValueError
        If the stream holds more or less than claimed, or the claim is empty or above the limit.
    """
    claimed = math.prod(shape) * dtype.itemsize
    sizes = "x".join(map(str, shape)) or 1
    claim = f"{what}claims {sizes} values of {dtype}, {claimed:,} bytes, but "
    if claimed <= 0 or min(shape, default=1) < 0:
        raise ValueError(f"{claim}must hold something")
    if claimed > limit:
        raise ValueError(f"{claim}has room for no more than {limit:,}")
    data = bytearray()
    while len(data) <= claimed:  # one byte more than claimed shows that there is more
        piece = stream.read(min(PIECE, claimed + 1 - len(data)))
        if not piece:
            break
        data += piece
    if len(data) != claimed:
        raise ValueError(f"{claim}holds {'more' if len(data) > claimed else f'{len(data):,}'}")
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)
