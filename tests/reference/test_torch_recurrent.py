# SPDX-License-Identifier: MIT
"""The recurrent search space: the PyTorch reference itself, and pydarts against it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seeded import Array, Batch, assert_close, seeded_state, uniform
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

import pydarts
from benchmarks import reference
from benchmarks.reference import recurrent


class Shape(NamedTuple):
    """A network and a segment of text for it."""

    vocab_size: int
    hidden_size: int
    steps: int
    batch: int

    @property
    def network(self) -> dict[str, Any]:
        """The arguments by which pydarts and the reference build the network."""
        return {"vocab_size": self.vocab_size, "hidden_size": self.hidden_size}


SHAPES = [
    Shape(vocab_size=13, hidden_size=6, steps=5, batch=4),
    Shape(vocab_size=101, hidden_size=19, steps=4, batch=5),
    Shape(vocab_size=13, hidden_size=35, steps=3, batch=6),
    Shape(vocab_size=101, hidden_size=7, steps=1, batch=4),
    Shape(vocab_size=13, hidden_size=5, steps=3, batch=1),
]
SMALL = SHAPES[0]
# Another length and another batch than those of the training text.
VALID = SMALL._replace(steps=3, batch=5)
GENOTYPES = {
    "DARTS_V1": [
        ("relu", 0),
        ("relu", 1),
        ("tanh", 2),
        ("relu", 3),
        ("relu", 4),
        ("identity", 1),
        ("relu", 5),
        ("relu", 1),
    ],
    "DARTS_V2": [
        ("sigmoid", 0),
        ("relu", 1),
        ("relu", 1),
        ("identity", 1),
        ("tanh", 2),
        ("sigmoid", 5),
        ("tanh", 3),
        ("relu", 5),
    ],
}
NO_DROPOUT: dict[str, Any] = {
    "dropout": 0.0,
    "dropout_hidden": 0.0,
    "dropout_input": 0.0,
    "dropout_embedding": 0.0,
}
KEEP = {"embedding": 0.8, "input": 0.5, "hidden": 0.75, "output": 0.4}
# Large enough for every term to leave its mark in the gradient.
PENALTIES = {"ar": 0.7, "tar": 1.5}
UNROLLED_STEP: dict[str, Any] = {"eta": 5.0, "weight_decay": 3e-3}
# Below and above the norms of all gradients.
CLIPS = {"clipped": 0.5, "free": 5.0}

every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
every_genotype = pytest.mark.parametrize("name", GENOTYPES)
every_clip = pytest.mark.parametrize("max_grad_norm", CLIPS.values(), ids=CLIPS.keys())
every_clip_coef = pytest.mark.parametrize("clip_coef", ["original", "capped"])
every_unrolled_embedding = pytest.mark.parametrize("unrolled_embedding", ["moved", "original"])
plain_and_not = pytest.mark.parametrize(
    ("dropped", "penalties"),
    [(False, {}), (True, {}), (False, PENALTIES), (True, PENALTIES)],
    ids=["plain", "dropped", "regularised", "dropped_regularised"],
)


def segment(shape: Shape, seed: int) -> Batch:
    """Return words and those that are to be predicted, both (T, B)."""
    drawn = np.random.default_rng(seed).random((2, shape.steps, shape.batch))
    x, y = (shape.vocab_size * drawn).astype(np.int64)
    return x, y


def before(shape: Shape, seed: int) -> Array:
    """Return a state (B, H) as if of an earlier segment."""
    return uniform(np.random.default_rng(seed), -1.0, 1.0, (shape.batch, shape.hidden_size))


def seeded_masks(shape: Shape, seed: int) -> dict[str, Array]:
    """Return factors of every kind."""
    rng = np.random.default_rng(seed)
    draws = {name: rng.random((shape.batch, shape.hidden_size)) for name in KEEP}
    return {name: np.where(d < KEEP[name], 1.0 / KEEP[name], 0.0) for name, d in draws.items()}


def seeded_alphas(seed: int) -> dict[str, Array]:
    """Return alphas far enough from zero for the candidates' weights to differ."""
    return {"recurrent": uniform(np.random.default_rng(seed), -1.0, 1.0, (36, 5))}


