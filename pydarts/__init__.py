# SPDX-License-Identifier: MIT
"""Differentiable architecture search on multicore CPUs."""

import os as _os

# A waiting thread of GCC's OpenMP spins for milliseconds. On a busy machine that costs a time slice
# at every barrier of the engine, of which there are thousands a second. Read when _core is loaded.
_os.environ.setdefault("GOMP_SPINCOUNT", "10000")

from pydarts import bilevel
from pydarts._core import __version__
from pydarts.genotype import DARTS_V1, DARTS_V2, Genotype
from pydarts.model import Model
from pydarts.network import MixedOperation, Network, Supernet
from pydarts.search import Diverged, SearchResult, search
from pydarts.train import train

__all__ = [
    "DARTS_V1",
    "DARTS_V2",
    "Diverged",
    "Genotype",
    "MixedOperation",
    "Model",
    "Network",
    "SearchResult",
    "Supernet",
    "__version__",
    "bilevel",
    "search",
    "train",
]
