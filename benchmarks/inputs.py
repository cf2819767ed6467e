# SPDX-License-Identifier: MIT
"""What all contenders begin with, and the form in which they give what they computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
#: What a step returned is passed to the second function, which gives loss and gradients.
Contender = tuple[Callable[[], Any], Callable[[Any], dict[str, Array]]]


def seeded_state(like: Mapping[str, Array], bound: float | None = None) -> dict[str, Array]:
    """Return a state with these names and shapes, drawn in order of name.

    Matrices and filters are uniform within ``bound``; if it is not given, within one over the root
    of what an output sums.
    """
    rng = np.random.default_rng(1)
    state = {}
    for name in sorted(like):
        shape = like[name].shape
        if len(shape) > 1:
            own = 1.0 / np.sqrt(np.prod(shape[1:])) if bound is None else bound
            state[name] = rng.uniform(-own, own, shape).astype(np.float32)
        else:
            one = name.endswith(("running_var", "weight"))
            state[name] = np.full(shape, float(one), np.float32)
    return state


def seeded_alphas(like: Mapping[str, Array]) -> dict[str, Array]:
    """Return alphas as small as those that a search begins with."""
    rng = np.random.default_rng(2)
    return {n: 1e-3 * rng.standard_normal(like[n].shape, np.float32) for n in sorted(like)}


def flat(arrays: Mapping[str, Any]) -> Array:
    """Return all arrays in order of name as one."""
    parts = [np.ravel(np.asarray(arrays[name])) for name in sorted(arrays)]
    return np.concatenate(parts or [np.empty(0, np.float32)])
