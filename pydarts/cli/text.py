# SPDX-License-Identifier: MIT
"""Text on the command line: DATA, and what is said of models of its language."""

from __future__ import annotations

import argparse
import shlex
import textwrap
from pathlib import Path
from typing import Any, NoReturn

from pydarts.api.limits import NOT_OVER_TEXT
from pydarts.cli.arguments import named
from pydarts.cli.base import Kind
from pydarts.cli.console import printable, say
from pydarts.common.checks import integer
from pydarts.costs.budget import COSTS
from pydarts.data.corpus import (
    PYTHON_DOCS,
    is_python_docs,
    load_corpus,
    read_parts,
    unigram_perplexity,
)
from pydarts.data.text_files import PARTS
from pydarts.data.vocabulary import UNITS
from pydarts.models.language_model import LanguageModel
from pydarts.models.scores import show_perplexity
from pydarts.spaces.space import Space
from pydarts.tasks.text import LanguageModelling

SAMPLE_LENGTH = {"char": 300, "word": 60}
"""Tokens of a sample."""


class TextKind(Kind):
    """A text to model."""

    task_type = LanguageModelling
    model_type = LanguageModel
    search_command, train_command = "search-text", "train-text"
    measures = ("valid_perplexity", "test_perplexity", "unigram_perplexity")
    onnx_inputs = "tokens and state"

    task: LanguageModelling

    @classmethod
    def add_data(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "data",
            metavar="DATA",
            nargs="?",
            help="a text file (UTF-8), of which the last fifth is to validate and test on, or a"
            " folder with texts to train, validate and test on: ptb.train.txt ..., wiki.train"
            ".tokens ..., wiki.train.raw ... or train.txt ... (default: python-docs, the language"
            " reference of Python)",
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
    def add_limits(cls, parser: argparse.ArgumentParser) -> None:
        def refuse(text: str) -> NoReturn:
            reason = NOT_OVER_TEXT.replace("`hidden_size`", "--hidden-size")
            raise argparse.ArgumentTypeError(f"(={text!r}) {reason}")

        for name in COSTS:
            parser.add_argument(f"--max-{name}", type=refuse, help=argparse.SUPPRESS)

    @classmethod
    def load(cls, args: argparse.Namespace, threads: int | None, space: Space) -> TextKind:
        with named(args):
            corpus = load_corpus(_source(args), level=args.level, max_vocab=args.max_vocab)
        sizes = {"learn from": corpus.train, "validate on": corpus.valid, "test on": corpus.test}
        units = UNITS[corpus.level]
        for use, tokens in sizes.items():
            if len(tokens) < 3:
                minimum = f"at least 3 {units}, not {len(tokens)}"
                raise ValueError(f"{corpus.name}: the text to {use} must have {minimum}")
        first, *rest = sizes
        text = f"{corpus.name}: {len(sizes[first]):,} {units} to {first}, "
        text += ", ".join(f"{len(sizes[use]):,} to {use}" for use in rest)
        say(textwrap.fill(f"{text}; vocabulary: {len(corpus.vocabulary):,}", 79))
        if corpus.unknown_test:
            say(
                f"{corpus.unknown_test:,} of {len(corpus.test):,} {units} of the test text are"
                " unknown and count as <unk>."
            )
        return cls(args, corpus.name, LanguageModelling(corpus, threads=threads))

    def data_arguments(self) -> list[str]:
        args = self.args
        command = [args.data] if args.data is not None else []
        command += ["--level", args.level] if args.level is not None else []
        return command + (["--max-vocab", str(args.max_vocab)] if args.max_vocab else [])

    def describe(self) -> dict[str, Any]:
        corpus = self.task.corpus
        return {
            "data": corpus.name,
            "level": corpus.level,
            **({"max_vocab": self.args.max_vocab} if self.args.max_vocab else {}),
            "vocabulary": len(corpus.vocabulary),
            **{f"{part}_tokens": len(getattr(corpus, part)) for part in PARTS},
            **{f"unknown_{part}": getattr(corpus, f"unknown_{part}") for part in PARTS},
        }

    def report_training(self, model: LanguageModel) -> dict[str, Any]:
        if not model.history:
            return {}
        best = min(model.history, key=lambda entry: float(entry["valid_loss"]))
        perplexity, of = best["valid_perplexity"], f"epoch {best['epoch']}"
        of += ", from which the weights are" if model.config.restore_best_weights else ", the best"
        say(f"Perplexity on the validation text: {show_perplexity(perplexity)} ({of})")
        return {"valid_perplexity": perplexity}

    def test(self, model: LanguageModel) -> dict[str, Any]:
        corpus = self.task.corpus
        perplexity = model.perplexity(corpus.test)
        unigram = unigram_perplexity(corpus.train, corpus.test, len(corpus.vocabulary))
        tokens = f"{len(corpus.test):,} test {UNITS[corpus.level]}"
        shown = [show_perplexity(value) for value in (perplexity, unigram)]
        say(f"Perplexity on {tokens}, which nothing was learned from: {shown[0]}")
        say(f"That of a unigram model, which knows only how frequent each is: {shown[1]}\n")
        try:
            text = model.sample(length=SAMPLE_LENGTH[corpus.level], seed=model.config.seed)
        except ArithmeticError as error:
            say(f"It can write no sample: {error}.\n")
        else:
            say("A sample, drawn at temperature 1:\n")
            say(_indented(printable(text)) + "\n")
        return {"test_perplexity": perplexity, "unigram_perplexity": unigram}

    def uses(self, out: Path) -> list[str]:
        return [
            f"To let it write: {shlex.join(['pydarts', 'sample', str(out)])}",
            f"To use it in Python: pydarts.LanguageModel.load({str(out / 'model')!r})",
        ]

    @classmethod
    def c_options(cls, args: argparse.Namespace, model: LanguageModel) -> dict[str, Any]:
        if args.int8:
            raise ValueError(f"--int8 is for images, but {args.model} is a language model")
        return {}

    @classmethod
    def evaluate(cls, args: argparse.Namespace, model: LanguageModel) -> tuple[Any, dict[str, Any]]:
        name, parts = read_parts(_source(args))
        text, level = parts[PARTS.index("test")], model.vocabulary.level
        if level == "word" and not text.endswith("\n"):
            text += "\n"
        with named(args, about=name):
            scores = model.evaluate(text)
        say(f"The test text of {name}, in {UNITS[level]} of the model's vocabulary:\n")
        return scores, {"data": name, "part": "test"}

    @classmethod
    def predict(cls, args: argparse.Namespace, model: LanguageModel) -> NoReturn:
        raise ValueError(
            f"{args.model} holds a language model, which predicts no labels: `pydarts sample` lets"
            " it write, `pydarts evaluate` tells its perplexity"
        )

    @classmethod
    def saved_data(cls, summary: dict[str, Any], args: argparse.Namespace) -> None:
        name = str(summary["data"])
        args.data = PYTHON_DOCS if is_python_docs(name) else name
        args.level = args.level or str(summary["level"])
        if args.max_vocab is None and "max_vocab" in summary:
            args.max_vocab = integer("max_vocab", summary["max_vocab"], 1)


def _source(args: argparse.Namespace) -> Path | str:
    """What to load: not a text itself, which Python takes."""
    if args.data in (None, PYTHON_DOCS):
        return PYTHON_DOCS
    path = Path(args.data).expanduser()
    if not path.is_file() and not path.is_dir():
        raise FileNotFoundError(f"{args.data!r} is neither a file nor a folder")
    return path


def _indented(text: str) -> str:
    lines = []
    for line in text.strip("\n").expandtabs(4).split("\n"):
        lines += textwrap.wrap(line, 75, replace_whitespace=False) or [""]
    return "\n".join(f"    {line}".rstrip() for line in lines)
