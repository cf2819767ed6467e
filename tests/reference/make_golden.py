# SPDX-License-Identifier: MIT
"""Write ``tests/data/golden_trajectory.npz`` from the PyTorch reference.

    python tests/reference/make_golden.py

The file holds what the short search of ``seeded.py`` gave; its inputs are drawn anew by
whoever checks against it (``tests/test_golden.py``, which needs no PyTorch).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path += [str(HERE), str(HERE.parents[1])]

import torch  # noqa: E402
from seeded import (  # noqa: E402
    GOLDEN_GRADIENTS,
    SEARCH_CLASSES,
    SEARCH_OPTIONS,
    SEARCH_SIZE,
    search_steps,
    seeded_alphas,
    seeded_state,
    summary,
)

from benchmarks import reference  # noqa: E402

OUT = HERE.parent / "data" / "golden_trajectory.npz"


def main() -> None:
    """Run the search and store its trace."""
    torch.set_num_threads(1)
    net = reference.Supernet(**SEARCH_SIZE.network(SEARCH_CLASSES)).double()
    reference.load_state(net, seeded_state(reference.state(net), seed=21))
    reference.set_alphas(net, seeded_alphas(seed=22))
    trace: dict[str, Any] = {}
    steps = list(search_steps())

    (x, y), (xv, yv), lr = steps[0]
    _, grads = reference.loss_and_grads(net, x, y)
    for name in GOLDEN_GRADIENTS:
        trace[f"gradient {name}"] = grads["weights"][name]
    train, valid = (torch.tensor(x), torch.tensor(y)), (torch.tensor(xv), torch.tensor(yv))
    for order in (1, 2):
        for name, g in reference.arch_gradient(net, train, valid, order, eta=lr).items():
            trace[f"alpha gradient {order} {name}"] = g.numpy()

    step = reference.SearchStep(net, **SEARCH_OPTIONS)
    infos = []
    for (x, y), (xv, yv), lr in steps:
        train, valid = (torch.tensor(x), torch.tensor(y)), (torch.tensor(xv), torch.tensor(yv))
        infos.append(step(train, valid, lr))
    trace["train_loss"] = np.array([i.train_loss for i in infos])
    trace["valid_loss"] = np.array([i.valid_loss for i in infos])
    for name, alpha in net.alphas.items():
        trace[f"alpha {name}"] = alpha.detach().numpy()
    trace["names"], trace["summary"] = summary(reference.state(net))
    OUT.parent.mkdir(exist_ok=True)
    np.savez_compressed(OUT, **trace)
    print(f"{OUT}: {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
