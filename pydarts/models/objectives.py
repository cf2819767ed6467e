# SPDX-License-Identifier: MIT
"""What a network over images learns to tell: one class, several labels, or numbers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from pydarts.common.arrays import sigmoid, softmax
from pydarts.common.checks import choice, number, show
from pydarts.common.errors import ArgumentError
from pydarts.data.labels import Labels
from pydarts.data.normalization import Normalization
from pydarts.data.targets import LabelSets, Numbers
from pydarts.data.weights import check_sample_weight
from pydarts.models.scores import (
    ClassificationScores,
    LabelScores,
    RegressionScores,
)
from pydarts.training.metrics import ACCURACY, AVERAGE_PRECISION, BALANCED_ACCURACY, R2, Metric

TASKS: Final = ("multiclass", "multilabel", "regression")

Values = dict[str, float]


class Objective(ABC):
    """Targets, loss and metrics of a task. Codes are targets as the network takes them.

    Attributes
    ----------
    task : str
        One of `TASKS`.
    targets : Labels, LabelSets or Numbers
    loss, huber_delta : str, float
        Of the engine's networks.
    metric : Metric
        By which models are compared.
    train_metric : str or None
        Name in the history of the share of samples that the steps of an epoch got right.
    worst : float
        The score of a model of which the metric is not a number.
    """

    task: ClassVar[str]
    worst: ClassVar[float] = 0.0
    targets: Labels | LabelSets | Numbers
    loss: str
    huber_delta: float = 1.0
    metric: Metric
    train_metric: str | None

    @property
    def outputs(self) -> int:
        """Number of outputs of the network."""
        return len(self.targets)

    @property
    def network_options(self) -> dict[str, Any]:
        """Options of the engine's networks."""
        return {"loss": self.loss, "huber_delta": self.huber_delta}

    @abstractmethod
    def losses(self, logits: NDArray[np.float64], codes: NDArray[Any]) -> NDArray[np.float64]:
        """Return the loss (N,) of each sample."""

    @abstractmethod
    def metrics(self, logits: NDArray[Any], codes: NDArray[Any]) -> Values:
        """Return what is reported beside the loss."""

    @abstractmethod
    def predictions(self, logits: NDArray[Any]) -> NDArray[Any]:
        """Return what `Model.predict` does."""

    @abstractmethod
    def probabilities(self, logits: NDArray[Any]) -> NDArray[np.float64]:
        """Return what `Model.predict_proba` does."""

    @abstractmethod
    def scores(self, logits: NDArray[Any], codes: NDArray[Any]) -> Any:
        """Return what `Model.evaluate` does."""

    def score(self, logits: NDArray[Any], codes: NDArray[Any]) -> float:
        """Return the metric; `worst` where it is not a number, as of a network that diverged."""
        found = self.metrics(logits, codes)[self.metric.key]
        return found if math.isfinite(found) else self.worst

    def check_test(self, codes: NDArray[Any]) -> None:  # noqa: B027  # accuracy always is
        """Raise ArgumentError for test data on which the metric is not defined."""

    def smoothed(self, codes: NDArray[Any], smoothing: float) -> NDArray[Any]:
        """Return codes after label smoothing."""
        return codes

    def description(self) -> dict[str, Any]:
        """What model.json holds of it."""
        return {"task": self.task, "labels": self.targets.to_json()}


