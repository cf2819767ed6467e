# SPDX-License-Identifier: MIT
"""The C and C++ library: its test programs, and programs that find it where it is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pydarts
from pydarts import Genotype
from pydarts.bilevel import BilevelStep, arch_gradient
from pydarts.engine.sgd import SGD

ROOT = Path(__file__).parents[1]
COMPILER = os.environ.get("CXX") or next(filter(shutil.which, ("c++", "g++", "clang++")), "")

pytestmark = [
    pytest.mark.skipif(not shutil.which("cmake"), reason="cmake is missing"),
    pytest.mark.skipif(not shutil.which(COMPILER), reason="a C++ compiler is missing"),
]


def run(*command: str | Path, cwd: Path | None = None, text: str = "") -> str:
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, input=text, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def cmakedir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the library that came with the package, else of one that is built once in ``build/``."""
    asked = [sys.executable, "-m", "pydarts", "--cmakedir"]
    elsewhere = tmp_path_factory.mktemp("elsewhere")  # where the source is not what is imported
    done = subprocess.run(asked, capture_output=True, text=True, cwd=elsewhere)
    if done.returncode == 0:
        return Path(done.stdout.strip())
    build = ROOT / "build" / "library"
    run("cmake", "-S", ROOT, "-B", build, "-DPYDARTS_BUILD_PYTHON=OFF")
    run("cmake", "--build", build, "-j", os.cpu_count() or 1)
    run("cmake", "--install", build, "--prefix", build / "prefix")
    return build / "prefix" / "share" / "cmake" / "pydarts"


@pytest.fixture(scope="module")
def programs(cmakedir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the test programs, built against the installed library."""
    build = tmp_path_factory.mktemp("programs")
    run("cmake", "-S", ROOT / "cpp" / "tests", "-B", build, f"-Dpydarts_DIR={cmakedir}")
    run("cmake", "--build", build, "-j", os.cpu_count() or 1)
    return build


@pytest.mark.slow
def test_the_test_programs_pass(programs: Path) -> None:
    run("ctest", "--output-on-failure", cwd=programs)


@pytest.mark.slow
def test_genotypes_are_those_of_python(programs: Path) -> None:
    random = np.random.default_rng(0)
    alphas = random.normal(size=(300, 2, 14, 8)) * random.choice([1e-3, 1, 30], size=(300, 1, 1, 1))
    alphas[::2] = alphas[::2].round(1)  # ties of operations
    one_row = np.broadcast_to(alphas[::3, :, :1], alphas[::3].shape)
    alphas[::3] = random.permuted(one_row, axis=3)  # ties of edges
    alphas = alphas.astype(np.float32)
    numbers = " ".join(map(repr, alphas.ravel().tolist()))
    expected = [Genotype.derive({"normal": a[0], "reduce": a[1]}).to_json() for a in alphas]
    given = run(programs / "derive_genotypes", text=numbers)
    assert given == "".join(genotype + "\n" for genotype in expected)


def segment(step: int) -> tuple[np.ndarray, np.ndarray]:
    """The tokens of `Text` in cpp/tests/test_capi_recurrent.cpp."""
    i = np.arange(6 * 3, dtype=np.int32).reshape(6, 3)
    return (7 * i + step) % 9, (5 * i + 2 * step + 1) % 9


@pytest.mark.slow
def test_recurrent_numbers_are_those_of_python(programs: Path, tmp_path: Path) -> None:
    lines = iter(run(programs / "test_capi_recurrent", tmp_path, "print").splitlines())

    def same(name: str, expected: np.ndarray) -> None:
        given, *numbers = next(lines).split()
        assert given == name
        values = np.array([float.fromhex(number) for number in numbers], np.float32)
        flat = np.ascontiguousarray(expected, np.float32).ravel()
        assert np.array_equal(values.view(np.uint32), flat.view(np.uint32)), name

    dropouts = dict.fromkeys(
        ("dropout", "dropout_hidden", "dropout_input", "dropout_embedding"), 0.3
    )
    (x, y), (x_valid, y_valid) = segment(0), segment(1)
    for order in (1, 2):
        net = pydarts.RecurrentSupernet(9, 20, seed=5, threads=1, **dropouts)
        zero = np.zeros((3, 20), np.float32)
        _, gradients = net.loss_and_grads(x, y, ar=0.5, tar=0.25)
        same("d_weights", np.concatenate([g.ravel() for g in gradients["weights"].values()]))
        same("d_alphas", gradients["alphas"]["recurrent"])
        hidden = (net.last_hidden, zero)
        step = BilevelStep(net, order=order)
        for _ in range(3):
            info = step(train=(x, y), valid=(x_valid, y_valid), lr=0.5, hidden=hidden)
            hidden = (info.hidden, info.valid_hidden)
        state = step.state()
        for name in ("weights", "alphas", "running"):
            same("values", state[name])
        for after in hidden:
            same("hidden", after)
        gradient = arch_gradient(
            net,
            train=(x, y),
            valid=(x_valid, y_valid),
            hidden=hidden,
            order=order,
            eta=0.5,
            momentum_buffer=step.momentum_buffer,
        )
        same("gradient", gradient["recurrent"])
        text = net.space.derive(net.alphas).to_json()
        assert [next(lines) for _ in text.splitlines()] == text.splitlines()

    cell = [("relu", 0), ("tanh", 1), ("sigmoid", 0), ("identity", 2)]
    genotype = pydarts.RecurrentGenotype(cell, [1, 2, 4])
    derived = pydarts.RecurrentNetwork(genotype, 9, 20, seed=5, threads=3, **dropouts)
    sgd = SGD(derived, momentum=0.0, weight_decay=5e-7, max_grad_norm=0.25, tar=1e-3)
    after = None
    for _ in range(3):
        after = sgd(x, y, 0.5, hidden=after).hidden
    same("weights", derived.state()["weights"])
    probabilities, _ = derived.next_probabilities([3])
    same("probabilities", probabilities)

    model = pydarts.LanguageModel.load(tmp_path / "model")
    assert model.genotype == genotype and model.vocabulary.tokens[5] == "é"
    for name, value in derived.state_dict().items():
        assert np.array_equal(model.network.state_dict()[name], value), name
    model.save(tmp_path / "again")
    other = run(programs / "test_capi_recurrent", tmp_path / "again", "load")
    values = np.array([float.fromhex(number) for number in other.split()], np.float32)
    assert np.array_equal(values, np.ravel(probabilities))


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("pkg-config"), reason="pkg-config is missing")
def test_pkg_config_finds_it(
    cmakedir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (found,) = cmakedir.parents[2].glob("lib*/**/pydarts.pc")
    monkeypatch.setenv("PKG_CONFIG_PATH", str(found.parent))
    assert run("pkg-config", "--modversion", "pydarts").strip() == pydarts.__version__
    source = tmp_path / "program.cpp"
    source.write_text(
        "#include <pydarts/operation.hpp>\n"
        "int main() { return int(pydarts::MixedOperation<float>().num_weights()); }\n"
    )
    flags = run("pkg-config", "--cflags", "--libs", "pydarts").split()
    run(COMPILER, source, *flags, "-o", tmp_path / "program")
    run(tmp_path / "program")


def test_the_header_says_the_version() -> None:
    header = (ROOT / "cpp" / "include" / "pydarts.h").read_text(encoding="utf-8")
    numbers = re.findall(r"#define PYDARTS_VERSION_[A-Z]+ (\d+)", header)
    assert ".".join(numbers) == pydarts.__version__
