# SPDX-License-Identifier: MIT
"""The units of `benchmarks.quality`, a search or a training each, and those of a stage."""

from __future__ import annotations

import dataclasses
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Final

import pydarts
from benchmarks.quality_settings import Part, Stage, images_of, space_of
from benchmarks.units import Results
from pydarts.common.errors import ArgumentError
from pydarts.evaluation.trials import train_once
from pydarts.methods.diagnostics import entropies
from pydarts.methods.named import Selector, as_pair
from pydarts.spaces.genotype import BaseGenotype
from pydarts.spaces.published import parse_genotype, published, strongest
from pydarts.spaces.space import Space
from pydarts.tasks.images import ImageClassification
from pydarts.training.config_base import Config

NB_201_SKIP: Final = "skip_connect"
_OF_SELECTOR: Final = "selector."


@dataclass(frozen=True)
class CellUnit:
    """One search, or one training of a cell.

    Attributes
    ----------
    part : Part
    space : str
    config : SearchConfig or TrainConfig
        With the seed.
    method : str or None
        Of a search: its name, and options of its own as in ``gaea:rate=0.2``, or of the selection
        by perturbation as in ``fixed-pt:selector.epochs=2``.
    genotype : str or None
        Of a training: the cell as JSON.
    """

    part: Part
    space: str
    config: Any
    method: str | None = None
    genotype: str | None = None

    @property
    def what(self) -> str:
        """For people."""
        task = f"search by {self.method}" if self.method else "training"
        return f"{task}, {self.part.data}, {self.space}, seed {self.config.seed}"

    @cached_property
    def identity(self) -> dict[str, Any]:
        """All that decides the result; of the configuration what is not as in the original, so that
        an option that is new in the library does not make other units of these.
        """
        usual = type(self.config)().to_dict()
        own = {k: v for k, v in self.config.to_dict().items() if k != "preset" and v != usual[k]}
        return {
            "kind": "search" if self.method else "training",
            **self.part.identity,
            "space": self.space,
            **(self._search_identity if self.method else {"genotype": self.genotype}),
            "config": own,
        }

    @property
    def _search_identity(self) -> dict[str, Any]:
        """With the selector's options, whose defaults may change in the library."""
        assert self.method is not None
        selector = _described(_pair(self.method, self.config)[1])
        return {"method": self.method, **({} if selector is None else {"selector": selector})}

    @cached_property
    def key(self) -> str:
        """The identity as text."""
        return json.dumps(self.identity, sort_keys=True)

    def run(self) -> dict[str, Any]:
        """Search or train on one thread, and return what is to be kept of it."""
        wall, own = time.perf_counter(), time.process_time()
        found = self._search() if self.method else self._train()
        return {
            **found,
            "seconds": round(time.perf_counter() - wall, 2),
            "processor_seconds": round(time.process_time() - own, 2),
        }

    def _search(self) -> dict[str, Any]:
        images, space = images_of(self.part, self.space), space_of(self.space)
        assert self.method is not None
        method, selector = _pair(self.method, self.config)
        try:
            result = pydarts.search(
                images.X,
                images.y,
                groups=images.groups,
                space=space,
                config=self.config,
                method=method,
                selector=selector,
                threads=1,
                progress=False,
            )
            diverged = False
        except pydarts.Diverged as error:
            result, diverged = error.result, True
        if result.interrupted:
            raise KeyboardInterrupt
        last = result.history[self.config.epochs - 1 :][:1] or [{}]  # what follows chooses the cell
        nats, share = _entropy(result, last[0])
        moments = range(len(result.history) + 1)
        cells = [
            method.select({k: a[epoch] for k, a in result.alpha_history.items()}, space)
            for epoch in moments
        ]
        return {
            "genotype": result.genotype.to_json(),
            "described": result.genotype.describe(),
            "operations": _operations(result.genotype),
            "operations_by_epoch": [_operations(cell) for cell in cells],
            "entropy": nats,
            "share_of_uniform": share,
            "valid_accuracy": last[0].get("valid_accuracy"),
            "diverged": diverged,
            "options": _described(method),
            "selector": _described(selector),
            "finalists": [[f.genotype.to_json(), f.score, f.epochs] for f in result.finalists],
        }

    def _train(self) -> dict[str, Any]:
        images, space = images_of(self.part, self.space), space_of(self.space)
        assert self.genotype is not None
        genotype = parse_genotype(self.genotype)
        scored = (images.X_scored, images.y_scored)
        task = ImageClassification(images.X, images.y, test=scored, space=space, threads=1)
        model, diverged = train_once(task, genotype, self.config)
        return {
            "score": task.score(model),
            "weights": model.num_weights,
            "diverged": diverged,
            "described": genotype.describe(),
        }


