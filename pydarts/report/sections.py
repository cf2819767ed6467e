# SPDX-License-Identifier: MIT
"""The sections of the page on a search, each as lines of HTML; none where nothing is known."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from pydarts.drawing.cells import cell_svg
from pydarts.drawing.svg import escape
from pydarts.methods.fair_darts import THRESHOLD
from pydarts.report.charts import Look, Series, dot_chart, line_chart, looks, swatch
from pydarts.report.report_data import ReportData, cell_edges, curves, number
from pydarts.report.tables import SHARES, fact_table, label, number_table, show_value
from pydarts.spaces.cell import Cell
from pydarts.training.config import SEARCH_CONFIGS
from pydarts.training.metrics import METRICS


def cells_section(data: ReportData) -> Iterator[str]:
    """The cells of each epoch, when they changed, and the genotype in the literature's notation."""
    first, last = data.span
    if last > first:
        yield (
            "<p>These are the cells that α stood for at the end of each epoch. The last ones are "
            "the result of the search.</p>"
        )
    for cell in data.space.cells:
        drawings: dict[str, list[int]] = {}  # by the epochs of each: most cells live long
        for epoch, snapshot in enumerate(data.snapshots, first):
            drawing = cell_svg(snapshot.genotype, cell.name, styled=False)
            drawings.setdefault(drawing, []).append(epoch)
        title = escape(cell.title)
        yield f'<div class="snapshots scroll" tabindex="0" role="region" aria-label="{title}">'
        for drawing, epochs in drawings.items():
            hidden = "" if last in epochs else " hidden"
            yield f'<div data-epochs="{_joined(epochs)}"{hidden}>{drawing}</div>'
        yield "</div>"
    changes = list(_changes(data))
    if changes:
        yield f"<details><summary>When the cells changed ({len(changes)} epochs)</summary><ul>"
        yield from (f"<li>{escape(change)}</li>" for change in changes)
        yield "</ul></details>"
    yield (
        "<p>This is the genotype in the notation of the literature, which the command line and "
        f"<code>pydarts.{data.space.genotype.__name__}.parse</code> read:</p>"
    )
    yield f"<pre>{escape(str(data.genotype))}</pre>"


def _changes(data: ReportData) -> Iterator[str]:
    """A line for each epoch in which edges came or went."""
    for before, after in pairwise(data.snapshots):
        parts = []
        for cell in data.space.cells:
            old, new = (set(each.genotype.kept(cell.name)) for each in (before, after))
            names = {(j, i): name for j, i, name in cell_edges(after.genotype, cell.name)}
            changes = [
                f"{sign} {operation} ({names[source, node]})"
                for sign, edges in (("−", old - new), ("+", new - old))
                for operation, source, node in sorted(edges, key=lambda edge: edge[::-1])
            ]
            if changes:
                parts.append(f"{cell.title.lower()} {', '.join(changes)}")
        if parts:
            yield f"{after.name}: {'; '.join(parts)}"


def alphas_section(data: ReportData) -> Iterator[str]:
    """The mixing weights as heat maps, and over the epochs."""
    if not data.weighted:
        return
    weights = {
        "softmax": "the share of each candidate operation in the sum on its edge, softmax(α)",
        "sigmoid": "the mixing weight of each candidate operation, the sigmoid of its α",
    }
    choice = (
        "the strongest edges of each node, each with its strongest operation; a cell that must not "
        "hold <code>none</code> leaves that out"
    )
    if data.selector == "perturbation" or data.finalists:
        choice = "it was not chosen by these weights, but as the section on the selection says"
    yield (
        f"<p>The tables show {weights[data.weighting]}, in per cent. The outlined entries make up "
        f"the discrete cell: {choice}.</p>"
    )
    yield from (f"<p><strong>{escape(note)}</strong></p>" for note in data.notes)
    if data.method == "fair-darts":
        yield f"<p>{_below_threshold(data)}</p>"
    yield '<div class="heats">'
    for cell in data.space.cells:
        name = escape(f"Architecture parameters, {cell.title}")
        yield f'<div class="scroll" tabindex="0" role="region" aria-label="{name}">'
        yield from _heat_map(data, cell)
        yield "</div>"
    yield "</div>"
    if len(data.weighted) == 1:
        return
    legend = looks(list(dict.fromkeys(op for cell in data.space.cells for op in cell.operations)))
    yield '<ul class="legend">'
    yield from (f"<li>{swatch(look)} {operation}</li>" for operation, look in legend.items())
    yield "</ul>"
    for cell in data.space.cells:
        yield f"<h3>{escape(cell.title)}, edge by edge</h3>"
        yield '<div class="charts small">'
        yield from _edge_charts(data, cell, legend)
        yield "</div>"


