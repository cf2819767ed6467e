# SPDX-License-Identifier: MIT
"""What is done with files and items that cannot be read: named all together, or left out."""

from __future__ import annotations

from collections.abc import Mapping

from pydarts.common.checks import choice

_NAMED = 1000


def check_on_bad(on_bad: str) -> str:
    """Return it, or raise the error that says what it may be."""
    return choice("on_bad", on_bad, ("raise", "skip"))


def report_bad(bad: Mapping[str, str], total: int, on_bad: str, what: str, where: str) -> list[str]:
    """Raise one error that names all that is bad, or return a note about what is left out.

    Parameters
    ----------
    bad : mapping
        By its name, why each cannot be used.
    total : int
        How many there are, with the good ones.
    on_bad : {"raise", "skip"}
    what : str
        What they are, in the plural.
    where : str
        Of which data.

    Raises
    ------
    ValueError
        If there are any and they are not to be skipped, or none is good.
    """
    if not bad:
        return []
    lines = [f"{name}: {why}" for name, why in list(bad.items())[:_NAMED]]
    if len(bad) > _NAMED:
        lines.append(f"and {len(bad) - _NAMED:,} more")
    names = "\n  ".join(lines)
    found = f"{where}: {len(bad):,} of {total:,} {what} cannot be used"
    if on_bad == "raise" or len(bad) == total:
        hint = "" if len(bad) == total else "\n`on_bad`='skip' leaves them out"
        raise ValueError(f"{found}\n  {names}{hint}")
    return [f"{found} and were left out:\n  {names}"]
