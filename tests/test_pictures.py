# SPDX-License-Identifier: MIT
"""Files of images: what is read, what is scaled, what is bad."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import pydarts
from pydarts.cli.main import main
from pydarts.data import load_data, pictures
from pydarts.data.lazy import LazyArray
from pydarts.data.pictures import read_picture_folder, read_picture_table

Image = pytest.importorskip("PIL.Image")

TINY_TRAIN = {"channels": 2, "cells": 1, "epochs": 1, "batch_size": 4, "progress": False}
TINY = {"channels": 2, "cells": 1, "epochs": 1, "batch_size": 4, "order": 1, "progress": False}


def grey(seed: int, height: int = 9, width: int = 7) -> np.ndarray:
    """Pixels (H, W)."""
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def save(path: Path, pixels: np.ndarray, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve grey images of two classes."""
    for index in range(12):
        save(tmp_path / "set" / "ab"[index % 2] / f"{index:02}.png", grey(index))
    return tmp_path / "set"


def expected(indices: list[int]) -> np.ndarray:
    return np.stack([grey(index)[np.newaxis] for index in indices])


def test_a_folder_of_folders(folder: Path) -> None:
    found = read_picture_folder(folder)
    order = [*range(0, 12, 2), *range(1, 12, 2)]
    np.testing.assert_array_equal(found.X, expected(order))
    assert found.X.dtype == np.uint8
    assert found.y is not None
    assert found.y.tolist() == ["a"] * 6 + ["b"] * 6
    assert found.names[:2] == ("a/00.png", "a/02.png")
    assert found.groups is None
    assert not found.test.any()
    assert found.notes == []


@pytest.mark.parametrize("suffix", ["png", "bmp", "webp", "PNG"])
def test_formats_without_loss(tmp_path: Path, suffix: str) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (8, 6, 3), dtype=np.uint8)
    options = {"lossless": True} if suffix == "webp" else {}
    save(tmp_path / "a" / f"1.{suffix}", colour, **options)
    X = read_picture_folder(tmp_path).X
    np.testing.assert_array_equal(X, colour.transpose(2, 0, 1)[np.newaxis])


def test_a_photo_is_upright(tmp_path: Path) -> None:
    pixels = np.zeros((16, 8), np.uint8)
    pixels[:8] = 255  # the upper half is bright
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    save(tmp_path / "a" / "1.jpg", pixels, exif=exif, quality=95)
    X = read_picture_folder(tmp_path).X
    assert X.shape == (1, 1, 8, 16)
    assert X[0, 0, :, 12:].min() > 200
    assert X[0, 0, :, :4].max() < 50


def test_grey_and_colour_together_are_colour(tmp_path: Path) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (8, 6, 3), dtype=np.uint8)
    save(tmp_path / "a" / "1.png", grey(1, 8, 6))
    save(tmp_path / "a" / "2.png", colour)
    save(tmp_path / "a" / "3.png", np.dstack([colour, grey(2, 8, 6)]))  # with an alpha channel
    X = read_picture_folder(tmp_path).X
    np.testing.assert_array_equal(X[0], np.repeat(grey(1, 8, 6)[np.newaxis], 3, axis=0))
    np.testing.assert_array_equal(X[1], colour.transpose(2, 0, 1))
    np.testing.assert_array_equal(X[2], X[1])


def test_grey_ones_for_a_model_of_colours(folder: Path, tmp_path: Path) -> None:
    found = read_picture_folder(folder, colour=True).X
    np.testing.assert_array_equal(found, np.repeat(read_picture_folder(folder).X, 3, axis=1))
    for index in range(12):
        colour = np.random.default_rng(index).integers(0, 256, (9, 7, 3), dtype=np.uint8)
        save(tmp_path / "colour" / "ab"[index % 2] / f"{index}.png", colour)
    pydarts.train(pydarts.DARTS_V2, tmp_path / "colour", **TINY_TRAIN).save(tmp_path / "model")
    given = [str(tmp_path / "model"), str(folder), "--out", str(tmp_path / "found.csv")]
    assert main(["predict", *given]) == 0
    assert len((tmp_path / "found.csv").read_text().splitlines()) == 13


def test_sizes_that_differ_need_one(folder: Path) -> None:
    save(folder / "b" / "large.png", grey(3, 18, 14))
    with pytest.raises(
        ValueError, match=r"`image_size` .*2 sizes, most of 9x7.*large.png of 18x14"
    ):
        read_picture_folder(folder)
    X = read_picture_folder(folder, (9, 7)).X
    assert X.shape == (13, 1, 9, 7)
    np.testing.assert_array_equal(X[0, 0], grey(0))  # what has the size is not touched
    assert read_picture_folder(folder, 5).X.shape == (13, 1, 5, 5)


