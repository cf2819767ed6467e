# SPDX-License-Identifier: MIT
"""Drawings of cells as self-contained SVG text, laid out here: no Graphviz, no fonts to load.

The layout is the classical layered one. States stand in columns by their depth, and every
operation's label is an item of its own in the column before its node; an edge that crosses a
column has an item there too. Items of one column never overlap, and edges bend only between
columns, so no label can cover another, and no edge can run through a label or a node.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Literal

from pydarts.common.errors import ArgumentError
from pydarts.spaces.darts import Genotype
from pydarts.spaces.recurrent import RecurrentGenotype

__all__ = [
    "cell_svg",
    "escape",
    "genotype_svg",
    "operation_colours",
    "recurrent_svg",
    "state_names",
    "style",
]

_MARGIN: Final = 16.0
_HEADING: Final = 34.0
_STATE: Final = 34.0  # height of a state, width of a node
_LABEL: Final = 22.0  # height of an operation's label
_CHAR: Final = 7.25  # width of one character of a label: 0.6 em of 12 px
_ARROW: Final = 7.0
_SWEEPS: Final = 24
_MAX_NODES: Final = 32  # the work grows with the cube, and larger drawings are of no use

# Family: beginning of the names, then stroke, fill and text, in light and in dark surroundings.
_FAMILIES: Final = {
    "pool": (("max_pool", "avg_pool"), "#1b6ec2 #e3f0fc #0b3b6d", "#62aef5 #10324f #d3e9fd"),
    "skip": (("skip_connect", "identity"), "#6b7280 #eceef1 #2b2f36", "#9aa3af #2a2f37 #dfe3e8"),
    "sep": (("sep_conv",), "#c2570c #fdeedf #6b2d04", "#f29a52 #4a2709 #fee3c9"),
    "dil": (("dil_conv",), "#7c4bc9 #f1e9fc #40207a", "#b795f0 #35225a #e9dcfd"),
    "conv": (("conv_",), "#1d7f4e #def4e7 #0a4227", "#55c78b #0f3b26 #cdf3de"),
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


@dataclass
class _Item:
    """What takes up room in a column: a state, a label, or an edge passing through."""

    column: int
    width: float
    height: float
    kind: str  # "end", "node", "label" or "pass"
    before: list[int] = field(default_factory=list)
    after: list[int] = field(default_factory=list)
    x: float = 0.0
    y: float = 0.0
    rank: int = 0


@dataclass
class _Edge:
    """The items from one state to another, and the operation between them."""

    path: list[int]
    operation: str | None


@dataclass
class _Cell:
    """A cell as a graph: its states are its inputs, its nodes, and its output, in this order."""

    title: str
    inputs: tuple[str, ...]
    entries: list[tuple[str | None, int, int]]  # operation, source, target; None: a plain input
    nodes: int
    concat: tuple[int, ...]
    output: str
    gathers: tuple[str, str]  # what the output does with nodes, and what happens to each
    note: str = ""  # below the output's name

    def name(self, state: int) -> str:
        """Name of a state; a part after an underscore is a subscript."""
        if state < len(self.inputs):
            return self.inputs[state]
        node = state - len(self.inputs)
        return str(node) if node < self.nodes else self.output


def cell_svg(
    genotype: Genotype,
    which: Literal["normal", "reduce"],
    *,
    title: str | None = None,
    styled: bool = True,
) -> str:
    """Draw one cell of a genotype.

    Parameters
    ----------
    genotype
        The genotype.
    which
        ``"normal"`` or ``"reduce"``.
    title
        Heading of the drawing; by default the kind of the cell.
    styled
        Whether the drawing brings its `style`; a page of many wants that once.

    Returns
    -------
    str
        An SVG element, the same for the same arguments. It follows the reader's preference for
        light or dark surroundings.

    Raises
    ------
    ValueError
        If `which` is neither, or the cell has more than 32 nodes.
    """
    return _document([_convolutional(genotype, which, title)], styled)


def genotype_svg(genotype: Genotype | RecurrentGenotype) -> str:
    """Draw the cells of a genotype: the normal one and the reduction cell below, or the recurrent.

    Parameters
    ----------
    genotype
        The genotype.

    Returns
    -------
    str
        An SVG element: see `cell_svg`.

    Raises
    ------
    ValueError
        If a cell has more than 32 nodes.
    """
    if isinstance(genotype, RecurrentGenotype):
        return recurrent_svg(genotype)
    return _document(
        [_convolutional(genotype, "normal", None), _convolutional(genotype, "reduce", None)]
    )


def recurrent_svg(
    genotype: RecurrentGenotype, *, title: str | None = None, styled: bool = True
) -> str:
    """Draw a recurrent cell, from its inputs x_t and h_{t-1} by way of state 0 to its output h_t.

    Parameters
    ----------
    genotype
        The genotype.
    title
        Heading of the drawing; by default the kind of the cell.
    styled
        Whether the drawing brings its `style`; a page of many wants that once.

    Returns
    -------
    str
        An SVG element: see `cell_svg`.

    Raises
    ------
    ValueError
        If the cell has more than 32 nodes.
    """
    title = "Recurrent cell" if title is None else title
    return _document([_recurrent(genotype, title)], styled)


def operation_colours(operation: str) -> tuple[str, str]:
    """Return the colour of an operation's edges, in light and in dark surroundings."""
    _, light, dark = _FAMILIES[_family(operation)]
    return light.split()[0], dark.split()[0]


