# SPDX-License-Identifier: MIT
"""Images as the fronts take them: what is learned of them, and how they are split."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from pydarts.common.errors import ArgumentError
from pydarts.data.datasets import as_arrays
from pydarts.data.preprocessing import Preprocessing
from pydarts.data.weights import ClassWeight
from pydarts.spaces.space import Space
from pydarts.tasks.images import ImageClassification

#: The share of what is held out to test on where there is no test set.
HELD_OUT = 0.2


class Splitting(NamedTuple):
    """How images are split, and what is validated on in place of a part of them.

    Attributes
    ----------
    X_valid, y_valid : optional
        Given together; or what brings its own labels.
    groups : iterable, optional
        One for each image: no part shares one with another.
    split : {"random", "time"}
    stratify : bool or iterable, optional
    """

    X_valid: Any = None
    y_valid: Iterable[Any] | None = None
    groups: Iterable[Any] | None = None
    split: str = "random"
    stratify: bool | Iterable[Any] | None = None

    def valid(self) -> tuple[Any, Any] | None:
        """Images and labels to validate on, if there are any."""
        X, y = self.X_valid, self.y_valid
        if X is None and y is None:
            return None
        if X is None or (y is None and hasattr(X, "__array__")):
            raise ArgumentError("X_valid", "and `y_valid` must come together")
        try:
            return as_arrays(X, y, None)[:2]
        except ArgumentError as error:
            raise type(error)(f"{error.argument}_valid", error.problem) from error

    def arrays(self, X: Any, y: Any, splits: bool) -> tuple[Any, Any, Any]:
        """Images, labels and groups. Those that a file brings are left where nothing is split, or
        by time: they were not asked for.
        """
        X, y, groups = as_arrays(X, y, self.groups)
        asked = self.groups is not None or (splits and self.split != "time")
        return X, y, groups if asked else None

    def check_used(self) -> None:
        """Raise ArgumentError where `X_valid` leaves options of a split without use."""
        if self.X_valid is None and self.y_valid is None:
            return
        given = {"groups": self.groups, "stratify": self.stratify}
        given["split"] = None if self.split == "random" else self.split
        for name, value in given.items():
            if value is not None:
                raise ArgumentError(name, "has no use with `X_valid`: nothing is split")


class Targets(NamedTuple):
    """What is learned of images: the arguments of the fronts that go by these names."""

    task: str = "multiclass"
    sample_weight: ArrayLike | None = None
    class_weight: ClassWeight | None = None
    loss: str | None = None
    huber_delta: float = 1.0


def image_task(
    X: Any,
    y: Iterable[Any] | None,
    splitting: Splitting,
    targets: Targets,
    *,
    image_layout: str | None,
    preprocessing: Preprocessing | None,
    space: Space,
    threads: int | None = None,
    test: tuple[Any, Any] | None = None,
    splits: bool = True,
) -> ImageClassification:
    """Return the task of a front's arguments.

    Parameters
    ----------
    test : tuple of (X_test, y_test), optional
        Of a front that tests: where both are None, a part of ``X`` is held out.
    splits : bool
        Whether the front splits ``X``, if there is nothing to validate on.
    """
    valid = splitting.valid()
    if test is not None and (test[0] is None) != (test[1] is None):
        raise ArgumentError("X_test", "and `y_test` must come together")
    given = None if test is None or test[0] is None else test
    splits = (splits and valid is None) or (test is not None and given is None)
    X, y, groups = splitting.arrays(X, y, splits)
    assert y is not None
    task = ImageClassification(
        X,
        y,
        image_layout,
        groups=groups,
        preprocessing=preprocessing,
        valid=valid,
        test=given,
        space=space,
        threads=threads,
        objective=targets.task,
        sample_weight=targets.sample_weight,
        class_weight=targets.class_weight,
        loss=targets.loss,
        huber_delta=targets.huber_delta,
        split=splitting.split,
        stratify=splitting.stratify,
    )
    if test is not None and given is None:
        return task.hold_out(HELD_OUT, np.random.default_rng(0))
    return task
