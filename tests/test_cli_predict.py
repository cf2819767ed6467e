# SPDX-License-Identifier: MIT
"""`pydarts predict` and `pydarts evaluate`: images and text, and what they refuse."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from commands import error, images

import pydarts
from pydarts import LanguageModel, Model
from pydarts.cli import main as cli
from pydarts.data.datasets import load

TEXT = "all that glitters is not gold\nnor all that is gold shines\n" * 40


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what `train` and `train-text` would save of their models."""
    folder = tmp_path_factory.mktemp("saved")
    quick = {"epochs": 2, "batch_size": 8, "threads": 1, "progress": False}
    net = {"channels": 1, "cells": 3}
    model = pydarts.train(pydarts.DARTS_V1, *images(48, 0), **net, **quick)  # type: ignore[arg-type]
    model.save(folder / "images" / "model")
    for level in ("char", "word"):
        text = pydarts.train_text(
            pydarts.RECURRENT_DARTS_V1,
            TEXT,
            level=level,  # type: ignore[arg-type]
            hidden_size=4,
            bptt=5,
            **quick,  # type: ignore[arg-type]
        )
        text.save(folder / level / "model")
    return folder


def write(path: Path, **arrays: np.ndarray) -> str:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return str(path)


@pytest.fixture
def tested(tmp_path: Path) -> str:
    X, y = images(12, 3)
    X_test, y_test = images(20, 1)
    return write(tmp_path / "tested.npz", X=X, y=y, X_test=X_test, y_test=y_test)


