# SPDX-License-Identifier: MIT
"""Differentiable architecture search on multicore CPUs."""

from pydarts import bilevel
from pydarts._core import __version__
from pydarts.genotype import DARTS_V1, DARTS_V2, Genotype
from pydarts.network import MixedOperation, Network, Supernet

__all__ = ["DARTS_V1", "DARTS_V2", "Genotype", "MixedOperation", "Network", "Supernet", "__version__", "bilevel"]
