# SPDX-License-Identifier: MIT
"""The steps of a program in NumPy: what calibration watches, and a reference of the C code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pydarts.export.c_file.program import Conv, Copy, Pool, Program, Step, Tensor
from pydarts.spaces.layers import Size

Array = NDArray[Any]


def run(
    program: Program, images: Array, seen: Callable[[int, Array], None] = lambda index, values: None
) -> Array:
    """Return the logits of normalised images.

    Parameters
    ----------
    program : Program
    images : ndarray of float32, shape (N, C, H, W)
    seen : callable
        Called with each buffer's number and values whenever a step has written to it.

    Returns
    -------
    ndarray of float32, shape (N, classes)
    """
    values = [np.zeros((len(images), *b), np.float32) for b in program.buffers]
    values[0][:] = images
    seen(0, values[0])
    for step in program.steps:
        x = _part(values, step.reads)
        out = _part(values, step.writes)
        term = _term(step, x, out.shape[2:])
        if step.accumulate:
            term = term + out
        out[:] = np.maximum(term, 0) if step.relu else term
        seen(step.writes.buffer, values[step.writes.buffer])
    logits: Array = values[-1][:, :, 0, 0]
    return logits


def _part(values: list[Array], tensor: Tensor) -> Array:
    part: Array = values[tensor.buffer][:, tensor.first : tensor.first + tensor.channels]
    return part


def _term(step: Step, x: Array, size: Size) -> Array:
    if isinstance(step, Conv):
        x = np.maximum(x, 0) if step.relu_in else x
        term: Array = convolve(step, step.weight, x, size) + step.bias[:, np.newaxis, np.newaxis]
        return term
    if isinstance(step, Pool):
        if step.kind == "max":
            return maxima(step, x, size)
        sums, counts = sums_and_counts(step, x, size)
        mean: Array = sums / counts.astype(x.dtype)
        return mean
    return x if isinstance(step, Copy) else np.zeros((len(x), step.writes.channels, *size), x.dtype)


def convolve(step: Conv, weight: Array, x: Array, size: Size) -> Array:
    """Return the sums of products of a convolution, without its bias."""
    rows, columns = step.kernel
    padded = _padded(x, step.kernel, step.stride, step.dilation, step.padding, size, 0)
    out = np.zeros((len(x), len(weight), size[0] * size[1]), x.dtype)
    for v in range(rows):
        for u in range(columns):
            part = _taken(padded, v * step.dilation, u * step.dilation, step.stride, size)
            part = part.reshape(*part.shape[:2], -1)
            if step.depthwise:
                out += weight[:, 0, v, u, np.newaxis] * part
            else:
                out += weight[:, :, v, u] @ part
    return out.reshape(len(x), -1, *size)


def maxima(step: Pool, x: Array, size: Size) -> Array:
    """Return the largest value of each window."""
    lowest = np.finfo(x.dtype).min
    padded = _padded(x, step.kernel, step.stride, 1, step.padding, size, lowest)
    rows, columns = step.kernel
    parts = [_taken(padded, v, u, step.stride, size) for v in range(rows) for u in range(columns)]
    found: Array = np.max(parts, axis=0)
    return found


def sums_and_counts(step: Pool, x: Array, size: Size) -> tuple[Array, NDArray[np.int64]]:
    """Return the sum of each window, and the number of its pixels that lie inside."""
    rows, columns = step.kernel
    both = []
    for values in (x, np.ones((1, 1, *x.shape[2:]), np.int64)):
        padded = _padded(values, step.kernel, step.stride, 1, step.padding, size, 0)
        out = np.zeros((*values.shape[:2], *size), values.dtype)
        for v in range(rows):
            for u in range(columns):
                out += _taken(padded, v, u, step.stride, size)
        both.append(out)
    return both[0], both[1][0, 0]


def _padded(
    x: Array, kernel: Size, stride: Size, dilation: int, padding: Size, size: Size, value: float
) -> Array:
    """The part of the plane, filled up around it, that the windows cover."""
    edges = []
    for axis in range(2):
        before = padding[axis]
        needed = (size[axis] - 1) * stride[axis] + (kernel[axis] - 1) * dilation + 1
        after = needed - before - x.shape[2 + axis]
        cut = [slice(None)] * 4
        cut[2 + axis] = slice(max(-before, 0), x.shape[2 + axis] + min(after, 0))
        x = x[tuple(cut)]
        edges.append((max(before, 0), max(after, 0)))
    return np.pad(x, ((0, 0), (0, 0), *edges), constant_values=value)


def _taken(padded: Array, top: int, left: int, stride: Size, size: Size) -> Array:
    down, right = stride
    rows = slice(top, top + (size[0] - 1) * down + 1, down)
    columns = slice(left, left + (size[1] - 1) * right + 1, right)
    return padded[:, :, rows, columns]
