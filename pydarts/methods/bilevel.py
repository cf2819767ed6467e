# SPDX-License-Identifier: MIT
"""Bilevel optimisation: architecture gradients of both orders and the whole search step.

Minimise over alpha ``L_valid(w*(alpha), alpha)`` where ``w*(alpha) = argmin_w L_train(w, alpha)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pydarts import _core
from pydarts.common.errors import ArgumentError
from pydarts.engine.convolutional import Supernet
from pydarts.engine.network import Alphas, engine_suffix
from pydarts.engine.recurrent import RecurrentSupernet

Batch = tuple[ArrayLike, ArrayLike]
Hidden = tuple[ArrayLike | None, ArrayLike | None]
AnySupernet = Supernet | RecurrentSupernet

# arrays of the engine's step: momentum of the weights, and Adam's moments of the alphas
_OPTIMISERS = ("buffer", "first", "second")


def _check(name: str, value: float, least: float = 0.0, *, strict: bool = False) -> float:
    if not (math.isfinite(value) and (value > least if strict else value >= least)):
        raise ArgumentError(
            name, f"(={value!r}) must be {'more than' if strict else 'at least'} {least:g}"
        )
    return float(value)


def _check_order(order: int) -> int:
    if order not in (1, 2):
        raise ArgumentError("order", f"(={order!r}) must be 1 or 2")
    return int(order)


def _central(hvp: str) -> bool:
    if hvp not in ("central", "forward"):
        raise ArgumentError("hvp", f"(={hvp!r}) must be 'central' or 'forward'")
    return hvp == "central"


class _Text(NamedTuple):
    """What only recurrent networks have; None: not given."""

    clip_coef: str | None
    unrolled_embedding: str | None
    dropout_masks: str | None
    ar: float | None = None
    tar: float | None = None

    def arguments(self, net: AnySupernet) -> tuple[Any, ...]:
        """For the engine: whether to cap, to move and to share, and the weights of the
        regularisation.
        """
        if isinstance(net, Supernet):
            for name, value in self._asdict().items():
                if value is not None:
                    raise ArgumentError(name, f"(={value!r}) is for recurrent networks")
            return ()
        clip_coef, embedding = self.clip_coef or "original", self.unrolled_embedding or "moved"
        masks = self.dropout_masks or "redrawn"
        if clip_coef not in ("original", "capped"):
            raise ArgumentError("clip_coef", f"(={clip_coef!r}) must be 'original' or 'capped'")
        if embedding not in ("moved", "original"):
            raise ArgumentError(
                "unrolled_embedding", f"(={embedding!r}) must be 'moved' or 'original'"
            )
        if masks not in ("redrawn", "shared"):
            raise ArgumentError("dropout_masks", f"(={masks!r}) must be 'redrawn' or 'shared'")
        tar = 1e-3 if self.tar is None else self.tar
        return (
            clip_coef == "capped",
            embedding == "moved",
            masks == "shared",
            _check("ar", self.ar or 0.0),
            _check("tar", tar),
        )


def arch_gradient(
    net: AnySupernet,
    *,
    train: Batch,
    valid: Batch,
    hidden: Hidden | None = None,
    order: int = 2,
    eta: float | None = None,
    momentum: float | None = None,
    momentum_buffer: dict[str, NDArray[Any]] | NDArray[Any] | None = None,
    weight_decay: float | None = None,
    epsilon: float = 0.01,
    hvp: str = "central",
    max_grad_norm: float | None = None,
    clip_coef: str | None = None,
    unrolled_embedding: str | None = None,
    dropout_masks: str | None = None,
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
    train, valid : pairs of images (N, C, H, W) and labels (N,), or of tokens (T, B) and those that
        follow them.
    hidden : recurrent only: the states (B, H) that ``train`` and ``valid`` begin with; None: zero.
    eta : step of the virtual step, the learning rate of the weights. None, here and for momentum,
        weight_decay and max_grad_norm: the original's, 0.025, 0.9, 3e-4 and none over images; 20, 0, 5e-7
        and 0.25 over text.
    momentum_buffer : of the weights' optimiser, flat or by weight name; None: zero.
    hvp : ``"central"`` as above; ``"forward"``: from ``w``, where the gradient comes with the
        virtual step, to ``w + e v``. One pass of five less, and less exact.
    max_grad_norm, clip_coef : recurrent only: ``g = grad_w L_train(w)`` and ``v`` are scaled down to the
        norm ``max_grad_norm``, and the implicit term by ``max_grad_norm / (||g|| + 1e-6)``, which the original does
        not cap at 1 (``"original"``, the default) and ``"capped"`` does.
    unrolled_embedding : recurrent only: ``"moved"`` (default), or ``"original"``: the original's
        virtual step leaves the embedding where it was.
    dropout_masks : recurrent only: ``"redrawn"`` (default, the original) for every pass, or
        ``"shared"`` by the three passes over ``train``: the finite difference then sees only the
        change of the weights, not that of the masks, which is the larger one at high rates.

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
    default = net.step_defaults
    text = _Text(clip_coef, unrolled_embedding, dropout_masks).arguments(net)
    if isinstance(net, Supernet):
        if max_grad_norm is not None:
            raise ArgumentError("max_grad_norm", f"(={max_grad_norm!r}) is for recurrent networks")
        name, extra = "arch_gradient", ()
    else:
        name = "recurrent_arch_gradient"
        extra = (
            _check(
                "max_grad_norm",
                default.max_grad_norm if max_grad_norm is None else max_grad_norm,
                strict=True,
            ),
            *text[:3],
        )
    states = (None, None) if hidden is None else hidden
    flat = getattr(_core, name + engine_suffix(net.dtype))(
        net._engine,
        *net._batch("train", train, states[0]),
        *net._batch("valid", valid, states[1]),
        _check_order(order),
        _check("eta", default.eta if eta is None else eta),
        _check("momentum", default.momentum if momentum is None else momentum),
        buffer,
        _check("weight_decay", default.weight_decay if weight_decay is None else weight_decay),
        _check("epsilon", epsilon, strict=True),
        _central(hvp),
        *extra,
    )
    return net._split_alphas(flat)


@dataclass(frozen=True)
class StepInfo:
    """What one search step saw: mean losses, numbers of right answers, norms of the gradients; of
    recurrent networks also the states (B, H) with which the next segments begin.
    """

    train_loss: float
    valid_loss: float
    train_correct: int
    valid_correct: int
    gradient_norm: float
    alpha_gradient_norm: float
    hidden: NDArray[Any] | None = None
    valid_hidden: NDArray[Any] | None = None


class BilevelStep:
    """One whole search step in one call: alpha by Adam, then the weights by SGD at the new alpha.

    Parameters
    ----------
    net : the supernet that the steps change, over images or over text.
    order : 1 or 2, as in `arch_gradient`.
    momentum, weight_decay, max_grad_norm : of the weights' SGD; ``max_grad_norm`` bounds the norm of the gradient.
    alpha_lr, alpha_betas, alpha_weight_decay : of the alphas' Adam; the decay is added to the
        gradient.
    epsilon : of the finite difference.
    hvp : ``"central"`` or ``"forward"``, as in `arch_gradient`.
    reuse_gradient : step the weights with the gradient that the virtual step was made with, at the
        alphas before their step: one pass of five less. Second order only. Over text that gradient
        is not regularised.
    clip_coef, unrolled_embedding, dropout_masks : recurrent only, as in `arch_gradient`.
    ar, tar : recurrent only: weights of ``mean(output^2)`` and of
        ``mean((h_t - h_{t-1})^2)`` in what the weights descend; by default 0 and 1e-3.

    None stands for the original's settings: momentum 0.9, weight decay 3e-4, max_grad_norm 5, alpha_lr 3e-4
    and betas (0.5, 0.999) over images; 0, 5e-7, 0.25, 3e-3 and (0.9, 0.999) over text.
    """

    def __init__(
        self,
        net: AnySupernet,
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
        for beta in betas:
            if not 0 <= beta < 1:
                raise ArgumentError("alpha_betas", f"(={alpha_betas!r}) must lie in [0, 1)")
        if reuse_gradient and order == 1:
            raise ArgumentError("reuse_gradient", "(=True) needs `order` (=1) to be 2")
        self.net = net
        kind = "BilevelStep" if isinstance(net, Supernet) else "RecurrentBilevelStep"
        self._engine: Any = getattr(_core, kind + engine_suffix(net.dtype))(
            net._engine,
            _check_order(order),
            _check("momentum", default.momentum if momentum is None else momentum),
            _check("weight_decay", default.weight_decay if weight_decay is None else weight_decay),
            _check(
                "max_grad_norm",
                default.max_grad_norm if max_grad_norm is None else max_grad_norm,
                strict=True,
            ),
            _check("alpha_lr", default.alpha_lr if alpha_lr is None else alpha_lr),
            *betas,
            _check("alpha_weight_decay", alpha_weight_decay),
            _check("epsilon", epsilon, strict=True),
            _central(hvp),
            bool(reuse_gradient),
            *_Text(clip_coef, unrolled_embedding, dropout_masks, ar, tar).arguments(net),
        )

    @property
    def momentum_buffer(self) -> dict[str, NDArray[Any]]:
        """Views of the momentum of the weights, by name."""
        return self.net._split_weights(self._engine.buffer)

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return int(self._engine.steps)

    def state(self) -> dict[str, Any]:
        """All that steps change: of the network, views of weights, alphas, running statistics and
        the state of its random stream; of both optimisers likewise. `restore` takes it.
        """
        optimisers = {name: getattr(self._engine, name) for name in _OPTIMISERS}
        return {**self.net.state(), **optimisers, "steps": self.steps}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state`` gave in a step and network of the same options."""
        self.net.restore(state)
        for name in _OPTIMISERS:
            getattr(self._engine, name)[:] = state[name]
        self._engine.steps = state["steps"]

    def __call__(
        self, *, train: Batch, valid: Batch, lr: float, hidden: Hidden | None = None
    ) -> StepInfo:
        """Take one step with the learning rate ``lr`` of the weights.

        The batches are those of `arch_gradient`. The validation loss is that of the alpha step: at
        the virtual weights in the second order. When the step fails or is interrupted, weights and
        alphas are as before it.

        Raises
        ------
        ArithmeticError
            If a loss or gradient is not finite; names the step and the tensor.
        """
        states = (None, None) if hidden is None else hidden
        train_batch = self.net._batch("train", train, states[0])
        valid_batch = self.net._batch("valid", valid, states[1])
        try:
            info = self._engine(self.net._engine, *train_batch, *valid_batch, _check("lr", lr))
        except _core.NonFinite as error:
            raise _core.NonFinite(f"step {self.steps}: {error}") from None
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
