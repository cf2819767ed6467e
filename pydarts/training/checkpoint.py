# SPDX-License-Identifier: MIT
"""One file that holds all that a run needs to go on: safetensors with JSON in its metadata."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from pydarts import _core
from pydarts.common.errors import CheckpointError as CheckpointError
from pydarts.common.files import MALFORMED, replace_file
from pydarts.data.lazy import LazyArray

State = dict[str, Any]  # of numbers, strings, lists, arrays and further ones

_FORMAT, _VERSION = "pydarts-checkpoint", "2"


def write_checkpoint(path: Path, identity: Mapping[str, Any], state: State) -> None:
    """Put a checkpoint in the place of the one before: `replace_file`."""

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


class Checkpoint(NamedTuple):
    """What a checkpoint holds."""

    identity: dict[str, Any]
    state: State
    instruction_set: str


def read_checkpoint(path: Path) -> Checkpoint:
    """Read what `write_checkpoint` of this or an earlier version wrote.

    Raises
    ------
    CheckpointError
        If the file is no checkpoint, of another version, or damaged.
    """

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    if metadata.get("format") != _FORMAT:
        raise CheckpointError(f"{path} is no checkpoint of pydarts")
    version = metadata.get("version")
    if version not in ("1", _VERSION):
        raise CheckpointError(
            f"{path} has the version {version!r}; this pydarts reads 1 and {_VERSION}"
        )
    if metadata.pop("digest", None) != _digest(arrays, metadata):
        raise CheckpointError(f"{path} is damaged: its content does not match its checksum")
    try:
        identity, state = json.loads(metadata["identity"]), _nested(metadata["state"], arrays)
        if version == "1":
            _upgrade(identity, state)
        return Checkpoint(dict(identity), state, metadata["instruction_set"])
    except MALFORMED as error:
        raise CheckpointError(f"{path} is damaged: {error!r}") from error


def _nested(values: str, arrays: Mapping[str, NDArray[Any]]) -> State:
    """Undo `_flatten`."""
    state: State = {}
    for name, value in [*json.loads(values).items(), *arrays.items()]:
        *groups, last = name.split("/")
        inner = state
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[last] = value
    return state


def _upgrade(identity: dict[str, Any], state: State) -> None:
    """Bring a checkpoint of version 1 into the form of version 2."""
    loop = state["loop"] = state.pop("course")
    hidden, valid_hidden = loop.pop("hidden"), loop.pop("hidden_valid")
    state["data"] = {"hidden": hidden, "valid_hidden": valid_hidden}
    state["batches"] = state.pop("batches", None) or state.pop("train")
    if "valid" in state:  # a search
        identity["method"] = "darts"
    else:
        state["tracker"] = state.pop("best", {})


def difference(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """What differs between two identities, a configuration's options one by one; empty: nothing."""
    there, here = json.loads(json.dumps([there, here]))  # a pair is a list in a file
    parts = []
    for name in dict.fromkeys([*there, *here]):
        old, new = there.get(name), here.get(name)
        if old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            parts.append(difference(old, new))
        elif name in ("data", "genotype", "outputs", "labels"):
            parts.append(f"other {name}")
        else:
            parts.append(f"`{name}` was {old!r}, is {new!r}")
    return ", ".join(parts)


def fingerprint(*arrays: NDArray[Any] | LazyArray) -> str:
    """A short text that differs where shapes, types or values do."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(f"{array.dtype.str} {array.shape} ".encode())
        parts = [(0, array)] if isinstance(array, np.ndarray) else array.chunks()
        for _, part in parts:
            digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


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
