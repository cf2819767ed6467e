# SPDX-License-Identifier: MIT
"""Benchmarks of pydarts, and the plain PyTorch reference they are measured against."""

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]

# `python -m benchmarks` puts the checkout first in the path. Where its folder `pydarts` is sources
# without the engine, at the end of the path it leaves the installed package to be found.
if not any(path.suffix in (".so", ".pyd") for path in (_ROOT / "pydarts").iterdir()):
    sys.path.sort(key=lambda entry: Path(entry).resolve() == _ROOT)
