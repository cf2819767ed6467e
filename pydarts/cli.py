# SPDX-License-Identifier: MIT
"""The command ``pydarts``: search a cell, train a network from one, tell what it runs on.

Exit codes: 0 done, 1 failed, 2 unusable arguments or data, 130 interrupted. Results go to standard
output, progress and errors to standard error.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import platform
import re
import shlex
import shutil
import signal
import sys
import tempfile
import textwrap
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TextIO, TypeVar

import numpy as np

from pydarts import _core, datasets
from pydarts.config import Config, SearchConfig, TrainConfig
from pydarts.datasets import Dataset
from pydarts.engine import resolve_threads
from pydarts.genotype import PUBLISHED, Genotype
from pydarts.images import Labels, as_images
from pydarts.model import Model
from pydarts.search import Diverged, SearchResult, require_batch, search, write_history
from pydarts.train import train

DONE, FAILED, UNUSABLE, INTERRUPTED = 0, 1, 2, 130

_log = logging.getLogger("pydarts")
_Result = TypeVar("_Result", SearchResult, Model)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv``, by default the process's own, and return the exit code."""
    debug = False
    try:
        args, unknown = _parser().parse_known_args(argv)
        if unknown:  # not left to parse_args, which points at the help of the wrong parser
            args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
        debug = args.debug
        with _plain_lines(args.progress is None and not sys.stderr.isatty()):
            return int(args.run(args))
    except SystemExit as stop:  # of argparse, which has said why
        return int(stop.code or DONE)
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
    except (ValueError, TypeError, ImportError, FileNotFoundError, PermissionError) as error:
        _complain(error, debug)
        return UNUSABLE
    except (OSError, ArithmeticError, MemoryError, RuntimeError) as error:
        _complain(error, debug)
        return FAILED
    finally:
        for stream in (sys.stdout, sys.stderr):
            _write(stream, "")


def _search(args: argparse.Namespace) -> int:
    options, train_options = _given(args, "search"), _given(args, "train")
    train_options = {"seed": options.get("seed", 0), "preset": args.preset, **train_options}
    with _named_as_options():
        SearchConfig.make(args.preset, options)
    with _named_as_options("train-"):
        train_config = TrainConfig.make(**_split(train_options))
    run = _Run.prepare(args, train_config.batch_size if args.train else 0, "train-")

    def work() -> int:
        result, code = run.search({"preset": args.preset, **options})
        if code != DONE or not args.train:
            return code
        return run.train(result.genotype, train_options, "train-")

    return run.finish(work)


def _train(args: argparse.Namespace) -> int:
    options = {"preset": args.preset, **_given(args, "train")}
    with _named_as_options():
        config = TrainConfig.make(**_split(options))
    genotype = _read_genotype(args.genotype)
    run = _Run.prepare(args, config.batch_size)
    return run.finish(lambda: run.train(genotype, options))


def _info(args: argparse.Namespace) -> int:
    available = ", ".join(name for name, here in _core.instruction_sets() if here)
    rows = {
        "pydarts": _core.__version__,
        "instruction set": f"{_core.instruction_set()} (available: {available})",
        "threads": _core.default_threads(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}",
    }
    for name, value in rows.items():
        _say(f"{name:17}{value}")
    return DONE


