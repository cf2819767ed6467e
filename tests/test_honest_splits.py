# SPDX-License-Identifier: MIT
"""Splits by time and by strata, data to validate on, copies in both halves; mixup in steps."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pydarts
from pydarts import SearchConfig, TrainConfig
from pydarts.api import evaluating, fitting, pareto
from pydarts.cli.main import main
from pydarts.data.duplicates import count_shared
from pydarts.data.splits import split_time
from pydarts.tasks.images import ImageClassification

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (40, 6, 6), dtype=np.uint8)
Y = np.arange(40) % 2
TINY = {"channels": 2, "cells": 1, "epochs": 1, "batch_size": 4, "order": 1, "progress": False}
CONFIG = SearchConfig.make("quick", {"batch_size": 4})


def halves(task: ImageClassification, config: SearchConfig = CONFIG) -> list[set[int]]:
    """Of a search: which images are in either half."""
    data = task.search_data(config, np.random.default_rng(config.seed))
    return [places(task, part[0]) for part in (data._train, data._valid)]


def places(task: ImageClassification, normalized: np.ndarray) -> set[int]:
    """Of normalised images, which of the task's they are: the order of pixels stays."""

    def order(x: np.ndarray) -> bytes:
        return np.argsort(x, axis=None, kind="stable").tobytes()

    known = {order(x): index for index, x in enumerate(task.images)}
    return {known[order(x)] for x in normalized}


def test_the_later_part_of_time() -> None:
    assert [part.tolist() for part in split_time(5, 0.5)] == [[0, 1, 2], [3, 4]]
    assert [part.tolist() for part in split_time(5, 0.99)] == [[0, 1, 2, 3], [4]]
    assert [part.tolist() for part in split_time(5, 0.01)] == [[0], [1, 2, 3, 4]]
    with pytest.raises(ValueError, match="holds 1 image"):
        split_time(1, 0.5)
    train, valid = halves(ImageClassification(X, Y, split="time"))
    assert (train, valid) == (set(range(20)), set(range(20, 40)))
    small = SearchConfig.make("quick", {"batch_size": 4, "max_images": 20})
    train, valid = halves(ImageClassification(X, Y, split="time"), small)
    assert len(train) == len(valid) == 10
    assert max(train) < min(valid)


def test_what_is_held_out_is_later_too() -> None:
    task = ImageClassification(X, Y, split="time").hold_out(0.2, RNG)
    np.testing.assert_array_equal(task.images[:, 0], X[:32])
    assert task.test is not None
    np.testing.assert_array_equal(task.test[0][:, 0], X[32:])


def test_a_class_that_comes_too_late() -> None:
    with pytest.raises(ValueError, match=r"`split` \(='time'\) leaves nothing to learn from of 1"):
        pydarts.search(X, np.sort(Y), split="time", **TINY)


def test_strata_of_ones_own() -> None:
    device = ["a"] * 10 + ["b"] * 30
    train, valid = halves(ImageClassification(X, Y, stratify=device))
    assert len(train & set(range(10))) == len(valid & set(range(10))) == 5
    assert len(train) == len(valid) == 20


def test_strata_of_which_a_part_holds_single_samples() -> None:
    # Of pairs a draw takes one each: in what was drawn all strata are single.
    pairs, y = np.arange(40) // 2, np.arange(40) % 2
    for options in ({"stratify": pairs}, {"objective": "multilabel"}):
        labels: Any = y
        if "objective" in options:
            labels = (pairs[:, np.newaxis] >> np.arange(5)) & 1  # sets that occur twice
        task = ImageClassification(X, labels, **options)
        chosen = task.draw(30, np.random.default_rng(0))
        assert len(np.unique(pairs[chosen])) == 20
        train, valid = task.halves(chosen, np.random.default_rng(0), 0.5)
        assert sorted([*train, *valid]) == list(range(len(chosen)))


def test_what_is_held_out_may_lack_a_class() -> None:
    y = np.array([0, 1] * 18 + [2] * 4)
    task, lacking = ImageClassification(X, y, stratify=False), 0
    for seed in range(20):
        part = task.hold_out(0.2, np.random.default_rng(seed))
        assert part.test is not None
        assert set(part.codes) == {0, 1, 2}
        lacking += 2 not in part.test[1]
    assert 0 < lacking < 20


