# SPDX-License-Identifier: MIT
"""``python -m benchmarks.text_cells``: language models with different cells, trained equally long.

The cell of a search, the published one, random ones, and a gated tanh layer (s_0 alone) are trained
by pydarts; an LSTM of the same size by PyTorch, where that is installed. All have the same text,
hidden size, batches, learning rate and wall time; the perplexity is that of the test text.
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

from pydarts import RECURRENT_DARTS_V2, RecurrentGenotype, load_corpus
from pydarts.config import TextTrainConfig
from pydarts.course import Control
from pydarts.genotype import RECURRENT_OPERATIONS
from pydarts.language_model import LanguageModel, derived_network
from pydarts.recurrent import TextNetwork
from pydarts.search_text import EVALUATION_BATCH
from pydarts.text import Corpus, batchify, segments, unigram_perplexity
from pydarts.train_text import fit


def random_cell(seed: int) -> RecurrentGenotype:
    """A cell with each node's input and activation drawn uniformly."""
    rng = np.random.default_rng(seed)
    names = RECURRENT_OPERATIONS[1:]
    nodes = [(names[rng.integers(len(names))], int(rng.integers(i + 1))) for i in range(8)]
    return RecurrentGenotype(nodes, range(1, 9))


def networks(
    found: RecurrentGenotype, corpus: Corpus, config: TextTrainConfig, cells: int
) -> Iterator[tuple[str, TextNetwork]]:
    """Names and networks of all that the engine trains."""
    vocab = len(corpus.vocabulary)
    yield "found cell", derived_network(found, vocab, config, None)
    yield "DARTS_V2", derived_network(RECURRENT_DARTS_V2, vocab, config, None)
    for seed in range(cells):
        cell = random_cell(seed)
        yield f"random cell {seed}: {cell.recurrent}", derived_network(cell, vocab, config, None)
    dropouts = {
        name: getattr(config, name)
        for name in ("dropout", "dropout_hidden", "dropout_input", "dropout_embedding")
    }
    tanh = TextNetwork([], [-1], vocab, config.hidden, "float32", config.seed, None, dropouts)
    yield "gated tanh layer", tanh


def lstm(corpus: Corpus, config: TextTrainConfig) -> tuple[float, int]:
    """Test perplexity and number of weights of PyTorch's LSTM after the same wall time."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    torch.manual_seed(config.seed)
    vocab, hidden = len(corpus.vocabulary), config.hidden

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Embedding(vocab, hidden)
            self.rnn = nn.LSTM(hidden, hidden)
            self.bias = nn.Parameter(torch.zeros(vocab))
            self.drop = nn.Dropout(config.dropout)
            nn.init.uniform_(self.encoder.weight, -0.1, 0.1)

        def forward(self, x: Any, state: Any) -> tuple[Any, Any]:
            out, state = self.rnn(self.drop(self.encoder(x)), state)
            return F.linear(self.drop(out), self.encoder.weight, self.bias), state

    net = Net()
    sgd = torch.optim.SGD(net.parameters(), config.lr, weight_decay=config.weight_decay)
    rng = np.random.default_rng(config.seed)
    train = batchify(corpus.train, config.batch_size, bptt=config.bptt)
    best, best_weights = math.inf, net.state_dict()

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
            state = tuple(s.detach() for s in state)
            value.backward()
            nn.utils.clip_grad_norm_(net.parameters(), config.clip)
            sgd.step()
            if time.perf_counter() > end:
                break
        now = evaluate(corpus.valid)
        if now < best:
            best, best_weights = now, {k: v.clone() for k, v in net.state_dict().items()}
    net.load_state_dict(best_weights)
    return math.exp(evaluate(corpus.test)), sum(p.numel() for p in net.parameters())


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
    print(f"{args.seconds:g} s each, hidden {config.hidden}, {len(corpus.train):,} characters\n")
    print("| model | weights | epochs | perplexity a character |\n|---|--:|--:|--:|")
    vocab = len(corpus.vocabulary)
    plain = unigram_perplexity(corpus.train, corpus.test, vocab)
    print(f"| unigram | {vocab} | – | {plain:.2f} |", flush=True)
    for name, net in networks(found, corpus, config, args.random):
        model = LanguageModel(net, corpus.vocabulary, dataclasses.replace(config))
        fit(model, corpus, Control(progress=False))
        test = model.perplexity(corpus.test)
        print(f"| {name} | {net.num_weights:,} | {len(model.history)} | {test:.3f} |", flush=True)
    try:
        test, weights = lstm(corpus, config)
    except ImportError:
        print("| LSTM | – | – | (needs torch) |")
    else:
        print(f"| LSTM (PyTorch) | {weights:,} | – | {test:.3f} |")


if __name__ == "__main__":
    main()
