# SPDX-License-Identifier: MIT
"""Random splits of labelled images that keep the shares of the classes, and groups together."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pydarts.common.checks import number, show
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.data.images import check_consistent
from pydarts.data.labels import Labels, format_labels

_ORDERS = 8
"""Orders in which groups are tried before a split that has all classes is given up."""
_EXCHANGES = 1 << 20
"""Maximum number of counts that are looked at for a pair of groups to exchange."""


def group_codes(groups: Iterable[Any], count: int) -> NDArray[np.int64]:
    """Number groups from 0 in the order in which they first occur.

    Parameters
    ----------
    groups : iterable
        A hashable value for each image, such as the person that it is of.
    count : int
        Number of images.

    Returns
    -------
    ndarray of int64, shape (N,)

    Raises
    ------
    ValueError
        If there is not one group for each image, or all are one group.
    TypeError
        If `groups` is not a sequence of hashable values.
    """
    if isinstance(groups, (str, bytes)) or not isinstance(groups, Iterable):
        problem = f"(={show(groups)}) must be a sequence with one group for each image"
        raise ArgumentTypeError("groups", problem)
    values = np.asarray(groups).tolist() if hasattr(groups, "__array__") else list(groups)
    if len(values) != count:
        raise ArgumentError("groups", f"holds {len(values)} groups for {count} images")
    first: dict[Hashable, int] = {}
    for index, value in enumerate(values):
        try:
            first.setdefault(value, len(first))
        except TypeError as error:
            problem = f"holds {show(value)} at index {index}: groups must be hashable"
            raise ArgumentTypeError("groups", problem) from error
        if value != value:
            raise ArgumentError("groups", f"holds {value!r} at index {index}: that is no group")
    if len(first) == 1:
        problem = f"holds a single group ({show(values[0])}): both parts of a split need one"
        raise ArgumentError("groups", problem)
    return np.array([first[value] for value in values], np.int64)


def split_half(
    codes: NDArray[np.int64],
    rng: np.random.Generator,
    fraction: float = 0.5,
    *,
    labels: Labels | None = None,
    groups: Iterable[Any] | None = None,
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
    groups : iterable, optional
        One for each image, such as the person that it is of: no group gets into both parts. What
        remains then of the shares is said below.

    Returns
    -------
    train, valid : ndarray of int64
        Disjoint, sorted indices, together all of 0..N-1.

    Raises
    ------
    ValueError
        If a class has a single image, or is in a single group, so that one part would lack it. If
        `groups` has another length or a single group.

    Notes
    -----
    With groups, the split is sought that minimises ``(n - fN)² + Σ_c (n_c - f N_c)²``: n of N
    images, n_c of N_c in class c, are in the training part, and f is the fraction. The groups,
    in random order, are taken in while that lowers the sum; then single groups change sides, or
    two of them places, as long as that does (the best change first; exchanges are left out where
    groups are so many that they matter little). A part that lacks a class counts as worse than
    any other. That is a local minimum: a better split may exist, and other seeds may find it.
    """
    fraction = number("fraction", fraction, 0, 1, positive=True)
    if groups is not None:
        return _split_groups(codes, rng, fraction, labels, group_codes(groups, len(codes)))
    counts = _class_counts(codes, labels)
    return _split_shares(codes, rng, np.clip(_shares(counts, fraction), 1, counts - 1), counts)


def _class_counts(codes: NDArray[np.int64], labels: Labels | None) -> NDArray[np.int64]:
    """How many images each class has; ArgumentError if one has but one."""
    values, counts = np.unique(codes, return_counts=True)
    if np.any(counts < 2):
        names = _names(values[counts < 2], labels)
        problem = f"holds labels that the training half lacks: {names}"
        floats = labels is not None and {type(label) for label in labels.classes} == {float}
        if floats and np.mean(counts < 2) > 0.5:
            raise ArgumentError("y", f"{problem}: to learn numbers, give `task`='regression'")
        needs = "each class needs at least 2 images, one for either part"
        raise ArgumentError("y", f"{problem} ({needs})")
    return counts


