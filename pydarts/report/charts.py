# SPDX-License-Identifier: MIT
"""Charts as self-contained SVG text: lines over epochs, and scores side by side.

Their text keeps its size: a page lays out small charts in columns instead of scaling large ones, so
that they can be read on a phone. A page needs `CHART_STYLE` once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, NamedTuple

from pydarts.drawing.svg import decimal, escape, operation_colours, svg_element


class Look(NamedTuple):
    """Colour of a line in light and in dark surroundings, and its dashes."""

    light: str
    dark: str
    dash: str = ""


#: Looks of series that have none of their own.
PALETTE: Final = (
    Look("#1b6ec2", "#62aef5"),
    Look("#c2570c", "#f29a52", "5 3"),
    Look("#7c4bc9", "#b795f0", "1.5 2.5"),
)

CHART_STYLE: Final = """\
.pydarts-chart{--ink:#1f2430;--muted:#5b6270;--grid:#e3e6ea;max-width:100%;height:auto}
.pydarts-chart text{font:11px system-ui,'Segoe UI','DejaVu Sans',sans-serif;fill:var(--muted)}
.pydarts-chart .title{font-size:13px;font-weight:600;fill:var(--ink)}
.pydarts-chart .grid{stroke:var(--grid);fill:none}
.pydarts-chart .now{stroke:var(--muted);stroke-width:1;visibility:var(--shown,hidden)}
.pydarts-chart .line{fill:none;stroke:var(--light);stroke-width:1.8;stroke-linejoin:round}
.pydarts-chart .dot{fill:var(--light)}
.pydarts-chart .mean{stroke:var(--light);stroke-width:2.5}
.pydarts-chart .hit{fill:none;pointer-events:all}
@media (prefers-color-scheme:dark){
.pydarts-chart{--ink:#e8ebf0;--muted:#a3abb8;--grid:#343a45}
.pydarts-chart .line,.pydarts-chart .mean{stroke:var(--dark)}
.pydarts-chart .dot{fill:var(--dark)}
}"""

_TITLE: Final = '<text class="title" x="4" y="14">{}</text>'
_CHAR: Final = 6.4  # width of a character of 11 px, generously
_LARGEST: Final = 1e100  # beyond that, and below its inverse, ticks would overflow


@dataclass(frozen=True)
class Series:
    """A line: its name, a value for each epoch (None where there is none), and how it looks.

    Without a look it takes the next of the palette.
    """

    name: str
    values: Sequence[float | None]
    start: int = 1  # epoch of the first value
    look: Look | None = None


def line_chart(
    title: str,
    series: Sequence[Series],
    span: tuple[int, int],
    *,
    size: tuple[int, int] = (340, 220),
    bounds: tuple[float, float] | None = None,
    percent: bool = False,
    legend: bool = True,
    points: bool = True,
) -> str | None:
    """Draw values over epochs.

    Parameters
    ----------
    title : str
        What is drawn.
    series : sequence of Series
        The lines.
    span : tuple of int
        First and last epoch of the axis.
    size : tuple of int
        Width and height in pixels.
    bounds : tuple of float, optional
        Minimum and maximum of the axis; by default those of the series.
    percent : bool
        Whether values are shares, to be shown in per cent.
    legend, points : bool
        Whether to name the lines, and to show every value to a pointer that rests on it.

    Returns
    -------
    str or None
        An SVG element with a text alternative, or None where there is no finite value. A vertical
        line stands at the share ``--at`` of the span if the page sets ``--shown:visible``.
    """
    chosen = [s.look or PALETTE[k % len(PALETTE)] for k, s in enumerate(series)]
    lines = [_drawable(s.values) for s in series]
    values = [v for line in lines for v in line if v is not None]
    if not values:
        return None
    first, last = span
    low, high = bounds or (min(values), max(values))
    ticks, low, high = _axis(low, high, size[1], whole=bounds is None)
    labels = [_format(tick, percent) for tick in ticks]
    left = 10 + _CHAR * max(map(len, labels))
    top = 42.0 if legend else 26.0
    right, bottom = size[0] - 10.0, size[1] - 22.0

    def x(epoch: float) -> float:
        return left + (right - left) * ((epoch - first) / (last - first) if last > first else 0.5)

    def y(value: float) -> float:
        return bottom - (bottom - top) * (value - low) / (high - low)

    drawn = [_TITLE.format(escape(title))]
    if legend:
        drawn += _legend(series, chosen, left)
    for tick, label in zip(ticks, labels, strict=True):
        drawn.append(f'<path class="grid" d="{_point("M", left, y(tick))}H{decimal(right)}"/>')
        drawn.append(_text(left - 5, y(tick) + 4, label, "end"))
    for epoch in _epochs(first, last, right - left):
        drawn.append(_text(x(epoch), bottom + 16, str(epoch), "middle"))
    drawn.append(
        f'<path class="now" d="{_point("M", left, top)}V{decimal(bottom)}" '
        f'style="transform:translateX(calc(var(--at,1)*{decimal(right - left)}px))"/>'
    )
    for s, look, line in zip(series, chosen, lines, strict=True):
        drawn.append(f'<g style="{_style(look)}"><title>{escape(s.name)}</title>')
        path, alone = "", ""
        for run in _runs(line):
            spots = [(x(s.start + k), y(line[k] or 0.0)) for k in run]
            if len(spots) == 1:
                alone += _circle("dot", *spots[0], 'r="3"/>')
            else:
                path += "".join(_point("L" if k else "M", *at) for k, at in enumerate(spots))
        drawn.append((f'<path class="line" d="{path}"/>' if path else "") + alone)
        if points:
            drawn += [
                _circle("hit", x(epoch), y(v), 'r="6">')
                + f"<title>{escape(s.name)}, epoch {epoch}: {_format(v, percent)}</title></circle>"
                for epoch, v in enumerate(line, s.start)
                if v is not None
            ]
        drawn.append("</g>")
    described = [
        _describe(s.name, line, s.start, percent) for s, line in zip(series, lines, strict=True)
    ]
    return svg_element("pydarts-chart", title, " ".join(described), size, drawn)


def dot_chart(
    title: str,
    rows: Sequence[tuple[str, Sequence[float | None], bool]],
    *,
    percent: bool = False,
    width: int = 340,
) -> str | None:
    """Draw scores side by side: a row each, a dot for every score and a line at their mean.

    Parameters
    ----------
    title : str
        What is drawn.
    rows : sequence of (str, sequence of float or None, bool)
        Name, scores, and whether the row is to stand out, for each.
    percent : bool
        Whether scores are shares, to be shown in per cent.
    width : int
        Width in pixels.

    Returns
    -------
    str or None
        An SVG element with a text alternative, or None where there is no finite score.
    """
    kept = [
        (name, [v for v in _drawable(scores) if v is not None], found)
        for name, scores, found in rows
    ]
    values = [v for _, scores, _ in kept for v in scores]
    if not values:
        return None
    ticks, low, high = _axis(min(values), max(values), width // 2, whole=True)
    left, right, top, step = 24.0, width - 24.0, 26.0, 36.0
    bottom = top + step * len(kept)

    def x(value: float) -> float:
        return left + (right - left) * (value - low) / (high - low)

    drawn = [_TITLE.format(escape(title))]
    for tick in ticks:
        drawn.append(f'<path class="grid" d="{_point("M", x(tick), top)}V{decimal(bottom)}"/>')
        drawn.append(_text(x(tick), bottom + 16, _format(tick, percent), "middle"))
    described = []
    for k, (name, scores, found) in enumerate(kept):
        y = top + step * k + 26
        drawn.append(f'<g style="{_style(PALETTE[found]._replace(dash=""))}">')
        drawn.append(_text(4, y - 12, escape(name)))
        drawn += [
            _circle("dot", x(v), y, 'r="4" fill-opacity="0.7">')
            + f"<title>{escape(name)}: {_format(v, percent)}</title></circle>"
            for v in scores
        ]
        if scores:
            mean = math.fsum(scores) / len(scores)
            drawn.append(f'<path class="mean" d="{_point("M", x(mean), y - 9)}v18"/>')
            described.append(f"{name}: mean {_format(mean, percent)} of {len(scores)}.")
        else:
            described.append(f"{name}: no score.")
        drawn.append("</g>")
    size = (width, bottom + 24)
    return svg_element("pydarts-chart", title, " ".join(described), size, drawn)


def looks(operations: Sequence[str]) -> dict[str, Look]:
    """The colours that drawings of cells have for operations.

    Where two have the same, the second is dashed; what is no operation is dotted.
    """
    colours = [operation_colours(operation) for operation in operations]
    return {
        operation: Look(
            *colours[k], PALETTE[2 if operation == "none" else colours[:k].count(colours[k])].dash
        )
        for k, operation in enumerate(operations)
    }


def swatch(look: Look) -> str:
    """A piece of line, for a legend in the page."""
    return (
        f'<svg class="pydarts-chart" aria-hidden="true" viewBox="0 0 26 10" width="26" height="10">'
        f'<path class="line" style="{_style(look)}" d="M1 5h24"/></svg>'
    )


def _text(x: float, y: float, content: str, anchor: str = "") -> str:
    place = f'x="{decimal(x)}" y="{decimal(y)}"' + (f' text-anchor="{anchor}"' if anchor else "")
    return f"<text {place}>{content}</text>"


def _circle(kind: str, x: float, y: float, rest: str) -> str:
    return f'<circle class="{kind}" cx="{decimal(x)}" cy="{decimal(y)}" {rest}'


def _point(command: str, x: float, y: float) -> str:
    return f"{command}{decimal(x)} {decimal(y)}"


def _style(look: Look) -> str:
    dash = f";stroke-dasharray:{look.dash}" if look.dash else ""
    return f"--light:{look.light};--dark:{look.dark}{dash}"


def _drawable(values: Sequence[float | None]) -> list[float | None]:
    """What can be drawn of values; None in the place of the rest."""
    return [
        (0.0 if abs(v) < 1 / _LARGEST else v) if v is not None and abs(v) < _LARGEST else None
        for v in values
    ]


def _legend(series: Sequence[Series], chosen: Sequence[Look], left: float) -> Iterator[str]:
    for s, look in zip(series, chosen, strict=True):
        yield (
            f'<g style="{_style(look)}"><path class="line" d="{_point("M", left, 28)}h20"/>'
            f"{_text(left + 25, 32, escape(s.name))}</g>"
        )
        left += 25 + _CHAR * len(s.name) + 12


def _axis(low: float, high: float, length: int, whole: bool) -> tuple[list[float], float, float]:
    """Return ticks at round numbers and the axis's ends, moved out to ticks if `whole`."""
    if high - low <= 1e-3 * max(abs(low), abs(high)):  # labels have few digits
        margin = 5e-4 * max(abs(low), abs(high))
        low, high = (low - margin, high + margin) if margin else (0.0, 1.0)
    rough = (high - low) / max(2, length // 35)
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(m * unit for m in (1, 2, 5, 10) if m * unit >= 0.999 * rough)
    if whole:
        low, high = step * math.floor(low / step + 1e-6), step * math.ceil(high / step - 1e-6)
    first, last = math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6)
    return [k * step for k in range(first, last + 1)], low, high


def _epochs(first: int, last: int, width: float) -> list[int]:
    """Return the epochs that an axis names: both ends, and round ones between."""
    room = max(1, int(width // 40))
    step = next(m * 10**e for e in range(9) for m in (1, 2, 5) if m * 10**e * room >= last - first)
    inner = [k for k in range(first - first % step, last, step) if first < k <= last - step / 2]
    return sorted({first, *inner, last})


def _runs(line: Sequence[float | None]) -> Iterator[list[int]]:
    """Yield the places of each unbroken run of values."""
    for known, run in groupby(range(len(line)), key=lambda k: line[k] is not None):
        if known:
            yield list(run)


def _format(value: float, percent: bool) -> str:
    # Rounded first: a tick such as 3 * 0.1 is not quite a round number.
    shown = f"{100 * value:.4g} %" if percent else f"{value:.5g}"
    return shown.replace("-", "\u2212")


def _describe(name: str, line: Sequence[float | None], start: int, percent: bool) -> str:
    found = [(start + k, v) for k, v in enumerate(line) if v is not None]
    if not found:
        return f"{name}: no value."
    lowest = min(found, key=lambda pair: pair[1])
    highest = max(found, key=lambda pair: pair[1])
    parts = [
        f"{word}{_format(value, percent)} at epoch {epoch}"
        for word, (epoch, value) in zip(
            ("", "", "lowest ", "highest "), (found[0], found[-1], lowest, highest), strict=True
        )
    ]
    return f"{name}: {', '.join(parts)}."
