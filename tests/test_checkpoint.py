# SPDX-License-Identifier: MIT
"""Runs that end anywhere and go on to the same bits, and files that do not fit."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nets import run_python
from runs import Interrupt, check_same_searches, halves, untimed
from safetensors import safe_open
from safetensors.numpy import save

import pydarts
from pydarts import CheckpointError, _core
from pydarts.common.environment import environment
from pydarts.tasks import text
from pydarts.training.checkpoint import read_checkpoint, write_checkpoint

TEXT = "the cat sat on the mat and the dog sat on the log\n" * 30
Search = Callable[..., Any]


def search_images(**options: Any) -> Any:
    """Search on them, with everything that draws random numbers."""
    small = {"channels": 1, "cells": 2, "batch_size": 4, "epochs": 3, "crop_padding": 1}
    return pydarts.search(*halves(), **{**small, "progress": False, "threads": 1, **options})


def search_text(**options: Any) -> Any:
    """Search on the text, with dropout; one segment in twenty is a short one."""
    small = {"hidden_size": 8, "batch_size": 8, "bptt": 12, "epochs": 2, "dropout": 0.5}
    return pydarts.search_text(TEXT, **{**small, "progress": False, "threads": 1, **options})


class Count(pydarts.Callback):
    """Count steps."""

    steps = 0

    def on_step_end(self, loop: Any, info: Any) -> None:
        self.steps += 1


class Never(pydarts.Callback):
    """Fails in a run that begins."""

    def on_start(self, loop: Any) -> None:
        raise AssertionError


CELL, RECURRENT_CELL = pydarts.DARTS_V2, pydarts.RECURRENT_DARTS_V2
NETWORK: dict[str, Any] = {"channels": 1, "cells": 2, "batch_size": 4, "epochs": 1}
#: The functions that take a folder for checkpoints.
FRONTS: dict[str, Search] = {
    "search": search_images,
    "search_text": search_text,
    "train": lambda **o: pydarts.train(CELL, *halves(), **NETWORK, **o),
    "train_text": lambda **o: pydarts.train_text(RECURRENT_CELL, TEXT, batch_size=4, **o),
    "search_many": lambda **o: pydarts.search_many(*halves(), seeds=[0], **NETWORK, **o),
    "search_many_text": lambda **o: pydarts.search_many_text(TEXT, seeds=[0], batch_size=4, **o),
    "pareto": lambda **o: pydarts.pareto(*halves(), cost="macs", limits=["1M"], **NETWORK, **o),
    "fit": lambda **o: pydarts.fit(*halves(), "1h", batch_size=4, **o),
    "compare": lambda callbacks, **o: pydarts.compare(CELL, *halves(), seeds=[0], **NETWORK, **o),
}


@pytest.fixture(scope="module", params=[search_images, search_text], ids=["images", "text"])
def search(request: pytest.FixtureRequest) -> Search:
    found: Search = request.param
    return found


@pytest.fixture(scope="module")
def whole(search: Search) -> Any:
    """Return what a search finds that nothing disturbs."""
    return search()


# Going on


@pytest.mark.parametrize("seconds", [0.0, pytest.param(1e6, marks=pytest.mark.slow)])
def test_interrupted_at_every_step(
    search: Search, whole: Any, seconds: float, tmp_path: Path
) -> None:
    # Once a step: the run loses the step whose hook was interrupted, and takes it again.
    keep = {"checkpoint": tmp_path, "checkpoint_seconds": seconds}
    steps = 0
    for step in range(1, 1000):
        result = search(callbacks=[Interrupt(step)], **keep)
        steps += 1
        if not result.interrupted:
            break
    assert steps > 6
    check_same_searches(result, whole)
    assert [entry["seconds"] for entry in result.history] == sorted(
        entry["seconds"] for entry in result.history
    )
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint.safetensors"}


def test_interrupted_at_the_end_of_an_epoch(search: Search, whole: Any, tmp_path: Path) -> None:
    first = search(callbacks=[Interrupt(epoch=1)], checkpoint=tmp_path)
    assert first.interrupted
    assert len(first.history) == 1
    check_same_searches(search(checkpoint=tmp_path), whole)


@pytest.mark.parametrize("pressed", [(3,), (3, 4)], ids=["once", "and once more"])
def test_ctrl_c_while_the_checkpoint_is_written(
    pressed: tuple[int, ...],
    search: Search,
    whole: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, calls = os.replace, []

    def replace(*arguments: Any) -> None:
        calls.append(1)
        if len(calls) in pressed:
            signal.raise_signal(signal.SIGINT)
        real(*arguments)

    monkeypatch.setattr(os, "replace", replace)
    result = search(checkpoint=tmp_path, checkpoint_seconds=0)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert result.interrupted
    assert len(calls) == 4  # the last is of the step that was under way, or of the one before
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint.safetensors"}
    check_same_searches(search(checkpoint=tmp_path), whole)


def test_a_finished_search_is_not_searched_again(
    search: Search, whole: Any, tmp_path: Path
) -> None:
    search(checkpoint=tmp_path)
    counter = Count()
    again = search(checkpoint=str(tmp_path), callbacks=[counter])
    check_same_searches(again, whole)
    assert counter.steps == 0
    search(checkpoint=tmp_path, callbacks=[counter], resume="never")
    assert counter.steps > 6


def test_threads_may_change(search: Search, whole: Any, tmp_path: Path) -> None:
    search(callbacks=[Interrupt(2)], checkpoint_seconds=0, checkpoint=tmp_path, threads=2)
    check_same_searches(search(checkpoint=tmp_path, threads=1), whole)


def test_a_stop_is_kept_with_its_cell(search: Search, tmp_path: Path) -> None:
    class Stop(pydarts.Callback):
        def on_epoch_end(self, loop: Any, entry: Any) -> None:
            loop.stop("enough", epoch=0)

    first = search(callbacks=[Stop()], checkpoint=tmp_path)
    again = search(checkpoint=tmp_path)
    assert again.stopped == "enough"
    check_same_searches(again, first)
    for name, alphas in again.alphas.items():
        np.testing.assert_array_equal(alphas, again.alpha_history[name][0])


# Training


def train_images(**options: Any) -> Any:
    """Train on the images, with everything that draws random numbers."""
    small = {"channels": 2, "cells": 3, "batch_size": 8, "epochs": 2, "drop_path": 0.3}
    small |= {"auxiliary": True, "flip": True, "threads": 1, "progress": False}
    X, y = halves()
    return pydarts.train(
        pydarts.DARTS_V2, X, y, X_valid=X[:8], y_valid=y[:8], **{**small, **options}
    )


def train_text(**options: Any) -> Any:
    """Train on the text, until the weights are averaged."""
    small = {
        "hidden_size": 8,
        "batch_size": 8,
        "bptt": 12,
        "epochs": 4,
        "dropout": 0.5,
        "patience": 1,
    }
    small |= {"lr": 90.0, "threads": 1, "progress": False}
    return pydarts.train_text(pydarts.RECURRENT_DARTS_V2, TEXT, **{**small, **options})


class Press(pydarts.Callback):
    """Press Ctrl-C after every third step."""

    def __init__(self) -> None:
        self.steps = 0

    def on_step_end(self, loop: Any, info: Any) -> None:
        self.steps += 1
        if self.steps % 3 == 0:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(("train", "epochs"), [(train_images, 2), (train_text, 2), (train_text, 4)])
def test_training_goes_on(train: Search, epochs: int, tmp_path: Path) -> None:
    whole = train(epochs=epochs)
    if train is train_text:
        losses = [entry["valid_loss"] for entry in whole.history]
        if epochs == 2:  # the weights of an earlier epoch count
            assert losses[0] < losses[1]
        else:
            assert whole.history[-1]["averaged"]
    press = Press()
    options = {"epochs": epochs, "checkpoint": tmp_path, "callbacks": [press]}
    runs = 0
    while (result := train(**options)).interrupted:
        runs += 1
        assert {path.name for path in tmp_path.iterdir()} == {"train_checkpoint.safetensors"}
    assert runs == press.steps // 3
    assert runs > 1
    theirs = result.network.state_dict()
    for name, value in whole.network.state_dict().items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)
    assert untimed(result.history) == untimed(whole.history)
    again = press.steps
    train(**options)
    assert press.steps == again
    with pytest.raises(CheckpointError, match="`lr` was"):
        train(lr=0.5, **options)


def test_left_while_the_average_is_validated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Then the average stands in the network in the place of the weights.
    whole = train_text()
    assert whole.history[3]["averaged"]
    real, calls = text.text_loss, 0

    def evaluate(net: Any, tokens: Any) -> float:
        nonlocal calls
        calls += 1
        if calls == 4:
            signal.raise_signal(signal.SIGINT)
            long = np.zeros((6000, 100), np.int32)  # Ctrl-C is seen fifty milliseconds later
            for _ in range(100):
                net.evaluate(long, long)
        return real(net, tokens)

    monkeypatch.setattr(text, "text_loss", evaluate)
    assert len(train_text(checkpoint=tmp_path).history) == 3
    assert calls == 4
    result = train_text(checkpoint=tmp_path)
    assert calls == 5
    assert untimed(result.history) == untimed(whole.history)
    theirs = result.network.state_dict()
    for name, value in whole.network.state_dict().items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


def test_the_cell_and_the_validation_images_count(tmp_path: Path) -> None:
    train_images(checkpoint=tmp_path, epochs=1)
    X, y = halves()
    options = {"channels": 2, "cells": 3, "batch_size": 8, "epochs": 1, "drop_path": 0.3}
    options |= {"auxiliary": True, "flip": True, "progress": False, "checkpoint": tmp_path}
    with pytest.raises(CheckpointError, match="other genotype"):
        pydarts.train(pydarts.DARTS_V1, X, y, X_valid=X[:8], y_valid=y[:8], **options)
    with pytest.raises(CheckpointError, match="other data"):
        pydarts.train(pydarts.DARTS_V2, X, y, **options)


# Kills. A process that has started no thread forks children that search, and kills them.

KILLS = """
import os, random, signal, stat, sys, threading, time
sys.path.insert(0, {tests!r})
from pathlib import Path
import test_checkpoint as t
from runs import check_same_searches
from tqdm import tqdm

