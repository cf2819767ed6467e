# SPDX-License-Identifier: MIT
"""Search spaces as values: their parts, JSON, bad input, and genotypes of any space."""

from __future__ import annotations

import copy
import json
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pydarts
from pydarts.common.errors import ArgumentError
from pydarts.drawing.cells import genotype_svg
from pydarts.spaces import (
    DARTS,
    DARTS_1D,
    NAS_BENCH_201,
    RECURRENT,
    S2,
    S3,
    S4,
    Cell,
    Layer,
    Operation,
    Space,
    Stack,
    Stage,
    as_space,
    avg_pool,
    batch_norm,
    conv,
    depthwise,
    max_pool,
    noise,
    none,
    pointwise,
    relu,
)
from pydarts.spaces.darts import Genotype
from pydarts.spaces.layers import check_size
from pydarts.spaces.published import parse_genotype

CONVOLUTIONAL = (DARTS, NAS_BENCH_201, S2, S3, S4, DARTS_1D)
CONV = Operation("conv_1x1", [relu, pointwise, batch_norm])
SKIP = Operation("skip_connect")
NONE = Operation("none", [none])
BEST = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|"
    "+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
)


def small(**changes: Any) -> Space:
    """Return a space of one kind of cell, with some arguments replaced."""
    given: dict[str, Any] = {
        "name": "small",
        "operations": [SKIP, CONV],
        "cells": [Cell("only", nodes=2, inputs=1, output="last", kept_edges=1)],
        "stack": Stack([Layer("only", repeat="cells")]),
    }
    return Space(**{**given, **changes})


def by_edge() -> Space:
    """Return a space whose operations differ by edge and kind of cell, some edges having one."""
    first = Cell(
        "first", nodes=2, inputs=1, kept_edges=1, edges=[[SKIP, CONV], [CONV], [NONE, CONV]]
    )
    second = Cell("second", nodes=1, inputs=1, kept_edges=1, edges=[[CONV]])
    layers = [Layer("first", repeat="cells"), Layer("second", stride=2, channels=2)]
    return small(cells=[first, second], stack=Stack(layers))


@pytest.mark.parametrize("space", [*CONVOLUTIONAL, small(), by_edge()], ids=lambda s: s.name)
def test_json_round_trip(space: Space) -> None:
    assert Space.from_json(space.to_json()) == space
    assert pickle.loads(pickle.dumps(space)) == space == copy.deepcopy(space)
    assert hash(space) == hash(Space.from_json(space.to_json()))


@pytest.mark.parametrize("space", CONVOLUTIONAL, ids=lambda s: s.name)
def test_what_is_printed_makes_the_same_value(space: Space) -> None:
    names: dict[str, Any] = {
        **{"Space": Space, "Cell": Cell, "Stack": Stack, "Layer": Layer, "Operation": Operation},
        **{"relu": relu, "pointwise": pointwise, "batch_norm": batch_norm, "none": none},
        **{"conv": conv, "depthwise": depthwise, "max_pool": max_pool, "avg_pool": avg_pool},
        **{"noise": noise, "search_batch_norm": DARTS.operations[1].stages[1]},
    }
    assert eval(repr(space), names) == space


def test_ready_spaces_are_as_published() -> None:
    assert [len(cell.candidates) for cell in DARTS.cells] == [14, 14]
    assert DARTS.cells[0].operations[4:] == (
        "sep_conv_3x3",
        "sep_conv_5x5",
        "dil_conv_3x3",
        "dil_conv_5x5",
    )
    assert NAS_BENCH_201.cells[0].operations == (
        "none",
        "skip_connect",
        "nor_conv_1x1",
        "nor_conv_3x3",
        "avg_pool_3x3",
    )
    assert [S2.cells[0].columns, S3.cells[1].columns, S4.cells[0].columns] == [2, 3, 2]
    assert all(op.stages[0].kernel == (1, 3) for op in DARTS_1D.operations[1:3])
    with pytest.raises(AttributeError):
        DARTS.name = "other"  # type: ignore[misc]


