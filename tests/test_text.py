# SPDX-License-Identifier: MIT
"""Text: vocabularies, corpora from every source, columns and segments, bad input."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pydarts.data.corpus import PYTHON_DOCS, Corpus, is_python_docs, load_corpus
from pydarts.data.segments import batchify, segments
from pydarts.data.vocabulary import EOS, UNK, Vocabulary

PTB = "a b <unk> b\n c a \n"
texts = st.text(
    st.sampled_from("ab \n\t\r\v\u00a0\u2028é😀<>") | st.characters(exclude_categories=["Cs"])
)


def write(folder: Path, layout: str, train: str, valid: str = "a\n", test: str = "b\n") -> Path:
    for part, text in (("train", train), ("valid", valid), ("test", test)):
        (folder / layout.format(part)).write_bytes(text.encode())
    return folder


def lines(count: int = 200) -> str:
    return "".join(f"line {k} of {k % 7}\n" for k in range(count))


# Vocabulary


def test_word_vocabulary_in_order_of_appearance() -> None:
    vocabulary = Vocabulary.fit("b a\nb c <unk>\n", level="word")
    assert vocabulary.tokens == (UNK, EOS, "b", "a", "c")
    assert len(vocabulary) == 5
    tokens, unknown = vocabulary.encode("a  b\t<unk> zzz\n\nc")
    assert tokens.dtype == np.int32
    assert tokens.tolist() == [3, 2, 0, 0, 1, 1, 4]
    assert unknown == 1
    assert vocabulary.decode(tokens) == "a b <unk> <unk>\n\nc"


def test_char_vocabulary_in_order_of_appearance() -> None:
    vocabulary = Vocabulary.fit("ba\nb", level="char")
    assert vocabulary.tokens == (UNK, "b", "a", "\n")
    tokens, unknown = vocabulary.encode("ab\n<unk>")
    assert tokens.tolist() == [2, 1, 3, 0, 0, 0, 0, 0]
    assert unknown == 5
    assert vocabulary.decode(tokens) == "ab\n" + 5 * "\ufffd"


def test_max_vocab_keeps_the_most_frequent() -> None:
    text = "a b b c d d d e c\n"
    for size, kept in ((3, "d"), (4, "b d"), (5, "b c d"), (6, "a b c d"), (99, "a b c d e")):
        vocabulary = Vocabulary.fit(text, max_vocab=size, min_count=1)
        assert vocabulary.tokens == (UNK, EOS, *kept.split())
    assert Vocabulary.fit("aabbbc", level="char", max_vocab=2).tokens == (UNK, "b")
    assert Vocabulary.fit(text, max_vocab=np.int64(3)).tokens == (UNK, EOS, "d")  # type: ignore[arg-type]


def test_min_count() -> None:
    assert Vocabulary.fit("a b b c c c", min_count=1).tokens[2:] == ("a", "b", "c")
    assert Vocabulary.fit("a b b c c c", min_count=3).tokens[2:] == ("c",)
    # A text without <unk> must leave out something, or nothing is learnt of <unk>.
    assert Vocabulary.fit("a b b c c c").tokens[2:] == ("b", "c")
    assert Vocabulary.fit("a b b c c c <unk>").tokens[2:] == ("a", "b", "c")
    assert Vocabulary.fit("abb", level="char").tokens[1:] == ("a", "b")
    assert Vocabulary.fit("abb", level="char", min_count=2).tokens[1:] == ("b",)


@settings(deadline=None)
@given(texts)
@example("a\n")
@example("\n\n a")
@example("<eos> <unk>")
def test_words_survive_a_round_trip(text: str) -> None:
    wanted = "\n".join(" ".join(line.split()) for line in text.replace(EOS, "e").split("\n"))
    if not wanted.strip():
        return
    vocabulary = Vocabulary.fit(wanted, min_count=1)
    tokens, unknown = vocabulary.encode(text.replace(EOS, "e"))
    assert unknown == 0
    assert vocabulary.decode(tokens) == wanted
    assert np.count_nonzero(tokens == vocabulary.tokens.index(EOS)) == wanted.count("\n")
    counts = Counter(wanted.split())
    for word, number in zip(vocabulary.tokens, range(len(vocabulary)), strict=True):
        if word != EOS:
            assert np.count_nonzero(tokens == number) == counts[word]


@settings(deadline=None)
@given(texts, texts)
def test_characters_survive_a_round_trip(text: str, other: str) -> None:
    if not text:
        return
    vocabulary = Vocabulary.fit(text, level="char")
    tokens, unknown = vocabulary.encode(text)
    assert (len(tokens), unknown) == (len(text), 0)
    assert vocabulary.decode(tokens) == text
    tokens, unknown = vocabulary.encode(other)
    assert unknown == sum(character not in text for character in other)
    assert vocabulary.decode(tokens) == "".join(c if c in text else "\ufffd" for c in other)


def test_vocabulary_of_another_order() -> None:
    vocabulary = Vocabulary("word", ["a", EOS, UNK])  # type: ignore[arg-type]
    assert vocabulary.encode("b a\n")[0].tolist() == [2, 0, 1]
    assert vocabulary.encode("b a <unk>\n")[1] == 1
    assert vocabulary.decode([2, 0, 1]) == "<unk> a\n"
    assert vocabulary.decode([]) == ""


def test_vocabulary_is_a_value() -> None:
    vocabulary = Vocabulary.fit(PTB)
    vocabulary.encode("a")
    for other in (
        pickle.loads(pickle.dumps(vocabulary)),
        Vocabulary.from_dict(json.loads(json.dumps(vocabulary.to_dict()))),
        Vocabulary.fit(PTB),
    ):
        assert other == vocabulary
        assert hash(other) == hash(vocabulary)
        assert other.encode(PTB)[0].tolist() == vocabulary.encode(PTB)[0].tolist()
    assert repr(vocabulary) == "<Vocabulary of 5 tokens, level 'word'>"
    with pytest.raises(dataclasses.FrozenInstanceError):
        vocabulary.level = "char"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("level", "tokens", "message"),
    [
        ("words", (UNK,), r"`level` \(='words'\) must be 'word' or 'char'"),
        (None, (UNK,), r"`level` \(=None\) must be 'word' or 'char'"),
        ("word", "abc", r"`tokens` \(='abc'\) must be a sequence of strings"),
        ("word", None, r"`tokens` \(=None\) must be a sequence"),
        ("word", (UNK, EOS, 3), r"`tokens\[2\]` \(=3\) must be a str"),
        ("word", (UNK, EOS, "a b"), r"`tokens\[2\]` \(='a b'\) must be one word"),
        ("word", (UNK, EOS, ""), r"`tokens\[2\]` \(=''\) must be one word"),
        ("word", (UNK, EOS, "a\n"), r"`tokens\[2\]` .* must be one word"),
        ("word", (UNK, "a"), "must hold '<eos>'"),
        ("word", (EOS, "a"), "must hold '<unk>'"),
        ("word", (UNK, EOS, "a", "b", "a"), "holds 'a' twice"),
        ("char", (UNK, "ab"), r"`tokens\[1\]` \(='ab'\) must be one character"),
        ("char", (UNK, ""), r"`tokens\[1\]` \(=''\) must be one character"),
        ("char", (UNK, EOS), r"`tokens\[1\]` \(='<eos>'\) must be one character"),
        ("char", ("a",), "must hold '<unk>'"),
        ("char", (UNK, "\ud800"), "half a surrogate pair"),
        ("char", (UNK, *map(chr, range(0x10000, 0x20000))), "are 65,537, but .* have 65,536"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_invalid_vocabulary(level: Any, tokens: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        Vocabulary(level, tokens)
    assert len(str(caught.value)) < 300
    with pytest.raises(ValueError):
        Vocabulary.from_dict({"level": level, "tokens": tokens})


@pytest.mark.parametrize("values", [None, {}, {"level": "word"}, [("level", "word")]])
def test_invalid_dictionary(values: Any) -> None:
    with pytest.raises(ValueError, match=r"`values` .* must hold `level` and `tokens`"):
        Vocabulary.from_dict(values)


@pytest.mark.parametrize(
    ("text", "options", "error", "message"),
    [
        (b"a b", {}, TypeError, "`text` must be a str, not bytes"),
        ("a \ud800", {}, ValueError, "`text` .* holds half a surrogate pair"),
        ("", {}, ValueError, r"`text` \(=''\) holds no words"),
        (" \n\t ", {}, ValueError, "holds no words"),
        ("<unk> <eos>", {}, ValueError, "holds no words"),
        ("", {"level": "char"}, ValueError, "holds no characters"),
        ("a b", {"level": "byte"}, ValueError, r"`level` \(='byte'\)"),
        ("a b", {"level": ["char"]}, ValueError, r"`level` \(=\['char'\]\)"),
        ("a b", {}, ValueError, r"none of the 2 different words appears `min_count` \(=2\) times"),
        ("a", {"min_count": 0}, ValueError, r"`min_count` \(=0\) must be at least 1"),
        ("a", {"min_count": 1.0}, TypeError, r"`min_count` \(=1.0\) must be an integer"),
        (
            "a",
            {"max_vocab": 2},
            ValueError,
            r"`max_vocab` \(=2\) must be at least 3 and less",
        ),
        ("a", {"max_vocab": 2**21}, ValueError, "less than 1048577"),
        ("a", {"max_vocab": True}, TypeError, r"`max_vocab` \(=True\) must be an integer"),
        (
            "a",
            {"level": "char", "max_vocab": 1},
            ValueError,
            r"\(=1\) must be at least 2 and",
        ),
        ("a", {"level": "char", "max_vocab": 65537}, ValueError, "less than 65537"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_fit_refuses(text: Any, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Vocabulary.fit(text, **options)


def test_too_many_characters() -> None:
    text = "".join(map(chr, range(0x10000, 0x20000)))
    with pytest.raises(ValueError, match=r"65,536 different characters, but .* 65,536, <unk> incl"):
        Vocabulary.fit(text, level="char")
    assert len(Vocabulary.fit(text[:-1], level="char")) == 65536
    assert len(Vocabulary.fit(text, level="char", max_vocab=65536)) == 65536


def test_too_many_words() -> None:
    text = " ".join(f"{k:x}" for k in range(2**20 - 1))
    with pytest.raises(ValueError, match=r"1,048,575 different words, but .* 1,048,576, <unk> and"):
        Vocabulary.fit(text, min_count=1)


@pytest.mark.parametrize(
    ("tokens", "error", "message"),
    [
        ([5], ValueError, r"`tokens\[0\]` \(=5\) must be at least 0 and below 5"),
        ([0, -1], ValueError, r"`tokens\[1\]` \(=-1\) must be"),
        ([0.0], TypeError, "has dtype float64"),
        ([True], TypeError, "has dtype bool"),
        ([[0]], ValueError, r"has shape \(1, 1\), but must have 1 axes"),
        ([[0], [0, 1]], ValueError, "is not an array"),
        ("abc", ValueError, r"has shape \(\)"),
    ],
)
def test_decode_refuses(tokens: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Vocabulary.fit(PTB).decode(tokens)


def test_encode_refuses() -> None:
    with pytest.raises(TypeError, match="`text` must be a str, not bytes"):
        Vocabulary.fit(PTB).encode(b"a")  # type: ignore[arg-type]


def test_empty_text_has_no_tokens() -> None:
    tokens, unknown = Vocabulary.fit(PTB).encode("")
    assert (tokens.shape, tokens.dtype, unknown) == ((0,), np.int32, 0)


# Corpora


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
            timeout=60,
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


@settings(deadline=None)
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


# Columns and segments


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(1, 60))
def test_batchify(batch: int, count: int) -> None:
    tokens = np.arange(count)
    rows = count // batch
    if rows < 2:
        with pytest.raises(ValueError, match=f"`tokens` are {count}, too few for `batch_size`"):
            batchify(tokens, batch)
        return
    columns = batchify(tokens, batch)
    assert columns.shape == (rows, batch)
    assert columns.dtype == np.int32
    assert columns.flags.c_contiguous
    for t, b in itertools.product(range(rows), range(batch)):
        assert columns[t, b] == b * rows + t


def test_batchify_with_room_for_bptt() -> None:
    assert batchify(np.zeros(256 * 36, np.int32), 256, bptt=35).shape == (36, 256)
    message = (
        r"are 9,215, too few for `batch_size` \(=256\) columns of `bptt` \(=35\) \+ 1: .* 9,216"
    )
    with pytest.raises(ValueError, match=message):
        batchify(np.zeros(256 * 36 - 1, np.int32), 256, bptt=35)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1, 2, 3], 0), ValueError, r"`batch_size` \(=0\) must be at least 1"),
        (([1, 2, 3], 1.0), TypeError, r"`batch_size` \(=1.0\) must be an integer"),
        (([], 1), ValueError, "`tokens` are 0, too few"),
        (([[1, 2], [3, 4]], 1), ValueError, r"has shape \(2, 2\), but must have 1 axes"),
        (([1.0, 2.0], 1), TypeError, "has dtype float64"),
        (([1, 2**31], 1), ValueError, r"`tokens\[1\]` \(=2147483648\) must be"),
        (([1, -2], 1), ValueError, r"`tokens\[1\]` \(=-2\) must be"),
    ],
)
def test_batchify_refuses(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        batchify(*arguments)


@settings(deadline=None)
@given(st.integers(2, 80), st.integers(1, 3), st.integers(1, 40))
def test_segments_of_evaluation(rows: int, batch: int, bptt: int) -> None:
    columns = np.arange(rows * batch, dtype=np.int32).reshape(rows, batch)
    pairs = list(segments(columns, bptt))
    np.testing.assert_array_equal(np.concatenate([x for x, _ in pairs]), columns[:-1])
    np.testing.assert_array_equal(np.concatenate([y for _, y in pairs]), columns[1:])
    assert [len(x) for x, _ in pairs[:-1]] == [bptt] * (len(pairs) - 1)
    assert 1 <= len(pairs[-1][0]) <= bptt
    for x, y in pairs:
        assert x.dtype == y.dtype == np.int32
        assert x.shape == y.shape
        assert x.flags.c_contiguous and y.flags.c_contiguous


@settings(deadline=None)
@given(st.integers(3, 200), st.integers(1, 40), st.integers(0, 99), st.floats(0, 1))
def test_segments_of_training(rows: int, bptt: int, seed: int, probability: float) -> None:
    columns = np.arange(2 * rows, dtype=np.int32).reshape(rows, 2)
    pairs = list(segments(columns, bptt, np.random.default_rng(seed), probability))
    lengths = [len(x) for x, _ in pairs]
    assert sum(lengths) in (rows - 1, rows - 2)  # a lone last step is dropped
    np.testing.assert_array_equal(np.concatenate([x for x, _ in pairs]), columns[: sum(lengths)])
    for x, y in pairs:
        np.testing.assert_array_equal(y, x + 2)
    least = 1 if bptt == 1 else 2
    assert min(lengths) >= least
    draws = np.random.default_rng(seed).random(len(lengths)) < probability
    wanted = [max(least, bptt // 2) if short else bptt for short in draws]
    assert lengths[:-1] == wanted[:-1]
    assert lengths[-1] <= wanted[-1]


def test_segment_lengths_of_the_original() -> None:
    columns = np.zeros((100_000, 1), np.int32)
    lengths = [len(x) for x, _ in segments(columns, 35, np.random.default_rng(0))][:-1]
    assert set(lengths) == {35, 17}
    assert 0.04 < np.mean(np.array(lengths) == 17) < 0.06
    again = [len(x) for x, _ in segments(columns, 35, np.random.default_rng(0))][:-1]
    assert again == lengths


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"columns": [[1], [2], [3]], "bptt": 0}, ValueError, r"`bptt` \(=0\) must be at least 1"),
        ({"bptt": 2.5}, TypeError, r"`bptt` \(=2.5\) must be an integer"),
        ({"columns": [1, 2, 3]}, ValueError, r"`columns` has shape \(3,\), but must have 2 axes"),
        ({"columns": [[1]]}, ValueError, "`columns` has 1 rows; segments need at least 2"),
        ({"columns": [[1], [2]], "rng": np.random.default_rng()}, ValueError, "need at least 3"),
        ({"columns": [[1.5], [2]]}, TypeError, "has dtype float64"),
        ({"rng": 0}, TypeError, r"`rng` \(=0\) must be a numpy.random.Generator or None"),
        ({"short_probability": 1.5}, ValueError, r"`short_probability` \(=1.5\) must be at most 1"),
        ({"short_probability": float("nan")}, ValueError, r"`short_probability` \(=nan\)"),
        ({"short_probability": "0.05"}, TypeError, r"`short_probability` \(='0.05'\) must be a n"),
    ],
)
def test_segments_refuses_at_the_call(change: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        segments(**{"columns": [[1], [2], [3], [4]], "bptt": 2, **change})
