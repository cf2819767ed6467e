# SPDX-License-Identifier: MIT
"""What all networks of the engine share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from pydarts import _core
from pydarts.common.checks import integer, show
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.common.ranks import ALONE, Ranks
from pydarts.engine.losses import Truth
from pydarts.spaces.genotype import BaseGenotype
from pydarts.spaces.space import Space

Array = NDArray[Any]
Alphas = dict[str, Array]
G = TypeVar("G", bound=BaseGenotype)

# weights, gradient, momentum; of the second order: unrolled weights, v, gradient of that step
_WEIGHT_VECTORS = 6


class StepDefaults(NamedTuple):
    """The original's settings of a search step, for whatever the caller does not name.

    Attributes
    ----------
    eta : float
        Learning rate of the unrolled step.
    momentum, weight_decay, max_grad_norm : float
        Of the SGD of the weights.
    alpha_lr : float
        Learning rate of the Adam of α.
    alpha_betas : tuple of float
        Its decay rates.
    """

    eta: float
    momentum: float
    weight_decay: float
    max_grad_norm: float
    alpha_lr: float
    alpha_betas: tuple[float, float]


def resolve_threads(threads: int | None, name: str = "threads") -> int:
    """Return ``threads``, or for None ``OMP_NUM_THREADS``, else the number of cores; errors call it
    by ``name``.
    """
    return _core.default_threads() if threads is None else integer(name, threads, 1, 1025)


def engine_suffix(dtype: DTypeLike) -> str:
    """Return the ending of the engine's names for ``dtype``: ``"32"`` or ``"64"``."""
    kind = np.dtype(dtype)
    if kind not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ArgumentError("dtype", f"(={dtype!r}) must be float32 or float64")
    return str(kind.itemsize * 8)


def wanted_gradients(
    wrt: str | Iterable[str], mixing: Mapping[str, ArrayLike] | None
) -> tuple[str, ...]:
    """Return ``wrt`` as a tuple of ``"weights"`` and either ``"alphas"`` or ``"mixing"``."""
    wanted = (wrt,) if isinstance(wrt, str) else tuple(wrt)
    for name in wanted:
        if name not in ("weights", "alphas", "mixing"):
            raise ArgumentError("wrt", f"(={wanted!r}) may hold 'weights', 'alphas' and 'mixing'")
    if "alphas" in wanted and mixing is not None:
        raise ArgumentError("wrt", "holds 'alphas', on which nothing depends with `mixing`")
    if "mixing" in wanted and mixing is None:
        raise ArgumentError("wrt", "holds 'mixing', but `mixing` is None")
    return wanted


