# SPDX-License-Identifier: MIT
"""What the engine takes of memory: the plan is true, and recomputing changes nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pydarts

ROOT = str(Path(pydarts.__file__).parents[1])


def used(memory: str, steps: int) -> tuple[int, int]:
    """Bytes that the first step took, and those that `steps` more added."""
    code = f"""
import sys; sys.path.insert(0, {ROOT!r})
import numpy as np, pydarts
def peak():  # not ru_maxrss, which a child inherits from a large parent
    return 1024 * int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
rng = np.random.default_rng(0)
x, y = rng.normal(size=(24, 3, 32, 32)).astype("f4"), rng.integers(0, 10, 24)
tiny = pydarts.bilevel.BilevelStep(pydarts.Supernet(2, 3, threads=2))
tiny(train=(x[:4], y[:4]), valid=(x[:4], y[:4]), lr=0.1)  # what the libraries take
start = peak()
step = pydarts.bilevel.BilevelStep(pydarts.Supernet(8, 3, threads=2, memory={memory!r}))
step(train=(x, y), valid=(x, y), lr=0.1)
first = peak()
for _ in range({steps}):
    step(train=(x, y), valid=(x, y), lr=0.1)
print(first - start, peak() - first)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    first, more = map(int, done.stdout.split())
    return first, more


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.slow
@pytest.mark.parametrize("memory", ["store", "recompute"])
def test_the_plan_is_true(memory: str) -> None:
    plan = pydarts.Supernet(8, 3, threads=2, memory=memory).memory_plan(24, 32)
    first, more = used(memory, 1)
    assert plan["total"] == sum(plan[name] for name in ("activations", "scratch", "weights"))
    assert 0.9 * plan["total"] <= first <= 1.1 * plan["total"]
    assert more < 0.01 * first  # all is allocated in the first step


def test_recomputing_takes_less() -> None:
    plans = [
        pydarts.Supernet(16, 8, memory=memory, threads=2).memory_plan(64, 32)
        for memory in ("store", "recompute")
    ]
    assert plans[1]["activations"] < plans[0]["activations"] / 7
    inference = pydarts.Supernet(16, 8, threads=2).memory_plan(64, 32, training=False)
    assert inference["total"] < plans[0]["total"] / 3


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((0, 32), "`batch_size` (=0)"),
        ((4, 0), "`image_size` (=0)"),
        ((4, (8, -1)), "(=-1)"),
        ((1, 65536), "`height` (=65536)"),
    ],
)
def test_bad_sizes(arguments: tuple[Any, ...], named: str) -> None:
    with pytest.raises(ValueError) as error:
        pydarts.Supernet(2, 3).memory_plan(*arguments)
    assert named in str(error.value)


def test_bad_mode() -> None:
    with pytest.raises(ValueError, match=r"`memory` \(='less'\)"):
        pydarts.Supernet(2, 3, memory="less")
