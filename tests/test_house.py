# SPDX-License-Identifier: MIT
"""The package's architecture: who imports whom, and what an import of the package costs.

The rooms are the folders of `pydarts`. What a room may import is in `MAY_IMPORT`; CONTRIBUTING.md
draws it.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import pydarts

HOUSE = Path(__file__).parents[1] / "pydarts"

#: Every room with the rooms that it may import, which come before it.
MAY_IMPORT = {
    "common": "",
    "spaces": "common",
    "drawing": "spaces common",
    "engine": "spaces common",
    "data": "common",
    "costs": "engine spaces common",
    "methods": "engine spaces common",
    "training": "methods data costs engine drawing spaces common",
    "models": "training data costs engine spaces common",
    "tasks": "models training methods data costs engine spaces common",
    "evaluation": "tasks models training methods data costs engine drawing spaces common",
    "api": "evaluation tasks models training methods data costs engine drawing spaces common",
    "export": "api evaluation tasks models training methods data costs engine drawing spaces "
    "common",
    "report": "api evaluation tasks models training methods data costs engine drawing spaces "
    "common",
    "cli": "report export api evaluation tasks models training methods data costs engine drawing "
    "spaces common",
}
#: What a question about kinds of genotypes or networks would name; `BaseGenotype` may be asked for.
KINDS = {
    "Genotype",
    "ImageNetwork",
    "MixedOperation",
    "Network",
    "RecurrentGenotype",
    "RecurrentNetwork",
    "RecurrentSupernet",
    "Supernet",
    "TextNetwork",
}
#: Rooms that know kinds, and so may ask.
KNOWS_KINDS = ("spaces", "tasks")
#: The compiled engine, which every room may import.
CORE = "pydarts._core"
#: Files directly in the package.
MAX_FILES = 8
#: Seconds that `import pydarts` may take when numpy is imported.
MAX_IMPORT_SECONDS = 0.15


@cache
def modules() -> dict[str, Path]:
    """Return every module of the package with its file."""
    found = {}
    for path in sorted(HOUSE.rglob("*.py")):
        parts = path.relative_to(HOUSE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if path.stem == "__init__" else parts)] = path
    assert len(found) > 50
    return found


@cache
def tree(name: str) -> ast.Module:
    """Return the syntax tree of a module."""
    return ast.parse(modules()[name].read_text(encoding="utf-8"))


def room(name: str) -> str:
    """Return a module's room, or ``"top"`` if it is directly in the package."""
    parts = name.split(".")
    is_room = len(parts) > 2 or (len(parts) == 2 and modules()[name].stem == "__init__")
    return parts[1] if is_room else "top"


