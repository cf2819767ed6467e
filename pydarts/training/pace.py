# SPDX-License-Identifier: MIT
"""Whether a training keeps the pace that it was planned with, and had better begin anew if not."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING, Any

from pydarts.training.budget import duration
from pydarts.training.callbacks import Callback
from pydarts.training.plan import TrainingChoice, usable

if TYPE_CHECKING:
    from pydarts.training.loop import TrainingLoop

#: The share of the time after which a pace is known, and that which at most is given up where a
#: training would be cut short.
KNOWN, GIVEN_UP = 0.03, 0.15
#: A training begins anew if what is left holds so many times one of its length, or if what it still
#: needs is so many times what is left; and if its pace is so many times another than was planned.
LONGER, LATER, APART = 1.25, 1.1, 1.1
_LEAST_STEPS, _RECENT_STEPS = 10, 50


class Pace(Callback):
    """Stops a training in whose time one of another length fits far better.

    A machine is measured for seconds, while other programs may take their part of it.

    Parameters
    ----------
    chosen : TrainingChoice
        How long the training was to take.
    steps : int
        How many it has in all.
    planning : float
        Seconds that another plan takes.
    seconds_left : callable
        What is left of the time.
    on_stop : callable
        Called with the reason before the training is stopped.
    clock : callable

    Attributes
    ----------
    reason : str or None
        Why the training was stopped, if it was.
    """

    def __init__(
        self,
        chosen: TrainingChoice,
        steps: int,
        planning: float,
        seconds_left: Callable[[], float],
        on_stop: Callable[[str], None],
        clock: Callable[[], float] = time.perf_counter,
    ):
        self._chosen, self._steps, self._planning = chosen, steps, planning
        self._seconds_left, self._on_stop, self._clock = seconds_left, on_stop, clock
        self._validated = chosen.seconds > chosen.step_seconds
        self.reason: str | None = None
        self._taken, self._seconds = 0, 0.0
        self._recent = deque[float](maxlen=_RECENT_STEPS)

    def on_start(self, loop: TrainingLoop) -> None:
        self._started = self._before = self._clock()

    def on_step_end(self, loop: TrainingLoop, info: Any) -> None:
        now = self._clock()
        if loop.step > 1 or not self._validated:  # which comes before an epoch's first step
            self._taken, self._seconds = self._taken + 1, self._seconds + now - self._before
            self._recent.append(now - self._before)
        self._before = now
        elapsed, left = now - self._started, self._seconds_left()
        if self._taken < _LEAST_STEPS or elapsed < KNOWN * (elapsed + left):
            return
        if loop.stopped is not None:  # by another callback
            return
        planned = self._chosen.step_seconds / self._steps
        recent, whole = median(self._recent) / planned, self._seconds / self._taken / planned
        # Fast is what is fast by now, slow what has been so all the time.
        pace = recent if recent < 1 else max(1.0, min(recent, whole))
        if begins_anew(self._chosen, pace, elapsed, left, self._planning):
            self.reason = (
                f"steps take {pace:.0%} of the time that was measured before:"
                f" after {duration(elapsed)} the training begins anew"
            )
            self._on_stop(self.reason)
            loop.stop(self.reason)


def begins_anew(
    chosen: TrainingChoice, pace: float, elapsed: float, left: float, planning: float
) -> bool:
    """Whether a training had better begin anew.

    Parameters
    ----------
    chosen : TrainingChoice
    pace : float
        What its steps take, over what they were to take.
    elapsed, left : float
        Seconds since it began, and of the whole time.
    planning : float
        Seconds that another plan takes.
    """
    needs = chosen.seconds + (pace - 1) * chosen.step_seconds
    for_another = usable(left - planning)
    if pace > APART:
        cut_short = needs - elapsed > LATER * left
        affordable = elapsed < GIVEN_UP * (elapsed + left)
        return cut_short and affordable and for_another > 1.5 * needs / chosen.epochs  # an epoch
    return chosen.fills and pace < 1 / APART and for_another > LONGER * needs
