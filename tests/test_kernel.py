"""The kernel's shapes, failures and threads, seen through the NumPy adapter and the C interface."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kernel import Kernel, listed

from opgen.pipeline import build

pytestmark = [pytest.mark.compiler, pytest.mark.xdist_group("kernel")]
RESIDUALS = """
import sympy as sp
import opgen
M, e, E, a, b, p, q = sp.symbols("M e E a b p q", real=True)
kepler = opgen.Implicit(residual=E - e * sp.sin(E) - M, unknown=E, inputs=[M, e], guess=M + e * sp.sin(M),
                        bounds=(M - e, M + e), auxiliary={"r": 1 - e * sp.cos(E)})
parab = opgen.Implicit(residual=E**2 - M, unknown=E, inputs=[M], guess=1.0)
pair = opgen.Implicit(residual=[p + q - a, p * q - b], unknown=[p, q], inputs=[a, b], guess={p: a, q: 0})
line = opgen.Implicit(residual=a * p - b, unknown=p, inputs=[a, b])
root = opgen.Explicit({"y": sp.sqrt(a)}, inputs=[a])
"""


@pytest.fixture(scope="module")
def ops(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("kernel")
    (root / "ops.py").write_text(RESIDUALS)
    sys.path.insert(0, str(root))
    built = build(root / "ops.py", output=root / "kernel_packages", targets=("numpy",))
    return {b.name: importlib.import_module(f"kernel_packages.{b.name}") for b in built}


SHAPES = [
    ((6,), ()), ((), (6,)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((4, 1, 3), (5, 1)), ((1,), (1, 1)), ((3, 1), (3, 7)),
    ((300, 1), (1, 50)), ((1, 50), (300, 1)), ((20000,), (1,)), ((20000, 2), (2,)), ((2, 20000), (2, 1)),
    ((0, 3), (3,)),
    ((3, 0), (3, 1)), ((2, 1, 2, 1, 2), (1, 2, 1, 2, 1)),
]  # fmt: skip


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_broadcasting_equals_numpys(ops: dict[str, Any], shapes: tuple[tuple[int, ...], ...], dtype: type) -> None:
    """Values as if the inputs had been expanded, gradients as if they had been summed afterwards."""
    op, kernel = ops["kepler"].kepler, Kernel(ops["kepler"])
    rng = np.random.default_rng(0)
    M, e = rng.uniform(0, 6, shapes[0]).astype(dtype), rng.uniform(0.1, 0.8, shapes[1]).astype(dtype)
    shape = np.broadcast_shapes(*shapes)
    full = [np.ascontiguousarray(np.broadcast_to(a, shape)) for a in (M, e)]
    got, want = listed(op(M, e)), listed(op(*full))
    for a, b in zip(got, want, strict=True):
        assert a.shape == shape
        assert a.dtype == dtype
        np.testing.assert_array_equal(a, b)
    g = [rng.standard_normal(shape).astype(dtype) for _ in range(2)]
    y = [np.asarray(want[0])]
    apart = kernel.adjoint(full, y, g)
    for together, each in zip(kernel.adjoint([M, e], y, g), apart, strict=True):
        axes = tuple(range(len(shape) - together.ndim))
        total = each.astype(np.float64).sum(axis=axes) if axes else each.astype(np.float64)
        ones = tuple(i for i, n in enumerate(together.shape) if n == 1 and total.shape[i] != 1)
        total = total.sum(axis=ones, keepdims=True) if ones else total
        size = np.abs(each).sum() + 1
        np.testing.assert_allclose(together, total, rtol=0, atol=size * (1e-14 if dtype is np.float64 else 1e-6))


def test_strided_inputs_are_read_in_place(ops: dict[str, Any]) -> None:
    """Transposed, stepped, reversed, expanded and byte-swapped arrays."""
    op = ops["kepler"].kepler
    base = np.random.default_rng(0).uniform(0, 6, (8, 6))
    for view in (base.T, base[::2], base[:, ::-1], base[1::3, ::2].T, np.broadcast_to(base[0], (5, 6))):
        np.testing.assert_array_equal(op(view, 0.5).E, op(np.ascontiguousarray(view), 0.5).E)
    np.testing.assert_array_equal(op(base.astype(">f8"), 0.5).E, op(base, 0.5).E)
    record = np.zeros(4, dtype=[("pad", "i1"), ("M", "f8")])
    record["M"] = base[0, :4]
    np.testing.assert_array_equal(op(record["M"], 0.5).E, op(base[0, :4], 0.5).E)


def test_gradients_do_not_depend_on_the_number_of_threads(ops: dict[str, Any]) -> None:
    """Bit for bit, with a scalar input that sums over all points."""
    kernel = Kernel(ops["kepler"])
    rng = np.random.default_rng(0)
    M, e = rng.uniform(0, 6, 100_003), np.array(0.6)
    y = [ops["kepler"].kepler(M, e).E]
    g = [rng.standard_normal(M.shape), None]
    one, two, five = (kernel.adjoint([M, e], y, g, threads=t) for t in (1, 2, 5))
    for a, b, c in zip(one, two, five, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


def test_calls_from_many_threads_at_once(ops: dict[str, Any]) -> None:
    """The pool is shared; results are not."""
    op = ops["kepler"].kepler
    M = np.random.default_rng(0).uniform(0, 6, 50_000)
    want = {e: op(M, e).E for e in (0.1, 0.3, 0.5, 0.7)}
    wrong: list[float] = []

    def work(e: float) -> None:
        for _ in range(20):
            if not np.array_equal(op(M, e).E, want[e]):
                wrong.append(e)

    threads = [threading.Thread(target=work, args=(e,)) for e in want]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


FORK = """
import multiprocessing
import numpy as np
from kernel_packages.kepler import kepler
M = np.random.default_rng(0).uniform(0, 6, 100_000)
want = kepler(M, 0.5).E.sum()
context = multiprocessing.get_context("fork")
queue = context.Queue()
child = context.Process(target=lambda: queue.put(float(kepler(M, 0.5).E.sum())))
child.start()
assert queue.get(timeout=60) == want
child.join(timeout=60)
assert child.exitcode == 0
"""


def test_a_forked_child_computes_too(ops: dict[str, Any]) -> None:
    """A child has the pool's memory but none of its threads."""
    folder = Path(ops["kepler"].__file__).parent.parent.parent
    environment = {**os.environ, "OPGEN_NUM_THREADS": "3"}
    done = subprocess.run([sys.executable, "-c", FORK], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_all_operators_of_a_process_share_one_pool(ops: dict[str, Any]) -> None:
    """Three libraries, four threads: the caller's and three more."""
    folder = Path(ops["kepler"].__file__).parent.parent.parent
    code = """
import os
import numpy as np
before = len(os.listdir("/proc/self/task"))
from kernel_packages.kepler import kepler
from kernel_packages.parab import parab
from kernel_packages.line import line
M = np.ones(200_000)
kepler(M, 0.5), parab(M), line(M, M)
print(len(os.listdir("/proc/self/task")) - before)"""
    environment = {**os.environ, "OPGEN_NUM_THREADS": "4"}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "3", done.stderr


def test_loading_an_operator_leaves_denormal_numbers_alone(ops: dict[str, Any]) -> None:
    """-ffast-math in a shared library would flush them to zero in the whole process."""
    ops["parab"].parab(np.ones(100_000))
    assert np.float64(5e-324) / np.float64(1) * np.float64(1) == 5e-324
    assert np.array([2.3e-308]) * np.array([0.5]) != 0


def test_the_failure_sentence(ops: dict[str, Any]) -> None:
    """Which operator, how many points, where, what was tried, what to do."""
    parab, error = ops["parab"].parab, ops["parab"].SolveError
    with pytest.raises(error) as caught:
        parab(np.array([4.0, -1.0, 9.0]))
    assert str(caught.value) == (
        "parab: 1 of 3 points did not converge; first at index [1] (M = -1): residual 1 after 50 iterations; "
        'give a guess or bounds, or on_failure="nan"'
    )
    assert isinstance(caught.value, ArithmeticError)
    with pytest.raises(
        error, match=r"2 of 6 points did not converge; first at index \[1, 0\] \(M = -2\): residual 2 after 9 it"
    ):
        parab(np.array([[4.0, 1.0, 1.0], [-2.0, -3.0, 1.0]]), max_iterations=9)
    with pytest.raises(error, match=r"1 of 1 points did not converge; first at index \[\] \(M = -1\)"):
        parab(-1.0)
    with pytest.raises(
        ops["kepler"].SolveError,
        match=r"1 of 2 points failed; first at index \[1\] \(M = nan, e = 0.5\): an input is not finite",
    ):
        ops["kepler"].kepler(np.array([1.0, np.nan]), 0.5)
    with pytest.raises(error, match=r"first at index \[0\] \(M = inf\): an input is not finite; mend the input"):
        parab(np.array([np.inf]))
    with pytest.raises(
        ops["line"].SolveError, match=r"line: 1 of 1 points did not converge.*the linear system is singular there"
    ):
        ops["line"].line(0.0, 1.0)
    with pytest.raises(
        ops["root"].SolveError,
        match=r"root: 1 of 2 points have no finite value; first at index \[1\] \(a = -1\).*domain",
    ):
        ops["root"].root(np.array([1.0, -1.0]))


def test_the_lowest_failing_index_is_named_whatever_thread_found_it(ops: dict[str, Any]) -> None:
    """Failures all over a large call."""
    M = np.ones(200_000)
    M[[150_001, 70_007, 199_999]] = -1
    with pytest.raises(ops["parab"].SolveError, match=r"3 of 200000 points did not converge; first at index \[70007\]"):
        ops["parab"].parab(M)


def test_policies(ops: dict[str, Any]) -> None:
    """NaN or the last iterate, and no other point is touched."""
    parab = ops["parab"].parab
    x = np.array([4.0, -1.0, 9.0, np.nan])
    np.testing.assert_array_equal(parab(x, on_failure="nan"), [2, np.nan, 3, np.nan])
    kept = parab(x, on_failure="keep")
    assert kept[0] == 2
    assert abs(kept[1]) < 1e-6  # where |F| is least
    solution = parab.solve(x)
    assert solution.converged.tolist() == [True, False, True, False]
    assert solution.iterations[1] == 50
    assert solution.residual_norm[1] == pytest.approx(1)


def test_singular_points_have_no_gradient(ops: dict[str, Any]) -> None:
    """Simple, multiple and fold points; near a fold the gradient is large and right."""
    parab, pair = ops["parab"], ops["pair"]
    g = [np.ones(2)]
    with pytest.raises(
        parab.SolveError, match=r"parab: dF/dE is singular at 1 of 2 points; first at index \[1\] \(M = 0\)"
    ):
        Kernel(parab).adjoint([np.array([4.0, 0.0])], [np.array([2.0, 0.0])], g)
    gradient = Kernel(parab).adjoint([np.array([4.0, 0.0])], [np.array([2.0, 0.0])], g, on_failure="nan")
    np.testing.assert_array_equal(gradient[0], [0.25, 0])
    a, b = np.array([4.0, 5.0]), np.array([4.0, 4.0])
    y = listed(pair.pair(a, b))
    with pytest.raises(
        pair.SolveError, match=r"pair: F_y is singular at 1 of 2 points; first at index \[0\] \(a = 4, b = 4\)"
    ):
        Kernel(pair).adjoint([a, b], y, [np.ones(2), None])
    a, b = np.array([4.0]), np.array([3.9999])
    y = listed(pair.pair(a, b))
    found = Kernel(pair).adjoint([a, b], y, [np.ones(1), None])
    np.testing.assert_allclose(found[0], 0.5 * (1 + a / np.sqrt(a**2 - 4 * b)), rtol=1e-8)


def test_points_that_are_no_roots_add_nothing(ops: dict[str, Any]) -> None:
    """NaN, and last iterates that were kept."""
    M, y = np.array([4.0, -1.0, 9.0]), [np.array([2.0, 0.3, np.nan])]
    np.testing.assert_array_equal(Kernel(ops["parab"]).adjoint([M], y, [np.ones(3)])[0], [0.25, 0, 0])


def test_warm_start_chooses_the_root(ops: dict[str, Any]) -> None:
    """Per point; a NaN start means the default one."""
    got = ops["parab"].parab(np.array([4.0, 4.0, 4.0]), initial=np.array([-1.5, 1.5, np.nan]))
    np.testing.assert_array_equal(got, [-2, 2, 2])
    p, q = ops["pair"].pair(np.array([5.0]), np.array([4.0]), initial=(np.array([0.5]), np.array([4.5])))
    assert (p[0], q[0]) == (pytest.approx(1), pytest.approx(4))
    with pytest.raises(ValueError, match="initial does not broadcast to the inputs' shape"):
        ops["parab"].parab(np.ones(3), initial=np.ones((2, 3)))


def test_shapes_that_do_not_broadcast(ops: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"kepler: the shapes of M \[3\], e \[2\] do not broadcast"):
        ops["kepler"].kepler(np.ones(3), np.ones(2))


def test_tolerance_and_iterations_are_obeyed(ops: dict[str, Any]) -> None:
    loose, tight = (ops["parab"].parab.solve(np.array([2.0]), tol=t) for t in (1e-2, None))
    assert loose.iterations[0] < tight.iterations[0]
    assert abs(tight.value[0] - 2**0.5) < 3e-16
    assert not ops["parab"].parab.solve(np.array([2.0]), max_iterations=1).converged[0]


def test_the_package_runs_without_opgen_sympy_or_a_framework(ops: dict[str, Any]) -> None:
    """In a process of its own, from a copy of the folder."""
    folder = Path(ops["kepler"].__file__).parent.parent
    code = (
        "import numpy, sys; from kernel_packages.kepler import kepler; kepler(numpy.ones(2), 0.5);"
        "bad = {'opgen', 'sympy', 'tensorflow', 'torch', 'jax'} & set(sys.modules); sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder.parent, env=os.environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
