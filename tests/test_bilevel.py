# SPDX-License-Identifier: MIT
"""Hessian-vector product and architecture gradient against closed forms and SPEC §2's formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import pydarts
from pydarts.bilevel import BilevelStep, arch_gradient, hessian_vector_product

Array = NDArray[Any]
Batch = tuple[Array, Array]
ETA, MOMENTUM, DECAY, EPSILON = 0.3, 0.9, 0.02, 0.01


# Hessian-vector product


@given(st.integers(1, 30), st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3), st.floats(1e-4, 10))
def test_exact_on_a_quadratic(size: int, seed: int, scale: float, epsilon: float) -> None:
    rng = np.random.default_rng(seed)
    hessian = rng.normal(size=(size, size))
    hessian += hessian.T
    w, v, linear = rng.normal(size=size), scale * rng.normal(size=size), rng.normal(size=size)
    actual = hessian_vector_product(lambda at: hessian @ at + linear, w, v, epsilon=epsilon)
    assert actual.dtype == np.float64
    # All that is lost is the rounding of the two gradients, over the step, and of either product.
    largest = abs(hessian).sum(axis=1).max() * (1 + abs(w).max()) + abs(linear).max()
    rounding = 1e-15 * size * largest * np.linalg.norm(v) * (1 / epsilon + 1)
    np.testing.assert_allclose(actual, hessian @ v, rtol=0, atol=rounding)


def test_of_a_curved_function_it_is_the_central_difference() -> None:
    w, v = np.array([1.0, -2.0, 0.5]), np.array([3.0, 4.0, 0.0])
    seen = []

    def gradient(at: Array) -> Array:
        seen.append(at.copy())
        return at**3

    h = EPSILON / 5
    expected = ((w + h * v) ** 3 - (w - h * v) ** 3) / (2 * h)
    actual = hessian_vector_product(gradient, w, v, epsilon=EPSILON)
    np.testing.assert_allclose(actual, expected, rtol=1e-12)
    # It is off by O(h²) from the derivative: the division is by 2h, once.
    np.testing.assert_allclose(actual, 3 * w**2 * v, atol=1.1 * h**2 * abs(v**3).max())
    assert any(np.allclose(at, w + h * v, rtol=1e-15, atol=0) for at in seen)
    assert any(np.allclose(at, w - h * v, rtol=1e-15, atol=0) for at in seen)


@pytest.mark.parametrize("length", [1, 2, 7])
def test_mixed_derivative_of_another_length(length: int) -> None:
    mixed = np.random.default_rng(0).normal(size=(length, 3))
    w, v = np.array([1.0, 2.0, 3.0]), np.array([0.1, -5.0, 2.0])
    actual = hessian_vector_product(lambda at: mixed @ at, w, v)
    np.testing.assert_allclose(actual, mixed @ v, rtol=1e-11)


def test_float32_stays_float32() -> None:
    w, v = np.array([1.0, 2.0], np.float32), np.array([0.5, 0.25])
    kinds = set()

    def gradient(at: Array) -> Array:
        kinds.add(at.dtype)
        return 2 * at

    actual = hessian_vector_product(gradient, w, v)
    assert actual.dtype == np.float32
    assert kinds == {np.dtype(np.float32)}
    np.testing.assert_allclose(actual, [1.0, 0.5], rtol=1e-3)


def test_integers_and_lists_are_taken() -> None:
    np.testing.assert_allclose(hessian_vector_product(lambda at: 3 * at, [1, 2], [1, 0]), [3, 0])


def test_arguments_stay_as_they_are() -> None:
    w, v = np.array([1.0, 2.0]), np.array([3.0, 4.0])

    def rude(at: Array) -> Array:
        result = at.copy()
        at[:] = np.nan
        return result

    np.testing.assert_allclose(hessian_vector_product(rude, w, v), v, rtol=1e-12)
    assert w.tolist() == [1.0, 2.0]
    assert v.tolist() == [3.0, 4.0]


W = np.array([1.0, 2.0])


@pytest.mark.parametrize(
    ("v", "epsilon", "error", "match"),
    [
        ([0.0, 0.0], 0.01, ArithmeticError, "norm of v is 0"),
        ([1.0, np.nan], 0.01, ArithmeticError, "norm of v is nan"),
        ([1.0, np.inf], 0.01, ArithmeticError, "norm of v is inf"),
        ([1.0, 2.0, 3.0], 0.01, ValueError, "`w` and `v`"),
        ([[1.0, 2.0]], 0.01, ValueError, "`w` and `v`"),
        ([1.0, 2.0], 0.0, ValueError, r"`epsilon` \(=0.0\)"),
        ([1.0, 2.0], -1.0, ValueError, r"`epsilon` \(=-1.0\)"),
        ([1.0, 2.0], np.nan, ValueError, r"`epsilon` \(=nan\)"),
    ],
)
def test_bad_arguments(v: Any, epsilon: float, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        hessian_vector_product(lambda at: at, W, v, epsilon=epsilon)


def test_bad_callables() -> None:
    lengths = iter([2, 2, 3, 4])
    with pytest.raises(ValueError, match="shape"):
        hessian_vector_product(lambda at: np.ones(next(lengths)), W, W)
    with pytest.raises(ValueError, match="flat"):
        hessian_vector_product(lambda at: np.ones((2, 2)), W, W)

    class Own(Exception):
        pass

    def fail(at: Array) -> Array:
        raise Own("mine")

    with pytest.raises(Own, match="mine"):
        hessian_vector_product(fail, W, W)
    with pytest.raises((TypeError, ValueError)):
        hessian_vector_product(lambda at: "text", W, W)


# A bilevel problem with a closed form: L_train = |w - M a|² / 2, L_valid = |w - t|² / 2 + a·c.
# One unrolled step is w' = w - eta (momentum buf + (w - M a) + decay w), so that
# d L_valid(w'(a), a) / da = c + eta Mᵀ (w' - t).


def test_closed_form() -> None:
    rng = np.random.default_rng(1)
    m, w, buf, target = (rng.normal(size=s) for s in ((6, 4), 6, 6, 6))
    a, c = rng.normal(size=4), rng.normal(size=4)
    moved = w - ETA * (MOMENTUM * buf + (w - m @ a) + DECAY * w)
    v = moved - target
    implicit = hessian_vector_product(lambda at: -m.T @ (at - m @ a), w, v)
    expected = c + ETA * m.T @ v
    np.testing.assert_allclose(c - ETA * implicit, expected, rtol=1e-10)
    # The same number by moving a, with no formula at all.
    along, h = rng.normal(size=4), 1e-4

    def after_step(a: Array) -> float:
        at = w - ETA * (MOMENTUM * buf + (w - m @ a) + DECAY * w)
        return float(((at - target) ** 2).sum() / 2 + a @ c)

    slope = (after_step(a + h * along) - after_step(a - h * along)) / (2 * h)
    assert expected @ along == pytest.approx(slope, rel=1e-9)


# The supernet


def supernet(dtype: str = "float64") -> pydarts.Supernet:
    """Return a small supernet with alphas far from equal."""
    net = pydarts.Supernet(2, 3, classes=3, in_channels=1, dtype=dtype, seed=5, threads=1)
    rng = np.random.default_rng(5)
    net.set_alphas({name: rng.normal(size=(14, 8)) for name in ("normal", "reduce")})
    return net


def batch(seed: int, samples: int = 6) -> Batch:
    """Return noise with labels 0..2."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(samples, 1, 8, 7)), rng.integers(0, 3, samples)


