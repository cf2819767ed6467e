# SPDX-License-Identifier: MIT
"""Time series of the UCR and UEA archives, which aeon reads."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pydarts.data.untrusted import Parts

PREFIX = "aeon:"
"""What stands before the name of a set that aeon ships."""


def series_name(folder: Path) -> str | None:
    """The name of the archive's set that a folder holds: of ``NAME_TRAIN.ts``."""
    found = sorted(folder.glob("*_TRAIN.ts"))
    return found[0].name.removesuffix("_TRAIN.ts") if found else None


def read_series(name: str, folder: Path | None = None) -> Parts:
    """Read a set of the archives: its training part, and its test part.

    Parameters
    ----------
    name : str
        Such as ``GunPoint``.
    folder : Path, optional
        That holds ``NAME_TRAIN.ts`` and ``NAME_TEST.ts``; by default what comes with aeon. Nothing
        is downloaded.

    Returns
    -------
    X, y, X_test, y_test : ndarray
        Signals (N, C, L) and their classes.

    Raises
    ------
    ValueError
        If the series differ in length, or are damaged.
    FileNotFoundError
        If there is no such set.
    ImportError
        If aeon is not installed.
    """
    try:
        aeon = importlib.import_module("aeon.datasets")
    except ImportError as error:
        raise ImportError(
            "time series are read by aeon: pip install 'pydarts-nas[timeseries]'"
        ) from error
    if folder is None:
        home = Path(str(aeon.__file__)).parent / "data"
        folder = home / name
        if name != Path(name).name or not (folder / f"{name}_TRAIN.ts").is_file():
            there = sorted(each.name for each in home.iterdir() if series_name(each))
            raise FileNotFoundError(
                f"aeon does not come with {name!r}, but with {', '.join(there)}: of others give"
                " the folder that holds NAME_TRAIN.ts and NAME_TEST.ts"
            )
    parts: list[Any] = []
    for part in ("TRAIN", "TEST"):
        path = folder / f"{name}_{part}.ts"
        if not path.is_file():
            if part == "TEST":
                return parts[0], parts[1], None, None
            raise FileNotFoundError(f"{path} is missing")
        try:
            X, y = aeon.load_from_ts_file(str(path))
        except Exception as error:  # whatever a foreign reader raises
            raise ValueError(f"{path}: {type(error).__name__}: {error}") from error
        parts += [_equal(path, X), np.asarray(y)]
    return parts[0], parts[1], parts[2], parts[3]


def _equal(path: Path, X: Any) -> NDArray[Any]:
    if isinstance(X, np.ndarray):
        return X
    lengths = {np.shape(series)[-1] for series in X}
    raise ValueError(
        f"{path} holds series of {min(lengths):,} to {max(lengths):,} samples, but all must be of"
        " one length"
    )