def _below_threshold(data: ReportData) -> str:
    """Which kept operations the published rule of FairDARTS would leave out."""
    below = []
    count = 0
    for cell in data.space.cells:
        weights = data.weights(cell.name)[-1]
        edges = {(j, i): k for k, (j, i, _) in enumerate(cell_edges(data.genotype, cell.name))}
        names = {(j, i): name for j, i, name in cell_edges(data.genotype, cell.name)}
        for operation, source, node in data.genotype.kept(cell.name):
            row = edges[source, node]
            column = [op.name for op in cell.candidates[row]].index(operation)
            count += 1
            if weights[row, column] < THRESHOLD:
                name = f"{cell.title.lower()}, {names[source, node]}"
                below.append(f"{operation} ({escape(name)}: {weights[row, column]:.2f})")
    found = f": {', '.join(below)}" if below else ""
    return (
        f"Of the {count} operations of the cell {len(below)} have a mixing weight below "
        f"{THRESHOLD}{found}. FairDARTS as published leaves such operations out; here a cell "
        "always has all of its edges."
    )


def selection_section(data: ReportData) -> Iterator[str]:
    """What a selection by perturbation decided, and by how much each operation was missed."""
    if data.selector != "perturbation":
        return
    rise = "rose" if data.measure == "loss" else "fell"
    yield (
        "<p>After the epochs of the search each edge kept the operation without which the "
        f"{data.measure} on the validation data {rise} most, the supernet being tuned between the "
        f"rounds. The tables show by how much it {rise} without each operation; below 0, the "
        "supernet was better without it. Where a node keeps fewer edges than it has, the second "
        "table shows the same for whole edges, of which the ones that were missed most were kept."
        "</p>"
    )
    if not data.selection:
        yield "<p>No round was played.</p>"
    for cell in data.space.cells:
        yield from _edge_decisions(data, cell)
        yield from _node_decisions(data, cell)


def finalists_section(data: ReportData) -> Iterator[str]:
    """What the short trainings said of each finalist."""
    if not data.finalists:
        return
    by_kind = METRICS["accuracy" if data.space.kind == "convolutional" else "perplexity"]
    last = data.history[-1] if data.history else {}
    # Of balanced classes histories have both accuracies, and the later one decides.
    metric = [by_kind, *(each for each in METRICS.values() if f"valid_{each.key}" in last)][-1]
    yield (
        "<p>After the epochs of the search these cells were trained from scratch for a short time, "
        "all of a round alike. The best of a round were trained anew for longer, for the choice is "
        f"by the {metric.name} on the validation data in the last round. The first has the "
        "operations and edges of the largest mixing weights; after the strongest-operation "
        "constant and the cells of one convolution alone, if any, the others are drawn, some from "
        "these weights and later ones from what a linear model made of the scores before them.</p>"
    )
    trained = Counter((str(each.genotype), each.epochs) for each in data.finalists)
    if max(trained.values()) > 1:
        yield (
            "<p>Last, the best cell and the strongest-operation constant, which takes no search, "
            "were trained again: the former is chosen only if all of its scores are above those of "
            "the latter.</p>"
        )
    numbers: dict[str, str] = {}
    for each in data.finalists:
        numbers.setdefault(str(each.genotype), str(len(numbers) + 1))
    rows = [
        [
            numbers[str(each.genotype)],
            "–" if each.epochs is None else str(each.epochs),
            metric.show(each.score),
            "; ".join(each.genotype.describe()),
        ]
        for each in data.finalists
    ]
    head = ["finalist", "epochs", metric.name, "cell"]
    yield from number_table("Finalists", head, rows, headed=True)


