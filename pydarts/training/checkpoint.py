# SPDX-License-Identifier: MIT
"""One file that holds all that a run needs to go on: safetensors with JSON in its metadata."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pydarts import _core

State = dict[str, Any]  # of numbers, texts, lists, arrays and further ones

_FORMAT, _VERSION = "pydarts-checkpoint", "1"


class CheckpointError(ValueError):
    """A checkpoint is damaged, or of another run."""


def write_checkpoint(path: Path, identity: Mapping[str, Any], state: State) -> None:
    """Put a checkpoint in the place of the one before: `replace_file`."""
    from safetensors.numpy import save

    arrays: dict[str, NDArray[Any]] = {}
    values: dict[str, Any] = {}
    _flatten("", state, arrays, values)
    metadata = {
        "format": _FORMAT,
        "version": _VERSION,
        "instruction_set": _core.instruction_set(),
        "identity": json.dumps(identity),
        "state": json.dumps(values),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, save(arrays, {**metadata, "digest": _digest(arrays, metadata)}))


def replace_file(path: Path, content: bytes) -> None:
    """Put a file in the place of the one before, which stays whole if anything fails."""
    temporary = path.with_name(_temporary(path) + secrets.token_hex(4))
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # the new name is safe, too, once the folder is
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read_checkpoint(path: Path) -> tuple[dict[str, Any], State, str]:
    """Identity of the run, its state, and the instruction set that it ran on.

    Raises
    ------
    CheckpointError
        If the file is no checkpoint, of another version, or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    if metadata.get("format") != _FORMAT:
        raise CheckpointError(f"{path} is no checkpoint of pydarts")
    if metadata.get("version") != _VERSION:
        version = metadata.get("version")
        raise CheckpointError(f"{path} has the version {version!r}; this pydarts reads {_VERSION}")
    if metadata.pop("digest", None) != _digest(arrays, metadata):
        raise CheckpointError(f"{path} is damaged: its content does not match its checksum")
    state: State = {}
    for name, value in [*json.loads(metadata["state"]).items(), *arrays.items()]:
        *groups, last = name.split("/")
        inner = state
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[last] = value
    return json.loads(metadata["identity"]), state, metadata["instruction_set"]


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files of runs that were killed while they wrote."""
    for left in path.parent.glob(_temporary(path) + "*"):
        left.unlink(missing_ok=True)


def difference(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """What differs between two identities, a configuration's options one by one; empty: nothing."""
    here = json.loads(json.dumps(here))  # a pair is a list there
    parts = []
    for name in dict.fromkeys([*there, *here]):
        old, new = there.get(name), here.get(name)
        if old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            parts.append(difference(old, new))
        elif name == "data":
            parts.append("other data")
        else:
            parts.append(f"`{name}` was {old!r}, is {new!r}")
    return ", ".join(parts)


def fingerprint(*arrays: NDArray[Any]) -> str:
    """A short text that differs where shapes, types or values do."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(f"{array.dtype.str} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _temporary(path: Path) -> str:
    return f".{path.name}."


def _digest(arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> str:
    names = sorted(arrays)
    text = json.dumps([names, sorted(metadata.items())])
    plain = np.frombuffer(text.encode(), np.uint8)
    return fingerprint(plain, *(arrays[name] for name in names))


def _flatten(
    before: str, state: State, arrays: dict[str, NDArray[Any]], values: dict[str, Any]
) -> None:
    for name, value in state.items():
        if isinstance(value, dict):
            _flatten(f"{before}{name}/", value, arrays, values)
        elif isinstance(value, np.ndarray):
            arrays[before + name] = np.ascontiguousarray(value)
        else:
            values[before + name] = value
