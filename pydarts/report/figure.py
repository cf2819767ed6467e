# SPDX-License-Identifier: MIT
"""A search as a figure of matplotlib."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pydarts.report.charts import PALETTE, Look, looks
from pydarts.report.report_data import Curve, ReportData, cell_edges, curves
from pydarts.spaces.cell import Cell
from pydarts.training.result import SearchResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CURVES = 3  # side by side
_EDGES = 7


def figure(result: SearchResult[Any]) -> Figure:
    """Draw a result: what `SearchResult.plot` does.

    Parameters
    ----------
    result : SearchResult

    Returns
    -------
    matplotlib.figure.Figure
        See `search_figure`.
    """
    return search_figure(ReportData.from_result(result))


def search_figure(data: ReportData) -> Figure:
    """Draw the learning curves of a search, and below them the mixing weights of each edge.

    Parameters
    ----------
    data : ReportData

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If no epoch was finished.
    """
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'pydarts-nas[plot]'") from error
    drawn = list(curves(data.history))
    cells = data.space.cells if len(data.weighted) > 1 else ()
    if not drawn and not cells:
        raise ValueError("there is nothing to plot: no epoch was finished")
    edges = [len(cell_edges(data.genotype, cell.name)) for cell in cells]
    heights = [2.3 * math.ceil(len(drawn) / _CURVES)] if drawn else []
    heights += [1.4 * math.ceil(count / _EDGES) + 0.7 for count in edges]
    canvas = pyplot.figure(figsize=(12, sum(heights)), layout="constrained")
    parts = iter(canvas.subfigures(len(heights), 1, height_ratios=heights, squeeze=False).flat)
    if drawn:
        _plot_curves(next(parts), drawn)
    for cell in cells:
        _plot_edges(next(parts), data, cell)
    return canvas


def _plot_curves(part: Any, drawn: list[Curve]) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    for axes, curve in zip(_grid(part, len(drawn), _CURVES), drawn, strict=True):
        for (name, values), look in zip(curve.lines.items(), PALETTE, strict=False):
            numbers = [math.nan if value is None else value for value in values]
            epochs = range(1, len(values) + 1)
            axes.plot(
                epochs, numbers, color=look.light, dashes=_dashes(look), label=name, marker="."
            )
        axes.set_title(curve.title, fontsize=10)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if curve.percent:
            axes.yaxis.set_major_formatter(PercentFormatter(1))
        if len(curve.lines) > 1:
            axes.legend(fontsize=8, frameon=False)


def _plot_edges(part: Any, data: ReportData, cell: Cell) -> None:
    from matplotlib.ticker import MaxNLocator

    every, weights = looks(cell.operations), data.weights(cell.name)
    epochs = range(data.span[0], data.span[0] + len(weights))
    edges = cell_edges(data.genotype, cell.name)
    margin = 0.05 * np.ptp(weights) + 1e-6
    for edge, axes in enumerate(_grid(part, len(edges), _EDGES)):
        for k, op in enumerate(cell.candidates[edge if cell.differs_by_edge else 0]):
            name, look = op.name, every[op.name]
            shares, dashes = weights[:, edge, k], _dashes(look)
            axes.plot(epochs, shares, color=look.light, dashes=dashes, label=name, linewidth=1.2)
        axes.set_title(edges[edge][2], fontsize=8)
        axes.set_ylim(weights.min() - margin, weights.max() + margin)
        axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        axes.tick_params(labelsize=7)
    shown: dict[str, Any] = {}
    for axes in part.axes:
        handles, labels = axes.get_legend_handles_labels()
        shown |= dict(zip(labels, handles, strict=True))
    name = {"softmax": "softmax", "sigmoid": "σ"}[data.weighting]
    part.suptitle(f"{cell.title}: {name}(α) of each edge", fontsize=10)
    ncols = min(len(shown), 9)
    part.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=ncols, fontsize=8)


def _dashes(look: Look) -> tuple[float, ...]:
    """Lengths of line and gap; none for a whole line."""
    return tuple(map(float, look.dash.split()))


def _grid(part: Any, count: int, columns: int) -> list[Any]:
    """`count` axes in rows; the last row may have fewer."""
    columns = min(columns, count)
    axes = list(part.subplots(math.ceil(count / columns), columns, squeeze=False).flat)
    for spare in axes[count:]:
        spare.remove()
    return axes[:count]
