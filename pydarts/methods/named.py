# SPDX-License-Identifier: MIT
"""All search methods by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from pydarts.common.checks import choice, no_class
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.methods.beta_darts import BetaDarts
from pydarts.methods.darts import Darts
from pydarts.methods.darts_minus import DartsMinus
from pydarts.methods.fair_darts import FairDarts
from pydarts.methods.finalists import Finalists
from pydarts.methods.fixed import Fixed
from pydarts.methods.gaea import Gaea
from pydarts.methods.gdas import Gdas
from pydarts.methods.method import Method
from pydarts.methods.mixture import MixtureMethod
from pydarts.methods.pc_darts import PcDarts
from pydarts.methods.perturbation import Perturbation
from pydarts.methods.smooth_darts import SmoothDarts
from pydarts.methods.tuning import first_order
from pydarts.spaces.space import Space

#: The methods, each made from a search's configuration.
METHODS: Final[Mapping[str, type[Darts] | type[MixtureMethod]]] = {
    "darts": Darts,
    "beta-darts": BetaDarts,
    "smooth-darts": SmoothDarts,
    "fair-darts": FairDarts,
    "gdas": Gdas,
    "gaea": Gaea,
    "darts-minus": DartsMinus,
    "pc-darts": PcDarts,
    "fixed": Fixed,
}


#: How α is learned where no method is named. Under limits on what the network costs it is the other
#: one, whose cells were not shown to be worse than random ones of the same latency, as those of the
#: usual one were (docs/device.md); but not where a cell may hold ``none``, which it likes to keep.
USUAL, UNDER_LIMITS = "darts", "gdas"
#: Names for a method together with selection by perturbation.
PAIRS: Final[Mapping[str, str]] = {"fixed-pt": "fixed", "darts-pt": "darts"}
#: All names that a search takes.
METHOD_NAMES: Final = (*METHODS, *PAIRS)
#: The names of what can choose the cell.
SELECTORS: Final = ("magnitude", "perturbation", "finalists")
#: What chooses the cell, if it is not the method.
Selector = Perturbation | Finalists


def own_options(method: Method, config: Any) -> dict[str, Any] | None:
    """Return the options of a method by which it differs from the one that its name alone gives.

    Parameters
    ----------
    method : Method
    config : Config
        Of the search, which holds the other options.

    Returns
    -------
    dict or None
        None: it does not differ, or is one of the user's own, whose name says all.
    """
    kind = METHODS.get(method.name)
    if kind is None or not isinstance(method, kind):
        return None
    usual, own = dataclasses.asdict(kind.from_config(config)), dataclasses.asdict(method)
    # A class that is derived from the method's may have more of them.
    new = own.keys() - usual.keys()
    return {n: value for n, value in own.items() if n in new or value != usual[n]} or None


def as_method(value: str | Method | None, config: Any, limited: Space | None = None) -> Method:
    """Return a method from its name, with the options of a configuration, or itself.

    Of a name for a pair it is the method; of None the usual one. ``limited`` is the space of a
    search with limits.

    Raises
    ------
    ValueError, TypeError
        If there is no such method; names the argument.
    """
    if value is None:
        limits_decide = limited is not None and not any(cell.keeps_none for cell in limited.cells)
        value = UNDER_LIMITS if limits_decide else USUAL
    if isinstance(value, str):
        name = choice("method", value, METHOD_NAMES)
        return METHODS[PAIRS.get(name, name)].from_config(config)
    no_class("method", value)
    if not callable(getattr(value, "step", None)) or not callable(getattr(value, "select", None)):
        raise ArgumentTypeError("method", f"(={value!r}) has not the functions `step` and `select`")
    return value


def as_pair(
    method: str | Method | None,
    selector: str | Selector | None,
    config: Any,
    limited: Space | None = None,
) -> tuple[Method, Selector | None]:
    """Return how α is learned, and what chooses the cell: None where the method does, which is by
    magnitude. Which is the usual method, the space of a search with limits decides, and which the
    usual selector, the preset, if the search has no limits.

    Raises
    ------
    ValueError, TypeError
        If there is no such method or selector, or the two do not fit: says why.
    """
    no_class("selector", selector)
    name = selector.name if isinstance(selector, Selector) else selector
    # Perturbation goes with no limits, which is what there is to say, whatever the method.
    found = as_method(method, config, None if name == "perturbation" else limited)
    pair = isinstance(method, str) and method in PAIRS
    if selector is None and not pair and limited is None:
        selector = name = config.selectors.get(config.preset)
    if isinstance(selector, str):
        choice("selector", selector, SELECTORS)
    elif selector is not None and not isinstance(selector, Selector):
        own = "a `Perturbation` or `Finalists`"
        problem = f"(={selector!r}) must be one of {SELECTORS}, or {own}"
        raise ArgumentTypeError("selector", problem)
    if pair and name not in (None, "perturbation"):
        problem = f"(={name!r}) contradicts `method` (={method!r}), which means `method`"
        raise ArgumentError("selector", f"{problem} {found.name!r} with 'perturbation'")
    if name == "finalists":
        chosen = selector if isinstance(selector, Finalists) else Finalists(seed=config.seed)
        return found, chosen
    if selector == "magnitude" or (selector is None and not pair):
        return found, None
    first_order(found)  # raises if it cannot be
    return found, selector if isinstance(selector, Perturbation) else Perturbation(seed=config.seed)
