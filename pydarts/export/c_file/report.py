# SPDX-License-Identifier: MIT
"""What is known of a C file that was written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Loss:
    """What 8 bits cost.

    Attributes
    ----------
    images : int
        On which both networks were compared.
    agreement : float
        Share of them to which both give the same label.
    float_accuracy, int8_accuracy : float or None
        Shares of correct predictions, where labels are known.
    """

    images: int
    agreement: float
    float_accuracy: float | None = None
    int8_accuracy: float | None = None

    def __str__(self) -> str:
        text = (
            f"int8 gives {self.agreement:.2%} of {self.images:,} images the label that float does"
        )
        if self.float_accuracy is None or self.int8_accuracy is None:
            return text
        points = 100 * (self.float_accuracy - self.int8_accuracy)
        return (
            f"accuracy on {self.images:,} images: {self.float_accuracy:.2%} in float,"
            f" {self.int8_accuracy:.2%} in int8, {points:.2f} points lost; {text}"
        )


@dataclass(frozen=True)
class CFile:
    """A C file that was written.

    Attributes
    ----------
    path : Path
    constants : int
        Bytes of its constants: what it takes of flash, beside the code.
    arena : int
        Bytes of its static memory.
    macs : int
        Multiply-adds of a call.
    loss : Loss or None
        Of int8, what was lost.
    """

    path: Path
    constants: int
    arena: int
    macs: int
    loss: Loss | None = None

    def __str__(self) -> str:
        return (
            f"{self.macs:,} multiply-adds, {self.constants:,} bytes of constants,"
            f" {self.arena:,} bytes of static memory"
        )
