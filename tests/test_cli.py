# SPDX-License-Identifier: MIT
"""The command line: what it prints, what it saves, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from commands import (
    NET,
    SEARCH_FILES,
    SHORT,
    TINY,
    TINY_TRAIN,
    TRAIN_FILES,
    error,
    images,
    names,
    option_of,
    start,
    write_images,
)

import pydarts
from pydarts import (
    DARTS_V1,
    DARTS_V2,
    Genotype,
    Model,
    SearchConfig,
    SearchResult,
    TrainConfig,
    __version__,
    _core,
)
from pydarts.cli import main as cli
from pydarts.common.environment import cpu_model, hardware
from pydarts.data.splits import hold_out


@pytest.fixture
def data(tmp_path: Path) -> str:
    return write_images(tmp_path / "data.npz")


@pytest.fixture
def untested(tmp_path: Path) -> str:
    return write_images(tmp_path / "untested.npz", 60, tested=False)


class TestSearch:
    def test_all_is_said_and_saved(
        self, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "new" / "out"
        options = ["--max-images", "all", "--no-flip", "--seed", "3"]
        assert cli.main(["search", data, "--out", str(out), *TINY, *options]) == 0
        shown = capsys.readouterr()
        assert names(out) == SEARCH_FILES | TRAIN_FILES

        genotype = Genotype.from_json((out / "genotype.json").read_text())
        assert Genotype.parse(shown.out) == genotype
        model = Model.load(out / "model")
        assert model.genotype == genotype
        assert model.classes == ("a", "b")

        summary = json.loads((out / "summary.json").read_text())
        assert (summary["format"], summary["version"]) == ("pydarts-summary", 1)
        assert summary["state"] == "finished"
        assert summary["accuracy"] == model.score(*images(20, 1))
        assert f"20 test images, which nothing was learned from: {summary['accuracy']:.2%}" in (
            shown.out
        )
        assert summary["search_seconds"] > 0 < summary["train_seconds"]
        assert summary["num_weights"] == model.num_weights
        assert summary["pydarts"] == __version__

        config = SearchResult.load(out).config
        assert config == SearchConfig.make(
            "quick",
            {"channels": 1, "cells": 3, "epochs": 1, "batch_size": 8}
            | {"max_images": None, "flip": False, "seed": 3, "stem": "cifar"},
        )
        assert (model.config.seed, model.config.epochs) == (3, 2)
        for name, epochs in (("history.csv", 1), ("train_history.csv", 2)):
            with (out / name).open(newline="") as file:
                assert [row["epoch"] for row in csv.DictReader(file)] == [
                    str(epoch + 1) for epoch in range(epochs)
                ]

        # Neither stream is a terminal here.
        assert len(re.findall(r"^epoch .*$", shown.err, re.MULTILINE)) == 3
        assert not re.search(r"[^\n\x20-\x7e]", shown.out + shown.err)
        lines = [line for line in shown.out.splitlines() if str(tmp_path) not in line]
        assert max(map(len, lines)) < 80

    def test_nothing_is_written_without_out(
        self,
        untested: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert cli.main(["search", untested, *TINY, "--no-progress"]) == 0
        shown = capsys.readouterr()
        assert names(tmp_path) == {"untested.npz"}
        kept = "Nothing was saved; --out DIR keeps the cell, its drawings and the model.\n"
        assert kept in shown.out
        assert "a fifth of each class is held out" in shown.out
        assert "48 to learn from and 12 to test on" in shown.out
        assert shown.err == ""
        for command, kept in (
            (["train", "DARTS_V1", untested, *TINY_TRAIN], "the cell and the model"),
            (["search", untested, *NET, *SHORT, "--no-train"], "the cell and its drawings"),
        ):
            assert cli.main([*command, "--no-progress"]) == 0
            assert capsys.readouterr().out.endswith(f"saved; --out DIR keeps {kept}.\n")
        assert names(tmp_path) == {"untested.npz"}

    @pytest.mark.parametrize(
        ("selector", "words"),
        [("magnitude", "weights are nearly uniform"), ("finalists", "no other finalist was shown")],
    )
    @pytest.mark.parametrize("progress", ["--progress", "--no-progress"])
    def test_what_must_be_known_is_said_once(
        self,
        selector: str,
        words: str,
        progress: str,
        data: str,
        capsys: pytest.CaptureFixture[str],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        command = ["search", data, *NET, *SHORT, "--no-train", "--selector", selector, progress]
        assert cli.main(command) == 0
        shown = capsys.readouterr()
        assert " ".join(f"{shown.out} {shown.err} {caplog.text}".split()).count(words) == 1

    def test_held_out_images_are_not_learned_from(self, untested: str, tmp_path: Path) -> None:
        out = tmp_path / "out"
        options = [*NET, "--epochs", "2", "--threads", "1"]
        assert cli.main(["train", "DARTS_V1", untested, "--out", str(out), *options]) == 0
        X, y, X_test, y_test = hold_out(*images(60, 0))
        saved = Model.load(out / "model")
        tiny = {"channels": 1, "cells": 3, "batch_size": 8, "epochs": 2, "threads": 1}
        model = pydarts.train(DARTS_V1, X, y, progress=False, **tiny)  # type: ignore[arg-type]
        theirs = saved.network.state_dict()
        for name, value in model.network.state_dict().items():
            np.testing.assert_array_equal(theirs[name], value)
        accuracy = json.loads((out / "summary.json").read_text())["accuracy"]
        assert accuracy == model.score(X_test, y_test)

    def test_no_train(self, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = tmp_path / "out"
        # A training batch that would be refused does not matter.
        options = [*NET, "--epochs", "1", "--no-train", "--train-batch-size", "1000"]
        assert cli.main(["search", data, "--out", str(out), *options]) == 0
        assert names(out) == SEARCH_FILES
        command = capsys.readouterr().out.splitlines()[-1]
        assert command == f"To train it: pydarts train {out} {data}"

    @pytest.mark.parametrize(("order", "reuse"), [(1, False), (2, True)])
    def test_every_option_arrives(self, order: int, reuse: bool, tmp_path: Path) -> None:
        out = str(tmp_path / "out")
        search = tmp_path / "search.npz"
        X, y = images(40, 0)
        np.savez(search, X=X, y=y)
        own = {
            **{"channels": 2, "cells": 4, "epochs": 2, "batch_size": 4, "seed": 5},
            **{
                "order": order,
                "reuse_gradient": reuse,
                "hvp": "forward",
                "memory": "recompute",
                "stem": "imagenet",
                "schedule": "step",
                "alpha_betas": (0.1, 0.2),
            },
            **{"max_images": 30, "train_fraction": 0.25, "crop_padding": 3, "cutout": 2},
            **{"shift": 2, "time_mask": 3, "frequency_mask": 1, "epoch_images": 12},
        }
        arguments: list[str] = []
        wanted: list[dict[str, object]] = []
        for config, prefix in ((SearchConfig, "--"), (TrainConfig, "--train-")):
            wanted.append({})
            for option in config.options():
                if option.name == "restore_best_weights":  # has no images to choose by
                    continue
                value = own.get(option.name)
                if value is None:  # another one than that of the preset
                    usual = getattr(config.make("quick"), option.name)
                    value = not usual if option.type == "bool" else (usual or 0.4) / 2
                arguments += option_of(prefix + option.name.replace("_", "-"), value)
                wanted[-1][option.name] = value
        assert cli.main(["search", str(search), "--out", out, *arguments, "--no-progress"]) == 0
        found = [SearchResult.load(out).config, Model.load(f"{out}/model").config]
        for config, expected in zip(found, wanted, strict=True):
            assert expected.items() <= vars(config).items()

    def test_training_takes_preset_and_seed_of_the_search(self, data: str, tmp_path: Path) -> None:
        common = ["search", data, *TINY, "--preset", "standard", "--seed", "5", "--no-progress"]
        other = ["--train-preset", "paper", "--train-seed", "6", "--no-train-auxiliary"]
        other += ["--train-cutout", "4"]
        for options, chosen in (([], ("standard", 5)), (other, ("paper", 6))):
            out = tmp_path / str(len(options))
            assert cli.main([*common, *options, "--out", str(out)]) == 0
            config = Model.load(out / "model").config
            assert (config.preset, config.seed) == chosen


class TestOut:
    def test_what_exists_is_not_overwritten(
        self, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "notes").write_text("mine")
        for command in (["search", data], ["train", "DARTS_V1", data]):
            assert cli.main([*command, "--out", str(tmp_path / "out")]) == 2
            what = "search" if command[0] == "search" else "training"
            assert f"holds no {what} to go on with; --force replaces what is" in error(capsys)
        assert (tmp_path / "out" / "notes").read_text() == "mine"

    def test_force_leaves_no_stale_model(self, data: str, tmp_path: Path) -> None:
        out = tmp_path / "out"
        (out / "model").mkdir(parents=True)
        for name in ("notes", "model/model.json", "genotype.json", "recurrent.svg", "report.html"):
            (out / name).write_text("old")
        options = [*NET, "--epochs", "1", "--no-train", "--force", "--no-progress"]
        assert cli.main(["search", data, "--out", str(out), *options]) == 0
        assert (out / "notes").read_text() == "old"
        assert names(out) == SEARCH_FILES | {"notes", "model"}
        assert not (out / "model" / "model.json").exists()
        Genotype.from_json((out / "genotype.json").read_text())

    @pytest.mark.parametrize(
        ("inside", "problem"), [("", "is a file, but must be"), ("sub/sub", "cannot be written to")]
    )
    def test_a_file_in_the_way(
        self,
        inside: str,
        problem: str,
        data: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        (tmp_path / "file").touch()
        assert cli.main(["search", data, "--force", "--out", str(tmp_path / "file" / inside)]) == 2
        assert problem in error(capsys)

    def test_no_permission(
        self,
        data: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def refuse(**_: object) -> None:  # as root, no folder refuses by itself
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
        assert cli.main(["search", data, "--out", str(tmp_path / "out")]) == 2
        assert "cannot be written to: Permission denied" in error(capsys)


class TestTrain:
    def test_a_search_goes_on(
        self, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        found, out = tmp_path / "found", tmp_path / "out"
        found.mkdir()
        (found / "genotype.json").write_text(DARTS_V2.to_json())
        assert cli.main(["train", str(found), data, "--out", str(out), *TINY_TRAIN]) == 0
        model = Model.load(out / "model")
        assert model.genotype == DARTS_V2
        assert names(out) == {"genotype.json", "summary.json", *TRAIN_FILES}
        assert f"{model.score(*images(20, 1)):.2%}" in capsys.readouterr().out

    @pytest.mark.parametrize("form", ["{folder}", "{folder}/genotype.json", "{folder}/text", "*"])
    def test_forms_of_a_genotype(self, form: str, data: str, tmp_path: Path) -> None:
        (tmp_path / "genotype.json").write_text(DARTS_V2.to_json())
        (tmp_path / "text").write_text(f"# found\nDARTS = {DARTS_V2}\n")
        text = form.replace("{folder}", str(tmp_path)).replace("*", str(DARTS_V2))
        out = tmp_path / "out"
        assert cli.main(["train", text, data, "--out", str(out), *TINY_TRAIN]) == 0
        assert Model.load(out / "model").genotype == DARTS_V2

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("DARTS_V3", "no genotype 'DARTS_V3': give DARTS_V1, DARTS_V2"),
            ("{file}", "{file}: malformed genotype JSON"),
            ("Genotype(normal=[", "GENOTYPE: malformed genotype"),
            (str(DARTS_V1).replace("skip_connect", "hop"), "GENOTYPE: normal[2][0] (='hop') is"),
        ],
    )
    def test_no_genotype(
        self,
        text: str,
        words: str,
        data: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        file = tmp_path / "bad.json"
        file.write_text('{"format": "pyda')
        assert cli.main(["train", text.replace("{file}", str(file)), data]) == 2
        assert words.replace("{file}", str(file)) in error(capsys)


class TestBadInput:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["--batch-size", "0"], "--batch-size (=0) must be at least 2"),
            (["--train-batch-size", "1"], "--train-batch-size (=1) must be at least 2"),
            (["--lr", "nan"], "--lr (=nan) must be"),
            (["--alpha-betas", "0.5", "1"], "--alpha-betas (=1.0) must be"),
            (["--threads", "0"], "--threads (=0) must be at least 1"),
            (["--order", "3"], "argument --order: invalid choice"),
            (["--epochs", "many"], "argument --epochs: invalid int value: 'many'"),
            (["--max-images", "some"], "argument --max-images: 'some' is neither a number nor all"),
            (["--epoch", "3"], "unrecognized arguments: --epoch 3: did you mean --epochs? (see py"),
            (["--batch_size=3"], "arguments: --batch_size=3: did you mean --batch-size? (see py"),
            (["--preset", "slow"], "argument --preset: invalid choice: 'slow'"),
            (["--resume"], "unrecognized arguments: --resume (see pydarts search --help)"),
            (["--time-budget", "never"], "--time-budget (='never') must be a number, such as"),
            (["--memory-budget", "2 MP"], "--memory-budget (='2 MP') must be a number, such as"),
            (["--checkpoint-seconds", "-1"], "--checkpoint-seconds (=-1.0) must be at least 0"),
        ],
    )
    def test_option(
        self,
        options: list[str],
        words: str,
        data: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        out = tmp_path / "out"
        assert cli.main(["search", data, "--out", str(out), *options]) == 2
        assert words in error(capsys)
        assert capsys.readouterr().out == ""  # before anything is loaded
        assert not out.exists()

    def test_batches_larger_than_the_data(
        self, data: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        options = ["--batch-size", "25", "--train-batch-size", "48"]
        assert cli.main(["search", data, *options]) == 2
        assert "--batch-size (=25) is larger than either half" in error(capsys)
        assert cli.main(["search", data, "--batch-size", "8", "--train-batch-size", "49"]) == 2
        assert "--train-batch-size (=49) is larger than `X`: 48 images" in error(capsys)
        assert cli.main(["search", data, "--train-time-budget", "x"]) == 2
        assert "--train-time-budget (='x') must be" in error(capsys)

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"X": np.full((48, 8, 8), np.nan)}, "data.npz: X holds 3072 pixel(s) that are NaN"),
            ({"y": np.zeros(48)}, "data.npz: y holds one class only"),
            ({"y": np.zeros(47)}, "data.npz: `X` holds 48 images but `y` holds 47 labels"),
            ({"y_test": np.resize(["a", "c"], 20)}, "data.npz: y_test holds the unknown label 'c'"),
            ({"X_test": np.full((20, 8, 8), np.inf)}, "data.npz: X_test holds 1280 pixel(s)"),
            (
                {"y": np.resize([b"a", b"b"], 48), "y_test": np.full(20, b"a")},
                "data.npz: the label b'a' (bytes) cannot be saved",
            ),
            (
                {"X": np.zeros((48, 5, 8, 8)), "X_test": np.zeros((20, 5, 8, 8))},
                "data.npz: X has shape (48, 5, 8, 8), which does not say where the channels are",
            ),
        ],
    )
    def test_data(
        self,
        changes: dict[str, np.ndarray],
        words: str,
        data: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        with np.load(data) as arrays:
            np.savez(data, **{**arrays, **changes})
        assert cli.main(["search", data, *TINY, "--out", str(tmp_path / "out")]) == 2
        assert words in error(capsys)

    @pytest.mark.parametrize("option", [["--image-size", "14"], ["--on-bad", "skip"]])
    def test_options_of_files_where_there_are_none(
        self,
        option: list[str],
        data: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        out = str(tmp_path / "out")
        assert cli.main(["search", data, *TINY, *option]) == 2
        assert f"has no use with {data}: there are no files" in error(capsys)
        assert cli.main(["train", "DARTS_V1", data, "--out", out, *TINY_TRAIN]) == 0
        capsys.readouterr()
        assert cli.main(["evaluate", out, data, *option]) == 2
        assert option[0] in error(capsys)

    def test_no_data(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["search", str(tmp_path / "none")]) == 2
        assert "no dataset" in error(capsys)
        (tmp_path / "short.npz").write_bytes(b"PK\3\4")
        assert cli.main(["train", "DARTS_V1", str(tmp_path / "short.npz")]) == 2
        assert "short.npz is damaged" in error(capsys)

    def test_debug_shows_where(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["search", str(tmp_path / "none"), "--debug"]) == 2
        assert "Traceback" in capsys.readouterr().err

    @pytest.mark.parametrize("arguments", [[], ["find"], ["search"], ["train", "DARTS_V1"]])
    def test_usage(self, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(arguments) == 2
        assert "--help" in error(capsys)


@pytest.mark.slow
def test_module_and_info() -> None:
    with start("info") as process:
        shown, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    rows = dict(re.split(r"  +", line, maxsplit=1) for line in shown.splitlines())
    assert rows["pydarts"] == __version__
    assert rows["numpy"] == np.__version__
    assert rows["processor"] == hardware()["cpu"]
    assert rows["model"] == (cpu_model() or "unknown")
    threads = int(rows["threads"])
    assert threads >= 1
    widths = [name.removesuffix("-bit FMA") for name in rows if name.endswith("-bit FMA")]
    assert list(map(int, widths)) == list(_core.fma_peak(1))
    speed = r"[1-9][\d,]* GFLOP/s on 1 thread" + rf", [1-9][\d,]* on {threads}" * (threads > 1)
    assert all(re.fullmatch(speed, rows[f"{bits}-bit FMA"]) for bits in widths)
    own = [line for line in shown.splitlines() if not line.startswith("processor ")]
    assert max(map(len, own)) <= 80
    assert re.fullmatch(r"([\w-]+) \(available: .*\b\1\b.*\)", rows["instruction set"])


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"pydarts {__version__}\n"


@pytest.mark.parametrize("columns", ["80", "200"])
def test_help(
    columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    helps = {}
    for command in ("search", "train", "info"):
        assert cli.main([command, "--help"]) == 0
        helps[command] = capsys.readouterr().out
        assert max(map(len, helps[command].splitlines())) < 80
    for config, command, prefix in (
        (SearchConfig, "search", ""),
        (TrainConfig, "search", "train-"),
        (TrainConfig, "train", ""),
    ):
        for option in config.options():
            if option.name == "restore_best_weights":  # has no images to choose by
                continue
            name = option.name.replace("_", "-")
            assert re.search(rf"^  --{prefix}{name}\b", helps[command], re.MULTILINE)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_help_in_any_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", shown)
    assert cli.main(["search", "--help"]) == 0
    alpha = "\u03b1" if encoding == "utf-8" else r"\u03b1"
    assert f"learning rate of {alpha}" in shown.buffer.getvalue().decode()


def test_help_tells_defaults(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    cli.main(["search", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "--max-images N|all search on a random sample of this many images" in text
    for shown in ("(quick 3000, standard 10000, paper all)", "(default: 0.5 0.999)"):
        assert shown in text
    assert "in all, or up to 2,000 steps (quick auto, standard 50, paper 600)" in text
    assert "(as --seed)" in text


class TestProgress:
    @pytest.mark.parametrize(
        ("terminal", "options", "bar", "lines"),
        [
            (False, [], False, True),
            (True, [], True, True),
            (False, ["--progress"], True, True),
            (True, ["--no-progress"], False, False),
        ],
    )
    def test_a_bar_in_a_terminal(
        self,
        terminal: bool,
        options: list[str],
        bar: bool,
        lines: bool,
        data: str,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
        assert cli.main(["train", "DARTS_V1", data, *TINY_TRAIN, *options]) == 0
        errors = capsys.readouterr().err
        assert ("train: 100%|" in errors) == bar
        assert len(re.findall("epoch   1/1", errors)) == lines
