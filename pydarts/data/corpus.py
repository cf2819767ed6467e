# SPDX-License-Identifier: MIT
"""Corpora for language models, from files, folders, strings or Python's documentation."""

from __future__ import annotations

import math
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pydarts.common.checks import show, token_array
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.data.vocabulary import Level, Vocabulary, check_text

BUILT_IN: Final = "language reference of Python"
"""How the name of the corpus begins that comes with Python."""

_PARTS: Final = ("train", "valid", "test")

_LONGEST_PATH: Final = 4096

_SHORT: Final = 1000  # characters without a space that are still taken for a mistyped path


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
            tokens = token_array(part, getattr(self, part), 1, len(self.vocabulary))
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
        return "text", _split("`data`", check_text("data", str(data)))
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


def as_corpus(
    data: str | os.PathLike[str] | Corpus | None, level: Level | None, max_vocab: int | None
) -> Corpus:
    """``data`` itself if it is a corpus, else what `load_corpus` makes of it."""
    if isinstance(data, Corpus):
        return data
    return load_corpus(data, level=level or default_level(data), max_vocab=max_vocab)
