# SPDX-License-Identifier: MIT
"""Mixing weights as input, inactive operations, passes without gradients, class distributions."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from nets import Net, batch, derived, flat, snapshot, supernet
from plain import Array

import pydarts
from pydarts.engine.sgd import SGD
from pydarts.spaces import (
    DARTS,
    S4,
    Operation,
    avg_pool,
    batch_norm,
    depthwise,
    max_pool,
    pointwise,
    relu,
)

Groups = dict[str, Array]
OPTIONS = {"momentum": 0.9, "weight_decay": 0.02, "max_grad_norm": 5.0}

#: Pools within chains, which cut them into hidden nodes, and a pool that two terms share.
CHAINS = [
    Operation("pool_first", [max_pool(3), relu, pointwise, batch_norm]),
    Operation("pool_last", [relu, depthwise(3), pointwise, batch_norm, avg_pool(3)]),
    Operation("pool_amid", [relu, pointwise, batch_norm, avg_pool(3), relu, pointwise, batch_norm]),
    *(op for op in DARTS.operations if "sep_conv" not in op.name and op.name != "dil_conv_5x5"),
]


def chains(dtype: str = "float64", threads: int = 1, **options: Any) -> pydarts.Supernet:
    """Return a supernet of `CHAINS`."""
    space = DARTS.replace(name="chains", operations=CHAINS)
    return pydarts.Supernet(
        3, 3, 3, in_channels=2, dtype=dtype, threads=threads, space=space, **options
    )


def sampled(
    net: pydarts.Supernet, seed: int = 0, count: int = 1, nones: bool = True
) -> tuple[Groups, Groups]:
    """Return positive weights, and ``count`` active operations an edge."""
    rng = np.random.default_rng(seed)
    mixing = {name: rng.uniform(0.2, 1.5, a.shape) for name, a in net.alphas.items()}
    active = {}
    for cell in net.space.cells:
        keys = rng.random(mixing[cell.name].shape)
        if not nones:
            keys += [[op.is_none for op in row] for row in cell.candidates]
        active[cell.name] = keys.argsort(axis=1).argsort(axis=1) < count
    return mixing, active


def softmax(net: pydarts.Supernet | pydarts.RecurrentSupernet) -> Groups:
    """Return the softmax of a network's alphas, by the C library's exponential."""
    result = {}
    for name, alphas in net.alphas.items():
        rows = []
        for row in alphas.tolist():
            powers = [math.exp(a - max(row)) for a in row]
            total = 0.0
            for power in powers:
                total += power
            rows.append([power / total for power in powers])
        result[name] = np.array(rows)
    return result


@pytest.mark.parametrize("memory", ["store", "recompute"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_softmax_as_mixing_weights_changes_nothing(dtype: str, memory: str) -> None:
    # The engine's own softmax is not rounded to float32; in float64 there is no difference.
    exact = dtype == "float64"

    def same(found: Any, expected: Any, name: str = "") -> None:
        atol = 0.0 if exact else 2e-5 * max(1e-3, float(np.abs(expected).max()))
        np.testing.assert_allclose(found, expected, rtol=0, atol=atol, err_msg=name)

    net = chains(dtype, memory=memory)
    rng = np.random.default_rng(1)
    net.set_alphas({name: rng.normal(size=a.shape) for name, a in net.alphas.items()})
    x, y = batch()
    mixing = softmax(net)
    everything = {name: np.ones(a.shape, bool) for name, a in mixing.items()}
    loss, plain = net.loss_and_grads(x, y)
    for active in (None, everything):
        given: dict[str, Any] = {"mixing": mixing, "active": active}
        found, grads = net.loss_and_grads(x, y, wrt=("weights", "mixing"), **given)
        same(found, loss)
        for name, g in plain["weights"].items():
            same(grads["weights"][name], g, name)
        for name, p in mixing.items():
            q = grads["mixing"][name]
            chained = p * (q - (p * q).sum(1, keepdims=True))
            tolerance = 1e-4 if dtype == "float32" else 1e-11
            np.testing.assert_allclose(
                chained, plain["alphas"][name], atol=tolerance * np.abs(q).max()
            )
        for training in (True, False):
            same(net.logits(x, training=training, **given), net.logits(x, training=training))
        same(net.loss(x, y, **given)[0], net.loss(x, y)[0])
        assert net.loss(x, y)[0] == loss


@pytest.mark.parametrize("count", [1, 3])
def test_gradients_are_those_of_finite_differences(count: int) -> None:
    net = chains()
    x, y = batch()
    mixing, active = sampled(net, count=count)
    _, grads = net.loss_and_grads(x, y, wrt=("weights", "mixing"), mixing=mixing, active=active)
    h = 1e-6
    rng = np.random.default_rng(3)
    for group, a in mixing.items():
        for edge, k in rng.permutation(list(np.ndindex(a.shape)))[:20]:
            losses = []
            for sign in (1, -1):
                changed = {name: m.copy() for name, m in mixing.items()}
                changed[group][edge, k] += sign * h
                losses.append(net.loss(x, y, mixing=changed, active=active)[0])
            found = grads["mixing"][group][edge, k]
            assert found == pytest.approx((losses[0] - losses[1]) / (2 * h), abs=2e-8)
            assert active[group][edge, k] or found == 0.0
    w, d = net.flat_weights, np.concatenate([g.ravel() for g in grads["weights"].values()])
    for i in rng.permutation(len(w))[:60]:
        before, losses = w[i], []
        for sign in (1, -1):
            w[i] = before + sign * h
            losses.append(net.loss(x, y, mixing=mixing, active=active)[0])
        w[i] = before
        assert d[i] == pytest.approx((losses[0] - losses[1]) / (2 * h), abs=2e-7)


def smaller(net: pydarts.Supernet, active: Groups) -> pydarts.Supernet:
    """Return a supernet whose edges hold the active operations only, with the same weights."""
    cells, kept = [], {}
    for cell in net.space.cells:
        rows = active[cell.name]
        cells.append(
            dataclasses.replace(
                cell,
                edges=tuple(
                    tuple(op for op, on in zip(candidates, row, strict=True) if on)
                    for candidates, row in zip(cell.candidates, rows, strict=True)
                ),
            )
        )
        kept[cell.name] = [np.flatnonzero(row).tolist() for row in rows]
    space = net.space.replace(name="smaller", cells=cells)
    other = pydarts.Supernet(3, 3, 3, in_channels=2, dtype="float64", threads=1, space=space)
    own = net.state_dict()
    other.load_state_dict({name: own[renamed(net, kept, name)] for name in other.state_dict()})
    return other


def renamed(net: pydarts.Supernet, kept: dict[str, list[list[int]]], name: str) -> str:
    """Return what a weight of the smaller network is called in the whole one."""
    parts = name.split(".")
    if "_ops" not in parts:
        return name
    edge, op = int(parts[3]), int(parts[5])
    parts[5] = str(kept[kind_of(int(parts[1]))][edge][op])
    return ".".join(parts)


def kind_of(cell: int) -> str:
    """Return the kind of a cell of three."""
    return "normal" if cell == 0 else "reduce"


@pytest.mark.parametrize("memory", ["store", "recompute"])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("seed", range(4))
def test_inactive_operations_are_as_if_they_were_not_there(
    seed: int, count: int, memory: str
) -> None:
    net = chains(memory=memory)
    x, y = batch()
    net.loss_and_grads(*batch(seed=9))  # leaves its numbers in the memory of the pass
    mixing, active = sampled(net, seed, count, nones=False)
    loss, grads = net.loss_and_grads(x, y, wrt=("weights", "mixing"), mixing=mixing, active=active)
    other = smaller(net, active)
    kept = {name: [np.flatnonzero(row).tolist() for row in a] for name, a in active.items()}
    given = {n: np.array([m[a] for m, a in zip(mixing[n], active[n], strict=True)]) for n in mixing}
    wanted, expected = other.loss_and_grads(x, y, wrt=("weights", "mixing"), mixing=given)
    assert loss == pytest.approx(wanted, rel=1e-12)
    left = dict(grads["weights"])
    for name, g in expected["weights"].items():
        actual = left.pop(renamed(net, kept, name))
        np.testing.assert_allclose(actual, g, rtol=1e-10, atol=1e-12, err_msg=name)
    assert left
    assert all(not g.any() for g in left.values())
    for name, on in active.items():
        np.testing.assert_allclose(
            grads["mixing"][name][on], expected["mixing"][name].ravel(), rtol=1e-10, atol=1e-12
        )
        assert not grads["mixing"][name][~on].any()
    for training in (True, False):
        np.testing.assert_allclose(
            net.logits(x, training=training, mixing=mixing, active=active),
            other.logits(x, training=training, mixing=given),
            atol=1e-11,
        )


@pytest.mark.parametrize("memory", ["store", "recompute"])
def test_a_node_without_active_operations_is_zero(memory: str) -> None:
    net = chains(memory=memory)
    x, y = batch()
    net.loss_and_grads(*batch(seed=9))
    mixing, active = sampled(net, count=3)
    for name in active:
        active[name][2:5] = False  # all edges of the second node
    zeros = {name: np.where(active[name], mixing[name], 0.0) for name in mixing}
    given: dict[str, Any] = {"mixing": mixing, "active": active}
    loss, grads = net.loss_and_grads(x, y, wrt=("weights", "mixing"), **given)
    # All are computed here, and zero times what they give is added.
    wanted, expected = net.loss_and_grads(x, y, wrt=("weights", "mixing"), mixing=zeros)
    assert loss == pytest.approx(wanted, rel=1e-12)
    for name, g in expected["weights"].items():
        np.testing.assert_allclose(grads["weights"][name], g, atol=1e-12, err_msg=name)
    for name, on in active.items():
        q = expected["mixing"][name]
        np.testing.assert_allclose(grads["mixing"][name][on], q[on], rtol=1e-9, atol=1e-12)
    nothing = {name: np.zeros_like(a) for name, a in active.items()}
    logits = net.logits(x, mixing=mixing, active=nothing)
    np.testing.assert_array_equal(logits, np.broadcast_to(logits[0], logits.shape))
    bias = net.state_dict()["classifier.bias"]
    np.testing.assert_allclose(logits[0], bias, atol=1e-14)


def test_noise_is_drawn_only_where_it_is_active_and_is_the_same_there() -> None:
    net = pydarts.Supernet(3, 3, 3, in_channels=2, dtype="float64", threads=1, space=S4)
    x, y = batch()
    mixing, active = sampled(net, seed=5)
    zeros = {name: np.where(active[name], mixing[name], 0.0) for name in mixing}
    loss, grads = net.loss_and_grads(x, y, wrt=("weights", "mixing"), mixing=mixing, active=active)
    wanted, expected = net.loss_and_grads(x, y, wrt=("weights", "mixing"), mixing=zeros)
    assert loss == pytest.approx(wanted, rel=1e-12)
    for name, on in active.items():
        np.testing.assert_allclose(
            grads["mixing"][name][on], expected["mixing"][name][on], rtol=1e-9, atol=1e-12
        )


def test_recompute_and_threads_change_no_bit() -> None:
    x, y = batch(samples=11)
    seen = []
    for memory in ("store", "recompute"):
        for threads in (1, 2, 3):
            net = chains("float32", threads, memory=memory)
            mixing, active = sampled(net, seed=2)
            step = SGD(net, **OPTIONS)
            step(x, y, 0.1, mixing=mixing, active=active)
            loss, grads = net.loss_and_grads(
                x, y, wrt=("weights", "mixing"), mixing=mixing, active=active
            )
            everything = {**snapshot(net), **{n: g.tobytes() for n, g in flat(grads).items()}}
            seen.append((loss, everything, step.state()["buffer"].tobytes()))
    for other in seen[1:]:
        assert other == seen[0]


def test_a_step_leaves_the_weights_of_inactive_operations_alone() -> None:
    net, twin = chains(), chains()
    step = SGD(net, momentum=0.9, weight_decay=0.02, max_grad_norm=0.5)
    state = twin.split_weights(twin.flat_weights)
    buffer = {name: np.zeros_like(w) for name, w in state.items()}
    clipped, touched = 0, set()
    for t in range(4):
        x, y = batch(seed=t)
        mixing, active = sampled(net, seed=t)
        running = net.state_dict()
        step(x, y, 0.1, mixing=mixing, active=active)
        _, grads = twin.loss_and_grads(x, y, wrt="weights", mixing=mixing, active=active)
        used = {n for n in state if is_used(n, active)}
        norm = np.sqrt(sum((grads["weights"][name] ** 2).sum() for name in used))
        clipped += norm > 0.5
        for name in used:
            g = grads["weights"][name] * min(1.0, 0.5 / (norm + 1e-6))
            buffer[name] = 0.9 * buffer[name] + g + 0.02 * state[name]
            state[name][...] -= 0.1 * buffer[name]
        touched |= used
        for name, value in net.state_dict().items():
            if "running" in name:
                changed = bool((value != running[name]).any())
                assert changed == is_used(name, active), name
    assert clipped
    assert touched != state.keys()
    actual = step.state()["buffer"]
    np.testing.assert_allclose(
        actual, np.concatenate([b.ravel() for b in buffer.values()]), atol=1e-12
    )
    np.testing.assert_allclose(net.flat_weights, twin.flat_weights, atol=1e-12)
    untouched = [n for n in state if n not in touched]
    whole = chains().state_dict()
    theirs = net.state_dict()
    for name in untouched:
        np.testing.assert_array_equal(theirs[name], whole[name], err_msg=name)


def is_used(name: str, active: Groups) -> bool:
    """Whether a tensor is not of an inactive operation."""
    parts = name.split(".")
    return "_ops" not in parts or bool(active[kind_of(int(parts[1]))][int(parts[3]), int(parts[5])])


def test_a_loss_is_a_forward_pass_and_changes_nothing() -> None:
    for net in (supernet(), derived()):
        x, y = batch()
        before = snapshot(net)
        loss, correct = net.loss(x, y)
        assert loss == net.loss_and_grads(x, y)[0]
        if isinstance(net, pydarts.Supernet):
            assert correct == (net.logits(x).argmax(1) == y).sum()
        assert snapshot(net) == before


def test_inactive_operations_and_losses_take_less_time_than_all() -> None:
    """Tasks are counted, for time depends on the machine."""
    net = supernet(threads=2)
    x, y = batch()
    mixing, active = sampled(net)

    def loops(**options: Any) -> int:
        def call() -> None:
            net.loss(x, y, **options)

        return len(net._engine.record_tasks(call))

    def both() -> None:
        net.loss_and_grads(x, y)

    assert loops(mixing=mixing, active=active) < loops()
    assert 2 * loops() < len(net._engine.record_tasks(both)) + 4


@pytest.mark.parametrize("net", [supernet(), derived()], ids=["supernet", "derived"])
def test_distributions_on_one_class_are_labels(net: Net) -> None:
    x, y = batch()
    one_hot = np.eye(3)[y]
    loss, grads = net.loss_and_grads(x, y)
    found, same = net.loss_and_grads(x, one_hot)
    assert found == pytest.approx(loss, rel=1e-12)
    for name, g in flat(grads).items():
        np.testing.assert_allclose(flat(same)[name], g, rtol=1e-9, atol=1e-12, err_msg=name)
    assert net.loss(x, one_hot)[1] == net.loss(x, y)[1]


def test_the_loss_of_distributions_by_hand() -> None:
    net = supernet()
    x, _ = batch()
    targets = np.random.default_rng(7).uniform(0.0, 2.0, (len(x), 3))
    z = net.logits(x)
    log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
    loss, grads = net.loss_and_grads(x, targets)
    assert loss == pytest.approx(-(targets * log_p).sum() / len(x), rel=1e-12)
    d_bias = (np.exp(log_p) * targets.sum(1, keepdims=True) - targets).sum(0) / len(x)
    np.testing.assert_allclose(grads["weights"]["classifier.bias"], d_bias, rtol=1e-10)
    assert net.loss(x, targets)[1] == (z.argmax(1) == targets.argmax(1)).sum()


def test_distributions_mix_linearly_everywhere() -> None:
    """Loss and gradients are linear in the targets, the auxiliary head's too."""
    x, y = batch()
    one_hot, uniform = np.eye(3)[y], np.full((len(y), 3), 1 / 3)
    smooth = 0.9 * one_hot + 0.1 * uniform
    for net in (supernet(), derived()):
        parts = [net.loss_and_grads(x, t) for t in (one_hot, uniform, smooth)]
        assert parts[2][0] == pytest.approx(0.9 * parts[0][0] + 0.1 * parts[1][0], rel=1e-12)
        for name, g in flat(parts[2][1]).items():
            a, b = (flat(part[1])[name] for part in parts[:2])
            np.testing.assert_allclose(g, 0.9 * a + 0.1 * b, atol=1e-12, err_msg=name)


