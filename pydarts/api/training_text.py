# SPDX-License-Identifier: MIT
"""Training of the language model that a recurrent genotype stands for."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pydarts import _core
from pydarts.api.searching_text import (
    Segments,
    as_corpus,
    evaluate_text,
    text_line,
    training_columns,
)
from pydarts.common.errors import ArgumentTypeError
from pydarts.data.text import Corpus, Level
from pydarts.engine.sgd import Descent
from pydarts.models.language_model import LanguageModel, derived_network
from pydarts.spaces.recurrent import RecurrentGenotype
from pydarts.training.checkpoint import State
from pydarts.training.config import TextTrainConfig
from pydarts.training.loop import Control, Course, training_control


def train_text(
    genotype: RecurrentGenotype,
    data: str | os.PathLike[str] | Corpus | None = None,
    *,
    level: Level | None = None,
    max_vocab: int | None = None,
    preset: str = "quick",
    threads: int | None = None,
    progress: bool = True,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_seconds: float = 60.0,
    resume: str = "auto",
    **options: Any,
) -> LanguageModel:
    """Train the language model with the cell ``genotype`` on a text.

    SGD with clipped gradients; once the validation loss has not improved for ``patience`` epochs,
    averaged SGD: what is validated and returned is then the mean of the weights of all steps since
    (non-monotonically triggered, Merity et al., arXiv:1708.02182). Appendix B of arXiv:1806.09055.

    Parameters
    ----------
    genotype : the cell, as from `search_text` or one of the published ones.
    data, level, max_vocab, threads, progress : as in `search_text`.
    preset : ``"quick"`` (minutes on two cores), ``"standard"``, ``"paper"`` (the original's).
    checkpoint, checkpoint_seconds, resume : as in `search`, with the file
        train_checkpoint.safetensors.
    **options : any field of `TextTrainConfig`, in place of the preset's value.

    Returns
    -------
    LanguageModel
        Of the epoch with the least validation loss, also after Ctrl-C, which sets ``interrupted``;
        before the end of the first epoch there is none yet, and the weights are those of the step.

    Raises
    ------
    ValueError, TypeError
        For an unusable text or option; names the argument and its value.
    Diverged
        When a loss or gradient is not finite; names the step. Its ``result`` holds the best model
        before, chosen likewise.
    """
    if not isinstance(genotype, RecurrentGenotype):
        raise ArgumentTypeError(
            "genotype", f"(={genotype!r}) must be a RecurrentGenotype; see RecurrentGenotype.parse"
        )
    control = training_control(progress, checkpoint, checkpoint_seconds, resume)
    config = TextTrainConfig.make(preset, options)
    corpus = as_corpus(data, level, max_vocab)
    net = derived_network(genotype, len(corpus.vocabulary), config, threads)
    model = LanguageModel(net, corpus.vocabulary, config)
    fit(model, corpus, control, str(genotype))
    return model


def fit(model: LanguageModel, corpus: Corpus, control: Control, cell: str = "") -> None:
    """Train a model by its configuration, as `train_text` tells."""
    config, net = model.config, model.network
    rng = np.random.default_rng(config.seed)
    columns = training_columns(corpus, config)
    weights = net._engine.weights
    engine_step = _core.RecurrentWeightStep32(
        net._engine, 0.0, config.weight_decay, config.max_grad_norm, config.ar, config.tar
    )
    step, train, best = Descent(net, engine_step), Segments(columns, config.bptt, rng), Best()
    course = Course(
        "train",
        model,
        net,
        rng,
        {"step": step, "train": train, "best": best},
        control,
        data=(corpus.train, corpus.valid),
        cell=cell,
        total=config.epochs * columns[1:].size,
        lines=lambda entry: [text_line(entry, config.epochs)],
        unit="token",
    )
    limit = math.inf if config.max_seconds is None else config.max_seconds
    zero = np.zeros((config.batch_size, config.hidden_size), np.float32)
    try:
        with course:
            for _ in course.epochs():
                for x, y in course.steps(train):
                    lr = config.lr * len(x) / config.bptt
                    hidden, _ = course.hidden
                    info = step(x, y, zero if hidden is None else hidden, lr)
                    best.blend(weights, net.threads)
                    course.took(info, size=len(x), units=x.size)
                    if course.seconds > limit:
                        break
                valid_loss = best.validate(weights, lambda: evaluate_text(net, corpus.valid))
                averaged = best.average is not None
                losses = [*(entry["valid_loss"] for entry in model.history), valid_loss]
                before = losses[: -config.patience]
                if not averaged and before and losses[-1] > min(before):
                    best.average = np.zeros_like(weights)
                course.end_epoch(
                    train_loss=course.train_loss,
                    valid_loss=valid_loss,
                    valid_perplexity=math.exp(min(valid_loss, 700.0)),
                    averaged=averaged,
                )
                if course.seconds > limit:
                    break
    finally:
        if best.weights is not None:
            weights[:] = best.weights


class Best:
    """The weights with the least validation loss, and the mean of all since it stopped falling."""

    def __init__(self) -> None:
        self.weights: NDArray[Any] | None = None
        self.loss = math.inf
        self.average: NDArray[Any] | None = None  # None: not yet
        self.averaged = 0

    def blend(self, weights: NDArray[Any], threads: int) -> None:
        """After a step: into the average."""
        if self.average is not None:
            self.averaged += 1
            _core.blend32(self.average, weights, 1 / self.averaged, threads)

    def validate(self, weights: NDArray[Any], evaluate: Callable[[], float]) -> float:
        """The loss with the average, if there is one, in place of the weights."""
        current = weights.copy()
        try:
            if self.average is not None:
                weights[:] = self.average
            loss = evaluate()
            if loss < self.loss:
                self.weights, self.loss = weights.copy(), loss
        finally:
            weights[:] = current
        return loss

    def state(self) -> State:
        return dict(vars(self))

    def restore(self, state: State) -> None:
        vars(self).update(state)
