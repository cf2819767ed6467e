# SPDX-License-Identifier: MIT
"""Methods that make their own mixing weights against their formulas in plain PyTorch.

Here autograd differentiates all that is between α and the loss, and PyTorch's optimisers move both.
What a method draws is drawn again, from the generator that `pydarts.methods.mixture.Moment` tells.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import test_torch_nas_bench_201 as nas_bench_201
import test_torch_supernet as darts
import torch
from seeded import Size, assert_close, seeded_batch, seeded_state
from test_torch_bilevel import numpy, tensors
from torch import Tensor, nn
from torch.nn import functional as F

import pydarts
from benchmarks import reference
from benchmarks.reference.nas_bench_201 import EDGES
from benchmarks.reference.nas_bench_201 import SearchCell as NasBench201Cell
from benchmarks.reference.nas_bench_201 import _candidates as candidates
from benchmarks.reference.search import MixedOp
from pydarts.methods.beta_darts import BetaDarts
from pydarts.methods.darts_minus import DartsMinus
from pydarts.methods.fair_darts import FairDarts
from pydarts.methods.fixed import Fixed
from pydarts.methods.gaea import Gaea
from pydarts.methods.gdas import Gdas
from pydarts.methods.mixture import MixtureMethod
from pydarts.methods.pc_darts import PcDarts
from pydarts.methods.smooth_darts import SmoothDarts

Group = dict[str, Tensor]
Generator = np.random.Generator
#: Mixing weights, and which operations are computed.
Mixture = tuple[Group, Group]

EPOCHS = 10
#: Of the steps, so that schedules show.
EPOCHS_OF_STEPS = (0, 6, 9)
SEED = 5
#: Of each edge of a cell of DARTS.
EDGE_INPUTS = [j for node in range(4) for j in range(2 + node)]
#: Of the channels of PC-DARTS.
PARTS = 2
WEIGHT_OPTIONS: dict[str, Any] = {"momentum": 0.9, "weight_decay": 3e-3, "max_grad_norm": 2.0}
ALPHA_OPTIONS: dict[str, Any] = {
    "alpha_lr": 0.02,
    "alpha_betas": (0.5, 0.999),
    "alpha_weight_decay": 1e-2,
    "seed": SEED,
}
METHODS: dict[str, MixtureMethod] = {
    "beta-darts": BetaDarts(**ALPHA_OPTIONS),
    "smooth-darts": SmoothDarts(**ALPHA_OPTIONS),
    "fair-darts": FairDarts(**ALPHA_OPTIONS),
    "gdas": Gdas(**ALPHA_OPTIONS),
    "gaea": Gaea(**ALPHA_OPTIONS),
    "gaea down to the floor": Gaea(rate=100.0, **ALPHA_OPTIONS),
    "fixed": Fixed(**ALPHA_OPTIONS),
    "darts-minus": DartsMinus(**ALPHA_OPTIONS),
    "pc-darts": PcDarts(partial=PARTS, **ALPHA_OPTIONS),
}


# The networks at mixing weights that come from anywhere


def node(
    zeros: Tensor, states: Sequence[Tensor], edges: Sequence[Any], m: Tensor, active: Tensor
) -> Tensor:
    """Return the sum of all active operations of all edges into a node; operation 0 is `none`."""
    result = zeros
    for x, operations, weights, on in zip(states, edges, m, active, strict=True):
        for k, operation in enumerate(operations):
            if on[k] and k > 0:
                result = result + weights[k] * operation(x)
    return result


def partial_node(
    zeros: Tensor, states: Sequence[Tensor], edges: Sequence[Any], m: Tensor, shares: Tensor
) -> Tensor:
    """PC-DARTS: return the sum of edges whose operations see a part of the channels."""
    result = torch.zeros(())
    for x, operations, weights, share in zip(states, edges, m, shares, strict=False):
        part = x.shape[1] // PARTS
        passing = x[:, part:]
        if passing.shape[2:] != zeros.shape[2:]:
            passing = F.max_pool2d(passing, 2)
        mixed = torch.zeros(())
        for k, operation in enumerate(operations):
            if k > 0:
                mixed = mixed + weights[k] * operation(x[:, :part])
        edge = torch.cat([mixed, passing], dim=1)
        groups = edge.unflatten(1, (PARTS, part)).transpose(1, 2)
        result = result + share * groups.flatten(1, 2)
    return result


def darts_cell(
    cell: Any,
    s0: Tensor,
    s1: Tensor,
    stride: int,
    m: Tensor,
    active: Tensor,
    shares: Tensor | None = None,
) -> Tensor:
    states = [cell.preprocess0(s0), cell.preprocess1(s1)]
    zeros = torch.zeros_like(states[1][:, :, ::stride, ::stride])
    edges, done = [mixed._ops.children() for mixed in cell._ops.children()], 0
    for number in range(4):
        rows = slice(done, done + len(states))
        if shares is None:
            states.append(node(zeros, states, edges[rows], m[rows], active[rows]))
        else:
            states.append(partial_node(zeros, states, edges[rows], m[rows], shares[number]))
        done = rows.stop
    return torch.cat(states[2:], dim=1)


def nas_bench_201_cell(
    cell: NasBench201Cell, x: Tensor, m: Tensor, active: Tensor, shares: Tensor | None = None
) -> Tensor:
    states = [x]
    edges = [operations.children() for operations in cell.edges.children()]
    for number in (1, 2, 3):
        rows = [row for row, (to, _) in enumerate(EDGES) if to == number]
        into = [edges[row] for row in rows]
        if shares is None:
            states.append(node(torch.zeros_like(x), states, into, m[rows], active[rows]))
        else:
            states.append(partial_node(x, states, into, m[rows], shares[number - 1]))
    return states[-1]


def logits(net: Any, x: Tensor, mixture: Mixture) -> Tensor:
    """Return what a network says of images."""
    mixing, active = mixture
    if isinstance(net, reference.NasBench201Supernet):
        x = net.stem(x)
        for layer in net.cells:
            if isinstance(layer, NasBench201Cell):
                of_edges = mixing.get("normal.edges")
                x = nas_bench_201_cell(layer, x, mixing["normal"], active["normal"], of_edges)
            else:
                x = layer(x)
        return net._classify(x)
    s0, s1 = net._first_states(x)
    for cell, kind in zip(net.cells, ("normal", "reduce", "reduce"), strict=True):
        stride = 2 if kind == "reduce" else 1
        of_edges = mixing.get(f"{kind}.edges")
        s0, s1 = s1, darts_cell(cell, s0, s1, stride, mixing[kind], active[kind], of_edges)
    found: Tensor = net.classifier(s1.mean(dim=(2, 3)))
    return found


# The methods


def every(mixing: Group) -> Mixture:
    return mixing, {name: torch.ones_like(m, dtype=torch.bool) for name, m in mixing.items()}


def softmax(alphas: Group) -> Group:
    return {name: masked(name, alpha).softmax(dim=1) for name, alpha in alphas.items()}


def masked(name: str, alpha: Tensor) -> Tensor:
    """Return α, without the entries of edges that a node does not have."""
    if not name.endswith(".edges"):
        return alpha
    rows, columns = alpha.shape
    lacking = torch.ones(rows, columns, dtype=torch.bool).triu(columns - rows + 1)
    return alpha.masked_fill(lacking, -torch.inf)


def smoothed(alphas: Group, epoch: int, rng: Generator) -> Mixture:
    """SmoothDARTS: the mixing weights of the step of the weights."""
    epsilon = 0.03 + 0.27 * epoch / EPOCHS
    found = {}
    for name, p in softmax(alphas).items():
        moved = (p + torch.tensor(rng.uniform(-epsilon, epsilon, tuple(p.shape)))).clip(0.0, 1.0)
        found[name] = moved / moved.sum(dim=1, keepdim=True)
    return every(found)


def skipping(alphas: Group, epoch: int) -> Mixture:
    """DARTS-: the auxiliary skip as one more operation of every edge, whose weight is given."""
    b = 1 - epoch / EPOCHS
    return every({kind: F.pad(p, (0, 1), value=b) for kind, p in softmax(alphas).items()})


def sampled(alphas: Group, epoch: int, rng: Generator) -> Mixture:
    """GDAS: one operation an edge, with the gradient of the Gumbel softmax."""
    tau = 10 - 9.9 * epoch / (EPOCHS - 1)
    mixing, active = {}, {}
    for name, p in softmax(alphas).items():
        noise = torch.tensor(-np.log(rng.exponential(size=tuple(p.shape))))
        q = ((p.log() + noise) / tau).softmax(dim=1)
        hard = F.one_hot(q.argmax(dim=1), q.shape[1])
        mixing[name], active[name] = hard + q - q.detach(), hard.bool()
    return mixing, active


class PlainSearch:
    """A search by a method's formulas.

    Attributes
    ----------
    alphas : dict of Tensor
        The architecture parameters; of GAEA the mixing weights themselves.
    clipped : list of bool
        Whether the gradient of each step was too long.
    """

    def __init__(self, net: Any, name: str, alphas: Group):
        self.net, self.name, self.clipped = net, name, list[bool]()
        self.alphas = {kind: a.detach().clone() for kind, a in alphas.items()}
        if "gaea" in name:
            self.alphas = {k: torch.full_like(a, 1 / a.shape[1]) for k, a in self.alphas.items()}
        if name == "fair-darts":
            self.alphas = {k: torch.zeros_like(a) for k, a in self.alphas.items()}
        for alpha in self.alphas.values():
            alpha.requires_grad_()
        self.adam = torch.optim.Adam(
            list(self.alphas.values()),
            lr=ALPHA_OPTIONS["alpha_lr"],
            betas=ALPHA_OPTIONS["alpha_betas"],
            weight_decay=ALPHA_OPTIONS["alpha_weight_decay"],
        )
        self.sgd = torch.optim.SGD(
            list(net.parameters()),
            lr=0.1,
            momentum=WEIGHT_OPTIONS["momentum"],
            weight_decay=WEIGHT_OPTIONS["weight_decay"],
        )

    def __call__(self, number: int, epoch: int, train: Any, valid: Any) -> tuple[float, float]:
        """Take a step, and return both losses."""
        stays = self.name == "fixed" or (self.name == "pc-darts" and epoch < 0.3 * EPOCHS)
        halves = {"train": (self.learn_weights, train, 1), "valid": (self.learn_alpha, valid, 0)}
        order = ("train", "valid") if self.name == "gdas" else ("valid", "train")
        losses = {"valid": np.nan}
        for half in ("train",) if stays else order:
            learn, batch, drawn = halves[half]
            losses[half] = learn(epoch, batch, np.random.default_rng((SEED, number, drawn)))
        return losses["train"], losses["valid"]

    def plain_mixing(self) -> Group:
        """Return the mixing weights of α without any noise."""
        if "gaea" in self.name:
            return self.alphas
        if self.name == "fair-darts":
            return {name: alpha.sigmoid() for name, alpha in self.alphas.items()}
        return softmax(self.alphas)

    def learn_alpha(self, epoch: int, batch: Any, rng: Generator) -> float:
        x, y = tensors(batch)
        if self.name == "gdas":
            mixture = sampled(self.alphas, epoch, rng)
        elif self.name == "darts-minus":
            mixture = skipping(self.alphas, epoch)
        else:
            mixture = every(self.plain_mixing())
        with reference.frozen_statistics(self.net):
            loss = total = F.cross_entropy(logits(self.net, x, mixture), y)
        if self.name == "beta-darts":
            edges = torch.cat([alpha.logsumexp(dim=1) for alpha in self.alphas.values()])
            total = loss + 50 * epoch / EPOCHS * edges.mean()
        if self.name == "fair-darts":
            every_weight = torch.cat([m.ravel() for m in self.plain_mixing().values()])
            total = loss - 10 * F.mse_loss(every_weight, torch.full_like(every_weight, 0.5))
        alphas = list(self.alphas.values())
        gradients = torch.autograd.grad(total, alphas)
        if "gaea" in self.name:
            rate = 100 if "floor" in self.name else 0.1
            with torch.no_grad():
                for p, g in zip(alphas, gradients, strict=True):
                    moved = p * torch.exp(-rate * g)
                    moved = (moved / moved.sum(dim=1, keepdim=True)).clip(min=1e-5)
                    p.copy_(moved / moved.sum(dim=1, keepdim=True))
        else:
            for alpha, gradient in zip(alphas, gradients, strict=True):
                alpha.grad = gradient
            self.adam.step()
        return loss.item()

    def learn_weights(self, epoch: int, batch: Any, rng: Generator) -> float:
        x, y = tensors(batch)
        with torch.no_grad():
            if self.name == "smooth-darts":
                mixture = smoothed(self.alphas, epoch, rng)
            elif self.name == "gdas":
                mixture = sampled(self.alphas, epoch, rng)
            elif self.name == "darts-minus":
                mixture = skipping(self.alphas, epoch)
            else:
                mixture = every(self.plain_mixing())
        loss = F.cross_entropy(logits(self.net, x, mixture), y)
        self.sgd.zero_grad(set_to_none=True)  # what no gradient reaches stays as it is
        torch.autograd.backward(loss)
        largest = WEIGHT_OPTIONS["max_grad_norm"]
        norm = torch.nn.utils.clip_grad_norm_(self.net.parameters(), largest)
        self.clipped.append(bool(norm > largest))
        self.sgd.step()
        return loss.item()


def skipping_pair(space: Any, size: Size) -> tuple[pydarts.Supernet, Any]:
    """Return both networks with auxiliary skips, in one seeded state."""
    plain, theirs = space.pair(size)
    edges: list[Any] = []
    for cell in theirs.cells:
        if isinstance(cell, NasBench201Cell):
            edges += [(operations, nn.Identity()) for operations in cell.edges.children()]
        for mixed in getattr(cell, "_ops", ()):
            operation = copy.deepcopy(mixed._ops[3])  # the candidate, with weights of its own
            edges.append((mixed._ops, operation))
    for operations, operation in edges:
        operations.add_module("auxiliary_skip", operation)
    return same(space, size, plain, theirs, auxiliary_skip=True)


def partial_pair(space: Any, size: Size) -> tuple[pydarts.Supernet, Any]:
    """Return both networks with operations on a part of the channels, likewise."""
    plain, theirs = space.pair(size)
    for cell, kind in zip(theirs.cells, ("normal", "reduce", "reduce"), strict=False):
        for e, mixed in enumerate(getattr(cell, "_ops", ())):
            channels = mixed._ops[6].op[1].weight.shape[0]
            stride = 2 if kind == "reduce" and EDGE_INPUTS[e] < 2 else 1
            cell._ops[e] = MixedOp(channels // PARTS, stride)
    for cell in theirs.cells:
        for name, operations in getattr(cell, "edges", nn.ModuleDict()).items():
            channels = operations[3].op[1].weight.shape[0]
            cell.edges[name] = candidates(channels // PARTS, True)
    return same(space, size, plain, theirs.double(), partial_channels=PARTS)


def same(
    space: Any, size: Size, plain: pydarts.Supernet, theirs: Any, **options: Any
) -> tuple[pydarts.Supernet, Any]:
    """Return our network with these options in the same seeded state as theirs, and that one."""
    ours = pydarts.Supernet(
        **size.network(space.CLASSES), dtype="float64", space=plain.space, **options
    )
    state = seeded_state(reference.state(theirs), seed=3)
    reference.load_state(theirs, state)
    ours.load_state_dict(state)
    rng = np.random.default_rng(8)
    drawn = {name: rng.uniform(-1.0, 1.0, a.shape) for name, a in ours.alphas.items()}
    ours.set_alphas({**drawn, **plain.alphas})
    return ours, theirs


@pytest.mark.parametrize("space", [darts, nas_bench_201], ids=["darts", "nas-bench-201"])
@pytest.mark.parametrize("name", METHODS)
def test_steps(name: str, space: Any) -> None:
    size = space.SIZES[0]
    pair = {"darts-minus": skipping_pair, "pc-darts": partial_pair}.get(name)
    ours, theirs = pair(space, size) if pair else space.pair(size)
    start, untouched = ours.alphas, ours.state_dict()
    step = METHODS[name].step(ours, **WEIGHT_OPTIONS)
    alphas = {kind: torch.tensor(alpha) for kind, alpha in start.items()}
    plain = PlainSearch(theirs, name, alphas)
    for number, epoch in enumerate(EPOCHS_OF_STEPS):
        train, valid = (seeded_batch(size, space.CLASSES, 10 * number + k) for k in (5, 6))
        step.start_epoch(epoch, EPOCHS)
        info = step(train=train, valid=valid, lr=0.1)
        train_loss, valid_loss = plain(number, epoch, train, valid)
        assert info.train_loss == pytest.approx(train_loss, rel=1e-9)
        if np.isnan(valid_loss):  # of a step that does not look at the validation batch
            assert name == "fixed" or (name == "pc-darts" and epoch == 0)
            assert info.valid_loss is None
        else:
            assert info.valid_loss == pytest.approx(valid_loss, rel=1e-9)
        found = ours.alphas
        if "gaea" in name:
            found = {kind: np.exp(alpha) for kind, alpha in found.items()}
        assert_close(found, numpy(plain.alphas), tol=1e-9)
        # All of the state: running statistics are those of the step of the weights alone.
        assert_close(ours.state_dict(), reference.state(theirs), tol=1e-9)
        state = ours.state_dict()
        stay = {n for n, value in state.items() if np.array_equal(value, untouched[n])}
        assert bool(stay) == (name == "gdas")
    assert True in plain.clipped
    if name == "fixed":
        assert_close(ours.alphas, start, tol=0.0)
    if "gaea" in name:
        least = min(p.min() for p in numpy(plain.alphas).values())
        assert (least < 1.01e-5) == ("floor" in name)
