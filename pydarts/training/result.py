# SPDX-License-Identifier: MIT
"""What a search found: genotype, α, history, and the files that hold them."""

from __future__ import annotations

import csv
import importlib
import json
import os
import textwrap
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from pydarts.common import extensions
from pydarts.common.checks import choice, integer, number, show
from pydarts.common.files import MALFORMED, check_free, read_described, write_json
from pydarts.costs.budget import COSTS, describe_costs, limit_notes
from pydarts.data.npz import read_npz
from pydarts.engine.network import Alphas
from pydarts.methods.decisions import read_decisions, selection_notes
from pydarts.methods.finalists import Finalist, num_finalists, read_finalists
from pydarts.methods.method import Method
from pydarts.methods.named import Selector
from pydarts.methods.perturbation import Perturbation, num_undecided
from pydarts.methods.weighting import WEIGHTINGS, weighting_of
from pydarts.spaces.genotype import BaseGenotype
from pydarts.spaces.published import parse_genotype
from pydarts.spaces.space import Space
from pydarts.training.config import SEARCH_CONFIGS
from pydarts.training.history import History, read_history, write_history
from pydarts.training.metrics import METRICS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMAT, VERSION = "pydarts-result", 2

AnyGenotype = TypeVar("AnyGenotype", bound=BaseGenotype)


