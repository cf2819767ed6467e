# SPDX-License-Identifier: MIT
"""What `benchmarks.quality` runs: data, spaces, sizes and seeds of its stages, with the reasons.

Screening chooses among many methods, so that its images are a part of the training data: the test
data of the confirmation are none of them. Its searches are too few for a claim. The confirmation
has fresh seeds, of searches, random cells and trainings alike, and is scored on test data.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

import pydarts
from pydarts.common.checks import choice
from pydarts.common.errors import ArgumentError
from pydarts.data.datasets import FASHION_MNIST, load
from pydarts.data.splits import sample
from pydarts.methods.named import METHOD_NAMES
from pydarts.spaces.space import READY, Space

FSDD: Final = "PYDARTS_FSDD"
"""The environment variable that names the file of spoken digits, as `own_data_sets` reads it."""

SPOKEN: Final = pydarts.Preprocessing(
    "log_mel", rate=8000, length=6000, n_mels=24, hop=0.02, top_db=35, standardize=True
)

DEFAULT: Final = (
    "darts:order=2:alpha_lr=0.003:epochs=15:max_images=3000:batch_size=64:selector=finalists"
)
"""The method, the selector and the steps of a search by the preset ``quick``."""

SEARCH: Final[Mapping[str, Any]] = {
    "channels": 4,
    "cells": 3,
    # Few images: α takes as many steps as with twice the images of twice the batch, at half the
    # time. What decides is how far it can move, the number of steps times its learning rate.
    "batch_size": 32,
    "alpha_lr": 3e-2,
    # By second order a step takes twice the time, and no other method has it: `darts:order=2`.
    "order": 1,
}
TRAINING: Final[Mapping[str, Any]] = {
    "channels": 8,
    "cells": 5,  # three normal cells and two reductions; of three cells one would be normal
    "batch_size": 64,
    "lr": 0.1,
    "drop_path": 0.0,
    "auxiliary": False,
    # Averaged weights and smoothed labels take out much of what the seed of a training does to the
    # accuracy, which at these sizes is as much as what the cell does.
    "label_smoothing": 0.1,
    "weight_average": 0.995,
}
# The network of NAS-Bench-201 has five cells for each of these, two of them residual blocks.
CELLS: Final = {"nas-bench-201": 1}


@dataclass(frozen=True)
class Part:
    """A part of a dataset, and how it is searched and trained on.

    Attributes
    ----------
    data : {"digits", "fashion-mnist", "fashion-mnist-14", "spoken-digits"}
    part : {"validation", "test"}
        What the networks are scored on; of "validation" the test data are left out altogether.
    images, scored : int
        How many images are trained and scored on, at most.
    search, training : mapping
        Options besides `SEARCH` and `TRAINING`.
    """

    data: str
    part: str
    images: int
    scored: int
    search: Mapping[str, Any]
    training: Mapping[str, Any]

    @property
    def identity(self) -> dict[str, Any]:
        """What decides which images these are."""
        return {
            "data": self.data,
            "part": self.part,
            "images": self.images,
            "scored": self.scored,
        }

    def search_config(self, space: str, seed: int) -> pydarts.SearchConfig:
        """Return the configuration of a search, before a method's own options."""
        cells = CELLS.get(space, SEARCH["cells"])
        options = {**SEARCH, "cells": cells, **self.search, "seed": seed}
        return pydarts.SearchConfig(**options)

    def train_config(self, space: str, seed: int) -> pydarts.TrainConfig:
        """Return the configuration of a training."""
        cells = CELLS.get(space, TRAINING["cells"])
        options = {**TRAINING, "cells": cells, **self.training, "seed": seed}
        return pydarts.TrainConfig(**options)


@dataclass(frozen=True)
class Stage:
    """One of the two stages.

    Attributes
    ----------
    name : str
    parts : tuple of Part
    spaces : tuple of str
    searches, random_cells : int
        For each of the data and spaces.
    train_seeds : int
        Trainings of each cell, whose mean counts.
    first_seed : int
        Seeds of searches, random cells and trainings count from here.
    """

    name: str
    parts: tuple[Part, ...]
    spaces: tuple[str, ...]
    searches: int
    random_cells: int
    train_seeds: int
    first_seed: int


