"""GMRES on its own: against SciPy's and Eigen's, and in every way in which a system can be difficult."""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gmres import compiled
from gmres.compiled import Array
from scipy.sparse.linalg import gmres as scipy_gmres

pytestmark = pytest.mark.compiler

CONVERGED, MAX_ITERATIONS, STAGNATED, NOT_FINITE = range(4)
EIGEN = Path("/usr/include/eigen3")


class Outcome(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_void_p) for name in ("iterations", "residual", "status", "dimension"))


@dataclass(frozen=True)
class Solved:
    x: Array
    iterations: Array
    residual: Array
    status: Array
    dimension: Array


def room(n: int) -> tuple[Array, Array, Array, Array]:
    return np.zeros(n, np.int64), np.zeros(n), np.zeros(n, np.int64), np.zeros(n, np.int64)


def pointer(array: Array | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if array is None else array.ctypes.data)


def solve(
    A: Array,
    b: Array,
    *,
    tol: float = 1e-10,
    restart: int = 50,
    limit: int = 1000,
    inverse: Array | None = None,
    start: Array | None = None,
) -> Solved:
    """Solve a batch [N, n, n], [N, n], or one system; check what it claims."""
    batch = A.ndim == 3
    A, b, inverse, start = (
        None if a is None else np.ascontiguousarray(a if batch else a[None], b.dtype) for a in (A, b, inverse, start)
    )
    N, n = b.shape
    x, out = np.zeros_like(b), room(N)
    fail = compiled.driver().solve_dense(
        pointer(A), pointer(inverse), pointer(b), pointer(start), pointer(x),
        ctypes.c_int64(N), ctypes.c_int64(n), ctypes.c_int(b.dtype == np.float32),
        ctypes.c_double(tol), ctypes.c_int64(restart), ctypes.c_int64(limit), Outcome(*map(pointer, out)),
    )  # fmt: skip
    assert fail == 0
    iterations, residual, status, dimension = out
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        true = np.linalg.norm(b - np.einsum("aij,aj->ai", A, x), axis=1) / np.linalg.norm(b, axis=1)
    assert np.all((status != CONVERGED) | (residual <= tol)), "success above the tolerance"
    slack = 1e-5 if b.dtype == np.float32 else 1e-13
    assert np.all((status != CONVERGED) | ~(true > tol + slack)), "a residual that is not the true one"
    assert np.all(iterations <= limit)
    return Solved(x if batch else x[0], iterations, residual, status, dimension)


def eigen_solve(A: Array, b: Array, restart: int, tol: float) -> tuple[Array, int, float]:
    if not EIGEN.is_dir():
        pytest.skip(f"Eigen is not at {EIGEN}: apt-get install libeigen3-dev")
    source = compiled.HERE / "eigen.cc"
    command = [compiled.compiler(), "-std=c++20", "-O1", "-fPIC", "-shared", "-isystem", str(EIGEN), str(source)]
    library = ctypes.CDLL(str(compiled.made("eigen.so", command, source.read_text())))
    x, iterations, error = np.zeros_like(b), ctypes.c_int64(), ctypes.c_double()
    library.eigen_solve(
        pointer(A), pointer(b), pointer(x), ctypes.c_int64(len(b)), ctypes.c_double(tol), ctypes.c_int64(restart),
        ctypes.c_int64(1000), ctypes.byref(iterations), ctypes.byref(error),
    )  # fmt: skip
    return x, iterations.value, error.value


