# SPDX-License-Identifier: MIT
"""Data of the kinds that users bring, and simple rivals: ``python -m benchmarks.own_data SET …``.

`pydarts.fit` gets so many seconds, a ResNet-8 in PyTorch as many as that took, and scikit-learn's
random forest what it needs. Printed is a row for each set and measure on its test part, as mean
(lowest to highest) over seeds and, of spoken digits, over the speakers, each of whom is held out in
turn. The best mean is bold.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.accuracy import append, read
from benchmarks.own_data_contenders import CONTENDERS, MEASURES, score
from benchmarks.own_data_sets import SETS, Part, parts_of
from pydarts import ArgumentError

Row = dict[str, Any]

_SMALLER = "root mean squared error"  # is better


def run(name: str, part: Part, seed: int, seconds: float, done: list[Row]) -> Iterator[Row]:
    """Yield the row of each contender that is not done yet."""
    left = seconds
    for contender, learn in CONTENDERS.items():
        settings = {"set": name, "part": part.name, "seed": seed, "contender": contender}
        settings["budget"] = seconds
        found = [row for row in done if settings.items() <= row.items()]
        if not found:
            predictions, taken = learn(part, seed, left)
            scores = dict(zip(MEASURES[part.task], score(part, predictions), strict=True))
            sizes = {"learned from": len(part.X), "tested on": len(part.X_test)}
            found = [{**settings, **sizes, "seconds": taken, "scores": scores}]
            yield found[0]
        if contender == "pydarts":
            left = found[0]["seconds"]


def table(rows: Iterable[Row]) -> str:
    """Return a Markdown table, a line for each set and measure."""
    head = ["set", "learned from", "tested on", "seconds", "measure", *CONTENDERS]
    lines = [f"| {' | '.join(head)} |", "|---|--:|--:|--:|---|" + "--:|" * len(CONTENDERS)]
    groups: dict[tuple[str, float, str], dict[str, list[Row]]] = {}
    for row in rows:
        for measure in row["scores"]:
            key = row["set"], row["budget"], measure
            groups.setdefault(key, {}).setdefault(row["contender"], []).append(row)
    for (name, _, measure), found in groups.items():
        ours = found["pydarts"]
        means = {
            each: mean(row["scores"][measure] for row in theirs) for each, theirs in found.items()
        }
        best = (min if measure == _SMALLER else max)(means.values())
        cells = [
            name,
            *(_span(row[size] for row in ours) for size in ("learned from", "tested on")),
            _span(round(row["seconds"]) for row in ours),
            measure,
        ]
        for each in CONTENDERS:
            values = [row["scores"][measure] for row in found.get(each, [])]
            cells.append(_shown(values, bold=means.get(each) == best))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _shown(values: list[float], bold: bool) -> str:
    if not values:
        return "–"
    digits = 3 if max(map(abs, values)) < 1 else 2 if max(map(abs, values)) < 10 else 1
    middle, low, high = (
        f"{value:.{digits}f}" for value in (mean(values), min(values), max(values))
    )
    return (f"**{middle}**" if bold else middle) + (f" ({low} to {high})" if low != high else "")


def _span(values: Iterable[float]) -> str:
    found = sorted(set(values))
    return f"{found[0]:,}" + (f"–{found[-1]:,}" if len(found) > 1 else "")


def main() -> None:
    """Run what is missing in the file, if there is one, and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.own_data", description=(__doc__ or "").split("\n\n")[1]
    )
    parser.add_argument("sets", nargs="+", choices=SETS, metavar="SET", help=", ".join(SETS))
    parser.add_argument("--seconds", type=float, default=30.0, metavar="S", help="of a fit")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N")
    parser.add_argument("--digits", type=Path, metavar="FILE.npz", help="the spoken digits")
    parser.add_argument("--parts", nargs="+", metavar="NAME", help="of speakers, these alone")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="keeps results; what it has is not run again"
    )
    args = parser.parse_args()
    rows = read(args.out) if args.out else []
    for name in args.sets:
        for part in parts_of(name, args.digits):
            if args.parts and part.name not in args.parts:
                continue
            for seed in args.seeds:
                try:
                    for row in run(name, part, seed, args.seconds, list(rows)):
                        rows.append(row)
                        print(json.dumps(row), file=sys.stderr, flush=True)
                        if args.out:
                            append(args.out, row)
                except ArgumentError as error:  # such as a time that is too short
                    raise SystemExit(f"{name}: {error}") from None
    print(table(row for row in rows if row["set"] in args.sets))


if __name__ == "__main__":
    main()
