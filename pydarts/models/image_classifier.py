# SPDX-License-Identifier: MIT
"""A trained network that takes images and gives labels, and its two files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pydarts import _core
from pydarts.data.images import Labels, Normalization, as_images, check_consistent
from pydarts.engine.convolutional import Network
from pydarts.models.files import described, find_model, load_weights, read_weights, write_model
from pydarts.spaces.darts import Genotype
from pydarts.training.config import TrainConfig

if TYPE_CHECKING:
    from pydarts.export.pytorch import DerivedNetwork

_FORMAT, _VERSION = "pydarts-model", 1


class Model:
    """A trained network with all that it takes to use it: normalisation, labels, configuration.

    Attributes
    ----------
    network : Network
        The trained network.
    normalization : Normalization
    labels : Labels
    image_size : (height, width) of the training images; other sizes work as well.
    config : TrainConfig
    history : list of dict
        One entry an epoch.
    interrupted : bool
        Whether Ctrl-C ended the training early.
    seconds : float
        That the training took, in all its runs; not saved.
    """

    def __init__(
        self,
        network: Network,
        normalization: Normalization,
        labels: Labels,
        image_size: Iterable[int],
        config: TrainConfig,
        *,
        image_layout: str | None = None,
    ):
        self.network = network
        self.normalization = normalization
        self.labels = labels
        self.image_size = tuple(image_size)
        self.config = config
        self.image_layout = image_layout
        self.history: list[dict[str, Any]] = []
        self.interrupted = False
        self.seconds = 0.0

    @property
    def genotype(self) -> Genotype:
        """The cells of the network."""
        return self.network.genotype

    @property
    def num_weights(self) -> int:
        """Number of trained weights."""
        return self.network.num_weights

    @property
    def classes(self) -> tuple[Any, ...]:
        """The labels, in the order of the columns of `predict_proba`."""
        return self.labels.classes

    def normalized(self, X: ArrayLike) -> NDArray[Any]:
        """The images as the network takes them."""
        return self.normalization.apply(as_images(X, image_layout=self.image_layout))

    def logits(self, X: ArrayLike, *, batch_size: int = 256) -> NDArray[np.float32]:
        """Logits (N, classes) of images in any of the forms that `train` takes."""
        x = self.normalized(X)
        parts = [
            self.network.logits(x[start : start + batch_size], training=False)
            for start in range(0, len(x), batch_size)
        ]
        return np.concatenate(parts)

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Probabilities (N, classes)."""
        logits = self.logits(X).astype(np.float64)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities: NDArray[np.float64] = odds / odds.sum(axis=1, keepdims=True)
        return probabilities

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most likely label of each image."""
        return self.labels.decode(self.logits(X).argmax(axis=1))

    def score(self, X: ArrayLike, y: Iterable[Any]) -> float:
        """Share of the images whose predicted label is theirs."""
        y = y if hasattr(y, "__len__") else list(y)
        predicted = self.logits(X).argmax(axis=1)
        check_consistent(predicted, y)  # type: ignore[arg-type]
        return float((predicted == self.labels.encode(y)).mean())

    def save(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write model.safetensors and model.json into ``folder``, which is made if need be.

        Raises
        ------
        FileExistsError
            If there is a model already and ``overwrite`` is not set.
        ValueError
            If a label is of a kind that JSON cannot hold.
        """
        net = self.network
        description = {
            "format": _FORMAT,
            "version": _VERSION,
            "genotype": json.loads(self.genotype.to_json()),
            "in_channels": net.in_channels,
            "labels": self.labels.to_json(),
            "normalization": self.normalization.to_dict(),
            "image_size": list(self.image_size),
            "image_layout": self.image_layout,
            "config": self.config.to_dict(),
            "history": self.history,
        }
        write_model(folder, description, net, overwrite)

    @classmethod
    def load(cls, folder: str | Path, *, threads: int | None = None) -> Model:
        """Read what `save` wrote.

        Raises
        ------
        FileNotFoundError
            If one of the two files is missing.
        ValueError
            If a file is damaged or does not fit the other one; names the file.
        """
        path, weights = find_model(folder)
        with described(path, _FORMAT, _VERSION) as d:
            options = dict(d["config"])
            config = TrainConfig(options.pop("preset"), **options)
            genotype = Genotype.from_json(json.dumps(d["genotype"]))
            labels = Labels.from_json(d["labels"])
            normalization = Normalization.from_dict(d["normalization"])
            size = tuple(_count("image_size", value) for value in d["image_size"])
            layout, history = d["image_layout"], list(d["history"])
            if len(size) != 2 or layout not in (None, "NCHW", "NHWC"):
                raise ValueError(
                    f"image_size {size} and image_layout {layout!r} describe no images"
                )
            in_channels = _count("in_channels", d["in_channels"])
            if len(normalization.mean) != in_channels:
                raise ValueError(f"{in_channels} channels but {len(normalization.mean)} means")
            sizes = (config.channels, config.cells, len(labels), in_channels)
            least = 4 * _num_weights(sizes, genotype, config)
        state = read_weights(weights, least)
        net = Network(
            genotype,
            *sizes,
            auxiliary=config.auxiliary,
            auxiliary_weight=config.auxiliary_weight,
            threads=threads,
        )
        load_weights(net, state, weights, path)
        model = cls(net, normalization, labels, size, config, image_layout=layout)
        model.history = history
        return model

    def to_torch(self) -> DerivedNetwork:
        """The network as a ``torch.nn.Module`` that gives the same logits; its state loads back.

        It is in evaluation mode, contains the normalisation and takes images as `predict` does, but
        in the shape (N, C, H, W).

        Raises
        ------
        ImportError
            If PyTorch is not installed.
        """
        from pydarts.export.pytorch import image_module

        return image_module(self)

    def to_onnx(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the network, with its normalisation, as an ONNX file of opset 17.

        Its input ``images`` (N, C, H, W) takes float32 images as `predict` does, any number and
        size of them; its output is ``logits`` (N, classes). The auxiliary head is left out. The
        file's metadata hold ``classes``, the labels in their order, and the genotype.

        Raises
        ------
        ImportError
            If onnx is not installed.
        FileExistsError
            If there is such a file already and ``overwrite`` is not set.
        """
        from pydarts.export.onnx_graph import image_graph, write

        write(path, image_graph(self), overwrite)

    def __repr__(self) -> str:
        c = self.config
        text = f"Model with {self.num_weights:,} weights ({c.channels} channels, {c.cells} cells, "
        text += f"{len(self.labels)} classes), trained for {len(self.history)} of {c.epochs} epochs"
        if self.history:
            last = self.history[-1]
            loss, accuracy = last["train_loss"], last["train_accuracy"]
            text += f"\n  training: loss {loss:.4f}, accuracy {accuracy:.2%}"
        return text


def _count(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 2**16:
        raise ValueError(f"{name} holds {value!r}")
    return value


def _num_weights(sizes: tuple[int, int, int, int], genotype: Genotype, config: TrainConfig) -> int:
    g = genotype
    cells = (list(g.normal), list(g.normal_concat), list(g.reduce), list(g.reduce_concat))
    return _core.derived_num_weights(*sizes, *cells, config.auxiliary)
