# SPDX-License-Identifier: MIT
"""Training of the network that a genotype stands for."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pydarts import _core
from pydarts.api.searching import Batches, cosine, epoch_line, evaluate, prepare, require_batch
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.data.augmentation import Augmentation
from pydarts.data.images import Normalization, check_consistent
from pydarts.engine.convolutional import Network
from pydarts.engine.sgd import Descent
from pydarts.models.image_classifier import Model
from pydarts.spaces.darts import Genotype
from pydarts.training.config import TrainConfig
from pydarts.training.loop import Course, training_control


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
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_seconds: float = 60.0,
    resume: str = "auto",
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
    checkpoint, checkpoint_seconds, resume : as in `search`, with the file
        train_checkpoint.safetensors.
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
        raise ArgumentTypeError(
            "genotype", f"(={genotype!r}) must be a Genotype; see Genotype.parse"
        )
    control = training_control(progress, checkpoint, checkpoint_seconds, resume)
    config = TrainConfig.make(preset, options)
    images, codes, labels = prepare(X, y, image_layout)
    require_batch(len(images), config.batch_size, "`X`")
    config = config.fit_epochs(len(images))
    epochs = config.epochs
    assert epochs is not None
    normalization = Normalization.fit(images)
    x = normalization.apply(images)
    augment = Augmentation(config.crop_padding, config.flip, config.cutout)
    rng = np.random.default_rng(config.seed)
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
        raise ArgumentError("X_valid", "and `y_valid` must come together")
    valid = None
    if X_valid is not None and y_valid is not None:
        valid = model.normalized(X_valid), labels.encode(y_valid)
        check_consistent(*valid)
    engine_step = _core.WeightStep32(
        net._engine, config.momentum, config.weight_decay, config.max_grad_norm
    )
    step = Descent(net, engine_step)
    batches = Batches(len(x), config.batch_size, rng)
    course = Course(
        "train",
        model,
        net,
        rng,
        {"step": step, "batches": batches},
        control,
        data=(images, codes, *(valid or ())),
        cell=str(genotype),
        total=epochs * (len(x) // config.batch_size),
        lines=lambda entry: [epoch_line(entry, epochs)],
    )
    with course:
        for epoch in course.epochs():
            lr = cosine(config.lr, 0.0, epoch, epochs)
            keep = 1 - config.drop_path * epoch / epochs
            for batch in course.steps(batches):
                drop = None
                if keep < 1:
                    # A stream of its own: cells differ in paths, and are to have the same batches.
                    paths = np.random.default_rng((config.seed, 1, step.steps))
                    kept = paths.random((net.num_droppable, len(batch))) < keep
                    drop = kept.astype(np.float32) / np.float32(keep)
                pixels = augment(x[batch], rng)
                info = step(pixels, codes[batch].astype(np.int32), lr, drop)
                course.took(info, size=len(batch))
            entry = {
                "lr": lr,
                "train_loss": course.train_loss,
                "train_accuracy": course.train_accuracy,
            }
            if valid is not None:
                loss, accuracy = evaluate(net, *valid, config.batch_size)
                entry.update(valid_loss=loss, valid_accuracy=accuracy)
            course.end_epoch(**entry)
    return model
