# SPDX-License-Identifier: MIT
"""Data sets that give their samples one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pydarts
from pydarts.data import load_data, map_style
from pydarts.data.lazy import LazyArray
from pydarts.data.map_style import is_map_style, read_samples

X = np.random.default_rng(0).integers(0, 256, (9, 5, 6), dtype=np.uint8)


class Samples:
    """Gives what a function makes of an index."""

    def __init__(self, make: Any, count: int = 9):
        self.make, self.count = make, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return self.make(index)


@pytest.mark.parametrize(
    "make",
    [
        lambda i: (X[i], i % 2),
        lambda i: [X[i].tolist(), np.int64(i % 2)],
        lambda i: {"image": X[i], "label": i % 2},
        lambda i: {"img": X[i], "y": np.array(i % 2), "id": i},
        lambda i: {"pixel_values": X[i], "labels": i % 2},
    ],
)
def test_forms_of_items(make: Any) -> None:
    found = read_samples(Samples(make))
    np.testing.assert_array_equal(found.X, X)
    assert found.y.tolist() == [i % 2 for i in range(9)]
    assert found.notes == []


@pytest.mark.slow
def test_tensors() -> None:
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.tensor(X), torch.arange(9) % 2)
    found = read_samples(data)
    np.testing.assert_array_equal(found.X, X)
    assert found.y.tolist() == [i % 2 for i in range(9)]
    assert found.X.dtype == np.uint8


def test_kinds_of_targets() -> None:
    assert read_samples(Samples(lambda i: (X[i], "ab"[i % 2]))).y.dtype.kind == "U"
    assert read_samples(Samples(lambda i: (X[i], np.eye(3)[i % 3]))).y.shape == (9, 3)
    mixed = read_samples(Samples(lambda i: (X[i], [1, "x", (2, 3)][i % 3]))).y
    assert mixed.dtype == object
    assert mixed.tolist()[:3] == [1, "x", (2, 3)]
    both = read_samples(Samples(lambda i: (X[i] / np.float32(2) if i else X[i], 0))).X
    assert both.dtype == np.float32
    np.testing.assert_array_equal(both[1:], X[1:] / np.float32(2))


def broken(index: int) -> Any:
    if index == 2:
        raise KeyError("lost")
    if index == 5:
        return X[index, 1:], 0
    if index == 7:
        return {"image": X[index], "img": X[index], "label": 1}
    return 3 if index == 8 else (X[index], 0)


def test_bad_items_are_named_together_or_left_out(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match="4 of 9 items cannot be used") as error:
        load_data(Samples(broken))
    for name in ("item 2: KeyError: 'lost'", r"item 5: ValueError: has the shape (4, 6)", "item 7"):
        assert name in str(error.value)
    assert "item 8" in str(error.value)
    data = load_data(Samples(broken), on_bad="skip")
    np.testing.assert_array_equal(data.X_train, X[[0, 1, 3, 4, 6]])
    assert "4 of 9 items" in caplog.text
    with pytest.raises(ValueError, match="is empty"):
        load_data(Samples(broken, 0))


def test_large_ones_are_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_style, "CACHE_BYTES", 100)  # of three
    asked: list[int] = []

    def make(index: int) -> Any:
        asked.append(index)
        if index == 1:
            raise ValueError("bad")
        return X[index], index % 2

    found = read_samples(Samples(make), "skip")
    assert isinstance(found.X, LazyArray)
    asked.clear()
    np.testing.assert_array_equal(found.X[[1, 0]], X[[2, 0]])
    assert asked == [2, 0]


class Class:
    """A column of classes as Hugging Face's ``ClassLabel`` is."""

    names = ("cat", "dog", "eel")

    def int2str(self, code: int) -> str:
        return self.names[code]


def Image() -> Any:
    return type("Image", (), {})()


def with_features(make: Any, count: int = 9, **features: Any) -> Samples:
    source = Samples(make, count)
    source.features = features  # type: ignore[attr-defined]
    return source


