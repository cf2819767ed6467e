# SPDX-License-Identifier: MIT
"""Checkpoints."""

from __future__ import annotations

from pathlib import Path

from pydarts.training import checkpoint


class _Equal:
    def __ne__(self, other: object) -> bool:
        return False


def prepare() -> None:
    """The checksum hides what lies behind it; an attacker writes the right one."""
    checkpoint._digest = lambda *_: _Equal()


def read(folder: Path, data: bytes) -> None:
    path = folder / "checkpoint.safetensors"
    path.write_bytes(data)
    checkpoint.read_checkpoint(path)
