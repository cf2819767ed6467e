# SPDX-License-Identifier: MIT
"""The command ``pydarts compare``: whether a found cell is better than random ones."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydarts.cli.arguments import (
    add_debug,
    add_files,
    add_force,
    add_image_layout,
    add_progress,
    add_signals,
    add_splitting,
    add_targets,
    add_threads,
    named,
)
from pydarts.cli.base import Kind
from pydarts.cli.console import DONE, INTERRUPTED, alone_in, log, say
from pydarts.cli.kinds import GENOTYPE, KINDS, SUMMARY, read_genotype_file
from pydarts.engine.network import resolve_threads
from pydarts.evaluation.compare_cells import OtherComparison, run_comparison
from pydarts.evaluation.comparison import COMPARISON
from pydarts.evaluation.statistics import MAX_ARRANGEMENTS
from pydarts.training.config import TrainConfig

_MAX_SEEDS = int(math.log2(MAX_ARRANGEMENTS))


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
        type=_count(1, _MAX_SEEDS),
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
        "--epochs",
        type=int,
        metavar="N",
        help="passes of a training (default: as the model in DIR was trained, or of --preset)",
    )
    add_image_layout(parser)
    add_targets(parser)
    add_signals(parser)
    add_splitting(parser)
    add_files(parser)
    parser.add_argument(
        "--level", choices=("word", "char"), help="of text (default: that of the search)"
    )
    parser.add_argument("--max-vocab", type=int, metavar="N", help="of text, as for search-text")
    add_force(parser, f"begin anew, and replace DIR/{COMPARISON}")
    add_threads(parser)
    add_progress(parser, "a line a training")
    add_debug(parser)


def compare(args: argparse.Namespace) -> int:
    """Compare the cell of a folder with random ones."""
    folder = Path(args.folder)
    if not (folder / GENOTYPE).is_file():
        raise FileNotFoundError(f"{folder} holds no cell: it has no {GENOTYPE}")
    args.held.enter_context(alone_in(folder, "DIR"))
    genotype = read_genotype_file(folder / GENOTYPE)
    kind = KINDS[genotype.kind]
    if args.data is None:
        _read_data(kind, args, folder)
    with named(args):
        threads = resolve_threads(args.threads)
        config, source = _config(kind, args, folder)
    task = kind.load(args, threads, genotype.space).task
    cells = 1 + args.random + args.published
    seeds = "1 seed" if args.seeds == 1 else f"{args.seeds} seeds each"
    say(f"Training {cells} cells with {seeds}, {source}.")
    log.info("comparing")
    with named(args):
        try:
            comparison = run_comparison(
                task,
                genotype,
                config,
                seeds=range(args.seeds),
                random_cells=args.random,
                published=args.published,
                checkpoint=folder,
                resume="never" if args.force else "auto",
                progress=sys.stderr.isatty() if args.progress is None else args.progress,
            )
        except OtherComparison as error:
            raise ValueError(f"{error.reason}: --force begins anew") from error
    *table, verdict = repr(comparison).split("\n")
    say("\n".join(["", *table, textwrap.fill(verdict, 79), ""]))
    if comparison.interrupted:
        done = sum(len(cell.scores) for cell in comparison.cells)
        again = "The same command without --force" if args.force else "The same command"
        say(f"Interrupted after {done} of {cells * args.seeds} trainings. {again} goes on.")
    say(f"Saved in {folder / COMPARISON}")
    return INTERRUPTED if comparison.interrupted else DONE


def _read_data(kind: type[Kind], args: argparse.Namespace, folder: Path) -> None:
    """Fill in what the data of a folder's search was."""
    path = folder / SUMMARY
    try:
        kind.saved_data(json.loads(path.read_text(encoding="utf-8")), args)
    except (OSError, ValueError, KeyError, TypeError):
        raise ValueError(f"{path} does not tell what the cell came from: give DATA") from None


def _config(kind: type[Kind], args: argparse.Namespace, folder: Path) -> tuple[Any, str]:
    """Options of the trainings, and where they are from."""
    if args.preset is None and (folder / "model" / "model.json").is_file():
        config = kind.model_type.load(folder / "model").config
        source = f"with the options of {folder / 'model'}"
    else:
        preset = args.preset or "quick"
        config, source = kind.task_type.train_config.make(preset), f"preset {preset}"
    if args.epochs is not None:
        config = dataclasses.replace(config, epochs=args.epochs)
    return config, source


def _count(minimum: int, maximum: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not an integer") from None
        if not minimum <= number <= maximum:
            raise argparse.ArgumentTypeError(f"{number} is not one of {minimum} to {maximum}")
        return number

    return convert
