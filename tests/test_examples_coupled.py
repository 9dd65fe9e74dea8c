"""The examples with fields and dense systems: all of the sample is solved, and as closed forms and NumPy say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Build

from opgen.loading import load_file
from opgen.loading.spec import Spec

EXAMPLES = Path(__file__).parent.parent / "examples"
# Shapes of the inputs of one system.
SHAPES: dict[str, tuple[tuple[int, ...], ...]] = {
    "bratu1d": ((12,), ()),
    "bratu2d": ((9, 7), ()),
    "heat_inverse": ((13,), (12,), (), (), (), ()),
    "allen_cahn": ((16,), (), (), ()),
    "equilibrium": ((3,), (8, 8), (8, 3), (8,)),
    "linear_solve": ((8, 8), (8,)),
}
pytestmark = [pytest.mark.compiler, pytest.mark.xdist_group("coupled_examples")]


def coupled() -> dict[str, Spec]:
    files = (folder / f"{folder.name}.py" for folder in sorted(EXAMPLES.iterdir()))
    specs = (spec for file in files if file.is_file() for spec in load_file(file).specs)
    return {spec.name: spec for spec in specs if spec.indexing is not None}


SPECS = coupled()


def make(build: Build, name: str) -> Any:
    file = SPECS[name].source.file
    assert file is not None
    found = build(EXAMPLES / Path(file).stem / file, targets=("numpy",))
    return getattr(found, name) if isinstance(found, tuple) else found


def draw(name: str, *batch: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    ranges = [pair or (np.nan, np.nan) for pair in SPECS[name].sample]
    return [rng.uniform(low, high, batch + shape) for (low, high), shape in zip(ranges, SHAPES[name], strict=True)]


def test_every_example_is_listed_with_a_sample() -> None:
    assert set(SPECS) == set(SHAPES)
    for name, spec in SPECS.items():
        assert all(spec.sample), f"{name} has no sample for one of {spec.inputs}"
        assert spec.doc


@pytest.mark.parametrize("name", SHAPES)
def test_every_system_converges(build: Build, name: str) -> None:
    op, x = make(build, name), draw(name, 20, 30)
    for dtype in (np.float64, np.float32):
        solution = op.solve(*(a.astype(dtype) for a in x))
        assert solution.converged.shape == (20, 30)
        assert solution.converged.all(), f"{(~solution.converged).sum()} systems"


def star(u: np.ndarray) -> np.ndarray:
    """The sum of the neighbours less the point itself as often, zero outside."""
    wide = np.pad(u, 1)
    middle = (slice(1, -1),) * u.ndim
    near = [np.roll(wide, step, axis)[middle] for axis in range(u.ndim) for step in (1, -1)]
    return sum(near) - 2 * u.ndim * u


def bratu(lam: np.ndarray, h: float, u: np.ndarray) -> np.ndarray:
    return star(u) + h**2 * lam * np.exp(u)


def heat(k: np.ndarray, q: np.ndarray, *rest: Any) -> np.ndarray:
    left, right, beta, h, u = rest
    wide = np.concatenate([[left], u, [right]])
    potential = wide + beta * wide**2 / 2  # of the heat that flows, after Kirchhoff
    return np.diff(-k * np.diff(potential) / h) - h * q


def phases(u0: np.ndarray, eps: float, h: float, dt: float, u: np.ndarray) -> np.ndarray:
    spread = (eps / h) ** 2 * (np.roll(u, 1) - 2 * u + np.roll(u, -1))
    return u - u0 - dt * (spread + u - u**3)


# F in NumPy, without a word from opgen, and the size of its terms.
RESIDUALS: dict[str, Any] = {
    "bratu1d": (bratu, 1.0),
    "bratu2d": (bratu, 1.0),
    "heat_inverse": (heat, 1e6),
    "allen_cahn": (phases, 10.0),
    "equilibrium": (lambda x, W, U, b, z: z - np.tanh(W @ z + U @ x + b), 1.0),
    "linear_solve": (lambda A, x, y: A @ y - x, 10.0),
}


@pytest.mark.parametrize("name", SHAPES)
def test_results_are_roots(build: Build, name: str) -> None:
    op, x = make(build, name), draw(name, 50)
    found = op(*x)
    roots = found[0] if isinstance(found, tuple) else found
    residual, size = RESIDUALS[name]
    for b, y in enumerate(roots):
        F = residual(*(a[b] for a in x), y)
        assert np.abs(F).max() <= 1e-13 * max(size, np.abs(y).max()), f"system {b}"


def test_bratu_in_one_dimension_is_its_closed_form(build: Build) -> None:
    op = make(build, "bratu1d")
    t = 0.0
    for _ in range(100):
        t = np.sqrt(2) * np.cosh(t / 4)
    errors = []
    for N in (50, 100, 200):
        x = np.arange(1, N) / N
        u = op(np.ones(N - 1), 1 / N)
        errors.append(np.abs(u - 2 * np.log(np.cosh(t / 4) / np.cosh((x - 0.5) * t / 2))).max())
    assert np.log2(np.divide(errors[:-1], errors[1:])) == pytest.approx(2, abs=0.01)


@pytest.mark.parametrize(("name", "shape", "critical"), [("bratu1d", (99,), 3.5138), ("bratu2d", (99, 99), 6.8081)])
def test_bratu_ends_at_the_fold(build: Build, name: str, shape: tuple[int, ...], critical: float) -> None:
    """The grid's own fold lies within some h**2 of the critical value."""
    op = make(build, name)
    lam = np.ones(shape)
    assert op.solve(0.998 * critical * lam, 0.01).converged
    with pytest.raises(ArithmeticError, match=rf"{name}: the system did not converge"):
        op(1.03 * critical * lam, 0.01)
    mixed = np.stack([lam, 1.03 * critical * lam])
    u = op(mixed, 0.01, on_failure="nan")
    assert np.isnan(u[1]).all()
    np.testing.assert_array_equal(u[0], op(lam, 0.01))


