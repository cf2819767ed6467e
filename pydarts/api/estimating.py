# SPDX-License-Identifier: MIT
"""What a search will cost, told before it runs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pydarts.api.searching import ImageWorkload, halves, prepare
from pydarts.api.searching_text import TextWorkload, as_corpus
from pydarts.data.text import Corpus, Level
from pydarts.training.budget import Estimate, Workload, check_budgets
from pydarts.training.config import SearchConfig, TextSearchConfig
from pydarts.training.loop import Control


def estimate(
    X: ArrayLike,
    y: Iterable[Any],
    *,
    preset: str = "quick",
    image_layout: str | None = None,
    threads: int | None = None,
    memory_budget: int | str | None = None,
    **options: Any,
) -> Estimate:
    """What `search` with the same arguments will cost, by a few steps of a throw-away network.

    With a ``memory_budget`` that is too small, no step is taken, and the ValueError of `search`
    is raised.
    """
    config = SearchConfig.make(preset, options)
    images, codes, labels = prepare(X, y, image_layout)
    data = halves(images, codes, labels, config, np.random.default_rng(config.seed))
    return _estimate(ImageWorkload(config, data, len(labels), threads), memory_budget)


def estimate_text(
    data: str | os.PathLike[str] | Corpus | None = None,
    *,
    level: Level | None = None,
    max_vocab: int | None = None,
    preset: str = "quick",
    threads: int | None = None,
    memory_budget: int | str | None = None,
    **options: Any,
) -> Estimate:
    """What `search_text` with the same arguments will cost, by a few steps of a throw-away
    network.
    """
    config = TextSearchConfig.make(preset, options)
    workload = TextWorkload(config, as_corpus(data, level, max_vocab), threads)
    return _estimate(workload, memory_budget)


def _estimate(workload: Workload, memory_budget: int | str | None) -> Estimate:
    check_budgets(Control(memory_budget=memory_budget), workload)
    return workload.estimate()
