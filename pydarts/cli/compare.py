# SPDX-License-Identifier: MIT
"""The command ``pydarts compare``: whether a found cell is better than random ones."""

from __future__ import annotations

import argparse
import json
import math
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydarts.cli.console import DONE, INTERRUPTED, log, named_as_options, say, split
from pydarts.cli.images import ImageRun
from pydarts.cli.run import add_running
from pydarts.cli.text import TextRun
from pydarts.data.text import BUILT_IN
from pydarts.engine.network import resolve_threads
from pydarts.evaluation.comparing import OtherComparison, compare, compare_text
from pydarts.evaluation.comparison import COMPARISON, MOST
from pydarts.models.image_classifier import Model
from pydarts.models.language_model import LanguageModel
from pydarts.spaces.darts import Genotype
from pydarts.spaces.recurrent import RecurrentGenotype
from pydarts.training.config import TextTrainConfig, TrainConfig

_SEEDS = int(math.log2(MOST))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `compare`."""
    parser.add_argument(
        "folder", metavar="DIR", help="the --out of search, train, search-text or train-text"
    )
    parser.add_argument(
        "data",
        metavar="DATA",
        nargs="?",
        help="as for search or search-text (default: what DIR came from)",
    )
    parser.add_argument(
        "--random",
        type=_count(1, 1000),
        default=3,
        metavar="K",
        help="random cells to train (default: 3)",
    )
    parser.add_argument(
        "--seeds",
        type=_count(1, _SEEDS),
        default=3,
        metavar="N",
        help="train every cell with the seeds 0 to N-1; fewer than 6 cannot show a difference"
        " (default: 3)",
    )
    parser.add_argument(
        "--published", action="store_true", help="show DARTS_V2 or RECURRENT_DARTS_V2 as well"
    )
    parser.add_argument(
        "--preset",
        choices=tuple(TrainConfig.presets),
        help="quick (minutes a training on two cores), standard, or the paper's own (default: all"
        " options that the model in DIR was trained with, or quick)",
    )
    parser.add_argument(
        "--epochs", type=int, metavar="N", help="passes of a training (default: of the preset)"
    )
    parser.add_argument(
        "--image-layout", choices=("NCHW", "NHWC"), help="of images whose shape does not tell it"
    )
    parser.add_argument(
        "--level", choices=("word", "char"), help="of texts (default: that of the search)"
    )
    parser.add_argument("--max-vocab", type=int, metavar="N", help="of texts, as for search-text")
    parser.add_argument(
        "--force", action="store_true", help=f"begin anew, and replace DIR/{COMPARISON}"
    )
    add_running(parser, "a line a training")


def compare_cells(args: argparse.Namespace) -> int:
    """Compare the cell of a folder with random ones."""
    folder = Path(args.folder)
    genotype = _read_genotype(folder)
    recurrent = isinstance(genotype, RecurrentGenotype)
    _complete(args, folder, recurrent)
    with named_as_options():
        threads = resolve_threads(args.threads)
        options, source = _options(args, folder, recurrent)
    data: Any = (TextRun if recurrent else ImageRun).load(args)
    cells = 1 + args.random + args.published
    seeds = "1 seed" if args.seeds == 1 else f"{args.seeds} seeds each"
    say(f"Training {cells} cells with {seeds}, {source}.")
    log.info("comparing")
    common: dict[str, Any] = {
        "seeds": range(args.seeds),
        "random_cells": args.random,
        "published": args.published,
        "file": folder / COMPARISON,
        "resume": "never" if args.force else "auto",
        "threads": threads,
        "progress": sys.stderr.isatty() if args.progress is None else args.progress,
        **options,
    }
    with named_as_options():
        try:
            if isinstance(genotype, RecurrentGenotype):
                comparison = compare_text(genotype, data, **common)
            else:
                test = {"X_test": data.X_test, "y_test": data.y_test, **ImageRun.data_options(args)}
                comparison = compare(genotype, data.X_train, data.y_train, **test, **common)
        except OtherComparison as error:
            raise ValueError(f"{error.reason}: --force replaces it") from error
    *table, verdict = repr(comparison).split("\n")
    say("\n".join(["", *table, textwrap.fill(verdict, 79), ""]))
    if comparison.interrupted:
        done = sum(len(cell.scores) for cell in comparison.cells)
        every = cells * args.seeds
        again = "The same command without --force" if args.force else "The same command"
        say(f"Interrupted after {done} of {every} trainings. {again} goes on.")
    say(f"Saved in {folder / COMPARISON}")
    return INTERRUPTED if comparison.interrupted else DONE


def _read_genotype(folder: Path) -> Genotype | RecurrentGenotype:
    path = folder / "genotype.json"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no cell: it has no genotype.json")
    try:
        text = path.read_text(encoding="utf-8")
        try:
            return RecurrentGenotype.from_json(text)
        except ValueError:
            return Genotype.from_json(text)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _complete(args: argparse.Namespace, folder: Path, recurrent: bool) -> None:
    """Fill in what the data is, and what the loaders of the other commands look at."""
    args.out = None
    if args.data is not None:
        return
    path = folder / "summary.json"
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        args.data = str(summary["data"])
        if recurrent:
            args.level = args.level or str(summary["level"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ValueError(f"{path} does not tell what the cell came from: give DATA") from None
    if recurrent and args.data.startswith(BUILT_IN):
        args.data = None


def _options(args: argparse.Namespace, folder: Path, recurrent: bool) -> tuple[dict[str, Any], str]:
    """Options of the trainings, and where they are from."""
    options, source = {"preset": args.preset or "quick"}, f"preset {args.preset or 'quick'}"
    if args.preset is None and (folder / "model" / "model.json").is_file():
        model = (LanguageModel if recurrent else Model).load(folder / "model")
        options, source = model.config.to_dict(), f"with the options of {folder / 'model'}"
        del options["seed"]
    if args.epochs is not None:
        options["epochs"] = args.epochs
    config = TextTrainConfig if recurrent else TrainConfig
    config.make(**split(options))
    return options, source


def _count(least: int, most: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not an integer") from None
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{number} is not one of {least} to {most}")
        return number

    return convert
