# SPDX-License-Identifier: MIT
"""Images and labels from scikit-learn, IDX, npz and CIFAR-10 files, none of which is believed.

What a file claims is held against its size before memory is spent on it. Compressed data is read
piece by piece, and no further than claimed.
"""

from __future__ import annotations

import gzip
import importlib
import io
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pydarts.data.images import Labels, check_consistent, split_half

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
        One label an image.
    description : str
        One line for people.
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


def load(source: str | os.PathLike[str]) -> Dataset:
    """Load a dataset by name or from files.

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

    Raises
    ------
    FileNotFoundError
        If there is no such dataset, or a part of it is missing.
    ValueError
        If a file is truncated, damaged or claims what it does not hold; names the file.
    ImportError
        If ``"digits"`` is asked for and scikit-learn is not installed.
    """
    if source == "digits":
        return _load_digits()
    if source == "fashion-mnist":
        if not FASHION_MNIST.is_dir():
            raise FileNotFoundError(
                f"Fashion-MNIST is not in {FASHION_MNIST}: `apt-get install dataset-fashion-mnist`"
                " puts it there, or give the folder that holds train-images-idx3-ubyte.gz and the"
                " three others"
            )
        return _load_idx_folder(FASHION_MNIST, "fashion-mnist")
    path = Path(source).expanduser()
    if path.is_dir():
        if _batches(path):
            return _load_cifar_folder(path)
        return _load_idx_folder(path, str(path))
    if not path.exists():
        raise FileNotFoundError(
            f"no dataset {str(source)!r}: give digits, fashion-mnist, a folder of IDX files or of"
            " CIFAR-10 binary batches, or an .npz file"
        )
    if path.suffix != ".npz":
        raise ValueError(f"{path} is neither a folder nor an .npz file")
    return _load_npz(path)


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


def _load_idx_folder(folder: Path, name: str) -> Dataset:
    def read(part: str, kind: str, axes: int) -> NDArray[Any] | None:
        names = [
            f"{part}-{kind}{dot}idx{axes}-ubyte{gz}" for gz in ("", ".gz") for dot in ("-", ".")
        ]
        path = next((folder / n for n in names if (folder / n).is_file()), None)
        return None if path is None else _read_idx(path)

    X, y = read("train", "images", 3), read("train", "labels", 1)
    if X is None or y is None:
        missing = "train-images-idx3-ubyte" if X is None else "train-labels-idx1-ubyte"
        raise FileNotFoundError(
            f"{folder} holds neither {missing}[.gz], as a folder of IDX files does,"
            " nor data_batch_1.bin …, as one of CIFAR-10 does"
        )
    X_test, y_test = read("t10k", "images", 3), read("t10k", "labels", 1)
    return Dataset(name, X, y, X_test, y_test, f"IDX files in {folder}")


# IDX: two zero bytes, a byte for the type, one for the number of axes, their lengths, the data;
# all big-endian (yann.lecun.com/exdb/mnist).
_IDX_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def _read_idx(path: Path) -> NDArray[Any]:
    with path.open("rb") as raw, naming(path):
        size = os.fstat(raw.fileno()).st_size
        zipped = path.suffix == ".gz"
        stream: IO[bytes] = gzip.GzipFile(fileobj=raw) if zipped else raw  # type: ignore[assignment]
        magic = stream.read(4)
        if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _IDX_TYPES:
            raise ValueError(f"begins with {magic!r}, not as an IDX file does")
        axes = magic[3]
        shape = struct.unpack(f">{axes}I", stream.read(4 * axes))
        at_most = size * _DEFLATE if zipped else size - 4 - 4 * axes
        return _read_array(stream, np.dtype(_IDX_TYPES[magic[2]]), shape, at_most)


def _load_npz(path: Path) -> Dataset:
    arrays = read_npz(path, ("X", "y"), ("X_test", "y_test"))
    return Dataset(
        str(path),
        arrays["X"],
        arrays["y"],
        arrays.get("X_test"),
        arrays.get("y_test"),
        f"arrays in {path}",
    )