def composed(
    net: pydarts.Supernet,
    train: Batch,
    valid: Batch,
    eta: float,
    momentum: float,
    buffer: dict[str, Array],
    decay: float,
    epsilon: float,
    hvp: str = "central",
) -> dict[str, Array]:
    """Return SPEC §2's second-order gradient from first-order ones, step by step."""
    twin = pydarts.Supernet(2, 3, classes=3, in_channels=1, dtype=net.dtype, threads=1)
    twin.set_alphas(net.alphas)
    state = net.state_dict()
    w = {name: state[name] for name in buffer}

    def grads_at(w: dict[str, Array], batch: Batch) -> dict[str, dict[str, Array]]:
        twin.load_state_dict({**state, **w})
        return twin.loss_and_grads(*batch)[1]

    g = grads_at(w, train)["weights"]
    moved = {n: w[n] - eta * (momentum * buffer[n] + g[n] + decay * w[n]) for n in w}
    outer = grads_at(moved, valid)
    v = outer["weights"]
    step = epsilon / np.sqrt(sum((a**2).sum() for a in v.values()))
    ends = (1, -1) if hvp == "central" else (1, 0)
    plus, minus = (
        grads_at({n: w[n] + end * step * v[n] for n in w}, train)["alphas"] for end in ends
    )
    width = (ends[0] - ends[1]) * step
    return {name: outer["alphas"][name] - eta * (plus[name] - minus[name]) / width for name in plus}


def assert_close(actual: dict[str, Array], expected: dict[str, Array], tol: float) -> None:
    """Compare relative to the largest entry."""
    assert actual.keys() == expected.keys()
    for name, e in expected.items():
        np.testing.assert_allclose(actual[name], e, rtol=0, atol=tol * abs(e).max(), err_msg=name)


