# SPDX-License-Identifier: MIT
"""Files of version 1, from before the package was rebuilt: they load, and runs go on from them.

In data/version1 a search and a training over images, and one over text, were interrupted in their
second epoch: their checkpoints are of version 1, as is what else is there. expected.json tells what
came of the same runs where nothing interrupted them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nets import run_python
from safetensors import safe_open

import pydarts
from pydarts import Genotype, RecurrentGenotype, SearchConfig, TextSearchConfig
from pydarts.evaluation import trials
from pydarts.report.page import page_html
from pydarts.report.report_data import ReportData
from pydarts.training.checkpoint import read_checkpoint

TESTS = Path(__file__).parent
FILES = TESTS / "data" / "version1"
EXPECTED = json.loads((FILES / "expected.json").read_text(encoding="utf-8"))
TEXT = (FILES / "text.txt").read_text(encoding="utf-8")
CELL = Genotype.parse(EXPECTED["genotype"])
RECURRENT_CELL = RecurrentGenotype.parse(EXPECTED["genotype-text"])

IMAGE_OPTIONS: dict[str, Any] = {"channels": 1, "cells": 2, "epochs": 3, "batch_size": 8}
TEXT_OPTIONS: dict[str, Any] = {"hidden_size": 8, "batch_size": 4, "bptt": 8}
# Where a field has another name now, the value is not the default.
SEARCH_OPTIONS = {**IMAGE_OPTIONS, "max_grad_norm": 4.0}
TEXT_SEARCH_OPTIONS = {**TEXT_OPTIONS, "epochs": 3, "max_grad_norm": 0.2}
TEXT_SEARCH_OPTIONS |= {"ar": 0.1, "unrolled_embedding": "original"}
TEXT_TRAIN_OPTIONS = {**TEXT_OPTIONS, "epochs": 4, "patience": 1, "lr": 5.0}
QUIET: dict[str, Any] = {"progress": False, "threads": 1}


def images() -> tuple[Any, Any]:
    with np.load(FILES / "data.npz") as data:
        return data["X"], data["y"]


def search(**options: Any) -> Any:
    return pydarts.search(*images(), **{**SEARCH_OPTIONS, **QUIET, **options})


def train(**options: Any) -> Any:
    return pydarts.train(CELL, *images(), **{**IMAGE_OPTIONS, **QUIET, **options})


def search_text(**options: Any) -> Any:
    return pydarts.search_text(TEXT, **{**TEXT_SEARCH_OPTIONS, **QUIET, **options})


def train_text(**options: Any) -> Any:
    return pydarts.train_text(RECURRENT_CELL, TEXT, **{**TEXT_TRAIN_OPTIONS, **QUIET, **options})


#: The interrupted runs: the function, the checkpoint, and its name in expected.json.
RUNS: dict[str, tuple[Callable[..., Any], str]] = {
    "search": (search, "search/checkpoint.safetensors"),
    "train": (train, "search/train_checkpoint.safetensors"),
    "search-text": (search_text, "search-text/checkpoint.safetensors"),
    "train-text": (train_text, "search-text/train_checkpoint.safetensors"),
}


def learned(result: Any) -> dict[str, Any]:
    """Return what expected.json has the digest of: α of a search, the weights of a training."""
    if isinstance(result, pydarts.SearchResult):
        return dict(result.alphas)
    state: dict[str, Any] = result.network.state_dict()
    return state


def digest(arrays: dict[str, Any]) -> str:
    found = hashlib.sha256()
    for name in sorted(arrays):
        found.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return found.hexdigest()


#: Numbers that version 1 did not keep.
LATER = ("gradient_norm", "stationarity_weights", "stationarity_alphas")


def untimed(history: Any) -> Any:
    return [{k: v for k, v in entry.items() if k not in ("seconds", *LATER)} for entry in history]


def copied(run: str, folder: Path) -> Path:
    """Put the checkpoint of a run into a folder, and return its path."""
    return Path(shutil.copy(FILES / RUNS[run][1], folder))


# Runs that go on


def compute(folder: Path) -> None:
    """Do each run from its checkpoint, and without one."""
    for name, (run, _) in RUNS.items():
        (folder / name).mkdir()
        copied(name, folder / name)
        resumed, whole = run(checkpoint=folder / name), run()
        for kind, result in (("resumed", resumed), ("whole", whole)):
            state = learned(result)
            if isinstance(result, pydarts.SearchResult):
                state |= {f"history {k}": a for k, a in result.alpha_history.items()}
                state |= {f"supernet {k}": a for k, a in result.supernet.state_dict().items()}
            np.savez(folder / f"{name}-{kind}.npz", **state)
        history = [untimed(resumed.history), untimed(whole.history), digest(learned(whole))]
        (folder / f"{name}.json").write_text(json.dumps(history), encoding="utf-8")


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `compute` leaves, by the instruction set with which the files were written."""
    isa = EXPECTED["isa"]
    code = "from pydarts.common.environment import environment as e\nprint(e()['instruction_set'])"
    if run_python(code, PYDARTS_ISA=isa).stdout.strip() != isa:
        pytest.skip(f"this machine has no {isa}")
    folder = tmp_path_factory.mktemp("computed")
    code = f"""
from pathlib import Path
sys.path.insert(0, {str(TESTS)!r})
import test_old_files
test_old_files.compute(Path({str(folder)!r}))
"""
    done = run_python(code, PYDARTS_ISA=isa)
    assert done.returncode == 0, done.stderr
    assert "goes on with" not in done.stderr  # the instruction set is that of the checkpoints
    return folder


