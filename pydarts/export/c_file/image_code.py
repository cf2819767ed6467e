# SPDX-License-Identifier: MIT
"""The C file of a network over images or sounds, of a program and of what comes before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pydarts.export.c_file.arena import Block, Layout, plan
from pydarts.export.c_file.front_end import FrontEnd
from pydarts.export.c_file.program import Conv, Pool, Program, Step, Tensor
from pydarts.export.c_file.source import Constants, comment, costs, declarations, function, kernels


class Code(Protocol):
    """The steps in one kind of numbers."""

    prefix: str
    kind: str  # of kernels
    element: str
    size: int  # of an element, in bytes

    def zeros(self, step: Step) -> tuple[int, int]:
        """What stands for zero in a step's input and output."""

    def step(
        self, i: int, constants: Constants, layer: str, source: str, target: str
    ) -> tuple[str, Sequence[str]]:
        """Return the call of a step, and the kernels that it needs."""


class Input(NamedTuple):
    """What is made of raw numbers before the first step."""

    mean: NDArray[np.float32]
    unit: NDArray[np.float32]  # standard deviations, or of 8 bits what 1 is worth
    zero: int
    levels: NDArray[np.int8] | None  # of 8 bits: of each channel and value of uint8_t
    sound: bool  # int16_t, of which 32768 is full scale, in place of uint8_t
    front_end: FrontEnd | None


class Text(NamedTuple):
    """A C file, with the bytes of its constants and of its arena."""

    text: str
    constants: int
    arena: int


def image_code(program: Program, code: Code, given: Input, about: Sequence[str]) -> Text:
    """Return the C file of a program.

    Parameters
    ----------
    program : Program
    code : Code
        Its steps in float or 8 bits.
    given : Input
    about : sequence of str
        Lines on the model, for the comment on top.

    Returns
    -------
    Text
    """
    p, layout = code.prefix, _layout(program, code, given)
    size, width = ("short", 2) if _largest(program) < 2**15 else ("int", 4)
    before, constants = Constants(p), Constants(p)
    needed: list[str] = []
    calls: list[str] = []
    for i, step in enumerate(program.steps):
        layer = f"{p}_layer_{i}"
        places = [_place(program, code, layout, t) for t in (step.reads, step.writes)]
        call, kernel = code.step(i, constants, f"&{layer}", *places)
        if f"&{layer}" in call:
            numbers = _layer(program, step, code.zeros(step))
            line = f"static const {p}_layer {layer} = {{{', '.join(map(str, numbers))}}};"
            constants.add(width * len(numbers), line)
            needed.append("layer")
        calls.append(call)
        needed += kernel
    needed.sort(key=("layer", "range").__contains__, reverse=True)  # what others build on
    before.array("float", "mean", given.mean)
    before.array("float", "unit", given.unit)
    if given.levels is not None:
        before.array("int8_t", "levels", given.levels)
    if given.front_end is not None:
        given.front_end.add(before)
        needed.append("log_mel")
    needed.append(f"{code.kind}_input")
    flash = before.bytes + constants.bytes
    functions = _functions(program, code, layout, given)
    body = [
        comment(
            [
                *about,
                "",
                *costs(program.macs, flash, layout.size),
            ]
        ),
        "#include <math.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <string.h>",
        declarations(f"{head};" for head, _ in functions),
        _RESTRICT.replace("NAME", p),
        _CONTRACTION,
        f"typedef {size} {p}_size;\nenum {{ {p}_INPUT_ZERO = {given.zero} }};",
        "\n".join(before.lines),
        *kernels(needed, p),
        "\n".join(constants.lines),
        _arena(code, layout),
        function(f"static void {p}_run(float *logits)", calls),
        *(function(head, lines) for head, lines in functions),
    ]
    return Text("\n\n".join(body) + "\n", flash, layout.size)


_RESTRICT = """\
#if defined(__GNUC__)
#define NAME_RESTRICT __restrict__
#elif defined(__cplusplus)
#define NAME_RESTRICT
#else
#define NAME_RESTRICT restrict
#endif"""

_CONTRACTION = """\
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif"""


def _largest(program: Program) -> int:
    return max(max(buffer) for buffer in program.buffers)


