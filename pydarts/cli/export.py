# SPDX-License-Identifier: MIT
"""The command ``pydarts export``: a trained model as a file for other programs."""

from __future__ import annotations

import argparse

from pydarts.cli.arguments import add_debug, add_force, add_model
from pydarts.cli.console import DONE, claim_file, say
from pydarts.cli.kinds import load_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `export`."""
    add_model(parser)
    parser.add_argument("--onnx", metavar="FILE", required=True, help="ONNX file to write")
    add_force(parser)
    add_debug(parser)


def export(args: argparse.Namespace) -> int:
    """Write a saved model as an ONNX file."""
    path = claim_file(args.onnx, args.force)
    kind, model = load_model(args.model, None)
    model.to_onnx(path, overwrite=args.force)
    say(f"Saved in {path}: it takes {kind.exported_inputs(model)} and gives logits")
    return DONE