def imports(name: str) -> Iterator[tuple[str, bool]]:
    """Yield what of the package a module imports, and whether a function does; no types."""
    package = name if modules()[name].stem == "__init__" else name.rpartition(".")[0]
    todo: list[tuple[ast.AST, bool]] = [(tree(name), False)]
    while todo:
        node, inside = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            todo += [(child, inside) for child in node.orelse]
            continue
        targets: list[str] = []
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            parents = parents[: len(parents) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            full = [f"{base}.{alias.name}" for alias in node.names]
            targets = [each if each in modules() else base for each in full if each != CORE]
        for target in targets:
            if target.split(".")[0] == "pydarts" and target in modules():
                yield target, inside
        function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        todo += [(child, inside or function) for child in ast.iter_child_nodes(node)]


@cache
def graph() -> dict[str, set[str]]:
    """Return the modules that each module imports."""
    return {name: {target for target, _ in imports(name)} for name in modules()}


def test_rooms_import_only_what_they_may() -> None:
    assert {room(name) for name in modules()} - {"top"} == MAY_IMPORT.keys()
    wrong = [
        f"{name} imports {target}"
        for name, targets in graph().items()
        if room(name) != "top"
        for target in sorted(targets)
        if room(target) not in (room(name), *MAY_IMPORT[room(name)].split())
    ]
    assert not wrong


def test_the_table_has_no_way_back() -> None:
    seen: set[str] = set()
    for name, allowed in MAY_IMPORT.items():
        assert set(allowed.split()) <= seen, name
        seen.add(name)


def test_no_module_imports_itself_by_way_of_others() -> None:
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        if name not in done:
            for target in sorted(graph()[name]):
                visit(target, (*path, name))
            done.add(name)

    for name in modules():
        visit(name, ())


def test_no_function_imports_from_the_package() -> None:
    wrong = [f"{name}: {to}" for name in modules() for to, inside in imports(name) if inside]
    assert not wrong


def test_modules_of_the_package_are_not_imported_by_name() -> None:
    # What an import statement does not show is attached at the top and called in one place.
    wrong = []
    for name in modules():
        for node in ast.walk(tree(name)):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called.endswith(("import_module", "__import__")):
                constant = bool(node.args) and isinstance(node.args[0], ast.Constant)
                text = ast.unparse(node.args[0]) if node.args else ""
                if not constant or "pydarts" in text:
                    wrong.append(name)
    assert set(wrong) <= {"pydarts.common.extensions"}


def test_what_is_attached_is_there() -> None:
    places = {}
    for name in modules():
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found = re.fullmatch(r"(pydarts(?:\.\w+)+):(\w+)", node.value)
                if found:
                    places[node.value] = name, *found.groups()
    for name, module, function in places.values():
        assert name == "pydarts", f"{name} attaches {module}:{function}"
        defined = {
            node.name
            for node in tree(module).body
            if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        }
        assert function in defined, f"{module}:{function}"


def test_no_name_hides_a_module() -> None:
    wrong = []
    for package, path in modules().items():
        if path.stem != "__init__":
            continue
        for node in tree(package).body:
            names: list[tuple[str, str]] = []
            if isinstance(node, ast.ImportFrom):
                base = node.module or ""
                names = [(a.asname or a.name, f"{base}.{a.name}") for a in node.names]
            elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                names = [(node.name, "")]
            elif isinstance(node, (ast.Assign, ast.AnnAssign)):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names = [(target.id, "") for target in targets if isinstance(target, ast.Name)]
            for name, source in names:
                module = f"{package}.{name}"
                if module in modules() and source != module:
                    wrong.append(f"{module} is hidden by {source or 'a definition'}")
    assert not wrong


def test_few_files_are_directly_in_the_package() -> None:
    built = (".so", ".pyd", ".dylib")
    files = [path.name for path in HOUSE.iterdir() if path.is_file() and path.suffix not in built]
    assert len(files) <= MAX_FILES, sorted(files)


def asked_for(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the classes that a node compares the class of something with."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id in ("isinstance", "issubclass") and len(node.args) == 2:
            yield node.args[1]
    elif isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        if any("type(" in ast.unparse(side) or "__class__" in ast.unparse(side) for side in sides):
            yield from sides
    elif isinstance(node, ast.MatchClass):
        yield node.cls


def test_kinds_are_asked_for_where_they_are_known() -> None:
    wrong = []
    for name in modules():
        if room(name) in KNOWS_KINDS:
            continue
        for node in ast.walk(tree(name)):
            for classes in asked_for(node):
                words = set(re.findall(r"\w+", ast.unparse(classes)))
                if words & KINDS:
                    wrong.append(f"{name}:{getattr(node, 'lineno', 0)}: {ast.unparse(node)}")
    assert not wrong


def test_public_names_exist() -> None:
    assert len(set(pydarts.__all__)) == len(pydarts.__all__)
    missing = [name for name in pydarts.__all__ if not hasattr(pydarts, name)]
    assert not missing


def run(code: str) -> str:
    """Return what code prints in a process that finds `pydarts` where this one found it."""
    found = str(Path(pydarts.__file__).parents[1])
    # Not what importing the package may have set here, nor that nothing is to be compiled.
    kept = ("HOME", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "SYSTEMROOT")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {found!r})\n{code}"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_import_leaves_environment_and_logging_alone() -> None:
    output = run("""
import logging, os, sys
import numpy, safetensors.numpy, tqdm
def state():
    names = [None, *logging.root.manager.loggerDict]
    found = {n: logging.getLogger(n) for n in names}
    return dict(os.environ), {n: (a.level, a.disabled, [*a.handlers]) for n, a in found.items()}
environment, loggers = state()
import pydarts
after, more = state()
assert after == environment, {*after.items()} ^ {*environment.items()}
assert logging.root.manager.disable == 0
for name, settings in more.items():
    assert settings == loggers.get(name, (logging.NOTSET, False, [])), name
optional = {"distributed", "matplotlib", "mpi4py", "onnx", "pandas", "sklearn", "tensorboardX"}
optional.add("torch")
print(sorted(optional & sys.modules.keys()))
""")
    assert output.strip() == "[]"


@pytest.mark.slow
def test_an_import_is_quick() -> None:
    # Seconds of the processor, for others may be using it, too. On a slow or busy one numpy's own
    # import, of about 100 ms elsewhere, says how slow.
    code = """
import time
start = time.process_time()
import numpy
middle = time.process_time()
import pydarts
print(middle - start, time.process_time() - middle)
"""
    run(code)  # compiles
    seconds = [tuple(map(float, run(code).split())) for _ in range(4)]
    numpy, own = (min(column) for column in zip(*seconds, strict=True))
    assert own <= max(MAX_IMPORT_SECONDS, 1.5 * numpy), f"{1e3 * own:.0f} ms more than numpy"
