"""Every residual of the zoo: the right root at every point, and derivatives that agree with mpmath's."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from kernel import Kernel, listed

from opgen.loading import load_file
from opgen.pipeline import build

ZOO = Path(__file__).with_name("zoo.py")
SPECS = {spec.name: spec for spec in load_file(ZOO).specs}
pytestmark = [pytest.mark.compiler, pytest.mark.xdist_group("zoo")]
POINTS = 4000


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the whole zoo for NumPy; the content cache makes this short the second time."""
    root = tmp_path_factory.mktemp("zoo")
    build(ZOO, output=root / "zoo_packages", targets=("numpy",))
    sys.path.insert(0, str(root))
    return root / "zoo_packages"


@pytest.fixture(params=SPECS)
def species(request: pytest.FixtureRequest, folder: Path) -> tuple[Any, ModuleType, ModuleType, Kernel]:
    """The function, its package, its generated tests and its kernel."""
    name = request.param
    package = importlib.import_module(f"zoo_packages.{name}")
    checks = importlib.import_module(f"zoo_packages.{name}.test_{name}")
    return getattr(package, name), package, checks, Kernel(package)


def draw(checks: ModuleType, count: int, seed: int = 0) -> list[np.ndarray]:
    """Draw inputs over the whole sample, logarithmically where it spans decades."""
    rng = np.random.default_rng(seed)
    return [
        np.exp(rng.uniform(np.log(low), np.log(high), count))
        if low > 0 and high / low > 1e3
        else rng.uniform(low, high, count)
        for low, high in checks.SAMPLE
    ]


def test_every_point_converges_to_a_root(species: tuple[Any, ModuleType, ModuleType, Kernel]) -> None:
    """All of the sample; and what a point gives does not depend on its neighbours."""
    op, _, checks, _ = species
    x = draw(checks, POINTS)
    solution = op.solve(*x)
    assert solution.converged.all(), f"first at {[a[~solution.converged][:1] for a in x]}"
    picked = [0, 7, POINTS - 1]
    for whole, alone in zip(listed(solution.value), listed(op.solve(*(a[picked] for a in x)).value), strict=True):
        np.testing.assert_allclose(alone, whole[picked], rtol=1e-14)


def test_no_point_depends_on_its_neighbours(species: tuple[Any, ModuleType, ModuleType, Kernel]) -> None:
    """To the last bit, also where one of them takes the long way and there are several roots to find."""
    op, _, checks, _ = species
    x = draw(checks, 96, seed=3)
    whole = listed(op(*x, on_failure="nan"))
    for i in range(96):
        for value, alone in zip(whole, listed(op(*(a[i : i + 1] for a in x), on_failure="nan")), strict=True):
            np.testing.assert_array_equal(alone[0], value[i], err_msg=f"at {[a[i] for a in x]}")


def test_values_and_gradients_are_mpmaths(species: tuple[Any, ModuleType, ModuleType, Kernel]) -> None:
    """Values to a few ulps of what the inputs' own rounding allows, gradients to 1e-9 of theirs."""
    op, _, checks, kernel = species
    x = draw(checks, 8, seed=1)
    outputs = listed(op(*x))
    values, slopes = checks.high_precision(x, outputs)
    limit = checks.tolerance(values, slopes, x, 2.3e-16)
    assert (np.abs(np.array(outputs) - values) <= limit).all()
    k = len(kernel.interface.UNKNOWNS)
    for i in range(len(outputs)):
        g = [np.ones(8) if j == i else None for j in range(len(outputs))]
        gradient = kernel.adjoint(x, outputs[:k], g)
        for j, found in enumerate(gradient):
            np.testing.assert_allclose(found, slopes[i, j], rtol=1e-9, atol=1e-11 * np.abs(slopes[i]).max())


def test_float32_agrees_with_float64(species: tuple[Any, ModuleType, ModuleType, Kernel]) -> None:
    """float32 iterates in float32, and goes on in double where the condition of a root takes digits away."""
    op, _, checks, _ = species
    x = [a.astype(np.float32) for a in draw(checks, 200, seed=2)]
    single, double = op.solve(*x), op.solve(*(a.astype(np.float64) for a in x))
    ok = single.converged & double.converged
    assert ok.mean() > 0.95  # rounding may move an input out of the domain
    for a, b in zip(listed(single.value), listed(double.value), strict=True):
        close = np.isclose(a[ok], b[ok].astype(np.float32), rtol=6e-7)
        # Between two basins of attraction the precision decides which of several roots is found.
        assert close.mean() >= (0.98 if "many_roots" in op.__name__ else 1)


