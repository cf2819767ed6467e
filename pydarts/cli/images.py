# SPDX-License-Identifier: MIT
"""Images on the command line: DATA, and what is said of models that classify it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pydarts.cli.arguments import add_image_layout, named
from pydarts.cli.base import Kind
from pydarts.cli.console import say
from pydarts.data import datasets
from pydarts.data.images import check_consistent
from pydarts.data.npz import read_npz
from pydarts.models.image_model import Model
from pydarts.spaces.ready import as_space
from pydarts.spaces.space import READY, Space
from pydarts.tasks.images import ImageClassification


class ImageKind(Kind):
    """Images to classify."""

    task_type = ImageClassification
    model_type = Model
    search_command, train_command = "search", "train"
    measures = ("accuracy",)
    onnx_inputs = "images (N, C, H, W) as float32"
    unavailable = ("restore_best_weights",)  # images to validate on are for Python alone

    task: ImageClassification

    @classmethod
    def add_data(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "data",
            metavar="DATA",
            help="digits, fashion-mnist, a folder of IDX files or of CIFAR-10 binary batches, or an"
            " .npz file with X and y (and X_test and y_test)",
        )
        add_image_layout(parser)

    @classmethod
    def add_space(cls, group: Any) -> None:
        names = ", ".join(name for name, space in READY.items() if space.kind == "convolutional")
        group.add_argument(
            "--space",
            default="darts",
            metavar="NAME|FILE",
            help=f"what is searched: {names}, or a JSON file (default: darts)",
        )

    @classmethod
    def space(cls, args: argparse.Namespace) -> Space:
        return as_space(args.space)

    @classmethod
    def load(cls, args: argparse.Namespace, threads: int | None, space: Space) -> ImageKind:
        data = datasets.load(args.data)
        with named(args, about=data.name):
            test = None
            if data.X_test is not None and data.y_test is not None:
                test = data.X_test, data.y_test
            task = ImageClassification(
                data.X_train,
                data.y_train,
                args.image_layout,
                test=test,
                space=space,
                threads=threads,
            )
            if test is None:
                task = task.hold_out(0.2, np.random.default_rng(0))
            if getattr(args, "out", None) is not None:
                task.labels.to_json()
        assert task.test is not None
        channels, height, width = task.images.shape[1:]
        colours = {1: "grey ", 3: "colour "}.get(channels, f"{channels}-channel ")
        say(
            f"{data.name}: {len(task.labels)} classes of {colours}{height}x{width} images,"
            f" {len(task.images):,} to learn from and {len(task.test[0]):,} to test on"
        )
        if test is None:
            say("There is no test set: a fifth of each class is held out as one.")
        return cls(args, data.name, task)

    def data_arguments(self) -> list[str]:
        layout = self.args.image_layout
        return [self.args.data, *(["--image-layout", layout] if layout else [])]

    def describe(self) -> dict[str, Any]:
        assert self.task.test is not None
        sizes = {"train_images": len(self.task.images), "test_images": len(self.task.test[0])}
        return {"data": self.name, **sizes}

    def test(self, model: Model) -> dict[str, Any]:
        assert self.task.test is not None
        accuracy, count = self.task.score(model), len(self.task.test[0])
        say(f"Accuracy on {count:,} test images, which nothing was learned from: {accuracy:.2%}")
        return {"accuracy": accuracy}

    def uses(self, out: Path) -> list[str]:
        return [f"To use it in Python: pydarts.Model.load({str(out / 'model')!r})"]

    @classmethod
    def evaluate(cls, args: argparse.Namespace, model: Model) -> tuple[Any, dict[str, Any]]:
        data = _read(args, model)
        if data.y is None:
            raise ValueError(
                f"{data.name} holds no labels of its {data.what}: `pydarts predict` needs none"
            )
        with named(args, about=data.about):
            scores = model.evaluate(data.X, data.y)
        if data.part == "test":
            say(f"The {len(data.X):,} test images of {data.name}:\n")
        else:
            say(
                f"{data.name} has no test images: these are all {len(data.X):,} of its images.\n"
                "A model that was trained on some of them is judged too kindly.\n"
            )
        return scores, {"data": data.name, "part": data.part}

    @classmethod
    def predict(cls, args: argparse.Namespace, model: Model) -> list[list[Any]]:
        data = _read(args, model)
        with named(args, about=data.about):
            probabilities = model.predict_proba(data.X)
        codes = probabilities.argmax(axis=1)
        columns: dict[str, Any] = {"index": range(len(codes))}
        if data.y is not None:
            columns["label"] = data.y.tolist()
        columns["predicted"] = model.labels.decode(codes).tolist()
        columns["probability"] = _shown(probabilities.max(axis=1))
        if args.probabilities:
            for label, column in zip(model.classes, probabilities.T, strict=True):
                columns[f"probability of {label}"] = _shown(column)
        say(f"Predicted {len(codes):,} images: {data.what} of {data.name}")
        return [list(columns), *map(list, zip(*columns.values(), strict=True))]

    @classmethod
    def saved_data(cls, summary: dict[str, Any], args: argparse.Namespace) -> None:
        args.data = str(summary["data"])


class _Images(NamedTuple):
    """Images for a model, with their labels if they have some."""

    name: str
    about: str  # for errors
    part: str  # "test" or "all"
    what: str
    X: Any
    y: Any


def _read(args: argparse.Namespace, model: Model) -> _Images:
    """The test images of DATA, or all where there are none."""
    model.image_layout = args.image_layout or model.image_layout
    path = Path(args.data).expanduser()
    if path.suffix == ".npz" and path.is_file():  # which may lack labels
        name, arrays = str(path), read_npz(path, ("X",), ("y", "X_test", "y_test"))
    else:
        data = datasets.load(args.data)
        name, arrays = data.name, {"X": data.X_train, "y": data.y_train}
        if data.X_test is not None and data.y_test is not None:
            arrays |= {"X_test": data.X_test, "y_test": data.y_test}
    about, part, what, of = name, "all", "images", ""
    if "X_test" in arrays:
        about, part, what, of = f"{name} (test)", "test", "test images", "_test"
    X, y = arrays[f"X{of}"], arrays.get(f"y{of}")
    if y is not None:
        if y.ndim != 1:
            raise ValueError(f"{about}: y has shape {y.shape}, but must have one axis")
        with named(args, about=about):
            check_consistent(X, y)
    return _Images(name, about, part, what, X, y)


def _shown(probabilities: Any) -> list[str]:
    return [f"{p:.6g}" for p in probabilities]
