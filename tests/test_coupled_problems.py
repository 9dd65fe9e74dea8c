"""Coupled operators on problems whose solutions are known: from the literature, in closed form, or manufactured."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from coupled_kernel import CoupledKernel, KernelError

pytestmark = [pytest.mark.compiler, pytest.mark.xdist_group("coupled_zoo")]
Kernels = dict[str, CoupledKernel]


def array(value: float) -> np.ndarray:
    return np.array(float(value))


def solve(kernel: CoupledKernel, *x: Any, **options: Any) -> np.ndarray:
    """Solve one system and return its first output."""
    solved = kernel.solve([np.asarray(a, float) for a in x], **options)
    assert solved.converged
    return solved.outputs[0]


def orders(error: Callable[[int], float], sizes: list[int]) -> list[float]:
    """Return the order with which an error falls from each spacing 1 / size to the next."""
    errors = [error(size) for size in sizes]
    return [
        np.log(coarse / fine) / np.log(b / a)
        for (coarse, fine), (a, b) in zip(pairwise(errors), pairwise(sizes), strict=True)
    ]


# From the literature.


def test_broyden_s_published_root(coupled_kernels: Kernels) -> None:
    """As in the documentation of MINPACK, whose test problem it is."""
    published = [
        -0.5706545,
        -0.6816283,
        -0.7017325,
        -0.7042129,
        -0.7013690,
        -0.6918656,
        -0.6657920,
        -0.5960342,
        -0.4164121,
    ]
    np.testing.assert_allclose(solve(coupled_kernels["broyden"], 2, np.ones(9)), published, atol=5e-8)


@pytest.mark.parametrize("n", [1, 2, 10, 150])
def test_two_formulations_have_one_root(coupled_kernels: Kernels, n: int) -> None:
    """A boundary value problem and the integral equation of its discrete Green's function."""
    h = 1 / (n + 1)
    band = solve(coupled_kernels["boundary_value"], np.arange(1, n + 1) * h, h, 1)
    dense = solve(coupled_kernels["integral"], np.ones(n))
    np.testing.assert_allclose(dense, band, rtol=0, atol=1e-13)
    # Its differential equation has the solution 2 / (2 - t) - t - 1.
    t = np.arange(1, n + 1) * h
    np.testing.assert_allclose(band, 2 / (2 - t) - t - 1, rtol=0, atol=0.1 * h**2)


