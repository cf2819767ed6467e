# SPDX-License-Identifier: MIT
"""SIGTERM ends what runs as Ctrl-C does: what is left is whole, and the exit code tells."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import write_images

import pydarts
from pydarts.cli.console import uninterrupted
from pydarts.common.termination import TERMINATED, Terminated, Termination
from pydarts.training.checkpoint import read_checkpoint

posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
NET = ["--channels", "1", "--cells", "3", "--batch-size", "8", "--threads", "1"]
ENDLESS = ["--epochs", "1000000"]
TRAIN = ["--train-channels", "1", "--train-cells", "3", "--train-batch-size", "8"]
TEXT = ["--hidden-size", "8", "--batch-size", "4", "--bptt", "10", "--threads", "1", *ENDLESS]


@pytest.fixture
def termination() -> Iterator[Termination]:
    found = Termination()
    with found.handled():
        yield found
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@posix
def test_only_the_first_one_counts(termination: Termination) -> None:
    with pytest.raises(Terminated):
        signal.raise_signal(signal.SIGTERM)
    assert termination.asked
    signal.raise_signal(signal.SIGTERM)


@posix
def test_files_are_written_first(termination: Termination) -> None:
    written = []
    with pytest.raises(Terminated), uninterrupted():
        signal.raise_signal(signal.SIGTERM)
        written.append("whole")
    assert written
    assert signal.getsignal(signal.SIGTERM) is termination
    with uninterrupted():  # and the second one is none
        signal.raise_signal(signal.SIGTERM)


@posix
def test_a_handler_of_the_program_stays() -> None:
    came = []
    before = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    try:
        with Termination().handled():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert came == [signal.SIGTERM]


@posix
def test_a_loop_ends_between_two_steps(termination: Termination) -> None:
    ended = []

    class Kill(pydarts.Callback):
        def on_step_end(self, loop: object, info: object) -> None:
            signal.raise_signal(signal.SIGTERM)
            ended.append("whole")

    text = "the cat sat on the mat and the dog sat on the log\n" * 60
    sizes = {"hidden_size": 8, "batch_size": 4, "bptt": 8, "threads": 1}
    result = pydarts.search_text(text, **sizes, progress=False, callbacks=[Kill()])
    assert result.interrupted
    assert ended == ["whole"]
    assert termination.asked
    assert signal.getsignal(signal.SIGTERM) is termination


@pytest.fixture
def data(tmp_path: Path) -> str:
    return write_images(tmp_path / "data.npz", 96, tested=False)


def terminated(*arguments: str, when: str) -> tuple[str, str]:
    """What a command says and reports that gets SIGTERM twice when it logs such a line, in a shell
    that ignores Ctrl-C, as one without a terminal may.
    """
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN)"
    code += "; from pydarts.cli.main import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=Path(pydarts.__file__).parents[1],  # not the checkout, whose package has no engine
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        while when not in (line := process.stderr.readline()):
            assert line
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)  # as launchers may
        shown, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == TERMINATED == 143
    assert "Traceback" not in errors
    return shown, errors


@pytest.mark.slow
@posix
@pytest.mark.parametrize("command", ["search", "train", "search-text", "train-text"])
def test_a_command_leaves_a_whole_checkpoint(command: str, data: str, tmp_path: Path) -> None:
    out, text = tmp_path / "out", tmp_path / "text.txt"
    text.write_text("the cat sat on the mat and the dog sat on the log\n" * 60)
    arguments, name = {
        "search": ([data, *NET, *ENDLESS], "checkpoint"),
        "train": (["DARTS_V1", data, *NET, *ENDLESS], "train_checkpoint"),
        "search-text": ([str(text), *TEXT], "checkpoint"),
        "train-text": (["RECURRENT_DARTS_V1", str(text), *TEXT], "train_checkpoint"),
    }[command]
    shown, _ = terminated(command, *arguments, "--out", str(out), when="epoch   2/")
    assert shown.count("Ended by SIGTERM.") == 1
    assert "Interrupted" not in shown
    assert shown.splitlines()[-1].startswith(f"To go on: pydarts {command} ")
    assert read_checkpoint(out / f"{name}.safetensors").state["loop"]["epoch"] >= 2
    assert json.loads((out / "summary.json").read_text())["state"] == "interrupted"


@pytest.mark.slow
@posix
def test_a_curve_goes_on_from_what_is_there(data: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    limits = ["--cost", "weights", "--limits", "1M", "--random", "1"]
    arguments = [data, *NET, "--epochs", "1", *TRAIN, *limits, "--out", str(out)]
    for _ in range(2):  # before there is a first row; and again
        shown, _ = terminated("pareto", *arguments, "--train-epochs", "1000000", when="/1000000")
        assert "Interrupted: the same command goes on." in shown
        assert json.loads((out / "pareto.json").read_text())["rows"] == []
        assert list(out.glob("*/train_checkpoint.safetensors"))


@pytest.mark.slow
@posix
def test_a_comparison_keeps_what_was_trained(data: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    train = [sys.executable, "-m", "pydarts", "train", "DARTS_V1", data, *NET, "--epochs", "1"]
    cwd = Path(pydarts.__file__).parents[1]
    subprocess.run([*train, "--out", str(out)], check=True, capture_output=True, cwd=cwd)
    many = ["--random", "1", "--seeds", "20", "--epochs", "100", "--threads", "1"]
    shown, _ = terminated("compare", str(out), data, *many, when="seed 0  found")
    assert "The same command goes on." in shown
    assert json.loads((out / "compare.json").read_text())["cells"][0]["scores"]
