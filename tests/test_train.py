# SPDX-License-Identifier: MIT
"""`train` and `Model`: real runs on small images, files that lie, and all that can go wrong."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nets import PressCtrlC
from numpy.typing import NDArray
from runs import same_models
from safetensors.numpy import save_file

import pydarts
from pydarts import Diverged, Model, SearchConfig, TrainConfig, train
from pydarts.cli import main as cli
from pydarts.models import files as model_files
from pydarts.tasks.image_runs import cosine
from pydarts.tasks.images import ImageClassification

Array = NDArray[Any]
SMALL: dict[str, Any] = {
    "channels": 2,
    "cells": 3,
    "epochs": 2,
    "batch_size": 8,
    "threads": 1,
    "progress": False,
}
# Found by others, with five nodes, and operations that no search here considers (arXiv:1802.01548,
# in the words of the original code).
AMOEBANET = pydarts.Genotype.parse(
    "Genotype(normal=[('avg_pool_3x3', 0), ('max_pool_3x3', 1), ('sep_conv_3x3', 0),"
    " ('sep_conv_5x5', 2), ('sep_conv_3x3', 0), ('avg_pool_3x3', 3), ('sep_conv_3x3', 1),"
    " ('skip_connect', 1), ('skip_connect', 0), ('avg_pool_3x3', 1)], normal_concat=[4, 5, 6],"
    " reduce=[('avg_pool_3x3', 0), ('sep_conv_3x3', 1), ('max_pool_3x3', 0), ('sep_conv_7x7', 2),"
    " ('sep_conv_7x7', 0), ('avg_pool_3x3', 1), ('max_pool_3x3', 0), ('max_pool_3x3', 1),"
    " ('conv_7x1_1x7', 0), ('sep_conv_3x3', 5)], reduce_concat=[3, 4, 6])"
)
GENOTYPES = {"V1": pydarts.DARTS_V1, "V2": pydarts.DARTS_V2, "AmoebaNet": AMOEBANET}


def pictures(count: int = 48, seed: int = 0, side: int = 8) -> tuple[Array, Array]:
    """Return noisy uint8 images whose class is the place of a bright square, and their labels."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 3
    X = rng.integers(0, 60, (count, side, side), dtype=np.uint8)
    for image, label in zip(X, y, strict=True):
        row, column = divmod(int(label), 2)
        image[row * side // 2 :, column * side // 2 :][: side // 2, : side // 2] += 150
    return X, y


def small_train(X: Any = None, y: Any = None, **options: Any) -> Model:
    """Train DARTS_V2 on the pictures, or on what is given, for two short epochs."""
    default = pictures()
    genotype = options.pop("genotype", pydarts.DARTS_V2)
    X, y = default[0] if X is None else X, default[1] if y is None else y
    return train(genotype, X, y, **{**SMALL, **options})


@pytest.fixture(scope="module")
def model() -> Model:
    """Return what the small training gives."""
    return small_train()


@pytest.fixture(scope="module")
def good() -> Model:
    """Return a model that has learnt the pictures, whose labels are words."""
    X, y = pictures(96)
    return small_train(X, np.array(["no", "yes", "perhaps"])[y], channels=4, epochs=8, lr=0.1)


@pytest.fixture
def saved(model: Model, tmp_path: Path) -> Path:
    """Return a folder that the small model is saved in."""
    model.save(tmp_path / "model")
    return tmp_path / "model"


# What it returns


def test_model(model: Model) -> None:
    assert isinstance(model, pydarts.Model)
    assert not model.interrupted
    assert model.genotype == pydarts.DARTS_V2
    assert model.classes == (0, 1, 2)
    assert model.image_size == (8, 8)
    assert model.num_weights == model.network.num_weights
    network = pydarts.Network(pydarts.DARTS_V2, 2, 3, classes=3, in_channels=1)
    assert model.num_weights == network.num_weights
    assert f"{model.num_weights:,} weights" in repr(model)
    assert "2 of 2 epochs" in repr(model)


def test_history(model: Model) -> None:
    assert [entry["epoch"] for entry in model.history] == [1, 2]
    for entry in model.history:
        assert entry["lr"] == cosine(model.config.lr, 0.0, entry["epoch"] - 1, 2)
        assert 0 < entry["train_loss"] < 10
        assert 0 <= entry["train_accuracy"] <= 1
    assert 0 < model.history[0]["seconds"] < model.history[1]["seconds"]


def test_it_learns_and_predicts(good: Model) -> None:
    X, y = pictures(300, seed=1)
    words = np.array(["no", "yes", "perhaps"])[y]
    assert good.classes == ("no", "perhaps", "yes")
    assert good.score(X, words) > 0.95
    predicted, chances = good.predict(X), good.predict_proba(X)
    assert predicted.shape == (300,)
    assert predicted.dtype.kind == "U"
    assert (predicted == words).mean() == good.score(X, words)
    assert chances.shape == (300, 3)
    assert (chances >= 0).all()
    np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=1e-12)
    assert (np.array(good.classes)[chances.argmax(axis=1)] == predicted).all()
    logits = good.logits(X)
    odds = np.exp(logits.astype(float))
    np.testing.assert_allclose(chances, odds / odds.sum(axis=1, keepdims=True), rtol=1e-6)
    assert good.history[-1]["train_loss"] < 0.5 * good.history[0]["train_loss"]


