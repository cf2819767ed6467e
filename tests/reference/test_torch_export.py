# SPDX-License-Identifier: MIT
"""What `to_torch` gives, against the engine and the reference."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from nets import OTHER_SPACES, trained
from seeded import Array, Size, assert_close, seeded_batch, seeded_state
from test_torch_derived import CLASSES, GENOTYPES, SIZES, pair
from torch import Tensor, nn
from torch.nn import functional as F

import pydarts
from benchmarks import reference

every_genotype = pytest.mark.parametrize("name", GENOTYPES)
every_size = pytest.mark.parametrize("size", SIZES, ids=str)
with_and_without_head = pytest.mark.parametrize("auxiliary", [False, True], ids=["", "auxiliary"])

CELL = pydarts.RecurrentGenotype(
    [("sigmoid", 0), ("identity", 1), ("tanh", 0), ("relu", 2)], [4, 1, 2]
)
RATES = {
    "dropout": 0.4,
    "dropout_hidden": 0.3,
    "dropout_input": 0.2,
    "dropout_embedding": 0.1,
}


def loaded(module: nn.Module, state: dict[str, Array]) -> Any:
    """Return the module in float64 and in the state; PyTorch checks that all names match."""
    module.double().load_state_dict({name: torch.tensor(a) for name, a in state.items()})
    return module


def states(module: nn.Module) -> dict[str, Array]:
    """Return the state without the counters, which pydarts has no use for."""
    state = reference.state(module)
    return {k: a for k, a in state.items() if not k.endswith("num_batches_tracked")}


def trio(name: str, size: Size, auxiliary: bool) -> tuple[pydarts.Network, reference.Network, Any]:
    """Return engine, reference and exported module in one seeded state, all in float64."""
    ours, theirs = pair(name, size, auxiliary)
    options = {**size.network(CLASSES), "auxiliary": auxiliary}
    return ours, theirs, loaded(GENOTYPES[name].to_torch(**options), ours.state_dict())


@every_genotype
@with_and_without_head
def test_names_and_shapes(name: str, auxiliary: bool) -> None:
    ours, _, module = trio(name, SIZES[0], auxiliary)
    assert_close(states(module), ours.state_dict(), tol=0.0)
    for parameter in module.parameters():
        parameter.data += 0.25
    ours.load_state_dict(module.state_dict())
    assert_close(states(module), ours.state_dict(), tol=0.0)


@every_genotype
@every_size
def test_logits(name: str, size: Size) -> None:
    ours, _, module = trio(name, size, auxiliary=True)
    x, _ = seeded_batch(size, CLASSES, seed=5)
    logits = module.eval()(torch.tensor(x)).detach().numpy()
    assert_close({"": logits}, {"": ours.logits(x, training=False)}, tol=1e-9)


@every_genotype
@every_size
@with_and_without_head
def test_training(name: str, size: Size, auxiliary: bool) -> None:
    ours, _, module = trio(name, size, auxiliary)
    x, y = seeded_batch(size, CLASSES, seed=5)
    out = module.train()(torch.tensor(x))
    logits, head = out if auxiliary else (out, None)
    loss = F.cross_entropy(logits, torch.tensor(y))
    if head is not None:
        loss = loss + 0.4 * F.cross_entropy(head, torch.tensor(y))
    loss.backward()  # type: ignore[no-untyped-call]
    expected_loss, expected = ours.loss_and_grads(x, y)
    assert loss.item() == pytest.approx(expected_loss, rel=1e-9)
    grads = {
        k: np.zeros(p.shape) if p.grad is None else p.grad.numpy()
        for k, p in module.named_parameters()
    }
    assert_close(grads, expected["weights"], tol=1e-9)


@every_genotype
def test_drop_path(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs, module = trio(name, SIZES[0], auxiliary=False)
    x, _ = seeded_batch(SIZES[0], CLASSES, seed=5)
    module.drop_path = 0.3
    assert_close(
        {"": module.eval()(torch.tensor(x)).detach().numpy()},
        {"": ours.logits(x, training=False)},
        tol=1e-9,
    )
    drawn: list[Tensor] = []

    def dropout(ones: Tensor, p: float) -> Tensor:
        drawn.append(torch.dropout(ones, p, True))
        return drawn[-1]

    monkeypatch.setattr("pydarts.export.pytorch.F.dropout", dropout)
    torch.manual_seed(0)
    logits = module.train()(torch.tensor(x)).detach().numpy()
    masks = torch.stack(drawn).flatten(1)
    assert masks.shape == (ours.num_droppable, len(x))
    assert masks.unique().tolist() == [0.0, pytest.approx(1 / 0.7)]
    expected = theirs.train()(torch.tensor(x), masks)[0].detach().numpy()
    assert_close({"": logits}, {"": expected}, tol=1e-9)


def test_trained_model_of_images() -> None:
    rng = np.random.default_rng(0)
    X = rng.integers(0, 200, (24, 3, 9, 7), dtype=np.uint8)
    options: dict[str, Any] = {"channels": 3, "cells": 3, "epochs": 2, "batch_size": 8}
    options |= {"auxiliary": True, "threads": 1, "progress": False}
    model = pydarts.train(GENOTYPES["all_operations"], X, np.arange(24) % 3, **options)
    expected = model.logits(X)
    module = model.to_torch()
    assert not module.training
    logits = module(torch.tensor(X, dtype=torch.float32))
    assert isinstance(logits, Tensor)
    assert np.abs(logits.detach().numpy() - expected).max() <= 1e-5
    model.network.load_state_dict({k: np.zeros(v.shape) for k, v in states(module).items()})
    assert not model.logits(X).any()
    model.network.load_state_dict(module.state_dict())
    assert np.array_equal(model.logits(X), expected)


def recurrent(masked: bool) -> tuple[reference.RecurrentNetwork, Any]:
    """Return reference and exported module in one seeded state, in float64."""
    sizes, rates = {"vocab_size": 11, "hidden_size": 5}, RATES if masked else {}
    theirs = reference.RecurrentNetwork(CELL.recurrent, concat=CELL.concat, **sizes, **rates)
    state = seeded_state(reference.state(theirs), seed=3)
    reference.load_state(theirs.double(), state)
    return theirs, loaded(CELL.to_torch(**sizes, **rates), state)


def texts(steps: int = 6, count: int = 3) -> tuple[Tensor, Tensor]:
    """Return tokens and the state before them."""
    rng = np.random.default_rng(1)
    return torch.tensor(rng.integers(0, 11, (steps, count))), torch.tensor(rng.random((count, 5)))


def test_recurrent_names_and_shapes() -> None:
    _, module = recurrent(masked=False)
    ours = pydarts.RecurrentNetwork(CELL, 11, 5, dtype="float64", threads=1)
    ours.load_state_dict(module.state_dict())
    assert_close(states(module), ours.state_dict(), tol=0.0)


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_recurrent_logits(training: bool) -> None:
    theirs, module = recurrent(masked=not training)
    module.train(training)
    tokens, hidden = texts()
    if training:  # rates of 0 drop nothing
        module.dropout = module.dropout_hidden = 0.0
        module.dropout_input = module.dropout_embedding = 0.0
    logits, last = module(tokens, hidden)
    expected, _, expected_last = theirs(tokens, hidden)
    assert logits.shape == (6, 3, 11)
    assert_close(
        {"logits": logits.detach().numpy().reshape(18, 11), "last": last.detach().numpy()},
        {"logits": expected.detach().numpy(), "last": expected_last.detach().numpy()},
        tol=1e-12,
    )
    begun, _ = module(tokens)
    zero, _ = module(tokens, torch.zeros_like(hidden))
    assert torch.equal(begun, zero)


def test_recurrent_dropout(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, module = recurrent(masked=True)
    drawn: dict[float, Tensor] = {}

    def dropout(ones: Tensor, p: float, training: bool) -> Tensor:
        assert training
        assert p not in drawn
        drawn[p] = torch.dropout(ones, p, True)
        return drawn[p]

    monkeypatch.setattr("pydarts.export.pytorch.F.dropout", dropout)
    torch.manual_seed(0)
    tokens, hidden = texts()
    logits, last = module.train()(tokens, hidden)
    names = {"output": "dropout", "hidden": "dropout_hidden"}
    names |= {"input": "dropout_input", "embedding": "dropout_embedding"}
    masks = {name: drawn[RATES[rate]] for name, rate in names.items()}
    assert all(mask.shape == (3, 5) for mask in masks.values())
    expected, _, expected_last = theirs(tokens, hidden, masks)
    assert torch.allclose(logits.flatten(0, 1), expected, atol=1e-12)
    assert torch.allclose(last, expected_last, atol=1e-12)


def test_trained_model_of_text() -> None:
    text = "The quick brown fox jumps over the lazy dog.\n" * 60
    options: dict[str, Any] = {"hidden_size": 12, "epochs": 1, "batch_size": 4, "bptt": 10}
    model = pydarts.train_text(CELL, text, threads=1, progress=False, **options)
    module = model.to_torch()
    assert not module.training
    assert module.dropout == model.config.dropout
    assert module.dropout_input == model.config.dropout_input
    rng = np.random.default_rng(1)
    tokens = rng.integers(0, len(model.vocabulary), (5, 2))
    state = rng.normal(size=(2, 12)).astype(np.float32)
    logits, last = module(torch.tensor(tokens), torch.tensor(state))
    for step in range(5):
        expected, state = model.network.next_probabilities(tokens[step], hidden=state)
        assert np.abs(logits[step].softmax(dim=1).detach().numpy() - expected).max() <= 1e-5
    assert np.abs(last.detach().numpy() - state).max() <= 1e-5
    before = model.perplexity(text)
    model.network.load_state_dict({k: np.zeros(v.shape) for k, v in states(module).items()})
    assert model.perplexity(text) != before
    model.network.load_state_dict(module.state_dict())
    assert model.perplexity(text) == before


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: pydarts.DARTS_V2.to_torch(cells=0), r"`cells` \(=0\)"),
        (lambda: pydarts.DARTS_V2.to_torch(classes=1), r"`classes` \(=1\)"),
        (lambda: CELL.to_torch(vocab_size=1), r"`vocab_size` \(=1\)"),
        (lambda: CELL.to_torch(vocab_size=9, hidden_size=0), r"`hidden_size` \(=0\)"),
    ],
)
def test_wrong_sizes_are_named(make: Callable[[], object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make()


def test_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pydarts.export.pytorch", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"pip install 'pydarts-nas\[torch\]'"):
        importlib.import_module("pydarts.export.pytorch")


@pytest.mark.parametrize("space", OTHER_SPACES)
def test_networks_of_other_spaces(space: str) -> None:
    for seed in range(2):
        model, X = trained(space, seed)
        with torch.no_grad():
            found = model.to_torch()(torch.tensor(X, dtype=torch.float32)).numpy()
        np.testing.assert_allclose(found, model.logits(X), atol=1e-5)
