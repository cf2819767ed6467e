# SPDX-License-Identifier: MIT
"""The steps of a quantised program as C calls, in 8 bits with sums of 32."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pydarts.export.c_file.program import Conv, Copy, Pool, Step
from pydarts.export.c_file.quantization import Factor, Integers, Quantized
from pydarts.export.c_file.source import Constants


class Int8Code:
    """Weights and activations are int8_t, sums int32_t."""

    kind, element, size = "int8", "int8_t", 1

    def __init__(self, quantized: Quantized, prefix: str):
        self.quantized, self.prefix = quantized, prefix

    def zeros(self, step: Step) -> tuple[int, int]:
        """What stands for zero in a step's input and output."""
        scales = self.quantized.scales
        return scales[step.reads.buffer].zero, scales[step.writes.buffer].zero

    def step(
        self, i: int, constants: Constants, layer: str, source: str, target: str
    ) -> tuple[str, Sequence[str]]:
        """Return the call of a step, and the kernels that it needs."""
        program, p = self.quantized.program, self.prefix
        step = program.steps[i]
        if isinstance(step, Conv):
            integers = self.quantized.convs[i]
            weight = constants.array("int8_t", f"weight_{i}", integers.weight)
            bias = constants.array("int32_t", f"bias_{i}", integers.bias)
            if integers.factor is None:
                return self._classifier(i, constants, integers, weight, bias, source, target)
            scale = self._factor(i, constants, integers.factor)
            if step.pointwise:
                function, needed = "pointwise", ["int8_scale", "int8_sums", "int8_pointwise"]
            else:
                function, needed = "conv", ["range", "int8_scale", "int8_conv"]
            return (
                f"{p}_{function}({source}, {weight}, {bias}, {scale}, {layer}, {target});",
                needed,
            )
        if isinstance(step, Pool):
            scale = self._factor(i, constants, self.quantized.factors[i])
            counts = f", {len(self.quantized.factors[i].shift)}" if step.kind == "avg" else ""
            call = f"{p}_{step.kind}({source}, {scale}{counts}, {layer}, {target});"
            return call, ["range", "int8_scale", f"int8_{step.kind}"]
        if isinstance(step, Copy):
            scale = self._factor(i, constants, self.quantized.factors[i])
            return f"{p}_copy({source}, {scale}, {layer}, {target});", ["int8_scale", "int8_copy"]
        count = step.writes.channels * program.buffers[step.writes.buffer].plane
        return f"{p}_zero({target}, {self.zeros(step)[1]}, {count});", ["int8_zero"]

    def _classifier(
        self,
        i: int,
        constants: Constants,
        integers: Integers,
        weight: str,
        bias: str,
        source: str,
        target: str,
    ) -> tuple[str, Sequence[str]]:
        unit = constants.array("float", f"unit_{i}", integers.unit)
        outputs, inputs = integers.weight.shape[:2]
        sizes = f"{inputs}, {outputs}"
        call = f"{self.prefix}_classify({source}, {weight}, {bias}, {unit}, {sizes}, {target});"
        return call, ["int8_sums", "int8_logits"]

    def _factor(self, i: int, constants: Constants, factor: Factor) -> str:
        multiplier = constants.array("int32_t", f"multiplier_{i}", factor.multiplier)
        shift = constants.array("int8_t", f"shift_{i}", factor.shift.astype(np.int64))
        return f"{multiplier}, {shift}"
