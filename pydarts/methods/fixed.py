# SPDX-License-Identifier: MIT
"""α that never learns: what a selector that does not look at magnitudes begins with.

Source: Wang, Cheng, Chen, Tang, Hsieh, *Rethinking Architecture Selection in Differentiable NAS*,
ICLR 2021, https://arxiv.org/abs/2108.04392, section 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydarts.methods.mixture import MixtureMethod


@dataclass(frozen=True, kw_only=True)
class Fixed(MixtureMethod):
    """The weights alone learn; α stays nearly uniform, at its initial ``1e-3 N(0, 1)``."""

    learns: ClassVar[bool] = False

    @property
    def name(self) -> str:
        return "fixed"
