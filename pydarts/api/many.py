# SPDX-License-Identifier: MIT
"""Independent searches side by side: in processes of this machine, or wherever an executor runs."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from pydarts.api.image_data import Splitting, Targets, image_task
from pydarts.api.limits import Limit, Limits, as_target, refuse_limits
from pydarts.api.searching import Text, search, search_text
from pydarts.common.checks import integers
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.common.files import writable_folder
from pydarts.common.jobs import AnyExecutor, Jobs
from pydarts.costs.profile import Profile
from pydarts.data.corpus import as_corpus
from pydarts.data.labels import as_sized
from pydarts.data.preprocessing import Preprocessing
from pydarts.data.vocabulary import Level
from pydarts.data.weights import ClassWeight, check_sample_weight
from pydarts.engine.network import resolve_threads
from pydarts.methods.method import Method
from pydarts.methods.named import Selector, as_pair
from pydarts.spaces.darts import Genotype
from pydarts.spaces.ready import as_space
from pydarts.spaces.recurrent import RecurrentGenotype
from pydarts.spaces.space import Space
from pydarts.tasks.images import ImageClassification
from pydarts.training.config import SearchConfig, TextSearchConfig, TrainConfig
from pydarts.training.loop import Diverged
from pydarts.training.options import SearchOptions, SearchRun, TextSearchOptions
from pydarts.training.progress import log_line, progress_bar
from pydarts.training.result import SearchResult
from pydarts.training.run_options import RunOptions, split_options

if TYPE_CHECKING:
    from typing_extensions import Unpack


class SearchesFailed(RuntimeError):
    """Some of several searches failed.

    Attributes
    ----------
    results : dict
        What the others found, by seed.
    errors : dict
        Why these failed, by seed.
    """

    def __init__(self, results: Mapping[int, SearchResult[Any]], errors: Mapping[int, Exception]):
        self.results, self.errors = dict(results), dict(errors)
        reasons = [f"seed {seed}: {type(e).__name__}: {e}" for seed, e in errors.items()]
        super().__init__("; ".join(reasons))


def search_many(
    X: Any,
    y: Iterable[Any] | None = None,
    *,
    seeds: Iterable[int],
    X_valid: Any = None,
    y_valid: Iterable[Any] | None = None,
    executor: AnyExecutor | None = None,
    space: str | os.PathLike[str] | Space = "darts",
    preset: str = "quick",
    config: SearchConfig | None = None,
    method: str | Method | None = None,
    selector: str | Selector | None = None,
    image_layout: str | None = None,
    groups: Iterable[Any] | None = None,
    split: str = "random",
    stratify: bool | Iterable[Any] | None = None,
    preprocessing: Preprocessing | None = None,
    task: str = "multiclass",
    sample_weight: ArrayLike | None = None,
    class_weight: ClassWeight | None = None,
    loss: str | None = None,
    huber_delta: float = 1.0,
    threads: int = 1,
    max_latency: Limit = None,
    max_macs: Limit = None,
    max_weights: Limit = None,
    max_memory: Limit = None,
    target: str | TrainConfig | None = None,
    profile: Profile | str | os.PathLike[str] | None = None,
    latency_threads: int | None = 1,
    **options: Unpack[SearchOptions],
) -> list[SearchResult[Genotype]]:
    """Search with each of several seeds, several at a time.

    What a search finds depends on its seed; only several show what it is worth.

    Each job finds the same wherever and however often it runs. With ``checkpoint`` it goes on from
    its last checkpoint: an executor may run again what a lost worker left behind, and calling the
    function again does what is left.

    Parameters
    ----------
    X, y, X_valid, y_valid, space, preset, config, method, selector, image_layout, groups
    split, stratify, preprocessing, task, sample_weight, class_weight, loss, huber_delta
        As in `search`.
    seeds : iterable of int
        Different ones.
    executor : executor or int, optional
        What runs the searches: anything whose ``submit`` returns futures and whose workers have
        pydarts, such as those of `concurrent.futures` or a client of Dask,
        ``distributed.Client(...)``. It stays open. Or a number of processes of this machine; by
        default as many as fill its cores. They are spawned, for a fork copies what other threads
        have begun; so a script has to call this under ``if __name__ == "__main__":``. Where one of
        them, or a worker of Dask, is lost, another does its search, from its last checkpoint if it
        has one.
    threads : int
        Of each search.
    max_latency, max_macs, max_weights, max_memory, target, profile, latency_threads
        As in `search`. A profile is measured once, here, before all searches, and kept in the
        folder ``checkpoint``. Each search measures its cell where it runs: of that, and with it of
        what others do on that machine, depends whether its last phase is repeated.
    **options
        What else `search` takes. ``checkpoint`` is a folder where each search has a folder,
        ``seed-0`` and so on, for its checkpoint and, at the end, what `SearchResult.save` writes;
        workers on other machines must see it as well. ``progress`` shows a bar, and a line a
        search. Of callbacks each search has a copy.

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
        with ``checkpoint``, little is lost.
    """
    runs = _checked(seeds, options)
    made, run = split_options(SearchConfig, SearchRun, search_many, preset, config, options)
    limits = Limits(
        *(max_latency, max_macs, max_weights, max_memory, target, profile, latency_threads)
    )
    limits.check_used()
    if stratify is not None and not isinstance(stratify, bool):
        stratify = list(stratify)
    y_valid = None if y_valid is None else as_sized(y_valid)
    splitting = Splitting(X_valid, y_valid, groups, split, stratify)
    splitting.check_used()
    valid = splitting.valid()
    X, y, groups = splitting.arrays(X, y, valid is None)
    labels, found = as_sized(y), as_space(space)
    how: Any = {"image_layout": image_layout, "preprocessing": preprocessing, "space": found}
    splitting = splitting._replace(groups=groups)
    targets = Targets(task, None, class_weight, loss, huber_delta)
    images = image_task(X, labels, splitting, targets, **how)
    if len(images.images) < len(labels):  # what weighs nothing is left out by each search
        images = image_task(X, labels, splitting, targets._replace(class_weight=None), **how)
    if sample_weight is not None:
        sample_weight = check_sample_weight(sample_weight, len(images.images))
    given = {
        "preset": preset,
        "config": config,
        "method": method,
        "selector": selector,
        "space": found,
        "image_layout": "NCHW",
        "groups": None if images.valid is not None else images.groups,
        "split": split,
        "stratify": stratify,
        "task": task,
        "sample_weight": sample_weight,
        "class_weight": class_weight,
        "loss": loss,
        "huber_delta": huber_delta,
        **options,
    }
    if valid is not None and images.valid is not None:
        given |= {"X_valid": np.asarray(images.valid[0]), "y_valid": valid[1]}
    if limits.numbers():
        given |= _limited(
            limits, images, as_pair(method, selector, made, images.space), made.preset, run
        )
    data = ("images", np.asarray(images.images), labels)  # which are preprocessed
    return _search_all(data, given, runs, executor, threads)


def search_many_text(
    data: Text,
    *,
    seeds: Iterable[int],
    level: Level | None = None,
    max_vocab: int | None = None,
    executor: AnyExecutor | None = None,
    preset: str = "quick",
    config: TextSearchConfig | None = None,
    method: str | Method | None = None,
    selector: str | Selector | None = None,
    threads: int = 1,
    **options: Unpack[TextSearchOptions],
) -> list[SearchResult[RecurrentGenotype]]:
    """Search recurrent cells with each of several seeds: `search_many` over text.

    Parameters
    ----------
    data, level, max_vocab, preset, config, method, selector
        As in `search_text`.
    seeds, executor, threads, **options
        As in `search_many`.

    Returns
    -------
    list of SearchResult
        As from `search_many`.

    Raises
    ------
    ValueError, TypeError, SearchesFailed, KeyboardInterrupt
        As from `search_many`.
    """
    runs = _checked(seeds, options)
    refuse_limits(options)
    split_options(TextSearchConfig, SearchRun, search_many_text, preset, config, options)
    corpus = as_corpus(data, level, max_vocab)
    how = {"method": method, "selector": selector}
    given = {"preset": preset, "config": config, **how, **options}
    return _search_all(("text", corpus), given, runs, executor, threads)


def _checked(seeds: Iterable[int], options: Mapping[str, Any]) -> list[int]:
    runs = integers("seeds", seeds, 0)
    if not runs or len(set(runs)) < len(runs):
        raise ArgumentError("seeds", f"(={runs}) must be different ones, and at least one")
    if "seed" in options:
        raise ArgumentTypeError("seed", f"(={options['seed']!r}) is not an option here: `seeds` is")
    return runs


def _limited(
    limits: Limits,
    task: ImageClassification,
    pair: tuple[Method, Selector | None],
    preset: str,
    run: RunOptions,
) -> dict[str, Any]:
    """The limits as each search takes them, checked, with a profile that all of them share."""
    trained = as_target(limits.target, preset)
    folder = None if run.checkpoint is None else writable_folder("checkpoint", run.checkpoint)
    table = limits.measured(task, trained, folder, run.resume == "auto")
    limits = limits._replace(target=trained, profile=table)
    limits.budget(task, *pair, preset, run)
    return limits._asdict()


def _search_all(
    data: tuple[Any, ...],
    options: dict[str, Any],
    seeds: list[int],
    executor: AnyExecutor | None,
    threads: int,
) -> list[SearchResult[Any]]:
    checkpoint, progress = options.pop("checkpoint", None), options.pop("progress", True)
    options["threads"] = threads = resolve_threads(threads)
    base = None if checkpoint is None else writable_folder("checkpoint", checkpoint).absolute()
    results: dict[int, SearchResult[Any]] = {}
    errors: dict[int, Exception] = {}
    if executor is None:
        executor = max(1, min(len(seeds), resolve_threads(None) // threads))
    bar = progress_bar("searches", len(seeds), progress, "search")
    with Jobs(executor) as jobs, bar:
        for seed in seeds:
            where = None if base is None else base / f"seed-{seed}"
            jobs.submit(seed, _search, data, seed, where, options)
        for seed, future in jobs:
            try:
                found = results[seed] = future.result()
                log_line(bar, f"seed {seed}: {found.genotype.describe()[0]}")
            except Exception as error:
                errors[seed] = error
                log_line(bar, f"seed {seed} failed: {error}", level=logging.WARNING)
            bar.update()
    if errors:
        failed = {seed: errors[seed] for seed in seeds if seed in errors}
        raise SearchesFailed(results, failed) from next(iter(failed.values()))
    return [results[seed] for seed in seeds]


def _search(
    data: tuple[Any, ...], seed: int, folder: Path | None, options: dict[str, Any]
) -> SearchResult[Any]:
    """One job: plain data goes in and, or as an error, comes out."""
    kind, *arguments = data
    front: Any = search if kind == "images" else search_text
    try:
        result: SearchResult[Any] = front(
            *arguments, seed=seed, checkpoint=folder, progress=False, **options
        )
    except Diverged as error:  # it holds the supernet
        raise ArithmeticError(str(error)) from None
    if result.interrupted:
        raise KeyboardInterrupt
    result.supernet = None
    if folder is not None:
        result.save(folder, overwrite=True)
    return result
