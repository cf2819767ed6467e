# SPDX-License-Identifier: MIT
"""Recurrent genotypes: the published cells, text and JSON forms, bad input, derivation from α."""

from __future__ import annotations

import copy
import dataclasses
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

import pydarts
from pydarts.spaces.cell import edges
from pydarts.spaces.darts import DARTS_V1, Genotype
from pydarts.spaces.published import PUBLISHED, published
from pydarts.spaces.recurrent import (
    RECURRENT,
    RECURRENT_DARTS_V1,
    RECURRENT_DARTS_V2,
    RECURRENT_OPERATIONS,
    RecurrentGenotype,
)

USABLE = RECURRENT_OPERATIONS[1:]
TINY: dict[str, Any] = {"recurrent": [("tanh", 0), ("relu", 1)], "concat": [1, 2]}
TINY_TEXT = "RecurrentGenotype(recurrent=[('tanh', 0), ('relu', 1)], concat=[1, 2])"


@st.composite
def genotypes(draw: st.DrawFn) -> RecurrentGenotype:
    nodes = draw(st.integers(1, 10))
    return RecurrentGenotype(
        [
            (draw(st.sampled_from(USABLE)), draw(st.integers(0, node)))  # node + 1 is its number
            for node in range(nodes)
        ],
        draw(st.lists(st.integers(1, nodes), min_size=1, max_size=nodes, unique=True)),
    )


# Values and text forms


def shorthand(text: str) -> tuple[tuple[str, int], ...]:
    return tuple((op, int(j)) for op, j in re.findall(r"(\w+) (\d)", text))


def test_published_cells() -> None:
    assert RECURRENT_DARTS_V1.recurrent == shorthand(
        "relu 0, relu 1, tanh 2, relu 3, relu 4, identity 1, relu 5, relu 1"
    )
    assert RECURRENT_DARTS_V2.recurrent == shorthand(
        "sigmoid 0, relu 1, relu 1, identity 1, tanh 2, sigmoid 5, tanh 3, relu 5"
    )
    for name, genotype in published(RECURRENT).items():
        assert genotype.concat == (1, 2, 3, 4, 5, 6, 7, 8)
        assert getattr(pydarts, name) is genotype
    assert published(RECURRENT).items() <= PUBLISHED.items()
    assert list(published(RECURRENT)) == ["RECURRENT_DARTS_V1", "RECURRENT_DARTS_V2"]


def test_operations_are_alpha_columns() -> None:
    assert " ".join(RECURRENT_OPERATIONS) == "none tanh relu sigmoid identity"


def test_string_form() -> None:
    tiny = RecurrentGenotype(**TINY)
    assert str(tiny) == repr(tiny) == TINY_TEXT


def test_fields_are_tuples_and_hashable() -> None:
    listed = RecurrentGenotype([["tanh", 0], ["relu", np.int64(1)]], np.array([1, 2]))  # type: ignore[list-item, arg-type]
    assert listed == RecurrentGenotype(**TINY)
    assert hash(listed) == hash(RecurrentGenotype(**TINY))
    assert listed.recurrent == (("tanh", 0), ("relu", 1))
    assert listed.concat == (1, 2)
    assert type(listed.recurrent[1][1]) is type(listed.concat[0]) is int
    assert listed != RecurrentGenotype(listed.recurrent, (2, 1))
    with pytest.raises(dataclasses.FrozenInstanceError):
        listed.concat = ()  # type: ignore[misc]


@given(genotypes())
def test_round_trips(genotype: RecurrentGenotype) -> None:
    assert RecurrentGenotype.parse(str(genotype)) == genotype
    assert RecurrentGenotype.from_json(genotype.to_json()) == genotype
    assert pickle.loads(pickle.dumps(genotype)) == genotype
    assert copy.deepcopy(genotype) == genotype


def test_json_form() -> None:
    assert json.loads(RECURRENT_DARTS_V1.to_json()) == {
        "format": "pydarts-genotype",
        "version": 1,
        "kind": "recurrent",
        "recurrent": [list(entry) for entry in RECURRENT_DARTS_V1.recurrent],
        "concat": [1, 2, 3, 4, 5, 6, 7, 8],
    }


