# SPDX-License-Identifier: MIT
"""The search: alphas learn on one half of the images while the weights learn on the other."""

from __future__ import annotations

import csv
import json
import logging
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from pydarts import _core
from pydarts.augment import Augmentation
from pydarts.bilevel import BilevelStep
from pydarts.config import SearchConfig
from pydarts.engine import Alphas
from pydarts.genotype import Genotype
from pydarts.images import Labels, Normalization, as_images, check_consistent, split_half
from pydarts.network import ImageNetwork, Supernet


@dataclass(eq=False)
class SearchResult:
    """What a search found, and how.

    Attributes
    ----------
    config : SearchConfig
        All hyper-parameters.
    supernet : Supernet
        The trained supernet.
    history : list of dict
        One entry an epoch: ``epoch``, ``lr``, ``train_loss``, ``train_accuracy`` (of the weights'
        half, while training), ``valid_loss``, ``valid_accuracy`` (of the alphas' half, with the
        running statistics, at the epoch's end), ``seconds`` since the start, ``genotype``.
    interrupted : bool
        Whether Ctrl-C ended it early.
    """

    config: SearchConfig
    supernet: Supernet
    history: list[dict[str, Any]] = field(default_factory=list)
    interrupted: bool = False

    @property
    def genotype(self) -> Genotype:
        """The cell that the alphas stand for."""
        return self.supernet.genotype()

    @property
    def alphas(self) -> Alphas:
        """Architecture parameters: ``{"normal": (14, 8), "reduce": (14, 8)}``."""
        return self.supernet.alphas

    def save(self, folder: str | Path) -> None:
        """Write genotype.json, history.csv, alphas.npz, config.json, normal.svg and reduce.svg."""
        from pydarts.drawing import cell_svg

        cell = self.genotype
        drawings = {"normal": cell_svg(cell, "normal"), "reduce": cell_svg(cell, "reduce")}
        save_search(folder, self, drawings)

    def __repr__(self) -> str:
        c, net = self.config, self.supernet
        size = f"{c.channels} channels, {c.cells} cells, {net.num_weights:,} weights"
        text = f"SearchResult after {len(self.history)} of {c.epochs} epochs"
        text += " (interrupted)" if self.interrupted else ""
        text += f"\n  supernet: {size}, order {c.order}, seed {c.seed}"
        if self.history:
            last = self.history[-1]
            loss, accuracy = last["valid_loss"], last["valid_accuracy"]
            text += f"\n  validation: loss {loss:.4f}, accuracy {accuracy:.2%}"
        for name in ("normal", "reduce"):
            text += f"\n  {name}: {describe_cell(getattr(self.genotype, name))}"
        return text


class Diverged(ArithmeticError):
    """A loss or gradient stopped being finite; ``result`` holds what there is."""

    def __init__(self, message: str, result: Any):
        super().__init__(message)
        self.result = result


