# SPDX-License-Identifier: MIT
"""The command ``pydarts export``: a trained model as a file for other programs."""

from __future__ import annotations

import argparse

from pydarts.cli.console import DONE, say
from pydarts.models.files import declared_format, model_folder
from pydarts.models.image_classifier import Model
from pydarts.models.language_model import FORMAT, LanguageModel


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `export`."""
    parser.add_argument(
        "folder",
        metavar="DIR",
        help="the --out of a search or training, or the folder model in it",
    )
    parser.add_argument("--onnx", metavar="FILE", required=True, help="ONNX file to write")
    parser.add_argument("--force", action="store_true", help="replace the file if it exists")
    parser.add_argument("--debug", action="store_true", help="show where an error comes from")


def export(args: argparse.Namespace) -> int:
    """Write a saved model as an ONNX file."""
    folder = model_folder(args.folder)
    text = declared_format(folder) == FORMAT
    model = LanguageModel.load(folder) if text else Model.load(folder)
    try:
        model.to_onnx(args.onnx, overwrite=args.force)
    except FileExistsError:
        raise ValueError(f"{args.onnx} exists; --force replaces it") from None
    takes = "tokens and state" if text else "images (N, C, H, W) as float32"
    say(f"Saved in {args.onnx}: it takes {takes} and gives logits")
    return DONE
