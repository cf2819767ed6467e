# SPDX-License-Identifier: MIT
"""Reading of untrusted files: what a file claims is held against its size.

Compressed data is read piece by piece, and no further than claimed.
"""

from __future__ import annotations

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


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Make whatever a decoder says of bad bytes a ValueError that names the file."""
    try:
        yield
    except (ValueError, EOFError, OSError, RuntimeError) as error:
        raise ValueError(f"{path}: {error}") from error
    except (zlib.error, struct.error, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is damaged: {error}") from error


DEFLATE = 1032
"""What a byte of deflated data can become, at most (zlib.net/zlib_tech.html)."""

PIECE = 1 << 20


def read_array(
    stream: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...], at_most: int, what: str = ""
) -> NDArray[Any]:
    """Read an array that must be all of what is left in `stream`.

    Refused at once if it claims more than `at_most` bytes; memory grows with what is really read.
    """
    claimed = math.prod(shape) * dtype.itemsize
    claim = (
        f"{what}claims {'x'.join(map(str, shape)) or 1} values of {dtype}, {claimed:,} bytes, but "
    )
    if claimed <= 0 or min(shape, default=1) < 0:
        raise ValueError(f"{claim}must hold something")
    if claimed > at_most:
        raise ValueError(f"{claim}has room for no more than {at_most:,}")
    data = bytearray()
    while len(data) <= claimed:  # one byte more than claimed tells that there is more
        piece = stream.read(min(PIECE, claimed + 1 - len(data)))
        if not piece:
            break
        data += piece
    if len(data) != claimed:
        raise ValueError(f"{claim}holds {'more' if len(data) > claimed else f'{len(data):,}'}")
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)