def matrices(rng: np.random.Generator) -> dict[str, Array]:
    """The matrices on which implementations are compared."""
    n = 40
    R, Q = rng.normal(size=(n, n)), np.linalg.qr(rng.normal(size=(n, n)))[0]
    return {
        "gram": R @ R.T / n + np.eye(n),
        "diagonally dominant": R / np.sqrt(n) + 4 * np.eye(n),
        "indefinite": Q @ np.diag(np.r_[-np.linspace(1, 3, n // 2), np.linspace(1, 3, n - n // 2)]) @ Q.T,
        "convection": 4 * np.eye(n) - 2.5 * np.eye(n, k=-1) - 0.5 * np.eye(n, k=1),
        "orthogonal": Q,
        "scaled by 1e-200": 1e-200 * (R / np.sqrt(n) + 4 * np.eye(n)),
    }


NAMES = ["gram", "diagonally dominant", "indefinite", "convection", "orthogonal"]


@pytest.mark.parametrize("restart", [40, 12])
@pytest.mark.parametrize("name", NAMES)
def test_iterations_and_residual_are_those_of_scipy(name: str, restart: int) -> None:
    rng = np.random.default_rng(1)
    A, b = matrices(rng)[name], rng.normal(size=40)
    steps: list[float] = []
    # SciPy's maxiter counts restarts; it stops on the recurrence of the residual, as a cycle of ours does.
    y, info = scipy_gmres(A, b, rtol=1e-9, restart=restart, maxiter=40, callback=steps.append, callback_type="pr_norm")
    ours = solve(A, b, tol=1e-9, restart=restart, limit=40 * restart)
    assert (info == 0) == (ours.status[0] == CONVERGED)
    if info == 0:
        assert abs(int(ours.iterations[0]) - len(steps)) <= 1
        assert np.allclose(ours.x, y, rtol=0, atol=1e-7)


@pytest.mark.parametrize("restart", [40, 12])
@pytest.mark.parametrize("name", ["gram", "diagonally dominant", "indefinite", "convection"])
def test_iterations_and_residual_are_those_of_eigen(name: str, restart: int) -> None:
    rng = np.random.default_rng(1)
    A, b = matrices(rng)[name], rng.normal(size=40)
    y, iterations, error = eigen_solve(A, b, restart, 1e-9)
    ours = solve(A, b, tol=1e-9, restart=restart)
    if error <= 1e-9 and np.linalg.norm(b - A @ y) <= 1.01e-9 * np.linalg.norm(b):
        assert ours.status[0] == CONVERGED
        # Eigen builds one vector beyond the restart before it starts again, and counts that too.
        cycles = -(-iterations // restart)
        assert abs(int(ours.iterations[0]) - iterations) <= 1 + cycles
        assert np.allclose(ours.x, y, rtol=0, atol=1e-7)


def test_product_only() -> None:
    rng = np.random.default_rng(2)
    n = 100
    R, b = rng.normal(size=(n, n)), rng.normal(size=n)
    x, products, out = np.zeros(n), ctypes.c_int64(), room(1)
    compiled.driver().solve_gram(
        pointer(R), pointer(b), pointer(x), ctypes.c_int64(n), ctypes.c_double(1e-13), ctypes.byref(products),
        Outcome(*map(pointer, out)),
    )  # fmt: skip
    A = R @ R.T + np.eye(n)
    assert out[2][0] == CONVERGED
    assert np.linalg.norm(b - A @ x) <= 1e-10 * np.linalg.norm(b)
    assert np.allclose(x, np.linalg.solve(A, b), rtol=1e-10, atol=1e-10)
    assert out[0][0] <= products.value <= out[0][0] + 8, "one product a column, one a cycle for the true residual"


def test_happy_breakdown_ends_with_the_solution() -> None:
    # b lies in the span of three eigenvectors: the Krylov space closes after three columns.
    A, b = np.diag(np.arange(1.0, 11)), np.r_[1.0, 1, 1, np.zeros(7)]
    ours = solve(A, b, tol=1e-14)
    assert ours.status[0] == CONVERGED
    assert ours.iterations[0] == 3
    assert ours.dimension[0] == 3
    assert np.allclose(ours.x, b / np.arange(1.0, 11), rtol=1e-14, atol=0)


def test_restart_is_clipped_and_may_be_one() -> None:
    A, b = np.array([[4.0, 1, 0], [1, 3, 1], [0, 1, 5]]), np.array([1.0, 2, 3])
    for restart in (1, 2, 3, 1000):
        ours = solve(A, b, tol=1e-12, restart=restart)
        assert ours.status[0] == CONVERGED
        assert np.allclose(ours.x, np.linalg.solve(A, b), rtol=1e-11, atol=0)
        assert ours.dimension[0] <= restart


def test_progress_that_comes_only_with_the_last_column() -> None:
    n = 12
    A, b = np.roll(np.eye(n), 1, axis=0), np.eye(n)[0]
    full = solve(A, b, restart=n)
    assert full.status[0] == CONVERGED
    assert full.iterations[0] == n
    assert solve(A, b, restart=n - 1).status[0] == STAGNATED


def test_singular_systems() -> None:
    A = np.diag([1.0, 2, 3, 0])
    consistent = solve(A, np.array([1.0, 1, 1, 0]))
    assert consistent.status[0] == CONVERGED
    assert consistent.dimension[0] < 4
    inconsistent = solve(A, np.array([1.0, 1, 1, 1]))
    assert inconsistent.status[0] == STAGNATED
    assert inconsistent.residual[0] == pytest.approx(0.5, rel=1e-6), "the least residual there is"
    nilpotent = solve(np.array([[0.0, 1], [0, 0]]), np.array([0.0, 1]))
    assert nilpotent.status[0] == STAGNATED
    assert nilpotent.residual[0] == 1
    zero = solve(np.zeros((1, 1)), np.ones(1))
    assert (zero.status[0], zero.iterations[0], zero.residual[0], zero.x[0]) == (STAGNATED, 1, 1, 0)
    rng = np.random.default_rng(3)
    R = rng.normal(size=(30, 29))
    dense = solve(R @ R.T, rng.normal(size=30), tol=1e-12)
    assert dense.status[0] == STAGNATED


def test_ill_conditioned_never_claims_more_than_it_has() -> None:
    n = 10
    hilbert = 1 / (np.arange(n)[:, None] + np.arange(n)[None] + 1.0)
    for tol in (1e-6, 1e-12, 1e-16, 0.0):
        assert solve(hilbert, np.ones(n), tol=tol).status[0] in (CONVERGED, STAGNATED, MAX_ITERATIONS)
    assert solve(hilbert, np.ones(n), tol=0.0).status[0] != CONVERGED


def test_zero_right_hand_side() -> None:
    for start in (None, np.ones(3)):
        ours = solve(np.eye(3), np.zeros(3), start=start)
        assert (ours.status[0], ours.iterations[0], ours.residual[0]) == (CONVERGED, 0, 0)
        assert not ours.x.any()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_said(bad: float) -> None:
    A, b = np.eye(3) + 0.1, np.ones(3)
    assert solve(A, np.array([1, bad, 1])).status[0] == NOT_FINITE
    broken = A.copy()
    broken[1, 2] = bad
    ours = solve(broken, b)
    assert ours.status[0] == NOT_FINITE
    assert np.isfinite(ours.x).all()


def test_iteration_limit() -> None:
    rng = np.random.default_rng(4)
    A, b = matrices(rng)["gram"], rng.normal(size=40)
    ours = solve(A, b, tol=1e-12, limit=5)
    assert (ours.status[0], ours.iterations[0]) == (MAX_ITERATIONS, 5)
    assert ours.residual[0] == pytest.approx(np.linalg.norm(b - A @ ours.x) / np.linalg.norm(b), rel=1e-10)


def test_preconditioner_and_start() -> None:
    rng = np.random.default_rng(5)
    A, b = matrices(rng)["gram"], rng.normal(size=40)
    x = np.linalg.solve(A, b)
    plain = solve(A, b)
    exact = solve(A, b, inverse=np.linalg.inv(A), tol=1e-9)
    assert exact.status[0] == CONVERGED
    assert exact.iterations[0] <= 2 < plain.iterations[0]
    scaled = np.diag(10.0 ** np.linspace(-4, 4, 40)) @ A
    jacobi = np.diag(1 / np.diag(scaled))
    assert solve(scaled, scaled @ x, inverse=jacobi, tol=1e-8).status[0] == CONVERGED
    assert solve(A, b, start=x, tol=1e-12).iterations[0] == 0
    near = solve(A, b, start=x + 1e-6)
    assert near.status[0] == CONVERGED
    assert near.iterations[0] < plain.iterations[0]
    assert solve(A, b, start=np.full(40, np.nan)).status[0] == NOT_FINITE


def test_sizes_far_from_one() -> None:
    rng = np.random.default_rng(6)
    A, b = matrices(rng)["scaled by 1e-200"], rng.normal(size=40)
    ours = solve(A * 1e-50, b * 1e-250)
    assert ours.status[0] == CONVERGED
    assert np.allclose(ours.x * 1e-200, np.linalg.solve(A * 1e200, b) * 1e-200, rtol=1e-7, atol=0)


def test_float32() -> None:
    rng = np.random.default_rng(7)
    A, b = matrices(rng)["gram"].astype(np.float32), rng.normal(size=40).astype(np.float32)
    ours = solve(A, b, tol=1e-5)
    assert ours.x.dtype == np.float32
    assert ours.status[0] == CONVERGED
    assert np.allclose(ours.x, np.linalg.solve(A.astype(float), b), atol=1e-3)
    assert solve(A, b, tol=1e-12).status[0] == STAGNATED


def test_systems_of_a_batch_do_not_touch_each_other() -> None:
    rng = np.random.default_rng(8)
    N, n = 50, 5
    A, b = rng.normal(size=(N, n, n)) + 3 * np.eye(n), rng.normal(size=(N, n))
    A[7, 2, 3] = np.nan
    A[11] = 0
    A[13] = np.diag([1, 2, 3, 4, 0])
    b[17] = 0
    b[19, 0] = np.inf
    A[23] *= 1e-30
    A[29] = np.eye(n)
    batch = solve(A, b, tol=1e-12)
    expected = np.full(N, CONVERGED)
    expected[[7, 19]], expected[[11, 13]] = NOT_FINITE, STAGNATED
    assert np.array_equal(batch.status, expected)
    assert batch.iterations[29] == 1
    assert batch.iterations[17] == 0
    for i in range(N):
        alone = solve(A[i], b[i], tol=1e-12)
        assert np.array_equal(alone.x, batch.x[i], equal_nan=True), i
        assert alone.iterations[0] == batch.iterations[i]
        if expected[i] == CONVERGED and b[i].any():
            assert np.allclose(alone.x, np.linalg.solve(A[i], b[i]), rtol=1e-9)


def test_empty() -> None:
    assert solve(np.zeros((0, 3, 3)), np.zeros((0, 3))).x.shape == (0, 3)


def test_advice_is_a_sentence() -> None:
    for status in range(4):
        assert len(compiled.driver().gmres_advice(ctypes.c_int64(status))) > 20


@pytest.mark.parametrize(("N", "n"), [(1_000_000, 1), (200_000, 3), (1, 100_000)])
def test_many_small_systems_and_one_large_one_take_seconds_at_most(N: int, n: int) -> None:
    d, b, x, out = np.random.default_rng(9).uniform(1, 2, (N, n)), np.ones((N, n)), np.zeros((N, n)), room(N)
    began = time.perf_counter()
    compiled.driver().solve_diagonal(
        pointer(d), pointer(b), pointer(x), ctypes.c_int64(N), ctypes.c_int64(n), ctypes.c_double(1e-12),
        ctypes.c_int64(30), ctypes.c_int64(1000), Outcome(*map(pointer, out)),
    )  # fmt: skip
    print(f"{N} x {n}: {time.perf_counter() - began:.3f} s, {out[0].max()} iterations")
    assert (out[2] == CONVERGED).all()
    assert np.allclose(x, b / d, rtol=1e-10)
    assert time.perf_counter() - began < 20


def test_type_of_the_outcome_has_no_padding() -> None:
    fields: Any = Outcome._fields_
    assert ctypes.sizeof(Outcome) == 8 * len(fields)