def test_ten_lines_make_a_space() -> None:
    wide = Operation("sep_conv_7x7", [relu, depthwise(7), pointwise, batch_norm])
    space = DARTS.replace(
        name="wide", operations=[*DARTS.operations, CONV, wide], extra_operations=[]
    )
    assert space.cells[0].columns == 10 and DARTS.cells[0].columns == 8
    assert space.cells[1].operations[-2:] == ("conv_1x1", "sep_conv_7x7")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: depthwise(9), r"`kernel` \(=9x9\) has more than 64 taps"),
        (lambda: conv((1, 64)), "`kernel`"),
        (lambda: conv(0), r"`kernel` \(=0\) must be at least 1"),
        (lambda: conv((1, 31), 5), "reaches over more than 127"),
        (lambda: conv(3, strides="depth"), "`strides`"),
        (lambda: max_pool((1, 2, 3)), "`kernel`"),
        (lambda: Operation("a b"), r"`name` \(='a b'\)"),
        (lambda: Operation("a", relu), "`stages`"),
        (lambda: Operation("a", ["relu"]), "'relu', no Stage"),
        (lambda: Operation("a", [relu, none]), "none must stand alone"),
        (lambda: Operation("a", [noise, relu]), "noise must stand alone"),
        (lambda: Cell("residual_block"), "block between stages"),
        (lambda: Cell("a", nodes=9), r"`nodes` \(=9\)"),
        (lambda: Cell("a", inputs=3), r"`inputs` \(=3\)"),
        (lambda: Cell("a", output="sum"), r"`output` \(='sum'\)"),
        (lambda: Cell("a", nodes=1, edges=[[CONV]]), "has 1 entries; there are 2"),
        (lambda: Layer("a", until="2/1"), "must not be more than 1"),
        (lambda: Layer("a", until="third"), "fraction such as"),
        (lambda: Layer("a", until="1/2", repeat=2), "excludes `repeat`"),
        (lambda: Layer("a", stride=3), r"`stride` \(=3\)"),
        (lambda: Stack([]), "`layers`"),
        (lambda: Stack([Layer("a")]), "`cells` would mean nothing"),
        (lambda: Stack([Layer("a", until="1/2"), Layer("a", repeat="cells")]), "mix `until`"),
        (lambda: Stack([Layer("a", until="1/2"), Layer("a", until="1/3")]), "that fall"),
        (lambda: small(name="darts"), "is that of a ready space"),
        (lambda: small(operations=[]), "`operations` are 0"),
        (lambda: small(operations=[CONV, CONV]), "'conv_1x1' twice"),
        (lambda: small(operations=[NONE]), "must hold more than none"),
        (lambda: small(operations=[*DARTS.operations, *DARTS_1D.operations, CONV]), "1 to 16"),
        (lambda: small(cells=[]), "`cells`"),
        (lambda: small(stack=Stack([Layer("b", repeat="cells")])), "a layer of the cell 'b'"),
        (lambda: small(cells=[Cell("only"), Cell("more")]), "no layer of the cell 'more'"),
        (lambda: small(dimensions=1, operations=[DARTS.operations[4]]), r"kernels \(1, k\)"),
        (lambda: small(operations=[Operation("a", [Stage("tanh")])]), "'a' has tanh, a stage of"),
        (lambda: small(extra_operations=[Operation("conv_1x1", [relu])]), "two different ones"),
        (lambda: small(conv_bias="no"), r"`conv_bias` \(='no'\) must be True or False"),
        (lambda: small(cells=[Cell("main-1")]), "the name 'main-1', which a genotype cannot have"),
        (lambda: small(cells=[Cell("1st")]), "the name '1st'"),
        (lambda: small(cells=[Cell("class")]), "the name 'class'"),
        (lambda: small(cells=[Cell("nodes")]), "the name 'nodes'"),
        (lambda: small(cells=[Cell("space")]), "the name 'space'"),
        (lambda: small(cells=[Cell("kind")]), "the name 'kind'"),
        (lambda: small(cells=[Cell("a"), Cell("a_concat")]), "the name 'a_concat'"),
        (lambda: as_space("nas-bench-102"), "neither a ready space .*nas-bench-201"),
        (lambda: as_space("s" * 300), "`space` .* neither a ready space"),
        (lambda: as_space(RECURRENT), "`search_text` takes it"),
        (lambda: as_space(3), "must be a name, a file or a Space"),  # type: ignore[arg-type]
    ],
)
def test_bad_values_are_named(make: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "format and version"),
        ({"name": 3}, r"`name` \(=3\)"),
        ({"more": 1}, "unknown member 'more'"),
        ({"operations": "sep"}, "must be a list"),
        ({"operations": ["sep_conv_9x9"]}, "'sep_conv_9x9', which is no ready one"),
        ({"operations": [{"name": "a"}]}, "'a' has no stages"),
        ({"operations": [{"name": "a", "stages": [{"conv": 3, "pad": 1}]}]}, "'a': `stages`"),
        ({"operations": [{"name": "a", "stages": ["softmax"]}]}, "'a': `kind`"),
        ({"operations": [{"name": "a", "stages": [{"conv": "3"}]}]}, "'a': `kernel`"),
        ({"cells": [{"nodes": 2}]}, "no member 'name'"),
        ({"cells": [{"name": "only", "kept_edges": "some"}]}, "`kept_edges`"),
        ({"cells": [{"name": "only", "keeps_none": 1}]}, "true or false"),
        ({"stack": {"layers": [{"cell": "only", "times": 2}]}}, "`stack`.*unknown member 'times'"),
        ({"cells": [{"name": "only", "title": ["x"]}]}, "`title`"),
        ({"cells": [{"name": "only", "merged_inputs": None}]}, "unknown member 'merged_inputs'"),
        ({"conv_bias": "false"}, "`conv_bias`"),
        ({"stack": {"layers": 3}}, "no list of layers"),
        ({"stack": {"layers": [], "norm_relu": 5}}, "`stack`"),
        ({"stack": {**small().to_dict()["stack"], "norm_relu": 5}}, "`stack`.*`norm_relu`"),
        ({"base": "resnet"}, "has the base 'resnet'"),
    ],
)
def test_bad_json_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Space.from_json(json.dumps({**small().to_dict(), **change}))


