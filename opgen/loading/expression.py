"""Accept a value of a residual file as a real SymPy expression, or say why it is none."""

from __future__ import annotations

import math
from collections.abc import Iterable

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.core.relational import Relational
from sympy.logic.boolalg import Boolean

from opgen.errors import SpecError, UnsupportedError
from opgen.loading.spec import by_name, free, short

# What SymPy holds unevaluated: no formula of the inputs, so nothing that could be computed at a point.
_UNEVALUATED: tuple[tuple[type[sp.Basic], str], ...] = (
    (sp.Derivative, "a derivative"),
    (sp.Integral, "an integral"),
    (sp.Product, "a product"),
    (sp.Limit, "a limit"),
    (sp.Order, "an order term"),
    (sp.Subs, "an unevaluated substitution"),
    (sp.AccumBounds, "an interval"),
    (sp.MatrixExpr, "a matrix"),
)
_DEGREE_LIMIT = 8
_SYMBOL_LIMIT = 5


def equation(value: object, role: str) -> sp.Expr:
    """Turn an expression, or an Eq as lhs - rhs, into a residual."""
    if isinstance(value, sp.Equality):
        return expression(value.lhs, role) - expression(value.rhs, role)
    return expression(value, role)


def expression(value: object, role: str) -> sp.Expr:
    """Accept a value as a real expression; `role` says in messages what it was given for.

    It may hold what `canonical` left of indexed notation.

    Raises:
        SpecError: It is no expression, or not a real one.
        UnsupportedError: It is an expression that cannot be evaluated at a point.
    """
    result = _converted(value, role)
    _check_evaluable(result, role)
    check_real(result, role)
    return result


def _converted(value: object, role: str) -> sp.Expr:
    if value is None:
        raise SpecError(f"{role} is None", "give a SymPy expression")
    if isinstance(value, str):
        raise SpecError(
            f"{role} is the text '{short(value)}'", "write it with SymPy symbols, or give it to opgen build --expr"
        )
    if isinstance(value, (bool, Boolean)) and not isinstance(value, (Relational, sp.Symbol)):
        raise SpecError(
            f"{role} is {value}, not an expression", "Python's == compares at once: write sympy.Eq(left, right)"
        )
    if isinstance(value, Relational):
        raise SpecError(f"{role} is the relation {short(value)}", "only equations can be solved: use sympy.Eq")
    if isinstance(value, sp.MatrixBase):
        raise UnsupportedError(f"{role} is a matrix", "give a list of expressions")
    if isinstance(value, sp.IndexedBase):
        raise SpecError(f"{role} is '{value}', an array without an index", f"write {value}[i]")
    if callable(value) and not isinstance(value, sp.Basic):
        raise SpecError(f"{role} is a Python function or class", "give the SymPy expression that it returns")
    try:
        result = sp.sympify(value, strict=True)
    except (sp.SympifyError, TypeError, ValueError):
        result = None
    if not isinstance(result, sp.Expr):
        raise SpecError(f"{role} is {short(value)} of type {type(value).__name__}", "give a SymPy expression")
    return result


def _check_evaluable(value: sp.Expr, role: str) -> None:
    undefined = sorted(str(call) for call in value.atoms(AppliedUndef))
    if undefined:
        raise SpecError(f"{role} holds the undefined function {short(undefined[0])}", "use a symbol or write it out")
    # A sum over entries of arrays is computed; any other would have as many terms as its ends say.
    plain_sum: tuple[tuple[type[sp.Basic], str], ...] = () if value.has(sp.Indexed) else ((sp.Sum, "a sum"),)
    for kind, noun in (*plain_sum, *_UNEVALUATED):
        found = sorted(str(atom) for atom in value.atoms(kind))
        if found:
            raise UnsupportedError(
                f"{role} holds {noun}, {short(found[0])}", "evaluate it first, for instance by doit()"
            )


def check_real(value: sp.Expr, role: str) -> None:
    """Refuse what is not a finite real number wherever it is evaluated.

    Raises:
        SpecError: The expression is complex, infinite or undefined.
    """
    if any(math.isinf(_float(atom)) for atom in value.atoms(sp.Float, sp.Rational)):
        raise SpecError(f"{role} holds a number that is too large", "keep numbers below 1e308")
    if value.has(sp.I):
        raise SpecError(f"{role} holds the imaginary unit I in {short(value)}", "operators are real: split it in two")
    for atom in (sp.zoo, sp.nan, sp.oo, -sp.oo):
        if value.has(atom):
            raise SpecError(f"{role} holds {atom} in {short(value)}", "is something divided by zero?")
    for symbol in by_name(free([value])):
        if not isinstance(symbol, sp.Symbol):
            raise UnsupportedError(f"{role} holds {symbol} of type {type(symbol).__name__}", "use plain symbols")
        check_symbol(symbol)
    if value.is_extended_real is False:
        raise SpecError(f"{role} is not real: {short(value)}", "check the signs under roots and logarithms")


def check_symbol(symbol: sp.Symbol) -> None:
    """Refuse symbols that no real number can stand for, and names that cannot be printed.

    Raises:
        SpecError: The symbol is such a one.
    """
    if not symbol.name.isprintable() or not symbol.name.strip():
        raise SpecError(f"symbol name {symbol.name!r} cannot be printed", "give it another name")
    if symbol.is_commutative is False:
        raise SpecError(f"symbol '{symbol.name}' does not commute", "operators are scalar: leave out commutative=False")
    if symbol.is_extended_real is False:
        raise SpecError(f"symbol '{symbol.name}' is declared not real", "operators are real: declare it real=True")


def number(value: object, role: str) -> sp.Expr:
    """Accept a finite real constant.

    Raises:
        SpecError: It is none.
    """
    result = expression(value, role)
    if result.free_symbols:
        raise SpecError(f"{role} is {short(result)}", "give a number")
    return result


def without_cancelled(value: sp.Expr) -> sp.Expr:
    """Multiply a small polynomial out where symbols cancel by that, so that x*(y + 1) - x*y shows no y."""
    if value.has(sp.Indexed) or len(value.free_symbols) > _SYMBOL_LIMIT or _degree(value) > _DEGREE_LIMIT:
        return value
    # Multiplied out, 9**((y - 1000)**2) would hold 9**1000000.
    if any(raised.base.is_number and raised.exp.free_symbols for raised in value.atoms(sp.Pow)):
        return value
    expanded = sp.expand(value, power_base=False, power_exp=False, log=False)
    return value if expanded.free_symbols == value.free_symbols else expanded


def _degree(value: sp.Basic) -> int:
    """Bound the degree of a polynomial from above; it bounds what multiplying out may cost."""
    if isinstance(value, sp.Pow) and value.exp.is_Integer:
        return _degree(value.base) * min(abs(int(value.exp)), _DEGREE_LIMIT + 1)
    degrees: Iterable[int] = [_degree(argument) for argument in value.args]
    if isinstance(value, sp.Mul):
        return sum(degrees)
    return max([1 if value.free_symbols else 0, *degrees])


def _float(value: sp.Expr) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf
