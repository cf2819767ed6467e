# SPDX-License-Identifier: MIT
"""Exact permutation tests: what p-value a difference has, and what several are worth together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

MAX_ARRANGEMENTS: Final = 2**20
"""Arrangements that an exact test goes through, at most."""


def sign_flip(differences: Iterable[float]) -> float:
    """Two-sided p-value of paired differences under the hypothesis that either sign is as likely:
    the share of the 2^n choices of signs whose sum is as far from zero. Exact.
    """
    given = np.asarray(differences, np.float64)
    sums = np.zeros(1)
    for difference in given:
        sums = np.concatenate([sums + difference, sums - difference])
    return _share(sums, given.sum(), np.abs(given).sum())


def relabelling(found: Iterable[float], others: Iterable[float]) -> float:
    """Two-sided p-value of a difference of means under the hypothesis that any of the values could
    have been the found ones: the share of the choices that set their means as far apart. Exact.
    """
    chosen, rest = list(found), list(others)
    size, values = len(chosen), [*chosen, *rest]
    total = math.fsum(values)

    def gap(sums: Any) -> Any:
        return sums / size - (total - sums) / len(rest)

    sums = np.array([sum(choice) for choice in itertools.combinations(values, size)])
    return _share(gap(sums), gap(sum(chosen)), math.fsum(map(abs, values)))


def holm(p_values: Iterable[float]) -> list[float]:
    """P-values of several tests, corrected so that the chance of any false claim among those up to
    a level is at most that level, whatever the tests have to do with each other.

    With m of them in ascending order the j-th becomes ``max_{i <= j} min(1, (m + 1 - i) p_i)``.
    Holm, *A simple sequentially rejective multiple test procedure*, Scand. J. Statist. 6 (1979).
    """
    given = np.asarray(list(p_values), np.float64)
    order = np.argsort(given, kind="stable")
    corrected = np.empty_like(given)
    steps = np.minimum(given[order] * np.arange(len(given), 0, -1), 1.0)
    corrected[order] = np.maximum.accumulate(steps)
    found: list[float] = corrected.tolist()
    return found


def _share(statistics: NDArray[np.float64], observed: float, scale: float) -> float:
    """Share of the statistics that are as far from zero, but for rounding."""
    return float((np.abs(statistics) >= abs(observed) - 1e-12 * scale).mean())
