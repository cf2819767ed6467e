# SPDX-License-Identifier: MIT
"""``python -m pydarts``: the same as the command ``pydarts``.

``--cmakedir`` and ``--includes`` tell programs in C and C++ where the installed library is.
"""

import sys
from pathlib import Path

from pydarts import _core
from pydarts.cli.main import main

FOLDERS = {"--cmakedir": "share/cmake/pydarts", "--includes": "include"}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in FOLDERS:
        sys.exit(main())
    folder = Path(_core.__file__).parent / FOLDERS[sys.argv[1]]
    if not folder.is_dir():
        sys.exit(f"pydarts: there is no {folder}: this copy was built without the C++ library")
    print(folder)
