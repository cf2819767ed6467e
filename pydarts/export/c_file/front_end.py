# SPDX-License-Identifier: MIT
"""The tables of a log-mel front end in C; its functions are in ``kernels/log_mel.c``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pydarts.common.errors import ArgumentError
from pydarts.data.preprocessing import Preprocessing
from pydarts.data.spectrogram import mel_filters
from pydarts.export.c_file.source import Constants, number

_SMALLEST = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class FrontEnd:
    """What a spectrogram is made with.

    Attributes
    ----------
    window, hop, frames : int
        Samples of a frame, samples from one to the next, and number of frames.
    filters : ndarray, shape (n_mels, fourier / 2 + 1)
    floor : float
    span : float
        Nats below the largest value at which a spectrogram ends; 0 if nowhere.
    standardize : bool
    """

    window: int
    hop: int
    frames: int
    filters: NDArray[Any]
    floor: float
    span: float
    standardize: bool

    @classmethod
    def of(cls, preprocessing: Preprocessing, frames: int) -> FrontEnd:
        """Return what stands for a preprocessing of kind ``"log_mel"``."""
        given = preprocessing
        assert given.rate is not None
        if given.floor < _SMALLEST:
            problem = f"(={given.floor:g}) must be at least {_SMALLEST:.3g}: C computes in float32"
            raise ArgumentError("preprocessing.floor", problem)
        window, hop = round(given.window * given.rate), round(given.hop * given.rate)
        bins = 1 << (window - 1).bit_length()
        filters = mel_filters(given.n_mels, bins, given.rate, given.f_min, given.f_max)
        span = 0.0 if given.top_db is None else given.top_db * float(np.log(10)) / 10
        return cls(window, hop, frames, filters, given.floor, span, given.standardize)

    @property
    def fourier(self) -> int:
        """Numbers of a transform."""
        bins: int = self.filters.shape[1]
        return 2 * (bins - 1)

    @property
    def samples(self) -> int:
        """That a spectrogram is made of."""
        return (self.frames - 1) * self.hop + self.window

    def add(self, constants: Constants) -> None:
        """Add the tables."""
        p, angles = constants.prefix, 2 * np.pi * np.arange(self.fourier // 2) / self.fourier
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.window) / self.window)
        used = [np.flatnonzero(row) for row in self.filters]
        bins = np.array([each[-1] + 1 - each[0] for each in used])
        sizes = {
            "FRAMES": self.frames,
            "HOP": self.hop,
            "WINDOW": self.window,
            "FOURIER": self.fourier,
            "FILTERS": len(self.filters),
            "STANDARDIZE": int(self.standardize),
        }
        members = ", ".join(f"{p}_{name} = {value}" for name, value in sizes.items())
        constants.add(0, f"enum {{ {members} }};")
        constants.add(4, f"static const float {p}_floor = {number(self.floor)};")
        constants.add(4, f"static const float {p}_span = {number(self.span)};")
        constants.array("float", "hann", hann)
        constants.array("float", "cosine", np.cos(angles))
        constants.array("float", "sine", np.sin(angles))
        constants.array("short", "filter_first", np.array([each[0] for each in used]))
        constants.array("short", "filter_bins", bins)
        weights = [
            row[each[0] : each[-1] + 1] for row, each in zip(self.filters, used, strict=True)
        ]
        constants.array("float", "filter_weights", np.concatenate(weights))
