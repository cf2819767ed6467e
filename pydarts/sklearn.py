# SPDX-License-Identifier: MIT
"""Search and training as a scikit-learn classifier."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        "pydarts.sklearn needs scikit-learn 1.6 or later: pip install 'pydarts-nas[sklearn]'"
    ) from error

from pydarts.api.fitting import fit
from pydarts.api.searching import search
from pydarts.api.training import train
from pydarts.common.checks import integer
from pydarts.common.errors import ArgumentError
from pydarts.common.files import read_described
from pydarts.data.images import MIN_SIZE, as_images
from pydarts.models.image_model import Model
from pydarts.spaces.darts import Genotype
from pydarts.spaces.genotype import BaseGenotype
from pydarts.spaces.published import parse_genotype
from pydarts.spaces.ready import as_space
from pydarts.spaces.space import Space
from pydarts.training.config import SearchConfig, TrainConfig
from pydarts.training.config_base import Config, current_names

Self = TypeVar("Self", bound="DartsClassifier")

_FORMAT, _VERSION, _FILE = "pydarts-classifier", 2, "classifier.json"
# Defaults for rows that may be no images. What stands beside what says little in them: shifting it
# would harm, and a long search find nothing.
_ROWS_TRAIN = {"crop_padding": 0, "flip": False, "cutout": 0}
_ROWS_SEARCH = {**_ROWS_TRAIN, "epochs": 5}
# Said by `random_state`, and of no use without validation data.
_NOT_PARAMETERS = ("seed", "restore_best_weights")


@dataclass(eq=False, repr=False, kw_only=True)
class DartsClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Finds a cell for the training data, then trains a network made of it.

    Rows of features are brought into the form of images: that of ``image_shape``, or else, features
    in reading order, the smallest square that holds them. What is missing to the square, or to the
    minimum of 4x4 pixels, is filled with zeros at the end of rows and columns.
    Pixels are normalised together, so features of different kinds should be scaled before, as by
    `sklearn.preprocessing.StandardScaler`.

    Parameters
    ----------
    preset : {"quick", "standard", "paper"}
        Of search and training.
    time_budget : float or str, optional
        Seconds, or a string such as ``"5min"``, for all of `fit`: sizes, epochs, and whether a cell
        is searched, are then chosen by `pydarts.fit`, and neither ``preset`` nor options of the
        search are used. What that made of the time is in ``model_.plan``.
    space : str, path or Space, optional
        What is searched, as in `pydarts.search`; of images, not of signals.
    method : str
        How α is learned, as in `pydarts.search`: a name.
    selector : str, optional
        What chooses the cell, as in `pydarts.search`: a name.
    genotype : Genotype, optional
        A cell to train instead of searching one.
    image_shape : tuple of int, optional
        (H, W) or (C, H, W): the form of the images whose pixels are the rows of ``X``. By default
        see above; or ``X`` holds images as `pydarts.search` takes them.
    image_layout : {"NCHW", "NHWC"}, optional
        Where the channels are, if the shape of images in ``X`` leaves it open.
    random_state : int or RandomState, optional
    threads : int, optional
        Threads to use; by default all. The result does not depend on it.
    verbose : bool
        Whether to show progress on standard error.
    search_channels, search_cells, ... : optional
        The fields of `pydarts.SearchConfig` that are named by the rest.
    channels, cells, ... : optional
        Fields of `pydarts.TrainConfig`. By default, as for the search, the preset's value; but a
        batch is never larger than what there is, and rows without ``image_shape`` are searched for
        5 epochs and not augmented.

    Attributes
    ----------
    classes_ : ndarray
        The labels, in the order of the columns of `predict_proba`.
    genotype_ : Genotype
    model_ : Model
    image_shape_ : tuple of (int, int, int)
        The form (C, H, W) into which rows of pixels are brought.
    n_features_in_ : int
        Of images, the number of their pixels, times channels.
    feature_names_in_ : ndarray of str
        Where ``X`` had names.
    """

    preset: str = "quick"
    time_budget: float | str | None = None
    space: Any = "darts"
    method: str = "darts"
    selector: str | None = None
    genotype: Genotype | None = None
    image_shape: Sequence[int] | None = None
    image_layout: str | None = None
    random_state: Any = None
    threads: int | None = None
    verbose: bool = False

    search_channels: int | None = None
    search_cells: int | None = None
    search_epochs: int | None = None
    search_batch_size: int | None = None
    search_order: int | None = None
    search_lr: float | None = None
    search_lr_min: float | None = None
    search_momentum: float | None = None
    search_weight_decay: float | None = None
    search_max_grad_norm: float | None = None
    search_alpha_lr: float | None = None
    search_alpha_betas: tuple[float, float] | None = None
    search_alpha_weight_decay: float | None = None
    search_epsilon: float | None = None
    search_hvp: str | None = None
    search_reuse_gradient: bool | None = None
    search_stem: str | None = None
    search_memory: str | None = None
    search_train_fraction: float | None = None
    search_max_images: int | None = None
    search_crop_padding: int | None = None
    search_flip: bool | None = None
    search_cutout: int | None = None

    channels: int | None = None
    cells: int | None = None
    epochs: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    momentum: float | None = None
    weight_decay: float | None = None
    max_grad_norm: float | None = None
    schedule: str | None = None
    warmup: float | None = None
    label_smoothing: float | None = None
    weight_average: float | None = None
    drop_path: float | None = None
    auxiliary: bool | None = None
    auxiliary_weight: float | None = None
    crop_padding: int | None = None
    flip: bool | None = None
    cutout: int | None = None
    stem: str | None = None
    memory: str | None = None

    def fit(self: Self, X: ArrayLike, y: ArrayLike) -> Self:
        """Search a cell, unless ``genotype`` is one, and train the network.

        Parameters
        ----------
        X : array-like
            (N, features) numbers, or images as `pydarts.search` takes them.
        y : array-like
            (N,) labels, of each class at least two.

        Raises
        ------
        ValueError, TypeError
            For unusable data or parameters.
        KeyboardInterrupt
            On Ctrl-C. There is no model then, but after a search ``genotype_``, as far as it got.
        Diverged
            When a loss or gradient is not finite.
        """
        self.__dict__.pop("model_", None)  # of an earlier fit, which may be of other features
        rows, shape = self._rows(X)
        rows, labels = validate_data(self, rows, y, ensure_min_samples=2)
        check_classification_targets(labels)
        known = self.image_shape if shape is None else shape
        self.image_shape_ = _image_shape(known, self.n_features_in_)
        images = self._images(rows)
        seeds = check_random_state(self.random_state).randint(2**31 - 1, size=2).tolist()
        if self.time_budget is not None:
            model = self._fit_in_time(images, labels, seeds[0], known is None)
            if model.interrupted:
                raise KeyboardInterrupt
            self._keep(model)
            return self
        common: dict[str, Any] = {
            "preset": self.preset,
            "image_layout": "NCHW",
            "threads": self.threads,
            "progress": bool(self.verbose),
        }
        genotype = self.genotype
        if genotype is None:
            options = self._options(SearchConfig, "search_", _ROWS_SEARCH if known is None else {})
            config = SearchConfig.make(self.preset, options)
            share = min(config.train_fraction, 1 - config.train_fraction)
            count = min(len(images), config.max_images or len(images))
            # Each class may have one image less than its share in the smaller part.
            options.setdefault(
                "batch_size",
                _at_most(config.batch_size, int(share * count) - len(np.unique(labels))),
            )
            how: dict[str, Any] = {
                "space": self._image_space(),
                "method": self.method,
                "selector": self.selector,
            }
            result = search(images, labels, seed=seeds[0], **how, **common, **options)
            genotype = self.genotype_ = result.genotype
            if result.interrupted:
                raise KeyboardInterrupt
        options = self._options(TrainConfig, "", _ROWS_TRAIN if known is None else {})
        batch_size = TrainConfig.make(self.preset, options).batch_size
        options.setdefault("batch_size", _at_most(batch_size, len(images)))
        model = train(genotype, images, labels, seed=seeds[1], **common, **options)
        if model.interrupted:
            raise KeyboardInterrupt
        self._keep(model)
        return self

    def _fit_in_time(
        self, images: NDArray[Any], labels: NDArray[Any], seed: int, rows: bool
    ) -> Model:
        given = self._options(SearchConfig, "search_", {})
        if given:
            name = min(given)
            problem = f"(={given[name]!r}) is not used with a `time_budget`, which plans the search"
            raise ArgumentError(f"search_{name}", problem)
        if self.selector not in (None, "magnitude"):
            problem = f"(={self.selector!r}) is not used with a `time_budget`"
            raise ArgumentError("selector", problem)
        options = self._options(TrainConfig, "", _ROWS_TRAIN if rows else {})
        return fit(
            images,
            labels,
            self.time_budget,
            space=self._image_space(),
            genotype=self.genotype,
            method=self.method,
            image_layout="NCHW",
            threads=self.threads,
            progress=bool(self.verbose),
            seed=seed,
            **options,
        )

    def _image_space(self) -> Space:
        space = as_space(self.space)
        if space.dimensions != 2:
            problem = f"(={space.name!r}) is of signals, which `pydarts.search` takes"
            raise ArgumentError("space", problem)
        return space

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most likely label of each row or image."""
        images = self._checked(X)
        return self.model_.predict(images)

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Probabilities (N, classes), in the order of ``classes_``."""
        images = self._checked(X)
        return self.model_.predict_proba(images)

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write classifier.json into ``folder``, beside the two files of `Model.save`.

        Raises
        ------
        FileExistsError
            If there is a model already and ``overwrite`` is not set.
        ValueError
            If a label, or a parameter such as a RandomState, is of a kind that JSON cannot hold.
        """
        check_is_fitted(self, "model_")
        description = {
            "format": _FORMAT,
            "version": _VERSION,
            "parameters": {k: _plain(k, v) for k, v in self.get_params(deep=False).items()},
            "image_shape": self.image_shape_,
            "features": self.n_features_in_,
            "feature_names": getattr(self, "feature_names_in_", np.array([])).tolist(),
        }
        text = json.dumps(description, indent=2)
        self.model_.save(Path(folder), overwrite=overwrite)
        (Path(folder) / _FILE).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls: type[Self], folder: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        FileNotFoundError
            If one of the three files is missing.
        ValueError
            If a file is damaged or does not fit the others; names the file.
        """
        path = Path(folder) / _FILE
        with read_described(path, _FORMAT, (1, _VERSION)) as d:
            parameters: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v
                for k, v in current_names(current_names(dict(d["parameters"])), "search_").items()
            }
            space = parameters.get("space", "darts")
            if isinstance(space, str) and space.startswith("{"):
                parameters["space"] = Space.from_json(space)
            if parameters["genotype"] is not None:
                parameters["genotype"] = parse_genotype(parameters["genotype"])
            self = cls(**parameters)
            self.n_features_in_ = integer("features", d["features"], 1)
            self.image_shape_ = _sizes(d["image_shape"])
            if d["feature_names"]:
                self.feature_names_in_ = np.array(d["feature_names"], dtype=object)
        model = Model.load(Path(folder), threads=self.threads)
        shape = self.image_shape_
        if (model.network.in_channels, *model.image_size) != _at_least(shape):
            raise ValueError(f"{path} does not fit the model: its images are {shape}")
        if math.prod(shape) < self.n_features_in_:
            raise ValueError(
                f"{path} does not fit itself: {self.n_features_in_} features in {shape}"
            )
        self._keep(model)
        return self

    def _keep(self, model: Model) -> None:
        self.model_ = model
        self.genotype_ = model.genotype
        self.classes_ = model.labels.decode(range(len(model.labels)))

    def _options(
        self, config: type[Config], prefix: str, defaults: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The options that were given, beside defaults that go before the preset's."""
        names = [each.name for each in config.options() if each.name not in _NOT_PARAMETERS]
        given = {name: getattr(self, prefix + name) for name in names}
        return {**defaults, **{name: value for name, value in given.items() if value is not None}}

    def _rows(self, X: ArrayLike) -> tuple[Any, tuple[int, ...] | None]:
        """``X``, or of images their pixels as rows, and their shape."""
        if getattr(X, "ndim", 2) <= 2:
            return X, None
        images = as_images(np.asarray(X), image_layout=self.image_layout)
        return images.reshape(len(images), -1), images.shape[1:]

    def _checked(self, X: ArrayLike) -> NDArray[Any]:
        check_is_fitted(self, "model_")
        rows, shape = self._rows(X)
        rows = validate_data(self, rows, reset=False)
        if shape not in (None, self.image_shape_):
            raise ArgumentError(
                "X", f"holds images {shape}, but those of `fit` are {self.image_shape_}"
            )
        return self._images(rows)

    def _images(self, rows: NDArray[Any]) -> NDArray[Any]:
        shape = self.image_shape_
        rows = np.pad(rows, ((0, 0), (0, math.prod(shape) - rows.shape[1])))
        filled = zip(_at_least(shape), shape, strict=True)
        return np.pad(rows.reshape(-1, *shape), ((0, 0), *((0, n - m) for n, m in filled)))


def _image_shape(shape: Sequence[int] | None, features: int) -> tuple[int, int, int]:
    """(C, H, W) for rows of so many features."""
    if shape is None:
        side = max(MIN_SIZE, math.isqrt(features - 1) + 1)
        return 1, side, side
    sizes = _sizes(shape)
    if math.prod(sizes) != features:
        raise ArgumentError(
            "image_shape", f"(={shape!r}) does not hold the {features} features of `X`"
        )
    return sizes


def _sizes(shape: object) -> tuple[int, int, int]:
    sizes = tuple(shape) if isinstance(shape, (tuple, list)) else ()
    if len(sizes) not in (2, 3):
        raise ArgumentError("image_shape", f"(={shape!r}) must be (H, W) or (C, H, W)")
    channels, height, width = (integer("image_shape", n, 1) for n in (1, *sizes)[-3:])
    return channels, height, width


def _at_least(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """The shape of the images that hold those of ``shape``."""
    channels, height, width = shape
    return channels, max(MIN_SIZE, height), max(MIN_SIZE, width)


def _at_most(batch_size: int, images: int) -> int:
    return max(2, min(batch_size, images))


def _plain(name: str, value: Any) -> Any:
    """A parameter as JSON can hold it."""
    if isinstance(value, (BaseGenotype, Space)):
        return value.to_json()
    if isinstance(value, (tuple, list)):
        return [_plain(name, v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ArgumentError(name, f"(={value!r}) cannot be saved: JSON has nothing of its kind")
