# SPDX-License-Identifier: MIT
"""Characters of texts that Hypothesis draws."""

from __future__ import annotations

from hypothesis import strategies as st

#: All but surrogates. Hypothesis's own would first take a second for a table of Unicode.
CHARACTERS = st.integers(0, 0x10FFFF - 0x800).map(lambda c: chr(c if c < 0xD800 else c + 0x800))
