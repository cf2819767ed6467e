# SPDX-License-Identifier: MIT
"""Data sets that give their samples one by one, as those of PyTorch and Hugging Face do."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pydarts.common.checks import integer, show
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.data.bad_items import check_on_bad, report_bad
from pydarts.data.lazy import CACHE_BYTES, CachedItems, LazyArray
from pydarts.data.pictures import check_image_size, common_size, is_picture, picture_pixels

_INPUTS: Final = ("image", "img", "pixel_values", "x", "signal", "audio")
_TARGETS: Final = ("label", "labels", "y", "target")


class Samples(NamedTuple):
    """What a data set holds: inputs, what is told of them, notes on what was left out, the samples
    a second of sounds, and the kind of the inputs: ``"array"``, ``"image"`` or ``"sound"``.
    """

    X: NDArray[Any] | LazyArray
    y: NDArray[Any]
    notes: list[str]
    rate: int | None
    kind: str


class _Input(NamedTuple):
    kind: str  # "array", "image" or "sound"
    values: NDArray[Any]
    rate: int | None = None


def is_map_style(value: object) -> bool:
    """Whether something has a length and items, and is neither an array nor text."""
    if isinstance(value, (str, bytes, Mapping, np.ndarray)) or hasattr(value, "__array__"):
        return False
    return hasattr(value, "__len__") and hasattr(value, "__getitem__")


def is_splits(value: object) -> bool:
    """Whether something holds data sets by the names of their parts, ``train`` among them."""
    return (
        isinstance(value, Mapping) and "train" in value and all(map(is_map_style, value.values()))
    )


def is_stream(value: object) -> bool:
    """Whether something gives items in turn, but not by their index."""
    known = (str, bytes, Mapping, os.PathLike)
    if isinstance(value, known) or hasattr(value, "__array__") or is_map_style(value):
        return False
    return hasattr(value, "__iter__")


def read_samples(
    source: Any,
    on_bad: str = "raise",
    image_size: Any = None,
    length: int | None = None,
    *,
    colour: bool = False,
) -> Samples:
    """Read a data set once.

    Parameters
    ----------
    source : object
        With ``__len__`` and ``__getitem__``. An item is a pair (x, y), or a mapping with one of
        ``image``, ``img``, ``pixel_values``, ``x``, ``signal``, ``audio`` and one of ``label``,
        ``labels``, ``y``, ``target``. Inputs may be arrays or tensors of one shape, Pillow's
        images, or mappings with ``array`` and ``sampling_rate``, which are sounds. Items must be
        the same whenever they are asked for: augmentation is the search's. Where `source` has
        ``features``, as Hugging Face's have, the only column of images or sounds and the only one
        of classes will do, whatever they are called, and the names of classes are the labels.
    on_bad : {"raise", "skip"}
        What is done where an item raises, or is none of these.
    image_size : int or tuple of (int, int), optional
        Height and width to which Pillow's images are scaled. Needed only if they differ.
    length : int, optional
        Samples that sounds are cut or filled up to, by default the longest's.
    colour : bool
        Whether Pillow's images have three channels even if all are grey.

    Returns
    -------
    Samples
        Inputs are in memory if they take up to 256 MiB; else they are asked for again when needed,
        and as many are kept as 256 MiB hold. Pillow's images are (N, H, W) if all are grey, else
        (N, H, W, 3).

    Raises
    ------
    ValueError
        If items cannot be read; names them all. If images differ in size or sounds in rate, or
        `image_size` or `length` is given and they are neither.
    """
    check_on_bad(on_bad)
    size = check_image_size(image_size)
    if length is not None:
        integer("length", length, 1)
    columns, where = _Columns(source), f"the data set {type(source).__name__}"
    total, kept, targets = len(source), [], []
    if total == 0:
        raise ValueError(f"the data set {show(source)} is empty")
    first: _Input | None = None
    shapes: list[tuple[int, ...]] = []
    dtype, bad = None, {}
    held: list[NDArray[Any]] = []
    left = CACHE_BYTES
    for index in range(total):
        try:
            x, y = columns.pair(source[index], size)
            if first is not None:
                _check_alike(first, x)
        except Exception as error:  # whatever a foreign data set raises
            bad[f"item {index}"] = f"{type(error).__name__}: {error}"
            continue
        first = first or x
        dtype = x.values.dtype if dtype is None else np.promote_types(dtype, x.values.dtype)
        shapes.append(x.values.shape)
        kept.append(index)
        targets.append(y)
        left -= x.values.nbytes
        if left >= 0:
            held.append(x.values)
    notes = report_bad(bad, total, on_bad, "items", where)
    assert first is not None and dtype is not None
    _check_of_use(first.kind, image_size, length, where)
    shape = shapes[0]
    if first.kind == "image":
        named = zip(kept, shapes, strict=True)
        shape = common_size(where, [(f"item {i}", (each[0], each[1])) for i, each in named])
        if colour or any(len(each) == 3 for each in shapes):
            shape = (*shape, 3)
    elif first.kind == "sound":
        shape = (max(each[0] for each in shapes) if length is None else length,)
    rate, made, kind = first.rate, np.dtype(dtype), first.kind

    def read(index: int) -> NDArray[Any]:
        return _shaped(columns.pair(source[kept[index]], size)[0].values, shape, made, kind)

    X: NDArray[Any] | LazyArray
    if left >= 0 and len(kept) * math.prod(shape) * made.itemsize <= CACHE_BYTES:
        X = np.stack([_shaped(each, shape, made, kind) for each in held])
    else:
        X = LazyArray(CachedItems(read), (len(kept), *shape), made)
    return Samples(X, _column(targets), notes, rate, kind)


def _check_of_use(kind: str, image_size: Any, length: int | None, where: str) -> None:
    """Raise ArgumentError where what is given is for inputs of another kind."""
    given = (("image_size", image_size, "image"), ("length", length, "sound"))
    for name, value, wanted in given:
        if value is not None and kind != wanted:
            problem = f"(={value}) has no use with {where}: its inputs are no {wanted}s"
            raise ArgumentError(name, problem)


def _check_alike(first: _Input, x: _Input) -> None:
    """Raise ValueError where an input is not of the kind of the first."""
    if x.kind != first.kind:
        raise ValueError(f"is of the kind {x.kind}, but the first is of the kind {first.kind}")
    if x.rate != first.rate:
        raise ValueError(f"has {x.rate:,} samples a second, but the first has {first.rate:,}")
    if x.kind == "array" and x.values.shape != first.values.shape:
        problem = f"has the shape {x.values.shape}, but the first has {first.values.shape}"
        raise ValueError(problem)


def _shaped(
    values: NDArray[Any], shape: tuple[int, ...], dtype: np.dtype[Any], kind: str
) -> NDArray[Any]:
    """An input as all are: grey images among coloured ones, sounds of other lengths or of int16."""
    if values.ndim < len(shape):
        values = np.repeat(values[..., np.newaxis], shape[-1], axis=-1)
    if values.shape != shape:
        values = values[: shape[0]]
        values = np.pad(values, (0, shape[0] - len(values)))
    if kind == "sound" and dtype.kind == "f":
        values = _full_scale(values)
    return values.astype(dtype, copy=False)


def _full_scale(sound: NDArray[Any]) -> NDArray[Any]:
    """Samples of int16 as float32 of full scale ±1; others as they are."""
    return sound / np.float32(32768) if sound.dtype == np.int16 else sound


class _Columns:
    """Which entries of an item are its input and its target."""

    def __init__(self, source: Any):
        self._inputs: tuple[str, ...] = _INPUTS
        self._targets: tuple[str, ...] = _TARGETS
        self._names: tuple[str, ...] | None = None
        self._several = False
        features = getattr(source, "features", None)
        if not isinstance(features, Mapping):
            return
        self._inputs = (self._only(features, _INPUTS, _is_medium, "images or sounds", "image"),)
        self._targets = (self._only(features, _TARGETS, _is_class, "classes", "label"),)
        told = features[self._targets[0]]
        inner = getattr(told, "feature", None)
        self._several = inner is not None and _is_class(inner)
        if self._several or _is_class(told):
            named: Any = inner if self._several else told
            self._names = tuple(named.names)

    def pair(self, item: Any, size: tuple[int, int] | None) -> tuple[_Input, Any]:
        """The input and the target of an item."""
        if isinstance(item, Mapping):
            x, y = (_entry(item, names) for names in (self._inputs, self._targets))
        elif isinstance(item, (tuple, list)) and len(item) == 2:
            x, y = item
        else:
            problem = (
                f"is {show(item)}, but must be a pair (x, y) or a mapping with image and label"
            )
            raise ArgumentTypeError("item", problem)
        return _input(x, size), self._target(y)

    def _target(self, y: Any) -> Any:
        plain = np.asarray(y) if hasattr(y, "__array__") else y
        if isinstance(plain, np.ndarray) and plain.ndim == 0:
            plain = plain.item()
        if plain is None:
            raise ValueError("has no label: it is None")
        if self._names is None:
            return np.array(plain) if _is_vector(plain) else plain
        codes = np.atleast_1d(np.asarray(plain, np.int64))
        wrong = codes[(codes < 0) | (codes >= len(self._names))]
        if wrong.size:
            raise ValueError(
                f"has the label {wrong[0]}, which is none of {len(self._names)} classes"
            )
        if not self._several:
            return self._names[codes.item()]
        present = np.zeros(len(self._names), np.int64)
        present[codes] = 1
        return present

    @staticmethod
    def _only(
        features: Mapping[str, Any],
        names: tuple[str, ...],
        fits: Callable[[Any], bool],
        what: str,
        name: str,
    ) -> str:
        """The column of one of these names, or else the only one of a kind."""
        found = [each for each in names if each in features]
        found = found or [each for each, feature in features.items() if fits(feature)]
        if len(found) == 1:
            return found[0]
        if found:
            problem = f"{' and '.join(found)} are columns of {what}, and one is needed: leave out"
            raise ValueError(f"{problem} others by `dataset.remove_columns({found[1:]})`")
        problem = f"none of the columns {list(features)} is called {', '.join(names)}"
        others = [each for each in features if each not in (*_INPUTS, *_TARGETS)]
        hint = f": rename one by `dataset.rename_column({others[0]!r}, {name!r})`" if others else ""
        raise ValueError(f"{problem}, or is alone in holding {what}{hint}")


def _is_class(feature: Any) -> bool:
    return hasattr(feature, "names") and hasattr(feature, "int2str")


def _is_medium(feature: Any) -> bool:
    return type(feature).__name__ in ("Image", "Audio")


def _is_vector(value: Any) -> bool:
    """Whether something is a list of numbers, as one is for several labels."""
    plain = (bool, int, float)
    return isinstance(value, list) and bool(value) and all(isinstance(v, plain) for v in value)


def _input(x: Any, size: tuple[int, int] | None) -> _Input:
    if is_picture(x):
        return _Input("image", picture_pixels(x, size))
    if hasattr(x, "get_all_samples"):  # a decoder, which opens the file when it is asked
        samples = x.get_all_samples()
        x = {"array": samples.data, "sampling_rate": samples.sample_rate}
    if isinstance(x, Mapping) and {"array", "sampling_rate"} <= x.keys():
        sound = np.asarray(x["array"])
        if sound.dtype == np.float64:  # lists of numbers that were float32
            sound = sound.astype(np.float32)
        if sound.ndim > 1:
            sound = _full_scale(sound)
        while sound.ndim > 1:  # channels come first
            sound = sound.mean(axis=0, dtype=np.float32)
        if (sound.dtype != np.int16 and sound.dtype.kind != "f") or not sound.size:
            raise ValueError(
                f"holds {sound.size} samples of {sound.dtype}: sounds are float or int16"
            )
        return _Input("sound", sound, integer("sampling_rate", x["sampling_rate"], 1))
    array = np.asarray(x)
    if array.dtype.kind not in "buif":
        raise ArgumentTypeError("item", f"holds {show(x)}, which is no array of numbers")
    return _Input("array", array)


def _entry(item: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    found = [name for name in names if name in item]
    if len(found) != 1:
        which = " and ".join(found) if found else f"none of {', '.join(names)}"
        raise ValueError(f"has {which}, but must have one of them; it holds {list(item)}")
    return item[found[0]]


def _column(targets: list[Any]) -> NDArray[Any]:
    """Labels as an array of their own kind, or of objects; vectors as a matrix."""
    if all(isinstance(target, np.ndarray) for target in targets):
        return np.stack(targets)
    kinds = {type(target) for target in targets}
    if len(kinds) == 1 and kinds <= {bool, int, float, str}:
        return np.array(targets)
    column = np.empty(len(targets), object)
    for index, target in enumerate(targets):  # one by one: numpy would unpack tuples
        column[index] = target
    return column
