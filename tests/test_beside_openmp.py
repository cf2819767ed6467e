# SPDX-License-Identifier: MIT
"""The engine's threads beside the OpenMP pools of PyTorch and scikit-learn in one process: the same
results, no hang, no pool twice.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, os, sys
import numpy as np

def threads():
    return len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 0

def step():
    import pydarts
    net = pydarts.Supernet(channels=4, cells=3, classes=2, in_channels=1, threads=2, seed=1)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(16, 1, 8, 8)), np.arange(16) % 2
    step = pydarts.bilevel.BilevelStep(net, order=2)
    info = [step(train=(x, y), valid=(x, y), lr=0.1) for _ in range(3)]
    return [i.train_loss.hex() for i in info] + [float(net.alphas["normal"].sum()).hex()]

def torch():
    import torch
    torch.set_num_threads(2)
    a = torch.ones(300, 300)
    for _ in range(3):
        a = torch.relu(a @ a) / 300
    return float(a.sum())

def sklearn():
    from sklearn.cluster import KMeans
    X = np.random.default_rng(0).normal(size=(2000, 8))
    return float(KMeans(8, n_init=1, random_state=0).fit(X).inertia_)

found = {"results": [], "threads": [], "others": []}
for name in sys.argv[1:]:
    value = {"step": step, "torch": torch, "sklearn": sklearn}[name]()
    found["results" if name == "step" else "others"].append(value)
    found["threads"].append(threads())
print(json.dumps(found))
"""


def _run(*order: str) -> dict[str, list[object]]:
    command = [sys.executable, "-c", PROGRAM, *order]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=Path(__file__).parent,  # where Python finds what is installed, not the sources
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[object]] = json.loads(done.stdout)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("other", ["sklearn", "torch"])
def test_results_and_threads_beside_another_pool(other: str) -> None:
    pytest.importorskip(other)
    alone = _run("step")["results"][0]
    for order in (["step", other, "step", other, "step"], [other, "step", other, "step", other]):
        found = _run(*order)
        assert all(result == alone for result in found["results"])
        assert len(set(map(str, found["others"]))) == 1
        # Once both have worked, nobody begins further threads.
        assert len(set(found["threads"][1:])) == 1, found["threads"]
