# SPDX-License-Identifier: MIT
"""The recurrent engine without PyTorch: gradients by differences, threads, masks, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pydarts
from pydarts import bilevel

Array = np.ndarray[Any, Any]
NO_DROPOUT = dict.fromkeys(("dropout", "dropout_hidden", "dropout_input", "dropout_embedding"), 0.0)


def supernet(vocab_size: int, hidden_size: int, **options: Any) -> pydarts.RecurrentSupernet:
    """A float64 supernet without dropout whose weights and alphas are not small."""
    net = pydarts.RecurrentSupernet(
        vocab_size, hidden_size, **{"dtype": "float64", "threads": 2, **NO_DROPOUT, **options}
    )
    randomise(net, 1)
    net.set_alphas({"recurrent": np.random.default_rng(2).normal(size=(36, 5))})
    return net


def randomise(net: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    state = net.state_dict()
    for name, value in state.items():
        if "running" not in name:
            state[name] = rng.normal(size=value.shape) * 0.3
    net.load_state_dict(state)


def segment(
    vocab_size: int, length: int, batch: int, hidden_size: int, seed: int = 0
) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    tokens = rng.integers(vocab_size, size=(length + 1, batch))
    return (tokens[:-1], tokens[1:]), rng.normal(size=(batch, hidden_size)) * 0.3


def regularised(net: Any, batch: Any, hidden: Array, **options: Any) -> float:
    """The loss with its regularisation, the outputs read from single steps."""
    loss, _ = net.loss_and_grads(*batch, hidden=hidden, wrt=(), masks=options.get("masks"))
    states = []
    state = hidden
    for x, y in zip(*batch, strict=True):
        net.loss_and_grads(x[None], y[None], hidden=state, wrt=(), masks=options.get("masks"))
        state = net.last_hidden
        states.append(state)
    h = np.array(states)
    output = h * (options.get("masks") or {}).get("output", 1.0)
    loss += options.get("ar", 0.0) * (output**2).mean()
    if len(h) > 1:
        loss += options.get("tar", 0.0) * ((h[1:] - h[:-1]) ** 2).mean()
    return float(loss)


def check_gradients(net: Any, batch: Any, hidden: Array, **options: Any) -> None:
    """Compare derivatives along directions of weights and α with differences of fourth order.

    The normalisation of few sequences bends too much for those of second order.
    """
    _, grads = net.loss_and_grads(*batch, hidden=hidden, **options)
    rng = np.random.default_rng(3)
    state, alphas = net.state_dict(), net.alphas
    step = 2e-5

    def check(name: str, gradient: Array, change: Any, restore: Any) -> None:
        direction = rng.normal(size=gradient.shape)
        direction /= np.linalg.norm(direction)
        values = {}
        for k in (-2, -1, 1, 2):
            change(k * step * direction)
            values[k] = regularised(net, batch, hidden, **options)
        restore()
        expected = (8 * (values[1] - values[-1]) - (values[2] - values[-2])) / (12 * step)
        found = (gradient * direction).sum()
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-9), name

    for name, gradient in grads["weights"].items():
        check(
            name,
            gradient,
            lambda d, name=name: net.load_state_dict({**state, name: state[name] + d}),
            lambda: net.load_state_dict(state),
        )
    for name, gradient in grads["alphas"].items():
        check(
            name,
            gradient,
            lambda d, name=name: net.set_alphas({name: alphas[name] + d}),
            lambda: net.set_alphas(alphas),
        )


@pytest.mark.parametrize(
    ("length", "batch", "hidden_size", "vocab_size"),
    [(1, 4, 1, 2), (2, 5, 16, 31), (5, 4, 17, 70), (3, 7, 37, 33), (4, 6, 32, 3)],
)
def test_gradients_of_the_supernet(
    length: int, batch: int, hidden_size: int, vocab_size: int
) -> None:
    net = supernet(vocab_size, hidden_size)
    check_gradients(net, *segment(vocab_size, length, batch, hidden_size))


@pytest.mark.parametrize("genotype", [pydarts.RECURRENT_DARTS_V1, pydarts.RECURRENT_DARTS_V2])
@pytest.mark.parametrize(("length", "batch", "hidden_size"), [(1, 1, 1), (4, 1, 17), (3, 3, 33)])
def test_gradients_of_the_derived_network(
    genotype: pydarts.RecurrentGenotype, length: int, batch: int, hidden_size: int
) -> None:
    net = pydarts.RecurrentNetwork(genotype, 11, hidden_size, "float64", threads=2, **NO_DROPOUT)
    randomise(net, 1)
    check_gradients(net, *segment(11, length, batch, hidden_size))


def test_gradients_with_masks_and_regularisation() -> None:
    net = supernet(7, 9)
    rng = np.random.default_rng(5)
    masks = {
        name: (rng.random((3, 9)) < 0.6) / 0.6
        for name in ("embedding", "input", "hidden", "output")
    }
    check_gradients(net, *segment(7, 4, 3, 9), masks=masks, ar=0.7, tar=0.4)


def test_passes_without_masks_between_those_with_masks() -> None:
    """Without a mask of the states the memory is laid out otherwise; factors of 1 are no mask."""
    net, (batch, hidden) = supernet(7, 9), segment(7, 4, 3, 9)
    ones = {"hidden": np.ones((3, 9))}
    halves = {"hidden": np.full((3, 9), 0.5)}
    for masks in (None, ones, halves, None, ones):
        loss, gradients = net.loss_and_grads(*batch, hidden=hidden, masks=masks)
        if masks is halves:
            continue
        expected, others = supernet(7, 9).loss_and_grads(*batch, hidden=hidden)
        assert loss == expected
        for part in ("weights", "alphas"):
            for name, gradient in gradients[part].items():
                np.testing.assert_allclose(gradient, others[part][name], rtol=1e-9, atol=1e-12)


def test_one_sequence_normalises_to_zero() -> None:
    net = supernet(5, 8)
    batch, hidden = segment(5, 3, 1, 8)
    loss, _ = net.loss_and_grads(*batch, hidden=hidden)
    bias = net.state_dict()["decoder.bias"]
    log_sum = np.log(np.exp(bias).sum())
    assert loss == pytest.approx(np.mean([log_sum - bias[y] for y in batch[1].ravel()]), rel=1e-12)
    assert not net.last_hidden.any()


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["supernet", "derived"])
def test_results_do_not_depend_on_threads(dtype: str, kind: str) -> None:
    def run(threads: int) -> list[Array]:
        if kind == "supernet":
            net: Any = pydarts.RecurrentSupernet(1100, 50, dtype, seed=3, threads=threads)
        else:
            net = pydarts.RecurrentNetwork(
                pydarts.RECURRENT_DARTS_V2, 1100, 50, dtype, seed=3, threads=threads
            )
        batch, hidden = segment(1100, 9, 150, 50)
        found = []
        for _ in range(2):  # the second with other dropout masks, from the same stream
            loss, grads = net.loss_and_grads(*batch, hidden=hidden, tar=1e-3)
            found += [np.array(loss), net.last_hidden]
            found += [g for group in grads.values() for g in group.values()]
        found.append(np.array(net.evaluate(*batch, hidden=hidden)[0]))
        return found

    first = run(1)
    for threads in (2, 3):
        for a, b in zip(first, run(threads), strict=True):
            np.testing.assert_array_equal(a, b)


def test_dropout_is_drawn_anew_and_repeats_by_seed() -> None:
    batch, hidden = segment(7, 3, 4, 12)

    def losses(seed: int) -> list[float]:
        net = pydarts.RecurrentSupernet(7, 12, seed=seed, dropout_hidden=0.5)
        return [net.loss_and_grads(*batch, hidden=hidden, wrt=())[0] for _ in range(3)]

    assert losses(1) == losses(1)
    assert len(set(losses(1))) == 3


@pytest.mark.parametrize(
    ("which", "rate"), [("output", 0.75), ("hidden", 0.25), ("input", 0.6), ("embedding", 0.2)]
)
def test_dropout_keeps_what_the_rates_say(which: str, rate: float) -> None:
    """A unit that is dropped has no part in a gradient; with what is kept as masks, scaled by
    1 / (1 - rate), the loss is the same.
    """
    size = 400
    rates = {**NO_DROPOUT, "dropout" if which == "output" else f"dropout_{which}": rate}
    net = pydarts.RecurrentNetwork(
        pydarts.RECURRENT_DARTS_V1, 50, size, dtype="float64", seed=1, **rates
    )
    batch, hidden = segment(50, 3, 1, size)
    loss, grads = net.loss_and_grads(*batch, hidden=hidden)
    first = grads["weights"]["rnns.0._W0"]  # rows of the input, then of the hidden state
    # Of a token that is not read, the embedding's gradient is the decoder's alone: by step.
    unread = next(v for v in range(50) if v not in batch[0])
    decoder = grads["weights"]["encoder.weight"][unread]
    seen = {"output": decoder, "hidden": first[size:], "input": first[:size]}
    kept = seen.get(which, first[:size]).reshape(size, -1).any(axis=1)
    assert kept.mean() == pytest.approx(1 - rate, abs=4 * np.sqrt(rate * (1 - rate) / size))
    masks = {which: kept[np.newaxis] / (1 - rate)}
    expected, _ = net.loss_and_grads(*batch, hidden=hidden, masks=masks)
    assert loss == pytest.approx(expected, rel=1e-12)


def test_dropout_of_the_output_is_drawn_for_each_sequence() -> None:
    rates = {**NO_DROPOUT, "dropout": 0.75}
    net = pydarts.RecurrentNetwork(pydarts.RECURRENT_DARTS_V1, 50, 400, seed=1, **rates)
    batch, hidden = segment(50, 1, 10, 400)
    _, grads = net.loss_and_grads(*batch, hidden=hidden)
    unread = next(v for v in range(50) if v not in batch[0])
    share = 1 - (grads["weights"]["encoder.weight"][unread] == 0).mean()
    assert share == pytest.approx(1 - 0.75**10, abs=0.04)


@pytest.mark.parametrize("order", [1, 2])
def test_a_step_lowers_the_loss_of_a_text_that_repeats(order: int) -> None:
    text = np.tile(np.arange(6), 200).astype(np.int32)
    columns = text[: 4 * 91].reshape(4, 91).T  # each begins at another token
    net = pydarts.RecurrentSupernet(6, 16, seed=0, **NO_DROPOUT)
    step = bilevel.BilevelStep(net, order=order)
    hidden = (None, None)
    losses = []
    for _ in range(60):
        batch = columns[:12], columns[1:13]
        info = step(train=batch, valid=batch, hidden=hidden, lr=5.0)
        losses.append(info.train_loss)
    assert losses[-1] < 0.5 * losses[0]


def test_bilevel_step_is_its_parts() -> None:
    """The alphas' first moment after a step is a tenth of the architecture gradient."""
    net = supernet(7, 10)
    train, hidden = segment(7, 4, 3, 10)
    valid, hidden_valid = segment(7, 5, 2, 10, seed=9)
    arguments = {"train": train, "valid": valid, "hidden": (hidden, hidden_valid)}
    gradient = bilevel.arch_gradient(net, eta=2.0, **arguments)["recurrent"]
    step = bilevel.BilevelStep(net, alpha_weight_decay=0.0)
    before = net.alphas["recurrent"]
    info = step(lr=2.0, **arguments)
    np.testing.assert_allclose(
        step.state()["first"], 0.1 * gradient.ravel(), rtol=1e-12, atol=1e-18
    )
    assert not np.array_equal(before, net.alphas["recurrent"])
    assert info.hidden.shape == (3, 10)
    assert info.valid_hidden.shape == (2, 10)


