# SPDX-License-Identifier: MIT
"""The recurrent search space: search network, derived network, architecture gradient, one step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from .bilevel import Batch, Weights, _gradient, _moved
from .operations import frozen_statistics, total

NODES = 8
RANGE = 0.04  # of the initial weights
# In the order of the columns of alpha, where "none" comes first.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": lambda x: x,
}

# Factors (B, H), 0 or 1/keep, under "embedding", "input", "hidden", "output"; 1 if left out.
Masks = Mapping[str, Tensor]
DrawMasks = Callable[[int], Masks]


def _uniform(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape).uniform_(-RANGE, RANGE))


def _masked(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x * mask


def _highway(s: Tensor, gate: Tensor, h: Tensor) -> Tensor:
    return s + gate.sigmoid() * (h - s)


# A BatchNorm2d, though its inputs are (B, H), for `frozen_statistics` to find it.
class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation of (B, H), no affine parameters; a batch of one has variance 0."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=False)
        self.num_batches_tracked = None

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, x: Tensor) -> Tensor:
        """Normalise; in training, also blend into the running statistics unless frozen."""
        if not self.training or len(x) > 1:
            return super().forward(x)
        # PyTorch refuses a batch of one.
        if self.track_running_stats:
            with torch.no_grad():
                self.get_buffer("running_mean").lerp_(x[0], 0.1)
                self.get_buffer("running_var").mul_(0.9)
        return x - x


class Cell(nn.Module):
    """The matrices of a cell, and its run over a segment; the nodes are the subclass's."""

    def __init__(self, hidden_size: int, nodes: int) -> None:
        super().__init__()
        self._W0 = _uniform(2 * hidden_size, 2 * hidden_size)
        self._Ws = nn.ParameterList(_uniform(hidden_size, 2 * hidden_size) for _ in range(nodes))

    def forward(
        self,
        x: Tensor,
        hidden: Tensor,
        mask_x: Tensor | None,
        mask_h: Tensor | None,
        edges: Sequence[Tensor],
    ) -> Tensor:
        """Map inputs (T, B, H) and the state before them (B, H) to the outputs (T, B, H)."""
        outputs = []
        for x_t in _masked(x, mask_x):
            both = torch.cat([x_t, _masked(hidden, mask_h)], dim=1)
            gate, h = (both @ self._W0).chunk(2, dim=1)
            hidden = self.output(_highway(hidden, gate, h.tanh()), mask_h, edges)
            outputs.append(hidden)
        return torch.stack(outputs)

    def output(self, s0: Tensor, mask_h: Tensor | None, edges: Sequence[Tensor]) -> Tensor:
        """Map the initial state (B, H) to the cell's output (B, H)."""
        raise NotImplementedError


class SearchCell(Cell):
    """Every node sums all activations on the edges from all earlier states, weighted."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__(hidden_size, NODES)
        self.bn = BatchNorm(hidden_size)

    def output(self, s0: Tensor, mask_h: Tensor | None, edges: Sequence[Tensor]) -> Tensor:
        """``edges[i]`` (i + 1, 5, 1, 1) weighs the candidates on the edges into node i + 1."""
        states = [self.bn(s0)]
        for weight, p in zip(self._Ws, edges, strict=True):
            s = torch.stack(states)
            gate, h = (_masked(s, mask_h) @ weight).chunk(2, dim=2)
            # The highway is linear in what it carries: one serves all activations of an edge.
            mixed = total(p[:, k] * f(h) for k, f in enumerate(ACTIVATIONS.values(), start=1))
            carried = p[:, 1:].sum(dim=1) * s
            states.append(self.bn(_highway(carried, gate, mixed).sum(dim=0)))
        return total(states[1:]) / NODES


class DerivedCell(Cell):
    """Every node has one activation and one input; no batch normalisation."""

    def __init__(
        self, hidden_size: int, genotype: Sequence[tuple[str, int]], concat: Sequence[int]
    ) -> None:
        super().__init__(hidden_size, len(genotype))
        self._genotype, self._concat = tuple(genotype), tuple(concat)

    def output(self, s0: Tensor, mask_h: Tensor | None, edges: Sequence[Tensor]) -> Tensor:
        """Map the initial state to the mean of the nodes in ``concat``; there are no ``edges``."""
        states = [s0]
        for weight, (name, source) in zip(self._Ws, self._genotype, strict=True):
            s = states[source]
            gate, h = (_masked(s, mask_h) @ weight).chunk(2, dim=1)
            states.append(_highway(s, gate, ACTIVATIONS[name](h)))
        return total(states[i] for i in self._concat) / len(self._concat)


class Decoder(nn.Module):
    """Linear map to the vocabulary; its weight is the encoder's."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return the logits (N, V) of ``x`` (N, H)."""
        return F.linear(x, weight, self.bias)


