"""What Newton's method iterates on: the residual as a function of the unknown, or of a better variable."""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from opgen.analyse.calculus import KINKS, Start, derivative, scale
from opgen.analyse.chain import is_long

Vector = tuple[sp.Expr, ...]
# The second derivative is worth its cost if it takes no more operations than this share of F and its slope.
CHEAP = 1.0
# A function counts as so many operations.
FUNCTION = 8


@dataclass(frozen=True)
class Iteration:
    """F and its derivatives by the variables v of an iteration.

    Shapes:
        variables: k symbols: the unknowns y themselves, or for one unknown a power of it.
        of_unknowns: k, v as functions of y; unknowns: k, y as functions of v.
        residuals, scale: k; jacobian: k x k, F_v.
        curvature: F_vv for one unknown where it is cheap, else None.
        guess, lower, upper: k, in terms of v; open says which ends may not be reached.
    """

    variables: tuple[sp.Symbol, ...]
    of_unknowns: Vector
    unknowns: Vector
    residuals: Vector
    jacobian: tuple[Vector, ...]
    scale: Vector
    curvature: sp.Expr | None
    guess: Vector
    lower: Vector
    upper: Vector
    open: tuple[bool, ...]

    @property
    def substituted(self) -> bool:
        """Whether the iteration works in another variable than the unknown."""
        return self.variables != self.unknowns

    @property
    def bounded(self) -> bool:
        """Whether any variable has a finite end."""
        return any(e is not sp.oo and e is not -sp.oo for e in (*self.lower, *self.upper))


def iteration(
    unknowns: tuple[sp.Symbol, ...],
    residuals: Vector,
    jacobian: tuple[Vector, ...],
    guess: Vector,
    lower: Vector,
    upper: Vector,
    is_open: tuple[bool, ...],
) -> Iteration:
    """Choose the variable of an iteration, and whether it uses second derivatives."""
    variables = unknowns
    of_unknowns: Vector = unknowns
    back: Vector = unknowns
    short = len(unknowns) == 1 and not is_long(residuals[0])
    power = _power(residuals[0], unknowns[0], lower[0], upper[0]) if short else None
    if power is not None:
        y, v = unknowns[0], sp.Symbol(f"{unknowns[0].name}_v", positive=True)
        variables, of_unknowns, back = (v,), (y**power,), (v ** (1 / power),)
        residuals = (residuals[0].xreplace({y: back[0]}),)
        jacobian = ((derivative(residuals[0], v),),)
        guess = (_transformed(guess[0], power),)
        first, last = (upper, lower) if power.is_negative else (lower, upper)
        lower, upper = (_end(first[0], power),), (_end(last[0], power),)
    curvature = None
    if short and not residuals[0].has(*KINKS):
        curvature = derivative(jacobian[0][0], variables[0])
        if _added_cost(curvature, residuals[0], jacobian[0][0]) > CHEAP:
            curvature = None
    return Iteration(
        variables, of_unknowns, back, residuals, jacobian, tuple(scale(e) for e in residuals), curvature,
        guess, lower, upper, is_open,
    )  # fmt: skip


def _power(residual: sp.Expr, y: sp.Symbol, lower: sp.Expr, upper: sp.Expr) -> sp.Rational | None:
    """Find v = y^power of which the residual is a function without roots or reciprocals of v.

    Colebrook's equation is nearly linear in 1/sqrt(f), and an iteration in it needs neither a root nor a division by f.
    """
    if not (y.is_positive and all(e.is_nonnegative or e.is_infinite for e in (lower, upper))):
        return None
    exponents = set()
    rest = residual
    for p in residual.atoms(sp.Pow):
        if p.base == y and p.exp.is_Rational:
            exponents.add(p.exp)
            rest = rest.xreplace({p: sp.Dummy()})
    if rest.has(y):
        exponents.add(sp.S.One)
    if not exponents or all(e.is_positive and e.is_integer for e in exponents):
        return None
    if len({bool(e.is_negative) for e in exponents}) > 1:
        return None
    common = abs(sp.gcd(list(exponents)))
    power = -common if next(iter(exponents)).is_negative else common
    return sp.Rational(power)


def _end(end: sp.Expr, power: sp.Rational) -> sp.Expr:
    if end.is_infinite:
        return sp.S.Zero if power < 0 else sp.oo
    if end.is_zero:
        return sp.oo if power < 0 else sp.S.Zero
    return end**power


def _transformed(guess: sp.Expr, power: sp.Rational) -> sp.Expr:
    if isinstance(guess, Start):
        return Start(guess.args[0] ** power, guess.args[1] ** power)
    return guess**power


def _added_cost(more: sp.Expr, *base: sp.Expr) -> float:
    """How many operations an expression adds to others, relative to theirs."""

    def cost(e: sp.Basic) -> int:
        if isinstance(e, sp.Function) or (isinstance(e, sp.Pow) and not e.exp.is_Integer):
            return FUNCTION
        if isinstance(e, sp.Pow) and e.exp.is_negative:
            return FUNCTION // 2
        return max(len(e.args) - 1, 0)

    def operations(expressions: tuple[sp.Expr, ...]) -> dict[sp.Basic, int]:
        return {part: cost(part) for e in expressions for part in sp.preorder_traversal(e) if part.args}

    known = operations(base)
    new = sum(c for part, c in operations((more,)).items() if part not in known)
    return new / max(sum(known.values()), 1)
