# SPDX-License-Identifier: MIT
"""``python -m benchmarks.text_cells``: language models with different cells, trained equally long.

The cell of a search, the published one, random ones, and a gated tanh layer (s_0 alone) are trained
by pydarts; a tanh RNN and an LSTM of the same size by PyTorch, where that is installed. All have
the same text, hidden size, batches and wall time; the perplexity is that of the test text. The
cells' learning rate is the preset's. The other layers, some of which do not learn at that one, have
three, of which the validation text chooses.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pydarts import RECURRENT_DARTS_V2, Corpus, LanguageModel, RecurrentGenotype, load_corpus
from pydarts.data.corpus import unigram_perplexity
from pydarts.data.segments import batchify, segments
from pydarts.engine.recurrent import TextNetwork
from pydarts.models.language_model import derived_network
from pydarts.models.scores import TEXT_BATCH
from pydarts.tasks.text import LanguageModelling
from pydarts.training.config import TextTrainConfig
from pydarts.training.run import fit
from pydarts.training.run_options import RunOptions

RATES = (20.0, 5.0, 2.0)


def cells(found: RecurrentGenotype, random_cells: int) -> Iterator[tuple[str, RecurrentGenotype]]:
    """All cells that are compared."""
    yield "found cell", found
    yield "DARTS_V2", RECURRENT_DARTS_V2
    for seed in range(random_cells):
        cell = RecurrentGenotype.random(seed)
        yield f"random cell {seed}: {cell.describe()[0]}", cell


class TanhLayer(TextNetwork):
    """``h_t = h_{t-1} + sigmoid(c) (tanh(h) - h_{t-1})``, decoded at once."""

    genotype = RECURRENT_DARTS_V2  # it has none; the training asks one for its space

    def __init__(self, vocab_size: int, config: TextTrainConfig):
        names = ("dropout", "dropout_hidden", "dropout_input", "dropout_embedding")
        dropouts = {name: getattr(config, name) for name in names}
        size, seed = config.hidden_size, config.seed
        super().__init__([], [-1], vocab_size, size, "float32", seed, None, dropouts)


def row(name: str, weights: int, lr: float | str, epochs: int | str, perplexity: str) -> None:
    """Print one row of the table."""
    print(f"| {name} | {weights:,} | {lr} | {epochs} | {perplexity} |", flush=True)


def trained(
    network: TextNetwork, corpus: Corpus, config: TextTrainConfig, seconds: float
) -> LanguageModel:
    """Return the model after its time."""
    model = LanguageModel(network, corpus.vocabulary, config)
    fit(LanguageModelling(corpus), model, RunOptions(progress=False, time_budget=seconds))
    return model


def best_loss(model: LanguageModel) -> float:
    """The validation loss of the epoch that the model's weights are of."""
    return min((float(entry["valid_loss"]) for entry in model.history), default=math.inf)


