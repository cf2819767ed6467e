# SPDX-License-Identifier: MIT
"""The commands ``pydarts predict`` and ``pydarts evaluate``: a trained model on other data."""

from __future__ import annotations

import argparse
import csv
import io
import textwrap

from pydarts.cli.arguments import (
    add_debug,
    add_files,
    add_force,
    add_image_layout,
    add_model,
    add_threads,
    named,
)
from pydarts.cli.console import DONE, claim_file, say
from pydarts.cli.kinds import load_model
from pydarts.common.files import replace_file, write_json
from pydarts.common.ranks import Ranks
from pydarts.engine.network import resolve_threads


def add_predict_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `predict`."""
    add_model(parser)
    parser.add_argument(
        "data",
        metavar="DATA",
        help="as for search; an .npz file may hold X alone. Its test images are predicted, or all"
        " where it has none",
    )
    parser.add_argument(
        "--out", metavar="FILE", required=True, help="CSV file to write: a row an image"
    )
    parser.add_argument(
        "--probabilities",
        action="store_true",
        help="add a column for each class or label, probability of NAME",
    )
    add_force(parser)
    _add_reading(parser)


def add_evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `evaluate`."""
    add_model(parser)
    parser.add_argument(
        "data",
        metavar="DATA",
        help="as for search, with labels, or as for search-text. The test images or the test text"
        " are evaluated, or all images where none are to test on",
    )
    parser.add_argument("--json", metavar="FILE", help="write the scores into a JSON file as well")
    add_force(parser)
    _add_reading(parser)


def _add_reading(parser: argparse.ArgumentParser) -> None:
    add_image_layout(parser, " (default: as the model was trained)")
    add_files(parser, "default: as the model was trained")
    add_threads(parser)
    add_debug(parser)


def predict(args: argparse.Namespace) -> int:
    """Write what a saved model predicts."""
    path = claim_file(args.out, args.force)
    with named(args):
        threads = resolve_threads(args.threads)
    kind, model = load_model(args.model, threads)
    text = io.StringIO()
    with named(args):
        csv.writer(text, lineterminator="\n").writerows(kind.predict(args, model))
    replace_file(path, text.getvalue().encode())
    say(f"Saved in {path}")
    return DONE


def evaluate(args: argparse.Namespace) -> int:
    """Show how well a saved model does."""
    ranks: Ranks = args.ranks
    path = None
    if args.json is not None:
        path = ranks.on_first(lambda: claim_file(args.json, args.force))
    with named(args):
        threads = resolve_threads(ranks.threads(args.threads))
    kind, model = load_model(args.model, threads)
    with named(args), model.network.shared_by(ranks):
        scores, about = kind.evaluate(args, model)
    for line in repr(scores).split("\n"):
        say(textwrap.fill(line, 79) if len(line) > 79 else line)
    if path is not None and ranks.first:
        described = {"format": "pydarts-scores", "version": 1, **about, **scores.to_dict()}
        write_json(path, described)
        say(f"\nSaved in {path}")
    return DONE
