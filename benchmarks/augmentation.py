# SPDX-License-Identifier: MIT
"""What augmentation costs of a search step: ``python -m benchmarks.augmentation``."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from pydarts import SearchConfig
from pydarts.methods.named import as_pair
from pydarts.methods.tuning import search_step
from pydarts.spaces.ready import as_space
from pydarts.tasks.images import ImageClassification

_IMAGES = {"shift": 3, "rotate": True, "time_mask": 8, "frequency_mask": 8}
CASES: tuple[tuple[str, str, tuple[int, ...], dict[str, Any]], ...] = (
    ("images 3x32x32", "darts", (3, 32, 32), _IMAGES),
    ("signals 3x512", "darts-1d", (3, 512), {"shift": 20, "time_mask": 64, "frequency_mask": 1}),
    ("spectra 24x50", "darts-1d", (24, 50), {"shift": 4, "time_mask": 8, "frequency_mask": 4}),
)


def main() -> None:
    """Print for each case the time of a step and the share that all options take."""
    rng = np.random.default_rng(0)
    for name, space, shape, options in CASES:
        X = rng.normal(size=(256, *shape)).astype(np.float32)
        task = ImageClassification(X, np.arange(256) % 10, space=as_space(space))
        changed = {**options, "noise": 0.1, "mixup": 0.3}
        plain, full = (_input_seconds(task, given) for given in ({}, changed))
        step = _step_seconds(task)
        print(f"{name}: step {1e3 * step:.1f} ms, augmentation {100 * (full - plain) / step:.2f} %")


def _input_seconds(task: ImageClassification, options: dict[str, Any]) -> float:
    data = task.search_data(SearchConfig.make("quick", options), np.random.default_rng(0))
    item, times = np.arange(64), []
    for _ in range(20):
        start = time.perf_counter()
        data.inputs(item, item, 0)
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def _step_seconds(task: ImageClassification) -> float:
    config = task.complete(SearchConfig.make("quick"))
    method, _ = as_pair(None, None, config)
    step = search_step(method, None, task.supernet(config), task.step_options(config))
    data = task.search_data(config, np.random.default_rng(0))
    item, times = np.arange(64), []
    for _ in range(10):
        given = data.inputs(item, item, 0)
        start = time.perf_counter()
        step(**given)
        times.append(time.perf_counter() - start)
    return float(np.median(times))


if __name__ == "__main__":
    main()
