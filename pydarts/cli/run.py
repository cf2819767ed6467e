# SPDX-License-Identifier: MIT
"""The commands that search and train, whatever it is that a network learns from."""

from __future__ import annotations

import argparse
import dataclasses
import math
import shlex
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pydarts.api.fitting import Fitting
from pydarts.cli.arguments import (
    add_debug,
    add_force,
    add_options,
    add_preset,
    add_progress,
    add_threads,
    given,
    named,
)
from pydarts.cli.base import Kind
from pydarts.cli.console import (
    DONE,
    FAILED,
    INTERRUPTED,
    claim_folder,
    log,
    report_error,
    say,
    uninterrupted,
)
from pydarts.cli.kinds import (
    GENOTYPE,
    SUMMARY,
    genotype_help,
    pretty,
    read_genotype,
    read_genotype_file,
)
from pydarts.common.environment import environment
from pydarts.common.errors import ArgumentError
from pydarts.common.files import replace_file, write_json
from pydarts.common.ranks import Ranks
from pydarts.common.termination import Termination
from pydarts.costs.budget import describe_costs
from pydarts.engine.network import resolve_threads
from pydarts.evaluation.comparison import COMPARISON
from pydarts.methods.finalists import num_finalists
from pydarts.methods.method import supernet_options
from pydarts.methods.named import (
    METHOD_NAMES,
    METHODS,
    SELECTORS,
    UNDER_LIMITS,
    USUAL,
    as_method,
    as_pair,
)
from pydarts.spaces.genotype import BaseGenotype
from pydarts.spaces.space import READY, Space
from pydarts.training.budget import check_memory, duration, estimate_search
from pydarts.training.checkpoint import read_checkpoint
from pydarts.training.history import write_history
from pydarts.training.loop import Diverged
from pydarts.training.plan import PLAN, RECIPE
from pydarts.training.run import run_search, run_training
from pydarts.training.run_options import (
    FINALISTS_CHECKPOINT,
    SEARCH_CHECKPOINT,
    TRAIN_CHECKPOINT,
    RunOptions,
)
from pydarts.training.task import SearchData, Task

_TABLES = ("alphas.npz", "alpha_history.npz", "history.csv", "result.json")
_SEARCH_FILES = (  # config.json: of version 0.1
    *(GENOTYPE, "config.json", SEARCH_CHECKPOINT, FINALISTS_CHECKPOINT, *_TABLES),
    *(f"{cell.name}.svg" for space in READY.values() for cell in space.cells),
)
_TRAINING_FILES = (
    *("model/model.json", "model/model.safetensors", "train_history.csv", TRAIN_CHECKPOINT),
    *(SUMMARY, "report.html", COMPARISON),
)
#: Where no method is named, what is taken.
_LIMITED_OR_NOT = f"{USUAL}, or {UNDER_LIMITS} under limits if cells hold no `none`"

# Arguments


def add_search_arguments(kind: type[Kind], parser: argparse.ArgumentParser) -> None:
    """The arguments of `search` and `search-text`."""
    task = kind.task_type
    usual, chosen_by = USUAL, "magnitude"
    if task.kind == "convolutional":
        usual = _LIMITED_OR_NOT
        chosen_by = "finalists; magnitude with --preset paper and under limits"
    _add_common(kind, parser)
    group = parser.add_argument_group("search")
    kind.add_space(group)
    refused = _refused_methods(task)
    methods = tuple(name for name in METHOD_NAMES if name not in refused)

    def method(name: str) -> str:
        if name in refused:
            raise argparse.ArgumentTypeError(refused[name])
        return name

    group.add_argument(
        "--method",
        type=method,
        choices=methods,
        metavar="NAME",
        help=f"how the alphas are learned: {', '.join(methods)} (default: {usual};"
        " darts is of either --order, all others of first order); fixed-pt and darts-pt are fixed"
        " and darts with --selector perturbation",
    )
    group.add_argument(
        "--selector",
        choices=SELECTORS,
        help="what chooses the cell: the largest mixing weights; in rounds after the search, the"
        " loss by which each operation is missed; or finalists, short trainings of candidate cells,"
        " of which one has to beat a cell that takes no search, the strongest-operation constant"
        f" (default: {chosen_by})",
    )
    add_preset(group, task.search_config)
    add_options(group, task.search_config, "search")
    kind.add_limits(parser)
    group = _add_long_runs(parser, "the search", "; the training comes after it")
    group.add_argument(
        "--eigenvalue",
        action="store_true",
        help="record the dominant eigenvalue of the Hessian of the validation loss with respect to"
        " the alphas (some thirty passes over a batch an epoch)",
    )
    group = parser.add_argument_group("final training")
    group.add_argument(
        "--no-train", dest="train", action="store_false", help="stop when the cell is found"
    )
    add_preset(group, task.train_config, "--train-preset", None, "as --preset")
    shown = {"seed": "as --seed"}
    add_options(group, task.train_config, "train", "train-", shown)
    group.add_argument(
        "--train-time-budget", metavar="TIME", help="stop the training after that long"
    )


