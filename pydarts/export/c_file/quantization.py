# SPDX-License-Identifier: MIT
"""A program in 8 bits: weights and activations as integers, and integer factors between scales.

An activation is ``scale (q - zero)``, one scale and zero a buffer; a weight is ``scale q``, one
scale an output channel. A sum of products in 32 bits becomes an activation by an integer multiplier
and a shift to the right. Source: Jacob et al., *Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference*, https://arxiv.org/abs/1712.05877.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pydarts.common.errors import ArgumentError
from pydarts.export.c_file.program import Conv, Copy, Pool, Program, Step
from pydarts.export.c_file.running import convolve, maxima, run, sums_and_counts

_LARGEST_BIAS = 2**30
_BATCH = 32


class Scale(NamedTuple):
    """What the 256 values of a buffer stand for."""

    step: float
    zero: int


class Factor(NamedTuple):
    """Numbers as multiplier / 2^shift, one for each channel or number of pixels."""

    multiplier: NDArray[np.int32]
    shift: NDArray[np.int8]


class Integers(NamedTuple):
    """A convolution's weight and bias, and the factor to its output; of the classifier none."""

    weight: NDArray[np.int8]
    bias: NDArray[np.int32]
    factor: Factor | None
    unit: NDArray[np.float32]  # what 1 in the sum is worth


class Quantized(NamedTuple):
    """A program with the scales of its buffers and, by the steps' numbers, their integers."""

    program: Program
    scales: tuple[Scale, ...]
    convs: Mapping[int, Integers]
    factors: Mapping[int, Factor]  # of pools and copies


def quantize(program: Program, images: NDArray[np.float32]) -> Quantized:
    """Return a program in 8 bits, with the ranges that these images give.

    Parameters
    ----------
    program : Program
    images : ndarray of float32, shape (N, C, H, W)
        Normalised.

    Returns
    -------
    Quantized

    Raises
    ------
    ArgumentError
        If a sum does not fit 32 bits.
    """
    scales = _scales(program, images)
    convs: dict[int, Integers] = {}
    factors: dict[int, Factor] = {}
    for i, step in enumerate(program.steps):
        ratio = scales[step.reads.buffer].step / scales[step.writes.buffer].step
        if isinstance(step, Conv):
            convs[i] = _conv(step, scales, i + 1 == len(program.steps))
        elif isinstance(step, Pool) and step.kind == "avg":
            taps = step.kernel[0] * step.kernel[1]
            counts = np.arange(1, taps + 1) if any(step.padding) else np.array([taps])
            factors[i] = factor(ratio / counts)
        elif isinstance(step, Pool | Copy):
            factors[i] = factor(np.array([ratio]))
    return Quantized(program, scales, convs, factors)


def factor(values: NDArray[Any]) -> Factor:
    """Return positive numbers as m / 2^s, 2^30 <= m < 2^31 and 1 <= s <= 62, or m = 0."""
    fraction, exponent = np.frexp(values.astype(np.float64))
    multiplier = np.round(fraction * 2.0**31).astype(np.int64)
    shift = 31 - exponent.astype(np.int64)
    full = multiplier == 2**31
    multiplier[full] //= 2
    shift[full] -= 1
    multiplier[shift > 62] = 0
    return Factor(multiplier.astype(np.int32), np.clip(shift, 1, 62).astype(np.int8))


def _scales(program: Program, images: NDArray[np.float32]) -> tuple[Scale, ...]:
    low, high = np.zeros(len(program.buffers)), np.zeros(len(program.buffers))

    def watch(index: int, values: NDArray[Any]) -> None:
        low[index] = min(low[index], values.min())
        high[index] = max(high[index], values.max())

    for start in range(0, len(images), _BATCH):
        run(program, images[start : start + _BATCH], watch)
    return tuple(_scale(*pair) for pair in zip(low.tolist(), high.tolist(), strict=True))


def _scale(low: float, high: float) -> Scale:
    step = float(np.float32((high - low) / 255))
    if not step > np.finfo(np.float32).tiny:
        return Scale(1.0, 0)
    return Scale(step, int(np.clip(round(-128 - low / step), -128, 127)))


