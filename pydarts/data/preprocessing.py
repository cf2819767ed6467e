# SPDX-License-Identifier: MIT
"""What is made of sounds and signals before a network sees them; saved with the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pydarts.common.checks import choice, integer, number, show
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.data.lazy import LazyArray, mapped
from pydarts.data.spectrogram import log_mel

_OF_LOG_MEL = ("n_mels", "window", "hop", "f_min", "f_max", "floor", "top_db", "standardize")


@dataclass(frozen=True)
class Preprocessing:
    """What is made of `X` before it is taken as images or signals.

    ``Preprocessing()`` leaves everything as it is. With a `rate`, `X` is sound: float of full scale
    ±1, or int16, which is divided by 32768, so that both mean the same.

    Attributes
    ----------
    kind : {"none", "log_mel"}
        ``"log_mel"``: sounds (N, L) become spectrograms (N, n_mels, frames) by
        `pydarts.data.log_mel`: grey images, or, in a one-dimensional space, signals of n_mels
        channels.
    rate : int, optional
        Samples a second; ``"log_mel"`` needs it.
    length : int, optional
        Samples, fewer than 2²⁶, to which signals (N, L) or (N, C, L) are cut or, with zeros,
        filled up.
    n_mels, window, hop, f_min, f_max, floor, top_db, standardize
        As of `pydarts.data.log_mel`; of no meaning without ``"log_mel"``.

    Raises
    ------
    ValueError, TypeError
        If an attribute is out of bounds, or of a wrong type; names it.
    """

    kind: str = "none"
    rate: int | None = None
    length: int | None = None
    n_mels: int = 40
    window: float = 0.025
    hop: float = 0.010
    f_min: float = 0.0
    f_max: float | None = None
    floor: float = 1e-6
    top_db: float | None = None
    standardize: bool = False

    def __post_init__(self) -> None:
        choice("kind", self.kind, ("none", "log_mel"))
        for name in ("rate", "length"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, integer(name, value, 1, 2**26))
        if self.kind == "none":
            defaults = {each.name: each.default for each in fields(self)}
            for name in _OF_LOG_MEL:
                if getattr(self, name) != defaults[name]:
                    problem = f"(={show(getattr(self, name))}) is for `kind`='log_mel'"
                    raise ArgumentError(name, problem)
            return
        if self.rate is None:
            raise ArgumentError("rate", "(=None) is needed by `kind`='log_mel': samples a second")
        object.__setattr__(self, "n_mels", integer("n_mels", self.n_mels, 1))
        if not isinstance(self.standardize, bool):
            problem = f"(={show(self.standardize)}) must be True or False"
            raise ArgumentTypeError("standardize", problem)
        for name in ("window", "hop", "f_min", "f_max", "floor", "top_db"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, number(name, value))
        self._log_mel(np.zeros((1, 1)), frames=1)  # raises what no sound could mend

    def apply(self, X: Any) -> Any:
        """Return what a network's images or signals are made of.

        Parameters
        ----------
        X : array-like
            As it was recorded.

        Returns
        -------
        ndarray or LazyArray
            ``X`` itself where there is nothing to do. Of a `numpy.memmap` or `LazyArray`, what is
            made of its items when they are read.

        Raises
        ------
        ValueError, TypeError
            If `X` is not of the kind or shape that this is for.
        """
        if self.rate is None and self.length is None:
            return X
        if isinstance(X, np.memmap) and X.ndim:
            X = mapped(X)
        if isinstance(X, LazyArray):
            made = self.apply(X[:1])
            return X.map(self.apply, made.shape[1:], made.dtype)
        try:
            sounds = np.asarray(X)
        except ValueError as error:  # numpy's own message speaks of "inhomogeneous" sequences
            raise ArgumentError("X", "is not one array: all must have the same length") from error
        axes = "(N, L)" if self.kind == "log_mel" else "(N, L) or (N, C, L)"
        if sounds.ndim not in ((2,) if self.kind == "log_mel" else (2, 3)) or sounds.size == 0:
            raise ArgumentError("X", f"has shape {sounds.shape}, but signals must be {axes}")
        if self.rate is not None and sounds.dtype.kind != "f" and sounds.dtype != np.int16:
            raise ArgumentTypeError("X", f"has dtype {sounds.dtype}: sounds are float or int16")
        if self.length is not None:
            sounds = sounds[..., : self.length]
            missing = self.length - sounds.shape[-1]
            sounds = np.pad(sounds, ((0, 0),) * (sounds.ndim - 1) + ((0, missing),))
        if self.kind == "log_mel":
            try:
                return self._log_mel(sounds)
            except ArgumentError as error:
                argument = "X" if error.argument == "audio" else error.argument
                raise type(error)(argument, error.problem) from error
        if self.rate is not None and sounds.dtype == np.int16:
            return sounds / np.float32(32768)
        return sounds

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary that JSON can hold: what is not as by default, and the kind."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        if self.kind == "none":
            return {name: values[name] for name in ("kind", "rate", "length")}
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Invert `to_dict`; a ValueError if ``values`` is not such a dictionary."""
        names = {each.name for each in fields(cls)}
        if not isinstance(values, Mapping) or "kind" not in values or not names >= set(values):
            problem = f"(={show(values)}) must be a preprocessing: `kind` and others of its fields"
            raise ArgumentError("values", problem)
        return cls(**values)

    def _log_mel(self, sounds: NDArray[Any], frames: int | None = None) -> NDArray[np.float32]:
        assert self.rate is not None
        return log_mel(
            sounds,
            self.rate,
            n_mels=self.n_mels,
            window=self.window,
            hop=self.hop,
            f_min=self.f_min,
            f_max=self.f_max,
            floor=self.floor,
            top_db=self.top_db,
            standardize=self.standardize,
            frames=frames,
        )


NO_PREPROCESSING = Preprocessing()
"""What leaves everything as it is."""


def as_preprocessing(value: Preprocessing | None) -> Preprocessing:
    """Return a preprocessing as it is, and that which does nothing for None."""
    if value is None:
        return NO_PREPROCESSING
    if not isinstance(value, Preprocessing):
        raise ArgumentTypeError("preprocessing", f"(={show(value)}) must be a Preprocessing")
    return value
