# SPDX-License-Identifier: MIT
"""What is measured: named cases, their sizes, and the arithmetic that they cannot do without.

An `ImageCase` is of the convolutional space, a `TextCase` of the recurrent one. Nothing here
imports pydarts or PyTorch, which are only loaded in the processes that measure them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

CLASSES = 10
NODES = 4
OPERATIONS = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
OPERATIONS_1D = (
    "none",
    "max_pool_3",
    "avg_pool_3",
    "skip_connect",
    "sep_conv_3",
    "sep_conv_5",
    "dil_conv_3",
    "dil_conv_5",
)
#: What is on each of NAS-Bench-201's edges and costs multiplications.
NAS_BENCH_201_EDGES = 6
NAS_BENCH_201_OPERATIONS = ("nor_conv_1x1", "nor_conv_3x3")
#: `pydarts.DARTS_V2` as plain data.
DARTS_V2: dict[str, Any] = {
    "normal": (
        ("sep_conv_3x3", 0),
        ("sep_conv_3x3", 1),
        ("sep_conv_3x3", 0),
        ("sep_conv_3x3", 1),
        ("sep_conv_3x3", 1),
        ("skip_connect", 0),
        ("skip_connect", 0),
        ("dil_conv_3x3", 2),
    ),
    "normal_concat": (2, 3, 4, 5),
    "reduce": (
        ("max_pool_3x3", 0),
        ("max_pool_3x3", 1),
        ("skip_connect", 2),
        ("max_pool_3x3", 1),
        ("max_pool_3x3", 0),
        ("skip_connect", 2),
        ("skip_connect", 2),
        ("max_pool_3x3", 1),
    ),
    "reduce_concat": (2, 3, 4, 5),
}

TEXT_NODES = 8
#: `pydarts.RECURRENT_DARTS_V2` as plain data.
RECURRENT_DARTS_V2: dict[str, Any] = {
    "recurrent": (
        ("sigmoid", 0),
        ("relu", 1),
        ("relu", 1),
        ("identity", 1),
        ("tanh", 2),
        ("sigmoid", 5),
        ("tanh", 3),
        ("relu", 5),
    ),
    "concat": (1, 2, 3, 4, 5, 6, 7, 8),
}

#: Cost of one repetition in units of the forward pass. Forward, gradient of the data and gradient
#: of the weights do the same number of multiplications, so a pass costs 3, or 2 if only the
#: gradient with respect to α is wanted. Second order: unrolled step 3, validation at w' 3, two
#: perturbed passes 2 + 2, w step 3. First order: alpha step 2, w step 3. All else: 3.
FORWARD_EQUIVALENTS = {
    "second_order": 13,
    "first_order": 5,
    "derived": 3,
    "mixture": 3,
    "text_second_order": 13,
    "text_first_order": 5,
    "text_derived": 3,
}
#: The same with ``hvp="forward"`` and ``reuse_gradient=True``, which do without one of the
#: perturbed passes and without the pass of the w step.
FAST_FORWARD_EQUIVALENTS = 8


@dataclass(frozen=True)
class Case(ABC):
    """One thing to measure.

    Parameters
    ----------
    name : str
        By which ``--case`` selects it.
    kind : str
        One of `FORWARD_EQUIVALENTS`.
    """

    name: str
    kind: str

    @property
    @abstractmethod
    def size(self) -> str:
        """The sizes in words."""

    @property
    @abstractmethod
    def network(self) -> dict[str, Any]:
        """Arguments by which pydarts and the reference build the network."""

    @abstractmethod
    def quick(self) -> Case:
        """Return the same at a size that takes no time."""

    @abstractmethod
    def forward_flops(self) -> int:
        """Return floating-point operations of one forward pass."""

    def flops(self, fast: bool = False) -> int:
        """Return floating-point operations of one repetition, `FORWARD_EQUIVALENTS` of them."""
        passes = FAST_FORWARD_EQUIVALENTS if fast else FORWARD_EQUIVALENTS[self.kind]
        return passes * self.forward_flops()


@dataclass(frozen=True)
class ImageCase(Case):
    """One thing to measure of the convolutional space.

    Parameters
    ----------
    name, kind : str
        As in `Case`: ``"second_order"`` or ``"first_order"`` (one whole search step),
        ``"derived"`` (one training step of DARTS_V2) or ``"mixture"`` (forward and backward of
        ``operations``).
    channels, batch, side : int
        Channels of the first cell or the mixture, images in a batch, pixels on their side, or
        pixels of a signal.
    cells, in_channels : int
        Of networks; in NAS-Bench-201 cells of a stage.
    operations : tuple of str
        Candidates in the mixture; one alone has the weight 1.
    stride : int
        Of the mixture.
    space : str
        ``"darts"``, ``"darts-1d"`` or ``"nas-bench-201"``, by the names of `pydarts.spaces`.
    """

    channels: int
    batch: int
    side: int
    cells: int = 0
    in_channels: int = 0
    operations: tuple[str, ...] = ()
    stride: int = 1
    space: str = "darts"

    @property
    def dimensions(self) -> int:
        """Of the images: 1 where they are signals, of height 1."""
        return 1 if self.space == "darts-1d" else 2

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the images."""
        return (1 if self.dimensions == 1 else self.side), self.side

    @property
    def size(self) -> str:
        """The sizes in words."""
        images = "×".join(map(str, self.shape))
        if self.kind == "mixture":
            stride = " stride 2" if self.stride == 2 else ""
            return f"C={self.channels} B={self.batch} {images}{stride}"
        cells = "N" if self.space == "nas-bench-201" else "L"
        batch = f"B={self.batch} {self.in_channels}×{images}"
        return f"C={self.channels} {cells}={self.cells} {batch}"

    @property
    def network(self) -> dict[str, Any]:
        """Arguments by which pydarts and the reference build the network."""
        return {
            "channels": self.channels,
            "cells": self.cells,
            "classes": CLASSES,
            "in_channels": self.in_channels,
        }

    def quick(self) -> ImageCase:
        """Return the same at a size that takes no time."""
        # PyTorch 2.13 writes past the end of the gradient when a channels-last convolution at
        # stride 2 leads from four channels to two, on a processor without AVX-512.
        channels = 8 if self.kind == "mixture" else 4
        return replace(
            self,
            channels=min(self.channels, channels),
            batch=min(self.batch, 16),
            side=min(self.side, 8),
            cells=min(self.cells, 3),
        )

    def forward_flops(self) -> int:
        """Return floating-point operations of one forward pass.

        Convolutions only, two for each multiplication with its addition; pools, normalisation,
        sums and the classifier are left out.
        """
        if self.kind == "mixture":
            pixels = self.batch * _halved(self.side, self.stride) ** self.dimensions
            ops = self.operations
            return sum(_operation(op, self.channels, self.stride, pixels) for op in ops)
        return _nas_bench_201(self) if self.space == "nas-bench-201" else _network(self)


