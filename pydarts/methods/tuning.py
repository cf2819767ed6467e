# SPDX-License-Identifier: MIT
"""The step of a search whose cell is chosen by perturbation: the method's, then the tuning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from pydarts.common.errors import ArgumentError
from pydarts.engine.network import Alphas
from pydarts.methods.adam import Adam
from pydarts.methods.darts import Darts
from pydarts.methods.method import Method, SearchStep
from pydarts.methods.mixture import Mixture, MixtureMethod, MixtureStep, Moment
from pydarts.methods.perturbation import Decision, Perturbation, Selection, active_of
from pydarts.methods.weighting import candidates
from pydarts.spaces.space import Space


class _Tuned:
    """A method whose decided edges are decided: their operation alone, and α as it is."""

    def __init__(self, method: MixtureMethod, selection: Selection):
        self._method, self._selection = method, selection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._method, name)

    def mixture(self, alphas: Alphas, moment: Moment) -> Mixture:
        return self._fixed(self._method.mixture(alphas, moment))

    def weights_mixture(self, alphas: Alphas, moment: Moment) -> Mixture:
        return self._fixed(self._method.weights_mixture(alphas, moment))

    def alpha_gradient(self, alphas: Alphas, d_mixing: Alphas, moment: Moment) -> Alphas:
        found = self._method.alpha_gradient(alphas, d_mixing, moment)
        return self._kept(found, {name: np.zeros_like(g) for name, g in found.items()})

    def update(self, alphas: Alphas, gradient: Alphas, adam: Adam, space: Space) -> Alphas:
        return self._kept(self._method.update(alphas, gradient, adam, space), alphas)

    def _fixed(self, mixture: Mixture) -> Mixture:
        return self._selection.fixed(mixture) if self._selection.decisions else mixture

    def _kept(self, moved: Alphas, before: Alphas) -> Alphas:
        """What moved, but of the decided edges what was before."""
        found = {name: np.array(a) for name, a in moved.items()}
        for cell in self._selection.space.cells:
            rows = self._selection.decided_rows(cell)
            found[cell.name][rows] = before[cell.name][rows]
        return found


class Evaluated(Protocol):
    """The data of a search, as far as a round needs them."""

    def evaluate(
        self, network: Any, mixing: Alphas, active: Alphas | None, batches: int | None
    ) -> tuple[float, float | None]: ...


class PerturbationStep:
    """The step of a method, and from the first round on that of the tuning, of first order.

    Parameters
    ----------
    method : Method
    selector : Perturbation
    supernet : Supernet
    **weight_options
        As of `Method.step`.

    Raises
    ------
    ValueError
        If the cell cannot be chosen by perturbation: says why.
    """

    def __init__(
        self, method: Method, selector: Perturbation, supernet: Any, **weight_options: Any
    ):
        names = [cell.name for cell in supernet.space.cells]
        if set(supernet.alphas) != set(names):
            problem = "(='perturbation') cannot tell what edges with weights of their own are worth"
            raise ArgumentError("selector", problem)
        self.selection = Selection(selector, supernet.space)
        self.net, self._weight_options = supernet, weight_options
        self._method = first_order(method)
        tuned: Any = _Tuned(self._method, self.selection)
        self._tuned = tuned
        self._step: SearchStep = method.step(supernet, **weight_options)
        self._epochs, self._steps_before = 1, 0
        self._uses_own = isinstance(self._step, MixtureStep)
        if isinstance(self._step, MixtureStep):
            self._step.replace_method(tuned)

    @property
    def steps(self) -> int:
        return self._steps_before + self._step.steps

    @property
    def tuning(self) -> bool:
        """Whether the rounds have begun."""
        return bool(self.selection.decisions)

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Schedules of a method are over when tuning begins."""
        self._epochs = epochs
        self._step.start_epoch(min(epoch, epochs), epochs)

    def __call__(self, **arguments: Any) -> Any:
        return self._step(**arguments)

    def mixture(self) -> Mixture:
        """The mixture that α and the decisions stand for."""
        return self.selection.fixed(self._whole())

    def decide(self, data: Evaluated, epoch: int, epochs: int) -> list[Decision]:
        """Play the next round, when so many epochs are done, and begin its tuning; return its
        decisions.
        """
        self.start_epoch(epochs, epochs)

        def evaluate(mixture: Mixture) -> tuple[float, float | None]:
            active = mixture.active if self.net.skips_inactive else None
            batches = self.selection.selector.batches
            return data.evaluate(self.net, mixture.mixing, active, batches)

        found = self.selection.decide(self._whole(), epoch, evaluate)
        self._begin_tuning()
        self._step.state()["buffer"][:] = 0
        return found

    def decided_mixture(self) -> Mixture:
        """The mixture as it would be if all edges were decided by magnitude: for estimates."""
        whole = self._whole()
        mixing, active = dict(whole.mixing), active_of(whole, self.net.space)
        for cell in self.net.space.cells:
            m = whole.mixing[cell.name]
            on = np.zeros(m.shape, np.bool_)
            for row in range(len(m)):
                kept = candidates(cell, row)
                on[row, max(kept, key=lambda k, row=row: float(m[row, k]))] = True  # type: ignore[misc]
            mixing[cell.name], active[cell.name] = on.astype(np.float64), on
        return Mixture(mixing, active)

    def try_tuning(self, mixture: Mixture, inputs: Mapping[str, Any]) -> None:
        """Take the passes of a step of tuning at a mixture, and change nothing: for estimates."""
        active = mixture.active if self.net.skips_inactive else None
        (x, y), (x_valid, y_valid) = inputs["train"], inputs["valid"]
        more: dict[str, Any] = {} if active is None else {"active": active}
        self.net.loss_and_grads(x, y, wrt="weights", mixing=mixture.mixing, **more)
        if self._method.learns:
            self.net.mixing_gradient(x_valid, y_valid, mixture.mixing, active)

    def state(self) -> dict[str, Any]:
        own = {"decisions": self.selection.decisions, "steps_before": self._steps_before}
        return {**self._step.state(), **own}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.selection.decisions = state["decisions"]
        if self.tuning:
            self._begin_tuning()
        self._steps_before = state["steps_before"]
        self._step.restore(state)

    def _whole(self) -> Mixture:
        rng = np.random.default_rng(self.selection.selector.seed)
        moment = Moment(self.net.space, self._epochs, self._epochs, rng)
        return self._method.mixture(self.net.alphas, moment)

    def _begin_tuning(self) -> None:
        if not self._uses_own:
            self._steps_before, self._uses_own = self._step.steps, True
            self._step = MixtureStep(self.net, self._tuned, **self._weight_options)
            self._step.start_epoch(self._epochs, self._epochs)


def first_order(method: Method) -> MixtureMethod:
    """Return the method of first order by which a supernet of a method is tuned.

    Raises
    ------
    ValueError
        If the cell of such a supernet cannot be chosen by perturbation: says why.
    """
    if isinstance(method, Darts):
        return method.first_order()
    if not isinstance(method, MixtureMethod):
        problem = f"(='perturbation') does not know from which mixture `method` (={method.name!r})"
        raise ArgumentError("selector", f"{problem} learns: it is no `MixtureMethod`")
    if method.no_perturbation is not None:
        problem = f"(='perturbation') does not go with `method` (={method.name!r})"
        raise ArgumentError("selector", f"{problem}: {method.no_perturbation}")
    return method


def search_step(
    method: Method, selector: Perturbation | None, supernet: Any, options: Mapping[str, Any]
) -> Any:
    """Return the step of a method, with the tuning of a selector if there is one."""
    if selector is None:
        return method.step(supernet, **options)
    return PerturbationStep(method, selector, supernet, **options)
