# SPDX-License-Identifier: MIT
"""Limits on the cost of the network that is to be trained, and the cells that meet them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from pydarts.common.errors import ArgumentError
from pydarts.costs.choice import choose_cell, largest_cost, least_cost
from pydarts.costs.counts import count_network
from pydarts.costs.expectation import expected_cost
from pydarts.costs.profile import Profile, measure_genotypes
from pydarts.costs.shape import NetworkShape
from pydarts.costs.table import CostTable, Table, count_tables, memory_table
from pydarts.spaces.darts import Genotype
from pydarts.spaces.space import Space

#: What can be limited, with its unit.
COSTS: Final = {"latency": "s", "macs": "multiply-adds", "weights": "weights", "memory": "bytes"}
#: Cells are to cost at least this share of what a limit allows, where there are such.
LOWEST: Final = 0.9
#: Calls of which a found network's latency is the median.
REPEATS: Final = 100

_ROUNDS = 12  # of stronger weights for the limits beside the first one


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
        self.batch, self.threads, self.correction = batch, threads, 1.0
        self._tables: dict[str, CostTable] = count_tables(space, shape)
        if "memory" in self.limits:
            self._tables["memory"] = memory_table(space, shape)
        if profile is not None:
            self._tables["latency"] = profile.latency
        self._largest: dict[str, float] = {}

    def check(self) -> None:
        """Raise ArgumentError if no cell meets the limits; say what the least is."""
        for name, limit in self.limits.items():
            least = least_cost(self.space, self._table(name))
            if name == "memory":
                # The fit says which cell needs least; what it needs is counted.
                table = self._table(name)
                cheapest = choose_cell(table.scaled(-1.0).tables, self.space, table)
                assert cheapest is not None
                drawn = [Genotype.random(seed, space=self.space) for seed in range(50)]
                least = min(count_network(each, self.shape).memory for each in [cheapest, *drawn])
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
        for name in self._binding():
            limit = self.limits[name]
            value, gradient = expected_cost(log_weights, self.space, self._table(name), temperature)
            if found is None or value / limit > found[0]:
                found = value / limit, {cell: g / limit for cell, g in gradient.items()}
        return found

    def choose(self, log_weights: Mapping[str, Any]) -> Genotype | None:
        """Return the likeliest cell that meets the limits; None, if none was found.

        Of those that use at least nine tenths of a limit, if there are such. For one limit on
        latency, multiply-adds or weights it is the likeliest one; for several of them, and for
        memory, others are penalised until they are met, and a likelier one may be missed.
        """
        binding = self._binding()
        found: list[tuple[float, Genotype]] = []
        for bounds in ((LOWEST, 1.0), (-np.inf, 1.0)):
            sums: list[str | None] = [name for name in binding if name != "memory"]
            for first in sums or [None]:
                cell = self._meet(log_weights, first, binding, bounds)
                if cell is not None:
                    found.append((self._value(log_weights, cell), cell))
            if found:
                return max(found, key=lambda pair: pair[0])[1]
        zeros = self._zeros()  # with which the other limits weigh most
        return None if _are_equal(log_weights, zeros) else self.choose(zeros)

    def predict(self, genotype: Genotype) -> dict[str, float]:
        """Return the costs of the network of a genotype: all that are known, limited or not."""
        counts = count_network(genotype, self.shape)
        found = {"macs": counts.macs, "weights": counts.weights, "memory": counts.memory}
        if "latency" not in self._tables:
            return dict(found)
        return {"latency": self._table("latency").predict(genotype), **found}

    def measure(self, genotype: Genotype) -> float:
        """Return the seconds that the network of a genotype takes."""
        timing = measure_genotypes([genotype], self.shape, self.batch, self.threads, REPEATS)
        return timing[0].median

    def identity(self) -> dict[str, Any]:
        """Return what must be the same in a search that goes on from a checkpoint."""
        limits = {f"max_{name}": limit for name, limit in self.limits.items()}
        how = {"batch": self.batch, "latency_threads": self.threads}
        return {**limits, "target": asdict(self.shape), **how}

    def state(self) -> dict[str, Any]:
        """Return what was measured, which a search that is taken up again goes on with."""
        table = self._tables.get("latency")
        measured = {} if table is None else {"fixed": table.fixed, "tables": table.tables}
        return {"correction": self.correction, **measured}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.correction = state["correction"]
        if "tables" in state:
            self._tables["latency"] = CostTable(state["fixed"], dict(state["tables"]))
            self._largest = {}

    def _table(self, name: str) -> CostTable:
        table = self._tables[name]
        return table.scaled(self.correction) if name == "latency" else table

    def _zeros(self) -> Table:
        return {c.name: np.zeros((len(c.candidates), c.columns)) for c in self.space.cells}

    def _binding(self) -> list[str]:
        """The limits that some cell exceeds."""
        found = []
        for name, limit in self.limits.items():
            if name not in self._largest:  # each step asks
                self._largest[name] = largest_cost(self.space, self._tables[name])
            scale = self.correction if name == "latency" else 1.0
            if scale * self._largest[name] > limit:
                found.append(name)
        return found

    def _value(self, log_weights: Mapping[str, Any], genotype: Genotype) -> float:
        values = {name: np.asarray(a, np.float64) for name, a in log_weights.items()}
        return CostTable(0.0, values).predict(genotype)

    def _meet(
        self,
        log_weights: Mapping[str, Any],
        first: str | None,
        binding: list[str],
        bounds: tuple[float, float],
    ) -> Genotype | None:
        """The likeliest cell within bounds of one limit, with the others penalised till they are
        met.
        """
        table, limit = self._tables["macs"], np.inf
        if first is not None:
            table, limit = self._table(first), self.limits[first]
        least, most = (bound * limit if first else bound * np.inf for bound in bounds)
        others = [name for name in binding if name != first]
        strength = dict.fromkeys(others, 0.0)
        for _ in range(_ROUNDS):
            values = {cell: np.array(a, np.float64) for cell, a in log_weights.items()}
            for name in others:
                scale = strength[name] / self.limits[name]
                for cell, costs in self._table(name).tables.items():
                    values[cell] -= scale * costs
            found = choose_cell(values, self.space, table, least if first else 0.0, most)
            if found is None:
                return None
            costs_of = self.predict(found)
            exceeded = [name for name in others if costs_of[name] > self.limits[name]]
            if not exceeded:
                return found
            for name in exceeded:
                strength[name] = max(1.0, 3.0 * strength[name])
        return None


def _are_equal(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    return all(np.array_equal(a[name], b[name]) for name in b)


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
        text += f", predicted {shown['predicted']}" if name == "latency" else ""
        found[name] = text + (f", limit {shown['limit']}" if "limit" in shown else "")
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
