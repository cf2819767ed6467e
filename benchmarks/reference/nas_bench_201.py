# SPDX-License-Identifier: MIT
"""NAS-Bench-201: its search network, and the network of one of its cells.

Source: Dong, Yang, *NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search*,
ICLR 2020, https://arxiv.org/abs/2001.00326. Parameters have the names of the official networks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from .operations import Chain, batch_norm, stem, total
from .search import SearchNetwork

# The order of the columns of alpha.
NAS_BENCH_201_OPERATIONS = (
    "none",
    "skip_connect",
    "nor_conv_1x1",
    "nor_conv_3x3",
    "avg_pool_3x3",
)
NODES = 4
#: (node, input), in the order of the rows of alpha; node 0 is the cell's input.
EDGES = tuple((node, j) for node in range(1, NODES) for j in range(node))


def _relu_conv_bn(
    c_in: int, c_out: int, kernel: int, stride: int, affine: bool, bias: bool
) -> Chain:
    return Chain(
        nn.ReLU(),
        nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=bias),
        batch_norm(c_out, affine),
    )


def _operation(name: str, c: int, affine: bool, bias: bool) -> nn.Module:
    """Return a module; that of "none" is not called."""
    if name in ("none", "skip_connect"):
        return nn.Identity()
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    kernels = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}
    return _relu_conv_bn(c, c, kernels[name], 1, affine, bias)


def _candidates(c: int, bias: bool) -> nn.ModuleList:
    return nn.ModuleList(_operation(name, c, False, bias) for name in NAS_BENCH_201_OPERATIONS)


def _mixture(operations: nn.Module, weights: Tensor, x: Tensor) -> Tensor:
    terms = zip(NAS_BENCH_201_OPERATIONS, weights.unbind(), operations.children(), strict=True)
    return total(w * operation(x) for name, w, operation in terms if name != "none")


class ResidualBlock(nn.Module):
    """Between two stages: doubles the channels and halves the map."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv_a = _relu_conv_bn(c_in, c_out, 3, 2, affine=True, bias=False)
        self.conv_b = _relu_conv_bn(c_out, c_out, 3, 1, affine=True, bias=False)
        self.downsample = nn.Sequential(
            nn.AvgPool2d(2, stride=2), nn.Conv2d(c_in, c_out, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, c_in, H, W) to (N, c_out, H/2, W/2)."""
        out: Tensor = self.conv_b(self.conv_a(x)) + self.downsample(x)
        return out


class SearchCell(nn.Module):
    """Three nodes behind the input; all six edges carry all operations."""

    def __init__(self, c: int, conv_bias: bool) -> None:
        super().__init__()
        operations = {f"{node}<-{j}": _candidates(c, conv_bias) for node, j in EDGES}
        self.edges = nn.ModuleDict(operations)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """Return the last node; ``weights`` has shape (6, 5)."""
        states = [x]
        mixed = dict(zip(EDGES, zip(self.edges.values(), weights, strict=True), strict=True))
        for node in range(1, NODES):
            states.append(total(_mixture(*mixed[node, j], states[j]) for j in range(node)))
        return states[-1]


class DerivedCell(nn.Module):
    """One operation on each of the six edges; entry k of ``entries`` is (operation, input)."""

    def __init__(self, entries: Sequence[tuple[str, int]], c: int) -> None:
        super().__init__()
        assert [j for _, j in entries] == [j for _, j in EDGES], entries
        self._names = [name for name, _ in entries]
        self.layers = nn.ModuleList(
            _operation(name, c, affine=True, bias=False) for name in self._names
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the last node; one without any operation is zero."""
        states = [x]
        for node in range(1, NODES):
            terms = [
                operation(states[j])
                for (to, j), name, operation in zip(EDGES, self._names, self.layers, strict=True)
                if to == node and name != "none"
            ]
            states.append(total(terms) if terms else x * 0.0)
        return states[-1]


class _Skeleton:
    """What search network and derived network have in common, but for their cells."""

    stem: nn.Sequential
    cells: nn.ModuleList
    lastact: nn.Sequential
    classifier: nn.Linear

    def _build(
        self,
        cell: Callable[[int], nn.Module],
        channels: int,
        cells: int,
        classes: int,
        in_channels: int,
    ) -> None:
        self.stem = stem(in_channels, channels)
        self.cells = nn.ModuleList()
        for stage in range(3):
            if stage:
                self.cells.append(ResidualBlock(channels, 2 * channels))
                channels *= 2
            self.cells.extend(cell(channels) for _ in range(cells))
        self.lastact = nn.Sequential(batch_norm(channels, True), nn.ReLU())
        self.classifier = nn.Linear(channels, classes)

    def _classify(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.lastact(x).mean(dim=(2, 3)))
        return logits


class NasBench201Supernet(_Skeleton, SearchNetwork):
    """Search network of NAS-Bench-201.

    Parameters
    ----------
    channels : int
        Channels C of the first stage; 2C and 4C are those of the others.
    cells : int
        Number N of cells of a stage. With both residual blocks there are 3N + 2 layers.
    classes, in_channels : int
        As in `Supernet`.
    conv_bias : bool
        Whether the convolutions of the operations, whose BN is without affine parameters, have a
        bias, as in the original.

    Attributes
    ----------
    alphas_normal : Tensor of shape (6, 5)
        Architecture parameters of all cells.
    """

    kinds = ("normal",)
    alphas_normal: Tensor

    def __init__(
        self, channels: int, cells: int, classes: int, in_channels: int, conv_bias: bool = True
    ) -> None:
        super().__init__()
        self._build(lambda c: SearchCell(c, conv_bias), channels, cells, classes, in_channels)
        self._draw_alphas(len(EDGES), len(NAS_BENCH_201_OPERATIONS))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, classes) of images (N, in_channels, H, W)."""
        weights = self.alphas_normal.softmax(dim=1)
        x = self.stem(x)
        for layer in self.cells:
            x = layer(x, weights) if isinstance(layer, SearchCell) else layer(x)
        return self._classify(x)


class NasBench201Network(_Skeleton, nn.Module):
    """Network of one cell of NAS-Bench-201.

    Parameters
    ----------
    entries : sequence of (str, int)
        Operation and input of each of the six edges, in their order.
    channels, cells, classes, in_channels : int
        As in `NasBench201Supernet`.
    """

    def __init__(
        self,
        entries: Sequence[tuple[str, int]],
        channels: int,
        cells: int,
        classes: int,
        in_channels: int,
    ) -> None:
        super().__init__()
        self._build(lambda c: DerivedCell(entries, c), channels, cells, classes, in_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, classes) of images (N, in_channels, H, W)."""
        x = self.stem(x)
        for layer in self.cells:
            x = layer(x)
        return self._classify(x)

    def loss(self, x: Tensor, y: Tensor, drop_masks: None = None) -> Tensor:
        """Return the cross-entropy."""
        assert drop_masks is None
        return F.cross_entropy(self(x), y)


def cell_text(entries: Sequence[tuple[str, int]]) -> str:
    """Return a cell as NAS-Bench-201 writes it."""
    nodes = [
        "".join(
            f"|{name}~{j}" for (to, j), (name, _) in zip(EDGES, entries, strict=True) if to == node
        )
        for node in range(1, NODES)
    ]
    return "+".join(f"{node}|" for node in nodes)
