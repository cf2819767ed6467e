# SPDX-License-Identifier: MIT
"""`search`: real runs on small images that are easy to tell apart, and all that can go wrong."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nets import PressCtrlC
from numpy.typing import NDArray

import pydarts
from pydarts import Diverged, SearchConfig, SearchResult, search
from pydarts.tasks.image_runs import cosine

Array = NDArray[Any]
SMALL: dict[str, Any] = {
    "channels": 2,
    "cells": 3,
    "epochs": 2,
    "batch_size": 8,
    "threads": 1,
    "progress": False,
}


def pictures(count: int = 48, classes: int = 3, side: int = 8) -> tuple[Array, Array]:
    """Return noisy uint8 images whose class is the place of a bright square, and their labels."""
    rng = np.random.default_rng(0)
    y = np.arange(count) % classes
    X = rng.integers(0, 60, (count, side, side), dtype=np.uint8)
    for image, label in zip(X, y, strict=True):
        row, column = divmod(int(label), 2)
        image[row * side // 2 :, column * side // 2 :][: side // 2, : side // 2] += 150
    return X, y


def small_search(X: Any = None, y: Any = None, **options: Any) -> SearchResult:
    """Search on the pictures, or on what is given, for two short epochs."""
    default = pictures()
    return search(
        default[0] if X is None else X, default[1] if y is None else y, **{**SMALL, **options}
    )


def same(a: SearchResult, b: SearchResult) -> bool:
    """Whether two runs ended in the same bits."""
    state = {**a.supernet.state_dict(), **a.alphas}
    other = {**b.supernet.state_dict(), **b.alphas}
    return state.keys() == other.keys() and all(
        np.array_equal(v, other[k]) for k, v in state.items()
    )


def without_time(result: SearchResult) -> list[dict[str, Any]]:
    """Return the history but for the seconds."""
    return [{k: v for k, v in entry.items() if k != "seconds"} for entry in result.history]


@pytest.fixture(scope="module")
def result() -> SearchResult:
    """Return what the small search finds."""
    return small_search()


# What it returns


def test_result(result: SearchResult) -> None:
    assert isinstance(result, SearchResult)
    assert not result.interrupted
    assert isinstance(result.config, SearchConfig)
    assert (result.config.channels, result.config.epochs, result.config.seed) == (2, 2, 0)
    assert result.config.preset == "quick"
    assert isinstance(result.supernet, pydarts.Supernet)
    assert result.supernet.in_channels == 1
    assert {name: a.shape for name, a in result.alphas.items()} == {
        "normal": (14, 8),
        "reduce": (14, 8),
    }
    assert result.genotype == pydarts.Genotype.derive(result.alphas) == result.supernet.genotype


def test_history(result: SearchResult) -> None:
    assert [entry["epoch"] for entry in result.history] == [1, 2]
    for entry in result.history:
        assert entry["lr"] == cosine(0.025, 0.001, entry["epoch"] - 1, 2)
        assert 0 <= entry["train_accuracy"] <= 1
        assert 0 <= entry["valid_accuracy"] <= 1
        assert 0 < entry["train_loss"] < 10
        assert 0 < entry["valid_loss"] < 10
        pydarts.Genotype.parse(entry["genotype"])
    first, last = result.history
    assert 0 < first["seconds"] < last["seconds"]
    assert pydarts.Genotype.parse(last["genotype"]) == result.genotype
    assert list(first) == list(last)


def test_repr(result: SearchResult) -> None:
    text = repr(result)
    last = result.history[-1]
    for part in (
        "2 of 2 epochs",
        f"{result.supernet.num_weights:,} weights",
        f"{last['valid_loss']:.4f}",
        *result.genotype.describe(),
    ):
        assert part in text
    assert [line.split()[0] for line in text.splitlines()[-2:]] == ["normal", "reduce"]
    assert "interrupted" not in text
    assert max(map(len, text.splitlines())) < 120


@pytest.mark.parametrize("order", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_it_learns(order: int) -> None:
    result = small_search(*pictures(96), order=order, channels=4, epochs=8, lr=0.1, alpha_lr=0.01)
    first, last = result.history[0], result.history[-1]
    assert last["train_loss"] < 0.6 * first["train_loss"]
    assert last["train_accuracy"] > 0.9
    assert last["valid_accuracy"] > 0.9  # no image of this half did the weights learn on
    assert last["valid_loss"] < first["valid_loss"]
    assert all(abs(a).max() > 0.03 for a in result.alphas.values())


def test_defaults_of_the_original() -> None:
    # SPEC §1; the quick preset differs in size and in what follows from it only.
    paper = SearchConfig.make("paper", {})
    expected = {
        "channels": 16,
        "cells": 8,
        "batch_size": 64,
        "epochs": 50,
        "lr": 0.025,
        "lr_min": 0.001,
        "momentum": 0.9,
        "weight_decay": 3e-4,
        "max_grad_norm": 5.0,
        "alpha_lr": 3e-4,
        "alpha_betas": (0.5, 0.999),
        "alpha_weight_decay": 1e-3,
        "epsilon": 0.01,
        "train_fraction": 0.5,
        "order": 2,
    }
    assert {name: getattr(paper, name) for name in expected} == expected
    for preset in ("quick", "standard", "paper"):
        SearchConfig.make(preset, {})


def test_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    # Look over the shoulder of the search: which images, in which order, at which rate.
    seen: dict[str, list[Any]] = {"train": [], "valid": [], "lr": [], "start": []}

    class Spy(pydarts.bilevel.BilevelStep):
        def __init__(self, net: pydarts.Supernet, **options: Any):
            seen["start"].append({**net.state_dict(), **net.alphas})
            super().__init__(net, **options)

        def __call__(self, **batches: Any) -> Any:
            for name, value in batches.items():
                seen[name].append(value)
            return super().__call__(**batches)

    monkeypatch.setattr("pydarts.methods.darts.BilevelStep", Spy)
    X, y = pictures(48)
    result = small_search(X, y, seed=3)
    start = pydarts.Supernet(2, 3, classes=3, in_channels=1, seed=3)
    for name, a in {**start.state_dict(), **start.alphas}.items():
        assert np.array_equal(seen["start"][0][name], a), name
    assert seen["lr"] == [cosine(0.025, 0.001, epoch, 2) for epoch in (0, 1) for _ in range(3)]

    def tell_apart(images: Array, labels: Array) -> list[int]:
        """Return the places of images in X, where no two are alike."""
        flat = [a.reshape(len(a), -1).astype(float) for a in (images, X)]
        flat = [(f - f.mean(axis=1)[:, None]) / f.std(axis=1)[:, None] for f in flat]
        found = (flat[0] @ flat[1].T).argmax(axis=1)
        np.testing.assert_allclose(flat[0], flat[1][found], atol=1e-4)
        assert np.array_equal(labels, y[found])
        return [int(i) for i in found]

    epochs = {
        name: [
            tuple(np.concatenate(part) for part in zip(*seen[name][at : at + 3], strict=True))
            for at in (0, 3)
        ]
        for name in ("train", "valid")
    }
    train, valid = ([tell_apart(*epoch) for epoch in epochs[name]] for name in ("train", "valid"))
    for first, second in (train, valid):  # each image of a half once an epoch, in another order
        assert first != second
        assert set(first) == set(second)
        assert len(set(first)) == len(first) == 24
        assert np.bincount(y[first]).tolist() == [8, 8, 8]
    assert not set(train[0]) & set(valid[0])
    # All are normalised by the weights' half; the loss that is told is that of the alphas' half.
    pixels = epochs["train"][0][0]
    assert pixels.mean() == pytest.approx(0, abs=1e-5)
    assert pixels.std() == pytest.approx(1, rel=1e-5)
    images, labels = epochs["valid"][1]
    scale = (X[valid[1]].astype(float) - X[train[0]].mean()) / X[train[0]].std()
    np.testing.assert_allclose(images[:, 0], scale, atol=1e-5)
    logits = result.supernet.logits(images, training=False).astype(float)
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(24), labels]
    assert result.history[-1]["valid_loss"] == pytest.approx(losses.mean(), rel=1e-6)
    right = logits.argmax(axis=1) == labels
    assert result.history[-1]["valid_accuracy"] == pytest.approx(right.mean())


# What it depends on


def test_seed(result: SearchResult) -> None:
    again, other = small_search(), small_search(seed=1)
    assert same(again, result)
    assert without_time(again) == without_time(result)
    assert not same(other, result)


@pytest.mark.slow
def test_threads_do_not_matter(result: SearchResult) -> None:
    for threads in (2, 3, None):
        other = small_search(threads=threads)
        assert same(other, result)
        assert without_time(other) == without_time(result)


@pytest.mark.parametrize(
    "option",
    [
        {"order": 1},
        {"momentum": 0.5},
        {"weight_decay": 0.1},
        {"max_grad_norm": 0.01},
        {"alpha_lr": 0.1},
        {"alpha_betas": (0.9, 0.99)},
        {"alpha_weight_decay": 10.0},
        {"epsilon": 0.1},
        {"lr": 0.05},
        {"lr_min": 0.02},
        {"train_fraction": 0.75},
        {"max_images": 30},
        {"batch_size": 12},
        {"crop_padding": 2},
        {"flip": True},
        {"cutout": 3},
    ],
    ids=str,
)
def test_every_option_counts(result: SearchResult, option: dict[str, Any]) -> None:
    other = small_search(**option)
    assert other.history[-1]["train_loss"] != result.history[-1]["train_loss"] or not same(
        other, result
    )
    (name, value), *_ = option.items()
    assert getattr(other.config, name) == value


@pytest.mark.slow
def test_layouts_and_containers(result: SearchResult) -> None:
    X, y = pictures()
    for other in (
        small_search(X[..., np.newaxis]),
        small_search(X[:, np.newaxis]),
        small_search(X[:, np.newaxis], image_layout="NCHW"),
        small_search(X.tolist(), y.tolist()),
        small_search(X.astype(np.float64)),
        small_search(X.astype(np.int32), (label for label in y)),
        small_search(np.asfortranarray(X)),
    ):
        assert same(other, result)


def test_channels() -> None:
    X, _ = pictures()
    colour = np.stack([X, 255 - X, X // 2], axis=-1)
    last, first = small_search(colour), small_search(np.moveaxis(colour, -1, 1))
    assert last.supernet.in_channels == 3
    assert same(last, first)
    seven = np.repeat(X[:, np.newaxis], 7, axis=1)
    assert small_search(seven, image_layout="NCHW", epochs=1).supernet.in_channels == 7


def test_units_of_the_pixels_do_not_matter(result: SearchResult) -> None:
    X, _ = pictures()
    assert same(small_search(X / np.float32(256)), result)  # a power of two: to the bit
    other = small_search(1000.0 + X / 255)
    assert other.history[0]["train_loss"] == pytest.approx(
        result.history[0]["train_loss"], rel=0.02
    )


def test_constant_images_and_channels_work() -> None:
    X, _ = pictures()
    assert np.isfinite(small_search(np.zeros_like(X), epochs=1).history[0]["valid_loss"])
    colour = np.stack([X, np.full_like(X, 7)], axis=1)
    assert np.isfinite(small_search(colour, epochs=1).history[0]["valid_loss"])


@pytest.mark.parametrize(
    "names",
    [
        ["a", "b", "c"],
        [(0, "x"), (0, "y"), (1, "a")],
        [1.5, 2.5, 3.5],
        [-1, 7, 2**70],
        [("a",), "b", 3],
        [b"a", b"b", b"c"],
    ],
    ids=str,
)
def test_any_labels(result: SearchResult, names: list[Any]) -> None:
    assert same(small_search(None, [names[code] for code in pictures()[1]]), result)


# Progress


def test_silence(capfd: pytest.CaptureFixture[str]) -> None:
    small_search(epochs=1)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_progress(capfd: pytest.CaptureFixture[str]) -> None:
    result = small_search(progress=True)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "epoch   1/2" in captured.err
    assert f"{result.history[1]['valid_accuracy']:.2%}" in captured.err
    assert captured.err.count("normal ") == 2
    assert "step/s" in captured.err or "s/step" in captured.err


# Saving


def test_save(result: SearchResult, tmp_path: Path) -> None:
    to = tmp_path / "a" / "b"
    result.save(to)
    text = (to / "genotype.json").read_text(encoding="utf-8")
    assert pydarts.Genotype.from_json(text) == result.genotype
    saved = json.loads((to / "result.json").read_text(encoding="utf-8"))
    assert (saved["format"], saved["version"]) == ("pydarts-result", 2)
    config = saved["config"]
    assert config["channels"] == 2
    assert config["preset"] == "quick"
    with np.load(to / "alphas.npz") as alphas:
        assert all(np.array_equal(alphas[name], a) for name, a in result.alphas.items())
    with (to / "history.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["valid_loss"]) for row in rows] == [e["valid_loss"] for e in result.history]
    for name in ("normal", "reduce"):
        assert (to / f"{name}.svg").read_text(encoding="utf-8").startswith("<svg")


# Bad input


def spoilt(kind: str) -> tuple[Any, Any]:
    """Return images and labels of which something is wrong."""
    X, y = pictures()
    floats = X.astype(float)
    if kind in ("nan", "inf", "-inf"):
        floats[5, 3, 2] = float(kind)
        return floats, y
    return {
        "empty": (X[:0], y[:0]),
        "mismatch": (X, y[:-1]),
        "one class": (X, np.zeros_like(y)),
        "no labels": (X, []),
        "single": (X, ["rare", *("ab"[i % 2] for i in range(47))]),
        "tiny": (X[:, :3, :3], y),
        "flat": (X.reshape(len(X), -1), y),
        "text": (X.astype(str), y),
        "ragged": ([[[1, 2], [3]], [[1]]], [0, 1]),
        "ambiguous": (X[:, :4, :4, np.newaxis], y),
        "unclear": (np.repeat(X[:, np.newaxis], 7, axis=1), y),
        "nan label": (X, [float("nan"), *y[1:]]),
        "list label": (X, [[0], *y[1:]]),
        "one-hot": (X, np.eye(3)[y]),
        "few": (X[:12], y[:12]),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "match"),
    [
        ("nan", r"`X`.*NaN.*\(5, 3, 2\)"),
        ("inf", r"`X`.*infinite.*\(=inf\)"),
        ("-inf", r"`X`.*infinite.*\(=-inf\)"),
        ("empty", r"`X` is empty"),
        ("mismatch", r"`X`.*48.*`y`.*47"),
        ("one class", r"`y`.*one class"),
        ("no labels", r"`y`"),
        ("single", r"labels that the training half lacks: 'rare'"),
        ("tiny", r"`X`.*3x3"),
        ("flat", r"`X`.*\(48, 64\)"),
        ("text", r"`X`.*dtype"),
        ("ragged", r"`X`.*shape"),
        ("ambiguous", r"`X`.*image_layout"),
        ("unclear", r"`X`.*image_layout"),
        ("nan label", r"`y`.*nan"),
        ("list label", r"`y`.*\[0\]"),
        ("one-hot", r"`y`.*\(48, 3\)"),
        ("few", r"`batch_size` \(=8\).*6 images"),
    ],
)
def test_bad_data(kind: str, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        small_search(*spoilt(kind))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("channels", 0),
        ("channels", 2.0),
        ("channels", "16"),
        ("channels", 2**40),
        ("cells", 0),
        ("cells", -3),
        ("cells", 10**6),
        ("epochs", 0),
        ("epochs", None),
        ("batch_size", 0),
        ("batch_size", 1),
        ("batch_size", 25),
        ("order", 3),
        ("order", 0),
        ("order", "2"),
        ("order", None),
        ("lr", 0.0),
        ("lr", -1.0),
        ("lr", float("nan")),
        ("lr", float("inf")),
        ("lr", "fast"),
        ("lr", 10**400),
        ("lr_min", -0.1),
        ("momentum", 1.0),
        ("momentum", -0.1),
        ("weight_decay", -1e-3),
        ("max_grad_norm", 0.0),
        ("alpha_lr", 0.0),
        ("alpha_betas", (0.5, 1.0)),
        ("alpha_betas", (0.5,)),
        ("alpha_betas", 0.5),
        ("alpha_weight_decay", -1.0),
        ("epsilon", 0.0),
        ("train_fraction", 0.0),
        ("train_fraction", 1.0),
        ("max_images", 2),
        ("crop_padding", -1),
        ("crop_padding", 1.5),
        ("flip", 1),
        ("cutout", -1),
        ("seed", -1),
        ("seed", 0.5),
        ("seed", 2**64),
        ("threads", 0),
        ("threads", 1.5),
        ("threads", 2**31),
        ("preset", "fast"),
        ("image_layout", "CHW"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_impossible_options_are_named(name: str, value: object) -> None:
    with pytest.raises((ValueError, TypeError)) as error:
        small_search(**{name: value})
    text = str(error.value)
    assert f"`{name}`" in text
    shown = repr(value[1]) if isinstance(value, tuple) and len(value) == 2 else repr(value)
    assert shown in text


def test_unknown_options_are_named() -> None:
    with pytest.raises(TypeError, match=r"`epoch`: did you mean `epochs`\?"):
        small_search(epoch=3)
    with pytest.raises(TypeError, match=r"`learning_speed`.*\blr\b"):
        small_search(learning_speed=3)


def test_a_sample_too_small_for_its_classes() -> None:
    # Two images of each class are given, but the sample has no room for them.
    with pytest.raises(ValueError, match=r"`max_images` \(=40\)"):
        small_search(*pictures(48, classes=24), max_images=40, batch_size=4)


# Interruption and divergence


@pytest.mark.parametrize("order", [1, 2])
def test_ctrl_c_returns_what_there_is(order: int) -> None:
    try:
        result = small_search(epochs=1_000_000, order=order, callbacks=[PressCtrlC()])
    except KeyboardInterrupt:
        pytest.fail("the interrupt came through")
    assert result.interrupted
    assert 0 < len(result.history) < 1_000_000
    assert "interrupted" in repr(result)
    assert all(np.isfinite(a).all() for a in result.supernet.state_dict().values())
    assert isinstance(result.genotype, pydarts.Genotype)
    assert result.supernet.logits(np.zeros((1, 1, 8, 8)), training=False).shape == (1, 3)


@pytest.mark.parametrize("order", [1, 2])
def test_divergence_keeps_what_there_is(order: int) -> None:
    with pytest.raises(Diverged, match=r"^step \d+: .*(`[\w.]+`|loss|alphas)") as error:
        small_search(lr=1e30, max_grad_norm=1e30, order=order)
    assert isinstance(error.value, ArithmeticError)
    result = error.value.result
    assert isinstance(result, SearchResult)
    assert not result.interrupted
    assert all(np.isfinite(a).all() for a in result.alphas.values())
    assert isinstance(result.genotype, pydarts.Genotype)


@pytest.mark.slow
def test_digits() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    X, y = datasets.load_digits(return_X_y=True)
    X = X.reshape(-1, 8, 8)
    result = small_search(X, y, channels=4, epochs=5, max_images=600, batch_size=16, lr=0.1)
    assert result.history[-1]["valid_accuracy"] > 0.7