def test_steps_take_distributions() -> None:
    x, y = batch()
    xv, yv = batch(seed=1)
    one_hot = {"train": (x, np.eye(3)[y]), "valid": (xv, np.eye(3)[yv])}
    plain = {"train": (x, y), "valid": (xv, yv)}
    nets = [supernet(), supernet()]
    for order in (1, 2):
        gradients = [
            pydarts.bilevel.arch_gradient(nets[0], **data, order=order, eta=0.1)
            for data in (plain, one_hot)
        ]
        for name, g in gradients[0].items():
            np.testing.assert_allclose(gradients[1][name], g, rtol=1e-5, atol=1e-10)
    for net, data in zip(nets, (plain, one_hot), strict=True):
        pydarts.bilevel.BilevelStep(net, order=1)(**data, lr=0.1)
        SGD(net, **OPTIONS)(*data["train"], 0.1)
    theirs = nets[1].state_dict()
    for name, w in nets[0].state_dict().items():
        np.testing.assert_allclose(theirs[name], w, atol=1e-10, err_msg=name)


def test_what_does_not_fit_is_named() -> None:
    net, (x, y) = supernet(), batch()
    mixing, active = sampled(net)

    def refused(text: str, kind: type[Exception] = ValueError, **options: Any) -> None:
        arguments = {"x": x, "y": y, "mixing": mixing, "active": active, **options}
        with pytest.raises(kind, match=text):
            net.loss_and_grads(**{"wrt": "weights", **arguments})
        if "wrt" not in options:
            with pytest.raises(kind, match=text):
                net.loss(**arguments)
            with pytest.raises(kind, match=text):
                SGD(net, **OPTIONS)(lr=0.1, **arguments)
            if "y" not in options:
                with pytest.raises(kind, match=text):
                    net.logits(x, mixing=arguments["mixing"], active=arguments["active"])

    before = snapshot(net)
    nan = {**mixing, "normal": np.full((14, 8), np.nan)}
    refused("`active` needs `mixing`", mixing=None)
    refused("`mixing` does not fit: 1 names missing", mixing={"normal": mixing["normal"]})
    refused(
        r"`mixing\['normal'\]` has the shape \(8, 14\)", mixing={k: m.T for k, m in mixing.items()}
    )
    refused(r"`mixing\['normal'\]` holds a value that is not finite", mixing=nan)
    refused("`mixing` must be a mapping", TypeError, mixing=mixing["normal"])
    refused("`active` does not fit: 1 names unknown", active={**active, "other": active["normal"]})
    refused(r"`active\['normal'\]` has the shape", active={k: a[1:] for k, a in active.items()})
    refused(r"`active\['normal'\]` holds float64, not booleans", TypeError, active=mixing)
    refused("`wrt` holds 'alphas'", wrt="alphas")
    refused("`wrt` holds 'mixing', but", wrt="mixing", mixing=None, active=None)
    refused("`wrt` .* may hold 'weights', 'alphas' and 'mixing'", wrt="images")
    refused(r"`y` has the shape \(6, 2\), not \(6, 3\)", y=np.ones((6, 2)))
    refused(r"`y` has the shape \(5, 3\), not \(6, 3\)", y=np.ones((5, 3)))
    refused("`y` holds -1.0; it must be finite, at least 0", y=-np.ones((6, 3)))
    refused("`y` holds inf", y=np.full((6, 3), np.inf))
    refused("`y` must hold integers", TypeError, y=np.ones(6))
    assert snapshot(net) == before
    with pytest.raises(ValueError, match="`mixing` is for networks with mixed operations"):
        derived().loss(x, y, mixing={})


