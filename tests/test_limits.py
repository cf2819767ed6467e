# SPDX-License-Identifier: MIT
"""Searches under limits on the network that is to be trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import Interrupt, halves

import pydarts
from pydarts.api.limits import as_limits
from pydarts.cli.main import main
from pydarts.common.environment import environment
from pydarts.costs.budget import Budget, describe_costs, limit_notes
from pydarts.costs.choice import largest_cost, least_cost
from pydarts.costs.counts import count_network, count_operation
from pydarts.costs.measured import Timing
from pydarts.costs.profile import Profile
from pydarts.costs.shape import NetworkShape, places
from pydarts.costs.table import budget_table
from pydarts.methods.log_weights import log_weights
from pydarts.methods.mixture import MixtureMethod
from pydarts.methods.named import as_method
from pydarts.spaces import (
    DARTS,
    NAS_BENCH_201,
    Operation,
    Space,
    batch_norm,
    depthwise,
    max_pool,
)
from pydarts.training.limited import COLDEST, MAX_REPEATS, phase_epochs

TARGET = pydarts.TrainConfig.make("quick", {"channels": 4, "cells": 3})
SHAPE = NetworkShape((6, 6), 4, 3, 2, 1)


def search(**options: Any) -> Any:
    small = {"channels": 1, "cells": 2, "batch_size": 4, "epochs": 3, "alpha_lr": 0.03, "order": 1}
    small |= {"progress": False, "threads": 1, "target": TARGET}
    return pydarts.search(*halves(), **{**small, **options})


def limit_at(share: float, space: Space = DARTS, cost: str = "macs") -> float:
    """Return what lies between the cheapest and the costliest cell."""
    table = budget_table(space, SHAPE, cost)
    least = least_cost(space, table)
    return least + share * (largest_cost(space, table) - least)


def invented_profile() -> Profile:
    """Return a profile of times that follow the multiply-adds and memory."""
    timings = {}
    for rows in places(DARTS, SHAPE).values():
        for place in (place for row in rows for where in row for place in where):
            counts = count_operation(DARTS, place)
            seconds = 1e-9 * counts.macs + 1e-9 * counts.memory
            timings[place] = Timing(seconds, seconds, seconds)
    fixed = Timing(2e-5, 2e-5, 2e-5)
    return Profile(DARTS, SHAPE, 1, 1, timings, fixed, fixed, {}, 0, None, environment())


@pytest.mark.parametrize(
    "method",
    [
        "darts",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("beta-darts", "smooth-darts", "fair-darts", "gdas", "gaea", "darts-minus")
        ),
        pytest.param("pc-darts", marks=pytest.mark.slow),
    ],
)
def test_a_cell_uses_what_the_limit_allows(method: str) -> None:
    channels = {"channels": 4} if method == "pc-darts" else {}
    for share in (0.3, 0.6):
        limit = limit_at(share)
        found = search(max_macs=limit, method=method, **channels)
        costs = found.limits["macs"]
        assert costs["limit"] == limit
        assert costs["predicted"] == costs["measured"]
        assert costs["measured"] == count_network(found.genotype, SHAPE).macs
        assert 0.9 * limit <= costs["measured"] <= limit


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, 2])
def test_the_multiplier_leads_to_the_limit(order: int) -> None:
    # By the expectation alone, whatever cell then meets the limit.
    for share in (0.2, 0.6):
        limit = limit_at(share)
        found = search(max_macs=limit, epochs=20, order=order)
        logs = log_weights(found.alphas, found.space, "softmax")
        ratio = Budget(DARTS, SHAPE, {"macs": limit}).ratio(logs, COLDEST)
        assert ratio is not None
        assert 0.85 < ratio[0] < 1.05


def test_a_limit_that_no_cell_exceeds_changes_nothing() -> None:
    free, limited = search(), search(max_macs="1G", method="darts")
    assert free.genotype == limited.genotype
    np.testing.assert_array_equal(free.alphas["normal"], limited.alphas["normal"])


def test_the_usual_method_under_limits_is_gdas() -> None:
    assert search(max_macs="1G", epochs=1).method == "gdas"
    assert search(epochs=1).method == "darts"
    config = pydarts.SearchConfig.make()
    assert as_method(None, config, NAS_BENCH_201).name == "darts"  # whose cells may hold none
    few: Any = {"max_macs": "1G", "epochs": 1, "channels": 1, "cells": 2, "batch_size": 8}
    (found,) = pydarts.search_many(*halves(), seeds=[0], target=TARGET, progress=False, **few)
    assert found.method == "gdas"


def test_finalists_are_within_the_limits() -> None:
    limit = limit_at(0.3)
    few = pydarts.Finalists(candidates=9, epochs=1, drawn=6)  # four constant ones, three guided
    found = search(max_macs=limit, selector=few)
    macs = [count_network(cell, SHAPE).macs for cell, *_ in found.finalists]
    assert len(set(macs)) > 1
    assert all(0.9 * limit <= each <= limit for each in macs)
    assert found.limits["macs"]["measured"] == count_network(found.genotype, SHAPE).macs


@pytest.mark.slow
def test_several_limits_and_memory() -> None:
    macs, weights = limit_at(0.6), limit_at(0.3, cost="weights")
    found = search(max_macs=macs, max_weights=weights, max_memory="8KiB", epochs=2)
    costs = found.limits
    for name, limit in (("macs", macs), ("weights", weights), ("memory", 8192)):
        assert costs[name]["limit"] == limit
        assert costs[name]["measured"] <= limit
    assert max(costs[name]["measured"] / costs[name]["limit"] for name in ("macs", "weights")) > 0.9


def test_other_spaces_have_limits() -> None:
    limit = limit_at(0.5, NAS_BENCH_201)
    X, y = np.random.default_rng(0).normal(size=(16, 8, 8)), np.arange(16) % 2
    options: Any = {"channels": 1, "cells": 1, "batch_size": 4, "epochs": 1, "progress": False}
    found = pydarts.search(
        *(X, y), space="nas-bench-201", max_macs=limit, target=TARGET, threads=1, **options
    )
    costs = found.limits["macs"]["measured"]
    assert costs is not None
    assert costs <= limit
    free = pydarts.search(*(X, y), space="nas-bench-201", threads=1, **options)
    assert count_network(free.genotype, NetworkShape((8, 8), 4, 3, 2, 1)).macs > limit


def test_a_regression_has_limits() -> None:
    X, _ = halves()
    options: Any = {"channels": 1, "cells": 2, "batch_size": 4, "epochs": 1, "progress": False}
    options |= {"target": TARGET, "threads": 1, "max_weights": limit_at(0.4, cost="weights")}
    found = pydarts.search(X, X.mean(axis=(1, 2)), task="regression", **options)
    model = pydarts.train(
        *(found.genotype, X, X.mean(axis=(1, 2))),
        config=TARGET,
        epochs=1,
        batch_size=8,
        task="regression",
    )
    assert found.limits["weights"]["measured"] == model.num_weights


@pytest.mark.slow
def test_the_least_is_told_where_no_cell_meets_a_limit() -> None:
    least = limit_at(0.0)
    with pytest.raises(ValueError, match=rf"`max_macs` .*{least:,.0f} multiply-adds"):
        search(max_macs=least - 1)
    with pytest.raises(ValueError, match=r"`max_memory` .* is met by no cell"):
        search(max_memory=100)


def test_limits_that_no_cell_meets_together() -> None:
    operations = [
        Operation("multiplies", [depthwise(1)]),
        Operation("weighs", [max_pool(3), batch_norm]),
    ]
    space = DARTS.replace(name="apart", operations=operations, extra_operations=())
    limits = {cost: limit_at(0.0, space, cost) for cost in ("macs", "weights")}
    for cost, limit in limits.items():  # of each alone there are cells
        Budget(space, SHAPE, {cost: limit}).check()
    with pytest.raises(ValueError, match=r"`max_macs` .* no cell together with `max_weights`"):
        Budget(space, SHAPE, limits).check()


class Own(MixtureMethod):
    """A method that chooses in its own way."""

    name = "own"

    def select(self, alphas: Any, space: Any) -> Any:
        return pydarts.DARTS_V2


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"selector": "perturbation"}, "`selector` .*what is left of a limit"),
        ({"method": "fixed-pt"}, "`selector`"),
        ({"method": "fixed"}, "`method` .*learns no α"),
        ({"method": Own()}, "`method` .*in its own way"),
        ({"max_macs": "5 apples"}, "`max_macs`.* k, M, G"),
        ({"max_macs": -1}, "`max_macs`"),
        ({"max_latency": "5m"}, "`max_latency`.* s, ms, us"),
        ({"max_memory": float("nan")}, "`max_memory`"),
        ({"target": "tiny"}, "`target`"),
        ({"target": 3}, "`target`"),
        ({"profile": invented_profile(), "target": "quick"}, "`profile`"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises((ValueError, TypeError), match=problem):
        search(**{"max_macs": limit_at(0.5), **options})


def test_limits_have_units() -> None:
    given = {"latency": "0.5ms", "macs": "5M", "weights": 30, "memory": "64KiB"}
    expected = {"latency": 5e-4, "macs": 5e6, "weights": 30.0, "memory": 65536.0}
    assert as_limits(given) == pytest.approx(expected)
    assert as_limits({"latency": "190us", "macs": None}) == {"latency": 1.9e-4}


def measured_as(monkeypatch: pytest.MonkeyPatch, ratio: float) -> list[float]:
    """Let networks take so many times as long as the invented profile predicts."""
    table, calls = invented_profile().latency, []

    def measure(self: Budget, genotype: Any) -> float:
        calls.append(ratio * table.predict(genotype))
        return calls[-1]

    monkeypatch.setattr(Budget, "measure", measure)
    return calls


@pytest.mark.slow
def test_three_limits_and_three_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = invented_profile()
    measured_as(monkeypatch, 1.0)
    least, largest = (cost(DARTS, profile.latency) for cost in (least_cost, largest_cost))
    for share in (0.2, 0.5, 0.8):
        limit = least + share * (largest - least)
        for seed in range(3):
            found = search(max_latency=limit, profile=profile, seed=seed, epochs=1)
            predicted = found.limits["latency"]["predicted"]
            assert 0.9 * limit <= predicted <= limit
            assert predicted == pytest.approx(profile.predict(found.genotype))


@pytest.mark.slow
def test_a_measurement_above_the_limit_corrects_the_prediction(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    profile = invented_profile()
    limit = (least_cost(DARTS, profile.latency) + largest_cost(DARTS, profile.latency)) / 2
    calls = measured_as(monkeypatch, 1.0)
    found = search(max_latency=limit, profile=profile)
    assert len(calls) == 1
    assert found.repeated_epochs == 0
    assert 0.9 * limit <= found.limits["latency"]["measured"] <= limit
    calls = measured_as(monkeypatch, 1.2)
    found = search(max_latency=limit, profile=profile)
    assert calls[0] > limit
    assert found.repeated_epochs == phase_epochs(3)
    assert len(found.history) == found.num_epochs == 3 + phase_epochs(3)
    costs = found.limits["latency"]
    assert 0.9 * limit <= costs["measured"] <= limit
    assert costs["predicted"] == pytest.approx(costs["measured"])
    found.save(tmp_path)
    again = pydarts.SearchResult.load(tmp_path)
    assert again.limits == found.limits
    assert again.repeated_epochs == found.repeated_epochs
    assert "latency: " in repr(again)
    assert found.history[-1]["lr"] == found.history[2]["lr"]


def test_what_is_always_above_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = invented_profile()
    limit = 1.1 * least_cost(DARTS, profile.latency)
    measured_as(monkeypatch, 2.0)
    found = search(max_latency=limit, profile=profile, epochs=2)
    assert found.repeated_epochs <= MAX_REPEATS * phase_epochs(2)
    assert any("is above its limit" in note for note in found.notes())


# Of four an epoch; the last one is in what is repeated.
@pytest.mark.parametrize("step", [pytest.param(5, marks=pytest.mark.slow), 13])
def test_an_interrupted_search_goes_on_to_the_same_bits(
    step: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    profile = invented_profile()
    limit = (least_cost(DARTS, profile.latency) + largest_cost(DARTS, profile.latency)) / 2
    measured_as(monkeypatch, 1.2)
    options = {"max_latency": limit, "profile": profile}
    whole = search(**options)
    assert whole.repeated_epochs == 1
    interrupted = search(**options, checkpoint=tmp_path, callbacks=[Interrupt(step)])
    assert interrupted.interrupted
    assert len(interrupted.history) < len(whole.history)
    # What was measured is in the checkpoint: this profile would tell other things.
    slower = {place: Timing(9.0, 9.0, 9.0) for place in profile.timings}
    other = Profile(
        *(DARTS, SHAPE, 1, 1, slower, profile.fixed, profile.fixed, {}, 0, None, environment())
    )
    monkeypatch.setattr(Budget, "check", lambda self: None)
    resumed = search(max_latency=limit, profile=other, checkpoint=tmp_path)
    for name, alpha in whole.alphas.items():
        np.testing.assert_array_equal(resumed.alphas[name], alpha)
        np.testing.assert_array_equal(resumed.alpha_history[name], whole.alpha_history[name])
    for name, value in whole.supernet.state().items():
        np.testing.assert_array_equal(resumed.supernet.state()[name], value)
    assert resumed.genotype == whole.genotype
    assert resumed.limits == whole.limits
    with pytest.raises(pydarts.CheckpointError, match="max_latency"):
        search(max_latency=2 * limit, profile=profile, checkpoint=tmp_path)


def test_limits_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    X, y = halves()
    np.savez(tmp_path / "data.npz", X=X, y=y)
    limit = limit_at(0.5)
    command = ["search", str(tmp_path / "data.npz"), "--no-progress", "--threads", "1"]
    command += ["--channels", "1", "--cells", "2", "--batch-size", "4", "--epochs", "1"]
    command += ["--train-channels", "4", "--train-cells", "3", "--no-train", "--order", "1"]
    assert main([*command, "--out", str(tmp_path / "out"), "--max-macs", str(limit)]) == 0
    assert "limit" in capsys.readouterr().out
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["costs"]["macs"]["measured"] <= limit
    assert main(["report", str(tmp_path / "out")]) == 0
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "macs of the network" in page
    assert main([*command, "--max-macs", "10"]) == 2
    assert "--max-macs (=10 multiply-adds) is met by no cell" in capsys.readouterr().err
    assert main([*command, "--max-latency", "5 hours"]) == 2
    assert "--max-latency" in capsys.readouterr().err


def test_a_profile_of_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    X, y = halves()
    np.savez(tmp_path / "data.npz", X=X, y=y)
    file = str(tmp_path / "profile.json")
    sizes = ["--image-size", "6", "--channels", "4", "--cells", "3", "--classes", "2"]
    command = ["profile", *sizes, "--in-channels", "1", "--networks", "0", "--out", file]
    assert main(command) == 0
    assert "sep_conv_5x5" in capsys.readouterr().out
    assert Profile.load(file).shape == SHAPE
    assert main(command) == 2
    assert main([*command, "--repeats", "3", "--force"]) == 2
    assert "--repeats (=3)" in capsys.readouterr().err
    command = ["search", str(tmp_path / "data.npz"), "--no-progress", "--threads", "1"]
    command += ["--channels", "1", "--cells", "2", "--batch-size", "4", "--epochs", "1"]
    command += ["--no-train", "--order", "1", "--profile", file, "--max-latency", "1s"]
    assert main([*command, "--train-channels", "4", "--train-cells", "3"]) == 0
    assert "Latency" in capsys.readouterr().out
    assert main([*command, "--train-channels", "5", "--train-cells", "3"]) == 2
    assert "--profile is of 'darts'" in capsys.readouterr().err


def test_notes_and_words_on_costs() -> None:
    limits: Any = {
        "latency": {"limit": 1e-3, "predicted": 5e-4, "measured": 1.1e-3},
        "macs": {"limit": None, "predicted": 1e6, "measured": 1e6},
    }
    assert describe_costs(limits) == {
        "latency": "1.1 ms, predicted 0.5 ms, limit 1 ms",
        "macs": "1,000,000 multiply-adds",
    }
    unknown: Any = {"latency": {"limit": 1e-3, "predicted": None, "measured": None}}
    assert describe_costs(unknown) == {"latency": "not measured, limit 1 ms"}
    assert limit_notes(unknown) == []
    above, unused = limit_notes(limits)
    assert "1.1 ms" in above
    assert "50%" in unused