@pytest.mark.parametrize("c", [0.2, 0.7, 0.99])
def test_chandrasekhar_s_function(coupled_kernels: Kernels, c: float) -> None:
    """Its integral is known exactly, of the discrete equation too; its values are those of a definite integral."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    mu, w = (nodes + 1) / 2, weights / 2
    H = solve(coupled_kernels["chandrasekhar"], c, mu, w)
    assert w @ H == pytest.approx(2 / c * (1 - np.sqrt(1 - c)), rel=1e-13)
    x, v = np.polynomial.legendre.leggauss(400)
    theta = (x + 1) * np.pi / 4
    for i in range(0, 40, 7):
        kernel = np.log(1 - c * theta / np.tan(theta)) / (np.cos(theta) ** 2 + mu[i] ** 2 * np.sin(theta) ** 2)
        assert H[i] == pytest.approx(np.exp(-mu[i] / 4 * v @ kernel), rel=3e-5)


def bratu_theta(lam: float, start: float) -> float:
    """theta = sqrt(2 lam) cosh(theta / 4), below the fold once on each branch."""
    theta = start
    for _ in range(100):
        f = theta - np.sqrt(2 * lam) * np.cosh(theta / 4)
        theta -= f / (1 - np.sqrt(2 * lam) * np.sinh(theta / 4) / 4)
    return theta


def bratu_exact(x: np.ndarray, lam: float, start: float = 1) -> np.ndarray:
    theta = bratu_theta(lam, start)
    return 2 * np.log(np.cosh(theta / 4) / np.cosh((x - 0.5) * theta / 2))


@pytest.mark.parametrize(("lam", "start"), [(1, 1), (3.4, 3), (1, 11)])
def test_bratu_converges_with_order_two(coupled_kernels: Kernels, lam: float, start: float) -> None:
    """On the lower branch, near the fold, and on the upper branch, which a warm start chooses."""

    def error(size: int) -> float:
        x = np.arange(1, size) / size
        exact = bratu_exact(x, lam, start)
        upper = [exact * 1.1] if start > 10 else None
        u = solve(coupled_kernels["bratu"], np.full(size - 1, lam), 1 / size, initial=upper)
        return float(np.abs(u - exact).max())

    for order in orders(error, [32, 64, 128, 256]):
        assert order == pytest.approx(2, abs=0.1)


def test_bratu_beyond_the_fold_has_no_root(coupled_kernels: Kernels) -> None:
    """Wherever it starts: the fold of 99 points lies at 3.5133."""
    kernel = coupled_kernels["bratu"]
    x = [np.full(99, 3.6), array(0.01)]
    hat = np.sin(np.pi * np.arange(1, 100) / 100)
    for start in (None, [hat], [4 * hat], [20 * hat], [-30 * hat], [np.full(99, 700.0)]):
        with pytest.raises(KernelError, match=r"bratu: the system did not converge \(h = 0.01\): residual"):
            kernel.solve(x, initial=start)
    kept = kernel.solve(x, on_failure="keep")
    assert not kept.converged
    assert np.isfinite(kept.outputs[0]).all()
    # Its gradient would mean nothing.
    assert not any(g.any() for g in kernel.adjoint(x, kept.outputs, [hat, None, None]))
    assert solve(kernel, np.full(99, 3.51), 0.01).max() == pytest.approx(1.13, abs=0.05)


@pytest.mark.parametrize("size", [100_000, 3_000_000])
def test_very_fine_grids_converge_too(coupled_kernels: Kernels, size: int) -> None:
    """Where the residual is rounding long before the solution is accurate; in few iterations."""
    x = np.arange(1, size) / size
    solved = coupled_kernels["bratu"].solve([np.ones(size - 1), array(1 / size)])
    assert solved.converged
    assert solved.iterations <= 8
    np.testing.assert_allclose(solved.outputs[0], bratu_exact(x, 1), rtol=0, atol=1e-16 * size**2 + 1e-10)


# Manufactured solutions: every kind of boundary.


def test_a_plane_with_arrays_on_its_sides(coupled_kernels: Kernels) -> None:
    def error(size: int) -> float:
        x = np.arange(size + 1) / size
        u = np.exp(x)[:, None] * np.sin(2 * x) + x**3
        f = 3 * np.exp(x)[:, None] * np.sin(2 * x) - 6 * x
        found = solve(
            coupled_kernels["poisson"], f[1:-1, 1:-1], u[0, 1:-1], u[-1, 1:-1], u[1:-1, 0], u[1:-1, -1], 1 / size
        )
        return float(np.abs(found - u[1:-1, 1:-1]).max())

    assert orders(error, [10, 20, 40, 80])[-1] == pytest.approx(2, abs=0.05)


def test_corners_are_what_their_formula_says(coupled_kernels: Kernels) -> None:
    """The nine-point stencil is of order six for a harmonic function, but only if the corners are right."""

    def error(size: int) -> float:
        x = np.arange(1, size) / size
        found = solve(coupled_kernels["nine"], np.zeros((size - 1, size - 1)), 1.5, 1 / size)
        return float(np.abs(found - np.exp(1.5 * x)[:, None] * np.sin(1.5 * x)).max())

    assert orders(error, [5, 10])[0] == pytest.approx(6, abs=0.3)
    assert error(60) < 1e-9


def test_slopes_at_faces_and_nodes(coupled_kernels: Kernels) -> None:
    def error(size: int) -> float:  # the first face lies at 0, the last node at 1
        h = 1 / (size - 0.5)
        x = (np.arange(size) + 0.5) * h
        u, bent = np.sin(2 * x) + x**2, 2 - 4 * np.sin(2 * x)
        found = solve(coupled_kernels["mirrors"], u**3 + u - bent, -2, 2 * np.cos(2) + 2, h)
        return float(np.abs(found - u).max())

    assert orders(error, [20, 40, 80, 160])[-1] == pytest.approx(2, abs=0.1)


def test_a_value_and_a_slope_around_varying_coefficients(coupled_kernels: Kernels) -> None:
    """The value at a node at 0, the slope at a face at 1; coefficients at the faces."""

    def error(size: int) -> float:
        h = 1 / (size + 0.5)
        x, faces = np.arange(1, size + 1) * h, (np.arange(size + 1) + 0.5) * h
        # -((1 + x) u')' for u = cos(2 x)
        f = 2 * np.sin(2 * x) + 4 * (1 + x) * np.cos(2 * x)
        found = solve(coupled_kernels["darcy"], 1 + faces, f, 1, -2 * np.sin(2), h)
        return float(np.abs(found - np.cos(2 * x)).max())

    assert orders(error, [20, 40, 80, 160])[-1] == pytest.approx(2, abs=0.1)


def test_a_ring_with_varying_coefficients(coupled_kernels: Kernels) -> None:
    def error(size: int) -> float:
        h = 2 * np.pi / size
        x = np.arange(size) * h
        u = np.sin(x) + np.cos(2 * x)
        slope, bent = np.cos(x) - 2 * np.sin(2 * x), -np.sin(x) - 4 * np.cos(2 * x)
        k, inner, inner_slope = 2 + np.sin(x - h / 2), 2 + np.sin(x), np.cos(x)
        found = solve(coupled_kernels["ring"], k, u**3 + u - inner * bent - inner_slope * slope, 1, h)
        return float(np.abs(found - u).max())

    assert orders(error, [32, 64, 128, 256])[-1] == pytest.approx(2, abs=0.1)


def test_a_beam_whose_surroundings_are_a_formula(coupled_kernels: Kernels) -> None:
    def error(size: int) -> float:
        x = np.arange(1, size) / size
        return float(np.abs(solve(coupled_kernels["beam"], 1.5 * np.sin(x), 1.5, 1 / size) - 1.5 * np.sin(x)).max())

    assert orders(error, [8, 16, 32, 64])[-1] == pytest.approx(2, abs=0.1)


def test_a_cylinder_with_slopes_along_its_rims(coupled_kernels: Kernels) -> None:
    def error(size: int) -> float:  # the lower rim is a face at 0, the upper one a line of nodes
        h = 1 / size
        x, y = np.arange(size) * h, (np.arange(size) + 0.5) * h
        wave, top = np.cos(2 * np.pi * x), y[-1]
        u = wave[:, None] * (y**3 + y)
        f = u**3 + 2 * u - wave[:, None] * (6 * y) + 4 * np.pi**2 * u
        found = solve(coupled_kernels["plane"], f, -wave, 3 * top**2 + 1, 2, h)
        return float(np.abs(found - u).max())

    assert orders(error, [10, 20, 40, 80])[-1] == pytest.approx(2, abs=0.05)


def test_a_field_with_a_given_mean(coupled_kernels: Kernels) -> None:
    """A multiplier fixes what the slopes leave open."""
    for c in (0.0, 1.0):

        def error(size: int, c: float = c) -> float:
            h = 1 / size
            x = (np.arange(size) + 0.5) * h
            u, bent = np.cos(np.pi * x) + 1, -(np.pi**2) * np.cos(np.pi * x)
            solved = coupled_kernels["mass"].solve([c * u**3 - bent - 0.7, array(c), array(h), array(1)])
            assert solved.outputs[0].mean() == pytest.approx(1, rel=1e-13)
            return float(max(np.abs(solved.outputs[0] - u).max(), abs(solved.outputs[1] - 0.7)))

        assert orders(error, [10, 20, 40])[-1] == pytest.approx(2, abs=0.1)


def test_a_step_of_heat_damps_eigenvectors(coupled_kernels: Kernels) -> None:
    n, r = 40, 3.0
    for mode in (1, 7, 40):
        wave = np.sin(np.pi * mode * np.arange(1, n + 1) / (n + 1))
        damped = wave / (1 + 4 * r * np.sin(np.pi * mode / (2 * (n + 1))) ** 2)
        np.testing.assert_allclose(solve(coupled_kernels["heat"], wave, r), damped, atol=1e-15)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_grids_narrower_than_their_stencils(coupled_kernels: Kernels, n: int) -> None:
    """Residuals and roots against the dense reference, down to a single point."""
    import coupled_reference as reference
    from coupled_zoo import PROBLEMS

    rng = np.random.default_rng(n)
    inputs = {
        "bratu": [rng.uniform(0.5, 2, n), array(0.1)],
        "broyden_banded": [rng.uniform(0.9, 1.1, n)],
        "beam": [rng.standard_normal(n), array(1.5), array(0.5)],
        "ring": [rng.uniform(0.5, 2, n), rng.standard_normal(n), array(1), array(1)],
        "darcy": [rng.uniform(0.5, 2, n + 1), rng.standard_normal(n), array(1), array(2), array(1)],
        "brusselator": [rng.uniform(0.5, 2, n), rng.uniform(0.5, 2, n), *map(array, (1, 1.7, 1, 0.2))],
    }
    for name, x in inputs.items():
        problem, kernel = PROBLEMS[name], coupled_kernels[name]
        start = [np.full(n, -1.0 if name == "broyden_banded" else 0.0)] if name != "brusselator" else x[:2]
        y = reference.root(problem, x, start)
        solved = kernel.solve(x)
        for found, expected in zip(solved.outputs, y, strict=False):
            np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
        D = reference.derivative(problem, x, y)
        g = [rng.standard_normal(np.shape(o)) for o in solved.outputs]
        expected = reference.unflat(reference.flat(g) @ D, x)
        for found, by_hand in zip(kernel.adjoint(x, solved.outputs, g), expected, strict=True):
            np.testing.assert_allclose(found, by_hand, rtol=1e-8, atol=1e-9)


def test_a_grid_without_points(coupled_kernels: Kernels) -> None:
    for name, x in {
        "bratu": [np.zeros(0), array(0.1)],
        "ring": [np.zeros(0), np.zeros(0), array(1), array(1)],
        "poisson": [np.zeros((0, 3)), np.zeros(3), np.zeros(3), np.zeros(0), np.zeros(0), array(1)],
        "linear": [np.zeros((2, 0, 0)), np.zeros((2, 0))],
        "layer": [np.zeros(3), np.zeros((0, 0)), np.zeros((0, 3)), np.zeros(0)],
    }.items():
        kernel = coupled_kernels[name]
        solved = kernel.solve(x)
        assert solved.converged.all()
        assert solved.outputs[0].size == 0
        g = [np.ones_like(a) for a in solved.outputs]
        assert not any(a.any() for a in kernel.adjoint(x, solved.outputs, g))


# Matrices.


def test_ill_conditioned_matrices_keep_a_small_residual(coupled_kernels: Kernels) -> None:
    kernel = coupled_kernels["linear"]
    for n in (4, 8, 10):
        A = 1 / (1 + np.arange(n)[:, None] + np.arange(n))
        b = np.ones(n)
        z = solve(kernel, A, b)
        assert np.abs(A @ z - b).max() <= 1e-14 * (np.abs(A) @ np.abs(z) + np.abs(b)).max()
    rng = np.random.default_rng(0)
    A, b = rng.standard_normal((30, 30)), rng.standard_normal(30)
    rows, columns = 10.0 ** rng.uniform(-12, 12, 30), 10.0 ** rng.uniform(-12, 12, 30)
    z = solve(kernel, rows[:, None] * A * columns, rows * b)
    np.testing.assert_allclose(columns * z, np.linalg.solve(A, b), rtol=1e-9)


def singular_matrices() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    A = rng.standard_normal((12, 12))
    dependent, row = A.copy(), A.copy()
    dependent[:, 3] = A[:, :3] @ [1, 2, 3]
    row[5] = 0
    return {
        "zeros": np.zeros((12, 12)), "a row of zeros": row, "dependent columns": dependent,
        "of rank two": A[:, :2] @ A[:2], "hilbert": 1 / (1 + np.arange(16)[:, None] + np.arange(16.0)),
        "badly scaled": 10.0 ** rng.uniform(-9, 9, 12)[:, None] * dependent,
    }  # fmt: skip


@pytest.mark.parametrize("which", singular_matrices())
def test_singular_matrices_are_reported(coupled_kernels: Kernels, which: str) -> None:
    """Also for right-hand sides that have solutions, and in derivatives."""
    kernel, A = coupled_kernels["linear"], singular_matrices()[which]
    y = np.ones(len(A))
    for b in (np.random.default_rng(2).standard_normal(len(A)), A @ y, 0 * y):
        with pytest.raises(KernelError, match="linear: F_y is singular:"):
            kernel.solve([A, b])
    assert np.isnan(kernel.solve([A, A @ y], on_failure="nan").outputs[0]).all()
    x = [A, A @ y]
    assert not kernel.isolated(x, [y], on_failure="keep")
    for call in (
        lambda **options: kernel.adjoint(x, [y], [y], **options),
        lambda **options: kernel.tangent(x, [y], x, **options),
        lambda **options: kernel.second(x, [y], [y], x, **options),
        lambda **options: kernel.curvature(x, [y], x, x, **options),
    ):
        with pytest.raises(KernelError, match="F_y is singular:"):
            call()
        assert not any(a.any() for a in call(on_failure="nan"))


@pytest.mark.parametrize("uneven", [False, True])
def test_a_field_without_a_fixed_value_is_singular(coupled_kernels: Kernels, uneven: bool) -> None:
    """Whether its loads balance or not: a constant may be added to any solution."""
    kernel, rng = coupled_kernels["floating"], np.random.default_rng(3)
    for n in (1, 2, 9, 100, 5000):
        k = rng.uniform(0.5, 2, n + 1) if uneven else np.ones(n + 1)
        y = np.cumsum(rng.standard_normal(n))
        balanced = -kernel.residual([k, np.zeros(n)], [y])[0] * -1
        for f in (rng.standard_normal(n) + 1, balanced, np.zeros(n)):
            with pytest.raises(KernelError, match="floating: F_y is singular:"):
                kernel.solve([k, f])
        with pytest.raises(KernelError, match="F_y is singular"):
            kernel.adjoint([k, balanced], [y], [y])
        assert not kernel.isolated([k, balanced], [y], on_failure="keep")


@pytest.mark.parametrize("contrast", [0, 3, 6])
@pytest.mark.parametrize("shape", [(12, 9), (60, 45)])
def test_seepage_through_rock_and_clay(coupled_kernels: Kernels, contrast: float, shape: tuple[int, int]) -> None:
    """Coefficients over many decades; every flow of a column balances what enters beyond it."""
    kernel, rng = coupled_kernels["seepage"], np.random.default_rng(10)
    n, m = shape
    kx, ky = 10 ** rng.uniform(-contrast, 0, (n + 1, m)), 10 ** rng.uniform(-contrast, 0, (n, m + 1))
    f = rng.uniform(0, 1, shape)
    x = [kx, ky, f, array(1)]
    solved = kernel.solve(x)
    u = solved.outputs[0]
    flow = (kx * np.diff(np.concatenate([np.ones((1, m)), u, u[-1:]]), axis=0)).sum(axis=1)
    np.testing.assert_allclose(flow[:-1], np.cumsum(f.sum(axis=1)[::-1])[::-1], rtol=1e-10)
    g, v = [rng.standard_normal(shape)], [rng.standard_normal(a.shape) * np.abs(a) for a in x]
    forward = np.vdot(g[0], kernel.tangent(x, [u], v)[0])
    terms = [np.vdot(a, b) for a, b in zip(kernel.adjoint(x, [u], g), v, strict=True)]
    assert forward == pytest.approx(sum(terms), abs=1e-8 * np.abs(terms).sum())


def test_sylvester_s_equation_with_a_common_eigenvalue(coupled_kernels: Kernels) -> None:
    kernel, rng = coupled_kernels["sylvester"], np.random.default_rng(4)
    A, B = np.diag([1.0, 2, 3, 4]), np.diag([5.0, 6, -2])
    with pytest.raises(KernelError, match="sylvester: F_y is singular"):
        kernel.solve([A, B, rng.standard_normal((4, 3))])
    B[2, 2] = -2.001
    C = rng.standard_normal((4, 3))
    np.testing.assert_allclose(solve(kernel, A, B, C), C / (np.diag(A)[:, None] + np.diag(B)), rtol=1e-12)


# Convergence.


def test_a_solution_that_fades_to_nothing(coupled_kernels: Kernels) -> None:
    """Far from its source a field is less than the rounding of a solve: no failure, and derivatives are there."""
    u0 = np.zeros(400)
    u0[200] = 1
    found = solve(coupled_kernels["heat"], u0, 0.1)
    decay = (1.2 - np.sqrt(1.2**2 - 4 * 0.01)) / 0.2
    np.testing.assert_allclose(found[201:380] / found[200:379], decay, rtol=1e-8)
    kernel = coupled_kernels["plane"]
    for size in (16, 80):
        f = np.zeros((size, size))
        f[3, 3] = 1e8
        x = [f, np.zeros(size), array(0), array(4e3 * size**2), array(1 / size)]
        y = [solve(kernel, *x)]
        assert kernel.isolated(x, y)
        single = [a.astype(np.float32) for a in x]
        solved = kernel.solve(single)
        assert solved.converged
        assert kernel.adjoint(single, solved.outputs, [np.ones_like(solved.outputs[0])])[0].all()


def test_the_zero_solution_is_found_from_anywhere(coupled_kernels: Kernels) -> None:
    rng = np.random.default_rng(5)
    for name, x in {
        "heat": [np.zeros(50), array(2)],
        "mirrors": [np.zeros(50), array(0), array(0), array(0.1)],
        "ring": [np.ones(50), np.zeros(50), array(1), array(0.3)],
        "poisson": [np.zeros((6, 7)), np.zeros(7), np.zeros(7), np.zeros(6), np.zeros(6), array(0.2)],
        "linear": [rng.standard_normal((20, 20)), np.zeros(20)],
    }.items():
        kernel = coupled_kernels[name]
        shape = kernel.solve(x).outputs[0].shape
        for start in (rng.standard_normal(shape), 1e-6 * rng.standard_normal(shape), 1e8 * np.ones(shape)):
            solved = kernel.solve(x, initial=[start])
            assert solved.converged
            assert solved.iterations <= (50 if np.abs(start).max() > 1e6 else 12)
            np.testing.assert_allclose(solved.outputs[0], 0, atol=1e-25)
            assert kernel.isolated(x, solved.outputs)
            load = 1 if name in ("ring", "linear") else 0
            assert kernel.adjoint(x, solved.outputs, [np.ones(shape)])[load].all()


def test_a_field_that_is_zero_at_the_root(coupled_kernels: Kernels) -> None:
    rng = np.random.default_rng(6)
    kernel = coupled_kernels["quiet"]
    x = [rng.standard_normal(200), array(0.4)]
    solved = kernel.solve(x)
    assert solved.iterations <= 10
    np.testing.assert_array_equal(solved.outputs[1], 0)
    assert kernel.isolated(x, solved.outputs)


@pytest.mark.parametrize("size", [6, 40])
def test_a_start_where_the_jacobian_is_singular(coupled_kernels: Kernels, size: int) -> None:
    """At zero only differences count; at the root the cube holds the field."""
    x, y = np.arange(size) / size, (np.arange(size) + 0.5) / size
    u = np.cos(2 * np.pi * x)[:, None] * np.cos(np.pi * y) + 1.5
    kernel = coupled_kernels["plane"]
    given = [np.zeros((size, size)), np.zeros(size), array(0), array(0), array(1 / size)]
    given[0] = -kernel.residual(given, [u])[0]
    np.testing.assert_allclose(solve(kernel, *given), u, rtol=1e-9)
    np.testing.assert_allclose(solve(kernel, *given, initial=[np.zeros((size, size))]), u, rtol=1e-9)


def test_tolerance_and_iterations_are_obeyed(coupled_kernels: Kernels) -> None:
    kernel = coupled_kernels["bratu"]
    x = [np.full(50, 3.0), array(1 / 51)]
    tight, loose = kernel.solve(x), kernel.solve(x, tol=1e-3)
    assert loose.iterations < tight.iterations
    assert 0 < np.abs(loose.outputs[0] - tight.outputs[0]).max() < 0.05
    with pytest.raises(KernelError, match="after 2 iterations"):
        kernel.solve(x, max_iterations=2)
    assert kernel.solve(x, max_iterations=int(tight.iterations)).converged


# Batches of mixed fortunes.


def test_one_failure_changes_no_other_system(coupled_kernels: Kernels) -> None:
    kernel = coupled_kernels["bratu"]
    lam = np.array([1.0, 3.6, 2.0, np.nan])[:, None] * np.ones(40)
    h = array(1 / 41)
    with pytest.raises(KernelError, match=r"bratu: 2 of 4 systems .*first at index \[1\]"):
        kernel.solve([lam, h])
    good = kernel.solve([lam[[0, 2]], h])
    for policy in ("nan", "keep"):
        solved = kernel.solve([lam, h], on_failure=policy, threads=2)
        assert solved.converged.tolist() == [True, False, True, False]
        for found, expected in zip(solved.outputs, good.outputs, strict=True):
            np.testing.assert_array_equal(found[[0, 2]], expected)
            if policy == "nan":
                assert np.isnan(found[[1, 3]]).all()
            else:
                assert np.isfinite(found[1]).all()
        g = [np.ones_like(a) for a in solved.outputs]
        gradients = kernel.adjoint([lam, h], solved.outputs, g, on_failure=policy)
        expected = kernel.adjoint([lam[[0, 2]], h], good.outputs, [a[[0, 2]] for a in g])
        np.testing.assert_array_equal(gradients[0][[0, 2]], expected[0])
        assert not gradients[0][[1, 3]].any()
        np.testing.assert_allclose(gradients[1], expected[1], rtol=1e-14)


def test_the_first_failure_is_named_by_its_index(coupled_kernels: Kernels) -> None:
    kernel = coupled_kernels["heat"]
    u0 = np.zeros((2, 3, 5))
    r = np.ones((2, 1))
    r[1] = np.inf
    with pytest.raises(
        KernelError, match=r"heat: 3 of 6 systems failed; first at index \[1, 0\] \(r = inf\): an input is not finite"
    ):
        kernel.solve([u0, r])


@pytest.mark.parametrize("name", ["layer", "nested", "linear", "chandrasekhar", "integral", "mass", "kirchhoff"])
@pytest.mark.parametrize("count", [3, 19])
def test_dense_systems_side_by_side(coupled_kernels: Kernels, name: str, count: int) -> None:
    """Many systems of some size that share their matrices give what each gives alone."""
    kernel, rng = coupled_kernels[name], np.random.default_rng(11)
    n, m = 40, 24
    x: list[np.ndarray] = {
        "layer": lambda: [
            rng.standard_normal((count, m)),
            rng.standard_normal((n, n)) / 8,
            rng.standard_normal((n, m)),
            rng.standard_normal((count, n)),
        ],
        "nested": lambda: [
            rng.standard_normal((n, m)) / 8,
            rng.standard_normal((m, n)) / 8,
            rng.standard_normal((count, n)),
        ],
        "linear": lambda: [rng.standard_normal((n, n)), rng.standard_normal((count, n))],
        "chandrasekhar": lambda: [rng.uniform(0.2, 0.95, count), rng.uniform(0, 1, n), rng.uniform(0, 2 / n, n)],
        "integral": lambda: [rng.uniform(0.9, 1.1, (count, n))],
        "mass": lambda: [rng.standard_normal((count, n)), array(1), array(1 / n), rng.uniform(0.5, 2, count)],
        "kirchhoff": lambda: [rng.standard_normal((count, n)) / n, rng.uniform(0.5, 2, count), array(1)],
    }[name]()
    whole = kernel.solve(x)
    assert whole.converged.all()
    y, ranks = whole.outputs[: kernel.k], kernel.ranks
    g, c = [rng.standard_normal(a.shape) for a in whole.outputs], [rng.standard_normal(a.shape) for a in y]
    v, w = ([rng.standard_normal(a.shape) for a in x] for _ in range(2))

    def results(x: Any, y: Any, v: Any, w: Any, g: Any, c: Any, **options: Any) -> tuple[Any, Any]:
        forward = [
            *kernel.solve(x, **options).outputs,
            *kernel.residual(x, y, **options),
            *kernel.tangent(x, y, v, **options),
            *kernel.curvature(x, y, v, w, **options),
            *kernel.residual_tangent(x, y, [*v, *c], **options),
        ]
        backward = kernel.adjoint(x, y, g, **options), kernel.second(x, y, g, v, **options)
        return forward, (*backward, kernel.residual_pullback(x, y, c, **options))

    def pick(arrays: Any, first: int, b: int) -> list[np.ndarray]:
        own = ranks[first : first + len(arrays)]
        return [a[b] if a.ndim > rank else a for a, rank in zip(arrays, own, strict=True)]

    forward, backward = results(x, y, v, w, g, c)
    n_inputs = kernel.n
    sums: Any = None
    for b in range(count):
        part = pick(x, 0, b), pick(y, n_inputs, b), pick(v, 0, b), pick(w, 0, b)
        alone, gradients = results(*part, pick(g, n_inputs, b), pick(c, n_inputs, b))
        for one, everyone in zip(alone, forward, strict=True):
            np.testing.assert_allclose(everyone[b], one, rtol=0, atol=1e-10 * max(1e-3, np.abs(one).max()))
        if sums is None:
            sums = [[np.zeros_like(a) for a in group] for group in backward]
        for total, own in zip(sums, gradients, strict=True):
            for a, single in zip(total, own, strict=True):
                if a.ndim > np.ndim(single):
                    a[b] = single
                else:
                    a += single
    for total, together in zip(sums, backward, strict=True):
        for a, found in zip(total, together, strict=True):
            np.testing.assert_allclose(found, a, rtol=0, atol=1e-9 * max(1e-3, np.abs(a).max()))
    for threads in (2, 3):
        again_forward, again_backward = results(x, y, v, w, g, c, threads=threads)
        for one, other in zip(forward, again_forward, strict=True):
            np.testing.assert_array_equal(one, other)
        for group, again in zip(backward, again_backward, strict=True):
            for one, other in zip(group, again, strict=True):
                np.testing.assert_array_equal(one, other)
    # One system that fails leaves the others bitwise as they were.
    spoilt = [i for i in range(n_inputs) if x[i].ndim > ranks[i]][-1]
    bad = [a.copy() for a in x]
    bad[spoilt][1] = np.nan
    solved = kernel.solve(bad, on_failure="nan")
    assert solved.converged.tolist() == [b != 1 for b in range(count)]
    for found, expected in zip(solved.outputs, whole.outputs, strict=True):
        np.testing.assert_array_equal(np.delete(found, 1, axis=0), np.delete(expected, 1, axis=0))
        assert np.isnan(found[1]).all()
    single = kernel.solve([a.astype(np.float32) for a in x])
    assert single.converged.all()
    for found, expected in zip(single.outputs, whole.outputs, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("name", "shape"),
    [("bratu", (60_000,)), ("brusselator", (20_000,)), ("ring", (20_000,)), ("layer", (160,)), ("plane", (150, 120))],
)
def test_one_large_system_is_the_same_on_any_number_of_threads(coupled_kernels: Kernels, name: str, shape: Any) -> None:
    kernel, rng = coupled_kernels[name], np.random.default_rng(7)
    n = shape[0]
    x = {
        "bratu": lambda: [rng.uniform(0.5, 2, n), array(1 / n)],
        "brusselator": lambda: [rng.uniform(0.5, 2, n), rng.uniform(0.5, 2, n), *map(array, (1, 1.7, 1, 0.2))],
        "ring": lambda: [rng.uniform(0.5, 2, n), rng.standard_normal(n), array(1), array(0.3)],
        "layer": lambda: [
            rng.standard_normal(90),
            rng.standard_normal((n, n)) / n,
            rng.standard_normal((n, 90)),
            np.zeros(n),
        ],
        "plane": lambda: [rng.standard_normal(shape), rng.standard_normal(n), array(1), array(1), array(1 / n)],
    }[name]()
    y = kernel.solve(x, threads=1).outputs
    g, v = [rng.standard_normal(a.shape) for a in y], [rng.standard_normal(a.shape) for a in x]

    def results(threads: int) -> list[np.ndarray]:
        return [
            *kernel.solve(x, threads=threads).outputs,
            *kernel.residual(x, y, threads=threads),
            *kernel.adjoint(x, y, g, threads=threads),
            *kernel.tangent(x, y, v, threads=threads),
            *kernel.second(x, y, g, v, threads=threads),
            *kernel.curvature(x, y, v, v, threads=threads),
            *kernel.residual_pullback(x, y, g[: kernel.k], threads=threads),
            *kernel.residual_tangent(x, y, [*v, *g[: kernel.k]], threads=threads),
        ]

    for one, two, three in zip(results(1), results(2), results(3), strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)


def test_calls_leave_alone_what_earlier_ones_were_given(coupled_kernels: Kernels) -> None:
    """A kernel keeps its memory from call to call, but not its callers' arrays."""
    kernel, rng = coupled_kernels["ring"], np.random.default_rng(8)
    x = [rng.uniform(0.5, 2, 9), rng.standard_normal(9), array(1), array(0.3)]
    y = kernel.solve(x).outputs
    t = [rng.standard_normal(a.shape) for a in (*x, *y)]
    everything = [*x, *y, *t]
    before = [a.copy() for a in everything]
    expected = kernel.residual_pullback(x, y, y), kernel.residual_tangent(x, y, t), kernel.adjoint(x, y, y)
    single = [a.astype(np.float32) for a in x]
    for _ in range(2):
        for only in range(4):
            alone = [a if i == only else None for i, a in enumerate(t)]
            kernel.tangent(x, y, alone[:4])
            kernel.residual_tangent(x, y, alone)
            kernel.adjoint(x, y, y, wanted=lambda i, only=only: i == only)
            kernel.curvature(x, y, alone[:4], t[:4])
            kernel.second(x, y, y, alone[:4], wanted=lambda i, only=only: i != only)
            kernel.residual_pullback(x, y, y, wanted=lambda i, only=only: i == only)
            kernel.solve(single)
            kernel.residual_tangent(
                single, [y[0].astype(np.float32)], [None if a is None else a.astype(np.float32) for a in alone]
            )
        again = kernel.residual_pullback(x, y, y), kernel.residual_tangent(x, y, t), kernel.adjoint(x, y, y)
        for found, once in zip(again, expected, strict=True):
            for a, b in zip(found, once, strict=True):
                np.testing.assert_array_equal(a, b)
    for a, b in zip(everything, before, strict=True):
        np.testing.assert_array_equal(a, b)
