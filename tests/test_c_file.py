# SPDX-License-Identifier: MIT
"""One C file of a model: compilers accept it, and it computes what Python does.

`PYDARTS_DRAWN_C_FILES` is how many networks are drawn, 6 if it is not set.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from c_programs import (
    C99,
    COMPILER,
    MAIN,
    Array,
    Library,
    compile_strictly,
    drawn_model,
    run,
    sounds,
)
from drawn_spaces import Drawn, derived
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from nets import OTHER_SPACES, trained

import pydarts
from pydarts.export.c_file.arena import Block, plan
from pydarts.export.c_file.image_file import image_program
from pydarts.export.c_file.quantization import factor, quantize, quantized_images, run_quantized
from pydarts.export.c_file.source import Constants
from pydarts.spaces.recurrent import RecurrentGenotype

needs_compiler = pytest.mark.skipif(not COMPILER, reason="a C compiler is missing")
SPACES = (*OTHER_SPACES, "darts")
MOST_IN_SLOW = [
    space if space == "s4" else pytest.param(space, marks=pytest.mark.slow) for space in SPACES
]
CELL = RecurrentGenotype([("sigmoid", 0), ("identity", 1), ("tanh", 0), ("relu", 2)], [4, 1, 2])
PARTS_OF_SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g1")


def assert_close(actual: Array, expected: Array) -> None:
    """Compare to 1e-4 of the largest value."""
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= 1e-4 * np.abs(expected).max()


def integer_logits(model: pydarts.Model, calibration: Array, images: Array) -> Array:
    """Return what the NumPy reference of the integers gives."""
    n = model.normalization
    quantized = quantize(image_program(model), n.apply(calibration))
    return run_quantized(quantized, quantized_images(quantized.scales[0], images, n.mean, n.std))


@needs_compiler
@pytest.mark.parametrize("space", MOST_IN_SLOW)
def test_networks_of_all_spaces(space: str, tmp_path: Path) -> None:
    model, X = trained(space, 3)
    floats, ints = tmp_path / "net.c", tmp_path / "net8.c"
    model.to_c(floats, "net")
    written = model.to_c(ints, "net8", True, X)
    as_float = X.astype(np.float32)
    library = Library(floats)
    expected = model.logits(X)
    by_float = library.predict("net_predict", as_float, 2)
    assert_close(by_float, expected)
    assert np.array_equal(library.predict("net_predict_u8", X, 2), by_float)
    quantized = Library(ints)
    by_int = quantized.predict("net8_predict_u8", X, 2)
    assert np.array_equal(by_int, integer_logits(model, X, X))
    assert np.array_equal(quantized.predict("net8_predict", as_float, 2), by_int)
    assert np.abs(by_int - expected).max() <= 0.1 * np.abs(expected).max()
    assert written.loss.images == len(X)
    assert written.loss.agreement == (by_int.argmax(1) == expected.argmax(1)).mean()


def drawn_examples(count: int) -> Callable[[Any], Any]:
    """Return how networks are drawn: the same in every run."""
    return settings(
        max_examples=int(os.environ.get("PYDARTS_DRAWN_C_FILES", str(count))),
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@needs_compiler
@pytest.mark.slow
@drawn_examples(6)
@given(drawn=derived())
def test_drawn_networks(drawn: Drawn, tmp_path_factory: pytest.TempPathFactory) -> None:
    assume(drawn.genotype is not None)
    try:
        model = drawn_model(drawn)
    except ValueError:  # a space or a size that the engine refuses
        assume(False)
    rng = np.random.default_rng(drawn.seed)
    X = rng.integers(0, 256, (8, drawn.in_channels, drawn.height, drawn.width), np.uint8)
    if min(drawn.height, drawn.width) < 4 and model.space.dimensions == 2:
        assume(False)
    folder = tmp_path_factory.mktemp("drawn")
    model.to_c(folder / "net.c")
    model.to_c(folder / "net8.c", int8=True, calibration=X)
    library, ints = Library(folder / "net.c"), Library(folder / "net8.c")
    found = library.predict("model_predict_u8", X, 3)
    assert_close(found, model.logits(X))
    found = ints.predict("model_predict_u8", X, 3)
    assert np.array_equal(found, integer_logits(model, X, X))


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("space", SPACES)
def test_all_compilers_take_networks_of_all_spaces(space: str, tmp_path: Path) -> None:
    model, X = trained(space, 5)
    for int8 in (False, True):
        path = tmp_path / f"net{int8}.c"
        model.to_c(path, int8=int8, calibration=X if int8 else None)
        compile_strictly(path)


@needs_compiler
@pytest.mark.parametrize(
    ("space", "options"),
    [
        pytest.param(
            "darts", {"kind": "log_mel", "n_mels": 20, "length": 1900}, marks=pytest.mark.slow
        ),
        pytest.param(
            "darts",
            {"kind": "log_mel", "n_mels": 9, "hop": 0.02, "top_db": 30, "standardize": True},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "darts-1d",
            {"kind": "log_mel", "n_mels": 20, "window": 0.032, "standardize": True},
            marks=pytest.mark.slow,
        ),
        ("darts-1d", {"length": 500}),
    ],
)
def test_sounds(space: str, options: dict[str, Any], tmp_path: Path) -> None:
    X = sounds()
    model = pydarts.train(
        pydarts.Genotype.random(1, space=pydarts.spaces.as_space(space)),
        X,
        np.arange(24) % 2,
        preprocessing=pydarts.Preprocessing(rate=8000, **options),
        channels=4,
        cells=2,
        epochs=1,
        batch_size=8,
        threads=1,
        progress=False,
    )
    expected, length = model.logits(X), options.get("length", 2000)
    as_float = X[:, :length].astype(np.float32) / 32768
    for int8 in (False, True):
        path = tmp_path / f"sound{int8}.c"
        model.to_c(path, int8=int8, calibration=X if int8 else None)
        assert "predict_u8" not in path.read_text()
        library = Library(path)
        found = library.predict("model_predict_i16", X[:, :length], 2)
        assert np.array_equal(library.predict("model_predict", as_float, 2), found)
        if int8:
            assert np.abs(found - expected).max() <= 0.1 * np.abs(expected).max()
        else:
            assert_close(found, expected)


@needs_compiler
@pytest.mark.parametrize("genotype", [CELL, pydarts.RECURRENT_DARTS_V2], ids=["all", "V2"])
def test_text(genotype: RecurrentGenotype, tmp_path: Path) -> None:
    text = "The quick brown fox jumps over the lazy dog.\n" * 60
    options: dict[str, Any] = {"hidden_size": 13, "epochs": 1, "batch_size": 4, "bptt": 10}
    model = pydarts.train_text(genotype, text, threads=1, progress=False, **options)
    path, size = tmp_path / "text.c", len(model.vocabulary)
    written = model.to_c(path, "text")
    assert written.macs == 13 * (4 * 13 + 2 * len(genotype.recurrent) * 13 + size)
    library = Library(path)
    state, logits = np.zeros(13, np.float32), np.zeros(size, np.float32)
    hidden = None
    for token in np.random.default_rng(0).integers(0, size, 30).tolist():
        p, hidden = model.network.next_probabilities([token], hidden=hidden)
        library.call("text_step", ctypes.c_int32(token), state, logits)
        odds = np.exp(logits - logits.max())
        assert_close(odds / odds.sum(), p[0])
        assert_close(state, hidden[0])


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("space", ["s4", "by-edge"])
def test_sanitizers_have_nothing_to_say(space: str, tmp_path: Path) -> None:
    model, X = trained(space, 4)
    main, program = tmp_path / "main.c", tmp_path / "program"
    for int8 in (False, True):
        model.to_c(tmp_path / "net.c", "net", int8, X if int8 else None, overwrite=True)
        inputs = X[0].size
        main.write_text(
            MAIN.format(function="net_predict_u8", kind="uint8_t", inputs=inputs, outputs=2)
        )
        sources = [main, tmp_path / "net.c"]
        run([COMPILER, *C99, "-O1", *PARTS_OF_SANITIZERS, *sources, "-o", program, "-lm"])
        found = np.frombuffer(run([program], X.tobytes()), np.float32).reshape(-1, 2)
        if int8:
            assert np.array_equal(found, integer_logits(model, X, X))
        else:
            assert_close(found, model.logits(X))


@needs_compiler
@pytest.mark.slow
def test_all_compilers_take_two_files_in_one_program(tmp_path: Path) -> None:
    model, X = trained("s4", 0)
    both = tmp_path / "both.c"
    model.to_c(tmp_path / "a.c", "a")
    model.to_c(tmp_path / "b.c", "b", True, X)
    both.write_text('#include "a.c"\n#include "b.c"\n')
    compile_strictly(both)


def test_what_the_header_says(tmp_path: Path) -> None:
    model, X = trained("nas-bench-201", 0)
    path = tmp_path / "net.c"
    written = model.to_c(path, "net", True, (X, np.arange(20) % 2), test=(X[:6], [0, 1] * 3))
    text = path.read_text()
    header = text[: text.index("*/")]
    assert f"{written.macs:,} multiply-adds; {written.constants:,} bytes of constants" in header
    assert f"{written.arena:,} bytes of static memory" in header
    floats = int(re.search(r"static float net_arena\[(\d+)\]", text).group(1))  # type: ignore[union-attr]
    assert 4 * floats == written.arena
    bytes_of = {"float": 4, "int8_t": 1, "int32_t": 4}
    arrays = re.findall(r"static const (\w+) net_\w+\[(\d+)\]", text)
    layers = 32 * text.count("static const net_layer ")
    assert sum(bytes_of[kind] * int(n) for kind, n in arrays) + layers == written.constants
    loss = written.loss
    assert (loss.images, loss.float_score) == (6, model.score(X[:6], [0, 1] * 3))
    assert "points lost" in str(loss)


def test_nothing_unusable_is_written(tmp_path: Path) -> None:
    model, X = trained("nas-bench-201", 0)
    path = tmp_path / "net.c"
    for name in ("1net", "a-b", "", "_net", "nét", "n" * 49):
        with pytest.raises(ValueError, match=r"`name` \(="):
            model.to_c(path, name)
    with pytest.raises(TypeError, match=r"`name` \(=3\)"):
        model.to_c(path, 3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"`calibration` \(=None\) is needed by `int8`=True"):
        model.to_c(path, int8=True)
    with pytest.raises(ValueError, match="`calibration` is of no use without"):
        model.to_c(path, calibration=X)
    with pytest.raises(TypeError, match=r"`int8` \(=8\)"):
        model.to_c(path, int8=8, calibration=X)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"`calibration` holds images of \(2, 12, 16\)"):
        model.to_c(path, int8=True, calibration=X[:, :, 4:])
    with pytest.raises(ValueError, match="`test` X holds 20 images but `y` holds 2 labels"):
        model.to_c(path, int8=True, calibration=X, test=(X, [0, 1]))
    assert not path.exists()
    path.write_text("precious")
    with pytest.raises(FileExistsError):
        model.to_c(path)
    assert path.read_text() == "precious"
    model.network.flat_weights[0] = np.nan
    with pytest.raises(ValueError, match="`model` has NaN or infinite numbers in its weights"):
        model.to_c(path, int8=True, calibration=X, overwrite=True)
    assert path.read_text() == "precious"
    with pytest.raises(ValueError, match="`model` has NaN or infinite numbers in net_bias"):
        Constants("net").array("float", "bias", np.array([1.0, np.inf]))


@given(
    st.lists(
        st.builds(
            lambda size, start, life: Block(size, start, start + life),
            st.integers(1, 300),
            st.integers(0, 12),
            st.integers(0, 6),
        ),
        min_size=1,
        max_size=14,
    )
)
def test_blocks_of_one_time_share_no_byte(blocks: list[Block]) -> None:
    layout = plan(blocks)
    used = [-1] * layout.size
    for time in range(19):
        now = [i for i, block in enumerate(blocks) if block.start <= time <= block.end]
        owner: dict[int, int] = {}
        for i in now:
            at = layout.offsets[i]
            assert at % 16 == 0
            for byte in range(at, at + blocks[i].size):
                assert byte < layout.size
                assert owner.setdefault(byte, i) == i
                used[byte] = i
    assert used[-1] >= 0


@given(st.floats(1e-18, 1e8), st.integers(-(2**31), 2**31 - 1))
def test_factors(value: float, number: int) -> None:
    multiplier, shift = (int(a[0]) for a in factor(np.array([value])))
    assert 1 <= shift <= 62
    assert multiplier == 0 or 2**30 <= multiplier < 2**31
    if multiplier:
        assert abs(Fraction(multiplier, 2**shift) / Fraction(value) - 1) <= Fraction(1, 2**31)
    else:
        assert abs(number * value) < 0.5


@needs_compiler
@pytest.mark.parametrize("task", ["regression", pytest.param("multilabel", marks=pytest.mark.slow)])
def test_numbers_and_several_labels(task: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    X = rng.integers(0, 256, (32, 8, 8), np.uint8)
    means = X.reshape(32, 4, 16).mean(axis=2)[:, :3]
    y = 20 + 3 * means if task == "regression" else (means > 127).astype(int)
    sizes = {"channels": 2, "cells": 2, "epochs": 1, "batch_size": 8, "seed": 1}
    model = pydarts.train(pydarts.DARTS_V2, X, y, task=task, threads=1, progress=False, **sizes)
    model.to_c(tmp_path / "net.c", "net")
    found = Library(tmp_path / "net.c").predict("net_predict_u8", X, 3)
    assert_close(found, model.predict(X) if task == "regression" else model.logits(X))
    loss = model.to_c(tmp_path / "net8.c", "net8", True, (X, y)).loss
    by_int = integer_logits(model, X[:, np.newaxis], X[:, np.newaxis])
    assert np.array_equal(Library(tmp_path / "net8.c").predict("net8_predict_u8", X, 3), by_int)
    assert loss.metric == model.objective.metric
    assert loss.float_score == pytest.approx(model.score(X, y), abs=1e-6)
    if task == "multilabel":
        assert loss.agreement == ((by_int > 0) == (model.logits(X) > 0)).mean()
        assert loss.int8_score == pytest.approx(model.objective.score(by_int, y), abs=1e-6)
        assert "decides" in str(loss)
    else:
        away = y - by_int
        r2 = 1 - (away**2).sum(axis=0) / ((y - y.mean(axis=0)) ** 2).sum(axis=0)
        assert loss.agreement is None
        assert loss.int8_score == pytest.approx(r2.mean(), abs=1e-3)
        assert "decides" not in str(loss)
