# SPDX-License-Identifier: MIT
"""Reader of PNG, JPEG, BMP and WebP files, in folders or named by a CSV file; all are untrusted."""

from __future__ import annotations

import csv
import importlib
import math
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pydarts.common.checks import integer, show
from pydarts.common.errors import ArgumentError, ArgumentTypeError
from pydarts.data.bad_items import check_on_bad, report_bad
from pydarts.data.lazy import CACHE_BYTES, CachedItems, LazyArray

SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
_FORMATS: Final = ("PNG", "JPEG", "BMP", "WEBP")
_GREY: Final = ("1", "L", "LA", "La")
_COLOUR: Final = ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")
_ORIENTATION: Final = 0x0112  # the tag of EXIF
_COLUMNS: Final = {
    "path": ("path", "file", "filename", "image"),
    "label": ("label", "class", "target", "y"),
    "group": ("group", "groups"),
    "split": ("split",),
}


class Pictures(NamedTuple):
    """The images of files, in the order of their names or of the lines.

    Attributes
    ----------
    X : ndarray or LazyArray of uint8, shape (N, C, H, W)
        C is 1 if all are grey, else 3. Large sets are decoded when they are asked for.
    y : ndarray of str, shape (N,), or None
    groups : ndarray of str, shape (N,), or None
    test : ndarray of bool, shape (N,)
        Which are to test on.
    names : tuple of str
        Of the files.
    notes : list of str
        What was left out.
    """

    X: NDArray[Any] | LazyArray
    y: NDArray[np.str_] | None
    groups: NDArray[np.str_] | None
    test: NDArray[np.bool_]
    names: tuple[str, ...]
    notes: list[str]


class _File(NamedTuple):
    path: Path
    name: str
    label: str | None
    group: str | None
    test: bool


def check_image_size(size: Any) -> tuple[int, int] | None:
    """Return height and width, of which a single number is both."""
    if size is None:
        return None
    if isinstance(size, (int, np.integer)) and not isinstance(size, bool):
        size = (size, size)
    if not isinstance(size, (tuple, list)) or len(size) != 2:
        problem = f"(={show(size)}) must be height and width, or one number for both"
        raise ArgumentTypeError("image_size", problem)
    height, width = (integer("image_size", each, 4, 2**14) for each in size)
    return height, width


def holds_pictures(folder: Path) -> bool:
    """Whether there are images in a folder, in the folders in it, or in those in train and test."""
    return any(_is_picture(path) for path in folder.iterdir()) or any(
        _is_picture(path)
        for top in (folder, folder / "train")
        for each in _folders(top)
        for path in each.iterdir()
    )


def read_picture_folder(
    folder: Path, image_size: Any = None, on_bad: str = "raise", *, colour: bool = False
) -> Pictures:
    """Read the images of a folder.

    Parameters
    ----------
    folder : Path
        Either it holds folders, whose names are the labels of the images in them; or folders
        ``train`` and ``test`` that do; or images without labels.
    image_size : int or tuple of (int, int), optional
        Height and width to which all are scaled. Needed only if they differ.
    on_bad : {"raise", "skip"}
        What is done where files cannot be read.
    colour : bool
        Whether they have three channels even if all are grey.

    Returns
    -------
    Pictures

    Raises
    ------
    ValueError
        If files cannot be read; names them all. If sizes differ and `image_size` is not given.
    ImportError
        If Pillow is not installed.
    """
    parts = [folder]
    if {each.name for each in _folders(folder)} == {"train", "test"}:
        parts = [folder / "train", folder / "test"]
    files, others, empty = [], 0, []
    for part in parts:
        test = part != folder and part.name == "test"
        for each in _folders(part):
            inside = sorted(path for path in each.iterdir() if path.name[0] != ".")
            found = [path for path in inside if _is_picture(path)]
            others += len(inside) - len(found)
            if not found:
                empty.append(each.relative_to(folder).as_posix())
            files += [_file(path, folder, each.name, test) for path in found]
    flat = sorted(path for path in folder.iterdir() if _is_picture(path))
    if files and flat:
        raise ValueError(
            f"{folder} holds both {flat[0].name} and {files[0].name}: images are either all in it"
            " or all in folders that are named by their labels"
        )
    if not files and not flat and len(parts) == 2:
        raise ValueError(
            f"{folder} holds the folders test and train, but neither holds folders that are named"
            " by their labels, with images in them"
        )
    if not files and not flat and (folder / "train").is_dir():
        there = ", ".join(each.name for each in _folders(folder))
        raise ValueError(
            f"{folder} holds the folders {there}, but train and test are read as parts where there"
            f" are these two alone: give {folder / 'train'} itself"
        )
    files = files or [_file(path, folder, None, False) for path in flat]
    notes = []
    if empty:
        notes.append(f"{folder}: there are no images in {', '.join(empty)}, which is no class")
    if others:
        notes.append(f"{folder}: {others:,} files or folders that are no images were left out")
    read = _read_all(files, str(folder), image_size, on_bad, colour)
    return read._replace(notes=[*notes, *read.notes])


