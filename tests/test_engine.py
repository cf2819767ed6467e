# SPDX-License-Identifier: MIT
"""What SPEC says of the networks as a whole, and what a caller may rely on whatever happens."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from pickle import dumps, loads
from typing import Any

import numpy as np
import pytest

import pydarts
from pydarts import _core
from pydarts.bilevel import BilevelStep, arch_gradient
from pydarts.search import cosine

sys.path.append(str(Path(__file__).parent))

import plain
from plain import Array

ROOT = str(Path(pydarts.__file__).parents[1])
Shapes = dict[str, tuple[int, ...]]
Net = pydarts.Supernet | pydarts.Network
every_isa = [name for name, supported in _core.instruction_sets() if supported]


def supernet(dtype: str = "float64", threads: int = 1, seed: int = 0) -> pydarts.Supernet:
    """Return a small supernet with alphas far from equal."""
    net = pydarts.Supernet(3, 3, classes=3, in_channels=2, dtype=dtype, seed=seed, threads=threads)
    rng = np.random.default_rng(seed)
    net.set_alphas({name: rng.normal(size=(14, 8)) for name in ("normal", "reduce")})
    return net


def derived(dtype: str = "float64", threads: int = 1, auxiliary: bool = True) -> pydarts.Network:
    """Return a small derived network."""
    return pydarts.Network(
        pydarts.DARTS_V2, 3, 3, 3, in_channels=2, auxiliary=auxiliary, dtype=dtype, threads=threads
    )


def batch(samples: int = 6, seed: int = 0) -> tuple[Array, Array]:
    """Return noise with labels 0..2."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(samples, 2, 7, 9)), rng.integers(0, 3, samples)


def snapshot(net: Net) -> dict[str, bytes]:
    """Return everything that a network holds, to the bit."""
    return {name: a.tobytes() for name, a in {**net.state_dict(), **net.alphas}.items()}


def flat(grads: dict[str, dict[str, Array]]) -> dict[str, Array]:
    """Return the gradients by weight name and alpha group."""
    return {name: a for kind in grads.values() for name, a in kind.items()}


def run_python(
    code: str, timeout: float = 60, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run code that may crash, hang or need another environment in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {ROOT!r})\n{code}"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


# Sizes, names and initial values


def test_anchors() -> None:
    assert pydarts.Supernet().num_weights == 1_930_618
    assert pydarts.Network(pydarts.DARTS_V1).num_weights == 3_169_414
    assert pydarts.Network(pydarts.DARTS_V2).num_weights == 3_349_342
    assert cosine(0.025, 0.001, 49, 50) == pytest.approx(1.023679e-3, rel=1e-6)
    assert cosine(0.025, 0.001, 0, 50) == 0.025
    assert cosine(0.025, 0.0, 25, 50) == pytest.approx(0.0125)


def norm(name: str, channels: int, affine: bool) -> Shapes:
    """Return the arrays of a BN."""
    parts = ["running_mean", "running_var", *(["weight", "bias"] if affine else [])]
    return {f"{name}.{part}": (channels,) for part in parts}


