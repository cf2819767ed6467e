# SPDX-License-Identifier: MIT
"""Time series of the UCR and UEA archives: ``python -m benchmarks.own_data``.

On sets that aeon ships, with the archives' own split: accuracy on the test part of a found network
of one-dimensional operations, of a ResNet-8 in PyTorch that is trained for as many seconds as that
one's search and training took, and of scikit-learn's random forest on the samples as they are. One
row a set; seeds are 0, 1 and 2.
"""

from __future__ import annotations

import argparse
import importlib
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pydarts
from pydarts.data import load_data
from pydarts.data.augmentation import Augmentation
from pydarts.data.normalization import Normalization

SETS = ("GunPoint", "ArrowHead", "BasicMotions")
SEEDS = (0, 1, 2)
# What both networks see of the series is changed alike.
CHANGED: dict[str, Any] = {"crop_padding": 4, "noise": 0.05}
BATCH = 8


def found_network(name: str, seed: int) -> float:
    """Search a cell on the training part, train its network, and return the test accuracy."""
    data = load_data(f"aeon:{name}")
    result = pydarts.search(
        data, space="darts-1d", batch_size=BATCH, epochs=10, seed=seed, stem="cifar", progress=False
    )
    model = pydarts.train(
        result.genotype,
        data,
        channels=8,
        cells=3,
        batch_size=BATCH,
        stem="cifar",
        seed=seed,
        progress=False,
        **CHANGED,
    )
    assert data.X_test is not None
    assert data.y_test is not None
    return float(model.score(np.asarray(data.X_test), data.y_test))


def residual_network(name: str, seed: int, seconds: float) -> float:
    """The same of a ResNet-8 of 16, 32 and 64 filters, trained for so many seconds."""
    from benchmarks.reference import resnet  # which needs torch

    data = load_data(f"aeon:{name}")
    assert data.X_test is not None
    assert data.y_test is not None
    X, X_test = (_rows(x) for x in (data.X_train, data.X_test))
    classes = np.unique(data.y_train)
    y, y_test = (np.searchsorted(classes, labels) for labels in (data.y_train, data.y_test))
    normalization = Normalization.fit(X)
    deadline = time.perf_counter() + seconds
    net, _, _ = resnet.train(
        (16, 32, 64),
        normalization.apply(X),
        y,
        Augmentation(**CHANGED),
        deadline,
        resnet.Recipe(batch_size=BATCH),
        seed,
    )
    return resnet.accuracy(net, normalization.apply(X_test), y_test)


def _rows(X: Any) -> NDArray[np.float32]:
    """Series as images (N, C, 1, L) of one row."""
    found = np.asarray(X, np.float32)
    return found.reshape(len(found), -1, 1, found.shape[-1])


def random_forest(name: str, seed: int) -> float:
    """The same of a random forest of 500 trees."""
    data = load_data(f"aeon:{name}")
    forest = importlib.import_module("sklearn.ensemble").RandomForestClassifier(500)
    forest.set_params(random_state=seed)
    assert data.X_test is not None
    assert data.y_test is not None
    rows = [np.asarray(x).reshape(len(x), -1) for x in (data.X_train, data.X_test)]
    return float(forest.fit(rows[0], data.y_train).score(rows[1], data.y_test))


def main() -> None:
    """Print a row for each set."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.own_data")
    parser.add_argument("--sets", nargs="+", default=SETS, metavar="NAME")
    names = parser.parse_args().sets
    print(
        "| set | trained on | test | found network, % | s a seed | ResNet-8, % | random forest, % |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|")
    for name in names:
        data = load_data(f"aeon:{name}")
        assert data.X_test is not None
        start = time.perf_counter()
        found = [found_network(name, seed) for seed in SEEDS]
        seconds = (time.perf_counter() - start) / len(SEEDS)
        residual = [residual_network(name, seed, seconds) for seed in SEEDS]
        forest = [random_forest(name, seed) for seed in SEEDS]
        shown = " | ".join((_shown(found), f"{seconds:.1f}", _shown(residual), _shown(forest)))
        print(f"| {name} | {len(data.X_train)} | {len(data.X_test)} | {shown} |", flush=True)


def _shown(scores: list[float]) -> str:
    percent = 100 * np.array(scores)
    return f"{percent.mean():.1f} ({percent.min():.1f} to {percent.max():.1f})"


if __name__ == "__main__":
    main()
