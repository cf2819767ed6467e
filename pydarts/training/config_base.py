# SPDX-License-Identifier: MIT
"""What configurations share: presets, checks, JSON, and what fields were called before."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import math
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import numpy as np

from pydarts.common.checks import boolean, choice, integer, number
from pydarts.common.errors import ArgumentError, ArgumentTypeError

Self = TypeVar("Self", bound="Config")

# What fields were called in files of version 1; None: there is no such field any more.
_RENAMED: Mapping[str, str | None] = {
    "clip": "max_grad_norm",
    "hidden": "hidden_size",
    "virtual_embedding": "unrolled_embedding",
    "activation": "ar",
    "slowness": "tar",
    "max_seconds": None,
}

#: What others call an option.
_ELSEWHERE: Mapping[str, str] = {"random_state": "seed"}


def option(
    default: Any,
    help: str,
    minimum: float = 0,
    below: float = math.inf,
    *,
    positive: bool = False,
    choices: tuple[Any, ...] | None = None,
    none: str | None = None,
) -> Any:
    """Define a field whose value lies in [minimum, below), or in (0, below) if ``positive``.

    On the command line, ``none`` is what None is called.
    """
    bounds = {"minimum": minimum, "below": below, "positive": positive}
    return field(
        default=default, metadata={"help": help, "choices": choices, "none": none, **bounds}
    )


@dataclass(frozen=True, kw_only=True)
class Config:
    """Hyper-parameters, checked; equal configurations give equal results on equal data.

    ``preset`` says where the values came from, which `make` fills in, and decides what usually
    chooses the cell of a search.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    #: What chooses the cell in a search of a preset, if it is not the method.
    selectors: ClassVar[Mapping[str, str]] = {}
    #: Values of options that files of earlier versions do not hold.
    earlier: ClassVar[Mapping[str, Any]] = {}

    preset: str = "paper"

    def __post_init__(self) -> None:
        for each in self.options():
            object.__setattr__(self, each.name, _checked(each, getattr(self, each.name)))

    @classmethod
    def options(cls) -> list[dataclasses.Field[Any]]:
        """The fields that users set."""
        return [f for f in dataclasses.fields(cls) if f.metadata]

    @classmethod
    def make(
        cls: type[Self],
        preset: str = "quick",
        overrides: Mapping[str, Any] | None = None,
        *,
        config: Self | None = None,
        others: Collection[str] = (),
    ) -> Self:
        """Return a preset's values, or those of ``config``, with ``overrides`` in their place.

        Parameters
        ----------
        preset : str
            Name of the preset.
        overrides : mapping, optional
            Values by the names of fields.
        config : Config, optional
            A whole configuration, in place of the preset, which must then be the usual one.
        others : collection of str
            Names that the caller takes as well, for the hint in an error.

        Raises
        ------
        ValueError, TypeError
            Naming the option, its value and what would do.
        """
        known = [each.name for each in cls.options()]
        overrides = overrides or {}
        for name in overrides:
            if name not in known:
                wanted = _ELSEWHERE.get(name, name)
                near = difflib.get_close_matches(wanted, [*known, *others], 1)
                hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(known)}"
                raise TypeError(f"unknown option `{name}`: {hint}")
        if config is not None:
            if not isinstance(config, cls):
                raise ArgumentTypeError("config", f"(={config!r}) must be a {cls.__name__}")
            if preset not in ("quick", config.preset):
                raise ArgumentError("preset", f"(={preset!r}) has no use beside `config`")
            return dataclasses.replace(config, **overrides)
        if preset not in cls.presets:
            raise ArgumentError("preset", f"(={preset!r}) must be one of {', '.join(cls.presets)}")
        return cls(preset=preset, **{**cls.presets[preset], **overrides})

    def to_dict(self) -> dict[str, Any]:
        """All values, as JSON can hold them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls: type[Self], values: Mapping[str, Any]) -> Self:
        """Return what `to_dict` of this or an earlier version gave."""
        if not isinstance(values, Mapping):
            raise ValueError("a configuration must be an object")
        current = current_names(values)
        unknown = current.keys() - {each.name for each in dataclasses.fields(cls)}
        if unknown:
            raise ValueError(f"there is no option {min(unknown)!r}")
        return cls(**{**cls.earlier, **current})


def parameters(front: Callable[..., Any]) -> list[str]:
    """The names that a function lists itself, beside those that its ``**options`` take."""
    found = inspect.signature(front).parameters.values()
    return [each.name for each in found if each.kind is not each.VAR_KEYWORD]


def current_names(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return values by the names that their fields have now; what is no field any more is left out.

    Parameters
    ----------
    values : mapping
        As of a file of this or an earlier version.
    prefix : str
        What stands before the names of fields; other names stay as they are.
    """
    known = {}
    for old, value in values.items():
        name = _RENAMED.get(old.removeprefix(prefix), old)
        if name is not None:
            known[name if name == old else prefix + name] = value
    return known


def _checked(each: dataclasses.Field[Any], value: Any) -> Any:
    name, kind, choices = each.name, str(each.type), each.metadata["choices"]
    if choices is not None:
        return choice(name, value, choices)
    if value is None and kind.endswith("None"):
        return None
    if kind.startswith("tuple"):
        if not isinstance(value, (tuple, list)) or len(value) != 2:
            raise ArgumentError(name, f"(={value!r}) must be a pair of numbers")
        return tuple(_number(each, v) for v in value)
    if kind == "bool":
        return boolean(name, value)
    try:
        return _number(each, value)
    except ArgumentTypeError as error:
        if not kind.endswith("None"):
            raise
        meaning = f"or None, which means {each.metadata['none']!r}"
        raise ArgumentTypeError(name, f"{error.problem}, {meaning}") from None


def _number(each: dataclasses.Field[Any], value: Any) -> int | float:
    bounds = each.metadata
    if str(each.type).startswith("int"):
        return integer(each.name, value, int(bounds["minimum"]), int(min(bounds["below"], 2**31)))
    if isinstance(value, np.generic):  # comparing would cast the bounds to its type
        value = value.item()
    below = min(bounds["below"], sys.float_info.max)
    return number(each.name, value, bounds["minimum"], below, positive=bounds["positive"])
