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
    """Convolution, three blocks at full, half and quarter resolution, mean, classifier.

    With ``halvings`` there are so many convolutions in place of the first, each of stride 2.
    """

    def __init__(
        self, filters: tuple[int, int, int], channels: int, outputs: int, halvings: int = 0
    ):
        super().__init__()
        first, second, third = filters
        stem: list[nn.Module] = []
        for stride in (2,) * halvings or (1,):
            stem.append(nn.Conv2d(channels, first, 3, stride, 1, bias=False))
            stem += [nn.BatchNorm2d(first), nn.ReLU()]
            channels = first
        self.body = nn.Sequential(
            *stem,
            Block(first, first, 1),
            Block(first, second, 2),
            Block(second, third, 2),
        )
        self.classifier = nn.Linear(third, outputs)

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
    max_grad_norm: float | None = None
    margin: float = 0.07  # of the time, for what is slower than it was measured


def loss_of(kind: str, logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the mean loss of a batch.

    Parameters
    ----------
    kind : {"cross-entropy", "sigmoid", "mse"}
    logits : Tensor, shape (N, outputs)
    targets : Tensor
        Classes (N,), or labels of 0 and 1 or numbers (N, outputs).
    smoothing : float
        The share of a class that is spread evenly over all, and of a label over yes and no.
    """
    if kind == "cross-entropy":
        return F.cross_entropy(logits, targets, label_smoothing=smoothing)
    if kind == "sigmoid":
        smoothed = (1 - smoothing) * targets + smoothing / 2
        return F.binary_cross_entropy_with_logits(logits, smoothed)
    return F.mse_loss(logits, targets)


def train(
    filters: tuple[int, int, int],
    x: NDArray[Any],
    y: NDArray[Any],
    augment: Augment,
    deadline: float,
    recipe: Recipe,
    seed: int,
    loss: str = "cross-entropy",
    halvings: int = 0,
) -> tuple[ResNet8, int, int]:
    """Train as many steps as fit before ``deadline``, a `time.perf_counter`.

    Parameters
    ----------
    filters : tuple of int
    x, y : ndarray
        Normalised images (N, C, H, W), and targets as `loss_of` takes them; classes from 0.
    augment : callable
    deadline : float
    recipe : Recipe
    seed : int
    loss : str
        As of `loss_of`.
    halvings : int
        Of the network.

    Returns
    -------
    tuple
        The network, the steps that were planned, the steps that were taken.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    classes = loss == "cross-entropy"
    targets = torch.from_numpy(y.astype(np.int64 if classes else np.float32))
    outputs = int(y.max()) + 1 if classes else y.shape[1]
    size = min(recipe.batch_size, len(x))
    per_epoch = len(x) // size

    def build() -> tuple[ResNet8, torch.optim.SGD]:
        net = ResNet8(filters, x.shape[1], outputs, halvings)
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
        found = loss_of(loss, net(images), targets[batch], recipe.label_smoothing)
        torch.autograd.backward(found)
        if recipe.max_grad_norm is not None:
            nn.utils.clip_grad_norm_(net.parameters(), recipe.max_grad_norm)
        sgd.step()

    trial, seconds, begun = build(), list[float](), time.perf_counter()
    # The first steps are slower than the others, so small ones are measured for half a second.
    while len(seconds) < 3 or begun + (0.5 if len(seconds) >= 8 else 2) > time.perf_counter():
        start = time.perf_counter()
        step(*trial, np.arange(size), 0.0)
        seconds.append(time.perf_counter() - start)
    usable = (deadline - time.perf_counter()) * (1 - recipe.margin)
    total, done = max(1, int(usable / median(seconds[len(seconds) // 2 :]))), 0
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


def logits(net: ResNet8, x: NDArray[Any]) -> NDArray[Any]:
    """Return the outputs of a network, with its running statistics."""
    net.eval()
    with torch.no_grad():
        found = [net(torch.from_numpy(x[at : at + 500])) for at in range(0, len(x), 500)]
    return torch.cat(found).numpy()


def accuracy(net: ResNet8, x: NDArray[Any], y: NDArray[Any]) -> float:
    """Return the share of correct predictions."""
    return float((logits(net, x).argmax(axis=1) == y).mean())
