# SPDX-License-Identifier: MIT
"""``python -m pydarts``: the same as the command ``pydarts``."""

import sys

from pydarts.cli import main

if __name__ == "__main__":
    sys.exit(main())
