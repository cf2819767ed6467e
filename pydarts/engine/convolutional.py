# SPDX-License-Identifier: MIT
"""The engine's networks over images: supernet, derived network and mixed operation."""

from __future__ import annotations

import json
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from pydarts.common.checks import choice, integer, number, show
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.engine.network import (
    Array,
    BaseSupernet,
    EngineNetwork,
    StepDefaults,
    wanted_gradients,
)
from pydarts.spaces.darts import DARTS, OPERATIONS, Genotype


class ImageNetwork(EngineNetwork):
    """What the networks over images share: logits, loss and gradients."""

    weight_step = "WeightStep"
    bilevel_step = "BilevelStep"
    bilevel_gradient = "arch_gradient"

    @property
    def in_channels(self) -> int:
        """Channels of the input images."""
        return int(self._engine.in_channels)

    def memory_plan(
        self, batch_size: int, image_size: int | tuple[int, int], *, training: bool = True
    ) -> dict[str, int]:
        """Return the bytes that work on a batch will take, before anything runs.

        Parameters
        ----------
        batch_size : int
        image_size : int or tuple of int
            Height and width of the images, or one number for both.
        training : bool, optional
            Whether a whole search or training step is planned, or passes without gradients.

        Returns
        -------
        dict of str to int
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
        """Return the logits of images.

        Parameters
        ----------
        x : array_like
            Images (N, C, H, W).
        training : bool, optional
            Whether to normalise by batch or by running statistics.

        Returns
        -------
        ndarray
            Shape (N, classes).
        """
        result: Array = self._engine.logits(self._images("x", x), training)
        return result

    def loss_and_grads(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        wrt: str | Iterable[str] = ("weights", "alphas"),
        drop_masks: ArrayLike | None = None,
    ) -> tuple[float, dict[str, dict[str, Array]]]:
        """Return the mean cross-entropy with batch statistics, and its gradients.

        The running statistics are left as they are.

        Parameters
        ----------
        x : array_like
            Images (N, C, H, W).
        y : array_like
            Integer labels (N,) in 0..classes-1.
        wrt : str or iterable of str, optional
            With respect to which of ``"weights"`` and ``"alphas"`` to differentiate.
        drop_masks : array_like, optional
            Factors (num_droppable, N) of drop path, 0 or 1/keep.

        Returns
        -------
        loss : float
        gradients : dict
            For each of `wrt`, the gradients by name.
        """
        wanted = wanted_gradients(wrt)
        loss, _, weights, alphas = self._engine.evaluate(
            *self._batch(("x", "y"), x, y),
            "weights" in wanted,
            "alphas" in wanted,
            self._drop_masks(drop_masks),
        )
        return float(loss), self._gradients(wanted, weights, alphas)

    def weight_step_arguments(
        self,
        x: ArrayLike,
        y: ArrayLike,
        lr: float,
        hidden: ArrayLike | None,
        drop_masks: ArrayLike | None,
    ) -> tuple[Any, ...]:
        return *self._batch(("x", "y"), x, y, hidden), lr, self._drop_masks(drop_masks)

    def recurrent_arguments(self, **options: Any) -> tuple[Any, ...]:
        for name, value in options.items():
            if value is not None and value != 0:
                raise ArgumentError(name, f"(={show(value)}) is for recurrent networks")
        return ()

    def _batch(
        self, names: tuple[str, str], x: ArrayLike, y: ArrayLike, hidden: ArrayLike | None = None
    ) -> tuple[Any, ...]:
        if hidden is not None:
            raise ArgumentTypeError("hidden", "is for recurrent networks")
        images = self._images(names[0], x)
        return images, self._labels(names[1], y, len(images))

    def _drop_masks(self, masks: ArrayLike | None) -> Array | None:
        return None if masks is None else np.asarray(masks, dtype=self.dtype)

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


class Supernet(ImageNetwork, BaseSupernet[Genotype]):
    """The cell supernet: every edge is a softmax-weighted mixture of all candidate operations.

    The output of edge (j, i) is ``sum_k softmax(alpha_edge)_k * op_k(x_j)``, and node i sums its
    edges. The cells at one and two thirds of the depth halve the image and double the channels.
    Liu, Simonyan, Yang, *DARTS*, https://arxiv.org/abs/1806.09055.

    Parameters
    ----------
    channels : int, optional
        Channels C of the first cells.
    cells : int, optional
        Number of cells.
    classes : int, optional
    in_channels : int, optional
        Channels of the images.
    dtype : dtype, optional
        float32 for work, float64 for verification.
    seed : int, optional
        Of the initial weights and architecture parameters.
    threads : int, optional
        Threads to use; by default all. Results are the same to the bit for any number of threads.
    memory : {"store", "recompute"}, optional
        Whether to store all activations or, with rematerialisation, only the states (nodes and
        inputs of cells): a fraction of the memory for 20 to 40 % more time, with the same results.
    """

    space = DARTS
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
        arguments = (json.dumps("darts"), *sizes, "cifar", _rematerialise(memory))
        super().__init__("supernet", arguments, dtype, seed, threads)


class Network(ImageNetwork):
    """The network derived from a genotype: one operation per edge, affine batch normalisation.

    Parameters
    ----------
    genotype : Genotype
        The two cells.
    channels, cells, classes, in_channels : int, optional
        As in `Supernet`.
    auxiliary : bool, optional
        Whether to add the auxiliary head behind cell ``2 * cells // 3``; the loss then includes it.
    auxiliary_weight : float, optional
        Weight of the auxiliary head's loss.
    dtype, seed, threads, memory : optional
        As in `Supernet`.
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
        DARTS.require("genotype", genotype)
        arguments = (
            genotype.to_json(),
            *checked_sizes(channels, cells, classes, in_channels),
            "cifar",
            bool(auxiliary),
            number("auxiliary_weight", auxiliary_weight),
            _rematerialise(memory),
        )
        super().__init__("derived", arguments, dtype, seed, threads)
        self.genotype = genotype

    @property
    def num_droppable(self) -> int:
        """Number of operands that drop path may drop: all but identities, cell by cell."""
        return int(self._engine.droppables)


