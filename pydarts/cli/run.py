# SPDX-License-Identifier: MIT
"""The course of the commands that search and train, whatever it is that a network learns from."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import sys
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

from pydarts.api.searching import SearchResult
from pydarts.api.searching_text import TextSearchResult
from pydarts.cli.console import (
    DONE,
    FAILED,
    INTERRUPTED,
    add_options,
    add_preset,
    claim,
    complain,
    given,
    log,
    named_as_options,
    say,
    split,
    uninterrupted,
)
from pydarts.common.environment import environment
from pydarts.engine.network import resolve_threads
from pydarts.evaluation.comparison import COMPARISON
from pydarts.models.image_classifier import Model
from pydarts.models.language_model import LanguageModel
from pydarts.spaces.darts import Genotype
from pydarts.spaces.published import PUBLISHED, PUBLISHED_RECURRENT
from pydarts.spaces.recurrent import RecurrentGenotype
from pydarts.training.budget import Estimate, duration
from pydarts.training.config import Config
from pydarts.training.loop import CHECKPOINT, TRAIN_CHECKPOINT, Diverged
from pydarts.training.result import write_history

_Cell = TypeVar("_Cell", bound=Genotype | RecurrentGenotype)
_Result = TypeVar("_Result", SearchResult | TextSearchResult, Model | LanguageModel)


class _Kind(NamedTuple):
    """A kind of genotype, and the command that trains one."""

    name: str
    published: Mapping[str, Any]
    first: str  # field
    command: str


_KINDS: Mapping[type[Any], _Kind] = {
    Genotype: _Kind("convolutional", PUBLISHED, "normal", "train"),
    RecurrentGenotype: _Kind("recurrent", PUBLISHED_RECURRENT, "recurrent", "train-text"),
}


@dataclass
class Run(ABC):
    """The work on one set of data: what was given, what came of it, what was saved of that."""

    args: argparse.Namespace
    out: Path | None
    data: Any
    common: dict[str, Any]  # options of both search and training, and of estimates
    control: dict[str, Any]  # of both, but not of estimates
    record: dict[str, Any] = field(default_factory=dict)
    saved: list[str] = field(default_factory=list)

    search_config: ClassVar[type[Config]]
    train_config: ClassVar[type[Config]]
    cell: ClassVar[type[Genotype] | type[RecurrentGenotype]]
    drawings: ClassVar[tuple[str, ...]]
    measures: ClassVar[tuple[str, ...]]  # what `test` records

    @classmethod
    @abstractmethod
    def add_data(cls, parser: argparse.ArgumentParser) -> None:
        """Add DATA and the options that tell how it is read."""

    @classmethod
    @abstractmethod
    def load(cls, args: argparse.Namespace) -> Any:
        """The data, once nothing in it can surprise later."""

    @classmethod
    def data_options(cls, args: argparse.Namespace) -> dict[str, Any]:
        """Options of both search and training that tell how the data is read."""
        return {}

    def check(self, config: Any) -> None:
        """Raise ValueError where there is too little data for a search or training."""
        return

    @abstractmethod
    def call_estimate(self, **options: Any) -> Estimate:
        """What a search on the data will cost."""

    @abstractmethod
    def call_search(self, **options: Any) -> Any:
        """Search on the data."""

    @abstractmethod
    def call_train(self, genotype: Any, **options: Any) -> Any:
        """Train on the data."""

    def trained(self, model: Any) -> None:
        """Tell and record what is known of a model however its training ended."""
        return

    @abstractmethod
    def test(self, model: Any) -> None:
        """Tell and record how well a model does on what it has not seen."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What summary.json says of the data."""

    @abstractmethod
    def train_command(self, out: Path) -> list[str]:
        """The command that goes on with a cell that was found."""

    @abstractmethod
    def uses(self, out: Path) -> list[str]:
        """Lines on what can be done with a model."""

    @classmethod
    def add_search_arguments(cls, parser: argparse.ArgumentParser) -> None:
        cls._add_common(parser)
        group = parser.add_argument_group("search")
        add_preset(group, cls.search_config)
        add_options(group, cls.search_config, "search")
        group = cls._add_long_runs(parser)
        group.add_argument(
            "--time-budget",
            metavar="TIME",
            help="stop the search by then, such as 10min or 2h; the training comes after it",
        )
        group.add_argument(
            "--memory-budget",
            metavar="SIZE",
            help="refuse a search that needs more, such as 500MB or 2GB",
        )
        group.add_argument(
            "--eigenvalue",
            action="store_true",
            help="record how sharp the validation loss is in the alphas (some thirty passes over a"
            " batch an epoch)",
        )
        group = parser.add_argument_group("final training")
        group.add_argument(
            "--no-train", dest="train", action="store_false", help="stop when the cell is found"
        )
        suppressed = argparse.SUPPRESS
        add_preset(
            group, cls.train_config, "--train-preset", suppressed, "as --preset", "train.preset"
        )
        add_options(group, cls.train_config, "train", "train-", {"seed": "as --seed"})

    @classmethod
    def add_train_arguments(cls, parser: argparse.ArgumentParser) -> None:
        kind = _KINDS[cls.cell]
        parser.add_argument(
            "genotype",
            metavar="GENOTYPE",
            help=f"{', '.join(kind.published)}, the folder of a search, a file with a genotype as"
            f" JSON or in the literature's form, or 'Genotype({kind.first}=...)' itself",
        )
        cls._add_common(parser)
        group = parser.add_argument_group("training")
        add_preset(group, cls.train_config)
        add_options(group, cls.train_config, "train")
        cls._add_long_runs(parser)

    @classmethod
    def _add_long_runs(cls, parser: argparse.ArgumentParser) -> Any:
        group = parser.add_argument_group("long runs")
        group.add_argument(
            "--resume",
            action="store_true",
            help="go on where the same command with this --out was interrupted or killed, to the"
            " same bits; begin if there is nothing yet",
        )
        group.add_argument(
            "--checkpoint-seconds",
            type=float,
            default=60.0,
            metavar="X",
            help="how often to keep in --out what it takes to go on, beside the end of each epoch"
            " (default: 60)",
        )
        return group

    @classmethod
    def _add_common(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--out", metavar="DIR", help="folder for all results, new or empty")
        parser.add_argument("--force", action="store_true", help="replace results in --out")
        cls.add_data(parser)
        add_running(parser, "a line an epoch")

    @classmethod
    def search_and_train(cls, args: argparse.Namespace) -> int:
        """The command that finds a cell, and trains a network from it."""
        options, train_options = given(args, "search"), given(args, "train")
        train_options = {"seed": options.get("seed", 0), "preset": args.preset, **train_options}
        with named_as_options():
            config = cls.search_config.make(args.preset, options)
        with named_as_options("train-"):
            train_config = cls.train_config.make(**split(train_options))
        run = cls._prepare(args, CHECKPOINT)
        with named_as_options():
            run.check(config)
        if args.train:
            with named_as_options("train-"):
                run.check(train_config)

        def work() -> int:
            genotype, code = run._search({"preset": args.preset, **options})
            if code != DONE or not args.train:
                return code
            return run._train(genotype, train_options, "train-")

        return run._finish(work)

    @classmethod
    def train_only(cls, args: argparse.Namespace) -> int:
        """The command that trains a network from a cell."""
        options = {"preset": args.preset, **given(args, "train")}
        with named_as_options():
            config = cls.train_config.make(**split(options))
        genotype = read_genotype(args.genotype, cls.cell)
        run = cls._prepare(args, TRAIN_CHECKPOINT)
        with named_as_options():
            run.check(config)
        return run._finish(lambda: run._train(genotype, options))

    @classmethod
    def _prepare(cls, args: argparse.Namespace, checkpoint: str) -> Run:
        """Check all that can be checked before the work, which may take hours, begins."""
        with named_as_options():
            threads = resolve_threads(args.threads)
        out = claim(args.out, args.force, checkpoint if args.resume else None)
        data = cls.load(args)
        if out is not None and not args.resume:
            for name in (CHECKPOINT, TRAIN_CHECKPOINT, COMPARISON):  # of an earlier command
                (out / name).unlink(missing_ok=True)
        bar = sys.stderr.isatty() if args.progress is None else args.progress
        common = {**cls.data_options(args), "threads": threads}
        control = {
            "progress": bar,
            "checkpoint": out,
            "checkpoint_seconds": args.checkpoint_seconds,
            "resume": "auto" if args.resume else "never",
        }
        return cls(args, out, data, common, control)

    def _search(self, options: Mapping[str, Any]) -> tuple[Any, int]:
        """Search, show and save the cell."""
        args = self.args
        options = {**options, **self.common, "memory_budget": args.memory_budget}
        control = {**self.control, "time_budget": args.time_budget, "eigenvalue": args.eigenvalue}
        result: SearchResult | TextSearchResult
        with named_as_options():
            if self.args.resume and self._has(CHECKPOINT):
                say(f"Going on with the search in {self.out}.")
            else:
                say(f"Search: {self.call_estimate(**options)}.")
            log.info("searching")
            result, code = _outcome("search", lambda: self.call_search(**options, **control))
        self.record["search_seconds"] = round(result.seconds, 2)
        self.record["search_stopped"] = result.stopped
        took = duration(result.seconds)
        say(f"Searched for {len(result.history)} of {result.config.epochs} epochs in {took}:\n")
        if result.stopped is not None:
            say(textwrap.fill(f"It stopped early: {result.stopped}.", 79) + "\n")
        say(pretty(result.genotype) + "\n")
        if self.out is not None:
            with uninterrupted():
                _remove_training(self.out)
                for name in ("normal.svg", "reduce.svg", "recurrent.svg"):
                    (self.out / name).unlink(missing_ok=True)
                result.save(self.out)
            self.saved += ["genotype.json", *self.drawings]
            self.saved += ["alphas.npz", "alpha_history.npz", "history.csv", "config.json"]
        return result.genotype, code

    def _train(self, genotype: Any, options: Mapping[str, Any], prefix: str = "") -> int:
        """Train the network, save it, and try it on what it has not seen."""
        log.info("training")
        model: Model | LanguageModel
        options = {**options, **self.common, **self.control}
        with named_as_options(prefix):
            model, code = _outcome("training", lambda: self.call_train(genotype, **options))
        self.record["train_seconds"] = round(model.seconds, 2)
        self.record["num_weights"] = model.num_weights
        if self.out is not None:
            with uninterrupted():
                _remove_training(self.out)
                model.save(self.out / "model")
                write_history(self.out / "train_history.csv", model.history)
                json_text = genotype.to_json() + "\n"
                (self.out / "genotype.json").write_text(json_text, encoding="utf-8")
            self.saved += ["genotype.json", "model/", "train_history.csv"]
        took = duration(model.seconds)
        epochs = f"{len(model.history)} of {model.config.epochs} epochs"
        say(f"Trained {model.num_weights:,} weights for {epochs} in {took}.")
        self.trained(model)
        if code == DONE:
            self.test(model)
        return code

    def _finish(self, work: Callable[[], int]) -> int:
        """Do the work, say what was saved of it, and return the exit code."""
        try:
            code = work()
        except KeyboardInterrupt:
            code = INTERRUPTED
        if code == INTERRUPTED:
            say("Interrupted.")
        if self.out is None:
            drawings = "its drawings" if len(self.drawings) > 1 else "its drawing"
            say(f"Nothing was saved; --out DIR keeps the cell, {drawings} and the model.")
        elif not self.saved:
            say("Nothing was saved.")
        else:
            with uninterrupted():
                self._write_summary(self.out, code)
            names = ", ".join(dict.fromkeys([*self.saved, "summary.json"]))
            say(textwrap.fill(f"Saved in {self.out}: {names}", 79, subsequent_indent="  "))
            if "model/" in self.saved:
                say("\n".join(self.uses(self.out)))
            else:
                say(f"To train it: {shlex.join(self.train_command(self.out))}")
        if code == INTERRUPTED and (self._has(CHECKPOINT) or self._has(TRAIN_CHECKPOINT)):
            again = [a for a in self.args.argv if a not in ("--force", "--resume")]
            say(f"To go on: {shlex.join(['pydarts', *again, '--resume'])}")
        return code

    def _write_summary(self, out: Path, code: int) -> None:
        states = {DONE: "finished", FAILED: "diverged", INTERRUPTED: "interrupted"}
        summary = {
            "state": states[code],
            **dict.fromkeys(self.measures),
            **self.record,
            **self.describe(),
            "threads": self.common["threads"],
            **environment(),
        }
        text = json.dumps(summary, indent=2)
        (out / "summary.json").write_text(text + "\n", encoding="utf-8")

    def _has(self, checkpoint: str) -> bool:
        return self.out is not None and (self.out / checkpoint).is_file()


def add_running(parser: argparse.ArgumentParser, otherwise: str) -> None:
    """Options of every command that works for long; `otherwise` is what it tells without a bar."""
    parser.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="threads to use; results do not depend on it (default: all)",
    )
    parser.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        help="show a bar on standard error, or nothing at all (default: a bar in a terminal, else"
        f" {otherwise})",
    )
    parser.add_argument("--debug", action="store_true", help="show where an error comes from")


