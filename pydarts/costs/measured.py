# SPDX-License-Identifier: MIT
"""Operations measured one by one, each in a small network of its own, and networks as a whole.

The networks take turns, so that a processor that slows down slows all of them. A turn begins with a
call that does not count: weights and activations are in the caches again, and the threads awake.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from pydarts import _core
from pydarts.costs.native import native
from pydarts.costs.shape import NetworkShape, Place
from pydarts.spaces.space import Space


class Timing(NamedTuple):
    """Seconds: the median, and the quartiles around it."""

    median: float
    low: float
    high: float


def measure_places(
    space: Space, wanted: Iterable[Place], *, batch: int, threads: int, repeats: int
) -> dict[Place, Timing]:
    """Measure each operation where it stands.

    Where the stride is 1, a chain of six of them in a row is compared with the same chain of
    ``none``, and the difference divided by their number; where it is 2, a single one.
    """
    every = list(dict.fromkeys(wanted))
    found = _core.measure_places(native(space), every, batch, threads, repeats)
    return {place: Timing(*seconds) for place, seconds in zip(every, found, strict=True)}


def measure_fixed(
    space: Space, shape: NetworkShape, *, batch: int, threads: int, repeats: int
) -> tuple[Timing, Timing]:
    """Measure the network whose edges all carry ``none``, and the stem with a classifier."""
    fixed, stem = _core.measure_fixed(native(space), shape.sizes, batch, threads, repeats)
    return Timing(*fixed), Timing(*stem)


def measure_genotypes(
    genotypes: Sequence[Any], shape: NetworkShape, batch: int, threads: int, repeats: int
) -> list[Timing]:
    """Measure the networks of genotypes in turns. Weights are random: no latency depends on them.

    Parameters
    ----------
    genotypes : sequence of Genotype
    shape : NetworkShape
    batch : int
        Images of a call.
    threads : int
    repeats : int
        Calls of each network that count, at least.
    """
    texts = [genotype.to_json() for genotype in genotypes]
    found = _core.measure_genotypes(texts, shape.sizes, batch, threads, repeats)
    return [Timing(*seconds) for seconds in found]
