# SPDX-License-Identifier: MIT
"""The command ``pydarts sample``: a trained language model writes."""

from __future__ import annotations

import argparse
import sys

from pydarts.cli.arguments import add_debug, add_model, named
from pydarts.cli.console import DONE, note, printable, say
from pydarts.cli.text import SAMPLE_LENGTH
from pydarts.common.checks import integer
from pydarts.data.vocabulary import UNITS
from pydarts.models.files import model_folder
from pydarts.models.language_model import LanguageModel


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `sample`."""
    add_model(parser)
    parser.add_argument(
        "--prompt", metavar="TEXT", help="what the text begins with (default: a new line)"
    )
    lengths = (f"{length} {UNITS[level]}" for level, length in SAMPLE_LENGTH.items())
    parser.add_argument(
        "--length",
        type=int,
        metavar="N",
        help=f"characters or words to draw (default: {' or '.join(lengths)})",
    )
    parser.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        metavar="X",
        help="near 0 the likeliest is drawn, above 1 more that is surprising (default: 1)",
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="of the draws (default: a different one each time)"
    )
    add_debug(parser)


def sample(args: argparse.Namespace) -> int:
    """Let a saved model write."""
    with named(args):
        seed = None if args.seed is None else integer("seed", args.seed, 0)
    model = LanguageModel.load(model_folder(args.model))
    level = model.vocabulary.level
    prompt = "\n" if args.prompt is None else args.prompt
    length = SAMPLE_LENGTH[level] if args.length is None else args.length
    with named(args):
        text = model.sample(prompt, length, temperature=args.temperature, seed=seed)
    if args.prompt is not None:
        unknown = model.vocabulary.encode(prompt)[1]
        if unknown:
            note(f"the model does not know {unknown} of the prompt's {UNITS[level]}")
        spaced = level == "word" and not prompt[-1].isspace() and not text.startswith("\n")
        text = prompt + " " * spaced + text
    say(printable(text) if sys.stdout.isatty() else text)
    return DONE
