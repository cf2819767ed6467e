# SPDX-License-Identifier: MIT
"""A trained network that takes images and gives labels or numbers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sized
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pydarts import _core
from pydarts.common import extensions
from pydarts.common.checks import integer
from pydarts.common.errors import ArgumentError
from pydarts.common.files import read_described
from pydarts.common.ranks import as_ranks, shared
from pydarts.data.images import as_images, check_consistent
from pydarts.data.labels import Labels
from pydarts.data.normalization import Normalization
from pydarts.data.preprocessing import NO_PREPROCESSING, Preprocessing, as_preprocessing
from pydarts.engine.convolutional import Network
from pydarts.models.files import find_model, load_weights, read_weights
from pydarts.models.objectives import Classification, Objective, read_objective
from pydarts.models.scores import ClassificationScores, LabelScores, RegressionScores
from pydarts.models.trained_model import TrainedModel
from pydarts.spaces.darts import Genotype
from pydarts.training.config import TrainConfig
from pydarts.training.plan import Plan
from pydarts.training.result import SearchResult


class Model(TrainedModel):
    """A trained network that takes images and gives labels or numbers.

    Attributes
    ----------
    network : Network
        The trained network.
    normalization : Normalization
    objective : Objective
        What it tells: the task with its labels, or the scale of its numbers.
    image_size : tuple of (int, int)
        Height and width of the training images; other sizes work as well. The height is 1 where
        the model takes signals.
    image_layout : {"NCHW", "NHWC"} or None
    preprocessing : Preprocessing
        What `logits`, `predict` and the like make of what they are given. The network, an exported
        one and the C API take what ``preprocessing.apply`` returns.
    config : TrainConfig
    search : SearchResult or None
        Of `pydarts.fit`, the search that found the cell, if one did; not saved.
    plan : Plan or None
        Of `pydarts.fit`, how it spent its time; not saved.
    history, interrupted, stopped, seconds
        As in `TrainedModel`.
    """

    FORMAT = "pydarts-model"

    network: Network

    def __init__(
        self,
        network: Network,
        normalization: Normalization,
        objective: Objective,
        image_size: Iterable[int],
        config: TrainConfig,
        *,
        image_layout: str | None = None,
        preprocessing: Preprocessing | None = None,
    ):
        super().__init__(network, config)
        self.normalization = normalization
        self.objective = objective
        self.image_size = tuple(image_size)
        self.image_layout = image_layout
        self.preprocessing = as_preprocessing(preprocessing)
        self.search: SearchResult[Any] | None = None
        self.plan: Plan | None = None

    @property
    def file_version(self) -> int:
        # What an earlier version could read is written as it would have written it.
        return 1 if self.task == "multiclass" else 2

    @property
    def genotype(self) -> Genotype:
        """The cells of the network."""
        return self.network.genotype

    @property
    def task(self) -> str:
        """``"multiclass"``, ``"multilabel"`` or ``"regression"``."""
        return self.objective.task

    @property
    def labels(self) -> Labels:
        """The labels of a model of one class of several."""
        if not isinstance(self.objective, Classification):
            raise AttributeError(f"a model of task={self.task!r} has no `labels`: see `classes`")
        return self.objective.targets

    @property
    def classes(self) -> tuple[Any, ...]:
        """The labels, in the order of the columns of `predict_proba`; the names of numbers."""
        return self.objective.targets.classes

    def normalized(self, X: ArrayLike) -> NDArray[Any]:
        """Return images, or what is to be preprocessed, as the network takes them."""
        prepared, dimensions = self.preprocessing.apply(X), self.space.dimensions
        images = as_images(prepared, image_layout=self.image_layout, dimensions=dimensions)
        given, wanted = images.shape[1], self.network.in_channels
        if given != wanted:
            problem = f"holds images of {given} channel(s), but the model takes {wanted}"
            raise ArgumentError("X", problem)
        normalized: NDArray[Any] = self.normalization.apply(images)
        return normalized

    def logits(self, X: ArrayLike, *, batch_size: int = 256) -> NDArray[np.float32]:
        """Return the logits (N, classes) of images, in any form that `pydarts.train` takes; in a
        regression the scaled numbers.
        """
        size = integer("batch_size", batch_size, 1)
        x = self.normalized(X)
        parts = [
            self.network.logits(x[start : start + size], training=False)
            for start in range(0, len(x), size)
        ]
        return np.concatenate(parts)

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the probabilities (N, classes) of images: of one class each, which sum to 1; of
        several labels those of each.

        Raises
        ------
        TypeError
            If the model predicts numbers.
        """
        if self.task == "regression":  # before anything is computed
            return self.objective.probabilities(np.empty(0))
        return self.objective.probabilities(self.logits(X))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the most likely label of each image; of several labels, as a matrix (N, labels) of
        0 and 1, those with a probability of more than 1/2; or numbers, in the targets' units.
        """
        return self.objective.predictions(self.logits(X))

    def score(self, X: ArrayLike, y: Iterable[Any]) -> float:
        """Return the accuracy, the share of correct predictions; of several labels the mean average
        precision; of numbers R².
        """
        scores = self.evaluate(X, y)
        metric = "accuracy" if self.task == "multiclass" else self.objective.metric.key
        return float(getattr(scores, metric))

    @shared
    def evaluate(
        self, X: ArrayLike, y: Iterable[Any], *, comm: Any = None
    ) -> ClassificationScores | LabelScores | RegressionScores:
        """Compare predictions with labels.

        Parameters
        ----------
        X : array-like
            Images, as `pydarts.train` takes them.
        y : iterable
            Their labels, or numbers.
        comm : mpi4py.MPI.Comm, optional
            Processes that compute it together: all of them call this with the same arguments.

        Returns
        -------
        ClassificationScores, LabelScores or RegressionScores
            Accuracy, balanced accuracy, precision and recall of each class, and the confusion
            matrix. Of several labels average precision and F1; of numbers R² and errors.

        Raises
        ------
        ValueError
            If images or labels are unusable, or a label is unknown to the model.
        """
        labels = y if isinstance(y, Sized) else list(y)
        with self.network.shared_by(as_ranks(comm)):
            logits = self.logits(X)
        check_consistent(logits, labels)
        scores: ClassificationScores | LabelScores | RegressionScores
        scores = self.objective.scores(logits, self.objective.targets.encode(labels))
        return scores

    def to_c(
        self,
        path: str | os.PathLike[str],
        name: str = "model",
        int8: bool = False,
        calibration: Any = None,
        *,
        test: Any = None,
        overwrite: bool = False,
    ) -> Any:
        """Write the network as one C99 file, for images of the size of `image_size`.

        It includes ``math.h``, ``stddef.h``, ``stdint.h`` and ``string.h`` alone, allocates
        nothing, and is C++ as well. Of images, raw as `predict` takes them, channels first, it
        has ::

            void NAME_predict(const float *image, float *logits);
            void NAME_predict_u8(const uint8_t *image, float *logits);

        and where the model takes sounds, with a log-mel front end or without, in place of the
        second one ``void NAME_predict_i16(const int16_t *audio, float *logits)``: of `length`
        samples, that of the model's `Preprocessing`.

        With `int8`, weights are integers of 8 bits with a scale for each output channel,
        activations with a scale and a zero for each buffer, and sums have 32 bits. From the
        normalised image to the logits there is integer arithmetic alone, so that all processors
        give the same bits. A spectrogram is computed in float before.

        Parameters
        ----------
        path : path
        name : str
            With which the functions' names begin.
        int8 : bool
            Whether the network is quantised after its training.
        calibration : array-like, or tuple of (array-like, array-like)
            Images, or images and labels, whose smallest and largest activations become the ranges
            of 8 bits. A few hundred of the training images will do.
        test : tuple of (array-like, array-like), or array-like, optional
            Images, best with labels, on which float and int8 are compared; by default those of
            `calibration`.
        overwrite : bool
            Whether to replace a file that exists.

        Returns
        -------
        CFile
            Bytes of constants and of static memory, multiply-adds, and of int8 the accuracy that
            is lost.

        Raises
        ------
        FileExistsError
            If there is such a file already and ``overwrite`` is not set.
        ValueError
            If `name` is no identifier of C, `calibration` is missing or holds other images.
        """
        return extensions.call(
            "Model.to_c", self, path, name, int8, calibration, test=test, overwrite=overwrite
        )

    def description(self) -> dict[str, Any]:
        done = self.preprocessing != NO_PREPROCESSING
        return {
            "in_channels": self.network.in_channels,
            **self.objective.description(),
            "normalization": self.normalization.to_dict(),
            "image_size": list(self.image_size),
            "image_layout": self.image_layout,
            **({"preprocessing": self.preprocessing.to_dict()} if done else {}),
        }

    @classmethod
    def load(cls, folder: str | os.PathLike[str], *, threads: int | None = None) -> Model:
        """Read what `save` wrote.

        Parameters
        ----------
        folder : path
        threads : int, optional
            Threads to use; by default all.

        Raises
        ------
        FileNotFoundError
            If one of the two files is missing.
        ValueError
            If a file is damaged or does not fit the other one; names the file.
        """
        path, weights = find_model(folder)
        with read_described(path, cls.FORMAT, (1, 2)) as d:
            config = TrainConfig.from_dict(d["config"])
            genotype = Genotype.from_json(json.dumps(d["genotype"]))
            objective = read_objective(d)
            normalization = Normalization.from_dict(d["normalization"])
            size = tuple(_count("image_size", value, 2**26) for value in d["image_size"])
            preprocessing = Preprocessing.from_dict(d.get("preprocessing", {"kind": "none"}))
            layout, history = d["image_layout"], list(d["history"])
            if len(size) != 2 or layout not in (None, "NCHW", "NHWC"):
                raise ValueError(
                    f"image_size {size} and image_layout {layout!r} describe no images"
                )
            in_channels = _count("in_channels", d["in_channels"])
            if len(normalization.mean) != in_channels:
                raise ValueError(f"{in_channels} channels but {len(normalization.mean)} means")
            sizes = (config.channels, config.cells, objective.outputs, in_channels)
            minimum = 4 * _core.derived_num_weights(
                genotype.to_json(), *sizes, config.stem, config.auxiliary, objective.loss
            )
        state = read_weights(weights, minimum)
        net = Network(
            genotype,
            *sizes,
            auxiliary=config.auxiliary,
            auxiliary_weight=config.auxiliary_weight,
            threads=threads,
            stem=config.stem,
            **objective.network_options,
        )
        load_weights(net, state, weights, path)
        model = cls(
            net,
            normalization,
            objective,
            size,
            config,
            image_layout=layout,
            preprocessing=preprocessing,
        )
        model.history = history
        return model

    def __repr__(self) -> str:
        c = self.config
        text = f"Model with {self.num_weights:,} weights ({c.channels} channels, {c.cells} cells, "
        kind = {"multiclass": "classes", "multilabel": "labels", "regression": "number(s)"}
        text += f"{self.objective.outputs} {kind[self.task]}),"
        text += f" trained for {len(self.history)} of {c.epochs} epochs"
        if self.history:
            last, right = self.history[-1], self.objective.train_metric
            text += f"\n  training: loss {last['train_loss']:.4f}"
            if right is not None:
                name = right.removeprefix("train_").replace("_", " ")
                text += f", {name} {last[right]:.2%}"
        return text


def _count(name: str, value: object, below: int = 2**16) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < below:
        raise ValueError(f"{name} holds {value!r}")
    return value
