# SPDX-License-Identifier: MIT
"""The linear model of scores: its posterior against the closed form, and what it does not mind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pydarts.methods import score_model
from pydarts.methods.score_model import ScoreModel, normal_scores
from pydarts.methods.weighting import largest_sum
from pydarts.spaces import DARTS, NAS_BENCH_201, S2, Space

SPACES = (DARTS, NAS_BENCH_201, S2)


def uniform(space: Space) -> dict[str, NDArray[Any]]:
    return {c.name: np.zeros((len(c.edges_of()), c.columns)) for c in space.cells}


def random_cells(space: Space, count: int) -> list[Any]:
    return [space.genotype.random(seed, space=space) for seed in range(count)]


def entries(space: Space) -> list[tuple[str, str, int, int]]:
    """Kind of cell, operation and edge of each entry of θ, row by row."""
    return [
        (cell.name, row[column].name if column < len(row) else "", *edge)
        for cell in space.cells
        for edge, row in zip(cell.edges_of(), cell.candidates, strict=True)
        for column in range(cell.columns)
    ]


def indicators(space: Space, cells: list[Any]) -> NDArray[np.float64]:
    has = [
        {(cell.name, *entry) for cell in space.cells for entry in g.kept(cell.name)} for g in cells
    ]
    return np.array([[float(entry in found) for entry in entries(space)] for found in has])


def flat(theta: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
    return np.concatenate([values.ravel() for values in theta.values()])


def test_normal_scores_are_those_of_ranks() -> None:
    found = normal_scores([5.0, -1.0, 3.0])
    np.testing.assert_allclose(found, [0.967421566, -0.967421566, 0.0], atol=1e-8)
    np.testing.assert_array_equal(found, normal_scores([1e9, -np.inf, 3.0]))
    np.testing.assert_array_equal(found, normal_scores([1e9, np.nan, 3.0]))
    np.testing.assert_array_equal(normal_scores([2.0, 2.0, 2.0, 2.0]), np.zeros(4))
    tied = normal_scores([1.0, 1.0, 2.0])
    assert tied[0] == tied[1] == pytest.approx(-0.430727299, abs=1e-8)


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_draws_have_mean_and_covariance_of_the_posterior(
    space: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    explained, shared = 0.6, 0.3
    monkeypatch.setattr(score_model, "_EXPLAINED", (explained,))
    monkeypatch.setattr(score_model, "_BY_OPERATION", (shared,))
    rng = np.random.default_rng(1)
    logs = {}
    for name, alpha in uniform(space).items():
        drawn = rng.normal(size=alpha.shape)
        logs[name] = drawn - np.log(np.exp(drawn).sum(axis=1, keepdims=True))
    cells, scores = random_cells(space, 9), list(rng.normal(size=9))

    x = indicators(space, cells)
    x -= x.mean(axis=0)
    names = [name for _, name, _, _ in entries(space)]
    same = np.array([[a == b for b in names] for a in names], float)
    weights = 0.1 * flat({k: v - v.mean(axis=1, keepdims=True) for k, v in logs.items()})
    # A prior that is scaled so that each part gives these cells a variance of 1.
    prior = np.outer(weights, weights)
    prior += explained * shared * same / np.mean(np.diag(x @ same @ x.T))
    prior += explained * (1 - shared) * np.eye(len(same)) / np.mean(np.diag(x @ x.T))
    gain = prior @ x.T @ np.linalg.inv(x @ prior @ x.T + (1 - explained) * np.eye(9))
    mean = weights + gain @ (normal_scores(scores) - x @ weights)
    covariance = prior - gain @ x @ prior

    model = ScoreModel(space, cells, logs)
    draws = np.array([flat(model.draw(cells, scores, rng)) for _ in range(4000)])
    sizes = np.sqrt(np.diag(covariance))
    assert np.abs(draws.mean(axis=0) - mean).max() < 4.5 * sizes.max() / np.sqrt(4000)
    found = np.cov(draws.T)
    assert np.abs(found - covariance).max() < 0.12 * np.diag(covariance).max()


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_enough_scores_show_the_best_cell(space: Space) -> None:
    rng = np.random.default_rng(0)
    theta = {name: rng.normal(size=alpha.shape) for name, alpha in uniform(space).items()}
    cells = random_cells(space, 400)
    scores = list(indicators(space, cells) @ flat(theta))
    model = ScoreModel(space, cells, uniform(space))
    best = indicators(space, [largest_sum(theta, space)]) @ flat(theta)
    proposed = [largest_sum(model.draw(cells, scores, rng), space) for _ in range(5)]
    reached = indicators(space, proposed) @ flat(theta)
    assert np.all(reached > np.max(scores))
    assert np.mean(reached) > 0.9 * best


def test_one_operation_is_learned_on_all_edges_at_once() -> None:
    space = NAS_BENCH_201
    cells = random_cells(space, 12)
    counts = [sum(op == "nor_conv_3x3" for op, _, _ in g.kept("normal")) for g in cells]
    rng = np.random.default_rng(0)
    model = ScoreModel(space, cells, uniform(space))
    proposed = [largest_sum(model.draw(cells, counts, rng), space) for _ in range(40)]
    found = [sum(op == "nor_conv_3x3" for op, _, _ in g.kept("normal")) for g in proposed]
    assert np.mean(found) > 4 > np.mean(counts) + 2


def test_mixing_weights_are_believed_until_scores_say_otherwise() -> None:
    space = NAS_BENCH_201
    logs = uniform(space)
    logs["normal"][:, 3] = 8.0
    cells = random_cells(space, 36)
    model, rng = ScoreModel(space, cells, logs), np.random.default_rng(0)

    def strongest(scores: list[float], many: list[Any]) -> float:
        drawn = [model.draw(many, scores, rng)["normal"].argmax(axis=1) for _ in range(60)]
        return float(np.mean(np.array(drawn) == 3))

    assert strongest([0.5], cells[:1]) > 0.35  # a fifth by chance
    fewer = [-float(sum(op == "nor_conv_3x3" for op, _, _ in g.kept("normal"))) for g in cells]
    assert strongest(fewer, cells) < 0.1


def test_cells_that_all_agree_leave_the_prior() -> None:
    space = S2
    cell = random_cells(space, 1)
    model = ScoreModel(space, cell, uniform(space))
    theta = model.draw(cell * 3, [0.1, 0.2, 0.3], np.random.default_rng(0))
    assert all(np.isfinite(values).all() for values in theta.values())
