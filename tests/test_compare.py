# SPDX-License-Identifier: MIT
"""Comparison with random cells: what planted scores say, and that all cells are trained alike."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import pydarts
from pydarts import (
    DARTS_V2,
    RECURRENT_DARTS_V2,
    Comparison,
    Diverged,
    Genotype,
    RecurrentGenotype,
    compare,
    compare_text,
    load_corpus,
    random_search,
    random_search_text,
    train,
)
from pydarts.data.splits import hold_out, split_half
from pydarts.engine.sgd import SGD
from pydarts.evaluation import trials
from pydarts.evaluation.comparison import Contender, read_comparison
from pydarts.evaluation.statistics import relabelling, sign_flip
from pydarts.evaluation.trials import train_once
from pydarts.spaces import NAS_BENCH_201, Layer, Stack
from pydarts.tasks.images import ImageClassification

Array = NDArray[Any]
SMALL: dict[str, Any] = {"channels": 1, "cells": 3, "epochs": 2, "batch_size": 8}
QUIET: dict[str, Any] = {"progress": False, "threads": 1}
TEXT = {"hidden_size": 4, "epochs": 1, "batch_size": 2, "bptt": 5}


def pictures(count: int = 48, seed: int = 0) -> tuple[Array, Array]:
    """Noise with a bright left half in class "a", a bright right half in class "b"."""
    X = np.random.default_rng(seed).integers(0, 200, (count, 8, 8))
    X[::2, :, :4] += 50
    X[1::2, :, 4:] += 50
    return X.astype(np.uint8), np.resize(["a", "b"], count)


def planted(
    found: Any, others: Any, *, metric: str = "accuracy", seeds: int | None = None
) -> Comparison:
    """A comparison with these scores, a row a cell, a column a seed."""
    rows = {"found": np.atleast_2d(found), "random": np.atleast_2d(others)}
    count = rows["found"].shape[1]
    genotype = DARTS_V2 if metric == "accuracy" else RECURRENT_DARTS_V2
    cells = [
        Contender(f"{kind} {i}", kind, genotype, 10, dict(enumerate(map(float, row))))
        for kind, table in rows.items()
        for i, row in enumerate(table)
    ]
    return Comparison(metric, tuple(range(seeds or count)), cells, {"preset": "quick"}, "data")


# The tests


def test_sign_flip_against_all_choices() -> None:
    rng = np.random.default_rng(0)
    for n in range(1, 9):
        differences = rng.normal(0.5, 1, n)
        far = [
            abs(np.dot(signs, differences)) >= abs(differences.sum()) - 1e-12
            for signs in itertools.product((1, -1), repeat=n)
        ]
        assert sign_flip(differences) == sum(far) / 2**n


def test_sign_flip_extremes() -> None:
    assert [sign_flip([0.1] * n) for n in (1, 2, 3, 6)] == [1, 0.5, 0.25, 0.03125]
    assert sign_flip([0.0, 0.0, 0.0]) == 1
    assert sign_flip([0.1, 0.2, -0.3]) == 1  # ties but for rounding


def test_sign_flip_agrees_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    differences = np.array([0.4, -0.1, 0.3, 0.2, 0.6, -0.2, 0.1])
    result = stats.permutation_test(
        (differences, np.zeros(7)),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        vectorized=True,
    )
    assert sign_flip(differences) == pytest.approx(result.pvalue)


def test_relabelling() -> None:
    assert relabelling([3.0], [1.0, 1.1, 0.9]) == 0.25
    assert relabelling([1.0], [1.0, 1.0, 1.0]) == 1
    assert relabelling([1.0], [2.0, 0.0]) == 1
    assert relabelling([5.0, 6.0, 7.0], [1.0, 2.0, 3.0]) == 2 / math.comb(6, 3)


def test_relabelling_against_all_choices() -> None:
    values = np.random.default_rng(0).normal(size=7)
    gaps = [
        abs(values[list(choice)].mean() - np.delete(values, choice).mean())
        for choice in itertools.combinations(range(7), 3)
    ]
    assert len(gaps) == 35
    assert relabelling(values[:3], values[3:]) == np.mean([gap >= gaps[0] for gap in gaps])


# The verdict


def test_better() -> None:
    c = planted([0.95] * 6, [[0.90, 0.91, 0.9, 0.9, 0.9, 0.9], [0.92] * 6])
    assert c.outcome == "better"
    assert c.p_seeds == 2 / 2**6
    assert c.mean_difference == pytest.approx(0.0391667, abs=1e-6)
    assert c.verdict == (
        "The found cell is better than these 2 random ones: ahead by 3.92 points on average,"
        " p = 0.031 over 6 seeds. Were it itself a random one, it would stand out as much in 33% of"
        " cases."
    )


@pytest.mark.parametrize(("score", "place"), [(0.89, "behind by 1.00 points"), (0.9, "level")])
def test_not_better(score: float, place: str) -> None:
    c = planted([score] * 6, [0.9] * 6)
    assert c.outcome == "not better"
    assert c.verdict.startswith(
        f"The found cell is not better than this random one: {place} on average"
    )


def test_cannot_tell() -> None:
    c = planted([0.95, 0.94, 0.96], [[0.90] * 3, [0.91] * 3, [0.92] * 3])
    assert (c.outcome, c.p_seeds, c.p_cells) == ("cannot tell", 0.25, 0.25)
    assert c.verdict.startswith(
        "The numbers cannot tell whether the found cell is better than these 3 random ones: ahead"
        " by 4.00 points on average, p = 0.25 over 3 seeds (so few cannot give less than 0.25; 6"
        " can)."
    )
    noisy = planted([0.95, 0.9, 0.95, 0.9, 0.95, 0.9, 0.9], [0.94, 0.91, 0.94, 0.91, 0.94, 0.91, 0])
    assert noisy.outcome == "cannot tell"
    assert "so few" not in noisy.verdict


def test_a_random_cell_that_is_good_is_no_news_with_every_seed() -> None:
    """Cells are not multiplied by seeds: of two cells, either is the better one."""
    c = planted([0.95] * 10, [0.94] * 10)
    assert c.p_seeds == 2 / 2**10
    assert c.p_cells == 1
    assert c.verdict.endswith("stand out as much in 100% of cases.")


def test_perplexity_is_better_when_lower() -> None:
    c = planted([3.0] * 6, [3.5] * 6, metric="perplexity")
    assert (c.outcome, c.better, c.mean_difference) == ("better", "lower", -0.5)
    assert "ahead by 0.500 on average" in c.verdict
    assert planted([3.5] * 6, [3.0] * 6, metric="perplexity").outcome == "not better"


def test_perplexities_whose_sum_overflows() -> None:
    huge = 1.7e308
    worst = planted([[huge, huge]] * 2, [[90.0, 91.0], [92.0, 93.0]], metric="perplexity")
    assert worst.outcome == "not better"
    assert worst.p_cells == pytest.approx(1 / 3)
    assert "are not better than these 2 random ones" in str(worst)


def test_several_found_cells_are_a_group() -> None:
    c = planted([[0.95] * 6, [0.93] * 6], [[0.9] * 6, [0.92] * 6])
    assert c.mean_difference == pytest.approx(0.03)
    assert c.p_cells == 1 / 3
    assert c.verdict.startswith("The found cells are better than these 2 random ones")


def test_only_whole_seeds_count() -> None:
    c = planted([0.95, 0.1], [0.9, 0.9], seeds=3)
    del c.cells[1].scores[1]
    assert c.complete == [0]
    assert c.mean_difference == pytest.approx(0.05)
    del c.cells[0].scores[0]
    assert (c.mean_difference, c.p_seeds, c.p_cells, c.outcome) == (None, None, None, "cannot tell")
    assert "no seed with which all cells were trained" in c.verdict
    assert json.loads(json.dumps(c.to_dict(), allow_nan=False))["test"]["p"] is None


def test_published_cells_take_no_part() -> None:
    c = planted([0.95] * 6, [0.9] * 6)
    before = c.verdict
    c.cells.append(Contender("DARTS_V2", "published", DARTS_V2, 5, dict.fromkeys(range(6), 0.1)))
    assert c.verdict == before


def test_table() -> None:
    c = planted([0.9512, 0.95], [[0.9, 0.91], [0.3, 0.4]])
    c.cells[2].diverged.append(1)
    c.cells[1].name = "a name that is longer than the table has room for it"
    lines = repr(c).split("\n")
    assert max(map(len, lines[:-1])) <= 79
    head = "accuracy %, higher is better weights seeds mean std min max"
    assert " ".join(lines[0].split()) == head
    assert lines[1].split() == ["found", "0", "10", "2", "95.06", "0.08", "95.00", "95.12"]
    assert lines[4] == "  diverged with seed 1"
    assert repr(c).endswith(c.verdict)
    c.cells[0].scores.clear()
    assert repr(c).split("\n")[1].split() == ["found", "0", "10", "0"]


def test_saved_and_read(tmp_path: Path) -> None:
    c = planted([0.95, 0.94, 0.96], [[0.90, 0.91, 0.9], [0.2, 0.3, 0.1]])
    c.cells[1].diverged.append(2)
    del c.cells[2].scores[2]
    path = tmp_path / "compare.json"
    c.save(path)
    d = json.loads(path.read_text())
    assert d == c.to_dict()
    assert d["cells"][2]["scores"] == [0.2, 0.3, None]
    assert d["cells"][0] == {
        "name": "found 0",
        "kind": "found",
        "genotype": str(DARTS_V2),
        "num_weights": 10,
        "scores": [0.95, 0.94, 0.96],
        "diverged": [],
    }
    assert (d["measure"], d["better"], d["seeds"]) == ("accuracy", "higher", [0, 1, 2])
    assert (d["test"]["p"], d["test"]["least p"]) == (0.5, 0.5)
    assert (d["mean difference"], d["verdict"]) == (c.mean_difference, c.verdict)
    again, identity = read_comparison(path)
    assert again.to_dict() == d
    assert identity == c.identity
    assert os.listdir(tmp_path) == ["compare.json"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "x"}, "it is not the description of a pydarts comparison"),
        ({"version": 2}, "its version is 2, not 1"),
        ({"measure": "beauty"}, "`measure` (='beauty') must be 'accuracy' or 'balanced accuracy'"),
        ({"seeds": [0]}, "zip"),
        ({"cells": [{}]}, "'scores' is missing"),
        ({"identity": None}, "cannot be read"),
    ],
)
def test_damaged_file(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    c = planted([0.95, 0.94], [0.9, 0.9])
    path = tmp_path / "compare.json"
    path.write_text(json.dumps({**c.to_dict(), **change}))
    with pytest.raises(ValueError, match=re.escape(str(path))) as caught:
        read_comparison(path)
    assert message in str(caught.value)


# Trainings


def test_found_and_random_cells_are_trained_alike(tmp_path: Path) -> None:
    X, y = pictures()
    X_test, y_test = pictures(20, 1)
    options = {**SMALL, **QUIET, "drop_path": 0.5}
    c = compare(
        DARTS_V2,
        X,
        y,
        X_test=X_test,
        y_test=y_test,
        seeds=[2, 0],
        random_cells=2,
        checkpoint=tmp_path / "new",
        **options,
    )
    assert [(cell.name, cell.kind) for cell in c.cells] == [
        ("found", "found"),
        ("random 0", "random"),
        ("random 1", "random"),
    ]
    assert [cell.genotype for cell in c.cells] == [
        DARTS_V2,
        Genotype.random(0),
        Genotype.random(1),
    ]
    for cell in c.cells:
        for seed in (2, 0):
            model = train(cell.genotype, X, y, seed=seed, **options)
            assert cell.scores[seed] == model.score(X_test, y_test)
            assert cell.num_weights == model.num_weights
    assert len({score for cell in c.cells for score in cell.scores.values()}) > 2
    assert c.config["drop_path"] == 0.5
    assert json.loads((tmp_path / "new" / "compare.json").read_text()) == c.to_dict()


def test_random_cells_have_the_nodes_of_each_kind() -> None:
    normal, reduce = DARTS_V2.space.cells
    space = DARTS_V2.space.replace(name="own", cells=[normal, dataclasses.replace(reduce, nodes=2)])
    cell = Genotype.random(5, space=space)
    found = compare(cell, *pictures(), seeds=[0], random_cells=2, **SMALL, **QUIET)
    nodes = [[c.genotype.nodes(name) for name in ("normal", "reduce")] for c in found.cells]
    assert nodes == [[4, 2]] * 3


def test_scores_that_are_no_numbers() -> None:
    X, y = pictures()
    numbers, sets = X.mean(axis=(1, 2)), np.eye(2, dtype=int)[(y == "a").astype(int)]
    common = {"seeds": [0], "random_cells": 1, **SMALL, **QUIET}
    for task, truth, wrong, match in (
        (
            "regression",
            numbers,
            numbers[:1],
            r"`y_test` holds one number alone .*R² is not defined",
        ),
        ("multilabel", sets, 0 * sets[:3], "`y_test` holds no label: the average precision"),
    ):
        with pytest.raises(ValueError, match=match):
            compare(
                *(DARTS_V2, X, truth), task=task, X_test=X[: len(wrong)], y_test=wrong, **common
            )
    task = ImageClassification(X, numbers, objective="regression")
    logits = np.full((len(X), 1), np.nan)
    assert task.objective.score(logits, task.codes) == task.objective.worst == -1e6


def test_a_seed_gives_all_cells_the_same_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where they drop different numbers of paths."""
    seen: list[list[bytes]] = []

    class Watched(SGD):
        def __init__(self, *arguments: Any, **options: Any):
            super().__init__(*arguments, **options)
            seen.append([])

        def __call__(self, x: Any, y: Any, lr: float, **options: Any) -> Any:
            seen[-1].append(x.tobytes() + y.tobytes() + np.float64(lr).tobytes())
            return super().__call__(x, y, lr, **options)

    monkeypatch.setattr("pydarts.training.run.SGD", Watched)
    options = {**SMALL, **QUIET, "drop_path": 0.5, "crop_padding": 1, "flip": True}
    compare(DARTS_V2, *pictures(), seeds=[0, 1], random_cells=2, **options)
    assert len(seen) == 6
    assert len(seen[0]) == 8
    assert seen[0] == seen[1] == seen[2] != seen[3] == seen[4] == seen[5]


