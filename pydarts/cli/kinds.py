# SPDX-License-Identifier: MIT
"""All kinds of data, and which of them a genotype or a saved model is of."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydarts.cli.base import Kind
from pydarts.cli.images import ImageKind
from pydarts.cli.text import TextKind
from pydarts.common.errors import ArgumentError
from pydarts.models.files import declared_format, model_folder
from pydarts.spaces.genotype import BaseGenotype
from pydarts.spaces.published import PUBLISHED, parse_genotype, published
from pydarts.spaces.space import Space

#: The kinds, by the name of the space of their genotypes.
KINDS: Final[Mapping[str, type[Kind]]] = {
    kind.task_type.space.name: kind for kind in (ImageKind, TextKind)
}

GENOTYPE: Final = "genotype.json"
SUMMARY: Final = "summary.json"


def load_model(folder: str | os.PathLike[str], threads: int | None) -> tuple[type[Kind], Any]:
    """Load a model of any kind, with its kind."""
    path = model_folder(folder)
    found = declared_format(path)
    kind = next((each for each in KINDS.values() if found == each.model_type.FORMAT), ImageKind)
    return kind, kind.model_type.load(path, threads=threads)


def genotype_help(space: Space) -> str:
    """What `read_genotype` takes."""
    return (
        f"{', '.join(published(space))}, the folder of a search, a file with a genotype as JSON or"
        f" in the literature's form, or 'Genotype({space.cells[0].name}=...)' itself"
    )


def read_genotype(text: str, space: Space) -> BaseGenotype:
    """Read a published cell's name, a search's folder, a file, or the literature's form itself."""
    if text in PUBLISHED:
        return _required(PUBLISHED[text], space, text)
    if "Genotype" in text and "(" in text:
        return _required(_parsed(text, "GENOTYPE"), space, "GENOTYPE")
    path = Path(text)
    if path.is_dir():
        path /= GENOTYPE
    if not path.is_file():
        raise FileNotFoundError(f"no genotype {text!r}: give {genotype_help(space)}")
    return _required(read_genotype_file(path), space, str(path))


def read_genotype_file(path: Path) -> BaseGenotype:
    """Read a genotype of any space; errors name the file."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(1 << 17)  # more than the parsers take
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return _parsed(text, str(path))


def _parsed(text: str, source: str) -> BaseGenotype:
    try:
        return parse_genotype(text)
    except ArgumentError as error:
        raise ValueError(f"{source}: {error.argument} {error.problem}") from error
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error


def _required(genotype: BaseGenotype, space: Space, source: str) -> BaseGenotype:
    if genotype.space != space:
        command = KINDS[genotype.space.name].train_command
        raise ValueError(
            f"{source} is a {genotype.space.kind} genotype: `pydarts {command}` takes it"
        )
    return genotype


def pretty(genotype: BaseGenotype) -> str:
    """The literature's form, a node a line."""
    lines = ["Genotype("]
    for cell in genotype.space.cells:
        entries, step = getattr(genotype, cell.name), cell.kept_edges
        nodes = [entries[i : i + step] for i in range(0, len(entries), step)]
        lines.append(f"    {cell.name}=[")
        lines += [f"        {', '.join(map(str, node))}," for node in nodes]
        output = list(getattr(genotype, cell.output_field))
        lines += ["    ],", f"    {cell.output_field}={output},"]
    return "\n".join([*lines, ")"])
