# SPDX-License-Identifier: MIT
"""Sizes, names, initial values and loading of the networks' state."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import plain
import pytest
from nets import Net, snapshot, supernet
from plain import Array

import pydarts
from pydarts.tasks.image_runs import cosine

Shapes = dict[str, tuple[int, ...]]


def test_anchors() -> None:
    assert pydarts.Supernet().num_weights == 1_930_618
    assert pydarts.Network(pydarts.DARTS_V1).num_weights == 3_169_414
    assert pydarts.Network(pydarts.DARTS_V2).num_weights == 3_349_342
    assert cosine(0.025, 0.001, 49, 50) == pytest.approx(1.023679e-3, rel=1e-6)
    assert cosine(0.025, 0.001, 0, 50) == 0.025
    assert cosine(0.025, 0.0, 25, 50) == pytest.approx(0.0125)


def norm(name: str, channels: int, affine: bool) -> Shapes:
    """Return the arrays of a BN."""
    parts = ["running_mean", "running_var", *(["weight", "bias"] if affine else [])]
    return {f"{name}.{part}": (channels,) for part in parts}


def reduce_or_project(name: str, kind: str, inputs: int, channels: int, affine: bool) -> Shapes:
    """Return the arrays of a factorized reduce, or of ReLU-1×1-BN."""
    if kind == "reduce":
        half = (channels // 2, inputs, 1, 1)
        convolutions = {f"{name}.conv_1.weight": half, f"{name}.conv_2.weight": half}
        return {**convolutions, **norm(f"{name}.bn", channels, affine)}
    weight = {f"{name}.op.1.weight": (channels, inputs, 1, 1)}
    return {**weight, **norm(f"{name}.op.2", channels, affine)}


def operation(name: str, candidate: str, channels: int, stride: int, affine: bool) -> Shapes:
    """Return the arrays of a candidate; pools have a BN in the search network only."""
    kind, _, size = candidate.partition("_conv_")
    if candidate == "skip_connect" and stride == 2:
        return reduce_or_project(name, "reduce", channels, channels, affine)
    if "pool" in candidate:
        return {} if affine else norm(f"{name}.1", channels, affine)
    if kind not in ("sep", "dil"):
        return {}
    shapes: Shapes = {}
    k = int(size[0])
    for at in (1, 5) if kind == "sep" else (1,):
        shapes[f"{name}.op.{at}.weight"] = (channels, 1, k, k)
        shapes[f"{name}.op.{at + 1}.weight"] = (channels, channels, 1, 1)
        shapes |= norm(f"{name}.op.{at + 2}", channels, affine)
    return shapes


def expected_shapes(
    channels: int,
    cells: int,
    classes: int,
    in_channels: int,
    genotype: pydarts.Genotype | None = None,
) -> Shapes:
    """Return SPEC §6 for a supernet, or for the network of a genotype."""
    affine = genotype is not None
    stem = 3 * channels
    shapes: Shapes = {"stem.0.weight": (stem, in_channels, 3, 3), **norm("stem.1", stem, True)}
    inputs, halved = [stem, stem], False
    for i in range(cells):
        reduction = i in (cells // 3, 2 * cells // 3)
        channels *= 2 if reduction else 1
        cell = f"cells.{i}"
        for k in (0, 1):
            kind = "reduce" if halved and k == 0 else "project"
            shapes |= reduce_or_project(f"{cell}.preprocess{k}", kind, inputs[k], channels, affine)
        if genotype is None:
            edges = [(j, n) for n in range(4) for j in range(n + 2)]
            for e, (source, _) in enumerate(edges):
                stride = 2 if reduction and source < 2 else 1
                for k, candidate in enumerate(plain.OPERATIONS):
                    name = f"{cell}._ops.{e}._ops.{k}"
                    shapes |= operation(name, candidate, channels, stride, affine)
        else:
            for n, (candidate, source) in enumerate(
                genotype.reduce if reduction else genotype.normal
            ):
                stride = 2 if reduction and source < 2 else 1
                shapes |= operation(f"{cell}._ops.{n}", candidate, channels, stride, affine)
        inputs, halved = [inputs[1], 4 * channels], reduction
    return {**shapes, "classifier.weight": (classes, inputs[1]), "classifier.bias": (classes,)}


SIZES = [(4, 3, 10, 3), (3, 8, 2, 1), (2, 1, 3, 2), (1, 2, 2, 1), (2, 5, 7, 4), (16, 8, 10, 3)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("genotype", [None, pydarts.DARTS_V1, pydarts.DARTS_V2], ids=("", "1", "2"))
def test_names_and_shapes(
    size: tuple[int, int, int, int], genotype: pydarts.Genotype | None
) -> None:
    net = pydarts.Network(genotype, *size) if genotype else pydarts.Supernet(*size)
    shapes = {name: a.shape for name, a in net.state_dict().items()}
    assert shapes == expected_shapes(*size, genotype)
    count = sum(a.size for name, a in net.state_dict().items() if ".running_" not in name)
    assert net.num_weights == count
    groups = {} if genotype else {"normal": (14, 8), "reduce": (14, 8)}
    assert {name: a.shape for name, a in net.alphas.items()} == groups


@pytest.mark.parametrize("make", [lambda s: pydarts.Supernet(seed=s), lambda s: derived_with(s)])
def test_initial_values(make: Callable[[int], Net]) -> None:
    net = make(0)
    for name, a in net.state_dict().items():
        if name.endswith("running_mean") or (a.ndim == 1 and name.endswith("bias")):
            assert name == "classifier.bias" or not a.any(), name
        elif a.ndim == 1:
            assert (a == 1).all(), name
        else:
            bound = np.prod(a.shape[1:]) ** -0.5
            assert abs(a).max() <= bound * (1 + 1e-6), name
            if a.size > 1000:
                assert abs(a).max() > 0.98 * bound, name
                assert a.std() == pytest.approx(bound / 3**0.5, rel=0.1), name
                assert abs(a.mean()) < 0.1 * bound, name
    bias = net.state_dict()["classifier.bias"]
    assert 0 < abs(bias).max() <= net.state_dict()["classifier.weight"].shape[1] ** -0.5
    for alphas in net.alphas.values():
        assert alphas.std() == pytest.approx(1e-3, rel=0.3)
    assert snapshot(make(0)) == snapshot(net)
    assert snapshot(make(1)) != snapshot(net)


def derived_with(seed: int) -> pydarts.Network:
    """Return a derived network with initial values of that seed."""
    return pydarts.Network(pydarts.DARTS_V1, 16, 6, seed=seed)


# Loading


def test_state_goes_round() -> None:
    source, target = supernet("float64", seed=1), supernet("float32", seed=2)
    state = source.state_dict()
    state["cells.0.preprocess0.op.2.num_batches_tracked"] = np.array(7)  # PyTorch's, ignored
    target.load_state_dict(state)
    del state["cells.0.preprocess0.op.2.num_batches_tracked"]
    for name, a in target.state_dict().items():
        assert np.array_equal(a, state[name].astype(np.float32)), name
        a[...] = 0  # a copy
    assert any(a.any() for a in target.state_dict().values())


def spoil(kind: str, values: dict[str, Array], name: str) -> dict[str, Array]:
    """Return values of which one does not fit."""
    spoilt = {**values, name: values[name].copy()}
    if kind == "missing":
        del spoilt[name]
    elif kind == "unknown":
        spoilt["nonsense"] = np.zeros(1)
    elif kind == "shape":
        spoilt[name] = spoilt[name].T[..., :1]
    else:
        spoilt[name].flat[-1] = float(kind)
    return spoilt


@pytest.mark.parametrize("kind", ["missing", "unknown", "shape", "nan", "inf"])
@pytest.mark.parametrize("what", ["state", "alphas"])
def test_what_does_not_fit_is_refused_whole(kind: str, what: str) -> None:
    net = supernet()
    before = snapshot(net)
    moved = {
        name: a + 1 for name, a in (net.alphas if what == "alphas" else net.state_dict()).items()
    }
    name = "reduce" if what == "alphas" else "classifier.weight"
    named = "nonsense" if kind == "unknown" else name
    with pytest.raises(ValueError, match=rf"`{what}.*{named}"):
        (net.set_alphas if what == "alphas" else net.load_state_dict)(spoil(kind, moved, name))
    assert snapshot(net) == before
