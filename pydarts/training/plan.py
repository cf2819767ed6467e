# SPDX-License-Identifier: MIT
"""How a given time is best spent on a search and a training: the rule, and what it decided."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from pydarts import _core
from pydarts.common.checks import integer
from pydarts.common.errors import ArgumentError
from pydarts.common.files import read_described, write_json
from pydarts.engine.sgd import SGD
from pydarts.training.budget import duration
from pydarts.training.task import Task, TrainData
from pydarts.training.weights import WeightTracker

Size = tuple[int, int]

#: Channels and cells of the networks that come into question, the fastest first.
LADDER: Final[tuple[Size, ...]] = ((8, 3), (8, 5), (12, 5), (16, 5), (16, 8), (24, 8), (36, 8))
#: Further ones below these, where there are limits on what the network costs.
SMALLER: Final[tuple[Size, ...]] = ((2, 3), (4, 3))
#: A larger network is taken if it can be trained on so many images, in so many epochs.
IMAGES_SEEN, LEAST_EPOCHS, ENOUGH_EPOCHS = 400_000, 6, 40
#: Where whole epochs would leave more than this share of the time, there is one more, of fewer
#: images each.
LEFT_OVER: Final = 0.02
#: Beyond these, more epochs of the largest network are not tried, unless few images want them.
MOST_EPOCHS: Final = 200
#: The share of the time that is left for what is slower than it was measured.
MARGIN: Final = 0.07
#: The share of what is left that measuring a size may take, as far as it can be told from the one
#: before, of which the next can take so many times as long.
MEASURING, GROWTH = 0.2, 2.5
#: The share of the time that a search may take, and how many epochs it must have.
SEARCH_SHARE, LEAST_SEARCH_EPOCHS = 0.4, 3
#: The seconds from which a search is worth its time where there is a published cell: no such budget
#: is known.
PAYS_FROM: Final = math.inf
#: The options of the training, beside the preset's.
RECIPE: Final[Mapping[str, Any]] = {
    "schedule": "step",
    "warmup": 0.1,
    "label_smoothing": 0.1,
    "weight_average": 0.998,
}
PLAN: Final = "plan.json"

_FORMAT, _VERSION = "pydarts-plan", 1
# Steps that are timed at least; for so many seconds, but no larger share of what is left.
_TIMED_STEPS, _TIMED_SECONDS, _TIMED_SHARE = 3, 0.5, 0.02


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How `pydarts.fit` spends its time. It depends on the speed of the machine: given to `fit`
    again, the same seed gives the same model.

    Attributes
    ----------
    cell : str
        ``"search"``, ``"given"``, ``"strongest"`` (the strongest-operation constant), or the
        name of a published one.
    search_preset : str or None
        Of the search, if there is one.
    search_epochs : int
        Its epochs; 0: no search.
    channels, cells, epochs : int
        Of the training; 0 until the search, if there is one, is done: they are chosen in the time
        that it leaves. Under limits channels and cells are chosen before the search.
    epoch_images : int or None
        Images of an epoch of the training; None: all of them.
    limits : dict
        On the costs of the network, by name: of latency in seconds, of memory in bytes.
    prepare_seconds : float
        That the data took, all measuring, and a training that was given up for its pace.
    search_seconds, train_seconds : float
        That search and training were estimated to take.
    why : tuple of str
        The reasons, as sentences.
    given_up : bool
        Whether a training by another plan was given up for its pace.
    """

    cell: str
    search_preset: str | None = None
    search_epochs: int = 0
    channels: int = 0
    cells: int = 0
    epochs: int = 0
    prepare_seconds: float = 0.0
    search_seconds: float = 0.0
    train_seconds: float = 0.0
    why: tuple[str, ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict, hash=False)
    epoch_images: int | None = None
    given_up: bool = False

    @property
    def searched(self) -> bool:
        """Whether the cell is that of a search."""
        return self.search_epochs > 0

    def __str__(self) -> str:
        return "\n".join(self.why)

    def save(self, path: Path, data: str | None = None) -> None:
        """Write it as JSON, with a fingerprint of what it is for."""
        own = {"format": _FORMAT, "version": _VERSION, **dataclasses.asdict(self)}
        write_json(path, own if data is None else {**own, "data": data})

    @staticmethod
    def data_of(path: Path) -> str | None:
        """Return the fingerprint that `save` wrote; None: it is of an earlier version."""
        with read_described(path, _FORMAT, (_VERSION,)) as d:
            data = d.get("data")
            return None if data is None else str(data)

    @classmethod
    def load(cls, path: Path) -> Plan:
        """Read what `save` wrote; errors name the file."""
        with read_described(path, _FORMAT, (_VERSION,)) as d:
            preset, part = d["search_preset"], d.get("epoch_images")
            return cls(
                cell=str(d["cell"]),
                search_preset=None if preset is None else str(preset),
                search_epochs=integer("search_epochs", d["search_epochs"], 0),
                channels=integer("channels", d["channels"], 0),
                cells=integer("cells", d["cells"], 0),
                epochs=integer("epochs", d["epochs"], 0),
                prepare_seconds=float(d["prepare_seconds"]),
                search_seconds=float(d["search_seconds"]),
                train_seconds=float(d["train_seconds"]),
                why=tuple(map(str, d["why"])),
                # Plans of earlier versions have none.
                limits={str(k): float(v) for k, v in d.get("limits", {}).items()},
                epoch_images=None if part is None else integer("epoch_images", part, 2),
                given_up=bool(d.get("given_up", False)),
            )


