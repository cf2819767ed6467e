# SPDX-License-Identifier: MIT
"""Units side by side, each in a process."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

AnyUnit = TypeVar("AnyUnit", bound=Any)  # of `benchmarks.units`


class Worker:
    """A process that runs one unit after the other; it can be lost without harm to the others."""

    def __init__(self) -> None:
        self.unit: Any = None
        # A fork would copy the locks of threads that it does not have.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def start(self, unit: Any) -> None:
        """Begin a unit."""
        self.unit = unit
        self.connection.send(unit)

    def result(self) -> dict[str, Any]:
        """Return what its unit gave; of one that failed, or was lost with the process, ``error``.

        Raises
        ------
        EOFError
            If the process is lost; the unit's ``error`` is in `lost` then.
        """
        found: dict[str, Any] = self.connection.recv()
        return found

    @property
    def lost(self) -> dict[str, Any]:
        """The error of a unit whose process ended."""
        self._process.join()
        return {"error": f"its process ended with code {self._process.exitcode}"}

    def stop(self) -> None:
        """End the process, also within a unit."""
        self.connection.close()  # an idle process ends by itself, and cleans up
        if self.unit is None:
            self._process.join(timeout=5)
        self._process.terminate()
        self._process.join()


def run_in_processes(
    following: Callable[[set[str]], AnyUnit | None], jobs: int, deadline: float
) -> Iterator[tuple[AnyUnit, dict[str, Any]]]:
    """Run units, ``jobs`` at a time, and yield each with what it gave when it is done.

    Parameters
    ----------
    following : callable
        Returns the next unit, given the keys of those that are running; None: there is none as long
        as no other is done.
    jobs : int
    deadline : float
        No unit begins after this value of ``time.monotonic()``.
    """
    workers: list[Worker] = []
    try:
        while True:
            busy = [worker for worker in workers if worker.unit]
            while len(busy) < jobs and time.monotonic() < deadline:
                unit = following({each.unit.key for each in busy if each.unit})
                if unit is None:
                    break
                worker = next((each for each in workers if not each.unit), None)
                if worker is None:
                    workers.append(worker := Worker())
                worker.start(unit)
                busy.append(worker)
            if not busy:
                return
            ready = wait([worker.connection for worker in busy])
            for worker in busy:
                if worker.connection in ready and worker.unit:
                    done, worker.unit = worker.unit, None
                    try:
                        found = worker.result()
                    except (EOFError, ConnectionError):
                        found = worker.lost
                        workers.remove(worker)
                    yield done, found
    finally:
        for worker in workers:
            worker.stop()


def _serve(connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    with contextlib.suppress(EOFError, ConnectionError):  # the parent is gone
        while True:
            unit = connection.recv()
            try:
                found = unit.run()
            except Exception as error:
                place = traceback.extract_tb(error.__traceback__)[-1]
                where = f"{place.filename}:{place.lineno}"
                found = {"error": f"{type(error).__name__}: {error}", "where": where}
            connection.send(found)
