# SPDX-License-Identifier: MIT
"""The engine's networks over text: recurrent supernet and derived recurrent network.

A language model: embedding, one cell unrolled over a segment, decoder tied to the embedding. Liu,
Simonyan, Yang, *DARTS*, arXiv:1806.09055, section 2.1 and appendix A.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from pydarts.common.checks import integer
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.common.checks import token_array
from pydarts.engine.network import Array, EngineNetwork, StepDefaults, wanted_gradients
from pydarts.spaces.recurrent import RECURRENT_OPERATIONS, RecurrentGenotype

_NODES = 8


class TextNetwork(EngineNetwork):
    """What the networks over text share: loss and gradients of a segment."""

    def __init__(
        self,
        cell: list[tuple[int, int]] | None,
        outputs: list[int],
        vocab_size: int,
        hidden_size: int,
        dtype: DTypeLike,
        seed: int,
        threads: int | None,
        dropouts: Mapping[str, float],
    ):
        for name, rate in dropouts.items():
            if not 0 <= rate < 1:
                raise ArgumentError(name, f"(={rate!r}) must lie in [0, 1)")
        sizes = (
            integer("vocab_size", vocab_size, 2, 2**20 + 1),
            integer("hidden_size", hidden_size, 1, 2**14 + 1),
        )
        arguments = (cell, outputs, _NODES, *sizes, *map(float, dropouts.values()))
        super().__init__("RecurrentNetwork", arguments, dtype, seed, threads)
        self._last_hidden: Array | None = None

    @property
    def vocab_size(self) -> int:
        """Number of tokens."""
        return int(self._engine.vocabulary)

    @property
    def hidden_size(self) -> int:
        """Size of the hidden state and of the embedding."""
        return int(self._engine.hidden)

    @property
    def last_hidden(self) -> Array:
        """The state (B, H) after the last pass, with which the next segment begins."""
        if self._last_hidden is None:
            raise RuntimeError("`last_hidden` is known after a pass only")
        return self._last_hidden

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Load what ``state_dict`` gave; ``decoder.weight`` may come with it, being the encoder's.

        Raises
        ------
        ValueError
            For a missing or unknown name, a wrong shape, a value that is not finite, or a
            ``decoder.weight`` of its own. Nothing is changed then.
        """
        given = dict(state)
        tied = given.pop("decoder.weight", None)
        if tied is not None and not np.array_equal(tied, given.get("encoder.weight", ())):
            raise ValueError("`state`['decoder.weight'] is not `state`['encoder.weight']")
        super().load_state_dict(given)

    def state(self) -> dict[str, Any]:
        """Views of all that passes and steps change, and the state of the dropout's stream."""
        return {**super().state(), "stream": self._engine.stream}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Set what ``state`` gave, in a network of the same make."""
        super().restore(state)
        self._engine.stream = state["stream"]

    def memory_plan(self, batch_size: int, length: int, *, training: bool = True) -> dict[str, int]:
        """Bytes that a segment of ``length`` steps will take, known before anything runs.

        Returns
        -------
        dict
            ``activations`` (with what the kernels need), ``weights`` (with gradient, optimiser and
            the vectors of the second order) and their sum ``total``.
        """
        activations = self._engine.memory(
            integer("length", length, 1), integer("batch_size", batch_size, 1), training
        )
        return self._plan(training, activations=activations)

    def loss_and_grads(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        hidden: ArrayLike | None = None,
        wrt: str | Iterable[str] = ("weights", "alphas"),
        masks: Mapping[str, ArrayLike] | None = None,
        ar: float = 0.0,
        tar: float = 0.0,
    ) -> tuple[float, dict[str, dict[str, Array]]]:
        """Mean cross-entropy of the next token, with batch statistics and dropout, and gradients.

        The running statistics stay untouched; the state after the segment is in ``last_hidden``.

        Parameters
        ----------
        x, y : (T, B) tokens, and those that follow them.
        hidden : (B, H) state before the first; None: zero.
        wrt : which of ``"weights"`` and ``"alphas"`` to derive by.
        masks : factors of dropout, (B, H) each, constant over the steps: ``"embedding"`` and
            ``"input"`` on what the cell takes, ``"hidden"`` on every state before its product,
            ``"output"`` before the decoder; without a name, none there. None: drawn from the
            network's own stream.
        ar, tar : weights of ``mean(output^2)`` after dropout and of
            ``mean((h_t - h_{t-1})^2)`` before it; in the gradients, not in the loss.
        """
        wanted = wanted_gradients(wrt)
        tokens, following, state = self._batch("x", (x, y), hidden)
        loss, _, weights, alphas, after = self._engine.evaluate(
            tokens,
            following,
            state,
            "weights" in wanted,
            "alphas" in wanted,
            None if masks is None else {k: np.asarray(m, self.dtype) for k, m in masks.items()},
            float(ar),
            float(tar),
        )
        self._last_hidden = after
        return float(loss), self._gradients(wanted, weights, alphas)

    def evaluate(
        self, x: ArrayLike, y: ArrayLike, *, hidden: ArrayLike | None = None
    ) -> tuple[float, Array]:
        """Mean cross-entropy without dropout, with the running statistics, and the state after."""
        loss, _, after = self._engine.test(*self._batch("x", (x, y), hidden))
        self._last_hidden = after
        return float(loss), after

    def next_probabilities(
        self, x: ArrayLike, *, hidden: ArrayLike | None = None
    ) -> tuple[Array, Array]:
        """Probabilities (B, V) of what follows the tokens ``x`` (B,), and the state after them."""
        tokens, _, state = self._batch("x", (np.atleast_2d(x), np.atleast_2d(x)), hidden)
        probabilities, after = self._engine.next(tokens, state)
        self._last_hidden = after
        return probabilities, after

    def _batch(self, name: str, batch: object, hidden: object) -> tuple[Any, ...]:
        if not isinstance(batch, tuple) or len(batch) != 2:
            raise ArgumentTypeError(name, "must be a pair (tokens, following tokens)")
        x, y = (token_array(name, array, 2, self.vocab_size) for array in batch)
        if x.size == 0:
            raise ArgumentError(name, f"is empty: its shape is {x.shape}")
        if x.shape != y.shape:
            raise ValueError(f"`{name}`: {x.shape} tokens are followed by {y.shape}")
        shape = (x.shape[1], self.hidden_size)
        if hidden is None:
            return x, y, np.zeros(shape, self.dtype)
        state = np.ascontiguousarray(hidden, dtype=self.dtype)
        if state.shape != shape:
            raise ArgumentError("hidden", f"has the shape {state.shape}, not {shape}")
        if not np.isfinite(state).all():
            raise ArgumentError("hidden", "holds a value that is not finite")
        return x, y, state


class RecurrentSupernet(TextNetwork):
    """The recurrent supernet: every edge of the cell is a softmax-weighted mixture of activations.

    With ``[c, h] = (s_j * mask) W_i`` edge (j, i) contributes
    ``sum_k softmax(alpha_edge)_k (s_j + sigmoid(c) (f_k(h) - s_j))`` over tanh, relu, sigmoid and
    identity (``none`` takes part in the softmax only); node i is the batch-normalised sum of its
    edges, the output the mean of the 8 nodes.

    Parameters
    ----------
    vocab_size, hidden_size : number of tokens; size of state and embedding.
    dtype, seed, threads : as in `Supernet`; the seed is of the dropout masks too.
    dropout, dropout_hidden, dropout_input, dropout_embedding : probabilities of dropping units of
        the output, of every state before its product, of the cell's input, and of the embedding;
        the masks are the same at every step of a sequence and drawn anew for every pass.
    """

    step_defaults = StepDefaults(20.0, 0.0, 5e-7, 0.25, 3e-3, (0.9, 0.999))

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int = 300,
        dtype: DTypeLike = "float32",
        seed: int = 0,
        threads: int | None = None,
        dropout: float = 0.75,
        dropout_hidden: float = 0.25,
        dropout_input: float = 0.75,
        dropout_embedding: float = 0.2,
    ):
        dropouts = _dropouts(dropout, dropout_hidden, dropout_input, dropout_embedding)
        super().__init__(None, [], vocab_size, hidden_size, dtype, seed, threads, dropouts)

    def genotype(self) -> RecurrentGenotype:
        """The discrete cell that the present alphas stand for."""
        return RecurrentGenotype.derive(self.alphas)


class RecurrentNetwork(TextNetwork):
    """The network derived from a recurrent genotype: one input and one activation a node, no batch
    normalisation.

    Parameters
    ----------
    genotype : the cell.
    vocab_size, hidden_size, dtype, seed, threads, dropout* : as in `RecurrentSupernet`.
    """

    def __init__(
        self,
        genotype: RecurrentGenotype,
        vocab_size: int,
        hidden_size: int = 850,
        dtype: DTypeLike = "float32",
        seed: int = 0,
        threads: int | None = None,
        dropout: float = 0.75,
        dropout_hidden: float = 0.25,
        dropout_input: float = 0.75,
        dropout_embedding: float = 0.2,
    ):
        if not isinstance(genotype, RecurrentGenotype):
            raise ArgumentTypeError(
                "genotype",
                f"(={genotype!r}) must be a RecurrentGenotype; see RecurrentGenotype.parse",
            )
        # The engine counts the activations without `none`.
        cell = [(RECURRENT_OPERATIONS.index(op) - 1, source) for op, source in genotype.recurrent]
        outputs = [node - 1 for node in genotype.concat]
        dropouts = _dropouts(dropout, dropout_hidden, dropout_input, dropout_embedding)
        super().__init__(cell, outputs, vocab_size, hidden_size, dtype, seed, threads, dropouts)
        self.genotype = genotype


def _dropouts(output: float, hidden: float, embedded: float, embedding: float) -> dict[str, float]:
    return {
        "dropout": output,
        "dropout_hidden": hidden,
        "dropout_input": embedded,
        "dropout_embedding": embedding,
    }