def test_text(tmp_path: Path) -> None:
    corpus = load_corpus("the cat sat on the mat and the dog sat on the log. " * 20, level="char")
    c = compare_text(
        {"mine": RecurrentGenotype.random(7)},
        corpus,
        seeds=[0, 1],
        random_cells=1,
        published=True,
        checkpoint=tmp_path / "new",
        **TEXT,
        **QUIET,
    )
    assert [(cell.name, cell.kind) for cell in c.cells] == [
        ("mine", "found"),
        ("random 0", "random"),
        ("RECURRENT_DARTS_V2", "published"),
    ]
    model = pydarts.train_text(RecurrentGenotype.random(0), corpus, seed=1, **TEXT, **QUIET)
    assert c.cells[1].scores[1] == model.perplexity(corpus.test)
    assert (c.metric, c.better) == ("perplexity", "lower")
    assert read_comparison(tmp_path / "new" / "compare.json")[0].to_dict() == c.to_dict()


def test_part_of_the_images_is_held_out() -> None:
    X, y = pictures()
    c = compare(DARTS_V2, X, y, seeds=[0], random_cells=1, **SMALL, **QUIET)
    parts = hold_out(X, y)
    model = train(DARTS_V2, *parts[:2], seed=0, **SMALL, **QUIET)
    assert c.cells[0].scores[0] == model.score(*parts[2:])


