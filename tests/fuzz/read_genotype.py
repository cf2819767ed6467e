# SPDX-License-Identifier: MIT
"""Genotypes in the literature's form and in JSON, and spaces."""

from __future__ import annotations

from pathlib import Path

from pydarts import Genotype, RecurrentGenotype
from pydarts.cli.kinds import read_genotype_file
from pydarts.spaces.ready import as_space


def read(folder: Path, data: bytes) -> None:
    path = folder / "genotype.json"
    path.write_bytes(data[1:])
    if data[:1] == b"s":
        as_space(path)
        return
    if data[:1] == b"g":
        read_genotype_file(path)
        return
    kind = RecurrentGenotype if data[:1] == b"r" else Genotype
    kind.parse(data[1:].decode())
