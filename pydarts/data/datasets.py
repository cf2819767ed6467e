# SPDX-License-Identifier: MIT
"""Datasets of images, signals or sounds, by name or from files."""

from __future__ import annotations

import importlib
import logging
import os
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pydarts.common.checks import show
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.data.cifar import cifar_batches, read_cifar_folder
from pydarts.data.idx import holds_idx, read_idx_folder
from pydarts.data.images import check_consistent
from pydarts.data.lazy import LazyArray, take
from pydarts.data.map_style import is_map_style, is_splits, is_stream, read_samples
from pydarts.data.npz import read_npz
from pydarts.data.pictures import (
    SUFFIXES,
    Pictures,
    holds_pictures,
    read_picture_folder,
    read_picture_table,
)
from pydarts.data.splits import hold_out
from pydarts.data.time_series import PREFIX, read_series, series_name
from pydarts.data.wav import holds_sounds, read_wav_folder

_log = logging.getLogger("pydarts")

KNOWN = ("digits", "fashion-mnist")
"""Names that `load` knows."""
FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts its files."""

_READ = (
    "digits, fashion-mnist, a folder of IDX files, of CIFAR-10 binary batches, of .wav files, of"
    f" {', '.join(SUFFIXES)} files in folders named by their labels, of X.npy and y.npy, or of"
    " NAME_TRAIN.ts, a .csv file that names images, an .npz file, or aeon:NAME"
)
_COUNTED = 10_000  # files of a folder that is not understood


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images, signals or sounds with labels, and a test set if the source has one.

    Attributes
    ----------
    name : str
        What it was loaded from.
    X_train, X_test : ndarray or LazyArray
        As stored: (N, H, W), (N, C, H, W) or (N, H, W, C); signals (N, L) or (N, C, L).
    y_train, y_test : ndarray
        One label for each image; or (N, labels) of 0 and 1, or numbers: the task tells.
    description : str
        One line for people.
    groups : ndarray or None
        One for each of the training images, such as who speaks: a split is to keep them together.
    rate : int or None
        Of sounds, samples a second.
    notes : tuple of str
        What was left out, if anything was.

    Raises
    ------
    ValueError
        If the arrays do not fit together; names the dataset.
    """

    name: str
    X_train: NDArray[Any] | LazyArray = field(repr=False)
    y_train: NDArray[Any] = field(repr=False)
    X_test: NDArray[Any] | LazyArray | None = field(default=None, repr=False)
    y_test: NDArray[Any] | None = field(default=None, repr=False)
    description: str = ""
    groups: NDArray[Any] | None = field(default=None, repr=False)
    rate: int | None = field(default=None, repr=False)
    notes: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        _check_pair(self.name, self.X_train, self.y_train)
        if self.groups is not None and self.groups.shape != self.y_train.shape[:1]:
            raise ValueError(
                f"{self.name}: groups have shape {self.groups.shape}, but"
                f" {len(self.y_train)} images need one each"
            )
        if (self.X_test is None) != (self.y_test is None):
            raise ValueError(
                f"{self.name}: test images (X_test) and test labels (y_test) must come together"
            )
        if self.X_test is None or self.y_test is None:
            return
        _check_pair(f"{self.name} (test)", self.X_test, self.y_test)
        if self.X_test.shape[1:] != self.X_train.shape[1:]:
            raise ValueError(
                f"{self.name}: test images have shape {self.X_test.shape[1:]},"
                f" training images {self.X_train.shape[1:]}"
            )


