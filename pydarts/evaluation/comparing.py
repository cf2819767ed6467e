# SPDX-License-Identifier: MIT
"""Found cells and random ones, trained alike."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import ArrayLike

from pydarts.api.searching import prepare, require_batch
from pydarts.api.searching_text import as_corpus, training_columns
from pydarts.api.training import train
from pydarts.api.training_text import train_text
from pydarts.common.checks import integer
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.data.datasets import hold_out
from pydarts.data.images import as_images, check_consistent
from pydarts.data.text import Corpus, Level
from pydarts.evaluation.comparison import MOST, Comparison, Contender, read_comparison
from pydarts.models.image_classifier import Model
from pydarts.models.language_model import LanguageModel
from pydarts.spaces.darts import DARTS_V2, Genotype
from pydarts.spaces.recurrent import RECURRENT_DARTS_V2, RecurrentGenotype
from pydarts.training.checkpoint import difference, fingerprint, remove_leftovers
from pydarts.training.config import Config, TextTrainConfig, TrainConfig
from pydarts.training.loop import Diverged, log, progress_bar, tell

_Trained = TypeVar("_Trained", Model, LanguageModel)

Genotypes = Genotype | Sequence[Genotype] | Mapping[str, Genotype]
RecurrentGenotypes = (
    RecurrentGenotype | Sequence[RecurrentGenotype] | Mapping[str, RecurrentGenotype]
)

WORST = 1e6
"""The perplexity that counts as no worse than any other."""

_PUBLISHED: Mapping[type[Any], tuple[str, Genotype | RecurrentGenotype]] = {
    Genotype: ("DARTS_V2", DARTS_V2),
    RecurrentGenotype: ("RECURRENT_DARTS_V2", RECURRENT_DARTS_V2),
}


class OtherComparison(ValueError):
    """A file holds trainings that would be lost; ``reason`` says which."""

    def __init__(self, reason: str):
        super().__init__(f"{reason}: `resume`='never' replaces it")
        self.reason = reason


def compare(
    genotypes: Genotypes,
    X: ArrayLike,
    y: Iterable[Any],
    *,
    X_test: ArrayLike | None = None,
    y_test: Iterable[Any] | None = None,
    seeds: Iterable[int] = (0, 1, 2),
    random_cells: int = 3,
    published: bool = False,
    file: str | os.PathLike[str] | None = None,
    resume: str = "auto",
    preset: str = "quick",
    image_layout: str | None = None,
    threads: int | None = None,
    progress: bool = True,
    **options: Any,
) -> Comparison:
    """Train found cells and random ones alike, and tell whether the found ones are better.

    Each cell is trained with each seed: the same options, images, batches and augmentation, and so
    many epochs. The score is the accuracy on the test images. For each seed the mean of the random
    cells is taken from that of the found ones; an exact paired permutation test asks whether the
    sign of these differences is more than chance. Its p-value cannot be less than
    ``2 ** (1 - len(seeds))``: 0.25 with three seeds, 0.031 with six. `Comparison` tells of a second
    test, over cells. Both are of these test images and this budget only. How hard random cells are
    to beat: Li, Talwalkar, arXiv:1902.07638; Yang, Esperanca, Carlucci, arXiv:1912.12522.

    Parameters
    ----------
    genotypes : a genotype, several, or several by name. Several, as of `search_many`, are
        compared as a group: that tells of the search rather than of one cell.
    X, y, image_layout, threads : as in `train`.
    X_test, y_test : images that neither the search nor a choice among cells saw; None: a fifth of
        each class in ``X`` is held out. If the search saw those, that favours the found cells.
    seeds : of weights, batches and augmentation; at most 20.
    random_cells : how many. They are ``Genotype.random(0)``, ``Genotype.random(1)`` and so on, with
        as many nodes as the found one.
    published : whether to show `DARTS_V2` as well. It takes no part in the tests.
    file : JSON file that is written after each training. What an earlier call with the same data,
        options and version left there is taken over, so that one can go on, or add seeds and cells.
    resume : ``"auto"``, or ``"never"`` to begin anew and replace ``file``.
    preset, **options : as in `train`, but for ``seed``.
    progress : whether to show a bar and a line a training on standard error.

    Returns
    -------
    Comparison
        Ctrl-C returns what has been trained so far, with ``interrupted`` set.

    Raises
    ------
    ValueError, TypeError
        For unusable images, labels or options; names the argument and its value. For a ``file`` of
        another comparison; says what differs.
    """
    config = TrainConfig.make(preset, _without_seed(options))
    cells = _contenders(Genotype, genotypes, random_cells, published)
    if (X_test is None) != (y_test is None):
        raise ArgumentError("X_test", "and `y_test` must come together")
    images, codes, labels = prepare(X, y, image_layout)
    if X_test is None or y_test is None:
        images, codes, x_test, codes_test = hold_out(images, codes)
    else:
        try:
            x_test, codes_test = as_images(X_test, image_layout=image_layout), labels.encode(y_test)
            check_consistent(x_test, codes_test)
        except ValueError as error:
            raise ValueError(f"`X_test`, `y_test`: {error}") from error
        if x_test.shape[1] != images.shape[1]:
            channels = f"{x_test.shape[1]} channel(s), those of `X` {images.shape[1]}"
            raise ValueError(f"the images of `X_test` have {channels}")
    require_batch(len(images), config.batch_size, "`X`")

    def trial(genotype: Any, seed: int) -> Model:
        return train(
            genotype,
            images,
            codes,
            seed=seed,
            preset=preset,
            image_layout="NCHW",
            threads=threads,
            progress=False,
            **options,
        )

    data = fingerprint(images, codes, x_test, codes_test)
    epochs = config.fit_epochs(len(images))
    comparison = Comparison("accuracy", _checked(seeds), cells, _options(epochs), data)
    _run(comparison, trial, lambda model: model.score(x_test, codes_test), file, resume, progress)
    return comparison


def compare_text(
    genotypes: RecurrentGenotypes,
    data: str | os.PathLike[str] | Corpus | None = None,
    *,
    level: Level | None = None,
    max_vocab: int | None = None,
    seeds: Iterable[int] = (0, 1, 2),
    random_cells: int = 3,
    published: bool = False,
    file: str | os.PathLike[str] | None = None,
    resume: str = "auto",
    preset: str = "quick",
    threads: int | None = None,
    progress: bool = True,
    **options: Any,
) -> Comparison:
    """Train found recurrent cells and random ones alike, and tell whether the found ones are
    better: `compare` for text. The score is the perplexity on the test text, or a million where it
    is more, or not a number, as can be of a training that diverged.

    Parameters
    ----------
    data, level, max_vocab, preset, threads, **options : as in `train_text`, but for ``seed``.
    genotypes, seeds, random_cells, published, file, resume, progress : as in `compare`, with
        `RecurrentGenotype.random` and `RECURRENT_DARTS_V2`.

    Returns
    -------
    Comparison
        As from `compare`.

    Raises
    ------
    ValueError, TypeError
        As from `compare`.
    """
    config = TextTrainConfig.make(preset, _without_seed(options))
    cells = _contenders(RecurrentGenotype, genotypes, random_cells, published)
    corpus = as_corpus(data, level, max_vocab)
    training_columns(corpus, config)  # raises where the text is too short

    def trial(genotype: Any, seed: int) -> LanguageModel:
        return train_text(
            genotype, corpus, seed=seed, preset=preset, threads=threads, progress=False, **options
        )

    data = fingerprint(corpus.train, corpus.valid, corpus.test)
    comparison = Comparison("perplexity", _checked(seeds), cells, _options(config), data)

    def score(model: LanguageModel) -> float:
        perplexity = model.perplexity(corpus.test)
        return min(perplexity, WORST) if math.isfinite(perplexity) else WORST

    _run(comparison, trial, score, file, resume, progress)
    return comparison


def _without_seed(options: Mapping[str, Any]) -> Mapping[str, Any]:
    if "seed" in options:
        raise ArgumentTypeError("seed", f"(={options['seed']!r}) is not taken: give `seeds`")
    return options


def _contenders(
    cell: type[Any], genotypes: Any, random_cells: int, published: bool
) -> list[Contender]:
    if isinstance(genotypes, Mapping):
        found = {str(name): genotype for name, genotype in genotypes.items()}
    elif isinstance(genotypes, (Genotype, RecurrentGenotype)):
        found = {"found": genotypes}
    else:
        found = {f"found {i}": genotype for i, genotype in enumerate(genotypes)}
    for name, genotype in found.items():
        if not isinstance(genotype, cell):
            raise ArgumentTypeError(
                "genotypes", f"holds {genotype!r} as {name!r}: it must be a {cell.__name__}"
            )
    if not found:
        raise ArgumentError("genotypes", f"(={genotypes!r}) is empty")
    count = integer("random_cells", random_cells, 1)
    if math.comb(len(found) + count, len(found)) > MOST:
        raise ArgumentError(
            "random_cells",
            f"(={count}) and {len(found)} found cells are more than an exact test can go through",
        )
    cells = [Contender(name, "found", genotype) for name, genotype in found.items()]
    nodes = _nodes(cells[0].genotype)
    cells += [Contender(f"random {i}", "random", cell.random(i, nodes=nodes)) for i in range(count)]
    if published:
        name, genotype = _PUBLISHED[cell]
        cells.append(Contender(name, "published", genotype))
    if len({contender.name for contender in cells}) < len(cells):
        raise ArgumentError("genotypes", f"has names that other cells have: {', '.join(found)}")
    return cells


def _nodes(genotype: Genotype | RecurrentGenotype) -> int:
    if isinstance(genotype, RecurrentGenotype):
        return len(genotype.recurrent)
    return len(genotype.normal) // 2


def _checked(seeds: Iterable[int]) -> tuple[int, ...]:
    own = tuple(integer("seeds", seed, 0) for seed in seeds)
    most = int(math.log2(MOST))
    if not 1 <= len(own) <= most or len(set(own)) < len(own):
        raise ArgumentError("seeds", f"(={own}) must be 1 to {most} different ones")
    return own


def _options(config: Config) -> dict[str, Any]:
    return {name: value for name, value in config.to_dict().items() if name != "seed"}


def _run(
    comparison: Comparison,
    trial: Callable[[Any, int], _Trained],
    score: Callable[[_Trained], float],
    file: str | os.PathLike[str] | None,
    resume: str,
    progress: bool,
) -> None:
    """Train seed by seed, so that what is cut short leaves whole seeds."""
    if resume not in ("auto", "never"):
        raise ArgumentError("resume", f"(={resume!r}) must be 'auto' or 'never'")
    path = None if file is None else Path(file)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path)
        if resume == "auto" and path.exists():
            _take_over(comparison, path)
        comparison.save(path)  # rather than to find out after a training that it cannot be
    seeds, cells = comparison.seeds, comparison.cells
    bar = progress_bar("compare", len(seeds) * len(cells), progress, "training")
    try:
        for seed in seeds:
            for cell in cells:
                if seed not in cell.scores:
                    bar.set_description(f"seed {seed}, {cell.name}")
                    model, diverged = trained(trial, cell.genotype, seed)
                    cell.num_weights, cell.scores[seed] = model.num_weights, score(model)
                    cell.diverged += [seed] * diverged
                    if path is not None:
                        comparison.save(path)
                    shown = comparison.shown(cell.scores[seed]) + " (diverged)" * diverged
                    tell(bar, f"seed {seed}  {cell.name}: {comparison.measure} {shown}")
                bar.update()
    except KeyboardInterrupt:
        pass  # the result tells how far it came
    finally:
        bar.close()


def trained(trial: Callable[..., _Trained], *arguments: Any) -> tuple[_Trained, bool]:
    """The model of a trial, and whether its training diverged: then it is as it was before.

    Raises
    ------
    KeyboardInterrupt
        If the training was interrupted.
    """
    told = log.level
    log.setLevel(logging.WARNING)  # epochs are no news where there are many trainings
    try:
        model, diverged = trial(*arguments), False
    except Diverged as error:
        model, diverged = error.result, True
    finally:
        log.setLevel(told)
    if model.interrupted:
        raise KeyboardInterrupt
    return model, diverged


def _take_over(comparison: Comparison, path: Path) -> None:
    """Take the scores of an earlier comparison, which must be of the same trainings."""
    earlier, identity = read_comparison(path)
    differs = difference(identity, comparison.identity)
    if differs:
        raise OtherComparison(f"{path} is of another comparison ({differs})")
    known = {str(cell.genotype): cell for cell in earlier.cells if cell.scores}
    for cell in comparison.cells:
        if str(cell.genotype) in known:
            old = known[str(cell.genotype)]
            cell.num_weights, cell.diverged = old.num_weights, list(old.diverged)
            cell.scores = dict(old.scores)
    lost = [f"seed {seed}" for seed in earlier.seeds if seed not in comparison.seeds]
    lost += [
        cell.name
        for text, cell in known.items()
        if not any(text == str(own.genotype) for own in comparison.cells)
    ]
    if lost:
        raise OtherComparison(
            f"{path} has trainings that this comparison has not ({', '.join(lost)})"
        )
