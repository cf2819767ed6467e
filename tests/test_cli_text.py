# SPDX-License-Identifier: MIT
"""The command line's text commands: what they print, what they save, and what they refuse."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import (
    RESULT_FILES,
    SHORT,
    TRAIN_FILES,
    ctrl_c_at,
    diverge,
    error,
    interrupt,
    names,
    option_of,
    posix,
)

from pydarts import (
    DARTS_V1,
    RECURRENT_DARTS_V1,
    RECURRENT_DARTS_V2,
    LanguageModel,
    RecurrentGenotype,
    RecurrentNetwork,
    SearchResult,
    TextSearchConfig,
    TextTrainConfig,
    load_corpus,
)
from pydarts.cli import main as cli

SEARCH_FILES = RESULT_FILES | {"recurrent.svg"}

NET = ["--hidden-size", "8", "--batch-size", "4", "--bptt", "10"]
TRAIN_NET = [argument.replace("--", "--train-") for argument in NET]
TINY = [*NET, *TRAIN_NET, *SHORT, "--train-epochs", "2"]
TINY_TRAIN = [*NET, *SHORT]


def lines(count: int, seed: int) -> str:
    """Sentences of seven words."""
    rng = np.random.default_rng(seed)
    words = ["the", "a", "cat", "dog", "house", "sees", "likes", "old", "new", "and", "by", "tree"]
    return "".join(" ".join(rng.choice(words, 7)) + "\n" for _ in range(count))


@pytest.fixture
def data(tmp_path: Path) -> str:
    path = tmp_path / "data.txt"
    path.write_text(lines(60, 0))
    return str(path)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """The layout of Penn Treebank, with two words in the test text that are nowhere else."""
    path = tmp_path / "ptb"
    path.mkdir()
    (path / "ptb.train.txt").write_text(lines(60, 0))
    (path / "ptb.valid.txt").write_text(lines(10, 1))
    (path / "ptb.test.txt").write_text(lines(10, 2) + "the zebra likes the yak\n")
    return str(path)


@pytest.fixture
def trained(data: str, tmp_path: Path) -> str:
    out = tmp_path / "trained"
    command = ["train-text", "RECURRENT_DARTS_V1", data, "--out", str(out), *TINY_TRAIN]
    assert cli.main(command) == 0
    return str(out)


class TestSearch:
    def test_all_is_said_and_saved(
        self, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "new" / "out"
        options = ["--max-tokens", "all", "--reuse-gradient", "--seed", "3"]
        assert cli.main(["search-text", data, "--out", str(out), *TINY, *options]) == 0
        shown = capsys.readouterr()
        assert names(out) == SEARCH_FILES | TRAIN_FILES

        genotype = RecurrentGenotype.from_json((out / "genotype.json").read_text())
        assert "\nGenotype(\n    recurrent=[" in shown.out
        assert RecurrentGenotype.parse(shown.out) == genotype
        model = LanguageModel.load(out / "model")
        assert model.genotype == genotype

        corpus = load_corpus(Path(data), level="char")
        counts = Counter(corpus.train.tolist())
        total = len(corpus.train) + len(corpus.vocabulary)
        unigram = np.mean([np.log((counts[t] + 1) / total) for t in corpus.test.tolist()])
        summary = json.loads((out / "summary.json").read_text())
        assert summary["state"] == "finished"
        assert summary["test_perplexity"] == model.perplexity(corpus.test)
        assert summary["unigram_perplexity"] == pytest.approx(np.exp(-unigram))
        history = [entry["valid_perplexity"] for entry in model.history]
        assert summary["valid_perplexity"] == min(history)
        assert summary["level"] == "char"
        assert summary["vocabulary"] == len(corpus.vocabulary)
        assert summary["test_tokens"] == len(corpus.test)
        assert summary["search_seconds"] > 0 <= summary["train_seconds"]
        assert summary["num_weights"] == model.num_weights
        for words, name in (
            (f"Perplexity on {len(corpus.test)} test characters, which", "test_perplexity"),
            ("That of a unigram model", "unigram_perplexity"),
            ("Perplexity on the validation text", "valid_perplexity"),
        ):
            assert re.search(rf"^{words}.*: {summary[name]:.2f}\b", shown.out, re.MULTILINE)

        drawn = model.sample(length=300, seed=3).split()
        assert drawn == shown.out.split("temperature 1:")[1].split("Saved in")[0].split()
        assert f"To let it write: pydarts sample {out}" in shown.out

        config = SearchResult.load(out).config
        assert config == TextSearchConfig.make(
            "quick",
            {"hidden_size": 8, "bptt": 10, "epochs": 1, "batch_size": 4}
            | {"max_tokens": None, "reuse_gradient": True, "seed": 3},
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
        printed = [line for line in shown.out.splitlines() if str(tmp_path) not in line]
        assert max(map(len, printed)) < 80

    def test_a_folder_is_read_by_words(
        self, folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "out"
        assert cli.main(["search-text", folder, "--out", str(out), *TINY]) == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert "480 words to learn from, 80 to validate on, 86 to test on; vocabulary: 14" in shown
        assert "2 of 86 words of the test text are unknown and count as <unk>." in shown
        summary = json.loads((out / "summary.json").read_text())
        assert summary["level"] == "word"
        assert (summary["unknown_train"], summary["unknown_test"]) == (0, 2)
        model = LanguageModel.load(out / "model")
        assert summary["test_perplexity"] == model.perplexity(load_corpus(Path(folder)).test)

    @pytest.mark.parametrize(
        ("arguments", "data_is"),
        [
            ([], "python-docs (Python 3.*): .* characters"),
            (["--level", "word"], "python-docs (Python 3.*): .* words"),
            (["python-docs"], "python-docs (Python 3.*): .* characters"),
            (["{data}"], "data.txt: .* characters"),
            (["{data}", "--level", "word", "--max-vocab", "5"], "data.txt: .* words .*: 5$"),
            (["{folder}"], "ptb: 480 words"),
            (["--level", "char", "{folder}"], "ptb: .* characters"),
        ],
    )
    def test_level(
        self,
        arguments: list[str],
        data_is: str,
        data: str,
        folder: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        places = {"{data}": data, "{folder}": folder}
        command = ["search-text", *(places.get(a, a) for a in arguments)]
        assert cli.main([*command, "--batch-size", "10000000"]) == 2  # which ends it there
        shown = " ".join(capsys.readouterr().out.split("\n")[:2]).strip()
        assert re.search(data_is.replace("(", r"\(").replace(")", r"\)"), shown)

    def test_nothing_is_written_without_out(
        self,
        data: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert cli.main(["search-text", data, *TINY, "--no-progress"]) == 0
        shown = capsys.readouterr()
        assert names(tmp_path) == {"data.txt"}
        assert "Nothing was saved; --out DIR keeps the cell, its drawing and the model." in (
            shown.out
        )
        assert shown.err == ""

    def test_what_was_found_goes_on(
        self, folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        found, out = tmp_path / "found", tmp_path / "out"
        # A training batch that would be refused does not matter.
        options = [*NET, "--epochs", "1", "--no-train", "--train-batch-size", "1000"]
        vocabulary = ["--level", "word", "--max-vocab", "9"]
        assert cli.main(["search-text", folder, "--out", str(found), *vocabulary, *options]) == 0
        assert names(found) == SEARCH_FILES
        line = capsys.readouterr().out.splitlines()[-1]
        assert line.startswith("To train it: pydarts ")
        command = shlex.split(line)[4:]
        assert command == ["train-text", str(found), folder, *vocabulary]
        assert cli.main([*command, "--out", str(out), *TINY_TRAIN]) == 0
        assert names(out) == {"genotype.json", "summary.json", *TRAIN_FILES}
        model = LanguageModel.load(out / "model")
        assert model.genotype == SearchResult.load(found).genotype
        assert len(model.vocabulary) == 9

    def test_force_leaves_no_stale_results(self, data: str, tmp_path: Path) -> None:
        out = tmp_path / "out"
        (out / "model").mkdir(parents=True)
        for name in ("notes", "model/model.json", "genotype.json", "normal.svg"):
            (out / name).write_text("old")
        options = [*NET, "--epochs", "1", "--no-train", "--force", "--no-progress"]
        assert cli.main(["search-text", data, "--out", str(out), *options]) == 0
        assert names(out) == SEARCH_FILES | {"notes", "model"}
        assert names(out / "model") == set()

    @pytest.mark.parametrize(("order", "reuse"), [(1, False), (2, True)])
    def test_every_option_arrives(self, order: int, reuse: bool, data: str, tmp_path: Path) -> None:
        own = {
            **{"hidden_size": 8, "epochs": 2, "batch_size": 4, "bptt": 9, "seed": 5, "patience": 7},
            **{"order": order, "reuse_gradient": reuse, "hvp": "forward", "clip_coef": "capped"},
            **{"unrolled_embedding": "original", "dropout_masks": "redrawn", "max_tokens": 900},
            **{"alpha_betas": (0.1, 0.2)},
        }
        arguments: list[str] = []
        wanted: list[dict[str, object]] = []
        for config, prefix in ((TextSearchConfig, "--"), (TextTrainConfig, "--train-")):
            wanted.append({})
            for option in config.options():
                value = own.get(option.name)
                if value is None:  # another one than that of the preset
                    usual = getattr(config.make("quick"), option.name)
                    value = not usual if option.type == "bool" else (usual or 0.4) / 2
                arguments += option_of(prefix + option.name.replace("_", "-"), value)
                wanted[-1][option.name] = value
        out = tmp_path / "out"
        command = ["search-text", data, "--out", str(out), *arguments, "--no-progress"]
        assert cli.main(command) == 0
        found = [SearchResult.load(out).config, LanguageModel.load(out / "model").config]
        for config, expected in zip(found, wanted, strict=True):
            assert expected.items() <= vars(config).items()


class TestTrain:
    def test_options_before_the_data(self, data: str, tmp_path: Path) -> None:
        out = tmp_path / "out"
        command = ["train-text", "RECURRENT_DARTS_V2", "--out", str(out), *TINY_TRAIN, data]
        assert cli.main(command) == 0
        assert LanguageModel.load(out / "model").genotype == RECURRENT_DARTS_V2
        assert json.loads((out / "summary.json").read_text())["data"] == data

    @pytest.mark.parametrize("form", ["{folder}", "{folder}/genotype.json", "{folder}/text", "*"])
    def test_forms_of_a_genotype(self, form: str, data: str, tmp_path: Path) -> None:
        cell = RECURRENT_DARTS_V2
        (tmp_path / "genotype.json").write_text(cell.to_json())
        literature = f"Genotype(recurrent={list(cell.recurrent)}, concat=range(1, 9))"
        (tmp_path / "text").write_text(f"# found\nDARTS = {literature}\n")
        text = form.replace("{folder}", str(tmp_path)).replace("*", literature)
        out = tmp_path / "out"
        assert cli.main(["train-text", text, data, "--out", str(out), *TINY_TRAIN]) == 0
        assert LanguageModel.load(out / "model").genotype == cell

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("DARTS_V2", "DARTS_V2 is a convolutional genotype: `pydarts train` takes it"),
            (str(DARTS_V1), "GENOTYPE is a convolutional genotype: `pydarts train` takes it"),
            ("{file}", "{file} is a convolutional genotype: `pydarts train` takes it"),
            ("DARTS", "no genotype 'DARTS': give RECURRENT_DARTS_V1, RECURRENT_DARTS_V2"),
            ("Genotype(recurrent=[", "malformed genotype"),
            (str(RECURRENT_DARTS_V1).replace("tanh", "tan"), "did you mean 'tanh'?"),
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
        file = tmp_path / "genotype.json"
        file.write_text(DARTS_V1.to_json())
        assert cli.main(["train-text", text.replace("{file}", str(file)), data]) == 2
        assert words.replace("{file}", str(file)) in error(capsys)

    @pytest.mark.parametrize("text", ["RECURRENT_DARTS_V1", str(RECURRENT_DARTS_V1)])
    def test_images_want_another_kind(self, text: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["train", text, "digits"]) == 2
        assert "is a recurrent genotype: `pydarts train-text` takes it" in error(capsys)


class TestSample:
    def test_a_seed_decides(self, trained: str, capsys: pytest.CaptureFixture[str]) -> None:
        capsys.readouterr()
        shown = []
        for where, seed in ((trained, "1"), (f"{trained}/model", "1"), (trained, "2")):
            assert cli.main(["sample", where, "--seed", seed]) == 0
            text, errors = capsys.readouterr()
            assert errors == ""
            shown.append(text)
        assert shown[0] == shown[1] != shown[2]
        model = LanguageModel.load(Path(trained) / "model")
        assert shown[0] == model.sample(length=300, seed=1) + "\n"

    def test_without_a_seed_it_is_another_text(
        self, trained: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        capsys.readouterr()
        shown = set()
        for _ in range(2):
            assert cli.main(["sample", trained]) == 0
            shown.add(capsys.readouterr().out)
        assert len(shown) == 2

    def test_prompt(self, trained: str, capsys: pytest.CaptureFixture[str]) -> None:
        capsys.readouterr()
        options = ["--length", "20", "--temperature", "0.5", "--seed", "4"]
        assert cli.main(["sample", trained, "--prompt", "the CAT ", *options]) == 0
        shown = capsys.readouterr()
        model = LanguageModel.load(Path(trained) / "model")
        drawn = model.sample("the CAT ", 20, temperature=0.5, seed=4)
        assert shown.out == f"the CAT {drawn}\n"
        assert len(drawn) == 20
        note = "pydarts: note: the model does not know 3 of the prompt's characters\n"
        assert shown.err == note

    def test_words(self, folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = str(tmp_path / "out")
        assert (
            cli.main(["train-text", "RECURRENT_DARTS_V1", folder, "--out", out, *TINY_TRAIN]) == 0
        )
        capsys.readouterr()
        model = LanguageModel.load(Path(out) / "model")
        for prompt, gap in (("the old", " "), ("the old ", ""), ("the old\n", "")):
            assert cli.main(["sample", out, "--seed", "0", "--prompt", prompt]) == 0
            drawn = model.sample(prompt, 60, seed=0)
            between = "" if drawn.startswith("\n") else gap
            assert capsys.readouterr().out == f"{prompt}{between}{drawn}\n"

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["--length", "0"], "--length (=0) must be"),
            (["--temperature", "0"], "--temperature (=0.0) must be more than 0"),
            (["--temperature", "nan"], "--temperature (=nan) must be more than 0"),
            (["--seed", "-1"], "--seed (=-1) must be at least 0"),
            (["--prompt", ""], "--prompt (='') holds no token"),
        ],
    )
    def test_bad_options(
        self, options: list[str], words: str, trained: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        capsys.readouterr()
        assert cli.main(["sample", trained, *options]) == 2
        assert words in error(capsys)

    def test_no_model(
        self, trained: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        capsys.readouterr()
        assert cli.main(["sample", str(tmp_path / "none")]) == 2
        assert f"there is no folder '{tmp_path / 'none'}'" in error(capsys)
        assert cli.main(["sample", str(tmp_path)]) == 2
        assert f"{tmp_path} holds no model" in error(capsys)
        description = Path(trained) / "model" / "model.json"
        description.write_text(description.read_text().replace("language-model", "model"))
        assert cli.main(["sample", trained]) == 2
        assert "not the description of a pydarts language model" in error(capsys)
        (Path(trained) / "model" / "model.safetensors").unlink()
        assert cli.main(["sample", trained]) == 2
        assert "model.safetensors is missing" in error(capsys)

    def test_what_would_upset_a_terminal(
        self,
        trained: str,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        capsys.readouterr()
        command = ["sample", trained, "--prompt", "\x1b[2J\tthe\n\x85é", "--length", "1"]
        for terminal, shown in ((False, "\x1b[2J\tthe\n\x85é"), (True, "\\x1b[2J\tthe\n\\x85é")):
            monkeypatch.setattr(sys.stdout, "isatty", lambda terminal=terminal: terminal)
            assert cli.main(command) == 0
            assert capsys.readouterr().out.startswith(shown)


class TestBadInput:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["--hidden-size", "0"], "--hidden-size (=0) must be at least 1"),
            (["--train-bptt", "0"], "--train-bptt (=0) must be at least 1"),
            (["--dropout", "1"], "--dropout (=1.0) must be"),
            (["--train-lr", "nan"], "--train-lr (=nan) must be"),
            (["--threads", "0"], "--threads (=0) must be at least 1"),
            (["--max-vocab", "1"], "--max-vocab (=1) must be at least 2"),
            (["--level", "byte"], "argument --level: invalid choice: 'byte'"),
            (["--method", "pc-darts"], "--method: (='pc-darts') needs a supernet with"),
            (["--method", "dart"], "argument --method: invalid choice: 'dart' (choose from"),
            (["--max-tokens", "x"], "'x' is neither a number nor all"),
            (["--train-max-seconds", "9"], "unrecognized arguments: --train-max-seconds 9"),
            (["--train-time-budget", "x"], "--train-time-budget (='x') must be"),
            (["--train-patience", "0"], "--train-patience (=0) must be at least 1"),
            (["--epoch", "3"], "--epoch 3: did you mean --epochs? (see pydarts search-text --help"),
            (["--max-latencies", "1"], "--max-latencies 1 (see pydarts"),  # not what it refuses
            (["other.txt"], "unrecognized arguments: other.txt"),
        ],
    )
    def test_option(
        self,
        options: list[str],
        words: str,
        data: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        assert cli.main(["search-text", data, *options]) == 2
        assert words in error(capsys)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (
                ["--batch-size", "60"],
                "--batch-size (=60) sequences of --bptt (=35) + 1 characters take 2,160 of them,"
                " but the text to learn from has 1,",
            ),
            (
                [*NET, "--max-tokens", "100", "--bptt", "25"],
                "take 104 of them, but --max-tokens has 100",
            ),
            (
                [*NET, "--train-batch-size", "60"],
                "--train-batch-size (=60) sequences of --train-bptt (=35) + 1",
            ),
        ],
    )
    def test_too_little_text(
        self,
        options: list[str],
        words: str,
        data: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        assert cli.main(["search-text", data, *options]) == 2
        assert words in error(capsys)

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"", "data.txt is empty"),
            (b" \n\n", "data.txt is empty"),
            (b"ab", "DATA (={data}) has 2 characters, too few"),
            (
                b"a b c d e f",
                "the text to validate on must have at least 3 characters, not 1",
            ),
            (b"caf\xe9 " * 50, "data.txt is not UTF-8: byte 0xe9 at offset 3"),
        ],
    )
    def test_file(
        self,
        content: bytes,
        words: str,
        data: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        Path(data).write_bytes(content)
        assert cli.main(["search-text", data, *TINY]) == 2
        assert words.replace("{data}", data) in error(capsys)

    def test_words_that_are_never_repeated(
        self, data: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path(data).write_text(" ".join(map(str, range(1000))))
        assert cli.main(["search-text", data, *TINY, "--level", "word"]) == 2
        assert "none of the 805 different words appears" in error(capsys)

    def test_no_data(self, folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for command in (["search-text"], ["train-text", "RECURRENT_DARTS_V1"]):
            # A text itself, which Python takes, is no file either.
            for where in (str(tmp_path / "none"), "a text of words", os.devnull):
                assert cli.main([*command, where]) == 2
                assert f"{where!r} is neither a file nor a folder" in error(capsys)
        (Path(folder) / "ptb.valid.txt").unlink()
        assert cli.main(["search-text", folder]) == 2
        assert "ptb.train.txt, ptb.test.txt without ptb.valid.txt" in error(capsys)

    @pytest.mark.parametrize("arguments", [["train-text"], ["sample"]])
    def test_usage(self, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(arguments) == 2
        assert "--help" in error(capsys)


class TestCutShort:
    """Whatever ends a run early, what there is by then is saved."""

    def test_diverged_search(
        self, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "out"
        diverge(capsys, "search", "search-text", data, "--out", str(out), *TINY)
        assert names(out) == SEARCH_FILES
        assert json.loads((out / "summary.json").read_text())["state"] == "diverged"

    def test_diverged_training(
        self, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "out"
        diverge(capsys, "training", "search-text", data, "--out", str(out), *TINY)
        assert names(out) == SEARCH_FILES | TRAIN_FILES
        LanguageModel.load(out / "model")

    def test_no_sample_of_a_state_that_overflows(
        self,
        data: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # tests/test_scores.py has such a model; here the training gives a usual one.
        follows = RecurrentNetwork.next_probabilities

        def overflow(*given: Any, **options: Any) -> Any:
            probabilities, hidden = follows(*given, **options)
            return probabilities, np.inf * hidden

        monkeypatch.setattr(RecurrentNetwork, "next_probabilities", overflow)
        out = tmp_path / "out"
        assert (
            cli.main(["train-text", "RECURRENT_DARTS_V2", data, "--out", str(out), *TINY_TRAIN])
            == 0
        )
        shown = capsys.readouterr().out
        assert "It can write no sample: the hidden state overflows" in shown
        assert "A sample" not in shown
        assert json.loads((out / "summary.json").read_text())["test_perplexity"] > 1
        assert cli.main(["sample", str(out)]) == 1
        assert "the hidden state overflows" in error(capsys)

    @pytest.mark.parametrize(("when", "files"), [("training", set()), ("epoch   2/2", TRAIN_FILES)])
    def test_interrupt_after_the_search(
        self,
        when: str,
        files: set[str],
        data: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        out, whole = tmp_path / "out", tmp_path / "whole"
        command = ["search-text", data, *TINY, "--out"]
        with ctrl_c_at(when):
            assert cli.main([*command, str(out)]) == 130
        shown = capsys.readouterr().out
        assert "Interrupted." in shown
        assert names(out) == SEARCH_FILES | files
        assert ("pydarts sample" if files else "pydarts train-text") in shown
        assert shown.splitlines()[-1].startswith("To go on: pydarts search-text ")
        assert cli.main([*command, str(out)]) == 0
        assert cli.main([*command, str(whole)]) == 0
        found, expected = (LanguageModel.load(folder / "model") for folder in (out, whole))
        assert found.perplexity("the old cat") == expected.perplexity("the old cat")
        assert (out / "alphas.npz").read_bytes() == (whole / "alphas.npz").read_bytes()

    def test_time_budgets(
        self, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "out"
        command = ["search-text", data, *TINY, "--no-progress", "--out", str(out)]
        command += ["--epochs", "100000", "--time-budget", "0.5s"]
        command += ["--train-epochs", "100000", "--train-time-budget", "0.4s"]
        command += ["--lr", "1", "--train-lr", "1"]  # thousands of steps at the default diverge
        assert cli.main(command) == 0
        shown = capsys.readouterr().out
        assert re.findall(r"the time budget of ([\d.]+) s is spent", shown) == ["0.5", "0.4"]


@posix
@pytest.mark.parametrize(
    "command", ["search-text", pytest.param("train-text", marks=pytest.mark.slow)]
)
def test_ctrl_c(command: str, data: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    what = [command, data, *TRAIN_NET]
    if command == "train-text":
        what = [command, "RECURRENT_DARTS_V1", data]
    endless = [*NET, "--epochs", "1000000", "--threads", "1", "--out", str(out)]
    shown = interrupt(*what, *endless)
    assert f"Interrupted.\nSaved in {out}:" in shown
    summary = json.loads((out / "summary.json").read_text())
    assert summary["state"] == "interrupted"
    if command == "search-text":
        assert names(out) == SEARCH_FILES
        genotype = RecurrentGenotype.from_json((out / "genotype.json").read_text())
        assert RecurrentGenotype.parse(shown) == genotype
    else:
        history = LanguageModel.load(out / "model").history
        assert len(history) >= 2
        assert summary["valid_perplexity"] == min(e["valid_perplexity"] for e in history)
        assert summary["test_perplexity"] is None


@pytest.mark.parametrize("columns", ["80", "200"])
def test_help(
    columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    helps = {}
    for command in ("", "search-text", "train-text", "sample"):
        assert cli.main([*command.split(), "--help"]) == 0
        helps[command] = capsys.readouterr().out
        assert max(map(len, helps[command].splitlines())) < 80
    assert re.search("^ +search-text  find", helps[""], re.MULTILINE)
    for config, command, prefix in (
        (TextSearchConfig, "search-text", ""),
        (TextTrainConfig, "search-text", "train-"),
        (TextTrainConfig, "train-text", ""),
    ):
        for option in config.options():
            name = option.name.replace("_", "-")
            assert re.search(rf"^  --{prefix}{name}\b", helps[command], re.MULTILINE)
    text = " ".join(helps["search-text"].split())
    assert "(default: python-docs, the language reference of Python)" in text
    assert "(default: word for a folder, else char)" in text
    assert "fair-darts, gdas, gaea, fixed, fixed-pt, darts-pt (default: darts;" in text
    assert "Genotype(recurrent=...)" in helps["train-text"]