def read_npz(
    path: Path, needed: Collection[str], others: Collection[str] = ()
) -> dict[str, NDArray[Any]]:
    """The arrays of an npz that are needed, and those of the others that it has."""
    with path.open("rb") as raw, naming(path), zipfile.ZipFile(raw) as archive:
        size = os.fstat(raw.fileno()).st_size
        members = {i.filename.removesuffix(".npy"): i for i in archive.infolist()}
        arrays = {
            name: _read_member(archive, members[name], size)
            for name in (*needed, *others)
            if name in members
        }
        if not arrays.keys() >= set(needed):
            names = " and ".join(map(repr, needed))
            raise ValueError(f"needs arrays {names}, but holds {sorted(members)}")
        return arrays


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, size: int) -> NDArray[Any]:
    """One array of an npz. Not by np.load, which allocates before it reads."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{info.filename} is compressed in a way that numpy does not use")
    with archive.open(info) as member:
        head = io.BytesIO(member.read(_NPY_HEADER))
    try:
        version = np.lib.format.read_magic(head)
        parse = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran, dtype = parse(head)
    except Exception as error:  # of nonsense, numpy raises TokenError, MemoryError and others
        raise ValueError(f"{info.filename} has no header that numpy could read") from error
    if dtype.kind not in "biufUS":
        raise ValueError(f"{info.filename} has dtype {dtype}, which is neither numbers nor text")
    packed = min(info.compress_size, size)
    unpacked = packed * _DEFLATE if info.compress_type == zipfile.ZIP_DEFLATED else packed
    with archive.open(info) as member:
        member.read(head.tell())
        stored = shape[::-1] if fortran else shape
        at_most = min(unpacked, info.file_size - head.tell())
        array = _read_array(member, dtype, stored, at_most, f"{info.filename} ")
    return array.T if fortran else array


def _batches(folder: Path) -> list[Path]:
    paths = [folder / f"data_batch_{number}.bin" for number in range(1, 6)]
    return [path for path in paths if path.is_file()]


def _load_cifar_folder(folder: Path) -> Dataset:
    names = _read_class_names(folder / "batches.meta.txt")

    def read(paths: list[Path]) -> tuple[NDArray[Any], NDArray[Any]]:
        records = np.concatenate([_read_batch(path) for path in paths])
        labels = records[:, 0]
        return records[:, 1:].reshape(-1, 3, 32, 32), labels if names is None else names[labels]

    batches, test_batch = _batches(folder), folder / "test_batch.bin"
    X, y = read(batches)
    X_test, y_test = read([test_batch]) if test_batch.is_file() else (None, None)
    about = f"CIFAR-10, {len(batches)} of 5 training batches in {folder}"
    return Dataset(str(folder), X, y, X_test, y_test, about)


_CIFAR_RECORD = 1 + 3 * 32 * 32  # label, then the red, the green and the blue plane


def _read_batch(path: Path) -> NDArray[np.uint8]:
    with path.open("rb") as raw, naming(path):
        size = os.fstat(raw.fileno()).st_size
        if size == 0 or size % _CIFAR_RECORD:
            raise ValueError(f"{size:,} bytes are not whole records of {_CIFAR_RECORD:,} bytes")
        records = np.fromfile(raw, np.uint8).reshape(-1, _CIFAR_RECORD)
        wrong = np.flatnonzero(records[:, 0] > 9)
        if wrong.size:
            raise ValueError(
                f"record {wrong[0]} has the label {records[wrong[0], 0]}, but CIFAR-10's are 0..9"
            )
        return records


def _read_class_names(path: Path) -> NDArray[np.str_] | None:
    if not path.is_file():
        return None
    with path.open("rb") as raw, naming(path):
        names = raw.read(4096).decode().split()
        if len(names) != 10 or len(set(names)) != 10:
            raise ValueError(f"must name 10 different classes, but holds {names}")
        return np.array(names)


_DEFLATE = 1032
"""What a byte of deflated data can become, at most (zlib.net/zlib_tech.html)."""
_NPY_HEADER = 16384
"""Bytes of an npy header that are looked at; numpy itself refuses more than 10,000."""
_PIECE = 1 << 20


def _read_array(
    stream: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...], at_most: int, what: str = ""
) -> NDArray[Any]:
    """Read an array that must be all of what is left in `stream`.

    Refused at once if it claims more than `at_most` bytes; memory grows with what is really read.
    """
    claimed = math.prod(shape) * dtype.itemsize
    claim = (
        f"{what}claims {'x'.join(map(str, shape)) or 1} values of {dtype}, {claimed:,} bytes, but "
    )
    if claimed <= 0 or min(shape, default=1) < 0:
        raise ValueError(f"{claim}must hold something")
    if claimed > at_most:
        raise ValueError(f"{claim}has room for no more than {at_most:,}")
    data = bytearray()
    while len(data) <= claimed:  # one byte more than claimed tells that there is more
        piece = stream.read(min(_PIECE, claimed + 1 - len(data)))
        if not piece:
            break
        data += piece
    if len(data) != claimed:
        raise ValueError(f"{claim}holds {'more' if len(data) > claimed else f'{len(data):,}'}")
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Make whatever a decoder says of bad bytes a ValueError that names the file."""
    try:
        yield
    except (ValueError, EOFError, OSError, RuntimeError) as error:
        raise ValueError(f"{path}: {error}") from error
    except (zlib.error, struct.error, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
