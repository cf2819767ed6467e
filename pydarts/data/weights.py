# SPDX-License-Identifier: MIT
"""Weights of samples and of classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pydarts.common.checks import show
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.data.labels import Labels, format_labels

ClassWeight = str | Mapping[Any, float]


def check_sample_weight(weights: ArrayLike, count: int) -> NDArray[np.float64]:
    """Return weights (N,) of samples, or raise an error that says what is wrong with them."""
    try:
        given = np.asarray(weights, np.float64)
    except (TypeError, ValueError):
        problem = f"(={show(weights)}) must be a number for each sample"
        raise ArgumentTypeError("sample_weight", problem) from None
    if given.shape != (count,):
        problem = f"has the shape {given.shape}; there are {count} samples"
        raise ArgumentError("sample_weight", problem)
    wrong = ~(np.isfinite(given) & (given >= 0))
    if wrong.any():
        problem = f"holds {given[wrong][0]}: weights must be finite, at least 0"
        raise ArgumentError("sample_weight", problem)
    if not given.any():
        raise ArgumentError("sample_weight", "holds nothing but 0")
    return given


def class_weights(
    class_weight: ClassWeight, labels: Labels, codes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the weight of each class.

    Parameters
    ----------
    class_weight : "balanced" or mapping
        ``"balanced"``: inversely as frequent, ``N / (classes * N_c)``. Or the weight of each label;
        those that are not named have 1.
    labels : Labels
    codes : ndarray of int
        (N,) of all samples.

    Raises
    ------
    ValueError, TypeError
        For anything else, an unknown label or a weight that is no number of at least 0.
    """
    size = len(labels)
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            problem = f"(={show(class_weight)}) must be 'balanced' or a mapping by label"
            raise ArgumentError("class_weight", problem)
        counts = np.bincount(codes, minlength=size)
        return len(codes) / (size * np.maximum(counts, 1).astype(np.float64))
    if not isinstance(class_weight, Mapping):
        problem = f"(={show(class_weight)}) must be 'balanced' or a mapping by label"
        raise ArgumentTypeError("class_weight", problem)
    found = np.ones(size)
    places = {label: code for code, label in enumerate(labels.classes)}
    for label, weight in class_weight.items():
        if label not in places:
            known = format_labels(labels.classes)
            problem = f"names the unknown label {show(label)}: the classes are {known}"
            raise ArgumentError("class_weight", problem)
        plain = isinstance(weight, (int, float, np.integer, np.floating))
        if not plain or isinstance(weight, bool) or not 0 <= weight < np.inf:
            problem = f"gives {label!r} the weight {show(weight)}: it must be finite, at least 0"
            raise ArgumentError("class_weight", problem)
        found[places[label]] = weight
    if not found[codes].any():
        raise ArgumentError("class_weight", "leaves no sample with a weight of more than 0")
    return found