def torch_layer(
    kind: str, corpus: Corpus, config: TextTrainConfig, seconds: float
) -> tuple[float, float, int, int]:
    """Train PyTorch's ``LSTM`` or ``RNN`` for the same wall time.

    Returns
    -------
    valid_loss, test_loss : float
    weights, epochs : int
    """
    import torch
    from torch import nn
    from torch.nn import functional as F

    torch.manual_seed(config.seed)
    vocab_size, hidden_size = len(corpus.vocabulary), config.hidden_size

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Embedding(vocab_size, hidden_size)
            self.rnn = getattr(nn, kind)(hidden_size, hidden_size)
            self.bias = nn.Parameter(torch.zeros(vocab_size))
            self.drop = nn.Dropout(config.dropout)
            nn.init.uniform_(self.encoder.weight, -0.1, 0.1)

        def forward(self, x: Any, state: Any) -> tuple[Any, Any]:
            out, state = self.rnn(self.drop(self.encoder(x)), state)
            return F.linear(self.drop(out), self.encoder.weight, self.bias), state

    net = Net()
    sgd = torch.optim.SGD(net.parameters(), config.lr, weight_decay=config.weight_decay)
    rng = np.random.default_rng(config.seed)
    train = batchify(corpus.train, config.batch_size, bptt=config.bptt)
    best, best_weights, epochs = math.inf, net.state_dict(), 0

    def loss(x: Any, y: Any, state: Any) -> tuple[Any, Any]:
        logits, state = net(torch.tensor(x).long(), state)
        return F.cross_entropy(logits.flatten(0, 1), torch.tensor(y).long().flatten()), state

    def evaluate(tokens: Any) -> float:
        columns = batchify(tokens, TEXT_BATCH)
        total, state = 0.0, None
        net.eval()
        with torch.no_grad():
            for x, y in segments(columns, 70):
                value, state = loss(x, y, state)
                total += float(value) * len(x)
        net.train()
        return total / (len(columns) - 1)

    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        state = None
        for x, y in segments(train, config.bptt, rng):
            for group in sgd.param_groups:
                group["lr"] = config.lr * len(x) / config.bptt
            sgd.zero_grad()
            value, state = loss(x, y, state)
            state = tuple(s.detach() for s in state) if kind == "LSTM" else state.detach()
            value.backward()
            nn.utils.clip_grad_norm_(net.parameters(), config.max_grad_norm)
            sgd.step()
            if time.perf_counter() > end:
                break
        epochs += 1
        now = evaluate(corpus.valid)
        if now < best:
            best, best_weights = now, {k: v.clone() for k, v in net.state_dict().items()}
    net.load_state_dict(best_weights)
    return best, evaluate(corpus.test), sum(p.numel() for p in net.parameters()), epochs


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.text_cells", description=__doc__)
    parser.add_argument("genotype", type=Path, help="genotype.json of a search")
    parser.add_argument("--data", default="python-docs", help="text file or folder (python-docs)")
    parser.add_argument("--seconds", type=float, default=120.0, help="of training, each (120)")
    parser.add_argument("--random", type=int, default=3, help="number of random cells (3)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    corpus = load_corpus(args.data, level="char")
    config = TextTrainConfig.make("quick", {"epochs": 10_000, "seed": args.seed})
    found = RecurrentGenotype.from_json(args.genotype.read_text(encoding="utf-8"))
    print(
        f"{args.seconds:g} s each, hidden {config.hidden_size}, {len(corpus.train):,} characters\n"
    )
    print("| model | weights | learning rate | epochs | perplexity a character |")
    print("|---|--:|--:|--:|--:|")
    vocab_size = len(corpus.vocabulary)
    plain = unigram_perplexity(corpus.train, corpus.test, vocab_size)
    row("unigram", vocab_size, "–", "–", f"{plain:.2f}")
    for name, cell in cells(found, args.random):
        network = derived_network(cell, vocab_size, config, None)
        model = trained(network, corpus, config, args.seconds)
        perplexity = model.perplexity(corpus.test)
        row(name, model.num_weights, config.lr, len(model.history), f"{perplexity:.3f}")
    configs = [dataclasses.replace(config, lr=lr) for lr in RATES]
    layers = [trained(TanhLayer(vocab_size, c), corpus, c, args.seconds) for c in configs]
    model = min(layers, key=best_loss)
    perplexity = model.perplexity(corpus.test)
    lr, epochs = model.config.lr, len(model.history)
    row("gated tanh layer", model.num_weights, lr, epochs, f"{perplexity:.3f}")
    for kind, name in (("RNN", "tanh RNN (PyTorch)"), ("LSTM", "LSTM (PyTorch)")):
        try:
            found_rate, (_, test, weights, epochs) = min(
                ((c.lr, torch_layer(kind, corpus, c, args.seconds)) for c in configs),
                key=lambda result: result[1][0],
            )
        except ImportError:
            row(name, 0, "–", "–", "(needs torch)")
        else:
            row(name, weights, found_rate, epochs, f"{math.exp(test):.3f}")


if __name__ == "__main__":
    main()
