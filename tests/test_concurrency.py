# SPDX-License-Identifier: MIT
"""Ctrl-C, threads and forks."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from nets import batch, flat, run_python, snapshot, supernet

import pydarts
from pydarts import _core
from pydarts.bilevel import BilevelStep, arch_gradient

# Seconds are those of the processor, of all threads: other processes may take as many as they want.


def delay_of_interrupt(seconds: float, call: Callable[[], object]) -> float:
    """Raise KeyboardInterrupt by a timer's signal while calling, and return how late it comes."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGPROF, interrupt)
    due = time.process_time() + seconds
    try:
        signal.setitimer(signal.ITIMER_PROF, seconds)
        while True:
            call()
    except KeyboardInterrupt:
        return time.process_time() - due
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)


def seconds_of(call: Callable[[], object]) -> float:
    call()  # it makes its plan and takes its memory
    started = time.process_time()
    call()
    return time.process_time() - started


needs_timer = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs setitimer")


@needs_timer
@pytest.mark.parametrize(
    ("channels", "cells", "samples", "call"),
    [
        (16, 8, 8, "loss_and_grads"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                (16, 8, 8, "logits"),
                (16, 8, 8, "arch_gradient"),
                (16, 8, 8, "step"),
                (4, 3, 100, "logits"),
                (4, 3, 100, "loss_and_grads"),
                (4, 3, 100, "arch_gradient"),
                (4, 3, 100, "step"),
            )
        ),
    ],
)
def test_an_interrupt_is_honoured(channels: int, cells: int, samples: int, call: str) -> None:
    net = pydarts.Supernet(channels, cells, classes=3, in_channels=2, threads=2)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(samples, 2, 32, 32)).astype(np.float32)
    y = rng.integers(0, 3, samples)
    small = {"train": batch(), "valid": batch(seed=1)}
    step = BilevelStep(net)
    calls: dict[str, Callable[[], object]] = {
        "logits": lambda: net.logits(x),
        "loss_and_grads": lambda: net.loss_and_grads(x, y),
        "arch_gradient": lambda: arch_gradient(net, train=(x, y), valid=(x, y)),
        "step": lambda: step(train=(x, y), valid=(x, y), lr=0.1),
    }
    duration = seconds_of(calls[call])
    before = snapshot(net)
    expected = net.loss_and_grads(*batch())[0]
    for part in (0.3, 0.6, 0.85):  # both in the forward and in the backward passes
        # A second chance, for memory and caches are not this process's alone.
        delays = (delay_of_interrupt(part * duration, calls[call]) for _ in range(3))
        assert any(delay < 2 * 0.2 for delay in delays), (part, duration)  # of two threads
    if call != "step":
        assert snapshot(net) == before
    assert net.loss_and_grads(*batch())[0] == expected or call == "step"
    step(**small, lr=0.1)


@needs_timer
def test_a_signal_handler_cannot_use_the_network_that_it_interrupts() -> None:
    net = pydarts.Supernet(16, 4, classes=3, in_channels=2, threads=2)
    x, y = np.zeros((8, 2, 32, 32), np.float32), np.zeros(8, int)
    previous = signal.signal(signal.SIGPROF, lambda *_: net.logits(x))  # would wait for itself
    try:
        signal.setitimer(signal.ITIMER_PROF, 0.1, 0.1)
        with pytest.raises(ValueError, match="is in a call of this thread"):
            while True:
                net.loss_and_grads(x, y)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)
    assert np.isfinite(net.loss_and_grads(x, y)[0])


