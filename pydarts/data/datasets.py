# SPDX-License-Identifier: MIT
"""Datasets of images, signals or sounds, by name or from files."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pydarts.common.checks import show
from pydarts.common.errors import ArgumentTypeError
from pydarts.data.cifar import cifar_batches, read_cifar_folder
from pydarts.data.idx import read_idx_folder
from pydarts.data.images import check_consistent
from pydarts.data.npz import read_npz
from pydarts.data.splits import hold_out
from pydarts.data.wav import holds_sounds, read_wav_folder

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts its files."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images, signals or sounds with labels, and a test set if the source has one.

    Attributes
    ----------
    name : str
        What it was loaded from.
    X_train, X_test : ndarray
        As stored: (N, H, W), (N, C, H, W) or (N, H, W, C); signals (N, L) or (N, C, L).
    y_train, y_test : ndarray
        One label for each image; or (N, labels) of 0 and 1, or numbers: the task tells.
    description : str
        One line for people.
    groups : ndarray or None
        One for each of the training images, such as who speaks: a split is to keep them together.
    rate : int or None
        Of sounds, samples a second.

    Raises
    ------
    ValueError
        If the arrays do not fit together; names the dataset.
    """

    name: str
    X_train: NDArray[Any] = field(repr=False)
    y_train: NDArray[Any] = field(repr=False)
    X_test: NDArray[Any] | None = field(default=None, repr=False)
    y_test: NDArray[Any] | None = field(default=None, repr=False)
    description: str = ""
    groups: NDArray[Any] | None = field(default=None, repr=False)
    rate: int | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        _check_pair(self.name, self.X_train, self.y_train)
        if self.groups is not None and self.groups.shape != self.y_train.shape[:1]:
            raise ValueError(
                f"{self.name}: groups have shape {self.groups.shape}, but"
                f" {len(self.y_train)} images need one each"
            )
        if (self.X_test is None) != (self.y_test is None):
            raise ValueError(f"{self.name}: test images and test labels must come together")
        if self.X_test is None or self.y_test is None:
            return
        _check_pair(f"{self.name} (test)", self.X_test, self.y_test)
        if self.X_test.shape[1:] != self.X_train.shape[1:]:
            raise ValueError(
                f"{self.name}: test images have shape {self.X_test.shape[1:]},"
                f" training images {self.X_train.shape[1:]}"
            )


def load(source: str | os.PathLike[str], *, length: int | None = None) -> Dataset:
    """Load a dataset by name or from files, which are untrusted.

    Parameters
    ----------
    source : str or path
        * ``"digits"``: scikit-learn's 1,797 images of 8x8 pixels; a fixed, stratified fifth of
          them is the test set.
        * ``"fashion-mnist"``: the files of Debian's package ``dataset-fashion-mnist``.
        * A folder of IDX files, gzipped or not, named as MNIST's: ``train-images-idx3-ubyte``,
          ``train-labels-idx1-ubyte`` and, for a test set, ``t10k-…`` (also with ``.idx``).
        * A folder of CIFAR-10's binary batches: any of ``data_batch_1.bin`` … ``data_batch_5.bin``
          and, for a test set, ``test_batch.bin``. Labels are names where ``batches.meta.txt`` is.
        * A folder of ``.wav`` files, as `pydarts.data.wav.read_wav_folder` describes it: labels
          from the names of folders or the first part of those of files.
        * An ``.npz`` with arrays ``X`` and ``y`` and, for a test set, ``X_test`` and ``y_test``;
          also ``groups``, one for each of ``X``, and ``rate``, samples a second.

        A name wins over a folder of the same name: write ``./digits`` for the folder.
    length : int, optional
        Of ``.wav`` files: the samples that each is cut or filled up to, by default the longest's.

    Returns
    -------
    Dataset

    Raises
    ------
    FileNotFoundError
        If there is no such dataset, or a part of it is missing.
    ValueError
        If a file is truncated, damaged or claims what it does not hold; names the file.
    TypeError
        If `source` is neither a str nor a path.
    ImportError
        If ``"digits"`` is asked for and scikit-learn is not installed.
    """
    if not isinstance(source, (str, os.PathLike)):
        raise ArgumentTypeError("source", f"(={show(source)}) must be a name or a path")
    if source == "digits":
        return _load_digits()
    if source == "fashion-mnist":
        if not FASHION_MNIST.is_dir():
            raise FileNotFoundError(
                f"Fashion-MNIST is not in {FASHION_MNIST}: `apt-get install dataset-fashion-mnist`"
                " puts it there, or give the folder that holds train-images-idx3-ubyte.gz and the"
                " three others"
            )
        return _load_folder(FASHION_MNIST, source)
    path = Path(source).expanduser()
    if path.is_dir():
        return _load_folder(path, str(path), length)
    if not path.exists():
        raise FileNotFoundError(
            f"no dataset {str(source)!r}: give digits, fashion-mnist, a folder of IDX files, of"
            " CIFAR-10 binary batches or of .wav files, or an .npz file"
        )
    if path.suffix != ".npz":
        raise ValueError(f"{path} is neither a folder nor an .npz file")
    arrays = read_npz(path, ("X", "y"), ("X_test", "y_test", "groups", "rate"))
    test, about = (arrays.get("X_test"), arrays.get("y_test")), f"arrays in {path}"
    groups, rate = arrays.get("groups"), npz_rate(path, arrays)
    return Dataset(str(path), arrays["X"], arrays["y"], *test, about, groups, rate)


