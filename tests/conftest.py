# SPDX-License-Identifier: MIT
"""What all tests want: Ctrl-C, their helper modules, and `benchmarks`."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace

import pytest

import pydarts

TESTS = Path(__file__).parent

# A shell that runs the tests in the background ignores Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

# `nets`, `plain`, `seeded` and the like.
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

try:
    from hypothesis import settings
except ImportError:  # `test_minimal.py` does without
    pass
else:
    # The same examples each time, more of them in .ci/run; others may work here, so no deadline.
    count = int(os.environ.get("PYDARTS_EXAMPLES", "25"))
    settings.register_profile(
        "pydarts", max_examples=count, deadline=None, derandomize=True, database=None
    )
    settings.load_profile("pydarts")


def note_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Add what was skipped, and why, to the file that `PYDARTS_SKIPPED` names: `.ci/run` runs it
    again where what it lacked is installed.
    """
    name = os.environ.get("PYDARTS_SKIPPED")
    if name and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else ""
        with open(name, "a", encoding="utf-8") as file:
            file.write(f"{report.nodeid}\t{reason}\n")


pytest_runtest_logreport = pytest_collectreport = note_skipped


@pytest.fixture(scope="session", autouse=True)
def usual_selectors() -> Iterator[Mapping[str, str]]:
    """Let searches choose by magnitude where a test does not say how, for most are about something
    else, and the trainings of finalists take time. Yield what is usual outside of tests.
    """
    with pytest.MonkeyPatch.context() as patch:
        usual = pydarts.SearchConfig.selectors
        patch.setattr(pydarts.SearchConfig, "selectors", {})
        yield usual


@pytest.fixture
def usual_selector(usual_selectors: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let searches choose as they do outside of tests."""
    monkeypatch.setattr("pydarts.SearchConfig.selectors", usual_selectors)


@pytest.fixture
def spend(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return what lets seconds of time budgets go by at once."""
    spent: list[float] = []
    clock = SimpleNamespace(perf_counter=lambda: time.perf_counter() + sum(spent))
    monkeypatch.setattr("pydarts.training.run_options.time", clock)
    return spent.append


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
