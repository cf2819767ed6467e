# SPDX-License-Identifier: MIT
"""The command ``pydarts export``: a trained model as a file for other programs."""

from __future__ import annotations

import argparse

from pydarts.cli.arguments import add_debug, add_force, add_model, named
from pydarts.cli.console import DONE, claim_file, say
from pydarts.cli.kinds import load_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `export`."""
    add_model(parser)
    files = parser.add_mutually_exclusive_group(required=True)
    files.add_argument("--onnx", metavar="FILE", help="ONNX file to write")
    files.add_argument("--c", metavar="FILE", help="C file to write")
    parser.add_argument(
        "--name",
        metavar="N",
        help="with which the names of the C file's functions begin (default: model)",
    )
    parser.add_argument(
        "--int8", action="store_true", help="quantise the C file to integers of 8 bits"
    )
    parser.add_argument(
        "--calibrate",
        metavar="DATA",
        help="data of which at most 500 training images tell --int8 the ranges of activations, and"
        " at most 2,000 test images what accuracy is lost",
    )
    add_force(parser)
    add_debug(parser)


def export(args: argparse.Namespace) -> int:
    """Write a saved model as an ONNX or a C file."""
    for flag in ("name", "int8", "calibrate"):
        if args.c is None and getattr(args, flag):
            raise ValueError(f"--{flag} is for --c")
    if args.int8 != (args.calibrate is not None):
        raise ValueError("--int8 and --calibrate DATA need each other")
    path = claim_file(args.onnx or args.c, args.force)
    kind, model = load_model(args.model, None)
    if args.onnx is not None:
        model.to_onnx(path, overwrite=args.force)
        say(f"Saved in {path}: it takes {kind.exported_inputs(model)} and gives logits")
        return DONE
    options = kind.c_options(args, model)
    with named(args):
        written = model.to_c(path, args.name or "model", **options, overwrite=args.force)
    say(f"Saved in {path}: {written}")
    if written.loss is not None:
        say(f"{written.loss}")
    return DONE
