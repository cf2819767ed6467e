# SPDX-License-Identifier: MIT
"""What SPEC says of the networks as a whole, and what a caller may rely on whatever happens."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pickle import dumps, loads
from typing import Any

import numpy as np
import plain
import pytest
from nets import Net, batch, derived, flat, run_python, snapshot, supernet
from plain import Array

import pydarts
from pydarts.bilevel import BilevelStep, arch_gradient

# Gradients of whole networks


def best_difference_error(value: Callable[[float], float], slope: float) -> float:
    """Return the error of the best of several central differences.

    A step that jumps a kink of ReLU or maximum is in error by O(1), one that does not by O(h²) and
    rounding / h; only a kink nearer than the smallest step spoils them all. A network has 10⁵ of
    them, hence the small steps.
    """
    steps = (1e-5, 1e-6, 1e-7, 1e-8)
    return min(abs((value(h) - value(-h)) / (2 * h) - slope) for h in steps) / (1 + abs(slope))


@pytest.mark.parametrize("make", [supernet, derived])
@pytest.mark.parametrize("samples", [4, 7])
def test_gradients_are_those_of_the_loss(make: Callable[[], Net], samples: int) -> None:
    net = make()
    x, y = batch(samples)
    rng = np.random.default_rng(1)
    drop = None
    if isinstance(net, pydarts.Network):
        drop = rng.choice([0.0, 1 / 0.7], size=(net.num_droppable, samples), p=[0.3, 0.7])
    _, grads = net.loss_and_grads(x, y, drop_masks=drop)
    state, alphas = net.state_dict(), net.alphas
    groups: dict[str, list[str]] = {
        "stem.": [],
        "preprocess": [],
        "._ops.": [],
        "auxiliary": [],
        "classifier": [],
    }
    for name in grads["weights"]:
        groups[next(group for group in groups if group in name)].append(name)
    for group in (*groups, "normal", "reduce"):
        tensors = grads["alphas"] if group in ("normal", "reduce") else grads["weights"]
        names = [group] if group in tensors else groups.get(group, [])
        along = {name: rng.normal(size=tensors[name].shape) for name in names if name in tensors}

        def value(h: float, along: dict[str, Array] = along) -> float:
            moved = {name: {**state, **alphas}[name] + h * a for name, a in along.items()}
            net.load_state_dict({name: moved.get(name, a) for name, a in state.items()})
            net.set_alphas({name: moved.get(name, a) for name, a in alphas.items()})
            return net.loss_and_grads(x, y, wrt=(), drop_masks=drop)[0]

        slope = sum(float((tensors[name] * a).sum()) for name, a in along.items())
        assert best_difference_error(value, slope) < 1e-6, group


def test_kinds_of_gradients() -> None:
    net = supernet()
    x, y = batch()
    loss, both = net.loss_and_grads(x, y)
    for wrt in ((), ("weights",), ("alphas",), "alphas"):
        again, some = net.loss_and_grads(x, y, wrt=wrt)
        assert again == loss
        assert list(some) == ([wrt] if isinstance(wrt, str) else list(wrt))
        for name, a in flat(some).items():
            np.testing.assert_allclose(a, flat(both)[name], rtol=1e-12, atol=1e-14, err_msg=name)
    logits = net.logits(x)
    log_odds = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), y]
    assert loss == pytest.approx(log_odds.mean(), rel=1e-12)


@pytest.mark.parametrize("memory", ["store", "recompute"])
def test_a_pass_for_alphas_alone_gives_the_same_bits(memory: Any) -> None:
    net = pydarts.Supernet(4, 4, classes=3, in_channels=2, memory=memory)
    x, y = batch()
    both, alone = (
        net.loss_and_grads(x, y, wrt=wrt)[1] for wrt in (("weights", "alphas"), "alphas")
    )
    assert min(np.ptp(a) for a in both["alphas"].values()) > 0
    for name, a in alone["alphas"].items():
        np.testing.assert_array_equal(a, both["alphas"][name])


def test_masks_of_ones_drop_nothing() -> None:
    net = derived()
    x, y = batch()
    ones = np.ones((net.num_droppable, len(y)))
    plainly, masked = net.loss_and_grads(x, y), net.loss_and_grads(x, y, drop_masks=ones)
    assert masked[0] == pytest.approx(plainly[0], rel=1e-12)
    with pytest.raises(ValueError, match=r"`drop_masks`"):
        net.loss_and_grads(x, y, drop_masks=ones[:, 1:])


# The same bits


def everything(net: Net, samples: int, order: int) -> Iterator[tuple[str, bytes]]:
    """Yield all that a network can compute, to the bit, last the state after two steps."""
    train, valid = batch(samples), batch(samples, seed=1)
    for training in (True, False):
        yield f"logits {training}", net.logits(train[0], training=training).tobytes()
    masks = None
    if isinstance(net, pydarts.Network):
        rng = np.random.default_rng(2)
        masks = rng.integers(0, 2, (net.num_droppable, samples)) * 2.0
    loss, grads = net.loss_and_grads(*train, drop_masks=masks)
    yield "loss", np.float64(loss).tobytes()
    yield from ((name, a.tobytes()) for name, a in flat(grads).items())
    if isinstance(net, pydarts.Supernet):
        for name, a in arch_gradient(net, train=train, valid=valid, order=order).items():
            yield f"architecture gradient {name}", a.tobytes()
        step = BilevelStep(net, order=order, max_grad_norm=0.5)
        for _ in range(2):
            yield "info", str(step(train=train, valid=valid, lr=0.1)).encode()
        yield from snapshot(net).items()
        yield from ((f"buffer {n}", a.tobytes()) for n, a in step.momentum_buffer.items())


@pytest.mark.parametrize(
    "samples", [1, 5, *(pytest.param(n, marks=pytest.mark.slow) for n in (32, 33))]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["order 1", "order 2", "derived"])
def test_threads_do_not_matter(kind: str, dtype: str, samples: int) -> None:
    if samples == 1 and kind == "order 2":
        # Without affine BN the features of a single image are all zero, and so is v, but for
        # rounding: the finite difference would have no direction.
        kind = "order 1"
    make = derived if kind == "derived" else supernet
    one, *others = (
        list(everything(make(dtype, threads), samples, int(kind[-1]) if make is supernet else 0))
        for threads in (1, 2, 3)
    )
    assert len(one) > 50
    for other in others:
        assert [name for name, _ in one] == [name for name, _ in other]
        different = [a[0] for a, b in zip(one, other, strict=True) if a[1] != b[1]]
        assert not different


def test_gradients_leave_the_network_as_it_was() -> None:
    net = supernet("float32")
    rng = np.random.default_rng(3)
    state = net.state_dict()
    net.load_state_dict({n: a + rng.random(a.shape) * ("running" in n) for n, a in state.items()})
    before = snapshot(net)
    train, valid = batch(), batch(seed=1)
    net.logits(train[0])
    net.logits(train[0], training=False)
    net.loss_and_grads(*train)
    for order in (1, 2):
        arch_gradient(net, train=train, valid=valid, order=order, eta=0.3)
    assert snapshot(net) == before


def test_results_do_not_depend_on_what_was_computed_before() -> None:
    # Scratch memory is kept between calls: nothing of another batch may shine through.
    fresh, used = supernet(), supernet()
    for samples, side in ((40, 5), (2, 20), (1, 1)):
        x = np.full((samples, 2, side, side), 1e3)
        used.loss_and_grads(x, np.zeros(samples, int))
        used.logits(x, training=False)
    a, b = (list(everything(net, 6, 2)) for net in (fresh, used))
    assert a == b


@pytest.mark.parametrize("make", [pydarts.Supernet, pydarts.Network])
def test_recomputing_saves_memory_and_changes_no_bit(make: Any) -> None:
    arguments = () if make is pydarts.Supernet else (pydarts.DARTS_V2,)
    size = {"channels": 3, "cells": 5, "classes": 3, "in_channels": 2, "threads": 1}
    if arguments:
        size["auxiliary"] = True
    store, again = (make(*arguments, **size, memory=m) for m in ("store", "recompute"))
    assert snapshot(store) == snapshot(again)
    assert list(everything(store, 9, 2)) == list(everything(again, 9, 2))
    store_bytes, again_bytes = (net.memory_plan(64, 32)["activations"] for net in (store, again))
    assert again_bytes < 0.8 * store_bytes
    with pytest.raises(ValueError, match=r"`memory` \(='less'\)"):
        make(*arguments, memory="less")


@pytest.mark.parametrize(
    "make",
    [
        supernet,
        lambda: pydarts.Network(pydarts.DARTS_V2, 3, 4, in_channels=2, auxiliary=True, threads=2),
        lambda: pydarts.RecurrentSupernet(9, 5),
        lambda: pydarts.RecurrentNetwork(pydarts.RECURRENT_DARTS_V2, 9, 5, dtype="float64"),
    ],
)
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda n: loads(dumps(n))])
def test_copies(make: Callable[[], Any], duplicate: Callable[[Any], Any]) -> None:
    net = make()
    for view in net.state().values():
        if isinstance(view, np.ndarray):
            view += np.arange(view.size) / 8
    other = duplicate(net)
    assert type(other) is type(net)
    assert (other.threads, other.dtype) == (net.threads, net.dtype)
    expected = {**net.state_dict(), **net.alphas}
    same = {**other.state_dict(), **other.alphas}
    assert expected.keys() == same.keys()
    assert all(np.array_equal(a, same[name]) for name, a in expected.items())
    other.load_state_dict({k: np.zeros_like(a) for k, a in other.state_dict().items()})
    assert all(np.array_equal(a, expected[name]) for name, a in net.state_dict().items())


def test_evaluation_looks_at_one_image_at_a_time() -> None:
    for net in (supernet("float32"), derived("float32")):
        if isinstance(net, pydarts.Supernet):
            BilevelStep(net, order=1)(train=batch(), valid=batch(), lr=0.1)
        x, _ = batch(33)
        together = net.logits(x, training=False)
        order = np.random.default_rng(0).permutation(33)
        assert np.array_equal(net.logits(x[order], training=False), together[order])
        for i in (0, 17, 32):
            assert np.array_equal(net.logits(x[i : i + 1], training=False)[0], together[i])
        assert not np.array_equal(net.logits(x)[:5], net.logits(x[:5]))  # batch statistics


# Running statistics


@pytest.mark.parametrize("order", [1, 2])
def test_running_statistics_of_a_step(order: int) -> None:
    net = supernet()
    rng = np.random.default_rng(4)
    drawn = {n: a + rng.random(a.shape) for n, a in net.state_dict().items()}
    net.load_state_dict(drawn)
    (x, y), valid = batch(5), batch(6, seed=1)
    BilevelStep(net, order=order)(train=(x, y), valid=valid, lr=0.1)
    after = net.state_dict()
    # What the w step saw, at the weights before it and with the training images.
    stem = plain.convolve(x, drawn["stem.0.weight"], pad=(1, 1))
    affine = [drawn[f"stem.1.{part}"][:, None, None] for part in ("weight", "bias")]
    state = plain.batch_norm(stem) * affine[0] + affine[1]
    projected = plain.convolve(plain.relu(state), drawn["cells.0.preprocess0.op.1.weight"])
    pooled = plain.max_pool(plain.batch_norm(projected), 1)
    for name, values in {
        "stem.1": stem,
        "cells.0.preprocess0.op.2": projected,
        "cells.0._ops.0._ops.1.1": pooled,
    }.items():
        mean = 0.9 * drawn[f"{name}.running_mean"] + 0.1 * values.mean(axis=(0, 2, 3))
        spread = values.swapaxes(0, 1).reshape(values.shape[1], -1).var(axis=1, ddof=1)
        var = 0.9 * drawn[f"{name}.running_var"] + 0.1 * spread
        np.testing.assert_allclose(after[f"{name}.running_mean"], mean, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(after[f"{name}.running_var"], var, rtol=1e-9)
    # Every other moves a tenth of its way to something that does not depend on itself.
    twin = supernet()
    twin.load_state_dict({n: a + 1.0 * ("running" in n) for n, a in drawn.items()})
    BilevelStep(twin, order=order)(train=(x, y), valid=valid, lr=0.1)
    for name, a in twin.state_dict().items():
        gap = 0.9 if "running" in name else 0.0
        np.testing.assert_allclose(a - after[name], gap, rtol=0, atol=1e-12, err_msg=name)
        assert not np.array_equal(after[name], drawn[name]), name


# Wrong arguments


X, Y = batch(4)
HALF: Any = 2.5
NAME: Any = "DARTS_V2"
ALONE: Any = X


@pytest.mark.parametrize(
    ("x", "y", "match"),
    [
        (X[:, :1], Y, r"`x`.* 1 channel"),
        (X[:0], Y[:0], r"`x`.*empty"),
        (X[:, :, :0], Y, r"`x`.*empty"),
        (X[0], Y, r"`x`.*\(2, 7, 9\)"),
        (X, Y[:3], r"`y`.*3"),
        (X, Y[:, None], r"`y`.*\(4, 1\)"),
        (X, [0, 1, 2, 3], r"`y`.* 3\b"),
        (X, [0, -1, 2, 2], r"`y`.* -1\b"),
        (X, [0, 1, 2, 2**32], r"`y`.*4294967296"),
        (X, Y.astype(float), r"`y`.*float64"),
        (X, ["a", "b", "a", "b"], r"`y`"),
    ],
)
def test_wrong_batches_are_named(x: Any, y: Any, match: str) -> None:
    net = supernet()
    with pytest.raises((ValueError, TypeError), match=match):
        net.loss_and_grads(x, y)
    if "`x`" in match:
        with pytest.raises((ValueError, TypeError), match=match):
            net.logits(x)
    for which, other in (("train", "valid"), ("valid", "train")):
        named = match.replace("`x`", rf"`{which}\[0\]`").replace("`y`", rf"`{which}\[1\]`")
        batches: dict[str, Any] = {which: (x, y), other: (X, Y)}
        with pytest.raises((ValueError, TypeError), match=named):
            arch_gradient(net, **batches)
        with pytest.raises((ValueError, TypeError), match=named):
            BilevelStep(net)(**batches, lr=0.1)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: pydarts.Supernet(channels=0), r"`channels` \(=0\)"),
        (lambda: pydarts.Supernet(channels=HALF), r"`channels` \(=2.5\)"),
        (lambda: pydarts.Supernet(cells=0), r"`cells` \(=0\)"),
        (lambda: pydarts.Supernet(cells=True), r"`cells` \(=True\)"),
        (lambda: pydarts.Supernet(classes=1), r"`classes` \(=1\)"),
        (lambda: pydarts.Supernet(in_channels=0), r"`in_channels` \(=0\)"),
        (lambda: pydarts.Supernet(threads=0), r"`threads` \(=0\)"),
        (lambda: pydarts.Supernet(seed=-1), r"`seed` \(=-1\)"),
        (lambda: pydarts.Supernet(dtype="int32"), r"`dtype` \(='int32'\)"),
        (lambda: pydarts.Supernet(channels=2**40), r"`channels` \(=1099511627776\)"),
        (lambda: pydarts.Supernet(seed=2**64), r"`seed` \(=18446744073709551616\)"),
        (lambda: pydarts.Supernet(threads=2**31), r"`threads` \(=2147483648\)"),
        (lambda: pydarts.Network(NAME), r"`genotype` \(='DARTS_V2'\)"),
        (
            lambda: pydarts.Network(pydarts.DARTS_V1, auxiliary_weight=float("nan")),
            r"`auxiliary_weight` \(=nan\)",
        ),
        (lambda: BilevelStep(supernet(), order=3), r"`order` \(=3\)"),
        (lambda: BilevelStep(supernet(), momentum=-1), r"`momentum` \(=-1\)"),
        (lambda: BilevelStep(supernet(), max_grad_norm=0.0), r"`max_grad_norm` \(=0.0\)"),
        (lambda: BilevelStep(supernet(), epsilon=0.0), r"`epsilon` \(=0.0\)"),
        (lambda: BilevelStep(supernet(), alpha_lr=float("nan")), r"`alpha_lr` \(=nan\)"),
        (lambda: BilevelStep(supernet(), alpha_betas=(0.5, 1.0)), r"`alpha_betas` \(=\(0.5, 1.0\)"),
        (
            lambda: BilevelStep(supernet())(train=(X, Y), valid=(X, Y), lr=float("inf")),
            r"`lr` \(=inf\)",
        ),
        (lambda: arch_gradient(supernet(), train=ALONE, valid=(X, Y)), r"`train`"),
        (lambda: supernet().loss_and_grads(X, Y, wrt=("alpha",)), r"`wrt` \(=\('alpha',\)\)"),
    ],
)
def test_wrong_arguments_are_named(make: Callable[[], object], match: str) -> None:
    with pytest.raises((ValueError, TypeError), match=match):
        make()


def test_odd_calls_do_not_crash() -> None:
    # In a process of their own, for a crash would take all other tests with it.
    done = run_python("""
