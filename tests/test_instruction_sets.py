# SPDX-License-Identifier: MIT
"""Every instruction set of this machine computes the same."""

from __future__ import annotations

import numpy as np
import pytest
from nets import run_python
from plain import Array

from pydarts import _core

every_isa = [name for name, supported in _core.instruction_sets() if supported]

COMPUTE = """
import numpy as np, pydarts
rng = np.random.default_rng(0)
out = {}
for dtype in ("float32", "float64"):
    for kind in ("supernet", "derived"):
        size = dict(channels=5, cells=3, classes=3, in_channels=2, dtype=dtype, threads=2)
        if kind == "supernet":
            net = pydarts.Supernet(**size)
            net.set_alphas({n: rng.normal(size=(14, 8)) for n in ("normal", "reduce")})
        else:
            net = pydarts.Network(pydarts.DARTS_V1, **size, auxiliary=True)
        rng = np.random.default_rng(1)
        x, y = rng.normal(size=(9, 2, 13, 18)), rng.integers(0, 3, 9)
        loss, grads = net.loss_and_grads(x, y)
        key = f"{dtype} {kind} "
        out[key + "loss"] = loss
        out[key + "logits"] = net.logits(x, training=False)
        for gradients in grads.values():
            out.update({key + name: a for name, a in gradients.items()})
assert pydarts._core.instruction_set() == sys.argv[1], pydarts._core.instruction_set()
np.savez(sys.argv[2], **out)
"""


@pytest.fixture(scope="module")
def by_isa(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Array]]:
    """Return what each instruction set of this machine computes."""
    results = {}
    for isa in every_isa:
        path = tmp_path_factory.mktemp("isa") / "out.npz"
        code = f"sys.argv = ['', {isa!r}, {str(path)!r}]\n{COMPUTE}"
        done = run_python(code, PYDARTS_ISA=isa)
        assert done.returncode == 0, done.stderr
        with np.load(path) as arrays:
            results[isa] = dict(arrays)
    return results


@pytest.mark.slow
@pytest.mark.parametrize("isa", every_isa[1:])
@pytest.mark.parametrize(("dtype", "tol"), [("float32", 1e-4), ("float64", 1e-10)])
def test_instruction_sets_agree(
    by_isa: dict[str, dict[str, Array]], isa: str, dtype: str, tol: float
) -> None:
    expected, actual = by_isa[every_isa[0]], by_isa[isa]
    assert actual.keys() == expected.keys()
    for kind in ("supernet", "derived"):
        names = [name for name in expected if name.startswith(f"{dtype} {kind}")]
        assert len(names) > 20
        largest = max(abs(expected[name]).max(initial=0) for name in names)
        for name in names:
            limit = tol * max(abs(expected[name]).max(initial=0), 1e-3 * largest)
            np.testing.assert_allclose(
                actual[name], expected[name], rtol=0, atol=limit, err_msg=name
            )


def test_the_best_one_is_the_default() -> None:
    fits = [name for name in every_isa if name != "avx512-wide" or _core.full_width_512()]
    code = "import pydarts; print(pydarts._core.instruction_set())"
    done = run_python(code, PYDARTS_ISA=None)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == fits[-1]


def test_an_unknown_instruction_set_is_refused() -> None:
    code = "import pydarts, numpy as np; pydarts.Supernet(1, 3).logits(np.ones((2, 3, 4, 4)))"
    done = run_python(code, PYDARTS_ISA="nonsense")
    assert done.returncode == 1
    assert "PYDARTS_ISA (=nonsense)" in done.stderr
