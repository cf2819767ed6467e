# SPDX-License-Identifier: MIT
"""Text for language models: corpora, their vocabularies, and the segments that training reads."""

from __future__ import annotations

import math
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pydarts.common.checks import integer, show
from pydarts.common.errors import ArgumentError, ArgumentTypeError

__all__ = ["EOS", "UNK", "Corpus", "Level", "Vocabulary", "batchify", "load_corpus", "segments"]

Level = Literal["word", "char"]

UNK: Final = "<unk>"
"""The token of all that a vocabulary does not hold."""
EOS: Final = "<eos>"
"""The token of a line's end, at word level."""

BUILT_IN: Final = "language reference of Python"
"""How the name of the corpus begins that comes with Python."""

UNITS: Final[Mapping[str, str]] = {"word": "words", "char": "characters"}
_PARTS: Final = ("train", "valid", "test")
_SPECIAL: Final[Mapping[str, tuple[str, ...]]] = {"word": (UNK, EOS), "char": (UNK,)}
_MOST: Final[Mapping[str, int]] = {"word": 1 << 20, "char": 1 << 16}  # tokens of a vocabulary
_UNKNOWN_CHARACTER: Final = "\ufffd"
_LONGEST_PATH: Final = 4096
_SHORT: Final = 1000  # characters without a space that are still taken for a mistyped path


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
        counts = Counter(_pieces(_check_text("text", text), level))
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
        known = [self.tokens[t] for t in check_tokens("tokens", tokens, 1, len(self)).tolist()]
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


@dataclass(frozen=True, eq=False)
class Corpus:
    """Texts to learn from, to validate on and to test on, as tokens of one vocabulary.

    Attributes
    ----------
    name : str
        What it was loaded from.
    vocabulary : Vocabulary
    train, valid, test : ndarray of int32, shape (tokens,)
        Not empty; cannot be written to.
    unknown_train, unknown_valid, unknown_test : int
        How many tokens of each are ``<unk>`` because the vocabulary lacks what stood there; a word
        that was spelled ``<unk>`` does not count.
    """

    name: str
    vocabulary: Vocabulary
    train: NDArray[np.int32] = field(repr=False)
    valid: NDArray[np.int32] = field(repr=False)
    test: NDArray[np.int32] = field(repr=False)
    unknown_train: int = 0
    unknown_valid: int = 0
    unknown_test: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.vocabulary, Vocabulary):
            raise ArgumentTypeError(
                "vocabulary", f"(={show(self.vocabulary)}) must be a Vocabulary"
            )
        for part in _PARTS:
            tokens = check_tokens(part, getattr(self, part), 1, len(self.vocabulary))
            if not tokens.size:
                raise ArgumentError(part, "is empty")
            view = tokens.view()
            view.flags.writeable = False
            object.__setattr__(self, part, view)

    @property
    def level(self) -> Level:
        """``"word"`` or ``"char"``."""
        return self.vocabulary.level


