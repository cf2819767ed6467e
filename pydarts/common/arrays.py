# SPDX-License-Identifier: MIT
"""Functions of arrays that numpy lacks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Return ``exp(x) / sum(exp(x))`` over the last axis, in float64."""
    x = logits.astype(np.float64)
    odds = np.exp(x - x.max(axis=-1, keepdims=True))
    shares: NDArray[np.float64] = odds / odds.sum(axis=-1, keepdims=True)
    return shares
