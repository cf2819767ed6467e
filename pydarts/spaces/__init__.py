# SPDX-License-Identifier: MIT
"""What can be searched: operations as chains, cells, stacks, genotypes and their text forms.

A space of one's own is a value made of these::

    from pydarts.spaces import DARTS, Operation, batch_norm, pointwise, relu

    conv_1x1 = Operation("conv_1x1", [relu, pointwise, batch_norm])
    mine = DARTS.replace(name="mine", operations=[*DARTS.operations, conv_1x1])
"""

from pydarts.spaces.cell import Cell, edges
from pydarts.spaces.operation import (
    Operation,
    Stage,
    avg_pool,
    batch_norm,
    conv,
    depthwise,
    max_pool,
    noise,
    none,
    pointwise,
    relu,
    search_batch_norm,
)
from pydarts.spaces.ready import (
    DARTS,
    DARTS_1D,
    NAS_BENCH_201,
    RECURRENT,
    S2,
    S3,
    S4,
    as_space,
)
from pydarts.spaces.space import Space
from pydarts.spaces.stack import Layer, Stack

__all__ = [
    "DARTS",
    "DARTS_1D",
    "NAS_BENCH_201",
    "RECURRENT",
    "S2",
    "S3",
    "S4",
    "Cell",
    "Layer",
    "Operation",
    "Space",
    "Stack",
    "Stage",
    "as_space",
    "avg_pool",
    "batch_norm",
    "conv",
    "depthwise",
    "edges",
    "max_pool",
    "noise",
    "none",
    "pointwise",
    "relu",
    "search_batch_norm",
]
