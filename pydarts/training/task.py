# SPDX-License-Identifier: MIT
"""What a loop learns, as the loop sees it: a task, and the data of one of its runs."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pydarts import _core
from pydarts.common.ranks import ALONE, Ranks
from pydarts.spaces.space import Space
from pydarts.training.checkpoint import State
from pydarts.training.config_base import Config
from pydarts.training.metrics import Metric

Item_co = TypeVar("Item_co", covariant=True)

Metrics = dict[str, Any]


def require_finite(loss: float) -> float:
    """Return a validation loss; where it is not finite, the run has diverged."""
    if not math.isfinite(loss):
        raise _core.NonFinite("the validation loss is not finite")
    return loss


class BatchSource(Protocol[Item_co]):
    """What gives batches, and can be taken up in the middle of an epoch."""

    def epoch(self) -> Iterator[Item_co]:
        """What is left of the present epoch."""
        ...

    def state(self) -> State: ...

    def restore(self, state: State) -> None: ...


class RunData(ABC):
    """The data of one run, search or training.

    Attributes
    ----------
    arrays : tuple of ndarray or LazyArray
        All that is learned from, for the fingerprint of a checkpoint.
    units : int
        Units of the progress bar in an epoch.
    batches : BatchSource
        What the weights learn on.
    """

    arrays: tuple[Any, ...]
    units: int
    batches: BatchSource[Any]

    @abstractmethod
    def size(self, item: Any) -> tuple[int, int]:
        """Weight of a batch in the means of an epoch, and its units of the progress bar."""

    def carry(self, info: Any) -> None:  # noqa: B027  # images carry nothing
        """Take from a step what the next one begins with."""

    def end_epoch(self) -> None:  # noqa: B027
        """Forget it."""

    def state(self) -> State:
        """What is carried from step to step."""
        return {}

    def restore(self, state: State) -> None:  # noqa: B027
        """Go on from what ``state`` gave."""


class SearchData(RunData):
    """The data of a search: what the weights learn on, and what α learns on.

    Attributes
    ----------
    valid : BatchSource
        What α learns on.
    amount : tuple of (str, int)
        The option that bounds the data, and how much data there is.
    steps : int
        Of an epoch.
    validations : float
        How many of `validate_part` the validation of an epoch takes.
    """

    valid: BatchSource[Any]
    amount: tuple[str, int]
    steps: int
    validations: float
    #: What must be known of the data: sentences.
    notes: tuple[str, ...] = ()
    #: Share of the initial learning rate with which the weights are tuned; None: they are not.
    tuning_share: float | None = None

    @abstractmethod
    def valid_batches(self) -> Iterator[Any]:
        """Batches for α, epoch after epoch without end."""

    @abstractmethod
    def inputs(self, item: Any, valid_item: Any, epoch: int) -> dict[str, Any]:
        """The arguments of a search step."""

    @abstractmethod
    def trial_inputs(self) -> dict[str, Any]:
        """The arguments of a step of length zero: with any other, a search that diverges could not
        be tried.
        """

    @abstractmethod
    def metrics(self, loop: Any, network: Any, epoch: int) -> Metrics:
        """What the history holds of an epoch's losses."""

    @abstractmethod
    def validate_part(self, network: Any) -> None:
        """Do a part of an epoch's validation."""

    @abstractmethod
    def evaluate(
        self,
        network: Any,
        mixing: Mapping[str, NDArray[Any]],
        active: Mapping[str, NDArray[Any]] | None,
        batches: int | None,
    ) -> tuple[float, float | None]:
        """Loss and accuracy, where there is one, at a mixture with batch statistics: of at most so
        many batches of the validation data, always the same, or of all of it.
        """

    @abstractmethod
    def num_batches(self, batches: int | None) -> int:
        """How many batches `evaluate` takes."""

    @abstractmethod
    def contest(self) -> Task:
        """The task of learning from the data of the weights, or more like them, and being scored on
        others, as on those of α.
        """

    @abstractmethod
    def probe(self, network: Any) -> tuple[float, dict[str, dict[str, NDArray[Any]]]]:
        """The validation loss and its gradients with respect to α, always on the same batch."""


