# SPDX-License-Identifier: MIT
"""The engine's networks over text: recurrent supernet and derived recurrent network.

Each is a language model: embedding, one cell unrolled over a segment, and a decoder tied to the
embedding. Liu, Simonyan, Yang, *DARTS*, https://arxiv.org/abs/1806.09055, section 2.1 and
appendix A.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from pydarts.common.checks import choice, integer, number, token_array
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.engine.losses import Truth, Weighted
from pydarts.engine.network import (
    Array,
    BaseSupernet,
    EngineNetwork,
    MixingGradient,
    StepDefaults,
    wanted_gradients,
)
from pydarts.spaces.genotype import require_kind
from pydarts.spaces.ready import RECURRENT
from pydarts.spaces.recurrent import RECURRENT_OPERATIONS, RecurrentGenotype

_NODES = 8
_STEP_DEFAULTS = StepDefaults(20.0, 0.0, 5e-7, 0.25, 3e-3, (0.9, 0.999))


def _flag(yes: str, no: str) -> Callable[[str, str], bool]:
    return lambda name, value: choice(name, value, (yes, no)) == yes


# Options that only recurrent networks have: default, and the check that gives the engine's argument
_OPTIONS: dict[str, tuple[Any, Callable[[str, Any], Any]]] = {
    "max_grad_norm": (_STEP_DEFAULTS.max_grad_norm, partial(number, positive=True)),
    "clip_coef": ("original", _flag("capped", "original")),
    "unrolled_embedding": ("moved", _flag("moved", "original")),
    "dropout_masks": ("redrawn", _flag("shared", "redrawn")),
    "ar": (0.0, number),
    "tar": (1e-3, number),
}


class TextNetwork(EngineNetwork):
    """What the networks over text share: loss and gradients of a segment."""

    weight_step = "RecurrentWeightStep"
    bilevel_step = "RecurrentBilevelStep"
    bilevel_gradient = "recurrent_arch_gradient"

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
        arguments = (
            cell,
            outputs,
            _NODES,
            integer("vocab_size", vocab_size, 2, 2**20 + 1),
            integer("hidden_size", hidden_size, 1, 2**14 + 1),
            *(number(name, rate, below=1) for name, rate in dropouts.items()),
        )
        super().__init__("RecurrentNetwork", arguments, dtype, seed, threads)
        self._last_hidden: Array | None = None

    @property
    def vocab_size(self) -> int:
        """Number of tokens in the vocabulary."""
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
        """Load what `state_dict` returned.

        Parameters
        ----------
        state : mapping of str to array_like
            Every name of `state_dict`, and possibly ``decoder.weight``, which must then be
            ``encoder.weight``.

        Raises
        ------
        ValueError
            For a missing or unknown name, a wrong shape, a value that is not finite, or another
            ``decoder.weight``. Nothing is changed then.
        """
        given = dict(state)
        tied = given.pop("decoder.weight", None)
        if tied is not None and not np.array_equal(tied, given.get("encoder.weight", ())):
            raise ArgumentError("state['decoder.weight']", "is not `state['encoder.weight']`")
        super().load_state_dict(given)

    def state(self) -> dict[str, Any]:
        """Return flat views of everything that passes and steps change, and the random stream."""
        return {**super().state(), "stream": self._engine.stream}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Set what `state` returned in a network of the same sizes."""
        super().restore(state)
        self._engine.stream = state["stream"]

    def memory_plan(self, batch_size: int, length: int, *, training: bool = True) -> dict[str, int]:
        """Return the bytes that work on a segment will take, before anything runs.

        Parameters
        ----------
        batch_size : int
        length : int
            Tokens in a sequence of the segment.
        training : bool, optional
            Whether a whole search or training step is planned, or passes without gradients.

        Returns
        -------
        dict of str to int
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
        mixing: Mapping[str, ArrayLike] | None = None,
    ) -> tuple[float, dict[str, dict[str, Array]]]:
        """Return the mean cross-entropy of the next token, and its gradients.

        With batch statistics and dropout. The running statistics are left as they are; the state
        after the segment is `last_hidden`.

        Parameters
        ----------
        x, y : array_like
            Tokens (T, B), and the tokens that follow them.
        hidden : array_like, optional
            State (B, H) before the first token; zero by default.
        wrt : str or iterable of str, optional
            With respect to which of ``"weights"`` and ``"alphas"`` to differentiate; with `mixing`,
            which of ``"weights"`` and ``"mixing"``.
        masks : mapping of str to array_like, optional
            Factors (B, H) of dropout, constant over the steps: ``"embedding"`` and ``"input"`` on
            the cell's input, ``"hidden"`` on every state before its product, ``"output"`` before
            the decoder; a name that is absent drops nothing. By default they are drawn from the
            network's own random stream.
        ar, tar : float, optional
            Weights of activation regularisation, ``mean(output^2)`` after dropout, and temporal
            activation regularisation, ``mean((h_t - h_{t-1})^2)`` before it. They are in the
            gradients, not in the loss.
        mixing : mapping of str to array_like, optional
            Of a supernet, the weight of each operation in place of the softmax, for each group of
            `alphas` in its shape. Any finite numbers: nothing normalises them.

        Returns
        -------
        loss : float
        gradients : dict
            For each of `wrt`, the gradients by name; of ``"mixing"`` by group.

        Raises
        ------
        ValueError
            If an argument cannot be used; names it.
        """
        wanted = wanted_gradients(wrt, mixing)
        loss, _, weights, alphas, after = self._engine.evaluate(
            *self._batch(("x", "y"), x, y, hidden),
            "weights" in wanted,
            "alphas" in wanted or "mixing" in wanted,
            None if masks is None else {k: np.asarray(m, self.dtype) for k, m in masks.items()},
            float(ar),
            float(tar),
            self._mixing(mixing),
        )
        self._last_hidden = after
        return float(loss), self._gradients(wanted, weights, alphas)

    def evaluate(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        hidden: ArrayLike | None = None,
        mixing: Mapping[str, ArrayLike] | None = None,
    ) -> tuple[float, Array]:
        """Return the mean cross-entropy without dropout, by running statistics.

        Parameters
        ----------
        x, y, hidden, mixing : array_like
            As in `loss_and_grads`.

        Returns
        -------
        loss : float
        hidden : ndarray
            The state after the segment.
        """
        batch = self._batch(("x", "y"), x, y, hidden)
        loss, _, after = self._engine.test(*batch, self._mixing(mixing))
        self._last_hidden = after
        return float(loss), after

    def next_probabilities(
        self, x: ArrayLike, *, hidden: ArrayLike | None = None
    ) -> tuple[Array, Array]:
        """Return the probabilities of the next token.

        Parameters
        ----------
        x : array_like
            Tokens (B,).
        hidden : array_like, optional
            State (B, H) before them; zero by default.

        Returns
        -------
        probabilities : ndarray
            Shape (B, V).
        hidden : ndarray
            The state after the tokens.
        """
        row = np.atleast_2d(x)
        tokens, _, state = self._batch(("x", "x"), row, row, hidden)
        probabilities, after = self._engine.next(tokens, state)
        self._last_hidden = after
        return probabilities, after

    def weight_step_arguments(
        self,
        x: ArrayLike,
        y: Truth,
        lr: float,
        hidden: ArrayLike | None,
        drop_masks: ArrayLike | None,
        mixing: Mapping[str, ArrayLike] | None,
        active: Mapping[str, ArrayLike] | None,
    ) -> tuple[Any, ...]:
        if drop_masks is not None:
            raise ArgumentTypeError("drop_masks", "is for networks over images")
        if active is not None:
            raise ArgumentError("active", "is for networks over images: here all are computed")
        return *self._batch(("x", "y"), x, y, hidden), lr, self._mixing(mixing)

    def recurrent_arguments(self, **options: Any) -> tuple[Any, ...]:
        arguments = []
        for name, value in options.items():
            default, check = _OPTIONS[name]
            arguments.append(check(name, default if value is None else value))
        return tuple(arguments)

    def _batch(
        self, names: tuple[str, str], x: ArrayLike, y: Truth, hidden: ArrayLike | None = None
    ) -> tuple[Any, ...]:
        if isinstance(y, Weighted):
            raise ArgumentTypeError(names[1], "is `Weighted`, which is for networks over images")
        tokens = token_array(names[0], x, 2, self.vocab_size)
        following = token_array(names[1], y, 2, self.vocab_size)
        if tokens.size == 0:
            raise ArgumentError(names[0], f"is empty: its shape is {tokens.shape}")
        if following.shape != tokens.shape:
            raise ArgumentError(
                names[1], f"has the shape {following.shape}; `{names[0]}` has {tokens.shape}"
            )
        shape = (tokens.shape[1], self.hidden_size)
        if hidden is None:
            return tokens, following, np.zeros(shape, self.dtype)
        state = np.ascontiguousarray(hidden, dtype=self.dtype)
        if state.shape != shape:
            raise ArgumentError("hidden", f"has the shape {state.shape}, not {shape}")
        if not np.isfinite(state).all():
            raise ArgumentError("hidden", "holds a value that is not finite")
        return tokens, following, state


class RecurrentSupernet(TextNetwork, BaseSupernet[RecurrentGenotype]):
    """The recurrent supernet: every edge of the cell is a softmax-weighted mixture of activations.

    With ``[c, h] = (s_j * mask) W_i`` edge (j, i) contributes
    ``sum_k softmax(alpha_edge)_k (s_j + sigmoid(c) (f_k(h) - s_j))`` over tanh, relu, sigmoid and
    identity (``none`` takes part in the softmax only). Node i is the batch-normalised sum of its
    edges, and the output the mean of the 8 nodes.

    Parameters
    ----------
    vocab_size : int
        Number of tokens in the vocabulary.
    hidden_size : int, optional
        Size of the hidden state and of the embedding.
    dtype, threads : optional
        As in `Supernet`.
    seed : int, optional
        Of the initial weights, the architecture parameters and the dropout masks.
    dropout, dropout_hidden, dropout_input, dropout_embedding : float, optional
        Probabilities of dropping units of the output, of every state before its product, of the
        cell's input, and of the embedding. The masks are the same at every step of a sequence and
        drawn anew for every pass.
    """

    space = RECURRENT
    step_defaults = _STEP_DEFAULTS

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

    def mixing_gradient(
        self,
        x: ArrayLike,
        y: Truth,
        mixing: Mapping[str, ArrayLike],
        active: Mapping[str, ArrayLike] | None = None,
        hidden: ArrayLike | None = None,
    ) -> MixingGradient:
        if active is not None:
            raise ArgumentError("active", "is for networks over images: here all are computed")
        batch = self._batch(("x", "y"), x, y, hidden)
        loss, correct, _, flat, after = self._engine.evaluate(
            *batch, False, True, None, 0.0, 0.0, self._mixing(mixing)
        )
        return MixingGradient(float(loss), int(correct), self.split_alphas(flat), after)


class RecurrentNetwork(TextNetwork):
    """The network derived from a recurrent genotype, without batch normalisation.

    Each node has one input state and one activation.

    Parameters
    ----------
    genotype : RecurrentGenotype
        The cell.
    vocab_size : int
    hidden_size : int, optional
    dtype, seed, threads : optional
    dropout, dropout_hidden, dropout_input, dropout_embedding : float, optional
        All as in `RecurrentSupernet`.
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
        require_kind("genotype", genotype, RecurrentGenotype)
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
