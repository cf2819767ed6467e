# SPDX-License-Identifier: MIT
"""Accuracy against cost: cells that were searched for several limits, beside random ones of the
same limits and a residual network.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from pydarts.common.checks import choice, integer
from pydarts.common.errors import ArgumentError
from pydarts.common.files import read_described, writable_folder, write_json
from pydarts.common.jobs import AnyExecutor, Jobs
from pydarts.costs.budget import COSTS, Budget, show_cost
from pydarts.costs.counts import count_network
from pydarts.costs.measured import measure_genotypes
from pydarts.costs.profile import kept_profile
from pydarts.costs.shape import NetworkShape
from pydarts.evaluation.trials import for_workers
from pydarts.methods.method import Method
from pydarts.methods.named import Selector, own_options
from pydarts.spaces.darts import Genotype
from pydarts.spaces.layers import check_size
from pydarts.spaces.published import parse_genotype
from pydarts.spaces.ready import NAS_BENCH_201
from pydarts.spaces.space import Space
from pydarts.spaces.stack import RESIDUAL_BLOCK, Layer, Stack
from pydarts.tasks.images import ImageClassification
from pydarts.training.checkpoint import difference, fingerprint
from pydarts.training.limited import check_limitable
from pydarts.training.progress import log
from pydarts.training.run import run_search, run_training
from pydarts.training.run_options import RunOptions

FORMAT: Final = "pydarts-pareto"
VERSION: Final = 1
PARETO: Final = "pareto.json"
#: Beside it: of the search for the limit of a number.
SEARCH_FOLDER: Final = "limit-{}"
_REPEATS = 100

#: The kinds of cells, in the order of the rows.
RESIDUAL: Final = "resnet-8"
KINDS: Final = ("searched", "random", RESIDUAL)


@dataclass(frozen=True)
class TradeOffRow:
    """A network that was trained.

    Attributes
    ----------
    kind : {"searched", "random", "resnet-8"}
    limit : float or None
        On the cost; None: it has none.
    index : int
        Of several random cells of a limit.
    genotype : Genotype
    accuracy : float
        On the test images.
    latency : float
        Seconds for one image, as measured.
    macs, weights, memory : int
    """

    kind: str
    limit: float | None
    index: int
    genotype: Genotype
    accuracy: float
    latency: float
    macs: int
    weights: int
    memory: int

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON holds of the row."""
        members = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**members, "genotype": json.loads(self.genotype.to_json())}

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> TradeOffRow:
        """Read what `to_dict` returned."""
        genotype: Any = parse_genotype(json.dumps(d["genotype"]))
        counts = {name: integer(name, d[name], 0, 2**63) for name in ("macs", "weights", "memory")}
        return cls(
            kind=choice("kind", d["kind"], KINDS),
            limit=None if d["limit"] is None else float(d["limit"]),
            index=integer("index", d["index"], 0),
            genotype=genotype,
            accuracy=float(d["accuracy"]),
            latency=float(d["latency"]),
            **counts,
        )