def load_corpus(
    data: str | os.PathLike[str] | None = None,
    *,
    level: Level = "word",
    max_vocab: int | None = None,
    min_count: int | None = None,
) -> Corpus:
    """Load a corpus from files, from a text, or from Python's own documentation.

    Parameters
    ----------
    data
        * None: the language reference that Python's ``help()`` shows, so that there is English to
          try things on where there is no network. Paragraphs that it repeats are left out, for
          what is tested on must not have been learnt; then each topic goes as a whole to one part.
          The text is the same on every system, but releases of Python differ in it.
        * A folder with ``ptb.train.txt``, ``ptb.valid.txt`` and ``ptb.test.txt`` (Penn Treebank),
          or ``wiki.train.tokens`` … or ``wiki.train.raw`` … (WikiText), or ``train.txt`` …; the
          first of these that is complete.
        * A file. 80 % are to learn from, the next 10 % to validate on, the last 10 % to test on,
          cut at the nearest line ends (or, in longer lines, spaces).
        * A text, split in the same way. A str that names a file or a folder is not a text, nor is
          a short one without white space.
    level
        ``"word"``: tokens are what stands between white space, and each line ends in ``<eos>``, as
        is usual with Penn Treebank and WikiText. ``"char"``: tokens are characters.
    max_vocab, min_count
        See `Vocabulary.fit`. The vocabulary is that of the training part.

    Returns
    -------
    Corpus

    Raises
    ------
    FileNotFoundError
        If there is no such file, or a folder lacks one; lists what was looked for.
    ValueError
        If a file is not UTF-8 (names the byte), a part is empty, the text is too short to split,
        or an option is out of bounds.
    TypeError
        If an argument is of a wrong type.
    ImportError
        If this Python comes without its documentation.

    Notes
    -----
    Files are read as UTF-8, whatever the system's own encoding is. A byte order mark is dropped,
    and line ends are made ``\\n``.

    References
    ----------
    The treatment of Penn Treebank: Zaremba, Sutskever, Vinyals, *Recurrent Neural Network
    Regularization*, https://arxiv.org/abs/1409.2329
    """
    name, texts = _read(data)
    vocabulary = Vocabulary.fit(texts[0], level=level, max_vocab=max_vocab, min_count=min_count)
    parts: dict[str, Any] = {}
    for part, text in zip(_PARTS, texts, strict=True):
        # The last line ends too, whether or not it says so.
        whole = text if level == "char" or text.endswith("\n") else text + "\n"
        parts[part], parts[f"unknown_{part}"] = vocabulary.encode(whole)
    return Corpus(name, vocabulary, **parts)


def default_level(data: object) -> Level:
    """``"word"`` for a folder, as corpora are published, else ``"char"``: a text of one's own, and
    the built-in one, is too small for words.
    """
    if isinstance(data, str):
        data = _existing(data)
    return "word" if isinstance(data, os.PathLike) and Path(data).expanduser().is_dir() else "char"


def unigram_perplexity(
    train: NDArray[np.int32], tokens: NDArray[np.int32], vocab_size: int
) -> float:
    """Perplexity of ``tokens`` where each is as likely as it is frequent in ``train``.

    One is added to every count, so that nothing is impossible: ``p(t) = (n_t + 1) / (N + vocab_size)``.
    """
    counts = np.bincount(train, minlength=vocab_size) + 1.0
    return math.exp(-float(np.log(counts / counts.sum())[tokens].mean()))


def batchify(tokens: ArrayLike, batch: int, *, bptt: int = 1) -> NDArray[np.int32]:
    """Cut a stream of tokens into columns that are read side by side.

    Parameters
    ----------
    tokens
        The stream, shape (tokens,).
    batch
        B, the number of columns.
    bptt
        Steps that each column must at least have room for.

    Returns
    -------
    ndarray of int32, shape (T, B)
        Column b holds tokens b·T to (b+1)·T − 1, with T = tokens // B; what remains is dropped.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong type or out of bounds, or a column would have less than
        `bptt` + 1 tokens, which are `bptt` predictions.
    """
    stream = check_tokens("tokens", tokens, 1)
    batch, bptt = integer("batch", batch, 1), integer("bptt", bptt, 1)
    rows = stream.size // batch
    if rows <= bptt:
        raise ArgumentError(
            "tokens",
            f"are {stream.size:,}, too few for `batch` (={batch}) columns of `bptt`"
            f" (={bptt}) + 1: that takes {batch * (bptt + 1):,}",
        )
    return np.ascontiguousarray(stream[: rows * batch].reshape(batch, rows).T)