def test_names_of_classes_are_the_labels() -> None:
    source = with_features(lambda i: {"photo": X[i], "kind": i % 3}, photo=Image(), kind=Class())
    found = read_samples(source)
    np.testing.assert_array_equal(found.X, X)
    assert found.y.tolist() == ["cat", "dog", "eel"] * 3
    column = type("Column", (), {"feature": Class()})()
    several = with_features(
        lambda i: {"image": X[i], "labels": [0, 2] if i else []}, image=Image(), labels=column
    )
    assert read_samples(several).y.tolist() == [[0, 0, 0]] + [[1, 0, 1]] * 8
    unknown = with_features(lambda i: {"x": X[i], "y": (1, -1, None)[i % 3]}, x=None, y=Class())
    with pytest.raises(ValueError, match="6 of 9 items") as error:
        read_samples(unknown)
    assert "item 1: ValueError: has the label -1, which is none of 3 classes" in str(error.value)
    assert "item 2: ValueError: has no label: it is None" in str(error.value)


def test_columns_that_leave_it_open() -> None:
    both = with_features(None, img=Image(), fine=Class(), coarse=Class())
    with pytest.raises(ValueError, match=r"fine and coarse are .*remove_columns\(\['coarse'\]\)"):
        read_samples(both)
    with pytest.raises(ValueError, match=r"\['img', 'a'\] .*rename_column\('a', 'label'\)"):
        read_samples(with_features(None, img=Image(), a=None))
    with pytest.raises(ValueError, match=r"\['image'\] .*alone in holding classes$"):
        read_samples(with_features(None, image=Image()))


