# SPDX-License-Identifier: MIT
"""The two files of a saved model: model.json, which describes it, and model.safetensors."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pydarts.engine.network import EngineNetwork

_WEIGHTS, _DESCRIPTION = "model.safetensors", "model.json"


def write_model(
    folder: str | os.PathLike[str],
    description: Mapping[str, Any],
    network: EngineNetwork,
    overwrite: bool,
) -> None:
    """Write both files into ``folder``, which is made if need be.

    Raises
    ------
    FileExistsError
        If one of them is there and ``overwrite`` is not set.
    """
    from safetensors.numpy import save_file

    to = Path(folder)
    text = json.dumps(description, indent=2)
    for path in (to / _DESCRIPTION, to / _WEIGHTS):
        if not overwrite and path.exists():
            raise FileExistsError(f"{path} exists; `overwrite=True` replaces it")
    to.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), to / _WEIGHTS)
    (to / _DESCRIPTION).write_text(text + "\n", encoding="utf-8")


def model_folder(text: str) -> Path:
    """The folder of a model, given itself or as the folder `model` of what a run saved."""
    folder = Path(text)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {text!r}")
    for place in (folder / "model", folder):
        if (place / "model.json").is_file():
            return place
    raise FileNotFoundError(
        f"{text} holds no model, neither itself nor in a folder model: searching and training save"
        " one in --out"
    )


def find_model(folder: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Paths of description and weights; FileNotFoundError if one is missing."""
    paths = Path(folder) / _DESCRIPTION, Path(folder) / _WEIGHTS
    for needed in paths:
        if not needed.is_file():
            raise FileNotFoundError(f"{needed} is missing")
    return paths


def declared_format(folder: str | os.PathLike[str]) -> object:
    """The format that a description claims, None if it cannot be read."""
    path, _ = find_model(folder)
    try:
        d = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None
    return d.get("format") if isinstance(d, dict) else None


@contextmanager
def described(path: Path, kind: str, version: int) -> Iterator[dict[str, Any]]:
    """The description, of this kind and version; errors in reading it name the file."""
    try:
        d = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(d, dict) or d.get("format") != kind:
            raise ValueError(f"it is not the description of a {kind.replace('-', ' ')}")
        if d.get("version") != version:
            raise ValueError(f"its version is {d.get('version')!r}, not {version}")
        yield d
    except KeyError as error:
        raise ValueError(f"{path} cannot be read: {error} is missing") from error
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def read_weights(path: Path, least: int) -> dict[str, NDArray[Any]]:
    """The float32 arrays of a file that has at least so many bytes; ValueError if it is anything
    else. The size comes first: before memory is spent on what a description only claims.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if path.stat().st_size < least:
        raise ValueError(
            f"{path} has {path.stat().st_size} bytes; the network needs at least {least}"
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
