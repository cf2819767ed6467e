# SPDX-License-Identifier: MIT
"""``python -m benchmarks.accuracy``: what a given time makes of the same images.

Each contender gets the same images of Fashion-MNIST, cores and minutes by the clock, in which all
must be done: measuring, search and training. Imports and reading the files come before the clock
starts, the test images after it has stopped, once. Each runs in a process of its own, one after the
other; a result is a line of JSON in FILE, and what is there already is not run again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pydarts
from benchmarks.quality_units import random_cell
from pydarts import _core
from pydarts.data import datasets
from pydarts.data.augmentation import Augmentation
from pydarts.data.images import as_images
from pydarts.data.normalization import Normalization
from pydarts.spaces import DARTS
from pydarts.spaces.genotype import BaseGenotype
from pydarts.spaces.published import strongest

Row = dict[str, Any]


def cell_of(seed: int) -> BaseGenotype:
    """Return a random cell, the same for two seeds of training in a row: that tells what cells
    differ by from what seeds do.
    """
    return random_cell("darts", seed // 2)


#: What `pydarts.fit` takes (functions are of the seed), or the filters of a residual network in
#: PyTorch, by name.
CONTENDERS: dict[str, dict[str, Any]] = {
    "fit": {"search": "auto"},
    "search": {"search": "always"},
    "darts-v2": {"search": "never"},
    "strongest": {"genotype": strongest(DARTS)},
    "random": {"genotype": cell_of},
    "resnet8": {"filters": (16, 32, 64)},
    "resnet8-wide": {"filters": (32, 64, 128)},
}
TITLES = {
    "fit": "`pydarts.fit`, as it chooses",
    "search": "pydarts, search and training",
    "darts-v2": "pydarts, DARTS_V2 without search",
    "strongest": "pydarts, the strongest-operation constant without search",
    "random": "pydarts, random cells without search",
    "resnet8": "PyTorch, ResNet-8 of 16-32-64 filters",
    "resnet8-wide": "PyTorch, ResNet-8 of 32-64-128 filters",
}
#: Those that run unless others are asked for: what a user could choose.
USUAL = ("fit", "search", "darts-v2", "resnet8", "resnet8-wide")
#: What makes a run; the rest of a row came of it.
SETTINGS = ("contender", "minutes", "seed", "images", "threads", "crop_padding", "flip")


def sample(x: NDArray[Any], y: NDArray[Any], count: int | None) -> tuple[Any, Any]:
    """Return so many images, drawn always alike, with their labels."""
    chosen = np.random.default_rng(0).permutation(len(x))[: count or len(x)]
    return x[chosen], y[chosen]


def run(settings: Row) -> Row:
    """Run one contender, and return its row."""
    data = datasets.load("fashion-mnist")
    assert data.X_test is not None
    assert data.y_test is not None
    x, y = sample(np.asarray(data.X_train), data.y_train, settings["images"])
    contender = CONTENDERS[settings["contender"]]
    take = _run_torch if "filters" in contender else _run_pydarts
    return settings | take(settings, contender, (x, y), (data.X_test, data.y_test))


def _run_pydarts(settings: Row, contender: dict[str, Any], train: Any, test: Any) -> Row:
    seed = settings["seed"]
    options = {name: v(seed) if callable(v) else v for name, v in contender.items()}
    start = time.perf_counter()
    model = pydarts.fit(
        train[0],
        train[1],
        60 * settings["minutes"],
        seed=seed,
        threads=settings["threads"],
        crop_padding=settings["crop_padding"],
        flip=settings["flip"],
        progress=False,
        **options,
    )
    seconds = time.perf_counter() - start
    assert model.plan is not None
    versions = {"pydarts": pydarts.__version__, "instruction set": _core.instruction_set()}
    return {
        "seconds": seconds,
        "accuracy": model.score(*test),
        "epochs": f"{len(model.history)} of {model.plan.epochs}",
        "weights": model.num_weights,
        "stopped": model.stopped,
        "plan": dataclasses.asdict(model.plan),
        "genotype": str(model.genotype),
        "versions": versions,
    }


def _run_torch(settings: Row, contender: dict[str, Any], train: Any, test: Any) -> Row:
    import torch

    from benchmarks.reference import resnet

    torch.set_num_threads(settings["threads"])
    start = time.perf_counter()
    deadline = start + 60 * settings["minutes"]
    images, y = as_images(train[0]), np.asarray(train[1])
    normalization = Normalization.fit(images)
    recipe, augment = resnet.Recipe(), Augmentation(settings["crop_padding"], settings["flip"])
    x, seed = normalization.apply(images), settings["seed"]
    net, total, steps = resnet.train(contender["filters"], x, y, augment, deadline, recipe, seed)
    seconds = time.perf_counter() - start
    per_epoch = len(x) // min(recipe.batch_size, len(x))
    tested = normalization.apply(as_images(test[0]))
    return {
        "seconds": seconds,
        "accuracy": resnet.accuracy(net, tested, np.asarray(test[1])),
        "epochs": f"{steps / per_epoch:.1f} of {total / per_epoch:.1f}",
        "weights": sum(p.numel() for p in net.parameters()),
        "stopped": None if steps == total else "the time is spent",
        "recipe": dataclasses.asdict(recipe),
        "versions": {"torch": torch.__version__},
    }


def read(path: Path) -> list[Row]:
    """Return the rows of a file; a line that was cut short is none."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def same_settings(one: Row, other: Row) -> bool:
    """Whether two rows are of the same run."""
    return all(one.get(name) == other.get(name) for name in SETTINGS)


