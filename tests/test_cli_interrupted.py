# SPDX-License-Identifier: MIT
"""Commands that something ends early, what they leave, and how the same command goes on."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import sys
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from commands import (
    NET,
    SEARCH_FILES,
    TINY,
    TINY_TRAIN,
    TRAIN_FILES,
    TRAIN_NET,
    ctrl_c_at,
    diverge,
    error,
    images,
    interrupt,
    names,
    posix,
    start,
    write_images,
)

from pydarts import DARTS_V1, Genotype, Model, SearchResult
from pydarts.cli import main as cli
from pydarts.cli.console import alone_in, uninterrupted
from pydarts.cli.run import Run

if sys.platform != "win32":
    import fcntl


@pytest.fixture
def data(tmp_path: Path) -> str:
    return write_images(tmp_path / "data.npz")


@pytest.fixture
def untested(tmp_path: Path) -> str:
    return write_images(tmp_path / "untested.npz", 60, tested=False)


class TestCutShort:
    """Whatever ends a run early, what there is by then is saved."""

    def test_diverged_search(
        self, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "out"
        diverge(capsys, "search", "search", data, "--out", str(out), *TINY)
        assert names(out) == SEARCH_FILES
        assert json.loads((out / "summary.json").read_text())["state"] == "diverged"

    def test_diverged_training(
        self, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "out"
        diverge(capsys, "training", "search", data, "--out", str(out), *TINY)
        assert names(out) == SEARCH_FILES | TRAIN_FILES

    @posix
    def test_failed_training(
        self, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "out"
        out.mkdir()
        (out / "model").symlink_to("nowhere")
        command = ["search", data, "--out", str(out), *TINY, "--no-progress", "--force"]
        assert cli.main(command) == 1
        assert "model" in error(capsys)
        assert names(out) == (SEARCH_FILES | TRAIN_FILES) - {"summary.json", "train_history.csv"}
        (out / "model").unlink()
        assert cli.main(command[:-1]) == 0  # goes on with what was trained
        assert names(out) == SEARCH_FILES | TRAIN_FILES

    def test_interrupt_between_search_and_training(
        self, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "out"
        with ctrl_c_at("training"):
            assert cli.main(["search", data, "--out", str(out), *TINY]) == 130
        assert names(out) == SEARCH_FILES
        shown = capsys.readouterr().out.splitlines()
        assert f"To train it: pydarts train {out} {data}" in shown
        assert shown[-1].startswith(f"To go on: pydarts search {data} --out {out} ")

    def test_interrupted_twice(
        self,
        data: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def press_again(*_: object) -> None:
            raise KeyboardInterrupt

        out = tmp_path / "out"
        command = ["search", data, "--out", str(out), *TINY, "--epochs", "3"]
        with monkeypatch.context() as patch, ctrl_c_at("epoch   2/3"):
            patch.setattr(Run, "_keep_search", press_again)
            assert cli.main(command) == 130
        assert names(out) == {"checkpoint.safetensors"}
        shown = capsys.readouterr().out.splitlines()
        assert shown[-2] == "Nothing was saved but the checkpoint."
        assert shown[-1] == f"To go on: {shlex.join(['pydarts', *command])}"
        assert cli.main(command) == 0
        assert "Going on with the search" in capsys.readouterr().out
        assert names(out) == SEARCH_FILES | TRAIN_FILES

    def test_interrupt_waits_for_files(self) -> None:
        done = []
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt), uninterrupted():
                signal.raise_signal(signal.SIGINT)
                done.append("whole")
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        finally:
            signal.signal(signal.SIGINT, before)
        assert done


class TestGoingOn:
    """A command goes on with what it left in --out, and ends as if it had not been interrupted."""

    def test_in_search_and_in_training(
        self, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        whole, out = tmp_path / "whole", tmp_path / "out"
        options = [*NET, "--epochs", "3", *TRAIN_NET, "--train-epochs", "3", "--eigenvalue"]
        assert cli.main(["search", data, "--out", str(whole), *options]) == 0
        capsys.readouterr()
        command = ["search", data, "--out", str(out), *options]
        with ctrl_c_at("epoch   2/3"):
            assert cli.main([*command, "--force"]) == 130
        assert names(out) == SEARCH_FILES
        to_go_on = f"To go on: {shlex.join(['pydarts', *command])}"
        assert capsys.readouterr().out.splitlines()[-1] == to_go_on
        with ctrl_c_at("epoch   2/3"):
            assert cli.main(command) == 130  # in the training
        assert names(out) == SEARCH_FILES | TRAIN_FILES
        assert json.loads((out / "summary.json").read_text())["state"] == "interrupted"
        shown = capsys.readouterr().out
        assert f"Going on with the search in {out}." in shown
        assert shown.splitlines()[-1] == to_go_on
        assert cli.main(command) == 0
        assert f"Going on with the training in {out}." in capsys.readouterr().out
        assert names(out) == names(whole) == SEARCH_FILES | TRAIN_FILES
        self.assert_same(out, whole)

    @staticmethod
    def assert_same(out: Path, whole: Path) -> None:
        for name in ("genotype.json", "alphas.npz", "alpha_history.npz"):
            assert (out / name).read_bytes() == (whole / name).read_bytes()
        found, expected = (Model.load(folder / "model") for folder in (out, whole))
        theirs = found.network.state_dict()
        for name, value in expected.network.state_dict().items():
            np.testing.assert_array_equal(value, theirs[name])
        ours, theirs = (SearchResult.load(folder) for folder in (out, whole))
        for entry, other in zip(ours.history, theirs.history, strict=True):
            assert entry.pop("seconds") != other.pop("seconds")
            assert entry == other

    def test_what_is_finished_is_written_again(
        self, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out, whole = tmp_path / "out", tmp_path / "whole"
        command = ["search", data, "--out", str(out), *TINY]
        assert cli.main(command) == 0
        shutil.copytree(out, whole)
        for path in out.iterdir():
            if "checkpoint" not in path.name:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        capsys.readouterr()
        assert cli.main(command) == 0
        assert "epoch " not in capsys.readouterr().err
        assert names(out) == names(whole)
        for name in ("alphas.npz", "history.csv", "train_history.csv", "model/model.safetensors"):
            assert (out / name).read_bytes() == (whole / name).read_bytes()
        first, second = (json.loads((f / "summary.json").read_text()) for f in (whole, out))
        assert first.keys() == second.keys()
        assert {k for k in first if first[k] != second[k]} <= {"search_seconds", "train_seconds"}

    def test_training(self, data: str, tmp_path: Path) -> None:
        whole, out = tmp_path / "whole", tmp_path / "out"
        command = ["train", "DARTS_V1", data, *NET, "--epochs", "3", "--out"]
        assert cli.main([*command, str(whole)]) == 0
        with ctrl_c_at("epoch   1/3"):
            assert cli.main([*command, str(out)]) == 130
        assert cli.main([*command, str(out)]) == 0
        found, expected = (Model.load(folder / "model") for folder in (out, whole))
        assert len(found.history) == 3
        theirs = found.network.state_dict()
        for name, value in expected.network.state_dict().items():
            np.testing.assert_array_equal(value, theirs[name])

    def test_only_with_the_same_work(
        self, data: str, untested: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "out"
        options = [*TINY, "--no-progress", "--out", str(out)]
        assert cli.main(["search", data, *options]) == 0
        kept = [out / name for name in ("genotype.json", "alphas.npz", "summary.json")]
        kept += [out / "train_history.csv", *(out / "model").iterdir()]
        before = [path.read_bytes() for path in kept]
        capsys.readouterr()
        for data_and_options, words in (
            ([data, "--lr", "0.5"], "--lr was 0.025, is 0.5"),
            ([data, "--train-lr", "0.5"], "--train-lr was 0.1, is 0.5"),
            ([untested], "other data"),
        ):
            assert cli.main(["search", *data_and_options, *options]) == 2
            line = error(capsys)
            assert f"checkpoint.safetensors is of another run ({words})" in line
            assert line.endswith(": --force begins anew")
        assert before == [path.read_bytes() for path in kept]
        assert cli.main(["train", "DARTS_V1", data, *TINY_TRAIN, "--out", str(out)]) == 2
        assert "train_checkpoint.safetensors is of another run" in capsys.readouterr().err
        assert cli.main(["search", untested, *options, "--lr", "0.5", "--force"]) == 0
        assert SearchResult.load(out).config.lr == 0.5
        assert json.loads((out / "summary.json").read_text())["data"] == untested

    def test_a_search_that_goes_on_to_another_cell_trains_that(
        self, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out, other = tmp_path / "out", tmp_path / "other"
        command = ["search", data, *TINY, "--epochs", "2", "--out", str(out)]
        with ctrl_c_at("epoch   1/2"):
            assert cli.main(command) == 130
        # As if a training had followed what a budget ended.
        train = ["train", "DARTS_V1", data, *TINY_TRAIN, "--out", str(other)]
        assert cli.main(train) == 0
        shutil.copytree(other, out, dirs_exist_ok=True)
        assert cli.main(command) == 0
        genotype = Genotype.from_json((out / "genotype.json").read_text())
        assert Model.load(out / "model").genotype == genotype != DARTS_V1

    def test_force_in_the_folder_of_a_search(self, data: str, tmp_path: Path) -> None:
        out = tmp_path / "out"
        search = ["search", data, *TINY, "--no-train", "--no-progress", "--out", str(out)]
        assert cli.main(search) == 0
        train = ["train", "{cell}", data, *TINY_TRAIN, "--out", str(out), "--no-progress"]
        own = [str(out) if argument == "{cell}" else argument for argument in train]
        assert cli.main(own) == 2
        assert cli.main([*own, "--force"]) == 0
        assert names(out) == SEARCH_FILES | TRAIN_FILES
        other = ["DARTS_V1" if argument == "{cell}" else argument for argument in train]
        assert cli.main([*other, "--force"]) == 0
        assert names(out) == {"genotype.json", "summary.json", *TRAIN_FILES}


@posix
class TestOneAtATime:
    """No two commands work in one folder; a killed one leaves it free."""

    def test_a_second_command(
        self, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "out"
        search = ["search", data, *TINY, "--no-train", "--no-progress", "--out", str(out)]
        assert cli.main(search) == 0
        before = {path.name: path.read_bytes() for path in out.iterdir()}
        train = ["train", "DARTS_V1", data, "--no-progress", "--out", str(out)]
        capsys.readouterr()
        with alone_in(out, "--out"):
            for command in (search, [*search, "--force"], [*train, "--force"]):
                assert cli.main(command) == 2
                assert error(capsys).endswith(f"--out (={out}) is in use by another run")
            assert cli.main(["compare", str(out)]) == 2
            assert error(capsys).endswith(f"DIR (={out}) is in use by another run")
        assert before == {path.name: path.read_bytes() for path in out.iterdir()}
        assert cli.main(search) == 0

    def test_after_a_kill(self, data: str, tmp_path: Path) -> None:
        out = tmp_path / "out"
        search = ["search", data, *NET, "--no-train", "--threads", "1", "--out", str(out)]
        with start(*search, "--epochs", "1000000") as process:
            assert process.stderr is not None
            while not (line := process.stderr.readline()).startswith("epoch   2/"):
                assert line
            process.kill()
        assert (out / ".pydarts.lock").exists()
        assert cli.main([*search, "--epochs", "1", "--force", "--no-progress"]) == 0
        assert names(out) == SEARCH_FILES

    def test_a_lock_that_was_removed_meanwhile(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        flock, locked = fcntl.flock, []

        def late(file: IO[str], how: int) -> None:
            if not locked:  # the command before ends between the opening and the locking
                (tmp_path / ".pydarts.lock").unlink()
            flock(file, how)
            locked.append(file)

        monkeypatch.setattr(fcntl, "flock", late)
        with alone_in(tmp_path, "--out"):
            assert len(locked) == 2
            assert names(tmp_path) == {".pydarts.lock"}
            with pytest.raises(ValueError, match="in use"), alone_in(tmp_path, "--out"):
                pass
        assert not names(tmp_path)


class TestBudgets:
    def test_search(self, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        command = ["search", data, *TINY, "--no-train", "--no-progress"]
        assert cli.main([*command, "--memory-budget", "1kB"]) == 2
        assert "--memory-budget (=1 kB) is too small" in error(capsys)
        out = tmp_path / "out"
        options = ["--epochs", "100000", "--time-budget", "0.5s", "--out", str(out)]
        assert cli.main([*command, *options]) == 0
        shown = capsys.readouterr().out
        assert re.search(r"Search: 300,000 steps in 100000 epochs: about .* and .*B\.", shown)
        assert "It stopped early: the time budget of 0.5 s is spent." in shown
        summary = json.loads((out / "summary.json").read_text())
        assert summary["search_stopped"] == "the time budget of 0.5 s is spent"
        assert summary["search_seconds"] > 0

    @pytest.mark.parametrize("command", ["search", "train"])
    def test_training(
        self, command: str, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "out"
        if command == "search":
            options = [*TINY, "--train-epochs", "100000", "--train-time-budget", "0.5s"]
        else:
            options = ["DARTS_V1", *TINY_TRAIN, "--epochs", "100000", "--time-budget", "0.5s"]
        assert cli.main([command, *options, data, "--no-progress", "--out", str(out)]) == 0
        assert "It stopped early: the time budget of 0.5 s is spent." in capsys.readouterr().out
        summary = json.loads((out / "summary.json").read_text())
        assert summary["train_stopped"] == "the time budget of 0.5 s is spent"
        assert summary["train_seconds"] > 0
        assert summary["accuracy"] == Model.load(out / "model").score(*images(20, 1))

    def test_memory_of_a_training(self, data: str, capsys: pytest.CaptureFixture[str]) -> None:
        command = ["train", "DARTS_V1", data, *TINY_TRAIN, "--no-progress"]
        assert cli.main([*command, "--memory-budget", "1kB"]) == 2
        assert "--memory-budget (=1 kB) is too small: the training needs" in error(capsys)


@posix
@pytest.mark.parametrize("command", ["search", pytest.param("train", marks=pytest.mark.slow)])
def test_ctrl_c(command: str, data: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    what = ["search", data, *TRAIN_NET] if command == "search" else ["train", "DARTS_V1", data]
    endless = [*NET, "--epochs", "1000000", "--threads", "1", "--out", str(out)]
    shown = interrupt(*what, *endless)
    assert f"Interrupted.\nSaved in {out}:" in shown
    assert json.loads((out / "summary.json").read_text())["state"] == "interrupted"
    if command == "search":
        assert names(out) == SEARCH_FILES
        assert Genotype.parse(shown) == Genotype.from_json((out / "genotype.json").read_text())
    else:
        assert len(Model.load(out / "model").history) >= 2


@pytest.mark.slow
@posix
def test_a_reader_that_leaves_does_not_stop_the_work(data: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with start("search", data, "--out", str(out), *TINY) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
    assert process.returncode == 0
    assert names(out) == SEARCH_FILES | TRAIN_FILES | {"finalists.json"}
    assert "BrokenPipe" not in errors
