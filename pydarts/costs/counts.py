# SPDX-License-Identifier: MIT
"""What can be counted of a derived network: multiply-adds, weights, and the memory of inference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydarts import _core
from pydarts.costs.native import native
from pydarts.costs.shape import NetworkShape, Place
from pydarts.spaces.space import Space


@dataclass(frozen=True)
class Counts:
    """What can be counted of a derived network.

    Attributes
    ----------
    macs : int
        Multiply-adds of convolutions and the classifier for one image. Normalisations are part of
        the convolutions in inference; sums of edges and pooling are not counted.
    weights : int
        All that is trained, an auxiliary head left out.
    memory : int
        Bytes of the activations in inference, of one image in float32, at the moment that has the
        most of them: cell after cell, node after node, an edge after the other. What is normalised
        or passed through a ReLU stays in its place; an output of a cell is held until its last
        reader is done. Weights are not in it.
    """

    macs: int
    weights: int
    memory: int


def count_network(genotype: Any, shape: NetworkShape) -> Counts:
    """Count what the network of a genotype costs.

    Parameters
    ----------
    genotype : Genotype
    shape : NetworkShape

    Returns
    -------
    Counts
    """
    return Counts(*_core.count_network(genotype.to_json(), shape.sizes))


def count_fixed(space: Space, shape: NetworkShape) -> Counts:
    """Count what all networks of a space have: one whose edges all carry ``none``."""
    return Counts(*_core.count_fixed(native(space), shape.sizes))


def count_operation(space: Space, place: Place) -> Counts:
    """Count what an operation costs at a place, its input and output included."""
    return Counts(*_core.count_operation(native(space), place))
