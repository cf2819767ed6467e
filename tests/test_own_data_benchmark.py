# SPDX-License-Identifier: MIT
"""The sets of `benchmarks.own_data`, its contenders but PyTorch's, and its table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import own_data
from benchmarks.own_data_contenders import CONTENDERS, _planes, random_forest, score
from benchmarks.own_data_sets import SETS, Part, digit_pairs, parts_of


def of(task: str, y: Any, y_test: Any) -> Part:
    X, X_test = (np.zeros((len(each), 6)) for each in (y, y_test))
    return Part("", X, np.asarray(y), X_test, np.asarray(y_test), {}, task)


def test_each_speaker_in_turn(tmp_path: Path) -> None:
    speaker = np.array(["eve", "bob", "eve", "amy"])
    audio = np.arange(4 * 8000).reshape(4, 8000).astype(np.int16)
    np.savez(tmp_path / "digits.npz", audio=audio, label=np.arange(4), speaker=speaker)
    for name, shape in (("digits-waveform", (1, 6000)), ("digits-log-mel", (24, 37))):
        parts = list(parts_of(name, tmp_path / "digits.npz"))
        assert [part.name for part in parts] == ["amy", "bob", "eve"]
        last = parts[-1]
        assert last.groups is not None
        assert last.groups.tolist() == ["bob", "amy"]
        assert (last.y.tolist(), last.y_test.tolist()) == ([1, 3], [0, 2])
        np.testing.assert_array_equal(last.X_test, audio[[0, 2]])
        assert _planes(last, last.X).shape == (2, 1, *shape)
    with pytest.raises(SystemExit, match="--digits"):
        list(parts_of("digits-waveform"))


def test_pairs_of_digits() -> None:
    pytest.importorskip("sklearn")
    part = digit_pairs()  # enough for some to be alike if digits were on canvases of both parts
    assert (part.X.shape, part.X_test.shape) == ((2000, 12, 20), (1000, 12, 20))
    assert set(part.y.sum(axis=1)) == {1, 2}  # of a digit that is there twice
    left = [{each[:, :10].tobytes() for each in canvases} for canvases in (part.X, part.X_test)]
    assert len(left[0]) > 1000
    assert not left[0] & left[1]
    np.testing.assert_array_equal(digit_pairs().X, part.X)


def test_signals_are_images_of_one_row() -> None:
    part = of("regression", np.zeros(3), np.zeros(2))
    assert _planes(part, part.X).shape == (3, 1, 1, 6)
    assert _planes(part, np.zeros((3, 2, 6))).shape == (3, 2, 1, 6)


def test_scores() -> None:
    classes = of("multiclass", ["a", "b"], ["a", "b", "b", "a"])
    assert score(classes, np.array(["a", "b", "a", "a"])) == (75.0,)
    labels = of("multilabel", np.eye(2), [[1, 0], [0, 1], [1, 1]])
    right = np.array([[0.9, 0.1], [0.2, 0.6], [0.7, 0.8]])
    assert score(labels, right) == (100.0, 100.0)
    average_precision, f1 = score(labels, 0.4 * right)  # ranked well, and none above a half
    assert average_precision == 100.0
    assert f1 == 0.0
    numbers = of("regression", np.zeros(2), [0.0, 2.0, 4.0])
    assert score(numbers, np.array([0.0, 2.0, 1.0])) == pytest.approx((1 - 9 / 8, 3**0.5))


@pytest.mark.parametrize("task", ["multiclass", "multilabel", "regression"])
def test_the_forest(task: str) -> None:
    pytest.importorskip("sklearn")
    X = np.random.default_rng(0).normal(size=(60, 6))
    high = X[:, :2] > 0
    y = {"multiclass": high[:, 0], "multilabel": high.astype(int)}.get(task, X[:, 0])
    part = Part("", X[:40], y[:40], X[40:], y[40:], {}, task)
    found, seconds = random_forest(part, 0, 1e-9, trees=20)
    assert seconds > 0
    assert score(part, found)[0] > (0.5 if task == "regression" else 75)


def row(contender: str, seed: int, **scores: float) -> Any:
    about = {"set": "made", "part": "", "seed": seed, "contender": contender, "budget": 3.0}
    return {**about, "learned from": 1200, "tested on": 4, "seconds": 2.9, "scores": scores}


def test_the_table() -> None:
    rows = [row("pydarts", seed, error=10.0 + seed) for seed in (0, 1)]
    rows += [row("ResNet-8", seed, error=12.0) for seed in (0, 1)]
    assert own_data.table(rows).splitlines()[2:] == [
        "| made | 1,200 | 4 | 3 | error | 10.5 (10.0 to 11.0) | **12.0** | – |"
    ]
    name = "root mean squared error"
    rows = [{**each, "scores": {name: each["scores"]["error"]}} for each in rows]
    assert "| **10.5** (10.0 to 11.0) | 12.0 |" in own_data.table(rows)


def test_the_rival_gets_the_seconds_that_ours_took(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {}

    def learn(name: str, taken: float) -> Any:
        def run(part: Part, seed: int, seconds: float) -> Any:
            given[name] = seconds
            return np.array(["a", "b"]), taken

        return run

    contenders = {"pydarts": learn("pydarts", 7.5), "ResNet-8": learn("ResNet-8", 7.6)}
    monkeypatch.setattr(own_data, "CONTENDERS", contenders)
    part = of("multiclass", ["a", "b"], ["a", "b"])
    rows = list(own_data.run("made", part, 0, 9.0, []))
    assert given == {"pydarts": 9.0, "ResNet-8": 7.5}
    assert [each["budget"] for each in rows] == [9.0, 9.0]
    assert rows[0]["scores"] == {"accuracy, %": 100.0}
    given.clear()
    rest = list(own_data.run("made", part, 0, 9.0, rows[:1]))  # what is done is not done again
    assert given == {"ResNet-8": 7.5}
    assert [each["contender"] for each in rest] == ["ResNet-8"]


def test_the_names() -> None:
    assert len(SETS) == 9
    assert next(iter(CONTENDERS)) == "pydarts"  # whose seconds the next one gets