@pytest.mark.parametrize("size", [3, (4, 0), (1, 2, 3), "8", 2.5, True, (2**20, 8)])
def test_sizes_that_are_none(folder: Path, size: object) -> None:
    with pytest.raises(ValueError, match="`image_size`"):
        read_picture_folder(folder, size)


def spoil(folder: Path) -> list[str]:
    """Add files that cannot be read, and return their names."""
    (folder / "a" / "nonsense.png").write_bytes(b"nonsense")
    (folder / "a" / "empty.jpg").write_bytes(b"")
    whole = (folder / "a" / "00.png").read_bytes()
    (folder / "b" / "short.png").write_bytes(whole[: len(whole) // 2])
    save(folder / "b" / "deep.png", np.full((9, 7), 40000, np.uint16))
    return ["a/nonsense.png", "a/empty.jpg", "b/short.png", "b/deep.png"]


def test_bad_files_are_named_together_or_left_out(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = read_picture_folder(folder)
    names = spoil(folder)
    with pytest.raises(ValueError, match="4 of 16 files cannot be used") as error:
        read_picture_folder(folder)
    assert all(name in str(error.value) for name in names)
    assert "`on_bad`='skip'" in str(error.value)
    found = load_data(folder, on_bad="skip")
    np.testing.assert_array_equal(found.X_train, before.X)
    (note,) = found.notes
    assert "4 of 16" in note
    assert all(name in note for name in names)
    assert note in caplog.text
    with pytest.raises(ValueError, match=r"`on_bad` .=.ignore.. must be 'raise' or 'skip'"):
        load_data(folder, on_bad="ignore")


def test_nothing_good_is_an_error_even_so(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="1 of 1 files cannot be used"):
        read_picture_folder(tmp_path, on_bad="skip")


def test_an_image_that_claims_too_many_pixels(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)  # of which those here have 63
    with pytest.raises(ValueError, match=r"(?s)12 of 12 files.*DecompressionBomb"):
        read_picture_folder(folder)


def test_what_is_no_image_is_said(folder: Path) -> None:
    (folder / "a" / "notes.txt").write_text("x")
    (folder / "a" / ".hidden.png").write_bytes(b"x")
    (folder / "nothing").mkdir()
    empty, others = read_picture_folder(folder).notes
    assert "no images in nothing" in empty
    assert "1 files or folders that are no images" in others


def test_both_kinds_of_folder_at_once(folder: Path) -> None:
    save(folder / "1.png", grey(0))
    with pytest.raises(ValueError, match=r"holds both 1.png and a/00.png"):
        read_picture_folder(folder)


def test_training_and_test_folders(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "both").mkdir()
    folder.rename(tmp_path / "both" / "train")
    save(tmp_path / "both" / "test" / "a" / "90.png", grey(90))
    data = load_data(tmp_path / "both")
    assert len(data.X_train) == 12
    assert data.X_test is not None
    assert data.y_test is not None
    np.testing.assert_array_equal(data.X_test, expected([90]))
    assert data.y_test.tolist() == ["a"]


def test_parts_beside_training_and_test(folder: Path, tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    for part in ("train", "val"):
        shutil.copytree(folder, parts / part)
    words = f"holds the folders train, val, .*: give {parts / 'train'} itself"
    with pytest.raises(ValueError, match=words):
        load_data(parts)


def test_parts_without_labels(tmp_path: Path) -> None:
    for part in ("train", "test"):
        save(tmp_path / part / "1.png", grey(1))
    with pytest.raises(ValueError, match="holds the folders test and train, but neither"):
        read_picture_folder(tmp_path)


def test_a_table_of_paths(folder: Path) -> None:
    path = folder.parent / "set.csv"
    lines = [f"set/{'ab'[i % 2]}/{i:02}.png,{'xyz'[i % 3]},p{i // 4}" for i in range(12)]
    path.write_text("\n".join(["File,Class,group", *lines]), encoding="utf-8-sig")
    found = read_picture_table(path)
    np.testing.assert_array_equal(found.X, expected(list(range(12))))
    assert found.y is not None
    assert found.groups is not None
    assert found.y.tolist() == list("xyz" * 4)
    assert found.groups.tolist() == ["p0"] * 4 + ["p1"] * 4 + ["p2"] * 4
    lines = [
        f"set/{'ab'[i % 2]}/{i:02}.png,{i % 2},{'test' if i > 7 else 'train'}" for i in range(12)
    ]
    path.write_text("\n".join(["path,label,split", *lines]))
    data = load_data(path)
    assert data.X_test is not None
    np.testing.assert_array_equal(data.X_train, expected(list(range(8))))
    np.testing.assert_array_equal(data.X_test, expected(list(range(8, 12))))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"one of the columns path.*has \[\]"),
        ("a,b\n1,2\n", "one of the columns path, file, filename, image"),
        ("path,label\n", "names no image"),
        ("path,file,label\nx,y,z\n", "both 'path' and 'file'"),
        ("path,label\na/00.png\n", "line 2: there is no label"),
        ("path,label\na/00.png,\n", "line 2: there is no label"),
        ("path,label,split\na/00.png,1,valid\n", "line 2: split is 'valid'"),
        ("path,label\na/00.png,1\nnone.png,2\n", "1 of 2 files.*none.png: there is no such file"),
    ],
)
def test_tables_that_do_not_do(folder: Path, text: str, message: str) -> None:
    (folder / "t.csv").write_text(text)
    with pytest.raises(ValueError, match=f"(?s){message}"):
        read_picture_table(folder / "t.csv")


def test_a_table_that_is_not_text(folder: Path) -> None:
    (folder / "t.csv").write_bytes(b"path,label\n\xff\xfe,1\n")
    with pytest.raises(ValueError, match="no CSV file in UTF-8"):
        read_picture_table(folder / "t.csv")


def test_without_labels_nothing_is_learned(folder: Path) -> None:
    with pytest.raises(ValueError, match="the images have no labels"):
        load_data(folder / "a")


def test_a_large_folder_is_decoded_when_needed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read_picture_folder(folder)
    monkeypatch.setattr(pictures, "CACHE_BYTES", 0)
    lazy = read_picture_folder(folder)
    assert isinstance(lazy.X, LazyArray)
    np.testing.assert_array_equal(lazy.X[:], whole.X)
    one, other = (pydarts.search(X, whole.y, **TINY) for X in (whole.X, lazy.X))
    for name, alphas in one.alphas.items():
        np.testing.assert_array_equal(other.alphas[name], alphas)


def test_a_search_takes_the_folder_itself(folder: Path) -> None:
    data = load_data(folder)
    one = pydarts.search(folder, **TINY)
    other = pydarts.search(data.X_train, data.y_train, **TINY)
    np.testing.assert_array_equal(one.alphas["normal"], other.alphas["normal"])
    with pytest.raises(ValueError, match="`y` must not be given"):
        pydarts.search(folder, data.y_train, **TINY)


def test_a_table_that_names_a_bad_file_twice(folder: Path) -> None:
    table = folder.parent / "table.csv"
    table.write_text("path,label\nnone.png,a\nnone.png,b\n")
    with pytest.raises(ValueError, match="2 of 2 files cannot be used"):
        load_data(table, on_bad="skip")
    table.write_text("path,label\nnone.png,a\nset/a/00.png,a\nset/b/01.png,b\nnone.png,b\n")
    data = load_data(table, on_bad="skip")
    assert data.y_train.tolist() == ["a", "b"]
    (note,) = data.notes
    assert "2 of 4 files" in note
    assert "none.png (image 1): there is no such file" in note
    assert "none.png (image 4): there is no such file" in note


def test_grey_images_beside_a_model_of_colours(folder: Path, tmp_path: Path) -> None:
    """To validate on, and to calibrate 8 bits by, at the model's size."""
    for index in range(12):
        colour = np.random.default_rng(index).integers(0, 256, (8, 10, 3), dtype=np.uint8)
        save(tmp_path / "colour" / "ab"[index % 2] / f"{index}.png", colour)
    small = ["--channels", "2", "--cells", "1", "--epochs", "1", "--batch-size", "4"]
    command = ["train", "DARTS_V2", str(tmp_path / "colour"), *small, "--threads", "1"]
    given = ["--image-size", "9x7", "--valid", str(folder), "--out", str(tmp_path / "out")]
    assert main([*command, *given]) == 0
    c_file = ["--c", str(tmp_path / "net.c"), "--int8", "--calibrate"]
    for data in (folder, tmp_path / "colour"):
        assert main(["export", str(tmp_path / "out"), *c_file, str(data), "--force"]) == 0
