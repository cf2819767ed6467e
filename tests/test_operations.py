# SPDX-License-Identifier: MIT
"""Every candidate operation and their mixture, forward and backward, against `plain`.

Gradients are held against the complex-step derivative of the plain version (see there): exact, so
that no tolerance has to make room for the kinks of ReLU and maximum. A difference of the engine's
own outputs, which needs no plain version to be right, backs it up on a few shapes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import plain
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from plain import Array

import pydarts

WITH_OUTPUT = [name for name in plain.EVERY_OPERATION if name != "none"]


class Shape(NamedTuple):
    """Of the input of a mixed operation."""

    samples: int
    channels: int
    height: int
    width: int


shapes = st.builds(
    Shape,
    st.integers(1, 3),
    st.sampled_from([1, 2, 3, 5, 7, 8, 9, 12, 17]),
    st.integers(1, 9),
    st.integers(1, 16),
)
# What the loops over chunks of pixels, samples and channels may stumble over at their ends.
BORDERS = [
    Shape(1, 2, 3, 130),
    Shape(2, 3, 1, 129),
    Shape(1, 9, 131, 2),
    Shape(1, 3, 17, 17),
    Shape(2, 2, 3, 14),
    Shape(1, 2, 5, 15),
    Shape(1, 1, 5, 29),
    Shape(2, 8, 16, 16),
    Shape(70, 3, 2, 2),
    Shape(131, 1, 1, 1),
    Shape(33, 10, 3, 4),
    Shape(1, 33, 6, 5),
    Shape(1, 1, 33, 34),
]
many_examples = settings(deadline=None, max_examples=10)
strides = pytest.mark.parametrize("stride", [1, 2])


def mixed_operation(
    operations: tuple[str, ...], channels: int, stride: int, seed: int = 1, dtype: str = "float64"
) -> pydarts.MixedOperation:
    """Return a mixed operation whose candidates have clearly different weights."""
    net = pydarts.MixedOperation(channels, stride, operations, dtype=dtype, seed=seed, threads=2)
    rng = np.random.default_rng(seed)
    net.set_alphas({"mixed": rng.normal(size=(1, len(operations)))})
    return net


def tensors(net: pydarts.MixedOperation, x: Array) -> dict[str, Array]:
    """Return all that the output depends on, by name."""
    return {"x": x, "alphas": net.alphas["mixed"][0], **net.state_dict()}


def check(operations: tuple[str, ...], shape: Shape, stride: int, x: Array | None = None) -> None:
    """Compare output and gradients, by each tensor along a random direction, with `plain`."""
    rng = np.random.default_rng(3)
    net = mixed_operation(operations, shape.channels, stride)
    x = rng.normal(size=shape) if x is None else x
    inputs = {name: t for name, t in tensors(net, x).items() if ".running_" not in name}

    def output(inputs: dict[str, Array]) -> Array:
        return plain.mixed_operation(inputs["x"], inputs, inputs["alphas"], operations, stride)

    expected = output(inputs)
    actual = net.forward(x)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-10 * (1 + abs(expected).max()))

    d_output = rng.normal(size=expected.shape)
    grads = net.backward(x, d_output)
    gradient = {"x": grads.x, "alphas": grads.alphas[0], **grads.weights}
    assert gradient.keys() == inputs.keys()
    for name, at in inputs.items():
        assert gradient[name].shape == at.shape
        if at.size:
            along = rng.normal(size=at.shape)
            moved = output({**inputs, name: at + 1j * plain.STEP * along})
            derivative = (d_output * moved.imag).sum() / plain.STEP
            tol = 1e-9 * float(1 + np.linalg.norm(gradient[name]) * np.linalg.norm(along))
            assert (gradient[name] * along).sum() == pytest.approx(derivative, abs=tol), name


@pytest.mark.parametrize("name", WITH_OUTPUT)
@strides
@given(shape=shapes)
@many_examples
@example(shape=Shape(1, 1, 1, 1))
@example(shape=Shape(1, 9, 9, 9))
@example(shape=Shape(2, 7, 1, 8))
def test_operation(name: str, stride: int, shape: Shape) -> None:
    check((name, "none"), shape, stride)


@strides
@given(
    operations=st.lists(st.sampled_from(plain.EVERY_OPERATION), min_size=1, max_size=9).filter(
        lambda names: set(names) != {"none"}
    ),
    shape=shapes,
)
@many_examples
@example(operations=plain.OPERATIONS, shape=Shape(1, 1, 1, 1))
@example(operations=plain.EVERY_OPERATION, shape=Shape(2, 9, 7, 8))
def test_any_mixture(stride: int, operations: list[str], shape: Shape) -> None:
    check(tuple(operations), shape, stride)


@strides
@pytest.mark.parametrize("shape", BORDERS, ids=str)
def test_borders_of_chunks(shape: Shape, stride: int) -> None:
    check(plain.EVERY_OPERATION, shape, stride)


@strides
def test_ties(stride: int) -> None:
    # A background of equal pixels ties maxima and sits on ReLU's kink; real images have one.
    shape = Shape(2, 3, 9, 8)
    x = np.random.default_rng(0).integers(-1, 2, shape).astype(float)
    x[:, :, 4:] = 0
    check(plain.EVERY_OPERATION, shape, stride, x)


@strides
@pytest.mark.parametrize(
    "shape", [Shape(1, 3, 7, 6), Shape(3, 9, 5, 5), Shape(2, 1, 9, 3)], ids=str
)
def test_central_difference(shape: Shape, stride: int) -> None:
    # A step that jumps a kink is in error by O(1), one that does not by O(h²) and rounding / h. So
    # the best of several steps is small, unless a kink is nearer than the smallest.
    rng = np.random.default_rng(5)
    net = mixed_operation(plain.EVERY_OPERATION, shape.channels, stride, seed=2)
    x = rng.normal(size=shape)
    d_output = rng.normal(size=net.forward(x).shape)
    grads = net.backward(x, d_output)
    start, alphas = net.state_dict(), net.alphas["mixed"]
    along_x, along_alphas = rng.normal(size=x.shape), rng.normal(size=alphas.shape)
    along = {name: rng.normal(size=g.shape) for name, g in grads.weights.items()}

    def value(step: float, which: str) -> float:
        at_x, at_alphas, at_w = (step * (which == kind) for kind in ("x", "alphas", "weights"))
        net.set_alphas({"mixed": alphas + at_alphas * along_alphas})
        net.load_state_dict({**start, **{n: start[n] + at_w * d for n, d in along.items()}})
        return float((d_output * net.forward(x + at_x * along_x)).sum())

    slopes = {
        "x": (grads.x * along_x).sum(),
        "alphas": (grads.alphas * along_alphas).sum(),
        "weights": sum((g * along[name]).sum() for name, g in grads.weights.items()),
    }
    for which, slope in slopes.items():
        errors = [
            abs((value(h, which) - value(-h, which)) / (2 * h) - slope) for h in (1e-4, 1e-5, 1e-6)
        ]
        assert min(errors) < 1e-6 * (1 + abs(slope)), (which, slope, errors)


# With one channel BN takes out the scale, and the gradient by it is a small rest of large terms.
@strides
@pytest.mark.parametrize("shape", [s for s in BORDERS if s.channels > 1], ids=str)
def test_float32(shape: Shape, stride: int) -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=shape).astype(np.float32)
    single = mixed_operation(plain.OPERATIONS, shape.channels, stride, dtype="float32")
    double = mixed_operation(plain.OPERATIONS, shape.channels, stride)
    double.load_state_dict(single.state_dict())
    double.set_alphas(single.alphas)
    expected = double.forward(x)
    actual = single.forward(x)
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * abs(expected).max())
    d_output = rng.normal(size=expected.shape).astype(np.float32)
    ours, theirs = (net.backward(x, d_output) for net in (single, double))
    pairs = {"x": (ours.x, theirs.x), "alphas": (ours.alphas, theirs.alphas)}
    pairs |= {name: (g, theirs.weights[name]) for name, g in ours.weights.items()}
    largest = max(abs(e).max(initial=0) for _, e in pairs.values())
    for name, (actual, expected) in pairs.items():
        assert actual.dtype == np.float32
        limit = 1e-4 * max(abs(expected).max(initial=0), 1e-2 * largest)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=limit, err_msg=name)


@pytest.mark.parametrize(
    ("operations", "stride"), [(("max_pool_3x3", "avg_pool_3x3"), 1), (("skip_connect",), 2)]
)
def test_float32_far_from_zero(operations: tuple[str, ...], stride: int) -> None:
    # The variance must not drown in the square of the mean. A hundred standard deviations away
    # from zero the input itself has five digits of its standard deviation left.
    x = np.random.default_rng(7).normal(100, 1, (8, 8, 16, 16)).astype(np.float32)
    single, double = (
        mixed_operation(operations, 8, stride, dtype=kind) for kind in ("float32", "float64")
    )
    double.load_state_dict(single.state_dict())
    expected = double.forward(x)
    np.testing.assert_allclose(single.forward(x), expected, rtol=0, atol=1e-4 * abs(expected).max())


@pytest.mark.parametrize(("dtype", "limit"), [("float64", 1e-8), ("float32", 0.1)])
@pytest.mark.parametrize("name", [name for name in WITH_OUTPUT if name != "skip_connect"])
def test_batch_norm_of_one_value(name: str, dtype: str, limit: float) -> None:
    # Its variance is 0: whatever the input, the output is 0 and so are the gradients. A variance
    # that rounding makes negative must not become NaN.
    net = mixed_operation((name,), 8, 1, dtype=dtype)
    rng = np.random.default_rng(8)
    for _ in range(10):
        x = 100 * rng.normal(size=(1, 8, 1, 1))
        assert abs(net.forward(x)).max() < limit
        grads = net.backward(x, np.ones_like(x))
        assert abs(grads.x).max() < limit
        assert all(np.isfinite(gradient).all() for gradient in grads.weights.values())
        if dtype == "float64":
            assert all(abs(gradient).max() < 1e-4 for gradient in grads.weights.values())


def test_none_leaves_its_share() -> None:
    net = pydarts.MixedOperation(2, 1, ("none", "skip_connect"), dtype="float64")
    net.set_alphas({"mixed": [[np.log(3.0), 0.0]]})
    x = np.random.default_rng(0).normal(size=(1, 2, 3, 4))
    np.testing.assert_allclose(net.forward(x), x / 4, rtol=1e-14)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match=r"`stride` \(=3\)"):
        pydarts.MixedOperation(2, 3)
    with pytest.raises(ValueError, match=r"`channels` \(=0\)"):
        pydarts.MixedOperation(0)
    with pytest.raises(ValueError, match="'sep_conv_4x4'"):
        pydarts.MixedOperation(2, 1, ("sep_conv_4x4",))
    with pytest.raises(ValueError, match="operations"):
        pydarts.MixedOperation(2, 1, ())
    net = pydarts.MixedOperation(2, 2)
    with pytest.raises(ValueError, match="gradient"):
        net.backward(np.zeros((1, 2, 4, 4)), np.zeros((1, 2, 4, 4)))
    with pytest.raises(ValueError, match="3 channels"):
        net.forward(np.zeros((1, 3, 4, 4)))
