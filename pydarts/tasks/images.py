# SPDX-License-Identifier: MIT
"""Image classification: halves and batches of images, networks, accuracy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sized
from copy import copy
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pydarts.common.errors import ArgumentError
from pydarts.costs.shape import NetworkShape
from pydarts.data.augmentation import Augmentation
from pydarts.data.batches import Batches, require_batch
from pydarts.data.images import as_images, check_consistent
from pydarts.data.labels import Labels
from pydarts.data.normalization import Normalization
from pydarts.data.preprocessing import Preprocessing, as_preprocessing
from pydarts.data.splits import group_codes, sample, split_half
from pydarts.engine.convolutional import Network, Supernet
from pydarts.models.image_model import Model
from pydarts.models.scores import image_loss
from pydarts.spaces.ready import DARTS
from pydarts.spaces.space import Space
from pydarts.training.config import SearchConfig, TrainConfig
from pydarts.training.metrics import ACCURACY
from pydarts.training.task import Metrics, SearchData, Task, TrainData

Images = NDArray[Any]
Codes = NDArray[np.int64]
Pair = tuple[Images, Codes]
AnyConfig = TypeVar("AnyConfig", SearchConfig, TrainConfig)


def cosine(first: float, last: float, epoch: float, epochs: float) -> float:
    """Learning rate of an epoch t of T, from 0: ``last + (first - last) (1 + cos(pi t/T)) / 2``."""
    return last + (first - last) * (1 + math.cos(math.pi * epoch / epochs)) / 2


def smoothed_targets(classes: int, smoothing: float) -> NDArray[np.float32] | None:
    """The class distribution (classes, classes) of each label; None: that of the label alone.

    ``(1 - smoothing)`` on the label and ``smoothing / classes`` on every class (Szegedy et al.,
    arXiv:1512.00567): the label stays the most likely one, which predictions are compared with.
    """
    if smoothing == 0:
        return None
    even = np.full((classes, classes), smoothing / classes)
    return (even + (1 - smoothing) * np.eye(classes)).astype(np.float32)


class ImageClassification(Task):
    """Images and their labels.

    Parameters
    ----------
    X : array-like
        Images (N, H, W), (N, H, W, C) or (N, C, H, W), of at least 4x4 pixels.
    y : iterable
        (N,) labels of any hashable kind.
    image_layout : {"NCHW", "NHWC"}, optional
        Where the shape leaves it open.
    groups : iterable, optional
        One for each image: the halves of a search, and a test set that is held out, share none.
    preprocessing : Preprocessing, optional
        What is made of `X`, and of what is validated or tested on; models keep it.
    valid, test : tuple of (array-like, iterable), optional
        Images and labels to validate a training on, and to score a model on.
    space : Space, optional
        What is searched, and whether that is images or signals.
    threads : int, optional
        Of all networks; by default all.

    Raises
    ------
    ValueError, TypeError
        For unusable images or labels; names the argument.
    """

    kind = "convolutional"
    search_config = SearchConfig
    train_config = TrainConfig
    metric = ACCURACY
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
    ):
        self.space, self.image_layout = space, image_layout
        self.preprocessing = as_preprocessing(preprocessing)
        self.images: Images = self._images(X)
        labels = y if isinstance(y, Sized) else list(y)
        check_consistent(self.images, labels)
        self.labels = Labels.fit(labels)
        self.codes: Codes = self.labels.encode(labels)
        self.groups = None if groups is None else group_codes(groups, len(self.images))
        self.threads = threads
        self.valid = None if valid is None else self._pair("valid", *valid)
        self.test = None if test is None else self._pair("test", *test)
        self._learned = "`X`"  # what errors call the images

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        return (self.images, self.codes, *(self.test or ()))

    def search_data(self, config: SearchConfig, rng: np.random.Generator) -> ImageSearchData:
        return ImageSearchData(self, config, rng)

    def supernet(self, config: SearchConfig, **options: Any) -> Supernet:
        return Supernet(
            config.channels,
            config.cells,
            len(self.labels),
            self.images.shape[1],
            seed=config.seed,
            threads=self.threads,
            memory=config.memory,
            space=self.space,
            stem=self.complete(config).stem,
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
            problem = "(=True) needs `X_valid` and `y_valid`, which `pydarts.train` takes"
            raise ArgumentError("restore_best_weights", problem)
        require_batch(len(self.images), config.batch_size, self._learned)

    def complete(self, config: AnyConfig) -> AnyConfig:
        return config.completed(len(self.images), self.images.shape[2:])

    def model(self, genotype: Any, config: TrainConfig) -> Model:
        config = self.complete(config)
        net = Network(
            genotype,
            config.channels,
            config.cells,
            len(self.labels),
            self.images.shape[1],
            auxiliary=config.auxiliary,
            auxiliary_weight=config.auxiliary_weight,
            seed=config.seed,
            threads=self.threads,
            memory=config.memory,
            stem=config.stem,
        )
        normalization = Normalization.fit(self.images)
        size, layout = self.images.shape[2:], self.image_layout
        return Model(
            net,
            normalization,
            self.labels,
            size,
            config,
            image_layout=layout,
            preprocessing=self.preprocessing,
        )

    def network_shape(self, config: TrainConfig) -> NetworkShape:
        """Return the sizes on which the costs of a network of a configuration depend."""
        config = self.complete(config)
        height, width = self.images.shape[2:]
        classes, in_channels = len(self.labels), self.images.shape[1]
        sizes = config.channels, config.cells, classes, in_channels
        return NetworkShape((height, width), *sizes, config.stem)

    def sgd_options(self, config: TrainConfig) -> Mapping[str, Any]:
        return _options(config, "momentum", "weight_decay", "max_grad_norm")

    def averaging(self, config: TrainConfig) -> Mapping[str, Any]:
        return {"decay": config.weight_average}

    def score(self, model: Model) -> float:
        assert self.test is not None
        x, codes = self.test
        logits = model.network.logits
        batches = [x[start : start + 256] for start in range(0, len(x), 256)]
        apply = model.normalization.apply
        found = [logits(apply(batch), training=False).argmax(axis=1) for batch in batches]
        return float((np.concatenate(found) == codes).mean())

    def split(self, train_fraction: float, rng: np.random.Generator) -> ImageClassification:
        labels, groups = self.labels, self.groups
        kept, test = split_half(self.codes, rng, train_fraction, labels=labels, groups=groups)
        return self._part(kept, test)

    def hold_out(self, fraction: float, rng: np.random.Generator) -> ImageClassification:
        """Return the task with a fraction of each class as the test set: those of
        `pydarts.data.splits.hold_out`.
        """
        labels, groups = self.labels, self.groups
        test, kept = split_half(self.codes, rng, fraction, labels=labels, groups=groups)
        return self._part(kept, test)

    def epoch_line(self, entry: Mapping[str, Any], epochs: int) -> str:
        text = f"epoch {entry['epoch']:3d}/{epochs}"
        text += f"  train loss {entry['train_loss']:.3f} acc {entry['train_accuracy']:7.2%}"
        if "valid_loss" in entry:
            text += f"  valid loss {entry['valid_loss']:.3f} acc {entry['valid_accuracy']:7.2%}"
        return text

    def _bytes(self, net: Any, batch_size: int, max_images: int | None) -> int:
        plan: dict[str, int] = net.memory_plan(batch_size, self.images.shape[2:])
        count = min(max_images or len(self.images), len(self.images))
        return plan["total"] + 4 * count * math.prod(self.images.shape[1:])

    def _part(self, kept: Codes, test: Codes) -> ImageClassification:
        part = copy(self)
        part.images, part.codes = self.images[kept], self.codes[kept]
        part.groups = None if self.groups is None else self.groups[kept]
        part.test = self.images[test], self.codes[test]
        part._learned = "the part of `X` that is trained on"
        return part

    def _images(self, X: ArrayLike) -> Images:
        prepared, dimensions = self.preprocessing.apply(X), self.space.dimensions
        return as_images(prepared, image_layout=self.image_layout, dimensions=dimensions)

    def _pair(self, name: str, X: ArrayLike, y: Iterable[Any]) -> Pair:
        """Images and codes of labels that are validated or tested on."""
        try:
            images = self._images(X)
            codes = self.labels.encode(y)
        except ArgumentError as error:
            raise ArgumentError(f"{error.argument}_{name}", error.problem) from error
        if len(images) != len(codes):
            labels = f"`y_{name}` holds {len(codes)} labels"
            raise ArgumentError(f"X_{name}", f"holds {len(images)} images but {labels}")
        if images.shape[1] != self.images.shape[1]:
            channels = f"{images.shape[1]} channel(s), those of `X` {self.images.shape[1]}"
            raise ArgumentError(f"X_{name}", f"holds images of {channels}")
        return images, codes


class ImageSearchData(SearchData):
    """The halves of the images, normalised by the training half."""

    batches: Batches
    valid: Batches

    def __init__(self, task: ImageClassification, config: SearchConfig, rng: np.random.Generator):
        self._config, self._rng = config, rng
        everything = np.arange(len(task.codes))
        chosen, codes = sample(everything, task.codes, config.max_images, rng)
        groups = None if task.groups is None else task.groups[chosen]
        try:
            train, valid = split_half(
                codes, rng, config.train_fraction, labels=task.labels, groups=groups
            )
        except ValueError as error:
            if len(codes) == len(task.codes):
                raise
            problem = f"(={config.max_images}) is too small: {error}"
            raise ArgumentError("max_images", problem) from None
        require_batch(min(len(train), len(valid)), config.batch_size, "either half of `X`")
        images = task.images[chosen[train]]
        normalization = Normalization.fit(images)
        self._train: Pair = normalization.apply(images), codes[train]
        self._valid: Pair = normalization.apply(task.images[chosen[valid]]), codes[valid]
        self._augment = Augmentation(config.crop_padding, config.flip, config.cutout)
        self.batches = Batches(len(train), config.batch_size, rng)
        self.valid = Batches(len(valid), config.batch_size, rng)
        # Groups are part of what a checkpoint goes on with: they decide the halves.
        self.arrays = (task.images, task.codes, *(() if task.groups is None else (task.groups,)))
        self.units = self.steps = len(train) // config.batch_size
        self.validations = len(valid) / config.batch_size
        self.amount = "max_images", len(codes)

    def valid_batches(self) -> Iterator[NDArray[np.int64]]:
        return self.valid.endless()

    def size(self, item: NDArray[np.int64]) -> tuple[int, int]:
        return len(item), 1

    def inputs(
        self, item: NDArray[np.int64], valid_item: NDArray[np.int64], epoch: int
    ) -> dict[str, Any]:
        (x, y), (x_valid, y_valid) = self._train, self._valid
        return {
            "train": (self._augment(x[item], self._rng), y[item]),
            "valid": (self._augment(x_valid[valid_item], self._rng), y_valid[valid_item]),
            "lr": self._lr(epoch),
        }

    def trial_inputs(self) -> dict[str, Any]:
        size = self._config.batch_size
        (x, y), (x_valid, y_valid) = self._train, self._valid
        return {"train": (x[:size], y[:size]), "valid": (x_valid[:size], y_valid[:size]), "lr": 0.0}

    def metrics(self, loop: Any, network: Supernet, epoch: int) -> Metrics:
        mixture, size = loop.mixture or (), self._config.batch_size
        loss, accuracy = image_loss(network, *self._valid, size, *mixture)
        return {
            "lr": self._lr(epoch),
            "train_loss": loop.train_loss,
            "train_accuracy": loop.train_accuracy,
            "valid_loss": loss,
            "valid_accuracy": accuracy,
        }

    def validate_part(self, network: Supernet) -> None:
        size = self._config.batch_size
        x, y = self._valid
        image_loss(network, x[:size], y[:size], size)

    def evaluate(
        self,
        network: Supernet,
        mixing: Mapping[str, NDArray[Any]],
        active: Mapping[str, NDArray[Any]] | None,
        batches: int | None,
    ) -> tuple[float, float | None]:
        x, y = self._valid
        losses, correct, count = [], 0, 0
        # Batches of nearly one size: the statistics of a few images that remain would be poor.
        whole = math.ceil(len(x) / self._config.batch_size)
        for chosen in np.array_split(self._order(), whole)[:batches]:
            loss, right = network.loss(x[chosen], y[chosen], mixing=mixing, active=active)
            losses.append(loss * len(chosen))
            correct, count = correct + right, count + len(chosen)
        return math.fsum(losses) / count, correct / count

    def num_batches(self, batches: int | None) -> int:
        whole = math.ceil(len(self._valid[0]) / self._config.batch_size)
        return whole if batches is None else min(batches, whole)

    def probe(self, network: Supernet) -> tuple[float, dict[str, dict[str, NDArray[Any]]]]:
        x, y = self._valid
        chosen = self._order()[: self._config.batch_size]
        return network.loss_and_grads(x[chosen], y[chosen], wrt="alphas")

    def _order(self) -> NDArray[np.int64]:
        """Of the validation images: one that the classes do not follow."""
        return np.random.default_rng(self._config.seed).permutation(len(self._valid[0]))

    def _lr(self, epoch: int) -> float:
        c = self._config
        if self.tuning_share is not None:
            return self.tuning_share * c.lr
        return cosine(c.lr, c.lr_min, epoch, c.epochs)


class ImageTrainData(TrainData):
    """All images, normalised, and those to validate on."""

    batches: Batches

    def __init__(self, task: ImageClassification, config: TrainConfig, rng: np.random.Generator):
        task.check_train(config)
        self._config, self._rng = config, rng
        normalization = Normalization.fit(task.images)
        self._x, self._y = normalization.apply(task.images), task.codes
        self._targets = smoothed_targets(len(task.labels), config.label_smoothing)
        self._valid: Pair | None = None
        if task.valid is not None:
            self._valid = normalization.apply(task.valid[0]), task.valid[1]
        self._augment = Augmentation(config.crop_padding, config.flip, config.cutout)
        self.batches = Batches(len(self._x), config.batch_size, rng)
        self.arrays = (task.images, task.codes, *(self._valid or ()))
        self.units = len(self._x) // config.batch_size

    def size(self, item: NDArray[np.int64]) -> tuple[int, int]:
        return len(item), 1

    def inputs(
        self, item: NDArray[np.int64], network: Network, epoch: int, step: int
    ) -> dict[str, Any]:
        c, drop = self._config, None
        keep = 1 - c.drop_path * epoch / self._epochs
        if keep < 1:
            # A stream of its own: cells differ in paths, and are to have the same batches.
            paths = np.random.default_rng((c.seed, 1, step))
            kept = paths.random((network.num_droppable, len(item))) < keep
            drop = kept.astype(np.float32) / np.float32(keep)
        pixels = self._augment(self._x[item], self._rng)
        y = self._y[item] if self._targets is None else self._targets[self._y[item]]
        return {"x": pixels, "y": y, "lr": self._lr(epoch, step), "drop_masks": drop}

    def metrics(self, loop: Any, epoch: int) -> Metrics:
        return {
            "lr": self._lr(epoch, epoch * self.units),
            "train_loss": loop.train_loss,
            "train_accuracy": loop.train_accuracy,
        }

    def validate(self, network: Network) -> Metrics | None:
        if self._valid is None:
            return None
        loss, accuracy = image_loss(network, *self._valid, self._config.batch_size)
        return {"valid_loss": loss, "valid_accuracy": accuracy}

    @property
    def _epochs(self) -> int:
        assert self._config.epochs is not None  # `complete` filled it in
        return self._config.epochs

    def _lr(self, epoch: int, step: int) -> float:
        """Of a step, counted over all epochs: a linear rise, then the cosine; times in epochs."""
        c, now = self._config, step / self.units
        rise = c.warmup * self._epochs
        if now < rise:
            return c.lr * min(1.0, (step + 1) / (rise * self.units))
        start = max(0.0, (epoch if c.schedule == "epoch" else now) - rise)
        return cosine(c.lr, 0.0, start, self._epochs - rise)


def _options(config: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(config, name) for name in names}
