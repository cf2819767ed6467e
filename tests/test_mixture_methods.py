# SPDX-License-Identifier: MIT
"""Methods that make their own mixing weights: their steps against plain formulas, and searches.

A plain step takes the gradients of the loss with respect to mixing weights and weights from the
network, which other tests hold against PyTorch, and does the rest by the papers' formulas.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from runs import TEXT, noise

import pydarts
import pydarts.cli.main as cli
from pydarts import _core
from pydarts.methods.adam import Adam
from pydarts.methods.beta_darts import BetaDarts
from pydarts.methods.darts_minus import DartsMinus
from pydarts.methods.fair_darts import FairDarts
from pydarts.methods.fixed import Fixed
from pydarts.methods.gaea import Gaea
from pydarts.methods.gdas import Gdas
from pydarts.methods.mixture import MixtureMethod, MixtureStep, Moment
from pydarts.methods.named import METHODS, as_method, own_options
from pydarts.methods.pc_darts import PcDarts
from pydarts.methods.smooth_darts import SmoothDarts
from pydarts.spaces import DARTS, NAS_BENCH_201, Cell, Layer, Space, Stack
from pydarts.training.checkpoint import read_checkpoint

Array = NDArray[Any]
SGD = {"momentum": 0.9, "weight_decay": 3e-3, "max_grad_norm": 1.0}
BY_NAME = ("beta-darts", "smooth-darts", "fair-darts", "gdas", "gaea", "fixed")
OVER_IMAGES = (*BY_NAME, "darts-minus", "pc-darts")
QUIET: dict[str, Any] = {"progress": False, "threads": 1}
IMAGES: dict[str, Any] = {"channels": 2, "cells": 1, "epochs": 2, "batch_size": 4, "seed": 3}
WORDS: dict[str, Any] = {"hidden_size": 8, "batch_size": 4, "bptt": 8, "epochs": 1}


def by_edge() -> Space:
    """Return a space whose edges have one, two or three candidates."""
    ops = DARTS.operations
    cell = Cell("normal", nodes=2, inputs=1, edges=[ops[3:5], ops[4:5], ops[2:5]])
    return DARTS.replace(
        name="by-edge",
        cells=[cell],
        stack=Stack([Layer("normal", repeat="cells")]),
        extra_operations=[],
    )


def sizes(name: str) -> dict[str, Any]:
    """Return the options of a small search by a method."""
    return {**IMAGES, "channels": 4} if name == "pc-darts" else IMAGES


def batch(seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(4, 3, 8, 8)), rng.integers(0, 3, 4)


def network(space: Space = NAS_BENCH_201) -> pydarts.Supernet:
    net = pydarts.Supernet(2, 1, 3, dtype="float64", seed=1, threads=1, space=space)
    rng = np.random.default_rng(2)
    net.set_alphas({name: rng.normal(size=a.shape) for name, a in net.alphas.items()})
    return net


def plain_softmax(alpha: Array, exists: Array) -> Array:
    odds = np.where(exists, np.exp(alpha - alpha[exists].max()), 0)
    shares: Array = odds / odds.sum(axis=1, keepdims=True)
    return shares


class PlainAdam:
    """By the textbook."""

    def __init__(self, lr: float, betas: tuple[float, float], decay: float):
        self.lr, self.betas, self.decay, self.t = lr, betas, decay, 0
        self.m: Any = 0.0
        self.v: Any = 0.0

    def __call__(self, alpha: Array, gradient: Array) -> Array:
        self.t += 1
        g = gradient + self.decay * alpha
        self.m = self.betas[0] * self.m + (1 - self.betas[0]) * g
        self.v = self.betas[1] * self.v + (1 - self.betas[1]) * g**2
        m, v = self.m / (1 - self.betas[0] ** self.t), self.v / (1 - self.betas[1] ** self.t)
        moved: Array = alpha - self.lr * m / (np.sqrt(v) + 1e-8)
        return moved


class PlainSGD:
    """With momentum, decay and clipping; what an operation that is not active holds stays."""

    def __init__(self) -> None:
        self.buffers: dict[str, Array] = {}

    def __call__(
        self, net: Any, gradients: dict[str, Array], touched: Callable[[str], bool]
    ) -> None:
        norm = np.sqrt(sum((g**2).sum() for g in gradients.values()))
        scale = min(1.0, SGD["max_grad_norm"] / (norm + 1e-6))
        for name, w in net.split_weights(net.flat_weights).items():
            if not touched(name):
                continue
            g = gradients[name] * scale + SGD["weight_decay"] * w
            old = self.buffers.get(name, np.zeros_like(w))
            self.buffers[name] = SGD["momentum"] * old + g
            w -= 0.1 * self.buffers[name]


def operation_of(name: str) -> tuple[int, int] | None:
    """The edge and operation of a parameter of NAS-Bench-201's search network."""
    parts = name.split(".")
    if "edges" not in parts:
        return None
    edges = ["1<-0", "2<-0", "2<-1", "3<-0", "3<-1", "3<-2"]
    return edges.index(parts[3]), int(parts[4])


