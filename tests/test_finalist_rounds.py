# SPDX-License-Identifier: MIT
"""Which finalists go on from round to round, and what it takes to be chosen."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from pydarts.common.ranks import Ranks
from pydarts.methods.finalist_rounds import Rounds
from pydarts.methods.finalists import Finalist, Finalists, FirstRound
from pydarts.methods.gaea import Gaea
from pydarts.methods.weighting import largest_sum
from pydarts.spaces import DARTS, NAS_BENCH_201, Space

# Of NAS-Bench-201's finalists the second has 3x3 convolutions alone, which are the strongest.
STRONGEST = 1

Score = Callable[[int, int], float]


def played(
    selector: Finalists,
    score: Score,
    sign: int = 1,
    space: Space = NAS_BENCH_201,
    until: int | None = None,
) -> tuple[Rounds, list[Any]]:
    """The trainings of rounds in which ``score`` of a round and a finalist is what one gives, and
    the finalists.
    """
    largest = partial(largest_sum, space=space)
    alphas = {c.name: np.zeros((len(c.edges_of()), c.columns)) for c in space.cells}
    first = FirstRound(selector, Gaea(), alphas, space, largest, Ranks())
    rounds = Rounds(selector, first, 27, sign)
    for training in rounds.trainings():
        if len(rounds.finalists) == until:
            break
        value = score(training.round, first.drawn.index(training.cell))
        rounds.finalists.append(Finalist(training.cell, sign * value, training.epochs))
    return rounds, first.drawn


def numbers(rounds: Rounds, cells: list[Any], of_round: int) -> list[int]:
    begin = sum(each.cells for each in rounds.planned[:of_round])
    end = begin + rounds.planned[of_round].cells
    return [cells.index(each.genotype) for each in rounds.finalists[begin:end]]


@pytest.mark.parametrize("sign", [1, -1])
def test_the_best_of_a_round_go_on_in_the_order_in_which_they_were_trained(sign: int) -> None:
    scores = [0.1, 0.9, 0.3, 0.5, 0.9, 0.7]
    selector = Finalists(candidates=6, drawn=6, rounds=2, constants=False)
    rounds, cells = played(selector, lambda _, i: scores[i], sign, DARTS)
    assert [each.epochs for each in rounds.finalists] == [9] * 6 + [27] * 2
    assert numbers(rounds, cells, 1) == [1, 4]
    assert rounds.chosen == cells[1]  # of equals the first
    assert rounds.finished


@pytest.mark.parametrize("sign", [1, -1])
def test_a_score_that_is_no_number_is_the_worst(sign: int) -> None:
    selector = Finalists(candidates=3, drawn=3, rounds=1, constants=False)
    scores = [np.nan, 0.25, 0.5]
    rounds, cells = played(selector, lambda _, i: scores[i], sign, DARTS)
    assert rounds.chosen == cells[2]


SELECTOR = Finalists(candidates=8, drawn=8, rounds=2)


def found_ahead(_: int, number: int) -> float:
    return 0.5 + 0.01 * number - 0.2 * (number == STRONGEST)


def test_the_strongest_operations_go_on_in_any_case() -> None:
    rounds, cells = played(SELECTOR, found_ahead)
    assert numbers(rounds, cells, 0) == list(range(8))
    assert numbers(rounds, cells, 1) == [STRONGEST, 7]
    alone, cells = played(Finalists(candidates=8, drawn=8, repeats=0), found_ahead)
    assert numbers(alone, cells, 1) == [6, 7]
    assert alone.chosen == cells[7]
    assert len(alone.finalists) == 8 + 2


# By round, from the last one on: of the best cell, of the strongest-operation constant.
@pytest.mark.parametrize(
    ("scores", "trained", "ahead"),
    [
        ([(0.9, 0.6), (0.8, 0.7), (0.9, 0.7)], 4, True),
        ([(0.9, 0.6), (0.6, 0.1), (0.9, 0.1)], 1, False),  # as good is not ahead
        ([(0.7, 0.5), (0.8, 0.7), (0.9, 0.1)], 2, False),  # ahead each time, but not of all
        ([(0.9, 0.6), (0.8, 0.7), (0.7, 0.1)], 3, False),
        ([(0.9, 0.6), (0.8, 0.7), (0.9, 0.8)], 4, False),
        ([(0.9, 0.6), (np.nan, 0.1), (0.9, 0.1)], 1, False),
        ([(0.9, 0.6), (0.8, np.nan), (0.9, 0.1)], 4, True),
        ([(0.9, np.nan), (0.8, 0.7), (0.9, 0.1)], 4, True),
        ([(np.nan, np.nan), (0.8, 0.7), (0.9, 0.1)], 0, False),
        ([(0.6, 0.6), (0.9, 0.1), (0.9, 0.1)], 0, False),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_all_scores_of_a_cell_must_be_above_those_of_the_strongest_operations(
    scores: list[tuple[float, float]], trained: int, ahead: bool, sign: int
) -> None:
    def score(of_round: int, number: int) -> float:
        if number not in (7, STRONGEST):
            return -1.0 if of_round == 0 else np.nan
        return scores[max(of_round - 1, 0)][number == STRONGEST]

    rounds, cells = played(SELECTOR, score, sign)
    again = rounds.finalists[rounds.total :]
    assert [cells.index(each.genotype) for each in again] == [7, STRONGEST, 7, STRONGEST][:trained]
    assert [each.epochs for each in again] == [27] * trained
    assert rounds.chosen == cells[7 if ahead else STRONGEST]
    assert rounds.finished


def test_where_the_strongest_operations_are_the_best_nothing_is_tried_again() -> None:
    rounds, cells = played(SELECTOR, lambda _, number: 0.5 + 0.1 * (number == 1))
    assert (rounds.chosen, len(rounds.finalists)) == (cells[1], rounds.total)
    assert rounds.finished


@pytest.mark.parametrize(
    ("until", "chosen"),
    [
        (1, 0),  # there is nothing else
        (2, STRONGEST),
        (8, STRONGEST),
        (10, STRONGEST),
        (13, STRONGEST),
    ],
)
def test_where_time_is_over_nothing_is_shown(until: int, chosen: int) -> None:
    rounds, cells = played(SELECTOR, found_ahead, until=until)
    assert not rounds.finished
    assert cells.index(rounds.chosen) == chosen


@pytest.mark.parametrize(
    ("until", "chosen"),
    [
        (5, 4),  # of the first round what there is
        (8, 7),  # all of it
        (9, 7),  # of the second one not all
    ],
)
def test_without_the_strongest_operations_the_last_whole_round_decides(
    until: int, chosen: int
) -> None:
    def score(of_round: int, number: int) -> float:
        return 0.1 * number - 0.8 * of_round * (number == 7)

    plain = Finalists(candidates=8, drawn=8, constants=False)
    rounds, cells = played(plain, score, until=until)
    assert cells.index(rounds.chosen) == chosen
    assert played(plain, score)[0].chosen == cells[6]


@pytest.mark.parametrize(("count", "drawn"), [(1, 1), (2, 1), (2, 2), (3, 1), (30, 1)])
@pytest.mark.parametrize("of_rounds", [1, 2, 3])
def test_however_few_are_drawn_the_strongest_operations_are_among_them(
    count: int, drawn: int, of_rounds: int
) -> None:
    largest = partial(largest_sum, space=NAS_BENCH_201)
    alphas = {"normal": np.zeros((6, 5))}
    selector = Finalists(candidates=count, drawn=drawn, rounds=of_rounds)
    first = FirstRound(selector, Gaea(), alphas, NAS_BENCH_201, largest, Ranks())
    rounds = Rounds(selector, first, 27, 1)
    counts: dict[int, int] = {}
    for training in rounds.trainings():
        counts[training.round] = counts.get(training.round, 0) + 1
        score = 0.5 - 0.1 * (training.cell == first.strongest)
        rounds.finalists.append(Finalist(training.cell, score, training.epochs))
    planned = [each.cells for each in rounds.planned]
    assert [counts[number] for number in range(len(planned))] == planned
    again = {} if count == 1 else {len(planned): 2, len(planned) + 1: 2}
    assert dict(list(counts.items())[len(planned) :]) == again
    assert (first.strongest is None) == (count == 1)
    epochs = sum(each.epochs or 0 for each in rounds.finalists)
    assert epochs == selector.most_epochs(27, NAS_BENCH_201)


def test_the_cell_by_magnitude_may_be_that_of_the_strongest_operations() -> None:
    largest = partial(largest_sum, space=NAS_BENCH_201)
    alphas = {"normal": np.eye(5)[[3] * 6]}
    first = FirstRound(SELECTOR, Gaea(), alphas, NAS_BENCH_201, largest, Ranks())
    assert first.strongest == first.drawn[0]
    rounds = Rounds(SELECTOR, first, 27, 1)
    for training in rounds.trainings():
        rounds.finalists.append(Finalist(training.cell, 0.5, training.epochs))
    assert (rounds.chosen, len(rounds.finalists)) == (first.drawn[0], rounds.total)


def test_under_limits_that_the_strongest_operations_do_not_meet_they_are_no_reference() -> None:
    allowed = NAS_BENCH_201.genotype.random(5, space=NAS_BENCH_201)
    alphas = {"normal": np.zeros((6, 5))}
    first = FirstRound(SELECTOR, Gaea(), alphas, NAS_BENCH_201, lambda _: allowed, Ranks())
    assert first.strongest is None
    assert allowed in first.drawn


def test_trainings_have_names() -> None:
    rounds, cells = played(SELECTOR, found_ahead, until=8)
    assert rounds.name_of(1, cells[7]) == "finalist 9/10, round 2/2"
    assert rounds.name_of(2, cells[7]) == "best finalist again, 1/2"
    assert rounds.name_of(3, cells[STRONGEST]) == "strongest-operation constant again, 2/2"


@pytest.mark.parametrize("space", [NAS_BENCH_201, DARTS], ids=lambda space: space.name)
def test_no_more_epochs_are_trained_than_are_planned(space: Space) -> None:
    selector = Finalists(drawn=30)
    rounds, _ = played(selector, lambda _, number: 0.01 * number, space=space)
    epochs = sum(each.epochs or 0 for each in rounds.finalists)
    assert epochs == Finalists().most_epochs(27, space) == 30 * 9 + 4 * 27 + 4 * 27
    plain = Finalists(constants=False)
    assert plain.most_epochs(27, space) == 30 * 9 + 4 * 27
