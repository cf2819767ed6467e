# SPDX-License-Identifier: MIT
"""Everything in this folder compares with PyTorch, and is skipped where it is not installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

# At the end of the path: the installed pydarts must win over the folder in the repository.
sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[2])]

torch.set_num_threads(1)