@dataclass(frozen=True)
class TextCase(Case):
    """One thing to measure of the recurrent space, all dropout 0.

    Parameters
    ----------
    name, kind : str
        As in `Case`: ``"text_second_order"`` or ``"text_first_order"`` (one whole search step),
        or ``"text_derived"`` (one training step of RECURRENT_DARTS_V2).
    hidden_size, batch, steps, vocab_size : int
        Size H of state and embedding, texts B side by side, steps T of a segment, words V.
    """

    hidden_size: int
    batch: int
    steps: int
    vocab_size: int

    @property
    def size(self) -> str:
        """The sizes in words."""
        return f"H={self.hidden_size} B={self.batch} T={self.steps} V={self.vocab_size}"

    @property
    def network(self) -> dict[str, Any]:
        """Arguments by which pydarts and the reference build the network.

        Without dropout both compute the same; its masks would cost either of them little.
        """
        dropouts = ("dropout", "dropout_hidden", "dropout_input", "dropout_embedding")
        return {
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            **dict.fromkeys(dropouts, 0.0),
        }

    def quick(self) -> TextCase:
        """Return the same at a size that takes no time."""
        return replace(
            self,
            hidden_size=min(self.hidden_size, 16),
            batch=min(self.batch, 16),
            steps=min(self.steps, 5),
            vocab_size=min(self.vocab_size, 20),
        )

    def forward_flops(self) -> int:
        """Return floating-point operations of one forward pass.

        Matrix products only, two for each multiplication with its addition: at every word the
        initial state's (2H to 2H), one for each edge (H to 2H), and the decoder's (H to V).
        """
        inputs = TEXT_NODES if self.kind == "text_derived" else TEXT_NODES * (TEXT_NODES + 1) // 2
        initial, edge = (2 * self.hidden_size) ** 2, 2 * self.hidden_size**2
        products = initial + inputs * edge + self.hidden_size * self.vocab_size
        return 2 * products * self.steps * self.batch


def from_fields(fields: Mapping[str, Any]) -> Case:
    """Return the case whose fields these are, as of ``dataclasses.asdict`` or its JSON."""
    given: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()
    }
    return TextCase(**given) if given["kind"].startswith("text_") else ImageCase(**given)