SCREENING: Final = Stage(
    "screening",
    (
        # Means of 2×2 pixels: a quarter of the time, so four times the searches and cells.
        Part(
            "fashion-mnist-14",
            "validation",
            images=12_000,
            scored=10_000,
            search={"max_images": 2000, "epochs": 12},
            # After two epochs of all images seeds differ by up to three points.
            training={"epochs": 8, "crop_padding": 1},
        ),
        Part(
            "spoken-digits",
            "validation",
            images=1500,
            scored=500,
            search={"epochs": 12},
            training={"epochs": 20, "crop_padding": 2},
        ),
        Part(
            "digits",
            "validation",
            # With all of them every cell has 98 to 99 per cent; with a few, cells differ.
            images=600,
            scored=837,
            search={"epochs": 40},
            training={"epochs": 40, "crop_padding": 1},
        ),
    ),
    ("darts", "s2", "s4", "nas-bench-201"),
    searches=3,
    random_cells=8,
    train_seeds=1,
    first_seed=0,
)
CONFIRMATION: Final = Stage(
    "confirmation",
    (
        Part(
            "fashion-mnist",
            "test",
            images=20_000,
            scored=10_000,
            search={"max_images": 4000, "epochs": 12},
            training={"epochs": 5, "crop_padding": 1},
        ),
        Part(
            "spoken-digits",
            "test",
            images=2000,
            scored=1000,
            search={"epochs": 18},
            training={"epochs": 20, "crop_padding": 2},
        ),
        Part(
            "digits",
            "test",
            images=1437,
            scored=360,
            search={"epochs": 40},
            training={"epochs": 40, "crop_padding": 1},
        ),
    ),
    ("darts",),
    searches=6,
    random_cells=10,
    train_seeds=2,
    first_seed=1000,
)
STAGES: Final = {stage.name: stage for stage in (SCREENING, CONFIRMATION)}


class Images(NamedTuple):
    """Images and labels to learn from and to be scored on.

    ``groups`` are who spoke, in the order of ``X``.
    """

    X: NDArray[Any]
    y: NDArray[Any]
    X_scored: NDArray[Any]
    y_scored: NDArray[Any]
    groups: NDArray[Any] | None = None


def default_methods() -> tuple[str, ...]:
    """Return the names of all methods, after what a search does if none is named."""
    return DEFAULT, *METHOD_NAMES


def space_of(name: str) -> Space:
    """Return a space that is searched here."""
    return READY[choice("--spaces", name, tuple(READY))]


def available(parts: Iterable[Part]) -> tuple[list[Part], list[str]]:
    """Return the parts whose data are there, and what is missing for the others."""
    found, missing = [], []
    for part in parts:
        if part.data.startswith("fashion-mnist") and not FASHION_MNIST.is_dir():
            missing.append(f"{part.data}: `apt-get install dataset-fashion-mnist` brings it")
        elif part.data == "spoken-digits" and not os.environ.get(FSDD):
            missing.append(f"spoken-digits: {FSDD} does not name its file")
        else:
            found.append(part)
    return found, missing


def images_of(part: Part, space: str) -> Images:
    """Return the images of a part; the same in every process."""
    images = _images(part.data, part.part, part.images, part.scored)
    if space != "nas-bench-201":
        return images
    return images._replace(X=_divisible(images.X), X_scored=_divisible(images.X_scored))


@cache
def _images(data: str, part: str, images: int, scored: int) -> Images:
    groups = None
    if data == "spoken-digits":
        X, y, groups, X_test, y_test = _spoken_digits()
    else:
        known = load(data.removesuffix("-14"))
        assert known.X_test is not None and known.y_test is not None
        X, y, X_test, y_test = known.X_train, known.y_train, known.X_test, known.y_test
        if data.endswith("-14"):
            X, X_test = _halved(X), _halved(X_test)
    if part == "test":
        if groups is None:
            X, y = _drawn(X, y, images, seed=0)
        return Images(X, y, *_drawn(X_test, y_test, scored, seed=1), groups)
    if groups is not None:  # the last of the speakers is held out from what is learned
        own = groups != np.unique(groups)[-1]
        return Images(X[own], y[own], X[~own], y[~own], groups[own])
    order = np.random.default_rng(2).permutation(len(X))
    own, rest = np.sort(order[:images]), np.sort(order[images : images + scored])
    return Images(X[own], y[own], X[rest], y[rest])


def _drawn(X: Any, y: Any, size: int, seed: int) -> tuple[Any, Any]:
    return sample(X, y, size, np.random.default_rng(seed))


def _divisible(X: Any) -> Any:
    """Return images with a border, where it is needed for sides that are multiples of 4: residual
    blocks halve them twice, and can halve even ones only.
    """
    missing = [-side % 4 for side in X.shape[1:]]
    border = [(0, 0), *((each // 2, each - each // 2) for each in missing)]
    return np.pad(X, border, constant_values=X.min())


def _halved(X: Any) -> Any:
    """Return the mean of 2×2 pixels each."""
    count, height, width = X.shape
    return X.reshape(count, height // 2, 2, width // 2, 2).mean(axis=(2, 4), dtype=np.float32)


def _spoken_digits() -> tuple[Any, Any, Any, Any, Any]:
    """Return spectrograms of all speakers but two, and those of the two to test on."""
    path = os.environ.get(FSDD)
    if not path:
        raise ArgumentError(FSDD, "must name the file of spoken digits")
    with np.load(path) as found:
        audio, label, speaker = found["audio"], found["label"], found["speaker"]
    X = SPOKEN.apply(audio)
    test = np.isin(speaker, np.unique(speaker)[-2:])
    return X[~test], label[~test], speaker[~test], X[test], label[test]
