# SPDX-License-Identifier: MIT
"""Differentiable architecture search on multicore CPUs."""

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
