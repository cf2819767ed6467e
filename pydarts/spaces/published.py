# SPDX-License-Identifier: MIT
"""The published cells by name, and genotypes of whichever kind a text holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pydarts.spaces.darts import DARTS_V1, DARTS_V2, Genotype
from pydarts.spaces.genotype import BaseGenotype
from pydarts.spaces.operation import Operation
from pydarts.spaces.recurrent import (
    RECURRENT_DARTS_V1,
    RECURRENT_DARTS_V2,
    RecurrentGenotype,
)
from pydarts.spaces.space import Space

#: The published cells, by name.
PUBLISHED: Final[Mapping[str, BaseGenotype]] = MappingProxyType(
    {
        "DARTS_V1": DARTS_V1,
        "DARTS_V2": DARTS_V2,
        "RECURRENT_DARTS_V1": RECURRENT_DARTS_V1,
        "RECURRENT_DARTS_V2": RECURRENT_DARTS_V2,
    }
)


def published(space: Space) -> dict[str, BaseGenotype]:
    """The published cells of a space, by name; the last is the best known."""
    return {name: cell for name, cell in PUBLISHED.items() if cell.space == space}


def strongest(space: Space) -> BaseGenotype:
    """The strongest-operation constant, a cell that takes no search: on every edge the operation of
    the most stages that have weights, then of the largest kernels, and no `none` or noise where
    there is anything else; of the edges into a node those that come first.
    """
    # So large that the softmax is 1, however many operations an edge has: on ties the first stays.
    alphas = {name: 1e3 * values for name, values in strongest_values(space).items()}
    return space.derive(alphas)


def strongest_values(space: Space) -> dict[str, NDArray[np.float64]]:
    """Return 1 for the strongest operation of each edge and else 0, (edges, columns) by kind of
    cell.
    """
    found = {}
    for cell in space.cells:
        found[cell.name] = values = np.zeros((len(cell.candidates), cell.columns))
        for row, candidates in zip(values, cell.candidates, strict=True):
            row[max(range(len(candidates)), key=lambda k: _strength(candidates[k]))] = 1.0
    return found


def _strength(op: Operation) -> tuple[int, int, bool]:
    with_weights = [stage for stage in op.stages if stage.has_weights]
    taps = sum(math.prod(stage.kernel or (1, 1)) for stage in with_weights)
    return len(with_weights), taps, not (op.is_none or op.is_noise)


def parse_genotype(text: str) -> BaseGenotype:
    """Read a genotype of any space from JSON or from the literature's form.

    Raises
    ------
    ValueError
        If the text holds none; says why it is none of the first kind.
    """
    is_json = isinstance(text, str) and text.lstrip().startswith("{")
    first: ValueError | None = None
    kind: type[BaseGenotype]
    for kind in (Genotype, RecurrentGenotype):
        read: Callable[[str], BaseGenotype] = kind.from_json if is_json else kind.parse
        try:
            return read(text)
        except ValueError as error:
            # Of a genotype of another kind the other class tells more.
            if first is None or f"{kind.__name__}." in str(first):
                first = error
    assert first is not None
    raise first
