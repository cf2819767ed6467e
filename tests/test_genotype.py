# SPDX-License-Identifier: MIT
"""Genotypes: the published cells, text and JSON forms, bad input, and derivation from α."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import json
import pickle
import re
from collections import Counter
from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_text import CHARACTERS
from hypothesis import given
from hypothesis import strategies as st

from pydarts.spaces.cell import edges
from pydarts.spaces.darts import (
    DARTS,
    DARTS_V1,
    DARTS_V2,
    EXTRA_OPERATIONS,
    OPERATIONS,
    Genotype,
)
from pydarts.spaces.published import PUBLISHED, published
from pydarts.spaces.recurrent import RecurrentGenotype

USABLE = (*OPERATIONS[1:], *EXTRA_OPERATIONS)
SKIP = ("skip_connect", 0)
SEP = ("sep_conv_3x3", 1)
TINY: dict[str, Any] = {
    "normal": [SKIP, SEP],
    "normal_concat": [2],
    "reduce": [SEP, SEP],
    "reduce_concat": [2],
}
TINY_TEXT = (
    "Genotype(normal=[('skip_connect', 0), ('sep_conv_3x3', 1)], normal_concat=[2], "
    "reduce=[('sep_conv_3x3', 1), ('sep_conv_3x3', 1)], reduce_concat=[2])"
)


@st.composite
def cells(draw: st.DrawFn, nodes: int | None = None) -> tuple[list[tuple[str, int]], list[int]]:
    nodes = nodes or draw(st.integers(1, 6))
    entries = [
        (draw(st.sampled_from(USABLE)), draw(st.integers(0, 1 + k // 2))) for k in range(2 * nodes)
    ]
    concat = draw(st.lists(st.integers(2, nodes + 1), min_size=1, max_size=nodes, unique=True))
    return entries, concat


@st.composite
def genotypes(draw: st.DrawFn) -> Genotype:
    return Genotype(*draw(cells()), *draw(cells()))


def shorthand(text: str) -> tuple[tuple[str, int], ...]:
    names = {
        "sep3": "sep_conv_3x3",
        "dil3": "dil_conv_3x3",
        "skip": "skip_connect",
        "max": "max_pool_3x3",
        "avg": "avg_pool_3x3",
    }
    return tuple((names[op], int(j)) for op, j in re.findall(r"(\w+)\((\d)\)", text))


# Values and text forms


def test_published_cells() -> None:
    assert DARTS_V1.normal == shorthand(
        "sep3(1) sep3(0) | skip(0) sep3(1) | skip(0) sep3(1) | sep3(0) skip(2)"
    )
    assert DARTS_V1.reduce == shorthand(
        "max(0) max(1) | skip(2) max(0) | max(0) skip(2) | skip(2) avg(0)"
    )
    assert DARTS_V2.normal == shorthand(
        "sep3(0) sep3(1) | sep3(0) sep3(1) | sep3(1) skip(0) | skip(0) dil3(2)"
    )
    assert DARTS_V2.reduce == shorthand(
        "max(0) max(1) | skip(2) max(1) | max(0) skip(2) | skip(2) max(1)"
    )
    for genotype in (DARTS_V1, DARTS_V2):
        assert genotype.normal_concat == genotype.reduce_concat == (2, 3, 4, 5)
    assert published(DARTS) == {"DARTS_V1": DARTS_V1, "DARTS_V2": DARTS_V2}
    assert published(DARTS).items() <= PUBLISHED.items()


def test_operations_are_alpha_columns() -> None:
    assert " ".join(OPERATIONS) == (
        "none max_pool_3x3 avg_pool_3x3 skip_connect "
        "sep_conv_3x3 sep_conv_5x5 dil_conv_3x3 dil_conv_5x5"
    )


def test_edges_in_row_order() -> None:
    pairs = edges()
    assert len(pairs) == 14
    assert pairs[:6] == ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3), (0, 4))
    assert pairs[-1] == (4, 5)
    recurrent = edges(8, inputs=1)
    assert len(recurrent) == 36
    assert recurrent[:3] == ((0, 1), (0, 2), (1, 2))


def test_string_form() -> None:
    tiny = Genotype(**TINY)
    assert str(tiny) == repr(tiny) == TINY_TEXT


def test_fields_are_tuples_and_hashable() -> None:
    listed = Genotype([list(SKIP), list(SEP)], np.array([2]), (SEP, SEP), range(2, 3))  # type: ignore[arg-type]
    assert listed == Genotype(**TINY)
    assert hash(listed) == hash(Genotype(**TINY))
    assert listed.normal == (SKIP, SEP)
    assert listed.normal_concat == (2,)
    assert type(listed.normal_concat[0]) is int
    assert listed != Genotype(**{**TINY, "reduce": (SEP, SKIP)})
    with pytest.raises(dataclasses.FrozenInstanceError):
        listed.normal = ()  # type: ignore[misc]


@given(genotypes())
def test_round_trips(genotype: Genotype) -> None:
    assert Genotype.parse(str(genotype)) == genotype
    assert Genotype.from_json(genotype.to_json()) == genotype
    assert pickle.loads(pickle.dumps(genotype)) == genotype
    assert copy.deepcopy(genotype) == genotype


def test_json_form() -> None:
    assert json.loads(DARTS_V2.to_json()) == {
        "format": "pydarts-genotype",
        "version": 1,
        "kind": "convolutional",
        "normal": [list(entry) for entry in DARTS_V2.normal],
        "normal_concat": [2, 3, 4, 5],
        "reduce": [list(entry) for entry in DARTS_V2.reduce],
        "reduce_concat": [2, 3, 4, 5],
    }


@pytest.mark.parametrize(
    "text",
    [
        TINY_TEXT,
        f"DARTS = {TINY_TEXT}",
        f"11/14 03:45:12 PM genotype = {TINY_TEXT}\nepoch 3 (of 50",
        f"genotypes.{TINY_TEXT};",
        TINY_TEXT.replace("[2]", "range(2, 3)"),
        TINY_TEXT.replace("[2]", "list(range(2, 3, 1))"),
        TINY_TEXT.replace("[2]", "(2,)"),
        TINY_TEXT.replace(", ", ",\n    ").replace("normal=[", "normal=[  # node 0 (it's\n"),
        TINY_TEXT.replace("'", '"'),
        TINY_TEXT.replace("Genotype(", "Genotype (\n").replace("[2])", "[2],\n)"),
        re.sub(r"\w+=", "", TINY_TEXT),
        re.sub(r"^(.*?)normal=", r"\1", TINY_TEXT),
        "Genotype(reduce_concat=[2], reduce=[('sep_conv_3x3', 1)] , normal=0".replace(
            "[('sep_conv_3x3', 1)] , normal=0",
            "[('sep_conv_3x3', 1), ['sep_conv_3x3', 1]], normal_concat=[2], "
            "normal=(('skip_connect', 0), ('sep_conv_3x3', 1)))",
        ),
    ],
)
def test_parses_forms_of_the_literature(text: str) -> None:
    assert Genotype.parse(text) == Genotype(**TINY)


def test_parses_a_cell_of_five_nodes_that_concatenates_some() -> None:
    text = """AmoebaNet-like = Genotype(
        normal = [('avg_pool_3x3', 0), ('max_pool_3x3', 1), ('sep_conv_3x3', 0),
                  ('sep_conv_5x5', 2), ('sep_conv_3x3', 0), ('avg_pool_3x3', 3),
                  ('sep_conv_3x3', 1), ('skip_connect', 1), ('skip_connect', 0),
                  ('avg_pool_3x3', 1)],
        normal_concat = [4, 5, 6],
        reduce = [('sep_conv_7x7', 0), ('conv_7x1_1x7', 1)],
        reduce_concat = range(2, 3))"""
    genotype = Genotype.parse(text)
    assert len(genotype.normal) == 10
    assert genotype.normal_concat == (4, 5, 6)
    assert genotype.reduce == (("sep_conv_7x7", 0), ("conv_7x1_1x7", 1))


# Bad input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"normal": []}, r"`normal` \(=\[\]\) must not be empty"),
        ({"reduce": [SEP]}, r"`reduce` .* must have 2 entries for each node, but has 1"),
        ({"normal": [SKIP, SEP, SKIP]}, "but has 3"),
        ({"normal": [("sep_conv_3x4", 0), SEP]}, "'sep_conv_3x4'.*did you mean 'sep_conv_3x3'"),
        ({"normal": [SKIP, ("zzz", 0)]}, r"`normal\[1\]\[0\]` \(='zzz'\).*known are max_pool_3x3"),
        ({"reduce": [SKIP, ("none", 0)]}, r"`reduce\[1\]\[0\]` \(='none'\) has no place"),
        ({"reduce": [SKIP, (3, 0)]}, r"`reduce\[1\]\[0\]` \(=3\) must be the name"),
        (
            {"normal": [SKIP, ("skip_connect", 2)]},
            r"`normal\[1\]\[1\]` \(=2\).*before node 2: 0 to",
        ),
        ({"normal": [SKIP, ("skip_connect", -1)]}, r"`normal\[1\]\[1\]` \(=-1\)"),
        ({"normal": [SKIP, SKIP, SKIP, ("skip_connect", 3)]}, r"`normal\[3\]\[1\]` \(=3\).*0 to 2"),
        ({"normal": [SKIP, ("skip_connect", 0.0)]}, r"\(=0.0\) must be an integer"),
        ({"normal": [SKIP, ("skip_connect", True)]}, r"\(=True\) must be an integer"),
        ({"normal": [SKIP, ("skip_connect", "1")]}, r"\(='1'\) must be an integer"),
        ({"normal": [SKIP, ("skip_connect",)]}, r"`normal\[1\]`.*pair"),
        ({"normal": [SKIP, "ab"]}, r"`normal\[1\]` \(='ab'\) must be a sequence"),
        ({"normal": "ab"}, r"`normal` \(='ab'\) must be a sequence"),
        ({"normal": None}, r"`normal` \(=None\) must be a sequence"),
        ({"normal": np.array(3)}, r"`normal` .* must be a sequence"),
        ({"normal": {SKIP, SEP}}, r"`normal` .* must be a sequence"),
        ({"normal_concat": []}, r"`normal_concat` \(=\[\]\) must not be empty"),
        ({"normal_concat": [1]}, r"`normal_concat\[0\]` \(=1\) must be one of the nodes 2 to 2"),
        ({"reduce_concat": [2, 3]}, r"`reduce_concat\[1\]` \(=3\)"),
        ({"reduce_concat": [2, 2]}, r"`reduce_concat` \(=\[2, 2\]\) has node 2 twice"),
        ({"reduce_concat": [2.0]}, r"`reduce_concat\[0\]` \(=2.0\) must be an integer"),
        ({"reduce_concat": 2}, r"`reduce_concat` \(=2\) must be a sequence"),
        ({"normal": [("x" * 10**6, 0), SEP]}, r"\.\.\.\) is an unknown operation"),
    ],
)
def test_invalid_fields(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Genotype(**{**TINY, **change})
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no"),
        ("DARTS_V2", "holds no"),
        ("Genotypes = 3; MyGenotype(normal=[])", "holds no"),
        ("Genotype(", "ends before its last bracket"),
        (TINY_TEXT[:-1], "ends before its last bracket"),
        (TINY_TEXT.replace(")]", "]", 1), "malformed"),
        (TINY_TEXT.replace("('skip_connect', 0)", "('skip_connect' 0)"), "malformed"),
        (TINY_TEXT.replace("'skip_connect'", "'skip_connect"), "malformed|unexpected"),
        (TINY_TEXT.replace("0)", "0 + 1)"), r"unexpected .\+ 1"),
        (TINY_TEXT.replace("0)", "0x0)"), "unexpected .0x0"),
        (TINY_TEXT.replace("0)", "9" * 5000 + ")"), "unexpected .999"),
        (TINY_TEXT.replace("skip", "\\x73kip"), "unexpected"),
        (TINY_TEXT.replace("skip", "sk\ud800ip"), "unexpected"),
        (TINY_TEXT.replace("skip", "sk\0ip"), "unexpected"),
        (TINY_TEXT.replace("0)", "\0)"), "unexpected"),
        (TINY_TEXT.replace("'skip_connect'", "f'skip_connect'"), "`normal` must be made of"),
        (TINY_TEXT.replace("'skip_connect'", "b'skip_connect'"), r"normal\[0\]\[0\].*b'skip"),
        (TINY_TEXT.replace("'skip_connect'", "skip_connect"), "`normal` must be made of"),
        (TINY_TEXT.replace("'skip_connect'", "'skip_conect'"), "did you mean 'skip_connect'"),
        (TINY_TEXT.replace("[2]", "range(2, 999999999)"), "too long"),
        (TINY_TEXT.replace("[2]", "range(2, 3, 0)"), "`normal_concat` is a range with step 0"),
        (TINY_TEXT.replace("[2]", "range('2')"), "`normal_concat` .*must be an integer"),
        (TINY_TEXT.replace("[2]", "range()"), "`normal_concat` must be made of"),
        (TINY_TEXT.replace("[2]", "range(2, 3, stop=4)"), "`normal_concat` must be made of"),
        (TINY_TEXT.replace("[2]", "[-2]"), r"`normal_concat\[0\]` \(=-2\)"),
        (TINY_TEXT.replace("[2]", "2"), "must be a sequence"),
        (TINY_TEXT.replace(", reduce_concat=[2]", ""), "field `reduce_concat` is missing"),
        (TINY_TEXT.replace("reduce_concat", "reduce_cat"), "unknown field 'reduce_cat'"),
        (TINY_TEXT.replace("reduce_concat", "normal_concat"), "malformed"),
        (TINY_TEXT.replace("normal=[(", "[('none', 1)], normal=[("), "`normal` is given twice"),
        ("Genotype([], [], [], [], [])", "5 values for the fields"),
        ("Genotype()", "field `normal` is missing"),
        (TINY_TEXT + "\n" + TINY_TEXT, "holds 2 genotypes"),
        ("Genotype(recurrent=[('tanh', 0)], concat=[1])", "a recurrent genotype where a conv"),
        ("RecurrentGenotype([('tanh', 0)], [1])", "a recurrent genotype where a conv"),
        ("Genotype(" + "[" * 30000, "nest deeper"),
        ("Genotype(" + "-" * 60000 + "1)", "unexpected"),
        ("Genotype(" + "not " * 15000 + "1)", "malformed"),
        ("Genotype(" + "1 if 1 else " * 5000 + "1)", "malformed"),
        ("Genotype(" + "lambda x: " * 6000 + "1)", "unexpected"),
        ("#" * (1 << 18) + TINY_TEXT, "characters"),
    ],
    ids=lambda value: value[:60],
)
@pytest.mark.filterwarnings("error")
def test_malformed_text(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Genotype.parse(text)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("call", [Genotype.parse, Genotype.from_json])
def test_text_must_be_a_string(call: Callable[[Any], Genotype]) -> None:
    with pytest.raises(TypeError, match="`text` must be a str, not bytes"):
        call(TINY_TEXT.encode())


def test_parsing_executes_nothing(tmp_path: Path) -> None:
    target = tmp_path / "made"
    with pytest.raises(ValueError, match="`normal_concat` must be made of"):
        Genotype.parse(TINY_TEXT.replace("[2]", f"open('{target.as_posix()}', 'w')"))
    assert not target.exists()


@given(st.data())
@pytest.mark.filterwarnings("error")
def test_damaged_text_is_read_or_refused(data: st.DataObject) -> None:
    json_form = data.draw(st.booleans())
    text = DARTS_V1.to_json() if json_form else str(DARTS_V1)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        stop = data.draw(st.integers(start, min(len(text), start + 3)))
        piece = data.draw(
            st.text(CHARACTERS, max_size=3) | st.sampled_from(list("()[]{}'\"\\#=,-0123456789"))
        )
        text = text[:start] + piece + text[stop:]
    try:
        genotype = (Genotype.from_json if json_form else Genotype.parse)(text)
    except ValueError:
        return
    assert Genotype.parse(str(genotype)) == genotype


def tiny_json(**changes: object) -> str:
    members = json.loads(Genotype(**TINY).to_json())
    for name, value in changes.items():
        if value is ...:
            del members[name]
        else:
            members[name] = value
    return json.dumps(members)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "malformed genotype JSON"),
        (TINY_TEXT, "malformed genotype JSON"),
        ("[1]", "is not an object"),
        ("null", "is not an object"),
        ("{}", r"`format` \(=None\) must be 'pydarts-genotype'"),
        ("[" * 60000, "malformed genotype JSON"),
        (" " * (1 << 18) + "{}", "characters"),
        (tiny_json(format="x"), r"`format` \(='x'\)"),
        (tiny_json(version=2), r"`version` \(=2\) must be 1"),
        (tiny_json(version=True), r"`version` \(=True\) must be 1"),
        (tiny_json(version=1.0), r"`version` \(=1.0\) must be 1"),
        (tiny_json(version=...), r"`version` \(=None\) must be 1"),
        (tiny_json(kind="recurrent"), r"`kind` \(='recurrent'\) must be 'convolutional'"),
        (tiny_json(kind=["convolutional"]), "`kind`"),
        (tiny_json(extra=1), "unknown member 'extra'"),
        (tiny_json(reduce=...), "field `reduce` is missing"),
        (tiny_json(normal={"0": SKIP}), "`normal` .* must be a sequence"),
        (tiny_json(normal="skip"), "`normal` .* must be a sequence"),
        (tiny_json(normal=[SKIP, ["sep_conv_3x3", 0.0]]), "must be an integer"),
        (tiny_json(normal=[SKIP, ["sep_conv_3x3", float("nan")]]), "must be an integer"),
        (tiny_json(normal=[SKIP, ["sep_conv_3x3", None]]), "must be an integer"),
        (tiny_json(reduce_concat=[2, 2]), "twice"),
        (tiny_json()[:-1] + ', "kind": "convolutional"}', "given twice"),
    ],
    ids=lambda value: value[:60],
)
def test_malformed_json(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Genotype.from_json(text)
    assert len(str(caught.value)) < 400


# Derivation


def slow_derive(alpha: list[list[Fraction]]) -> list[tuple[str, int]]:
    """SPEC §3 word for word, in 60-digit arithmetic."""
    pairs: list[tuple[int, int]] = []
    node = 2
    while len(pairs) < len(alpha):
        pairs += [(j, node) for j in range(node)]
        node += 1
    with localcontext() as context:
        context.prec = 60
        weights = []
        for row in alpha:
            powers = [(Decimal(a.numerator) / Decimal(a.denominator)).exp() for a in row]
            # Sums in another order end in other digits: cut those, so that ties are ties.
            weights.append([(p / sum(powers)).quantize(Decimal(10) ** -45) for p in powers])
    cell = []
    for i in range(2, node):
        ranked: list[tuple[Decimal, int, str]] = []
        for weight, (j, target) in zip(weights, pairs, strict=True):
            if target != i:
                continue
            best = 1
            for k in range(2, 8):
                if weight[k] > weight[best]:
                    best = k
            place = 0
            while place < len(ranked) and ranked[place][0] >= weight[best]:
                place += 1
            ranked.insert(place, (weight[best], j, OPERATIONS[best]))
        cell += [(op, j) for _, j, op in ranked[:2]]
    return cell


def both(alpha: Any) -> dict[str, Any]:
    return {"normal": alpha, "reduce": alpha}


@st.composite
def matrices(draw: st.DrawFn) -> list[list[Fraction]]:
    rows = draw(st.sampled_from([2, 5, 9, 14]))
    # Few values, rows repeated and shuffled: ties are the rule.
    value = st.integers(-8, 8) if draw(st.booleans()) else st.integers(0, 1)
    row = st.lists(value.map(lambda n: Fraction(n, 2)), min_size=8, max_size=8)
    pool = draw(st.lists(row, min_size=1, max_size=4))
    return [draw(st.permutations(draw(st.sampled_from(pool)))) for _ in range(rows)]


@given(matrices(), matrices())
def test_derive_against_slow_reference(a: list[list[Fraction]], b: list[list[Fraction]]) -> None:
    genotype = Genotype.derive({"normal": np.array(a, float), "reduce": np.array(b, float)})
    assert list(genotype.normal) == slow_derive(a)
    assert list(genotype.reduce) == slow_derive(b)
    assert genotype.normal_concat == tuple(range(2, 2 + len(genotype.normal) // 2))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8"])
def test_derive_random(dtype: str) -> None:
    rng = np.random.default_rng(0)
    scale = 10.0 if dtype == "int8" else 1.0
    a, b = (scale * rng.standard_normal((2, 14, 8))).astype(dtype)
    genotype = Genotype.derive({"reduce": b, "normal": a})
    for alpha, cell in ((a, genotype.normal), (b, genotype.reduce)):
        assert list(cell) == slow_derive([[Fraction(float(x)) for x in row] for row in alpha])


def test_ties_go_to_the_first() -> None:
    genotype = Genotype.derive(both(np.zeros((14, 8))))
    assert genotype.normal == (("max_pool_3x3", 0), ("max_pool_3x3", 1)) * 4


def test_none_takes_weight_but_is_never_chosen() -> None:
    alpha = np.zeros((5, 8))
    alpha[:, 4] = 1.0
    # Of node 3's edges the first has the largest α of an operation, yet the least weight.
    alpha[2, 4] = 2.0
    alpha[2, 0] = 5.0
    genotype = Genotype.derive(both(alpha))
    assert genotype.normal[2:] == (("sep_conv_3x3", 1), ("sep_conv_3x3", 2))


def test_strongest_edge_comes_first() -> None:
    alpha = np.zeros((14, 8))
    for edge, op, a in ((13, 7, 3.0), (10, 3, 2.0), (9, 5, 1.0), (1, 2, 1.0)):
        alpha[edge, op] = a
    genotype = Genotype.derive(both(alpha))
    assert genotype.reduce[-2:] == (("dil_conv_5x5", 4), ("skip_connect", 1))
    assert genotype.reduce[:2] == (("avg_pool_3x3", 1), ("max_pool_3x3", 0))


@pytest.mark.filterwarnings("error")
def test_weights_that_round_to_one_or_zero_keep_their_order() -> None:
    alpha = np.zeros((5, 8))
    alpha[2:, 6] = (50.0, 70.0, 60.0)
    assert Genotype.derive(both(alpha)).normal[2:] == (("dil_conv_3x3", 1), ("dil_conv_3x3", 2))
    alpha[2:] = 0.0
    alpha[2:, 0] = 2000.0
    alpha[2:, 6] = (5.0, 7.0, 6.0)
    assert Genotype.derive(both(alpha)).normal[2:] == (("dil_conv_3x3", 1), ("dil_conv_3x3", 2))
    Genotype.derive(both([[1e308, -1e308] * 4] * 14))


@given(st.permutations(range(1, 8)), st.permutations(range(1, 8)))
def test_permuted_rows_tie_exactly(p: list[int], q: list[int]) -> None:
    row = np.array([0.1, 0.7, -0.3, 1.1, 0.9, 1e-3, 0.33, -2.7])
    genotype = Genotype.derive(both([row[[0, *p]], row[[0, *q]]]))
    assert [source for _, source in genotype.normal] == [0, 1]


def test_concat_of_derived_cells() -> None:
    alpha = np.zeros((14, 8))
    genotype = Genotype.derive(both(alpha), concat=[4, 5])
    assert genotype.normal_concat == genotype.reduce_concat == (4, 5)
    uneven = Genotype.derive({"normal": alpha, "reduce": alpha[:5]})
    assert (uneven.normal_concat, uneven.reduce_concat) == ((2, 3, 4, 5), (2, 3))
    with pytest.raises(ValueError, match=r"`concat\[0\]` \(=6\) must be one of the nodes 2 to 5"):
        Genotype.derive(both(alpha), concat=[6])


@pytest.mark.parametrize(
    ("alphas", "message"),
    [
        (np.zeros((14, 8)), "`alphas` .*ndarray.* must map"),
        ({"normal": np.zeros((14, 8))}, r"`alphas` \(=\['normal'\]\) must map"),
        ({**both(np.zeros((14, 8))), "recurrent": 0}, "must map"),
        (both(np.zeros((13, 8))), r"`alphas\['normal'\]` has 13 rows.* 2, 5, 9, 14, 20"),
        (both(np.zeros((0, 8))), "has 0 rows"),
        (both(np.zeros((1, 8))), "has 1 rows"),
        (both(np.zeros((10**6, 8))), "has 1000000 rows"),
        (both(np.zeros((14, 7))), r"has shape \(14, 7\), but must be \(edges, 8\)"),
        (both(np.zeros(112)), r"has shape \(112,\)"),
        (both(np.zeros((1, 14, 8))), r"has shape \(1, 14, 8\)"),
        (both([[0.0] * 8, [0.0] * 7]), "must be an array of numbers"),
        (both(np.zeros((14, 8), complex)), "not of complex128"),
        (both([["0"] * 8] * 14), "must be an array of real numbers"),
        (both(None), "must be an array of real numbers"),
        (
            {"normal": np.zeros((2, 8)), "reduce": [[np.inf] * 8] * 2},
            r"reduce'\]\[0, 0\]` \(=inf\)",
        ),
    ],
)
def test_bad_alphas(alphas: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Genotype.derive(alphas)


def test_not_finite_names_edge_and_operation() -> None:
    alpha = np.zeros((14, 8))
    alpha[4, 3] = np.nan
    with pytest.raises(ValueError, match=r"\[4, 3\]` \(=nan\) must be finite \(edge 2→3, skip_con"):
        Genotype.derive(both(alpha))


# Notebooks


# Random cells


@pytest.mark.slow
def test_random_cells_are_uniform() -> None:
    found = [Genotype.random(seed) for seed in range(1500)]
    assert found[:50] == [Genotype.random(seed) for seed in range(50)]
    assert len(set(found)) == len(found)
    for name in ("normal", "reduce"):
        cells = [getattr(genotype, name) for genotype in found]
        for k, node in enumerate((2, 3, 4, 5)):
            pairs = Counter((cell[2 * k][1], cell[2 * k + 1][1]) for cell in cells)
            assert set(pairs) == set(itertools.combinations(range(node), 2))
            shares = np.array(list(pairs.values())) / len(cells)
            assert np.abs(shares * len(pairs) - 1).max() < 0.25
        for k in range(8):
            names = Counter(cell[k][0] for cell in cells)
            assert set(names) == set(OPERATIONS[1:])
            assert np.abs(np.array(list(names.values())) * 7 / len(cells) - 1).max() < 0.25
    assert any(genotype.normal != genotype.reduce for genotype in found)


def test_random_cells_of_other_sizes() -> None:
    genotype = Genotype.random(0, nodes=2)
    assert (len(genotype.normal), genotype.normal_concat) == (4, (2, 3))
    assert Genotype.random(0).reduce_concat == (2, 3, 4, 5)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"seed": -1}, ValueError, "`seed` (=-1) must be at least 0"),
        ({"seed": 0.5}, TypeError, "`seed` (=0.5) must be an integer"),
        ({"seed": 0, "nodes": 0}, ValueError, "`nodes` (=0) must be at least 1"),
    ],
)
@pytest.mark.parametrize("cell", [Genotype, RecurrentGenotype])
def test_bad_arguments_of_random_cells(
    cell: Any, arguments: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        cell.random(**arguments)


def test_notebook_shows_a_drawing() -> None:
    assert str(DARTS_V1._repr_svg_()).startswith("<svg")
    long = [SKIP, SEP] * 500
    assert Genotype(long, [2], long, [2])._repr_svg_() is None