def test_arch_gradient_changes_nothing() -> None:
    net = supernet(7, 10)
    train, hidden = segment(7, 4, 3, 10)
    before, alphas = net.state_dict(), net.alphas
    bilevel.arch_gradient(net, train=train, valid=train, hidden=(hidden, hidden))
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    np.testing.assert_array_equal(net.alphas["recurrent"], alphas["recurrent"])


def test_shared_masks_are_those_of_the_unrolled_step() -> None:
    """Every network of one seed draws the same masks first; the validation pass draws the next."""
    rates = dict.fromkeys(NO_DROPOUT, 0.4)
    train, hidden = segment(7, 4, 3, 10)
    valid, hidden_valid = segment(7, 5, 3, 10, seed=9)
    start = supernet(7, 10, **rates)
    eta, decay, epsilon = 2.0, 0.01, 0.01

    def gradients(state: Any, of: str, passes_before: int = 0) -> dict[str, dict[str, Array]]:
        net = supernet(7, 10, **rates)
        for _ in range(passes_before):
            net.loss_and_grads(*train, hidden=hidden, wrt=())
        net.load_state_dict({**net.state_dict(), **state})
        batch, h = (train, hidden) if of == "train" else (valid, hidden_valid)
        return net.loss_and_grads(*batch, hidden=h)[1]

    w = {k: v for k, v in start.state_dict().items() if "running" not in k}
    g = gradients(w, "train")["weights"]
    norm = np.sqrt(sum((x**2).sum() for x in g.values()))
    c = 0.25 / (norm + 1e-6)
    assert c < 1
    after = gradients({k: w[k] - eta * (c * g[k] + decay * w[k]) for k in w}, "valid", 1)
    v = after["weights"]
    length = np.sqrt(sum((x**2).sum() for x in v.values()))
    v = {k: x * min(1.0, 0.25 / (length + 1e-6)) for k, x in v.items()}
    e = epsilon / np.sqrt(sum((x**2).sum() for x in v.values()))
    plus, minus = (
        gradients({k: w[k] + sign * e * v[k] for k in w}, "train")["alphas"]["recurrent"]
        for sign in (1, -1)
    )
    wanted = after["alphas"]["recurrent"] - eta * c * (plus - minus) / (2 * e)
    arguments = {"train": train, "valid": valid, "hidden": (hidden, hidden_valid), "eta": eta}
    arguments |= {"weight_decay": decay, "clip_coef": "capped"}
    got = bilevel.arch_gradient(start, dropout_masks="shared", **arguments)["recurrent"]
    np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-12)
    redrawn = bilevel.arch_gradient(supernet(7, 10, **rates), **arguments)["recurrent"]
    assert np.abs(redrawn - wanted).max() > 1e-3


