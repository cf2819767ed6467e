# SPDX-License-Identifier: MIT
"""Folders of WAV files, well-formed and not."""

from __future__ import annotations

import struct
import tracemalloc
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pydarts
from pydarts.data import wav
from pydarts.data.datasets import load
from pydarts.data.lazy import LazyArray
from pydarts.data.wav import read_wav_folder
from pydarts.tasks import image_runs

RNG = np.random.default_rng(0)
many = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def write(path: Path, data: bytes, rate: int = 8000, width: int = 2, channels: int = 1) -> Path:
    path.parent.mkdir(exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(data)
    return path


def sound(path: Path, length: int = 20, rate: int = 8000) -> np.ndarray:
    samples = RNG.integers(-(2**15), 2**15, length).astype("<i2")
    write(path, samples.tobytes(), rate)
    return samples


def test_labels_and_speakers_of_names(tmp_path: Path) -> None:
    one = sound(tmp_path / "7_jackson_32.wav", 12)
    two = sound(tmp_path / "7_theo_1.WAV", 20)
    three = sound(tmp_path / "0_theo_1.wav", 15)
    (tmp_path / "._0_theo_1.wav").write_bytes(b"left by another system")
    (tmp_path / "README.md").write_text("no sound")
    data = load(tmp_path)
    assert data.X_train.dtype == np.int16
    assert data.X_train.shape == (3, 20)
    assert data.y_train.tolist() == ["0", "7", "7"]
    assert data.groups is not None
    assert data.groups.tolist() == ["theo", "jackson", "theo"]
    assert data.rate == 8000
    assert data.X_test is None
    for row, samples in zip(data.X_train, (three, one, two), strict=True):
        np.testing.assert_array_equal(row, np.pad(samples, (0, 20 - len(samples))))
    cut = load(tmp_path, length=14).X_train
    np.testing.assert_array_equal(cut, data.X_train[:, :14])
    np.testing.assert_array_equal(
        load(tmp_path, length=30).X_train, np.pad(data.X_train, ((0, 0), (0, 10)))
    )


def test_labels_of_folders(tmp_path: Path) -> None:
    for name in ("no/b_x_1", "yes/a_y_1", "no/a_x_2"):
        sound(tmp_path / f"{name}.wav")
    (tmp_path / ".hidden").mkdir()
    sound(tmp_path / ".hidden" / "c.wav")
    data = load(tmp_path)
    assert data.y_train.tolist() == ["no", "no", "yes"]
    assert data.groups is None


@pytest.mark.parametrize("names", [["a_1", "b_2"], ["a_x_1", "b_x_2"], ["a_x_1", "b_2"]])
def test_names_without_several_speakers(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        sound(tmp_path / f"{name}.wav")
    data = load(tmp_path)
    assert data.y_train.tolist() == ["a", "b"]
    assert data.groups is None


def test_names_without_labels(tmp_path: Path) -> None:
    sound(tmp_path / "one.wav")
    sound(tmp_path / "two.wav")
    assert read_wav_folder(tmp_path).y is None
    with pytest.raises(ValueError, match=r"no _ that a label stands before"):
        load(tmp_path)
    path = tmp_path / "a_1.wav"
    sound(path)
    with pytest.raises(ValueError, match=r"one\.wav has no label"):
        load(tmp_path)


def test_widths(tmp_path: Path) -> None:
    def only(data: bytes, width: int, channels: int = 1) -> np.ndarray:
        write(tmp_path / "a_1.wav", data, width=width, channels=channels)
        x: np.ndarray = load(tmp_path).X_train[0]
        return x

    eight = only(bytes([0, 128, 255]), 1)
    assert eight.dtype == np.int16
    assert eight.tolist() == [-(2**15), 0, 127 * 256]
    assert only(struct.pack("<3h", -5, 0, 2**15 - 1), 2).tolist() == [-5, 0, 2**15 - 1]
    wide = [-(2**31), -(2**10), 0, 2**30]
    for data, width in (
        (struct.pack("<4i", *wide), 4),
        (b"".join(struct.pack("<i", value)[1:] for value in wide), 3),
    ):
        x = only(data, width)
        assert x.dtype == np.float32
        assert x.tolist() == [-1, -(2.0**-21), 0, 0.5]
    stereo = only(struct.pack("<4h", 2**14, 0, -1, -2), 2, channels=2)
    assert stereo.dtype == np.float32
    assert stereo.tolist() == [0.25, -1.5 / 2**15]
    three = only(struct.pack("<3i", 2**31 - 2**8, -(2**30), -(2**30)), 4, channels=3)
    assert three.tolist() == [pytest.approx(0, abs=1e-7)]


def test_mixed_widths_have_one_scale(tmp_path: Path) -> None:
    write(tmp_path / "a_1.wav", struct.pack("<2h", 2**14, -(2**15)))
    write(tmp_path / "b_1.wav", struct.pack("<2i", 2**30, -(2**31)), width=4)
    x = load(tmp_path).X_train
    assert x.dtype == np.float32
    assert x.tolist() == [[0.5, -1], [0.5, -1]]


def test_rates_that_differ(tmp_path: Path) -> None:
    sound(tmp_path / "a_1.wav")
    path = tmp_path / "b_1.wav"
    sound(path, rate=16000)
    with pytest.raises(ValueError, match=r"16,000 samples a second, but a_1.wav has 8,000") as e:
        load(tmp_path)
    assert str(path) in str(e.value)


def test_sounds_here_and_in_folders(tmp_path: Path) -> None:
    sound(tmp_path / "a_1.wav")
    sound(tmp_path / "yes" / "b.wav")
    with pytest.raises(ValueError, match=r"both a_1.wav and yes.b.wav"):
        load(tmp_path)


@many
@given(data=st.data())
def test_cut_anywhere(tmp_path: Path, data: st.DataObject) -> None:
    sound(tmp_path / "a_1.wav")
    path = tmp_path / "b_1.wav"
    sound(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(ValueError, match=r"b_1\.wav"):
        load(tmp_path)


@many
@given(data=st.data())
def test_any_byte_may_be_wrong(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "a_1.wav"
    sound(path)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, 43))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        assert load(tmp_path).X_train.size <= len(content)
    except ValueError as error:
        assert "a_1.wav" in str(error)


def test_a_claim_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a_1.wav"
    sound(path)
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = struct.pack("<I", 2**31)
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"a_1\.wav: claims 2,147,483,648 bytes"):
            load(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_empty_and_other_files(tmp_path: Path) -> None:
    path = write(tmp_path / "a_1.wav", b"")
    with pytest.raises(ValueError, match=r"a_1\.wav: holds 0 samples"):
        load(tmp_path)
    header = bytearray(write(path, bytes(8)).read_bytes())
    header[20:22] = struct.pack("<H", 3)  # floating point
    path.write_bytes(header)
    with pytest.raises(ValueError, match=r"a_1\.wav: is no sound in PCM"):
        load(tmp_path)


def kinds_of_sounds(folder: Path) -> None:
    """Twelve sounds of two labels: of different lengths and, with the last, of different widths."""
    for index in range(12):
        sound(folder / f"{'ab'[index % 2]}_{index}.wav", 300 + index, rate=1000)
    data = RNG.integers(-(2**31), 2**31, 700).astype("<i4").tobytes()
    write(folder / "b_last.wav", data, 1000, width=4, channels=2)


@pytest.mark.parametrize("length", [None, 250, 400])
def test_large_folders_are_read_when_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int | None
) -> None:
    kinds_of_sounds(tmp_path)
    whole = load(tmp_path, length=length)
    monkeypatch.setattr(wav, "CACHE_BYTES", 0)
    monkeypatch.setattr(wav, "_BLOCK", 100)
    lazy = load(tmp_path, length=length)
    assert isinstance(lazy.X_train, LazyArray)
    assert (lazy.X_train.dtype, lazy.X_train.shape) == (np.float32, whole.X_train.shape)
    np.testing.assert_array_equal(lazy.X_train[:], whole.X_train)
    np.testing.assert_array_equal(lazy.y_train, whole.y_train)
    lazy = load(tmp_path, length=length)  # of which nothing is kept yet
    sound(tmp_path / "a_0.wav", 3, rate=1000)
    with pytest.raises(ValueError, match=r"a_0\.wav: has changed since it was first read"):
        lazy.X_train[0]


@pytest.mark.parametrize(("space", "kind"), [("darts", "log_mel"), ("darts-1d", "none")])
def test_a_search_and_a_training_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, space: str, kind: str
) -> None:
    kinds_of_sounds(tmp_path)
    whole = load(tmp_path)
    monkeypatch.setattr(wav, "CACHE_BYTES", 0)
    monkeypatch.setattr(image_runs, "HELD_BYTES", 0)
    lazy = load(tmp_path)
    bands = {"n_mels": 6, "top_db": 35.0, "standardize": True} if kind == "log_mel" else {}
    options = {
        "preprocessing": pydarts.Preprocessing(kind, 1000, 300, **bands),
        "channels": 2,
        "cells": 1,
        "epochs": 1,
        "batch_size": 4,
        "threads": 1,
        "progress": False,
    }
    one, other = (
        pydarts.search(each, space=space, order=1, shift=3, **options)  # type: ignore[arg-type]
        for each in (whole, lazy)
    )
    for name, alphas in one.alphas.items():
        np.testing.assert_array_equal(other.alphas[name], alphas)
    models = [pydarts.train(one.genotype, each, **options) for each in (whole, lazy)]
    assert models[0].normalization == models[1].normalization
    expected = models[0].predict_proba(whole.X_train)
    np.testing.assert_array_equal(models[1].predict_proba(lazy.X_train), expected)