def test_predictions_do_not_depend_on_the_company(good: Model) -> None:
    X, _ = pictures(300, seed=1)
    logits = good.logits(X)  # more than one batch of it
    assert np.array_equal(good.logits(X, batch_size=7), logits)
    assert np.array_equal(good.logits(X[::-1])[::-1], logits)
    assert np.array_equal(good.logits(X[123:124]), logits[123:124])
    assert np.array_equal(good.logits(X[:3].astype(float)), logits[:3])
    assert np.array_equal(good.logits(X[:3, np.newaxis]), logits[:3])


def test_images_of_another_size_work(good: Model) -> None:
    X, _ = pictures(30, side=12)
    assert good.predict(X).shape == (30,)
    assert good.predict_proba(X[:, :, :9]).shape == (30, 3)


def test_bad_calls_of_a_model(model: Model) -> None:
    X, y = pictures()
    with pytest.raises(ValueError, match="`X` is empty"):
        model.predict(X[:0])
    with pytest.raises(ValueError, match=r"`X` .* 2 channel\(s\), but the model takes 1"):
        model.predict(np.stack([X, X], axis=1))
    with pytest.raises(ValueError, match="NaN"):
        model.predict(np.where(X > 200, np.nan, X))
    with pytest.raises(ValueError, match=r"48.*47"):
        model.score(X, y[1:])
    with pytest.raises(ValueError, match="unknown label 7"):
        model.score(X, y + 7)
    assert model.score(X, (label for label in y)) == model.score(X, y)


@pytest.mark.parametrize("name", GENOTYPES)
def test_published_cells_learn(name: str) -> None:
    genotype = GENOTYPES[name]
    model = small_train(*pictures(96), genotype=genotype, cells=4, epochs=5, lr=0.1)
    assert model.genotype == genotype
    assert model.history[-1]["train_loss"] < 0.7 * model.history[0]["train_loss"]


def test_defaults_of_the_original() -> None:
    # SPEC §4
    paper = TrainConfig.make("paper", {})
    expected = {
        "channels": 36,
        "cells": 20,
        "batch_size": 96,
        "epochs": 600,
        "lr": 0.025,
        "momentum": 0.9,
        "weight_decay": 3e-4,
        "max_grad_norm": 5.0,
        "drop_path": 0.2,
        "auxiliary": True,
        "auxiliary_weight": 0.4,
        "crop_padding": 4,
        "flip": True,
        "cutout": 16,
    }
    assert {name: getattr(paper, name) for name in expected} == expected
    for preset in ("quick", "standard", "paper"):
        TrainConfig.make(preset, {})


def test_epochs_that_fit() -> None:
    quick = TrainConfig.make("quick", {})
    assert quick.completed(1100, (8, 8)).epochs == 60
    assert quick.completed(100, (8, 8)).epochs == 640  # of 100 images
    assert TrainConfig.make("quick", {"batch_size": 8}).completed(50, (1, 8)).epochs == 334
    assert quick.completed(10**7, (8, 8)).epochs == 4
    assert 4 < (quick.completed(30_000, (8, 8)).epochs or 0) < 60
    assert TrainConfig.make("quick", {"epochs": 3}).completed(100, (8, 8)).epochs == 3


