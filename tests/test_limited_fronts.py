# SPDX-License-Identifier: MIT
"""Limits in `fit`, `estimate`, `search_many`, over text, and on the command line of these."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import halves

import pydarts
from pydarts import Plan
from pydarts.api import fitting, limits
from pydarts.cli.main import main
from pydarts.costs.budget import Budget
from pydarts.costs.counts import count_network
from pydarts.costs.profile import Profile
from pydarts.costs.shape import NetworkShape
from pydarts.spaces import S4
from pydarts.training.limited import MAX_REPEATS, phase_epochs
from pydarts.training.plan import LADDER, SMALLER, EpochSeconds
from tests.test_limits import SHAPE, TARGET, invented_profile, limit_at

TINY: dict[str, Any] = {"batch_size": 4, "progress": False, "threads": 1}
SMALL: dict[str, Any] = {**TINY, "channels": 1, "cells": 2, "epochs": 2, "order": 1}


def macs_of(genotype: Any, size: tuple[int, int]) -> int:
    return count_network(genotype, NetworkShape((6, 6), *size, 2, 1)).macs


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Fake what epochs of a search and of a training take."""

    def fake(search: float, train: float) -> None:
        monkeypatch.setattr(fitting, "search_epoch_seconds", lambda *_: (search, 0.0))
        monkeypatch.setattr(fitting, "training_epoch_seconds", lambda *_: EpochSeconds(train))

    return fake


def fit(time_budget: Any = 20, **options: Any) -> pydarts.Model:
    return pydarts.fit(*halves(), time_budget, **{**TINY, **options})


@pytest.mark.parametrize("size", [SMALLER[0], pytest.param(LADDER[0], marks=pytest.mark.slow)])
def test_sizes_above_a_limit_are_left_out(size: tuple[int, int], timed: Any) -> None:
    timed(search=1.0, train=1e-3)
    limit = macs_of(pydarts.DARTS_V2, size)
    model = fit(max_macs=limit, epochs=1)
    assert (model.config.channels, model.config.cells) == size
    assert model.plan is not None
    assert model.plan.limits == {"macs": limit}
    assert "the largest that is within the limits" in str(model.plan)
    assert f"It has {limit:,} multiply-adds, within the limit of" in str(model.plan)


def test_a_cell_that_is_given_must_meet_the_limits(timed: Any) -> None:
    timed(search=1.0, train=1.0)
    least = macs_of(pydarts.DARTS_V2, SMALLER[0])
    for options in ({"genotype": pydarts.DARTS_V2}, {"search": "never"}):
        with pytest.raises(ValueError, match=rf"`max_macs` .* met by no network.* {least:,} multi"):
            fit(max_macs=least - 1, **options)


@pytest.mark.slow
def test_a_published_cell_gives_way_to_a_search(timed: Any) -> None:
    timed(search=1.0, train=0.5)
    limit = macs_of(pydarts.DARTS_V2, SMALLER[0]) - 1
    model = fit(max_macs=limit, epochs=1)
    assert model.plan is not None
    assert model.search is not None
    assert "DARTS_V2 has" in str(model.plan)
    assert "of the smallest network already: the cell is searched" in str(model.plan)
    assert macs_of(model.genotype, (model.config.channels, model.config.cells)) <= limit


def test_the_search_is_for_the_network_that_is_trained(timed: Any, tmp_path: Path) -> None:
    timed(search=1.0, train=1e-3)
    cells = [S4.genotype.random(seed, space=S4) for seed in range(8)]
    size = LADDER[0]
    limit = np.mean([macs_of(cell, size) for cell in cells])
    options = {"max_macs": limit, "space": "s4", "epochs": 1}
    model = fit(**options, checkpoint=tmp_path)
    plan = model.plan
    assert plan is not None
    assert (plan.channels, plan.cells) == size
    assert "random cells are within the limits in the mean" in plan.why[0]
    assert model.search is not None
    assert model.search.limits["macs"]["limit"] == pytest.approx(limit)
    assert model.search.limits["macs"]["measured"] == macs_of(model.genotype, size) <= limit
    assert Plan.load(tmp_path / "plan.json") == plan
    again = fit(**options, checkpoint=tmp_path)  # all is done
    assert again.genotype == model.genotype
    twice = fit(None, **options, plan=plan)
    theirs = twice.network.state_dict()
    for name, value in model.network.state_dict().items():
        np.testing.assert_array_equal(theirs[name], value)
    with pytest.raises(ValueError, match=r"`plan` is one with the limit of .* and not with no"):
        fit(None, space="s4", plan=plan)


def test_little_time_leaves_the_strongest_cell(timed: Any) -> None:
    timed(search=9.0, train=14.0)  # not in six tenths of the time, but in all of it
    model = fit(space="s4", max_macs="1G", batch_size=4)
    assert model.plan is not None
    assert (model.plan.cell, model.plan.epochs) == ("strongest", 2)


