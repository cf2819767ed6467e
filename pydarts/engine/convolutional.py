# SPDX-License-Identifier: MIT
"""The engine's networks over images: supernet, derived network and mixed operation."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from pydarts.common.checks import choice, integer, number, show
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.engine.losses import (
    Truth,
    Weighted,
    checked_loss,
    checked_outputs,
    checked_targets,
    checked_weights,
)
from pydarts.engine.network import (
    Array,
    BaseSupernet,
    EngineNetwork,
    MixingGradient,
    StepDefaults,
    wanted_gradients,
)
from pydarts.spaces.darts import OPERATIONS, Genotype
from pydarts.spaces.genotype import require_kind
from pydarts.spaces.operation import Operation
from pydarts.spaces.ready import as_space
from pydarts.spaces.space import Space


class ImageNetwork(EngineNetwork):
    """What the networks over images share: logits, loss and gradients."""

    weight_step = "WeightStep"
    bilevel_step = "BilevelStep"
    bilevel_gradient = "arch_gradient"

    space: Space
    #: What the outputs are compared with: one of `pydarts.engine.losses.LOSSES`.
    loss_function: str = "cross-entropy"

    @property
    def dimensions(self) -> int:
        """2 for images, 1 for signals."""
        return self.space.dimensions

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
            Height and width of the images, or one number for both; of signals the length.
        training : bool, optional
            Whether a whole search or training step is planned, or passes without gradients.

        Returns
        -------
        dict of str to int
            ``activations``, ``scratch`` (of the kernels), ``weights`` (with gradient, optimiser and
            the vectors of the second order) and their sum ``total``.
        """
        side = 1 if self.dimensions == 1 else image_size
        height, width = (side, image_size) if isinstance(image_size, int) else image_size
        activations, scratch = self._engine.memory(
            integer("batch_size", batch_size, 1),
            integer("image_size", height, 1),
            integer("image_size", width, 1),
            training,
        )
        return self._plan(training, activations=activations, scratch=scratch)

    def logits(
        self,
        x: ArrayLike,
        *,
        training: bool = True,
        mixing: Mapping[str, ArrayLike] | None = None,
        active: Mapping[str, ArrayLike] | None = None,
    ) -> Array:
        """Return the logits of images.

        Parameters
        ----------
        x : array_like
            Images (N, C, H, W).
        training : bool, optional
            Whether to normalise by batch or by running statistics.
        mixing, active : mapping of str to array_like, optional
            As in `loss_and_grads`.

        Returns
        -------
        ndarray
            Shape (N, classes).

        Raises
        ------
        ValueError
            If an argument cannot be used; names it.
        """
        result: Array = self._engine.logits(
            self._images("x", x), training, *self._mixture(mixing, active)
        )
        return result

    def loss(
        self,
        x: ArrayLike,
        y: Truth,
        *,
        mixing: Mapping[str, ArrayLike] | None = None,
        active: Mapping[str, ArrayLike] | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> tuple[float, int]:
        """Return the mean loss with batch statistics, without any gradient.

        This is a forward pass, and takes its time and memory. The running statistics are left as
        they are.

        Parameters
        ----------
        x : array_like
            Images (N, C, H, W).
        y : array_like
            As in `loss_and_grads`.
        mixing, active, sample_weight : optional
            As in `loss_and_grads`.

        Returns
        -------
        loss : float
        correct : int
            Number of images whose largest logit is that of their label, or of the largest entry of
            their distribution; of ``"sigmoid"`` those with every label right; of numbers 0.

        Raises
        ------
        ValueError
            If an argument cannot be used; names it.
        """
        loss, correct, _, _ = self._engine.evaluate(
            *self._batch(("x", "y"), x, _weighted(y, sample_weight)),
            False,
            False,
            None,
            *self._mixture(mixing, active),
        )
        return float(loss), int(correct)

    def loss_and_grads(
        self,
        x: ArrayLike,
        y: Truth,
        *,
        wrt: str | Iterable[str] = ("weights", "alphas"),
        drop_masks: ArrayLike | None = None,
        mixing: Mapping[str, ArrayLike] | None = None,
        active: Mapping[str, ArrayLike] | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> tuple[float, dict[str, dict[str, Array]]]:
        """Return the mean loss with batch statistics, and its gradients.

        With targets ``t`` and logits ``z`` the cross-entropy is ``-mean_n sum_k t_nk
        log softmax(z_n)_k``; a label is a distribution with all its mass on one class. The other
        losses are means over outputs, too: ``"sigmoid"`` of ``log(1 + exp(z_nk)) - t_nk z_nk``,
        ``"mse"`` of ``(z_nk - t_nk)²``, ``"huber"`` of ``e²/2`` where ``e = |z_nk - t_nk|`` is at
        most `huber_delta` d, else ``d (e - d/2)``. Node i of a cell is
        ``sum_e sum_k m_ek op_ek(x_e)`` over its edges e, where ``m_e = softmax(alpha_e)``, or what
        `mixing` says. The running statistics are left as they are.

        Parameters
        ----------
        x : array_like
            Images (N, C, H, W).
        y : array_like
            Integer labels (N,) in 0..classes-1, or floats (N, classes), how much of each class an
            image is: at least 0. They need not sum to 1; those of label smoothing and mixup do.
            Other losses take floats alone: of ``"sigmoid"`` 0 to 1 for each label, else any. Or
            `Weighted`, of either and weights.
        wrt : str or iterable of str, optional
            With respect to which of ``"weights"`` and ``"alphas"`` to differentiate; with `mixing`,
            which of ``"weights"`` and ``"mixing"``.
        drop_masks : array_like, optional
            Factors (num_droppable, N) of drop path, 0 or 1/keep.
        mixing : mapping of str to array_like, optional
            Of a supernet, the weight m of each operation in place of the softmax, for each group of
            `alphas` in its shape. Any finite numbers: nothing normalises them.
        active : mapping of str to array_like, optional
            With `mixing`, whether each operation is active, in the same shapes; by default all are.
            Inactive ones contribute nothing, and are not computed; their gradients are zero. A node
            without active operations is zero.
        sample_weight : array_like, optional
            Weights (N,) of the images, at least 0: the loss is ``sum_n w_n loss_n / sum_n w_n``.

        Returns
        -------
        loss : float
        gradients : dict
            For each of `wrt`, the gradients by name; of ``"mixing"`` by group.

        Raises
        ------
        ValueError
            If an argument cannot be used; names it.
        """
        wanted = wanted_gradients(wrt, mixing)
        loss, _, weights, alphas = self._engine.evaluate(
            *self._batch(("x", "y"), x, _weighted(y, sample_weight)),
            "weights" in wanted,
            "alphas" in wanted or "mixing" in wanted,
            self._drop_masks(drop_masks),
            *self._mixture(mixing, active),
        )
        return float(loss), self._gradients(wanted, weights, alphas)

    def state(self) -> dict[str, Any]:
        draw = {"noise_step": self._engine.noise_step} if self._draws_noise else {}
        return {**super().state(), **draw}

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        if self._draws_noise:
            self._engine.noise_step = state["noise_step"]

    @property
    def _draws_noise(self) -> bool:
        return False

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
        masks, mixture = self._drop_masks(drop_masks), self._mixture(mixing, active)
        return *self._batch(("x", "y"), x, y, hidden), lr, masks, *mixture

    def recurrent_arguments(self, **options: Any) -> tuple[Any, ...]:
        for name, value in options.items():
            if value is not None and value != 0:
                raise ArgumentError(name, f"(={show(value)}) is for recurrent networks")
        return ()

    def _batch(
        self, names: tuple[str, str], x: ArrayLike, y: Truth, hidden: ArrayLike | None = None
    ) -> tuple[Any, ...]:
        if hidden is not None:
            raise ArgumentTypeError("hidden", "is for recurrent networks")
        images = self._images(names[0], x)
        if not isinstance(y, Weighted):
            return images, self._truth(names[1], y, len(images))
        weights = checked_weights("sample_weight", y.weights, len(images), self.dtype)
        return images, (self._truth(names[1], y.targets, len(images)), weights)

    def _truth(self, name: str, y: ArrayLike, count: int) -> Array:
        truth, loss = np.asarray(y), self.loss_function
        if loss == "cross-entropy" and not (truth.ndim == 2 and truth.dtype.kind == "f"):
            return self._labels(name, truth, count)
        if truth.dtype.kind not in "fiub":
            raise ArgumentTypeError(name, f"must hold numbers, not {truth.dtype}")
        return checked_targets(name, truth, (count, self._engine.classes), loss, self.dtype)

    def _mixture(
        self,
        mixing: Mapping[str, ArrayLike] | None,
        active: Mapping[str, ArrayLike] | None,
    ) -> tuple[Array | None, Array | None]:
        """The engine's arguments for a mixture: flat arrays in the order of `flat_alphas`."""
        if mixing is None:
            if active is not None:
                raise ArgumentError("active", "needs `mixing`")
            return None, None
        weights = self._mixing(mixing)
        if active is None:
            return weights, None
        flags = self._checked("active", active, self.alphas, kinds="b")
        return weights, np.concatenate([a.ravel() for a in flags]).astype(np.uint8)

    def _drop_masks(self, masks: ArrayLike | None) -> Array | None:
        return None if masks is None else np.asarray(masks, dtype=self.dtype)

    def _images(self, name: str, x: ArrayLike) -> Array:
        images = np.ascontiguousarray(x, dtype=self.dtype)
        if self.dimensions == 1 and images.ndim == 3:
            images = images[:, :, np.newaxis]
        if images.ndim != 4 or (self.dimensions == 1 and images.shape[2] != 1):
            axes = "4 axes (N, C, H, W)" if self.dimensions == 2 else "3 axes (N, C, L)"
            raise ArgumentError(name, f"must have {axes}, not the shape {images.shape}")
        if images.size == 0:
            raise ArgumentError(name, f"is empty: its shape is {images.shape}")
        if images.shape[1] != self.in_channels:
            raise ArgumentError(
                name, f"has {images.shape[1]} channels; the network takes {self.in_channels}"
            )
        return images

    def _labels(self, name: str, labels: Array, count: int) -> NDArray[np.int32]:
        classes = self._engine.classes
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
    edges. In the space of DARTS the cells at one and two thirds of the depth halve the image and
    double the channels. Liu, Simonyan, Yang, *DARTS*, https://arxiv.org/abs/1806.09055.

    Parameters
    ----------
    channels : int, optional
        Channels C of the first cells.
    cells : int, optional
        Number of cells; of a space that counts by stages, such as NAS-Bench-201, those of a stage.
    classes : int, optional
    in_channels : int, optional
        Channels of the images.
    dtype : dtype, optional
        float32 for work, float64 for verification.
    seed : int, optional
        Of the initial weights and architecture parameters, and of noise.
    threads : int, optional
        Threads to use; by default all. Results are the same to the bit for any number of threads.
    memory : {"store", "recompute"}, optional
        Whether to store all activations or, with rematerialisation, only the states (nodes and
        inputs of cells): a fraction of the memory for 20 to 40 % more time, with the same results.
    space : str, path or Space, optional
        What is searched: the name of a ready space, a JSON file, or a `pydarts.spaces.Space`.
    stem : {"cifar", "imagenet"}, optional
        What the network begins with: a 3x3 convolution, or three of stride 2, two of them before
        what the first cell takes as its older input, which leave an eighth of each side.
    auxiliary_skip : bool, optional
        Whether every edge has one more operand, ``skip_weight`` times its input, or at stride 2 a
        factorized reduce of its own: that of DARTS-, https://arxiv.org/abs/2009.01027.
    partial_channels : int, optional
        Of k: the operations of an edge see the first C/k of its C channels, and the others pass
        them by, at stride 2 through a 2x2 max pool. Each edge has a weight of its own, the softmax
        of a parameter over the edges into its node, which is multiplied with all that it gives, and
        a node's channels are shuffled in k groups: PC-DARTS, https://arxiv.org/abs/1907.05737.
        `alphas` then has, beside each NAME, these parameters as ``NAME.edges``: (nodes, edges),
        where the row of a node with fewer edges has entries without meaning at its end. So has
        `mixing` the weights of edges, and `active` whether what passes by is added. C/k channels
        take the memory and time of the next multiple of eight.
    loss : {"cross-entropy", "sigmoid", "mse", "huber"}, optional
        What the outputs, `classes` in number, are compared with: see `loss_and_grads`.
    huber_delta : float, optional
        Of ``"huber"``.

    Raises
    ------
    ValueError
        If an argument cannot be used, or the engine cannot build the space: names the operation.
    """

    skips_inactive = True
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
        *,
        space: str | os.PathLike[str] | Space = "darts",
        stem: str = "cifar",
        auxiliary_skip: bool = False,
        partial_channels: int = 1,
        loss: str = "cross-entropy",
        huber_delta: float = 1.0,
    ):
        self.space = as_space(space)
        self.auxiliary_skip = bool(auxiliary_skip)
        self.partial_channels = integer("partial_channels", partial_channels, 1)
        how = checked_loss(loss, huber_delta)
        self.loss_function = loss
        sizes = checked_sizes(channels, cells, classes, in_channels, loss)
        if channels % partial_channels:
            problem = f"(={partial_channels}) must divide `channels` (={channels})"
            raise ArgumentError("partial_channels", problem)
        arguments = (
            json.dumps(self.space.reference),
            *sizes,
            _stem(stem),
            self.auxiliary_skip,
            self.partial_channels,
            _rematerialise(memory),
            *how,
        )
        super().__init__("supernet", arguments, dtype, seed, threads)

    @property
    def skip_weight(self) -> float:
        """Coefficient of the auxiliary skips in all passes, 1 at first; without any it is 0.

        It may be set, and has no gradient. At 0 the skips are not computed.
        """
        return float(self._engine.skip_weight) if self.auxiliary_skip else 0.0

    @skip_weight.setter
    def skip_weight(self, weight: float) -> None:
        if not self.auxiliary_skip:
            problem = f"(={show(weight)}) is for supernets with `auxiliary_skip`=True"
            raise ArgumentError("skip_weight", problem)
        self._engine.skip_weight = number("skip_weight", weight)

    def state(self) -> dict[str, Any]:
        skip = {"skip_weight": self.skip_weight} if self.auxiliary_skip else {}
        return {**super().state(), **skip}

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        if self.auxiliary_skip:
            self.skip_weight = state["skip_weight"]

    def mixing_gradient(
        self,
        x: ArrayLike,
        y: Truth,
        mixing: Mapping[str, ArrayLike],
        active: Mapping[str, ArrayLike] | None = None,
        hidden: ArrayLike | None = None,
    ) -> MixingGradient:
        batch = self._batch(("x", "y"), x, y, hidden)
        mixture = self._mixture(mixing, active)
        loss, correct, _, flat = self._engine.evaluate(*batch, False, True, None, *mixture)
        return MixingGradient(float(loss), int(correct), self.split_alphas(flat), None)

    @property
    def _draws_noise(self) -> bool:
        rows = (row for cell in self.space.cells for row in cell.candidates)
        return any(op.is_noise for row in rows for op in row)


class Network(ImageNetwork):
    """The network derived from a genotype: one operation per edge, affine batch normalisation.

    Parameters
    ----------
    genotype : Genotype
        The cells, of any space.
    channels, cells, classes, in_channels : int, optional
        As in `Supernet`.
    auxiliary : bool, optional
        Whether to add the auxiliary head behind the last layer that halves the image (cell
        ``2 * cells // 3`` in the space of DARTS); the loss then includes it.
    auxiliary_weight : float, optional
        Weight of the auxiliary head's loss.
    dtype, seed, threads, memory, stem, loss, huber_delta : optional
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
        *,
        stem: str = "cifar",
        loss: str = "cross-entropy",
        huber_delta: float = 1.0,
    ):
        require_kind("genotype", genotype, Genotype)
        self.space = genotype.space
        how = checked_loss(loss, huber_delta)
        self.loss_function = loss
        arguments = (
            genotype.to_json(),
            *checked_sizes(channels, cells, classes, in_channels, loss),
            _stem(stem),
            bool(auxiliary),
            number("auxiliary_weight", auxiliary_weight),
            _rematerialise(memory),
            *how,
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
    operations : iterable of str or Operation, optional
        The candidates, or names of ready ones; by default the eight of DARTS.
    dtype, seed, threads : optional
        As in `Supernet`.
    dimensions : {1, 2}, optional
        1 for signals, which have a stride along their length alone.
    """

    def __init__(
        self,
        channels: int,
        stride: int = 1,
        operations: Iterable[str | Operation] = OPERATIONS,
        dtype: DTypeLike = "float32",
        seed: int = 0,
        threads: int | None = None,
        *,
        dimensions: int = 2,
    ):
        candidates = [op if isinstance(op, str) else op.to_dict() for op in operations]
        arguments = (
            json.dumps(candidates),
            integer("channels", channels, 1),
            integer("stride", stride, 1),
            integer("dimensions", dimensions, 1, 3),
        )
        self._dimensions = dimensions
        super().__init__("mixed_operation", arguments, dtype, seed, threads)

    @property
    def dimensions(self) -> int:
        return self._dimensions

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
    channels: int, cells: int, classes: int, in_channels: int, loss: str = "cross-entropy"
) -> tuple[int, int, int, int]:
    """Return the sizes of a network over images, or raise an error that names a bad one."""
    return (
        integer("channels", channels, 1),
        integer("cells", cells, 1),
        checked_outputs(classes, loss),
        integer("in_channels", in_channels, 1),
    )


def _weighted(y: Truth, weights: ArrayLike | None) -> ArrayLike | Weighted:
    if weights is None:
        return y
    if isinstance(y, Weighted):
        raise ArgumentError("sample_weight", "is given twice: `y` is `Weighted`")
    return Weighted(y, weights)


def _stem(stem: str) -> str:
    return choice("stem", stem, ("cifar", "imagenet"))


def _rematerialise(memory: str) -> bool:
    return choice("memory", memory, ("store", "recompute")) == "recompute"