@pytest.mark.parametrize("kind", [TrainConfig, pydarts.SearchConfig])
def test_batches_of_presets_fit_few_images(kind: Any) -> None:
    for preset in ("quick", "standard"):
        made = kind.make(preset)
        sizes = [made.completed(count, (8, 8)).batch_size for count in (3, 50, made.batch_size)]
        assert sizes == [3, 8, made.batch_size]
        assert kind.make(preset, {"batch_size": 60}).completed(50, (8, 8)).batch_size == 60
    assert kind.make("paper").completed(50, (8, 8)).batch_size == kind.make("paper").batch_size


def test_batches_of_a_search_fit_the_halves_that_groups_leave() -> None:
    X = np.zeros((129, 8, 8), np.uint8)  # half of them are 64, but of whole groups 60
    task = ImageClassification(X, np.arange(129) % 3, groups=np.minimum(np.arange(129) // 30, 3))
    config = SearchConfig.make("quick")
    assert task.complete(config).batch_size == 8
    task.search_data(config, np.random.default_rng(0))  # completes what was not
    assert ImageClassification(X, np.arange(129) % 3).complete(config).batch_size == 64


def test_few_images_on_the_command_line(tmp_path: Path) -> None:
    X = np.random.default_rng(0).integers(0, 256, (30, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "few.npz", X=X, y=np.arange(30) % 2)
    command = ["search", str(tmp_path / "few.npz"), "--out", str(tmp_path / "out")]
    small = ["--channels=1", "--cells=1", "--epochs=1", "--order=1", "--no-train"]
    assert cli.main([*command, *small, "--no-progress"]) == 0
    found = json.loads((tmp_path / "out" / "result.json").read_text())
    assert found["config"]["batch_size"] == 8


def test_few_signals_are_searched_and_trained_with_a_preset() -> None:
    X, y = np.random.default_rng(0).normal(size=(30, 12)).astype(np.float32), np.arange(30) % 2
    small = {"channels": 2, "cells": 1, "epochs": 1, "threads": 1, "progress": False}
    result = pydarts.search(X, y, space="darts-1d", order=1, **small)
    assert result.config.batch_size == 8
    assert pydarts.train(result.genotype, X, y, **small).config.batch_size == 8
    with pytest.raises(ValueError, match=r"`batch_size` \(=16\) is larger than either half"):
        pydarts.search(X, y, space="darts-1d", batch_size=16, **small)


def test_stems_that_fit() -> None:
    quick = TrainConfig.make("quick", {})
    for size, stem in (
        ((63, 200), "cifar"),
        ((64, 64), "imagenet"),
        ((1, 1023), "cifar"),
        ((1, 1024), "imagenet"),
    ):
        assert quick.completed(100, size).stem == stem
    assert TrainConfig.make("quick", {"stem": "cifar"}).completed(100, (99, 99)).stem == "cifar"


# What it depends on


def test_seed_and_threads(model: Model) -> None:
    assert same_models(small_train(), model)
    assert not same_models(small_train(seed=1), model)
    for threads in (2, None):
        other = small_train(threads=threads)
        assert same_models(other, model)
        assert other.history[-1]["train_loss"] == model.history[-1]["train_loss"]


@pytest.mark.parametrize(
    "option",
    [
        {"momentum": 0.5},
        {"weight_decay": 0.1},
        {"max_grad_norm": 0.01},
        {"lr": 0.01},
        {"batch_size": 12},
        {"drop_path": 0.5},
        {"auxiliary": True},
        {"auxiliary": True, "auxiliary_weight": 0.1},
        {"crop_padding": 0},
        {"crop_padding": 2},
        {"flip": True},
        {"cutout": 3},
        {"genotype": pydarts.DARTS_V1},
        {"drop_path": 0.3, "auxiliary": True, "flip": True, "cutout": 2},
    ],
    ids=str,
)
def test_every_option_counts(model: Model, option: dict[str, Any]) -> None:
    other = small_train(**option)
    assert not same_models(other, model)
    assert all(np.isfinite(a).all() for a in other.network.state_dict().values())
    for name, value in option.items():
        assert name == "genotype" or getattr(other.config, name) == value
    auxiliary = any(name.startswith("auxiliary") for name in other.network.state_dict())
    assert auxiliary == option.get("auxiliary", False)


def test_weight_of_the_auxiliary_head() -> None:
    network = pydarts.Network(pydarts.DARTS_V2, 2, 3, classes=3, in_channels=1, auxiliary=True)
    before = network.state_dict()
    for weight in (0.0, 0.4):
        model = small_train(auxiliary=True, auxiliary_weight=weight, weight_decay=0.0)
        after = model.network.state_dict()
        for name, a in before.items():
            if "running" not in name:
                stays = name.startswith("auxiliary") and weight == 0
                assert np.array_equal(a, after[name]) == stays, name


def test_drop_path_rises_from_none(model: Model) -> None:
    other = small_train(drop_path=0.9)
    assert other.history[0]["train_loss"] == model.history[0]["train_loss"]
    assert other.history[1]["train_loss"] != model.history[1]["train_loss"]


def test_a_validation_loss_that_is_no_number_is_a_divergence() -> None:
    X, y = pictures()
    with pytest.raises(Diverged, match="the validation loss is not finite") as caught:
        small_train(X, y, X_valid=X, y_valid=y, lr=1e30, max_grad_norm=1e30, batch_size=len(X))
    assert caught.value.result.history == []


def test_layouts_labels_and_kinds(model: Model) -> None:
    X, y = pictures()
    for other in (
        small_train(X[..., np.newaxis]),
        small_train(X[:, np.newaxis], image_layout="NCHW"),
        small_train(X.astype(np.float32), y.tolist()),
        small_train(X, [("a", "b", "c")[code] for code in y]),
        small_train(X, [(0, int(code)) for code in y]),
    ):
        assert same_models(other, model)
    pairs = other.predict(X)
    assert pairs.dtype == object
    assert set(pairs.tolist()) <= {(0, 0), (0, 1), (0, 2)}


def test_validation_images_only_watch(model: Model) -> None:
    X, y = pictures(30, seed=5)
    other = small_train(X_valid=X, y_valid=y)
    assert same_models(other, model)
    last = other.history[-1]
    assert last["valid_accuracy"] == other.score(X, y)
    chances = other.predict_proba(X)[np.arange(30), y]
    assert last["valid_loss"] == pytest.approx(-np.log(chances).mean(), rel=1e-6)


# Progress, interruption, divergence


def test_silence_and_progress(capfd: pytest.CaptureFixture[str]) -> None:
    small_train(epochs=1)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""
    small_train(epochs=1, progress=True)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "epoch   1/1" in captured.err


def test_ctrl_c_while_the_run_ends_is_not_lost() -> None:
    """Nor does it leave a network that computes no more."""

    class AtTheEnd(pydarts.Callback):
        def on_end(self, loop: Any, result: Any) -> None:
            signal.raise_signal(signal.SIGINT)

    model = small_train(callbacks=[AtTheEnd()], epochs=1)
    assert model.interrupted
    assert len(model.history) == 1
    X = np.zeros((64, 8, 8), np.uint8)
    end = time.process_time() + 0.2
    while time.process_time() < end:  # beyond the time in which no deadline is looked at
        assert np.isfinite(model.logits(X)).all()


def test_ctrl_c_returns_what_there_is() -> None:
    try:
        model = small_train(epochs=1_000_000, callbacks=[PressCtrlC()])
    except KeyboardInterrupt:
        pytest.fail("the interrupt came through")
    assert model.interrupted
    assert 0 < len(model.history) < 1_000_000
    assert all(np.isfinite(a).all() for a in model.network.state_dict().values())
    assert model.predict(pictures()[0]).shape == (48,)


def test_divergence_keeps_what_there_is(capfd: pytest.CaptureFixture[str]) -> None:
    messages = []
    for progress in (False, True):
        with pytest.raises(Diverged, match=r"^step [1-9]\d*: .*(`[\w.]+`|loss)") as error:
            small_train(lr=1e30, max_grad_norm=1e30, progress=progress)
        messages.append(str(error.value))
        assert isinstance(error.value.result, Model)
        state = error.value.result.network.state_dict()
        assert all(np.isfinite(a).all() for a in state.values())
    assert messages[0] == messages[1]


# Bad input


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"genotype": "DARTS_V2"}, "`genotype`.*DARTS_V2"),
        ({"genotype": None}, "`genotype`.*None"),
        ({"X": pictures()[0][:5], "y": [0, 1, 2, 0, 1]}, r"`batch_size` \(=8\).*5 images"),
        ({"X": pictures()[0][:0], "y": []}, "`X` is empty"),
        ({"y": [0, 1]}, "48 images.*2 labels"),
        ({"y": np.zeros(48)}, "one class"),
        ({"X": np.full((48, 8, 8), np.nan)}, "NaN"),
        ({"X_valid": pictures()[0]}, "`X_valid` and `y_valid`"),
        ({"y_valid": pictures()[1]}, "`X_valid` and `y_valid`"),
        ({"X_valid": pictures()[0], "y_valid": pictures()[1][:-1]}, "48 images.*47 labels"),
        ({"X_valid": pictures()[0], "y_valid": pictures()[1] + 5}, "unknown label"),
        ({"X_valid": np.zeros((9, 3, 8, 8)), "y_valid": [0] * 9}, "channel"),
        ({"epochs": 0}, r"`epochs` \(=0\)"),
        ({"channels": -2}, r"`channels` \(=-2\)"),
        ({"batch_size": 1}, r"`batch_size` \(=1\)"),
        ({"lr": float("nan")}, r"`lr` \(=nan\)"),
        ({"momentum": 1}, r"`momentum` \(=1\)"),
        ({"drop_path": 1.0}, r"`drop_path` \(=1.0\)"),
        ({"drop_path": -0.1}, r"`drop_path` \(=-0.1\)"),
        ({"auxiliary": 1}, r"`auxiliary` \(=1\)"),
        ({"auxiliary_weight": -1.0}, r"`auxiliary_weight` \(=-1.0\)"),
        ({"cutout": 2.5}, r"`cutout` \(=2.5\)"),
        ({"seed": 2**64}, r"`seed` \(=18446744073709551616\)"),
        ({"threads": 0}, r"`threads` \(=0\)"),
        ({"preset": "slow"}, r"`preset` \(='slow'\)"),
        ({"droppath": 0.1}, "`droppath`: did you mean `drop_path`"),
        ({"order": 2}, "unknown option `order`"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_arguments(arguments: dict[str, Any], match: str) -> None:
    with pytest.raises((ValueError, TypeError), match=match):
        small_train(**arguments)


# Files


@pytest.mark.parametrize("auxiliary", [False, True])
@pytest.mark.parametrize(
    "names", [["a", "b", "ü\0"], [3, 1, 2], [0.5, 1.5, -2.5], [True, False]], ids=str
)
def test_round_trip(names: list[Any], auxiliary: bool, tmp_path: Path) -> None:
    X, y = pictures()
    labels = [names[code % len(names)] for code in y]
    before = small_train(X, labels, auxiliary=auxiliary)
    before.save(tmp_path / "new" / "folder")
    after = Model.load(tmp_path / "new" / "folder", threads=2)
    assert np.array_equal(after.logits(X), before.logits(X))
    assert after.predict(X).tolist() == before.predict(X).tolist()
    assert [type(label) for label in after.classes] == [type(label) for label in before.classes]
    for name in ("classes", "config", "history", "image_size", "image_layout", "genotype"):
        assert getattr(after, name) == getattr(before, name), name
    assert after.network.threads == 2
    assert after.num_weights == before.num_weights
    files = sorted(path.name for path in (tmp_path / "new" / "folder").iterdir())
    assert files == ["model.json", "model.safetensors"]


def test_a_layout_is_remembered(tmp_path: Path) -> None:
    X = np.repeat(pictures()[0][:, np.newaxis], 7, axis=1)
    before = small_train(X, image_layout="NCHW", epochs=1)
    before.save(tmp_path)
    assert np.array_equal(Model.load(tmp_path).logits(X), before.logits(X))


def test_labels_that_cannot_be_saved(tmp_path: Path) -> None:
    model = small_train(None, [(0, int(code)) for code in pictures()[1]], epochs=1)
    with pytest.raises(ValueError, match=r"\(0, 0\)"):
        model.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("there", ["model.json", "model.safetensors"])
def test_nothing_is_overwritten_unasked(model: Model, there: str, tmp_path: Path) -> None:
    (tmp_path / there).write_text("precious", encoding="utf-8")
    with pytest.raises(FileExistsError, match=there):
        model.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text(encoding="utf-8") == "precious"
    model.save(tmp_path, overwrite=True)
    assert np.array_equal(Model.load(tmp_path).logits(pictures()[0]), model.logits(pictures()[0]))


def test_a_model_that_is_replaced_is_never_half_of_two(
    model: Model, good: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError("no space left")

    model.save(tmp_path)
    with monkeypatch.context() as patch:  # the weights cannot be written: the one before stays
        patch.setattr(model_files, "save", full)
        with pytest.raises(OSError, match="no space left"):
            good.save(tmp_path, overwrite=True)
    assert same_models(Model.load(tmp_path), model)
    with monkeypatch.context() as patch:
        patch.setattr(model_files, "write_json", full)
        with pytest.raises(OSError, match="no space left"):
            good.save(tmp_path, overwrite=True)
    with monkeypatch.context() as patch:  # what was set aside is not of the weights that are there
        patch.setattr(model_files, "save", full)
        with pytest.raises(OSError, match="no space left"):
            good.save(tmp_path, overwrite=True)
    with pytest.raises(FileNotFoundError, match=r"model\.json is missing"):
        Model.load(tmp_path)
    good.save(tmp_path, overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"model.json", "model.safetensors"}


def test_places_that_are_no_folders(model: Model, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OSError, match="file"):
        model.save(tmp_path / "file")
    for place in ("file", "nowhere"):
        with pytest.raises(FileNotFoundError, match=r"model\.json"):
            Model.load(tmp_path / place)
    model.save(tmp_path / "model")
    with pytest.raises(FileNotFoundError, match=r"model\.json is missing: there is a model in "):
        Model.load(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"m\.c cannot be written: there is no folder "):
        model.to_c(tmp_path / "none" / "m.c")
    (tmp_path / "model" / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        Model.load(tmp_path / "model")


def refuse(folder: Path, match: str) -> None:
    """Require a clear ValueError on loading, and no allocation of what a file only claims."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=match):
            Model.load(folder, threads=1)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
@pytest.mark.parametrize("keep", [0.0, 1, 7, 8, 9, 0.01, 0.5, 0.9, -2])
def test_truncated_files(saved: Path, name: str, keep: float) -> None:
    whole = (saved / name).read_bytes()
    (saved / name).write_bytes(whole[: keep if isinstance(keep, int) else int(keep * len(whole))])
    refuse(saved, name)


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe",
        b"[" * 100_000,
        b"{}",
        b"[]",
        b"null",
        b"1" * 5000,
        b'{"format": "pydarts-model"}',
    ],
    ids=lambda content: repr(content[:20]),
)
def test_descriptions_that_are_none(saved: Path, content: bytes) -> None:
    (saved / "model.json").write_bytes(content)
    refuse(saved, r"model\.json")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", "other"),
        ("version", 99),
        ("version", None),
        ("genotype", None),
        ("genotype", {"normal": [["sep_conv_9x9", 0]]}),
        ("in_channels", 0),
        ("in_channels", -1),
        ("in_channels", 3),
        ("in_channels", 10**12),
        ("in_channels", float("inf")),
        ("in_channels", "one"),
        ("labels", []),
        ("labels", ["one"]),
        ("labels", ["a", "b"]),
        ("labels", ["a", "b", "a"]),
        ("labels", [[1], [2], [3]]),
        ("labels", 3),
        ("labels", list(range(100_000))),
        ("normalization", {}),
        ("normalization", {"mean": [0.0], "std": [0.0]}),
        ("normalization", {"mean": [0.0] * 3, "std": [1.0] * 3}),
        ("normalization", {"mean": [float("nan")], "std": [1.0]}),
        ("image_size", [8]),
        ("image_size", None),
        ("image_size", ["a", "b"]),
        ("image_layout", "CHW"),
        ("history", 7),
        ("config", []),
        ("config", {}),
        ("config.channels", 4096),
        ("config.channels", 10**9),
        ("config.channels", 10**30),
        ("config.cells", 1024),
        ("config.cells", 10**9),
        ("config.cells", "3"),
        ("config.lr", 10**400),
        ("config.lr", float("nan")),
        ("config.auxiliary", True),
        ("config.nonsense", 1),
    ],
    ids=lambda value: str(value)[:30],
)
def test_descriptions_that_lie(saved: Path, key: str, value: object) -> None:
    path = saved / "model.json"
    description = json.loads(path.read_text(encoding="utf-8"))
    at = description
    *outer, last = key.split(".")
    for part in outer:
        at = at[part]
    at[last] = value
    path.write_text(json.dumps(description), encoding="utf-8")
    refuse(saved, r"model\.(json|safetensors)")


def test_a_negative_variance_is_refused(model: Model, tmp_path: Path) -> None:
    state = {name: value.copy() for name, value in model.network.state_dict().items()}
    (name, *_) = (each for each in state if each.endswith("running_var"))
    state[name][0] = -1
    with pytest.raises(ValueError, match=rf"state\['{re.escape(name)}'\]` \(=-1\) is negative"):
        model.network.load_state_dict(state)
    model.save(tmp_path)
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"model\.safetensors does not fit .*is negative"):
        Model.load(tmp_path)


@pytest.mark.parametrize("size", [0, -1, 1.5, True])
def test_sizes_of_batches_that_are_none(model: Model, size: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="`batch_size`"):
        model.logits(pictures()[0], batch_size=size)


def test_a_claimed_network_is_not_built(saved: Path) -> None:
    # tracemalloc does not see what the engine allocates, so a limit for a process of its own.
    pytest.importorskip("resource")
    path = saved / "model.json"
    description = json.loads(path.read_text(encoding="utf-8"))
    description["config"] |= {"channels": 512, "cells": 12}
    path.write_text(json.dumps(description), encoding="utf-8")
    code = f"""
import resource, sys
sys.path.insert(0, {str(Path(pydarts.__file__).parents[1])!r})
import pydarts
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, used + 2**28))
try:
    pydarts.Model.load({str(saved)!r}, threads=1)
except ValueError as error:
    assert "model.safetensors" in str(error)
else:
    raise AssertionError("loaded")
"""
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs /proc")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


Tensors = dict[str, dict[str, Any]]


def edit_weights(folder: Path, change: Callable[[Tensors, bytearray], None]) -> None:
    """Change header and data of a safetensors file: 8 bytes of length, JSON, numbers."""
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    header, data = json.loads(whole[8:start]), bytearray(whole[start:])
    change(header, data)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def claim(name: str, **claims: object) -> Callable[[Tensors, bytearray], None]:
    """Return a change of what the header says of a tensor."""
    return lambda header, data: header[name].update(claims)


def poison(header: Tensors, data: bytearray) -> None:
    """Make the last number of the classifier NaN."""
    end = header["classifier.bias"]["data_offsets"][1]
    data[end - 4 : end] = np.float32(np.nan).tobytes()


LIES: dict[str, Callable[[Tensors, bytearray], Any]] = {
    "huge shape": claim("classifier.bias", shape=[2**50]),
    "huge offsets": claim("classifier.bias", data_offsets=[0, 2**60]),
    "negative shape": claim("classifier.bias", shape=[-3]),
    "overlap": claim("classifier.bias", data_offsets=[0, 12]),
    "another shape": claim("stem.0.weight", shape=[54]),
    "bfloat16": claim("classifier.bias", dtype="BF16", shape=[6]),
    "float8": claim("classifier.bias", dtype="F8_E4M3", shape=[12]),
    "float4": claim("classifier.bias", dtype="F4", shape=[24]),
    "complex": claim("stem.1.bias", dtype="C64", shape=[3]),
    "no type": claim("classifier.bias", dtype="NONSENSE"),
    "missing": lambda header, data: header.pop("classifier.bias"),
    "renamed": lambda header, data: header.update(other=header.pop("classifier.bias")),
    "NaN": poison,
    "more data": lambda header, data: data.extend(b"1234"),
}


@pytest.mark.parametrize("lie", LIES)
def test_weights_that_lie(saved: Path, lie: str) -> None:
    edit_weights(saved, LIES[lie])
    refuse(saved, r"model\.safetensors")


@pytest.mark.parametrize("length", [0, 1, 2**20, 2**31, 2**63, 2**64 - 1])
def test_header_lengths_that_lie(saved: Path, length: int) -> None:
    path = saved / "model.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + path.read_bytes()[8:])
    refuse(saved, r"model\.safetensors")


def test_weights_of_another_model(saved: Path, tmp_path: Path) -> None:
    small_train(channels=3, epochs=1).save(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "model.safetensors", saved)
    refuse(saved, r"model\.safetensors")


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_a_damaged_byte_gives_a_model_or_a_value_error(saved: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    whole = (saved / name).read_bytes()
    text = len(whole) if name == "model.json" else 8 + int.from_bytes(whole[:8], "little")
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[rng.integers(text)] = rng.choice(list(b'019-.eE"[]{},:nN \x00\xff'))
        (saved / name).write_bytes(damaged)
        try:
            assert isinstance(Model.load(saved, threads=1), Model)
        except ValueError as error:
            assert "model." in str(error)
