# SPDX-License-Identifier: MIT
"""The engine's networks over images: supernet, derived network and mixed operation."""

from __future__ import annotations

import math
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from pydarts.common.checks import integer
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.engine.network import Array, EngineNetwork, StepDefaults, wanted_gradients
from pydarts.spaces.darts import OPERATIONS, Genotype


def recompute(memory: str) -> bool:
    """Whether ``memory`` says so."""
    if memory not in ("store", "recompute"):
        raise ArgumentError("memory", f"(={memory!r}) must be 'store' or 'recompute'")
    return memory == "recompute"


class ImageNetwork(EngineNetwork):
    """What the networks over images share: logits, loss and gradients."""

    @property
    def in_channels(self) -> int:
        """Channels of the input images."""
        return int(self._engine.in_channels)

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
            integer("batch_size", batch_size, 1),
            integer("image_size", height, 1),
            integer("image_size", width, 1),
            training,
        )
        return self._plan(training, activations=activations, scratch=scratch)

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
        wanted = wanted_gradients(wrt)
        drop = None if drop_masks is None else np.asarray(drop_masks, dtype=self.dtype)
        images = self._images("x", x)
        loss, _, weights, alphas = self._engine.evaluate(
            images,
            self._labels("y", y, len(images)),
            "weights" in wanted,
            "alphas" in wanted,
            drop,
        )
        return float(loss), self._gradients(wanted, weights, alphas)

    def _images(self, name: str, x: ArrayLike) -> Array:
        images = np.ascontiguousarray(x, dtype=self.dtype)
        if images.ndim != 4:
            raise ArgumentError(
                name, f"must have 4 axes (N, C, H, W), not the shape {images.shape}"
            )
        if images.size == 0:
            raise ArgumentError(name, f"is empty: its shape is {images.shape}")
        if images.shape[1] != self.in_channels:
            raise ArgumentError(
                name, f"has {images.shape[1]} channels; the network takes {self.in_channels}"
            )
        return images

    def _batch(self, name: str, batch: object, hidden: object) -> tuple[Any, ...]:
        if hidden is not None:
            raise ArgumentTypeError("hidden", "is for recurrent networks")
        if not isinstance(batch, tuple) or len(batch) != 2:
            raise ArgumentTypeError(name, "must be a pair (images, labels)")
        images = self._images(f"{name}[0]", batch[0])
        return images, self._labels(f"{name}[1]", batch[1], len(images))

    def _labels(self, name: str, y: ArrayLike, count: int) -> NDArray[np.int32]:
        labels, classes = np.asarray(y), self._engine.classes
        if labels.dtype.kind not in "iu":
            raise ArgumentTypeError(name, f"must hold integers, not {labels.dtype}")
        if labels.shape != (count,):
            raise ArgumentError(name, f"has the shape {labels.shape}; there are {count} images")
        if labels.min() < 0 or labels.max() >= classes:
            bad = labels[(labels < 0) | (labels >= classes)][0]
            raise ArgumentError(name, f"holds the label {bad}; it must be in 0..{classes - 1}")
        return np.ascontiguousarray(labels, dtype=np.int32)


class Supernet(ImageNetwork):
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
    memory : ``"store"``, or ``"recompute"`` to keep only the states (nodes and cells' inputs) and
        compute what leaves them again: a fraction of the memory for a fifth to two fifths more
        time, the same results.
    """

    step_defaults = StepDefaults(0.025, 0.9, 3e-4, 5.0, 3e-4, (0.5, 0.999))

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
        sizes = checked_sizes(channels, cells, classes, in_channels)
        super().__init__("supernet", (*sizes, recompute(memory)), dtype, seed, threads)

    def genotype(self) -> Genotype:
        """The discrete cell that the present alphas stand for."""
        return Genotype.derive(self.alphas)


class Network(ImageNetwork):
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
            raise ArgumentTypeError(
                "genotype", f"(={genotype!r}) must be a Genotype; see Genotype.parse"
            )
        if not 0 <= auxiliary_weight < math.inf:
            raise ArgumentError("auxiliary_weight", f"(={auxiliary_weight!r}) must be at least 0")
        g = genotype
        cell = (list(g.normal), list(g.normal_concat), list(g.reduce), list(g.reduce_concat))
        sizes = checked_sizes(channels, cells, classes, in_channels)
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


class MixedOperation(ImageNetwork):
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
            integer("channels", channels, 1),
            integer("stride", stride, 1),
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


def checked_sizes(
    channels: int, cells: int, classes: int, in_channels: int
) -> tuple[int, int, int, int]:
    """The sizes of a network; an error that names the one that is none."""
    return (
        integer("channels", channels, 1),
        integer("cells", cells, 1),
        integer("classes", classes, 2),
        integer("in_channels", in_channels, 1),
    )
