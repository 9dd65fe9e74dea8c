"""Derivatives and sizes of real expressions."""

from __future__ import annotations

from typing import Any

import sympy as sp

from opgen.analyse.chain import Chain, is_long, power, product

Expr = sp.Expr


class Step(sp.Function):
    """A piecewise constant function, named by its second argument: its derivative is zero wherever it has one."""

    nargs = 2

    def fdiff(self, argindex: int = 1) -> Expr:
        """Differentiate to zero."""
        return sp.S.Zero


class Absolute(sp.Function):
    """|u|, whose derivative is the sign of u, 0 at the kink."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> Expr:
        """Differentiate to the sign."""
        return Step(self.args[0], sp.Integer(0))


class Magnitude(sp.Function):
    """|u| without SymPy's search for a simpler form, which is slow on long expressions."""

    nargs = 1
    is_nonnegative = True

    @classmethod
    def eval(cls, u: Expr) -> Expr | None:
        """Drop the bars where the sign is known."""
        if u.is_number:
            return sp.Abs(u)
        if _never_negative(u):
            return u
        if isinstance(u, sp.Mul):
            return product(cls(a) for a in u.args) if is_long(u) else sp.Mul(*(cls(a) for a in u.args))
        if isinstance(u, sp.Pow) and u.exp.is_number:
            return power(cls(u.base), u.exp)
        return None


class Start(sp.Function):
    """The first argument where it is finite, else the second: only ever a value, never differentiated."""

    nargs = 2


def _never_negative(u: Expr) -> bool:
    """Ask SymPy for the sign of u; that of a long sum would take it long."""
    if is_long(u) and isinstance(u, (sp.Add, sp.Mul)):
        return all(_never_negative(a) for a in u.args)
    return bool(u.is_nonnegative)


STEPS: tuple[Any, ...] = (sp.sign, sp.floor, sp.ceiling, sp.Heaviside)
KINKS: tuple[Any, ...] = (*STEPS, sp.Abs, sp.Max, sp.Min, sp.Mod, sp.Piecewise)


def _prepare(expression: Expr) -> Expr:
    """Rewrite what SymPy differentiates into distributions or into 0 * NaN."""

    def extremum(arguments: tuple[Expr, ...], greater: bool) -> Expr:
        first, *rest = arguments
        for other in rest:
            condition = sp.Ge(first, other) if greater else sp.Le(first, other)
            first = sp.Piecewise((first, condition), (other, True))
        return first

    def change(e: Any) -> Any:
        if not e.args:
            return e
        arguments = tuple(change(a) for a in e.args)
        if isinstance(e, sp.Max):
            return extremum(arguments, True)
        if isinstance(e, sp.Min):
            return extremum(arguments, False)
        if isinstance(e, sp.Abs):
            return Absolute(*arguments)
        if isinstance(e, STEPS):
            return Step(arguments[0], sp.Integer(STEPS.index(e.func)))
        if isinstance(e, sp.Mod):
            value, period = arguments
            return value - period * Step(value / period, sp.Integer(STEPS.index(sp.floor)))
        return e if arguments == e.args else e.func(*arguments)

    return change(expression)


def _restore(expression: Expr) -> Expr:
    restored: Any = expression.replace(Absolute, sp.Abs)
    return restored.replace(Step, lambda u, which: STEPS[int(which)](u))


def derivative(expression: Expr, symbol: sp.Symbol) -> Expr:
    """Differentiate for real symbols, branch by branch.

    Abs, Max, Min, sign, floor and Piecewise get the derivative of the branch that is taken; at a kink that of the
    branch that the condition chooses (for Abs: 0).
    """
    if symbol not in expression.free_symbols:
        return sp.S.Zero
    if is_long(expression):
        return Chain(symbol)(expression)
    return _restore(sp.diff(_prepare(expression), symbol))


def scale(e: Expr) -> Expr:
    """Bound |de| to first order if every number and symbol in `e` moves by its own size.

    A computed value of `e` is uncertain by a few eps times this, so a residual has converged when it is a few eps times
    this, and cannot be asked for less. For a sum it is the sum of the magnitudes of the terms.

    Source: running error analysis, Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.3.
    """
    if not e.args or not e.free_symbols:
        return Magnitude(e)
    args: tuple[Any, ...] = e.args
    if isinstance(e, sp.Add):
        return sp.Add(*(scale(a) for a in args))
    if isinstance(e, sp.Mul):
        return sp.Mul(*(scale(a) for a in args))
    if isinstance(e, sp.Piecewise):
        return sp.Piecewise(*((scale(value), condition) for value, condition in args))
    if isinstance(e, (sp.Max, sp.Min)):
        return sp.Max(*(scale(a) for a in args))
    if isinstance(e, sp.Abs):
        return scale(args[0])
    if isinstance(e, STEPS):
        return Magnitude(e)
    if isinstance(e, sp.Pow) and e.exp.is_number and e.exp.is_real:
        base = scale(e.base)
        if e.exp.is_positive:
            return sp.Pow(base, e.exp)
        return sp.Pow(Magnitude(e.base), e.exp) * _relative(base, e.base)
    if isinstance(e, sp.exp):
        return e * (1 + scale(args[0]))
    if isinstance(e, sp.log):
        return Magnitude(e) + _relative(scale(args[0]), args[0])
    total = Magnitude(e)
    for i, argument in enumerate(args):
        if argument.free_symbols:
            hole = sp.Dummy("u", real=True)
            slope = derivative(e.func(*args[:i], hole, *args[i + 1 :]), hole).xreplace({hole: argument})
            total += Magnitude(slope) * scale(argument)
    return total


def _relative(size: Expr, value: Expr) -> Expr:
    """scale(value) / |value|: 1 unless terms cancel in it."""
    magnitude = Magnitude(value)
    return sp.S.One if size == magnitude else size / magnitude
