# SPDX-License-Identifier: MIT
"""Everything in this folder compares with PyTorch, and is skipped where it is not installed."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

torch.set_num_threads(1)
