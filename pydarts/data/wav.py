# SPDX-License-Identifier: MIT
"""Reader of folders of WAV files, which are untrusted."""

from __future__ import annotations

import os
import wave
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pydarts.common.checks import integer
from pydarts.data.untrusted import naming

_FILLED = 1 << 26  # samples up to which zeros are filled in whatever the share of sound
_FILLING = 32  # zeros and samples together, per sample, beyond that


class Sounds(NamedTuple):
    """The sounds of a folder, in the order of their files' names.

    Attributes
    ----------
    X : ndarray, shape (N, L)
        int16 if all files are of one channel and 8 or 16 bits, else float32 of full scale ±1.
    y : ndarray of str, shape (N,), or None
        None if no name tells.
    groups : ndarray of str, shape (N,), or None
        Of whom they are; None if the names do not tell, or all are of one.
    rate : int
        Samples a second.
    names : tuple of str
        Of the files, relative to the folder.
    """

    X: NDArray[Any]
    y: NDArray[np.str_] | None
    groups: NDArray[np.str_] | None
    rate: int
    names: tuple[str, ...]


def holds_sounds(folder: Path) -> bool:
    """Whether there are WAV files in a folder or in the folders in it."""
    return any(_is_sound(path) for path in folder.iterdir()) or bool(_in_subfolders(folder))


def read_wav_folder(folder: Path, length: int | None = None) -> Sounds:
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

    Returns
    -------
    Sounds

    Raises
    ------
    ValueError
        If a file is damaged or holds more than PCM, if sample rates differ, if some names have a
        label and others none, or if nearly all would be zeros that are filled in; names the file.
    """
    if length is not None:
        integer("length", length, 1)
    paths = sorted(path for path in folder.iterdir() if _is_sound(path))
    nested = _in_subfolders(folder)
    if paths and nested:
        raise ValueError(
            f"{folder} holds both {paths[0].name} and {nested[0].relative_to(folder)}: sounds are"
            " either all in it or all in folders that are named by their labels"
        )
    y, groups = (_folder_names(nested), None) if nested else _parts_of_names(paths)
    paths = paths or nested
    sounds, rates = zip(*map(_read, paths), strict=True)
    for path, rate in zip(paths, rates, strict=True):
        if rate != rates[0]:
            raise ValueError(
                f"{path} has {rate:,} samples a second, but {paths[0].name} has {rates[0]:,}"
            )
    longest = max(map(len, sounds)) if length is None else length
    total, held = len(sounds) * longest, sum(map(len, sounds))
    if length is None and total > max(_FILLED, _FILLING * held):
        path = paths[int(np.argmax([len(sound) for sound in sounds]))]
        raise ValueError(
            f"{path} has {longest:,} samples, to which {len(sounds):,} files with {held:,} in all"
            " would be filled up: give a `length` to cut it to"
        )
    whole = all(sound.dtype == np.int16 for sound in sounds)
    X = np.zeros((len(sounds), longest), np.int16 if whole else np.float32)
    for row, sound in zip(X, sounds, strict=True):
        used = sound[:longest]
        scale = 32768 if sound.dtype == np.int16 and not whole else 1
        row[: len(used)] = used if scale == 1 else used / np.float32(scale)
    names = tuple(path.relative_to(folder).as_posix() for path in paths)
    return Sounds(X, y, groups, rates[0], names)


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


def _read(path: Path) -> tuple[NDArray[Any], int]:
    """The samples of a file, int16 or float32, and its rate."""
    with path.open("rb") as raw, naming(path):
        try:
            with wave.open(raw) as file:
                channels, width, rate, count = file.getparams()[:4]
                size, held = count * channels * width, os.fstat(raw.fileno()).st_size
                if size > held:  # before memory is spent on it
                    raise ValueError(f"claims {size:,} bytes of sound, but has {held:,} in all")
                data = file.readframes(count)
        except wave.Error as error:
            raise ValueError(f"is no sound in PCM that could be read: {error}") from error
        if len(data) != size:
            raise ValueError(f"claims {size:,} bytes of sound, but holds {len(data):,}")
        if not count or not rate:
            raise ValueError(f"holds {count} samples, {rate} a second")
        if width not in (1, 2, 3, 4):
            raise ValueError(f"has {8 * width} bits a sample, but must have 8, 16, 24 or 32")
    samples = _decode(data, width)
    if channels == 1:
        return samples, rate
    if samples.dtype == np.int16:
        samples = samples / np.float32(32768)
    return samples.reshape(-1, channels).mean(axis=1, dtype=np.float32), rate


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
