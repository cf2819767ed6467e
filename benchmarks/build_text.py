# SPDX-License-Identifier: MIT
"""Contenders over text: pydarts and the PyTorch reference, built for a `TextCase`.

All dropout is 0, so that both do the same work and compute the same; drawing and applying the
masks would cost either of them little. The rates are those of the paper, the first matrices are
drawn as there.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks.cases import RECURRENT_DARTS_V2, TextCase
from benchmarks.inputs import Array, Contender, flat, seeded_alphas, seeded_state

LR, MAX_GRAD_NORM, TAR = 20.0, 0.25, 1e-3
WEIGHT_DECAY = {"text_second_order": 5e-7, "text_first_order": 5e-7, "text_derived": 8e-7}
#: Of the first matrices. In wider ones, as `seeded_state` draws them for images, a difference
#: grows over 35 steps until some ReLUs fall otherwise, even between PyTorch's float32 and float64.
BOUND = 0.04


def seeded_text(case: TextCase, seed: int) -> tuple[Array, Array, Array]:
    """Return words and those to predict, (T, B) each, and the state (B, H) of a segment before."""
    rng = np.random.default_rng(seed)
    words, targets = rng.integers(case.vocab_size, size=(2, case.steps, case.batch), dtype=np.int32)
    return words, targets, rng.uniform(-1.0, 1.0, (case.batch, case.hidden_size)).astype(np.float32)


def build_pydarts(case: TextCase, threads: int, **options: Any) -> Contender:
    """Build ours; ``options`` are those of `pydarts.bilevel.BilevelStep`."""
    import pydarts
    from pydarts.engine.sgd import SGD

    (x, y, h), (x_valid, y_valid, h_valid) = seeded_text(case, 3), seeded_text(case, 4)
    decay = WEIGHT_DECAY[case.kind]
    if case.kind == "text_derived":
        genotype = pydarts.RecurrentGenotype(**RECURRENT_DARTS_V2)
        net = pydarts.RecurrentNetwork(genotype, **case.network, threads=threads)
        net.load_state_dict(seeded_state(net.state_dict(), BOUND))
        sgd = SGD(net, momentum=0.0, weight_decay=decay, max_grad_norm=MAX_GRAD_NORM, tar=TAR)

        def check_derived(info: Any) -> dict[str, Array]:
            gradient = net.split_weights(sgd.state()["buffer"])
            return {"losses": np.array([info.train_loss]), "weights": flat(gradient)}

        return partial(sgd, x, y, LR, hidden=h), check_derived

    supernet = pydarts.RecurrentSupernet(**case.network, threads=threads)
    supernet.load_state_dict(seeded_state(supernet.state_dict(), BOUND))
    supernet.set_alphas(seeded_alphas(supernet.alphas))
    step = pydarts.bilevel.BilevelStep(
        supernet,
        order=2 if case.kind == "text_second_order" else 1,
        weight_decay=decay,
        max_grad_norm=MAX_GRAD_NORM,
        tar=TAR,
        **options,
    )

    def check(info: Any) -> dict[str, Array]:
        return {
            "losses": np.array([info.train_loss, info.valid_loss]),
            "weights": flat(step.momentum_buffer),  # without momentum: gradient and decay
            "alphas": flat(supernet.split_alphas(step.state()["first"])),
        }

    batches = {"train": (x, y), "valid": (x_valid, y_valid), "hidden": (h, h_valid)}
    return partial(step, **batches, lr=LR), check


def build_torch(case: TextCase, threads: int, shortcuts: bool = False) -> Contender:
    """Build the reference; of memory layouts there is only one. See `build_images.build_torch`."""
    import torch
    from torch import Tensor, nn

    from benchmarks import reference

    torch.set_num_threads(threads)

    def segment(seed: int) -> tuple[tuple[Tensor, Tensor], Tensor]:
        words, targets, hidden = map(torch.tensor, seeded_text(case, seed))
        return (words.long(), targets.long()), hidden

    def start(net: nn.Module) -> dict[str, Array]:
        return seeded_state(reference.state(net), BOUND)

    def descent(net: nn.Module) -> Array:
        """Return what SGD has just taken the weights along: clipped gradient and decay."""
        before = start(net)
        gradients = {}
        for name, parameter in net.named_parameters():
            assert parameter.grad is not None
            gradients[name] = parameter.grad.numpy() + decay * before[name]
        return flat(gradients)

    (train, hidden), (valid, valid_hidden) = segment(3), segment(4)
    decay = WEIGHT_DECAY[case.kind]
    if case.kind == "text_derived":
        cell = RECURRENT_DARTS_V2
        net = reference.RecurrentNetwork(cell["recurrent"], concat=cell["concat"], **case.network)
        reference.load_state(net, start(net))
        sgd = torch.optim.SGD(net.parameters(), LR, weight_decay=decay)

        def train_step() -> float:
            sgd.zero_grad()
            regularised, loss, _ = net.losses(*train, hidden, tar=TAR)
            regularised.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(net.parameters(), MAX_GRAD_NORM)
            sgd.step()
            return float(loss.item())

        def check_derived(loss: Any) -> dict[str, Array]:
            return {"losses": np.array([loss]), "weights": descent(net)}

        return train_step, check_derived

    supernet = reference.RecurrentSupernet(**case.network)
    reference.load_state(supernet, start(supernet))
    alphas = {name: alpha.detach().numpy() for name, alpha in supernet.alphas.items()}
    reference.set_alphas(supernet, seeded_alphas(alphas))
    step = reference.RecurrentSearchStep(
        supernet,
        order=2 if case.kind == "text_second_order" else 1,
        weight_decay=decay,
        max_grad_norm=MAX_GRAD_NORM,
        tar=TAR,
        shortcuts=shortcuts,
    )

    def check(info: Any) -> dict[str, Array]:
        moments = {n: step.alphas.state[a]["exp_avg"] for n, a in supernet.alphas.items()}
        return {
            "losses": np.array([info.train_loss, info.valid_loss]),
            "weights": descent(supernet),
            "alphas": flat(moments),
        }

    return partial(step, train, valid, (hidden, valid_hidden), LR), check
