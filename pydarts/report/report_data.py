# SPDX-License-Identifier: MIT
"""What a report or a plot shows of a search: from a result, or from the folder of one."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pydarts.common.environment import environment
from pydarts.costs.budget import describe_costs, limit_notes
from pydarts.data.npz import read_npz
from pydarts.data.untrusted import naming
from pydarts.evaluation.trade_off import PARETO, SEARCH_FOLDER, TradeOff
from pydarts.methods.decisions import selection_notes
from pydarts.methods.finalists import Finalist
from pydarts.methods.perturbation import num_undecided
from pydarts.methods.weighting import cell_weights, derive
from pydarts.spaces.genotype import BaseGenotype
from pydarts.spaces.published import parse_genotype
from pydarts.spaces.space import Space
from pydarts.training.history import History, read_history
from pydarts.training.result import SearchResult, read_configuration

Weights = Mapping[str, NDArray[np.float64]]

_METHOD_FIELDS: Final = (
    *("method", "selector", "weighting", "measure", "selection", "finalists", "tuning_epochs"),
)
_START: Final = "the start"
_END: Final = "the result"


class Snapshot(NamedTuple):
    """The search at one moment: the start, the end of an epoch, or the result."""

    name: str
    genotype: BaseGenotype
    weights: Weights | None  # of α, a row for each edge; None where α was not kept


class Curve(NamedTuple):
    """Values over epochs that belong in one chart; the last ones belong to the last epoch."""

    title: str
    lines: Mapping[str, list[float | None]]
    percent: bool = False


# Title, columns of the history by the name of their line, whether they are shares.
_CURVES: Final = (
    ("Loss", {"train_loss": "training", "valid_loss": "validation"}, False),
    (
        "Accuracy",
        {
            "train_accuracy": "training",
            "valid_accuracy": "validation",
            "valid_balanced_accuracy": "validation, balanced",
            "train_subset_accuracy": "training, all labels right",
        },
        True,
    ),
    (
        "Mean average precision and F1",
        {"valid_average_precision": "average precision", "valid_f1": "F1"},
        True,
    ),
    ("R²", {"valid_r2": "validation"}, False),
    ("Perplexity", {"valid_perplexity": "validation"}, False),
    ("Dominant eigenvalue of ∇²α L", {"eigenvalue": "eigenvalue"}, False),
    ("Entropy of the mixing weights", {"alpha_entropy_*": "*"}, False),
    ("Norm of the gradient with respect to α", {"alpha_gradient_norm": "norm"}, False),
    (
        "Gradient norms relative to the first epoch",
        {"stationarity_weights": "weights", "stationarity_alphas": "α"},
        False,
    ),
    ("Skip connections", {"skips": "skips"}, False),
)


@dataclass(frozen=True)
class ReportData:
    """All that a report or a plot shows.

    Attributes
    ----------
    genotype : Genotype or RecurrentGenotype
        What the search found.
    snapshots : sequence of Snapshot
        How the cells came to be; the last one is what was found.
    history, training_history : sequence of mapping
        An entry for each epoch of the search, and of the training of the network.
    config : mapping
        The hyper-parameters of the search.
    facts : mapping
        The rest that is known, by name.
    environment : mapping or None
        What the search ran on; None if that was not recorded.
    comparison : mapping or None
        What `compare.json` holds.
    method, selector : str or None
        How α was learned and what chose the cell; None if that was not recorded.
    weighting : {"softmax", "sigmoid"}
        How α makes the mixing weights.
    measure : {"loss", "accuracy"}
        What a selection by perturbation goes by.
    selection : sequence of mapping
        Its decisions.
    finalists : sequence of Finalist
        Of a selection by finalists.
    notes : sequence of str
        What must be known of the choice.
    tuning_epochs : int
        Planned epochs beside those of the configuration.
    trade_off : sequence of sequences of str
        Of a search for one of several limits, the table of accuracy against cost.
    """

    genotype: BaseGenotype
    snapshots: Sequence[Snapshot]
    history: Sequence[Mapping[str, Any]] = ()
    training_history: Sequence[Mapping[str, Any]] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] | None = None
    comparison: Mapping[str, Any] | None = None
    method: str | None = None
    selector: str | None = None
    weighting: str = "softmax"
    measure: str = "loss"
    selection: Sequence[Mapping[str, Any]] = ()
    finalists: Sequence[Finalist] = ()
    notes: Sequence[str] = ()
    tuning_epochs: int = 0
    trade_off: Sequence[Sequence[str]] = ()

    @classmethod
    def from_result(cls, result: SearchResult[Any]) -> ReportData:
        """Take what a result holds; the environment is known unless it was loaded.

        Parameters
        ----------
        result : SearchResult

        Returns
        -------
        ReportData
        """
        genotype = result.genotype
        cells = _epoch_genotypes(genotype.space, result.history)
        return cls(
            genotype=genotype,
            snapshots=_snapshots(
                genotype, cells, result.alphas, result.alpha_history, result.weighting
            ),
            history=result.history,
            config=result.config.to_dict(),
            facts=_outcome(result.interrupted, result.stopped) | _costs(result.limits),
            environment=None if result.supernet is None else environment(),
            method=result.method,
            selector=result.selector,
            weighting=result.weighting,
            measure=result.measure,
            selection=result.selection,
            finalists=result.finalists,
            notes=result.notes(),
            tuning_epochs=result.tuning_epochs + result.repeated_epochs,
        )

    @classmethod
    def from_folder(cls, folder: str | os.PathLike[str]) -> ReportData:
        """Read the folder of a search, of which all but genotype.json may be missing.

        Parameters
        ----------
        folder : path
            What a result was saved to, or the ``--out`` of a search.

        Returns
        -------
        ReportData

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
        with naming(path / "genotype.json"):
            genotype = parse_genotype((path / "genotype.json").read_text(encoding="utf-8"))
        history = _read_history(path / "history.csv")
        with naming(path / "history.csv"):
            cells = _epoch_genotypes(genotype.space, history)
        names = [cell.name for cell in genotype.space.cells]
        of_edges = [cell.edge_group for cell in genotype.space.cells]
        alphas, alpha_history = (
            read_npz(path / name, names, of_edges) if (path / name).is_file() else None
            for name in ("alphas.npz", "alpha_history.npz")
        )
        try:
            options, ended = read_configuration(path, genotype.space)
            config = options.to_dict()
        except FileNotFoundError:
            config, ended = {}, {}
        how = {name: ended[name] for name in _METHOD_FIELDS if name in ended}
        if "tuning_epochs" in how:
            how["tuning_epochs"] += ended["repeated_epochs"]
        weighting = how.get("weighting", "softmax")
        with naming(path):
            snapshots = _snapshots(genotype, cells, alphas, alpha_history, weighting)
        notes: list[str] = list(ended.get("data_notes", []))
        if alphas and "selector" in how:
            undecided = num_undecided(genotype.space, how["selector"], how["selection"])
            selector, finalists = how["selector"], how.get("finalists", ())
            notes += selection_notes(alphas, genotype, selector, finalists, weighting, undecided)
        limits = ended.get("limits", {})
        notes += limit_notes(limits)
        outcome = _outcome(ended.get("interrupted"), ended.get("stopped"))
        facts = outcome | _costs(limits) | (_read_object(path / "summary.json") or {})
        known = [name for name in environment() if name in facts]
        return cls(
            genotype=genotype,
            snapshots=snapshots,
            history=history,
            training_history=_read_history(path / "train_history.csv"),
            config=config,
            facts={name: v for name, v in facts.items() if name not in (*known, "costs")},
            environment={name: facts[name] for name in known} or None,
            comparison=_read_comparison(path / "compare.json"),
            notes=notes,
            trade_off=_read_trade_off(path),
            **how,
        )

    @property
    def space(self) -> Space:
        """The search space."""
        return self.genotype.space

    @property
    def num_epochs(self) -> Any:
        """Epochs that were wanted, if that is known."""
        epochs = self.config.get("epochs")
        return epochs + self.tuning_epochs if isinstance(epochs, int) else epochs

    @property
    def span(self) -> tuple[int, int]:
        """The epochs of the first and the last snapshot; 0 is the start."""
        first = 0 if self.snapshots[0].name == _START else 1
        return first, first + len(self.snapshots) - 1

    @property
    def weighted(self) -> list[Snapshot]:
        """The snapshots that have mixing weights."""
        return [snapshot for snapshot in self.snapshots if snapshot.weights]

    def weights(self, cell: str) -> NDArray[np.float64]:
        """The mixing weights of a cell, (snapshots, edges, operations), of those that have any."""
        return np.array([each.weights[cell] for each in self.weighted if each.weights])