def _halved(side: int, stride: int) -> int:
    return -(-side // stride)


def _convolution(c_in: int, c_out: int, taps: int, pixels: int) -> int:
    return 2 * c_in * c_out * taps * pixels


def _operation(name: str, c: int, stride: int, pixels: int) -> int:
    """Return the cost at so many output pixels, those of the whole batch."""
    if name == "skip_connect" and stride == 2:  # two halves of a 1x1 convolution
        return _convolution(c, c, 1, pixels)
    taps = int(name[-1]) ** (2 if "x" in name else 1) if "conv_" in name else 0
    if name.startswith("nor_conv"):
        return _convolution(c, c, taps, pixels)
    if name.startswith(("sep_conv", "dil_conv")):
        once = _convolution(1, c, taps, pixels) + _convolution(c, c, 1, pixels)
        return 2 * once if name.startswith("sep") else once
    return 0


def _edges(case: ImageCase, reduction: bool) -> Sequence[tuple[str, int]]:
    """Return operation and source of everything in a cell."""
    if case.kind == "derived":
        edges: Sequence[tuple[str, int]] = DARTS_V2["reduce" if reduction else "normal"]
        return edges
    operations = OPERATIONS_1D if case.dimensions == 1 else OPERATIONS
    return [(op, j) for node in range(NODES) for j in range(2 + node) for op in operations]


def _network(case: ImageCase) -> int:
    c, side, axes = case.channels, case.side, case.dimensions
    c_prev_prev = c_prev = 3 * c
    total = _convolution(case.in_channels, c_prev, 3**axes, case.batch * side**axes)
    for i in range(case.cells):
        reduction = i in (case.cells // 3, 2 * case.cells // 3)
        c *= 2 if reduction else 1
        total += _convolution(c_prev_prev + c_prev, c, 1, case.batch * side**axes)
        side = _halved(side, 2 if reduction else 1)
        for op, source in _edges(case, reduction):
            stride = 2 if reduction and source < 2 else 1
            total += _operation(op, c, stride, case.batch * side**axes)
        c_prev_prev, c_prev = c_prev, NODES * c
    return total


def _nas_bench_201(case: ImageCase) -> int:
    c, side = case.channels, case.side
    total = _convolution(case.in_channels, c, 9, case.batch * side**2)
    for stage in range(3):
        if stage:
            # Two 3×3 and the shortcut's 1×1.
            side = _halved(side, 2)
            pixels = case.batch * side**2
            total += _convolution(c, 2 * c, 9 + 1, pixels) + _convolution(2 * c, 2 * c, 9, pixels)
            c *= 2
        pixels = case.batch * side**2
        edge = sum(_operation(op, c, 1, pixels) for op in NAS_BENCH_201_OPERATIONS)
        total += case.cells * NAS_BENCH_201_EDGES * edge
    return total


def _operations() -> list[ImageCase]:
    cases = []
    for op in OPERATIONS[1:]:
        # At stride 1 a skip connection is the identity, and there is nothing to measure.
        stride = 2 if op == "skip_connect" else 1
        cases.append(ImageCase(op, "mixture", 16, 64, 32, operations=(op,), stride=stride))
    return cases


SMALL = ImageCase("second_order_small", "second_order", 8, 32, 28, cells=4, in_channels=1)
PAPER = ImageCase("second_order_paper", "second_order", 16, 64, 32, cells=8, in_channels=3)
TINY = ImageCase("second_order_tiny", "second_order", 4, 64, 8, cells=3, in_channels=1)
TEXT = TextCase(
    "text_second_order", "text_second_order", hidden_size=128, batch=64, steps=35, vocab_size=100
)

CASES: tuple[Case, ...] = (
    SMALL,
    PAPER,
    TINY,
    replace(SMALL, name="first_order_small", kind="first_order"),
    replace(PAPER, name="first_order_paper", kind="first_order"),
    replace(PAPER, name="derived", kind="derived"),
    ImageCase("mixed_operation", "mixture", 16, 64, 32, operations=OPERATIONS),
    *_operations(),
    ImageCase("nas_bench_201", "second_order", 16, 64, 32, 1, 3, space="nas-bench-201"),
    ImageCase("darts_1d", "second_order", 8, 32, 784, cells=4, in_channels=1, space="darts-1d"),
    ImageCase(
        "darts_1d_mixed_operation",
        "mixture",
        16,
        64,
        784,
        operations=OPERATIONS_1D,
        space="darts-1d",
    ),
    TEXT,
    replace(TEXT, name="text_second_order_paper", hidden_size=300, batch=256, vocab_size=10_000),
    replace(TEXT, name="text_first_order", kind="text_first_order"),
    replace(TEXT, name="text_derived", kind="text_derived", hidden_size=256),
)

#: What the sweep varies, one at a time, from `SMALL`.
SWEEP = {
    "batch": (8, 16, 32, 64, 128),
    "channels": (4, 8, 16, 32),
    "cells": (3, 4, 6, 8, 12),
    "side": (8, 16, 28, 32, 48),
}


def select(patterns: Sequence[str]) -> list[Case]:
    """Return the cases that match any of the patterns, such as ``"second_order*"``.

    Raises
    ------
    ValueError
        If a pattern matches none.
    """
    for pattern in patterns:
        if not any(fnmatchcase(case.name, pattern) for case in CASES):
            names = ", ".join(case.name for case in CASES)
            raise ValueError(f"`--case` (={pattern!r}) is none of {names}")
    return [case for case in CASES if any(fnmatchcase(case.name, p) for p in patterns)]


def sweep(parameter: str, quick: bool = False) -> list[ImageCase]:
    """Return the cases along one parameter of `SWEEP`."""
    base = SMALL.quick() if quick else SMALL
    values = SWEEP[parameter][:2] if quick else SWEEP[parameter]
    cases = []
    for value in values:
        sizes: dict[str, Any] = {parameter: value}
        cases.append(replace(base, name=f"{parameter}_{value}", **sizes))
    return cases
