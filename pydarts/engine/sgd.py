# SPDX-License-Identifier: MIT
"""Stochastic gradient descent on a network's weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from numpy.typing import ArrayLike

from pydarts import _core
from pydarts.common.checks import number
from pydarts.engine.losses import Truth
from pydarts.engine.network import Array, EngineNetwork, engine_suffix


class SGDInfo(NamedTuple):
    """What one step of `SGD` saw.

    Attributes
    ----------
    train_loss : float
        Mean loss of the batch, before the step.
    train_correct : int
        Number of correct predictions.
    gradient_norm : float
        Norm of the gradient with respect to the weights, before it is bounded.
    hidden : ndarray or None
        Of recurrent networks, the state (B, H) with which the next segment begins.
    """

    train_loss: float
    train_correct: int
    gradient_norm: float
    hidden: Array | None = None


class SGD:
    """Stochastic gradient descent with momentum and gradients of bounded norm.

    Parameters
    ----------
    network : EngineNetwork
        The network whose weights the steps change.
    momentum, weight_decay : float
    max_grad_norm : float
        A gradient of a larger norm is scaled down to this one.
    ar, tar : float, optional
        Of recurrent networks, the weights of activation regularisation ``mean(output^2)`` and
        temporal activation regularisation ``mean((h_t - h_{t-1})^2)``.
    """

    def __init__(
        self,
        network: EngineNetwork,
        *,
        momentum: float,
        weight_decay: float,
        max_grad_norm: float,
        ar: float = 0.0,
        tar: float = 0.0,
    ):
        self.network, self.steps = network, 0
        self._engine: Any = getattr(_core, network.weight_step + engine_suffix(network.dtype))(
            network._engine,
            number("momentum", momentum),
            number("weight_decay", weight_decay),
            number("max_grad_norm", max_grad_norm, positive=True),
            *network.recurrent_arguments(ar=ar, tar=tar),
        )

    def __call__(
        self,
        x: ArrayLike,
        y: Truth,
        lr: float,
        *,
        hidden: ArrayLike | None = None,
        drop_masks: ArrayLike | None = None,
        mixing: Mapping[str, ArrayLike] | None = None,
        active: Mapping[str, ArrayLike] | None = None,
    ) -> SGDInfo:
        """Take one step with the learning rate ``lr``.

        Parameters
        ----------
        x, y : array_like
            Images (N, C, H, W) and labels (N,), targets (N, classes) or either `Weighted`, or
            tokens (T, B) and the tokens that follow them.
        lr : float
        hidden : array_like, optional
            Of recurrent networks, the state (B, H) before the first token; zero by default.
        drop_masks : array_like, optional
            Of networks over images, the factors (num_droppable, N) of drop path, 0 or 1/keep.
        mixing, active : mapping of str to array_like, optional
            Of supernets, as in `ImageNetwork.loss_and_grads`; `active` of those over images alone.
            The weights of inactive operations, their momentum and their running statistics stay as
            they are: they do not decay either. The norm that is bounded is that of the others.

        Returns
        -------
        SGDInfo

        Raises
        ------
        ValueError
            If an argument cannot be used; names it.
        ArithmeticError
            If a loss or gradient is not finite; names the step. The weights are as before it.
        """
        arguments = self.network.weight_step_arguments(
            x, y, number("lr", lr), hidden, drop_masks, mixing, active
        )
        try:
            loss, correct, norm, *more = self._engine(self.network._engine, *arguments)
        except _core.NonFinite as error:
            raise _core.NonFinite(f"step {self.steps}: {error}") from None
        self.steps += 1
        return SGDInfo(loss, correct, norm, more[-1] if more else None)

    def state(self) -> dict[str, Any]:
        """Everything that steps change: the network's state, momentum and number of steps."""
        return {**self.network.state(), "buffer": self._engine.buffer, "steps": self.steps}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.network.restore(state)
        self._engine.buffer[:] = state["buffer"]
        self.steps = state["steps"]
