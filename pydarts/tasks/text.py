# SPDX-License-Identifier: MIT
"""Language modelling: columns and segments of a text, networks, perplexity."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pydarts.common.errors import ArgumentError
from pydarts.data.corpus import Corpus
from pydarts.data.segments import Segments, batchify, segments
from pydarts.data.vocabulary import UNITS
from pydarts.engine.recurrent import RecurrentNetwork, RecurrentSupernet
from pydarts.models.language_model import LanguageModel, derived_network
from pydarts.models.scores import mean_loss, perplexity_of, show_perplexity, text_loss
from pydarts.spaces.ready import RECURRENT
from pydarts.training.checkpoint import State
from pydarts.training.config import TextSearchConfig, TextTrainConfig
from pydarts.training.metrics import PERPLEXITY
from pydarts.training.task import Metrics, SearchData, Task, TrainData, require_finite

Columns = NDArray[np.int32]
Segment = tuple[Columns, Columns]

MAX_PERPLEXITY = 1e6
"""The score of a model that is worse, or of which it is not a number."""


class LanguageModelling(Task):
    """A text to learn from, one to validate on and one to test on.

    Parameters
    ----------
    corpus : Corpus
    threads : int, optional
        Of all networks; by default all.
    """

    kind = "recurrent"
    space = RECURRENT
    search_config = TextSearchConfig
    train_config = TextTrainConfig
    metric = PERPLEXITY
    unit = "token"

    def __init__(self, corpus: Corpus, *, threads: int | None = None):
        self.corpus, self.threads = corpus, threads

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        return self.corpus.train, self.corpus.valid, self.corpus.test

    def search_data(self, config: TextSearchConfig, rng: np.random.Generator) -> TextSearchData:
        return TextSearchData(self, config, rng)

    def supernet(self, config: TextSearchConfig, **options: Any) -> RecurrentSupernet:
        return RecurrentSupernet(
            len(self.corpus.vocabulary),
            config.hidden_size,
            seed=config.seed,
            threads=self.threads,
            dropout=config.dropout,
            dropout_hidden=config.dropout_hidden,
            dropout_input=config.dropout_input,
            dropout_embedding=config.dropout_embedding,
            **options,
        )

    def step_options(self, config: TextSearchConfig) -> Mapping[str, Any]:
        loss = ("unrolled_embedding", "dropout_masks", "ar", "tar")
        names = ("weight_decay", "max_grad_norm", "clip_coef", *loss)
        return {name: getattr(config, name) for name in names}

    def search_bytes(self, config: TextSearchConfig, **options: Any) -> int:
        return self._bytes(self.supernet(config, **options), config, config.max_tokens)

    def train_bytes(self, genotype: Any, config: TextTrainConfig) -> int:
        return self._bytes(self.model(genotype, config).network, config, None)

    def savings(self, config: TextSearchConfig | TextTrainConfig) -> Iterator[dict[str, Any]]:
        batch = config.batch_size // 2
        while batch >= 1:
            yield {"batch_size": batch}
            batch //= 2

    def train_data(self, config: TextTrainConfig, rng: np.random.Generator) -> TextTrainData:
        return TextTrainData(self, config, rng)

    def check_train(self, config: TextTrainConfig) -> None:
        self.columns(config, None)
        if len(self.corpus.valid) < 2:
            raise ArgumentError("data", "has one token to validate on: at least 2 are needed")

    def model(self, genotype: Any, config: TextTrainConfig) -> LanguageModel:
        vocabulary = self.corpus.vocabulary
        net = derived_network(genotype, len(vocabulary), config, self.threads)
        return LanguageModel(net, vocabulary, config)

    def sgd_options(self, config: TextTrainConfig) -> Mapping[str, Any]:
        names = ("weight_decay", "max_grad_norm", "ar", "tar")
        return {"momentum": 0.0, **{name: getattr(config, name) for name in names}}

    def averaging(self, config: TextTrainConfig) -> Mapping[str, Any]:
        return {"patience": config.patience}

    def contest_config(
        self, config: TextSearchConfig, epochs: int | None, seed: int
    ) -> TextTrainConfig:
        sizes = ("hidden_size", "batch_size", "bptt", "lr", "max_grad_norm", "weight_decay")
        rates = ("dropout", "dropout_hidden", "dropout_input", "dropout_embedding", "ar", "tar")
        fields = {name: getattr(config, name) for name in (*sizes, *rates)}
        return TextTrainConfig(**fields, epochs=epochs or 4, seed=seed)

    def score(self, model: LanguageModel) -> float:
        return min(model.perplexity(self.corpus.test), MAX_PERPLEXITY)

    def split(self, train_fraction: float, rng: np.random.Generator) -> LanguageModelling:
        """The same task: the validation text chooses among cells, as it does among epochs."""
        c = self.corpus
        return self.on(Corpus(c.name, c.vocabulary, c.train, c.valid, c.valid))

    def on(self, corpus: Corpus) -> LanguageModelling:
        """The same task on another text."""
        task = LanguageModelling(corpus, threads=self.threads)
        task.ranks = self.ranks
        return task

    def epoch_line(self, entry: Mapping[str, Any], epochs: int) -> str:
        text = f"epoch {entry['epoch']:3d}/{epochs}  train perplexity"
        text += f" {show_perplexity(perplexity_of(entry['train_loss'])):>8}"
        return text + f"  valid {show_perplexity(entry['valid_perplexity']):>8}"

    def _bytes(self, net: Any, config: Any, max_tokens: int | None) -> int:
        net.use_ranks(self.ranks)
        plan: dict[str, int] = net.memory_plan(config.batch_size, config.bptt)
        total: int = self.ranks.of_first(plan["total"])
        used = len(self.corpus.train[:max_tokens])
        return total + 4 * (used + len(self.corpus.valid))

    def columns(
        self, config: TextSearchConfig | TextTrainConfig, max_tokens: int | None
    ) -> Columns:
        """The training text, or its first so many tokens, in ``batch_size`` columns."""
        corpus = self.corpus
        tokens, minimum = corpus.train[:max_tokens], config.batch_size * (config.bptt + 1)
        if len(tokens) < minimum:
            cut = len(tokens) < len(corpus.train)
            raise ArgumentError(
                "batch_size",
                f"(={config.batch_size}) sequences of `bptt` (={config.bptt}) + 1"
                f" {UNITS[corpus.level]} take {minimum:,} of them, but"
                f" {'`max_tokens`' if cut else 'the text to learn from'} has {len(tokens):,}",
            )
        return batchify(tokens, config.batch_size, bptt=config.bptt)


class TextSearchData(SearchData):
    """The columns that the weights learn on, and those that α learns on."""

    batches: Segments
    valid: Segments

    def __init__(self, task: LanguageModelling, config: TextSearchConfig, rng: np.random.Generator):
        self._config, self._task, corpus = config, task, task.corpus
        self._train = task.columns(config, config.max_tokens)
        # The validation text is a tenth of the other: it may be read in fewer columns.
        fewer = max(1, min(config.batch_size, len(corpus.valid) // (config.bptt + 1)))
        self._valid = batchify(corpus.valid, fewer, bptt=min(config.bptt, 2))
        self.batches = Segments(self._train, config.bptt, rng)
        self.valid = Segments(self._valid, config.bptt, rng)
        self._hidden: tuple[Any, Any] = (None, None)  # of training and validation text
        self.arrays = corpus.train, corpus.valid
        self.units = self._train[1:].size
        # One segment in twenty has half the length.
        self.steps = max(1, round((len(self._train) - 1) / config.bptt / 0.975))
        self._part = self._valid[: 4 * config.bptt + 1]
        self.validations = (len(self._valid) - 1) / (len(self._part) - 1)
        self.amount = "max_tokens", self._train.size

    def valid_batches(self) -> Iterator[tuple[bool, Segment]]:
        return self.valid.endless()

    def size(self, item: Segment) -> tuple[int, int]:
        return len(item[0]), item[0].size

    def inputs(self, item: Segment, valid_item: tuple[bool, Segment], epoch: int) -> dict[str, Any]:
        first, segment = valid_item
        hidden, valid_hidden = self._hidden
        return {
            "train": item,
            "valid": segment,
            "hidden": (hidden, None if first else valid_hidden),
            "lr": self._config.lr * (self.tuning_share or 1.0) * len(item[0]) / self._config.bptt,
        }

    def trial_inputs(self) -> dict[str, Any]:
        bptt = self._config.bptt
        train, valid = (next(segments(part, bptt)) for part in (self._train, self._valid))
        return {"train": train, "valid": valid, "lr": 0.0}

    def carry(self, info: Any) -> None:
        self._hidden = info.hidden, info.valid_hidden

    def end_epoch(self) -> None:
        self._hidden = None, None

    def metrics(self, loop: Any, network: RecurrentSupernet, epoch: int) -> Metrics:
        mixture = loop.mixture
        mixing = None if mixture is None else mixture.mixing
        loss = require_finite(_supernet_loss(network, self._valid, self._config.bptt, mixing))
        return {
            "train_loss": loop.train_loss,
            "valid_loss": loss,
            "valid_perplexity": perplexity_of(loss),
        }

    def validate_part(self, network: RecurrentSupernet) -> None:
        _supernet_loss(network, self._part, self._config.bptt)

    def evaluate(
        self,
        network: RecurrentSupernet,
        mixing: Mapping[str, NDArray[Any]],
        active: Mapping[str, NDArray[Any]] | None,
        batches: int | None,
    ) -> tuple[float, float | None]:
        rows = len(self._valid) if batches is None else batches * self._config.bptt + 1
        return _supernet_loss(network, self._valid[:rows], self._config.bptt, mixing), None

    def num_batches(self, batches: int | None) -> int:
        whole = math.ceil((len(self._valid) - 1) / self._config.bptt)
        return whole if batches is None else min(batches, whole)

    def contest(self) -> LanguageModelling:
        c = self._task.corpus
        learned = c.train[: self._config.max_tokens]
        return self._task.on(Corpus(c.name, c.vocabulary, learned, c.valid, c.valid))

    def probe(self, network: RecurrentSupernet) -> tuple[float, dict[str, dict[str, NDArray[Any]]]]:
        x, y = next(segments(self._valid, self._config.bptt))
        return network.loss_and_grads(x, y, wrt="alphas", masks={})

    def state(self) -> State:
        return {"hidden": self._hidden[0], "valid_hidden": self._hidden[1]}

    def restore(self, state: State) -> None:
        self._hidden = state["hidden"], state["valid_hidden"]


class TextTrainData(TrainData):
    """The training text in columns, and the validation text."""

    batches: Segments

    def __init__(self, task: LanguageModelling, config: TextTrainConfig, rng: np.random.Generator):
        self._config, corpus = config, task.corpus
        columns = task.columns(config, None)
        self.batches = Segments(columns, config.bptt, rng)
        self._valid, self._hidden = corpus.valid, None
        self.arrays = corpus.train, corpus.valid
        self.units = columns[1:].size

    def size(self, item: Segment) -> tuple[int, int]:
        return len(item[0]), item[0].size

    def inputs(
        self, item: Segment, network: RecurrentNetwork, epoch: int, step: int
    ) -> dict[str, Any]:
        x, y = item
        lr = self._config.lr * len(x) / self._config.bptt
        return {"x": x, "y": y, "lr": lr, "hidden": self._hidden}

    def carry(self, info: Any) -> None:
        self._hidden = info.hidden

    def end_epoch(self) -> None:
        self._hidden = None

    def metrics(self, loop: Any, epoch: int) -> Metrics:
        return {"train_loss": loop.train_loss}

    def validate(self, network: RecurrentNetwork) -> Metrics | None:
        loss = require_finite(text_loss(network, self._valid))
        return {"valid_loss": loss, "valid_perplexity": perplexity_of(loss)}

    def state(self) -> State:
        return {"hidden": self._hidden}

    def restore(self, state: State) -> None:
        self._hidden = state["hidden"]


def _supernet_loss(
    net: RecurrentSupernet,
    columns: Columns,
    bptt: int,
    mixing: Mapping[str, NDArray[Any]] | None = None,
) -> float:
    """Mean cross-entropy a token without dropout. With batch statistics: the running ones, shared
    by all states and steps, fit none of them.
    """

    def evaluate(x: Columns, y: Columns, hidden: Any) -> tuple[float, NDArray[Any]]:
        loss, _ = net.loss_and_grads(x, y, hidden=hidden, wrt=(), masks={}, mixing=mixing)
        return loss, net.last_hidden

    return mean_loss(columns, bptt, evaluate)
