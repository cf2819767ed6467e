# SPDX-License-Identifier: MIT
"""Finalists: cells drawn from the mixing weights, of which short trainings choose the best.

The original does not believe its α either: of four searches it keeps the cell that does best on
validation data when it is trained from scratch for a short time. Here the candidates come from one
search: some are samples of what its mixing weights say, the others of what the scores of those
before them say, by a linear model. The strongest-operation constant and cells of one convolution
alone are among them, for they are what one would train without a search. All are trained in rounds,
of which each takes the best of the one before (successive halving, but by ninths), and the best
must be ahead of the strongest-operation constant (`pydarts.methods.finalist_rounds`).

Sources: Liu, Simonyan, Yang, *DARTS: Differentiable Architecture Search*, ICLR 2019,
https://arxiv.org/abs/1806.09055, sections 2.4 and 3.2; Jamieson, Talwalkar, *Non-stochastic Best
Arm Identification and Hyperparameter Optimization*, AISTATS 2016, https://arxiv.org/abs/1502.07943.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from pydarts.common.checks import boolean, integer
from pydarts.common.errors import ArgumentError
from pydarts.common.ranks import Ranks
from pydarts.engine.network import Alphas
from pydarts.methods.log_weights import log_weights
from pydarts.methods.method import Method
from pydarts.methods.score_model import ScoreModel
from pydarts.methods.weighting import mixing_weights, weighting_of
from pydarts.spaces.genotype import BaseGenotype
from pydarts.spaces.published import parse_genotype, strongest, strongest_values
from pydarts.spaces.space import Space

# So often a cell may be one that was drawn before, until there are taken to be no others.
_DRAWS = 20
# Of a round so many times fewer cells go on, to be trained so many times longer. By ninths and not
# by thirds, for a training of a ninth of the longest one says too little (benchmarks/cells.md).
_FEWER, _LONGER = 9, 3
# Of the logarithm of a mixing weight, where that is 0.
_LEAST = -1e3


class Finalist(NamedTuple):
    """A candidate, its score on the validation data (accuracy, or perplexity over text) after one
    training, and the epochs of that; None: an earlier version did not keep them.
    """

    genotype: BaseGenotype
    score: float
    epochs: int | None = None


class Round(NamedTuple):
    """How many cells are trained in a round, and for how many epochs each."""

    cells: int
    epochs: int


@dataclass(frozen=True, kw_only=True)
class Finalists:
    """How a cell is chosen among finalists, after the epochs of the search.

    The first finalist is the cell that the method chooses by magnitude. With `constants` follow the
    cells that take no search: the strongest-operation constant
    (`pydarts.spaces.published.strongest`) and, for each convolution of the space, the one that has
    it on as many edges as can be. The next ones, as far as `drawn`, are drawn: with
    ``G = -log Exp(1)`` of each entry, the cell by magnitude of ``log m + G``, where m are the
    mixing weights, so that an edge has an operation with the probability of its share in them. Each
    further one has the operations of the largest sum by a draw from the posterior of a linear model
    of all scores before it (`pydarts.methods.score_model`): Thompson sampling, which tries what may
    be the best.

    Each is trained from scratch on the data of the weights and scored on those of α, all of a round
    alike: in networks of the search's sizes, but over images with five cells at least, unless
    `cells` counts those of a stage; of images that are in memory, where `max_images` left some out,
    on 8,000 and 4,000 of all, or fewer of large ones. The best ninth, but two cells at least, goes
    on to the next round, to be trained anew for three times as many epochs.

    The best of the last round wins; but the burden of proof is on what takes a search. The
    strongest-operation constant goes on to the last round in any case, and where it is behind
    there, it and the best are trained `repeats` times more, with other seeds: the best is chosen if
    each of its scores is above all of the other's, and else the other, also where time was over
    before that. With the defaults all take as long as fourteen of the longest trainings, or up to
    18. Under limits that the constant does not meet the best of the last round wins.

    Attributes
    ----------
    candidates : int
        Finalists of the first round, the cell by magnitude included; fewer where there are no more
        different cells.
    epochs : int or None
        Of each training of the last round; of an earlier one a third of those of the next, but at
        least one. Of more than 1,500 images an epoch has so many, drawn anew. None: over images
        those that show 40,000 of them, at least 4 and at most 60; over text 4.
    rounds : int
        At most so many, each of at most half of the cells before. With 1 all are trained alike.
    seed : int
        Of what is drawn, and of the trainings of the first round; 1 more in each further one.
    drawn : int
        How many of the first round do not follow from scores: the cell by magnitude, the constant
        ones and those that are drawn. With no fewer than `candidates` scores guide nothing.
    constants : bool
        Whether the cells that take no search are among the finalists.
    repeats : int
        How often the best cell and the strongest-operation constant are trained again, at most.
        With 0 the best of the last round wins, whatever it is.
    """

    candidates: int = 30
    epochs: int | None = None
    rounds: int = 2
    seed: int = 0
    drawn: int = 12
    constants: bool = True
    repeats: int = 2

    def __post_init__(self) -> None:
        integer("candidates", self.candidates, 1)
        if self.epochs is not None:
            integer("epochs", self.epochs, 1)
        integer("rounds", self.rounds, 1)
        integer("seed", self.seed, 0)
        integer("drawn", self.drawn, 1)
        boolean("constants", self.constants)
        integer("repeats", self.repeats, 0)

    @property
    def name(self) -> str:
        return "finalists"

    def rounds_of(self, cells: int, epochs: int) -> list[Round]:
        """Return the rounds of so many cells, the last one with so many epochs for each.

        Rounds of no more epochs than the one before are left out.
        """
        counts = [cells]
        while len(counts) < self.rounds:
            best = max(2, -(-counts[-1] // _FEWER))
            if 2 * best > counts[-1]:
                break
            counts.append(best)
        found: list[Round] = []
        for number, count in enumerate(counts):
            left = max(1, round(epochs / _LONGER ** (len(counts) - 1 - number)))
            if not found or left > found[-1].epochs:
                found.append(Round(count, left))
        return found

    def most_epochs(self, epochs: int, space: Space) -> int:
        """Return how many epochs all trainings have together at most, with so many in the last
        round.
        """
        again = self.constants and self.candidates > 1 and _has_convolutions(space)
        rounds = self.rounds_of(self.candidates, epochs)
        return sum(each.cells * each.epochs for each in rounds) + 2 * self.repeats * again * epochs


def draw_finalists(
    selector: Finalists,
    method: Method,
    alphas: Mapping[str, Any],
    space: Space,
    constants: Sequence[BaseGenotype] = (),
) -> list[BaseGenotype]:
    """Return the cells of the finalists, all different: that by magnitude, the constant ones, and
    what is drawn.
    """
    found: dict[tuple[Any, ...], BaseGenotype] = {}
    missed = 0
    first = [method.select(dict(alphas), space), *constants]
    for cell in chain(first, _draws(selector, method, alphas, space)):
        if len(found) == selector.candidates or missed == _DRAWS:
            break
        missed = missed + 1 if computed(cell) in found else 0
        found.setdefault(computed(cell), cell)
    return list(found.values())


def constant_cells(space: Space, largest: Callable[[Alphas], BaseGenotype]) -> list[BaseGenotype]:
    """Return what one would train without a search: the strongest-operation constant, and for
    each convolution the cell that has it on as many edges as can be, which are the first.

    ``largest`` returns the cell of the largest sum of values. A space without convolutions has no
    such cells.
    """
    strong = strongest_values(space)
    found = [largest(strong)] if _has_convolutions(space) else []
    for convolution in (op for op in space.operations if op.has_weights):
        values = {}
        for cell in space.cells:
            own = np.zeros((len(cell.candidates), cell.columns))
            for row, operations in zip(own, cell.candidates, strict=True):
                row[: len(operations)] = [op == convolution for op in operations]
            values[cell.name] = strong[cell.name] + 2 * own
        found.append(largest(values))
    return found


def _draws(
    selector: Finalists, method: Method, alphas: Mapping[str, Any], space: Space
) -> Iterator[BaseGenotype]:
    """Yield cells that are drawn from the mixing weights, without an end."""
    weights = mixing_weights(alphas, space, weighting_of(method))
    rng = np.random.default_rng((selector.seed, 2))
    while True:
        noisy = {}
        for name, alpha in alphas.items():
            gumbel = -np.log(rng.exponential(size=alpha.shape))
            # Weights of edges have no mixing weights beside them; their softmax is over a node.
            if name in weights:
                with np.errstate(divide="ignore"):
                    noisy[name] = np.maximum(np.log(weights[name]), _LEAST) + gumbel
            else:
                noisy[name] = alpha + gumbel
        yield method.select(noisy, space)


class FirstRound:
    """The cells of the first round, of which the later ones follow from the scores before them.

    Parameters
    ----------
    selector : Finalists
    method : Method
    alphas : mapping of str to ndarray
        At the end of the search.
    space : Space
    largest : callable
        Returns the cell of the largest sum of values, (edges, columns) by kind of cell.
    ranks : Ranks
        Of which the first draws for all.

    Attributes
    ----------
    drawn : list of genotype
        The cells that do not follow from scores, as many as there are finalists.
    strongest : genotype or None
        Which of them is the strongest-operation constant, if any.
    """

    def __init__(
        self,
        selector: Finalists,
        method: Method,
        alphas: Mapping[str, Any],
        space: Space,
        largest: Callable[[Alphas], BaseGenotype],
        ranks: Ranks,
    ):
        logs = log_weights(alphas, space, weighting_of(method))
        constants = constant_cells(space, largest) if selector.constants else []
        self.drawn = draw_finalists(selector, method, alphas, space, constants)
        strong = {computed(strongest(space))} & {computed(cell) for cell in constants}
        self.strongest = next((cell for cell in self.drawn if computed(cell) in strong), None)
        self._model = ScoreModel(space, self.drawn, logs)
        self._selector, self._largest, self._ranks = selector, largest, ranks

    def cells(self, finalists: Sequence[Finalist], sign: int) -> Iterator[BaseGenotype]:
        """Yield as many different cells as were drawn; ``finalists`` is to have all that were
        yielded before, with their scores, of which higher is better if ``sign`` is 1 and not -1.
        """
        seed = self._selector.seed
        found: dict[tuple[Any, ...], BaseGenotype] = {}
        for number in range(len(self.drawn)):
            proposals: Iterator[BaseGenotype] = iter(())
            if number >= self._selector.drawn and self.strongest in (None, *found.values()):
                rng = np.random.default_rng((seed, 3, number))
                proposals = (self._guided(finalists, sign, rng) for _ in range(_DRAWS))
            cell = next(c for c in chain(proposals, self.drawn) if computed(c) not in found)
            found[computed(cell)] = cell
            yield cell

    def _guided(
        self, finalists: Sequence[Finalist], sign: int, rng: np.random.Generator
    ) -> BaseGenotype:
        cells, scores = [f.genotype for f in finalists], [sign * f.score for f in finalists]
        return self._largest(self._ranks.on_first(lambda: self._model.draw(cells, scores, rng)))


def num_finalists(finalists: Sequence[Finalist]) -> int:
    """Return how many cells were trained, in whatever rounds."""
    return len({str(each.genotype) for each in finalists})


def read_finalists(value: object, space: Space) -> list[Finalist]:
    """Return the finalists that a file holds, or raise ValueError where they are none."""
    if not isinstance(value, list):
        raise ArgumentError("finalists", "must be a list")
    found = []
    for number, pair in enumerate(value):
        if not isinstance(pair, list) or len(pair) not in (2, 3):
            problem = "must be a genotype, its score and the epochs of its training"
            raise ArgumentError(f"finalists[{number}]", problem)
        genotype = parse_genotype(str(pair[0]))
        if genotype.space != space:
            raise ArgumentError(f"finalists[{number}]", f"is of the space {genotype.space.name!r}")
        epochs = None
        if len(pair) == 3 and pair[2] is not None:
            epochs = integer(f"epochs of finalists[{number}]", pair[2], 1)
        found.append(Finalist(genotype, float(pair[1]), epochs))
    return found


def _has_convolutions(space: Space) -> bool:
    return any(op.has_weights for op in space.operations)


def computed(genotype: BaseGenotype) -> tuple[Any, ...]:
    """Return what a cell computes: the order of the edges of a node does not matter."""
    return tuple(
        tuple(sorted(genotype.kept(cell.name), key=lambda edge: (edge[2], edge[1], edge[0])))
        for cell in genotype.space.cells
    )