def reduce_or_project(name: str, kind: str, inputs: int, channels: int, affine: bool) -> Shapes:
    """Return the arrays of a factorized reduce, or of ReLU-1×1-BN."""
    if kind == "reduce":
        half = (channels // 2, inputs, 1, 1)
        convolutions = {f"{name}.conv_1.weight": half, f"{name}.conv_2.weight": half}
        return {**convolutions, **norm(f"{name}.bn", channels, affine)}
    weight = {f"{name}.op.1.weight": (channels, inputs, 1, 1)}
    return {**weight, **norm(f"{name}.op.2", channels, affine)}


def operation(name: str, candidate: str, channels: int, stride: int, affine: bool) -> Shapes:
    """Return the arrays of a candidate; pools have a BN in the search network only."""
    kind, _, size = candidate.partition("_conv_")
    if candidate == "skip_connect" and stride == 2:
        return reduce_or_project(name, "reduce", channels, channels, affine)
    if "pool" in candidate:
        return {} if affine else norm(f"{name}.1", channels, affine)
    if kind not in ("sep", "dil"):
        return {}
    shapes: Shapes = {}
    k = int(size[0])
    for at in (1, 5) if kind == "sep" else (1,):
        shapes[f"{name}.op.{at}.weight"] = (channels, 1, k, k)
        shapes[f"{name}.op.{at + 1}.weight"] = (channels, channels, 1, 1)
        shapes |= norm(f"{name}.op.{at + 2}", channels, affine)
    return shapes


def expected_shapes(
    channels: int,
    cells: int,
    classes: int,
    in_channels: int,
    genotype: pydarts.Genotype | None = None,
) -> Shapes:
    """Return SPEC §6 for a supernet, or for the network of a genotype."""
    affine = genotype is not None
    stem = 3 * channels
    shapes: Shapes = {"stem.0.weight": (stem, in_channels, 3, 3), **norm("stem.1", stem, True)}
    inputs, halved = [stem, stem], False
    for i in range(cells):
        reduction = i in (cells // 3, 2 * cells // 3)
        channels *= 2 if reduction else 1
        cell = f"cells.{i}"
        for k in (0, 1):
            kind = "reduce" if halved and k == 0 else "project"
            shapes |= reduce_or_project(f"{cell}.preprocess{k}", kind, inputs[k], channels, affine)
        if genotype is None:
            edges = [(j, n) for n in range(4) for j in range(n + 2)]
            for e, (source, _) in enumerate(edges):
                stride = 2 if reduction and source < 2 else 1
                for k, candidate in enumerate(plain.OPERATIONS):
                    name = f"{cell}._ops.{e}._ops.{k}"
                    shapes |= operation(name, candidate, channels, stride, affine)
        else:
            for n, (candidate, source) in enumerate(
                genotype.reduce if reduction else genotype.normal
            ):
                stride = 2 if reduction and source < 2 else 1
                shapes |= operation(f"{cell}._ops.{n}", candidate, channels, stride, affine)
        inputs, halved = [inputs[1], 4 * channels], reduction
    return {**shapes, "classifier.weight": (classes, inputs[1]), "classifier.bias": (classes,)}


SIZES = [(4, 3, 10, 3), (3, 8, 2, 1), (2, 1, 3, 2), (1, 2, 2, 1), (2, 5, 7, 4), (16, 8, 10, 3)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("genotype", [None, pydarts.DARTS_V1, pydarts.DARTS_V2], ids=("", "1", "2"))
def test_names_and_shapes(
    size: tuple[int, int, int, int], genotype: pydarts.Genotype | None
) -> None:
    net = pydarts.Network(genotype, *size) if genotype else pydarts.Supernet(*size)
    shapes = {name: a.shape for name, a in net.state_dict().items()}
    assert shapes == expected_shapes(*size, genotype)
    count = sum(a.size for name, a in net.state_dict().items() if ".running_" not in name)
    assert net.num_weights == count
    groups = {} if genotype else {"normal": (14, 8), "reduce": (14, 8)}
    assert {name: a.shape for name, a in net.alphas.items()} == groups


@pytest.mark.parametrize("make", [lambda s: pydarts.Supernet(seed=s), lambda s: derived_with(s)])
def test_initial_values(make: Callable[[int], Net]) -> None:
    net = make(0)
    for name, a in net.state_dict().items():
        if name.endswith("running_mean") or (a.ndim == 1 and name.endswith("bias")):
            assert name == "classifier.bias" or not a.any(), name
        elif a.ndim == 1:
            assert (a == 1).all(), name
        else:
            bound = np.prod(a.shape[1:]) ** -0.5
            assert abs(a).max() <= bound * (1 + 1e-6), name
            if a.size > 1000:
                assert abs(a).max() > 0.98 * bound, name
                assert a.std() == pytest.approx(bound / 3**0.5, rel=0.1), name
                assert abs(a.mean()) < 0.1 * bound, name
    bias = net.state_dict()["classifier.bias"]
    assert 0 < abs(bias).max() <= net.state_dict()["classifier.weight"].shape[1] ** -0.5
    for alphas in net.alphas.values():
        assert alphas.std() == pytest.approx(1e-3, rel=0.3)
    assert snapshot(make(0)) == snapshot(net)
    assert snapshot(make(1)) != snapshot(net)


def derived_with(seed: int) -> pydarts.Network:
    """Return a derived network with initial values of that seed."""
    return pydarts.Network(pydarts.DARTS_V1, 16, 6, seed=seed)


# Loading


def test_state_goes_round() -> None:
    source, target = supernet("float64", seed=1), supernet("float32", seed=2)
    state = source.state_dict()
    state["cells.0.preprocess0.op.2.num_batches_tracked"] = np.array(7)  # PyTorch's, ignored
    target.load_state_dict(state)
    del state["cells.0.preprocess0.op.2.num_batches_tracked"]
    for name, a in target.state_dict().items():
        assert np.array_equal(a, state[name].astype(np.float32)), name
        a[...] = 0  # a copy
    assert any(a.any() for a in target.state_dict().values())


def spoil(kind: str, values: dict[str, Array], name: str) -> dict[str, Array]:
    """Return values of which one does not fit."""
    spoilt = {**values, name: values[name].copy()}
    if kind == "missing":
        del spoilt[name]
    elif kind == "unknown":
        spoilt["nonsense"] = np.zeros(1)
    elif kind == "shape":
        spoilt[name] = spoilt[name].T[..., :1]
    else:
        spoilt[name].flat[-1] = float(kind)
    return spoilt


@pytest.mark.parametrize("kind", ["missing", "unknown", "shape", "nan", "inf"])
@pytest.mark.parametrize("what", ["state", "alphas"])
def test_what_does_not_fit_is_refused_whole(kind: str, what: str) -> None:
    net = supernet()
    before = snapshot(net)
    moved = {
        name: a + 1 for name, a in (net.alphas if what == "alphas" else net.state_dict()).items()
    }
    name = "reduce" if what == "alphas" else "classifier.weight"
    named = "nonsense" if kind == "unknown" else name
    with pytest.raises(ValueError, match=rf"`{what}`.*{named}"):
        (net.set_alphas if what == "alphas" else net.load_state_dict)(spoil(kind, moved, name))
    assert snapshot(net) == before


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
        step = BilevelStep(net, order=order, clip=0.5)
        for _ in range(2):
            yield "info", str(step(train=train, valid=valid, lr=0.1)).encode()
        yield from snapshot(net).items()
        yield from ((f"buffer {n}", a.tobytes()) for n, a in step.momentum_buffer.items())


@pytest.mark.parametrize("samples", [1, 5, 32, 33])
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
        (lambda: BilevelStep(supernet(), clip=0.0), r"`clip` \(=0.0\)"),
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


@pytest.mark.parametrize(
    "call",
    [
        "pydarts.MixedOperation(2, 1, ('none',)).forward(x)",
        "pydarts.MixedOperation(2, 2, ('none', 'none')).backward(x, x[:, :, ::2, ::2])",
        "pydarts.MixedOperation(2).logits(x)",
        "pydarts.MixedOperation(2).loss_and_grads(x, [0])",
        "pydarts.Supernet(1, 3, in_channels=2).logits(np.ones((1, 2, 1, 1)), training=False)",
        "pydarts.Supernet(1, 3, in_channels=2).logits(np.ones((1, 2, 1, 16383)))",
    ],
)
def test_odd_calls_do_not_crash(call: str) -> None:
    # In a process of its own, for a crash would take all other tests with it.
    done = run_python(f"""
import numpy as np, pydarts
x = np.ones((1, 2, 4, 4))
try:
    {call}
except (ValueError, TypeError, AttributeError):
    pass
""")
    assert done.returncode == 0, done.stderr


# Values that are not finite


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(
    "name", ["stem.0.weight", "cells.1._ops.3._ops.4.op.2.weight", "classifier.weight"]
)
def test_weights_that_are_not_finite_stop_a_step(name: str, order: int) -> None:
    net = supernet("float32")
    step = BilevelStep(net, order=order)
    step(train=batch(), valid=batch(seed=1), lr=0.1)
    net._engine.weights[:] = np.concatenate(
        [
            np.where(np.arange(a.size) == a.size // 2, np.nan, a.ravel())
            if n == name
            else a.ravel()
            for n, a in net.state_dict().items()
            if ".running_" not in n
        ]
    )
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


# Signals, threads, forks


def delay_of_interrupt(seconds: float, call: Callable[[], object]) -> float:
    """Raise KeyboardInterrupt by a timer's signal while calling, and return how late it comes."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGALRM, interrupt)
    due = time.perf_counter() + seconds
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        while True:
            call()
    except KeyboardInterrupt:
        return time.perf_counter() - due
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


needs_timer = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs setitimer")


@needs_timer
@pytest.mark.parametrize("call", ["logits", "loss_and_grads", "arch_gradient", "step"])
@pytest.mark.parametrize(("channels", "cells", "samples"), [(16, 8, 8), (4, 3, 200)])
def test_an_interrupt_is_honoured(call: str, channels: int, cells: int, samples: int) -> None:
    net = pydarts.Supernet(channels, cells, classes=3, in_channels=2, threads=2)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(samples, 2, 32, 32)).astype(np.float32)
    y = rng.integers(0, 3, samples)
    small = {"train": batch(), "valid": batch(seed=1)}
    step = BilevelStep(net)
    calls: dict[str, Callable[[], object]] = {
        "logits": lambda: net.logits(x),
        "loss_and_grads": lambda: net.loss_and_grads(x, y),
        "arch_gradient": lambda: arch_gradient(net, train=(x, y), valid=(x, y)),
        "step": lambda: step(train=(x, y), valid=(x, y), lr=0.1),
    }
    calls[call]()  # it makes its plan and takes its memory
    started = time.perf_counter()
    calls[call]()
    duration = time.perf_counter() - started
    before = snapshot(net)
    expected = net.loss_and_grads(*batch())[0]
    for part in (0.3, 0.6, 0.85):  # both in the forward and in the backward passes
        # A second chance, for the machine may do something else meanwhile.
        delays = (delay_of_interrupt(part * duration, calls[call]) for _ in range(3))
        assert any(delay < 0.2 for delay in delays), (part, duration)
    if call != "step":
        assert snapshot(net) == before
    assert net.loss_and_grads(*batch())[0] == expected or call == "step"
    step(**small, lr=0.1)


@needs_timer
@pytest.mark.parametrize("order", [1, 2])
def test_an_interrupted_step_changes_nothing(order: int) -> None:
    net = pydarts.Supernet(8, 3, classes=3, in_channels=2, threads=1)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(100, 2, 32, 32)).astype(np.float32), rng.integers(0, 3, 100)
    step = BilevelStep(net, order=order)
    small = {"train": batch(), "valid": batch(seed=1)}
    step(**small, lr=0.1)
    before = {**snapshot(net), **{n: a.tobytes() for n, a in step.momentum_buffer.items()}}
    timed = BilevelStep(pydarts.Supernet(8, 3, classes=3, in_channels=2, threads=1), order=order)
    started = time.perf_counter()
    timed(train=(x, y), valid=(x, y), lr=0.0)
    whole = time.perf_counter() - started
    for share in (0.05, 0.25, 0.5):
        delay_of_interrupt(share * whole, lambda: step(train=(x, y), valid=(x, y), lr=0.0))
        after = {**snapshot(net), **{n: a.tobytes() for n, a in step.momentum_buffer.items()}}
        assert step.steps == 1
        assert after == before
    twin = pydarts.Supernet(8, 3, classes=3, in_channels=2, threads=1)
    again = BilevelStep(twin, order=order)
    for _ in range(2):
        again(**small, lr=0.1)
    step(**small, lr=0.1)
    assert snapshot(net) == snapshot(twin)


def test_two_callers_at_once() -> None:
    net = supernet("float32")
    batches = [batch(samples, seed=samples) for samples in (8, 9)]
    expected = [net.loss_and_grads(*b) for b in batches]
    wrong: list[object] = []

    def call(which: int) -> None:
        for _ in range(20):
            loss, grads = net.loss_and_grads(*batches[which])
            good = expected[which][0] == loss and all(
                np.array_equal(a, flat(expected[which][1])[name]) for name, a in flat(grads).items()
            )
            if not good:
                wrong.append(which)

    callers = [threading.Thread(target=call, args=(which,)) for which in (0, 1)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
        assert not caller.is_alive()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("how", ["os", "multiprocessing"])
def test_a_fork_after_use(how: str) -> None:
    fork = """
pid = os.fork()
if pid == 0:
    os._exit(0 if loss() == expected else 1)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""
    if how == "multiprocessing":
        fork = """
import multiprocessing
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.starmap(loss, [(), ()]) == [expected, expected]
"""
    done = run_python(f"""
import os
import numpy as np, pydarts
net = pydarts.Supernet(2, 3, in_channels=1, threads=2)
x, y = np.random.default_rng(0).normal(size=(16, 1, 8, 8)), np.arange(16) % 10
def loss():
    return net.loss_and_grads(x, y)[0]
expected = loss()
{fork}
assert loss() == expected
""")
    assert done.returncode == 0, done.stderr


# Instruction sets


COMPUTE = """
import numpy as np, pydarts
rng = np.random.default_rng(0)
out = {}
for dtype in ("float32", "float64"):
    for kind in ("supernet", "derived"):
        size = dict(channels=5, cells=3, classes=3, in_channels=2, dtype=dtype, threads=2)
        if kind == "supernet":
            net = pydarts.Supernet(**size)
            net.set_alphas({n: rng.normal(size=(14, 8)) for n in ("normal", "reduce")})
        else:
            net = pydarts.Network(pydarts.DARTS_V1, **size, auxiliary=True)
        rng = np.random.default_rng(1)
        x, y = rng.normal(size=(9, 2, 13, 18)), rng.integers(0, 3, 9)
        loss, grads = net.loss_and_grads(x, y)
        key = f"{dtype} {kind} "
        out[key + "loss"] = loss
        out[key + "logits"] = net.logits(x, training=False)
        for gradients in grads.values():
            out.update({key + name: a for name, a in gradients.items()})
assert pydarts._core.instruction_set() == sys.argv[1], pydarts._core.instruction_set()
np.savez(sys.argv[2], **out)
"""


@pytest.fixture(scope="module")
def by_isa(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Array]]:
    """Return what each instruction set of this machine computes."""
    results = {}
    for isa in every_isa:
        path = tmp_path_factory.mktemp("isa") / "out.npz"
        code = f"sys.argv = ['', {isa!r}, {str(path)!r}]\n{COMPUTE}"
        done = run_python(code, PYDARTS_ISA=isa)
        assert done.returncode == 0, done.stderr
        with np.load(path) as arrays:
            results[isa] = dict(arrays)
    return results


@pytest.mark.parametrize("isa", every_isa[1:])
@pytest.mark.parametrize(("dtype", "tol"), [("float32", 1e-4), ("float64", 1e-10)])
def test_instruction_sets_agree(
    by_isa: dict[str, dict[str, Array]], isa: str, dtype: str, tol: float
) -> None:
    expected, actual = by_isa[every_isa[0]], by_isa[isa]
    assert actual.keys() == expected.keys()
    for kind in ("supernet", "derived"):
        names = [name for name in expected if name.startswith(f"{dtype} {kind}")]
        assert len(names) > 20
        largest = max(abs(expected[name]).max(initial=0) for name in names)
        for name in names:
            limit = tol * max(abs(expected[name]).max(initial=0), 1e-3 * largest)
            np.testing.assert_allclose(
                actual[name], expected[name], rtol=0, atol=limit, err_msg=name
            )


def test_an_unknown_instruction_set_is_refused() -> None:
    code = "import pydarts, numpy as np; pydarts.Supernet(1, 3).logits(np.ones((2, 3, 4, 4)))"
    done = run_python(code, PYDARTS_ISA="nonsense")
    assert done.returncode == 1
    assert "PYDARTS_ISA (=nonsense)" in done.stderr
