# SPDX-License-Identifier: MIT
"""How long networks take for a batch, measured side by side."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pydarts.costs.shape import Size

_TURNS = 5


def measure_networks(
    networks: Sequence[Any], sizes: Sequence[Size], *, batch: int, repeats: int
) -> list[NDArray[np.float64]]:
    """Return the seconds of so many calls of each network, in evaluation.

    The networks take turns, so that a processor that slows down slows all of them. A turn begins
    with a call that does not count: weights and activations are in the caches again, and the
    threads awake.

    Parameters
    ----------
    networks : sequence of Network
    sizes : sequence of (int, int)
        Of the images of each.
    batch : int
        Images of a call.
    repeats : int
        Calls of each network that count, at least.

    Returns
    -------
    list of ndarray
    """
    rng = np.random.default_rng(0)
    images = [
        rng.normal(size=(batch, net.in_channels, *size)).astype(np.float32)
        for net, size in zip(networks, sizes, strict=True)
    ]
    found: list[list[float]] = [[] for _ in networks]
    calls = -(-repeats // _TURNS)
    for _ in range(_TURNS):
        for net, x, times in zip(networks, images, found, strict=True):
            net.logits(x, training=False)
            for _ in range(calls):
                start = perf_counter()
                net.logits(x, training=False)
                times.append(perf_counter() - start)
    return [np.array(times) for times in found]