def test_a_latency_is_measured_where_the_cell_is_known(
    timed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed(search=1.0, train=1e-3)
    asked = []

    def measure(genotypes: Any, shape: NetworkShape, *_: Any) -> Any:
        asked.append((shape.channels, shape.cells))
        return [type("Timing", (), {"median": 1e-4 * shape.channels})() for _ in genotypes]

    monkeypatch.setattr(fitting, "measure_genotypes", measure)
    model = fit(max_latency="0.85ms", epochs=1)
    assert (model.config.channels, model.config.cells) == (8, 5)
    assert asked == [*SMALLER, *LADDER[:3]]


@pytest.mark.slow
def test_a_profile_decides_the_sizes(timed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    timed(search=1.0, train=1e-3)
    monkeypatch.setattr(Budget, "measure", lambda self, genotype: 1e-6)
    profile = invented_profile()
    model = fit(max_latency=1.0, profile=profile, search="always", epochs=1)
    assert (model.config.channels, model.config.cells) == (SHAPE.channels, SHAPE.cells)


def test_an_estimate_knows_limits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Budget, "measure", lambda self, genotype: 1e-6)
    steps = []
    press = pydarts.training.limited.LimitedStep._press
    monkeypatch.setattr(
        pydarts.training.limited.LimitedStep,
        "_press",
        lambda self: (steps.append(1), press(self)),
    )
    assert pydarts.estimate(*halves(), **SMALL).repeatable_epochs == 0
    assert not steps
    found = pydarts.estimate(*halves(), **SMALL, max_macs=limit_at(0.5), target=TARGET)
    assert (found.epochs, found.repeatable_epochs) == (2, 0)
    assert len(steps) >= 3  # the penalty is part of a step
    profile = invented_profile()
    # A search that would go on has measured; an estimate does so itself.
    monkeypatch.setattr(limits, "kept_profile", lambda *_: profile)
    (tmp_path / "checkpoint.safetensors").touch()
    given = {**SMALL, "max_latency": 1.0, "target": TARGET, "checkpoint": tmp_path}
    found = pydarts.estimate(*halves(), **given)
    assert found.repeatable_epochs == MAX_REPEATS * phase_epochs(2)
    assert "up to 2 epochs more" in str(found)
    with pytest.raises(ValueError, match=r"`max_macs` .* is met by no cell"):
        pydarts.estimate(*halves(), **SMALL, max_macs=10, target=TARGET)
    with pytest.raises(ValueError, match=r"`selector` .*'perturbation'"):
        pydarts.estimate(*halves(), **SMALL, max_macs=1e9, selector="perturbation")


@pytest.mark.slow
def test_searches_side_by_side_have_limits(tmp_path: Path, monkeypatch: Any) -> None:
    measured = []

    def kept(*arguments: Any) -> Profile:
        measured.append(arguments[3])
        return invented_profile()

    monkeypatch.setattr(limits, "kept_profile", kept)
    monkeypatch.setattr(Budget, "measure", lambda self, genotype: 1e-6)
    options = {**SMALL, "threads": 1, "target": TARGET, "checkpoint": tmp_path}
    with ThreadPoolExecutor(1) as executor:
        found = pydarts.search_many(
            *halves(),
            seeds=[0, 1],
            executor=executor,
            **options,
            max_latency=1.0,
            max_macs=limit_at(0.5),
        )
    assert measured == [tmp_path]
    for each in found:
        assert each.limits["latency"]["limit"] == 1.0
        assert each.limits["macs"]["measured"] <= limit_at(0.5)
    with pytest.raises(ValueError, match=r"`max_macs` .* is met by no cell"):
        pydarts.search_many(*halves(), seeds=[0], **SMALL, max_macs=10, target=TARGET)


def test_text_has_no_limits_and_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    calls: list[Any] = [pydarts.search_text, pydarts.estimate_text]
    calls.append(lambda text, **options: pydarts.search_many_text(text, seeds=[0], **options))
    for call in calls:
        with pytest.raises(TypeError, match=r"`max_macs` \(='5M'\) is for networks over images"):
            call("a text", max_macs="5M")
    assert main(["search-text", "--max-latency", "1ms"]) == 2
    assert "--hidden-size decides what they cost" in capsys.readouterr().err


def test_fit_has_limits_on_the_command_line(
    timed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    timed(search=1.0, train=1e-3)
    X, y = halves(40)
    np.savez(tmp_path / "data.npz", X=X, y=y)
    limit = macs_of(pydarts.DARTS_V2, SMALLER[1])
    command = ["fit", str(tmp_path / "data.npz"), "--time-budget", "20s", "--threads", "1"]
    command += ["--no-progress", "--epochs", "1", "--batch-size", "4", "--max-macs"]
    assert main([*command, str(limit)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"It has {limit:,} multiply-adds, within the limit of" in said
    assert main([*command, "10"]) == 2
    assert "--max-macs (=10 multiply-adds)" in capsys.readouterr().err
