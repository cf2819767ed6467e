# SPDX-License-Identifier: MIT
"""The command ``pydarts report``: a search as a page to look at."""

from __future__ import annotations

import argparse
from pathlib import Path

from pydarts.cli.arguments import add_debug, add_force
from pydarts.cli.console import DONE, claim_file, say
from pydarts.report.page import write_page
from pydarts.report.report_data import ReportData


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `report`."""
    parser.add_argument("folder", metavar="DIR", help="the --out of search or search-text")
    parser.add_argument("--out", metavar="FILE", help="file to write (default: DIR/report.html)")
    add_force(parser)
    add_debug(parser)


def report(args: argparse.Namespace) -> int:
    """Write the page of a saved search."""
    data = ReportData.from_folder(args.folder)
    path = claim_file(args.out or str(Path(args.folder) / "report.html"), args.force)
    write_page(data, path, overwrite=args.force)
    say(f"Saved in {path}: open it in a browser")
    return DONE
