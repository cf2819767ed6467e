# SPDX-License-Identifier: MIT
"""What all tests want: Ctrl-C, their helper modules, and `benchmarks`."""

from __future__ import annotations

import signal
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

# A shell that runs the tests in the background ignores Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

# `nets`, `plain` and `seeded`.
sys.path += [str(TESTS), str(TESTS / "reference")]


def import_benchmarks() -> None:
    """Import `benchmarks` from the checkout.

    It is not installed, and the checkout must not be in `sys.path`, for its folder `pydarts` would
    hide the installed package.
    """
    folder = TESTS.parent / "benchmarks"
    spec = spec_from_file_location(
        "benchmarks", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    sys.modules["benchmarks"] = module = module_from_spec(spec)
    spec.loader.exec_module(module)


import_benchmarks()


@pytest.fixture
def checkout_in_processes(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let processes that are started import `benchmarks` and `tests`, but not the `pydarts` beside
    them.
    """
    folder = tmp_path_factory.mktemp("path")
    for name in ("benchmarks", "tests"):
        (folder / name).symlink_to(TESTS.parent / name)
    monkeypatch.syspath_prepend(folder)
