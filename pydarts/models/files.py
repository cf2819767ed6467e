# SPDX-License-Identifier: MIT
"""The two files of a saved model: model.json, which describes it, and model.safetensors."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from pydarts.common.files import check_free, replace_file, write_json
from pydarts.engine.network import EngineNetwork

_WEIGHTS, _DESCRIPTION = "model.safetensors", "model.json"


def write_model(
    folder: str | os.PathLike[str],
    description: Mapping[str, Any],
    network: EngineNetwork,
    overwrite: bool,
) -> None:
    """Write both files into ``folder``, which is made if need be. No model is ever half of another
    one: the description goes first and comes last.
    """
    to = Path(folder)
    check_free(overwrite, to / _DESCRIPTION, to / _WEIGHTS)
    json.dumps(description, allow_nan=False)  # raises before anything is written
    to.mkdir(parents=True, exist_ok=True)
    aside, before = to / f".{_DESCRIPTION}.before", _stamp(to / _WEIGHTS)
    held = (to / _DESCRIPTION).is_file()
    if held:
        (to / _DESCRIPTION).replace(aside)
    try:
        replace_file(to / _WEIGHTS, save(network.state_dict()))
    except BaseException:
        if held and _stamp(to / _WEIGHTS) == before:  # the weights are still its own
            aside.replace(to / _DESCRIPTION)
        raise
    write_json(to / _DESCRIPTION, description)
    aside.unlink(missing_ok=True)


def _stamp(path: Path) -> tuple[int, int] | None:
    """What tells a file from one that took its place; None: there is none."""
    if not path.is_file():
        return None
    found = path.stat()
    return found.st_ino, found.st_mtime_ns


def model_folder(folder: str | os.PathLike[str]) -> Path:
    """The folder of a model, given itself or as the folder of a run that holds one in ``model``."""
    path = Path(folder)
    if not path.is_dir():
        raise FileNotFoundError(f"there is no folder {str(folder)!r}")
    for place in (path / "model", path):
        if (place / _DESCRIPTION).is_file():
            return place
    raise FileNotFoundError(
        f"{folder} holds no model, neither itself nor in a folder model: searching and training"
        " save one in --out"
    )


def find_model(folder: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Paths of description and weights; FileNotFoundError if one is missing."""
    paths = Path(folder) / _DESCRIPTION, Path(folder) / _WEIGHTS
    for needed in paths:
        if not needed.is_file():
            inner = Path(folder) / "model"
            hint = f": there is a model in {inner}" if (inner / _DESCRIPTION).is_file() else ""
            raise FileNotFoundError(f"{needed} is missing{hint}")
    return paths


def declared_format(folder: str | os.PathLike[str]) -> object:
    """The format that a description claims, None if it cannot be read."""
    path, _ = find_model(folder)
    try:
        d = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None
    return d.get("format") if isinstance(d, dict) else None


def read_weights(path: Path, minimum: int) -> dict[str, NDArray[Any]]:
    """Read the float32 arrays of a file of at least so many bytes.

    The size is checked first: before memory is spent on what a description only claims.

    Raises
    ------
    ValueError
        If it is anything else; names the file.
    """
    if path.stat().st_size < minimum:
        raise ValueError(
            f"{path} has {path.stat().st_size} bytes; the network needs at least {minimum}"
        )
    try:
        state = dict(load_file(path))
    except (SafetensorError, TypeError, AttributeError) as error:  # the latter: kinds numpy lacks
        raise ValueError(f"{path} cannot be read: {error}") from error
    for name, array in state.items():
        if array.dtype != np.float32:
            raise ValueError(f"{path}: {name} holds {array.dtype}, not float32")
    return state


def load_weights(
    network: EngineNetwork, state: Mapping[str, NDArray[Any]], weights: Path, path: Path
) -> None:
    """Give a network its weights; ValueError if the files do not fit each other."""
    try:
        network.load_state_dict(state)
    except ValueError as error:
        raise ValueError(f"{weights} does not fit {path}: {error}") from error
