# SPDX-License-Identifier: MIT
"""What a search found, over images or over text: history, alphas and the files that hold them."""

from __future__ import annotations

import csv
import importlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from pydarts.data.datasets import read_npz
from pydarts.engine.network import Alphas
from pydarts.spaces.darts import Genotype
from pydarts.spaces.recurrent import RecurrentGenotype
from pydarts.training.config import Config

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Self = TypeVar("Self", bound="Result")
History = list[dict[str, Any]]


@dataclass(eq=False)
class Result:
    """What both kinds of results share; `SearchResult` and `TextSearchResult` tell the rest."""

    config: Any
    supernet: Any
    alphas: Alphas
    history: History = field(default_factory=list)
    alpha_history: Alphas = field(default_factory=dict)
    interrupted: bool = False
    stopped: str | None = None
    seconds: float = 0.0

    _config: ClassVar[type[Config]]
    _cell: ClassVar[type[Genotype] | type[RecurrentGenotype]]

    def __post_init__(self) -> None:
        if not self.alpha_history:
            self.alpha_history = {name: a[np.newaxis] for name, a in self.alphas.items()}

    def to_frame(self) -> Any:
        """The history as a pandas DataFrame, a row an epoch."""
        try:
            pandas = importlib.import_module("pandas")
        except ImportError as error:
            raise ImportError("`to_frame` needs pandas: pip install pandas") from error
        return pandas.DataFrame(self.history)

    def plot(self) -> Figure:
        """Draw the search: the curves of its history, and the alphas of each edge over the epochs.

        Returns
        -------
        matplotlib.figure.Figure
            Of each edge the softmax of the alphas, which is what mixes the operations.

        Raises
        ------
        ImportError
            Without matplotlib, which ``pip install 'pydarts-nas[plot]'`` brings.
        """
        from pydarts.report.figure import plot
        from pydarts.report.report_data import Record

        return plot(Record.of(self))

    def report(self, path: str | os.PathLike[str]) -> None:
        """Write a page that shows the search: cells, alphas, curves, configuration, machine.

        Parameters
        ----------
        path
            The HTML file; one that exists is replaced. It needs no other file and no network.
        """
        from pydarts.report.page import page
        from pydarts.report.report_data import Record

        Path(path).write_text(page(Record.of(self)), encoding="utf-8")

    def _repr_html_(self) -> str:
        from pydarts.report.page import summary
        from pydarts.report.report_data import Record

        return summary(Record.of(self), repr(self))

    @classmethod
    def load(cls: type[Self], folder: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote: configuration, alphas and histories. ``supernet`` is None then,
        and whether the search was interrupted or stopped is not known.

        Raises
        ------
        FileNotFoundError
            If a file is missing.
        ValueError
            If one is damaged; names it.
        """
        from pydarts.report.report_data import GROUPS

        to, groups = Path(folder), GROUPS[cls._cell]
        with _reading(to / "config.json") as path:
            values = json.loads(path.read_text(encoding="utf-8"))
            config = cls._config(values.pop("preset"), **values)
        with _reading(to / "history.csv") as path:
            history = read_history(path)
        with _reading(to / "alphas.npz") as path:
            alphas = read_npz(path, groups)
            cls._cell.derive(alphas)
        with _reading(to / "alpha_history.npz") as path:
            alpha_history = read_npz(path, groups)
            for name, a in alphas.items():
                if alpha_history[name].shape != (len(history) + 1, *a.shape):
                    raise ValueError(f"{name!r} has the shape {alpha_history[name].shape}")
        found = cls(config, None, alphas, history, alpha_history)
        found.seconds = history[-1]["seconds"] if history else 0.0
        return found

    def _save(self, folder: str | os.PathLike[str], genotype: Any, svgs: Mapping[str, str]) -> None:
        to = Path(folder)
        to.mkdir(parents=True, exist_ok=True)
        (to / "genotype.json").write_text(genotype.to_json() + "\n", encoding="utf-8")
        config = json.dumps(self.config.to_dict(), indent=2)
        (to / "config.json").write_text(config + "\n", encoding="utf-8")
        arrays: dict[str, Any] = {"alphas": self.alphas, "alpha_history": self.alpha_history}
        for name, groups in arrays.items():
            np.savez(to / f"{name}.npz", **groups)
        for name, svg in svgs.items():
            (to / f"{name}.svg").write_text(svg, encoding="utf-8")
        write_history(to / "history.csv", self.history)

    def _how_far(self) -> str:
        text = f"{type(self).__name__} after {len(self.history)} of {self.config.epochs} epochs"
        text += " (interrupted)" if self.interrupted else ""
        return text + (f" (stopped: {self.stopped})" if self.stopped else "")


class _reading:
    """Errors in reading a file name it."""

    def __init__(self, path: Path):
        self._path = path

    def __enter__(self) -> Path:
        if not self._path.is_file():
            raise FileNotFoundError(f"{self._path} is missing")
        return self._path

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        # zipfile.BadZipFile is an Exception only
        if isinstance(error, Exception) and not isinstance(error, MemoryError):
            raise ValueError(f"{self._path} cannot be read: {error}") from error


def write_history(path: Path, history: History) -> None:
    """A CSV file with a row an epoch. Numbers are written so that they are read back exactly."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(history[0]) if history else ["epoch"])
        writer.writeheader()
        writer.writerows(history)


def read_history(path: Path) -> History:
    """What `write_history` wrote."""
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
