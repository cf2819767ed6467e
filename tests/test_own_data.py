# SPDX-License-Identifier: MIT
"""Every line of the tables in docs/own-data.md, on a small sample of what it is about."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pydarts
from pydarts.cli import main as cli
from pydarts.data import datasets, load_data

Image = pytest.importorskip("PIL.Image")

PAGE = Path(__file__).parent.parent / "docs" / "own-data.md"
TEXT = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
LINES = re.findall(r"^\|.*\| `(pydarts[ .].*)` \|$", TEXT, flags=re.MULTILINE)
CALLS = [line for line in LINES if line.startswith("pydarts.")]
COMMANDS = [line for line in LINES if line.startswith("pydarts ")]

TINY = {"channels": 2, "cells": 1, "epochs": 1, "batch_size": 4, "order": 1}
FLAGS = [f"--{name.replace('_', '-')}={value}" for name, value in TINY.items()]
FLAGS += ["--train-channels=2", "--train-cells=1", "--train-epochs=1", "--train-batch-size=4"]
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (48, 8, 8), dtype=np.uint8)
LABELS = np.array(["cat", "dog", "owl"])[np.arange(48) % 3]

pytestmark = pytest.mark.skipif(not LINES, reason="the page is not part of the installed package")


def write_picture(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_series(path: Path, count: int) -> None:
    """A file of the archives' format."""
    rows = [",".join(map(str, RNG.normal(size=20).round(3))) + f":{i % 2}" for i in range(count)]
    head = "@problemName Mine\n@timeStamps false\n@missing false\n@univariate true\n"
    head += "@equalLength true\n@seriesLength 20\n@classLabel true 0 1\n@data\n"
    path.parent.mkdir(exist_ok=True)
    path.write_text(head + "\n".join(rows) + "\n")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the lines name."""
    folder = tmp_path_factory.mktemp("own")
    lines = ["path,label"]
    for index, (pixels, label) in enumerate(zip(IMAGES, LABELS, strict=True)):
        name = f"{label}/{index}.png"
        write_picture(folder / "photos" / name, pixels)
        write_picture(folder / "scans" / name, pixels if index % 2 else pixels[:7])
        lines.append(f"photos/{name},{label}")
    (folder / "scans" / "cat" / "broken.jpg").write_bytes(b"nonsense")
    (folder / "new").mkdir()
    write_picture(folder / "new" / "1.png", IMAGES[0])
    (folder / "photos.csv").write_text("\n".join(lines))
    np.savez(folder / "mine.npz", X=IMAGES, y=LABELS)
    np.savez(folder / "numbers.npz", X=IMAGES, y=IMAGES.mean(axis=(1, 2)))
    np.savez(folder / "later.npz", X=IMAGES[::-1], y=LABELS[::-1])
    (folder / "arrays").mkdir()
    np.save(folder / "arrays" / "X.npy", IMAGES)
    np.save(folder / "arrays" / "y.npy", LABELS)
    IMAGES.tofile(folder / "raw.bin")
    write_series(folder / "series" / "Mine_TRAIN.ts", 24)
    write_series(folder / "series" / "Mine_TEST.ts", 8)
    for index in range(24):
        path = folder / "recordings" / f"{index % 2}_p{index // 6}_{index}.wav"
        path.parent.mkdir(exist_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(RNG.integers(-9999, 9999, 900).astype("<i2").tobytes())
    return folder


class Pairs:
    """As a data set of PyTorch: it has a length and items."""

    def __len__(self) -> int:
        return len(IMAGES)

    def __getitem__(self, index: int) -> tuple[Any, str]:
        return Image.fromarray(IMAGES[index]), str(LABELS[index])


def needs(line: str) -> None:
    """Skip where an optional library is missing that the line is about."""
    for word, name in (("aeon:", "aeon"), ('"series"', "aeon"), ("frame", "pandas")):
        if word in line and importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")


def test_the_page_has_lines() -> None:
    assert len(CALLS) >= 23
    assert len(COMMANDS) >= 10
    assert len(set(LINES)) == len(LINES)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of aeon's own libraries
@pytest.mark.parametrize("line", CALLS)
def test_a_call(line: str, sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs(line)
    monkeypatch.chdir(sample)
    search = pydarts.search

    def small(*arguments: Any, **options: Any) -> Any:
        return search(*arguments, **options, **TINY, progress=False)

    monkeypatch.setattr(pydarts, "search", small)
    signals = RNG.normal(size=(48, 12)).astype(np.float32)
    names: dict[str, Any] = {
        **{"np": np, "pydarts": pydarts, "load_data": load_data},
        **{"images": IMAGES, "labels": LABELS, "signals": signals, "dataset": Pairs()},
        **{"more_images": 255 - IMAGES[:9], "more_labels": LABELS[:9]},
        **{"sounds": RNG.normal(size=(48, 800)) / 5, "devices": ["a", "b"] * 24},
        **{"numbers": signals.mean(axis=1), "weights": np.arange(48) % 3 + 0.5},
        "tags": np.stack([LABELS == "cat", LABELS != "dog"], axis=1).astype(int),
        "people": np.arange(48) // 3 % 8,
        "dataset_dict": {"train": Pairs(), "test": Pairs()},
    }
    if "frame" in line:
        pandas = importlib.import_module("pandas")
        names |= {"frame": pandas.DataFrame(signals), "frame_labels": pandas.Series(LABELS)}
    result = eval(line, names)
    assert len(result.history) == 1
    assert result.data_notes == []


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("line", COMMANDS)
def test_a_command(
    line: str, sample: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    needs(line)
    monkeypatch.chdir(sample)
    shutil.rmtree(sample / "found", ignore_errors=True)
    (sample / "labels.csv").unlink(missing_ok=True)
    arguments = shlex.split(line)[1:]
    if arguments[0] == "predict":
        assert cli.main(["search", "photos", "--out", "found", *FLAGS, "--no-progress"]) == 0
        assert cli.main(arguments) == 0
        assert (sample / "labels.csv").read_text().splitlines()[1].startswith("0,1.png,")
        return
    assert cli.main([*arguments, *FLAGS, "--no-progress"]) == 0
    assert (sample / "found" / "genotype.json").is_file()
    if "--on-bad" in line:
        assert "cat/broken.jpg" in capsys.readouterr().out


def fashion_as_files(folder: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Write some images of Fashion-MNIST, and return them in the files' order."""
    data = load_data("fashion-mnist")
    X, y = np.asarray(data.X_train)[:count], data.y_train[:count]
    for index, (pixels, label) in enumerate(zip(X, y, strict=True)):
        write_picture(folder / str(label) / f"{index:05}.png", pixels)
    order = np.argsort(y, kind="stable")
    return X[order], y[order].astype(str)