@dataclass
class _Run:
    """The work on one data set: what was given, what came of it, what was saved of that."""

    args: argparse.Namespace
    out: Path | None
    data: Dataset
    common: dict[str, Any]  # options of both search and training
    record: dict[str, Any] = field(default_factory=dict)
    saved: list[str] = field(default_factory=list)

    @classmethod
    def prepare(cls, args: argparse.Namespace, batch_size: int, prefix: str = "") -> _Run:
        """Check all that can be checked before the work, which may take hours, begins."""
        with _named_as_options():
            threads = resolve_threads(args.threads)
        out = _claim(args.out, args.force)
        data = _load(args)
        with _named_as_options(prefix):
            require_batch(len(data.X_train), batch_size, "the training set")
        bar = sys.stderr.isatty() if args.progress is None else args.progress
        common = {"image_layout": args.image_layout, "threads": threads, "progress": bar}
        return cls(args, out, data, common)

    def search(self, options: Mapping[str, Any]) -> tuple[SearchResult, int]:
        """Search, show and save the cell."""
        _log.info("searching")
        with _named_as_options(), self._timing("search"):
            result, code = _outcome(
                "search",
                lambda: search(self.data.X_train, self.data.y_train, **options, **self.common),
            )
        took = _duration(self.record["search_seconds"])
        _say(f"Searched for {len(result.history)} of {result.config.epochs} epochs in {took}:\n")
        _say(_pretty(result.genotype) + "\n")
        if self.out is not None:
            with _uninterrupted():
                _remove_training(self.out)
                result.save(self.out)
            self.saved += ["genotype.json", "normal.svg", "reduce.svg"]
            self.saved += ["alphas.npz", "history.csv", "config.json"]
        return result, code

    def train(self, genotype: Genotype, options: Mapping[str, Any], prefix: str = "") -> int:
        """Train the network, save it, and try it on the test images."""
        _log.info("training")
        X, y, X_test, y_test = _arrays(self.data)
        with _named_as_options(prefix), self._timing("train"):
            model, code = _outcome(
                "training", lambda: train(genotype, X, y, **options, **self.common)
            )
        self.record["num_weights"] = model.num_weights
        if self.out is not None:
            with _uninterrupted():
                _remove_training(self.out)
                model.save(self.out / "model")
                write_history(self.out / "train_history.csv", model.history)
                json_text = genotype.to_json() + "\n"
                (self.out / "genotype.json").write_text(json_text, encoding="utf-8")
            self.saved += ["genotype.json", "model/", "train_history.csv"]
        took = _duration(self.record["train_seconds"])
        epochs = f"{len(model.history)} of {model.config.epochs} epochs"
        _say(f"Trained {model.num_weights:,} weights for {epochs} in {took}.")
        if code == DONE:
            self.record["accuracy"] = accuracy = model.score(X_test, y_test)
            unseen = f"{len(y_test):,} test images, which nothing was learned from"
            _say(f"Accuracy on {unseen}: {accuracy:.2%}")
        return code

    def finish(self, work: Callable[[], int]) -> int:
        """Do the work, say what was saved of it, and return the exit code."""
        try:
            code = work()
        except KeyboardInterrupt:
            code = INTERRUPTED
        if code == INTERRUPTED:
            _say("Interrupted.")
        if self.out is None:
            _say("Nothing was saved; --out DIR keeps the cell, its drawings and the model.")
        elif not self.saved:
            _say("Nothing was saved.")
        else:
            with _uninterrupted():
                self._write_summary(self.out, code)
            names = ", ".join(dict.fromkeys([*self.saved, "summary.json"]))
            _say(textwrap.fill(f"Saved in {self.out}: {names}", 79, subsequent_indent="  "))
            if "model/" in self.saved:
                _say(f"To use it in Python: pydarts.Model.load({str(self.out / 'model')!r})")
            else:
                command = ["pydarts", "train", str(self.out), self.args.data]
                _say(f"To train it: {shlex.join(command)}")
        return code

    def _write_summary(self, out: Path, code: int) -> None:
        states = {DONE: "finished", FAILED: "diverged", INTERRUPTED: "interrupted"}
        summary = {
            "state": states[code],
            "accuracy": None,
            **self.record,
            "data": self.data.name,
            "train_images": len(self.data.X_train),
            "test_images": len(_arrays(self.data)[2]),
            "threads": self.common["threads"],
            "instruction_set": _core.instruction_set(),
            "pydarts": _core.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
        }
        text = json.dumps(summary, indent=2)
        (out / "summary.json").write_text(text + "\n", encoding="utf-8")

    @contextmanager
    def _timing(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.record[f"{name}_seconds"] = round(time.perf_counter() - start, 2)


def _outcome(name: str, run: Callable[[], _Result]) -> tuple[_Result, int]:
    """What came of a run and its exit code: one that was cut short has a result as well."""
    try:
        result = run()
    except Diverged as error:
        _complain(f"{name} stopped at {error}")
        kept: _Result = error.result
        return kept, FAILED
    return result, INTERRUPTED if result.interrupted else DONE


# Input and output folder


def _load(args: argparse.Namespace) -> Dataset:
    """The data, with a test set, once nothing in it can surprise later."""
    data = datasets.load(args.data)
    held_out = data.X_test is None
    with _named_as_options(about=f"{data.name}: "):
        if held_out:
            parts = datasets.hold_out(data.X_train, data.y_train)
            data = Dataset(data.name, *parts, data.description)
        X, y, X_test, y_test = _arrays(data)
        images = as_images(X, image_layout=args.image_layout)
        labels = Labels.fit(y)
        if args.out is not None:
            labels.to_json()
    with _named_as_options(about=f"{data.name} (test): "):
        as_images(X_test, image_layout=args.image_layout)
        labels.encode(y_test)
    channels, height, width = images.shape[1:]
    kind = {1: "grey ", 3: "colour "}.get(channels, f"{channels}-channel ")
    _say(
        f"{data.name}: {len(labels)} classes of {kind}{height}x{width} images,"
        f" {len(X):,} to learn from and {len(X_test):,} to test on"
    )
    if held_out:
        _say("There is no test set: a fifth of each class is held out as one.")
    return data


def _arrays(data: Dataset) -> tuple[Any, Any, Any, Any]:
    return data.X_train, data.y_train, data.X_test, data.y_test


def _read_genotype(text: str) -> Genotype:
    """A published cell's name, a search's folder, a file, or the literature's form itself."""
    if text in PUBLISHED:
        return PUBLISHED[text]
    if "Genotype" in text and "(" in text:
        return Genotype.parse(text)
    path = Path(text)
    if path.is_dir():
        path /= "genotype.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"no genotype {text!r}: give {', '.join(PUBLISHED)}, the folder of a search, a file,"
            " or 'Genotype(normal=...)' itself"
        )
    try:
        with path.open(encoding="utf-8") as file:
            content = file.read(1 << 17)  # more than the parsers take
        if content.lstrip().startswith("{"):
            return Genotype.from_json(content)
        return Genotype.parse(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _claim(folder: str | None, force: bool) -> Path | None:
    """Make the output folder, having seen that it is free and can be written to."""
    if folder is None:
        return None
    out = Path(folder)
    try:
        if out.is_dir() and any(out.iterdir()) and not force:
            raise ValueError(f"--out (={folder}) is not empty; --force replaces what is there")
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ValueError(f"--out (={folder}) cannot be written to: {error.strerror}") from error
    return out


def _remove_training(out: Path) -> None:
    """Remove what an earlier training left: it would pass for this one's."""
    for name in ("model/model.json", "model/model.safetensors", "train_history.csv"):
        (out / name).unlink(missing_ok=True)
    (out / "summary.json").unlink(missing_ok=True)


@contextmanager
def _uninterrupted() -> Iterator[None]:
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


# Messages


class _PlainLines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _write(sys.stderr, record.getMessage() + "\n")


@contextmanager
def _plain_lines(wanted: bool) -> Iterator[None]:
    """Where no terminal shows a bar, a line an epoch."""
    if not wanted:
        yield
        return
    handler, level = _PlainLines(), _log.level
    _log.addHandler(handler)
    _log.setLevel(logging.INFO)
    try:
        yield
    finally:
        _log.removeHandler(handler)
        _log.setLevel(level)


def _say(text: str) -> None:
    _write(sys.stdout, text + "\n")


def _complain(problem: object, debug: bool = False) -> None:
    if debug:
        traceback.print_exc()
    text = " ".join(str(problem).split()) or type(problem).__name__
    _write(sys.stderr, f"pydarts: error: {text}\n")


def _write(stream: TextIO, text: str) -> None:
    encoding = stream.encoding or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except BrokenPipeError:  # `| head` has seen enough; the work goes on
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _pretty(genotype: Genotype) -> str:
    """The literature's form, a node a line."""
    text = "Genotype("
    for name in ("normal", "reduce"):
        cell = getattr(genotype, name)
        nodes = [f"        {cell[i]}, {cell[i + 1]}," for i in range(0, len(cell), 2)]
        concat = list(getattr(genotype, f"{name}_concat"))
        text += "\n".join([f"\n    {name}=[", *nodes, "    ],", f"    {name}_concat={concat},"])
    return text + "\n)"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


# Arguments


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(UNUSABLE, f"pydarts: error: {message} (see {self.prog} --help)\n")


def _formatter(prog: str) -> argparse.HelpFormatter:
    width = min(80, shutil.get_terminal_size().columns) - 2
    return argparse.HelpFormatter(prog, max_help_position=28, width=width)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="pydarts",
        description="Differentiable architecture search (DARTS) on multicore CPUs.",
        formatter_class=_formatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"pydarts {_core.__version__}")
    parser.set_defaults(debug=False, progress=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")

    def command(
        name: str, run: Callable[[argparse.Namespace], int], usage: str, help: str, more: str = ""
    ) -> _Parser:
        sub = commands.add_parser(
            name,
            usage=f"pydarts {name}{usage}",
            help=help,
            description=f"{help[0].upper()}{help[1:]}. {more}",
            formatter_class=_formatter,
            allow_abbrev=False,
        )
        sub.set_defaults(run=run, parser=sub)
        return sub

    sub = command(
        "search",
        _search,
        " DATA [--out DIR] [--preset NAME] [option ...]",
        "find a cell for a set of images and train a network from it",
        "The network is then tried on images that neither search nor training saw.",
    )
    _add_common(sub)
    group = sub.add_argument_group("search")
    _add_preset(group, "--preset", "quick")
    _add_options(group, SearchConfig, "search")
    group = sub.add_argument_group("final training")
    group.add_argument(
        "--no-train", dest="train", action="store_false", help="stop when the cell is found"
    )
    _add_preset(group, "--train-preset", argparse.SUPPRESS, "as --preset", "train.preset")
    _add_options(group, TrainConfig, "train", "train-", {"seed": "as --seed"})

    sub = command(
        "train",
        _train,
        " GENOTYPE DATA [--out DIR] [--preset NAME] [option ...]",
        "train the network that a genotype stands for",
        "It is then tried on images that it was not trained on.",
    )
    sub.add_argument(
        "genotype",
        metavar="GENOTYPE",
        help=f"{', '.join(PUBLISHED)}, the folder of a search, a file with a genotype as JSON or in"
        " the literature's form, or 'Genotype(normal=...)' itself",
    )
    _add_common(sub)
    group = sub.add_argument_group("training")
    _add_preset(group, "--preset", "quick")
    _add_options(group, TrainConfig, "train")

    command("info", _info, "", "show version, instruction set and threads")
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data",
        metavar="DATA",
        help="digits, fashion-mnist, a folder of IDX files or of CIFAR-10 binary batches, or an"
        " .npz file with X and y (and X_test and y_test)",
    )
    parser.add_argument("--out", metavar="DIR", help="folder for all results, new or empty")
    parser.add_argument("--force", action="store_true", help="replace results in --out")
    parser.add_argument(
        "--image-layout", choices=("NCHW", "NHWC"), help="where the shape does not tell it"
    )
    parser.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="threads to use; results do not depend on it (default: all)",
    )
    parser.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        help="show a bar on standard error, or nothing at all (default: a bar in a terminal, else a"
        " line an epoch)",
    )
    parser.add_argument("--debug", action="store_true", help="show where an error comes from")


