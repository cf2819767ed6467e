# SPDX-License-Identifier: MIT
"""Spaces and arrays by kind of cell as the engine takes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pydarts import _core
from pydarts.spaces.space import Space

Table = dict[str, NDArray[np.float64]]


@lru_cache(maxsize=64)
def native(space: Space) -> _core.Space:
    """Return the engine's form of a space."""
    return _core.Space(json.dumps(space.reference))


def joined(space: Space, tables: Mapping[str, Any]) -> NDArray[np.float64]:
    """Return arrays by kind of cell, one behind the other."""
    return np.concatenate([np.ravel(np.asarray(tables[c.name], np.float64)) for c in space.cells])


def parted(space: Space, entries: NDArray[np.float64]) -> Table:
    """Return what `joined` joined."""
    found, at = {}, 0
    for cell in space.cells:
        shape = len(cell.candidates), cell.columns
        size = shape[0] * shape[1]
        found[cell.name] = entries[at : at + size].reshape(shape)
        at += size
    return found