class MixedOperation(ImageNetwork):
    """One mixed operation by itself: ``y = sum_k softmax(alpha)_k * op_k(x)``.

    It normalises by batch statistics.

    Parameters
    ----------
    channels : int
        Channels of input and output.
    stride : {1, 2}, optional
    operations : iterable of str, optional
        Names of the candidates; by default all eight.
    dtype, seed, threads : optional
        As in `Supernet`.
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
            json.dumps(list(operations)),
            integer("channels", channels, 1),
            integer("stride", stride, 1),
            2,
        )
        super().__init__("mixed_operation", arguments, dtype, seed, threads)

    def forward(self, x: ArrayLike) -> Array:
        """Return the output (N, C, H', W') for ``x`` (N, C, H, W)."""
        result: Array = self._engine.forward(self._images("x", x))
        return result

    def backward(self, x: ArrayLike, d_output: ArrayLike) -> SimpleNamespace:
        """Return the gradients of ``sum(d_output * forward(x))``.

        Parameters
        ----------
        x, d_output : array_like
            Arrays of the shapes of input and output.

        Returns
        -------
        SimpleNamespace
            ``x``, ``weights`` (by name) and ``alphas``.
        """
        dx, weights, alphas = self._engine.backward(
            self._images("x", x), self._images("d_output", d_output)
        )
        return SimpleNamespace(
            x=dx, weights=self.split_weights(weights), alphas=self.split_alphas(alphas)["mixed"]
        )


def checked_sizes(
    channels: int, cells: int, classes: int, in_channels: int
) -> tuple[int, int, int, int]:
    """Return the sizes of a network over images, or raise an error that names a bad one."""
    return (
        integer("channels", channels, 1),
        integer("cells", cells, 1),
        integer("classes", classes, 2),
        integer("in_channels", in_channels, 1),
    )


def _rematerialise(memory: str) -> bool:
    return choice("memory", memory, ("store", "recompute")) == "recompute"
