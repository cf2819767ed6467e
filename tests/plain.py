# SPDX-License-Identifier: MIT
"""The candidate operations as SPEC §1 words them, for reading and not for speed.

Everything also takes complex numbers, of which a kink sees the real part only. So
``imag(f(x + ihd)) / h`` with a tiny h is the exact directional derivative of f at x along d: no
difference is taken, and no step can cross the kink of a ReLU or of a maximum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

OPERATIONS = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
EVERY_OPERATION = (*OPERATIONS, "sep_conv_7x7", "conv_7x1_1x7")
STEP = 1e-150
Axes = tuple[int, int]


def relu(x: Array) -> Array:
    """Return the positive part; at 0 its derivative is 0, as in the original."""
    return np.where(x.real > 0, x, 0)


def windows(
    x: Array, size: Axes, stride: int | Axes, pad: Axes, dilation: int, fill: float
) -> Iterator[tuple[int, int, Array]]:
    """Yield, tap by tap in reading order, the pixel that each output pixel sees through it."""
    down, across = stride if isinstance(stride, tuple) else (stride, stride)
    height, width = (
        (x.shape[2 + axis] + 2 * pad[axis] - dilation * (size[axis] - 1) - 1) // step + 1
        for axis, step in enumerate((down, across))
    )
    padded = np.pad(x, ((0, 0), (0, 0), pad[:1] * 2, pad[1:] * 2), constant_values=fill)
    for row in range(size[0]):
        for column in range(size[1]):
            top, left = row * dilation, column * dilation
            below, right = top + (height - 1) * down + 1, left + (width - 1) * across + 1
            yield row, column, padded[:, :, top:below:down, left:right:across]


def convolve(
    x: Array, weight: Array, stride: int | Axes = 1, pad: Axes = (0, 0), dilation: int = 1
) -> Array:
    """Return the convolution with ``weight`` (out, in, kh, kw), depthwise if `in` is 1."""
    out: Any = 0
    depthwise = weight.shape[1] == 1 and weight.shape[0] == x.shape[1]
    for row, column, seen in windows(x, weight.shape[2:], stride, pad, dilation, 0.0):
        tap = weight[:, :, row, column]
        if depthwise:
            out = out + seen * tap[:, 0, None, None]
        else:
            out = out + np.einsum("oc,nchw->nohw", tap, seen)
    result: Array = out
    return result


def batch_norm(x: Array) -> Array:
    """Return x by the batch's own mean and biased variance; no affine parameters."""
    centred = x - x.mean(axis=(0, 2, 3), keepdims=True)
    variance = (centred * centred).mean(axis=(0, 2, 3), keepdims=True)
    normal: Array = centred / np.sqrt(variance + 1e-5)
    return normal


def max_pool(x: Array, stride: int | Axes, size: Axes = (3, 3), pad: Axes = (1, 1)) -> Array:
    """Return maxima; of equals the first in reading order wins, as in the original."""
    best: Any = None
    for _, _, seen in windows(x, size, stride, pad, 1, -np.inf):
        best = seen if best is None else np.where(seen.real > best.real, seen, best)
    result: Array = best
    return result


def avg_pool(x: Array, stride: int | Axes, size: Axes = (3, 3), pad: Axes = (1, 1)) -> Array:
    """Return means of the pixels that exist."""
    total: Any = sum(seen for *_, seen in windows(x, size, stride, pad, 1, 0.0))
    ones = np.ones(x.shape)
    count: Any = sum(seen for *_, seen in windows(ones, size, stride, pad, 1, 0.0))
    mean: Array = total / count
    return mean


def factorized_reduce(x: Array, conv_1: Array, conv_2: Array) -> Array:
    """Return (H, W) halved, rounded up; what the shifted branch lacks at an odd edge is zero."""
    x = relu(x)
    straight = convolve(x[:, :, ::2, ::2], conv_1)
    shifted = convolve(x[:, :, 1::2, 1::2], conv_2)
    lacking = [(0, a - b) for a, b in zip(straight.shape[2:], shifted.shape[2:], strict=True)]
    shifted = np.pad(shifted, ((0, 0), (0, 0), *lacking))
    return batch_norm(np.concatenate([straight, shifted], axis=1))


def depthwise_separable(
    x: Array, depthwise: Array, pointwise: Array, stride: int, dilation: int
) -> Array:
    """Return ReLU, depthwise, pointwise, BN of x."""
    pad = dilation * (depthwise.shape[2] // 2)
    z = convolve(relu(x), depthwise, stride, (pad, pad), dilation)
    return batch_norm(convolve(z, pointwise))


def operation(name: str, x: Array, weights: Mapping[str, Array], stride: int) -> Array:
    """Return one candidate operation; ``weights`` under the names of SPEC §6."""
    kind, _, size = name.partition("_conv_")
    if name == "none":
        return 0 * x[:, :, ::stride, ::stride]
    if name == "max_pool_3x3":
        return batch_norm(max_pool(x, stride))
    if name == "avg_pool_3x3":
        return batch_norm(avg_pool(x, stride))
    if name == "skip_connect" and stride == 1:
        return x
    if name == "skip_connect":
        return factorized_reduce(x, weights["conv_1.weight"], weights["conv_2.weight"])
    if name == "conv_7x1_1x7":  # the stride is (1, s) in the first and (s, 1) in the second
        wide = convolve(relu(x), weights["1.weight"], 1, (0, 3))[:, :, :, ::stride]
        tall = convolve(wide, weights["2.weight"], 1, (3, 0))[:, :, ::stride]
        return batch_norm(tall)
    assert size, name
    if kind == "dil":
        return depthwise_separable(x, weights["op.1.weight"], weights["op.2.weight"], stride, 2)
    half = depthwise_separable(x, weights["op.1.weight"], weights["op.2.weight"], stride, 1)
    return depthwise_separable(half, weights["op.5.weight"], weights["op.6.weight"], 1, 1)


def mixed_operation(
    x: Array, weights: Mapping[str, Array], alphas: Array, operations: Iterable[str], stride: int
) -> Array:
    """Return the sum over k of softmax(alphas)_k op_k(x); weights as ``_ops.{k}.…``."""
    odds = np.exp(alphas - alphas.real.max())
    out: Any = 0
    for k, (share, name) in enumerate(zip(odds / odds.sum(), operations, strict=True)):
        own = f"_ops.{k}."
        mine = {n.removeprefix(own): w for n, w in weights.items() if n.startswith(own)}
        out = out + share * operation(name, x, mine, stride)
    result: Array = out
    return result