# The default lock is one for all forked processes: one killed while holding it would stop all.
tqdm.set_lock(threading.RLock())

folder, wanted = Path(sys.argv[1]), int(sys.argv[2])
draw = random.Random(0)
search, kills, inside, whole = None, 0, 0, {{}}

def hook(left):
    # Of the third call of either, SIGKILL comes before, or after half of the file is there.
    def killing(real):
        def call(*arguments):
            nonlocal left
            left -= 1
            if left == 0:
                is_file = real is sync and stat.S_ISREG(os.fstat(arguments[0]).st_mode)
                if is_file and draw.random() < 0.5:  # folders are written through, too
                    os.ftruncate(arguments[0], os.fstat(arguments[0]).st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments)
        return call
    sync = os.fsync
    os.fsync, os.replace = killing(os.fsync), killing(os.replace)

def child(search, within):
    draw.seed(os.getpid())
    if within:
        hook(draw.randrange(1, 12))
    result = search(checkpoint=folder, checkpoint_seconds=0)
    check_same_searches(result, whole[search])

def fork(run, *arguments):
    pid = os.fork()
    if pid == 0:
        try:
            run(*arguments)
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return pid

for search in (t.search_images, t.search_text):
    started = time.perf_counter()
    whole[search] = search()
    took = time.perf_counter() - started
    finished = 0
    while kills < wanted // (2 if search is t.search_images else 1) or not finished:
        within = draw.random() < 0.5
        pid = fork(child, search, within)
        if not within:
            time.sleep(draw.uniform(0, 1.5 * took))
            os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        if os.WIFSIGNALED(status):
            kills, inside = kills + 1, inside + within
            continue
        assert status == 0
        finished += 1
        (folder / "checkpoint.safetensors").unlink()
    assert os.waitpid(fork(child, search, False), 0)[1] == 0  # to the end, and compared
    (folder / "checkpoint.safetensors").unlink()
    (folder / "finalists.json").unlink(missing_ok=True)  # over text there are none
