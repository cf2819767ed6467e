# SPDX-License-Identifier: MIT
"""What is known of a search, for those who show it: from a result, or from the folder of one."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pydarts.common.environment import machine
from pydarts.data.datasets import naming, read_npz
from pydarts.drawing.cells import state_names
from pydarts.spaces.darts import OPERATIONS, Genotype
from pydarts.spaces.recurrent import RECURRENT_OPERATIONS, RecurrentGenotype
from pydarts.spaces.space import edges
from pydarts.training.result import History, read_history

Cell = Genotype | RecurrentGenotype
Weights = Mapping[str, NDArray[np.float64]]

#: The cells of either kind of genotype, and their names.
GROUPS: Final[Mapping[type[Any], Mapping[str, str]]] = {
    Genotype: {"normal": "Normal cell", "reduce": "Reduction cell"},
    RecurrentGenotype: {"recurrent": "Recurrent cell"},
}

_START: Final = "the start"
_END: Final = "the result"


class Frame(NamedTuple):
    """The search at one moment: the start, the end of an epoch, or what was found after it."""

    name: str
    genotype: Cell
    weights: Weights | None  # softmax of the alphas, a row an edge; None where it was not kept


class Curve(NamedTuple):
    """Values over epochs that belong in one chart; the last ones belong to the last epoch."""

    title: str
    lines: Mapping[str, list[float | None]]
    percent: bool = False


# Title, columns of the history by the name of their line, whether they are shares.
_CURVES: Final = (
    ("Loss", {"train_loss": "training", "valid_loss": "validation"}, False),
    ("Accuracy", {"train_accuracy": "training", "valid_accuracy": "validation"}, True),
    ("Perplexity", {"valid_perplexity": "validation"}, False),
    ("Dominant eigenvalue of ∇²α L", {"eigenvalue": "eigenvalue"}, False),
    (
        "Entropy of the mixing weights",
        {f"alpha_entropy_{name}": name for group in GROUPS.values() for name in group},
        False,
    ),
    ("Norm of the alphas' gradient", {"alpha_gradient_norm": "norm"}, False),
    ("Skip connections", {"skips": "skips"}, False),
)


@dataclass(frozen=True)
class Record:
    """All that a report or a plot shows.

    Attributes
    ----------
    genotype : what was found.
    frames : how the cell came to be; the last one is what was found.
    history, training : an entry an epoch of the search, and of the training of what was found.
    config : the search's hyper-parameters.
    facts : the rest that is known, by name.
    machine : what the search ran on; None if that was not written down.
    comparison : what `compare.json` holds.
    """

    genotype: Cell
    frames: Sequence[Frame]
    history: Sequence[Mapping[str, Any]] = ()
    training: Sequence[Mapping[str, Any]] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    machine: Mapping[str, Any] | None = None
    comparison: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, result: Any) -> Record:
        """What a `SearchResult` or `TextSearchResult` tells; if it was loaded, not the machine."""
        genotype: Cell = result.genotype
        cells = _cells(genotype, result.history)
        facts = {"state": "interrupted"} if result.interrupted else {}
        facts |= {"search_stopped": result.stopped} if result.stopped else {}
        return cls(
            genotype=genotype,
            frames=_frames(genotype, cells, result.alphas, result.alpha_history),
            history=result.history,
            config=result.config.to_dict(),
            facts=facts,
            machine=None if result.supernet is None else machine(),
        )

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> Record:
        """What the folder of a search holds; all but its genotype.json may be missing.

        Raises
        ------
        FileNotFoundError, ValueError
            If there is no such folder, or no search in it, or a file is damaged; names it.
        """
        path = Path(folder)
        if not path.is_dir():
            raise FileNotFoundError(f"there is no folder {str(folder)!r}")
        if not (path / "genotype.json").is_file():
            raise FileNotFoundError(f"{folder} holds no search: it has no genotype.json")
        genotype = _read_genotype(path / "genotype.json")
        history = _read_history(path / "history.csv")
        with naming(path / "history.csv"):
            cells = _cells(genotype, history)
        names = GROUPS[type(genotype)]
        alphas, alpha_history = (
            read_npz(path / name, names) if (path / name).is_file() else None
            for name in ("alphas.npz", "alpha_history.npz")
        )
        with naming(path):
            frames = _frames(genotype, cells, alphas, alpha_history)
        facts = _read_object(path / "summary.json") or {}
        known = [name for name in machine() if name in facts]
        return cls(
            genotype=genotype,
            frames=frames,
            history=history,
            training=_read_history(path / "train_history.csv"),
            config=_read_object(path / "config.json") or {},
            facts={name: value for name, value in facts.items() if name not in known},
            machine={name: facts[name] for name in known} or None,
            comparison=_read_comparison(path / "compare.json"),
        )

    @property
    def first(self) -> int:
        """The epoch of the first frame; 0 is the start."""
        return 0 if self.frames[0].name == _START else 1

    def weights(self, group: str) -> NDArray[np.float64]:
        """The mixing weights of a cell, (frames, edges, operations), of the frames that have any.

        Those are the last ones.
        """
        return np.array([frame.weights[group] for frame in self.frames if frame.weights])


def operations(genotype: Cell) -> tuple[str, ...]:
    """The candidate operations, in the order of the weights' columns."""
    return RECURRENT_OPERATIONS if isinstance(genotype, RecurrentGenotype) else OPERATIONS


