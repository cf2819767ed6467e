# SPDX-License-Identifier: MIT
"""Independent searches side by side, in the processes of any executor."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from pydarts.course import Diverged, progress_bar, tell
from pydarts.engine import integer, resolve_threads
from pydarts.search import SearchResult, describe_cell, prepare, search


class SearchesFailed(RuntimeError):
    """Some of several searches failed.

    Attributes
    ----------
    results : dict
        What the others found, by seed.
    errors : dict
        Why these failed, by seed.
    """

    def __init__(self, results: Mapping[int, SearchResult], errors: Mapping[int, BaseException]):
        reasons = [f"seed {seed}: {type(e).__name__}: {e}" for seed, e in sorted(errors.items())]
        super().__init__("; ".join(reasons))
        self.results, self.errors = dict(results), dict(errors)


def search_many(
    seeds: Iterable[int],
    X: ArrayLike,
    y: Iterable[Any],
    *,
    executor: Executor | None = None,
    folder: str | os.PathLike[str] | None = None,
    image_layout: str | None = None,
    threads: int = 1,
    progress: bool = True,
    **options: Any,
) -> list[SearchResult]:
    """Run one search for each seed, several at a time.

    What a search finds depends on its seed; only several tell what it is worth.

    Parameters
    ----------
    seeds : different ones.
    X, y, image_layout : as in `search`.
    executor : any `concurrent.futures.Executor`, such as ``dask.distributed``'s
        ``Client.get_executor()``; it stays open. None: a pool of processes that fill the cores.
        They are spawned, as OpenMP does not survive a fork; so a script needs its
        ``if __name__ == "__main__":``.
    folder : where each search has a folder ``seed-0`` and so on with its checkpoint and, at the
        end, what `SearchResult.save` writes. A search that is run again, because its worker died
        or because `search_many` is called again, goes on from there. Workers on other machines must
        see the same folder.
    threads : of each search.
    progress : whether to show a bar and a line a search on standard error.
    **options : what else `search` takes.

    Returns
    -------
    list of SearchResult
        In the order of the seeds, without their supernets, which stay where they were trained.

    Raises
    ------
    SearchesFailed
        When all have ended and some failed; names their seeds and holds the results of the others.
    ValueError, TypeError
        For unusable images, labels or seeds.
    KeyboardInterrupt
        On Ctrl-C. Searches that have not begun are cancelled; those in processes of ours end, too,
        and can be taken up from their last checkpoint if there is a ``folder``.
    """
    own = [integer("seeds", seed, 0) for seed in seeds]
    if not own or len(set(own)) < len(own):
        raise ValueError(f"`seeds` (={own}) must be different ones, and at least one")
    for name in ("seed", "checkpoint"):
        if name in options:
            instead = {"seed": "seeds", "checkpoint": "folder"}[name]
            raise TypeError(f"`{name}` (={options[name]!r}) is not taken: give `{instead}`")
    each = resolve_threads(threads)
    images, codes, _ = prepare(X, y, image_layout)
    base = None if folder is None else Path(folder).absolute()
    results: dict[int, SearchResult] = {}
    errors: dict[int, BaseException] = {}
    with ExitStack() as stack:
        if executor is None:
            workers = max(1, min(len(own), resolve_threads(None) // each))
            executor = stack.enter_context(_pool(workers))
        bar = stack.enter_context(progress_bar("search", len(own), progress, "search"))
        futures: dict[Future[SearchResult], int] = {}
        try:
            for seed in own:
                place = None if base is None else base / f"seed-{seed}"
                given = {**options, "seed": seed, "threads": each}
                futures[executor.submit(_search, images, codes, place, given)] = seed
            for future in as_completed(futures):
                seed, error = futures[future], future.exception()
                if error is None:
                    results[seed] = future.result()
                    tell(bar, f"seed {seed}: {describe_cell(results[seed].genotype.normal)}")
                else:
                    errors[seed] = error
                    tell(bar, f"seed {seed}: failed")
                bar.update()
        finally:
            for future in futures:
                future.cancel()
    if errors:
        raise SearchesFailed(results, errors) from next(iter(errors.values()))
    return [results[seed] for seed in own]


@contextmanager
def _pool(workers: int) -> Iterator[Executor]:
    """Processes that end when their owner is interrupted."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        try:
            yield pool
        except KeyboardInterrupt:  # else each would end its search, and the one after
            for process in list(pool._processes.values()):  # from Python 3.14 `terminate_workers`
                process.terminate()
            raise


def _search(images: Any, codes: Any, folder: Path | None, options: dict[str, Any]) -> SearchResult:
    """The job of a worker. What it returns or raises must cross to another process."""
    try:
        result = search(
            images, codes, image_layout="NCHW", progress=False, checkpoint=folder, **options
        )
    except Diverged as error:
        raise ArithmeticError(str(error)) from None
    if folder is not None:
        result.save(folder)
    result.supernet = None
    return result
