# SPDX-License-Identifier: MIT
"""The C and C++ library: its test programs, and programs that find it where it is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pydarts

ROOT = Path(__file__).parents[1]
COMPILER = os.environ.get("CXX") or next(filter(shutil.which, ("c++", "g++", "clang++")), "")

pytestmark = [
    pytest.mark.skipif(not shutil.which("cmake"), reason="cmake is missing"),
    pytest.mark.skipif(not shutil.which(COMPILER), reason="a C++ compiler is missing"),
]


def run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True)
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


def test_the_test_programs_pass(cmakedir: Path, tmp_path: Path) -> None:
    run("cmake", "-S", ROOT / "cpp" / "tests", "-B", tmp_path, f"-Dpydarts_DIR={cmakedir}")
    run("cmake", "--build", tmp_path, "-j", os.cpu_count() or 1)
    run("ctest", "--output-on-failure", cwd=tmp_path)


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
