# SPDX-License-Identifier: MIT
"""What a selection by perturbation decided: as lines, as notes on a result, and from files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydarts.common.checks import choice, integer
from pydarts.common.errors import ArgumentError
from pydarts.methods.finalists import computed
from pydarts.methods.perturbation import Decision, Perturbation, num_decisions, rounds
from pydarts.methods.weighting import NEARLY_UNIFORM, candidates, entropy_share
from pydarts.spaces.genotype import BaseGenotype
from pydarts.spaces.published import strongest
from pydarts.spaces.space import Space


def describe_round(made: Sequence[Decision], selector: Perturbation, space: Space) -> str:
    """Return the decisions of a round as a line: what was kept, and by how much it was missed."""
    parts = [f"round {made[0]['round'] + 1:2d}/{rounds(space)}"]
    for each in made:
        missed, kept = each["missed"], each["kept"]
        if each["source"] is None:
            found = [f"{source} ({_missed_by(missed[str(source)], selector)})" for source in kept]
            parts.append(f"{each['cell']} node {each['node']} keeps {', '.join(found)}")
        else:
            edge = f"{each['cell']} {each['source']}\u2192{each['node']}"
            parts.append(f"{edge} keeps {kept} ({_missed_by(missed[kept], selector)})")
    return "  ".join(parts)


def _missed_by(value: float, selector: Perturbation) -> str:
    return f"{value:+.4f}" if selector.measure == "loss" else f"{value:+.2%}"


def selection_notes(
    alphas: Mapping[str, Any],
    genotype: BaseGenotype,
    selector: str | None,
    finalists: Sequence[Any],
    weighting: str,
    undecided: int,
) -> list[str]:
    """Return what must be known of a choice: that it is close to chance, was not finished, or is
    what one can have without a search. Before any finalist is trained it is by magnitude.
    """
    notes, space = [], genotype.space
    if undecided:
        total = num_decisions(space)
        notes.append(
            f"Of the {total} decisions by perturbation {undecided} were not made: there the cell"
            " has the operations and edges of the largest mixing weights."
        )
    share = entropy_share(alphas, space, weighting) if alphas else 0.0
    by_magnitude = selector != "perturbation" and not finalists
    if (undecided or by_magnitude) and share > NEARLY_UNIFORM:
        notes.append(
            f"The mixing weights are nearly uniform (their entropy is {share:.1%} of that of a"
            " uniform choice): the choice of operations is close to chance."
        )
    kept = {op for cell in space.cells for op, _, _ in genotype.kept(cell.name)}
    alone = kept.pop() if len(kept) == 1 else None
    if finalists and computed(genotype) == computed(strongest(space)):
        cell = "The cell is the strongest-operation constant"
        if alone:
            cell = f"The cell has {alone} on all of its edges"
        notes.append(
            f"{cell}: no other finalist was shown to be better than this, which takes no search."
        )
    elif finalists and alone:
        notes.append(f"The cell has {alone} on all of its edges, which takes no search.")
    return notes


def read_decisions(value: object, space: Space) -> list[Decision]:
    """Return the decisions that a file holds, or raise ValueError where they are none."""
    if not isinstance(value, list):
        raise ArgumentError("selection", "must be a list")
    found = [_read_decision(f"selection[{k}]", each, space) for k, each in enumerate(value)]
    if len(found) > num_decisions(space):
        raise ArgumentError("selection", f"has {len(found)} decisions, more than there can be")
    return found


def _read_decision(name: str, value: object, space: Space) -> Decision:
    if not isinstance(value, dict):
        raise ArgumentError(name, "must be an object")
    cells = {cell.name: cell for cell in space.cells}
    cell = cells[choice(f"{name}.cell", str(value.get("cell")), tuple(cells))]
    node = integer(f"{name}.node", value.get("node"), cell.inputs, cell.inputs + cell.nodes)
    source, kept = value.get("source"), value.get("kept")
    if source is None:
        options = [str(each) for each in range(node)]
        if not isinstance(kept, list):
            raise ArgumentError(f"{name}.kept", "must be a list of states")
        kept = [integer(f"{name}.kept", each, 0, node) for each in kept]
    else:
        row = cell.edges_of().index((integer(f"{name}.source", source, 0, node), node))
        options = list(candidates(cell, row).values())
        kept = choice(f"{name}.kept", kept, tuple(options))
    scores = {}
    for member in ("without", "missed"):
        table = value.get(member)
        if not isinstance(table, dict) or set(table) != set(options):
            raise ArgumentError(f"{name}.{member}", f"must be by {', '.join(options)}")
        scores[member] = {each: float(table[each]) for each in options}
    numbers = {each: integer(f"{name}.{each}", value.get(each), 0) for each in ("round", "epoch")}
    place = {"cell": cell.name, "node": node, "source": source, "kept": kept}
    return {**numbers, **place, "value": float(value.get("value", 0.0)), **scores}
