# SPDX-License-Identifier: MIT
"""C files for a device: ``python tests/device/networks.py write|check FOLDER``.

``write`` makes a folder for each network, with ``net.c`` and a ``main.c`` that holds inputs and
prints the bits of the logits, and ``expected.npy``, Python's logits in float. ``check`` compares
what the programs printed on the host, ``host.txt``, and in emulators, ``NAME.txt``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path += [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "reference")]

from c_programs import sounds
from nets import trained

import pydarts
from pydarts.export.c_file.source import number, wrapped

_PRINT = """\
static void show(const float *logits, int count)
{
  int k;
  for (k = 0; k < count; ++k) {
    uint32_t bits;
    memcpy(&bits, &logits[k], sizeof bits);
    printf("%08lx\\n", (unsigned long)bits);
  }
}
"""


def write(folder: Path) -> None:
    """Write all networks, in float and in 8 bits."""
    for space in ("nas-bench-201", "s4", "darts-1d", "by-edge"):
        model, X = trained(space, 7)
        for int8 in (False, True):
            made = folder / f"{space}-{'int8' if int8 else 'float'}"
            made.mkdir()
            model.to_c(made / "net.c", "net", int8, X if int8 else None)
            _save(made, "uint8_t", "net_predict_u8", X[:4], model.logits(X[:4]))
    X = sounds()
    preprocessing = pydarts.Preprocessing(
        "log_mel", 8000, 1600, n_mels=12, hop=0.02, top_db=35, standardize=True
    )
    options: dict[str, Any] = {"channels": 4, "cells": 2, "epochs": 1, "batch_size": 8}
    model = pydarts.train(
        pydarts.DARTS_V2,
        X,
        np.arange(len(X)) % 2,
        preprocessing=preprocessing,
        threads=1,
        progress=False,
        **options,
    )
    for int8 in (False, True):
        made = folder / f"log-mel-{'int8' if int8 else 'float'}"
        made.mkdir()
        model.to_c(made / "net.c", "net", int8, X if int8 else None)
        _save(made, "int16_t", "net_predict_i16", X[:4, :1600], model.logits(X[:4]))
    _write_text(folder / "text-float")


def _save(
    folder: Path, kind: str, function: str, inputs: NDArray[Any], expected: NDArray[Any]
) -> None:
    np.save(folder / "expected.npy", expected)
    count, classes = inputs[0].size, expected.shape[1]
    (folder / "main.c").write_text(
        f"{_HEAD}void {function}(const {kind} *, float *);\n{_PRINT}"
        f"static const {kind} inputs[] = {{\n{_numbers(inputs)}\n}};\n"
        f"int main(void)\n{{\n  static float logits[{classes}];\n  int k;\n"
        f"  for (k = 0; k < {len(inputs)}; ++k) {{\n"
        f"    {function}(inputs + k * {count}, logits);\n    show(logits, {classes});\n  }}\n"
        "  return 0;\n}\n"
    )


def _write_text(folder: Path) -> None:
    folder.mkdir()
    model = pydarts.train_text(
        pydarts.RECURRENT_DARTS_V2,
        "The quick brown fox jumps over the lazy dog.\n" * 60,
        hidden_size=13,
        epochs=1,
        batch_size=4,
        bptt=10,
        threads=1,
        progress=False,
    )
    model.to_c(folder / "net.c", "net")
    size, tokens = len(model.vocabulary), np.arange(12) % len(model.vocabulary)
    expected, hidden = [], None
    for token in tokens.tolist():  # of the probabilities, logits up to a constant
        p, hidden = model.network.next_probabilities([token], hidden=hidden)
        expected.append(np.log(p[0]) - np.log(p[0]).mean())
    np.save(folder / "expected.npy", np.array(expected))
    (folder / "main.c").write_text(
        f"{_HEAD}void net_step(int32_t, float *, float *);\n{_PRINT}"
        f"int main(void)\n{{\n  static float state[13], logits[{size}];\n  int k, v;\n"
        f"  for (k = 0; k < {len(tokens)}; ++k) {{\n    float mean = 0.0f;\n"
        f"    net_step(k % {size}, state, logits);\n"
        f"    for (v = 0; v < {size}; ++v) mean += logits[v] / {size};\n"
        f"    for (v = 0; v < {size}; ++v) logits[v] -= mean;\n"
        f"    show(logits, {size});\n  }}\n  return 0;\n}}\n"
    )


_HEAD = "#include <stdint.h>\n#include <stdio.h>\n#include <string.h>\n"


def _numbers(values: NDArray[Any]) -> str:
    flat = values.reshape(-1).tolist()
    return "\n".join(wrapped(number(v) if isinstance(v, float) else str(v) for v in flat))


def check(folder: Path) -> None:
    """Compare all outputs; an AssertionError names the network."""
    count = 0
    for net in sorted(path for path in folder.iterdir() if path.is_dir()):
        expected = np.load(net / "expected.npy")
        host = (net / "host.txt").read_text()
        for output in sorted(net.glob("*.txt")):
            text = output.read_text()
            bits = np.array([int(line, 16) for line in text.split()], np.uint32)
            assert bits.size == expected.size, output
            found = bits.view(np.float32).reshape(expected.shape)
            count += 1
            if net.name.endswith("-int8"):
                assert text == host, output
            else:
                error = np.abs(found - expected).max() / np.abs(expected).max()
                assert error <= 1e-4, (output, error)
    assert count > 0
    print(f"device: {count} outputs agree")


if __name__ == "__main__":
    {"write": write, "check": check}[sys.argv[1]](Path(sys.argv[2]))
