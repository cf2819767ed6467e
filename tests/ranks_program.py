# SPDX-License-Identifier: MIT
"""What `test_ranks.py` runs on several ranks: ``python ranks_program.py WHAT FOLDER``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI
from runs import halves

import pydarts
from pydarts.common.errors import CheckpointError
from pydarts.common.ranks import as_ranks

NET = {"channels": 2, "cells": 3, "batch_size": 16, "epochs": 2, "progress": False}


def text() -> str:
    """Sentences of seven words."""
    rng = np.random.default_rng(0)
    words = ["the", "a", "cat", "dog", "house", "sees", "likes", "old", "new", "and", "by", "tree"]
    return "".join(" ".join(rng.choice(words, 7)) + "\n" for _ in range(16))


# Hidden units that neither two, three nor four ranks have an equal share of.
TEXT_NET = {"hidden_size": 100, "batch_size": 4, "bptt": 5, "epochs": 1, "progress": False}


class _FailsOnRank1(pydarts.Callback):
    def on_step_end(self, loop: Any, info: Any) -> None:
        if MPI.COMM_WORLD.Get_rank() == 1 and loop.steps_done == 3:
            raise OSError("the disk of this rank is gone")


class _ByItsOwnClock(pydarts.Callback):
    """Stops on each rank at another step: what counts is the first one."""

    def on_step_end(self, loop: Any, info: Any) -> None:
        if loop.steps_done == 2 + MPI.COMM_WORLD.Get_rank():
            loop.stop("enough")


def _keep(folder: Path, comm: Any, **arrays: Any) -> None:
    np.savez(folder / f"rank{comm.Get_rank()}.npz", **arrays)


def search(folder: Path, comm: Any, **options: Any) -> None:
    """A search; what each rank got goes into a file of its own."""
    X, y = halves(80, side=8)
    result = pydarts.search(X, y, comm=comm, **{**NET, **options})
    weights = result.supernet.flat_weights
    _keep(
        folder,
        comm,
        weights=weights,
        alphas=result.supernet.flat_alphas,
        stopped=result.stopped or "",
    )


def train(folder: Path, comm: Any, **options: Any) -> None:
    """A training with an auxiliary head, drop path and validation, and an evaluation."""
    X, y = halves(80, side=8)
    cell = pydarts.DARTS_V2
    given = {**NET, "auxiliary": True, "drop_path": 0.2, **options}
    model = pydarts.train(cell, X, y, X_valid=X[:30], y_valid=y[:30], comm=comm, **given)
    scores = model.evaluate(X, y, comm=comm)
    alone = (
        model.logits(X[:10]) if comm.Get_rank() == 0 else np.zeros(1)
    )  # no rank waits for others
    loss = [entry["valid_loss"] for entry in model.history]
    state = np.concatenate([value.ravel() for value in model.network.state_dict().values()])
    _keep(folder, comm, state=state, accuracy=scores.accuracy, loss=loss, alone=alone.sum() * 0)


def search_text(folder: Path, comm: Any) -> None:
    """A search over text, and short trainings of finalists."""
    how = pydarts.Finalists(candidates=2, epochs=1, drawn=1)
    options = {"selector": how, "memory_budget": "1GB", "max_tokens": 120}
    result = pydarts.search_text(text(), comm=comm, **TEXT_NET, **options)
    state = np.concatenate([v.ravel() for v in result.supernet.state_dict().values()])
    scores = [finalist.score for finalist in result.finalists]
    loss = [entry["valid_loss"] for entry in result.history]
    _keep(
        folder,
        comm,
        state=state,
        alphas=result.supernet.flat_alphas,
        scores=scores,
        loss=loss,
        genotype=str(result.genotype),
    )


def train_text(folder: Path, comm: Any) -> None:
    """A training over text, an evaluation, and what the model writes."""
    model = pydarts.train_text(pydarts.RECURRENT_DARTS_V2, text(), comm=comm, **TEXT_NET)
    loss = model.evaluate(text(), comm=comm).loss
    state = np.concatenate([value.ravel() for value in model.network.state_dict().values()])
    with model.network.shared_by(as_ranks(comm)):
        written = model.sample(length=20, seed=1)
    alone = model.sample(length=20, seed=1) if comm.Get_rank() == 0 else written
    _keep(folder, comm, state=state, loss=loss, written=written, alone=alone)


class _Other(Exception):
    """An error of a type that no other rank knows."""


def errors(folder: Path, comm: Any) -> None:
    """What the first rank raises comes to all of them, as do values."""
    ranks = as_ranks(comm)
    found = []
    for error in (
        pydarts.ArgumentError("x", "(=1) is wrong"),
        CheckpointError("it is torn"),
        FileNotFoundError("no such file"),
        ZeroDivisionError("by zero"),
        _Other("rare"),
    ):

        def fail(error: Exception = error) -> None:
            raise error

        try:
            ranks.on_first(fail)
        except Exception as caught:
            found.append(f"{caught!r} {caught}")
    value = {"a": [1, 0.1, None, "α"], "b": np.arange(6, dtype=np.float32).reshape(2, 3)}
    value["b"][0] = np.nan
    told = ranks.on_first(lambda: {**value, "path": Path("x"), "none": np.zeros(0)})
    same = np.array_equal(told["b"], value["b"], equal_nan=True) and told["a"] == value["a"]
    same &= told["path"] == Path("x") and told["none"].shape == (0,)
    _keep(folder, comm, errors=found, same=same, writable=told["b"].flags.writeable)


def threads(folder: Path, comm: Any) -> None:
    """The threads of ranks that share two cores, that have one each, and that are told."""
    cores = [int(core) for core in sys.argv[3:]]  # whatever the launcher left this rank
    os.environ.pop("OMP_NUM_THREADS", None)
    os.sched_setaffinity(0, cores)
    found = [as_ranks(comm).threads(None)]
    os.environ["OMP_NUM_THREADS"] = "5"
    found.append(as_ranks(comm).threads(None))
    del os.environ["OMP_NUM_THREADS"]
    os.sched_setaffinity(0, {cores[comm.Get_rank()]})
    alone = as_ranks(comm)
    found += [alone.threads(None), alone.threads(3)]
    _keep(folder, comm, threads=found, crowded=alone._crowded)


def main() -> None:
    """Do what the command line names."""
    what, folder, comm = sys.argv[1], Path(sys.argv[2]), MPI.COMM_WORLD
    if what == "search":
        search(folder, comm)
    elif what == "sampled":
        search(folder, comm, method="gdas")
    elif what == "finalists":
        how = pydarts.Finalists(candidates=2, epochs=1, drawn=1)
        search(folder, comm, selector=how, time_budget="10min", memory_budget="1GB")
    elif what == "perturbation":
        how = pydarts.Perturbation(batches=1)
        search(folder, comm, method="fixed", selector=how, max_images=32, space="s3")
    elif what == "train":
        train(folder, comm)
    elif what == "search-text":
        search_text(folder, comm)
    elif what == "train-text":
        train_text(folder, comm)
    elif what == "threads":
        threads(folder, comm)
    elif what == "errors":
        errors(folder, comm)
    elif what == "stop":
        search(folder, comm, callbacks=[_ByItsOwnClock()])
    elif what == "fail":
        search(folder, comm, callbacks=[_FailsOnRank1()])
    elif what == "latency":
        search(folder, comm, max_latency="1s")


if __name__ == "__main__":
    main()
