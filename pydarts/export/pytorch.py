# SPDX-License-Identifier: MIT
"""Derived networks as PyTorch modules; importing this file needs PyTorch.

The names and shapes of their states are those of the original's modules and of the engine's
networks, so states pass both ways.
"""

from __future__ import annotations

from collections import OrderedDict
from math import floor
from typing import TypeVar

try:
    import torch
    from torch import Tensor, nn
    from torch.nn import functional as F
except ImportError as error:
    raise ImportError("`to_torch` needs PyTorch: pip install 'pydarts-nas[torch]'") from error

from pydarts.common.checks import integer
from pydarts.engine.convolutional import checked_sizes
from pydarts.engine.network import EngineNetwork
from pydarts.export import layers
from pydarts.models.image_model import Model
from pydarts.models.language_model import LanguageModel
from pydarts.spaces.darts import Genotype
from pydarts.spaces.recurrent import RecurrentGenotype


def _stage(stage: layers.Stage) -> nn.Module:
    match stage:
        case layers.Conv(inputs, outputs, kernel, stride, dilation, groups):
            padding = stage.padding
            return nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False)
        case layers.Norm(channels):
            return nn.BatchNorm2d(channels)
        case layers.Relu():
            return nn.ReLU()


def _layer(layer: layers.Layer) -> nn.Module:
    match layer:
        case layers.Chain(stages, named):
            chain = nn.Sequential(*map(_stage, stages))
            return nn.Sequential(OrderedDict(op=chain)) if named else chain
        case layers.Pool("max", stride):
            return nn.MaxPool2d(3, stride, 1)
        case layers.Pool(_, stride):
            return nn.AvgPool2d(3, stride, 1, count_include_pad=False)
        case layers.FactorizedReduce():
            return FactorizedReduce(layer)
        case layers.Identity():
            return nn.Identity()


