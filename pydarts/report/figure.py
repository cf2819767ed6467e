# SPDX-License-Identifier: MIT
"""A search as a figure of matplotlib."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pydarts.report.charts import PALETTE, looks
from pydarts.report.report_data import GROUPS, Record, cell_edges, curves, operations

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CURVES = 3  # side by side
_EDGES = 7


def plot(record: Record) -> Figure:
    """Draw the curves of a search, and below them the mixing weights of each edge."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'pydarts-nas[plot]'") from error
    drawn = list(curves(record.history))
    weighted = [frame for frame in record.frames if frame.weights]
    groups = list(GROUPS[type(record.genotype)]) if len(weighted) > 1 else []
    if not drawn and not groups:
        raise ValueError("there is nothing to plot: no epoch was finished")
    edges = [len(cell_edges(record.genotype, group)) for group in groups]
    heights = [2.3 * math.ceil(len(drawn) / _CURVES)] if drawn else []
    heights += [1.4 * math.ceil(count / _EDGES) + 0.7 for count in edges]
    figure = pyplot.figure(figsize=(12, sum(heights)), layout="constrained")
    parts = iter(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False).flat)
    if drawn:
        _curves(next(parts), drawn)
    for group in groups:
        _edges(next(parts), record, group)
    return figure


def _curves(part: Any, drawn: list[Any]) -> None:
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


def _edges(part: Any, record: Record, group: str) -> None:
    from matplotlib.ticker import MaxNLocator

    names, weights = operations(record.genotype), record.weights(group)
    epochs = range(record.first, record.first + len(weights))
    edges = cell_edges(record.genotype, group)
    margin = 0.05 * np.ptp(weights) + 1e-6
    for edge, axes in enumerate(_grid(part, len(edges), _EDGES)):
        for k, (name, look) in enumerate(looks(names).items()):
            shares, dashes = weights[:, edge, k], _dashes(look)
            axes.plot(epochs, shares, color=look.light, dashes=dashes, label=name, linewidth=1.2)
        axes.set_title(edges[edge][2], fontsize=8)
        axes.set_ylim(weights.min() - margin, weights.max() + margin)
        axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        axes.tick_params(labelsize=7)
    handles, labels = axes.get_legend_handles_labels()
    title = f"{GROUPS[type(record.genotype)][group]}: softmax(α) of each edge"
    part.suptitle(title, fontsize=10)
    part.legend(handles, labels, loc="outside lower center", ncols=len(names), fontsize=8)


def _dashes(look: Any) -> tuple[float, ...]:
    """Lengths of line and gap; none for a whole line."""
    return tuple(map(float, look.dash.split()))


def _grid(part: Any, count: int, columns: int) -> list[Any]:
    """`count` axes in rows; the last row may have fewer."""
    columns = min(columns, count)
    axes = list(part.subplots(math.ceil(count / columns), columns, squeeze=False).flat)
    for spare in axes[count:]:
        spare.remove()
    return axes[:count]
