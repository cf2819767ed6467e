# SPDX-License-Identifier: MIT
"""The commands ``pydarts search-text``, ``train-text`` and ``sample``: cells for text."""

from __future__ import annotations

import argparse
import math
import sys
import textwrap
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pydarts.cli_run import Run
from pydarts.config import Config, TextSearchConfig, TextTrainConfig
from pydarts.console import DONE, named_as_options, note, say, write
from pydarts.engine import integer
from pydarts.genotype import RecurrentGenotype
from pydarts.language_model import LanguageModel
from pydarts.search_text import TextSearchResult, search_text
from pydarts.text import EOS, Corpus, Level, load_corpus
from pydarts.train_text import train_text

_UNITS = {"char": "characters", "word": "words"}
_SAMPLE = {"char": 300, "word": 60}  # tokens


@dataclass
class TextRun(Run):
    """The work on a text."""

    data: Corpus

    search_config: ClassVar[type[Config]] = TextSearchConfig
    train_config: ClassVar[type[Config]] = TextTrainConfig
    cell: ClassVar[type[RecurrentGenotype]] = RecurrentGenotype
    drawings: ClassVar[tuple[str, ...]] = ("recurrent.svg",)
    measures: ClassVar[tuple[str, ...]] = (
        *("valid_perplexity", "test_perplexity", "unigram_perplexity"),
    )

    @classmethod
    def add_data(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "data",
            metavar="DATA",
            nargs="?",
            help="a text file (UTF-8), of which the last fifth is to validate and test on, or a"
            " folder with texts to train, validate and test on: ptb.train.txt ..., wiki.train"
            ".tokens ..., wiki.train.raw ... or train.txt ... (default: Python's language"
            " reference)",
        )
        parser.add_argument(
            "--level",
            choices=("word", "char"),
            help="what the model reads and writes one by one: words or characters (default: word"
            " for a folder, else char)",
        )
        parser.add_argument(
            "--max-vocab",
            type=int,
            metavar="N",
            help="know the N most frequent ones only (default: all, but no word that the text to"
            " learn from has only once)",
        )

    @classmethod
    def load(cls, args: argparse.Namespace) -> Corpus:
        path = None if args.data is None else Path(args.data).expanduser()
        if path is not None and not path.exists():
            raise FileNotFoundError(f"there is no file or folder {args.data!r}")
        level: Level = args.level or ("word" if path is not None and path.is_dir() else "char")
        with named_as_options():
            corpus = load_corpus(path, level=level, max_vocab=args.max_vocab)
        sizes = {"learn from": corpus.train, "validate on": corpus.valid, "test on": corpus.test}
        for use, tokens in sizes.items():
            if len(tokens) < 3:
                has = f"{len(tokens)} {_UNITS[level]}"
                raise ValueError(f"{corpus.name}: the text to {use} has {has}; it takes three")
        units, (first, *rest) = _UNITS[level], sizes
        text = f"{corpus.name}: {len(sizes[first]):,} {units} to {first}, "
        text += ", ".join(f"{len(sizes[use]):,} to {use}" for use in rest)
        say(textwrap.fill(f"{text}; {len(corpus.vocabulary):,} different ones", 79))
        if corpus.unknown_test:
            share = corpus.unknown_test / len(corpus.test)
            say(
                f"The vocabulary lacks {corpus.unknown_test:,} {units} of the test text"
                f" ({share:.1%}): <unk>."
            )
        return corpus

    def check(self, config: Config) -> None:
        assert isinstance(config, TextSearchConfig | TextTrainConfig)
        tokens, where = len(self.data.train), "the text to learn from"
        if isinstance(config, TextSearchConfig) and (config.max_tokens or tokens) < tokens:
            tokens, where = config.max_tokens or tokens, "`max_tokens`"
        if tokens // config.batch_size <= config.bptt:
            raise ValueError(
                f"`batch_size` (={config.batch_size}) sequences of `bptt` (={config.bptt}) steps"
                f" take {config.batch_size * (config.bptt + 1):,} {_UNITS[self.data.level]};"
                f" {where} has {tokens:,}"
            )
