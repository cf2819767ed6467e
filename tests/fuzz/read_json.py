# SPDX-License-Identifier: MIT
"""The JSON files that state their format and version, but models and results."""

from __future__ import annotations

from pathlib import Path

from pydarts.costs.profile import Profile
from pydarts.evaluation.comparison import read_comparison
from pydarts.evaluation.trade_off import TradeOff
from pydarts.training.plan import Plan

READERS = {b"p": Profile.load, b"l": Plan.load, b"c": read_comparison, b"t": TradeOff.load}


def read(folder: Path, data: bytes) -> None:
    path = folder / "file.json"
    path.write_bytes(data[1:])
    found = READERS.get(data[:1], read_comparison)(path)
    str(found)
