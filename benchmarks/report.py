# SPDX-License-Identifier: MIT
"""Tables, JSON and plots of what was measured."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import floor, log10
from pathlib import Path
from typing import Any

from pydarts.common.environment import hardware

from .measure import OURS, TORCH, Result, Spread

LABELS = {TORCH[0]: "PyTorch", TORCH[1]: "PyTorch channels-last"}
COLORS = dict(
    zip((*OURS, *TORCH), ("#2b6cb0", "#319795", "#805ad5", "#dd6b20", "#b7791f"), strict=True)
)


@dataclass
class Report:
    """All of one run.

    Parameters
    ----------
    command : str
        That repeats it.
    threads, rounds : int
        Of each contender.
    environment, versions : dict
        What it ran on, and what ran.
    peaks : dict
        For each number of threads FLOP/s of FMAs in registers, by the width of vectors in bits.
    results, sweep : list of Result
        Cases, and points of the sweep.
    """

    command: str
    threads: int
    rounds: int
    environment: dict[str, Any]
    versions: dict[str, str] = field(default_factory=dict)
    peaks: dict[int, dict[int, float]] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    sweep: list[Result] = field(default_factory=list)

    def markdown(self) -> str:
        """Return environment and tables."""
        parts = [self._heading()]
        if self.results:
            parts.append(table(self.results, self.peaks))
        if self.sweep:
            parts += [
                "Second-order step, one size varied at a time:",
                table(self.sweep, self.peaks),
            ]
        return "\n\n".join(parts) + "\n"

    def _heading(self) -> str:
        environment = self.environment
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        model = f" ({environment['cpu_model']})" if environment["cpu_model"] else ""
        peaks = "; ".join(
            f"FMA peak of {threads} thread{'s' * (threads > 1)}: "
            + ", ".join(f"{bits}-bit {flops / 1e9:,.0f} GFLOP/s" for bits, flops in widths.items())
            for threads, widths in sorted(self.peaks.items())
        )
        compared = all(r.deviations for r in self.results + self.sweep)
        verified = (
            "losses and gradients compared with PyTorch's before timing"
            if compared
            else "rows without a deviation were not compared with PyTorch"
        )
        return "\n".join(
            (
                f"`{self.command}`\n",
                f"* {environment['cpu']}{model}, {environment['cores']} cores, "
                f"{environment['memory']}; "
                f"{environment['system']}; load at the start {environment['load']}",
                f"* {versions}",
                f"* float32; threads: {self.threads}, rounds: {self.rounds}; median (range)",
                f"* {peaks}",
                f"* {verified}",
            )
        )

    def to_json(self) -> dict[str, Any]:
        """Return everything measured and derived."""
        return {
            "command": self.command,
            "threads": self.threads,
            "rounds": self.rounds,
            "environment": self.environment,
            "versions": self.versions,
            "fma_peaks": self.peaks,
            "results": [result.to_json() for result in self.results],
            "sweep": [result.to_json() for result in self.sweep],
        }

    def save(self, folder: Path) -> None:
        """Write ``results.md`` and ``results.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "results.md").write_text(self.markdown(), encoding="utf-8")
        text = json.dumps(self.to_json(), indent=1, ensure_ascii=False)
        (folder / "results.json").write_text(text + "\n", encoding="utf-8")

    def plot(self, folder: Path) -> None:
        """Draw ``speedup`` and ``scaling``, each as PNG and SVG, if there is anything in them."""
        for name, figure in (("speedup", self._speedup()), ("scaling", self._scaling())):
            if figure is not None:
                for suffix in ("png", "svg"):
                    figure.savefig(folder / f"{name}.{suffix}", dpi=150)

    def _speedup(self) -> Any:
        from matplotlib.figure import Figure

        rows = [
            (label, name, ratio)
            for result in reversed(self.results)
            for name, label in reversed(_rows(result))
            if (ratio := result.ratio(name)) is not None
        ]
        if not rows:
            return None
        figure = Figure(figsize=(7, 1.2 + 0.25 * len(rows)), layout="constrained")
        axes = figure.subplots()
        for y, (_, name, ratio) in enumerate(rows):
            axes.plot([ratio.minimum, ratio.maximum], [y, y], color=COLORS[name], linewidth=2)
            axes.plot(ratio.median, y, "o", color=COLORS[name])
            text = f"  {number(ratio.median)}×"
            axes.text(ratio.maximum, y, text, va="center", fontsize=8)
        axes.axvline(1, color="0.5", linewidth=1)
        axes.set_xscale("log")
        low = min(0.8, *(ratio.minimum / 1.2 for *_, ratio in rows))
        high = max(2.0, *(ratio.maximum * 1.5 for *_, ratio in rows))
        axes.set_xlim(low, high)
        ticks = [t * 10**e for e in range(-1, 3) for t in (1, 2, 5) if low <= t * 10**e <= high]
        axes.set_xticks(ticks, [f"{t:g}×" for t in ticks])
        axes.minorticks_off()
        axes.set_yticks(range(len(rows)), [label for label, *_ in rows], fontsize=8)
        axes.set_xlabel("times faster than the faster layout of PyTorch (median and range)")
        axes.grid(axis="x", color="0.9")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        return figure

    def _scaling(self) -> Any:
        from matplotlib.figure import Figure
        from matplotlib.ticker import LogLocator, NullLocator

        groups: dict[str, list[tuple[int, Result]]] = {}
        for result in self.sweep:
            parameter, value = result.case.name.rsplit("_", 1)
            groups.setdefault(parameter, []).append((int(value), result))
        if not groups:
            return None
        figure = Figure(figsize=(3.2 * len(groups), 3.2), layout="constrained")
        for axes, (parameter, points) in zip(
            figure.subplots(1, len(groups), squeeze=False)[0], groups.items(), strict=True
        ):
            values = [value for value, _ in points]
            for name, color in COLORS.items():
                spreads = [s for _, r in points if (s := r.spread(name)) is not None]
                if len(spreads) == len(points):
                    medians = [s.median for s in spreads]
                    axes.plot(values, medians, "o-", color=color, label=LABELS.get(name, name))
            arithmetic = [r.case.flops() / r.threads for _, r in points]
            start = next(iter(points[0][1].seconds.values()))
            scale = Spread.of(start).median / arithmetic[0]
            axes.plot(values, [scale * a for a in arithmetic], ":", color="0.5", label="arithmetic")
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xticks(values, [str(value) for value in values])
            axes.xaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(lambda y, _: f"{y:g}")
            axes.yaxis.set_minor_locator(NullLocator())
            axes.set_xlabel(parameter)
            axes.grid(color="0.9")
            axes.spines[["top", "right"]].set_visible(False)
        figure.axes[0].set_ylabel("seconds a step")
        figure.axes[0].legend(frameon=False, fontsize=8)
        return figure


