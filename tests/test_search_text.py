# SPDX-License-Identifier: MIT
"""Search and training on text from Python; the command line's tests go through the rest."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pydarts

# The package gives the functions by these names, not the modules.
course_module: Any = importlib.import_module("pydarts.training.loop")
train_module: Any = importlib.import_module("pydarts.api.training_text")

TEXT = "the cat sat on the mat and the dog sat on the log\n" * 60
TINY: dict[str, Any] = {
    "hidden_size": 8,
    "batch_size": 4,
    "bptt": 8,
    "epochs": 1,
    "progress": False,
}


def test_a_folder_is_read_by_words_and_else_characters(tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        (tmp_path / f"{part}.txt").write_text(TEXT, encoding="utf-8")
    assert pydarts.search_text(tmp_path, **TINY).corpus.level == "word"
    assert pydarts.search_text(str(tmp_path), **TINY).corpus.level == "word"
    assert pydarts.search_text(tmp_path, level="char", **TINY).corpus.level == "char"
    assert pydarts.search_text(TEXT, **TINY).corpus.level == "char"
    assert pydarts.search_text(tmp_path / "train.txt", **TINY).corpus.level == "char"


def test_the_same_seed_finds_the_same(tmp_path: Path) -> None:
    first, second = (pydarts.search_text(TEXT, seed=3, threads=n, **TINY) for n in (1, 2))
    np.testing.assert_array_equal(first.alphas["recurrent"], second.alphas["recurrent"])
    assert first.history[0]["valid_loss"] == second.history[0]["valid_loss"]
    first.save(tmp_path)
    names = {"alpha_history.npz", "alphas.npz", "config.json", "genotype.json"}
    names |= {"history.csv", "recurrent.svg"}
    assert {path.name for path in tmp_path.iterdir()} == names
    saved = (tmp_path / "genotype.json").read_text("utf-8")
    assert pydarts.RecurrentGenotype.from_json(saved) == first.genotype
    with np.load(tmp_path / "alphas.npz") as alphas:
        np.testing.assert_array_equal(alphas["recurrent"], first.alphas["recurrent"])


@pytest.mark.parametrize("training", [False, True])
def test_the_bar_counts_tokens(training: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = course_module.progress_bar

    def bar(name: str, total: int, *rest: Any) -> Any:
        found = real(name, total, *rest)
        monkeypatch.setattr(found, "update", seen.append)
        seen.append(-total)
        return found

    monkeypatch.setattr(course_module, "progress_bar", bar)
    corpus = pydarts.load_corpus(TEXT, level="char")
    if training:
        pydarts.train_text(pydarts.RECURRENT_DARTS_V2, corpus, **TINY)
    else:
        pydarts.search_text(corpus, **TINY)
    # In training a step that is left over alone is dropped.
    assert -TINY["batch_size"] <= sum(seen) <= 0
    assert -seen[0] == 4 * (len(corpus.train) // 4 - 1)


def interrupt_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the training be interrupted when its bar was updated so often."""
    real = course_module.progress_bar

    def bar(*arguments: Any) -> Any:
        found, counts = real(*arguments), []

        def update(_: int) -> None:
            counts.append(1)
            if len(counts) == steps:
                raise KeyboardInterrupt

        monkeypatch.setattr(found, "update", update)
        return found

    monkeypatch.setattr(course_module, "progress_bar", bar)


def test_interrupted_in_the_first_epoch_it_keeps_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_after(3, monkeypatch)
    model = pydarts.train_text(pydarts.RECURRENT_DARTS_V2, TEXT, **TINY)
    assert model.interrupted
    assert model.history == []
    fresh = pydarts.RecurrentNetwork(pydarts.RECURRENT_DARTS_V2, len(model.vocabulary), 8)
    state = fresh.state_dict()
    assert any(not np.array_equal(v, state[n]) for n, v in model.network.state_dict().items())


def test_it_returns_the_best_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([2.0, 1.0, 3.0])
    weights = []

    def evaluate(net: Any, tokens: Any) -> float:
        weights.append(np.array(net._engine.weights))
        return next(losses)

    monkeypatch.setattr(train_module, "evaluate_text", evaluate)
    model = pydarts.train_text(pydarts.RECURRENT_DARTS_V2, TEXT, **{**TINY, "epochs": 3})
    np.testing.assert_array_equal(model.network._engine.weights, weights[1])
    assert not np.array_equal(weights[1], weights[2])


def test_averaging_begins_when_validation_stops_improving(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([1.0, 2.0, 0.5, 0.4])
    weights = []

    def evaluate(net: Any, tokens: Any) -> float:
        weights.append(np.array(net._engine.weights))
        return next(losses)

    steps: list[Any] = []
    real = train_module._core.blend32

    def blend(to: Any, from_: Any, weight: float, threads: int) -> None:
        steps.append(np.array(from_, dtype=np.float64))
        real(to, from_, weight, threads)

    monkeypatch.setattr(train_module, "evaluate_text", evaluate)
    monkeypatch.setattr(train_module._core, "blend32", blend)
    options = {**TINY, "epochs": 4, "patience": 1}
    model = pydarts.train_text(pydarts.RECURRENT_DARTS_V2, TEXT, **options)
    assert [entry["averaged"] for entry in model.history] == [False, False, True, True]
    np.testing.assert_allclose(weights[3], np.mean(steps, axis=0), rtol=1e-4, atol=1e-6)
    assert np.abs(weights[3] - steps[-1]).max() > 1e-3


def test_a_language_model_is_saved_and_loaded(tmp_path: Path) -> None:
    model = pydarts.train_text(pydarts.RECURRENT_DARTS_V1, TEXT, **TINY)
    model.save(tmp_path)
    with pytest.raises(FileExistsError, match="overwrite"):
        model.save(tmp_path)
    loaded = pydarts.LanguageModel.load(tmp_path)
    assert loaded.perplexity(TEXT) == model.perplexity(TEXT)
    assert loaded.sample("the", 30, seed=1) == model.sample("the", 30, seed=1)
    assert repr(loaded) == repr(model)
    (tmp_path / "model.safetensors").write_bytes(b"0" * 100)
    with pytest.raises(ValueError, match="needs at least"):
        pydarts.LanguageModel.load(tmp_path)
    (tmp_path / "model.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"model\.json cannot be read"):
        pydarts.LanguageModel.load(tmp_path)


def test_of_a_diverged_search_the_state_before_is_kept() -> None:
    with pytest.raises(pydarts.Diverged, match="step ") as caught:
        pydarts.search_text(TEXT, lr=1e30, max_grad_norm=1e30, **TINY)
    state = caught.value.result.supernet.state_dict()
    assert all(np.isfinite(value).all() for value in state.values())