@dataclass(frozen=True)
class Classification(Objective):
    """One class of several.

    Attributes
    ----------
    targets : Labels
    balanced : bool
        Whether models are judged by balanced accuracy, the mean of the classes' recalls.
    """

    targets: Labels
    balanced: bool = False

    task = "multiclass"
    loss = "cross-entropy"
    train_metric = "train_accuracy"

    @property
    def metric(self) -> Metric:  # type: ignore[override]
        return BALANCED_ACCURACY if self.balanced else ACCURACY

    def losses(self, logits: NDArray[np.float64], codes: NDArray[Any]) -> NDArray[np.float64]:
        largest = logits.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(logits - largest).sum(axis=1)) + largest[:, 0]
        found: NDArray[np.float64] = log_sum - logits[np.arange(len(codes)), codes]
        return found

    def metrics(self, logits: NDArray[Any], codes: NDArray[Any]) -> Values:
        right = logits.argmax(axis=1) == codes
        found = {"accuracy": float(right.sum() / len(codes))}
        if self.balanced:
            found["balanced_accuracy"] = self.scores(logits, codes).balanced_accuracy
        return found

    def predictions(self, logits: NDArray[Any]) -> NDArray[Any]:
        return self.targets.decode(logits.argmax(axis=1))

    def probabilities(self, logits: NDArray[Any]) -> NDArray[np.float64]:
        return softmax(logits)

    def scores(self, logits: NDArray[Any], codes: NDArray[Any]) -> ClassificationScores:
        size = len(self.targets)
        pairs = codes * size + logits.argmax(axis=1)
        confusion = np.bincount(pairs, minlength=size * size).reshape(size, size)
        return ClassificationScores(self.targets.classes, confusion)

    def smoothed(self, codes: NDArray[Any], smoothing: float) -> NDArray[Any]:
        """``(1 - smoothing)`` on the label and ``smoothing / classes`` on every class (Szegedy et
        al., arXiv:1512.00567): the label stays the most likely one, which predictions are compared
        with.
        """
        if smoothing == 0:
            return codes
        classes = len(self.targets)
        even = np.full((classes, classes), smoothing / classes)
        table = (even + (1 - smoothing) * np.eye(classes)).astype(np.float32)
        smoothed: NDArray[Any] = table[codes]
        return smoothed

    def description(self) -> dict[str, Any]:
        return {"labels": self.targets.to_json()}  # as models were written before there were others


@dataclass(frozen=True)
class MultiLabel(Objective):
    """Any number of labels. The loss is the mean over labels of their sigmoid cross-entropies.

    Attributes
    ----------
    targets : LabelSets
    """

    targets: LabelSets

    task = "multilabel"
    loss = "sigmoid"
    metric = AVERAGE_PRECISION
    train_metric = "train_subset_accuracy"

    def losses(self, logits: NDArray[np.float64], codes: NDArray[Any]) -> NDArray[np.float64]:
        each = np.maximum(logits, 0) - logits * codes + np.log1p(np.exp(-np.abs(logits)))
        found: NDArray[np.float64] = each.mean(axis=1)
        return found

    def metrics(self, logits: NDArray[Any], codes: NDArray[Any]) -> Values:
        scores = self.scores(logits, codes)
        return {"average_precision": scores.average_precision, "f1": scores.f1}

    def check_test(self, codes: NDArray[Any]) -> None:
        if not (codes > 0.5).any():
            raise ArgumentError("y_test", "holds no label: the average precision is not defined")

    def predictions(self, logits: NDArray[Any]) -> NDArray[Any]:
        return self.targets.decode(logits > 0)

    def probabilities(self, logits: NDArray[Any]) -> NDArray[np.float64]:
        return sigmoid(logits)

    def scores(self, logits: NDArray[Any], codes: NDArray[Any]) -> LabelScores:
        return LabelScores.of(self.targets.classes, codes > 0.5, np.asarray(logits))

    def smoothed(self, codes: NDArray[Any], smoothing: float) -> NDArray[Any]:
        """``(1 - smoothing) t + smoothing / 2``."""
        if smoothing == 0:
            return codes
        return ((1 - smoothing) * codes + smoothing / 2).astype(np.float32)


