# SPDX-License-Identifier: MIT
"""Whatever is given as data: it is learned from as it is, or an error names the argument.

``PYDARTS_INPUTS=5000`` draws so many in place of 300.
"""

from __future__ import annotations

import os
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pydarts import SearchConfig, TrainConfig
from pydarts.spaces.ready import as_space
from pydarts.tasks.images import ImageClassification

COUNT = int(os.environ.get("PYDARTS_INPUTS", "100"))
DTYPES = [
    "u1",
    "i1",
    "<i2",
    ">i2",
    "i8",
    "u8",
    "f2",
    "f4",
    "f8",
    ">f4",
    "?",
    "c8",
    "O",
    "U3",
    "M8[s]",
]
SPECIAL = [np.nan, np.inf, -np.inf, 1e39, -1e39, 0.0, 255.0, 256.0, -1.0]
LABELS: list[Any] = [
    0, 1, 2, True, 1.5, "a", "b", "", b"a", None, np.nan, np.inf, (1, 2), [1], {}, np.int64(1),
    np.str_("a"), np.float32(2), object,
]  # fmt: skip
RIGHT_ERROR = re.compile(
    r"`(X|y|groups|stratify|batch_size|max_images|image_layout|split)`"
    r"|labels that the training half lacks"
)


@st.composite
def pixels(draw: st.DrawFn, count: int) -> Any:
    """Arrays, lists of arrays and other things as images or signals."""
    axes = draw(st.sampled_from([3, 4, 3, 4, 2, 1, 0, 5]))
    sides = st.sampled_from([4, 5, 6, 3, 1, 8, 2, 0])
    shape = tuple([count, *(draw(sides) for _ in range(axes - 1))][:axes])
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    if dtype.kind in "biuf":
        top = draw(st.sampled_from([2, 100, 127]))
        array = rng.integers(0, top, shape).astype(dtype)
    elif dtype.kind == "O":
        array = np.empty(shape, object)
        array[...] = draw(st.sampled_from([1, 2.5, None, "x", [1, 2]])) if array.ndim == 0 else 1
    else:
        array = np.zeros(shape, dtype)
    if dtype.kind == "f" and array.size and draw(st.booleans()):
        with np.errstate(over="ignore"):
            array.flat[rng.integers(array.size)] = draw(st.sampled_from(SPECIAL))
    form = draw(st.sampled_from(["array", "array", "array", "order", "list", "ragged", "rows"]))
    if form == "order":
        return np.asfortranarray(array)
    if form == "list":
        return array.tolist()
    if form == "ragged" and array.ndim > 1 and len(array) > 1:
        return [*array[:-1], array[-1][:-1]]
    if form == "rows" and array.ndim > 1:
        rows = np.empty(len(array), object)
        for index, item in enumerate(array):
            rows[index] = item
        return rows
    return array


@st.composite
def labels(draw: st.DrawFn, count: int) -> Any:
    """Labels, most of which can be split."""
    kind = draw(st.sampled_from(["even", "even", "even", "mixed", "one", "matrix", "no", "wrong"]))
    if kind == "even":
        names = draw(st.sampled_from([[0, 1], ["a", "b"], [1.5, -2.0], [(1, 2), "x"], [True, 3]]))
        y: Any = [names[index % 2] for index in range(count)]
        return np.array(y) if draw(st.booleans()) and not isinstance(names[0], tuple) else y
    if kind == "mixed":
        return draw(st.lists(st.sampled_from(LABELS), min_size=count, max_size=count))
    if kind == "one":
        return [draw(st.sampled_from(LABELS))] * count
    if kind == "matrix":
        return np.zeros((count, draw(st.integers(0, 3))))
    if kind == "wrong":
        return [0, 1] * draw(st.integers(0, 20))
    return draw(st.sampled_from([None, 3, "abc", b"abc", {}, np.float64(2), object()]))


@st.composite
def whatever(draw: st.DrawFn) -> tuple[Any, Any, dict[str, Any]]:
    """Data and options that say what it is; in most cases one of them is odd."""
    odd = draw(st.sampled_from(["nothing", "X", "X", "y", "y", "options", "all"]))
    count = draw(st.sampled_from([16, 17, 20] if odd != "all" else [16, 1, 2, 0]))
    space = draw(st.sampled_from(["darts", "darts", "darts-1d"]))
    options: dict[str, Any] = {"space": space}
    if odd in ("options", "all"):
        which = draw(st.sampled_from(["groups", "stratify", "split", "image_layout"]))
        if which == "groups":
            options["groups"] = draw(labels(count))
        elif which == "stratify":
            options["stratify"] = draw(st.one_of(st.booleans(), labels(count)))
        elif which == "split":
            options["split"] = draw(st.sampled_from(["time", "random", "later", None, 3]))
        else:
            options["image_layout"] = draw(st.sampled_from(["NCHW", "NHWC", "HW", 1]))
    if odd in ("X", "all"):
        X = draw(pixels(count))
    else:
        rng = np.random.default_rng(draw(st.integers(0, 99)))
        shape = (count, 9) if space == "darts-1d" else (count, 4, draw(st.sampled_from([5, 9])))
        dtype = draw(st.sampled_from(["u1", "i8", ">i2", "f2", "f4", ">f8", "?"]))
        X = rng.integers(0, 2, shape).astype(dtype) * draw(st.sampled_from([1, 3]))
    y = draw(labels(count)) if odd in ("y", "all") else np.arange(count) % 2
    return X, y, options


def check(X: Any, y: Any, options: dict[str, Any]) -> str:
    """Prepare a search and a training, and return what came of it."""
    config = SearchConfig.make("quick", {"batch_size": 2, "crop_padding": 1})
    options = options | {"space": as_space(options["space"])}
    try:
        task = ImageClassification(X, y, **options)
        data = task.search_data(config, np.random.default_rng(0))
        train = task.train_data(TrainConfig.make("quick", {"batch_size": 2, "epochs": 1}), None)  # type: ignore[arg-type]
    except (ValueError, TypeError) as error:
        assert RIGHT_ERROR.search(str(error)), repr(error)
        return type(error).__name__
    given = X if not (isinstance(X, np.ndarray) and X.dtype == object) else np.array(X.tolist())
    wanted = np.asarray(given, np.float32)
    assert task.images.dtype in (np.uint8, np.float32)
    assert task.images.ndim == 4
    assert task.images.flags.c_contiguous
    assert len(task.images) == len(wanted)
    np.testing.assert_array_equal(
        np.sort(task.images.astype(np.float32), axis=None), np.sort(wanted, axis=None)
    )
    told = y.tolist() if isinstance(y, np.ndarray) else list(y)
    assert task.labels.decode(task.codes).tolist() == told
    for x, codes in (data._train, data._valid, (train._x, train._y)):
        assert np.isfinite(x).all()
        assert x.dtype == np.float32
        assert len(x) == len(codes)
    assert len(data._train[0]) + len(data._valid[0]) == len(task.images)
    return "right"


@settings(
    max_examples=COUNT,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(whatever())
def test_right_or_a_clear_error(case: tuple[Any, Any, dict[str, Any]]) -> None:
    OUTCOMES.append(check(*case))


OUTCOMES: list[str] = []


def test_the_draws_hold_all_outcomes() -> None:
    if not OUTCOMES:
        pytest.skip("is about the draws of the test before")
    counts = {name: OUTCOMES.count(name) for name in set(OUTCOMES)}
    assert {"right", "ArgumentError", "ArgumentTypeError"} <= set(counts)
    assert counts["right"] > len(OUTCOMES) / 30
