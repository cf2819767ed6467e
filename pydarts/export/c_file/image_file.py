# SPDX-License-Identifier: MIT
"""A trained network over images or sounds as a C file: what `Model.to_c` writes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pydarts import _core
from pydarts.common.checks import boolean
from pydarts.common.errors import ArgumentError
from pydarts.common.files import check_free, replace_file
from pydarts.data.images import as_images, check_consistent
from pydarts.export.c_file.float_code import FloatCode
from pydarts.export.c_file.front_end import FrontEnd
from pydarts.export.c_file.image_code import Code, Input, image_code
from pydarts.export.c_file.int8_code import Int8Code
from pydarts.export.c_file.program import Program, program
from pydarts.export.c_file.quantization import (
    Quantized,
    input_units,
    quantize,
    quantized_images,
    run_quantized,
)
from pydarts.export.c_file.report import CFile, Loss
from pydarts.export.c_file.source import LICENCE, checked_name
from pydarts.models.image_model import Model
from pydarts.models.objectives import Regression
from pydarts.spaces import layers

_BATCH = 64


def write_image_model(
    model: Model,
    path: str | os.PathLike[str],
    name: str = "model",
    int8: bool = False,
    calibration: Any = None,
    *,
    test: Any = None,
    overwrite: bool = False,
) -> CFile:
    """Write a trained network over images: what `Model.to_c` does.

    Parameters
    ----------
    model : Model
    path, name, int8, calibration, test, overwrite
        See `pydarts.Model.to_c`.

    Returns
    -------
    CFile
    """
    prefix, file = checked_name(name), Path(path)
    boolean("int8", int8)
    for argument, value in (("calibration", calibration), ("test", test)):
        if value is not None and not int8:
            raise ArgumentError(argument, "is of no use without `int8`=True")
    if int8 and calibration is None:
        problem = "(=None) is needed by `int8`=True: images whose activations give the ranges"
        raise ArgumentError("calibration", problem)
    check_free(overwrite, file)
    steps = image_program(model)
    code: Code = FloatCode(steps, prefix)
    loss = None
    normalization, zero = model.normalization, 0
    mean, unit = (np.asarray(v, np.float32) for v in (normalization.mean, normalization.std))
    levels: NDArray[np.int8] | None = None
    if int8:
        images, labels = _images(model, "calibration", calibration)
        quantized = quantize(steps, normalization.apply(images))
        if test is not None:
            images, labels = _images(model, "test", test)
        loss = _loss(model, quantized, images, labels)
        code, scale = Int8Code(quantized, prefix), quantized.scales[0]
        unit, zero = input_units(scale, normalization.std), scale.zero
        if model.preprocessing.rate is None:
            every = np.tile(np.arange(256, dtype=np.uint8), (len(mean), 1))[np.newaxis, :, :, None]
            levels = quantized_images(scale, every, mean, normalization.std)
    front_end = None
    if model.preprocessing.kind == "log_mel":
        front_end = FrontEnd.of(model.preprocessing, model.image_size[1])
    sound = model.preprocessing.rate is not None
    given = Input(mean, unit, zero, levels, sound, front_end)
    text = image_code(steps, code, given, _about(model, prefix, int8, front_end))
    replace_file(file, text.text.encode())
    return CFile(file, text.constants, text.arena, steps.macs, loss)


def image_program(model: Model) -> Program:
    """Return the steps of a model for images of the size that it was trained on."""
    c, net = model.config, model.network
    plan = layers.network(net.genotype, c.channels, c.cells, net.in_channels, c.stem)
    height, width = model.image_size
    state = net.state_dict()
    if isinstance(model.objective, Regression):  # numbers come out as they are predicted
        std, mean = (np.asarray(v, np.float32) for v in _scale(model.objective))
        state["classifier.weight"] = state["classifier.weight"] * std[:, np.newaxis]
        state["classifier.bias"] = state["classifier.bias"] * std + mean
    return program(plan, state, net.in_channels, (height, width))


def _scale(objective: Regression) -> tuple[Any, Any]:
    return objective.targets.std, objective.targets.mean


def raw_images(model: Model, X: Any) -> NDArray[Any]:
    """Return images as they are before the normalisation, spectrograms of sounds."""
    prepared, dimensions = model.preprocessing.apply(X), model.space.dimensions
    return np.asarray(as_images(prepared, image_layout=model.image_layout, dimensions=dimensions))


def _images(model: Model, argument: str, given: Any) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Raw images, and the numbers of their labels if they are given."""
    X, y = given if isinstance(given, tuple) and len(given) == 2 else (given, None)
    try:
        images = raw_images(model, X)
        if y is not None:
            check_consistent(images, y)
    except ArgumentError as error:
        raise type(error)(argument, f"{error.argument} {error.problem}") from error
    wanted = (model.network.in_channels, *model.image_size)
    if images.shape[1:] != wanted:
        problem = f"holds images of {images.shape[1:]}, but the model takes {wanted}"
        raise ArgumentError(argument, problem)
    return images, None if y is None else model.objective.targets.encode(y)


def _loss(
    model: Model, quantized: Quantized, images: NDArray[Any], labels: NDArray[Any] | None
) -> Loss:
    normalization, scale = model.normalization, quantized.scales[0]
    objective = model.objective
    both: list[list[NDArray[Any]]] = [[], []]
    for start in range(0, len(images), _BATCH):
        part = images[start : start + _BATCH]
        logits = model.network.logits(normalization.apply(part), training=False)
        integers = quantized_images(scale, part, normalization.mean, normalization.std)
        both[0].append(logits)
        both[1].append(run_quantized(quantized, integers))
    floats, ints = map(np.concatenate, both)
    agreement = None
    if isinstance(objective, Regression):
        std, mean = _scale(objective)
        ints = ((ints - mean) / std).astype(np.float32)
    else:
        same = objective.predictions(floats) == objective.predictions(ints)
        agreement = float(same.mean())
    if labels is None:
        return Loss(len(images), objective.metric, agreement)
    scores = (objective.score(found, labels) for found in (floats, ints))
    return Loss(len(images), objective.metric, agreement, *scores)


def _about(model: Model, prefix: str, int8: bool, front_end: FrontEnd | None) -> list[str]:
    channels, (height, width) = model.network.in_channels, model.image_size
    shape = f"({channels}, {height}, {width})"
    if model.space.dimensions == 1:
        shape = f"({channels}, {width})"
    takes = f"an image {shape}, pixels as `predict` takes them"
    if front_end is not None:
        length = model.preprocessing.length or front_end.samples
        takes = f"{length} samples at {model.preprocessing.rate} a second, full scale being 1"
    elif model.space.dimensions == 1:
        takes = f"a signal {shape}, samples as `predict` takes them"
    told = "numbers" if isinstance(model.objective, Regression) else "logits"
    classes = ", ".join(map(str, model.classes))
    shown = classes if len(classes) <= 400 else classes[:400] + " ..."
    kind = "int8" if int8 else "float"
    return [
        *LICENCE,
        f"A network of pydarts {_core.__version__} in {kind}: {model.genotype}",
        f"{prefix}_predict takes {takes}, and gives {len(model.classes)} {told}, of: {shown}",
    ]