def test_shared_masks_are_new_ones_at_each_step() -> None:
    net = supernet(7, 10, **dict.fromkeys(NO_DROPOUT, 0.4))
    train, hidden = segment(7, 4, 3, 10)
    step = bilevel.BilevelStep(net, dropout_masks="shared")
    arguments = {"train": train, "valid": train, "hidden": (hidden, hidden), "lr": 1e-9}
    assert abs(step(**arguments).valid_loss - step(**arguments).valid_loss) > 1e-6


def test_a_failed_step_changes_nothing() -> None:
    net = supernet(7, 10, dtype="float32")
    state = net.state_dict()
    state["rnns.0._Ws.3"] = np.full_like(state["rnns.0._Ws.3"], 3e38)
    state["rnns.0._W0"] *= np.float32(1e30)
    net.load_state_dict(state)
    train, hidden = segment(7, 4, 3, 10)
    step = bilevel.BilevelStep(net)
    with pytest.raises(ArithmeticError, match="step 0: "):
        step(train=train, valid=train, hidden=(hidden, hidden), lr=1.0)
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, state[name])


def test_next_probabilities_continue_a_text() -> None:
    net = pydarts.RecurrentNetwork(pydarts.RECURRENT_DARTS_V2, 40, 20, "float64", **NO_DROPOUT)
    randomise(net, 1)
    batch, hidden = segment(40, 6, 3, 20)
    state = hidden
    for x, y in zip(*batch, strict=True):
        p, state = net.next_probabilities(x, hidden=state)
        np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
        loss, _ = net.evaluate(x[None], y[None], hidden=hidden)
        expected = -np.log(p[np.arange(3), y]).mean()
        assert loss == pytest.approx(expected, rel=1e-10)
        hidden = state