@pytest.mark.parametrize(
    ("form", "hvp"),
    [("by name", "central"), ("flat", "central"), ("none", "central"), ("flat", "forward")],
)
def test_second_order_is_what_the_formula_says(form: str, hvp: str) -> None:
    net = supernet()
    train, valid = batch(1), batch(2, samples=5)
    rng = np.random.default_rng(3)
    names = list(net.loss_and_grads(*train)[1]["weights"])
    state = net.state_dict()
    buffer = {name: rng.normal(size=state[name].shape) for name in names}
    given: Any = {name: buffer[name] for name in reversed(names)}
    if form == "flat":
        given = np.concatenate([buffer[name].ravel() for name in names])
    elif form == "none":
        given, buffer = None, {name: np.zeros_like(a) for name, a in buffer.items()}
    options: Any = {"eta": ETA, "momentum": MOMENTUM, "epsilon": EPSILON, "hvp": hvp}
    actual = arch_gradient(
        net, train=train, valid=valid, momentum_buffer=given, weight_decay=DECAY, **options
    )
    expected = composed(net, train, valid, buffer=buffer, decay=DECAY, **options)
    assert_close(actual, expected, 1e-9)
    # Each of its terms is large enough to be missed.
    first = arch_gradient(net, train=train, valid=valid, order=1)
    for other in (
        first,
        composed(net, train, valid, buffer=buffer, decay=0.0, **options),
        composed(net, train, valid, buffer=buffer, decay=DECAY, **{**options, "epsilon": 0.02}),
        composed(net, train, valid, buffer=buffer, decay=DECAY, **{**options, "eta": 0.31}),
    ):
        with pytest.raises(AssertionError):
            assert_close(actual, other, 1e-5)


def test_first_order_is_the_gradient_of_the_validation_loss() -> None:
    net = supernet()
    train, valid = batch(1), batch(2)
    expected = net.loss_and_grads(*valid)[1]["alphas"]
    assert_close(arch_gradient(net, train=train, valid=valid, order=1), expected, 1e-13)
    # Without an unrolled step the second order is the first.
    cases: Any = ({"eta": 0.0}, {"eta": 0.0, "momentum": 0.5, "weight_decay": 0.1})
    for options in cases:
        actual = arch_gradient(net, train=train, valid=valid, order=2, **options)
        assert_close(actual, expected, 1e-12)


@pytest.mark.parametrize("kind", ["short", "missing", "unknown", "longer", "transposed", "nan"])
def test_momentum_buffers_that_do_not_fit(kind: str) -> None:
    net = supernet()
    train, valid = batch(1), batch(2)
    grads = net.loss_and_grads(*train)[1]["weights"]
    buffer: Any = {name: np.zeros_like(a) for name, a in grads.items()}
    named = "classifier.bias"
    if kind == "short":
        buffer, named = np.zeros(3), "3"
    elif kind == "missing":
        del buffer[named]
    elif kind == "unknown":
        buffer["nonsense"], named = np.zeros(1), "nonsense"
    elif kind == "longer":
        buffer[named] = np.zeros(4)
    elif kind == "transposed":
        named = "stem.0.weight"
        buffer[named] = buffer[named].T
    else:
        buffer[named] = np.full(3, np.nan)
        named = ""  # the error is of what follows from it
    error = ValueError if named else (ValueError, ArithmeticError)
    with pytest.raises(error, match=f"`momentum_buffer.*{named}" if named else None):
        arch_gradient(net, train=train, valid=valid, momentum_buffer=buffer)


