# SPDX-License-Identifier: MIT
"""Data sets that give their samples one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pydarts.data import load_data, map_style
from pydarts.data.lazy import LazyArray
from pydarts.data.map_style import is_map_style, read_samples

X = np.random.default_rng(0).integers(0, 256, (9, 5, 6), dtype=np.uint8)


class Samples:
    """Gives what a function makes of an index."""

    def __init__(self, make: Any, count: int = 9):
        self.make, self.count = make, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return self.make(index)


@pytest.mark.parametrize(
    "make",
    [
        lambda i: (X[i], i % 2),
        lambda i: [X[i].tolist(), np.int64(i % 2)],
        lambda i: {"image": X[i], "label": i % 2},
        lambda i: {"img": X[i], "y": np.array(i % 2), "id": i},
        lambda i: {"pixel_values": X[i], "labels": i % 2},
    ],
)
def test_forms_of_items(make: Any) -> None:
    found = read_samples(Samples(make))
    np.testing.assert_array_equal(found.X, X)
    assert found.y.tolist() == [i % 2 for i in range(9)]
    assert found.notes == []


@pytest.mark.slow
def test_tensors() -> None:
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.tensor(X), torch.arange(9) % 2)
    found = read_samples(data)
    np.testing.assert_array_equal(found.X, X)
    assert found.y.tolist() == [i % 2 for i in range(9)]
    assert found.X.dtype == np.uint8


def test_kinds_of_targets() -> None:
    assert read_samples(Samples(lambda i: (X[i], "ab"[i % 2]))).y.dtype.kind == "U"
    assert read_samples(Samples(lambda i: (X[i], np.eye(3)[i % 3]))).y.shape == (9, 3)
    mixed = read_samples(Samples(lambda i: (X[i], [1, "x", (2, 3)][i % 3]))).y
    assert mixed.dtype == object
    assert mixed.tolist()[:3] == [1, "x", (2, 3)]
    both = read_samples(Samples(lambda i: (X[i] / np.float32(2) if i else X[i], 0))).X
    assert both.dtype == np.float32
    np.testing.assert_array_equal(both[1:], X[1:] / np.float32(2))


def broken(index: int) -> Any:
    if index == 2:
        raise KeyError("lost")
    if index == 5:
        return X[index, 1:], 0
    if index == 7:
        return {"image": X[index], "img": X[index], "label": 1}
    return 3 if index == 8 else (X[index], 0)


def test_bad_items_are_named_together_or_left_out(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match="4 of 9 items cannot be used") as error:
        load_data(Samples(broken))
    for name in ("item 2: KeyError: 'lost'", r"item 5: ValueError: has the shape (4, 6)", "item 7"):
        assert name in str(error.value)
    assert "item 8" in str(error.value)
    data = load_data(Samples(broken), on_bad="skip")
    np.testing.assert_array_equal(data.X_train, X[[0, 1, 3, 4, 6]])
    assert "4 of 9 items" in caplog.text
    with pytest.raises(ValueError, match="is empty"):
        load_data(Samples(broken, 0))


def test_large_ones_are_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_style, "CACHE_BYTES", 100)  # of three
    asked: list[int] = []

    def make(index: int) -> Any:
        asked.append(index)
        if index == 1:
            raise ValueError("bad")
        return X[index], index % 2

    found = read_samples(Samples(make), "skip")
    assert isinstance(found.X, LazyArray)
    asked.clear()
    np.testing.assert_array_equal(found.X[[1, 0]], X[[2, 0]])
    assert asked == [2, 0]


def test_what_is_a_data_set() -> None:
    for value in (Samples(broken), [1], (1,), range(3)):
        assert is_map_style(value)
    for value in (X, "ab", b"a", {}, 3, None, (i for i in ()), np.float64(1)):
        assert not is_map_style(value)
