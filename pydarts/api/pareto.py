# SPDX-License-Identifier: MIT
"""`pareto`: accuracy against what networks cost."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from pydarts.api.image_data import Splitting, Targets, image_task
from pydarts.api.limits import Limit, as_limits, as_target
from pydarts.common.checks import choice, integer
from pydarts.common.errors import ArgumentError
from pydarts.common.jobs import AnyExecutor
from pydarts.costs.budget import COSTS
from pydarts.data.preprocessing import Preprocessing
from pydarts.engine.network import resolve_threads
from pydarts.evaluation.trade_off import TradeOff, run_trade_off
from pydarts.methods.method import Method
from pydarts.methods.named import as_pair
from pydarts.spaces.ready import as_space
from pydarts.spaces.space import Space
from pydarts.training.config import SearchConfig, TrainConfig
from pydarts.training.options import SearchOptions, SearchRun
from pydarts.training.run_options import split_options

if TYPE_CHECKING:
    from typing_extensions import Unpack


def pareto(
    X: Any,
    y: Iterable[Any] | None = None,
    *,
    limits: Sequence[Limit],
    cost: str = "latency",
    X_test: ArrayLike | None = None,
    y_test: Iterable[Any] | None = None,
    X_valid: Any = None,
    y_valid: Iterable[Any] | None = None,
    target: str | TrainConfig | None = None,
    random_cells: int = 2,
    latency_threads: int | None = 1,
    space: str | os.PathLike[str] | Space = "darts",
    preset: str = "quick",
    config: SearchConfig | None = None,
    method: str | Method | None = None,
    image_layout: str | None = None,
    groups: Iterable[Any] | None = None,
    split: str = "random",
    stratify: bool | Iterable[Any] | None = None,
    preprocessing: Preprocessing | None = None,
    threads: int | None = None,
    executor: AnyExecutor | None = None,
    **options: Unpack[SearchOptions],
) -> TradeOff:
    """Search a cell for each of several limits, train all, and show accuracy against cost.

    Beside each stand random cells of the same limit: of α that is drawn at random, the likeliest
    ones within it. A ResNet-8 of our own layers with the target's channels stands for itself.

    Parameters
    ----------
    X, y
        As in `search`.
    limits : sequence
        Limits on `cost`, as `search` takes one.
    cost : {"latency", "macs", "weights", "memory"}, optional
    X_test, y_test : array-like, iterable, optional
        Images that nothing is learned from; by default a fifth of each class in ``X`` is held out.
    X_valid, y_valid : optional
        What α learns on, and what each training is validated on.
    groups, split, stratify
        As in `search`, of its halves as well as of what is held out.
    target : TrainConfig or str, optional
        How all networks are trained: see `search`.
    random_cells : int, optional
        For each limit.
    latency_threads : int, optional
        With which latency is measured.
    executor : executor or int, optional
        As in `compare`: what searches and trains side by side. Networks are measured here, at the
        end, when the workers are done; but a search under a limit on latency measures its cell
        where it runs, and other work on that machine disturbs it.
    space, preset, config, method, image_layout, preprocessing, threads, **options
        As in `search`. In the folder ``checkpoint`` are pareto.json, which is written after each
        training, and the checkpoints: the same call goes on with them.

    Returns
    -------
    TradeOff
        Its ``rows``, ``table()`` and ``plot()``. Ctrl-C returns those that are done.

    Raises
    ------
    ValueError, TypeError
        As `search`.
    """
    choice("cost", cost, tuple(COSTS))
    if isinstance(limits, (str, float, int)) or not len(limits):
        raise ArgumentError("limits", f"(={limits!r}) must be a sequence of limits")
    try:
        numbers = [as_limits({cost: limit})[cost] for limit in limits]
    except KeyError:
        raise ArgumentError("limits", f"(={limits!r}) holds None") from None
    except ArgumentError as error:
        raise ArgumentError("limits", f"holds one that {error.problem}") from None
    config, run = split_options(SearchConfig, SearchRun, pareto, preset, config, options)
    task = image_task(
        *(X, y, Splitting(X_valid, y_valid, groups, split, stratify), Targets()),
        image_layout=image_layout,
        preprocessing=preprocessing,
        space=as_space(space),
        threads=threads,
        test=(X_test, y_test),
    )
    return run_trade_off(
        task,
        as_pair(method, None, config, task.space),
        config,
        as_target(target, config.preset),
        cost,
        sorted(numbers),
        random_cells=integer("random_cells", random_cells, 0),
        threads=resolve_threads(latency_threads, "latency_threads"),
        run=run,
        executor=executor,
    )
