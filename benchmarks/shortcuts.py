# SPDX-License-Identifier: MIT
"""``python -m benchmarks.shortcuts DATA``: how close the fast second order stays to the exact one.

Along an exact search with the quick preset's sizes, at every step and on the same batches:

* hvp: cosine of the architecture gradient with ``hvp="forward"`` to the one with ``hvp="central"``;
* first order: the same for ``order=1``, to compare with;
* reuse: cosine of the *next* step's architecture gradient after a weight step with
  ``reuse_gradient=True`` to that after the exact step.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pydarts import Supernet
from pydarts.bilevel import BilevelStep, arch_gradient
from pydarts.data.batches import Batches
from pydarts.data.datasets import load
from pydarts.data.images import as_images
from pydarts.data.labels import Labels
from pydarts.data.normalization import Normalization
from pydarts.data.splits import sample, split_half
from pydarts.training.config import SearchConfig


def _cosine(a: dict[str, NDArray[Any]], b: dict[str, NDArray[Any]]) -> float:
    x, y = (np.concatenate([g[name].ravel() for name in sorted(g)]).astype(float) for g in (a, b))
    return float(x @ y / (np.linalg.norm(x) * np.linalg.norm(y)))


def main() -> None:
    """Print mean and minimum of the cosines."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shortcuts", description=__doc__)
    parser.add_argument("data", help="as of `pydarts search`")
    parser.add_argument("--steps", type=int, default=150)
    args = parser.parse_args()
    config = SearchConfig.make("quick", {})
    data = load(args.data)
    rng = np.random.default_rng(config.seed)
    labels = Labels.fit(data.y_train)
    images, codes = as_images(data.X_train), labels.encode(data.y_train)
    images, codes = sample(images, codes, config.max_images, rng)
    halves = split_half(codes, rng)
    normalization = Normalization.fit(images[halves[0]])
    x = normalization.apply(images)

    def network(reuse: bool) -> tuple[Supernet, BilevelStep]:
        net = Supernet(config.channels, config.cells, len(labels), images.shape[1])
        return net, BilevelStep(net, alpha_lr=config.alpha_lr, reuse_gradient=reuse)

    exact, twin = network(False), network(True)
    draws = [Batches(len(half), config.batch_size, rng).endless() for half in halves]

    def batches() -> dict[str, tuple[NDArray[Any], NDArray[np.int64]]]:
        chosen = [half[next(draw)] for half, draw in zip(halves, draws, strict=True)]
        return {name: (x[i], codes[i]) for name, i in zip(("train", "valid"), chosen, strict=True)}

    def gradient(pair: tuple[Supernet, BilevelStep], now: Any, **options: Any) -> Any:
        buffer = pair[1].momentum_buffer
        return arch_gradient(pair[0], **now, eta=config.lr, momentum_buffer=buffer, **options)

    cosines: dict[str, list[float]] = {'hvp="forward"': [], "order=1": [], "reuse_gradient": []}
    now = batches()
    for _ in range(args.steps):
        wanted = gradient(exact, now)
        cosines['hvp="forward"'].append(_cosine(gradient(exact, now, hvp="forward"), wanted))
        cosines["order=1"].append(_cosine(gradient(exact, now, order=1), wanted))
        twin[1].restore(exact[1].state())
        for _, step in (exact, twin):
            step(**now, lr=config.lr)
        now = batches()
        cosines["reuse_gradient"].append(_cosine(gradient(twin, now), gradient(exact, now)))
    print(f"| {args.data}, {args.steps} steps | mean cosine | minimum |\n|---|---|---|")
    for name, values in cosines.items():
        print(f"| `{name}` | {np.mean(values):.4f} | {min(values):.4f} |")


if __name__ == "__main__":
    main()
