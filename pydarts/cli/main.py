# SPDX-License-Identifier: MIT
"""The command ``pydarts``: search a cell, train a network from one, show a search, tell what it
runs on.

Exit codes: 0 done, 1 failed, 2 unusable arguments or data, 130 interrupted. Results go to standard
output, progress and errors to standard error.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable, Sequence

import numpy as np

from pydarts import _core
from pydarts.cli import compare as cli_compare
from pydarts.cli import export as cli_export
from pydarts.cli import report as cli_report
from pydarts.cli.console import (
    DONE,
    FAILED,
    INTERRUPTED,
    UNUSABLE,
    Parser,
    complain,
    formatter,
    plain_lines,
    say,
    write,
)
from pydarts.cli.images import ImageRun
from pydarts.cli.text import TextRun, add_sample_arguments, sample


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv``, by default the process's own, and return the exit code."""
    debug = False
    try:
        args = _parse(argv)
        debug = args.debug
        with plain_lines(args.progress is None and not sys.stderr.isatty()):
            return int(args.run(args))
    except SystemExit as stop:  # of argparse, which has said why
        return int(stop.code or DONE)
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    except (ValueError, TypeError, ImportError, FileNotFoundError, PermissionError) as error:
        complain(error, debug)
        return UNUSABLE
    except (OSError, ArithmeticError, MemoryError, RuntimeError) as error:
        complain(error, debug)
        return FAILED
    finally:
        for stream in (sys.stdout, sys.stderr):
            write(stream, "")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    args, unknown = _parser().parse_known_args(argv)
    args.argv = list(sys.argv[1:] if argv is None else argv)
    if len(unknown) == 1 and not unknown[0].startswith("-") and getattr(args, "data", "") is None:
        # Before Python 3.13 argparse takes an optional DATA only where no option precedes it.
        args.data, unknown = unknown[0], []
    if unknown:  # not left to parse_args, which points at the help of the wrong parser
        args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return args


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
        say(f"{name:17}{value}")
    return DONE


def _parser() -> Parser:
    parser = Parser(
        prog="pydarts",
        description="Differentiable architecture search (DARTS) on multicore CPUs.",
        formatter_class=formatter,
        allow_abbrev=False,
    )
    version = f"pydarts {_core.__version__}"
    parser.add_argument("-V", "--version", action="version", version=version)
    parser.set_defaults(debug=False, progress=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")

    def command(
        name: str, run: Callable[[argparse.Namespace], int], usage: str, help: str, more: str = ""
    ) -> Parser:
        sub = commands.add_parser(
            name,
            usage=f"pydarts {name}{usage}",
            help=help,
            description=f"{help[0].upper()}{help[1:]}. {more}",
            formatter_class=formatter,
            allow_abbrev=False,
        )
        sub.set_defaults(run=run, parser=sub)
        return sub

    options = "[--out DIR] [--preset NAME] [option ...]"
    sub = command(
        "search",
        ImageRun.search_and_train,
        f" DATA {options}",
        "find a cell for a set of images and train a network from it",
        "The network is then tried on images that neither search nor training saw.",
    )
    ImageRun.add_search_arguments(sub)
    sub = command(
        "train",
        ImageRun.train_only,
        f" GENOTYPE DATA {options}",
        "train the network that a genotype stands for",
        "It is then tried on images that it was not trained on.",
    )
    ImageRun.add_train_arguments(sub)
    sub = command(
        "search-text",
        TextRun.search_and_train,
        f" [DATA] {options}",
        "find a recurrent cell for a text and train a language model from it",
        "The model is then tried on text that neither search nor training saw, and writes some.",
    )
    TextRun.add_search_arguments(sub)
    sub = command(
        "train-text",
        TextRun.train_only,
        " GENOTYPE [DATA] [--out DIR] [option ...]",
        "train the language model that a recurrent genotype stands for",
        "It is then tried on text that it was not trained on, and writes some.",
    )
    TextRun.add_train_arguments(sub)
    sub = command(
        "sample",
        sample,
        " DIR [--prompt TEXT] [--length N] [option ...]",
        "let a trained language model write",
    )
    add_sample_arguments(sub)
    sub = command(
        "report",
        cli_report.report,
        " DIR [--out FILE] [--force]",
        "write a page that shows a search",
        "It needs neither network nor other files, and shows the cells epoch by epoch, the alphas,"
        " the curves, the configuration and the machine.",
    )
    cli_report.add_arguments(sub)
    sub = command(
        "compare",
        cli_compare.compare_cells,
        " DIR [DATA] [--random K] [--seeds N] [option ...]",
        "tell whether a found cell is better than random ones",
        "All are trained alike, seed by seed, and tried on what nothing was learned from."
        " DIR/compare.json is written after each training, and taken up when the command is given"
        " again, also with more seeds or cells; Ctrl-C loses the training that runs.",
    )
    cli_compare.add_arguments(sub)
    sub = command(
        "export",
        cli_export.export,
        " DIR --onnx FILE [--force]",
        "write a trained model as an ONNX file",
        "It takes images as the model does: the normalisation is in it.",
    )
    cli_export.add_arguments(sub)
    command("info", _info, "", "show version, instruction set and threads")
    return parser