def search_unit(part: Part, space: str, method: str, seed: int) -> CellUnit:
    """Return the unit of a search, whose method may come with options."""
    config = part.search_config(space, seed)
    known = {each.name for each in type(config).options()}
    own = {key: value for key, value in parse_method(method)[1].items() if key in known}
    unit = CellUnit(part, space, type(config).make(config=config, overrides=own), method)
    _pair(method, unit.config)  # raises where there is no such method or option
    return unit


def train_unit(part: Part, space: str, genotype: BaseGenotype, seed: int) -> CellUnit:
    """Return the unit of a training; the same of cells that compute the same."""
    cell = ordered(genotype).to_json()
    return CellUnit(part, space, part.train_config(space, seed), genotype=cell)


def parse_method(text: str) -> tuple[str, dict[str, Any]]:
    """Split ``name:option=value:option=value``; values are JSON, or else text."""
    name, *pairs = text.split(":")
    options = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    return name, options


def _pair(text: str, config: Config) -> tuple[Any, Selector | None]:
    """Return the method of a unit and its selector; options that a configuration has not are the
    method's own.
    """
    name, options = parse_method(text)
    method: Any
    method, selector = as_pair(name, options.pop("selector", None), config)
    known = {each.name for each in type(config).options()}
    own = {key: value for key, value in options.items() if key not in known}
    chosen = {
        key.removeprefix(_OF_SELECTOR): own.pop(key)
        for key in list(own)
        if key.startswith(_OF_SELECTOR)
    }
    if chosen:
        if selector is None:
            raise ArgumentError("--methods", f"(={text!r}): the method alone chooses the cell")
        selector = dataclasses.replace(selector, **chosen)
    return dataclasses.replace(method, **own) if own else method, selector


def _operations(genotype: BaseGenotype) -> dict[str, int]:
    """Return how often a cell keeps each operation."""
    cells = genotype.space.cells
    return dict(sorted(Counter(op for c in cells for op, _, _ in genotype.kept(c.name)).items()))


def _described(options: Any) -> dict[str, Any] | None:
    return None if options is None else dataclasses.asdict(options)


def _entropy(result: Any, last: Mapping[str, Any]) -> tuple[dict[str, float], float]:
    """Return the entropy of the mixing weights of each kind of cell, in nats, and the share that
    their mean is of uniform weights'.
    """
    uniform = {name: a * 0 for name, a in result.alphas.items()}
    full = entropies(uniform, result.space)
    plain = entropies(result.alphas, result.space)
    nats = {name: float(last.get(f"alpha_entropy_{name}", plain[name])) for name in full}
    return nats, sum(nats.values()) / sum(full.values())


def ordered(genotype: BaseGenotype) -> BaseGenotype:
    """Return a cell whose edges into a node, which are summed, come in the order of their sources:
    what differs only in that is one cell.
    """
    space = genotype.space
    fields: dict[str, Any] = {}
    for cell in space.cells:
        edges = sorted(genotype.kept(cell.name), key=lambda edge: (edge[2], edge[1]))
        fields[cell.name] = [(op, source) for op, source, _ in edges]
        if cell.output_field is not None:
            fields[cell.output_field] = genotype.outputs(cell.name)
    return type(genotype)(space=space, **fields)


@cache
def random_cell(space: str, seed: int) -> BaseGenotype:
    """Return a cell that is drawn uniformly."""
    known = space_of(space)
    return known.genotype.random(seed, space=known)


