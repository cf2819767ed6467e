# SPDX-License-Identifier: MIT
"""The contenders; run as a script, one of them in a process of its own.

``python benchmarks/contenders.py SPEC`` builds what the JSON object SPEC names, at a tiny size and
at its own, takes a step of each, saves what they computed for the comparison, and tells so in a
line of JSON. Then it answers every line of its input, a time in seconds, by repeating the step for
that long.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from types import SimpleNamespace
from typing import Any

if __name__ == "__main__":
    # The checkout goes to the end of the path: an installed pydarts wins over the sources.
    sys.path[:1] = []
    sys.path.append(str(Path(__file__).parents[1]))

import numpy as np
from numpy.typing import NDArray

from benchmarks.cases import CLASSES, DARTS_V2, OPERATIONS, Case

Array = NDArray[Any]
#: What a step returned is passed to the second function, which gives loss and gradients.
Contender = tuple[Callable[[], Any], Callable[[Any], dict[str, Array]]]

LR, MOMENTUM, WEIGHT_DECAY, CLIP = 0.025, 0.9, 3e-4, 5.0
SGEMM_SIDE = 2048


def seeded_state(like: Mapping[str, Array]) -> dict[str, Array]:
    """Return a state with these names and shapes, drawn in order of name."""
    rng = np.random.default_rng(1)
    state = {}
    for name in sorted(like):
        shape = like[name].shape
        if len(shape) > 1:
            bound = 1.0 / np.sqrt(np.prod(shape[1:]))
            state[name] = rng.uniform(-bound, bound, shape).astype(np.float32)
        else:
            one = name.endswith(("running_var", "weight"))
            state[name] = np.full(shape, float(one), np.float32)
    return state


def seeded_alphas(like: Mapping[str, Array]) -> dict[str, Array]:
    """Return alphas as small as those that a search begins with."""
    rng = np.random.default_rng(2)
    return {n: 1e-3 * rng.standard_normal(like[n].shape, np.float32) for n in sorted(like)}


def seeded_images(shape: tuple[int, ...], seed: int) -> tuple[Array, Array]:
    """Return noise and a label for each sample of it."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape, np.float32), rng.integers(CLASSES, size=shape[0])


def _batches(case: Case) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    shape = (case.batch, case.in_channels, case.side, case.side)
    return seeded_images(shape, 3), seeded_images(shape, 4)


