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

from pydarts.common.checks import choice, integer, show, token_array
from pydarts.common.errors import ArgumentError, ArgumentTypeError

Level = Literal["word", "char"]

UNK: Final = "<unk>"
"""The token of all that a vocabulary does not hold."""
EOS: Final = "<eos>"
"""The token of the end of a line, at word level."""
UNITS: Final[Mapping[str, str]] = {"word": "words", "char": "characters"}
"""What the tokens of each level are called."""

_SPECIAL: Final[Mapping[str, tuple[str, ...]]] = {"word": (UNK, EOS), "char": (UNK,)}
_MAX_SIZE: Final[Mapping[str, int]] = {"word": 1 << 20, "char": 1 << 16}
_UNKNOWN_CHARACTER: Final = "\ufffd"


@dataclass(frozen=True, repr=False)
class Vocabulary:
    """The tokens that a language model knows, and their numbers.

    At word level a token is what stands between white space, and ``<eos>`` is the end of a line. At
    character level a token is a character, line ends included. Whatever else a text holds becomes
    ``<unk>``.

    Parameters
    ----------
    level : {"word", "char"}
        What a token is.
    tokens : sequence of str
        Distinct strings; the number of a token is its place. ``<unk>`` must be among them, and at
        word level ``<eos>``. Stored as a tuple.

    Raises
    ------
    TypeError, ValueError
        If `level` is neither, or `tokens` is not such a sequence, or has more than 1,048,576 words
        or 65,536 characters.
    """

    level: Level
    tokens: tuple[str, ...]

    def __post_init__(self) -> None:
        choice("level", self.level, get_args(Level))
        if isinstance(self.tokens, (str, bytes)) or not isinstance(self.tokens, Sequence):
            raise ArgumentTypeError(
                "tokens", f"(={show(self.tokens)}) must be a sequence of strings"
            )
        object.__setattr__(self, "tokens", tuple(self.tokens))
        for index, token in enumerate(self.tokens):
            name, shown = f"tokens[{index}]", f"(={show(token)})"
            if not isinstance(token, str):
                raise ArgumentTypeError(name, f"{shown} must be a str")
            if self.level == "char" and token != UNK and len(token) != 1:
                raise ArgumentError(name, f"{shown} must be one character")
            if self.level == "word" and token.split() != [token]:
                raise ArgumentError(name, f"{shown} must be one word")
            valid_text(name, token)
        for token in _SPECIAL[self.level]:
            if token not in self._numbers:
                raise ArgumentError("tokens", f"(={show(self.tokens)}) must hold {token!r}")
        if len(self._numbers) != len(self.tokens):
            twice = next(t for i, t in enumerate(self.tokens) if self._numbers[t] != i)
            raise ArgumentError("tokens", f"holds {show(twice)} twice")
        if len(self.tokens) > _MAX_SIZE[self.level]:
            raise ArgumentError(
                "tokens",
                f"are {len(self.tokens):,}, but a vocabulary of level {self.level!r} may"
                f" have {_MAX_SIZE[self.level]:,}",
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
        text : str
            The training text.
        level : {"word", "char"}
            What a token is.
        max_vocab : int, optional
            Maximum number of tokens, ``<unk>`` and ``<eos>`` included: the most frequent ones are
            kept, and of equally frequent ones the first. By default all.
        min_count : int, optional
            Minimum number of appearances of a token. By default 1, but 2 at word level if ``<unk>``
            is not a word of the text: a model can learn what ``<unk>`` stands for only from words
            of the training text that its vocabulary leaves out.

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
        choice("level", level, get_args(Level))
        special, unit, max_size = _SPECIAL[level], UNITS[level], _MAX_SIZE[level]
        if max_vocab is not None:
            max_size = integer("max_vocab", max_vocab, len(special) + 1, max_size + 1)
        counts = Counter(_tokenize(valid_text("text", text), level))
        minimum = 2 if level == "word" and UNK not in counts else 1
        if min_count is not None:
            minimum = integer("min_count", min_count, 1)
        for token in special:
            counts.pop(token, None)
        if not counts:
            raise ArgumentError("text", f"(={show(text)}) holds no {unit}")
        kept = [token for token, count in counts.items() if count >= minimum]
        if not kept:
            raise ValueError(
                f"none of the {len(counts):,} different {unit} appears `min_count` (={minimum})"
                " times; load_corpus(..., min_count=1) keeps all"
            )
        room = max_size - len(special)
        if len(kept) > room:
            if max_vocab is None:
                raise ArgumentError(
                    "text",
                    f"has {len(kept):,} different {unit}, but a vocabulary may have"
                    f" {max_size:,}, {' and '.join(special)} included: pass `max_vocab`",
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
        """Turn text into tokens.

        Parameters
        ----------
        text : str
            Any text. At word level each line end, and nothing else, becomes ``<eos>``: the words
            after the last line end are those of an unfinished line. A word that is spelled
            ``<unk>`` or ``<eos>`` is that token.

        Returns
        -------
        tokens : ndarray of int32, shape (T,)
            Their numbers.
        unknown : int
            How many of them are ``<unk>`` because the vocabulary lacks what stands there.

        Raises
        ------
        TypeError
            If `text` is not a str.
        """
        if not isinstance(text, str):
            raise ArgumentTypeError("text", f"must be a str, not {type(text).__name__}")
        found = _tokenize(text, self.level)
        numbers, unk = self._numbers, self._numbers[UNK]
        tokens = np.fromiter((numbers.get(t, unk) for t in found), np.int32, len(found))
        # At character level no token is spelled so, but str.count would look for the whole word.
        spelled = found.count(UNK) if self.level == "word" else 0
        return tokens, int(np.count_nonzero(tokens == unk)) - spelled

    def decode(self, tokens: ArrayLike) -> str:
        """Turn tokens into text.

        Parameters
        ----------
        tokens : array-like of int, shape (T,)
            Their numbers.

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
        """Return a dictionary that JSON can hold."""
        return {"level": self.level, "tokens": list(self.tokens)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Vocabulary:
        """Invert `to_dict`; a ValueError if `values` is not such a dictionary."""
        if not isinstance(values, Mapping) or set(values) != {"level", "tokens"}:
            raise ArgumentError("values", f"(={show(values)}) must hold `level` and `tokens`")
        return cls(values["level"], values["tokens"])


def valid_text(name: str, text: object) -> str:
    """Return ``text`` if it is a string that UTF-8 can encode."""
    if not isinstance(text, str):
        raise ArgumentTypeError(name, f"must be a str, not {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ArgumentError(name, f"(={show(text)}) holds half a surrogate pair") from None
    return text


def _tokenize(text: str, level: str) -> Sequence[str]:
    if level == "char":
        return text
    tokens: list[str] = []
    for line in text.split("\n"):  # not splitlines, which ends lines at a dozen other characters
        tokens += line.split()
        tokens.append(EOS)
    tokens.pop()  # no line end follows the last
    return tokens