def test_a_class_too_rare_for_a_part_is_named() -> None:
    y = np.array(["often", "more"] * 19 + ["often", "rare"])
    with pytest.raises(ValueError, match="lacks: 'rare' "):
        pydarts.search(X, y, max_images=30, **TINY)


def test_without_strata_shares_are_left_to_chance() -> None:
    counts = set()
    for seed in range(8):
        config = SearchConfig.make("quick", {"batch_size": 4, "seed": seed})
        train, _ = halves(ImageClassification(X, Y, stratify=False), config)
        counts.add(sum(index % 2 for index in train))
    assert len(counts) > 2
    for given in (True, None):
        train, _ = halves(ImageClassification(X, Y, stratify=given))
        assert sum(index % 2 for index in train) == 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "later"}, r"`split` \(='later'\) must be 'random' or 'time'"),
        ({"split": "time", "groups": Y}, "`groups` have no use with `split`='time'"),
        ({"split": "time", "stratify": False}, "`stratify` has no use with `split`='time'"),
        ({"stratify": ["a"] * 39}, "`stratify` holds one class only"),
        ({"stratify": [0, 1] * 19}, "`stratify` holds 38 values for 40 images"),
        ({"stratify": [0, *[1] * 39]}, "`stratify` holds single values: 0"),
        ({"stratify": "yes"}, "`stratify`"),
        ({"stratify": 3}, "`stratify`"),
        ({"X_valid": X}, "`X_valid` and `y_valid` must come together"),
        ({"y_valid": Y}, "`X_valid` and `y_valid` must come together"),
        ({"X_valid": X, "y_valid": Y + 1}, "`y_valid` holds the unknown label 2"),
        ({"X_valid": X[:, :2], "y_valid": Y}, "`X_valid` has shape"),
        ({"X_valid": X, "y_valid": Y, "groups": Y}, "`groups` has no use with `X_valid`"),
        ({"X_valid": X, "y_valid": Y, "split": "time"}, "`split` has no use with `X_valid`"),
        ({"X_valid": X, "y_valid": Y, "stratify": True}, "`stratify` has no use with"),
        ({"X_valid": X[:3], "y_valid": Y[:3]}, "`batch_size`.*`X` or `X_valid`: 3 images"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        pydarts.search(X, Y, **TINY, **options)


def test_alphas_learn_on_what_is_given() -> None:
    other = RNG.integers(0, 256, (12, 6, 6), dtype=np.uint8)
    task = ImageClassification(X, Y, valid=(other, Y[:12]))
    data = task.search_data(CONFIG, np.random.default_rng(0))
    assert places(task, data._train[0]) == set(range(40))
    mean, std = X.mean(), X.std()
    np.testing.assert_allclose(data._valid[0][:, 0], (other - mean) / std, rtol=1e-4, atol=1e-5)
    result = pydarts.search(X, Y, X_valid=other, y_valid=Y[:12], **TINY)
    assert len(result.history) == 1
    with pytest.raises(TypeError, match="`y` is missing"):
        pydarts.search(X, **TINY)


OTHER = np.random.default_rng(1).integers(0, 256, (12, 6, 6), dtype=np.uint8)
VALID: dict[str, Any] = {"X_valid": OTHER, "y_valid": Y[:12]}
TRAIN: dict[str, Any] = {k: v for k, v in TINY.items() if k != "order"}


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> list[ImageClassification]:
    """Tasks that the fronts hand on, which then do nothing."""
    found: list[ImageClassification] = []

    def keep(task: ImageClassification, *_: Any, **__: Any) -> Any:
        found.append(task)
        raise InterruptedError

    for module, name in (
        *((evaluating, "run_comparison"), (evaluating, "run_random_search")),
        *((pareto, "run_trade_off"), (fitting, "Fitting")),
    ):
        monkeypatch.setattr(module, name, keep)
    return found


FRONTS: dict[str, Any] = {
    "compare": lambda **options: pydarts.compare(pydarts.DARTS_V2, X, Y, **options),
    "random_search": lambda **options: pydarts.random_search(X, Y, **options),
    "pareto": lambda **options: pydarts.pareto(X, Y, limits=[1.0], **options),
    "fit": lambda **options: pydarts.fit(X, Y, 10, **options),
}


@pytest.mark.parametrize("front", FRONTS)
def test_every_front_splits_alike(front: str, tasks: list[ImageClassification]) -> None:
    for options in ({"split": "time"}, {"stratify": ["a"] * 10 + ["b"] * 30}, VALID):
        with pytest.raises(InterruptedError):
            FRONTS[front](**options)
    in_time, strata, valid = tasks
    rng = np.random.default_rng(0)
    kept, last = in_time.halves(np.arange(len(in_time.images)), rng, 0.5)
    assert max(kept) < min(last)
    held_out = front in ("compare", "pareto")  # of what each stratum has
    assert np.bincount(strata.strata()).tolist() == ([8, 24] if held_out else [10, 30])
    assert valid.valid is not None
    np.testing.assert_array_equal(valid.valid[0][:, 0], OTHER)
    assert len(valid.images) == (32 if held_out else 40)
    with pytest.raises(ValueError, match="`X_valid` and `y_valid` must come together"):
        FRONTS[front](X_valid=OTHER)
    if not held_out:
        with pytest.raises(ValueError, match="`groups` has no use with `X_valid`"):
            FRONTS[front](**VALID, groups=np.arange(40))


def test_what_is_validated_on_chooses_among_random_cells() -> None:
    found = pydarts.random_search(X, Y, k=1, **VALID, **TRAIN)
    (cell,) = found.candidates
    model = pydarts.train(cell.genotype, X, Y, **TRAIN)
    assert cell.score == model.score(OTHER, Y[:12])
    part = ImageClassification(X, Y, valid=(OTHER, Y[:12])).split(0.5, RNG)
    assert (part.valid, len(part.images)) == (None, 40)
    assert part.test is not None
    np.testing.assert_array_equal(part.test[0][:, 0], OTHER)


def test_a_comparison_validates_and_knows_on_what(tmp_path: Path) -> None:
    options = {"random_cells": 1, "seeds": [0], "checkpoint": tmp_path, **TRAIN}
    best = {"restore_best_weights": True}
    with pytest.raises(ValueError, match=r"`restore_best_weights` \(=True\) needs data"):
        pydarts.compare(pydarts.DARTS_V2, X, Y, **options, **best)
    pydarts.compare(pydarts.DARTS_V2, X, Y, **options, **best, **VALID)
    other = {"X_valid": OTHER[::-1], "y_valid": Y[:12]}
    with pytest.raises(ValueError, match="of another comparison"):
        pydarts.compare(pydarts.DARTS_V2, X, Y, **options, **best, **other)


def test_a_fit_validates() -> None:
    options = {**TRAIN, "epochs": 2, "restore_best_weights": True, "threads": 1}
    model = pydarts.fit(X, Y, 30, genotype=pydarts.DARTS_V2, **VALID, **options)
    assert [len(model.history), "valid_loss" in model.history[0]] == [2, True]


def test_measuring_a_training_counts_what_is_validated_on() -> None:
    data = ImageClassification(X, Y, valid=(OTHER, Y[:12])).train_data(
        TrainConfig.make("quick", {"batch_size": 4, "epochs": 1}), np.random.default_rng(0)
    )
    sizes = []

    class Counts:
        def logits(self, x: Any, training: bool) -> None:
            sizes.append(len(x))

    assert data.validate_part(Counts()) == 3
    assert sizes == [4]
    assert ImageClassification(X, Y).train_data(CONFIG_OF_4, RNG).validate_part(None) == 0


CONFIG_OF_4 = TrainConfig.make("quick", {"batch_size": 4, "epochs": 1})


def test_searches_side_by_side_take_what_is_validated_on() -> None:
    with ThreadPoolExecutor(1) as executor:
        (found,) = pydarts.search_many(X, Y, seeds=[3], executor=executor, **VALID, **TINY)
    alone = pydarts.search(X, Y, seed=3, threads=1, **VALID, **TINY)
    for name, alphas in alone.alphas.items():
        np.testing.assert_array_equal(found.alphas[name], alphas)


def test_the_command_takes_what_is_validated_on(tmp_path: Path, capsys: Any) -> None:
    for name, arrays in (("data", (X, Y)), ("other", (OTHER, Y[:12]))):
        np.savez(tmp_path / f"{name}.npz", X=arrays[0], y=arrays[1])
    data, other, out = (str(tmp_path / name) for name in ("data.npz", "other.npz", "out"))
    sizes = ["--channels", "1", "--cells", "1", "--epochs", "2", "--batch-size", "4"]
    train = ["train", "DARTS_V2", data, *sizes, "--restore-best-weights", "--no-progress"]
    assert main([*train, "--valid", other, "--out", out]) == 0
    assert "12 to validate on" in capsys.readouterr().out
    history = (tmp_path / "out" / "train_history.csv").read_text()
    assert "valid_loss" in history.splitlines()[0]
    # What is compared is taken from there.
    assert main(["compare", out, "--random", "1", "--seeds", "1", "--epochs", "1"]) == 0
    assert "12 to validate on" in capsys.readouterr().out
    assert main(train) == 2
    assert "--restore-best-weights (=True) needs data to validate on" in capsys.readouterr().err


def test_estimators_validate() -> None:
    pytest.importorskip("sklearn")
    from pydarts.sklearn import DartsClassifier

    given = {"channels": 1, "cells": 1, "epochs": 2, "restore_best_weights": True, "threads": 1}
    given |= {"search_epochs": 1, "search_channels": 1, "search_cells": 1, "batch_size": 8}
    rows, other = X.reshape(40, -1), OTHER.reshape(12, -1)
    found = DartsClassifier(**given, random_state=0)
    found.fit(rows, Y, X_valid=other, y_valid=Y[:12])
    assert "valid_loss" in found.model_.history[0]
    with pytest.raises(ValueError, match="`X_valid` and `y_valid` must come together"):
        found.fit(rows, Y, X_valid=other)
    with pytest.raises(ValueError, match="`split`='time'"):
        DartsClassifier(**given, split="time").fit(rows, Y, groups=Y)


def test_copies_in_both_halves_are_counted_and_told(tmp_path: Path) -> None:
    assert count_shared(X[:30], X[25:]) == 5
    assert count_shared(X[:20], X[20:]) == 0
    twice = np.concatenate([X, X])
    result = pydarts.search(twice, np.tile(Y, 2), split="time", **TINY)
    (note,) = result.data_notes
    assert note.startswith("40 of 40 images of the validation half are in the training half")
    assert note in result.notes()
    result.save(tmp_path)
    assert pydarts.SearchResult.load(tmp_path).data_notes == [note]
    assert pydarts.search(X, Y, **TINY).data_notes == []


def test_copies_to_validate_on_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    options = {name: value for name, value in TINY.items() if name != "order"}
    pydarts.train(pydarts.DARTS_V2, X, Y, X_valid=X[:7], y_valid=Y[:7], **options)
    assert "7 of 7 images of `X_valid` are in `X` as well" in caplog.text


OPTIONS = {"mixup": 0.5, "noise": 0.1, "shift": 1, "time_mask": 2, "rotate": True}


def test_changed_samples_resume_to_the_same_bits(tmp_path: Path) -> None:
    options = TINY | OPTIONS | {"epochs": 3, "frequency_mask": 2}
    whole = pydarts.search(X, Y, **options)
    for name, value in OPTIONS.items():  # each of them changes the search
        plain, own = (pydarts.search(X, Y, **TINY | each) for each in ({}, {name: value}))
        assert any((own.alphas[n] != plain.alphas[n]).any() for n in own.alphas), name

    class Interrupt(pydarts.Callback):
        def on_step_end(self, loop: Any, info: Any) -> None:
            if loop.steps_done == 8:  # in the middle of the second epoch
                raise KeyboardInterrupt

    often = {"checkpoint": tmp_path, "checkpoint_seconds": 0.0}
    half = pydarts.search(X, Y, **options, **often, callbacks=[Interrupt()])
    assert half.interrupted
    again = pydarts.search(X, Y, **options, checkpoint=tmp_path)
    assert len(again.history) == 3
    for name, alphas in whole.alphas.items():
        np.testing.assert_array_equal(again.alphas[name], alphas)


@pytest.mark.parametrize("task", ["multiclass", "multilabel", "regression"])
@pytest.mark.parametrize("weighted", [False, True])
def test_mixup_of_every_task(task: str, weighted: bool) -> None:
    y: Any = {"multiclass": Y, "multilabel": np.eye(2, dtype=int)[Y], "regression": Y * 2.5}[task]
    weights = np.arange(40) + 1.0 if weighted else None
    objective = ImageClassification(X, y, objective=task, sample_weight=weights)
    values = {"batch_size": 10, "mixup": 1.0, "epochs": 1, "crop_padding": 0}
    config = TrainConfig.make("quick", values)
    data = objective.train_data(config, np.random.default_rng(0))
    item = np.arange(10)
    found = data.inputs(item, None, 0, 0)
    share, order = (rng := np.random.default_rng(0)).beta(1.0, 1.0), rng.permutation(10)
    plain = data._x[item]
    np.testing.assert_allclose(
        found["x"], share * plain + (1 - share) * plain[order], rtol=1e-4, atol=1e-5
    )
    targets = found["y"].targets if weighted else found["y"]
    own = objective.codes[item] if task != "multiclass" else np.eye(2)[Y[item]]
    first, second = share * np.ones((10, 1)), (1 - share) * np.ones((10, 1))
    if weights is not None:  # a heavier sample has the larger part of the targets
        first, second = first * weights[item, None], second * weights[item, None][order]
    expected = (first * own + second * own[order]) / (first + second)
    assert targets.dtype == np.float32
    np.testing.assert_allclose(targets, expected, rtol=1e-5, atol=1e-6)
    assert isinstance(found["y"], pydarts.Weighted) == weighted


def test_turns_need_squares_before_anything_runs() -> None:
    for run in (pydarts.search, lambda *a, **k: pydarts.train(pydarts.DARTS_V2, *a, **k)):
        with pytest.raises(ValueError, match=r"`rotate` .*6x5 pixels"):
            run(X[:, :, :5], Y, rotate=True, progress=False, batch_size=4)


def test_images_that_nothing_may_be_left_of_are_refused_before_anything_runs() -> None:
    def train(X: Any, y: Any, **options: Any) -> Any:
        return pydarts.train(pydarts.DARTS_V2, X, y, **options)

    def fit(X: Any, y: Any, **options: Any) -> Any:
        return pydarts.fit(X, y, "1min", **options)

    def compare(X: Any, y: Any, **options: Any) -> Any:
        return pydarts.compare({"v2": pydarts.DARTS_V2}, X, y, **options)

    for run in (pydarts.search, train, fit, compare):
        with pytest.raises(ValueError, match=r"`cutout` \(=6\) .*6x6 pixels: .* 3 is usual"):
            run(X, Y, cutout=6, progress=False, batch_size=4)
    with pytest.raises(ValueError, match=r"`cutout` \(=16\) .*6x6 pixels: .* 3 is usual"):
        train(X, Y, preset="paper")


def test_groups_of_a_file_are_for_splits_alone(tmp_path: Path) -> None:
    """Where nothing is split, or by time, they are nobody's argument."""
    one, two = tmp_path / "one.npz", tmp_path / "two.npz"
    np.savez(one, X=X, y=Y, groups=np.full(40, "me"))
    np.savez(two, X=X, y=Y, groups=np.repeat(["me", "you"], 20))
    small: dict[str, Any] = {**TINY, "threads": 1}
    train = {name: value for name, value in small.items() if name != "order"}
    pydarts.train(pydarts.DARTS_V2, one, **train)
    pydarts.search(one, X_valid=X, y_valid=Y, **small)
    pydarts.search_many(one, seeds=[0], X_valid=X, y_valid=Y, **TINY)
    pydarts.search(two, split="time", **small)
    with pytest.raises(ValueError, match="`groups` holds a single group"):
        pydarts.search(one, **small)
    with pytest.raises(ValueError, match="`groups` have no use with `split`='time'"):
        pydarts.search(X, Y, groups=np.arange(40), split="time", **small)
