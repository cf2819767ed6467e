# SPDX-License-Identifier: MIT
"""Contenders over images: pydarts and the PyTorch reference, built for an `ImageCase`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.cases import CLASSES, DARTS_V2, OPERATIONS, ImageCase
from benchmarks.inputs import Array, Contender, flat, seeded_alphas, seeded_state

LR, MOMENTUM, WEIGHT_DECAY, MAX_GRAD_NORM = 0.025, 0.9, 3e-4, 5.0


def seeded_images(shape: tuple[int, ...], seed: int) -> tuple[Array, Array]:
    """Return noise and a label for each sample of it."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape, np.float32), rng.integers(CLASSES, size=shape[0])


def _batches(case: ImageCase) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    shape = (case.batch, case.in_channels, *case.shape)
    return seeded_images(shape, 3), seeded_images(shape, 4)


def _mixture(case: ImageCase) -> tuple[Array, Array]:
    halved = (-(-side // case.stride) for side in case.shape)
    return (
        seeded_images((case.batch, case.channels, *case.shape), 3)[0],
        seeded_images((case.batch, case.channels, *halved), 4)[0],
    )


def build_pydarts(
    case: ImageCase, threads: int, memory: str = "store", **options: Any
) -> Contender:
    """Build ours; ``options`` are those of `pydarts.bilevel.BilevelStep`."""
    import pydarts.spaces
    from pydarts.engine.sgd import SGD

    if case.kind == "mixture":
        mixture = pydarts.MixedOperation(
            case.channels,
            case.stride,
            case.operations,
            threads=threads,
            dimensions=case.dimensions,
        )
        mixture.load_state_dict(seeded_state(mixture.state_dict()))
        mixture.set_alphas(seeded_alphas(mixture.alphas))
        x, d_output = _mixture(case)

        def check_mixture(grads: Any) -> dict[str, Array]:
            return {
                "output": mixture.forward(x),
                "images": grads.x,
                "weights": flat(grads.weights),
                "alphas": np.ravel(grads.alphas),  # of one operation: zero
            }

        return partial(mixture.backward, x, d_output), check_mixture

    train, valid = _batches(case)
    if case.kind == "derived":
        genotype = pydarts.Genotype(**DARTS_V2)
        net = pydarts.Network(genotype, **case.network, threads=threads, memory=memory)
        net.load_state_dict(seeded_state(net.state_dict()))
        sgd = SGD(net, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY, max_grad_norm=MAX_GRAD_NORM)

        def check_derived(info: Any) -> dict[str, Array]:
            gradient = net.split_weights(sgd.state()["buffer"])
            return {"losses": np.array([info.train_loss]), "weights": flat(gradient)}

        return partial(sgd, *train, LR), check_derived

    supernet = pydarts.Supernet(**case.network, threads=threads, memory=memory, space=case.space)
    supernet.load_state_dict(seeded_state(supernet.state_dict()))
    supernet.set_alphas(seeded_alphas(supernet.alphas))
    order = 2 if case.kind == "second_order" else 1
    step = pydarts.bilevel.BilevelStep(supernet, order=order, **options)

    def check(info: Any) -> dict[str, Array]:
        return {
            "losses": np.array([info.train_loss, info.valid_loss]),
            "weights": flat(step.momentum_buffer),
            "alphas": flat(supernet.split_alphas(step.state()["first"])),
        }

    return partial(step, train=train, valid=valid, lr=LR), check


def build_torch(
    case: ImageCase, threads: int, channels_last: bool = False, shortcuts: bool = False
) -> Contender:
    """Build the reference in one of the two memory layouts, or as pydarts-fast is to compute."""
    import torch
    from torch import Tensor, nn

    from benchmarks import reference
    from benchmarks.reference.search import MixedOp

    supernets = {
        "darts": reference.Supernet,
        "darts-1d": reference.Supernet1d,
        "nas-bench-201": reference.NasBench201Supernet,
    }
    torch.set_num_threads(threads)
    layout = torch.channels_last if channels_last else torch.contiguous_format

    def images(x: Array) -> Tensor:
        return torch.tensor(x).contiguous(memory_format=layout)

    def prepared(net: nn.Module) -> Any:
        reference.load_state(net, seeded_state(reference.state(net)))
        # The stubs of `to` know tensors only.
        return net.to(memory_format=layout)  # type: ignore[call-overload]

    def numpy(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, Array]:
        return {name: t.detach().numpy() for name, t in tensors}

    if case.kind == "mixture":
        one = len(case.operations) == 1
        mixed = MixedOp(case.channels, case.stride)
        if case.dimensions == 1:
            reference.one_dimensional(mixed)
        module = mixed._ops[OPERATIONS.index(case.operations[0])] if one else mixed
        module = prepared(module)
        start = seeded_alphas({"mixed": np.empty((1, len(case.operations)))})["mixed"]
        alpha = torch.tensor(start).requires_grad_()
        x, d_output = map(images, _mixture(case))
        x.requires_grad_()
        weights = dict(module.named_parameters())

        def run() -> tuple[Tensor, tuple[Tensor, ...]]:
            output = module(x) if one else module(x, alpha.softmax(1)[0])
            inputs = (x, *weights.values()) if one else (x, *weights.values(), alpha)
            return output, torch.autograd.grad(output, inputs, d_output)

        def check_mixture(result: Any) -> dict[str, Array]:
            output, (dx, *grads) = result
            return {
                "output": output.detach().numpy(),
                "images": dx.numpy(),
                "weights": flat(numpy(zip(weights, grads, strict=False))),
                "alphas": np.zeros(1, np.float32) if one else grads[-1].numpy()[0],
            }

        return run, check_mixture

    (x_train, y_train), (x_valid, y_valid) = _batches(case)
    train = images(x_train), torch.tensor(y_train)
    valid = images(x_valid), torch.tensor(y_valid)
    if case.kind == "derived":
        net = prepared(reference.Network(SimpleNamespace(**DARTS_V2), **case.network))
        sgd = torch.optim.SGD(net.parameters(), LR, MOMENTUM, weight_decay=WEIGHT_DECAY)

        def train_step() -> float:
            sgd.zero_grad()
            loss = net.loss(*train)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), MAX_GRAD_NORM)
            sgd.step()
            return float(loss.item())

        def check_derived(loss: Any) -> dict[str, Array]:
            buffers = ((n, sgd.state[p]["momentum_buffer"]) for n, p in net.named_parameters())
            return {"losses": np.array([loss]), "weights": flat(numpy(buffers))}

        return train_step, check_derived

    supernet = prepared(supernets[case.space](**case.network))
    reference.set_alphas(supernet, seeded_alphas(numpy(supernet.alphas.items())))
    order = 2 if case.kind == "second_order" else 1
    step = reference.SearchStep(supernet, order=order, shortcuts=shortcuts)

    def check(info: Any) -> dict[str, Array]:
        moments = ((n, step.alphas.state[a]["exp_avg"]) for n, a in supernet.alphas.items())
        return {
            "losses": np.array([info.train_loss, info.valid_loss]),
            "weights": flat(numpy((step.momentum_buffer or {}).items())),
            "alphas": flat(numpy(moments)),
        }

    return partial(step, train, valid, LR), check
