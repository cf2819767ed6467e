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
from pydarts.spaces.space import GENOTYPES, READY

#: The kinds, by that of the spaces of their genotypes.
KINDS: Final[Mapping[str, type[Kind]]] = {
    kind.task_type.kind: kind for kind in (ImageKind, TextKind)
}

GENOTYPE: Final = "genotype.json"
SUMMARY: Final = "summary.json"


def load_model(folder: str | os.PathLike[str], threads: int | None) -> tuple[type[Kind], Any]:
    """Load a model of any kind, with its kind."""
    path = model_folder(folder)
    found = declared_format(path)
    kind = next((each for each in KINDS.values() if found == each.model_type.FORMAT), ImageKind)
    return kind, kind.model_type.load(path, threads=threads)


def genotype_help(kind: str) -> str:
    """What `read_genotype` takes."""
    space = READY[GENOTYPES[kind].usual_space]
    return (
        f"{', '.join(published(space))}, the folder of a search, a file with a genotype as JSON or"
        f" in the literature's form, or 'Genotype({space.cells[0].name}=...)' itself"
    )


def read_genotype(text: str, kind: str) -> BaseGenotype:
    """Read a published cell's name, a search's folder, a file, or the literature's form itself."""
    if text in PUBLISHED:
        return _required(PUBLISHED[text], kind, text)
    if ("Genotype" in text and "(" in text) or text.startswith("|"):
        return _required(_parsed(text, "GENOTYPE"), kind, "GENOTYPE")
    path = Path(text)
    if path.is_dir():
        path /= GENOTYPE
    if not path.is_file():
        raise FileNotFoundError(f"no genotype {text!r}: give {genotype_help(kind)}")
    return _required(read_genotype_file(path), kind, str(path))


def read_genotype_file(path: Path) -> BaseGenotype:
    """Read a genotype of any space; errors name the file."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read((1 << 18) + 1)  # more than the parsers take
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


def _required(genotype: BaseGenotype, kind: str, source: str) -> BaseGenotype:
    if genotype.kind != kind:
        command = KINDS[genotype.kind].train_command
        raise ValueError(f"{source} is a {genotype.kind} genotype: `pydarts {command}` takes it")
    return genotype


def pretty(genotype: BaseGenotype) -> str:
    """The literature's form, a node a line."""
    text = str(genotype)
    if not text.startswith("Genotype(") and genotype.kind == "convolutional":
        return text
    lines = ["Genotype("]
    for cell in genotype.space.cells:
        nodes: dict[int, list[str]] = {}
        for op, source, node in genotype.kept(cell.name):
            nodes.setdefault(node, []).append(str((op, source)))
        lines.append(f"    {cell.name}=[")
        lines += [f"        {', '.join(entries)}," for entries in nodes.values()]
        lines.append("    ],")
        if cell.output_field is not None:
            lines.append(f"    {cell.output_field}={list(genotype.outputs(cell.name))},")
    if not genotype.space.is_usual:
        lines.append(f"    space={genotype.space.name!r},")
    return "\n".join([*lines, ")"])
