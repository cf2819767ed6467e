# SPDX-License-Identifier: MIT
"""``python -m benchmarks.text_cells``: language models with different cells, trained equally long.

The cells of searches, random ones, the published one and a gated tanh layer (s_0 alone) are trained
by pydarts; a tanh RNN, a GRU and an LSTM of the same hidden size by PyTorch, where that is
installed. All have the same text, batches, wall time, and one thread; each is trained at three
learning rates, of which the validation text chooses one, and what counts is the perplexity of the
test text. The cell of a search is a unit of its own, as is a random one; the others are trained
with as many seeds as there are searches.

    python -m benchmarks.text_cells --methods darts,gdas --jobs 2 --out text.jsonl
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from statistics import mean
from typing import Any

import pydarts
from benchmarks.text_layers import TORCH_LAYERS, TanhLayer, Trained, train_torch_layer
from benchmarks.units import Results, run_units
from pydarts import (
    RECURRENT_DARTS_V2,
    Corpus,
    Diverged,
    LanguageModel,
    RecurrentGenotype,
    load_corpus,
)
from pydarts.data.corpus import unigram_perplexity
from pydarts.engine.recurrent import TextNetwork
from pydarts.evaluation.statistics import holm, relabelling
from pydarts.models.language_model import derived_network
from pydarts.tasks.text import LanguageModelling
from pydarts.training.config import TextSearchConfig, TextTrainConfig
from pydarts.training.run import fit
from pydarts.training.run_options import RunOptions

RATES = (20.0, 5.0, 2.0)
GATED_TANH = "gated tanh layer"

corpus_of = cache(load_corpus)


@dataclass(frozen=True)
class TextUnit:
    """A search by a method, or a training of a cell or a layer.

    Attributes
    ----------
    data : str
    config : TextSearchConfig or TextTrainConfig
        With seed and learning rate.
    method : str or None
        Of a search.
    model : str or None
        Of a training: a cell in the literature's form, or the name of a layer.
    seconds : float
        That a training takes.
    """

    data: str
    config: Any
    method: str | None = None
    model: str | None = None
    seconds: float = 0.0

    @property
    def what(self) -> str:
        """For people."""
        task = f"search by {self.method}" if self.method else f"training of {self.model}"
        return f"{task}, seed {self.config.seed}, learning rate {self.config.lr:g}"

    @cached_property
    def identity(self) -> dict[str, Any]:
        """All that decides the result but the machine's speed."""
        whole = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {**whole, "config": self.config.to_dict()}

    @cached_property
    def key(self) -> str:
        """The identity as text."""
        return json.dumps(self.identity, sort_keys=True)

    def run(self) -> dict[str, Any]:
        """Search or train on one thread."""
        corpus = corpus_of(self.data, level="char")
        if self.method:
            result = pydarts.search_text(
                corpus, config=self.config, method=self.method, threads=1, progress=False
            )
            return {"genotype": str(result.genotype), "seconds": result.seconds}
        return self._train(corpus)._asdict()

    def _train(self, corpus: Corpus) -> Trained:
        assert self.model is not None
        if self.model in TORCH_LAYERS:
            kind = TORCH_LAYERS[self.model]
            return train_torch_layer(kind, corpus, self.config, self.seconds, threads=1)
        vocab_size = len(corpus.vocabulary)
        network: TextNetwork
        if self.model == GATED_TANH:
            network = TanhLayer(vocab_size, self.config, threads=1)
        else:
            cell = RecurrentGenotype.parse(self.model)
            network = derived_network(cell, vocab_size, self.config, threads=1)
        model = LanguageModel(network, corpus.vocabulary, self.config)
        run = RunOptions(progress=False, time_budget=self.seconds)
        with suppress(Diverged):  # what came of it is that of the best epoch before, as elsewhere
            fit(LanguageModelling(corpus, threads=1), model, run)
        losses = [float(entry["valid_loss"]) for entry in model.history]
        best, test = min(losses, default=None), math.log(model.perplexity(corpus.test))
        return Trained(best, test, model.num_weights, len(losses))


