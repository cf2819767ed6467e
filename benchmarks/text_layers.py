# SPDX-License-Identifier: MIT
"""Recurrent layers beside the cells of the search space, trained for the same wall time.

A gated tanh layer (s_0 alone) by the engine; by PyTorch a tanh RNN, a GRU and an LSTM, with the
same embedding tied to the decoder, the same batches, SGD and bound on the gradient.
"""

from __future__ import annotations

import math
import time
from typing import Any, NamedTuple

import numpy as np

from pydarts import RECURRENT_DARTS_V2, Corpus
from pydarts.data.segments import batchify, segments
from pydarts.engine.recurrent import TextNetwork
from pydarts.models.scores import TEXT_BATCH
from pydarts.training.config import TextTrainConfig

TORCH_LAYERS = {"tanh RNN (PyTorch)": "RNN", "GRU (PyTorch)": "GRU", "LSTM (PyTorch)": "LSTM"}


class Trained(NamedTuple):
    """What came of a training: the losses are per token, in nats, of the best epoch's weights. None
    on the validation text: no epoch ended before it diverged.
    """

    valid_loss: float | None
    test_loss: float
    weights: int
    epochs: int


class TanhLayer(TextNetwork):
    """``h_t = h_{t-1} + sigmoid(c) (tanh(h) - h_{t-1})``, decoded at once."""

    genotype = RECURRENT_DARTS_V2  # it has none; the training asks one for its space

    def __init__(self, vocab_size: int, config: TextTrainConfig, threads: int | None):
        names = ("dropout", "dropout_hidden", "dropout_input", "dropout_embedding")
        dropouts = {name: getattr(config, name) for name in names}
        size, seed = config.hidden_size, config.seed
        super().__init__([], [-1], vocab_size, size, "float32", seed, threads, dropouts)


def train_torch_layer(
    kind: str, corpus: Corpus, config: TextTrainConfig, seconds: float, threads: int
) -> Trained:
    """Train PyTorch's ``RNN``, ``GRU`` or ``LSTM``, of the hidden size of the configuration."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    torch.manual_seed(config.seed)
    torch.set_num_threads(threads)
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
    return Trained(best, evaluate(corpus.test), sum(p.numel() for p in net.parameters()), epochs)
