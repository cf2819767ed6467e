# SPDX-License-Identifier: MIT
"""Hyper-parameters of search and training: defaults, bounds, help texts, presets."""

from __future__ import annotations

import dataclasses
import difflib
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import numpy as np

from pydarts.common.errors import ArgumentError, ArgumentTypeError

Self = TypeVar("Self", bound="Config")


def _option(
    default: Any,
    help: str,
    least: float = 0,
    below: float = math.inf,
    *,
    positive: bool = False,
    choices: tuple[Any, ...] | None = None,
    none: str | None = None,
) -> Any:
    """A field whose value lies in [least, below), or in (0, below) if `positive`.

    On the command line, `none` is what None is called.
    """
    bounds = {"least": least, "below": below, "positive": positive}
    words = {"help": help, "choices": choices, "none": none}
    return field(default=default, metadata={**words, **bounds})


@dataclass(frozen=True)
class Config:
    """What the configurations share: presets, checks, JSON."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    preset: str

    def __post_init__(self) -> None:
        for option in self.options():
            value = _checked(option, getattr(self, option.name))
            object.__setattr__(self, option.name, value)

    @classmethod
    def options(cls) -> list[dataclasses.Field[Any]]:
        """The fields that users set."""
        return [f for f in dataclasses.fields(cls) if f.metadata]

    @classmethod
    def make(cls: type[Self], preset: str, overrides: Mapping[str, Any]) -> Self:
        """The values of `preset` with `overrides` in their place.

        Raises
        ------
        ValueError, TypeError
            Naming the option, its value and what would do.
        """
        if preset not in cls.presets:
            raise ArgumentError("preset", f"(={preset!r}) must be one of {', '.join(cls.presets)}")
        known = [option.name for option in cls.options()]
        for name in overrides:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(known)}"
                raise TypeError(f"unknown option `{name}`: {hint}")
        return cls(preset, **{**cls.presets[preset], **overrides})

    def to_dict(self) -> dict[str, Any]:
        """All values, as JSON can hold them."""
        return dataclasses.asdict(self)


def _checked(option: dataclasses.Field[Any], value: Any) -> Any:
    name, kind = option.name, str(option.type)
    choices = option.metadata["choices"]
    if choices is not None:
        if value not in choices:
            raise ArgumentError(name, f"(={value!r}) must be one of {choices}")
        return value
    if value is None and kind.endswith("None"):
        return None
    if kind.startswith("tuple"):
        if not isinstance(value, (tuple, list)) or len(value) != 2:
            raise ArgumentError(name, f"(={value!r}) must be a pair of numbers")
        return tuple(_number(option, v) for v in value)
    if kind == "bool":
        if not isinstance(value, (bool, np.bool_)):
            raise ArgumentTypeError(name, f"(={value!r}) must be True or False")
        return bool(value)
    return _number(option, value)


def _number(option: dataclasses.Field[Any], value: Any) -> int | float:
    name, integer, m = option.name, str(option.type).startswith("int"), option.metadata
    kinds = (int, np.integer) if integer else (int, float, np.integer, np.floating)
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise ArgumentTypeError(
            name, f"(={value!r}) must be {'an integer' if integer else 'a number'}"
        )
    if isinstance(value, np.generic):  # or comparing would cast the bounds to its type
        value = value.item()
    below = min(m["below"], 2**31 if integer else sys.float_info.max)
    low = value > 0 if m["positive"] else value >= m["least"]
    if not (low and value < below):
        bounds = "more than 0" if m["positive"] else f"at least {m['least']:g}"
        raise ArgumentError(name, f"(={value!r}) must be {bounds} and less than {below:g}")
    return int(value) if integer else float(value)


_MEMORY = "store, or recompute to trade time for memory"
_AUGMENTATION = {
    "crop_padding": "random crop after padding by this many pixels",
    "flip": "random horizontal flip (wrong for digits and letters)",
    "cutout": "side of a random square of zeros",
}


@dataclass(frozen=True)
class SearchConfig(Config):
    """Hyper-parameters of `pydarts.search`. The defaults are the original's, arXiv:1806.09055."""

    channels: int = _option(16, "channels of the first cells", 1)
    cells: int = _option(8, "number of cells", 1)
    epochs: int = _option(50, "passes over the training half", 1)
    batch_size: int = _option(64, "images a batch, of either half", 2)
    order: int = _option(2, "order of the architecture gradient", choices=(1, 2))
    lr: float = _option(0.025, "learning rate of the weights at the start", positive=True)
    lr_min: float = _option(0.001, "learning rate at the end of the cosine")
    momentum: float = _option(0.9, "momentum of the weights", 0, 1)
    weight_decay: float = _option(3e-4, "weight decay of the weights")
    max_grad_norm: float = _option(5.0, "bound on the norm of the weights' gradient", positive=True)
    alpha_lr: float = _option(3e-4, "learning rate of the alphas", positive=True)
    alpha_betas: tuple[float, float] = _option((0.5, 0.999), "Adam's decay rates", 0, 1)
    alpha_weight_decay: float = _option(1e-3, "weight decay of the alphas")
    epsilon: float = _option(0.01, "step of the finite difference, over |v|", positive=True)
    hvp: str = _option(
        "central", "finite difference: central, or forward (faster)", choices=("central", "forward")
    )
    reuse_gradient: bool = _option(False, "step w with the virtual step's gradient (faster)")
    memory: str = _option("store", _MEMORY, choices=("store", "recompute"))
    train_fraction: float = _option(
        0.5, "share of the images that the weights learn on", below=1, positive=True
    )
    max_images: int | None = _option(
        None, "search on a random sample of this many images", 4, none="all"
    )
    crop_padding: int = _option(0, _AUGMENTATION["crop_padding"])
    flip: bool = _option(False, _AUGMENTATION["flip"])
    cutout: int = _option(0, _AUGMENTATION["cutout"])
    seed: int = _option(0, "of weights, alphas, split and batches")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # A hundred times fewer steps than the paper's: the alphas must move ten times faster.
        "quick": {
            "channels": 4,
            "cells": 3,
            "epochs": 15,
            "alpha_lr": 3e-3,
            "max_images": 3000,
        },
        "standard": {
            "channels": 8,
            "cells": 5,
            "epochs": 25,
            "alpha_lr": 1e-3,
            "max_images": 10000,
        },
        "paper": {"crop_padding": 4, "flip": True},
    }


