# SPDX-License-Identifier: MIT
"""Sets of the kinds that users bring: what is learned from, and what is tested on."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pydarts import Preprocessing
from pydarts.data import load_data
from pydarts.data.preprocessing import NO_PREPROCESSING

Array = NDArray[Any]

ARCHIVE: Final = ("GunPoint", "ArrowHead", "BasicMotions")
"""Time series of the UCR and UEA archives that aeon ships, with the archives' own test parts."""
PICTURES: Final = 10_000
"""Images of Fashion-MNIST that are learned from, and that are tested on."""


@dataclass(frozen=True, eq=False)
class Part:
    """What is learned from and tested on once.

    Attributes
    ----------
    name : str
        Of a speaker who is tested on; empty where a set has one part alone.
    X, y, X_test, y_test : ndarray
    task, space, groups, preprocessing
        As `pydarts.fit` takes them.
    augmentation : dict
        Options that change what all networks learn from alike.
    """

    name: str
    X: Array
    y: Array
    X_test: Array
    y_test: Array
    augmentation: Mapping[str, Any]
    task: str = "multiclass"
    space: str = "darts-1d"
    groups: Array | None = None
    preprocessing: Preprocessing = field(default=NO_PREPROCESSING)


def _read(source: str) -> tuple[Array, Array, Array, Array]:
    """What `pydarts` reads of data that have a test part of their own."""
    data = load_data(source)
    assert data.X_test is not None
    assert data.y_test is not None
    return np.asarray(data.X_train), data.y_train, np.asarray(data.X_test), data.y_test


def _archive(name: str, task: str = "multiclass") -> Part:
    """A set of time series by its name."""
    return Part("", *_read(f"aeon:{name}"), {"crop_padding": 4, "noise": 0.05}, task)


def _digits(kind: Preprocessing, file: Path | None, **augmentation: Any) -> Iterator[Part]:
    """The Free Spoken Digit Dataset, each of its speakers in turn as the one who is tested on."""
    if file is None:
        raise SystemExit("spoken digits need --digits FILE.npz")
    with np.load(file) as found:
        audio, label, speaker = found["audio"], found["label"], found["speaker"]
    for name in np.unique(speaker):
        own = speaker != name
        about: Any = {"groups": speaker[own], "preprocessing": kind}
        data = audio[own], label[own], audio[~own], label[~own]
        yield Part(str(name), *data, augmentation, **about)


def _waveforms(file: Path | None) -> Iterator[Part]:
    return _digits(Preprocessing(rate=8000, length=6000), file, crop_padding=0, shift=600)


def _spectrograms(file: Path | None) -> Iterator[Part]:
    kind = Preprocessing(
        "log_mel", rate=8000, length=6000, n_mels=24, hop=0.02, top_db=35, standardize=True
    )
    return _digits(kind, file, crop_padding=0, shift=4, noise=0.1)


def fashion_png() -> Part:
    """Images of Fashion-MNIST, written as PNG files and read as a folder."""
    image = importlib.import_module("PIL.Image")
    X, y, X_test, y_test = _read("fashion-mnist")
    with tempfile.TemporaryDirectory() as folder:
        for part, images, labels in (("train", X, y), ("test", X_test, y_test)):
            for index, (pixels, label) in enumerate(zip(images, labels, strict=True)):
                if index == PICTURES:
                    break
                path = Path(folder, part, str(label), f"{index:05}.png")
                path.parent.mkdir(parents=True, exist_ok=True)
                image.fromarray(pixels).save(path)
        return Part("", *_read(folder), {"crop_padding": 1}, space="darts")


def tecator() -> Part:
    """The fat content of pieces of meat by their spectra of 100 bands, which sktime ships with its
    split.
    """
    from sktime.datasets import load_tecator

    found = [load_tecator(split=split, return_type="numpy3d") for split in ("train", "test")]
    (X, y), (X_test, y_test) = ((x[:, 0], np.asarray(y, np.float64)) for x, y in found)
    return Part("", X, y, X_test, y_test, {"crop_padding": 1}, task="regression")


def digit_pairs(count: int = 2000, test: int = 1000) -> Part:
    """Made: two of scikit-learn's digits side by side on a canvas of 12x20 pixels, each somewhere
    in its half. What is to be told is which digits there are. No digit is on a canvas to learn from
    and on one to test on; the canvases are the same whatever the seed.
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(images))
    half = 2 * len(order) // 3

    def canvases(source: Array, number: int) -> tuple[Array, Array]:
        X, y = np.zeros((number, 12, 20), np.float32), np.zeros((number, 10), int)
        for i in range(number):
            for side, digit in enumerate(rng.choice(source, 2)):
                top, left = rng.integers(0, 5), 10 * side + rng.integers(0, 3)
                X[i, top : top + 8, left : left + 8] = images[digit]
                y[i, labels[digit]] = 1
        return X, y

    parts = *canvases(order[:half], count), *canvases(order[half:], test)
    return Part("", *parts, {"crop_padding": 1}, task="multilabel", space="darts")


_MADE: Final[Mapping[str, Callable[[], Part]]] = {
    **{name: partial(_archive, name) for name in ARCHIVE},
    "covid3month": partial(_archive, "Covid3Month", "regression"),
    "tecator": tecator,
    "fashion-png": fashion_png,
    "digit-pairs": digit_pairs,
}
_SPOKEN: Final = {"digits-waveform": _waveforms, "digits-log-mel": _spectrograms}

SETS: Final = (*_MADE, *_SPOKEN)
"""Names of the sets."""


def parts_of(name: str, digits: Path | None = None) -> Iterator[Part]:
    """Yield the parts of a set.

    Parameters
    ----------
    name : str
        One of `SETS`.
    digits : Path, optional
        The spoken digits: an .npz file with ``audio`` (N, L) int16 at 8 kHz, ``label`` and
        ``speaker``.
    """
    if name in _SPOKEN:
        yield from _SPOKEN[name](digits)
    else:
        yield _MADE[name]()
