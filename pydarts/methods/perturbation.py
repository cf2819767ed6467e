# SPDX-License-Identifier: MIT
"""Perturbation-based selection: an operation is worth the loss by which the supernet misses it.

Source: Wang, Cheng, Chen, Tang, Hsieh, *Rethinking Architecture Selection in Differentiable NAS*,
ICLR 2021, https://arxiv.org/abs/2108.04392.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pydarts.common.checks import choice, integer, number
from pydarts.common.errors import ArgumentError
from pydarts.engine.network import Alphas
from pydarts.methods.mixture import Mixture
from pydarts.methods.weighting import candidates
from pydarts.spaces.cell import Cell
from pydarts.spaces.genotype import BaseGenotype
from pydarts.spaces.space import Space

#: Of one edge or node: what `SearchResult.selection` holds.
Decision = dict[str, Any]
#: Loss and, over images, accuracy of the supernet at a mixture.
Evaluate = Callable[[Mixture], tuple[float, float | None]]


@dataclass(frozen=True, kw_only=True)
class Perturbation:
    """How a cell is chosen by perturbation, after the epochs of the search.

    In a round an edge of each kind of cell is drawn from those that are undecided. Each of its
    operations is taken out of the mixture, with all other mixing weights as they are, and the
    supernet evaluated on the validation data with batch statistics. The edge keeps the operation
    that is missed most, and the supernet is tuned before the next round. Where a node keeps fewer
    edges than it has, a round then draws a node of each kind of cell, takes out each of its edges,
    and keeps those that are missed most. After the last round nothing is tuned.

    Attributes
    ----------
    epochs : int
        Of tuning after a round. Published are 5.
    lr_share : float
        Share of the initial learning rate with which the weights are tuned. Their momentum is zero
        at the start of each round's tuning.
    measure : {"loss", "accuracy"}
        What an operation is missed by; accuracy over images only.
    batches : int or None
        At most so many batches of the validation data are evaluated; None: all.
    seed : int
        Of what is drawn.
    """

    epochs: int = 1
    lr_share: float = 0.1
    measure: str = "loss"
    batches: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        integer("epochs", self.epochs, 0)
        number("lr_share", self.lr_share, positive=True)
        choice("measure", self.measure, ("loss", "accuracy"))
        if self.batches is not None:
            integer("batches", self.batches, 1)
        integer("seed", self.seed, 0)

    @property
    def name(self) -> str:
        return "perturbation"

    def check(self, counts_correct: bool) -> None:
        """Raise ArgumentError if the selector is not for a task, by whether predictions of that are
        right or wrong.
        """
        if self.measure == "accuracy" and not counts_correct:
            raise ArgumentError("measure", "(='accuracy') is for images with labels")

    def rounds_due(self, space: Space, epochs_tuned: int) -> int:
        """How many rounds are to be played when so many epochs of tuning are done; negative: the
        search itself goes on.
        """
        if epochs_tuned < 0:
            return 0
        return (
            rounds(space)
            if self.epochs == 0
            else min(epochs_tuned // self.epochs + 1, rounds(space))
        )

    def tuning_epochs(self, space: Space) -> int:
        """Epochs of tuning between the rounds of a space."""
        return max(0, rounds(space) - 1) * self.epochs


def open_edges(cell: Cell) -> list[int]:
    """The edges of a kind of cell that have a choice, by their rows of α."""
    return [row for row, operations in enumerate(cell.candidates) if len(operations) > 1]


def open_nodes(cell: Cell) -> list[int]:
    """The nodes of a kind of cell that keep fewer edges than they have."""
    nodes = range(cell.inputs, cell.inputs + cell.nodes)
    return [node for node in nodes if cell.kept(node) < node]


def rounds(space: Space) -> int:
    """Number of rounds: of edges, then of nodes."""
    return _edge_rounds(space) + max(len(open_nodes(cell)) for cell in space.cells)


def _edge_rounds(space: Space) -> int:
    return max(len(open_edges(cell)) for cell in space.cells)


def num_decisions(space: Space) -> int:
    """Number of decisions of all rounds."""
    return sum(len(open_edges(cell)) + len(open_nodes(cell)) for cell in space.cells)


def num_undecided(space: Space, selector: str | None, made: Sequence[object]) -> int:
    """Number of decisions that a selector did not come to; 0 if it makes none."""
    return num_decisions(space) - len(made) if selector == "perturbation" else 0


def num_evaluations(space: Space) -> int:
    """Number of evaluations of all rounds: of each decision one of the whole mixture, and one
    without each candidate but ``none``, or without each edge.
    """
    count = num_decisions(space)
    for cell in space.cells:
        for row in open_edges(cell):
            columns = candidates(cell, row)
            count += sum(not cell.candidates[row][k].is_none for k in columns)
        count += sum(open_nodes(cell))  # node number i has i edges
    return count


class Selection:
    """The decisions of the rounds until now, and what they make of mixtures and cells.

    Parameters
    ----------
    selector : Perturbation
    space : Space

    Attributes
    ----------
    decisions : list of dict
        Replaced by each round, never changed. Each is JSON: ``round`` and ``epoch`` (how many were
        done), ``cell``, ``node``, ``source`` (None: the decision is about the edges of a node),
        ``kept`` (an operation, or the sources of edges), ``value`` (loss or accuracy of the whole
        mixture), ``without`` (the same without each operation or edge) and ``missed`` (the rise of
        the loss, or the fall of the accuracy).
    """

    def __init__(self, selector: Perturbation, space: Space):
        self.selector, self.space = selector, space
        self.decisions: list[Decision] = []

    @property
    def rounds_done(self) -> int:
        return self.decisions[-1]["round"] + 1 if self.decisions else 0

    def decided_rows(self, cell: Cell) -> list[int]:
        """The edges of a kind of cell that are decided."""
        edges = cell.edges_of()
        return [edges.index((each["source"], each["node"])) for each in self._of(cell, edges=True)]

    def fixed(self, mixture: Mixture) -> Mixture:
        """Return a mixture where decided edges have one operation, and lost edges none."""
        mixing = {name: np.array(m, np.float64) for name, m in mixture.mixing.items()}
        active = active_of(mixture, self.space)
        for cell in self.space.cells:
            m, on, edges = mixing[cell.name], active[cell.name], cell.edges_of()
            for each in self._of(cell, edges=True):
                row = edges.index((each["source"], each["node"]))
                column = _column(cell, row, each["kept"])
                m[row], on[row] = 0.0, False
                m[row, column], on[row, column] = 1.0, True
            for each in self._of(cell, edges=False):
                for source in range(each["node"]):
                    if source not in each["kept"]:
                        row = edges.index((source, each["node"]))
                        m[row], on[row] = 0.0, False
        return mixture._replace(mixing=mixing, active=active)

    def decide(self, mixture: Mixture, epoch: int, evaluate: Evaluate) -> list[Decision]:
        """Play the next round on the mixture of the method; return its decisions.

        If an evaluation raises, nothing is decided.
        """
        number, before = self.rounds_done, self.decisions
        rng = np.random.default_rng((self.selector.seed, number))
        on_edges = number < _edge_rounds(self.space)
        try:
            for cell in self.space.cells:
                left = self._undecided(cell, on_edges)
                if not left:
                    continue
                drawn = int(rng.choice(left))
                decide = self._edge if on_edges else self._node
                found = decide(cell, drawn, self.fixed(mixture), evaluate)
                found = {"round": number, "epoch": epoch, "cell": cell.name, **found}
                self.decisions = [*self.decisions, found]
        except BaseException:
            self.decisions = before
            raise
        return self.decisions[len(before) :]

    def genotype(self, by_magnitude: BaseGenotype, epochs: int | None = None) -> BaseGenotype:
        """Return the cell of the decisions; what is undecided is as in another one.

        With `epochs`, the decisions that were made when fewer epochs were done alone.
        """
        made = [d for d in self.decisions if epochs is None or d["epoch"] < epochs]
        fields: dict[str, Any] = {}
        for cell in self.space.cells:
            own = [each for each in made if each["cell"] == cell.name]
            operations = _only(cell) | {
                (d["source"], d["node"]): d["kept"] for d in own if d["source"] is not None
            }
            nodes = {d["node"]: d["kept"] for d in own if d["source"] is None}
            entries: list[tuple[str, int]] = []
            for node in range(cell.inputs, cell.inputs + cell.nodes):
                strongest = {j: op for op, j, i in by_magnitude.kept(cell.name) if i == node}
                for source in nodes.get(node, strongest):
                    kept = operations.get((source, node)) or strongest[source]
                    entries.append((kept, source))
            fields[cell.name] = entries
            if cell.output_field is not None:
                fields[cell.output_field] = by_magnitude.outputs(cell.name)
        return self.space.genotype(space=self.space, **fields)

    def _of(self, cell: Cell, edges: bool) -> Iterator[Decision]:
        for each in self.decisions:
            if each["cell"] == cell.name and (each["source"] is not None) == edges:
                yield each

    def _undecided(self, cell: Cell, on_edges: bool) -> list[int]:
        if on_edges:
            done: Iterable[int] = self.decided_rows(cell)
            return [row for row in open_edges(cell) if row not in done]
        done = [each["node"] for each in self._of(cell, edges=False)]
        return [node for node in open_nodes(cell) if node not in done]

    def _edge(self, cell: Cell, row: int, mixture: Mixture, evaluate: Evaluate) -> Decision:
        value = self._score(evaluate(mixture))
        without: dict[str, float] = {}
        for column, operation in candidates(cell, row).items():
            if cell.candidates[row][column].is_none:  # which adds nothing
                without[operation] = value
            else:
                less = _without(mixture, cell, row, [column])
                without[operation] = self._score(evaluate(less))
        missed = self._missed(value, without)
        source, node = cell.edges_of()[row]
        return {
            "node": node,
            "source": source,
            "kept": max(missed, key=missed.__getitem__),  # on ties the earlier
            "value": value,
            "without": without,
            "missed": missed,
        }

    def _node(self, cell: Cell, node: int, mixture: Mixture, evaluate: Evaluate) -> Decision:
        value, edges = self._score(evaluate(mixture)), cell.edges_of()
        every = range(cell.columns)
        without = {
            str(source): self._score(
                evaluate(_without(mixture, cell, edges.index((source, node)), every))
            )
            for source in range(node)
        }
        missed = self._missed(value, without)
        order = sorted(range(node), key=lambda source: -missed[str(source)])
        return {
            "node": node,
            "source": None,
            "kept": order[: cell.kept(node)],
            "value": value,
            "without": without,
            "missed": missed,
        }

    def _score(self, found: tuple[float, float | None]) -> float:
        loss, accuracy = found
        if self.selector.measure == "loss":
            return loss
        assert accuracy is not None  # `Perturbation.check`
        return accuracy

    def _missed(self, value: float, without: Mapping[str, float]) -> dict[str, float]:
        sign = 1.0 if self.selector.measure == "loss" else -1.0
        return {name: sign * (each - value) for name, each in without.items()}


def active_of(mixture: Mixture, space: Space) -> Alphas:
    if mixture.active is not None:
        return {name: np.array(on) for name, on in mixture.active.items()}
    found = {name: np.ones(m.shape, np.bool_) for name, m in mixture.mixing.items()}
    return found | {cell.name: cell.exists(len(cell.candidates)) for cell in space.cells}


def _without(mixture: Mixture, cell: Cell, row: int, columns: Sequence[int]) -> Mixture:
    """The mixture without some operations of an edge, and all others as they are."""
    assert mixture.active is not None
    m, on = mixture.mixing[cell.name].copy(), mixture.active[cell.name].copy()
    m[row, columns], on[row, columns] = 0.0, False
    return mixture._replace(
        mixing={**mixture.mixing, cell.name: m}, active={**mixture.active, cell.name: on}
    )


def _column(cell: Cell, row: int, operation: str) -> int:
    return [op.name for op in cell.candidates[row]].index(operation)


def _only(cell: Cell) -> dict[tuple[int, int], str]:
    """The operations of edges that have one alone."""
    every = zip(cell.edges_of(), cell.candidates, strict=True)
    return {edge: operations[0].name for edge, operations in every if len(operations) == 1}
