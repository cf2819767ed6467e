# SPDX-License-Identifier: MIT
"""The implicit hypergradient against closed forms and against its formula, step by step."""

from __future__ import annotations

from itertools import islice, pairwise
from typing import Any

import numpy as np
import pytest
from nets import batch, snapshot, supernet
from numpy.typing import NDArray

import pydarts
from pydarts.bilevel import arch_gradient, implicit_gradient
from pydarts.methods.implicit import neumann_series

Array = NDArray[Any]
SIZE, ALPHAS = 12, 5
EIGENVALUES = np.linspace(0.5, 4.0, SIZE)
ETA = 0.3


class Quadratic:
    """L_train = wᵀHw / 2 - wᵀBa and L_valid = |w - t|² / 2 + c·a, so that w*(a) = H⁻¹Ba."""

    def __init__(self, eigenvalues: Array = EIGENVALUES, decay: float = 0.0):
        rng = np.random.default_rng(0)
        self.basis = np.linalg.qr(rng.normal(size=(SIZE, SIZE)))[0]
        self.hessian = self.basis * eigenvalues @ self.basis.T
        self.mixed, self.target = rng.normal(size=(SIZE, ALPHAS)), rng.normal(size=SIZE)
        self.direct, self.alphas = rng.normal(size=(2, ALPHAS))
        self.decay, self.calls = decay, 0
        self.flat_weights = self.minimum(self.alphas)

    def minimum(self, alphas: Array) -> Array:
        found: Array = np.linalg.solve(self.matrix(), self.mixed @ alphas)
        return found

    def matrix(self, damping: float = 0.0) -> Array:
        """The Hessian with weight decay and damping."""
        found: Array = self.hessian + (self.decay + damping) * np.eye(SIZE)
        return found

    def gradients(self, batch: str, weights: Array, wrt: tuple[str, ...]) -> dict[str, Array]:
        self.calls += 1
        if batch == "valid":
            found = {"weights": weights - self.target, "alphas": self.direct}
        else:
            by_weights = self.hessian @ weights - self.mixed @ self.alphas
            found = {"weights": by_weights, "alphas": -self.mixed.T @ weights}
        return {name: found[name] for name in wrt}

    def split_alphas(self, flat: Array) -> dict[str, Array]:
        return {"all": flat}

    def gradient(self, **options: Any) -> Array:
        given = {"eta": ETA, "weight_decay": self.decay, **options}
        return implicit_gradient(self, train="train", valid="valid", **given)["all"]

    def exact(self, damping: float = 0.0) -> Array:
        inverse = np.linalg.solve(self.matrix(damping), self.flat_weights - self.target)
        found: Array = self.direct + self.mixed.T @ inverse
        return found


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_exact_on_a_quadratic_problem(decay: float) -> None:
    problem = Quadratic(decay=decay)
    actual = problem.gradient(terms=400)
    np.testing.assert_allclose(actual, problem.exact(), rtol=1e-9)
    # It is the derivative of the validation loss at the minimum, found with no formula at all.
    along, h = np.random.default_rng(1).normal(size=ALPHAS), 1e-4

    def reached(alphas: Array) -> float:
        distance = problem.minimum(alphas) - problem.target
        return float(distance @ distance / 2 + problem.direct @ alphas)

    slope = (reached(problem.alphas + h * along) - reached(problem.alphas - h * along)) / (2 * h)
    assert actual @ along == pytest.approx(slope, rel=1e-8)
    # Without the decay it is another one.
    if decay:
        assert not np.allclose(problem.gradient(terms=400, weight_decay=0.0), actual, rtol=1e-2)


@pytest.mark.parametrize("terms", [0, 1, 2, 3, 7, 20])
@pytest.mark.parametrize("damping", [0.0, 0.7])
def test_the_error_after_some_terms(terms: int, damping: float) -> None:
    problem = Quadratic()
    matrix, v = problem.matrix(damping), problem.flat_weights - problem.target
    left = np.linalg.matrix_power(np.eye(SIZE) - ETA * matrix, terms) @ np.linalg.solve(matrix, v)
    expected = problem.exact(damping) - problem.mixed.T @ left
    actual = problem.gradient(terms=terms, damping=damping)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-10)
    assert problem.calls == (2 * terms + 1 if terms else 1)


