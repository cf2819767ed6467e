# SPDX-License-Identifier: MIT
"""The benchmarks' arithmetic, comparison, tables and plots; nothing here wants PyTorch."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

import pydarts
from benchmarks import cases, hypergradient, latency, limited
from benchmarks.__main__ import main
from benchmarks.busy import fair_share
from benchmarks.cases import (
    CASES,
    PAPER,
    SMALL,
    TEXT,
    TINY,
    Case,
    ImageCase,
    TextCase,
    from_fields,
    select,
    sweep,
)
from benchmarks.contenders import CONTENDERS
from benchmarks.cores import makespan, record, share_offering, simulate
from benchmarks.inference import SIDE, found_model
from benchmarks.measure import (
    Failed,
    Result,
    Spread,
    best,
    child_environment,
    compare,
    fma_peaks,
    measure,
    verify,
)
from benchmarks.report import Report, environment, number, table
from pydarts import _core
from pydarts.spaces import DARTS, DARTS_1D, NAS_BENCH_201

ROOT = Path(__file__).parents[1]
PEAKS = {256: 200e9, 512: 190e9}

RESULT = Result(
    SMALL,
    threads=2,
    seconds={
        "pydarts": [0.5, 0.4, 0.6],
        "pydarts-fast": [0.25, 0.2, 0.3],
        "torch": [8.0, 8.0, 9.0],
        "torch-channels-last": [5.0, 6.0, 6.0],
    },
    memory={
        "pydarts": 200_000_000,
        "pydarts-fast": 250_000_000,
        "torch": 2_000_000_000,
        "torch-channels-last": 1_000_000_000,
    },
    deviations={"pydarts": 1.23e-6, "pydarts-fast": 0.4, "torch-channels-last": 2e-6},
)


def by_name(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


def test_flops_of_the_targets() -> None:
    # The anchors of the issue: 2.4 and 38.4 GFLOP forward, 1.6 GFLOP for the tiny step.
    assert SMALL.forward_flops() == 2_409_652_224
    assert PAPER.forward_flops() == 38_432_407_552
    assert TINY.flops() == 13 * 122_093_568 == 1_587_216_384
    assert by_name("first_order_paper").flops() == 5 * PAPER.forward_flops()
    assert TINY.flops(fast=True) == 8 * TINY.forward_flops()


def test_flops_of_operations_by_hand() -> None:
    pixels = 64 * 32 * 32
    once = 2 * pixels * (16 * 9 + 16 * 16)
    assert by_name("sep_conv_3x3").forward_flops() == 2 * once
    assert by_name("dil_conv_3x3").forward_flops() == once
    assert by_name("dil_conv_5x5").forward_flops() == 2 * pixels * (16 * 25 + 16 * 16)
    assert by_name("skip_connect").forward_flops() == 2 * (pixels // 4) * 16 * 16
    assert by_name("max_pool_3x3").forward_flops() == by_name("avg_pool_3x3").forward_flops() == 0
    convolutions = [case for case in CASES if "conv_" in case.name]
    mixed = by_name("mixed_operation")
    assert mixed.forward_flops() == sum(case.forward_flops() for case in convolutions)
    assert mixed.flops() == 3 * mixed.forward_flops()


def test_flops_of_derived_networks_by_hand() -> None:
    # Two cells are both reductions, in DARTS_V2 of pools and identities: 5x5 to 3x3 to 2x2.
    case = ImageCase("", "derived", channels=2, batch=3, side=5, cells=2, in_channels=4)
    stem = 2 * 75 * 9 * 4 * 6
    preprocess = 2 * 75 * (6 + 6) * 4 + 2 * 27 * (6 + 16) * 8
    assert case.forward_flops() == stem + preprocess
    # Of three the first is normal: five separable convolutions of two stages, a dilated of one.
    preprocess = 2 * 75 * (6 + 6) * 2 + 2 * 75 * (6 + 8) * 4 + 2 * 27 * (8 + 16) * 8
    normal = (5 * 2 + 1) * 2 * 75 * (2 * 9 + 2 * 2)
    assert replace(case, cells=3).forward_flops() == stem + preprocess + normal


def test_flops_of_other_spaces_by_hand() -> None:
    # Six edges of a 1×1 and a 3×3 at 16, 32 and 64 channels; two residual blocks.
    pixels = 64 * 32 * 32
    stage = 6 * 10 * 2 * 16 * 16 * pixels  # the same in all three: four times the products
    blocks = 2 * (pixels // 4) * (16 * 32 * 10 + 32 * 32 * 9)
    blocks += 2 * (pixels // 16) * (32 * 64 * 10 + 64 * 64 * 9)
    stem = 2 * pixels * 9 * 3 * 16
    assert by_name("nas_bench_201").forward_flops() == 3 * stage + blocks + stem
    assert by_name("nas_bench_201").size == "C=16 N=1 B=64 3×32×32"
    # Three taps in a row for nine, five for twenty-five.
    pixels, products = 64 * 784, 16 * 16
    once = [16 * k + products for k in (3, 5)]
    mixed = by_name("darts_1d_mixed_operation")
    assert mixed.forward_flops() == 3 * 2 * pixels * sum(once)
    assert mixed.size == "C=16 B=64 1×784"
    # One cell is a reduction: 7 to 4 pixels, of which only the first two states' edges stride.
    case = ImageCase("", "second_order", 2, 3, 7, cells=1, in_channels=4, space="darts-1d")
    stem, preprocess = 2 * 21 * 3 * 4 * 6, 2 * 21 * 12 * 4
    edge = 2 * 12 * 3 * sum(4 * k + 16 for k in (3, 5))
    assert case.forward_flops() == stem + preprocess + 14 * edge + 8 * 2 * 12 * 16


def test_flops_over_text_by_hand() -> None:
    # A word of H=128, V=100: 256 to 256, 36 edges of 128 to 256, 128 to 100.
    word = 2 * (256 * 256 + 36 * 128 * 256 + 128 * 100)
    assert TEXT.forward_flops() == 64 * 35 * word == 5_635_768_320
    assert TEXT.flops() == 13 * TEXT.forward_flops()
    assert TEXT.flops(fast=True) == 8 * TEXT.forward_flops()
    first = by_name("text_first_order")
    assert first.flops() == 5 * first.forward_flops() == 5 * TEXT.forward_flops()
    # The derived cell has one edge a node.
    word = 2 * (512 * 512 + 8 * 256 * 512 + 256 * 100)
    derived = by_name("text_derived")
    assert derived.flops() == 3 * derived.forward_flops() == 3 * 64 * 35 * word
    # Halving the batch or the segment halves the arithmetic, the vocabulary counts at every word.
    assert replace(TEXT, batch=32).flops() == replace(TEXT, steps=70, batch=16).flops()
    more = replace(TEXT, vocab_size=101).forward_flops() - TEXT.forward_flops()
    assert more == 2 * 64 * 35 * 128


def test_text_cases() -> None:
    paper = by_name("text_second_order_paper")
    assert paper.size == "H=300 B=256 T=35 V=10000"
    assert paper.quick().size == "H=16 B=16 T=5 V=20"
    assert paper.quick() == paper.quick().quick()
    # No dropout of any kind: whatever a network can drop is named, and 0.
    net = pydarts.RecurrentSupernet(**paper.quick().network)
    assert (net.vocab_size, net.hidden_size) == (20, 16)
    options = inspect.signature(pydarts.RecurrentSupernet).parameters
    dropouts = {name for name in options if name.startswith("dropout")}
    assert paper.network == {
        "vocab_size": 10000,
        "hidden_size": 300,
        **dict.fromkeys(dropouts, 0.0),
    }


def test_every_case_has_its_contenders() -> None:
    for case in CASES:
        names = {name for name, kind in CONTENDERS.items() if case.kind in kind.cases}
        assert {"pydarts", "torch"} <= names
        assert ("torch-channels-last" in names) == isinstance(case, ImageCase)
        assert ("pydarts-fast" in names) == case.kind.endswith("second_order")
        assert not (isinstance(case, TextCase) and "pydarts-recompute" in names)
    with pytest.raises(TypeError, match="nothing to build for TextCase"):
        CONTENDERS["torch-channels-last"].build(TEXT, 1)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name))
def test_cases_pass_to_another_process(case: Case) -> None:
    assert from_fields(json.loads(json.dumps(asdict(case)))) == case


def test_the_plain_data_is_that_of_pydarts() -> None:
    assert pydarts.Genotype(**cases.DARTS_V2) == pydarts.DARTS_V2
    recurrent = pydarts.RecurrentGenotype(**cases.RECURRENT_DARTS_V2)
    assert recurrent == pydarts.RECURRENT_DARTS_V2
    assert DARTS.cells[0].operations == cases.OPERATIONS
    assert DARTS_1D.cells[0].operations == cases.OPERATIONS_1D


def test_the_parent_imports_no_optional_library() -> None:
    found = "{'torch', 'matplotlib'} & {*sys.modules}"
    code = f"import sys, benchmarks.__main__; print({found})"
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == "set()"


def test_select() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    assert [case.name for case in select(["*_tiny", "derived"])] == ["second_order_tiny", "derived"]
    text = ["text_second_order", "text_second_order_paper", "text_first_order", "text_derived"]
    assert [case.name for case in select(["text*"])] == text
    assert [case.name for case in select(["second_order*"])] == [
        "second_order_small",
        "second_order_paper",
        "second_order_tiny",
    ]
    with pytest.raises(ValueError, match=r"`--case` \(='third\*'\) is none of second_order_small"):
        select(["derived", "third*"])


def test_sweep() -> None:
    points = sweep("channels")
    assert [case.channels for case in points] == [4, 8, 16, 32]
    assert points[1] == replace(SMALL, name="channels_8")


def test_result() -> None:
    assert RESULT.faster_torch == "torch-channels-last"
    assert RESULT.ratio("pydarts") == Spread(10.0, 10.0, pytest.approx(15.0))  # round by round
    assert RESULT.memory_ratio("pydarts") == 5.0
    assert RESULT.gflops("pydarts") == pytest.approx(13 * 2.409652224 / 0.5)
    assert RESULT.gflops("pydarts-fast") == pytest.approx(8 * 2.409652224 / 0.25)
    alone = replace(RESULT, seconds={"pydarts": [1.0]}, memory={"pydarts": 0})
    assert alone.ratio("pydarts") is alone.memory_ratio("pydarts") is alone.faster_torch is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.05217, "0.0522"),
        (0.9999, "1.00"),
        (9.996, "10.0"),
        (99.96, "100"),
        (65432.1, "65,432"),
    ],
)
def test_number(value: float, text: str) -> None:
    assert number(value) == text


def test_table() -> None:
    header, rule, *rows = table([RESULT], {1: {512: 400e9}, 2: PEAKS}).splitlines()
    columns = [text.strip() for text in header.strip("|").split("|")]
    first, second = (
        dict(zip(columns, map(str.strip, row.strip("|").split("|")), strict=True)) for row in rows
    )
    assert rule.count("|") == header.count("|")
    assert first == {
        "case": "second_order_small",
        "size": "C=8 L=4 B=32 1×28×28",
        "pydarts, ms": "500 (400–600)",
        "PyTorch, ms": "8,000 (8,000–9,000)",
        "PyTorch channels-last, ms": "6,000 (5,000–6,000)",
        "faster by": "10.0× (10.0–15.0)",
        "GFLOP/s": "62.7",
        "of peak": "31 %",
        "pydarts, MB": "200",
        "PyTorch, MB": "2,000",
        "PyTorch channels-last, MB": "1,000",
        "less by": "5.00×",
        "deviation": "1e-06 (2e-06)",
    }
    assert second["case"] == "second_order_small, fast"
    assert second["less by"] == "4.00×"


def test_table_leaves_empty_columns_out() -> None:
    pool = by_name("max_pool_3x3")
    alone = [
        Result(case, 1, {"pydarts": [0.001]}, {"pydarts": 1_000_000}, {}) for case in (pool, SMALL)
    ]
    header, _, first, _ = table(alone, {}).splitlines()
    assert header == "| case | size | pydarts, ms | GFLOP/s | pydarts, MB |"
    assert first == "| max_pool_3x3 | C=16 B=64 32×32 | 1.00 (1.00–1.00) | – | 1.00 |"


def test_table_of_what_has_one_layout() -> None:
    seconds = {"pydarts": [0.5], "pydarts-fast": [0.25], "torch": [2.0]}
    memory = {"pydarts": 100_000_000, "pydarts-fast": 100_000_000, "torch": 400_000_000}
    text = Result(TEXT, 2, seconds, memory, {"pydarts": 1e-5, "pydarts-fast": 0.5})
    header, _, first, second = table([text], {2: PEAKS}).splitlines()
    assert "channels-last" not in header
    assert first.startswith("| text_second_order | H=128 B=64 T=35 V=100 | 500 (500–500) | 2,000 ")
    assert first.endswith("| 4.00× (4.00–4.00) | 147 | 73 % | 100 | 400 | 4.00× | 1e-05 |")
    assert second.startswith("| text_second_order, fast |")
    assert second.endswith("| 5e-01 |")
    # Beside images, its layout that is not there is left blank.
    *_, last, _ = table([RESULT, text], {2: PEAKS}).splitlines()
    assert "| 2,000 (2,000–2,000) | – | 4.00×" in last


def test_compare_and_verify() -> None:
    expected = {"losses": np.float32([3.0, 4.0]), "alphas": np.float32([0.0, 2.0])}
    actual = {"losses": np.float32([3.0, 4.0]), "alphas": np.float32([0.0, 2.1])}
    errors = compare("pydarts", actual, expected)
    assert errors == {"losses": 0.0, "alphas": pytest.approx(0.05, rel=1e-5)}
    own, tiny = by_name("first_order_small"), by_name("first_order_small").quick()
    verify(own, "pydarts", {"alphas": 0.049}, {})
    verify(own, "pydarts", {"alphas": 0.2}, {"alphas": 0.07})  # as PyTorch with itself
    for case, error in ((own, 0.051), (tiny, 0.049), (own, float("nan"))):
        with pytest.raises(Failed, match="pydarts's alphas deviate"):
            verify(case, "pydarts", {"alphas": error}, {})
    with pytest.raises(Failed, match="are due"):
        compare("pydarts", {"losses": actual["losses"]}, expected)
    with pytest.raises(Failed, match="shape"):
        compare("pydarts", {**actual, "losses": np.zeros(1)}, expected)


def test_verify_over_text() -> None:
    tiny, derived = TEXT.quick(), by_name("text_derived")
    verify(tiny, "pydarts", {"losses": 9e-7, "weights": 9e-6, "alphas": 2.9e-4}, {})
    verify(TEXT, "pydarts", {"losses": 9e-6, "weights": 4e-2, "alphas": 1.9e-1}, {})
    verify(derived, "pydarts", {"losses": 9e-6, "weights": 1.9e-3}, {})
    for case, what, error in (
        (tiny, "weights", 1.1e-5),
        (tiny, "alphas", 3.1e-4),
        (by_name("text_first_order").quick(), "alphas", 1.1e-5),
        (TEXT, "alphas", 2.1e-1),
        (derived, "weights", 2.1e-3),
    ):
        with pytest.raises(Failed, match=f"pydarts's {what} deviate by .* at H="):
            verify(case, "pydarts", {what: error}, {})
    with pytest.raises(Failed, match="pydarts-fast's weights deviate"):
        verify(tiny, "pydarts-fast", {"weights": 1.1e-5}, {})


def test_report_is_saved_and_drawn(tmp_path: Path) -> None:
    points = [replace(RESULT, case=case) for case in sweep("batch")]
    own = {**environment(), "cpu_model": "GenuineIntel family 6 model 143"}
    report = Report("python -m benchmarks", 2, 3, own, {"pydarts": "1"}, {2: PEAKS})
    text = Result(TEXT, 2, {"pydarts": [0.5], "torch": [2.0]}, {}, {"pydarts": 1e-5})
    report.results, report.sweep = [RESULT, text], points
    report.save(tmp_path)
    heading = (tmp_path / "results.md").read_text("utf-8")
    assert "* FMA peak of 2 threads: 256-bit 200 GFLOP/s, 512-bit 190 GFLOP/s\n" in heading
    assert f"{report.environment['cpu']} ({report.environment['cpu_model']}), " in heading
    results = json.loads((tmp_path / "results.json").read_text("utf-8"))
    assert results["fma_peaks"] == {"2": {"256": 200e9, "512": 190e9}}
    gflops = results["results"][0]["pydarts"]["pydarts"]["gflops"]
    assert gflops == pytest.approx(13 * 2.409652224 / 0.5)
    pytest.importorskip("matplotlib")
    report.plot(tmp_path)
    assert {path.name for path in tmp_path.glob("*g")} == {
        f"{name}.{suffix}" for name in ("speedup", "scaling") for suffix in ("png", "svg")
    }


def test_the_environment_pins_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYDARTS_ISA", "baseline")
    child = child_environment(3)
    assert "OPENBLAS_CORETYPE" not in child
    assert child["OMP_NUM_THREADS"] == child["OPENBLAS_NUM_THREADS"] == "3"
    assert child["PYDARTS_ISA"] == "baseline"


@pytest.mark.slow
def test_the_peaks_are_measured_in_a_process_of_their_own() -> None:
    peaks = fma_peaks(1)
    assert peaks.keys() == _core.fma_peak(1).keys()
    assert all(flops > 1e8 for flops in peaks.values())
    assert best({256: 5.0, 512: 3.0}, {256: 4.0, 512: 6.0}) == {256: 5.0, 512: 6.0}
    assert best({}, {256: 4.0}) == {256: 4.0}


@pytest.mark.slow
@pytest.mark.parametrize("case", [TINY, TEXT], ids=["images", "text"])
def test_ours_runs_in_its_own_process(case: Case) -> None:
    result, versions = measure(case.quick(), ["pydarts"], threads=1, rounds=2, seconds=0)
    assert len(result.seconds["pydarts"]) == 2
    assert 0 < result.memory["pydarts"] < 100e6 or os.name == "nt"
    assert versions["pydarts"] == pydarts.__version__


@pytest.mark.slow
def test_a_contender_that_dies_is_named() -> None:
    impossible = replace(TINY.quick(), in_channels=0)
    with pytest.raises(Failed, match="pydarts ended with status 1"):
        measure(impossible, ["pydarts"], threads=1, rounds=1, seconds=0)


def test_usage_errors(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (["--case", "nothing"], "is none of"),
        (["--rounds", "0", "--quick", "--case", "skip_connect"], "0 is less than 1"),
        (["--contender", "jax"], "invalid choice"),
    ):
        with pytest.raises(SystemExit):
            main(arguments)
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("cores", "threads", "busy", "share"),
    [(2, 2, 0, 1.0), (2, 1, 1, 1.0), (2, 2, 1, 1.5), (4, 2, 2, 1.0), (2, 4, 4, 2.0)],
)
def test_fair_shares(cores: int, threads: int, busy: int, share: float) -> None:
    assert fair_share(cores, threads, busy) == pytest.approx(share)


def test_simulated_schedules() -> None:
    assert makespan([3.0, 1.0, 1.0, 1.0, 2.0], 2) == 5.0  # in order: the last one begins at 3
    assert makespan([1.0, 2.0], 8) == 2.0
    loops = [(0.5, [1.0] * 4), (0.25, [2.0]), (0.25, [])]
    assert simulate(loops, 1, 0.0) == 7.0
    assert simulate(loops, 2, 0.125) == 5.25
    assert share_offering(loops, 2) == pytest.approx(4 / 7)


def test_recorded_tasks() -> None:
    case = TINY.quick()
    assert isinstance(case, ImageCase)
    loops = record(case)
    assert loops[-1][1] == []
    assert max(len(tasks) for _, tasks in loops) > 2
    durations = [seconds for _, tasks in loops for seconds in tasks]
    assert min(durations) >= 0
    assert sum(durations) > 0  # a single one may be shorter than the clock's tick


@pytest.mark.slow
def test_the_hypergradient_is_measured_and_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.setattr(hypergradient, "BATCHES", 1)
    monkeypatch.setattr(hypergradient, "SHARES", (1.0,))
    monkeypatch.setattr(hypergradient, "TERMS", (1, 2, 5))
    (found,) = hypergradient.measure_search("digits", [0], images=12, terms=8)
    assert found.epoch == 0
    assert all(-1 <= value <= 1 for value in found.cosines.values())
    # More terms come closer to the whole series, which is longer than what they sum.
    by_terms = [found.cosines[f"K = {k}"] for k in hypergradient.TERMS]
    assert by_terms[0] < by_terms[-1] < 1
    assert found.cosines["first order"] < by_terms[-1]
    line = capsys.readouterr().out.strip()
    assert line.count("|") == hypergradient.head().partition("\n")[0].count("|")
    assert f"| {found.cosines['second order']:.3f} |" in line
    pytest.importorskip("matplotlib")
    hypergradient.draw([found, found._replace(epoch=1)], tmp_path / "figure.svg", 8)
    assert "second order" in (tmp_path / "figure.svg").read_text(encoding="utf-8")


def test_cells_under_a_limit_beside_random_ones(tmp_path: Path) -> None:
    path, options = tmp_path / "limited.json", {"limit": 1.9e-4}
    run = limited.Run(path, options)
    genotype = str(pydarts.DARTS_V2)
    kinds = {"gdas": (0.9, 0.91), "darts": (0.88, 0.9), "random": (0.88, 0.87, 0.89)}
    for kind, accuracies in kinds.items():
        for seed, accuracy in enumerate(accuracies):
            cell = {"kind": kind, "seed": seed, "genotype": genotype, "latency": 1.8e-4}
            run.keep({**cell, "accuracy": accuracy})
    found = limited.table(limited.Run(path, options), ["darts", "gdas"])
    darts, gdas, random = found.splitlines()[2:]
    # Of the ten ways to call two of five cells the searched ones the two best and the two worst.
    assert gdas.endswith("| 90.50% | +2.50 | 0.200 | 0.400 |")
    assert darts.endswith("| 89.00% | +1.00 | 0.500 | 0.500 |")
    assert random.endswith("| 88.00% | | | |")
    assert "| 6.0, 5.0, 5.0 |" in gdas  # of 16 edges
    with pytest.raises(SystemExit, match="other options"):
        limited.Run(path, {"limit": 1e-4})


def test_cells_of_which_half_the_edges_have_the_same_pool() -> None:
    for space in (DARTS, NAS_BENCH_201):
        drawn = pydarts.Genotype.random(0, space=space)
        found = latency.with_pools(drawn, 0)
        for cell in space.cells:
            pairs = zip(drawn.kept(cell.name), found.kept(cell.name), strict=True)
            changed = {new[0] for old, new in pairs if new != old}
            assert len(changed) == 1
            assert "pool" in changed.pop()


def test_the_network_whose_inference_is_measured_is_one_for_onnx(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    model = found_model(channels=2, cells=3, threads=1)
    model.to_onnx(tmp_path / "found.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "found.onnx")
    images = np.random.default_rng(0).normal(size=(3, 1, SIDE, SIDE)).astype(np.float32)
    expected = model.network.logits(images, training=False)
    np.testing.assert_allclose(session.run(None, {"images": images})[0], expected, atol=1e-4)
