# SPDX-License-Identifier: MIT
"""`--space` and `--stem` on the command line, and what follows a search of another space."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pydarts.cli.main as cli
from pydarts import Genotype, Model, SearchResult
from pydarts.spaces import NAS_BENCH_201, S3

TINY = ["--channels", "2", "--epochs", "1", "--batch-size", "8", "--no-progress"]
TINY_TRAIN = ["--train-channels", "2", "--train-epochs", "1", "--train-batch-size", "8"]


@pytest.fixture
def data(tmp_path: Path) -> str:
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (60, 8, 8), np.uint8)
    np.savez(tmp_path / "data.npz", X=X, y=np.arange(60) % 2)
    return str(tmp_path / "data.npz")


def test_all_that_follows(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out")
    sizes = [*TINY, *TINY_TRAIN, "--cells", "1", "--train-cells", "1"]
    search = ["search", data, "--out", out, "--space", "nas-bench-201", *sizes]
    assert cli.main(search) == 0
    result = SearchResult.load(out)
    assert result.space == NAS_BENCH_201
    assert str(result.genotype) in capsys.readouterr().out
    assert Model.load(f"{out}/model").space == NAS_BENCH_201
    assert sorted(path.name for path in Path(out).glob("*.svg")) == ["normal.svg"]
    assert cli.main(["report", out]) == 0
    assert cli.main(["evaluate", out, data]) == 0
    small = ["--random", "1", "--seeds", "1", "--no-progress"]
    assert cli.main(["compare", out, *small]) == 0
    again = ["train", str(result.genotype), data, "--cells", "1", *TINY]
    assert cli.main(again) == 0
    assert cli.main(["train", out, data, "--cells", "1", *TINY]) == 0
    capsys.readouterr()
    # Another space is another search.
    assert cli.main([*search[:4], "--space", "s3", *sizes]) == 2
    assert "--space was 'nas-bench-201', is 's3'" in capsys.readouterr().err


def test_a_file_is_a_space(data: str, tmp_path: Path) -> None:
    mine = S3.replace(name="mine", operations=S3.operations[1:])
    (tmp_path / "mine.json").write_text(mine.to_json(), encoding="utf-8")
    out = tmp_path / "out"
    arguments = ["--space", str(tmp_path / "mine.json"), "--out", str(out), "--no-train"]
    assert cli.main(["search", data, *arguments, "--cells", "2", *TINY]) == 0
    assert Genotype.from_json((out / "genotype.json").read_text()).space == mine


def test_bad_spaces_are_named(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.json").write_text('{"format": "pydarts-space", "version": 1, "name": "bad"}')
    for space, said in (
        ("nas-bench-102", "--space (='nas-bench-102') is neither a ready space (darts, nas-bench"),
        (str(tmp_path / "bad.json"), "has no member 'operations' and no base"),
        ("darts-recurrent", "`search_text` takes it"),
    ):
        assert cli.main(["search", data, "--space", space]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("stem", ["auto", "cifar"])
def test_the_stem_of_large_images_is_said(
    stem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (24, 64, 64), np.uint8)
    np.savez(tmp_path / "large.npz", X=X, y=np.arange(24) % 2)
    options = ["--no-train", "--stem", stem, "--cells", "1", *TINY]
    assert cli.main(["search", str(tmp_path / "large.npz"), *options]) == 0
    assert ("begins with the stem for ImageNet" in capsys.readouterr().out) == (stem == "auto")
