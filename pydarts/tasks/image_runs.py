# SPDX-License-Identifier: MIT
"""The images of a search or of a training: halves, batches, inputs of steps, metrics of epochs."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pydarts.common.errors import ArgumentError
from pydarts.data.augmentation import Augmentation, mixup
from pydarts.data.batches import Batches, require_batch
from pydarts.data.duplicates import shared_note
from pydarts.data.lazy import HELD_BYTES, LazyArray, take
from pydarts.data.normalization import Normalization
from pydarts.engine.convolutional import Network, Supernet
from pydarts.engine.losses import Weighted
from pydarts.models.objectives import Objective
from pydarts.models.scores import image_metrics
from pydarts.training.config import SearchConfig, TrainConfig
from pydarts.training.task import Metrics, SearchData, TrainData, require_finite

if TYPE_CHECKING:
    from pydarts.tasks.images import ImageClassification

_log = logging.getLogger("pydarts")

Images = NDArray[Any] | LazyArray
Codes = NDArray[Any]
Pair = tuple[Images, Codes]


# Finalists are trained and scored on so many images, where a search took fewer: but none that are
# read as they are needed, for each training would read its own.
_CONTEST_POOL = 12_000
_CONTEST_LEARNED = 2 / 3


def cosine(first: float, last: float, epoch: float, epochs: float) -> float:
    """Learning rate of an epoch t of T, from 0: ``last + (first - last) (1 + cos(pi t/T)) / 2``."""
    return last + (first - last) * (1 + math.cos(math.pi * epoch / epochs)) / 2


class ImageSearchData(SearchData):
    """The halves of the images, normalised by the training half."""

    batches: Batches
    valid: Batches

    def __init__(self, task: ImageClassification, config: SearchConfig, rng: np.random.Generator):
        self._config, self._rng = config, rng
        self._objective = task.objective
        chosen = task.draw(config.max_images, rng)
        if task.valid is not None:
            train, (held, held_codes) = np.arange(len(chosen)), task.valid
            valid = np.arange(len(held))
            held_weights = None if task.weights is None else task.class_weight_of(held_codes)
        else:
            try:
                train, valid = task.halves(chosen, rng, config.train_fraction)
            except ValueError as error:
                if len(chosen) == len(task.codes):
                    raise
                problem = f"(={config.max_images}) is too small: {error}"
                raise ArgumentError("max_images", problem) from None
            held = take(task.images, chosen[valid])
            held_codes = task.codes[chosen[valid]]
            held_weights = None if task.weights is None else task.weights[chosen[valid]]
        what = "either half of `X`" if task.valid is None else "`X` or `X_valid`"
        require_batch(min(len(train), len(valid)), config.batch_size, what)
        images = take(task.images, chosen[train])
        self._contest = task, chosen[train], (held, held_codes), len(chosen)
        self._augment = Augmentation.of(config)
        self._augment.check(*images.shape[1:])
        normalization = Normalization.fit(images)
        self._train: Pair = _normalized(normalization, images), task.codes[chosen[train]]
        self._valid: Pair = _normalized(normalization, held), held_codes
        self._weights = None if task.weights is None else task.weights[chosen[train]]
        self._valid_weights = held_weights
        note = shared_note(images, held, "the validation half", "the training half")
        self.notes = () if note is None else (note,)
        self.batches = Batches(len(train), config.batch_size, rng)
        self.valid = Batches(len(valid), config.batch_size, rng)
        # Groups are part of what a checkpoint goes on with: they decide the halves.
        own = () if task.groups is None else (task.groups,)
        self.arrays = (task.images, task.codes, *own, *task.conditions, *(task.valid or ()))
        self.units = self.steps = len(train) // config.batch_size
        self.validations = len(valid) / config.batch_size
        self.amount = "max_images", len(chosen)

    def valid_batches(self) -> Iterator[NDArray[np.int64]]:
        return self.valid.endless()

    def size(self, item: NDArray[np.int64]) -> tuple[int, int]:
        return len(item), 1

    def inputs(
        self, item: NDArray[np.int64], valid_item: NDArray[np.int64], epoch: int
    ) -> dict[str, Any]:
        (x, y), (x_valid, y_valid) = self._train, self._valid
        pixels, truth = self._augment(x[item], self._rng), _truth(y, self._weights, item)
        if self._config.mixup:
            pixels, truth = _mixed(self._objective, pixels, truth, self._config.mixup, self._rng)
        return {
            "train": (pixels, truth),
            "valid": (
                self._augment(x_valid[valid_item], self._rng),
                _truth(y_valid, self._valid_weights, valid_item),
            ),
            "lr": self._lr(epoch),
        }

    def trial_inputs(self) -> dict[str, Any]:
        item = slice(0, self._config.batch_size)
        (x, y), (x_valid, y_valid) = self._train, self._valid
        return {
            "train": (x[item], _truth(y, self._weights, item)),
            "valid": (x_valid[item], _truth(y_valid, self._valid_weights, item)),
            "lr": 0.0,
        }

    def metrics(self, loop: Any, network: Supernet, epoch: int) -> Metrics:
        mixture, size = loop.mixture or (), self._config.batch_size
        data = self._objective, self._valid_weights
        found = image_metrics(network, *self._valid, size, *data, *mixture)
        return {"lr": self._lr(epoch), **_training(loop, self._objective), **_validation(found)}

    def validate_part(self, network: Supernet) -> None:
        size = self._config.batch_size
        x, y = self._valid
        image_metrics(network, x[:size], y[:size], size, self._objective)

    def evaluate(
        self,
        network: Supernet,
        mixing: Mapping[str, NDArray[Any]],
        active: Mapping[str, NDArray[Any]] | None,
        batches: int | None,
    ) -> tuple[float, float | None]:
        x, y = self._valid
        losses, correct, count, masses = [], 0, 0, []
        # Batches of nearly one size: the statistics of a few images that remain would be poor.
        whole = math.ceil(len(x) / self._config.batch_size)
        for chosen in np.array_split(self._order(), whole)[:batches]:
            truth = _truth(y, self._valid_weights, chosen)
            loss, right = network.loss(x[chosen], truth, mixing=mixing, active=active)
            weights = self._valid_weights
            mass = len(chosen) if weights is None else float(weights[chosen].sum())
            losses.append(loss * mass)
            masses.append(mass)
            correct, count = correct + right, count + len(chosen)
        share = correct / count if self._objective.train_metric is not None else None
        return math.fsum(losses) / math.fsum(masses), share

    def num_batches(self, batches: int | None) -> int:
        whole = math.ceil(len(self._valid[0]) / self._config.batch_size)
        return whole if batches is None else min(batches, whole)

    def contest(self) -> ImageClassification:
        task, train, held, count = self._contest
        more = _contest_size(task.images)
        if count >= min(more, len(task.images)):
            return task.contest(train, held)
        # Of more images a training and a score tell cells better apart, and take the same time.
        rng = np.random.default_rng((self._config.seed, 4))
        chosen = task.draw(more, rng)
        if task.valid is not None:
            return task.contest(chosen, task.valid)
        try:
            learned, scored = task.halves(chosen, rng, _CONTEST_LEARNED)
        except ValueError:  # the halves of the search were found: these have all classes
            return task.contest(train, held)
        test = chosen[scored]
        return task.contest(chosen[learned], (take(task.images, test), task.codes[test]))

    def probe(self, network: Supernet) -> tuple[float, dict[str, dict[str, NDArray[Any]]]]:
        x, y = self._valid
        chosen = self._order()[: self._config.batch_size]
        return network.loss_and_grads(
            x[chosen], _truth(y, self._valid_weights, chosen), wrt="alphas"
        )

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
        self._augment = Augmentation.of(config)
        normalization = Normalization.fit(task.images)
        self._x, self._y = _normalized(normalization, task.images), task.codes
        self._weights = task.weights
        self._objective, self._valid_weights = task.objective, None
        self._valid: Pair | None = None
        if task.valid is not None:
            self._valid = _normalized(normalization, task.valid[0]), task.valid[1]
            note = shared_note(task.images, task.valid[0], "`X_valid`", "`X`")
            if note is not None:
                _log.warning(note)
            self._valid_weights = task.class_weight_of(task.valid[1])
        self.batches = Batches(len(self._x), config.batch_size, rng, config.epoch_images)
        self.arrays = (task.images, task.codes, *task.conditions, *(self._valid or ()))
        self.units = (config.epoch_images or len(self._x)) // config.batch_size

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
        targets = self._objective.smoothed(self._y[item], c.label_smoothing)
        y = targets if self._weights is None else Weighted(targets, self._weights[item])
        if c.mixup:
            pixels, y = _mixed(self._objective, pixels, y, c.mixup, self._rng)
        return {"x": pixels, "y": y, "lr": self._lr(epoch, step), "drop_masks": drop}

    def metrics(self, loop: Any, epoch: int) -> Metrics:
        return {
            "lr": self._lr(epoch, epoch * self.units),
            **_training(loop, self._objective),
        }

    def validate_part(self, network: Network) -> float:
        if self._valid is None:
            return 0.0
        x, size = self._valid[0], self._config.batch_size
        network.logits(x[:size], training=False)
        return len(x) / min(len(x), size)

    def validate(self, network: Network) -> Metrics | None:
        if self._valid is None:
            return None
        size, weights = self._config.batch_size, self._valid_weights
        return _validation(image_metrics(network, *self._valid, size, self._objective, weights))

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


def _contest_size(images: Images) -> int:
    if isinstance(images, LazyArray):
        return 0
    return min(_CONTEST_POOL, HELD_BYTES // (4 * math.prod(images.shape[1:])))


def _truth(y: Codes, weights: NDArray[np.float32] | None, item: Any) -> Any:
    return y[item] if weights is None else Weighted(y[item], weights[item])


def _normalized(normalization: Normalization, images: Images) -> Images:
    """Images as the network takes them: in memory, unless they are read lazily and many."""
    if isinstance(images, LazyArray) and 4 * images.size <= HELD_BYTES:
        images = images[:]
    normalized: Images = normalization.apply(images)
    return normalized


def _mixed(
    objective: Objective, images: Any, truth: Any, alpha: float, rng: np.random.Generator
) -> tuple[Any, Any]:
    targets, weights = truth, None
    if isinstance(truth, Weighted):
        targets, weights = np.asarray(truth.targets), np.asarray(truth.weights)
    if targets.dtype.kind != "f":  # classes
        targets = np.eye(objective.outputs, dtype=np.float32)[targets]
    mixed, soft, masses = mixup(images, targets, weights, alpha, rng)
    return mixed, soft if masses is None else Weighted(soft, masses)


def _training(loop: Any, objective: Objective) -> Metrics:
    right = {} if objective.train_metric is None else {objective.train_metric: loop.train_accuracy}
    return {"train_loss": loop.train_loss, **right}


def _validation(found: Mapping[str, float]) -> Metrics:
    """As the history holds it: None for what is not defined."""
    require_finite(found["loss"])
    return {f"valid_{name}": None if math.isnan(v) else v for name, v in found.items()}
