# SPDX-License-Identifier: MIT
"""`--task`, `--class-weight` and `--loss` on the command line, from the search to a prediction."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import TINY, TINY_TRAIN, error

from pydarts import Model
from pydarts.cli import main as cli


def arrays(count: int, seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    X = np.random.default_rng(seed).normal(size=(count, 8, 8)).astype(np.float32)
    halves = np.stack([X[:, :4].mean((1, 2)), X[:, 4:].mean((1, 2))], axis=1)
    rare = np.where(np.arange(count) % 6 == 0, "rare", "usual")
    return X, {"multilabel": (halves > 0).astype(int), "regression": 30 + halves[:, 0], "": rare}


def write(path: Path, task: str) -> str:
    (X, y), (X_test, y_test) = arrays(48, 0), arrays(20, 1)
    np.savez(path, X=X, y=y[task], X_test=X_test, y_test=y_test[task])
    return str(path)


@pytest.mark.parametrize(
    ("options", "key", "heading"),
    [
        (["--task", "multilabel"], "average_precision", "Mean average precision on 20"),
        (["--task", "regression", "--loss", "huber"], "r2", "R2 on 20"),
        (["--class-weight", "balanced"], "balanced_accuracy", "Balanced accuracy on 20"),
    ],
)
def test_from_search_to_prediction(
    options: list[str],
    key: str,
    heading: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    task = options[1] if options[0] == "--task" else ""
    data, out = write(tmp_path / "data.npz", task), tmp_path / "out"
    assert cli.main(["search", data, "--out", str(out), *options, *TINY]) == 0
    assert heading in capsys.readouterr().out
    summary = json.loads((out / "summary.json").read_text())
    assert isinstance(summary[key], float)
    assert task in ("", summary.get("task"))
    assert "accuracy" not in summary
    with (out / "history.csv").open() as file:
        assert f"valid_{key}" in next(csv.reader(file))
    assert cli.main(["report", str(out)]) == 0
    page = (out / "report.html").read_text()
    assert f"{key.replace('_', ' ').capitalize()} on test images" in page
    capsys.readouterr()

    model = Model.load(out / "model")
    scores = tmp_path / "scores.json"
    assert cli.main(["evaluate", str(out), data, "--json", str(scores)]) == 0
    assert json.loads(scores.read_text())[key] == pytest.approx(summary[key])
    table = tmp_path / "found.csv"
    assert cli.main(["predict", str(out), data, "--out", str(table), "--probabilities"]) == 0
    with table.open() as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    X = arrays(20, 1)[0]
    if task == "regression":
        assert rows[0].keys() == {"index", "label", "predicted"}
        assert [float(row["predicted"]) for row in rows] == pytest.approx(model.predict(X))
    elif task == "multilabel":
        names = {f"{kind} {k}" for k in (0, 1) for kind in ("label", "predicted")}
        assert rows[0].keys() == {"index", *names, *(f"probability of {k}" for k in (0, 1))}
        found = [[int(row[f"predicted {k}"]) for k in (0, 1)] for row in rows]
        assert found == model.predict(X).tolist()
    else:
        assert [row["predicted"] for row in rows] == model.predict(X).tolist()


def test_what_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    matrix = write(tmp_path / "matrix.npz", "multilabel")
    assert cli.main(["train", "DARTS_V2", matrix, *TINY_TRAIN]) != 0
    assert "must have one axis" in error(capsys)  # no task is guessed
    numbers = write(tmp_path / "numbers.npz", "regression")
    for options, message in (
        (["--task", "multilabel"], "matrix (N, labels)"),
        (["--class-weight", "balanced", "--task", "regression"], "--class-weight"),
        (["--loss", "mse"], "--loss (='mse') is for --task regression"),
        (["--split", "time", "--stratify"], "--stratify has no use with --split time"),
        (["--task", "regression", "--huber-delta", "0"], "--huber-delta"),
    ):
        assert cli.main(["train", "DARTS_V2", numbers, *options, *TINY_TRAIN]) != 0
        assert message in error(capsys)
