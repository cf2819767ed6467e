# SPDX-License-Identifier: MIT
"""Costs of derived networks: what is counted, what is measured, expectations and choices."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import pydarts
from pydarts.costs import measured, profile
from pydarts.costs.choice import choose_cell, largest_cost, least_cost
from pydarts.costs.correction import fit_correction
from pydarts.costs.counts import count_network, count_operation
from pydarts.costs.expectation import expected_cost
from pydarts.costs.shape import NetworkShape, placed_layers, places, without_operations
from pydarts.costs.table import CostTable, count_tables, entries, memory_table
from pydarts.methods.log_weights import alpha_gradient, log_weights
from pydarts.methods.weighting import derive
from pydarts.spaces import DARTS, DARTS_1D, NAS_BENCH_201, Cell, Layer, Space, Stack

Array = NDArray[np.float64]

CASES = [
    (DARTS, NetworkShape((28, 28), 8, 5, 10, 1)),
    (DARTS, NetworkShape((65, 64), 4, 4, 5, 3, "imagenet")),
    (NAS_BENCH_201, NetworkShape((12, 9), 3, 2, 4, 2)),
    (DARTS_1D, NetworkShape((1, 101), 4, 3, 10, 3)),
]
OPERATIONS = {op.name: op for space, _ in CASES for op in space.operations}


def small_space(kept: int | None = 1) -> Space:
    """Return a space whose cells can be listed: 2 nodes, 1 input, 3 operations."""
    cell = Cell("normal", 2, 1, preprocessed=False, output="last", kept_edges=kept)
    operations = [OPERATIONS[name] for name in ("none", "skip_connect", "max_pool_3x3")]
    operations.append(OPERATIONS["sep_conv_3x3"])
    return Space("small", tuple(operations), (cell,), Stack((Layer("normal", repeat="cells"),)))


def cells_of(space: Space) -> list[Any]:
    """Return all genotypes of a space of one kind of cell whose output is the last node."""
    (cell,) = space.cells
    nodes = []
    for node in range(cell.inputs, cell.inputs + cell.nodes):
        choices = []
        for sources in itertools.combinations(range(node), cell.kept(node)):
            for names in itertools.product(
                ("skip_connect", "max_pool_3x3", "sep_conv_3x3"), repeat=len(sources)
            ):
                choices.append(list(zip(names, sources, strict=True)))
        nodes.append(choices)
    return [
        pydarts.Genotype(space=space, normal=[entry for part in parts for entry in part])
        for parts in itertools.product(*nodes)
    ]


def random_table(space: Space, seed: int = 0) -> CostTable:
    rng = np.random.default_rng(seed)
    return CostTable(
        2.0, {c.name: rng.uniform(0.1, 3, (len(c.edges_of()), c.columns)) for c in space.cells}
    )


def random_alphas(space: Space, edges: bool = False, seed: int = 0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    found = {c.name: rng.normal(size=(len(c.edges_of()), c.columns)) for c in space.cells}
    if edges:
        for c in space.cells:
            found[c.edge_group] = rng.normal(size=(c.nodes, c.inputs + c.nodes - 1))
    return found


@pytest.mark.parametrize(("space", "shape"), CASES)
def test_weights_are_those_of_the_engine(space: Space, shape: NetworkShape) -> None:
    for seed in range(5):
        genotype = pydarts.Genotype.random(seed, space=space)
        assert count_network(genotype, shape).weights == shape.network(genotype).num_weights


@pytest.mark.parametrize(("space", "shape"), CASES)
def test_counts_are_sums_over_edges(space: Space, shape: NetworkShape) -> None:
    tables = count_tables(space, shape)
    for seed in range(5):
        genotype = pydarts.Genotype.random(seed, space=space)
        counts = count_network(genotype, shape)
        assert tables["macs"].predict(genotype) == counts.macs
        assert tables["weights"].predict(genotype) == counts.weights


def test_multiply_adds_and_memory_of_a_network_by_hand() -> None:
    space = small_space()
    genotype = pydarts.Genotype(space=space, normal=[("sep_conv_3x3", 0), ("max_pool_3x3", 1)])
    counts = count_network(genotype, NetworkShape((6, 5), 4, 1, 3, 2))
    pixels = 6 * 5
    stem, separable = 2 * 4 * 9, 2 * (4 * 9 + 4 * 4)
    assert counts.macs == pixels * (stem + separable) + 4 * 3
    # Two of the same size at a time: what a layer reads and what it gives.
    assert counts.memory == 4 * pixels * 2 * 4
    # An output of the cell before that a later edge reads is held meanwhile.
    wide = small_space(kept=2)
    genotype = pydarts.Genotype(
        space=wide, normal=[("sep_conv_3x3", 0), ("skip_connect", 0), ("sep_conv_3x3", 1)]
    )
    # At the second: input or node 1, its middle, and node 2.
    assert count_network(genotype, NetworkShape((6, 5), 4, 1, 3, 2)).memory == 4 * pixels * 3 * 4


def test_layers_stand_where_the_stack_puts_them() -> None:
    shape = NetworkShape((29, 28), 8, 5, 10, 1)
    found = [(x.kind, x.channels, x.stride, x.size) for x in placed_layers(DARTS, shape)]
    assert found == [
        ("normal", 8, 1, (29, 28)),
        ("reduce", 16, 2, (29, 28)),
        ("normal", 16, 1, (15, 14)),
        ("reduce", 32, 2, (15, 14)),
        ("normal", 32, 1, (8, 7)),
    ]


def test_a_fit_of_the_memory_is_close() -> None:
    space, shape = CASES[0]
    table = memory_table(space, shape)
    drawn = [pydarts.Genotype.random(seed, space=space) for seed in range(1000, 1020)]
    exact = np.array([count_network(each, shape).memory for each in drawn])
    fitted = np.array([table.predict(each) for each in drawn])
    assert np.abs(fitted / exact - 1).mean() < 0.05


def seconds_of(genotype: Any, shape: NetworkShape, factors: dict[str, float]) -> float:
    """Return invented seconds: the multiply-adds of fixed parts and operations, times factors."""
    space = genotype.space
    found = 1e-5 + 1e-10 * count_network(without_operations(space), shape).macs
    where = places(space, shape)
    for cell, e, k in entries(genotype):
        for place in where[cell][e][k]:
            macs, _, memory = count_operation(OPERATIONS[place.operation], place, space)
            found += factors.get(place.operation, 1.0) * (1e-10 * macs + 1e-11 * memory)
    return found


@pytest.fixture
def invented(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Networks of a space take invented times; factors of the operations may be put in here."""
    factors: dict[str, float] = {}

    def measure(networks: Any, sizes: Any, **_: Any) -> list[Array]:
        found = []
        for net, size in zip(networks, sizes, strict=True):
            channels = net._recipe[1][1]
            cells, classes = net._recipe[1][2:4]
            shape = NetworkShape(size, channels, cells, classes, net.in_channels)
            own = factors if net.space.name == "darts" else {}
            found.append(np.full(30, seconds_of(net.genotype, shape, own)))
        return found

    monkeypatch.setattr(profile, "measure_networks", measure)
    monkeypatch.setattr(measured, "measure_networks", measure)
    return factors


