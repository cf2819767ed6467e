# SPDX-License-Identifier: MIT
"""Functions of arrays that numpy lacks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def sigmoid(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Return ``1 / (1 + exp(-x))`` in float64, which cannot overflow."""
    x = logits.astype(np.float64)
    small = np.exp(-np.abs(x))
    shares: NDArray[np.float64] = np.where(x >= 0, 1.0, small) / (1 + small)
    return shares


def softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Return ``exp(x) / sum(exp(x))`` over the last axis, in float64."""
    x = logits.astype(np.float64)
    odds = np.exp(x - x.max(axis=-1, keepdims=True))
    shares: NDArray[np.float64] = odds / odds.sum(axis=-1, keepdims=True)
    return shares
