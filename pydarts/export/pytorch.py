# SPDX-License-Identifier: MIT
"""Derived networks as PyTorch modules; importing this file needs PyTorch.

The names and shapes of their states are those of the original's modules and of the engine's
networks, so states pass both ways.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from math import floor
from typing import TypeVar, cast

try:
    import torch
    from torch import Tensor, nn
    from torch.nn import functional as F
except ImportError as error:
    raise ImportError("`to_torch` needs PyTorch: pip install 'pydarts-nas[torch]'") from error

from pydarts.common.checks import integer
from pydarts.common.errors import ArgumentError
from pydarts.engine.convolutional import checked_sizes
from pydarts.engine.network import EngineNetwork
from pydarts.models.image_model import Model
from pydarts.models.language_model import LanguageModel
from pydarts.models.objectives import Regression
from pydarts.spaces import layers
from pydarts.spaces.darts import Genotype
from pydarts.spaces.recurrent import RecurrentGenotype


def _module(layer: layers.Layer) -> nn.Module:
    match layer:
        case layers.Conv(_, inputs, outputs, kernel, stride, dilation, groups):
            padding = layer.padding
            return nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False)
        case layers.Norm(_, channels):
            return nn.BatchNorm2d(channels)
        case layers.Relu():
            return nn.ReLU()
        case layers.Pool("max", kernel, stride):
            return nn.MaxPool2d(kernel, stride, layer.padding)
        case layers.Pool(_, kernel, stride):
            return nn.AvgPool2d(kernel, stride, layer.padding, count_include_pad=False)
        case layers.FactorizedReduce(first, second):
            return _FactorizedReduce(_module(first), _module(second), first.stride)
        case layers.Zero(_, channels, stride):
            return _Zero(channels, stride)


class _FactorizedReduce(nn.Module):
    """Two strided 1x1 convolutions, the second a pixel further along the strided axes.

    The second is padded with zeros at the end of an odd side.
    """

    def __init__(self, first: nn.Module, second: nn.Module, stride: tuple[int, int]):
        super().__init__()
        # Held in a list: their parameters have names further up.
        self._convs = [first, second]
        down, right = (step - 1 for step in stride)
        self._shift = (-right, right, -down, down)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', ceil(H/2), ceil(W/2)), or as the strides are."""
        first, second = self._convs
        return torch.cat([first(x), second(F.pad(x, self._shift))], dim=1)


