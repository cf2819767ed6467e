# SPDX-License-Identifier: MIT
"""The command ``pydarts``: its parser and its exit codes.

Exit codes: 0 done, 1 failed, 2 unusable arguments or data, 130 interrupted, 143 ended by SIGTERM.
Results go to standard output, progress and errors to standard error.
"""

from __future__ import annotations

import argparse
import difflib
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from functools import partial
from typing import Any, NoReturn

import numpy as np

from pydarts import _core
from pydarts.cli import compare, export, pareto, predict, profile, report, run, sample
from pydarts.cli.console import (
    DONE,
    FAILED,
    INTERRUPTED,
    UNUSABLE,
    plain_lines,
    report_error,
    say,
    write,
)
from pydarts.cli.images import ImageKind
from pydarts.cli.text import TextKind
from pydarts.common.environment import hardware
from pydarts.common.ranks import ALONE, launched, launched_rank, launched_ranks
from pydarts.common.termination import TERMINATED, Termination
from pydarts.training.checkpoint import CheckpointError

# Launchers may end all ranks when the first one of them fails: so long the others, which did not
# come to know each other, leave the first one the word.
_LAST_WORDS = 2.0

_OF_RANKS = ("search", "train", "search-text", "train-text", "evaluate")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv``, by default the process's own, and return the exit code.

    Of several ranks that an MPI launcher started the first one alone writes.
    """
    termination = Termination()
    with termination.handled():
        if launched_rank() == 0:
            code = _main(argv, termination)
        else:
            with open(os.devnull, "w") as null, redirect_stdout(null), redirect_stderr(null):
                code = _main(argv, termination)
            if code != DONE and "mpi4py.MPI" not in sys.modules:
                time.sleep(_LAST_WORDS)
    return TERMINATED if code == INTERRUPTED and termination.asked else code


def _main(argv: Sequence[str] | None, termination: Termination) -> int:
    debug = False
    try:
        args = _parse(argv)
        args.termination = termination
        debug = args.debug
        shown = args.progress is None and not sys.stderr.isatty()
        args.ranks = launched() if args.command in _OF_RANKS else ALONE
        if args.ranks is ALONE and launched_ranks() > 1:
            several = ", ".join(_OF_RANKS)
            raise ValueError(
                f"`pydarts {args.command}` is for one process; an MPI launcher started"
                f" {launched_ranks()}, as it may of: {several}"
            )
        with args.ranks.together(), plain_lines(shown), ExitStack() as args.held:
            return int(args.run(args))
    except SystemExit as stop:  # of argparse, which has said why
        return int(stop.code or DONE)
    except KeyboardInterrupt:
        report_error("terminated" if termination.asked else "interrupted")
        return INTERRUPTED
    except CheckpointError as error:
        report_error(f"{error.reason}: --force begins anew", debug)
        return UNUSABLE
    except (ValueError, TypeError, ImportError, FileNotFoundError, PermissionError) as error:
        report_error(error, debug)
        return UNUSABLE
    except (OSError, ArithmeticError, MemoryError, RuntimeError) as error:
        report_error(error, debug)
        return FAILED
    finally:
        for stream in (sys.stdout, sys.stderr):
            write(stream, "")


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and whose help any terminal can show."""

    def error(self, message: str) -> NoReturn:
        self.exit(UNUSABLE, f"pydarts: error: {message} (see {self.prog} --help)\n")

    def meant(self, unknown: str) -> str | None:
        """The option of this command that is most like one that there is not."""
        actions = self._option_string_actions.items()
        known = [flag for flag, action in actions if action.help is not argparse.SUPPRESS]
        found = difflib.get_close_matches(unknown.partition("=")[0], known, 1, 0.76)
        return found[0] if found else None

    def _print_message(self, message: str, file: Any = None) -> None:
        write(sys.stderr if file is None else file, message)


def _formatter(prog: str) -> argparse.HelpFormatter:
    """Help of at most 80 columns."""
    width = min(80, shutil.get_terminal_size().columns) - 2
    return argparse.HelpFormatter(prog, max_help_position=28, width=width)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    argv = list(sys.argv[1:] if argv is None else argv)
    command = next((each for each in argv if not each.startswith("-")), None)
    args, unknown = _parser(command).parse_known_args(argv)
    args.argv = argv
    if len(unknown) == 1 and not unknown[0].startswith("-") and getattr(args, "data", "") is None:
        # Before Python 3.13 argparse takes an optional DATA only where no option precedes it.
        args.data, unknown = unknown[0], []
    if unknown:  # not left to parse_args, which points at the help of the wrong parser
        meant = args.parser.meant(unknown[0])
        hint = "" if meant is None else f": did you mean {meant}?"
        args.parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    return args


def _info(args: argparse.Namespace) -> int:
    available = ", ".join(name for name, here in _core.instruction_sets() if here)
    machine = hardware()
    rows = {
        "pydarts": _core.__version__,
        "processor": machine["cpu"],
        "model": machine["cpu_model"] or "unknown",
        "instruction set": f"{_core.instruction_set()} (available: {available})",
        "threads": _core.default_threads(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}",
    }
    for name, value in rows.items():
        say(f"{name:17}{value}")
    threads = sorted({1, _core.default_threads()})
    peaks = [_core.fma_peak(count) for count in threads]
    for bits in peaks[0]:
        first, *more = (f"{peak[bits] / 1e9:,.0f}" for peak in peaks)
        others = "".join(f", {flops} on {n}" for n, flops in zip(threads[1:], more, strict=True))
        say(f"{f'{bits}-bit FMA':17}{first} GFLOP/s on 1 thread{others}")
    return DONE


