# SPDX-License-Identifier: MIT
"""Folders of sounds on the command line, from the search to a prediction."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest
from commands import TINY, TINY_TRAIN, error

from pydarts import Model, Preprocessing
from pydarts.cli import main as cli
from pydarts.cli.images import ImageKind

FSDD = os.environ.get("PYDARTS_FSDD")


def write(path: Path, samples: np.ndarray, rate: int = 8000) -> None:
    path.parent.mkdir(exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """Low and high tones of six people, 12 of each, of up to 2,000 samples."""
    rng, folder = np.random.default_rng(0), tmp_path / "sounds"
    for person in range(6):
        for take in range(12):
            pitch = 400 if take % 2 else 2000
            t = np.arange(2000 - 100 * person) / 8000
            tone = 9000 * np.sin(2 * np.pi * pitch * rng.uniform(0.9, 1.1) * t)
            label = "low" if take % 2 else "high"
            write(folder / f"{label}_p{person}_{take}.wav", tone)
    return folder


@pytest.fixture
def model(sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """What `train` saves of a model of the first 1,500 samples."""
    out = tmp_path / "out"
    options = ["--length", "1500", "--no-groups", "--features", "log-mel"]
    command = ["train", "DARTS_V2", str(sounds), "--out", str(out), *TINY_TRAIN, *options]
    assert cli.main(command) == 0
    capsys.readouterr()
    return out


def test_search(sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "found"
    assert cli.main(["search", str(sounds), "--out", str(out), *TINY]) == 0
    said = capsys.readouterr().out
    assert "2 classes of 40x23 log-mel spectrograms, 60 to learn from and 12 to test on" in said
    assert re.search(r"held out as one is what is of p\d\.\n", said)
    assert "a fifth" not in said
    expected = Preprocessing("log_mel", rate=8000, length=2000, top_db=35.0, standardize=True)
    assert Model.load(out / "model").preprocessing == expected
    summary = json.loads((out / "summary.json").read_text())
    assert summary["test_images"] == 12
    assert "features" not in summary


def test_options_are_kept(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Model.load(model / "model").preprocessing.length == 1500
    summary = json.loads((model / "summary.json").read_text())
    assert [summary[name] for name in ("features", "length", "groups")] == ["log-mel", 1500, False]
    command = ["compare", str(model), "--seeds", "1", "--random", "1", "--threads", "1"]
    assert cli.main(command) == 0
    said = capsys.readouterr().out
    assert "40x17 log-mel" in said
    assert "a fifth of each class is held out" in said
    (model / "summary.json").write_text(json.dumps({**summary, "length": "1500"}))
    assert cli.main(command) == 2
    assert "does not tell what the cell came from" in error(capsys)


@pytest.mark.slow
def test_the_next_command_has_the_options(
    sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--no-train", "--features", "log-mel", "--length", "1600", "--no-groups"]
    assert cli.main(["search", str(sounds), "--out", str(tmp_path / "o"), *TINY, *options]) == 0
    said = capsys.readouterr().out
    assert f"{sounds} --features log-mel --length 1600 --no-groups" in said


def test_predict_and_evaluate(
    model: Path, sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / "new"
    write(new / "one.wav", np.zeros(300))
    shutil.copy(sounds / "low_p0_1.wav", new / "two.wav")
    path = tmp_path / "table.csv"
    assert cli.main(["predict", str(model), str(new), "--out", str(path)]) == 0
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == ["one.wav", "two.wav"]
    assert "label" not in rows[0]
    assert cli.main(["evaluate", str(model), str(new)]) == 2
    assert "holds no labels" in error(capsys)
    assert cli.main(["evaluate", str(model), str(sounds)]) == 0
    assert "of 72 images" in capsys.readouterr().out
    write(new / "one.wav", np.zeros(300), 16000)
    write(new / "two.wav", np.zeros(300), 16000)
    assert cli.main(["predict", str(model), str(new), "--out", str(path), "--force"]) == 2
    assert f"{new} has 16,000 samples a second, but {model} was trained on 8,000" in error(capsys)


def test_bad_files_are_named_in_a_line(
    model: Path, sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("low_p0_x.wav", "low_p0_y.wav"):
        (sounds / name).write_bytes(b"nonsense")
    predict = ["predict", str(model), str(sounds), "--out", str(tmp_path / "predicted.csv")]
    for command in (["search", str(sounds), *TINY], predict):
        assert cli.main(command) == 2
        assert re.search(
            r"2 of 74 files cannot be used; low_p0_x.wav: [^;]+; low_p0_y.wav: [^;]+;"
            r" --on-bad skip leaves them out$",
            error(capsys),
        )
    assert cli.main([*predict, "--on-bad", "skip"]) == 0


def test_a_folder_of_arrays_has_a_rate(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "arrays"
    data.mkdir()
    np.save(data / "X.npy", np.zeros((4, 1500), np.int16))
    np.save(data / "y.npy", np.array(["low", "high"] * 2))
    np.save(data / "rate.npy", np.array(16_000))
    command = ["predict", str(model), str(data), "--out", str(tmp_path / "found.csv")]
    assert cli.main(command) == 2
    assert "has 16,000 samples a second" in error(capsys)
    np.save(data / "rate.npy", np.array(8_000))
    assert cli.main(command) == 0


def test_npz_of_sounds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng, path = np.random.default_rng(0), tmp_path / "a.npz"
    X, y = rng.integers(-999, 999, (60, 800)).astype(np.int16), np.arange(60) % 2
    np.savez(path, X=X, y=y, groups=np.arange(60) // 10, rate=8000)
    command = ["train", "DARTS_V2", str(path), "--out", str(tmp_path / "o"), *TINY_TRAIN]
    assert cli.main(command) == 0
    assert "40x8 log-mel spectrograms, 50 to learn from and 10" in capsys.readouterr().out
    by_time = [*command[:3], "--split", "time", *TINY_TRAIN]
    assert cli.main(by_time) == 0  # groups of the file are nobody's wish
    said = capsys.readouterr().out
    assert "48 to learn from and 12" in said
    assert "groups" not in said
    assert cli.main([*by_time, "--groups"]) == 2
    assert "--groups have no use with --split time" in error(capsys)
    np.savez(path, X=X, y=y, rate=16000)
    table = str(tmp_path / "table.csv")
    assert cli.main(["predict", str(tmp_path / "o"), str(path), "--out", table]) == 2
    assert "has 16,000 samples a second" in error(capsys)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--features", "log-mel"], "--features (='log-mel') needs samples a second"),
        (["--length", "9"], "--length (=9) is for sounds and signals"),
        (["--groups"], "--groups needs groups, but"),
    ],
)
def test_options_without_sounds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, X=np.zeros((60, 8, 8)), y=np.arange(60) % 2)
    assert cli.main(["search", str(path), *TINY, *options]) == 2
    assert message in error(capsys)


def test_unusable_options(sounds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["search", str(sounds), *TINY, "--length", "0"]) == 2
    assert "--length (=0) must be at least 1" in error(capsys)
    assert cli.main(["search", str(sounds), *TINY, "--length", "150"]) == 2
    assert "150), but a frame of `window`" in error(capsys)


@pytest.mark.slow
@pytest.mark.skipif(FSDD is None, reason="PYDARTS_FSDD is not set")
def test_spoken_digits_of_a_speaker_who_was_held_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with np.load(str(FSDD)) as data:
        audio, y, groups = data["audio"], data["label"], data["speaker"]
    some = np.arange(0, len(audio), 5)
    path = tmp_path / "digits.npz"
    np.savez(path, X=audio[some, :6000], y=y[some], groups=groups[some], rate=8000)
    options = ["--channels", "4", "--cells", "3", "--epochs", "12", "--batch-size", "16"]
    options += ["--out", str(tmp_path / "out")]
    assert cli.main(["train", "DARTS_V2", str(path), *options]) == 0
    said = capsys.readouterr().out
    assert "10 classes of 40x73 log-mel spectrograms, 500 to learn from and 100" in said
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["accuracy"] > 0.25  # the chance of a guess is 0.1


def test_export_says_what_a_model_takes(model: Path) -> None:
    loaded = Model.load(model / "model")
    assert ImageKind.exported_inputs(loaded).endswith("as `model.preprocessing.apply` makes them,")
    loaded.preprocessing = Preprocessing()
    assert ImageKind.exported_inputs(loaded) == ImageKind.onnx_inputs
