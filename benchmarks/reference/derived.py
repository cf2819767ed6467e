# SPDX-License-Identifier: MIT
"""The network derived from a genotype: two operations a node, affine BN, no BN after pools."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .operations import (
    OPERATIONS,
    StemmedNetwork,
    batch_norm,
    preprocess,
    reductions,
    relu_conv_bn,
    total,
)


class GenotypeLike(Protocol):
    """What a genotype must have; an edge is (operation, index of the state it reads)."""

    @property
    def normal(self) -> Sequence[tuple[str, int]]: ...
    @property
    def normal_concat(self) -> Sequence[int]: ...
    @property
    def reduce(self) -> Sequence[tuple[str, int]]: ...
    @property
    def reduce_concat(self) -> Sequence[int]: ...


class Cell(nn.Module):
    """A discrete cell: node i sums operations 2i and 2i+1 of the genotype."""

    def __init__(
        self,
        genotype: GenotypeLike,
        c_prev_prev: int,
        c_prev: int,
        c: int,
        reduction: bool,
        reduction_prev: bool,
    ) -> None:
        super().__init__()
        self.preprocess0 = preprocess(c_prev_prev, c, halve=reduction_prev, affine=True)
        self.preprocess1 = relu_conv_bn(c_prev, c, affine=True)
        edges = genotype.reduce if reduction else genotype.normal
        self._concat = list(genotype.reduce_concat if reduction else genotype.normal_concat)
        self._sources = [source for _, source in edges]
        self._ops = nn.ModuleList(
            OPERATIONS[name](c, 2 if reduction and source < 2 else 1, True)
            for name, source in edges
        )
        self.droppable = [not isinstance(op, nn.Identity) for op in self._ops]
        self.out_channels = c * len(self._concat)

    def forward(self, s0: Tensor, s1: Tensor, drop_masks: Tensor | None) -> Tensor:
        """``drop_masks`` (droppable operations of this cell, N) scales their outputs."""
        states = [self.preprocess0(s0), self.preprocess1(s1)]
        rows = iter(()) if drop_masks is None else iter(drop_masks)
        for first in range(0, len(self._ops), 2):
            operands = []
            for e in (first, first + 1):
                operand = self._ops[e](states[self._sources[e]])
                if drop_masks is not None and self.droppable[e]:
                    operand = operand * next(rows)[:, None, None, None]
                operands.append(operand)
            states.append(total(operands))
        return torch.cat([states[i] for i in self._concat], dim=1)


class TwoWindowPool(nn.Module):
    """Average pooling to 2x2, by windows at both ends of each axis.

    The windows of a side H are H - s long and s apart, s = min(max(1, floor(3H/8 + 1/2)), H - 1):
    5 long and 3 apart at H = 8, as in the original, and a 1x1 map is taken twice an axis.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, 2, 2)."""
        for axis in (2, 3):
            side = x.shape[axis]
            step = min(max(1, floor(3 * side / 8 + 0.5)), side - 1)
            windows = [x.narrow(axis, start, side - step) for start in (0, step)]
            x = torch.cat([w.mean(dim=axis, keepdim=True) for w in windows], dim=axis)
        return x


class AuxiliaryHead(nn.Module):
    """A second classifier on the output of cell 2L//3, used in training only."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.ReLU(),
            TwoWindowPool(),
            nn.Conv2d(channels, 128, 1, bias=False),
            batch_norm(128, True),
            nn.ReLU(),
            nn.Conv2d(128, 768, 2, bias=False),
            batch_norm(768, True),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(768, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the auxiliary logits (N, classes)."""
        logits: Tensor = self.classifier(self.features(x).flatten(1))
        return logits


class Network(StemmedNetwork):
    """Network derived from a genotype.

    Parameters
    ----------
    genotype : object
        With ``normal``, ``reduce`` as lists of (operation, input), two entries a node, and
        ``normal_concat``, ``reduce_concat``.
    channels, cells, classes, in_channels : int
        As in `Supernet`.
    auxiliary : bool
        Whether to add the auxiliary head.
    stem : str
        ``"cifar"`` or ``"imagenet"``.

    Attributes
    ----------
    num_droppable : int
        Operands that drop path applies to: all but the identities.
    """

    def __init__(
        self,
        genotype: GenotypeLike,
        channels: int,
        cells: int,
        classes: int,
        in_channels: int,
        auxiliary: bool = False,
        stem: str = "cifar",
    ) -> None:
        super().__init__()
        c_prev_prev = c_prev = self._add_stem(stem, in_channels, channels)
        self.cells = nn.ModuleList()
        self.auxiliary_head: AuxiliaryHead | None = None
        self._auxiliary_cell = 2 * cells // 3
        self._droppable: list[int] = []
        reduction_prev = stem == "imagenet"
        for i, reduction in enumerate(reductions(cells)):
            channels *= 2 if reduction else 1
            cell = Cell(genotype, c_prev_prev, c_prev, channels, reduction, reduction_prev)
            self.cells.append(cell)
            self._droppable.append(sum(cell.droppable))
            c_prev_prev, c_prev, reduction_prev = c_prev, cell.out_channels, reduction
            if auxiliary and i == self._auxiliary_cell:
                self.auxiliary_head = AuxiliaryHead(c_prev, classes)
        self.classifier = nn.Linear(c_prev, classes)
        self.num_droppable = sum(self._droppable)

    def forward(self, x: Tensor, drop_masks: Any = None) -> tuple[Tensor, Tensor | None]:
        """Return the logits, and the auxiliary ones in training if there is a head.

        Parameters
        ----------
        x : Tensor of shape (N, in_channels, H, W)
            Images.
        drop_masks : array of shape (num_droppable, N), optional
            Factor, 0 or 1/keep, of every sample at the n-th operand that is no identity, counted
            cell by cell in genotype order.
        """
        masks: list[Tensor | None] = [None] * len(self.cells)
        if drop_masks is not None:
            masks = list(torch.split(torch.as_tensor(drop_masks).to(x), self._droppable))
        s0, s1 = self._first_states(x)
        auxiliary: Tensor | None = None
        for i, cell in enumerate(self.cells):
            s0, s1 = s1, cell(s0, s1, masks[i])
            if self.training and i == self._auxiliary_cell and self.auxiliary_head is not None:
                auxiliary = self.auxiliary_head(s1)
        return self.classifier(s1.mean(dim=(2, 3))), auxiliary

    def loss(self, x: Tensor, y: Tensor, drop_masks: Any = None, weight: float = 0.4) -> Tensor:
        """Return the cross-entropy, plus ``weight`` times that of the auxiliary head."""
        logits, auxiliary = self(x, drop_masks)
        loss = F.cross_entropy(logits, y)
        return loss if auxiliary is None else loss + weight * F.cross_entropy(auxiliary, y)