@dataclass(frozen=True)
class Regression(Objective):
    """Numbers, which are scaled to mean 0 and standard deviation 1 for the network.

    Attributes
    ----------
    targets : Numbers
    loss : {"mse", "huber"}
    huber_delta : float
        In standard deviations of the targets.
    """

    targets: Numbers
    loss: str = "mse"
    huber_delta: float = 1.0

    task = "regression"
    worst = -1e6
    metric = R2
    train_metric = None

    def losses(self, logits: NDArray[np.float64], codes: NDArray[Any]) -> NDArray[np.float64]:
        away = np.abs(logits - codes)
        each = away**2
        if self.loss == "huber":
            d = self.huber_delta
            each = np.where(away <= d, each / 2, d * (away - d / 2))
        found: NDArray[np.float64] = each.mean(axis=1)
        return found

    def metrics(self, logits: NDArray[Any], codes: NDArray[Any]) -> Values:
        return {"r2": self.scores(logits, codes).r2}

    def check_test(self, codes: NDArray[Any]) -> None:
        if not np.ptp(codes, axis=0).any():
            problem = f"holds one number alone ({len(codes)} times): R² is not defined"
            raise ArgumentError("y_test", problem)

    def predictions(self, logits: NDArray[Any]) -> NDArray[Any]:
        return self.targets.decode(logits)

    def probabilities(self, logits: NDArray[Any]) -> NDArray[np.float64]:
        raise TypeError("a model of task='regression' predicts numbers: it has no probabilities")

    def scores(self, logits: NDArray[Any], codes: NDArray[Any]) -> RegressionScores:
        truth, found = (self.targets.unscaled(np.asarray(v, np.float64)) for v in (codes, logits))
        return RegressionScores.of(self.targets.names, truth, found)

    def description(self) -> dict[str, Any]:
        scale = {"mean": list(self.targets.mean), "std": list(self.targets.std)}
        how = {"loss": self.loss, "huber_delta": self.huber_delta, "single": self.targets.single}
        return {**super().description(), "scale": scale, **how}


def fit_objective(
    task: str,
    y: Any,
    *,
    loss: str | None = None,
    huber_delta: float = 1.0,
    sample_weight: Any = None,
    balanced: bool = False,
) -> Objective:
    """Return the objective of a task for its targets.

    Parameters
    ----------
    task : str
        One of `TASKS`: never guessed.
    y : array-like
        Labels (N,), a matrix (N, labels) of 0 and 1, or numbers (N,) or (N, outputs).
    loss, huber_delta
        Of a regression: ``"mse"`` (the default) or ``"huber"``, and from where it is linear.
    sample_weight : array-like, optional
        By which numbers are scaled.
    balanced : bool
        Whether classes are judged by balanced accuracy.

    Raises
    ------
    ValueError, TypeError
        For unusable targets or options; names the argument.
    """
    choice("task", task, TASKS)
    delta = number("huber_delta", huber_delta, positive=True)
    if delta != Objective.huber_delta and loss != "huber":
        raise ArgumentError("huber_delta", f"(={show(huber_delta)}) is for `loss`='huber'")
    if task == "regression":
        how = choice("loss", "mse" if loss is None else loss, ("mse", "huber"))
        values = y if hasattr(y, "__array__") else list(y)
        weights = None
        if sample_weight is not None:
            weights = check_sample_weight(sample_weight, len(values))
        return Regression(Numbers.fit(values, weights), how, delta)
    if loss is not None:
        problem = f"(={show(loss)}) is for task='regression': the loss of {task!r} is its own"
        raise ArgumentError("loss", problem)
    return (
        MultiLabel(LabelSets.fit(y))
        if task == "multilabel"
        else Classification(Labels.fit(y), balanced)
    )


def read_objective(description: Mapping[str, Any]) -> Objective:
    """Return what ``description`` gave, or a model of an earlier version holds."""
    task = description.get("task", "multiclass")
    if task == "multiclass":
        return Classification(Labels.from_json(description["labels"]))
    names = LabelSets.from_json(description["labels"])
    if task == "multilabel":
        if not names.classes:
            raise ValueError("labels holds nothing")
        return MultiLabel(names)
    if task != "regression":
        raise ValueError(f"task holds {show(task)}")
    scale, single = Normalization.from_dict(description["scale"]), description["single"]
    if not isinstance(single, bool) or (single and len(scale.mean) != 1):
        raise ValueError(f"single holds {show(single)}")
    numbers = Numbers(names.classes, scale.mean, scale.std, single)
    loss = choice("loss", description["loss"], ("mse", "huber"))
    return Regression(
        numbers, loss, number("huber_delta", description["huber_delta"], positive=True)
    )
