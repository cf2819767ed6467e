# SPDX-License-Identifier: MIT
"""Search and training on text from Python; the command line's tests go through the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pydarts
from pydarts.training import loop

TEXT = "the cat sat on the mat and the dog sat on the log\n" * 60
TINY: dict[str, Any] = {
    "hidden_size": 8,
    "batch_size": 4,
    "bptt": 8,
    "epochs": 1,
    "threads": 1,
    "progress": False,
}


def test_a_folder_is_read_by_words_and_else_characters(tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        (tmp_path / f"{part}.txt").write_text(TEXT, encoding="utf-8")
    words, characters = (
        len(pydarts.load_corpus(tmp_path, level=level).vocabulary) for level in ("word", "char")
    )
    assert words != characters
    for data, level, expected in (
        (tmp_path, None, words),
        (str(tmp_path), None, words),
        (tmp_path, "char", characters),
        (TEXT, None, characters),
        (TEXT, "word", words),
        (tmp_path / "train.txt", None, characters),
    ):
        searched = pydarts.search_text(data, level=level, **TINY).supernet
        trained = pydarts.train_text(pydarts.RECURRENT_DARTS_V2, data, level=level, **TINY)
        assert searched.vocab_size == len(trained.vocabulary) == expected
        assert len(pydarts.load_corpus(data, level=level).vocabulary) == expected
    assert pydarts.search_text(TEXT, max_vocab=5, **TINY).supernet.vocab_size == 5


@pytest.mark.parametrize("option", [{"level": "char"}, {"max_vocab": 5}], ids=str)
def test_a_corpus_has_its_own_level_and_vocabulary(option: dict[str, Any]) -> None:
    corpus = pydarts.load_corpus(TEXT)
    for call in (
        lambda: pydarts.search_text(corpus, **option, **TINY),
        lambda: pydarts.estimate_text(corpus, **option, **TINY),
        lambda: pydarts.train_text(pydarts.RECURRENT_DARTS_V2, corpus, **option, **TINY),
    ):
        with pytest.raises(pydarts.ArgumentError, match="cannot be given beside a Corpus") as error:
            call()
        assert error.value.argument in option


def test_the_same_seed_finds_the_same(tmp_path: Path) -> None:
    first, second = (pydarts.search_text(TEXT, seed=3, **{**TINY, "threads": n}) for n in (1, 2))
    np.testing.assert_array_equal(first.alphas["recurrent"], second.alphas["recurrent"])
    assert first.history[0]["valid_loss"] == second.history[0]["valid_loss"]
    first.save(tmp_path)
    names = {"alpha_history.npz", "alphas.npz", "genotype.json"}
    names |= {"history.csv", "recurrent.svg", "result.json"}
    assert {path.name for path in tmp_path.iterdir()} == names
    saved = (tmp_path / "genotype.json").read_text("utf-8")
    assert pydarts.RecurrentGenotype.from_json(saved) == first.genotype
    with np.load(tmp_path / "alphas.npz") as alphas:
        np.testing.assert_array_equal(alphas["recurrent"], first.alphas["recurrent"])


@pytest.mark.parametrize("training", [False, True])
def test_the_bar_counts_tokens(training: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = loop.progress_bar

    def bar(name: str, total: int, *rest: Any) -> Any:
        found = real(name, total, *rest)
        monkeypatch.setattr(found, "update", seen.append)
        seen.append(-total)
        return found

    monkeypatch.setattr(loop, "progress_bar", bar)
    corpus = pydarts.load_corpus(TEXT, level="char")
    if training:
        pydarts.train_text(pydarts.RECURRENT_DARTS_V2, corpus, **TINY)
    else:
        pydarts.search_text(corpus, **TINY)
    # In training a step that is left over alone is dropped.
    assert -TINY["batch_size"] <= sum(seen) <= 0
    assert -seen[0] == 4 * (len(corpus.train) // 4 - 1)


class Interrupt(pydarts.Callback):
    """Press Ctrl-C after so many steps."""

    def __init__(self, steps: int):
        self.steps = steps

    def on_step_end(self, loop: Any, info: Any) -> None:
        if loop.steps_done == self.steps:
            raise KeyboardInterrupt


class Weights(pydarts.Callback):
    """Keep the weights after each step, by epoch, and after each epoch."""

    def __init__(self) -> None:
        self.after: dict[int, list[Any]] = {}
        self.after_epochs: list[Any] = []

    def on_epoch_end(self, loop: Any, entry: Any) -> None:
        self.after_epochs.append(np.array(loop.network.flat_weights))

    def on_step_end(self, loop: Any, info: Any) -> None:
        self.after.setdefault(loop.epoch, []).append(np.array(loop.network.flat_weights))


def validate_as(losses: list[float], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Give the epochs of a training these losses; returns the weights that were validated."""
    validated: list[Any] = []

    def loss(net: Any, tokens: Any) -> float:
        validated.append(np.array(net.flat_weights))
        return losses[len(validated) - 1]

    monkeypatch.setattr("pydarts.tasks.text.text_loss", loss)
    return validated


def test_interrupted_in_the_first_epoch_it_keeps_the_steps() -> None:
    model = pydarts.train_text(pydarts.RECURRENT_DARTS_V2, TEXT, callbacks=[Interrupt(3)], **TINY)
    assert model.interrupted
    assert model.history == []
    fresh = pydarts.RecurrentNetwork(pydarts.RECURRENT_DARTS_V2, len(model.vocabulary), 8)
    state = fresh.state_dict()
    assert any(not np.array_equal(v, state[n]) for n, v in model.network.state_dict().items())


@pytest.mark.parametrize("restore", [True, False])
def test_it_returns_the_best_epoch_or_the_last(
    restore: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = validate_as([2.0, 1.0, 3.0], monkeypatch)
    options = {**TINY, "epochs": 3} | ({} if restore else {"restore_best_weights": False})
    model = pydarts.train_text(pydarts.RECURRENT_DARTS_V2, TEXT, **options)
    assert not np.array_equal(weights[1], weights[2])
    np.testing.assert_array_equal(model.network.flat_weights, weights[1 if restore else 2])


def test_averaging_begins_when_validation_stops_improving(monkeypatch: pytest.MonkeyPatch) -> None:
    weights, steps = validate_as([1.0, 2.0, 0.5, 0.4], monkeypatch), Weights()
    options = {**TINY, "epochs": 4, "patience": 1, "callbacks": [steps]}
    model = pydarts.train_text(pydarts.RECURRENT_DARTS_V2, TEXT, **options)
    assert [entry["averaged"] for entry in model.history] == [False, False, True, True]
    np.testing.assert_array_equal(weights[1], steps.after[1][-1])
    for epoch in range(4):  # the average is validated, not learned from
        np.testing.assert_array_equal(steps.after_epochs[epoch], steps.after[epoch][-1])
    averaged = np.array(steps.after[2] + steps.after[3], np.float64)
    np.testing.assert_allclose(weights[3], averaged.mean(axis=0), rtol=1e-4, atol=1e-6)
    assert np.abs(weights[3] - averaged[-1]).max() > 1e-3
    np.testing.assert_array_equal(model.network.flat_weights, weights[3])


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
