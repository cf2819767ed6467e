# SPDX-License-Identifier: MIT
"""Checks of arguments that many functions share."""

from __future__ import annotations

import numpy as np


def show(value: object) -> str:
    """Repr for an error message: of bounded length, and never failing."""
    try:
        text = repr(value[:80] if isinstance(value, (str, bytes, tuple, list)) else value)
    except Exception:  # a foreign object's repr must not replace our message
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else text[:77] + "..."


def integer(name: str, value: object, least: int, below: int = 2**31) -> int:
    """``value`` if it is an integer in [least, below); else an error that names it."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"`{name}` (={show(value)}) must be an integer")
    if not least <= value < below:
        raise ValueError(f"`{name}` (={value}) must be at least {least} and less than {below}")
    return int(value)