@dataclass(frozen=True)
class TextPlan:
    """All units of a table."""

    data: str
    methods: tuple[str, ...]
    searches: int
    random_cells: int
    seconds: float
    hidden_size: int | None = None

    def search(self, method: str, seed: int) -> TextUnit:
        """Return the unit of a search."""
        config = TextSearchConfig.make("quick", {"seed": seed})
        return TextUnit(self.data, config, method=method)

    def trainings(self, model: str, seed: int) -> list[TextUnit]:
        """Return the units of one model with one seed, one for each learning rate."""
        size = {} if self.hidden_size is None else {"hidden_size": self.hidden_size}
        usual = TextTrainConfig.make("quick", {"epochs": 10_000, "seed": seed, **size})
        configs = [dataclasses.replace(usual, lr=rate) for rate in RATES]
        return [TextUnit(self.data, c, model=model, seconds=self.seconds) for c in configs]

    def models(self, results: Results) -> Iterator[tuple[str, int, str]]:
        """Yield name, seed and model of all that are to be trained and are known by now."""
        layers = TORCH_LAYERS if find_spec("torch") else {}
        for seed in range(max(self.searches, self.random_cells)):
            if seed < self.searches:
                for method in self.methods:
                    entry = results.done.get(self.search(method, seed).key)
                    if entry is not None:
                        yield f"found by `{method}`", seed, entry["genotype"]
                yield "`RECURRENT_DARTS_V2`", seed, str(RECURRENT_DARTS_V2)
                for layer in (GATED_TANH, *layers):
                    yield layer, seed, layer
            if seed < self.random_cells:
                yield "random cells", seed, str(RecurrentGenotype.random(seed))

    def units(self, results: Results) -> Iterator[TextUnit]:
        """Yield the units that can be run by now."""
        for seed in range(self.searches):
            yield from (self.search(method, seed) for method in self.methods)
        for _, seed, model in self.models(results):
            yield from self.trainings(model, seed)


def best(plan: TextPlan, results: Results, model: str, seed: int) -> dict[str, Any] | None:
    """Return the training of the learning rate that the validation text chooses; None: not yet."""
    entries = [results.done.get(unit.key) for unit in plan.trainings(model, seed)]
    done = [entry for entry in entries if entry is not None]
    return min(done, key=_valid_loss) if len(done) == len(RATES) else None


def _valid_loss(entry: dict[str, Any]) -> float:
    loss = entry["valid_loss"]
    return math.inf if loss is None or math.isnan(loss) else float(loss)


def table(plan: TextPlan, results: Results) -> str:
    """Return what is done as a table in Markdown."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for name, seed, model in plan.models(results):
        entry = best(plan, results, model, seed)
        if entry is not None:
            rows.setdefault(name, []).append(entry)
    losses = {name: [e["test_loss"] for e in entries] for name, entries in rows.items()}
    others = losses.get("random cells", [])
    found = [name for name in losses if name.startswith("found") and others]
    p = {name: relabelling(losses[name], others) for name in found}
    corrected = dict(zip(p, holm(p.values()), strict=True))
    lines = [
        "| model | weights | learning rates | epochs | perplexity a character | p | p, Holm |",
        "|---|--:|---|--:|--:|--:|--:|",
    ]
    for name, entries in rows.items():
        values = [math.exp(loss) for loss in losses[name]]
        rates = ", ".join(f"{e['config']['lr']:g}" for e in entries)
        epochs = mean(e["epochs"] for e in entries)
        middle = f"{mean(values):.3f} ({min(values):.3f}–{max(values):.3f}; {len(values)})"
        tests = f"{p[name]:.2f} | {corrected[name]:.2f}" if name in p else "– | –"
        lines.append(
            f"| {name} | {entries[0]['weights']:,} | {rates} | {epochs:.0f} | {middle} | {tests} |"
        )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is not done yet, and print a Markdown table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.text_cells",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", default="python-docs", help="text file or folder (python-docs)")
    parser.add_argument("--methods", default="darts", help="of the searches, such as darts,gdas")
    parser.add_argument("--searches", type=int, default=3, help="of each method (3)")
    parser.add_argument("--random", type=int, default=5, help="number of random cells (5)")
    parser.add_argument("--seconds", type=float, default=120.0, help="of training, each (120)")
    parser.add_argument("--hidden-size", type=int, help="of all that are trained (the preset's)")
    parser.add_argument("--out", type=Path, default=Path("text.jsonl"), metavar="FILE")
    parser.add_argument("--jobs", type=int, default=1, help="units side by side (1)")
    parser.add_argument("--minutes", type=float, default=math.inf, help="then begin no more units")
    args = parser.parse_args(argv)
    methods = tuple(args.methods.split(","))
    plan = TextPlan(args.data, methods, args.searches, args.random, args.seconds, args.hidden_size)
    results = Results(args.out)
    for unit, entry in run_units(plan.units, results, args.jobs, args.minutes):
        outcome = entry.get("error") or {k: v for k, v in entry.items() if k != "genotype"}
        print(f"{unit.what}: {outcome}", file=sys.stderr, flush=True)
    corpus = corpus_of(args.data, level="char")
    plain = unigram_perplexity(corpus.train, corpus.test, len(corpus.vocabulary))
    print(
        f"{args.seconds:g} s each on one thread, {len(corpus.train):,} characters; a unigram model"
        f" has {plain:.2f}\n\n{table(plan, results)}"
    )


if __name__ == "__main__":
    main()