def strongest_operation(space: str) -> str:
    """Return the operation that a space's strongest cell has on its edges."""
    known = space_of(space)
    return strongest(known).kept(known.cells[0].name)[0][0]


@cache
def constants(space: str) -> dict[str, BaseGenotype]:
    """Return the cells that no search is needed for, by name.

    The strongest operation on all edges, of a node's edges those from the two inputs where not all
    are kept; in the space of DARTS also sep_conv_3x3; in NAS-Bench-201 also that with a skip
    connection from the input to the output; the best published one of the space.
    """
    known = space_of(space)
    operation = strongest_operation(space)
    found = {operation: strongest(known)}
    if space == "darts":
        found["sep_conv_3x3"] = _constant(known, "sep_conv_3x3")
    if space == "nas-bench-201":
        entries = found[operation].kept("normal")
        skipped = [
            (NB_201_SKIP if (source, node) == (0, 3) else op, source)
            for op, source, node in entries
        ]
        found[f"{operation}, skip 0→3"] = known.genotype(space=known, normal=skipped)
    # In spaces that restrict that of DARTS, its cells cannot be had.
    found.update(list(published(known).items())[-1:])
    return found


def _constant(space: Space, operation: str) -> BaseGenotype:
    fields: dict[str, Any] = {}
    for cell in space.cells:
        nodes = range(cell.inputs, cell.inputs + cell.nodes)
        fields[cell.name] = [(operation, s) for node in nodes for s in range(cell.kept(node))]
        if cell.output_field is not None:
            fields[cell.output_field] = nodes
    return space.genotype(space=space, **fields)


def found_genotype(results: Results, search: CellUnit) -> BaseGenotype | None:
    """Return the cell that a search found, if it is done."""
    entry = results.done.get(search.key)
    return None if entry is None else parse_genotype(entry["genotype"])


@dataclass(frozen=True)
class Plan:
    """The units of a stage.

    Attributes
    ----------
    stage : Stage
        With the parts and spaces that are to be run.
    methods : tuple of str
    with_constants : bool
        Whether the constants are trained as well.
    """

    stage: Stage
    methods: tuple[str, ...]
    with_constants: bool = True

    @property
    def rows(self) -> list[tuple[Part, str]]:
        """Data and space of each comparison."""
        return [(part, space) for space in self.stage.spaces for part in self.stage.parts]

    @property
    def seeds(self) -> range:
        """Of the searches."""
        return range(self.stage.first_seed, self.stage.first_seed + self.stage.searches)

    @property
    def random_seeds(self) -> range:
        """Of the random cells."""
        return range(self.stage.first_seed, self.stage.first_seed + self.stage.random_cells)

    def search(self, part: Part, space: str, method: str, seed: int) -> CellUnit:
        """Return the unit of a search."""
        return search_unit(part, space, method, seed)

    def trainings(self, part: Part, space: str, genotype: BaseGenotype) -> list[CellUnit]:
        """Return the units of a cell's trainings."""
        first = self.stage.first_seed
        seeds = range(first, first + self.stage.train_seeds)
        return [train_unit(part, space, genotype, seed) for seed in seeds]

    def units(self, results: Results) -> Iterator[CellUnit]:
        """Yield the units that can be run by now, in the order in which they are to be done.

        Seed by seed over all data, spaces and methods, each search with the trainings of what it
        found, and its share of the random cells: what is cut short is a smaller comparison.
        """
        share = -(-self.stage.random_cells // self.stage.searches)
        for turn, seed in enumerate(self.seeds):
            for part, space in self.rows:
                for method in self.methods:
                    search = self.search(part, space, method, seed)
                    yield search
                    found = found_genotype(results, search)
                    if found is not None:
                        yield from self.trainings(part, space, found)
                others = list(self.random_seeds)[turn * share : (turn + 1) * share]
                cells = [random_cell(space, each) for each in others]
                if turn == 0 and self.with_constants:
                    cells += constants(space).values()
                for cell in cells:
                    yield from self.trainings(part, space, cell)