@dataclass(eq=False, repr=False)
class SearchResult(Generic[AnyGenotype]):
    """What a search found, and how.

    Attributes
    ----------
    config : SearchConfig or TextSearchConfig
        All hyper-parameters.
    supernet : Supernet, RecurrentSupernet or None
        The trained supernet; None in a result that was loaded.
    alphas : dict of ndarray
        Architecture parameters α by kind of cell, such as ``{"normal": (14, 8), "reduce": (14,
        8)}`` or ``{"recurrent": (36, 5)}``. Those of the supernet, unless a callback chose an
        earlier epoch's.
    genotype : Genotype or RecurrentGenotype
        The cell that was found.
    history : list of dict
        One entry an epoch: ``epoch``; over images ``lr``, ``train_loss`` and ``train_accuracy``
        (means of the epoch's steps, of the training half), ``valid_loss`` and ``valid_accuracy``
        (at the epoch's end, of the validation half, with running statistics); over text
        ``train_loss``, ``valid_loss`` (per token, in nats, with batch statistics) and
        ``valid_perplexity``; ``alpha_entropy_normal`` and so on (mean over the edges of the entropy
        of their mixing weights, in nats); ``gradient_norm`` and ``alpha_gradient_norm`` (mean norms
        of the gradients with respect to the weights and to α in the epoch's steps: the former of
        the loss of the weights, before it is bounded and without weight decay, the latter what the
        method takes for the hypergradient), ``stationarity_weights`` and ``stationarity_alphas``
        (those two over their values in the first epoch; None in what began with an earlier version,
        or where nothing learns); ``eigenvalue`` (of the Hessian of the validation loss with respect
        to α, if it was asked for), ``skips`` (skip connections of the normal cell, identities of
        the recurrent one), ``seconds`` since the start, ``genotype``.
    alpha_history : dict of ndarray
        α at the start and after each epoch, such as ``{"normal": (epochs + 1, 14, 8), ...}``.
    interrupted : bool
        Whether Ctrl-C ended the search early.
    stopped : str or None
        Why a callback or the time budget ended the search early, if one did.
    seconds : float
        That the search took, in all its runs.
    method, selector : str or None
        How α was learned, and what chose the cell: ``"magnitude"``, ``"perturbation"`` or
        ``"finalists"``. None in a result of an earlier version, which does not say it.
    weighting : {"softmax", "sigmoid"}
        How α makes the mixing weights.
    tuning_epochs : int
        Epochs after those of the configuration in which a supernet is tuned between the rounds of a
        selection by perturbation.
    measure : str
        What such a selection goes by: ``"loss"`` or ``"accuracy"``.
    selection : list of dict
        Its decisions, in their order: ``round``, ``epoch`` (how many were done), ``cell``,
        ``source`` and ``node`` of the edge, ``kept`` (the operation), ``value`` (what the supernet
        has), ``without`` (what it has without each operation, by name) and ``missed`` (how much
        worse that is). Decisions about the edges of a node have no ``source``: ``kept`` are the
        sources of the edges, and ``without`` and ``missed`` are by source.
    finalists : list of Finalist
        The ``genotype``, ``score`` (accuracy on the validation half; over text perplexity) and
        ``epochs`` of each training of a selection by finalists, round by round, the cell of the
        largest mixing weights first; last those of the best cell and of the strongest-operation
        constant that were trained again.
    limits : dict of dict
        Of a search under limits, by ``"latency"`` (seconds), ``"macs"``, ``"weights"`` and
        ``"memory"`` (bytes) what the network that is to be trained costs: its ``limit``, None if it
        has none, and what is ``predicted`` and ``measured``; the latter of what is counted is the
        former. There is no latency where none was limited.
    repeated_epochs : int
        Epochs that were repeated because a measurement was above the limit.
    data_notes : list of str
        What must be known of the data, such as images that are in both halves.
    """

    config: Any
    supernet: Any
    alphas: Alphas
    genotype: AnyGenotype
    history: History = field(default_factory=list)
    alpha_history: Alphas = field(default_factory=dict)
    interrupted: bool = False
    stopped: str | None = None
    seconds: float = 0.0
    method: str | None = None
    selector: str | None = None
    weighting: str = "softmax"
    tuning_epochs: int = 0
    measure: str = "loss"
    selection: list[dict[str, Any]] = field(default_factory=list)
    finalists: list[Finalist] = field(default_factory=list)
    limits: dict[str, dict[str, float | None]] = field(default_factory=dict)
    repeated_epochs: int = 0
    data_notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.alpha_history:
            self.alpha_history = {name: a[np.newaxis] for name, a in self.alphas.items()}

    @property
    def space(self) -> Space:
        """What was searched."""
        return self.genotype.space

    @property
    def num_epochs(self) -> int:
        """Epochs of the whole search, those of tuning included."""
        return int(self.config.epochs) + self.tuning_epochs + self.repeated_epochs

    @property
    def undecided(self) -> int:
        """How many edges and nodes a selection by perturbation did not come to: there the largest
        mixing weights decide.
        """
        return num_undecided(self.space, self.selector, self.selection)

    def notes(self) -> list[str]:
        """What must be known of data and choice: sentences, if there are any."""
        how = self.selector, self.finalists, self.weighting, self.undecided
        of_choice = selection_notes(self.alphas, self.genotype, *how)
        return [*self.data_notes, *of_choice, *limit_notes(self.limits)]

    def describe_method(self, method: Method, selector: Selector | None) -> None:
        """Take note of how the search is done."""
        self.method, self.weighting = method.name, weighting_of(method)
        self.selector = "magnitude" if selector is None else selector.name
        if isinstance(selector, Perturbation):
            self.tuning_epochs = selector.tuning_epochs(self.space)
            self.measure = selector.measure

    def to_frame(self) -> Any:
        """Return the history as a pandas DataFrame, a row an epoch.

        Raises
        ------
        ImportError
            Without pandas.
        """
        try:
            pandas = importlib.import_module("pandas")
        except ImportError as error:
            raise ImportError("`to_frame` needs pandas: pip install pandas") from error
        return pandas.DataFrame(self.history)

    def plot(self) -> Figure:
        """Draw the search: its learning curves, and the mixing weights of each edge by epoch.

        Returns
        -------
        matplotlib.figure.Figure
            Of each edge the softmax of α, which is what mixes the operations.

        Raises
        ------
        ImportError
            Without matplotlib, which ``pip install 'pydarts-nas[plot]'`` brings.
        """
        figure: Figure = extensions.call("SearchResult.plot", self)
        return figure

    def report(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write a page that shows the search: cells, α, learning curves, configuration.

        Parameters
        ----------
        path : path
            The HTML file. It needs no other file and no network.
        overwrite : bool
            Whether to replace a file that exists.

        Raises
        ------
        FileExistsError
            If there is such a file already and ``overwrite`` is not set.
        """
        extensions.call("SearchResult.report", self, path, overwrite=overwrite)

    def _repr_html_(self) -> str:
        html: str = extensions.call("SearchResult.html", self)
        return html

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write result.json, genotype.json, history.csv, alphas.npz, alpha_history.npz and a
        drawing of each cell (normal.svg, ...) into ``folder``, which is made if need be.

        Parameters
        ----------
        folder : path
        overwrite : bool
            Whether to replace a result that is there.

        Raises
        ------
        FileExistsError
            If there is a result already and ``overwrite`` is not set.
        """
        to = Path(folder)
        check_free(overwrite, to / "result.json", to / "genotype.json")
        to.mkdir(parents=True, exist_ok=True)
        (to / "result.json").unlink(missing_ok=True)  # no result is ever half of another one
        (to / "genotype.json").write_text(self.genotype.to_json() + "\n", encoding="utf-8")
        write_history(to / "history.csv", self.history)
        arrays: dict[str, Any] = {"alphas": self.alphas, "alpha_history": self.alpha_history}
        for name, groups in arrays.items():
            np.savez(to / f"{name}.npz", **groups)
        for cell in self.space.cells:
            svg: str = extensions.call("genotype.cell_svg", self.genotype, cell.name)
            (to / f"{cell.name}.svg").write_text(svg, encoding="utf-8")
        content = {
            "format": FORMAT,
            "version": VERSION,
            "space": self.space.name,
            "config": self.config.to_dict(),
            "interrupted": self.interrupted,
            "stopped": self.stopped,
            "seconds": self.seconds,
            "method": self.method,
            "selector": self.selector,
            "weighting": self.weighting,
            "tuning_epochs": self.tuning_epochs,
            "measure": self.measure,
            "selection": self.selection,
            "finalists": [[f.genotype.to_json(), f.score, f.epochs] for f in self.finalists],
            "limits": self.limits,
            "repeated_epochs": self.repeated_epochs,
            "data_notes": self.data_notes,
        }
        write_json(to / "result.json", content)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> SearchResult[Any]:
        """Read what `save` wrote; ``supernet`` is None then.

        Parameters
        ----------
        folder : path
            Also one that version 0.1 wrote, with config.json in the place of result.json: it does
            not hold whether the search was interrupted or stopped.

        Raises
        ------
        FileNotFoundError
            If a file is missing.
        ValueError
            If one is damaged; names it.
        """
        to = Path(folder)
        with _reading(to / "genotype.json") as path:
            genotype: Any = parse_genotype(path.read_text(encoding="utf-8"))
        groups = [cell.name for cell in genotype.space.cells]
        of_edges = [cell.edge_group for cell in genotype.space.cells]
        config, outcome = read_configuration(to, genotype.space)
        with _reading(to / "history.csv") as path:
            history = read_history(path)
            _check_history(history)
            if history:
                outcome.setdefault("seconds", float(history[-1].get("seconds", 0)))
        with _reading(to / "alphas.npz") as path:
            alphas = read_npz(path, groups, of_edges)
            genotype.space.derive(alphas)  # raises where they are none
        with _reading(to / "alpha_history.npz") as path:
            alpha_history = read_npz(path, groups, [name for name in of_edges if name in alphas])
            for name, a in alphas.items():
                if alpha_history[name].shape != (len(history) + 1, *a.shape):
                    raise ValueError(f"{name!r} has the shape {alpha_history[name].shape}")
        outcome.setdefault("seconds", 0.0)
        return cls(config, None, alphas, genotype, history, alpha_history, **outcome)

    def __repr__(self) -> str:
        text = f"SearchResult after {len(self.history)} of {self.num_epochs} epochs"
        text += " (interrupted)" if self.interrupted else ""
        text += f" (stopped: {self.stopped})" if self.stopped else ""
        text += f"\n  supernet: {self.config.describe_size()}"
        text += f", {self.supernet.num_weights:,} weights" if self.supernet is not None else ""
        text += f", order {self.config.order}" if self.method in (None, "darts") else ""
        text += f", seed {self.config.seed}"
        if self.method is not None:
            text += f"\n  method: {self.method}, cell chosen by {self.selector}"
            decided = f"{len(self.selection)} of {len(self.selection) + self.undecided} decisions"
            text += f" ({decided})" if self.selector == "perturbation" else ""
            trained = f" ({num_finalists(self.finalists)} trained)"
            text += trained if self.selector == "finalists" else ""
        if self.history:
            last = self.history[-1]
            text += f"\n  validation: loss {last['valid_loss']:.4f}"
            for metric in METRICS.values():
                if last.get(f"valid_{metric.key}") is not None:
                    text += f", {metric.name} {metric.show(last[f'valid_{metric.key}'])}"
        costs = describe_costs(self.limits)
        text += "".join(f"\n  {name}: {words}" for name, words in costs.items())
        notes = [line for note in self.notes() for line in textwrap.wrap(note, 98)]
        return "\n  ".join([text, *notes, *self.genotype.describe()])


def read_configuration(folder: Path, space: Space) -> tuple[Any, dict[str, Any]]:
    """Read the configuration of a search in a folder, and how it ended: ``interrupted``,
    ``stopped`` and ``seconds``, of which config.json of version 1 knows nothing.
    """
    kind, old = SEARCH_CONFIGS[space.kind], folder / "config.json"
    if old.is_file() and not (folder / "result.json").is_file():
        with _reading(old) as path:
            return kind.from_dict(json.loads(path.read_text(encoding="utf-8"))), {}
    with _reading(folder / "result.json") as path, read_described(path, FORMAT, (VERSION,)) as d:
        if d["space"] != space.name:
            raise ValueError(f"its space is {d['space']!r}, that of its cells {space.name!r}")
        stopped = None if d["stopped"] is None else str(d["stopped"])
        outcome: dict[str, Any] = {"interrupted": bool(d["interrupted"]), "stopped": stopped}
        outcome |= {"seconds": float(d["seconds"]), **_read_method(d, space)}
        return kind.from_dict(d["config"]), outcome


def _read_method(d: Mapping[str, Any], space: Space) -> dict[str, Any]:
    """How a search was done, as far as the file knows it: the first ones of version 2 do not."""
    found: dict[str, Any] = {}
    for name in ("method", "selector"):
        if d.get(name) is not None:
            found[name] = str(d[name])
    found["weighting"] = choice("weighting", d.get("weighting", "softmax"), WEIGHTINGS)
    found["measure"] = choice("measure", d.get("measure", "loss"), ("loss", "accuracy"))
    found["tuning_epochs"] = integer("tuning_epochs", d.get("tuning_epochs", 0), 0)
    found["selection"] = read_decisions(d.get("selection", []), space)
    found["finalists"] = read_finalists(d.get("finalists", []), space)
    found["repeated_epochs"] = integer("repeated_epochs", d.get("repeated_epochs", 0), 0)
    found["limits"] = {
        choice("limits", str(name), tuple(COSTS)): {
            member: None if costs[member] is None else number(f"limits.{name}", costs[member])
            for member in ("limit", "predicted", "measured")
        }
        for name, costs in d.get("limits", {}).items()
    }
    found["data_notes"] = d.get("data_notes", [])  # earlier versions had none
    if not isinstance(found["data_notes"], list) or not all(
        isinstance(note, str) for note in found["data_notes"]
    ):
        raise ValueError(f"data_notes holds {show(found['data_notes'])}")
    return found


def _check_history(history: History) -> None:
    """Raise a ValueError where what results show of the last epoch is no number."""
    metrics = [f"valid_{metric.key}" for metric in METRICS.values()]
    for entry in history[-1:]:
        for name in ("valid_loss", "seconds", *metrics):
            if name in entry or name == "valid_loss":
                value = entry.get(name)
                undefined = value is None and name in metrics  # NaN, as JSON has it
                if not undefined and not isinstance(value, (int, float)):
                    raise ValueError(f"`{name}` of the last epoch is {show(value)}")


@contextmanager
def _reading(path: Path) -> Iterator[Path]:
    """Errors in reading a file name it."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing")
    try:
        yield path
    except (*MALFORMED, OSError, csv.Error, zipfile.BadZipFile) as e:
        if str(path) in str(e):
            raise
        raise ValueError(f"{path} cannot be read: {e}") from e
