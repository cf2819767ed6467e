# SPDX-License-Identifier: MIT
"""What looks at a search or a training, stops it, and reports how it goes."""

from __future__ import annotations

import importlib
import struct
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import pydarts
from pydarts.methods import diagnostics
from pydarts.report.report_data import curves
from pydarts.spaces import DARTS, NAS_BENCH_201, S2, Cell, Layer, Stack
from pydarts.training.loop import TrainingLoop

TEXT = "the cat sat on the mat and the dog sat on the log\n" * 30


def search(**options: Any) -> pydarts.SearchResult:
    """Search on noise with a bright half: 4 steps an epoch."""
    X = np.random.default_rng(0).integers(0, 100, (32, 6, 6), dtype=np.uint8)
    X[::2, :, :3] += 150
    small = {"channels": 1, "cells": 2, "batch_size": 4, "epochs": 2, "alpha_lr": 0.1}
    options = {**small, "threads": 1, "progress": False, **options}
    return pydarts.search(X, np.arange(32) % 2, **options)


class Record(pydarts.Callback):
    """Write down all hooks, and stop in one of them."""

    def __init__(self, stop_at: str = "", **how: Any):
        self.calls: list[str] = []
        self.stop_at, self.how = stop_at, how

    def note(self, loop: Any, what: str) -> None:
        self.calls.append(what)
        if what == self.stop_at:
            loop.stop("seen enough", **self.how)

    def on_start(self, loop: Any) -> None:
        assert loop.history == []
        assert loop.alpha_history["normal"].shape == (1, 14, 8)
        self.note(loop, "start")

    def on_step_end(self, loop: Any, info: Any) -> None:
        assert info.train_loss > 0
        self.note(loop, f"step {loop.epoch} {loop.step} {loop.steps_done}")

    def on_epoch_end(self, loop: Any, entry: Any) -> None:
        assert entry is loop.history[-1]
        assert entry["genotype"] == str(loop.network.genotype)
        self.note(loop, f"epoch {loop.epoch}")

    def on_end(self, loop: Any, result: Any) -> None:
        assert result.supernet is loop.network
        self.note(loop, f"end {result.stopped}")


STEPS = [[f"step {epoch} {step} {4 * epoch + step}" for step in (1, 2, 3, 4)] for epoch in range(2)]


def test_hooks() -> None:
    first, second = Record(), Record()
    result = search(callbacks=[first, second])
    expected = ["start", *STEPS[0], "epoch 1", *STEPS[1], "epoch 2", "end None"]
    assert first.calls == second.calls == expected
    assert result.stopped is None


def test_stop_after_a_step() -> None:
    record = Record("step 1 2 6")
    result = search(callbacks=[record])
    assert record.calls == ["start", *STEPS[0], "epoch 1", *STEPS[1][:2], "end seen enough"]
    assert result.stopped == "seen enough"
    assert not result.interrupted
    assert len(result.history) == 1
    np.testing.assert_array_equal(result.alphas["normal"], result.supernet.alphas["normal"])
    assert "(stopped: seen enough)" in repr(result)


def test_stop_with_the_cell_of_an_earlier_epoch(tmp_path: Path) -> None:
    result = search(callbacks=[Record("epoch 2", epoch=1)])
    assert str(result.genotype) == result.history[0]["genotype"] != result.history[1]["genotype"]
    np.testing.assert_array_equal(result.alphas["normal"], result.alpha_history["normal"][1])
    assert result.supernet.genotype != result.genotype
    result.save(tmp_path)
    assert pydarts.SearchResult.load(tmp_path).genotype == result.genotype
    with pytest.raises(ValueError, match=r"`epoch` \(=3\) must lie in 0\.\.2"):
        search(callbacks=[Record("epoch 2", epoch=3)])


def test_an_error_in_a_hook_comes_through() -> None:
    class Fail(pydarts.Callback):
        def on_step_end(self, loop: Any, info: Any) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        search(callbacks=[Fail()])


# History


