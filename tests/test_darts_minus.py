# SPDX-License-Identifier: MIT
"""The auxiliary skip of DARTS-: the passes against a space that has it as an operation."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest
from nets import batch, by_edge, require_same_bits
from plain import Array
from runs import noise

import pydarts
from pydarts.engine.sgd import SGD
from pydarts.methods.darts_minus import DartsMinus
from pydarts.spaces import DARTS, NAS_BENCH_201, Operation, Space, as_space
from pydarts.training.checkpoint import read_checkpoint

OPTIONS = {"momentum": 0.9, "weight_decay": 0.02, "max_grad_norm": 0.5}
SEARCH: dict[str, Any] = {"channels": 1, "cells": 1, "batch_size": 4, "progress": False}
SPACES = {"darts": DARTS, "nas-bench-201": NAS_BENCH_201, "by-edge": by_edge()}


def network(space: Space = DARTS, dtype: str = "float64", **options: Any) -> pydarts.Supernet:
    cells = 1 if space.stack is not None and space.stack.counts_stages else 3
    size = {"channels": 3, "cells": cells, "classes": 3, "in_channels": 2, "threads": 1}
    return pydarts.Supernet(**{**size, **options}, dtype=dtype, space=space)


def skipping(space: Space = DARTS, dtype: str = "float64", **options: Any) -> pydarts.Supernet:
    return network(space, dtype, auxiliary_skip=True, **options)


def with_operation(net: pydarts.Supernet) -> pydarts.Supernet:
    """Return a network of the same weights whose edges have the skip as their last operation."""
    last = Operation("auxiliary", [])
    cells = [
        dataclasses.replace(c, edges=tuple((*row, last) for row in c.candidates))
        for c in net.space.cells
    ]
    other = network(net.space.replace(name="one-more", cells=cells, extra_operations=[]))
    own = net.state_dict()
    other.load_state_dict({name: own[renamed(net, name)] for name in other.state_dict()})
    return other


def renamed(net: pydarts.Supernet, name: str) -> str:
    """Return what a weight of such a network is called in the one with auxiliary skips."""
    parts = name.split(".")
    if "_ops" not in parts[2:-1] and "edges" not in parts:
        return name
    at = 5 if "_ops" in parts else 4
    row = net.space.cells[-1 if parts[1] != "0" else 0].candidates[edge_of(parts)]
    if int(parts[at]) == len(row):
        parts[at] = "auxiliary_skip"
    return ".".join(parts)


def edge_of(parts: list[str]) -> int:
    if "_ops" in parts:
        return int(parts[3])
    return ["1<-0", "2<-0", "2<-1", "3<-0", "3<-1", "3<-2"].index(parts[3])


def given(net: pydarts.Supernet, other: pydarts.Supernet, b: float) -> tuple[Any, Any, Any]:
    """Return mixing weights of both networks, and what is active where the skips are not."""
    rng, mixing, more, active = np.random.default_rng(4), {}, {}, {}
    for cell in net.space.cells:
        shape = net.alphas[cell.name].shape
        mixing[cell.name] = rng.uniform(0.2, 1.5, shape)
        more[cell.name] = np.zeros((shape[0], shape[1] + 1))
        more[cell.name][:, : shape[1]] = mixing[cell.name]
        last = [len(row) for row in cell.candidates]
        more[cell.name][np.arange(shape[0]), last] = b
        active[cell.name] = np.arange(shape[1] + 1) < np.array(last)[:, np.newaxis]
    assert {n: a.shape for n, a in more.items()} == {n: a.shape for n, a in other.alphas.items()}
    return mixing, more, active


def own_part(net: pydarts.Supernet, gradient: dict[str, Array]) -> dict[str, Array]:
    """Return the gradient without that of the skips."""
    return {
        c.name: np.where(c.exists(len(gradient[c.name])), gradient[c.name][:, : c.columns], 0)
        for c in net.space.cells
    }


@pytest.mark.parametrize("memory", ["store", "recompute"])
@pytest.mark.parametrize("b", [0.7, 0.0])
@pytest.mark.parametrize("name", SPACES)
def test_the_skip_is_one_more_operation_of_given_weight(name: str, b: float, memory: str) -> None:
    net = skipping(SPACES[name], memory=memory)
    assert net.skip_weight == 1.0
    net.skip_weight = b
    other = with_operation(net)
    mixing, more, active = given(net, other, b)
    options = {"mixing": more, "active": active if b == 0.0 else None}
    x, y = batch()
    x = x[..., :4, :8]  # residual blocks are for even sides
    wrt = ("weights", "mixing")
    loss, grads = net.loss_and_grads(x, y, wrt=wrt, mixing=mixing)
    wanted, expected = other.loss_and_grads(x, y, wrt=wrt, **options)
    assert loss == pytest.approx(wanted, rel=1e-12)
    assert net.loss(x, y, mixing=mixing)[0] == loss
    skips = 0
    for other_name, g in expected["weights"].items():
        own = renamed(net, other_name)
        skips += "auxiliary_skip" in own
        np.testing.assert_allclose(grads["weights"][own], g, rtol=1e-10, atol=1e-12, err_msg=own)
        if "auxiliary_skip" in own:
            assert g.any() == (b != 0.0)
    assert (skips > 0) == (name != "nas-bench-201")
    for kind, g in own_part(net, expected["mixing"]).items():
        np.testing.assert_allclose(grads["mixing"][kind], g, rtol=1e-10, atol=1e-12)
    for training in (True, False):
        np.testing.assert_allclose(
            net.logits(x, training=training, mixing=mixing),
            other.logits(x, training=training, **options),
            atol=1e-11,
        )
    # Decay and momentum, too, pass skips by that are not computed.
    for each, arguments in ((net, {"mixing": mixing}), (other, options)):
        SGD(each, **OPTIONS)(x, y, 0.1, **arguments)
    found = net.state_dict()
    for other_name, w in other.state_dict().items():
        np.testing.assert_allclose(
            found[renamed(net, other_name)], w, atol=1e-12, err_msg=other_name
        )


def test_with_the_softmax_of_alpha() -> None:
    net, x, y = skipping(), *batch()
    rng = np.random.default_rng(1)
    net.set_alphas({name: rng.normal(size=a.shape) for name, a in net.alphas.items()})
    net.skip_weight = 0.3
    p = {name: np.exp(a) / np.exp(a).sum(1, keepdims=True) for name, a in net.alphas.items()}
    loss, grads = net.loss_and_grads(x, y)
    wanted, expected = net.loss_and_grads(x, y, wrt=("weights", "mixing"), mixing=p)
    assert loss == pytest.approx(wanted, rel=1e-12)
    for name, g in expected["weights"].items():
        np.testing.assert_allclose(grads["weights"][name], g, atol=1e-12, err_msg=name)
    for name, q in expected["mixing"].items():
        chained = p[name] * (q - (p[name] * q).sum(1, keepdims=True))
        np.testing.assert_allclose(grads["alphas"][name], chained, atol=1e-12)
    arrays = pydarts.bilevel.arch_gradient(net, train=(x, y), valid=(x, y), order=2, eta=0.1)
    net.skip_weight = 0.0
    without = pydarts.bilevel.arch_gradient(net, train=(x, y), valid=(x, y), order=2, eta=0.1)
    assert np.abs(arrays["normal"] - without["normal"]).max() > 1e-4


def test_what_is_given_is_no_parameter() -> None:
    plain, net = network(), skipping()
    assert {n: a.shape for n, a in net.alphas.items()} == {
        n: a.shape for n, a in plain.alphas.items()
    }
    more = set(net.state_dict()) - set(plain.state_dict())
    assert more
    assert all("auxiliary_skip" in name for name in more)
    assert not any(name.startswith("cells.0") for name in more)  # it is of stride 1
    assert net.memory_plan(4, 8)["total"] > plain.memory_plan(4, 8)["total"]


def test_recompute_and_threads_change_no_bit() -> None:
    require_same_bits(skipping, DartsMinus(alpha_lr=0.01))


def test_the_weight_is_part_of_the_state() -> None:
    net, other = skipping(), skipping()
    net.skip_weight = 0.25
    assert pickle.loads(pickle.dumps(net)).skip_weight == 0.25
    other.restore(net.state())
    assert other.skip_weight == 0.25
    assert "skip_weight" not in network().state()
    assert network().skip_weight == 0.0


def test_a_step_sets_the_weight_of_its_epoch() -> None:
    net = skipping()
    step = DartsMinus(first=0.5).step(net)
    assert net.skip_weight == 0.5
    for epoch, b in ((0, 0.5), (3, 0.125)):
        step.start_epoch(epoch, 4)
        assert net.skip_weight == b


def test_a_search(tmp_path: Any) -> None:
    seen = []

    class Watch(pydarts.Callback):
        def on_step_end(self, loop: Any, info: Any) -> None:
            seen.append(loop.network.skip_weight)

    options: dict[str, Any] = {**SEARCH, "epochs": 4, "checkpoint": tmp_path}
    found = pydarts.search(*noise(), method="darts-minus", callbacks=[Watch()], **options)
    assert seen == [1.0] * 3 + [0.75] * 3 + [0.5] * 3 + [0.25] * 3
    assert found.genotype.space == DARTS
    checkpoint = read_checkpoint(tmp_path / "checkpoint.safetensors")
    assert checkpoint.identity["method"] == "darts-minus"


def test_budgets_know_of_it() -> None:
    options: dict[str, Any] = {**SEARCH, "channels": 4, "cells": 4, "epochs": 1, "order": 1}
    plain, more = (
        pydarts.estimate(*noise(), method=name, **options).bytes
        for name in ("beta-darts", "darts-minus")
    )
    assert more > plain
    with pytest.raises(ValueError, match="`memory_budget`"):
        pydarts.search(*noise(), method="darts-minus", memory_budget=plain, **options)


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"`skip_weight` \(=0.5\) is for supernets with"):
        network().skip_weight = 0.5
    with pytest.raises(ValueError, match=r"`skip_weight` \(=nan\)"):
        skipping().skip_weight = np.nan
    with pytest.raises(ValueError, match="`supernet` has no auxiliary skip, which 'darts-minus'"):
        DartsMinus().step(network())
    text = "a cat sat on the mat " * 40
    lacking = r"`method` \(='darts-minus'\) needs a supernet with `auxiliary_skip`"
    with pytest.raises(ValueError, match=lacking):
        pydarts.search_text(text, level="word", method="darts-minus", progress=False)
    with pytest.raises(ValueError, match=lacking):
        pydarts.estimate_text(text, level="word", method="darts-minus")


def test_signals() -> None:
    signals = pydarts.Supernet(
        2, 3, 3, in_channels=2, space=as_space("darts-1d"), auxiliary_skip=True, threads=1
    )
    x = np.random.default_rng(0).normal(size=(4, 2, 20))
    loss, grads = signals.loss_and_grads(x, np.array([0, 1, 2, 0]))
    assert np.isfinite(loss)
    assert any("auxiliary_skip" in name for name in grads["weights"])
