# SPDX-License-Identifier: MIT
"""The search for a recurrent cell: alphas learn on the validation text, weights on the training
text.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pydarts import _core
from pydarts.bilevel import BilevelStep
from pydarts.config import TextSearchConfig, TextTrainConfig
from pydarts.engine import Alphas
from pydarts.genotype import RecurrentGenotype
from pydarts.recurrent import RecurrentSupernet, TextNetwork
from pydarts.search import Diverged, progress_bar, save_search, tell
from pydarts.text import UNITS, Corpus, Level, batchify, default_level, load_corpus, segments

EVALUATION_BATCH = 10


@dataclass(eq=False)
class TextSearchResult:
    """What a search for a recurrent cell found, and how.

    Attributes
    ----------
    config : TextSearchConfig
        All hyper-parameters.
    corpus : Corpus
        The text.
    supernet : RecurrentSupernet
        The trained supernet.
    history : list of dict
        One entry an epoch: ``epoch``, ``train_loss`` (while training), ``valid_loss`` (at the
        epoch's end, without dropout), both with batch statistics and per token in nats,
        ``valid_perplexity``, ``seconds`` since the start, ``genotype``.
    interrupted : bool
        Whether Ctrl-C ended it early.
    """

    config: TextSearchConfig
    corpus: Corpus
    supernet: RecurrentSupernet
    history: list[dict[str, Any]] = field(default_factory=list)
    interrupted: bool = False

    @property
    def genotype(self) -> RecurrentGenotype:
        """The cell that the alphas stand for."""
        return self.supernet.genotype()

    @property
    def alphas(self) -> Alphas:
        """Architecture parameters: ``{"recurrent": (36, 5)}``."""
        return self.supernet.alphas

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write genotype.json, history.csv, alphas.npz, config.json and recurrent.svg."""
        from pydarts.drawing import recurrent_svg

        save_search(folder, self, {"recurrent": recurrent_svg(self.genotype)})

    def __repr__(self) -> str:
        c, net = self.config, self.supernet
        text = f"TextSearchResult after {len(self.history)} of {c.epochs} epochs"
        text += " (interrupted)" if self.interrupted else ""
        text += (
            f"\n  supernet: hidden {c.hidden}, {net.vocab:,} tokens, {net.num_weights:,} weights"
        )
        text += f", order {c.order}, seed {c.seed}"
        if self.history:
            last = self.history[-1]
            text += f"\n  validation: perplexity {last['valid_perplexity']:.2f}"
        return text + f"\n  recurrent: {describe_recurrent(self.genotype)}"


def search_text(
    data: str | os.PathLike[str] | Corpus | None = None,
    *,
    level: Level | None = None,
    max_vocab: int | None = None,
    preset: str = "quick",
    threads: int | None = None,
    progress: bool = True,
    **options: Any,
) -> TextSearchResult:
    """Find a recurrent cell for a text by differentiable architecture search.

    The weights w learn to predict the training text, the architecture parameters alpha learn on the
    validation text: minimise over alpha ``L_valid(w*(alpha), alpha)`` subject to
    ``w*(alpha) = argmin L_train``. Liu, Simonyan, Yang, *DARTS*, arXiv:1806.09055.

    Parameters
    ----------
    data, level, max_vocab : a corpus, or what `load_corpus` takes: a text, a file, a folder with
        texts to train, validate and test on; None: Python's own language reference. ``level`` is
        ``"word"`` or ``"char"``; by default words for a folder, else characters.
    preset : ``"quick"`` (minutes on two cores), ``"standard"``, ``"paper"`` (the original's).
    threads, progress : as in `search`.
    **options : any field of `TextSearchConfig`, in place of the preset's value.

    Returns
    -------
    TextSearchResult
        Ctrl-C returns what has been found so far, with ``interrupted`` set.

    Raises
    ------
    ValueError, TypeError
        For an unusable text or option; names the argument and its value.
    Diverged
        When a loss or gradient is not finite; names the step. Its ``result`` holds the state before
        that step.
    """
    config = TextSearchConfig.make(preset, options)
    corpus = as_corpus(data, level, max_vocab)
    rng = np.random.default_rng(config.seed)
    train = training_columns(corpus, config)
    # The validation text is a tenth of the other: it may be read in fewer columns.
    valid = batchify(corpus.valid, valid_columns(corpus.valid, config), bptt=min(config.bptt, 2))
    net = RecurrentSupernet(
        len(corpus.vocabulary),
        config.hidden,
        seed=config.seed,
        threads=threads,
        dropout=config.dropout,
        dropout_hidden=config.dropout_hidden,
        dropout_input=config.dropout_input,
        dropout_embedding=config.dropout_embedding,
    )
    step = BilevelStep(
        net,
        order=config.order,
        weight_decay=config.weight_decay,
        clip=config.clip,
        clip_coef=config.clip_coef,
        virtual_embedding=config.virtual_embedding,
        dropout_masks=config.dropout_masks,
        alpha_lr=config.alpha_lr,
        alpha_betas=config.alpha_betas,
        alpha_weight_decay=config.alpha_weight_decay,
        epsilon=config.epsilon,
        hvp=config.hvp,
        reuse_gradient=config.reuse_gradient,
        activation=config.activation,
        slowness=config.slowness,
    )
    result = TextSearchResult(config, corpus, net)
    started = time.perf_counter()
    valid_segments = endless_segments(valid, config.bptt, rng)
    bar = progress_bar("search", config.epochs * train[1:].size, progress, "token")
    try:
        for epoch in range(config.epochs):
            loss, hidden, hidden_valid = 0.0, None, None
            for x, y in segments(train, config.bptt, rng):
                first, batch_valid = next(valid_segments)
                info = step(
                    train=(x, y),
                    valid=batch_valid,
                    hidden=(hidden, None if first else hidden_valid),
                    lr=config.lr * len(x) / config.bptt,
                )
                hidden, hidden_valid = info.hidden, info.valid_hidden
                loss += info.train_loss * len(x)
                bar.update(x.size)
            valid_loss = _validate(net, valid, config.bptt)
            genotype = net.genotype()
            result.history.append(
                {
                    "epoch": epoch + 1,
                    "train_loss": loss / (len(train) - 1),
                    "valid_loss": valid_loss,
                    "valid_perplexity": math.exp(min(valid_loss, 700.0)),
                    "seconds": time.perf_counter() - started,
                    "genotype": str(genotype),
                }
            )
            tell(
                bar,
                text_line(result.history[-1], config.epochs),
                f"  recurrent {describe_recurrent(genotype)}",
            )
    except KeyboardInterrupt:
        result.interrupted = True
    except _core.NonFinite as error:
        raise Diverged(str(error), result) from None
    finally:
        bar.close()
    return result


def as_corpus(
    data: str | os.PathLike[str] | Corpus | None, level: Level | None, max_vocab: int | None
) -> Corpus:
    """``data`` itself if it is a corpus, else what `load_corpus` makes of it."""
    if isinstance(data, Corpus):
        return data
    return load_corpus(data, level=level or default_level(data), max_vocab=max_vocab)


def training_columns(
    corpus: Corpus, config: TextSearchConfig | TextTrainConfig
) -> NDArray[np.int32]:
    """The training text, or the part of it that is searched on, in ``batch_size`` columns."""
    most = config.max_tokens if isinstance(config, TextSearchConfig) else None
    tokens, least = corpus.train[:most], config.batch_size * (config.bptt + 1)
    if len(tokens) < least:
        cut = len(tokens) < len(corpus.train)
        raise ValueError(
            f"`batch_size` (={config.batch_size}) sequences of `bptt` (={config.bptt}) + 1"
            f" {UNITS[corpus.level]} take {least:,} of them, but"
            f" {'`max_tokens`' if cut else 'the text to learn from'} has {len(tokens):,}"
        )
    return batchify(tokens, config.batch_size, bptt=config.bptt)


def valid_columns(tokens: NDArray[np.int32], config: TextSearchConfig) -> int:
    """``batch_size``, or fewer where the text is too short for segments in so many columns."""
    return max(1, min(config.batch_size, len(tokens) // (config.bptt + 1)))


def endless_segments(
    columns: NDArray[np.int32], bptt: int, rng: np.random.Generator
) -> Iterator[tuple[bool, tuple[NDArray[np.int32], NDArray[np.int32]]]]:
    """`segments` again and again; tells with each whether it is the first of a round."""
    while True:
        for i, segment in enumerate(segments(columns, bptt, rng)):
            yield i == 0, segment


def _validate(net: RecurrentSupernet, columns: NDArray[np.int32], bptt: int) -> float:
    """Mean cross-entropy a token without dropout. With batch statistics: the running ones, shared
    by all states and steps, fit none of them.
    """
    total, hidden = 0.0, None
    for x, y in segments(columns, bptt):
        loss, _ = net.loss_and_grads(x, y, hidden=hidden, wrt=(), masks={})
        hidden = net.last_hidden
        total += loss * len(x)
    return total / (len(columns) - 1)


def evaluate_text(net: TextNetwork, tokens: NDArray[np.int32], bptt: int = 70) -> float:
    """Mean cross-entropy a token, in nats, without dropout; all but the first tokens of a few
    columns are predicted.
    """
    columns = batchify(tokens, max(1, min(EVALUATION_BATCH, len(tokens) // 2)))
    total, hidden = 0.0, None
    for x, y in segments(columns, bptt):
        loss, hidden = net.evaluate(x, y, hidden=hidden)
        total += loss * len(x)
    return total / (len(columns) - 1)


def text_line(entry: dict[str, Any], epochs: int) -> str:
    """One line of progress."""
    text = f"epoch {entry['epoch']:3d}/{epochs}  train perplexity"
    text += f" {math.exp(min(entry['train_loss'], 700.0)):8.2f}"
    return text + f"  valid {entry['valid_perplexity']:8.2f}"


def describe_recurrent(genotype: RecurrentGenotype) -> str:
    """A cell on one line, ``relu(0) tanh(2) ...``: activation and input, node by node."""
    return " ".join(f"{name}({state})" for name, state in genotype.recurrent)