def test_histories_of_both_searches(tmp_path: Path) -> None:
    text = pydarts.search_text(TEXT, hidden_size=8, batch_size=8, bptt=12, epochs=2, progress=False)
    for result, groups, skip in (
        (search(), {"normal": (14, 8), "reduce": (14, 8)}, "skip_connect"),
        (text, {"recurrent": (36, 5)}, "identity"),
    ):
        assert {k: a.shape for k, a in result.alpha_history.items()} == {
            name: (3, *shape) for name, shape in groups.items()
        }
        fresh = type(result.supernet)(*sizes(result), seed=0)
        for name in groups:
            np.testing.assert_array_equal(result.alpha_history[name][0], fresh.alphas[name])
            np.testing.assert_array_equal(result.alpha_history[name][-1], result.alphas[name])
        for number, entry in enumerate(result.history, 1):
            alphas = {name: a[number] for name, a in result.alpha_history.items()}
            assert entry["genotype"] == str(type(result.genotype).derive(alphas))
            normal = entry["genotype"].partition("concat")[0]
            assert entry["skips"] == normal.count(skip)
            assert entry["eigenvalue"] is None
            assert entry["alpha_gradient_norm"] > 0
            for name, values in diagnostics.entropies(alphas, result.space).items():
                assert entry[f"alpha_entropy_{name}"] == values
        folder = tmp_path / skip
        result.save(folder)
        loaded = type(result).load(folder)
        assert loaded.history == result.history
        assert loaded.config == result.config
        assert loaded.genotype == result.genotype
        assert loaded.supernet is None
        assert repr(loaded).splitlines()[-1] == repr(result).splitlines()[-1]
        for name in groups:
            np.testing.assert_array_equal(loaded.alpha_history[name], result.alpha_history[name])


def test_stationarity_is_the_epoch_beside_the_first() -> None:
    steps = Norms()
    result = search(epochs=3, callbacks=[steps])
    for number, entry in enumerate(result.history):
        for column, norm in enumerate(("gradient_norm", "alpha_gradient_norm")):
            assert entry[norm] == pytest.approx(np.mean(steps.seen[number], axis=0)[column])
        for name, norm in (("weights", "gradient_norm"), ("alphas", "alpha_gradient_norm")):
            expected = entry[norm] / result.history[0][norm]
            assert entry[f"stationarity_{name}"] == expected
    assert result.history[0]["stationarity_weights"] == 1
    assert result.history[2]["stationarity_weights"] != 1
    drawn = {curve.title: curve.lines for curve in curves(result.history)}
    assert drawn["Gradient norms relative to the first epoch"] == {
        name: [entry[f"stationarity_{column}"] for entry in result.history]
        for name, column in (("weights", "weights"), ("α", "alphas"))
    }
    still = search(method="fixed").history[-1]
    assert still["stationarity_alphas"] is None
    assert still["stationarity_weights"] > 0


class Norms(pydarts.Callback):
    """Keep both norms of each step, epoch by epoch."""

    def on_start(self, loop: Any) -> None:
        self.seen: list[list[tuple[float, float]]] = [[]]

    def on_step_end(self, loop: Any, info: Any) -> None:
        self.seen[-1].append((info.gradient_norm, info.alpha_gradient_norm))

    def on_epoch_end(self, loop: Any, entry: Any) -> None:
        self.seen.append([])


def sizes(result: Any) -> tuple[int, ...]:
    """Return what the supernet of a result was made with."""
    if isinstance(result.supernet, pydarts.Supernet):
        return 1, 2, 2, 1
    return result.supernet.vocab_size, 8


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("result.json", "{"),
        ("result.json", '{"format": "pydarts-result", "version": 3}'),
        (
            "result.json",
            '{"format": "pydarts-result", "version": 2, "space": "darts", "interrupted": false,'
            ' "stopped": null, "seconds": 1, "config": {"preset": "quick", "channels": -1}}',
        ),
        ("history.csv", "epoch,valid_loss\n1,1\n2,1\n3,1\n"),
        ("alphas.npz", "no archive"),
        ("alpha_history.npz", None),
    ],
)
def test_damaged_files_are_named(name: str, content: str | None, tmp_path: Path) -> None:
    search(epochs=1).save(tmp_path)
    if content is None:
        (tmp_path / name).unlink()
        with pytest.raises(FileNotFoundError, match=name):
            pydarts.SearchResult.load(tmp_path)
        return
    (tmp_path / name).write_text(content)
    broken = "alpha_history.npz" if name == "history.csv" else name
    how = "is damaged: File is not a zip file" if name == "alphas.npz" else "cannot be read"
    with pytest.raises(ValueError, match=f"{broken} {how}"):
        pydarts.SearchResult.load(tmp_path)