def cell_edges(genotype: BaseGenotype, cell: str) -> list[tuple[int, int, str]]:
    """Return the edges of a searched cell.

    Parameters
    ----------
    genotype : Genotype or RecurrentGenotype
    cell : str
        Name of the cell.

    Returns
    -------
    list of (int, int, str)
        Source, node and name of each, in the order of α's rows.
    """
    kind, nodes = genotype.space.cell(cell), genotype.nodes(cell)
    names = kind.state_names(nodes)
    return [(j, i, f"{names[j]} → {names[i]}") for j, i in kind.edges_of(nodes)]


def curves(history: Sequence[Mapping[str, Any]]) -> Iterator[Curve]:
    """Yield the curves that a history holds numbers for."""
    for title, columns, percent in _CURVES:
        lines = {
            name: [number(entry.get(column)) for entry in history]
            for column, name in _existing(columns, history)
        }
        found = {
            name: line for name, line in lines.items() if any(value is not None for value in line)
        }
        if found:
            yield Curve(title, found, percent)


def _existing(
    columns: Mapping[str, str], history: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, str]]:
    """The columns with their lines' names, a star being what each kind of cell fills in."""
    for column, name in columns.items():
        if name != "*":
            yield column, name
            continue
        prefix = column.removesuffix("*")
        for found in dict.fromkeys(key for entry in history for key in entry):
            if found.startswith(prefix):
                yield found, found.removeprefix(prefix)