@pytest.mark.parametrize("run", RUNS)
def test_interrupted_runs_end_in_the_same_bits(run: str, computed: Path) -> None:
    resumed, whole, found = json.loads((computed / f"{run}.json").read_text(encoding="utf-8"))
    if found != EXPECTED[run]:
        pytest.skip("compiler or numpy are others than those with which the files were written")
    assert resumed == whole
    with (
        np.load(computed / f"{run}-resumed.npz") as first,
        np.load(computed / f"{run}-whole.npz") as second,
    ):
        assert set(first) == set(second)
        for name in first:
            np.testing.assert_array_equal(first[name], second[name], err_msg=name)
        assert digest({k: first[k] for k in first if " " not in k}) == EXPECTED[run]


@pytest.mark.parametrize("name", ["search", "search-text"])
def test_gradient_norms_are_there_from_when_they_are_known(name: str, tmp_path: Path) -> None:
    run, _ = RUNS[name]
    copied(name, tmp_path)
    result = run(checkpoint=tmp_path)
    first, second, third = result.history
    assert not set(LATER) & set(first)
    assert second["gradient_norm"] is None  # of a part of its steps
    assert third["gradient_norm"] > 0
    for entry in (second, third):
        assert entry["stationarity_weights"] is None
        expected = entry["alpha_gradient_norm"] / first["alpha_gradient_norm"]
        assert entry["stationarity_alphas"] == expected
    result.save(tmp_path / "result")
    loaded = pydarts.SearchResult.load(tmp_path / "result").history
    assert loaded == [{**dict.fromkeys(LATER), **entry} for entry in result.history]
    assert "relative to the first epoch" in page_html(ReportData.from_result(result))


@pytest.mark.parametrize("name", RUNS)
def test_interrupted_runs_go_on(name: str, tmp_path: Path) -> None:
    run, _ = RUNS[name]
    path = copied(name, tmp_path)
    before = read_checkpoint(path).state["loop"]
    assert (before["epoch"], len(before["rows"])) == (1, 1)
    result = run(checkpoint=tmp_path)
    assert not result.interrupted
    assert len(result.history) == result.config.epochs
    assert result.history[0] == before["history"][0]  # with the same seconds
    assert result.history[1]["seconds"] > before["seconds"] > result.history[0]["seconds"]
    with safe_open(path, framework="numpy") as file:
        assert file.metadata()["version"] == "2"
    again = run(checkpoint=tmp_path)
    assert again.history == result.history
    assert digest(learned(again)) == digest(learned(result))


def test_the_best_epoch_may_be_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    best = read_checkpoint(copied("train-text", tmp_path)).state["tracker"]
    monkeypatch.setattr("pydarts.tasks.text.text_loss", lambda *_: 99.0)
    result = train_text(checkpoint=tmp_path)
    assert [entry["valid_loss"] for entry in result.history] == [best["loss"], 99.0, 99.0, 99.0]
    np.testing.assert_array_equal(result.network.flat_weights, best["weights"])