def _conv(step: Conv, scales: tuple[Scale, ...], last: bool) -> Integers:
    weight, bias = step.weight.astype(np.float64), step.bias.astype(np.float64)
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise ArgumentError("model", "has NaN or infinite numbers in its weights")
    unit_in, zero = scales[step.reads.buffer]
    largest = np.abs(weight).max(axis=(1, 2, 3))
    unit = np.maximum(largest / 127, np.abs(bias) / (_LARGEST_BIAS * unit_in))
    unit[unit == 0] = 1.0
    integers = np.round(weight / unit[:, np.newaxis, np.newaxis, np.newaxis]).astype(np.int8)
    sums = np.abs(integers.astype(np.int64)).sum(axis=(1, 2, 3)) * 255
    if sums.max() >= _LARGEST_BIAS // 2:
        problem = f"(=True): {weight[0].size} products of 8 bits do not fit a sum of 32"
        raise ArgumentError("int8", problem)
    offset = np.round(bias / (unit_in * unit)).astype(np.int64)
    if step.pointwise:  # without padding, what the zero adds is the same everywhere
        offset -= zero * integers.astype(np.int64).sum(axis=(1, 2, 3))
    unit_out = scales[step.writes.buffer].step
    found = None if last else factor(unit_in * unit / unit_out)
    return Integers(integers, offset.astype(np.int32), found, (unit_in * unit).astype(np.float32))


def quantized_images(scale: Scale, images: NDArray[Any], mean: Any, std: Any) -> NDArray[np.int8]:
    """Return raw images (N, C, H, W) as the C code normalises and rounds them, in float32."""
    shape = (-1, 1, 1)
    mean, units = (
        np.asarray(v, np.float32).reshape(shape) for v in (mean, input_units(scale, std))
    )
    values = np.floor((images.astype(np.float32) - mean) / units + np.float32(0.5))
    levels: NDArray[np.int8] = np.clip(values + np.float32(scale.zero), -128, 127).astype(np.int8)
    return levels


def input_units(scale: Scale, std: Any) -> NDArray[np.float32]:
    """What 1 in the first buffer is worth in pixels of each channel."""
    return (np.asarray(std, np.float64) * scale.step).astype(np.float32)


def run_quantized(quantized: Quantized, images: NDArray[np.int8]) -> NDArray[np.float32]:
    """Return the logits of quantised images, to the bit as the C code computes them.

    Parameters
    ----------
    quantized : Quantized
    images : ndarray of int8, shape (N, C, H, W)

    Returns
    -------
    ndarray of float32, shape (N, classes)
    """
    program, scales = quantized.program, quantized.scales
    values: list[NDArray[Any]] = [np.zeros((len(images), *b)) for b in program.buffers]
    values[0][:] = images
    for i, step in enumerate(program.steps):
        reads, writes = step.reads, step.writes
        x = values[reads.buffer][:, reads.first : reads.first + reads.channels]
        out = values[writes.buffer][:, writes.first : writes.first + writes.channels]
        integers = quantized.convs.get(i)
        scaled = _scaled(quantized, i, step, x, out.shape)
        if integers is not None and integers.factor is None:
            return (scaled[:, :, 0, 0].astype(np.float32) * integers.unit).astype(np.float32)
        zero = scales[writes.buffer].zero
        total = scaled + (out if step.accumulate else zero)
        out[:] = np.clip(total, zero if step.relu else -128, 127)
    raise AssertionError("a program ends with its classifier")


def _scaled(
    quantized: Quantized, i: int, step: Step, x: NDArray[Any], shape: tuple[int, ...]
) -> NDArray[Any]:
    """What a step adds to the zero of its output; the classifier's sums as they are."""
    size = shape[2], shape[3]
    zero = quantized.scales[step.reads.buffer].zero
    if isinstance(step, Conv):
        integers = quantized.convs[i]
        x = np.maximum(x, zero) if step.relu_in else x
        weight = integers.weight.astype(np.float64)  # in which the sums are exact
        raw = convolve(step, weight, x if step.pointwise else x - zero, size)
        sums = raw.astype(np.int64) + integers.bias.astype(np.int64)[:, np.newaxis, np.newaxis]
        if integers.factor is None:
            return sums
        by_channel = (a[:, np.newaxis, np.newaxis] for a in integers.factor)
        return _product(sums, *by_channel)
    if isinstance(step, Pool) and step.kind == "avg":
        total, counts = sums_and_counts(step, x - zero, size)
        multiplier, shift = quantized.factors[i]
        index = counts - 1 if len(shift) > 1 else np.zeros_like(counts)
        return _product(total.astype(np.int64), multiplier[index], shift[index])
    if isinstance(step, Pool | Copy):
        x = maxima(step, x, size) if isinstance(step, Pool) else x
        return _product((x - zero).astype(np.int64), *quantized.factors[i])
    return np.zeros(shape, np.int64)


def _product(values: NDArray[np.int64], multiplier: Any, shift: Any) -> NDArray[np.int64]:
    half = np.int64(1) << (shift.astype(np.int64) - 1)
    scaled: NDArray[np.int64] = (values * multiplier.astype(np.int64) + half) >> shift
    return scaled