def test_an_unlikely_token_after_itself_has_its_probability() -> None:
    """To the last digits, in float32 too, and in any batch."""
    size, cell = 50, pydarts.RECURRENT_DARTS_V2
    nets = [
        pydarts.RecurrentNetwork(cell, size, 8, d, **NO_DROPOUT) for d in ("float64", "float32")
    ]
    state = {k: v.astype(np.float32) for k, v in nets[0].state_dict().items()}
    state["decoder.bias"] = np.linspace(0, -25, size, dtype=np.float32)
    for net in nets:
        net.load_state_dict(state)
    tokens = np.arange(size)
    exact, _ = nets[0].next_probabilities(tokens)
    found, _ = nets[1].next_probabilities(tokens)
    np.testing.assert_allclose(found, exact, rtol=1e-5)
    for token in (0, 35, 49):
        alone, _ = nets[1].next_probabilities([token])
        np.testing.assert_array_equal(alone[0], found[token])


def test_of_equal_logits_the_first_is_the_prediction() -> None:
    net = pydarts.RecurrentNetwork(pydarts.RECURRENT_DARTS_V2, 30, 8, **NO_DROPOUT)
    net.load_state_dict({name: np.zeros_like(v) for name, v in net.state_dict().items()})
    labels = np.arange(30)[np.newaxis]
    loss, correct, _ = net._engine.test(labels, labels, np.zeros((30, 8), np.float32))
    assert loss == pytest.approx(np.log(30))
    assert correct == 1