def test_parts_of_a_data_set(caplog: pytest.LogCaptureFixture) -> None:
    train, test = Samples(lambda i: (X[i], i % 2)), Samples(lambda i: (X[i] // 2, 1), 4)
    data = load_data({"train": train, "validation": test, "test": test})
    np.testing.assert_array_equal(data.X_train, X)
    np.testing.assert_array_equal(data.X_test, X[:4] // 2)
    assert "of its parts validation is not used" in caplog.text
    assert load_data({"train": train}).X_test is None
    with pytest.raises(TypeError, match="must be a name, a path or a data set"):
        load_data({"test": test})
    for stream in (iter([(X[0], 1)]), type("Loader", (), {"__iter__": None, "__len__": None})()):
        with pytest.raises(TypeError, match="gives its items in turn alone"):
            load_data(stream)


def test_sounds(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(index: int) -> Any:
        array = np.full(20 + index, 0.5 + index).tolist()
        return {"audio": {"array": array, "sampling_rate": 8000, "path": None}, "label": index % 2}

    data = load_data(Samples(make))
    assert (data.X_train.shape, data.X_train.dtype, data.rate) == ((9, 28), np.float32, 8000)
    np.testing.assert_array_equal(data.X_train[1], [1.5] * 21 + [0] * 7)
    cut = load_data(Samples(make), length=22).X_train
    np.testing.assert_array_equal(cut, data.X_train[:, :22])
    monkeypatch.setattr(map_style, "CACHE_BYTES", 300)
    lazy = load_data(Samples(make)).X_train
    assert isinstance(lazy, LazyArray)
    np.testing.assert_array_equal(lazy[:], data.X_train)
    parts = load_data({"train": Samples(make), "test": Samples(make, 3)})
    assert parts.X_test is not None
    assert parts.X_test.shape == (3, 28)

    class Decoder:
        def get_all_samples(self) -> Any:
            data = np.array([[1, 0], [0, 0]], np.float32)
            return type("Decoded", (), {"data": data, "sample_rate": 44_100})

    decoded = read_samples(Samples(lambda i: {"audio": Decoder(), "label": i % 2}))
    assert decoded.rate == 44_100
    assert decoded.X.tolist() == [[0.5, 0]] * 9
    mixed = Samples(lambda i: make(0) if i else {"audio": Decoder(), "label": 0})
    with pytest.raises(ValueError, match="has 8,000 samples a second, but the first has 44,100"):
        read_samples(mixed)
    other = Samples(lambda i: make(0) if i else (X[i], 0))
    with pytest.raises(
        ValueError, match="is of the kind sound, but the first is of the kind array"
    ):
        read_samples(other)


def test_sounds_of_16_bits_are_of_one_scale() -> None:
    """Of several channels, or beside others that are float."""
    half = np.full(100, 2**14, np.int16)
    kinds: list[Any] = [half, np.stack([half, half]), half / np.float32(2**15)]

    def read(*chosen: int) -> Any:
        items = [({"array": kinds[k], "sampling_rate": 8000}, k) for k in chosen]
        return read_samples(Samples(items.__getitem__, len(items))).X

    assert read(0, 0).dtype == np.int16
    for chosen in ((1, 1), (0, 1), (0, 2), (2, 0)):
        X = read(*chosen)
        assert X.dtype == np.float32
        np.testing.assert_array_equal(X, 0.5)


def test_what_is_for_other_inputs_is_refused() -> None:
    arrays = Samples(lambda i: (X[i], i % 2))
    for name, given in (("image_size", {"image_size": 8}), ("length", {"length": 8})):
        with pytest.raises(ValueError, match="has no use with the data set Samples") as error:
            load_data(arrays, **given)  # type: ignore[arg-type]
        assert error.value.argument == name  # type: ignore[attr-defined]


def test_a_grey_part_of_a_set_of_colours() -> None:
    pillow = pytest.importorskip("PIL.Image")
    image = pillow.fromarray(X[0])
    train = Samples(lambda i: (image.convert("RGB") if i else image, i % 2))
    data = load_data({"train": train, "test": Samples(lambda i: (image, 0), 2)})
    assert data.X_test is not None
    assert data.X_test.shape == (2, 5, 6, 3)
    np.testing.assert_array_equal(data.X_test[0], data.X_train[0])


def test_images_of_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    pillow = pytest.importorskip("PIL.Image")
    colours = np.random.default_rng(1).integers(0, 256, (5, 6, 3), dtype=np.uint8)

    def make(index: int) -> Any:
        image = pillow.fromarray(X[index])
        kinds = [image, pillow.fromarray(colours).quantize(200), image.convert("RGBA")]
        return kinds[index % 3], index % 2

    grey = read_samples(Samples(lambda i: (pillow.fromarray(X[i]), 0))).X
    np.testing.assert_array_equal(grey, X)
    found = read_samples(Samples(make)).X
    assert (found.shape, found.dtype) == ((9, 5, 6, 3), np.uint8)
    np.testing.assert_array_equal(found[[0, 2]], X[[0, 2], :, :, np.newaxis].repeat(3, axis=3))
    assert np.abs(found[1].astype(int) - colours).mean() < 10  # not the numbers of the palette
    monkeypatch.setattr(map_style, "CACHE_BYTES", 0)
    lazy = read_samples(Samples(make)).X
    assert isinstance(lazy, LazyArray)
    np.testing.assert_array_equal(lazy[:], found)
    sizes = Samples(lambda i: (pillow.fromarray(X[i, i % 2 :]), 0))
    with pytest.raises(ValueError, match=r"`image_size` .* most of 5x6 pixels, but item 1 of 4x6"):
        read_samples(sizes)
    assert read_samples(sizes, image_size=(4, 5)).X.shape == (9, 4, 5)


def test_a_data_set_of_hugging_face() -> None:
    datasets = pytest.importorskip("datasets")
    pillow = pytest.importorskip("PIL.Image")
    label = datasets.ClassLabel(names=["cat", "dog"])
    features = datasets.Features({"photo": datasets.Image(), "kind": label})
    images, codes = [pillow.fromarray(x) for x in X], [i % 2 for i in range(9)]
    made = datasets.Dataset.from_dict({"photo": images, "kind": codes}, features=features)
    arrays = datasets.Features({"x": datasets.Array2D((5, 6), "uint8"), "label": label})
    other = datasets.Dataset.from_dict({"x": X, "label": codes}, features=arrays)
    for source in (made, other, made.with_format("torch"), other.with_format("numpy")):
        data = load_data(datasets.DatasetDict({"train": source, "test": source}))
        np.testing.assert_array_equal(np.asarray(data.X_train).reshape(X.shape), X)
        assert data.y_train.tolist() == [("cat", "dog")[code] for code in codes]
    options = {"channels": 2, "cells": 1, "epochs": 1, "batch_size": 4, "progress": False}
    found = pydarts.search(made, order=1, threads=1, **options)
    expected = pydarts.search(X, data.y_train, order=1, threads=1, **options)
    np.testing.assert_array_equal(found.alphas["normal"], expected.alphas["normal"])
    sounds = [{"array": [0.5] * 30, "sampling_rate": 8000}] * 9
    assert load_data(datasets.Dataset.from_dict({"audio": sounds, "y": codes})).rate == 8000
    with pytest.raises(TypeError, match="in turn alone"):
        load_data(made.to_iterable_dataset())


def test_what_is_a_data_set() -> None:
    for value in (Samples(broken), [1], (1,), range(3)):
        assert is_map_style(value)
    for value in (X, "ab", b"a", {}, 3, None, (i for i in ()), np.float64(1)):
        assert not is_map_style(value)
