# SPDX-License-Identifier: MIT
"""Units side by side, in processes of this machine or the workers of a cluster."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from pydarts.common.jobs import AnyExecutor, Jobs

AnyUnit = TypeVar("AnyUnit", bound=Any)  # of `benchmarks.units`


def run_side_by_side(
    following: Callable[[set[str]], AnyUnit | None],
    jobs: int,
    deadline: float,
    executor: AnyExecutor | None = None,
) -> Iterator[tuple[AnyUnit, dict[str, Any]]]:
    """Run units, ``jobs`` at a time, and yield each with what it gave when it is done.

    A unit whose process is lost is run again by another, three times in all.

    Parameters
    ----------
    following : callable
        Returns the next unit, given the keys of those that are running; None: there is none as long
        as no other is done.
    jobs : int
    deadline : float
        No unit begins after this value of ``time.monotonic()``.
    executor : executor, optional
        What runs them; by default so many processes.
    """
    busy: dict[str, AnyUnit] = {}
    with Jobs(jobs if executor is None else executor) as running:

        def fill() -> None:
            while len(busy) < jobs and time.monotonic() < deadline:
                unit = following(set(busy))
                if unit is None:
                    return
                busy[unit.key] = unit
                running.submit(unit.key, _run, unit)

        fill()
        for key, future in running:
            unit = busy.pop(key)
            try:
                found = future.result()
            except Exception as error:  # its worker is lost
                found = {"error": f"{type(error).__name__}: {error}"}
            yield unit, found
            fill()


def _run(unit: Any) -> dict[str, Any]:
    """What a unit gives; of one that failed ``error``, and where."""
    try:
        found: dict[str, Any] = unit.run()
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{place.filename}:{place.lineno}"
        found = {"error": f"{type(error).__name__}: {error}", "where": where}
    return found