def plain_steps(net: Any, method: Any, epochs: int, moments: list[tuple[int, Any, Any]]) -> None:
    """Take steps of a method by its formulas; NAS-Bench-201's α are one array."""
    exists = np.ones((6, 5), bool)
    adam = PlainAdam(method.alpha_lr, method.alpha_betas, method.alpha_weight_decay)
    sgd = PlainSGD()
    if isinstance(method, Gaea):
        net.set_alphas({"normal": np.zeros((6, 5))})
    for number, (epoch, train, valid) in enumerate(moments):

        def rng(half: int, number: int = number) -> np.random.Generator:
            return np.random.default_rng((method.seed, number, half))

        def gumbel(alpha: Array, half: int, epoch: int = epoch, rng: Any = rng) -> Array:
            tau = 10 - 9.9 * epoch / (epochs - 1)
            p = plain_softmax(alpha, exists)
            noise = -np.log(rng(half).exponential(size=p.shape))
            return plain_softmax((np.log(p) + noise) / tau, exists)

        def learn_alpha(epoch: int = epoch, valid: Any = valid, gumbel: Any = gumbel) -> None:
            alpha = net.alphas["normal"]
            p = plain_softmax(alpha, exists)
            m, active = p, exists
            if isinstance(method, Gdas):
                q = gumbel(alpha, 0)
                active = q == q.max(axis=1, keepdims=True)
                m = active.astype(float)
            _, found = net.loss_and_grads(
                *valid, wrt="mixing", mixing={"normal": m}, active={"normal": active}
            )
            d = found["mixing"]["normal"]
            if isinstance(method, Gaea):
                p = p * np.exp(-0.1 * d)
                p = np.maximum(p / p.sum(axis=1, keepdims=True), 1e-5)
                net.set_alphas({"normal": np.log(p / p.sum(axis=1, keepdims=True))})
                return
            if isinstance(method, Gdas):
                tau = 10 - 9.9 * epoch / (epochs - 1)
                g = q * (d - (q * d).sum(axis=1, keepdims=True)) / tau
            else:
                g = p * (d - (p * d).sum(axis=1, keepdims=True))
            if isinstance(method, BetaDarts):
                g = g + 50 * epoch / epochs * p / 6
            net.set_alphas({"normal": adam(alpha, g)})

        def learn_weights(
            epoch: int = epoch, train: Any = train, gumbel: Any = gumbel, rng: Any = rng
        ) -> None:
            alpha = net.alphas["normal"]
            m, active = plain_softmax(alpha, exists), exists
            if isinstance(method, SmoothDarts):
                epsilon = 0.03 + 0.27 * epoch / epochs
                m = np.clip(m + rng(1).uniform(-epsilon, epsilon, m.shape), 0, 1)
                m = m / m.sum(axis=1, keepdims=True)
            if isinstance(method, Gdas):
                q = gumbel(alpha, 1)
                active = q == q.max(axis=1, keepdims=True)
                m = active.astype(float)
            _, found = net.loss_and_grads(
                *train, wrt="weights", mixing={"normal": m}, active={"normal": active}
            )

            def touched(name: str) -> bool:
                place = operation_of(name)
                return place is None or bool(active[place])

            sgd(net, found["weights"], touched)

        halves = [learn_alpha, learn_weights]
        if isinstance(method, Fixed):
            halves = [learn_weights]
        for half in reversed(halves) if isinstance(method, Gdas) else halves:
            half()


