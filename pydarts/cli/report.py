# SPDX-License-Identifier: MIT
"""The command ``pydarts report``: a search as a page to look at."""

from __future__ import annotations

import argparse
from pathlib import Path

from pydarts.cli.console import DONE, say
from pydarts.report.page import page
from pydarts.report.report_data import Record


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `report`."""
    parser.add_argument("folder", metavar="DIR", help="the --out of search or search-text")
    parser.add_argument("--out", metavar="FILE", help="file to write (default: DIR/report.html)")
    parser.add_argument("--force", action="store_true", help="replace the file if it exists")
    parser.add_argument("--debug", action="store_true", help="show where an error comes from")


def report(args: argparse.Namespace) -> int:
    """Write the page of a saved search."""
    record = Record.read(args.folder)
    path = Path(args.folder) / "report.html" if args.out is None else Path(args.out)
    text = page(record)
    try:
        with path.open("w" if args.force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ValueError(f"{path} exists; --force replaces it") from None
    say(f"Saved in {path}: open it in a browser")
    return DONE