@dataclass(eq=False, repr=False)
class TradeOff:
    """What `pydarts.pareto` returns: accuracy against cost.

    Attributes
    ----------
    cost : {"latency", "macs", "weights", "memory"}
        What was limited.
    limits : tuple of float
    threads : int
        With which latency was measured.
    rows : list of TradeOffRow
    identity : dict
        Of the work, for one that goes on.
    complete : bool
        Whether all was done; a file does not hold it.
    """

    cost: str
    limits: tuple[float, ...]
    threads: int
    rows: list[TradeOffRow] = field(default_factory=list)
    identity: dict[str, Any] = field(default_factory=dict)
    complete: bool = False

    def table(self) -> list[tuple[str, ...]]:
        """Return a table for people: the first row has the headings."""
        found: list[tuple[str, ...]] = [
            ("cell", "limit", "accuracy", "latency, ms", "multiply-adds", "weights", "memory, B")
        ]
        for row in sorted(self.rows, key=_place):
            limit = "" if row.limit is None else show_cost(self.cost, row.limit)
            found.append(
                (
                    *(row.kind, limit, f"{row.accuracy:.2%}", f"{1e3 * row.latency:.3f}"),
                    *(f"{row.macs:,}", f"{row.weights:,}", f"{row.memory:,}"),
                )
            )
        return found

    def plot(self) -> Any:
        """Draw accuracy against measured latency, multiply-adds and weights.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ImportError
            Without matplotlib, which ``pip install 'pydarts-nas[plot]'`` brings.
        """
        try:
            from matplotlib import pyplot
        except ImportError as error:
            raise ImportError("plots need matplotlib: pip install 'pydarts-nas[plot]'") from error
        figure, axes = pyplot.subplots(1, 3, figsize=(12, 4), sharey=True, layout="constrained")
        scales = {"latency": ("latency, ms", 1e3), "macs": ("multiply-adds, M", 1e-6)}
        scales["weights"] = ("weights, thousands", 1e-3)
        for axis, (name, (label, scale)) in zip(axes, scales.items(), strict=True):
            for kind, marker in zip(KINDS, "os^", strict=True):
                rows = sorted(
                    (row for row in self.rows if row.kind == kind),
                    key=lambda row, name=name: float(getattr(row, name)),  # type: ignore[misc]
                )
                x = [scale * getattr(row, name) for row in rows]
                y = [100 * row.accuracy for row in rows]
                line = "-" if kind == "searched" else ""
                axis.plot(x, y, marker=marker, linestyle=line, label=kind)
            axis.set_xlabel(label)
        axes[0].set_ylabel("test accuracy, %")
        axes[0].legend()
        return figure

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a JSON file, in the place of one before."""
        content = {
            "format": FORMAT,
            "version": VERSION,
            "cost": self.cost,
            "limits": list(self.limits),
            "threads": self.threads,
            "identity": self.identity,
            "rows": [row.to_dict() for row in self.rows],
        }
        write_json(Path(path), content)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TradeOff:
        """Read what `save` wrote."""
        with read_described(Path(path), FORMAT, (VERSION,)) as d:
            rows = [TradeOffRow.from_dict(row) for row in d["rows"]]
            cost = choice("cost", d["cost"], tuple(COSTS))
            limits = tuple(map(float, d["limits"]))
            return cls(cost, limits, int(d["threads"]), rows, dict(d["identity"]))

    def __repr__(self) -> str:
        table = self.table()
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in table
        ]
        return "\n".join(lines)


def residual_network() -> Genotype:
    """Return the cells of a ResNet-8 of our own layers: a stem, three residual blocks and a
    classifier, of which the second and third block halve the image and double the channels.

    The blocks are those of NAS-Bench-201, normalised behind each convolution, with the ReLU before.
    """
    stack = Stack(
        (
            Layer("normal", repeat="cells"),
            Layer(RESIDUAL_BLOCK, stride=2, channels=2),
            Layer(RESIDUAL_BLOCK, stride=2, channels=2),
        ),
        norm_relu=True,
    )
    space = NAS_BENCH_201.replace(name="resnet-8", stack=stack)
    block = [("nor_conv_3x3", 0), ("none", 0), ("nor_conv_3x3", 1)]
    block += [("skip_connect", 0), ("none", 1), ("skip_connect", 2)]
    return Genotype(space=space, **{space.cells[0].name: block})


def run_trade_off(
    task: ImageClassification,
    pair: tuple[Method, Selector | None],
    config: Any,
    target: Any,
    cost: str,
    limits: Sequence[float],
    *,
    random_cells: int,
    threads: int,
    run: RunOptions,
    executor: AnyExecutor | None = None,
) -> TradeOff:
    """Search for each limit, train, and measure; what is in the folder of the run is not done
    again. With an executor what is independent is done side by side, and measured here.
    """
    check_limitable(*pair)
    method, _ = pair
    if cost not in COSTS:
        raise ArgumentError("cost", f"(={cost!r}) must be one of {', '.join(COSTS)}")
    if len(set(limits)) < len(limits):
        raise ArgumentError("limits", f"(={list(limits)}) holds one twice")
    shape, space = task.network_shape(target), task.space
    folder = None if run.checkpoint is None else writable_folder("checkpoint", run.checkpoint)
    found = TradeOff(cost, tuple(limits), threads)
    found.identity = {
        "config": config.to_dict(),
        "target": target.to_dict(),
        "method": method.name,
        "method_options": own_options(method, config),
        "space": space.reference,
        "threads": threads,
        "limits": list(limits),
        "cost": cost,
        "data": fingerprint(*task.arrays),
        "groups": None if task.groups is None else fingerprint(task.groups),
    }
    if folder is not None and run.resume == "auto" and (folder / PARETO).is_file():
        before = TradeOff.load(folder / PARETO)
        # Earlier versions kept fewer members.
        known = {name: found.identity[name] for name in before.identity if name in found.identity}
        differs = difference(before.identity, known)
        if differs:
            problem = f"(={str(folder)!r}) holds other work ({differs}): `resume`='never'"
            raise ArgumentError("checkpoint", f"{problem} replaces it")
        found.rows = before.rows
    table = None
    if cost == "latency":
        table = kept_profile(space, shape, threads, folder, run.resume == "auto")
    budgets = [Budget(space, shape, {cost: limit}, table, threads=threads) for limit in limits]
    for budget in budgets:
        budget.check()
    if folder is not None:
        found.save(
            folder / PARETO
        )  # by which the work is found again that ends before its first row
    seeds = [config.seed + k for k in range(random_cells)]
    found.complete = _Work(task, target, found, run, executor).do(
        [partial(run_search, method=method, config=config, budget=each) for each in budgets],
        [[_random_cell(budget, space, seed) for seed in seeds] for budget in budgets],
        space.dimensions == 2 and _takes_residual_network(task, target),
    )
    return found


def _takes_residual_network(task: ImageClassification, target: Any) -> bool:
    """Whether the residual network takes the images; where it does not, the log says so."""
    try:
        stem = task.complete(target).stem
        check_size(residual_network().space, 1, stem, task.images.shape[2:])
    except ArgumentError as error:
        log.warning("there is no residual network to compare with: `X` %s", error.problem)
        return False
    return True


class _Work:
    """What is searched and trained, here or by workers, and kept after each training."""

    def __init__(
        self,
        task: ImageClassification,
        target: Any,
        found: TradeOff,
        run: RunOptions,
        executor: AnyExecutor | None,
    ):
        self._task, self._target, self._found = task, target, found
        self._run, self._executor = run, executor
        self._folder = None if run.checkpoint is None else Path(run.checkpoint).absolute()

    def do(
        self, searches: Sequence[Any], drawn: Sequence[Sequence[Genotype]], residual: bool
    ) -> bool:
        """Do what is left, and return whether that is all: not, if it was interrupted, or had too
        little time.
        """
        try:
            with Jobs(self._executor) as jobs:
                for number, limit in enumerate(self._found.limits):
                    name = SEARCH_FOLDER.format(number)
                    if not self._has("searched", limit, 0):
                        key = "search", limit, 0, None, name
                        given = self._sent(), searches[number], self._options(name)
                        jobs.submit(key, _search, *given, self._elsewhere)
                    for k, cell in enumerate(drawn[number]):
                        self._submit(jobs, "random", limit, k, cell, f"{name}-random-{k}")
                if residual:
                    self._submit(jobs, RESIDUAL, None, 0, residual_network(), RESIDUAL)
                for (kind, limit, k, genotype, name), future in jobs:
                    outcome = future.result()
                    if outcome is None:
                        return False
                    if kind == "search":
                        self._submit(jobs, "searched", limit, 0, outcome, name, first=True)
                    else:
                        self._keep(kind, limit, k, genotype, outcome)
        except KeyboardInterrupt:
            if self._executor is None:
                raise
            return False
        if self._executor is not None:  # the workers disturb no more
            self._measure_again()
        return True

    def _submit(
        self,
        jobs: Jobs,
        kind: str,
        limit: float | None,
        index: int,
        genotype: Genotype,
        name: str,
        first: bool = False,
    ) -> None:
        """Let a cell be trained, if it was not."""
        if self._has(kind, limit, index):
            return
        key = kind, limit, index, genotype, name
        bound = "no limit" if limit is None else f"limit {show_cost(self._found.cost, limit)}"
        about = f"{kind}, {bound}: training"
        given = self._sent(), genotype, self._config(kind), self._options(name)
        jobs.submit(key, _train, *given, self._elsewhere, about, first=first)

    @property
    def _elsewhere(self) -> bool:
        return self._executor is not None

    def _sent(self) -> Any:
        return for_workers(self._task, self._executor)

    def _config(self, kind: str) -> Any:
        return replace(self._target, cells=1, auxiliary=False) if kind == RESIDUAL else self._target

    def _options(self, name: str) -> RunOptions:
        checkpoint = None if self._folder is None else self._folder / name
        found = replace(self._run, checkpoint=checkpoint)
        if self._executor is None:
            return found
        left = self._run.seconds_left
        return replace(found, progress=False, time_budget=None if left is None else max(1e-3, left))

    def _has(self, kind: str, limit: float | None, index: int) -> bool:
        wanted = kind, limit, index
        return any((row.kind, row.limit, row.index) == wanted for row in self._found.rows)

    def _keep(
        self, kind: str, limit: float | None, index: int, genotype: Genotype, accuracy: float
    ) -> None:
        """Measure the network of a cell that was trained, and keep its row in its place."""
        counts = count_network(genotype, self._shape(kind))
        row = TradeOffRow(
            *(kind, limit, index, genotype, accuracy, self._latency(kind, genotype)),
            *(counts.macs, counts.weights, counts.memory),
        )
        rows = [*self._found.rows, row]
        self._found.rows = sorted(rows, key=_place)
        self._save()

    def _measure_again(self) -> None:
        self._found.rows = [
            replace(row, latency=self._latency(row.kind, row.genotype)) for row in self._found.rows
        ]
        self._save()

    def _save(self) -> None:
        if self._folder is not None:
            self._found.save(self._folder / PARETO)

    def _shape(self, kind: str) -> NetworkShape:
        return self._task.network_shape(self._config(kind))

    def _latency(self, kind: str, genotype: Genotype) -> float:
        threads = self._found.threads
        (timing,) = measure_genotypes([genotype], self._shape(kind), 1, threads, _REPEATS)
        return timing.median


def _place(row: TradeOffRow) -> tuple[float, int, int]:
    """Of a row among the others."""
    return np.inf if row.limit is None else row.limit, KINDS.index(row.kind), row.index


def _search(
    task: ImageClassification, search: Any, run: RunOptions, elsewhere: bool
) -> Genotype | None:
    """A job: the cell of a search, which is saved beside its checkpoint; None: interrupted."""
    result = search(task=task, run=_begun(run, elsewhere))
    if result.interrupted:
        return None
    if run.checkpoint is not None:
        result.save(run.checkpoint, overwrite=True)
    genotype: Genotype = result.genotype
    return genotype


def _train(
    task: ImageClassification,
    genotype: Genotype,
    config: Any,
    run: RunOptions,
    elsewhere: bool,
    about: str,
) -> float | None:
    """A job: the score of a model; None: interrupted, or out of time."""
    log.info(about)
    callbacks = tuple(each for each in run.callbacks if not each.search_only)
    run = replace(_begun(run, elsewhere), callbacks=callbacks)
    model = run_training(task, genotype, config, run)
    left = run.seconds_left
    cut_short = model.stopped is not None and left is not None and left <= 0
    return None if model.interrupted or cut_short else task.score(model)


def _begun(run: RunOptions, elsewhere: bool) -> RunOptions:
    """Where workers are, there may be another clock."""
    return replace(run, started=time.perf_counter()) if elsewhere else run


def _random_cell(budget: Budget, space: Space, seed: int) -> Genotype:
    """The likeliest cell within the limits of an α that is drawn at random."""
    rng = np.random.default_rng((seed, 1))
    shapes = {cell.name: (len(cell.candidates), cell.columns) for cell in space.cells}
    found = budget.choose({name: rng.normal(size=shape) for name, shape in shapes.items()})
    assert found is not None  # `Budget.check` found one
    return found
