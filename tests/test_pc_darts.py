# SPDX-License-Identifier: MIT
"""Partial channels and the weights of edges, against the network in plain NumPy."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from nets import batch, by_edge, flat, require_same_bits
from plain import STEP, Array, max_pool
from plain_spaces import PlainNetwork, cross_entropy, resolve, softmax
from runs import noise
from test_mixture import CHAINS

import pydarts
from pydarts.methods.pc_darts import PcDarts
from pydarts.report.report_data import ReportData
from pydarts.spaces import DARTS, NAS_BENCH_201, S4, Space, as_space

IMAGES: dict[str, Any] = {"channels": 4, "cells": 1, "batch_size": 4, "seed": 3, "threads": 1}


@dataclass(frozen=True)
class PartialNetwork(PlainNetwork):
    """A search network whose operations see the first of `partial` parts of the channels."""

    partial: int = 1

    def _node(self, run: Any, cell: Any, states: Sequence[Array], terms: Any, *rest: Any) -> Array:
        layer, k, total = rest[0], self.partial, np.zeros(())
        part, number = layer.channels // k, len(states) - cell["inputs"]
        weights = softmax(run.alphas[f"{cell['name']}.edges"][number, : len(states)])
        for j, x in enumerate(states):
            stride = layer.stride if j < cell["inputs"] else 1
            passing = x[:, part:]
            if stride == 2:
                axes = run.axes(2)
                odd = [(0, side % step) for side, step in zip(x.shape[2:], axes, strict=True)]
                passing = np.pad(passing, ((0, 0), (0, 0), *odd), constant_values=-np.inf)
                passing = max_pool(passing, axes, axes, (0, 0))
            mixed: Any = np.zeros_like(passing[:, :1].repeat(part, axis=1))
            for share, operation, source, name in terms:
                kind = operation.stages[0].kind if operation.stages else ""
                if source == j and kind not in ("none", "noise"):
                    y = run.operation(operation, name, x[:, :part], part, stride)
                    mixed = mixed + share * y
            edge = np.concatenate([mixed, passing], axis=1)
            n, _, h, w = edge.shape
            groups = edge.reshape(n, k, part, h, w)
            total = total + weights[j] * groups.swapaxes(1, 2).reshape(edge.shape)
        result: Array = total
        return result


def chains() -> Space:
    return DARTS.replace(name="chains", operations=CHAINS)


IN_SLOW = ("whole blocks", "thirds on odd sides", "chains")
CASES: dict[str, tuple[Space, int, int, tuple[int, int]]] = {
    "darts": (DARTS, 8, 4, (8, 6)),
    "one channel, down to one pixel": (DARTS, 4, 4, (2, 8)),
    "whole blocks": (DARTS, 16, 2, (4, 8)),
    "thirds on odd sides": (DARTS, 6, 3, (7, 9)),
    "chains": (chains(), 4, 2, (8, 8)),
    "nas-bench-201": (NAS_BENCH_201, 8, 4, (4, 8)),
    "signals": (as_space("darts-1d"), 8, 4, (1, 30)),
    "by-edge": (by_edge(), 4, 2, (4, 8)),
}


def network(
    space: Space = DARTS, channels: int = 8, k: int = 4, dtype: str = "float64", **options: Any
) -> pydarts.Supernet:
    cells = 1 if space.stack is not None and space.stack.counts_stages else 3
    size = {"channels": channels, "cells": cells, "classes": 3, "in_channels": 2, "threads": 1}
    given = {**size, "dtype": dtype, "space": space, "partial_channels": k, **options}
    net = pydarts.Supernet(**given)
    rng = np.random.default_rng(7)
    net.set_alphas({name: rng.normal(size=a.shape) for name, a in net.alphas.items()})
    return net


def pair(case: str, memory: str = "store") -> tuple[pydarts.Supernet, PartialNetwork, Any, Any]:
    """Return a network, the same in plain NumPy, and a batch."""
    space, channels, k, shape = CASES[case]
    net = network(space, channels, k, memory=memory)
    cells = 1 if space.stack is not None and space.stack.counts_stages else 3
    plain = PartialNetwork(resolve(space.to_dict()), channels, cells, 3, 2, partial=k)
    rng = np.random.default_rng(1)
    return net, plain, rng.normal(size=(4, 2, *shape)), np.array([0, 2, 1, 0])


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[pytest.mark.slow] if case in IN_SLOW else []) for case in CASES],
)
def test_logits_and_gradients_are_those_in_plain_numpy(case: str) -> None:
    net, plain, x, y = pair(case)
    given = x[:, :, 0] if net.dimensions == 1 else x
    state, alphas = net.state_dict(), net.alphas
    for training in (True, False):
        expected = plain.logits(state, alphas, x, by_batch=training)
        np.testing.assert_allclose(
            net.logits(given, training=training), expected, rtol=0, atol=1e-10
        )
    loss, grads = net.loss_and_grads(given, y)
    assert loss == pytest.approx(cross_entropy(plain.logits(state, alphas, x), y), rel=1e-11)
    recomputed, again = pair(case, "recompute")[0].loss_and_grads(given, y)
    assert recomputed == loss
    for name, g in flat(again).items():
        np.testing.assert_array_equal(g, flat(grads)[name], err_msg=name)
    # Along random directions of the weights, of the operations' and of the edges' parameters.
    rng = np.random.default_rng(2)
    kinds = [name for name in alphas if name.endswith(".edges")]
    assert kinds == [cell.edge_group for cell in net.space.cells]
    for chosen in (list(grads["weights"]), [n for n in alphas if n not in kinds], kinds):
        gradient = {n: g for kind in grads.values() for n, g in kind.items() if n in chosen}
        along = {name: rng.normal(size=g.shape) for name, g in gradient.items()}
        moved: dict[str, Any] = {
            name: a + 1j * STEP * along[name] if name in along else a
            for name, a in {**state, **alphas}.items()
        }
        far = cross_entropy(plain.logits(moved, {n: moved[n] for n in alphas}, x), y)
        found = sum((gradient[name] * along[name]).sum() for name in chosen)
        assert found == pytest.approx(far.imag / STEP, rel=1e-9, abs=1e-12)


def test_entries_behind_the_edges_of_a_node_have_no_gradient() -> None:
    net, x, y = network(), *batch()
    ones = {name: np.ones_like(a) for name, a in net.alphas.items()}
    net.loss_and_grads(x, y, wrt=("mixing",), mixing=ones)  # nothing of it is left
    _, grads = net.loss_and_grads(x, y, wrt=("alphas",))
    for cell in net.space.cells:
        rows = grads["alphas"][cell.edge_group]
        exist = np.arange(rows.shape[1]) < np.arange(2, 2 + len(rows))[:, np.newaxis]
        assert (rows[exist] != 0).all()
        assert not rows[~exist].any()


def test_given_weights_are_as_the_softmax() -> None:
    net, x, y = network(), *batch()
    shares = {cell.name: cell.mixing_weights(net.alphas[cell.name]) for cell in net.space.cells}
    for cell in net.space.cells:
        shares[cell.edge_group] = cell.edge_weights(net.alphas[cell.edge_group])
    loss, grads = net.loss_and_grads(x, y)
    found, by_share = net.loss_and_grads(x, y, wrt=("weights", "mixing"), mixing=shares)
    assert found == pytest.approx(loss, rel=1e-12)
    for name, g in grads["weights"].items():
        np.testing.assert_allclose(by_share["weights"][name], g, atol=1e-12, err_msg=name)
    for name, p in shares.items():
        q = by_share["mixing"][name]
        chained = p * (q - (p * q).sum(axis=1, keepdims=True))
        np.testing.assert_allclose(grads["alphas"][name], chained, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(net.logits(x, mixing=shares), net.logits(x), atol=1e-11)


@pytest.mark.parametrize("memory", ["store", "recompute"])
def test_what_is_inactive_is_as_if_of_weight_zero(memory: str) -> None:
    net, x, y = network(channels=16, k=2, memory=memory), *batch()
    net.loss_and_grads(*batch(seed=9))  # leaves its numbers in the memory of the pass
    rng = np.random.default_rng(4)
    mixing = {name: rng.uniform(0.2, 1.5, a.shape) for name, a in net.alphas.items()}
    active = {name: rng.random(a.shape) < 0.4 for name, a in net.alphas.items()}
    active["normal.edges"][0] = False  # of this node operations alone are added up
    assert active["normal"][:2].any()
    active["normal"][2:5] = active["normal.edges"][1] = False  # the second node is zero
    loss, grads = net.loss_and_grads(x, y, wrt=("weights", "mixing"), mixing=mixing, active=active)
    # The weight of an edge is a factor of its operations, too: `active` is of what passes them by.
    zeros = {n: np.where(active[n], m, 0.0) if "edges" not in n else m for n, m in mixing.items()}
    everything = {n: np.ones(a.shape, bool) if "edges" not in n else a for n, a in active.items()}
    wanted, expected = net.loss_and_grads(
        x, y, wrt=("weights", "mixing"), mixing=zeros, active=everything
    )
    assert loss == pytest.approx(wanted, rel=1e-12)
    for name, g in expected["weights"].items():
        np.testing.assert_allclose(grads["weights"][name], g, atol=1e-12, err_msg=name)
    for name, on in active.items():
        q = expected["mixing"][name]
        if "edges" in name:
            np.testing.assert_allclose(grads["mixing"][name], q, atol=1e-12)
        else:
            np.testing.assert_allclose(grads["mixing"][name][on], q[on], atol=1e-12)


def test_recompute_and_threads_change_no_bit() -> None:
    require_same_bits(network, PcDarts(alpha_lr=0.01))


def test_noise_is_of_the_part() -> None:
    net, (x, y) = network(S4), batch()
    loss, grads = net.loss_and_grads(x, y)
    assert np.isfinite(loss)
    weights, h = net.flat_weights, 1e-6
    flat_gradient = np.concatenate([g.ravel() for g in grads["weights"].values()])
    for i in np.random.default_rng(0).permutation(len(weights))[:20]:
        before, losses = weights[i], []
        for sign in (1, -1):
            weights[i] = before + sign * h
            losses.append(net.loss(x, y)[0])
        weights[i] = before
        assert flat_gradient[i] == pytest.approx((losses[0] - losses[1]) / (2 * h), abs=2e-7)


def test_it_takes_less_memory() -> None:
    part, whole = (network(channels=64, k=k).memory_plan(16, 32)["activations"] for k in (4, 1))
    assert part < 0.5 * whole


def test_parameters_of_edges_are_architecture_parameters() -> None:
    net = network()
    shapes = {name: a.shape for name, a in net.alphas.items()}
    assert shapes == {
        "normal": (14, 8),
        "reduce": (14, 8),
        "normal.edges": (4, 5),
        "reduce.edges": (4, 5),
    }
    again = pickle.loads(pickle.dumps(net))
    assert again.partial_channels == 4
    for name, a in net.alphas.items():
        np.testing.assert_array_equal(again.alphas[name], a)
    drawn = pydarts.Supernet(8, 3, partial_channels=4).alphas["normal.edges"]
    assert 0 < np.abs(drawn).max() < 1e-2


def test_a_cell_is_derived_by_the_product() -> None:
    rng = np.random.default_rng(5)
    alphas = {name: rng.normal(size=(14, 8)) for name in ("normal", "reduce")}
    beta = {f"{name}.edges": rng.normal(size=(4, 5)) for name in alphas}
    found: Any = DARTS.derive({**alphas, **beta})
    changed = 0
    for name, alpha in alphas.items():
        p = np.exp(alpha) / np.exp(alpha).sum(axis=1, keepdims=True)
        p[:, 0] = 0.0  # `none` is not chosen
        expected, row = [], 0
        for node in range(4):
            q = softmax(beta[f"{name}.edges"][node, : 2 + node])
            scores = p[row : row + 2 + node] * q[:, np.newaxis]
            for j in np.argsort(-scores.max(axis=1))[:2]:
                expected.append((DARTS.operations[scores[j].argmax()].name, int(j)))
            row += 2 + node
        assert list(getattr(found, name)) == expected
        changed += list(getattr(DARTS.derive(alphas), name)) != expected
    assert changed


def test_a_search(tmp_path: Any) -> None:
    seen = []

    class Watch(pydarts.Callback):
        def on_step_end(self, loop: Any, info: Any) -> None:
            seen.append((loop.network.partial_channels, info.valid_loss is None))

    found = pydarts.search(
        *noise(), method="pc-darts", epochs=4, callbacks=[Watch()], progress=False, **IMAGES
    )
    assert seen == [(4, True)] * 3 + [(4, False)] * 9  # the first epoch is of the weights alone
    for name, history in found.alpha_history.items():
        assert len(history) == 5, name
        np.testing.assert_array_equal(history[0], history[1])
        assert (history[1] != history[2]).any()
    assert found.genotype == DARTS.derive(found.alphas)
    found.save(tmp_path)
    loaded = pydarts.SearchResult.load(tmp_path)
    assert loaded.alphas.keys() == found.alphas.keys()
    assert loaded.alpha_history["reduce.edges"].shape == (5, 4, 5)
    for data in (ReportData.from_result(found), ReportData.from_folder(tmp_path)):
        assert data.snapshots[-1].genotype == found.genotype


def test_when_alpha_begins() -> None:
    def first(epochs: int, **options: Any) -> int:
        method = PcDarts(**options)
        return [method.learns_in(epoch, epochs) for epoch in range(epochs)].index(True)

    assert [first(epochs) for epochs in (50, 100, 10, 2, 1)] == [15, 30, 3, 1, 0]
    assert first(10, warm_up=0.0) == 0
    assert first(3, warm_up=0.99) == 2


def test_budgets_know_of_it() -> None:
    options: dict[str, Any] = {**IMAGES, "channels": 32, "epochs": 1, "order": 1}
    part, whole = (
        pydarts.estimate(*noise(), method=name, **options).bytes
        for name in ("pc-darts", "beta-darts")
    )
    assert part < whole


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"`partial_channels` \(=4\) must divide `channels` \(=6"):
        network(channels=6)
    with pytest.raises(ValueError, match=r"`partial_channels` \(=0\)"):
        network(k=0)
    with pytest.raises(ValueError, match=r"`partial_channels` \(=4\) and `auxiliary_skip`"):
        network(auxiliary_skip=True)
    with pytest.raises(ValueError, match="`supernet` has `partial_channels`=1, not the 4 of"):
        PcDarts().step(network(k=1))
    with pytest.raises(ValueError, match=r"`warm_up` \(=1.0\) must lie in \[0, 1\)"):
        PcDarts(warm_up=1.0)
    lacking = r"`method` \(='pc-darts'\) needs a supernet with `partial_channels`"
    with pytest.raises(ValueError, match=lacking):
        pydarts.search_text("a cat sat " * 40, level="word", method="pc-darts", progress=False)
    good = network().alphas
    for name, wrong in (
        ("normal.edges", np.zeros((4, 4))),
        ("normal.edges", np.full((4, 5), np.nan)),
        ("normal.edges", np.zeros((4, 5), bool)),
    ):
        with pytest.raises(ValueError, match=r"`alphas\['normal.edges'\]` (must hold|holds)"):
            DARTS.derive({**good, name: wrong})
    with pytest.raises(ValueError, match=r"must map 'normal' and 'reduce' to arrays"):
        DARTS.derive({**good, "other": np.zeros((4, 5))})
