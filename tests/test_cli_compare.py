# SPDX-License-Identifier: MIT
"""`pydarts compare`: images and text, going on, and what it refuses."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from commands import ctrl_c_at, write_images

import pydarts
from pydarts.cli import main as cli
from pydarts.evaluation.comparison import read_comparison

TINY = ["--channels", "1", "--cells", "3", "--batch-size", "8", "--epochs", "1", "--threads", "1"]


@pytest.fixture
def data(tmp_path: Path) -> str:
    return write_images(tmp_path / "data.npz")


@pytest.fixture
def folder(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """What `train` saves."""
    out = tmp_path / "out"
    assert cli.main(["train", "DARTS_V1", data, "--out", str(out), *TINY]) == 0
    capsys.readouterr()
    return out


def error(capsys: pytest.CaptureFixture[str]) -> str:
    """The last line on standard error."""
    return capsys.readouterr().err.splitlines()[-1]


def test_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--seeds", "2", "--random", "1", "--published", "--threads", "1"]
    assert cli.main(["compare", str(folder), *options]) == 0
    shown = capsys.readouterr()
    c, _ = read_comparison(folder / "compare.json")
    assert [cell.name for cell in c.cells] == ["found", "random 0", "DARTS_V2"]
    assert c.seeds == (0, 1)
    summary = json.loads((folder / "summary.json").read_text())
    assert c.cells[0].scores[0] == summary["accuracy"]  # the same training and test images
    assert repr(c).split("\n\n")[0] in shown.out
    assert c.verdict in " ".join(shown.out.split())
    assert "Training 3 cells with 2 seeds each, with the options of" in shown.out
    assert "seed 1  random 0: accuracy " in shown.err
    assert "epoch " not in shown.err
    assert not re.search(r"[^\n\x20-\x7e]", shown.out + shown.err)
    lines = [line for line in shown.out.splitlines() if str(folder.parent) not in line]
    assert max(map(len, lines)) < 80


def test_it_goes_on_unless_forced(
    folder: Path, data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["compare", str(folder), data, "--random", "1", "--seeds"]
    assert cli.main([*command, "2", "--no-progress"]) == 0
    before = (folder / "compare.json").read_text()
    assert cli.main([*command, "2"]) == 0
    assert "accuracy" not in capsys.readouterr().err  # all was there
    assert (folder / "compare.json").read_text() == before
    assert cli.main([*command, "1"]) == 2
    assert error(capsys).endswith("has not (seed 1): --force begins anew")
    assert cli.main([*command, "2", "--epochs", "2"]) == 2
    assert "(--epochs was 1, is 2): --force begins anew" in error(capsys)
    assert (folder / "compare.json").read_text() == before
    assert cli.main([*command, "1", "--epochs", "2", "--force"]) == 0
    assert read_comparison(folder / "compare.json")[0].config["epochs"] == 2

    options = ["--out", str(folder), "--force", *TINY]
    assert cli.main(["train", "DARTS_V2", data, *options]) == 0
    assert not (folder / "compare.json").exists()  # that of another cell


def test_ctrl_c(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["compare", str(folder), "--random", "1"]
    with ctrl_c_at("seed 0  found"):
        assert cli.main([*command, "--force"]) == 130
    shown = capsys.readouterr().out
    assert "Interrupted after 1 of 6 trainings. The same command without --force goes on." in shown
    c, _ = read_comparison(folder / "compare.json")
    assert c.interrupted
    assert [len(cell.scores) for cell in c.cells] == [1, 0]
    assert cli.main(command) == 0
    assert "seed 0  found" not in capsys.readouterr().err
    assert not read_comparison(folder / "compare.json")[0].interrupted


def test_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, out = tmp_path / "text.txt", tmp_path / "out"
    text.write_text("the cat sat on the mat and the dog sat on the log. " * 40)
    tiny = ["--hidden-size", "4", "--epochs", "1", "--batch-size", "2", "--bptt", "5"]
    options = ["--level", "word", "--out", str(out), *tiny]
    assert cli.main(["train-text", "RECURRENT_DARTS_V1", str(text), *options]) == 0
    summary = json.loads((out / "summary.json").read_text())
    capsys.readouterr()
    assert cli.main(["compare", str(out), "--random", "1", "--seeds", "1"]) == 0
    c, _ = read_comparison(out / "compare.json")
    assert c.cells[0].scores[0] == summary["test_perplexity"]  # the same level, too
    assert c.cells[0].genotype == pydarts.RECURRENT_DARTS_V1
    assert "perplexity, lower is better" in capsys.readouterr().out


def test_data_are_read_as_for_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text, out = tmp_path / "text.txt", tmp_path / "text"
    text.write_text("the cat sat on the mat and the dog sat on the log. " * 40)
    tiny = ["--hidden-size", "4", "--epochs", "1", "--batch-size", "2", "--bptt", "5"]
    options = ["--level", "word", "--max-vocab", "5", "--out", str(out), *tiny]
    assert cli.main(["train-text", "RECURRENT_DARTS_V1", str(text), *options]) == 0
    assert json.loads((out / "summary.json").read_text())["max_vocab"] == 5
    short = ["--random", "1", "--seeds", "1", "--no-progress"]
    assert cli.main(["compare", str(out), *short]) == 0
    found, _ = read_comparison(out / "compare.json")
    score = json.loads((out / "summary.json").read_text())["test_perplexity"]
    assert found.cells[0].scores[0] == score
    # A folder that is called like a data set, and images whose last axis is that of the channels.
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    (tmp_path / "digits").mkdir()
    np.save(tmp_path / "digits" / "X.npy", rng.integers(0, 256, (48, 8, 8, 8), np.uint8))
    np.save(tmp_path / "digits" / "y.npy", np.arange(48) % 2)
    given = ["--image-layout", "NHWC", "--out", "images", *TINY]
    assert cli.main(["train", "DARTS_V1", "./digits", *given]) == 0
    summary = json.loads((tmp_path / "images" / "summary.json").read_text())
    assert summary["data"] == os.path.join(".", "digits")
    assert summary["image_layout"] == "NHWC"
    assert cli.main(["compare", "images", *short]) == 0
    found, _ = read_comparison(tmp_path / "images" / "compare.json")
    assert found.cells[0].scores[0] == summary["accuracy"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--random", "0"], "argument --random: 0 is not one of 1 to 1000"),
        (["--seeds", "21"], "argument --seeds: 21 is not one of 1 to 20"),
        (["--seeds", "x"], "argument --seeds: 'x' is not an integer"),
        (["--epochs", "0"], "--epochs (=0) must be at least 1"),
        (["--threads", "0"], "--threads (=0) must be at least 1"),
        (["nowhere"], "no dataset 'nowhere'"),
    ],
)
def test_unusable_options(
    options: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["compare", str(folder), *options]) == 2
    assert message in error(capsys)
    assert not (folder / "compare.json").exists()


def test_unusable_folder(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compare", str(tmp_path)]) == 2
    assert error(capsys).endswith("holds no cell: it has no genotype.json")
    (folder / "summary.json").unlink()
    assert cli.main(["compare", str(folder)]) == 2
    assert error(capsys).endswith("does not tell what the cell came from: give DATA")
    (folder / "genotype.json").write_text("{}")
    assert cli.main(["compare", str(folder)]) == 2
    assert "genotype.json: " in error(capsys)


@pytest.mark.parametrize(
    "name", ["python-docs (Python 3.11.2)", "language reference of Python 3.9"]
)
def test_documentation_of_python(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "genotype.json").write_text(pydarts.RECURRENT_DARTS_V1.to_json())
    (tmp_path / "summary.json").write_text(json.dumps({"data": name, "level": "word"}))
    with ctrl_c_at("comparing"):
        assert cli.main(["compare", str(tmp_path)]) == 130
    shown = capsys.readouterr().out
    assert re.match(r"python-docs \(Python [\d.]+\): [\d,]+ words to learn from", shown)
