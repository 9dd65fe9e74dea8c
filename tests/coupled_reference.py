"""Roots and derivatives of the zoo's problems from their second form: dense, in NumPy, slowly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from coupled_zoo import Fields, Problem


def flat(fields: Fields) -> np.ndarray:
    return np.concatenate([np.ravel(f) for f in fields] or [np.zeros(0)])


def unflat(vector: np.ndarray, like: Fields) -> Fields:
    parts = np.split(vector, np.cumsum([np.size(f) for f in like])[:-1])
    return [p.reshape(np.shape(f)) for p, f in zip(parts, like, strict=True)]


def jacobian(f: Callable[[Fields], Fields], at: Fields) -> np.ndarray:
    """Differentiate by steps into the complex plane."""
    point, columns = flat(at).astype(complex), []
    for i in range(point.size):
        moved = point.copy()
        moved[i] += 1e-30j
        columns.append(flat(f(unflat(moved, at))).imag / 1e-30)
    return np.array(columns).T


def by_unknowns(problem: Problem, x: Fields, y: Fields) -> np.ndarray:
    return jacobian(lambda at: problem.residual(x, at), y)


def by_inputs(problem: Problem, x: Fields, y: Fields) -> np.ndarray:
    return jacobian(lambda at: problem.residual(at, y), x)


def root(problem: Problem, x: Fields, start: Fields | None = None) -> Fields:
    """Find a root by Newton's method, with steps halved while they make F larger in units of how it changes with y."""
    y = problem.start(x) if start is None else start
    for _ in range(100):
        J, F = by_unknowns(problem, x, y), flat(problem.residual(x, y))
        step, t = np.linalg.solve(J, F), 1.0
        size = np.abs(J) @ (np.abs(flat(y)) + np.abs(step)) + 1e-300
        while t > 1e-8:
            moved = unflat(flat(y) - t * step, y)
            with np.errstate(all="ignore"):
                now = flat(problem.residual(x, moved))
            if np.linalg.norm(now / size) < np.linalg.norm(F / size):
                break
            t /= 2
        if t <= 1e-8:
            break
        y = moved
    most = np.abs(flat(y)).max()
    assert np.abs(step).max() <= 1e-9 * most, "the reference itself did not converge"
    return [np.where(np.abs(f) < 1e-18 * most, 0.0, f) for f in y]


def outputs(problem: Problem, x: Fields, y: Fields) -> Fields:
    return [*y, *(np.asarray(a) for a in problem.auxiliary(x, y))]


def derivative(problem: Problem, x: Fields, y: Fields) -> np.ndarray:
    """The matrix of all outputs by all inputs, at a root."""
    D = -np.linalg.solve(by_unknowns(problem, x, y), by_inputs(problem, x, y))
    if not problem.auxiliary(x, y):
        return D
    ax = jacobian(lambda at: problem.auxiliary(at, y), x)
    ay = jacobian(lambda at: problem.auxiliary(x, at), y)
    return np.vstack([D, ax + ay @ D])


def second(problem: Problem, x: Fields, y: Fields, g: Fields, v: Fields, w: Fields) -> float:
    """The derivative along w of g . (outputs' tangent along v), by central differences at moved roots."""

    def product(h: float) -> float:
        moved = [a + h * b for a, b in zip(x, w, strict=True)]
        return float(flat(g) @ derivative(problem, moved, root(problem, moved, y)) @ flat(v))

    coarse, fine = ((product(h) - product(-h)) / (2 * h) for h in (5e-4, 2.5e-4))
    return (4 * fine - coarse) / 3  # Richardson's extrapolation