def state_names(genotype: Genotype | RecurrentGenotype, which: str) -> list[str]:
    """Return the names that the drawing of a cell gives to the states of the genotype."""
    if isinstance(genotype, RecurrentGenotype):
        return [str(state) for state in range(1 + len(genotype.recurrent))]
    cell = _convolutional(genotype, which, None)
    return [cell.name(state) for state in range(len(cell.inputs) + cell.nodes)]


def _check_nodes(name: str, nodes: int) -> None:
    if nodes > _MAX_NODES:
        raise ArgumentError(name, f"has {nodes} nodes; at most {_MAX_NODES} can be drawn")


def _convolutional(genotype: Genotype, which: str, title: str | None) -> _Cell:
    if which == "normal":
        entries, concat = genotype.normal, genotype.normal_concat
    elif which == "reduce":
        entries, concat = genotype.reduce, genotype.reduce_concat
    else:
        raise ArgumentError("which", f"(={which!r}) must be 'normal' or 'reduce'")
    nodes = len(entries) // 2
    _check_nodes(which, nodes)
    if title is None:
        title = {"normal": "Normal cell", "reduce": "Reduction cell"}[which]
    return _Cell(
        title,
        ("c_k\u22122", "c_k\u22121"),
        [(op, source, 2 + k // 2) for k, (op, source) in enumerate(entries)],
        nodes,
        concat,
        "c_k",
        ("concatenates", "concatenated"),
    )


def _recurrent(genotype: RecurrentGenotype, title: str) -> _Cell:
    nodes = len(genotype.recurrent)
    _check_nodes("recurrent", nodes)
    # The two inputs come before state 0, which is drawn as a node.
    return _Cell(
        title,
        ("x_t", "h_t\u22121"),
        [
            (None, 0, 2),
            (None, 1, 2),
            *((op, 2 + source, 3 + k) for k, (op, source) in enumerate(genotype.recurrent)),
        ],
        1 + nodes,
        tuple(2 + node for node in genotype.concat),
        "h_t",
        ("is the mean of", "averaged"),
        "mean",
    )


# Layout


def _layout(cell: _Cell) -> tuple[list[_Item], list[_Edge], list[tuple[float, float]]]:
    """Place a cell's states and labels; the states are the first items.

    Returns the items, the edges, and the left and right of each column.
    """
    # States and labels stand in columns by turns, but no label stands before the output, nor
    # between an input and what takes it as it is.
    columns = [0] * (len(cell.inputs) + cell.nodes)
    for operation, source, target in cell.entries:
        columns[target] = max(columns[target], columns[source] + (2 if operation else 1))
    output = len(columns)
    columns.append(max(columns) + 1)
    items = [
        _Item(
            column,
            _STATE if len(cell.inputs) <= state < output else 52.0,
            _STATE,
            "node" if len(cell.inputs) <= state < output else "end",
        )
        for state, column in enumerate(columns)
    ]
    links = [*cell.entries, *((None, source, output) for source in cell.concat)]
    edges: list[_Edge] = []
    for operation, source, target in links:
        path = [source]
        for column in range(columns[source] + 1, columns[target]):
            path.append(len(items))
            if operation and column == columns[target] - 1:
                items.append(_Item(column, len(operation) * _CHAR + 14, _LABEL, "label"))
            else:
                items.append(_Item(column, 0.0, 0.0, "pass"))
        path.append(target)
        for a, b in pairwise(path):
            items[a].after.append(b)
            items[b].before.append(a)
        edges.append(_Edge(path, operation))
    for state in (items[s] for s in range(len(columns))):
        ports = max(len(state.before), len(state.after))
        state.height = max(_STATE, 9.0 * ports + 8.0)
    order: list[list[int]] = [[] for _ in range(columns[-1] + 1)]
    for index, item in enumerate(items):
        order[item.column].append(index)
    order = _untangle(items, order)
    return items, edges, _place(items, order)


def _rank(items: list[_Item], order: list[list[int]]) -> None:
    for column in order:
        for rank, index in enumerate(column):
            items[index].rank = rank


def _inversions(items: list[_Item], above: list[int], below: list[int]) -> int:
    """Crossings of the edges of two items, when the first is above the second."""
    return sum(items[a].rank > items[b].rank for a in above for b in below)


def _crossings(items: list[_Item], order: list[list[int]]) -> int:
    return sum(
        _inversions(items, items[a].after, items[b].after)
        for column in order
        for k, a in enumerate(column)
        for b in column[k + 1 :]
    )


def _untangle(items: list[_Item], order: list[list[int]]) -> list[list[int]]:
    """Order each column so that few edges cross: barycentres, then swaps of neighbours."""
    _rank(items, order)
    best, fewest = [list(column) for column in order], _crossings(items, order)
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        for column in order[1:] if forward else order[-2:0:-1]:  # the inputs keep their order
            keys = {}
            for index in column:
                item = items[index]
                near = item.before if forward else item.after
                mean = sum(items[n].rank for n in near) / len(near) if near else item.rank
                keys[index] = (mean, item.rank)
            column.sort(key=keys.__getitem__)
            for rank, index in enumerate(column):
                items[index].rank = rank
        count = _crossings(items, order)
        if count < fewest:
            best, fewest = [list(column) for column in order], count
    _rank(items, best)
    improved = True
    while improved:
        improved = False
        for column in best[1:]:
            for k in range(len(column) - 1):
                a, b = items[column[k]], items[column[k + 1]]
                now = _inversions(items, a.before, b.before) + _inversions(items, a.after, b.after)
                then = _inversions(items, b.before, a.before) + _inversions(items, b.after, a.after)
                if then < now:
                    column[k], column[k + 1] = column[k + 1], column[k]
                    a.rank, b.rank = b.rank, a.rank
                    improved = True
    return best


def _apart(a: _Item, b: _Item) -> float:
    """Least distance of the centres of two neighbours in a column."""
    gap = 12.0 if "pass" in (a.kind, b.kind) else 8.0 if "label" in (a.kind, b.kind) else 18.0
    return (a.height + b.height) / 2 + gap


def _isotonic(wanted: list[float], weights: list[float]) -> list[float]:
    """Return the non-decreasing numbers nearest to `wanted` in weighted least squares."""
    blocks: list[list[float]] = []  # mean, weight, length
    for value, weight in zip(wanted, weights, strict=True):
        blocks.append([value, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, total, length = blocks.pop()
            last = blocks[-1]
            last[0] = (last[0] * last[1] + mean * total) / (last[1] + total)
            last[1] += total
            last[2] += length
    return [mean for mean, _, length in blocks for _ in range(int(length))]


def _place(items: list[_Item], order: list[list[int]]) -> list[tuple[float, float]]:
    """Set all centres, the top left corner at the origin; return the columns' left and right."""
    offsets: list[list[float]] = []
    for column in order:
        offset = [0.0]
        for a, b in pairwise(column):
            offset.append(offset[-1] + _apart(items[a], items[b]))
        offsets.append(offset)
        for index, y in zip(column, offset, strict=True):
            items[index].y = y - offset[-1] / 2
    # Edges pull their ends to one height, those that only pass through the most: long edges
    # become straight. Each column is solved exactly, with its neighbours held.
    for sweep in range(4 * _SWEEPS):
        for c in range(len(order)) if sweep % 2 else reversed(range(len(order))):
            wanted, weights = [], []
            for index, offset_ in zip(order[c], offsets[c], strict=True):
                item = items[index]
                total, mass = 0.0, 0.0
                for n in item.before + item.after:
                    pull = (1.0, 2.0, 16.0)[(item.kind == "pass") + (items[n].kind == "pass")]
                    total += pull * items[n].y
                    mass += pull
                wanted.append((total / mass if mass else item.y) - offset_)
                weights.append(mass or 1e-3)
            for index, base, offset_ in zip(
                order[c], _isotonic(wanted, weights), offsets[c], strict=True
            ):
                items[index].y = base + offset_
    top = min(item.y - item.height / 2 for item in items)
    for item in items:
        item.y -= top
    bounds: list[tuple[float, float]] = []
    x = 0.0
    for c, column in enumerate(order):
        width = max(items[index].width for index in column)
        if c:
            # Steep edges need room to bend in.
            steepest = max(
                (abs(items[i].y - items[n].y) for i in column for n in items[i].before), default=0.0
            )
            x += min(max(0.4 * steepest, 30.0), 90.0)
        for index in column:
            items[index].x = x + width / 2
        bounds.append((x, x + width))
        x += width
    return bounds


def _ports(items: list[_Item], edges: list[_Edge]) -> list[tuple[float, float]]:
    """Heights at which each edge leaves its source and enters its target."""
    heights = [[0.0, 0.0] for _ in edges]
    for end in (0, 1):
        groups: dict[int, list[int]] = {}
        for e, edge in enumerate(edges):
            groups.setdefault(edge.path[-end], []).append(e)
        for state, group in groups.items():
            group.sort(key=lambda e: items[edges[e].path[-2 if end else 1]].y)
            for k, e in enumerate(group):
                heights[e][end] = items[state].y + 9.0 * (k - (len(group) - 1) / 2)
    return [(start, stop) for start, stop in heights]


# SVG


def style() -> str:
    """Return the CSS rules of drawings."""
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


def _family(operation: str) -> str:
    for name, (prefixes, *_) in _FAMILIES.items():
        if operation.startswith(prefixes):
            return name
    return "other"


def escape(text: str) -> str:
    """Return a text as XML and HTML can hold it."""
    # XML has no way to write most control characters.
    return html.escape(
        re.sub("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)
    )


def _n(value: float) -> str:
    return f"{round(value, 1) + 0.0:g}"  # + 0.0: no -0


def _plain(name: str) -> str:
    base, _, subscript = name.partition("_")
    return f"{base}_{{{subscript}}}" if subscript else base


def _state_text(name: str) -> str:
    base, _, subscript = name.partition("_")
    return escape(base) + (
        f'<tspan class="sub" dy="4">{escape(subscript)}</tspan>' if subscript else ""
    )


def _describe(cell: _Cell) -> str:
    sentences = []
    for node in range(len(cell.inputs), len(cell.inputs) + cell.nodes):
        terms = [(op, _plain(cell.name(s))) for op, s, target in cell.entries if target == node]
        if terms[0][0] is None:
            merged = " and ".join(name for _, name in terms)
            sentences.append(f"Node {cell.name(node)} merges {merged}.")
        else:
            total = " + ".join(f"{op}({name})" for op, name in terms)
            sentences.append(f"Node {cell.name(node)} = {total}.")
    nodes = ", ".join(cell.name(state) for state in cell.concat)
    return " ".join([f"{cell.title}.", *sentences, f"The output {cell.gathers[0]} {nodes}."])


def _draw(cell: _Cell) -> tuple[float, float, list[str]]:
    """Return the width, height and elements of one cell."""
    items, edges, bounds = _layout(cell)
    lines = [f'<g class="card"><text x="0" y="14">{escape(cell.title)}</text></g>']
    lines.append(f'<g transform="translate(0 {_n(_HEADING)})">')
    for edge, (start, stop) in zip(edges, _ports(items, edges), strict=True):
        source, target = edge.path[0], edge.path[-1]
        if edge.operation:
            family, verb = _family(edge.operation), edge.operation
        elif target < len(cell.inputs) + cell.nodes:
            family, verb = "input", "input"
        else:
            family, verb = "concat", cell.gathers[1]
        lines.append(
            f'<g class="edge {family}"><title>{escape(verb)}: {_plain(cell.name(source))} '
            f"\u2192 {_plain(cell.name(target))}</title>"
        )
        x, y = bounds[items[source].column][1], start
        curve = f"M{_n(x)} {_n(y)}"
        for index in edge.path[1:]:
            left, right = bounds[items[index].column]
            last = index == target
            to = stop if last else items[index].y
            end = left - _ARROW if last else left
            middle = (x + end) / 2
            curve += f"C{_n(middle)} {_n(y)} {_n(middle)} {_n(to)} {_n(end)} {_n(to)}"
            if not last:
                curve += f"H{_n(right)}"
            x, y = right, to
        lines.append(f'<path d="{curve}"/>')
        tip = bounds[items[target].column][0]
        lines.append(
            f'<path class="tip" d="M{_n(tip)} {_n(stop)}l{_n(-_ARROW)} -3.5v7z" stroke-width="0"/>'
        )
        for item in (items[index] for index in edge.path):
            if item.kind == "label":
                lines.append(_box(item, 6) + f"{escape(str(edge.operation))}</text>")
        lines.append("</g>")
    states = len(cell.inputs) + cell.nodes + 1
    for state, item in enumerate(items[:states]):
        text, lift = _state_text(cell.name(state)), 0.0
        if cell.note and state == states - 1:
            text += f'<tspan class="note" x="{_n(item.x)}" dy="10">{escape(cell.note)}</tspan>'
            lift = 5.0
        lines.append(f'<g class="{item.kind}">{_box(item, 8, lift)}{text}</text></g>')
    lines.append("</g>")
    height = max(item.y + item.height / 2 for item in items)
    return max(bounds[-1][1], 9.0 * len(cell.title)), _HEADING + height, lines


def _box(item: _Item, radius: int, lift: float = 0.0) -> str:
    return (
        f'<rect x="{_n(item.x - item.width / 2)}" y="{_n(item.y - item.height / 2)}" '
        f'width="{_n(item.width)}" height="{_n(item.height)}" rx="{radius}"/>'
        f'<text x="{_n(item.x)}" y="{_n(item.y + 4 - lift)}">'
    )


def _document(cells: list[_Cell], styled: bool = True) -> str:
    """Return the SVG element of cells, one below the other."""
    drawn = [_draw(cell) for cell in cells]
    width = max(w for w, _, _ in drawn) + 2 * _MARGIN
    height = sum(h for _, h, _ in drawn) + _MARGIN * (2 * len(drawn))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="pydarts-cell" role="img" '
        f'viewBox="0 0 {_n(width)} {_n(height)}" width="{_n(width)}" height="{_n(height)}" '
        'style="max-width:100%;height:auto">',
        f"<title>{escape(' and '.join(cell.title for cell in cells))}</title>",
        f"<desc>{escape(' '.join(map(_describe, cells)))}</desc>",
        *([f"<style>{style()}</style>"] if styled else []),
        f'<g class="card"><rect x="0.5" y="0.5" width="{_n(width - 1)}" '
        f'height="{_n(height - 1)}" rx="10"/></g>',
    ]
    y = _MARGIN
    for _, h, elements in drawn:
        lines += [f'<g transform="translate({_n(_MARGIN)} {_n(y)})">', *elements, "</g>"]
        y += h + 2 * _MARGIN
    return "\n".join([*lines, "</svg>"])
