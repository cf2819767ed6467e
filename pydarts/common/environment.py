# SPDX-License-Identifier: MIT
"""The environment of a run, for those who read its results."""

from __future__ import annotations

import os
import platform
from typing import Any

import numpy as np

from pydarts import _core


def cpu_model() -> str:
    """Return the processor's vendor, family and model as in `cpuid`; where there is none ``""``."""
    vendor, family, model = _core.processor()
    return f"{vendor} family {family} model {model}" if vendor else ""


def hardware() -> dict[str, Any]:
    """Return processor, cores, memory and system, as far as they are known."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as lines:
            names = [line.split(":", 1)[1] for line in lines if line.startswith("model name")]
        model = names[0].strip() if names else model
    except OSError:
        pass
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        memory = f"{total / 2**30:.0f} GiB"
    except (AttributeError, ValueError):
        memory = "memory unknown"
    return {
        "cpu": model,
        "cpu_model": cpu_model(),
        "cores": os.cpu_count(),
        "memory": memory,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def environment() -> dict[str, Any]:
    """Return the hardware, the instruction set that the engine chose, and versions."""
    return {
        **hardware(),
        "instruction_set": _core.instruction_set(),
        "pydarts": _core.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
