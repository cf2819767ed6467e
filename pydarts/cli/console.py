# SPDX-License-Identifier: MIT
"""What the parts of the command line share: messages, exit codes, output files and folders, Ctrl-C
and SIGTERM.

Results go to standard output, progress and errors to standard error.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import signal
import sys
import threading
import traceback
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TextIO

from pydarts.common.files import writable_folder
from pydarts.common.termination import Terminated, Termination

if sys.platform != "win32":
    import fcntl

DONE, FAILED, UNUSABLE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes."""

_LOCK = ".pydarts.lock"

log = logging.getLogger("pydarts")

# Messages


class _PlainLines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        write(sys.stderr, record.getMessage() + "\n")


@contextmanager
def plain_lines(wanted: bool) -> Iterator[None]:
    """Where no terminal shows a bar, a line an epoch."""
    if not wanted:
        yield
        return
    handler, level = _PlainLines(), log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def say(text: str) -> None:
    """Write lines to standard output."""
    write(sys.stdout, text + "\n")


def report_error(problem: object, debug: bool = False) -> None:
    """Write a problem to standard error, as one line."""
    if debug:
        traceback.print_exc()
    lines = re.sub(r"(?<=[^\s.,:;])\s*\n", ";\n", str(problem).strip())
    text = " ".join(lines.split()) or type(problem).__name__
    write(sys.stderr, f"pydarts: error: {text}\n")


def note(text: str) -> None:
    """Write to standard error what is no problem, but should be known."""
    write(sys.stderr, f"pydarts: note: {text}\n")


def write(stream: TextIO, text: str) -> None:
    """Write what the stream's encoding allows of a text, and the rest as escapes."""
    encoding = stream.encoding or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except BrokenPipeError:  # `| head` has seen enough; the work goes on
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def printable(text: str) -> str:
    """Control characters as escapes: a text may hold what upsets a terminal."""
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) == "Cc" and character not in "\n\t"
        else character
        for character in text
    )


# Output


def claim_file(name: str, force: bool) -> Path:
    """A file to write, having seen that it is free and can be there."""
    path = Path(name)
    if path.is_dir():
        raise ValueError(f"{path} is a folder: give a file")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent}")
    if path.exists() and not force:
        raise ValueError(f"{path} exists; --force replaces it")
    return path


def claim_folder(args: argparse.Namespace, checkpoint: str, what: str) -> Path | None:
    """Make the output folder, having seen that it can be written to and that no other run does.

    It must be empty, or hold the checkpoint of ``what`` the command goes on with, unless --force.
    """
    if args.out is None:
        return None
    out = writable_folder("out", args.out)
    args.held.enter_context(alone_in(out, "--out"))
    used = any(not path.name.startswith(".") for path in out.iterdir())
    if used and not args.force and not (out / checkpoint).is_file():
        raise ValueError(
            f"--out (={args.out}) is not empty and holds no {what} to go on with; --force replaces"
            " what is there"
        )
    return out


@contextmanager
def alone_in(folder: Path, argument: str) -> Iterator[None]:
    """Keep other commands out of a folder until this one ends, also if it is killed."""
    if sys.platform == "win32":  # where nothing keeps them out
        yield
        return
    path = folder / _LOCK
    file = _locked(path)
    while file is not None and not _is_file(path, file):  # whoever had it has removed it
        file.close()
        file = _locked(path)
    if file is None:
        raise ValueError(f"{argument} (={folder}) is in use by another run")
    with file:
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _locked(path: Path) -> IO[str] | None:
    """The file, locked if the file system can; None: another process has locked it."""
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    except OSError:  # of a file system without locks
        pass
    return file


def _is_file(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait until the files are whole."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {signal.SIGINT: signal.getsignal(signal.SIGINT)}
    termination = signal.getsignal(signal.SIGTERM)
    if isinstance(termination, Termination):
        before[signal.SIGTERM] = termination
    for number in before:
        signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if signal.SIGINT in came:
        raise KeyboardInterrupt
    if came and isinstance(termination, Termination) and not termination.asked:
        termination.asked = True
        raise Terminated
