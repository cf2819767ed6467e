# SPDX-License-Identifier: MIT
"""Training steps of both kinds of networks: SGD as written out from gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from nets import batch, derived, snapshot, supernet
from plain import Array

import pydarts
from pydarts.engine.sgd import SGD

OPTIONS = {"momentum": 0.9, "weight_decay": 0.02, "max_grad_norm": 0.5}
TEXT_OPTIONS = {"momentum": 0.0, "weight_decay": 0.02, "max_grad_norm": 0.25}


def recurrent(dtype: str = "float64") -> pydarts.RecurrentNetwork:
    """Return a small recurrent network without dropout."""
    none = dict.fromkeys(("dropout", "dropout_hidden", "dropout_input", "dropout_embedding"), 0.0)
    return pydarts.RecurrentNetwork(
        pydarts.RECURRENT_DARTS_V2, 7, 9, dtype=dtype, threads=1, **none
    )


def segment(seed: int) -> tuple[Array, Array]:
    """Return tokens (5, 3) and those that follow them."""
    tokens = np.random.default_rng(seed).integers(0, 7, (6, 3))
    return tokens[:-1], tokens[1:]


def moved(
    state: dict[str, Array], buffer: dict[str, Array], grads: dict[str, Array], lr: float, **o: Any
) -> tuple[float, dict[str, Array]]:
    """Return the norm of a gradient and the weights after a step along it; ``buffer`` changes."""
    norm = float(np.sqrt(sum((g**2).sum() for g in grads.values())))
    scale = min(1.0, o["max_grad_norm"] / (norm + 1e-6))
    for name, g in grads.items():
        buffer[name] = o["momentum"] * buffer[name] + scale * g + o["weight_decay"] * state[name]
        state[name] = state[name] - lr * buffer[name]
    return norm, state


def test_a_step_over_images_is_its_parts() -> None:
    net, twin = derived(), derived()
    step = SGD(net, **OPTIONS)
    rng = np.random.default_rng(5)
    buffer = {name: np.zeros_like(a) for name, a in twin.split_weights(twin.flat_weights).items()}
    norms = []
    for t, lr in enumerate((0.1, 0.05, 0.0)):
        x, y = batch(seed=t)
        masks = rng.integers(0, 2, (net.num_droppable, len(y))) * 2.0 if t else None
        info = step(x, y, lr, drop_masks=masks)
        loss, grads = twin.loss_and_grads(x, y, wrt="weights", drop_masks=masks)
        norm, state = moved(twin.state_dict(), buffer, grads["weights"], lr, **OPTIONS)
        twin.load_state_dict(state)
        norms.append(norm)
        assert info.train_loss == pytest.approx(loss, rel=1e-12)
        assert info.hidden is None
        momentum = net.split_weights(step.state()["buffer"])
        theirs = net.state_dict()
        for name, a in buffer.items():
            np.testing.assert_allclose(momentum[name], a, rtol=0, atol=1e-12, err_msg=name)
            np.testing.assert_allclose(theirs[name], state[name], rtol=0, atol=1e-12, err_msg=name)
    assert step.steps == 3
    assert max(norms) > OPTIONS["max_grad_norm"]


def test_correct_predictions_are_counted() -> None:
    net = derived(auxiliary=False)
    x, y = batch(40)
    expected = (net.logits(x).argmax(axis=1) == y).sum()
    assert SGD(net, **OPTIONS)(x, y, 0.1).train_correct == expected


def test_a_step_over_text_is_its_parts() -> None:
    net, twin = recurrent(), recurrent()
    step = SGD(net, **TEXT_OPTIONS, ar=0.3, tar=0.2)
    buffer = {name: np.zeros_like(a) for name, a in twin.split_weights(twin.flat_weights).items()}
    hidden = None
    for t in range(3):
        x, y = segment(t)
        info = step(x, y, 2.0, hidden=hidden)
        loss, grads = twin.loss_and_grads(x, y, hidden=hidden, wrt="weights", ar=0.3, tar=0.2)
        _, state = moved(twin.state_dict(), buffer, grads["weights"], 2.0, **TEXT_OPTIONS)
        twin.load_state_dict(state)
        assert info.train_loss == pytest.approx(loss, rel=1e-10)
        hidden = info.hidden
        assert hidden is not None
        np.testing.assert_allclose(hidden, twin.last_hidden, rtol=0, atol=1e-12)
        theirs = net.state_dict()
        for name, a in twin.state_dict().items():
            np.testing.assert_allclose(theirs[name], a, rtol=0, atol=1e-10, err_msg=name)
    plainly = SGD(recurrent(), **TEXT_OPTIONS)
    plainly(*segment(0), 2.0, hidden=np.zeros((3, 9)))
    regularised = SGD(recurrent(), **TEXT_OPTIONS, tar=0.2)
    regularised(*segment(0), 2.0)
    assert not np.array_equal(plainly.network.flat_weights, regularised.network.flat_weights)


@pytest.mark.parametrize("kind", ["images", "text"])
def test_it_continues_from_its_state(kind: str) -> None:
    def start() -> SGD:
        if kind == "images":
            return SGD(derived("float32"), **OPTIONS)
        return SGD(recurrent("float32"), **TEXT_OPTIONS)

    def run(step: SGD, numbers: range) -> None:
        for t in numbers:
            step(*(batch(seed=t) if kind == "images" else segment(t)), 0.5)

    whole, first, second = start(), start(), start()
    run(whole, range(4))
    run(first, range(2))
    kept = {name: np.copy(value) for name, value in first.state().items()}
    run(first, range(2, 3))
    second.restore(kept)
    run(second, range(2, 4))
    assert second.steps == 4
    for name, value in whole.state().items():
        assert np.array_equal(second.state()[name], value), name


def test_a_failed_step_leaves_the_weights() -> None:
    net = derived("float32")
    step = SGD(net, **OPTIONS)
    step(*batch(), 0.1)
    before, buffer = snapshot(net), step.state()["buffer"].copy()
    x, y = batch()
    x[0, 0, 0, 0] = np.inf
    with pytest.raises(ArithmeticError, match=r"^step 1: "):
        step(x, y, 0.1)
    assert snapshot(net) == before
    assert np.array_equal(step.state()["buffer"], buffer)
    assert step.steps == 1


def test_wrong_arguments_are_named() -> None:
    images, text = SGD(derived(), **OPTIONS), SGD(recurrent(), **TEXT_OPTIONS)
    x, y = batch()
    with pytest.raises(TypeError, match="`hidden` is for recurrent networks"):
        images(x, y, 0.1, hidden=np.zeros((6, 9)))
    with pytest.raises(TypeError, match="`drop_masks` is for networks over images"):
        text(*segment(0), 0.1, drop_masks=np.ones((3, 3)))
    with pytest.raises(ValueError, match=r"`y` has the shape \(5,\)"):
        images(x, y[:5], 0.1)
    with pytest.raises(ValueError, match=r"`lr` \(=-0.1\)"):
        images(x, y, -0.1)
    with pytest.raises(ValueError, match=r"`tar` \(=0.1\) is for recurrent networks"):
        SGD(supernet(), **OPTIONS, tar=0.1)
    with pytest.raises(ValueError, match=r"`max_grad_norm` \(=0\)"):
        SGD(supernet(), **{**OPTIONS, "max_grad_norm": 0})