def _edge_decisions(data: ReportData, cell: Cell) -> Iterator[str]:
    names = {(j, i): name for j, i, name in cell_edges(data.genotype, cell.name)}
    made = [d for d in data.selection if d["cell"] == cell.name and d["source"] is not None]
    if not made:
        return
    operations = [op for op in cell.operations if any(op in d["missed"] for d in made)]
    rows = []
    for d in sorted(made, key=lambda d: (d["node"], d["source"])):
        missed = [_missed(data, d["missed"].get(op)) for op in operations]
        rows.append([names[d["source"], d["node"]], str(d["round"] + 1), d["kept"], *missed])
    title = f"{cell.title}: operations, missed by"
    yield f"<h3>{escape(title)}</h3>"
    yield from number_table(title, ["edge", "round", "kept", *operations], rows, headed=True)


def _node_decisions(data: ReportData, cell: Cell) -> Iterator[str]:
    made = [d for d in data.selection if d["cell"] == cell.name and d["source"] is None]
    if not made:
        return
    states = cell.state_names(data.genotype.nodes(cell.name))
    columns = range(max(d["node"] for d in made))
    rows = []
    for d in sorted(made, key=lambda d: int(d["node"])):
        kept = ", ".join(states[source] for source in d["kept"])
        missed = [_missed(data, d["missed"].get(str(source))) for source in columns]
        rows.append([states[d["node"]], str(d["round"] + 1), kept, *missed])
    title = f"{cell.title}: edges of nodes, missed by"
    yield f"<h3>{escape(title)}</h3>"
    heads = ["node", "round", "kept edges from", *(states[source] for source in columns)]
    yield from number_table(title, heads, rows, headed=True)


def _missed(data: ReportData, value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:+.4f}" if data.measure == "loss" else f"{value:+.2%}"


def _edge_charts(data: ReportData, cell: Cell, legend: Mapping[str, Look]) -> Iterator[str]:
    weights = data.weights(cell.name)
    options: dict[str, Any] = {"size": (170, 120), "legend": False, "points": False}
    options["bounds"] = float(weights.min()), float(weights.max())
    for edge, (_, _, name) in enumerate(cell_edges(data.genotype, cell.name)):
        lines = [
            Series(op.name, weights[:, edge, k].tolist(), data.span[0], legend[op.name])
            for k, op in enumerate(cell.candidates[edge if cell.differs_by_edge else 0])
        ]
        yield line_chart(name, lines, data.span, percent=True, **options) or ""


def _heat_map(data: ReportData, cell: Cell) -> Iterator[str]:
    first, last = data.span
    weights = data.weights(cell.name)
    complete = len(weights) == len(data.snapshots)
    chosen: dict[tuple[str, int, int], list[int]] = {}
    for epoch, snapshot in enumerate(data.snapshots, first):
        for edge in snapshot.genotype.kept(cell.name):
            chosen.setdefault(edge, []).append(epoch)
    lowest, highest = _permille(weights.min()), _permille(weights.max())
    yield (
        f'<table class="heat" style="--lowest:{lowest};--range:{max(1, highest - lowest)}">'
        f"<caption>{escape(cell.title)}: from {lowest / 10} to {highest / 10}</caption>"
    )
    columns = "".join(f'<th scope="col"><span>{op}</span></th>' for op in cell.operations)
    yield f'<thead><tr><th scope="col">edge</th>{columns}</tr></thead><tbody>'
    for row, (source, node, name) in enumerate(cell_edges(data.genotype, cell.name)):
        entries = ""
        known = [op.name for op in cell.candidates[row if cell.differs_by_edge else 0]]
        for operation in cell.operations:
            if operation not in known:
                entries += "<td></td>"
                continue
            column = known.index(operation)
            trajectory = [_permille(weight) for weight in weights[:, row, column]]
            epochs = chosen.get((operation, source, node), [])
            entries += "<td" + (' class="kept"' if last in epochs else "")
            if complete:
                entries += f' data-weights="{_joined(trajectory)}"'
                entries += f' data-kept="{_joined(epochs)}"' if epochs else ""
            entries += f' style="--w:{trajectory[-1]}">{trajectory[-1] / 10}</td>'
        yield f'<tr><th scope="row">{name}</th>{entries}</tr>'
    yield "</tbody></table>"