def load(
    source: Any,
    *,
    length: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    on_bad: str = "raise",
) -> Dataset:
    """Load a dataset by name, from files, which are untrusted, or from what gives samples.

    Parameters
    ----------
    source : str, path or object
        * ``"digits"``: scikit-learn's 1,797 images of 8x8 pixels; a fixed, stratified fifth of
          them is the test set.
        * ``"fashion-mnist"``: the files of Debian's package ``dataset-fashion-mnist``.
        * A folder of IDX files, gzipped or not, named as MNIST's: ``train-images-idx3-ubyte``,
          ``train-labels-idx1-ubyte`` and, for a test set, ``t10k-…`` (also with ``.idx``).
        * A folder of CIFAR-10's binary batches: any of ``data_batch_1.bin`` … ``data_batch_5.bin``
          and, for a test set, ``test_batch.bin``. Labels are names where ``batches.meta.txt`` is.
        * A folder of ``.wav`` files, as `pydarts.data.wav.read_wav_folder` describes it: labels
          from the names of folders or the first part of those of files. What takes more than 256
          MiB is read again when it is needed.
        * An ``.npz`` with arrays ``X`` and ``y`` and, for a test set, ``X_test`` and ``y_test``;
          also ``groups``, one for each of ``X``, and ``rate``, samples a second.
        * A folder of ``X.npy`` and ``y.npy``, with or without the others. ``X.npy`` stays on
          the disk, and may be larger than memory.
        * A folder of PNG, JPEG, BMP or WebP files in folders that are named by their labels, or in
          such folders in ``train`` and ``test``; or a ``.csv`` file with the columns ``path``,
          relative to it, and ``label``; if one likes, ``group`` and ``split``, train or test.
          Grey if all are, without an alpha channel, upright as their EXIF says.
        * ``"aeon:GunPoint"`` and other time series that aeon ships; or a folder that holds
          ``NAME_TRAIN.ts`` and ``NAME_TEST.ts``.
        * An object with ``__len__`` and ``__getitem__`` that gives pairs (x, y), or mappings with
          ``image`` and ``label``, as data sets of PyTorch and Hugging Face do; or a mapping of
          such by their parts, ``train`` and, to test on, ``test``. Columns of Hugging Face's that
          are called otherwise will do if their kind tells, and the names of classes are the labels.

        A name wins over a folder of the same name: write ``./digits`` for the folder.
    length : int, optional
        Of ``.wav`` files and sounds in data sets: the samples that each is cut or filled up to, by
        default the longest's.
    image_size : int or tuple of (int, int), optional
        Of files of images and Pillow's images: height and width to which they are scaled; needed
        where they differ.
    on_bad : {"raise", "skip"}
        Of files of images, of sounds and of samples: whether those that cannot be read are an error
        that names them all, or are left out, which ``notes`` and the log say.

    Returns
    -------
    Dataset

    Raises
    ------
    FileNotFoundError
        If there is no such dataset, or a part of it is missing.
    ValueError
        If a file is truncated, damaged or claims what it does not hold; names the file. If
        `length`, `image_size` or ``on_bad="skip"`` is given where nothing is read that they are
        for.
    TypeError
        If `source` is none of these.
    ImportError
        If scikit-learn, Pillow or aeon is needed and not installed.
    """
    data = read(source, length, image_size, on_bad)
    if isinstance(source, (str, os.PathLike)):
        check_of_use((source,), image_size, on_bad)
        if length is not None and sound_folder(source) is None:
            problem = f"(={length}) has no use with {source}: there are no .wav files to cut"
            raise ArgumentError("length", problem)
    for note in data.notes:
        _log.warning(note)
    return data


def as_arrays(X: Any, y: Any, groups: Any) -> tuple[Any, Any, Any]:
    """Return images, labels and groups of what searches and trainings take.

    Parameters
    ----------
    X : array-like, Dataset, str, path or object
        Without ``y``, what `load` takes or returns: its training part.
    y, groups : iterable or None
        Groups that are not given are those that a file brings.
    """
    if isinstance(X, (str, os.PathLike, Dataset)):
        if y is not None:
            raise ArgumentError("y", f"must not be given where `X` (={show(X)}) has labels")
    elif y is not None:
        return X, y, groups
    elif not (is_map_style(X) or is_splits(X) or is_stream(X)):
        problem = "is missing: only files and data sets that give samples bring their own labels"
        raise ArgumentTypeError("y", problem)
    data = X if isinstance(X, Dataset) else load(X)
    return data.X_train, data.y_train, data.groups if groups is None else groups


