# SPDX-License-Identifier: MIT
"""Differentiable architecture search on multicore CPUs."""

from pydarts import _core as _core
from pydarts import bilevel
from pydarts._core import __version__
from pydarts.api.evaluating import (
    compare,
    compare_text,
    random_search,
    random_search_text,
)
from pydarts.api.fitting import fit
from pydarts.api.many import SearchesFailed, search_many, search_many_text
from pydarts.api.pareto import pareto
from pydarts.api.searching import estimate, estimate_text, search, search_text
from pydarts.api.training import train, train_text
from pydarts.common import extensions as _extensions
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.costs.profile import Profile, profile
from pydarts.data.corpus import Corpus, load_corpus
from pydarts.data.preprocessing import Preprocessing
from pydarts.engine.convolutional import MixedOperation, Network, Supernet
from pydarts.engine.losses import Weighted
from pydarts.engine.recurrent import RecurrentNetwork, RecurrentSupernet
from pydarts.evaluation.comparison import Comparison
from pydarts.evaluation.random_cells import RandomSearchResult
from pydarts.evaluation.trade_off import TradeOff
from pydarts.methods.finalists import Finalists
from pydarts.methods.perturbation import Perturbation
from pydarts.models.image_model import Model
from pydarts.models.language_model import LanguageModel
from pydarts.spaces.darts import DARTS_V1, DARTS_V2, Genotype
from pydarts.spaces.recurrent import (
    RECURRENT_DARTS_V1,
    RECURRENT_DARTS_V2,
    RecurrentGenotype,
)
from pydarts.training.budget import Estimate
from pydarts.training.callbacks import (
    Callback,
    EarlyStopping,
    EigenvalueStopping,
    StopOnSkipCollapse,
    TensorBoard,
)
from pydarts.training.checkpoint import CheckpointError
from pydarts.training.config import (
    SearchConfig,
    TextSearchConfig,
    TextTrainConfig,
    TrainConfig,
)
from pydarts.training.loop import Diverged
from pydarts.training.plan import Plan
from pydarts.training.result import SearchResult
from pydarts.training.run_options import RunOptions

# Methods whose implementation is further up the house than their class.
_extensions.attach(
    {
        "Genotype.to_torch": "pydarts.export.pytorch:DerivedNetwork",
        "LanguageModel.to_c": "pydarts.export.c_file.text_file:write_text_model",
        "LanguageModel.to_onnx": "pydarts.export.onnx_graph:write_text_model",
        "LanguageModel.to_torch": "pydarts.export.pytorch:text_module",
        "Model.to_c": "pydarts.export.c_file.image_file:write_image_model",
        "Model.to_onnx": "pydarts.export.onnx_graph:write_image_model",
        "Model.to_torch": "pydarts.export.pytorch:image_module",
        "RecurrentGenotype.to_torch": "pydarts.export.pytorch:RecurrentModel",
        "SearchResult.html": "pydarts.report.page:result_html",
        "SearchResult.plot": "pydarts.report.figure:figure",
        "SearchResult.report": "pydarts.report.page:write_report",
        "genotype.svg": "pydarts.drawing.cells:notebook_svg",
        "genotype.cell_svg": "pydarts.drawing.cells:cell_svg",
    }
)

__all__ = [
    "DARTS_V1",
    "DARTS_V2",
    "RECURRENT_DARTS_V1",
    "RECURRENT_DARTS_V2",
    "ArgumentError",
    "ArgumentTypeError",
    "Callback",
    "CheckpointError",
    "Comparison",
    "Corpus",
    "Diverged",
    "EarlyStopping",
    "EigenvalueStopping",
    "Estimate",
    "Finalists",
    "Genotype",
    "LanguageModel",
    "MixedOperation",
    "Model",
    "Network",
    "Perturbation",
    "Plan",
    "Preprocessing",
    "Profile",
    "RandomSearchResult",
    "RecurrentGenotype",
    "RecurrentNetwork",
    "RecurrentSupernet",
    "RunOptions",
    "SearchConfig",
    "SearchResult",
    "SearchesFailed",
    "StopOnSkipCollapse",
    "Supernet",
    "TensorBoard",
    "TextSearchConfig",
    "TextTrainConfig",
    "TradeOff",
    "TrainConfig",
    "Weighted",
    "__version__",
    "bilevel",
    "compare",
    "compare_text",
    "estimate",
    "estimate_text",
    "fit",
    "load_corpus",
    "pareto",
    "profile",
    "random_search",
    "random_search_text",
    "search",
    "search_many",
    "search_many_text",
    "search_text",
    "train",
    "train_text",
]