class EpochSeconds(NamedTuple):
    """What an epoch of a training takes: its steps, and its validation."""

    training: float
    validation: float = 0.0

    @property
    def total(self) -> float:
        """Both together."""
        return self.training + self.validation


@dataclass(frozen=True)
class TrainingChoice:
    """Sizes and epochs of a training, the seconds that it and its steps alone will take, whether
    more time would have given more epochs, and why; and how many images an epoch has, None: all.
    """

    channels: int
    cells: int
    epochs: int
    seconds: float
    step_seconds: float
    fills: bool
    why: str
    epoch_images: int | None = None


def choose_training(
    epoch_seconds: Callable[[Size], EpochSeconds],
    seconds_left: Callable[[], float],
    images: int,
    budget: float,
    sizes: Iterable[Size] = LADDER,
    epochs: int | None = None,
    largest: str = "the largest that is tried",
    few: int = 0,
    batch_size: int = 1,
    epoch_images: int | None = None,
) -> TrainingChoice:
    """Choose the largest network that can be trained for enough epochs, and fill the time.

    Where whole epochs would leave much of it, there is one more, and all have fewer images.

    Parameters
    ----------
    epoch_seconds : callable
        Measures what an epoch of a size takes.
    seconds_left : callable
        What is left now, measuring included.
    images : int
    budget : float
        Seconds in all, for the error.
    sizes : iterable of (int, int)
        Channels and cells, the fastest first.
    epochs : int, optional
        If they are given, they must fit, however many they are.
    largest : str
        What the last of the sizes is, as the reason says it.
    few : int
        Epochs that few images want, for enough steps.
    batch_size : int
    epoch_images : int, optional
        If it is given, an epoch has so many images.
    """
    shown = math.ceil(IMAGES_SEEN / (epoch_images or images))
    shown = min(ENOUGH_EPOCHS, max(LEAST_EPOCHS, shown))
    enough, most = epochs or max(few, shown), epochs or max(few, MOST_EPOCHS)
    least, why, took = epochs or 1, largest, 0.0
    measured: list[tuple[Size, EpochSeconds]] = []
    for size in sizes:
        before = seconds_left()
        if measured and GROWTH * took > MEASURING * before:
            why = "the largest that can be measured in little of the time"
            break
        found = epoch_seconds(size)
        left = seconds_left()
        took = before - left
        if measured and _fitting(left, found.total) < enough:
            why = f"the largest of which {enough} epochs or more fit"
            break
        measured.append((size, found))
        if _fitting(left, found.total) < enough:
            why = f"the fastest, though not even {enough} epochs of it fit"
            break
    while len(measured) > 1 and _fitting(seconds_left(), measured[-1][1].total) < least:
        measured.pop()  # what larger ones took to be measured is gone
        why = "the largest that there is still time for"
    chosen, epoch = measured[-1]
    left, each = seconds_left(), epoch.total
    fits = min(_fitting(left, each), most)
    if fits < least:
        raise ArgumentError("time_budget", _too_short(budget, left, chosen, each, least))
    count, part, share = epochs or fits, epoch_images, 1.0
    whole, exact = images // batch_size, usable(left) / each  # batches, epochs
    if epochs is None and part is None and fits < most and exact - fits > LEFT_OVER * exact:
        # Each is still validated on everything.
        for_steps = usable(left) / (fits + 1) - epoch.validation
        batches = int(for_steps / epoch.training * whole)
        if fits * whole < (fits + 1) * batches:  # more than whole epochs are
            count, part, share = fits + 1, batches * batch_size, batches / whole
    of = f" of {part:,} of the {images:,} images each" if share < 1 else ""
    why = (
        f"The network has {chosen[0]} channels and {chosen[1]} cells, {why}: an epoch takes about"
        f" {duration(each)}. It is trained for {_why_epochs(epochs, count, most, of)}."
    )
    steps = count * epoch.training * share
    seconds = steps + count * epoch.validation
    fills = epochs is None and count < most
    return TrainingChoice(*chosen, count, seconds, steps, fills, why, part)


