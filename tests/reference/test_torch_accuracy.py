# SPDX-License-Identifier: MIT
"""The residual networks of `benchmarks.accuracy`, and its table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import accuracy
from benchmarks.reference import resnet

ROW = {"minutes": 5.0, "images": None, "threads": 2, "crop_padding": 1, "flip": False}


class Clock:
    """A machine on which a hundredth of a second is over whenever somebody looks."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.01
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(resnet.time, "perf_counter", found)
    return found


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
def test_it_learns_until_the_time_is_over(kind: str, clock: Clock) -> None:
    rng = np.random.default_rng(0)
    x, half = rng.normal(size=(256, 1, 8, 8)).astype(np.float32), np.arange(256) % 2
    x[half == 1, :, :4] += 1
    codes = {"cross-entropy": half, "sigmoid": np.stack([half, 1 - half], axis=1)}
    y = codes.get(kind, 2.0 * half[:, np.newaxis] - 1)
    recipe = resnet.Recipe(max_grad_norm=5.0)
    net, planned, steps = resnet.train(
        (4, 8, 8), x, y, lambda images, _: images, 1.0, recipe, 0, kind
    )
    assert clock.now < 1.02
    assert 60 < steps <= planned
    found = resnet.logits(net, x)
    assert found.shape == (256, {"mse": 1}.get(kind, 2))
    right = found.argmax(axis=1) == half if kind == "cross-entropy" else found[:, 0] > 0
    if kind != "cross-entropy":
        right = right == (half == 1)
    assert right.mean() > 0.9
    if kind == "cross-entropy":
        assert resnet.accuracy(net, x, y) == right.mean()


def test_losses() -> None:
    z, y = torch.tensor([[1.0, -2.0]]), torch.tensor([[1.0, 0.0]])
    each = np.log1p(np.exp([-1.0, -2.0]))
    assert resnet.loss_of("sigmoid", z, y).item() == pytest.approx(each.mean())
    # A tenth of the targets is spread over yes and no, half of it to the other side.
    smoothed = each + 0.05 * np.array([1.0, 2.0])
    assert resnet.loss_of("sigmoid", z, y, 0.1).item() == pytest.approx(smoothed.mean())
    assert resnet.loss_of("mse", z, y).item() == pytest.approx(2.0)
    assert resnet.loss_of("cross-entropy", z, torch.tensor([0])).item() == pytest.approx(
        np.log1p(np.exp(-3.0))
    )


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