def test_goes_on_where_it_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "compare.json"
    calls: list[tuple[Genotype, int]] = []
    stop_at = [5]

    def counted(task: Any, genotype: Any, config: Any) -> Any:
        calls.append((genotype, config.seed))
        if len(calls) == stop_at[0]:
            os.kill(os.getpid(), signal.SIGINT)
        return train_once(task, genotype, config)

    monkeypatch.setattr(trials, "train_once", counted)
    common: dict[str, Any] = {"random_cells": 2, "checkpoint": tmp_path, **SMALL, **QUIET}
    first = compare(DARTS_V2, *pictures(), seeds=[0, 1], **common)
    assert first.interrupted
    assert first.complete == [0]
    assert json.loads(path.read_text())["state"] == "interrupted"
    assert sum(len(cell.scores) for cell in first.cells) == 4

    calls.clear()
    stop_at[0] = 0
    second = compare(DARTS_V2, *pictures(), seeds=[0, 1], **common)
    assert calls == [(Genotype.random(0), 1), (Genotype.random(1), 1)]
    assert not second.interrupted
    whole = compare(DARTS_V2, *pictures(), seeds=[0, 1], **{**common, "checkpoint": None})
    assert second.to_dict() == whole.to_dict() == json.loads(path.read_text())

    calls.clear()
    more = compare(DARTS_V2, *pictures(), seeds=[0, 1, 2], **{**common, "random_cells": 3})
    assert len(calls) == 3 + 3  # the third seed, and the third cell with all
    assert len(more.complete) == 3

    for change, reason in (
        ({"seeds": [0]}, "has trainings that this comparison has not (seed 1, seed 2)"),
        ({"seeds": [0, 1, 2], "random_cells": 1}, "has not (random 1, random 2)"),
        ({"seeds": [0, 1, 2], "epochs": 3}, "is of another comparison (`epochs` was 2, is 3)"),
    ):
        with pytest.raises(ValueError, match=re.escape(reason)):
            compare(DARTS_V2, *pictures(), **{**common, "random_cells": 3, **change})
    with pytest.raises(ValueError, match="other data"):
        compare(DARTS_V2, *pictures(seed=1), seeds=[0, 1, 2], **common)
    assert json.loads(path.read_text()) == more.to_dict()
    calls.clear()
    compare(DARTS_V2, *pictures(), seeds=[0], resume="never", **common)
    assert len(calls) == 3


