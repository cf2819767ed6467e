# SPDX-License-Identifier: MIT
"""The figures of the pages on mathematics and engine: ``python docs/figures.py``.

It writes ``bilevel.svg``, ``finite-difference.svg`` and the three ``engine-*.svg`` beside itself;
some seconds, with matplotlib and scikit-learn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

import pydarts
from pydarts.data import load_data
from pydarts.methods.implicit import frozen_network, mixed_product

matplotlib.use("svg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
STYLE = {"svg.fonttype": "none", "svg.hashsalt": "pydarts", "font.size": 9}

#: Fill and stroke of a box.
COLOURS = {
    "data": ("#eceef1", "#6b7280"),
    "pass": ("#e3f0fc", "#1b6ec2"),
    "update": ("#fdeedf", "#c2570c"),
    "kept": ("#def4e7", "#1d7f4e"),
    "part": ("#f1e9fc", "#7c4bc9"),
}


class Quadratic:
    """L_valid = a w - 2 a + 1 and L_train = w² - 2 a w + a², whose minimum is w*(a) = a."""

    def __init__(self, alpha: float, weight: float):
        self.alpha, self.flat_weights = alpha, np.array([weight])

    def gradients(self, batch: str, weights: Any, wrt: Sequence[str]) -> Mapping[str, Any]:
        """Gradients of the loss that ``batch`` names."""
        w, a = weights, self.alpha
        if batch == "valid":
            found = {"weights": np.array([a]), "alphas": w - 2}
        else:
            found = {"weights": 2 * w - 2 * a, "alphas": 2 * a - 2 * w}
        return {name: found[name] for name in wrt}

    def split_alphas(self, flat: Any) -> Mapping[str, Any]:
        """α by group."""
        return {"alphas": flat}


def trajectory(terms: int, steps: int = 150, eta: float = 0.2) -> Any:
    """Return (steps + 1, 2) values of α and w: a step of α, then one of w."""
    alpha, weight, path = 2.0, -2.0, [(2.0, -2.0)]
    for _ in range(steps):
        problem = Quadratic(alpha, weight)
        gradient = pydarts.bilevel.implicit_gradient(
            problem, train="train", valid="valid", terms=terms, eta=eta
        )
        alpha -= 0.1 * float(gradient["alphas"][0])
        weight -= eta * (2 * weight - 2 * alpha)
        path.append((alpha, weight))
    return np.array(path)


def draw_bilevel(path: Path) -> None:
    """A bilevel problem of two numbers, and where approximations of its gradient lead to."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3.1), constrained_layout=True)
    a, w = np.meshgrid(np.linspace(-0.3, 3.1, 200), np.linspace(-2.2, 3.1, 200))
    left.contour(a, w, a * w - 2 * a + 1, 18, cmap="Greys", linewidths=0.6)
    left.plot([-0.3, 3.1], [-0.3, 3.1], ":", color="black", linewidth=1)
    left.text(0.0, 0.25, "w = w*(α)", rotation=27, fontsize=8)
    for terms, name in ((0, "first order"), (1, "one step"), (2, "two steps"), (10, "ten steps")):
        found = trajectory(terms)
        (line,) = left.plot(*found.T, linewidth=1.4, label=name)
        left.plot(*found[-1], "o", color=line.get_color(), markersize=4)
        right.plot((found[:, 0] - 1) ** 2, color=line.get_color(), linewidth=1.4, label=name)
    left.plot(1, 1, "*", color="black", markersize=9)
    left.set(
        xlabel="α",
        ylabel="w",
        xlim=(-0.3, 3.1),
        ylim=(-2.2, 3.1),
        title="α and w; contours of the validation loss",
    )
    right.set(
        xlabel="step", yscale="log", ylim=(1e-6, 3), title="$L_{valid}$(w*(α), α) over its minimum"
    )
    right.legend(fontsize=8, frameon=False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def difference_errors(epsilons: Sequence[float]) -> dict[str, list[float]]:
    """Return how far the mixed product is from that of a tiny step in float64, by precision."""
    data = load_data("digits")
    x = ((data.X_train[:256].astype(np.float64) - 4.9) / 6.0).reshape(256, 1, 8, 8)
    codes = np.unique(data.y_train[:256], return_inverse=True)[1]
    halves = {"train": (x[:128], codes[:128]), "valid": (x[128:], codes[128:])}
    errors: dict[str, list[float]] = {}
    begun = pydarts.Supernet(channels=4, cells=3, classes=10, in_channels=1, seed=0, threads=1)
    step = pydarts.bilevel.BilevelStep(begun, order=1)
    for _ in range(100):
        step(train=halves["train"], valid=halves["valid"], lr=0.025)
    wanted = None
    for dtype in ("float64", "float32"):
        net = pydarts.Supernet(
            channels=4, cells=3, classes=10, in_channels=1, seed=0, threads=1, dtype=dtype
        )
        net.load_state_dict(begun.state_dict())
        net.set_alphas(begun.alphas)
        with frozen_network(net, halves["train"], halves["valid"]) as (oracle, (train, valid)):
            w = oracle.flat_weights
            v = np.asarray(oracle.gradients(valid, w, ("weights",))["weights"], np.float64)
            if wanted is None:
                wanted = mixed_product(oracle, train, v, 1e-8)
            found = [mixed_product(oracle, train, v, each) for each in epsilons]
        size = np.linalg.norm(wanted)
        errors[dtype] = [float(np.linalg.norm(each - wanted) / size) for each in found]
    return errors


def draw_differences(path: Path) -> None:
    """What the step of the finite difference costs in exactness."""
    epsilons = np.logspace(-9, 0, 37)
    figure, axes = plt.subplots(figsize=(5.2, 3.1), constrained_layout=True)
    for dtype, errors in difference_errors(list(epsilons)).items():
        axes.plot(epsilons, errors, marker=".", linewidth=1.2, label=dtype)
        print(dtype, *(f"{e:.0e}: {error:.2g}" for e, error in zip(epsilons, errors, strict=True)))
    axes.axvline(0.01, color="grey", linewidth=0.8, linestyle=":")
    axes.text(0.011, axes.get_ylim()[1] * 0.3, "the default", color="grey", fontsize=8)
    axes.set(xscale="log", yscale="log", xlabel="ε", ylabel="relative error")
    axes.legend(fontsize=8, frameon=False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


class Drawing:
    """Boxes and arrows as SVG."""

    def __init__(self, width: int, height: int, title: str):
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" font-family="system-ui, sans-serif">',
            f"<title>{escape(title)}</title>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
            'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#4b5563"/></marker>'
            "</defs>",
            f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>',
        ]

    def box(self, x: float, y: float, w: float, h: float, kind: str, *lines: str) -> None:
        """A box with centred lines, the first of which is bold."""
        fill, stroke = COLOURS[kind]
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="6" fill="{fill}" '
            f'stroke="{stroke}"/>'
        )
        for index, line in enumerate(lines):
            at = y + h / 2 + 4.5 + 16 * (index - (len(lines) - 1) / 2)
            weight = ' font-weight="600"' if index == 0 else ""
            size = 13 if index == 0 else 12
            self.parts.append(
                f'<text x="{x + w / 2}" y="{at}" font-size="{size}"{weight} text-anchor="middle" '
                f'fill="#1f2430">{escape(line)}</text>'
            )

    def arrow(self, *points: tuple[float, float]) -> None:
        """A line through points that ends in a tip."""
        path = "M" + "L".join(f"{x} {y}" for x, y in points)
        self.parts.append(
            f'<path d="{path}" fill="none" stroke="#4b5563" stroke-width="1.4" '
            'marker-end="url(#tip)"/>'
        )

    def text(self, x: float, y: float, line: str, anchor: str = "start") -> None:
        """A note."""
        self.parts.append(
            f'<text x="{x}" y="{y}" font-size="12" text-anchor="{anchor}" fill="#4b5563">'
            f"{escape(line)}</text>"
        )

    def save(self, path: Path) -> None:
        """Write the file."""
        path.write_text("\n".join([*self.parts, "</svg>", ""]), encoding="utf-8")


