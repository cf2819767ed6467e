# SPDX-License-Identifier: MIT
"""The C and C++ library: its test programs, and programs that find it where it is installed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import plain_costs
import pytest
from c_programs import drawn_model
from drawn_spaces import Drawn, derived
from hypothesis import assume, given, settings

import pydarts
from pydarts import Genotype
from pydarts.bilevel import BilevelStep, arch_gradient
from pydarts.common.errors import ArgumentError
from pydarts.costs.budget import Budget
from pydarts.costs.choice import largest_cost, least_cost
from pydarts.costs.expectation import expected_cost
from pydarts.costs.measured import Timing
from pydarts.costs.profile import Profile
from pydarts.costs.shape import NetworkShape, places
from pydarts.engine.sgd import SGD
from pydarts.methods.log_weights import alpha_gradient, log_weights
from pydarts.spaces import DARTS, DARTS_1D, NAS_BENCH_201, S2, Cell, Layer, Space, Stack

ROOT = Path(__file__).parents[1]
COMPILER = os.environ.get("CXX") or next(filter(shutil.which, ("c++", "g++", "clang++")), "")

pytestmark = [
    pytest.mark.skipif(not shutil.which("cmake"), reason="cmake is missing"),
    pytest.mark.skipif(not shutil.which(COMPILER), reason="a C++ compiler is missing"),
]


def run(*command: str | Path, cwd: Path | None = None, text: str = "") -> str:
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, input=text, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def cmakedir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the library that came with the package, else of one that is built once in ``build/``."""
    asked = [sys.executable, "-m", "pydarts", "--cmakedir"]
    elsewhere = tmp_path_factory.mktemp("elsewhere")  # where the source is not what is imported
    done = subprocess.run(asked, capture_output=True, text=True, cwd=elsewhere)
    if done.returncode == 0:
        return Path(done.stdout.strip())
    build = ROOT / "build" / "library"
    run("cmake", "-S", ROOT, "-B", build, "-DPYDARTS_BUILD_PYTHON=OFF")
    run("cmake", "--build", build, "-j", os.cpu_count() or 1)
    run("cmake", "--install", build, "--prefix", build / "prefix")
    return build / "prefix" / "share" / "cmake" / "pydarts"