def read(
    source: Any,
    length: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    on_bad: str = "raise",
    *,
    colour: bool = False,
) -> Dataset:
    """Load a dataset as `load` does, but leave it to the caller to tell the notes; with ``colour``,
    files of images have three channels even if all are grey.
    """
    if is_map_style(source):
        found = read_samples(source, on_bad, image_size, length)
        name, notes = type(source).__name__, tuple(found.notes)
        return Dataset(name, found.X, found.y, rate=found.rate, notes=notes)
    if is_splits(source):
        return _of_splits(source, length, image_size, on_bad)
    if is_stream(source):
        raise ArgumentTypeError(
            "source",
            f"(={show(source)}) gives its items in turn alone, but samples are asked for by their"
            " index: of a loader give its `dataset`, of a stream `list(stream)`",
        )
    if not isinstance(source, (str, os.PathLike)):
        problem = f"(={show(source)}) must be a name, a path or a data set"
        raise ArgumentTypeError("source", problem)
    if isinstance(source, str) and source.startswith(PREFIX):
        parts = read_series(source.removeprefix(PREFIX))
        return Dataset(source, *parts, "time series that aeon ships")
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
        # A folder that is called like what comes with the package keeps its ./ as a name.
        name = os.path.join(os.curdir, path) if str(path) in KNOWN else str(path)
        return _load_folder(path, name, length, image_size, on_bad, colour)
    if not path.exists():
        raise FileNotFoundError(
            f"no dataset {str(source)!r}: there is no such file or folder; give {_READ}"
        )
    if path.suffix == ".csv":
        about = f"images that {path} names"
        pictures = read_picture_table(path, image_size, on_bad, colour=colour)
        return _of_pictures(pictures, str(path), about)
    if path.suffix != ".npz":
        raise ValueError(f"{path} is neither a folder nor an .npz or .csv file")
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
    named = source in KNOWN
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


def picture_source(source: str | os.PathLike[str]) -> Path | None:
    """Return the folder or table of images that `load` would read, if it would read one."""
    path = Path(source).expanduser()
    if source in KNOWN or cifar_batches(path):
        return None
    if path.suffix == ".csv" and path.is_file():
        return path
    return path if path.is_dir() and not holds_sounds(path) and holds_pictures(path) else None


def read_pictures(
    path: Path,
    image_size: int | tuple[int, int] | None,
    on_bad: str = "raise",
    *,
    colour: bool = False,
) -> Pictures:
    """Read what `picture_source` found."""
    read = read_picture_folder if path.is_dir() else read_picture_table
    return read(path, image_size, on_bad, colour=colour)


def check_of_use(
    sources: Collection[str | os.PathLike[str]],
    image_size: int | tuple[int, int] | None,
    on_bad: str,
) -> None:
    """Raise ArgumentError where what tells how files are read is given, but there are none."""
    if any(picture_source(source) is not None for source in sources):
        return
    names = " or ".join(str(source) for source in sources)
    if image_size is not None:
        problem = f"has no use with {names}: there are no files of images to scale"
        raise ArgumentError("image_size", problem)
    if on_bad == "skip" and all(sound_folder(source) is None for source in sources):
        problem = f"(='skip') has no use with {names}: there are no files of images or sounds"
        raise ArgumentError("on_bad", problem)


def _of_pictures(found: Pictures, name: str, about: str) -> Dataset:
    if found.y is None:
        raise ValueError(f"{name}: the images have no labels")
    test, X, y, groups = found.test, found.X, found.y, found.groups
    notes = tuple(found.notes)
    if not test.any():
        return Dataset(name, X, y, None, None, about, groups=groups, notes=notes)
    kept = np.flatnonzero(~test)
    if not kept.size:
        raise ValueError(f"{name}: all images are to test on")
    of_kept = None if groups is None else groups[kept]
    held = take(X, np.flatnonzero(test)), y[test]
    return Dataset(name, take(X, kept), y[kept], *held, about, groups=of_kept, notes=notes)