class EngineNetwork:
    """A network of the engine: its weights, architecture parameters and state.

    Weights, architecture parameters and running statistics live in flat arrays of the engine.
    """

    # What `pydarts._core` calls its steps for this kind of network.
    weight_step: ClassVar[str]
    bilevel_step: ClassVar[str]
    bilevel_gradient: ClassVar[str]

    def __init__(
        self,
        kind: str,
        arguments: tuple[Any, ...],
        dtype: DTypeLike,
        seed: int,
        threads: int | None,
    ):
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        seeded = (*arguments, integer("seed", seed, 0, 2**64))
        self._recipe = kind + engine_suffix(dtype), seeded, threads
        self._engine: Any = self._build()

    def _build(self) -> Any:
        kind, arguments, threads = self._recipe
        return getattr(_core, kind)(*arguments, resolve_threads(threads))

    def __getstate__(self) -> dict[str, Any]:
        members = {k: v for k, v in self.__dict__.items() if k != "_engine"}
        return {"members": members, "state": self.state()}

    def __setstate__(self, given: dict[str, Any]) -> None:
        self.__dict__.update(given["members"])
        self._engine = self._build()
        self.restore(given["state"])

    @property
    def threads(self) -> int:
        """Number of threads that the engine uses."""
        return int(self._engine.threads)

    @property
    def num_weights(self) -> int:
        """Number of trained weights, architecture parameters excluded."""
        return int(self._engine.weights.size)

    @property
    def flat_weights(self) -> Array:
        """The weights as one flat array: a view, so writing to it changes the network."""
        return cast(Array, self._engine.weights)

    @property
    def flat_alphas(self) -> Array:
        """The architecture parameters as one flat array: a view, as `flat_weights`."""
        return cast(Array, self._engine.alphas)

    @property
    def alphas(self) -> Alphas:
        """A copy of the architecture parameters, by group."""
        return self.split_alphas(self.flat_alphas.copy())

    def set_alphas(self, alphas: Mapping[str, ArrayLike]) -> None:
        """Set the architecture parameters.

        Parameters
        ----------
        alphas : mapping of str to array_like
            Every group of `alphas`, in its shape.
        """
        groups = self._checked("alphas", alphas, self.alphas)
        self.flat_alphas[:] = np.concatenate([a.ravel() for a in groups] or [np.empty(0)])

    def split_weights(self, flat: Array) -> dict[str, Array]:
        """Return views of a flat array of the weights' length, by the weights' names."""
        return {
            name: flat[at : at + size].reshape(shape)
            for name, shape, at, size in self._engine.parameters
        }

    def split_alphas(self, flat: Array) -> Alphas:
        """Return views of a flat array of the architecture parameters' length, by group."""
        return {
            name: flat[at : at + rows * columns].reshape(rows, columns)
            for name, rows, columns, at in self._engine.alpha_groups
        }

    def state_dict(self) -> dict[str, Array]:
        """Return copies of weights and running statistics, named as in the original's modules."""
        return {name: np.array(view) for name, view in self._state().items()}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Load what `state_dict` returned.

        Parameters
        ----------
        state : mapping of str to array_like
            Every name of `state_dict`. PyTorch's ``num_batches_tracked`` are ignored.

        Raises
        ------
        ValueError
            For a missing or unknown name, a wrong shape, a value that is not finite or a variance
            that is negative. Nothing is changed then.
        """
        own = self._state()
        given = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
        arrays = self._checked("state", given, own)
        for name, array in zip(own, arrays, strict=True):
            if name.endswith(".running_var") and (array < 0).any():
                raise ArgumentError(f"state[{name!r}]", f"(={array.min():g}) is negative")
        for view, new in zip(own.values(), arrays, strict=True):
            view[...] = new

    def state(self) -> dict[str, Any]:
        """Return flat views of everything that passes and steps change."""
        return {name: getattr(self._engine, name) for name in ("weights", "alphas", "running")}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Set what `state` returned in a network of the same sizes."""
        for name in ("weights", "alphas", "running"):
            getattr(self._engine, name)[:] = state[name]

    def set_deadline(self, seconds: float | None) -> None:
        """Interrupt passes that run later than so many seconds from now, or none of them."""
        self._engine.set_deadline(seconds)

    def use_ranks(self, ranks: Ranks) -> None:
        """Compute every pass with several ranks together from now on, or alone again.

        All ranks then make the same calls with the same arguments, and get the same results to the
        bit, which are those of one. Weights, α and running statistics become those of the first.
        """
        if ranks.several:
            arguments = ranks.rank, ranks.size, ranks.gather, ranks.broadcast
            self._engine.use_communicator(*arguments)
        else:
            self._engine.leave_communicator()

    @contextmanager
    def shared_by(self, ranks: Ranks) -> Iterator[None]:
        """Compute every pass with several ranks together within ``with``: `use_ranks`."""
        if not ranks.several:
            yield
            return
        self.use_ranks(ranks)
        try:
            yield
        finally:
            self.use_ranks(ALONE)

    def weight_step_arguments(
        self,
        x: ArrayLike,
        y: Truth,
        lr: float,
        hidden: ArrayLike | None,
        drop_masks: ArrayLike | None,
        mixing: Mapping[str, ArrayLike] | None,
        active: Mapping[str, ArrayLike] | None,
    ) -> tuple[Any, ...]:
        """Return the checked arguments of the engine's weight step."""
        raise NotImplementedError

    def recurrent_arguments(self, **options: Any) -> tuple[Any, ...]:
        """Return the engine's arguments for options that only recurrent networks have."""
        raise NotImplementedError

    def _batch(
        self, names: tuple[str, str], x: ArrayLike, y: Truth, hidden: ArrayLike | None = None
    ) -> tuple[Any, ...]:
        """The engine's arguments for a batch."""
        raise NotImplementedError

    def _mixing(self, mixing: Mapping[str, ArrayLike] | None) -> Array | None:
        """Mixing weights as the engine's argument: flat, in the order of `flat_alphas`."""
        if mixing is None:
            return None
        own = self.alphas
        if not own:
            raise ArgumentError("mixing", "is for networks with mixed operations")
        return np.concatenate([a.ravel() for a in self._checked("mixing", mixing, own)])

    def _plan(self, training: bool, **parts: int) -> dict[str, int]:
        vectors = _WEIGHT_VECTORS if training else 1
        parts["weights"] = self.num_weights * self.dtype.itemsize * vectors
        return {**parts, "total": sum(parts.values())}

    def _gradients(self, wanted: Iterable[str], weights: Array, alphas: Array) -> dict[str, Any]:
        grads: dict[str, dict[str, Array]] = {}
        if "weights" in wanted:
            grads["weights"] = self.split_weights(weights)
        for name in ("alphas", "mixing"):
            if name in wanted:
                grads[name] = self.split_alphas(alphas)
        return grads

    def _state(self) -> dict[str, Array]:
        state = self.split_weights(self.flat_weights)
        running = self._engine.running
        for name, channels, at in self._engine.norms:
            state[f"{name}.running_mean"] = running[at : at + channels]
            state[f"{name}.running_var"] = running[at + channels : at + 2 * channels]
        return state

    def _checked(
        self,
        argument: str,
        given: Mapping[str, ArrayLike],
        own: Mapping[str, Array],
        kinds: str = "fiu",
    ) -> list[Array]:
        """The given arrays in the order, shapes and type of the network's own.

        Their own types must be of one of numpy's ``kinds``: numbers, or ``"b"`` for booleans.
        """
        if not isinstance(given, Mapping):
            raise ArgumentTypeError(argument, f"must be a mapping by name, not {show(given)}")
        missing, unknown = sorted(set(own) - set(given)), sorted(set(given) - set(own))
        differences = [
            f"{len(names)} {kind}, such as {names[0]!r}"
            for kind, names in (("names missing", missing), ("names unknown", unknown))
            if names
        ]
        if differences:
            raise ArgumentError(argument, f"does not fit: {'; '.join(differences)}")
        arrays = []
        for name, old in own.items():
            array, entry = np.asarray(given[name]), f"{argument}[{name!r}]"
            if array.dtype.kind not in kinds:
                wanted = "booleans" if kinds == "b" else "numbers"
                raise ArgumentTypeError(entry, f"holds {array.dtype}, not {wanted}")
            array = array.astype(self.dtype)
            if array.shape != old.shape:
                raise ArgumentError(entry, f"has the shape {array.shape}, not {old.shape}")
            if not np.isfinite(array).all():
                raise ArgumentError(entry, "holds a value that is not finite")
            arrays.append(array)
        return arrays


