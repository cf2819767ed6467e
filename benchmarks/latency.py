# SPDX-License-Identifier: MIT
"""``python -m benchmarks.latency``: how well a profile predicts the latency of random networks.

The networks that are predicted are not those from which the profile took its factors.
"""

from __future__ import annotations

import argparse

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
    args = parser.parse_args()
    found = pydarts.profile(
        *(args.space, args.image_size, args.channels, args.cells),
        in_channels=1,
        batch=args.batch,
        threads=args.threads,
        repeats=args.repeats,
    )
    space = as_space(args.space)
    drawn = [Genotype.random(FIRST_SEED + k, space=space) for k in range(args.networks)]
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
        args.space,
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
