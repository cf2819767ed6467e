# SPDX-License-Identifier: MIT
"""The history of a run, an entry an epoch, and its CSV file."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

History = list[dict[str, Any]]


def write_history(path: Path, history: History) -> None:
    """Write a CSV file with a row an epoch, whose numbers are read back exactly.

    A column that earlier epochs lack, because an older version began the run, is empty there.
    """
    names = list(dict.fromkeys(name for entry in history for name in entry))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names or ["epoch"])
        writer.writeheader()
        writer.writerows(history)


def read_history(path: Path) -> History:
    """Read what `write_history` wrote."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if any(None in row for row in rows):
        raise ValueError("a row has more values than there are columns")
    return [{k: _value(v) for k, v in row.items()} for row in rows]


def _value(text: str) -> Any:
    if not text:
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text