def draw_layers(path: Path) -> None:
    """Which part of the program calls which."""
    d = Drawing(680, 392, "The layers of pydarts, from Python down to the kernels")
    d.box(20, 16, 640, 56, "data", "Python", "data, loop, schedules, genotypes, reports, files")
    d.box(20, 96, 310, 40, "part", "bindings: check, release the GIL, call")
    d.box(350, 96, 310, 40, "part", "C API: handles, statuses, files")
    d.box(
        20, 160, 640, 56, "update", "bilevel", "unrolled step, Hessian-vector product, SGD, Adam: "
        "over anything that gives gradients",
    )  # fmt: skip
    d.box(20, 240, 310, 56, "pass", "network", "graph, plan, forward, backward, inference")
    d.box(350, 240, 310, 56, "pass", "recurrent", "packed matrices, through time")
    d.box(20, 320, 400, 56, "kept", "kernels", "one copy for each instruction set, behind a table")
    d.box(440, 320, 220, 56, "data", "core", "threads, arena planner, JSON")
    for x in (175, 505):
        d.arrow((x, 72), (x, 94))
        d.arrow((x, 136), (x, 158))
        d.arrow((x, 216), (x, 238))
        d.arrow((x, 296), (x, 318))
    d.arrow((400, 296), (400, 318))
    d.save(path)