def number(value: object) -> float | None:
    """Return a finite number as a float, and None for anything else."""
    if isinstance(value, (int, float, np.number)) and abs(value) <= sys.float_info.max:
        return float(value)
    return None


def _read_trade_off(path: Path) -> list[tuple[str, ...]]:
    """The table of pareto.json, of which the folder is one of the searches, if it is."""
    folder = path.resolve()
    file = folder.parent / PARETO
    of_it = re.fullmatch(SEARCH_FOLDER.format(r"\d+"), folder.name) and file.is_file()
    return TradeOff.load(file).table() if of_it else []


def _costs(limits: Mapping[str, Mapping[str, float | None]]) -> dict[str, str]:
    """What the network that is to be trained costs, of a search under limits."""
    return {f"{name} of the network": text for name, text in describe_costs(limits).items()}


def _outcome(interrupted: object, stopped: object) -> dict[str, Any]:
    facts: dict[str, Any] = {"state": "interrupted"} if interrupted else {}
    return facts | ({"search_stopped": stopped} if stopped else {})


def _epoch_genotypes(space: Space, history: Sequence[Mapping[str, Any]]) -> list[BaseGenotype]:
    return [space.genotype.parse(str(entry.get("genotype")), space=space) for entry in history]


def _snapshots(
    final: BaseGenotype,
    cells: Sequence[BaseGenotype],
    alphas: Mapping[str, NDArray[Any]] | None,
    alpha_history: Mapping[str, NDArray[Any]] | None,
    weighting: str,
) -> list[Snapshot]:
    """The start, where its α was kept; the epochs; the result, where it is none of these."""
    snapshots = [Snapshot(f"epoch {k}", cell, None) for k, cell in enumerate(cells, 1)]
    if alpha_history:
        for name, trajectory in alpha_history.items():
            if trajectory.ndim != 3 or len(trajectory) != len(cells) + 1:
                raise ValueError(
                    f"the alphas {name!r} of shape {trajectory.shape} do not fit a history of"
                    f" {len(cells)} epochs and the start"
                )
        moments = [
            {name: trajectory[k] for name, trajectory in alpha_history.items()}
            for k in range(len(cells) + 1)
        ]
        start = derive(moments[0], final.space, weighting)
        snapshots.insert(0, Snapshot(_START, start, None))
        snapshots = [
            snapshot._replace(weights=_mixing_weights(final, moment, weighting))
            for snapshot, moment in zip(snapshots, moments, strict=True)
        ]
    weights = _mixing_weights(final, alphas, weighting) if alphas else None
    last = snapshots[-1] if snapshots else None
    if last is None or last.genotype != final or _differ(last.weights, weights):
        snapshots.append(Snapshot(_END, final, weights))
    else:
        snapshots[-1] = last._replace(weights=last.weights or weights)
    return snapshots


def _mixing_weights(
    genotype: BaseGenotype, alphas: Mapping[str, NDArray[Any]], weighting: str
) -> Weights:
    weights = {}
    for cell in genotype.space.cells:
        name = cell.name
        rows = np.asarray(alphas[name], np.float64)
        expected = (len(cell_edges(genotype, name)), cell.columns)
        if rows.shape != expected:
            raise ValueError(
                f"alphas of shape {rows.shape} do not fit a cell, which has {expected}"
            )
        if not np.isfinite(rows).all():
            raise ValueError("alphas must be finite")
        weights[name] = cell_weights(cell, rows, weighting)
    return weights


def _differ(first: Weights | None, second: Weights | None) -> bool:
    """Whether both are known and not the same."""
    if first is None or second is None:
        return False
    return any(not np.array_equal(first[name], second[name]) for name in second)


# Files


def _read_object(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    with naming(path):
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
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
