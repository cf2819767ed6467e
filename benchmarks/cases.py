# SPDX-License-Identifier: MIT
"""What is measured: named cases, their sizes, and the arithmetic that they cannot do without.

Nothing here imports pydarts or PyTorch: importing pydarts tunes the OpenMP runtime of the process
and of its children (``GOMP_SPINCOUNT``), which must not reach the processes of PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
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

#: Cost of one repetition in units of the forward pass. Forward, gradient of the data and gradient
#: of the weights do the same number of multiplications, so a pass costs 3, or 2 if only the alphas
#: are derived by. Second order: virtual step 3, validation at w' 3, two perturbed passes 2 + 2, w
#: step 3. First order: alpha step 2, w step 3. All else: 3.
FORWARD_EQUIVALENTS = {"second_order": 13, "first_order": 5, "derived": 3, "mixture": 3}
#: The same with ``hvp="forward"`` and ``reuse_gradient=True``, which do without one of the
#: perturbed passes and without the pass of the w step.
FAST_FORWARD_EQUIVALENTS = 8


@dataclass(frozen=True)
class Case:
    """One thing to measure.

    Parameters
    ----------
    name : str
        By which ``--case`` selects it.
    kind : str
        ``"second_order"`` or ``"first_order"`` (one whole search step), ``"derived"`` (one
        training step of DARTS_V2) or ``"mixture"`` (forward and backward of ``operations``).
    channels, batch, side : int
        Channels of the first cell or the mixture, images in a batch, pixels on their side.
    cells, in_channels : int
        Of networks.
    operations : tuple of str
        Candidates in the mixture; one alone has the weight 1.
    stride : int
        Of the mixture.
    """

    name: str
    kind: str
    channels: int
    batch: int
    side: int
    cells: int = 0
    in_channels: int = 0
    operations: tuple[str, ...] = ()
    stride: int = 1

    @property
    def size(self) -> str:
        """The sizes in words."""
        if self.kind == "mixture":
            images = f"{self.side}×{self.side}" + (" stride 2" if self.stride == 2 else "")
            return f"C={self.channels} B={self.batch} {images}"
        images = f"{self.in_channels}×{self.side}×{self.side}"
        return f"C={self.channels} L={self.cells} B={self.batch} {images}"

    @property
    def network(self) -> dict[str, Any]:
        """Arguments by which pydarts and the reference build the network."""
        return {
            "channels": self.channels,
            "cells": self.cells,
            "classes": CLASSES,
            "in_channels": self.in_channels,
        }

    def quick(self) -> Case:
        """Return the same at a size that takes no time."""
        return replace(
            self,
            channels=min(self.channels, 4),
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
            pixels = self.batch * _halved(self.side, self.stride) ** 2
            ops = self.operations
            return sum(_operation(op, self.channels, self.stride, pixels) for op in ops)
        return _network(self)

    def flops(self, fast: bool = False) -> int:
        """Return floating-point operations of one repetition, `FORWARD_EQUIVALENTS` of them."""
        passes = FAST_FORWARD_EQUIVALENTS if fast else FORWARD_EQUIVALENTS[self.kind]
        return passes * self.forward_flops()


def _halved(side: int, stride: int) -> int:
    return -(-side // stride)


def _convolution(c_in: int, c_out: int, taps: int, pixels: int) -> int:
    return 2 * c_in * c_out * taps * pixels


def _operation(name: str, c: int, stride: int, pixels: int) -> int:
    """Return the cost at so many output pixels, those of the whole batch."""
    if name == "skip_connect" and stride == 2:  # two halves of a 1x1 convolution
        return _convolution(c, c, 1, pixels)
    if name.startswith(("sep_conv", "dil_conv")):
        taps = int(name[-1]) ** 2
        once = _convolution(1, c, taps, pixels) + _convolution(c, c, 1, pixels)
        return 2 * once if name.startswith("sep") else once
    return 0


def _edges(case: Case, reduction: bool) -> Sequence[tuple[str, int]]:
    """Return operation and source of everything in a cell."""
    if case.kind == "derived":
        edges: Sequence[tuple[str, int]] = DARTS_V2["reduce" if reduction else "normal"]
        return edges
    return [(op, j) for node in range(NODES) for j in range(2 + node) for op in OPERATIONS]


def _network(case: Case) -> int:
    c, side = case.channels, case.side
    c_prev_prev = c_prev = 3 * c
    total = _convolution(case.in_channels, c_prev, 9, case.batch * side**2)
    for i in range(case.cells):
        reduction = i in (case.cells // 3, 2 * case.cells // 3)
        c *= 2 if reduction else 1
        total += _convolution(c_prev_prev + c_prev, c, 1, case.batch * side**2)
        side = _halved(side, 2 if reduction else 1)
        for op, source in _edges(case, reduction):
            stride = 2 if reduction and source < 2 else 1
            total += _operation(op, c, stride, case.batch * side**2)
        c_prev_prev, c_prev = c_prev, NODES * c
    return total


def _operations() -> list[Case]:
    cases = []
    for op in OPERATIONS[1:]:
        # At stride 1 a skip connection is the identity, and there is nothing to measure.
        stride = 2 if op == "skip_connect" else 1
        cases.append(Case(op, "mixture", 16, 64, 32, operations=(op,), stride=stride))
    return cases


SMALL = Case("second_order_small", "second_order", 8, 32, 28, cells=4, in_channels=1)
PAPER = Case("second_order_paper", "second_order", 16, 64, 32, cells=8, in_channels=3)
TINY = Case("second_order_tiny", "second_order", 4, 64, 8, cells=3, in_channels=1)

CASES = (
    SMALL,
    PAPER,
    TINY,
    replace(SMALL, name="first_order_small", kind="first_order"),
    replace(PAPER, name="first_order_paper", kind="first_order"),
    replace(PAPER, name="derived", kind="derived"),
    Case("mixed_operation", "mixture", 16, 64, 32, operations=OPERATIONS),
    *_operations(),
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


def sweep(parameter: str, quick: bool = False) -> list[Case]:
    """Return the cases along one parameter of `SWEEP`."""
    base = SMALL.quick() if quick else SMALL
    values = SWEEP[parameter][:2] if quick else SWEEP[parameter]
    cases = []
    for value in values:
        sizes: dict[str, Any] = {parameter: value}
        cases.append(replace(base, name=f"{parameter}_{value}", **sizes))
    return cases
