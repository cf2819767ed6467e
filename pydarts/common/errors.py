# SPDX-License-Identifier: MIT
"""Errors of arguments, which know the argument's name."""

from __future__ import annotations


class ArgumentError(ValueError):
    """An argument has a value that cannot be used.

    Parameters
    ----------
    argument : str
        Its name in Python.
    problem : str
        What follows the name in the message, such as ``"(=0) must be at least 1"``.
    """

    def __init__(self, argument: str, problem: str):
        super().__init__(argument, problem)
        self.argument, self.problem = argument, problem

    def __str__(self) -> str:
        return f"`{self.argument}` {self.problem}"


class ArgumentTypeError(ArgumentError, TypeError):
    """An argument is of a type that cannot be used."""


class CheckpointError(ValueError):
    """A checkpoint is damaged, or of another run; ``reason`` says which."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.reason}: `resume`='never' begins anew"
