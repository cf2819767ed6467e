# SPDX-License-Identifier: MIT
"""Hyper-parameters of searches and trainings, over images and over text, with their presets."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pydarts.training.config_base import Config, option

_MEMORY = "store, or recompute to trade time for memory"
_STEM = "what the network begins with; auto: imagenet from 64 pixels, or 1,024 samples, on"
_STEMS = ("auto", "cifar", "imagenet")
_LARGE_SIDE, _LARGE_LENGTH = 64, 1024  # from here on the ImageNet stem
# Of a training whose epochs are not given: how many images it shows, and, where they are few, how
# many steps it takes within how many images.
_AUTO_IMAGES, _FEW_STEPS, _FEW_IMAGES = 400_000, 2000, 64_000
_AUGMENTATION = {
    "crop_padding": "random crop after padding by this many pixels",
    "flip": "random horizontal flip (wrong for digits and letters)",
    "cutout": "side of a random square of zeros",
    "shift": "random shift along the width, or in time, by up to this many pixels or samples",
    "rotate": "random quarter turns of square images",
    "time_mask": "width of a random stretch of zeros in time, at most",
    "frequency_mask": "height of a random band of zeros of a spectrogram, at most",
    "noise": "standard deviation of normal noise, in those of the data",
    "mixup": "mix pairs of samples by shares of Beta(a, a) with this a; 0: do not",
}


@dataclass(frozen=True, kw_only=True)
class SearchConfig(Config):
    """Hyper-parameters of `pydarts.search`. The defaults are the original's, arXiv:1806.09055."""

    channels: int = option(16, "channels of the first cells", 1)
    cells: int = option(8, "number of cells", 1)
    epochs: int = option(50, "passes over the training half", 1)
    batch_size: int = option(64, "images in a batch, of either half", 2)
    order: int = option(2, "order of the architecture gradient", choices=(1, 2))
    lr: float = option(0.025, "learning rate of the weights at the start", positive=True)
    lr_min: float = option(0.001, "learning rate at the end of the cosine")
    momentum: float = option(0.9, "momentum of the weights", 0, 1)
    weight_decay: float = option(3e-4, "weight decay of the weights")
    max_grad_norm: float = option(5.0, "bound on the norm of the weights' gradient", positive=True)
    alpha_lr: float = option(3e-4, "learning rate of α", positive=True)
    alpha_betas: tuple[float, float] = option((0.5, 0.999), "Adam's decay rates", 0, 1)
    alpha_weight_decay: float = option(1e-3, "weight decay of α")
    epsilon: float = option(0.01, "step of the finite difference, over v's norm", positive=True)
    hvp: str = option(
        "central", "finite difference: central, or forward (faster)", choices=("central", "forward")
    )
    reuse_gradient: bool = option(False, "step w with the unrolled step's gradient (faster)")
    stem: str = option("auto", _STEM, choices=_STEMS)
    memory: str = option("store", _MEMORY, choices=("store", "recompute"))
    train_fraction: float = option(
        0.5, "share of the images that the weights learn on", below=1, positive=True
    )
    max_images: int | None = option(
        None, "search on a random sample of this many images", 4, none="all"
    )
    crop_padding: int = option(0, _AUGMENTATION["crop_padding"])
    flip: bool = option(False, _AUGMENTATION["flip"])
    cutout: int = option(0, _AUGMENTATION["cutout"])
    shift: int = option(0, _AUGMENTATION["shift"])
    rotate: bool = option(False, _AUGMENTATION["rotate"])
    time_mask: int = option(0, _AUGMENTATION["time_mask"])
    frequency_mask: int = option(0, _AUGMENTATION["frequency_mask"])
    noise: float = option(0.0, _AUGMENTATION["noise"])
    mixup: float = option(0.0, _AUGMENTATION["mixup"], 0, 1000)
    seed: int = option(0, "of weights, α, split and batches")

    earlier: ClassVar[Mapping[str, Any]] = {"stem": "cifar"}
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # A hundred times fewer steps than the paper's: α must move ten times faster.
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
    # By mixing weights alone no method was shown to beat random cells (benchmarks/cells.md).
    selectors: ClassVar[Mapping[str, str]] = {"quick": "finalists", "standard": "finalists"}

    def completed(self, images: int, size: Sequence[int]) -> SearchConfig:
        """With `stem` filled in, and a batch that so many images of a size in either half fill."""
        batch_size, stem = batch_of_few(self, images), _completed_stem(self.stem, size)
        return dataclasses.replace(self, batch_size=batch_size, stem=stem)

    def describe_size(self) -> str:
        """The size of the supernet, for people."""
        return f"{self.channels} channels, {self.cells} cells"


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Config):
    """Hyper-parameters of `pydarts.train`. The defaults are the original's, arXiv:1806.09055.

    The cutout of ``"paper"``, 16, is half a side of CIFAR-10's images. It may leave nothing of
    images whose sides are of 16 pixels or less, which need a smaller one.
    """

    channels: int = option(36, "channels of the first cells", 1)
    cells: int = option(20, "number of cells", 1)
    epochs: int | None = option(
        600,
        "passes over the images; None: about 400,000 images in all, or up to 2,000 steps",
        1,
        none="auto",
    )
    epoch_images: int | None = option(
        None, "images of an epoch, drawn anew for each; None: all of them", 2, none="all"
    )
    batch_size: int = option(96, "images in a batch", 2)
    lr: float = option(0.025, "learning rate at the start of the cosine to zero", positive=True)
    momentum: float = option(0.9, "momentum", 0, 1)
    weight_decay: float = option(3e-4, "weight decay")
    max_grad_norm: float = option(5.0, "bound on the gradient's norm", positive=True)
    schedule: str = option(
        "epoch", "the cosine falls after each epoch, or step", choices=("epoch", "step")
    )
    warmup: float = option(
        0.0, "share of the steps over which the learning rate first rises, linearly", 0, 1
    )
    label_smoothing: float = option(
        0.0, "share of the targets that is spread evenly over all classes", 0, 1
    )
    weight_average: float = option(
        0.0, "decay a step of the average of the weights that is kept; 0: keep the last", 0, 1
    )
    drop_path: float = option(0.2, "probability of a dropped path at the last epoch", 0, 1)
    auxiliary: bool = option(True, "train with the auxiliary head")
    auxiliary_weight: float = option(0.4, "its weight in the loss")
    crop_padding: int = option(0, _AUGMENTATION["crop_padding"])
    flip: bool = option(False, _AUGMENTATION["flip"])
    cutout: int = option(0, _AUGMENTATION["cutout"])
    shift: int = option(0, _AUGMENTATION["shift"])
    rotate: bool = option(False, _AUGMENTATION["rotate"])
    time_mask: int = option(0, _AUGMENTATION["time_mask"])
    frequency_mask: int = option(0, _AUGMENTATION["frequency_mask"])
    noise: float = option(0.0, _AUGMENTATION["noise"])
    mixup: float = option(0.0, _AUGMENTATION["mixup"], 0, 1000)
    stem: str = option("auto", _STEM, choices=_STEMS)
    memory: str = option("store", _MEMORY, choices=("store", "recompute"))
    restore_best_weights: bool = option(
        False, "end with the weights of the epoch of the lowest validation loss"
    )
    seed: int = option(0, "of weights, batches and augmentation")

    earlier: ClassVar[Mapping[str, Any]] = {"stem": "cifar"}
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

    def completed(self, images: int, size: Sequence[int]) -> TrainConfig:
        """With `stem` filled in, a batch that so many images fill, and `epochs`: about 400,000
        images seen, in 4 to 60 passes; of few images 2,000 steps, if these show at most 64,000.
        """
        batch_size = batch_of_few(self, images)
        passed = self.epoch_images or images
        shown = min(60, max(4, round(_AUTO_IMAGES / passed)))
        epochs = self.epochs or max(shown, epochs_of_few(passed, batch_size))
        stem = _completed_stem(self.stem, size)
        return dataclasses.replace(self, batch_size=batch_size, epochs=epochs, stem=stem)


