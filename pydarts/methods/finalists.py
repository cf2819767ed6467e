# SPDX-License-Identifier: MIT
"""Finalists: cells drawn from the mixing weights, of which a short training chooses the best.

The original does not believe its α either: of four searches it keeps the cell that does best on
validation data when it is trained from scratch for a short time. Here the candidates come from one
search, as samples of what its mixing weights say.

Source: Liu, Simonyan, Yang, *DARTS: Differentiable Architecture Search*, ICLR 2019,
https://arxiv.org/abs/1806.09055, sections 2.4 and 3.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pydarts.common.checks import integer
from pydarts.common.errors import ArgumentError
from pydarts.methods.method import Method
from pydarts.methods.weighting import mixing_weights, weighting_of
from pydarts.spaces.genotype import BaseGenotype
from pydarts.spaces.published import parse_genotype
from pydarts.spaces.space import Space

# So often a cell is drawn that was drawn before, until there are taken to be no others.
_DRAWS = 20


class Finalist(NamedTuple):
    """A candidate, and its score on the validation data: accuracy, or perplexity over text."""

    genotype: BaseGenotype
    score: float


@dataclass(frozen=True, kw_only=True)
class Finalists:
    """How a cell is chosen among finalists, after the epochs of the search.

    The first finalist is the cell that the method chooses by magnitude. The others are drawn: with
    ``G = -log Exp(1)`` of each entry, the cell by magnitude of ``log m + G``, where m are the
    mixing weights, so that an edge has an operation with the probability of its share in them. Each
    is trained from scratch on the data of the weights and scored on those of α, all alike; the best
    score wins, of equals the first.

    Attributes
    ----------
    candidates : int
        Finalists, the cell by magnitude included; fewer where there are no more different cells.
    epochs : int or None
        Of each training. None: over images those that show 40,000 of them, at least 4 and at most
        60; over text 4.
    seed : int
        Of what is drawn, and of all trainings.
    """

    candidates: int = 12
    epochs: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        integer("candidates", self.candidates, 1)
        if self.epochs is not None:
            integer("epochs", self.epochs, 1)
        integer("seed", self.seed, 0)

    @property
    def name(self) -> str:
        return "finalists"


def draw_finalists(
    selector: Finalists, method: Method, alphas: Mapping[str, Any], space: Space
) -> list[BaseGenotype]:
    """Return the cells of the finalists, all different; the first one is that by magnitude."""
    found = [method.select(dict(alphas), space)]
    seen = {_what(found[0])}
    weights = mixing_weights(alphas, space, weighting_of(method))
    rng = np.random.default_rng((selector.seed, 2))
    missed = 0
    while len(found) < selector.candidates and missed < _DRAWS:
        noisy = {}
        for name, alpha in alphas.items():
            gumbel = -np.log(rng.exponential(size=alpha.shape))
            # Weights of edges have no mixing weights beside them; their softmax is over a node.
            if name in weights:
                with np.errstate(divide="ignore"):
                    noisy[name] = np.maximum(np.log(weights[name]), -1e3) + gumbel
            else:
                noisy[name] = alpha + gumbel
        cell = method.select(noisy, space)
        if _what(cell) in seen:
            missed += 1
            continue
        missed = 0
        seen.add(_what(cell))
        found.append(cell)
    return found


def best_of(finalists: list[Finalist], sign: int) -> BaseGenotype:
    """Return the cell of the best score; ``sign`` is 1 where higher is better, and else -1."""
    return max(finalists, key=lambda finalist: sign * finalist.score).genotype


def read_finalists(value: object, space: Space) -> list[Finalist]:
    """Return the finalists that a file holds, or raise ValueError where they are none."""
    if not isinstance(value, list):
        raise ArgumentError("finalists", "must be a list")
    found = []
    for number, pair in enumerate(value):
        if not isinstance(pair, list) or len(pair) != 2:
            raise ArgumentError(f"finalists[{number}]", "must be a genotype and its score")
        genotype = parse_genotype(str(pair[0]))
        if genotype.space != space:
            raise ArgumentError(f"finalists[{number}]", f"is of the space {genotype.space.name!r}")
        found.append(Finalist(genotype, float(pair[1])))
    return found


def _what(genotype: BaseGenotype) -> tuple[Any, ...]:
    """What a cell computes: the order of the edges of a node does not matter."""
    return tuple(
        tuple(sorted(genotype.kept(cell.name), key=lambda edge: (edge[2], edge[1], edge[0])))
        for cell in genotype.space.cells
    )
