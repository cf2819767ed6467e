# SPDX-License-Identifier: MIT
"""The residual networks of `benchmarks.accuracy`, and its table."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import accuracy
from benchmarks.reference import resnet

ROW = {"minutes": 5.0, "images": None, "threads": 2, "crop_padding": 1, "flip": False}


def test_sizes() -> None:
    for filters, least, most in (((16, 32, 64), 77e3, 79e3), ((32, 64, 128), 300e3, 320e3)):
        net = resnet.ResNet8(filters, 1, 10)
        assert least < sum(p.numel() for p in net.parameters()) < most
        assert net(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_it_learns_until_the_time_is_over() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(256, 1, 8, 8)).astype(np.float32), np.arange(256) % 2
    x[y == 1, :, :4] += 1
    start = time.perf_counter()
    net, planned, steps = resnet.train(
        (4, 8, 8), x, y, lambda images, _: images, start + 2, resnet.Recipe(), 0
    )
    assert time.perf_counter() - start < 2.5
    assert 0 < steps <= planned
    assert resnet.accuracy(net, x, y) > 0.9


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
