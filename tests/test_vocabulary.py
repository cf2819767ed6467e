# SPDX-License-Identifier: MIT
"""Vocabularies of words and characters."""

from __future__ import annotations

import dataclasses
import json
import pickle
from collections import Counter
from typing import Any

import numpy as np
import pytest
from drawn_text import CHARACTERS
from hypothesis import example, given
from hypothesis import strategies as st

from pydarts.data.vocabulary import EOS, UNK, Vocabulary

PTB = "a b <unk> b\n c a \n"

texts = st.text(st.sampled_from("ab \n\t\r\v\u00a0\u2028é😀<>") | CHARACTERS)


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


@pytest.mark.slow
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