def _permille(weight: float) -> int:
    return round(1000 * weight)


def _joined(numbers: Iterable[int]) -> str:
    return " ".join(map(str, numbers))


def curve_charts(history: Sequence[Mapping[str, Any]], span: tuple[int, int]) -> list[str]:
    """The learning curves that a history holds numbers for."""
    charts = []
    for title, lines, percent in curves(history):
        series = [Series(name, values) for name, values in lines.items()]
        chart = line_chart(title, series, span, percent=percent, legend=len(series) > 1)
        charts.append(chart or "")
    return charts


def history_section(history: Sequence[Mapping[str, Any]], span: tuple[int, int]) -> Iterator[str]:
    """The learning curves of a history, and its numbers."""
    charts = curve_charts(history, span)
    if not charts:
        return
    yield '<div class="charts">'
    yield from charts
    yield "</div>"
    names = [name for name in history[0] if name != "genotype"]
    rows = [[show_value(name, entry.get(name)) for name in names] for entry in history]
    yield "<details><summary>The numbers</summary>"
    yield from number_table("The numbers", map(label, names), rows)
    yield "</details>"


def comparison_section(data: ReportData) -> Iterator[str]:
    """The scores of the cells that were compared, and the verdict."""
    found = data.comparison
    if found is None:
        return
    measure, better = str(found.get("measure", "score")), found.get("better")
    if found.get("verdict"):
        yield f"<p>{escape(str(found['verdict']))}</p>"
    title = measure.capitalize() + (f", {better} is better" if better else "")
    rows = [
        (str(cell.get("name")), list(map(number, cell["scores"])), cell.get("kind") == "found")
        for cell in found["cells"]
    ]
    yield dot_chart(title, rows, percent=measure.endswith(SHARES)) or ""
    seeds = range(max((len(scores) for _, scores, _ in rows), default=0))
    columns = ["cell", "weights", "mean", *(f"seed {seed}" for seed in found.get("seeds", seeds))]
    table = []
    for cell, (name, scores, _) in zip(found["cells"], rows, strict=True):
        finite = [score for score in scores if score is not None]
        mean = math.fsum(finite) / len(finite) if finite else None
        weights = show_value("weights", cell.get("num_weights"))
        table.append([name, weights, *(show_value(measure, score) for score in [mean, *scores])])
    yield from number_table("Scores", columns, table, headed=True)


def trade_off_section(data: ReportData) -> Iterator[str]:
    """The networks that were trained for several limits, of which this search found one."""
    if not data.trade_off:
        return
    columns, *rows = data.trade_off
    yield (
        "<p>This search is one of several for different limits. Random cells are the likeliest ones"
        " within the same limits of an α that is drawn at random. All networks were trained alike;"
        " accuracy is that on the test images, and latency was measured.</p>"
    )
    yield from number_table("Accuracy against cost", columns, rows, headed=True)


def configuration_section(data: ReportData) -> Iterator[str]:
    """The hyper-parameters of the search, and what they mean."""
    options = SEARCH_CONFIGS[data.space.kind].options()
    helps = {option.name: option.metadata["help"] for option in options}
    rows: dict[str, tuple[object, str]] = {}
    if data.method is not None:
        rows["method"] = data.method, "how the architecture parameters were learned"
        rows["selector"] = data.selector, "what chose the cell"
    rows |= {name: (v, helps.get(name, "")) for name, v in data.config.items()}
    yield from fact_table(rows)


def environment_section(data: ReportData) -> Iterator[str]:
    """What the search ran on, and the other facts about it."""
    if data.environment is None:
        yield "<p>The environment of the search was not recorded.</p>"
    facts = {**(data.environment or {}), **data.facts}
    yield from fact_table({name: (value, "") for name, value in facts.items()})
