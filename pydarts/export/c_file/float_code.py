# SPDX-License-Identifier: MIT
"""The steps of a program as C calls, in float."""

from __future__ import annotations

from collections.abc import Sequence

from pydarts.export.c_file.program import Conv, Copy, Pool, Program, Step, Zero
from pydarts.export.c_file.source import Constants


class FloatCode:
    """Numbers are float throughout."""

    kind, element, size = "float", "float", 4
    copies = ("float_store", "float_copy")
    maxima = ("range", "float_store", "float_max")
    averages = ("range", "float_store", "float_avg")

    def __init__(self, program: Program, prefix: str):
        self.program, self.prefix = program, prefix

    def zeros(self, step: Step) -> tuple[int, int]:
        """What stands for zero in a step's input and output."""
        return 0, 0

    def step(
        self, i: int, constants: Constants, layer: str, source: str, target: str
    ) -> tuple[str, Sequence[str]]:
        """Return the call of a step, and the kernels that it needs."""
        step, p = self.program.steps[i], self.prefix
        if isinstance(step, Conv):
            weight = constants.array("float", f"weight_{i}", step.weight)
            bias = constants.array("float", f"bias_{i}", step.bias)
            if step.pointwise:
                function, needed = "pointwise", ["float_pointwise"]
            else:
                function, needed = "conv", ["range", "float_conv"]
            return f"{p}_{function}({source}, {weight}, {bias}, {layer}, {target});", needed
        if isinstance(step, Pool):
            needed = list(self.maxima if step.kind == "max" else self.averages)
            return f"{p}_{step.kind}({source}, {layer}, {target});", needed
        if isinstance(step, Copy):
            return f"{p}_copy({source}, {layer}, {target});", list(self.copies)
        assert isinstance(step, Zero)
        count = step.writes.channels * self.program.buffers[step.writes.buffer].plane
        return f"{p}_zero({target}, {count});", ["float_zero"]
