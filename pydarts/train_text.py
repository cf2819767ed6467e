# SPDX-License-Identifier: MIT
"""Training of the language model that a recurrent genotype stands for."""

from __future__ import annotations

import math
import os
import time
from typing import Any

import numpy as np

from pydarts import _core
from pydarts.config import TextTrainConfig
from pydarts.course import Diverged, progress_bar, tell
from pydarts.genotype import RecurrentGenotype
from pydarts.language_model import LanguageModel, derived_network
from pydarts.search_text import as_corpus, evaluate_text, text_line, training_columns
from pydarts.text import Corpus, Level, segments


def train_text(
    genotype: RecurrentGenotype,
    data: str | os.PathLike[str] | Corpus | None = None,
    *,
    level: Level | None = None,
    max_vocab: int | None = None,
    preset: str = "quick",
    threads: int | None = None,
    progress: bool = True,
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
        raise TypeError(
            f"`genotype` (={genotype!r}) must be a RecurrentGenotype; see RecurrentGenotype.parse"
        )
    config = TextTrainConfig.make(preset, options)
    corpus = as_corpus(data, level, max_vocab)
    net = derived_network(genotype, len(corpus.vocabulary), config, threads)
    model = LanguageModel(net, corpus.vocabulary, config)
    fit(model, corpus, progress=progress)
    return model


def fit(model: LanguageModel, corpus: Corpus, *, progress: bool = True) -> None:
    """Train a model by its configuration, as `train_text` tells."""
    config, net = model.config, model.network
    rng = np.random.default_rng(config.seed)
    train = training_columns(corpus, config)
    weights = net._engine.weights
    descent = _core.RecurrentWeightStep32(
        net._engine, 0.0, config.weight_decay, config.clip, config.activation, config.slowness
    )
    best, best_loss = None, math.inf
    average, averaged = None, 0
    started, step = time.perf_counter(), 0
    limit = math.inf if config.max_seconds is None else config.max_seconds
    bar = progress_bar("train", config.epochs * train[1:].size, progress, "token")
    try:
        for epoch in range(config.epochs):
            total, seen, hidden = 0.0, 0, np.zeros((config.batch_size, config.hidden), np.float32)
            for x, y in segments(train, config.bptt, rng):
                lr = config.lr * len(x) / config.bptt
                loss, _, _, hidden = descent(net._engine, x, y, hidden, lr)
                total, seen, step = total + loss * len(x), seen + len(x), step + 1
                if average is not None:
                    averaged += 1
                    _core.blend32(average, weights, 1 / averaged, net.threads)
                bar.update(x.size)
                if time.perf_counter() - started > limit:
                    break
            current = weights.copy()
            if average is not None:
                weights[:] = average
            valid_loss = evaluate_text(net, corpus.valid)
            model.history.append(
                {
                    "epoch": epoch + 1,
                    "train_loss": total / seen,
                    "valid_loss": valid_loss,
                    "valid_perplexity": math.exp(min(valid_loss, 700.0)),
                    "averaged": average is not None,
                    "seconds": time.perf_counter() - started,
                }
            )
            if valid_loss < best_loss:
                best, best_loss = weights.copy(), valid_loss
            weights[:] = current
            tell(bar, text_line(model.history[-1], config.epochs))
            losses = [entry["valid_loss"] for entry in model.history]
            before = losses[: -config.patience]
            if average is None and before and losses[-1] > min(before):
                average = np.zeros_like(weights)
            if time.perf_counter() - started > limit:
                break
    except KeyboardInterrupt:
        model.interrupted = True
    except _core.NonFinite as error:
        raise Diverged(f"step {step}: {error}", model) from None
    finally:
        if best is not None:
            weights[:] = best
        bar.close()
