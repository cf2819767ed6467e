# SPDX-License-Identifier: MIT
"""The search: alphas learn on one half of the images while the weights learn on the other."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pydarts.common.errors import ArgumentError
from pydarts.data.augmentation import Augmentation
from pydarts.data.images import Labels, Normalization, as_images, check_consistent, split_half
from pydarts.engine.convolutional import ImageNetwork, Supernet
from pydarts.methods.bilevel import BilevelStep
from pydarts.spaces.darts import Genotype
from pydarts.training.budget import Workload, check_budgets
from pydarts.training.callbacks import Callback
from pydarts.training.checkpoint import State
from pydarts.training.config import Config, SearchConfig
from pydarts.training.loop import Control, SearchCourse
from pydarts.training.result import Result


@dataclass(eq=False)
class SearchResult(Result):
    """What a search found, and how.

    Attributes
    ----------
    config : SearchConfig
        All hyper-parameters.
    supernet : Supernet
        The trained supernet; None in a result that was loaded.
    alphas : dict of ndarray
        Architecture parameters: ``{"normal": (14, 8), "reduce": (14, 8)}``. Those of the supernet,
        unless a callback chose an earlier epoch's.
    history : list of dict
        One entry an epoch: ``epoch``, ``lr``, ``train_loss``, ``train_accuracy`` (of the weights'
        half, while training), ``valid_loss``, ``valid_accuracy`` (of the alphas' half, with the
        running statistics, at the epoch's end), ``alpha_entropy_normal``, ``alpha_entropy_reduce``
        (mean over the edges, in nats), ``alpha_gradient_norm`` (mean over the steps),
        ``eigenvalue`` (the dominant one of the Hessian of the validation loss by the alphas, if
        asked for), ``skips`` (in the normal cell), ``seconds`` since the start, ``genotype``.
    alpha_history : dict of ndarray
        The alphas at the start and after each epoch: ``{"normal": (epochs + 1, 14, 8), ...}``.
    interrupted : bool
        Whether Ctrl-C ended it early.
    stopped : str or None
        Why a callback or the time budget ended it early.
    seconds : float
        That it took, in all its runs.
    """

    _config: ClassVar[type[Config]] = SearchConfig
    _cell: ClassVar[type[Genotype]] = Genotype

    @property
    def genotype(self) -> Genotype:
        """The cell that the alphas stand for."""
        return Genotype.derive(self.alphas)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write genotype.json, history.csv, alphas.npz, alpha_history.npz, config.json, normal.svg
        and reduce.svg.
        """
        from pydarts.drawing.cells import cell_svg

        cell = self.genotype
        svgs = {"normal": cell_svg(cell, "normal"), "reduce": cell_svg(cell, "reduce")}
        self._save(folder, cell, svgs)

    def __repr__(self) -> str:
        c, net = self.config, self.supernet
        size = f"{c.channels} channels, {c.cells} cells"
        size += f", {net.num_weights:,} weights" if net is not None else ""
        text = f"{self._how_far()}\n  supernet: {size}, order {c.order}, seed {c.seed}"
        if self.history:
            last = self.history[-1]
            loss, accuracy = last["valid_loss"], last["valid_accuracy"]
            text += f"\n  validation: loss {loss:.4f}, accuracy {accuracy:.2%}"
        for name in ("normal", "reduce"):
            text += f"\n  {name}: {describe_cell(getattr(self.genotype, name))}"
        return text


def search(
    X: ArrayLike,
    y: Iterable[Any],
    *,
    preset: str = "quick",
    image_layout: str | None = None,
    threads: int | None = None,
    progress: bool = True,
    callbacks: Sequence[Callback] = (),
    eigenvalue: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_seconds: float = 60.0,
    resume: str = "auto",
    time_budget: float | str | None = None,
    memory_budget: int | str | None = None,
    **options: Any,
) -> SearchResult:
    """Find a cell for the images ``X`` with labels ``y`` by differentiable architecture search.

    Half of the images train the weights w, the other half the architecture parameters alpha:
    minimise over alpha ``L_valid(w*(alpha), alpha)`` subject to ``w*(alpha) = argmin L_train``.
    Liu, Simonyan, Yang, *DARTS*, arXiv:1806.09055.

    Parameters
    ----------
    X : images (N, H, W), (N, H, W, C) or (N, C, H, W), uint8 or float, of at least 4x4 pixels.
        They are normalised by the mean and deviation of the training half.
    y : (N,) labels of any hashable kind.
    preset : ``"quick"`` (minutes on two cores), ``"standard"``, ``"paper"`` (the original's).
    image_layout : ``"NCHW"`` or ``"NHWC"`` where the shape does not tell.
    threads : threads to use; None: all. The result does not depend on it.
    progress : whether to show a progress bar and a line an epoch on standard error.
    callbacks : what looks at the search and may stop it; see `pydarts.callbacks`.
    eigenvalue : whether the history holds the dominant eigenvalue; it takes some thirty passes over
        a batch an epoch.
    checkpoint : folder in which checkpoint.safetensors holds all that is needed to go on: at the
        end of each epoch, every ``checkpoint_seconds`` seconds, and at the end. If it cannot be
        written (a full disk), the one before stays, and the search goes on with a warning.
    resume : ``"auto"``: go on from a checkpoint if there is one, to the same bits as a search that
        was never interrupted (of a finished one the result is returned at once); ``"never"``:
        begin anew, and replace it.
    time_budget : seconds, or a text such as ``"10min"`` or ``"2h"``: the search stops by then, and
        ``stopped`` says so. It does not count what earlier runs took.
    memory_budget : bytes, or a text such as ``"2GB"``, that the search may need as `estimate`
        counts it.
    **options : any field of `SearchConfig`, in place of the preset's value.

    Returns
    -------
    SearchResult
        Ctrl-C returns what has been found so far, with ``interrupted`` set.

    Raises
    ------
    ValueError, TypeError
        For unusable images, labels or options; names the argument and its value. For budgets that
        cannot be met; says what would fit. For a checkpoint that is damaged or of another search;
        says what differs.
    Diverged
        When a loss or gradient is not finite; names step and tensor. Its ``result`` holds what
        there is.
    """
    control = Control(
        progress,
        callbacks,
        eigenvalue,
        checkpoint,
        checkpoint_seconds,
        resume,
        time_budget,
        memory_budget,
    )
    config = SearchConfig.make(preset, options)
    rng = np.random.default_rng(config.seed)
    images, codes, labels = prepare(X, y, image_layout)
    parts = x_train, y_train, x_valid, y_valid = halves(images, codes, labels, config, rng)
    if time_budget is not None or memory_budget is not None:
        check_budgets(control, ImageWorkload(config, parts, len(labels), threads))
    augment = Augmentation(config.crop_padding, config.flip, config.cutout)
    net, step = supernet(config, len(labels), images.shape[1], threads)
    train = Batches(len(x_train), config.batch_size, rng)
    valid = Batches(len(x_valid), config.batch_size, rng)
    steps = len(x_train) // config.batch_size
    # For the eigenvalue: always the same images, in an order that the classes do not follow.
    probe = np.random.default_rng(config.seed).permutation(len(x_valid))[: config.batch_size]
    result = SearchResult(config, net, net.alphas)
    course = SearchCourse(
        result,
        step,
        rng,
        {"train": train, "valid": valid},
        control,
        data=(images, codes),
        total=config.epochs * steps,
        lines=lambda entry: epoch_lines(entry, config, net.genotype()),
        probe=lambda: net.loss_and_grads(x_valid[probe], y_valid[probe], wrt="alphas"),
    )
    with course:  # Ctrl-C, budgets and callbacks leave it early
        others = valid.endless()
        for epoch in course.epochs():
            lr = cosine(config.lr, config.lr_min, epoch, config.epochs)
            for batch in course.steps(train):
                other = next(others)
                info = step(
                    train=(augment(x_train[batch], rng), y_train[batch]),
                    valid=(augment(x_valid[other], rng), y_valid[other]),
                    lr=lr,
                )
                course.took(info, size=len(batch))
            valid_loss, valid_accuracy = evaluate(net, x_valid, y_valid, config.batch_size)
            course.end_epoch(
                lr=lr,
                train_loss=course.train_loss,
                train_accuracy=course.train_accuracy,
                valid_loss=valid_loss,
                valid_accuracy=valid_accuracy,
            )
    return result


def prepare(
    X: ArrayLike, y: Iterable[Any], image_layout: str | None
) -> tuple[NDArray[Any], NDArray[np.int64], Labels]:
    """Images (N, C, H, W), codes of the labels, and the labels themselves."""
    images = as_images(X, image_layout=image_layout)
    y = y if hasattr(y, "__len__") else list(y)
    check_consistent(images, y)  # type: ignore[arg-type]
    labels = Labels.fit(y)
    return images, labels.encode(y), labels


Halves = tuple[NDArray[Any], NDArray[np.int64], NDArray[Any], NDArray[np.int64]]


def halves(
    images: NDArray[Any],
    codes: NDArray[np.int64],
    labels: Labels,
    config: SearchConfig,
    rng: np.random.Generator,
) -> Halves:
    """Images and codes that the weights learn on, and those that the alphas learn on."""
    given = len(codes)
    images, codes = sample(images, codes, config.max_images, rng)
    try:
        train, valid = split_half(codes, rng, config.train_fraction, labels=labels)
    except ValueError as error:
        if len(codes) == given:
            raise
        raise ArgumentError("max_images", f"(={config.max_images}) is too small: {error}") from None
    require_batch(min(len(train), len(valid)), config.batch_size, "either half of `X`")
    normalization = Normalization.fit(images[train])
    x_train, x_valid = normalization.apply(images[train]), normalization.apply(images[valid])
    return x_train, codes[train], x_valid, codes[valid]


def supernet(
    config: SearchConfig, classes: int, in_channels: int, threads: int | None
) -> tuple[Supernet, BilevelStep]:
    """The network and the step that a configuration describes."""
    net = Supernet(
        config.channels,
        config.cells,
        classes,
        in_channels,
        seed=config.seed,
        threads=threads,
        memory=config.memory,
    )
    step = BilevelStep(
        net,
        order=config.order,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        alpha_lr=config.alpha_lr,
        alpha_betas=config.alpha_betas,
        alpha_weight_decay=config.alpha_weight_decay,
        epsilon=config.epsilon,
        hvp=config.hvp,
        reuse_gradient=config.reuse_gradient,
    )
    return net, step


class ImageWorkload(Workload):
    """A search to be, on the halves of its images."""

    def __init__(self, config: SearchConfig, data: Halves, classes: int, threads: int | None):
        self.config, self._data = config, data
        x_train, _, x_valid, _ = data
        self._classes, self._threads = classes, threads
        self.net, self._step = supernet(config, classes, x_train.shape[1], threads)
        self.steps = len(x_train) // config.batch_size
        self.validations = len(x_valid) / config.batch_size
        self.amount = "max_images", len(x_train) + len(x_valid)

    def take(self) -> None:
        x_train, y_train, x_valid, y_valid = (part[: self.config.batch_size] for part in self._data)
        c, rng = self.config, np.random.default_rng(0)
        augment = Augmentation(c.crop_padding, c.flip, c.cutout)
        train, valid = (augment(x_train, rng), y_train), (augment(x_valid, rng), y_valid)
        self._step(train=train, valid=valid, lr=0.0)

    def validate(self) -> None:
        _, _, x, y = self._data
        size = self.config.batch_size
        evaluate(self.net, x[:size], y[:size], size)

    def bytes(self, config: SearchConfig) -> int:
        x_train, _, x_valid, _ = self._data
        net, _ = supernet(config, self._classes, x_train.shape[1], self._threads)
        plan = net.memory_plan(config.batch_size, x_train.shape[2:])
        return plan["total"] + x_train.nbytes + x_valid.nbytes

    def savings(self) -> Iterator[dict[str, Any]]:
        yield {"memory": "recompute"}
        batch = self.config.batch_size // 2
        while batch >= 2:
            yield {"batch_size": batch, "memory": "recompute"}
            batch //= 2


def sample(
    images: NDArray[Any], codes: NDArray[np.int64], size: int | None, rng: np.random.Generator
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """A random part with the same mix of classes, or all where there are no more than `size`."""
    if size is None or size >= len(codes):
        return images, codes
    chosen, _ = split_half(codes, rng, size / len(codes))
    return images[chosen], codes[chosen]


def require_batch(count: int, batch_size: int, what: str) -> None:
    """Raise ValueError if `count` images do not fill one batch."""
    if count < batch_size:
        raise ArgumentError("batch_size", f"(={batch_size}) is larger than {what}: {count} images")


class Batches:
    """Full batches of a random order, epoch after epoch; what is left of one waits for another."""

    def __init__(self, count: int, size: int, rng: np.random.Generator):
        self._count, self._size, self._rng = count, size, rng
        self._order, self._at = np.arange(count), 0

    def epoch(self) -> Iterator[NDArray[np.int64]]:
        """What is left of the present epoch."""
        if self._at == 0:
            self._order = self._rng.permutation(self._count)
        while self._at + self._size <= self._count:
            self._at += self._size
            yield self._order[self._at - self._size : self._at]
        self._at = 0

    def endless(self) -> Iterator[NDArray[np.int64]]:
        """Epoch after epoch."""
        while True:
            yield from self.epoch()

    def state(self) -> State:
        return {"order": self._order, "at": self._at}

    def restore(self, state: State) -> None:
        self._order, self._at = state["order"], state["at"]


def cosine(first: float, last: float, epoch: int, epochs: int) -> float:
    """Learning rate of an epoch t of T, from 0: ``last + (first - last) (1 + cos(pi t/T)) / 2``."""
    return last + (first - last) * (1 + math.cos(math.pi * epoch / epochs)) / 2


def evaluate(
    net: ImageNetwork, x: NDArray[Any], y: NDArray[np.int64], batch_size: int
) -> tuple[float, float]:
    """Mean cross-entropy and accuracy with the running statistics. In batches of the size that the
    steps have, it is not what decides the peak of the memory.
    """
    loss, correct = 0.0, 0
    for start in range(0, len(x), batch_size):
        logits = net.logits(x[start : start + batch_size], training=False).astype(np.float64)
        codes = y[start : start + batch_size]
        largest = logits.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(logits - largest).sum(axis=1)) + largest[:, 0]
        loss += float((log_sum - logits[np.arange(len(codes)), codes]).sum())
        correct += int((logits.argmax(axis=1) == codes).sum())
    return loss / len(x), correct / len(x)


def epoch_lines(entry: dict[str, Any], config: SearchConfig, genotype: Genotype) -> list[str]:
    """An epoch of the search, and its cells."""
    cells = {"normal": genotype.normal, "reduce": genotype.reduce}
    lines = [f"  {name} {describe_cell(cell)}" for name, cell in cells.items()]
    return [epoch_line(entry, config.epochs), *lines]


def epoch_line(entry: dict[str, Any], epochs: int) -> str:
    """One line of progress."""
    text = f"epoch {entry['epoch']:3d}/{epochs}"
    text += f"  train loss {entry['train_loss']:.3f} acc {entry['train_accuracy']:7.2%}"
    if "valid_loss" in entry:
        text += f"  valid loss {entry['valid_loss']:.3f} acc {entry['valid_accuracy']:7.2%}"
    return text


_SHORT = {"max_pool_3x3": "max", "avg_pool_3x3": "avg", "skip_connect": "skip"}


def describe_cell(entries: Iterable[tuple[str, int]]) -> str:
    """A cell on one line, ``sep3(1) sep3(0) | skip(0) ...``: operation and input, node by node."""

    def short(name: str) -> str:
        kind, _, size = name.replace("_conv", "").partition("_")
        return _SHORT.get(name, kind + size[:1])

    parts = [f"{short(name)}({state})" for name, state in entries]
    return " | ".join(" ".join(parts[i : i + 2]) for i in range(0, len(parts), 2))