class MixingGradient(NamedTuple):
    """What `BaseSupernet.mixing_gradient` returns.

    Attributes
    ----------
    loss : float
    correct : int
        Number of correct predictions.
    gradient : dict of ndarray
        With respect to the mixing weights, by group.
    hidden : ndarray or None
        Of recurrent networks, the state after the segment.
    """

    loss: float
    correct: int
    gradient: Alphas
    hidden: Array | None


class BaseSupernet(EngineNetwork, Generic[G]):
    """A network whose edges are mixtures of candidate operations, weighted by α."""

    #: Whether passes leave out what is not active.
    skips_inactive: ClassVar[bool] = False

    space: Space
    step_defaults: ClassVar[StepDefaults]

    def mixing_gradient(
        self,
        x: ArrayLike,
        y: Truth,
        mixing: Mapping[str, ArrayLike],
        active: Mapping[str, ArrayLike] | None = None,
        hidden: ArrayLike | None = None,
    ) -> MixingGradient:
        """Return the loss with mixing weights in place of the softmax of α, and its gradient.

        Parameters
        ----------
        x, y, mixing, active, hidden
            As in `loss_and_grads`; `active` of networks over images, `hidden` of recurrent ones.

        Returns
        -------
        MixingGradient
        """
        raise NotImplementedError

    @property
    def genotype(self) -> G:
        """The discrete cell that the present architecture parameters stand for."""
        return cast(G, self.space.derive(self.alphas))
