# SPDX-License-Identifier: MIT
"""The progress bar, and lines above it or in the log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

log = logging.getLogger("pydarts")


def progress_bar(
    name: str, steps: int, shown: bool, unit: str = "step", done: int = 0
) -> tqdm[Any]:
    """A bar on standard error, as wide as the terminal."""
    from tqdm import tqdm  # a sixth of the time that the package takes to import

    return tqdm(
        total=steps, desc=name, unit=unit, dynamic_ncols=True, disable=not shown, initial=done
    )


def log_line(bar: tqdm[Any], line: str, *details: str, level: int = logging.INFO) -> None:
    """Show lines above the bar; without one, send the first to the logger ``pydarts``."""
    if bar.disable:
        log.log(level, line)
    else:
        bar.write("\n".join([line, *details]), file=bar.fp)