def test_to_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    result = search()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pandas", None)
        with pytest.raises(ImportError, match="`to_frame` needs pandas"):
            result.to_frame()
    pytest.importorskip("pandas")
    frame = result.to_frame()
    assert frame["valid_loss"].tolist() == [entry["valid_loss"] for entry in result.history]
    assert list(frame.columns) == list(result.history[0])


# Diagnostics


def test_entropy() -> None:
    sure = np.zeros((2, 5))
    sure[:, 3] = 1000
    even = {cell.name: np.full((14, 8), 7.0) for cell in DARTS.cells}
    assert diagnostics.entropies(even, DARTS) == pytest.approx(dict.fromkeys(even, np.log(8)))
    assert diagnostics.entropies({"normal": sure}, NAS_BENCH_201)["normal"] == 0
    mixed = np.log([[0.25, 0.75], [0.5, 0.5]])
    found = diagnostics.entropies({"normal": mixed}, S2)["normal"]
    edge = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    assert found == pytest.approx((edge + np.log(2)) / 2)


def test_entropy_where_an_edge_has_fewer_operations() -> None:
    one, two = DARTS.operations[3], DARTS.operations[4]
    cell = Cell("normal", nodes=1, edges=[[one, two], [two]])
    space = S2.replace(name="by-edge", cells=[cell], stack=Stack([Layer("normal", until="1/1")]))
    found = diagnostics.entropies({"normal": np.array([[1.0, 1.0], [3.0, 1000.0]])}, space)
    assert found["normal"] == pytest.approx(np.log(2) / 2)


@pytest.mark.parametrize("dominant", [3.0, -3.0])
def test_dominant_eigenvalue_of_a_matrix(dominant: float) -> None:
    values = np.array([dominant, 1.0, -0.5, 0.1])
    basis = np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))[0]
    hessian = basis @ np.diag(values) @ basis.T
    at = np.arange(4.0)
    found = diagnostics.dominant_eigenvalue(lambda a: hessian @ a, at, tolerance=1e-9)
    assert found == pytest.approx(dominant, rel=1e-6)
    assert diagnostics.dominant_eigenvalue(lambda a: 0 * a, at) == 0


@pytest.mark.slow
def test_dominant_eigenvalue_of_a_supernet() -> None:
    # Against the eigenvalues of the whole Hessian, column by column, in double precision.
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(8, 1, 6, 6)), np.arange(8) % 2
    net = pydarts.Supernet(1, 2, 2, 1, dtype="float64", threads=1)
    net.set_alphas({name: rng.normal(size=a.shape) for name, a in net.alphas.items()})

    def gradient(flat: Any) -> Any:
        net.flat_alphas[:] = flat
        grads = net.loss_and_grads(X, y, wrt="alphas")[1]["alphas"]
        return np.concatenate([part.ravel() for part in grads.values()])

    at = np.array(net.flat_alphas)
    step = 1e-5
    columns = [
        (gradient(at + step * e) - gradient(at - step * e)) / (2 * step) for e in np.eye(at.size)
    ]
    values = np.linalg.eigvalsh((np.stack(columns) + np.stack(columns).T) / 2)
    exact = max(values, key=abs)
    found = diagnostics.dominant_eigenvalue(
        gradient, at, epsilon=1e-4, tolerance=1e-6, iterations=2000
    )
    assert found == pytest.approx(exact, rel=1e-3)


def test_the_eigenvalue_leaves_no_trace() -> None:
    plain, watched = search(), search(eigenvalue=True)
    assert all(isinstance(entry["eigenvalue"], float) for entry in watched.history)
    for name, value in plain.supernet.state().items():
        np.testing.assert_array_equal(value, watched.supernet.state()[name])
    options = {"hidden_size": 8, "batch_size": 8, "bptt": 12, "epochs": 1, "dropout": 0.5}
    texts = [
        pydarts.search_text(TEXT, eigenvalue=wanted, progress=False, **options)
        for wanted in (False, True)
    ]
    assert texts[1].history[0]["eigenvalue"] is not None
    for name, value in texts[0].supernet.state().items():
        np.testing.assert_array_equal(value, texts[1].supernet.state()[name])


# Stopping


