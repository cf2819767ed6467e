# SPDX-License-Identifier: MIT
"""A search as one HTML page that needs nothing else: no network, no script, no other file.

A script lets a slider choose the epoch; without it the page shows the last one. The page's security
policy forbids any other script and anything from outside.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from itertools import pairwise
from typing import Any

from pydarts.drawing.cells import cell_svg, escape, recurrent_svg, style
from pydarts.report.charts import CHART_STYLE, Series, dot_chart, line_chart, looks, swatch
from pydarts.report.report_data import (
    GROUPS,
    Cell,
    Record,
    cell_edges,
    curves,
    kept,
    number,
    operations,
)
from pydarts.spaces.recurrent import RecurrentGenotype
from pydarts.training.budget import duration
from pydarts.training.config import Config, SearchConfig, TextSearchConfig

__all__ = ["page", "summary"]

_LABELS = {
    "data": "data",
    "level": "tokens",
    "cpu": "processor",
    "instruction_set": "instruction set",
    "search_seconds": "seconds of searching",
    "train_seconds": "seconds of training",
    "num_weights": "weights of the trained network",
}
_SHARES = ("accuracy",)  # ends of names


def page(record: Record) -> str:
    """The page, as HTML."""
    script = files("pydarts.report").joinpath("report.js").read_text("utf-8")
    styles = [
        files("pydarts.report").joinpath("report.css").read_text("utf-8"),
        CHART_STYLE,
        style(),
    ]
    checksum = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{checksum}'"
    title = escape(_title(record))
    played = len(record.frames) > 1
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        f"<title>{title}</title>",
        "<style>",
        *styles,
        "</style>",
        "</head>",
        "<body>",
        "<main>",
        f"<h1>{title}</h1>",
        _facts(record),
        *([_player(record)] if played else []),
        *_section("Cells", _cells(record)),
        *_section("Alphas", _alphas(record)),
        *_section("Course of the search", _curves(record)),
        *_section("Comparison", _comparison(record)),
        *_section("Training of the network", _training(record)),
        *_section("Configuration", _configuration(record)),
        *_section("Machine and run", _machine(record)),
        "</main>",
        *([f"<script>{script}</script>"] if played else []),
        "</body>",
        "</html>",
    ]
    return "\n".join(parts) + "\n"


def summary(record: Record, text: str) -> str:
    """What a notebook shows of a result: a text, the cells, and the curves."""
    charts = _charts(record.history, _span(record))
    drawings = [_drawing(record.genotype, group) for group in GROUPS[type(record.genotype)]]
    flow = "display:flex;flex-wrap:wrap;gap:12px;margin:8px 0"
    return "\n".join(
        [
            '<div class="pydarts-result">',
            f"<style>\n{CHART_STYLE}\n{style()}\n"
            ".pydarts-result .pydarts-chart{background:#fff;border-radius:10px}"
            "@media (prefers-color-scheme:dark)"
            "{.pydarts-result .pydarts-chart{background:#14171c}}</style>",
            f"<pre>{escape(text)}</pre>",
            f'<div style="{flow}">{"".join(drawings)}</div>',
            f'<div style="{flow}">{"".join(charts)}</div>',
            "</div>",
        ]
    )


def _section(heading: str, content: Iterable[str]) -> Iterator[str]:
    """A section, if there is anything in it."""
    lines = list(content)
    if lines:
        yield f"<section>\n<h2>{heading}</h2>"
        yield from lines
        yield "</section>"


def _title(record: Record) -> str:
    kind = "Recurrent cell" if isinstance(record.genotype, RecurrentGenotype) else "Cells"
    data = record.facts.get("data")
    return f"{kind} for {data}" if data else f"{kind} of a search"


def _facts(record: Record) -> str:
    """What a reader wants to know first."""
    rows: dict[str, str] = {}
    if record.history:
        last, wanted = record.history[-1], record.config.get("epochs")
        seconds = number(last.get("seconds"))
        rows["Searched"] = str(len(record.history)) + (f" of {wanted}" if wanted else "")
        rows["Searched"] += " epochs" + (f" in {duration(seconds)}" if seconds is not None else "")
        for name in ("valid_accuracy", "valid_perplexity"):
            if name in last:
                rows[f"{_label(name)} of the search"] = _value(name, last[name])
    for name in ("accuracy", "test_perplexity", "unigram_perplexity"):
        if record.facts.get(name) is not None:
            label = "Accuracy on test images" if name == "accuracy" else _label(name)
            rows[label] = _value(name, record.facts[name])
    if record.facts.get("state", "finished") != "finished":
        rows["State"] = str(record.facts["state"])
    if record.facts.get("search_stopped"):
        rows["The search stopped early"] = str(record.facts["search_stopped"])
    items = "".join(
        f"<div><dt>{escape(name.capitalize())}</dt><dd>{escape(value)}</dd></div>"
        for name, value in rows.items()
    )
    return f'<dl class="facts">{items}</dl>' if items else ""


# Cells and alphas


def _span(record: Record) -> tuple[int, int]:
    """The numbers of the first and the last frame."""
    return record.first, record.first + len(record.frames) - 1


def _player(record: Record) -> str:
    first, last = _span(record)
    names = escape(json.dumps([frame.name for frame in record.frames]))
    return (
        '<div id="player" role="group" aria-label="Epoch shown" hidden>'
        '<button type="button" id="play">Play</button>'
        f'<input type="range" id="epoch" aria-label="Epoch" min="{first}" max="{last}" '
        f'value="{last}" step="1" data-names="{names}">'
        f'<output id="shown" for="epoch" aria-live="off"></output></div>'
    )


def _drawing(genotype: Cell, group: str) -> str:
    if isinstance(genotype, RecurrentGenotype):
        return recurrent_svg(genotype, styled=False)
    return cell_svg(genotype, "normal" if group == "normal" else "reduce", styled=False)


def _cells(record: Record) -> Iterator[str]:
    first, last = _span(record)
    if last > first:
        yield (
            "<p>The cells that the alphas stood for at the end of each epoch. The last ones are "
            "what the search found.</p>"
        )
    for group, name in GROUPS[type(record.genotype)].items():
        drawings: dict[str, list[int]] = {}  # by the epochs of each: most cells live long
        for epoch, frame in enumerate(record.frames, first):
            drawings.setdefault(_drawing(frame.genotype, group), []).append(epoch)
        yield f'<div class="frames scroll" tabindex="0" role="region" aria-label="{name}">'
        for drawing, epochs in drawings.items():
            hidden = "" if last in epochs else " hidden"
            yield f'<div data-epochs="{_joined(epochs)}"{hidden}>{drawing}</div>'
        yield "</div>"
    changes = list(_changes(record))
    if changes:
        yield f"<details><summary>When the cells changed ({len(changes)} epochs)</summary><ul>"
        yield from (f"<li>{escape(change)}</li>" for change in changes)
        yield "</ul></details>"
    recurrent = isinstance(record.genotype, RecurrentGenotype)
    command = "train-text" if recurrent else "train"
    yield f"<p>As the literature writes it, which <code>pydarts {command}</code> takes:</p>"
    yield f"<pre>{escape(str(record.genotype))}</pre>"


def _changes(record: Record) -> Iterator[str]:
    """A line for each epoch in which edges came or went."""
    for before, after in pairwise(record.frames):
        parts = []
        for group, name in GROUPS[type(record.genotype)].items():
            old, new = (set(kept(frame.genotype, group)) for frame in (before, after))
            names = {(j, i): label for j, i, label in cell_edges(after.genotype, group)}
            texts = [
                f"{sign} {operation} ({names[source, node]})"
                for sign, edges in (("−", old - new), ("+", new - old))
                for operation, source, node in sorted(edges, key=lambda edge: edge[::-1])
            ]
            if texts:
                parts.append(f"{name.lower()} {', '.join(texts)}")
        if parts:
            yield f"{after.name}: {'; '.join(parts)}"


def _alphas(record: Record) -> Iterator[str]:
    weighted = [frame for frame in record.frames if frame.weights]
    if not weighted:
        return
    names, groups = operations(record.genotype), GROUPS[type(record.genotype)]
    yield (
        "<p>What each candidate operation contributes to the sum on its edge, softmax(α), in per "
        "cent. Outlined is what the cell keeps: the strongest edges of each node, and on them the "
        "strongest operation but <code>none</code>.</p>"
    )
    yield '<div class="heats">'
    for group, name in groups.items():
        yield f'<div class="scroll" tabindex="0" role="region" aria-label="Alphas, {name}">'
        yield from _heat_map(record, group, name)
        yield "</div>"
    yield "</div>"
    if len(weighted) == 1:
        return
    legend = looks(names)
    yield '<ul class="legend">'
    yield from (f"<li>{swatch(look)} {name}</li>" for name, look in legend.items())
    yield "</ul>"
    span = _span(record)
    for group, name in groups.items():
        weights = record.weights(group)
        bounds = float(weights.min()), float(weights.max())
        yield f"<h3>{name}, edge by edge</h3>"
        yield '<div class="charts small">'
        for edge, (_, _, label) in enumerate(cell_edges(record.genotype, group)):
            lines = [
                Series(operation, weights[:, edge, k].tolist(), span[0], legend[operation])
                for k, operation in enumerate(names)
            ]
            yield (
                line_chart(
                    label,
                    lines,
                    span,
                    size=(170, 120),
                    bounds=bounds,
                    percent=True,
                    legend=False,
                    points=False,
                )
                or ""
            )
        yield "</div>"


def _heat_map(record: Record, group: str, name: str) -> Iterator[str]:
    first, last = _span(record)
    weights = record.weights(group)
    with_all = len(weights) == len(record.frames)
    chosen: dict[tuple[str, int, int], list[int]] = {}
    for epoch, frame in enumerate(record.frames, first):
        for edge in kept(frame.genotype, group):
            chosen.setdefault(edge, []).append(epoch)
    least, most = _permille(weights.min()), _permille(weights.max())
    yield (
        f'<table class="heat" style="--least:{least};--range:{max(1, most - least)}">'
        f"<caption>{name}: {least / 10} at least, {most / 10} at most</caption>"
    )
    columns = "".join(
        f'<th scope="col"><span>{operation}</span></th>'
        for operation in operations(record.genotype)
    )
    yield f'<thead><tr><th scope="col">edge</th>{columns}</tr></thead><tbody>'
    for row, (source, node, label) in enumerate(cell_edges(record.genotype, group)):
        cells = ""
        for column, operation in enumerate(operations(record.genotype)):
            course = [_permille(weight) for weight in weights[:, row, column]]
            epochs = chosen.get((operation, source, node), [])
            cells += "<td" + (' class="kept"' if last in epochs else "")
            if with_all:
                cells += f' data-weights="{_joined(course)}"'
                cells += f' data-kept="{_joined(epochs)}"' if epochs else ""
            cells += f' style="--w:{course[-1]}">{course[-1] / 10}</td>'
        yield f'<tr><th scope="row">{label}</th>{cells}</tr>'
    yield "</tbody></table>"


def _permille(weight: float) -> int:
    return round(1000 * weight)


def _joined(numbers: Iterable[int]) -> str:
    return " ".join(map(str, numbers))


# Curves and tables


def _charts(history: Sequence[Mapping[str, Any]], span: tuple[int, int]) -> Iterator[str]:
    for title, lines, percent in curves(history):
        series = [Series(name, values) for name, values in lines.items()]
        yield line_chart(title, series, span, percent=percent, legend=len(series) > 1) or ""


def _curves(record: Record) -> Iterator[str]:
    yield from _course(record.history, _span(record))


def _training(record: Record) -> Iterator[str]:
    yield from _course(record.training, (1, len(record.training)))


def _course(history: Sequence[Mapping[str, Any]], span: tuple[int, int]) -> Iterator[str]:
    """Charts of a history, and its numbers."""
    charts = list(_charts(history, span))
    if not charts:
        return
    yield '<div class="charts">'
    yield from charts
    yield "</div>"
    names = [name for name in history[0] if name != "genotype"]
    head = "".join(f'<th scope="col">{escape(_label(name))}</th>' for name in names)
    yield '<details><summary>The numbers</summary><div class="scroll" tabindex="0" role="region"'
    yield f' aria-label="The numbers"><table class="numbers"><thead><tr>{head}</tr></thead><tbody>'
    for entry in history:
        row = "".join(f"<td>{escape(_value(name, entry.get(name)))}</td>" for name in names)
        yield f"<tr>{row}</tr>"
    yield "</tbody></table></div></details>"


def _comparison(record: Record) -> Iterator[str]:
    found = record.comparison
    if found is None:
        return
    measure, better = str(found.get("measure", "score")), found.get("better")
    if found.get("verdict"):
        yield f"<p>{escape(str(found['verdict']))}</p>"
    title = measure.capitalize() + (f", {better} is better" if better else "")
    cells = found["cells"]
    rows = [
        (str(cell.get("name")), list(map(number, cell["scores"])), cell.get("kind") == "found")
        for cell in cells
    ]
    yield dot_chart(title, rows, percent=measure.endswith(_SHARES)) or ""
    seeds = range(max((len(line) for _, line, _ in rows), default=0))
    labels = [f"seed {seed}" for seed in found.get("seeds", seeds)]
    head = "".join(
        f'<th scope="col">{escape(label)}</th>' for label in ["cell", "weights", "mean", *labels]
    )
    yield '<div class="scroll" tabindex="0" role="region" aria-label="Scores">'
    yield f'<table class="numbers"><thead><tr>{head}</tr></thead><tbody>'
    for cell, (name, line, _) in zip(cells, rows, strict=True):
        there = [score for score in line if score is not None]
        mean = math.fsum(there) / len(there) if there else None
        texts = [_value("weights", cell.get("num_weights"))]
        texts += [_value(measure, score) for score in [mean, *line]]
        columns = "".join(f"<td>{escape(text)}</td>" for text in texts)
        yield f'<tr><th scope="row">{escape(name)}</th>{columns}</tr>'
    yield "</tbody></table></div>"


def _configuration(record: Record) -> Iterator[str]:
    if not record.config:
        return
    kind: type[Config] = SearchConfig
    if isinstance(record.genotype, RecurrentGenotype):
        kind = TextSearchConfig
    helps = {option.name: option.metadata["help"] for option in kind.options()}
    rows = {name: (value, helps.get(name, "")) for name, value in record.config.items()}
    yield from _table(rows)


def _machine(record: Record) -> Iterator[str]:
    if record.machine is None:
        yield "<p>What it ran on was not written down.</p>"
    facts = {**(record.machine or {}), **record.facts}
    yield from _table({name: (value, "") for name, value in facts.items()})


def _table(rows: Mapping[str, tuple[object, str]]) -> Iterator[str]:
    if not rows:
        return
    yield '<div class="scroll"><table><tbody>'
    for name, (value, text) in rows.items():
        note = f'<td class="note">{escape(text)}</td>' if any(t for _, t in rows.values()) else ""
        yield (
            f'<tr><th scope="row">{escape(_label(name))}</th>'
            f"<td>{escape(_value(name, value))}</td>{note}</tr>"
        )
    yield "</tbody></table></div>"


def _label(name: str) -> str:
    return _LABELS.get(name, name.replace("_", " ").replace("valid ", "validation "))


def _value(name: str, value: Any) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if name.endswith(_SHARES):
            return f"{value:.2%}"
        return f"{value:.5g}" if not value.is_integer() else f"{value:g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, (list, tuple)):
        return ", ".join(_value(name, each) for each in value)
    return str(value)
