# SPDX-License-Identifier: MIT
"""Training of the network that a genotype stands for."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pydarts import _core
from pydarts.augment import Augmentation
from pydarts.config import TrainConfig
from pydarts.course import Diverged, progress_bar, tell
from pydarts.genotype import Genotype
from pydarts.images import Normalization, check_consistent
from pydarts.model import Model
from pydarts.network import Network
from pydarts.search import Batches, cosine, epoch_line, evaluate, prepare, require_batch


def train(
    genotype: Genotype,
    X: ArrayLike,
    y: Iterable[Any],
    *,
    X_valid: ArrayLike | None = None,
    y_valid: Iterable[Any] | None = None,
    preset: str = "quick",
    image_layout: str | None = None,
    threads: int | None = None,
    progress: bool = True,
    **options: Any,
) -> Model:
    """Train the network derived from ``genotype`` on the images ``X`` with labels ``y``.

    SGD with momentum and a learning rate that falls to zero as a cosine; drop path with a
    probability that rises linearly over the epochs. arXiv:1806.09055, section 3.2 and appendix A.

    Parameters
    ----------
    genotype : the cells, as from `search` or one of the published ones.
    X, y, image_layout, threads, progress : as in `search`.
    X_valid, y_valid : images to report loss and accuracy on after each epoch; nothing is chosen by
        them.
    preset : ``"quick"`` (minutes on two cores), ``"standard"``, ``"paper"`` (the original's).
    **options : any field of `TrainConfig`, in place of the preset's value.

    Returns
    -------
    Model
        Ctrl-C returns the model as it is then, with ``interrupted`` set.

    Raises
    ------
    ValueError, TypeError
        For unusable images, labels or options; names the argument and its value.
    Diverged
        When a loss or gradient is not finite. Its ``result`` holds the model as it was before.
    """
    if not isinstance(genotype, Genotype):
        raise TypeError(f"`genotype` (={genotype!r}) must be a Genotype; see Genotype.parse")
    config = TrainConfig.make(preset, options)
    images, codes, labels = prepare(X, y, image_layout)
    require_batch(len(images), config.batch_size, "`X`")
    config = config.fit_epochs(len(images))
    assert config.epochs is not None
    normalization = Normalization.fit(images)
    x = normalization.apply(images)
    augment = Augmentation(config.crop_padding, config.flip, config.cutout)
    rng = np.random.default_rng(config.seed)
    # Cells differ in how many paths they can drop: batches are not to differ by that.
    paths = np.random.default_rng((config.seed, 1))
    net = Network(
        genotype,
        config.channels,
        config.cells,
        len(labels),
        images.shape[1],
        auxiliary=config.auxiliary,
        auxiliary_weight=config.auxiliary_weight,
        seed=config.seed,
        threads=threads,
        memory=config.memory,
    )
    model = Model(net, normalization, labels, images.shape[2:], config, image_layout=image_layout)
    if (X_valid is None) != (y_valid is None):
        raise ValueError("`X_valid` and `y_valid` must come together")
    valid = None
    if X_valid is not None and y_valid is not None:
        valid = model.normalized(X_valid), labels.encode(y_valid)
        check_consistent(*valid)

    weight_step = _core.WeightStep32(net._engine, config.momentum, config.weight_decay, config.clip)
    batches = Batches(len(x), config.batch_size, rng)
    started = time.perf_counter()
    steps = len(x) // config.batch_size
    bar = progress_bar("train", config.epochs * steps, progress)
    try:
        for epoch in range(config.epochs):
            lr = cosine(config.lr, 0.0, epoch, config.epochs)
            keep = 1 - config.drop_path * epoch / config.epochs
            losses, correct = [], 0
            for batch in batches.epoch():
                drop = None
                if keep < 1:
                    kept = paths.random((net.num_droppable, len(batch))) < keep
                    drop = kept.astype(np.float32) / np.float32(keep)
                pixels = augment(x[batch], rng)
                loss, right = weight_step(
                    net._engine, pixels, codes[batch].astype(np.int32), lr, drop
                )
                losses.append(loss)
                correct += right
                bar.update()
            entry = {
                "epoch": epoch + 1,
                "lr": lr,
                "train_loss": float(np.mean(losses)),
                "train_accuracy": correct / (steps * config.batch_size),
                "seconds": time.perf_counter() - started,
            }
            if valid is not None:
                entry["valid_loss"], entry["valid_accuracy"] = evaluate(net, *valid)
            model.history.append(entry)
            tell(bar, epoch_line(entry, config.epochs))
    except KeyboardInterrupt:
        model.interrupted = True
    except _core.NonFinite as error:
        step = len(model.history) * steps + len(losses)
        raise Diverged(f"step {step}: {error}", model) from None
    finally:
        bar.close()
    return model
