# SPDX-License-Identifier: MIT
"""What tests of whole searches and trainings share: small images and a text, Ctrl-C, and whether
two runs are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pydarts

Images = tuple[NDArray[np.uint8], NDArray[Any]]
#: Words without order. No two columns of it are alike: batch normalisation could not bear that.
TEXT = " ".join(np.random.default_rng(0).choice(["the", "cat", "sat", "on", "a", "mat"], 150))


def halves(
    count: int = 32,
    *,
    side: int = 6,
    by: int = 150,
    labels: Sequence[Any] = (0, 1),
    seed: int = 0,
) -> Images:
    """Return noise, every second image of which is brighter on the left, and which ones are."""
    X = np.random.default_rng(seed).integers(0, 100, (count, side, side), dtype=np.uint8)
    X[::2, :, : side // 2] += by
    return X, np.resize(labels, count)


def noise(count: int = 24) -> Images:
    """Return noise, and labels that have nothing to do with it."""
    X = np.random.default_rng(0).integers(0, 256, (count, 8, 8), np.uint8)
    return X, np.arange(count) % 2


class Interrupt(pydarts.Callback):
    """Press Ctrl-C in the hook after a step, before the step is marked as done, or at the end of
    an epoch.
    """

    def __init__(self, step: int | None = None, *, epoch: int | None = None):
        self.at = step, epoch

    def on_step_end(self, loop: Any, info: Any) -> None:
        if loop.steps_done == self.at[0]:
            raise KeyboardInterrupt

    def on_epoch_end(self, loop: Any, entry: Any) -> None:
        if loop.epoch == self.at[1]:
            raise KeyboardInterrupt


def untimed(history: Any) -> Any:
    """Return a history without what depends on the clock."""
    return [{k: v for k, v in entry.items() if k != "seconds"} for entry in history]


def same_arrays(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Whether two mappings hold the same arrays, to the bit."""
    return ours.keys() == theirs.keys() and all(
        np.array_equal(value, theirs[name]) for name, value in ours.items()
    )


def same_models(ours: Any, theirs: Any) -> bool:
    """Whether two trainings came to the same weights and running statistics."""
    return same_arrays(ours.network.state_dict(), theirs.network.state_dict())


def check_same_searches(ours: Any, theirs: Any) -> None:
    """Assert that two searches that were not interrupted came to the same in all but seconds."""
    for a, b in (
        (ours.supernet.state(), theirs.supernet.state()),
        (ours.alphas, theirs.alphas),
        (ours.alpha_history, theirs.alpha_history),
    ):
        assert a.keys() == b.keys()
        for name, value in a.items():
            np.testing.assert_array_equal(value, b[name], err_msg=name)
    assert untimed(ours.history) == untimed(theirs.history)
    for name in ("genotype", "selection", "finalists", "stopped"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert not ours.interrupted
    assert not theirs.interrupted
