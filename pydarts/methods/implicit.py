# SPDX-License-Identifier: MIT
"""The hypergradient by the implicit function theorem, its inverse Hessian by a Neumann series.

Source: Lorraine, Vicol, Duvenaud, *Optimizing Millions of Hyperparameters by Implicit
Differentiation*, AISTATS 2020, https://arxiv.org/abs/1911.02590.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pydarts import _core
from pydarts.common.checks import integer, number, show
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.engine.network import Alphas, Array, BaseSupernet
from pydarts.methods.bilevel import Hidden, checked_batches

Vector = NDArray[np.float64]

# A term so many times as long as the shortest before it is taken for divergence. The norms of a
# symmetric matrix' powers times a vector are convex in the exponent: once they grow they go on, so
# that less would do but for the noise of the differences.
_GROWTH = 2.0


class GradientOracle(Protocol):
    """A bilevel problem of one's own, at its present weights w and α.

    Attributes
    ----------
    flat_weights : ndarray
        w, a flat array.
    """

    @property
    def flat_weights(self) -> Array: ...

    def gradients(self, batch: Any, weights: Array, wrt: tuple[str, ...]) -> Mapping[str, Array]:
        """Return flat gradients of a loss at other weights and the present α.

        Parameters
        ----------
        batch : object
            Says which loss: what `implicit_gradient` was given as `train` or `valid`.
        weights : ndarray
            Of the length of ``flat_weights``.
        wrt : tuple of str
            With respect to which of ``"weights"`` and ``"alphas"`` to differentiate.

        Returns
        -------
        mapping of str to ndarray
            A flat array for each of `wrt`.
        """
        ...

    def split_alphas(self, flat: Array) -> Alphas:
        """Return a flat array of α's length by group, which may be ``{"alphas": flat}``."""
        ...


