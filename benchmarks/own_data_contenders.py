# SPDX-License-Identifier: MIT
"""What learns from the sets of `benchmarks.own_data`: pydarts, and what a user would try first.

All get what the preprocessing makes of the data. The networks get the same augmentation, batches of
one size and the same seconds; the forest takes the time that it needs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import pydarts
from benchmarks.own_data_sets import Part
from pydarts.data.augmentation import Augmentation
from pydarts.data.normalization import Normalization
from pydarts.models.objectives import fit_objective
from pydarts.models.scores import LabelScores, RegressionScores

Array = NDArray[Any]
Predictions = tuple[Array, float]
"""Classes, probabilities of labels or numbers, and the seconds that learning took."""

MEASURES: Final[Mapping[str, tuple[str, ...]]] = {
    "multiclass": ("accuracy, %",),
    "multilabel": ("mean average precision, %", "F1, %"),
    "regression": ("R²", "root mean squared error"),
}
"""What predictions of a task are judged by."""


def fit(part: Part, seed: int, seconds: float) -> Predictions:
    """`pydarts.fit` as it is called without further thought."""
    start = time.perf_counter()
    model = pydarts.fit(
        part.X,
        part.y,
        seconds,
        task=part.task,
        space=part.space,
        groups=part.groups,
        preprocessing=part.preprocessing,
        seed=seed,
        progress=False,
        **part.augmentation,
    )
    taken = time.perf_counter() - start
    predict = model.predict_proba if part.task == "multilabel" else model.predict
    return predict(part.X_test), taken


def residual_network(part: Part, seed: int, seconds: float) -> Predictions:
    """A ResNet-8 of 16, 32 and 64 filters in PyTorch; signals from 1,024 samples on are first
    convolved at strides of 2 twice, as ours are.
    """
    from benchmarks.reference import resnet  # which needs torch

    start = time.perf_counter()
    X, X_test = (_planes(part, each) for each in (part.X, part.X_test))
    normalization = Normalization.fit(X)
    objective = fit_objective(part.task, part.y)
    own = pydarts.TrainConfig.make("quick").completed(len(X), X.shape[2:])
    recipe = resnet.Recipe(batch_size=own.batch_size, max_grad_norm=own.max_grad_norm)
    if part.task == "regression":
        recipe = replace(recipe, label_smoothing=0.0)
    net, _, _ = resnet.train(
        (16, 32, 64),
        normalization.apply(X),
        objective.targets.encode(part.y),
        Augmentation(**part.augmentation),
        start + seconds,
        recipe,
        seed,
        objective.loss,
        halvings=2 if own.stem == "imagenet" else 0,
    )
    taken = time.perf_counter() - start
    logits = resnet.logits(net, normalization.apply(X_test))
    decode = objective.probabilities if part.task == "multilabel" else objective.predictions
    return decode(logits), taken


def random_forest(part: Part, seed: int, seconds: float, trees: int = 500) -> Predictions:
    """scikit-learn's random forest on the numbers as they are, or those of spectra."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    start = time.perf_counter()
    kind = RandomForestRegressor if part.task == "regression" else RandomForestClassifier
    X, X_test = (x.reshape(len(x), -1) for x in (_planes(part, part.X), _planes(part, part.X_test)))
    model = kind(trees, random_state=seed, n_jobs=-1).fit(X, part.y)
    taken = time.perf_counter() - start
    if part.task == "multilabel":
        return np.stack([odds[:, 1] for odds in model.predict_proba(X_test)], axis=1), taken
    return model.predict(X_test), taken


CONTENDERS: Final[Mapping[str, Callable[[Part, int, float], Predictions]]] = {
    "pydarts": fit,
    "ResNet-8": residual_network,
    "random forest": random_forest,
}
"""By their names, in the order in which they run."""


def score(part: Part, predictions: Array) -> tuple[float, ...]:
    """Return the measures of the task, on the test part."""
    y = part.y_test
    if part.task == "multiclass":
        return (100 * float((predictions == y).mean()),)
    if part.task == "multilabel":
        labels = LabelScores.of(tuple(range(y.shape[1])), y > 0, predictions - 0.5)
        return 100 * labels.average_precision, 100 * labels.f1
    numbers = RegressionScores.of((0,), y[:, np.newaxis], predictions[:, np.newaxis])
    return numbers.r2, float(numbers.root_mean_squared_errors[0])


def _planes(part: Part, X: Array) -> NDArray[np.float32]:
    """Return images (N, C, H, W): of signals one row, of spectra a row for each band."""
    made = np.asarray(part.preprocessing.apply(X), np.float32)
    signals = part.space == "darts-1d" and part.preprocessing.kind == "none"
    size = (1, made.shape[-1]) if signals else made.shape[-2:]
    return made.reshape(len(made), -1, *size)
