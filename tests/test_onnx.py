# SPDX-License-Identifier: MIT
"""ONNX files: the checker accepts them, and ONNX Runtime computes from them what the models do."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("onnx", reason="onnx, of the extra `test`, is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime, of the extra `test`, is not installed")

import onnx
import onnxruntime
from nets import OTHER_SPACES, trained

import pydarts
from pydarts.spaces.darts import Genotype
from pydarts.spaces.recurrent import RecurrentGenotype

Array = NDArray[Any]
# Every operation, in the reduction with stride 2 as well; an odd number of nodes; one not shown.
EVERYTHING = Genotype(
    normal=[
        ("max_pool_3x3", 0),
        ("avg_pool_3x3", 1),
        ("skip_connect", 0),
        ("sep_conv_3x3", 1),
        ("sep_conv_5x5", 2),
        ("dil_conv_3x3", 0),
        ("dil_conv_5x5", 3),
        ("sep_conv_7x7", 1),
        ("conv_7x1_1x7", 0),
        ("skip_connect", 4),
    ],
    normal_concat=[6, 2, 5],
    reduce=[
        ("max_pool_3x3", 0),
        ("avg_pool_3x3", 1),
        ("skip_connect", 0),
        ("sep_conv_3x3", 1),
        ("sep_conv_5x5", 0),
        ("dil_conv_3x3", 1),
        ("dil_conv_5x5", 0),
        ("sep_conv_7x7", 1),
        ("conv_7x1_1x7", 0),
        ("skip_connect", 3),
    ],
    reduce_concat=[2, 3, 4, 5, 6],
)
CELL = RecurrentGenotype([("sigmoid", 0), ("identity", 1), ("tanh", 0), ("relu", 2)], [4, 1, 2])


def session(path: Path) -> Any:
    """Return a run of the file on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def assert_same(actual: Array, expected: Array) -> None:
    """Compare to 1e-5 of the largest value, or of 1."""
    assert actual.shape == expected.shape
    assert actual.dtype == np.float32
    assert np.abs(actual - expected).max() <= 1e-5 * max(1.0, np.abs(expected).max())


def shapes(values: Any) -> dict[str, list[Any]]:
    """Return the shapes of inputs or outputs by name, free sizes by their names."""
    return {
        v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in values
    }


def image_model(genotype: Genotype, channels: int, auxiliary: bool = False) -> pydarts.Model:
    """Return a model after a little training on images of 9x11 pixels."""
    rng = np.random.default_rng(0)
    y = np.arange(48) % 3
    X = rng.integers(0, 60, (48, channels, 9, 11), dtype=np.uint8)
    X[y == 1, :, :4] += 80
    X[y == 2, :, :, :4] += 150
    options: dict[str, Any] = {"channels": 3, "cells": 4, "epochs": 2, "batch_size": 16}
    options |= {"auxiliary": auxiliary, "threads": 1, "progress": False}
    return pydarts.train(genotype, X, y * 10, **options)


@pytest.mark.parametrize(
    ("genotype", "channels", "auxiliary"),
    [(EVERYTHING, 1, False), (EVERYTHING, 3, False), (pydarts.DARTS_V2, 2, True)],
)
def test_images(genotype: Genotype, channels: int, auxiliary: bool, tmp_path: Path) -> None:
    model = image_model(genotype, channels, auxiliary)
    path = tmp_path / "model.onnx"
    model.to_onnx(path)
    run = session(path)
    rng = np.random.default_rng(1)
    # Of all four parities, and few enough pixels for a factorized reduce to meet a 2x2 map.
    for count, height, width in [(5, 9, 11), (1, 9, 11), (2, 8, 12), (3, 4, 5), (2, 13, 6)]:
        X = rng.uniform(0, 255, (count, channels, height, width)).astype(np.float32)
        assert_same(run.run(None, {"images": X})[0], model.logits(X))
        pixels = X.astype(np.uint8)  # `predict` takes them as they are
        assert_same(run.run(None, {"images": pixels.astype(np.float32)})[0], model.logits(pixels))


