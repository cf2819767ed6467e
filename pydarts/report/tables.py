# SPDX-License-Identifier: MIT
"""Numbers, names and tables as a page shows them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pydarts.drawing.svg import escape

# Ends of the names of values that are shown in per cent.
SHARES: Final = ("accuracy", "average_precision", "f1")
_LABELS: Final = {
    "level": "tokens",
    "cpu": "processor",
    "cpu_model": "model of the processor",
    "search_seconds": "seconds of searching",
    "search_stopped": "why the search stopped",
    "train_seconds": "seconds of training",
    "num_weights": "weights of the trained network",
}


def label(name: str) -> str:
    """The name of a value as people read it."""
    return _LABELS.get(name, name.replace("_", " ").replace("valid ", "validation "))


def show_value(name: str, value: Any) -> str:
    """The value of that name as people read it."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if name.endswith(SHARES):
            return f"{value:.2%}"
        return f"{value:.5g}" if not value.is_integer() else f"{value:g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, (list, tuple)):
        return ", ".join(show_value(name, each) for each in value)
    return str(value)


def fact_table(rows: Mapping[str, tuple[object, str]]) -> Iterator[str]:
    """Values by their names, and notes on them."""
    if not rows:
        return
    noted = any(note for _, note in rows.values())
    yield '<div class="scroll"><table><tbody>'
    for name, (value, note) in rows.items():
        column = f'<td class="note">{escape(note)}</td>' if noted else ""
        yield (
            f'<tr><th scope="row">{escape(label(name))}</th>'
            f"<td>{escape(show_value(name, value))}</td>{column}</tr>"
        )
    yield "</tbody></table></div>"


def number_table(
    name: str, columns: Iterable[str], rows: Iterable[Sequence[str]], headed: bool = False
) -> Iterator[str]:
    """A table of that name; if `headed`, the first of each row is its heading."""
    yield f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}">'
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    yield f'<table class="numbers"><thead><tr>{head}</tr></thead><tbody>'
    for row in rows:
        cells = [f"<td>{escape(text)}</td>" for text in row]
        if headed:
            cells[0] = f'<th scope="row">{escape(row[0])}</th>'
        yield f"<tr>{''.join(cells)}</tr>"
    yield "</tbody></table></div>"