def test_residual_pullback_is_the_derivative_of_the_residual(
    species: tuple[Any, ModuleType, ModuleType, Kernel],
) -> None:
    """Central differences of F away from the root."""
    op, _, checks, kernel = species
    x = draw(checks, 5, seed=3)
    k = len(kernel.interface.UNKNOWNS)
    y = [b * 1.01 + 1e-3 for b in listed(op(*x))[:k]]
    rng = np.random.default_rng(4)
    v = [rng.standard_normal(5) for _ in range(k)]

    def J(at: list[np.ndarray]) -> np.ndarray:
        F = listed(op.residual(*at[: len(x)], at[len(x)] if k == 1 else tuple(at[len(x) :])))
        return np.sum([a * b for a, b in zip(v, F, strict=True)], axis=0)

    at = [*x, *y]
    for i, found in enumerate(kernel.residual_pullback(x, y, v)):
        h = 1e-6 * np.maximum(np.abs(at[i]), 1e-3)
        up, down = list(at), list(at)
        up[i], down[i] = at[i] + h, at[i] - h
        differences = (J(up) - J(down)) / (2 * h)
        size = np.abs(J(at)) / np.maximum(np.abs(at[i]), 1e-3) + np.abs(found)
        np.testing.assert_array_less(np.abs(found - differences), 1e-5 * size + 1e-6 * np.abs(found).max() + 1e-9)


def test_tangent_is_the_transpose_of_the_adjoint(species: tuple[Any, ModuleType, ModuleType, Kernel]) -> None:
    """g . o'(v) = x'(g) . v at every point."""
    op, _, checks, kernel = species
    x = draw(checks, 50, seed=5)
    outputs = listed(op(*x))
    y = outputs[: len(kernel.interface.UNKNOWNS)]
    rng = np.random.default_rng(6)
    v = [rng.standard_normal(50) * a for a in x]
    g = [rng.standard_normal(50) for _ in outputs]
    forward = [a * b for a, b in zip(g, kernel.tangent(x, y, v), strict=True)]
    backward = [a * b for a, b in zip(kernel.adjoint(x, y, g), v, strict=True)]
    size = np.abs(forward).sum(axis=0) + np.abs(backward).sum(axis=0)
    np.testing.assert_array_less(np.abs(np.sum(forward, axis=0) - np.sum(backward, axis=0)), 1e-11 * size + 1e-300)


def test_second_derivatives_are_differences_of_first_ones(species: tuple[Any, ModuleType, ModuleType, Kernel]) -> None:
    """d/dx (x'(g) . v), by central differences of the adjoint at moved roots."""
    op, _, checks, kernel = species
    x = draw(checks, 30, seed=7)
    k = len(kernel.interface.UNKNOWNS)
    outputs = listed(op(*x))
    rng = np.random.default_rng(8)
    v = [rng.standard_normal(30) * (1 + np.abs(a)) for a in x]
    g = [rng.standard_normal(30) for _ in outputs]

    def product(moved: list[np.ndarray]) -> np.ndarray:
        warm = tuple(outputs[:k])
        roots = listed(
            op.solve(*moved, initial=None if kernel.interface.EXPLICIT else warm[0] if k == 1 else warm).value
        )
        return np.sum([a * b for a, b in zip(kernel.adjoint(moved, roots[:k], g), v, strict=True)], axis=0)

    found = kernel.second(x, outputs[:k], g, v)
    base = np.abs(product(x))
    for i, second in enumerate(found):
        h = 1e-5 * np.maximum(np.abs(x[i]), 1e-3)
        up, down = list(x), list(x)
        up[i], down[i] = x[i] + h, x[i] - h
        differences = (product(up) - product(down)) / (2 * h)
        error = np.abs(second - differences)
        allowed = 1e-5 * np.abs(second) + 1e-8 * base / h * 1e-3 + 1e-5 * np.abs(second).max() + 1e-9
        # A kink between the two points spoils a difference, not a derivative.
        assert (error <= allowed).mean() > 0.9, (i, np.c_[second, differences][error > allowed])
