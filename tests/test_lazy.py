# SPDX-License-Identifier: MIT
"""Arrays that are read by items: the same bits as in memory, and never copied whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pydarts
import pydarts.data.lazy as lazy_module
from pydarts.data.images import as_images
from pydarts.data.lazy import CachedItems, LazyArray, mapped
from pydarts.data.normalization import Normalization
from pydarts.data.preprocessing import Preprocessing
from pydarts.tasks import image_runs
from pydarts.training.checkpoint import fingerprint

RNG = np.random.default_rng(0)
TINY = {"channels": 2, "cells": 1, "epochs": 2, "batch_size": 4, "order": 1, "progress": False}


def on_disk(folder: Path, array: np.ndarray) -> np.memmap:
    file = np.lib.format.open_memmap(folder / "X.npy", "w+", array.dtype, array.shape)
    file[:] = array
    return file


@pytest.mark.parametrize(
    "item",
    [
        slice(2, 5),
        slice(None, None, -2),
        slice(8, 3),
        np.array([3, 1, 3, -1]),
        [0, 1, 2],
        np.arange(10) % 3 == 0,
        4,
        -10,
    ],
)
def test_items_are_those_of_the_array(tmp_path: Path, item: object) -> None:
    array = RNG.integers(0, 99, (10, 2, 3))
    lazy = mapped(on_disk(tmp_path, array))
    np.testing.assert_array_equal(lazy[item], array[item])
    if not isinstance(item, int):
        np.testing.assert_array_equal(lazy.take(item)[:], array[item])
        np.testing.assert_array_equal(lazy.take(item).take(slice(1))[:], array[item][:1])
    assert (lazy.shape, lazy.ndim, lazy.size, lazy.dtype) == (array.shape, 3, 60, array.dtype)
    np.testing.assert_array_equal(np.asarray(lazy), array)


@pytest.mark.parametrize("item", [[10], [-11], np.ones(9, bool), 10])
def test_items_beyond_the_array(tmp_path: Path, item: object) -> None:
    with pytest.raises(IndexError):
        mapped(on_disk(tmp_path, np.zeros((10, 2))))[item]


def test_chunks_cover_all() -> None:
    def read(indices: np.ndarray) -> np.ndarray:
        return np.repeat(indices, 1 << 21).reshape(len(indices), -1).astype(np.uint8)

    lazy = LazyArray(read, (5, 1 << 21), np.uint8)
    parts = list(lazy.chunks())
    assert [start for start, _ in parts] == [0, 2, 4]
    assert [part[:, 0].tolist() for _, part in parts] == [[0, 1], [2, 3], [4]]


def test_a_cache_keeps_no_more_than_its_bytes() -> None:
    asked: list[int] = []

    def read(index: int) -> np.ndarray:
        asked.append(index)
        return np.full(4, index, np.uint8)

    cached = CachedItems(read, limit=9)  # of two items
    for _ in range(2):
        np.testing.assert_array_equal(cached(np.array([0, 1, 2]))[:, 0], [0, 1, 2])
    assert asked == [0, 1, 2, 2]


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((9, 5, 6), {}),
        ((9, 5, 6, 3), {}),
        ((9, 3, 5, 6), {}),
        ((9, 4, 4, 4), {"image_layout": "NHWC"}),
        ((9, 12), {"dimensions": 1}),
        ((9, 3, 12), {"dimensions": 1}),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float64, bool])
def test_images_of_a_file(
    tmp_path: Path, shape: tuple[int, ...], options: dict, dtype: type
) -> None:
    array = RNG.integers(0, 2, shape).astype(dtype)
    whole, lazy = as_images(array, **options), as_images(on_disk(tmp_path, array), **options)
    assert isinstance(lazy, LazyArray)
    assert (lazy.shape, lazy.dtype) == (whole.shape, whole.dtype)
    np.testing.assert_array_equal(lazy[:], whole)
    np.testing.assert_array_equal(lazy[np.array([7, 2])], whole[[7, 2]])
    assert fingerprint(lazy) == fingerprint(whole)


def test_errors_are_those_of_an_array(tmp_path: Path) -> None:
    array = np.zeros((700, 4, 5), np.float32)
    array[600, 1, 2], array[650, 0, 0] = np.inf, np.nan
    messages = []
    for X in (array, on_disk(tmp_path, array)):
        with pytest.raises(ValueError, match=r"2 pixel.*\(600, 1, 2\) \(=inf\)") as error:
            as_images(X)
        messages.append(str(error.value))
    assert messages[0] == messages[1]
    with pytest.raises(ValueError, match=r"shape \(3, 8\)"):
        as_images(on_disk(tmp_path, np.zeros((3, 8))))


def test_statistics_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy_module, "_CHUNK_VALUES", 1 << 14)
    pixels = RNG.integers(0, 256, (600, 3, 5, 6), dtype=np.uint8)
    file = on_disk(tmp_path, pixels)
    assert Normalization.fit(mapped(file)) == Normalization.fit(pixels)
    for shape in ((600, 3, 5, 6), (300, 1, 1, 70), (20, 1, 70, 90), (9, 2, 1, 9000)):
        floats = (RNG.normal(3, 2, shape) ** 9).astype(np.float32)
        lazy, whole = (Normalization.fit(x) for x in (mapped(on_disk(tmp_path, floats)), floats))
        assert lazy == whole
        np.testing.assert_allclose(whole.mean, floats.mean((0, 2, 3), np.float64), rtol=1e-12)
        np.testing.assert_allclose(whole.std, floats.std((0, 2, 3), np.float64), rtol=1e-12)
    floats = floats[:, :, :, :30]
    normalized = whole.apply(
        as_images(on_disk(tmp_path, floats), image_layout="NCHW", dimensions=1)
    )
    assert isinstance(normalized, LazyArray)
    np.testing.assert_array_equal(normalized[3:9], whole.apply(floats[3:9]))


def test_sounds_of_a_file(tmp_path: Path) -> None:
    sounds = RNG.integers(-999, 999, (6, 300)).astype(np.int16)
    made = Preprocessing("log_mel", 1000, 400, n_mels=6)
    lazy = made.apply(on_disk(tmp_path, sounds))
    assert isinstance(lazy, LazyArray)
    np.testing.assert_array_equal(lazy[:], made.apply(sounds))


@pytest.mark.parametrize("held", [0, 1 << 27])
def test_a_search_and_a_training_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    monkeypatch.setattr(image_runs, "HELD_BYTES", held)
    X, y = RNG.integers(0, 256, (40, 6, 6), dtype=np.uint8), np.arange(40) % 2
    file = on_disk(tmp_path, X)
    one, other = (
        pydarts.search(each, y, max_images=32, crop_padding=1, **TINY) for each in (X, file)
    )
    for name, alphas in one.alphas.items():
        np.testing.assert_array_equal(other.alphas[name], alphas)
    options = TINY | {"order": None}
    del options["order"]
    models = [
        pydarts.train(one.genotype, each, y, X_valid=each[:8], y_valid=y[:8], **options)
        for each in (X, file)
    ]
    np.testing.assert_array_equal(models[0].predict_proba(X), models[1].predict_proba(file))


def test_a_search_reads_a_file_by_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_runs, "HELD_BYTES", 0)
    X, y = RNG.integers(0, 256, (1200, 6, 6), dtype=np.uint8), np.arange(1200) % 2
    most = 0
    read = LazyArray.__getitem__

    def watched(self: LazyArray, item: object) -> np.ndarray:
        nonlocal most
        found = read(self, item)
        most = max(most, len(found))
        return found

    monkeypatch.setattr(LazyArray, "__getitem__", watched)
    pydarts.search(on_disk(tmp_path, X), y, **TINY | {"batch_size": 300, "epochs": 1})
    assert most == 300  # a batch; of statistics and duplicates 256


def test_a_folder_of_npy_files(tmp_path: Path) -> None:
    X, y = RNG.integers(0, 256, (40, 6, 6), dtype=np.uint8), np.arange(40) % 2
    np.save(tmp_path / "X.npy", X)
    with pytest.raises(FileNotFoundError, match=r"y.npy is missing"):
        pydarts.data.load_data(tmp_path)
    np.save(tmp_path / "y.npy", y)
    data = pydarts.data.load_data(tmp_path)
    assert isinstance(data.X_train, np.memmap)
    np.testing.assert_array_equal(data.X_train, X)
    whole = (tmp_path / "X.npy").read_bytes()
    (tmp_path / "X.npy").write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=r"X.npy"):
        pydarts.data.load_data(tmp_path)
    np.save(tmp_path / "X.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(ValueError, match=r"X.npy"):
        pydarts.data.load_data(tmp_path)
