# SPDX-License-Identifier: MIT
"""Trained models as ONNX graphs: what `Model.to_onnx` and `LanguageModel.to_onnx` write."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError as error:
    raise ImportError("`to_onnx` needs onnx: pip install 'pydarts-nas[onnx]'") from error

from pydarts import _core
from pydarts.common.files import check_free, replace_file
from pydarts.export import layers
from pydarts.models.image_model import Model
from pydarts.models.language_model import LanguageModel
from pydarts.spaces.recurrent import RecurrentGenotype

OPSET = 17
_IR_VERSION = 8  # the file format that came with the opset: any later runtime reads it

_Trained = TypeVar("_Trained", Model, LanguageModel)


class _Graph:
    """Nodes and constants as they are added; a value is referred to by its name.

    Weights become constants under the names of the network's state.
    """

    def __init__(self, state: Mapping[str, NDArray[Any]], prefix: str = ""):
        self.state, self.prefix = state, prefix
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: Any) -> str:
        """A constant, once however often it is asked for."""
        self.constants.setdefault(name, numpy_helper.from_array(np.asarray(value), name))
        return name

    def weight(self, name: str) -> str:
        return self.constant(name, self.state[name])

    def add(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """The value of an operator of one output."""
        return self.split(kind, *inputs, outputs=(output,), **attributes)[0]

    def split(
        self, kind: str, *inputs: str, outputs: tuple[str | None, ...], **attributes: Any
    ) -> list[str]:
        """The values of an operator, by the names that are given or else by new ones."""
        name = f"{self.prefix}{kind}_{len(self.nodes)}"
        named = [given or f"{name}:{k}" for k, given in enumerate(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, named, name, **attributes))
        return named

    def model(
        self,
        inputs: dict[str, tuple[int, list[Any]]],
        outputs: dict[str, list[Any]],
        properties: dict[str, str],
    ) -> onnx.ModelProto:
        """The whole model, checked; inputs are (type, shape), outputs are float32."""
        graph = helper.make_graph(
            self.nodes,
            "pydarts",
            [helper.make_tensor_value_info(name, *what) for name, what in inputs.items()],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                for name, shape in outputs.items()
            ],
            list(self.constants.values()),
        )
        proto = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=_IR_VERSION,
            producer_name="pydarts",
            producer_version=_core.__version__,
        )
        helper.set_model_props(proto, properties)
        onnx.checker.check_model(proto, full_check=True)
        return proto


def write_image_model(model: Model, path: str | os.PathLike[str], overwrite: bool = False) -> None:
    """Write a trained network over images: what `Model.to_onnx` does.

    Parameters
    ----------
    model : Model
    path : path
    overwrite : bool
        Whether a file that exists is replaced.

    Raises
    ------
    FileExistsError
        If the file exists and `overwrite` is not set.
    """
    _write(image_graph, model, Path(path), overwrite)


def write_text_model(
    model: LanguageModel, path: str | os.PathLike[str], overwrite: bool = False
) -> None:
    """Write a trained language model: what `LanguageModel.to_onnx` does.

    Parameters
    ----------
    model : LanguageModel
    path, overwrite
        See `write_image_model`.
    """
    _write(text_graph, model, Path(path), overwrite)


def _write(
    graph: Callable[[_Trained], onnx.ModelProto], model: _Trained, path: Path, overwrite: bool
) -> None:
    check_free(overwrite, path)
    replace_file(path, graph(model).SerializeToString())


# Images


def image_graph(model: Model) -> onnx.ModelProto:
    """Return the graph from ``images`` to ``logits``.

    Parameters
    ----------
    model : Model

    Returns
    -------
    onnx.ModelProto
        Its input ``images`` (N, C, H, W), float32, takes images as `Model.predict` does.
    """
    c, net = model.config, model.network
    g = _Graph(net.state_dict())
    mean, std = (
        g.constant(name, np.asarray(values, np.float32)[:, np.newaxis, np.newaxis])
        for name, values in model.normalization.to_dict().items()
    )
    x = g.add("Div", g.add("Sub", "images", mean), std)
    s0 = s1 = _layer(g, layers.stem(net.in_channels, c.channels), "stem", x)
    for i, cell in enumerate(layers.cells(net.genotype, c.channels, c.cells)):
        s0, s1 = s1, _cell(g, cell, f"cells.{i}", (s0, s1))
    features = g.add("Flatten", g.add("GlobalAveragePool", s1))
    weight, bias = g.weight("classifier.weight"), g.weight("classifier.bias")
    g.add("Gemm", features, weight, bias, output="logits", transB=1)
    return g.model(
        {"images": (TensorProto.FLOAT, ["N", net.in_channels, "H", "W"])},
        {"logits": ["N", len(model.labels)]},
        {"genotype": str(model.genotype), "classes": json.dumps(list(map(str, model.classes)))},
    )


def _cell(g: _Graph, cell: layers.Cell, name: str, before: tuple[str, str]) -> str:
    states = [
        _layer(g, layer, f"{name}.preprocess{k}", x)
        for k, (layer, x) in enumerate(zip(cell.preprocess, before, strict=True))
    ]
    for k in range(0, len(cell.edges), 2):
        operands = [
            _layer(g, layer, f"{name}._ops.{e}", states[source])
            for e, (layer, source) in enumerate(cell.edges[k : k + 2], start=k)
        ]
        states.append(g.add("Add", *operands))
    return g.add("Concat", *(states[i] for i in cell.concat), axis=1)


def _layer(g: _Graph, layer: layers.Layer, name: str, x: str) -> str:
    match layer:
        case layers.Chain(stages):
            for stage, at in zip(stages, layer.names(name), strict=True):
                x = _stage(g, stage, at, x)
        case layers.Pool(kind, stride):
            operator = {"max": "MaxPool", "avg": "AveragePool"}[kind]
            # Of the average, ONNX leaves the padding out unless told otherwise.
            x = g.add(operator, x, kernel_shape=[3, 3], strides=[stride] * 2, pads=[1] * 4)
        case layers.FactorizedReduce(_, outputs):
            x = g.add("Relu", x)
            # A pixel less at the start, one of zeros more at the end, of both axes.
            shift = g.constant("shift", np.array([0, 0, -1, -1, 0, 0, 1, 1]))
            first, second = layer.convs
            both = (
                _stage(g, first, f"{name}.conv_1", x),
                _stage(g, second, f"{name}.conv_2", g.add("Pad", x, shift)),
            )
            x = _stage(g, layers.Norm(outputs), f"{name}.bn", g.add("Concat", *both, axis=1))
    return x


def _stage(g: _Graph, stage: layers.Stage, name: str, x: str) -> str:
    match stage:
        case layers.Relu():
            return g.add("Relu", x)
        case layers.Conv():
            return g.add(
                "Conv",
                x,
                g.weight(f"{name}.weight"),
                kernel_shape=stage.kernel,
                strides=stage.stride,
                dilations=[stage.dilation] * 2,
                pads=stage.padding * 2,
                group=stage.groups,
            )
        case layers.Norm():
            parts = ("weight", "bias", "running_mean", "running_var")
            return g.add("BatchNormalization", x, *(g.weight(f"{name}.{part}") for part in parts))


# Text

_ACTIVATIONS = {"tanh": "Tanh", "relu": "Relu", "sigmoid": "Sigmoid"}


def text_graph(model: LanguageModel) -> onnx.ModelProto:
    """Return the graph from tokens and state to logits and state.

    Parameters
    ----------
    model : LanguageModel

    Returns
    -------
    onnx.ModelProto
        Its inputs are ``tokens`` (T, B), int64, and ``hidden`` (B, H), the state before them; its
        outputs are ``logits`` (T, B, V) of what follows each, and the state after, ``last_hidden``.
    """
    vocab_size, size = len(model.vocabulary), model.config.hidden_size
    g = _Graph(model.network.state_dict())
    encoder = g.weight("encoder.weight")
    embedded = g.add("Gather", encoder, "tokens")
    _, outputs = g.split(
        "Scan",
        "hidden",
        embedded,
        outputs=("last_hidden", None),
        body=_step(g, model.genotype, size),
        num_scan_inputs=1,
    )
    products = g.add("MatMul", outputs, g.add("Transpose", encoder, perm=[1, 0]))
    g.add("Add", products, g.weight("decoder.bias"), output="logits")
    return g.model(
        {"tokens": (TensorProto.INT64, ["T", "B"]), "hidden": (TensorProto.FLOAT, ["B", size])},
        {"logits": ["T", "B", vocab_size], "last_hidden": ["B", size]},
        {"genotype": str(model.genotype), "tokens": json.dumps(list(model.vocabulary.tokens))},
    )


def _step(outer: _Graph, genotype: RecurrentGenotype, size: int) -> onnx.GraphProto:
    """The body of the Scan: from state and input to state, once to carry on and once to output."""
    g = _Graph(outer.state, "step_")

    def highway(carried: str, read: str, weight: str, activation: str) -> str:
        product = g.add("MatMul", read, outer.weight(weight))
        gate, update = g.split("Split", product, outputs=(None, None), axis=1)
        if activation != "identity":
            update = g.add(_ACTIVATIONS[activation], update)
        change = g.add("Mul", g.add("Sigmoid", gate), g.add("Sub", update, carried))
        return g.add("Add", carried, change)

    both = g.add("Concat", "x", "state", axis=1)
    states = [highway("state", both, "rnns.0._W0", "tanh")]
    for i, (activation, source) in enumerate(genotype.recurrent):
        s = states[source]
        states.append(highway(s, s, f"rnns.0._Ws.{i}", activation))
    g.add("Mean", *(states[i] for i in genotype.concat), output="next_state")
    g.add("Identity", "next_state", output="output")
    inputs, outputs = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", size]) for name in names]
        for names in (("state", "x"), ("next_state", "output"))
    )
    return helper.make_graph(g.nodes, "cell", inputs, outputs)
