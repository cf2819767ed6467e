# SPDX-License-Identifier: MIT
"""`result.plot()` with matplotlib."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pydarts.report.figure import search_figure
from pydarts.report.report_data import ReportData, Snapshot
from pydarts.spaces import DARTS, RECURRENT
from pydarts.spaces.space import Space


@pytest.fixture
def pyplot() -> Iterator[Any]:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def searched(space: Space, epochs: int) -> ReportData:
    """Two epochs have a loss, and the eigenvalue is known at the second only."""
    rng = np.random.default_rng(0)
    trajectory = {
        cell.name: rng.dirichlet(np.ones(len(cell.operations)), (epochs + 1, len(cell.edges_of())))
        for cell in space.cells
    }
    snapshots = []
    for k in range(epochs + 1):
        weights = {name: values[k] for name, values in trajectory.items()}
        snapshots.append(Snapshot("epoch" if k else "the start", space.derive(weights), weights))
    history = [
        {"train_loss": 2.0 - k, "valid_loss": 3.0 - k, "eigenvalue": k or None}
        for k in range(epochs)
    ]
    return ReportData(snapshots[-1].genotype, snapshots, history)


@pytest.mark.parametrize("space", [DARTS, RECURRENT], ids=lambda space: space.name)
def test_all_is_drawn(space: Space, pyplot: Any) -> None:
    found = searched(space, 2)
    figure = search_figure(found)
    figure.canvas.draw()
    axes = {each.get_title(): each for each in figure.axes[:2]}
    assert list(axes) == ["Loss", "Dominant eigenvalue of ∇²α L"]
    loss, eigenvalue = axes.values()
    lines = {line.get_label(): line.get_ydata().tolist() for line in loss.lines}
    assert lines == {"training": [2.0, 1.0], "validation": [3.0, 2.0]}
    (line,) = eigenvalue.lines
    assert line.get_xdata().tolist() == [1, 2]
    assert math.isnan(line.get_ydata()[0])
    assert line.get_ydata()[1] == 1
    small = iter(figure.axes[2:])
    for cell in space.cells:
        for edge in range(len(cell.edges_of())):
            each = next(small)
            assert [line.get_label() for line in each.lines] == list(cell.operations)
            drawn = np.array([line.get_ydata() for line in each.lines])
            np.testing.assert_array_equal(drawn.T, found.weights(cell.name)[:, edge])
            assert each.lines[0].get_xdata().tolist() == [0, 1, 2]
            low, high = each.get_ylim()
            assert low <= drawn.min() < drawn.max() <= high
    assert list(small) == []


def test_without_kept_alphas_the_curves_are_drawn(pyplot: Any) -> None:
    found = searched(DARTS, 1)
    snapshots = [snapshot._replace(weights=None) for snapshot in found.snapshots]
    assert len(search_figure(replace(found, snapshots=snapshots)).axes) == 1


def test_nothing_to_draw(pyplot: Any) -> None:
    with pytest.raises(ValueError, match="nothing to plot"):
        search_figure(searched(DARTS, 0))


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pydarts-nas\[plot\]"):
        search_figure(searched(DARTS, 1))
