# SPDX-License-Identifier: MIT
"""Independent searches side by side: in processes of this machine, or wherever an executor runs."""

from __future__ import annotations

import inspect
import logging
import multiprocessing
import os
import signal
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from pydarts.api.searching import SearchResult, describe_cell, prepare, search
from pydarts.common.checks import integer
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.engine.network import resolve_threads
from pydarts.training.config import SearchConfig
from pydarts.training.loop import Diverged, progress_bar, tell


class SearchesFailed(RuntimeError):
    """Some of several searches failed.

    Attributes
    ----------
    results : dict
        What the others found, by seed.
    errors : dict
        Why these failed, by seed.
    """

    def __init__(self, results: Mapping[int, SearchResult], errors: Mapping[int, Exception]):
        self.results, self.errors = dict(results), dict(errors)
        reasons = [f"seed {seed}: {type(e).__name__}: {e}" for seed, e in errors.items()]
        super().__init__("; ".join(reasons))


def search_many(
    seeds: Iterable[int],
    X: ArrayLike,
    y: Iterable[Any],
    *,
    executor: Executor | None = None,
    folder: str | os.PathLike[str] | None = None,
    preset: str = "quick",
    image_layout: str | None = None,
    threads: int = 1,
    progress: bool = True,
    **options: Any,
) -> list[SearchResult]:
    """Search with each of several seeds, several at a time.

    What a search finds depends on its seed; only several tell what it is worth.

    Each job finds the same wherever and however often it runs. With ``folder`` it goes on from its
    last checkpoint: an executor may run again what a lost worker left behind, and calling the
    function again does what is left.

    Parameters
    ----------
    seeds : different ones.
    X, y, preset, image_layout : as in `pydarts.search`.
    executor : any `concurrent.futures.Executor` whose workers have pydarts, such as that of
        ``dask.distributed``: ``Client(...).get_executor()``. It stays open. None: processes of this
        machine, as many as fill its cores. They are spawned, for OpenMP's threads do not survive a
        fork; so a script has to call this under ``if __name__ == "__main__":``.
    folder : where each search has a folder, ``seed-0`` and so on, for its checkpoint and, at the
        end, what `SearchResult.save` writes. Workers on other machines must see it as well.
    threads : of each search.
    progress : whether to show a bar, and a line a search, on standard error.
    **options : what else `pydarts.search` takes. Of callbacks each search has a copy.

    Returns
    -------
    list of SearchResult
        In the order of the seeds. Supernets stay where they were trained: ``supernet`` is None.

    Raises
    ------
    ValueError, TypeError
        For unusable seeds, images, labels or fields of `SearchConfig`, before any search begins.
    SearchesFailed
        When all have ended and some failed; names their seeds, and holds what the others found.
    KeyboardInterrupt
        On Ctrl-C. What has not begun is cancelled then, and processes of this machine are ended:
        with ``folder``, little is lost.
    """
    if not isinstance(seeds, Iterable):
        raise ArgumentTypeError("seeds", f"(={seeds!r}) must be several integers")
    runs = [integer("seeds", seed, 0) for seed in seeds]
    if not runs or len(set(runs)) < len(runs):
        raise ArgumentError("seeds", f"(={runs}) must be different ones, and at least one")
    for name, instead in (("seed", "seeds"), ("checkpoint", "folder")):
        if name in options:
            raise ArgumentTypeError(
                name, f"(={options[name]!r}) is not an option here: `{instead}` is"
            )
    others = inspect.signature(search).parameters
    SearchConfig.make(preset, {k: v for k, v in options.items() if k not in others})
    threads = resolve_threads(threads)
    labels = list(y)
    images, _, _ = prepare(X, labels, image_layout)
    base = None if folder is None else Path(folder).absolute()
    given = {"preset": preset, "image_layout": "NCHW", "threads": threads, **options}
    results: dict[int, SearchResult] = {}
    errors: dict[int, Exception] = {}
    with ExitStack() as stack:
        own = None
        if executor is None:
            executor = own = stack.enter_context(_processes(len(runs), threads))
        bar = stack.enter_context(progress_bar("searches", len(runs), progress, "search"))
        futures: dict[Future[SearchResult], int] = {}
        try:
            for seed in runs:
                where = None if base is None else base / f"seed-{seed}"
                futures[executor.submit(_search, images, labels, seed, where, given)] = seed
            for future in as_completed(futures):
                seed = futures[future]
                try:
                    found = results[seed] = future.result()
                    tell(bar, f"seed {seed}: normal {describe_cell(found.genotype.normal)}")
                except Exception as error:
                    errors[seed] = error
                    tell(bar, f"seed {seed} failed: {error}", level=logging.WARNING)
                bar.update()
        except BaseException:
            if own is None:
                for future in futures:
                    future.cancel()
            else:  # they take jobs ahead, past cancelling; Python 3.14 has `terminate_workers`
                for process in list(own._processes.values()):
                    process.terminate()
            raise
    if errors:
        failed = {seed: errors[seed] for seed in runs if seed in errors}
        raise SearchesFailed(results, failed) from next(iter(failed.values()))
    return [results[seed] for seed in runs]


def _processes(searches: int, threads: int) -> ProcessPoolExecutor:
    """As many as fill the cores. Ctrl-C is for the process that waits for them."""
    count = max(1, min(searches, resolve_threads(None) // threads))
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, context, signal.signal, (signal.SIGINT, signal.SIG_IGN))


def _search(
    images: Any, labels: list[Any], seed: int, folder: Path | None, options: dict[str, Any]
) -> SearchResult:
    """One job: plain data goes in and, or as an error, comes out."""
    try:
        result = search(images, labels, seed=seed, checkpoint=folder, progress=False, **options)
    except Diverged as error:  # it holds the supernet
        raise ArithmeticError(str(error)) from None
    if result.interrupted:
        raise KeyboardInterrupt
    result.supernet = None
    if folder is not None:
        result.save(folder)
    return result