def _refused_methods(task: type[Task]) -> dict[str, str]:
    """Why each method is refused that is not for such a task."""
    refused = {}
    for name in METHOD_NAMES:
        try:
            supernet_options(as_method(name, task.search_config.make("quick")), task.kind)
        except ArgumentError as error:
            refused[name] = error.problem
    return refused


def add_train_arguments(kind: type[Kind], parser: argparse.ArgumentParser) -> None:
    """The arguments of `train` and `train-text`."""
    task = kind.task_type
    parser.add_argument("genotype", metavar="GENOTYPE", help=genotype_help(task.kind))
    _add_common(kind, parser)
    group = parser.add_argument_group("training")
    add_preset(group, task.train_config)
    add_options(group, task.train_config, "train")
    _add_long_runs(parser, "the training")


def add_fit_arguments(kind: type[Kind], parser: argparse.ArgumentParser) -> None:
    """The arguments of `fit`."""
    task = kind.task_type
    _add_common(kind, parser)
    group = parser.add_argument_group("the cell")
    kind.add_space(group)
    group.add_argument(
        "--genotype", metavar="GENOTYPE", help=f"a cell to train: {genotype_help(task.kind)}"
    )
    group.add_argument(
        "--search",
        choices=("auto", "always", "never"),
        default="auto",
        help="whether to search a cell (default: auto, where the space has no published one)",
    )
    group.add_argument(
        "--method",
        choices=tuple(METHODS),
        help=f"how the alphas are learned in a search (default: {_LIMITED_OR_NOT})",
    )
    kind.add_limits(parser)
    _add_long_runs(parser, "the work", required=True)
    group = parser.add_argument_group("training")
    shown = {**dict.fromkeys(("channels", "cells", "epochs"), "default: chosen for the time")}
    shown |= {name: f"default: {value}" for name, value in RECIPE.items()}
    add_options(group, task.train_config, "train", defaults=shown, preset="quick")