def test_a_file_may_name_operations_and_a_base(tmp_path: Path) -> None:
    content = {
        "format": "pydarts-space",
        "version": 1,
        "name": "mine",
        "base": "darts",
        "operations": ["none", "sep_conv_3x3", {"name": "pool", "stages": [{"avg_pool": 5}]}],
    }
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    space = as_space(path)
    assert space.cells[1].operations == ("none", "sep_conv_3x3", "pool")
    assert space.stack == DARTS.stack
    path.write_text("{", encoding="utf-8")
    with pytest.raises(ArgumentError, match=r"`space` .*mine\.json: `text` is no JSON"):
        as_space(str(path))


# Genotypes


def test_a_cell_of_nas_bench_201_is_written_edge_by_edge() -> None:
    cell = Genotype.parse(BEST)
    assert cell.space == NAS_BENCH_201 and str(cell) == BEST
    assert cell.normal[3] == ("skip_connect", 0)
    assert json.loads(cell.to_json())["space"] == "nas-bench-201"
    assert Genotype.from_json(cell.to_json()) == cell == parse_genotype(f"best: {BEST}\n")
    assert cell.outputs("normal") == (3,) and cell.nodes("normal") == 3
    printed = f"[2020-01-01] (epoch 3) Structure(4 nodes with {BEST})"  # as the original's logs do
    assert Genotype.parse(printed) == cell
    with pytest.raises(ValueError, match="must have the inputs 0, 1 in this order"):
        Genotype.parse("|none~0|+|none~1|none~0|+|none~0|none~1|none~2|")
    with pytest.raises(ValueError, match="several genotypes"):
        Genotype.parse(f"{BEST} {BEST}")
    with pytest.raises(ValueError, match="unknown operation; known are none, skip_connect"):
        Genotype.parse(BEST.replace("skip_connect", "pool"))
    with pytest.raises(ValueError, match="no genotype of the space 'darts'"):
        Genotype.parse(BEST, space=DARTS)


def two_inputs() -> Space:
    """Cells that are written edge by edge, with two inputs."""
    cell = Cell("only", 3, output="last", kept_edges=None)
    return small(name="two-inputs", cells=[cell])


@pytest.mark.parametrize(
    "space", [*CONVOLUTIONAL, small(), by_edge(), two_inputs()], ids=lambda s: s.name
)
def test_genotypes_round_trip(space: Space) -> None:
    for seed in range(5):
        cell = Genotype.random(seed, space=space)
        assert cell.space == space
        assert Genotype.parse(str(cell), space=space) == cell
        assert Genotype.from_json(cell.to_json()) == cell
        assert pickle.loads(pickle.dumps(cell)) == cell == copy.deepcopy(cell)
        assert len({cell, copy.deepcopy(cell)}) == 1
        assert genotype_svg(cell).startswith("<svg")
        assert cell.describe()[0].startswith(space.cells[0].name)
    assert Genotype.random(0, space=space) != Genotype.random(1, space=space)


def test_a_text_may_name_a_ready_space() -> None:
    cell = Genotype.random(0, space=S3)
    assert "space='s3'" in str(cell) and Genotype.parse(str(cell)) == cell
    with pytest.raises(ValueError, match="is of the space 's3', not 's2'"):
        Genotype.parse(str(cell), space=S2)
    with pytest.raises(ValueError, match="'small', which is no ready one: pass it as `space`"):
        Genotype.parse(str(Genotype.random(0, space=small(parameter_names="darts"))))