def _outcome(name: str, run: Callable[[], _Result]) -> tuple[_Result, int]:
    """What came of a run and its exit code: one that was cut short has a result as well."""
    try:
        result = run()
    except Diverged as error:
        complain(f"{name} stopped at {error}")
        kept: _Result = error.result
        return kept, FAILED
    return result, INTERRUPTED if result.interrupted else DONE


def _remove_training(out: Path) -> None:
    """Remove what an earlier training left: it would pass for this one's."""
    for name in ("model/model.json", "model/model.safetensors", "train_history.csv", "report.html"):
        (out / name).unlink(missing_ok=True)
    (out / "summary.json").unlink(missing_ok=True)


# Genotypes


def read_genotype(text: str, cell: type[_Cell]) -> _Cell:
    """A published cell's name, a search's folder, a file, or the literature's form itself."""
    kind = _KINDS[cell]
    for other in _KINDS.values():
        if text in other.published:
            found = other.published[text]
            if not isinstance(found, cell):
                raise ValueError(f"{text} is a {other.name} genotype: {_advice(other)}")
            return found
    if "Genotype" in text and "(" in text:
        return _parse(text, cell)
    path = Path(text)
    if path.is_dir():
        path /= "genotype.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"no genotype {text!r}: give {', '.join(kind.published)}, the folder of a search, a"
            f" file, or 'Genotype({kind.first}=...)' itself"
        )
    try:
        with path.open(encoding="utf-8") as file:
            return _parse(file.read(1 << 17), cell)  # more than the parsers take
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _parse(text: str, cell: type[_Cell]) -> _Cell:
    def parse(cell: type[Any]) -> Any:
        return cell.from_json(text) if text.lstrip().startswith("{") else cell.parse(text)

    try:
        result: _Cell = parse(cell)
    except ValueError:
        for other, kind in _KINDS.items():
            if other is not cell and _accepts(parse, other):
                raise ValueError(f"it is a {kind.name} genotype: {_advice(kind)}") from None
        raise
    return result


def _accepts(parse: Callable[[type[Any]], Any], cell: type[Any]) -> bool:
    try:
        parse(cell)
    except ValueError:
        return False
    return True


def _advice(kind: _Kind) -> str:
    return f"`pydarts {kind.command}` takes it"


def pretty(genotype: Genotype | RecurrentGenotype) -> str:
    """The literature's form, a node a line."""
    text, per_node = "Genotype(", 2 if isinstance(genotype, Genotype) else 1
    for name in (each.name for each in dataclasses.fields(genotype)):
        values = list(getattr(genotype, name))
        if name.endswith("concat"):
            text += f"\n    {name}={values},"
            continue
        text += f"\n    {name}=["
        for i in range(0, len(values), per_node):
            text += f"\n        {', '.join(map(str, values[i : i + per_node]))},"
        text += "\n    ],"
    return text + "\n)"