def implicit_gradient(
    oracle: BaseSupernet[Any] | GradientOracle,
    *,
    train: Any,
    valid: Any,
    hidden: Hidden | None = None,
    terms: int,
    damping: float = 0.0,
    eta: float | None = None,
    weight_decay: float | None = None,
    epsilon: float = 0.01,
) -> Alphas:
    """Return the gradient of ``L_valid(w*(α), α)`` with respect to α as if w were ``w*(α)``.

    With H the Hessian of the training loss by w, and ``M = H + (weight_decay + damping) I``::

        v = grad_w L_valid(w)
        q = eta sum_{k < terms} (I - eta M)^k v
        grad_α L_valid(w) - (d²L_train / dα dw) q

    The sum tends to ``q = M⁻¹ v`` if all eigenvalues of M lie between 0 and ``2 / eta``, and after
    K terms is off from it by ``(I - eta M)^K M⁻¹ v``. Products with H and with the mixed derivative
    are central differences of half-width ``epsilon``, as those of `arch_gradient`, and exact where
    the gradient is linear; for the rest what is said there on ``epsilon`` holds. It takes
    ``2 terms + 1`` passes, all with batch statistics, and vectors of float64 in Python.

    That the result is the gradient of ``L_valid(w*(α), α)`` supposes that w is ``w*(α)``, a minimum
    where M is positive definite. In a search w is on its way, and H has negative eigenvalues: the
    damping that then makes the sum converge shortens ``M⁻¹ v`` along all directions of smaller
    curvature.

    Parameters
    ----------
    oracle : Supernet, RecurrentSupernet or GradientOracle
        A network is, after the call and after an error, what it was to the bit. All passes have the
        same noise and drop the same units, those of the network's next pass.
    train, valid : tuple of array_like
        As in `arch_gradient`; of one's own oracle, what its ``gradients`` take.
    hidden : tuple of array_like, optional
        As in `arch_gradient`, of recurrent networks only.
    terms : int
        How many terms the sum has. With 0 the result is the gradient of the first order. With 1 it
        is DARTS' second order with all at w, where `arch_gradient` has the unrolled w': for both
        ``grad_α L_valid - eta (d²L_train / dα dw) grad_w L_valid``, here without momentum and a
        bound on the norms, and the same for any damping. With K it is, if w is a minimum, the
        gradient through K steps of gradient descent. The paper counts from 0: its i is K - 1.
    damping : float, optional
        What the negative eigenvalues of H, and the noise of the differences, ask for: in the middle
        of a search easily half of the largest eigenvalue.
    eta : float, optional
        Step of the series. By default of networks the original's learning rate, as in
        `arch_gradient`, which need not be small enough for many terms.
    weight_decay : float, optional
        By default that of `arch_gradient`, and 0 of one's own oracle.
    epsilon : float, optional
        Of the finite differences: how far the weights are moved, in norm.

    Returns
    -------
    dict of str to ndarray
        The gradient by group of α, in float64.

    Raises
    ------
    ArithmeticError
        If a loss or gradient is not finite, or a term is twice as long as an earlier one: then the
        series diverges, and the message says which of `eta` and `damping` to change.
    """
    count = integer("terms", terms, 0)
    options = {
        "damping": number("damping", damping),
        "epsilon": number("epsilon", epsilon, positive=True),
    }
    if isinstance(oracle, BaseSupernet):
        default = oracle.step_defaults
        options["eta"] = number("eta", default.eta if eta is None else eta, positive=True)
        decay = default.weight_decay if weight_decay is None else weight_decay
        options["weight_decay"] = number("weight_decay", decay)
        with frozen_network(oracle, train, valid, hidden) as (frozen, batches):
            return _hypergradient(frozen, *batches, count, **options)
    for name in ("flat_weights", "gradients", "split_alphas"):
        if not hasattr(oracle, name):
            raise ArgumentTypeError("oracle", f"(={show(oracle)}) has no `{name}`")
    if hidden is not None:
        raise ArgumentTypeError("hidden", "is for recurrent networks")
    if eta is None:
        raise ArgumentError("eta", "(=None) must be given for an oracle that is no network")
    options["eta"] = number("eta", eta, positive=True)
    options["weight_decay"] = number("weight_decay", 0.0 if weight_decay is None else weight_decay)
    return _hypergradient(oracle, train, valid, count, **options)


def _hypergradient(
    oracle: GradientOracle,
    train: Any,
    valid: Any,
    terms: int,
    *,
    eta: float,
    damping: float,
    weight_decay: float,
    epsilon: float,
) -> Alphas:
    direct, v = validation_gradients(oracle, valid)
    if terms == 0:
        return oracle.split_alphas(direct)
    hessian = training_hessian(oracle, train, weight_decay, epsilon)
    for q in islice(neumann_series(hessian, v, eta, damping), terms):
        last = q
    return oracle.split_alphas(direct - mixed_product(oracle, train, last, epsilon))


def validation_gradients(oracle: GradientOracle, valid: Any) -> tuple[Vector, Vector]:
    """Return the gradients of the validation loss with respect to α and to w."""
    w = np.array(oracle.flat_weights, np.float64)
    found = oracle.gradients(valid, w, ("alphas", "weights"))
    return _finite("alphas", found), _finite("weights", found)


def training_hessian(
    oracle: GradientOracle, train: Any, weight_decay: float, epsilon: float
) -> Callable[[Vector], Vector]:
    """Return the product of ``H + weight_decay I`` with a vector, as a function."""
    return lambda u: _derivative(oracle, train, "weights", u, epsilon) + weight_decay * u


def mixed_product(oracle: GradientOracle, train: Any, q: Vector, epsilon: float) -> Vector:
    """Return ``(d²L_train / dα dw) q``."""
    return _derivative(oracle, train, "alphas", q, epsilon)


