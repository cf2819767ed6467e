# SPDX-License-Identifier: MIT
"""What is known of a C file that was written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydarts.training.metrics import Metric


@dataclass(frozen=True)
class Loss:
    """What 8 bits cost.

    Attributes
    ----------
    images : int
        On which both networks were compared.
    metric : Metric
        By which models of the task are judged.
    agreement : float or None
        Share of the decisions about labels that are the same; None where numbers are predicted.
    float_score, int8_score : float or None
        The metric, where the truth is known.
    """

    images: int
    metric: Metric
    agreement: float | None
    float_score: float | None = None
    int8_score: float | None = None

    def __str__(self) -> str:
        parts = []
        if self.float_score is not None and self.int8_score is not None:
            show, number = self.metric.show, self.metric.number
            lost = number(self.float_score - self.int8_score) + self.metric.unit
            parts.append(
                f"{self.metric.name} on {self.images:,} images: {show(self.float_score)} in float,"
                f" {show(self.int8_score)} in int8, {lost} lost"
            )
        if self.agreement is not None:
            parts.append(
                f"int8 decides {self.agreement:.2%} of the labels of {self.images:,} images as"
                " float does"
            )
        return "; ".join(parts)


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