class _Zero(nn.Module):
    """Zeros of the size that a strided convolution would give."""

    def __init__(self, channels: int, stride: tuple[int, int]):
        super().__init__()
        self._channels, self._stride = channels, stride

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to zeros (N, C', ceil(H/s), ceil(W/s))."""
        down, right = self._stride
        shape = x[:, :1, ::down, ::right].shape
        return x.new_zeros((shape[0], self._channels, *shape[2:]))


class _Chain(nn.Module):
    """Layers one after the other, whose parameters belong to `root` by the names of the layers."""

    def __init__(self, chain: layers.Chain, root: nn.Module):
        super().__init__()
        self._modules_in_order: list[nn.Module] = []
        for layer in chain:
            module = _module(layer)
            self._modules_in_order.append(module)
            if isinstance(layer, layers.FactorizedReduce):
                for conv, made in zip(layer, cast(_FactorizedReduce, module)._convs, strict=True):
                    _put(root, conv.name, made)
            elif isinstance(layer, (layers.Conv, layers.Norm)):
                _put(root, layer.name, module)

    def forward(self, x: Tensor) -> Tensor:
        """The last layer's output."""
        for module in self._modules_in_order:
            x = module(x)
        return x


def _put(root: nn.Module, name: str, module: nn.Module) -> None:
    """Make a module a part of another one under a dotted name."""
    *path, last = name.split(".")
    for part in path:
        if part not in root._modules:
            root.add_module(part, nn.Module())
        root = cast(nn.Module, root._modules[part])
    root.add_module(last, module)


class _Cell:
    """A discrete cell: every node is the sum of its edges."""

    def __init__(self, cell: layers.Cell, root: nn.Module):
        self._inputs = [_Chain(chain, root) for chain in cell.inputs]
        self._nodes = [
            [(_Chain(edge.chain, root), edge.source, edge.droppable) for edge in node]
            for node in cell.nodes
        ]
        self._outputs = cell.outputs

    def __call__(self, before: Sequence[Tensor], drop_path: float) -> Tensor:
        """The output from those of the layers before.

        Each operand other than an identity is dropped, for a sample, with probability `drop_path`.
        """
        taken = before[-len(self._inputs) :]
        states = [chain(x) for chain, x in zip(self._inputs, taken, strict=True)]
        for node in self._nodes:
            operands = []
            for chain, source, droppable in node:
                operand = chain(states[source])
                if drop_path > 0 and droppable:
                    keep = F.dropout(operand.new_ones(len(operand), 1, 1, 1), drop_path)
                    operand = operand * keep
                operands.append(operand)
            states.append(reduce(torch.add, operands))
        outputs = [states[i] for i in self._outputs]
        return torch.cat(outputs, dim=1) if len(outputs) > 1 else outputs[0]


class AuxiliaryHead(nn.Module):
    """A second classifier on the output of the last layer that halves the image, for training."""

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
    stem : {"cifar", "imagenet"}
        See `pydarts.Network`.
    loss : str
        What it is for: it bounds the number of classes from below.

    Attributes
    ----------
    drop_path : float
        Probability of dropping an operand in training mode, 0 at first; raise it epoch by epoch.
    mean, std : Tensor of shape (C, 1, 1), or None
        How images are normalised first; from a model. They are not part of the state.
    target_mean, target_std : Tensor of shape (outputs,), or None
        By which the outputs of a regression get the units of its targets in evaluation mode, from a
        model likewise. In training mode outputs are scaled, as the loss wants them.
    """

    mean: Tensor | None
    std: Tensor | None
    target_mean: Tensor | None
    target_std: Tensor | None

    def __init__(
        self,
        genotype: Genotype,
        channels: int,
        cells: int,
        classes: int,
        in_channels: int,
        auxiliary: bool,
        stem: str = "cifar",
        loss: str = "cross-entropy",
    ):
        super().__init__()
        checked_sizes(channels, cells, classes, in_channels, loss)
        plan = layers.network(genotype, channels, cells, in_channels, stem)
        self.register_buffer("mean", None, persistent=False)
        self.register_buffer("std", None, persistent=False)
        self.register_buffer("target_mean", None, persistent=False)
        self.register_buffer("target_std", None, persistent=False)
        self._stems = [_Chain(chain, self) for chain in plan.stems]
        self._cells = [_Cell(cell, self) for cell in plan.cells]
        self._tail = _Chain(plan.tail, self)
        self._auxiliary_cell = plan.auxiliary
        self.auxiliary_head: AuxiliaryHead | None = None
        if auxiliary:
            if plan.auxiliary is None:
                raise ArgumentError("auxiliary", "(=True): no layer of the space halves the image")
            self.auxiliary_head = AuxiliaryHead(plan.cells[plan.auxiliary].channels, classes)
        self.classifier = nn.Linear(plan.channels, classes)
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
        before = [x]
        for chain in self._stems:
            before.append(chain(before[-1]))
        before = before[-2:] if len(self._stems) > 1 else [before[-1]] * 2
        auxiliary = None
        for i, cell in enumerate(self._cells):
            before = [before[-1], cell(before, drop_path)]
            if self.training and self.auxiliary_head is not None and i == self._auxiliary_cell:
                auxiliary = self.auxiliary_head(before[-1])
        logits: Tensor = self.classifier(self._tail(before[-1]).mean(dim=(2, 3)))
        if self.target_mean is not None and self.target_std is not None and not self.training:
            logits = logits * self.target_std + self.target_mean
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
    sizes = (c.channels, c.cells, model.objective.outputs, model.network.in_channels)
    loss = model.objective.loss
    module = DerivedNetwork(model.network.genotype, *sizes, c.auxiliary, c.stem, loss)
    module.mean, module.std = (torch.tensor(values)[:, None, None] for values in (n.mean, n.std))
    if isinstance(model.objective, Regression):
        scale = model.objective.targets
        module.target_mean, module.target_std = torch.tensor(scale.mean), torch.tensor(scale.std)
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
