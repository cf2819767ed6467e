# SPDX-License-Identifier: MIT
"""A trained language model: perplexity of texts, and samples."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pydarts import _core
from pydarts.common import extensions
from pydarts.common.checks import integer, number, show, token_array
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.common.files import read_described
from pydarts.common.ranks import as_ranks, shared
from pydarts.data.vocabulary import Vocabulary
from pydarts.engine.recurrent import RecurrentNetwork, TextNetwork
from pydarts.models.files import find_model, load_weights, read_weights
from pydarts.models.scores import TextScores, show_perplexity, text_loss
from pydarts.models.trained_model import TrainedModel
from pydarts.spaces.recurrent import RecurrentGenotype
from pydarts.training.config import TextTrainConfig


class LanguageModel(TrainedModel):
    """A trained recurrent network with its vocabulary.

    Attributes
    ----------
    network : RecurrentNetwork, or another network over text
    vocabulary : Vocabulary
    config : TextTrainConfig
    history : list of dict
        One entry an epoch: ``epoch``, ``train_loss``, ``valid_loss`` (nats a token),
        ``valid_perplexity``, ``averaged`` (whether the weights were averaged by then), ``seconds``.
    interrupted, stopped, seconds
        As in `TrainedModel`.
    """

    FORMAT = "pydarts-language-model"

    network: Any

    def __init__(self, network: TextNetwork, vocabulary: Vocabulary, config: TextTrainConfig):
        super().__init__(network, config)
        self.vocabulary = vocabulary

    @property
    def genotype(self) -> RecurrentGenotype:
        """The cell of the network."""
        genotype: RecurrentGenotype = self.network.genotype
        return genotype

    @shared
    def evaluate(self, text: str | NDArray[np.int32], *, comm: Any = None) -> TextScores:
        """Predict a text, token by token.

        Parameters
        ----------
        text : str or ndarray of int32
            A text, or tokens of the vocabulary. Words or characters that the vocabulary lacks count
            as ``<unk>``.
        comm : mpi4py.MPI.Comm, optional
            Processes that compute it together: all of them call this with the same arguments.

        Returns
        -------
        TextScores
            Loss and perplexity a token, and how many tokens were unknown.

        Raises
        ------
        ValueError
            If there are fewer than two tokens.
        """
        if isinstance(text, str):
            tokens, unknown = self.vocabulary.encode(text)
        else:
            tokens, unknown = token_array("text", text, 1, len(self.vocabulary.tokens)), 0
        if len(tokens) < 2:
            raise ArgumentError("text", f"has {len(tokens)} tokens; to predict one takes two")
        with self.network.shared_by(as_ranks(comm)):
            loss = text_loss(self.network, tokens)
        return TextScores(loss, len(tokens), unknown)

    def perplexity(self, text: str | NDArray[np.int32]) -> float:
        """Return ``exp`` of the mean cross-entropy a token of a text: see `evaluate`."""
        return self.evaluate(text).perplexity

    def sample(
        self,
        prompt: str = "\n",
        length: int = 200,
        *,
        temperature: float = 1.0,
        seed: int | None = None,
    ) -> str:
        """Write a text that goes on where ``prompt`` ends.

        Parameters
        ----------
        prompt : str
            What comes before; at least one token.
        length : int
            Tokens to draw.
        temperature : float
            Probabilities are raised to its inverse: near 0 the likeliest token, above 1 more
            surprising ones. ``<unk>`` is never drawn.
        seed : int, optional
            Of the draws; by default different ones each time.

        Raises
        ------
        ArithmeticError
            If the hidden state overflows, which some cells let grow without bound.
        """
        integer("length", length, 1)
        number("temperature", temperature, positive=True)
        if not isinstance(prompt, str):
            raise ArgumentTypeError("prompt", f"(={show(prompt)}) must be a str")
        tokens, _ = self.vocabulary.encode(prompt)
        if len(tokens) == 0:
            raise ArgumentError("prompt", f"(={prompt!r}) holds no token")
        rng = np.random.default_rng(None if seed is None else integer("seed", seed, 0, 2**63))
        unknown = self.vocabulary.tokens.index("<unk>")
        drawn, hidden, token = list[int](), None, tokens[-1]
        for earlier in tokens[:-1]:
            _, hidden = self._next(earlier, hidden)
        for _ in range(length):
            probabilities, hidden = self._next(token, hidden)
            p = probabilities[0].astype(np.float64).clip(0.0)
            p[unknown] = 0.0
            with np.errstate(divide="ignore", over="ignore"):
                logs = np.log(p)
                p = np.exp((logs - logs.max()) / temperature)
            token = int(rng.choice(len(p), p=p / p.sum()))
            drawn.append(token)
        return self.vocabulary.decode(drawn)

    def _next(self, token: int, hidden: NDArray[Any] | None) -> tuple[NDArray[Any], NDArray[Any]]:
        """The probabilities after a token, and the state."""
        probabilities, hidden = self.network.next_probabilities([token], hidden=hidden)
        if not (np.isfinite(probabilities).all() and np.isfinite(hidden).all()):
            raise _core.NonFinite("the hidden state overflows, which the cell does not bound")
        return probabilities, hidden

    def to_c(
        self, path: str | os.PathLike[str], name: str = "model", *, overwrite: bool = False
    ) -> Any:
        """Write the network as one C99 file, which is C++ as well.

        It includes ``math.h``, ``stddef.h``, ``stdint.h`` and ``string.h`` alone, allocates
        nothing, and has ::

            void NAME_step(int32_t token, float *state, float *logits);

        which takes a token's number in the vocabulary and the state before it, zero at a text's
        start, replaces the state by the one after it, and gives the logits of the next token.

        Parameters
        ----------
        path : path
        name : str
            With which the function's name begins.
        overwrite : bool
            Whether to replace a file that exists.

        Returns
        -------
        CFile
            Bytes of constants and of static memory, and multiply-adds of a step.

        Raises
        ------
        FileExistsError
            If there is such a file already and ``overwrite`` is not set.
        ValueError
            If `name` is no identifier of C.
        """
        return extensions.call("LanguageModel.to_c", self, path, name, overwrite=overwrite)

    def description(self) -> dict[str, Any]:
        return {"level": self.vocabulary.level, "tokens": list(self.vocabulary.tokens)}

    @classmethod
    def load(cls, folder: str | os.PathLike[str], *, threads: int | None = None) -> LanguageModel:
        """Read what `save` wrote.

        Parameters
        ----------
        folder : path
        threads : int, optional
            Threads to use; by default all.

        Raises
        ------
        FileNotFoundError
            If one of the two files is missing.
        ValueError
            If a file is damaged or does not fit the other one; names the file.
        """
        path, weights = find_model(folder)
        with read_described(path, cls.FORMAT, (cls.VERSION,)) as d:
            config = TextTrainConfig.from_dict(d["config"])
            genotype = RecurrentGenotype.from_json(json.dumps(d["genotype"]))
            vocabulary = Vocabulary(d["level"], d["tokens"])
            history = list(d["history"])
        nodes, size = len(genotype.recurrent), config.hidden_size
        minimum = 4 * size * (len(vocabulary) + 2 * size * (nodes + 2))
        state = read_weights(weights, minimum)
        net = derived_network(genotype, len(vocabulary), config, threads)
        load_weights(net, state, weights, path)
        model = cls(net, vocabulary, config)
        model.history = history
        return model

    def __repr__(self) -> str:
        c = self.config
        text = f"LanguageModel with {self.num_weights:,} weights (hidden size {c.hidden_size}, "
        text += f"{len(self.vocabulary):,} {self.vocabulary.level} tokens), trained for "
        text += f"{len(self.history)} epochs"
        if self.history:
            last = self.history[-1]["valid_perplexity"]
            text += f"\n  validation: perplexity {show_perplexity(last)}"
        return text


def derived_network(
    genotype: RecurrentGenotype, vocab_size: int, config: TextTrainConfig, threads: int | None
) -> RecurrentNetwork:
    """Build the network that a configuration describes."""
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
