# SPDX-License-Identifier: MIT
"""Random splits of labelled images that keep the shares of the classes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pydarts.common.checks import number
from pydarts.data.images import check_consistent
from pydarts.data.labels import Labels, format_labels


def split_half(
    codes: NDArray[np.int64],
    rng: np.random.Generator,
    fraction: float = 0.5,
    *,
    labels: Labels | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split images at random into a training and a validation part, stratified by class.

    Parameters
    ----------
    codes : ndarray of int64, shape (N,)
        As from `Labels.encode`.
    rng : numpy.random.Generator
        Decides the split.
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
    fraction = number("fraction", fraction, 0, 1, positive=True)
    values, counts = np.unique(codes, return_counts=True)
    if np.any(counts < 2):
        rare = values[counts < 2].tolist()
        names = format_labels(rare if labels is None else [labels.classes[code] for code in rare])
        raise ValueError(
            f"labels that the training half lacks: {names} (each class needs at least 2 images,"
            " one for either part)"
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
    """Hold out random images of each class for testing.

    Parameters
    ----------
    X : array-like
        Images, along the first axis.
    y : iterable
        One label for each image.
    fraction : float
        Share of the test images, between 0 and 1.
    seed : int
        Decides which images they are.

    Returns
    -------
    X_train, y_train, X_test, y_test : ndarray
        In the order in which they came.

    Raises
    ------
    ValueError
        If there is not one label for each image, or a class has a single image.
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
    """Draw a random part of the images, stratified by class.

    Parameters
    ----------
    images : ndarray, shape (N, ...)
    codes : ndarray of int64, shape (N,)
        As from `Labels.encode`.
    size : int or None
        Number of images to draw; all are returned, and nothing is drawn, if it is None or not
        smaller than N.
    rng : numpy.random.Generator
        Decides which images they are.

    Returns
    -------
    images, codes : ndarray
        In the order in which they came.

    Raises
    ------
    ValueError
        If a class has a single image.
    """
    if size is None or size >= len(codes):
        return images, codes
    chosen, _ = split_half(codes, rng, size / len(codes))
    return images[chosen], codes[chosen]
