# SPDX-License-Identifier: MIT
"""The search network for signals: images of height 1, and windows 1×k for k×k."""

from __future__ import annotations

from typing import Any

from torch import nn

from .search import Supernet


def _width(sides: Any) -> int:
    width: int = sides if isinstance(sides, int) else sides[1]
    return width


def one_dimensional(net: nn.Module) -> nn.Module:
    """Make every k×k window 1×k, in place, with its stride along the width alone.

    What was a convolution is drawn anew, by PyTorch's default for its new shape.
    """
    for module in net.modules():
        if not isinstance(module, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
            continue
        module.kernel_size = (1, _width(module.kernel_size))
        module.stride = (1, _width(module.stride))
        module.padding = (0, _width(module.padding))
        if isinstance(module, nn.Conv2d):
            module.weight = nn.Parameter(module.weight.detach()[:, :, :1].clone())
            module.reset_parameters()
    return net


class Supernet1d(Supernet):
    """Search network over the eight candidates of the DARTS space as 1×k ones.

    PyTorch turns a 1-D convolution into a 2-D one of height 1, which is what stands here at once:
    so it can also be had channels-last, and takes the shapes of pydarts.

    Parameters
    ----------
    channels, cells, classes, in_channels : int
        As in `Supernet`; the network takes signals (N, in_channels, 1, L).
    """

    def __init__(self, channels: int, cells: int, classes: int, in_channels: int) -> None:
        super().__init__(channels, cells, classes, in_channels)
        one_dimensional(self)
