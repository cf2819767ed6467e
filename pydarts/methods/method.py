# SPDX-License-Identifier: MIT
"""What a search method is: what one step does to α and w, and which cell is chosen at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pydarts.common.errors import ArgumentError
from pydarts.engine.network import Alphas
from pydarts.methods.bilevel import StepInfo
from pydarts.spaces.genotype import BaseGenotype
from pydarts.spaces.space import Space


class SearchStep(Protocol):
    """A step of a search on one supernet; its state is all that steps change."""

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        ...

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Take note that an epoch begins, from 0, or is taken up again."""
        ...

    def __call__(self, *, train: Any, valid: Any, lr: float, hidden: Any = None) -> StepInfo: ...

    def state(self) -> dict[str, Any]: ...

    def restore(self, state: Mapping[str, Any]) -> None: ...


class Method(Protocol):
    """How α is learned and a cell chosen; a value without state of its own."""

    @property
    def name(self) -> str:
        """For people and checkpoints."""
        ...

    def step(self, supernet: Any, **weight_options: Any) -> SearchStep:
        """Make the step on a supernet; ``weight_options`` are those of the weights' SGD and of the
        loss, which the task knows.
        """
        ...

    def select(self, alphas: Alphas, space: Space) -> BaseGenotype:
        """Choose the cell that α stands for."""
        ...


def supernet_options(method: Method, kind: str) -> Mapping[str, Any]:
    """Return the options that a method wants its supernet to be built with: its attribute
    `supernet_options`, if it has one.

    Parameters
    ----------
    method : Method
    kind : str
        Of the supernet's space.

    Raises
    ------
    ValueError
        If supernets of that kind have no such options.
    """
    options: Mapping[str, Any] = getattr(method, "supernet_options", {})
    if options and kind != "convolutional":
        names = ", ".join(f"`{name}`" for name in options)
        problem = f"(={method.name!r}) needs a supernet with {names}, which those over text lack"
        raise ArgumentError("method", problem)
    return options