@pytest.fixture(scope="module")
def programs(cmakedir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the test programs, built against the installed library."""
    build = tmp_path_factory.mktemp("programs")
    run("cmake", "-S", ROOT / "cpp" / "tests", "-B", build, f"-Dpydarts_DIR={cmakedir}")
    run("cmake", "--build", build, "-j", os.cpu_count() or 1)
    return build


@pytest.mark.slow
def test_the_test_programs_pass(programs: Path) -> None:
    run("ctest", "--output-on-failure", cwd=programs)


@pytest.mark.slow
def test_genotypes_are_those_of_python(programs: Path) -> None:
    random = np.random.default_rng(0)
    alphas = random.normal(size=(300, 2, 14, 8)) * random.choice([1e-3, 1, 30], size=(300, 1, 1, 1))
    alphas[::2] = alphas[::2].round(1)  # ties of operations
    one_row = np.broadcast_to(alphas[::3, :, :1], alphas[::3].shape)
    alphas[::3] = random.permuted(one_row, axis=3)  # ties of edges
    alphas = alphas.astype(np.float32)
    numbers = " ".join(map(repr, alphas.ravel().tolist()))
    expected = [Genotype.derive({"normal": a[0], "reduce": a[1]}).to_json() for a in alphas]
    given = run(programs / "derive_genotypes", text=numbers)
    assert given == "".join(genotype + "\n" for genotype in expected)


def segment(step: int) -> tuple[np.ndarray, np.ndarray]:
    """The tokens of `Text` in cpp/tests/test_capi_recurrent.cpp."""
    i = np.arange(6 * 3, dtype=np.int32).reshape(6, 3)
    return (7 * i + step) % 9, (5 * i + 2 * step + 1) % 9


@pytest.mark.slow
def test_recurrent_numbers_are_those_of_python(programs: Path, tmp_path: Path) -> None:
    lines = iter(run(programs / "test_capi_recurrent", tmp_path, "print").splitlines())

    def same(name: str, expected: np.ndarray) -> None:
        given, *numbers = next(lines).split()
        assert given == name
        values = np.array([float.fromhex(number) for number in numbers], np.float32)
        flat = np.ascontiguousarray(expected, np.float32).ravel()
        assert np.array_equal(values.view(np.uint32), flat.view(np.uint32)), name

    dropouts = dict.fromkeys(
        ("dropout", "dropout_hidden", "dropout_input", "dropout_embedding"), 0.3
    )
    (x, y), (x_valid, y_valid) = segment(0), segment(1)
    for order in (1, 2):
        net = pydarts.RecurrentSupernet(9, 20, seed=5, threads=1, **dropouts)
        zero = np.zeros((3, 20), np.float32)
        _, gradients = net.loss_and_grads(x, y, ar=0.5, tar=0.25)
        same("d_weights", np.concatenate([g.ravel() for g in gradients["weights"].values()]))
        same("d_alphas", gradients["alphas"]["recurrent"])
        hidden = (net.last_hidden, zero)
        step = BilevelStep(net, order=order)
        for _ in range(3):
            info = step(train=(x, y), valid=(x_valid, y_valid), lr=0.5, hidden=hidden)
            hidden = (info.hidden, info.valid_hidden)
        state = step.state()
        for name in ("weights", "alphas", "running"):
            same("values", state[name])
        for after in hidden:
            same("hidden", after)
        gradient = arch_gradient(
            net,
            train=(x, y),
            valid=(x_valid, y_valid),
            hidden=hidden,
            order=order,
            eta=0.5,
            momentum_buffer=step.momentum_buffer,
        )
        same("gradient", gradient["recurrent"])
        text = net.space.derive(net.alphas).to_json()
        assert [next(lines) for _ in text.splitlines()] == text.splitlines()

    cell = [("relu", 0), ("tanh", 1), ("sigmoid", 0), ("identity", 2)]
    genotype = pydarts.RecurrentGenotype(cell, [1, 2, 4])
    derived = pydarts.RecurrentNetwork(genotype, 9, 20, seed=5, threads=3, **dropouts)
    sgd = SGD(derived, momentum=0.0, weight_decay=5e-7, max_grad_norm=0.25, tar=1e-3)
    after = None
    for _ in range(3):
        after = sgd(x, y, 0.5, hidden=after).hidden
    same("weights", derived.state()["weights"])
    probabilities, _ = derived.next_probabilities([3])
    same("probabilities", probabilities)

    model = pydarts.LanguageModel.load(tmp_path / "model")
    assert model.genotype == genotype and model.vocabulary.tokens[5] == "é"
    theirs = model.network.state_dict()
    for name, value in derived.state_dict().items():
        assert np.array_equal(theirs[name], value), name
    model.save(tmp_path / "again")
    other = run(programs / "test_capi_recurrent", tmp_path / "again", "load")
    values = np.array([float.fromhex(number) for number in other.split()], np.float32)
    assert np.array_equal(values, np.ravel(probabilities))


def three_kept() -> Space:
    """Return a space whose edges differ, with cells that keep three edges of a node, or all."""
    operations = {op.name: op for op in DARTS.operations}
    rows = [
        tuple(operations[name] for name in names)
        for names in (
            ("none", "skip_connect"),
            ("sep_conv_3x3", "none", "avg_pool_3x3"),
            ("dil_conv_5x5",),
            ("none", "max_pool_3x3", "skip_connect"),
            ("sep_conv_5x5", "skip_connect"),
            ("avg_pool_3x3", "dil_conv_3x3", "none"),
            ("skip_connect", "sep_conv_3x3"),
            ("none", "sep_conv_5x5"),
            ("max_pool_3x3", "skip_connect", "none"),
            ("sep_conv_3x3", "none"),
        )
    ]
    one = Cell("one", 4, 1, kept_edges=3, edges=rows)
    other = Cell(
        "other",
        3,
        1,
        preprocessed=True,
        output="last",
        kept_edges=None,
        keeps_none=True,
        edges=rows[:6],
    )
    layers = Layer("one", repeat="cells"), Layer("other", stride=2, channels=3), Layer("one")
    return Space(
        "mixed", tuple(operations.values()), (one, other), Stack(layers, 2, norm_relu=True)
    )


def random_profile(space: Space, shape: NetworkShape, rng: np.random.Generator) -> Profile:
    """Return a profile of invented seconds, with factors of some operations."""

    def timing() -> Timing:
        return Timing(*sorted(rng.uniform(-1e-6, 5e-5, 3).tolist()))

    rows = [row for kind in places(space, shape).values() for row in kind]
    every = dict.fromkeys(place for row in rows for where in row for place in where)
    factors: dict[Any, float] = {None: 1.25}
    for cell in space.cells:
        factors[(cell.name, cell.candidates[-1][-1].name, 1)] = float(rng.uniform(0.5, 2))
    timings = {place: timing() for place in every}
    fixed, stem, about = Timing(3e-4, 2e-4, 5e-4), timing(), {"cpu": "none", "cores": 3}
    return Profile(space, shape, 2, 3, timings, fixed, stem, factors, 7, 0.125, about)


def plain_latency(profile: Profile, genotype: Genotype) -> float:
    """Return what a profile predicts."""
    where = places(profile.space, profile.shape)
    found = profile.factors[None] * profile.fixed.median
    for cell, edge, column in plain_costs.computed_entries(genotype):
        for place in where[cell][edge][column]:
            factor = profile.factors.get((cell, place.operation, place.stride), 1.0)
            found += factor * max(0.0, profile.timings[place].median)
    return found


def random_alphas(space: Space, edges: bool, rng: np.random.Generator) -> dict[str, Any]:
    found = {c.name: rng.normal(size=(len(c.edges_of()), c.columns)) for c in space.cells}
    if edges:
        for c in space.cells:
            found[c.edge_group] = rng.normal(size=(c.nodes, c.inputs + c.nodes - 1))
    return {name: a.astype(np.float32) for name, a in found.items()}


def flat(space: Space, tables: dict[str, Any], edges: bool = False) -> np.ndarray:
    """Return arrays by kind of cell in the order of a supernet's alphas."""
    names = [c.name for c in space.cells] + [c.edge_group for c in space.cells] * edges
    return np.concatenate([np.ravel(tables[name]) for name in names])


def in_order(profile: dict[str, Any]) -> dict[str, Any]:
    """Return a profile's JSON with its lists sorted."""
    found = json.loads(json.dumps(profile))
    lists = {name: sorted(found[name], key=str) for name in ("operations", "factors")}
    return {**found, **lists}


@pytest.mark.slow
def test_costs_of_c_are_those_of_python(programs: Path) -> None:
    rng = np.random.default_rng(0)
    cases, checks = [], []
    for space, shape in (
        (DARTS, NetworkShape((28, 28), 8, 5, 10, 1)),
        (DARTS, NetworkShape((65, 64), 4, 4, 5, 3, "imagenet")),
        (S2, NetworkShape((9, 10), 5, 8, 3, 2)),
        (NAS_BENCH_201, NetworkShape((12, 8), 3, 2, 4, 2)),
        (DARTS_1D, NetworkShape((1, 101), 4, 3, 10, 3)),
        (three_kept(), NetworkShape((11, 8), 3, 2, 4, 2)),
    ):
        genotypes = [Genotype.random(seed, space=space) for seed in range(20)]
        profile = random_profile(space, shape, rng)
        alphas = [(random_alphas(space, edges, rng), edges) for edges in (False, True, False)]
        budget = Budget(space, shape, {}, profile)
        names = ("latency", "macs", "weights")
        ranges = [(least_cost(space, t), largest_cost(space, t)) for t in map(budget.table, names)]
        limits = [[0.0] * 4]
        for k, (least, most) in enumerate(ranges):
            for part in (-0.1, 0.05, 0.3, 0.6, 1.1):
                limits.append([0.0] * 4)
                limits[-1][k] = least + part * (most - least)
        parts = (0.5, 0.4, 0.3)
        limits.append([a + p * (b - a) for p, (a, b) in zip(parts, ranges, strict=True)] + [0.0])
        size = shape.image_size
        sizes = shape.channels, shape.cells, shape.classes, shape.in_channels
        cases.append(
            {
                "space": json.loads(json.dumps(space.reference)),
                "shape": [*size, *sizes, int(shape.stem == "imagenet")],
                "genotypes": [json.loads(g.to_json()) for g in genotypes],
                "profile": profile.to_dict(),
                "alphas": [flat(space, a, edges).tolist() for a, edges in alphas],
                "limits": limits,
                "entries": sum(len(c.edges_of()) * c.columns for c in space.cells),
            }
        )
        checks.append((space, shape, genotypes, profile, alphas, ranges, limits))
    results = json.loads(run(programs / "print_costs", text=json.dumps(cases)))
    met = 0
    for (space, shape, genotypes, profile, alphas, ranges, limits), found in zip(
        checks, results, strict=True
    ):
        assert in_order(found["profile"]) == in_order(profile.to_dict())
        assert Profile.from_dict(found["profile"]).timings == profile.timings
        budget = Budget(space, shape, {}, profile)
        for genotype, (macs, weights, memory, latency) in zip(
            genotypes, found["predicted"], strict=True
        ):
            counted = plain_costs.Count(genotype, shape)
            assert (macs, weights, memory) == (counted.macs, counted.weights, counted.memory)
            assert latency == pytest.approx(plain_latency(profile, genotype), rel=1e-12)
        for name, (least, most), table in zip(
            ("latency", "macs", "weights"), ranges, found["tables"], strict=True
        ):
            expected = budget.table(name)
            assert table["fixed"] == expected.fixed
            assert table["entries"] == pytest.approx(flat(space, expected.tables), rel=1e-12)
            assert (table["least"], table["most"]) == pytest.approx((least, most), rel=1e-12)
            if name != "latency":
                assert np.array_equal(table["entries"], flat(space, expected.tables))
        values, chosen = iter(found["expected"]), iter(found["chosen"])
        for a, edges in alphas:
            logs = log_weights(a, space, "softmax")
            for temperature in (1.0, 0.1):
                for name in ("latency", "macs"):
                    value, down = expected_cost(logs, space, budget.table(name), temperature)
                    gradient = flat(space, alpha_gradient(a, space, "softmax", down), edges)
                    *ours, total = next(values)
                    assert total == pytest.approx(value, rel=1e-12)
                    assert ours == pytest.approx(gradient, rel=1e-9, abs=1e-12 * value)
            for most in limits:
                given = {
                    name: x
                    for name, x in zip(("latency", "macs", "weights"), most[:3], strict=True)
                    if x
                }
                limited = Budget(space, shape, given, profile)
                answer = next(chosen)
                if isinstance(answer, str):
                    with pytest.raises(ArgumentError):
                        limited.check()
                    assert answer.startswith("`limits"), answer
                    continue
                met += 1
                assert Genotype.from_json(json.dumps(answer)) == limited.choose(logs)
        assert next(chosen, None) is None and next(values, None) is None
    assert met > 150


def check_written(programs: Path, model: pydarts.Model, folder: Path) -> None:
    """Hold a model's C file, and what the network costs, against the C API's."""
    model.save(folder / "model")
    file = model.to_c(folder / "python.c")
    told = run(programs / "write_c", folder / "model", folder / "c.c").split()
    *sizes, macs, weights, memory = map(int, told)
    assert sizes == [file.constants, file.arena, file.macs]
    c, net = model.config, model.network
    shape = (c.channels, c.cells, model.objective.outputs, net.in_channels, c.stem)
    counts = plain_costs.Count(model.genotype, NetworkShape(model.image_size, *shape))
    assert (counts.macs, counts.weights, counts.memory) == (macs, weights, memory)
    (top, ours), (python_top, python) = (
        (folder / name).read_text().split("*/", 1) for name in ("c.c", "python.c")
    )
    assert ours == python
    assert [line for line in python_top.splitlines() if "bytes of" in line] == [
        line for line in top.splitlines() if "bytes of" in line
    ]


@pytest.mark.slow
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(drawn=derived())
def test_c_files_are_those_of_python(
    drawn: Drawn, programs: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assume(drawn.genotype is not None)
    try:
        model = drawn_model(drawn)
    except ValueError:  # a space that is refused
        assume(False)
        return
    check_written(programs, model, tmp_path_factory.mktemp("drawn"))


@pytest.mark.slow
def test_c_files_of_operations_that_end_in_a_relu_are_those_of_python(
    programs: Path, tmp_path: Path
) -> None:
    late = {"name": "late", "stages": ["pointwise", "batch_norm", "relu"]}
    first = {"name": "first", "stages": ["relu", {"max_pool": 3}]}
    space = {
        "format": "pydarts-space",
        "version": 1,
        "name": "late",
        "operations": [late, first],
        "cells": [{"name": "only", "nodes": 2, "output": "last"}],
        "stack": {"layers": [{"cell": "only", "repeat": "cells"}]},
    }
    cell = [("late", 0), ("late", 1), ("first", 0), ("late", 2)]
    drawn = Drawn(space, 3, 2, 2, "cifar", 6, 5, 2, 1, {"only": cell})
    check_written(programs, drawn_model(drawn), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("space", [DARTS, NAS_BENCH_201])
def test_c_files_of_numbers_are_those_of_python(
    programs: Path, space: Space, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 8, 12)).astype(np.float32), rng.normal(3, 20, (40, 3))
    genotype, sizes = (
        Genotype.random(1, space=space),
        {"channels": 4, "cells": 3, "epochs": 1, "batch_size": 8},
    )
    model = pydarts.train(genotype, X, y, task="regression", threads=1, progress=False, **sizes)
    check_written(programs, model, tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("pkg-config"), reason="pkg-config is missing")
def test_pkg_config_finds_it(
    cmakedir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (found,) = cmakedir.parents[2].glob("lib*/**/pydarts.pc")
    monkeypatch.setenv("PKG_CONFIG_PATH", str(found.parent))
    assert run("pkg-config", "--modversion", "pydarts").strip() == pydarts.__version__
    source = tmp_path / "program.cpp"
    source.write_text(
        "#include <pydarts/operation.hpp>\n"
        "int main() { return int(pydarts::MixedOperation<float>().num_weights()); }\n"
    )
    flags = run("pkg-config", "--cflags", "--libs", "pydarts").split()
    run(COMPILER, source, *flags, "-o", tmp_path / "program")
    run(tmp_path / "program")


def test_the_header_says_the_version() -> None:
    header = (ROOT / "cpp" / "include" / "pydarts.h").read_text(encoding="utf-8")
    numbers = re.findall(r"#define PYDARTS_VERSION_[A-Z]+ (\d+)", header)
    assert ".".join(numbers) == pydarts.__version__
