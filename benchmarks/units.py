# SPDX-License-Identifier: MIT
"""Units of a long measurement, and the file of their results.

A unit is a value that says all that decides its result but the code. What it gave is a line of JSON
in a file that only grows, so that whatever ends a run, what was done is kept.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pydarts
from benchmarks.workers import run_side_by_side
from pydarts.common.jobs import AnyExecutor


class Unit(Protocol):
    """A search or a training; it must be fit for another process."""

    @property
    def config(self) -> Any:
        """Its configuration, with the seed."""
        ...

    @property
    def what(self) -> str:
        """For people."""
        ...

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides the result, as JSON."""
        ...

    @property
    def key(self) -> str:
        """The identity as text."""
        ...

    def run(self) -> dict[str, Any]:
        """Do it on one thread, and return what is to be kept, as JSON."""
        ...


AnyUnit = TypeVar("AnyUnit", bound=Unit)


class Results:
    """What was done, by the keys of units; in a file that only grows.

    Parameters
    ----------
    path : Path
        It need not exist.
    """

    def __init__(self, path: Path):
        self.path = path
        self.done: dict[str, dict[str, Any]] = {}
        self.failed: dict[str, str] = {}
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                key = json.dumps(entry["unit"], sort_keys=True)
            except (ValueError, TypeError, KeyError):
                continue  # what a run that was killed had begun to write
            if "error" not in entry:
                self.done[key] = entry

    def add(self, unit: Unit, found: Mapping[str, Any]) -> None:
        """Keep what a unit gave, or its ``error``; a later run tries that again."""
        about = {"unit": unit.identity, "config": unit.config.to_dict()}
        entry = {
            **about,
            **found,
            "version": pydarts.__version__,
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file:
            file.seek(0, os.SEEK_END)
            whole = True
            if file.tell():
                file.seek(-1, os.SEEK_END)
                whole = file.read(1) == b"\n"
            line = json.dumps(entry, ensure_ascii=False) + "\n"
            file.write(("" if whole else "\n").encode() + line.encode())
        if "error" in found:
            self.failed[unit.key] = found["error"]
        else:
            self.done[unit.key] = entry


def run_units(
    units: Callable[[Results], Iterable[AnyUnit]],
    results: Results,
    jobs: int,
    minutes: float,
    executor: AnyExecutor | None = None,
) -> Iterator[tuple[AnyUnit, dict[str, Any]]]:
    """Run what is not done yet, and keep and yield what each unit gave, or its ``error``.

    Parameters
    ----------
    units : callable
        Returns the units that can be run by what is done, in their order.
    results : Results
    jobs : int
        Units side by side, each in a process.
    minutes : float
        After these, no unit begins.
    executor : executor, optional
        What runs the units, in place of processes of this machine.
    """

    def following(running: set[str]) -> AnyUnit | None:
        known = running | results.done.keys() | results.failed.keys()
        return next((unit for unit in units(results) if unit.key not in known), None)

    end = time.monotonic() + 60 * minutes
    for unit, found in run_side_by_side(following, jobs, end, executor):
        results.add(unit, found)
        yield unit, found
