# SPDX-License-Identifier: MIT
"""Factors by which operations that were measured alone cost more or less within networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
_SMALL = 0.01  # share of a network's time


class Correction(NamedTuple):
    """What `fit_correction` found.

    Attributes
    ----------
    factors : ndarray
        Of the columns; all 1 where that predicts best.
    error : float
        Mean relative error of the networks, each predicted from the others.
    """

    factors: NDArray[np.float64]
    error: float


def fit_correction(
    parts: Sequence[Sequence[float]] | NDArray[np.float64], measured: NDArray[np.float64]
) -> Correction:
    """Return the factors of the columns of ``parts`` whose weighted sums come close to what was
    measured.

    Least squares of the relative errors, with factors drawn to 1. How strongly they are, or whether
    the plain sums are the best, is decided by the errors of networks that are left out one by one.

    Parameters
    ----------
    parts : array-like
        (networks, columns): the seconds that the parts of each network took alone.
    measured : ndarray
        (networks,): the seconds that each took as a whole.
    """
    x = np.asarray(parts, np.float64) / measured[:, np.newaxis]
    count, columns = x.shape
    left = 1.0 - x.sum(axis=1)
    best = Correction(np.ones(columns), float(np.abs(left).mean()))
    # A column is held at 1 by as much as it weighs in the mean; one of next to no time firmly.
    weight = count * np.square(np.maximum(x.mean(axis=0), _SMALL))
    for strength in _STRENGTHS:
        inverse = np.linalg.pinv(x.T @ x + strength * np.diag(weight))
        change = inverse @ (x.T @ left)
        own = np.einsum("ij,jk,ik->i", x, inverse, x)
        errors = (left - x @ change) / np.maximum(1e-9, 1 - own)
        error = float(np.abs(errors).mean())
        if error < best.error and (1 + change > 0).all():
            best = Correction(1 + change, error)
    return best
