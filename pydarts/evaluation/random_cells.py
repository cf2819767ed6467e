# SPDX-License-Identifier: MIT
"""The simplest search: the best of a few random cells."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from pydarts.api.searching import prepare, require_batch
from pydarts.api.training import train
from pydarts.common.checks import integer
from pydarts.common.errors import ArgumentError
from pydarts.data.images import split_half
from pydarts.evaluation.comparing import trained
from pydarts.models.image_classifier import Model
from pydarts.spaces.darts import Genotype
from pydarts.training.config import TrainConfig
from pydarts.training.loop import progress_bar, tell


class Candidate(NamedTuple):
    """A random cell, and what became of it."""

    genotype: Genotype
    accuracy: float
    num_weights: int


@dataclass(eq=False)
class RandomSearchResult:
    """What a random search found.

    Attributes
    ----------
    config : TrainConfig
        Of each training.
    candidates : list of Candidate
        In the order in which they were drawn.
    interrupted : bool
        Whether Ctrl-C ended it early.
    """

    config: TrainConfig
    candidates: list[Candidate] = field(default_factory=list)
    interrupted: bool = False

    @property
    def best(self) -> Candidate:
        """The one with the highest accuracy on the images held out; of equals the first."""
        return max(self.candidates, key=lambda candidate: candidate.accuracy)

    @property
    def genotype(self) -> Genotype:
        """The best one's."""
        return self.best.genotype

    def __repr__(self) -> str:
        text = f"RandomSearchResult of {len(self.candidates)} cells"
        text += " (interrupted)" if self.interrupted else ""
        for i, candidate in enumerate(self.candidates):
            text += f"\n  cell {i}: {candidate.accuracy:.2%}, {candidate.num_weights:,} weights"
            text += " (the best)" if candidate is self.best else ""
        return text


def random_search(
    X: ArrayLike,
    y: Iterable[Any],
    *,
    k: int = 5,
    train_fraction: float = 0.8,
    preset: str = "quick",
    image_layout: str | None = None,
    threads: int | None = None,
    progress: bool = True,
    **options: Any,
) -> RandomSearchResult:
    """Train ``k`` random cells alike, and choose the best.

    All see the same batches of the same part of the images; the rest of them chooses. So to have an
    accuracy that may be quoted, train the chosen cell and try it on other images. Random search
    with early stopping left out: Li, Talwalkar, arXiv:1902.07638.

    Parameters
    ----------
    X, y, image_layout, threads, progress : as in `search`.
    k : how many cells to draw.
    train_fraction : share of each class that is trained on.
    preset, **options : as in `train`. ``seed`` also draws the cells, which are others than those of
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
    config = TrainConfig.make(preset, options)
    if not 0 < train_fraction < 1:
        raise ArgumentError("train_fraction", f"(={train_fraction!r}) must lie between 0 and 1")
    count = integer("k", k, 1)
    images, codes, labels = prepare(X, y, image_layout)
    rng = np.random.default_rng(config.seed)
    own, held_out = split_half(codes, rng, train_fraction, labels=labels)
    require_batch(len(own), config.batch_size, "the part of `X` that is trained on")
    # `compare` takes the small seeds.
    cells = [Genotype.random(int(seed)) for seed in rng.integers(2**32, 2**63, count)]

    def trial(cell: Genotype) -> Model:
        return train(
            cell,
            images[own],
            codes[own],
            preset=preset,
            image_layout="NCHW",
            threads=threads,
            progress=False,
            **options,
        )

    result = RandomSearchResult(config.fit_epochs(len(own)))
    bar = progress_bar("random search", count, progress, "training")
    try:
        for i, cell in enumerate(cells):
            model, diverged = trained(trial, cell)
            accuracy = model.score(images[held_out], codes[held_out])
            result.candidates.append(Candidate(cell, accuracy, model.num_weights))
            note = " (diverged)" if diverged else ""
            tell(bar, f"cell {i}: accuracy {accuracy:.2%} on the images held out{note}")
            bar.update()
    except KeyboardInterrupt:
        if not result.candidates:
            raise
        result.interrupted = True
    finally:
        bar.close()
    return result