def test_heat_is_kirchhoff_s_transform_and_conserved(build: Build) -> None:
    op = make(build, "heat_inverse")
    n, k, left, right, beta = 31, 20.0, 20.0, 5.0, 2e-3
    h, source = 1 / (n + 1), np.array([0.0, 1e4])
    q = np.repeat(source[:, None], n, axis=1)
    u, outflow = op(np.full(n + 1, k), q, left, right, beta, h)
    x = h * np.arange(1, n + 1)
    low, high = left + beta * left**2 / 2, right + beta * right**2 / 2
    potential = low + (high - low) * x + source[:, None] / k * x * (1 - x) / 2
    np.testing.assert_allclose(u, (np.sqrt(1 + 2 * beta * potential) - 1) / beta, rtol=1e-12)
    inflow = k * (potential[:, -1] - high) / h
    np.testing.assert_allclose(outflow + inflow, h * q.sum(axis=1), rtol=1e-10, atol=1e-9)


def test_phases_of_allen_and_cahn_stay_and_part(build: Build) -> None:
    op = make(build, "allen_cahn")
    still = np.ones((3, 64)) * np.array([[-1.0], [0.0], [1.0]])
    np.testing.assert_allclose(op(still, 0.05, 1 / 64, 0.2), still, atol=1e-15)
    u = 0.1 * np.random.default_rng(0).standard_normal(64)
    for _ in range(200):
        u = op(u, 0.03, 1 / 64, 0.2, initial=u)
    assert np.sort(np.abs(u))[len(u) // 2] > 0.95


def test_equilibria_are_fixed_points(build: Build) -> None:
    op, (x, W, U, b) = make(build, "equilibrium"), draw("equilibrium")
    z = np.zeros(len(b))
    for _ in range(500):
        z = np.tanh(W @ z + U @ x + b)
    np.testing.assert_allclose(op(x, W, U, b), z, rtol=1e-12)


def test_linear_systems_are_numpy_s(build: Build) -> None:
    op, (A, x) = make(build, "linear_solve"), draw("linear_solve", 10)
    np.testing.assert_allclose(op(A, x), np.linalg.solve(A, x[..., None])[..., 0], rtol=1e-10)
    np.testing.assert_allclose(op(A[0], x), np.linalg.solve(A[0], x.T).T, rtol=1e-10)
    with pytest.raises(ArithmeticError, match="F_y is singular"):
        op(np.ones((2, 2)), np.ones(2))
