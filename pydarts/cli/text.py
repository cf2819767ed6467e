# SPDX-License-Identifier: MIT
"""The commands ``pydarts search-text``, ``train-text`` and ``sample``: cells for text."""

from __future__ import annotations

import argparse
import shlex
import sys
import textwrap
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydarts.api.estimating import estimate_text
from pydarts.api.searching_text import TextSearchResult, search_text, training_columns
from pydarts.api.training_text import train_text
from pydarts.cli.console import DONE, named_as_options, note, say
from pydarts.cli.run import Run
from pydarts.common.checks import integer
from pydarts.data.text import (
    UNITS,
    Corpus,
    Level,
    default_level,
    load_corpus,
    unigram_perplexity,
)
from pydarts.models.files import model_folder
from pydarts.models.language_model import LanguageModel
from pydarts.spaces.recurrent import RecurrentGenotype
from pydarts.training.budget import Estimate
from pydarts.training.config import Config, TextSearchConfig, TextTrainConfig

_PARTS = ("train", "valid", "test")
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
        "valid_perplexity",
        "test_perplexity",
        "unigram_perplexity",
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
            help="keep the N most frequent ones (default: all, but of words only those that appear"
            " twice, unless the text itself has <unk>)",
        )

    @classmethod
    def load(cls, args: argparse.Namespace) -> Corpus:
        path = None if args.data is None else Path(args.data).expanduser()
        if path is not None and not path.is_file() and not path.is_dir():
            raise FileNotFoundError(f"{args.data!r} is neither a file nor a folder")
        level: Level = args.level or default_level(path)
        with named_as_options():
            corpus = load_corpus(path, level=level, max_vocab=args.max_vocab)
        sizes = {"learn from": corpus.train, "validate on": corpus.valid, "test on": corpus.test}
        for use, tokens in sizes.items():
            if len(tokens) < 3:
                least = f"at least 3 {UNITS[level]}, not {len(tokens)}"
                raise ValueError(f"{corpus.name}: the text to {use} must have {least}")
        units, (first, *rest) = UNITS[level], sizes
        text = f"{corpus.name}: {len(sizes[first]):,} {units} to {first}, "
        text += ", ".join(f"{len(sizes[use]):,} to {use}" for use in rest)
        say(textwrap.fill(f"{text}; vocabulary: {len(corpus.vocabulary):,}", 79))
        if corpus.unknown_test:
            say(
                f"{corpus.unknown_test:,} of {len(corpus.test):,} {units} of the test text are"
                " unknown and count as <unk>."
            )
        return corpus

    def check(self, config: Any) -> None:
        training_columns(self.data, config)

    def call_estimate(self, **options: Any) -> Estimate:
        return estimate_text(self.data, **options)

    def call_search(self, **options: Any) -> TextSearchResult:
        return search_text(self.data, **options)

    def call_train(self, genotype: RecurrentGenotype, **options: Any) -> LanguageModel:
        return train_text(genotype, self.data, **options)

    def trained(self, model: LanguageModel) -> None:
        if model.history:
            best = min(model.history, key=lambda entry: float(entry["valid_loss"]))
            self.record["valid_perplexity"] = perplexity = best["valid_perplexity"]
            epoch = f"epoch {best['epoch']}, from which the weights are"
            say(f"Perplexity on the validation text: {_shown(perplexity)} ({epoch})")

    def test(self, model: LanguageModel) -> None:
        corpus, level = self.data, self.data.level
        perplexity = model.perplexity(corpus.test)
        plain = unigram_perplexity(corpus.train, corpus.test, len(corpus.vocabulary))
        self.record["test_perplexity"], self.record["unigram_perplexity"] = perplexity, plain
        unseen = f"{len(corpus.test):,} test {UNITS[level]}, which nothing was learned from"
        say(f"Perplexity on {unseen}: {_shown(perplexity)}")
        say(f"That of a unigram model, which knows only how frequent each is: {_shown(plain)}\n")
        text = model.sample(length=_SAMPLE[level], seed=model.config.seed)
        say("A sample, drawn at temperature 1:\n")
        say(_indented(_printable(text)) + "\n")

    def describe(self) -> dict[str, Any]:
        corpus = self.data
        return {
            "data": corpus.name,
            "level": corpus.level,
            "vocabulary": len(corpus.vocabulary),
            **{f"{part}_tokens": len(getattr(corpus, part)) for part in _PARTS},
            **{f"unknown_{part}": getattr(corpus, f"unknown_{part}") for part in _PARTS},
        }

    def train_command(self, out: Path) -> list[str]:
        args = self.args
        command = ["pydarts", "train-text", str(out)]
        command += [args.data] if args.data is not None else []
        command += ["--level", args.level] if args.level is not None else []
        return command + (["--max-vocab", str(args.max_vocab)] if args.max_vocab else [])

    def uses(self, out: Path) -> list[str]:
        return [
            f"To let it write: {shlex.join(['pydarts', 'sample', str(out)])}",
            f"To use it in Python: pydarts.LanguageModel.load({str(out / 'model')!r})",
        ]


# Samples


def add_sample_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `sample`."""
    parser.add_argument(
        "folder",
        metavar="DIR",
        help="the --out of search-text or train-text, or the folder model in it",
    )
    parser.add_argument(
        "--prompt", metavar="TEXT", help="what the text begins with (default: a new line)"
    )
    parser.add_argument(
        "--length",
        type=int,
        metavar="N",
        help="characters or words to draw (default: "
        + " or ".join(f"{_SAMPLE[level]} {UNITS[level]}" for level in _SAMPLE)
        + ")",
    )
    parser.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        metavar="X",
        help="near 0 the likeliest is drawn, above 1 more that is surprising (default: 1)",
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="of the draws (default: a different one each time)"
    )
    parser.add_argument("--debug", action="store_true", help="show where an error comes from")


def sample(args: argparse.Namespace) -> int:
    """Let a saved model write."""
    with named_as_options():
        seed = None if args.seed is None else integer("seed", args.seed, 0)
    model = LanguageModel.load(model_folder(args.folder))
    level = model.vocabulary.level
    prompt = "\n" if args.prompt is None else args.prompt
    length = _SAMPLE[level] if args.length is None else args.length
    with named_as_options():
        text = model.sample(prompt, length, temperature=args.temperature, seed=seed)
    if args.prompt is not None:
        unknown = model.vocabulary.encode(prompt)[1]
        if unknown:
            note(f"the model does not know {unknown} of the prompt's {UNITS[level]}")
        spaced = level == "word" and not prompt[-1].isspace() and not text.startswith("\n")
        text = prompt + " " * spaced + text
    say(_printable(text) if sys.stdout.isatty() else text)
    return DONE


def _shown(perplexity: float) -> str:
    return f"{perplexity:,.2f}" if perplexity < 1e6 else f"{perplexity:.2e}"


def _printable(text: str) -> str:
    """Control characters as escapes: a text may hold what upsets a terminal."""
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) == "Cc" and character not in "\n\t"
        else character
        for character in text
    )


def _indented(text: str) -> str:
    lines = []
    for line in text.strip("\n").expandtabs(4).split("\n"):
        lines += textwrap.wrap(line, 75, replace_whitespace=False) or [""]
    return "\n".join(f"    {line}".rstrip() for line in lines)