@dataclass(frozen=True)
class TrainConfig(Config):
    """Hyper-parameters of `pydarts.train`. The defaults are the original's, arXiv:1806.09055."""

    channels: int = _option(36, "channels of the first cells", 1)
    cells: int = _option(20, "number of cells", 1)
    epochs: int | None = _option(
        600, "passes over the images; None: about 400,000 images in all", 1, none="auto"
    )
    batch_size: int = _option(96, "images a batch", 2)
    lr: float = _option(0.025, "learning rate at the start of the cosine to zero", positive=True)
    momentum: float = _option(0.9, "momentum", 0, 1)
    weight_decay: float = _option(3e-4, "weight decay")
    max_grad_norm: float = _option(5.0, "bound on the gradient's norm", positive=True)
    drop_path: float = _option(0.2, "probability of a dropped path at the last epoch", 0, 1)
    auxiliary: bool = _option(True, "train with the auxiliary head")
    auxiliary_weight: float = _option(0.4, "its weight in the loss")
    crop_padding: int = _option(0, _AUGMENTATION["crop_padding"])
    flip: bool = _option(False, _AUGMENTATION["flip"])
    cutout: int = _option(0, _AUGMENTATION["cutout"])
    memory: str = _option("store", _MEMORY, choices=("store", "recompute"))
    seed: int = _option(0, "of weights, batches and augmentation")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {
            "channels": 8,
            "cells": 5,
            "epochs": None,
            "batch_size": 64,
            "lr": 0.1,
            "drop_path": 0.0,
            "auxiliary": False,
            "crop_padding": 1,
        },
        "standard": {
            "channels": 16,
            "cells": 8,
            "epochs": 50,
            "batch_size": 96,
            "drop_path": 0.1,
            "auxiliary": False,
            "crop_padding": 2,
        },
        "paper": {"crop_padding": 4, "flip": True, "cutout": 16},
    }

    def fit_epochs(self, images: int) -> TrainConfig:
        """With `epochs` filled in: about 400,000 images seen, in 4 to 60 passes."""
        if self.epochs is not None:
            return self
        return dataclasses.replace(self, epochs=min(60, max(4, round(400_000 / images))))


_DROPOUT = {
    "dropout": "probability of dropping units of the output",
    "dropout_hidden": "of every state before its product",
    "dropout_input": "of what the cell takes",
    "dropout_embedding": "of the embedding",
}
_REGULARISATION = {
    "ar": "weight of mean(output^2) in the loss",
    "tar": "weight of mean((h_t - h_{t-1})^2) in the loss",
}


