# SPDX-License-Identifier: MIT
"""The commands ``pydarts search`` and ``pydarts train``: cells for images."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydarts.api.estimating import estimate
from pydarts.api.searching import SearchResult, require_batch, search
from pydarts.api.training import train
from pydarts.cli.console import named_as_options, say
from pydarts.cli.run import Run
from pydarts.data import datasets
from pydarts.data.datasets import Dataset
from pydarts.data.images import Labels, as_images
from pydarts.models.image_classifier import Model
from pydarts.spaces.darts import Genotype
from pydarts.training.budget import Estimate
from pydarts.training.config import Config, SearchConfig, TrainConfig


@dataclass
class ImageRun(Run):
    """The work on a set of images."""

    data: Dataset

    search_config: ClassVar[type[Config]] = SearchConfig
    train_config: ClassVar[type[Config]] = TrainConfig
    cell: ClassVar[type[Genotype]] = Genotype
    drawings: ClassVar[tuple[str, ...]] = ("normal.svg", "reduce.svg")
    measures: ClassVar[tuple[str, ...]] = ("accuracy",)

    @classmethod
    def add_data(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "data",
            metavar="DATA",
            help="digits, fashion-mnist, a folder of IDX files or of CIFAR-10 binary batches, or an"
            " .npz file with X and y (and X_test and y_test)",
        )
        parser.add_argument(
            "--image-layout", choices=("NCHW", "NHWC"), help="where the shape does not tell it"
        )

    @classmethod
    def load(cls, args: argparse.Namespace) -> Dataset:
        data = datasets.load(args.data)
        held_out = data.X_test is None
        with named_as_options(about=f"{data.name}: "):
            if held_out:
                parts = datasets.hold_out(data.X_train, data.y_train)
                data = Dataset(data.name, *parts, data.description)
            X, y, X_test, y_test = _arrays(data)
            images = as_images(X, image_layout=args.image_layout)
            labels = Labels.fit(y)
            if args.out is not None:
                labels.to_json()
        with named_as_options(about=f"{data.name} (test): "):
            as_images(X_test, image_layout=args.image_layout)
            labels.encode(y_test)
        channels, height, width = images.shape[1:]
        kind = {1: "grey ", 3: "colour "}.get(channels, f"{channels}-channel ")
        say(
            f"{data.name}: {len(labels)} classes of {kind}{height}x{width} images,"
            f" {len(X):,} to learn from and {len(X_test):,} to test on"
        )
        if held_out:
            say("There is no test set: a fifth of each class is held out as one.")
        return data

    @classmethod
    def data_options(cls, args: argparse.Namespace) -> dict[str, Any]:
        return {"image_layout": args.image_layout}

    def check(self, config: Any) -> None:
        if isinstance(config, TrainConfig):  # a search, which splits the images, checks by itself
            require_batch(len(self.data.X_train), config.batch_size, "the training set")

    def call_estimate(self, **options: Any) -> Estimate:
        return estimate(self.data.X_train, self.data.y_train, **options)

    def call_search(self, **options: Any) -> SearchResult:
        return search(self.data.X_train, self.data.y_train, **options)

    def call_train(self, genotype: Genotype, **options: Any) -> Model:
        return train(genotype, self.data.X_train, self.data.y_train, **options)

    def test(self, model: Model) -> None:
        _, _, X_test, y_test = _arrays(self.data)
        self.record["accuracy"] = accuracy = model.score(X_test, y_test)
        unseen = f"{len(y_test):,} test images, which nothing was learned from"
        say(f"Accuracy on {unseen}: {accuracy:.2%}")

    def describe(self) -> dict[str, Any]:
        X, _, X_test, _ = _arrays(self.data)
        return {"data": self.data.name, "train_images": len(X), "test_images": len(X_test)}

    def train_command(self, out: Path) -> list[str]:
        return ["pydarts", "train", str(out), self.args.data]

    def uses(self, out: Path) -> list[str]:
        return [f"To use it in Python: pydarts.Model.load({str(out / 'model')!r})"]


def _arrays(data: Dataset) -> tuple[Any, Any, Any, Any]:
    return data.X_train, data.y_train, data.X_test, data.y_test