class LanguageModel(nn.Module):
    """Embedding, one recurrent cell, and a decoder tied to the embedding.

    Parameters
    ----------
    cell : Cell
        Of the hidden size that is given.
    vocab_size, hidden_size : int
        Words V, and size H of embedding and state.
    dropout, dropout_hidden, dropout_input, dropout_embedding : float
        Probabilities by which `draw_masks` drops entries of the output, of the states, of the
        cell's input, and of the embedded words.
    """

    def __init__(
        self,
        cell: Cell,
        vocab_size: int,
        hidden_size: int,
        *,
        dropout: float = 0.75,
        dropout_hidden: float = 0.25,
        dropout_input: float = 0.75,
        dropout_embedding: float = 0.2,
    ) -> None:
        super().__init__()
        self.encoder = nn.Embedding(vocab_size, hidden_size)
        nn.init.uniform_(self.encoder.weight, -RANGE, RANGE)
        self.rnns = nn.ModuleList([cell])
        self.decoder = Decoder(vocab_size)
        self._dropout = {
            "embedding": dropout_embedding,
            "input": dropout_input,
            "hidden": dropout_hidden,
            "output": dropout,
        }

    def _edges(self) -> Sequence[Tensor]:
        return ()

    def draw_masks(self, batch: int) -> Masks:
        """Draw the masks of one pass over a batch of that many texts."""
        weight = self.encoder.weight
        return {
            name: weight.new_empty(batch, weight.shape[1]).bernoulli_(1.0 - p) / (1.0 - p)
            for name, p in self._dropout.items()
            if p > 0.0
        }

    def forward(
        self, x: Tensor, hidden: Tensor, masks: Masks | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits (T*B, V), outputs of the cell before dropout (T, B, H), last state (B, H).

        Parameters
        ----------
        x : Tensor of shape (T, B)
            Words by number.
        hidden : Tensor of shape (B, H)
            The state before the segment.
        masks : mapping of name to Tensor (B, H), optional
            Factors 0 or 1/keep, constant over time: of the embedded words, of the cell's input, of
            the states before every product, of the output; 1 if not given.
        """
        masks = masks or {}
        embedded = _masked(self.encoder(x), masks.get("embedding"))
        raw: Tensor = self.rnns[0](
            embedded, hidden, masks.get("input"), masks.get("hidden"), self._edges()
        )
        dropped = _masked(raw, masks.get("output"))
        return self.decoder(dropped.flatten(0, 1), self.encoder.weight), raw, raw[-1]

    def losses(
        self,
        x: Tensor,
        y: Tensor,
        hidden: Tensor,
        masks: Masks | None = None,
        ar: float = 0.0,
        tar: float = 1e-3,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the regularised loss, the plain one, and the last state, of one pass."""
        logits, raw, last = self(x, hidden, masks)
        loss = regularised = F.cross_entropy(logits, y.flatten())
        if ar:
            dropped = _masked(raw, (masks or {}).get("output"))
            regularised = regularised + ar * dropped.square().mean()
        if tar and len(raw) > 1:
            regularised = regularised + tar * raw.diff(dim=0).square().mean()
        return regularised, loss, last

    def loss(self, x: Tensor, y: Tensor, hidden: Tensor, masks: Masks | None = None) -> Tensor:
        """Return the mean cross-entropy over all words of ``y`` (T, B)."""
        return self.losses(x, y, hidden, masks)[1]

    def regularised_loss(
        self,
        x: Tensor,
        y: Tensor,
        hidden: Tensor,
        masks: Masks | None = None,
        ar: float = 0.0,
        tar: float = 1e-3,
    ) -> Tensor:
        """Return `loss` plus penalties on large outputs and on outputs that change fast.

        They are ``ar`` times the mean square of the outputs after dropout, and
        ``tar`` times that of the differences of successive outputs before dropout.
        """
        return self.losses(x, y, hidden, masks, ar, tar)[0]


class RecurrentSupernet(LanguageModel):
    """Search network over ``none`` and the four activations.

    Parameters
    ----------
    vocab_size, hidden_size, dropouts
        As in `LanguageModel`.

    Attributes
    ----------
    alphas_recurrent : Tensor of shape (36, 5)
        Architecture parameters, row i(i-1)/2 + j for the edge from state j to node i = 1..8.
        Neither a parameter nor a buffer: ``parameters()`` are w alone.
    """

    def __init__(self, vocab_size: int, hidden_size: int, **dropouts: float) -> None:
        super().__init__(SearchCell(hidden_size), vocab_size, hidden_size, **dropouts)
        shape = (NODES * (NODES + 1) // 2, 1 + len(ACTIVATIONS))
        self.alphas_recurrent = (1e-3 * torch.randn(shape)).requires_grad_()

    @property
    def alphas(self) -> dict[str, Tensor]:
        """The architecture parameters under the name pydarts gives them."""
        return {"recurrent": self.alphas_recurrent}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> RecurrentSupernet:
        # `net.double()` and its like convert the alphas too, though they are not registered.
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.alphas_recurrent = fn(self.alphas_recurrent.detach()).requires_grad_()
        return self

    def _edges(self) -> Sequence[Tensor]:
        weights = self.alphas_recurrent.softmax(dim=1)[:, :, None, None]
        return torch.split(weights, list(range(1, NODES + 1)))


class RecurrentNetwork(LanguageModel):
    """Network derived from a genotype.

    Parameters
    ----------
    genotype_recurrent : sequence of (activation, input)
        One entry a node; state 0 is the initial one, node i = 1, 2, … is state i.
    vocab_size, hidden_size, dropouts
        As in `LanguageModel`.
    concat : sequence of int
        The nodes whose mean is the output.
    """

    def __init__(
        self,
        genotype_recurrent: Sequence[tuple[str, int]],
        vocab_size: int,
        hidden_size: int,
        *,
        concat: Sequence[int] = range(1, NODES + 1),
        **dropouts: float,
    ) -> None:
        cell = DerivedCell(hidden_size, genotype_recurrent, concat)
        super().__init__(cell, vocab_size, hidden_size, **dropouts)


def _loss(
    net: RecurrentSupernet, weights: Weights, batch: Batch, hidden: Tensor, draw: DrawMasks | None
) -> tuple[Tensor, Tensor]:
    x, y = batch
    masks = None if draw is None else draw(x.shape[1])
    # The one tie, of the decoder to the encoder, is in `forward`.
    logits, _, last = functional_call(net, weights, (x, hidden, masks), tie_weights=False)
    return F.cross_entropy(logits, y.flatten()), last.detach()


def _norm(gradient: Weights) -> float:
    return float(torch.linalg.vector_norm(torch.cat([g.flatten() for g in gradient.values()])))


def _clipped(gradient: Weights, max_grad_norm: float) -> tuple[Weights, float]:
    """Return the gradient, scaled down to the norm, and the coefficient before its cap at 1."""
    coefficient = max_grad_norm / (_norm(gradient) + 1e-6)
    return {name: min(1.0, coefficient) * g for name, g in gradient.items()}, coefficient


class _Derivatives(NamedTuple):
    """What a step of the alphas sees.

    Loss and last state of the validation pass, at w or w', and the gradient of that loss by the
    alphas; of order 2 also loss, last state and gradient (not clipped) of the unrolled step.
    """

    valid_loss: Tensor
    valid_last: Tensor
    alphas: dict[str, Tensor]
    train_loss: Tensor | None = None
    train_last: Tensor | None = None
    weights: Weights | None = None


def _differentiate(
    net: RecurrentSupernet,
    train: Batch,
    valid: Batch,
    hidden: tuple[Tensor, Tensor],
    order: int,
    eta: float,
    momentum_buffer: Mapping[str, Tensor] | None,
    momentum: float,
    weight_decay: float,
    max_grad_norm: float,
    clip_coef: str,
    unrolled_embedding: str,
    epsilon: float,
    masks: DrawMasks | None,
    shortcuts: bool = False,
) -> _Derivatives:
    if clip_coef not in ("original", "capped"):
        raise ValueError(f"`clip_coef` (={clip_coef!r}) must be 'original' or 'capped'")
    if unrolled_embedding not in ("moved", "original"):
        raise ValueError(
            f"`unrolled_embedding` (={unrolled_embedding!r}) must be moved or original"
        )
    parameters: Weights = dict(net.named_parameters())
    w = {name: p.detach() for name, p in parameters.items()}
    alphas = tuple(net.alphas.values())
    if order == 1:
        loss, last = _loss(net, w, valid, hidden[1], masks)
        by_alphas = dict(zip(net.alphas, _gradient(loss, alphas), strict=True))
        return _Derivatives(loss.detach(), last, by_alphas)
    if order != 2:
        raise ValueError(f"`order` (={order}) must be 1 or 2")

    # The unrolled step w' = w - eta (momentum buffer + clipped gradient + decay).
    train_loss, train_last = _loss(net, parameters, train, hidden[0], masks)
    grads = _gradient(train_loss, (*parameters.values(), *(alphas if shortcuts else ())))
    at_w = grads[len(w) :]
    train_gradient = dict(zip(w, grads, strict=False))
    direction, coefficient = _clipped(train_gradient, max_grad_norm)
    direction = _moved(direction, weight_decay, w)
    if momentum_buffer is not None:
        direction = _moved(direction, momentum, dict(momentum_buffer))
    unrolled = _moved(w, -eta, direction)
    if unrolled_embedding == "original":
        unrolled["encoder.weight"] = w["encoder.weight"].clone()
    unrolled = {name: p.requires_grad_() for name, p in unrolled.items()}

    # v = dL_val/dw', clipped, and the first-order part, in one pass.
    loss, last = _loss(net, unrolled, valid, hidden[1], masks)
    grads = _gradient(loss, (*unrolled.values(), *alphas))
    v, _ = _clipped(dict(zip(w, grads, strict=False)), max_grad_norm)
    explicit = grads[len(w) :]

    # Implicit part: central difference of dL_train/dalpha along v, divided by 2 eps as a whole;
    # or the one-sided one, from w.
    norm = _norm(v)
    if not 0.0 < norm < float("inf"):
        raise FloatingPointError(f"norm of the validation gradient is {norm}")
    eps = epsilon / norm
    plus = _gradient(_loss(net, _moved(w, eps, v), train, hidden[0], masks)[0], alphas)
    minus = at_w
    if not shortcuts:
        minus = _gradient(_loss(net, _moved(w, -eps, v), train, hidden[0], masks)[0], alphas)
    scale = eta * (coefficient if clip_coef == "original" else min(1.0, coefficient))
    gradient = {
        name: g - scale * (p - m) / (eps if shortcuts else 2.0 * eps)
        for name, g, p, m in zip(net.alphas, explicit, plus, minus, strict=True)
    }
    return _Derivatives(
        loss.detach(), last, gradient, train_loss.detach(), train_last, train_gradient
    )


def recurrent_arch_gradient(
    net: RecurrentSupernet,
    train: Batch,
    valid: Batch,
    hidden: tuple[Tensor, Tensor],
    order: int = 2,
    eta: float = 20.0,
    momentum_buffer: Mapping[str, Tensor] | None = None,
    momentum: float = 0.0,
    weight_decay: float = 5e-7,
    max_grad_norm: float = 0.25,
    clip_coef: str = "original",
    unrolled_embedding: str = "moved",
    epsilon: float = 0.01,
    masks: DrawMasks | None = None,
) -> dict[str, Tensor]:
    """Return the gradient of the validation loss with respect to the alphas.

    ``order=1`` takes it at w; ``order=2`` at w' = w - eta (momentum * buffer + g + decay * w),
    where g is the training gradient, clipped, and subtracts eta * c times the mixed second
    derivative of the training loss along v = dL_val/dw', clipped too: a central difference of
    half-width epsilon / norm(v). Neither the weights nor the running statistics of ``net``
    change, and no loss is regularised.

    Parameters
    ----------
    net : RecurrentSupernet
        In training mode.
    train, valid : tuple of Tensor
        Words (T, B) and the words that follow them.
    hidden : tuple of Tensor
        The states (B, H) before ``train`` and before ``valid``.
    order : int
        1 or 2.
    eta, momentum, weight_decay : float
        The rate, momentum and decay of the unrolled step: those of the optimizer of w.
    momentum_buffer : mapping of name to Tensor, optional
        The momentum buffers of w; zero if not given.
    max_grad_norm : float
        Largest norm of g and of v.
    clip_coef : str
        What c is: ``"original"``: max_grad_norm / (norm(g) + 1e-6), also where that exceeds 1;
        ``"capped"``: at most 1, thus the factor that g was scaled by.
    unrolled_embedding : str
        ``"moved"``; or ``"original"``: w' has the embedding of w, as in the original's code.
    epsilon : float
        Numerator of the half-width.
    masks : callable, optional
        Gives a pass its dropout masks when called with the size of its batch, as does
        ``net.draw_masks``; without it nothing is dropped.
    """
    with frozen_statistics(net):
        return _differentiate(
            net,
            train,
            valid,
            hidden,
            order,
            eta,
            momentum_buffer,
            momentum,
            weight_decay,
            max_grad_norm,
            clip_coef,
            unrolled_embedding,
            epsilon,
            masks,
        ).alphas


@dataclass(frozen=True)
class RecurrentStepInfo:
    """What a search step saw.

    ``valid_loss`` and ``valid_hidden`` are of the pass that the alpha step differentiates (at w
    for order 1, at w' for order 2); ``train_loss`` (not regularised), ``hidden`` and
    ``grad_norm`` (before clipping) are those of the w step, thus with the new alphas.
    """

    train_loss: float
    valid_loss: float
    grad_norm: float
    hidden: Tensor
    valid_hidden: Tensor


class RecurrentSearchStep:
    """One whole search step: the alphas by Adam, then w by clipped SGD on the regularised loss.

    Parameters
    ----------
    net : RecurrentSupernet
        The network to search with; convert it before, not after.
    order, weight_decay, max_grad_norm, clip_coef, unrolled_embedding, epsilon, masks
        As in `recurrent_arch_gradient`; decay, max_grad_norm and masks are those of the w step too.
    alpha_lr, alpha_betas, alpha_weight_decay
        Adam's settings; the decay is added to the gradient.
    ar, tar : float
        Of `LanguageModel.regularised_loss`, in the w step only.
    shortcuts : bool
        Of order 2: the difference is from w to w + eps v, and w steps by the gradient of the
        unrolled step, which is not regularised and at the alphas before their step.
    """

    def __init__(
        self,
        net: RecurrentSupernet,
        order: int = 2,
        weight_decay: float = 5e-7,
        max_grad_norm: float = 0.25,
        alpha_lr: float = 3e-3,
        alpha_betas: tuple[float, float] = (0.9, 0.999),
        alpha_weight_decay: float = 1e-3,
        ar: float = 0.0,
        tar: float = 1e-3,
        clip_coef: str = "original",
        unrolled_embedding: str = "moved",
        epsilon: float = 0.01,
        masks: DrawMasks | None = None,
        shortcuts: bool = False,
    ) -> None:
        self.net, self.order, self.weight_decay, self.max_grad_norm = (
            net,
            order,
            weight_decay,
            max_grad_norm,
        )
        self.shortcuts = shortcuts
        self.ar, self.tar = ar, tar
        self.clip_coef, self.unrolled_embedding = clip_coef, unrolled_embedding
        self.epsilon, self.masks = epsilon, masks
        self._parameters = tuple(net.parameters())
        self.weights = torch.optim.SGD(self._parameters, lr=0.0, weight_decay=weight_decay)
        self.alphas = torch.optim.Adam(
            list(net.alphas.values()),
            lr=alpha_lr,
            betas=alpha_betas,
            weight_decay=alpha_weight_decay,
        )

    def __call__(
        self, train: Batch, valid: Batch, hidden: tuple[Tensor, Tensor], lr: float
    ) -> RecurrentStepInfo:
        """Move the alphas on ``valid``, then w on ``train``, both with the rate ``lr`` of w."""
        with frozen_statistics(self.net):
            found = _differentiate(
                self.net,
                train,
                valid,
                hidden,
                self.order,
                lr,
                None,
                0.0,
                self.weight_decay,
                self.max_grad_norm,
                self.clip_coef,
                self.unrolled_embedding,
                self.epsilon,
                self.masks,
                self.shortcuts,
            )
        for name, alpha in self.net.alphas.items():
            alpha.grad = found.alphas[name]
        self.alphas.step()
        train_loss, last = self._weight_gradient(train, hidden[0], found)
        norm = nn.utils.clip_grad_norm_(self._parameters, self.max_grad_norm)
        self.weights.param_groups[0]["lr"] = lr
        self.weights.step()
        return RecurrentStepInfo(
            train_loss.item(),
            found.valid_loss.item(),
            float(norm),
            last.detach(),
            found.valid_last,
        )

    def _weight_gradient(
        self, train: Batch, hidden: Tensor, found: _Derivatives
    ) -> tuple[Tensor, Tensor]:
        """Set the gradient by which w steps, and return loss and last state."""
        if self.shortcuts:
            assert found.weights is not None
            assert found.train_loss is not None
            assert found.train_last is not None
            for parameter, gradient in zip(self._parameters, found.weights.values(), strict=True):
                parameter.grad = gradient.clone()
            return found.train_loss, found.train_last
        x, y = train
        masks = None if self.masks is None else self.masks(x.shape[1])
        self.weights.zero_grad()
        regularised, train_loss, last = self.net.losses(x, y, hidden, masks, self.ar, self.tar)
        torch.autograd.backward(regularised, inputs=self._parameters)
        return train_loss, last
