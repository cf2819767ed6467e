# SPDX-License-Identifier: MIT
"""What the outputs of networks over images are compared with, and how samples are weighted."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from pydarts.common.checks import choice, integer, number
from pydarts.common.errors import ArgumentError, ArgumentTypeError

LOSSES: Final = ("cross-entropy", "sigmoid", "mse", "huber")


class Weighted(NamedTuple):
    """Targets with a weight for each sample, in place of targets alone.

    The loss of a batch is then ``sum_n w_n loss_n / sum_n w_n``.

    Attributes
    ----------
    targets : array_like
        Labels or targets, as in `ImageNetwork.loss_and_grads`.
    weights : array_like
        (N,) numbers of at least 0, not all 0.
    """

    targets: ArrayLike
    weights: ArrayLike


Truth = ArrayLike | Weighted


def checked_loss(loss: str, huber_delta: float) -> tuple[str, float]:
    """Return both, or raise an error that names the bad one."""
    delta = number("huber_delta", huber_delta, positive=True)
    return choice("loss", loss, LOSSES), delta


def checked_outputs(classes: int, loss: str) -> int:
    """Return the number of outputs: of the cross-entropy of one class at least two."""
    return integer("classes", classes, 2 if loss == "cross-entropy" else 1)


def checked_targets(
    name: str, targets: NDArray[Any], shape: tuple[int, int], loss: str, dtype: DTypeLike
) -> NDArray[Any]:
    """Return targets as the engine takes them."""
    if targets.shape != shape:
        raise ArgumentError(name, f"has the shape {targets.shape}, not {shape}")
    with np.errstate(over="ignore"):
        given = np.ascontiguousarray(targets, dtype=dtype)
    wrong, bounds = ~np.isfinite(given), "finite"
    if loss == "cross-entropy":
        wrong, bounds = wrong | ~(given >= 0), "finite, at least 0"
    elif loss == "sigmoid":
        wrong, bounds = ~((given >= 0) & (given <= 1)), "in 0..1"
    if wrong.any():
        raise ArgumentError(name, f"holds {targets[wrong][0]}; it must be {bounds}")
    return given


def checked_weights(name: str, weights: ArrayLike, count: int, dtype: DTypeLike) -> NDArray[Any]:
    """Return weights of samples as the engine takes them."""
    array = np.asarray(weights)
    if array.dtype.kind not in "fiub":
        raise ArgumentTypeError(name, f"must hold numbers, not {array.dtype}")
    if array.shape != (count,):
        raise ArgumentError(name, f"has the shape {array.shape}; there are {count} samples")
    with np.errstate(over="ignore"):
        given = np.ascontiguousarray(array, dtype=dtype)
    wrong = ~(np.isfinite(given) & (given >= 0))
    if wrong.any():
        raise ArgumentError(name, f"holds {array[wrong][0]}; it must be finite, at least 0")
    if not given.any():
        raise ArgumentError(name, "holds nothing but 0")
    return given
