# SPDX-License-Identifier: MIT
"""Spaces drawn at random: the engine equals `plain_spaces`, or both refuse.

`PYDARTS_DRAWN_SPACES` is how many are drawn, 100 if it is not set; a quarter as many derived
networks and wrong spaces come on top.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import plain
import pytest
from drawn_spaces import Drawn, derived, spaces, wrong_spaces
from hypothesis import HealthCheck, assume, given, settings
from plain import Array
from plain_spaces import Description, Refused, Unclear, candidates, cross_entropy
from seeded import seeded_state

import pydarts
from pydarts.spaces import S4, Space

DRAWN = int(os.environ.get("PYDARTS_DRAWN_SPACES", "50"))
Net = pydarts.Supernet | pydarts.Network


def drawn_examples(count: int) -> settings:
    """Return how spaces are drawn: the same in every run."""
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def build(drawn: Drawn) -> Net:
    """Return the engine's network."""
    space = Space.from_json(json.dumps(drawn.space))
    options: dict[str, Any] = {**drawn.sizes, "dtype": "float64", "threads": 1 + drawn.seed % 2}
    if drawn.genotype is None:
        return pydarts.Supernet(**options, space=space)
    return pydarts.Network(pydarts.Genotype(space=space, **drawn.genotype), **options)


def drawn_alphas(drawn: Drawn, rng: np.random.Generator) -> dict[str, Array]:
    """Return alphas that leave noise, whose draws are the engine's own, no weight at all."""
    alphas = {}
    for cell in drawn.space["cells"]:
        lists = candidates(drawn.space, cell)
        alpha = rng.normal(size=(len(lists), max(map(len, lists))))
        for e, operations in enumerate(lists):
            for k, operation in enumerate(operations):
                if [stage.kind for stage in operation.stages] == ["noise"]:
                    alpha[e, k] = -1e3
        alphas[cell["name"]] = alpha
    return alphas


def assert_as_plain(drawn: Drawn) -> None:
    """Compare names, logits, loss and gradients of the engine's network with the plain one's."""
    net = drawn.plain()
    images = (drawn.batch, drawn.in_channels, drawn.height, drawn.width)
    rng = np.random.default_rng(drawn.seed)
    x, y = rng.normal(size=images), rng.integers(0, 3, drawn.batch)
    try:
        shapes = net.shapes(drawn.height, drawn.width)
    except Unclear:
        assume(False)
    except Refused as refused:
        # Of several wrong operations any may be named, so of those that do not fit together.
        named = "|".join(operation_names(drawn.space)) if refused.operation else None
        with pytest.raises(ValueError, match=named):
            build(drawn).logits(x)
        return

    state = seeded_state({name: np.empty(shape) for name, shape in shapes.items()}, drawn.seed)
    weights = {name: a for name, a in state.items() if ".running_" not in name}
    alphas = drawn_alphas(drawn, rng) if drawn.genotype is None else {}
    along_w = {name: rng.normal(size=a.shape) for name, a in weights.items()}
    along_a = {name: rng.normal(size=a.shape) for name, a in alphas.items()}
    try:
        both = net.logits({**state, **moved(weights, along_w)}, moved(alphas, along_a), x)
        by_running = net.logits(state, alphas, x, by_batch=False)
    except Unclear:
        assume(False)

    ours = build(drawn)
    assert {name: a.shape for name, a in ours.state_dict().items()} == shapes
    ours.load_state_dict(state)
    if isinstance(ours, pydarts.Supernet):
        assert {name: a.shape for name, a in ours.alphas.items()} == {
            name: a.shape for name, a in alphas.items()
        }
        ours.set_alphas(alphas)
    assert_near(ours.logits(x, training=True), both.real)
    assert_near(ours.logits(x, training=False), by_running)

    loss, grads = ours.loss_and_grads(x, y)
    at_moved = cross_entropy(both, y)
    assert loss == pytest.approx(at_moved.real, rel=1e-9)
    derivative, norm = 0.0, 1e-3
    for kind, along in (("weights", along_w), ("alphas", along_a)):
        found = grads.get(kind, {})
        assert found.keys() == along.keys()
        for name, direction in along.items():
            assert found[name].shape == direction.shape, name
            derivative += (found[name] * direction).sum()
            norm = float(np.hypot(norm, np.linalg.norm(found[name])))
    assert derivative == pytest.approx(at_moved.imag / plain.STEP, rel=0, abs=1e-9 * norm)
    for name, array in grads.get("alphas", {}).items():
        for e, operations in enumerate(candidates(drawn.space, cell_of(drawn.space, name))):
            assert not array[e, len(operations) :].any()


def operation_names(space: Description) -> list[str]:
    """Return the names of all operations that compute."""
    lists = [lists for cell in space["cells"] for lists in candidates(space, cell)]
    return sorted({op.name for operations in lists for op in operations} - {"none", "noise"})


def moved(at: Mapping[str, Array], along: Mapping[str, Array]) -> dict[str, Array]:
    """Return arrays that differentiate along a direction: see `plain`."""
    return {name: a + 1j * plain.STEP * along[name] for name, a in at.items()}


def cell_of(space: Description, name: str) -> Description:
    """Return the cell of a name."""
    found: Description = next(cell for cell in space["cells"] if cell["name"] == name)
    return found


def assert_near(actual: Array, expected: Array) -> None:
    """Compare logits."""
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-9 * abs(expected).max())


@given(drawn=spaces())
@drawn_examples(DRAWN)
def test_search_networks(drawn: Drawn) -> None:
    assert_as_plain(drawn)


