# SPDX-License-Identifier: MIT
"""Reader of folders of WAV files, which are untrusted."""

from __future__ import annotations

import os
import struct
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pydarts.common.checks import integer
from pydarts.data.bad_items import check_on_bad, report_bad
from pydarts.data.lazy import CACHE_BYTES, CachedItems, LazyArray
from pydarts.data.untrusted import naming

_BLOCK = 1 << 20  # samples that are looked at at a time, however long a file is
_FILLED = 1 << 26  # samples up to which zeros are filled in whatever the share of sound
_FILLING = 32  # zeros and samples together, per sample, beyond that


class Sounds(NamedTuple):
    """The sounds of a folder, in the order of their files' names.

    Attributes
    ----------
    X : ndarray or LazyArray, shape (N, L)
        int16 if all files are of one channel and 8 or 16 bits, else float32 of full scale ±1. What
        takes more than 256 MiB is read again when it is asked for.
    y : ndarray of str, shape (N,), or None
        None if no name tells.
    groups : ndarray of str, shape (N,), or None
        Of whom they are; None if the names do not tell, or all are of one.
    rate : int
        Samples a second.
    names : tuple of str
        Of the files, relative to the folder.
    notes : list of str
        What was left out.
    """

    X: NDArray[Any] | LazyArray
    y: NDArray[np.str_] | None
    groups: NDArray[np.str_] | None
    rate: int
    names: tuple[str, ...]
    notes: list[str]


class _Head(NamedTuple):
    channels: int
    width: int
    rate: int
    samples: int

    @property
    def whole(self) -> bool:
        """Whether the samples are kept as int16."""
        return self.channels == 1 and self.width < 3


def holds_sounds(folder: Path) -> bool:
    """Whether there are WAV files in a folder or in the folders in it."""
    return any(_is_sound(path) for path in folder.iterdir()) or bool(_in_subfolders(folder))


def read_wav_folder(folder: Path, length: int | None = None, on_bad: str = "raise") -> Sounds:
    """Read a folder of WAV files: PCM of 8, 16, 24 or 32 bits and of one sample rate.

    Of several channels the mean is taken. Sounds that are shorter than the longest are filled up
    with zeros.

    Parameters
    ----------
    folder : Path
        Either it holds folders, whose names are the labels of the files in them. Or it holds files
        whose label is what stands before the first ``_`` of their names; if all names have three
        parts, the second is the group, as in ``7_jackson_32.wav``.
    length : int, optional
        Samples of every sound: what is longer is cut, what is shorter filled up.
    on_bad : {"raise", "skip"}
        What is done where files are damaged or hold more than PCM.

    Returns
    -------
    Sounds

    Raises
    ------
    ValueError
        If files are damaged or hold more than PCM; names them all. If sample rates differ, if some
        names have a label and others none, or if nearly all would be zeros that are filled in;
        names the file.
    """
    if length is not None:
        integer("length", length, 1)
    check_on_bad(on_bad)
    paths = sorted(path for path in folder.iterdir() if _is_sound(path))
    nested = _in_subfolders(folder)
    if paths and nested:
        raise ValueError(
            f"{folder} holds both {paths[0].name} and {nested[0].relative_to(folder)}: sounds are"
            " either all in it or all in folders that are named by their labels"
        )
    by_folder, paths = bool(nested), paths or nested
    heads: dict[Path, _Head] = {}
    bad: dict[str, str] = {}
    for path in paths:  # all are read once, so that bad ones are known from the start
        try:
            heads[path] = _check(path)
        except ValueError as error:
            bad[path.relative_to(folder).as_posix()] = str(error)
    notes = report_bad(bad, len(paths), on_bad, "files", str(folder))
    kept, rate = list(heads), next(iter(heads.values())).rate
    y, groups = (_folder_names(kept), None) if by_folder else _parts_of_names(kept)
    for path, head in heads.items():
        if head.rate != rate:
            raise ValueError(
                f"{path} has {head.rate:,} samples a second, but {kept[0].name} has {rate:,}"
            )
    counts = [head.samples for head in heads.values()]
    longest = max(counts) if length is None else length
    total, held = len(kept) * longest, sum(counts)
    if length is None and total > max(_FILLED, _FILLING * held):
        path = kept[int(np.argmax(counts))]
        raise ValueError(
            f"{path} has {longest:,} samples, to which {len(kept):,} files with {held:,} in all"
            " would be filled up: give a `length` to cut it to"
        )
    kind = np.dtype(np.int16 if all(head.whole for head in heads.values()) else np.float32)

    def read(index: int) -> NDArray[Any]:
        return _filled(kept[index], heads[kept[index]], longest, kind)

    X: NDArray[Any] | LazyArray
    if total * kind.itemsize <= CACHE_BYTES:
        X = np.empty((len(kept), longest), kind)
        for index, row in enumerate(X):
            row[:] = read(index)
    else:
        X = LazyArray(CachedItems(read), (len(kept), longest), kind)
    names = tuple(path.relative_to(folder).as_posix() for path in kept)
    return Sounds(X, y, groups, rate, names, notes)


