# SPDX-License-Identifier: MIT
"""Arguments that commands share: those of configurations and runs, and how errors name them."""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pydarts.common.errors import ArgumentError, CheckpointError
from pydarts.models.objectives import TASKS
from pydarts.training.config_base import Config

#: What may be an option in an error's text: `name`, `name`='value' or name='value'.
_PYTHON = re.compile(r"`(\w+)`(?:='(\w+)')?|\b(\w+)='(\w+)'")


@contextmanager
def named(
    args: argparse.Namespace, config: type[Config] | None = None, prefix: str = "", about: str = ""
) -> Iterator[None]:
    """Let errors name arguments as the command line does, and files where it is about them.

    Options of ``config`` have the prefix. What is no option of the command is of ``about``.
    """

    def spoken(text: str) -> str:
        return _PYTHON.sub(lambda found: _spoken(found, args, config, prefix), text)

    try:
        yield
    except ArgumentError as error:
        name = _flag(error.argument, args, config, prefix)
        if name is None:
            name = f"{about}: {error.argument}" if about else f"`{error.argument}`"
        raise ValueError(f"{name} {spoken(error.problem)}") from error
    except CheckpointError as error:
        raise CheckpointError(spoken(error.reason)) from error
    except ValueError as error:
        start = "" if about in str(error) else f"{about}: "
        raise ValueError(start + spoken(str(error))) from error


def _spoken(
    found: re.Match[str], args: argparse.Namespace, config: type[Config] | None, prefix: str
) -> str:
    """What `_PYTHON` found, as the command line has it if it is an option."""
    name, value = found[1] or found[3], found[2] or found[4]
    if (name, value) == ("resume", "never"):
        return "--force"
    flag = _flag(name, args, config, prefix)
    return found[0] if flag is None else f"{flag} {value}" if value else flag


def _flag(
    name: str, args: argparse.Namespace, config: type[Config] | None, prefix: str
) -> str | None:
    """The flag of an argument; None: the command has no such option."""
    if name == "genotype" and args.command == "fit":
        return "--genotype"
    if name in ("data", "genotype", "model"):  # what has no flag
        return name.upper()
    name = "out" if name == "checkpoint" else name
    dashed, given = name.replace("_", "-"), vars(args)
    known = {option.name for option in config.options()} if config is not None else set()
    if name in known or prefix.replace("-", "_") + name in given:
        return f"--{prefix}{dashed}"
    return f"--{dashed}" if name in given else None


def add_preset(
    group: Any,
    config: type[Config],
    flag: str = "--preset",
    default: str | None = "quick",
    shown: str = "quick",
) -> None:
    """The argument that chooses one of the presets of ``config``."""
    group.add_argument(
        flag,
        choices=tuple(config.presets),
        default=default,
        help=f"quick (minutes on two cores), standard, or the paper's own (default: {shown})",
    )


def add_options(
    group: Any,
    config: type[Config],
    dest: str,
    prefix: str = "",
    defaults: Mapping[str, str] | None = None,
    preset: str | None = None,
) -> None:
    """An argument for each option of ``config``; those that are given end up in `given`. Shown are
    the defaults of a preset, or of each of them.
    """
    presets = tuple(config.presets) if preset is None else (preset,)
    for option in config.options():
        kind, none = str(option.type), option.metadata["none"]
        number: Callable[[str], Any] = int if kind.startswith("int") else float
        settings: dict[str, Any] = {"type": number, "metavar": "N" if number is int else "X"}
        if kind == "bool":
            settings = {"action": argparse.BooleanOptionalAction}
        elif option.metadata["choices"]:
            choices = option.metadata["choices"]
            settings = {"type": type(choices[0]), "choices": choices}
        elif kind.startswith("tuple"):
            settings = {"type": float, "nargs": 2, "metavar": ("X", "Y")}
        elif none:
            settings["type"] = _number_or(number, none)
            settings["metavar"] += f"|{none}"
        default = (defaults or {}).get(option.name) or _default(config, option, presets)
        text = option.metadata["help"].replace("None", str(none))
        group.add_argument(
            f"--{prefix}{option.name.replace('_', '-')}",
            dest=f"{dest}.{option.name}",
            default=argparse.SUPPRESS,
            help=f"{text} ({default})".replace("%", "%%"),
            **settings,
        )


def given(args: argparse.Namespace, dest: str) -> dict[str, Any]:
    """The options of one configuration that the user gave, by name."""
    start = f"{dest}."
    return {k.removeprefix(start): v for k, v in vars(args).items() if k.startswith(start)}


