# SPDX-License-Identifier: MIT
"""What the site needs of Sphinx beyond its extensions: links, formulas, tables of options."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

import pydarts
from pydarts.data.datasets import FASHION_MNIST

_log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"

#: Pages of the repository that the site shows, and the page that includes them.
INCLUDED = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
    "benchmarks/cells.md": "benchmarks-cells.md",
    "benchmarks/minutes.md": "benchmarks-minutes.md",
}

#: Worked examples, which are executed when the site is built.
EXAMPLES = ("example-images", "example-sounds", "example-space")

_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#\s:]+)(#[^)\s]*)?\)")


def site_links(text: str, folder: Path, here: Path) -> str:
    """Return Markdown of a file in ``folder`` whose links work on a page of the site in ``here``.

    Pages link to each other as a forge shows them. Files that are no pages have no place on the
    site: of their links the text stays.
    """

    def replace(match: re.Match[str]) -> str:
        label, target, anchor = match[1], match[2], match[3] or ""
        path = Path(os.path.normpath(folder / target))
        if not path.exists() or ROOT not in path.parents:
            return match[0]  # Sphinx reports it
        name = INCLUDED.get(path.relative_to(ROOT).as_posix())
        page = DOCS / name if name else path
        if DOCS not in page.parents:
            return label
        return f"[{label}]({os.path.relpath(page, here)}{anchor})"

    return _LINK.sub(replace, text)


def missing_data(name: str) -> str | None:
    """Return why a worked example cannot be executed here, if it cannot."""
    if name == "example-sounds" and not os.environ.get("PYDARTS_FSDD"):
        return "`PYDARTS_FSDD` does not name the file of recordings"
    if name == "example-images" and not FASHION_MNIST.is_dir():
        return "Debian's package `dataset-fashion-mnist` is not installed"
    return None


def _read_page(app: Sphinx, name: str, source: list[str]) -> None:
    folder = DOCS / Path(name).parent
    source[0] = site_links(source[0], folder, folder)
    if reason := missing_data(name):
        _log.info("%s is not executed: %s", name, reason)
        note = (
            f":::{{warning}}\nNothing on this page was executed when it was built: {reason}.\n:::"
        )
        source[0] = re.sub(r"^(# .*)$", rf"\1\n\n{note}", source[0], count=1, flags=re.MULTILINE)


def _read_included(app: Sphinx, path: Path, parent: str, content: list[str]) -> None:
    content[0] = site_links(content[0], (DOCS / path).resolve().parent, DOCS)


class ConfigTable(SphinxDirective):
    """A table of the options of a configuration, with the values of its presets."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        config = getattr(pydarts, self.arguments[0])
        presets = {name: config.make(name) for name in config.presets}
        lines = [f"| option | {' | '.join(presets)} | what it is |"]
        lines.append("|---" * (len(presets) + 2) + "|")
        for option in config.options():
            values = [_shown(getattr(preset, option.name)) for preset in presets.values()]
            lines.append(
                f"| `{option.name}` | {' | '.join(values)} | {_help(option.metadata['help'])} |"
            )
        return self.parse_text_to_nodes("\n".join(lines))


def _help(text: str) -> str:
    return text.replace("|", "\\|").replace("_", "\\_").replace("*", "\\*")


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{v:g}" for v in value)
    return str(value)


def _inline_formula(self: Any, node: nodes.math) -> None:
    self.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def _formula(self: Any, node: nodes.math_block) -> None:
    self.body.append(f'<div class="formula">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect all of it."""
    app.connect("source-read", _read_page)
    app.connect("include-read", _read_included)
    app.add_directive("config-table", ConfigTable)
    app.add_html_math_renderer("mathml", (_inline_formula, None), (_formula, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