def _is_sound(path: Path) -> bool:
    hidden = path.name.startswith(".")  # such as what other systems leave beside a file
    return path.suffix.lower() == ".wav" and not hidden and path.is_file()


def _in_subfolders(folder: Path) -> list[Path]:
    below = [each for each in folder.iterdir() if each.is_dir() and each.name[0] != "."]
    return sorted(path for each in below for path in each.iterdir() if _is_sound(path))


def _folder_names(paths: list[Path]) -> NDArray[np.str_]:
    return np.array([path.parent.name for path in paths])


def _parts_of_names(paths: list[Path]) -> tuple[NDArray[np.str_] | None, NDArray[np.str_] | None]:
    parts = [path.stem.split("_") for path in paths]
    unlabelled = [path for path, part in zip(paths, parts, strict=True) if len(part) < 2]
    if len(unlabelled) == len(paths):
        return None, None
    if unlabelled:
        raise ValueError(f"{unlabelled[0]} has no label: its name lacks a _ that others have")
    y = np.array([part[0] for part in parts])
    groups = np.array([part[1] for part in parts])
    told = min(map(len, parts)) > 2 and len(np.unique(groups)) > 1
    return y, groups if told else None


def _check(path: Path) -> _Head:
    """What a file says of itself, held against all that it holds; ValueError without its name."""
    with _opened(path) as (file, head, held):
        size = head.samples * head.channels * head.width
        if size > held:  # before anything of that size is waited for
            raise ValueError(f"claims {size:,} bytes of sound, but has {held:,} in all")
        found = 0
        while found < size:
            block = len(file.readframes(max(1, _BLOCK // head.channels)))
            if not block:
                break
            found += block
        if found != size:
            raise ValueError(f"claims {size:,} bytes of sound, but holds {found:,}")
        if not head.samples or not head.rate:
            raise ValueError(f"holds {head.samples} samples, {head.rate} a second")
        if head.width not in (1, 2, 3, 4):
            raise ValueError(f"has {8 * head.width} bits a sample, but must have 8, 16, 24 or 32")
    return head


def _filled(path: Path, checked: _Head, length: int, kind: np.dtype[Any]) -> NDArray[Any]:
    """The first samples of a file that was checked, filled up with zeros."""
    row = np.zeros(length, kind)
    with naming(path), _opened(path) as (file, head, _):
        used = min(length, head.samples)
        data = file.readframes(used)
        if head != checked or len(data) != used * head.channels * head.width:
            raise ValueError("has changed since it was first read")
    samples = _decode(data, head.width)
    if samples.dtype == np.int16 and kind != np.int16:
        samples = samples / np.float32(32768)
    if head.channels > 1:
        samples = samples.reshape(-1, head.channels).mean(axis=1, dtype=np.float32)
    row[:used] = samples
    return row


@contextmanager
def _opened(path: Path) -> Iterator[tuple[wave.Wave_read, _Head, int]]:
    """A file that is open, what it says of itself, and the bytes that it has."""
    try:
        with path.open("rb") as raw, wave.open(raw) as file:
            yield file, _Head(*file.getparams()[:4]), os.fstat(raw.fileno()).st_size
    except wave.Error as error:
        raise ValueError(f"is no sound in PCM that could be read: {error}") from error
    except (EOFError, OSError, RuntimeError, struct.error) as error:
        raise ValueError(f"cannot be read: {type(error).__name__}: {error}") from error


def _decode(data: bytes, width: int) -> NDArray[Any]:
    if width == 1:  # the only ones without a sign
        signed = (np.frombuffer(data, np.uint8) ^ np.uint8(128)).view(np.int8)
        loud: NDArray[np.int16] = signed.astype(np.int16) * np.int16(256)
        return loud
    if width == 2:
        return np.frombuffer(data, "<i2").astype(np.int16)
    if width == 3:
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        data = wide.tobytes()
    return (np.frombuffer(data, "<i4") / 2.0**31).astype(np.float32)