def supernet(shape: Shape = SMALL) -> reference.RecurrentSupernet:
    """Return the reference's float64 search network in a seeded state."""
    net = reference.RecurrentSupernet(**shape.network).double()
    reference.load_state(net, seeded_state(reference.state(net), seed=3))
    reference.set_alphas(net, seeded_alphas(seed=4))
    return net


def network(name: str, shape: Shape) -> reference.RecurrentNetwork:
    """Return the reference's float64 derived network in a seeded state."""
    net = reference.RecurrentNetwork(GENOTYPES[name], **shape.network).double()
    reference.load_state(net, seeded_state(reference.state(net), seed=3))
    return net


def our_supernet(shape: Shape = SMALL, dtype: str = "float64") -> Any:
    """Return the search network of pydarts in the state of `supernet`."""
    net = pydarts.RecurrentSupernet(**shape.network, dtype=dtype, seed=0, threads=2, **NO_DROPOUT)
    state = reference.state(supernet(shape))
    net.load_state_dict({key: a.astype(dtype) for key, a in state.items()})
    net.set_alphas({key: a.astype(dtype) for key, a in seeded_alphas(seed=4).items()})
    return net


def our_network(name: str, shape: Shape, dtype: str = "float64") -> Any:
    """Return the derived network of pydarts in the state of `network`."""
    genotype = getattr(pydarts, f"RECURRENT_{name}")
    net = pydarts.RecurrentNetwork(
        genotype, **shape.network, dtype=dtype, seed=0, threads=2, **NO_DROPOUT
    )
    state = reference.state(network(name, shape))
    net.load_state_dict({key: a.astype(dtype) for key, a in state.items()})
    return net


def tensors(*arrays: Array) -> tuple[Any, ...]:
    """Return arrays as tensors."""
    return tuple(torch.tensor(a) for a in arrays)


def tensor_masks(masks: dict[str, Array] | None) -> dict[str, Tensor] | None:
    """Return masks as tensors."""
    return None if masks is None else {name: torch.tensor(m) for name, m in masks.items()}


def expected_pass(
    net: recurrent.LanguageModel,
    x: Array,
    y: Array,
    hidden: Array,
    masks: dict[str, Array] | None = None,
    ar: float = 0.0,
    tar: float = 0.0,
) -> tuple[float, dict[str, Array], Array]:
    """Return loss, gradients of the regularised loss (that of alpha too), and last state."""
    inputs: dict[str, Tensor] = dict(net.named_parameters())
    if isinstance(net, reference.RecurrentSupernet):
        inputs |= net.alphas
    words, targets, h = tensors(x, y, hidden)
    with reference.frozen_statistics(net):
        regularised, loss, last = net.losses(words, targets, h, tensor_masks(masks), ar, tar)
    grads = torch.autograd.grad(regularised, tuple(inputs.values()))
    arrays = {name: g.numpy() for name, g in zip(inputs, grads, strict=True)}
    return loss.item(), arrays, last.detach().numpy()


def assert_same_pass(
    ours: Any,
    theirs: recurrent.LanguageModel,
    shape: Shape,
    dropped: bool = False,
    penalties: dict[str, float] | None = None,
    dtype: str = "float64",
) -> None:
    """Compare loss, gradients and last state; neither weights nor statistics may change."""
    tol, floor = (1e-9, 1e-5) if dtype == "float64" else (1e-4, 1e-3)
    (x, y), hidden = segment(shape, seed=5), before(shape, seed=6)
    masks = seeded_masks(shape, seed=7) if dropped else None
    search = isinstance(theirs, reference.RecurrentSupernet)
    start = ours.state_dict()
    loss, grads = ours.loss_and_grads(
        x,
        y,
        hidden=hidden.astype(dtype),
        wrt=("weights", "alphas") if search else ("weights",),
        masks=masks and {name: m.astype(dtype) for name, m in masks.items()},
        **(penalties or {}),
    )
    expected_loss, expected, last = expected_pass(theirs, x, y, hidden, masks, **(penalties or {}))
    assert loss == pytest.approx(expected_loss, rel=tol)
    assert_close({**grads["weights"], **grads.get("alphas", {})}, expected, tol, floor)
    assert_close({"": ours.last_hidden}, {"": last}, tol)
    for name, array in ours.state_dict().items():
        assert np.array_equal(array, start[name]), name


