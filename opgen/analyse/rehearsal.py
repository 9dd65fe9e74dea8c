"""How many steps an iteration takes as a rule, found by taking them at a few points of the sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import mpmath
import sympy as sp

from opgen.analyse.calculus import Start
from opgen.analyse.chain import is_long
from opgen.analyse.iteration import Iteration

Sample = Sequence[tuple[float, float]]

POINTS = 40
MOST = 8
# Longer residuals are rehearsed at fewer points, and not at all beyond the last.
LONG, TOO_LONG = 300, 2000
# The cube root of eps, in single and in double precision: what the kernel's last step may be.
SHORT = (2e-3, 2e-6)


def rehearse(it: Iteration, inputs: Sequence[sp.Symbol], sample: Sample) -> tuple[int, int]:
    """Count the steps that nearly every point needs before its last, in single and in double precision.

    The kernel takes so many without looking whether they were needed, which halves their cost. Where the sample gives
    no clue, and wherever the guess is a solution already, that is none.
    """
    formulas = sp.Tuple(*it.residuals, *it.guess)
    if is_long(formulas, TOO_LONG):
        return 0, 0
    points = POINTS // 8 if is_long(formulas, LONG) else POINTS
    with mpmath.workprec(53):
        counts = [c for c in _counts(it, inputs, sample, points) if c is not None]
    if len(counts) < 4:
        return 0, 0
    single, double = (sorted(c[i] for c in counts)[len(counts) * 17 // 20] for i in (0, 1))
    return single, double


def _counts(
    it: Iteration, inputs: Sequence[sp.Symbol], sample: Sample, points: int
) -> Iterator[tuple[int, int] | None]:
    k = len(it.variables)
    curvature = () if it.curvature is None else (it.curvature,)
    flat = [*it.residuals, *(d for row in it.jacobian for d in row), *curvature]
    guesses = [g.args[0] if isinstance(g, Start) else g for g in it.guess]
    try:
        evaluate = sp.lambdify([*inputs, *it.variables], flat, modules="mpmath")
        start = sp.lambdify(list(inputs), guesses, modules="mpmath")
    except (TypeError, NotImplementedError, SyntaxError):
        return
    for x in _spread(sample, points):
        try:
            yield _steps(lambda y, x=x: evaluate(*x, *y), list(start(*x)), k)
        except (ArithmeticError, ValueError, TypeError, NameError, AttributeError, NotImplementedError):
            yield None


def _steps(evaluate: Any, y: list[Any], k: int) -> tuple[int, int] | None:
    """Count the steps of one iteration until the next one is short, for both precisions."""
    single = None
    for taken in range(MOST):
        found = evaluate(y)
        jacobian = mpmath.matrix([found[k + k * i : k + k * (i + 1)] for i in range(k)])
        step = mpmath.lu_solve(jacobian, mpmath.matrix([-F for F in found[:k]]))
        if any(mpmath.im(s) != 0 or not mpmath.isfinite(s) for s in step):
            return None
        relative = max(abs(s) / abs(v) if v != 0 else (s != 0) * mpmath.inf for s, v in zip(step, y, strict=True))
        if single is None and relative <= SHORT[0]:
            single = taken
        if relative <= SHORT[1]:
            return single or 0, taken
        if k == 1 and len(found) > 2:
            bend = found[2] * step[0] / (2 * found[1])
            step *= 1 - bend if abs(bend) <= 0.25 else 1
        y = [v + s for v, s in zip(y, step, strict=True)]
    return None


def _spread(sample: Sample, points: int) -> Iterator[list[Any]]:
    """Spread points over a box, always the same: a Kronecker sequence on powers of a generalised golden ratio."""
    d = max(len(sample), 1)
    golden = 2.0
    for _ in range(60):
        golden = (1 + golden) ** (1 / (d + 1))
    for n in range(1, points + 1):
        yield [mpmath.mpf(lo + (hi - lo) * ((0.5 + n * golden ** -(i + 1)) % 1.0)) for i, (lo, hi) in enumerate(sample)]
