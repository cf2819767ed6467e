# SPDX-License-Identifier: MIT
"""Code on the pages of docs/ and in README.md does what it says, on small data and sizes.

A page's Python blocks, and the commands `pydarts ...` of its console blocks, run in order: the
former in one namespace, which begins with `names()`, all in a folder with the files that they name.
A block that cannot run is preceded by ``<!-- not run: why -->``.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
import shutil
import subprocess
import wave
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from c_programs import COMPILER

import pydarts
from pydarts.cli import main as cli
from pydarts.data import corpus, datasets
from pydarts.training.config_base import Config

ROOT = Path(__file__).parents[1]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
EXECUTED = ("example-",)  # pages that the site's build executes
#: Optional libraries that pages use, beyond those of the extra `test`.
NEEDS = {"export": ["torch"], "cluster": ["distributed", "mpi4py"]}

#: No configuration is larger than this here, whatever a page says.
CAPS = {"epochs": 1, "channels": 4, "cells": 2, "batch_size": 16, "hidden_size": 8, "bptt": 8}
#: Times and numbers that pages give, and what is enough here.
SMALLER = {
    "5min": "3s",
    "seeds=range(6)": "seeds=range(2)",
    "seeds=range(4)": "seeds=range(2)",
    "k=8": "k=2",
    "--seeds 6": "--seeds 2",
    "--random 5": "--random 1",
    "--random 3": "--random 1",
    "(400, 128, 128, 3)": "(80, 128, 128, 3)",
    "size=400": "size=80",
    # Limits of one machine, which a slower one could not meet.
    "--max-latency 200us": "--max-latency 2ms",
    "150us 190us 230us": "2ms 3ms 4ms",
}

pytestmark = pytest.mark.skipif(
    len(PAGES) < 2, reason="the pages are not part of the installed package"
)


class Block(NamedTuple):
    """A fenced block of a page."""

    line: int
    language: str
    code: str
    excuse: str | None


def blocks(path: Path, *languages: str) -> list[Block]:
    """Return a page's blocks of some languages that are to run."""
    text = path.read_text(encoding="utf-8")
    pattern = r"(?:<!-- not run: (.+?) -->\n\n?)?^```(\w+)\n(.*?)^```$"
    found = [
        Block(text.count("\n", 0, m.start(2)) + 1, m[2], m[3], m[1])
        for m in re.finditer(pattern, text, re.DOTALL | re.MULTILINE)
    ]
    return [each for each in found if each.language in languages and each.excuse is None]


def pages_with(*languages: str) -> list[Any]:
    """Return the pages that have blocks of some languages, as parameters of a test."""
    return [
        pytest.param(path, id=path.stem)
        for path in PAGES
        if not path.name.startswith(EXECUTED) and blocks(path, *languages)
    ]


def smaller(code: str) -> str:
    """Return code with less to do."""
    for large, small in SMALLER.items():
        code = code.replace(large, small)
    return code


def commands(code: str) -> list[str]:
    """Return the commands ``pydarts ...`` of a console block."""
    lines = [line[2:] for line in code.splitlines() if line.startswith("$ ")]
    parts = [part.strip() for line in lines for part in line.split(" && ")]
    return [part for part in parts if part.startswith("pydarts ")]


RNG = np.random.default_rng(0)
COUNT = 160  # halves then hold the batches of configurations that are not made here
IMAGES = RNG.integers(0, 256, (COUNT, 8, 8), dtype=np.uint8)
LABELS = np.arange(COUNT) % 4
TEXT = "the cat sat on the mat and the dog lay by the door of the old house\n" * 60


