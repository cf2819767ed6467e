# SPDX-License-Identifier: MIT
"""Independent work side by side: the same results with any number of workers, also lost ones."""

from __future__ import annotations

import logging
import math
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pydarts
from pydarts.common.jobs import MAX_LOST, Jobs, LostWorker
from pydarts.evaluation import trade_off, trials
from tests.test_many import TEXT, AtOnce
from tests.test_pareto import LIMITS, TARGET

posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
DOCS = Path(__file__).parent.parent / "docs"
RNG = np.random.default_rng(0)
X = RNG.integers(0, 100, (40, 8, 8), dtype=np.uint8)
X[::2, :, :4] += 100
Y = np.arange(40) % 2
SMALL: dict[str, Any] = {"channels": 1, "cells": 2, "batch_size": 4, "epochs": 1}
WORDS: dict[str, Any] = {"hidden_size": 4, "batch_size": 2, "bptt": 5, "epochs": 1}
QUIET: dict[str, Any] = {"progress": False}


class Backwards(Executor):
    """Runs jobs when asked for several, the last one first."""

    def __init__(self, count: int) -> None:
        self.count, self.jobs = count, list[Any]()

    def submit(self, call: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.jobs.append((future, call, args))
        if len(self.jobs) == self.count:
            for late, run, given in reversed(self.jobs):
                late.set_result(run(*given))
            self.jobs = []
        return future


def compare(executor: Any, **options: Any) -> pydarts.Comparison:
    given = {"seeds": [1, 0], "random_cells": 1, **SMALL, **QUIET, "executor": executor}
    return pydarts.compare(pydarts.DARTS_V2, X, Y, **given, **options)


def test_a_comparison_is_the_same_in_any_order(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    alone = compare(None, threads=1, checkpoint=here)
    for executor in (AtOnce(), Backwards(4)):
        found = compare(executor, checkpoint=there, resume="never")
        assert [cell.scores for cell in found.cells] == [cell.scores for cell in alone.cells]
        assert [list(cell.scores) for cell in found.cells] == [[1, 0], [1, 0]]
        assert (there / "compare.json").read_bytes() == (here / "compare.json").read_bytes()
    # Of what is there nothing is done again.
    again = compare(Backwards(99), checkpoint=there)
    assert repr(again) == repr(alone)


def test_workers_have_one_thread_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def watched(task: Any, *_: Any) -> Any:
        asked.append(task.threads)
        raise ArithmeticError

    monkeypatch.setattr(trials, "train_once", watched)
    with ThreadPoolExecutor(1) as executor:
        for given, threads in ((executor, None), (executor, 2), (None, None)):
            with pytest.raises(ArithmeticError):
                compare(given, threads=threads)
    assert sorted(set(asked), key=str) == [1, 2, None]


def test_random_search_is_the_same_in_any_order() -> None:
    alone = pydarts.random_search(X, Y, k=3, **SMALL, **QUIET, threads=1)
    found = pydarts.random_search(X, Y, k=3, **SMALL, **QUIET, executor=Backwards(3))
    assert found.candidates == alone.candidates


def test_text_is_the_same_in_any_order() -> None:
    options = {**WORDS, **QUIET, "threads": 1}
    alone = pydarts.random_search_text(TEXT, k=2, **options)
    found = pydarts.random_search_text(TEXT, k=2, **options, executor=Backwards(2))
    assert found.candidates == alone.candidates
    cell = pydarts.RECURRENT_DARTS_V2
    several = {**options, "seeds": [0], "random_cells": 1}
    here = pydarts.compare_text(cell, TEXT, **several)
    there = pydarts.compare_text(cell, TEXT, **several, executor=Backwards(2))
    assert [cell.scores for cell in there.cells] == [cell.scores for cell in here.cells]


def curve(executor: Any, folder: Path | None = None) -> Any:
    given = {**SMALL, "order": 1, "limits": LIMITS, "cost": "macs", "target": TARGET}
    given |= {"random_cells": 1, "checkpoint": folder, "executor": executor, **QUIET}
    return pydarts.pareto(X, Y, **given)


def told(found: Any) -> list[tuple[Any, ...]]:
    """Of the rows of a curve what does not depend on the moment."""
    return [(row.kind, row.limit, str(row.genotype), row.accuracy, row.macs) for row in found.rows]


@pytest.mark.slow
def test_a_curve_is_the_same_with_any_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = curve(None)
    measured = []
    measure = trade_off.measure_genotypes

    def counted(genotypes: Any, *more: Any) -> Any:
        measured.append(str(genotypes[0]))
        return measure(genotypes, *more)

    monkeypatch.setattr(trade_off, "measure_genotypes", counted)
    with ThreadPoolExecutor(3) as executor:
        found = curve(executor, tmp_path)
    assert told(found) == told(alone)
    assert found.complete
    assert len(measured) == 10  # also when the workers are done
    assert told(trade_off.TradeOff.load(tmp_path / trade_off.PARETO)) == told(alone)
    assert pydarts.SearchResult.load(tmp_path / "limit-1").genotype == found.rows[2].genotype
    again = curve(Backwards(99), tmp_path)
    assert again.complete
    assert told(again) == told(alone)


def test_the_executor_of_a_client_is_taken() -> None:
    class Client(AtOnce):
        def get_executor(self) -> Executor:
            return AtOnce()

        def submit(self, *_: Any, **__: Any) -> Any:
            raise AssertionError

    with Jobs(Client()) as jobs:
        jobs.submit("key", abs, -3)
        ((key, future),) = jobs
    assert (key, future.result()) == ("key", 3)


def test_what_is_no_executor() -> None:
    for value in (True, "2", 1.5):
        with pytest.raises(TypeError, match=r"`executor` \(=.* must be a number of processes"):
            compare(value)
    with pytest.raises(ValueError, match=r"`executor` \(=0\) must be at least 1"):
        compare(0)


# Processes


def where(number: int) -> tuple[int, int]:
    return number, os.getpid()


def deadly(folder: Path, times: int) -> int:
    """End the process that runs this, the first so many times."""
    lost = len(list(folder.iterdir()))
    if lost < times:
        (folder / str(lost)).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return lost


@pytest.mark.slow
@posix
@pytest.mark.usefixtures("checkout_in_processes")
def test_a_process_that_is_lost_costs_others_nothing(tmp_path: Path) -> None:
    (tmp_path / "once").mkdir()
    (tmp_path / "always").mkdir()
    started: list[Any] = []
    with Jobs(2, started.append) as jobs:
        jobs.submit("once", deadly, tmp_path / "once", 1)
        jobs.submit("always", deadly, tmp_path / "always", 99)
        for number in range(3):
            jobs.submit(number, where, number)
        outcomes = dict(jobs)
    assert outcomes["once"].result() == 1
    with pytest.raises(LostWorker, match=f"{MAX_LOST} processes were lost"):
        outcomes["always"].result()
    processes = [outcomes[number].result() for number in range(3)]
    assert [number for number, _ in processes] == [0, 1, 2]
    assert os.getpid() not in {process for _, process in processes}
    assert started.count("always") == MAX_LOST


@pytest.mark.slow
@posix
@pytest.mark.usefixtures("checkout_in_processes")
def test_a_process_that_is_lost_while_idle_is_replaced() -> None:
    with Jobs(1) as jobs:
        jobs.submit("first", where, 0)
        ((_, first),) = jobs
        for attempt in range(2):
            process = jobs._idle[0]
            os.kill(next(iter(process._processes)), signal.SIGKILL)
            while attempt and not process._broken:  # once before it is noticed, once after
                time.sleep(0.01)
            jobs.submit(attempt, where, attempt)
            ((_, second),) = jobs
            assert second.result()[0] == attempt
    assert first.result()[1] != second.result()[1]


KILLED = """
import time
from pydarts.common.jobs import Jobs
with Jobs(1) as jobs:
    jobs.submit("short", time.sleep, 0)
    for key, future in jobs:
        if key == "short":
            print("works", flush=True)
            jobs.submit("long", time.sleep, 600)
"""


@pytest.mark.slow
@posix
def test_processes_end_with_the_one_that_began_them() -> None:
    command = [sys.executable, "-P", "-c", KILLED]  # not the sources here, which have no engine
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as began:
        assert began.stdout is not None
        assert began.stdout.readline() == "works\n"
        began.kill()
        began.communicate(timeout=30)  # which lasts as long as a process that may write to it


def test_an_error_ends_what_runs() -> None:
    with pytest.raises(ValueError, match=r"math domain|expected"), Jobs(2) as jobs:
        jobs.submit("forever", time.sleep, 600)
        jobs.submit("wrong", math.sqrt, -1)
        for _, future in jobs:
            future.result()


@pytest.mark.slow
@posix
@pytest.mark.usefixtures("checkout_in_processes")
def test_a_search_goes_on_in_another_process(tmp_path: Path) -> None:
    options = {**SMALL, "epochs": 4, **QUIET, "order": 1}

    (found,) = pydarts.search_many(
        X, Y, seeds=[3], executor=1, checkpoint=tmp_path, callbacks=[Kill(tmp_path)], **options
    )
    assert (tmp_path / "killed").exists()
    alone = pydarts.search(X, Y, seed=3, threads=1, **options)
    for name, alphas in alone.alpha_history.items():
        np.testing.assert_array_equal(found.alpha_history[name], alphas)


class Kill(pydarts.Callback):
    """Ends the process once, in the third epoch."""

    def __init__(self, folder: Path):
        self.mark = folder / "killed"

    def on_step_end(self, loop: Any, info: Any) -> None:
        if loop.epoch == 2 and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        assert loop.epoch >= 2 or not self.mark.exists()  # what was done is not done again


@pytest.mark.slow
def test_a_comparison_in_processes() -> None:
    found, alone = compare(2), compare(None, threads=1)
    assert [cell.scores for cell in found.cells] == [cell.scores for cell in alone.cells]


# Dask


@pytest.mark.slow
@posix
@pytest.mark.usefixtures("checkout_in_processes")
def test_a_client_of_dask_and_a_worker_that_is_lost() -> None:
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with (
        distributed.LocalCluster(silence_logs=logging.CRITICAL, **options) as cluster,
        distributed.Client(cluster) as client,
    ):
        lost = min(client.run(os.getpid).values())
        with ThreadPoolExecutor(1) as killer:
            killer.submit(lambda: (time.sleep(0.5), os.kill(lost, signal.SIGKILL)))
            found = compare(client)
        left = time.monotonic() + 60
        workers: set[int] = set()
        while len(workers) < 2 or lost in workers:  # it may be known only later that it is lost
            assert time.monotonic() < left
            workers = set(client.run(os.getpid, on_error="ignore").values())
    alone = compare(None, threads=1)
    assert [cell.scores for cell in found.cells] == [cell.scores for cell in alone.cells]


@pytest.mark.slow
def test_the_script_of_the_guide(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    text = (DOCS / "cluster.md").read_text(encoding="utf-8")
    script = next(
        code
        for code in re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        if "LocalCluster" in code
    )
    (tmp_path / "dask_search.py").write_text(script, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "dask_search.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(pydarts.__file__).parents[1])},
    )
    assert done.returncode == 0, done.stderr
    assert "random 1" in done.stdout
    assert (tmp_path / "runs" / "seed-0" / "result.json").exists()
    assert (tmp_path / "runs" / "compare.json").exists()
