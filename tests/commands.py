# SPDX-License-Identifier: MIT
"""What the tests of commands share: small data and options, the files that a folder holds in the
end, Ctrl-C, and a process of one's own."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from runs import Images, halves

import pydarts
from pydarts.cli import main as cli

# What a search leaves, beside the drawings of its cells.
RESULT_FILES = {
    "genotype.json",
    "history.csv",
    "alphas.npz",
    "alpha_history.npz",
    "checkpoint.safetensors",
    "result.json",
    "summary.json",
}
SEARCH_FILES = RESULT_FILES | {"normal.svg", "reduce.svg"}
TRAIN_FILES = {"model", "train_history.csv", "train_checkpoint.safetensors"}

NET = ["--channels", "1", "--cells", "3", "--batch-size", "8"]
TRAIN_NET = [argument.replace("--", "--train-") for argument in NET]
SHORT = ["--epochs", "1", "--threads", "1"]
TINY = [*NET, *TRAIN_NET, *SHORT, "--train-epochs", "2"]
TINY_TRAIN = [*NET, *SHORT]

posix = pytest.mark.skipif(os.name != "posix", reason="signals and pipes of POSIX")


def images(count: int, seed: int) -> Images:
    return halves(count, side=8, labels=("a", "b"), seed=seed)


def write_images(path: Path, count: int = 48, *, tested: bool = True) -> str:
    """Write images to learn from, and to test with, and return the file's name."""
    parts = dict(zip("Xy", images(count, 0), strict=True))
    if tested:
        parts["X_test"], parts["y_test"] = images(20, 1)
    np.savez(path, **parts)  # type: ignore[arg-type]
    return str(path)


def option_of(flag: str, value: object) -> list[str]:
    """An option as a command line gives it."""
    if isinstance(value, bool):
        return [flag if value else flag.replace("--", "--no-", 1)]
    values = value if isinstance(value, tuple) else [value]
    return [flag, *map(str, values)]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def error(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on standard error."""
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("pydarts: error: ")
    return lines[0]


@contextmanager
def ctrl_c_at(start: str) -> Iterator[None]:
    """Press Ctrl-C once, when a line that begins so is logged."""
    pressed: list[str] = []

    class Press(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().startswith(start) and not pressed:
                pressed.append(start)
                signal.raise_signal(signal.SIGINT)

    press = Press()
    logging.getLogger("pydarts").addHandler(press)
    try:
        yield
    finally:
        logging.getLogger("pydarts").removeHandler(press)
    assert pressed


def start(*arguments: str, python: tuple[str, ...] = ("-m", "pydarts")) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, *python, *arguments],
        cwd=Path(pydarts.__file__).parents[1],  # not the checkout, whose package has no engine
        stdout=pipe,
        stderr=pipe,
        text=True,
    )


# Jobs in the background, as those of CI may be, ignore SIGINT, and so do their children.
_HEED_SIGINT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from pydarts.cli.main import main
sys.exit(main())
"""


def diverge(capsys: pytest.CaptureFixture[str], what: str, *command: str) -> None:
    """Give a command a step that no weights survive, in its search or its training."""
    prefix, step = ("--", r"\d+") if what == "search" else ("--train-", r"[1-9]\d*")
    options = [f"{prefix}lr", "1e30", f"{prefix}max-grad-norm", "1e30", "--no-progress"]
    assert cli.main([*command, *options]) == 1
    assert re.search(rf"{what} stopped: step {step}: .*nan", error(capsys))


def interrupt(*arguments: str) -> str:
    """Press Ctrl-C in the second epoch of such a command, and return what it printed."""
    with start(*arguments, python=("-c", _HEED_SIGINT)) as process:
        try:
            assert process.stderr is not None
            while not (line := process.stderr.readline()).startswith("epoch   2/"):
                assert line
            os.kill(process.pid, signal.SIGINT)
            shown, errors = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "Traceback" not in errors
    return shown