def _add_long_runs(
    parser: argparse.ArgumentParser, what: str, more: str = "", required: bool = False
) -> Any:
    group = parser.add_argument_group("long runs")
    group.add_argument(
        "--time-budget",
        metavar="TIME",
        required=required,
        help=f"stop {what} after that long, such as 10min or 2h{more}",
    )
    group.add_argument(
        "--memory-budget",
        metavar="SIZE",
        help=f"refuse {what} if it needs more, such as 500MB or 2GB",
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


def _add_common(kind: type[Kind], parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="folder for all results, new or empty; in the folder of an earlier run the same"
        " command goes on with it, to the same bits",
    )
    add_force(parser, "begin anew, and replace the results in --out")
    kind.add_data(parser)
    add_threads(parser)
    add_progress(parser, "a line an epoch")
    add_debug(parser)


# Commands


def search(kind: type[Kind], args: argparse.Namespace) -> int:
    """Find a cell, and train a network from it."""
    task = kind.task_type
    with named(args, task.search_config):
        config: Any = task.search_config.make(args.preset, given(args, "search"))
    with named(args, task.train_config, "train-"):
        options = {"seed": config.seed, **given(args, "train")}
        train_config = task.train_config.make(args.train_preset or args.preset, options)
    with named(args):
        space = kind.space(args)
    run = Run(kind, args, SEARCH_CHECKPOINT, "search", space)
    with named(args, task.search_config):
        run.search_data(config)
    if args.train:
        run.check_training(train_config, "train-")

    def work() -> int:
        genotype, code = run.search(config, train_config)
        if code != DONE or not args.train:
            return code
        return run.train(genotype, train_config, "train-")

    return run.finish(work)


def train(kind: type[Kind], args: argparse.Namespace) -> int:
    """Train a network from a cell."""
    task = kind.task_type
    with named(args, task.train_config):
        config = task.train_config.make(args.preset, given(args, "train"))
    genotype = read_genotype(args.genotype, task.kind)
    run = Run(kind, args, TRAIN_CHECKPOINT, "training", genotype.space)
    run.check_training(config)
    return run.finish(lambda: run.train(genotype, config))


def fit(kind: type[Kind], args: argparse.Namespace) -> int:
    """Train a network in a given time, and search its cell if that is worth it."""
    started = time.perf_counter()
    with named(args, kind.task_type.train_config):
        kind.task_type.train_config.make("quick", given(args, "train"))
    genotype, space = None, None
    if args.genotype is not None:
        genotype = read_genotype(args.genotype, kind.task_type.kind)
        space = genotype.space
    with named(args):
        run = Run(kind, args, PLAN, "plan", space or kind.space(args))
    return run.finish(lambda: run.fit(genotype, started))


class Run:
    """The work on one set of data: what was given, what came of it, what was saved of that."""

    def __init__(
        self,
        kind: type[Kind],
        args: argparse.Namespace,
        checkpoint: str,
        what: str,
        space: Space,
    ):
        # All that can be checked is, before the work, which may take hours, begins.
        self.ranks: Ranks = args.ranks
        with named(args):
            self.threads = resolve_threads(self.ranks.threads(args.threads))
            self.ranks.require_alone("max_latency", getattr(args, "max_latency", None))
        self.args = args
        self.out: Path | None = None
        for prefix in ("", "train-"):
            with named(args, prefix=prefix):
                self._options(prefix)
        out = self.ranks.on_first(lambda: claim_folder(args, checkpoint, what))
        self.out = out if self.ranks.first else None  # which alone writes
        self.kind = kind.load(args, self.threads, space)
        self.task: Task = self.kind.task
        self.task.ranks = self.ranks
        if self.ranks.several:
            say(f"Computed by {self.ranks.size} ranks, threads each: {self.threads}.")
        self.record: dict[str, Any] = {}
        self.saved: list[str] = []

    def search_data(self, config: Any) -> SearchData:
        """The data of a search, if there is enough."""
        return self.task.search_data(config, np.random.default_rng(config.seed))

    def check_training(self, config: Any, prefix: str = "") -> None:
        """See that a training can begin."""
        with named(self.args, self.task.train_config, prefix):
            self.task.check_train(config)

    def search(self, config: Any, train_config: Any) -> tuple[BaseGenotype, int]:
        """Search, show and save the cell."""
        args = self.args
        with named(args):
            limited = self.task.space if self.kind.limits().numbers() else None
            method, selector = as_pair(args.method, args.selector, config, limited)
            budget = self.kind.budget(train_config, (method, selector), self._options())
        with named(args, self.task.search_config):
            run = self._options()
            if self._goes_on(run, SEARCH_CHECKPOINT):
                say(f"Going on with the search in {self.out}.")
            else:
                self.kind.announce(config)
                needs = partial(self.task.search_bytes, **supernet_options(method, self.task.kind))
                check_memory(run, config, "search", needs, self.task)
                data = self.search_data(config)
                found = estimate_search(self.task, method, config, data, selector, budget)
                say(f"Search: {found}.")
                del data
                self._remove(*_SEARCH_FILES, *_TRAINING_FILES, PLAN)
            log.info("searching")
            run = replace(run, started=time.perf_counter())
            result, code = _outcome(
                "search", lambda: run_search(self.task, method, config, run, selector, budget)
            )
        self._keep_search(result)
        return result.genotype, code

    def _goes_on(self, run: RunOptions, checkpoint: str) -> bool:
        return self.ranks.on_first(lambda: run.resumable_file(checkpoint) is not None)

    def _keep_search(self, result: Any) -> None:
        self._note("search", "Searched", result)
        if result.selection:
            say(f"Chosen by perturbation, in {len(result.selection)} decisions.")
        if result.finalists:
            count = num_finalists(result.finalists)
            say(f"Chosen among {count} finalists by {len(result.finalists)} short trainings.")
        say("\n" + pretty(result.genotype) + "\n")
        for name, words in describe_costs(result.limits).items():
            say(f"{name.capitalize():9}{words}")
        self.record |= {"costs": result.limits} if result.limits else {}
        for line in result.notes():
            say(textwrap.fill(line, 79) + "\n")
        if self.out is not None:
            with uninterrupted():
                if not self._has_trained(result.genotype):
                    self._remove(*_TRAINING_FILES)  # they would pass for this cell's
                result.save(self.out, overwrite=True)
            drawings = [f"{cell.name}.svg" for cell in result.space.cells]
            self.saved += [GENOTYPE, *drawings, *_TABLES]

    def train(self, genotype: BaseGenotype, config: Any, prefix: str = "") -> int:
        """Train the network, save it, and try it on what it has not seen."""
        with named(self.args, self.task.train_config, prefix):
            run = self._options(prefix)
            if self._goes_on(run, TRAIN_CHECKPOINT):
                say(f"Going on with the training in {self.out}.")
            elif not prefix:
                self.kind.announce(config)
                self._remove(*_TRAINING_FILES, PLAN)
                if not self._holds(genotype):
                    self._remove(*_SEARCH_FILES)
            log.info("training")
            model, code = _outcome(
                "training", lambda: run_training(self.task, genotype, config, run)
            )
        return self._keep_model(genotype, model, code)

    def fit(self, genotype: BaseGenotype | None, started: float) -> int:
        """Spend the time from ``started`` on, show what was decided, and save what came of it."""
        args = self.args
        with named(args, self.task.train_config):
            run = replace(self._options(), started=started)
            if run.resumable_file(PLAN):
                say(f"Going on with the plan in {self.out}.")
            else:
                self._remove(*_SEARCH_FILES, *_TRAINING_FILES, PLAN)
            fitting = Fitting(
                self.kind.task,
                run,
                given(args, "train"),
                genotype=genotype,
                search=args.search,
                method=args.method,
                limits=self.kind.limits(),
                show=lambda sentence: say(textwrap.fill(sentence, 79)),
            )
            result, code = _outcome("search", fitting.find_cell)
            if result is not None:
                self._keep_search(result)
                if code != DONE:
                    return code
            log.info("training")
            model, code = _outcome("training", fitting.train)
        if self.out is not None:
            self.saved.append(PLAN)
        assert fitting.plan is not None
        self.record["plan"] = dataclasses.asdict(fitting.plan)
        return self._keep_model(model.genotype, model, code)

    def _keep_model(self, genotype: BaseGenotype, model: Any, code: int) -> int:
        self.record["num_weights"] = model.num_weights
        if self.out is not None:
            with uninterrupted():
                model.save(self.out / "model", overwrite=True)
                write_history(self.out / "train_history.csv", model.history)
                replace_file(self.out / GENOTYPE, (genotype.to_json() + "\n").encode())
            self.saved += [GENOTYPE, "model/", "train_history.csv"]
        self._note("train", f"Trained {model.num_weights:,} weights", model)
        self.record |= self.kind.report_training(model)
        if code == DONE:
            with model.network.shared_by(self.ranks):
                self.record |= self.kind.test(model)
        return code

    def finish(self, work: Callable[[], int]) -> int:
        """Do the work, say what was saved of it, and return the exit code."""
        try:
            code = work()
        except KeyboardInterrupt:
            if self.ranks.several:  # the others know nothing of it
                raise
            code = INTERRUPTED
        termination: Termination = self.args.termination
        if code == INTERRUPTED:
            termination.asked = self.ranks.any(termination.asked)  # whichever of them got it
            say("Ended by SIGTERM." if termination.asked else "Interrupted.")
        goes_on = self._has(SEARCH_CHECKPOINT) or self._has(TRAIN_CHECKPOINT)
        if self.out is None:
            say(f"Nothing was saved; --out DIR keeps {self._kept()}.")
        elif not self.saved:
            say(f"Nothing was saved{' but the checkpoint' if goes_on else ''}.")
        else:
            with uninterrupted():
                self._write_summary(self.out, code)
            names = ", ".join(dict.fromkeys([*self.saved, SUMMARY]))
            say(textwrap.fill(f"Saved in {self.out}: {names}", 79, subsequent_indent="  "))
            if "model/" in self.saved:
                say("\n".join(self.kind.uses(self.out)))
            else:
                command = ["pydarts", self.kind.train_command, str(self.out)]
                say(f"To train it: {shlex.join([*command, *self.kind.data_arguments()])}")
        if code == INTERRUPTED and goes_on:
            again = [argument for argument in self.args.argv if argument != "--force"]
            say(f"To go on: {shlex.join(['pydarts', *again])}")
        return code

    def _kept(self) -> str:
        """What --out would have kept."""
        kept = ["the cell"]
        if "search_seconds" in self.record:
            kept.append("its drawings" if len(self.task.space.cells) > 1 else "its drawing")
        if getattr(self.args, "train", True):
            kept.append("the model")
        return " and ".join(filter(None, [", ".join(kept[:-1]), kept[-1]]))

    def _options(self, prefix: str = "") -> RunOptions:
        """How a search or training runs, with the budgets whose options have this prefix."""
        args, prefix = self.args, prefix.replace("-", "_")
        return RunOptions(
            progress=sys.stderr.isatty() if args.progress is None else args.progress,
            checkpoint=self.out,
            checkpoint_seconds=args.checkpoint_seconds,
            resume="never" if args.force else "auto",
            time_budget=getattr(args, f"{prefix}time_budget", None),
            memory_budget=getattr(args, f"{prefix}memory_budget", None),
            eigenvalue=getattr(args, "eigenvalue", False),
            log_notes=False,  # which are said with the result
        )

    def _note(self, name: str, done: str, result: Any) -> None:
        """Say and record how long something took, and why it stopped."""
        self.record[f"{name}_seconds"] = round(result.seconds, 2)
        self.record[f"{name}_stopped"] = result.stopped
        planned = getattr(result, "num_epochs", result.config.epochs)  # of a search: with tuning
        epochs = f"{len(result.history)} of {planned} epochs"
        say(f"{done} for {epochs} in {duration(result.seconds)}.")
        if result.stopped is not None:
            say(textwrap.fill(f"It stopped early: {result.stopped}.", 79))

    def _write_summary(self, out: Path, code: int) -> None:
        states = {DONE: "finished", FAILED: "diverged", INTERRUPTED: "interrupted"}
        summary: dict[str, Any] = {
            "format": "pydarts-summary",
            "version": 1,
            "state": states[code],
            **dict.fromkeys(self.kind.measures),
            **self.record,
            **self.kind.describe(),
            "threads": self.threads,
            **({"ranks": self.ranks.size} if self.ranks.several else {}),
            **environment(),
        }
        for name, value in summary.items():
            if isinstance(value, float) and not math.isfinite(value):
                summary[name] = None  # JSON has no such numbers
        write_json(out / SUMMARY, summary)

    def _holds(self, genotype: BaseGenotype) -> bool:
        """Whether the cell in --out is this one."""
        try:
            return self.out is not None and read_genotype_file(self.out / GENOTYPE) == genotype
        except (OSError, ValueError):
            return False

    def _has_trained(self, genotype: BaseGenotype) -> bool:
        """Whether the training in --out is of this cell: a search that goes on may find another."""
        if self.out is None or not self._has(TRAIN_CHECKPOINT):
            return False
        identity = read_checkpoint(self.out / TRAIN_CHECKPOINT).identity
        return bool(identity.get("genotype") == str(genotype))

    def _has(self, checkpoint: str) -> bool:
        return self.out is not None and (self.out / checkpoint).is_file()

    def _remove(self, *names: str) -> None:
        if self.out is not None:
            for name in names:
                (self.out / name).unlink(missing_ok=True)


def _outcome(name: str, run: Callable[[], Any]) -> tuple[Any, int]:
    """What came of a run and its exit code: one that was cut short has a result as well."""
    try:
        result = run()
    except Diverged as error:
        report_error(f"{name} stopped: {error}")
        return error.result, FAILED
    return result, INTERRUPTED if result is not None and result.interrupted else DONE