def test_cells_of_ones_own_space_go_on_and_are_told_apart(tmp_path: Path) -> None:
    """Two spaces whose cells are written alike, and whose networks are not."""
    first = NAS_BENCH_201.replace(name="first", stack=Stack([Layer("normal", until="1/1")]))
    other = first.replace(name="other", stack=Stack([Layer("normal", until="1/1")], norm_relu=True))
    X, y = pictures()
    kept: dict[str, Any] = {"seeds": [0], "checkpoint": tmp_path, **SMALL, **QUIET}
    cell = Genotype.random(0, space=first)
    one = compare(cell, X, y, **kept)
    again = compare(cell, X, y, **kept)
    assert again.cells[0].scores == one.cells[0].scores
    assert again.cells[0].genotype == cell
    same = Genotype(space=other, normal=cell.normal)
    assert str(same) == str(cell)
    with pytest.raises(ValueError, match="has trainings that this comparison has not"):
        compare(same, X, y, **kept)


def test_a_training_that_diverges_counts_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    c = compare(DARTS_V2, *pictures(), seeds=[0], random_cells=1, lr=1e30, **SMALL, **QUIET)
    assert [cell.diverged for cell in c.cells] == [[0], [0]]
    with pytest.raises(Diverged) as caught:
        X, y, X_test, y_test = hold_out(*pictures())
        train(DARTS_V2, X, y, lr=1e30, **SMALL, **QUIET)
    assert c.cells[0].scores[0] == caught.value.result.score(X_test, y_test)