def _parser(only: str | None = None) -> _Parser:
    """Of all commands, with the arguments of all or of one: those of all take longer than most of
    what may be wrong with them.
    """
    parser = _Parser(
        prog="pydarts",
        description="Differentiable architecture search (DARTS) on multicore CPUs.",
        formatter_class=_formatter,
        allow_abbrev=False,
    )
    version = f"pydarts {_core.__version__}"
    parser.add_argument("-V", "--version", action="version", version=version)
    parser.set_defaults(debug=False, progress=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")

    def command(
        name: str,
        run: Callable[[argparse.Namespace], int],
        add_arguments: Callable[[argparse.ArgumentParser], None],
        usage: str,
        help: str,
        more: str = "",
    ) -> None:
        sub = commands.add_parser(
            name,
            usage=f"pydarts {name}{usage}",
            help=help,
            description=f"{help[0].upper()}{help[1:]}. {more}",
            formatter_class=_formatter,
            allow_abbrev=False,
        )
        sub.set_defaults(run=run, parser=sub, command=name)
        if only in (None, name):
            add_arguments(sub)

    again = "Given again, it goes on with what it left in --out."
    command(
        "fit",
        partial(run.fit, ImageKind),
        partial(run.add_fit_arguments, ImageKind),
        " DATA --time-budget TIME [--out DIR] [option ...]",
        "make the best model of a set of images in a given time",
        "Sizes and epochs are chosen by the speed of this machine, a published cell or a search by"
        f" the space and the time. DIR/plan.json tells what was chosen. {again}",
    )
    command(
        "search",
        partial(run.search, ImageKind),
        partial(run.add_search_arguments, ImageKind),
        " DATA [--out DIR] [--preset NAME] [option ...]",
        "find a cell for a set of images and train a network from it",
        f"The network is then tried on images that neither search nor training saw. {again}",
    )
    command(
        "train",
        partial(run.train, ImageKind),
        partial(run.add_train_arguments, ImageKind),
        " GENOTYPE DATA [--out DIR] [--preset NAME] [option ...]",
        "train the network that a genotype stands for",
        f"It is then tried on images that it was not trained on. {again}",
    )
    command(
        "search-text",
        partial(run.search, TextKind),
        partial(run.add_search_arguments, TextKind),
        " [DATA] [--out DIR] [--preset NAME] [option ...]",
        "find a recurrent cell for a text and train a language model from it",
        "The model is then tried on text that neither search nor training saw, and writes some."
        f" {again}",
    )
    command(
        "train-text",
        partial(run.train, TextKind),
        partial(run.add_train_arguments, TextKind),
        " GENOTYPE [DATA] [--out DIR] [option ...]",
        "train the language model that a recurrent genotype stands for",
        f"It is then tried on text that it was not trained on, and writes some. {again}",
    )
    command(
        "predict",
        predict.predict,
        predict.add_predict_arguments,
        " MODEL DATA --out FILE [option ...]",
        "label images with a trained model",
        "The CSV file has the columns index, file (of a folder of images), label (where there are"
        " labels), predicted and, of one class, probability. With several labels or outputs,"
        " label NAME and predicted NAME of each.",
    )
    command(
        "evaluate",
        predict.evaluate,
        predict.add_evaluate_arguments,
        " MODEL DATA [--json FILE] [option ...]",
        "show how well a trained model does on data",
        "Of images: accuracy, precision and recall of each class, and the confusion matrix. Of"
        " text: perplexity.",
    )
    command(
        "sample",
        sample.sample,
        sample.add_arguments,
        " MODEL [--prompt TEXT] [--length N] [option ...]",
        "let a trained language model write",
    )
    command(
        "report",
        report.report,
        report.add_arguments,
        " DIR [--out FILE] [--force]",
        "write a page that shows a search",
        "It needs neither network nor other files, and shows the cells epoch by epoch, the alphas,"
        " the learning curves, the configuration and the environment.",
    )
    command(
        "compare",
        compare.compare,
        compare.add_arguments,
        " DIR [DATA] [--random K] [--seeds N] [option ...]",
        "tell whether a found cell is better than random ones",
        "All are trained alike, seed by seed, and tried on what nothing was learned from."
        " DIR/compare.json is written after each training. Given again, also with more seeds or"
        " cells, the command goes on with it; Ctrl-C loses the training that runs.",
    )
    command(
        "export",
        export.export,
        export.add_arguments,
        " MODEL (--onnx FILE | --c FILE [--int8 --calibrate DATA] [--name N]) [--force]",
        "write a trained model as an ONNX file or as C",
        "It takes images as the model does: the normalisation is in it. The C file needs nothing"
        " else, allocates nothing, and is for images of the size of those learned from.",
    )
    command(
        "pareto",
        pareto.pareto,
        pareto.add_arguments,
        " DATA --limits LIMIT ... --out DIR [--cost NAME] [option ...]",
        "show accuracy against latency for several limits",
        "A cell is searched for each limit and trained, beside random cells of the same limit and a"
        f" ResNet-8. {again}",
    )
    command(
        "profile",
        profile.profile,
        profile.add_arguments,
        " [--out FILE] [--image-size N] [--channels N] [--cells N] [option ...]",
        "measure what every operation of a space costs on this processor",
        "Each is measured where networks of these sizes have it; random networks as a whole then"
        " tell how well their sums predict.",
    )
    command("info", _info, lambda _: None, "", "show version, processor and its speed")
    return parser
