# SPDX-License-Identifier: MIT
"""`search` and `search_text`, and what they will cost."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from pydarts.api.image_data import Splitting, Targets, image_task
from pydarts.api.limits import Limit, Limits, refuse_limits
from pydarts.common.ranks import as_ranks, shared
from pydarts.costs.budget import Budget
from pydarts.costs.profile import Profile
from pydarts.data.corpus import Corpus, as_corpus
from pydarts.data.preprocessing import Preprocessing
from pydarts.data.vocabulary import Level
from pydarts.data.weights import ClassWeight
from pydarts.methods.method import Method, supernet_options
from pydarts.methods.named import Selector, as_pair
from pydarts.spaces.darts import Genotype
from pydarts.spaces.ready import as_space
from pydarts.spaces.recurrent import RecurrentGenotype
from pydarts.spaces.space import Space
from pydarts.tasks.text import LanguageModelling
from pydarts.training.budget import Estimate, check_memory, estimate_search
from pydarts.training.config import SearchConfig, TextSearchConfig, TrainConfig
from pydarts.training.options import SearchOptions, SearchRun, TextSearchOptions
from pydarts.training.result import SearchResult
from pydarts.training.run import run_search
from pydarts.training.run_options import RunOptions, split_options
from pydarts.training.task import Task

if TYPE_CHECKING:
    from typing_extensions import Unpack

Text = str | os.PathLike[str] | Corpus


@shared
def search(
    X: Any,
    y: Iterable[Any] | None = None,
    *,
    X_valid: Any = None,
    y_valid: Iterable[Any] | None = None,
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
    threads: int | None = None,
    max_latency: Limit = None,
    max_macs: Limit = None,
    max_weights: Limit = None,
    max_memory: Limit = None,
    target: str | TrainConfig | None = None,
    profile: Profile | str | os.PathLike[str] | None = None,
    latency_threads: int | None = 1,
    comm: Any = None,
    **options: Unpack[SearchOptions],
) -> SearchResult[Genotype]:
    """Find a cell for the images ``X`` with labels ``y`` by differentiable architecture search.

    Half of the images train the weights w, the other half the architecture parameters α:
    minimise over α ``L_valid(w*(α), α)`` subject to ``w*(α) = argmin_w L_train(w, α)``.

    Parameters
    ----------
    X : array-like
        Images (N, H, W), (N, H, W, C) or (N, C, H, W), uint8 or float, of at least 4x4 pixels;
        signals (N, L) or (N, C, L) for a one-dimensional space; or what ``preprocessing`` takes.
        They are normalised by mean and standard deviation of the training half. A `numpy.memmap`
        is read batch by batch. Without ``y``: what `pydarts.data.load_data` takes or returns, such
        as a folder of images or a data set of PyTorch.
    y : iterable, optional
        (N,) labels of any hashable kind but None, or what ``task`` says. A model can be saved if
        they are str, int, finite float or bool.
    X_valid, y_valid : optional
        What α learns on. Then nothing is split, and the weights learn on all of ``X``.
    space : str, path or Space, optional
        What is searched: ``"darts"``, ``"nas-bench-201"``, ``"s2"``, ``"s3"``, ``"s4"``, for
        signals (N, L) or (N, C, L) ``"darts-1d"``, a JSON file, or a `pydarts.spaces.Space`.
    preset : {"quick", "standard", "paper"}
        All hyper-parameters at once: minutes on two cores, more, or the original's.
    config : SearchConfig, optional
        All hyper-parameters, in place of a preset's.
    method : str or Method, optional
        How α is learned and a cell chosen: ``"darts"`` (the default) with the configuration's
        ``order``, ``epsilon``, ``hvp`` and ``reuse_gradient``; of first order ``"beta-darts"``,
        ``"smooth-darts"``, ``"fair-darts"``, ``"gdas"`` (the default under limits),
        ``"gaea"`` and, of images, ``"darts-minus"`` and ``"pc-darts"``; ``"fixed"``, which leaves α
        as it is; or one of your own. They take the configuration's options of α as far as they have
        such.
        ``"fixed-pt"`` and ``"darts-pt"`` are names for ``"fixed"`` and ``"darts"`` with
        ``selector="perturbation"``.
    selector : {"magnitude", "perturbation", "finalists"}, Perturbation or Finalists, optional
        What chooses the cell: the largest mixing weights; or, after the epochs of the search, the
        loss on the validation half by which the supernet misses each operation, in rounds with
        further epochs of tuning between them (`pydarts.Perturbation` has its options, the result's
        ``selection`` what it decided); or short trainings of cells that are drawn from the mixing
        weights, and from what the scores so far say, unless none is shown to be better than the
        strongest-operation constant (`pydarts.Finalists`; the result's ``finalists``). The last is
        usual with the presets ``"quick"`` and ``"standard"``, the first with ``"paper"``, under
        limits and over text.
    image_layout : {"NCHW", "NHWC"}, optional
        Where the channels are, if the shape leaves it open.
    groups : iterable, optional
        One for each image, such as who speaks: no group gets into both halves. What counts is what
        a cell is worth for others than those that were learned from.
    split : {"random", "time"}
        ``"time"``: the images are in the order of time, and α learns on the later ones.
    stratify : bool or iterable, optional
        Whether each class has its share in either half: by default yes. Or a value for each image
        of what else is to have its share, such as the device.
    preprocessing : Preprocessing, optional
        What is made of ``X`` first, such as spectrograms of sounds.
    task : {"multiclass", "multilabel", "regression"}
        What is told of an image, which is never guessed from ``y``: one class of several; any
        number of labels, ``y`` being a matrix (N, labels) of 0 and 1, or a data frame of such; or
        numbers, (N,) or (N, outputs), which are scaled inside and scaled back by ``predict``.
    sample_weight : array-like, optional
        (N,) weights, at least 0: the loss of a batch is ``sum_n w_n loss_n / sum_n w_n``. An image
        that weighs nothing is left out.
    class_weight : "balanced" or mapping, optional
        Of one class of several: weights of the labels, which are multiplied with those of the
        samples; ``"balanced"`` is ``N / (classes * N_c)``. Cells and models are then judged by the
        balanced accuracy, the mean of the classes' recalls, as well.
    loss : {"mse", "huber"}, optional
        Of a regression, by default the former. With ``"huber"`` errors of more than ``huber_delta``
        standard deviations of the targets count linearly.
    huber_delta : float, optional
    threads : int, optional
        Threads to use; by default all. The result does not depend on it.
    max_latency : float or str, optional
        Limit on the time that the network that is to be trained takes for one image on this
        processor: seconds, or a string such as ``"0.5ms"`` or ``"200us"``. The cell is drawn to the
        tenth below the limit, then measured; where it is above, the prediction is corrected and the
        last phase of the search repeated. See docs/device.md, as for the others.
    max_macs, max_weights : float or str, optional
        Likewise on its multiply-adds and weights: numbers, or strings such as ``"5M"``.
    max_memory : int or str, optional
        Likewise on the peak of its activations in inference at batch 1: bytes, or a string such as
        ``"64KiB"``.
    target : TrainConfig or str, optional
        The configuration of that network, or the name of a preset; by default ``preset``.
    profile : Profile or path, optional
        Of `pydarts.profile`, for a network of these sizes; by default it is measured first.
    latency_threads : int, optional
        Threads of the network whose latency is limited, 1 by default; a profile has its own.
    comm : mpi4py.MPI.Comm, optional
        Processes that compute the search together, each a part of every batch: all of them call
        this with the same arguments, and get the same result, to the bit that of one process. The
        first one alone shows progress and writes checkpoints. Then ``threads`` is by default each
        one's share of its machine's cores, and latency cannot be limited. See docs/cluster.md.
    **options
        Any field of `SearchConfig`, in place of the preset's value, and how the search runs:
        ``progress``, ``callbacks``, ``checkpoint``, ``checkpoint_seconds``, ``resume``,
        ``time_budget``, ``memory_budget``, ``eigenvalue``, which `RunOptions` describes.

    Returns
    -------
    SearchResult
        Ctrl-C returns what has been found so far, with ``interrupted`` set.

    Raises
    ------
    ValueError, TypeError
        For unusable images, labels or options; names the argument and its value. For budgets that
        cannot be met; says what would fit. For limits that no cell meets; says what the least is.
        For a checkpoint that is damaged or of another search;
        says what differs.
    Diverged
        When a loss or gradient is not finite; names step and tensor. Its ``result`` holds what
        there is.

    References
    ----------
    Liu, Simonyan, Yang, *DARTS: Differentiable Architecture Search*,
    https://arxiv.org/abs/1806.09055
    """
    config, run = split_options(SearchConfig, SearchRun, search, preset, config, options)
    splitting = Splitting(X_valid, y_valid, groups, split, stratify)
    splitting.check_used()
    data = image_task(
        *(X, y, splitting, Targets(task, sample_weight, class_weight, loss, huber_delta)),
        image_layout=image_layout,
        preprocessing=preprocessing,
        space=as_space(space),
        threads=as_ranks(comm).threads(threads),
    )
    data.ranks = ranks = as_ranks(comm)
    ranks.require_alone("max_latency", max_latency)
    limits = Limits(
        *(max_latency, max_macs, max_weights, max_memory, target, profile, latency_threads)
    )
    chosen, how = as_pair(method, selector, config, data.space if limits.numbers() else None)
    budget = limits.budget(data, chosen, how, config.preset, run)
    return run_search(data, chosen, config, run, how, budget)


@shared
def search_text(
    data: Text,
    *,
    level: Level | None = None,
    max_vocab: int | None = None,
    preset: str = "quick",
    config: TextSearchConfig | None = None,
    method: str | Method | None = None,
    selector: str | Selector | None = None,
    threads: int | None = None,
    comm: Any = None,
    **options: Unpack[TextSearchOptions],
) -> SearchResult[RecurrentGenotype]:
    """Find a recurrent cell for a text by differentiable architecture search.

    The weights w learn to predict the training text, the architecture parameters α learn on the
    validation text: see `search`.

    Parameters
    ----------
    data : Corpus, path or str
        A corpus, or what `load_corpus` takes: a file, a folder with texts to train, validate and
        test on, a text, or ``"python-docs"``.
    level : {"word", "char"}, optional
        What a token is; by default words for a folder, else characters.
    max_vocab : int, optional
        Keep no more than the so many most frequent tokens.
    preset, config, method, selector, threads
        As in `search`, with `TextSearchConfig`.
    comm : mpi4py.MPI.Comm, optional
        As in `search`; of the processes each has a part of the hidden units.
    **options
        Any field of `TextSearchConfig`, and how the search runs, as in `search`.

    Returns
    -------
    SearchResult
        Ctrl-C returns what has been found so far, with ``interrupted`` set.

    Raises
    ------
    ValueError, TypeError
        For an unusable text or option; names the argument and its value.
    Diverged
        When a loss or gradient is not finite; names the step. Its ``result`` holds the state before
        that step.
    """
    refuse_limits(options)
    config, run = split_options(TextSearchConfig, SearchRun, search_text, preset, config, options)
    ranks = as_ranks(comm)
    corpus = as_corpus(data, level, max_vocab)
    task = LanguageModelling(corpus, threads=ranks.threads(threads))
    task.ranks = ranks
    chosen, how = as_pair(method, selector, config)
    return run_search(task, chosen, config, run, how)


def estimate(
    X: Any,
    y: Iterable[Any] | None = None,
    *,
    X_valid: Any = None,
    y_valid: Iterable[Any] | None = None,
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
    threads: int | None = None,
    max_latency: Limit = None,
    max_macs: Limit = None,
    max_weights: Limit = None,
    max_memory: Limit = None,
    target: str | TrainConfig | None = None,
    profile: Profile | str | os.PathLike[str] | None = None,
    latency_threads: int | None = 1,
    **options: Unpack[SearchOptions],
) -> Estimate:
    """Estimate what `search` with the same arguments will cost, by a few steps on a throw-away
    network.

    With a ``memory_budget`` that is too small, or limits that no cell meets, no step is taken, and
    the ValueError of `search` is raised. A profile that has to be measured is, and counts. How the
    search would run makes no difference otherwise.

    Parameters
    ----------
    X, y, X_valid, y_valid, space, preset, config, method, selector, image_layout, groups
    split, stratify, preprocessing
    task, sample_weight, class_weight, loss, huber_delta, threads
    max_latency, max_macs, max_weights, max_memory, target, profile, latency_threads, **options
        As in `search`.

    Returns
    -------
    Estimate
    """
    config, run = split_options(SearchConfig, SearchRun, estimate, preset, config, options)
    splitting = Splitting(X_valid, y_valid, groups, split, stratify)
    splitting.check_used()
    data = image_task(
        *(X, y, splitting, Targets(task, sample_weight, class_weight, loss, huber_delta)),
        image_layout=image_layout,
        preprocessing=preprocessing,
        space=as_space(space),
        threads=threads,
    )
    limits = Limits(
        *(max_latency, max_macs, max_weights, max_memory, target, profile, latency_threads)
    )
    chosen, how = as_pair(method, selector, config, data.space if limits.numbers() else None)
    start = time.perf_counter()
    anew = replace(run, checkpoint=None)  # whatever was measured for a search that goes on
    budget = limits.budget(data, chosen, how, config.preset, anew)
    measuring = time.perf_counter() - start
    found = _estimate(data, chosen, how, config, run, budget)
    return replace(found, seconds=found.seconds + measuring)


def estimate_text(
    data: Text,
    *,
    level: Level | None = None,
    max_vocab: int | None = None,
    preset: str = "quick",
    config: TextSearchConfig | None = None,
    method: str | Method | None = None,
    selector: str | Selector | None = None,
    threads: int | None = None,
    **options: Unpack[TextSearchOptions],
) -> Estimate:
    """Estimate what `search_text` with the same arguments will cost: see `estimate`.

    Parameters
    ----------
    data, level, max_vocab, preset, config, method, selector, threads, **options
        As in `search_text`.

    Returns
    -------
    Estimate
    """
    refuse_limits(options)
    config, run = split_options(TextSearchConfig, SearchRun, estimate_text, preset, config, options)
    task = LanguageModelling(as_corpus(data, level, max_vocab), threads=threads)
    chosen, how = as_pair(method, selector, config)
    return _estimate(task, chosen, how, config, run)


def _estimate(
    task: Task,
    method: Method,
    selector: Selector | None,
    config: Any,
    run: RunOptions,
    budget: Budget | None = None,
) -> Estimate:
    needs = partial(task.search_bytes, **supernet_options(method, task.kind))
    config = task.complete(config)
    data = task.search_data(config, np.random.default_rng(config.seed))
    check_memory(run, config, "search", needs, task)
    return estimate_search(task, method, config, data, selector, budget)
