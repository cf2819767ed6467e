# SPDX-License-Identifier: MIT
"""A trained language model as a C file: what `LanguageModel.to_c` writes."""

from __future__ import annotations

import os
from pathlib import Path

from pydarts import _core
from pydarts.common.files import check_free, replace_file
from pydarts.export.c_file.report import CFile
from pydarts.export.c_file.source import (
    LICENCE,
    Constants,
    checked_name,
    comment,
    costs,
    declarations,
    function,
    kernels,
)
from pydarts.models.language_model import LanguageModel


def write_text_model(
    model: LanguageModel,
    path: str | os.PathLike[str],
    name: str = "model",
    *,
    overwrite: bool = False,
) -> CFile:
    """Write a trained language model: what `LanguageModel.to_c` does.

    Parameters
    ----------
    model : LanguageModel
    path, name, overwrite
        See `pydarts.LanguageModel.to_c`.

    Returns
    -------
    CFile
    """
    p, file = checked_name(name), Path(path)
    check_free(overwrite, file)
    genotype, hidden, tokens = (
        model.genotype,
        model.config.hidden_size,
        len(model.vocabulary),
    )
    state, nodes = model.network.state_dict(), len(genotype.recurrent)
    constants = Constants(p)
    constants.array("float", "encoder", state["encoder.weight"])
    constants.array("float", "bias", state["decoder.bias"])
    inputs = constants.array("float", "weight", state["rnns.0._W0"])
    weights = [
        constants.array("float", f"weight_{i}", state[f"rnns.0._Ws.{i}"]) for i in range(nodes)
    ]
    both, product, states = (f"{p}_arena + {k * hidden}" for k in (0, 2, 4))

    def at(index: int) -> str:
        return f"{p}_arena + {(4 + index) * hidden}"

    lines = [
        "int k;",
        f"memcpy({both}, {p}_encoder + (size_t)token * {hidden}, {hidden} * sizeof(float));",
        f"memcpy({p}_arena + {hidden}, state, {hidden} * sizeof(float));",
        f"{p}_product({both}, {inputs}, {2 * hidden}, {2 * hidden}, {product});",
        f"{p}_highway({product}, state, {p}_TANH, {states});",
    ]
    for i, (activation, source) in enumerate(genotype.recurrent):
        lines += [
            f"{p}_product({at(source)}, {weights[i]}, {hidden}, {2 * hidden}, {product});",
            f"{p}_highway({product}, {at(source)}, {p}_{activation.upper()}, {at(i + 1)});",
        ]
    chosen = genotype.concat
    total = " + ".join(f"{p}_arena[{(4 + i) * hidden} + k]" for i in chosen)
    lines += [
        f"for (k = 0; k < {hidden}; ++k) state[k] = ({total}) / {len(chosen)}.0f;",
        f"{p}_decode(state, logits);",
    ]
    arena = (5 + nodes) * hidden
    macs = hidden * (4 * hidden + 2 * nodes * hidden + tokens)
    head = f"void {p}_step(int32_t token, float *state, float *logits)"
    about = [
        *LICENCE,
        f"A recurrent language model of pydarts {_core.__version__}: {genotype}",
        f"{p}_step takes a token, 0 <= token < {tokens}, and the state before it, {hidden} floats,"
        f" zero at a text's start, which it replaces by the state after it. It gives {tokens}"
        " logits of the next token, in the order of the model's vocabulary.",
        "",
        *costs(macs, constants.bytes, 4 * arena),
    ]
    sizes = f"{p}_HIDDEN = {hidden}, {p}_TOKENS = {tokens}"
    activations = ", ".join(f"{p}_{kind}" for kind in ("TANH", "RELU", "SIGMOID", "IDENTITY"))
    body = [
        comment(about),
        "#include <math.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <string.h>",
        declarations([f"{head};"]),
        f"enum {{ {sizes} }};\nenum {{ {activations} }};",
        "\n".join(constants.lines),
        *kernels(["step", "decode"], p),
        f"static float {p}_arena[{arena}];",
        function(head, lines),
    ]
    replace_file(file, ("\n\n".join(body) + "\n").encode())
    return CFile(file, constants.bytes, 4 * arena, macs)
