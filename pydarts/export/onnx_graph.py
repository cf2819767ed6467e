# SPDX-License-Identifier: MIT
"""Trained models as ONNX graphs: what `Model.to_onnx` and `LanguageModel.to_onnx` write."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
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
from pydarts.models.image_model import Model
from pydarts.models.language_model import LanguageModel
from pydarts.models.objectives import Regression
from pydarts.spaces import layers
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
    """Return the graph from ``images`` to ``logits``, of a regression to ``predictions``.

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
    plan = layers.network(net.genotype, c.channels, c.cells, net.in_channels, c.stem)
    before = [x]
    for chain in plan.stems:
        before.append(_chain(g, chain, before[-1]))
    before = before[-2:] if len(plan.stems) > 1 else [before[-1]] * 2
    for cell in plan.cells:
        before = [before[-1], _cell(g, cell, before)]
    last = _chain(g, plan.tail, before[-1])
    features = g.add("Flatten", g.add("GlobalAveragePool", last))
    weight, bias = g.weight("classifier.weight"), g.weight("classifier.bias")
    regression = isinstance(model.objective, Regression)
    output = "predictions" if regression else "logits"
    last = g.add("Gemm", features, weight, bias, output=None if regression else output, transB=1)
    if isinstance(model.objective, Regression):
        targets = model.objective.targets
        scale = g.constant("target_std", np.asarray(targets.std, np.float32))
        shift = g.constant("target_mean", np.asarray(targets.mean, np.float32))
        g.add("Add", g.add("Mul", last, scale), shift, output=output)
    properties = {
        "genotype": str(model.genotype),
        "classes": json.dumps(list(map(str, model.classes))),
        "task": model.task,
    }
    return g.model(
        {"images": (TensorProto.FLOAT, ["N", net.in_channels, "H", "W"])},
        {output: ["N", model.objective.outputs]},
        properties,
    )


def _cell(g: _Graph, cell: layers.Cell, before: Sequence[str]) -> str:
    taken = before[-len(cell.inputs) :]
    states = [_chain(g, chain, x) for chain, x in zip(cell.inputs, taken, strict=True)]
    for node in cell.nodes:
        operands = [_chain(g, edge.chain, states[edge.source]) for edge in node]
        states.append(g.add("Sum", *operands) if len(operands) > 1 else operands[0])
    outputs = [states[i] for i in cell.outputs]
    return g.add("Concat", *outputs, axis=1) if len(outputs) > 1 else outputs[0]


def _chain(g: _Graph, chain: layers.Chain, x: str) -> str:
    for layer in chain:
        x = _layer(g, layer, x)
    return x


def _layer(g: _Graph, layer: layers.Layer, x: str) -> str:
    match layer:
        case layers.Relu():
            return g.add("Relu", x)
        case layers.Norm():
            parts = ("weight", "bias", "running_mean", "running_var")
            names = (g.weight(f"{layer.name}.{part}") for part in parts)
            return g.add("BatchNormalization", x, *names)
        case layers.Conv():
            return _conv(g, layer, g.weight(f"{layer.name}.weight"), x)
        case layers.Pool(kind, kernel, stride):
            operator = {"max": "MaxPool", "avg": "AveragePool"}[kind]
            pads = layer.padding * 2
            # Of the average, ONNX leaves the padding out unless told otherwise.
            return g.add(operator, x, kernel_shape=kernel, strides=stride, pads=pads)
        case layers.FactorizedReduce(first, second):
            # A pixel less at the start, one of zeros more at the end, of the strided axes.
            down, right = (step - 1 for step in first.stride)
            shift = np.array([0, 0, -down, -right, 0, 0, down, right])
            shifted = g.add("Pad", x, g.constant(f"shift_{down}_{right}", shift))
            both = _layer(g, first, x), _layer(g, second, shifted)
            return g.add("Concat", *both, axis=1)
        case layers.Zero(inputs, outputs, stride):
            name = f"zero_{inputs}_{outputs}"
            zeros = g.constant(name, np.zeros((outputs, inputs, 1, 1), np.float32))
            return _conv(g, layers.Conv(name, inputs, outputs, stride=stride), zeros, x)


def _conv(g: _Graph, conv: layers.Conv, weight: str, x: str) -> str:
    return g.add(
        "Conv",
        x,
        weight,
        kernel_shape=conv.kernel,
        strides=conv.stride,
        dilations=[conv.dilation] * 2,
        pads=conv.padding * 2,
        group=conv.groups,
    )


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
