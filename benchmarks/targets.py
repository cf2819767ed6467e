# SPDX-License-Identifier: MIT
"""Numbers and several labels: what `pydarts.fit` makes of a minute, beside a random forest.

    python -m benchmarks.targets tecator digit-pairs [--seconds 60] [--seeds 0 1 2]

``tecator``: the fat content of 215 pieces of meat by their spectra of 100 bands, from sktime, which
ships it with its split (172 to learn from, 43 to test on). ``digit-pairs`` is made: two of
scikit-learn's digits side by side on a canvas of 12x20 pixels, each somewhere in its half; what is
to be told is which digits there are. No digit is on a canvas to learn from and on one to test on.
"""

from __future__ import annotations

import argparse
import time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import pydarts

Array = NDArray[Any]


class Data(NamedTuple):
    """A set, and what it is for."""

    task: str
    space: str
    X: Array
    y: Array
    X_test: Array
    y_test: Array


def tecator() -> Data:
    """The spectra of sktime."""
    from sktime.datasets import load_tecator

    parts = [load_tecator(split=split, return_type="numpy3d") for split in ("train", "test")]
    (X, y), (X_test, y_test) = ((x[:, 0], np.asarray(y, np.float64)) for x, y in parts)
    return Data("regression", "darts-1d", X, y, X_test, y_test)


def digit_pairs(count: int = 2000, test: int = 1000) -> Data:
    """Canvases with two digits each, the same whatever the seed."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(images))
    half = 2 * len(order) // 3

    def canvases(source: Array, number: int) -> tuple[Array, Array]:
        X, y = np.zeros((number, 12, 20), np.float32), np.zeros((number, 10), int)
        for i in range(number):
            for side, digit in enumerate(rng.choice(source, 2)):
                top, left = rng.integers(0, 5), 10 * side + rng.integers(0, 3)
                X[i, top : top + 8, left : left + 8] = images[digit]
                y[i, labels[digit]] = 1
        return X, y

    return Data(
        "multilabel", "darts", *canvases(order[:half], count), *canvases(order[half:], test)
    )


SETS = {"tecator": tecator, "digit-pairs": digit_pairs}


def forest(data: Data, seed: int) -> tuple[Any, float]:
    """Scores of a random forest of 500 trees on the raw numbers, and its seconds."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    from pydarts.models.scores import LabelScores, RegressionScores

    started = time.perf_counter()
    kind = RandomForestRegressor if data.task == "regression" else RandomForestClassifier
    model = kind(500, random_state=seed, n_jobs=-1)
    rows, tests = (x.reshape(len(x), -1) for x in (data.X, data.X_test))
    model.fit(rows, data.y)
    seconds = time.perf_counter() - started
    if data.task == "regression":
        found = model.predict(tests)
        return RegressionScores.of((0,), data.y_test[:, np.newaxis], found[:, np.newaxis]), seconds
    odds = np.stack([p[:, 1] for p in model.predict_proba(tests)], axis=1)
    names = tuple(range(data.y.shape[1]))
    return LabelScores.of(names, data.y_test > 0, odds - 0.5), seconds


def describe(scores: Any) -> str:
    """The measures of a task."""
    if hasattr(scores, "r2"):
        error = scores.root_mean_squared_errors[0]
        return f"R2 {scores.r2:.3f}, root mean squared error {error:.2f}"
    text = f"mean average precision {scores.average_precision:.1%}, F1 {scores.f1:.1%}"
    return f"{text}, all labels right {scores.subset_accuracy:.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sets", nargs="+", choices=SETS)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    args = parser.parse_args()
    for name in args.sets:
        data = SETS[name]()
        print(f"{name}: {len(data.X)} to learn from, {len(data.X_test)} to test on", flush=True)
        for seed in args.seeds:
            scores, seconds = forest(data, seed)
            print(f"  seed {seed}: forest in {seconds:.0f} s: {describe(scores)}", flush=True)
            model = pydarts.fit(
                data.X,
                data.y,
                args.seconds,
                task=data.task,
                space=data.space,
                search="never",
                seed=seed,
                progress=False,
            )
            plan = model.plan
            assert plan is not None
            text = f"{model.num_weights:,} weights, {plan.epochs} epochs"
            told = describe(model.evaluate(data.X_test, data.y_test))
            print(
                f"  seed {seed}: pydarts.fit in {args.seconds:.0f} s ({text}): {told}", flush=True
            )


if __name__ == "__main__":
    main()