@pytest.mark.parametrize("kind", [BetaDarts, SmoothDarts, Gdas, Gaea, Fixed])
def test_steps_are_those_of_the_formulas(kind: type[MixtureMethod]) -> None:
    method = kind(alpha_lr=0.01, seed=5)
    ours, theirs = network(), network()
    moments = [(epoch, batch(2 * k), batch(2 * k + 1)) for k, epoch in enumerate((0, 0, 7))]
    step = method.step(ours, **SGD)
    for epoch, train, valid in moments:
        step.start_epoch(epoch, 10)
        info = step(train=train, valid=valid, lr=0.1)
        assert np.isfinite(info.train_loss)
    plain_steps(theirs, method, 10, moments)
    np.testing.assert_allclose(ours.alphas["normal"], theirs.alphas["normal"], atol=1e-9)
    np.testing.assert_allclose(ours.flat_weights, theirs.flat_weights, atol=1e-9)
    before = network()
    assert np.abs(ours.flat_weights - before.flat_weights).max() > 1e-3
    moved = np.abs(ours.alphas["normal"] - before.alphas["normal"]).max()
    assert (moved > 1e-3) == (kind is not Fixed)


def test_adam_is_that_of_the_textbook() -> None:
    rng = np.random.default_rng(0)
    ours = theirs = rng.normal(size=5)
    adam, plain = Adam(5, 0.1, (0.5, 0.9), 0.01), PlainAdam(0.1, (0.5, 0.9), 0.01)
    ours = ours.copy()
    for _ in range(4):
        gradient = rng.normal(size=5)
        adam.step(ours, gradient)
        theirs = plain(theirs, gradient)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    with pytest.raises(ValueError, match="`alpha_betas`"):
        Adam(5, 0.1, (0.5, 1.0), 0.0)


@pytest.mark.parametrize("name", BY_NAME)
def test_what_is_no_operation_has_no_part(name: str) -> None:
    net = pydarts.Supernet(2, 1, 3, seed=1, threads=1, space=by_edge())
    config = pydarts.SearchConfig.make("quick", {"alpha_lr": 0.1})
    method: Any = as_method(name, config)
    step = method.step(net, **SGD)
    for epoch in range(3):
        step.start_epoch(epoch, 3)
        x, y = batch(epoch)
        step(train=(x, y), valid=(x, y), lr=0.01)
    exists = net.space.cells[0].exists(3)
    for make in (method.mixture, method.weights_mixture):
        moment = Moment(net.space, 1, 3, np.random.default_rng(0))
        mixing = make(net.alphas, moment).mixing["normal"]
        assert np.isfinite(mixing).all()
        assert not mixing[~exists].any()
        if name == "fair-darts":  # whose operations do not compete
            assert (mixing[exists] < 1).all()
        else:
            np.testing.assert_allclose(mixing.sum(axis=1), 1)
    assert np.isfinite(net.flat_alphas).all()
    assert net.genotype.space == net.space


def test_an_edge_of_which_nothing_is_left_has_its_largest_operation() -> None:
    method = SmoothDarts(first=1e6, last=1e6)
    space = by_edge()
    exists = space.cells[0].exists(3)
    seen = 0
    for seed in range(10):
        moment = Moment(space, 0, 1, np.random.default_rng(seed))
        mixing = method.weights_mixture({"normal": np.zeros((3, 3))}, moment).mixing["normal"]
        draws = np.random.default_rng(seed).uniform(-1e6, 1e6, (3, 3))
        draws = np.where(exists, draws, -np.inf)
        np.testing.assert_allclose(mixing.sum(axis=1), 1)
        for row in np.flatnonzero((draws < 0).all(axis=1)):
            np.testing.assert_array_equal(mixing[row], draws[row] == draws[row].max())
            seen += exists[row].sum() > 1
    assert seen > 2


def test_what_was_not_drawn_has_no_gradient() -> None:
    # Over text all operations are computed, and all have a gradient of their own.
    space, method = pydarts.spaces.RECURRENT, Gdas(seed=3)
    rng = np.random.default_rng(2)
    alphas = {"recurrent": rng.normal(size=(36, 5))}

    def moment() -> Moment:
        return Moment(space, 1, 3, np.random.default_rng(7))

    drawn = method.mixture(alphas, moment()).mixing["recurrent"] == 1
    d = rng.normal(size=(36, 5))
    found, same = (
        method.alpha_gradient(alphas, {"recurrent": each}, moment())["recurrent"]
        for each in (d, np.where(drawn, d, 0.0))
    )
    np.testing.assert_array_equal(found, same)
    assert (found != 0).all()


def test_an_operation_whose_share_vanishes_comes_to_the_floor() -> None:
    gradient = np.zeros((6, 5))
    gradient[:, 1] = 1e5  # exp(-1e4) is zero
    method, adam = Gaea(), Adam(30, 0.1, (0.5, 0.9), 0.0)
    start = {"normal": np.zeros((6, 5))}
    moved = method.update(start, {"normal": gradient}, adam, NAS_BENCH_201)["normal"]
    np.testing.assert_allclose(np.exp(moved[:, 1]), 1e-5, rtol=1e-4)
    np.testing.assert_allclose(np.exp(moved).sum(axis=1), 1)