def assert_same_evaluation(ours: Any, theirs: recurrent.LanguageModel, shape: Shape) -> None:
    """Compare the loss and the last state by running statistics."""
    (x, y), hidden = segment(shape, seed=5), before(shape, seed=6)
    loss, last = ours.evaluate(x, y, hidden=hidden)
    expected_loss, _, expected_last = expected_pass(theirs.eval(), x, y, hidden)
    assert loss == pytest.approx(expected_loss, rel=1e-9)
    assert_close({"": last}, {"": expected_last}, tol=1e-9)


def sigmoid(a: Array) -> Array:
    """Return 1 / (1 + exp(-a))."""
    out: Array = 1.0 / (1.0 + np.exp(-a))
    return out


BY_HAND: dict[str, Callable[[Array], Array]] = {
    "tanh": np.tanh,
    "relu": lambda a: np.maximum(a, 0.0),
    "sigmoid": sigmoid,
    "identity": lambda a: a,
}


def by_hand(
    state: dict[str, Array],
    nodes: list[list[tuple[int, str, float]]],
    norm: Callable[[Array], Array],
    x: Array,
    h: Array,
    masks: dict[str, Array],
) -> list[Array]:
    """Return the output of every time step; a node sums its (input, activation, weight)."""
    size = h.shape[1]
    outputs = []
    for words in x:
        e = state["encoder.weight"][words] * masks["embedding"] * masks["input"]
        both = np.concatenate([e, h * masks["hidden"]], axis=1) @ state["rnns.0._W0"]
        states = [norm(h + sigmoid(both[:, :size]) * (np.tanh(both[:, size:]) - h))]
        for i, terms in enumerate(nodes):
            node = np.zeros_like(h)
            for j, name, weight in terms:
                both = (states[j] * masks["hidden"]) @ state[f"rnns.0._Ws.{i}"]
                f = BY_HAND[name](both[:, size:])
                node += weight * (states[j] + sigmoid(both[:, :size]) * (f - states[j]))
            states.append(norm(node))
        h = np.mean(states[1:], axis=0)
        outputs.append(h)
    return outputs


def assert_is_by_hand(
    net: recurrent.LanguageModel,
    nodes: list[list[tuple[int, str, float]]],
    norm: Callable[[Array], Array],
) -> None:
    """Compare a pass of the reference with that of loops over the equations."""
    (x, y), h, masks = segment(SMALL, 5), before(SMALL, 6), seeded_masks(SMALL, 7)
    state = reference.state(net)
    outputs = by_hand(state, nodes, norm, x, h, masks)
    dropped = np.stack([output * masks["output"] for output in outputs])
    logits = dropped @ state["encoder.weight"].T + state["decoder.bias"]
    exponentials = np.exp(logits)
    chosen = np.take_along_axis(exponentials, y[:, :, None], axis=2)[:, :, 0]
    loss = -np.log(chosen / exponentials.sum(axis=2)).mean()
    squares = [np.mean((b - a) ** 2) for a, b in pairwise(outputs)]
    regularised = loss + 0.7 * np.mean(dropped**2) + 1.5 * np.mean(squares)

    words, targets, hidden = tensors(x, y, h)
    with torch.no_grad():
        actual = net.losses(words, targets, hidden, tensor_masks(masks), **PENALTIES)
        assert actual[0].item() == pytest.approx(regularised, rel=1e-12)
        assert actual[1].item() == pytest.approx(loss, rel=1e-12)
        np.testing.assert_allclose(actual[2].numpy(), outputs[-1], rtol=0.0, atol=1e-12)
        with reference.frozen_statistics(net):
            plain = net(words, hidden, tensor_masks(masks))
    np.testing.assert_allclose(plain[0].numpy().reshape(logits.shape), logits, atol=1e-12)
    np.testing.assert_allclose(plain[1].numpy(), outputs, rtol=0.0, atol=1e-12)


