# SPDX-License-Identifier: MIT
"""Differentiable architecture search on multicore CPUs."""

import os as _os

# A waiting thread of GCC's OpenMP spins for milliseconds. On a busy machine that costs a time slice
# at every barrier of the engine, of which there are thousands a second. Read when _core is loaded.
_os.environ.setdefault("GOMP_SPINCOUNT", "10000")

from pydarts import bilevel
from pydarts._core import __version__
from pydarts.api.estimating import estimate, estimate_text
from pydarts.api.many import SearchesFailed, search_many
from pydarts.api.searching import SearchResult, search
from pydarts.api.searching_text import TextSearchResult, search_text
from pydarts.api.training import train
from pydarts.api.training_text import train_text
from pydarts.data.text import load_corpus
from pydarts.engine.convolutional import MixedOperation, Network, Supernet
from pydarts.engine.recurrent import RecurrentNetwork, RecurrentSupernet
from pydarts.evaluation.comparing import compare, compare_text
from pydarts.evaluation.comparison import Comparison
from pydarts.evaluation.random_cells import RandomSearchResult, random_search
from pydarts.models.image_classifier import Model
from pydarts.models.language_model import LanguageModel
from pydarts.spaces.darts import DARTS_V1, DARTS_V2, Genotype
from pydarts.spaces.recurrent import RECURRENT_DARTS_V1, RECURRENT_DARTS_V2, RecurrentGenotype
from pydarts.training.budget import Estimate
from pydarts.training.callbacks import (
    Callback,
    EarlyStopping,
    EigenvalueStopping,
    StopOnSkipCollapse,
    TensorBoard,
)
from pydarts.training.loop import Diverged

__all__ = [
    "DARTS_V1",
    "DARTS_V2",
    "RECURRENT_DARTS_V1",
    "RECURRENT_DARTS_V2",
    "Callback",
    "Comparison",
    "Diverged",
    "EarlyStopping",
    "EigenvalueStopping",
    "Estimate",
    "Genotype",
    "LanguageModel",
    "MixedOperation",
    "Model",
    "Network",
    "RandomSearchResult",
    "RecurrentGenotype",
    "RecurrentNetwork",
    "RecurrentSupernet",
    "SearchResult",
    "SearchesFailed",
    "StopOnSkipCollapse",
    "Supernet",
    "TensorBoard",
    "TextSearchResult",
    "__version__",
    "bilevel",
    "compare",
    "compare_text",
    "estimate",
    "estimate_text",
    "load_corpus",
    "random_search",
    "search",
    "search_many",
    "search_text",
    "train",
    "train_text",
]