@pytest.mark.parametrize(
    "text",
    [
        TINY_TEXT,
        TINY_TEXT.removeprefix("Recurrent"),
        f"DARTS = {TINY_TEXT}",
        f"03/14 01:02:03 AM genotype = {TINY_TEXT.removeprefix('Recurrent')}\nepoch 3 (of 50",
        TINY_TEXT.replace("[1, 2]", "range(1, 3)"),
        TINY_TEXT.replace("[1, 2]", "list(range(1, 3))"),
        TINY_TEXT.replace("[1, 2]", "(1, 2,)"),
        TINY_TEXT.replace("'", '"'),
        TINY_TEXT.replace(", ", ",\n  ").replace("recurrent=[", "recurrent=[  # node 1 (it's\n"),
        "Genotype([('tanh', 0), ('relu', 1)], [1, 2])",
        "Genotype([('tanh', 0), ('relu', 1)], concat=range(1, 3))",
        "RecurrentGenotype([['tanh', 0], ['relu', 1]], [1, 2])",
        "Genotype(concat=[1, 2], recurrent=(('tanh', 0), ('relu', 1)))",
    ],
)
def test_parses_forms_of_the_literature(text: str) -> None:
    assert RecurrentGenotype.parse(text) == RecurrentGenotype(**TINY)


def test_parses_the_published_form() -> None:
    text = (
        "DARTS_V2 = Genotype(recurrent=[('sigmoid', 0), ('relu', 1), ('relu', 1), ('identity', 1), "
        "('tanh', 2), ('sigmoid', 5), ('tanh', 3), ('relu', 5)], concat=range(1, 9))"
    )
    assert RecurrentGenotype.parse(text) == RECURRENT_DARTS_V2


# Bad input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recurrent": []}, r"`recurrent` \(=\[\]\) must not be empty"),
        ({"recurrent": [("tanh", 1)]}, r"`recurrent\[0\]\[1\]` \(=1\).*before node 1: 0 to 0"),
        ({"recurrent": [("tanh", 0), ("relu", 2)]}, r"`recurrent\[1\]\[1\]` \(=2\).*node 2: 0 to"),
        ({"recurrent": [("tanh", -1)]}, r"`recurrent\[0\]\[1\]` \(=-1\)"),
        ({"recurrent": [("tanhh", 0)]}, "'tanhh'.*did you mean 'tanh'"),
        ({"recurrent": [("zzz", 0)]}, "'zzz'.*known are tanh, relu, sigmoid, identity"),
        ({"recurrent": [("skip_connect", 0)]}, "'skip_connect'.* unknown operation"),
        ({"recurrent": [("none", 0)]}, r"`recurrent\[0\]\[0\]` \(='none'\) has no place"),
        ({"recurrent": [("tanh", 0.0)]}, r"\(=0.0\) must be an integer"),
        ({"recurrent": [("tanh", False)]}, r"\(=False\) must be an integer"),
        ({"recurrent": [("tanh", 0, 0)]}, r"`recurrent\[0\]`.*pair"),
        ({"recurrent": "tanh"}, r"`recurrent` \(='tanh'\) must be a sequence"),
        ({"concat": []}, r"`concat` \(=\[\]\) must not be empty"),
        ({"concat": [0]}, r"`concat\[0\]` \(=0\) must be one of the nodes 1 to 2"),
        ({"concat": [1, 3]}, r"`concat\[1\]` \(=3\) must be one of the nodes 1 to 2"),
        ({"concat": [1, 1]}, r"`concat` \(=\[1, 1\]\) has node 1 twice"),
        ({"concat": None}, r"`concat` \(=None\) must be a sequence"),
    ],
)
def test_invalid_fields(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        RecurrentGenotype(**{**TINY, **change})
    assert len(str(caught.value)) < 400


CONVOLUTIONAL = r"a convolutional genotype where a recurrent one is expected: Genotype\.parse reads"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no"),
        ("RecurrentGenotype", "holds no"),
        (TINY_TEXT[:-1], "ends before its last bracket"),
        (TINY_TEXT.replace("0)", "0 + 1)"), r"unexpected .\+ 1"),
        (TINY_TEXT.replace("'tanh'", "tanh"), "`recurrent` must be made of"),
        (TINY_TEXT.replace("tanh", "tan"), "did you mean 'tanh'"),
        (TINY_TEXT.replace("[1, 2]", "range(1, 999999999)"), "too long"),
        (TINY_TEXT.replace("[1, 2]", "range(1, 4)"), r"`concat\[2\]` \(=3\)"),
        (TINY_TEXT.replace(", concat=[1, 2]", ""), "field `concat` is missing"),
        (TINY_TEXT.replace("concat", "cat"), "unknown field 'cat'"),
        (TINY_TEXT + TINY_TEXT, "holds 2 genotypes"),
        ("Genotype()", "field `recurrent` is missing"),
        ("Genotype([('tanh', 0)])", "field `concat` is missing"),
        ("Genotype([], [], [])", "3 values for the fields recurrent, concat"),
        ("RecurrentGenotype([], [], [], [])", "4 values for the fields recurrent, concat"),
        ("RecurrentGenotype(normal=[])", "unknown field 'normal'"),
        ("Genotype([('tanh', 0)], concat=[1], recurrent=[])", "`recurrent` is given twice"),
        (str(DARTS_V1), CONVOLUTIONAL),
        ("Genotype([], [2], [], [2])", CONVOLUTIONAL),
        ("Genotype(normal=[])", CONVOLUTIONAL),
        ("Genotype(" + "[" * 30000, "nest deeper"),
        ("#" * (1 << 18) + TINY_TEXT, "characters"),
    ],
    ids=lambda value: value[:60],
)
@pytest.mark.filterwarnings("error")
def test_malformed_text(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        RecurrentGenotype.parse(text)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "text", [TINY_TEXT, TINY_TEXT.removeprefix("Recurrent"), "Genotype([('tanh', 0)], [1])"]
)
def test_the_other_class_names_this_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"a recurrent .* expected: RecurrentGenotype\.parse"):
        Genotype.parse(text)


