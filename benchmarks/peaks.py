# SPDX-License-Identifier: MIT
"""``python -m benchmarks.peaks THREADS``: the FMA peaks of that many threads, as JSON."""

from __future__ import annotations

import json
import sys

from pydarts import _core


def main(threads: str) -> None:
    """Print FLOP/s of float32 by the width of vectors in bits."""
    print(json.dumps(_core.fma_peak(int(threads))))


if __name__ == "__main__":
    main(sys.argv[1])
