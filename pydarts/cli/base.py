# SPDX-License-Identifier: MIT
"""A kind of data as the commands see it: what differs between images and text."""

from __future__ import annotations

import argparse
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from pydarts.api.limits import Limits
from pydarts.costs.budget import Budget
from pydarts.methods.method import Method
from pydarts.methods.named import Selector
from pydarts.spaces.space import GENOTYPES, READY, Space
from pydarts.training.run_options import RunOptions
from pydarts.training.task import Task


class Kind(ABC):
    """Data that was loaded, with the words of the commands that work on it.

    Attributes
    ----------
    args : argparse.Namespace
        Of the command.
    name : str
        Of the data.
    task : Task
        What is learned from it.
    task_type : type
        The class of the task.
    model_type : type
        The class of its models.
    search_command, train_command : str
    measures : tuple of str
        What summary.json holds of a model, null where it is not known.
    onnx_inputs : str
        What an exported model takes.
    """

    task_type: ClassVar[type[Task]]
    model_type: ClassVar[Any]
    search_command: ClassVar[str]
    train_command: ClassVar[str]
    measures: tuple[str, ...]
    onnx_inputs: ClassVar[str]

    def __init__(self, args: argparse.Namespace, name: str, task: Any):
        self.args, self.name, self.task = args, name, task

    @classmethod
    @abstractmethod
    def add_data(cls, parser: argparse.ArgumentParser) -> None:
        """Add DATA and the options that tell how it is read."""

    @classmethod  # noqa: B027  # text has one space
    def add_space(cls, group: Any) -> None:
        """Add the option that says what is searched."""

    @classmethod
    def space(cls, args: argparse.Namespace) -> Space:
        """What is searched."""
        return READY[GENOTYPES[cls.task_type.kind].usual_space]

    @classmethod  # noqa: B027  # of text there is none
    def add_limits(cls, parser: argparse.ArgumentParser) -> None:
        """Add the options that limit what the trained network costs."""

    def limits(self, target: Any = None) -> Limits:
        """The limits that were given."""
        return Limits(target=target)

    def budget(
        self, train_config: Any, pair: tuple[Method, Selector | None], run: RunOptions
    ) -> Budget | None:
        """The limits that were given, with what predicts the costs."""
        return None

    @classmethod
    @abstractmethod
    def load(cls, args: argparse.Namespace, threads: int | None, space: Space) -> Kind:
        """Load the data, check all that could surprise later, and say what it is."""

    @abstractmethod
    def data_arguments(self) -> list[str]:
        """DATA and its options, as they were given."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What summary.json says of the data."""

    def announce(self, config: Any) -> None:  # noqa: B027  # of text there is nothing
        """Say what a configuration leaves to the data, and what became of it."""

    def report_training(self, model: Any) -> dict[str, Any]:
        """Say and return what is known of a model however its training ended."""
        return {}

    @abstractmethod
    def test(self, model: Any) -> dict[str, Any]:
        """Say and return how well a model does on what it has not seen."""

    @abstractmethod
    def uses(self, out: Path) -> list[str]:
        """Lines on what can be done with a model."""

    @classmethod
    def exported_inputs(cls, model: Any) -> str:
        """What an exported model takes."""
        return cls.onnx_inputs

    @classmethod
    @abstractmethod
    def c_options(cls, args: argparse.Namespace, model: Any) -> dict[str, Any]:
        """Options of a model's `to_c`: of 8 bits, the data that give the ranges."""

    @classmethod
    @abstractmethod
    def evaluate(cls, args: argparse.Namespace, model: Any) -> tuple[Any, dict[str, Any]]:
        """Say what a model is evaluated on; return the scores, and the data for a JSON file."""

    @classmethod
    @abstractmethod
    def predict(cls, args: argparse.Namespace, model: Any) -> list[list[Any]]:
        """Say what a model predicts; return the rows of a table, the first with their names."""

    @classmethod
    @abstractmethod
    def saved_data(cls, summary: dict[str, Any], args: argparse.Namespace) -> None:
        """Set DATA and its options in ``args`` to what a summary.json tells."""
