# SPDX-License-Identifier: MIT
"""SIGTERM, which batch systems send before they kill: the work ends as with Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: The exit code of what SIGTERM ended.
TERMINATED = 128 + 15


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


class Termination:
    """A handler of SIGTERM. What handles Ctrl-C in its own way takes its place meanwhile.

    Attributes
    ----------
    asked : bool
        Whether SIGTERM came. Launchers may send it more than once: only the first one counts.
    """

    asked = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self.asked:
            self.asked = True
            raise Terminated

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Handle SIGTERM within ``with``, where nobody else does."""
        main = threading.current_thread() is threading.main_thread()
        if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            yield
            return
        signal.signal(signal.SIGTERM, self)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
