# SPDX-License-Identifier: MIT
"""Trade-off curves: several limits, random cells of the same ones, and a ResNet-8."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from runs import halves

import pydarts
from pydarts.cli.main import main
from pydarts.costs.counts import count_network
from pydarts.costs.shape import NetworkShape
from pydarts.evaluation import trade_off
from pydarts.evaluation.trade_off import PARETO, TradeOff, residual_network
from pydarts.spaces import DARTS

SMALL: dict[str, Any] = {"channels": 1, "cells": 2, "batch_size": 4, "epochs": 1, "order": 1}
TARGET = pydarts.TrainConfig.make(
    "quick", {"channels": 4, "cells": 3, "epochs": 1, "batch_size": 8}
)
LIMITS = ["60k", "90k"]


def pareto(**options: Any) -> TradeOff:
    given = {**SMALL, "limits": LIMITS, "cost": "macs", "target": TARGET, "random_cells": 1}
    return pydarts.pareto(
        *halves(40, side=8), **{**given, "progress": False, "threads": 1, **options}
    )


def test_the_residual_network_is_a_resnet_8() -> None:
    counts = count_network(residual_network(), NetworkShape((8, 8), 4, 1, 2, 1))
    stem = 4 * 9 + 8
    blocks = 2 * (4 * 4 * 9 + 8)
    for c in (4, 8):
        blocks += 2 * c * c * 9 + 4 * c + 4 * c * c * 9 + 4 * c + 2 * c * c
    assert counts.weights == stem + blocks + 2 * 16 + 2 * 16 + 2
    # Convolutions of 3x3: the stem and two in each block.
    network = NetworkShape((8, 8), 4, 1, 2, 1).network(residual_network())
    large = [name for name, a in network.state_dict().items() if a.shape[2:] == (3, 3)]
    assert len(large) == 7


def test_a_curve_that_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[str] = []
    train, stop = trade_off.run_training, 2

    def count(task: Any, genotype: Any, *more: Any) -> Any:
        if len(trained) == stop:
            raise KeyboardInterrupt
        trained.append(str(genotype))
        return train(task, genotype, *more)

    monkeypatch.setattr(trade_off, "run_training", count)
    with pytest.raises(KeyboardInterrupt):
        pareto(checkpoint=tmp_path)
    assert len(TradeOff.load(tmp_path / PARETO).rows) == 2
    stop = 99
    found = pareto(checkpoint=tmp_path)
    assert len(trained) == 5  # of which two were there
    assert found.complete
    kinds = [(row.kind, row.limit) for row in found.rows]
    assert kinds == [
        *(("searched", 6e4), ("random", 6e4), ("searched", 9e4), ("random", 9e4)),
        ("resnet-8", None),
    ]
    assert [str(row.genotype) for row in found.rows] == trained
    for row in found.rows:
        assert row.limit is None or 0.9 * row.limit <= row.macs <= row.limit
        assert row.latency > 0
        assert 0 <= row.accuracy <= 1
    assert len(found.table()) == 6
    with pytest.raises(ValueError, match=r"`checkpoint` .*limits"):
        pareto(checkpoint=tmp_path, limits=["70k"])
    assert main(["report", str(tmp_path / "limit-1")]) == 0
    page = (tmp_path / "limit-1" / "report.html").read_text(encoding="utf-8")
    assert "Accuracy against cost" in page
    assert "resnet-8" in page


@pytest.mark.slow
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    X, y = halves(40, side=8)
    np.savez(tmp_path / "data.npz", X=X, y=y)
    command = ["pareto", str(tmp_path / "data.npz"), "--no-progress", "--threads", "1"]
    for prefix, config in (("--", SMALL), ("--train-", {"channels": 4, "cells": 3, "epochs": 1})):
        for name, value in config.items():
            command += [f"{prefix}{name.replace('_', '-')}", str(value)]
    command += ["--train-batch-size", "8", "--random", "0", "--out", str(tmp_path / "out")]
    assert main([*command, "--limits", "1s"]) == 0
    out = capsys.readouterr().out
    assert "searched" in out
    assert "resnet-8" in out
    assert main([*command, "--limits", "1m"]) == 2
    capsys.readouterr()
    assert main([*command, "--limits", "2s"]) == 2
    refused = capsys.readouterr().err
    assert f"--out (='{tmp_path / 'out'}') holds other work" in refused
    assert refused.endswith(": --force replaces it\n")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"limits": []}, "`limits`"),
        ({"limits": "60k"}, "`limits`"),
        ({"limits": ["60k", 6e4]}, "`limits` .*twice"),
        ({"limits": ["60s"]}, "`limits` .*k, M, G"),
        ({"limits": [10]}, "`max_macs` .*cheapest"),
        ({"cost": "time"}, "`cost`"),
        ({"method": "fixed"}, "`method`"),
        ({"random_cells": -1}, "`random_cells`"),
    ],
)
def test_unusable_arguments(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        pareto(**options)


def test_a_training_that_was_cut_short_is_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    run = pydarts.RunOptions(time_budget=0.001, callbacks=(pydarts.StopOnSkipCollapse(),))
    given: list[Any] = []

    def train(*arguments: Any) -> Any:
        given.extend(arguments[3].callbacks)
        return SimpleNamespace(interrupted=False, stopped="the time budget is spent")

    monkeypatch.setattr(trade_off, "run_training", train)
    task: Any = SimpleNamespace(score=lambda _: 0.1)
    time.sleep(0.002)
    assert trade_off._train(task, residual_network(), TARGET, run, False, "") is None
    longer = replace(run, time_budget="1h")
    assert trade_off._train(task, residual_network(), TARGET, longer, False, "") == 0.1
    assert given == []  # those of searches are not for trainings


def test_it_goes_on_with_the_same_space_and_threads_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trade_off._Work, "do", lambda *_: False)
    one, other = (DARTS.replace(name="own", operations=DARTS.operations[:k]) for k in (7, 6))
    pareto(checkpoint=tmp_path, space=one)
    pareto(checkpoint=tmp_path, space=one)
    with pytest.raises(ValueError, match=r"`checkpoint` .*`threads` was 1, is 2"):
        pareto(checkpoint=tmp_path, space=one, latency_threads=2)
    with pytest.raises(ValueError, match=r"`checkpoint` .*operations"):
        pareto(checkpoint=tmp_path, space=other)
    kept = json.loads((tmp_path / PARETO).read_text())
    for name in ("threads", "method_options"):  # earlier versions had neither
        del kept["identity"][name]
    (tmp_path / PARETO).write_text(json.dumps(kept))
    pareto(checkpoint=tmp_path, space=one)


def test_images_that_the_residual_network_cannot_halve(caplog: pytest.LogCaptureFixture) -> None:
    X, y = halves(40, side=10)
    small: dict[str, Any] = {**SMALL, "target": TARGET, "progress": False, "threads": 1}
    found = pydarts.pareto(X, y, limits=["100k"], cost="macs", random_cells=0, **small)
    assert found.complete
    assert [row.kind for row in found.rows] == ["searched"]
    assert "there is no residual network to compare with: `X` is of 10x10 pixels" in caplog.text


def test_selection_by_perturbation_is_refused() -> None:
    with pytest.raises(ValueError, match="perturbation"):
        pareto(method="darts-pt")


def test_other_groups_are_other_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trade_off._Work, "do", lambda *_: False)
    X, y = halves(12, side=8)
    tested: dict[str, Any] = {"X_test": X, "y_test": y, "checkpoint": tmp_path}
    pareto(**tested, groups=np.arange(40) // 2)
    pareto(**tested, groups=np.arange(40) // 2)
    for other in (np.arange(40) // 4, None):
        with pytest.raises(ValueError, match="holds other work"):
            pareto(**tested, groups=other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--limits", "5M", "5M"], "--limits (=[5000000.0, 5000000.0]) holds one twice"),
        (["--limits", "5X"], "--limits (='5X') must be"),
        (["--limits", "5M", "--random", "-1"], "--random (=-1) must be"),
        (["--limits", "5M", "--latency-threads", "0"], "--latency-threads (=0) must"),
        (["--limits", "5M", "--task", "regression"], "--task (='regression') has no use"),
        (["--limits", "5M", "--class-weight", "balanced"], "--class-weight (='balanced') has"),
    ],
)
def test_unusable_options(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["pareto", "digits", "--cost", "macs", "--out", str(tmp_path / "out"), *options]
    assert main(command) == 2
    assert message in capsys.readouterr().err


def test_what_force_began_goes_on_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trade_off._Work, "do", lambda *_: False)
    monkeypatch.setattr("pydarts.cli.pareto.INTERRUPTED", 130)
    command = ["pareto", "digits", "--cost", "macs", "--limits", "5M", "--out", str(tmp_path)]
    assert main([*command, "--force"]) == 130
    assert "Interrupted: the same command without --force goes on." in capsys.readouterr().out
    assert main(command) == 130
    assert "Interrupted: the same command goes on." in capsys.readouterr().out
