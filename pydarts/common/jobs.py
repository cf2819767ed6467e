# SPDX-License-Identifier: MIT
"""Independent jobs side by side: in processes of this machine, or where an executor runs them."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import BrokenExecutor, Future
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from pydarts.common.checks import integer, show
from pydarts.common.errors import ArgumentTypeError

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

#: How many workers a job may lose, before it is the job that is to blame.
MAX_LOST: Final = 3


class Submits(Protocol):
    """An executor: of `concurrent.futures`, a ``distributed.Client``, or one like these."""

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Return a future with ``add_done_callback``, ``result`` and ``cancel``."""
        ...


#: What fronts take: an executor, or how many processes of this machine.
AnyExecutor = Submits | int


class LostWorker(RuntimeError):
    """All workers that ran a job ended before it did."""


class _Job(NamedTuple):
    key: Hashable
    call: Callable[..., Any]
    arguments: tuple[Any, ...]
    lost: int = 0


class Jobs:
    """Jobs that are submitted under keys; iteration gives each key with its future, as they end.

    Further ones may be submitted meanwhile. What leaves the ``with`` early cancels what has not
    begun, and ends processes that are its own. Such a process may be lost: its job is then done
    again by another. Executors that were given stay open, and do that themselves if they can.

    Parameters
    ----------
    executor : executor, int or None
        With a number, so many processes of its own. They are spawned, for a fork copies what other
        threads have begun, and leave Ctrl-C to this one. None: one job after the other, here.
    on_start : callable, optional
        Is given the key of a job that begins here or in a process of its own.

    Raises
    ------
    TypeError, ValueError
        If `executor` is something else.
    """

    def __init__(
        self,
        executor: AnyExecutor | None,
        on_start: Callable[[Any], None] = lambda key: None,
    ):
        self._executor: Submits | None = None
        self._idle: list[ProcessPoolExecutor] = []
        self._busy: dict[Hashable, ProcessPoolExecutor] = {}
        self._waiting: deque[_Job] = deque()
        self._running: dict[Hashable, Any] = {}
        self._ended: SimpleQueue[tuple[_Job, Any]] = SimpleQueue()
        self._on_start, self._here = on_start, executor is None
        if hasattr(executor, "submit"):
            # A client of Dask: its executor's futures do not depend on what is computed alike.
            own = getattr(executor, "get_executor", None)
            self._executor = executor if own is None else own()
        elif executor is not None:
            if not isinstance(executor, int) or isinstance(executor, bool):
                problem = f"(={show(executor)}) must be a number of processes, or have `submit`"
                raise ArgumentTypeError("executor", problem)
            self._idle = [_process() for _ in range(integer("executor", executor, 1))]

    def submit(
        self, key: Hashable, call: Callable[..., Any], *arguments: Any, first: bool = False
    ) -> None:
        """Let a job be done, with `first` before others that have not begun."""
        job = _Job(key, call, arguments)
        if self._executor is not None:
            self._start(self._executor, job)
        elif first:
            self._waiting.appendleft(job)
        else:
            self._waiting.append(job)

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        while self._waiting or self._running:
            if self._here:
                job = self._waiting.popleft()
                self._on_start(job.key)
                yield job.key, _called(job)
                continue
            while self._idle and self._waiting:
                self._start_in_process(self._waiting.popleft())
            job, future = self._ended.get()
            del self._running[job.key]
            if self._executor is not None:
                yield job.key, future
                continue
            process = self._busy.pop(job.key)
            if not isinstance(_error(future), BrokenExecutor):
                self._idle.append(process)
                yield job.key, future
                continue
            process.shutdown(wait=False)
            self._idle.append(_process())
            if job.lost + 1 < MAX_LOST:
                self._waiting.appendleft(job._replace(lost=job.lost + 1))
                continue
            failed: Future[Any] = Future()
            failed.set_exception(LostWorker(f"{MAX_LOST} processes were lost with it"))
            yield job.key, failed

    def __enter__(self) -> Jobs:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        own = [*self._idle, *self._busy.values()]
        if self._executor is not None:
            for future in self._running.values():
                future.cancel()
        elif self._running:  # Python 3.14 has `terminate_workers`
            for pool in own:
                for process in list(pool._processes.values()):
                    process.terminate()
        for pool in own:
            pool.shutdown()

    def _start_in_process(self, job: _Job) -> None:
        process = self._idle.pop()
        self._on_start(job.key)
        self._busy[job.key] = process
        try:
            self._start(process, job)
        except BrokenExecutor:  # lost while it was idle
            process.shutdown(wait=False)
            self._busy[job.key] = _process()
            self._start(self._busy[job.key], job)

    def _start(self, executor: Submits, job: _Job) -> None:
        future = executor.submit(job.call, *job.arguments)
        self._running[job.key] = future
        future.add_done_callback(lambda future: self._ended.put((job, future)))


def _called(job: _Job) -> Future[Any]:
    future: Future[Any] = Future()
    try:
        future.set_result(job.call(*job.arguments))
    except Exception as error:
        future.set_exception(error)
    return future


def _error(future: Any) -> BaseException | None:
    found: BaseException | None = future.exception()
    return found


def _process() -> ProcessPoolExecutor:
    """A single process, so that losing it costs one job."""
    import multiprocessing  # what only this wants of all that an import of the package takes
    from concurrent.futures import ProcessPoolExecutor

    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin_process)


def _begin_process() -> None:
    """Leave Ctrl-C to the process that waits, and end with it, whatever ended it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    from multiprocessing import parent_process

    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
