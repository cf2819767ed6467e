# SPDX-License-Identifier: MIT
"""Benchmarks of pydarts, and the plain PyTorch reference they are measured against."""

import sys
from pathlib import Path

# `python -m benchmarks` puts the checkout first in the path, where `pydarts` is a folder of sources
# without the engine. At the end of the path, it leaves the installed package to be found.
if Path(sys.path[0]).resolve() == Path(__file__).resolve().parents[1]:
    sys.path.append(sys.path.pop(0))