@pytest.mark.parametrize("half", ["train", "valid"])
@pytest.mark.parametrize("name", BY_NAME)
def test_a_step_that_fails_changes_nothing(name: str, half: str) -> None:
    net = network()
    step: Any = as_method(name, pydarts.SearchConfig.make("quick", {})).step(net, **SGD)
    x, y = batch(0)
    step(train=(x, y), valid=(x, y), lr=0.1)
    before = copy.deepcopy(step.state())
    wrong = {"train": (x, y), "valid": (x, y), half: (x, y + 3)}
    if name == "fixed" and half == "valid":
        return  # it does not look at them
    with pytest.raises(ValueError, match="label"):
        step(**wrong, lr=0.1)
    after = step.state()
    assert after.keys() == before.keys()
    for key, value in before.items():
        np.testing.assert_array_equal(after[key], value, err_msg=key)


def test_a_step_has_the_defaults_of_the_network() -> None:
    ours, theirs = network(), network()
    default = ours.step_defaults
    options = {key: getattr(default, key) for key in SGD}
    x, y = batch(0)
    for net, given in ((ours, {}), (theirs, options)):
        Gdas().step(net, **given)(train=(x, y), valid=(x, y), lr=0.1)
    np.testing.assert_array_equal(ours.flat_weights, theirs.flat_weights)


# Searches


def search_images(**options: Any) -> Any:
    return pydarts.search(*noise(), **{**IMAGES, **QUIET, **options})


def search_text(**options: Any) -> Any:
    return pydarts.search_text(TEXT, level="word", **{**WORDS, **QUIET, **options})


