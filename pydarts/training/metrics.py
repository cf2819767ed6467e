# SPDX-License-Identifier: MIT
"""Metrics of trained networks, and how people read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Metric:
    """A number that says how good a trained network is.

    Attributes
    ----------
    name : str
    better : {"higher", "lower"}
    scale : float
        By which it is multiplied for people.
    format : str
    suffix : str
        Behind a value.
    unit : str
        Behind a difference.
    """

    name: str
    better: str
    scale: float
    format: str
    suffix: str
    unit: str

    @property
    def key(self) -> str:
        """What it is called in histories and files."""
        return self.name.replace(" ", "_").lower()

    @property
    def sign(self) -> int:
        """Of a difference that is an improvement."""
        return 1 if self.better == "higher" else -1

    def number(self, value: float) -> str:
        """Return a value for people, without suffix."""
        number = self.scale * value
        return format(number, self.format) if number < 1e4 else f"{number:.1e}"

    def show(self, value: float) -> str:
        """Return a value for people."""
        return self.number(value) + self.suffix


ACCURACY: Final = Metric("accuracy", "higher", 100.0, ".2f", " %", " points")
BALANCED_ACCURACY: Final = Metric("balanced accuracy", "higher", 100.0, ".2f", " %", " points")
AVERAGE_PRECISION: Final = Metric("average precision", "higher", 100.0, ".2f", " %", " points")
R2: Final = Metric("R2", "higher", 1.0, ".4f", "", "")
PERPLEXITY: Final = Metric("perplexity", "lower", 1.0, ".3f", "", "")
METRICS: Final[Mapping[str, Metric]] = {
    m.name: m for m in (ACCURACY, BALANCED_ACCURACY, AVERAGE_PRECISION, R2, PERPLEXITY)
}
