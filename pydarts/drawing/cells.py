# SPDX-License-Identifier: MIT
"""Drawings of a genotype's cells as self-contained SVG text: no Graphviz, no fonts to load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydarts.common.checks import choice
from pydarts.common.errors import ArgumentError
from pydarts.drawing.layout import Edge, Item, Layout, Link, layered_layout
from pydarts.drawing.svg import cell_style, decimal, escape, operation_family, svg_element
from pydarts.spaces.genotype import BaseGenotype

_MARGIN: Final = 16.0
_HEADING: Final = 34.0
_ARROW: Final = 7.0
_MAX_NODES: Final = 32  # the work grows with the cube, and larger drawings are of no use

# Of each kind of output: what it does with the nodes, what happens to each, and a note below it.
_OUTPUTS: Final = {
    "concatenation": ("concatenates", "concatenated", ""),
    "mean": ("is the mean of", "averaged", "mean"),
    "last": ("is", "output", ""),
}


def cell_svg(
    genotype: BaseGenotype,
    which: str | None = None,
    *,
    title: str | None = None,
    styled: bool = True,
) -> str:
    """Draw one cell of a genotype.

    Parameters
    ----------
    genotype : Genotype or RecurrentGenotype
        The genotype.
    which : str, optional
        Name of the cell, such as ``"normal"`` or ``"reduce"``; by default the first or only one.
    title : str, optional
        Heading of the drawing; by default the kind of the cell.
    styled : bool
        Whether the drawing brings its `cell_style`; a page of many needs that once.

    Returns
    -------
    str
        An SVG element, the same for the same arguments. It follows the reader's preference for
        light or dark surroundings.

    Raises
    ------
    ValueError
        If the genotype has no such cell, or the cell has more than 32 nodes.
    """
    return _document([_graph(genotype, which, title)], styled)


def genotype_svg(genotype: BaseGenotype) -> str:
    """Draw the cells of a genotype, one below the other.

    Parameters
    ----------
    genotype : Genotype or RecurrentGenotype
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
    return _document([_graph(genotype, cell.name) for cell in genotype.space.cells])


def notebook_svg(genotype: BaseGenotype) -> str | None:
    """Return what a notebook shows of a genotype; None if a cell is too large to draw."""
    if any(genotype.nodes(cell.name) > _MAX_NODES for cell in genotype.space.cells):
        return None
    return genotype_svg(genotype)


@dataclass(frozen=True)
class _Graph:
    """A cell as a graph: its states are its inputs, its nodes, and its output, in this order."""

    title: str
    names: Sequence[str]  # of the states; a part after an underscore is a subscript
    inputs: int
    links: Sequence[Link]  # those without a label go to the output, or from a merged input
    output: str  # a key of _OUTPUTS


def _graph(genotype: BaseGenotype, which: str | None, title: str | None = None) -> _Graph:
    names = [cell.name for cell in genotype.space.cells]
    name = names[0] if which is None else choice("which", which, names)
    cell, nodes = genotype.space.cell(name), genotype.nodes(name)
    if nodes > _MAX_NODES:
        raise ArgumentError(name, f"has {nodes} nodes; at most {_MAX_NODES} can be drawn")
    # Inputs that are merged come before the state made of them, which is drawn as a node.
    merged = len(cell.merged_inputs)
    states = [*cell.merged_inputs, *cell.state_names(nodes)]
    links: list[Link] = [(None, k, merged) for k in range(merged)]
    links += [
        (op, merged + source, merged + node)
        for op, source, node in genotype.kept(name)
        if op != "none"
    ]
    links += [(None, merged + node, len(states)) for node in genotype.outputs(name)]
    return _Graph(
        cell.title if title is None else title,
        [*states, cell.output_name],
        merged or cell.inputs,
        links,
        cell.output,
    )


def _plain(name: str) -> str:
    base, _, subscript = name.partition("_")
    return f"{base}_{{{subscript}}}" if subscript else base


def _state_text(name: str) -> str:
    base, _, subscript = name.partition("_")
    return escape(base) + (
        f'<tspan class="sub" dy="4">{escape(subscript)}</tspan>' if subscript else ""
    )


def _describe(graph: _Graph) -> str:
    """The text alternative of a drawing."""
    output = len(graph.names) - 1
    sentences = [f"{graph.title}."]
    for node in range(graph.inputs, output):
        terms = [(op, _plain(graph.names[j])) for op, j, target in graph.links if target == node]
        if not terms:
            sentences.append(f"Node {graph.names[node]} = 0.")
        elif terms[0][0] is None:
            merged = " and ".join(name for _, name in terms)
            sentences.append(f"Node {graph.names[node]} merges {merged}.")
        else:
            total = " + ".join(f"{op}({name})" for op, name in terms)
            sentences.append(f"Node {graph.names[node]} = {total}.")
    nodes = ", ".join(graph.names[state] for _, state, target in graph.links if target == output)
    return " ".join([*sentences, f"The output {_OUTPUTS[graph.output][0]} {nodes}."])


