"""The linear algebra of coupled operators on its own: against NumPy's and SciPy's, and where systems are difficult."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.linalg import hilbert, solve_banded

from opgen.build import flags

pytestmark = pytest.mark.compiler

ROOT = Path(__file__).parents[1]
CONVERGED, STAGNATED, LIMIT, NOT_FINITE, BREAKDOWN = range(5)
GMRES, CG = range(2)
BOTH = pytest.mark.parametrize("transposed", [False, True], ids=["plain", "transposed"])

Array = np.ndarray[Any, np.dtype[Any]]


@pytest.fixture(scope="module", params=["native", "baseline"])
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The harness, compiled as kernels are: for this processor, and for the narrowest registers of its family."""
    compiler = (os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++") or "g++").split()
    target = tmp_path_factory.mktemp("linear") / f"{request.param}.so"
    march = ["-march=native"] if request.param == "native" else []
    own = ["-Wall", "-Wextra", "-Werror", "-fPIC", "-pthread", "-shared", f"-I{ROOT / 'opgen' / 'include'}"]
    driver = ROOT / "tests" / "linear" / "driver.cc"
    command = [*compiler, *flags.KERNEL, *march, *own, str(driver), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:4000]
    return ctypes.CDLL(str(target))


def pointer(array: Array | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if array is None else array.ctypes.data)


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def backward_error(A: Array, x: Array, b: Array) -> float:
    """How much A would have to change for x to be exact, relative to A."""
    if not len(A):
        return 0.0
    return float(np.abs(A @ x - b).max() / (np.abs(A).sum(axis=1).max() * np.abs(x).max()))


# Band and dense matrices.


@dataclass(frozen=True)
class Solved:
    x: Array
    factored: bool
    reciprocal_condition: float


def band(
    lib: ctypes.CDLL, A: Array, lower: int, upper: int, b: Array, transposed: bool = False, rounds: int = 1
) -> Solved:
    x, rc = np.atleast_2d(b).copy(), ctypes.c_double()
    ok = lib.band(
        ctypes.c_int64(len(A)), ctypes.c_int64(lower), ctypes.c_int64(upper), pointer(np.ascontiguousarray(A)),
        ctypes.c_int64(len(x)), pointer(x), int(transposed), rounds, ctypes.byref(rc),
    )  # fmt: skip
    return Solved(x.reshape(b.shape), bool(ok), rc.value)


def dense(lib: ctypes.CDLL, A: Array, b: Array, transposed: bool = False, threads: int = 0) -> Solved:
    x, rc = np.atleast_2d(b).copy(), ctypes.c_double()
    ok = lib.dense(
        ctypes.c_int64(len(A)), pointer(np.ascontiguousarray(A)), ctypes.c_int64(len(x)), pointer(x), int(transposed),
        threads, ctypes.byref(rc),
    )  # fmt: skip
    return Solved(x.reshape(b.shape), bool(ok), rc.value)


def banded(n: int, lower: int, upper: int, seed: int = 0) -> Array:
    A = np.triu(np.tril(random(seed).normal(size=(n, n)), upper), -lower)
    return A + 4 * np.eye(n) if min(lower, upper) == 0 else A  # a random triangle is as good as singular


BANDS = [(0, 0, 0), (1, 0, 0), (1, 2, 3), (2, 1, 1), (7, 0, 2), (7, 3, 0), (40, 1, 1), (50, 9, 4), (50, 60, 60),
         (200, 17, 33)]  # fmt: skip


@BOTH
@pytest.mark.parametrize(("n", "lower", "upper"), BANDS)
def test_band(library: ctypes.CDLL, n: int, lower: int, upper: int, transposed: bool) -> None:
    A, b = banded(n, lower, upper), random(1).normal(size=(3, n))
    solved = band(library, A, lower, upper, b, transposed, rounds=2)
    assert solved.factored
    for x, right in zip(solved.x, b, strict=True):
        assert backward_error(A.T if transposed else A, x, right) < 1e-14
    assert_condition(A, solved)


@BOTH
@pytest.mark.parametrize("n", [0, 1, 2, 7, 8, 9, 16, 17, 31, 64, 100, 257])
def test_dense(library: ctypes.CDLL, n: int, transposed: bool) -> None:
    A, b = random(n).normal(size=(n, n)), random(1).normal(size=(3, n))
    solved = dense(library, A, b, transposed)
    assert solved.factored
    for x, right in zip(solved.x, b, strict=True):
        assert backward_error(A.T if transposed else A, x, right) < 1e-14
    assert_condition(A, solved)


def assert_condition(A: Array, solved: Solved) -> None:
    """The estimate errs to one side, and rarely by more than a factor of three."""
    true = 1 / np.linalg.cond(A, 1) if len(A) else 1.0
    assert 0.99 * true <= solved.reciprocal_condition <= min(1.0, 10 * true)


@pytest.mark.parametrize("n", [4, 8, 12])
def test_ill_conditioned_matrices_are_told(library: ctypes.CDLL, n: int) -> None:
    A = hilbert(n)
    for solved in (dense(library, A, A[0]), band(library, A, n - 1, n - 1, A[0])):
        assert solved.factored
        assert backward_error(A, solved.x, A[0]) < 1e-15
        assert solved.reciprocal_condition == pytest.approx(1 / np.linalg.cond(A, 1), rel=0.5)


def singular(kind: str, n: int) -> Array:
    A = banded(n, 3, 3)
    match kind:
        case "zero":
            A[:] = 0
        case "row":
            A[n // 2] = 0
        case "column":
            A[:, n // 2] = 0
        case "twins":
            A = np.diag(np.full(n, 2.0)) + np.diag(np.full(n - 1, 1.0), 1)
            A[1] = 2 * A[0]
        case "last":
            A = np.triu(np.ones((n, n)))
            A[-1, -1] = 0
        case _:
            A[n // 2, n // 2 - 1] = float(kind)
    return A


@pytest.mark.parametrize("n", [5, 20, 70])
@pytest.mark.parametrize("kind", ["zero", "row", "column", "twins", "last", "nan", "inf", "-inf"])
def test_singular_matrices_are_refused(library: ctypes.CDLL, kind: str, n: int) -> None:
    A, b = singular(kind, n), np.ones(n)
    for solved in (dense(library, A, b), band(library, A, 3 if kind != "last" else 0, n - 1, b)):
        assert not solved.factored
        assert solved.reciprocal_condition == 0


def test_pivoting_saves_a_zero_on_the_diagonal(library: ctypes.CDLL) -> None:
    A, b = np.array([[0.0, 2.0], [3.0, 0.0]]), np.array([4.0, 9.0])
    for solved in (dense(library, A, b), band(library, A, 1, 1, b)):
        assert solved.x.tolist() == [3.0, 2.0]


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_scale_does_not_matter(library: ctypes.CDLL, scale: float) -> None:
    A, b = random().normal(size=(20, 20)), np.ones(20)
    plain, scaled = dense(library, A, b), dense(library, scale * A, scale * b)
    np.testing.assert_allclose(scaled.x, plain.x, rtol=1e-10)
    assert scaled.reciprocal_condition == pytest.approx(plain.reciprocal_condition, rel=1e-6)


def test_threads_do_not_change_a_dense_solution(library: ctypes.CDLL) -> None:
    A, b = random().normal(size=(300, 300)), np.ones(300)
    one = dense(library, A, b, threads=1)
    assert all(np.array_equal(one.x, dense(library, A, b, threads=threads).x) for threads in (2, 3, 0))


# Tridiagonal matrices.

ALL, SOLVE, SOLVE_TRANSPOSED = range(3)
LENGTHS = [1, 2, 3, 127, 128, 129, 511, 512, 513, 1000, 4032, 4033, 20000, 100001]


def tridiagonal(lib: ctypes.CDLL, diagonals: tuple[Array, Array, Array], b: Array, mode: int = ALL, threads: int = 0,
                x: Array | None = None) -> Array | None:  # fmt: skip
    """Solve with diagonals of n entries, or of one that stands for all; None if the matrix was refused."""
    x = np.full_like(b, 7.0) if x is None else x
    constant = sum(bit for bit, d in zip((1, 2, 4), diagonals, strict=True) if d.ndim == 0)
    n = ctypes.c_int64(len(b))
    ok = lib.tridiagonal(n, *map(pointer, diagonals), constant, pointer(b), pointer(x), mode, threads)
    return x if ok else None


def reference(diagonals: tuple[Array, Array, Array], b: Array, transposed: bool = False) -> Array:
    lower, main, upper = (np.broadcast_to(d, b.shape) for d in diagonals)
    if transposed:
        lower, upper = np.roll(upper, 1), np.roll(lower, -1)
    return solve_banded((1, 1), np.vstack([np.roll(upper, 1), main, np.roll(lower, -1)]), b, check_finite=False)


def dominant(n: int, constant: tuple[bool, bool, bool] = (False, False, False)) -> tuple[Array, Array, Array]:
    rng = random(n)
    made = [rng.uniform(0.5, 1.3, n), rng.uniform(-2.6, -2.1, n), rng.uniform(0.5, 1.3, n)]
    values = (np.array(0.9), np.array(-2.3), np.array(1.1))
    made[0][0] = made[2][-1] = np.nan  # never read
    lower, main, upper = (v if c else m for c, m, v in zip(constant, made, values, strict=True))
    return lower, main, upper


@pytest.mark.parametrize("n", LENGTHS)
def test_tridiagonal(library: ctypes.CDLL, n: int) -> None:
    diagonals, b = dominant(n), random().normal(size=n)
    for mode in (ALL, SOLVE, SOLVE_TRANSPOSED):
        x = tridiagonal(library, diagonals, b, mode)
        np.testing.assert_allclose(x, reference(diagonals, b, mode == SOLVE_TRANSPOSED), rtol=1e-11, atol=1e-13)


def test_an_empty_tridiagonal_system(library: ctypes.CDLL) -> None:
    assert tridiagonal(library, (np.empty(0), np.empty(0), np.empty(0)), np.empty(0)) is not None


@pytest.mark.parametrize("constant", list(product([False, True], repeat=3))[1:], ids=str)
def test_constant_diagonals(library: ctypes.CDLL, constant: tuple[bool, bool, bool]) -> None:
    for n, mode in product((3, 700, 4100, 9001), (ALL, SOLVE, SOLVE_TRANSPOSED)):
        diagonals, b = dominant(n, constant), random().normal(size=n)
        x = tridiagonal(library, diagonals, b, mode)
        np.testing.assert_allclose(x, reference(diagonals, b, mode == SOLVE_TRANSPOSED), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("mode", [ALL, SOLVE, SOLVE_TRANSPOSED])
def test_a_tridiagonal_solution_does_not_depend_on_threads_or_place(library: ctypes.CDLL, mode: int) -> None:
    diagonals, b = dominant(30000), random().normal(size=30000)
    x = tridiagonal(library, diagonals, b, mode, threads=1)
    for threads in (2, 3, 0):
        in_place = b.copy()
        tridiagonal(library, diagonals, in_place, mode, threads, x=in_place)
        assert np.array_equal(in_place, x)


@pytest.mark.parametrize("n", [100, 9000, 100000])
def test_poisson(library: ctypes.CDLL, n: int) -> None:
    """The solution is known: u = sin(pi x) up to the step's square, in a matrix of condition n^2."""
    h = 1 / (n + 1)
    grid = h * np.arange(1, n + 1)
    eigenvalue = 4 * np.sin(np.pi * h / 2) ** 2
    x = tridiagonal(library, (np.array(-1.0), np.array(2.0), np.array(-1.0)), eigenvalue * np.sin(np.pi * grid))
    np.testing.assert_allclose(x, np.sin(np.pi * grid), atol=1e-16 * n**2 + 1e-13)


def difficult(kind: str, n: int) -> tuple[Array, Array, Array]:
    rng = random(3)
    match kind:
        case "zeros on the diagonal":
            return np.ones(n), np.zeros(n), np.ones(n)
        case "waves":
            return np.array(1.0), np.full(n, -2 + 0.3**2), np.array(1.0)
        case "random":
            return rng.normal(size=n), rng.normal(size=n), rng.normal(size=n)
        case "one small pivot":
            main = np.full(n, 4.0)
            main[n // 3] = main[n // 3 - 1] = 1e-13
            return np.full(n, 1.0), main, np.full(n, 1.0)
        case _:
            return np.logspace(0, 30, n), -2.5 * np.logspace(0, 30, n), np.logspace(0, 30, n)


@pytest.mark.parametrize("n", [600, 5000, 20000])
@pytest.mark.parametrize("kind", ["zeros on the diagonal", "waves", "random", "one small pivot", "scaled rows"])
def test_difficult_tridiagonal_systems(library: ctypes.CDLL, kind: str, n: int) -> None:
    """Where elimination without pivoting is not safe, the solution is still that of a stable method."""
    diagonals, b = difficult(kind, n), random().normal(size=n)
    lower, main, upper = (np.broadcast_to(d, n) for d in diagonals)
    for mode in (ALL, SOLVE, SOLVE_TRANSPOSED):
        x = tridiagonal(library, diagonals, b, mode)
        assert x is not None
        below, above = (np.roll(upper, 1), np.roll(lower, -1)) if mode == SOLVE_TRANSPOSED else (lower, upper)
        residual, size = main * x - b, np.abs(main * x) + np.abs(b)
        residual[1:] += below[1:] * x[:-1]
        residual[:-1] += above[:-1] * x[1:]
        size[1:] += np.abs(below[1:] * x[:-1])
        size[:-1] += np.abs(above[:-1] * x[1:])
        if mode == SOLVE_TRANSPOSED or kind == "random":
            size = size.max()
        assert np.all(np.abs(residual) <= 1e-11 * size)


@pytest.mark.parametrize("n", [1, 50, 600, 9000])
@pytest.mark.parametrize("what", [0.0, np.nan, np.inf])
def test_refused_tridiagonal_systems(library: ctypes.CDLL, n: int, what: float) -> None:
    """A row of zeros, a NaN, an infinity."""
    for i, which in product({0, n // 2, n - 1}, range(3)):
        lower, main, upper = np.ones(n), np.full(n, 3.0), np.ones(n)
        if what == 0:
            lower[i] = main[i] = upper[i] = 0
        else:
            (lower, main, upper)[which][i] = what
        if what != 0 and (which, i) in ((0, 0), (2, n - 1)):
            continue  # never read
        for mode in (ALL, SOLVE):
            assert tridiagonal(library, (lower, main, upper), np.ones(n), mode) is None, (i, which)


# Products.


def multiply(lib: ctypes.CDLL, a: Array, b: Array, c: Array, ta: bool, tb: bool, sizes: tuple[int, int, int],
             alpha: float, beta: float, threads: int) -> Array:  # fmt: skip
    c = c.copy()
    single = a.dtype == np.float32
    number = ctypes.c_float if single else ctypes.c_double
    leading = [ctypes.c_int64(x.strides[0] // x.itemsize) for x in (a, b, c)]
    (lib.product_float if single else lib.product_double)(
        int(ta), int(tb), *map(ctypes.c_int64, sizes), number(alpha), pointer(a), leading[0], pointer(b), leading[1],
        number(beta), pointer(c), leading[2], threads,
    )  # fmt: skip
    return c


SIZES = [(0, 3, 2), (3, 0, 2), (1, 1, 1), (2, 5, 0), (3, 7, 5), (8, 16, 4), (65, 33, 17), (64, 200, 300),
         (130, 260, 140), (7, 513, 129)]  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_products(library: ctypes.CDLL, sizes: tuple[int, int, int], dtype: type) -> None:
    m, n, k = sizes
    rng = random()
    for ta, tb in product([False, True], repeat=2):
        # Rows further apart than they are long, as in a part of a matrix.
        a = rng.normal(size=(k, m + 3) if ta else (m, k + 2)).astype(dtype)
        b = rng.normal(size=(n, k + 1) if tb else (k, n + 5)).astype(dtype)
        c = rng.normal(size=(m, n + 4)).astype(dtype)
        left = a[:, :m].T if ta else a[:, :k]
        right = b[:, :k].T if tb else b[:, :n]
        for alpha, beta in ((1, 0), (-1, 1), (0.5, -2)):
            start = np.full_like(c, np.nan) if beta == 0 else c  # not read then
            found = multiply(library, a, b, start, ta, tb, sizes, alpha, beta, 0)
            expected = alpha * (left.astype(float) @ right.astype(float)) + (0 if beta == 0 else beta * c[:, :n])
            bound = np.abs(left.astype(float)) @ np.abs(right.astype(float)) + 3 * np.abs(c[:, :n])
            assert np.all(np.abs(found[:, :n] - expected) <= 4 * np.sqrt(k + 1) * np.finfo(dtype).eps * bound)
            assert np.array_equal(found[:, n:], start[:, n:], equal_nan=True), "wrote beyond a row"
            one = multiply(library, a, b, start, ta, tb, sizes, alpha, beta, 1)
            assert np.array_equal(found, one, equal_nan=True)


# Krylov methods.


@dataclass(frozen=True)
class Found:
    x: Array
    iterations: int
    residual: float
    status: int


def krylov(
    lib: ctypes.CDLL,
    A: Array | tuple[float, Array, float],
    b: Array,
    method: int = GMRES,
    *,
    inverse: Array | None = None,
    tol: float = 1e-10,
    restart: int = 50,
    limit: int = 1000,
    start: Array | None = None,
    threads: int = 0,
    rounds: int = 1,
) -> Found:
    """Solve with a dense matrix, or with a tridiagonal one (lower, diagonal, upper); check what is claimed."""
    x = np.full_like(b, np.nan) if start is None else start.copy()
    iterations, residual = ctypes.c_int64(), ctypes.c_double()
    full = isinstance(A, np.ndarray)
    lower, d, upper = (0.0, None, 0.0) if full else A
    status = lib.krylov(
        ctypes.c_int64(len(b)), pointer(A if full else None), pointer(d), ctypes.c_double(lower),
        ctypes.c_double(upper), pointer(inverse), pointer(b), pointer(x), method, ctypes.c_double(tol),
        ctypes.c_int64(restart), ctypes.c_int64(limit), int(start is not None), threads, rounds,
        ctypes.byref(iterations), ctypes.byref(residual),
    )  # fmt: skip
    found = Found(x, iterations.value, residual.value, status)
    assert status != CONVERGED or found.residual <= tol, "success above the tolerance"
    assert found.iterations <= limit
    if np.all(np.isfinite(x)) and np.all(np.isfinite(b)) and np.any(b):
        r = b - (A @ x if full else d * x + lower * np.append(0, x[:-1]) + upper * np.append(x[1:], 0))
        scale, size = np.abs(b).max(), np.linalg.norm(b / np.abs(b).max())
        true = np.linalg.norm(r / scale) / size
        rounding = 1e-13 * (1 + np.abs(x / scale).max() * np.abs(A if full else d).max())
        assert not np.isfinite(true) or found.residual == pytest.approx(true, rel=1e-2, abs=rounding)
    return found


def definite(n: int, condition: float = 1e3, seed: int = 0) -> Array:
    Q = np.linalg.qr(random(seed).normal(size=(n, n)))[0]
    A = (Q * np.geomspace(1, condition, n)) @ Q.T
    return (A + A.T) / 2


@pytest.mark.parametrize("method", [GMRES, CG])
@pytest.mark.parametrize("n", [1, 2, 10, 100])
def test_krylov(library: ctypes.CDLL, n: int, method: int) -> None:
    A, b = definite(n), random(1).normal(size=n)
    found = krylov(library, A, b, method, restart=n, rounds=2)
    assert found.status == CONVERGED
    assert found.iterations <= (n if method == GMRES else 3 * n)
    np.testing.assert_allclose(found.x, np.linalg.solve(A, b), rtol=1e-6, atol=1e-9)


def test_gmres_takes_any_regular_matrix(library: ctypes.CDLL) -> None:
    A, b = random().normal(size=(80, 80)) + 12 * np.eye(80), np.ones(80)
    assert krylov(library, A, b, restart=80).status == CONVERGED
    assert krylov(library, A, b, restart=10).status == CONVERGED
    shift = np.roll(np.eye(30), 1, axis=0)  # no progress before the last step
    found = krylov(library, shift, np.eye(30)[0], restart=30)
    assert (found.status, found.iterations) == (CONVERGED, 30)
    assert krylov(library, shift, np.eye(30)[0], restart=29).status == STAGNATED


@pytest.mark.parametrize("signs", list(product([1, -1], repeat=2)), ids=str)
def test_conjugate_gradients_take_either_sign(library: ctypes.CDLL, signs: tuple[int, int]) -> None:
    A, b = signs[0] * definite(60), random(1).normal(size=60)
    found = krylov(library, A, b, CG, inverse=signs[1] * np.full(60, 0.5))
    assert found.status == CONVERGED
    np.testing.assert_allclose(found.x, np.linalg.solve(A, b), rtol=1e-6, atol=1e-9)


def test_conjugate_gradients_see_an_indefinite_matrix(library: ctypes.CDLL) -> None:
    A = np.diag(np.r_[np.linspace(1, 2, 20), np.linspace(-2, -1, 20)])
    assert krylov(library, A, np.ones(40), CG).status == BREAKDOWN
    assert krylov(library, np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1.0, 0.0]), CG).status == BREAKDOWN
    swaps = np.r_[np.ones(20), -np.ones(20)]  # a preconditioner that is not definite
    assert krylov(library, definite(40), np.ones(40), CG, inverse=swaps).status == BREAKDOWN


@pytest.mark.parametrize("method", [GMRES, CG])
def test_a_preconditioner_saves_iterations(library: ctypes.CDLL, method: int) -> None:
    d = np.geomspace(1, 1e4, 3000) + 2
    plain = krylov(library, (-1.0, d, -1.0), np.ones(3000), method, limit=300)
    better = krylov(library, (-1.0, d, -1.0), np.ones(3000), method, inverse=1 / d)
    assert better.status == CONVERGED
    assert better.iterations < plain.iterations / 3


@pytest.mark.parametrize("method", [GMRES, CG])
def test_a_start_is_used(library: ctypes.CDLL, method: int) -> None:
    A, b = definite(40), np.ones(40)
    exact = np.linalg.solve(A, b)
    assert krylov(library, A, b, method, start=exact).iterations == 0
    near = krylov(library, A, b, method, start=exact + 1e-8 * np.ones(40))
    assert near.status == CONVERGED
    assert near.iterations < krylov(library, A, b, method).iterations


@pytest.mark.parametrize("method", [GMRES, CG])
def test_krylov_at_the_edges(library: ctypes.CDLL, method: int) -> None:
    A = definite(20)
    zero = krylov(library, A, np.zeros(20), method, start=np.ones(20))
    assert (zero.status, zero.iterations, np.any(zero.x)) == (CONVERGED, 0, False)
    assert krylov(library, A[:0, :0].copy(), np.empty(0), method).status == CONVERGED
    assert krylov(library, np.zeros((20, 20)), np.ones(20), method).status == {GMRES: STAGNATED, CG: BREAKDOWN}[method]
    assert krylov(library, A, np.ones(20), method, limit=2).status == LIMIT
    assert krylov(library, A, np.ones(20), method, limit=0).status == LIMIT
    broken = A.copy()
    broken[3, 4] = np.nan
    for matrix, b in ((broken, np.ones(20)), (A, np.full(20, np.nan)), (A, np.full(20, np.inf))):
        found = krylov(library, matrix, b, method)
        assert found.status == NOT_FINITE
        assert np.all(np.isfinite(found.x))


@pytest.mark.parametrize("method", [GMRES, CG])
@pytest.mark.parametrize("scale", [1e-200, 1e-3, 1e200])
def test_the_size_of_the_right_hand_side_does_not_matter(library: ctypes.CDLL, method: int, scale: float) -> None:
    A, b = definite(30), random(1).normal(size=30)
    plain, scaled = krylov(library, A, b, method, restart=30), krylov(library, A, scale * b, method, restart=30)
    assert scaled.status == CONVERGED
    assert abs(scaled.iterations - plain.iterations) <= 2
    np.testing.assert_allclose(scaled.x / scale, plain.x, rtol=1e-6)


def test_gmres_solves_a_consistent_singular_system(library: ctypes.CDLL) -> None:
    A = np.diag(np.r_[np.linspace(1, 2, 9), 0.0])
    b = np.r_[np.ones(9), 0.0]
    assert krylov(library, A, b).status == CONVERGED
    assert krylov(library, A, np.ones(10)).status == STAGNATED


@pytest.mark.parametrize("method", [GMRES, CG])
def test_too_small_a_tolerance_stagnates(library: ctypes.CDLL, method: int) -> None:
    A, b = definite(50, 1e8), random(1).normal(size=50)
    found = krylov(library, A, b, method, tol=1e-30, restart=50, limit=5000)
    assert found.status == STAGNATED
    assert found.residual < 1e-7


@pytest.mark.parametrize("method", [GMRES, CG])
def test_threads_do_not_change_a_krylov_solution(library: ctypes.CDLL, method: int) -> None:
    n = 130_001
    d, b = 2.1 + random().uniform(0, 1, n), random(1).normal(size=n)
    found = [krylov(library, (-1.0, d, -1.0), b, method, inverse=1 / d, threads=t) for t in (1, 2, 3, 0)]
    assert found[0].status == CONVERGED
    assert all(np.array_equal(found[0].x, other.x) for other in found[1:])
    np.testing.assert_allclose(found[0].x, reference((np.array(-1.0), d, np.array(-1.0)), b), rtol=1e-6, atol=1e-8)
