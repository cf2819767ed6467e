# SPDX-License-Identifier: MIT
"""Images, signals and sounds on the command line: DATA, and what is said of their models."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pydarts.api.image_data import HELD_OUT
from pydarts.api.limits import Limits
from pydarts.cli.arguments import (
    add_files,
    add_image_layout,
    add_signals,
    add_splitting,
    add_targets,
    named,
)
from pydarts.cli.base import Kind
from pydarts.cli.console import say
from pydarts.common.errors import ArgumentError
from pydarts.costs.budget import COSTS, Budget
from pydarts.data import datasets
from pydarts.data.datasets import Dataset
from pydarts.data.duplicates import shared_note
from pydarts.data.images import check_consistent
from pydarts.data.lazy import take
from pydarts.data.npz import read_npz
from pydarts.data.preprocessing import NO_PREPROCESSING, Preprocessing
from pydarts.data.wav import read_wav_folder
from pydarts.methods.method import Method
from pydarts.methods.named import Selector
from pydarts.models.image_model import Model
from pydarts.spaces.ready import as_space
from pydarts.spaces.space import READY, Space
from pydarts.tasks.images import ImageClassification
from pydarts.training.run_options import RunOptions

#: Options that say what is learned of DATA, and how it is read and split: for the command that goes
#: on, and for a run's summary.
_DATA: Mapping[str, type] = {
    "task": str,
    "class_weight": str,
    "loss": str,
    "huber_delta": float,
    "image_layout": str,
    "features": str,
    "length": int,
    "groups": bool,
    "split": str,
    "stratify": bool,
    "valid": str,
    "image_size": str,
    "on_bad": str,
}


class ImageKind(Kind):
    """Images to classify."""

    task_type = ImageClassification
    model_type = Model
    search_command, train_command = "search", "train"
    measures = ("accuracy",)
    onnx_inputs = "images (N, C, H, W) as float32"

    task: ImageClassification

    @classmethod
    def add_data(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "data",
            metavar="DATA",
            help="digits, fashion-mnist, a folder of IDX files, of CIFAR-10 binary batches, of"
            " .wav files, of images in folders named by their labels, of X.npy and y.npy, or of"
            " NAME_TRAIN.ts; a .csv file with path and label; an .npz file with X and y (and X_test"
            " and y_test, groups, rate); or aeon:NAME",
        )
        add_image_layout(parser)
        add_targets(parser)
        add_signals(parser)
        add_splitting(parser)
        add_files(parser)

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
    def add_limits(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("limits on what the network that is trained costs")
        helps = {
            "latency": ("TIME", "time for one image on this processor, such as 0.5ms or 200us"),
            "macs": ("N", "multiply-adds, such as 5M"),
            "weights": ("N", "weights, such as 50k"),
            "memory": ("SIZE", "peak of the activations of one image, such as 64KiB"),
        }
        for name, (metavar, text) in helps.items():
            group.add_argument(f"--max-{name}", type=plain_or_unit, metavar=metavar, help=text)
        group.add_argument(
            "--latency-threads",
            type=int,
            default=1,
            metavar="N",
            help="threads of the network whose latency is limited (default: 1)",
        )
        group.add_argument(
            "--profile",
            metavar="FILE",
            help="what pydarts profile wrote of a network of these sizes (default: measured)",
        )

    def budget(
        self, train_config: Any, pair: tuple[Method, Selector | None], run: RunOptions
    ) -> Budget | None:
        return self.limits(train_config).budget(self.task, *pair, train_config.preset, run)

    def limits(self, target: Any = None) -> Limits:
        args = self.args
        maxima = {f"max_{name}": getattr(args, f"max_{name}") for name in COSTS}
        how = {"profile": args.profile, "latency_threads": args.latency_threads}
        return Limits(**maxima, target=target, **how)

    @classmethod
    def load(cls, args: argparse.Namespace, threads: int | None, space: Space) -> ImageKind:
        with named(args):
            size, on_bad = _image_size(args), args.on_bad or "raise"
            data = datasets.read(args.data, args.length, size, on_bad)
            sources = [source for source in (args.data, args.valid) if source is not None]
            datasets.check_of_use(sources, size, on_bad)
        for left_out in data.notes:
            say(left_out)
        by_time = args.groups is None and args.split == "time"  # and nobody asked for groups
        groups = None if args.groups is False or by_time else data.groups
        with named(args, about=data.name):
            if args.groups and groups is None:
                raise ArgumentError("groups", f"needs groups, but {data.name} has none")
            test = None
            if data.X_test is not None and data.y_test is not None:
                test = data.X_test, data.y_test
            preprocessing = _preprocessing(args, data, space.dimensions)
            valid = None if args.valid is None else _valid(args, data, preprocessing, test is None)
            task = ImageClassification(
                data.X_train,
                data.y_train,
                args.image_layout,
                groups=groups,
                preprocessing=preprocessing,
                valid=valid,
                test=test,
                space=space,
                threads=threads,
                objective=args.task or "multiclass",
                class_weight=args.class_weight,
                loss=args.loss,
                huber_delta=1.0 if args.huber_delta is None else args.huber_delta,
                split=args.split or "random",
                stratify=args.stratify,
            )
            if test is None:
                task = task.hold_out(HELD_OUT, np.random.default_rng(0))
            if getattr(args, "out", None) is not None:
                task.objective.description()
        assert task.test is not None
        say(
            f"{data.name}: {_told(task)} of {_described(task)},"
            f" {len(task.images):,} to learn from and {len(task.test[0]):,} to test on"
        )
        if task.valid is not None:
            say(f"{args.valid}: {len(task.valid[0]):,} to validate on")
        if test is None and task.groups is not None and groups is not None:
            names = list(dict.fromkeys(groups.tolist()))  # which the task numbers in this order
            kept = set(task.groups.tolist())
            held = [str(name) for code, name in enumerate(names) if code not in kept]
            shown = ", ".join(held) if len(held) <= 10 else f"{len(held)} groups"
            say(f"There is no test set: held out as one is what is of {shown}.")
        elif test is None and args.split == "time":
            say("There is no test set: the last fifth is held out as one.")
        elif test is None:
            shares = task.objective.task == "multiclass" and args.stratify is not False
            of = " of each class" if shares else ""
            say(f"There is no test set: a fifth{of} is held out as one.")
        note = shared_note(task.images, task.test[0], "the test set", "what is learned from")
        if note is not None:
            say(note[0].upper() + note[1:])
        kind = cls(args, data.name, task)
        kind.measures = (task.metric.key,)
        return kind

    def announce(self, config: Any) -> None:
        if config.stem == "auto" and self.task.complete(config).stem == "imagenet":
            say("The network begins with the stem for ImageNet, for size: --stem cifar does not.")

    def data_arguments(self) -> list[str]:
        given = [self.args.data]
        for name, kind in _DATA.items():
            value, option = getattr(self.args, name), name.replace("_", "-")
            if kind is bool:
                given += [f"--no-{option}"] if value is False else []
            elif value is not None:
                given += [f"--{option}", str(value)]
        return given

    def describe(self) -> dict[str, Any]:
        assert self.task.test is not None
        sizes = {"train_images": len(self.task.images), "test_images": len(self.task.test[0])}
        of_all = {name: getattr(self.args, name) for name in _DATA}
        given = {name: value for name, value in of_all.items() if value is not None}
        return {"data": self.name, **given, **sizes}

    def test(self, model: Model) -> dict[str, Any]:
        assert self.task.test is not None
        score, count, metric = self.task.score(model), len(self.task.test[0]), self.task.metric
        shown = f"{score:.2%}" if metric.suffix == " %" else metric.show(score)
        what = "Mean average precision" if metric.key == "average_precision" else metric.name
        what = what[0].upper() + what[1:]
        say(f"{what} on {count:,} test images, which nothing was learned from: {shown}")
        return {metric.key: score}

    def uses(self, out: Path) -> list[str]:
        return [f"To use it in Python: pydarts.Model.load({str(out / 'model')!r})"]

    @classmethod
    def exported_inputs(cls, model: Model) -> str:
        made = model.preprocessing != NO_PREPROCESSING
        return cls.onnx_inputs + (", as `model.preprocessing.apply` makes them," if made else "")

    @classmethod
    def c_options(cls, args: argparse.Namespace, model: Model) -> dict[str, Any]:
        if not args.int8:
            return {}
        size, (height, width) = None, model.image_size
        if datasets.picture_source(args.calibrate) is not None:
            size = height, width
        length, colour = model.preprocessing.length, model.network.in_channels == 3
        data = datasets.read(args.calibrate, length, size, colour=colour)
        for left_out in data.notes:
            say(left_out)
        _check_rate(data.name, data.rate, args.model, model)
        options: dict[str, Any] = {
            "int8": True,
            "calibration": _spread(data.X_train, data.y_train, 500),
        }
        if data.X_test is None or data.y_test is None:
            say(f"{data.name} has no test images: what is lost is measured on those to learn from.")
        else:
            options["test"] = _spread(data.X_test, data.y_test, 2000)
        return options

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
            found = model.predict(data.X) if model.task == "regression" else None
            probabilities = None if found is not None else model.predict_proba(data.X)
        count = len(data.X)
        columns: dict[str, Any] = {"index": range(count)}
        if data.files is not None:
            columns["file"] = data.files
        if data.y is not None and data.y.ndim == 1:
            columns["label"] = data.y.tolist()
        elif data.y is not None:
            for name, column in zip(model.classes, data.y.T, strict=True):
                columns[f"label {name}"] = column.tolist()
        if probabilities is None or model.task == "multilabel":
            chosen = found if probabilities is None else (probabilities > 0.5).astype(np.int64)
            assert chosen is not None
            if chosen.ndim == 1:
                columns["predicted"] = chosen.tolist()
            else:
                for name, column in zip(model.classes, chosen.T, strict=True):
                    columns[f"predicted {name}"] = column.tolist()
        else:
            codes = probabilities.argmax(axis=1)
            columns["predicted"] = model.labels.decode(codes).tolist()
            columns["probability"] = _shown(probabilities.max(axis=1))
        if args.probabilities and probabilities is not None:
            for label, column in zip(model.classes, probabilities.T, strict=True):
                columns[f"probability of {label}"] = _shown(column)
        say(f"Predicted {count:,} image{'s' if count != 1 else ''}: {data.what} of {data.name}")
        return [list(columns), *map(list, zip(*columns.values(), strict=True))]

    @classmethod
    def saved_data(cls, summary: dict[str, Any], args: argparse.Namespace) -> None:
        args.data = str(summary["data"])
        for name, kind in _DATA.items():
            if getattr(args, name) is None and name in summary:
                if type(summary[name]) is not kind:
                    raise ValueError(f"{name} holds {summary[name]!r}")
                setattr(args, name, summary[name])


class _Images(NamedTuple):
    """Images for a model, with their labels if they have some."""

    name: str
    about: str  # for errors
    part: str  # "test" or "all"
    what: str
    X: Any
    y: Any
    files: tuple[str, ...] | None  # names of those that are files


def _read(args: argparse.Namespace, model: Model) -> _Images:
    """The test images of DATA, or all where there are none."""
    model.image_layout = args.image_layout or model.image_layout
    path, sounds = Path(args.data).expanduser(), datasets.sound_folder(args.data)
    pictures = datasets.picture_source(args.data)
    rate, files = None, None
    arrays: dict[str, Any]
    if path.suffix == ".npz" and path.is_file():  # which may lack labels
        name, arrays = str(path), read_npz(path, ("X",), ("y", "X_test", "y_test", "rate"))
        rate = datasets.npz_rate(path, arrays)
    elif sounds is not None:  # and so may these
        length, on_bad = model.preprocessing.length, args.on_bad or "raise"
        name, read = str(sounds), read_wav_folder(sounds, length, on_bad)
        for note in read.notes:
            say(note)
        rate, files, arrays = read.rate, read.names, {"X": read.X}
        if read.y is not None:
            arrays["y"] = read.y
    elif pictures is not None:
        height, width = _image_size(args) or model.image_size
        size, colour = (height, width), model.network.in_channels == 3
        found = datasets.read_pictures(pictures, size, args.on_bad or "raise", colour=colour)
        for note in found.notes:
            say(note)
        name, part_of = str(pictures), found.test if found.test.any() else ~found.test
        key = "_test" if found.test.any() else ""
        chosen = np.flatnonzero(part_of)
        arrays = {"X": found.X, f"X{key}": take(found.X, chosen)}
        files = tuple(found.names[index] for index in chosen)
        if found.y is not None:
            arrays[f"y{key}"] = found.y[chosen]
    else:
        data = datasets.load(args.data)
        name, rate, arrays = data.name, data.rate, {"X": data.X_train, "y": data.y_train}
        if data.X_test is not None and data.y_test is not None:
            arrays |= {"X_test": data.X_test, "y_test": data.y_test}
    datasets.check_of_use([args.data], _image_size(args), args.on_bad or "raise")
    _check_rate(name, rate, args.model, model)
    about, part, what, of = name, "all", "images", ""
    if "X_test" in arrays:
        about, part, what, of = f"{name} (test)", "test", "test images", "_test"
    X, y = arrays[f"X{of}"], arrays.get(f"y{of}")
    if y is not None:
        if y.ndim != 1 and (model.task == "multiclass" or y.shape[1:] != (len(model.classes),)):
            wanted = "one axis" if model.task == "multiclass" else f"{len(model.classes)} columns"
            raise ValueError(f"{about}: y has shape {y.shape}, but must have {wanted}")
        with named(args, about=about):
            check_consistent(X, y)
    return _Images(name, about, part, what, X, y, files)


def _check_rate(name: str, rate: int | None, folder: str, model: Model) -> None:
    trained = model.preprocessing.rate
    if rate is not None and trained is not None and rate != trained:
        raise ValueError(
            f"{name} has {rate:,} samples a second, but {folder} was trained on {trained:,}"
        )


def _spread(X: Any, y: Any, count: int) -> tuple[Any, Any]:
    """At most so many images and their labels, from all over the data."""
    index = np.unique(np.linspace(0, len(X) - 1, min(count, len(X))).round().astype(int))
    return X[index], y[index]


def _image_size(args: argparse.Namespace) -> tuple[int, int] | None:
    """Height and width from ``48x64``, or from one number for both."""
    if args.image_size is None:
        return None
    parts = args.image_size.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() for part in parts):
        problem = f"(={args.image_size!r}) must be one number, or height and width, such as 48x64"
        raise ArgumentError("image_size", problem)
    return int(parts[0]), int(parts[-1])


def _preprocessing(args: argparse.Namespace, data: Dataset, dimensions: int) -> Preprocessing:
    """What is made of sounds, which are data with a rate, and of signals."""
    if data.rate is None:
        if args.features == "log-mel":
            problem = "(='log-mel') needs samples a second: an .npz file holds them as `rate`"
            raise ArgumentError("features", problem)
        if args.length is not None and dimensions == 2:
            raise ArgumentError("length", f"(={args.length}) is for sounds and signals")
        return Preprocessing(length=args.length)
    features = args.features or ("log-mel" if dimensions == 2 else "waveform")
    length = args.length or data.X_train.shape[-1]
    if features == "waveform":
        return Preprocessing("none", data.rate, length)
    # Of the loudness and the recording of a sound little is left.
    return Preprocessing("log_mel", data.rate, length, top_db=35.0, standardize=True)


def _valid(
    args: argparse.Namespace, data: Dataset, preprocessing: Preprocessing, held_out: bool
) -> tuple[Any, Any]:
    """What --valid names, of which DATA tells how it is read."""
    if not held_out:
        for name in ("split", "stratify"):
            if getattr(args, name) is not None:
                problem = "has no use with --valid where DATA has a test set: nothing is split"
                raise ArgumentError(name, problem)
    size, pictures = _image_size(args), datasets.picture_source(args.data) is not None
    if size is None and pictures:
        height, width = data.X_train.shape[-2:]
        size = height, width
    colour = pictures and data.X_train.shape[1] == 3
    found = datasets.read(args.valid, args.length, size, args.on_bad or "raise", colour=colour)
    for left_out in found.notes:
        say(left_out)
    if found.rate != preprocessing.rate:
        rates = [f"{rate or 'no'} samples a second" for rate in (found.rate, preprocessing.rate)]
        raise ArgumentError("valid", f"(={args.valid!r}) has {rates[0]}, and DATA {rates[1]}")
    return found.X_train, found.y_train


def _told(task: ImageClassification) -> str:
    count = task.objective.outputs
    kinds = {"multiclass": "classes", "multilabel": "labels", "regression": "numbers"}
    kind = kinds[task.objective.task]
    return f"{count} {kind[:-1] if count == 1 else kind}"


def plain_or_unit(text: str) -> float | str:
    """A limit: a plain number, or one with a unit."""
    try:
        return float(text)
    except ValueError:
        return text


def _described(task: ImageClassification) -> str:
    channels, height, width = task.images.shape[1:]
    spectrograms = task.preprocessing.kind == "log_mel"
    if task.space.dimensions == 1:
        of = f"{channels} channel{'s' if channels > 1 else ''} and {width:,} "
        return f"signals of {of}{'frames, log-mel spectrograms' if spectrograms else 'samples'}"
    if spectrograms:
        return f"{height}x{width} log-mel spectrograms"
    colours = {1: "grey ", 3: "colour "}.get(channels, f"{channels}-channel ")
    return f"{colours}{height}x{width} images"


def _shown(probabilities: Any) -> list[str]:
    return [f"{p:.6g}" for p in probabilities]
