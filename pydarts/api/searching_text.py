# SPDX-License-Identifier: MIT
"""The search for a recurrent cell: alphas learn on the validation text, weights on the training
text.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pydarts.common.errors import ArgumentError
from pydarts.data.text import UNITS, Corpus, Level, batchify, default_level, load_corpus, segments
from pydarts.engine.recurrent import RecurrentSupernet, TextNetwork
from pydarts.methods.bilevel import BilevelStep
from pydarts.spaces.recurrent import RecurrentGenotype
from pydarts.training.budget import Workload, check_budgets
from pydarts.training.callbacks import Callback
from pydarts.training.checkpoint import State
from pydarts.training.config import Config, TextSearchConfig, TextTrainConfig
from pydarts.training.loop import Control, SearchCourse
from pydarts.training.result import Result

EVALUATION_BATCH = 10


@dataclass(eq=False)
class TextSearchResult(Result):
    """What a search for a recurrent cell found, and how.

    Attributes
    ----------
    config : TextSearchConfig
        All hyper-parameters.
    corpus : Corpus
        The text.
    supernet : RecurrentSupernet
        The trained supernet. It and the corpus are None in a result that was loaded.
    alphas : dict of ndarray
        Architecture parameters: ``{"recurrent": (36, 5)}``. Those of the supernet, unless a
        callback chose an earlier epoch's.
    history : list of dict
        One entry an epoch: ``epoch``, ``train_loss`` (while training), ``valid_loss`` (at the
        epoch's end, without dropout), both with batch statistics and per token in nats,
        ``valid_perplexity``, ``alpha_entropy_recurrent`` and what else `SearchResult` tells;
        ``skips`` counts identities.
    alpha_history : dict of ndarray
        The alphas at the start and after each epoch: ``{"recurrent": (epochs + 1, 36, 5)}``.
    interrupted, stopped, seconds
        As in `SearchResult`.
    """

    corpus: Corpus | None = None

    _config: ClassVar[type[Config]] = TextSearchConfig
    _cell: ClassVar[type[RecurrentGenotype]] = RecurrentGenotype

    @property
    def genotype(self) -> RecurrentGenotype:
        """The cell that the alphas stand for."""
        return RecurrentGenotype.derive(self.alphas)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write genotype.json, history.csv, alphas.npz, alpha_history.npz, config.json and
        recurrent.svg.
        """
        from pydarts.drawing.cells import recurrent_svg

        cell = self.genotype
        self._save(folder, cell, {"recurrent": recurrent_svg(cell)})

    def __repr__(self) -> str:
        c, net = self.config, self.supernet
        size = f"hidden {c.hidden_size}"
        size += (
            f", {net.vocab_size:,} tokens, {net.num_weights:,} weights" if net is not None else ""
        )
        text = f"{self._how_far()}\n  supernet: {size}, order {c.order}, seed {c.seed}"
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
    callbacks: Sequence[Callback] = (),
    eigenvalue: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_seconds: float = 60.0,
    resume: str = "auto",
    time_budget: float | str | None = None,
    memory_budget: int | str | None = None,
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
    threads, progress, callbacks, eigenvalue, checkpoint, checkpoint_seconds, resume, time_budget,
    memory_budget : as in `search`.
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
    config = TextSearchConfig.make(preset, options)
    corpus = as_corpus(data, level, max_vocab)
    if time_budget is not None or memory_budget is not None:
        check_budgets(control, TextWorkload(config, corpus, threads))
    rng = np.random.default_rng(config.seed)
    columns, valid_columns = both_columns(corpus, config)
    net, step = recurrent_supernet(config, len(corpus.vocabulary), threads)
    train = Segments(columns, config.bptt, rng)
    valid = Segments(valid_columns, config.bptt, rng)
    x_fixed, y_fixed = next(segments(valid_columns, config.bptt))
    result = TextSearchResult(config, net, net.alphas, corpus=corpus)
    course = SearchCourse(
        result,
        step,
        rng,
        {"train": train, "valid": valid},
        control,
        data=(corpus.train, corpus.valid),
        total=config.epochs * columns[1:].size,
        unit="token",
        lines=lambda entry: text_lines(entry, config, net.genotype()),
        probe=lambda: net.loss_and_grads(x_fixed, y_fixed, wrt="alphas", masks={}),
    )
    with course:  # Ctrl-C, budgets and callbacks leave it early
        others = valid.endless()
        for _ in course.epochs():
            for x, y in course.steps(train):
                hidden, hidden_valid = course.hidden
                first, other = next(others)
                info = step(
                    train=(x, y),
                    valid=other,
                    hidden=(hidden, None if first else hidden_valid),
                    lr=config.lr * len(x) / config.bptt,
                )
                course.took(info, size=len(x), units=x.size)
            valid_loss = _validate(net, valid_columns, config.bptt)
            course.end_epoch(
                train_loss=course.train_loss,
                valid_loss=valid_loss,
                valid_perplexity=math.exp(min(valid_loss, 700.0)),
            )
    return result


def both_columns(
    corpus: Corpus, config: TextSearchConfig
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The columns that the weights learn on, and those that the alphas learn on."""
    train = training_columns(corpus, config)
    # The validation text is a tenth of the other: it may be read in fewer columns.
    fewer = max(1, min(config.batch_size, len(corpus.valid) // (config.bptt + 1)))
    return train, batchify(corpus.valid, fewer, bptt=min(config.bptt, 2))


def recurrent_supernet(
    config: TextSearchConfig, vocab_size: int, threads: int | None
) -> tuple[RecurrentSupernet, BilevelStep]:
    """The network and the step that a configuration describes."""
    net = RecurrentSupernet(
        vocab_size,
        config.hidden_size,
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
        max_grad_norm=config.max_grad_norm,
        clip_coef=config.clip_coef,
        unrolled_embedding=config.unrolled_embedding,
        dropout_masks=config.dropout_masks,
        alpha_lr=config.alpha_lr,
        alpha_betas=config.alpha_betas,
        alpha_weight_decay=config.alpha_weight_decay,
        epsilon=config.epsilon,
        hvp=config.hvp,
        reuse_gradient=config.reuse_gradient,
        ar=config.ar,
        tar=config.tar,
    )
    return net, step


class TextWorkload(Workload):
    """A search to be, on a corpus."""

    def __init__(self, config: TextSearchConfig, corpus: Corpus, threads: int | None):
        self.config, self._vocab, self._threads = config, len(corpus.vocabulary), threads
        self._train, self._valid = both_columns(corpus, config)
        self.net, self._step = recurrent_supernet(config, self._vocab, threads)
        # One segment in twenty has half the length.
        self.steps = max(1, round((len(self._train) - 1) / config.bptt / 0.975))
        self._part = self._valid[: 4 * config.bptt + 1]
        self.validations = (len(self._valid) - 1) / (len(self._part) - 1)
        self.amount = "max_tokens", self._train.size

    def take(self) -> None:
        train, valid = (
            next(segments(columns, self.config.bptt)) for columns in (self._train, self._valid)
        )
        self._step(train=train, valid=valid, lr=0.0)

    def validate(self) -> None:
        _validate(self.net, self._part, self.config.bptt)

    def bytes(self, config: TextSearchConfig) -> int:
        net, _ = recurrent_supernet(config, self._vocab, self._threads)
        plan = net.memory_plan(config.batch_size, config.bptt)
        return plan["total"] + self._train.nbytes + self._valid.nbytes

    def savings(self) -> Iterator[dict[str, Any]]:
        batch = self.config.batch_size // 2
        while batch >= 1:
            yield {"batch_size": batch}
            batch //= 2


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
        raise ArgumentError(
            "batch_size",
            f"(={config.batch_size}) sequences of `bptt` (={config.bptt}) + 1"
            f" {UNITS[corpus.level]} take {least:,} of them, but"
            f" {'`max_tokens`' if cut else 'the text to learn from'} has {len(tokens):,}",
        )
    return batchify(tokens, config.batch_size, bptt=config.bptt)


Segment = tuple[NDArray[np.int32], NDArray[np.int32]]


class Segments:
    """`segments` for training, epoch after epoch, that can be taken up in the middle of one."""

    def __init__(self, columns: NDArray[np.int32], bptt: int, rng: np.random.Generator):
        self._columns, self._bptt, self._rng, self._at = columns, bptt, rng, 0

    def epoch(self) -> Iterator[Segment]:
        """What is left of the present epoch."""
        for x, y in segments(self._columns, self._bptt, self._rng, start=self._at):
            self._at += len(x)
            yield x, y
        self._at = 0

    def endless(self) -> Iterator[tuple[bool, Segment]]:
        """Epoch after epoch; tells with each segment whether it is the first of one."""
        while True:
            for segment in self.epoch():
                yield self._at == len(segment[0]), segment

    def state(self) -> State:
        return {"at": self._at}

    def restore(self, state: State) -> None:
        self._at = state["at"]


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


def text_lines(
    entry: dict[str, Any], config: TextSearchConfig, genotype: RecurrentGenotype
) -> list[str]:
    """An epoch of the search, and its cell."""
    return [text_line(entry, config.epochs), f"  recurrent {describe_recurrent(genotype)}"]


def describe_recurrent(genotype: RecurrentGenotype) -> str:
    """A cell on one line, ``relu(0) tanh(2) ...``: activation and input, node by node."""
    return " ".join(f"{name}({state})" for name, state in genotype.recurrent)
