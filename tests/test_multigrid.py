"""Stencil matrices, the multigrid cycle and the sparse factors: against SciPy, and where they are difficult."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from opgen.build import flags
from opgen.build.toolchain import find_eigen

pytestmark = pytest.mark.compiler

ROOT = Path(__file__).parents[1]

Array = np.ndarray[Any, np.dtype[Any]]


def compiled(folder: Path, *, sparse: bool, native: bool) -> ctypes.CDLL:
    """Compile the driver as kernels are; with ``sparse`` also what it is linked with for factors."""
    compiler = (os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++") or "g++").split()
    own = ["-Wall", "-Wextra", "-Werror", "-fPIC", "-pthread", f"-I{ROOT / 'opgen' / 'include'}"]
    own += ["-march=native"] if native else []
    extra: list[str] = []
    if sparse:
        eigen = find_eigen()
        if eigen is None:
            pytest.skip("Eigen is not installed: pip install cmeel-eigen")
        runtime = str(ROOT / "opgen" / "runtime" / "sparse_runtime.cc")
        extra = ["-DOPGEN_SPARSE", str(folder / "runtime.o")]
        run([*compiler, *flags.SPARSE, *own, "-isystem", str(eigen.folder), "-c", runtime, "-o", extra[1]])
    driver, target = str(ROOT / "tests" / "multigrid" / "driver.cc"), str(folder / "driver.so")
    run([*compiler, *flags.KERNEL, *own, "-shared", driver, *extra, "-o", target])
    library = ctypes.CDLL(target)
    library.problem_new.restype = ctypes.c_void_p
    return library


def run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:4000]


@pytest.fixture(scope="module", params=["native", "baseline"])
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """For this processor, and for the narrowest registers of its family."""
    return compiled(tmp_path_factory.mktemp("multigrid"), sparse=False, native=request.param == "native")


@pytest.fixture(scope="module")
def direct(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return compiled(tmp_path_factory.mktemp("sparse"), sparse=True, native=True)


def pointer(array: Array) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


@dataclass
class Stencil:
    """A matrix in both forms: for the library, and as a list that SciPy is given."""

    library: ctypes.CDLL
    shape: tuple[int, ...]
    periodic: tuple[bool, ...] = ()
    fields: int = 1
    coefficients: list[tuple[int, int, tuple[int, ...], Array]] = field(default_factory=list)

    def __post_init__(self) -> None:
        rank = len(self.shape)
        self.periodic = self.periodic or (False,) * rank
        extent, periodic = np.array(self.shape, np.int64), np.array(self.periodic, np.int32)
        self.handle = ctypes.c_void_p(self.library.problem_new(rank, pointer(extent), pointer(periodic), self.fields))
        self.n = int(np.prod(self.shape)) * self.fields

    def __del__(self) -> None:
        self.library.problem_delete(self.handle)

    def add(self, offset: tuple[int, ...], value: Any, row: int = 0, column: int = 0) -> None:
        data = np.array(value, float, order="C")  # 0-d: constant
        assert data.ndim == 0 or data.shape == self.shape
        self.coefficients.append((row, column, offset, data))
        where = np.array(offset, np.int32)
        self.library.problem_add(self.handle, row, column, pointer(where), pointer(data), int(data.ndim == 0))

    def neighbours(self, axis: int, before: Any, behind: Any, row: int = 0) -> None:
        for side, value in ((-1, before), (1, behind)):
            self.add(tuple(side * (a == axis) for a in range(len(self.shape))), value, row, row)

    def here(self, value: Any, row: int = 0, column: int = 0) -> None:
        self.add((0,) * len(self.shape), value, row, column)

    def matrix(self) -> sp.csr_matrix:
        """Add up the entries one diagonal at a time, independently of how the library walks."""
        points = int(np.prod(self.shape))
        index = np.indices(self.shape).reshape(len(self.shape), -1)
        total = sp.csr_matrix((self.n, self.n))
        for row, column, offset, data in self.coefficients:
            there, inside = index + np.array(offset)[:, None], np.ones(points, bool)
            for a, (n, ring) in enumerate(zip(self.shape, self.periodic, strict=True)):
                there[a] %= n if ring else np.iinfo(np.int64).max
                inside &= (there[a] >= 0) & (there[a] < n) & (ring | (index[a] + offset[a] == there[a]))
            values = np.broadcast_to(data, self.shape).reshape(-1)[inside]
            columns = np.ravel_multi_index(tuple(there[:, inside]), self.shape) + column * points
            rows = np.arange(points)[inside] + row * points
            total = total + sp.csr_matrix((values, (rows, columns)), shape=total.shape)
        return total

    def setup(self, threads: int = 1, transpose: bool = False) -> bool:
        return bool(self.library.problem_setup(self.handle, int(transpose), threads))

    def transpose(self, threads: int = 1) -> None:
        self.library.problem_transpose(self.handle, threads)

    def multiply(self, x: Array, threads: int = 1, transpose: bool = False) -> Array:
        y = np.full_like(x, np.nan)
        self.library.problem_multiply(self.handle, int(transpose), pointer(x), pointer(y), threads)
        return y

    def cycle(self, r: Array, transpose: bool = False) -> Array:
        r, z = np.ascontiguousarray(r), np.full(self.n, np.nan)
        self.library.problem_cycle(self.handle, int(transpose), pointer(r), pointer(z))
        return z

    def solve(self, b: Array, *, gmres: bool = False, transpose: bool = False, tol: float = 1e-10) -> int:
        """Solve with the cycle as a preconditioner; return the number of iterations, -1 for none that suffices."""
        x = np.zeros(self.n)
        return int(
            self.library.problem_solve(
                self.handle, int(gmres), int(transpose), pointer(b), pointer(x), ctypes.c_double(tol), 100
            )
        )


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def laplace(
    library: ctypes.CDLL,
    shape: tuple[int, ...],
    periodic: tuple[bool, ...] = (),
    *,
    weights: tuple[float, ...] = (),
    reaction: Any = 0.0,
    mirrored: bool = False,
    varying: bool = False,
) -> Stencil:
    """-div(weights grad) + reaction; ``varying`` multiplies rows and columns by numbers near 1: nothing is constant."""
    stencil = Stencil(library, shape, periodic)
    scale = 1 + 1e-3 * random(5).random(shape) * varying
    diagonal = np.zeros(shape) + reaction
    for axis, w in enumerate(weights or (1.0,) * len(shape)):
        if varying:
            stencil.neighbours(axis, *(-w * scale * np.roll(scale, s, axis) for s in (1, -1)))
        else:
            stencil.neighbours(axis, -w, -w)
        diagonal += 2 * w
        if mirrored:
            ends = np.moveaxis(diagonal, axis, 0)
            ends[0] -= w
            ends[-1] -= w
    stencil.here(diagonal * scale**2)
    return stencil


def diffusion(library: ctypes.CDLL, k: Array) -> Stencil:
    """-div(k grad) between cells with harmonic means, zero outside."""
    stencil, diagonal = Stencil(library, k.shape), np.zeros(k.shape)
    for axis in range(k.ndim):
        sides = []
        for s in (1, -1):
            mean = 2 * k * np.roll(k, s, axis) / (k + np.roll(k, s, axis))
            np.moveaxis(mean, axis, 0)[0 if s == 1 else -1] = 2 * np.moveaxis(k, axis, 0)[0 if s == 1 else -1]
            sides.append(-mean)
            diagonal += mean
        stencil.neighbours(axis, *sides)
    stencil.here(diagonal)
    return stencil


def convection(library: ctypes.CDLL, n: int, wind: tuple[Any, Any], viscosity: float) -> Stencil:
    """-viscosity laplace u + wind . grad u by upwind differences."""
    stencil, h, diagonal = Stencil(library, (n, n)), 1 / (n + 1), np.zeros((n, n))
    for axis, w in enumerate(wind):
        before = viscosity / h**2 + np.maximum(w, 0) / h + np.zeros((n, n))
        behind = viscosity / h**2 - np.minimum(w, 0) / h + np.zeros((n, n))
        stencil.neighbours(axis, -before, -behind)
        diagonal += before + behind
    stencil.here(diagonal)
    return stencil


def reaction_diffusion(library: ctypes.CDLL, n: int, periodic: tuple[bool, bool]) -> Stencil:
    """Two fields that react with each other at every point."""
    stencil, u = Stencil(library, (n, n), periodic, 2), 1 + 0.3 * random(1).normal(size=(n, n))
    for f, d in enumerate((1.0, 0.05)):
        for axis in range(2):
            stencil.neighbours(axis, -d * (n + 1) ** 2, -d * (n + 1) ** 2, f)
    stencil.here(4.0 * (n + 1) ** 2 + 100 * (1 + u**2))
    stencil.here(0.2 * (n + 1) ** 2 + 50, 1, 1)
    stencil.here(-30 * u, 0, 1)
    stencil.here(80 * u, 1, 0)
    return stencil


# Products.

SHAPES = [(1,), (2,), (5,), (40,), (101,), (1, 1), (2, 3), (7, 37), (40, 3), (3, 2, 1), (2, 3, 35), (5, 1, 40)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_products_are_those_of_scipy(library: ctypes.CDLL, shape: tuple[int, ...]) -> None:
    rng = random(2)
    for periodic in product((False, True), repeat=len(shape)):
        stencil = Stencil(library, shape, periodic, 2)
        for offset in product((-2, 0, 1), repeat=len(shape)):
            row, column = rng.integers(2, size=2)
            value = rng.normal() if rng.random() < 0.4 else rng.normal(size=shape)
            stencil.add(offset, value, int(row), int(column))
        A, x, b = stencil.matrix(), rng.normal(size=stencil.n), rng.normal(size=stencil.n)
        assert np.allclose(stencil.multiply(x), A @ x, rtol=1e-12, atol=1e-12)
        stencil.transpose()
        assert np.allclose(stencil.multiply(x, transpose=True), A.T @ x, rtol=1e-12, atol=1e-12)
        r = np.empty_like(b)
        library.problem_residual(stencil.handle, pointer(b), pointer(x), pointer(r), 1)
        assert np.allclose(r, b - A @ x, rtol=1e-12, atol=1e-12)
        points = stencil.n // 2
        for row, column in product(range(2), repeat=2):
            d = np.empty(points)
            library.problem_diagonal(stencil.handle, row, column, pointer(d))
            block = A[row * points : (row + 1) * points, column * points : (column + 1) * points]
            assert np.allclose(d, block.diagonal(), rtol=1e-12, atol=1e-12)


def test_what_is_outside_is_not_read(library: ctypes.CDLL) -> None:
    stencil, nan = laplace(library, (3, 4), varying=True), np.ones((3, 4))
    nan[0] = np.nan
    stencil.add((-1, 0), nan)
    nan = np.ones((3, 4))
    nan[:, -1] = np.nan
    stencil.add((0, 1), nan)
    stencil.here(10.0)
    assert np.isfinite(stencil.multiply(np.ones(12))).all()
    stencil.transpose()
    assert np.isfinite(stencil.multiply(np.ones(12), transpose=True)).all()
    assert stencil.setup()
    assert np.isfinite(stencil.cycle(np.ones(12))).all()


# The cycle as a linear map.

EXTENTS = {1: (1, 2, 3, 4, 5, 16, 17, 101, 200), 2: (1, 2, 3, 5, 8, 13), 3: (1, 2, 3, 6)}


def contraction(stencil: Stencil) -> tuple[Array, float]:
    """Return the cycle as a matrix M and the spectral radius of 1 - M A."""
    M = np.array([stencil.cycle(e) for e in np.eye(stencil.n)]).T
    return M, float(max(abs(np.linalg.eigvals(np.eye(stencil.n) - M @ stencil.matrix().toarray()))))


@pytest.mark.parametrize("varying", [False, True], ids=["constant", "varying"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_cycle_is_symmetric_and_contracts_on_any_grid(library: ctypes.CDLL, rank: int, varying: bool) -> None:
    for shape in product(EXTENTS[rank], repeat=rank):
        for periodic in product((False, True), repeat=rank):
            if np.prod(shape) > 220 or (np.prod(shape) > 60 and any(periodic) and not all(periodic)):
                continue
            stencil = laplace(library, shape, periodic, reaction=0.01, varying=varying)
            assert stencil.setup(), (shape, periodic)
            M, radius = contraction(stencil)
            assert np.allclose(M, M.T, rtol=0, atol=1e-11 * abs(M).max()), (shape, periodic)
            assert np.linalg.eigvalsh(M).min() > 0, (shape, periodic)
            assert radius < 0.5, (shape, periodic, radius)


@pytest.mark.parametrize("n", [1, 2, 3, 9])
def test_few_unknowns_are_solved_exactly(library: ctypes.CDLL, n: int) -> None:
    rng = random(3)
    for fields, periodic in product((1, 3), (False, True)):
        stencil = Stencil(library, (n, 3), (periodic, False), fields)
        for offset in product((-1, 0, 1), repeat=2):
            for row, column in product(range(fields), repeat=2):
                here = 20.0 * (row == column and not any(offset))
                stencil.add(offset, here + rng.normal(size=(n, 3)), row, column)
        assert stencil.setup()
        b = rng.normal(size=stencil.n)
        assert np.allclose(stencil.matrix() @ stencil.cycle(b), b, rtol=0, atol=1e-10)


def test_one_axis_is_solved_exactly(library: ctypes.CDLL) -> None:
    """Without a reaction coarse operators are Schur complements, and red-black relaxation solves for what is left."""
    for varying in (False, True):
        stencil = laplace(library, (1000,), varying=varying)
        assert stencil.setup()
        b = random(4).normal(size=1000)
        assert np.linalg.norm(b - stencil.multiply(stencil.cycle(b))) < 1e-8 * np.linalg.norm(b)


def test_setup_again_takes_new_values_and_other_grids(library: ctypes.CDLL) -> None:
    stencil = laplace(library, (40, 40), reaction=np.ones((40, 40)))
    b = random(6).normal(size=1600)
    assert stencil.setup()
    first = stencil.cycle(b)
    values = stencil.coefficients[-1][3]
    values += 3.0
    assert stencil.setup()
    assert not np.allclose(stencil.cycle(b), first)
    values -= 3.0
    assert stencil.setup()
    assert np.array_equal(stencil.cycle(b), first)
    stencil.add((1, 1), 0.1)  # no longer separable
    assert stencil.setup()
    assert np.linalg.norm(b - stencil.multiply(stencil.cycle(b))) < 0.5 * np.linalg.norm(b)


# Threads.


@pytest.mark.parametrize("varying", [False, True], ids=["constant", "varying"])
@pytest.mark.parametrize("shape", [(211, 230), (1100, 33), (35, 33, 37), (64, 24, 33)], ids=str)
def test_threads_do_not_change_a_bit(library: ctypes.CDLL, shape: tuple[int, ...], varying: bool) -> None:
    for periodic in product((False, True), repeat=len(shape)):
        stencil = laplace(library, shape, periodic, reaction=0.01, varying=varying)
        b = random(7).normal(size=stencil.n)
        outcomes = []
        for threads in (1, 2, 3, 7):
            assert stencil.setup(threads)
            outcomes += [stencil.cycle(b), stencil.cycle(b)]
            assert np.array_equal(stencil.multiply(b, threads), stencil.multiply(b))
        assert all(np.array_equal(outcome, outcomes[0]) for outcome in outcomes)


def test_threads_do_not_change_a_bit_of_several_fields_or_far_neighbours(library: ctypes.CDLL) -> None:
    far = Stencil(library, (210, 221), (True, False))
    for axis in range(2):
        far.neighbours(axis, -16 / 12, -16 / 12)
        for s in (-2, 2):
            far.add(tuple(s * (a == axis) for a in range(2)), 1 / 12)
    far.here(5.1)
    for stencil in (reaction_diffusion(library, 190, (True, False)), convection(library, 190, (1.0, 0.3), 1e-3), far):
        b = random(8).normal(size=stencil.n)
        outcomes = []
        for threads in (1, 2, 5):
            assert stencil.setup(threads)
            outcomes += [stencil.cycle(b), stencil.cycle(b)]
        assert all(np.array_equal(outcome, outcomes[0]) for outcome in outcomes)


# Iterations.


def iterations(stencil: Stencil, *, gmres: bool = False, singular: bool = False, transpose: bool = False) -> int:
    b = random(9).normal(size=stencil.n)
    if singular:
        b -= b.mean()
    if transpose:
        stencil.transpose()
    assert stencil.setup(1, transpose)
    found = stencil.solve(b, gmres=gmres, transpose=transpose)
    assert found >= 0, "no convergence"
    return found


@pytest.mark.parametrize("varying", [False, True], ids=["constant", "varying"])
def test_poisson_takes_the_same_iterations_on_all_grids(library: ctypes.CDLL, varying: bool) -> None:
    for shape in (
        (64, 64),
        (97, 97),
        (128, 128),
        (255, 255),
        (300, 20),
        (500, 3),
        (24, 24, 24),
        (31, 31, 31),
        (48, 48, 48),
    ):
        found = iterations(laplace(library, shape, varying=varying))
        assert found <= (12 if len(shape) == 2 else 14), shape


@pytest.mark.parametrize("n", [64, 97])
def test_singular_systems_are_solved(library: ctypes.CDLL, n: int) -> None:
    """Nothing holds the constants down: the coarsest operator is singular."""
    for shape in ((n, n), (n // 3, n // 3, n // 3)):
        rank = len(shape)
        assert iterations(laplace(library, shape, mirrored=True), singular=True) <= 16
        assert iterations(laplace(library, shape, (True,) * rank), singular=True) <= 20
    for n in (1, 2, 3, 4):
        stencil = laplace(library, (n, 3), (True, True))
        assert not stencil.setup() or np.isfinite(stencil.cycle(np.ones(3 * n))).all()


@pytest.mark.parametrize("varying", [False, True], ids=["constant", "varying"])
@pytest.mark.parametrize("weights", [(1e3, 1.0), (1.0, 1e3), (1.0, 4.0), (1e3, 1.0, 1.0), (1.0, 1e3, 30.0)], ids=str)
def test_anisotropy(library: ctypes.CDLL, weights: tuple[float, ...], varying: bool) -> None:
    shape = (128, 128) if len(weights) == 2 else (32, 32, 32)
    assert iterations(laplace(library, shape, weights=weights, varying=varying)) <= 18


@pytest.mark.parametrize("n", [64, 127, 200])
def test_jumps_of_a_thousand(library: ctypes.CDLL, n: int) -> None:
    x = (np.arange(n) + 0.5) / n
    X, Y = np.meshgrid(x, x, indexing="ij")
    assert iterations(diffusion(library, np.where((X < 0.5) ^ (Y < 0.5), 1e3, 1.0))) <= 15
    assert iterations(diffusion(library, np.where((X - 0.5) ** 2 + (Y - 0.45) ** 2 < 0.09, 1e-3, 1.0))) <= 16
    assert iterations(diffusion(library, np.exp(3 * np.sin(7 * X + 3 * Y) * np.cos(5 * Y)))) <= 14
    inside = (X - 0.5) ** 2 + (Y - 0.45) ** 2 < 0.09
    assert iterations(laplace(library, (n, n), reaction=np.where(inside, 1e3, 0))) <= 30


@pytest.mark.parametrize("n", [64, 128])
def test_convection(library: ctypes.CDLL, n: int) -> None:
    x = np.arange(1, n + 1) / (n + 1)
    X, Y = np.meshgrid(x, x, indexing="ij")
    whirl = (4 * X * (X - 1) * (1 - 2 * Y), -4 * Y * (Y - 1) * (1 - 2 * X))
    for wind, viscosity, bound in (
        ((1.0, 0.5), 1e-1, 14), ((1.0, 0.5), 1e-2, 18), ((1.0, 0.5), 1e-3, 32), ((0.0, 1.0), 1e-3, 32),
        (whirl, 1e-2, 20), (whirl, 1e-3, 50),
    ):  # fmt: skip
        for transpose in (False, True):
            stencil = convection(library, n, wind, viscosity)
            assert iterations(stencil, gmres=True, transpose=transpose) <= bound, (viscosity, transpose)


@pytest.mark.parametrize("periodic", [(False, False), (True, True), (False, True)], ids=str)
def test_coupled_fields(library: ctypes.CDLL, periodic: tuple[bool, bool]) -> None:
    for n, transpose in product((33, 64, 128), (False, True)):
        stencil = reaction_diffusion(library, n, periodic)
        assert iterations(stencil, gmres=True, transpose=transpose) <= 14


def test_a_field_that_does_not_spread(library: ctypes.CDLL) -> None:
    n = 64
    stencil = Stencil(library, (n, n), (), 2)
    for axis in range(2):
        stencil.neighbours(axis, -1.0, -1.0)
    for (row, column), value in {(0, 0): 4.0, (1, 1): 1.0, (0, 1): -0.02, (1, 0): -0.01}.items():
        stencil.here(np.full((n, n), value), row, column)
    assert iterations(stencil, gmres=True) <= 14


def test_far_neighbours(library: ctypes.CDLL) -> None:
    for shape in ((64, 64), (100, 50), (20, 21, 22)):
        rank = len(shape)
        stencil = Stencil(library, shape)
        for axis in range(rank):
            stencil.neighbours(axis, -16 / 12, -16 / 12)
            for s in (-2, 2):
                stencil.add(tuple(s * (a == axis) for a in range(rank)), 1 / 12)
        stencil.here(2.5 * rank)
        assert iterations(stencil) <= 16
    plate = Stencil(library, (64, 64))
    for offset, value in {(0, 0): 20, (1, 0): -8, (0, 1): -8, (1, 1): 2, (1, -1): 2, (2, 0): 1, (0, 2): 1}.items():
        plate.add(offset, float(value))
        if any(offset):
            plate.add((-offset[0], -offset[1]), float(value))
    assert iterations(plate) <= 50


def test_points_that_hardly_couple(library: ctypes.CDLL) -> None:
    stencil = Stencil(library, (50, 50), (), 2)
    stencil.here(3.0, 0, 0)
    stencil.here(np.linspace(1, 2, 2500).reshape(50, 50), 1, 1)
    stencil.here(0.5, 0, 1)
    assert iterations(stencil, gmres=True) <= 2
    single = Stencil(library, (50, 50))
    single.here(np.linspace(1, 2, 2500).reshape(50, 50))
    assert iterations(single) <= 2


# Failures.


def test_what_cannot_be_set_up_is_said(library: ctypes.CDLL) -> None:
    for varying, bad in product((False, True), (0.0, np.nan, np.inf)):
        diagonal = np.full((20, 20), 4.0)
        diagonal[7, 3] = bad
        stencil = Stencil(library, (20, 20))
        for axis in range(2):
            stencil.neighbours(axis, -1.0 - 0.1 * varying * random(1).random((20, 20)), -1.0)
        stencil.here(diagonal)
        assert not stencil.setup()
    block = Stencil(library, (6, 6), (), 2)
    for row, column in product(range(2), repeat=2):
        block.here(1.0, row, column)
    assert not block.setup(), "a singular block"
    missing = Stencil(library, (20, 20))
    missing.neighbours(0, -1.0, -1.0)
    assert not missing.setup(), "no diagonal"


def test_an_empty_grid(library: ctypes.CDLL) -> None:
    for shape in ((0,), (3, 0), (0, 4, 5)):
        stencil = laplace(library, shape)
        assert stencil.setup()
        assert stencil.cycle(np.zeros(0)).size == 0
        assert stencil.multiply(np.zeros(0)).size == 0


def test_sizes_far_from_one(library: ctypes.CDLL) -> None:
    for scale, varying in product((1e-150, -1e150), (False, True)):
        stencil = laplace(library, (40, 40), weights=(scale, scale), varying=varying)
        b = random(10).normal(size=1600)
        assert stencil.setup()
        r = b - stencil.multiply(stencil.cycle(b))
        assert np.linalg.norm(r) < 0.3 * np.linalg.norm(b)


# Sparse factors.


def factored(stencil: Stencil) -> bool:
    return bool(stencil.library.problem_factor(stencil.handle))


def solve_directly(stencil: Stencil, b: Array, transpose: bool) -> Array:
    x = b.copy()
    assert stencil.library.problem_direct(stencil.handle, int(transpose), pointer(x), pointer(x))
    return x


@pytest.mark.parametrize("transpose", [False, True], ids=["plain", "transposed"])
def test_factors(direct: ctypes.CDLL, transpose: bool) -> None:
    indefinite = laplace(direct, (30, 30), reaction=-1.3)
    small_ring = laplace(direct, (2, 3), (True, True), reaction=0.1)
    equations_of_any_size = Stencil(direct, (5, 5), (), 2)
    equations_of_any_size.here(1e-200, 0, 1)
    equations_of_any_size.here(1e200, 1, 0)
    equations_of_any_size.add((0, 1), 0.3e200, 1, 0)
    for stencil in (
        laplace(direct, (40, 41)), laplace(direct, (9, 8, 7), weights=(-1.0, -2.0, -3.0)), indefinite, small_ring,
        convection(direct, 40, (1.0, -0.4), 1e-3), reaction_diffusion(direct, 20, (True, False)), equations_of_any_size,
        laplace(direct, (1,)),
    ):  # fmt: skip
        A = stencil.matrix().T if transpose else stencil.matrix()
        b = random(11).normal(size=stencil.n)
        if stencil is equations_of_any_size:
            b[:25] *= 1e200 if transpose else 1e-200  # as its equations are
        for _ in range(2):  # anew, and at the same places
            assert factored(stencil)
            x = solve_directly(stencil, b, transpose)
            size = abs(A) @ abs(x) + abs(b)
            assert (abs(A @ x - b) <= 1e-12 * size).all()


def test_what_cannot_be_factored_is_said(direct: ctypes.CDLL) -> None:
    assert not factored(laplace(direct, (20, 20), mirrored=True))
    assert not factored(laplace(direct, (8, 8), (True, True)))
    values = np.eye(5) + 1
    stencil = Stencil(direct, (5, 5))
    stencil.here(values)
    assert factored(stencil)
    data = stencil.coefficients[0][3]
    for bad in (0.0, np.nan, np.inf):
        data[2, 3] = bad
        assert not factored(stencil)
        assert not direct.problem_direct(stencil.handle, 0, pointer(np.ones(25)), pointer(np.ones(25)))
    data[2, 3] = 7.0
    assert factored(stencil)
    assert np.allclose(solve_directly(stencil, np.ones(25), False), 1 / data.reshape(-1))


def test_multigrid_agrees_with_factors(direct: ctypes.CDLL) -> None:
    stencil = reaction_diffusion(direct, 48, (False, True))
    b, x = random(12).normal(size=stencil.n), np.zeros(stencil.n)
    assert factored(stencil)
    assert stencil.setup()
    stencil.library.problem_solve(stencil.handle, 1, 0, pointer(b), pointer(x), ctypes.c_double(1e-13), 100)
    assert np.allclose(x, solve_directly(stencil, b, False), rtol=1e-9, atol=1e-9 * abs(x).max())