def test_a_perplexity_beyond_all_numbers_is_the_worst(tmp_path: Path) -> None:
    corpus = load_corpus("the cat sat on the mat and the dog sat on the log. " * 20, level="char")
    options: dict[str, Any] = {**TEXT, **QUIET, "lr": 1e30, "max_grad_norm": 1e30}
    assert _diverged(corpus, **options).evaluate(corpus.test).loss == math.inf
    c = compare_text(
        RECURRENT_DARTS_V2, corpus, seeds=[0], random_cells=1, checkpoint=tmp_path, **options
    )
    assert [cell.scores for cell in c.cells] == [{0: 1e6}, {0: 1e6}]
    assert "1.0e+06" in repr(c)


def _diverged(corpus: Any, **options: Any) -> pydarts.LanguageModel:
    with pytest.raises(Diverged) as caught:
        pydarts.train_text(RECURRENT_DARTS_V2, corpus, **options)
    model: pydarts.LanguageModel = caught.value.result
    return model


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": []}, "`seeds` (=()) must be 1 to 20 different ones"),
        ({"seeds": [1, 1]}, "`seeds` (=(1, 1)) must be 1 to 20"),
        ({"seeds": range(21)}, "must be 1 to 20"),
        ({"seeds": 2}, "`seeds` (=2) must be several integers"),
        ({"seeds": [-1]}, "`seeds` (=-1) must be at least 0"),
        ({"random_cells": 0}, "`random_cells` (=0) must be at least 1"),
        ({"genotypes": [DARTS_V2] * 20, "random_cells": 20}, "`random_cells` (=20) and 20 found"),
        ({"genotypes": []}, "`genotypes` (=[]) is empty"),
        ({"genotypes": RECURRENT_DARTS_V2}, "it must be a Genotype"),
        ({"genotypes": {"random 0": DARTS_V2}}, "`genotypes` has names that other cells have"),
        ({"seed": 1}, "`seed` (=1) is not taken: give `seeds`"),
        ({"X_test": np.zeros((2, 8, 8))}, "`X_test` and `y_test` must come together"),
        (
            {"X_test": np.zeros((2, 8, 8)), "y_test": ["a", "c"]},
            "`y_test` holds the unknown label 'c'",
        ),
        (
            {"X_test": np.zeros((2, 8, 8)), "y_test": ["a"]},
            "`X_test` holds 2 images but `y_test` holds 1 labels",
        ),
        (
            {"X_test": np.zeros((1, 8, 8, 3)), "y_test": ["a"]},
            "`X_test` holds images of 3 channel(s), those of `X` 1",
        ),
        ({"batch_size": 100}, "`batch_size` (=100) is larger than"),
        ({"resume": "x"}, "`resume` (='x') must be 'auto' or 'never'"),
        ({"epoch": 1}, "unknown option `epoch`"),
    ],
)
def test_bad_arguments(options: dict[str, Any], message: str) -> None:
    given = {"genotypes": DARTS_V2, **SMALL, **QUIET, **options}
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        compare(given.pop("genotypes"), *pictures(), **given)