def run(callback: pydarts.Callback, key: str, values: list[Any]) -> tuple[int | None, int | None]:
    """Show a callback a history; return the epoch at which it stops, and that of the cell."""
    stopped: list[Any] = []
    seen = SimpleNamespace(
        history=[],
        epoch=0,
        space=pydarts.DARTS_V2.space,
        stop=lambda reason, epoch=None: stopped.append((reason, epoch)),
    )
    for value in values:
        entry = {"epoch": seen.epoch + 1, key: value, "genotype": "G"}
        seen.epoch += 1
        seen.history = [*seen.history, entry]
        callback.on_epoch_end(seen, entry)  # type: ignore[arg-type]
        if stopped:
            return seen.epoch, stopped[0][1]
    return None, None


@pytest.mark.parametrize(
    ("options", "key", "values", "stops"),
    [
        ({"patience": 2}, "valid_loss", [3, 2, 2.5, 2.5, 1], 4),
        ({"patience": 2}, "valid_loss", [3, 2, 2.5, 1.9, 2, 1.8], None),
        ({"patience": 1}, "valid_loss", [3, 3], 2),
        ({"patience": 2, "min_delta": 0.5}, "valid_loss", [3, 2.8, 2.6, 1], 3),
        ({"patience": 2, "monitor": "valid_accuracy"}, "valid_accuracy", [0.1, 0.2, 0.2, 0.1], 4),
        ({"patience": 2, "monitor": "valid_accuracy"}, "valid_accuracy", [0.1, 0.2, 0.3], None),
        ({"patience": 1, "monitor": "skips"}, "skips", [1, 2], 2),
    ],
)
def test_early_stopping(
    options: dict[str, Any], key: str, values: list[float], stops: int | None
) -> None:
    assert run(pydarts.EarlyStopping(**options), key, values) == (stops, None)


def test_early_stopping_of_a_search() -> None:
    # Nothing is an improvement.
    result = search(epochs=9, callbacks=[pydarts.EarlyStopping(patience=2, min_delta=1e9)])
    assert result.stopped == "valid_loss has not improved for 2 epochs"
    assert len(result.history) == 3
    with pytest.raises(ValueError, match=r"`monitor` \(='loss'\) must be one of epoch, lr, train_"):
        search(callbacks=[pydarts.EarlyStopping("loss")])


def test_stop_on_skip_collapse(monkeypatch: pytest.MonkeyPatch) -> None:
    callback = pydarts.StopOnSkipCollapse()
    assert run(callback, "skips", [0, 2, 2, 3]) == (4, 3)
    assert run(callback, "skips", [3]) == (1, 0)
    assert run(callback, "skips", [2, 2, 2]) == (None, None)
    assert run(pydarts.StopOnSkipCollapse(limit=0), "skips", [0, 1]) == (2, 1)
    counts = iter([1, 3])
    monkeypatch.setattr(type(pydarts.DARTS_V2.space), "count_skips", lambda *_: next(counts))
    result = search(callbacks=[callback], epochs=5)
    assert len(result.history) == 2
    assert str(result.genotype) == result.history[0]["genotype"] != result.history[1]["genotype"]
    assert "the normal cell has 3 skips after epoch 2, more than 2" in str(result.stopped)