def test_the_engine_refuses_what_does_not_fit() -> None:
    engine, (x, y) = supernet()._engine, batch()
    y = y.astype(np.int32)
    ones, flags = np.ones(224), np.ones(224, np.uint8)

    def refused(text: str, *arguments: Any) -> None:
        with pytest.raises(ValueError, match=text):
            engine.evaluate(x, *arguments)

    refused("`mixing` has 223 entries, not 224", y, True, True, None, ones[1:])
    refused("`active` has 223 entries, not 224", y, True, True, None, ones, flags[1:])
    refused("`active` needs `mixing`", y, True, True, None, None, flags)
    refused(r"`mixing\[0\]` \(=inf\) must be finite", y, True, True, None, ones * np.inf)
    refused(r"`targets` must have the shape \(6, 3\)", np.ones((6, 4)), True, True)
    refused("target -1 of class 0 of sample 0", -np.ones((6, 3)), True, True)
    refused("target nan of class 0", np.full((6, 3), np.nan), True, True)


def text_net() -> tuple[pydarts.RecurrentSupernet, Array, Array]:
    """Return a recurrent supernet without dropout, tokens and those that follow them."""
    names = ("dropout", "dropout_hidden", "dropout_input", "dropout_embedding")
    none: dict[str, Any] = dict.fromkeys(names, 0.0)
    net = pydarts.RecurrentSupernet(7, 9, dtype="float64", threads=1, **none)
    rng = np.random.default_rng(0)
    net.set_alphas({name: rng.normal(size=a.shape) for name, a in net.alphas.items()})
    tokens = rng.integers(0, 7, (6, 3))
    return net, tokens[:-1], tokens[1:]


