# SPDX-License-Identifier: MIT
"""Search and training as scikit-learn estimators: a classifier and a regressor."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        "pydarts.sklearn needs scikit-learn 1.6 or later: pip install 'pydarts-nas[sklearn]'"
    ) from error

from pydarts.api.fitting import fit
from pydarts.api.searching import search
from pydarts.api.training import train
from pydarts.common.checks import integer
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.common.files import read_described
from pydarts.data.images import MIN_SIZE, as_images
from pydarts.data.preprocessing import NO_PREPROCESSING, Preprocessing
from pydarts.models.image_model import Model
from pydarts.spaces.darts import Genotype
from pydarts.spaces.genotype import BaseGenotype, require_kind
from pydarts.spaces.published import parse_genotype
from pydarts.spaces.ready import as_space
from pydarts.spaces.space import Space
from pydarts.training.config import SearchConfig, TrainConfig
from pydarts.training.config_base import Config, current_names

Self = TypeVar("Self", bound="_DartsEstimator")

_VERSION = 2
# Defaults for rows that may be no images. What stands beside what says little in them: shifting it
# would harm, and a long search find nothing.
_ROWS_TRAIN = {"crop_padding": 0, "flip": False, "cutout": 0}
_ROWS_SEARCH = {**_ROWS_TRAIN, "epochs": 5}
# Said by `random_state`.
_NOT_PARAMETERS = ("seed",)


@dataclass(eq=False, repr=False, kw_only=True)
class _DartsEstimator(BaseEstimator):  # type: ignore[misc]
    """What classifier and regressor share."""

    _file: ClassVar[str]

    preset: str = "quick"
    time_budget: float | str | None = None
    space: Any = "darts"
    method: str = "darts"
    selector: str | None = None
    genotype: Genotype | None = None
    image_shape: Sequence[int] | None = None
    image_layout: str | None = None
    preprocessing: Preprocessing | None = None
    split: str = "random"
    stratify: bool | None = None
    checkpoint: str | os.PathLike[str] | None = None
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
    search_shift: int | None = None
    search_rotate: bool | None = None
    search_time_mask: int | None = None
    search_frequency_mask: int | None = None
    search_noise: float | None = None
    search_mixup: float | None = None

    channels: int | None = None
    cells: int | None = None
    epochs: int | None = None
    epoch_images: int | None = None
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
    shift: int | None = None
    rotate: bool | None = None
    time_mask: int | None = None
    frequency_mask: int | None = None
    noise: float | None = None
    mixup: float | None = None
    stem: str | None = None
    memory: str | None = None
    restore_best_weights: bool | None = None

    def _fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        groups: ArrayLike | None,
        valid: tuple[Any, Any],
        several: bool,
    ) -> None:
        """Check the data, search a cell unless there is one, and train."""
        if hasattr(y, "toarray"):
            raise ArgumentTypeError("y", "is a sparse matrix, but must be dense: `y.toarray()`")
        self.__dict__.pop("model_", None)  # of an earlier fit, which may be of other features
        if self.genotype is not None:
            require_kind("genotype", self.genotype, Genotype)
        rows, shape = self._rows(X)
        numeric = self._file == "regressor"
        rows, targets = validate_data(
            self, rows, y, ensure_min_samples=2, multi_output=several, y_numeric=numeric
        )
        task = self._task(targets)
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, rows, ensure_non_negative=True)
        known = self.image_shape if shape is None else shape
        self.image_shape_ = self._shape(known)
        images = self._images(rows)
        seeds = check_random_state(self.random_state).randint(2**31 - 1, size=2).tolist()
        told = {"task": task, "sample_weight": weights, **self._told(), **self._validation(*valid)}
        splitting = {"groups": groups, "split": self.split, "stratify": self.stratify}
        if self.time_budget is not None:
            told |= splitting
            model = self._fit_in_time(images, targets, seeds[0], known is None, told)
            if model.interrupted:
                raise KeyboardInterrupt
            self._keep(model)
            return
        common: dict[str, Any] = {
            "preset": self.preset,
            "image_layout": self._layout,
            "preprocessing": self.preprocessing,
            "threads": self.threads,
            "progress": bool(self.verbose),
            "checkpoint": self.checkpoint,
            **told,
        }
        used = len(rows) if weights is None else int(np.count_nonzero(weights))
        genotype = self.genotype
        if genotype is None:
            options = self._options(SearchConfig, "search_", _ROWS_SEARCH if known is None else {})
            with _named_in_search():
                config = SearchConfig.make(self.preset, options)
            share = min(config.train_fraction, 1 - config.train_fraction)
            count = min(used, config.max_images or used)
            # Each class may have one image less than its share in the smaller part.
            less = len(np.unique(targets)) if task == "multiclass" else 1 + count // 10
            most = int(share * count) - less
            if "X_valid" in told:
                most = min(count, len(told["X_valid"]))
            options.setdefault("batch_size", _at_most(config.batch_size, most))
            how: dict[str, Any] = {
                "space": as_space(self.space),
                "method": self.method,
                "selector": self.selector,
                **splitting,
            }
            with _named_in_search():
                result = search(images, targets, seed=seeds[0], **how, **common, **options)
            genotype = self.genotype_ = result.genotype
            if result.interrupted:
                raise KeyboardInterrupt
        options = self._options(TrainConfig, "", _ROWS_TRAIN if known is None else {})
        batch_size = TrainConfig.make(self.preset, options).batch_size
        # Few rows are to give more than one step an epoch.
        options.setdefault("batch_size", _at_most(batch_size, max(min(8, used), used // 4)))
        model = train(genotype, images, targets, seed=seeds[1], **common, **options)
        if model.interrupted:
            raise KeyboardInterrupt
        self._keep(model)

    def _fit_in_time(
        self,
        images: NDArray[Any],
        targets: NDArray[Any],
        seed: int,
        rows: bool,
        told: Mapping[str, Any],
    ) -> Model:
        given = self._options(SearchConfig, "search_", {})
        if given:
            name = min(given)
            problem = f"(={given[name]!r}) is not used with a `time_budget`, which plans the search"
            raise ArgumentError(f"search_{name}", problem)
        if self.selector is not None:
            problem = f"(={self.selector!r}) is not used with a `time_budget`"
            raise ArgumentError("selector", problem)
        options = self._options(TrainConfig, "", _ROWS_TRAIN if rows else {})
        return fit(
            images,
            targets,
            self.time_budget,
            space=as_space(self.space),
            genotype=self.genotype,
            method=self.method,
            image_layout=self._layout,
            preprocessing=self.preprocessing,
            checkpoint=self.checkpoint,
            threads=self.threads,
            progress=bool(self.verbose),
            seed=seed,
            **told,
            **options,
        )

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write classifier.json or regressor.json into ``folder``, beside the two files of
        `Model.save`.

        Raises
        ------
        FileExistsError
            If there is a model already and ``overwrite`` is not set.
        ValueError
            If a label, or a parameter such as a RandomState, is of a kind that JSON cannot hold.
        """
        check_is_fitted(self, "model_")
        description = {
            "format": f"pydarts-{self._file}",
            "version": _VERSION,
            "parameters": {k: _plain(k, v) for k, v in self.get_params(deep=False).items()},
            "image_shape": self.image_shape_,
            "features": self.n_features_in_,
            "feature_names": getattr(self, "feature_names_in_", np.array([])).tolist(),
        }
        text = json.dumps(description, indent=2)
        self.model_.save(Path(folder), overwrite=overwrite)
        (Path(folder) / f"{self._file}.json").write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls: type[Self], folder: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        FileNotFoundError
            If one of the three files is missing.
        ValueError
            If a file is damaged or does not fit the others; names the file. If the folder holds
            the other estimator; names that.
        """
        path = Path(folder) / f"{cls._file}.json"
        for other in (DartsClassifier, DartsRegressor):
            if not path.exists() and path.with_name(f"{other._file}.json").exists():
                raise ValueError(
                    f"{folder} holds a {other.__name__}: {other.__name__}.load reads it"
                )
        with read_described(path, f"pydarts-{cls._file}", (1, _VERSION)) as d:
            parameters: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v
                for k, v in current_names(current_names(dict(d["parameters"])), "search_").items()
            }
            space = parameters.get("space", "darts")
            if isinstance(space, str) and space.startswith("{"):
                parameters["space"] = Space.from_json(space)
            if parameters.get("preprocessing") is not None:
                parameters["preprocessing"] = Preprocessing.from_dict(parameters["preprocessing"])
            if isinstance(parameters.get("class_weight"), tuple):
                parameters["class_weight"] = dict(parameters["class_weight"])
            if parameters["genotype"] is not None:
                parameters["genotype"] = parse_genotype(parameters["genotype"])
            self = cls(**parameters)
            self.n_features_in_ = integer("features", d["features"], 1)
            self.image_shape_ = _sizes(d["image_shape"])
            if d["feature_names"]:
                self.feature_names_in_ = np.array(d["feature_names"], dtype=object)
        model = Model.load(Path(folder), threads=self.threads)
        if (model.task == "regression") != (cls._file == "regressor"):
            raise ValueError(f"{path} does not fit the model: its task is {model.task!r}")
        self._keep(model)
        shape = self.image_shape_
        found = (model.network.in_channels, *model.image_size)
        if not self._sounds and found != self._at_least(shape):
            raise ValueError(f"{path} does not fit the model: its images are {shape}")
        if math.prod(shape) < self.n_features_in_:
            raise ValueError(
                f"{path} does not fit itself: {self.n_features_in_} features in {shape}"
            )
        return self

    def _keep(self, model: Model) -> None:
        self.model_ = model
        self.genotype_ = model.genotype

    def _task(self, targets: NDArray[Any]) -> str:
        """What is learned of targets."""
        raise NotImplementedError

    def _told(self) -> dict[str, Any]:
        """Options of search and training that only one of the estimators has."""
        raise NotImplementedError

    @property
    def _sounds(self) -> bool:
        return self.preprocessing is not None and self.preprocessing != NO_PREPROCESSING

    @property
    def _dimensions(self) -> int:
        if "model_" in self.__dict__:  # then a file of the space is not wanted any more
            space = self.model_.genotype.space
        else:
            space = as_space(self.space) if self.genotype is None else self.genotype.space
        return int(space.dimensions)

    @property
    def _layout(self) -> str | None:
        return None if self._sounds else "NCHW"

    def _shape(self, known: Sequence[int] | None) -> tuple[int, int, int]:
        """The form of rows, or that of what they are as signals."""
        if known is None and (self._dimensions == 1 or self._sounds):
            return 1, 1, self.n_features_in_
        if known is not None and self._dimensions == 1 and len(known) == 2:
            known = (known[0], 1, known[1])
        return _image_shape(known, self.n_features_in_)

    def _options(
        self, config: type[Config], prefix: str, defaults: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The options that were given, beside defaults that go before the preset's."""
        names = [each.name for each in config.options() if each.name not in _NOT_PARAMETERS]
        given = {name: getattr(self, prefix + name) for name in names}
        return {**defaults, **{name: value for name, value in given.items() if value is not None}}

    def _rows(self, X: ArrayLike) -> tuple[Any, tuple[int, ...] | None]:
        """``X``, or of images their pixels as rows, and their shape."""
        if getattr(X, "ndim", 2) <= 2 or self._sounds:
            return X, None
        images = as_images(
            np.asarray(X), image_layout=self.image_layout, dimensions=self._dimensions
        )
        return images.reshape(len(images), -1), images.shape[1:]

    def _validation(self, X: Any, y: Any) -> dict[str, Any]:
        """What is validated on, as `search` and `train` take it."""
        if (X is None) != (y is None):
            raise ArgumentError("X_valid", "and `y_valid` must come together")
        return {} if X is None else {"X_valid": self._formed(X), "y_valid": y}

    def _checked(self, X: ArrayLike) -> NDArray[Any]:
        check_is_fitted(self, "model_")
        return self._formed(X)

    def _formed(self, X: ArrayLike) -> NDArray[Any]:
        """Rows or images in the form of those of `fit`."""
        rows, shape = self._rows(X)
        rows = validate_data(self, rows, reset=False)
        if shape not in (None, self.image_shape_):
            raise ArgumentError(
                "X", f"holds images {shape}, but those of `fit` are {self.image_shape_}"
            )
        return self._images(rows)

    def _images(self, rows: NDArray[Any]) -> NDArray[Any]:
        if self._sounds:
            return rows
        shape = self.image_shape_
        rows = np.pad(rows, ((0, 0), (0, math.prod(shape) - rows.shape[1])))
        filled = zip(self._at_least(shape), shape, strict=True)
        return np.pad(rows.reshape(-1, *shape), ((0, 0), *((0, n - m) for n, m in filled)))

    def _at_least(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """The shape of the images that hold those of ``shape``."""
        channels, height, width = shape
        signals = self._dimensions == 1
        return channels, height if signals else max(MIN_SIZE, height), max(MIN_SIZE, width)


@dataclass(eq=False, repr=False, kw_only=True)
class DartsClassifier(ClassifierMixin, _DartsEstimator):  # type: ignore[misc]
    """Finds a cell for the training data, then trains a network made of it.

    By scikit-learn's convention ``y`` is one class of several, or, as a matrix of 0 and 1 with more
    than one column, any number of labels.

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
        What is searched, as in `pydarts.search`. For a one-dimensional space, such as
        ``"darts-1d"``, rows are signals, of which ``image_shape`` may tell the channels.
    method : str
        How α is learned, as in `pydarts.search`: a name.
    selector : str, optional
        What chooses the cell, as in `pydarts.search`: a name.
    genotype : Genotype, optional
        A cell to train instead of searching one.
    image_shape : tuple of int, optional
        (H, W) or (C, H, W): the form of the images whose pixels are the rows of ``X``; of signals
        (C, L). By default see above; or ``X`` holds images as `pydarts.search` takes them.
    image_layout : {"NCHW", "NHWC"}, optional
        Where the channels are, if the shape of images in ``X`` leaves it open.
    preprocessing : Preprocessing, optional
        What is made of rows, which are sounds then, before they are images or signals.
    split : {"random", "time"}
        How the halves of the search are taken, as in `pydarts.search`.
    stratify : bool, optional
        Whether each class has its share in either half; by default yes.
    checkpoint : path, optional
        Folder that one `fit` goes on from, as in `pydarts.search` and `pydarts.train`. It is of no
        use for cross-validation, whose fits are of different data: they would refuse it.
    random_state : int or RandomState, optional
    threads : int, optional
        Threads to use; by default all. The result does not depend on it.
    verbose : bool
        Whether to show progress on standard error.
    search_channels, search_cells, ... : optional
        The fields of `pydarts.SearchConfig` that are named by the rest.
    channels, cells, ... : optional
        Fields of `pydarts.TrainConfig`. By default, as for the search, the preset's value; but a
        batch is at most a quarter of what there is, or 8, and rows without ``image_shape`` are
        searched for 5 epochs and not augmented. ``restore_best_weights`` needs ``X_valid``.
    class_weight : "balanced" or dict, optional
        Weights of the classes in the loss, as in `pydarts.search`.

    Attributes
    ----------
    classes_ : ndarray
        The labels, in the order of the columns of `predict_proba`; of several labels the numbers of
        their columns.
    genotype_ : Genotype
    model_ : Model
    image_shape_ : tuple of (int, int, int)
        The form (C, H, W) into which rows of pixels are brought.
    n_features_in_ : int
        Of images, the number of their pixels, times channels.
    feature_names_in_ : ndarray of str
        Where ``X`` had names.
    """

    class_weight: Any = None

    _file: ClassVar[str] = "classifier"

    def fit(
        self: Self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        X_valid: ArrayLike | None = None,
        y_valid: ArrayLike | None = None,
    ) -> Self:
        """Search a cell, unless ``genotype`` is one, and train the network.

        Parameters
        ----------
        X : array-like
            (N, features) numbers, or images as `pydarts.search` takes them.
        y : array-like
            (N,) labels, of each class at least two; or (N, labels), of 0 and 1.
        sample_weight : array-like, optional
            (N,) weights of the samples in the loss, as in `pydarts.search`.
        groups : array-like, optional
            (N,) groups that the halves of the search do not share.
        X_valid, y_valid : array-like, optional
            What the α of a search learn on, and what the training is validated on.

        Raises
        ------
        ValueError, TypeError
            For unusable data or parameters.
        KeyboardInterrupt
            On Ctrl-C. There is no model then, but after a search ``genotype_``, as far as it got.
        Diverged
            When a loss or gradient is not finite.
        """
        shape = getattr(y, "shape", None) or np.asarray(y).shape
        several = len(shape) == 2 and shape[1] > 1
        self._fit(X, y, sample_weight, groups, (X_valid, y_valid), several)
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most likely label of each row or image; of several labels (N, labels) of 0 and 1."""
        images = self._checked(X)
        return self.model_.predict(images)

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Probabilities (N, classes), in the order of ``classes_``."""
        images = self._checked(X)
        return self.model_.predict_proba(images)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _task(self, targets: NDArray[Any]) -> str:
        check_classification_targets(targets)
        return "multiclass" if targets.ndim == 1 else "multilabel"

    def _told(self) -> dict[str, Any]:
        return {"class_weight": self.class_weight}

    def _keep(self, model: Model) -> None:
        super()._keep(model)
        self.classes_ = np.arange(len(model.classes))
        if model.task == "multiclass":
            self.classes_ = model.labels.decode(self.classes_)


@dataclass(eq=False, repr=False, kw_only=True)
class DartsRegressor(RegressorMixin, _DartsEstimator):  # type: ignore[misc]
    """Finds a cell for the training data, then trains a network made of it to predict numbers.

    Rows become images as in `DartsClassifier`. The targets are scaled inside, to mean 0 and
    standard deviation 1.

    Parameters
    ----------
    loss : {"mse", "huber"}
        With ``"huber"`` errors of more than ``huber_delta`` standard deviations count linearly.
    huber_delta : float
    preset, time_budget, space, ... : optional
        As in `DartsClassifier`, which has all others but ``class_weight``; ``label_smoothing`` is
        to stay as it is.

    It has the attributes of `DartsClassifier` but ``classes_``.
    """

    loss: str = "mse"
    huber_delta: float = 1.0

    _file: ClassVar[str] = "regressor"

    def fit(
        self: Self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        X_valid: ArrayLike | None = None,
        y_valid: ArrayLike | None = None,
    ) -> Self:
        """Search a cell, unless ``genotype`` is one, and train the network.

        Parameters
        ----------
        X : array-like
            (N, features) numbers, or images as `pydarts.search` takes them.
        y : array-like
            (N,) or (N, outputs) numbers.
        sample_weight : array-like, optional
            (N,) weights of the samples in the loss, as in `pydarts.search`.
        groups : array-like, optional
            (N,) groups that the halves of the search do not share.
        X_valid, y_valid : array-like, optional
            What the α of a search learn on, and what the training is validated on.

        Raises
        ------
        ValueError, TypeError
            For unusable data or parameters.
        KeyboardInterrupt
            On Ctrl-C. There is no model then, but after a search ``genotype_``, as far as it got.
        Diverged
            When a loss or gradient is not finite.
        """
        self._fit(X, y, sample_weight, groups, (X_valid, y_valid), True)
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """The numbers of each row or image, (N,) or (N, outputs)."""
        images = self._checked(X)
        return self.model_.predict(images)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = True
        return tags

    def _task(self, targets: NDArray[Any]) -> str:
        return "regression"

    def _told(self) -> dict[str, Any]:
        return {"loss": self.loss, "huber_delta": self.huber_delta}


@contextmanager
def _named_in_search() -> Iterator[None]:
    """Let errors of the options of a search call them as the estimators do."""
    try:
        yield
    except ArgumentError as error:
        if error.argument not in {each.name for each in SearchConfig.options()}:
            raise
        raise type(error)(f"search_{error.argument}", error.problem) from error


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


def _at_most(batch_size: int, images: int) -> int:
    return max(2, min(batch_size, images))


def _plain(name: str, value: Any) -> Any:
    """A parameter as JSON can hold it."""
    if isinstance(value, (BaseGenotype, Space)):
        return value.to_json()
    if isinstance(value, Preprocessing):
        return value.to_dict()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return [[_plain(name, each) for each in pair] for pair in value.items()]
    if isinstance(value, (tuple, list)):
        return [_plain(name, v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ArgumentError(name, f"(={value!r}) cannot be saved: JSON has nothing of its kind")