def test_file_of_images(tmp_path: Path) -> None:
    model = image_model(pydarts.DARTS_V2, 2, auxiliary=True)
    model.to_onnx(tmp_path / "model.onnx")
    proto = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(proto, full_check=True)
    assert [(o.domain, o.version) for o in proto.opset_import] == [("", 17)]
    assert shapes(proto.graph.input) == {"images": ["N", 2, "H", "W"]}
    assert shapes(proto.graph.output) == {"logits": ["N", 3]}
    properties = {p.key: p.value for p in proto.metadata_props}
    assert json.loads(properties["classes"]) == ["0", "10", "20"]
    assert Genotype.parse(properties["genotype"]) == pydarts.DARTS_V2
    weights = {c.name for c in proto.graph.initializer}
    expected = {k for k in model.network.state_dict() if not k.startswith("auxiliary_head.")}
    assert weights == expected | {"mean", "std", "shift_1_1"}


def test_no_file_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_text("precious")
    model = image_model(pydarts.DARTS_V1, 1)
    with pytest.raises(FileExistsError):
        model.to_onnx(path)
    assert path.read_text() == "precious"
    model.to_onnx(path, overwrite=True)
    onnx.checker.check_model(path)


@pytest.mark.slow
def test_same_predictions_on_digits(tmp_path: Path) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    X, y = datasets.load_digits(return_X_y=True)
    X = X.reshape(-1, 8, 8)
    options: dict[str, Any] = {"channels": 4, "cells": 3, "epochs": 12, "threads": 1}
    model = pydarts.train(pydarts.DARTS_V2, X[:600], y[:600], progress=False, **options)
    assert model.score(X[600:], y[600:]) > 0.8
    model.to_onnx(tmp_path / "digits.onnx")
    images = X[600:, np.newaxis].astype(np.float32)
    logits = session(tmp_path / "digits.onnx").run(None, {"images": images})[0]
    assert np.array_equal(logits.argmax(axis=1), model.predict(X[600:]))


def text_model(genotype: RecurrentGenotype) -> pydarts.LanguageModel:
    """Return a model after a little training on a short text."""
    text = "The quick brown fox jumps over the lazy dog.\n" * 60
    options: dict[str, Any] = {"hidden_size": 12, "epochs": 1, "batch_size": 4, "bptt": 10}
    return pydarts.train_text(genotype, text, threads=1, progress=False, **options)


@pytest.mark.parametrize("genotype", [CELL, pydarts.RECURRENT_DARTS_V2], ids=["all", "V2"])
def test_text(genotype: RecurrentGenotype, tmp_path: Path) -> None:
    model = text_model(genotype)
    model.to_onnx(tmp_path / "model.onnx")
    run = session(tmp_path / "model.onnx")
    rng = np.random.default_rng(2)
    for steps, texts in [(1, 1), (6, 1), (4, 3)]:
        tokens = rng.integers(0, len(model.vocabulary), (steps, texts))
        hidden = rng.normal(size=(texts, 12)).astype(np.float32)
        logits, last = run.run(None, {"tokens": tokens, "hidden": hidden})
        odds = np.exp(logits - logits.max(axis=2, keepdims=True))
        state: Array = hidden
        for step in range(steps):
            expected, state = model.network.next_probabilities(tokens[step], hidden=state)
            assert_same(odds[step] / odds[step].sum(axis=1, keepdims=True), expected)
        assert_same(last, state)


def test_file_of_text(tmp_path: Path) -> None:
    model = text_model(CELL)
    model.to_onnx(tmp_path / "model.onnx")
    proto = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(proto, full_check=True)
    assert [(o.domain, o.version) for o in proto.opset_import] == [("", 17)]
    vocab_size = len(model.vocabulary)
    assert shapes(proto.graph.input) == {"tokens": ["T", "B"], "hidden": ["B", 12]}
    assert shapes(proto.graph.output) == {
        "logits": ["T", "B", vocab_size],
        "last_hidden": ["B", 12],
    }
    properties = {p.key: p.value for p in proto.metadata_props}
    assert tuple(json.loads(properties["tokens"])) == tuple(model.vocabulary.tokens)
    assert RecurrentGenotype.parse(properties["genotype"]) == CELL
    assert {c.name for c in proto.graph.initializer} == set(model.network.state_dict())


def test_without_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pydarts.export.onnx_graph", raising=False)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'pydarts-nas\[onnx\]'"):
        importlib.import_module("pydarts.export.onnx_graph")


@pytest.mark.parametrize("space", OTHER_SPACES)
def test_networks_of_other_spaces(space: str, tmp_path: Path) -> None:
    for seed in range(2):
        model, X = trained(space, seed)
        model.to_onnx(tmp_path / "model.onnx", overwrite=True)
        run = session(tmp_path / "model.onnx")
        assert_same(run.run(None, {"images": X.astype(np.float32)})[0], model.logits(X))
