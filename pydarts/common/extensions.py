# SPDX-License-Identifier: MIT
"""Conveniences that reach up the house: a method that is defined below and implemented above.

``result.report()`` is a method of a class that must not know reports. The method calls `call` with
a name, and the table that is handed to `attach` says where the implementation is. It is imported
when it is first called: some need optional libraries.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

_places: dict[str, str] = {}


def attach(places: Mapping[str, str]) -> None:
    """Say where implementations are, as ``"module:function"`` by the name that is called."""
    _places.update(places)


def call(name: str, *arguments: Any, **options: Any) -> Any:
    """Call the implementation of that name."""
    module, _, function = _places[name].partition(":")
    return getattr(import_module(module), function)(*arguments, **options)
