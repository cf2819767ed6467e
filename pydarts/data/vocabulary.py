# SPDX-License-Identifier: MIT
"""Vocabularies of language models: words or characters, and their numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pydarts.common.checks import integer, show, token_array
from pydarts.common.errors import ArgumentError, ArgumentTypeError

Level = Literal["word", "char"]

UNK: Final = "<unk>"
"""The token of all that a vocabulary does not hold."""

EOS: Final = "<eos>"
"""The token of a line's end, at word level."""

UNITS: Final[Mapping[str, str]] = {"word": "words", "char": "characters"}

_SPECIAL: Final[Mapping[str, tuple[str, ...]]] = {"word": (UNK, EOS), "char": (UNK,)}

_MOST: Final[Mapping[str, int]] = {"word": 1 << 20, "char": 1 << 16}  # tokens of a vocabulary

_UNKNOWN_CHARACTER: Final = "\ufffd"


@dataclass(frozen=True, repr=False)
class Vocabulary:
    """The tokens that a language model knows: text ↔ numbers.

    At word level a token is what stands between white space, and ``<eos>`` is the end of a line. At
    character level a token is a character, line ends included. Whatever else a text holds becomes
    ``<unk>``.

    Parameters
    ----------
    level
        ``"word"`` or ``"char"``.
    tokens
        Distinct strings; a token's number is its place. ``<unk>`` must be among them, and at word
        level ``<eos>``. Stored as a tuple.

    Raises
    ------
    TypeError, ValueError
        If `level` is neither, or `tokens` is not such a sequence, or has more than 1,048,576 words
        or 65,536 characters.
    """

    level: Level
    tokens: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_level(self.level)
        if isinstance(self.tokens, (str, bytes)) or not isinstance(self.tokens, Sequence):
            raise ArgumentTypeError(
                "tokens", f"(={show(self.tokens)}) must be a sequence of strings"
            )
        object.__setattr__(self, "tokens", tuple(self.tokens))
        for index, token in enumerate(self.tokens):
            if not isinstance(token, str):
                raise TypeError(f"`tokens[{index}]` (={show(token)}) must be a str")
            if self.level == "char" and token != UNK and len(token) != 1:
                raise ValueError(f"`tokens[{index}]` (={show(token)}) must be one character")
            if self.level == "word" and token.split() != [token]:
                raise ValueError(f"`tokens[{index}]` (={show(token)}) must be one word")
            if not _encodable(token):
                raise ValueError(f"`tokens[{index}]` (={show(token)}) is half a surrogate pair")
        for token in _SPECIAL[self.level]:
            if token not in self._numbers:
                raise ArgumentError("tokens", f"(={show(self.tokens)}) must hold {token!r}")
        if len(self._numbers) != len(self.tokens):
            twice = next(t for i, t in enumerate(self.tokens) if self._numbers[t] != i)
            raise ArgumentError("tokens", f"holds {show(twice)} twice")
        if len(self.tokens) > _MOST[self.level]:
            raise ArgumentError(
                "tokens",
                f"are {len(self.tokens):,}, but a vocabulary of level {self.level!r} may"
                f" have {_MOST[self.level]:,}",
            )

    @classmethod
    def fit(
        cls,
        text: str,
        *,
        level: Level = "word",
        max_vocab: int | None = None,
        min_count: int | None = None,
    ) -> Vocabulary:
        """Collect the tokens of a training text.

        Parameters
        ----------
        text
            The training text.
        level
            ``"word"`` or ``"char"``.
        max_vocab
            Keep no more than this many tokens, ``<unk>`` and ``<eos>`` included: the most frequent
            ones, and of equally frequent ones the first. By default all.
        min_count
            Keep only what appears this often. By default 1, but 2 at word level if ``<unk>`` is
            not a word of the text: a model can learn what ``<unk>`` stands for only from words of
            the training text that its vocabulary leaves out.

        Returns
        -------
        Vocabulary
            ``<unk>``, at word level ``<eos>``, then the tokens in order of first appearance.

        Raises
        ------
        TypeError, ValueError
            If an argument is of a wrong type or out of bounds, `text` holds no token, none that is
            kept, or more than a vocabulary may have.
        """
        _check_level(level)
        special, unit = _SPECIAL[level], UNITS[level]
        most = _MOST[level]
        if max_vocab is not None:
            most = integer("max_vocab", max_vocab, len(special) + 1, most + 1)
        counts = Counter(_pieces(check_text("text", text), level))
        least = 2 if level == "word" and UNK not in counts else 1
        if min_count is not None:
            least = integer("min_count", min_count, 1)
        for token in special:
            counts.pop(token, None)
        if not counts:
            raise ArgumentError("text", f"(={show(text)}) holds no {unit}")
        kept = [token for token, count in counts.items() if count >= least]
        if not kept:
            raise ValueError(
                f"none of the {len(counts):,} different {unit} appears `min_count` (={least})"
                " times; load_corpus(..., min_count=1) keeps all"
            )
        room = most - len(special)
        if len(kept) > room:
            if max_vocab is None:
                raise ValueError(
                    f"the text has {len(kept):,} different {unit}, but a vocabulary may have"
                    f" {most:,}, {' and '.join(special)} included: pass `max_vocab`"
                )
            # most_common is stable: equally frequent tokens stay in order of first appearance.
            frequent = {token for token, _ in counts.most_common(room)}
            kept = [token for token in kept if token in frequent]
        return cls(level, (*special, *kept))

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(self.tokens)}

    def __len__(self) -> int:
        return len(self.tokens)

    def __repr__(self) -> str:
        return f"<Vocabulary of {len(self):,} tokens, level {self.level!r}>"

    def encode(self, text: str) -> tuple[NDArray[np.int32], int]:
        """Turn text to tokens.

        Parameters
        ----------
        text
            Any text. At word level each line end, and nothing else, becomes ``<eos>``: the words
            after the last line end are those of an unfinished line. A word that is spelled
            ``<unk>`` or ``<eos>`` is that token.

        Returns
        -------
        tokens : ndarray of int32
            One number a token.
        unknown : int
            How many of them are ``<unk>`` because the vocabulary does not hold what stood there.

        Raises
        ------
        TypeError
            If `text` is not a str.
        """
        if not isinstance(text, str):
            raise ArgumentTypeError("text", f"must be a str, not {type(text).__name__}")
        pieces = _pieces(text, self.level)
        numbers, unk = self._numbers, self._numbers[UNK]
        tokens = np.fromiter((numbers.get(p, unk) for p in pieces), np.int32, len(pieces))
        # At character level no piece is spelled so, but str.count would look for the whole word.
        spelled = pieces.count(UNK) if self.level == "word" else 0
        return tokens, int(np.count_nonzero(tokens == unk)) - spelled

    def decode(self, tokens: ArrayLike) -> str:
        """Turn tokens to text.

        Parameters
        ----------
        tokens
            Numbers, shape (T,).

        Returns
        -------
        str
            At word level, words with single spaces between them and a line end for each ``<eos>``.
            At character level, ``<unk>`` becomes U+FFFD, the replacement character.

        Raises
        ------
        TypeError, ValueError
            If `tokens` is not one-dimensional and of integers, or one is not in the vocabulary.
        """
        known = [self.tokens[t] for t in token_array("tokens", tokens, 1, len(self)).tolist()]
        if self.level == "char":
            return "".join(_UNKNOWN_CHARACTER if token == UNK else token for token in known)
        out: list[str] = []
        for previous, token in zip([EOS, *known], known, strict=False):
            out.append("\n" if token == EOS else token if previous == EOS else " " + token)
        return "".join(out)

    def to_dict(self) -> dict[str, Any]:
        """A dictionary that JSON can hold."""
        return {"level": self.level, "tokens": list(self.tokens)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Vocabulary:
        """The inverse of `to_dict`; a ValueError if `values` is not such a dictionary."""
        if not isinstance(values, Mapping) or set(values) != {"level", "tokens"}:
            raise ArgumentError("values", f"(={show(values)}) must hold `level` and `tokens`")
        try:
            return cls(values["level"], values["tokens"])
        except TypeError as error:
            raise ValueError(str(error)) from None


def _check_level(level: object) -> None:
    if not isinstance(level, str) or level not in get_args(Level):
        raise ArgumentError("level", f"(={show(level)}) must be 'word' or 'char'")


def _pieces(text: str, level: str) -> Sequence[str]:
    """A text's tokens, as strings."""
    if level == "char":
        return text
    pieces: list[str] = []
    for line in text.split("\n"):  # not splitlines, which ends lines at a dozen other characters
        pieces += line.split()
        pieces.append(EOS)
    pieces.pop()  # no line end follows the last
    return pieces


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_text(name: str, text: object) -> str:
    if not isinstance(text, str):
        raise ArgumentTypeError(name, f"must be a str, not {type(text).__name__}")
    if not _encodable(text):
        raise ArgumentError(name, f"(={show(text)}) holds half a surrogate pair")
    return text
