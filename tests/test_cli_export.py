# SPDX-License-Identifier: MIT
"""`pydarts export`: images and text, and what it refuses."""

from __future__ import annotations

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