# Random search


def test_random_search_chooses_by_images_held_out() -> None:
    X, y = pictures()
    result = random_search(X, y, k=3, seed=4, **SMALL, **QUIET)
    assert len({candidate.genotype for candidate in result.candidates}) == 3
    assert not {c.genotype for c in result.candidates} & {Genotype.random(i) for i in range(9)}
    codes = np.arange(48) % 2
    own, held_out = split_half(codes, np.random.default_rng(4), 0.8)
    for candidate in result.candidates:
        model = train(candidate.genotype, X[own], y[own], seed=4, **SMALL, **QUIET)
        assert candidate.score == model.score(X[held_out], y[held_out])
        assert candidate.num_weights == model.num_weights
    scores = [candidate.score for candidate in result.candidates]
    assert len(set(scores)) > 1
    assert result.genotype == result.candidates[int(np.argmax(scores))].genotype
    again = random_search(X, y, k=3, seed=4, **SMALL, **QUIET)
    assert again.candidates == result.candidates
    assert repr(result).count("(the best)") == 1


def test_interrupted_random_search(monkeypatch: pytest.MonkeyPatch) -> None:
    count = [0]

    def counted(*arguments: Any) -> Any:
        count[0] += 1
        if count[0] == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return train_once(*arguments)

    monkeypatch.setattr(trials, "train_once", counted)
    result = random_search(*pictures(), k=3, **SMALL, **QUIET)
    assert result.interrupted
    assert len(result.candidates) == 1
    count[0] = 1
    with pytest.raises(KeyboardInterrupt):
        random_search(*pictures(), k=3, **SMALL, **QUIET)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "`k` (=0) must be at least 1"),
        ({"train_fraction": 1}, "`train_fraction` (=1) must lie between 0 and 1"),
        ({"batch_size": 40}, "`batch_size` (=40) is larger than the part of `X`"),
        ({"channel": 1}, "unknown option `channel`"),
    ],
)
def test_bad_arguments_of_random_search(options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        random_search(*pictures(), **{**SMALL, **QUIET, **options})


def test_random_search_over_text_chooses_by_the_validation_text() -> None:
    words = np.random.default_rng(0).choice(["the", "cat", "sat", "on", "a", "mat"], 300)
    corpus = load_corpus(" ".join(words), level="char")
    result = random_search_text(corpus, k=3, seed=4, **TEXT, **QUIET)
    assert result.metric == "perplexity"
    assert len({candidate.genotype for candidate in result.candidates}) == 3
    assert not {c.genotype for c in result.candidates} & {
        RecurrentGenotype.random(i) for i in range(9)
    }
    for candidate in result.candidates:
        model = pydarts.train_text(candidate.genotype, corpus, seed=4, **TEXT, **QUIET)
        assert candidate.score == model.perplexity(corpus.valid) != model.perplexity(corpus.test)
        assert candidate.num_weights == model.num_weights
    scores = [candidate.score for candidate in result.candidates]
    assert len(set(scores)) == 3
    assert result.genotype == result.candidates[int(np.argmin(scores))].genotype
    assert result.best.score == min(scores)
    again = random_search_text(corpus, k=3, seed=4, **TEXT, **QUIET)
    assert again.candidates == result.candidates
    (best,) = [line for line in repr(result).splitlines() if "(the best)" in line]
    assert f"perplexity {min(scores):.3f}" in best


def test_interrupted_random_search_over_text(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "the cat sat on the mat and the dog sat on the log. " * 20
    count = [0]

    def counted(*arguments: Any) -> Any:
        count[0] += 1
        if count[0] == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return train_once(*arguments)

    monkeypatch.setattr(trials, "train_once", counted)
    result = random_search_text(text, k=3, **TEXT, **QUIET)
    assert result.interrupted
    assert len(result.candidates) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "`k` (=0) must be at least 1"),
        ({"train_fraction": 0.5}, "unknown option `train_fraction`"),
        ({"batch_size": 4000}, "`batch_size` (=4000) sequences"),
        ({"level": "letter"}, "`level` (='letter')"),
    ],
)
def test_bad_arguments_of_random_search_over_text(options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        random_search_text("the cat sat on the mat. " * 50, **{**TEXT, **QUIET, **options})
