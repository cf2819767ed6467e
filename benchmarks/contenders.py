# SPDX-License-Identifier: MIT
"""The contenders; run as a program, one of them in a process of its own.

``python -m benchmarks.contenders SPEC`` builds what the JSON object SPEC names, at a tiny size and
at its own, takes a step of each, saves what they computed for the comparison, and reports that in a
line of JSON. Then it answers every line of its input, a time in seconds, by repeating the step for
that long.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks import build_images, build_text
from benchmarks.cases import Case, ImageCase, TextCase, from_fields
from benchmarks.inputs import Contender

SEARCH = ("second_order", "first_order")
IMAGES = (*SEARCH, "derived", "mixture")
TEXT = ("text_second_order", "text_first_order", "text_derived")
#: Those of the second order, which approximate.
SHORTCUTS: dict[str, Any] = {"hvp": "forward", "reuse_gradient": True}


@dataclass(frozen=True)
class Kind:
    """What a contender is.

    Parameters
    ----------
    module : str
        To import.
    cases : tuple of str
        Kinds of cases that it takes part in.
    images, text : callable, optional
        Build it for a case and a number of threads.
    """

    module: str
    cases: tuple[str, ...]
    images: Callable[[ImageCase, int], Contender] | None = None
    text: Callable[[TextCase, int], Contender] | None = None

    def build(self, case: Case, threads: int) -> Contender:
        """Return a step that can be repeated, and what gives its losses and gradients."""
        if isinstance(case, ImageCase) and self.images is not None:
            return self.images(case, threads)
        if isinstance(case, TextCase) and self.text is not None:
            return self.text(case, threads)
        raise TypeError(f"there is nothing to build for {case}")


CONTENDERS = {
    "pydarts": Kind(
        "pydarts", (*IMAGES, *TEXT), build_images.build_pydarts, build_text.build_pydarts
    ),
    "pydarts-recompute": Kind(
        "pydarts",
        (*SEARCH, "derived"),
        partial(build_images.build_pydarts, memory="recompute"),
    ),
    "pydarts-fast": Kind(
        "pydarts",
        ("second_order", "text_second_order"),
        partial(build_images.build_pydarts, **SHORTCUTS),
        partial(build_text.build_pydarts, **SHORTCUTS),
    ),
    "torch": Kind(
        "benchmarks.reference", (*IMAGES, *TEXT), build_images.build_torch, build_text.build_torch
    ),
    # Not timed: what pydarts-fast is compared with.
    "torch-fast": Kind(
        "benchmarks.reference",
        (),
        partial(build_images.build_torch, shortcuts=True),
        partial(build_text.build_torch, shortcuts=True),
    ),
    "torch-channels-last": Kind(
        "benchmarks.reference", IMAGES, partial(build_images.build_torch, channels_last=True)
    ),
}


def memory(field: str) -> int:
    """Return ``"VmRSS"``, bytes resident now, or ``"VmHWM"``, their peak in this process.

    Where there is no ``/proc`` both are the peak. On Linux ``getrusage`` would not do: its peak
    includes that of the process which this one was forked from.
    """
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) << 10 for line in status if line.startswith(field))
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10


def _forget_peak() -> None:
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


def _yield_memory() -> bool:
    """Give freed heap back if this process holds over a quarter of the machine's memory."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if memory("VmRSS") * 4 < total:
            return False
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError, ValueError):  # not Linux with glibc
        return False
    return True


def versions(module: str) -> dict[str, str]:
    """Return those of Python, numpy and what is measured."""
    found = {"python": platform.python_version(), "numpy": np.__version__}
    if module == "pydarts":
        from pydarts import _core

        found |= {"pydarts": _core.__version__, "instruction set": _core.instruction_set()}
    elif module == "benchmarks.reference":
        found["torch"] = importlib.import_module("torch").__version__
    return found


def stages(case: Case) -> list[Case]:
    """Return what is compared before the case is timed: the same at a tiny size, and itself."""
    return list(dict.fromkeys((case.quick(), case)))


def main(spec: str) -> None:
    """Serve one contender; see the module's first lines."""
    options = json.loads(spec)
    case = from_fields(options["case"])
    contender = CONTENDERS[options["contender"]]
    importlib.import_module(contender.module)
    for number, stage in enumerate(stages(case)):
        _forget_peak()
        before = memory("VmRSS")
        step, check = contender.build(stage, options["threads"])
        np.savez(f"{options['checks']}{number}.npz", **check(step()))  # type: ignore[arg-type]
    print(json.dumps(versions(contender.module)), flush=True)
    yielded = _yield_memory()
    for line in sys.stdin:
        if yielded:
            step()  # fetches the memory back
        seconds: list[float] = []
        end = perf_counter() + float(line)
        while not seconds or perf_counter() < end:
            start = perf_counter()
            step()
            seconds.append(perf_counter() - start)
        answer = {"seconds": median(seconds), "bytes": max(0, memory("VmHWM") - before)}
        print(json.dumps(answer), flush=True)
        yielded = _yield_memory()


if __name__ == "__main__":
    main(sys.argv[1])
