# SPDX-License-Identifier: MIT
"""Bilevel optimisation: architecture gradients of both orders and the whole search step.

Minimise over alpha ``L_valid(w*(alpha), alpha)`` where ``w*(alpha) = argmin_w L_train(w, alpha)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pydarts import _core
from pydarts.network import Alphas, Supernet, engine_suffix

Batch = tuple[ArrayLike, ArrayLike]


def _check(name: str, value: float, least: float = 0.0, *, strict: bool = False) -> float:
    if not (math.isfinite(value) and (value > least if strict else value >= least)):
        raise ValueError(
            f"`{name}` (={value!r}) must be {'more than' if strict else 'at least'} {least:g}"
        )
    return float(value)


def _check_order(order: int) -> int:
    if order not in (1, 2):
        raise ValueError(f"`order` (={order!r}) must be 1 or 2")
    return int(order)


def _central(hvp: str) -> bool:
    if hvp not in ("central", "forward"):
        raise ValueError(f"`hvp` (={hvp!r}) must be 'central' or 'forward'")
    return hvp == "central"


def _batch(net: Supernet, name: str, batch: Batch) -> tuple[Any, Any]:
    if not isinstance(batch, tuple) or len(batch) != 2:
        raise TypeError(f"`{name}` must be a pair (images, labels)")
    images = net._images(f"{name}[0]", batch[0])
    return images, net._labels(f"{name}[1]", batch[1], len(images))


def arch_gradient(
    net: Supernet,
    *,
    train: Batch,
    valid: Batch,
    order: int = 2,
    eta: float = 0.025,
    momentum: float = 0.9,
    momentum_buffer: dict[str, NDArray[Any]] | NDArray[Any] | None = None,
    weight_decay: float = 3e-4,
    epsilon: float = 0.01,
    hvp: str = "central",
) -> Alphas:
    """Gradient of the validation loss by the alphas.

    First order (``order=1``): ``grad_alpha L_valid(w)``. Second order, with the virtual step
    ``w' = w - eta (momentum * buffer + grad_w L_train(w) + weight_decay * w)`` and ``v = grad_w'
    L_valid(w')``::

        e = epsilon / ||v||
        grad_alpha L_valid(w')
            - eta (grad_alpha L_train(w + e v) - grad_alpha L_train(w - e v)) / (2 e)

    All passes use batch statistics; weights and running statistics of ``net`` are left bit for bit
    as they are.
    A smaller ``epsilon`` is not better: the gradient jumps at every kink of a ReLU, and the
    difference sees the
    jumps. arXiv:1806.09055, equations 7 and 8.

    Parameters
    ----------
    net : the supernet.
    train, valid : pairs of images (N, C, H, W) and labels (N,).
    eta : step of the virtual step, the learning rate of the weights.
    momentum_buffer : of the weights' optimiser, flat or by weight name; None: zero.
    hvp : ``"central"`` as above; ``"forward"``: from ``w``, where the gradient comes with the
        virtual step, to ``w + e v``. One pass of five less, and less exact.

    Raises
    ------
    ArithmeticError
        If a loss or gradient is not finite, or ``v`` is zero; names the tensor.
    """
    buffer = momentum_buffer
    if isinstance(buffer, dict):
        own = net._split_weights(net._engine.weights)
        parts = net._checked("momentum_buffer", buffer, own)
        buffer = np.concatenate([part.ravel() for part in parts])
    call = getattr(_core, "arch_gradient" + engine_suffix(net.dtype))
    flat = call(
        net._engine,
        *_batch(net, "train", train),
        *_batch(net, "valid", valid),
        _check_order(order),
        _check("eta", eta),
        _check("momentum", momentum),
        buffer,
        _check("weight_decay", weight_decay),
        _check("epsilon", epsilon, strict=True),
        _central(hvp),
    )
    return net._split_alphas(flat)


@dataclass(frozen=True)
class StepInfo:
    """What one search step saw: mean losses, numbers of right answers, norms of the gradients."""

    train_loss: float
    valid_loss: float
    train_correct: int
    valid_correct: int
    gradient_norm: float
    alpha_gradient_norm: float


class BilevelStep:
    """One whole search step in one call: alpha by Adam, then the weights by SGD at the new alpha.

    Parameters
    ----------
    net : the supernet that the steps change.
    order : 1 or 2, as in `arch_gradient`.
    momentum, weight_decay, clip : of the weights' SGD; ``clip`` bounds the norm of the gradient.
    alpha_lr, alpha_betas, alpha_weight_decay : of the alphas' Adam; the decay is added to the
        gradient.
    epsilon : of the finite difference.
    hvp : ``"central"`` or ``"forward"``, as in `arch_gradient`.
    reuse_gradient : step the weights with the gradient that the virtual step was made with, at the
        alphas before their step: one pass of five less. Second order only.
    """

    def __init__(
        self,
        net: Supernet,
        *,
        order: int = 2,
        momentum: float = 0.9,
        weight_decay: float = 3e-4,
        clip: float = 5.0,
        alpha_lr: float = 3e-4,
        alpha_betas: tuple[float, float] = (0.5, 0.999),
        alpha_weight_decay: float = 1e-3,
        epsilon: float = 0.01,
        hvp: str = "central",
        reuse_gradient: bool = False,
    ):
        for beta in alpha_betas:
            if not 0 <= beta < 1:
                raise ValueError(f"`alpha_betas` (={alpha_betas!r}) must lie in [0, 1)")
        if reuse_gradient and order == 1:
            raise ValueError("`reuse_gradient` (=True) needs `order` (=1) to be 2")
        self.net = net
        self._steps = 0
        self._engine: Any = getattr(_core, "BilevelStep" + engine_suffix(net.dtype))(
            net._engine,
            _check_order(order),
            _check("momentum", momentum),
            _check("weight_decay", weight_decay),
            _check("clip", clip, strict=True),
            _check("alpha_lr", alpha_lr),
            *alpha_betas,
            _check("alpha_weight_decay", alpha_weight_decay),
            _check("epsilon", epsilon, strict=True),
            _central(hvp),
            bool(reuse_gradient),
        )

    @property
    def momentum_buffer(self) -> dict[str, NDArray[Any]]:
        """Views of the momentum of the weights, by name."""
        return self.net._split_weights(self._engine.buffer)

    def __call__(self, *, train: Batch, valid: Batch, lr: float) -> StepInfo:
        """Take one step with the learning rate ``lr`` of the weights.

        The validation loss is that of the alpha step: at the virtual weights in the second order.
        When the step
        fails or is interrupted, weights and alphas are as before it.

        Raises
        ------
        ArithmeticError
            If a loss or gradient is not finite; names the step and the tensor.
        """
        train_batch, valid_batch = (
            _batch(self.net, "train", train),
            _batch(self.net, "valid", valid),
        )
        try:
            info = self._engine(self.net._engine, *train_batch, *valid_batch, _check("lr", lr))
        except _core.NonFinite as error:
            raise _core.NonFinite(f"step {self._steps}: {error}") from None
        self._steps += 1
        return StepInfo(*info)


def hessian_vector_product(
    grad: Callable[[NDArray[Any]], ArrayLike], w: ArrayLike, v: ArrayLike, *, epsilon: float = 0.01
) -> NDArray[Any]:
    """Finite-difference product of the derivative of ``grad`` at ``w`` with ``v``.

    ``(grad(w + e v) - grad(w - e v)) / (2 e)`` with ``e = epsilon / ||v||``; exact where ``grad``
    is linear. With
    a gradient by other parameters than ``w`` it is the mixed second derivative times ``v``.

    Parameters
    ----------
    grad : maps a flat array to a flat array of any fixed length.
    w, v : flat arrays of equal length.
    """
    point = np.asarray(w)
    kind: Any = np.float32 if point.dtype == np.float32 else np.float64
    call = getattr(_core, "hessian_vector_product" + engine_suffix(kind))
    result: NDArray[Any] = call(
        lambda at: np.ascontiguousarray(grad(at), dtype=kind),
        np.ascontiguousarray(point, dtype=kind),
        np.ascontiguousarray(v, dtype=kind),
        _check("epsilon", epsilon, strict=True),
    )
    return result
