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
from pydarts.data.text import Corpus, batchify, segments, unigram_perplexity

from pydarts import RECURRENT_DARTS_V2, RecurrentGenotype, load_corpus
from pydarts.api.searching_text import EVALUATION_BATCH, describe_recurrent
from pydarts.api.training_text import fit
from pydarts.engine.recurrent import TextNetwork
from pydarts.models.language_model import LanguageModel, derived_network
from pydarts.training.config import TextTrainConfig
from pydarts.training.loop import Control

RATES = (20.0, 5.0, 2.0)


def cells(found: RecurrentGenotype, random_cells: int) -> Iterator[tuple[str, RecurrentGenotype]]:
    """All cells that are compared."""
    yield "found cell", found
    yield "DARTS_V2", RECURRENT_DARTS_V2
    for seed in range(random_cells):
        cell = RecurrentGenotype.random(seed)
        yield f"random cell {seed}: {describe_recurrent(cell)}", cell


def tanh_layer(vocab_size: int, config: TextTrainConfig) -> TextNetwork:
    """``h_t = h_{t-1} + sigmoid(c) (tanh(h) - h_{t-1})``, decoded at once."""
    dropouts = {
        name: getattr(config, name)
        for name in ("dropout", "dropout_hidden", "dropout_input", "dropout_embedding")
    }
    return TextNetwork(
        [], [-1], vocab_size, config.hidden_size, "float32", config.seed, None, dropouts
    )


def row(name: str, weights: int, lr: float | str, epochs: int | str, perplexity: str) -> None:
    """Print one row of the table."""
    print(f"| {name} | {weights:,} | {lr} | {epochs} | {perplexity} |", flush=True)


def trained(network: TextNetwork, corpus: Corpus, config: TextTrainConfig) -> LanguageModel:
    """The model after its time."""
    model = LanguageModel(network, corpus.vocabulary, config)
    fit(model, corpus, Control(progress=False))
    return model


def best_loss(model: LanguageModel) -> float:
    """The validation loss of the epoch that the model's weights are of."""
    return min(float(entry["valid_loss"]) for entry in model.history)


def torch_layer(
    kind: str, corpus: Corpus, config: TextTrainConfig
) -> tuple[float, float, int, int]:
    """Losses on the validation and test text, weights and epochs of PyTorch's ``LSTM`` or ``RNN``
    after the same wall time.
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
        columns = batchify(tokens, EVALUATION_BATCH)
        total, state = 0.0, None
        net.eval()
        with torch.no_grad():
            for x, y in segments(columns, 70):
                value, state = loss(x, y, state)
                total += float(value) * len(x)
        net.train()
        return total / (len(columns) - 1)

    assert config.max_seconds is not None
    end = time.perf_counter() + config.max_seconds
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
    parser.add_argument("--data", help="text file or folder (Python's language reference)")
    parser.add_argument("--seconds", type=float, default=120.0, help="of training, each (120)")
    parser.add_argument("--random", type=int, default=3, help="number of random cells (3)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    corpus = load_corpus(args.data, level="char")
    options = {"max_seconds": args.seconds, "epochs": 10_000, "seed": args.seed}
    config = TextTrainConfig.make("quick", options)
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
        model = trained(derived_network(cell, vocab_size, config, None), corpus, config)
        perplexity = model.perplexity(corpus.test)
        row(name, model.num_weights, config.lr, len(model.history), f"{perplexity:.3f}")
    rates = [dataclasses.replace(config, lr=lr) for lr in RATES]
    layers = [trained(tanh_layer(vocab_size, rate), corpus, rate) for rate in rates]
    model = min(layers, key=best_loss)
    perplexity = model.perplexity(corpus.test)
    lr, epochs = model.config.lr, len(model.history)
    row("gated tanh layer", model.num_weights, lr, epochs, f"{perplexity:.3f}")
    for kind, name in (("RNN", "tanh RNN (PyTorch)"), ("LSTM", "LSTM (PyTorch)")):
        try:
            found_rate, (_, test, weights, epochs) = min(
                ((rate.lr, torch_layer(kind, corpus, rate)) for rate in rates),
                key=lambda result: result[1][0],
            )
        except ImportError:
            row(name, 0, "–", "–", "(needs torch)")
        else:
            row(name, weights, found_rate, epochs, f"{math.exp(test):.3f}")


if __name__ == "__main__":
    main()