class TrainData(RunData):
    """The data of a training."""

    @abstractmethod
    def inputs(self, item: Any, network: Any, epoch: int, step: int) -> dict[str, Any]:
        """The arguments of a step of SGD."""

    @abstractmethod
    def metrics(self, loop: Any, epoch: int) -> Metrics:
        """What the history holds of an epoch's training."""

    @abstractmethod
    def validate(self, network: Any) -> Metrics | None:
        """``valid_loss`` and other metrics of the validation data; None where there is none."""

    def validate_part(self, network: Any) -> float:
        """Do a part of an epoch's validation, and return how many of them it takes."""
        return 0.0


class Task(ABC):
    """What is learned from which data, with which networks, loss and metrics.

    Attributes
    ----------
    kind : str
        Of its spaces: ``"convolutional"`` or ``"recurrent"``.
    space : Space
        What is searched.
    search_config, train_config : type
        Classes of the configurations.
    metric : Metric
        By which trained networks are compared.
    unit : str
        Of the progress bar.
    threads : int or None
        Of all networks.
    ranks : Ranks
        The processes that compute the passes of a search or a training together.
    """

    ranks: Ranks = ALONE
    kind: ClassVar[str]
    space: Space
    search_config: ClassVar[type[Config]]
    train_config: ClassVar[type[Config]]
    metric: Metric
    unit: ClassVar[str]
    threads: int | None

    @property
    @abstractmethod
    def arrays(self) -> tuple[Any, ...]:
        """All that is learned from and tested on, for the fingerprint of a comparison."""

    @property
    def counts_correct(self) -> bool:
        """Whether predictions are right or wrong, so that an accuracy can be measured."""
        return False

    @property
    def outputs(self) -> dict[str, Any] | None:
        """What models tell, such as the labels, as checkpoints hold it; None: not told."""
        return None

    @abstractmethod
    def search_data(self, config: Any, rng: np.random.Generator) -> SearchData:
        """Split the data for a search.

        Raises
        ------
        ValueError
            Where there is too little data; names the option that asks for more.
        """

    @abstractmethod
    def supernet(self, config: Any, **options: Any) -> Any:
        """Build the supernet that a configuration describes, with what a method needs."""

    @abstractmethod
    def step_options(self, config: Any) -> Mapping[str, Any]:
        """The options of a search step that are about the weights and the loss."""

    @abstractmethod
    def search_bytes(self, config: Any, **options: Any) -> int:
        """What a search with such a supernet needs, known before anything runs."""

    @abstractmethod
    def train_bytes(self, genotype: Any, config: Any) -> int:
        """What a training needs, likewise."""

    @abstractmethod
    def savings(self, config: Any) -> Iterator[dict[str, Any]]:
        """Changes of the configuration that save memory, the mildest first."""

    @abstractmethod
    def train_data(self, config: Any, rng: np.random.Generator) -> TrainData:
        """Prepare the data of a training; raises as `search_data` does."""

    @abstractmethod
    def check_train(self, config: Any) -> None:
        """Raise ValueError where there is too little data for a training."""

    def complete(self, config: Any) -> Any:
        """Return a configuration, of a search or training, with what depends on the data filled
        in.
        """
        return config

    @abstractmethod
    def model(self, genotype: Any, config: Any) -> Any:
        """Build the untrained model of a genotype."""

    @abstractmethod
    def sgd_options(self, config: Any) -> Mapping[str, Any]:
        """The options of a training step."""

    def averaging(self, config: Any) -> Mapping[str, Any]:
        """How weights are averaged: the options of `WeightTracker`; by default they are not."""
        return {}

    @abstractmethod
    def contest_config(self, config: Any, epochs: int | None, seed: int) -> Any:
        """The configuration of a short training on this task, of the sizes of a search; of as many
        epochs as the task thinks right for None.
        """

    @abstractmethod
    def score(self, model: Any) -> float:
        """The metric of a model on the test data."""

    @abstractmethod
    def split(self, train_fraction: float, rng: np.random.Generator) -> Task:
        """Return the task with another test set, which is not that of the user: what is left of
        each class of the training data besides a fraction; of a text the validation part.
        """

    @abstractmethod
    def epoch_line(self, entry: Mapping[str, Any], epochs: int) -> str:
        """One line of progress."""
