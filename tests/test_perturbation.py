# SPDX-License-Identifier: MIT
"""Selection by perturbation: its decisions against plain evaluations, and its searches."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from runs import TEXT, check_same_searches, noise

import pydarts
import pydarts.cli.main as cli
from pydarts import _core
from pydarts.methods import perturbation, tuning
from pydarts.methods.decisions import selection_notes
from pydarts.methods.fair_darts import FairDarts
from pydarts.methods.mixture import Mixture
from pydarts.methods.named import as_pair
from pydarts.methods.perturbation import Perturbation, Selection
from pydarts.models.scores import image_metrics
from pydarts.spaces import DARTS, NAS_BENCH_201, S2, Cell, Layer, Space, Stack
from pydarts.tasks.images import ImageClassification

Array = NDArray[Any]
QUIET: dict[str, Any] = {"progress": False, "threads": 1}
SIZES: dict[str, Any] = {"channels": 2, "cells": 1, "epochs": 1, "batch_size": 8, "seed": 3}
WORDS: dict[str, Any] = {"hidden_size": 8, "batch_size": 4, "bptt": 8, "epochs": 1}
#: Two nodes, of which the second keeps two of three edges, and edges of one and three operations.
SMALL: Space = DARTS.replace(
    name="small",
    cells=[
        Cell(
            "normal",
            nodes=2,
            edges=[
                DARTS.operations[:4],
                DARTS.operations[3:4],
                DARTS.operations[2:5],
                DARTS.operations[2:4],
                DARTS.operations[3:6],
            ],
        )
    ],
    stack=Stack([Layer("normal", repeat="cells")]),
    extra_operations=[],
)


def search(**options: Any) -> Any:
    given = {**SIZES, **QUIET, "space": SMALL, "method": "fixed-pt", **options}
    return pydarts.search(*noise(40), **given)


def largest_of(share: float) -> float:
    """The largest of eight shares, the others equal, whose entropy is such a part of ln 8."""
    low, high = 0.126, 0.999
    for _ in range(60):
        p = (low + high) / 2
        entropy = -p * np.log(p) - (1 - p) * np.log((1 - p) / 7)
        low, high = (p, high) if entropy > share * np.log(8) else (low, p)
    return low


def test_where_a_choice_is_called_close_to_chance() -> None:
    for above, share in ((False, 0.89), (True, 0.91)):
        p = largest_of(share)
        row = np.log([p] + [(1 - p) / 7] * 7)
        alphas = {cell.name: np.tile(row, (len(cell.candidates), 1)) for cell in DARTS.cells}
        notes = selection_notes(alphas, DARTS.derive(alphas), "magnitude", [], "softmax", 0)
        assert any("close to chance" in note for note in notes) == above


# Decisions


def plain_losses(
    data: Any, net: Any, m: dict[str, Array], on: dict[str, Array]
) -> tuple[float, float]:
    """Mean loss and accuracy of the validation half, batch by batch."""
    x, y = data._valid
    order = np.random.default_rng(3).permutation(len(x))
    parts = np.array_split(order, -(-len(x) // 8))
    found = [net.loss(x[part], y[part], mixing=m, active=on) for part in parts]
    sizes = [len(part) for part in parts]
    loss = sum(each * n for (each, _), n in zip(found, sizes, strict=True)) / len(x)
    return loss, sum(correct for _, correct in found) / len(x)


@pytest.mark.parametrize("space", [SMALL, DARTS, NAS_BENCH_201], ids=str)
def test_of_what_is_missed_alike_the_first_is_kept(space: Space) -> None:
    selection = Selection(Perturbation(epochs=0), space)
    mixing = {cell.name: cell.exists(len(cell.candidates)) * 1.0 for cell in space.cells}
    for epoch in range(perturbation.rounds(space)):
        selection.decide(Mixture(mixing), epoch, lambda _: (1.0, 0.5))
    assert len(selection.decisions) == perturbation.num_decisions(space)
    for each in selection.decisions:
        cell = next(cell for cell in space.cells if cell.name == each["cell"])
        if each["source"] is None:
            assert each["kept"] == list(range(cell.kept(each["node"])))
        else:
            assert each["kept"] == next(iter(each["without"]))
        assert not any(each["missed"].values())


@pytest.mark.parametrize("measure", ["loss", "accuracy"])
@pytest.mark.parametrize("space", [SMALL, NAS_BENCH_201, S2], ids=lambda space: space.name)
def test_decisions_are_those_of_plain_evaluations(space: Space, measure: str) -> None:
    task = ImageClassification(*noise(40), space=space, threads=1)
    config = pydarts.SearchConfig.make("quick", {**SIZES, "cells": 3 if space is S2 else 1})
    data = task.search_data(config, np.random.default_rng(3))
    net = task.supernet(config)
    rng = np.random.default_rng(1)
    net.set_alphas({name: rng.normal(size=a.shape) for name, a in net.alphas.items()})
    whole = {c.name: c.mixing_weights(net.alphas[c.name]) for c in space.cells}
    selection = Selection(Perturbation(seed=7, measure=measure), space)
    m = {name: w.copy() for name, w in whole.items()}
    on = {name: w > 0 for name, w in whole.items()}
    score = 0 if measure == "loss" else 1
    sign = 1 if measure == "loss" else -1
    left = {
        cell.name: [k for k, ops in enumerate(cell.candidates) if len(ops) > 1]
        for cell in space.cells
    }
    lost = {
        cell.name: [n for n in range(cell.inputs, cell.inputs + cell.nodes) if cell.kept(n) < n]
        for cell in space.cells
    }
    seen = 0
    for number in range(perturbation.rounds(space)):
        draws = np.random.default_rng((7, number))
        made = selection.decide(
            Mixture(whole), number, lambda mix: data.evaluate(net, *mix, batches=None)
        )
        made = list(made)
        on_edges = any(left.values())
        for cell in space.cells:
            name, edges = cell.name, cell.edges_of()
            open_now = left[name] if on_edges else lost[name]
            if not open_now:
                continue
            chosen = int(draws.choice(open_now))
            open_now.remove(chosen)
            value = plain_losses(data, net, m, on)[score]
            if on_edges:
                tried = {
                    op.name: (chosen, [k])
                    for k, op in enumerate(cell.candidates[chosen])
                    if cell.keeps_none or op.name != "none"
                }
            else:
                every = list(range(m[name].shape[1]))
                tried = {str(j): (edges.index((j, chosen)), every) for j in range(chosen)}
            without = {}
            for key, (row, columns) in tried.items():
                less = {k: w.copy() for k, w in m.items()}
                less[name][row, columns] = 0  # the others keep their weights
                without[key] = plain_losses(data, net, less, on)[score]
            missed = {key: sign * (each - value) for key, each in without.items()}
            found = made.pop(0)
            seen += 1
            assert (found["round"], found["cell"]) == (number, name)
            assert found["value"] == pytest.approx(value, abs=1e-6)
            assert found["without"] == pytest.approx(without, abs=1e-6)
            assert found["missed"] == pytest.approx(missed, abs=1e-6)
            largest = max(found["missed"].values())
            if on_edges:
                assert (found["source"], found["node"]) == edges[chosen]
                assert found["missed"][found["kept"]] == largest
                column = [op.name for op in cell.candidates[chosen]].index(found["kept"])
                m[name][chosen], on[name][chosen] = 0, False
                m[name][chosen, column], on[name][chosen, column] = 1, True
            else:
                assert (found["source"], found["node"]) == (None, chosen)
                assert len(found["kept"]) == cell.kept(chosen)
                worst = min(found["missed"][str(j)] for j in found["kept"])
                others = [j for j in range(chosen) if j not in found["kept"]]
                assert all(found["missed"][str(j)] <= worst for j in others)
                for j in others:
                    m[name][edges.index((j, chosen))] = 0
                    on[name][edges.index((j, chosen))] = False
        assert not made
        fixed = selection.fixed(Mixture(whole))
        for name, weights in m.items():
            np.testing.assert_array_equal(fixed.mixing[name], weights)
            np.testing.assert_array_equal(fixed.active[name], on[name])  # type: ignore[index]
    assert seen == perturbation.num_decisions(space) == len(selection.decisions)
    genotype = selection.genotype(type(space.derive(net.alphas)).random(0, space=space))
    for cell in space.cells:
        kept = {(j, i): op for op, j, i in genotype.kept(cell.name)}
        for (j, i), op in kept.items():
            row = cell.edges_of().index((j, i))
            assert on[cell.name][row, [c.name for c in cell.candidates[row]].index(op)]


def test_an_evaluation_that_fails_decides_nothing() -> None:
    calls = 0

    def evaluate(mixture: Mixture) -> tuple[float, float | None]:
        nonlocal calls
        calls += 1
        if calls > 15:  # in the second decision of the third round
            raise _core.OutOfTime
        return float(calls), None

    selection = Selection(Perturbation(), S2)
    m = Mixture({cell.name: np.full((14, 2), 0.5) for cell in S2.cells})
    for _ in range(2):
        selection.decide(m, 0, evaluate)
    assert calls == 12  # two edges of two operations and the whole
    before = list(selection.decisions)
    with pytest.raises(_core.OutOfTime):
        selection.decide(m, 0, evaluate)
    assert selection.decisions == before


def test_rounds_are_those_of_the_paper() -> None:
    published = Perturbation(epochs=5)
    assert perturbation.rounds(DARTS) == 14 + 3
    assert published.tuning_epochs(DARTS) == 80  # of 81, the last of which decides alone
    assert published.tuning_epochs(NAS_BENCH_201) == 25
    assert perturbation.num_decisions(DARTS) == 2 * 17
    assert perturbation.num_evaluations(NAS_BENCH_201) == 6 * (1 + 4)
    assert perturbation.num_evaluations(DARTS) == 2 * (14 * (1 + 7) + 3 + 3 + 4 + 5)


# Searches


def test_a_search_is_decided_after_its_epochs() -> None:
    result = search(epochs=2, selector=Perturbation(epochs=2, lr_share=0.2))
    tuning = 2 * (perturbation.rounds(SMALL) - 1)
    assert len(result.history) == result.num_epochs == 2 + tuning
    assert result.undecided == 0
    epochs = [each["epoch"] for each in result.selection]
    assert epochs == [2 + 2 * k for k in range(perturbation.rounds(SMALL))]
    initial = result.config.lr
    assert [each["lr"] for each in result.history[2:]] == [pytest.approx(0.2 * initial)] * tuning
    assert result.history[0]["lr"] == initial
    for d in result.selection:
        kept = {(j, i): op for op, j, i in result.genotype.kept("normal")}
        if d["source"] is not None and (d["source"], d["node"]) in kept:
            assert kept[d["source"], d["node"]] == d["kept"]
        if d["source"] is None:
            assert sorted(j for j, i in kept if i == d["node"]) == sorted(d["kept"])
    for history in result.alpha_history.values():  # fixed
        np.testing.assert_array_equal(history[0], history[-1])


def test_of_a_learned_alpha_the_undecided_edges_go_on() -> None:
    result = search(method="darts-pt", order=2, alpha_lr=0.05)
    history, edges = result.alpha_history["normal"], SMALL.cells[0].edges_of()
    decided = {edges.index((d["source"], d["node"])): d["epoch"] for d in result.selection[:4]}
    assert len(decided) == 4
    for row, epoch in decided.items():
        for k in range(1, len(history)):
            moved = not np.array_equal(history[k, row], history[k - 1, row])
            assert moved == (k <= epoch), (row, k)


def test_tuning_begins_without_momentum_and_leaves_what_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[Any, Array]] = []
    call = tuning.PerturbationStep.__call__

    def watched(self: Any, **arguments: Any) -> Any:
        if self.tuning and len(self.selection.decisions) > len(seen):
            buffer = self.state()["buffer"]
            seen.append((self, buffer.copy()))
            assert not buffer.any()
        return call(self, **arguments)

    monkeypatch.setattr(tuning.PerturbationStep, "__call__", watched)
    result = search()
    assert len(seen) == perturbation.rounds(SMALL) - 1
    # An operation that the first decision left out has the weights that it had then.
    first = result.selection[0]
    monkeypatch.undo()
    row = SMALL.cells[0].edges_of().index((first["source"], first["node"]))
    lost = [k for k, op in enumerate(SMALL.cells[0].candidates[row]) if op.name != first["kept"]]
    names = result.supernet.split_weights(result.supernet.flat_weights)
    untouched = [n for n in names if any(f"_ops.{row}._ops.{k}." in n for k in lost)]
    plain = pydarts.search(*noise(40), **{**SIZES, **QUIET}, space=SMALL, method="fixed")
    before = plain.supernet.split_weights(plain.supernet.flat_weights)
    assert untouched
    for name in untouched:
        np.testing.assert_array_equal(names[name], before[name])


class StopAt(pydarts.Callback):
    """Ctrl-C or a stop in the step of a number."""

    def __init__(self, step: int, reason: str | None = None, epoch: int | None = None):
        self.at, self.reason, self.epoch = step, reason, epoch

    def on_step_end(self, loop: Any, info: Any) -> None:
        if loop.steps_done == self.at:
            if self.reason is None:
                signal.raise_signal(signal.SIGINT)
            else:
                loop.stop(self.reason, epoch=self.epoch)


class Counter(pydarts.Callback):
    """Knows how many steps there were."""

    def on_end(self, loop: Any, result: Any) -> None:
        self.steps = loop.steps_done


@pytest.mark.parametrize("method", ["fixed-pt", "darts-pt"])
@pytest.mark.parametrize("step", [1, 4, 6])  # two steps an epoch, the first of which has no rounds
def test_an_interrupted_search_goes_on_to_the_same_bits(
    method: str, step: int, tmp_path: Path
) -> None:
    whole = search(method=method, threads=2)
    kept = {"checkpoint": tmp_path, "method": method}
    first = search(callbacks=[StopAt(step)], **kept)
    assert first.interrupted
    assert first.undecided > 0
    assert any("were not made" in note for note in first.notes())
    assert len(first.selection) == max(0, (step - 1) // 2)
    counter = Counter()
    check_same_searches(search(**kept, callbacks=[counter]), whole)
    assert counter.steps == 2 * whole.num_epochs
    with pytest.raises(pydarts.CheckpointError, match="selector"):
        search(**kept, selector=Perturbation(seed=3, epochs=2))


def test_ctrl_c_within_a_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, calls = search(), 0
    evaluate = pydarts.Supernet.loss

    def press(self: Any, *arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 30:
            signal.raise_signal(signal.SIGINT)
        return evaluate(self, *arguments, **options)

    monkeypatch.setattr(pydarts.Supernet, "loss", press)
    first = search(checkpoint=tmp_path)
    assert first.interrupted
    assert 0 < len(first.selection) < len(whole.selection)
    monkeypatch.undo()
    check_same_searches(search(checkpoint=tmp_path), whole)


def test_what_is_undecided_is_by_magnitude() -> None:
    stopped = search(callbacks=[StopAt(5, "enough")])
    assert stopped.stopped == "enough"
    assert len(stopped.selection) == 2
    strongest = {(j, i): op for op, j, i in SMALL.derive(stopped.alphas).kept("normal")}
    decided = {(d["source"], d["node"]): d["kept"] for d in stopped.selection}
    for op, j, i in stopped.genotype.kept("normal"):
        assert op == (decided.get((j, i)) or strongest[j, i])
    earlier = search(callbacks=[StopAt(5, "enough", epoch=1)])  # when none was decided
    assert earlier.selection == []
    assert earlier.genotype == SMALL.derive(earlier.alphas)


def test_a_time_budget_ends_within_the_rounds(
    tmp_path: Path, spend: Callable[[float], None]
) -> None:
    class Spends(pydarts.Callback):
        def on_step_end(self, loop: Any, info: Any) -> None:
            if loop.steps_done == 5:
                spend(3600)

    first = search(checkpoint=tmp_path, callbacks=[Spends()], time_budget=3600)
    assert "time budget" in first.stopped
    assert first.undecided > 0
    assert "were not made" in first.notes()[0]
    check_same_searches(search(checkpoint=tmp_path), search())


def test_estimates_and_budgets_count_the_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    def one_second(call: Callable[[], Any]) -> float:
        call()
        return 1.0

    monkeypatch.setattr("pydarts.training.budget._timed", one_second)
    options = {**SIZES, **QUIET, "space": SMALL}
    less = pydarts.estimate(*noise(40), **options, method="fixed")
    more = pydarts.estimate(*noise(40), **options, method="fixed-pt")
    tuning = perturbation.rounds(SMALL) - 1
    assert (more.epochs, less.epochs) == (1 + tuning, 1)
    assert more.steps == (1 + tuning) * less.steps
    assert more.seconds > 2 * less.seconds
    many = {"epochs": 10, "selector": Perturbation(epochs=10**6)}
    with pytest.raises(ValueError, match=r"`time_budget` .* selection by perturbation"):
        search(**many, time_budget=60)


def test_text() -> None:
    options: dict[str, Any] = {**WORDS, **QUIET, "level": "word"}
    selector = Perturbation(epochs=0, batches=1)
    # Of a text with one column of validation text nothing is missed.
    result = pydarts.search_text(8 * TEXT, method="fixed", selector=selector, **options)
    assert all(any(d["missed"].values()) for d in result.selection)
    assert len(result.selection) == 8 * 9 // 2 + 7
    assert len(result.history) == 1
    for op, j, i in result.genotype.kept("recurrent"):
        found = [d for d in result.selection if (d["source"], d["node"]) == (j, i)]
        assert [d["kept"] for d in found] == [op]
    assert pydarts.estimate_text(TEXT, method="fixed-pt", **options).epochs == 1 + 42
    with pytest.raises(ValueError, match=r"`measure` \(='accuracy'\) is for images"):
        pydarts.search_text(
            TEXT, method="fixed", selector=Perturbation(measure="accuracy", epochs=0), **options
        )


def test_the_auxiliary_skips_are_gone_in_the_rounds() -> None:
    selector = Perturbation(epochs=0, batches=1)
    result = search(method="darts-minus", selector=selector, channels=4)
    assert (result.undecided, result.supernet.skip_weight) == (0, 0.0)


@pytest.mark.parametrize("space", ["s4", "darts-1d"])
def test_other_spaces_and_methods(space: str) -> None:
    X, y = noise(24)
    method = {"s4": "fair-darts", "darts-1d": "smooth-darts"}[space]
    X = X if space == "s4" else X.reshape(24, 64)
    how: dict[str, Any] = {"method": method, "selector": Perturbation(epochs=0, batches=1)}
    result = pydarts.search(X, y, **{**SIZES, **QUIET, "cells": 1}, space=space, **how)
    assert result.undecided == 0
    assert result.weighting == ("sigmoid" if space == "s4" else "softmax")


# Names, refusals, files, pages


def test_names() -> None:
    config = pydarts.SearchConfig.make("quick", {"seed": 9})
    for name, method in (("fixed-pt", "fixed"), ("darts-pt", "darts")):
        found, selector = as_pair(name, None, config)
        assert (found.name, selector) == (method, Perturbation(seed=9))
        assert as_pair(method, "perturbation", config) == (found, selector)
        assert as_pair(method, "magnitude", config) == as_pair(method, None, config)
    with pytest.raises(ValueError, match="gdas"):  # before there is any network
        as_pair("gdas", "perturbation", config)
    own = Perturbation(epochs=3)
    assert as_pair("fixed-pt", own, config)[1] is own


class Own:
    """A method of which nothing is known."""

    name = "own"

    def step(self, supernet: Any, **options: Any) -> Any:
        raise NotImplementedError

    def select(self, alphas: Any, space: Any) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": "fixed-pt", "selector": "magnitude"}, "`selector` .* contradicts `method`"),
        ({"method": "gdas", "selector": "perturbation"}, "`selector` .*gdas.* one operation"),
        ({"method": Own(), "selector": "perturbation"}, "`selector` .*'own'.*MixtureMethod"),
        (
            {"method": "pc-darts", "selector": "perturbation", "channels": 4},
            "`selector` .* weights",
        ),
        ({"method": "fixed", "selector": "best"}, "`selector` .*'best'.* 'magnitude'"),
        ({"method": "fixed", "selector": 3}, "`selector` .*3.*Perturbation"),
        ({"method": "fair-darts", "eigenvalue": True}, "`eigenvalue` .* softmax"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        search(**given)


@pytest.mark.parametrize(
    "options",
    [{"epochs": -1}, {"lr_share": 0}, {"measure": "f1"}, {"batches": 0}, {"seed": -1}],
    ids=str,
)
def test_unusable_options(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"`{next(iter(options))}`"):
        Perturbation(**options)


def test_files_and_pages(tmp_path: Path) -> None:
    result = search(method="fixed-pt")
    assert "method: fixed, cell chosen by perturbation (5 of 5 decisions)" in repr(result)
    result.save(tmp_path)
    loaded = pydarts.SearchResult.load(tmp_path)
    members = ("method", "selector", "weighting", "tuning_epochs", "measure", "selection")
    assert [getattr(loaded, m) for m in members] == [getattr(result, m) for m in members]
    result.report(tmp_path / "a.html")
    assert cli.main(["report", str(tmp_path), "--out", str(tmp_path / "b.html")]) == 0
    for name in ("a.html", "b.html"):
        page = (tmp_path / name).read_text()
        assert "Selection by perturbation" in page
        for d in result.selection:
            for missed in d["missed"].values():
                assert f"<td>{missed:+.4f}</td>" in page
        assert '<th scope="row">selector</th><td>perturbation</td>' in page
        assert "was not chosen by these weights" in page
        assert "nearly uniform" not in page
    content = json.loads((tmp_path / "result.json").read_text())
    for damage in (
        {"selection": [{}]},
        {"selection": 3},
        {"weighting": "relu"},
        {"selection": [{**content["selection"][0], "kept": "none"}]},
    ):
        (tmp_path / "result.json").write_text(json.dumps({**content, **damage}))
        with pytest.raises(ValueError, match=r"result\.json"):
            pydarts.SearchResult.load(tmp_path)
    old = {k: v for k, v in content.items() if k not in members}
    (tmp_path / "result.json").write_text(json.dumps(old))
    loaded = pydarts.SearchResult.load(tmp_path)
    assert (loaded.method, loaded.selector, loaded.selection) == (None, None, [])
    loaded.report(tmp_path / "c.html")
    assert "Selection by perturbation" not in (tmp_path / "c.html").read_text()


def test_command_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "own.npz", X=noise(40)[0], y=noise(40)[1])
    (tmp_path / "small.json").write_text(SMALL.to_json())
    sizes = [f"--{name.replace('_', '-')}={value}" for name, value in SIZES.items()]
    command = ["search", str(tmp_path / "own.npz"), "--no-train", "--threads=1", *sizes]
    command += ["--space", str(tmp_path / "small.json"), "--out", str(tmp_path / "out")]
    with_pair = [*command, "--method=fixed-pt"]
    assert cli.main([*with_pair, "--selector=magnitude"]) == 2
    assert "--selector (='magnitude') contradicts" in capfd.readouterr().err
    assert cli.main(with_pair) == 0
    shown = capfd.readouterr()
    rounds = perturbation.rounds(SMALL)
    assert f"{rounds} of {rounds} epochs" in shown.out
    assert f"Chosen by perturbation, in {rounds} decisions." in shown.out
    found = pydarts.SearchResult.load(tmp_path / "out")
    assert found.selector == "perturbation"
    for d in found.selection[:4]:
        kept = f"{d['kept']} ({d['missed'][d['kept']]:+.4f})"
        line = f"round  {d['round'] + 1}/{rounds}  normal {d['source']}→{d['node']} keeps {kept}"
        assert line in shown.err
    assert "normal node 3 keeps " in shown.err
    assert cli.main([*command, "--method=fixed", "--force"]) == 0
    assert "close to chance" in " ".join(capfd.readouterr().out.split())


def test_estimator() -> None:
    from pydarts.sklearn import DartsClassifier

    common: dict[str, Any] = {"space": SMALL, "random_state": 0, "threads": 1}
    for prefix in ("search_", ""):
        sizes = {"channels": 2, "cells": 1, "epochs": 1, "batch_size": 8}
        common |= {prefix + name: value for name, value in sizes.items()}
    X, y = noise(40)
    model = DartsClassifier(method="fixed", selector="perturbation", **common).fit(X, y)
    plain = DartsClassifier(method="fixed-pt", **common).fit(X, y)
    by_magnitude = DartsClassifier(method="fixed", **common).fit(X, y)
    assert by_magnitude.genotype_ != model.genotype_
    assert model.genotype_ == plain.genotype_


# A choice that is close to chance, and FairDARTS


def test_a_choice_close_to_chance_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    result = search(method="fixed")
    assert "close to chance" in caplog.text
    assert "close to chance" in " ".join(repr(result).split())
    result.save(tmp_path)
    assert cli.main(["report", str(tmp_path), "--out", str(tmp_path / "r.html")]) == 0
    assert "close to chance" in (tmp_path / "r.html").read_text()
    sharp = {name: 3 * np.eye(*a.shape) for name, a in result.alphas.items()}
    result.alphas = sharp
    assert result.notes() == []


def test_fair_darts_is_shown_by_its_sigmoids(tmp_path: Path) -> None:
    result = search(method=FairDarts(alpha_lr=0.5), epochs=3)
    sigmoid = {name: 1 / (1 + np.exp(-a)) for name, a in result.alphas.items()}
    cell = SMALL.cells[0]
    exists = cell.exists(5)
    for row, weights in enumerate(sigmoid["normal"]):
        shares = weights[exists[row]] / weights[exists[row]].sum()
        sigmoid["normal"][row, ~exists[row]] = 0
        sigmoid["normal"][row, exists[row]] = shares
    data = ImageClassification(*noise(40), space=SMALL).search_data(
        result.config, np.random.default_rng(3)
    )
    mixing = {"normal": np.where(exists, 1 / (1 + np.exp(-result.alphas["normal"])), 0)}
    found = image_metrics(result.supernet, *data._valid, 8, data._objective, None, mixing)
    loss, accuracy = found["loss"], found["accuracy"]
    last = result.history[-1]
    assert (last["valid_loss"], last["valid_accuracy"]) == pytest.approx((loss, accuracy))
    entropy = -np.sum(sigmoid["normal"][exists] * np.log(sigmoid["normal"][exists])) / 5
    assert result.history[-1]["alpha_entropy_normal"] == pytest.approx(entropy)
    result.save(tmp_path)
    assert cli.main(["report", str(tmp_path), "--out", str(tmp_path / "r.html")]) == 0
    page = (tmp_path / "r.html").read_text()
    edges = cell.edges_of()
    weights = 1 / (1 + np.exp(-result.alphas["normal"].astype(float)))
    below = 0
    for op, j, i in result.genotype.kept("normal"):
        row = edges.index((j, i))
        column = [c.name for c in cell.candidates[row]].index(op)
        permille = round(1000 * weights[row, column])
        assert f'style="--w:{permille}">{permille / 10}</td>' in page
        below += weights[row, column] < 0.85
    assert f"Of the 4 operations of the cell {below} have a mixing weight below 0.85" in page
    assert "sigmoid of its α" in page


def test_fair_darts_keeps_the_largest_sigmoids() -> None:
    rng = np.random.default_rng(0)
    alphas = {name: 3 * rng.normal(size=(14, 8)) for name in ("normal", "reduce")}
    genotype, edges = FairDarts().select(alphas, DARTS), DARTS.cells[0].edges_of()
    assert genotype != DARTS.derive(alphas)
    for name, a in alphas.items():
        kept = genotype.kept(name)
        for node in range(2, 6):
            into = [(a[k, 1:].max(), 1 + a[k, 1:].argmax(), j) for k, (j, i) in enumerate(edges)
                    if i == node]  # fmt: skip
            strongest = [(DARTS.operations[k].name, j) for _, k, j in sorted(into)[::-1][:2]]
            assert [(op, j) for op, j, i in kept if i == node] == strongest


def test_accuracy_is_refused_at_the_start_where_there_is_none() -> None:
    X, _ = noise(40)
    started: list[Any] = []

    class Start(pydarts.Callback):
        def on_start(self, loop: Any) -> None:
            started.append(loop)

    selector = Perturbation(measure="accuracy")
    options: Any = {**SIZES, **QUIET, "callbacks": [Start()], "selector": selector}
    with pytest.raises(ValueError, match=r"`measure` \(='accuracy'\) is for images with labels"):
        pydarts.search(X, X.mean(axis=(1, 2)), task="regression", space=SMALL, **options)
    words: Any = {**WORDS, **QUIET, "callbacks": [Start()], "selector": selector}
    with pytest.raises(ValueError, match=r"`measure` \(='accuracy'\) is for images with labels"):
        pydarts.search_text(TEXT, level="word", **words)
    assert started == []