@dataclass(frozen=True)
class TextSearchConfig(Config):
    """Hyper-parameters of `pydarts.search_text`. The defaults are the original's, appendix A.2 of
    arXiv:1806.09055.
    """

    hidden_size: int = _option(300, "size of state and embedding", 1, 2**14)
    epochs: int = _option(50, "passes over the training text", 1)
    batch_size: int = _option(256, "sequences side by side, of either text", 1)
    bptt: int = _option(35, "steps of a segment", 1)
    order: int = _option(2, "order of the architecture gradient", choices=(1, 2))
    lr: float = _option(20.0, "learning rate of the weights' SGD", positive=True)
    weight_decay: float = _option(5e-7, "weight decay of the weights")
    max_grad_norm: float = _option(
        0.25, "bound on the norm of the weights' gradient", positive=True
    )
    clip_coef: str = _option(
        "original",
        "scale of the implicit term: original, or capped at 1",
        choices=("original", "capped"),
    )
    unrolled_embedding: str = _option(
        "moved",
        "embedding in the virtual step: moved, or left as in the original",
        choices=("moved", "original"),
    )
    dropout_masks: str = _option(
        "redrawn",
        "dropout masks of the alpha step's passes over the training text: redrawn for each, as in"
        " the original, or shared",
        choices=("redrawn", "shared"),
    )
    alpha_lr: float = _option(3e-3, "learning rate of the alphas", positive=True)
    alpha_betas: tuple[float, float] = _option((0.9, 0.999), "Adam's decay rates", 0, 1)
    alpha_weight_decay: float = _option(1e-3, "weight decay of the alphas")
    epsilon: float = _option(0.01, "step of the finite difference, over |v|", positive=True)
    hvp: str = _option(
        "central", "finite difference: central, or forward (faster)", choices=("central", "forward")
    )
    reuse_gradient: bool = _option(False, "step w with the virtual step's gradient (faster)")
    dropout: float = _option(0.75, _DROPOUT["dropout"], 0, 1)
    dropout_hidden: float = _option(0.25, _DROPOUT["dropout_hidden"], 0, 1)
    dropout_input: float = _option(0.75, _DROPOUT["dropout_input"], 0, 1)
    dropout_embedding: float = _option(0.2, _DROPOUT["dropout_embedding"], 0, 1)
    ar: float = _option(0.0, _REGULARISATION["ar"])
    tar: float = _option(1e-3, _REGULARISATION["tar"])
    max_tokens: int | None = _option(
        None, "search on the first so many tokens of the training text", 100, none="all"
    )
    seed: int = _option(0, "of weights, alphas, dropout and segments")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # Few and small steps on little text: less dropout, and alphas that move faster. Masks that
        # are redrawn would make the second-order term noise: with them two draws of its gradient
        # have a cosine of 0.1 at these rates, and a norm forty times that of shared ones.
        "quick": {
            "hidden_size": 64,
            "epochs": 6,
            "batch_size": 64,
            "alpha_lr": 1e-2,
            "dropout_masks": "shared",
            "dropout": 0.1,
            "dropout_hidden": 0.0,
            "dropout_input": 0.1,
            "dropout_embedding": 0.0,
            "max_tokens": 400_000,
        },
        "standard": {
            "hidden_size": 128,
            "epochs": 15,
            "batch_size": 64,
            "dropout_masks": "shared",
            "dropout": 0.3,
            "dropout_hidden": 0.1,
            "dropout_input": 0.3,
            "dropout_embedding": 0.1,
        },
        "paper": {},
    }


@dataclass(frozen=True)
class TextTrainConfig(Config):
    """Hyper-parameters of `pydarts.train_text`. The defaults are the original's, appendix B of
    arXiv:1806.09055.
    """

    hidden_size: int = _option(850, "size of state and embedding", 1, 2**14)
    epochs: int = _option(3600, "passes over the training text, at most", 1)
    max_seconds: float | None = _option(
        None, "stop after so many seconds of training", positive=True, none="never"
    )
    batch_size: int = _option(64, "sequences side by side", 1)
    bptt: int = _option(35, "steps of a segment", 1)
    lr: float = _option(20.0, "learning rate of SGD", positive=True)
    weight_decay: float = _option(8e-7, "weight decay")
    max_grad_norm: float = _option(0.25, "bound on the gradient's norm", positive=True)
    patience: int = _option(
        5, "epochs without a better validation loss before the weights are averaged", 1
    )
    dropout: float = _option(0.75, _DROPOUT["dropout"], 0, 1)
    dropout_hidden: float = _option(0.25, _DROPOUT["dropout_hidden"], 0, 1)
    dropout_input: float = _option(0.75, _DROPOUT["dropout_input"], 0, 1)
    dropout_embedding: float = _option(0.2, _DROPOUT["dropout_embedding"], 0, 1)
    ar: float = _option(0.0, _REGULARISATION["ar"])
    tar: float = _option(1e-3, _REGULARISATION["tar"])
    seed: int = _option(0, "of weights, dropout and segments")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {
            "hidden_size": 192,
            "epochs": 20,
            "patience": 2,
            "dropout": 0.1,
            "dropout_hidden": 0.0,
            "dropout_input": 0.1,
            "dropout_embedding": 0.0,
        },
        "standard": {
            "hidden_size": 400,
            "epochs": 60,
            "dropout": 0.4,
            "dropout_hidden": 0.2,
            "dropout_input": 0.4,
            "dropout_embedding": 0.1,
        },
        "paper": {},
    }