def _of_splits(
    splits: Mapping[str, Any],
    length: int | None,
    image_size: int | tuple[int, int] | None,
    on_bad: str,
) -> Dataset:
    """A data set of Hugging Face in parts: ``train`` and, to test on, ``test``."""
    name = type(splits["train"]).__name__
    train, test = read_samples(splits["train"], on_bad, image_size, length), None
    notes = list(train.notes)
    if "test" in splits:
        if train.rate is not None:
            length = train.X.shape[1]
        colour = train.kind == "image" and train.X.ndim == 4
        test = read_samples(splits["test"], on_bad, image_size, length, colour=colour)
        notes += test.notes
    others = [str(part) for part in splits if part not in ("train", "test")]
    if others:
        notes.append(f"{name}: of its parts {', '.join(others)} is not used")
    if test is not None and test.rate != train.rate:
        raise ValueError(f"{name}: `train` has the rate {train.rate}, `test` {test.rate}")
    found = Dataset(name, train.X, train.y, rate=train.rate, notes=tuple(notes))
    return found if test is None else replace(found, X_test=test.X, y_test=test.y)


def _load_arrays(folder: Path, name: str) -> Dataset:
    """The .npy files of a folder, which stay there."""
    found: dict[str, Any] = {}
    for key in ("X", "y", "X_test", "y_test", "groups", "rate"):
        path = folder / f"{key}.npy"
        if not path.is_file():
            if key == "y":
                raise FileNotFoundError(f"{path} is missing")
            continue
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except Exception as error:  # of nonsense, numpy raises TokenError, MemoryError and others
            raise ValueError(f"{path} holds no array that numpy could read: {error}") from error
        found[key] = array if key in ("X", "X_test") else np.array(array)
    test = found.get("X_test"), found.get("y_test")
    about, rate = f"arrays in {folder}", npz_rate(folder, found)
    return Dataset(name, found["X"], found["y"], *test, about, found.get("groups"), rate)


def _load_folder(
    folder: Path,
    name: str,
    length: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    on_bad: str = "raise",
    colour: bool = False,
) -> Dataset:
    batches = len(cifar_batches(folder))
    if batches:
        about = f"CIFAR-10, {batches} of 5 training batches in {folder}"
        return Dataset(name, *read_cifar_folder(folder), about)
    if holds_sounds(folder):
        sounds = read_wav_folder(folder, length, on_bad)
        if sounds.y is None:
            raise ValueError(
                f"{folder}: the names of its .wav files have no _ that a label stands before"
            )
        about = f".wav files in {folder}"
        of_whom, notes = sounds.groups, tuple(sounds.notes)
        return Dataset(name, sounds.X, sounds.y, None, None, about, of_whom, sounds.rate, notes)
    if (folder / "X.npy").is_file():
        return _load_arrays(folder, name)
    series = series_name(folder)
    if series is not None:
        return Dataset(name, *read_series(series, folder), f"time series in {folder}")
    if holds_pictures(folder):
        found = read_picture_folder(folder, image_size, on_bad, colour=colour)
        return _of_pictures(found, name, f"images in {folder}")
    if not holds_idx(folder):
        raise FileNotFoundError(f"{folder} holds {_contents(folder)}; give {_READ}")
    return Dataset(name, *read_idx_folder(folder), f"IDX files in {folder}")


def _contents(folder: Path) -> str:
    """What a folder holds that is not understood, with the folder in it that may be meant."""
    seen = (path for path in folder.rglob("*") if path.name[0] != "." and path.is_file())
    files = list(islice(seen, _COUNTED))
    if not files:
        return "no files"
    ((suffix, count), *_) = Counter(path.suffix for path in files).most_common()
    example = min(path for path in files if path.suffix == suffix)
    of = f"{suffix} file" if suffix else "file without a suffix"
    at_least = "at least " if len(files) == _COUNTED else ""
    found = f"{at_least}{count:,} {of}{'' if count == 1 else 's'}"
    found = f"{found}, such as {example.relative_to(folder).as_posix()}"
    inner = example.parents[1]
    if folder in inner.parents and suffix.lower() in (*SUFFIXES, ".wav"):
        return f"{found}, too deep: it may be that {inner} is meant"
    return f"{found}, and nothing that is read"


def _check_pair(name: str, X: NDArray[Any] | LazyArray, y: NDArray[Any]) -> None:
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