def test_search_network_by_hand() -> None:
    net = supernet()
    start = reference.state(net)
    mean, var = start["rnns.0.bn.running_mean"], start["rnns.0.bn.running_var"]

    def norm(s: Array) -> Array:
        nonlocal mean, var
        mean = 0.9 * mean + 0.1 * s.mean(axis=0)
        var = 0.9 * var + 0.1 * s.var(axis=0, ddof=1)
        out: Array = (s - s.mean(axis=0)) / np.sqrt(s.var(axis=0) + 1e-5)
        return out

    exponentials = np.exp(seeded_alphas(seed=4)["recurrent"])
    p = exponentials / exponentials.sum(axis=1, keepdims=True)
    nodes = [
        [
            (j, name, p[i * (i - 1) // 2 + j, k])
            for j in range(i)
            for k, name in enumerate(("tanh", "relu", "sigmoid", "identity"), start=1)
        ]
        for i in range(1, 9)
    ]
    assert_is_by_hand(net, nodes, norm)
    # Of the one pass that was not frozen.
    assert_close(
        {n: a for n, a in reference.state(net).items() if "running" in n},
        {"rnns.0.bn.running_mean": mean, "rnns.0.bn.running_var": var},
        tol=1e-12,
    )


@every_genotype
def test_derived_network_by_hand(name: str) -> None:
    nodes = [[(source, op, 1.0)] for op, source in GENOTYPES[name]]
    assert_is_by_hand(network(name, SMALL), nodes, lambda s: s)


def test_mean_of_a_part_of_the_nodes() -> None:
    (x, _), h = segment(SMALL._replace(steps=1), 5), before(SMALL, 6)
    whole = network("DARTS_V2", SMALL)
    parts = []
    for concat in (range(1, 6), range(6, 9)):
        net = reference.RecurrentNetwork(GENOTYPES["DARTS_V2"], **SMALL.network, concat=concat)
        reference.load_state(net.double(), reference.state(whole))
        parts.append(len(concat) / 8 * net(*tensors(x, h))[1])
    torch.testing.assert_close(parts[0] + parts[1], whole(*tensors(x, h))[1])


def test_batch_of_one_is_normalised_to_zero() -> None:
    shape = Shape(vocab_size=13, hidden_size=5, steps=1, batch=1)
    net = supernet(shape)
    start = reference.state(net)
    (x, _), h = segment(shape, 5), before(shape, 6)
    logits, raw, _ = net(*tensors(x, h))
    assert raw.eq(0.0).all()
    torch.testing.assert_close(logits, net.decoder.bias[None])
    # Nine uses: the initial state, whose variance is zero as well, and eight nodes.
    end = reference.state(net)
    np.testing.assert_allclose(
        end["rnns.0.bn.running_var"], 0.9**9 * start["rnns.0.bn.running_var"], rtol=1e-12
    )
    assert not np.allclose(end["rnns.0.bn.running_mean"], start["rnns.0.bn.running_mean"])


def test_one_time_step_is_not_slow() -> None:
    shape = SMALL._replace(steps=1)
    x, y, h = tensors(*segment(shape, 5), before(shape, 6))
    net = supernet(shape)
    assert net.regularised_loss(x, y, h, tar=1.5).item() == net.loss(x, y, h).item()


def test_drawn_masks() -> None:
    torch.manual_seed(8)
    net = reference.RecurrentSupernet(13, 50, dropout=0.5, dropout_input=0.0).double()
    masks = net.draw_masks(40)
    assert masks.keys() == {"embedding", "hidden", "output"}
    for name, keep in (("embedding", 0.8), ("hidden", 0.75), ("output", 0.5)):
        assert masks[name].shape == (40, 50)
        assert set(masks[name].flatten().tolist()) == {0.0, 1.0 / keep}
        assert masks[name].count_nonzero().item() / 2000 == pytest.approx(keep, abs=0.05)


def test_names_and_shapes_of_the_reference() -> None:
    net = reference.RecurrentSupernet(**SMALL.network)
    shapes = {name: a.shape for name, a in reference.state(net).items()}
    assert shapes == {
        "encoder.weight": (13, 6),
        "rnns.0._W0": (12, 12),
        **{f"rnns.0._Ws.{i}": (6, 12) for i in range(8)},
        "rnns.0.bn.running_mean": (6,),
        "rnns.0.bn.running_var": (6,),
        "decoder.bias": (13,),
    }
    assert net.alphas["recurrent"].shape == (36, 5)
    assert net.alphas["recurrent"].dtype == torch.float32
    assert net.double().alphas["recurrent"].dtype == torch.float64
    assert net.alphas["recurrent"].is_leaf


def norm_of(gradient: Sequence[Tensor]) -> float:
    """Return the norm over all tensors."""
    return float(torch.cat([t.detach().flatten() for t in gradient]).norm())


def bilevel_inputs() -> tuple[Any, Any, Any]:
    """Return training text, validation text and the states before them, as tensors."""
    train, valid = segment(SMALL, seed=5), segment(VALID, seed=15)
    return tensors(*train), tensors(*valid), tensors(before(SMALL, 6), before(VALID, 16))


@every_clip
@every_clip_coef
@every_unrolled_embedding
def test_second_order_gradient_of_a_smooth_network_is_that_of_automatic_differentiation(
    max_grad_norm: float, clip_coef: str, unrolled_embedding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(recurrent.ACTIVATIONS, "relu", F.softplus)
    net = supernet()
    train, valid, (h, hv) = bilevel_inputs()
    eta, momentum, decay = 5.0, 0.9, 3e-3
    w = {name: p.detach() for name, p in net.named_parameters()}
    buffer = {name: 0.01 * torch.cos(10.0 * p) for name, p in w.items()}
    actual = reference.recurrent_arch_gradient(
        net,
        train,
        valid,
        (h, hv),
        2,
        eta,
        buffer,
        momentum,
        decay,
        max_grad_norm,
        clip_coef,
        unrolled_embedding,
        epsilon=1e-4,
    )["recurrent"]

    alpha = net.alphas["recurrent"]
    with reference.frozen_statistics(net):
        g = torch.autograd.grad(
            net.loss(train[0], train[1], h), tuple(net.parameters()), create_graph=True
        )
        c = max_grad_norm / (norm_of(g) + 1e-6)
        unrolled = {
            name: p - eta * (momentum * buffer[name] + min(1.0, c) * t.detach() + decay * p)
            for (name, p), t in zip(w.items(), g, strict=True)
            if name != "encoder.weight" or unrolled_embedding == "moved"
        }
        unrolled = {name: p.requires_grad_() for name, p in ({**w, **unrolled}).items()}
        logits, _, _ = functional_call(net, unrolled, (valid[0], hv))
        loss = F.cross_entropy(logits, valid[1].flatten())
        explicit, *v = torch.autograd.grad(loss, (alpha, *unrolled.values()))
    norm = norm_of(v)
    assert (c < 1.0) == (norm > max_grad_norm) == (max_grad_norm == CLIPS["clipped"])
    product = sum(
        (t * (u * min(1.0, max_grad_norm / (norm + 1e-6)))).sum() for t, u in zip(g, v, strict=True)
    )
    assert isinstance(product, Tensor)
    (hvp,) = torch.autograd.grad(product, alpha)
    implicit = eta * (c if clip_coef == "original" else min(1.0, c)) * hvp
    assert implicit.norm() > 1e-2 * explicit.norm()  # or the test would say little
    assert (actual - (explicit - implicit)).norm() < 1e-6 * implicit.norm()


def test_every_option_changes_the_second_order_gradient() -> None:
    net = supernet()
    train, valid, hidden = bilevel_inputs()
    found = [
        reference.recurrent_arch_gradient(
            net,
            train,
            valid,
            hidden,
            2,
            max_grad_norm=max_grad_norm,
            clip_coef=c,
            unrolled_embedding=v,
            eta=5.0,
        )["recurrent"]
        for max_grad_norm in CLIPS.values()
        for c in ("original", "capped")
        for v in ("moved", "original")
    ]
    for i, a in enumerate(found):
        for j, b in enumerate(found[:i]):
            # The coefficient's cap does nothing where the gradient is clipped.
            same = (i, j) in ((2, 0), (3, 1))
            assert ((a - b).norm() < 1e-3 * a.norm()) == same, (i, j)
    for name in ("clip_coef", "unrolled_embedding"):
        other: dict[str, Any] = {name: "other"}
        with pytest.raises(ValueError, match=name):
            reference.recurrent_arch_gradient(net, train, valid, hidden, **other)


@pytest.mark.parametrize("order", [1, 2])
def test_masks_of_every_pass_are_asked_for(order: int) -> None:
    net = supernet()
    train, valid, hidden = bilevel_inputs()
    asked: list[int] = []

    def draw(batch: int) -> dict[str, Tensor]:
        asked.append(batch)
        return {"output": torch.full((batch, 6), 0.5).double()}

    reference.RecurrentSearchStep(net, order, masks=draw)(train, valid, hidden, lr=0.1)
    passes = {1: [VALID], 2: [SMALL, VALID, SMALL, SMALL]}[order]
    assert asked == [shape.batch for shape in (*passes, SMALL)]


def test_names_shapes_and_counts() -> None:
    ours, theirs = our_supernet(), supernet()
    shapes = {name: a.shape for name, a in ours.state_dict().items()}
    assert shapes == {name: a.shape for name, a in reference.state(theirs).items()}
    assert ours.num_weights == sum(p.numel() for p in theirs.parameters())
    paper = {"vocab_size": 10_000, "hidden_size": 300}
    large = reference.RecurrentSupernet(**paper)
    assert sum(p.numel() for p in large.parameters()) == 4_810_000
    assert pydarts.RecurrentSupernet(**paper, dtype="float32").num_weights == 4_810_000


@every_shape
@plain_and_not
def test_loss_and_gradients(shape: Shape, dropped: bool, penalties: dict[str, float]) -> None:
    assert_same_pass(our_supernet(shape), supernet(shape), shape, dropped, penalties)


@pytest.mark.parametrize("shape", SHAPES[:3], ids=str)
def test_loss_and_gradients_in_float32(shape: Shape) -> None:
    assert_same_pass(
        our_supernet(shape, "float32"), supernet(shape), shape, True, PENALTIES, "float32"
    )


@pytest.mark.parametrize("wrt", ["weights", "alphas"])
def test_one_kind_of_gradient_is_the_same_alone(wrt: str) -> None:
    (x, y), hidden = segment(SMALL, seed=5), before(SMALL, seed=6)
    _, grads = our_supernet().loss_and_grads(x, y, hidden=hidden, wrt=(wrt,))
    _, expected, _ = expected_pass(supernet(), x, y, hidden)
    kind = {n: g for n, g in expected.items() if (n == "recurrent") == (wrt == "alphas")}
    assert_close(grads[wrt], kind, tol=1e-9)


@every_shape
def test_evaluation(shape: Shape) -> None:
    assert_same_evaluation(our_supernet(shape), supernet(shape), shape)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    vocab_size=st.integers(2, 70),
    hidden_size=st.integers(1, 37),
    steps=st.integers(1, 5),
    batch=st.integers(1, 7),
    dropped=st.booleans(),
)
def test_any_shape(
    vocab_size: int, hidden_size: int, steps: int, batch: int, dropped: bool
) -> None:
    shape = Shape(vocab_size, hidden_size, steps, batch)
    assert_same_pass(our_supernet(shape), supernet(shape), shape, dropped, PENALTIES)
    name = "DARTS_V2"
    assert_same_pass(our_network(name, shape), network(name, shape), shape, dropped, PENALTIES)


@pytest.mark.parametrize(("order", "tol"), [(1, 1e-9), (2, 1e-6)])
@every_clip
@every_clip_coef
@every_unrolled_embedding
def test_arch_gradient(
    order: int, tol: float, max_grad_norm: float, clip_coef: str, unrolled_embedding: str
) -> None:
    ours = our_supernet()
    start = ours.state_dict()
    options: dict[str, Any] = {
        "order": order,
        "max_grad_norm": max_grad_norm,
        "clip_coef": clip_coef,
        "unrolled_embedding": unrolled_embedding,
        **UNROLLED_STEP,
    }
    actual = pydarts.bilevel.arch_gradient(
        ours,
        train=segment(SMALL, seed=5),
        valid=segment(VALID, seed=15),
        hidden=(before(SMALL, 6), before(VALID, 16)),
        **options,
    )
    expected = reference.recurrent_arch_gradient(supernet(), *bilevel_inputs(), **options)
    assert_close(actual, {name: g.numpy() for name, g in expected.items()}, tol)
    for name, array in ours.state_dict().items():
        assert np.array_equal(array, start[name]), name


def test_steps_with_shortcuts() -> None:
    options: dict[str, Any] = {"weight_decay": 3e-3, "max_grad_norm": 0.8, "alpha_lr": 0.02}
    ours, theirs = our_supernet(), supernet()
    step = pydarts.bilevel.BilevelStep(ours, hvp="forward", reuse_gradient=True, **options)
    expected_step = reference.RecurrentSearchStep(theirs, shortcuts=True, **options)
    hidden: Any = (before(SMALL, 6), before(VALID, 16))
    for i in range(3):
        train, valid = segment(SMALL, seed=100 + i), segment(VALID, seed=200 + i)
        info = step(train=train, valid=valid, hidden=hidden, lr=2.0)
        expected = expected_step(tensors(*train), tensors(*valid), tensors(*hidden), 2.0)
        assert info.train_loss == pytest.approx(expected.train_loss, rel=1e-8)
        assert info.valid_loss == pytest.approx(expected.valid_loss, rel=1e-8)
    alphas = theirs.alphas["recurrent"].detach().numpy()
    assert_close(ours.alphas, {"recurrent": alphas}, tol=1e-7)
    weights = {n: p.detach().numpy() for n, p in theirs.named_parameters()}
    state = ours.state_dict()
    assert_close({n: state[n] for n in weights}, weights, tol=1e-8)


@pytest.mark.parametrize(
    "options",
    [
        {"order": 1},
        {"order": 2, "ar": 0.7, "clip_coef": "original", "unrolled_embedding": "moved"},
        {"order": 2, "clip_coef": "capped", "unrolled_embedding": "original"},
    ],
    ids=["first", "second", "second_other"],
)
def test_trajectory(options: dict[str, Any]) -> None:
    options = {
        "weight_decay": 3e-3,
        "max_grad_norm": 0.8,
        "alpha_lr": 0.02,
        "alpha_betas": (0.9, 0.999),
        "alpha_weight_decay": 1e-2,
        "tar": 1.5,
        **options,
    }
    ours, theirs = our_supernet(), supernet()
    step = pydarts.bilevel.BilevelStep(ours, **options)
    expected_step = reference.RecurrentSearchStep(theirs, **options)
    start = reference.state(theirs)
    hidden: Any = (before(SMALL, 6), before(VALID, 16))
    expected_hidden = tensors(*hidden)
    clipped = []
    for i in range(10):
        steps = (5, 3, 1, 4)[i % 4]
        train = segment(SMALL._replace(steps=steps), seed=100 + i)
        valid = segment(VALID._replace(steps=(3, 1, 2)[i % 3]), seed=200 + i)
        lr = 2.0 * steps / 5
        info = step(train=train, valid=valid, hidden=hidden, lr=lr)
        expected = expected_step(tensors(*train), tensors(*valid), expected_hidden, lr)
        assert info.train_loss == pytest.approx(expected.train_loss, rel=1e-8)
        assert info.valid_loss == pytest.approx(expected.valid_loss, rel=1e-8)
        hidden = (info.hidden, info.valid_hidden)
        expected_hidden = (expected.hidden, expected.valid_hidden)
        for a, e in zip(hidden, expected_hidden, strict=True):
            np.testing.assert_allclose(a, e.numpy(), rtol=0.0, atol=1e-8)
        clipped.append(expected.grad_norm > options["max_grad_norm"])
    assert True in clipped
    assert False in clipped
    alphas = theirs.alphas["recurrent"].detach().numpy()
    assert np.abs(alphas - seeded_alphas(seed=4)["recurrent"]).max() > 0.1
    np.testing.assert_allclose(ours.alphas["recurrent"], alphas, rtol=0.0, atol=1e-8)
    final = ours.state_dict()
    for name, array in reference.state(theirs).items():
        assert np.abs(array - start[name]).max() > 1e-3, name
        np.testing.assert_allclose(final[name], array, rtol=0.0, atol=1e-8, err_msg=name)


@every_genotype
@every_shape
@plain_and_not
def test_derived_network(
    name: str, shape: Shape, dropped: bool, penalties: dict[str, float]
) -> None:
    assert_same_pass(our_network(name, shape), network(name, shape), shape, dropped, penalties)


@every_genotype
def test_derived_network_in_float32(name: str) -> None:
    ours = our_network(name, SHAPES[1], "float32")
    assert_same_pass(ours, network(name, SHAPES[1]), SHAPES[1], True, PENALTIES, "float32")


@every_genotype
@every_shape
def test_evaluation_of_the_derived_network(name: str, shape: Shape) -> None:
    assert_same_evaluation(our_network(name, shape), network(name, shape), shape)


@every_genotype
def test_names_and_shapes_of_the_derived_network(name: str) -> None:
    ours = our_network(name, SMALL).state_dict()
    theirs = reference.state(network(name, SMALL))
    assert {n: a.shape for n, a in ours.items()} == {n: a.shape for n, a in theirs.items()}
    assert not [n for n in theirs if "bn" in n]