def segments(
    columns: ArrayLike,
    bptt: int,
    rng: np.random.Generator | None = None,
    short_probability: float = 0.05,
    *,
    start: int = 0,
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """Go once through columns of tokens, in segments for truncated backpropagation.

    Parameters
    ----------
    columns
        (T, B), from `batchify`.
    bptt
        Steps of a segment.
    rng
        If given, as in training, each segment has ``bptt // 2`` steps with the probability
        `short_probability`, so that segments do not end at the same places in every epoch; one
        number is drawn for each segment. If not, as in evaluation, all have `bptt`.
    short_probability
        See `rng`.
    start
        The row to begin with, to go on where a segment ended.

    Yields
    ------
    x, y : ndarray of int32, shape (t, B)
        Tokens, and those that follow them: y[k] is x[k+1]. Both are views of `columns`. The last
        segment is shorter if need be; in training no segment has a single step (unless `bptt` is
        1), as temporal activation regularisation compares two, and a last step that is left alone is dropped.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong type or out of bounds, at the call.

    Notes
    -----
    A short segment's gradient is a mean over fewer steps and is taken more often, so the learning
    rate of its step is to be scaled by ``len(x) / bptt``. That is up to the caller, who has the
    learning rate.

    References
    ----------
    Merity, Keskar, Socher, *Regularizing and Optimizing LSTM Language Models*,
    https://arxiv.org/abs/1708.02182
    """
    table = check_tokens("columns", columns, 2)
    bptt = integer("bptt", bptt, 1)
    if rng is not None and not isinstance(rng, np.random.Generator):
        raise ArgumentTypeError("rng", f"(={show(rng)}) must be a numpy.random.Generator or None")
    if isinstance(short_probability, bool) or not isinstance(
        short_probability, (int, float, np.integer, np.floating)
    ):
        raise ArgumentTypeError(
            "short_probability", f"(={show(short_probability)}) must be a number"
        )
    if not 0 <= short_probability <= 1:
        raise ArgumentError("short_probability", f"(={short_probability}) must lie in [0, 1]")
    least = 1 if rng is None else min(2, bptt)
    if len(table) <= least:
        raise ArgumentError("columns", f"has {len(table)} rows; segments need at least {least + 1}")
    start = integer("start", start, 0)
    return _segments(table, bptt, rng, float(short_probability), least, start)


def _segments(
    columns: NDArray[np.int32],
    bptt: int,
    rng: np.random.Generator | None,
    short_probability: float,
    least: int,
    at: int,
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    last = len(columns) - 1
    while last - at >= least:
        short = rng is not None and rng.random() < short_probability
        stop = min(at + (max(least, bptt // 2) if short else bptt), last)
        yield columns[at:stop], columns[at + 1 : stop + 1]
        at = stop


# Text from files


def _read(data: object) -> tuple[str, tuple[str, str, str]]:
    """Name and parts of a corpus."""
    if data is None:
        version = ".".join(map(str, sys.version_info[:3]))
        return f"{BUILT_IN} {version}", _documentation()
    if isinstance(data, os.PathLike):
        path: Path | None = Path(data).expanduser()
    elif isinstance(data, str):
        path = _existing(data)
        if path is None and len(data) <= _SHORT and data.split() == [data]:
            raise FileNotFoundError(
                f"`data` (={show(data)}) is neither a file, nor a folder, nor a text: that would"
                " have white space in it"
            )
    else:
        raise ArgumentTypeError(
            "data", f"(={show(data)}) must be a path, a text or None, not {type(data).__name__}"
        )
    if path is None:
        return "text", _split("`data`", _check_text("data", str(data)))
    if path.is_dir():
        return str(path), _read_folder(path)
    if not path.exists():
        raise FileNotFoundError(f"`data`: there is no file or folder {path}")
    if not path.is_file():
        raise ValueError(f"`data`: {path} is neither a file nor a folder")
    return str(path), _split(str(path), _read_file(path))


def _existing(text: str) -> Path | None:
    """The file or folder that a text names, if it does."""
    if not text or len(text) > _LONGEST_PATH or not text.isprintable():
        return None
    try:
        path = Path(text).expanduser()
        return path if path.exists() else None
    except (OSError, RuntimeError):  # a part that is too long, or ~ of nobody
        return None


def _read_file(path: Path) -> str:
    raw = path.read_bytes()
    try:
        text = raw.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8: byte 0x{raw[error.start]:02x} at offset {error.start}"
        ) from None
    if not text.strip():
        raise ValueError(f"{path} is empty")
    return _plain_line_ends(text)


_LAYOUTS: Final = ("ptb.{}.txt", "wiki.{}.tokens", "wiki.{}.raw", "{}.txt")


def _read_folder(folder: Path) -> tuple[str, str, str]:
    started: list[str] = []
    for layout in _LAYOUTS:
        paths = [folder / layout.format(part) for part in _PARTS]
        there = [path for path in paths if path.is_file()]
        if len(there) == len(paths):
            train, valid, test = map(_read_file, paths)
            return train, valid, test
        if there:
            lacking = ", ".join(path.name for path in paths if path not in there)
            started.append(f"{', '.join(path.name for path in there)} without {lacking}")
    names = [", ".join(layout.format(part) for part in _PARTS) for layout in _LAYOUTS]
    raise FileNotFoundError(
        f"{folder} holds {'; '.join(started) or 'no corpus'}: looked for {', or '.join(names)}"
    )


def _split(name: str, text: str) -> tuple[str, str, str]:
    """Parts of 80, 10 and 10 % of a text."""
    if not text.strip():
        raise ValueError(f"{name} is empty")
    text = _plain_line_ends(text)
    first, second = (_boundary(text, len(text) * tenths // 10) for tenths in (8, 9))
    parts = text[:first], text[first:second], text[second:]
    if not all(part.strip() for part in parts):
        raise ValueError(
            f"{name} (={show(text)}) has {len(text):,} characters, too few for a part to learn"
            " from, one to validate on and one to test on"
        )
    return parts


def _boundary(text: str, at: int) -> int:
    """A place near `at` that follows a line end or else a space."""
    near = len(text) // 25  # two boundaries a tenth apart cannot meet
    for mark in "\n ":
        found = text.rfind(mark, max(at - near, 0), at) + 1, text.find(mark, at, at + near) + 1
        places = [place for place in found if place]
        if places:
            return min(places, key=lambda place: abs(place - at))
    return at


def _documentation() -> tuple[str, str, str]:
    """Python's language reference by topics, each of which goes to one part as a whole."""
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise ImportError(
            "the built-in corpus is Python's own documentation, which this Python comes without:"
            " pass `data`"
        ) from error
    seen: set[str] = set()
    parts: tuple[list[str], ...] = ([], [], [])
    sizes, total = [0, 0, 0], 0
    for topic in sorted(topics):
        fresh: list[str] = []
        for paragraph in topics[topic].split("\n\n"):
            words = " ".join(paragraph.split())
            if words and words not in seen:
                seen.add(words)
                fresh.append(paragraph.strip("\n"))
        if not fresh:
            continue
        text = "\n\n".join(fresh) + "\n\n"
        total += len(text)
        # To the part that is furthest below its share.
        behind = [tenths * total - 10 * size for tenths, size in zip((8, 1, 1), sizes, strict=True)]
        part = behind.index(max(behind))
        parts[part].append(text)
        sizes[part] += len(text)
    train, valid, test = map("".join, parts)
    return train, valid, test


def _plain_line_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


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


# Checks


def _check_level(level: object) -> None:
    if not isinstance(level, str) or level not in get_args(Level):
        raise ArgumentError("level", f"(={show(level)}) must be 'word' or 'char'")


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_text(name: str, text: object) -> str:
    if not isinstance(text, str):
        raise ArgumentTypeError(name, f"must be a str, not {type(text).__name__}")
    if not _encodable(text):
        raise ArgumentError(name, f"(={show(text)}) holds half a surrogate pair")
    return text


def check_tokens(name: str, values: ArrayLike, axes: int, size: int = 2**31) -> NDArray[np.int32]:
    """Token numbers below `size`, as a contiguous array."""
    try:
        array = np.asarray(values)
    except ValueError:  # numpy's own message speaks of "inhomogeneous" sequences
        raise ArgumentError(name, f"(={show(values)}) is not an array") from None
    if array.ndim != axes:
        raise ArgumentError(name, f"has shape {array.shape}, but must have {axes} axes")
    if array.size == 0:
        return np.zeros(array.shape, np.int32)
    if array.dtype.kind not in "iu":
        raise ArgumentTypeError(name, f"has dtype {array.dtype}: token numbers must be integers")
    if array.min() < 0 or array.max() >= size:
        index = np.argwhere((array < 0) | (array >= size))[0].tolist()
        where = ", ".join(map(str, index))
        raise ValueError(
            f"`{name}[{where}]` (={array[tuple(index)]}) must be at least 0 and below {size}"
        )
    return np.ascontiguousarray(array, np.int32)
