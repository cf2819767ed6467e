# SPDX-License-Identifier: MIT
"""Plain PyTorch reference of DARTS, convolutional and recurrent, and of NAS-Bench-201.

It is the float64 oracle of the tests and the contender of the benchmarks: short, without
tricks, and with the parameter names of pydarts, so that states pass between the two as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from .bilevel import SearchStep, StepInfo, arch_gradient
from .derived import Network
from .nas_bench_201 import NAS_BENCH_201_OPERATIONS, NasBench201Network, NasBench201Supernet
from .one_dimensional import Supernet1d, one_dimensional
from .operations import OPERATIONS, PRIMITIVES, frozen_statistics
from .recurrent import (
    RecurrentNetwork,
    RecurrentSearchStep,
    RecurrentStepInfo,
    RecurrentSupernet,
    recurrent_arch_gradient,
)
from .search import SearchNetwork, Supernet

__all__ = [
    "NAS_BENCH_201_OPERATIONS",
    "OPERATIONS",
    "PRIMITIVES",
    "NasBench201Network",
    "NasBench201Supernet",
    "Network",
    "RecurrentNetwork",
    "RecurrentSearchStep",
    "RecurrentStepInfo",
    "RecurrentSupernet",
    "SearchNetwork",
    "SearchStep",
    "StepInfo",
    "Supernet",
    "Supernet1d",
    "arch_gradient",
    "frozen_statistics",
    "load_state",
    "loss_and_grads",
    "one_dimensional",
    "recurrent_arch_gradient",
    "set_alphas",
    "state",
]

Arrays = dict[str, NDArray[Any]]


def state(net: nn.Module) -> Arrays:
    """Return copies of weights and running statistics by name."""
    return {name: t.detach().cpu().numpy().copy() for name, t in net.state_dict().items()}


def load_state(net: nn.Module, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Copy arrays into weights and running statistics; names and shapes must match exactly."""
    own = net.state_dict()
    if own.keys() != arrays.keys():
        raise KeyError(f"names differ: {sorted(own.keys() ^ arrays.keys())}")
    for name, tensor in own.items():
        if tuple(tensor.shape) != arrays[name].shape:
            raise ValueError(f"`{name}`: {arrays[name].shape} where {tuple(tensor.shape)} is due")
        tensor.copy_(torch.tensor(arrays[name]))


def set_alphas(net: SearchNetwork | RecurrentSupernet, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Copy all alphas into ``net``."""
    with torch.no_grad():
        for name, alpha in net.alphas.items():
            alpha.copy_(torch.tensor(arrays[name]))


def loss_and_grads(
    net: SearchNetwork | Network | NasBench201Network,
    x: NDArray[Any],
    y: NDArray[Any],
    drop_masks: Any = None,
) -> tuple[float, dict[str, Arrays]]:
    """Return the training loss and its gradients in the form that pydarts gives them.

    A weight that the loss does not depend on gets a zero gradient.
    """
    weights = dict(net.named_parameters())
    alphas = net.alphas if isinstance(net, SearchNetwork) else {}
    images = torch.tensor(x, dtype=next(iter(weights.values())).dtype)
    labels = torch.tensor(y)
    with frozen_statistics(net):
        if isinstance(net, SearchNetwork):
            loss = F.cross_entropy(net(images), labels)
        else:
            loss = net.loss(images, labels, drop_masks)
    grads = torch.autograd.grad(
        loss, (*weights.values(), *alphas.values()), allow_unused=True, materialize_grads=True
    )
    arrays = [g.numpy() for g in grads]
    return loss.item(), {
        "weights": dict(zip(weights, arrays, strict=False)),
        "alphas": dict(zip(alphas, arrays[len(weights) :], strict=True)),
    }
