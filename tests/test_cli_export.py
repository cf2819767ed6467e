# SPDX-License-Identifier: MIT
"""`pydarts export`: images and text, and what it refuses."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import pydarts
from pydarts.cli import main as cli


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what `search` and `search-text` would save of their models."""
    folder = tmp_path_factory.mktemp("saved")
    X = np.random.default_rng(0).random((8, 4, 4))
    images = pydarts.train(
        pydarts.DARTS_V1,
        X,
        [0, 1] * 4,
        channels=1,
        cells=1,
        epochs=1,
        batch_size=8,
        threads=1,
        progress=False,
    )
    images.save(folder / "images" / "model")
    text = pydarts.train_text(
        pydarts.RECURRENT_DARTS_V1,
        "all that glitters is not gold\n" * 40,
        hidden_size=4,
        epochs=1,
        batch_size=4,
        threads=1,
        progress=False,
    )
    text.save(folder / "text" / "model")
    return folder


@pytest.mark.parametrize(
    ("kind", "takes"), [("images", {"images"}), ("text", {"tokens", "hidden"})]
)
def test_export(
    kind: str, takes: set[str], saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx, of the extra `test`, is not installed")
    path = tmp_path / "model.onnx"
    assert cli.main(["export", str(saved / kind), "--onnx", str(path)]) == 0
    assert capsys.readouterr().out.startswith(f"Saved in {path}: it takes ")
    assert {value.name for value in onnx.load(path).graph.input} == takes
    path.write_text("precious")
    assert cli.main(["export", str(saved / kind / "model"), "--onnx", str(path)]) == 2
    assert f"{path} exists; --force replaces it" in capsys.readouterr().err
    assert path.read_text() == "precious"
    assert cli.main(["export", str(saved / kind), "--onnx", str(path), "--force"]) == 0
    assert {value.name for value in onnx.load(path).graph.input} == takes


def test_unusable(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "model.onnx")
    assert cli.main(["export", str(saved), "--onnx", path]) == 2
    assert "holds no model" in capsys.readouterr().err
    assert cli.main(["export", str(saved / "images")]) == 2
    assert "--onnx" in capsys.readouterr().err
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "model.json").write_text("{")
    (damaged / "model.safetensors").write_text("")
    assert cli.main(["export", str(damaged), "--onnx", path]) == 2
    assert "model.json cannot be read" in capsys.readouterr().err


def test_without_onnx(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "pydarts.export.onnx_graph", raising=False)
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert cli.main(["export", str(saved / "images"), "--onnx", str(tmp_path / "x.onnx")]) == 2
    assert "pip install 'pydarts-nas[onnx]'" in capsys.readouterr().err


@pytest.mark.parametrize(("kind", "function"), [("images", "net_predict_u8"), ("text", "net_step")])
def test_c_file(
    kind: str, function: str, saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.c"
    command = ["export", str(saved / kind), "--c", str(path), "--name", "net"]
    assert cli.main(command) == 0
    assert re.match(
        r"Saved in .*net\.c: [\d,]+ multiply-adds, [\d,]+ bytes of", capsys.readouterr().out
    )
    assert f"void {function}(" in path.read_text()
    assert cli.main(command) == 2
    assert "--force replaces it" in capsys.readouterr().err


def test_c_file_in_8_bits(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, data = tmp_path / "net.c", tmp_path / "data.npz"
    rng = np.random.default_rng(1)
    arrays = {"X": rng.random((600, 4, 4)), "y": np.arange(600) % 2}
    command = [
        "export",
        str(saved / "images"),
        "--c",
        str(path),
        "--int8",
        "--calibrate",
        str(data),
    ]
    np.savez(data, **arrays)
    assert cli.main(command) == 0
    out = capsys.readouterr().out
    assert "has no test images" in out
    assert "accuracy on 500 images: " in out
    assert "static const int8_t model_weight_" in path.read_text()
    np.savez(data, **arrays, X_test=rng.random((9, 4, 4)), y_test=np.arange(9) % 2)
    assert cli.main([*command, "--force"]) == 0
    out = capsys.readouterr().out
    assert "has no test images" not in out
    assert "accuracy on 9 images: " in out


def test_c_file_that_cannot_be(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, text, path = str(saved / "images"), str(saved / "text"), str(tmp_path / "net.c")
    for options, problem in [
        ([images, "--c", path, "--name", "a b"], "--name (='a b') must begin with a letter"),
        ([images, "--c", path, "--int8"], "--int8 and --calibrate DATA need each other"),
        ([images, "--c", path, "--calibrate", "digits"], "--int8 and --calibrate DATA need each"),
        ([images, "--onnx", path, "--int8"], "--int8 is for --c"),
        ([images, "--onnx", path, "--c", path], "not allowed with"),
        ([text, "--c", path, "--int8", "--calibrate", "digits"], "is a language model"),
        ([images, "--c", path, "--int8", "--calibrate", "digits"], "holds images of (1, 8, 8)"),
    ]:
        assert cli.main(["export", *options]) == 2
        assert problem in capsys.readouterr().err
    assert not Path(path).exists()