def test_bad_files_are_named_together_or_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a/1", "a/2", "b/1", "b/2"):
        sound(tmp_path / f"{name}.wav")
    (tmp_path / "a" / "0.wav").write_bytes(b"RIFF")
    (tmp_path / "b" / "2.wav").write_bytes(b"")
    with pytest.raises(ValueError, match="2 of 5 files cannot be used") as error:
        load(tmp_path)
    assert "a/0.wav: " in str(error.value)
    assert "b/2.wav: cannot be read: EOFError" in str(error.value)
    data = load(tmp_path, on_bad="skip")
    assert data.y_train.tolist() == ["a", "a", "b"]
    assert "2 of 5 files cannot be used and were left out" in caplog.text
    with pytest.raises(ValueError, match="`on_bad`"):
        load(tmp_path, on_bad="drop")


def test_one_long_file_among_short_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pydarts.data.wav._FILLED", 1000)
    for i in range(50):
        sound(tmp_path / f"a_{i}.wav", 1)
    path = tmp_path / "b_1.wav"
    sound(path, 1000)
    with pytest.raises(ValueError, match=r"has 1,000 samples, .*give a `length`") as error:
        load(tmp_path)
    assert str(path) in str(error.value)
    assert load(tmp_path, length=100).X_train.shape == (51, 100)


