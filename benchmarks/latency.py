# SPDX-License-Identifier: MIT
"""``python -m benchmarks.latency``: how well a profile predicts the latency of random networks.

The networks that are predicted are not those from which the profile took its factors.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import pydarts
from pydarts.costs.measured import measure_genotypes
from pydarts.spaces import as_space
from pydarts.spaces.darts import Genotype

FIRST_SEED = 1000  # of the networks that are predicted


def spearman(a: list[float], b: list[float]) -> float:
    """Return the rank correlation of numbers without ties."""
    ranks = [np.argsort(np.argsort(each)) for each in (a, b)]
    return float(np.asarray(np.corrcoef(ranks))[0, 1])


def with_pools(genotype: Genotype, seed: int) -> Genotype:
    """Return cells of which each operation became the same pool with a probability of one half."""
    rng, space = np.random.default_rng(seed), genotype.space
    fields: dict[str, Any] = {}
    for cell in space.cells:
        pools = [op.name for op in cell.candidates[0] if "pool" in op.name]
        pool = pools[rng.integers(len(pools))]
        fields[cell.name] = [
            (pool if rng.random() < 0.5 else name, source)
            for name, source, _ in genotype.kept(cell.name)
        ]
        if cell.output_field is not None:
            fields[cell.output_field] = range(cell.inputs, cell.inputs + cell.nodes)
    return Genotype(space=space, **fields)


def main() -> None:
    """Print a row of a Markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.add_argument("--space", default="darts")
    parser.add_argument("--image-size", type=int, default=28)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--cells", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--networks", type=int, default=40, help="that are predicted")
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument(
        "--pools", action="store_true", help="cells of which half the edges have the same pool"
    )
    args = parser.parse_args()
    found = pydarts.profile(
        *(args.space, args.image_size, args.channels, args.cells),
        in_channels=1,
        batch=args.batch,
        threads=args.threads,
        repeats=args.repeats,
    )
    space = as_space(args.space)
    seeds = range(FIRST_SEED, FIRST_SEED + args.networks)
    drawn = [Genotype.random(seed, space=space) for seed in seeds]
    if args.pools:
        drawn = [with_pools(each, seed) for each, seed in zip(drawn, seeds, strict=True)]
    timings = measure_genotypes(drawn, found.shape, args.batch, args.threads, args.repeats)
    measured = [timing.median for timing in timings]
    predicted = [found.predict(genotype) for genotype in drawn]
    errors = np.array(predicted) / np.array(measured) - 1
    environment = found.environment
    cpu = environment["cpu_model"] or environment["cpu"]
    print(f"{cpu}, {environment['instruction_set']}, pydarts {environment['pydarts']}\n")
    print(
        "| space | channels, cells | threads | batch | networks | latency, ms | mean error |"
        " largest | bias | Spearman | factors |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|")
    plain = all(factor == 1 for factor in found.factors.values())
    cells = [
        args.space + (", half pools" if args.pools else ""),
        f"{args.channels}, {args.cells}",
        str(args.threads),
        str(args.batch),
        str(args.networks),
        f"{1e3 * min(measured):.3f}–{1e3 * max(measured):.3f}",
        f"{np.abs(errors).mean():.1%}",
        f"{np.abs(errors).max():.1%}",
        f"{errors.mean():+.1%}",
        f"{spearman(predicted, measured):.3f}",
        "none" if plain else "fitted",
    ]
    print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
