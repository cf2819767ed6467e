# SPDX-License-Identifier: MIT
"""The residual networks of `benchmarks.accuracy`, and its table."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks import accuracy
from benchmarks.reference import resnet
from pydarts.spaces import DARTS
from pydarts.spaces.published import strongest

ROW = {"minutes": 5.0, "images": None, "threads": 2, "crop_padding": 1, "flip": False}
# With four filters and one thread PyTorch 2.13 damages its heap on processors with AVX2 alone.
FILTERS = (8, 8, 8)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A hundredth of a second is over whenever somebody looks; counts how often that was."""
    ticks = itertools.count()
    monkeypatch.setattr(resnet, "time", SimpleNamespace(perf_counter=lambda: next(ticks) / 100))
    return ticks


def test_sizes() -> None:
    for filters, least, most in (((16, 32, 64), 77e3, 79e3), ((32, 64, 128), 300e3, 320e3)):
        net = resnet.ResNet8(filters, 1, 10)
        assert least < sum(p.numel() for p in net.parameters()) < most
        assert net(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_halvings() -> None:
    net = resnet.ResNet8((4, 8, 8), 2, 3, halvings=2)
    x = torch.zeros(2, 2, 1, 64)
    assert net.body(x).shape == (2, 8, 1, 4)  # a quarter, which the blocks halve twice
    assert net(x).shape == (2, 3)


@pytest.mark.parametrize("kind", ["cross-entropy", "sigmoid", "mse"])
def test_it_learns_until_the_time_is_over(kind: str, clock: Iterator[int]) -> None:
    rng = np.random.default_rng(0)
    x, half = rng.normal(size=(256, 1, 8, 8)).astype(np.float32), np.arange(256) % 2
    x[half == 1, :, :4] += 1
    codes = {"cross-entropy": half, "sigmoid": np.stack([1 - half, half], axis=1)}
    y = codes.get(kind, 2.0 * half[:, np.newaxis] - 1)
    recipe = resnet.Recipe(max_grad_norm=5.0)
    given = FILTERS, x, y, lambda images, _: images
    net, planned, steps = resnet.train(*given, 1.5, recipe, 0, kind)
    assert 50 < steps == planned
    assert next(clock) < 150
    found = resnet.logits(net, x)
    assert found.shape == (256, 1 if kind == "mse" else 2)
    high = found[:, 1] > found[:, 0] if kind == "cross-entropy" else found[:, -1] > 0
    assert (high == half).mean() > 0.9
    if kind == "cross-entropy":
        assert resnet.accuracy(net, x, y) == (high == half).mean()


def test_it_ends_in_time_where_more_was_planned(clock: Iterator[int]) -> None:
    recipe = resnet.Recipe(margin=-1.0)  # plans twice as many as fit
    x, y = np.zeros((64, 1, 8, 8), np.float32), np.arange(64) % 2
    _, planned, steps = resnet.train(FILTERS, x, y, lambda x, _: x, 1.0, recipe, 0)
    assert 0 < steps < planned


def test_losses() -> None:
    z, y = torch.tensor([[1.0, -2.0]]), torch.tensor([[1.0, 0.0]])
    each = np.log1p(np.exp([-1.0, -2.0]))
    assert resnet.loss_of("sigmoid", z, y).item() == pytest.approx(each.mean())
    # A tenth of the targets is spread over yes and no, half of it to the other side.
    smoothed = each + 0.05 * np.array([1.0, 2.0])
    assert resnet.loss_of("sigmoid", z, y, 0.1).item() == pytest.approx(smoothed.mean())
    assert resnet.loss_of("mse", z, y).item() == pytest.approx(2.0)
    found = resnet.loss_of("cross-entropy", z, torch.tensor([0])).item()
    assert found == pytest.approx(np.log1p(np.exp(-3.0)))


def test_rows_are_kept_and_shown(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"contender": "fi')  # killed while it wrote
    for seed, found in enumerate((0.9, 0.92)):
        came = {"accuracy": found, "seconds": 300.2, "weights": 77754, "epochs": "9 of 9"}
        accuracy.append(path, {"contender": "resnet8", "seed": seed, **ROW, **came})
    rows = accuracy.read(path)
    assert len(rows) == 2
    assert accuracy.same_settings(rows[0], json.loads(json.dumps(rows[0])))
    assert not accuracy.same_settings(rows[0], rows[1])
    line = accuracy.table(rows).splitlines()[-1]
    name = "PyTorch, ResNet-8 of 16-32-64 filters"
    expected = f"| 5 | {name} | 91.00 % (90.00–92.00) | 2 | 77,754 | 9 of 9 | 300 |"
    assert line == expected


@pytest.mark.parametrize("name", accuracy.CONTENDERS)
def test_every_contender_has_a_title(name: str) -> None:
    assert name in accuracy.TITLES


def test_cells_of_contenders(monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[object] = []

    def fit(*_: object, genotype: object = None, **options: object) -> None:
        trained.append(genotype)
        raise InterruptedError

    monkeypatch.setattr(accuracy.pydarts, "fit", fit)
    for name, seed in (("random", 0), ("random", 1), ("random", 2), ("strongest", 0), ("fit", 0)):
        with pytest.raises(InterruptedError):
            settings = {**ROW, "contender": name, "seed": seed}
            accuracy._run_pydarts(settings, accuracy.CONTENDERS[name], ((), ()), ((), ()))
    assert trained[0] == trained[1] != trained[2]
    assert trained[3:] == [strongest(DARTS), None]


def test_usual_contenders_are_known() -> None:
    assert set(accuracy.USUAL) < set(accuracy.CONTENDERS)
