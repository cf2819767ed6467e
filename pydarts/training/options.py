# SPDX-License-Identifier: MIT
"""The options of the fronts as types, so that an editor completes and checks them.

A test holds the fields against those of the configurations and of `RunOptions`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import TypedDict

from pydarts.training.callbacks import Callback


class TrainRun(TypedDict, total=False):
    """How a training runs: see `RunOptions`."""

    progress: bool
    callbacks: Sequence[Callback]
    checkpoint: str | os.PathLike[str] | None
    checkpoint_seconds: float
    resume: str
    time_budget: float | str | timedelta | None
    memory_budget: int | str | None


class SearchRun(TrainRun, total=False):
    """How a search runs: see `RunOptions`."""

    eigenvalue: bool


class SearchFields(TypedDict, total=False):
    """The fields of `SearchConfig`."""

    channels: int
    cells: int
    epochs: int
    batch_size: int
    order: int
    lr: float
    lr_min: float
    momentum: float
    weight_decay: float
    max_grad_norm: float
    alpha_lr: float
    alpha_betas: tuple[float, float]
    alpha_weight_decay: float
    epsilon: float
    hvp: str
    reuse_gradient: bool
    stem: str
    memory: str
    train_fraction: float
    max_images: int | None
    crop_padding: int
    flip: bool
    cutout: int
    shift: int
    rotate: bool
    time_mask: int
    frequency_mask: int
    noise: float
    mixup: float
    seed: int


class SearchOptions(SearchFields, SearchRun, total=False):
    """All options of `pydarts.search`."""


class TrainFields(TypedDict, total=False):
    """The fields of `TrainConfig`."""

    channels: int
    cells: int
    epochs: int | None
    epoch_images: int | None
    batch_size: int
    lr: float
    momentum: float
    weight_decay: float
    max_grad_norm: float
    schedule: str
    warmup: float
    label_smoothing: float
    weight_average: float
    drop_path: float
    auxiliary: bool
    auxiliary_weight: float
    crop_padding: int
    flip: bool
    cutout: int
    shift: int
    rotate: bool
    time_mask: int
    frequency_mask: int
    noise: float
    mixup: float
    stem: str
    memory: str
    restore_best_weights: bool
    seed: int


class TrainOptions(TrainFields, TrainRun, total=False):
    """All options of `pydarts.train`."""


class FitOptions(TrainFields, total=False):
    """All options of `pydarts.fit`, which names the time budget itself."""

    progress: bool
    callbacks: Sequence[Callback]
    checkpoint: str | os.PathLike[str] | None
    checkpoint_seconds: float
    resume: str
    memory_budget: int | str | None


class TextSearchFields(TypedDict, total=False):
    """The fields of `TextSearchConfig`."""

    hidden_size: int
    epochs: int
    batch_size: int
    bptt: int
    order: int
    lr: float
    weight_decay: float
    max_grad_norm: float
    clip_coef: str
    unrolled_embedding: str
    dropout_masks: str
    alpha_lr: float
    alpha_betas: tuple[float, float]
    alpha_weight_decay: float
    epsilon: float
    hvp: str
    reuse_gradient: bool
    dropout: float
    dropout_hidden: float
    dropout_input: float
    dropout_embedding: float
    ar: float
    tar: float
    max_tokens: int | None
    seed: int


class TextSearchOptions(TextSearchFields, SearchRun, total=False):
    """All options of `pydarts.search_text`."""


class TextTrainFields(TypedDict, total=False):
    """The fields of `TextTrainConfig`."""

    hidden_size: int
    epochs: int
    batch_size: int
    bptt: int
    lr: float
    weight_decay: float
    max_grad_norm: float
    patience: int
    dropout: float
    dropout_hidden: float
    dropout_input: float
    dropout_embedding: float
    ar: float
    tar: float
    restore_best_weights: bool
    seed: int


class TextTrainOptions(TextTrainFields, TrainRun, total=False):
    """All options of `pydarts.train_text`."""
