# SPDX-License-Identifier: MIT
"""Search methods that make the mixing weights themselves: what they share.

A step of first order has two halves: α learns by ``grad_m L_valid(w, m)``, where ``m`` are the
mixing weights that the method makes of α, and the weights by SGD with mixing weights of their own.
A method says how mixing weights are made of α, and how a gradient with respect to them becomes one
with respect to α; each is a few lines that read like its formula.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from pydarts import _core
from pydarts.common.checks import integer, number
from pydarts.engine.network import Alphas, BaseSupernet, MixingGradient
from pydarts.engine.sgd import SGD, SGDInfo
from pydarts.methods.adam import Adam
from pydarts.methods.bilevel import Batch, Hidden, StepInfo
from pydarts.spaces.genotype import BaseGenotype
from pydarts.spaces.space import Space


class Mixture(NamedTuple):
    """Mixing weights, and which operations are computed at all; None: all are."""

    mixing: Alphas
    active: Alphas | None = None


class Moment(NamedTuple):
    """A step of a search, as a method sees it.

    Attributes
    ----------
    space : Space
    epoch, epochs : int
        The epoch t, from 0, of T.
    rng : Generator
        Of this half of this step: the same in a search that is taken up again.
    """

    space: Space
    epoch: int
    epochs: int
    rng: np.random.Generator

    @property
    def progress(self) -> float:
        """t / T."""
        return self.epoch / self.epochs


@dataclass(frozen=True, kw_only=True)
class MixtureMethod:
    """A search method of first order whose mixing weights are its own.

    Attributes
    ----------
    alpha_lr : float
    alpha_betas : tuple of (float, float)
    alpha_weight_decay : float
        Of the Adam of α.
    seed : int
        Of what a method draws.
    """

    alpha_lr: float = 3e-4
    alpha_betas: tuple[float, float] = (0.5, 0.999)
    alpha_weight_decay: float = 1e-3
    seed: int = 0

    #: Whether α learns at all; if not, there are no passes over the validation data.
    learns: ClassVar[bool] = True
    #: Whether the weights' half of a step comes first.
    weights_first: ClassVar[bool] = False
    #: How mixing weights are made of α, for entropies and reports: one of `WEIGHTINGS`.
    weighting: ClassVar[str] = "softmax"
    #: Why the cell cannot be chosen by perturbation, if it cannot.
    no_perturbation: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        number("alpha_lr", self.alpha_lr, positive=True)
        number("alpha_weight_decay", self.alpha_weight_decay)
        integer("seed", self.seed, 0)

    @property
    def name(self) -> str:
        raise NotImplementedError

    @classmethod
    def from_config(cls, config: Any) -> MixtureMethod:
        """Return the method with the options of a search's configuration."""
        return cls(
            alpha_lr=config.alpha_lr,
            alpha_betas=config.alpha_betas,
            alpha_weight_decay=config.alpha_weight_decay,
            seed=config.seed,
        )

    def start(self, alphas: Alphas) -> Alphas:
        """Return α to begin with; by default the network's own, ``1e-3 N(0, 1)``."""
        return alphas

    @property
    def supernet_options(self) -> Mapping[str, Any]:
        """What its supernet is to be built with, beside what the configuration says."""
        return {}

    def learns_in(self, epoch: int, epochs: int) -> bool:
        """Whether α learns in the epoch t, from 0, of T."""
        return self.learns

    def start_epoch(self, supernet: BaseSupernet[Any], epoch: int, epochs: int) -> None:
        """Prepare the supernet for an epoch t, from 0, of T; by default there is nothing to do."""

    def mixture(self, alphas: Alphas, moment: Moment) -> Mixture:
        """Return the mixing weights with which α learns; by default their softmax."""
        return Mixture(softmax(alphas, moment.space))

    def weights_mixture(self, alphas: Alphas, moment: Moment) -> Mixture:
        """Return the mixing weights with which the weights learn; by default as α does."""
        return self.mixture(alphas, moment)

    def alpha_gradient(self, alphas: Alphas, d_mixing: Alphas, moment: Moment) -> Alphas:
        """Turn ``d L/d m`` into ``d L/d α``.

        The moment is that of `mixture`: what it drew can be drawn again.
        """
        p = softmax(alphas, moment.space)
        return {name: _through_softmax(p[name], d) for name, d in d_mixing.items()}

    def update(self, alphas: Alphas, gradient: Alphas, adam: Adam, space: Space) -> Alphas:
        """Return α after a step down the gradient; by default Adam's."""
        flat, down = (
            np.concatenate([each[name].ravel() for name in alphas]) for each in (alphas, gradient)
        )
        adam.step(flat, down)
        ends = np.cumsum([a.size for a in alphas.values()])[:-1]
        parts = np.split(flat, ends)
        return {
            name: part.reshape(a.shape)
            for (name, a), part in zip(alphas.items(), parts, strict=True)
        }

    def step(self, supernet: BaseSupernet[Any], **weight_options: Any) -> MixtureStep:
        return MixtureStep(supernet, self, **weight_options)

    def select(self, alphas: Alphas, space: Space) -> BaseGenotype:
        return space.derive(alphas)