left = [path.name for path in folder.iterdir()]
assert not left, left
print(kills, inside)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("wanted", [8, pytest.param(100, marks=pytest.mark.slow)])
def test_killed_at_any_moment(tmp_path: Path, wanted: int) -> None:
    script = KILLS.format(tests=str(Path(__file__).parent))
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), str(wanted)],
        cwd=Path(pydarts.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stderr
    kills, inside = map(int, run.stdout.split())
    assert kills >= wanted
    assert inside > wanted / 10


# What does not fit


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept")
    search_images(callbacks=[Interrupt(3)], checkpoint_seconds=0, checkpoint=folder)
    return folder / "checkpoint.safetensors"


def placed(file: Path, folder: Path, content: bytes | None = None) -> Path:
    copy = folder / file.name
    copy.write_bytes(file.read_bytes() if content is None else content)
    return copy


def test_another_configuration_is_refused_with_what_differs(file: Path, tmp_path: Path) -> None:
    copy = placed(file, tmp_path)
    with pytest.raises(CheckpointError) as caught:
        search_images(checkpoint=tmp_path, lr=0.5, epochs=7)
    text = str(caught.value)
    assert "(`epochs` was 3, is 7, `lr` was 0.025, is 0.5)" in text
    assert str(copy) in text
    assert text.endswith(": `resume`='never' begins anew")
    assert copy.read_bytes() == file.read_bytes()
    assert isinstance(caught.value, ValueError)


def test_other_data_is_refused(file: Path, tmp_path: Path) -> None:
    placed(file, tmp_path)
    X, y = halves()
    X[0, 0, 0] ^= 1
    options = {"channels": 1, "cells": 2, "batch_size": 4, "epochs": 3, "crop_padding": 1}
    with pytest.raises(CheckpointError, match="other data"):
        pydarts.search(X, y, checkpoint=tmp_path, progress=False, **options)
    with pytest.raises(CheckpointError, match="other data"):
        pydarts.search(halves()[0], 1 - y, checkpoint=tmp_path, progress=False, **options)


def test_renamed_labels_are_refused(tmp_path: Path) -> None:
    def train(y: Any) -> pydarts.Model:
        how = {"checkpoint": tmp_path, "progress": False, "threads": 1}
        return pydarts.train(CELL, halves()[0], y, **NETWORK, **how)

    names = np.where(halves()[1], "right", "left")
    train(names)
    with pytest.raises(CheckpointError, match=r"is of another run \(other labels\)"):
        train(halves()[1])
    path = tmp_path / "train_checkpoint.safetensors"
    saved = read_checkpoint(path)
    del saved.identity["outputs"]  # as in one of an earlier version
    write_checkpoint(path, saved.identity, saved.state)
    assert train(names).labels.classes == ("left", "right")


def test_of_text_is_refused(file: Path, tmp_path: Path) -> None:
    placed(file, tmp_path)
    with pytest.raises(CheckpointError, match="`hidden_size` was None, is 8"):
        search_text(checkpoint=tmp_path)


@pytest.mark.parametrize("part", [0, 1, 7, 8, 100, 0.3, 0.9, 0.999])
def test_a_cut_file_is_damaged(file: Path, part: float, tmp_path: Path) -> None:
    content = file.read_bytes()
    cut = content[: int(part * len(content)) if isinstance(part, float) else part]
    placed(file, tmp_path, cut)
    with pytest.raises(CheckpointError, match=r"checkpoint\.safetensors is damaged"):
        search_images(checkpoint=tmp_path)


def test_every_flipped_bit_is_noticed(file: Path, tmp_path: Path) -> None:
    content = file.read_bytes()
    rng = np.random.default_rng(0)
    for at in [*range(12), *rng.integers(0, len(content), 100).tolist()]:
        spoilt = bytearray(content)
        spoilt[at] ^= 1 << int(rng.integers(8))
        with pytest.raises(CheckpointError, match=r"checkpoint\.safetensors (is|has)"):
            read_checkpoint(placed(file, tmp_path, bytes(spoilt)))


def test_other_files_and_versions(file: Path, tmp_path: Path) -> None:
    other = placed(file, tmp_path, save({"a": np.zeros(3)}))
    with pytest.raises(CheckpointError, match="no checkpoint of pydarts"):
        read_checkpoint(other)
    with safe_open(file, framework="numpy") as opened:
        metadata = opened.metadata()
        arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    newer = placed(file, tmp_path, save(arrays, {**metadata, "version": "3"}))
    with pytest.raises(CheckpointError, match="has the version '3'; this pydarts reads 1 and 2"):
        read_checkpoint(newer)


def test_numbers_come_back_exactly(tmp_path: Path) -> None:
    state = {
        "a": {"b": np.array([1e-45, -0.0], np.float32), "c": 0.1 + 0.2, "d": None},
        "big": 2**127 + 1,
        "history": [{"loss": 1e-300, "genotype": "G(α='x/y')"}],
        "none": np.zeros((0, 3), np.int64),
    }
    write_checkpoint(tmp_path / "new" / "file", {"config": {"lr": 0.1}}, state)
    identity, back, _ = read_checkpoint(tmp_path / "new" / "file")
    assert identity == {"config": {"lr": 0.1}}
    assert back["none"].shape == (0, 3)
    assert back["a"].pop("b").tobytes() == state["a"].pop("b").tobytes()  # type: ignore[index]
    del back["none"], state["none"]
    assert back == state


def test_a_full_disk_leaves_what_is_there(
    search: Search, whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    search(callbacks=[Interrupt(2)], checkpoint_seconds=0, checkpoint=tmp_path)
    path = tmp_path / "checkpoint.safetensors"
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        check_same_searches(search(checkpoint=tmp_path), whole)
    assert "could not be written ([Errno 28] No space left on device)" in caplog.text
    assert path.read_bytes() == before
    assert {each.name for each in tmp_path.iterdir()} == {path.name}
    check_same_searches(search(checkpoint=tmp_path), whole)


@pytest.mark.parametrize("name", [*FRONTS])
def test_a_folder_that_cannot_be_used_is_refused_at_once(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for checkpoint, problem in (
        (tmp_path / "file", "is a file, but must be a folder"),
        (tmp_path / "file" / "run", "cannot be written to"),
        (3, r"\(=3\) must be a path"),
    ):
        with pytest.raises(pydarts.ArgumentError, match=problem) as error:
            FRONTS[name](checkpoint=checkpoint, callbacks=[Never()])
        assert error.value.argument == "checkpoint"


@pytest.mark.parametrize(
    "isa",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name != "baseline" else [])
        for name, runs in _core.instruction_sets()
        if runs
    ],
)
def test_another_instruction_set_is_told(isa: str, tmp_path: Path, caplog: Any) -> None:
    own = environment()["instruction_set"]
    script = f"""
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_checkpoint as t
t.search_images(callbacks=[t.Interrupt(3)], checkpoint_seconds=0, checkpoint={str(tmp_path)!r})
"""
    done = run_python(script, PYDARTS_ISA=isa)
    assert done.returncode == 0, done.stderr
    assert read_checkpoint(tmp_path / "checkpoint.safetensors").instruction_set == isa
    search_images(checkpoint=tmp_path)
    message = f"what began with {isa} goes on with {own}: its last bits may differ"
    assert (message in caplog.text) == (isa != own)


def test_the_file_is_only_arrays_and_json(file: Path) -> None:
    with safe_open(file, framework="numpy") as opened:
        metadata = opened.metadata()
    assert metadata["version"] == "2"
    assert json.loads(metadata["identity"])["config"]["channels"] == 1
    assert json.loads(metadata["state"])["step/steps"] == 2


@pytest.mark.parametrize(
    ("option", "match"),
    [
        ({"resume": "yes"}, r"`resume` \(='yes'\) must be 'auto' or 'never'"),
        ({"checkpoint_seconds": -1}, r"`checkpoint_seconds` \(=-1\) must be at least 0"),
        ({"time_budget": "soon"}, r"`time_budget` \(='soon'\) must be a number, such as 90, or"),
        ({"time_budget": "5 parsecs"}, r"`time_budget` \(='5 parsecs'\)"),
        ({"time_budget": 0}, r"`time_budget` \(=0\) must be more than 0"),
        ({"memory_budget": "-2GB"}, r"`memory_budget` \(='-2GB'\)"),
    ],
)
def test_bad_options(option: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        search_images(**option)