import numpy as np, pydarts
x = np.ones((1, 2, 4, 4))
for call in (
    lambda: pydarts.MixedOperation(2, 1, ("none",)).forward(x),
    lambda: pydarts.MixedOperation(2, 2, ("none", "none")).backward(x, x[:, :, ::2, ::2]),
    lambda: pydarts.MixedOperation(2).logits(x),
    lambda: pydarts.MixedOperation(2).loss_and_grads(x, [0]),
    lambda: pydarts.Supernet(1, 3, in_channels=2).logits(x[:, :, :1, :1], training=False),
    lambda: pydarts.Supernet(1, 3, in_channels=2).logits(np.ones((1, 2, 1, 16383))),
):
    try:
        call()
    except (ValueError, TypeError, AttributeError):
        pass
    print("survived", flush=True)
""")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["survived"] * 6


# Values that are not finite


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(
    "name", ["stem.0.weight", "cells.1._ops.3._ops.4.op.2.weight", "classifier.weight"]
)
def test_weights_that_are_not_finite_stop_a_step(name: str, order: int) -> None:
    net = supernet("float32")
    step = BilevelStep(net, order=order)
    step(train=batch(), valid=batch(seed=1), lr=0.1)
    weights = net.split_weights(net.flat_weights)[name]
    weights.flat[weights.size // 2] = np.nan
    before = snapshot(net)
    with pytest.raises(ArithmeticError, match=r"^step 1: .*(`[\w.]+`|loss|alphas)"):
        step(train=batch(), valid=batch(seed=1), lr=0.1)
    assert snapshot(net) == before


def test_an_overflow_stops_a_step() -> None:
    net = supernet("float32")
    state = net.state_dict()
    net.load_state_dict({**state, "classifier.weight": 1e38 * np.sign(state["classifier.weight"])})
    before = snapshot(net)
    for order in (1, 2):
        with pytest.raises(ArithmeticError, match=r"^step 0: "):
            BilevelStep(net, order=order)(train=batch(), valid=batch(), lr=0.1)
    assert snapshot(net) == before


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("which", ["train", "valid"])
def test_a_failed_step_leaves_no_trace(which: str, bad: float, order: int) -> None:
    nets = [supernet(), supernet()]
    steps = [BilevelStep(net, order=order, alpha_lr=0.1) for net in nets]
    good = {"train": batch(), "valid": batch(seed=1)}
    images, labels = batch(seed=2)
    images[1, 1, 3, 4] = bad
    for step in steps:
        step(**good, lr=0.1)
    with pytest.raises((ArithmeticError, ValueError)):
        steps[0](**{**good, which: (images, labels)}, lr=0.1)
    assert snapshot(nets[0]) == snapshot(nets[1])
    for step in steps:  # the momentum, and Adam's moments and count, are as before as well
        step(**good, lr=0.1)
    assert snapshot(nets[0]) == snapshot(nets[1])