def test_the_softmax_as_mixing_weights_of_a_recurrent_network() -> None:
    net, x, y = text_net()
    mixing = softmax(net)
    loss, plain = net.loss_and_grads(x, y)
    found, grads = net.loss_and_grads(x, y, wrt=("weights", "mixing"), mixing=mixing)
    assert found == loss
    for name, g in plain["weights"].items():
        np.testing.assert_array_equal(grads["weights"][name], g, err_msg=name)
    for name, p in mixing.items():
        q = grads["mixing"][name]
        chained = p * (q - (p * q).sum(1, keepdims=True))
        np.testing.assert_allclose(chained, plain["alphas"][name], rtol=1e-9, atol=1e-13)
    assert net.evaluate(x, y, mixing=mixing)[0] == net.evaluate(x, y)[0]
    states = []
    for given in (mixing, None):
        twin, *_ = text_net()
        SGD(twin, momentum=0.0, weight_decay=0.1, max_grad_norm=1.0)(x, y, 0.1, mixing=given)
        states.append(twin.state_dict())
    for name, w in states[0].items():
        np.testing.assert_array_equal(states[1][name], w, err_msg=name)


def test_recurrent_gradients_are_those_of_finite_differences() -> None:
    net, x, y = text_net()
    rng = np.random.default_rng(2)
    mixing = {name: rng.uniform(-0.5, 1.0, a.shape) for name, a in net.alphas.items()}
    _, grads = net.loss_and_grads(x, y, wrt="mixing", mixing=mixing)
    assert grads.keys() == {"mixing"}
    h = 1e-6
    for name, a in mixing.items():
        for at in np.ndindex(a.shape):
            losses = []
            for sign in (1, -1):
                changed = {**mixing, name: a.copy()}
                changed[name][at] += sign * h
                losses.append(net.loss_and_grads(x, y, wrt=(), mixing=changed)[0])
            wanted = (losses[0] - losses[1]) / (2 * h)
            assert grads["mixing"][name][at] == pytest.approx(wanted, abs=1e-8)


def test_what_does_not_fit_a_recurrent_network_is_named() -> None:
    net, x, y = text_net()
    step = SGD(net, momentum=0.0, weight_decay=0.0, max_grad_norm=1.0)
    with pytest.raises(ValueError, match="`active` is for networks over images"):
        step(x, y, 0.1, mixing=net.alphas, active=net.alphas)
    with pytest.raises(ValueError, match="`mixing` does not fit"):
        step(x, y, 0.1, mixing={})
    with pytest.raises(ValueError, match="`wrt` holds 'alphas'"):
        net.loss_and_grads(x, y, mixing=net.alphas)
    with pytest.raises(ValueError, match="`mixing` has 3 entries"):
        net._engine.test(x, y, np.zeros((3, 9)), np.ones(3))
    cell = pydarts.RecurrentNetwork(pydarts.RECURRENT_DARTS_V2, 7, 9, threads=1)
    with pytest.raises(ValueError, match="`mixing` is for networks with mixed operations"):
        cell.loss_and_grads(x, y, wrt="weights", mixing={})
