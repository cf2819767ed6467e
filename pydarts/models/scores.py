# SPDX-License-Identifier: MIT
"""How well networks do on data: loss, accuracy, precision and recall, perplexity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pydarts.data.segments import batchify, segments
from pydarts.engine.convolutional import ImageNetwork
from pydarts.engine.recurrent import TextNetwork

TEXT_BATCH = 10
"""Columns in which a text is evaluated."""


def image_loss(
    net: ImageNetwork,
    x: NDArray[Any],
    y: NDArray[np.int64],
    batch_size: int,
    mixing: Mapping[str, ArrayLike] | None = None,
    active: Mapping[str, ArrayLike] | None = None,
) -> tuple[float, float]:
    """Mean cross-entropy and accuracy with the running statistics; of supernets at a mixture.

    In batches of the size that the steps have, this is not what decides the peak of the memory.
    """
    loss, correct = 0.0, 0
    for start in range(0, len(x), batch_size):
        batch = x[start : start + batch_size]
        logits = net.logits(batch, training=False, mixing=mixing, active=active).astype(np.float64)
        codes = y[start : start + batch_size]
        largest = logits.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(logits - largest).sum(axis=1)) + largest[:, 0]
        loss += float((log_sum - logits[np.arange(len(codes)), codes]).sum())
        correct += int((logits.argmax(axis=1) == codes).sum())
    return loss / len(x), correct / len(x)


def text_loss(net: TextNetwork, tokens: NDArray[np.int32], bptt: int = 70) -> float:
    """Mean cross-entropy a token, in nats, without dropout; all but the first tokens of a few
    columns are predicted.
    """
    columns = batchify(tokens, max(1, min(TEXT_BATCH, len(tokens) // 2)))
    total, hidden = 0.0, None
    for x, y in segments(columns, bptt):
        loss, hidden = net.evaluate(x, y, hidden=hidden)
        total += loss * len(x)
    return total / (len(columns) - 1)


def perplexity_of(loss: float) -> float:
    """``exp`` of a cross-entropy in nats, where that can be represented."""
    return math.exp(min(loss, 700.0))


@dataclass(frozen=True, eq=False)
class ClassificationScores:
    """How well images were classified.

    Attributes
    ----------
    classes : tuple
        The labels, in the order of rows and columns.
    confusion : ndarray of int, shape (classes, classes)
        Number of images by their label (row) and the predicted one (column).
    """

    classes: tuple[Any, ...]
    confusion: NDArray[np.int64]

    @property
    def count(self) -> int:
        """Number of images."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """Share of correct predictions."""
        return float(self.confusion.trace() / self.count)

    @property
    def precision(self) -> NDArray[np.float64]:
        """For each class, the share of correct predictions among the predictions of it; NaN where
        it was never predicted.
        """
        return _shares(self.confusion.diagonal(), self.confusion.sum(axis=0))

    @property
    def recall(self) -> NDArray[np.float64]:
        """For each class, the share of its images that were predicted; NaN where it has none."""
        return _shares(self.confusion.diagonal(), self.confusion.sum(axis=1))

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can hold it; None for NaN."""
        columns = zip(self.classes, self.precision, self.recall, strict=True)
        return {
            "images": self.count,
            "accuracy": self.accuracy,
            "classes": [
                {"label": label, "precision": _json(precision), "recall": _json(recall)}
                for label, precision, recall in columns
            ],
            "confusion": self.confusion.tolist(),
        }

    def __repr__(self) -> str:
        names = [str(label) for label in self.classes]
        width = min(24, max(5, *map(len, names)))
        digits = max(len(str(self.confusion.max())), min(6, max(map(len, names)))) + 1
        lines = [
            f"accuracy {self.accuracy:.2%} of {self.count:,} images",
            "",
            f"{'class':{width}}  precision   recall   images",
        ]
        rows = zip(names, self.precision, self.recall, self.confusion.sum(axis=1), strict=True)
        for name, precision, recall, count in rows:
            lines.append(
                f"{name[:width]:{width}}  {_percent(precision):>9}{_percent(recall):>9}{count:>9,}"
            )
        if len(names) * digits + width <= 78:
            head = "".join(f"{name[: digits - 1]:>{digits}}" for name in names)
            lines += [
                "",
                "confusion matrix: a row a class, a column a prediction",
                " " * width + head,
            ]
            for name, row in zip(names, self.confusion, strict=True):
                cells = "".join(f"{count:>{digits}}" for count in row)
                lines.append(f"{name[:width]:{width}}{cells}")
        return "\n".join(lines)


@dataclass(frozen=True)
class TextScores:
    """How well a text was predicted.

    Attributes
    ----------
    loss : float
        Mean cross-entropy a token, in nats.
    tokens : int
        Tokens of the text.
    unknown : int
        How many of them the vocabulary lacks.
    """

    loss: float
    tokens: int
    unknown: int

    @property
    def perplexity(self) -> float:
        """``exp(loss)``."""
        return perplexity_of(self.loss)

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {
            "tokens": self.tokens,
            "unknown": self.unknown,
            "loss": self.loss,
            "perplexity": self.perplexity,
        }

    def __repr__(self) -> str:
        return (
            f"perplexity {self.perplexity:.3f} (loss {self.loss:.4f} nats a token) of"
            f" {self.tokens:,} tokens, {self.unknown:,} of them unknown"
        )


def _shares(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    shares = np.full(len(part), np.nan)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{share:.2%}"


def _json(share: float) -> float | None:
    return None if math.isnan(share) else float(share)