def _mixture(case: Case) -> tuple[Array, Array]:
    side = -(-case.side // case.stride)
    return (
        seeded_images((case.batch, case.channels, case.side, case.side), 3)[0],
        seeded_images((case.batch, case.channels, side, side), 4)[0],
    )


def _flat(arrays: Mapping[str, Any]) -> Array:
    """Return all arrays in order of name as one."""
    parts = [np.ravel(np.asarray(arrays[name])) for name in sorted(arrays)]
    return np.concatenate(parts or [np.empty(0, np.float32)])


def build_pydarts(case: Case, threads: int, memory: str = "store", **options: Any) -> Contender:
    """Build ours; ``options`` are those of `pydarts.bilevel.BilevelStep`."""
    import pydarts
    from pydarts import _core

    if case.kind == "mixture":
        mixture = pydarts.MixedOperation(
            case.channels, case.stride, case.operations, threads=threads
        )
        mixture.load_state_dict(seeded_state(mixture.state_dict()))
        mixture.set_alphas(seeded_alphas(mixture.alphas))
        x, d_output = _mixture(case)

        def check_mixture(grads: Any) -> dict[str, Array]:
            return {
                "output": mixture.forward(x),
                "images": grads.x,
                "weights": _flat(grads.weights),
                "alphas": np.ravel(grads.alphas),  # of one operation: zero
            }

        return partial(mixture.backward, x, d_output), check_mixture

    train, valid = _batches(case)
    if case.kind == "derived":
        genotype = pydarts.Genotype(**DARTS_V2)
        net = pydarts.Network(genotype, **case.network, threads=threads, memory=memory)
        net.load_state_dict(seeded_state(net.state_dict()))
        images, labels = train[0], train[1].astype(np.int32)
        weights = _core.WeightStep32(net._engine, MOMENTUM, WEIGHT_DECAY, CLIP)

        def check_derived(result: Any) -> dict[str, Array]:
            gradient = net._split_weights(weights.buffer)
            return {"losses": np.array(result[:1]), "weights": _flat(gradient)}

        return partial(weights, net._engine, images, labels, LR), check_derived

    supernet = pydarts.Supernet(**case.network, threads=threads, memory=memory)
    supernet.load_state_dict(seeded_state(supernet.state_dict()))
    supernet.set_alphas(seeded_alphas(supernet.alphas))
    order = 2 if case.kind == "second_order" else 1
    step = pydarts.bilevel.BilevelStep(supernet, order=order, **options)

    def check(info: Any) -> dict[str, Array]:
        return {
            "losses": np.array([info.train_loss, info.valid_loss]),
            "weights": _flat(step.momentum_buffer),
            "alphas": _flat(supernet._split_alphas(step._engine.first)),
        }

    return partial(step, train=train, valid=valid, lr=LR), check


def build_torch(case: Case, threads: int, channels_last: bool = False) -> Contender:
    """Build the reference in one of the two memory layouts."""
    import torch
    from torch import Tensor, nn

    from benchmarks import reference
    from benchmarks.reference.search import MixedOp

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
                "weights": _flat(numpy(zip(weights, grads, strict=False))),
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
            nn.utils.clip_grad_norm_(net.parameters(), CLIP)
            sgd.step()
            return float(loss.item())

        def check_derived(loss: Any) -> dict[str, Array]:
            buffers = ((n, sgd.state[p]["momentum_buffer"]) for n, p in net.named_parameters())
            return {"losses": np.array([loss]), "weights": _flat(numpy(buffers))}

        return train_step, check_derived

    supernet = prepared(reference.Supernet(**case.network))
    reference.set_alphas(supernet, seeded_alphas(numpy(supernet.alphas.items())))
    step = reference.SearchStep(supernet, order=2 if case.kind == "second_order" else 1)

    def check(info: Any) -> dict[str, Array]:
        moments = ((n, step.alphas.state[a]["exp_avg"]) for n, a in supernet.alphas.items())
        return {
            "losses": np.array([info.train_loss, info.valid_loss]),
            "weights": _flat(numpy((step.momentum_buffer or {}).items())),
            "alphas": _flat(numpy(moments)),
        }

    return partial(step, train, valid, LR), check


def build_sgemm(case: Case, threads: int) -> Contender:
    """Build the product of two matrices by which the machine's peak is measured."""
    rng = np.random.default_rng(5)
    a, b, c = (rng.standard_normal((SGEMM_SIDE, SGEMM_SIDE), np.float32) for _ in range(3))
    return partial(np.matmul, a, b, out=c), lambda _: {}


SEARCH = ("second_order", "first_order")
EVERYTHING = (*SEARCH, "derived", "mixture")


@dataclass(frozen=True)
class Kind:
    """What a contender is: module to import, builder, kinds of cases."""

    module: str
    build: Callable[[Case, int], Contender]
    cases: tuple[str, ...] = EVERYTHING


CONTENDERS = {
    "pydarts": Kind("pydarts", build_pydarts),
    "pydarts-recompute": Kind(
        "pydarts", partial(build_pydarts, memory="recompute"), (*SEARCH, "derived")
    ),
    "pydarts-fast": Kind(
        "pydarts",
        partial(build_pydarts, hvp="forward", reuse_gradient=True),
        ("second_order",),
    ),
    "torch": Kind("benchmarks.reference", build_torch),
    "torch-channels-last": Kind("benchmarks.reference", partial(build_torch, channels_last=True)),
    "sgemm": Kind("numpy", build_sgemm),
}


def memory(field: str) -> int:
    """Return ``"VmRSS"``, bytes resident now, or ``"VmHWM"``, their peak in this process.

    Where there is no ``/proc`` both are the peak. On Linux ``getrusage`` would not do: its peak
    includes that of the process which this one was forked from.
    """
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) << 10 for line in status if line.startswith(field))
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10


def _forget_peak() -> None:
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


def _yield_memory() -> bool:
    """Give freed heap back if this process holds over a quarter of the machine's memory."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if memory("VmRSS") * 4 < total:
            return False
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError, ValueError):  # not Linux with glibc
        return False
    return True


def versions(module: str) -> dict[str, str]:
    """Return those of Python, numpy and what is measured."""
    found = {"python": platform.python_version(), "numpy": np.__version__}
    if module == "pydarts":
        from pydarts import _core

        found |= {"pydarts": _core.__version__, "instruction set": _core.instruction_set()}
    elif module == "benchmarks.reference":
        found["torch"] = importlib.import_module("torch").__version__
    return found


def stages(case: Case) -> list[Case]:
    """Return what is compared before the case is timed: the same at a tiny size, and itself."""
    return list(dict.fromkeys((case.quick(), case)))


def main(spec: str) -> None:
    """Serve one contender; see the module's first lines."""
    options = json.loads(spec)
    case = Case(**{**options["case"], "operations": tuple(options["case"]["operations"])})
    contender = CONTENDERS[options["contender"]]
    importlib.import_module(contender.module)
    for number, stage in enumerate(stages(case)):
        _forget_peak()
        before = memory("VmRSS")
        step, check = contender.build(stage, options["threads"])
        np.savez(f"{options['checks']}{number}.npz", **check(step()))  # type: ignore[arg-type]
    print(json.dumps(versions(contender.module)), flush=True)
    yielded = _yield_memory()
    for line in sys.stdin:
        if yielded:
            step()  # fetches the memory back
        seconds: list[float] = []
        end = perf_counter() + float(line)
        while not seconds or perf_counter() < end:
            start = perf_counter()
            step()
            seconds.append(perf_counter() - start)
        answer = {"seconds": median(seconds), "bytes": max(0, memory("VmHWM") - before)}
        print(json.dumps(answer), flush=True)
        yielded = _yield_memory()


if __name__ == "__main__":
    main(sys.argv[1])