def interrupted(name: str, config: Any, step: int) -> Any:
    """Return a method during whose step of that number Ctrl-C is pressed, between its halves."""
    method: Any = as_method(name, config)
    kind, calls = type(method), 0
    hook = "alpha_gradient" if kind.weights_first else "weights_mixture"

    def press(self: Any, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == step:
            signal.raise_signal(signal.SIGINT)
            raise _core.OutOfTime  # as a pass that takes longer than these
        return getattr(kind, hook)(self, *arguments)

    return type("Interrupted", (kind,), {hook: press}).from_config(config)


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize("search", [search_images, search_text])
def test_searches_that_are_interrupted_within_a_step(
    search: Callable[..., Any], name: str, tmp_path: Path
) -> None:
    whole, two = search(method=name), search(method=name, threads=2)
    kept = {"checkpoint": tmp_path}
    method = interrupted(name, whole.config, step=3)
    first = search(method=method, **kept)
    assert first.interrupted
    assert not first.history
    again = search(method=name, **kept)
    assert not again.interrupted
    for key, value in whole.supernet.state().items():
        np.testing.assert_array_equal(again.supernet.state()[key], value, err_msg=key)
        np.testing.assert_array_equal(two.supernet.state()[key], value, err_msg=key)
    for kind, history in whole.alpha_history.items():
        np.testing.assert_array_equal(again.alpha_history[kind], history)
    losses = [
        [(entry["train_loss"], entry["valid_loss"], entry["genotype"]) for entry in each.history]
        for each in (whole, again, two)
    ]
    assert losses[1] == losses[0]
    assert losses[2] == losses[0]


@pytest.mark.parametrize("name", OVER_IMAGES)
def test_searches_of_edges_that_differ(name: str) -> None:
    result = search_images(method=name, space=by_edge(), **sizes(name))
    assert result.genotype.space == by_edge()
    assert np.isfinite(result.alphas["normal"]).all()
    assert all(np.isfinite(entry["train_loss"]) for entry in result.history)


def test_a_search_with_fixed_weights_leaves_alpha(tmp_path: Path) -> None:
    result = search_images(method="fixed")
    for history in result.alpha_history.values():
        assert history.any()
        np.testing.assert_array_equal(history, np.broadcast_to(history[0], history.shape))
    assert [entry["alpha_gradient_norm"] for entry in result.history] == [0.0, 0.0]
    assert all(np.isfinite(entry["valid_loss"]) for entry in result.history)
    result.save(tmp_path)
    assert pydarts.SearchResult.load(tmp_path).history == result.history


@pytest.mark.parametrize("name", OVER_IMAGES)
def test_searches_go_on_to_the_same_bits(name: str, tmp_path: Any) -> None:
    X, y = noise()
    whole = pydarts.search(X, y, method=name, **sizes(name), **QUIET)
    two = pydarts.search(X, y, method=name, **sizes(name), progress=False, threads=2)

    class Interrupt(pydarts.Callback):
        def on_step_end(self, loop: Any, info: Any) -> None:
            if loop.steps_done == 2:
                raise KeyboardInterrupt

    class Count(pydarts.Callback):
        steps = 0

        def on_step_end(self, loop: Any, info: Any) -> None:
            self.steps += 1

    options = {**sizes(name), **QUIET, "checkpoint": tmp_path, "checkpoint_seconds": 0}
    first = pydarts.search(X, y, method=name, callbacks=[Interrupt()], **options)
    assert first.interrupted
    count = Count()
    again = pydarts.search(X, y, method=name, callbacks=[count], **options)
    assert 0 < count.steps < 6
    for kind, alpha in whole.alphas.items():
        assert np.isfinite(alpha).all()
        np.testing.assert_array_equal(alpha, again.alphas[kind])
        np.testing.assert_array_equal(alpha, two.alphas[kind])
    np.testing.assert_array_equal(whole.supernet.flat_weights, again.supernet.flat_weights)
    with pytest.raises(ValueError, match=f"`method` was '{name}', is 'darts'"):
        pydarts.search(X, y, **options)


@pytest.mark.parametrize("name", BY_NAME)
def test_searches_of_a_text(name: str) -> None:
    # Long enough for several columns of validation text: one alone is normalised to nothing.
    result = pydarts.search_text(8 * TEXT, level="word", method=name, **WORDS, **QUIET)
    first, last = result.alpha_history["recurrent"]
    assert np.isfinite(last).all()
    assert np.array_equal(first, last) == (name == "fixed")


def test_the_method_of_the_guide() -> None:
    page = (Path(__file__).parents[1] / "docs" / "methods.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code.partition("\nresult = ")[0], names)
    method = names["Sharpened"](alpha_lr=0.01)
    X, y = noise()
    result = pydarts.search(X, y, method=method, **IMAGES, **QUIET)
    assert np.isfinite(result.alphas["normal"]).all()
    # Its gradient is that of the loss at its mixing weights.
    net, (x, labels) = network(), batch(0)
    moment = Moment(net.space, 0, 1, np.random.default_rng(0))

    def loss(alpha: Array) -> float:
        mixing = method.mixture({"normal": alpha}, moment).mixing
        return net.loss(x, labels, mixing=mixing)[0]

    alpha, along = net.alphas["normal"], np.random.default_rng(1).normal(size=(6, 5))
    mixing = method.mixture(net.alphas, moment).mixing
    d = net.mixing_gradient(x, labels, mixing).gradient
    found = (method.alpha_gradient(net.alphas, d, moment)["normal"] * along).sum()
    difference = (loss(alpha + 1e-5 * along) - loss(alpha - 1e-5 * along)) / 2e-5
    assert found == pytest.approx(difference, rel=1e-5)


@pytest.mark.parametrize("name", ["gdas", "gaea"])
def test_on_the_command_line(name: str, tmp_path: Path) -> None:
    X, y = noise(60)
    np.savez(tmp_path / "data.npz", X=X, y=y)
    sizes = ["--channels", "1", "--cells", "2", "--epochs", "1", "--batch-size", "8"]
    command = ["search", str(tmp_path / "data.npz"), "--out", str(tmp_path / "out"), "--no-train"]
    assert cli.main([*command, *sizes, "--method", name, "--no-progress"]) == 0
    checkpoint = read_checkpoint(tmp_path / "out" / "checkpoint.safetensors")
    assert checkpoint.identity["method"] == name


def test_in_the_classifier(monkeypatch: pytest.MonkeyPatch) -> None:
    sklearn = pytest.importorskip("pydarts.sklearn")
    X, y = noise()
    small = {"search_channels": 1, "search_cells": 1, "search_epochs": 1, "channels": 1, "cells": 1}
    calls: list[Any] = []
    mixture = Gdas.mixture
    monkeypatch.setattr(Gdas, "mixture", lambda *given: calls.append(given) or mixture(*given))
    found = sklearn.DartsClassifier(method="gdas", epochs=1, threads=1, **small).fit(X, y)
    assert found.predict(X).shape == y.shape
    assert calls
    with pytest.raises(ValueError, match="`method`"):
        sklearn.DartsClassifier(method="gdsa", epochs=1, **small).fit(X, y)


def test_names() -> None:
    config = pydarts.SearchConfig.make("quick", {"alpha_lr": 0.5, "seed": 7})
    assert {*OVER_IMAGES, "darts"} == set(METHODS)
    for name in METHODS:
        found: Any = as_method(name, config)
        assert found.name == name
        assert found.alpha_lr == 0.5
    assert as_method(None, config).name == "darts"
    own = Gdas(hottest=5.0)
    assert as_method(own, config) is own
    with pytest.raises(pydarts.ArgumentError, match=r"`method` \(='gdsa'\) must be 'darts' or"):
        pydarts.search(*noise(), method="gdsa", **IMAGES, **QUIET)
    with pytest.raises(TypeError, match="has not the functions `step` and `select`"):
        pydarts.search(*noise(), method=3, **IMAGES, **QUIET)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"`method` .* is a class: .* such as Gdas\(\)"):
        pydarts.search(*noise(), method=Gdas, **IMAGES, **QUIET)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"`selector` .* is a class: .* such as Finalists\(\)"):
        pydarts.search(*noise(), selector=pydarts.Finalists, **IMAGES, **QUIET)  # type: ignore[arg-type]


