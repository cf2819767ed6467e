# SPDX-License-Identifier: MIT
"""Ranks: processes that compute one run together, each a part of every batch, over MPI."""

from __future__ import annotations

import functools
import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np

from pydarts import _core
from pydarts.common.errors import ArgumentError, ArgumentTypeError, CheckpointError
from pydarts.common.termination import TERMINATED, Terminated

P = ParamSpec("P")
T = TypeVar("T")

# What a rank that failed waits for the others to fail alike: longer than what they may lag behind.
_PATIENCE = 5.0

# Where there are more ranks than cores: how often one asks for a message before it sleeps, and how
# long.
_ASKED, _NAP = 50, 5e-5

# The cores of a machine that are told apart.
_MOST_CORES = 8192

# What an error of the first rank may be on the others: an error of another type is the first of
# these that it is derived from.
_ERRORS: dict[str, type[Exception]] = {
    kind.__name__: kind
    for kind in (
        *(ArgumentError, ArgumentTypeError, CheckpointError, ValueError, TypeError, ImportError),
        *(FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError),
        *(PermissionError, OSError, ArithmeticError, MemoryError, RuntimeError),
    )
}


class Ranks:
    """The processes that compute one run together, as one of them sees them.

    All of them run the same program on the same data. What depends on time, files or keys that are
    pressed is decided by one of them.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm, optional
        By default there is this process alone.

    Attributes
    ----------
    rank, size : int
        Which one this is, and how many there are.
    messages, sent_bytes : int
        What the engine's passes told all ranks since the start.
    """

    def __init__(self, comm: Any = None):
        self.rank, self.size = 0, 1
        self.messages = self.sent_bytes = 0
        self._comm: Any = None
        if comm is None:
            return
        missing = [name for name in ("Get_rank", "Allgatherv", "Abort") if not hasattr(comm, name)]
        if missing:
            raise ArgumentTypeError("comm", f"(={comm!r}) must be a communicator of mpi4py")
        self.rank, self.size = int(comm.Get_rank()), int(comm.Get_size())
        if self.size == 1:
            return
        from mpi4py import MPI

        self._mpi, self._byte = MPI, MPI.BYTE
        self._comm = comm.Dup()  # no message of anybody else's is taken for one of ours
        self._failures = comm.Dup()
        self._sharing = self._ranks_sharing()
        # Who waits for a message by asking for it takes a core from the ranks that have yet to run.
        self._crowded = self._sharing > len(_own_cores())

    @property
    def several(self) -> bool:
        return self.size > 1

    @property
    def first(self) -> bool:
        """Whether this is the one that prints and writes."""
        return self.rank == 0

    def threads(self, threads: int | None) -> int | None:
        """The threads of this rank: by default what ``OMP_NUM_THREADS`` says, else its share of the
        cores that it may run on.
        """
        if threads is not None or not self.several:
            return threads
        asked = re.match(r"\s*0*[1-9]", os.environ.get("OMP_NUM_THREADS", "")) is not None
        return max(1, _core.default_threads() // (1 if asked else self._sharing))

    def _ranks_sharing(self) -> int:
        """How many ranks of this machine, with this one, may run on cores of this one: a launcher
        may give each its own.
        """
        here = self._comm.Split_type(self._mpi.COMM_TYPE_SHARED)
        try:
            own = np.zeros(_MOST_CORES, np.uint8)
            own[list(_own_cores())] = 1
            others = np.empty((int(here.Get_size()), _MOST_CORES), np.uint8)
            here.Allgather([own, self._byte], [others, self._byte])
        finally:
            here.Free()
        return int(np.any(others & own, axis=1).sum())

    def require_alone(self, argument: str, value: object) -> None:
        """Raise ArgumentError where several ranks are given what one process alone can do."""
        if self.several and value is not None:
            problem = f"(={value!r}) is for one process, not for {self.size} ranks"
            raise ArgumentError(argument, problem)

    # What the engine calls

    def gather(self, mine: memoryview, everything: memoryview, counts: Sequence[int]) -> None:
        """Put what all ranks have, `counts` bytes of each, one behind the other."""
        self.messages += 1
        self.sent_bytes += len(everything)
        byte = self._byte
        told = [mine, byte], [everything, (counts, None), byte]
        if not self._crowded:
            self._comm.Allgatherv(*told)
            return
        request, asked = self._comm.Iallgatherv(*told), 0
        while not request.Test():
            asked += 1
            if asked > _ASKED:
                time.sleep(_NAP)

    def broadcast(self, data: memoryview, root: int) -> None:
        """Make ``data`` that of one rank."""
        self._comm.Bcast([data, self._byte], root)

    # What a run decides

    def any(self, flag: bool) -> bool:
        """Whether a flag is set on any rank."""
        if not self.several:
            return flag
        return bool(self._comm.allreduce(int(flag), self._mpi.MAX))

    def of_first(self, value: T) -> T:
        """Return what the first rank gives."""
        return self.on_first(lambda: value)

    def on_first(self, call: Callable[[], T]) -> T:
        """Call on the first rank alone, and return, or raise, on all ranks what comes of it.

        That is a number, a text, a path, an array, None, or lists and dictionaries of these.
        """
        if not self.several:
            return call()
        if not self.first:
            told = json.loads(self._tell(b""), object_hook=_from_json)
            if "error" in told:
                raise _error(*told["error"])
            value: T = told["value"]
            return value
        try:
            value = call()
        except Exception as error:
            self._tell(json.dumps({"error": _description(error)}).encode())
            raise
        self._tell(json.dumps({"value": value}, default=_to_json).encode())
        return value

    def _tell(self, message: bytes) -> bytes:
        """Return the message of the first rank. It is never pickled."""
        size = np.array([len(message)], np.int64)
        self._comm.Bcast([size.view(np.uint8), self._byte])
        data = np.frombuffer(message, np.uint8) if self.first else np.empty(size[0], np.uint8)
        self._comm.Bcast([data, self._byte])
        return data.tobytes()

    @contextmanager
    def together(self) -> Iterator[None]:
        """End all ranks if one fails alone: else the others would wait for it. Where all of them
        fail alike, each raises. Only the first one warns.
        """
        log = logging.getLogger("pydarts")
        if not self.first:
            log.addFilter(_nothing)
        try:
            yield
        except BaseException as error:
            if self.several and not self._all_fail():
                self._end_all(error)
            raise
        finally:
            log.removeFilter(_nothing)

    def _end_all(self, error: BaseException) -> None:
        interrupted = isinstance(error, KeyboardInterrupt)
        text = f"failed ({type(error).__name__}: {' '.join(str(error).split())})"
        what = f"rank {self.rank} {'was interrupted' if interrupted else text}"
        stream = sys.__stderr__ or sys.stderr
        stream.write(f"pydarts: error: {what}: all {self.size} ranks end\n")
        stream.flush()
        terminated = isinstance(error, Terminated)
        self._comm.Abort(TERMINATED if terminated else 130 if interrupted else 1)

    def _all_fail(self) -> bool:
        request = self._failures.Ibarrier()
        end = time.monotonic() + _PATIENCE
        while not request.Test():
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True


def _own_cores() -> set[int]:
    """The numbers of the cores that this process may run on, as far as the system tells."""
    if hasattr(os, "sched_getaffinity"):
        return {core for core in os.sched_getaffinity(0) if core < _MOST_CORES} or {0}
    return set(range(min(os.cpu_count() or 1, _MOST_CORES)))


#: This process alone.
ALONE = Ranks()


def as_ranks(comm: Any) -> Ranks:
    """Return the ranks of a communicator of mpi4py; None: this process alone."""
    if comm is None:
        return ALONE
    return comm if isinstance(comm, Ranks) else Ranks(comm)


def shared(function: Callable[P, T]) -> Callable[P, T]:
    """Make a function with an argument ``comm`` one that all ranks call `together`."""

    @functools.wraps(function)
    def call(*args: P.args, **options: P.kwargs) -> T:
        if options.get("comm") is None:
            return function(*args, **options)
        ranks = as_ranks(options["comm"])
        options["comm"] = ranks
        with ranks.together():
            return function(*args, **options)

    return call


def launched_ranks(environ: Mapping[str, str] | None = None) -> int:
    """Return of how many processes an MPI launcher says that this is one; of one alone 1.

    Slurm's own variables are those of processes that may know nothing of each other: alone they do
    not count.
    """
    environ = os.environ if environ is None else environ
    names = ["PMI_SIZE", "OMPI_COMM_WORLD_SIZE"]
    if "PMIX_RANK" in environ:
        names += ["PMIX_SIZE", "SLURM_STEP_NUM_TASKS"]
    counts = [environ[name] for name in names if environ.get(name, "").isdecimal()]
    return max([1, *map(int, counts)])


def launched_rank() -> int:
    """Return which of the processes that an MPI launcher started this is."""
    if launched_ranks() == 1:
        return 0
    names = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK")
    return next((int(os.environ[n]) for n in names if os.environ.get(n, "").isdecimal()), 0)


def launched() -> Ranks:
    """Return the ranks that an MPI launcher started; without one, this process alone.

    Raises
    ------
    ImportError
        If there are several, and mpi4py is not installed.
    """
    count = launched_ranks()
    if count == 1:
        return ALONE
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # the latter without an MPI library
        problem = f"an MPI launcher started {count} processes, which need mpi4py"
        raise ImportError(f"{problem}: pip install 'pydarts-nas[mpi]' ({error})") from error
    if MPI.COMM_WORLD.Get_size() != count:
        raise ArgumentError(
            "comm",
            f"has {MPI.COMM_WORLD.Get_size()} processes, but the launcher started {count}: mpi4py"
            " and mpiexec are of different MPI libraries",
        )
    return Ranks(MPI.COMM_WORLD)


def _nothing(record: logging.LogRecord) -> bool:
    return False


def _description(error: Exception) -> list[str]:
    """The name of an error's type, and what that is made of."""
    kind = next((k for k in type(error).__mro__ if _ERRORS.get(k.__name__) is k), None)
    if kind is None:
        return ["RuntimeError", f"{type(error).__name__}: {error}"]
    if isinstance(error, ArgumentError):
        return [kind.__name__, error.argument, error.problem]
    return [kind.__name__, error.reason if isinstance(error, CheckpointError) else str(error)]


def _error(name: str, *arguments: str) -> Exception:
    return _ERRORS[name](*arguments)


def _to_json(value: Any) -> Any:
    """What JSON has no word for."""
    if isinstance(value, np.ndarray):
        content = np.ascontiguousarray(value).tobytes().hex()
        return {"array of": value.dtype.str, "shape": value.shape, "content": content}
    if isinstance(value, os.PathLike):
        return {"path": os.fspath(value)}
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} cannot be told to other ranks")


def _from_json(value: dict[str, Any]) -> Any:
    """Undo `_to_json`."""
    if value.keys() == {"path"}:
        return Path(value["path"])
    if value.keys() != {"array of", "shape", "content"}:
        return value
    content = bytearray.fromhex(value["content"])
    return np.frombuffer(content, value["array of"]).reshape(value["shape"])