@pytest.mark.slow
@needs_timer
@pytest.mark.parametrize(
    ("samples", "side"),
    [
        pytest.param(1, 768, id="bands"),
        pytest.param(200, 64, id="images", marks=pytest.mark.slow),
    ],
)
def test_an_evaluation_is_stopped(samples: int, side: int) -> None:
    net = pydarts.Network(pydarts.DARTS_V2, 16, 8, classes=3, in_channels=2, threads=2)
    large = np.random.default_rng(0).normal(size=(samples, 2, side, side)).astype(np.float32)
    x = large[: -(-samples // 2), :, : side // 4, : side // 4]
    expected = net.logits(x, training=False)
    for seconds in (0.1, 0.3):
        delays = (
            delay_of_interrupt(seconds, lambda: net.logits(large, training=False)) for _ in range(3)
        )
        assert any(delay < 2 * 0.2 for delay in delays), seconds
    net.set_deadline(0.0)
    with pytest.raises(_core.OutOfTime):
        net.logits(large, training=False)
    net.set_deadline(None)
    np.testing.assert_array_equal(net.logits(x, training=False), expected)


@needs_timer
@pytest.mark.parametrize("order", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_an_interrupted_step_changes_nothing(order: int) -> None:
    net = pydarts.Supernet(8, 3, classes=3, in_channels=2, threads=1)
    rng = np.random.default_rng(0)
    samples = 100 if order == 2 else 300  # more than a second
    x = rng.normal(size=(samples, 2, 32, 32)).astype(np.float32)
    y = rng.integers(0, 3, samples)
    step = BilevelStep(net, order=order)
    small = {"train": batch(), "valid": batch(seed=1)}
    step(**small, lr=0.1)
    before = {**snapshot(net), **{n: a.tobytes() for n, a in step.momentum_buffer.items()}}
    for seconds in (0.05, 0.2, 0.35):
        delay_of_interrupt(seconds, lambda: step(train=(x, y), valid=(x, y), lr=0.0))
        after = {**snapshot(net), **{n: a.tobytes() for n, a in step.momentum_buffer.items()}}
        assert step.steps == 1
        assert after == before
    twin = pydarts.Supernet(8, 3, classes=3, in_channels=2, threads=1)
    again = BilevelStep(twin, order=order)
    for _ in range(2):
        again(**small, lr=0.1)
    step(**small, lr=0.1)
    assert snapshot(net) == snapshot(twin)


def test_two_callers_at_once() -> None:
    net = supernet("float32")
    batches = [batch(samples, seed=samples) for samples in (8, 9)]
    expected = [net.loss_and_grads(*b) for b in batches]
    wrong: list[object] = []

    def call(which: int) -> None:
        for _ in range(8):
            loss, grads = net.loss_and_grads(*batches[which])
            good = expected[which][0] == loss and all(
                np.array_equal(a, flat(expected[which][1])[name]) for name, a in flat(grads).items()
            )
            if not good:
                wrong.append(which)

    callers = [threading.Thread(target=call, args=(which,)) for which in (0, 1)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
        assert not caller.is_alive()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("how", ["os", pytest.param("multiprocessing", marks=pytest.mark.slow)])
def test_a_fork_after_use(how: str) -> None:
    fork = """
pid = os.fork()
if pid == 0:
    os._exit(0 if loss() == expected else 1)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""
    if how == "multiprocessing":
        fork = """
import multiprocessing
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.starmap(loss, [(), ()]) == [expected, expected]
"""
    done = run_python(f"""
import os
import numpy as np, pydarts
net = pydarts.Supernet(2, 3, in_channels=1, threads=2)
x, y = np.random.default_rng(0).normal(size=(16, 1, 8, 8)), np.arange(16) % 10
def loss():
    return net.loss_and_grads(x, y)[0]
expected = loss()
{fork}
assert loss() == expected
""")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("variable", "threads"),
    [
        ("5,2", "5"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (("3", "3"), ("0", None), ("", None))
        ),
    ],
)
def test_the_environment_limits_the_threads(variable: str, threads: str | None) -> None:
    code = "import pydarts; print(pydarts.Supernet(2, 3).threads)"
    done = run_python(code, OMP_NUM_THREADS=variable)
    assert done.returncode == 0, done.stderr
    found = done.stdout.strip()
    assert found == (threads or str(len(os.sched_getaffinity(0))))
