# SPDX-License-Identifier: MIT
"""The network of any described space in float64 NumPy, for reading and not for speed.

A description is what `pydarts.spaces.Space.to_json` writes, as a dictionary. As in `plain`,
everything also takes complex numbers, for exact directional derivatives. One walk through the
network serves three ends: it computes; it tells names and shapes of the parameters; and it refuses,
naming the operation, what cannot be built.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import plain
from plain import Array, Axes

import pydarts

Shape = tuple[int, ...]
Description = dict[str, Any]

WITH_WINDOW = ("pointwise", "depthwise", "conv", "max_pool", "avg_pool")
WORDS = ("relu", "pointwise", "batch_norm", "search_batch_norm", "none", "noise")
#: Beside the size of its window, what a stage may say.
OPTIONS = {
    "depthwise": {"dilation"},
    "conv": {"dilation", "strides"},
    "max_pool": set[str](),
    "avg_pool": set[str](),
}


class Refused(ValueError):
    """What the engine has to refuse as well; `operation` is to be named, if there is one."""

    def __init__(self, why: str, operation: str = "") -> None:
        super().__init__(f"`{operation}`: {why}" if operation else why)
        self.operation = operation


class Unclear(Exception):
    """Numbers that rounding decides, or a size that the description leaves open."""


class Stage(NamedTuple):
    """One stage of a chain; `axis` is that along which it alone takes the stride."""

    kind: str
    size: Axes = (1, 1)
    dilation: int = 1
    axis: str | None = None


class Operation(NamedTuple):
    """A name, a chain of stages, and the attribute under which its parameters are."""

    name: str
    stages: tuple[Stage, ...]
    prefix: str = "op"


class Layer(NamedTuple):
    """One entry of ``cells.{i}``; `channels` are those of its nodes."""

    cell: str
    stride: int
    channels: int


# What a description says


def _ready() -> Description:
    path = Path(pydarts.__file__).parent / "spaces" / "ready.json"
    ready: Description = json.loads(path.read_text("utf-8"))
    return ready


def resolve(space: str | Description) -> Description:
    """Return the whole description of a ready space, or of one that is based on a ready one."""
    if isinstance(space, str):
        space = next(s for s in _ready()["spaces"] if s["name"] == space)
    if "base" not in space:
        return space
    return {**resolve(space["base"]), **{k: v for k, v in space.items() if k != "base"}}


def _stage(stage: str | Description, dimensions: int, operation: str) -> Stage:
    if isinstance(stage, str):
        if stage not in WORDS:
            raise Refused(f"stage {stage!r}", operation)
        return Stage(stage)
    kinds = [kind for kind in OPTIONS if kind in stage]
    if len(kinds) != 1 or not stage.keys() <= {kinds[0], *OPTIONS[kinds[0]]}:
        raise Refused(f"stage {stage}", operation)
    size = stage[kinds[0]]
    height, width = (size, size) if isinstance(size, int) else size
    dilation = stage.get("dilation", 1)
    sides_fit = 1 <= min(height, width) <= max(height, width) <= 63 and height * width <= 64
    reach = dilation * (max(height, width) - 1)
    if not sides_fit or not 1 <= dilation <= 16 or reach > 127:
        raise Refused(f"window of stage {stage}", operation)
    if dimensions == 1 and height != 1:
        raise Refused(f"window of stage {stage} in one dimension", operation)
    axis = stage.get("strides")
    if axis not in (None, "height", "width"):
        raise Refused(f"stage {stage}", operation)
    return Stage(kinds[0], (height, width), dilation, axis)


def read_operation(item: str | Description, dimensions: int) -> Operation:
    """Return an item of a list of operations."""
    if isinstance(item, str):
        named = [op for op in _ready()["operations"] if op["name"] == item]
        if not named:
            raise Refused("is not known", item)
        item = named[0]
    name = item["name"]
    stages = tuple(_stage(stage, dimensions, name) for stage in item["stages"])
    alone = [stage.kind for stage in stages if stage.kind in ("none", "noise")]
    if alone and len(stages) > 1:
        raise Refused(f"{alone[0]!r} stands alone", name)
    return Operation(name, stages, item.get("prefix", "op"))


def edges(cell: Description) -> list[tuple[int, int]]:
    """Return (input, node) of every edge."""
    first = cell["inputs"]
    return [(j, node) for node in range(first, first + cell["nodes"]) for j in range(node)]


def candidates(space: Description, cell: Description) -> list[list[Operation]]:
    """Return the operations that the search tries, edge by edge."""
    lists = cell.get("edges") or [space["operations"]] * len(edges(cell))
    if len(lists) != len(edges(cell)):
        raise Refused(f"operations of {len(lists)} edges for {len(edges(cell))}")
    read = [[read_operation(item, space["dimensions"]) for item in items] for items in lists]
    if not all(1 <= len(operations) <= 16 for operations in read):
        raise Refused("an edge has 1 to 16 operations")
    if not cell["keeps_none"] and any({op.name for op in edge} == {"none"} for edge in read):
        raise Refused("an edge has only `none`, which a genotype may not hold")
    return read


def layers(space: Description, channels: int, cells: int) -> list[Layer]:
    """Return what is stacked."""
    stacked: list[Layer] = []
    items = space["stack"]["layers"]
    by_index = any("until" in item for item in items)
    if by_index and any(item.get("repeat") == "cells" for item in items):
        raise Refused("`until` and `repeat` of cells do not mix")
    for item in items:
        channels *= item.get("channels", 1)
        layer = Layer(item["cell"], item.get("stride", 1), channels)
        if "until" in item:
            p, q = map(int, item["until"].split("/"))
            count = p * cells // q - len(stacked)
        elif "repeat" in item:
            count = cells if item["repeat"] == "cells" else item["repeat"]
        else:
            count = int(not (by_index and len(stacked) >= cells))
        stacked += [layer] * count
    return stacked


def stage_strides(operation: Operation, stride: Axes) -> list[Axes]:
    """Return the stride of each stage of a chain."""
    chosen: list[Axes] = [(1, 1)] * len(operation.stages)
    if stride == (1, 1):
        return chosen
    for i, stage in enumerate(operation.stages):
        if stage.axis is not None:
            chosen[i] = (stride[0], 1) if stage.axis == "height" else (1, stride[1])
    if all(stage.axis is None for stage in operation.stages):
        first = [i for i, stage in enumerate(operation.stages) if stage.kind in WITH_WINDOW]
        if not first:
            raise Refused("nothing in it takes the stride", operation.name)
        chosen[first[0]] = stride
    return chosen


# The network


Tensors = Callable[[str, Shape], Array]


@dataclass
class _Declared:
    """Gives zeros of any name and shape, and remembers both."""

    shapes: dict[str, Shape] = field(default_factory=dict)

    def __call__(self, name: str, shape: Shape) -> Array:
        assert self.shapes.setdefault(name, shape) == shape, name
        return np.zeros(shape)


@dataclass(frozen=True)
class _Given:
    arrays: Mapping[str, Array]

    def __call__(self, name: str, shape: Shape) -> Array:
        array = self.arrays[name]
        assert array.shape == shape, name
        return array


@dataclass(frozen=True)
class _Pass:
    """One pass through a network: where parameters come from, and how BN normalises."""

    tensor: Tensors
    dimensions: int
    search: bool
    conv_bias: bool
    by_batch: bool
    alphas: Mapping[str, Array] = field(default_factory=dict)

    def axes(self, side: int) -> Axes:
        """Return a square window or stride, which leaves the height of a signal alone."""
        return (1, side) if self.dimensions == 1 else (side, side)

    def conv(
        self,
        name: str,
        x: Array,
        out: int,
        size: Axes = (1, 1),
        stride: Axes = (1, 1),
        dilation: int = 1,
        depthwise: bool = False,
        bias: bool = False,
    ) -> Array:
        weight = self.tensor(f"{name}.weight", (out, 1 if depthwise else x.shape[1], *size))
        y = plain.convolve(x, weight, stride, padding(size, dilation), dilation)
        return y + self.tensor(f"{name}.bias", (out,))[:, None, None] if bias else y

    def batch_norm(self, name: str, x: Array, affine: bool) -> Array:
        shape = (x.shape[1],)

        def value(what: str) -> Array:
            return self.tensor(f"{name}.{what}", shape)[:, None, None]

        mean, variance = value("running_mean"), value("running_var")
        if self.by_batch:
            mean = x.mean(axis=(0, 2, 3), keepdims=True)
            variance = ((x - mean) ** 2).mean(axis=(0, 2, 3), keepdims=True)
            _assert_conditioned(x, mean, variance)
        x = (x - mean) / np.sqrt(variance + 1e-5)
        return x * value("weight") + value("bias") if affine else x

    def factorized_reduce(self, name: str, x: Array, out: int, affine: bool) -> Array:
        """Return two strided 1×1 convolutions, the second shifted by a pixel; zero beyond it."""
        down, across = self.axes(2)
        x = relu(x)
        straight = self.conv(f"{name}.conv_1", x[:, :, ::down, ::across], out // 2)
        moved = x[:, :, down - 1 :: down, across - 1 :: across]
        shifted = self.conv(f"{name}.conv_2", moved, out - out // 2)
        lacking = [(0, a - b) for a, b in zip(straight.shape[2:], shifted.shape[2:], strict=True)]
        shifted = np.pad(shifted, ((0, 0), (0, 0), *lacking))
        return self.batch_norm(f"{name}.bn", np.concatenate([straight, shifted], axis=1), affine)

    def relu_conv_bn(
        self, name: str, x: Array, out: int, affine: bool, size: int = 1, stride: int = 1
    ) -> Array:
        y = self.conv(f"{name}.op.1", relu(x), out, self.axes(size), self.axes(stride))
        return self.batch_norm(f"{name}.op.2", y, affine)

    def operation(self, operation: Operation, name: str, x: Array, out: int, stride: int) -> Array:
        """Return the chain of x; ``none`` and ``noise`` are not for here."""
        stages = operation.stages
        if not stages and stride == 2:
            return self.factorized_reduce(name, x, out, affine=not self.search)
        changes = any(stage.kind in ("conv", "pointwise") for stage in stages)
        if not changes and x.shape[1] != out:
            raise Refused(f"makes no {out} channels of {x.shape[1]}", operation.name)
        strides = stage_strides(operation, self.axes(stride))
        for i, (stage, step) in enumerate(zip(stages, strides, strict=True)):
            parts = [name, operation.prefix, str(i)]
            own = ".".join(part for part in parts if part)
            pad = padding(stage.size, stage.dilation)
            if stage.kind in WITH_WINDOW and min(output_size(x, stage, step)) < 1:
                raise Refused(f"is larger than its input of {x.shape[2:]}", operation.name)
            if stage.kind == "relu":
                x = relu(x)
            elif stage.kind == "batch_norm":
                x = self.batch_norm(own, x, affine=not self.search)
            elif stage.kind == "search_batch_norm":
                x = self.batch_norm(own, x, affine=False) if self.search else x
            elif stage.kind == "depthwise":
                x = self.conv(own, x, x.shape[1], stage.size, step, stage.dilation, depthwise=True)
            elif stage.kind in ("conv", "pointwise"):
                following = stages[i + 1].kind if i + 1 < len(stages) else ""
                bias = self.search and self.conv_bias and following == "batch_norm"
                x = self.conv(own, x, out, stage.size, step, stage.dilation, bias=bias)
            elif stage.kind == "max_pool":
                x = plain.max_pool(x, step, stage.size, pad)
            else:
                assert stage.kind == "avg_pool", stage
                x = plain.avg_pool(x, step, stage.size, pad)
        return x

    def residual_block(self, name: str, x: Array, layer: Layer) -> Array:
        out = layer.channels
        y = self.relu_conv_bn(f"{name}.conv_a", x, out, True, size=3, stride=layer.stride)
        y = self.relu_conv_bn(f"{name}.conv_b", y, out, True, size=3)
        if layer.stride == 2:
            window = self.axes(2)
            if min(output_size(x, Stage("avg_pool", window), window)) < 1:
                raise Refused(f"{name}: nothing is left of {x.shape[2:]}")
            x = plain.avg_pool(x, window, window, (0, 0))
        if layer.stride == 2 or x.shape[1] != out:
            x = self.conv(f"{name}.downsample.1", x, out)
        if x.shape != y.shape:
            raise Refused(f"{name}: adds {x.shape[2:]} to {y.shape[2:]}")
        return x + y


def relu(x: Array) -> Array:
    """Return the positive part, unless rounding decides what is positive."""
    if ((x.real != 0) & (abs(x.real) < 1e-10)).any():
        raise Unclear("a ReLU of nearly zero")
    return plain.relu(x)


def _assert_conditioned(x: Array, mean: Array, variance: Array) -> None:
    """Raise `Unclear` where a difference from the mean is nothing but rounding."""
    if x.size and x.size // x.shape[1] < 4:
        raise Unclear("BN over fewer than four values")
    if (variance.real < 1e-8 * mean.real**2).any():
        raise Unclear("BN of a constant")


def padding(size: Axes, dilation: int) -> Axes:
    """Return that of either axis: odd windows keep the size, even ones are not padded."""
    height, width = (dilation * (side - 1) // 2 if side % 2 else 0 for side in size)
    return height, width


def output_size(x: Array, stage: Stage, stride: Axes) -> Axes:
    """Return height and width behind a window."""
    pad = padding(stage.size, stage.dilation)
    height, width = (
        (x.shape[2 + a] + 2 * pad[a] - stage.dilation * (stage.size[a] - 1) - 1) // stride[a] + 1
        for a in (0, 1)
    )
    return height, width


def softmax(x: Array) -> Array:
    """Return the softmax of a row."""
    odds = np.exp(x - x.real.max())
    shares: Array = odds / odds.sum()
    return shares


class _Term(NamedTuple):
    """What one edge may add: `share` times an operation of a state."""

    share: Any
    operation: Operation
    source: int
    name: str


@dataclass(frozen=True)
class PlainNetwork:
    """The search network of a space, or with a genotype the network derived from it.

    Parameters
    ----------
    space : dict
        Whole description: see `resolve`.
    channels, cells, classes, in_channels : int
    stem : str
        As `pydarts.Supernet` takes them.
    genotype : mapping, optional
        By cell its entries (operation, input), and ``{cell}_concat``.
    """

    space: Description
    channels: int
    cells: int
    classes: int
    in_channels: int
    stem: str = "cifar"
    genotype: Mapping[str, Any] | None = None

    def logits(
        self,
        tensors: Mapping[str, Array],
        alphas: Mapping[str, Array],
        x: Array,
        by_batch: bool = True,
        noise: Mapping[tuple[int, int], Array] | None = None,
    ) -> Array:
        """Return the logits.

        Parameters
        ----------
        tensors : mapping of str to Array
            Weights and running statistics.
        alphas : mapping of str to Array
            By cell: rows are edges, columns operations. Empty for a derived network.
        x : Array (N, C, H, W)
        by_batch : bool
            Whether BN normalises by the batch or by running statistics.
        noise : mapping of (layer, edge) to Array, optional
            Draws of the ``noise`` operations of a search network; left out where there is none.
        """
        return self._walk(_Given(tensors), alphas, x, by_batch, noise or {})

    def shapes(self, height: int, width: int) -> dict[str, Shape]:
        """Return all parameters and running statistics by name.

        Raises
        ------
        Refused
            If there is no such network.
        """
        for operation in self._all_operations():
            read_operation(operation, self.space["dimensions"])
        if self.space["dimensions"] == 1 and height != 1:
            raise Refused(f"a signal is of height 1, not {height}")
        used = {layer["cell"] for layer in self.space["stack"]["layers"]}
        declared = _Declared()
        alphas = {}
        for cell in self.space["cells"]:
            if not (1 <= cell["nodes"] <= 8 and 1 <= cell["inputs"] <= 2):
                raise Refused(f"cell {cell['name']!r}")
            if cell["name"] not in used:
                raise Refused(f"no layer of the cell {cell['name']!r}")
            lists = candidates(self.space, cell)
            alphas[cell["name"]] = np.zeros((len(lists), max(map(len, lists))))
        self._walk(declared, alphas, np.zeros((4, self.in_channels, height, width)), False, {})
        return declared.shapes

    def refusal(self, height: int, width: int) -> Refused | None:
        """Return why there is no such network for images of this size, or None."""
        try:
            self.shapes(height, width)
        except Refused as refused:
            return refused
        return None

    def _all_operations(self) -> list[str | Description]:
        lists = [self.space["operations"], self.space.get("extra_operations", [])]
        for cell in self.space["cells"]:
            lists += cell.get("edges") or []
        return [operation for operations in lists for operation in operations]

    def _walk(
        self,
        tensor: Tensors,
        alphas: Mapping[str, Array],
        x: Array,
        by_batch: bool,
        noise: Mapping[tuple[int, int], Array],
    ) -> Array:
        space = self.space
        search = self.genotype is None
        run = _Pass(
            tensor,
            space["dimensions"],
            search,
            space.get("conv_bias", False),
            by_batch,
            alphas,
        )
        before, last, halvings = self._stem(run, x)
        # By how many halvings the state before the last is larger than it decides, not its size:
        # a network is built before it sees an image.
        for i, layer in enumerate(layers(space, self.channels, self.cells)):
            name = f"cells.{i}"
            if layer.cell == "residual_block":
                out = run.residual_block(name, last, layer)
            else:
                out = self._cell(run, i, layer, before, last, halvings > 0, noise)
            before, last, halvings = last, out, layer.stride - 1
        if space["stack"].get("norm_relu", False):
            last = relu(run.batch_norm("lastact.0", last, affine=True))
        features = last.mean(axis=(2, 3))
        weight = tensor("classifier.weight", (self.classes, features.shape[1]))
        logits: Array = features @ weight.T + tensor("classifier.bias", (self.classes,))
        return logits

    def _stem(self, run: _Pass, x: Array) -> tuple[Array, Array, int]:
        """Return the first two states, and by how many halvings the first is larger."""
        window = run.axes(3)
        if self.stem == "cifar":
            out = self.channels * self.space["stack"]["stem"]
            x = run.batch_norm("stem.1", run.conv("stem.0", x, out, window), affine=True)
            return x, x, 0
        half, stride = self.channels // 2, run.axes(2)
        x = run.batch_norm("stem0.1", run.conv("stem0.0", x, half, window, stride), affine=True)
        x = run.conv("stem0.3", relu(x), self.channels, window, stride)
        x = run.batch_norm("stem0.4", x, affine=True)
        y = run.conv("stem1.1", relu(x), self.channels, window, stride)
        return x, run.batch_norm("stem1.2", y, affine=True), 1

    def _cell(
        self,
        run: _Pass,
        i: int,
        layer: Layer,
        before: Array,
        last: Array,
        halve: bool,
        noise: Mapping[tuple[int, int], Array],
    ) -> Array:
        cell = next(c for c in self.space["cells"] if c["name"] == layer.cell)
        affine, c, name = not run.search, layer.channels, f"cells.{i}"
        if cell["inputs"] == 2:
            enter = run.factorized_reduce if halve else run.relu_conv_bn
            states = [
                enter(f"{name}.preprocess0", before, c, affine),
                run.relu_conv_bn(f"{name}.preprocess1", last, c, affine),
            ]
        elif cell["preprocessed"]:
            states = [run.relu_conv_bn(f"{name}.preprocess", last, c, affine)]
        else:
            states = [last]
        for terms in self._terms(run, cell, name):
            states.append(self._node(run, cell, states, terms, layer, i, noise))
        if cell["output"] == "last":
            return states[-1]
        nodes = range(cell["inputs"], len(states))
        kept = nodes if self.genotype is None else self.genotype[f"{cell['name']}_concat"]
        parts = [states[node] for node in kept]
        if len({part.shape[2:] for part in parts}) > 1:
            raise Refused(f"nodes of sizes {[part.shape[2:] for part in parts]}")
        return np.concatenate(parts, axis=1)

    def _terms(self, run: _Pass, cell: Description, name: str) -> list[list[_Term]]:
        """Return what is added to each node."""
        named_edges = self.space.get("parameter_names", "darts") == "nas-bench-201"
        nodes: list[list[_Term]] = [[] for _ in range(cell["nodes"])]
        first, lists = cell["inputs"], candidates(self.space, cell)
        if self.genotype is None:
            for e, ((j, node), operations) in enumerate(zip(edges(cell), lists, strict=True)):
                edge = f"edges.{node}<-{j}" if named_edges else f"_ops.{e}._ops"
                shares = softmax(run.alphas[cell["name"]][e, : len(operations)])
                nodes[node - first] += [
                    _Term(share, operation, j, f"{name}.{edge}.{k}")
                    for k, (share, operation) in enumerate(zip(shares, operations, strict=True))
                ]
            return nodes
        extra = [
            read_operation(item, self.space["dimensions"])
            for item in self.space.get("extra_operations", [])
        ]
        entries = iter(enumerate(self.genotype[cell["name"]]))
        for node, terms in enumerate(nodes):
            count, kept = first + node, cell["kept_edges"]
            for _ in range(count if kept == "all" else min(kept, count)):
                k, (chosen, j) = next(entries)
                known = [*lists[edges(cell).index((j, first + node))], *extra]
                operation = next(op for op in known if op.name == chosen)
                own = f"{name}.{'layers' if named_edges else '_ops'}.{k}"
                terms.append(_Term(1.0, operation, j, own))
        assert next(entries, None) is None
        return nodes

    def _node(
        self,
        run: _Pass,
        cell: Description,
        states: Sequence[Array],
        terms: Sequence[_Term],
        layer: Layer,
        i: int,
        noise: Mapping[tuple[int, int], Array],
    ) -> Array:
        total: Any = None
        open_sizes, noise_sizes = [], []
        for share, operation, source, name in terms:
            x = states[source]
            stride = layer.stride if source < cell["inputs"] else 1
            kind = operation.stages[0].kind if operation.stages else ""
            if kind in ("none", "noise"):
                own = x[:, :1, :: run.axes(stride)[0], :: run.axes(stride)[1]].shape[2:]
                (noise_sizes if kind == "noise" else open_sizes).append(own)
                edge = edges(cell).index((source, len(states)))
                if kind == "none" or not run.search or (i, edge) not in noise:
                    continue
                y = noise[i, edge]
            else:
                y = run.operation(operation, name, x, layer.channels, stride)
            if total is not None and total.shape != y.shape:
                sizes = f"{y.shape[2:]} to {total.shape[2:]}"
                raise Refused(f"adds {sizes}", operation.name)
            total = share * y if total is None else total + share * y
        sizes = {*noise_sizes, *([] if total is None else [total.shape[2:]])} or {*open_sizes}
        if len(sizes) > 1:
            raise Unclear("noise or nothing of another size than the rest")
        if total is None:
            return np.zeros((len(states[0]), layer.channels, *sizes.pop()))
        result: Array = total
        return result


def cross_entropy(logits: Array, labels: Array) -> Any:
    """Return the mean over the batch."""
    shifted = logits - logits.real.max(axis=1, keepdims=True)
    rows = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]
    return rows.mean()