def _shares(counts: NDArray[np.int64], fraction: float) -> NDArray[np.float64]:
    """How many images of each class a fraction is. Rounding the running total instead of each class
    keeps the sum at the fraction of all.
    """
    return np.diff(np.floor(np.cumsum(counts) * fraction + 0.5), prepend=0)


def _split_shares(
    codes: NDArray[np.int64],
    rng: np.random.Generator,
    shares: NDArray[np.float64],
    counts: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of so many images of each class, drawn at random, and of the others."""
    shuffled = rng.permutation(len(codes))
    by_class = shuffled[np.argsort(codes[shuffled], kind="stable")]
    rank = np.arange(len(codes)) - np.repeat(np.cumsum(counts) - counts, counts)
    train = rank < np.repeat(shares, counts)
    return np.sort(by_class[train]), np.sort(by_class[~train])


def _names(codes: NDArray[np.int64], labels: Labels | None) -> str:
    rare = codes.tolist()
    return format_labels(rare if labels is None else [labels.classes[code] for code in rare])


def _split_groups(
    codes: NDArray[np.int64],
    rng: np.random.Generator,
    fraction: float,
    labels: Labels | None,
    groups: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    values, classes = np.unique(codes, return_inverse=True)
    counts = np.zeros((int(groups.max()) + 1, len(values)), np.int64)
    np.add.at(counts, (groups, classes), 1)
    lonely = values[np.count_nonzero(counts, axis=0) < 2]
    if lonely.size:
        raise ArgumentError(
            "groups",
            f"puts all images of a label into one group: {_names(lonely, labels)} (each class"
            " needs at least 2 groups, one for either part)",
        )
    for _ in range(_ORDERS):
        train = _choose_groups(counts, fraction, rng.permutation(len(counts)))
        parts = counts[train].sum(axis=0), counts[~train].sum(axis=0)
        lacking = (parts[0] == 0) | (parts[1] == 0)
        if not lacking.any():
            chosen = train[groups]
            return np.flatnonzero(chosen), np.flatnonzero(~chosen)
    raise ArgumentError(
        "groups",
        f"leaves one part without images of {_names(values[lacking], labels)}: no split was found"
        " in which both parts have every class",
    )


def _choose_groups(
    counts: NDArray[np.int64], fraction: float, order: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which groups go into the training part; ``counts`` is (groups, classes)."""
    total = counts.sum(axis=0)

    def cost(inside: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of training parts with so many images of each class, (..., classes)."""
        off = inside.sum(axis=-1) - fraction * total.sum()
        missing = ((inside == 0) | (inside == total)).sum(axis=-1)
        near = off**2 + ((inside - fraction * total) ** 2).sum(axis=-1)
        worst: NDArray[np.float64] = near + missing * 2.0 * float(total.sum()) ** 2
        return worst

    train = np.zeros(len(counts), bool)
    inside = np.zeros_like(total)
    for group in order:
        if cost(inside + counts[group]) < cost(inside):
            train[group] = True
            inside = inside + counts[group]
    while True:
        signs = np.where(train, -1, 1)[:, np.newaxis]
        best, changed = float(cost(inside)), None
        moves = cost(inside + signs * counts)
        if moves.min() < best:
            best, changed = float(moves.min()), [int(moves.argmin())]
        taken, left = np.flatnonzero(train), np.flatnonzero(~train)
        if 0 < len(taken) * len(left) * len(total) <= _EXCHANGES:
            swaps = cost(inside - counts[taken][:, np.newaxis] + counts[left])
            if swaps.min() < best:
                row, column = np.unravel_index(int(swaps.argmin()), swaps.shape)
                best, changed = float(swaps.min()), [int(taken[row]), int(left[column])]
        if changed is None:
            return train
        inside = inside + (signs[changed] * counts[changed]).sum(axis=0)
        train[changed] = ~train[changed]


def split_time(count: int, fraction: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split images that are in the order of time into an earlier and a later part.

    Parameters
    ----------
    count : int
        Number of images, at least 2.
    fraction : float
        Share of the earlier part, between 0 and 1; either part gets at least one image.

    Returns
    -------
    train, valid : ndarray of int64
        Indices.
    """
    if count < 2:
        raise ArgumentError("X", f"holds {count} image: either part of a split needs one")
    first = min(max(int(count * fraction + 0.5), 1), count - 1)
    return np.arange(first), np.arange(first, count)


def strata_codes(stratify: Iterable[Any], count: int) -> NDArray[np.int64]:
    """Number what parts of a split are to have in equal shares, one value for each image."""
    try:
        labels = Labels.fit(stratify)
        codes = labels.encode(stratify)
    except ArgumentError as error:
        raise type(error)("stratify", error.problem) from error
    if len(codes) != count:
        raise ArgumentError("stratify", f"holds {len(codes)} values for {count} images")
    rare = np.flatnonzero(np.bincount(codes) < 2)
    if rare.size:
        names = format_labels(labels.classes[code] for code in rare.tolist())
        raise ArgumentError("stratify", f"holds single values: {names} (either part needs one)")
    return codes


def without_singles(codes: NDArray[Any]) -> NDArray[np.int64]:
    """Codes of which each occurs twice at least: those that occur once are one, or join another."""
    codes = codes.astype(np.int64)
    values, counts = np.unique(codes, return_counts=True)
    lone = np.isin(codes, values[counts < 2])
    if not lone.any():
        return codes
    if lone.sum() > 1 or lone.all():
        return np.where(lone, values.max() + 1, codes)
    return np.where(lone, values[counts.argmax()], codes)


def hold_out(
    X: ArrayLike,
    y: Iterable[Any],
    fraction: float = 0.2,
    seed: int = 0,
    *,
    groups: Iterable[Any] | None = None,
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
    groups : iterable, optional
        One for each image: whole groups are held out, as near to `fraction` of the images and of
        each class as `split_half` finds. Given ``np.arange(N)`` as `X`, the function returns which
        images they are, so that the groups of the others can be had, too.

    Returns
    -------
    X_train, y_train, X_test, y_test : ndarray
        In the order in which they came.

    Raises
    ------
    ValueError
        If there is not one label for each image, or a class has a single image or group.
    """
    images, names = np.asarray(X), list(y)
    check_consistent(images, names)
    labels = Labels.fit(names)
    codes = labels.encode(names)
    rng = np.random.default_rng(seed)
    test, train = split_half(codes, rng, fraction, labels=labels, groups=groups)
    return images[train], labels.decode(codes[train]), images[test], labels.decode(codes[test])


def sample(
    images: Any,
    codes: NDArray[np.int64],
    size: int | None,
    rng: np.random.Generator,
    *,
    labels: Labels | None = None,
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Draw a random part of the images, stratified by class.

    Parameters
    ----------
    images : ndarray, shape (N, ...)
    codes : ndarray of int64, shape (N,)
        As from `Labels.encode`.
    size : int or None
        Number of images to draw, which are more where some classes would have less than two: either
        half of them must have one. (They may all the same if there is no room for two of each.) All
        are returned, and nothing is drawn, if it is None or not smaller than N.
    rng : numpy.random.Generator
        Decides which images they are.
    labels : Labels, optional
        Names the classes in errors.

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
    counts = _class_counts(codes, labels)
    least = 2 if 2 * len(counts) <= size else 1
    shares = np.clip(_shares(counts, size / len(codes)), least, counts)
    chosen, _ = _split_shares(codes, rng, shares, counts)
    return images[chosen], codes[chosen]