@pytest.mark.parametrize("call", [RecurrentGenotype.parse, RecurrentGenotype.from_json])
def test_text_must_be_a_string(call: Callable[[Any], RecurrentGenotype]) -> None:
    with pytest.raises(TypeError, match="`text` must be a str, not bytes"):
        call(TINY_TEXT.encode())


def test_parsing_executes_nothing(tmp_path: Path) -> None:
    target = tmp_path / "made"
    with pytest.raises(ValueError, match="`concat` must be made of"):
        RecurrentGenotype.parse(TINY_TEXT.replace("[1, 2]", f"open('{target.as_posix()}', 'w')"))
    assert not target.exists()


@given(st.data())
@pytest.mark.filterwarnings("error")
def test_damaged_text_is_read_or_refused(data: st.DataObject) -> None:
    json_form = data.draw(st.booleans())
    text = RECURRENT_DARTS_V1.to_json() if json_form else str(RECURRENT_DARTS_V1)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        stop = data.draw(st.integers(start, min(len(text), start + 3)))
        piece = data.draw(
            st.text(CHARACTERS, max_size=3) | st.sampled_from(list("()[]{}'\"\\#=,-0123456789"))
        )
        text = text[:start] + piece + text[stop:]
    try:
        genotype = (RecurrentGenotype.from_json if json_form else RecurrentGenotype.parse)(text)
    except ValueError:
        return
    assert RecurrentGenotype.parse(str(genotype)) == genotype