def write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def write_sounds(folder: Path) -> None:
    folder.mkdir()
    for index in range(120):
        with wave.open(str(folder / f"{index % 2}_p{index // 20}_{index}.wav"), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(RNG.integers(-9999, 9999, 1600).astype("<i2").tobytes())


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all files that pages name."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "DATA").mkdir()
    for name, array in (("X", IMAGES), ("y", LABELS)):
        np.save(folder / "DATA" / f"{name}.npy", array)
    (folder / "idx").mkdir()
    for part in ("train", "t10k"):
        write_idx(
            folder / "idx" / f"{part}-images-idx3-ubyte",
            np.kron(IMAGES, np.ones((4, 4)))[:, :28, :28],
        )
        write_idx(folder / "idx" / f"{part}-labels-idx1-ubyte", np.arange(COUNT) % 10)
    for name in ("recordings", "new-recordings"):
        write_sounds(folder / name)
    (folder / "book.txt").write_text(TEXT)
    return folder


@pytest.fixture
def small(
    request: pytest.FixtureRequest, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Go to a folder with the files, where everything is small."""
    page = request.node.callspec.params["path"].stem
    # The profile on that page is of a network of the sizes that are searched for afterwards.
    caps = {n: cap for n, cap in CAPS.items() if page != "device" or n in ("epochs", "batch_size")}
    make = Config.make.__func__  # type: ignore[attr-defined]

    def capped(cls: type[Config], *arguments: Any, **options: Any) -> Config:
        config = make(cls, *arguments, **options)
        names = caps.keys() & {field.name for field in dataclasses.fields(config)}
        values = {name: getattr(config, name) for name in names}
        less = {n: caps[n] for n, value in values.items() if value is None or value > caps[n]}
        return dataclasses.replace(config, **less)

    monkeypatch.setattr(Config, "make", classmethod(capped))
    here = tmp_path / "here"
    shutil.copytree(files, here)
    if page == "text":
        shutil.rmtree(here / "DATA")
        shutil.copy(here / "book.txt", here / "DATA")
    monkeypatch.setattr(datasets, "FASHION_MNIST", here / "idx")
    digits = datasets.Dataset("digits", IMAGES, LABELS, IMAGES[:16], LABELS[:16])
    monkeypatch.setattr(datasets, "_load_digits", lambda: digits)
    monkeypatch.setattr(corpus, "read_python_docs", lambda: (TEXT, TEXT[:999], TEXT[:999]))
    monkeypatch.chdir(here)
    return here


def names(page: str) -> dict[str, Any]:
    """Return what a page takes as given."""
    sounds = (RNG.normal(size=(COUNT, 6000)) * 3000).astype(np.int16)
    pixels = RNG.random((COUNT, 3, 8, 8)).astype(np.float32)
    rows = IMAGES.reshape(COUNT, -1)
    given: dict[str, Any] = {
        **{"np": np, "pydarts": pydarts, "images": IMAGES, "genotype": pydarts.DARTS_V2},
        **{"X": IMAGES, "y": LABELS, "X_test": IMAGES[:16], "y_test": LABELS[:16]},
        **{
            "X_valid": 255 - IMAGES,
            "y_valid": LABELS,
            "X_rows": rows,
            "person": np.arange(COUNT) // 2,
        },
        **{"audio": sounds, "speaker": np.arange(COUNT) // 20, "label": np.arange(COUNT) % 2},
        **{"new_audio": sounds[:3], "x": pixels[:32], "codes": LABELS[:32]},
        **{"x_valid": pixels[32:64], "codes_valid": LABELS[32:64]},
    }
    if page == "targets":
        several = (RNG.random((COUNT, 3)) < 0.5).astype(np.int64)
        several[:2] = [[0, 0, 0], [1, 1, 1]]  # each column has both
        given |= {"y": several, "y_test": several[:16], "labels": several, "classes": LABELS}
        given |= {
            "rows": rows,
            "spectra": RNG.normal(size=(COUNT, 30)),
            "fat": RNG.normal(size=COUNT),
        }
        given |= {"w": RNG.random(COUNT), "others": RNG.normal(size=(5, 30))}
    if page == "approximation":
        net = pydarts.Supernet(channels=2, cells=1, classes=4, in_channels=3, threads=1)
        given |= {"net": net, "y": LABELS[:32], "y_valid": LABELS[32:64]}
        step = pydarts.bilevel.BilevelStep(net, order=1)
        for _ in range(
            40
        ):  # before, the Hessian has eigenvalues that the page's damping is no match for
            step(train=(pixels[:32], LABELS[:32]), valid=(pixels[32:64], LABELS[32:64]), lr=0.025)
    if page in ("report", "export"):
        given["result"] = pydarts.search(IMAGES, LABELS, order=1, progress=False)
        given["result"].save("DIR")
        given["model"] = pydarts.train(given["result"].genotype, IMAGES, LABELS, progress=False)
    return given


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of the libraries that pages use
@pytest.mark.parametrize("path", pages_with("python", "console"))
def test_a_page(path: Path, small: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for library in NEEDS.get(path.stem, ()):
        pytest.importorskip(library)
    space = names(path.stem)
    for block in blocks(path, "python", "console"):
        code = smaller(block.code)
        if block.language == "python":
            # An error then shows the page and its line.
            exec(compile("\n" * block.line + code, str(path), "exec"), space)
            continue
        for command in commands(code):
            done = cli.main(shlex.split(command, comments=True)[1:])
            assert done == 0, f"{command}: {capfd.readouterr().err[-2000:]}"


@pytest.mark.slow
@pytest.mark.parametrize("path", pages_with("c"))
def test_c(path: Path, tmp_path: Path) -> None:
    if not COMPILER:
        pytest.skip("there is no C compiler")
    for block in blocks(path, "c"):
        file = tmp_path / "page.c"
        file.write_text("#include <stdint.h>\n" + block.code)
        include = ROOT / "cpp" / "include"
        subprocess.run(
            [COMPILER, "-std=c99", "-Wall", "-Werror", "-fsyntax-only", f"-I{include}", file],
            check=True,
        )


def test_every_block_that_does_not_run_says_why() -> None:
    for path in PAGES:
        for excuse in re.findall(r"<!-- not run(.*?)-->", path.read_text(encoding="utf-8")):
            assert re.fullmatch(r": \S.{10,} ", excuse), f"{path.name}: {excuse}"


def test_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 120
    # .ci/run runs the README's own test command, with a wheel in the place of the checkout.
    assert "\n$ pip install '.[test]' && pytest\n" in text
    script = ROOT / ".ci" / "run"
    if script.is_file():
        assert '[test]" && pytest -q' in script.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^):#]+)(?:#[^)]*)?\)", text):
        assert (ROOT / target).exists(), target


def test_all_public_names_are_in_the_reference() -> None:
    reference = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "docs" / "api").glob("*.md"))
    documented = set(re.findall(r"^\.\. auto\w+:: (?:\w+\.)*(\w+)$", reference, flags=re.MULTILINE))
    import pydarts.bilevel
    import pydarts.data
    import pydarts.spaces

    for module in (pydarts, pydarts.bilevel, pydarts.spaces, pydarts.data):
        missing = set(module.__all__) - documented - {"__version__", "bilevel"}
        assert not missing, f"{module.__name__}: {missing}"
