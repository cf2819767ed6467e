# SPDX-License-Identifier: MIT
"""``python -m benchmarks.hypergradient``: how close cheap architecture gradients come to a long
Neumann series, over a search.

A search of the ``quick`` preset, of second order. At some of its epochs, always on the same images
of either half, the hypergradient by so many terms of `pydarts.bilevel.implicit_gradient`, and the
cosine to it of:

* first order, second order: those of the search, at its learning rate and momentum;
* batches: the second order on batches of the search's size, the mean of their cosines;
* K terms of the same series;
* 2ε: the whole series again, with steps of twice the length in its finite differences.

The damping is the smallest share of the largest curvature, of 1/8, 1/4, 1/2, 1 and 2, with which
no term grows; eta is one over the sum of both. The residual is that of ``(H + damping) q = v``, its
product a finite difference of its own.
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pydarts import SearchConfig
from pydarts.bilevel import BilevelStep, arch_gradient
from pydarts.data.datasets import load
from pydarts.engine.network import BaseSupernet
from pydarts.methods.implicit import (
    frozen_network,
    mixed_product,
    neumann_series,
    training_hessian,
    validation_gradients,
)
from pydarts.tasks.images import ImageClassification

Vector = NDArray[np.float64]

TERMS = (1, 2, 5, 10, 20)
SHARES = (0.125, 0.25, 0.5, 1.0, 2.0)  # of the largest curvature, as damping
BATCHES = 8  # of the search's size


class Series(NamedTuple):
    """A series and what came of it.

    ``sums`` holds the hypergradient by number of terms; ``longest`` is the last one.
    """

    damping: float
    curvature: float
    residual: float
    implicit: float  # norm of the implicit part, over that of the whole
    sums: dict[int, Vector]
    longest: Vector


class Measured(NamedTuple):
    """What was seen at one moment of the search; cosines by name."""

    epoch: int
    series: Series
    cosines: dict[str, float]


def _flat(parts: dict[str, NDArray[Any]]) -> Vector:
    return np.concatenate([part.ravel() for part in parts.values()]).astype(np.float64)


def _cosine(a: Vector, b: Vector) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def _series(
    net: BaseSupernet[Any],
    probe: Any,
    config: SearchConfig,
    terms: int,
    epsilon: float,
    known: Any = None,
) -> Series:
    """Return the hypergradient by many terms, with the damping that they need or that is known."""
    with frozen_network(net, probe["train"], probe["valid"]) as (oracle, (train, valid)):
        direct, v = validation_gradients(oracle, valid)
        hessian = training_hessian(oracle, train, config.weight_decay, epsilon)
        curvature, u = 0.0, v / np.linalg.norm(v)
        for _ in range(0 if known else 15):
            product = hessian(u)
            curvature = max(curvature, float(np.linalg.norm(product)))
            u = product / np.linalg.norm(product)
        curvature = known.curvature if known else curvature
        for damping in [known.damping] if known else [share * curvature for share in SHARES]:
            sums = {}
            try:
                series = neumann_series(hessian, v, 1 / (curvature + damping), damping)
                for count, q in enumerate(islice(series, terms), 1):
                    if count in TERMS:
                        sums[count] = direct - mixed_product(oracle, train, q, epsilon)
            except ArithmeticError:
                continue
            implicit = mixed_product(oracle, train, q, epsilon)
            longest = direct - implicit
            left = float(np.linalg.norm(hessian(q) + damping * q - v) / np.linalg.norm(v))
            share = float(np.linalg.norm(implicit) / np.linalg.norm(longest))
            return Series(damping, curvature, left, share, sums, longest)
    raise ArithmeticError("the series diverges with any damping that was tried")


def _measure(
    epoch: int, step: BilevelStep, probe: Any, batches: Any, config: SearchConfig, terms: int
) -> Measured:
    series = _series(step.net, probe, config, terms, config.epsilon)
    again = _series(step.net, probe, config, terms, 2 * config.epsilon, series)
    options: dict[str, Any] = {
        "momentum_buffer": step.momentum_buffer,
        "momentum": config.momentum,
        "weight_decay": config.weight_decay,
        "epsilon": config.epsilon,
    }

    def cosine(given: Any, order: int) -> float:
        pair = {"train": given["train"], "valid": given["valid"], "eta": given["lr"]}
        found = arch_gradient(step.net, **pair, order=order, **options)
        return _cosine(_flat(found), series.longest)

    cosines = {
        "first order": cosine(probe, 1),
        "second order": cosine(probe, 2),
        "batches": float(np.mean([cosine(each, 2) for each in batches])),
        **{f"K = {k}": _cosine(found, series.longest) for k, found in series.sums.items()},
        "2ε": _cosine(again.longest, series.longest),
    }
    return Measured(epoch, series, cosines)


def measure_search(data: str, at: list[int], images: int, terms: int) -> list[Measured]:
    """Search on data, and print and return what is measured at some of the epochs."""
    config = SearchConfig.make("quick", {})
    loaded = load(data)
    task = ImageClassification(loaded.X_train, loaded.y_train)
    config = task.complete(config)
    rng = np.random.default_rng(config.seed)
    halves = task.search_data(config, rng)
    net = task.supernet(config)
    step = BilevelStep(net, alpha_lr=config.alpha_lr, **task.step_options(config))
    drawn = np.random.default_rng(config.seed + 1)
    count = halves.units * config.batch_size

    def draw(size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return drawn.permutation(count)[:size], drawn.permutation(count)[:size]

    probe = draw(images)
    batches = [draw(config.batch_size) for _ in range(BATCHES)]
    valid, found = halves.valid_batches(), []
    for epoch in range(max(at) + 1):
        if epoch in at:
            during = min(epoch, config.epochs - 1)  # whose learning rate it is
            given = [halves.inputs(*each, during) for each in (probe, *batches)]
            found.append(_measure(epoch, step, given[0], given[1:], config, terms))
            print(row(found[-1]), flush=True)
        if epoch < max(at):
            for batch in halves.batches.epoch():
                step(**halves.inputs(batch, next(valid), epoch))
    return found


def head() -> str:
    """Return the first lines of the table."""
    names = ["epoch", "largest curvature", "damping", "implicit part", "residual"]
    names += ["first order", "second order", "batches", *(f"K = {k}" for k in TERMS), "2ε"]
    return f"| {' | '.join(names)} |\n{'|--:' * len(names)}|"


def row(each: Measured) -> str:
    """Return a line of the table."""
    series = each.series
    numbers = [f"{series.curvature:.3g}", f"{series.damping:.2g}", f"{series.implicit:.2f}"]
    numbers += [f"{series.residual:.2f}", *(f"{value:.3f}" for value in each.cosines.values())]
    return f"| {each.epoch} | {' | '.join(numbers)} |"


def draw(found: list[Measured], path: Path, terms: int) -> None:
    """Draw the cosines to a file."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "pydarts", "font.size": 9})
    figure, (left, right) = pyplot.subplots(
        1, 2, figsize=(9.5, 4.2), sharey=True, layout="constrained"
    )
    epochs = [each.epoch for each in found]
    shades = pyplot.get_cmap("YlGn")(np.linspace(0.35, 0.95, len(TERMS)))
    looks: dict[str, tuple[str, Any, str]] = {
        "first order": ("o-", "C3", "first order"),
        "second order": ("o-", "C0", "second order"),
        "batches": ("s:", "C0", "second order, batches of the search"),
        "2ε": ("--", "0.5", f"{terms} terms, 2ε"),
        **{f"K = {k}": (".-", shade, f"K = {k}") for k, shade in zip(TERMS, shades, strict=True)},
    }
    for name, (line, colour, label) in looks.items():
        values = [each.cosines[name] for each in found]
        left.plot(epochs, values, line, color=colour, label=label, markersize=4)
    left.set(xlabel="epochs of the search", ylabel=f"cosine to {terms} terms", xticks=epochs)
    for each, shade in zip(
        found, pyplot.get_cmap("viridis")(np.linspace(0, 0.9, len(found))), strict=True
    ):
        values = [each.cosines["first order"], *(each.cosines[f"K = {k}"] for k in TERMS)]
        right.plot([0, *TERMS], values, ".-", color=shade, label=f"epoch {each.epoch}")
    right.set_xscale("symlog", linthresh=1)
    right.set(xlabel="terms K of the series (0: first order)", xticks=[0, *TERMS])
    right.set_xticklabels([str(k) for k in (0, *TERMS)])
    right.minorticks_off()
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(
            fontsize=7, frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.15)
        )
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main() -> None:
    """Print a Markdown table, and draw it if a file is given."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.hypergradient",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", nargs="?", default="digits", help="as of `pydarts search`")
    parser.add_argument("--at", type=int, nargs="+", default=[0, 2, 5, 10, 15], metavar="EPOCH")
    parser.add_argument("--images", type=int, default=256, help="of either half")
    parser.add_argument("--terms", type=int, default=100, help="of the long series")
    parser.add_argument("--figure", type=Path, help="file to draw to, such as figure.svg")
    args = parser.parse_args()
    if args.terms <= TERMS[-1]:
        parser.error(f"--terms (={args.terms}) must be more than {TERMS[-1]}")
    print(head())
    found = measure_search(args.data, args.at, args.images, args.terms)
    if args.figure is not None:
        draw(found, args.figure, args.terms)


if __name__ == "__main__":
    main()
