# SPDX-License-Identifier: MIT
"""Search and training on text from Python; the command line's tests go through the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import Interrupt

import pydarts
from pydarts.bilevel import BilevelStep
from pydarts.engine.sgd import SGD
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


def test_defaults_of_the_original() -> None:
    # SPEC §5
    rates = {"dropout": 0.75, "dropout_hidden": 0.25, "dropout_input": 0.75}
    both = {"bptt": 35, "lr": 20.0, "max_grad_norm": 0.25, **rates, "dropout_embedding": 0.2}
    both |= {"ar": 0.0, "tar": 1e-3}
    searches = {"hidden_size": 300, "batch_size": 256, "epochs": 50, "weight_decay": 5e-7}
    alphas = {"alpha_lr": 3e-3, "alpha_betas": (0.9, 0.999), "alpha_weight_decay": 1e-3}
    unrolled = {"order": 2, "epsilon": 0.01, "clip_coef": "original", "dropout_masks": "redrawn"}
    trainings = {"hidden_size": 850, "batch_size": 64, "weight_decay": 8e-7, "patience": 5}
    for config, expected in (
        (pydarts.TextSearchConfig.make("paper", {}), both | searches | alphas | unrolled),
        (pydarts.TextTrainConfig.make("paper", {}), both | trainings | {"epochs": 3600}),
    ):
        assert {name: getattr(config, name) for name in expected} == expected
    # The step by itself has the same, and so has the supernet.
    net = pydarts.RecurrentSupernet(6, 300, seed=1)
    assert net.alphas["recurrent"].std() == pytest.approx(1e-3, rel=0.3)
    default = net.step_defaults
    found = default.eta, default.momentum, default.weight_decay, default.max_grad_norm
    assert found == (20.0, 0.0, 5e-7, 0.25)
    assert (default.alpha_lr, default.alpha_betas) == (3e-3, (0.9, 0.999))
    x = np.arange(12).reshape(6, 2) % 6
    losses = [
        pydarts.RecurrentSupernet(6, 300, seed=1, **given).loss_and_grads(x, x, wrt=())[0]
        for given in ({}, {**rates, "dropout_embedding": 0.2}, {"dropout": 0.5})
    ]
    assert losses[0] == losses[1] != losses[2]


def begin_an_epoch(columns: Any, segments: list[Any]) -> list[bool]:
    """Follow segments through the columns, epoch after epoch: tell which of them begin one."""
    at, found = 0, []
    for x, y in segments:
        if len(columns) - 1 - at < 2:  # a single step is left out
            at = 0
        found.append(at == 0)
        np.testing.assert_array_equal(x, columns[at : at + len(x)])
        np.testing.assert_array_equal(y, columns[at + 1 : at + 1 + len(x)])
        at += len(x)
    return found


def in_columns(tokens: Any, count: int) -> Any:
    rows = len(tokens) // count
    return tokens[: count * rows].reshape(count, rows).T


def spied(step: Any, monkeypatch: pytest.MonkeyPatch, places: str) -> list[tuple[Any, Any]]:
    """Return what steps of a class are going to be given, and what they return."""
    calls: list[tuple[Any, Any]] = []

    class Spy(step):  # type: ignore[misc]
        def __call__(self, **given: Any) -> Any:
            info = super().__call__(**given)
            calls.append((given, info))
            return info

    monkeypatch.setattr(places, Spy)
    return calls


def test_what_the_steps_of_a_search_get(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of both texts in turn, rates by their lengths, and states that are carried on."""
    corpus = pydarts.load_corpus(TEXT, level="char")
    calls = spied(BilevelStep, monkeypatch, "pydarts.methods.darts.BilevelStep")
    pydarts.search_text(corpus, **{**TINY, "epochs": 2}, lr=5.0)
    columns = in_columns(corpus.train, 4)
    begins = begin_an_epoch(columns, [given["train"] for given, _ in calls])
    valid = in_columns(corpus.valid, min(4, len(corpus.valid) // 9))
    valid_begins = begin_an_epoch(valid, [given["valid"] for given, _ in calls])
    assert begins.count(True) == 2
    assert valid_begins.count(True) > 2
    assert len({len(given["train"][0]) for given, _ in calls}) > 1
    for k, (given, _) in enumerate(calls):
        assert given["lr"] == 5.0 * len(given["train"][0]) / 8
        hidden, valid_hidden = given["hidden"]
        before = calls[k - 1][1]
        assert (hidden is None) == begins[k]
        assert (valid_hidden is None) == (begins[k] or valid_begins[k])
        if hidden is not None:
            np.testing.assert_array_equal(hidden, before.hidden)
        if valid_hidden is not None:
            np.testing.assert_array_equal(valid_hidden, before.valid_hidden)


def test_what_the_steps_of_a_training_get(monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = pydarts.load_corpus(TEXT, level="char")
    calls = spied(SGD, monkeypatch, "pydarts.training.run.SGD")
    pydarts.train_text(pydarts.RECURRENT_DARTS_V2, corpus, **{**TINY, "epochs": 2}, lr=5.0)
    parts = [(given["x"], given["y"]) for given, _ in calls]
    begins = begin_an_epoch(in_columns(corpus.train, 4), parts)
    assert begins.count(True) == 2
    for k, (given, _) in enumerate(calls):
        assert given["lr"] == 5.0 * len(given["x"]) / 8
        if begins[k]:
            assert given["hidden"] is None
        else:
            np.testing.assert_array_equal(given["hidden"], calls[k - 1][1].hidden)


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
    # The second is above the first, but that is within the patience of one epoch.
    weights, steps = validate_as([1.0, 2.0, 1.5, 0.5, 0.4], monkeypatch), Weights()
    options = {**TINY, "epochs": 5, "patience": 1, "callbacks": [steps]}
    model = pydarts.train_text(pydarts.RECURRENT_DARTS_V2, TEXT, **options)
    assert [entry["averaged"] for entry in model.history] == [False] * 3 + [True] * 2
    np.testing.assert_array_equal(weights[2], steps.after[2][-1])
    for epoch in range(5):  # the average is validated, not learned from
        np.testing.assert_array_equal(steps.after_epochs[epoch], steps.after[epoch][-1])
    averaged = np.array(steps.after[3] + steps.after[4], np.float64)
    np.testing.assert_allclose(weights[4], averaged.mean(axis=0), rtol=1e-4, atol=1e-6)
    assert np.abs(weights[4] - averaged[-1]).max() > 1e-3
    np.testing.assert_array_equal(model.network.flat_weights, weights[4])


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


def test_bad_calls_of_a_language_model() -> None:
    model = pydarts.train_text(pydarts.RECURRENT_DARTS_V2, TEXT, **TINY)
    with pytest.raises(ValueError, match=r"`seed` \(=-1\) must be"):
        model.sample("the", seed=-1)
    with pytest.raises(TypeError, match=r"`prompt` \(=5\) must be a str"):
        model.sample(5)  # type: ignore[arg-type]
    size = len(model.vocabulary.tokens)
    with pytest.raises(ValueError, match=rf"`text\[1\]` \(={size}\) must be"):
        model.evaluate(np.array([0, size]))
    likeliest = model.sample("the", 20, temperature=1e-308, seed=0)
    assert likeliest == model.sample("the", 20, temperature=1e-3, seed=1)


def test_one_token_to_validate_on_is_too_few(tmp_path: Path) -> None:
    for part, text in (("train", TEXT), ("valid", "t"), ("test", TEXT)):
        (tmp_path / f"{part}.txt").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"`data` has one token to validate on"):
        pydarts.train_text(pydarts.RECURRENT_DARTS_V2, tmp_path, level="char", **TINY)


def test_of_a_diverged_search_the_state_before_is_kept() -> None:
    with pytest.raises(pydarts.Diverged, match="step ") as caught:
        pydarts.search_text(TEXT, lr=1e30, max_grad_norm=1e30, **TINY)
    state = caught.value.result.supernet.state_dict()
    assert all(np.isfinite(value).all() for value in state.values())