def _add_preset(
    group: Any, flag: str, default: str, shown: str | None = None, dest: str | None = None
) -> None:
    group.add_argument(
        flag,
        dest=dest or "preset",
        choices=tuple(SearchConfig.presets),
        default=default,
        help="quick (minutes on two cores), standard, or the paper's own (default:"
        f" {shown or default})",
    )


def _add_options(
    group: Any,
    config: type[Config],
    dest: str,
    prefix: str = "",
    defaults: Mapping[str, str] | None = None,
) -> None:
    """An argument for each option of `config`; those that are given end up in `_given`."""
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
            settings = {"type": _number_or(number, none), "metavar": f"N|{none}"}
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


def _given(args: argparse.Namespace, dest: str) -> dict[str, Any]:
    """The options of one configuration that the user gave, by name."""
    start = f"{dest}."
    return {k.removeprefix(start): v for k, v in vars(args).items() if k.startswith(start)}


def _split(options: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `Config.make`: the preset, and what takes the place of its values."""
    return {
        "preset": options["preset"],
        "overrides": {k: v for k, v in options.items() if k != "preset"},
    }


_NAMES = {option.name for kind in (SearchConfig, TrainConfig) for option in kind.options()}
_NAMES |= {"image_layout", "threads"}


@contextmanager
def _named_as_options(prefix: str = "", about: str = "") -> Iterator[None]:
    """Let errors name `batch_size` as the command line does: --batch-size."""

    def flag(match: re.Match[str]) -> str:
        name = match[1]
        return f"--{prefix}{name.replace('_', '-')}" if name in _NAMES else match[0]

    try:
        yield
    except (ValueError, TypeError) as error:
        raise ValueError(about + re.sub(r"`(\w+)`", flag, str(error))) from error