def _layout(program: Program, code: Code, given: Input) -> Layout:
    """Places of all buffers but the logits, then of a front end's work and its result."""
    blocks = []
    for index, buffer in enumerate(program.buffers[:-1]):
        used = [
            i
            for i, step in enumerate(program.steps)
            if index in (step.reads.buffer, step.writes.buffer)
        ]
        start = used[0] if index else -1
        blocks.append(Block(buffer.values * code.size, start, used[-1]))
    if given.front_end is not None:
        blocks.append(Block(4 * given.front_end.fourier, -2, -2))
        blocks.append(Block(4 * program.buffers[0].values, -2, -1))
    return plan(blocks)


def _arena(code: Code, layout: Layout) -> str:
    """Of floats: what is aligned for them is so for bytes, which may be read in any memory."""
    return f"static float {code.prefix}_arena[{-(-layout.size // 4)}];"


def _at(code: Code, offset: int) -> str:
    arena = f"{code.prefix}_arena"
    return f"{arena} + {offset // 4}" if code.size == 4 else f"(int8_t *){arena} + {offset}"


def _place(program: Program, code: Code, layout: Layout, tensor: Tensor) -> str:
    if tensor.buffer == len(program.buffers) - 1:
        return "logits"
    first = tensor.first * program.buffers[tensor.buffer].plane * code.size
    return _at(code, layout.offsets[tensor.buffer] + first)


def _layer(program: Program, step: Step, zeros: tuple[int, int]) -> list[int]:
    """The members of the structure in ``kernels/layer.c``."""
    source, target = program.buffers[step.reads.buffer], program.buffers[step.writes.buffer]
    flags = [step.accumulate, step.relu]
    window: list[int] = [1, 1, 1, 1, 1, 0, 0]
    if isinstance(step, Conv):
        flags = [step.depthwise, step.relu_in, *flags]
        window = [*step.kernel, *step.stride, step.dilation, *step.padding]
    else:
        flags = [False, False, *flags]
    if isinstance(step, Pool):
        window = [*step.kernel, *step.stride, 1, *step.padding]
    bits = sum(2**k for k, flag in enumerate(flags) if flag)
    sizes = [step.reads.channels, source.height, source.width]
    sizes += [step.writes.channels, target.height, target.width]
    return [*sizes, *window, bits, *zeros]


def _functions(
    program: Program, code: Code, layout: Layout, given: Input
) -> list[tuple[str, list[str]]]:
    """Heads and bodies of what the caller sees."""
    p, first = code.prefix, program.buffers[0]
    target = f"{code.element} *first = {_at(code, layout.offsets[0])};"
    at = f"c * {first.plane} + k"
    if given.front_end is not None:
        work, spectrogram = (f"{p}_arena + {o // 4}" for o in layout.offsets[-2:])
        found = []
        for suffix, kind, pair in (
            ("", "float", "audio, NULL"),
            ("_i16", "int16_t", "NULL, audio"),
        ):
            head = f"void {p}_predict{suffix}(const {kind} *audio, float *logits)"
            value = f"{p}_input(spectrogram[{at}], c)"
            lines = [
                f"float *spectrogram = {spectrogram};",
                target,
                "int c, k;",
                f"{p}_spectrogram({pair}, {work}, spectrogram);",
                *_loops(first.channels, first.plane, f"first[{at}] = {value};"),
                f"{p}_run(logits);",
            ]
            found.append((head, lines))
        return found
    forms = [("", "float", f"{p}_input(image[{at}], c)")]
    if given.sound:
        forms.append(("_i16", "int16_t", f"{p}_input((float)image[{at}] / 32768.0f, c)"))
    elif given.levels is not None:
        forms.append(("_u8", "uint8_t", f"{p}_levels[c * 256 + image[{at}]]"))
    else:
        forms.append(("_u8", "uint8_t", f"{p}_input((float)image[{at}], c)"))
    return [
        (
            f"void {p}_predict{suffix}(const {kind} *image, float *logits)",
            [
                target,
                "int c, k;",
                *_loops(first.channels, first.plane, f"first[{at}] = {value};"),
                f"{p}_run(logits);",
            ],
        )
        for suffix, kind, value in forms
    ]


def _loops(channels: int, plane: int, line: str) -> list[str]:
    return [
        f"for (c = 0; c < {channels}; ++c)",
        f"  for (k = 0; k < {plane}; ++k) {line}",
    ]