def test_derivation_keeps_all_edges_and_none() -> None:
    alpha = np.zeros((6, 5))
    alpha[range(6), [3, 0, 1, 4, 2, 0]] = 1
    cell = Genotype.derive({"normal": alpha}, space=NAS_BENCH_201)
    assert [op for op, _ in cell.normal] == [
        "nor_conv_3x3",
        "none",
        "skip_connect",
        "avg_pool_3x3",
        "nor_conv_1x1",
        "none",
    ]
    assert [source for _, source in cell.normal] == [0, 0, 1, 0, 1, 2]


def test_derivation_where_edges_differ() -> None:
    space = by_edge()
    first = np.array([[0.0, 1.0], [0.0, 9.0], [5.0, 4.0]])  # the second column of row 1 is nothing
    cell = Genotype.derive({"first": first, "second": np.array([[0.0]])}, space=space)
    # Node 2 keeps the edge from 0, whose only operation has all the weight.
    assert cell.first == (("conv_1x1", 0), ("conv_1x1", 0))
    weights = space.cell("first").mixing_weights(first)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert weights[1].tolist() == [1.0, 0.0]
    with pytest.raises(ValueError, match="'first' 3 edges"):
        Genotype.derive({"first": np.zeros((6, 2)), "second": [[0.0]]}, space=space)
    with pytest.raises(ValueError, match=r"`first\[1\]\[0\]` \(='skip_connect'\)"):
        Genotype(
            space=space,
            first=[("conv_1x1", 0), ("skip_connect", 0)],
            first_concat=[1],
            second=[("conv_1x1", 0)],
            second_concat=[1],
        )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"normal": [("nor_conv_3x3", 0)] * 5}, "an entry for every edge, but has 5"),
        ({"normal": [("nor_conv_3x3", 0)] * 6}, "must be 1: all edges are kept, in their order"),
        ({"normal": [], "normal_concat": [1]}, "has the fields normal"),
        ({}, "has the fields normal"),
    ],
)
def test_bad_fields_of_a_space(fields: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        Genotype(space=NAS_BENCH_201, **fields)


def test_skips_are_identities_of_the_first_cell() -> None:
    assert NAS_BENCH_201.count_skips(Genotype.parse(BEST)) == 1
    assert S4.count_skips(Genotype.random(0, space=S4)) == 0


@pytest.mark.slow
def test_the_guide() -> None:
    pytest.importorskip("sklearn")
    page = (Path(__file__).parents[1] / "docs" / "own-space.md").read_text(encoding="utf-8")
    _, ten_lines, stacks, signals, _ = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    ten_lines = ten_lines.replace("epochs=3", "epochs=1, progress=False")
    exec(ten_lines.replace("epochs=10", "epochs=4, progress=False"), names)
    assert names["result"].genotype.space == names["space"]
    assert names["model"].score(names["data"].X_test, names["data"].y_test) > 0.5
    exec(stacks, names)
    assert len(names["space"].stack.layers) == 3
    exec(signals.partition("\nmade = ")[0], names)
    assert names["sensors"].cells[0].columns == 9
    (content,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert Space.from_json(content).cells[1].columns == 5


@pytest.mark.parametrize("size", [(14, 14), (8, 6), (6, 8)])
def test_residual_blocks_take_even_sides_alone(size: tuple[int, int]) -> None:
    images, labels = np.zeros((40, *size), np.uint8), np.arange(40) % 2
    shape = "x".join(map(str, size))
    problem = (
        rf"`X` is of {shape} pixels, which the residual blocks of 'nas-bench-201' halve: sides"
        " must be multiples of 4"
    )
    with pytest.raises(ValueError, match=problem):
        pydarts.search(images, labels, space=NAS_BENCH_201, epochs=1, progress=False)
    with pytest.raises(ValueError, match=problem):
        pydarts.train(Genotype.parse(BEST), images, labels, epochs=1, progress=False)


def test_sides_are_halved_by_the_stem_too() -> None:
    check_size(NAS_BENCH_201, 1, "imagenet", (64, 32))
    with pytest.raises(ValueError, match="must be multiples of 32"):
        check_size(NAS_BENCH_201, 1, "imagenet", (64, 48))
    check_size(DARTS, 3, "cifar", (7, 5))  # cells halve odd sides as well


def test_a_kind_of_cell_that_is_unknown_is_named() -> None:
    with pytest.raises(ValueError, match=r"`name` \(='normale'\) must be 'normal' or 'reduce'"):
        DARTS.cell("normale")
