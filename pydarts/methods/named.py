# SPDX-License-Identifier: MIT
"""All search methods by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from pydarts.common.checks import choice
from pydarts.common.errors import ArgumentTypeError
from pydarts.methods.beta_darts import BetaDarts
from pydarts.methods.darts import Darts
from pydarts.methods.darts_minus import DartsMinus
from pydarts.methods.fixed import Fixed
from pydarts.methods.gaea import Gaea
from pydarts.methods.gdas import Gdas
from pydarts.methods.method import Method
from pydarts.methods.mixture import MixtureMethod
from pydarts.methods.pc_darts import PcDarts
from pydarts.methods.smooth_darts import SmoothDarts

#: The methods, each made from a search's configuration.
METHODS: Final[Mapping[str, type[Darts] | type[MixtureMethod]]] = {
    "darts": Darts,
    "beta-darts": BetaDarts,
    "smooth-darts": SmoothDarts,
    "gdas": Gdas,
    "gaea": Gaea,
    "darts-minus": DartsMinus,
    "pc-darts": PcDarts,
    "fixed": Fixed,
}


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
    return {name: value for name, value in own.items() if value != usual[name]} or None


def as_method(value: str | Method | None, config: Any) -> Method:
    """Return a method from its name, with the options of a configuration, or itself.

    Raises
    ------
    ValueError, TypeError
        If there is no such method; names the argument.
    """
    if value is None:
        return Darts.from_config(config)
    if isinstance(value, str):
        return METHODS[choice("method", value, tuple(METHODS))].from_config(config)
    if not callable(getattr(value, "step", None)) or not callable(getattr(value, "select", None)):
        raise ArgumentTypeError("method", f"(={value!r}) has not the functions `step` and `select`")
    return value
