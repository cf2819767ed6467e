# SPDX-License-Identifier: MIT
"""Costs of derived networks: what is counted, what is measured, expectations and choices."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import plain_costs
import pytest
from numpy.typing import NDArray

import pydarts
from pydarts import _core
from pydarts.costs import profile
from pydarts.costs.budget import Budget
from pydarts.costs.choice import choose_cell, largest_cost, least_cost
from pydarts.costs.counts import count_fixed, count_network, count_operation
from pydarts.costs.expectation import expected_cost
from pydarts.costs.measured import Timing
from pydarts.costs.shape import NetworkShape, Place, places
from pydarts.costs.table import CostTable, budget_table
from pydarts.methods.log_weights import alpha_gradient, log_weights
from pydarts.methods.weighting import derive
from pydarts.spaces import DARTS, DARTS_1D, NAS_BENCH_201, Cell, Layer, Space, Stack
from pydarts.spaces.published import strongest_values

Array = NDArray[np.float64]

CASES = [
    (DARTS, NetworkShape((28, 28), 8, 5, 10, 1)),
    (DARTS, NetworkShape((65, 64), 4, 4, 5, 3, "imagenet")),
    (NAS_BENCH_201, NetworkShape((12, 9), 3, 2, 4, 2)),
    (DARTS_1D, NetworkShape((1, 101), 4, 3, 10, 3)),
]
OPERATIONS = {op.name: op for space, _ in CASES for op in space.operations}
#: Four of its pools were computed before, three of them in the reduction cell.
REPEATED = pydarts.Genotype(
    normal=[
        *(("max_pool_3x3", 0), ("avg_pool_3x3", 1)),
        *(("max_pool_3x3", 0), ("max_pool_3x3", 1)),
        *(("sep_conv_3x3", 0), ("skip_connect", 2)),
        *(("sep_conv_3x3", 0), ("dil_conv_3x3", 3)),
    ],
    normal_concat=[2, 3, 4, 5],
    reduce=[
        *(("max_pool_3x3", 0), ("skip_connect", 1)),
        *(("max_pool_3x3", 0), ("max_pool_3x3", 2)),
        *(("max_pool_3x3", 0), ("avg_pool_3x3", 2)),
        *(("max_pool_3x3", 2), ("skip_connect", 1)),
    ],
    reduce_concat=[2, 3, 4, 5],
)


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


def random_table(space: Space, seed: int = 0, pools_once: bool = False) -> CostTable:
    """Return a table of random costs; if equal pools count once, these cost the same."""
    rng = np.random.default_rng(seed)
    tables = {c.name: rng.uniform(0.1, 3, (len(c.edges_of()), c.columns)) for c in space.cells}
    for cell in space.cells:
        of_states = rng.uniform(0.1, 3, (cell.inputs + cell.nodes, cell.columns))
        for row, (source, _) in enumerate(cell.edges_of()):
            for k, op in enumerate(cell.candidates[row]):
                if pools_once and "pool" in op.name:
                    tables[cell.name][row, k] = of_states[source, k]
    return CostTable(2.0, tables, pools_once)


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
def test_counts_are_those_of_the_plain_walk(space: Space, shape: NetworkShape) -> None:
    for seed in range(5):
        genotype = pydarts.Genotype.random(seed, space=space)
        plain, found = plain_costs.Count(genotype, shape), count_network(genotype, shape)
        assert (found.macs, found.weights) == (plain.macs, plain.weights)
        assert found.memory == plain.memory


@pytest.mark.parametrize(("space", "shape"), CASES)
def test_counts_are_sums_over_edges(space: Space, shape: NetworkShape) -> None:
    tables = {name: budget_table(space, shape, name) for name in ("macs", "weights")}
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


def test_operations_stand_where_the_stack_puts_them() -> None:
    found = places(DARTS, NetworkShape((29, 28), 8, 5, 10, 1))
    names = [op.name for op in DARTS.cell("normal").candidates[0]]
    pool, skip = names.index("max_pool_3x3"), names.index("skip_connect")
    name = "max_pool_3x3"
    sizes = [(8, (29, 28)), (16, (15, 14)), (32, (8, 7))]
    for row in (0, 1, 13):
        assert found["normal"][row][pool] == [Place(name, c, c, size, 1) for c, size in sizes]
    # From the inputs of the cell at a stride of 2, from its nodes at one of 1.
    sizes = [(16, (29, 28)), (32, (15, 14))]
    assert found["reduce"][1][pool] == [Place(name, c, c, size, 2) for c, size in sizes]
    sizes = [(16, (15, 14)), (32, (8, 7))]
    assert found["reduce"][4][pool] == [Place(name, c, c, size, 1) for c, size in sizes]
    assert [place.operation for place in found["reduce"][4][skip]] == 2 * ["skip_connect"]
    assert found["normal"][0][names.index("none")] == []


def test_a_fit_of_the_memory_is_close() -> None:
    space, shape = CASES[0]
    table = budget_table(space, shape, "memory")
    drawn = [pydarts.Genotype.random(seed, space=space) for seed in range(1000, 1020)]
    exact = np.array([count_network(each, shape).memory for each in drawn])
    fitted = np.array([table.predict(each) for each in drawn])
    assert np.abs(fitted / exact - 1).mean() < 0.05


def seconds_alone(space: Space, place: Place) -> float:
    """Return invented seconds of an operation: its multiply-adds and memory."""
    counts = count_operation(space, place)
    return 1e-10 * counts.macs + 1e-11 * counts.memory


def seconds_of(genotype: Any, shape: NetworkShape, factors: dict[str, float]) -> float:
    """Return invented seconds: fixed parts, and operations times factors, equal pools once."""
    space = genotype.space
    found = 1e-5 + 1e-10 * count_fixed(space, shape).macs
    where = places(space, shape)
    for cell, e, k in plain_costs.computed_entries(genotype):
        for place in where[cell][e][k]:
            found += factors.get(place.operation, 1.0) * seconds_alone(space, place)
    return found


@pytest.fixture
def invented(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """All takes invented times; factors of operations within networks may be put in here."""
    factors: dict[str, float] = {}

    def timing(seconds: float) -> Timing:
        return Timing(seconds, seconds, seconds)

    def of_places(space: Space, wanted: list[Place], **_: int) -> dict[Place, Timing]:
        return {place: timing(seconds_alone(space, place)) for place in wanted}

    def of_fixed(space: Space, shape: NetworkShape, **_: int) -> tuple[Timing, Timing]:
        return timing(1e-5 + 1e-10 * count_fixed(space, shape).macs), timing(1e-6)

    def of_genotypes(genotypes: list[Any], shape: NetworkShape, *_: int) -> list[Timing]:
        return [timing(seconds_of(each, shape, factors)) for each in genotypes]

    monkeypatch.setattr(profile, "measure_places", of_places)
    monkeypatch.setattr(profile, "measure_fixed", of_fixed)
    monkeypatch.setattr(profile, "measure_genotypes", of_genotypes)
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
    factors, error = _core.fit_correction(parts.tolist(), (parts @ true).tolist())
    assert np.abs(np.array(factors) - true).max() < 0.02
    assert error < 0.01
    factors, error = _core.fit_correction(parts.tolist(), parts.sum(axis=1).tolist())
    assert factors == [1.0] * 4


def test_factors_are_those_of_least_squares() -> None:
    rng = np.random.default_rng(0)
    parts = rng.uniform(0.1, 1, (40, 6))
    measured = parts @ rng.uniform(0.5, 2, 6) + rng.uniform(0, 0.1, 40)
    x = parts / measured[:, np.newaxis]
    weight = 40 * np.square(np.maximum(x.mean(axis=0), 0.01))
    best = np.abs(1 - x.sum(axis=1)).mean(), np.ones(6)
    for strength in (1e-3, 1e-2, 1e-1, 1.0):

        def fitted(rows: Array, strength: float = strength) -> Array:
            """The factors that make the relative errors and their distances from 1 least."""
            left = np.concatenate([1 - rows.sum(axis=1), np.zeros(6)])
            stacked = np.concatenate([rows, np.diag(np.sqrt(strength * weight))])
            return np.asarray(1 + np.linalg.lstsq(stacked, left, rcond=None)[0])

        others = [np.delete(x, k, axis=0) for k in range(40)]
        errors = [1 - x[k] @ fitted(others[k]) for k in range(40)]
        best = min(best, (np.abs(errors).mean(), fitted(x)), key=lambda pair: pair[0])
    factors, error = _core.fit_correction(parts.tolist(), measured.tolist())
    assert np.ptp(factors) > 0.1
    assert factors == pytest.approx(best[1], rel=1e-9)
    assert error == pytest.approx(best[0], rel=1e-9)


def test_equal_pools_of_a_state_count_once() -> None:
    genotype = REPEATED
    table = random_table(DARTS, pools_once=True)
    every = table.fixed + sum(table.tables[c][e, k] for c, e, k in plain_costs.entries(genotype))
    assert len(plain_costs.computed_entries(genotype)) == 16 - 4
    once = plain_costs.cost(genotype, table.fixed, table.tables, pools_once=True)
    assert once < every - 0.4
    assert table.predict(genotype) == pytest.approx(once, rel=1e-12)
    assert CostTable(table.fixed, table.tables).predict(genotype) == pytest.approx(every, rel=1e-12)


@pytest.mark.parametrize("pools_once", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 0.3])
@pytest.mark.parametrize("kept", [1, None])
def test_the_expected_cost_is_the_mean_over_all_cells(
    kept: int | None, temperature: float, pools_once: bool
) -> None:
    space = small_space(kept)
    table, alphas = random_table(space, 0, pools_once), random_alphas(space)
    logs = log_weights(alphas, space, "softmax")
    every = cells_of(space)
    odds = np.exp(np.array([plain_costs.cost(each, 0.0, logs) for each in every]) / temperature)
    costs = [plain_costs.cost(each, table.fixed, table.tables, pools_once) for each in every]
    mean = float(odds @ costs / odds.sum())
    assert expected_cost(logs, space, table, temperature)[0] == pytest.approx(mean, rel=1e-12)


@pytest.mark.parametrize(
    ("weighting", "edges"), [("softmax", False), ("sigmoid", False), ("softmax", True)]
)
@pytest.mark.parametrize("space", [DARTS, NAS_BENCH_201])
@pytest.mark.parametrize("pools_once", [False, True])
def test_the_gradient_of_the_expected_cost(
    pools_once: bool, space: Space, weighting: str, edges: bool
) -> None:
    table, alphas = random_table(space, 0, pools_once), random_alphas(space, edges)

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
@pytest.mark.parametrize("pools_once", [False, True])
def test_the_likeliest_cell_within_bounds(pools_once: bool, kept: int | None) -> None:
    space = small_space(kept)
    every = cells_of(space)
    missed = 0
    for seed in range(10):
        table = random_table(space, seed, pools_once)
        logs = log_weights(random_alphas(space, seed=seed), space, "softmax")
        costs = [plain_costs.cost(each, table.fixed, table.tables, pools_once) for each in every]
        values = [plain_costs.cost(each, 0.0, logs) for each in every]
        assert least_cost(space, table) == pytest.approx(min(costs))
        if pools_once:
            assert largest_cost(space, table) >= max(costs) - 1e-9
        else:
            assert largest_cost(space, table) == pytest.approx(max(costs))
        limit = float(np.quantile(costs, 0.3))
        within = [k for k, c in enumerate(costs) if 0.9 * limit <= c <= limit]
        found = choose_cell(logs, space, table, 0.9 * limit, limit)
        if found is None:  # of those that are as close to a bound as bins are coarse
            assert not [k for k in within if 0.902 < costs[k] / limit < 0.998]
            continue
        cost = plain_costs.cost(found, table.fixed, table.tables, pools_once)
        assert 0.9 * limit <= cost <= limit
        best = max(values[k] for k in within)
        if plain_costs.cost(found, 0.0, logs) != pytest.approx(best):
            missed += 1
        assert choose_cell(logs, space, table, 0.0, 0.99 * min(costs)) is None
    assert missed <= pools_once


def likely_pools(space: Space, seed: int) -> dict[str, Array]:
    """Return logarithms of mixing weights of which those of pools are large."""
    alphas = random_alphas(space, seed=seed)
    for cell in space.cells:
        for row, operations in enumerate(cell.candidates):
            alphas[cell.name][row] += [3.0 * ("pool" in op.name) for op in operations]
    return log_weights(alphas, space, "softmax")


def test_the_likeliest_cell_with_equal_pools_within_bounds() -> None:
    (cell,) = NAS_BENCH_201.cells
    pool = [op.name for op in cell.candidates[0]].index("avg_pool_3x3")
    sources = np.array([source for source, _ in cell.edges_of()])
    columns = np.array(list(itertools.product(range(cell.columns), repeat=len(sources))))
    rows = np.arange(len(sources))
    missed = 0
    for seed in range(3):
        table = random_table(NAS_BENCH_201, seed, pools_once=True)
        logs, costs_of = likely_pools(NAS_BENCH_201, seed), table.tables[cell.name]
        values, costs = logs[cell.name][rows, columns].sum(1), costs_of[rows, columns].sum(1) + 2.0
        for source in range(3):  # of each state one pool, wherever it goes to
            held = ((columns == pool) & (sources == source)).sum(axis=1)
            costs -= np.maximum(0, held - 1) * costs_of[sources == source, pool][0]
        free = choose_cell(logs, NAS_BENCH_201, table)
        assert free is not None
        assert plain_costs.cost(free, 0.0, logs) == pytest.approx(values.max())
        for share in (0.85, 0.95, 1.0, 1.05, 1.3, 1.6):
            limit = share * costs[values.argmax()] * (1 + 1e-9)
            within = (0.9 * limit <= costs) & (costs <= limit)
            found = choose_cell(logs, NAS_BENCH_201, table, 0.9 * limit, limit)
            if found is None:
                assert not ((0.902 * limit < costs) & (costs < 0.998 * limit)).any()
                continue
            cost = plain_costs.cost(found, 2.0, table.tables, pools_once=True)
            assert 0.9 * limit <= cost <= limit
            missed += plain_costs.cost(found, 0.0, logs) < values[within].max() - 1e-9
    assert missed <= 1


def test_cells_with_equal_pools_use_what_a_limit_allows() -> None:
    table, logs = random_table(DARTS, 0, pools_once=True), likely_pools(DARTS, 0)
    free = choose_cell(logs, DARTS, table)
    assert free is not None
    whole = table.predict(free)
    assert CostTable(2.0, table.tables).predict(free) > 1.1 * whole
    assert choose_cell(logs, DARTS, table, 0.9 * whole, 1.01 * whole) == free
    for limit in (0.85 * whole, 0.95 * whole):
        found = choose_cell(logs, DARTS, table, 0.9 * limit, limit)
        assert found is not None
        cost = plain_costs.cost(found, 2.0, table.tables, pools_once=True)
        assert 0.9 * limit <= cost <= limit


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


@pytest.mark.parametrize("space", [DARTS, NAS_BENCH_201])
def test_a_limit_that_binds_no_cell_decides_nothing(space: Space) -> None:
    """Also of the costliest cell, where each operation is rounded up."""
    shape = NetworkShape((8, 8), 4, 3, 2, 1)
    for seed in range(5):
        alphas = random_alphas(space, seed=seed)
        for name, values in strongest_values(space).items():
            alphas[name] = 0.1 * alphas[name] + values
        logs = log_weights(alphas, space, "softmax")
        expected = space.derive(alphas)
        for limit in ({"macs": 1e12}, {"memory": 1e12}, {"macs": 1e12, "weights": 1e12}):
            assert Budget(space, shape, limit).choose(logs) == expected
        table = random_table(space)
        found = choose_cell(logs, space, table, 0.5 * plain_costs.cost(expected, 2.0, table.tables))
        assert found == expected
