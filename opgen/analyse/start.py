"""Where an iteration starts if the user does not say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sympy as sp

from opgen.analyse.calculus import Start
from opgen.analyse.chain import is_long

# Longer residuals are not taken apart: what they start from would cost as much as an iteration.
LONGEST = 200
INVERSES: dict[type, type] = {
    sp.exp: sp.log, sp.log: sp.exp, sp.sinh: sp.asinh, sp.asinh: sp.sinh, sp.tanh: sp.atanh, sp.atanh: sp.tanh,
    sp.atan: sp.tan, sp.asin: sp.sin, sp.acosh: sp.cosh,
}  # fmt: skip


@dataclass(frozen=True)
class _Equation:
    """left = right, of which `left` alone holds the unknown; `single` if no other root was dropped on the way."""

    left: sp.Expr
    right: sp.Expr
    single: bool = True


def improve(default: sp.Expr, residual: sp.Expr, unknown: sp.Symbol, bounded: bool) -> sp.Expr:
    """Start at the solution itself where the unknown can be isolated, and where that fails at the default.

    Newton's method then only confirms it, and takes off what rounding has left: one evaluation instead of several.
    A root that was chosen among several is not offered if there are bounds: it may be the one that they exclude.
    """
    isolated = isolate(residual, unknown)
    if isolated is None or (bounded and not isolated.single):
        return default
    return Start(isolated.right, default)


def isolate(residual: sp.Expr, unknown: sp.Symbol) -> _Equation | None:
    """Solve residual = 0 for an unknown by undoing one operation after another, None if that does not end.

    Of two roots of opposite sign the positive one is taken.
    """
    if is_long(residual, LONGEST):
        return None
    equation: _Equation | None = _Equation(_single_power(residual, unknown), sp.S.Zero)
    while equation is not None and equation.left != unknown:
        equation = _peel(equation, unknown)
    return equation


def _single_power(residual: sp.Expr, unknown: sp.Symbol) -> sp.Expr:
    """Write a rational function whose numerator is a + b y^n in that way."""
    if not residual.is_rational_function(unknown) or residual.count(unknown) == 1:
        return residual
    numerator, _ = sp.fraction(sp.together(residual))
    polynomial = sp.Poly(numerator, unknown)
    if len(polynomial.terms()) > 2:
        return residual
    return sp.Add(*(c * unknown ** sp.Integer(power) for (power,), c in polynomial.terms()))


def _peel(equation: _Equation, unknown: sp.Symbol) -> _Equation | None:
    left, right = equation.left, equation.right
    arguments: tuple[Any, ...] = left.args
    holding = [a for a in arguments if a.has(unknown)]
    if len(holding) != 1:
        return None
    inner = holding[0]
    if isinstance(left, sp.Add):
        rest = left - inner
        if inner.could_extract_minus_sign():
            return _Equation(-inner, rest - right, equation.single)
        return _Equation(inner, right - rest, equation.single)
    if isinstance(left, sp.Mul):
        return None if right == 0 else _Equation(inner, right / (left / inner), equation.single)
    if isinstance(left, sp.Pow):
        return _peel_power(left, inner, equation)
    if type(left) in INVERSES:
        return _Equation(inner, INVERSES[type(left)](right), equation.single)
    return None


def _peel_power(left: sp.Pow, inner: sp.Expr, equation: _Equation) -> _Equation | None:
    right, single, exponent = equation.right, equation.single, left.exp
    if inner == exponent:
        return _Equation(inner, sp.log(right) / sp.log(left.base), single) if left.base.is_positive else None
    if not isinstance(exponent, sp.Rational) or exponent == 0:
        return None
    if exponent == -1:
        return None if right == 0 else _Equation(inner, 1 / right, single)
    # Unevaluated: SymPy would make several roots of the root of a product.
    if inner.is_nonnegative or exponent.q > 1:  # a root of a real number is not negative
        return _Equation(inner, sp.Pow(right, 1 / exponent, evaluate=False), single)
    if exponent.p % 2:
        magnitude = sp.Pow(sp.Abs(right), 1 / sp.Abs(exponent), evaluate=False)
        return _Equation(inner, sp.sign(right) * (magnitude if exponent > 0 else 1 / magnitude), single)
    return _Equation(inner, sp.Pow(right, 1 / exponent, evaluate=False), False) if inner.is_Symbol else None
