# SPDX-License-Identifier: MIT
"""A small residual network in PyTorch, and its training in a given time.

Three stages of one block each: He, Zhang, Ren, Sun, https://arxiv.org/abs/1512.03385. With 16, 32
and 64 filters it has some 78,000 weights.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

Augment = Callable[[NDArray[Any], np.random.Generator], NDArray[Any]]


class Block(nn.Module):
    """``relu(x' + bn(conv(relu(bn(conv(x))))))``, where x' is x, projected if the shapes differ."""

    def __init__(self, before: int, filters: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(before, filters, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(filters)
        self.project: nn.Module = nn.Identity()
        if stride != 1 or before != filters:
            self.project = nn.Sequential(
                nn.Conv2d(before, filters, 1, stride, bias=False), nn.BatchNorm2d(filters)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + self.project(x))


class ResNet8(nn.Module):
    """Convolution, three blocks at full, half and quarter resolution, mean, classifier."""

    def __init__(self, filters: tuple[int, int, int], channels: int, classes: int):
        super().__init__()
        first, second, third = filters
        self.body = nn.Sequential(
            nn.Conv2d(channels, first, 3, 1, 1, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            Block(first, first, 1),
            Block(first, second, 2),
            Block(second, third, 2),
        )
        self.classifier = nn.Linear(third, classes)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.classifier(self.body(x).mean(dim=(2, 3)))
        return y


@dataclass(frozen=True)
class Recipe:
    """SGD with Nesterov momentum, a rate that rises and falls by the step, smoothed labels."""

    batch_size: int = 64
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 3e-4
    label_smoothing: float = 0.1
    warmup: float = 0.1
    margin: float = 0.07  # of the time, for what is slower than it was measured


def train(
    filters: tuple[int, int, int],
    x: NDArray[Any],
    y: NDArray[Any],
    augment: Augment,
    deadline: float,
    recipe: Recipe,
    seed: int,
) -> tuple[ResNet8, int, int]:
    """Train as many steps as fit before ``deadline``, a `time.perf_counter`.

    Parameters
    ----------
    filters : tuple of int
    x, y : ndarray
        Normalised images (N, C, H, W), and labels from 0.
    augment : callable
    deadline : float
    recipe : Recipe
    seed : int

    Returns
    -------
    tuple
        The network, the steps that were planned, the steps that were taken.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    labels = torch.from_numpy(y.astype(np.int64))
    size = min(recipe.batch_size, len(x))
    per_epoch = len(x) // size

    def build() -> tuple[ResNet8, torch.optim.SGD]:
        net = ResNet8(filters, x.shape[1], int(y.max()) + 1)
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        options: dict[str, Any] = {"momentum": recipe.momentum, "nesterov": True}
        weight_decay = recipe.weight_decay
        return net, torch.optim.SGD(net.parameters(), 0.0, weight_decay=weight_decay, **options)

    def step(net: ResNet8, sgd: torch.optim.SGD, batch: NDArray[Any], lr: float) -> None:
        images = torch.from_numpy(augment(x[batch], rng))
        images = images.contiguous(memory_format=torch.channels_last)
        for group in sgd.param_groups:
            group["lr"] = lr
        sgd.zero_grad()
        smoothing = recipe.label_smoothing
        loss = F.cross_entropy(net(images), labels[batch], label_smoothing=smoothing)
        torch.autograd.backward(loss)
        sgd.step()

    trial, seconds, begun = build(), list[float](), time.perf_counter()
    while len(seconds) < 8 and (len(seconds) < 3 or time.perf_counter() - begun < 2):
        start = time.perf_counter()
        step(*trial, np.arange(size), 0.0)
        seconds.append(time.perf_counter() - start)
    usable = (deadline - time.perf_counter()) * (1 - recipe.margin)
    total, done = max(1, int(usable / median(seconds[2:]))), 0
    net, sgd = build()
    rise = recipe.warmup * total
    while done < total and time.perf_counter() < deadline:
        if done % per_epoch == 0:
            order = rng.permutation(len(x))
        at = done % per_epoch * size
        fall = math.pi * max(0.0, done - rise) / (total - rise)
        share = min((done + 1) / rise, 1.0) if done < rise else (1 + math.cos(fall)) / 2
        step(net, sgd, order[at : at + size], recipe.lr * share)
        done += 1
    return net, total, done


def accuracy(net: ResNet8, x: NDArray[Any], y: NDArray[Any]) -> float:
    """Return the share of correct predictions."""
    net.eval()
    with torch.no_grad():
        found = [
            net(torch.from_numpy(x[at : at + 500])).argmax(dim=1) for at in range(0, len(x), 500)
        ]
    return float((torch.cat(found).numpy() == y).mean())
