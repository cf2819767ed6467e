# SPDX-License-Identifier: MIT
"""`fit`: a model in a given time."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from pydarts.api.image_data import Splitting, Targets, image_task
from pydarts.api.limits import NO_LIMITS, Limit, Limits, describe_limits
from pydarts.common.checks import choice
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.costs.budget import Budget, show_cost
from pydarts.costs.counts import count_network
from pydarts.costs.measured import measure_genotypes
from pydarts.costs.profile import Profile
from pydarts.data.preprocessing import Preprocessing
from pydarts.data.weights import ClassWeight
from pydarts.engine.network import resolve_threads
from pydarts.methods.finalists import Finalists
from pydarts.methods.method import Method
from pydarts.methods.named import as_method, as_pair
from pydarts.methods.perturbation import Perturbation
from pydarts.models.image_model import Model
from pydarts.spaces.darts import Genotype
from pydarts.spaces.genotype import BaseGenotype, require_kind
from pydarts.spaces.published import PUBLISHED, published, strongest
from pydarts.spaces.ready import as_space
from pydarts.spaces.space import Space
from pydarts.tasks.images import ImageClassification
from pydarts.training.budget import duration, search_epoch_seconds
from pydarts.training.checkpoint import CheckpointError, fingerprint
from pydarts.training.config import SearchConfig, TrainConfig, batch_of_few, epochs_of_few
from pydarts.training.config_base import parameters
from pydarts.training.options import FitOptions, TrainRun
from pydarts.training.pace import Pace
from pydarts.training.plan import (
    LADDER,
    LEAST_SEARCH_EPOCHS,
    MARGIN,
    PAYS_FROM,
    PLAN,
    RECIPE,
    SEARCH_SHARE,
    SMALLER,
    EpochSeconds,
    Plan,
    Size,
    TrainingChoice,
    choose_training,
    training_epoch_seconds,
)
from pydarts.training.result import SearchResult
from pydarts.training.run import run_search, run_training
from pydarts.training.run_options import SEARCH_CHECKPOINT, TRAIN_CHECKPOINT, RunOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack

log = logging.getLogger("pydarts")

_DRAWN = 8  # random cells whose mean costs say how large a network is searched for
_REPEATS = 100  # calls of which a latency is the median
_SEARCHES = ("auto", "always", "never")
_CHOSEN = {Finalists: " and chosen among finalists", Perturbation: " and chosen by perturbation"}


def fit(
    X: Any,
    y: Iterable[Any] | None = None,
    time_budget: float | str | timedelta | None = None,
    *,
    X_valid: Any = None,
    y_valid: Iterable[Any] | None = None,
    space: str | os.PathLike[str] | Space = "darts",
    genotype: Genotype | None = None,
    search: str = "auto",
    method: str | Method | None = None,
    plan: Plan | None = None,
    image_layout: str | None = None,
    groups: Iterable[Any] | None = None,
    split: str = "random",
    stratify: bool | Iterable[Any] | None = None,
    preprocessing: Preprocessing | None = None,
    task: str = "multiclass",
    sample_weight: ArrayLike | None = None,
    class_weight: ClassWeight | None = None,
    loss: str | None = None,
    huber_delta: float = 1.0,
    threads: int | None = None,
    max_latency: Limit = None,
    max_macs: Limit = None,
    max_weights: Limit = None,
    max_memory: Limit = None,
    profile: Profile | str | os.PathLike[str] | None = None,
    latency_threads: int | None = 1,
    **options: Unpack[FitOptions],
) -> Model:
    """Make the best model that is known how to make in a given time.

    Some steps of throw-away networks tell how fast this machine is. The network is then the largest
    that can be trained for enough epochs, and the epochs fill the time. The cell is the best
    published one of the space; where there is none, part of the time goes into a search. What was
    chosen, and why, is in ``model.plan``.

    Parameters
    ----------
    X, y
        As in `pydarts.search`.
    time_budget : float, str or timedelta
        Seconds, a string such as ``"5min"`` or ``"2h"``, or a timedelta, for all of it: data,
        measuring, search and training. May only be left out where there is a ``plan``.
    X_valid, y_valid : optional
        What the α of a search learn on, and what the training is validated on after each epoch: all
        of ``X`` is learned from in both. Then ``restore_best_weights`` may choose the epoch.
    space : str, path or Space, optional
        As in `pydarts.search`.
    genotype : Genotype, optional
        A cell to train instead, of any space.
    search : {"auto", "always", "never"}
        Whether to search a cell. ``"auto"``: where the space has no published one. Without search
        and published cell it is the strongest-operation constant
        (`pydarts.spaces.published.strongest`), also where the time is too
        short for a search.
    method : str or Method, optional
        Of a search, as in `pydarts.search`.
    plan : Plan, optional
        ``model.plan`` of an earlier call, which decides cell, sizes and epochs: others that are
        given are refused. The plan depends on the speed of the machine: only with
        the same one does the same seed give the same model.
    image_layout, groups, split, stratify, preprocessing, threads
    task, sample_weight, class_weight, loss, huber_delta
        As in `pydarts.search`.
    max_latency, max_macs, max_weights, max_memory, latency_threads
        Limits as in `pydarts.search`, on the network that is returned: sizes at which the cell does
        not meet them are left out, and smaller ones tried. A published cell that meets them at no
        size gives way to a search, which is for the largest network of which random cells meet the
        limits in the mean. That size is decided before the search.
    profile : Profile or path, optional
        As in `pydarts.search`: the network then has the channels and cells of this profile.
    **options
        Any field of `TrainConfig`: what is given is not chosen; ``seed`` is also that of the
        search. And how it runs: ``progress``, ``callbacks`` (of the training), ``checkpoint``,
        ``checkpoint_seconds``, ``resume``, ``memory_budget``, which `RunOptions` describes.

    Returns
    -------
    Model
        With ``plan``, and ``search``, a SearchResult or None. A training whose first steps are far
        from what was measured is stopped, planned anew and begun again, once at most; callbacks see
        both. If the machine gets slower later, it is stopped at the end of the time, and
        ``stopped`` says so.

    Raises
    ------
    ValueError, TypeError
        For unusable images, labels or options, and a time that is too short for one epoch: says
        what would do.
    KeyboardInterrupt
        On Ctrl-C during the search. During the training it returns the model as it is then.
    Diverged
        As `search` and `train` do.
    """
    started = time.perf_counter()
    names = TrainRun.__annotations__
    run = RunOptions(
        time_budget=time_budget,
        started=started,
        **{name: value for name, value in options.items() if name in names},  # type: ignore[arg-type]
    )
    fields = {name: value for name, value in options.items() if name not in names}
    cell_space = as_space(space)
    if genotype is not None:
        cell_space = require_kind("genotype", genotype, Genotype).space
    splitting = Splitting(X_valid, y_valid, groups, split, stratify)
    splitting.check_used()
    data = image_task(
        *(X, y, splitting, Targets(task, sample_weight, class_weight, loss, huber_delta)),
        image_layout=image_layout,
        preprocessing=preprocessing,
        space=cell_space,
        threads=threads,
    )
    data.warn_of_labels()
    limits = Limits(max_latency, max_macs, max_weights, max_memory, None, profile, latency_threads)
    how: Any = {"genotype": genotype, "search": search, "method": method, "plan": plan}
    fitting = Fitting(data, run, fields, limits=limits, **how)
    result = fitting.find_cell()
    if result is not None and result.interrupted:
        raise KeyboardInterrupt
    return fitting.train()


class Fitting:
    """The two halves of `fit`: `find_cell`, then `train`.

    Parameters
    ----------
    task : ImageClassification
    run : RunOptions
        Of the whole.
    fields : mapping
        Fields of the training's configuration that are not to be chosen.
    genotype, search, method, plan
        As in `fit`.
    limits : Limits
        Without a target, which is planned.
    show : callable
        Takes the sentences that say what was chosen and why; by default the logger ``pydarts``.
    """

    def __init__(
        self,
        task: ImageClassification,
        run: RunOptions,
        fields: Mapping[str, Any],
        *,
        genotype: BaseGenotype | None = None,
        search: str = "auto",
        method: str | Method | None = None,
        plan: Plan | None = None,
        limits: Limits = NO_LIMITS,
        show: Callable[[str], None] = log.info,
    ):
        choice("search", search, _SEARCHES)
        if plan is not None and not isinstance(plan, Plan):
            raise ArgumentTypeError("plan", f"(={plan!r}) must be a pydarts.Plan")
        if genotype is not None and search == "always":
            raise ArgumentError("search", "(='always') leaves no use for `genotype`")
        self.task, self.run, self.search, self._show = task, run, search, show
        self._limits, self._batch = limits, 1
        limits.check_used()
        if limits.profile is not None and limits.numbers():
            table = limits.measured(task, TrainConfig.make())
            assert table is not None
            self._limits = limits._replace(profile=table, latency_threads=table.threads)
            self._batch = table.batch
            fields = {"channels": table.shape.channels, "cells": table.shape.cells, **fields}
        # None stands for the preset's epochs, which are chosen here, and for all of the images.
        fields = {name: v for name, v in fields.items() if (name, v) != ("epochs", None)}
        if fields.get("epoch_images", 1) is None:
            fields["epoch_images"] = len(task.images)
        recipe = dict(RECIPE)
        if task.objective.task == "regression":
            del recipe["label_smoothing"]
        values = {**recipe, **fields}
        names = (*FitOptions.__annotations__, *parameters(fit))
        config = TrainConfig.make("quick", values, others=names)
        count = len(task.images)
        self._config = replace(config, batch_size=batch_of_few(config, count))
        self._few = epochs_of_few(count, self._config.batch_size)
        self._fields, self._genotype = fields, genotype
        self._path = None if run.checkpoint is None else Path(run.checkpoint) / PLAN
        run.claim_checkpoint(PLAN)
        # Of what decides sizes and epochs: pixels do not.
        self._data = fingerprint(np.array(task.images.shape), task.codes)
        if plan is None and run.resumable_file(PLAN) and self._path is not None:
            plan = Plan.load(self._path)
            if Plan.data_of(self._path) not in (None, self._data):
                raise CheckpointError(f"{self._path} is of another run (other data)")
        if run.time_budget is None and (plan is None or plan.epochs == 0):
            lack = "there is no `plan`" if plan is None else "the `plan` has no training yet"
            raise ArgumentError("time_budget", f"(=None) must be a time: {lack}")
        if plan is not None and dict(plan.limits) != limits.numbers():
            there, here = (describe_limits(each) for each in (plan.limits, limits.numbers()))
            raise ArgumentError("plan", f"is one with {there}, and not with {here}")
        if plan is not None:
            self._check_plan(plan)
        self.plan = plan
        self._limited = task.space if limits.numbers() else None
        self._method = as_method(method, self._search_config("quick"), self._limited)
        self._method_name = method
        self._found: SearchResult[Any] | None = None
        self._made: tuple[Size, Budget | None] | None = None
        self._known_costs: dict[tuple[Any, ...], dict[str, float]] = {}
        task.check_train(self._config)

    def _check_plan(self, plan: Plan) -> None:
        """Raise ArgumentError where what is given now is not what the plan decided."""
        if self._genotype is not None and plan.cell != "given":
            raise ArgumentError("genotype", f"is not that of the `plan`, which has {plan.cell!r}")
        if self.search == ("never" if plan.searched else "always"):
            what = "a search" if plan.searched else f"the cell {plan.cell!r}"
            raise ArgumentError("search", f"(={self.search!r}) is not for the `plan`, with {what}")
        if plan.epochs == 0:
            return
        for name in ("channels", "cells", "epochs", "epoch_images"):
            planned = getattr(plan, name)
            if name == "epoch_images" and planned is None:
                planned = len(self.task.images)
            if self._fields.get(name, planned) != planned:
                problem = f"(={self._fields[name]}) is not that of the `plan`, {planned}"
                raise ArgumentError(name, problem)

    def find_cell(self) -> SearchResult[Any] | None:
        """Decide whether to search, and do it; None: there is another cell."""
        if self.plan is None:
            self._keep(self._plan_cell())
        assert self.plan is not None
        plan = self.plan
        if not plan.searched:
            self._genotype = self._named(plan.cell)
            return None
        config = replace(
            self._search_config(plan.search_preset or "quick"), epochs=plan.search_epochs
        )
        method, selector = as_pair(self._method_name, None, config, self._limited)
        run, budget = replace(self.run, callbacks=()), None
        if plan.limits:  # which may measure: before the search's clock starts
            budget = self._budget((plan.channels, plan.cells), method, run)
        if run.seconds_left is not None:  # a slow search is cut short, so that there is a model
            slack = max(1e-3, min(1.3 * plan.search_seconds, 0.7 * run.seconds_left))
            run = replace(run, time_budget=slack, started=time.perf_counter())
            over = plan.epochs > 0 or plan.given_up
            if over and run.resumable_file(SEARCH_CHECKPOINT):
                # It is over, also if it was cut short: the training is planned for its cell.
                run = replace(run, started=-math.inf)
        self._found = run_search(self.task, method, config, run, selector, budget)
        self._genotype = self._found.genotype
        return self._found

    def train(self) -> Model:
        """Choose sizes and epochs in the time that is left, and train."""
        before = self.plan
        assert before is not None
        if before.epochs > 0:
            return self._train_as_planned(self.run)
        if before.given_up:  # by a run that ended there
            self._forget_training()
        pace = self._plan_and_keep(before)
        first = self.plan
        assert first is not None
        if pace is None:
            return self._train_as_planned(self.run)
        model = self._train_as_planned(replace(self.run, callbacks=(*self.run.callbacks, pace)))
        if pace.reason is None or model.stopped != pace.reason or model.interrupted:
            return model
        self._forget_training()
        assert self.plan is not None
        spent = first.prepare_seconds + model.seconds
        del model  # a network's memory is not needed twice
        anew = replace(self.plan, prepare_seconds=spent)
        self._known_costs.clear()  # latencies were measured when steps were
        try:
            self._plan_and_keep(anew)
        except ArgumentError:  # not even an epoch fits any more: as much of the first plan as does
            why = (*anew.why, *first.why[len(before.why) :])
            self._keep(replace(first, given_up=True, prepare_seconds=spent, why=why))
        return self._train_as_planned(self.run)

    def _forget_training(self) -> None:
        if self.run.checkpoint is not None:
            (Path(self.run.checkpoint) / TRAIN_CHECKPOINT).unlink(missing_ok=True)

    def _train_as_planned(self, run: RunOptions) -> Model:
        plan = self.plan
        assert plan is not None
        assert self._genotype is not None
        config = replace(
            self._sized((plan.channels, plan.cells)),
            epochs=plan.epochs,
            epoch_images=plan.epoch_images,
        )
        model: Model = run_training(self.task, self._genotype, config, run)
        model.search, model.plan = self._found, plan
        return model

    def _plan_and_keep(self, plan: Plan) -> Pace | None:
        """Plan the training, and return what watches its pace; None: it stays with that plan."""
        start = time.perf_counter()
        planned, chosen = self._plan_training(plan)
        took = time.perf_counter() - start
        self._keep(planned)
        if "epochs" in self._fields or plan.given_up:
            return None

        def give_up(reason: str) -> None:
            """Keep that before anything else: a run that goes on from here plans anew, too."""
            self.plan = plan
            why = (*plan.why, f"{reason[0].upper()}{reason[1:]}.")
            self._keep(replace(plan, given_up=True, why=why))

        images = chosen.epoch_images or len(self.task.images)
        steps = chosen.epochs * (images // self._config.batch_size)
        return Pace(chosen, steps, took, lambda: self._left, give_up)

    def _keep(self, plan: Plan) -> None:
        """Note a plan, show what is new in it, and keep it for a run that goes on."""
        plan = replace(plan, limits=self._limits.numbers())
        new = plan.why[len(self.plan.why) :] if self.plan is not None else plan.why
        for sentence in new:
            self._show(sentence)
        self.plan = plan
        if self._path is not None:
            plan.save(self._path, self._data)

    def _search_config(self, preset: str) -> SearchConfig:
        """Of a preset, with a batch that either half has."""
        return self.task.complete(SearchConfig.make(preset, {"seed": self._config.seed}))

    def _named(self, cell: str) -> BaseGenotype:
        if cell == "given":
            if self._genotype is None:
                raise ArgumentError("plan", "is for a `genotype` that was given, as it must be")
            return self._genotype
        if cell == "strongest":
            return strongest(self.task.space)
        if cell not in published(self.task.space):
            raise ArgumentError("plan", f"has the cell {cell!r}, which is of another space")
        return PUBLISHED[cell]

    @property
    def _left(self) -> float:
        left = self.run.seconds_left
        assert left is not None
        return left

    def _plan_cell(self) -> Plan:
        """Which cell, and if one is to be searched, how."""
        assert self.run.budget_seconds is not None
        budget, space = self.run.budget_seconds, self.task.space
        spent = budget - self._left
        if self._genotype is not None:
            return Plan(cell="given", prepare_seconds=spent, why=("The cell was given.",))
        best = list(published(space))[-1:]
        above = ""
        if best and self.search == "auto":
            above = self._above(PUBLISHED[best[0]], self._sizes()[0])
        unpaid = self.search == "auto" and budget < PAYS_FROM and not above
        if best and (self.search == "never" or unpaid):
            reason = "as no search was wanted" if self.search == "never" else "without search"
            more = (
                ""
                if self.search == "never"
                else (f": it is not known that a search is worth its part of {duration(budget)}")
            )
            why = f"The cell is the published {best[0]}, {reason}{more}."
            return Plan(cell=best[0], prepare_seconds=spent, why=(why,))
        if self.search == "never":
            why = f"No search was wanted, and {space.name} has no published cell: it is the"
            why += " strongest-operation constant."
            return Plan(cell="strongest", prepare_seconds=spent, why=(why,))
        return self._plan_search(budget, f"{best[0]} {above}" if above else "")

    def _plan_search(self, budget: float, above: str) -> Plan:
        size, limited = (0, 0), None
        why_size: tuple[str, ...] = ()
        if self._limits.numbers():
            size, sentence = self._target_size(budget)
            anew = replace(self.run, checkpoint=None)
            why_size, limited = (sentence,), self._budget(size, self._method, anew)
        space, usable = self.task.space, SEARCH_SHARE * self._left * (1 - MARGIN)
        each = kept = 0.0
        for preset in ("quick", "standard"):
            config = self._search_config(preset)
            data = self.task.search_data(config, np.random.default_rng(config.seed))
            method, selector = as_pair(self._method_name, None, config, self._limited)
            trial = self.task, method, config, data, usable, selector, limited
            found, for_selection = search_epoch_seconds(*trial)
            left = usable - for_selection
            if preset == "quick" or found * config.epochs <= left:
                each, kept, chosen, how = found, for_selection, preset, type(selector)
                epochs = min(config.epochs, int(left / found))
            if epochs < config.epochs or found * config.epochs > left:
                break
        spent = budget - self._left
        if epochs < LEAST_SEARCH_EPOCHS:
            least = LEAST_SEARCH_EPOCHS * each
            if how is Finalists:  # which have half of it
                least *= 2
            elif how is Perturbation:
                least += kept
            need = spent + least / (SEARCH_SHARE * (1 - MARGIN))
            known = math.isfinite(need)
            if self.search == "always":
                would = f": about {duration(1.1 * need)} would do" if known else ""
                raise ArgumentError(
                    "time_budget",
                    f"(={duration(budget)}) is too short to search, of which {LEAST_SEARCH_EPOCHS}"
                    f" epochs are the least{would}",
                )
            want = (
                f"about {duration(need)} in all" if known else f"far more than {duration(budget)}"
            )
            lack = above or f"{space.name} has no published cell"
            why = (
                f"{lack}, and a search of {LEAST_SEARCH_EPOCHS} epochs"
                f" would want {want}: the cell is the strongest-operation constant."
            )
            return Plan(cell="strongest", prepare_seconds=spent, why=(why,))
        reason = "A search was wanted"
        if self.search == "auto":
            reason = f"{space.name} has no published cell"
            if above:
                reason = f"{above}, of the smallest network already"
            elif published(space):
                reason = f"In {duration(budget)} a search is worth its time"
        why = (
            f"{reason}: the cell is searched for {epochs} epochs of the preset {chosen}"
            f"{_CHOSEN.get(how, '')}, in about"
            f" {duration(epochs * each + kept)}, at most {SEARCH_SHARE:.0%} of the time."
        )
        return Plan(
            cell="search",
            search_preset=chosen,
            search_epochs=epochs,
            channels=size[0],
            cells=size[1],
            prepare_seconds=spent,
            search_seconds=epochs * each + kept,
            why=(*why_size, why),
        )

    def _sizes(self) -> list[Size]:
        """Channels and cells that come into question, the fastest first."""
        given, ladder = self._fields, (*(SMALLER if self._limits.numbers() else ()), *LADDER)
        pairs = ((given.get("channels", a), given.get("cells", b)) for a, b in ladder)
        return list(dict.fromkeys(pairs))

    def _sized(self, size: Size) -> TrainConfig:
        return replace(self._config, channels=size[0], cells=size[1])

    def _costs(self, genotypes: Sequence[Any], size: Size) -> dict[str, float]:
        """The means of what is limited, over the networks of some cells; measured once."""
        key = (size, *map(str, genotypes))
        if key not in self._known_costs:
            self._known_costs[key] = self._new_costs(genotypes, size)
        return self._known_costs[key]

    def _new_costs(self, genotypes: Sequence[Any], size: Size) -> dict[str, float]:
        shape, found = self.task.network_shape(self._sized(size)), {}
        for name in self._limits.numbers():
            if name == "latency":
                threads = resolve_threads(self._limits.latency_threads, "latency_threads")
                timings = measure_genotypes(genotypes, shape, self._batch, threads, _REPEATS)
                values = [timing.median for timing in timings]
            else:
                values = [float(getattr(count_network(each, shape), name)) for each in genotypes]
            found[name] = float(np.mean(values))
        return found

    def _above(self, genotype: Any, size: Size) -> str:
        """Which limits the network of a cell is above, in words; empty: none."""
        costs, limits = self._costs([genotype], size), self._limits.numbers()
        parts = [
            f"{show_cost(name, costs[name])}, above the limit of {show_cost(name, limit)}"
            for name, limit in limits.items()
            if costs[name] > limit
        ]
        return f"has {' and '.join(parts)}" if parts else ""

    def _target_size(self, budget: float) -> tuple[Size, str]:
        """The size of the network whose cell is to be searched under limits, and why."""
        limits, space = self._limits.numbers(), self.task.space
        drawn: list[Any] = [space.genotype.random(k, space=space) for k in range(_DRAWN)]
        sizes = [size for size in self._sizes() if self._fits_memory(drawn[0], size)]
        sizes = sizes or self._sizes()[:1]

        def is_within(size: Size) -> bool:
            costs = self._costs(drawn, size)
            return all(costs[name] <= limit for name, limit in limits.items())

        within = list(takewhile(is_within, sizes))
        reason = "the largest of which random cells are within the limits in the mean"
        if not within:
            within, reason = sizes[:1], "the smallest, though random cells of it are above a limit"
        data = self.task.train_data(self.task.complete(self._config), np.random.default_rng(0))

        def epoch_seconds(size: Size) -> EpochSeconds:
            config = self._sized(size)
            return training_epoch_seconds(self.task, drawn[0], config, data, left())

        def left() -> float:
            return (1 - SEARCH_SHARE) * self._left

        known, images = self._fields.get("epochs"), len(self.task.images)
        given: Any = {"few": self._few, "epoch_images": self._config.epoch_images}
        try:
            chosen = choose_training(epoch_seconds, left, images, budget, within, known, **given)
            size = chosen.channels, chosen.cells
        except ArgumentError:  # beside a search; without one there may be
            size = within[0]
        if size != within[-1]:
            reason = "the largest that there is time to train"
        return size, (
            f"The cell is for a network of {size[0]} channels and {size[1]} cells, {reason}:"
            f" {describe_limits(limits)}."
        )

    def _budget(self, size: Size, method: Method, run: RunOptions) -> Budget | None:
        """What limits the search of a cell for a network, made once."""
        if self._made is None or self._made[0] != size:
            target = self._sized(size)
            limits = self._limits._replace(target=target)
            self._made = size, limits.budget(self.task, method, None, target.preset, run)
        return self._made[1]

    def _fits_memory(self, genotype: Any, size: Size) -> bool:
        memory = self.run.memory_budget
        return memory is None or self.task.train_bytes(genotype, self._sized(size)) <= float(memory)

    def _plan_training(self, plan: Plan) -> tuple[Plan, TrainingChoice]:
        assert self.run.budget_seconds is not None
        before = time.perf_counter()
        sizes, largest = self._training_sizes(plan)
        data = self.task.train_data(self.task.complete(self._config), np.random.default_rng(0))

        def epoch_seconds(size: Size) -> EpochSeconds:
            config = self._sized(size)
            return training_epoch_seconds(self.task, self._genotype, config, data, self._left)

        chosen = choose_training(
            epoch_seconds,
            lambda: self._left,
            len(self.task.images),
            self.run.budget_seconds,
            sizes,
            self._fields.get("epochs"),
            largest,
            self._few,
            self._config.batch_size,
            self._config.epoch_images,
        )
        why = [*plan.why, chosen.why]
        if plan.limits:
            costs = self._costs([self._genotype], (chosen.channels, chosen.cells))
            shown = " and ".join(show_cost(name, value) for name, value in costs.items())
            why.append(f"It has {shown}, within {describe_limits(plan.limits)}.")
        planned = replace(
            plan,
            channels=chosen.channels,
            cells=chosen.cells,
            epochs=chosen.epochs,
            epoch_images=chosen.epoch_images,
            prepare_seconds=plan.prepare_seconds + time.perf_counter() - before,
            train_seconds=chosen.seconds,
            why=tuple(why),
        )
        return planned, chosen

    def _training_sizes(self, plan: Plan) -> tuple[list[Size], str]:
        """The sizes that come into question for the cell, and what the last of them is."""
        sizes = self._sizes()
        sizes = [size for size in sizes if self._fits_memory(self._genotype, size)] or sizes[:1]
        if not plan.limits:
            return sizes, "the largest that is tried"
        if plan.searched:  # for a network that is not to become larger
            planned = plan.channels, plan.cells
            sizes = sizes[: sizes.index(planned) + 1] if planned in sizes else [planned]
        first = self._above(self._genotype, sizes[0])
        if first:
            name = next(iter(plan.limits))
            problem = f"(={show_cost(name, plan.limits[name])}) is met by no network of this cell:"
            smallest = f"that of {sizes[0][0]} channels and {sizes[0][1]} cells {first}"
            raise ArgumentError(f"max_{name}", f"{problem} {smallest}")
        within = takewhile(lambda size: not self._above(self._genotype, size), sizes[1:])
        return [sizes[0], *within], "the largest that is within the limits"
