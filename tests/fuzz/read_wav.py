# SPDX-License-Identifier: MIT
"""Folders of .wav files."""

from __future__ import annotations

from pathlib import Path

from pydarts.data.datasets import load


def read(folder: Path, data: bytes) -> None:
    (folder / "a_0.wav").write_bytes(data)
    load(str(folder)).X_train[:1]