def usable(seconds: float) -> float:
    """What is left of a time but for the margin."""
    return max(0.0, seconds) * (1 - MARGIN)


def _fitting(left: float, each: float) -> int:
    """How many epochs of so many seconds each fit in the time that is left."""
    return int(usable(left) / each)


def _too_short(budget: float, left: float, size: Size, each: float, least: int) -> str:
    network = f"a network of {size[0]} channels and {size[1]} cells"
    if math.isinf(each):
        return f"(={duration(budget)}) is too short for a few steps of {network}"
    need = duration(1.1 * (budget - left + least * each / (1 - MARGIN)))
    what = "one epoch" if least == 1 else f"{least} epochs"
    return f"(={duration(budget)}) is too short for {what} of {network}: about {need} would do"


def _why_epochs(given: int | None, count: int, most: int, of: str) -> str:
    text = f"{count} epoch{'s' if count > 1 else ''}{of}"
    if given is not None:
        return f"{text}, as was asked for"
    return f"{text}, which {'are the most' if count == most else 'fills the time'}"


def training_epoch_seconds(
    task: Task, genotype: Any, config: Any, data: TrainData, seconds_left: float
) -> EpochSeconds:
    """Measure some steps of a training on a throw-away network, the batches included, and a part of
    its validation; infinite where there is no time for that.
    """
    config = task.complete(config)
    network = task.model(genotype, config).network
    network.set_deadline(max(seconds_left, 0.0))
    step = SGD(network, **task.sgd_options(config))
    tracker = WeightTracker(network, False, **task.averaging(config))
    # Of an epoch that an earlier measurement left without batches, that of the next one.
    batch = next(batch for _ in range(2) for batch in data.batches.epoch())

    def once() -> float:
        start = time.perf_counter()
        inputs = data.inputs(batch, network, 0, 0)
        step(**{**inputs, "lr": 0.0})
        tracker.on_step_end()
        return time.perf_counter() - start

    try:
        once()
        steps, enough = [once()], min(_TIMED_SECONDS, _TIMED_SHARE * seconds_left)
        while len(steps) < _TIMED_STEPS or (sum(steps) < enough and len(steps) < 20):
            steps.append(once())
            if sum(steps) > 4 * _TIMED_SECONDS:
                break
        data.validate_part(network)
        start = time.perf_counter()
        validation = data.validate_part(network)
        validation *= time.perf_counter() - start
    except _core.OutOfTime:
        return EpochSeconds(math.inf)
    return EpochSeconds(float(np.median(steps)) * data.units, validation)