def test_memory_plan_is_what_is_used() -> None:
    small = pydarts.RecurrentSupernet(200, 40)
    assert small.memory_plan(8, 10)["total"] < small.memory_plan(16, 10)["total"]
    assert small.memory_plan(8, 10, training=False)["total"] < small.memory_plan(8, 10)["total"]
    # The decoder's logits, the states of every step and the gates of every edge, at the least.
    states = 10 * 8 * 10 * 40
    least = 4 * (10 * 8 * 200 + 2 * states + 10 * 8 * 37 * 2 * 40)
    assert least < small.memory_plan(8, 10)["activations"] < 2.5 * least
    unmasked = pydarts.RecurrentSupernet(200, 40, **NO_DROPOUT)
    saved = small.memory_plan(8, 10)["activations"] - unmasked.memory_plan(8, 10)["activations"]
    assert saved > 4 * states  # those behind the mask


def test_names_and_number_of_weights() -> None:
    net = pydarts.RecurrentSupernet(10000, 300)
    assert net.num_weights == 4_810_000
    assert {name: value.shape for name, value in net.state_dict().items()} == {
        "encoder.weight": (10000, 300),
        "rnns.0._W0": (600, 600),
        **{f"rnns.0._Ws.{i}": (300, 600) for i in range(8)},
        "decoder.bias": (10000,),
        "rnns.0.bn.running_mean": (300,),
        "rnns.0.bn.running_var": (300,),
    }
    weights = net.state_dict()
    assert not weights["decoder.bias"].any()
    for name, value in weights.items():
        if name.startswith(("encoder", "rnns.0._W")):
            assert 0.0399 < abs(value).max() <= 0.04, name


def test_a_tied_decoder_may_come_along() -> None:
    net = supernet(5, 4)
    state = net.state_dict()
    net.load_state_dict({**state, "decoder.weight": state["encoder.weight"]})
    with pytest.raises(ValueError, match=r"decoder\.weight"):
        net.load_state_dict({**state, "decoder.weight": state["encoder.weight"] + 1})


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"x": np.zeros((3, 2))}, TypeError, "integers"),
        ({"x": np.full((3, 2), 5)}, ValueError, r"`x\[0, 0\]` \(=5\)"),
        (
            {"y": np.full((3, 2), -1)},
            ValueError,
            r"`y\[0, 0\]` \(=-1\) must be at least 0 and below 5",
        ),
        ({"y": np.zeros((2, 2), int)}, ValueError, r"`y` has the shape \(2, 2\); `x` has \(3, 2\)"),
        ({"x": np.zeros(3, int)}, ValueError, "must have 2 axes"),
        ({"x": np.zeros((0, 2), int), "y": np.zeros((0, 2), int)}, ValueError, "empty"),
        ({"hidden": np.zeros((2, 3))}, ValueError, "hidden"),
        ({"hidden": np.full((2, 4), np.nan)}, ValueError, "hidden"),
        ({"wrt": "words"}, ValueError, "wrt"),
        ({"masks": {"outputs": np.ones((2, 4))}}, ValueError, "outputs"),
        ({"masks": {"output": np.ones((3, 4))}}, ValueError, "output"),
    ],
)
def test_bad_input_is_named(change: dict[str, Any], error: type[Exception], match: str) -> None:
    net = supernet(5, 4)
    arguments = {"x": np.zeros((3, 2), int), "y": np.zeros((3, 2), int), **change}
    with pytest.raises(error, match=match):
        net.loss_and_grads(arguments.pop("x"), arguments.pop("y"), **arguments)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"vocab_size": 1}, "vocab_size"),
        ({"hidden_size": 0}, "hidden_size"),
        ({"dropout": 1.0}, "dropout"),
        ({"dropout_input": -0.1}, "dropout_input"),
        ({"dtype": "float16"}, "dtype"),
    ],
)
def test_bad_networks_are_refused(arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        pydarts.RecurrentSupernet(**{"vocab_size": 5, "hidden_size": 4, **arguments})


def test_options_of_the_other_search_space_are_refused() -> None:
    images = pydarts.Supernet(2, 1, 3, 1)
    with pytest.raises(ValueError, match="tar"):
        bilevel.BilevelStep(images, tar=0.1)
    with pytest.raises(ValueError, match="clip_coef"):
        bilevel.BilevelStep(supernet(5, 4), clip_coef="none")
    with pytest.raises(ValueError, match="dropout_masks"):
        bilevel.BilevelStep(supernet(5, 4), dropout_masks="none")
    batch = np.zeros((2, 1, 4, 4)), np.zeros(2, int)
    with pytest.raises(TypeError, match="hidden"):
        bilevel.arch_gradient(images, train=batch, valid=batch, hidden=(np.zeros((2, 2)), None))
    with pytest.raises(TypeError, match="RecurrentGenotype"):
        pydarts.RecurrentNetwork(pydarts.DARTS_V2, 5)