@given(drawn=derived())
@drawn_examples(1 + DRAWN // 4)
def test_derived_networks(drawn: Drawn) -> None:
    assert_as_plain(drawn)


@given(drawn=spaces())
@drawn_examples(1 + DRAWN // 2)
def test_inactive_operations_are_as_those_without_weight(drawn: Drawn) -> None:
    try:
        assume(drawn.plain().refusal(drawn.height, drawn.width) is None)
    except Unclear:
        assume(False)
    net = build(drawn)
    rng = np.random.default_rng(drawn.seed)
    x = rng.normal(size=(drawn.batch, drawn.in_channels, drawn.height, drawn.width))
    y = rng.integers(0, 3, drawn.batch)
    net.loss_and_grads(rng.normal(size=x.shape), y)  # leaves its numbers in the memory of the pass
    mixing = {name: rng.normal(size=a.shape) for name, a in net.alphas.items()}
    share = rng.choice([0.1, 0.5])
    active = {name: rng.random(a.shape) < share for name, a in mixing.items()}
    weightless = {name: np.where(active[name], a, 0.0) for name, a in mixing.items()}
    wrt = ("weights", "mixing")
    loss, grads = net.loss_and_grads(x, y, wrt=wrt, mixing=mixing, active=active)
    wanted, expected = net.loss_and_grads(x, y, wrt=wrt, mixing=weightless)
    assert loss == pytest.approx(wanted, rel=1e-12)
    for name, g in expected["weights"].items():
        assert_near(grads["weights"][name], g)
    for name, on in active.items():
        assert_near(grads["mixing"][name], np.where(on, expected["mixing"][name], 0.0))
    for training in (True, False):
        assert_near(
            net.logits(x, training=training, mixing=mixing, active=active),
            net.logits(x, training=training, mixing=weightless),
        )


@given(wrong=wrong_spaces())
@drawn_examples(1 + DRAWN // 4)
def test_wrong_operations_are_refused_by_name(wrong: tuple[Drawn, str]) -> None:
    drawn, name = wrong
    try:
        refused = drawn.plain().refusal(drawn.height, drawn.width)
    except Unclear:
        assume(False)
    # A wrong one beside another that is refused: either may be named.
    assert refused is not None
    with pytest.raises(ValueError, match=name if refused.operation == name else None):
        build(drawn)


@pytest.mark.parametrize("name", ["darts", "s2", "s3", "nas-bench-201", "darts-1d"])
@pytest.mark.parametrize("stem", ["cifar", "imagenet"])
def test_ready_spaces(name: str, stem: str) -> None:
    ready = json.loads(pydarts.spaces.as_space(name).to_json())
    height, width = (1, 33) if name == "darts-1d" else (16, 32)
    assert_as_plain(Drawn(ready, 2, 1 if "nas" in name else 3, 2, stem, height, width, 4, 5))


@pytest.mark.slow
def test_every_kind_of_refusal_is_drawn() -> None:
    """Or these tests would say less than they seem to."""
    seen = {"adds": 0, "larger": 0, "stride": 0, "channels": 0, "": 0}

    @given(drawn=spaces())
    @drawn_examples(400)
    def draw(drawn: Drawn) -> None:
        try:
            refused = drawn.plain().refusal(drawn.height, drawn.width)
        except Unclear:
            return
        for words in seen:
            seen[words] += (refused is None) if not words else (words in str(refused))

    draw()
    assert min(seen.values()) > 0, seen
    assert seen[""] > 200


def noisy(noise: float) -> tuple[pydarts.Supernet, Array, Array]:
    """Return a network of S4, where noise stands beside a convolution, and a batch for it."""
    net = pydarts.Supernet(2, 2, classes=3, in_channels=1, dtype="float64", space=S4)
    rng = np.random.default_rng(0)
    alphas = {name: rng.normal(size=a.shape) for name, a in net.alphas.items()}
    for alpha in alphas.values():
        alpha[:, 0] += noise
    net.set_alphas(alphas)
    return net, rng.normal(size=(4, 1, 8, 9)), np.array([0, 1, 2, 1])


def test_noise_is_the_same_in_all_passes_of_a_step() -> None:
    net, x, y = noisy(0.0)
    first, (loss, grads) = net.logits(x, training=True), net.loss_and_grads(x, y)
    assert np.array_equal(net.logits(x, training=True), first)
    net._engine.noise_step += 1
    assert abs(net.logits(x, training=True) - first).min() > 1e-6
    net._engine.noise_step -= 1
    assert net.loss_and_grads(x, y)[0] == loss
    # No plain version knows the draws, but the loss tells how it grows with their shares.
    at, rng, h = net.alphas, np.random.default_rng(1), 1e-6
    along = {name: rng.normal(size=a.shape) for name, a in at.items()}
    losses = []
    for step in (h, -h):
        net.set_alphas({name: a + step * along[name] for name, a in at.items()})
        losses.append(net.loss_and_grads(x, y)[0])
    derivative = sum((grads["alphas"][name] * d).sum() for name, d in along.items())
    assert derivative == pytest.approx((losses[0] - losses[1]) / (2 * h), rel=1e-6)


def test_noise_has_no_gradient_to_its_input() -> None:
    net, x, y = noisy(1e3)
    _, grads = net.loss_and_grads(x, y)
    for name, array in grads["weights"].items():
        assert array.any() == name.startswith("classifier."), name
    assert abs(net.logits(x, training=True) - net.logits(2 * x, training=True)).max() == 0
    # Each sample has draws of its own, with running statistics too.
    assert len(np.unique(net.logits(x, training=False)[:, 0])) == len(x)
