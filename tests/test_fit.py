# SPDX-License-Identifier: MIT
"""`fit`: the rule that spends a time, real runs, the command and the estimator."""

from __future__ import annotations

import json
import logging
import math
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import Images, halves

import pydarts
from pydarts import ArgumentError, CheckpointError, Plan
from pydarts.api import fitting
from pydarts.cli import main as cli
from pydarts.spaces import NAS_BENCH_201, S4
from pydarts.spaces.published import strongest
from pydarts.spaces.space import READY
from pydarts.training import pace
from pydarts.training import plan as rule
from pydarts.training.plan import LADDER, MOST_EPOCHS, EpochSeconds, choose_training
from pydarts.training.run_options import RunOptions

QUIET: dict[str, Any] = {"progress": False, "threads": 1}
SMALL: dict[str, Any] = {"channels": 1, "cells": 2, "batch_size": 8}


def images(count: int = 48, seed: int = 0) -> Images:
    return halves(count, side=8, labels=("left", "right"), seed=seed)


def fit(time_budget: Any = None, **options: Any) -> pydarts.Model:
    return pydarts.fit(*images(), time_budget, **{**QUIET, **SMALL, **options})


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Fake what epochs of a search and of a training, and finalists, take."""

    def fake(search: float, train: float, kept: float = 0.0) -> None:
        monkeypatch.setattr(fitting, "search_epoch_seconds", lambda *_: (search, kept))
        monkeypatch.setattr(fitting, "training_epoch_seconds", lambda *_: EpochSeconds(train))
        monkeypatch.setattr(pace, "KNOWN", 2.0)  # never: steps take what they take

    return fake


# The rule


class Clock:
    """A machine whose epochs take so long as weights are many, and measuring no less than 1 s."""

    def __init__(self, seconds: float, speed: float = 1.0):
        self.left, self.speed, self.measured = seconds, speed, 0

    def epoch(self, size: tuple[int, int]) -> EpochSeconds:
        self.left -= 1
        self.measured += 1
        return EpochSeconds(size[0] * size[1] / self.speed)

    def choose(self, images: int, **options: Any) -> rule.TrainingChoice:
        return choose_training(self.epoch, lambda: self.left, images, self.left, **options)


def test_the_largest_that_gets_enough_epochs() -> None:
    # 400,000 images of 40,000 are 10 epochs: of 8x3 240 s, of 8x5 400 s, of 12x5 600 s.
    clock = Clock(500.0)
    found = clock.choose(40_000)
    assert (found.channels, found.cells) == (8, 5)
    assert clock.measured == 3
    # 11.56 epochs fit: twelve of fewer images.
    assert found.epochs == 12
    assert found.epoch_images == int(0.93 * 497 / 40 * 40_000 / 12) == 38_517
    assert found.seconds == pytest.approx(0.93 * 497, rel=1e-4)
    assert "8 channels and 5 cells, the largest of which 10 epochs or more fit" in found.why
    assert (
        "trained for 12 epochs of 38,517 of the 40,000 images each, which fills the time"
        in found.why
    )
    assert Clock(500.0).choose(400_000).cells == 5  # six are the least
    assert Clock(500.0, speed=1.5).choose(40_000).channels == 12


def test_much_time_and_little() -> None:
    most = Clock(1e9).choose(40_000)
    assert (most.channels, most.cells) == LADDER[-1]
    assert most.epochs == MOST_EPOCHS
    assert "200 epochs, which are the most" in most.why
    assert "the largest that is tried" in most.why
    least = Clock(60.0).choose(40_000)
    assert (least.channels, least.cells, least.epochs) == (8, 3, 3)  # for 2.3
    assert "the fastest, though not even 10 epochs of it fit" in least.why
    with pytest.raises(
        ArgumentError,
        match=r"`time_budget` \(=20.0 s\) is too short for one epoch"
        r" .*8 channels and 3 cells: about 29.5 s would do",
    ):
        Clock(20.0).choose(40_000)
    assert Clock(29.5).choose(40_000).epochs == 2  # for 1.1


def test_the_epochs_that_fill_the_time_have_whole_batches() -> None:
    # Of 8x3, which alone is tried, 4.61 epochs of 6 batches fit: 27 batches in 5 epochs.
    found = Clock(120.0).choose(50, sizes=[(8, 3)], batch_size=8)
    assert (found.epochs, found.epoch_images) == (5, 40)
    assert found.seconds == pytest.approx(5 * 24 * 5 / 6)
    # 4.61 epochs of 2 batches are 9 batches, 5 epochs of one batch fewer than 4 of two.
    found = Clock(120.0).choose(17, sizes=[(8, 3)], batch_size=8)
    assert (found.epochs, found.epoch_images, found.seconds) == (4, None, 4 * 24)
    assert "trained for 4 epochs, which fills" in found.why
    # 8.04 epochs leave too little for another one.
    found = Clock(208.5).choose(40_000, sizes=[(8, 3)])
    assert (found.epochs, found.epoch_images) == (8, None)
    # What was given stays.
    found = Clock(120.0).choose(40_000, sizes=[(8, 3)], epoch_images=1000)
    assert (found.epochs, found.epoch_images, found.seconds) == (4, 1000, 4 * 24)
    found = Clock(120.0).choose(40_000, sizes=[(8, 3)], epochs=3)
    assert (found.epochs, found.epoch_images) == (3, None)


def test_a_training_of_epochs_with_fewer_images(timed: Callable[..., None], tmp_path: Path) -> None:
    timed(search=1.0, train=20_000.0)
    x, y = images(64)
    options: dict[str, Any] = {"channels": 4, "cells": 3, "batch_size": 8, "progress": False}
    model = pydarts.fit(x, y, 96_000.0, checkpoint=tmp_path, **options)
    # 4.46 epochs fit into 93 % of the time: 35 batches, of which 5 epochs have 7 each.
    assert (model.plan.epochs, model.plan.epoch_images) == (5, 56)
    assert (model.config.epochs, model.config.epoch_images) == (5, 56)
    assert pydarts.Plan.load(tmp_path / "plan.json") == model.plan
    again = pydarts.fit(x, y, plan=model.plan, **options)
    np.testing.assert_equal(again.network.state_dict(), model.network.state_dict())


def test_few_images_get_enough_steps() -> None:
    found = Clock(1e9).choose(50, few=334)
    assert (found.channels, found.cells, found.epochs) == (*LADDER[-1], 334)
    assert "334 epochs, which are the most" in found.why
    assert Clock(9000.0).choose(50, few=334).cells == 3  # of 8x5 there is time for 209
    assert Clock(1e9).choose(50, few=7).epochs == MOST_EPOCHS


@pytest.mark.parametrize(("count", "batch_size", "few"), [(36, 8, 500), (64, 64, 1000)])
def test_few_images_get_small_batches(count: int, batch_size: int, few: int) -> None:
    task = fitting.ImageClassification(*images(count), threads=1)
    work = fitting.Fitting(task, pydarts.RunOptions(time_budget=9), {})
    assert work._config.batch_size == batch_size
    assert work._few == few


def test_epochs_that_are_given() -> None:
    found = Clock(500.0).choose(40_000, epochs=3)
    assert (found.channels, found.cells, found.epochs) == (16, 8, 3)
    assert "3 epochs, as was asked for" in found.why
    with pytest.raises(ArgumentError, match="too short for 30 epochs of a network"):
        Clock(500.0).choose(40_000, epochs=30)


def test_measuring_leaves_time_for_the_training() -> None:
    clock = Clock(10.0, speed=1e4)  # where each measurement takes a tenth of the time
    found = clock.choose(40_000, epochs=1)
    assert (found.channels, found.cells, clock.measured) == (8, 3, 1)
    assert "the largest that can be measured in little of the time" in found.why
    found = Clock(100.0, speed=1e4).choose(40_000, epochs=1)
    assert (found.channels, found.cells) == LADDER[-1]


def test_a_size_gives_way_when_measuring_a_larger_one_took_its_time() -> None:
    sizes = {(8, 3): EpochSeconds(10.0), (8, 5): EpochSeconds(90.0), (12, 5): EpochSeconds(100.0)}
    left = iter([100.0, 99.0, 99.0, 98.0, 98.0])  # the third takes 48 s to be measured
    found = choose_training(
        sizes.__getitem__, lambda: next(left, 50.0), 40_000, 100.0, sizes=sizes, epochs=1
    )
    assert (found.channels, found.cells, found.epochs) == (8, 3, 1)
    assert "the largest that there is still time for" in found.why


def test_no_time_for_a_few_steps() -> None:
    with pytest.raises(ArgumentError, match=r"\(=9.0 s\) is too short for a few steps of a netw"):
        choose_training(lambda _: EpochSeconds(math.inf), lambda: 1.0, 40_000, 9.0)
    sizes = {(8, 3): EpochSeconds(0.1), (8, 5): EpochSeconds(math.inf)}
    found = choose_training(sizes.__getitem__, lambda: 9.0, 40_000, 9.0, sizes=sizes)
    assert (found.channels, found.cells) == (8, 3)


def test_epochs_that_are_given_may_be_many() -> None:
    assert Clock(1e5).choose(40_000, epochs=2 * MOST_EPOCHS).epochs == 2 * MOST_EPOCHS


def test_validation_takes_as_long_with_fewer_images_an_epoch() -> None:
    """Of 16.1 s two epochs would take 2 (share + 9): there is no share that is more than one."""
    epoch, sizes = EpochSeconds(training=1.0, validation=9.0), [LADDER[0]]
    left = 16.1 / (1 - rule.MARGIN)
    found = choose_training(lambda _: epoch, lambda: left, 1000, left, sizes)
    assert (found.epochs, found.epoch_images, found.seconds) == (1, None, 10.0)
    epoch = EpochSeconds(training=9.0, validation=1.0)
    found = choose_training(lambda _: epoch, lambda: left, 1000, left, sizes)
    assert found.epochs == 2
    assert found.epoch_images is not None
    assert found.seconds == pytest.approx(2 * (9 * found.epoch_images / 1000 + 1))
    assert 16 < found.seconds <= 16.1


@pytest.mark.parametrize("epochs", [1, 3])
def test_few_epochs_fit_in_seconds(epochs: int) -> None:
    model = pydarts.fit(*images(), 2, epochs=epochs, **QUIET)
    assert len(model.history) == epochs


@pytest.mark.parametrize("name", [n for n, s in READY.items() if s.kind == "convolutional"])
def test_the_strongest_cell(name: str) -> None:
    genotype = strongest(READY[name])
    kept = {op for cell in READY[name].cells for op, *_ in genotype.kept(cell.name)}
    expected = {"nas-bench-201": {"nor_conv_3x3"}, "darts": {"sep_conv_5x5"}}
    assert not kept & {"none", "noise", "skip_connect", "max_pool_3x3", "avg_pool_3x3"} or (
        name == "s2"  # some of its edges have nothing else
    )
    assert kept == expected.get(name, kept)


@pytest.mark.parametrize("name", ["none", "noise"])
def test_of_operations_without_weights_none_and_noise_are_not_the_strongest(name: str) -> None:
    none, skip, *others = NAS_BENCH_201.operations
    noise = next(op for op in S4.operations if op.is_noise)
    operations = [none, noise, skip, *others]
    weak = none if name == "none" else noise
    edges = [[weak, skip], [weak, skip, others[1]], [skip]]
    cell = replace(NAS_BENCH_201.cells[0], nodes=2, edges=edges)
    space = NAS_BENCH_201.replace(name="few", operations=operations, cells=[cell])
    assert [op for op, *_ in strongest(space).kept("normal")] == [
        "skip_connect",
        "nor_conv_3x3",
        "skip_connect",
    ]


# Real runs


@pytest.mark.slow
def test_in_a_few_seconds(timed: Callable[..., None]) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    X, y = datasets.load_digits(return_X_y=True)
    X = X.reshape(-1, 8, 8)
    timed(search=60.0, train=1.5)  # ten times as much as they take, if nothing else is done
    model = pydarts.fit(X[:1400], y[:1400], "20s", progress=False)
    assert model.score(X[1400:], y[1400:]) > 0.7
    plan = model.plan
    assert plan is not None
    assert model.search is None
    assert not plan.searched
    assert plan.cell == "DARTS_V2"
    assert model.genotype == pydarts.DARTS_V2
    assert (plan.channels, plan.cells) in LADDER
    assert model.config.epochs == plan.epochs
    assert (model.config.channels, model.config.cells) == (plan.channels, plan.cells)
    assert model.config.label_smoothing == rule.RECIPE["label_smoothing"]
    assert plan.prepare_seconds > 0
    assert 0 < plan.train_seconds < 20
    assert "published DARTS_V2" in str(plan)


def test_a_search_and_its_plan_again(timed: Callable[..., None]) -> None:
    timed(search=1.0, train=0.9)
    model = fit("10s", search="always", seed=3)
    plan, search = model.plan, model.search
    assert plan is not None
    assert search is not None
    # 0.4 x 10 s less 7 % are 3 epochs, and of what is left 7 % less.
    assert (plan.cell, plan.search_preset, plan.search_epochs) == ("search", "quick", 3)
    assert len(search.history) == 3
    assert model.genotype == search.genotype
    assert search.config.seed == model.config.seed == 3
    assert 5 <= plan.epochs <= 10
    assert len(plan.why) == 2
    assert "A search was wanted: the cell is searched for 3 epochs" in plan.why[0]
    timed(search=1e9, train=1e9)
    again = fit(plan=plan, seed=3)
    assert again.plan == plan
    state, theirs = again.network.state_dict(), model.network.state_dict()
    assert all(np.array_equal(value, theirs[name]) for name, value in state.items())


def test_the_options_go_where_they_belong(timed: Callable[..., None]) -> None:
    timed(search=1.0, train=1.0)
    model = fit(5, genotype=pydarts.DARTS_V1, lr=0.01, label_smoothing=0.0, epochs=2)
    assert model.genotype == pydarts.DARTS_V1
    assert model.plan is not None
    assert model.plan.cell == "given"
    assert model.plan.epochs == 2
    assert (model.config.channels, model.config.cells) == (1, 2)
    assert (model.config.lr, model.config.label_smoothing) == (0.01, 0.0)


@pytest.mark.parametrize(
    ("space", "options", "cell", "why"),
    [
        ("darts", {}, "DARTS_V2", "it is not known that a search is worth its part of 4.0 s"),
        ("darts", {"search": "never"}, "DARTS_V2", "as no search was wanted"),
        ("s4", {}, "strongest", "would want about .* the cell is the strongest-operation constant"),
        (
            "s4",
            {"search": "never"},
            "strongest",
            "s4 has no published cell: it is the strongest",
        ),
    ],
)
def test_cells_without_a_search(
    space: str, options: Any, cell: str, why: str, timed: Callable[..., None]
) -> None:
    timed(search=1.0, train=1.5)
    model = fit(4, space=space, **options)
    assert model.plan is not None
    assert model.search is None
    assert model.plan.cell == cell
    assert model.space == READY[space]
    assert len(model.plan.why) == 2
    assert re.search(why, str(model.plan))


def test_the_budget_from_which_a_search_pays(
    timed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    timed(search=0.4, train=1.5)
    monkeypatch.setattr(fitting, "PAYS_FROM", 4.0)
    assert fit(4).search is not None
    assert fit(3.9).search is None


def test_much_time_for_a_search(timed: Callable[..., None]) -> None:
    timed(search=1.0, train=1.0)
    run = pydarts.RunOptions(time_budget=1000)
    task = fitting.ImageClassification(*images(), space=READY["s4"], threads=1)
    found = fitting.Fitting(task, run, {})._plan_cell()
    assert (found.search_preset, found.search_epochs) == ("standard", 25)
    run = pydarts.RunOptions(time_budget=50)
    found = fitting.Fitting(task, run, {})._plan_cell()
    assert (found.search_preset, found.search_epochs) == ("quick", 15)


@pytest.mark.usefixtures("usual_selector")
def test_a_search_by_finalists(timed: Callable[..., None]) -> None:
    timed(search=1.0, train=0.9, kept=4.0)
    model = fit("20s", space="s4")
    assert model.plan is not None
    assert model.search is not None
    # 0.4 x 20 s less 7 % are 7.4 s.
    assert (model.plan.search_epochs, round(model.plan.search_seconds, 1)) == (3, 7.0)
    assert "3 epochs of the preset quick and chosen among finalists, in" in model.plan.why[0]
    assert (model.search.selector, model.search.stopped) == ("finalists", None)
    assert len(model.search.finalists) > pydarts.Finalists().candidates
    with pytest.raises(ValueError, match=r"about 17\.. s would do"):
        timed(search=1.0, train=0.9, kept=1.0)
        fit("5s", space="s4", search="always")


def test_it_goes_on_with_its_plan(timed: Callable[..., None], tmp_path: Path) -> None:
    timed(search=1.0, train=0.9)
    options: dict[str, Any] = {"space": "s4", "checkpoint": tmp_path}

    class Stop(pydarts.Callback):
        def on_epoch_end(self, loop: Any, entry: Any) -> None:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        fit("10s", **options, callbacks=[Stop()])
    kept = Plan.load(tmp_path / "plan.json")
    assert kept.searched
    assert kept.epochs > 0
    timed(search=1e9, train=1e9)  # nothing is measured again
    model = fit("10s", **options)
    assert model.plan == kept
    assert model.search is not None
    assert len(model.history) == kept.epochs


def test_a_search_that_was_cut_short_is_over(
    timed: Callable[..., None],
    spend: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    timed(search=0.5, train=1.0)  # 25 epochs in 12.5 s
    options: dict[str, Any] = {"space": "s4", "checkpoint": tmp_path, "epochs": 2}

    class Slow(pydarts.Callback):
        def on_epoch_end(self, loop: Any, entry: Any) -> None:
            if loop.epoch == 3:
                spend(17.0)

    class Stop(pydarts.Callback):
        def on_epoch_end(self, loop: Any, entry: Any) -> None:
            raise RuntimeError("killed")

    def run_search(task: Any, method: Any, config: Any, run: Any, *more: Any) -> Any:
        return search(task, method, config, replace(run, callbacks=(Slow(),)), *more)

    search = fitting.run_search
    monkeypatch.setattr(fitting, "run_search", run_search)
    with pytest.raises(RuntimeError, match="killed"):
        fit(40, **options, callbacks=[Stop()])
    result = fit(40, **options).search
    assert result is not None
    assert result.stopped is not None
    assert "is spent" in result.stopped
    assert len(result.history) == 3


def test_networks_beyond_the_memory_are_not_tried(timed: Callable[..., None]) -> None:
    timed(search=1.0, train=0.001)
    task = fitting.ImageClassification(*images(), threads=1)
    run = pydarts.RunOptions(time_budget=100, memory_budget="20MB")
    work = fitting.Fitting(task, run, {"batch_size": 8}, genotype=pydarts.DARTS_V2)
    found, _ = work._plan_training(work._plan_cell())
    config = pydarts.TrainConfig.make("quick", {"batch_size": 8, "channels": found.channels})
    config = pydarts.TrainConfig.make("quick", {"cells": found.cells}, config=config)
    assert LADDER[0] < (found.channels, found.cells) < LADDER[-1]
    assert task.train_bytes(pydarts.DARTS_V2, config) <= 20e6


def test_why_is_logged(timed: Callable[..., None], caplog: pytest.LogCaptureFixture) -> None:
    timed(search=1.0, train=1.5)
    with caplog.at_level(logging.INFO, "pydarts"):
        model = fit(4)
    assert model.plan is not None
    assert [r.message for r in caplog.records if "epoch   " not in r.message] == [*model.plan.why]


# Errors


@pytest.mark.parametrize(
    ("options", "argument", "message"),
    [
        ({}, "time_budget", r"\(=None\) must be a time"),
        ({"time_budget": "soon"}, "time_budget", r"\(='soon'\)"),
        ({"time_budget": 1e-4}, "time_budget", "is too short"),
        ({"time_budget": 3, "search": "yes"}, "search", r"\(='yes'\) must be .*always"),
        ({"time_budget": 3, "plan": {}}, "plan", r"\(=\{\}\) must be a pydarts.Plan"),
        ({"time_budget": 3, "epochs": 0}, "epochs", r"\(=0\)"),
        ({"time_budget": 3, "batch_size": 99}, "batch_size", "99"),
        (
            {"plan": Plan(cell="DARTS_V3", channels=1, cells=2, epochs=1)},
            "plan",
            "has the cell 'DARTS_V3'",
        ),
        (
            {"plan": Plan(cell="given", channels=1, cells=2, epochs=1)},
            "plan",
            "`genotype` that was given",
        ),
        (
            {"time_budget": 3, "search": "always", "genotype": pydarts.DARTS_V2},
            "search",
            "leaves no use for `genotype`",
        ),
    ],
)
def test_errors(options: dict[str, Any], argument: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message) as error:
        fit(**options)
    assert error.value.argument == argument


def test_too_short_to_search(timed: Callable[..., None]) -> None:
    timed(search=10.0, train=1.0)
    with pytest.raises(ArgumentError, match=r"\(=20.0 s\) is too short to search, of which 3"):
        fit(20, search="always")
    with pytest.raises(TypeError, match=r"unknown option `epoch`: did you mean `epochs`\?"):
        fit(20, epoch=3)


def test_measuring_a_search_has_an_end() -> None:
    X, y = images()
    large = X.repeat(4, axis=1).repeat(4, axis=2)  # the engine looks at the clock every 50 ms
    with pytest.raises(ArgumentError, match=r"3 epochs are the least$"):
        pydarts.fit(large, y, 0.01, search="always", **QUIET, **SMALL)


@pytest.mark.parametrize("text", ["{}", '{"format": "pydarts-plan", "version": 1}', "no"])
def test_files_that_hold_no_plan(text: str, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(ValueError, match=r"plan\.json cannot be read"):
        fit(3, checkpoint=tmp_path)


# The command and the estimator


@pytest.fixture
def data(tmp_path: Path) -> str:
    path = tmp_path / "data.npz"
    (X, y), (X_test, y_test) = images(), images(20, 1)
    np.savez(path, X=X, y=y, X_test=X_test, y_test=y_test)
    return str(path)


def test_the_command(
    data: str, tmp_path: Path, timed: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    timed(search=1.0, train=0.9)
    out = tmp_path / "out"
    command = ["fit", data, "--time-budget", "10s", "--space", "s4", "--out", str(out)]
    command += ["--channels", "1", "--cells", "2", "--batch-size", "8", "--threads", "1"]
    assert cli.main([*command, "--no-progress"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "s4 has no published cell: the cell is searched for 3 epochs" in text
    assert "The network has 1 channels and 2 cells" in text
    assert "Accuracy on 20 test images" in text
    names = {path.name for path in out.iterdir()}
    assert {"plan.json", "genotype.json", "result.json", "model", "train_history.csv"} <= names
    summary = json.loads((out / "summary.json").read_text())
    assert summary["plan"]["search_epochs"] == 3
    assert summary["state"] == "finished"
    plan = Plan.load(out / "plan.json")
    assert summary["plan"]["why"] == [*plan.why]
    assert pydarts.Model.load(out / "model").genotype == pydarts.SearchResult.load(out).genotype
    # Given again it goes on, and anew it leaves nothing of a search that there is none of.
    assert cli.main([*command, "--no-progress"]) == 0
    assert "Going on with the plan" in capsys.readouterr().out
    anew = [*command, "--force", "--search", "never", "--no-progress"]
    assert cli.main(anew) == 0
    assert not (out / "result.json").exists()
    assert Plan.load(out / "plan.json").cell == "strongest"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--time-budget", "0.0001s"], "--time-budget (=0.0001 s) is too short"),
        (["--time-budget", "soon"], "--time-budget (='soon')"),
        (["--time-budget", "5s", "--epochs", "0"], "--epochs (=0)"),
        (["--time-budget", "5s", "--genotype", "DARTS_V3"], "no genotype 'DARTS_V3': give"),
        (
            ["--time-budget", "5s", "--genotype", "DARTS_V1", "--search", "always"],
            "leaves no use for --genotype",
        ),
        ([], "--time-budget"),
    ],
)
def test_errors_of_the_command(
    data: str, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["fit", data, *more, "--batch-size", "8"]) == 2
    assert message in capsys.readouterr().err


def test_the_estimator(timed: Callable[..., None], tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    from pydarts.sklearn import DartsClassifier

    timed(search=1.0, train=0.9)
    X, y = images()
    options = {"channels": 1, "cells": 2, "batch_size": 8, "threads": 1, "random_state": 0}
    classifier = DartsClassifier(time_budget="5s", **options).fit(X.reshape(48, -1), y)
    plan = classifier.model_.plan
    assert plan is not None
    assert plan.cell == "DARTS_V2"
    assert plan.epochs == 5
    assert classifier.model_.config.crop_padding == 0  # rows may be no images
    classifier.save(tmp_path)
    assert DartsClassifier.load(tmp_path).time_budget == "5s"
    with pytest.raises(ArgumentError, match=r"`search_epochs` \(=3\) is not used with a"):
        DartsClassifier(time_budget=5, search_epochs=3).fit(X, y)
    with pytest.raises(ArgumentError, match=r"`selector` \(='perturbation'\) is not used with a"):
        DartsClassifier(time_budget=5, selector="perturbation").fit(X, y)


def test_what_is_not_as_planned_is_refused(timed: Callable[..., None], tmp_path: Path) -> None:
    timed(search=1.0, train=20.0)
    plan = fit("100s", checkpoint=tmp_path).plan
    assert plan is not None
    assert (plan.cell, plan.epochs) == ("DARTS_V2", 5)
    for options, match in (
        (
            {"genotype": pydarts.DARTS_V1},
            "`genotype` is not that of the `plan`, which has .*V2",
        ),
        ({"search": "always"}, r"`search` \(='always'\) .*, with the cell 'DARTS_V2'"),
        ({"epochs": 3}, r"`epochs` \(=3\) is not that of the `plan`, 5"),
        ({"channels": 4}, r"`channels` \(=4\) is not that of the `plan`, 1"),
    ):
        for given in ({"checkpoint": tmp_path}, {"plan": plan}):
            with pytest.raises(ArgumentError, match=match):
                fit("100s", **given, **options)
    searched = Plan(cell="search", search_preset="quick", search_epochs=3)
    with pytest.raises(ArgumentError, match=r"`search` \(='never'\) .*, with a search"):
        fit("100s", plan=searched, search="never")
    with pytest.raises(ArgumentError, match=r"`time_budget` .*the `plan` has no training yet"):
        fit(plan=searched)


def test_options_that_stand_for_the_usual_are_not_chosen(
    timed: Callable[..., None], tmp_path: Path
) -> None:
    """All images, and as many epochs as fit: also where the run goes on."""
    timed(1.0, 2.0)
    options: dict[str, Any] = {"epochs": None, "epoch_images": None, "checkpoint": tmp_path}
    model = fit(6.1, **options)
    assert model.plan is not None
    assert (model.plan.epochs, model.plan.epoch_images) == (2, 48)
    again = fit(6.1, **options)
    assert again.plan == model.plan


def test_a_plan_of_other_data_is_refused(timed: Callable[..., None], tmp_path: Path) -> None:
    timed(1.0, 1.0)
    fit(5, checkpoint=tmp_path, epochs=1)
    (tmp_path / "train_checkpoint.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"plan\.json is of another run \(other data\)"):
        pydarts.fit(*images(40), 5, checkpoint=tmp_path, epochs=1, **QUIET, **SMALL)
    path = tmp_path / rule.PLAN
    described = json.loads(path.read_text())
    del described["data"]  # as of an earlier version
    path.write_text(json.dumps(described))
    model = pydarts.fit(*images(40), 5, checkpoint=tmp_path, epochs=1, **QUIET, **SMALL)
    assert model.plan == Plan.load(path)


@pytest.mark.parametrize("method", ["fixed-pt", "darts-pt"])
def test_what_perturbation_takes_is_planned(
    method: str, timed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    timed(1.0, 1.0, kept=30.0)
    with pytest.raises(ArgumentError, match=r"too short to search, of which 3 epochs are the lea"):
        fit(60, search="always", method=method)
    searched: dict[str, float] = {}

    def run(*given: Any) -> Any:
        searched["seconds"] = given[3].budget_seconds
        raise KeyboardInterrupt

    monkeypatch.setattr(fitting, "run_search", run)
    shown: list[str] = []
    task = fitting.ImageClassification(*images(), space=NAS_BENCH_201, threads=1)
    how: dict[str, Any] = {"search": "always", "method": method, "show": shown.append}
    half = fitting.Fitting(task, RunOptions(time_budget=1000), SMALL, **how)
    with pytest.raises(KeyboardInterrupt):
        half.find_cell()
    assert "and chosen by perturbation, in about" in shown[0]
    assert half.plan is not None
    assert half.plan.search_seconds == half.plan.search_epochs + 30
    assert searched["seconds"] == pytest.approx(1.3 * half.plan.search_seconds)


def test_the_clock_of_a_search_starts_when_its_limits_are_measured(
    timed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    timed(1.0, 0.01)
    times: dict[str, float] = {}

    def measure(*_: Any) -> None:
        times["measured"] = time.perf_counter()

    def run(*given: Any) -> Any:
        times["started"] = given[3].started
        raise KeyboardInterrupt

    monkeypatch.setattr(fitting.Fitting, "_budget", measure)
    monkeypatch.setattr(fitting, "run_search", run)
    task = fitting.ImageClassification(*images(), threads=1)
    limits = fitting.Limits(max_weights=10**6)
    options = RunOptions(time_budget=1000)
    with pytest.raises(KeyboardInterrupt):
        fitting.Fitting(task, options, SMALL, search="always", limits=limits).find_cell()
    assert times["started"] > times["measured"]


@pytest.mark.parametrize("given", [{"profile": "none.json"}, {"latency_threads": 2}])
def test_what_is_for_limits_alone(given: dict[str, Any]) -> None:
    (name,) = given
    fronts = ((pydarts.search, {}), (pydarts.fit, {"time_budget": 5}))
    for front, more in (*fronts, (pydarts.search_many, {"seeds": [0]})):
        with pytest.raises(ArgumentError, match="has no use without a limit") as error:
            front(*images(), **more, **given, **QUIET, **SMALL)  # type: ignore[operator]
        assert error.value.argument == name
