# SPDX-License-Identifier: MIT
"""Runs one reader on files that coverage-guided mutation makes of its seeds (Atheris).

``python tests/fuzz/driver.py read_idx [libFuzzer's options]``; ``.ci/fuzz`` runs all of them. A
module ``read_*.py`` has a function ``read(folder, data)``, which puts the bytes into an empty
folder and reads them. All that it may raise is a ValueError: anything else, ten seconds or two
gigabytes are a finding. ``prepare``, where there is one, is called once, and not by the tests.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import logging
import random
import shutil
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MEMORY = 2 << 30
SECONDS = 10


def load(name: str) -> Any:
    """The module of a reader."""
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def seeds(name: str) -> list[Path]:
    return sorted((HERE / "seeds" / name).iterdir())


def accepts(reader: Any, folder: Path, data: bytes) -> bool:
    """Whether a reader takes these bytes; whatever it raises but a ValueError goes through."""
    for left in folder.iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    try:
        reader.read(folder, data)
    except ValueError:
        return False
    return True


# What stands in the place of a value of a JSON text, beside other values of the same text.
ODD: list[Any] = [None, True, False, 0, -1, 2, 0.5, 3e38, 1e308, float("nan"), float("inf")]
ODD += [2**31, 2**63, 10**30, "", "none", "darts", "\0", "\ud800", "é" * 100, "1"]
ODD += [[], {}, [[]], [0], [None], {"": 0}, {"a": []}]


def mutated_json(text: bytes, rng: random.Random) -> bytes | None:
    """A JSON text of another shape, None if this is none: bytes that are turned over break it."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        places = _places(document)
        if not places:
            break
        parent, key = rng.choice(places)
        action = rng.randrange(8)
        if action == 0:
            del parent[key]
        elif action == 1 and isinstance(parent, list):
            parent.insert(key, copy.deepcopy(parent[key]))
        elif action == 2 and isinstance(parent[key], (int, float)):
            parent[key] += rng.choice((-1, 1, 1000, 0.5))
        elif action == 3 and isinstance(parent[key], str):  # which may be JSON itself
            inner = mutated_json(parent[key].encode(errors="surrogatepass"), rng)
            parent[key] = rng.choice(ODD) if inner is None else inner.decode()
        elif action in (3, 4):
            other, there = rng.choice(places)
            parent[key] = copy.deepcopy(other[there]) if there in _keys(other) else None
        else:
            parent[key] = copy.deepcopy(rng.choice(ODD))
    try:
        return json.dumps(document).encode()
    except (ValueError, RecursionError):  # of what has become too deep
        return None


def _keys(parent: Any) -> Any:
    return range(len(parent)) if isinstance(parent, list) else parent


def _places(document: Any) -> list[tuple[Any, Any]]:
    places: list[tuple[Any, Any]] = []
    open_ = [document]
    while open_:
        parent = open_.pop()
        if isinstance(parent, (list, dict)):
            places += [(parent, key) for key in _keys(parent)]
            open_ += [parent[key] for key in _keys(parent)]
    return places


def mutated(data: bytes, largest: int, rng: random.Random) -> bytes | None:
    """JSON behind the byte that chooses the file, or before the arrays of a safetensors file."""
    for start in (0, 1):
        found = mutated_json(data[start:], rng)
        if found is not None:
            return (data[:start] + found)[:largest]
        length = int.from_bytes(data[start : start + 8], "little")
        end = start + 8 + length
        if 2 <= length <= len(data):
            found = mutated_json(data[start + 8 : end], rng)
            if found is not None:
                found += b" " * (-len(found) % 8)
                header = len(found).to_bytes(8, "little") + found
                return (data[:start] + header + data[end:])[:largest]
    return None


def main() -> None:
    import atheris  # wanted by those alone who fuzz

    name, *options = sys.argv[1:]
    warnings.simplefilter("ignore")
    logging.disable()
    with atheris.instrument_imports(include=["pydarts", "wave", "zipfile"]):
        reader = load(name)
    getattr(reader, "prepare", bool)()
    folder = Path(tempfile.mkdtemp())
    limits = [f"-rss_limit_mb={MEMORY >> 20}", f"-timeout={SECONDS}"]
    kept = [str(HERE / "seeds" / name)]
    given = [option for option in options if not option.startswith("-")]
    # What is new goes into the first folder of those that are given.
    arguments = [sys.argv[0], *limits, *options, *([] if given else [tempfile.mkdtemp()]), *kept]
    limit_memory()

    def mutator(data: bytearray, largest: int, seed: int) -> bytes:
        rng = random.Random(seed)
        found = mutated(bytes(data), largest, rng) if rng.random() < 0.7 else None
        return bytes(atheris.Mutate(data, largest)) if found is None else found

    def one(data: bytes) -> None:
        try:
            accepts(reader, folder, bytes(data))
        except BaseException:
            print(f"found with {bytes(data)!r}", file=sys.stderr)
            raise

    atheris.Setup(arguments, one, custom_mutator=mutator)
    atheris.Fuzz()


def limit_memory() -> None:
    """Make an allocation that no small file is worth a MemoryError, touched or not."""
    import resource  # of POSIX alone

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (2 * MEMORY, hard))


if __name__ == "__main__":
    main()
