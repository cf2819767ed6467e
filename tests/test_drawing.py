# SPDX-License-Identifier: MIT
"""Drawings: valid XML, everything drawn, nothing drawn over something else."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from itertools import combinations
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pydarts.drawing.cells import cell_svg, genotype_svg, notebook_svg
from pydarts.spaces.darts import DARTS_V1, DARTS_V2, EXTRA_OPERATIONS, OPERATIONS, Genotype
from pydarts.spaces.recurrent import (
    RECURRENT_DARTS_V1,
    RECURRENT_DARTS_V2,
    RECURRENT_OPERATIONS,
    RecurrentGenotype,
)

SVG = "{http://www.w3.org/2000/svg}"
USABLE = (*OPERATIONS[1:], *EXTRA_OPERATIONS)


class Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float
    text: str


class Arrow(NamedTuple):
    title: str
    points: list[tuple[float, float]]
    label: Box | None


class Drawing(NamedTuple):
    width: float
    height: float
    states: list[Box]
    arrows: list[Arrow]


def number(element: ET.Element, name: str) -> float:
    return float(element.attrib[name])


def box(group: ET.Element, dx: float, dy: float) -> Box:
    (rect,) = group.findall(f"{SVG}rect")
    (text,) = group.findall(f"{SVG}text")
    left, top = number(rect, "x") + dx, number(rect, "y") + dy
    right, bottom = left + number(rect, "width"), top + number(rect, "height")
    for note in text.findall(f"{SVG}tspan[@class='note']"):
        text.remove(note)
    return Box(left, top, right, bottom, "".join(text.itertext()))


def trace(path: str, dx: float, dy: float) -> list[tuple[float, float]]:
    """Points along a path of the commands M, C and H."""
    points: list[tuple[float, float]] = []
    for command, body in re.findall("([A-Z])([^A-Z]*)", path):
        v = [float(x) for x in body.split()]
        if command == "M":
            points.append((v[0], v[1]))
        elif command == "H":
            x, y = points[-1]
            points += [(x + (v[0] - x) * k / 8, y) for k in range(1, 9)]
        else:
            assert command == "C"
            p = [points[-1], (v[0], v[1]), (v[2], v[3]), (v[4], v[5])]
            for k in range(1, 17):
                t = k / 16
                b = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
                points.append(
                    (
                        sum(w * q[0] for w, q in zip(b, p, strict=True)),
                        sum(w * q[1] for w, q in zip(b, p, strict=True)),
                    )
                )
    return [(x + dx, y + dy) for x, y in points]


def read(svg: str) -> Drawing:
    root = ET.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    left, top, width, height = map(float, root.attrib["viewBox"].split())
    assert (left, top) == (0, 0)
    states: list[Box] = []
    arrows: list[Arrow] = []

    def walk(element: ET.Element, dx: float, dy: float) -> None:
        if move := element.get("transform"):
            x, y = re.fullmatch(r"translate\(([-\d.]+) ([-\d.]+)\)", move).groups()  # type: ignore[union-attr]
            dx, dy = dx + float(x), dy + float(y)
        classes = element.get("class", "").split()
        if "edge" in classes:
            path = element.findall(f"{SVG}path")[0]
            arrows.append(
                Arrow(
                    element.findtext(f"{SVG}title") or "",
                    trace(path.attrib["d"], dx, dy),
                    box(element, dx, dy) if element.findall(f"{SVG}rect") else None,
                )
            )
        elif "node" in classes or "end" in classes:
            states.append(box(element, dx, dy))
        else:
            for child in element:
                walk(child, dx, dy)

    walk(root, 0.0, 0.0)
    return Drawing(width, height, states, arrows)


def inside(point: tuple[float, float], area: Box, border: float) -> bool:
    x, y = point
    return (
        area.left - border < x < area.right + border
        and area.top - border < y < area.bottom + border
    )


def check(svg: str, cells: list[tuple[Any, Any]]) -> None:
    """Everything that a good drawing of some convolutional cells must fulfil."""
    wanted_states: list[str] = []
    wanted_arrows: list[str] = []
    for entries, concat in cells:
        names = ["c_{k−2}", "c_{k−1}", *map(str, range(len(entries) // 2))]
        wanted_states += [*names, "c_{k}"]
        wanted_arrows += [
            f"{op}: {names[j]} → {names[2 + k // 2]}" for k, (op, j) in enumerate(entries)
        ] + [f"concatenated: {names[j]} → c_{{k}}" for j in concat]
    check_drawing(read(svg), wanted_states, wanted_arrows)


def check_drawing(drawing: Drawing, states: list[str], arrows: list[str]) -> None:
    labels = [arrow.label for arrow in drawing.arrows if arrow.label]
    # All is there.
    wanted_states = [re.sub("[_{}]", "", name) for name in states]
    assert sorted(state.text for state in drawing.states) == sorted(wanted_states)
    assert sorted(arrow.title for arrow in drawing.arrows) == sorted(arrows)
    for arrow in drawing.arrows:
        plain = arrow.title.startswith(("concatenated:", "averaged:", "input:"))
        assert (arrow.label is None) == plain
        if arrow.label:
            assert arrow.label.text == arrow.title.split(":")[0]
            # Monospaced characters of 12 px are at most 7.3 px wide.
            assert arrow.label.right - arrow.label.left > 7.25 * len(arrow.label.text) + 4
    # Nothing leaves the drawing, nothing overlaps.
    for area in [*labels, *drawing.states]:
        assert area.left > 1 and area.top > 1
        assert area.right < drawing.width - 1 and area.bottom < drawing.height - 1
    for a, b in combinations([*labels, *drawing.states], 2):
        apart = max(a.left - b.right, b.left - a.right, a.top - b.bottom, b.top - a.bottom)
        assert apart > 3, (a, b)
    # Each edge goes from state to state through its own label, and through nothing else.
    for arrow in drawing.arrows:
        start, end = re.sub("[_{}]", "", arrow.title.split(": ")[1]).split(" → ")
        assert start in [s.text for s in drawing.states if inside(arrow.points[0], s, 0.2)]
        assert end in [s.text for s in drawing.states if inside(arrow.points[-1], s, 7.2)]
        if arrow.label:
            assert any(inside(point, arrow.label, 0.0) for point in arrow.points)
        others = [area for area in labels if area is not arrow.label]
        for point in arrow.points:
            assert 0 < point[0] < drawing.width and 0 < point[1] < drawing.height
            assert not any(inside(point, area, 3.0) for area in others), (arrow.title, point)
            assert not any(inside(point, area, -0.2) for area in drawing.states)
    # Edges that leave or enter a state do so at different heights, and do not cross on the spot.
    for tip, bend in ((0, 16), (-1, -17)):
        ports = [arrow.points[tip] for arrow in drawing.arrows]
        assert len({(round(x), round(y)) for x, y in ports}) == len(ports)
        for p, q in combinations([arrow.points for arrow in drawing.arrows], 2):
            if any(inside(p[tip], s, 7.2) and inside(q[tip], s, 7.2) for s in drawing.states):
                assert (p[tip][1] - q[tip][1]) * (p[bend][1] - q[bend][1]) > -1.0


@st.composite
def cells(draw: st.DrawFn) -> tuple[list[tuple[str, int]], list[int]]:
    nodes = draw(st.integers(1, 7))
    entries = [
        (draw(st.sampled_from(USABLE)), draw(st.integers(0, 1 + k // 2))) for k in range(2 * nodes)
    ]
    concat = draw(st.lists(st.integers(2, nodes + 1), min_size=1, max_size=nodes, unique=True))
    return entries, concat


CHAIN = ([("sep_conv_3x3", k // 2 + 1) for k in range(8)], [5])  # two edges between each pair
STAR = ([(USABLE[k], 1) for k in range(8)], [5, 4, 3, 2])


@given(cells(), cells())
@example(CHAIN, STAR)
@example((list(DARTS_V1.normal), [2, 3, 4, 5]), (list(DARTS_V1.reduce), [2, 3, 4, 5]))
@example((list(DARTS_V2.normal), [2, 3, 4, 5]), (list(DARTS_V2.reduce), [2, 3, 4, 5]))
def test_nothing_missing_and_nothing_overlaps(
    normal: tuple[list[tuple[str, int]], list[int]], reduce: tuple[list[tuple[str, int]], list[int]]
) -> None:
    check(genotype_svg(Genotype(*normal, *reduce)), [normal, reduce])


def test_one_cell() -> None:
    svg = cell_svg(DARTS_V1, "reduce")
    check(svg, [(DARTS_V1.reduce, DARTS_V1.reduce_concat)])
    assert "Reduction cell" in svg
    assert svg != cell_svg(DARTS_V1, "normal") == cell_svg(DARTS_V1)


def test_layout_goes_from_left_to_right() -> None:
    drawing = read(cell_svg(Genotype(*CHAIN, *STAR), "normal"))
    places = {state.text: state.left for state in drawing.states}
    assert places["ck−2"] == places["ck−1"]
    assert places["ck−1"] < places["0"] < places["1"] < places["2"] < places["3"] < places["ck"]
    star = read(cell_svg(Genotype(*CHAIN, *STAR), "reduce"))
    assert len({state.left for state in star.states if state.text in "0123"}) == 1


def test_description_says_what_the_picture_shows() -> None:
    root = ET.fromstring(cell_svg(DARTS_V1, "normal"))
    assert root.attrib["role"] == "img"
    assert root.findtext(f"{SVG}title") == "Normal cell"
    description = root.findtext(f"{SVG}desc") or ""
    assert "Node 3 = sep_conv_3x3(c_{k−2}) + skip_connect(0)." in description
    assert description.endswith("The output concatenates 0, 1, 2, 3.")


def test_title_is_escaped() -> None:
    title = '<b> & "q" ]]> \x00\x1b\ud800 α 😀'
    root = ET.fromstring(cell_svg(DARTS_V1, "normal", title=title))
    shown = title.replace("\x00", "\ufffd").replace("\x1b", "\ufffd").replace("\ud800", "\ufffd")
    assert root.findtext(f"{SVG}title") == shown
    assert shown in ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]


def test_long_title_fits() -> None:
    assert read(cell_svg(DARTS_V1, "normal", title="w" * 200)).width > 1600


def test_operations_have_their_family() -> None:
    families = {
        "max_pool_3x3": "pool",
        "avg_pool_3x3": "pool",
        "skip_connect": "skip",
        "sep_conv_3x3": "sep",
        "sep_conv_7x7": "sep",
        "dil_conv_5x5": "dil",
        "conv_7x1_1x7": "conv",
    }
    entries = [(op, 0) for op in (*families, "dil_conv_3x3")]
    root = ET.fromstring(cell_svg(Genotype(entries, [2], entries, [2]), "normal"))
    found = {
        "".join(group.find(f"{SVG}text").itertext()): group.attrib["class"]  # type: ignore[union-attr]
        for group in root.iter(f"{SVG}g")
        if "edge" in group.get("class", "") and group.find(f"{SVG}text") is not None
    }
    assert {op: found[op] for op in families} == {op: f"edge {f}" for op, f in families.items()}


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_contrast_in_light_and_dark(dark: bool) -> None:
    style = ET.fromstring(genotype_svg(DARTS_V1)).findtext(f"{SVG}style") or ""
    light_part, dark_part = style.split("@media (prefers-color-scheme:dark)")
    part = dark_part if dark else light_part
    rules = re.findall(
        r"\.(\w+) rect\{stroke:(#\w{6});fill:(#\w{6})\}\.pydarts-cell \.\1 text\{fill:(#\w{6})\}",
        part,
    )
    assert len(rules) >= 9
    card = next(fill for name, _, fill, _ in rules if name == "card")
    assert (luminance(card) < 0.1) == dark
    for name, stroke, fill, text in rules:
        assert contrast(text, fill) >= 7, name
        if name != "card":
            assert contrast(stroke, card) >= 3, name


def test_style_stays_in_the_drawing() -> None:
    # Inline in a page, a rule without the prefix would restyle the page.
    style = ET.fromstring(genotype_svg(DARTS_V1)).findtext(f"{SVG}style") or ""
    selectors = [s for rule in re.findall(r"([^{}]+)\{", style) for s in rule.split(",")]
    assert len(selectors) > 20
    for selector in selectors:
        assert selector.strip().startswith((".pydarts-cell ", "@media "))


def test_needs_nothing_from_outside() -> None:
    svg = genotype_svg(DARTS_V2)
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
    assert "id=" not in svg  # two drawings in one page would share it
    assert not re.search(r"<(script|image|use|foreignObject)|url\(|@import", svg)


def test_deterministic() -> None:
    svg = genotype_svg(DARTS_V2)
    assert genotype_svg(Genotype.parse(str(DARTS_V2))) == svg
    code = (
        "import sys; from pydarts.drawing.cells import genotype_svg; "
        "from pydarts.spaces.darts import DARTS_V2; "
        "sys.stdout.buffer.write(genotype_svg(DARTS_V2).encode())"
    )
    other = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, check=True, timeout=300
    )
    assert other.stdout.decode() == svg


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match=r"`which` \(='both'\) must be 'normal' or 'reduce'"):
        cell_svg(DARTS_V1, "both")
    with pytest.raises(ValueError, match=r"`which` \(='normal'\) must be 'recurrent'"):
        cell_svg(RECURRENT_DARTS_V1, "normal")
    long = [("skip_connect", k // 2 + 1) for k in range(66)]
    with pytest.raises(ValueError, match="`normal` has 33 nodes; at most 32"):
        genotype_svg(Genotype(long, [2], long, [2]))


def test_notebook() -> None:
    assert notebook_svg(DARTS_V1) == genotype_svg(DARTS_V1)
    long = [("skip_connect", k // 2 + 1) for k in range(66)]
    assert notebook_svg(Genotype(DARTS_V1.normal, [2], long, [2])) is None


@pytest.mark.slow
def test_largest_cell() -> None:
    entries = [("skip_connect", (k // 2 + 1) * (k % 2)) for k in range(64)]
    concat = list(range(2, 34))
    check(cell_svg(Genotype(entries, concat, entries, concat), "normal"), [(entries, concat)])


# Recurrent cells


def check_recurrent(genotype: RecurrentGenotype) -> None:
    nodes = [str(node) for node in range(len(genotype.recurrent) + 1)]
    arrows = [
        "input: x_{t} → 0",
        "input: h_{t−1} → 0",
        *(f"{op}: {j} → {k + 1}" for k, (op, j) in enumerate(genotype.recurrent)),
        *(f"averaged: {j} → h_{{t}}" for j in genotype.concat),
    ]
    drawing = read(cell_svg(genotype))
    check_drawing(drawing, ["x_{t}", "h_{t−1}", *nodes, "h_{t}"], arrows)
    places = {state.text: state.left for state in drawing.states}
    assert places["xt"] == places["ht−1"] < places["0"] < places["1"]
    assert places["ht"] == max(places.values())
    right = {state.text: state.right for state in drawing.states}
    assert places["0"] - right["xt"] == pytest.approx(30)  # no empty column between


@st.composite
def recurrent_cells(draw: st.DrawFn) -> RecurrentGenotype:
    nodes = draw(st.integers(1, 10))
    return RecurrentGenotype(
        [
            (draw(st.sampled_from(RECURRENT_OPERATIONS[1:])), draw(st.integers(0, node)))
            for node in range(nodes)
        ],
        draw(st.lists(st.integers(1, nodes), min_size=1, max_size=nodes, unique=True)),
    )


@given(recurrent_cells())
@example(RECURRENT_DARTS_V1)
@example(RECURRENT_DARTS_V2)
@example(RecurrentGenotype([("identity", k) for k in range(8)], range(1, 9)))
@example(RecurrentGenotype([("sigmoid", 0)] * 8, range(1, 9)))
def test_recurrent_cell(genotype: RecurrentGenotype) -> None:
    check_recurrent(genotype)


def test_largest_recurrent_cell() -> None:
    entries = [("tanh", k // 2) for k in range(32)]
    check_recurrent(RecurrentGenotype(entries, range(1, 33)))
    with pytest.raises(ValueError, match="`recurrent` has 33 nodes; at most 32"):
        cell_svg(RecurrentGenotype([("tanh", 0)] * 33, [1]))


def test_recurrent_title_and_description() -> None:
    root = ET.fromstring(cell_svg(RECURRENT_DARTS_V2))
    assert root.findtext(f"{SVG}title") == "Recurrent cell"
    description = root.findtext(f"{SVG}desc") or ""
    assert "Node 0 merges x_{t} and h_{t−1}. Node 1 = sigmoid(0). Node 2 = relu(1)." in description
    assert description.endswith("The output is the mean of 1, 2, 3, 4, 5, 6, 7, 8.")
    notes = [text for text in root.iter(f"{SVG}tspan") if text.get("class") == "note"]
    assert [note.text for note in notes] == ["mean"]
    assert "<title>a &amp; b</title>" in cell_svg(RECURRENT_DARTS_V2, title="a & b")


def test_activations_have_their_family() -> None:
    root = ET.fromstring(cell_svg(RECURRENT_DARTS_V2))
    found = {
        "".join(group.find(f"{SVG}text").itertext()): group.attrib["class"]  # type: ignore[union-attr]
        for group in root.iter(f"{SVG}g")
        if "edge" in group.get("class", "") and group.find(f"{SVG}text") is not None
    }
    assert found == {
        "tanh": "edge tanh",
        "relu": "edge relu",
        "sigmoid": "edge sigmoid",
        "identity": "edge skip",
    }
