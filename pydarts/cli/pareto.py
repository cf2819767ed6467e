# SPDX-License-Identifier: MIT
"""The command ``pydarts pareto``: accuracy against what networks cost."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pydarts.api.limits import as_limits
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
from pydarts.cli.console import DONE, INTERRUPTED, claim_folder, say
from pydarts.cli.images import ImageKind, plain_or_unit
from pydarts.common.checks import integer
from pydarts.common.errors import ArgumentError
from pydarts.costs.budget import COSTS
from pydarts.engine.network import resolve_threads
from pydarts.evaluation.trade_off import PARETO, run_trade_off
from pydarts.methods.named import METHODS, UNDER_LIMITS, USUAL, as_pair
from pydarts.training.config import SearchConfig, TrainConfig
from pydarts.training.run_options import RunOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `pareto`."""
    parser.add_argument(
        "--out", metavar="DIR", required=True, help="folder for all results, new or empty"
    )
    add_force(parser, "begin anew, and replace the results in --out")
    ImageKind.add_data(parser)
    parser.add_argument(
        "--limits",
        nargs="+",
        required=True,
        metavar="LIMIT",
        help="such as 150us 0.2ms, or 3M 5M with --cost macs",
    )
    parser.add_argument(
        "--cost",
        choices=tuple(COSTS),
        default="latency",
        help="what is limited (default: latency, of one image on this processor)",
    )
    parser.add_argument(
        "--random",
        type=int,
        default=2,
        metavar="K",
        help="random cells to train for each limit (default: 2)",
    )
    parser.add_argument(
        "--latency-threads",
        type=int,
        default=1,
        metavar="N",
        help="threads of the networks whose latency is measured (default: 1)",
    )
    add_threads(parser)
    add_progress(parser, "a line an epoch")
    add_debug(parser)
    group = parser.add_argument_group("search")
    ImageKind.add_space(group)
    group.add_argument(
        "--method",
        choices=tuple(METHODS),
        help=f"how the alphas are learned (default: {UNDER_LIMITS}, or {USUAL} if cells may"
        " hold `none`)",
    )
    add_preset(group, SearchConfig)
    add_options(group, SearchConfig, "search")
    group = parser.add_argument_group("training")
    add_preset(group, TrainConfig, "--train-preset", None, "as --preset")
    shown = {"seed": "as --seed"}
    add_options(group, TrainConfig, "train", "train-", shown)


def pareto(args: argparse.Namespace) -> int:
    """Search, train, measure, show and save."""
    with named(args, SearchConfig):
        config = SearchConfig.make(args.preset, given(args, "search"))
    with named(args, TrainConfig, "train-"):
        options = {"seed": config.seed, **given(args, "train")}
        target = TrainConfig.make(args.train_preset or args.preset, options)
    with named(args):
        limits = [_limit(args.cost, text) for text in args.limits]
        integer("random", args.random, 0)
        for name in ("task", "class_weight"):  # None for accuracy
            if getattr(args, name) not in (None, "multiclass"):
                problem = f"(={getattr(args, name)!r}) has no use: the curve is of accuracy"
                raise ArgumentError(name, problem)
        threads = resolve_threads(args.latency_threads, "latency_threads")
        space = ImageKind.space(args)
        pair = as_pair(args.method, None, config, space)
        run = RunOptions(
            progress=sys.stderr.isatty() if args.progress is None else args.progress,
            checkpoint=claim_folder(args, PARETO, "curve"),
            resume="never" if args.force else "auto",
        )
    kind = ImageKind.load(args, resolve_threads(args.threads), space)
    with named(args, SearchConfig):
        found = run_trade_off(
            *(kind.task, pair, config, target, args.cost, sorted(limits)),
            random_cells=args.random,
            threads=threads,
            run=run,
        )
    say(f"\n{found!r}\n")
    if not found.complete:
        without = " without --force" if args.force else ""
        say(f"Interrupted: the same command{without} goes on.")
    else:
        try:
            found.plot().savefig(Path(args.out) / "pareto.png", dpi=120)
            say(f"Drawn in {Path(args.out) / 'pareto.png'}")
        except ImportError:
            say("It is not drawn, which needs matplotlib: pip install 'pydarts-nas[plot]'")
    say(f"Saved in {args.out}; `pydarts report {args.out}/limit-0` shows the first search.")
    return DONE if found.complete else INTERRUPTED


def _limit(cost: str, text: str) -> float:
    """A limit: a plain number, or one with a unit."""
    try:
        return as_limits({cost: plain_or_unit(text)})[cost]
    except ArgumentError as error:
        raise ArgumentError("limits", error.problem) from None
