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