def search(
    X: ArrayLike,
    y: Iterable[Any],
    *,
    preset: str = "quick",
    image_layout: str | None = None,
    threads: int | None = None,
    progress: bool = True,
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
    **options : any field of `SearchConfig`, in place of the preset's value.

    Returns
    -------
    SearchResult
        Ctrl-C returns what has been found so far, with ``interrupted`` set.

    Raises
    ------
    ValueError, TypeError
        For unusable images, labels or options; names the argument and its value.
    Diverged
        When a loss or gradient is not finite; names step and tensor. Its ``result`` holds what
        there is.
    """
    config = SearchConfig.make(preset, options)
    rng = np.random.default_rng(config.seed)
    images, codes, labels = prepare(X, y, image_layout)
    given = len(codes)
    images, codes = sample(images, codes, config.max_images, rng)
    try:
        train_half, valid_half = split_half(codes, rng, config.train_fraction, labels=labels)
    except ValueError as error:
        if len(codes) == given:
            raise
        raise ValueError(f"`max_images` (={config.max_images}) is too small: {error}") from None
    require_batch(min(len(train_half), len(valid_half)), config.batch_size, "either half of `X`")
    normalization = Normalization.fit(images[train_half])
    x_train, y_train = normalization.apply(images[train_half]), codes[train_half]
    x_valid, y_valid = normalization.apply(images[valid_half]), codes[valid_half]
    augment = Augmentation(config.crop_padding, config.flip, config.cutout)

    net = Supernet(
        config.channels,
        config.cells,
        len(labels),
        images.shape[1],
        seed=config.seed,
        threads=threads,
        memory=config.memory,
    )
    step = BilevelStep(
        net,
        order=config.order,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        clip=config.clip,
        alpha_lr=config.alpha_lr,
        alpha_betas=config.alpha_betas,
        alpha_weight_decay=config.alpha_weight_decay,
        epsilon=config.epsilon,
        hvp=config.hvp,
        reuse_gradient=config.reuse_gradient,
    )
    result = SearchResult(config, net)
    started = time.perf_counter()
    steps = len(x_train) // config.batch_size
    valid_batches = endless_batches(len(x_valid), config.batch_size, rng)
    bar = progress_bar("search", config.epochs * steps, progress)
    try:
        for epoch in range(config.epochs):
            lr = cosine(config.lr, config.lr_min, epoch, config.epochs)
            losses, correct = [], 0
            for batch in batches(len(x_train), config.batch_size, rng):
                other = next(valid_batches)
                info = step(
                    train=(augment(x_train[batch], rng), y_train[batch]),
                    valid=(augment(x_valid[other], rng), y_valid[other]),
                    lr=lr,
                )
                losses.append(info.train_loss)
                correct += info.train_correct
                bar.update()
            valid_loss, valid_accuracy = evaluate(net, x_valid, y_valid)
            genotype = net.genotype()
            result.history.append(
                {
                    "epoch": epoch + 1,
                    "lr": lr,
                    "train_loss": float(np.mean(losses)),
                    "train_accuracy": correct / (steps * config.batch_size),
                    "valid_loss": valid_loss,
                    "valid_accuracy": valid_accuracy,
                    "seconds": time.perf_counter() - started,
                    "genotype": str(genotype),
                }
            )
            tell(
                bar,
                epoch_line(result.history[-1], config.epochs),
                f"  normal {describe_cell(genotype.normal)}",
                f"  reduce {describe_cell(genotype.reduce)}",
            )
    except KeyboardInterrupt:
        result.interrupted = True
    except _core.NonFinite as error:
        raise Diverged(str(error), result) from None
    finally:
        bar.close()
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
        raise ValueError(f"`batch_size` (={batch_size}) is larger than {what}: {count} images")


def batches(count: int, size: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Full batches of a random order; the rest waits for another epoch."""
    order = rng.permutation(count)
    for start in range(0, count - size + 1, size):
        yield order[start : start + size]


def endless_batches(count: int, size: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """`batches`, epoch after epoch."""
    while True:
        yield from batches(count, size, rng)


def cosine(first: float, last: float, epoch: int, epochs: int) -> float:
    """Learning rate of an epoch t of T, from 0: ``last + (first - last) (1 + cos(pi t/T)) / 2``."""
    return last + (first - last) * (1 + math.cos(math.pi * epoch / epochs)) / 2


def evaluate(
    net: ImageNetwork, x: NDArray[Any], y: NDArray[np.int64], batch_size: int = 256
) -> tuple[float, float]:
    """Mean cross-entropy and accuracy with the running statistics."""
    loss, correct = 0.0, 0
    for start in range(0, len(x), batch_size):
        logits = net.logits(x[start : start + batch_size], training=False).astype(np.float64)
        codes = y[start : start + batch_size]
        largest = logits.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(logits - largest).sum(axis=1)) + largest[:, 0]
        loss += float((log_sum - logits[np.arange(len(codes)), codes]).sum())
        correct += int((logits.argmax(axis=1) == codes).sum())
    return loss / len(x), correct / len(x)


def progress_bar(name: str, steps: int, shown: bool, unit: str = "step") -> tqdm[Any]:
    """A bar on standard error, as wide as the terminal."""
    return tqdm(total=steps, desc=name, unit=unit, dynamic_ncols=True, disable=not shown)


def tell(bar: tqdm[Any], line: str, *details: str) -> None:
    """Show an epoch above the bar; without one, send its first line to the logger ``pydarts``."""
    if bar.disable:
        logging.getLogger("pydarts").info(line)
    else:
        bar.write("\n".join([line, *details]), file=bar.fp)


def save_search(folder: str | os.PathLike[str], result: Any, drawings: Mapping[str, str]) -> None:
    """Write what both kinds of results save, and the drawings by name."""
    to = Path(folder)
    to.mkdir(parents=True, exist_ok=True)
    (to / "genotype.json").write_text(result.genotype.to_json() + "\n", encoding="utf-8")
    config = json.dumps(result.config.to_dict(), indent=2)
    (to / "config.json").write_text(config + "\n", encoding="utf-8")
    np.savez(to / "alphas.npz", **result.alphas)
    for name, svg in drawings.items():
        (to / f"{name}.svg").write_text(svg, encoding="utf-8")
    write_history(to / "history.csv", result.history)


def write_history(path: Path, history: list[dict[str, Any]]) -> None:
    """A CSV file with a row an epoch."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(history[0]) if history else ["epoch"])
        writer.writeheader()
        writer.writerows(history)


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
