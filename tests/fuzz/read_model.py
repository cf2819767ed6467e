# SPDX-License-Identifier: MIT
"""Saved models, one of whose two files is not as it was, and classifiers."""

from __future__ import annotations

from pathlib import Path

from pydarts import LanguageModel, Model
from pydarts.sklearn import DartsClassifier

WHOLE = Path(__file__).parents[1] / "data" / "version1"
KINDS = {
    b"c": ("classifier", "classifier.json"),
    b"d": ("model", "model.json"),
    b"w": ("model", "model.safetensors"),
    b"D": ("model-text", "model.json"),
    b"W": ("model-text", "model.safetensors"),
}


def read(folder: Path, data: bytes) -> None:
    whole, changed = KINDS.get(data[:1], KINDS[b"d"])
    for path in (WHOLE / whole).iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / changed).write_bytes(data[1:])
    if whole == "classifier":
        DartsClassifier.load(folder)
    else:
        (Model if whole == "model" else LanguageModel).load(folder, threads=1)