def _number_or(number: Callable[[str], Any], none: str) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        try:
            return None if text == none else number(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor {none}") from None

    return convert


def _default(config: type[Config], option: dataclasses.Field[Any], presets: Collection[str]) -> str:
    def shown(value: Any) -> str:
        if value is None or isinstance(value, bool):
            return str({None: option.metadata["none"], True: "on", False: "off"}[value])
        if isinstance(value, str):
            return value
        return " ".join(f"{v:g}" for v in (value if isinstance(value, tuple) else (value,)))

    values = {p: shown(getattr(config.make(p), option.name)) for p in presets}
    if len(set(values.values())) == 1:
        return f"default: {next(iter(values.values()))}"
    return ", ".join(f"{preset} {value}" for preset, value in values.items())


def add_model(parser: argparse.ArgumentParser, name: str = "model", metavar: str = "MODEL") -> None:
    """The argument that says where a trained model is."""
    parser.add_argument(
        name,
        metavar=metavar,
        help="the --out of a search or training, or the folder model in it",
    )


def add_image_layout(parser: argparse.ArgumentParser, otherwise: str = "") -> None:
    """The option that tells where the channels of images are."""
    parser.add_argument(
        "--image-layout",
        choices=("NCHW", "NHWC"),
        help=f"where the channels are, of images whose shape does not tell{otherwise}",
    )


def add_targets(parser: argparse.ArgumentParser) -> None:
    """The options that tell what is learned of DATA."""
    parser.add_argument(
        "--task",
        choices=TASKS,
        help="whether y is one class of several, a matrix (N, labels) of 0 and 1, or numbers"
        " (default: multiclass)",
    )
    parser.add_argument(
        "--class-weight",
        choices=("balanced",),
        help="weigh rare classes more in the loss, and judge by the balanced accuracy",
    )
    parser.add_argument(
        "--loss", choices=("mse", "huber"), help="of --task regression (default: mse)"
    )
    parser.add_argument(
        "--huber-delta",
        type=float,
        metavar="D",
        help="from where --loss huber is linear, in standard deviations of y (default: 1)",
    )


def add_signals(parser: argparse.ArgumentParser) -> None:
    """The options that tell what is made of signals and sounds, and how they are split."""
    parser.add_argument(
        "--features",
        choices=("waveform", "log-mel"),
        help="what is made of sounds (default: log-mel, a spectrogram as an image; waveform in a"
        " one-dimensional space)",
    )
    parser.add_argument(
        "--length",
        type=int,
        metavar="N",
        help="samples to which sounds and signals are cut, or filled up with zeros (default: the"
        " longest's)",
    )
    parser.add_argument(
        "--groups",
        action=argparse.BooleanOptionalAction,
        help="keep each group of DATA, such as all that one person says, on one side of every split"
        " (default: where DATA has groups)",
    )


def add_splitting(parser: argparse.ArgumentParser) -> None:
    """The options that tell how DATA is split."""
    parser.add_argument(
        "--split",
        choices=("random", "time"),
        help="take the halves of a search, and what is held out to test on, at random, or as the"
        " later part of DATA, which is in the order of time (default: random)",
    )
    parser.add_argument(
        "--stratify",
        action=argparse.BooleanOptionalAction,
        help="give each class its share in parts that are taken at random (default: yes)",
    )
    parser.add_argument(
        "--valid",
        metavar="DATA",
        help="what the alphas learn on, and each training is validated on, of the same kind as DATA"
        " (default: the alphas learn on half of DATA, and trainings are not validated)",
    )


def add_files(parser: argparse.ArgumentParser, otherwise: str = "needed if they differ") -> None:
    """The options that tell how files of images are read."""
    parser.add_argument(
        "--image-size",
        metavar="N|HxW",
        help=f"height and width to which files of images are scaled ({otherwise})",
    )
    parser.add_argument(
        "--on-bad",
        choices=("raise", "skip"),
        help="whether files that cannot be read are an error that names them all, or are named and"
        " left out (default: raise)",
    )


def add_force(parser: argparse.ArgumentParser, what: str = "replace the file if it exists") -> None:
    """The option that replaces what exists."""
    parser.add_argument("--force", action="store_true", help=what)


def add_threads(parser: argparse.ArgumentParser) -> None:
    """The number of threads."""
    parser.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="threads to use; results do not depend on it (default: all)",
    )


def add_progress(parser: argparse.ArgumentParser, otherwise: str) -> None:
    """Whether to show a bar; ``otherwise`` is what is shown without one."""
    parser.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        help="show a bar on standard error, or nothing at all (default: a bar in a terminal, else"
        f" {otherwise})",
    )


def add_debug(parser: argparse.ArgumentParser) -> None:
    """Whether to show where an error comes from."""
    parser.add_argument("--debug", action="store_true", help="show where an error comes from")