def epochs_of_few(images: int, batch_size: int) -> int:
    """The epochs in which few images give 2,000 steps, if these show at most 64,000."""
    steps = max(1, images // batch_size)  # in a pass
    return min(math.ceil(_FEW_STEPS / steps), _FEW_IMAGES // images)


def batch_of_few(config: SearchConfig | TrainConfig, images: int) -> int:
    """The size of a batch: where there are fewer images than one of a preset takes, an eighth of
    them, or 8. The paper's is the paper's, and one that was asked for too large an error.
    """
    own = (
        config.preset != "paper"
        and config.batch_size == type(config).make(config.preset).batch_size
    )
    if not own or not 2 <= images < config.batch_size:
        return config.batch_size
    return max(images // 8, min(8, images))


def _completed_stem(stem: str, size: Sequence[int]) -> str:
    if stem != "auto":
        return stem
    height, width = size
    large = width >= _LARGE_LENGTH if height == 1 else min(height, width) >= _LARGE_SIDE
    return "imagenet" if large else "cifar"


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


@dataclass(frozen=True, kw_only=True)
class TextSearchConfig(Config):
    """Hyper-parameters of `pydarts.search_text`. The defaults are the original's, appendix A.2 of
    arXiv:1806.09055.
    """

    hidden_size: int = option(300, "size of state and embedding", 1, 2**14)
    epochs: int = option(50, "passes over the training text", 1)
    batch_size: int = option(256, "sequences side by side, of either text", 1)
    bptt: int = option(35, "steps of a segment", 1)
    order: int = option(2, "order of the architecture gradient", choices=(1, 2))
    lr: float = option(20.0, "learning rate of the weights' SGD", positive=True)
    weight_decay: float = option(5e-7, "weight decay of the weights")
    max_grad_norm: float = option(0.25, "bound on the norm of the weights' gradient", positive=True)
    clip_coef: str = option(
        "original",
        "scale of the implicit term: original, or capped at 1",
        choices=("original", "capped"),
    )
    unrolled_embedding: str = option(
        "moved",
        "embedding in the unrolled step: moved, or left as in the original",
        choices=("moved", "original"),
    )
    dropout_masks: str = option(
        "redrawn",
        "dropout masks of the α step's passes over the training text: redrawn for each, as in"
        " the original, or shared",
        choices=("redrawn", "shared"),
    )
    alpha_lr: float = option(3e-3, "learning rate of α", positive=True)
    alpha_betas: tuple[float, float] = option((0.9, 0.999), "Adam's decay rates", 0, 1)
    alpha_weight_decay: float = option(1e-3, "weight decay of α")
    epsilon: float = option(0.01, "step of the finite difference, over v's norm", positive=True)
    hvp: str = option(
        "central", "finite difference: central, or forward (faster)", choices=("central", "forward")
    )
    reuse_gradient: bool = option(False, "step w with the unrolled step's gradient (faster)")
    dropout: float = option(0.75, _DROPOUT["dropout"], 0, 1)
    dropout_hidden: float = option(0.25, _DROPOUT["dropout_hidden"], 0, 1)
    dropout_input: float = option(0.75, _DROPOUT["dropout_input"], 0, 1)
    dropout_embedding: float = option(0.2, _DROPOUT["dropout_embedding"], 0, 1)
    ar: float = option(0.0, _REGULARISATION["ar"])
    tar: float = option(1e-3, _REGULARISATION["tar"])
    max_tokens: int | None = option(
        None, "search on the first so many tokens of the training text", 100, none="all"
    )
    seed: int = option(0, "of weights, α, dropout and segments")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # Few and small steps on little text: less dropout, and an α that moves faster. Masks that
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

    def describe_size(self) -> str:
        """The size of the supernet, for people."""
        return f"hidden size {self.hidden_size}"


@dataclass(frozen=True, kw_only=True)
class TextTrainConfig(Config):
    """Hyper-parameters of `pydarts.train_text`. The defaults are the original's, appendix B of
    arXiv:1806.09055.
    """

    hidden_size: int = option(850, "size of state and embedding", 1, 2**14)
    epochs: int = option(3600, "passes over the training text, at most", 1)
    batch_size: int = option(64, "sequences side by side", 1)
    bptt: int = option(35, "steps of a segment", 1)
    lr: float = option(20.0, "learning rate of SGD", positive=True)
    weight_decay: float = option(8e-7, "weight decay")
    max_grad_norm: float = option(0.25, "bound on the gradient's norm", positive=True)
    patience: int = option(
        5,
        "weights are averaged once the validation loss is above the lowest of more than so many"
        " epochs before",
        1,
    )
    dropout: float = option(0.75, _DROPOUT["dropout"], 0, 1)
    dropout_hidden: float = option(0.25, _DROPOUT["dropout_hidden"], 0, 1)
    dropout_input: float = option(0.75, _DROPOUT["dropout_input"], 0, 1)
    dropout_embedding: float = option(0.2, _DROPOUT["dropout_embedding"], 0, 1)
    ar: float = option(0.0, _REGULARISATION["ar"])
    tar: float = option(1e-3, _REGULARISATION["tar"])
    restore_best_weights: bool = option(
        True, "end with the weights of the epoch of the lowest validation loss"
    )
    seed: int = option(0, "of weights, dropout and segments")

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


#: The class of a search's configuration, by the kind of space.
SEARCH_CONFIGS: Mapping[str, type[Config]] = {
    "convolutional": SearchConfig,
    "recurrent": TextSearchConfig,
}
