# SPDX-License-Identifier: MIT
"""Random splits of labelled images that keep the mix of classes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pydarts.common.errors import ArgumentError
from pydarts.data.images import check_consistent
from pydarts.data.labels import Labels, some


def split_half(
    codes: NDArray[np.int64],
    rng: np.random.Generator,
    fraction: float = 0.5,
    *,
    labels: Labels | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split images at random into a training and a validation part with the same mix of classes.

    Parameters
    ----------
    codes : ndarray of int64, shape (N,)
        As from `Labels.encode`.
    rng : numpy.random.Generator
    fraction : float
        Share of the training part, between 0 and 1. Each class gets its share to within one image,
        and at least one image in either part.
    labels : Labels, optional
        Names the classes in errors.

    Returns
    -------
    train, valid : ndarray of int64
        Disjoint, sorted indices, together all of 0..N-1.

    Raises
    ------
    ValueError
        If a class has a single image, so that one part would lack it.
    """
    if not 0 < fraction < 1:
        raise ArgumentError("fraction", f"(={fraction}) must lie between 0 and 1")
    values, counts = np.unique(codes, return_counts=True)
    if np.any(counts < 2):
        rare = values[counts < 2].tolist()
        raise ValueError(
            "labels that the training half lacks: "
            + some(rare if labels is None else [labels.classes[code] for code in rare])
            + " (each class needs at least 2 images, one for either part)"
        )
    # Rounding the running total instead of each class keeps the parts' sizes at `fraction`.
    shares = np.diff(np.floor(np.cumsum(counts) * fraction + 0.5), prepend=0)
    shares = np.clip(shares, 1, counts - 1)
    shuffled = rng.permutation(len(codes))
    by_class = shuffled[np.argsort(codes[shuffled], kind="stable")]
    rank = np.arange(len(codes)) - np.repeat(np.cumsum(counts) - counts, counts)
    train = rank < np.repeat(shares, counts)
    return np.sort(by_class[train]), np.sort(by_class[~train])


def hold_out(
    X: ArrayLike, y: Iterable[Any], fraction: float = 0.2, seed: int = 0
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Set aside a random `fraction` of each class for testing.

    Returns
    -------
    X_train, y_train, X_test, y_test : ndarray
        In the order in which they came.
    """
    images, names = np.asarray(X), list(y)
    check_consistent(images, names)
    labels = Labels.fit(names)
    codes = labels.encode(names)
    test, train = split_half(codes, np.random.default_rng(seed), fraction, labels=labels)
    return images[train], labels.decode(codes[train]), images[test], labels.decode(codes[test])


def sample(
    images: NDArray[Any], codes: NDArray[np.int64], size: int | None, rng: np.random.Generator
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """A random part with the same mix of classes, or all where there are no more than `size`."""
    if size is None or size >= len(codes):
        return images, codes
    chosen, _ = split_half(codes, rng, size / len(codes))
    return images[chosen], codes[chosen]
