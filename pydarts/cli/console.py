# SPDX-License-Identifier: MIT
"""What the command line's parts share: messages, arguments, options of configurations, folders.

Results go to standard output, progress and errors to standard error.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TextIO

from pydarts.training.config import (
    Config,
    SearchConfig,
    TextSearchConfig,
    TextTrainConfig,
    TrainConfig,
)

DONE, FAILED, UNUSABLE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes."""

log = logging.getLogger("pydarts")

# Messages


class _PlainLines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        write(sys.stderr, record.getMessage() + "\n")


@contextmanager
def plain_lines(wanted: bool) -> Iterator[None]:
    """Where no terminal shows a bar, a line an epoch."""
    if not wanted:
        yield
        return
    handler, level = _PlainLines(), log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def say(text: str) -> None:
    """Write lines to standard output."""
    write(sys.stdout, text + "\n")


def complain(problem: object, debug: bool = False) -> None:
    """Write a problem to standard error, as one line."""
    if debug:
        traceback.print_exc()
    text = " ".join(str(problem).split()) or type(problem).__name__
    write(sys.stderr, f"pydarts: error: {text}\n")


def note(text: str) -> None:
    """Write to standard error what is no problem, but should be known."""
    write(sys.stderr, f"pydarts: note: {text}\n")


def write(stream: TextIO, text: str) -> None:
    """Write what the stream's encoding allows of a text, and the rest as escapes."""
    encoding = stream.encoding or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except BrokenPipeError:  # `| head` has seen enough; the work goes on
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


# Output folder


def claim(folder: str | None, force: bool, resumable: str | None = None) -> Path | None:
    """Make the output folder, having seen that it is free and can be written to.

    A file `resumable` in it is what a command goes on with that was interrupted.
    """
    if folder is None:
        if resumable is not None:
            raise ValueError("--resume needs --out, the folder of the command that was interrupted")
        return None
    out = Path(folder)
    try:
        used = out.is_dir() and any(out.iterdir())
        if used and resumable is not None and not (out / resumable).is_file():
            raise ValueError(f"--out (={folder}) holds no {resumable} to --resume from")
        if used and resumable is None and not force:
            raise ValueError(f"--out (={folder}) is not empty; --force replaces what is there")
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ValueError(f"--out (={folder}) cannot be written to: {error.strerror}") from error
    return out


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until the files are whole."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


# Arguments


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(UNUSABLE, f"pydarts: error: {message} (see {self.prog} --help)\n")


def formatter(prog: str) -> argparse.HelpFormatter:
    """Help of at most 80 columns."""
    width = min(80, shutil.get_terminal_size().columns) - 2
    return argparse.HelpFormatter(prog, max_help_position=28, width=width)


def add_preset(
    group: Any,
    config: type[Config],
    flag: str = "--preset",
    default: str = "quick",
    shown: str | None = None,
    dest: str = "preset",
) -> None:
    """The argument that chooses one of the presets of `config`."""
    group.add_argument(
        flag,
        dest=dest,
        choices=tuple(config.presets),
        default=default,
        help="quick (minutes on two cores), standard, or the paper's own (default:"
        f" {shown or default})",
    )


def add_options(
    group: Any,
    config: type[Config],
    dest: str,
    prefix: str = "",
    defaults: Mapping[str, str] | None = None,
) -> None:
    """An argument for each option of `config`; those that are given end up in `given`."""
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
        default = (defaults or {}).get(option.name) or _default(config, option)
        text = option.metadata["help"].replace("None", str(none))
        group.add_argument(
            f"--{prefix}{option.name.replace('_', '-')}",
            dest=f"{dest}.{option.name}",
            default=argparse.SUPPRESS,
            help=f"{text} ({default})".replace("%", "%%"),
            **settings,
        )


def _number_or(number: Callable[[str], Any], none: str) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        try:
            return None if text == none else number(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor {none}") from None

    return convert


def _default(config: type[Config], option: dataclasses.Field[Any]) -> str:
    def shown(value: Any) -> str:
        if value is None or isinstance(value, bool):
            return str({None: option.metadata["none"], True: "on", False: "off"}[value])
        if isinstance(value, str):
            return value
        return " ".join(f"{v:g}" for v in (value if isinstance(value, tuple) else (value,)))

    values = {p: shown(getattr(config.make(p, {}), option.name)) for p in config.presets}
    if len(set(values.values())) == 1:
        return f"default: {values['paper']}"
    return ", ".join(f"{preset} {value}" for preset, value in values.items())


def given(args: argparse.Namespace, dest: str) -> dict[str, Any]:
    """The options of one configuration that the user gave, by name."""
    start = f"{dest}."
    return {k.removeprefix(start): v for k, v in vars(args).items() if k.startswith(start)}


def split(options: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `Config.make`: the preset, and what takes the place of its values."""
    return {
        "preset": options["preset"],
        "overrides": {k: v for k, v in options.items() if k != "preset"},
    }


_NAMES = {
    option.name
    for kind in (SearchConfig, TrainConfig, TextSearchConfig, TextTrainConfig)
    for option in kind.options()
}
_NAMES |= {"image_layout", "threads", "max_vocab", "prompt", "length", "temperature"}
_NAMES |= {"checkpoint_seconds", "time_budget", "memory_budget"}


@contextmanager
def named_as_options(prefix: str = "", about: str = "") -> Iterator[None]:
    """Let errors name `batch_size` as the command line does: --batch-size."""

    def flag(match: re.Match[str]) -> str:
        name = match[1]
        return f"--{prefix}{name.replace('_', '-')}" if name in _NAMES else match[0]

    try:
        yield
    except (ValueError, TypeError) as error:
        raise ValueError(about + re.sub(r"`(\w+)`", flag, str(error))) from error