def cell_edges(genotype: Cell, group: str) -> list[tuple[int, int, str]]:
    """Source, node and name of each edge of a searched cell, in the order of the weights' rows."""
    names, inputs = state_names(genotype, group), _inputs(genotype)
    pairs = edges(len(names) - inputs, inputs)
    return [(source, node, f"{names[source]} → {names[node]}") for source, node in pairs]


def curves(history: Sequence[Mapping[str, Any]]) -> Iterator[Curve]:
    """The curves that a history holds numbers for."""
    for title, columns, percent in _CURVES:
        lines = {
            name: [number(entry.get(column)) for entry in history]
            for column, name in columns.items()
        }
        there = {
            name: line for name, line in lines.items() if any(value is not None for value in line)
        }
        if there:
            yield Curve(title, there, percent)


def kept(genotype: Cell, group: str) -> list[tuple[str, int, int]]:
    """The operation, source and node of each edge that a cell keeps."""
    cell, first = getattr(genotype, group), _inputs(genotype)
    per_node = 1 if isinstance(genotype, RecurrentGenotype) else 2
    return [(op, source, first + k // per_node) for k, (op, source) in enumerate(cell)]


def number(value: object) -> float | None:
    """A finite number as such, and anything else as None."""
    if isinstance(value, (int, float, np.number)) and abs(value) <= sys.float_info.max:
        return float(value)
    return None


def _inputs(genotype: Cell) -> int:
    return 1 if isinstance(genotype, RecurrentGenotype) else 2


def _cells(final: Cell, history: Sequence[Mapping[str, Any]]) -> list[Cell]:
    """The cell at the end of each epoch."""
    return [type(final).parse(str(entry.get("genotype"))) for entry in history]


def _frames(
    final: Cell,
    cells: Sequence[Cell],
    alphas: Mapping[str, NDArray[Any]] | None,
    alpha_history: Mapping[str, NDArray[Any]] | None,
) -> list[Frame]:
    """The start, where its alphas were kept; the epochs; the end, where it is none of these."""
    frames = [Frame(f"epoch {k}", cell, None) for k, cell in enumerate(cells, 1)]
    if alpha_history:
        for name, course in alpha_history.items():
            if course.ndim != 3 or len(course) != len(cells) + 1:
                raise ValueError(
                    f"the alphas {name!r} of shape {course.shape} do not fit a history of"
                    f" {len(cells)} epochs and the start"
                )
        moments = [
            {name: course[k] for name, course in alpha_history.items()}
            for k in range(len(cells) + 1)
        ]
        frames.insert(0, Frame(_START, type(final).derive(moments[0]), None))
        frames = [
            frame._replace(weights=_mixing_weights(final, moment))
            for frame, moment in zip(frames, moments, strict=True)
        ]
    weights = _mixing_weights(final, alphas) if alphas else None
    last = frames[-1] if frames else None
    if last is None or last.genotype != final or _differ(last.weights, weights):
        frames.append(Frame(_END, final, weights))
    else:
        frames[-1] = last._replace(weights=last.weights or weights)
    return frames


def _mixing_weights(genotype: Cell, alphas: Mapping[str, NDArray[Any]]) -> Weights:
    """The softmax of each row."""
    weights = {}
    for name, alpha in alphas.items():
        rows = np.asarray(alpha, np.float64)
        fitting = (len(cell_edges(genotype, name)), len(operations(genotype)))
        if rows.shape != fitting:
            raise ValueError(f"alphas of shape {rows.shape} do not fit a cell, which has {fitting}")
        if not np.isfinite(rows).all():
            raise ValueError("alphas must be finite")
        powers = np.exp(rows - rows.max(axis=1, keepdims=True))
        weights[name] = powers / powers.sum(axis=1, keepdims=True)
    return weights


def _differ(first: Weights | None, second: Weights | None) -> bool:
    """Whether both are there and not the same."""
    if first is None or second is None:
        return False
    return any(not np.array_equal(first[name], second[name]) for name in second)


# Files


def _read_text(path: Path) -> str | None:
    if not path.is_file():
        return None
    with naming(path):
        return path.read_text(encoding="utf-8")


def _read_genotype(path: Path) -> Cell:
    text = _read_text(path) or ""
    kind: Any = RecurrentGenotype if '"recurrent"' in text else Genotype
    with naming(path):
        cell: Cell = kind.from_json(text)
        return cell


def _read_object(path: Path) -> dict[str, Any] | None:
    text = _read_text(path)
    if text is None:
        return None
    with naming(path):
        try:
            found = json.loads(text)
        except RecursionError:
            raise ValueError("it nests too deeply") from None
        if not isinstance(found, dict):
            raise ValueError("it is not a JSON object")
        return found


def _read_comparison(path: Path) -> dict[str, Any] | None:
    found = _read_object(path)
    if found is None:
        return None
    cells, seeds = found.get("cells"), found.get("seeds", [])
    with naming(path):
        if not isinstance(cells, list) or not isinstance(seeds, list):
            raise ValueError("it has no lists of cells and seeds")
        for cell in cells:
            if not isinstance(cell, dict) or not isinstance(cell.get("scores"), list):
                raise ValueError("a cell has no list of scores")
    return found


def _read_history(path: Path) -> History:
    if not path.is_file():
        return []
    with naming(path):
        return read_history(path)
