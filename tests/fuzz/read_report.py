# SPDX-License-Identifier: MIT
"""What a report shows of a search's folder, one of whose files is not as it was."""

from __future__ import annotations

from pathlib import Path

from pydarts.report.report_data import ReportData

WHOLE = Path(__file__).parents[1] / "data" / "version1" / "result"
FILES = {
    b"g": "genotype.json",
    b"h": "history.csv",
    b"m": "compare.json",
    b"p": "pareto.json",
    b"r": "result.json",
    b"s": "summary.json",
    b"t": "train_history.csv",
}


def read(folder: Path, data: bytes) -> None:
    for path in WHOLE.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / FILES.get(data[:1], "compare.json")).write_bytes(data[1:])
    ReportData.from_folder(folder)
