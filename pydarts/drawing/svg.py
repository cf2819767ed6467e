# SPDX-License-Identifier: MIT
"""Pieces of SVG text, and the colours of cells and operations in light and dark surroundings."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Final

# Family: beginning of the names, then stroke, fill and text, in light and in dark surroundings.
_FAMILIES: Final = {
    "pool": (("max_pool", "avg_pool"), "#1b6ec2 #e3f0fc #0b3b6d", "#62aef5 #10324f #d3e9fd"),
    "skip": (("skip_connect", "identity"), "#6b7280 #eceef1 #2b2f36", "#9aa3af #2a2f37 #dfe3e8"),
    "sep": (("sep_conv",), "#c2570c #fdeedf #6b2d04", "#f29a52 #4a2709 #fee3c9"),
    "dil": (("dil_conv",), "#7c4bc9 #f1e9fc #40207a", "#b795f0 #35225a #e9dcfd"),
    "conv": (("conv_", "nor_conv"), "#1d7f4e #def4e7 #0a4227", "#55c78b #0f3b26 #cdf3de"),
    "tanh": (("tanh",), "#0f766e #dcf5f1 #073b36", "#4fc7b8 #0c3833 #c9f1eb"),
    "relu": (("relu",), "#b8324a #fce6ea #651526", "#f08a9b #4a1520 #fddbe1"),
    "sigmoid": (("sigmoid",), "#4a55c4 #e8eafb #1f2670", "#9aa4f5 #242a5c #dfe2fd"),
    "other": ((), "#8a6d00 #f8f1d4 #4b3b00", "#d6b93e #3c3204 #f7edc0"),
}
# Elements: stroke, fill and text likewise. The drawing brings its background, for the page
# around it may be dark where the reader's system prefers light.
_SURFACES: Final = {
    "card": ("#d5d9df #ffffff #1f2430", "#343a45 #14171c #e8ebf0"),
    "end": ("#4b5563 #e9ecf0 #1f2430", "#a3abb8 #2b313a #e8ebf0"),
    "node": ("#4b5563 #ffffff #1f2430", "#a3abb8 #14171c #e8ebf0"),
    "input": ("#4b5563 #ffffff #1f2430", "#a3abb8 #14171c #e8ebf0"),
    "concat": ("#858d99 #ffffff #1f2430", "#667080 #14171c #e8ebf0"),
}


def operation_family(operation: str) -> str:
    """Return the name of the family of an operation, which is its class in drawings."""
    for name, (prefixes, *_) in _FAMILIES.items():
        if operation.startswith(prefixes):
            return name
    return "other"


def operation_colours(operation: str) -> tuple[str, str]:
    """Return the colour of an operation's edges, in light and in dark surroundings."""
    _, light, dark = _FAMILIES[operation_family(operation)]
    return light.split()[0], dark.split()[0]


def cell_style() -> str:
    """Return the CSS rules of drawings of cells."""
    rules = [
        ".pydarts-cell text{font:12px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;"
        "text-anchor:middle}",
        ".pydarts-cell .card text{font:600 15px system-ui,'Segoe UI','DejaVu Sans',sans-serif;"
        "text-anchor:start}",
        ".pydarts-cell .end text,.pydarts-cell .node text{font-size:13px}",
        ".pydarts-cell .sub,.pydarts-cell .note{font-size:9px}",
        ".pydarts-cell path{fill:none;stroke-width:1.6}",
        ".pydarts-cell .concat path{stroke-dasharray:4 3}",
        ".pydarts-cell .concat .tip{stroke-dasharray:none}",
    ]
    themes: tuple[list[str], list[str]] = ([], [])
    colours = {name: entry[1:] for name, entry in _FAMILIES.items()} | _SURFACES
    for name, pair in colours.items():
        for theme, triple in zip(themes, pair, strict=True):
            stroke, fill, text = triple.split()
            theme.append(
                f".pydarts-cell .{name} path{{stroke:{stroke}}}"
                f".pydarts-cell .{name} .tip{{fill:{stroke}}}"
                f".pydarts-cell .{name} rect{{stroke:{stroke};fill:{fill}}}"
                f".pydarts-cell .{name} text{{fill:{text}}}"
            )
    dark = "\n".join(themes[1])
    return "\n".join([*rules, *themes[0], f"@media (prefers-color-scheme:dark){{\n{dark}\n}}"])


def escape(text: str) -> str:
    """Return a text as XML and HTML can hold it."""
    # XML has no way to write most control characters.
    return html.escape(
        re.sub("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)
    )


def decimal(value: float) -> str:
    """Return a coordinate with one digit after the point at most."""
    return f"{round(value, 1) + 0.0:g}"  # + 0.0: no -0


def svg_element(
    kind: str,
    title: str,
    description: str,
    size: tuple[float, float],
    parts: Iterable[str],
    attributes: str = "",
) -> str:
    """Return a whole SVG element.

    Parameters
    ----------
    kind : str
        Its class, to which the style sheet refers.
    title, description : str
        Its text alternative.
    size : tuple of float
        Width and height in pixels.
    parts : iterable of str
        What it contains.
    attributes : str
        More attributes, with a space before each.

    Returns
    -------
    str
    """
    width, height = map(decimal, size)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="{kind}" role="img" '
            f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"{attributes}>',
            f"<title>{escape(title)}</title>",
            f"<desc>{escape(description)}</desc>",
            *parts,
            "</svg>",
        ]
    )