def table(rows: Iterable[Row]) -> str:
    """Return a Markdown table, a line for each contender and time."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        key = tuple(row[name] for name in SETTINGS if name != "seed")
        groups.setdefault(key, []).append(row)
    lines = [
        "| minutes | contender | accuracy, mean (range) | seeds | weights | epochs | seconds |",
        "|--:|---|--:|--:|--:|--:|--:|",
    ]
    for group in sorted(groups.values(), key=lambda g: (g[0]["minutes"], _place(g[0]))):
        found = [100 * row["accuracy"] for row in group]
        cells = [
            f"{group[0]['minutes']:g}",
            TITLES[group[0]["contender"]],
            f"{mean(found):.2f} % ({min(found):.2f}–{max(found):.2f})",
            str(len(group)),
            _span([row["weights"] for row in group]),
            ", ".join(dict.fromkeys(row["epochs"] for row in group)),
            _span([round(row["seconds"]) for row in group]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _place(row: Row) -> int:
    return list(CONTENDERS).index(row["contender"])


def _span(values: list[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def main() -> None:
    """Run what is missing in the file, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--minutes", type=float, nargs="+", default=[5.0], metavar="X")
    parser.add_argument("--contender", nargs="+", choices=CONTENDERS, default=USUAL)
    parser.add_argument("--seeds", type=int, default=3, metavar="N")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--threads", type=int, default=2, metavar="N")
    parser.add_argument("--images", type=int, metavar="N", help="of a trial; by default all")
    parser.add_argument("--crop-padding", type=int, default=1, metavar="N", help="for all alike")
    parser.add_argument("--flip", action="store_true", help="mirror images, for all alike")
    args = parser.parse_args()
    # Seed by seed, so that what a machine's speed does over hours is spread over all.
    for seed in range(args.seeds):
        for minutes in args.minutes:
            for contender in args.contender:
                settings: Row = {"contender": contender, "minutes": minutes, "seed": seed}
                for name in ("images", "threads", "crop_padding", "flip"):
                    settings[name] = getattr(args, name)
                if any(same_settings(settings, row) for row in read(args.out)):
                    continue
                row = _in_own_process(settings)
                if "refused" not in row:
                    append(args.out, row)
    print(table(read(args.out)))


def _in_own_process(settings: Row) -> Row:
    environment = {**os.environ, "OMP_NUM_THREADS": str(settings["threads"])}
    command = [sys.executable, "-c", "from benchmarks.accuracy import serve; serve()"]
    done = subprocess.run(
        [*command, json.dumps(settings)], check=True, stdout=subprocess.PIPE, env=environment
    )
    row: Row = json.loads(done.stdout.splitlines()[-1])
    came = row.get("refused") or f"{row['accuracy']:.2%} in {row['seconds']:.0f} s"
    name = f"{row['contender']}, {row['minutes']:g} minutes, seed {row['seed']}"
    print(f"{name}: {came}", file=sys.stderr, flush=True)
    return row


def append(path: Path, row: Row) -> None:
    """Add a row to a file."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    with path.open("a", encoding="utf-8") as file:  # after a line that was cut short, a new one
        file.write(("" if text.endswith("\n") or not text else "\n") + json.dumps(row) + "\n")


def serve() -> None:
    """Run what the first argument says, and print its row, or why there is none."""
    settings: Row = json.loads(sys.argv[1])
    try:
        row = run(settings)
    except pydarts.ArgumentError as error:  # such as a time that is too short to search
        row = settings | {"refused": str(error)}
    print(json.dumps(row))


if __name__ == "__main__":
    main()
