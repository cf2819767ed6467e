# SPDX-License-Identifier: MIT
"""`compare` and `random_search`, over images and over text: what a found cell is worth."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from pydarts.api.image_data import Splitting, Targets, image_task
from pydarts.api.searching import Text
from pydarts.common.errors import ArgumentTypeError
from pydarts.common.jobs import AnyExecutor
from pydarts.data.corpus import as_corpus
from pydarts.data.preprocessing import Preprocessing
from pydarts.data.vocabulary import Level
from pydarts.data.weights import ClassWeight
from pydarts.evaluation.compare_cells import run_comparison
from pydarts.evaluation.comparison import Comparison
from pydarts.evaluation.random_cells import RandomSearchResult, run_random_search
from pydarts.spaces.darts import Genotype
from pydarts.spaces.genotype import BaseGenotype
from pydarts.spaces.ready import DARTS, as_space
from pydarts.spaces.recurrent import RecurrentGenotype
from pydarts.spaces.space import Space
from pydarts.tasks.text import LanguageModelling
from pydarts.training.config import TextTrainConfig, TrainConfig
from pydarts.training.config_base import parameters
from pydarts.training.options import TextTrainFields, TrainFields

if TYPE_CHECKING:
    from typing_extensions import Unpack

Genotypes = Genotype | Sequence[Genotype] | Mapping[str, Genotype]
RecurrentGenotypes = (
    RecurrentGenotype | Sequence[RecurrentGenotype] | Mapping[str, RecurrentGenotype]
)


def compare(
    genotypes: Genotypes,
    X: Any,
    y: Iterable[Any] | None = None,
    *,
    X_test: ArrayLike | None = None,
    y_test: Iterable[Any] | None = None,
    X_valid: Any = None,
    y_valid: Iterable[Any] | None = None,
    seeds: Iterable[int] = (0, 1, 2),
    random_cells: int = 3,
    published: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: str = "auto",
    progress: bool = True,
    executor: AnyExecutor | None = None,
    preset: str = "quick",
    config: TrainConfig | None = None,
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
    **options: Unpack[TrainFields],
) -> Comparison:
    """Train found cells and random ones alike, and test whether the found ones are better.

    Each cell is trained with each seed: the same options, images, batches and augmentation, and so
    many epochs. The score is that on the test images. For each seed the mean of the random
    cells is taken from that of the found ones; an exact paired permutation test asks whether the
    sign of these differences is more than chance. Its p-value cannot be less than
    ``2 ** (1 - len(seeds))``: 0.25 with three seeds, 0.031 with six. `Comparison` has a second
    test, over cells. Both are of these test images and this budget only. How hard random cells are
    to beat: Li, Talwalkar, arXiv:1902.07638; Yang, Esperanca, Carlucci, arXiv:1912.12522.

    Parameters
    ----------
    genotypes : Genotype, sequence or mapping
        A genotype, several, or several by name. Several, as of `search_many`, are compared as a
        group: that says something about the search rather than about one cell.
    X, y, preset, config, image_layout, preprocessing, threads
        As in `train`.
    task, sample_weight, class_weight, loss, huber_delta
        As in `train`. The score is the task's: accuracy, balanced with ``class_weight``, mean
        average precision, or R².
    X_test, y_test : array-like, iterable, optional
        Images that neither the search nor a choice among cells saw; by default a fifth of each
        class in ``X`` is held out. If the search saw those, that favours the found cells.
    X_valid, y_valid : optional
        What each training is validated on: with ``restore_best_weights`` it chooses the epoch.
    groups : iterable, optional
        One for each image in ``X``: whole groups are held out then, about a fifth of the images.
    split, stratify
        As in `search`, of what is held out: with ``split="time"`` the last fifth.
    seeds : iterable of int
        Of weights, batches and augmentation; at most 20.
    random_cells : int
        How many. They are ``Genotype.random(0)``, ``Genotype.random(1)`` and so on, with as many
        nodes as the found one.
    published : bool
        Whether to show `DARTS_V2` as well. It takes no part in the tests.
    checkpoint : path, optional
        Folder in which compare.json is written after each training. What an earlier call with the
        same data, options and version left there is taken over, so that one can go on, or add seeds
        and cells.
    resume : {"auto", "never"}
        ``"never"``: begin anew and replace compare.json.
    progress : bool
        Whether to show a bar and a line a training on standard error.
    executor : executor or int, optional
        What trains side by side, as in `search_many`: an executor, a client of Dask, or a number of
        processes. By default all is trained here, one after the other. The result is the same. With
        it each network has one thread, unless ``threads`` says otherwise.
    **options
        Any field of `TrainConfig` but ``seed``.

    Returns
    -------
    Comparison
        Ctrl-C returns what has been trained so far, with ``interrupted`` set.

    Raises
    ------
    ValueError, TypeError
        For unusable images, labels or options; names the argument and its value. For a compare.json
        of another comparison; says what differs.
    """
    names = parameters(compare)
    config = TrainConfig.make(preset, _without_seed(options), config=config, others=names)
    images = image_task(
        *(X, y, Splitting(X_valid, y_valid, groups, split, stratify)),
        Targets(task, sample_weight, class_weight, loss, huber_delta),
        image_layout=image_layout,
        preprocessing=preprocessing,
        space=_space_of(genotypes),
        threads=threads,
        test=(X_test, y_test),
    )
    return run_comparison(
        images,
        genotypes,
        config,
        seeds=seeds,
        random_cells=random_cells,
        published=published,
        checkpoint=checkpoint,
        resume=resume,
        progress=progress,
        executor=executor,
    )


def compare_text(
    genotypes: RecurrentGenotypes,
    data: Text,
    *,
    level: Level | None = None,
    max_vocab: int | None = None,
    seeds: Iterable[int] = (0, 1, 2),
    random_cells: int = 3,
    published: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: str = "auto",
    progress: bool = True,
    executor: AnyExecutor | None = None,
    preset: str = "quick",
    config: TextTrainConfig | None = None,
    threads: int | None = None,
    **options: Unpack[TextTrainFields],
) -> Comparison:
    """Train found recurrent cells and random ones alike, and test whether the found ones are
    better: `compare` over text.

    The score is the perplexity on the test text, or a million where it is more, or not a number, as
    can be of a training that diverged.

    Parameters
    ----------
    genotypes, seeds, random_cells, published, checkpoint, resume, progress, executor
        As in `compare`, with `RecurrentGenotype.random` and `RECURRENT_DARTS_V2`.
    data, level, max_vocab, preset, config, threads
        As in `train_text`.
    **options
        Any field of `TextTrainConfig` but ``seed``.

    Returns
    -------
    Comparison
        As from `compare`.

    Raises
    ------
    ValueError, TypeError
        As from `compare`.
    """
    names = parameters(compare_text)
    config = TextTrainConfig.make(preset, _without_seed(options), config=config, others=names)
    task = LanguageModelling(as_corpus(data, level, max_vocab), threads=threads)
    return run_comparison(
        task,
        genotypes,
        config,
        seeds=seeds,
        random_cells=random_cells,
        published=published,
        checkpoint=checkpoint,
        resume=resume,
        progress=progress,
        executor=executor,
    )


def random_search(
    X: Any,
    y: Iterable[Any] | None = None,
    *,
    X_valid: Any = None,
    y_valid: Iterable[Any] | None = None,
    space: str | os.PathLike[str] | Space = "darts",
    k: int = 5,
    train_fraction: float = 0.8,
    progress: bool = True,
    executor: AnyExecutor | None = None,
    preset: str = "quick",
    config: TrainConfig | None = None,
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
    **options: Unpack[TrainFields],
) -> RandomSearchResult:
    """Train ``k`` random cells alike, and choose the best.

    All see the same batches of the same part of the images; the rest of them chooses. So to have an
    accuracy that may be quoted, train the chosen cell and try it on other images. Random search
    with early stopping left out: Li, Talwalkar, arXiv:1902.07638.

    Parameters
    ----------
    X, y, preset, config, image_layout, preprocessing, threads
        As in `train`.
    task, sample_weight, class_weight, loss, huber_delta
        As in `train`. The score is the task's: accuracy, balanced with ``class_weight``, mean
        average precision, or R².
    space : str, path or Space, optional
        Of the cells, as in `search`.
    X_valid, y_valid : optional
        What chooses. Then all of ``X`` is trained on.
    groups : iterable, optional
        One for each image: none is both trained on and chosen by.
    split, stratify
        As in `search`, of the part that chooses: with ``split="time"`` the later one.
    k : int
        How many cells to draw.
    train_fraction : float
        Share of each class that is trained on, without ``X_valid``.
    progress : bool
        Whether to show a bar and a line a training on standard error.
    executor : executor or int, optional
        As in `compare`.
    **options
        Any field of `TrainConfig`. ``seed`` also draws the cells, which are others than those of
        `compare`, and splits the images.

    Returns
    -------
    RandomSearchResult
        Ctrl-C returns the best of the cells whose training ended, with ``interrupted`` set.

    Raises
    ------
    ValueError, TypeError
        For unusable images, labels or options; names the argument and its value.
    KeyboardInterrupt
        On Ctrl-C before the first training ended.
    """
    names = parameters(random_search)
    config = TrainConfig.make(preset, options, config=config, others=names)
    splitting = Splitting(X_valid, y_valid, groups, split, stratify)
    splitting.check_used()
    images = image_task(
        *(X, y, splitting, Targets(task, sample_weight, class_weight, loss, huber_delta)),
        image_layout=image_layout,
        preprocessing=preprocessing,
        space=as_space(space),
        threads=threads,
    )
    return run_random_search(images, config, k, train_fraction, progress, executor)


def random_search_text(
    data: Text,
    *,
    k: int = 5,
    level: Level | None = None,
    max_vocab: int | None = None,
    progress: bool = True,
    executor: AnyExecutor | None = None,
    preset: str = "quick",
    config: TextTrainConfig | None = None,
    threads: int | None = None,
    **options: Unpack[TextTrainFields],
) -> RandomSearchResult:
    """Train ``k`` random recurrent cells alike, and choose the best by the validation text:
    `random_search` over text.

    Parameters
    ----------
    data, level, max_vocab, preset, config, threads
        As in `train_text`.
    k, progress, executor
        As in `random_search`.
    **options
        Any field of `TextTrainConfig`.

    Returns
    -------
    RandomSearchResult
        As from `random_search`, with perplexities.

    Raises
    ------
    ValueError, TypeError, KeyboardInterrupt
        As from `random_search`.
    """
    names = parameters(random_search_text)
    config = TextTrainConfig.make(preset, options, config=config, others=names)
    task = LanguageModelling(as_corpus(data, level, max_vocab), threads=threads)
    return run_random_search(task, config, k, 0.8, progress, executor)


def _space_of(genotypes: Any) -> Space:
    """The space of the cells that are compared; the comparison itself looks for what is none."""
    several = genotypes.values() if isinstance(genotypes, Mapping) else genotypes
    cells = [several] if isinstance(several, BaseGenotype) else list(several)
    usual = not cells or not isinstance(cells[0], BaseGenotype) or cells[0].kind != DARTS.kind
    return DARTS if usual else cells[0].space


def _without_seed(options: Any) -> dict[str, Any]:
    if "seed" in options:
        raise ArgumentTypeError("seed", f"(={options['seed']!r}) is not taken: give `seeds`")
    return dict(options)