@pytest.fixture
def untested(tmp_path: Path) -> str:
    X, y = images(12, 3)
    return write(tmp_path / "untested.npz", X=X, y=y)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class TestPredict:
    def test_test_images(
        self, saved: Path, tested: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path, model = tmp_path / "p.csv", Model.load(saved / "images" / "model")
        assert cli.main(["predict", str(saved / "images"), tested, "--out", str(path)]) == 0
        assert capsys.readouterr().out == (
            f"Predicted 20 images: test images of {tested}\nSaved in {path}\n"
        )
        X, y = images(20, 1)
        found = rows(path)
        assert path.read_text().startswith("index,label,predicted,probability\n0,a,")
        assert [row["index"] for row in found] == [str(i) for i in range(20)]
        assert [row["label"] for row in found] == y.tolist()
        assert [row["predicted"] for row in found] == model.predict(X).tolist()
        likeliest = model.predict_proba(X).max(axis=1)
        np.testing.assert_allclose([float(row["probability"]) for row in found], likeliest, 1e-5)

    def test_probabilities_of_all_images(
        self, saved: Path, untested: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path, model = tmp_path / "p.csv", Model.load(saved / "images" / "model")
        command = ["predict", str(saved / "images" / "model"), untested, "--out", str(path)]
        assert cli.main([*command, "--probabilities", "--threads", "1"]) == 0
        assert "Predicted 12 images: images of" in capsys.readouterr().out
        found = rows(path)
        names = ["index", "label", "predicted", "probability"]
        assert list(found[0]) == [*names, "probability of a", "probability of b"]
        shown = [[float(row[f"probability of {c}"]) for c in "ab"] for row in found]
        np.testing.assert_allclose(shown, model.predict_proba(images(12, 3)[0]), 1e-5)

    def test_a_dataset_by_name(self, saved: Path, tmp_path: Path) -> None:
        pytest.importorskip("sklearn", reason="scikit-learn, of the extra `test`, is not installed")
        path = tmp_path / "p.csv"
        assert cli.main(["predict", str(saved / "images"), "digits", "--out", str(path)]) == 0
        data = load("digits")
        assert data.y_test is not None
        assert [int(row["label"]) for row in rows(path)] == data.y_test.tolist()

    @pytest.mark.parametrize("names", [("X",), ("X", "X_test")])
    def test_without_labels(self, names: tuple[str, ...], saved: Path, tmp_path: Path) -> None:
        X = images(9, 3)[0]
        arrays = {name: X[: 9 - 2 * i] for i, name in enumerate(names)}
        data, path = write(tmp_path / "data.npz", **arrays), tmp_path / "p.csv"
        assert cli.main(["predict", str(saved / "images"), data, "--out", str(path)]) == 0
        found = rows(path)
        assert list(found[0]) == ["index", "predicted", "probability"]
        assert len(found) == len(arrays[names[-1]])

    def test_a_file_that_exists(
        self, saved: Path, tested: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "p.csv"
        path.write_text("mine")
        command = ["predict", str(saved / "images"), tested, "--out", str(path)]
        assert cli.main(command) == 2
        assert f"{path} exists; --force replaces it" in error(capsys)
        assert path.read_text() == "mine"
        assert cli.main([*command, "--force"]) == 0
        assert len(rows(path)) == 20
        assert {p.name for p in tmp_path.iterdir()} == {"p.csv", "tested.npz"}

    def test_a_file_that_cannot_be(
        self, saved: Path, tested: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        command = ["predict", str(saved / "images"), tested, "--out"]
        assert cli.main([*command, str(tmp_path)]) == 2
        assert f"{tmp_path} is a folder" in error(capsys)
        assert cli.main([*command, str(tmp_path / "none" / "p.csv")]) == 2
        assert f"there is no folder {tmp_path / 'none'}" in error(capsys)

    def test_a_language_model_predicts_no_labels(
        self, saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "p.csv"
        assert cli.main(["predict", str(saved / "char"), "digits", "--out", str(path)]) == 2
        line = error(capsys)
        assert "`pydarts sample` lets it write, `pydarts evaluate` tells its perplexity" in line
        assert not path.exists()

    @pytest.mark.parametrize(
        ("arrays", "words"),
        [
            ({"X": np.zeros((4, 3, 3))}, "data.npz: X has shape (4, 3, 3)"),
            ({"X": np.full((4, 8, 8), np.nan)}, "data.npz: X holds 256 pixel(s) that are NaN"),
            ({"X": images(4, 0)[0], "y": np.zeros(3)}, "X holds 4 images but `y` holds 3 labels"),
            ({"X": images(4, 0)[0], "y": np.zeros((4, 2))}, "y has shape (4, 2)"),
            (
                {"X": images(4, 0)[0], "X_test": images(4, 0)[0], "y_test": np.zeros((4, 2))},
                "data.npz (test): y has shape (4, 2)",
            ),
            (
                {"X": images(4, 0)[0], "X_test": np.zeros((4, 3, 3))},
                "data.npz (test): X has shape (4, 3, 3)",
            ),
            ({"X": np.zeros((4, 8, 8, 3))}, "3 channel(s), but the model takes 1"),
            ({"X": np.zeros((4, 5, 8, 8))}, "does not say where the channels are"),
            ({"y": np.zeros(4)}, "needs arrays 'X'"),
        ],
    )
    def test_bad_data(
        self,
        arrays: dict[str, np.ndarray],
        words: str,
        saved: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        path = tmp_path / "p.csv"
        data = write(tmp_path / "data.npz", **arrays)
        assert cli.main(["predict", str(saved / "images"), data, "--out", str(path)]) == 2
        line = error(capsys)
        assert words in line
        assert "data.npz" in line
        assert not path.exists()

    def test_bad_arguments(
        self, saved: Path, tested: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = ["--out", str(tmp_path / "p.csv")]
        model = str(saved / "images")
        for arguments, words in (
            ([model, tested], "the following arguments are required: --out"),
            ([model, tested, *out, "--threads", "0"], "--threads (=0) must be at least 1"),
            ([str(tmp_path), tested, *out], f"{tmp_path} holds no model"),
            ([model, "nowhere", *out], "no dataset 'nowhere'"),
        ):
            assert cli.main(["predict", *arguments]) == 2
            assert words in error(capsys)

    def test_layout(self, saved: Path, tmp_path: Path) -> None:
        X = images(4, 0)[0][..., np.newaxis]
        data, path = write(tmp_path / "data.npz", X=X[:, :, :4]), tmp_path / "p.csv"
        command = ["predict", str(saved / "images"), data, "--out", str(path)]
        assert cli.main([*command, "--image-layout", "NCHW"]) == 2  # of 8 channels
        assert cli.main([*command, "--image-layout", "NHWC"]) == 0
        assert len(rows(path)) == 4


class TestEvaluate:
    def test_test_images(
        self, saved: Path, tested: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path, model = tmp_path / "scores.json", Model.load(saved / "images" / "model")
        assert cli.main(["evaluate", str(saved / "images"), tested, "--json", str(path)]) == 0
        scores = model.evaluate(*images(20, 1))
        shown = capsys.readouterr().out
        assert shown == f"The 20 test images of {tested}:\n\n{scores!r}\n\nSaved in {path}\n"
        about = {"format": "pydarts-scores", "version": 1, "data": tested, "part": "test"}
        assert json.loads(path.read_text()) == {**about, **scores.to_dict()}

    def test_all_images(
        self, saved: Path, untested: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(["evaluate", str(saved / "images"), untested]) == 0
        shown = capsys.readouterr().out
        assert f"{untested} has no test images: these are all 12 of its images." in shown
        assert "A model that was trained on some of them is judged too kindly." in shown
        assert repr(Model.load(saved / "images" / "model").evaluate(*images(12, 3))) in shown

    @pytest.mark.parametrize("level", ["char", "word"])
    def test_text(
        self, level: str, saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for part, text in (("train", TEXT), ("valid", TEXT), ("test", "gold is not silver")):
            (tmp_path / f"{part}.txt").write_text(text)
        path = tmp_path / "scores.json"
        command = ["evaluate", str(saved / level), str(tmp_path), "--json", str(path)]
        assert cli.main([*command, "--threads", "1"]) == 0
        shown = capsys.readouterr().out
        unit = {"char": "characters", "word": "words"}[level]
        assert shown.startswith(f"The test text of {tmp_path}, in {unit} of the model's")
        model = LanguageModel.load(saved / level / "model")
        scores = model.evaluate("gold is not silver" + "\n" * (level == "word"))
        assert scores.unknown == {"char": 1, "word": 1}[level]
        assert f"{scores!r}" in " ".join(shown.split())
        about = {"format": "pydarts-scores", "version": 1, "data": str(tmp_path), "part": "test"}
        assert json.loads(path.read_text()) == {**about, **scores.to_dict()}

    def test_it_is_the_perplexity_of_the_training_command(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "text.txt").write_text(TEXT)
        options = ["--hidden-size", "4", "--epochs", "1", "--batch-size", "4", "--bptt", "5"]
        out, data = str(tmp_path / "out"), str(tmp_path / "text.txt")
        assert cli.main(["train-text", "RECURRENT_DARTS_V1", data, "--out", out, *options]) == 0
        summary = json.loads((tmp_path / "out" / "summary.json").read_text())
        assert cli.main(["evaluate", out, data, "--json", str(tmp_path / "scores.json")]) == 0
        scores = json.loads((tmp_path / "scores.json").read_text())
        assert scores["perplexity"] == summary["test_perplexity"]
        assert scores["tokens"] == summary["test_tokens"]

    def test_documentation_of_python(self, saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["evaluate", str(saved / "char"), "python-docs"]) == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert "The test text of python-docs" in shown
        test = pydarts.load_corpus("python-docs").test
        assert f" of {len(test):,} tokens, " in shown

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["{images}", "{unlabelled}"], "holds no labels of its images: `pydarts predict`"),
            (["{images}", "{other}"], "other.npz: y holds the unknown label 'c'"),
            (["{images}", "nowhere"], "no dataset 'nowhere'"),
            (["{char}", "nowhere"], "'nowhere' is neither a file nor a folder"),
            (["{char}", "a text of words"], "'a text of words' is neither a file nor a folder"),
            (["{char}", "{folder}"], "holds no corpus"),
            (["{folder}", "digits"], "holds no model"),
            (["{images}"], "the following arguments are required: DATA"),
            (["{images}", "digits", "--json", "{unlabelled}"], "exists; --force replaces it"),
        ],
    )
    def test_what_is_refused(
        self,
        arguments: list[str],
        words: str,
        saved: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        X = images(4, 0)[0]
        places = {
            "{images}": str(saved / "images"),
            "{char}": str(saved / "char"),
            "{folder}": str(tmp_path),
            "{unlabelled}": write(tmp_path / "unlabelled.npz", X=X),
            "{other}": write(tmp_path / "other.npz", X=X, y=np.array(list("abca"))),
        }
        assert cli.main(["evaluate", *(places.get(a, a) for a in arguments)]) == 2
        assert words in error(capsys)

    def test_force_replaces_a_file(self, saved: Path, untested: str, tmp_path: Path) -> None:
        path = tmp_path / "scores.json"
        path.write_text("mine")
        command = ["evaluate", str(saved / "images"), untested, "--json", str(path), "--force"]
        assert cli.main(command) == 0
        assert json.loads(path.read_text())["part"] == "all"


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_help(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert cli.main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: pydarts {command} MODEL DATA ")
    assert max(map(len, shown.splitlines())) < 80