def read_picture_table(
    path: Path, image_size: Any = None, on_bad: str = "raise", *, colour: bool = False
) -> Pictures:
    """Read the images that a CSV file names.

    Parameters
    ----------
    path : Path
        With a header: ``path`` (or ``file``, ``filename``, ``image``), relative to the file's
        folder; ``label`` (or ``class``, ``target``, ``y``), which may be missing; and, if one
        likes, ``group`` and ``split``, which is ``train`` or ``test``.
    image_size, on_bad, colour
        As of `read_picture_folder`.

    Returns
    -------
    Pictures

    Raises
    ------
    ValueError, ImportError
        As `read_picture_folder` does, and if the table has not the columns.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            columns = _columns(path, rows.fieldnames or [])
            files = [_of_row(path, columns, row, rows.line_num) for row in rows]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no CSV file in UTF-8: {error}") from error
    if not files:
        raise ValueError(f"{path} names no image")
    return _read_all(files, str(path), image_size, on_bad, colour)


def _columns(path: Path, header: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for meaning, names in _COLUMNS.items():
        given = [name for name in header if name is not None and name.strip().lower() in names]
        if len(given) > 1:
            raise ValueError(f"{path} has both {given[0]!r} and {given[1]!r}")
        if given:
            found[meaning] = given[0]
    if "path" not in found:
        wanted = ", ".join(_COLUMNS["path"])
        raise ValueError(f"{path} must have one of the columns {wanted}, but has {list(header)}")
    return found


def _of_row(path: Path, columns: dict[str, str], row: dict[str, Any], line: int) -> _File:
    values = {meaning: row[name] for meaning, name in columns.items()}
    for meaning, value in values.items():
        if value is None or not value.strip():
            raise ValueError(f"{path}, line {line}: there is no {columns[meaning]}")
    split = values.get("split", "train").strip().lower()
    if split not in ("train", "test"):
        raise ValueError(f"{path}, line {line}: split is {split!r}, but must be train or test")
    name, test = values["path"], split == "test"
    return _File(path.parent / name, name, values.get("label"), values.get("group"), test)


def _file(path: Path, folder: Path, label: str | None, test: bool) -> _File:
    return _File(path, path.relative_to(folder).as_posix(), label, None, test)


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(each for each in folder.iterdir() if each.is_dir() and each.name[0] != ".")


def _is_picture(path: Path) -> bool:
    hidden = path.name.startswith(".")  # such as what other systems leave beside a file
    return path.suffix.lower() in SUFFIXES and not hidden and path.is_file()


def _read_all(
    files: list[_File], where: str, image_size: Any, on_bad: str, colour: bool
) -> Pictures:
    size = check_image_size(image_size)
    check_on_bad(on_bad)
    heads: dict[int, tuple[bool, tuple[int, int]]] = {}
    bad: dict[int, str] = {}
    for index, file in enumerate(files):
        try:
            heads[index] = _head(file.path)
        except ValueError as error:
            bad[index] = str(error)
    channels = 3 if colour or not all(grey for grey, _ in heads.values()) else 1
    if heads and size is None:
        size = common_size(where, [(files[i].name, each) for i, (_, each) in heads.items()])
    kept, item = [], (channels, *(size or (0, 0)))
    held = len(heads) * math.prod(item) <= CACHE_BYTES
    images: list[NDArray[np.uint8]] = []
    for index in heads:  # all are decoded once, so that bad ones are known from the start
        try:
            image = _decode(files[index].path, item)
        except ValueError as error:
            bad[index] = str(error)
            continue
        kept.append(files[index])
        if held:
            images.append(image)
    times = Counter(file.name for file in files)  # a table may name a file on several lines
    named = {}
    for index, why in bad.items():
        name = files[index].name
        named[name if times[name] == 1 else f"{name} (image {index + 1})"] = why
    notes = report_bad(named, len(files), on_bad, "files", where)
    if held:
        X: NDArray[Any] | LazyArray = np.stack(images)
    else:
        cached = CachedItems(lambda index: _decode(kept[index].path, item))
        X = LazyArray(cached, (len(kept), *item), np.uint8)
    labels, groups = ([getattr(f, name) for f in kept] for name in ("label", "group"))
    return Pictures(
        X,
        None if None in labels else np.array(labels),
        None if None in groups else np.array(groups),
        np.array([file.test for file in kept]),
        tuple(file.name for file in kept),
        notes,
    )


def common_size(where: str, sizes: list[tuple[str, tuple[int, int]]]) -> tuple[int, int]:
    """Height and width of all images; the error of `image_size` if they differ."""
    counts = Counter(size for _, size in sizes)
    (common, _), *others = counts.most_common()
    if others:
        name, (height, width) = next(each for each in sizes if each[1] != common)
        raise ArgumentError(
            "image_size",
            f"(=None) is needed: {where} has images of {len(counts)} sizes, most of"
            f" {common[0]}x{common[1]} pixels, but {name} of {height}x{width}",
        )
    return common


def _pillow() -> Any:
    try:
        return importlib.import_module("PIL.Image")
    except ImportError as error:
        raise ImportError(
            "files of images are read by Pillow: pip install 'pydarts-nas[images]'"
        ) from error


def _head(path: Path) -> tuple[bool, tuple[int, int]]:
    """Whether an image is grey, and its height and width; ValueError if it cannot be read."""
    pillow = _pillow()
    with _Opened(pillow, path) as image:
        _check_mode(image)
        turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
        width, height = reversed(image.size) if turned else image.size
        return image.mode in _GREY, (height, width)


def _decode(path: Path, item: tuple[int, int, int]) -> NDArray[np.uint8]:
    """An image as (C, H, W), turned upright as its EXIF says, and scaled if need be."""
    pillow, (channels, height, width) = _pillow(), item
    with _Opened(pillow, path) as image:
        upright = importlib.import_module("PIL.ImageOps").exif_transpose(image)
        pixels = upright.convert("L" if channels == 1 else "RGB")
        if pixels.size != (width, height):
            pixels = pixels.resize((width, height), pillow.Resampling.BILINEAR)
        array = np.asarray(pixels, np.uint8)
    planes = array[np.newaxis] if array.ndim == 2 else array.transpose(2, 0, 1)
    return np.ascontiguousarray(planes)


def is_picture(value: object) -> bool:
    """Whether something is one of Pillow's images, which may only be there if Pillow is."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(value, pillow.Image)


