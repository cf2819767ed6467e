# SPDX-License-Identifier: MIT
"""Operations measured one by one, each in a small network of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pydarts.costs.shape import NetworkShape, Place
from pydarts.costs.timing import measure_networks
from pydarts.engine.convolutional import Network
from pydarts.spaces.cell import Cell
from pydarts.spaces.darts import Genotype
from pydarts.spaces.operation import Operation, none
from pydarts.spaces.space import Space
from pydarts.spaces.stack import Layer, Stack

CHAIN = 6  # cells of a chain


class Timing(NamedTuple):
    """Seconds: the median, and the quartiles around it."""

    median: float
    low: float
    high: float


def summarize(samples: NDArray[np.float64]) -> Timing:
    """Return median and quartiles."""
    low, median, high = np.percentile(samples, (25, 50, 75))
    return Timing(float(median), float(low), float(high))


def measure_places(
    wanted: Iterable[Place],
    operations: Mapping[str, Operation],
    dimensions: int,
    *,
    batch: int,
    threads: int,
    repeats: int,
) -> dict[Place, Timing]:
    """Measure each operation where it stands.

    Where the stride is 1, a chain of so many of them in a row is compared with the same chain of
    ``none``, and the difference divided by their number; where it is 2, a single one.
    """
    every, nothing = list(dict.fromkeys(wanted)), Operation("none", [none])
    chains: dict[Place, Network] = {}
    sizes = {}
    for place in every:
        for op in (operations[place.operation], nothing):
            key = place._replace(operation=op.name)
            chains[key] = _chain(op, place, dimensions, threads)
            sizes[key] = place.size
    times = measure_networks(
        list(chains.values()), list(sizes.values()), batch=batch, repeats=repeats
    )
    seconds = dict(zip(chains, times, strict=True))
    found = {}
    for place in every:
        empty = float(np.median(seconds[place._replace(operation=nothing.name)]))
        found[place] = summarize((seconds[place] - empty) / _length(place))
    return found


def stem_alone(space: Space, shape: NetworkShape, threads: int) -> Network:
    """Return the network of the stem, a cell of ``none`` and a classifier."""
    assert space.stack is not None
    return _row(
        *(Operation("none", [none]), space.dimensions, threads, space.stack.stem, 1, 1),
        *(shape.channels, 1, shape.classes, shape.in_channels, shape.stem),
    )


def _length(place: Place) -> int:
    return CHAIN if place.stride == 1 and place.inputs == place.channels else 1


def _chain(op: Operation, place: Place, dimensions: int, threads: int) -> Network:
    growth = place.channels // place.inputs if place.channels % place.inputs == 0 else 1
    sizes = place.inputs, _length(place), 2, 1, "cifar"
    return _row(op, dimensions, threads, 1, place.stride, growth, *sizes)


def _row(
    op: Operation,
    dimensions: int,
    threads: int,
    stem: int,
    stride: int,
    growth: int,
    channels: int,
    cells: int,
    classes: int,
    in_channels: int,
    kind: str,
) -> Network:
    """A stem, a row of cells of one edge, and a classifier."""
    cell = Cell("row", 1, 1, preprocessed=False, output="last", kept_edges=1, keeps_none=True)
    stack = Stack((Layer("row", repeat="cells", stride=stride, channels=growth),), stem)
    space = Space(f"row-{op.name}"[:64], (op,), (cell,), stack, dimensions)
    genotype = Genotype(space=space, row=[(op.name, 0)])
    sizes = channels, cells, classes, in_channels
    return Network(genotype, *sizes, threads=threads, stem=kind)
