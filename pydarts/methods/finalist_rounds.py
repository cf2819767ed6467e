# SPDX-License-Identifier: MIT
"""Which finalists are trained in which round, and which of them is chosen.

The best of a round go on to the next. In the end the burden of proof is on a cell that takes a
search: the best of several scores that differ by chance is ahead of most, and so the
strongest-operation constant is left only for a cell whose scores are all above its own. As usual,
with three trainings of each of which the first decided among four cells, that happens to cells that
are equal once in twelve times; of two cells it would be one order in 20.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pydarts.methods.finalists import Finalist, Finalists, FirstRound
from pydarts.spaces.genotype import BaseGenotype


class Training(NamedTuple):
    """A training that is next: number of the round, from 0, its epochs, and the cell.

    The trainings after the last planned round count as rounds, too.
    """

    round: int
    epochs: int
    cell: BaseGenotype


class Rounds:
    """All trainings of a selection by finalists.

    Parameters
    ----------
    selector : Finalists
    first : FirstRound
    epochs : int
        Of each training of the last round.
    sign : int
        1 where a higher score is better, and else -1.

    Attributes
    ----------
    finalists : list of Finalist
        What was trained, in this order; the caller appends each before it asks for the next.
    planned : list of Round
        Those before the best cell is held against the strongest-operation constant.
    total : int
        Trainings of these.
    finished : bool
        Whether nothing is left to be trained.
    """

    def __init__(self, selector: Finalists, first: FirstRound, epochs: int, sign: int):
        self.finalists: list[Finalist] = []
        self.planned = selector.rounds_of(len(first.drawn), epochs)
        self.total = sum(each.cells for each in self.planned)
        self.finished = False
        self._repeats, self._first, self._sign = selector.repeats, first, sign
        # What the best cell is held against.
        self._reference = first.strongest if selector.repeats else None

    def trainings(self) -> Iterator[Training]:
        """Yield what is trained next, as what the trainings before gave decides."""
        for cell in self._first.cells(self.finalists, self._sign):
            yield Training(0, self.planned[0].epochs, cell)
        for number, (count, epochs) in enumerate(self.planned[1:], start=1):
            for cell in self._going_on(self._round(number - 1), count):
                yield Training(number, epochs, cell)
        best, reference = self._best(self.finalists[self._last_begin :]), self._reference
        if reference is not None and best != reference:
            for again in range(self._repeats):
                for cell in (best, reference):
                    if self._is_ahead(best):
                        yield Training(len(self.planned) + again, self.planned[-1].epochs, cell)
        self.finished = True

    def name_of(self, number: int, cell: BaseGenotype) -> str:
        """Name the next training, for people."""
        again = number + 1 - len(self.planned)
        if again > 0:
            which = "strongest-operation constant" if cell == self._reference else "best finalist"
            return f"{which} again, {again}/{self._repeats}"
        place = f"{len(self.finalists) + 1}/{self.total}"
        return f"finalist {place}, round {number + 1}/{len(self.planned)}"

    @property
    def chosen(self) -> BaseGenotype:
        """The strongest-operation constant, if it was trained, unless in the end the best of
        the last round is ahead of it in all trainings since; without it the best of the last round
        that is finished, or of what there is of the first.
        """
        trained = [each.genotype for each in self.finalists]
        if self._reference is not None and self._reference in trained:
            best = self._best(self.finalists[self._last_begin : self.total] or self.finalists)
            return best if self.finished and self._is_ahead(best) else self._reference
        last: Sequence[Finalist] = self.finalists
        for number in range(len(self.planned)):
            if self._end(number) <= len(self.finalists):
                last = self._round(number)
        return self._best(last)

    def _is_ahead(self, cell: BaseGenotype) -> bool:
        """Whether all scores of a cell since the last round are above all of the reference."""
        since = self.finalists[self._last_begin :]
        own = [self._value(each) for each in since if each.genotype == cell]
        others = [self._value(each) for each in since if each.genotype == self._reference]
        return all(score > other for score in own for other in others)

    @property
    def _last_begin(self) -> int:
        return self._end(len(self.planned) - 2)

    def _value(self, finalist: Finalist) -> float:
        """Higher is better; what is no number is the worst."""
        value = self._sign * finalist.score
        return -math.inf if math.isnan(value) else value

    def _end(self, number: int) -> int:
        return sum(each.cells for each in self.planned[: number + 1])

    def _round(self, number: int) -> Sequence[Finalist]:
        return self.finalists[self._end(number - 1) : self._end(number)]

    def _going_on(self, finalists: Sequence[Finalist], count: int) -> list[BaseGenotype]:
        """The best cells of a round, one of them the reference, in the order in which they were
        trained.
        """
        order = self._order(finalists)
        kept = [finalists[i].genotype for i in order[:count]]
        if self._reference is not None and self._reference not in kept:
            kept[-1] = self._reference
        return [each.genotype for each in finalists if each.genotype in kept]

    def _best(self, finalists: Sequence[Finalist]) -> BaseGenotype:
        """The best cell of a round; of equals the reference, or else the first."""
        best = finalists[self._order(finalists)[0]]
        if self._reference is not None:
            value = self._value(best)
            equals = [each.genotype for each in finalists if self._value(each) == value]
            if self._reference in equals:
                return self._reference
        return best.genotype

    def _order(self, finalists: Sequence[Finalist]) -> list[int]:
        """From the best to the worst; of equals the first is better."""
        return sorted(range(len(finalists)), key=lambda i: -self._value(finalists[i]))
