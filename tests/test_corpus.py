# SPDX-License-Identifier: MIT
"""Corpora from every source, and bad input."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydarts.common.errors import ArgumentError
from pydarts.data.corpus import (
    PYTHON_DOCS,
    Corpus,
    as_corpus,
    default_level,
    is_python_docs,
    load_corpus,
)
from pydarts.data.vocabulary import EOS, UNK, Vocabulary

PTB = "a b <unk> b\n c a \n"


def write(folder: Path, layout: str, train: str, valid: str = "a\n", test: str = "b\n") -> Path:
    for part, text in (("train", train), ("valid", valid), ("test", test)):
        (folder / layout.format(part)).write_bytes(text.encode())
    return folder


def lines(count: int = 200) -> str:
    return "".join(f"line {k} of {k % 7}\n" for k in range(count))


def test_built_in_corpus() -> None:
    corpus = load_corpus(PYTHON_DOCS, level="word")
    assert is_python_docs(corpus.name)
    assert f"Python {sys.version.split()[0]}" in corpus.name
    assert np.count_nonzero(corpus.train == 0) == corpus.unknown_train > 0
    characters = load_corpus(PYTHON_DOCS)
    assert characters.level == "char"
    sizes = np.array([len(characters.train), len(characters.valid), len(characters.test)])
    assert 350_000 < sizes.sum() < 700_000
    assert np.abs(sizes / sizes.sum() - (0.8, 0.1, 0.1)).max() < 0.01
    assert 90 < len(characters.vocabulary) < 200
    assert characters.unknown_train == 0
    assert characters.unknown_valid + characters.unknown_test < 20
    text = characters.vocabulary.decode(characters.train)
    assert "The " in text and text.count("statement") > 100
    # What is tested on has not been learnt.
    learnt = {" ".join(paragraph.split()) for paragraph in text.split("\n\n")}
    for part in (characters.valid, characters.test):
        paragraphs = characters.vocabulary.decode(part).split("\n\n")
        assert len(paragraphs) > 100
        assert not learnt.intersection(" ".join(p.split()) for p in paragraphs if p.strip())


@pytest.mark.slow
def test_built_in_corpus_is_the_same_everywhere() -> None:
    code = (
        "import hashlib; from pydarts.data.corpus import load_corpus; "
        "c = load_corpus('python-docs', level='word'); "
        "print([hashlib.sha256(t).hexdigest() for t in (c.train, c.valid, c.test)])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-P", "-c", code],
            capture_output=True,
            check=True,
            timeout=300,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_without_documentation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(ImportError, match="comes without"):
        load_corpus(PYTHON_DOCS)


@pytest.mark.parametrize("layout", ["ptb.{}.txt", "wiki.{}.tokens", "wiki.{}.raw", "{}.txt"])
def test_folder(tmp_path: Path, layout: str) -> None:
    write(tmp_path, layout, " a b <unk> \n b c\n", "c d <unk>", "a\r\nx y\r\n\n")
    for data in (tmp_path, str(tmp_path)):
        corpus = load_corpus(data)
        assert corpus.name == str(tmp_path)
        assert corpus.vocabulary.tokens == (UNK, EOS, "a", "b", "c")
        assert corpus.train.tolist() == [2, 3, 0, 1, 3, 4, 1]
        assert corpus.valid.tolist() == [4, 0, 0, 1]
        assert corpus.test.tolist() == [2, 1, 0, 0, 1, 1]
        unknown = (corpus.unknown_train, corpus.unknown_valid, corpus.unknown_test)
        assert unknown == (0, 1, 2)
    characters = load_corpus(tmp_path, level="char")
    assert characters.vocabulary.decode(characters.test) == "a\n\ufffd \ufffd\n\n"
    assert characters.unknown_test == 2
    limited = load_corpus(tmp_path, max_vocab=3)
    assert limited.vocabulary.tokens == (UNK, EOS, "b")
    assert limited.unknown_train == 2


def test_first_complete_layout_wins(tmp_path: Path) -> None:
    write(tmp_path, "{}.txt", "b b\n")
    (tmp_path / "ptb.train.txt").write_text("c c\n")
    assert load_corpus(tmp_path).vocabulary.tokens[2:] == ("b",)
    write(tmp_path, "ptb.{}.txt", "c c\n")
    assert load_corpus(tmp_path).vocabulary.tokens[2:] == ("c",)


def test_file_and_text(tmp_path: Path) -> None:
    text = lines()
    path = tmp_path / "a file.txt"
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    for data in (path, str(path), text, text.replace("\n", "\r")):
        corpus = load_corpus(data, level="char")
        parts = [corpus.vocabulary.decode(t) for t in (corpus.train, corpus.valid, corpus.test)]
        assert not any("\ufffd" in part for part in parts)
        assert "".join(parts) == text
        assert all(part.endswith("\n") for part in parts)
        assert abs(len(parts[0]) - 0.8 * len(text)) < 10
        assert abs(len(parts[1]) - 0.1 * len(text)) < 20
    assert load_corpus(path).name == str(path)
    assert load_corpus(text).name == "text"


def test_long_lines_are_cut_at_spaces(tmp_path: Path) -> None:
    words = [f"w{k}" for k in range(400)]
    corpus = load_corpus(" ".join(words), level="word", min_count=1)
    assert corpus.vocabulary.tokens[2:] == tuple(words[: len(corpus.train) - 1])
    assert len(corpus.train) + len(corpus.valid) + len(corpus.test) == 400 + 3
    # A line end far from the place does not count.
    corpus = load_corpus(
        " ".join(words[:300]) + "\n" + " ".join(words[300:]), level="word", min_count=1
    )
    assert len(corpus.train) == 324 + 2  # 1,511 of 1,889 characters, and two line ends
    dna = "ACGT" * 500
    corpus = load_corpus(dna, level="char")
    assert (len(corpus.train), len(corpus.valid), len(corpus.test)) == (1600, 200, 200)


@given(st.text(st.sampled_from("ab \n"), min_size=1, max_size=300))
def test_splits_are_complete_and_in_order(text: str) -> None:
    try:
        corpus = load_corpus(text + " ", level="char")
    except (ValueError, FileNotFoundError):
        return
    parts = [corpus.train, corpus.valid, corpus.test]
    assert sum(map(len, parts)) == len(text) + 1
    decoded = "".join(map(corpus.vocabulary.decode, parts))
    assert all(a == b or b == "\ufffd" for a, b in zip(text + " ", decoded, strict=True))
    assert abs(len(parts[0]) - 0.8 * len(text)) <= 0.04 * len(text) + 2


def test_arrays_cannot_be_written_to() -> None:
    corpus = load_corpus(lines())
    for tokens in (corpus.train, corpus.valid, corpus.test):
        assert tokens.dtype == np.int32
        with pytest.raises(ValueError, match="read-only"):
            tokens[0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        corpus.train = corpus.test  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"vocabulary": (UNK, EOS)}, TypeError, "`vocabulary` .* must be a Vocabulary"),
        ({"train": [0, 5]}, ValueError, r"`train\[1\]` \(=5\) must be at least 0 and below 5"),
        ({"valid": []}, ValueError, "`valid` is empty"),
        ({"test": [[0]]}, ValueError, r"`test` has shape \(1, 1\)"),
        ({"test": [0.5]}, TypeError, "`test` has dtype float64"),
    ],
)
def test_invalid_corpus(change: Any, error: type[Exception], message: str) -> None:
    fields = {"vocabulary": Vocabulary.fit(PTB), "train": [0, 1], "valid": [2], "test": [3]}
    assert Corpus("x", **fields).train.tolist() == [0, 1]  # type: ignore[arg-type]
    with pytest.raises(error, match=message):
        Corpus("x", **{**fields, **change})


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ("ptb.txt", FileNotFoundError, r"`data` \(='ptb.txt'\) is neither a file, nor a folder"),
        ("~nobody-of-this-name/ptb", FileNotFoundError, "neither a file, nor a folder, nor a text"),
        (Path("no-such-folder/x y"), FileNotFoundError, "there is no file or folder no-such-fo"),
        (Path("/dev/null"), ValueError, "/dev/null is neither a file nor a folder"),
        ("", ValueError, "`data` is empty"),
        ("  \n ", ValueError, "`data` is empty"),
        ("a b", ValueError, r"`data` \(='a b'\) has 3 characters, too few for a part to learn"),
        ("a \ud800 " * 99, ValueError, "`data` .* holds half a surrogate pair"),
        (
            b"a b c",
            TypeError,
            r"`data` \(=b'a b c'\) must be a path, a string of text or \"python-docs\", not bytes",
        ),
        (3, TypeError, r"`data` \(=3\) must be .* not int"),
        (["a", "b"], TypeError, r"`data` \(=\['a', 'b'\]\) must be .* not list"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_load_refuses(data: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        load_corpus(data)


def test_folder_without_a_part(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        load_corpus(tmp_path)
    for words in (str(tmp_path), "no corpus", "ptb.valid.txt", "wiki.test.tokens", "train.txt"):
        assert words in str(caught.value)
    (tmp_path / "wiki.train.tokens").write_text("a a\n")
    (tmp_path / "wiki.test.tokens").write_text("a a\n")
    message = "holds wiki.train.tokens, wiki.test.tokens without wiki.valid.tokens: looked for ptb"
    with pytest.raises(FileNotFoundError, match=message):
        load_corpus(tmp_path)


def test_file_that_is_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "latin1.txt"
    path.write_bytes(b"\xef\xbb\xbf" + "naïve\n".encode("latin-1") * 10)
    with pytest.raises(ValueError, match=r"latin1.txt is not UTF-8: byte 0xef at offset 5") as e:
        load_corpus(path)
    assert str(path) in str(e.value)
    write(tmp_path, "{}.txt", "a a\n")
    (tmp_path / "valid.txt").write_bytes(b"ab\xff")
    with pytest.raises(ValueError, match=r"valid.txt is not UTF-8: byte 0xff at offset 2"):
        load_corpus(tmp_path)


@pytest.mark.parametrize("content", [b"", b" \n\r\n", b"\xef\xbb\xbf"])
def test_empty_file(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path, "{}.txt", "a a\n") / "test.txt"
    path.write_bytes(content)
    for data in (tmp_path, path):
        with pytest.raises(ValueError, match=r"test\.txt is empty"):
            load_corpus(data)


@pytest.mark.parametrize("load", [load_corpus, lambda data: as_corpus(data, None, None)])
def test_none_says_what_to_give(load: Any) -> None:
    message = r'`data` \(=None\) must be a path, a string of text or "python-docs"'
    with pytest.raises(TypeError, match=message):
        load(None)


def test_default_level(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / PYTHON_DOCS
    folder.mkdir()
    write(folder, "{}.txt", "a a\n")
    for data in (folder, str(folder), f"./{PYTHON_DOCS}"):
        assert default_level(data) == load_corpus(data).level == "word"
    for data in (folder / "train.txt", PYTHON_DOCS, lines()):
        assert default_level(data) == "char"
    # A name wins over a folder of that name, whose corpus has another.
    assert len(load_corpus(PYTHON_DOCS).train) > 100_000
    assert is_python_docs(load_corpus(PYTHON_DOCS).name)
    assert load_corpus(Path(PYTHON_DOCS)).name == f"./{PYTHON_DOCS}"
    assert not is_python_docs(f"./{PYTHON_DOCS}")


def test_names_of_the_language_reference() -> None:
    assert is_python_docs(PYTHON_DOCS)
    assert is_python_docs("language reference of Python 3.11.9")  # as once written
    for name in ("text", "python-docs/ptb", "/tmp/python-docs", "python-docs-3"):
        assert not is_python_docs(name)


def test_a_corpus_has_its_level_and_vocabulary() -> None:
    corpus = as_corpus(lines(), "word", 5)
    assert (corpus.level, len(corpus.vocabulary)) == ("word", 5)
    assert as_corpus(corpus, None, None) is corpus
    with pytest.raises(ArgumentError, match=r"`level` \(='word'\) cannot be given beside a Corpus"):
        as_corpus(corpus, "word", None)
    with pytest.raises(ArgumentError, match=r"`max_vocab` \(=5\) cannot be given beside a Corpus"):
        as_corpus(corpus, None, 5)


def test_file_too_short_is_named(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("a b")
    with pytest.raises(ValueError, match=r"short\.txt\) has 3 characters, too few"):
        load_corpus(tmp_path / "short.txt")