def test_eigenvalue_stopping() -> None:
    callback = pydarts.EigenvalueStopping()
    flat = [1.0] * 10
    assert run(callback, "eigenvalue", flat) == (None, None)
    # After epoch 11 the means are (4 + x) / 5 and 1: more than 1.3 from x = 2.5 on.
    assert run(callback, "eigenvalue", [*flat, 2.5]) == (None, None)
    assert run(callback, "eigenvalue", [*flat, 2.51]) == (11, 6)
    assert run(callback, "eigenvalue", [1.0] * 5 + [2.0] * 5) == (10, 5)
    late = pydarts.EigenvalueStopping(from_epoch=12)
    assert run(late, "eigenvalue", [1.0] * 5 + [2.0] * 7) == (12, 7)
    short = pydarts.EigenvalueStopping(window=1, factor=2, from_epoch=1)
    assert run(short, "eigenvalue", [1, 2, 4.1]) == (3, 2)
    assert run(short, "eigenvalue", [-1, 2]) == (None, None)  # no ratio
    assert run(short, "eigenvalue", [None, None, 1, 3]) == (4, 3)  # not asked for before
    result = search(epochs=3, callbacks=[short])
    assert all(entry["eigenvalue"] is not None for entry in result.history)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: pydarts.EarlyStopping(patience=0), r"`patience` \(=0\)"),
        (lambda: pydarts.EarlyStopping(min_delta=-1), r"`min_delta` \(=-1\)"),
        (lambda: pydarts.StopOnSkipCollapse(-1), r"`limit` \(=-1\)"),
        (lambda: pydarts.EigenvalueStopping(window=0), r"`window` \(=0\)"),
        (lambda: pydarts.EigenvalueStopping(factor=0.9), r"`factor` \(=0\.9\)"),
    ],
)
def test_bad_options(make: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make()


def test_what_is_no_callback() -> None:
    for given in (pydarts.StopOnSkipCollapse(), [pydarts.StopOnSkipCollapse], None):
        with pytest.raises(TypeError, match=r"`callbacks` \(=.*\) must be a list"):
            search(callbacks=given)


# TensorBoard


def events(folder: Path) -> list[Any]:
    """Return the events of all files, in the order in which they were written."""
    event_pb2 = importlib.import_module("tensorboardX.proto.event_pb2")
    found = []
    for path in sorted(folder.iterdir()):
        data, at = path.read_bytes(), 0
        while at < len(data):  # length, its checksum, event, its checksum
            (length,) = struct.unpack_from("<Q", data, at)
            found.append(event_pb2.Event.FromString(data[at + 12 : at + 12 + length]))
            at += 16 + length
    return found


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    result = search(callbacks=[pydarts.TensorBoard(tmp_path)])
    scalars: dict[str, list[tuple[int, float]]] = {}
    for event in events(tmp_path):
        for value in event.summary.value:
            if value.HasField("simple_value"):
                scalars.setdefault(value.tag, []).append((event.step, value.simple_value))
    losses = [(4 * entry["epoch"], entry["valid_loss"]) for entry in result.history]
    assert scalars["epoch/valid_loss"] == [(step, pytest.approx(loss)) for step, loss in losses]
    assert [step for step, _ in scalars["step/train_loss"]] == list(range(1, 9))
    first = np.mean([loss for _, loss in scalars["step/train_loss"][:4]])
    assert first == pytest.approx(result.history[0]["train_loss"])
    assert "epoch/skips" in scalars
    assert "epoch/eigenvalue" not in scalars


def test_tensorboard_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")

    class Break(pydarts.Callback):
        def on_step_end(self, loop: Any, info: Any) -> None:
            if loop.steps_done == 7:
                raise KeyboardInterrupt

    log, kept = tmp_path / "log", tmp_path / "kept"
    search(callbacks=[pydarts.TensorBoard(log), Break()], checkpoint=kept)
    search(callbacks=[pydarts.TensorBoard(log)], checkpoint=kept)
    # What a reader keeps: a start drops what was written before from its step on.
    steps: list[int] = []
    for event in events(log):
        if event.HasField("session_log") and event.session_log.status == 1:
            steps = [step for step in steps if step < event.step]
        steps += [event.step for value in event.summary.value if value.tag == "step/train_loss"]
    assert steps == list(range(1, 9))


def test_tensorboard_is_of_the_first_rank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboardX")
    monkeypatch.setattr(TrainingLoop, "of_first_rank", False)
    search(callbacks=[pydarts.TensorBoard(tmp_path / "log")])
    assert not (tmp_path / "log").exists()


def test_tensorboard_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r"pydarts-nas\[tensorboard\]"):
        pydarts.TensorBoard("log")


def test_early_stopping_leaves_out_what_was_not_measured() -> None:
    seen = []
    stopping = pydarts.EarlyStopping("eigenvalue", patience=2)
    loop: Any = SimpleNamespace(history=[], stop=lambda reason: seen.append(reason))
    for value in (1.0, None, 2.0, None, 3.0):
        loop.history.append({"epoch": 1, "eigenvalue": value})
        stopping.on_epoch_end(loop, loop.history[-1])
    assert len(seen) == 1
    loop.history = [{"epoch": 1, "eigenvalue": None}]
    with pytest.raises(ValueError, match=r"`monitor` \(='eigenvalue'\) must be one of epoch"):
        stopping.on_epoch_end(loop, loop.history[0])
