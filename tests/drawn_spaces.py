# SPDX-License-Identifier: MIT
"""Hypothesis strategies for search spaces, sizes of their networks, and cells out of them."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import strategies as st
from plain_spaces import Description, PlainNetwork

Draw = st.DrawFn


class Drawn(NamedTuple):
    """A space, and a network and a batch for it."""

    space: Description
    channels: int
    cells: int
    in_channels: int
    stem: str
    height: int
    width: int
    batch: int
    seed: int
    genotype: dict[str, Any] | None = None

    @property
    def sizes(self) -> dict[str, Any]:
        """The arguments of both networks, beside the space."""
        return {
            "channels": self.channels,
            "cells": self.cells,
            "classes": 3,
            "in_channels": self.in_channels,
            "stem": self.stem,
        }

    def plain(self) -> PlainNetwork:
        """Return the plain network."""
        return PlainNetwork(self.space, **self.sizes, genotype=self.genotype)


class _Style(NamedTuple):
    """What the stages of one space have in common, so that not every space is refused."""

    dimensions: int
    odd: bool
    same_window: tuple[int, int] | None
    strided: bool


READY = {
    1: ["max_pool_3", "avg_pool_3", "sep_conv_3", "dil_conv_3", "dil_conv_5"],
    2: ["max_pool_3x3", "avg_pool_3x3", "sep_conv_3x3", "dil_conv_3x3", "conv_7x1_1x7"],
}


@st.composite
def _window(draw: Draw, style: _Style) -> list[int] | int:
    sides = st.sampled_from([1, 3, 5, 7] if style.odd else [1, 2, 3, 4, 5, 6, 7])
    width = draw(sides)
    if style.dimensions == 1:
        return [1, width]
    # An integer is a square.
    return draw(st.one_of(st.just(width), sides.map(lambda height: [height, width])))


@st.composite
def _with_window(draw: Draw, style: _Style) -> str | Description:
    kinds = ["depthwise", "depthwise", "conv", "max_pool", "avg_pool", "pointwise"]
    kind = draw(st.sampled_from(kinds))
    if kind == "pointwise":
        return kind
    stage: dict[str, Any] = {kind: draw(_window(style))}
    if kind in ("depthwise", "conv") and draw(st.booleans()):
        stage["dilation"] = draw(st.integers(1, 3))
    return stage


@st.composite
def _chain(draw: Draw, style: _Style, conv_bias: bool) -> list[str | Description]:
    if style.same_window is not None:
        # All change the size alike: one window, whatever else there is.
        size = [*style.same_window]
        own: list[Any] = [{"depthwise": size}, {"conv": size}, {"max_pool": size}]
        window = draw(st.sampled_from([*own, {"avg_pool": size}]))
        first = draw(st.sampled_from([[], ["relu"]]))
        last = draw(st.sampled_from([[], ["batch_norm"], ["relu"], ["batch_norm", "relu"]]))
        return [*first, window, *last]
    windows = _with_window(style)
    kind = draw(st.sampled_from(["pool", "conv", "separable", "split", "any"]))
    if kind == "pool":
        pool = draw(windows.filter(lambda s: isinstance(s, dict) and "_pool" in next(iter(s))))
        return [pool, *draw(st.sampled_from([[], ["search_batch_norm"], ["batch_norm"]]))]
    if kind == "conv":
        conv = draw(windows.filter(lambda s: s == "pointwise" or "conv" in s))
        norm = draw(st.sampled_from([[], ["batch_norm"], ["batch_norm", "relu"]]))
        return ["relu", conv, *norm]
    if kind == "separable":
        twice = draw(st.integers(1, 2))
        depthwise = windows.filter(lambda s: isinstance(s, dict) and "depthwise" in s)
        return [
            stage
            for _ in range(twice)
            for stage in ("relu", draw(depthwise), "pointwise", "batch_norm")
        ]
    if kind == "split" and style.dimensions == 2:
        k = draw(st.sampled_from([3, 5, 7]))
        return [
            "relu",
            {"conv": [1, k], "strides": "width"},
            {"conv": [k, 1], "strides": "height"},
            "batch_norm",
        ]
    words = ["relu", "batch_norm", *([] if conv_bias else ["search_batch_norm"])]
    stages = draw(st.lists(st.one_of(st.sampled_from(words), windows), min_size=1, max_size=5))
    strideless = all(isinstance(stage, str) and stage != "pointwise" for stage in stages)
    if style.strided and strideless and draw(st.integers(0, 9)):
        stages.append(draw(windows))
    return stages


@st.composite
def _operations(draw: Draw, style: _Style, conv_bias: bool) -> list[str | Description]:
    """Return a pool of operations of different names."""
    pool: list[str | Description] = []
    for number in range(draw(st.sampled_from([5, 4, 3, 3, 2, 1]))):
        kind = draw(st.sampled_from(["chain"] * 6 + ["ready", "identity", "none", "noise"]))
        if kind == "ready" and style.odd:
            names = [name for name in READY[style.dimensions] if name not in pool]
            pool.append(draw(st.sampled_from(names)))
        elif kind in ("none", "noise") and kind not in pool:
            pool.append(kind)
        elif kind == "identity" and style.same_window is None:
            pool.append({"name": f"identity_{number}", "stages": []})
        else:
            operation: dict[str, Any] = {"name": f"chain_{number}"}
            operation["stages"] = draw(_chain(style, conv_bias))
            prefix = draw(st.sampled_from([None, None, "", "own", "op"]))
            if prefix is not None:
                operation["prefix"] = prefix
            pool.append(operation)
    return pool


def _enough(operations: list[str | Description]) -> bool:
    """Tell whether noise has company, which may have the whole weight."""
    return "noise" not in operations or len(operations) > 1


@st.composite
def _cell(
    draw: Draw, name: str, style: _Style, conv_bias: bool, pool: list[str | Description]
) -> Description:
    nodes, inputs = draw(st.sampled_from([1, 2, 2, 3, 3, 4])), draw(st.integers(1, 2))
    if style.same_window is not None:
        # A node of two sizes is refused, and so is the cell behind one that shrinks a state.
        nodes, inputs = 1, draw(st.sampled_from([1, 1, 1, 2]))
    cell = {
        "name": name,
        "title": f"Cell {name}",
        "inputs": inputs,
        "preprocessed": inputs == 2 or draw(st.booleans()),
        "nodes": nodes,
        "output": draw(st.sampled_from(["last", "concatenation"])),
        "kept_edges": draw(st.sampled_from(["all", 1, 2, 2, 3])),
        "keeps_none": draw(st.booleans()),
    }
    if draw(st.integers(0, 2)) == 0:
        count = nodes * inputs + nodes * (nodes - 1) // 2
        some = st.lists(
            st.sampled_from(pool), min_size=1, max_size=3, unique_by=lambda op: str(op)
        ).filter(_enough)
        cell["edges"] = [draw(some) for _ in range(count)]
    return cell


@st.composite
def _stack(draw: Draw, style: _Style, names: list[str], norm_relu: bool) -> Description:
    cells = st.sampled_from(names)

    def single() -> Description:
        layer: Description = {"cell": draw(st.sampled_from([*names, "residual_block"]))}
        if style.strided and draw(st.integers(0, 3)):
            layer["stride"] = 2
        if draw(st.booleans()):
            layer["channels"] = 2
        return layer

    layers: list[Description] = []
    if draw(st.booleans()):
        for until in ("1/3", "2/3") if draw(st.booleans()) else ("1/2",):
            layers += [{"cell": draw(cells), "until": until}, single()]
        layers.append({"cell": draw(cells), "until": "1/1"})
    else:
        layers.append({"cell": draw(cells), "repeat": "cells"})
        if draw(st.integers(0, 3)):
            layers += [
                single(),
                {"cell": draw(cells), "repeat": draw(st.sampled_from(["cells", 1]))},
            ]
    return {"stem": draw(st.integers(1, 3)), "layers": layers, "norm_relu": norm_relu}


@st.composite
def spaces(draw: Draw) -> Drawn:
    """Draw a space that may be refused, at most four nodes, five operations and four layers."""
    dimensions = draw(st.integers(1, 2))
    odd = draw(st.integers(0, 3)) > 0
    same: tuple[int, int] | None = None
    if not odd and draw(st.integers(0, 3)):
        height = 1 if dimensions == 1 else draw(st.integers(1, 4))
        same = height, draw(st.sampled_from([2, 4, 6]))
    style = _Style(dimensions, odd, same, draw(st.integers(0, 3)) > 0)
    conv_bias = draw(st.booleans())
    pool = draw(_operations(style, conv_bias))
    if not _enough(pool):
        pool.append({"name": "company", "stages": [] if same is None else [{"conv": [*same]}]})
    names = ["normal", "other"][: draw(st.integers(1, 2))]
    space = {
        "format": "pydarts-space",
        "version": 1,
        "name": "drawn",
        "dimensions": dimensions,
        "operations": pool,
        "extra_operations": [],
        "conv_bias": conv_bias,
        "parameter_names": draw(st.sampled_from(["darts", "nas-bench-201"])),
        "cells": [draw(_cell(name, style, conv_bias, pool)) for name in names],
        "stack": draw(_stack(style, names, draw(st.booleans()))),
    }
    stem = "imagenet" if odd and draw(st.integers(0, 5)) == 0 else "cifar"
    sides = st.integers(12, 16) if stem == "imagenet" else st.integers(6, 13)
    height, width = draw(sides), draw(sides)
    if dimensions == 1:
        height, width = 1, width + draw(st.integers(0, 12))
    return Drawn(
        space,
        channels=draw(st.integers(2, 4)),
        cells=draw(st.integers(1, 3)) if space["stack"]["layers"][0].get("until") else 1,
        in_channels=draw(st.integers(1, 3)),
        stem=stem,
        height=height,
        width=width,
        batch=draw(st.integers(2, 4)),
        seed=draw(st.integers(0, 2**16)),
    )


WRONG: list[Description | str] = [
    {"conv": 9},
    {"depthwise": [1, 65]},
    {"conv": [1, 11], "dilation": 13},
    {"depthwise": [1, 3], "dilation": 17},
    {"depthwise": [1, 3], "dilation": 0},
    {"max_pool": [0, 3]},
    {"max_pool": [1, 3], "dilation": 2},
    {"avg_pool": [1, 3], "strides": "width"},
    {"conv": [1, 3], "strides": "depth"},
    {"depthwise": [1, 3], "conv": [1, 3]},
    {"deconv": 3},
    {},
    "sigmoid",
    "noise",
    "none",
]


@st.composite
def wrong_spaces(draw: Draw) -> tuple[Drawn, str]:
    """Draw a space with a stage that none may have, and the name of its operation."""
    drawn = draw(spaces())
    name = "wrong_one"
    square: list[Description | str] = [{"conv": 3}] if drawn.space["dimensions"] == 1 else []
    stages = draw(st.permutations(["relu", draw(st.sampled_from([*square, *WRONG]))]))
    wrong: Description = {"name": name, "stages": [*stages]}
    where = draw(st.sampled_from(["operations", "extra_operations"]))
    own = [*drawn.space[where], wrong]
    return drawn._replace(space={**drawn.space, where: own}), name


@st.composite
def derived(draw: Draw) -> Drawn:
    """Draw a space and a cell of each kind out of it."""
    drawn = draw(spaces())
    genotype: dict[str, Any] = {}
    for cell in drawn.space["cells"]:
        first, lists = cell["inputs"], cell.get("edges")
        entries: list[tuple[str, int]] = []
        e = 0
        for node in range(first, first + cell["nodes"]):
            inputs = [*range(node)]
            if cell["kept_edges"] != "all":
                inputs = draw(st.permutations(inputs))[: cell["kept_edges"]]
            for j in inputs:
                operations = lists[e + j] if lists else drawn.space["operations"]
                names = [op if isinstance(op, str) else op["name"] for op in operations]
                known = [name for name in names if name != "none" or cell["keeps_none"]]
                if not known:
                    return drawn
                entries.append((draw(st.sampled_from(known)), j))
            e += node
        genotype[cell["name"]] = entries
        if cell["output"] == "concatenation":
            nodes = [*range(first, first + cell["nodes"])]
            kept = draw(st.lists(st.sampled_from(nodes), min_size=1, unique=True))
            genotype[f"{cell['name']}_concat"] = sorted(kept)
    return drawn._replace(genotype=genotype)