@pytest.mark.parametrize("length", [0, -1, 2.0])
def test_impossible_lengths(tmp_path: Path, length: float) -> None:
    sound(tmp_path / "a_1.wav")
    with pytest.raises(ValueError, match="`length`"):
        load(tmp_path, length=length)  # type: ignore[arg-type]


def test_npz_with_groups_and_rate(tmp_path: Path) -> None:
    path, X, y = tmp_path / "a.npz", np.zeros((4, 30), np.int16), np.array([0, 1, 0, 1])
    np.savez(path, X=X, y=y, groups=np.array(["a", "a", "b", "b"]), rate=16000)
    data = load(path)
    assert data.groups is not None
    assert data.groups.tolist() == ["a", "a", "b", "b"]
    assert data.rate == 16000
    np.savez(path, X=X, y=y)
    assert load(path).groups is None
    assert load(path).rate is None
    np.savez(path, X=X, y=y, groups=np.array(["a", "b"]))
    with pytest.raises(ValueError, match=r"a\.npz: groups have shape \(2,\), but 4 images"):
        load(path)
    for rate in (0, 8000.0, [8000, 8000], -1):
        np.savez(path, X=X, y=y, rate=rate)
        with pytest.raises(ValueError, match=r"a\.npz: rate must be a single positive integer"):
            load(path)


def test_a_length_is_of_wav_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "sounds.npz", X=np.zeros((4, 100), np.int16), y=[0, 1, 0, 1], rate=8000)
    with pytest.raises(
        ValueError, match=r"`length` \(=50\) has no use with .*: there are no \.wav"
    ):
        load(tmp_path / "sounds.npz", length=50)
