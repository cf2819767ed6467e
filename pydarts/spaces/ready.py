# SPDX-License-Identifier: MIT
"""The ready spaces, which ready.json beside this file defines for Python and the engine alike.

Sources: Liu, Simonyan, Yang, *DARTS*, https://arxiv.org/abs/1806.09055; Dong, Yang,
*NAS-Bench-201*, https://arxiv.org/abs/2001.00326; Zela et al., *RobustDARTS*,
https://arxiv.org/abs/1909.09656 (S2 to S4).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

from pydarts.common.checks import show
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.spaces.cell import Cell
from pydarts.spaces.operation import Operation, Stage, none, relu
from pydarts.spaces.space import MAX_TEXT, READY, Space, add_known


def _load() -> None:
    found = json.loads(Path(__file__).with_name("ready.json").read_text(encoding="utf-8"))
    add_known(Operation.from_dict(value) for value in found["operations"])
    for value in found["spaces"]:
        READY[value["name"]] = Space.from_dict(value, header=False)


_load()

#: The space of 2018: a normal and a reduction cell of four nodes and eight operations.
DARTS: Final = READY["darts"]
#: Six edges of five operations, all kept; the space with a known accuracy for every cell.
NAS_BENCH_201: Final = READY["nas-bench-201"]
#: RobustDARTS' S2: DARTS with `skip_connect` and `sep_conv_3x3` alone.
S2: Final = READY["s2"]
#: RobustDARTS' S3: with `none` as well.
S3: Final = READY["s3"]
#: RobustDARTS' S4: `noise` and `sep_conv_3x3`.
S4: Final = READY["s4"]
#: The space of 2018 for signals: 1×k kernels.
DARTS_1D: Final = READY["darts-1d"]
#: The recurrent space of 2018: one cell of eight nodes, each of one activation of one state.
RECURRENT: Final = Space(
    name="darts-recurrent",
    operations=(
        Operation("none", [none]),
        Operation("tanh", [Stage("tanh")]),
        Operation("relu", [relu]),
        Operation("sigmoid", [Stage("sigmoid")]),
        Operation("identity"),
    ),
    cells=(
        Cell(
            name="recurrent",
            nodes=8,
            inputs=1,
            preprocessed=False,
            output="mean",
            kept_edges=1,
            merged_inputs=("x_t", "h_t\u22121"),
        ),
    ),
    stack=None,
    kind="recurrent",
)
READY[RECURRENT.name] = RECURRENT


def as_space(value: str | os.PathLike[str] | Space) -> Space:
    """Return a convolutional space from its name, a file, or itself.

    Parameters
    ----------
    value : str, path or Space
        The name of a ready space, a JSON file as `Space.to_json` writes it, or a space.

    Returns
    -------
    Space

    Raises
    ------
    ValueError
        If there is no such space; names the argument and the ready ones.
    """
    if isinstance(value, Space):
        found = value
    elif isinstance(value, (str, os.PathLike)):
        found = READY[str(value)] if value in READY else _read_space(Path(value))
    else:
        raise ArgumentTypeError("space", f"(={show(value)}) must be a name, a file or a Space")
    if found.kind != "convolutional":
        raise ArgumentError("space", f"(={found.name!r}) is {found.kind}: `search_text` takes it")
    return found


def _read_space(path: Path) -> Space:
    if not _is_file(path):
        names = ", ".join(name for name, space in READY.items() if space.kind == "convolutional")
        problem = f"(={str(path)!r}) is neither a ready space ({names}) nor a JSON file"
        raise ArgumentError("space", problem)
    try:
        with path.open(encoding="utf-8") as file:
            return Space.from_json(file.read(MAX_TEXT + 1))
    except ArgumentError as error:
        raise ArgumentError("space", f"{path}: `{error.argument}` {error.problem}") from error
    except ValueError as error:
        raise ArgumentError("space", f"{path}: {error}") from error


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long for one
        return False
