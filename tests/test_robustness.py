"""Published equations and systems: every regular root is found from its bracket, or a failure says that it was not."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np
import pytest
import sympy as sp
from kernel import Kernel, listed
from robustness_reference import reference, residual_of
from robustness_scalar import FAMILIES, ROWS, Case, Family
from robustness_systems import SYSTEMS, System

from opgen.pipeline import build

pytestmark = [pytest.mark.compiler, pytest.mark.xdist_group("robustness")]
GROUP = 8
Package = Callable[[str], Any]


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """Build the suite's operators, their libraries from the cache where it has them, and import them by name."""
    folder = tmp_path_factory.mktemp("robustness")
    build(Path(__file__).with_name("robustness_ops.py"), output=folder / "robustness_packages", targets=("numpy",))
    sys.path.insert(0, str(folder))
    return lambda name: importlib.import_module(f"robustness_packages.{name}")


def solve(package: Package, number: int, case: Case, kind: str) -> Any:
    """Solve one case alone, from its bracket or from its start."""
    name = f"{kind}{number // GROUP * GROUP}"
    op = getattr(package(name), name)
    if kind == "bracketed":
        return op.solve(float(number), case.a, case.b, case.low, case.high)
    start = case.start if case.start is not None else 0.5 * (case.low + case.high)
    return op.solve(float(number), case.a, case.b, initial=start)


def test_there_are_enough_cases() -> None:
    assert len(ROWS) >= 150


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_a_bracket_cannot_fail(package: Package, family: Family) -> None:
    """With a change of sign: the root to 1e-12 of mpmath's, and at a pole or a jump a failure."""
    number = FAMILIES.index(family)
    for case in family.cases:
        found = solve(package, number, case, "bracketed")
        assert bool(found.converged) == (family.root and family.regular), case
        if found.converged:
            root = reference(family, case)
            assert abs(found.value - root) <= 1e-12 * abs(root) + mp.mpf(10) ** -60, case


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_a_start_finds_a_root_or_fails(package: Package, family: Family) -> None:
    """What is said to be a root is one: F changes its sign beside it and does not grow towards it."""
    number = FAMILIES.index(family)
    for case in family.cases:
        found = solve(package, number, case, "started")
        if not found.converged:
            continue
        F, y = residual_of(family, case), mp.mpf(float(found.value))
        near, far = (max(abs(y), mp.mpf(10) ** -3) * mp.mpf(10) ** -e for e in (10, 6))
        values = {d: F(y + d) for d in (-far, -near, near, far)}
        assert abs(values[near]) <= abs(values[far]) or abs(values[-near]) <= abs(values[-far]), case
        if family.regular:
            assert values[-near] * values[near] < 0, case


def test_most_starts_succeed(package: Package) -> None:
    """A floor under what is published in the documentation."""
    regular = [(number, case) for number, family, case in ROWS if family.root and family.regular]
    found = [bool(solve(package, number, case, "started").converged) for number, case in regular]
    assert sum(found) >= 0.95 * len(found)


def polished(system: System, y: list[np.ndarray]) -> list[mp.mpf]:
    """Take two steps of Newton's method in 50 digits from what was found."""
    with mp.workdps(50):
        x = mp.matrix([mp.mpf(float(v)) for v in y])
        F = sp.lambdify([system.parameter, *system.unknowns], list(system.residual), "mpmath")
        rows = sp.Matrix(system.residual).jacobian(list(system.unknowns)).tolist()
        J = sp.lambdify([system.parameter, *system.unknowns], rows, "mpmath")
        for _ in range(2):
            x = x - mp.lu_solve(mp.matrix(J(mp.mpf(1), *x)), mp.matrix(F(mp.mpf(1), *x)))
        return list(x)


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda s: s.name)
def test_classical_systems(package: Package, system: System) -> None:
    """Roots to 1e-12, in the largest unknown; where there is none to find, a failure."""
    op = getattr(package(system.name), system.name)
    found = op.solve(1.0)
    if not system.regular:
        if found.converged:  # in double precision a neighbour of a multiple root is as good as the root
            kernel = Kernel(package(system.name))
            with pytest.raises(kernel.interface.SolveError, match="singular"):
                kernel.adjoint([np.ones(1)], [np.atleast_1d(v) for v in listed(found.value)], [np.ones(1)])
        return
    assert bool(found.converged) == system.solvable
    if not found.converged:
        with pytest.raises(ArithmeticError, match="did not converge"):
            op(1.0)
        return
    y = listed(found.value)
    exact = polished(system, y)
    size = max(abs(v) for v in exact)
    assert max(abs(mp.mpf(float(a)) - b) for a, b in zip(y, exact, strict=True)) <= 1e-12 * size
    if system.roots:
        assert any(np.allclose(y, root, rtol=1e-9, atol=1e-9) for root in system.roots)


def test_a_multiple_root_has_no_gradient(package: Package) -> None:
    """Powell's singular function and a double root: whatever the value, no number comes out as gradient."""
    for name, x, y in (
        ("powell_singular", [np.ones(1)], [np.zeros(1)] * 4),
        ("double_root", [np.ones(1)], [np.full(1, 5.0)]),
    ):
        kernel = Kernel(package(name))
        with pytest.raises(kernel.interface.SolveError, match="singular"):
            kernel.adjoint(x, y, [np.ones(1)] + [None] * (len(y) - 1))
        assert kernel.adjoint(x, y, [np.ones(1)] + [None] * (len(y) - 1), on_failure="nan")[0] == 0


def test_bounds_choose_the_branch(package: Package) -> None:
    """(y - 1)(y - 2)(y - 3): each bracket gives its own root."""
    number = next(i for i, f in enumerate(FAMILIES) if f.name == "polynomial")
    for low, high, root in ((0.2, 1.4, 1), (1.6, 2.3, 2), (2.6, 99, 3)):
        assert solve(package, number, Case(3, 0, low, high), "bracketed").value == pytest.approx(root, rel=1e-14)


@pytest.mark.parametrize(("low", "high"), [(float("nan"), 3.0), (3.0, -3.0), (2.0, 3.0)])
def test_bounds_without_a_root_fail(package: Package, low: float, high: float) -> None:
    number = next(i for i, f in enumerate(FAMILIES) if f.name == "signed_square")
    assert not solve(package, number, Case(-4.0, 0, low, high), "bracketed").converged
