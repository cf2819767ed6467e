# SPDX-License-Identifier: MIT
"""Images that are in both parts of a split, found by a hash of their bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pydarts.data.lazy import LazyArray, chunks

Images = NDArray[Any] | LazyArray


def count_shared(learned: Images, held: Images) -> int:
    """How many of the images that were held out equal one that is learned from, byte by byte."""
    known = set(_hashes(learned))
    return sum(digest in known for digest in _hashes(held))


def shared_note(learned: Images, held: Images, where: str, other: str) -> str | None:
    """A sentence about images of ``where`` that are in ``other`` as well; None: there are none."""
    count = count_shared(learned, held)
    if not count:
        return None
    are = "is" if count == 1 else "are"
    return (
        f"{count:,} of {len(held):,} images of {where} {are} in {other} as well, byte by byte:"
        " what is measured there is too good; `groups` keeps copies together"
    )


def _hashes(images: Images) -> Iterator[bytes]:
    for _, part in chunks(images):
        for image in part:
            yield hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()