def tiny_json(**changes: object) -> str:
    members = json.loads(RecurrentGenotype(**TINY).to_json())
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
        ("[1]", "is not an object"),
        (tiny_json(format="x"), r"`format` \(='x'\)"),
        (tiny_json(version=2), r"`version` \(=2\) must be 1"),
        (
            DARTS_V1.to_json(),
            r"`kind` \(='convolutional'\) must be 'recurrent': Genotype\.from_json reads it",
        ),
        (tiny_json(kind="x"), r"`kind` \(='x'\) must be 'recurrent'$"),
        (tiny_json(kind=["recurrent"]), "`kind`"),
        (tiny_json(extra=1), "unknown member 'extra'; known are recurrent, concat"),
        (tiny_json(concat=...), "field `concat` is missing"),
        (tiny_json(recurrent=[["tanh", 0.0]]), "must be an integer"),
        (tiny_json(concat=[1, 1]), "twice"),
        (tiny_json()[:-1] + ', "kind": "recurrent"}', "given twice"),
    ],
    ids=lambda value: value[:60],
)
def test_malformed_json(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        RecurrentGenotype.from_json(text)
    assert len(str(caught.value)) < 400


def test_the_other_class_reads_no_recurrent_json() -> None:
    with pytest.raises(ValueError, match=r"'convolutional': RecurrentGenotype\.from_json reads it"):
        Genotype.from_json(tiny_json())


# Derivation


def plain_derive(alpha: list[list[Fraction]]) -> list[tuple[str, int]]:
    """SPEC §3 word for word, in 60-digit arithmetic."""
    with localcontext() as context:
        context.prec = 60
        weights = []
        for row in alpha:
            powers = [(Decimal(a.numerator) / Decimal(a.denominator)).exp() for a in row]
            # Sums in another order end in other digits: cut those, so that ties are ties.
            weights.append([(p / sum(powers)).quantize(Decimal(10) ** -45) for p in powers])
    cell: list[tuple[str, int]] = []
    edge = 0
    node = 1
    while edge < len(weights):
        chosen, largest = ("", -1), Decimal(-1)
        for j in range(node):
            for k, op in enumerate(RECURRENT_OPERATIONS):
                if op != "none" and weights[edge][k] > largest:
                    chosen, largest = (op, j), weights[edge][k]
            edge += 1
        cell.append(chosen)
        node += 1
    return cell


@st.composite
def matrices(draw: st.DrawFn) -> list[list[Fraction]]:
    rows = draw(st.sampled_from([1, 3, 6, 10, 36]))
    # Few values, rows repeated and shuffled: ties are the rule.
    value = st.integers(-8, 8) if draw(st.booleans()) else st.integers(0, 1)
    row = st.lists(value.map(lambda n: Fraction(n, 2)), min_size=5, max_size=5)
    pool = draw(st.lists(row, min_size=1, max_size=4))
    return [draw(st.permutations(draw(st.sampled_from(pool)))) for _ in range(rows)]


@given(matrices())
def test_derive_against_plain_loops(alpha: list[list[Fraction]]) -> None:
    genotype = RecurrentGenotype.derive({"recurrent": np.array(alpha, float)})
    assert list(genotype.recurrent) == plain_derive(alpha)
    assert genotype.concat == tuple(range(1, len(genotype.recurrent) + 1))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8"])
def test_derive_random(dtype: str) -> None:
    scale = 10.0 if dtype == "int8" else 1.0
    alpha = (scale * np.random.default_rng(0).standard_normal((36, 5))).astype(dtype)
    genotype = RecurrentGenotype.derive({"recurrent": alpha})
    assert list(genotype.recurrent) == plain_derive(
        [[Fraction(float(x)) for x in row] for row in alpha]
    )


def test_ties_go_to_the_first() -> None:
    genotype = RecurrentGenotype.derive({"recurrent": np.zeros((36, 5))})
    assert genotype == RecurrentGenotype([("tanh", 0)] * 8, range(1, 9))


def test_none_takes_weight_but_is_never_chosen() -> None:
    alpha = np.zeros((3, 5))
    alpha[0, 0] = 9.0
    # Of node 2's edges the first has the largest α of an operation, yet the least weight.
    alpha[1:, 3] = (2.0, 1.0)
    alpha[1, 0] = 5.0
    assert edges(2, inputs=1)[1:] == ((0, 2), (1, 2))
    assert RecurrentGenotype.derive({"recurrent": alpha}).recurrent == (("tanh", 0), ("sigmoid", 1))


def test_concat_of_a_derived_cell() -> None:
    alpha = {"recurrent": np.zeros((36, 5))}
    assert RecurrentGenotype.derive(alpha, concat=[7, 8]).concat == (7, 8)
    with pytest.raises(ValueError, match=r"`concat\[0\]` \(=9\) must be one of the nodes 1 to 8"):
        RecurrentGenotype.derive(alpha, concat=[9])


@pytest.mark.parametrize(
    ("alphas", "message"),
    [
        (np.zeros((36, 5)), "`alphas` .*ndarray.* must map 'recurrent' to an array"),
        ({"normal": 0, "reduce": 0}, r"`alphas` \(=\['normal', 'reduce'\]\) must map"),
        ({}, r"`alphas` \(=\[\]\) must map"),
        ({"recurrent": np.zeros((35, 5))}, r"alphas\['recurrent'\]` has 35 rows.* 1, 3, 6, 10, 15"),
        ({"recurrent": np.zeros((0, 5))}, "has 0 rows"),
        ({"recurrent": np.zeros((36, 8))}, r"has shape \(36, 8\), but must be \(edges, 5\)"),
        ({"recurrent": np.zeros((36, 5), complex)}, "not of complex128"),
        ({"recurrent": [[0.0] * 5, [0.0] * 4]}, "must be an array of numbers"),
    ],
)
def test_bad_alphas(alphas: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RecurrentGenotype.derive(alphas)


def test_not_finite_names_edge_and_operation() -> None:
    alpha = np.zeros((36, 5))
    alpha[4, 3] = np.nan
    with pytest.raises(ValueError, match=r"\[4, 3\]` \(=nan\) must be finite \(edge 1→3, sigmoid"):
        RecurrentGenotype.derive({"recurrent": alpha})


# Notebooks


@pytest.mark.slow
def test_random_cells_are_uniform() -> None:
    found = [RecurrentGenotype.random(seed) for seed in range(2000)]
    assert found[:50] == [RecurrentGenotype.random(seed) for seed in range(50)]
    for k in range(8):
        for part, size in ((0, 4), (1, k + 1)):
            counts = Counter(genotype.recurrent[k][part] for genotype in found)
            assert len(counts) == size
            assert np.abs(np.array(list(counts.values())) * size / len(found) - 1).max() < 0.25
    assert found[0].concat == (1, 2, 3, 4, 5, 6, 7, 8)
    assert len(RecurrentGenotype.random(0, nodes=3).recurrent) == 3


def test_notebook_shows_a_drawing() -> None:
    assert str(RECURRENT_DARTS_V2._repr_svg_()).startswith("<svg")
    assert RecurrentGenotype([("tanh", 0)] * 33, [1])._repr_svg_() is None