def test_an_estimate_of_a_sampled_search_is_below_that_of_a_whole_one() -> None:
    X, y = noise(400)
    options: dict[str, Any] = {"channels": 8, "cells": 4, "batch_size": 32, "epochs": 1, "order": 1}
    sampled, whole = (
        pydarts.estimate(X, y, method=name, threads=1, **options).seconds
        for name in ("gdas", "darts")
    )
    assert sampled < 0.8 * whole


def test_a_loss_that_is_not_finite_is_named() -> None:
    net = network()
    step = MixtureStep(net, BetaDarts(), **SGD)
    net.flat_weights[:] = np.nan
    x, y = batch(0)
    with pytest.raises(ArithmeticError, match="step 0"):
        step(train=(x, y), valid=(x, y), lr=0.1)


def test_a_checkpoint_knows_the_options_of_a_method(tmp_path: Path) -> None:
    X, y = noise()
    options = {**IMAGES, **QUIET, "checkpoint": tmp_path}
    pydarts.search(X, y, method="gdas", **options)
    config = pydarts.SearchConfig.make("quick", IMAGES)
    same = Gdas.from_config(config)
    pydarts.search(X, y, method=same, **options)  # goes on: they are what the name means
    with pytest.raises(ValueError, match=r"`options of the method` was None, is {'hottest': 5.0}"):
        pydarts.search(X, y, method=dataclasses.replace(same, hottest=5.0), **options)


def test_steps_tell_what_they_saw() -> None:
    x, y = batch(0)
    for method in (Gdas(), Fixed()):
        net = network()
        weights = {"momentum": 0.0, "weight_decay": 0.0, "max_grad_norm": 1e9}
        step = method.step(net, **weights)
        before = net.flat_weights.copy()
        info = step(train=(x, y), valid=(x, y), lr=0.1)
        moved = np.linalg.norm(net.flat_weights - before)
        assert info.gradient_norm == pytest.approx(moved / 0.1)
        assert (info.valid_loss is None) == (info.valid_correct is None) == (not method.learns)


def test_the_options_of_a_class_that_is_derived_from_a_method() -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Mine(Gdas):
        extra: float = 1.0

    config = pydarts.SearchConfig.make("quick")
    assert own_options(Gdas.from_config(config), config) is None
    assert own_options(Mine.from_config(config), config) == {"extra": 1.0}
    mine = dataclasses.replace(Mine.from_config(config), hottest=5.0, extra=2.0)
    assert own_options(mine, config) == {"hottest": 5.0, "extra": 2.0}


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Gdas, {"coldest": 0.0}),
        (Gdas, {"hottest": math.inf}),
        (Gdas, {"seed": -1}),
        (Gaea, {"rate": -1}),
        (Gaea, {"floor": math.nan}),
        (SmoothDarts, {"last": -0.1}),
        (BetaDarts, {"decay": -1.0}),
        (FairDarts, {"decided": -1.0}),
        (DartsMinus, {"first": -1.0}),
        (PcDarts, {"partial": 0}),
        (Fixed, {"alpha_lr": 0.0}),
    ],
)
def test_unusable_options_of_methods(kind: Any, options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(pydarts.ArgumentError, match=f"`{name}` "):
        kind(**options)