@pytest.mark.parametrize("order", [1, 2])
def test_a_step_is_its_parts(order: int) -> None:
    # SPEC §1: Adam by the architecture gradient at this lr and momentum, then SGD at the new α.
    net, twin = supernet(), supernet()
    betas, alpha_lr, alpha_decay, max_grad_norm, lr = (0.5, 0.999), 0.05, 0.01, 1.0, 0.1
    step = BilevelStep(
        net,
        order=order,
        momentum=MOMENTUM,
        weight_decay=DECAY,
        max_grad_norm=max_grad_norm,
        alpha_lr=alpha_lr,
        alpha_betas=betas,
        alpha_weight_decay=alpha_decay,
    )
    names = list(twin.loss_and_grads(*batch(0))[1]["weights"])
    state = twin.state_dict()
    buffer = {name: np.zeros_like(state[name]) for name in names}
    first, second = ({name: np.zeros((14, 8)) for name in twin.alphas} for _ in range(2))
    clipped = []
    for t in range(1, 5):
        train, valid = batch(10 * t), batch(10 * t + 1)
        info = step(train=train, valid=valid, lr=lr)
        g = arch_gradient(
            twin,
            train=train,
            valid=valid,
            order=order,
            eta=lr,
            momentum=MOMENTUM,
            momentum_buffer=buffer,
            weight_decay=DECAY,
        )
        norm = np.sqrt(sum((a**2).sum() for a in g.values()))
        assert info.alpha_gradient_norm == pytest.approx(norm, rel=1e-6)
        if order == 1:
            assert info.valid_loss == pytest.approx(twin.loss_and_grads(*valid)[0], rel=1e-8)
            right = (twin.logits(valid[0]).argmax(axis=1) == valid[1]).sum()
            assert info.valid_correct == right
        alphas = twin.alphas
        for name, a in alphas.items():
            total = g[name] + alpha_decay * a
            first[name] = betas[0] * first[name] + (1 - betas[0]) * total
            second[name] = betas[1] * second[name] + (1 - betas[1]) * total**2
            mean, square = first[name] / (1 - betas[0] ** t), second[name] / (1 - betas[1] ** t)
            a -= alpha_lr * mean / (np.sqrt(square) + 1e-8)
        twin.set_alphas(alphas)
        loss, grads = twin.loss_and_grads(*train)
        assert info.train_loss == pytest.approx(loss, rel=1e-8)
        assert info.train_correct == (twin.logits(train[0]).argmax(axis=1) == train[1]).sum()
        norm = np.sqrt(sum((a**2).sum() for a in grads["weights"].values()))
        assert info.gradient_norm == pytest.approx(norm, rel=1e-6)
        clipped.append(norm > max_grad_norm)
        state = twin.state_dict()
        for name in names:
            scaled = grads["weights"][name] * min(1.0, max_grad_norm / (norm + 1e-6))
            buffer[name] = MOMENTUM * buffer[name] + scaled + DECAY * state[name]
            state[name] = state[name] - lr * buffer[name]
        twin.load_state_dict(state)
        assert_close(net.alphas, twin.alphas, 1e-7)
        after, momentum = net.state_dict(), step.momentum_buffer
        for name in names:
            np.testing.assert_allclose(after[name], state[name], rtol=0, atol=1e-7, err_msg=name)
            np.testing.assert_allclose(momentum[name], buffer[name], atol=1e-6, err_msg=name)
    assert True in clipped


def test_a_reused_gradient_is_that_of_the_old_alphas() -> None:
    net, twin = supernet(), supernet()
    train, valid = batch(1), batch(2)
    step = BilevelStep(
        net, reuse_gradient=True, alpha_lr=0.1, max_grad_norm=1.0, weight_decay=DECAY
    )
    info = step(train=train, valid=valid, lr=0.1)
    loss, grads = twin.loss_and_grads(*train)
    assert info.train_loss == pytest.approx(loss, rel=1e-12)
    norm = np.sqrt(sum((a**2).sum() for a in grads["weights"].values()))
    assert norm > 1
    state, after = twin.state_dict(), net.state_dict()
    for name, g in grads["weights"].items():
        expected = state[name] - 0.1 * (g / (norm + 1e-6) + DECAY * state[name])
        np.testing.assert_allclose(after[name], expected, rtol=0, atol=1e-12, err_msg=name)
    # All else is as without: the alphas step, and the running statistics of the same images.
    BilevelStep(twin, alpha_lr=0.1, max_grad_norm=1.0, weight_decay=DECAY)(
        train=train, valid=valid, lr=0.1
    )
    assert_close(net.alphas, twin.alphas, 1e-12)
    for name, a in twin.state_dict().items():
        if name.startswith("stem.1.running"):
            np.testing.assert_allclose(after[name], a, rtol=1e-12)
        elif "running_mean" not in name:
            assert not np.array_equal(after[name], state[name]), name
    with pytest.raises(ValueError, match="`reuse_gradient`"):
        BilevelStep(net, order=1, reuse_gradient=True)
    with pytest.raises(ValueError, match=r"`hvp` \(='backward'\)"):
        BilevelStep(net, hvp="backward")


def test_no_direction() -> None:
    # The features of one image without affine BN are zero but for rounding: v is the gradient with
    # respect to the classifier's bias alone. With a classifier that is right, even that vanishes.
    net = pydarts.Supernet(2, 3, classes=2, in_channels=1, dtype="float64", threads=1)
    state = net.state_dict()
    state = {name: 0 * a if name.startswith("classifier") else a for name, a in state.items()}
    net.load_state_dict({**state, "classifier.bias": [800.0, -800.0]})
    one = np.ones((1, 1, 8, 8)), np.array([0])
    with pytest.raises(ArithmeticError, match="zero"):
        arch_gradient(net, train=one, valid=one, weight_decay=0.0)
    step = BilevelStep(net, weight_decay=0.0)
    before = net.flat_weights.copy(), net.flat_alphas.copy(), step.state()
    with pytest.raises(ArithmeticError, match=r"^step 0: .*zero"):
        step(train=one, valid=one, lr=0.1)
    np.testing.assert_array_equal(net.flat_weights, before[0])
    np.testing.assert_array_equal(net.flat_alphas, before[1])
    assert str(step.state()) == str(before[2])
