# SPDX-License-Identifier: MIT
"""`pydarts report` and `result.report()`, after real searches over images and over text."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pydarts import SearchResult
from pydarts.cli import main as cli
from pydarts.report.page import page_html
from pydarts.report.report_data import ReportData
from pydarts.spaces.published import parse_genotype

TINY = {
    "images": ["--channels", "1", "--cells", "3", "--batch-size", "8"],
    "text": ["--hidden-size", "8", "--bptt", "8", "--batch-size", "8"],
}


@pytest.fixture(scope="module", params=["images", "text"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a real search of the command line leaves."""
    out = tmp_path_factory.mktemp(request.param) / "out"
    if request.param == "images":
        rng = np.random.default_rng(0)
        data = out.parent / "data.npz"
        X, y = rng.integers(0, 255, (64, 8, 8), dtype=np.uint8), np.resize(["a", "b"], 64)
        np.savez(data, X=X, y=y, X_test=X, y_test=y)
        command = ["search", str(data), "--train-channels", "1", "--train-cells", "3"]
        command += ["--train-batch-size", "8"]
    else:
        data = out.parent / "text.txt"
        data.write_text("the cat sat on the mat and the dog sat on the log\n" * 60)
        command = ["search-text", str(data), "--train-hidden-size", "8", "--train-bptt", "8"]
        command += ["--train-batch-size", "4"]
    command += [*TINY[request.param], "--epochs", "2", "--train-epochs", "1", "--threads", "1"]
    assert cli.main([*command, "--no-progress", "--out", str(out)]) == 0
    return out


def test_all_that_was_saved_is_shown(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "page.html"
    assert cli.main(["report", str(folder), "--out", str(path)]) == 0
    assert capsys.readouterr().out == f"Saved in {path}: open it in a browser\n"
    data = ReportData.from_folder(folder)
    assert path.read_text("utf-8") == page_html(data)
    assert len(data.snapshots) >= 3
    assert (len(data.history), len(data.training_history)) == (2, 1)
    assert data.genotype == parse_genotype((folder / "genotype.json").read_text())
    assert data.config["epochs"] == 2
    summary = json.loads((folder / "summary.json").read_text())
    assert data.environment is not None
    assert data.environment["cpu"] == summary["cpu"]
    assert data.environment["instruction_set"] == summary["instruction_set"]
    assert data.facts["state"] == "finished"


def test_a_page_is_not_replaced_unasked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "report.html"
    path.write_text("mine")
    assert cli.main(["report", str(folder)]) == 2
    assert f"{path} exists; --force replaces it" in capsys.readouterr().err
    assert path.read_text() == "mine"
    assert cli.main(["report", str(folder), "--force"]) == 0
    assert path.read_text("utf-8").startswith("<!DOCTYPE html>")
    path.unlink()


def test_a_page_does_not_outlive_its_search(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    assert cli.main(["report", str(tmp_path)]) == 0
    kind = "text" if (tmp_path / "recurrent.svg").exists() else "images"
    command, name = {"text": ("train-text", "text.txt"), "images": ("train", "data.npz")}[kind]
    arguments = [command, str(folder / "genotype.json"), str(folder.parent / name)]
    options = [*TINY[kind], "--epochs", "1", "--threads", "1", "--force"]
    assert cli.main([*arguments, "--out", str(tmp_path), *options]) == 0
    assert not (tmp_path / "report.html").exists()


def test_damage_is_reported(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "history.csv").write_text("epoch\n1,2\n")
    assert cli.main(["report", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"pydarts: error: {tmp_path / 'history.csv'}")
    assert not (tmp_path / "report.html").exists()


def test_result(folder: Path, tmp_path: Path) -> None:
    result = SearchResult.load(folder)
    path = tmp_path / "page.html"
    result.report(path)
    assert path.read_text("utf-8") == page_html(ReportData.from_result(result))
    with pytest.raises(FileExistsError, match="`overwrite=True` replaces it"):
        result.report(path)
    result.report(path, overwrite=True)
    assert result._repr_html_().startswith('<div class="pydarts-result">')
