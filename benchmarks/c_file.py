# SPDX-License-Identifier: MIT
"""A model's C file against the engine, an image at a time: ``python -m benchmarks.c_file DIR``.

DIR is a trained model over images. Both run on one thread, in turns; the C file in float is checked
against the engine first. Options of the compiler are in ``CFLAGS``, by default those for speed.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import pydarts
from pydarts.models.files import model_folder

ROUNDS, IMAGES = 30, 32


def main() -> None:
    """Print the median time of an image for each contender."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.c_file")
    parser.add_argument("model", metavar="DIR")
    model = pydarts.Model.load(model_folder(parser.parse_args().model), threads=1)
    flags = os.environ.get("CFLAGS", "-O3 -march=native")
    shape = (IMAGES, model.network.in_channels, *model.image_size)
    X = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    x = model.normalization.apply(X)
    logits = np.zeros(len(model.classes), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        model.to_c(Path(folder) / "float.c")
        model.to_c(Path(folder) / "int8.c", int8=True, calibration=X)
        calls = {name: _compiled(Path(folder), name, flags) for name in ("float", "int8")}
    for row, image in zip(model.network.logits(x, training=False), X, strict=True):
        calls["float"](image, logits)
        assert np.abs(logits - row).max() <= 1e-4 * np.abs(row).max()

    def engine() -> None:
        for k in range(IMAGES):
            model.network.logits(x[k : k + 1], training=False)

    def c(name: str) -> Callable[[], None]:
        def run() -> None:
            for image in X:
                calls[name](image, logits)

        return run

    contenders = {"engine": engine, "C, float": c("float"), "C, int8": c("int8")}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            times[name].append((time.perf_counter() - start) / IMAGES)
    for name, found in times.items():
        spread = f"{1e3 * min(found):.3f} to {1e3 * max(found):.3f}"
        print(
            f"{name:9} {1e3 * median(found):.3f} ms ({spread}, {flags if name[0] == 'C' else ''})"
        )


def _compiled(folder: Path, name: str, flags: str) -> Callable[[Any, Any], None]:
    library = folder / f"{name}.so"
    options = ["-std=c99", *shlex.split(flags), "-fPIC", "-shared"]
    compiler = os.environ.get("CC", "cc")
    subprocess.run([compiler, *options, folder / f"{name}.c", "-o", library, "-lm"], check=True)
    function = ctypes.CDLL(str(library)).model_predict_u8

    def call(image: Any, logits: Any) -> None:
        pointers = (a.ctypes.data_as(ctypes.c_void_p) for a in (image, logits))
        function(*pointers)

    return call


if __name__ == "__main__":
    main()
