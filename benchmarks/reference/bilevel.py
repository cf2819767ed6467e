# SPDX-License-Identifier: MIT
"""Gradient of the architecture, first and second order, and one whole search step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from .operations import frozen_statistics
from .search import SearchNetwork

Batch = tuple[Tensor, Tensor]
Weights = dict[str, Tensor]


def _loss(net: SearchNetwork, weights: Weights, batch: Batch) -> Tensor:
    x, y = batch
    # No weight is tied to another, and the search for such costs more than the rest of the call.
    return F.cross_entropy(functional_call(net, weights, (x,), tie_weights=False), y)


def _gradient(loss: Tensor, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    # With one or two cells all are reductions, and the gradient of the other alpha is zero.
    return torch.autograd.grad(loss, inputs, allow_unused=True, materialize_grads=True)


def _moved(weights: Weights, step: float, direction: Weights) -> Weights:
    return {name: w + step * direction[name] for name, w in weights.items()}


class _Derivatives(NamedTuple):
    """What a step of the alphas sees.

    ``valid_loss`` is the loss that is differentiated, at w or w', ``alphas`` its gradient by
    them, ``train_loss`` and ``weights`` are loss and gradient of the unrolled step (order 2).
    """

    valid_loss: Tensor
    alphas: dict[str, Tensor]
    train_loss: Tensor | None = None
    weights: Weights | None = None


def _differentiate(
    net: SearchNetwork,
    train: Batch,
    valid: Batch,
    order: int,
    eta: float,
    momentum: float,
    momentum_buffer: Mapping[str, Tensor] | None,
    weight_decay: float,
    epsilon: float,
    shortcuts: bool = False,
) -> _Derivatives:
    parameters: Weights = dict(net.named_parameters())
    w = {name: p.detach() for name, p in parameters.items()}
    alphas = tuple(net.alphas.values())
    if order == 1:
        loss = _loss(net, w, valid)
        return _Derivatives(
            loss.detach(), dict(zip(net.alphas, _gradient(loss, alphas), strict=True))
        )
    if order != 2:
        raise ValueError(f"`order` (={order}) must be 1 or 2")

    # The unrolled step w' = w - eta (momentum buffer + gradient + decay).
    train_loss = _loss(net, parameters, train)
    grads = _gradient(train_loss, (*parameters.values(), *(alphas if shortcuts else ())))
    at_w = grads[len(w) :]
    train_gradient = dict(zip(w, grads, strict=False))
    direction = {name: g + weight_decay * w[name] for name, g in train_gradient.items()}
    if momentum_buffer is not None:
        direction = _moved(direction, momentum, dict(momentum_buffer))
    unrolled = {name: p.requires_grad_() for name, p in _moved(w, -eta, direction).items()}

    # v = dL_val/dw' and the first-order part, in one pass.
    loss = _loss(net, unrolled, valid)
    grads = _gradient(loss, (*unrolled.values(), *alphas))
    v = dict(zip(w, grads, strict=False))
    explicit = grads[len(w) :]

    # Implicit part: central difference of dL_train/dalpha along v, divided by 2 eps as a whole;
    # or the one-sided one, from w.
    norm = float(torch.linalg.vector_norm(torch.cat([g.flatten() for g in v.values()])))
    if not 0.0 < norm < float("inf"):
        raise FloatingPointError(f"norm of the validation gradient is {norm}")
    eps = epsilon / norm
    plus = _gradient(_loss(net, _moved(w, eps, v), train), alphas)
    minus = at_w if shortcuts else _gradient(_loss(net, _moved(w, -eps, v), train), alphas)
    gradient = {
        name: g - eta * (p - m) / (eps if shortcuts else 2.0 * eps)
        for name, g, p, m in zip(net.alphas, explicit, plus, minus, strict=True)
    }
    return _Derivatives(loss.detach(), gradient, train_loss.detach(), train_gradient)


def arch_gradient(
    net: SearchNetwork,
    train: Batch,
    valid: Batch,
    order: int = 2,
    eta: float = 0.025,
    momentum: float = 0.9,
    momentum_buffer: Mapping[str, Tensor] | None = None,
    weight_decay: float = 3e-4,
    epsilon: float = 0.01,
) -> dict[str, Tensor]:
    """Return the gradient of the validation loss with respect to both alphas.

    ``order=1`` takes it at w; ``order=2`` at w' = w - eta (momentum * buffer + grad + decay * w)
    and subtracts eta times the mixed second derivative of the training loss along
    v = dL_val/dw', a central difference of half-width epsilon / norm(v) (arXiv:1806.09055,
    equations 7 and 8). Neither the weights nor the running statistics of ``net`` change.

    Parameters
    ----------
    net : SearchNetwork
        In training mode.
    train, valid : tuple of Tensor
        Images (N, C, H, W) and labels (N,).
    order : int
        1 or 2.
    eta, momentum, weight_decay : float
        The rate, momentum and decay of the unrolled step: those of the optimizer of w.
    momentum_buffer : mapping of name to Tensor, optional
        The momentum buffers of w; zero if not given.
    epsilon : float
        Numerator of the half-width.
    """
    with frozen_statistics(net):
        return _differentiate(
            net, train, valid, order, eta, momentum, momentum_buffer, weight_decay, epsilon
        ).alphas


@dataclass(frozen=True)
class StepInfo:
    """What a search step saw.

    ``valid_loss`` is the loss the alpha step differentiates (at w for order 1, at w' for order
    2), ``train_loss`` and ``grad_norm`` (before clipping) are those of the w step, thus with the
    new alphas.
    """

    train_loss: float
    valid_loss: float
    grad_norm: float


class SearchStep:
    """One whole search step: the alphas by Adam, then w by clipped SGD with momentum.

    Parameters
    ----------
    net : SearchNetwork
        The network to search with; convert it (dtype, memory format) before, not after.
    order, momentum, weight_decay, epsilon
        As in `arch_gradient`.
    max_grad_norm : float
        Largest norm of the gradient of w.
    alpha_lr, alpha_betas, alpha_weight_decay
        Adam's settings; the decay is added to the gradient.
    shortcuts : bool
        Of order 2: the difference is from w to w + eps v, and w steps by the gradient of the
        unrolled step, at the alphas before their step.
    """

    def __init__(
        self,
        net: SearchNetwork,
        order: int = 2,
        momentum: float = 0.9,
        weight_decay: float = 3e-4,
        max_grad_norm: float = 5.0,
        alpha_lr: float = 3e-4,
        alpha_betas: tuple[float, float] = (0.5, 0.999),
        alpha_weight_decay: float = 1e-3,
        epsilon: float = 0.01,
        shortcuts: bool = False,
    ) -> None:
        self.net, self.order, self.momentum = net, order, momentum
        self.shortcuts = shortcuts
        self.weight_decay, self.max_grad_norm, self.epsilon = weight_decay, max_grad_norm, epsilon
        self._parameters = dict(net.named_parameters())
        self.weights = torch.optim.SGD(
            self._parameters.values(), lr=0.0, momentum=momentum, weight_decay=weight_decay
        )
        self.alphas = torch.optim.Adam(
            list(net.alphas.values()),
            lr=alpha_lr,
            betas=alpha_betas,
            weight_decay=alpha_weight_decay,
        )

    @property
    def momentum_buffer(self) -> dict[str, Tensor] | None:
        """The momentum buffers of w by name, or None before the first step."""
        state = self.weights.state
        if not state:
            return None
        return {name: state[p]["momentum_buffer"] for name, p in self._parameters.items()}

    def __call__(self, train: Batch, valid: Batch, lr: float) -> StepInfo:
        """Move the alphas on ``valid``, then w on ``train`` with rate ``lr``."""
        with frozen_statistics(self.net):
            found = _differentiate(
                self.net,
                train,
                valid,
                self.order,
                lr,
                self.momentum,
                self.momentum_buffer,
                self.weight_decay,
                self.epsilon,
                self.shortcuts,
            )
        for name, alpha in self.net.alphas.items():
            alpha.grad = found.alphas[name]
        self.alphas.step()
        train_loss = self._weight_gradient(train, found)
        norm = nn.utils.clip_grad_norm_(self._parameters.values(), self.max_grad_norm)
        self.weights.param_groups[0]["lr"] = lr
        self.weights.step()
        return StepInfo(train_loss.item(), found.valid_loss.item(), float(norm))

    def _weight_gradient(self, train: Batch, found: _Derivatives) -> Tensor:
        """Set the gradient by which w steps, and return the loss."""
        if self.shortcuts:
            assert found.weights is not None
            assert found.train_loss is not None
            for name, parameter in self._parameters.items():
                parameter.grad = found.weights[name].clone()
            return found.train_loss
        # Only w is wanted from here: an alpha that asks for no gradient costs none.
        for alpha in self.net.alphas.values():
            alpha.requires_grad_(False)
        self.weights.zero_grad()
        x, y = train
        train_loss = F.cross_entropy(self.net(x), y)
        torch.autograd.backward(train_loss)
        for alpha in self.net.alphas.values():
            alpha.requires_grad_()
        return train_loss.detach()