def softmax(alphas: Alphas, space: Space) -> Alphas:
    """Return the softmax of α over the operations of each edge, in float64.

    Where edges have weights of their own, those as well: over the edges into each node.
    """
    found = {cell.name: cell.mixing_weights(alphas[cell.name]) for cell in space.cells}
    own = [cell for cell in space.cells if cell.edge_group in alphas]
    return {
        **found,
        **{cell.edge_group: cell.edge_weights(alphas[cell.edge_group]) for cell in own},
    }


def _through_softmax(p: Any, gradient: Any) -> Any:
    return p * (gradient - (p * gradient).sum(axis=1, keepdims=True))


# What `SGD` takes of a task's options; the network has defaults of the first ones.
_DEFAULTED = ("momentum", "weight_decay", "max_grad_norm")
_OF_SGD = (*_DEFAULTED, "ar", "tar")


class MixtureStep:
    """A whole step of first order: α by the method, then the weights by SGD at the new α.

    Parameters
    ----------
    supernet : Supernet
    method : MixtureMethod
    **weight_options
        Of the weights' SGD; those of a second order are of no meaning here.
    """

    def __init__(self, supernet: BaseSupernet[Any], method: MixtureMethod, **weight_options: Any):
        self.net, self._method = supernet, method
        default = supernet.step_defaults
        own = {name: getattr(default, name) for name in _DEFAULTED}
        options = {**own, **weight_options}
        self._sgd = SGD(supernet, **{name: options[name] for name in _OF_SGD if name in options})
        self._epoch, self._epochs, self._steps = 0, 1, 0
        size = supernet.flat_alphas.size
        lr, betas, decay = method.alpha_lr, method.alpha_betas, method.alpha_weight_decay
        self._adam = Adam(size, lr, betas, decay)
        supernet.set_alphas(method.start(supernet.alphas))

    def replace_method(self, method: MixtureMethod) -> None:
        """Go on with another method, with optimisers as they are."""
        self._method = method

    @property
    def steps(self) -> int:
        return self._sgd.steps

    def start_epoch(self, epoch: int, epochs: int) -> None:
        self._epoch, self._epochs = epoch, epochs
        self._method.start_epoch(self.net, epoch, epochs)

    def __call__(
        self, *, train: Batch, valid: Batch, lr: float, hidden: Hidden | None = None
    ) -> StepInfo:
        """Take one step.

        If it fails or is interrupted, weights and α are as before it.
        """
        before = copy.deepcopy(self.state())  # the second half may fail when the first has moved
        try:
            return self._step(train, valid, lr, (None, None) if hidden is None else hidden)
        except BaseException:
            self.restore(before)
            raise

    def state(self) -> dict[str, Any]:
        return {**self._sgd.state(), **self._adam.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._sgd.restore(state)
        self._adam.restore(state)

    def _step(self, train: Batch, valid: Batch, lr: float, states: Hidden) -> StepInfo:
        self._steps = self.steps
        if self._method.weights_first:
            info = self._step_weights(train, lr, states[0])
            evaluated, norm = self._step_alpha(valid, states[1])
        else:
            evaluated, norm = self._step_alpha(valid, states[1])
            info = self._step_weights(train, lr, states[0])
        return StepInfo(
            info.train_loss,
            evaluated.loss if evaluated else None,
            info.train_correct,
            evaluated.correct if evaluated else None,
            info.gradient_norm,
            norm,
            info.hidden,
            evaluated.hidden if evaluated else None,
        )

    def _moment(self, half: int) -> Moment:
        rng = np.random.default_rng((self._method.seed, self._steps, half))
        return Moment(self.net.space, self._epoch, self._epochs, rng)

    def _step_weights(self, train: Batch, lr: float, hidden: Any) -> SGDInfo:
        mixture = self._method.weights_mixture(self.net.alphas, self._moment(1))
        active = mixture.active if self.net.skips_inactive else None
        return self._sgd(*train, lr, hidden=hidden, mixing=mixture.mixing, active=active)

    def _step_alpha(self, valid: Batch, hidden: Any) -> tuple[MixingGradient | None, float]:
        """Move α; return what was evaluated, and the norm of the gradient with respect to α."""
        method, alphas = self._method, self.net.alphas
        if not method.learns_in(self._epoch, self._epochs):
            return None, 0.0
        mixing, active = method.mixture(alphas, self._moment(0))
        active = active if self.net.skips_inactive else None
        evaluated = self.net.mixing_gradient(*valid, mixing, active, hidden)
        found = method.alpha_gradient(alphas, evaluated.gradient, self._moment(0))
        norm = math.sqrt(math.fsum(float((g * g).sum()) for g in found.values()))
        if not math.isfinite(norm):
            problem = f"step {self._steps}: the gradient with respect to α is not finite"
            raise _core.NonFinite(problem)
        self.net.set_alphas(method.update(alphas, found, self._adam, self.net.space))
        return evaluated, norm
