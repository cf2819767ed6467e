# SPDX-License-Identifier: MIT
"""Bilevel optimisation: architecture gradients of both orders and the whole search step.

Minimise ``L_valid(w*(α), α)`` with respect to α, where ``w*(α) = argmin_w L_train(w, α)``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pydarts import _core
from pydarts.common.checks import choice, number
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.engine.losses import Truth
from pydarts.engine.network import Alphas, Array, BaseSupernet, engine_suffix

Batch = tuple[ArrayLike, Truth]
Hidden = tuple[ArrayLike | None, ArrayLike | None]

# Arrays of the engine's step: the momentum of the weights, and Adam's two moments of α.
_OPTIMISERS = ("buffer", "first", "second")


def arch_gradient(
    net: BaseSupernet[Any],
    *,
    train: Batch,
    valid: Batch,
    hidden: Hidden | None = None,
    order: int = 2,
    eta: float | None = None,
    momentum: float | None = None,
    momentum_buffer: Mapping[str, ArrayLike] | Array | None = None,
    weight_decay: float | None = None,
    epsilon: float = 0.01,
    hvp: str = "central",
    max_grad_norm: float | None = None,
    clip_coef: str | None = None,
    unrolled_embedding: str | None = None,
    dropout_masks: str | None = None,
) -> Alphas:
    """Return the gradient of the validation loss with respect to α.

    First order: ``grad_α L_valid(w)``. Second order, with the unrolled step
    ``w' = w - eta (momentum * buffer + grad_w L_train(w) + weight_decay * w)`` and
    ``v = grad_w' L_valid(w')``::

        e = epsilon / ||v||
        grad_α L_valid(w') - eta (grad_α L_train(w + e v) - grad_α L_train(w - e v)) / (2 e)

    All passes use batch statistics; weights and running statistics of ``net`` stay the same to the
    bit. A smaller ``epsilon`` is not better: the gradient jumps at every kink of a ReLU, and the
    difference sees the jumps. https://arxiv.org/abs/1806.09055, equations 7 and 8.

    Parameters
    ----------
    net : Supernet or RecurrentSupernet
    train, valid : tuple of array_like
        Images (N, C, H, W) and labels (N,), or tokens (T, B) and the tokens that follow them.
    hidden : tuple of array_like, optional
        Recurrent only: the states (B, H) before ``train`` and ``valid``; zero by default.
    order : {1, 2}, optional
    eta : float, optional
        Length of the unrolled step, the learning rate of the weights. By default, as for
        ``momentum``, ``weight_decay`` and ``max_grad_norm``, the original's: 0.025, 0.9, 3e-4 and
        none over images; 20, 0, 5e-7 and 0.25 over text.
    momentum, weight_decay : float, optional
    momentum_buffer : mapping of str to array_like, or ndarray, optional
        Momentum of the weights' optimiser, by name or flat; zero by default.
    epsilon : float, optional
        Of the finite difference.
    hvp : {"central", "forward"}, optional
        ``"forward"`` takes the difference from ``w``, where the gradient comes with the unrolled
        step, to ``w + e v``: four passes instead of five, and less exact.
    max_grad_norm : float, optional
        Recurrent only: ``g = grad_w L_train(w)`` and ``v`` are scaled down to this norm.
    clip_coef : {"original", "capped"}, optional
        Recurrent only: the implicit term is scaled by ``max_grad_norm / (||g|| + 1e-6)``, which the
        original does not cap at 1.
    unrolled_embedding : {"moved", "original"}, optional
        Recurrent only: the original's unrolled step leaves the embedding as it was.
    dropout_masks : {"redrawn", "shared"}, optional
        Recurrent only: draw masks for every pass, as the original does, or share them among the
        three passes over ``train``. The finite difference then sees only the change of the
        weights, not that of the masks, which is the larger one at high rates.

    Returns
    -------
    dict of str to ndarray
        The gradient by group of α.

    Raises
    ------
    ArithmeticError
        If a loss or gradient is not finite, or ``v`` is zero; names the tensor.
    """
    default = net.step_defaults
    if isinstance(momentum_buffer, Mapping):
        own = net.split_weights(net.flat_weights)
        parts = net._checked("momentum_buffer", momentum_buffer, own)
        momentum_buffer = np.concatenate([part.ravel() for part in parts])
    flat = getattr(_core, net.bilevel_gradient + engine_suffix(net.dtype))(
        net._engine,
        *_batches(net, train, valid, hidden),
        choice("order", order, (1, 2)),
        number("eta", default.eta if eta is None else eta),
        number("momentum", default.momentum if momentum is None else momentum),
        momentum_buffer,
        number("weight_decay", default.weight_decay if weight_decay is None else weight_decay),
        number("epsilon", epsilon, positive=True),
        choice("hvp", hvp, ("central", "forward")) == "central",
        *net.recurrent_arguments(
            max_grad_norm=max_grad_norm,
            clip_coef=clip_coef,
            unrolled_embedding=unrolled_embedding,
            dropout_masks=dropout_masks,
        ),
    )
    return net.split_alphas(flat)


@dataclass(frozen=True)
class StepInfo:
    """What one search step saw.

    Attributes
    ----------
    train_loss, valid_loss : float
        Mean losses of the two batches; the latter None in a step that does not validate.
    train_correct, valid_correct : int
        Numbers of correct predictions, likewise.
    gradient_norm, alpha_gradient_norm : float
        Norms of the gradients with respect to the weights and to α.
    hidden, valid_hidden : ndarray or None
        Of recurrent networks, the states (B, H) with which the next segments begin.
    """

    train_loss: float
    valid_loss: float | None
    train_correct: int
    valid_correct: int | None
    gradient_norm: float
    alpha_gradient_norm: float
    hidden: Array | None = None
    valid_hidden: Array | None = None


class BilevelStep:
    """A whole search step in one call: α by Adam, then the weights by SGD at the new α.

    Parameters
    ----------
    net : Supernet or RecurrentSupernet
        The supernet that the steps change.
    order : {1, 2}, optional
        As in `arch_gradient`.
    momentum, weight_decay, max_grad_norm : float, optional
        Of the weights' SGD; a gradient of a larger norm than ``max_grad_norm`` is scaled down. By
        default the original's: 0.9, 3e-4 and 5 over images; 0, 5e-7 and 0.25 over text.
    alpha_lr : float, optional
        Learning rate of α's Adam; by default 3e-4 over images and 3e-3 over text.
    alpha_betas : tuple of float, optional
        Its decay rates; by default (0.5, 0.999) over images and (0.9, 0.999) over text.
    alpha_weight_decay : float, optional
        Its weight decay, which is added to the gradient.
    epsilon : float, optional
        Of the finite difference.
    hvp : {"central", "forward"}, optional
        As in `arch_gradient`.
    reuse_gradient : bool, optional
        Whether to step the weights with the gradient of the unrolled step, which is at α before
        its step: four passes instead of five. Second order only. Over text that gradient is not
        regularised.
    clip_coef, unrolled_embedding, dropout_masks : str, optional
        Recurrent only, as in `arch_gradient`.
    ar, tar : float, optional
        Recurrent only: weights of activation regularisation, ``mean(output^2)``, and temporal
        activation regularisation, ``mean((h_t - h_{t-1})^2)``, in the loss of the weights; by
        default 0 and 1e-3.
    """

    def __init__(
        self,
        net: BaseSupernet[Any],
        *,
        order: int = 2,
        momentum: float | None = None,
        weight_decay: float | None = None,
        max_grad_norm: float | None = None,
        alpha_lr: float | None = None,
        alpha_betas: tuple[float, float] | None = None,
        alpha_weight_decay: float = 1e-3,
        epsilon: float = 0.01,
        hvp: str = "central",
        reuse_gradient: bool = False,
        clip_coef: str | None = None,
        unrolled_embedding: str | None = None,
        dropout_masks: str | None = None,
        ar: float | None = None,
        tar: float | None = None,
    ):
        default = net.step_defaults
        betas = default.alpha_betas if alpha_betas is None else alpha_betas
        if not all(0 <= beta < 1 for beta in betas):
            raise ArgumentError("alpha_betas", f"(={betas!r}) must lie in [0, 1)")
        if reuse_gradient and order == 1:
            raise ArgumentError("reuse_gradient", "(=True) needs `order` (=1) to be 2")
        self.net = net
        self._engine: Any = getattr(_core, net.bilevel_step + engine_suffix(net.dtype))(
            net._engine,
            choice("order", order, (1, 2)),
            number("momentum", default.momentum if momentum is None else momentum),
            number("weight_decay", default.weight_decay if weight_decay is None else weight_decay),
            number(
                "max_grad_norm",
                default.max_grad_norm if max_grad_norm is None else max_grad_norm,
                positive=True,
            ),
            number("alpha_lr", default.alpha_lr if alpha_lr is None else alpha_lr),
            *betas,
            number("alpha_weight_decay", alpha_weight_decay),
            number("epsilon", epsilon, positive=True),
            choice("hvp", hvp, ("central", "forward")) == "central",
            bool(reuse_gradient),
            *net.recurrent_arguments(
                clip_coef=clip_coef,
                unrolled_embedding=unrolled_embedding,
                dropout_masks=dropout_masks,
                ar=ar,
                tar=tar,
            ),
        )

    @property
    def momentum_buffer(self) -> dict[str, Array]:
        """Views of the momentum of the weights, by name."""
        return self.net.split_weights(self._engine.buffer)

    @property
    def steps(self) -> int:
        """Number of steps taken."""
        return int(self._engine.steps)

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Take note that an epoch begins: makes no difference here."""

    def state(self) -> dict[str, Any]:
        """Return everything that steps change, as views where it is an array.

        Returns
        -------
        dict
            The network's state, ``buffer`` (the momentum of the weights), ``first`` and ``second``
            (Adam's moments of α), and ``steps``.
        """
        optimisers = {name: getattr(self._engine, name) for name in _OPTIMISERS}
        return {**self.net.state(), **optimisers, "steps": self.steps}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` returned in a step and network of the same options."""
        self.net.restore(state)
        for name in _OPTIMISERS:
            getattr(self._engine, name)[:] = state[name]
        self._engine.steps = state["steps"]

    def __call__(
        self, *, train: Batch, valid: Batch, lr: float, hidden: Hidden | None = None
    ) -> StepInfo:
        """Take one step.

        If it fails or is interrupted, weights and α are as before it.

        Parameters
        ----------
        train, valid, hidden : tuple of array_like
            As in `arch_gradient`.
        lr : float
            Learning rate of the weights.

        Returns
        -------
        StepInfo
            The validation loss is that of the step of α: at the unrolled weights in the second
            order.

        Raises
        ------
        ArithmeticError
            If a loss or gradient is not finite; names the step and the tensor.
        """
        arguments = _batches(self.net, train, valid, hidden)
        try:
            info = self._engine(self.net._engine, *arguments, number("lr", lr))
        except _core.NonFinite as error:
            raise _core.NonFinite(f"step {self.steps}: {error}") from None
        return StepInfo(*info)


def hessian_vector_product(
    grad: Callable[[Array], ArrayLike], w: ArrayLike, v: ArrayLike, *, epsilon: float = 0.01
) -> Array:
    """Return the product of the derivative of ``grad`` at ``w`` with ``v``, by differences.

    ``(grad(w + e v) - grad(w - e v)) / (2 e)`` with ``e = epsilon / ||v||``; exact where ``grad``
    is linear. If ``grad`` is a gradient with respect to other parameters than ``w``, this is the
    mixed second derivative times ``v``.

    Parameters
    ----------
    grad : callable
        Maps a flat array to a flat array of any fixed length.
    w, v : array_like
        Flat arrays of equal length.
    epsilon : float, optional

    Returns
    -------
    ndarray
        Of the length that ``grad`` returns.
    """
    point = np.asarray(w)
    kind: Any = np.float32 if point.dtype == np.float32 else np.float64
    call = getattr(_core, "hessian_vector_product" + engine_suffix(kind))
    result: Array = call(
        lambda at: np.ascontiguousarray(grad(at), dtype=kind),
        np.ascontiguousarray(point, dtype=kind),
        np.ascontiguousarray(v, dtype=kind),
        number("epsilon", epsilon, positive=True),
    )
    return result


def checked_batches(
    net: BaseSupernet[Any], train: Batch, valid: Batch, hidden: Hidden | None
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return the engine's arguments for both batches; errors name `train`, `valid` or `hidden`."""
    states = (None, None) if hidden is None else hidden
    arguments = []
    for name, batch, state in zip(("train", "valid"), (train, valid), states, strict=True):
        if not isinstance(batch, tuple) or len(batch) != 2:
            raise ArgumentTypeError(name, "must be a pair (inputs, targets)")
        arguments.append(net._batch((f"{name}[0]", f"{name}[1]"), *batch, state))
    return arguments[0], arguments[1]


def _batches(
    net: BaseSupernet[Any], train: Batch, valid: Batch, hidden: Hidden | None
) -> list[Any]:
    return [each for batch in checked_batches(net, train, valid, hidden) for each in batch]
