# SPDX-License-Identifier: MIT
"""Candidate operations as values: a name, and a chain of stages.

Sources: Liu, Simonyan, Yang, *DARTS*, https://arxiv.org/abs/1806.09055, appendix A; Dong, Yang,
*NAS-Bench-201*, https://arxiv.org/abs/2001.00326; Zela et al., *RobustDARTS*,
https://arxiv.org/abs/1909.09656 (`noise`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydarts.common.checks import choice, integer, show
from pydarts.common.errors import ArgumentError, ArgumentTypeError

_WINDOWS: Final = ("depthwise", "conv", "max_pool", "avg_pool")
_PLAIN: Final = ("relu", "pointwise", "batch_norm", "search_batch_norm", "none", "noise")
ACTIVATIONS: Final = ("tanh", "sigmoid")  # of recurrent cells, which have `relu` as well
_MAX_SIDE: Final = 63
_MAX_TAPS: Final = 64
_MAX_DILATION: Final = 16
_MAX_REACH: Final = 127
_NAME: Final = re.compile(r"[A-Za-z0-9][\w.\-]{0,63}", re.ASCII)


@dataclass(frozen=True)
class Stage:
    """One layer of an operation; made by `depthwise`, `conv`, `max_pool`, `avg_pool`, or one of the
    values `relu`, `pointwise`, `batch_norm`, `search_batch_norm`, `none` and `noise`.

    Attributes
    ----------
    kind : str
    kernel : tuple of (int, int) or None
        Height and width of the window.
    dilation : int
        Pixels from one tap of a convolution to the next.
    strides : {"height", "width"} or None
        The only axis along which this stage takes an edge's stride.
    """

    kind: str
    kernel: tuple[int, int] | None = None
    dilation: int = 1
    strides: str | None = None

    def __post_init__(self) -> None:
        kind = choice("kind", self.kind, (*_WINDOWS, *_PLAIN, *ACTIVATIONS))
        if (self.kernel is not None) != (kind in _WINDOWS):
            wanted = "needs a kernel" if kind in _WINDOWS else "has no kernel"
            raise ArgumentError("kernel", f"(={show(self.kernel)}): {kind} {wanted}")
        if self.kernel is not None:
            height, width = (integer("kernel", side, 1, _MAX_SIDE + 1) for side in self.kernel)
            if height * width > _MAX_TAPS:
                problem = f"(={height}x{width}) has more than {_MAX_TAPS} taps"
                raise ArgumentError("kernel", problem)
            dilation = integer("dilation", self.dilation, 1, _MAX_DILATION + 1)
            if (max(height, width) - 1) * dilation > _MAX_REACH:
                problem = f"(={dilation}) of a {height}x{width} kernel reaches over more than"
                raise ArgumentError("dilation", f"{problem} {_MAX_REACH} pixels")
        if self.dilation != 1 and kind not in ("depthwise", "conv"):
            raise ArgumentError("dilation", f"(={show(self.dilation)}): {kind} has none")
        choice("strides", self.strides, (None, "height", "width"))
        if self.strides is not None and kind != "conv":
            raise ArgumentError("strides", f"(={self.strides!r}) is for conv alone, not {kind}")

    def __repr__(self) -> str:
        if self.kernel is None:
            return self.kind
        height, width = self.kernel
        size = str(width) if height == width else f"({height}, {width})"
        dilation = f", dilation={self.dilation}" if self.dilation != 1 else ""
        strides = f", strides={self.strides!r}" if self.strides is not None else ""
        return f"{self.kind}({size}{dilation}{strides})"

    @property
    def has_weights(self) -> bool:
        """Whether it is a convolution, of whatever kind."""
        return self.kind in ("depthwise", "conv", "pointwise")

    def to_dict(self) -> str | dict[str, Any]:
        """Return what JSON holds of the stage."""
        if self.kernel is None:
            return self.kind
        members: dict[str, Any] = {self.kind: list(self.kernel)}
        if self.dilation != 1:
            members["dilation"] = self.dilation
        if self.strides is not None:
            members["strides"] = self.strides
        return members

    @classmethod
    def from_dict(cls, value: object) -> Stage:
        """Read what `to_dict` returned; a single integer in place of a kernel is a square one."""
        if isinstance(value, str):
            return cls(value)
        if not isinstance(value, Mapping):
            raise ArgumentTypeError("stages", f"holds {show(value)}: neither name nor object")
        kinds = [name for name in value if name in _WINDOWS]
        unknown = [name for name in value if name not in (*_WINDOWS, "dilation", "strides")]
        if unknown or len(kinds) != 1:
            allowed = ", ".join(_WINDOWS)
            problem = f"holds {show(dict(value))}: a stage is one of {allowed} with its kernel"
            raise ArgumentError("stages", f"{problem}, and may have dilation and strides")
        return cls(
            kinds[0], _kernel(value[kinds[0]]), value.get("dilation", 1), value.get("strides")
        )


#: max(x, 0).
relu: Final = Stage("relu")
#: A 1×1 convolution over all channels.
pointwise: Final = Stage("pointwise")
#: Batch normalisation: without affine parameters in the supernet, with them in the derived network.
batch_norm: Final = Stage("batch_norm")
#: Batch normalisation in the supernet alone, as behind the pools of DARTS.
search_batch_norm: Final = Stage("search_batch_norm")
#: Zero: stands alone.
none: Final = Stage("none")
#: N(0, 1) of the output's shape in place of the input, and zero in a trained network: stands alone.
noise: Final = Stage("noise")


def depthwise(kernel: int | tuple[int, int], dilation: int = 1) -> Stage:
    """Return a convolution of each channel by itself.

    Parameters
    ----------
    kernel : int or tuple of (int, int)
        Height and width; a single number is both. Signals have kernels (1, k). Odd windows are
        padded by ``dilation * (k - 1) / 2`` zeros on either side, even ones not at all.
    dilation : int, optional
        Pixels from one tap to the next.

    Returns
    -------
    Stage

    Raises
    ------
    ValueError
        If the kernel has more than 64 taps, or a side beyond 63; or for a dilation beyond 16, or
        one that reaches further than 127 pixels.
    """
    return Stage("depthwise", _kernel(kernel), dilation)


def conv(kernel: int | tuple[int, int], dilation: int = 1, strides: str | None = None) -> Stage:
    """Return a convolution over all channels.

    Parameters
    ----------
    kernel, dilation
        As of `depthwise`.
    strides : {"height", "width"}, optional
        The axis along which this stage takes the stride of an edge. By default the first stage
        with a window takes it along both.

    Returns
    -------
    Stage

    Raises
    ------
    ValueError
        As of `depthwise`.
    """
    return Stage("conv", _kernel(kernel), dilation, strides)


def max_pool(kernel: int | tuple[int, int]) -> Stage:
    """Return the maximum over a window, which is padded as that of `depthwise`."""
    return Stage("max_pool", _kernel(kernel))


def avg_pool(kernel: int | tuple[int, int]) -> Stage:
    """Return the mean over a window; the padding is not counted."""
    return Stage("avg_pool", _kernel(kernel))


@dataclass(frozen=True)
class Operation:
    """A candidate operation: a name, and a chain of stages.

    Parameters
    ----------
    name : str
        As genotypes have it: letters, digits, ``_``, ``-`` and ``.``.
    stages : iterable of Stage
        What is done one after the other; none at all is the identity, which on an edge of stride 2
        becomes a factorized reduce.
    prefix : str, optional
        Under which the chain's parameters are named, ``{prefix}.{position in the chain}.weight``.

    Raises
    ------
    ValueError
        For an unusable name, or a chain in which `none` or `noise` does not stand alone.

    Examples
    --------
    >>> Operation("conv_1x1", [relu, pointwise, batch_norm])
    Operation('conv_1x1', [relu, pointwise, batch_norm])
    """

    name: str
    stages: tuple[Stage, ...] = ()
    prefix: str = "op"

    def __init__(self, name: str, stages: Iterable[Stage] = (), prefix: str = "op"):
        check_name("name", name)
        if isinstance(stages, (str, Stage)) or not isinstance(stages, Iterable):
            raise ArgumentTypeError("stages", f"(={show(stages)}) must be a sequence of stages")
        chain = tuple(stages)
        for stage in chain:
            if not isinstance(stage, Stage):
                raise ArgumentTypeError("stages", f"of {name!r} hold {show(stage)}, no Stage")
            if stage in (none, noise) and len(chain) > 1:
                raise ArgumentError("stages", f"of {name!r}: {stage} must stand alone")
        if prefix != "":
            check_name("prefix", prefix)
        for field, value in (("name", name), ("stages", chain), ("prefix", prefix)):
            object.__setattr__(self, field, value)

    def __repr__(self) -> str:
        prefix = f", prefix={self.prefix!r}" if self.prefix != "op" else ""
        return f"Operation({self.name!r}, {list(self.stages)}{prefix})"

    @property
    def is_none(self) -> bool:
        """Whether it contributes nothing."""
        return self.stages == (none,)

    @property
    def is_noise(self) -> bool:
        """Whether it replaces its input by noise."""
        return self.stages == (noise,)

    @property
    def has_weights(self) -> bool:
        """Whether convolutions are a part of it."""
        return any(stage.has_weights for stage in self.stages)

    @property
    def is_identity(self) -> bool:
        """Whether it passes its input on, where the stride is 1."""
        return not self.stages

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON holds of the operation."""
        members: dict[str, Any] = {
            "name": self.name,
            "stages": [stage.to_dict() for stage in self.stages],
        }
        return members | ({"prefix": self.prefix} if self.prefix != "op" else {})

    @classmethod
    def from_dict(cls, value: object) -> Operation:
        """Read what `to_dict` returned.

        Raises
        ------
        ValueError
            If it is not an operation; names it and its stage.
        """
        if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
            problem = f"hold {show(value)}: an operation is an object with a name and stages"
            raise ArgumentError("operations", problem)
        unknown = [name for name in value if name not in ("name", "stages", "prefix")]
        stages = value.get("stages")
        if unknown or not isinstance(stages, list):
            problem = f"has the unknown member {unknown[0]!r}" if unknown else "has no stages"
            raise ArgumentError("operations", f"of which {value['name']!r} {problem}")
        try:
            chain = [Stage.from_dict(stage) for stage in stages]
            return cls(value["name"], chain, value.get("prefix", "op"))
        except ArgumentError as error:
            problem = f": {value['name']!r}: `{error.argument}` {error.problem}"
            raise ArgumentError("operations", problem) from None


def check_name(argument: str, value: object) -> str:
    """Return a name of letters, digits, ``_``, ``-`` and ``.``, or raise ArgumentError."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        problem = f"(={show(value)}) must be 1 to 64 letters, digits, '_', '-' and '.'"
        raise ArgumentError(argument, problem)
    return value


def _kernel(value: object) -> tuple[int, int]:
    sides = value if isinstance(value, (tuple, list)) else (value, value)
    if len(sides) != 2:
        raise ArgumentError("kernel", f"(={show(value)}) must be one number or (height, width)")
    height, width = (integer("kernel", side, 1, _MAX_SIDE + 1) for side in sides)
    return height, width
