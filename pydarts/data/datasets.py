# SPDX-License-Identifier: MIT
"""Image datasets by name or from files."""

from __future__ import annotations

import importlib
import os
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

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts its files."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels, with a test set if the source has one.

    Attributes
    ----------
    name : str
        What it was loaded from.
    X_train, X_test : ndarray
        As stored: (N, H, W), (N, C, H, W) or (N, H, W, C).
    y_train, y_test : ndarray
        One label for each image.
    description : str
        One line for people.

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

    def __post_init__(self) -> None:
        _check_pair(self.name, self.X_train, self.y_train)
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


def load(source: str | os.PathLike[str]) -> Dataset:
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
        * An ``.npz`` with arrays ``X`` and ``y`` and, for a test set, ``X_test`` and ``y_test``.

        A name wins over a folder of the same name: write ``./digits`` for the folder.

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
        return _load_folder(path, str(path))
    if not path.exists():
        raise FileNotFoundError(
            f"no dataset {str(source)!r}: give digits, fashion-mnist, a folder of IDX files or of"
            " CIFAR-10 binary batches, or an .npz file"
        )
    if path.suffix != ".npz":
        raise ValueError(f"{path} is neither a folder nor an .npz file")
    arrays = read_npz(path, ("X", "y"), ("X_test", "y_test"))
    test = arrays.get("X_test"), arrays.get("y_test")
    return Dataset(str(path), arrays["X"], arrays["y"], *test, f"arrays in {path}")


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


def _load_folder(folder: Path, name: str) -> Dataset:
    batches = len(cifar_batches(folder))
    if batches:
        about = f"CIFAR-10, {batches} of 5 training batches in {folder}"
        return Dataset(name, *read_cifar_folder(folder), about)
    return Dataset(name, *read_idx_folder(folder), f"IDX files in {folder}")


def _check_pair(name: str, X: NDArray[Any], y: NDArray[Any]) -> None:
    if X.ndim not in (3, 4) or y.ndim != 1:
        raise ValueError(
            f"{name}: shapes {X.shape} and {y.shape} are not those of images"
            " (N, H, W), (N, H, W, C) or (N, C, H, W) and labels (N,)"
        )
    try:
        check_consistent(X, y)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
