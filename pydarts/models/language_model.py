# SPDX-License-Identifier: MIT
"""A trained language model: perplexity of texts, samples, and its two files."""

from __future__ import annotations

import json
import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pydarts.api.searching_text import evaluate_text
from pydarts.common.errors import ArgumentError
from pydarts.data.text import Vocabulary
from pydarts.engine.recurrent import RecurrentNetwork, TextNetwork
from pydarts.models.files import described, find_model, load_weights, read_weights, write_model
from pydarts.spaces.recurrent import RecurrentGenotype
from pydarts.training.config import TextTrainConfig

if TYPE_CHECKING:
    from pydarts.export.pytorch import RecurrentModel

FORMAT, _VERSION = "pydarts-language-model", 1


class LanguageModel:
    """A trained recurrent network with its vocabulary.

    Attributes
    ----------
    network : RecurrentNetwork, or another network over text
    vocabulary : Vocabulary
    config : TextTrainConfig
    history : list of dict
        One entry an epoch: ``epoch``, ``train_loss``, ``valid_loss`` (nats a token),
        ``valid_perplexity``, ``averaged`` (whether the weights were averaged by then), ``seconds``.
    interrupted : bool
        Whether Ctrl-C ended the training early.
    seconds : float
        That the training took, in all its runs; not saved.
    """

    def __init__(self, network: TextNetwork, vocabulary: Vocabulary, config: TextTrainConfig):
        self.network = network
        self.vocabulary = vocabulary
        self.config = config
        self.history: list[dict[str, Any]] = []
        self.interrupted = False
        self.seconds = 0.0

    @property
    def genotype(self) -> RecurrentGenotype:
        """The cell of the network."""
        if not isinstance(self.network, RecurrentNetwork):
            raise AttributeError("`network` was not derived from a genotype")
        return self.network.genotype

    @property
    def num_weights(self) -> int:
        """Number of trained weights."""
        return self.network.num_weights

    def perplexity(self, text: str | NDArray[np.int32]) -> float:
        """``exp`` of the mean cross-entropy a token of a text, or of tokens of the vocabulary.

        Words or characters that the vocabulary lacks count as ``<unk>``;
        ``vocabulary.encode(text)`` tells how many there are.

        Raises
        ------
        ValueError
            If there are fewer than two tokens.
        """
        tokens = self.vocabulary.encode(text)[0] if isinstance(text, str) else text
        if len(tokens) < 2:
            raise ArgumentError("text", f"has {len(tokens)} tokens; to predict one takes two")
        return math.exp(min(evaluate_text(self.network, tokens), 700.0))

    def sample(
        self,
        prompt: str = "\n",
        length: int = 200,
        *,
        temperature: float = 1.0,
        seed: int | None = None,
    ) -> str:
        """A text that goes on where ``prompt`` ends.

        Parameters
        ----------
        prompt : what comes before; at least one token.
        length : tokens to draw.
        temperature : probabilities are raised to its inverse: near 0 the likeliest token, above 1
            more surprising ones. ``<unk>`` is never drawn.
        seed : of the draws; None: different ones each time.
        """
        if isinstance(length, bool) or not isinstance(length, (int, np.integer)) or length < 1:
            raise ArgumentError("length", f"(={length!r}) must be an integer of at least 1")
        if not 0 < temperature < math.inf:
            raise ArgumentError("temperature", f"(={temperature!r}) must be more than 0")
        tokens, _ = self.vocabulary.encode(prompt)
        if len(tokens) == 0:
            raise ArgumentError("prompt", f"(={prompt!r}) holds no token")
        rng = np.random.default_rng(seed)
        unknown = self.vocabulary.tokens.index("<unk>")
        hidden = None
        for token in tokens:
            probabilities, hidden = self.network.next_probabilities([token], hidden=hidden)
        drawn = []
        for _ in range(length):
            p = probabilities[0].astype(np.float64).clip(0.0)
            p[unknown] = 0.0
            with np.errstate(divide="ignore"):
                odds = np.log(p) / temperature
            p = np.exp(odds - odds.max())
            token = int(rng.choice(len(p), p=p / p.sum()))
            drawn.append(token)
            probabilities, hidden = self.network.next_probabilities([token], hidden=hidden)
        return self.vocabulary.decode(drawn)

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write model.safetensors and model.json into ``folder``, which is made if need be.

        Raises
        ------
        FileExistsError
            If there is a model already and ``overwrite`` is not set.
        """
        description = {
            "format": FORMAT,
            "version": _VERSION,
            "genotype": json.loads(self.genotype.to_json()),
            "level": self.vocabulary.level,
            "tokens": list(self.vocabulary.tokens),
            "config": self.config.to_dict(),
            "history": self.history,
        }
        write_model(folder, description, self.network, overwrite)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], *, threads: int | None = None) -> LanguageModel:
        """Read what `save` wrote.

        Raises
        ------
        FileNotFoundError
            If one of the two files is missing.
        ValueError
            If a file is damaged or does not fit the other one; names the file.
        """
        path, weights = find_model(folder)
        with described(path, FORMAT, _VERSION) as d:
            options = dict(d["config"])
            config = TextTrainConfig(options.pop("preset"), **options)
            genotype = RecurrentGenotype.from_json(json.dumps(d["genotype"]))
            vocabulary = Vocabulary(d["level"], d["tokens"])
            history = list(d["history"])
        nodes = len(genotype.recurrent)
        least = 4 * config.hidden_size * (len(vocabulary) + 2 * config.hidden_size * (nodes + 2))
        state = read_weights(weights, least)
        net = derived_network(genotype, len(vocabulary), config, threads)
        load_weights(net, state, weights, path)
        model = cls(net, vocabulary, config)
        model.history = history
        return model

    def to_torch(self) -> RecurrentModel:
        """The network as a ``torch.nn.Module`` from tokens and state to logits and state; its own
        state loads back.

        Raises
        ------
        ImportError
            If PyTorch is not installed.
        """
        from pydarts.export.pytorch import text_module

        return text_module(self)

    def to_onnx(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the network as an ONNX file of opset 17.

        Its inputs are ``tokens`` (T, B), int64, and ``hidden`` (B, H), the state before them, zero
        at a text's start; its outputs ``logits`` (T, B, V) of what follows each token, and
        ``last_hidden`` (B, H). T and B are free. The file's metadata hold ``tokens``, the
        vocabulary in its order, and the genotype.

        Raises
        ------
        ImportError
            If onnx is not installed.
        FileExistsError
            If there is such a file already and ``overwrite`` is not set.
        """
        from pydarts.export.onnx_graph import text_graph, write

        write(path, text_graph(self), overwrite)

    def __repr__(self) -> str:
        c = self.config
        text = f"LanguageModel with {self.num_weights:,} weights (hidden {c.hidden_size}, "
        text += f"{len(self.vocabulary):,} {self.vocabulary.level} tokens), trained for "
        text += f"{len(self.history)} epochs"
        if self.history:
            text += f"\n  validation: perplexity {self.history[-1]['valid_perplexity']:.2f}"
        return text


def derived_network(
    genotype: RecurrentGenotype, vocab_size: int, config: TextTrainConfig, threads: int | None
) -> RecurrentNetwork:
    """The network that a configuration describes."""
    return RecurrentNetwork(
        genotype,
        vocab_size,
        config.hidden_size,
        seed=config.seed,
        threads=threads,
        dropout=config.dropout,
        dropout_hidden=config.dropout_hidden,
        dropout_input=config.dropout_input,
        dropout_embedding=config.dropout_embedding,
    )
