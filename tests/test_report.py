# SPDX-License-Identifier: MIT
"""The report: a page that holds all there is, needs nothing else, and believes no file."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pydarts.common.environment import environment
from pydarts.report.charts import PALETTE, Series, dot_chart, line_chart, looks
from pydarts.report.page import (
    notebook_html,
    page_html,
    result_html,
    write_page,
    write_report,
)
from pydarts.report.report_data import ReportData
from pydarts.spaces import S2
from pydarts.spaces.darts import OPERATIONS, Genotype
from pydarts.spaces.recurrent import RECURRENT_OPERATIONS, RecurrentGenotype
from pydarts.spaces.space import READY
from pydarts.training.config import SEARCH_CONFIGS
from pydarts.training.result import SearchResult

KINDS = (Genotype, RecurrentGenotype)
VOID = {"meta", "input"}


def names_of(kind: type[Any]) -> list[str]:
    return [cell.name for cell in READY[kind.usual_space].cells]


def searched(kind: type[Any] = Genotype, epochs: int = 3, move: float = 0.3) -> SearchResult:
    """What a search would return, without one: α that wanders, losses that fall."""
    rng = np.random.default_rng(0)
    shape = (epochs + 1, 14, 8) if kind is Genotype else (epochs + 1, 36, 5)
    trajectory = {
        name: np.cumsum(rng.normal(0, move, shape), axis=0).astype(np.float32)
        for name in names_of(kind)
    }
    history = []
    for k in range(epochs):
        entry: dict[str, Any] = {"epoch": k + 1, "lr": 0.1, "train_loss": 2.0 / (k + 1)}
        if kind is Genotype:
            entry |= {"train_accuracy": 0.25, "valid_loss": 2.5 / (k + 1), "valid_accuracy": 0.125}
        else:
            entry |= {"valid_loss": 2.5 / (k + 1), "valid_perplexity": math.exp(2.5 / (k + 1))}
        entry |= {"seconds": 2.0 * k + 2, "eigenvalue": None if k % 2 else 0.5}
        entry["genotype"] = str(kind.derive({name: a[k + 1] for name, a in trajectory.items()}))
        history.append(entry)
    alphas = {name: a[-1] for name, a in trajectory.items()}
    config = SEARCH_CONFIGS[kind.kind].make("quick", {"epochs": max(1, epochs)})
    supernet = SimpleNamespace(num_weights=1234)
    return SearchResult(config, supernet, alphas, kind.derive(alphas), history, trajectory)


def data_of(*arguments: Any, **options: Any) -> ReportData:
    return ReportData.from_result(searched(*arguments, **options))


class Page(HTMLParser):
    """All elements of a page, having seen that they are nested as they must."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(attrs) == len(dict(attrs)), "an attribute is given twice"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert "svg" in self.open, f"<{tag}/> closes itself in SVG only"
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.texts[tag][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def having(self, attribute: str) -> list[dict[str, str | None]]:
        return [attributes for _, attributes in self.elements if attribute in attributes]


@pytest.mark.parametrize("epochs", [0, 1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_the_page_is_sound(kind: type[Any], epochs: int) -> None:
    found = Page(page_html(data_of(kind, epochs)))
    assert found.all("html") == [{"lang": "en"}]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in found.all(
        "meta"
    )
    ids = [attributes["id"] for attributes in found.having("id")]
    assert len(ids) == len(set(ids))
    levels = [int(tag[1]) for tag, _ in found.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    for drawing in found.all("svg"):
        assert drawing.get("role") == "img" or drawing["aria-hidden"] == "true"
    headings = found.texts["h2"]
    assert headings[:2] == ["Cells", "Architecture parameters (α)"]
    assert ("Learning curves" in headings) == (epochs > 0)
    assert headings[-2:] == ["Configuration", "Environment"]
    assert len(found.all("script")) == (epochs > 0), "nothing moves where there is one moment"


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_comes_from_outside(kind: type[Any]) -> None:
    text = page_html(data_of(kind))
    assert "http" not in text.replace('xmlns="http://www.w3.org/2000/svg"', "").replace(
        "http-equiv", ""
    )
    assert not re.search(r"url\(|@import|<link|<img|<iframe|<object", text)
    found = Page(text)
    assert found.having("src") == found.having("href") == []
    (policy,) = (m["content"] for m in found.all("meta") if "http-equiv" in m)
    (script,) = found.texts["script"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_without_script_the_last_epoch_is_shown(kind: type[Any]) -> None:
    data = data_of(kind, 4)
    found = Page(page_html(data))
    shown = [each for each in found.having("data-epochs") if "hidden" not in each]
    assert len(shown) == len(names_of(kind))
    assert all(str(each["data-epochs"]).split()[-1] == "4" for each in shown)
    (player,) = (attributes for attributes in found.all("div") if attributes.get("id") == "player")
    assert "hidden" in player
    cells = found.having("data-weights")
    weights = np.concatenate([data.weights(name)[-1].ravel() for name in names_of(kind)])
    assert len(cells) == len(weights)
    for cell, weight, text in zip(cells, weights, found.texts["td"], strict=False):
        assert str(cell["style"]) == f"--w:{round(1000 * weight)}"
        assert float(text) == round(1000 * weight) / 10
    kept = [cell for cell in cells if cell.get("class") == "kept"]
    assert len(kept) == (16 if kind is Genotype else 8)


def test_the_same_cell_is_stored_once() -> None:
    still = searched(epochs=20, move=0.0)
    drawings = Page(page_html(ReportData.from_result(still))).having("data-epochs")
    every = " ".join(map(str, range(21)))
    assert [drawing["data-epochs"] for drawing in drawings] == [every, every]

    moving = data_of(epochs=20)
    text = page_html(moving)
    drawings = Page(text).having("data-epochs")
    different = [
        {getattr(s.genotype, name) for s in moving.snapshots} for name in names_of(Genotype)
    ]
    assert len(drawings) == sum(map(len, different)) > 32
    assert len(text.encode()) < 400_000


def test_changes_are_listed() -> None:
    result = searched(epochs=2, move=0.0)
    before = Genotype.parse(result.history[0]["genotype"])
    new = [("skip_connect", 0), *before.normal[1:]]
    after = Genotype(new, before.normal_concat, before.reduce, before.reduce_concat)
    result.alpha_history, result.alphas = {}, {}
    result.history[1]["genotype"], result.genotype = str(after), before
    old, source = before.normal[0]
    name = ("c_k−2", "c_k−1")[source]
    assert Page(page_html(ReportData.from_result(result))).texts["li"] == [
        f"epoch 2: normal cell − {old} ({name} → 0), + skip_connect (c_k−2 → 0)",
        f"the result: normal cell − skip_connect (c_k−2 → 0), + {old} ({name} → 0)",
    ]


NASTY = """<script>alert(1)</script><img src="x">'"&\x00"""


def test_what_files_say_is_escaped() -> None:
    data = replace(
        data_of(),
        config={NASTY: NASTY, "epochs": NASTY},
        facts={"data": NASTY, NASTY: [NASTY], "state": NASTY},
        environment={NASTY: NASTY},
        comparison={
            "cells": [{"name": NASTY, "scores": [0.5, NASTY], "num_weights": NASTY}],
            "measure": NASTY,
            "better": NASTY,
            "verdict": NASTY,
            "seeds": [NASTY],
        },
    )
    data = replace(data, history=[{**entry, NASTY: NASTY} for entry in data.history])
    found = Page(page_html(data))
    assert len(found.all("script")) == 1
    assert found.all("img") == []
    assert found.texts["h1"] == [f"Cells for {NASTY}".replace("\x00", "\ufffd")]
    notebook = Page(notebook_html(data, NASTY))
    assert notebook.all("script") == notebook.all("img") == []


def test_titles_of_cells_are_escaped() -> None:
    cells = [replace(cell, title=NASTY) for cell in S2.cells]
    space = S2.replace(name="mine", cells=cells)
    rows = {cell.name: np.zeros((14, cell.columns), np.float32) for cell in space.cells}
    genotype = space.derive(rows)
    history = [{"epoch": 1, "valid_loss": 1.0, "seconds": 1.0, "genotype": str(genotype)}]
    trajectory = {name: np.stack([alphas, alphas]) for name, alphas in rows.items()}
    config = SEARCH_CONFIGS["convolutional"].make("quick", {"epochs": 1})
    supernet = SimpleNamespace(num_weights=1)
    result = SearchResult(config, supernet, rows, genotype, history, trajectory)
    found = Page(page_html(ReportData.from_result(result)))
    assert len(found.all("script")) == 1
    assert found.all("img") == []
    labels = {element["aria-label"] for element in found.having("aria-label")}
    assert NASTY.replace("\x00", "\ufffd") in labels


def test_a_search_beside_a_curve_is_not_of_it(result: SearchResult, tmp_path: Path) -> None:
    (tmp_path / "pareto.json").write_text("damaged")
    result.save(tmp_path / "mine")
    assert ReportData.from_folder(tmp_path / "mine").trade_off == []
    result.save(tmp_path / "limit-0")
    with pytest.raises(ValueError, match=r"pareto\.json"):
        ReportData.from_folder(tmp_path / "limit-0")


def test_missing_numbers_are_left_out() -> None:
    result = searched(epochs=4)
    nothing = [{"valid_loss": value} for value in (math.nan, math.inf, None)]
    for entry, values in zip(result.history, [*nothing, {}], strict=True):
        entry |= values | {"eigenvalue": None, "train_accuracy": None, "valid_accuracy": 1e300}
        entry |= {"lr": 10**400, "seconds": math.nan, "alpha_gradient_norm": 10**400}
    found = Page(page_html(ReportData.from_result(result)))
    titles = [text for text in found.texts["title"] if text in ("Loss", "Accuracy")]
    assert titles == ["Loss"]
    assert not any("eigenvalue" in text for text in found.texts["title"])
    loss = next(text for text in found.texts["desc"] if text.startswith("training: "))
    assert "validation: 0.625 at epoch 4" in loss


def test_a_search_that_was_cut_short() -> None:
    result = searched(epochs=2)
    result.interrupted, result.stopped = True, "enough"
    result.alphas = {name: a + np.eye(*a.shape) for name, a in result.alphas.items()}
    result.genotype = Genotype.derive(result.alphas)
    data = ReportData.from_result(result)
    assert [snapshot.name for snapshot in data.snapshots] == [
        "the start",
        "epoch 1",
        "epoch 2",
        "the result",
    ]
    found = Page(page_html(data))
    assert {"interrupted", "enough"} <= set(found.texts["dd"])
    shown = [each for each in found.having("data-epochs") if "hidden" not in each]
    assert [str(each["data-epochs"]).split()[-1] for each in shown] == ["3", "3"]


def test_the_comparison() -> None:
    comparison = {
        "cells": [
            {"name": "found", "kind": "found", "scores": [0.9, 0.8], "num_weights": 1234},
            {"name": "random 1", "kind": "random", "scores": [0.85, None]},
        ],
        "measure": "accuracy",
        "better": "higher",
        "seeds": [3, 4],
        "verdict": "The found cell is not better.",
    }
    found = Page(page_html(replace(data_of(), comparison=comparison)))
    assert "Comparison" in found.texts["h2"]
    assert "The found cell is not better." in found.texts["p"]
    assert "found: mean 85 % of 2. random 1: mean 85 % of 1." in found.texts["desc"]
    assert {"seed 3", "seed 4"} <= set(found.texts["th"])
    assert {"1,234", "90.00%", "80.00%", "85.00%", "–"} <= set(found.texts["td"])


def luminance(colour: str) -> float:
    """Relative luminance as WCAG defines it, of ``#rrggbb`` or ``r g b``."""
    numbers = (
        [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        if colour.startswith("#")
        else list(map(int, colour.split()))
    )
    parts = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in numbers]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1])
def test_contrast(theme: int) -> None:
    (text,) = Page(page_html(data_of())).texts["style"]
    blocks = re.findall(r":root\s*{(.*?)}", text, re.DOTALL)
    colours = dict(re.findall(r"--(\w+): (#\w{6}|\d+ \d+ \d+);", blocks[theme]))
    assert len(colours) == 7
    for ground in ("page", "card"):
        for ink in ("ink", "muted", "accent"):
            assert contrast(colours[ink], colours[ground]) >= 4.5
    assert contrast(colours["ink"], colours["heat"]) >= 4.5
    charts = re.findall(r"\.pydarts-chart{--ink:(#\w+);--muted:(#\w+)", text)[theme]
    assert all(contrast(ink, colours["card"]) >= 4.5 for ink in charts)
    lines = [*PALETTE, *looks(OPERATIONS).values(), *looks(RECURRENT_OPERATIONS).values()]
    assert all(contrast(look[theme], colours["card"]) >= 3 for look in lines)


class TestCharts:
    def test_gaps(self) -> None:
        drawn = line_chart("t", [Series("a", [1, 2, None, math.nan, 3, None, 4, 5])], (1, 8))
        assert drawn is not None
        (path,) = re.findall(r'class="line" d="(M[^"]*L[^"]*)"', drawn)
        assert path.count("M") == 2
        assert path.count("L") == 2
        assert drawn.count('class="dot"') == 1
        assert drawn.count('class="hit"') == 5

    def test_nothing(self) -> None:
        assert line_chart("t", [Series("a", [None, math.nan, math.inf])], (1, 3)) is None
        assert line_chart("t", [], (0, 0)) is None
        assert dot_chart("t", [("a", [None], True)]) is None

    @given(
        st.lists(st.none() | st.floats(width=64), min_size=1, max_size=8),
        st.integers(0, 1),
        st.booleans(),
    )
    @example([0.0, 5e-324], 0, False)
    def test_everything_is_inside(
        self, values: list[float | None], first: int, percent: bool
    ) -> None:
        span = (first, first + len(values) - 1)
        lines = line_chart("t", [Series("a", values, first)], span, percent=percent)
        dots = dot_chart("t", [("a", values, True)], percent=percent)
        drawable = sum(v is not None and abs(v) < 1e100 for v in values)
        assert (lines is None) == (dots is None) == (drawable == 0)
        if lines is None or dots is None:
            return
        assert lines.count('class="hit"') == dots.count('class="dot"') == drawable
        for drawn in (lines, dots):
            width, height = map(float, re.findall(r'viewBox="0 0 (\S+) (\S+)"', drawn)[0])
            spots = re.findall(r'cx="(\S+)" cy="(\S+)"', drawn)
            spots += re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", drawn)
            spots += re.findall(r'<text x="(\S+)" y="(\S+)"', drawn)
            for x, y in spots:
                assert 0 <= float(x) <= width
                assert 0 <= float(y) <= height

    def test_an_axis_ends_at_round_numbers(self) -> None:
        drawn = line_chart("t", [Series("a", [0.13, 0.87])], (1, 2)) or ""
        labels = re.findall(r'text-anchor="end">(\S+)</text>', drawn)
        assert labels == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
        drawn = line_chart("t", [Series("a", [0.985, 0.991])], (1, 2), percent=True) or ""
        assert re.findall(r'text-anchor="end">(.+?) %</text>', drawn)[0] == "98.5"

    def test_epochs_named_on_the_axis(self) -> None:
        drawn = line_chart("t", [Series("a", [1.0] * 50)], (0, 50)) or ""
        labels = re.findall(r'text-anchor="middle">(\d+)</text>', drawn)
        assert labels == ["0", "10", "20", "30", "40", "50"]


@pytest.fixture(params=KINDS)
def result(request: pytest.FixtureRequest) -> SearchResult:
    return searched(request.param, epochs=2)


@pytest.fixture
def folder(result: SearchResult, tmp_path: Path) -> Path:
    """What a search and the training after it leave."""
    out = tmp_path / "out"
    result.save(out)
    shutil.copy(out / "history.csv", out / "train_history.csv")
    facts = {**environment(), "state": "finished", "data": "digits", "search_seconds": 4.0}
    (out / "summary.json").write_text(json.dumps(facts))
    return out


class TestFolder:
    def test_all_that_was_saved_is_shown(self, result: SearchResult, folder: Path) -> None:
        path = folder / "page.html"
        write_page(ReportData.from_folder(folder), path)
        found = Page(path.read_text("utf-8"))
        headings = ["Cells", "Architecture parameters (α)", "Learning curves"]
        headings += ["Training of the network", "Configuration", "Environment"]
        assert found.texts["h2"] == headings
        (slider,) = found.all("input")
        assert (slider["min"], slider["max"]) == ("0", "2")
        rows = " ".join(found.texts["td"])
        assert environment()["cpu"] in rows
        assert environment()["instruction_set"] in rows
        assert all(option.metadata["help"] in rows for option in result.config.options())
        assert "2 of 2 epochs in 4.0 s" in found.texts["dd"]
        (text,) = found.texts["pre"]
        assert type(result.genotype).parse(text) == result.genotype

    def test_folder_and_result_show_the_same(self, result: SearchResult, folder: Path) -> None:
        loaded = ReportData.from_result(SearchResult.load(folder))
        found, other = Page(page_html(loaded)), Page(page_html(ReportData.from_folder(folder)))
        for attribute in ("data-weights", "data-kept", "data-epochs"):
            assert found.having(attribute) == other.having(attribute) != []
        assert loaded.config == ReportData.from_folder(folder).config == result.config.to_dict()
        assert "The environment of the search was not recorded." in found.texts["p"]
        assert "The environment of the search was not recorded." not in other.texts["p"]

    def test_how_it_ended(self, result: SearchResult, tmp_path: Path) -> None:
        result.interrupted, result.stopped = True, "enough"
        result.save(tmp_path)
        facts = ReportData.from_folder(tmp_path).facts
        assert facts == ReportData.from_result(result).facts
        assert facts == {"state": "interrupted", "search_stopped": "enough"}

    def test_version_1(self, folder: Path) -> None:
        config = ReportData.from_folder(folder).config
        older = {name: value for name, value in config.items() if name != "max_grad_norm"}
        older["clip"] = config["max_grad_norm"]
        (folder / "config.json").write_text(json.dumps(older))
        (folder / "result.json").unlink()
        assert ReportData.from_folder(folder).config == config

    def test_only_the_genotype_is_needed(self, folder: Path, tmp_path: Path) -> None:
        for name in ("genotype.json", "alphas.npz"):
            shutil.copy(folder / name, tmp_path)
            found = Page(page_html(ReportData.from_folder(tmp_path)))
            headings = ["Cells", "Architecture parameters (α)"]
            headings = headings if name == "alphas.npz" else headings[:1]
            assert found.texts["h2"] == [*headings, "Environment"]
            assert found.all("script") == []

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("genotype.json", b"{}"),
            ("genotype.json", b"\xff"),
            ("summary.json", b"{"),
            ("summary.json", b"[" * 100_000),
            ("result.json", b"[]"),
            ("result.json", b'{"format": "pydarts-result", "version": 3}'),
            ("result.json", b'{"format": "pydarts-result", "version": 2}'),
            ("result.json", b'{"format": "pydarts-result", "version": 2, "space": "other"}'),
            ("config.json", b"[]"),
            ("config.json", b'{"preset": "quick", "nonsense": 1}'),
            ("history.csv", b"epoch,genotype\n1,import os\n"),
            ("history.csv", b"epoch\n1,2\n"),
            ("alphas.npz", b"PK"),
            ("alpha_history.npz", b""),
            ("compare.json", b'{"cells": 3}'),
            ("compare.json", b'{"cells": [{"name": "a"}]}'),
        ],
    )
    def test_damage_is_reported(self, folder: Path, name: str, content: bytes) -> None:
        if name == "config.json":
            (folder / "result.json").unlink()
        (folder / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"^{re.escape(str(folder / name))}"):
            ReportData.from_folder(folder)

    def test_alphas_that_do_not_fit(self, folder: Path) -> None:
        with np.load(folder / "alphas.npz") as file:
            alphas = dict(file)
        np.savez(folder / "alphas.npz", **{name: a[:-1] for name, a in alphas.items()})
        with pytest.raises(ValueError, match="do not fit a cell"):
            ReportData.from_folder(folder)
        np.savez(
            folder / "alphas.npz", **{name: np.full(a.shape, "x") for name, a in alphas.items()}
        )
        with pytest.raises(ValueError, match="could not convert"):
            ReportData.from_folder(folder)
        np.savez(folder / "alphas.npz", **alphas)
        with np.load(folder / "alpha_history.npz") as file:
            shorter = {name: a[1:] for name, a in file.items()}
        np.savez(folder / "alpha_history.npz", **shorter)
        with pytest.raises(ValueError, match="history of 2 epochs"):
            ReportData.from_folder(folder)

    def test_what_is_no_search(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match="there is no folder"):
            ReportData.from_folder(tmp_path / "nowhere")
        with pytest.raises(FileNotFoundError, match=r"no genotype\.json"):
            ReportData.from_folder(tmp_path)


def test_a_page_is_not_replaced_unasked(result: SearchResult, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="`overwrite=True` replaces it"):
        write_report(result, path)
    assert path.read_text() == "mine"
    write_report(result, path, overwrite=True)
    assert path.read_text("utf-8") == page_html(ReportData.from_result(result))
    assert list(tmp_path.iterdir()) == [path]


def test_notebook(result: SearchResult) -> None:
    found = Page(result_html(result))
    assert found.texts["pre"] == [repr(result)]
    assert "Loss" in found.texts["title"]
    assert {cell.title for cell in result.space.cells} <= set(found.texts["title"])
    assert found.having("src") == found.having("href") == found.all("script") == []
    (style,) = found.texts["style"]
    selectors = [line.split("{")[0] for line in style.splitlines() if "{" in line]
    assert all(text.startswith((".pydarts-", "@media")) for text in selectors)


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def browsed(path: Path, profile: Path, address: str = "", milliseconds: int = 1000) -> Page:
    """The page as Chromium has it after a while, having complained of nothing."""
    assert CHROMIUM is not None
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    command += [f"--user-data-dir={profile}", f"--virtual-time-budget={milliseconds}"]
    done = subprocess.run(
        [*command, "--dump-dom", f"{path.as_uri()}{address}"],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert "CONSOLE" not in done.stderr, done.stderr
    return Page(done.stdout)


def shown(found: Page) -> tuple[str, list[str], list[int], int]:
    """The label, the drawings that are shown, the mixing weights, and how many are outlined."""
    drawings = [
        str(each["data-epochs"]) for each in found.having("data-epochs") if "hidden" not in each
    ]
    cells = found.having("data-weights")
    weights = [round(10 * float(text)) for text in found.texts["td"][: len(cells)]]
    assert [f"--w:{w}" for w in weights] == [re.sub("[ ;]", "", str(c["style"])) for c in cells]
    return found.texts["output"][0], drawings, weights, sum(c.get("class") == "kept" for c in cells)


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize(
    "kind", [Genotype, pytest.param(RecurrentGenotype, marks=pytest.mark.slow)]
)
class TestChromium:
    @pytest.mark.slow
    @pytest.mark.parametrize(("address", "epoch"), [("", 3), ("#epoch=1", 1), ("#epoch=99", 3)])
    def test_the_epoch_of_the_address(
        self, kind: type[Any], tmp_path: Path, address: str, epoch: int
    ) -> None:
        data = data_of(kind)
        path = tmp_path / "page.html"
        path.write_text(page_html(data), encoding="utf-8")
        label, drawings, weights, kept = shown(browsed(path, tmp_path / "profile", address))
        assert label == f"epoch {epoch}"
        assert len(drawings) == len(names_of(kind))
        assert all(str(epoch) in drawing.split() for drawing in drawings)
        real = np.concatenate([data.weights(name)[epoch].ravel() for name in names_of(kind)])
        assert weights == [round(1000 * weight) for weight in real]
        assert kept == (16 if kind is Genotype else 8)

    @pytest.mark.slow
    def test_it_plays(self, kind: type[Any], tmp_path: Path) -> None:
        data = data_of(kind)
        # The policy forbids this script, and so it should.
        policy = re.compile('<meta http-equiv="Content-Security-Policy"[^>]*>')
        press = """<p id="log"></p><script>
            const label = document.getElementById("shown"), log = document.getElementById("log");
            new MutationObserver(() => { log.append(label.textContent, ","); })
                .observe(label, {childList: true});
            document.getElementById("play").click();
        </script>"""
        text, removed = policy.subn("", page_html(data))
        assert removed == 1
        path = tmp_path / "page.html"
        path.write_text(text.replace("</body>", f"{press}</body>"), encoding="utf-8")
        found = browsed(path, tmp_path / "profile", milliseconds=10_000)
        assert found.texts["p"][-1] == "the start,epoch 1,epoch 2,epoch 3,"
        assert found.texts["button"] == ["Play"]

    @pytest.mark.slow
    def test_no_other_script_runs(self, kind: type[Any], tmp_path: Path) -> None:
        path = tmp_path / "page.html"
        other = "<script>document.title = 'taken over'</script></body>"
        path.write_text(page_html(data_of(kind)).replace("</body>", other), "utf-8")
        with pytest.raises(AssertionError, match="Content Security Policy"):
            browsed(path, tmp_path / "profile")
