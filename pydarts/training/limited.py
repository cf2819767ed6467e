# SPDX-License-Identifier: MIT
"""A search whose cell must meet limits: a multiplier that ascends, and the likeliest cell within.

Source: Luo et al., *You Only Search Once: On Lightweight Differentiable Architecture Search for
Resource-Constrained Embedded Platforms*, https://arxiv.org/abs/2208.14446, for the ascent on the
multiplier of ``E[cost] / target - 1``, which reaches a target in one search.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from pydarts.common.errors import ArgumentError
from pydarts.costs.budget import LOWEST, Budget
from pydarts.engine.network import Alphas
from pydarts.methods.darts import Darts
from pydarts.methods.fair_darts import FairDarts
from pydarts.methods.log_weights import alpha_gradient, log_weights
from pydarts.methods.method import Method, SearchStep
from pydarts.methods.mixture import MixtureMethod
from pydarts.methods.named import Selector
from pydarts.methods.perturbation import Perturbation
from pydarts.methods.weighting import weighting_of
from pydarts.spaces.space import Space

#: Share of the limit that the expectation is led to: the middle of what cells may use.
TARGET: Final = (1 + LOWEST) / 2
#: Temperature of the expectation at the end of the search; it falls from 1 as an exponential.
COLDEST: Final = 0.1
#: A ratio that is off by 1 over the whole search moves the multiplier by so much.
ASCENT: Final = 5.0
#: The quadratic term of the augmented Lagrangian, which damps the ascent: without it the ratio
#: swings about its target, because both α and the multiplier add up what drives them.
DAMPING: Final = 30.0
#: Bound on the multiplier.
LARGEST: Final = 10.0
#: Share of the epochs that is repeated where a measurement is above the limit.
LAST_PHASE: Final = 0.2
#: How often it is.
MAX_REPEATS: Final = 2

_BY_MAGNITUDE = (Darts.select, MixtureMethod.select, FairDarts.select)


def check_limitable(method: Method, selector: Selector | None) -> None:
    """Raise ArgumentError if a search by a method and selector cannot be limited: say why."""
    if isinstance(selector, Perturbation):
        problem = f"(={selector.name!r}) decides edge by edge by what the supernet misses, and"
        raise ArgumentError("selector", f"{problem} does not know what is left of a limit")
    if isinstance(method, MixtureMethod) and not method.learns:
        problem = f"(={method.name!r}) learns no α, so that a limit would have nothing to weigh"
        raise ArgumentError("method", f"{problem} costs against")
    if getattr(type(method), "select", None) not in _BY_MAGNITUDE:
        problem = f"(={method.name!r}) chooses the cell in its own way, and not the likeliest one"
        raise ArgumentError("method", f"{problem}, which limits need")


class LimitedMethod:
    """A method with a penalty on α, whose cell is the likeliest one within the limits.

    Parameters
    ----------
    method : Method
    budget : Budget
    steps : int
        Of an epoch.
    """

    def __init__(self, method: Method, budget: Budget, steps: int):
        self.method, self.budget, self.steps = method, budget, steps
        self._weighting = weighting_of(method)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.method, name)

    @property
    def name(self) -> str:
        return self.method.name

    def step(self, supernet: Any, **weight_options: Any) -> LimitedStep:
        return LimitedStep(self, self.method.step(supernet, **weight_options), supernet)

    def select(self, alphas: Alphas, space: Space) -> Any:
        return self.largest_sum(log_weights(alphas, space, self._weighting))

    def largest_sum(self, values: Alphas) -> Any:
        """Return the cell within the limits whose operations have the largest sum of values."""
        found = self.budget.choose(values)
        assert found is not None  # `Budget.check` found one
        return found

    def penalty(self, alphas: Alphas, space: Space, temperature: float) -> Any:
        """Return the largest expected cost over its limit, and its gradient with respect to α;
        None, if every cell is within the limits.
        """
        found = self.budget.ratio(log_weights(alphas, space, self._weighting), temperature)
        if found is None:
            return None
        value, gradient = found
        return value, alpha_gradient(alphas, space, self._weighting, gradient)


class LimitedStep:
    """The step of a method, and then one of α down the gradient of the expected cost.

    With ``U = max E[cost] / limit`` over the limits and λ the multiplier, each step of α is
    followed by ``α <- α - alpha_lr (λ + DAMPING (U - TARGET)) ∇U / max|∇U|``, a step down the
    augmented Lagrangian, and ``λ <- λ + rate (U - TARGET)``. Like decoupled weight decay it does
    not pass through the method's own optimiser, and is the same for all methods. λ is negative
    where the expectation is below what the limit allows.

    Parameters
    ----------
    limited : LimitedMethod
    step : SearchStep
        Of the method.
    supernet : Supernet
    """

    def __init__(self, limited: LimitedMethod, step: SearchStep, supernet: Any):
        self.net, self._limited, self._step = supernet, limited, step
        self._epoch, self._epochs = 0, 1
        self.multiplier, self.repeats, self.settled = 0.0, 0, False
        self.measured: float | None = None
        self._measured_cell = ""

    @property
    def steps(self) -> int:
        return self._step.steps

    def start_epoch(self, epoch: int, epochs: int) -> None:
        self._epoch, self._epochs = epoch, epochs
        self._step.start_epoch(epoch, epochs)

    def __call__(self, **arguments: Any) -> Any:
        info = self._step(**arguments)
        if getattr(self._limited.method, "learns_in", lambda *_: True)(self._epoch, self._epochs):
            self._press()
        return info

    def _press(self) -> None:
        alphas = self.net.alphas
        temperature = COLDEST ** (self._epoch / max(1, self._epochs - 1))
        found = self._limited.penalty(alphas, self.net.space, temperature)
        if found is None:
            return
        ratio, gradient = found
        largest = max(float(np.abs(g).max()) for g in gradient.values())
        if largest > 0:
            strength = self.multiplier + DAMPING * (ratio - TARGET)
            rate = getattr(self._limited.method, "alpha_lr", 0.0) * strength / largest
            self.net.set_alphas({k: a - rate * gradient[k] for k, a in alphas.items()})
        rise = ASCENT * (ratio - TARGET) / (self._epochs * self._limited.steps)
        self.multiplier = float(np.clip(self.multiplier + rise, -LARGEST, LARGEST))

    def settle(self) -> bool:
        """Measure the cell of the present α; where it is above a limit, correct the prediction.

        Returns
        -------
        bool
            Whether the last phase of the search is to be repeated.
        """
        budget, limit = self._limited.budget, self._limited.budget.limits.get("latency")
        if self.settled or limit is None:
            self.settled = True
            return False
        cell = self._limited.select(self.net.alphas, self.net.space)
        measured = self._latency(cell)
        if measured <= limit:
            self.settled = True
            return False
        correction = budget.correction
        budget.correction *= measured / budget.predict(cell)["latency"]
        if self.repeats == MAX_REPEATS or budget.choose(self._values()) is None:
            budget.correction = correction
            self.settled = True
            return False
        self.repeats += 1
        return True

    def describe(self, genotype: Any) -> dict[str, dict[str, float | None]]:
        """Return what a result holds of the limits: of each cost that is known ``limit``,
        ``predicted`` and ``measured``, None where there is none.
        """
        budget = self._limited.budget
        found: dict[str, dict[str, float | None]] = {}
        for name, predicted in budget.predict(genotype).items():
            # What is counted is what it is.
            measured = self._latency(genotype) if name == "latency" else predicted
            limit = budget.limits.get(name)
            found[name] = {"limit": limit, "predicted": predicted, "measured": measured}
        return found

    def _latency(self, genotype: Any) -> float:
        """What was measured of a cell, or is now if that was another one."""
        if self.measured is None or self._measured_cell != str(genotype):
            self.measured = self._limited.budget.measure(genotype)
            self._measured_cell = str(genotype)
        return self.measured

    def _values(self) -> Alphas:
        return log_weights(self.net.alphas, self.net.space, weighting_of(self._limited.method))

    def state(self) -> dict[str, Any]:
        return {
            **self._step.state(),
            "multiplier": self.multiplier,
            "repeats": self.repeats,
            "settled": self.settled,
            "measured": self.measured,
            "measured_cell": self._measured_cell,
            "budget": self._limited.budget.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self._step.restore(state)
        self.multiplier, self.repeats = state["multiplier"], state["repeats"]
        self.settled, self.measured = state["settled"], state["measured"]
        self._measured_cell = state["measured_cell"]
        self._limited.budget.restore(state["budget"])


def phase_epochs(epochs: int) -> int:
    """Epochs of the phase that is repeated."""
    return max(1, math.ceil(LAST_PHASE * epochs))
