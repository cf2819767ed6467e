# SPDX-License-Identifier: MIT
"""A search as one HTML page that needs nothing else: no network, no script, no other file.

A script lets a slider choose the epoch; without it the page shows the last one. The page's security
policy forbids any other script and anything from outside.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydarts.common.files import check_free, replace_file
from pydarts.drawing.cells import cell_svg
from pydarts.drawing.svg import cell_style, escape
from pydarts.report import sections
from pydarts.report.charts import CHART_STYLE
from pydarts.report.report_data import ReportData, number
from pydarts.report.tables import label, show_value
from pydarts.training.budget import duration
from pydarts.training.result import SearchResult


def write_report(
    result: SearchResult[Any], path: str | os.PathLike[str], *, overwrite: bool = False
) -> None:
    """Write the page of a result: what `SearchResult.report` does.

    Parameters
    ----------
    result : SearchResult
    path, overwrite
        See `write_page`.
    """
    write_page(ReportData.from_result(result), path, overwrite=overwrite)


def write_page(data: ReportData, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a page that shows a search: cells, α, learning curves, configuration, environment.

    Parameters
    ----------
    data : ReportData
    path : path
        The HTML file. It needs no other file and no network.
    overwrite : bool
        Whether a file that exists is replaced.

    Raises
    ------
    FileExistsError
        If the file exists and `overwrite` is not set.
    """
    check_free(overwrite, Path(path))
    replace_file(Path(path), page_html(data).encode())


def page_html(data: ReportData) -> str:
    """Return the page of a search.

    Parameters
    ----------
    data : ReportData

    Returns
    -------
    str
        HTML.
    """
    script, sheet = (
        files("pydarts.report").joinpath(name).read_text("utf-8")
        for name in ("report.js", "report.css")
    )
    checksum = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{checksum}'"
    title = escape(_title(data))
    animated = len(data.snapshots) > 1
    training = data.training_history
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        f"<title>{title}</title>",
        "<style>",
        sheet,
        CHART_STYLE,
        cell_style(),
        "</style>",
        "</head>",
        "<body>",
        "<main>",
        f"<h1>{title}</h1>",
        _facts(data),
        *([_player(data)] if animated else []),
        *_section("Cells", sections.cells_section(data)),
        *_section("Architecture parameters (α)", sections.alphas_section(data)),
        *_section("Selection by perturbation", sections.selection_section(data)),
        *_section("Selection among finalists", sections.finalists_section(data)),
        *_section("Learning curves", sections.history_section(data.history, data.span)),
        *_section("Comparison", sections.comparison_section(data)),
        *_section("Accuracy against cost", sections.trade_off_section(data)),
        *_section(
            "Training of the network", sections.history_section(training, (1, len(training)))
        ),
        *_section("Configuration", sections.configuration_section(data)),
        *_section("Environment", sections.environment_section(data)),
        "</main>",
        *([f"<script>{script}</script>"] if animated else []),
        "</body>",
        "</html>",
    ]
    return "\n".join(parts) + "\n"


def result_html(result: SearchResult[Any]) -> str:
    """Return what a notebook shows of a result: its text, the cells, and the learning curves.

    Parameters
    ----------
    result : SearchResult

    Returns
    -------
    str
        HTML.
    """
    return notebook_html(ReportData.from_result(result), repr(result))


def notebook_html(data: ReportData, text: str) -> str:
    """Return a text, the cells, and the learning curves.

    Parameters
    ----------
    data : ReportData
    text : str
        What stands above the cells.

    Returns
    -------
    str
        HTML.
    """
    charts = sections.curve_charts(data.history, data.span)
    drawings = [cell_svg(data.genotype, cell.name, styled=False) for cell in data.space.cells]
    flow = "display:flex;flex-wrap:wrap;gap:12px;margin:8px 0"
    return "\n".join(
        [
            '<div class="pydarts-result">',
            f"<style>\n{CHART_STYLE}\n{cell_style()}\n"
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


def _title(data: ReportData) -> str:
    cells = data.space.cells
    kind = cells[0].title if len(cells) == 1 else "Cells"
    name = data.facts.get("data")
    return f"{kind} for {name}" if name else f"{kind} of a search"


#: What summary.json may hold of a model of images.
_MEASURES = ("accuracy", "balanced_accuracy", "average_precision", "r2")


def _facts(data: ReportData) -> str:
    """What a reader wants to know first."""
    rows: dict[str, str] = {}
    if data.history:
        last, wanted = data.history[-1], data.num_epochs
        seconds = number(last.get("seconds"))
        rows["Searched"] = str(len(data.history)) + (f" of {wanted}" if wanted else "")
        rows["Searched"] += " epochs" + (f" in {duration(seconds)}" if seconds is not None else "")
        for name in (*(f"valid_{name}" for name in _MEASURES), "valid_perplexity"):
            if name in last:
                rows[f"{label(name)} of the search"] = show_value(name, last[name])
    for name in (*_MEASURES, "test_perplexity", "unigram_perplexity"):
        if data.facts.get(name) is not None:
            of_images = name in _MEASURES
            heading = f"{label(name).capitalize()} on test images" if of_images else label(name)
            rows[heading] = show_value(name, data.facts[name])
    if data.facts.get("state", "finished") != "finished":
        rows["State"] = str(data.facts["state"])
    if data.facts.get("search_stopped"):
        rows["The search stopped early"] = str(data.facts["search_stopped"])
    items = "".join(
        f"<div><dt>{escape(name.capitalize())}</dt><dd>{escape(value)}</dd></div>"
        for name, value in rows.items()
    )
    return f'<dl class="facts">{items}</dl>' if items else ""


def _player(data: ReportData) -> str:
    first, last = data.span
    names = escape(json.dumps([snapshot.name for snapshot in data.snapshots]))
    return (
        '<div id="player" role="group" aria-label="Epoch shown" hidden>'
        '<button type="button" id="play">Play</button>'
        f'<input type="range" id="epoch" aria-label="Epoch" min="{first}" max="{last}" '
        f'value="{last}" step="1" data-names="{names}">'
        f'<output id="shown" for="epoch" aria-live="off"></output></div>'
    )
