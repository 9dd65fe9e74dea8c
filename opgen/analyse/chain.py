"""The chain rule on long expressions.

SymPy simplifies what it differentiates as it goes, and asks the signs of ever longer sums for it: the time grows faster
than the length. Here every subexpression is differentiated once, and what comes out is put together as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import sympy as sp

Expr = sp.Expr

# Expressions of more nodes than this are long.
LONG = 1000


def is_long(expression: sp.Basic, limit: int = LONG) -> bool:
    """Say whether an expression has more nodes than `limit`, without counting the rest."""
    left, stack = limit, [expression]
    while stack and left >= 0:
        stack.extend(stack.pop().args)
        left -= 1
    return left < 0


def total(terms: Iterable[Expr]) -> Expr:
    """Add terms without a search for what they have in common."""
    flat: list[Expr] = []
    constant: Any = sp.S.Zero
    for term in terms:
        for part in term.args if isinstance(term, sp.Add) else (term,):
            if isinstance(part, sp.Number):
                constant += part
            else:
                flat.append(part)
    if constant != 0 or not flat:
        flat.append(constant)
    return flat[0] if len(flat) == 1 else sp.Add(*flat, evaluate=False)


def product(factors: Iterable[Expr]) -> Expr:
    """Multiply factors without a search for what they have in common."""
    flat: list[Expr] = []
    constant: Any = sp.S.One
    for factor in factors:
        for part in factor.args if isinstance(factor, sp.Mul) else (factor,):
            if isinstance(part, sp.Number):
                constant *= part
            else:
                flat.append(part)
    if constant == 0:
        return sp.S.Zero
    if constant != 1 or not flat:
        flat.insert(0, constant)
    return flat[0] if len(flat) == 1 else sp.Mul(*flat, evaluate=False)


def power(base: Expr, exponent: Expr) -> Expr:
    """Raise to a power without asking what the base may be."""
    if exponent == 1:
        return base
    return sp.S.One if exponent == 0 else sp.Pow(base, exponent, evaluate=False)


class Chain:
    """Derivatives by one symbol; what subexpressions have in common is differentiated once."""

    def __init__(self, symbol: sp.Symbol) -> None:
        self.symbol = symbol
        self._made: dict[Expr, Expr] = {}

    def __call__(self, e: Expr) -> Expr:
        """Differentiate a real expression, branch by branch."""
        if e == self.symbol:
            return sp.S.One
        if not e.args:
            return sp.S.Zero
        if e not in self._made:
            self._made[e] = self._differentiate(e)
        return self._made[e]

    def _differentiate(self, e: Any) -> Expr:
        args: tuple[Any, ...] = e.args
        if isinstance(e, sp.Add):
            return total(map(self, args))
        if isinstance(e, sp.Mul):
            slopes = [self(a) for a in args]
            return total(product((d, *args[:i], *args[i + 1 :])) for i, d in enumerate(slopes) if d != 0)
        if isinstance(e, sp.Piecewise):
            slopes = [self(value) for value, _ in args]
            return _branches(slopes, [condition for _, condition in args])
        if isinstance(e, (sp.Max, sp.Min)):
            return self._extremum(sorted(args, key=sp.default_sort_key), sp.Ge if isinstance(e, sp.Max) else sp.Le)
        slopes = [self(a) for a in args]
        if all(d == 0 for d in slopes):
            return sp.S.Zero
        if isinstance(e, sp.Pow) and slopes[1] == 0:
            return product((e.exp, power(e.base, e.exp - 1), slopes[0]))
        return total(product((_slope(e, i), d)) for i, d in enumerate(slopes) if d != 0)

    def _extremum(self, args: Sequence[Any], wins: Any) -> Expr:
        value, slope = args[0], self(args[0])
        for other in args[1:]:
            condition = wins(value, other, evaluate=False)
            slope = _branches([slope, self(other)], [condition, sp.true])
            value = sp.Piecewise((value, condition), (other, True), evaluate=False)
        return slope


def _branches(values: Sequence[Expr], conditions: Sequence[Any]) -> Expr:
    if all(value == values[0] for value in values) and conditions[-1] == sp.true:
        return values[0]
    return sp.Piecewise(*zip(values, conditions, strict=True), evaluate=False)


def _slope(e: Any, position: int) -> Expr:
    """Give the derivative of a function by one of its arguments, in the arguments as they are."""
    if isinstance(e, sp.exp):
        return e
    return _rebuild(_pattern(e.func, len(e.args), position), dict(zip(_holes(len(e.args)), e.args, strict=True)))


@lru_cache
def _holes(count: int) -> tuple[sp.Symbol, ...]:
    return tuple(sp.Dummy(f"u{i}", real=True) for i in range(count))


@lru_cache
def _pattern(function: Any, count: int, position: int) -> Expr:
    from opgen.analyse.calculus import derivative

    holes = _holes(count)
    return derivative(function(*holes), holes[position])


def _rebuild(e: Any, filled: dict[sp.Symbol, Expr]) -> Any:
    if e in filled:
        return filled[e]
    if not e.args or not e.has(*filled):
        return e
    args = [_rebuild(a, filled) for a in e.args]
    if isinstance(e, sp.Mul):
        return product(args)
    return e.func(*args, evaluate=False) if isinstance(e, sp.Expr) else e.func(*args)