@pytest.mark.skipif(not datasets.FASHION_MNIST.is_dir(), reason="needs Fashion-MNIST")
@pytest.mark.slow
def test_files_of_fashion_mnist_are_its_arrays(tmp_path: Path) -> None:
    X, y = fashion_as_files(tmp_path, 4000)
    options = {"channels": 2, "cells": 2, "epochs": 1, "batch_size": 32, "order": 1}
    one = pydarts.search(X, y, **options, progress=False)
    other = pydarts.search(tmp_path, **options, progress=False)
    for name, alphas in one.alphas.items():
        np.testing.assert_array_equal(other.alphas[name], alphas)
    assert one.history[0]["valid_loss"] == other.history[0]["valid_loss"]
    small = {"channels": 2, "cells": 1, "epochs": 1, "progress": False}
    models = [pydarts.train(one.genotype, *data, **small) for data in ((X, y), (tmp_path,))]
    np.testing.assert_array_equal(*(model.predict_proba(X[:50]) for model in models))


def test_without_pillow_the_extra_is_named(sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(ImportError, match=r"pip install 'pydarts-nas\[images\]'"):
        load_data(sample / "photos")


def test_without_aeon_the_extra_is_named(sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aeon.datasets", None)
    for source in ("aeon:GunPoint", sample / "series"):
        with pytest.raises(ImportError, match=r"pip install 'pydarts-nas\[timeseries\]'"):
            load_data(source)
