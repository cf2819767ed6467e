# SPDX-License-Identifier: MIT
"""The command ``pydarts profile``: what operations cost on this processor."""

from __future__ import annotations

import argparse

from pydarts.cli.arguments import add_debug, add_force, named
from pydarts.cli.console import DONE, claim_file, say
from pydarts.cli.images import ImageKind
from pydarts.costs import profile as costs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `profile`."""
    parser.add_argument("--out", metavar="FILE", help="JSON file to write")
    add_force(parser)
    ImageKind.add_space(parser)
    parser.add_argument(
        "--image-size",
        type=int,
        nargs="+",
        default=[32],
        metavar="N",
        help="side of the images, or height and width; length of signals (default: 32)",
    )
    numbers = {
        "channels": (16, "channels of the first cells"),
        "cells": (8, "number of cells"),
        "classes": (10, "classes"),
        "in-channels": (3, "channels of the images"),
        "batch": (1, "images of a call"),
        "threads": (1, "threads of the network"),
        "repeats": (costs.MIN_REPEATS, "calls of which the median is taken"),
        "networks": (40, "random networks that are measured as a whole"),
    }
    for name, (default, text) in numbers.items():
        parser.add_argument(
            f"--{name}", type=int, default=default, metavar="N", help=f"{text} (default: {default})"
        )
    parser.add_argument(
        "--stem",
        choices=("cifar", "imagenet"),
        default="cifar",
        help="what the network begins with (default: cifar)",
    )
    add_debug(parser)


def profile(args: argparse.Namespace) -> int:
    """Measure, show and save."""
    path = None if args.out is None else claim_file(args.out, args.force)
    with named(args):
        found = costs.profile(
            ImageKind.space(args),
            args.image_size[0] if len(args.image_size) == 1 else tuple(args.image_size),
            args.channels,
            args.cells,
            classes=args.classes,
            in_channels=args.in_channels,
            stem=args.stem,
            batch=args.batch,
            threads=args.threads,
            repeats=args.repeats,
            networks=args.networks,
        )
    rows = found.rows()
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        others = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        say("  ".join([row[0].ljust(widths[0]), *others]))
    say(f"\n{found!r}")
    if path is not None:
        found.save(path, overwrite=args.force)
        say(f"Saved in {path}")
    return DONE