@pytest.mark.parametrize(
    ("name", "change", "differs"),
    [
        ("search", {"max_grad_norm": 5.0}, "`max_grad_norm` was 4.0, is 5.0"),
        ("train", {"lr": 0.3}, "`lr` was 0.1, is 0.3"),
        ("search-text", {"ar": 0.2}, "`ar` was 0.1, is 0.2"),
        ("train-text", {"hidden_size": 9}, "`hidden_size` was 8, is 9"),
    ],
)
def test_what_differs_is_told_by_the_new_names(
    name: str, change: dict[str, Any], differs: str, tmp_path: Path
) -> None:
    run, _ = RUNS[name]
    copied(name, tmp_path)
    with pytest.raises(pydarts.CheckpointError) as caught:
        run(checkpoint=tmp_path, **change)
    assert f"is of another run ({differs})" in str(caught.value)


# What was saved


def test_models() -> None:
    X, _ = images()
    model = pydarts.Model.load(FILES / "model")
    assert model.predict(X).tolist() == EXPECTED["predict"]
    assert model.genotype == CELL
    assert [entry["epoch"] for entry in model.history] == [1, 2, 3]
    assert model.config == pydarts.TrainConfig.make("quick", {**IMAGE_OPTIONS, "stem": "cifar"})


def test_language_models() -> None:
    model = pydarts.LanguageModel.load(FILES / "model-text")
    assert model.perplexity(TEXT) == pytest.approx(EXPECTED["perplexity"], rel=1e-4)
    assert model.genotype == RECURRENT_CELL
    assert model.config == pydarts.TextTrainConfig.make("quick", TEXT_TRAIN_OPTIONS)


@pytest.mark.parametrize(
    ("folder", "config", "genotype"),
    [
        ("result", SearchConfig.make("quick", {**SEARCH_OPTIONS, "stem": "cifar"}), CELL),
        ("result-text", TextSearchConfig.make("quick", TEXT_SEARCH_OPTIONS), RECURRENT_CELL),
    ],
)
def test_results(folder: str, config: Any, genotype: Any, tmp_path: Path) -> None:
    result = pydarts.SearchResult.load(FILES / folder)
    assert result.config == config
    assert result.genotype == genotype
    assert (result.interrupted, result.stopped) == (False, None)
    assert result.seconds == result.history[-1]["seconds"]
    assert len(result.history) == 3
    if folder == "result":
        assert digest(result.alphas) == EXPECTED["search"]
    for name, history in result.alpha_history.items():
        np.testing.assert_array_equal(history[-1], result.alphas[name])
    result.save(tmp_path)
    again = pydarts.SearchResult.load(tmp_path)
    assert again.history == result.history
    assert again.config == config


def test_a_comparison_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = json.loads((FILES / "compare.json").read_text(encoding="utf-8"))
    saved["identity"]["pydarts"] = pydarts.__version__  # scores of another one are no match
    (tmp_path / "compare.json").write_text(json.dumps(saved), encoding="utf-8")

    def train_once(*arguments: Any) -> Any:
        raise AssertionError("trained again")

    monkeypatch.setattr(trials, "train_once", train_once)
    options = {**IMAGE_OPTIONS, "epochs": 1, **QUIET}
    c = pydarts.compare(CELL, *images(), seeds=[0], random_cells=1, checkpoint=tmp_path, **options)
    assert not c.interrupted
    assert c.config["max_grad_norm"] == saved["identity"]["config"]["clip"]
    assert [[cell.scores[0]] for cell in c.cells] == [cell["scores"] for cell in saved["cells"]]


def test_a_classifier() -> None:
    pytest.importorskip("sklearn")
    from pydarts.sklearn import DartsClassifier

    X, _ = images()
    classifier = DartsClassifier.load(FILES / "classifier")
    assert classifier.get_params()["search_max_grad_norm"] is None
    assert classifier.predict(X.reshape(64, -1)).tolist() == classifier.model_.predict(X).tolist()