def npz_rate(path: Path, arrays: Mapping[str, NDArray[Any]]) -> int | None:
    """Return the sample rate among the arrays of an npz file; ValueError if it cannot be one."""
    if "rate" not in arrays:
        return None
    rate = arrays["rate"]
    if rate.size != 1 or rate.dtype.kind not in "iu" or not 0 < rate.item() < 2**31:
        raise ValueError(f"{path}: rate must be a single positive integer, samples a second")
    return int(rate.item())


def sound_folder(source: str | os.PathLike[str]) -> Path | None:
    """Return the folder of ``.wav`` files that `load` would read, if it would read one."""
    path = Path(source).expanduser()
    named = source in ("digits", "fashion-mnist")
    sounds = not named and path.is_dir() and not cifar_batches(path) and holds_sounds(path)
    return path if sounds else None


def _load_digits() -> Dataset:
    try:
        sklearn = importlib.import_module("sklearn.datasets")
    except ImportError as error:
        raise ImportError(
            "the dataset 'digits' comes with scikit-learn: pip install 'pydarts-nas[demo]'"
        ) from error
    digits = sklearn.load_digits()
    split = hold_out(digits.images.astype(np.uint8), digits.target)  # pixels are 0..16
    return Dataset("digits", *split, "scikit-learn's handwritten digits, 8x8 pixels")


def _load_folder(folder: Path, name: str, length: int | None = None) -> Dataset:
    batches = len(cifar_batches(folder))
    if batches:
        about = f"CIFAR-10, {batches} of 5 training batches in {folder}"
        return Dataset(name, *read_cifar_folder(folder), about)
    if holds_sounds(folder):
        sounds = read_wav_folder(folder, length)
        if sounds.y is None:
            raise ValueError(
                f"{folder}: the names of its .wav files have no _ that a label stands before"
            )
        about = f".wav files in {folder}"
        return Dataset(
            name, sounds.X, sounds.y, None, None, about, groups=sounds.groups, rate=sounds.rate
        )
    return Dataset(name, *read_idx_folder(folder), f"IDX files in {folder}")


def _check_pair(name: str, X: NDArray[Any], y: NDArray[Any]) -> None:
    if X.ndim not in (2, 3, 4) or y.ndim not in (1, 2):
        raise ValueError(
            f"{name}: shapes {X.shape} and {y.shape} are not those of images"
            " (N, H, W), (N, H, W, C) or (N, C, H, W) or of signals (N, L), and labels (N,)"
            " or (N, labels)"
        )
    try:
        check_consistent(X, y)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
