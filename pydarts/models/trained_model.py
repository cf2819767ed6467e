# SPDX-License-Identifier: MIT
"""What trained models share: network, configuration, history, files, exports."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from pydarts.common import extensions
from pydarts.models.files import write_model
from pydarts.spaces.genotype import BaseGenotype
from pydarts.spaces.space import Space


class TrainedModel(ABC):
    """A network with all that it takes to use it.

    Attributes
    ----------
    network : EngineNetwork
    config : Config
    history : list of dict
        One entry an epoch of the training.
    interrupted : bool
        Whether Ctrl-C ended the training early.
    stopped : str or None
        Why a callback or the time budget ended the training early, if one did.
    seconds : float
        That the training took, in all its runs; not saved.
    """

    FORMAT: ClassVar[str]
    VERSION: ClassVar[int] = 1

    network: Any

    def __init__(self, network: Any, config: Any):
        self.network, self.config = network, config
        self.history: list[dict[str, Any]] = []
        self.interrupted = False
        self.stopped: str | None = None
        self.seconds = 0.0

    @property
    @abstractmethod
    def genotype(self) -> BaseGenotype:
        """The cells of the network."""

    @property
    def space(self) -> Space:
        """The space of the genotype."""
        return self.genotype.space

    @property
    def num_weights(self) -> int:
        """Number of trained weights."""
        return int(self.network.num_weights)

    @property
    def file_version(self) -> int:
        """Of model.json."""
        return self.VERSION

    @abstractmethod
    def description(self) -> dict[str, Any]:
        """What model.json holds beside format, version, genotype, configuration and history."""

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write model.safetensors and model.json into ``folder``, which is made if need be.

        Parameters
        ----------
        folder : path
        overwrite : bool
            Whether to replace a model that is there.

        Raises
        ------
        FileExistsError
            If there is a model already and ``overwrite`` is not set.
        ValueError
            If a label is of a kind that JSON cannot hold.
        """
        content = {
            "format": self.FORMAT,
            "version": self.file_version,
            "genotype": json.loads(self.genotype.to_json()),
            **self.description(),
            "config": self.config.to_dict(),
            "history": self.history,
        }
        write_model(folder, content, self.network, overwrite)

    def to_torch(self) -> Any:
        """Return the network as a ``torch.nn.Module`` in evaluation mode; its state loads back.

        Returns
        -------
        torch.nn.Module
            Of images: contains the normalisation, and takes (N, C, H, W) to logits; it does not
            contain a model's `Preprocessing`, whose results it takes. A regression's output is in
            the units of the targets. Of text: takes
            tokens (T, B) and state (B, H) to logits and state.

        Raises
        ------
        ImportError
            If PyTorch is not installed.
        """
        return extensions.call(f"{type(self).__name__}.to_torch", self)

    def to_onnx(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the network as an ONNX file of opset 17.

        Of images: the input ``images`` (N, C, H, W) takes float32 images as `predict` does, any
        number and size of them; the output is ``logits`` (N, classes). The auxiliary head is left
        out, and of a regression the output is ``predictions`` (N, outputs), in the units of the
        targets. Several labels have logits, too: their probabilities are ``1 / (1 + exp(-z))``. A
        model's `Preprocessing` is left out, too: the input is what ``model.preprocessing.apply(X)``
        returns, in four axes: a spectrogram is (N, 1, n_mels, frames), or of a one-dimensional
        space (N, n_mels, 1, frames); a signal is (N, C, 1, L). The file's metadata hold
        ``classes``, the labels in their order, ``task`` and the genotype.

        Of text: the inputs are ``tokens`` (T, B), int64, and ``hidden`` (B, H), the state before
        them, zero at a text's start; the outputs are ``logits`` (T, B, V) of what follows each
        token, and ``last_hidden`` (B, H). T and B are free. The metadata hold ``tokens``, the
        vocabulary in its order, and the genotype.

        Parameters
        ----------
        path : path
        overwrite : bool
            Whether to replace a file that exists.

        Raises
        ------
        ImportError
            If onnx is not installed.
        FileExistsError
            If there is such a file already and ``overwrite`` is not set.
        """
        extensions.call(f"{type(self).__name__}.to_onnx", self, path, overwrite=overwrite)
