# SPDX-License-Identifier: MIT
"""Selection among finalists: what is drawn, how it is chosen, kept and taken up again."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from runs import TEXT, halves

import pydarts
import pydarts.cli.main as cli
from pydarts.common.ranks import Ranks
from pydarts.methods.finalists import (
    Finalist,
    Finalists,
    FirstRound,
    constant_cells,
    draw_finalists,
)
from pydarts.methods.gaea import Gaea
from pydarts.methods.named import as_pair
from pydarts.methods.weighting import largest_sum
from pydarts.spaces import DARTS, NAS_BENCH_201, S2, Cell, Layer, Space, Stack
from pydarts.spaces.published import strongest
from pydarts.tasks.images import ImageClassification
from pydarts.training import finals
from pydarts.training.run import run_training
from pydarts.training.run_options import RunOptions

SIZES: dict[str, Any] = {"channels": 2, "cells": 1, "epochs": 1, "batch_size": 8, "seed": 3}
QUIET: dict[str, Any] = {"progress": False, "threads": 1}
FEW = Finalists(candidates=3, epochs=1, seed=5, repeats=0)
score_of = attrgetter("score")


def search(**options: Any) -> Any:
    return pydarts.search(*halves(48, side=8), **{**SIZES, **QUIET, "selector": FEW, **options})


def uniform(space: Space) -> dict[str, NDArray[Any]]:
    return {c.name: np.zeros((len(c.edges_of()), c.columns)) for c in space.cells}


def drawn(space: Space, alphas: dict[str, NDArray[Any]], count: int, seed: int = 0) -> list[Any]:
    return draw_finalists(Finalists(candidates=count, seed=seed), Gaea(), alphas, space)


def constants(space: Space) -> list[Any]:
    return constant_cells(space, partial(largest_sum, space=space))


def test_first_finalist_is_the_cell_by_magnitude_and_all_differ() -> None:
    alphas = {name: a + 0.1 * np.arange(a.shape[1]) for name, a in uniform(DARTS).items()}
    cells = drawn(DARTS, alphas, 20)
    assert cells[0] == DARTS.derive(alphas)
    assert len(set(map(str, cells))) == len(cells) == 20
    assert cells == drawn(DARTS, alphas, 20)
    assert cells[1:] != drawn(DARTS, alphas, 20, seed=1)[1:]


def test_an_operation_is_drawn_with_the_probability_of_its_mixing_weight() -> None:
    shares = np.array([0.05, 0.1, 0.15, 0.3, 0.4])
    alphas = {name: a + np.log(shares) for name, a in uniform(NAS_BENCH_201).items()}
    cell = NAS_BENCH_201.cells[0]
    cells = drawn(NAS_BENCH_201, alphas, 1500)[1:]
    counts = Counter(op for each in cells for op, _, _ in each.kept(cell.name))
    # Cells of many strong operations are drawn again and again, and count once.
    found = np.array([counts[op.name] for op in cell.candidates[0]]) / counts.total()
    assert np.all(np.diff(found) > 0)
    np.testing.assert_allclose(found, shares, atol=0.06)


def test_what_has_all_of_the_weight_is_drawn_always() -> None:
    alphas = uniform(S2)
    for a in alphas.values():
        a[:, 1] = 30.0
    # The operation is sure, which edges a node keeps is not.
    cells = drawn(S2, alphas, 6)
    strongest = {op for op, _, _ in S2.derive(alphas).kept("normal")}
    assert {op for each in cells for c in S2.cells for op, _, _ in each.kept(c.name)} == strongest


def test_there_are_no_more_finalists_than_cells() -> None:
    alphas = uniform(NAS_BENCH_201)
    for a in alphas.values():
        a[:, 3] = 50.0
    assert len(drawn(NAS_BENCH_201, alphas, 8)) == 1


@pytest.mark.parametrize("space", [DARTS, NAS_BENCH_201, S2], ids=lambda space: space.name)
def test_a_constant_cell_has_one_convolution_on_the_first_edges(space: Space) -> None:
    names = [op.name for op in space.operations if op.has_weights]
    first, *others = constants(space)
    assert first == strongest(space)
    assert first in others
    for name, found in zip(names, others, strict=True):
        for cell in space.cells:
            kept = found.kept(cell.name)
            assert {op for op, _, _ in kept} == {name}
            nodes = range(cell.inputs, cell.inputs + cell.nodes)
            assert [edge[1:] for edge in kept] == [
                (s, n) for n in nodes for s in range(cell.kept(n))
            ]


def test_a_convolution_that_some_edges_lack_is_on_the_others() -> None:
    skip, conv = NAS_BENCH_201.operations[1:3]
    edges = [[skip, conv], [skip], [skip, conv]]
    cell = dataclasses.replace(NAS_BENCH_201.cells[0], nodes=2, edges=edges)
    space = NAS_BENCH_201.replace(name="few", operations=[skip, conv], cells=[cell])
    (found, again) = constants(space)
    assert again == found
    assert [op for op, _, _ in found.kept("normal")] == [conv.name, skip.name, conv.name]


def test_whether_there_are_constant_cells_is_true_or_false() -> None:
    with pytest.raises(TypeError, match=r"`constants` \(=1\) must be True or False"):
        Finalists(constants=1)  # type: ignore[arg-type]


def first_round(space: Space, selector: Finalists, score: Any, sign: int = 1) -> list[Any]:
    """The cells of a first round in which ``score`` is what a training gives."""
    largest = partial(largest_sum, space=space)
    first = FirstRound(selector, Gaea(), uniform(space), space, largest, Ranks())
    finalists: list[Finalist] = []
    for cell in first.cells(finalists, sign):
        finalists.append(Finalist(cell, score(cell)))
    return [each.genotype for each in finalists]


def convolutions(cell: Any) -> int:
    return sum(op == "nor_conv_3x3" for op, _, _ in cell.kept("normal"))


@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_tried_follows_from_the_scores_before(sign: int) -> None:
    selector = Finalists(candidates=30, drawn=10, constants=False)
    cells = first_round(NAS_BENCH_201, selector, convolutions, sign)
    assert len(set(map(str, cells))) == 30
    assert cells[:10] == drawn(NAS_BENCH_201, uniform(NAS_BENCH_201), 30)[:10]
    counts = [sign * convolutions(cell) for cell in cells]
    assert np.mean(counts[10:]) > np.mean(counts[:10]) + 1
    assert cells == first_round(NAS_BENCH_201, selector, convolutions, sign)
    assert cells != first_round(NAS_BENCH_201, selector, lambda _: 0.5, sign)


def test_constant_cells_come_after_that_by_magnitude() -> None:
    expected = constants(NAS_BENCH_201)[:2]
    plain = drawn(NAS_BENCH_201, uniform(NAS_BENCH_201), 8)
    for count, first in ((10, 10), (9, 5), (2, 2)):
        selector = Finalists(candidates=count, drawn=first)
        cells = first_round(NAS_BENCH_201, selector, convolutions)
        assert len(cells) == len(set(map(str, cells))) == count
        assert cells[:first] == [plain[0], *expected, *plain[1:]][:first]


@pytest.mark.parametrize("method", ["fair-darts", "gdas", "pc-darts", "fixed"])
def test_scores_guide_finalists_of_any_method(method: str) -> None:
    few = Finalists(candidates=3, epochs=1, drawn=1, constants=False)
    result = search(method=method, channels=4, selector=few)
    assert len({str(each.genotype) for each in result.finalists}) == 3


def test_all_may_be_drawn_from_the_mixing_weights() -> None:
    selector = Finalists(candidates=8, drawn=8, constants=False)
    cells = first_round(NAS_BENCH_201, selector, convolutions)
    assert cells == drawn(NAS_BENCH_201, uniform(NAS_BENCH_201), 8)


def test_of_few_cells_each_is_trained_once() -> None:
    cell = Cell("normal", nodes=2, inputs=1, preprocessed=False, output="last", kept_edges=1)
    space = NAS_BENCH_201.replace(
        name="few", operations=NAS_BENCH_201.operations[1:3], cells=[cell], parameter_names="darts"
    )
    cells = first_round(space, Finalists(candidates=20, drawn=2, constants=False), lambda _: 0.5)
    assert len(cells) == len(set(map(str, cells))) == 2 * (2 + 2)


@pytest.mark.parametrize(
    ("cells", "epochs", "rounds", "expected"),
    [
        (36, 27, 2, [(36, 9), (4, 27)]),
        (36, 4, 2, [(36, 1), (4, 4)]),
        (36, 1, 2, [(36, 1)]),  # a second round of one epoch would tell nothing new
        (37, 27, 2, [(37, 9), (5, 27)]),
        (9, 27, 2, [(9, 9), (2, 27)]),
        (4, 27, 2, [(4, 9), (2, 27)]),
        (3, 27, 2, [(3, 27)]),  # two of three are hardly fewer
        (1, 27, 2, [(1, 27)]),
        (36, 27, 1, [(36, 27)]),
        (36, 27, 3, [(36, 3), (4, 9), (2, 27)]),
        (36, 8, 3, [(36, 1), (4, 3), (2, 8)]),
    ],
)
def test_of_each_round_the_best_ninth_is_trained_three_times_as_long(
    cells: int, epochs: int, rounds: int, expected: list[tuple[int, int]]
) -> None:
    assert Finalists(rounds=rounds).rounds_of(cells, epochs) == expected


def test_each_is_trained_on_the_one_half_and_scored_on_the_other() -> None:
    result = search()
    assert (result.selector, len(result.finalists)) == ("finalists", 3)
    assert result.genotype == max(result.finalists, key=score_of).genotype
    task = ImageClassification(*halves(48, side=8), threads=1)
    config = task.complete(result.config)
    data = task.search_data(config, np.random.default_rng(config.seed))
    contest = data.contest()
    (x, y), (x_valid, y_valid) = data._train, data._valid
    assert contest.test is not None
    np.testing.assert_array_equal(contest.codes, y)
    np.testing.assert_array_equal(contest.test[1], y_valid)
    assert (len(contest.images), len(contest.test[0])) == (len(x), len(x_valid))
    assert not {image.tobytes() for image in contest.images} & {
        i.tobytes() for i in contest.test[0]
    }
    train_config = contest.contest_config(config, FEW.epochs, FEW.seed)
    for genotype, score, epochs in result.finalists:
        model = run_training(contest, genotype, train_config, RunOptions(progress=False))
        assert (contest.score(model), epochs) == (score, 1)


def test_the_best_of_a_round_are_trained_anew_for_longer() -> None:
    result = search(selector=Finalists(candidates=7, epochs=3, seed=2**31 - 1, repeats=0))
    first, last = result.finalists[:7], result.finalists[7:]
    assert [each.epochs for each in first + last] == [1] * 7 + [3] * 2
    best = sorted(first, key=score_of, reverse=True)[:2]
    assert [each.genotype for each in last] == [f.genotype for f in first if f in best]
    assert result.genotype == max(last, key=score_of).genotype
    assert "cell chosen by finalists (7 trained)" in repr(result)
    task = ImageClassification(*halves(48, side=8), threads=1)
    config = task.complete(result.config)
    contest = task.search_data(config, np.random.default_rng(config.seed)).contest()
    for finalists, epochs, seed in ((first, 1, 2**31 - 1), (last, 3, 0)):
        own = contest.contest_config(config, epochs, seed)
        for each in finalists:
            model = run_training(contest, each.genotype, own, RunOptions(progress=False))
            assert contest.score(model) == each.score


@pytest.mark.parametrize(("trained", "of_round"), [(5, 0), (8, 0), (9, 1)])
def test_the_last_round_that_was_finished_decides(
    trained: int, of_round: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []

    def train(task: Any, genotype: Any, config: Any, run: RunOptions) -> Any:
        model = run_training(task, genotype, config, run)
        done.append(genotype)
        if len(done) > trained:
            model.stopped = "the time budget is spent"
        return model

    monkeypatch.setattr("pydarts.training.run.run_training", train)
    scores = iter([0.1, 0.7, 0.3, 0.6, 0.5, 0.9, 0.2, 0.4, 0.8])
    monkeypatch.setattr(ImageClassification, "score", lambda *_: next(scores))
    selector = Finalists(candidates=7, epochs=3, repeats=0)
    result = search(selector=selector, time_budget="1h")
    assert len(result.finalists) == trained
    assert (result.stopped is None) == (trained == 9)
    # Of the first round 0.7 and 0.9 go on, and have 0.4 and 0.8 in the second.
    best = {5: 1, 8: 5, 9: 8}[trained]
    assert result.genotype == result.finalists[best].genotype
    assert [each.epochs for each in result.finalists] == [1] * min(7, trained) + [3] * (trained - 7)
    assert result.finalists[best].epochs == (1, 3)[of_round]


def test_where_a_search_leaves_images_out_finalists_have_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def contest_of(task: ImageClassification, **options: Any) -> ImageClassification:
        config = task.complete(pydarts.SearchConfig(**SIZES, **options))
        return task.search_data(config, np.random.default_rng(0)).contest()

    def sizes(contest: ImageClassification) -> tuple[int, int]:
        assert contest.test is not None
        return len(contest.images), len(contest.test[0])

    x, y = halves(60, side=8)
    x[:, 0, 0] = np.arange(60)  # no two are the same
    task = ImageClassification(x, y)
    assert sizes(contest_of(task)) == (30, 30)
    wider = contest_of(task, max_images=20)
    assert sizes(wider) == (40, 20)
    assert wider.test is not None
    together = np.concatenate([wider.images, wider.test[0]])
    assert len(np.unique(together.reshape(60, -1), axis=0)) == 60
    assert [np.bincount(wider.codes).tolist(), np.bincount(wider.test[1]).tolist()] == [
        [20, 20],
        [10, 10],
    ]
    again = contest_of(task, max_images=20)
    np.testing.assert_array_equal(again.images, wider.images)
    apart = ImageClassification(x, y, groups=np.arange(60) // 4)
    kept = contest_of(apart, max_images=20)
    assert kept.test is not None
    assert not set(kept.images[:, 0, 0, 0] // 4) & set(kept.test[0][:, 0, 0, 0] // 4)
    own = ImageClassification(x[:40], y[:40], valid=(x[40:], y[40:]))
    assert sizes(contest_of(own, max_images=20)) == (40, 20)
    monkeypatch.setattr("pydarts.tasks.image_runs._CONTEST_POOL", 30)
    assert sizes(contest_of(task, max_images=20)) == (20, 10)
    assert sizes(contest_of(task, max_images=40)) == (20, 20)

    def refused(*_: Any) -> Any:
        raise ValueError("a part lacks a class")

    # The parts of the search have all classes in any case.
    config = task.complete(pydarts.SearchConfig(**SIZES, max_images=20))
    data = task.search_data(config, np.random.default_rng(0))
    monkeypatch.setattr(ImageClassification, "halves", refused)
    assert sizes(data.contest()) == (10, 10)


def test_an_epoch_of_many_images_is_a_part_of_them() -> None:
    x = np.zeros((1600, 4, 4), np.uint8)
    task = ImageClassification(x, np.arange(1600) % 2)
    config = task.contest_config(task.complete(pydarts.SearchConfig(**SIZES)), None, 0)
    assert (config.epochs, config.epoch_images) == (27, 1500)
    large = task.complete(pydarts.SearchConfig(**(SIZES | {"batch_size": 1550})))
    assert task.contest_config(large, None, 0).epoch_images == 1550


def test_networks_have_normal_cells_on_both_sides_of_reductions() -> None:
    def cells_of(cells: int, space: Space) -> int:
        task = ImageClassification(*halves(48, side=8), space=space)
        config = task.complete(pydarts.SearchConfig(**(SIZES | {"cells": cells})))
        return task.contest_config(config, None, 0).cells

    assert [cells_of(cells, DARTS) for cells in (1, 3, 5, 8)] == [5, 5, 5, 8]
    assert [cells_of(cells, NAS_BENCH_201) for cells in (1, 5)] == [1, 5]  # of each stage


def test_epochs_show_a_number_of_images() -> None:
    task = ImageClassification(*halves(48, side=8), threads=1)
    config = task.complete(pydarts.SearchConfig(**SIZES))
    assert task.contest_config(config, None, 0).epochs == 60
    assert task.contest_config(config, 7, 0).epochs == 7


@pytest.mark.parametrize(
    ("before", "selector"),
    [
        (0, FEW),
        (2, FEW),
        (5, Finalists(candidates=4, epochs=3, drawn=2, constants=False)),
        (3, Finalists(candidates=5, drawn=1, epochs=1, constants=False)),
        (6, Finalists(candidates=7, drawn=1, epochs=1)),
    ],
)
def test_a_search_that_is_interrupted_goes_on_to_the_same_bits(
    before: int, selector: Finalists, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = search(checkpoint=tmp_path / "whole", selector=selector)
    trained: list[str] = []

    def train(*arguments: Any) -> Any:
        if len(trained) == before:
            raise KeyboardInterrupt
        trained.append(str(arguments[1]))
        return run_training(*arguments)

    monkeypatch.setattr("pydarts.training.run.run_training", train)
    cut = search(checkpoint=tmp_path / "cut", selector=selector)
    assert cut.interrupted
    assert len(cut.finalists) == before
    monkeypatch.undo()
    assert len(trained) == before
    scores = tmp_path / "cut" / "finalists.json"
    assert scores.exists() == (before > 0)
    earlier = 0.0
    if before:  # so long that nothing else could be
        kept = json.loads(scores.read_text())
        assert 0 < kept["seconds"] < 1000
        scores.write_text(json.dumps({**kept, "seconds": (earlier := 1000.0)}))
    again = search(checkpoint=tmp_path / "cut", selector=selector)
    assert earlier < again.seconds < earlier + 100
    assert again.finalists == whole.finalists
    assert again.genotype == whole.genotype
    for name, alpha in whole.alphas.items():
        np.testing.assert_array_equal(again.alphas[name], alpha)


def test_ctrl_c_while_a_finalist_is_scored_keeps_the_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, scores = search(selector=None), iter([0.1, 0.2])
    monkeypatch.setattr(ImageClassification, "score", lambda *_: next(scores))

    def score(*_: Any) -> float:
        if found := next(scores, None):
            return found
        raise KeyboardInterrupt

    monkeypatch.setattr(ImageClassification, "score", score)
    result = search(selector=FEW)
    assert result.interrupted
    assert [each.score for each in result.finalists] == [0.1, 0.2]
    for name, alpha in plain.alphas.items():
        np.testing.assert_array_equal(result.alphas[name], alpha)


def test_a_cell_that_takes_a_search_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def varied(task: Any, model: Any) -> float:
        cell = model.genotype
        return 0.1 * len({op for c in DARTS.cells for op, _, _ in cell.kept(c.name)})

    def train(*arguments: Any) -> Any:
        if len(trained) == 5:
            raise KeyboardInterrupt
        trained.append(arguments[2].seed)
        return run_training(*arguments)

    caplog.set_level("INFO", "pydarts")
    monkeypatch.setattr(ImageClassification, "score", varied)
    given: dict[str, Any] = {"selector": dataclasses.replace(FEW, repeats=2)}
    whole = search(checkpoint=tmp_path / "whole", **given)
    cells = [each.genotype for each in whole.finalists]
    assert cells[3:] == [cells[0], cells[1]] * 2
    assert whole.genotype == cells[0]
    assert "best finalist again, 1/2: accuracy" in caplog.text
    assert "strongest-operation constant again, 2/2: accuracy" in caplog.text
    trained: list[int] = []
    monkeypatch.setattr("pydarts.training.run.run_training", train)
    assert search(checkpoint=tmp_path / "cut", **given).interrupted
    trained = []
    assert search(checkpoint=tmp_path / "cut", **given).finalists == whole.finalists
    assert trained == [7, 7]  # 5 of the first three, and 6 of the two after them, are done
    monkeypatch.setattr(ImageClassification, "score", lambda *given: 1 - varied(*given))
    other = search(**given)
    assert (other.genotype, len(other.finalists)) == (cells[1], 3)


def test_scores_of_other_finalists_are_not_taken(tmp_path: Path) -> None:
    search(checkpoint=tmp_path)
    path = tmp_path / "finalists.json"
    kept = json.loads(path.read_text())
    changed = [
        [cell, score] for (cell, _), score in zip(kept["trained"], (0.0, 1.0, 0.0), strict=True)
    ]
    path.write_text(json.dumps(kept | {"trained": changed}))
    assert [each.score for each in search(checkpoint=tmp_path).finalists] == [0.0, 1.0, 0.0]
    other = Finalists(candidates=3, epochs=1, seed=6)
    assert 0.0 not in [each.score for each in search(checkpoint=tmp_path, selector=other).finalists]
    # Of a cell that is not the one that is to be trained, as by a version that drew other ones.
    path.write_text(json.dumps(kept | {"trained": [changed[0], changed[2], changed[1]]}))
    scores = [each.score for each in search(checkpoint=tmp_path).finalists]
    assert (scores[0], scores[1:]) == (0.0, [score for _, score in kept["trained"][1:]])
    # Earlier versions had no rounds, or kept no cells.
    old = {name: value for name, value in kept.items() if name != "trained"}
    path.write_text(json.dumps(old | {"version": 2, "scores": [0.0, 1.0, 0.0]}))
    assert 0.0 not in [each.score for each in search(checkpoint=tmp_path).finalists]
    path.write_text("{")
    with pytest.raises(ValueError, match=r"finalists\.json cannot be read"):
        search(checkpoint=tmp_path)


def test_scores_of_longer_trainings_are_not_taken(tmp_path: Path) -> None:
    search(checkpoint=tmp_path, selector=Finalists(candidates=3, epochs=3))
    path = tmp_path / "finalists.json"
    kept = json.loads(path.read_text())
    path.write_text(json.dumps(kept | {"trained": [[cell, 0.0] for cell, _ in kept["trained"]]}))
    # The same cells first, in a round of one epoch.
    again = search(checkpoint=tmp_path, selector=Finalists(candidates=4, epochs=3))
    assert [each.epochs for each in again.finalists] == [1] * 4 + [3] * 2
    assert 0.0 not in [each.score for each in again.finalists]


def test_a_choice_by_training_is_not_called_chance(caplog: pytest.LogCaptureFixture) -> None:
    search(selector="magnitude")
    assert "close to chance" in caplog.text
    caplog.clear()
    search()
    assert "close to chance" not in caplog.text


def test_before_any_finalist_is_trained_the_choice_is_by_magnitude(tmp_path: Path) -> None:
    result = search()
    result.finalists = []
    assert "close to chance" in " ".join(result.notes())
    result.save(tmp_path)
    assert cli.main(["report", str(tmp_path), "--out", str(tmp_path / "r.html")]) == 0
    page = (tmp_path / "r.html").read_text()
    assert "close to chance" in page
    assert "takes no search" not in page


def test_a_cell_that_takes_no_search_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    strong = "The cell has sep_conv_5x5 on all of its edges: no other finalist was shown"
    other = "The cell has sep_conv_3x3 on all of its edges, which takes no search."
    # Of three finalists the second has the strongest operations, the third another convolution.
    for scores, expected in (
        ([0.5, 0.9, 0.1], {strong}),
        ([0.5, 0.1, 0.9], {other}),
        ([0.9, 0.5, 0.1], set()),
    ):
        given = iter(scores)
        monkeypatch.setattr(ImageClassification, "score", lambda *_, given=given: next(given))
        caplog.clear()
        result = search(selector=dataclasses.replace(FEW, rounds=1))
        result.save(tmp_path, overwrite=True)
        command = ["report", str(tmp_path), "--out", str(tmp_path / "r.html"), "--force"]
        assert cli.main(command) == 0
        page = (tmp_path / "r.html").read_text()
        for text in (caplog.text, " ".join(repr(result).split()), page):
            assert {note for note in (strong, other) if note in text} == expected
        assert "were trained again" not in page


def test_the_page_says_what_was_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.9, 0.5, 0.1, 0.4])
    monkeypatch.setattr(ImageClassification, "score", lambda *_: next(scores))
    result = search(selector=dataclasses.replace(FEW, repeats=1))
    assert [each.genotype for each in result.finalists[3:]] == [result.finalists[0].genotype]
    assert result.genotype == result.finalists[1].genotype  # 0.4 is not above 0.5
    result.report(tmp_path / "r.html")
    assert "were trained again" in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize("ends", ["time", "interrupt"])
def test_where_the_last_trainings_are_cut_short_nothing_is_shown(
    ends: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*arguments: Any) -> Any:
        model = run_training(*arguments)
        done.append(arguments[1])
        if len(done) == 5:
            model.stopped, model.interrupted = "the time budget is spent", ends == "interrupt"
        return model

    done: list[Any] = []
    scores = iter([0.9, 0.5, 0.1, 0.8])
    monkeypatch.setattr("pydarts.training.run.run_training", train)
    monkeypatch.setattr(ImageClassification, "score", lambda *_: next(scores))
    result = search(selector=dataclasses.replace(FEW, repeats=2), time_budget="1h")
    assert [each.score for each in result.finalists] == [0.9, 0.5, 0.1, 0.8]
    assert result.genotype == result.finalists[1].genotype
    assert result.interrupted == (ends == "interrupt")
    assert (result.stopped is None) == (ends == "interrupt")


def test_time_budget_ends_it_after_the_last_whole_training(monkeypatch: pytest.MonkeyPatch) -> None:
    done = []

    def train(task: Any, genotype: Any, config: Any, run: RunOptions) -> Any:
        assert run.time_budget is not None
        model = run_training(task, genotype, config, run)
        done.append(genotype)
        if len(done) == 2:
            model.stopped = "the time budget is spent"
        return model

    monkeypatch.setattr("pydarts.training.run.run_training", train)
    result = search(time_budget="1h")
    assert len(result.finalists) == 1
    assert result.stopped == "the time budget of 3600 s is spent"
    assert not result.interrupted


@pytest.mark.parametrize("seconds", [0.5, 60.0, 7200.0])
def test_epochs_leave_time_for_the_trainings(
    seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("budget", "finals"):
        monkeypatch.setattr(f"pydarts.training.{module}.finals_seconds", lambda *_: seconds)
    whole = RunOptions(time_budget=100.0)
    task = ImageClassification(*halves(48, side=8), threads=1)
    config = task.complete(pydarts.SearchConfig(**SIZES))
    data = task.search_data(config, np.random.default_rng(0))
    cell = DARTS.genotype.random(0)
    run = finals.leave_time(task, data, config, FEW, cell, whole)
    assert run.seconds_left is not None
    assert whole.seconds_left is not None
    assert whole.seconds_left - run.seconds_left == pytest.approx(min(seconds, 50), abs=1)
    assert run.time_budget == 100.0
    assert finals.leave_time(task, data, config, FEW, cell, RunOptions()).seconds_left is None


def test_a_search_whose_epochs_are_cut_short_has_time_for_finalists(
    monkeypatch: pytest.MonkeyPatch, spend: Any
) -> None:
    monkeypatch.setattr("pydarts.training.finals.finals_seconds", lambda *_: 1000.0)
    lefts: list[float] = []
    monkeypatch.setattr(
        "pydarts.training.run.choose_finalist", lambda *given: lefts.append(given[5].seconds_left)
    )

    class Slow(pydarts.Callback):
        def on_epoch_end(self, loop: Any, entry: Any) -> None:
            spend(1400.0)

    result = search(epochs=5, time_budget="1h", callbacks=[Slow()])
    assert len(result.history) == 2  # which take 2,800 s of the 2,600 that are not kept
    assert lefts == [pytest.approx(800, abs=10)]
    assert result.stopped == "the time budget of 3600 s is spent"


def test_a_budget_has_time_for_an_epoch_beside_the_finalists(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pydarts.training.budget.finals_seconds", lambda *_: 7200.0)
    monkeypatch.setattr("pydarts.training.budget._Trial.epoch_seconds", lambda _: 2000.0)
    with pytest.raises(ValueError, match=r"beside 30 min \d s for preparation and finalists"):
        search(time_budget="1h")


@pytest.mark.usefixtures("usual_selector")
def test_presets_choose_by_finalists_but_that_of_the_paper() -> None:
    def usual(preset: str, *args: Any) -> Any:
        return as_pair(args[0], None, pydarts.SearchConfig.make(preset, {"seed": 4}), *args[1:])[1]

    for preset in ("quick", "standard"):
        for method in (None, "darts", "fixed", "pc-darts"):
            assert usual(preset, method) == Finalists(seed=4)
        assert usual(preset, "fixed-pt").name == "perturbation"
        assert usual(preset, None, DARTS) is None  # a search with limits
    assert usual("paper", None) is None
    assert as_pair(None, None, pydarts.TextSearchConfig.make("quick"))[1] is None
    quick = pydarts.SearchConfig.make("quick")
    assert as_pair(None, "magnitude", quick)[1] is None
    assert as_pair(None, Finalists(seed=9), quick)[1] == Finalists(seed=9)
    result = pydarts.search(*halves(48, side=8), **SIZES, **QUIET)
    assert (result.method, result.selector) == ("darts", "finalists")


def test_estimate_counts_the_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {**SIZES, "threads": 1}
    measured = finals.finals_seconds

    def twice(*arguments: Any) -> float:
        assert measured(*arguments) > 0
        return 1000.0

    monkeypatch.setattr("pydarts.training.budget.finals_seconds", twice)
    assert pydarts.estimate(*halves(48, side=8), selector=FEW, **given).seconds > 1000
    assert pydarts.estimate(*halves(48, side=8), **given).seconds < 1000


def test_result_is_kept_and_shown(tmp_path: Path) -> None:
    result = search()
    result.save(tmp_path)
    loaded = pydarts.SearchResult.load(tmp_path)
    assert loaded.finalists == result.finalists
    assert "cell chosen by finalists (3 trained)" in repr(loaded)
    result.report(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    earlier = json.loads((tmp_path / "result.json").read_text())
    earlier["finalists"] = [pair[:2] for pair in earlier["finalists"]]
    (tmp_path / "result.json").write_text(json.dumps(earlier))
    pairs = pydarts.SearchResult.load(tmp_path).finalists
    assert pairs == [each._replace(epochs=None) for each in result.finalists]
    assert page.count("<h2>Selection among finalists</h2>") == 1
    assert all(f"{100 * each.score:.2f} %" in page for each in result.finalists)


@pytest.mark.parametrize(
    "bad",
    [
        {},
        [[1]],
        [["{}", 0.5]],
        [[DARTS.genotype.random(0).to_json(), "x"]],
        [[DARTS.genotype.random(0).to_json(), 0.5, 0]],
    ],
)
def test_damaged_finalists_are_refused(bad: Any, tmp_path: Path) -> None:
    search().save(tmp_path)
    path = tmp_path / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"finalists": bad}))
    with pytest.raises(ValueError, match=r"result\.json"):
        pydarts.SearchResult.load(tmp_path)


def test_over_text_the_lowest_perplexity_wins() -> None:
    words = {"hidden_size": 8, "batch_size": 4, "bptt": 8, "epochs": 1}
    few = Finalists(candidates=4, epochs=1, drawn=2)
    found = pydarts.search_text(TEXT, level="word", selector=few, **words, **QUIET)
    assert len(found.finalists) == 4
    assert found.genotype == min(found.finalists, key=lambda each: each.score).genotype
    assert all(1 < each.score < 1e6 for each in found.finalists)


def test_bad_options_are_named() -> None:
    with pytest.raises(ValueError, match=r"`candidates` \(=0\)"):
        Finalists(candidates=0)
    with pytest.raises(ValueError, match=r"`rounds` \(=0\)"):
        Finalists(rounds=0)
    with pytest.raises(ValueError, match=r"`drawn` \(=0\)"):
        Finalists(drawn=0)
    with pytest.raises(ValueError, match="contradicts `method`"):
        as_pair("fixed-pt", "finalists", pydarts.SearchConfig())
    assert as_pair("darts", "finalists", pydarts.SearchConfig(seed=4))[1] == Finalists(seed=4)


def test_a_search_without_time_left_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finals, "finals_seconds", lambda *_: pytest.fail("measured"))
    task = ImageClassification(*halves(48, side=8))
    for started in (-np.inf, 0.0):
        run = pydarts.RunOptions(time_budget=1.0, started=started)
        nothing: Any = None
        assert finals.leave_time(task, nothing, nothing, FEW, nothing, run) is run


def test_finalists_learn_from_what_the_search_learned_from() -> None:
    own = {"crop_padding": 1, "shift": 2, "rotate": True, "noise": 0.1, "time_mask": 3}
    own |= {"mixup": 0.2, "flip": True, "cutout": 2, "frequency_mask": 1}
    task = ImageClassification(*halves(48, side=8))
    config = task.complete(pydarts.SearchConfig(**SIZES, **own))
    found = task.contest_config(config, None, 0)
    assert {name: getattr(found, name) for name in own} == own


def test_the_strongest_constant_where_edges_have_more_and_fewer_operations() -> None:
    """Of the edges into a node the first: a softmax over two is larger than one over three."""
    rows = [DARTS.operations[2:5]] * 5
    rows[4] = DARTS.operations[3:5]  # of the last node's third edge
    cell = Cell("normal", 2, edges=rows)
    stack = Stack([Layer("normal", until="1/1")])
    space = DARTS.replace(name="by-edge", cells=[cell], stack=stack)
    found = strongest(space)
    assert [source for _, source in found.normal] == [0, 1, 0, 1]
    assert {op for op, _ in found.normal} == {DARTS.operations[4].name}
    first = FirstRound(
        FEW, Gaea(), uniform(space), space, partial(largest_sum, space=space), Ranks()
    )
    assert first.strongest == found
