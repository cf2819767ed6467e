# SPDX-License-Identifier: MIT
"""The engine's face: supernet, derived network and mixed operation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from pydarts import _core
from pydarts.genotype import OPERATIONS, Genotype

Array = NDArray[Any]
Alphas = dict[str, Array]


# weights, gradient, momentum; of the second order: moved weights, v, gradient of the virtual step
_WEIGHT_VECTORS = 6


def _integer(name: str, value: object, least: int, below: int = 2**31) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"`{name}` (={value!r}) must be an integer")
    if not least <= value < below:
        raise ValueError(f"`{name}` (={value}) must be at least {least} and less than {below}")
    return int(value)


def resolve_threads(threads: int | None) -> int:
    """``threads``, or what OpenMP would take when it is None."""
    return _core.default_threads() if threads is None else _integer("threads", threads, 1, 1025)


def engine_suffix(dtype: DTypeLike) -> str:
    """The name under which the engine is compiled for ``dtype``: ``"32"`` or ``"64"``."""
    kind = np.dtype(dtype)
    if kind not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ValueError(f"`dtype` (={dtype!r}) must be float32 or float64")
    return str(kind.itemsize * 8)


def recompute(memory: str) -> bool:
    """Whether ``memory`` says so."""
    if memory not in ("store", "recompute"):
        raise ValueError(f"`memory` (={memory!r}) must be 'store' or 'recompute'")
    return memory == "recompute"


class EngineNetwork:
    """What all networks of the engine share: weights, alphas, state, loss and gradients.

    Weights, alphas and running statistics live in flat arrays of the engine; ``weights`` and
    ``running`` give
    named views of them.
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
        suffix = engine_suffix(dtype)
        self._engine: Any = getattr(_core, kind + suffix)(
            *arguments, _integer("seed", seed, 0, 2**64), resolve_threads(threads)
        )

    @property
    def threads(self) -> int:
        """Threads that the engine uses."""
        return int(self._engine.threads)

    @property
    def num_weights(self) -> int:
        """Number of trained weights, architecture parameters excluded."""
        return int(self._engine.weights.size)

    @property
    def in_channels(self) -> int:
        """Channels of the input images."""
        return int(self._engine.in_channels)

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

    def memory_plan(
        self, batch_size: int, image_size: int | tuple[int, int], *, training: bool = True
    ) -> dict[str, int]:
        """Bytes that work on a batch will take, known before anything runs.

        Parameters
        ----------
        batch_size : images a batch.
        image_size : their height and width, or one number for both.
        training : whether gradients are wanted, by a whole search or training step.

        Returns
        -------
        dict
            ``activations``, ``scratch`` (of the kernels), ``weights`` (with gradient, optimiser and
            the vectors of the second order) and their sum ``total``.
        """
        height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
        activations, scratch = self._engine.memory(
            _integer("batch_size", batch_size, 1),
            _integer("image_size", height, 1),
            _integer("image_size", width, 1),
            training,
        )
        weights = self.num_weights * self.dtype.itemsize * (_WEIGHT_VECTORS if training else 1)
        total = activations + scratch + weights
        return {
            "activations": activations,
            "scratch": scratch,
            "weights": weights,
            "total": total,
        }

    def logits(self, x: ArrayLike, *, training: bool = True) -> Array:
        """Logits (N, classes) of images ``x`` (N, C, H, W), by batch or by running statistics."""
        result: Array = self._engine.logits(self._images("x", x), training)
        return result

    def loss_and_grads(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        wrt: Iterable[str] = ("weights", "alphas"),
        drop_masks: ArrayLike | None = None,
    ) -> tuple[float, dict[str, dict[str, Array]]]:
        """Mean cross-entropy with batch statistics, and its gradients; the running statistics stay
        untouched.

        Parameters
        ----------
        x : (N, C, H, W) images.
        y : (N,) integer labels in 0..classes-1.
        wrt : which of ``"weights"`` and ``"alphas"`` to derive by.
        drop_masks : (num_droppable, N) factors of drop path, 0 or 1/keep.
        """
        wanted = (wrt,) if isinstance(wrt, str) else tuple(wrt)
        for name in wanted:
            if name not in ("weights", "alphas"):
                raise ValueError(f"`wrt` (={wanted!r}) may hold 'weights' and 'alphas'")
        drop = None if drop_masks is None else np.asarray(drop_masks, dtype=self.dtype)
        images = self._images("x", x)
        loss, _, weights, alphas = self._engine.evaluate(
            images,
            self._labels("y", y, len(images)),
            "weights" in wanted,
            "alphas" in wanted,
            drop,
        )
        grads: dict[str, dict[str, Array]] = {}
        if "weights" in wanted:
            grads["weights"] = self._split_weights(weights)
        if "alphas" in wanted:
            grads["alphas"] = self._split_alphas(alphas)
        return float(loss), grads

    def _images(self, name: str, x: ArrayLike) -> Array:
        images = np.ascontiguousarray(x, dtype=self.dtype)
        if images.ndim != 4:
            raise ValueError(
                f"`{name}` must have 4 axes (N, C, H, W), not the shape {images.shape}"
            )
        if images.size == 0:
            raise ValueError(f"`{name}` is empty: its shape is {images.shape}")
        if images.shape[1] != self.in_channels:
            raise ValueError(
                f"`{name}` has {images.shape[1]} channels; the network takes {self.in_channels}"
            )
        return images

    def _labels(self, name: str, y: ArrayLike, count: int) -> NDArray[np.int32]:
        labels, classes = np.asarray(y), self._engine.classes
        if labels.dtype.kind not in "iu":
            raise TypeError(f"`{name}` must hold integers, not {labels.dtype}")
        if labels.shape != (count,):
            raise ValueError(f"`{name}` has the shape {labels.shape}; there are {count} images")
        if labels.min() < 0 or labels.max() >= classes:
            bad = labels[(labels < 0) | (labels >= classes)][0]
            raise ValueError(f"`{name}` holds the label {bad}; it must be in 0..{classes - 1}")
        return np.ascontiguousarray(labels, dtype=np.int32)

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
            raise ValueError(
                f"`{what}` does not fit: "
                + "; ".join(
                    f"{len(names)} {kind}, such as {names[0]!r}"
                    for kind, names in (("names missing", missing), ("names unknown", unknown))
                    if names
                )
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


class Supernet(EngineNetwork):
    """The cell supernet: every edge is a softmax-weighted mixture of all candidate operations.

    On edge (j, i) the output is ``sum_k softmax(alpha_edge)_k * op_k(x_j)``; node i sums its edges;
    cells at
    a third and two thirds of the depth halve the image and double the channels. Liu, Simonyan,
    Yang, *DARTS*,
    arXiv:1806.09055.

    Parameters
    ----------
    channels : channels of the first cells (C).
    cells : number of cells (L).
    classes, in_channels : classes to tell apart, channels of the images.
    dtype : float32 for work, float64 for verification.
    seed : of the initial weights and alphas.
    threads : threads to use; None: all. Results are bit-for-bit the same for any number.
    memory : ``"store"``, or ``"recompute"`` to keep only the inputs and outputs of the cells and
        compute the rest again: a fraction of the memory for a third more time, the same results.
    """

    def __init__(
        self,
        channels: int = 16,
        cells: int = 8,
        classes: int = 10,
        in_channels: int = 3,
        dtype: DTypeLike = "float32",
        seed: int = 0,
        threads: int | None = None,
        memory: str = "store",
    ):
        sizes = _sizes(channels, cells, classes, in_channels)
        super().__init__("supernet", (*sizes, recompute(memory)), dtype, seed, threads)

    def genotype(self) -> Genotype:
        """The discrete cell that the present alphas stand for."""
        return Genotype.derive(self.alphas)


class Network(EngineNetwork):
    """The network derived from a genotype: one operation an edge, affine batch normalisation.

    Parameters
    ----------
    genotype : the two cells.
    channels, cells, classes, in_channels, dtype, seed, threads, memory : as in `Supernet`.
    auxiliary : adds the auxiliary head behind cell 2 * cells // 3; the loss then holds it.
    auxiliary_weight : its weight in the loss.
    """

    def __init__(
        self,
        genotype: Genotype,
        channels: int = 36,
        cells: int = 20,
        classes: int = 10,
        in_channels: int = 3,
        auxiliary: bool = False,
        auxiliary_weight: float = 0.4,
        dtype: DTypeLike = "float32",
        seed: int = 0,
        threads: int | None = None,
        memory: str = "store",
    ):
        if not isinstance(genotype, Genotype):
            raise TypeError(f"`genotype` (={genotype!r}) must be a Genotype; see Genotype.parse")
        if not 0 <= auxiliary_weight < math.inf:
            raise ValueError(f"`auxiliary_weight` (={auxiliary_weight!r}) must be at least 0")
        g = genotype
        cell = (list(g.normal), list(g.normal_concat), list(g.reduce), list(g.reduce_concat))
        sizes = _sizes(channels, cells, classes, in_channels)
        super().__init__(
            "derived",
            (*sizes, *cell, bool(auxiliary), float(auxiliary_weight), recompute(memory)),
            dtype,
            seed,
            threads,
        )
        self.genotype = genotype

    @property
    def num_droppable(self) -> int:
        """Operands that drop path may drop: all but identities, cell by cell."""
        return int(self._engine.droppables)


class MixedOperation(EngineNetwork):
    """One mixed operation by itself: ``y = sum_k softmax(alpha)_k * op_k(x)`` with batch
    statistics.

    Parameters
    ----------
    channels : of input and output.
    stride : 1 or 2.
    operations : names of the candidates, by default all eight.
    """

    def __init__(
        self,
        channels: int,
        stride: int = 1,
        operations: Iterable[str] = OPERATIONS,
        dtype: DTypeLike = "float32",
        seed: int = 0,
        threads: int | None = None,
    ):
        arguments = (
            _integer("channels", channels, 1),
            _integer("stride", stride, 1),
            list(operations),
        )
        super().__init__("mixed_operation", arguments, dtype, seed, threads)

    def forward(self, x: ArrayLike) -> Array:
        """The output (N, C, H', W') for ``x`` (N, C, H, W)."""
        result: Array = self._engine.forward(self._images("x", x))
        return result

    def backward(self, x: ArrayLike, d_output: ArrayLike) -> SimpleNamespace:
        """Gradients of ``sum(d_output * forward(x))``: ``.x``, ``.weights``, ``.alphas``."""
        dx, weights, alphas = self._engine.backward(
            self._images("x", x), self._images("d_output", d_output)
        )
        return SimpleNamespace(
            x=dx, weights=self._split_weights(weights), alphas=self._split_alphas(alphas)["mixed"]
        )


def _sizes(channels: int, cells: int, classes: int, in_channels: int) -> tuple[int, int, int, int]:
    return (
        _integer("channels", channels, 1),
        _integer("cells", cells, 1),
        _integer("classes", classes, 2),
        _integer("in_channels", in_channels, 1),
    )
