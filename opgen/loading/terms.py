"""Make SymPy expressions for the text form, such that no constant can grow until SymPy hangs on it.

SymPy evaluates constants exactly and at once: 9^9^9 would fill the memory. So a constant is first computed in floating
point, which says at once that it overflows, or is not real; and a fraction of many digits goes on as a float.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sympy as sp

from opgen.errors import TextError
from opgen.loading.functions import FUNCTIONS
from opgen.loading.spec import short
from opgen.loading.tokens import Token

_BITS_LIMIT = 2048
_EXPONENT_LIMIT = 1000
_EXACT_DIGITS = 17


@dataclass(frozen=True)
class Term:
    """A part of a formula.

    Attributes:
        value: The expression.
        number: Its value where it is a constant, else None.
        is_open: Whether it ends in an exponent or under a root sign, so that 'x^2y' could be read in two ways.
    """

    value: sp.Expr
    number: float | None
    is_open: bool = False


def number(text: str, token: Token) -> Term:
    """Read a number: exactly where it is short, as 0.1 is one tenth."""
    value = float(text)
    if not math.isfinite(value):
        raise TextError(f"the number {short(text, 20)} at column {token.column} is too large", "keep it below 1e308")
    digits = len(text.lower().partition("e")[0].replace(".", "").strip("+-0"))
    if digits and value == 0:
        raise TextError(f"the number {short(text, 20)} at column {token.column} is too small", "write 0")
    is_whole = text.lstrip("+-").isdigit()
    exact = is_whole or digits <= _EXACT_DIGITS
    return Term(sp.Rational(text) if exact else sp.Float(value, _EXACT_DIGITS), value)


def total(terms: Sequence[Term], token: Token) -> Term:
    """Add terms."""
    if len(terms) == 1:
        return terms[0]
    return _made(lambda: _folded(sp.Add, terms), terms, math.fsum, token)


def product(factors: Sequence[Term], token: Token, *, is_open: bool = False) -> Term:
    """Multiply factors."""
    if len(factors) == 1:
        return factors[0]
    made = _made(lambda: _folded(sp.Mul, factors), factors, math.prod, token)
    return Term(made.value, made.number, is_open)


def power(base: Term, exponent: Term, token: Token, *, is_open: bool = False) -> Term:
    """Raise to a power."""
    value = base.value
    if exponent.number is not None:
        bits = max((_bits(constant) for constant in value.atoms(sp.Rational)), default=0)
        size = abs(exponent.number)
        if base.number is None and (size > _EXPONENT_LIMIT or (bits > 2 and bits * size > _BITS_LIMIT)):
            raise TextError(
                f"the power at column {token.column} is too large", f"keep exponents below {_EXPONENT_LIMIT}"
            )
        if base.number is not None and bits > 1 and bits * size > _BITS_LIMIT:
            value = sp.Float(base.number, _EXACT_DIGITS)
    made = _made(lambda: sp.Pow(value, exponent.value), [base, exponent], _raise, token)
    return Term(made.value, made.number, is_open)


def call(name: str, arguments: Sequence[Term], token: Token) -> Term:
    """Apply a function by its name."""
    function = FUNCTIONS[name]
    if function.arity is not None and len(arguments) != function.arity:
        raise TextError(
            f"the function '{name}' at column {token.column} takes {function.arity} and not {len(arguments)} arguments",
            "correct the call",
        )
    values = [argument.value for argument in arguments]
    return _made(lambda: function.build(*values), arguments, lambda numbers: function.value(*numbers), token)


def _made(
    build: Callable[[], sp.Expr], parts: Sequence[Term], evaluate: Callable[[list[float]], float], token: Token
) -> Term:
    """Build an expression; where all its parts are constants, only after its value was seen to be a number."""
    numbers = [part.number for part in parts if part.number is not None]
    constant = len(numbers) == len(parts)
    try:
        value = _checked(evaluate(numbers), token) if constant else None
        made = build()
    except OverflowError:
        raise TextError(f"the constant at column {token.column} is too large", "keep it below 1e308") from None
    except (ValueError, TypeError, ArithmeticError, NotImplementedError):
        raise _not_a_number(token) from None
    if made.has(sp.zoo, sp.nan, sp.oo, -sp.oo, sp.I, sp.AccumBounds):
        raise _not_a_number(token)
    if value is None and made.is_Number:
        value = float(made)
    if isinstance(made, sp.Rational):
        if _bits(made) > _BITS_LIMIT:
            made = sp.Float(made, _EXACT_DIGITS)
        value = float(made)
    return Term(made, value)


def _folded(operation: type[sp.Add] | type[sp.Mul], parts: Sequence[Term]) -> sp.Expr:
    """Add or multiply; the fractions first and one by one, so that their digits stay bounded."""
    constant: sp.Expr = operation.identity
    others = []
    for part in parts:
        if part.value.is_Number:
            constant = operation(constant, part.value)
            if isinstance(constant, sp.Rational) and _bits(constant) > _BITS_LIMIT:
                constant = sp.Float(constant, _EXACT_DIGITS)
        else:
            others.append(part.value)
    result: sp.Expr = operation(constant, *others)
    return result


def _raise(numbers: list[float]) -> float:
    base, exponent = numbers
    return math.pow(base, exponent)


def _checked(value: float, token: Token) -> float:
    if math.isnan(value):
        raise _not_a_number(token)
    if math.isinf(value):
        raise OverflowError
    return value


def _bits(value: sp.Rational) -> int:
    return max(int(value.p).bit_length(), int(value.q).bit_length())


def _not_a_number(token: Token) -> TextError:
    return TextError(
        f"the constant at column {token.column} is not a real number", "is it a division by zero or a negative root?"
    )