def test_the_error_falls_geometrically() -> None:
    problem = Quadratic()
    # Along an eigenvector every term is the one before times 1 - eta (eigenvalue + damping).
    for k in (0, SIZE // 2, SIZE - 1):
        problem.target = problem.flat_weights - problem.basis[:, k]
        ratio = 1 - ETA * (EIGENVALUES[k] + 0.2)
        errors = [
            np.linalg.norm(problem.gradient(terms=terms, damping=0.2) - problem.exact(0.2))
            for terms in range(6)
        ]
        for before, after in pairwise(errors):
            assert after == pytest.approx(abs(ratio) * before, rel=1e-6)


def test_it_ends_where_rounding_does() -> None:
    problem = Quadratic(np.full(SIZE, 2.0))
    assert problem.gradient(terms=1000, eta=0.5) == pytest.approx(problem.exact(), rel=1e-10)
    assert problem.calls < 60  # the second term is rounding, and the fifth is lost in it
    problem.target = problem.flat_weights  # no gradient of the weights: nothing is implicit
    np.testing.assert_array_equal(problem.gradient(terms=5), problem.direct)


@pytest.mark.parametrize(
    ("eigenvalues", "options", "match"),
    [
        (EIGENVALUES, {"eta": 0.6}, r"`eta` \(=0\.6\) must be less"),
        (EIGENVALUES - 1.5, {}, r"`damping` \(=0\) must be larger"),
        (EIGENVALUES - 1.5, {"damping": 0.9}, r"`damping` \(=0\.9\) must be larger"),
        (EIGENVALUES - 1.5, {"damping": 1.1, "eta": 0.6}, r"`eta` \(=0\.6\) must be less"),
    ],
)
def test_a_series_that_diverges(eigenvalues: Array, options: Any, match: str) -> None:
    problem = Quadratic(eigenvalues)
    with pytest.raises(ArithmeticError, match=rf"the series diverges at term \d+, .*{match}"):
        problem.gradient(terms=500, **options)
    problem.gradient(terms=2, **options)  # a few of its terms are what they are


def test_growth_is_seen_while_terms_are_short() -> None:
    problem = Quadratic(np.r_[-0.5, np.full(SIZE - 1, 3.0)])
    small, large = problem.basis[:, 0], problem.basis[:, 1]
    problem.target = problem.flat_weights - large - 1e-4 * small
    # Terms are 0.1^k and 1e-4 * 1.15^k long: from the seventh on they grow, far below the first.
    with pytest.raises(ArithmeticError, match=r"term 1\d,.*`damping` \(=0\)"):
        problem.gradient(terms=20)


def test_with_damping_enough_it_converges() -> None:
    problem = Quadratic(EIGENVALUES - 1.5)
    actual = problem.gradient(terms=2000, damping=1.1)
    np.testing.assert_allclose(actual, problem.exact(1.1), rtol=1e-8)


def test_sums_of_the_series() -> None:
    problem = Quadratic()
    matrix, v = problem.matrix(0.5), np.random.default_rng(2).normal(size=SIZE)
    expected, term = np.zeros(SIZE), v
    for actual in islice(neumann_series(lambda u: problem.hessian @ u, v, ETA, 0.5), 10):
        expected = expected + ETA * term
        term = term - ETA * matrix @ term
        np.testing.assert_allclose(actual, expected, rtol=1e-12)


# Networks

DECAY = 0.02


def spaced(name: str) -> pydarts.Supernet:
    return pydarts.Supernet(
        2, 2, classes=3, in_channels=2, dtype="float64", seed=1, threads=1, space=name
    )


def text_net(dropout: float = 0.0, dtype: str = "float64") -> pydarts.RecurrentSupernet:
    names = ("dropout", "dropout_hidden", "dropout_input", "dropout_embedding")
    options: Any = dict.fromkeys(names, dropout)
    return pydarts.RecurrentSupernet(11, 6, dtype=dtype, seed=2, threads=1, **options)


def segment(seed: int) -> tuple[Array, Array]:
    tokens = np.random.default_rng(seed).integers(0, 11, (6, 4))
    return tokens[:-1], tokens[1:]


def close(actual: dict[str, Array], expected: dict[str, Array], tol: float) -> None:
    assert actual.keys() == expected.keys()
    for name, e in expected.items():
        np.testing.assert_allclose(actual[name], e, rtol=0, atol=tol * abs(e).max(), err_msg=name)


def flat(parts: dict[str, Array]) -> Array:
    return np.concatenate([part.ravel() for part in parts.values()])


def composed(net: Any, train: Any, valid: Any, terms: int, eta: float, damping: float) -> Any:
    """Return the hypergradient from gradients at weights that are written into the network."""
    own = np.array(net.flat_weights)

    def at(weights: Array, data: Any) -> tuple[Array, Array]:
        net.flat_weights[:] = weights
        _, found = net.loss_and_grads(*data)
        net.flat_weights[:] = own
        return flat(found["weights"]), flat(found["alphas"])

    def along(u: Array) -> tuple[Array, Array]:
        h = 0.01 / np.sqrt((u**2).sum())
        plus, minus = at(own + h * u, train), at(own - h * u, train)
        return (plus[0] - minus[0]) / (2 * h), (plus[1] - minus[1]) / (2 * h)

    v, direct = at(own, valid)
    q, term = np.zeros_like(v), v
    for _ in range(terms):
        q += eta * term
        term = term - eta * (along(term)[0] + (DECAY + damping) * term)
    return net.split_alphas(direct - along(q)[1])


@pytest.mark.parametrize("kind", ["images", "text"])
def test_networks_are_what_the_formula_says(kind: str) -> None:
    net: Any = supernet() if kind == "images" else text_net()
    make = batch if kind == "images" else lambda seed: segment(seed)
    train, valid = (batch(seed=1), batch(5, seed=2)) if kind == "images" else (make(1), make(2))
    eta = 0.005 if kind == "images" else 0.02
    for terms in (1, 3):
        options: Any = {"terms": terms, "eta": eta, "damping": 0.05}
        actual = implicit_gradient(net, train=train, valid=valid, weight_decay=DECAY, **options)
        close(actual, composed(net, train, valid, **options), 1e-8)
    # Each part of it is large enough to be missed.
    for other in ({"terms": 2}, {"damping": 0.2}, {"eta": 1.1 * eta}):
        with pytest.raises(AssertionError):
            close(actual, composed(net, train, valid, **{**options, **other}), 1e-5)


@pytest.mark.parametrize("kind", ["images", "text"])
def test_one_term_is_the_second_order_without_its_step(kind: str) -> None:
    net: Any = supernet() if kind == "images" else text_net()
    train, valid = (
        (batch(seed=1), batch(5, seed=2)) if kind == "images" else (segment(1), segment(2))
    )
    # A momentum that undoes gradient and decay: w' = w.
    gradient = flat(net.loss_and_grads(*train, wrt="weights")[1]["weights"])
    buffer = -(gradient + DECAY * net.flat_weights) / 0.5
    bound: Any = {} if kind == "images" else {"max_grad_norm": 1e6, "clip_coef": "capped"}
    expected = arch_gradient(
        net,
        train=train,
        valid=valid,
        eta=0.4,
        momentum=0.5,
        momentum_buffer=buffer,
        weight_decay=DECAY,
        **bound,
    )
    for damping in (0.0, 3.0):
        actual = implicit_gradient(net, train=train, valid=valid, terms=1, eta=0.4, damping=damping)
        close(actual, expected, 1e-8)
    first = implicit_gradient(net, train=train, valid=valid, terms=0)
    close(first, arch_gradient(net, train=train, valid=valid, order=1), 1e-12)
    with pytest.raises(AssertionError):
        close(first, expected, 1e-4)


def test_what_a_network_has_by_default() -> None:
    net = supernet()
    given: Any = {"train": batch(seed=1), "valid": batch(seed=2)}
    usual = implicit_gradient(net, **given, terms=2)
    close(usual, implicit_gradient(net, **given, terms=2, eta=0.025, weight_decay=3e-4), 0.0)
    assert {name: a.dtype for name, a in usual.items()} == dict.fromkeys(usual, np.float64)
    with pytest.raises(AssertionError):
        close(usual, implicit_gradient(net, **given, terms=2, weight_decay=0.0), 1e-9)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("kind", ["float32", "noise", "text"])
def test_a_network_stays_as_it_is(kind: str, fails: bool) -> None:
    net: Any = text_net(0.3, "float32") if kind == "text" else supernet("float32")
    if kind == "noise":
        net = spaced("s4")
    train, valid = (segment(1), segment(2)) if kind == "text" else (batch(seed=1), batch(seed=2))
    net.loss_and_grads(*(segment(3) if kind == "text" else batch(seed=3)))
    before, state = snapshot(net), {name: np.array(a) for name, a in net.state().items()}
    last = net.last_hidden if kind == "text" else None
    options: Any = {"terms": 30, "eta": 1e4} if fails else {"terms": 3, "eta": 0.01}
    if fails:
        with pytest.raises(ArithmeticError):
            implicit_gradient(net, train=train, valid=valid, **options)
    else:
        first = implicit_gradient(net, train=train, valid=valid, **options)
        close(implicit_gradient(net, train=train, valid=valid, **options), first, 0.0)
    assert snapshot(net) == before
    for name, a in net.state().items():
        np.testing.assert_array_equal(a, state[name], err_msg=name)
    if kind == "text":
        assert net.last_hidden is last


@pytest.mark.parametrize("kind", ["noise", "text"])
def test_differences_see_neither_noise_nor_masks(kind: str) -> None:
    # Else the difference of two draws over a step so short would be all there is.
    net: Any = text_net(0.3) if kind == "text" else spaced("s4")
    train, valid = (segment(1), segment(2)) if kind == "text" else (batch(seed=1), batch(seed=2))
    wide, short = (
        implicit_gradient(net, train=train, valid=valid, terms=1, eta=0.1, epsilon=epsilon)
        for epsilon in (1e-5, 1e-7)
    )
    close(short, wide, 1e-3)


def test_hidden_states_are_of_their_batches() -> None:
    net = text_net()
    states = np.random.default_rng(0).normal(size=(2, 4, 6))
    given: Any = {"train": segment(1), "valid": segment(2), "terms": 1, "eta": 1.0}
    actual = implicit_gradient(net, **given, hidden=(states[0], states[1]))
    parts = [implicit_gradient(net, **given, hidden=each) for each in ((states[0], None), None)]
    for other in (*parts, implicit_gradient(net, **given, hidden=(None, states[1]))):
        with pytest.raises(AssertionError):
            close(actual, other, 1e-6)
    first = implicit_gradient(net, **{**given, "terms": 0}, hidden=(None, states[1]))
    expected = net.loss_and_grads(*segment(2), hidden=states[1], wrt="alphas")[1]["alphas"]
    close(first, expected, 1e-12)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"terms": -1}, r"`terms` \(=-1\)"),
        ({"terms": 2.0}, r"`terms` \(=2\.0\)"),
        ({"damping": -0.1}, r"`damping` \(=-0\.1\)"),
        ({"eta": 0.0}, r"`eta` \(=0\.0\)"),
        ({"epsilon": 0.0}, r"`epsilon` \(=0\.0\)"),
        ({"weight_decay": -1.0}, r"`weight_decay` \(=-1\.0\)"),
        ({"train": np.zeros(3)}, "`train` must be a pair"),
        ({"valid": (np.zeros((2, 5, 7, 9)), [0, 1])}, r"`valid\[0\]` has 5 channels"),
        ({"train": (np.zeros((2, 2, 7, 9)), [0, 7])}, r"`train\[1\]` holds the label 7"),
        ({"hidden": (np.zeros((2, 3)), None)}, "`hidden` is for recurrent networks"),
    ],
)
def test_bad_arguments(options: Any, match: str) -> None:
    net = supernet()
    before = snapshot(net)
    with pytest.raises(ValueError, match=match):
        implicit_gradient(net, **{"train": batch(), "valid": batch(), "terms": 1, **options})
    assert snapshot(net) == before


def test_bad_oracles() -> None:
    problem: Any = Quadratic()
    with pytest.raises(TypeError, match=r"`oracle` \(=3\) has no `flat_weights`"):
        implicit_gradient(3, train=0, valid=0, terms=1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"`eta` \(=None\) must be given"):
        implicit_gradient(problem, train="train", valid="valid", terms=1)
    with pytest.raises(TypeError, match="`hidden` is for recurrent networks"):
        problem.gradient(terms=1, hidden=(None, None))
    problem.mixed[0, 0] = np.nan
    with pytest.raises(ArithmeticError, match="respect to the weights is not finite"):
        problem.gradient(terms=2)
    with pytest.raises(ArithmeticError, match="respect to the alphas is not finite"):
        problem.gradient(terms=1)
