# SPDX-License-Identifier: MIT
"""The search network: every edge carries the softmax-weighted sum of all candidates."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeVar

import torch
from torch import Tensor, nn

from .operations import (
    OPERATIONS,
    PRIMITIVES,
    StemmedNetwork,
    batch_norm,
    preprocess,
    reductions,
    relu_conv_bn,
    total,
)

NODES = 4
EDGES = sum(2 + i for i in range(NODES))


Self = TypeVar("Self", bound="SearchNetwork")


class SearchNetwork(nn.Module):
    """A network whose cells mix their operations by alphas.

    Attributes
    ----------
    kinds : tuple of str
        Of cells; ``alphas_KIND`` is the architecture parameter of one. These are neither
        parameters nor buffers: ``parameters()`` are w alone.
    """

    kinds: ClassVar[tuple[str, ...]]

    @property
    def alphas(self) -> dict[str, Tensor]:
        """All architecture parameters under the names pydarts gives them."""
        return {kind: getattr(self, f"alphas_{kind}") for kind in self.kinds}

    def _draw_alphas(self, edges: int, operations: int) -> None:
        for kind in self.kinds:
            drawn = 1e-3 * torch.randn(edges, operations)
            setattr(self, f"alphas_{kind}", drawn.requires_grad_())

    def _apply(self: Self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # `net.double()` and its like convert the alphas too, though they are not registered.
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for kind, alpha in self.alphas.items():
            setattr(self, f"alphas_{kind}", fn(alpha.detach()).requires_grad_())
        return self


class MixedOp(nn.Module):
    """All candidates of one edge, weighted."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self._ops = nn.ModuleList()
        for name in PRIMITIVES:
            # "none" adds nothing: it has a place in the numbering and in the softmax only.
            op = nn.Identity() if name == "none" else OPERATIONS[name](channels, stride, False)
            self._ops.append(
                nn.Sequential(op, batch_norm(channels, False)) if "pool" in name else op
            )

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """Return the sum of ``weights[k] * op_k(x)``; ``weights`` has shape (8,)."""
        pairs = list(zip(weights.unbind(), self._ops, strict=True))
        return total(w * op(x) for w, op in pairs[1:])


class Cell(nn.Module):
    """Two inputs, four nodes, fourteen mixed operations; the nodes are concatenated."""

    def __init__(
        self, c_prev_prev: int, c_prev: int, c: int, reduction: bool, reduction_prev: bool
    ) -> None:
        super().__init__()
        self.preprocess0 = preprocess(c_prev_prev, c, halve=reduction_prev, affine=False)
        self.preprocess1 = relu_conv_bn(c_prev, c, affine=False)
        self._ops = nn.ModuleList(
            MixedOp(c, 2 if reduction and source < 2 else 1)
            for node in range(NODES)
            for source in range(2 + node)
        )

    def forward(self, s0: Tensor, s1: Tensor, weights: Tensor) -> Tensor:
        """Map the outputs of the two previous cells to that of this one, (N, 4C, H', W')."""
        states = [self.preprocess0(s0), self.preprocess1(s1)]
        edges = zip(self._ops, weights.unbind(), strict=True)
        for _ in range(NODES):
            # The states go first in zip: it then stops without taking an edge of the next node.
            states.append(total(op(x, w) for x, (op, w) in zip(states, edges, strict=False)))
        return torch.cat(states[2:], dim=1)


class Supernet(SearchNetwork, StemmedNetwork):
    """Search network over the eight candidate operations.

    Parameters
    ----------
    channels : int
        Channels C of the first cells; they double at each of the two reductions.
    cells : int
        Number of cells L; cells L//3 and 2L//3 are reductions.
    classes, in_channels : int
        Labels to tell apart, and channels of an image.
    stem : str
        ``"cifar"`` or ``"imagenet"``.

    Attributes
    ----------
    alphas_normal, alphas_reduce : Tensor of shape (14, 8)
        Architecture parameters.
    """

    kinds = ("normal", "reduce")
    alphas_normal: Tensor
    alphas_reduce: Tensor

    def __init__(
        self, channels: int, cells: int, classes: int, in_channels: int, stem: str = "cifar"
    ) -> None:
        super().__init__()
        c_prev_prev = c_prev = self._add_stem(stem, in_channels, channels)
        self.cells = nn.ModuleList()
        self._reductions = reductions(cells)
        reduction_prev = stem == "imagenet"
        for reduction in self._reductions:
            channels *= 2 if reduction else 1
            self.cells.append(Cell(c_prev_prev, c_prev, channels, reduction, reduction_prev))
            c_prev_prev, c_prev, reduction_prev = c_prev, NODES * channels, reduction
        self.classifier = nn.Linear(c_prev, classes)
        self._draw_alphas(EDGES, len(PRIMITIVES))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, classes) of images (N, in_channels, H, W)."""
        normal, reduce = self.alphas_normal.softmax(dim=1), self.alphas_reduce.softmax(dim=1)
        s0, s1 = self._first_states(x)
        for cell, reduction in zip(self.cells, self._reductions, strict=True):
            s0, s1 = s1, cell(s0, s1, reduce if reduction else normal)
        logits: Tensor = self.classifier(s1.mean(dim=(2, 3)))
        return logits
