# SPDX-License-Identifier: MIT
"""C files of models, compiled and called."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from drawn_spaces import Drawn
from numpy.typing import NDArray
from seeded import seeded_state

import pydarts
from pydarts.data.labels import Labels
from pydarts.data.normalization import Normalization
from pydarts.models.objectives import Classification
from pydarts.spaces import Space

Array = NDArray[Any]
COMPILER = os.environ.get("CC") or next(filter(shutil.which, ("cc", "gcc", "clang")), "")
STRICT = ("-pedantic", "-Wall", "-Wextra", "-Werror")
C99 = ("-std=c99", *STRICT)
CXX17 = ("-x", "c++", "-std=c++17", *STRICT)

#: Reads numbers, calls a function for each input, and writes what it gives.
MAIN = """\
#include <stdio.h>
#include <stdint.h>
void {function}(const {kind} *, float *);
int main(void)
{{
  static {kind} in[{inputs}];
  static float out[{outputs}];
  while (fread(in, sizeof *in, {inputs}, stdin) == {inputs}) {{
    {function}(in, out);
    fwrite(out, sizeof *out, {outputs}, stdout);
  }}
  return 0;
}}
"""


def run(command: Sequence[str | Path], data: bytes = b"") -> bytes:
    """Run a program, which must succeed and say nothing on standard error."""
    done = subprocess.run(list(map(str, command)), input=data, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode(errors="replace")
    return done.stdout


def compilers() -> list[tuple[str, ...]]:
    """Return the compilers of C99 and of C++17 that are here, each with its options."""
    found: list[tuple[str, ...]] = [(name, *C99) for name in ("gcc", "clang") if shutil.which(name)]
    found += [(name, *CXX17) for name in ("g++", "clang++") if shutil.which(name)]
    return found or [(COMPILER, *C99)]


def compile_strictly(path: Path) -> None:
    """Compile a file with all compilers, without a warning; nothing but maths may be missing."""
    for compiler in compilers():
        run([*compiler, "-O1", "-c", path, "-o", path.with_suffix(".o")])


class Library:
    """A C file as a shared library."""

    def __init__(self, path: Path, *options: str):
        shared = path.with_suffix(".so")
        run([COMPILER, *C99, "-O1", *options, "-fPIC", "-shared", path, "-o", shared, "-lm"])
        self.library = ctypes.CDLL(str(shared))

    def predict(self, function: str, inputs: Array, classes: int) -> Array:
        """Return the logits of inputs of the function's type, one call each."""
        out = np.full((len(inputs), classes), np.nan, np.float32)
        for x, logits in zip(inputs, out, strict=True):
            self.call(function, np.ascontiguousarray(x), logits)
        return out

    def call(self, function: str, *arguments: Any) -> None:
        """Call a function with arrays and integers."""
        getattr(self.library, function)(
            *(
                a.ctypes.data_as(ctypes.c_void_p) if isinstance(a, np.ndarray) else a
                for a in arguments
            )
        )


def drawn_model(drawn: Drawn) -> pydarts.Model:
    """Return a model of a drawn genotype with drawn weights."""
    assert drawn.genotype is not None
    space = Space.from_json(json.dumps(drawn.space))
    genotype = pydarts.Genotype(space=space, **drawn.genotype)
    net = pydarts.Network(genotype, **drawn.sizes, threads=1)
    size = (drawn.height, drawn.width)
    net.logits(np.zeros((2, drawn.in_channels, *size), np.float32))  # raises what is refused
    net.load_state_dict(seeded_state(net.state_dict(), drawn.seed))
    sizes = {"channels": drawn.channels, "cells": drawn.cells, "stem": drawn.stem}
    config = pydarts.TrainConfig.make("quick", sizes)
    means = Normalization((90.0,) * drawn.in_channels, (60.0,) * drawn.in_channels)
    labels = Classification(Labels((0, 1, 2)))
    return pydarts.Model(net, means, labels, size, config, image_layout="NCHW")


def sounds() -> Array:
    """Return int16 sounds (24, 2000): falling and rising tones with little noise."""
    rng = np.random.default_rng(0)
    time = np.arange(2000) / 8000
    pitch, loudness = rng.uniform(100, 3000, (24, 1)), rng.uniform(0.05, 0.8, (24, 1))
    tones = np.sin(2 * np.pi * pitch * time * (1 + 0.3 * time)) * loudness
    clipped = (tones + rng.normal(0, 0.003, tones.shape)).clip(-1, 1)
    return (clipped * 32767).astype(np.int16)
