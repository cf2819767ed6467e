# SPDX-License-Identifier: MIT
"""Corpora for language models: training, validation and test text as tokens of one vocabulary."""

from __future__ import annotations

import math
import os
import platform
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pydarts.common.checks import show, token_array
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.data.python_docs import read_python_docs
from pydarts.data.text_files import PARTS, read_text, text_path
from pydarts.data.vocabulary import Level, Vocabulary

PYTHON_DOCS: Final = "python-docs"
"""The name by which `load_corpus` knows the language reference of Python."""


@dataclass(frozen=True, eq=False)
class Corpus:
    """Training, validation and test text, as tokens of one vocabulary.

    Attributes
    ----------
    name : str
        What it was loaded from.
    vocabulary : Vocabulary
        Of all three.
    train, valid, test : ndarray of int32, shape (T,)
        Not empty; cannot be written to.
    unknown_train, unknown_valid, unknown_test : int
        How many tokens of each are ``<unk>`` because the vocabulary lacks what stood there; a word
        that was spelled ``<unk>`` does not count.

    Raises
    ------
    TypeError, ValueError
        If a part is empty or holds anything but tokens of the vocabulary.
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
            problem = f"(={show(self.vocabulary)}) must be a Vocabulary"
            raise ArgumentTypeError("vocabulary", problem)
        for part in PARTS:
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
    data: str | os.PathLike[str],
    *,
    level: Level | None = None,
    max_vocab: int | None = None,
    min_count: int | None = None,
) -> Corpus:
    """Load a corpus from files, from a string of text, or from Python's own documentation.

    Parameters
    ----------
    data : str or path
        * A folder with ``ptb.train.txt``, ``ptb.valid.txt`` and ``ptb.test.txt`` (Penn Treebank),
          or ``wiki.train.tokens`` … or ``wiki.train.raw`` … (WikiText), or ``train.txt`` …; the
          first of these that is complete.
        * A file. The first 80 % are the training text, the next 10 % the validation text, the last
          10 % the test text, cut at the nearest line ends (or, in longer lines, spaces).
        * A text, split in the same way. A str that names a file or a folder is not a text, nor is
          a short one without white space.
        * ``"python-docs"``: the language reference that Python's ``help()`` shows, English to
          try things on where there is no network. Repeated paragraphs are left out, for the test
          text must not have been learned; then each topic goes as a whole to one part. It is the
          same on every system, but releases of Python differ in it. Write ``./python-docs`` for a
          file or folder of that name.
    level : {"word", "char"}, optional
        ``"word"``: tokens are what stands between white space, and each line ends in ``<eos>``, as
        is usual with Penn Treebank and WikiText. ``"char"``: tokens are characters. By default
        words for a folder, characters for all else.
    max_vocab, min_count : int, optional
        See `Vocabulary.fit`. The vocabulary is that of the training text.

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
    if level is None:
        level = default_level(data)
    name, texts = read_parts(data)
    vocabulary = Vocabulary.fit(texts[0], level=level, max_vocab=max_vocab, min_count=min_count)
    parts: dict[str, Any] = {}
    for part, text in zip(PARTS, texts, strict=True):
        # The last line ends too, even where no line end is written.
        whole = text if level == "char" or text.endswith("\n") else text + "\n"
        parts[part], parts[f"unknown_{part}"] = vocabulary.encode(whole)
    return Corpus(name, vocabulary, **parts)


def read_parts(data: str | os.PathLike[str]) -> tuple[str, tuple[str, str, str]]:
    """Return the name of a corpus, and its texts to train, validate and test on."""
    if _asks_for_docs(data):
        return f"{_DOCS_NAMES[0]}{platform.python_version()})", read_python_docs()
    name, texts = read_text(data)
    # A folder or file of that name is not the reference.
    return (f"./{name}" if name == PYTHON_DOCS else name), texts


def as_corpus(
    data: str | os.PathLike[str] | Corpus, level: Level | None, max_vocab: int | None
) -> Corpus:
    """Return a corpus as it is, and load one from all else.

    Parameters
    ----------
    data : Corpus, str or path
        See `load_corpus`.
    level : {"word", "char"}, optional
    max_vocab : int, optional
        As for `load_corpus`; not to be given beside a Corpus, which has a vocabulary.

    Returns
    -------
    Corpus
    """
    if not isinstance(data, Corpus):
        return load_corpus(data, level=level, max_vocab=max_vocab)
    for name, value in (("level", level), ("max_vocab", max_vocab)):
        if value is not None:
            problem = f"(={show(value)}) cannot be given beside a Corpus, which has a vocabulary"
            raise ArgumentError(name, problem)
    return data


def default_level(data: object) -> Level:
    """Return ``"word"`` for a folder, which is how corpora are published, else ``"char"``.

    A text of one's own, and the language reference of Python, are too small for words.
    """
    path = None if _asks_for_docs(data) else text_path(data)
    return "word" if path is not None and path.is_dir() else "char"


def is_python_docs(name: str) -> bool:
    """Whether a corpus of that name is the language reference of Python.

    Parameters
    ----------
    name : str
        Of a corpus; also as earlier versions wrote it.
    """
    return name == PYTHON_DOCS or name.startswith(_DOCS_NAMES)


def unigram_perplexity(
    train: NDArray[np.int32], tokens: NDArray[np.int32], vocab_size: int
) -> float:
    """Perplexity of a model that predicts each token by its frequency in the training text alone.

    One is added to every count, so that nothing is impossible:
    ``p(t) = (n_t + 1) / (N + vocab_size)``.

    Parameters
    ----------
    train : ndarray of int32, shape (N,)
        The training text.
    tokens : ndarray of int32, shape (T,)
        The text that is predicted.
    vocab_size : int
        Number of tokens of the vocabulary.

    Returns
    -------
    float
    """
    counts = np.bincount(train, minlength=vocab_size) + 1.0
    return math.exp(-float(np.log(counts / counts.sum())[tokens].mean()))


_DOCS_NAMES: Final = (f"{PYTHON_DOCS} (Python ", "language reference of Python ")
"""How the name of its corpus begins, and how it once began."""


def _asks_for_docs(data: object) -> bool:
    return isinstance(data, str) and data == PYTHON_DOCS