def test_a_profile_predicts_sums_exactly(invented: dict[str, float], tmp_path: Path) -> None:
    found = pydarts.profile("darts", 16, 4, 3, in_channels=1)
    assert found.error == pytest.approx(0, abs=1e-9)
    genotype = pydarts.DARTS_V2
    expected = seconds_of(genotype, found.shape, {})
    assert found.predict(genotype) == pytest.approx(expected, rel=1e-9)
    assert found.measure(genotype).median == pytest.approx(expected, rel=1e-9)
    assert found.count(genotype) == count_network(genotype, found.shape)
    found.save(tmp_path / "profile.json")
    again = pydarts.Profile.load(tmp_path / "profile.json")
    assert again.to_dict() == found.to_dict()
    assert again.predict(genotype) == found.predict(genotype)
    assert {"cpu", "instruction_set", "pydarts"} <= set(again.environment)
    with pytest.raises(FileExistsError, match="overwrite"):
        found.save(tmp_path / "profile.json")
    assert len(found.rows()) == len(found.timings) + 1


@pytest.mark.slow
def test_a_profile_corrects_what_costs_more_within_networks(invented: dict[str, float]) -> None:
    invented["sep_conv_5x5"] = 1.5
    plain = pydarts.profile("darts", 16, 4, 3, in_channels=1, networks=0)
    found = pydarts.profile("darts", 16, 4, 3, in_channels=1, networks=60)
    drawn = [pydarts.Genotype.random(seed) for seed in range(1000, 1010)]
    true = np.array([seconds_of(each, found.shape, invented) for each in drawn])
    errors = [np.abs([p.predict(g) for g in drawn] / true - 1).mean() for p in (plain, found)]
    assert errors[1] < errors[0] / 5


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda d: d.update(format="x"), "profile"),
        (lambda d: d["operations"].pop(), "there is no Place"),
        (lambda d: d["factors"][0].update(factor=-1), "positive"),
        (lambda d: d["fixed"]["seconds"].update(median="soon"), "soon"),
        (lambda d: d.pop("shape"), "shape"),
    ],
)
def test_damaged_profiles_are_refused(
    invented: dict[str, float], tmp_path: Path, change: Any, problem: str
) -> None:
    path = tmp_path / "profile.json"
    members = pydarts.profile("darts", 8, 2, 3, networks=8).to_dict()
    change(members)
    path.write_text(json.dumps(members))
    with pytest.raises(ValueError, match=problem) as error:
        pydarts.Profile.load(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"space": "recurrent"}, "`space`"),
        ({"repeats": 29}, r"`repeats` \(=29\)"),
        ({"image_size": (1, 2, 3)}, "`image_size`"),
        ({"channels": 0}, "`channels`"),
        ({"batch": 0}, "`batch`"),
        ({"stem": "none"}, "`stem`"),
    ],
)
def test_unusable_arguments_of_profile(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        pydarts.profile(**options)


def test_a_profile_is_measured() -> None:
    # A second thread would be waited for, where others work.
    found = pydarts.profile("nas-bench-201", 16, 4, 1, in_channels=1, networks=2, threads=1)
    convolution, skip = (
        max(t.median for place, t in found.timings.items() if place.operation == name)
        for name in ("nor_conv_3x3", "skip_connect")
    )
    assert convolution > skip
    assert found.fixed.median > 0


def test_factors_are_found_again() -> None:
    rng = np.random.default_rng(0)
    parts = rng.uniform(1, 2, (60, 4))
    true = np.array([1.2, 0.9, 1.0, 1.5])
    found = fit_correction(parts, parts @ true)
    assert np.abs(found.factors - true).max() < 0.02
    assert found.error < 0.01
    assert (fit_correction(parts, parts.sum(axis=1)).factors == 1).all()


@pytest.mark.parametrize("temperature", [1.0, 0.3])
@pytest.mark.parametrize("kept", [1, None])
def test_the_expected_cost_is_the_mean_over_all_cells(kept: int | None, temperature: float) -> None:
    space = small_space(kept)
    table, alphas = random_table(space), random_alphas(space)
    logs = log_weights(alphas, space, "softmax")
    scores = CostTable(0.0, logs)
    every = cells_of(space)
    odds = np.exp(np.array([scores.predict(each) for each in every]) / temperature)
    mean = float(odds @ [table.predict(each) for each in every] / odds.sum())
    assert expected_cost(logs, space, table, temperature)[0] == pytest.approx(mean, rel=1e-12)


@pytest.mark.parametrize(
    ("weighting", "edges"), [("softmax", False), ("sigmoid", False), ("softmax", True)]
)
@pytest.mark.parametrize("space", [DARTS, NAS_BENCH_201])
def test_the_gradient_of_the_expected_cost(space: Space, weighting: str, edges: bool) -> None:
    table, alphas = random_table(space), random_alphas(space, edges)

    def value(at: dict[str, Array]) -> float:
        return expected_cost(log_weights(at, space, weighting), space, table, 0.5)[0]

    logs = log_weights(alphas, space, weighting)
    found = alpha_gradient(alphas, space, weighting, expected_cost(logs, space, table, 0.5)[1])
    assert found.keys() == alphas.keys()
    step = 1e-5
    for name, a in alphas.items():
        for index in list(np.ndindex(a.shape))[::5]:
            moved = [{**alphas, name: a.copy()} for _ in range(2)]
            moved[0][name][index] += step
            moved[1][name][index] -= step
            difference = (value(moved[0]) - value(moved[1])) / (2 * step)
            assert found[name][index] == pytest.approx(difference, rel=1e-6, abs=1e-8), (
                name,
                index,
            )


@pytest.mark.parametrize("kept", [1, None])
def test_the_likeliest_cell_within_bounds(kept: int | None) -> None:
    space = small_space(kept)
    every = cells_of(space)
    for seed in range(10):
        table = random_table(space, seed)
        logs = log_weights(random_alphas(space, seed=seed), space, "softmax")
        scores = CostTable(0.0, logs)
        costs = [table.predict(each) for each in every]
        assert least_cost(space, table) == pytest.approx(min(costs))
        assert largest_cost(space, table) == pytest.approx(max(costs))
        limit = float(np.quantile(costs, 0.3))
        within = [e for e, c in zip(every, costs, strict=True) if 0.9 * limit <= c <= limit]
        found = choose_cell(logs, space, table, 0.9 * limit, limit)
        if found is None:  # of those that are as close to a bound as bins are coarse
            safe = [table.predict(e) / limit for e in within]
            assert not [share for share in safe if 0.902 < share < 0.998]
            continue
        assert 0.9 * limit <= table.predict(found) <= limit
        best = max(scores.predict(each) for each in within)
        assert scores.predict(found) == pytest.approx(best)
        assert choose_cell(logs, space, table, 0.0, 0.99 * min(costs)) is None


@pytest.mark.parametrize("weighting", ["softmax", "sigmoid"])
@pytest.mark.parametrize("space", [DARTS, NAS_BENCH_201])
def test_without_bounds_it_is_the_derived_cell(space: Space, weighting: str) -> None:
    for seed in range(5):
        alphas = random_alphas(space, seed=seed)
        logs = log_weights(alphas, space, weighting)
        assert choose_cell(logs, space, random_table(space)) == derive(alphas, space, weighting)
    alphas = random_alphas(space, edges=True)
    logs = log_weights(alphas, space, "softmax")
    assert choose_cell(logs, space, random_table(space)) == space.derive(alphas)