def picture_pixels(image: Any, size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """One of Pillow's images as (H, W) if it is grey, else (H, W, 3), as files are decoded."""
    pillow = _pillow()
    _check_mode(image)
    upright = importlib.import_module("PIL.ImageOps").exif_transpose(image)
    pixels = upright.convert("L" if image.mode in _GREY else "RGB")
    if size is not None and pixels.size != size[::-1]:
        pixels = pixels.resize(size[::-1], pillow.Resampling.BILINEAR)
    return np.array(pixels, np.uint8)


def _check_mode(image: Any) -> None:
    if image.mode not in (*_GREY, *_COLOUR):
        raise ValueError(f"has pixels of the mode {image.mode}, not of 8 bits a channel")


class _Opened:
    """An image that is open; what goes wrong with it is a ValueError without its name."""

    def __init__(self, pillow: Any, path: Path):
        self._pillow, self._path = pillow, path
        self._quiet = warnings.catch_warnings()

    def __enter__(self) -> Any:
        self._quiet.__enter__()
        # Images of more pixels than Pillow thinks honest are errors, not warnings.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", self._pillow.DecompressionBombWarning)
        try:
            if not self._path.is_file():  # such as a pipe, which nobody may write to
                raise FileNotFoundError
            self._image = self._pillow.open(self._path, formats=_FORMATS)
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self._image

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        self._quiet.__exit__(None, None, None)
        if hasattr(self, "_image"):
            self._image.close()
        if isinstance(error, FileNotFoundError):
            raise ValueError("there is no such file") from error
        if isinstance(error, Exception) and not isinstance(error, ImportError):
            # Decoders raise SyntaxError, OSError, struct.error and others on bad bytes.
            raise ValueError(f"cannot be read: {type(error).__name__}: {error}") from error
