# SPDX-License-Identifier: MIT
"""Which processor this is, and how fast its multiply-adds are."""

from __future__ import annotations

from pathlib import Path

import pytest

from pydarts import _core
from pydarts.common.environment import cpu_model, hardware


def test_the_processor_is_that_of_the_system() -> None:
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        pytest.skip("this system has no /proc/cpuinfo")
    facts = dict(map(str.strip, line.split(":", 1)) for line in lines if ":" in line)
    if "cpu family" not in facts:
        pytest.skip("not an x86 processor")
    own = (facts["vendor_id"], int(facts["cpu family"]), int(facts["model"]))
    assert _core.processor() == own
    assert cpu_model() == "{} family {} model {}".format(*own) == hardware()["cpu_model"]


def test_elsewhere_the_model_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_core, "processor", lambda: ("", 0, 0))
    assert hardware()["cpu_model"] == ""


@pytest.mark.slow
def test_fma_peaks_are_plausible() -> None:
    measured = [_core.fma_peak(1) for _ in range(3)]  # other work slows single ones
    peaks = {bits: max(each[bits] for each in measured) for bits in measured[0]}
    supported = {name for name, runs in _core.instruction_sets() if runs}
    needed = {"neon": 128, "avx2": 256, "avx512": 512}
    assert {bits for name, bits in needed.items() if name in supported} <= peaks.keys()
    assert list(peaks) == sorted(peaks)
    for bits, flops in peaks.items():
        # Two operations for each number, at most four units and 6 GHz.
        assert 1e8 < flops < 2 * bits / 32 * 4 * 6e9, bits


def test_fma_peak_wants_a_thread() -> None:
    with pytest.raises(ValueError, match=r"`threads` \(=0\) must lie in 1..1024"):
        _core.fma_peak(0)
