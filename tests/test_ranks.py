# SPDX-License-Identifier: MIT
"""Several ranks: the bits of one, whoever goes on; and an end for all when one ends."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from commands import write_images
from safetensors.numpy import load_file

import pydarts
from benchmarks.ranks import Measured, fit
from pydarts.common.errors import ArgumentTypeError
from pydarts.common.ranks import ALONE, Ranks, as_ranks, launched_rank, launched_ranks
from pydarts.training.checkpoint import read_checkpoint

PROGRAM = str(Path(__file__).parent / "ranks_program.py")
LAUNCHER = shutil.which("mpiexec")
needs_mpi = pytest.mark.skipif(
    LAUNCHER is None or importlib.util.find_spec("mpi4py") is None,
    reason="mpiexec or mpi4py is not installed",
)
NO_SOURCES = Path(__file__).parent  # where `python -m pydarts` finds what is installed
ENVIRON = {**os.environ, "PYTHONPATH": str(Path(pydarts.__file__).parents[1])}
OPTIONS = ["--channels", "2", "--cells", "3", "--batch-size", "16", "--epochs", "3"]
OPTIONS += [option.replace("--", "--train-") for option in OPTIONS]
OPTIONS += ["--seed", "1", "--threads", "1"]


def command(ranks: int, *arguments: str) -> list[str]:
    assert LAUNCHER is not None
    return [LAUNCHER, "-n", str(ranks), sys.executable, *arguments]


def run(ranks: int, *arguments: str, seconds: float = 300) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(ranks, *arguments),
        capture_output=True,
        text=True,
        timeout=seconds,
        env=ENVIRON,
        cwd=NO_SOURCES,
    )


def kept(folder: Path, ranks: int) -> list[dict[str, np.ndarray]]:
    return [dict(np.load(folder / f"rank{rank}.npz")) for rank in range(ranks)]


def require_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)


@pytest.mark.parametrize(
    ("environ", "ranks"),
    [
        ({}, 1),
        ({"SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "3"}, 1),
        ({"PMI_SIZE": "1"}, 1),
        ({"PMI_SIZE": "4"}, 4),
        ({"OMPI_COMM_WORLD_SIZE": "3"}, 3),
        ({"PMIX_RANK": "0"}, 1),
        ({"PMIX_RANK": "0", "SLURM_STEP_NUM_TASKS": "8"}, 8),
        ({"PMI_SIZE": "many"}, 1),
    ],
)
def test_only_a_launcher_of_mpi_makes_ranks(environ: dict[str, str], ranks: int) -> None:
    assert launched_ranks(environ) == ranks


def test_rank_of_the_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PMI_RANK", "2")
    assert launched_rank() == 0  # of how many?
    monkeypatch.setenv("PMI_SIZE", "4")
    assert launched_rank() == 2


def test_one_process_needs_no_mpi(tmp_path: Path) -> None:
    assert as_ranks(None) is ALONE
    assert ALONE.threads(None) is None
    assert ALONE.on_first(lambda: 3) == 3
    with pytest.raises(ArgumentTypeError, match=r"must be a communicator of mpi4py"):
        Ranks(4)
    code = "import sys, pydarts.cli.main; assert 'mpi4py' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)  # no sources there


def test_the_model_gives_what_was_measured() -> None:
    one, two = Measured(1.2, 1.0, 0, 0, 0, 0), Measured(0.7, 0.6, 100, 1e6, 0, 0)
    model, link = fit(one, two), (1e-4, 1e9)
    assert model.seconds(1, *link) == pytest.approx(1.0)
    assert model.seconds(2, *link) == pytest.approx(0.6 + 100 * 1e-4 + 0.5e-3)
    alone = model.seconds(1, *link, size=model.size_for(0.8, 16, *link))
    many = model.seconds(16, *link, size=model.size_for(0.8, 16, *link))
    assert alone / (16 * many) == pytest.approx(0.8)


@pytest.mark.slow
@needs_mpi
@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="two cores, and a system that binds to them, are not on this machine",
)
def test_ranks_share_the_cores_that_they_may_run_on(tmp_path: Path) -> None:
    cores = sorted(os.sched_getaffinity(0))[:2]
    done = run(2, PROGRAM, "threads", str(tmp_path), *map(str, cores))
    assert done.returncode == 0, done.stderr
    for rank in kept(tmp_path, 2):
        assert rank["threads"].tolist() == [1, 5, 1, 3]
        assert not rank["crowded"]


@pytest.mark.slow
@needs_mpi
@pytest.mark.parametrize(
    ("what", "counts"),
    [
        ("search", (1, 2, 3, 4)),
        ("train", (1, 2, 3, 4)),
        ("search-text", (1, 2, 3, 4)),
        ("train-text", (1, 2, 4)),
        ("sampled", (1, 2)),
        ("finalists", (1, 2)),
        ("perturbation", (1, 2)),
    ],
)
def test_the_bits_of_one_rank(what: str, counts: tuple[int, ...], tmp_path: Path) -> None:
    results = {}
    for ranks in counts:
        folder = tmp_path / str(ranks)
        folder.mkdir()
        done = run(ranks, PROGRAM, what, str(folder))
        assert done.returncode == 0, done.stderr
        results[ranks] = kept(folder, ranks)
    for found in results.values():
        for one in found:
            require_same(results[1][0], one)


@pytest.mark.slow
@needs_mpi
def test_all_ranks_stop_where_the_first_does(tmp_path: Path) -> None:
    done = run(3, PROGRAM, "stop", str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = kept(tmp_path, 3)
    assert str(found[0]["stopped"]) == "enough"
    for one in found:
        require_same(found[0], one)


@pytest.mark.slow
@needs_mpi
def test_what_one_process_alone_can_do_is_refused(tmp_path: Path) -> None:
    done = run(2, PROGRAM, "latency", str(tmp_path))
    assert done.returncode != 0
    assert "`max_latency` (='1s') is for one process, not for 2 ranks" in done.stderr
    done = run(2, "-m", "pydarts", "compare", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.count("pydarts: error: `pydarts compare` is for one process") == 1
    done = run(2, "-m", "pydarts", "search", "digits", "--max-latency", "1ms")
    assert "--max-latency (='1ms') is for one process, not for 2 ranks" in done.stderr


@pytest.mark.slow
@needs_mpi
def test_what_the_first_rank_finds_comes_to_all(tmp_path: Path) -> None:
    done = run(2, PROGRAM, "errors", str(tmp_path))
    assert done.returncode == 0, done.stderr
    one, other = kept(tmp_path, 2)
    assert one["same"]
    assert other["same"]
    assert other["writable"]
    first = "ArgumentError('x', '(=1) is wrong') `x` (=1) is wrong"
    assert list(one["errors"][:3]) == list(other["errors"][:3])
    assert other["errors"][0] == first
    assert list(other["errors"][3:]) == [
        "ArithmeticError('by zero') by zero",
        "RuntimeError('_Other: rare') _Other: rare",
    ]


@pytest.mark.slow
@needs_mpi
def test_a_failing_rank_ends_all(tmp_path: Path) -> None:
    done = run(3, PROGRAM, "fail", str(tmp_path))
    assert done.returncode != 0
    message = (
        "pydarts: error: rank 1 failed (OSError: the disk of this rank is gone): all 3 ranks end"
    )
    assert done.stderr.count(message) == 1
    assert done.stderr.count("pydarts: error") == 1


@pytest.fixture
def data(tmp_path: Path) -> str:
    return write_images(tmp_path / "data.npz", 96, tested=False)


def search(ranks: int, data: str, out: Path) -> subprocess.CompletedProcess[str]:
    return run(ranks, "-m", "pydarts", "search", data, "--out", str(out), *OPTIONS)


def result(out: Path) -> dict[str, np.ndarray]:
    """All that a search and its training left, but for times."""
    weights = load_file(out / "model" / "model.safetensors")
    arrays = {f"model {name}": value for name, value in weights.items()}
    arrays |= {f"α {name}": value for name, value in np.load(out / "alphas.npz").items()}
    summary = json.loads((out / "summary.json").read_text())
    return arrays | {
        "genotype": np.array((out / "genotype.json").read_text()),
        "accuracy": np.array(summary["accuracy"]),
    }


def processes(of: int) -> dict[int, int]:
    """The pids of the Python processes below a launcher, by rank."""
    parents = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                fields = (path / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(path.name)] = int(fields[1])
    found = {}
    for pid in parents:
        above = parents.get(pid, 0)
        while above not in (0, of):
            above = parents.get(above, 0)
        if above == of:
            try:
                environ = (Path("/proc") / str(pid) / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            for entry in environ:
                name, _, value = entry.partition(b"=")
                if name in (b"PMI_RANK", b"OMPI_COMM_WORLD_RANK"):
                    found[int(value)] = pid
    return found


def disturbed(
    ranks: int, data: str, out: Path, disturb: Callable[[subprocess.Popen[str]], None]
) -> tuple[int, str, float]:
    """Run a long search, disturb it after an epoch; code, errors, seconds until the end."""
    long = [*OPTIONS, "--epochs", "2000"]
    process = subprocess.Popen(
        command(ranks, "-m", "pydarts", "search", data, "--out", str(out), *long),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRON,
        cwd=NO_SOURCES,
    )
    try:
        end = time.monotonic() + 300
        while not (out / "checkpoint.safetensors").exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.05)
        disturb(process)
        start = time.monotonic()
        _, errors = process.communicate(timeout=300)
        return process.returncode, errors, time.monotonic() - start
    finally:
        process.kill()


@pytest.mark.slow
@needs_mpi
def test_any_number_of_ranks_goes_on(data: str, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    assert search(1, data, whole).returncode == 0
    shown = search(2, data, tmp_path / "two")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("Computed by 2 ranks") == 1
    assert shown.stdout.count("Saved in") == 1
    require_same(result(whole), result(tmp_path / "two"))
    torn = tmp_path / "torn"
    for ranks, file in ((3, "checkpoint.safetensors"), (1, "train_checkpoint.safetensors")):
        process = subprocess.Popen(
            command(ranks, "-m", "pydarts", "search", data, "--out", str(torn), *OPTIONS),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=ENVIRON,
            cwd=NO_SOURCES,
        )
        while not (torn / file).exists() and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        text, _ = process.communicate(timeout=300)
        assert process.returncode in (0, 130), text
    done = search(2, data, torn)
    assert done.returncode == 0, done.stderr
    require_same(result(whole), result(torn))


@pytest.mark.slow
@needs_mpi
@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks for processes in /proc")
def test_signals_and_a_killed_rank_end_all_with_a_whole_checkpoint(
    data: str, tmp_path: Path
) -> None:
    def press(process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGINT)

    def terminate(process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGTERM)

    def terminate_one(process: subprocess.Popen[str]) -> None:
        os.kill(processes(process.pid)[1], signal.SIGTERM)

    def press_on_one(process: subprocess.Popen[str]) -> None:
        os.kill(processes(process.pid)[1], signal.SIGINT)

    def kill(process: subprocess.Popen[str]) -> None:
        os.kill(processes(process.pid)[1], signal.SIGKILL)

    for name, disturb in (
        ("all", press),
        ("one", press_on_one),
        ("killed", kill),
        ("terminated", terminate),
        ("one terminated", terminate_one),
    ):
        code, errors, seconds = disturbed(2, data, tmp_path / name, disturb)
        assert code != 0
        assert seconds < 120, name
        assert "Traceback" not in errors
        assert errors.count("pydarts: error") == 0, errors
        saved = read_checkpoint(tmp_path / name / "checkpoint.safetensors")
        assert saved.state["loop"]["epoch"] >= 1
        if disturb is not kill:
            summary = json.loads((tmp_path / name / "summary.json").read_text())
            assert summary["state"] == "interrupted"
