# SPDX-License-Identifier: MIT
"""Limits on the cost of the network that is to be trained, and the cells that meet them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from pydarts import _core
from pydarts.common.errors import ArgumentError
from pydarts.costs.choice import as_genotype, largest_cost
from pydarts.costs.expectation import expected_cost
from pydarts.costs.measured import measure_genotypes
from pydarts.costs.native import Table, joined, native
from pydarts.costs.profile import Profile
from pydarts.costs.shape import NetworkShape
from pydarts.costs.table import KINDS, CostTable, table_of
from pydarts.spaces.darts import Genotype
from pydarts.spaces.space import Space

#: What can be limited, with its unit.
COSTS: Final = {"latency": "s", "macs": "multiply-adds", "weights": "weights", "memory": "bytes"}
#: Cells are to cost at least this share of what a limit allows, where there are such.
LOWEST: Final = 0.9
#: Calls of which a found network's latency is the median.
REPEATS: Final = 100


class Budget:
    """Limits of a network's costs, with the tables that predict them.

    Parameters
    ----------
    space : Space
    shape : NetworkShape
        Of the network that is to be trained.
    limits : mapping of str to float
        Of `COSTS`; the latency in seconds.
    profile : Profile, optional
        Where the latency is limited; without it `restore` must bring the table.

    Attributes
    ----------
    correction : float
        What measured latencies were over predicted ones.
    """

    def __init__(
        self,
        space: Space,
        shape: NetworkShape,
        limits: Mapping[str, float],
        profile: Profile | None = None,
        *,
        batch: int = 1,
        threads: int = 1,
    ):
        self.space, self.shape, self.limits = space, shape, dict(limits)
        self.batch, self.threads = batch, threads
        self._budget = _core.Budget(native(space), shape.sizes)
        self._latency: CostTable | None = None
        if profile is not None:
            self._set_latency(profile.latency)
        self._largest: dict[str, float] = {}

    @property
    def correction(self) -> float:
        """What measured latencies were over predicted ones."""
        return self._budget.correction

    @correction.setter
    def correction(self, factor: float) -> None:
        self._budget.correction = factor

    def check(self) -> None:
        """Raise ArgumentError if no cell meets the limits; say what the least is."""
        for name, limit in self.limits.items():
            least = self._budget.least(KINDS.index(name))
            if limit < least:
                problem = f"(={show_cost(name, limit)}) is met by no cell: the cheapest has"
                raise ArgumentError(f"max_{name}", f"{problem} {show_cost(name, least)}")
        if self.choose(self._zeros()) is None:
            names = " and ".join(f"`max_{name}`" for name in list(self.limits)[1:])
            first = next(iter(self.limits))
            problem = f"(={show_cost(first, self.limits[first])}) was met by no cell together with"
            raise ArgumentError(f"max_{first}", f"{problem} {names}")

    def ratio(
        self, log_weights: Mapping[str, Any], temperature: float
    ) -> tuple[float, Table] | None:
        """Return the largest expected cost over its limit, and its gradient with respect to the
        logarithms of the mixing weights; None, if every cell is within the limits.
        """
        found: tuple[float, Table] | None = None
        for name, limit in self.limits.items():
            if not self._binds(name):
                continue
            value, gradient = expected_cost(log_weights, self.space, self.table(name), temperature)
            if found is None or value / limit > found[0]:
                found = value / limit, {cell: g / limit for cell, g in gradient.items()}
        return found

    def choose(self, log_weights: Mapping[str, Any]) -> Genotype | None:
        """Return the likeliest cell that meets the limits; None, if none was found.

        Of those that use at least nine tenths of a limit on another cost than memory, if there are
        such. For one limit on
        latency, multiply-adds or weights it is the likeliest one, but for cells with equal pools
        under a limit on latency, of which a likelier one may be missed; for several limits, and for
        memory, others are penalised until they are met, and a likelier one may be missed.
        """
        most = [self.limits.get(name, np.inf) for name in KINDS]
        return as_genotype(self._budget.find(joined(self.space, log_weights), most))

    def predict(self, genotype: Genotype) -> dict[str, float]:
        """Return the costs of the network of a genotype: all that are known, limited or not."""
        latency, *counts = self._budget.predict(genotype.to_json())
        found = dict(zip(KINDS[1:], map(int, counts), strict=True))
        return {"latency": latency, **found} if self._budget.has_latency else dict(found)

    def measure(self, genotype: Genotype) -> float:
        """Return the seconds that the network of a genotype takes."""
        timing = measure_genotypes([genotype], self.shape, self.batch, self.threads, REPEATS)
        return timing[0].median

    def table(self, name: str) -> CostTable:
        """Return the table of a cost; of latencies with what measurements corrected."""
        return table_of(self.space, self._budget.table(KINDS.index(name)))

    def identity(self) -> dict[str, Any]:
        """Return what must be the same in a search that goes on from a checkpoint."""
        limits = {f"max_{name}": limit for name, limit in self.limits.items()}
        how = {"batch": self.batch, "latency_threads": self.threads}
        return {**limits, "target": asdict(self.shape), **how}

    def state(self) -> dict[str, Any]:
        """Return what was measured, which a search that is taken up again goes on with."""
        if self._latency is None:
            return {"correction": self.correction}
        measured = {"fixed": self._latency.fixed, "tables": self._latency.tables}
        return {"correction": self.correction, **measured}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.correction = state["correction"]
        if "tables" in state:
            self._set_latency(CostTable(state["fixed"], dict(state["tables"]), pools_once=True))
            self._largest = {}

    def _set_latency(self, table: CostTable) -> None:
        self._latency = table
        self._budget.set_latency(table.native(self.space))

    def _zeros(self) -> Table:
        return {c.name: np.zeros((len(c.candidates), c.columns)) for c in self.space.cells}

    def _binds(self, name: str) -> bool:
        """Whether some cell exceeds a limit."""
        scale = self.correction if name == "latency" else 1.0
        if name not in self._largest:  # each step asks
            self._largest[name] = largest_cost(self.space, self.table(name)) / scale
        return scale * self._largest[name] > self.limits[name]


def show_cost(name: str, value: float) -> str:
    """A cost as people say it."""
    if name == "latency":
        return f"{1e3 * value:.3g} ms"
    unit = {"macs": "multiply-adds", "weights": "weights", "memory": "bytes"}[name]
    return f"{value:,.0f} {unit}"


def describe_costs(limits: Mapping[str, Mapping[str, float | None]]) -> dict[str, str]:
    """Return in words what `SearchResult.limits` holds, by cost."""
    found = {}
    for name, costs in limits.items():
        shown = {each: show_cost(name, value) for each, value in costs.items() if value is not None}
        text = shown.get("measured", "not measured")
        further = ("predicted", "limit") if name == "latency" else ("limit",)
        found[name] = text + "".join(f", {each} {shown[each]}" for each in further if each in shown)
    return found


def limit_notes(limits: Mapping[str, Mapping[str, float | None]]) -> list[str]:
    """Return what must be known of how a cell meets its limits: sentences, if there are any."""
    notes, shares = [], []
    for name, costs in limits.items():
        limit, predicted, measured = costs["limit"], costs["predicted"], costs["measured"]
        if not limit or predicted is None:
            continue
        shares.append(predicted / limit)
        if measured is not None and measured > limit:
            above = f"The {name} of the network, {show_cost(name, measured)}, is above its limit"
            notes.append(f"{above} of {show_cost(name, limit)}.")
    if shares and max(shares) < LOWEST:
        notes.append(
            f"The cells use {max(shares):.0%} of what the limits allow: none were found that use"
            " nine tenths and are within all of them."
        )
    return notes
