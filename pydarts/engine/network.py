# SPDX-License-Identifier: MIT
"""What stands between Python and any network of the engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from pydarts import _core
from pydarts.common.checks import integer
from pydarts.common.errors import ArgumentError

Array = NDArray[Any]
Alphas = dict[str, Array]

# weights, gradient, momentum; of the second order: moved weights, v, gradient of the virtual step
_WEIGHT_VECTORS = 6


class StepDefaults(NamedTuple):
    """What a search step takes where the caller names nothing: the original's settings."""

    eta: float
    momentum: float
    weight_decay: float
    max_grad_norm: float
    alpha_lr: float
    alpha_betas: tuple[float, float]


def resolve_threads(threads: int | None) -> int:
    """``threads``, or what OpenMP would take when it is None."""
    return _core.default_threads() if threads is None else integer("threads", threads, 1, 1025)


def engine_suffix(dtype: DTypeLike) -> str:
    """The name under which the engine is compiled for ``dtype``: ``"32"`` or ``"64"``."""
    kind = np.dtype(dtype)
    if kind not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ArgumentError("dtype", f"(={dtype!r}) must be float32 or float64")
    return str(kind.itemsize * 8)


def wanted_gradients(wrt: str | Iterable[str]) -> tuple[str, ...]:
    """``wrt`` as a tuple that holds no other names than ``"weights"`` and ``"alphas"``."""
    wanted = (wrt,) if isinstance(wrt, str) else tuple(wrt)
    for name in wanted:
        if name not in ("weights", "alphas"):
            raise ArgumentError("wrt", f"(={wanted!r}) may hold 'weights' and 'alphas'")
    return wanted


class EngineNetwork:
    """What all networks of the engine share: weights, alphas and state.

    Weights, alphas and running statistics live in flat arrays of the engine.
    """

    def __init__(
        self,
        kind: str,
        arguments: tuple[Any, ...],
        dtype: DTypeLike,
        seed: int,
        threads: int | None,
    ):
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        made = (*arguments, integer("seed", seed, 0, 2**64))
        self._make = kind + engine_suffix(dtype), made, threads
        self._engine: Any = self._made()

    def _made(self) -> Any:
        kind, arguments, threads = self._make
        return getattr(_core, kind)(*arguments, resolve_threads(threads))

    def __getstate__(self) -> dict[str, Any]:
        """For copies and other processes: how the engine's part is made, and its arrays."""
        members = {k: v for k, v in self.__dict__.items() if k != "_engine"}
        return {"members": members, "state": self.state()}

    def __setstate__(self, given: dict[str, Any]) -> None:
        self.__dict__.update(given["members"])
        self._engine = self._made()
        self.restore(given["state"])

    @property
    def threads(self) -> int:
        """Threads that the engine uses."""
        return int(self._engine.threads)

    @property
    def num_weights(self) -> int:
        """Number of trained weights, architecture parameters excluded."""
        return int(self._engine.weights.size)

    @property
    def alphas(self) -> Alphas:
        """A copy of the architecture parameters, by group."""
        return self._split_alphas(np.array(self._engine.alphas))

    def set_alphas(self, alphas: Mapping[str, ArrayLike]) -> None:
        """Set the architecture parameters: every group, in the shapes that ``alphas`` gives."""
        new = np.concatenate(
            [a.ravel() for a in self._checked("alphas", alphas, self.alphas)] or [np.empty(0)]
        )
        self._engine.alphas[:] = new

    def state_dict(self) -> dict[str, Array]:
        """Copies of weights and running statistics, named and shaped as the original's modules."""
        return {name: np.array(view) for name, view in self._state().items()}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Load what ``state_dict`` gave; all names must match.

        Raises
        ------
        ValueError
            For a missing or unknown name, a wrong shape or a value that is not finite. Nothing is
            changed then.
        """
        own = self._state()
        given = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
        for view, new in zip(own.values(), self._checked("state", given, own), strict=True):
            view[...] = new

    def state(self) -> dict[str, Any]:
        """Views of all that passes and steps change, flat; `restore` takes it."""
        return {name: getattr(self._engine, name) for name in ("weights", "alphas", "running")}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Set what ``state`` gave, in a network of the same make."""
        for name in ("weights", "alphas", "running"):
            getattr(self._engine, name)[:] = state[name]

    def _plan(self, training: bool, **parts: int) -> dict[str, int]:
        vectors = _WEIGHT_VECTORS if training else 1
        parts["weights"] = self.num_weights * self.dtype.itemsize * vectors
        return {**parts, "total": sum(parts.values())}

    def _gradients(self, wanted: Iterable[str], weights: Array, alphas: Array) -> dict[str, Any]:
        grads: dict[str, dict[str, Array]] = {}
        if "weights" in wanted:
            grads["weights"] = self._split_weights(weights)
        if "alphas" in wanted:
            grads["alphas"] = self._split_alphas(alphas)
        return grads

    def _split_weights(self, flat: Array) -> dict[str, Array]:
        return {
            n: flat[at : at + size].reshape(shape) for n, shape, at, size in self._engine.parameters
        }

    def _split_alphas(self, flat: Array) -> Alphas:
        return {n: flat[at : at + r * c].reshape(r, c) for n, r, c, at in self._engine.alpha_groups}

    def _state(self) -> dict[str, Array]:
        state = self._split_weights(self._engine.weights)
        running = self._engine.running
        for name, channels, at in self._engine.norms:
            state[f"{name}.running_mean"] = running[at : at + channels]
            state[f"{name}.running_var"] = running[at + channels : at + 2 * channels]
        return state

    def _checked(
        self, what: str, given: Mapping[str, ArrayLike], own: Mapping[str, Array]
    ) -> list[Array]:
        missing, unknown = sorted(set(own) - set(given)), sorted(set(given) - set(own))
        if missing or unknown:
            raise ArgumentError(
                what,
                "does not fit: "
                + "; ".join(
                    f"{len(names)} {kind}, such as {names[0]!r}"
                    for kind, names in (("names missing", missing), ("names unknown", unknown))
                    if names
                ),
            )
        new = []
        for name, old in own.items():
            value = np.asarray(given[name])
            if value.dtype.kind not in "fiu":
                raise ValueError(f"`{what}`[{name!r}] holds {value.dtype}, not numbers")
            value = value.astype(self.dtype)
            if value.shape != old.shape:
                raise ValueError(f"`{what}`[{name!r}] has the shape {value.shape}, not {old.shape}")
            if not np.isfinite(value).all():
                raise ValueError(f"`{what}`[{name!r}] holds a value that is not finite")
            new.append(value)
        return new
