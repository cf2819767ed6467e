# SPDX-License-Identifier: MIT
"""Search methods of one's own: through the public search, its checkpoints, and its results."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import TEXT, Interrupt, halves, untimed

import pydarts
from pydarts.bilevel import BilevelStep, StepInfo
from pydarts.engine.sgd import SGD
from pydarts.spaces import DARTS

ROOT = Path(__file__).parents[1]


class WeightsOnly:
    """A step that moves the weights alone."""

    def __init__(self, supernet: Any, **weight_options: Any):
        self.supernet = supernet
        names = ("momentum", "weight_decay", "max_grad_norm", "ar", "tar")
        chosen = {"momentum": 0.0, **weight_options}
        self.sgd = SGD(supernet, **{name: chosen[name] for name in names if name in chosen})

    @property
    def steps(self) -> int:
        return self.sgd.steps

    def __call__(self, *, train: Any, valid: Any, lr: float, hidden: Any = None) -> StepInfo:
        info = self.sgd(*train, lr, hidden=None if hidden is None else hidden[0])
        return StepInfo(info.train_loss, 0.0, info.train_correct, 0, 0.0, 0.0, info.hidden)

    def start_epoch(self, epoch: int, epochs: int) -> None:
        pass

    def state(self) -> dict[str, Any]:
        return self.sgd.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        self.sgd.restore(state)


class Still:
    """Learn the weights of the supernet, leave α alone, and choose a random cell."""

    name = "still"

    def step(self, supernet: Any, **weight_options: Any) -> WeightsOnly:
        return WeightsOnly(supernet, **weight_options)

    def select(self, alphas: Any, space: Any) -> Any:
        return space.genotype.random(7)


class FirstOrder:
    """DARTS of first order, whatever the configuration says."""

    name = "first order"

    def step(self, supernet: Any, **weight_options: Any) -> BilevelStep:
        return BilevelStep(supernet, order=1, **weight_options)

    def select(self, alphas: Any, space: Any) -> Any:
        return space.derive(alphas)


class Start(pydarts.Callback):
    """Keep the weights of the start."""

    def on_start(self, loop: Any) -> None:
        self.weights = np.array(loop.network.flat_weights)


def search_images(**options: Any) -> Any:
    small = {"channels": 1, "cells": 2, "batch_size": 4, "epochs": 2, "threads": 1}
    return pydarts.search(*halves(), **{**small, "progress": False, **options})


def search_text(**options: Any) -> Any:
    small = {"hidden_size": 4, "batch_size": 4, "bptt": 8, "epochs": 2, "threads": 1}
    return pydarts.search_text(TEXT, **{**small, "progress": False, **options})


@pytest.fixture(params=[search_images, search_text], ids=["images", "text"])
def search(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_a_method_decides_about_alphas_and_cell(search: Any, tmp_path: Path) -> None:
    start = Start()
    result = search(method=Still(), callbacks=[start])
    cell = type(result.genotype).random(7)
    assert result.genotype == cell != result.supernet.genotype
    assert [entry["genotype"] for entry in result.history] == [str(cell)] * 2
    skips = cell.space.count_skips(cell)
    assert [entry["skips"] for entry in result.history] == [skips] * 2
    for history in result.alpha_history.values():
        assert len(history) == 3
        np.testing.assert_array_equal(history[0], history[1])
        np.testing.assert_array_equal(history[0], history[2])
    assert not np.array_equal(result.supernet.flat_weights, start.weights)
    result.save(tmp_path)
    assert pydarts.SearchResult.load(tmp_path).genotype == cell


def test_progress_shows_its_cell(search: Any, capfd: pytest.CaptureFixture[str]) -> None:
    cell = search(method=Still(), epochs=1, progress=True).genotype
    shown = capfd.readouterr().err
    assert all(line in shown for line in cell.describe())


def test_a_method_decides_about_the_step(search: Any) -> None:
    # The step's own rate is the original's, the preset's another one.
    rate = {"alpha_lr": 3e-4 if search is search_images else 3e-3}
    found, expected = search(method=FirstOrder()), search(order=1, **rate)
    for name, history in found.alpha_history.items():
        np.testing.assert_array_equal(history, expected.alpha_history[name])
    assert untimed(found.history) == untimed(expected.history)
    assert untimed(found.history) != untimed(search(order=2, **rate).history)


def test_its_checkpoint_goes_on(search: Any, tmp_path: Path) -> None:
    whole = search(method=Still())
    keep = {"method": Still(), "checkpoint": tmp_path, "checkpoint_seconds": 0}
    assert search(callbacks=[Interrupt(3)], **keep).interrupted
    assert search(callbacks=[Interrupt(6)], **keep).interrupted
    result = search(**keep)
    assert untimed(result.history) == untimed(whole.history)
    for name, value in whole.supernet.state().items():
        np.testing.assert_array_equal(value, result.supernet.state()[name], err_msg=name)


def test_its_checkpoint_is_not_that_of_another(search: Any, tmp_path: Path) -> None:
    search(method=Still(), checkpoint=tmp_path, epochs=1)
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    with pytest.raises(pydarts.CheckpointError, match=r"\(`method` was 'still', is 'darts'\)"):
        search(checkpoint=tmp_path, epochs=1)
    with pytest.raises(pydarts.CheckpointError, match="`method` was 'still', is 'first order'"):
        search(method=FirstOrder(), checkpoint=tmp_path, epochs=1)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before
    assert search(checkpoint=tmp_path, epochs=1, resume="never").alphas.keys()
    with pytest.raises(pydarts.CheckpointError, match="`method` was 'darts', is 'still'"):
        search(method=Still(), checkpoint=tmp_path, epochs=1)


def test_callbacks_and_budgets_work_with_it(search: Any) -> None:
    collapse = pydarts.StopOnSkipCollapse(limit=0)
    result = search(method=Still(), callbacks=[collapse], time_budget=60, eigenvalue=True)
    cell = result.genotype
    assert (result.stopped is not None) == (cell.space.count_skips(cell) > 0)
    assert all(isinstance(entry["eigenvalue"], float) for entry in result.history)


def test_the_method_of_the_contributing_page() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    result = search_images(method=names["FewSkips"]())
    assert result.genotype.space.count_skips(result.genotype) <= 2
    alphas = {name: np.zeros((14, 8)) for name in ("normal", "reduce")}
    alphas["normal"][:, 3] = 1.0  # skips everywhere
    assert pydarts.Genotype.derive(alphas).normal[0][0] == "skip_connect"
    cell = names["FewSkips"]().select(alphas, DARTS)
    assert [op for op, _ in cell.normal].count("skip_connect") <= 2