def number(value: float) -> str:
    """Format with three digits, or all that stand before the point."""
    digits = 2 - floor(log10(float(f"{value:.2e}"))) if value > 0 else 0
    return f"{value:,.{max(0, digits)}f}"


def _rows(result: Result) -> list[tuple[str, str]]:
    """Return contender and label of every row that a result has: one for each of ours."""
    ours = [name for name in OURS if name in result.seconds] or [OURS[0]]
    variant = {name: name.removeprefix(OURS[0]).replace("-", ", ") for name in ours}
    return [(name, result.case.name + variant[name]) for name in ours]


def table(results: Sequence[Result], peaks: Mapping[int, Mapping[int, float]]) -> str:
    """Return a Markdown table; a column that no row has anything in is left out."""
    rows = [(result, *row) for result in results for row in _rows(result)]
    header = ["case", "size", "pydarts, ms"]
    header += [f"{label}, ms" for label in LABELS.values()]
    header += ["faster by", "GFLOP/s", "of peak", "pydarts, MB"]
    header += [f"{label}, MB" for label in LABELS.values()]
    header += ["less by", "deviation"]
    lines = []
    for r, name, label in rows:
        gflops, peak = r.gflops(name), max(peaks.get(r.threads, {}).values(), default=None)
        lines.append(
            [
                label,
                r.case.size,
                *(_spread(r.spread(n), 1e3) for n in (name, *LABELS)),
                _spread(r.ratio(name), 1, "×"),
                number(gflops) if gflops else "",
                f"{100e9 * gflops / peak:.0f} %" if gflops and peak else "",
                *(number(r.memory[n] / 1e6) if r.memory.get(n) else "" for n in (name, *LABELS)),
                f"{number(less)}×" if (less := r.memory_ratio(name)) else "",
                _deviation(r, name),
            ]
        )
    kept = [i for i in range(len(header)) if any(line[i] for line in lines)]
    cells = [header, ["---", "---", *["--:"] * (len(header) - 2)], *lines]
    return "\n".join("| " + " | ".join(line[i] or "–" for i in kept) + " |" for line in cells)


def _deviation(result: Result, name: str) -> str:
    if name not in result.deviations:
        return ""
    between_layouts = result.deviations.get(TORCH[1])
    layouts = "" if between_layouts is None else f" ({between_layouts:.0e})"
    return f"{result.deviations[name]:.0e}{layouts}"


def _spread(spread: Spread | None, scale: float, unit: str = "") -> str:
    if spread is None:
        return ""
    median, minimum, maximum = (
        number(scale * value) for value in (spread.median, spread.minimum, spread.maximum)
    )
    return f"{median}{unit} ({minimum}–{maximum})"


def environment() -> dict[str, Any]:
    """Return the hardware and its load."""
    load: float | None
    try:
        load = round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        load = None
    return {**hardware(), "load": load}
