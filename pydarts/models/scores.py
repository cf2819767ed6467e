# SPDX-License-Identifier: MIT
"""How well networks do on data: loss, accuracy, precision and recall, perplexity."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pydarts.data.lazy import LazyArray
from pydarts.data.segments import batchify, segments
from pydarts.engine.convolutional import ImageNetwork
from pydarts.engine.recurrent import TextNetwork

TEXT_BATCH = 10
"""Columns in which a text is evaluated."""


class Judge(Protocol):
    """What tells losses and metrics of logits: an `Objective`."""

    def losses(self, logits: NDArray[np.float64], codes: NDArray[Any]) -> NDArray[np.float64]: ...

    def metrics(self, logits: NDArray[Any], codes: NDArray[Any]) -> dict[str, float]: ...


def image_metrics(
    net: ImageNetwork,
    x: NDArray[Any] | LazyArray,
    codes: NDArray[Any],
    batch_size: int,
    objective: Judge,
    weights: NDArray[Any] | None = None,
    mixing: Mapping[str, ArrayLike] | None = None,
    active: Mapping[str, ArrayLike] | None = None,
) -> dict[str, float]:
    """``loss``, weighted if there are weights, and an objective's metrics, which are not; with the
    running statistics, of supernets at a mixture.

    In batches of the size that the steps have, this is not what decides the peak of the memory.
    """
    loss, parts = 0.0, []
    for start in range(0, len(x), batch_size):
        part = slice(start, start + batch_size)
        logits = net.logits(x[part], training=False, mixing=mixing, active=active)
        losses = objective.losses(logits.astype(np.float64), codes[part])
        loss += float((losses if weights is None else weights[part] * losses).sum())
        parts.append(logits)
    loss /= len(x) if weights is None else float(weights.sum(dtype=np.float64))
    return {"loss": loss, **objective.metrics(np.concatenate(parts), codes)}


def average_precision(relevant: NDArray[np.bool_], scores: NDArray[Any]) -> float:
    """``sum_i (R_i - R_{i-1}) P_i`` over the thresholds, with recall R and precision P at each; NaN
    where nothing is relevant.
    """
    if not relevant.any():
        return math.nan
    order = np.argsort(-scores, kind="stable")
    ranked, sorted_scores = relevant[order], scores[order]
    last = np.flatnonzero(np.append(np.diff(sorted_scores) != 0, True))  # of equal scores
    hits = np.cumsum(ranked)[last]
    gained = np.diff(hits, prepend=0) / relevant.sum()
    return float((gained * hits / (last + 1)).sum())


def mean_of_defined(values: NDArray[np.float64]) -> float:
    """The mean of what is not NaN; NaN where nothing is."""
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if kept.size else math.nan


def text_loss(net: TextNetwork, tokens: NDArray[np.int32], bptt: int = 70) -> float:
    """Mean cross-entropy a token, in nats, without dropout; all but the first tokens of a few
    columns are predicted.
    """
    columns = batchify(tokens, max(1, min(TEXT_BATCH, len(tokens) // 2)))
    return mean_loss(columns, bptt, lambda x, y, hidden: net.evaluate(x, y, hidden=hidden))


def mean_loss(
    columns: NDArray[np.int32], bptt: int, evaluate: Callable[..., tuple[float, NDArray[Any]]]
) -> float:
    """Mean loss a token over segments, each from the hidden state that the one before left;
    infinite where that overflows, which cells need not bound.

    ``evaluate(x, y, hidden)`` returns the mean loss of a segment and the state after it.
    """
    total, hidden = 0.0, None
    for x, y in segments(columns, bptt):
        loss, hidden = evaluate(x, y, hidden)
        if not (math.isfinite(loss) and np.isfinite(hidden).all()):
            return math.inf
        total += loss * len(x)
    return total / (len(columns) - 1)


def perplexity_of(loss: float) -> float:
    """``exp`` of a cross-entropy in nats, where that can be represented."""
    return math.exp(min(loss, 700.0))


def show_perplexity(value: float, decimals: int = 2) -> str:
    """Return a perplexity for people."""
    return format(value, f",.{decimals}f" if value < 1e6 else ".2e")


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
    def balanced_accuracy(self) -> float:
        """The mean of the recalls of the classes that occur."""
        return mean_of_defined(self.recall)

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
            "balanced_accuracy": self.balanced_accuracy,
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
            *self._balanced,
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

    @property
    def _balanced(self) -> list[str]:
        """Where classes are of unequal sizes, so that it is another number."""
        sizes = self.confusion.sum(axis=1)
        unequal = sizes.max() != sizes.min()
        return [f"balanced accuracy {self.balanced_accuracy:.2%}"] if unequal else []


@dataclass(frozen=True, eq=False)
class LabelScores:
    """How well several labels were told.

    Attributes
    ----------
    classes : tuple
        The labels, in the order of the arrays.
    average_precisions, precision, recall, f1s : ndarray
        Of each label. The last three are those of the labels with a probability of more than 1/2;
        NaN where undefined, but an F1 is 0 where a label occurs or was predicted, and never right.
    support : ndarray of int
        Number of samples that have the label.
    count : int
        Number of samples.
    subset_accuracy : float
        Share of samples with every label right.
    """

    classes: tuple[Any, ...]
    average_precisions: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1s: NDArray[np.float64]
    support: NDArray[np.int64]
    count: int
    subset_accuracy: float

    @classmethod
    def of(
        cls, classes: tuple[Any, ...], truth: NDArray[np.bool_], logits: NDArray[Any]
    ) -> LabelScores:
        """Compare logits (N, labels) with what is true."""
        found = logits > 0
        right, named, support = (truth & found).sum(0), found.sum(0), truth.sum(0)
        precisions = [average_precision(t, z) for t, z in zip(truth.T, logits.T, strict=True)]
        return cls(
            classes,
            np.array(precisions),
            _shares(right, named),
            _shares(right, support),
            _shares(2 * right, named + support),
            support,
            len(truth),
            float((truth == found).all(axis=1).mean()),
        )

    @property
    def average_precision(self) -> float:
        """The mean over the labels that occur."""
        return mean_of_defined(self.average_precisions)

    @property
    def f1(self) -> float:
        """The mean over the labels that occur or were predicted (macro F1)."""
        return mean_of_defined(self.f1s)

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can hold it; None for NaN."""
        columns = {
            "average_precision": self.average_precisions,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1s,
        }
        return {
            "images": self.count,
            "average_precision": _json(self.average_precision),
            "f1": _json(self.f1),
            "subset_accuracy": self.subset_accuracy,
            "classes": [
                {
                    "label": label,
                    "images": int(self.support[i]),
                    **{name: _json(column[i]) for name, column in columns.items()},
                }
                for i, label in enumerate(self.classes)
            ],
        }

    def __repr__(self) -> str:
        names = [str(label) for label in self.classes]
        width = min(24, max(5, *map(len, names)))
        lines = [
            f"mean average precision {_percent(self.average_precision)}, F1 {_percent(self.f1)},"
            f" all labels right {self.subset_accuracy:.2%}, of {self.count:,} images",
            "",
            f"{'label':{width}}  average precision  precision   recall       F1   images",
        ]
        columns = self.average_precisions, self.precision, self.recall, self.f1s, self.support
        for name, average, precision, recall, f1, count in zip(names, *columns, strict=True):
            lines.append(
                f"{name[:width]:{width}}  {_percent(average):>17}{_percent(precision):>11}"
                f"{_percent(recall):>9}{_percent(f1):>9}{count:>9,}"
            )
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class RegressionScores:
    """How well numbers were predicted.

    Attributes
    ----------
    names : tuple
        Of the outputs.
    r2s, mean_absolute_errors, root_mean_squared_errors : ndarray
        Of each output, the errors in the units of the targets. ``R² = 1 - sum (y - f)² /
        sum (y - mean(y))²``; NaN where the targets are all equal.
    count : int
        Number of samples.
    """

    names: tuple[Any, ...]
    r2s: NDArray[np.float64]
    mean_absolute_errors: NDArray[np.float64]
    root_mean_squared_errors: NDArray[np.float64]
    count: int

    @classmethod
    def of(
        cls, names: tuple[Any, ...], truth: NDArray[np.float64], found: NDArray[np.float64]
    ) -> RegressionScores:
        """Compare predictions (N, outputs) with what is true."""
        squares = ((found - truth) ** 2).mean(axis=0)
        spread = ((truth - truth.mean(axis=0)) ** 2).mean(axis=0)
        r2s = np.full(len(names), np.nan)
        # The spread of equal numbers may be their rounding, that of tiny ones nothing.
        varies = (np.ptp(truth, axis=0) > 0) & (spread > 0)
        np.divide(squares, spread, out=r2s, where=varies)
        return cls(names, 1 - r2s, np.abs(found - truth).mean(axis=0), np.sqrt(squares), len(truth))

    @property
    def r2(self) -> float:
        """The mean over the outputs."""
        return mean_of_defined(self.r2s)

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can hold it; None for NaN."""
        rows = zip(
            self.names,
            self.r2s,
            self.mean_absolute_errors,
            self.root_mean_squared_errors,
            strict=True,
        )
        return {
            "samples": self.count,
            "r2": _json(self.r2),
            "outputs": [
                {
                    "name": name,
                    "r2": _json(r2),
                    "mean_absolute_error": float(mean),
                    "root_mean_squared_error": float(root),
                }
                for name, r2, mean, root in rows
            ],
        }

    def __repr__(self) -> str:
        lines = [f"R2 {self.r2:.4f} of {self.count:,} samples", ""]
        names = [str(name) for name in self.names]
        width = min(24, max(6, *map(len, names)))
        lines.append(f"{'output':{width}}        R2  mean absolute error  root mean squared error")
        columns = self.r2s, self.mean_absolute_errors, self.root_mean_squared_errors
        for name, r2, mean, root in zip(names, *columns, strict=True):
            lines.append(f"{name[:width]:{width}}  {r2:8.4f}{mean:>21.5g}{root:>25.5g}")
        return "\n".join(lines)


@dataclass(frozen=True)
class TextScores:
    """How well a text was predicted.

    Attributes
    ----------
    loss : float
        Mean cross-entropy a token, in nats; infinite if the hidden state overflowed.
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
            "loss": self.loss if math.isfinite(self.loss) else None,
            "perplexity": self.perplexity,
        }

    def __repr__(self) -> str:
        shown = show_perplexity(self.perplexity, 3)
        return (
            f"perplexity {shown} (loss {self.loss:.4f} nats a token) of"
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