def draw_step(path: Path) -> None:
    """What flows through a search step of second order."""
    d = Drawing(760, 430, "The data flow of a search step of second order")
    d.box(20, 16, 150, 40, "data", "training batch")
    d.box(590, 16, 150, 40, "data", "validation batch")
    d.box(20, 90, 230, 56, "pass", "1  forward, backward", "∇w L_train(w, α)   cost 3")
    d.box(290, 90, 170, 56, "update", "unrolled step", "w′ = w − ξ(… ∇w …)")
    d.box(500, 90, 240, 56, "pass", "2  forward, backward", "v, ∇α of L_valid(w′, α)   cost 3")
    d.box(20, 190, 230, 56, "pass", "3  forward, backward to α", "∇α L_train(w + εv, α)   cost 2")
    d.box(20, 262, 230, 56, "pass", "4  forward, backward to α", "∇α L_train(w − εv, α)   cost 2")
    d.box(290, 226, 170, 56, "update", "difference", "(3 − 4) / 2ε  ≈  ∇²αw v")
    d.box(500, 226, 240, 56, "kept", "Adam moves α", "by ∇α − ξ · difference")
    d.box(20, 350, 230, 56, "pass", "5  forward, backward", "∇w L_train(w, new α)   cost 3")
    d.box(500, 350, 240, 56, "kept", "SGD moves w", "momentum, decay, clipped norm")
    d.arrow((95, 56), (95, 88))
    d.arrow((665, 56), (665, 88))
    d.arrow((250, 118), (288, 118))
    d.arrow((460, 118), (498, 118))
    d.arrow((560, 146), (560, 168), (135, 168), (135, 188))
    d.text(345, 184, "v", "middle")
    d.arrow((250, 218), (270, 218), (270, 247), (288, 247))
    d.arrow((250, 290), (270, 290), (270, 261), (288, 261))
    d.arrow((460, 254), (498, 254))
    d.arrow((680, 146), (680, 224))
    d.text(688, 190, "∇α")
    d.arrow((620, 282), (620, 334), (135, 334), (135, 348))
    d.text(345, 328, "new α", "middle")
    d.arrow((250, 378), (498, 378))
    d.save(path)


def draw_state(path: Path) -> None:
    """How one state is worked through."""
    d = Drawing(780, 330, "All that leaves one state is computed together")
    d.box(16, 126, 116, 72, "data", "state s_j", "one sample,", "in cache")
    d.box(168, 126, 84, 72, "pass", "ReLU", "once")
    d.box(292, 16, 170, 66, "pass", "depthwise 3×3, 5×5", "of all edges, plain", "and dilated")
    d.box(292, 112, 170, 50, "pass", "pools", "once for all edges")
    d.box(292, 192, 170, 50, "pass", "identity", "the state as it is")
    d.box(502, 16, 118, 66, "pass", "pointwise", "product, from", "the cache")
    d.box(502, 262, 262, 52, "kept", "stored in the arena", "raw outputs y; sums Σy, Σy²")
    d.box(
        660, 112, 104, 110, "update", "node s_i", "Σ p (a y + b)", "normalised and", "mixed in one"
    )
    d.text(292, 282, "“none” costs nothing.")
    d.text(292, 300, "y is written once, read once.")
    d.arrow((132, 162), (166, 162))
    d.arrow((252, 150), (264, 150), (264, 49), (290, 49))
    d.arrow((132, 186), (150, 186), (150, 217), (290, 217))
    d.arrow((150, 217), (276, 217), (276, 137), (290, 137))
    d.arrow((462, 49), (500, 49))
    d.arrow((620, 49), (640, 49), (640, 140), (658, 140))
    d.arrow((640, 140), (640, 260))
    d.arrow((462, 137), (560, 137), (560, 260))
    d.arrow((462, 152), (658, 152))
    d.arrow((462, 217), (600, 217), (600, 190), (658, 190))
    d.save(path)


if __name__ == "__main__":
    with matplotlib.rc_context(STYLE):
        draw_bilevel(HERE / "bilevel.svg")
        draw_differences(HERE / "finite-difference.svg")
    draw_layers(HERE / "engine-layers.svg")
    draw_step(HERE / "engine-step.svg")
    draw_state(HERE / "engine-state.svg")
