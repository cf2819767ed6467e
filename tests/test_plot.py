# SPDX-License-Identifier: MIT
"""`result.plot()` with matplotlib."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pydarts.report.figure import plot
from pydarts.report.report_data import GROUPS, Frame, Record
from pydarts.spaces.darts import OPERATIONS, Genotype
from pydarts.spaces.recurrent import RECURRENT_OPERATIONS, RecurrentGenotype

CELLS: dict[type[Any], tuple[int, tuple[str, ...]]] = {
    Genotype: (14, OPERATIONS),
    RecurrentGenotype: (36, RECURRENT_OPERATIONS),
}


@pytest.fixture
def pyplot() -> Iterator[Any]:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def record(kind: type[Any], epochs: int) -> Record:
    """Two epochs have a loss, and the eigenvalue is known at the second only."""
    edges, operations = CELLS[kind]
    rng = np.random.default_rng(0)
    shape = (epochs + 1, edges, len(operations))
    course = {name: rng.dirichlet(np.ones(shape[2]), shape[:2]) for name in GROUPS[kind]}
    frames = []
    for k in range(epochs + 1):
        weights = {name: values[k] for name, values in course.items()}
        frames.append(Frame("epoch" if k else "the start", kind.derive(weights), weights))
    history = [
        {"train_loss": 2.0 - k, "valid_loss": 3.0 - k, "eigenvalue": k or None}
        for k in range(epochs)
    ]
    return Record(frames[-1].genotype, frames, history)


@pytest.mark.parametrize("kind", CELLS)
def test_all_is_drawn(kind: type[Any], pyplot: Any) -> None:
    found = record(kind, 2)
    figure = plot(found)
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
    edges, operations = CELLS[kind]
    small = figure.axes[2:]
    assert len(small) == edges * len(GROUPS[kind])
    for k, name in enumerate(GROUPS[kind]):
        for edge, each in enumerate(small[k * edges : (k + 1) * edges]):
            assert [line.get_label() for line in each.lines] == list(operations)
            drawn = np.array([line.get_ydata() for line in each.lines])
            np.testing.assert_array_equal(drawn.T, found.weights(name)[:, edge])
            assert each.lines[0].get_xdata().tolist() == [0, 1, 2]
            low, high = each.get_ylim()
            assert low <= drawn.min() < drawn.max() <= high


def test_without_kept_alphas_the_curves_are_drawn(pyplot: Any) -> None:
    found = record(Genotype, 1)
    frames = [frame._replace(weights=None) for frame in found.frames]
    assert len(plot(Record(found.genotype, frames, found.history)).axes) == 1


def test_nothing_to_draw(pyplot: Any) -> None:
    found = record(Genotype, 0)
    with pytest.raises(ValueError, match="nothing to plot"):
        plot(Record(found.genotype, [Frame("the end", found.genotype, None)]))


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pydarts-nas\[plot\]"):
        plot(record(Genotype, 1))