def neumann_series(
    hessian: Callable[[Vector], Vector], v: Vector, eta: float, damping: float
) -> Iterator[Vector]:
    """Yield ``eta sum_{k < K} (I - eta (H + damping I))^k v`` for K = 1, 2, ...

    It ends where a further term would be lost in rounding.

    Parameters
    ----------
    hessian : callable
        Product of H with a vector.
    v : ndarray
    eta, damping : float

    Raises
    ------
    ArithmeticError
        As `implicit_gradient`.
    """
    term, total = v, np.zeros_like(v)
    length = shortest = float(np.linalg.norm(v))
    count = 0
    while True:
        total = total + eta * term
        count += 1
        yield total
        if eta * length <= np.finfo(np.float64).eps * np.linalg.norm(total):
            return
        change = hessian(term) + damping * term
        curvature = float(term @ (change / length)) / length
        steepest = float(np.linalg.norm(change)) / length
        term = term - eta * change
        length = float(np.linalg.norm(term))
        if not length <= _GROWTH * shortest:
            reason = (
                f"`damping` (={damping:g}) must be larger: damping included, an eigenvalue of the"
                f" Hessian is {curvature:.3g} or less"
                if curvature < 0
                else f"`eta` (={eta:g}) must be less than 2 over the largest eigenvalue of the"
                f" Hessian, which is {steepest:.3g} or more"
            )
            raise ArithmeticError(
                f"the series diverges at term {count + 1}, which is {length / shortest:.3g} times"
                f" as long as one before. {reason}"
            )
        shortest = min(shortest, length)


def _derivative(
    oracle: GradientOracle, batch: Any, kind: str, direction: Vector, epsilon: float
) -> Vector:
    """The derivative of a gradient of a batch's loss along a direction of the weights."""
    length = float(np.linalg.norm(direction))
    w = np.array(oracle.flat_weights, np.float64)
    move = direction * (epsilon / length if length else 0.0)
    plus, minus = (
        _finite(kind, oracle.gradients(batch, at, (kind,))) for at in (w + move, w - move)
    )
    found: Vector = (plus - minus) * (length / (2 * epsilon))
    return found


def _finite(kind: str, found: Mapping[str, Array]) -> Vector:
    gradient = np.asarray(found[kind], np.float64)
    if not np.isfinite(gradient).all():
        raise _core.NonFinite(f"a gradient with respect to the {kind} is not finite")
    return gradient


class _FrozenNetwork:
    """A network as an oracle: its passes all begin in the state in which it is now."""

    def __init__(self, net: Any):
        self._net, self._state = net, copy.deepcopy(net.state())

    @property
    def flat_weights(self) -> Array:
        weights: Array = self._state["weights"]
        return weights

    def gradients(
        self, batch: tuple[Any, ...], weights: Array, wrt: tuple[str, ...]
    ) -> dict[str, Array]:
        x, y, *state = batch
        self._net.restore({**self._state, "weights": weights})  # and where masks are drawn from
        hidden = {"hidden": state[0]} if state else {}
        _, found = self._net.loss_and_grads(x, y, wrt=wrt, **hidden)
        return {
            kind: np.concatenate([part.ravel() for part in found[kind].values()]) for kind in wrt
        }

    def split_alphas(self, flat: Array) -> Alphas:
        split: Alphas = self._net.split_alphas(flat)
        return split

    def restore(self) -> None:
        self._net.restore(self._state)


@contextmanager
def frozen_network(
    net: BaseSupernet[Any], train: Any, valid: Any, hidden: Hidden | None = None
) -> Iterator[tuple[GradientOracle, tuple[Any, Any]]]:
    """Give a network as an oracle and its batches for it; afterwards the network is as before.

    Parameters
    ----------
    net, train, valid, hidden
        As in `implicit_gradient`.

    Returns
    -------
    GradientOracle
    tuple
        Of the training and the validation batch.
    """
    batches = checked_batches(net, train, valid, hidden)
    frozen, members = _FrozenNetwork(net), dict(vars(net))
    try:
        yield frozen, batches
    finally:
        frozen.restore()
        vars(net).update(members)  # such as the state after the last pass