def _draw(graph: _Graph) -> tuple[float, float, list[str]]:
    """Return the width, height and elements of one cell."""
    layout = layered_layout(graph.inputs, len(graph.names) - 1 - graph.inputs, graph.links)
    lines = [f'<g class="card"><text x="0" y="14">{escape(graph.title)}</text></g>']
    lines.append(f'<g transform="translate(0 {decimal(_HEADING)})">')
    for edge in layout.edges:
        lines += _draw_edge(graph, layout, edge)
    note = _OUTPUTS[graph.output][2]
    for name, item in zip(graph.names, layout.items, strict=False):
        text, lift = _state_text(name), 0.0
        if note and name == graph.names[-1]:
            text += f'<tspan class="note" x="{decimal(item.x)}" dy="10">{escape(note)}</tspan>'
            lift = 5.0
        lines.append(f'<g class="{item.kind}">{_box(item, 8, lift)}{text}</text></g>')
    lines.append("</g>")
    height = max(item.y + item.height / 2 for item in layout.items)
    return max(layout.columns[-1][1], 9.0 * len(graph.title)), _HEADING + height, lines


def _draw_edge(graph: _Graph, layout: Layout, edge: Edge) -> list[str]:
    source, target = edge.path[0], edge.path[-1]
    if edge.label:
        family, verb = operation_family(edge.label), edge.label
    elif target < len(graph.names) - 1:
        family, verb = "input", "input"
    else:
        family, verb = "concat", _OUTPUTS[graph.output][1]
    x, y = layout.columns[layout.items[source].column][1], edge.start
    curve = f"M{decimal(x)} {decimal(y)}"
    for index in edge.path[1:]:
        left, right = layout.columns[layout.items[index].column]
        last = index == target
        to = edge.stop if last else layout.items[index].y
        end = left - _ARROW if last else left
        points = (((x + end) / 2, y), ((x + end) / 2, to), (end, to))
        curve += "C" + " ".join(f"{decimal(a)} {decimal(b)}" for a, b in points)
        if not last:
            curve += f"H{decimal(right)}"
        x, y = right, to
    tip = layout.columns[layout.items[target].column][0]
    return [
        f'<g class="edge {family}"><title>{escape(verb)}: {_plain(graph.names[source])} '
        f"\u2192 {_plain(graph.names[target])}</title>",
        f'<path d="{curve}"/>',
        f'<path class="tip" d="M{decimal(tip)} {decimal(edge.stop)}l{decimal(-_ARROW)} -3.5v7z" '
        'stroke-width="0"/>',
        *(
            f"{_box(layout.items[index], 6)}{escape(str(edge.label))}</text>"
            for index in edge.path
            if layout.items[index].kind == "label"
        ),
        "</g>",
    ]


def _box(item: Item, radius: int, lift: float = 0.0) -> str:
    return (
        f'<rect x="{decimal(item.x - item.width / 2)}" y="{decimal(item.y - item.height / 2)}" '
        f'width="{decimal(item.width)}" height="{decimal(item.height)}" rx="{radius}"/>'
        f'<text x="{decimal(item.x)}" y="{decimal(item.y + 4 - lift)}">'
    )


def _document(graphs: list[_Graph], styled: bool = True) -> str:
    """Return the SVG element of cells, one below the other."""
    drawn = [_draw(graph) for graph in graphs]
    width = max(w for w, _, _ in drawn) + 2 * _MARGIN
    height = sum(h for _, h, _ in drawn) + _MARGIN * (2 * len(drawn))
    lines = [f"<style>{cell_style()}</style>"] if styled else []
    lines.append(
        f'<g class="card"><rect x="0.5" y="0.5" width="{decimal(width - 1)}" '
        f'height="{decimal(height - 1)}" rx="10"/></g>'
    )
    y = _MARGIN
    for _, h, elements in drawn:
        move = f"translate({decimal(_MARGIN)} {decimal(y)})"
        lines += [f'<g transform="{move}">', *elements, "</g>"]
        y += h + 2 * _MARGIN
    return svg_element(
        "pydarts-cell",
        " and ".join(graph.title for graph in graphs),
        " ".join(map(_describe, graphs)),
        (width, height),
        lines,
        ' style="max-width:100%;height:auto"',
    )