class FactorizedReduce(nn.Module):
    """Halves height and width: two 1x1 convolutions of stride 2, the second a pixel down and right.

    The second is padded with zeros at the end of an odd side.
    """

    def __init__(self, layer: layers.FactorizedReduce):
        super().__init__()
        self.conv_1, self.conv_2 = map(_stage, layer.convs)
        self.bn = nn.BatchNorm2d(layer.outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', ceil(H/2), ceil(W/2))."""
        x = x.relu()
        both = [self.conv_1(x), self.conv_2(F.pad(x, (-1, 1, -1, 1)))]
        out: Tensor = self.bn(torch.cat(both, dim=1))
        return out


class Cell(nn.Module):
    """A discrete cell: node i sums operations 2i and 2i+1 of the genotype."""

    def __init__(self, cell: layers.Cell):
        super().__init__()
        self.preprocess0, self.preprocess1 = map(_layer, cell.preprocess)
        self._ops = nn.ModuleList(_layer(layer) for layer, _ in cell.edges)
        self._sources = [source for _, source in cell.edges]
        self._concat = cell.concat

    def forward(self, s0: Tensor, s1: Tensor, drop_path: float) -> Tensor:
        """The output from those of the two cells before.

        Each operand other than an identity is dropped, for a sample, with probability `drop_path`.
        """
        states = [self.preprocess0(s0), self.preprocess1(s1)]
        operands: list[Tensor] = []
        for op, source in zip(self._ops, self._sources, strict=True):
            operand = op(states[source])
            if drop_path > 0 and not isinstance(op, nn.Identity):
                operand = operand * F.dropout(operand.new_ones(len(operand), 1, 1, 1), drop_path)
            operands.append(operand)
            if len(operands) == 2:
                states.append(operands.pop() + operands.pop())
        return torch.cat([states[i] for i in self._concat], dim=1)


class AuxiliaryHead(nn.Module):
    """A second classifier on the output of cell 2L//3, for training."""

    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.features = nn.Sequential(
            nn.ReLU(),
            _TwoWindows(),
            nn.Conv2d(channels, 128, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.Conv2d(128, 768, 2, bias=False),
            nn.BatchNorm2d(768),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(768, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes)."""
        logits: Tensor = self.classifier(self.features(x).flatten(1))
        return logits


class _TwoWindows(nn.Module):
    """Average pooling to 2x2, by windows at the ends: of 8 pixels 5 long, as in the original."""

    def forward(self, x: Tensor) -> Tensor:
        for axis in (2, 3):
            side = x.shape[axis]
            apart = min(max(1, floor(3 * side / 8 + 0.5)), side - 1)
            windows = (x.narrow(axis, at, side - apart) for at in (0, apart))
            x = torch.cat([w.mean(axis, keepdim=True) for w in windows], axis)
        return x


class DerivedNetwork(nn.Module):
    """The network derived from a genotype: what `Genotype.to_torch` and `Model.to_torch` return.

    Parameters
    ----------
    genotype : Genotype
    channels, cells, classes, in_channels : int
        See `pydarts.Network`.
    auxiliary : bool
        Whether it has an auxiliary head, for training.

    Attributes
    ----------
    drop_path : float
        Probability of dropping an operand in training mode, 0 at first; raise it epoch by epoch.
    mean, std : Tensor of shape (C, 1, 1), or None
        How images are normalised first; from a model. They are not part of the state.
    """

    mean: Tensor | None
    std: Tensor | None

    def __init__(
        self,
        genotype: Genotype,
        channels: int,
        cells: int,
        classes: int,
        in_channels: int,
        auxiliary: bool,
    ):
        super().__init__()
        checked_sizes(channels, cells, classes, in_channels)
        plan = layers.cells(genotype, channels, cells)
        self.register_buffer("mean", None, persistent=False)
        self.register_buffer("std", None, persistent=False)
        self.stem = _layer(layers.stem(in_channels, channels))
        self.cells = nn.ModuleList(map(Cell, plan))
        self._auxiliary_cell = 2 * cells // 3
        self.auxiliary_head = (
            AuxiliaryHead(plan[self._auxiliary_cell].channels, classes) if auxiliary else None
        )
        self.classifier = nn.Linear(plan[-1].channels, classes)
        self.drop_path = 0.0

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return the logits of images.

        Parameters
        ----------
        x : Tensor
            Images (N, C, H, W).

        Returns
        -------
        Tensor or tuple of Tensor
            Logits (N, classes); in training mode with an auxiliary head a pair, its logits second.
        """
        if self.mean is not None and self.std is not None:
            x = (x - self.mean) / self.std
        drop_path = self.drop_path if self.training else 0.0
        s0 = s1 = self.stem(x)
        auxiliary = None
        for i, cell in enumerate(self.cells):
            s0, s1 = s1, cell(s0, s1, drop_path)
            if self.training and self.auxiliary_head is not None and i == self._auxiliary_cell:
                auxiliary = self.auxiliary_head(s1)
        logits: Tensor = self.classifier(s1.mean(dim=(2, 3)))
        return logits if auxiliary is None else (logits, auxiliary)


_RANGE = 0.04  # of the initial weights
_ACTIVATIONS = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": torch.positive,
}


class RecurrentCell(nn.Module):
    """A cell in which every node has one activation and one input."""

    def __init__(self, genotype: RecurrentGenotype, hidden_size: int):
        super().__init__()
        self._nodes, self._concat = genotype.recurrent, genotype.concat
        self._W0 = _uniform(2 * hidden_size, 2 * hidden_size)
        self._Ws = nn.ParameterList(_uniform(hidden_size, 2 * hidden_size) for _ in self._nodes)

    def forward(self, x: Tensor, hidden: Tensor, mask: Tensor) -> Tensor:
        """The state (B, H) after inputs ``x`` (B, H); ``mask`` is on states before products."""
        gate, update = (torch.cat([x, hidden * mask], dim=1) @ self._W0).chunk(2, dim=1)
        states = [hidden + gate.sigmoid() * (update.tanh() - hidden)]
        for weight, (activation, source) in zip(self._Ws, self._nodes, strict=True):
            s = states[source]
            gate, update = (s * mask @ weight).chunk(2, dim=1)
            states.append(s + gate.sigmoid() * (_ACTIVATIONS[activation](update) - s))
        return torch.stack([states[i] for i in self._concat]).mean(dim=0)


class RecurrentModel(nn.Module):
    """A language model: what `RecurrentGenotype.to_torch` and `LanguageModel.to_torch` return.

    It consists of embedding, cell, and a decoder tied to the embedding. In training mode dropout
    masks are drawn for each call and are the same at all its steps (variational dropout).

    Parameters
    ----------
    genotype : RecurrentGenotype
    vocab_size, hidden_size : int
        See `pydarts.RecurrentNetwork`.
    dropout, dropout_hidden, dropout_input, dropout_embedding : float
        Probabilities, as in `pydarts.RecurrentNetwork`.
    """

    def __init__(
        self,
        genotype: RecurrentGenotype,
        vocab_size: int,
        hidden_size: int,
        dropout: float = 0.0,
        dropout_hidden: float = 0.0,
        dropout_input: float = 0.0,
        dropout_embedding: float = 0.0,
    ):
        super().__init__()
        integer("vocab_size", vocab_size, 2)
        integer("hidden_size", hidden_size, 1)
        self.dropout, self.dropout_hidden = dropout, dropout_hidden
        self.dropout_input, self.dropout_embedding = dropout_input, dropout_embedding
        self.encoder = nn.Embedding(vocab_size, hidden_size)
        nn.init.uniform_(self.encoder.weight, -_RANGE, _RANGE)
        self.rnns = nn.ModuleList([RecurrentCell(genotype, hidden_size)])
        self.decoder = nn.ParameterDict({"bias": nn.Parameter(torch.zeros(vocab_size))})

    def forward(self, tokens: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the logits of what follows each token, and the state after them.

        Parameters
        ----------
        tokens : Tensor
            Token numbers (T, B).
        hidden : Tensor, optional
            The state (B, H) before them; by default zero.

        Returns
        -------
        tuple of Tensor
            Logits (T, B, V) and state (B, H).
        """
        embedded = self.encoder(tokens)
        ones = embedded.new_ones(embedded.shape[1:])

        def mask(drop: float) -> Tensor:
            return F.dropout(ones, drop, self.training)

        embedded = embedded * mask(self.dropout_embedding) * mask(self.dropout_input)
        kept = mask(self.dropout_hidden)
        state = torch.zeros_like(ones) if hidden is None else hidden
        outputs = []
        for x in embedded:
            state = self.rnns[0](x, state, kept)
            outputs.append(state)
        output = torch.stack(outputs) * mask(self.dropout)
        return F.linear(output, self.encoder.weight, self.decoder["bias"]), state


def _uniform(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape).uniform_(-_RANGE, _RANGE))


def image_module(model: Model) -> DerivedNetwork:
    """Return the trained network of a model: what `Model.to_torch` does.

    Parameters
    ----------
    model : Model

    Returns
    -------
    DerivedNetwork
        In evaluation mode, with the model's normalisation.
    """
    c, n = model.config, model.normalization
    sizes = (c.channels, c.cells, len(model.labels), model.network.in_channels)
    module = DerivedNetwork(model.network.genotype, *sizes, c.auxiliary)
    module.mean, module.std = (torch.tensor(values)[:, None, None] for values in (n.mean, n.std))
    return _with_state(module, model.network)


def text_module(model: LanguageModel) -> RecurrentModel:
    """Return the trained network of a language model: what `LanguageModel.to_torch` does.

    Parameters
    ----------
    model : LanguageModel

    Returns
    -------
    RecurrentModel
        In evaluation mode.
    """
    c = model.config
    dropouts = {name: getattr(c, name) for name in _DROPOUTS}
    sizes = (len(model.vocabulary), c.hidden_size)
    return _with_state(RecurrentModel(model.genotype, *sizes, **dropouts), model.network)


_DROPOUTS = ("dropout", "dropout_hidden", "dropout_input", "dropout_embedding")
_Module = TypeVar("_Module", bound=nn.Module)


def _with_state(module: _Module, network: EngineNetwork) -> _Module:
    module.load_state_dict({k: torch.from_numpy(v) for k, v in network.state_dict().items()})
    return module.eval()
