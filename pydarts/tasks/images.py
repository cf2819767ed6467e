# SPDX-License-Identifier: MIT
"""Images and signals, and what is to be told of them: checks, parts, networks, memory."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pydarts.common.checks import choice, show
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.costs.shape import NetworkShape
from pydarts.data.augmentation import Augmentation
from pydarts.data.batches import require_batch
from pydarts.data.images import as_images, check_consistent
from pydarts.data.labels import Labels, as_sized, format_labels
from pydarts.data.lazy import HELD_BYTES, LazyArray, take
from pydarts.data.normalization import Normalization
from pydarts.data.preprocessing import Preprocessing, as_preprocessing
from pydarts.data.splits import (
    group_codes,
    sample,
    split_half,
    split_time,
    strata_codes,
    without_singles,
)
from pydarts.data.weights import ClassWeight, check_sample_weight, class_weights
from pydarts.engine.convolutional import Network, Supernet
from pydarts.models.image_model import Model
from pydarts.models.objectives import Classification, fit_objective
from pydarts.spaces.layers import check_size
from pydarts.spaces.ready import DARTS
from pydarts.spaces.space import Space
from pydarts.tasks.image_runs import Codes, Images, ImageSearchData, ImageTrainData, Pair
from pydarts.training.config import SearchConfig, TrainConfig
from pydarts.training.task import Task

Indices = NDArray[np.int64]
AnyConfig = TypeVar("AnyConfig", SearchConfig, TrainConfig)

_log = logging.getLogger("pydarts")

# Of the short trainings among which a search chooses: at a few epochs the average of the weights
# halves what the seed adds to the accuracy of a cell, and what is chosen by is the rest.
_CONTEST = {"label_smoothing": 0.1, "weight_average": 0.995, "schedule": "step"}
_CONTEST_IMAGES = 40_000
_CONTEST_EPOCH = 1500
# Networks of at least so many cells: of three in the space of DARTS, one alone is a normal one, and
# what its short training says of a cell's long one is next to nothing (benchmarks/cells.md).
_CONTEST_CELLS = 5
_SHORT = {"accuracy": "acc", "balanced_accuracy": "balanced acc", "average_precision": "mAP"}


class ImageClassification(Task):
    """Images and what is to be told of them: one class, several labels, or numbers.

    Parameters
    ----------
    X : array-like
        Images (N, H, W), (N, H, W, C) or (N, C, H, W), of at least 4x4 pixels.
    y : iterable
        (N,) labels of any hashable kind but None, or what `objective` says.
    image_layout : {"NCHW", "NHWC"}, optional
        Where the shape leaves it open.
    groups : iterable, optional
        One for each image: the halves of a search, and a test set that is held out, share none.
    preprocessing : Preprocessing, optional
        What is made of `X`, and of what is validated or tested on; models keep it.
    valid, test : tuple of (array-like, iterable), optional
        Images and labels that α learns on in a search, that a training is validated on, and that
        choose among random cells; and to score a model on.
    split : {"random", "time"}
        How the halves of a search, and a test set that is held out, are taken: at random, or the
        later part of the images, which are in the order of time.
    stratify : bool or iterable, optional
        Whether each class gets its share in random parts, by default yes; or of what else, one
        value for each image.
    space : Space, optional
        What is searched, and whether that is images or signals.
    threads : int, optional
        Of all networks; by default all.
    objective : {"multiclass", "multilabel", "regression"}, optional
        With ``"multilabel"`` `y` is a matrix (N, labels) of 0 and 1, with ``"regression"`` numbers
        (N,) or (N, outputs).
    loss : {"mse", "huber"}, optional
        Of a regression.
    huber_delta : float, optional
        Of ``"huber"``, in standard deviations of the targets.
    sample_weight : array-like, optional
        (N,) weights of the images in the loss. What weighs nothing is left out.
    class_weight : "balanced" or mapping, optional
        Weights of the classes in the loss. Models are then judged by balanced accuracy.

    Raises
    ------
    ValueError, TypeError
        For unusable images, labels or weights; names the argument.
    """

    kind = "convolutional"
    search_config = SearchConfig
    train_config = TrainConfig
    unit = "step"

    def __init__(
        self,
        X: ArrayLike,
        y: Iterable[Any],
        image_layout: str | None = None,
        *,
        groups: Iterable[Any] | None = None,
        preprocessing: Preprocessing | None = None,
        valid: tuple[ArrayLike, Iterable[Any]] | None = None,
        test: tuple[ArrayLike, Iterable[Any]] | None = None,
        space: Space = DARTS,
        threads: int | None = None,
        objective: str = "multiclass",
        loss: str | None = None,
        huber_delta: float = 1.0,
        sample_weight: ArrayLike | None = None,
        class_weight: ClassWeight | None = None,
        split: str = "random",
        stratify: bool | Iterable[Any] | None = None,
    ):
        self.space, self.image_layout = space, image_layout
        self.preprocessing = as_preprocessing(preprocessing)
        self.images: Images = self._images(X)
        if isinstance(y, np.ndarray) and y.ndim == 0:
            raise ArgumentTypeError("y", f"(={y}) must hold something for each image")
        labels = as_sized(y)
        check_consistent(self.images, labels)
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, len(self.images))
        self.objective = fit_objective(
            objective,
            labels,
            loss=loss,
            huber_delta=huber_delta,
            sample_weight=sample_weight,
            balanced=class_weight is not None,
        )
        self.metric = self.objective.metric
        self.codes: Codes = self.objective.targets.encode(labels)
        self.groups = None if groups is None else group_codes(groups, len(self.images))
        self._split = choice("split", split, ("random", "time"))
        self._stratified = stratify is not False
        self._strata = None
        if stratify is not None and not isinstance(stratify, (bool, np.bool_)):
            self._strata = strata_codes(stratify, len(self.images))
        self._check_split(groups, stratify)
        self.weights: NDArray[np.float32] | None = None
        self._class_weights: NDArray[np.float64] | None = None
        self._weigh(sample_weight, class_weight)
        self.threads = threads
        self.valid = None if valid is None else self._weighing(self._pair("valid", *valid))
        self.test = None if test is None else self._pair("test", *test)
        if self.test is not None:
            self.objective.check_test(self.test[1])
        self._learned = "`X`"  # what errors call the images

    @property
    def arrays(self) -> tuple[Any, ...]:
        others = (*(self.test or ()), *(self.valid or ()))
        return (self.images, self.codes, *self.conditions, *others)

    @property
    def counts_correct(self) -> bool:
        return self.objective.train_metric is not None

    @property
    def outputs(self) -> dict[str, Any] | None:
        try:
            return self.objective.description()
        except ValueError:  # labels that no file can hold
            return None

    @property
    def conditions(self) -> tuple[NDArray[Any], ...]:
        """What else decides what is learned: weights, a loss that the targets leave open, and how
        parts are taken if not as by default.
        """
        loss = np.frombuffer(repr(self.objective.network_options).encode(), np.uint8)
        told = self.objective.task == "regression"
        how = np.frombuffer(repr((self._split, self._stratified)).encode(), np.uint8)
        own = (self._split, self._stratified) != ("random", True)
        return (
            *((loss,) if told else ()),
            *(() if self.weights is None else (self.weights,)),
            *((how,) if own else ()),
            *(() if self._strata is None else (self._strata,)),
        )

    @property
    def labels(self) -> Labels:
        """The classes of a classification."""
        assert isinstance(self.objective, Classification)
        return self.objective.targets

    def warn_of_labels(self) -> None:
        """Log where a model of the labels cannot be saved."""
        try:
            self.objective.description()
        except ValueError as error:
            _log.warning("`Model.save` will fail: %s", error)

    def search_data(self, config: SearchConfig, rng: np.random.Generator) -> ImageSearchData:
        return ImageSearchData(self, self.complete(config), rng)

    def supernet(self, config: SearchConfig, **options: Any) -> Supernet:
        stem = self.complete(config).stem
        check_size(self.space, config.cells, stem, self.images.shape[2:])
        return Supernet(
            config.channels,
            config.cells,
            self.objective.outputs,
            self.images.shape[1],
            seed=config.seed,
            threads=self.threads,
            memory=config.memory,
            space=self.space,
            stem=stem,
            **self.objective.network_options,
            **options,
        )

    def step_options(self, config: SearchConfig) -> Mapping[str, Any]:
        return _options(config, "momentum", "weight_decay", "max_grad_norm")

    def search_bytes(self, config: SearchConfig, **options: Any) -> int:
        net = self.supernet(config, **options)
        return self._bytes(net, config.batch_size, config.max_images)

    def train_bytes(self, genotype: Any, config: TrainConfig) -> int:
        return self._bytes(self.model(genotype, config).network, config.batch_size, None)

    def savings(self, config: SearchConfig | TrainConfig) -> Iterator[dict[str, Any]]:
        yield {"memory": "recompute"}
        batch = config.batch_size // 2
        while batch >= 2:
            yield {"batch_size": batch, "memory": "recompute"}
            batch //= 2

    def train_data(self, config: TrainConfig, rng: np.random.Generator) -> ImageTrainData:
        return ImageTrainData(self, config, rng)

    def check_train(self, config: TrainConfig) -> None:
        if config.restore_best_weights and self.valid is None:
            problem = "(=True) needs data to validate on: `X_valid` and `y_valid`, or --valid"
            raise ArgumentError("restore_best_weights", problem)
        if config.label_smoothing > 0 and self.objective.task == "regression":
            problem = f"(={config.label_smoothing}) must be 0 in a regression"
            raise ArgumentError("label_smoothing", problem)
        Augmentation.of(config).check(*self.images.shape[1:])
        count, batch_size = len(self.images), self.complete(config).batch_size
        require_batch(count, batch_size, self._learned)
        if config.epoch_images is not None and not batch_size <= config.epoch_images <= count:
            problem = f"(={config.epoch_images}) must be from {batch_size}, which a batch takes, to"
            raise ArgumentError("epoch_images", f"{problem} {count}, which there are")

    def complete(self, config: AnyConfig) -> AnyConfig:
        count = len(self.images)
        if isinstance(config, SearchConfig):
            count = self._smaller_half(config)
        return config.completed(count, self.images.shape[2:])

    def _smaller_half(self, config: SearchConfig) -> int:
        """How many images the smaller half of a search has, where that may decide its batches."""
        count = min(len(self.images), config.max_images or len(self.images))
        if self.valid is not None:
            return min(count, len(self.valid[0]))
        half = int(count * min(config.train_fraction, 1 - config.train_fraction))
        if half >= 4 * config.batch_size:
            return half
        rng = np.random.default_rng(config.seed)  # the split of the search itself
        chosen = self.draw(config.max_images, rng)
        try:
            return min(half, *map(len, self.halves(chosen, rng, config.train_fraction)))
        except ValueError:  # which the search tells
            return half

    def model(self, genotype: Any, config: TrainConfig) -> Model:
        config = self.complete(config)
        check_size(genotype.space, config.cells, config.stem, self.images.shape[2:])
        net = Network(
            genotype,
            config.channels,
            config.cells,
            self.objective.outputs,
            self.images.shape[1],
            auxiliary=config.auxiliary,
            auxiliary_weight=config.auxiliary_weight,
            seed=config.seed,
            threads=self.threads,
            memory=config.memory,
            stem=config.stem,
            **self.objective.network_options,
        )
        normalization = Normalization.fit(self.images)
        size, layout = self.images.shape[2:], self.image_layout
        return Model(
            net,
            normalization,
            self.objective,
            size,
            config,
            image_layout=layout,
            preprocessing=self.preprocessing,
        )

    def network_shape(self, config: TrainConfig) -> NetworkShape:
        """Return the sizes on which the costs of a network of a configuration depend."""
        config = self.complete(config)
        height, width = self.images.shape[2:]
        outputs, in_channels = self.objective.outputs, self.images.shape[1]
        sizes = config.channels, config.cells, outputs, in_channels
        return NetworkShape((height, width), *sizes, config.stem)

    def sgd_options(self, config: TrainConfig) -> Mapping[str, Any]:
        return _options(config, "momentum", "weight_decay", "max_grad_norm")

    def averaging(self, config: TrainConfig) -> Mapping[str, Any]:
        return {"decay": config.weight_average}

    def contest_config(self, config: SearchConfig, epochs: int | None, seed: int) -> TrainConfig:
        augmentation = (*(each.name for each in fields(Augmentation)), "mixup")
        sizes = ("channels", "cells", "batch_size", "stem", "memory")
        count = len(self.images)
        part = min(count, max(_CONTEST_EPOCH, config.batch_size))
        shown = round(_CONTEST_IMAGES / part)
        whole = self.space.stack is not None and not self.space.stack.counts_stages
        values = {
            **_options(config, *sizes, *augmentation),
            "cells": max(config.cells, _CONTEST_CELLS) if whole else config.cells,
            **_CONTEST,
            **({"label_smoothing": 0.0} if self.objective.task == "regression" else {}),
            "epochs": epochs or min(60, max(4, shown)),
            "epoch_images": part if part < count else None,
            "seed": seed,
        }
        return self.complete(TrainConfig.make("quick", values))

    def score(self, model: Model) -> float:
        assert self.test is not None
        x, codes = self.test
        logits = model.network.logits
        batches = [x[start : start + 256] for start in range(0, len(x), 256)]
        apply = model.normalization.apply
        found = [logits(apply(batch), training=False) for batch in batches]
        return self.objective.score(np.concatenate(found), codes)

    def split(self, train_fraction: float, rng: np.random.Generator) -> ImageClassification:
        if self.valid is not None:
            return self.contest(np.arange(len(self.images)), self.valid)
        kept, test = self.halves(np.arange(len(self.images)), rng, train_fraction)
        return self._part(kept, test)

    def hold_out(self, fraction: float, rng: np.random.Generator) -> ImageClassification:
        """Return the task with a fraction of each class as the test set: those of
        `pydarts.data.splits.hold_out`; or the last images, where they are in the order of time.
        """
        everything = np.arange(len(self.images))
        if self._split == "time":
            return self._part(*self.halves(everything, rng, 1 - fraction))
        test, kept = self._split_parts(everything, rng, fraction)
        self._require_classes(self.codes[kept])
        return self._part(kept, test)

    def strata(self) -> Indices:
        """Numbers by which samples and parts keep shares."""
        if self._strata is not None:
            return without_singles(self._strata)  # a part may hold but one of two
        strata = self.objective.targets.strata(self.codes)
        return strata if self._stratified else np.zeros_like(strata)

    def draw(self, size: int | None, rng: np.random.Generator) -> Indices:
        """Draw so many of the samples, or all, in which each stratum has its share."""
        labels = self.labels if isinstance(self.objective, Classification) else None
        chosen, _ = sample(np.arange(len(self.codes)), self.strata(), size, rng, labels=labels)
        return chosen

    def halves(
        self, chosen: Indices, rng: np.random.Generator, fraction: float
    ) -> tuple[Indices, Indices]:
        """Split some of the samples as `split_half` does: by class, set of labels or size of the
        number. Where groups stay together, sets and sizes are left to chance. Returned are places
        in ``chosen``, of which the first are learned from and have all classes.
        """
        parts = self._split_parts(chosen, rng, fraction)
        self._require_classes(self.codes[chosen[parts[0]]])
        return parts

    def _split_parts(
        self, chosen: Indices, rng: np.random.Generator, fraction: float
    ) -> tuple[Indices, Indices]:
        groups = None if self.groups is None else self.groups[chosen]
        classes = isinstance(self.objective, Classification)
        if self._split == "time":
            return split_time(len(chosen), fraction)
        if classes and self._stratified and self._strata is None:
            codes = self.codes[chosen]
            return split_half(codes, rng, fraction, labels=self.labels, groups=groups)
        strata = without_singles(self.strata()[chosen])
        if groups is not None and self._strata is None:
            strata = np.zeros_like(strata)
        return split_half(strata, rng, fraction, groups=groups)

    def epoch_line(self, entry: Mapping[str, Any], epochs: int) -> str:
        text = f"epoch {entry['epoch']:3d}/{epochs}"
        right = self.objective.train_metric
        text += f"  train loss {entry['train_loss']:.3f}"
        if right is not None:
            text += f" acc {entry[right]:7.2%}"
        if "valid_loss" in entry:
            text += f"  valid loss {entry['valid_loss']:.3f}"
            metric = self.objective.metric
            value = entry[f"valid_{metric.key}"]
            if metric.suffix == " %":
                text += f" {_SHORT.get(metric.key, metric.key)} {value or 0:7.2%}"
            else:
                text += f" {metric.name} {math.nan if value is None else value:.3f}"
        return text

    def class_weight_of(self, codes: Codes) -> NDArray[np.float32] | None:
        """The weights of such samples by their classes alone."""
        return None if self._class_weights is None else _scaled(self._class_weights[codes])

    def _weigh(self, sample_weight: Any, class_weight: ClassWeight | None) -> None:
        if sample_weight is None and class_weight is None:
            return
        weights = np.ones(len(self.images)) if sample_weight is None else sample_weight
        if class_weight is not None:
            if not isinstance(self.objective, Classification):
                problem = (
                    f"(={show(class_weight)}) is for `task`='multiclass', where a sample has one"
                )
                problem += f" class, not for {self.objective.task!r}: `sample_weight` is for both"
                raise ArgumentError("class_weight", problem)
            self._class_weights = class_weights(class_weight, self.labels, self.codes)
            weights = weights * self._class_weights[self.codes]
        scaled = _scaled(weights)
        kept = scaled > 0
        if not kept.any():
            raise ArgumentError("class_weight", "leaves no sample with a weight of more than 0")
        if not kept.all():
            self.images = take(self.images, kept)
            self.codes, scaled = self.codes[kept], scaled[kept]
            self.groups = None if self.groups is None else self.groups[kept]
            self._strata = None if self._strata is None else self._strata[kept]
        self.weights = scaled

    def _bytes(self, net: Any, batch_size: int, max_images: int | None) -> int:
        net.use_ranks(self.ranks)
        plan = net.memory_plan(batch_size, self.images.shape[2:])
        total: int = self.ranks.of_first(plan["total"])
        count = min(max_images or len(self.images), len(self.images))
        pixels = 4 * count * math.prod(self.images.shape[1:])
        lazy = isinstance(self.images, LazyArray)
        return total + (min(pixels, 2 * HELD_BYTES) if lazy else pixels)

    def contest(self, learned: Indices, test: Pair) -> ImageClassification:
        """The task of learning from some of the images, and being scored on others."""
        part = self._part(learned, learned[:0])
        part.valid, part.test = None, test
        return part

    def _part(self, kept: Codes, test: Codes) -> ImageClassification:
        part = copy(self)
        part.images, part.codes = take(self.images, kept), self.codes[kept]
        part.groups = None if self.groups is None else self.groups[kept]
        part.weights = None if self.weights is None else self.weights[kept]
        part._strata = None if self._strata is None else self._strata[kept]
        part.test = take(self.images, test), self.codes[test]
        part._learned = "the part of `X` that is trained on"
        return part

    def _check_split(self, groups: Any, stratify: Any) -> None:
        """Raise ArgumentError where options of the split exclude each other."""
        if self._split != "time":
            return
        if groups is not None:
            raise ArgumentError("groups", "have no use with `split`='time'")
        if stratify is not None:
            raise ArgumentError("stratify", "has no use with `split`='time'")

    def _require_classes(self, codes: Codes) -> None:
        """Raise ArgumentError if what is learned from lacks a class that there is."""
        if not isinstance(self.objective, Classification):
            return
        lacking = np.setdiff1d(self.codes, codes)  # some may weigh nothing
        if lacking.size:
            name, value = "stratify", "(=False)"
            if self._split == "time":
                name, value = "split", "(='time')"
            elif self._strata is not None:
                value = ""
            names = format_labels(self.labels.classes[code] for code in lacking.tolist())
            problem = f"{value} leaves nothing to learn from of {names}".strip()
            raise ArgumentError(name, problem)

    def _images(self, X: ArrayLike) -> Images:
        prepared, dimensions = self.preprocessing.apply(X), self.space.dimensions
        images: Images = as_images(prepared, image_layout=self.image_layout, dimensions=dimensions)
        return images

    def _pair(self, name: str, X: ArrayLike, y: Iterable[Any]) -> Pair:
        """Images and codes of labels that are validated or tested on."""
        try:
            images = self._images(X)
            codes = self.objective.targets.encode(y)
        except ArgumentError as error:
            raise ArgumentError(f"{error.argument}_{name}", error.problem) from error
        if len(images) != len(codes):
            labels = f"`y_{name}` holds {len(codes)} labels"
            raise ArgumentError(f"X_{name}", f"holds {len(images)} images but {labels}")
        if images.shape[1] != self.images.shape[1]:
            channels = f"{images.shape[1]} channel(s), those of `X` {self.images.shape[1]}"
            raise ArgumentError(f"X_{name}", f"holds images of {channels}")
        return images, codes

    def _weighing(self, valid: Pair) -> Pair:
        """What is validated on without the classes that weigh nothing."""
        if self._class_weights is None:
            return valid
        images, codes = valid
        kept = self._class_weights[codes] > 0
        if kept.all():
            return valid
        if not kept.any():
            problem = "leaves nothing of `X_valid` with a weight of more than 0"
            raise ArgumentError("class_weight", problem)
        return take(images, kept), codes[kept]


def _scaled(weights: NDArray[Any]) -> NDArray[np.float32]:
    """Weights as the engine takes them: of mean 1, by which no loss changes."""
    largest = weights / weights.max()  # so that no sum overflows
    scaled: NDArray[np.float32] = (largest / largest.mean()).astype(np.float32)
    return scaled


def _options(config: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(config, name) for name in names}
